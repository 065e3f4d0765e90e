/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A load that is frozen and thawed from outside, and checks itself.
 *
 * What it has done is counted in an area that it shares with whoever watches it: a slot for each
 * thread that may not stand still. The first invariant that breaks is told there, too.
 */
#ifndef OVM_TESTS_FREEZE_LOAD_H
#define OVM_TESTS_FREEZE_LOAD_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { LOAD_SLOTS = 192, LOAD_THREADS = 64 };

struct slot {
	/* Empty: the slot isn't used. With '-' in front: it makes no turns. */
	char name[20];
	pid_t tid;
	uint64_t turns;
	/* Calls that failed with EINTR where signal(7) allows that after a stop. */
	uint64_t interrupted;
	uint64_t unused[3];
};

struct area {
	/* Everything was started. */
	uint32_t ready;
	/* The load is to come to an end and to check the rest. */
	uint32_t stop;
	/* It has, and waits to be killed. */
	uint32_t done;
	uint32_t failed;
	uint32_t nr_slots;
	char message[256];
	struct slot slots[LOAD_SLOTS];
};

extern struct area *area;
/* This program, for exec. */
extern const char *program;

/* Tell what broke; ends the process. */
void load_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define CHECK(condition, ...)                   \
	do {                                    \
		if (!(condition))               \
			load_fail(__VA_ARGS__); \
	} while (0)

/* A slot for the caller, or for a thread that is about to be started. */
struct slot *load_slot(const char *kind);

/* A turn is done. */
static inline void load_turn(struct slot *slot)
{
	__atomic_fetch_add(&slot->turns, 1, __ATOMIC_RELAXED);
}

static inline bool load_stopping(void)
{
	return __atomic_load_n(&area->stop, __ATOMIC_RELAXED);
}

/* Sleep; the call must not be interrupted, nor end early. */
void load_sleep_us(unsigned int us);

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t load_now_us(void);

/* A thread with a small stack. */
pthread_t load_thread(void *(*run)(void *arg), void *arg);
void load_join(pthread_t thread);

/* Fork; the child calls @run and ends with what it returns. */
pid_t load_fork(int (*run)(void *arg), void *arg);

/* Wait for a child; nothing but an end with that status may be seen of it. */
void load_reap(pid_t pid, int status);

/* Memory that children share. */
void *load_shared(size_t size);

/* The loads; each returns when all its checks are done. */
void load_spin(void);
void load_sleepers(void);
void load_signals(void);
void load_churn(void);
void load_spawn(void);
void load_faults(void);
void load_pipeline(void);
void load_plain(void);
void load_vfork(void);
void load_ptrace(void);
void load_traced(void);
void load_seccomp(void);
void load_stopped(void);

#endif /* OVM_TESTS_FREEZE_LOAD_H */
