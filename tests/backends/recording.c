// SPDX-License-Identifier: GPL-2.0-only
#include "recording.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	/* More of anything is no recording. */
	MAX_NUMBER = 1 << 24,
};

uint64_t recording_digest(uint64_t digest, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	digest ^= UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = 0;

		memcpy(&word, bytes + i, size - i < 8 ? size - i : 8);
		digest = (digest ^ word) * UINT64_C(0x100000001b3);
		digest ^= digest >> 32;
	}
	return digest;
}

uint64_t recording_digest_walk(struct ovm_walk_result *const *results, size_t nr)
{
	uint64_t digest = 0;

	for (size_t i = 0; i < nr; i++) {
		digest = recording_digest(digest, results[i]->runs,
					  results[i]->nr_runs * sizeof(struct ovm_run));
		digest = recording_digest(digest, results[i]->pages, sizeof(results[i]->pages));
		digest = recording_digest(digest, &results[i]->prot_none_pages, 8);
		digest = recording_digest(digest, &results[i]->tables, 8);
	}
	return digest;
}

uint64_t recording_copies_size(const struct ovm_copy_run *copies, size_t nr)
{
	uint64_t size = 0;

	for (size_t i = 0; i < nr; i++) {
		uint64_t end = copies[i].offset + (copies[i].nr_pages << OVM_PAGE_SHIFT);

		if (end > size)
			size = end;
	}
	return size;
}

static void *copy_of(const void *data, size_t size)
{
	void *copy = malloc(size ? size : 1);

	if (copy && size)
		memcpy(copy, data, size);
	return copy;
}

static struct recorded_op *add_op(struct recording *recording, enum recorded_kind kind, size_t nr,
				  uint64_t digest)
{
	struct recorded_op *ops = realloc(recording->ops, (recording->nr_ops + 1) * sizeof(*ops));

	if (!ops)
		return NULL;
	recording->ops = ops;
	ops += recording->nr_ops++;
	memset(ops, 0, sizeof(*ops));
	ops->kind = kind;
	ops->nr = nr;
	ops->digest = digest;
	return ops;
}

bool recording_add_walk(struct recording *recording, const struct ovm_walk_request *requests,
			size_t nr, uint64_t digest)
{
	struct recorded_op *op = add_op(recording, RECORDED_WALK, nr, digest);
	bool good = op && (op->requests = copy_of(requests, nr * sizeof(*requests)));

	for (size_t i = 0; i < nr && good; i++) {
		struct ovm_walk_request *request = &op->requests[i];

		request->ranges =
			copy_of(request->ranges, request->nr_ranges * sizeof(*request->ranges));
		request->zero_pages = copy_of(
			request->zero_pages, request->nr_zero_pages * sizeof(*request->zero_pages));
		if (request->page)
			request->page = copy_of(request->page, sizeof(*request->page));
		request->cancelled = NULL;
		request->arg = NULL;
		good = request->ranges && request->zero_pages;
	}
	return good;
}

bool recording_add_copy(struct recording *recording, const struct ovm_copy_run *copies, size_t nr,
			uint64_t digest)
{
	struct recorded_op *op = add_op(recording, RECORDED_COPY, nr, digest);

	return op && (op->copies = copy_of(copies, nr * sizeof(*copies)));
}

void recording_put(FILE *file, uint64_t value)
{
	fwrite(&value, sizeof(value), 1, file);
}

/* All numbers of a request, in this order; then its zero pages and ranges, two words each. */
static void put_request(const struct ovm_walk_request *request, FILE *file)
{
	const struct ovm_page_layout none = {0}, *page = request->page ? request->page : &none;

	recording_put(file, request->pgd);
	recording_put(file, request->levels);
	recording_put(file, request->phys_bits);
	recording_put(file, request->sme_mask);
	recording_put(file, request->nr_swap_types);
	recording_put(file, request->migration_types);
	recording_put(file, request->marker_types);
	recording_put(file, page->kernel_pgd);
	recording_put(file, page->vmemmap_base);
	recording_put(file, page->page_size);
	recording_put(file, page->mapping_offset);
	recording_put(file, page->compound_head_offset);
	recording_put(file, request->nr_zero_pages);
	recording_put(file, request->nr_ranges);
	for (size_t i = 0; i < request->nr_zero_pages; i++) {
		recording_put(file, request->zero_pages[i].gpa);
		recording_put(file, request->zero_pages[i].size);
	}
	for (size_t i = 0; i < request->nr_ranges; i++) {
		recording_put(file, request->ranges[i].start);
		recording_put(file, request->ranges[i].end);
		recording_put(file, request->ranges[i].kinds);
		recording_put(file, request->ranges[i].flags);
	}
}

void recording_write(const struct recording *recording, FILE *file)
{
	recording_put(file, RECORDING_MAGIC);
	recording_put(file, recording->nr_ranges);
	for (size_t i = 0; i < recording->nr_ranges; i++) {
		recording_put(file, recording->ranges[i].gpa);
		recording_put(file, recording->ranges[i].size);
		recording_put(file, recording->ranges[i].file_offset);
	}
	recording_put(file, recording->nr_ops);
	for (size_t i = 0; i < recording->nr_ops; i++) {
		const struct recorded_op *op = &recording->ops[i];

		recording_put(file, op->kind);
		recording_put(file, op->nr);
		for (size_t j = 0; j < op->nr && op->kind == RECORDED_WALK; j++)
			put_request(&op->requests[j], file);
		for (size_t j = 0; j < op->nr && op->kind == RECORDED_COPY; j++) {
			recording_put(file, op->copies[j].gpa);
			recording_put(file, op->copies[j].nr_pages);
			recording_put(file, op->copies[j].offset);
		}
		recording_put(file, op->digest);
	}
}

/* ---- reading --------------------------------------------------------------------------------- */

struct input {
	FILE *file;
	bool bad;
};

static uint64_t get(struct input *in)
{
	uint64_t value = 0;

	if (fread(&value, sizeof(value), 1, in->file) != 1)
		in->bad = true;
	return value;
}

static size_t get_number(struct input *in)
{
	uint64_t value = get(in);

	if (value > MAX_NUMBER)
		in->bad = true;
	return in->bad ? 0 : (size_t)value;
}

static void *get_array(struct input *in, size_t nr, size_t size)
{
	void *array = calloc(nr ? nr : 1, size);

	in->bad |= !array;
	return array;
}

static void get_request(struct input *in, struct ovm_walk_request *request)
{
	struct ovm_page_layout *page = get_array(in, 1, sizeof(*page));
	struct ovm_gpa_range *zero;
	struct ovm_walk_range *ranges;

	request->size = sizeof(*request);
	request->page = page;
	if (!page)
		return;
	request->pgd = get(in);
	request->levels = (unsigned int)get(in);
	request->phys_bits = (unsigned int)get(in);
	request->sme_mask = get(in);
	request->nr_swap_types = (unsigned int)get(in);
	request->migration_types = (uint32_t)get(in);
	request->marker_types = (uint32_t)get(in);
	page->kernel_pgd = get(in);
	page->vmemmap_base = get(in);
	page->page_size = (uint32_t)get(in);
	page->mapping_offset = (uint32_t)get(in);
	page->compound_head_offset = (uint32_t)get(in);
	request->nr_zero_pages = get_number(in);
	request->nr_ranges = get_number(in);
	request->zero_pages = zero = get_array(in, request->nr_zero_pages, sizeof(*zero));
	request->ranges = ranges = get_array(in, request->nr_ranges, sizeof(*ranges));
	for (size_t i = 0; !in->bad && i < request->nr_zero_pages; i++) {
		zero[i].gpa = get(in);
		zero[i].size = get(in);
	}
	for (size_t i = 0; !in->bad && i < request->nr_ranges; i++) {
		ranges[i].start = get(in);
		ranges[i].end = get(in);
		ranges[i].kinds = (uint32_t)get(in);
		ranges[i].flags = (uint32_t)get(in);
	}
	if (!page->page_size) {
		free(page);
		request->page = NULL;
	}
}

static void get_op(struct input *in, struct recorded_op *op)
{
	op->kind = get(in);
	op->nr = get_number(in);
	if (op->kind == RECORDED_WALK) {
		op->requests = get_array(in, op->nr, sizeof(*op->requests));
		for (size_t i = 0; !in->bad && i < op->nr; i++)
			get_request(in, &op->requests[i]);
	} else if (op->kind == RECORDED_COPY) {
		op->copies = get_array(in, op->nr, sizeof(*op->copies));
		for (size_t i = 0; !in->bad && i < op->nr; i++) {
			op->copies[i].gpa = get(in);
			op->copies[i].nr_pages = get(in);
			op->copies[i].offset = get(in);
		}
	} else {
		in->bad = true;
	}
	op->digest = get(in);
}

static void get_pages(struct input *in, struct recording *recording)
{
	uint8_t page[OVM_PAGE_SIZE];

	recording->nr_pages = get_number(in);
	for (uint64_t i = 0; !in->bad && i < recording->nr_pages; i++) {
		uint64_t offset = get(in);

		if (fread(page, sizeof(page), 1, in->file) != 1 ||
		    pwrite(recording->fd, page, sizeof(page), (off_t)offset) != sizeof(page))
			in->bad = true;
	}
}

static void get_all(struct input *in, struct recording *recording)
{
	uint64_t size = 0;

	in->bad = get(in) != RECORDING_MAGIC;
	recording->nr_ranges = get_number(in);
	in->bad |= recording->nr_ranges > RECORDING_MAX_RANGES;
	for (size_t i = 0; !in->bad && i < recording->nr_ranges; i++) {
		struct ovm_ram_range *range = &recording->ranges[i];

		range->kind = OVM_RAM_MAPPED;
		range->gpa = get(in);
		range->size = get(in);
		range->file_offset = get(in);
		if (range->file_offset + range->size > size)
			size = range->file_offset + range->size;
	}
	if (ftruncate(recording->fd, (off_t)size))
		in->bad = true;

	size_t nr = get_number(in);

	recording->ops = get_array(in, nr, sizeof(*recording->ops));
	for (size_t i = 0; !in->bad && i < nr; i++)
		get_op(in, &recording->ops[recording->nr_ops++]);
	if (!in->bad)
		get_pages(in, recording);
}

bool recording_read(const char *path, struct recording *recording)
{
	struct input in = {.file = fopen(path, "re")};

	memset(recording, 0, sizeof(*recording));
	recording->fd = memfd_create("recording", MFD_CLOEXEC);
	if (!in.file || recording->fd < 0) {
		fprintf(stderr, "can't open %s\n", path);
		in.bad = true;
	} else {
		get_all(&in, recording);
		if (in.bad)
			fprintf(stderr, "%s is not a recording, or not all of one\n", path);
	}
	if (in.file)
		fclose(in.file);
	if (in.bad)
		recording_deinit(recording);
	return !in.bad;
}

void recording_deinit(struct recording *recording)
{
	for (size_t i = 0; i < recording->nr_ops; i++) {
		struct recorded_op *op = &recording->ops[i];

		for (size_t j = 0; op->requests && j < op->nr; j++) {
			free((void *)(uintptr_t)op->requests[j].ranges);
			free((void *)(uintptr_t)op->requests[j].zero_pages);
			free((void *)(uintptr_t)op->requests[j].page);
		}
		free(op->requests);
		free(op->copies);
	}
	free(recording->ops);
	if (recording->fd >= 0)
		close(recording->fd);
	memset(recording, 0, sizeof(*recording));
	recording->fd = -1;
}
