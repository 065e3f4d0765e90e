// SPDX-License-Identifier: GPL-2.0-only
/* Where a device finds the guest kernel's page descriptors. */
#include <stdlib.h>
#include <string.h>

#include "../vmi/cleanup.h"
#include "cuda.h"
#include "vmemmap.h"

enum {
	CHUNK_SIZE = 1 << OVM_DEVICE_CHUNK_SHIFT,
	/* Pages that are copied to the device, because it can't read them in place: 256 MiB. */
	MAX_COPIES = 1 << 16,
	/* Pages that are looked up one by one, where the kernel doesn't map them by 2 MiB. */
	MAX_PAGES = 1 << 21,
	/* Copies, how many at a time. */
	BATCH = 256,
};

struct finder {
	struct ovm_cuda *cuda;
	const struct ovm_memory *memory;
	struct ovm_vmemmap *vmemmap;
	uint64_t *chunks;
	/* By page, for the chunks that are in pieces. */
	uint64_t *pages;
	size_t nr_pages, max_pages;
	/* What has to be copied: where in pages, and from where in RAM. */
	struct copy {
		size_t page;
		uint64_t gpa;
	} *copies;
	size_t nr_copies, max_copies;
};

static struct ovm_error *grow(void *array, size_t nr, size_t *max, size_t size)
{
	size_t want = *max * 2 > nr ? *max * 2 : nr;
	void *grown;

	if (nr <= *max)
		return NULL;
	grown = reallocarray(*(void **)array, want, size);
	if (!grown)
		return ovm_error_no_memory();
	*(void **)array = grown;
	*max = want;
	return NULL;
}

/* How the device reads a page of RAM; 0 if it does not. */
static uint64_t find_page(const struct finder *finder, uint64_t gpa)
{
	const uint8_t *device;

	ovm_mapping_find(finder->cuda->mapping, gpa, OVM_PAGE_SIZE, &device);
	return (uint64_t)(uintptr_t)device;
}

/* Whether there is RAM at @gpa; what else goes wrong is the host's affair. */
static struct ovm_error *find_ram(const struct finder *finder, uint64_t gpa, bool *ret)
{
	uint64_t word;
	struct ovm_error *err = ovm_memory_read(finder->memory, gpa, &word, sizeof(word));

	*ret = !err;
	if (!err || err->code != OVM_ERROR_FAULT)
		return err;
	ovm_error_free(err);
	return NULL;
}

/* Find each page of a chunk by itself. */
static struct ovm_error *find_pieces(struct finder *finder, size_t chunk, uint64_t va)
{
	size_t first = finder->nr_pages;
	struct ovm_error *err = grow(&finder->pages, first + OVM_DEVICE_CHUNK_PAGES,
				     &finder->max_pages, sizeof(*finder->pages));

	if (!err)
		err = grow(&finder->copies, finder->nr_copies + OVM_DEVICE_CHUNK_PAGES,
			   &finder->max_copies, sizeof(*finder->copies));
	if (err)
		return err;
	finder->nr_pages += OVM_DEVICE_CHUNK_PAGES;
	finder->chunks[chunk] = (uint64_t)first << 1 | 1;
	for (size_t i = 0; i < OVM_DEVICE_CHUNK_PAGES; i++) {
		uint64_t gpa = 0;
		unsigned int shift;
		bool there = ovm_vmemmap_translate(finder->vmemmap, va + i * OVM_PAGE_SIZE, &gpa,
						   &shift);

		finder->pages[first + i] = there ? find_page(finder, gpa) : 0;
		if (there && !finder->pages[first + i]) {
			err = find_ram(finder, gpa, &there);
			if (err)
				return err;
		}
		if (there && !finder->pages[first + i]) {
			finder->copies[finder->nr_copies].page = first + i;
			finder->copies[finder->nr_copies++].gpa = gpa;
		}
	}
	if (finder->nr_copies > MAX_COPIES || finder->nr_pages > MAX_PAGES)
		return ovm_error_format(OVM_ERROR_BUDGET,
					"too much of the guest's RAM is not mapped into the GPU");
	return NULL;
}

static struct ovm_error *find_chunk(struct finder *finder, size_t chunk, uint64_t va)
{
	const uint8_t *device = NULL;
	uint64_t gpa;
	unsigned int shift;

	if (ovm_vmemmap_translate(finder->vmemmap, va, &gpa, &shift) &&
	    shift >= OVM_DEVICE_CHUNK_SHIFT &&
	    ovm_mapping_find(finder->cuda->mapping, gpa, CHUNK_SIZE, &device) == CHUNK_SIZE &&
	    device) {
		finder->chunks[chunk] = (uint64_t)(uintptr_t)device;
		return NULL;
	}
	return find_pieces(finder, chunk, va);
}

/* Copy the pages that the device can't read in place. */
static struct ovm_error *copy_pages(struct finder *finder)
{
	struct ovm_cuda *cuda = finder->cuda;
	struct ovm_error *err = ovm_cuda_reserve(cuda, OVM_CUDA_VMEMMAP_COPIES,
						 finder->nr_copies << OVM_PAGE_SHIFT, 0);
	uint8_t *to = cuda->buffers[OVM_CUDA_VMEMMAP_COPIES].data;

	_cleanup_free_ uint8_t *pages = NULL;

	if (err || !finder->nr_copies)
		return err;
	pages = malloc((size_t)BATCH << OVM_PAGE_SHIFT);
	if (!pages)
		return ovm_error_no_memory();
	for (size_t i = 0; i < finder->nr_copies && !err; i += BATCH) {
		size_t left = finder->nr_copies - i, nr = left < BATCH ? left : BATCH;
		struct ovm_memory_read reads[BATCH];

		for (size_t j = 0; j < nr; j++) {
			reads[j].gpa = finder->copies[i + j].gpa;
			reads[j].buf = pages + (j << OVM_PAGE_SHIFT);
			reads[j].len = OVM_PAGE_SIZE;
			finder->pages[finder->copies[i + j].page] =
				(uint64_t)(uintptr_t)(to + ((i + j) << OVM_PAGE_SHIFT));
		}
		err = ovm_memory_read_batch(finder->memory, reads, nr);
		if (!err)
			err = ovm_cuda_upload(cuda, to + (i << OVM_PAGE_SHIFT), pages,
					      nr << OVM_PAGE_SHIFT);
	}
	return err;
}

static struct ovm_error *upload(struct finder *finder, uint64_t nr, struct ovm_device_vmemmap *ret)
{
	struct ovm_cuda *cuda = finder->cuda;
	struct ovm_error *err = copy_pages(finder);

	if (!err)
		err = ovm_cuda_reserve(cuda, OVM_CUDA_VMEMMAP, nr * sizeof(*finder->chunks), 0);
	if (!err)
		err = ovm_cuda_reserve(cuda, OVM_CUDA_VMEMMAP_PAGES,
				       finder->nr_pages * sizeof(*finder->pages), 0);
	ret->chunks = cuda->buffers[OVM_CUDA_VMEMMAP].data;
	ret->pages = cuda->buffers[OVM_CUDA_VMEMMAP_PAGES].data;
	if (!err)
		err = ovm_cuda_upload(cuda, cuda->buffers[OVM_CUDA_VMEMMAP].data, finder->chunks,
				      nr * sizeof(*finder->chunks));
	if (!err)
		err = ovm_cuda_upload(cuda, cuda->buffers[OVM_CUDA_VMEMMAP_PAGES].data,
				      finder->pages, finder->nr_pages * sizeof(*finder->pages));
	return err;
}

struct ovm_error *ovm_cuda_find_vmemmap(struct ovm_cuda *cuda, const struct ovm_memory *memory,
					const struct ovm_walk *walk,
					const struct ovm_walk_request *request,
					struct ovm_device_vmemmap *ret)
{
	struct finder finder = {.cuda = cuda, .memory = memory};
	uint64_t last;
	struct ovm_error *err;

	memset(ret, 0, sizeof(*ret));
	if (!request->page)
		return NULL;
	last = walk->vmemmap_base + walk->vmemmap_size - 1;
	ret->first = walk->vmemmap_base >> OVM_DEVICE_CHUNK_SHIFT;
	ret->nr = (last >> OVM_DEVICE_CHUNK_SHIFT) - ret->first + 1;
	finder.chunks = calloc(ret->nr, sizeof(*finder.chunks));
	err = finder.chunks ? ovm_vmemmap_create(memory, &walk->format, request->page->kernel_pgd,
						 request->levels, &finder.vmemmap)
			    : ovm_error_no_memory();
	for (uint64_t i = 0; i < ret->nr && !err; i++)
		err = request->cancelled && request->cancelled(request->arg)
			      ? ovm_error_format(OVM_ERROR_CANCELLED, "stopped on request")
			      : find_chunk(&finder, i, (ret->first + i) << OVM_DEVICE_CHUNK_SHIFT);
	if (!err && finder.vmemmap->err)
		err = ovm_error_prepend(ovm_take_pointer(finder.vmemmap->err),
					"can't read the guest's page descriptors");
	if (!err)
		err = upload(&finder, ret->nr, ret);
	ovm_vmemmap_destroy(finder.vmemmap);
	free(finder.chunks);
	free(finder.pages);
	free(finder.copies);
	return err;
}
