/* SPDX-License-Identifier: GPL-2.0-only */
/* What btf.c and btf_member.c share. */
#ifndef OVM_VMI_BTF_INTERNAL_H
#define OVM_VMI_BTF_INTERNAL_H

#include <linux/btf.h>

#include "btf.h"
#include "siphash.h"

enum {
	/* BTF_KIND_ENUM64, which the headers of Debian 12 know but those before don't. */
	OVM_BTF_KIND_ENUM64 = 19,
};

/* One BTF: that of vmlinux or of a module. */
struct ovm_btf_unit {
	uint8_t *data;
	const uint8_t *types;
	size_t types_len;
	const char *strings;
	size_t strings_len;
	/* What string offsets of this unit's own begin at. */
	uint32_t first_string;
	/* Id of the first type in the numbering of struct ovm_btf. */
	uint32_t first;
	uint32_t nr;
	/* Where each type's record lies in @types. */
	uint32_t *offsets;
	/* Names: chains of index + 1 in ascending order, by hash. */
	uint32_t *buckets;
	uint32_t *next;
	uint32_t bucket_mask;
	/* Some enumeration says that it is signed, so the others are not (kernels before 6.0 never
	 * say). */
	bool signed_enums;
};

/* Ids of ovm_btf count through all units; those within a unit are local to it and vmlinux. */
struct ovm_btf {
	struct ovm_btf_unit **units;
	size_t nr_units;
	/* Of names: the guest must not be able to make them collide. */
	struct ovm_siphash_key key;
};

/* Record of a type and its unit, or NULL. The kind-specific data behind it was checked. */
const struct btf_type *ovm_btf_type(const struct ovm_btf *btf, uint32_t id,
				    const struct ovm_btf_unit **unit);
/* Id of what a type of @unit refers to as @id; 0 for void or nothing. */
uint32_t ovm_btf_resolve(const struct ovm_btf *btf, const struct ovm_btf_unit *unit, uint32_t id);
const char *ovm_btf_string(const struct ovm_btf *btf, const struct ovm_btf_unit *unit,
			   uint32_t offset);
void ovm_btf_parse_name(const char *name, enum ovm_btf_class *class, const char **base,
			size_t *len);

#endif /* OVM_VMI_BTF_INTERNAL_H */
