// SPDX-License-Identifier: GPL-2.0-only
/* Symbols, translation and reading, once the kernel is known. */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "kernel_private.h"

enum {
	/* Pieces of physical memory that are read by one call. */
	NR_PIECES = 64,
};

void ovm_kernel_detach(struct ovm_kernel *kernel)
{
	if (!kernel)
		return;
	ovm_kallsyms_destroy(kernel->kallsyms);
	ovm_btf_destroy(kernel->btf);
	free(kernel->per_cpu_offsets);
	free(kernel->modules);
	free(kernel);
}

const struct ovm_kernel_info *ovm_kernel_info(const struct ovm_kernel *kernel)
{
	return &kernel->info;
}

bool ovm_kernel_symbol(const struct ovm_kernel *kernel, const char *name, uint64_t *ret)
{
	ssize_t i = ovm_kallsyms_find(kernel->kallsyms, name);

	if (i < 0)
		return false;
	*ret = kernel->kallsyms->addresses[i];
	return true;
}

static bool in_image(const struct ovm_kernel *kernel, uint64_t address)
{
	return address >= kernel->info.image_start && address < kernel->info.image_end;
}

const char *ovm_kernel_symbol_at(const struct ovm_kernel *kernel, uint64_t address,
				 uint64_t *offset)
{
	if (!in_image(kernel, address))
		return NULL;

	ssize_t i = ovm_kallsyms_find_address(kernel->kallsyms, address);

	if (i < 0 || !in_image(kernel, kernel->kallsyms->addresses[i]))
		return NULL;
	*offset = address - kernel->kallsyms->addresses[i];
	return ovm_kallsyms_name(kernel->kallsyms, (size_t)i);
}

bool ovm_kernel_per_cpu_offset(const struct ovm_kernel *kernel, unsigned int cpu, uint64_t *ret)
{
	if (cpu >= kernel->info.nr_cpu_ids)
		return false;
	*ret = kernel->per_cpu_offsets[cpu];
	return true;
}

static struct ovm_error *error_unmapped(uint64_t address)
{
	return ovm_error_address(OVM_ERROR_FAULT, address, "nothing is mapped at guest address");
}

/* Walk kernel->walk, which the caller has prepared. */
static struct ovm_error *walk(struct ovm_kernel *kernel, uint64_t address, uint64_t *ret,
			      uint64_t *run)
{
	struct ovm_mapping mapping;
	struct ovm_error *err = ovm_pagetable_lookup(&kernel->walk, address, &mapping);

	if (err)
		return err;
	if (!mapping.mapped)
		return error_unmapped(address);
	*ret = mapping.gpa;
	*run = mapping.size;
	return NULL;
}

static void begin_walk(struct ovm_kernel *kernel, uint64_t pgd_gpa)
{
	ovm_pagetable_init(&kernel->walk, kernel->memory, pgd_gpa, kernel->info.pgtable_levels,
			   kernel->info.sme_mask);
}

/* Physical address of a kernel address, and how far it goes on from there. */
static struct ovm_error *locate(struct ovm_kernel *kernel, uint64_t address, uint64_t *ret,
				uint64_t *run)
{
	const struct ovm_kernel_info *info = &kernel->info;

	if (in_image(kernel, address)) {
		*ret = address - OVM_START_KERNEL_MAP + info->phys_base;
		*run = info->image_end - address;
		return NULL;
	}
	/* Not known yet while the kernel is being verified. */
	if (info->page_offset_base && address >= info->page_offset_base &&
	    address < info->vmalloc_base) {
		*ret = address - info->page_offset_base;
		*run = info->vmalloc_base - address;
		return NULL;
	}
	return walk(kernel, address, ret, run);
}

/* Physical pieces of virtual reads, collected for one call. */
struct pieces {
	struct ovm_memory_read reads[NR_PIECES];
	uint64_t addresses[NR_PIECES];
	size_t nr;
};

static bool piece_holds(const struct ovm_memory_read *piece, uint64_t gpa)
{
	return gpa >= piece->gpa && gpa - piece->gpa < piece->len;
}

static struct ovm_error *flush(struct ovm_kernel *kernel, struct pieces *pieces)
{
	struct ovm_error *err = ovm_memory_read_batch(kernel->memory, pieces->reads, pieces->nr);

	/* The error names a physical address; the caller knows the virtual one. */
	for (size_t i = 0; err && err->code == OVM_ERROR_FAULT && i < pieces->nr; i++) {
		if (!piece_holds(&pieces->reads[i], err->address))
			continue;

		uint64_t address = pieces->addresses[i] + (err->address - pieces->reads[i].gpa);

		ovm_error_free(err);
		err = ovm_error_address(OVM_ERROR_FAULT, address, "no RAM is at guest address");
		break;
	}
	pieces->nr = 0;
	return err;
}

static struct ovm_error *add_piece(struct ovm_kernel *kernel, struct pieces *pieces,
				   uint64_t address, uint64_t gpa, void *buf, size_t len)
{
	pieces->reads[pieces->nr] = (struct ovm_memory_read){gpa, buf, len};
	pieces->addresses[pieces->nr++] = address;
	return pieces->nr == NR_PIECES ? flush(kernel, pieces) : NULL;
}

typedef struct ovm_error *locate_fn(struct ovm_kernel *kernel, uint64_t address, uint64_t *ret,
				    uint64_t *run);

static struct ovm_error *read_pieces(struct ovm_kernel *kernel, locate_fn *fn,
				     const struct ovm_kernel_read *reads, size_t nr)
{
	struct pieces pieces;
	struct ovm_error *err;

	pieces.nr = 0;
	for (size_t i = 0; i < nr; i++) {
		uint64_t address = reads[i].address;
		uint8_t *buf = reads[i].buf;
		size_t left = reads[i].len;

		while (left) {
			uint64_t gpa, run;

			err = fn(kernel, address, &gpa, &run);
			if (err)
				return err;

			size_t len = run < left ? run : left;

			err = add_piece(kernel, &pieces, address, gpa, buf, len);
			if (err)
				return err;
			address += len;
			buf += len;
			left -= len;
		}
	}
	return pieces.nr ? flush(kernel, &pieces) : NULL;
}

struct ovm_error *ovm_kernel_read_batch(struct ovm_kernel *kernel,
					const struct ovm_kernel_read *reads, size_t nr)
{
	begin_walk(kernel, kernel->info.pgd_gpa);
	return read_pieces(kernel, locate, reads, nr);
}

struct ovm_error *ovm_kernel_read(struct ovm_kernel *kernel, uint64_t address, void *buf,
				  size_t len)
{
	const struct ovm_kernel_read read = {address, buf, len};

	return ovm_kernel_read_batch(kernel, &read, 1);
}

struct ovm_error *ovm_kernel_read_user(struct ovm_kernel *kernel, uint64_t pgd_gpa,
				       uint64_t address, void *buf, size_t len)
{
	const struct ovm_kernel_read read = {address, buf, len};

	begin_walk(kernel, pgd_gpa);
	return read_pieces(kernel, walk, &read, 1);
}

const void *ovm_kernel_peek(struct ovm_kernel *kernel, uint64_t address, size_t len)
{
	uint64_t gpa, run;

	begin_walk(kernel, kernel->info.pgd_gpa);

	struct ovm_error *err = locate(kernel, address, &gpa, &run);

	if (err) {
		ovm_error_free(err);
		return NULL;
	}
	return len <= run ? ovm_memory_peek(kernel->memory, gpa, len) : NULL;
}

struct ovm_error *ovm_kernel_translate(struct ovm_kernel *kernel, uint64_t address, uint64_t *ret)
{
	uint64_t run;

	begin_walk(kernel, kernel->info.pgd_gpa);
	return locate(kernel, address, ret, &run);
}

struct ovm_error *ovm_kernel_translate_in(struct ovm_kernel *kernel, uint64_t pgd_gpa,
					  uint64_t address, uint64_t *ret, uint64_t *run)
{
	uint64_t unused;

	begin_walk(kernel, pgd_gpa);
	return walk(kernel, address, ret, run ?: &unused);
}
