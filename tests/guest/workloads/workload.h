/* SPDX-License-Identifier: GPL-2.0-only */
/* What every workload does in the same way; README has the phases and the annotations. */
#ifndef OVM_WORKLOADS_WORKLOAD_H
#define OVM_WORKLOADS_WORKLOAD_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define WORKLOAD_NS_PER_S 1000000000LL

/** How much too early a wait may end: the grain of the clocks that are compared. */
#define WORKLOAD_EARLY (50 * 1000000LL)
/** How much too late: guests may be emulated on a busy machine. */
#define WORKLOAD_LATE (3 * WORKLOAD_NS_PER_S)

/**
 * Take up the arguments, a session of its own and /dev/null as fds 0 to 2.
 *
 * @prepare makes the files that the workload uses, of the same content each time; NULL if there are
 * none. For `--prepare DIR` it is called and the program ends.
 */
void workload_start(int argc, char **argv, void (*prepare)(void));

/** Make DIR the root directory; go and result are there. */
void workload_chroot(void);

/** DIR/NAME.@what, in a static buffer that the next call overwrites. */
const char *workload_path(const char *what);

/** Create DIR/NAME.@what with @length bytes of the pattern @seed. */
void workload_make_file(const char *what, size_t length, uint64_t seed);

/** The set-up is done: from now on the process may be dumped. */
void workload_ready(void);

/** Whether DIR/go exists. */
bool workload_go(void);

/** Sleep until DIR/go exists. */
void workload_wait(void);

/** Report that every invariant holds. */
void workload_pass(void) __attribute__((noreturn));

/** Report the first broken invariant. */
void workload_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** Report what this machine lacks. */
void workload_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** Fail with a message (printf) unless @cond. Before workload_ready(): the set-up didn't work. */
#define CHECK(cond, ...)                            \
	do {                                        \
		if (!(cond))                        \
			workload_fail(__VA_ARGS__); \
	} while (0)

/** CHECK for calls that set errno. */
#define CHECK_CALL(cond) CHECK(cond, "%s: %s", #cond, strerror(errno))

/** The clock in ns. */
int64_t workload_clock(clockid_t clock);

/** CLOCK_MONOTONIC in ns. */
int64_t workload_now(void);

/** The time that a timed wait lasts, in ns. */
int64_t workload_timeout(void);

struct timespec workload_timespec(int64_t ns);
int64_t workload_ns(struct timespec ts);

/** Fail unless now is the @deadline (CLOCK_MONOTONIC, ns), and go was there before the end. */
void workload_check_deadline(int64_t deadline);

/** Start a thread. */
pthread_t workload_thread(void *(*run)(void *), void *arg);

/** Wait until thread @tid of this process sleeps in system call @nr. */
void workload_until_in_call(pid_t tid, long nr);

/** The word at an index of a pattern that no shift, exchange or repetition of pages reproduces. */
uint64_t workload_word(uint64_t seed, uint64_t index);

/** Fill memory with the words of the pattern @seed, least significant byte first. */
void workload_fill(void *memory, size_t length, uint64_t seed);

/** Fail, naming @what and the offset, unless memory is as workload_fill() left it. */
void workload_check_fill(const void *memory, size_t length, uint64_t seed, const char *what);

/** Read /proc/self/@name (at most @size - 1 bytes, then NUL); the number of bytes. */
size_t workload_proc(const char *name, char *buffer, size_t size);

/** A mapping as /proc/self/smaps tells it. */
struct workload_vma {
	unsigned long start, end;
	char prot[5];
	unsigned long long offset;
	char path[256];
	/* VmFlags: words of two letters, each with a blank behind. */
	char flags[128];
};

/** The mapping that @address is in; fails if there is none. */
struct workload_vma workload_vma(const void *address);

#endif /* OVM_WORKLOADS_WORKLOAD_H */
