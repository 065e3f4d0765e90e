/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts that core-TID.img is made of. */
#ifndef OVM_HOST_IMAGE_CORE_H
#define OVM_HOST_IMAGE_CORE_H

#include "image.h"
#include "pool.h"
#include "proto/core.pb-c.h"

/* Each returns NULL when memory is out; the result lives in the pool. */

/** Registers, extended state, TLS. */
ThreadInfoX86 *ovm_image_thread_info(struct ovm_image_pool *pool,
				     const struct ovm_image_thread *thread);

/** The rest of a thread; the leader's signal mask is not in it. */
ThreadCoreEntry *ovm_image_thread_core(struct ovm_image_pool *pool,
				       const struct ovm_image_thread *thread, bool leader);

/** What the threads share. */
TaskCoreEntry *ovm_image_task_core(struct ovm_image_pool *pool,
				   const struct ovm_image_process *process);

/** What is left of a process that has ended. */
TaskCoreEntry *ovm_image_zombie_core(struct ovm_image_pool *pool,
				     const struct ovm_image_process *process);

/** Timers, both kinds. */
TaskTimersEntry *ovm_image_timers(struct ovm_image_pool *pool,
				  const struct ovm_image_process *process);

/** Pending signals; an empty list for NULL. */
SignalQueueEntry *ovm_image_signals(struct ovm_image_pool *pool,
				    const struct ovm_rec_signal *signals);

#endif /* OVM_HOST_IMAGE_CORE_H */
