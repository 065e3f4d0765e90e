// SPDX-License-Identifier: GPL-2.0-only
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include "llview_guest.h"
#include "test.h"
#include "vmi/btf.h"
#include "vmi/cleanup.h"

static void cleanup_btf(struct ovm_btf **btf)
{
	ovm_btf_destroy(*btf);
}
#define _cleanup_btf_ _cleanup_(cleanup_btf)

static struct ovm_btf *model(void)
{
	size_t size;
	_cleanup_free_ void *raw = model_btf(MODEL_MOVED, &size);
	struct ovm_btf *btf = NULL;

	ovm_test_ok(__FILE__, __LINE__, "model", ovm_btf_create(raw, size, &btf));
	return btf;
}

OVM_TEST(btf, finds_members_of_anonymous_structures)
{
	_cleanup_btf_ struct ovm_btf *btf = model();
	struct ovm_btf_member member;

	ASSERT_OK(ovm_btf_find_member(btf, "struct thing", "half", &member));
	ASSERT_EQ_U64(member.bit_offset, THING_WHOLE * 8);
	ASSERT_EQ_U64(member.size, 4);
	ASSERT_EQ_U64(member.kind, OVM_BTF_IS_INTEGER);
}

OVM_TEST(btf, follows_paths_through_arrays)
{
	_cleanup_btf_ struct ovm_btf *btf = model();
	struct ovm_btf_member member;

	ASSERT_OK(ovm_btf_find_member(btf, "struct thing", "inner[3].a", &member));
	ASSERT_EQ_U64(member.bit_offset, (THING_INNER + 3 * 16 + 8) * 8);
	ASSERT_OK(ovm_btf_find_member(btf, "struct thing", "inner", &member));
	ASSERT_EQ_U64(member.count, 4);
	ASSERT_EQ_U64(member.element_size, 16);
	ASSERT_EQ_U64(member.element_kind, OVM_BTF_IS_STRUCT);
	ASSERT_ERROR(ovm_btf_find_member(btf, "struct thing", "inner[4].a", &member),
		     OVM_ERROR_NOT_FOUND, "has no member 'inner[4].a'");
	ASSERT_ERROR(ovm_btf_find_member(btf, "struct thing", "index[0]", &member),
		     OVM_ERROR_NOT_FOUND, NULL);
	ASSERT_ERROR(ovm_btf_find_member(btf, "struct thing", "inner[1", &member),
		     OVM_ERROR_NOT_FOUND, NULL);
}

OVM_TEST(btf, tells_bit_fields_and_signs)
{
	_cleanup_btf_ struct ovm_btf *btf = model();
	struct ovm_btf_member member;

	ASSERT_OK(ovm_btf_find_member(btf, "struct thing", "negative", &member));
	ASSERT_EQ_U64(member.bits, 5);
	ASSERT_EQ_U64(member.bit_offset, THING_BITS * 8 + 7);
	ASSERT_TRUE(member.is_signed);
	ASSERT_OK(ovm_btf_find_member(btf, "struct thing", "low", &member));
	ASSERT_FALSE(member.is_signed);
}

OVM_TEST(btf, ignores_flavours)
{
	_cleanup_btf_ struct ovm_btf *btf = model();
	struct ovm_btf_member member;
	uint64_t size;

	ASSERT_OK(ovm_btf_find_member(btf, "struct thing___before_6_1", "index", &member));
	ASSERT_OK(ovm_btf_sizeof(btf, "struct thing___old", &size));
	ASSERT_EQ_U64(size, THING_SIZE);
}

OVM_TEST(btf, sees_through_typedefs_and_qualifiers)
{
	_cleanup_btf_ struct ovm_btf *btf = model();
	struct ovm_btf_member member;
	uint64_t size;

	ASSERT_OK(ovm_btf_find_member(btf, "struct pair", "first", &member));
	ASSERT_EQ_U64(member.kind, OVM_BTF_IS_INTEGER);
	ASSERT_OK(ovm_btf_sizeof(btf, "number_t", &size));
	ASSERT_EQ_U64(size, 8);
	ASSERT_OK(ovm_btf_sizeof(btf, "unsigned int", &size));
	ASSERT_EQ_U64(size, 4);
}

OVM_TEST(btf, knows_enumerators)
{
	_cleanup_btf_ struct ovm_btf *btf = model();
	int64_t value;

	ASSERT_OK(ovm_btf_enum_value(btf, "enum color", "COLOR_NONE", &value));
	ASSERT_TRUE(value == -1);
	ASSERT_OK(ovm_btf_enum_value(btf, "", "COLOR_BLUE", &value));
	ASSERT_EQ_U64(value, 7);
	ASSERT_ERROR(ovm_btf_enum_value(btf, "enum color", "COLOR_GREY", &value),
		     OVM_ERROR_NOT_FOUND, "COLOR_GREY");
}

OVM_TEST(btf, says_what_is_missing)
{
	_cleanup_btf_ struct ovm_btf *btf = model();
	struct ovm_btf_member member;
	uint64_t size;

	ASSERT_ERROR(ovm_btf_find_member(btf, "struct nothing", "x", &member), OVM_ERROR_NOT_FOUND,
		     "no type 'struct nothing'");
	ASSERT_ERROR(ovm_btf_find_member(btf, "struct thing", "x", &member), OVM_ERROR_NOT_FOUND,
		     "'struct thing' of the guest's kernel has no member 'x'");
	ASSERT_ERROR(ovm_btf_sizeof(btf, "union thing", &size), OVM_ERROR_NOT_FOUND, NULL);
	ASSERT_EQ_U64(ovm_btf_find(btf, "struct "), 0);
	ASSERT_EQ_U64(ovm_btf_strip(btf, 1 << 30), 0);
}

OVM_TEST(btf, adds_modules_after_vmlinux)
{
	_cleanup_btf_ struct ovm_btf *btf = model();
	size_t size;
	_cleanup_free_ void *raw = model_module_btf(MODEL_MOVED, &size);
	struct ovm_btf_member member;
	uint64_t bytes;

	ASSERT_OK(ovm_btf_add_module(btf, raw, size));
	ASSERT_OK(ovm_btf_add_module(btf, raw, size));
	ASSERT_OK(ovm_btf_find_member(btf, "struct extra", "value", &member));
	ASSERT_TRUE(member.is_signed);
	/* vmlinux has a pair of its own; the module's is asked for what that lacks. */
	ASSERT_OK(ovm_btf_sizeof(btf, "struct pair", &bytes));
	ASSERT_EQ_U64(bytes, 16);
	ASSERT_OK(ovm_btf_find_member(btf, "struct pair", "third", &member));
	ASSERT_EQ_U64(member.bit_offset, 128);
	ASSERT_STREQ(ovm_btf_name(btf, ovm_btf_find(btf, "module_t")), "module_t");
}

OVM_TEST(btf, refuses_every_cut_and_survives_every_flipped_byte)
{
	size_t size;
	_cleanup_free_ uint8_t *raw = model_btf(MODEL_MOVED, &size);

	for (size_t len = 0; len < size; len++) {
		_cleanup_btf_ struct ovm_btf *btf = NULL;
		_cleanup_free_ void *cut = malloc(len ? len : 1);

		memcpy(cut, raw, len);
		ASSERT_ERROR(ovm_btf_create(cut, len, &btf), OVM_ERROR_CORRUPT, NULL);
	}
	for (size_t i = 0; i < size; i++) {
		_cleanup_btf_ struct ovm_btf *btf = NULL;
		struct ovm_btf_member member;

		raw[i] ^= 0xff;
		struct ovm_error *err = ovm_btf_create(raw, size, &btf);
		if (!err)
			err = ovm_btf_find_member(btf, "struct thing", "inner[3].a", &member);
		ovm_error_free(err);
		raw[i] ^= 0xff;
	}
}

/* BTF of so many structures without members, all of one name. */
static void *namesakes(uint32_t nr, size_t *size)
{
	static const char strings[] = "\0task";
	const struct btf_header header = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(header),
		.type_len = nr * (uint32_t)sizeof(struct btf_type),
		.str_off = nr * (uint32_t)sizeof(struct btf_type),
		.str_len = sizeof(strings),
	};

	*size = sizeof(header) + header.type_len + sizeof(strings);

	uint8_t *data = malloc(*size);
	struct btf_type type = {.name_off = 1, .info = BTF_KIND_STRUCT << 24};

	if (!data)
		return NULL;
	memcpy(data, &header, sizeof(header));
	for (uint32_t i = 0; i < nr; i++)
		memcpy(data + sizeof(header) + i * sizeof(type), &type, sizeof(type));
	memcpy(data + sizeof(header) + header.type_len, strings, sizeof(strings));
	return data;
}

OVM_TEST(btf, looks_up_one_of_many_namesakes_after_the_other)
{
	enum { NR = 1 << 20 };
	size_t size;
	_cleanup_free_ void *raw = namesakes(NR, &size);
	_cleanup_btf_ struct ovm_btf *btf = NULL;
	struct ovm_btf_member member;
	uint32_t nr = 0;

	ASSERT_TRUE(raw);
	ASSERT_OK(ovm_btf_create(raw, size, &btf));
	for (uint32_t id = 0; (id = ovm_btf_find_next(btf, OVM_BTF_STRUCT, "task", 4, id)); nr++)
		ASSERT_EQ_U64(id, nr + 1);
	ASSERT_EQ_U64(nr, NR);
	ASSERT_ERROR(ovm_btf_find_member(btf, "struct task", "pid", &member), OVM_ERROR_CORRUPT,
		     "too many types");
}
