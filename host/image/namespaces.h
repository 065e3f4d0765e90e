/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers that stand for the initial namespaces and the cgroup of the maker. */
#ifndef OVM_HOST_IMAGE_NAMESPACES_H
#define OVM_HOST_IMAGE_NAMESPACES_H

#include <stdint.h>

#include "proto/ids.pb-c.h"

enum {
	/* In the inventory and with a process: it stays in the cgroups of the restoring CRIU. */
	OVM_IMAGE_CGROUP_SET = 1,
	/* Number of an IPC namespace that is made anew. */
	OVM_IMAGE_OWN_IPC_NS = 20,
};

/**
 * Fill in numbers: @own for what a process shares with nobody, and those of the initial
 * namespaces. Namespaces whose numbers equal those in the inventory are not made anew.
 */
void ovm_image_fill_ids(TaskKobjIdsEntry *ids, uint32_t own);

#endif /* OVM_HOST_IMAGE_NAMESPACES_H */
