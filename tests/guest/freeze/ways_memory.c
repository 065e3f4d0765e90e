// SPDX-License-Identifier: GPL-2.0-only
/* Waiting for a token in memory, with clocks, futexes, signals and System V's ways. */
#include <linux/futex.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ways.h"

enum { NS_PER_S = 1000000000 };

bool way_was_interrupted(struct member *m, ssize_t result, const char *what)
{
	if (result >= 0)
		return false;
	CALL(m, errno == EINTR, what);
	m->slot->interrupted++;
	return true;
}

void way_put(struct member *m, uint64_t token)
{
	m->token = token;
	__atomic_store_n(&m->there, 1, __ATOMIC_SEQ_CST);
}

static bool is_there(struct member *m)
{
	return __atomic_load_n(&m->there, __ATOMIC_SEQ_CST);
}

uint64_t way_take(struct member *m)
{
	uint64_t token = m->token;

	CHECK(is_there(m), "%s: woken without a token", m->slot->name);
	__atomic_store_n(&m->there, 0, __ATOMIC_SEQ_CST);
	return token;
}

static uint64_t nanosleep_wait(struct member *m)
{
	while (!is_there(m))
		load_sleep_us(1000);
	return way_take(m);
}

static uint64_t until_wait(struct member *m)
{
	while (!is_there(m)) {
		struct timespec t;

		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 1500000;
		t.tv_sec += t.tv_nsec / NS_PER_S;
		t.tv_nsec %= NS_PER_S;
		errno = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL);
		CALL(m, !errno, "clock_nanosleep");
	}
	return way_take(m);
}

static void futex_sleep(struct member *m, const struct timespec *timeout)
{
	long n = syscall(SYS_futex, &m->there, FUTEX_WAIT_PRIVATE, 0, timeout, NULL, 0);

	CALL(m, !n || errno == EAGAIN, "futex");
}

static uint64_t futex_wait(struct member *m)
{
	while (!is_there(m))
		futex_sleep(m, NULL);
	return way_take(m);
}

static uint64_t futex_timed_wait(struct member *m)
{
	const struct timespec timeout = {.tv_sec = LONG_S};

	while (!is_there(m))
		futex_sleep(m, &timeout);
	return way_take(m);
}

static void futex_give(struct member *m, uint64_t token)
{
	way_put(m, token);
	CALL(m, syscall(SYS_futex, &m->there, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) >= 0, "futex");
}

/* ---- signals --------------------------------------------------------------------------------- */

static __thread volatile sig_atomic_t handled;

static void handle(int sig)
{
	(void)sig;
	handled++;
}

static uint64_t sigsuspend_wait(struct member *m)
{
	const struct sigaction action = {.sa_handler = handle};
	sigset_t set;

	sigaction(SIGUSR1, &action, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	sigdelset(&set, SIGUSR1);
	while (!is_there(m)) {
		sig_atomic_t before = handled;

		CALL(m, sigsuspend(&set) < 0 && errno == EINTR, "sigsuspend");
		CHECK(handled != before, "%s: sigsuspend ended without a signal", m->slot->name);
	}
	return way_take(m);
}

static void sigsuspend_give(struct member *m, uint64_t token)
{
	way_put(m, token);
	CHECK(!pthread_kill(m->thread, SIGUSR1), "pthread_kill");
}

static uint64_t sigtimedwait_wait(struct member *m)
{
	const struct timespec timeout = {.tv_sec = LONG_S};
	sigset_t set;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	while (way_was_interrupted(m, sigtimedwait(&set, &info, &timeout), "sigtimedwait"))
		;
	return way_take(m);
}

static void sigtimedwait_give(struct member *m, uint64_t token)
{
	way_put(m, token);
	CHECK(!pthread_kill(m->thread, SIGUSR2), "pthread_kill");
}

/* ---- System V -------------------------------------------------------------------------------- */

static void sem_init_member(struct member *m)
{
	m->in = semget(IPC_PRIVATE, 1, 0600);
	CALL(m, m->in >= 0, "semget");
}

static uint64_t sem_wait_member(struct member *m)
{
	struct sembuf down = {.sem_op = -1};

	while (way_was_interrupted(m, semop(m->in, &down, 1), "semop"))
		;
	return way_take(m);
}

static void sem_give(struct member *m, uint64_t token)
{
	struct sembuf up = {.sem_op = 1};

	way_put(m, token);
	CALL(m, !semop(m->in, &up, 1), "semop");
}

static void sem_deinit(struct member *m)
{
	semctl(m->in, 0, IPC_RMID);
}

struct message {
	long type;
	uint64_t token;
};

static void msg_init(struct member *m)
{
	m->in = msgget(IPC_PRIVATE, 0600);
	CALL(m, m->in >= 0, "msgget");
}

static uint64_t msg_wait(struct member *m)
{
	struct message message;
	ssize_t n = msgrcv(m->in, &message, sizeof(message.token), 0, 0);

	CALL(m, n == sizeof(message.token), "msgrcv");
	return message.token;
}

static void msg_give(struct member *m, uint64_t token)
{
	struct message message = {.type = 1, .token = token};

	CALL(m, !msgsnd(m->in, &message, sizeof(message.token), 0), "msgsnd");
}

static void msg_deinit(struct member *m)
{
	msgctl(m->in, IPC_RMID, NULL);
}

const struct way memory_ways[MEMORY_WAYS] = {
	{"nanosleep", NULL, nanosleep_wait, way_put, NULL},
	{"until", NULL, until_wait, way_put, NULL},
	{"futex", NULL, futex_wait, futex_give, NULL},
	{"futex-timed", NULL, futex_timed_wait, futex_give, NULL},
	{"sigsuspend", NULL, sigsuspend_wait, sigsuspend_give, NULL},
	{"sigtimedwait", NULL, sigtimedwait_wait, sigtimedwait_give, NULL},
	{"semaphore", sem_init_member, sem_wait_member, sem_give, sem_deinit},
	{"message", msg_init, msg_wait, msg_give, msg_deinit},
};
