// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packing compared: what became of each page, what can be read back of those that were kept, hashes
 * and duplicates. Compressed bytes may differ.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "unpack.h"

enum {
	MAX_PACKED_PAGES = 1500,
	MAX_EXTENTS = 64,
	/* In front of what is packed, and behind it for padding. */
	MAX_BASE = 3 * OVM_PAGE_SIZE,
	SINK_SIZE = MAX_BASE + 3 * MAX_PACKED_PAGES * OVM_PAGE_SIZE,
	LEFT_OUT = 0x5a,
};

/* What a back end made of a request. */
struct packed {
	struct ovm_pack_result *result;
	struct ovm_page_hashes *hashes;
	uint8_t *sink;
	uint8_t *pages;
	uint8_t states[MAX_PACKED_PAGES];
};

struct pack {
	struct ovm_copy_run copies[MAX_PACKED_PAGES];
	struct ovm_pack_extent extents[MAX_EXTENTS];
	struct ovm_pack_request request;
	uint64_t nr_pages;
	struct packed cpu, other;
};

/* The first pages of those that were found. */
static void take_pages(struct pack *pack, const struct ovm_copy_run *copies, size_t nr,
		       uint64_t most)
{
	size_t n = 0;

	for (; n < nr && pack->nr_pages < most; n++) {
		uint64_t left = most - pack->nr_pages;

		pack->copies[n] = copies[n];
		if (pack->copies[n].nr_pages > left)
			pack->copies[n].nr_pages = left;
		pack->copies[n].offset = pack->nr_pages << OVM_PAGE_SHIFT;
		pack->nr_pages += pack->copies[n].nr_pages;
	}
	pack->request.copies = pack->copies;
	pack->request.nr_copies = n;
}

static void make_extents(struct test *t, struct pack *pack)
{
	uint64_t page = 0;
	size_t nr = 0;

	while (page < pack->nr_pages) {
		struct ovm_pack_extent *extent = &pack->extents[nr++];
		uint64_t left = pack->nr_pages - page;

		memset(extent, 0, sizeof(*extent));
		extent->nr_pages = nr == MAX_EXTENTS ? left : 1 + made_random(t->guest, left);
		extent->ops = (uint32_t)made_random(t->guest, OVM_PACK_ALL + 1);
		extent->parent = page;
		if (made_random(t->guest, 4) == 0)
			extent->parent = OVM_PACK_NO_PARENT;
		if (!pack->request.parent) {
			extent->parent = OVM_PACK_NO_PARENT;
			extent->ops &= ~(uint32_t)OVM_PACK_DROP_UNCHANGED;
		}
		page += extent->nr_pages;
	}
	pack->request.extents = pack->extents;
	pack->request.nr_extents = nr;
}

static void choose_request(struct test *t, struct pack *pack)
{
	static const uint32_t blocks[] = {0, 1, 2, 16, 64, 100, 1024};
	struct ovm_pack_request *request = &pack->request;

	request->size = sizeof(*request);
	request->base = made_random(t->guest, MAX_BASE);
	request->block_pages = blocks[made_random(t->guest, 7)];
	request->acceleration = (uint32_t)made_random(t->guest, 9);
	request->align = made_random(t->guest, 2);
	request->find_duplicates = made_random(t->guest, 2);
	make_extents(t, pack);
}

static struct ovm_error *pack_on(struct ovm_engine *engine, const struct pack *pack,
				 struct packed *packed)
{
	struct ovm_pack_request request = pack->request;
	struct ovm_error *err;

	ovm_pack_result_free(packed->result);
	packed->result = NULL;
	memset(packed->sink, LEFT_OUT, SINK_SIZE);
	memset(packed->hashes->hashes, LEFT_OUT, pack->nr_pages * sizeof(struct ovm_page_hash));
	request.hashes = packed->hashes;
	err = ovm_page_sink_create_buffer(packed->sink, SINK_SIZE, &request.sink);
	if (!err) {
		err = ovm_engine_pack(engine, &request, &packed->result);
		ovm_page_sink_destroy(request.sink);
	}
	return err;
}

static struct ovm_error *unpack_all(const struct pack *pack, struct packed *packed)
{
	memset(packed->pages, LEFT_OUT, pack->nr_pages << OVM_PAGE_SHIFT);
	memset(packed->states, 0, sizeof(packed->states));
	return unpack(&pack->request, packed->result, packed->sink, SINK_SIZE, packed->pages,
		      packed->states, pack->nr_pages);
}

static bool same_pages(struct test *t, const struct pack *pack)
{
	const struct packed *cpu = &pack->cpu, *other = &pack->other;

	for (uint64_t i = 0; i < pack->nr_pages; i++) {
		uint64_t at = i << OVM_PAGE_SHIFT;

		if (cpu->states[i] != other->states[i])
			return fail(t, "pack: page %" PRIu64 ": state %u, other %u", i,
				    cpu->states[i], other->states[i]);
		if (memcmp(cpu->pages + at, other->pages + at, OVM_PAGE_SIZE))
			return fail(t, "pack: page %" PRIu64 " differs", i);
		if (memcmp(&cpu->hashes->hashes[i], &other->hashes->hashes[i],
			   sizeof(struct ovm_page_hash)))
			return fail(t, "pack: the hash of page %" PRIu64 " differs", i);
		t->tally->left_out += cpu->states[i] != UNPACKED_KEPT;
	}
	return true;
}

static bool same_duplicates(struct test *t, const struct ovm_pack_result *cpu,
			    const struct ovm_pack_result *other)
{
	for (size_t i = 0; i < cpu->nr_duplicates && i < other->nr_duplicates; i++) {
		if (cpu->duplicates[i].page != other->duplicates[i].page ||
		    cpu->duplicates[i].of != other->duplicates[i].of)
			return fail(t, "pack: duplicate %zu differs", i);
	}
	if (cpu->nr_duplicates != other->nr_duplicates)
		return fail(t, "pack: %zu duplicates, other %zu", cpu->nr_duplicates,
			    other->nr_duplicates);
	t->tally->duplicates += cpu->nr_duplicates;
	return true;
}

/* What was kept has to be what is in RAM, not just the same twice. */
static bool pages_are_right(struct test *t, const struct pack *pack)
{
	for (size_t i = 0; i < pack->request.nr_copies; i++) {
		const struct ovm_copy_run *run = &pack->copies[i];
		uint64_t first = run->offset >> OVM_PAGE_SHIFT;

		for (uint64_t page = 0; page < run->nr_pages; page++) {
			uint8_t there[OVM_PAGE_SIZE];
			struct ovm_error *err = ovm_memory_read(t->guest->memory,
								run->gpa + (page << OVM_PAGE_SHIFT),
								there, OVM_PAGE_SIZE);
			bool good = !err;

			ovm_error_free(err);
			if (good && pack->other.states[first + page] == UNPACKED_KEPT)
				good = !memcmp(pack->other.pages +
						       ((first + page) << OVM_PAGE_SHIFT),
					       there, OVM_PAGE_SIZE);
			if (!good)
				return fail(t, "pack: page %" PRIu64 " is not what is in RAM",
					    first + page);
		}
	}
	return true;
}

static bool compare_request(struct test *t, struct pack *pack)
{
	struct ovm_error *cpu, *other;
	bool both;

	choose_request(t, pack);
	cpu = pack_on(t->cpu, pack, &pack->cpu);
	other = pack_on(t->other, pack, &pack->other);
	if (!same_errors(t, "pack", cpu, other, &both) || both)
		return !both ? false : fail(t, "pack: neither can");
	t->tally->packs++;
	t->tally->packed_pages += pack->nr_pages;
	t->tally->packed_bytes += pack->other.result->bytes;
	if (!same_errors(t, "unpack", unpack_all(pack, &pack->cpu), unpack_all(pack, &pack->other),
			 &both) ||
	    both)
		return !both ? false : fail(t, "pack: neither result can be read");
	return same_pages(t, pack) && same_duplicates(t, pack->cpu.result, pack->other.result) &&
	       pages_are_right(t, pack);
}

/* A parent that has some of the pages as they are. */
static struct ovm_error *make_parent(struct test *t, const struct ovm_page_hashes *hashes,
				     struct ovm_page_hashes **ret)
{
	struct ovm_error *err = ovm_page_hashes_create(hashes, hashes->nr, ret);

	for (uint64_t i = 0; !err && i < hashes->nr; i++) {
		(*ret)->hashes[i] = hashes->hashes[i];
		if (made_random(t->guest, 3) == 0)
			(*ret)->hashes[i].word[made_random(t->guest, 2)] ^=
				UINT64_C(1) << made_random(t->guest, 64);
	}
	return err;
}

static struct ovm_error *pack_init(struct test *t, struct pack *pack)
{
	struct ovm_error *err = ovm_page_hashes_create(NULL, pack->nr_pages, &pack->cpu.hashes);

	/* The same key, so that hashes can be compared. */
	if (!err)
		err = ovm_page_hashes_create(pack->cpu.hashes, pack->nr_pages, &pack->other.hashes);
	pack->cpu.sink = malloc(SINK_SIZE);
	pack->other.sink = malloc(SINK_SIZE);
	pack->cpu.pages = t->cpu_pages;
	pack->other.pages = t->other_pages;
	if (!err && (!pack->cpu.sink || !pack->other.sink))
		err = ovm_error_no_memory();
	return err;
}

static void pack_free(struct pack *pack)
{
	ovm_pack_result_free(pack->cpu.result);
	ovm_pack_result_free(pack->other.result);
	ovm_page_hashes_free(pack->cpu.hashes);
	ovm_page_hashes_free(pack->other.hashes);
	free(pack->cpu.sink);
	free(pack->other.sink);
	free(pack);
}

bool compare_pack(struct test *t, const struct ovm_copy_run *copies, size_t nr)
{
	uint64_t most = 1 + made_random(t->guest, t->options->small ? 100 : MAX_PACKED_PAGES);
	struct pack *pack = calloc(1, sizeof(*pack));
	struct ovm_page_hashes *parent = NULL;
	struct ovm_error *err;
	bool good = true;

	if (!pack)
		return fail(t, "pack: out of memory");
	take_pages(pack, copies, nr, most);
	if (!pack->nr_pages) {
		free(pack);
		return true;
	}
	err = pack_init(t, pack);
	if (!err) {
		good = compare_request(t, pack);
		err = make_parent(t, pack->cpu.hashes, &parent);
	}
	if (!err && good) {
		pack->request.parent = parent;
		good = compare_request(t, pack);
	}
	if (err)
		good = fail(t, "pack: %s", err->message);
	ovm_error_free(err);
	ovm_page_hashes_free(parent);
	pack_free(pack);
	return good;
}
