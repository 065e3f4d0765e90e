// SPDX-License-Identifier: GPL-2.0-only
/*
 * Last resort when no vCPU tells where the kernel is: look at the beginning of
 * each page of RAM for the VMCOREINFO note, which has a page to itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernel_private.h"

enum {
	/* Pages whose beginnings are read by one call. */
	BATCH_PAGES = 256,
	/* Notes that are looked at: a guest may plant any number of them. */
	MAX_NOTES = 64,
};

struct scan {
	const struct ovm_memory *memory;
	ovm_note_fn *fn;
	void *arg;
	unsigned int notes;
	bool done;
	/* Of the process whose memory is scanned, or -1. */
	int pagemap;
	bool present[BATCH_PAGES];
	uint8_t heads[BATCH_PAGES][OVM_VMCOREINFO_HEADER];
	struct ovm_memory_read reads[BATCH_PAGES];
};

/* First page of the range at or behind @offset that is no hole of the RAM file; its size if none.
 */
static uint64_t skip_hole(const struct ovm_ram_range *range, uint64_t offset)
{
	if (range->kind == OVM_RAM_PROCESS)
		return offset;

	off_t data = lseek(range->fd, (off_t)(range->file_offset + offset), SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? range->size : offset;
	data -= (off_t)range->file_offset;
	return (uint64_t)data < range->size ? (uint64_t)data & ~(OVM_PAGE_SIZE - 1) : range->size;
}

static void visit_note(struct scan *scan, uint64_t gpa)
{
	uint8_t page[OVM_PAGE_SIZE];
	struct ovm_vmcoreinfo info;
	size_t len;
	struct ovm_error *err = ovm_memory_read(scan->memory, gpa, page, sizeof(page));

	if (err) {
		ovm_error_free(err);
		return;
	}

	const char *text = ovm_vmcoreinfo_note(page, sizeof(page), &len);

	if (!text || !ovm_vmcoreinfo_parse(text, len, &info))
		return;
	scan->done = ++scan->notes == MAX_NOTES || !scan->fn(scan->arg, &info);
}

/*
 * Tell which of the pages another process has at all: reading one that it never touched would map
 * it there. An entry of pagemap has bit 63 or 62 set for a page in memory or swap
 * (Documentation/admin-guide/mm/pagemap.rst).
 */
static void find_present(struct scan *scan, const struct ovm_ram_range *range, uint64_t offset,
			 size_t nr)
{
	uint64_t entries[BATCH_PAGES];
	off_t at = (off_t)((range->vmm_address + offset) / OVM_PAGE_SIZE * sizeof(entries[0]));
	ssize_t wanted = (ssize_t)(nr * sizeof(entries[0]));

	memset(scan->present, true, nr);
	if (scan->pagemap < 0 || pread(scan->pagemap, entries, (size_t)wanted, at) != wanted)
		return;
	for (size_t i = 0; i < nr; i++)
		scan->present[i] = entries[i] >> 62;
}

static struct ovm_error *scan_pages(struct scan *scan, const struct ovm_ram_range *range,
				    uint64_t offset, size_t nr_pages)
{
	size_t nr = 0;

	find_present(scan, range, offset, nr_pages);
	for (size_t i = 0; i < nr_pages; i++) {
		if (scan->present[i])
			scan->reads[nr] =
				(struct ovm_memory_read){range->gpa + offset + i * OVM_PAGE_SIZE,
							 scan->heads[nr], OVM_VMCOREINFO_HEADER};
		nr += scan->present[i];
	}

	struct ovm_error *err = ovm_memory_read_batch(scan->memory, scan->reads, nr);

	for (size_t i = 0; !err && i < nr && !scan->done; i++) {
		if (ovm_vmcoreinfo_is_header(scan->heads[i], OVM_VMCOREINFO_HEADER))
			visit_note(scan, scan->reads[i].gpa);
	}
	return err;
}

static struct ovm_error *scan_range(struct scan *scan, const struct ovm_ram_range *range)
{
	const uint64_t step = BATCH_PAGES * OVM_PAGE_SIZE;
	_cleanup_close_ int pagemap = -1;
	char path[64];

	if (range->kind == OVM_RAM_PROCESS) {
		snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)range->vmm_pid);
		pagemap = open(path, O_RDONLY | O_CLOEXEC);
	}
	scan->pagemap = pagemap;
	for (uint64_t offset = 0; !scan->done;) {
		offset = skip_hole(range, offset);
		if (offset >= range->size)
			break;

		uint64_t left = range->size - offset;
		size_t nr = (left < step ? left : step) / OVM_PAGE_SIZE;
		struct ovm_error *err = scan_pages(scan, range, offset, nr);

		if (err)
			return err;
		offset += nr * OVM_PAGE_SIZE;
	}
	return NULL;
}

struct ovm_error *ovm_kernel_scan(const struct ovm_memory *memory, ovm_note_fn *fn, void *arg)
{
	_cleanup_free_ struct scan *scan = calloc(1, sizeof(*scan));
	const struct ovm_ram_range *ranges;
	size_t nr = ovm_memory_ranges(memory, &ranges);

	if (!scan)
		return ovm_error_no_memory();
	scan->memory = memory;
	scan->fn = fn;
	scan->arg = arg;
	for (size_t i = 0; i < nr && !scan->done; i++) {
		struct ovm_error *err = scan_range(scan, &ranges[i]);

		if (err)
			return err;
	}
	return NULL;
}
