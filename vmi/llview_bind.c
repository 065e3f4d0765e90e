// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binding: what an extractor's descriptors mean in a guest's kernel.
 *
 * The rules are those of BPF's "compile once, run everywhere": types and
 * members are found by name, "___flavour" is ignored, and a member that is
 * narrower than the extractor thinks is widened by its own signedness.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "llview_internal.h"

static struct ovm_error *misfit(const struct ovm_llv_reloc *reloc, const char *what)
{
	return ovm_error_format(OVM_ERROR_KERNEL,
				"member '%s' of '%s' is %s in the guest's kernel (%s)", reloc->path,
				reloc->type, what, reloc->site);
}

static bool is_scalar(enum ovm_btf_kind kind)
{
	return kind == OVM_BTF_IS_INTEGER || kind == OVM_BTF_IS_ENUM || kind == OVM_BTF_IS_POINTER;
}

/* The declared type's aligned unit that holds the bits, else the bytes that do. */
static struct ovm_error *bind_bits(const struct ovm_llv_reloc *reloc,
				   const struct ovm_btf_member *member, struct ovm_llv_slot *slot)
{
	uint64_t unit = member->size * 8;
	uint64_t start = unit ? member->bit_offset / unit * unit : 0;

	if (!unit || unit > 64 || member->bit_offset + member->bits > start + unit) {
		unit = 64;
		start = member->bit_offset / 8 * 8;
	}
	if (member->bits > 64 || member->bit_offset + member->bits > start + unit)
		return misfit(reloc, "a bit-field that is too wide");
	slot->value = start / 8;
	slot->size = unit / 8;
	slot->bits = member->bits;
	slot->shift = member->bit_offset - start;
	slot->is_signed = member->is_signed;
	return NULL;
}

static struct ovm_error *bind_load(const struct ovm_llv_reloc *reloc,
				   const struct ovm_btf_member *member, struct ovm_llv_slot *slot)
{
	uint64_t local_bits = reloc->size;
	uint64_t bits = member->bits ? member->bits : member->size * 8;

	if (!(reloc->flags & OVM_LLV_RELOC_BITFIELD))
		local_bits *= 8;
	if (member->size > 8 || (member->size & (member->size - 1)) || !member->size)
		return misfit(reloc, "not a number");
	if (bits > local_bits)
		return misfit(reloc, "wider than declared here");
	if ((reloc->flags & OVM_LLV_RELOC_POINTER) && bits != 64)
		return misfit(reloc, "not a pointer");
	if (!(reloc->flags & (OVM_LLV_RELOC_INTEGER | OVM_LLV_RELOC_POINTER)) && bits != local_bits)
		return misfit(reloc, "of another size");
	if (!is_scalar(member->kind) && bits != local_bits)
		return misfit(reloc, "not a number");
	if (member->bits)
		return bind_bits(reloc, member, slot);
	slot->value = member->bit_offset / 8;
	slot->size = member->size;
	slot->bits = bits;
	slot->is_signed = member->is_signed;
	return NULL;
}

static struct ovm_error *bind_array(const struct ovm_llv_reloc *reloc,
				    const struct ovm_btf_member *member, struct ovm_llv_slot *slot)
{
	if (member->kind != OVM_BTF_IS_ARRAY)
		return misfit(reloc, "not an array");
	switch (reloc->kind) {
	case OVM_LLV_FIELD_COUNT:
		slot->value = member->count;
		return NULL;
	case OVM_LLV_FIELD_STRIDE:
		slot->value = member->element_size;
		return NULL;
	default:
		/* Arrays of arrays are declared with the innermost element here. */
		if (member->element_kind != OVM_BTF_IS_ARRAY && member->element_size != reloc->size)
			return misfit(reloc, "an array of elements of another size");
		slot->value = member->bit_offset / 8;
		return NULL;
	}
}

static struct ovm_error *bind_member(const struct ovm_llv *llv, const struct ovm_llv_reloc *reloc,
				     struct ovm_llv_slot *slot)
{
	struct ovm_btf_member member;
	struct ovm_error *err =
		ovm_btf_find_member(llv->options.btf, reloc->type, reloc->path, &member);

	if (reloc->kind == OVM_LLV_FIELD_EXISTS) {
		/* Several that disagree are there, too. */
		slot->value = !err || err->code != OVM_ERROR_NOT_FOUND;
		ovm_error_free(err);
		return NULL;
	}
	if (err)
		return ovm_error_prepend(err, "%s", reloc->site);
	switch (reloc->kind) {
	case OVM_LLV_FIELD_LOAD:
		return bind_load(reloc, &member, slot);
	case OVM_LLV_FIELD_OFFSET:
	case OVM_LLV_FIELD_SIZE:
		if (member.bits || member.bit_offset % 8)
			return misfit(reloc, "a bit-field");
		slot->value =
			reloc->kind == OVM_LLV_FIELD_SIZE ? member.size : member.bit_offset / 8;
		return NULL;
	default:
		return bind_array(reloc, &member, slot);
	}
}

/* "struct X" of the extractor may have been a typedef. */
static uint32_t find_type(const struct ovm_llv *llv, const struct ovm_llv_reloc *reloc)
{
	uint32_t id = ovm_btf_find(llv->options.btf, reloc->type);
	const char *space = strchr(reloc->type, ' ');

	if (!id && (reloc->flags & OVM_LLV_RELOC_ANY_KIND) && space)
		id = ovm_btf_find(llv->options.btf, space + 1);
	return id;
}

static struct ovm_error *bind_type(const struct ovm_llv *llv, const struct ovm_llv_reloc *reloc,
				   struct ovm_llv_slot *slot)
{
	uint32_t id = find_type(llv, reloc);

	if (reloc->kind == OVM_LLV_TYPE_EXISTS) {
		slot->value = id != 0;
		return NULL;
	}
	if (!id)
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel has no type '%s' (%s)", reloc->type,
					reloc->site);
	return ovm_btf_size(llv->options.btf, id, &slot->value);
}

static struct ovm_error *bind_enumerator(const struct ovm_llv *llv,
					 const struct ovm_llv_reloc *reloc,
					 struct ovm_llv_slot *slot)
{
	int64_t value = 0;
	struct ovm_error *err =
		ovm_btf_enum_value(llv->options.btf, reloc->type, reloc->path, &value);

	if (reloc->kind == OVM_LLV_ENUM_EXISTS) {
		slot->value = !err;
		ovm_error_free(err);
		return NULL;
	}
	slot->value = value;
	return ovm_error_prepend(err, "%s", reloc->site);
}

static struct ovm_error *bind_symbol(const struct ovm_llv *llv, const struct ovm_llv_reloc *reloc,
				     struct ovm_llv_slot *slot)
{
	bool found = llv->options.symbol &&
		     llv->options.symbol(llv->options.arg, reloc->type, &slot->value);

	if (found)
		return NULL;
	slot->value = 0;
	if (reloc->kind == OVM_LLV_SYMBOL_OR_ZERO)
		return NULL;
	return ovm_error_format(OVM_ERROR_KERNEL, "the guest's kernel has no symbol '%s' (%s)",
				reloc->type, reloc->site);
}

/* One "name:bit offset:bits," of a layout; a name may be a path. */
static struct ovm_error *check_leaf(const struct ovm_llv *llv, const struct ovm_llv_reloc *reloc,
				    uint32_t type, const char *leaf, const char **end)
{
	const char *colon = strchr(leaf, ':');
	struct ovm_btf_member member;
	uint64_t offset = 0, bits = 0;
	char *after = NULL;

	if (colon)
		offset = strtoull(colon + 1, &after, 10);
	if (after && *after == ':')
		bits = strtoull(after + 1, &after, 10);
	if (!after || *after != ',')
		return ovm_error_format(OVM_ERROR_KERNEL, "malformed layout of '%s'", reloc->type);
	*end = after + 1;
	_cleanup_free_ char *name = strndup(leaf, colon - leaf);
	if (!name)
		return ovm_error_no_memory();
	struct ovm_error *err = ovm_btf_member_of(llv->options.btf, type, name, &member);
	if (err)
		return err;
	if (member.bit_offset != offset || (member.bits ? member.bits : member.size * 8) != bits)
		return ovm_error_format(OVM_ERROR_KERNEL,
					"'%s' of the guest's kernel is laid out differently at "
					"'%s'; copy its members one by one (%s)",
					reloc->type, name, reloc->site);
	return NULL;
}

static struct ovm_error *bind_layout(const struct ovm_llv *llv, const struct ovm_llv_reloc *reloc,
				     struct ovm_llv_slot *slot)
{
	uint32_t id = find_type(llv, reloc);
	uint64_t size = 0;

	if (!id)
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel has no type '%s' (%s)", reloc->type,
					reloc->site);
	struct ovm_error *err = ovm_btf_size(llv->options.btf, id, &size);
	if (!err && size != reloc->size)
		err = ovm_error_format(OVM_ERROR_KERNEL,
				       "'%s' of the guest's kernel has %" PRIu64
				       " bytes, not %u (%s)",
				       reloc->type, size, reloc->size, reloc->site);
	for (const char *leaf = reloc->path; !err && *leaf;)
		err = check_leaf(llv, reloc, id, leaf, &leaf);
	slot->value = 0;
	return err;
}

struct ovm_error *ovm_llv_bind(const struct ovm_llv *llv, const struct ovm_llv_reloc *reloc,
			       struct ovm_llv_slot *slot)
{
	switch (reloc->kind) {
	case OVM_LLV_TYPE_SIZE:
	case OVM_LLV_TYPE_EXISTS:
		return bind_type(llv, reloc, slot);
	case OVM_LLV_ENUM_VALUE:
	case OVM_LLV_ENUM_EXISTS:
		return bind_enumerator(llv, reloc, slot);
	case OVM_LLV_SYMBOL:
	case OVM_LLV_SYMBOL_OR_ZERO:
		return bind_symbol(llv, reloc, slot);
	case OVM_LLV_LAYOUT:
		return bind_layout(llv, reloc, slot);
	case OVM_LLV_FIELD_OFFSET:
	case OVM_LLV_FIELD_EXISTS:
	case OVM_LLV_FIELD_SIZE:
	case OVM_LLV_FIELD_LOAD:
	case OVM_LLV_FIELD_STRIDE:
	case OVM_LLV_ARRAY_OFFSET:
	case OVM_LLV_FIELD_COUNT:
		return bind_member(llv, reloc, slot);
	default:
		return ovm_error_format(OVM_ERROR_KERNEL, "descriptor of an unknown kind (%s)",
					reloc->site);
	}
}
