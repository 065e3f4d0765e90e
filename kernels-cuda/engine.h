/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page engine: finds the pages of a guest process and copies them out.
 *
 * walk     page tables -> runs of pages of one kind, in address order
 * list     runs -> what to copy and where, by prefix sums, and the pagemap
 * copy     guest RAM -> page sink, by several threads, in any order
 * pack     the same, without what the image can do without: see pack.h
 *
 * The engine knows page tables and runs, not files or image formats. It has
 * back ends that give the same runs and the same bytes: "cpu" is always there.
 *
 * One thread per engine at a time; many engines may share a memory. Callbacks
 * run on the thread that called the engine, except a sink's write function.
 */
#ifndef OVM_KERNELS_CUDA_ENGINE_H
#define OVM_KERNELS_CUDA_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "../vmi/error.h"
#include "../vmi/memory.h"
#include "pack.h"
#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_device;
struct ovm_engine;
struct ovm_page_sink;

/** How a device is opened. */
typedef struct ovm_error *ovm_device_open_fn(struct ovm_device **ret);

enum ovm_backend {
	/** The best one that works here. */
	OVM_BACKEND_AUTO,
	OVM_BACKEND_CPU,
	OVM_BACKEND_CUDA,
};

struct ovm_engine_options {
	/** sizeof(struct ovm_engine_options). */
	size_t size;
	enum ovm_backend backend;
	/** Worker threads; 0 means one per CPU this process may use, at most 16. */
	unsigned int nr_threads;
};

/**
 * Make an engine. @options may be NULL.
 *
 * Errors: OVM_ERROR_USAGE when the back end asked for is not in this build, or when
 * OVM_BACKEND_CUDA finds no device.
 */
struct ovm_error *ovm_engine_create(const struct ovm_engine_options *options,
				    struct ovm_engine **ret);

/**
 * The same, but what stands for "cuda" is the device that @open opens: for devices that are not
 * CUDA's, such as the one of the tests.
 */
struct ovm_error *ovm_engine_create_on(const struct ovm_engine_options *options,
				       ovm_device_open_fn *open, struct ovm_engine **ret);

/** Whether the device failed after it had worked. */
bool ovm_engine_gave_up(const struct ovm_engine *engine);

/** Whether an engine made with these options would be no other than this one. */
bool ovm_engine_is_like(const struct ovm_engine *engine, const struct ovm_engine_options *options);

/** Stop the engine's threads and free it; NULL is fine. The memory stays. */
void ovm_engine_destroy(struct ovm_engine *engine);

/** The name of the back end in use: "cpu" or "cuda". */
const char *ovm_engine_backend_name(const struct ovm_engine *engine);

/**
 * Why OVM_BACKEND_AUTO, or a device that failed, has made it the CPU: a sentence for people, or
 * NULL. Valid until the engine is used again.
 */
const char *ovm_engine_reason(const struct ovm_engine *engine);

/** The number of worker threads. */
unsigned int ovm_engine_nr_threads(const struct ovm_engine *engine);

/**
 * Let the engine work on @memory, which must outlive the engine or the next attach. What costs
 * time once per guest (placement of threads, registration with a device) happens here.
 */
struct ovm_error *ovm_engine_attach(struct ovm_engine *engine, const struct ovm_memory *memory);

/** Bytes of RAM of the guest that the engine is attached to. */
uint64_t ovm_engine_ram_size(const struct ovm_engine *engine);

/** How much of a guest's RAM a device reads in place; all of it is 0 for the CPU. */
struct ovm_engine_device_stats {
	/** Bytes that are mapped into the device, and bytes with data that have to be staged. */
	uint64_t mapped, staged;
	/** Pieces that are registered with the device one by one. */
	uint64_t nr_pieces;
	/** Why something has to be staged, or NULL; valid until the engine is used again. */
	const char *reason;
};

/** Tell how the device sees the guest that the engine is attached to. */
void ovm_engine_device_stats(const struct ovm_engine *engine, struct ovm_engine_device_stats *ret);

/** Where the guest kernel keeps its page descriptors (struct page, SPARSEMEM_VMEMMAP). */
struct ovm_page_layout {
	/** Guest physical address of the kernel's top page table (swapper_pg_dir). */
	uint64_t kernel_pgd;
	/** Guest virtual address of the descriptor of page frame 0 (vmemmap_base). */
	uint64_t vmemmap_base;
	/** sizeof(struct page). */
	uint32_t page_size;
	/** Offset of page.mapping, whose bit 0 says anonymous. */
	uint32_t mapping_offset;
	/** Offset of page.compound_head, whose bit 0 says tail page. */
	uint32_t compound_head_offset;
};

struct ovm_walk_request {
	/** sizeof(struct ovm_walk_request). */
	size_t size;
	/** Guest physical address of the process' top page table (mm->pgd). */
	uint64_t pgd;
	/** Levels of the page tables: 4 or 5. */
	unsigned int levels;
	/** Physical address bits of the guest's CPU (32 to 52); 0 means 52. */
	unsigned int phys_bits;
	/** Bits of an entry that say "encrypted" and belong to no address (sme_me_mask). */
	uint64_t sme_mask;
	/** What to walk: sorted by address, disjoint. */
	const struct ovm_walk_range *ranges;
	size_t nr_ranges;
	/** How to tell anonymous pages from others; NULL: mapped RAM is OVM_PAGE_MAPPED. */
	const struct ovm_page_layout *page;
	/** The zero page and the huge zero page, as far as they exist. */
	const struct ovm_gpa_range *zero_pages;
	size_t nr_zero_pages;
	/** Swap types below this are swap files (the kernel's nr_swapfiles). */
	unsigned int nr_swap_types;
	/** Masks of the swap types (bit n: type n) that mean migration and marker. */
	uint32_t migration_types;
	uint32_t marker_types;
	/** Most page-table entries to look at; a table counts as 512, a huge page as 64. 0: by RAM
	 * size. */
	uint64_t max_entries;
	/** Most runs to return; 0: by RAM size. */
	uint64_t max_runs;
	/** Asked now and then; true stops the walk. May be NULL. */
	bool (*cancelled)(void *arg);
	void *arg;
};

struct ovm_walk_result {
	/** In address order. */
	struct ovm_run *runs;
	size_t nr_runs;
	/** Pages by kind, those that no run was asked for included. */
	uint64_t pages[OVM_PAGE_NR_KINDS];
	/** How many of them are OVM_RUN_PROT_NONE. */
	uint64_t prot_none_pages;
	/** Page tables read. */
	uint64_t tables;
};

/**
 * Walk page tables and return runs, the same ones whatever the number of threads.
 *
 * Each table is copied once and then decoded, so a guest that runs on can give wrong answers but
 * no inconsistent ones. Damaged tables give runs of OVM_PAGE_BAD, not errors.
 * Format: Intel SDM volume 3, 4.5; entries that are not present: Linux 4.19 to 6.12,
 * arch/x86/include/asm/pgtable_64.h, pgtable-invert.h.
 *
 * Errors: OVM_ERROR_USAGE, OVM_ERROR_CORRUPT when @pgd is not RAM or the ranges, which come from
 * the guest, overlap; OVM_ERROR_BUDGET, OVM_ERROR_CANCELLED, OVM_ERROR_UNREACHABLE,
 * OVM_ERROR_NO_MEMORY.
 */
struct ovm_error *ovm_engine_walk(struct ovm_engine *engine, const struct ovm_walk_request *request,
				  struct ovm_walk_result **ret);

/**
 * The same for many processes of a guest at once: @ret[i] becomes the result of @requests[i].
 *
 * Levels and page layout have to be the same in all requests. On an error all of @ret are NULL,
 * and *@failed, which may be NULL, is the index of the request that it is about.
 */
struct ovm_error *ovm_engine_walk_batch(struct ovm_engine *engine,
					const struct ovm_walk_request *requests, size_t nr,
					struct ovm_walk_result **ret, size_t *failed);

/** Free a result; NULL is fine. */
void ovm_walk_result_free(struct ovm_walk_result *result);

/** One contiguous piece of guest RAM to copy. */
struct ovm_copy_run {
	uint64_t gpa;
	uint64_t nr_pages;
	/** Where it goes in the sink, in bytes. */
	uint64_t offset;
};

/** One contiguous piece of the process' address space whose pages are copied. */
struct ovm_page_extent {
	uint64_t va;
	uint64_t nr_pages;
	/** Where it is in the sink, in bytes. */
	uint64_t offset;
};

struct ovm_page_list {
	/** What to copy, by rising offset; pieces adjacent in the sink and in RAM are one. */
	struct ovm_copy_run *copies;
	size_t nr_copies;
	/** The pagemap: adjacent addresses are one extent, whatever range and RAM they are in. */
	struct ovm_page_extent *extents;
	size_t nr_extents;
	uint64_t nr_pages;
};

/**
 * Make the list of pages to copy from the runs whose kind is in @kinds, a subset of
 * OVM_PAGE_KINDS_RAM; offsets are prefix sums from 0.
 */
struct ovm_error *ovm_page_list_create(const struct ovm_run *runs, size_t nr, uint32_t kinds,
				       struct ovm_page_list **ret);

/** Free a list; NULL is fine. */
void ovm_page_list_free(struct ovm_page_list *list);

struct ovm_copy_request {
	/** sizeof(struct ovm_copy_request). */
	size_t size;
	const struct ovm_copy_run *copies;
	size_t nr_copies;
	struct ovm_page_sink *sink;
	/** Most bytes per write, a multiple of 4 KiB up to 64 MiB; 0 means 2 MiB. */
	size_t chunk;
	/** Asked now and then; true stops the copy. May be NULL. */
	bool (*cancelled)(void *arg);
	/** Told how many bytes of how many are written. May be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/**
 * Copy pages from guest RAM into a sink.
 *
 * Holes of a sparse RAM file are written as zeroes and stay holes. After an error the sink holds
 * some of the pages.
 *
 * Errors: OVM_ERROR_FAULT for what is not RAM, OVM_ERROR_OUTPUT, OVM_ERROR_CANCELLED,
 * OVM_ERROR_UNREACHABLE, what a custom sink returns.
 */
struct ovm_error *ovm_engine_copy(struct ovm_engine *engine,
				  const struct ovm_copy_request *request);

/**
 * Write into a sink at a byte offset. Worker threads call it at the same time, in any order, but
 * not for places that overlap. A place may be written again later, with other bytes: it is the last
 * ones that count. The buffers may be guest memory, which may change; they are valid in the call
 * only.
 */
typedef struct ovm_error *ovm_sink_write_fn(void *arg, const struct iovec *iov, int nr_iov,
					    uint64_t offset);

/** Make a sink from a function. */
struct ovm_error *ovm_page_sink_create(ovm_sink_write_fn *write, void *arg,
				       struct ovm_page_sink **ret);

/**
 * Make a sink that writes into @fd at @base and up; @path is for messages only and may be NULL.
 * The file descriptor stays the caller's.
 */
struct ovm_error *ovm_page_sink_create_file(int fd, uint64_t base, const char *path,
					    struct ovm_page_sink **ret);

/** Make a sink that copies into a buffer of the caller; writing past it is OVM_ERROR_OUTPUT. */
struct ovm_error *ovm_page_sink_create_buffer(void *buf, size_t size, struct ovm_page_sink **ret);

/** Make a sink that reads nothing and keeps nothing. */
struct ovm_error *ovm_page_sink_create_discard(struct ovm_page_sink **ret);

/** Free a sink; NULL is fine. */
void ovm_page_sink_destroy(struct ovm_page_sink *sink);

#ifdef __cplusplus
}
#endif

#endif /* OVM_KERNELS_CUDA_ENGINE_H */
