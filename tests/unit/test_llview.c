// SPDX-License-Identifier: GPL-2.0-only
/* Extractors at run time: on a made-up guest, which tells the truth or doesn't. */
#include <stdlib.h>

#include "llview-pass/llview_abi.h"
#include "llview_guest.h"
#include "llview_model.h"
#include "test.h"
#include "vmi/cleanup.h"
#include "vmi/llview.h"

struct guest {
	_Alignas(4096) uint8_t memory[MODEL_MEMORY];
	bool peeks;
	unsigned int reads;
	struct ovm_btf *btf;
	struct ovm_llv *llv;
	struct ovm_llv_arena *arena;
	struct ovm_llv_budget budget;
};

static bool inside(uint64_t address, size_t len)
{
	return address >= MODEL_BASE && address - MODEL_BASE <= MODEL_MEMORY &&
	       len <= MODEL_MEMORY - (address - MODEL_BASE);
}

static const void *guest_peek(void *arg, uint64_t address, size_t len)
{
	struct guest *guest = arg;

	return guest->peeks && inside(address, len) ? guest->memory + (address - MODEL_BASE) : NULL;
}

static struct ovm_error *guest_read(void *arg, uint64_t address, void *buf, size_t len)
{
	struct guest *guest = arg;

	guest->reads++;
	if (!inside(address, len))
		return ovm_error_address(OVM_ERROR_FAULT, address, "not mapped");
	memcpy(buf, guest->memory + (address - MODEL_BASE), len);
	return NULL;
}

static bool guest_symbol(void *arg, const char *name, uint64_t *ret)
{
	static const struct {
		const char *name;
		uint64_t offset;
	} symbols[] = {
		{"first_thing", MODEL_THING},
		{"things", MODEL_THINGS},
		{"counter", MODEL_COUNTER},
		{"__per_cpu_offset", MODEL_PER_CPU_OFFSET},
	};

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		if (strcmp(symbols[i].name, name))
			continue;
		*ret = MODEL_BASE + symbols[i].offset;
		return true;
	}
	return false;
}

static void put(struct guest *guest, uint64_t offset, uint64_t value, size_t size)
{
	memcpy(guest->memory + offset, &value, size);
}

/* A member of the first thing. */
static void put_thing(struct guest *guest, uint64_t member, uint64_t value)
{
	put(guest, MODEL_THING + member, value, 8);
}

static void fill(struct guest *guest)
{
	put(guest, MODEL_THINGS, MODEL_BASE + MODEL_THING + THING_NODE, 8);
	put_thing(guest, THING_NODE, MODEL_BASE + MODEL_THINGS);
	put_thing(guest, THING_INDEX, 3);
	put_thing(guest, THING_WHOLE, 0x1122334455667788);
	put(guest, MODEL_THING + THING_BITS, 2u << 20 | 0x1du << 7 | 0xf000007fu, 4);
	put(guest, MODEL_THING + THING_LARGE, 0xdeadbeef, 4);
	put_thing(guest, THING_SMALL, 0xffff8001);
	strcpy((char *)guest->memory + MODEL_THING + THING_NAME, "model");
	put(guest, MODEL_THING + THING_WORDS, 0x333322221111, 6);
	for (unsigned int i = 0; i < 4; i++) {
		put(guest, MODEL_THING + THING_INNER + i * 16 + 4, 100 + i, 4);
		put(guest, MODEL_THING + THING_INNER + i * 16 + 8, 200 + i, 4);
	}
	put_thing(guest, THING_VECTOR, MODEL_BASE + MODEL_THING + THING_INNER);
	put_thing(guest, THING_POINTER, MODEL_BASE + 0x2000);
	put_thing(guest, THING_LONG_NAME, MODEL_BASE + 0x2ff8);
	strcpy((char *)guest->memory + 0x2ff8, "a string across pages");
	put(guest, 0x2000, 40, 8);
	put(guest, 0x2008, 2, 8);
	put(guest, MODEL_PER_CPU_OFFSET + 8, 0x800, 8);
	put(guest, MODEL_COUNTER, 5, 8);
	put(guest, MODEL_COUNTER + 0x800, 6, 8);
}

static struct guest *guest_create(enum model_layout layout)
{
	struct guest *guest = aligned_alloc(4096, sizeof(*guest));
	size_t size;
	_cleanup_free_ void *raw = model_btf(layout, &size);

	memset(guest, 0, sizeof(*guest));
	guest->peeks = true;
	fill(guest);
	ovm_test_ok(__FILE__, __LINE__, "btf", ovm_btf_create(raw, size, &guest->btf));
	struct ovm_llv_options options = {
		.size = sizeof(options),
		.arg = guest,
		.peek = guest_peek,
		.read = guest_read,
		.symbol = guest_symbol,
		.btf = guest->btf,
	};
	ovm_test_ok(__FILE__, __LINE__, "bind", ovm_llv_create(&options, &guest->llv));
	ovm_test_ok(__FILE__, __LINE__, "arena", ovm_llv_arena_create(&guest->arena));
	guest->budget = (struct ovm_llv_budget){.steps = 10000, .bytes = 1 << 20};
	return guest;
}

static void guest_destroy(struct guest **guest)
{
	if (!*guest)
		return;
	ovm_llv_arena_destroy((*guest)->arena);
	ovm_llv_destroy((*guest)->llv);
	ovm_btf_destroy((*guest)->btf);
	free(*guest);
}
#define _cleanup_guest_ _cleanup_(guest_destroy)

static struct ovm_error *run(struct guest *guest, void (*entry)(struct model_out *),
			     struct model_out *out)
{
	*out = (struct model_out){0};
	return ovm_llv_run(guest->llv, "model", OVM_LLV_ENTRY(entry), out, &guest->budget,
			   guest->arena);
}

OVM_TEST(llview, reads_members_where_the_guest_has_them)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	ASSERT_OK(run(guest, model_fields, &out));
	ASSERT_EQ_U64(out.numbers[0], 3);
	ASSERT_EQ_U64(out.numbers[1], 2);
	ASSERT_EQ_U64(out.numbers[2], 102);
	ASSERT_EQ_U64(out.numbers[3], 202);
	ASSERT_EQ_U64(out.numbers[4], 0x2222);
	ASSERT_EQ_U64(out.numbers[5], 0x3333);
	ASSERT_EQ_U64(out.numbers[6], THING_SIZE);
	ASSERT_EQ_U64(out.numbers[7], THING_INNER + 16 + 4);
	ASSERT_TRUE(out.signed_number == -3);
	ASSERT_EQ_U64(guest->reads, 0);
}

OVM_TEST(llview, reads_the_same_without_mapped_memory)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out mapped, read;

	ASSERT_OK(run(guest, model_fields, &mapped));
	guest->peeks = false;
	ASSERT_OK(run(guest, model_fields, &read));
	ASSERT_TRUE(guest->reads > 0);
	ASSERT_MEMEQ(&mapped, &read, sizeof(read));
}

OVM_TEST(llview, reads_unions_and_nameless_structures)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	ASSERT_OK(run(guest, model_unions, &out));
	ASSERT_EQ_U64(out.numbers[0], 0x1122334455667788);
	ASSERT_EQ_U64(out.numbers[1], 0x55667788);
}

OVM_TEST(llview, steps_over_structures_of_the_guests_size)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	ASSERT_OK(run(guest, model_arithmetic, &out));
	ASSERT_EQ_U64(out.numbers[0], 202);
	ASSERT_EQ_U64(out.numbers[1], 103);
	ASSERT_EQ_U64(out.numbers[2], 201);
	ASSERT_EQ_U64(out.numbers[3], 16);
}

OVM_TEST(llview, widens_what_is_narrower_by_its_own_sign)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_RESIZED);
	struct model_out out;

	ASSERT_OK(run(guest, model_narrow, &out));
	ASSERT_TRUE(out.signed_number == (int16_t)0x8001);
}

OVM_TEST(llview, refuses_to_cut_off_what_is_wider)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_RESIZED);
	struct model_out out;

	ASSERT_ERROR(run(guest, model_wide, &out), OVM_ERROR_KERNEL,
		     "member 'large' of 'struct thing___t' is wider than declared here");
	ASSERT_ERROR(run(guest, model_fields, &out), OVM_ERROR_KERNEL, "'words");
}

OVM_TEST(llview, names_a_missing_member_only_where_it_is_used)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	ASSERT_ERROR(run(guest, model_missing, &out), OVM_ERROR_NOT_FOUND,
		     "'struct thing___t' of the guest's kernel has no member 'absent'");
	ASSERT_EQ_U64(out.count, 1);
	ASSERT_OK(run(guest, model_guarded, &out));
	ASSERT_EQ_U64(out.number, 0);
	ASSERT_EQ_U64(out.count, 3);
}

OVM_TEST(llview, walks_a_list)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	/* A second thing behind the first. */
	put_thing(guest, THING_NODE, MODEL_BASE + 0x1800 + THING_NODE);
	put(guest, 0x1800 + THING_NODE, MODEL_BASE + MODEL_THINGS, 8);
	put(guest, 0x1800 + THING_INDEX, 77, 8);
	ASSERT_OK(run(guest, model_walk, &out));
	ASSERT_EQ_U64(out.count, 2);
	ASSERT_EQ_U64(out.list->value, 77);
	ASSERT_EQ_U64(out.list->next->value, 3);
	ASSERT_TRUE(!out.list->next->next);
}

static bool always(void *arg)
{
	(void)arg;
	return true;
}

OVM_TEST(llview, ends_a_list_that_does_not_end)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	put_thing(guest, THING_NODE, MODEL_BASE + MODEL_THING + THING_NODE);
	ASSERT_ERROR(run(guest, model_walk, &out), OVM_ERROR_BUDGET, "doesn't end");
	put_thing(guest, THING_PARENT, MODEL_BASE + MODEL_THING);
	ASSERT_ERROR(run(guest, model_endless, &out), OVM_ERROR_BUDGET, "llview_model.c:");
	ASSERT_ERROR(run(guest, model_recursion, &out), OVM_ERROR_BUDGET, "nested too deeply");
	guest->budget.steps = UINT64_MAX;
	guest->budget.milliseconds = 1;
	ASSERT_ERROR(run(guest, model_endless, &out), OVM_ERROR_BUDGET, "takes too long");
	guest->budget.cancelled = always;
	guest->budget.milliseconds = 0;
	ASSERT_ERROR(run(guest, model_endless, &out), OVM_ERROR_CANCELLED, "interrupted");
	guest->budget.cancelled = NULL;
	guest->budget.bytes = 4096;
	ASSERT_ERROR(run(guest, model_alloc, &out), OVM_ERROR_BUDGET, "larger than the budget");
}

OVM_TEST(llview, never_follows_an_address_of_the_tool)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	static uint64_t secret = 0x5ec2e7;
	const uint64_t planted[] = {(uint64_t)(uintptr_t)&secret,
				    (uint64_t)(uintptr_t)guest->memory,
				    0,
				    8,
				    0x7fffffffffff,
				    0x800000000000,
				    0xfeffffffffffffff};

	for (size_t i = 0; i < sizeof(planted) / sizeof(planted[0]); i++) {
		struct model_out out;

		put_thing(guest, THING_POINTER, planted[i]);
		put_thing(guest, THING_LONG_NAME, planted[i]);
		struct ovm_error *err = run(guest, model_fault, &out);
		ASSERT_TRUE(err && err->has_address && err->address == planted[i]);
		ASSERT_ERROR(err, OVM_ERROR_FAULT, "llview_model.c:");
		ASSERT_EQ_U64(out.count, 1);
		ASSERT_ERROR(run(guest, model_bytes, &out), OVM_ERROR_FAULT, NULL);
		ASSERT_ERROR(run(guest, model_copy, &out), OVM_ERROR_FAULT, NULL);
		ASSERT_ERROR(run(guest, model_array, &out), OVM_ERROR_FAULT, NULL);
		ASSERT_ERROR(run(guest, model_text, &out), OVM_ERROR_FAULT, NULL);
		ASSERT_OK(run(guest, model_readable, &out));
		ASSERT_EQ_U64(out.count, 0);
	}
}

OVM_TEST(llview, tells_where_it_faulted)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	put_thing(guest, THING_POINTER, MODEL_BASE + MODEL_MEMORY - 4);
	struct ovm_error *err = run(guest, model_fault, &out);
	ASSERT_TRUE(err && err->address == MODEL_BASE + MODEL_MEMORY - 4);
	ASSERT_ERROR(err, OVM_ERROR_FAULT, "model: llview_model.c:");
	put(guest, MODEL_THINGS, 0x10, 8);
	ASSERT_ERROR(run(guest, model_walk, &out), OVM_ERROR_FAULT, "of 'struct thing___t'");
}

OVM_TEST(llview, reads_across_pages)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	put_thing(guest, THING_POINTER, MODEL_BASE + 0x2ffc);
	put(guest, 0x2ffc, 0x0123456789abcdef, 8);
	ASSERT_OK(run(guest, model_crossing, &out));
	ASSERT_EQ_U64(out.number, 0x0123456789abcdef);
}

OVM_TEST(llview, keeps_the_guests_indices_within_its_own_arrays)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	ASSERT_OK(run(guest, model_index, &out));
	ASSERT_EQ_U64(out.numbers[3], 1);
	ASSERT_OK(run(guest, model_local_index, &out));
	ASSERT_EQ_U64(out.number, 7);
	const uint64_t wrong[] = {8, 1ULL << 32, 1ULL << 61, 1ULL << 63, ~0ULL};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		put_thing(guest, THING_INDEX, wrong[i]);
		ASSERT_ERROR(run(guest, model_index, &out), OVM_ERROR_CORRUPT, "out of bounds");
		ASSERT_ERROR(run(guest, model_local_index, &out), OVM_ERROR_CORRUPT,
			     "out of bounds");
		ASSERT_EQ_U64(out.numbers[0] | out.count, 0);
	}
}

OVM_TEST(llview, survives_other_things_a_number_can_do)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	put_thing(guest, THING_INDEX, 0);
	ASSERT_ERROR(run(guest, model_divide, &out), OVM_ERROR_CORRUPT, "division");
	put_thing(guest, THING_INDEX, 64);
	ASSERT_OK(run(guest, model_shift, &out));
	put_thing(guest, THING_INDEX, 1 << 21);
	ASSERT_ERROR(run(guest, model_bytes, &out), OVM_ERROR_BUDGET, NULL);
	put_thing(guest, THING_INDEX, ~0ULL);
	ASSERT_ERROR(run(guest, model_bytes, &out), OVM_ERROR_BUDGET, NULL);
	ASSERT_ERROR(run(guest, model_array, &out), OVM_ERROR_CORRUPT, "more bytes than expected");
	ASSERT_ERROR(run(guest, model_no_record, &out), OVM_ERROR_CORRUPT, "not there");
}

OVM_TEST(llview, copies_text_and_bytes)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	ASSERT_OK(run(guest, model_text, &out));
	ASSERT_STREQ(out.text, "done");
	ASSERT_EQ_U64(out.count, 1);
	ASSERT_EQ_U64(out.number, strlen("model") + strlen("a string across pages"));
	ASSERT_OK(run(guest, model_bytes, &out));
	ASSERT_EQ_U64(out.number, 3);
	ASSERT_OK(run(guest, model_array, &out));
	ASSERT_EQ_U64(out.number, 'm' + 'o' + 'd' + 'e' + 'l');
	ASSERT_EQ_U64(out.numbers[0], 40);
	ASSERT_EQ_U64(out.numbers[1], 2);
	ASSERT_STREQ(out.text, "mod");
}

OVM_TEST(llview, copies_structures_whose_layout_is_the_same)
{
	_cleanup_guest_ struct guest *same = guest_create(MODEL_MOVED);
	_cleanup_guest_ struct guest *other = guest_create(MODEL_RESIZED);
	struct model_out out;

	ASSERT_OK(run(same, model_copy, &out));
	ASSERT_EQ_U64(out.number, 42);
	ASSERT_ERROR(run(other, model_copy, &out), OVM_ERROR_KERNEL, "laid out differently");
}

OVM_TEST(llview, knows_enumerators_symbols_and_cpus)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;

	ASSERT_OK(run(guest, model_enumerators, &out));
	ASSERT_EQ_U64(out.numbers[0], 7);
	ASSERT_EQ_U64(out.numbers[1], 1);
	ASSERT_EQ_U64(out.numbers[2], 0);
	ASSERT_TRUE(out.signed_number == -1);
	ASSERT_OK(run(guest, model_per_cpu, &out));
	ASSERT_EQ_U64(out.numbers[0], 5);
	ASSERT_EQ_U64(out.numbers[1], 6);
	ASSERT_OK(run(guest, model_symbols, &out));
	ASSERT_EQ_U64(out.number, MODEL_BASE + MODEL_THING);
	ASSERT_EQ_U64(out.count, 1);
}

OVM_TEST(llview, fails_with_the_extractors_own_words)
{
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	struct model_out out;
	struct ovm_error *err = run(guest, model_fail, &out);

	ASSERT_TRUE(err && err->has_address && err->address == 3);
	ASSERT_ERROR(err, OVM_ERROR_NOT_DUMPABLE, "a thing that can't be saved");
}

OVM_TEST(llview, serves_two_guests_with_one_build)
{
	_cleanup_guest_ struct guest *first = guest_create(MODEL_MOVED);
	_cleanup_guest_ struct guest *second = guest_create(MODEL_RESIZED);
	struct model_out out;

	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_OK(run(first, model_narrow, &out));
		ASSERT_TRUE(out.signed_number == 0xffff8001);
		ASSERT_OK(run(second, model_narrow, &out));
		ASSERT_TRUE(out.signed_number == (int16_t)0x8001);
	}
}

/* Whatever is in the memory: each entry point ends, with an error or without. */
OVM_TEST(llview, ends_on_any_memory)
{
	static void (*const entries[])(struct model_out *) = {
#define MODEL_ADDRESS(name) model_##name,
		MODEL_ENTRIES(MODEL_ADDRESS)};
	_cleanup_guest_ struct guest *guest = guest_create(MODEL_MOVED);
	uint64_t state = 88172645463325252u;

	for (unsigned int round = 0; round < 200; round++) {
		for (size_t i = 0; i < MODEL_MEMORY; i += 8) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			/* Mostly pointers into the memory, so that walks get somewhere. */
			uint64_t value = state % 4 ? MODEL_BASE + state / 4 % MODEL_MEMORY : state;
			put(guest, i, value, 8);
		}
		for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
			struct model_out out;

			ovm_error_free(run(guest, entries[i], &out));
		}
		ovm_llv_arena_destroy(guest->arena);
		ASSERT_OK(ovm_llv_arena_create(&guest->arena));
	}
}
