/* SPDX-License-Identifier: GPL-2.0-only */
/* Where guest RAM lies: QEMU's memory map, and the host mappings behind it. */
#ifndef OVM_VMI_RAM_LAYOUT_H
#define OVM_VMI_RAM_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "memory.h"

/** A contiguous piece of guest physical address space that shows one RAM block of QEMU's. */
struct ovm_layout_range {
	uint64_t gpa;
	uint64_t size;
	/** Offset in the RAM block. */
	uint64_t offset;
	/** Address in QEMU's address space; 0 until it is asked for. */
	uint64_t hva;
	/** Name of QEMU's memory region. */
	char name[128];
};

struct ovm_layout {
	struct ovm_layout_range *ranges;
	size_t nr;
};

/**
 * Parse the answer to "info mtree -f": the RAM of the view called "memory", which is what a CPU
 * outside system management mode sees. Read-only ranges, devices and non-volatile memory are left
 * out.
 *
 * Errors: OVM_ERROR_UNREACHABLE when there is no such view, or no RAM in it.
 */
struct ovm_error *ovm_layout_parse(const char *mtree, struct ovm_layout *ret);

/** Drop the ranges whose region @keep denies: RAM of devices, a display's for instance. */
void ovm_layout_filter(struct ovm_layout *layout, bool (*keep)(void *arg, const char *name),
		       void *arg);

/** Bytes of RAM blocks that @layout shows, each block counted from its start to its last byte. */
uint64_t ovm_layout_total(const struct ovm_layout *layout);

void ovm_layout_deinit(struct ovm_layout *layout);

/** Parse the answer to "gpa2hva"; false when it holds no address. */
bool ovm_layout_parse_hva(const char *text, uint64_t *ret);

/** A mapping of a process, as /proc/PID/maps has it. */
struct ovm_host_vma {
	uint64_t start, end;
	uint64_t offset;
	dev_t device;
	ino_t inode;
	bool shared, readable, writable;
	/** Path, possibly with " (deleted)" behind it, or "". */
	char *path;
};

struct ovm_host_maps {
	struct ovm_host_vma *vmas;
	size_t nr;
};

/** Read /proc/@pid/maps. */
struct ovm_error *ovm_host_maps_read(pid_t pid, struct ovm_host_maps *ret);

/** Parse the text of /proc/PID/maps. */
struct ovm_error *ovm_host_maps_parse(const char *text, struct ovm_host_maps *ret);

void ovm_host_maps_deinit(struct ovm_host_maps *maps);

/** Whether [@address, @address + @size) is mapped without a gap, readable and writable. */
bool ovm_host_maps_cover(const struct ovm_host_maps *maps, uint64_t address, uint64_t size);

/**
 * Turn a layout whose host addresses are known into a memory: shared files are opened through
 * /proc/@pid and mapped or read, private memory is read with process_vm_readv(2).
 *
 * @shared tells whether all of it is shared files.
 */
struct ovm_error *ovm_layout_open(const struct ovm_layout *layout, const struct ovm_host_maps *maps,
				  pid_t pid, struct ovm_memory **ret, bool *shared);

#endif /* OVM_VMI_RAM_LAYOUT_H */
