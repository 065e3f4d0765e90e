/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory areas of an address space in order, from a maple tree or from the list before it.
 *
 * Maple tree (lib/maple_tree.c, since d4af56c5c7c6 "mm: start tracking VMAs with maple tree",
 * v6.1): nodes of 256 bytes, aligned to that.  A pointer to a node has its type in bits 3 to 6;
 * slot i holds what lies above pivot i-1 up to pivot i, inclusive; the pivot of the last slot in
 * use may be missing (0) or left out, and is the node's own upper bound then.  Where the last
 * pivot is not in use, its place holds the number of the last slot in use ("end").
 *
 * The iterator remembers a leaf and descends from the root for each further one, so that it
 * needs no stack and follows no parent pointers.
 */
#ifndef OVM_VMI_EXTRACT_VMA_ITER_H
#define OVM_VMI_EXTRACT_VMA_ITER_H

#include <linux/maple_tree.h>
#include <linux/mm_types.h>

/* 763ecb035029 ("mm: remove the vma linked list", v6.1). */
struct mm_struct___list {
	struct vm_area_struct *mmap;
};

struct vm_area_struct___list {
	struct vm_area_struct *vm_next;
};

enum {
	OVM_MAPLE_NODE_MASK = 255,
	OVM_MAPLE_TYPE_SHIFT = 3,
	OVM_MAPLE_TYPE_MASK = 15,
	/* Enough for 2^64 areas. */
	OVM_MAPLE_HEIGHT_MAX = 31,
};

struct ovm_vma_iter {
	struct mm_struct *mm;
	/* Maple tree: the leaf, its bounds, the next slot of it and the last in use. */
	struct maple_node *leaf;
	unsigned long min, max;
	unsigned int slot, end;
	bool done;
	/* List: the next area. */
	struct vm_area_struct *next;
};

static inline bool ovm_maple_is_arange(unsigned int type)
{
	return type == maple_arange_64;
}

static inline unsigned int ovm_maple_pivots(unsigned int type)
{
	return ovm_maple_is_arange(type) ? MAPLE_ARANGE64_SLOTS - 1 : MAPLE_RANGE64_SLOTS - 1;
}

static inline unsigned long ovm_maple_pivot(const struct maple_node *node, unsigned int type,
					    unsigned int i)
{
	const unsigned long *pivots =
		ovm_maple_is_arange(type) ? node->ma64.pivot : node->mr64.pivot;

	return pivots[i];
}

static inline unsigned long ovm_maple_slot(const struct maple_node *node, unsigned int type,
					   unsigned int i)
{
	void *const *slots = ovm_maple_is_arange(type) ? node->ma64.slot : node->mr64.slot;

	return (unsigned long)slots[i];
}

/* The last slot in use; see ma_data_end() of lib/maple_tree.c. */
static inline unsigned int ovm_maple_end(const struct maple_node *node, unsigned int type,
					 unsigned long max)
{
	unsigned int last = ovm_maple_pivots(type) - 1;
	unsigned long pivot;
	unsigned int end;

	if (ovm_maple_is_arange(type)) {
		end = node->ma64.meta.end;
	} else {
		pivot = ovm_maple_pivot(node, type, last);
		if (pivot)
			return pivot == max ? last : last + 1;
		end = node->mr64.meta.end;
	}
	if (end > last + 1)
		llv_fail(LLV_CORRUPT, node, "maple tree node with an end out of range");
	return end;
}

/* Upper bound of a slot, given the node's own. */
static inline unsigned long ovm_maple_upper(const struct maple_node *node, unsigned int type,
					    unsigned int i, unsigned int end, unsigned long max)
{
	unsigned long pivot;

	if (i >= end || i >= ovm_maple_pivots(type))
		return max;
	pivot = ovm_maple_pivot(node, type, i);
	return pivot ? pivot : max;
}

/* Find the leaf that holds @index, and the slot in it. */
static inline void ovm_maple_descend(struct ovm_vma_iter *it, unsigned long index)
{
	unsigned long entry = (unsigned long)it->mm->mm_mt.ma_root;
	unsigned long min = 0, max = ULONG_MAX;

	/* An empty tree has no root, a tree of a single entry has that in its place. */
	if ((entry & 3) != 2 || entry <= 4096) {
		it->done = true;
		return;
	}
	for (unsigned int depth = 0; depth < OVM_MAPLE_HEIGHT_MAX; depth++) {
		unsigned int type = entry >> OVM_MAPLE_TYPE_SHIFT & OVM_MAPLE_TYPE_MASK;
		struct maple_node *node =
			(struct maple_node *)(entry & ~(unsigned long)OVM_MAPLE_NODE_MASK);

		if (type != maple_leaf_64 && type != maple_range_64 && type != maple_arange_64)
			llv_fail(LLV_CORRUPT, entry, "maple tree node of an unknown type");
		unsigned int end = ovm_maple_end(node, type, max), i = 0;
		unsigned long lower = min, upper;

		while ((upper = ovm_maple_upper(node, type, i, end, max)) < index) {
			lower = upper + 1;
			i++;
		}
		if (type == maple_leaf_64) {
			it->leaf = node;
			it->min = lower;
			it->max = max;
			it->slot = i;
			it->end = end;
			return;
		}
		entry = ovm_maple_slot(node, type, i);
		min = lower;
		max = upper;
	}
	llv_fail(LLV_CORRUPT, it->mm, "maple tree is too high");
}

static inline void ovm_vma_iter_start(struct ovm_vma_iter *it, struct mm_struct *mm)
{
	it->mm = mm;
	it->leaf = NULL;
	it->min = 0;
	it->max = 0;
	it->slot = 0;
	it->end = 0;
	it->done = false;
	it->next = NULL;
	if (llv_field_exists(struct mm_struct, mm_mt))
		ovm_maple_descend(it, 0);
	else
		it->next = ((struct mm_struct___list *)mm)->mmap;
}

static inline struct vm_area_struct *ovm_vma_iter_list(struct ovm_vma_iter *it)
{
	struct vm_area_struct *vma = it->next;

	if (vma)
		it->next = ((struct vm_area_struct___list *)vma)->vm_next;
	return vma;
}

/** The next area, or NULL at the end. */
static inline struct vm_area_struct *ovm_vma_iter_next(struct ovm_vma_iter *it)
{
	if (!llv_field_exists(struct mm_struct, mm_mt))
		return ovm_vma_iter_list(it);
	while (!it->done) {
		unsigned int slot = it->slot;
		unsigned long upper, entry;

		if (slot > it->end) {
			it->done = it->max == ULONG_MAX;
			if (!it->done)
				ovm_maple_descend(it, it->max + 1);
			continue;
		}
		upper = ovm_maple_upper(it->leaf, maple_leaf_64, slot, it->end, it->max);
		entry = ovm_maple_slot(it->leaf, maple_leaf_64, slot);
		it->slot = upper == it->max ? it->end + 1 : slot + 1;
		it->min = upper + 1;
		/* Values and internal entries (reserved places) are no areas. */
		if (entry && !(entry & 3))
			return (struct vm_area_struct *)entry;
	}
	return NULL;
}

#endif /* OVM_VMI_EXTRACT_VMA_ITER_H */
