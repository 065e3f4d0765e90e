/* SPDX-License-Identifier: GPL-2.0-only */
/* What the page engine is asked and what it answers: plain types that C, C++ and CUDA share. */
#ifndef OVM_KERNELS_CUDA_RUN_H
#define OVM_KERNELS_CUDA_RUN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	OVM_PAGE_SHIFT = 12,
	OVM_PAGE_SIZE = 1 << OVM_PAGE_SHIFT,
};

/** What a page-table entry of a process holds. */
enum ovm_page_kind {
	/** Mapped RAM that belongs to an anonymous mapping, KSM pages included. */
	OVM_PAGE_ANON,
	/** Mapped RAM that is not anonymous: page cache, shared memory, vdso, driver memory. */
	OVM_PAGE_FILE,
	/** Mapped RAM that was not classified, because the request has no page layout. */
	OVM_PAGE_MAPPED,
	/** The kernel's zero page or huge zero page. */
	OVM_PAGE_ZERO,
	/** Mapped, but not RAM. */
	OVM_PAGE_DEVICE,
	/** In a swap file. */
	OVM_PAGE_SWAP,
	/** Being migrated. */
	OVM_PAGE_MIGRATION,
	/** A marker that stands for no page: userfaultfd write protection, guard pages. */
	OVM_PAGE_MARKER,
	/** Another entry that is not present: poisoned page, private device memory. */
	OVM_PAGE_OTHER,
	/** Page tables or page descriptors that contradict themselves. */
	OVM_PAGE_BAD,
	OVM_PAGE_NR_KINDS,
};

/** The bit that stands for an enum ovm_page_kind in a mask of kinds. */
#define OVM_PAGE_BIT(kind) (UINT32_C(1) << (kind))

/** The kinds whose contents are in guest RAM. */
#define OVM_PAGE_KINDS_RAM                                           \
	(OVM_PAGE_BIT(OVM_PAGE_ANON) | OVM_PAGE_BIT(OVM_PAGE_FILE) | \
	 OVM_PAGE_BIT(OVM_PAGE_MAPPED) | OVM_PAGE_BIT(OVM_PAGE_ZERO))

/** Flags of a range to walk. */
enum ovm_range_flags {
	/** All mapped RAM here is anonymous: don't look at the page descriptors. */
	OVM_RANGE_ANON = 1 << 0,
};

/** A piece of the process' address space to walk. */
struct ovm_walk_range {
	/** First address, and the first one after it; multiples of 4 KiB in the user half. */
	uint64_t start;
	uint64_t end;
	/** Mask of the kinds that become runs; 0 means all. All kinds are counted. */
	uint32_t kinds;
	/** enum ovm_range_flags. */
	uint32_t flags;
};

/** A piece of guest physical memory. */
struct ovm_gpa_range {
	uint64_t gpa;
	/** Bytes. */
	uint64_t size;
};

/** Flags of a run. */
enum ovm_run_flags {
	/** The process may not touch the pages (PROT_NONE, NUMA hinting), but their data is there.
	 */
	OVM_RUN_PROT_NONE = 1 << 0,
};

/** Pages of one kind at consecutive virtual addresses within one range. */
struct ovm_run {
	uint64_t va;
	/**
	 * RAM and device: guest physical address of the first page; the others follow it, but
	 * for OVM_PAGE_ZERO. OVM_PAGE_SWAP: page number in the swap file, likewise. Migration,
	 * marker, other: the offset field of the entry. OVM_PAGE_BAD: 0.
	 */
	uint64_t gpa;
	uint64_t nr_pages;
	/** Index of the range. */
	uint32_t range;
	/** enum ovm_page_kind. */
	uint8_t kind;
	/** enum ovm_run_flags. */
	uint8_t flags;
	/** The swap type of an entry that is not present, else 0. */
	uint8_t swap_type;
	uint8_t reserved;
};

#ifdef __cplusplus
}
#endif

#endif /* OVM_KERNELS_CUDA_RUN_H */
