// SPDX-License-Identifier: GPL-2.0-only
#include "context.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vmi/cleanup.h"
#include "vmi/vcpu.h"

const char *ovm_version(void)
{
	return OVM_VERSION;
}

uint64_t ovm_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void ovm_log(const struct ovm *ovm, enum ovm_log_level level, const char *format, ...)
{
	_cleanup_free_ char *message = NULL;
	va_list ap;

	if (!ovm->log)
		return;
	va_start(ap, format);
	int n = vasprintf(&message, format, ap);
	va_end(ap);
	if (n < 0)
		message = NULL;
	else
		ovm->log(ovm->log_arg, level, message);
}

struct ovm_error *ovm_options_copy(void *ret, size_t known, const void *options)
{
	size_t size;

	if (!options)
		return ovm_error_format(OVM_ERROR_USAGE, "no options were given");
	memcpy(&size, options, sizeof(size));
	if (size < sizeof(size))
		return ovm_error_format(OVM_ERROR_USAGE,
					"the options' size is not set: set it to sizeof");
	memset(ret, 0, known);
	memcpy(ret, options, size < known ? size : known);
	for (size_t i = known; i < size; i++)
		if (((const char *)options)[i])
			return ovm_error_format(OVM_ERROR_USAGE,
						"the options ask for something that this version "
						"of the library doesn't know");
	return NULL;
}

bool ovm_cancelled(void *arg)
{
	const struct ovm *ovm = arg;
	struct pollfd pfd = {.fd = ovm->cancel_fd, .events = POLLIN};

	return poll(&pfd, 1, 0) > 0;
}

struct ovm_error *ovm_check_cancelled(struct ovm *ovm)
{
	if (!ovm_cancelled(ovm))
		return NULL;
	return ovm_error_format(OVM_ERROR_CANCELLED, "interrupted");
}

void ovm_cancel_reset(struct ovm *ovm)
{
	eventfd_t count;

	eventfd_read(ovm->cancel_fd, &count);
}

void ovm_cancel(struct ovm *ovm)
{
	int saved = errno;

	eventfd_write(ovm->cancel_fd, 1);
	errno = saved;
}

struct ovm_error *ovm_create(const struct ovm_attach_options *options, struct ovm **ret)
{
	struct ovm *ovm = calloc(1, sizeof(*ovm));

	*ret = NULL;
	if (!ovm)
		return ovm_error_no_memory();
	ovm->log = options->log;
	ovm->log_arg = options->log_arg;
	ovm->read_only = options->read_only;
	ovm->ghost_limit = OVM_DEFAULT_GHOST_LIMIT;
	ovm->budget = (struct ovm_llv_budget){.cancelled = ovm_cancelled, .arg = ovm};
	ovm->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ovm->cancel_fd < 0) {
		struct ovm_error *err =
			ovm_error_errno(OVM_ERROR_NO_MEMORY, errno, NULL, "can't make an eventfd");

		free(ovm);
		return err;
	}
	*ret = ovm;
	return NULL;
}

struct ovm_error *ovm_attach_vm(struct ovm *ovm, const struct ovm_attach_options *options)
{
	if (!options->qmp_path && options->qmp_fd <= 0)
		return ovm_error_format(OVM_ERROR_USAGE, "no QMP socket was given");

	struct ovm_vm_options vm_options = {
		.size = sizeof(vm_options),
		.qmp = {.size = sizeof(vm_options.qmp),
			.path = options->qmp_path,
			.fd = options->qmp_fd,
			.cancel_fd = ovm->cancel_fd},
	};
	struct ovm_error *err = ovm_vm_attach(&vm_options, &ovm->vm);

	if (err)
		return err;
	const struct ovm_vm_info *info = ovm_vm_info(ovm->vm);

	ovm_log(ovm, OVM_LOG_INFO, "QEMU %u.%u.%u (pid %d, %s), %u vCPUs, %llu MiB of %s RAM",
		info->version.major, info->version.minor, info->version.micro, info->pid,
		info->kvm ? "KVM" : "TCG", info->nr_vcpus,
		(unsigned long long)(info->ram_size >> 20),
		info->ram_shared ? "shared" : "private");
	return NULL;
}

/* Registers of the vCPUs that say where the kernel is. */
static struct ovm_error *make_hints(struct ovm *ovm, struct ovm_kernel_hint **ret, size_t *ret_nr)
{
	struct ovm_vcpus *vcpus;
	struct ovm_error *err = ovm_vcpus_read_notes(ovm->vm, &vcpus);

	if (err)
		return err;
	struct ovm_kernel_hint *hints = calloc(vcpus->nr ? vcpus->nr : 1, sizeof(*hints));

	for (size_t i = 0; hints && i < vcpus->nr; i++) {
		const struct ovm_vcpu *vcpu = &vcpus->vcpus[i];

		hints[i] = (struct ovm_kernel_hint){
			.cr3 = vcpu->cr3,
			.cr4 = vcpu->cr4,
			.lstar = vcpu->lstar,
			.idt_base = vcpu->idt.base,
			.gs_base = vcpu->segments[OVM_VCPU_GS].base,
			.kernel_gs_base = vcpu->kernel_gs_base,
			.rip = vcpu->rip,
		};
	}
	*ret = hints;
	*ret_nr = hints ? vcpus->nr : 0;
	ovm_vcpus_free(vcpus);
	return hints ? NULL : ovm_error_no_memory();
}

struct ovm_error *ovm_attach_kernel(struct ovm *ovm, const struct ovm_attach_options *options)
{
	_cleanup_free_ struct ovm_kernel_hint *hints = NULL;
	struct ovm_kernel_options kernel_options = {
		.size = sizeof(kernel_options),
		.cache_dir = options->cache_directory,
		.no_scan = options->no_scan,
	};
	struct ovm_error *err = make_hints(ovm, &hints, &kernel_options.nr_hints);

	if (err)
		return err;
	kernel_options.hints = hints;
	err = ovm_kernel_attach(ovm_vm_memory(ovm->vm), &kernel_options, &ovm->kernel);
	if (err)
		return err;
	const struct ovm_kernel_info *info = ovm_kernel_info(ovm->kernel);

	ovm_log(ovm, OVM_LOG_INFO,
		"guest kernel %s at 0x%llx (KASLR offset 0x%llx), %u-level tables", info->release,
		(unsigned long long)info->image_start, (unsigned long long)info->kaslr_offset,
		info->pgtable_levels);
	return NULL;
}

static struct ovm_error *guest_read(void *arg, uint64_t address, void *buf, size_t len)
{
	return ovm_kernel_read(arg, address, buf, len);
}

static const void *guest_peek(void *arg, uint64_t address, size_t len)
{
	return ovm_kernel_peek(arg, address, len);
}

static bool guest_symbol(void *arg, const char *name, uint64_t *ret)
{
	return ovm_kernel_symbol(arg, name, ret);
}

struct ovm_error *ovm_attach_extractors(struct ovm *ovm)
{
	struct ovm_llv_options options = {
		.size = sizeof(options),
		.arg = ovm->kernel,
		.peek = guest_peek,
		.read = guest_read,
		.symbol = guest_symbol,
	};
	struct ovm_btf *btf;
	struct ovm_error *err = ovm_kernel_load_btf(ovm->kernel, &btf);

	if (err)
		return err;
	options.btf = btf;
	return ovm_llv_create(&options, &ovm->llv);
}

struct ovm_error *ovm_attach(const struct ovm_attach_options *options, struct ovm **ret)
{
	struct ovm_attach_options known;
	struct ovm *ovm;
	struct ovm_error *err = ovm_options_copy(&known, sizeof(known), options);

	*ret = NULL;
	if (!err)
		err = ovm_create(&known, &ovm);
	if (err)
		return err;
	uint64_t start = ovm_now_us();

	err = ovm_attach_vm(ovm, &known);
	if (!err)
		err = ovm_attach_kernel(ovm, &known);
	if (!err)
		err = ovm_attach_extractors(ovm);
	if (err) {
		ovm_detach(ovm);
		return err;
	}
	ovm_log(ovm, OVM_LOG_DEBUG, "attached in %.1f ms", (double)(ovm_now_us() - start) / 1000);
	*ret = ovm;
	return NULL;
}

void ovm_detach(struct ovm *ovm)
{
	if (!ovm)
		return;
	ovm_engine_destroy(ovm->engine);
	ovm_llv_destroy(ovm->llv);
	ovm_kernel_detach(ovm->kernel);
	ovm_vm_detach(ovm->vm);
	close(ovm->cancel_fd);
	free(ovm);
}
