// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdlib.h>

#include "context.h"
#include "vmi/cleanup.h"

#define READ_ONLY_REMEDY "'ovm-gpu dump --read-only -R' works without it"

/* One run of ovm_check(). */
struct check {
	struct ovm *ovm;
	const struct ovm_attach_options *options;
	void (*item)(void *arg, const struct ovm_check_item *item);
	void *arg;
	bool ok;
};

static void report(struct check *check, const char *requirement, bool ok, const char *remedy,
		   const char *format, ...) __attribute__((format(printf, 5, 6)));

static void report(struct check *check, const char *requirement, bool ok, const char *remedy,
		   const char *format, ...)
{
	_cleanup_free_ char *finding = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&finding, format, ap) < 0)
		finding = NULL;
	va_end(ap);
	check->ok &= ok;
	check->item(check->arg, &(struct ovm_check_item){
					.requirement = requirement,
					.ok = ok,
					.finding = finding ? finding : "",
					.remedy = ok ? NULL : remedy,
				});
}

/* Report a requirement that is met unless @err; true when it is. */
static bool report_error(struct check *check, const char *requirement, const char *remedy,
			 struct ovm_error *err)
{
	if (!err)
		return true;
	report(check, requirement, false, remedy, "%s", err->message);
	ovm_error_free(err);
	return false;
}

static bool check_vm(struct check *check)
{
	struct ovm_vm_status status;

	if (!report_error(check, "VM and its RAM",
			  "start QEMU with -qmp unix:PATH,server=on,wait=off and run this command "
			  "as QEMU's user or as root",
			  ovm_attach_vm(check->ovm, check->options)))
		return false;
	const struct ovm_vm_info *info = ovm_vm_info(check->ovm->vm);

	report(check, "QMP", true, NULL, "QEMU %u.%u.%u, %s, %u vCPUs", info->version.major,
	       info->version.minor, info->version.micro, info->kvm ? "KVM" : "TCG", info->nr_vcpus);
	report(check, "guest RAM", true, NULL, "%llu MiB, %s",
	       (unsigned long long)(info->ram_size >> 20),
	       info->ram_shared ? "shared: mapped"
				: "private: read through the monitor's process, which is slower; "
				  "memory-backend-memfd,share=on would be faster");
	if (!report_error(check, "run state", "look at the VM's monitor",
			  ovm_vm_status(check->ovm->vm, &status)))
		return false;
	report(check, "run state", status.running || check->options->read_only,
	       "resume the VM: to freeze and to kill, its kernel has to run; " READ_ONLY_REMEDY,
	       "%s", status.name);
	return true;
}

static bool check_kernel(struct check *check)
{
	if (!report_error(check, "guest kernel",
			  "the guest has to run a 64-bit Linux of version 5.8 or newer that has "
			  "finished booting",
			  ovm_attach_kernel(check->ovm, check->options)))
		return false;
	const struct ovm_kernel_info *info = ovm_kernel_info(check->ovm->kernel);

	report(check, "guest kernel", true, NULL, "Linux %s, %u-level page tables, %u CPUs",
	       info->release, info->pgtable_levels, info->nr_cpu_ids);
	report(check, "kernel types (BTF)", true, NULL, "%zu types",
	       ovm_btf_nr_types(ovm_kernel_btf(check->ovm->kernel)));
	return true;
}

static bool check_extractors(struct check *check)
{
	struct ovm_process_list *list = NULL;
	struct ovm_error *err = ovm_attach_extractors(check->ovm);

	if (!err)
		err = ovm_ps(check->ovm, &list);
	if (!report_error(check, "kernel structures",
			  "this kernel is laid out in a way that is not known yet: please report "
			  "its version",
			  err))
		return false;
	report(check, "kernel structures", true, NULL, "understood; %zu processes", list->nr);
	ovm_process_list_free(list);
	return true;
}

/* Freezing, thawing and killing: what they write through, and what a freezer asks for. */
static void check_freezer(struct check *check)
{
	struct ovm_freezer *freezer;

	if (check->options->read_only)
		return;
	bool shared = ovm_vm_info(check->ovm->vm)->ram_shared;

	report(check, "writing guest RAM", shared,
	       "give the guest shared RAM (memory-backend-memfd,share=on); " READ_ONLY_REMEDY, "%s",
	       shared ? "shared: what is written here is seen by the guest"
		      : "private: what is written here is not seen by the guest");
	if (!shared)
		return;
	/* Nothing is written, and the VM runs on, until a freezer is used. */
	struct ovm_error *err = ovm_make_freezer(check->ovm, 0, &freezer);

	if (!report_error(check, "freezing, killing",
			  "unless that can be mended: " READ_ONLY_REMEDY, err))
		return;
	ovm_freezer_destroy(freezer);
	report(check, "freezing, killing", true, NULL,
	       "by the kernel's own freezer; CPUs can be interrupted");
}

/* Swapped-out pages stand in the way of a dump of the process that they belong to. */
static bool check_swap(struct check *check)
{
	uint64_t address;
	int64_t total = 0;

	if (ovm_kernel_symbol(check->ovm->kernel, "total_swap_pages", &address) &&
	    !report_error(check, "swap", NULL,
			  ovm_kernel_read(check->ovm->kernel, address, &total, sizeof(total))))
		return false;
	if (total > 0)
		report(check, "swap", true, NULL,
		       "%lld MiB: pages that are swapped out can't be saved",
		       (long long)(total >> 8));
	else
		report(check, "swap", true, NULL, "none");
	return true;
}

struct ovm_error *ovm_check(const struct ovm_attach_options *options,
			    void (*item)(void *arg, const struct ovm_check_item *item), void *arg,
			    bool *ok)
{
	struct ovm_attach_options known;
	struct check check = {.options = &known, .item = item, .arg = arg, .ok = true};
	struct ovm_error *err = ovm_options_copy(&known, sizeof(known), options);

	if (!err)
		err = ovm_create(&known, &check.ovm);
	if (err)
		return err;
	if (check_vm(&check) && check_kernel(&check) && check_extractors(&check)) {
		check_freezer(&check);
		check_swap(&check);
	}
	*ok = check.ok;
	ovm_detach(check.ovm);
	return NULL;
}
