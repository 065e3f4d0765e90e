// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks: whether they are held, and by whom.
 *
 * A lock that is held means that what it guards may be half changed.  The
 * words of locks are read, never waited for.
 */
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>

#include "extract.h"

/*
 * With CONFIG_PREEMPT_RT, spinlock_t, rwlock_t, mutex and rw_semaphore are made of rt_mutex_base
 * (linux/spinlock_types.h, linux/rwbase_rt.h; Linux 5.15 and later).
 */
struct rt_mutex_base___ovm {
	struct task_struct *owner;
};

struct spinlock___rt {
	struct rt_mutex_base___ovm lock;
};

struct mutex___rt {
	struct rt_mutex_base___ovm rtmutex;
};

struct rwbase_rt___ovm {
	atomic_t readers;
	struct rt_mutex_base___ovm rtmutex;
};

struct rwlock_rt___ovm {
	struct rwbase_rt___ovm rwbase;
};

struct rw_semaphore___rt {
	struct rwbase_rt___ovm rwbase;
};

enum {
	/* kernel/locking/rwsem.c: bit 0 of count is the writer's, readers count from bit 8 up. */
	RWSEM_WRITER = 1,
	RWSEM_READER_SHIFT = 8,
	/* The low bits of an owner are flags, in mutexes and semaphores alike. */
	OWNER_FLAGS = 7,
	/* linux/rwbase_rt.h: readers' counter without readers, and with a writer. */
	RT_WRITER_BIAS = 1 << 30,
};

static const u32 rt_reader_bias = 1U << 31;

/* qspinlock: zero means free, without waiters (asm-generic/qspinlock_types.h). */
LLV_SHARED bool ovm_raw_spin_held(const raw_spinlock_t *lock)
{
	if (!llv_field_exists(struct qspinlock, val))
		return false; /* a kernel for one CPU: its locks have no state */
	return lock->raw_lock.val.counter != 0;
}

LLV_SHARED bool ovm_spin_held(const spinlock_t *lock)
{
	if (llv_field_exists(struct spinlock, rlock))
		return ovm_raw_spin_held(&lock->rlock);
	return ((const struct spinlock___rt *)lock)->lock.owner != NULL;
}

/* qrwlock: the low byte of cnts is the writer's (asm-generic/qrwlock_types.h). */
LLV_SHARED bool ovm_rwlock_write_held(const rwlock_t *lock)
{
	if (llv_field_exists(struct qrwlock, wlocked))
		return lock->raw_lock.wlocked != 0;
	if (!llv_type_exists(struct rwbase_rt))
		return false;
	return ((const struct rwlock_rt___ovm *)lock)->rwbase.readers.counter == RT_WRITER_BIAS;
}

static bool rt_write_held(const struct rw_semaphore *sem)
{
	return ((const struct rw_semaphore___rt *)sem)->rwbase.readers.counter == RT_WRITER_BIAS;
}

static bool rt_read_held(const struct rw_semaphore *sem)
{
	u32 readers = ((const struct rw_semaphore___rt *)sem)->rwbase.readers.counter;

	return readers != rt_reader_bias && readers != RT_WRITER_BIAS && readers != 0;
}

LLV_SHARED bool ovm_rwsem_write_held(const struct rw_semaphore *sem)
{
	if (!llv_field_exists(struct rw_semaphore, count))
		return rt_write_held(sem);
	return sem->count.counter & RWSEM_WRITER;
}

LLV_SHARED bool ovm_rwsem_read_held(const struct rw_semaphore *sem)
{
	if (!llv_field_exists(struct rw_semaphore, count))
		return rt_read_held(sem);
	/* The sign bit says that readers have failed to get in, not that one is. */
	return (sem->count.counter & LONG_MAX) >> RWSEM_READER_SHIFT;
}

LLV_SHARED bool ovm_mutex_held(const struct mutex *lock)
{
	if (!llv_field_exists(struct mutex, owner))
		return ((const struct mutex___rt *)lock)->rtmutex.owner != NULL;
	return (lock->owner.counter & ~(long)OWNER_FLAGS) != 0;
}

/* The owner of a lock that was just being released may be gone: look before reading. */
static pid_t owner_pid(unsigned long owner)
{
	const struct task_struct *p =
		(const struct task_struct *)(owner & ~(unsigned long)OWNER_FLAGS);

	if (!p || !llv_readable(&p->pid, sizeof(pid_t)))
		return 0;
	return p->pid;
}

LLV_SHARED pid_t ovm_rwsem_owner(const struct rw_semaphore *sem)
{
	if (!llv_field_exists(struct rw_semaphore, owner))
		return 0;
	return owner_pid(sem->owner.counter);
}

LLV_SHARED pid_t ovm_mutex_owner(const struct mutex *lock)
{
	if (!llv_field_exists(struct mutex, owner))
		return 0;
	return owner_pid(lock->owner.counter);
}
