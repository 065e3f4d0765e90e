/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A recorded guest whose memory lies.
 *
 * What the tool reads of the guest is found out once, by watching it. A round then falsifies some
 * of these words, lets the tool do everything that a dump does, and puts them back.
 */
#ifndef OVM_TESTS_UNIT_HOSTILE_H
#define OVM_TESTS_UNIT_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hostile;

/** Words that can be falsified, by what they are read for. */
enum hostile_set {
	/** Locks and threads, then all of the process. */
	HOSTILE_PROCESS,
	/** The list of processes. */
	HOSTILE_LIST,
	/** Page tables of the process. */
	HOSTILE_TABLES,
	/** Descriptors of its pages. */
	HOSTILE_PAGES,
	/** Variables of the kernel, and its page tables. */
	HOSTILE_KERNEL,
	/** What freezing looks at: threads, stacks of idle ones, queues of calls. */
	HOSTILE_FREEZER,
	HOSTILE_NR_SETS,
};

/** One lie; a list of them is the input of a round. */
struct hostile_lie {
	/** enum hostile_set and what becomes of the word, both taken modulo their number. */
	uint8_t set;
	uint8_t how;
	/** Which word, modulo the number of those in the set. */
	uint16_t word;
	uint32_t low, high;
};

/** How far a round came. */
enum hostile_stage {
	HOSTILE_LISTED = 1 << 0,
	HOSTILE_LOOKED = 1 << 1,
	HOSTILE_CHECKED = 1 << 2,
	HOSTILE_FILLED = 1 << 3,
	HOSTILE_PLANNED = 1 << 4,
	HOSTILE_SAVABLE = 1 << 5,
	HOSTILE_WRITTEN = 1 << 6,
	HOSTILE_FROZEN_ONE = 1 << 7,
	HOSTILE_FROZEN_ALL = 1 << 8,
};

/** What a round may take at most; more is a failure of the tool. */
enum {
	/** Of the CPU, sanitizers included. */
	HOSTILE_MAX_MS = 8000,
	/** Times the guest's RAM. */
	HOSTILE_MAX_OUTPUT = 9,
};

struct hostile_result {
	/** Mask of enum hostile_stage. */
	unsigned int stages;
	/** Of the CPU. */
	uint64_t milliseconds;
	/** Bytes of pages that were to be written. */
	uint64_t output;
	/** Text of an error that holds what no terminal should be sent, or "". */
	char bad_text[256];
};

/** Open the snapshot @name; false with a reason (of the caller's) when that does not work. */
bool hostile_open(const char *name, struct hostile **ret, char *reason, size_t reason_size);

void hostile_close(struct hostile *hostile);

/** Bytes of the guest's RAM. */
uint64_t hostile_ram_size(const struct hostile *hostile);

/** How many words a set has. */
size_t hostile_words(const struct hostile *hostile, enum hostile_set set);

/** Do a round; the guest is as it was afterwards. */
void hostile_round(struct hostile *hostile, const struct hostile_lie *lies, size_t nr,
		   struct hostile_result *ret);

/** Freeze, thaw and kill only, with what is in memory now. */
void hostile_freeze_only(struct hostile *hostile, struct hostile_result *ret);

/** Falsify words, find the kernel anew and list its processes; the guest is as it was afterwards.
 */
void hostile_attach(struct hostile *hostile, const struct hostile_lie *lies, size_t nr,
		    struct hostile_result *ret);

#endif /* OVM_TESTS_UNIT_HOSTILE_H */
