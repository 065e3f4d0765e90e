// SPDX-License-Identifier: GPL-2.0-only
/*
 * The types of vmlinux, between __start_BTF and __stop_BTF, and those of the
 * modules, which the list btf_modules leads to (since v5.11, commit 36e68442d1af)
 * and which need vmlinux' as their base.  struct module has a pointer to them
 * too, but only while the module is being loaded.
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "kernel_private.h"
#include "text.h"

enum {
	MAX_MODULES = 4096,
	MAX_MODULE_BTF = 16 << 20,
	/* MODULE_NAME_LEN for 64 bits. */
	MODULE_NAME_BYTES = 56,
};

struct ovm_error *ovm_kernel_load_btf(struct ovm_kernel *kernel, struct ovm_btf **ret)
{
	_cleanup_free_ void *data = NULL;
	uint64_t start, stop;

	if (ret)
		*ret = kernel->btf;
	if (kernel->btf)
		return NULL;
	if (!ovm_kernel_symbol(kernel, "__start_BTF", &start) ||
	    !ovm_kernel_symbol(kernel, "__stop_BTF", &stop) || start == stop)
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel carries no types: it must be built "
					"with CONFIG_DEBUG_INFO_BTF");
	if (stop < start || stop - start > OVM_KERNEL_MAX_BTF || start < kernel->info.image_start ||
	    stop > kernel->info.image_end)
		return ovm_error_address(OVM_ERROR_KERNEL, start,
					 "the kernel's types are at an impossible place:");
	data = malloc(stop - start);
	if (!data)
		return ovm_error_no_memory();

	struct ovm_error *err = ovm_kernel_read(kernel, start, data, stop - start);

	if (!err)
		err = ovm_btf_create(data, stop - start, &kernel->btf);
	if (ret)
		*ret = kernel->btf;
	return ovm_error_prepend(err, "the kernel's types (BTF)");
}

struct ovm_btf *ovm_kernel_btf(struct ovm_kernel *kernel)
{
	ovm_error_free(ovm_kernel_load_btf(kernel, NULL));
	return kernel->btf;
}

/* Offsets in struct btf_module and struct btf. */
struct module_layout {
	uint64_t list, btf, name, data, data_size;
};

/* False when this kernel has no types of modules. */
static bool module_layout(const struct ovm_btf *btf, struct module_layout *ret)
{
	const struct {
		const char *type, *path;
		uint64_t *offset;
	} members[] = {
		{"struct btf_module", "list", &ret->list},
		{"struct btf_module", "btf", &ret->btf},
		{"struct btf", "name", &ret->name},
		{"struct btf", "data", &ret->data},
		{"struct btf", "data_size", &ret->data_size},
	};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		struct ovm_btf_member member;
		struct ovm_error *err =
			ovm_btf_find_member(btf, members[i].type, members[i].path, &member);

		if (err) {
			ovm_error_free(err);
			return false;
		}
		*members[i].offset = member.bit_offset / 8;
	}
	return true;
}

static bool is_loaded(const struct ovm_kernel *kernel, uint64_t btf)
{
	for (size_t i = 0; i < kernel->nr_modules; i++) {
		if (kernel->modules[i] == btf)
			return true;
	}
	return false;
}

/* Add the types that the struct btf at @btf holds. */
static struct ovm_error *load_module(struct ovm_kernel *kernel, const struct module_layout *layout,
				     uint64_t btf)
{
	_cleanup_free_ void *data = NULL;
	uint64_t address;
	uint32_t size;
	const struct ovm_kernel_read reads[] = {
		{btf + layout->data, &address, sizeof(address)},
		{btf + layout->data_size, &size, sizeof(size)},
	};

	if (is_loaded(kernel, btf))
		return NULL;

	struct ovm_error *err = ovm_kernel_read_batch(kernel, reads, 2);

	if (err)
		return err;
	if (size > MAX_MODULE_BTF)
		return ovm_error_address(OVM_ERROR_CORRUPT, btf, "%u bytes of types, by", size);
	data = malloc(size ?: 1);

	uint64_t *modules = realloc(kernel->modules, (kernel->nr_modules + 1) * sizeof(*modules));

	if (modules)
		kernel->modules = modules;
	if (!data || !modules)
		return ovm_error_no_memory();
	err = ovm_kernel_read(kernel, address, data, size);
	if (!err)
		err = ovm_btf_add_module(kernel->btf, data, size);
	if (!err)
		kernel->modules[kernel->nr_modules++] = btf;
	return err;
}

/* Look at the struct btf_module at @module. */
static struct ovm_error *visit_module(struct ovm_kernel *kernel, const struct module_layout *layout,
				      uint64_t module, const char *name, bool *found)
{
	char own_name[MODULE_NAME_BYTES + 1] = "";
	uint64_t btf;
	struct ovm_error *err = ovm_kernel_read(kernel, module + layout->btf, &btf, sizeof(btf));

	if (!err)
		err = ovm_kernel_read(kernel, btf + layout->name, own_name, MODULE_NAME_BYTES);
	if (err || (name && strcmp(name, own_name)))
		return err;
	*found = true;
	ovm_text_clean(own_name, strlen(own_name));
	return ovm_error_prepend(load_module(kernel, layout, btf), "module %s", own_name);
}

struct ovm_error *ovm_kernel_load_module_btf(struct ovm_kernel *kernel, const char *name)
{
	struct module_layout layout;
	uint64_t head, next;
	bool found = false;
	struct ovm_error *err = ovm_kernel_load_btf(kernel, NULL);

	if (err)
		return err;
	if (!ovm_kernel_symbol(kernel, "btf_modules", &head) ||
	    !module_layout(kernel->btf, &layout))
		return NULL;
	err = ovm_kernel_read(kernel, head, &next, sizeof(next));
	for (unsigned int i = 0; !err && next != head; i++) {
		if (i == MAX_MODULES)
			return ovm_error_address(
				OVM_ERROR_BUDGET, head,
				"the list of modules does not end; its head is at");
		err = visit_module(kernel, &layout, next - layout.list, name, &found);
		if (!err)
			err = ovm_kernel_read(kernel, next, &next, sizeof(next));
	}
	if (!err && name && !found)
		err = ovm_error_format(OVM_ERROR_NOT_FOUND,
				       "the guest has no module %s with types loaded", name);
	return ovm_error_prepend(err, "types of modules");
}
