// SPDX-License-Identifier: GPL-2.0-only
/*
 * From symbols to facts.  Every fact is told in two ways at least, and they
 * must agree: the image's place by page table, symbols and phys_base; the
 * direct map by its variable and the page table; the release by banner and UTS
 * name space; the layout of structures by the name of the idle task.  A copy
 * of a kernel's data that was planted, or left behind by another kernel, fails.
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "kernel_private.h"
#include "text.h"

/* Where areas start unless the kernel randomises them (Documentation/arch/x86/x86_64/mm.rst). */
static const struct {
	uint64_t page_offset, vmalloc, vmemmap;
} default_bases[2] = {
	{0xffff888000000000, 0xffffc90000000000, 0xffffea0000000000},
	{0xff11000000000000, 0xffa0000000000000, 0xffd4000000000000},
};

static struct ovm_error *require_symbol(const struct ovm_kernel *kernel, const char *name,
					uint64_t *ret)
{
	if (ovm_kernel_symbol(kernel, name, ret))
		return NULL;
	return ovm_error_format(OVM_ERROR_KERNEL,
				"the guest's kernel has no symbol %s: it must be built with "
				"CONFIG_KALLSYMS_ALL",
				name);
}

struct ovm_error *ovm_kernel_variable(struct ovm_kernel *kernel, const char *name, size_t size,
				      uint64_t missing, uint64_t *ret)
{
	uint64_t address, value = 0;

	*ret = missing;
	if (!ovm_kernel_symbol(kernel, name, &address))
		return NULL;

	struct ovm_error *err = ovm_kernel_read(kernel, address, &value, size);

	if (!err)
		*ret = value;
	return ovm_error_prepend(err, "variable %s", name);
}

static struct ovm_error *set_image(struct ovm_kernel *kernel, const struct ovm_image_map *map)
{
	struct ovm_kernel_info *info = &kernel->info;
	uint64_t end, phys_base;
	struct ovm_error *err = require_symbol(kernel, "_end", &end);

	if (err)
		return err;
	info->image_start = map->start;
	/* Parts behind the last page that is mapped belong to the image all the same. */
	info->image_end = end;
	info->phys_base = map->phys_base;
	info->pgtable_levels = map->levels;
	info->kaslr_offset = map->start - OVM_LINKED_TEXT;
	if (end < map->end - (2 << 20) || end > OVM_START_KERNEL_MAP + OVM_KERNEL_IMAGE_ROOM)
		return ovm_error_address(OVM_ERROR_KERNEL, end,
					 "the kernel's end is not where its image ends:");
	err = ovm_kernel_variable(kernel, "phys_base", 8, map->phys_base, &phys_base);
	if (!err && phys_base != map->phys_base)
		err = ovm_error_address(OVM_ERROR_KERNEL, phys_base,
					"phys_base does not agree with the page table:");
	return err;
}

/* Check that the kernel's own page table maps @address to @gpa. */
static struct ovm_error *check_maps(struct ovm_kernel *kernel, uint64_t address, uint64_t gpa,
				    const char *what)
{
	uint64_t found;
	struct ovm_error *err =
		ovm_kernel_translate_in(kernel, kernel->info.pgd_gpa, address, &found, NULL);

	if (!err && found != gpa)
		err = ovm_error_address(OVM_ERROR_KERNEL, found, "is elsewhere:");
	return ovm_error_prepend(err, "%s", what);
}

static struct ovm_error *set_tables(struct ovm_kernel *kernel)
{
	struct ovm_kernel_info *info = &kernel->info;
	uint64_t address;
	struct ovm_error *err = require_symbol(kernel, "init_top_pgt", &address);

	if (!err)
		err = ovm_kernel_variable(kernel, "sme_me_mask", 8, 0, &info->sme_mask);
	if (!err)
		err = ovm_kernel_translate(kernel, address, &info->pgd_gpa);
	if (err)
		return err;
	/* The bit is one of the upper address bits, if there is one. */
	if (info->sme_mask & ~(OVM_PTE_ADDRESS_MASK & ~0xffffffffULL))
		return ovm_error_address(OVM_ERROR_KERNEL, info->sme_mask,
					 "sme_me_mask is no memory encryption bit:");
	return check_maps(kernel, info->image_start,
			  info->image_start - OVM_START_KERNEL_MAP + info->phys_base,
			  "the image, by the kernel's own page table");
}

static struct ovm_error *set_areas(struct ovm_kernel *kernel)
{
	struct ovm_kernel_info *info = &kernel->info;
	const __typeof__(default_bases[0]) *bases = &default_bases[info->pgtable_levels == 5];
	uint64_t image_gpa = info->image_start - OVM_START_KERNEL_MAP + info->phys_base;
	uint64_t page_offset;
	struct ovm_error *err = ovm_kernel_variable(kernel, "page_offset_base", 8,
						    bases->page_offset, &page_offset);

	if (!err)
		err = ovm_kernel_variable(kernel, "vmalloc_base", 8, bases->vmalloc,
					  &info->vmalloc_base);
	if (!err)
		err = ovm_kernel_variable(kernel, "vmemmap_base", 8, bases->vmemmap,
					  &info->vmemmap_base);
	if (!err)
		err = check_maps(kernel, page_offset + image_gpa, image_gpa,
				 "the image, in the direct map");
	if (!err && (page_offset >= info->vmalloc_base ||
		     info->vmalloc_base >= info->vmemmap_base || page_offset % OVM_PAGE_SIZE))
		err = ovm_error_address(OVM_ERROR_KERNEL, page_offset,
					"the direct map is at an impossible place:");
	if (!err)
		info->page_offset_base = page_offset;
	return err;
}

/* The image's offset from where it was linked; known for certain only if the kernel tells. */
static void refine_kaslr_offset(struct ovm_kernel *kernel)
{
	uint8_t page[OVM_PAGE_SIZE];
	struct ovm_vmcoreinfo note;
	uint64_t address, stext;
	const char *text;
	size_t len;
	struct ovm_error *err = ovm_kernel_variable(kernel, "vmcoreinfo_note", 8, 0, &address);

	if (!err && address)
		err = ovm_kernel_read(kernel, address, page, sizeof(page));
	if (err || !address) {
		ovm_error_free(err);
		return;
	}
	text = ovm_vmcoreinfo_note(page, sizeof(page), &len);
	if (text && ovm_vmcoreinfo_parse(text, len, &note) && note.has_kernel_offset &&
	    !strcmp(note.release, kernel->release) && ovm_kernel_symbol(kernel, "_stext", &stext) &&
	    stext == note.stext)
		kernel->info.kaslr_offset = note.kernel_offset;
}

/* "Linux version RELEASE (builder) ...\n"; source: init/version.c. */
static struct ovm_error *set_banner(struct ovm_kernel *kernel)
{
	static const char prefix[] = "Linux version ";
	uint64_t address;
	struct ovm_error *err = require_symbol(kernel, "linux_banner", &address);

	if (!err)
		err = ovm_kernel_read(kernel, address, kernel->banner, sizeof(kernel->banner) - 1);
	if (err)
		return err;
	kernel->banner[strcspn(kernel->banner, "\n")] = 0;
	ovm_text_clean(kernel->banner, strlen(kernel->banner));

	const char *release = kernel->banner + strlen(prefix);
	size_t len = 0;

	if (!strncmp(kernel->banner, prefix, strlen(prefix)))
		len = strcspn(release, " ");
	if (!len || len >= sizeof(kernel->release))
		return ovm_error_address(OVM_ERROR_KERNEL, address, "no kernel's banner at");
	memcpy(kernel->release, release, len);
	kernel->release[len] = 0;
	kernel->info.banner = kernel->banner;
	kernel->info.release = kernel->release;
	return NULL;
}

/* Copy the build id out of the note at @notes[@offset], if it is that one. */
static void set_build_id(struct ovm_kernel *kernel, const uint8_t *id, size_t len)
{
	for (size_t i = 0; i < len; i++)
		snprintf(kernel->build_id + 2 * i, 3, "%02x", id[i]);
}

/*
 * The image's ELF notes: name size, descriptor size, type (u32 each), then name and descriptor,
 * each padded to 4 bytes. The build id has type 3 and name "GNU". Source: elf(5).
 */
static void find_build_id(struct ovm_kernel *kernel)
{
	uint64_t start, stop;
	uint8_t notes[4096];
	uint32_t header[3];

	kernel->info.build_id = kernel->build_id;
	if (!ovm_kernel_symbol(kernel, "__start_notes", &start) ||
	    !ovm_kernel_symbol(kernel, "__stop_notes", &stop) || stop <= start ||
	    stop - start > sizeof(notes))
		return;

	size_t size = stop - start;
	struct ovm_error *err = ovm_kernel_read(kernel, start, notes, size);

	if (err) {
		ovm_error_free(err);
		return;
	}
	for (size_t at = 0; at + sizeof(header) <= size;) {
		memcpy(header, notes + at, sizeof(header));

		size_t name = at + sizeof(header);

		if (header[0] > size || header[1] > size)
			return;

		size_t data = name + (header[0] + 3) / 4 * 4;

		if (data > size || header[1] > size - data)
			return;
		if (header[2] == 3 && header[0] == 4 && !memcmp(notes + name, "GNU", 4) &&
		    header[1] <= OVM_KERNEL_BUILD_ID_MAX) {
			set_build_id(kernel, notes + data, header[1]);
			kernel->build_id_offset = start + at - kernel->info.image_start;
			return;
		}
		at = data + (header[1] + 3) / 4 * 4;
	}
}

static struct ovm_error *find_offset(struct ovm_kernel *kernel, const char *type, const char *path,
				     uint32_t *ret)
{
	struct ovm_btf_member member;
	struct ovm_error *err = ovm_btf_find_member(kernel->btf, type, path, &member);

	if (!err)
		*ret = (uint32_t)(member.bit_offset / 8);
	return err;
}

static struct ovm_error *set_offsets(struct ovm_kernel *kernel)
{
	if (kernel->offsets.task_comm)
		return NULL;

	struct ovm_error *err = ovm_kernel_load_btf(kernel, NULL);

	if (!err)
		err = find_offset(kernel, "struct task_struct", "comm", &kernel->offsets.task_comm);
	if (!err)
		err = find_offset(kernel, "struct uts_namespace", "name.release",
				  &kernel->offsets.uts_release);
	return err;
}

/* Read a member of 16 to 64 characters and compare how it starts. */
static struct ovm_error *check_text(struct ovm_kernel *kernel, const char *symbol, uint32_t offset,
				    size_t size, const char *expected, const char *what)
{
	char text[65] = "";
	uint64_t address;
	struct ovm_error *err = require_symbol(kernel, symbol, &address);

	if (!err)
		err = ovm_kernel_read(kernel, address + offset, text, size);
	if (!err && strcmp(text, expected))
		err = ovm_error_address(OVM_ERROR_KERNEL, address,
					"%s is not \"%s\" by the kernel's types at", what,
					expected);
	return err;
}

static struct ovm_error *check_types(struct ovm_kernel *kernel)
{
	struct ovm_error *err = check_text(kernel, "init_uts_ns", kernel->offsets.uts_release, 64,
					   kernel->release, "the release");

	if (err)
		return err;
	/* The first CPU's idle task; "swapper" until the scheduler is up, and without SMP. */
	err = check_text(kernel, "init_task", kernel->offsets.task_comm, 16, "swapper/0",
			 "the idle task's name");
	if (!err || err->code != OVM_ERROR_KERNEL)
		return err;

	struct ovm_error *again = check_text(kernel, "init_task", kernel->offsets.task_comm, 16,
					     "swapper", "the idle task's name");

	if (again) {
		ovm_error_free(again);
		return err;
	}
	ovm_error_free(err);
	return NULL;
}

/* Number of elements of the array __per_cpu_offset: up to the next symbol. */
static uint64_t per_cpu_slots(const struct ovm_kernel *kernel, uint64_t array)
{
	size_t i = (size_t)ovm_kallsyms_find_address(kernel->kallsyms, array);

	while (i < kernel->kallsyms->nr && kernel->kallsyms->addresses[i] <= array)
		i++;
	return i < kernel->kallsyms->nr ? (kernel->kallsyms->addresses[i] - array) / 8 : 0;
}

static struct ovm_error *set_cpus(struct ovm_kernel *kernel)
{
	uint64_t array, nr;
	/* Neither exists without SMP, where per-CPU variables are ordinary ones. */
	struct ovm_error *err = ovm_kernel_variable(kernel, "nr_cpu_ids", 4, 1, &nr);

	if (err)
		return err;
	kernel->per_cpu_offsets = calloc(OVM_KERNEL_MAX_CPUS, sizeof(uint64_t));
	if (!kernel->per_cpu_offsets)
		return ovm_error_no_memory();
	if (!ovm_kernel_symbol(kernel, "__per_cpu_offset", &array)) {
		kernel->info.nr_cpu_ids = 1;
		return NULL;
	}
	if (!nr || nr > OVM_KERNEL_MAX_CPUS || nr > per_cpu_slots(kernel, array))
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the kernel claims to have %llu possible CPUs",
					(unsigned long long)nr);
	kernel->info.nr_cpu_ids = (unsigned int)nr;
	return ovm_kernel_read(kernel, array, kernel->per_cpu_offsets, nr * sizeof(uint64_t));
}

struct ovm_error *ovm_kernel_verify(struct ovm_kernel *kernel, const struct ovm_image_map *map)
{
	struct ovm_error *err = set_image(kernel, map);

	if (!err)
		err = set_tables(kernel);
	if (!err)
		err = set_areas(kernel);
	if (!err)
		err = set_banner(kernel);
	if (err)
		return err;
	find_build_id(kernel);
	refine_kaslr_offset(kernel);
	err = set_offsets(kernel);
	if (!err)
		err = check_types(kernel);
	if (!err)
		err = set_cpus(kernel);
	return err;
}
