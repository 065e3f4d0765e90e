/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Going through the kernel's red-black trees (linux/rbtree.h) in order.
 */
#ifndef OVM_VMI_EXTRACT_RBTREE_H
#define OVM_VMI_EXTRACT_RBTREE_H

#include <linux/rbtree.h>

#include "extract.h"

/* Twice the height of a balanced tree of 2^32 nodes, which is what red-black trees reach. */
enum { OVM_RB_MAX_HEIGHT = 64 };

static __maybe_unused struct rb_node *ovm_rb_leftmost(struct rb_node *node)
{
	for (unsigned int height = 0; node->rb_left; height++) {
		if (height > OVM_RB_MAX_HEIGHT)
			llv_fail(LLV_CORRUPT, node, "a red-black tree is too high");
		node = node->rb_left;
	}
	return node;
}

/* The first node; NULL of an empty tree. */
static __maybe_unused struct rb_node *ovm_rb_first(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	return node ? ovm_rb_leftmost(node) : NULL;
}

/* The node behind another one, or NULL. */
static __maybe_unused struct rb_node *ovm_rb_next(struct rb_node *node)
{
	struct rb_node *parent;

	if (node->rb_right)
		return ovm_rb_leftmost(node->rb_right);
	for (unsigned int height = 0; (parent = rb_parent(node)); height++) {
		if (height > OVM_RB_MAX_HEIGHT)
			llv_fail(LLV_CORRUPT, node, "a red-black tree is too high");
		if (node != parent->rb_right)
			break;
		node = parent;
	}
	return parent;
}

#endif /* OVM_VMI_EXTRACT_RBTREE_H */
