/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A made-up kernel in a few pages of RAM, to be written to: its image, a direct map, a page table
 * for what is mapped otherwise, symbols, and those of its types that freezing threads needs.
 */
#ifndef OVM_TESTS_UNIT_WRITE_GUEST_H
#define OVM_TESTS_UNIT_WRITE_GUEST_H

#include "vmi/kernel_private.h"
#include "vmi/write.h"

#define WRITE_DIRECT  UINT64_C(0xffff888000000000)
#define WRITE_VMALLOC UINT64_C(0xffffc90000000000)
#define WRITE_IMAGE   UINT64_C(0xffffffff81000000)
/** The last pages that there are addresses for. */
#define WRITE_TOP UINT64_C(0xfffffffffff00000)

enum {
	WRITE_PAGE = 4096,
	/** Two pieces of RAM, by number of pages, and where the second one is. */
	WRITE_LOW_PAGES = 1024,
	WRITE_HIGH_PAGES = 64,
	WRITE_HIGH = 16 << 20,
	/** The first page that is free. */
	WRITE_FREE = 16,
	/** Where in the image symbols are. */
	WRITE_BANNER = 0x10,
	WRITE_WAKE_UP = 0x800,
	WRITE_GATE = 0xa00,
	/** Members of struct task_struct; it is larger than a page. */
	TASK_TIF_FLAGS = 0,
	TASK_CPU = 12,
	TASK_STATE = 24,
	TASK_FLAGS = 44,
	TASK_ON_CPU = 52,
	TASK_ON_RQ = 104,
	TASK_EXIT_STATE = 2200,
	TASK_JOBCTL = 2224,
	TASK_BITS = 2244,
	TASK_PID = 2300,
	TASK_START_TIME = 2400,
	TASK_COMM = 2920,
	TASK_SIGHAND = 3000,
	TASK_PENDING = 3040,
	TASK_PI_LOCK = 4420,
	TASK_SIZE = 6016,
	SIGHAND_SIGLOCK = 4,
	SIGHAND_SIZE = 2088,
	SIGNAL_SIZE = 1160,
};

struct write_guest {
	struct ovm_memory *memory;
	struct ovm_kernel *kernel;
	/** RAM, both pieces behind one another. */
	uint8_t *ram;
	/** Of the page table that WRITE_VMALLOC and WRITE_TOP are mapped by. */
	uint64_t *vmalloc, *top;
};

/** Options that change what is made. */
struct write_guest_options {
	/** RAM is this process' own, not a file's. */
	bool private_ram;
	/** One symbol more, in the image. */
	const char *symbol;
	/** The list of calls is the one of v5.7. */
	bool old_calls;
	/** Tell members at impossible places. */
	bool bad_types;
};

/** False when there is no memory. */
bool write_guest_start(struct write_guest *guest, const struct write_guest_options *options);

void write_guest_stop(struct write_guest *guest);

/** Where a guest physical address lies here. */
uint8_t *write_guest_at(const struct write_guest *guest, uint64_t gpa);

/** Map page @nr of WRITE_VMALLOC or WRITE_TOP. */
void write_guest_map(uint64_t *table, unsigned int nr, uint64_t gpa);

#endif /* OVM_TESTS_UNIT_WRITE_GUEST_H */
