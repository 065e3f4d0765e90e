// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finding the kernel: candidates for its page table come from the vCPUs, or
 * from VMCOREINFO notes in RAM; each is followed to an image, the image to its
 * symbols, and the symbols to facts that must agree with each other.  The
 * first candidate that passes is the kernel.
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "kernel_private.h"

enum {
	/* CR4 bit: page tables have 5 levels. */
	CR4_LA57 = 1 << 12,
	/* Page tables, and images that turn out to be none: a guest can make up any number. */
	MAX_TABLES = 256,
	MAX_REJECTED = 16,
	/* Read-only data smaller than this can't hold kallsyms. */
	MIN_RODATA = 64 << 10,
};

/* Bytes of images that are searched at most, for the same reason. */
static const uint64_t max_searched = 1ULL << 30;

/* With page table isolation the user's half of a pair of top tables has this bit set. */
static const uint64_t pti_user_bit = 1ULL << 12;

struct attach {
	const struct ovm_memory *memory;
	const struct ovm_kernel_options *options;
	struct ovm_kernel *kernel;
	/* Start and phys_base of images that were rejected, so that no two vCPUs lead there. */
	struct {
		uint64_t start, phys_base;
	} rejected[MAX_REJECTED];
	size_t nr_rejected;
	unsigned int tables_left;
	uint64_t bytes_left;
	/* Why the most promising candidate failed. */
	struct ovm_error *err;
	bool err_from_image;
	struct ovm_image_map map;
};

static void cleanup_kernel(struct ovm_kernel **kernel)
{
	ovm_kernel_detach(*kernel);
}

/* Keep the error that says most; out of memory ends everything. */
static void keep_error(struct attach *attach, struct ovm_error *err, bool from_image)
{
	if (attach->err &&
	    (attach->err->code == OVM_ERROR_NO_MEMORY || (attach->err_from_image && !from_image))) {
		ovm_error_free(err);
		return;
	}
	ovm_error_free(attach->err);
	attach->err = err;
	attach->err_from_image = from_image;
}

static bool was_rejected(const struct attach *attach)
{
	for (size_t i = 0; i < attach->nr_rejected; i++) {
		if (attach->rejected[i].start == attach->map.start &&
		    attach->rejected[i].phys_base == attach->map.phys_base)
			return true;
	}
	return attach->nr_rejected == MAX_REJECTED;
}

/* Look for kallsyms in [@address, @address + @size) of the image. */
static struct ovm_error *search_symbols(struct attach *attach, struct ovm_kernel *kernel,
					uint64_t address, uint64_t size)
{
	const struct ovm_image_map *map = &attach->map;
	_cleanup_free_ uint8_t *data = NULL;

	if (size > OVM_KERNEL_MAX_IMAGE)
		size = OVM_KERNEL_MAX_IMAGE;
	if (size > attach->bytes_left)
		return ovm_error_format(OVM_ERROR_BUDGET,
					"too much looks like a kernel image and is none");
	attach->bytes_left -= size;
	data = malloc(size);
	if (!data)
		return ovm_error_no_memory();

	struct ovm_error *err =
		ovm_memory_read(kernel->memory, ovm_image_gpa(map, address), data, size);

	if (err)
		return ovm_error_prepend(err, "kernel image");

	struct ovm_kallsyms_image image = {
		.data = data, .size = size, .address = address, .text = map->start};

	return ovm_kallsyms_create(&image, &kernel->kallsyms);
}

/* kallsyms are read-only data; where the kernel doesn't protect that, they are anywhere. */
static struct ovm_error *load_symbols(struct attach *attach, struct ovm_kernel *kernel)
{
	const struct ovm_image_map *map = &attach->map;
	struct ovm_error *err;

	for (size_t i = 0; i < map->nr; i++) {
		const struct ovm_image_run *run = &map->runs[i];

		if (run->writable || !run->no_execute || run->size < MIN_RODATA)
			continue;
		err = search_symbols(attach, kernel, run->address, run->size);
		if (!err || err->code != OVM_ERROR_NOT_FOUND)
			return err;
		ovm_error_free(err);
	}
	return search_symbols(attach, kernel, map->start, map->end - map->start);
}

static struct ovm_error *kernel_create(const struct ovm_memory *memory, struct ovm_kernel **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return ovm_error_no_memory();
	(*ret)->memory = memory;
	return NULL;
}

/* Take the symbols from the cache. False when that did not work, for whatever reason. */
static bool identify_cached(struct attach *attach)
{
	_cleanup_(cleanup_kernel) struct ovm_kernel *kernel = NULL;
	const char *directory = attach->options->cache_dir;

	if (!directory)
		return false;

	struct ovm_error *err = kernel_create(attach->memory, &kernel);

	if (!err && ovm_kernel_cache_load(directory, &attach->map, kernel)) {
		err = ovm_kernel_verify(kernel, &attach->map);
		if (!err)
			attach->kernel = ovm_take_pointer(kernel);
	}
	ovm_error_free(err);
	return attach->kernel;
}

static struct ovm_error *identify(struct attach *attach)
{
	_cleanup_(cleanup_kernel) struct ovm_kernel *kernel = NULL;
	struct ovm_error *err = kernel_create(attach->memory, &kernel);

	if (!err)
		err = load_symbols(attach, kernel);
	if (!err)
		err = ovm_kernel_verify(kernel, &attach->map);
	if (err)
		return err;
	/* A cache that can't be written only costs time. */
	if (attach->options->cache_dir)
		ovm_error_free(
			ovm_kernel_cache_save(attach->options->cache_dir, &attach->map, kernel));
	attach->kernel = ovm_take_pointer(kernel);
	return NULL;
}

/* Try a page table; @inside is an address that the image must hold, unless 0. */
static bool try_table(struct attach *attach, uint64_t pgd_gpa, unsigned int levels, uint64_t inside)
{
	if (!attach->tables_left)
		return false;
	attach->tables_left--;

	struct ovm_error *err = ovm_image_map(attach->memory, pgd_gpa, levels, &attach->map);

	if (err) {
		keep_error(attach, err, false);
		return false;
	}
	if (was_rejected(attach))
		return false;
	if (inside && (inside < attach->map.start || inside >= attach->map.end)) {
		keep_error(attach,
			   ovm_error_address(OVM_ERROR_KERNEL, inside,
					     "the system call entry is outside of the kernel:"),
			   false);
		return false;
	}
	if (identify_cached(attach))
		return true;
	err = identify(attach);
	if (!err)
		return true;
	attach->rejected[attach->nr_rejected].start = attach->map.start;
	attach->rejected[attach->nr_rejected++].phys_base = attach->map.phys_base;
	keep_error(attach, err, true);
	return false;
}

/* The kernel's half first: the user's maps next to nothing of the kernel. */
static bool try_hint(struct attach *attach, const struct ovm_kernel_hint *hint)
{
	uint64_t table = hint->cr3 & OVM_PTE_ADDRESS_MASK;
	unsigned int levels = hint->cr4 & CR4_LA57 ? 5 : 4;

	for (unsigned int half = 0; half < 2; half++) {
		uint64_t root = half ? table : table & ~pti_user_bit;

		if (half && !(table & pti_user_bit))
			break;
		if (try_table(attach, root, levels, hint->lstar))
			return true;
		/* The number of levels is a guess when CR4 is unknown. */
		if (!hint->cr4 && try_table(attach, root, 5, hint->lstar))
			return true;
	}
	return false;
}

static bool try_note(void *arg, const struct ovm_vmcoreinfo *info)
{
	struct attach *attach = arg;

	if (!info->has_phys_base || !info->init_top_pgt)
		return true;

	uint64_t root = info->init_top_pgt - OVM_START_KERNEL_MAP + info->phys_base;

	return !try_table(attach, root & OVM_PTE_ADDRESS_MASK, info->five_levels ? 5 : 4, 0);
}

static struct ovm_error *not_found(struct attach *attach)
{
	struct ovm_error *err = attach->err;

	attach->err = NULL;
	if (!err)
		err = ovm_error_format(
			OVM_ERROR_KERNEL,
			"neither vCPUs nor RAM tell where it is; is the guest booted?");
	if (err->code == OVM_ERROR_FAULT || err->code == OVM_ERROR_CORRUPT ||
	    err->code == OVM_ERROR_NOT_FOUND)
		err->code = OVM_ERROR_KERNEL;
	return ovm_error_prepend(err, "no Linux kernel (x86-64) was found in the guest");
}

struct ovm_error *ovm_kernel_attach(const struct ovm_memory *memory,
				    const struct ovm_kernel_options *options,
				    struct ovm_kernel **ret)
{
	_cleanup_free_ struct attach *attach = calloc(1, sizeof(*attach));
	struct ovm_error *err = NULL;

	*ret = NULL;
	if (!attach)
		return ovm_error_no_memory();
	attach->memory = memory;
	attach->options = options;
	attach->tables_left = MAX_TABLES;
	attach->bytes_left = max_searched;
	for (size_t i = 0; i < options->nr_hints; i++) {
		if (options->hints[i].cr3 && try_hint(attach, &options->hints[i]))
			break;
	}
	if (!attach->kernel && !options->no_scan)
		err = ovm_kernel_scan(memory, try_note, attach);
	if (!attach->kernel && !err)
		return not_found(attach);
	ovm_error_free(attach->err);
	if (err)
		return err;
	*ret = attach->kernel;
	return NULL;
}
