/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A made-up process, as extractors and the page engine would describe it: two threads, a program,
 * a heap, a stack, shared memory, a memfd, vDSO. Tests change what they are about.
 */
#ifndef OVM_TESTS_UNIT_IMAGE_MODEL_H
#define OVM_TESTS_UNIT_IMAGE_MODEL_H

#include "host/image/image.h"
#include "vmi/vcpu.h"

enum {
	MODEL_PID = 4711,
	MODEL_TID = 4713,
};

enum model_file {
	MODEL_EXE,
	MODEL_NULL,
	MODEL_LOG,
	MODEL_SHM,
	MODEL_MEMFD,
	MODEL_CWD,
	MODEL_ROOT,
	/* The program again, as another mapping of it has it. */
	MODEL_EXE_TWICE,
	MODEL_NR_FILES,
};

enum model_vma {
	MODEL_CODE,
	MODEL_DATA,
	MODEL_HEAP,
	MODEL_SHARED,
	MODEL_MEMFD_PRIVATE,
	MODEL_STACK,
	MODEL_VVAR,
	MODEL_VDSO,
	MODEL_NR_VMAS,
};

enum { MODEL_NR_FDS = 4, MODEL_NR_THREADS = 2, MODEL_NR_SHMEM = 2, MODEL_NR_PAGEMAP = 3 };

struct image_model {
	struct ovm_rec_tree tree;
	struct ovm_rec_process process;
	struct ovm_rec_thread threads[MODEL_NR_THREADS];
	struct ovm_rec_file files[MODEL_NR_FILES];
	struct ovm_rec_fd fds[MODEL_NR_FDS];
	struct ovm_rec_vma vmas[MODEL_NR_VMAS];
	struct ovm_rec_shmem shmem[MODEL_NR_SHMEM];
	uint8_t xsave[MODEL_NR_THREADS][OVM_XSAVE_BYTES];

	struct ovm_image_thread image_threads[MODEL_NR_THREADS];
	struct ovm_image_shmem image_shmem[MODEL_NR_SHMEM];
	struct ovm_image_pagemap_entry pagemap[MODEL_NR_PAGEMAP], shmem_pagemap[1];
	struct ovm_image_process image;
	struct ovm_image_set set;
};

/** Fill in the model; it must not be moved afterwards. */
void image_model_init(struct image_model *model);

/** Bytes of a string literal, or another that stays. */
struct ovm_rec_bytes image_model_bytes(const char *text);

#endif /* OVM_TESTS_UNIT_IMAGE_MODEL_H */
