// SPDX-License-Identifier: GPL-2.0-only
/*
 * inventory.img, and what belongs to no process: timens-0.img.
 */
#include "file.h"
#include "namespaces.h"
#include "proto/inventory.pb-c.h"
#include "proto/timens.pb-c.h"
#include "write.h"

enum {
	/* CRTOOLS_IMAGES_V1_1: all other images begin with the common magic. */
	IMAGE_VERSION = 2,
	/* Memory may be compressed; CRIU up to 4.2 refuses it. */
	COMPRESSED_IMAGE_VERSION = 3,
	COMPRESSED_BY_LZ4 = 1,
	/* Number of the cgroup set that means: where the restoring CRIU is. */
	ROOT_CGROUP_SET = OVM_IMAGE_CGROUP_SET,
	/* How the restoring CRIU keeps the network still; iptables. */
	NETWORK_LOCK_METHOD = 0,
	NSEC_PER_SEC = 1000000000,
};

struct ovm_error *ovm_image_write_inventory(const struct ovm_image_set *set, int dir_fd)
{
	InventoryEntry entry = INVENTORY_ENTRY__INIT;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;

	ovm_image_fill_ids(&ids, 1);
	entry.img_version = IMAGE_VERSION;
	entry.has_fdinfo_per_id = entry.fdinfo_per_id = true;
	entry.root_ids = &ids;
	entry.has_ns_per_id = entry.ns_per_id = true;
	entry.has_root_cg_set = true;
	entry.root_cg_set = ROOT_CGROUP_SET;
	entry.has_lsmtype = true;
	entry.lsmtype = LSMTYPE__NO_LSM;
	entry.has_network_lock_method = true;
	entry.network_lock_method = NETWORK_LOCK_METHOD;
	if (set->block_size) {
		entry.img_version = COMPRESSED_IMAGE_VERSION;
		entry.has_compress = entry.has_compress_block_size = true;
		entry.compress = COMPRESSED_BY_LZ4;
		entry.compress_block_size = set->block_size;
	}
	return ovm_image_file_write(dir_fd, OVM_IMAGE_INVENTORY, 0, &entry.base);
}

static void fill_timespec(Timespec *timespec, uint64_t ns)
{
	timespec->tv_sec = ns / NSEC_PER_SEC;
	timespec->tv_nsec = ns % NSEC_PER_SEC;
}

/* The time namespace 0 stands for a process that has none of its own: restore gives it one. */
struct ovm_error *ovm_image_write_timens(const struct ovm_image_set *set, int dir_fd)
{
	TimensEntry entry = TIMENS_ENTRY__INIT;
	Timespec monotonic = TIMESPEC__INIT, boottime = TIMESPEC__INIT;

	fill_timespec(&monotonic, set->clock_monotonic);
	fill_timespec(&boottime, set->clock_boottime);
	entry.monotonic = &monotonic;
	entry.boottime = &boottime;
	return ovm_image_file_write(dir_fd, OVM_IMAGE_TIMENS, 0, &entry.base);
}
