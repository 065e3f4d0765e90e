// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes in a ring, each sending signals to the next one: queued ones with sequence numbers,
 * which have to arrive in order, and plain ones, each of which is waited for.
 */
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

enum {
	PROCESSES = 4,
	/* How many signals of a kind may be under way. */
	WINDOW = 24,
};

/* How signals of a stream are sent and taken. */
enum stream_kind { HANDLED, WAITED, DIRECTED, PLAIN, NR_STREAMS };

static const struct {
	const char *name;
	int offset;
} kinds[NR_STREAMS] = {
	[HANDLED] = {"handled", 1},
	[WAITED] = {"waited", 2},
	[DIRECTED] = {"directed", 3},
	[PLAIN] = {"plain", 0},
};

struct stream {
	struct slot *slot;
	uint64_t sent, received;
};

struct process {
	pid_t pid;
	/* The thread that takes what is directed to a thread. */
	uint32_t main_tid;
	/* It sends no more; it has taken all that was sent to it. */
	uint32_t sent_all, received_all;
	struct stream streams[NR_STREAMS];
};

static struct process *ring;
static struct process *me, *next;

static int signal_of(enum stream_kind kind)
{
	return kind == PLAIN ? SIGUSR1 : SIGRTMIN + kinds[kind].offset;
}

/* Wait until a word that another process sets isn't 0 any longer. */
static void await(const uint32_t *word)
{
	while (!__atomic_load_n(word, __ATOMIC_SEQ_CST))
		usleep(1000);
}

static void set(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static uint64_t load(const uint64_t *value)
{
	return __atomic_load_n(value, __ATOMIC_SEQ_CST);
}

static void receive(enum stream_kind kind, const siginfo_t *info)
{
	struct stream *stream = &me->streams[kind];
	uint64_t expected = stream->received;

	if (kind != PLAIN)
		CHECK((uint64_t)(uintptr_t)info->si_value.sival_ptr == expected,
		      "%s: signal %llu came in the place of %llu", stream->slot->name,
		      (unsigned long long)(uintptr_t)info->si_value.sival_ptr,
		      (unsigned long long)expected);
	CHECK(load(&stream->sent) > expected, "%s: a signal that nobody sent", stream->slot->name);
	__atomic_store_n(&stream->received, expected + 1, __ATOMIC_SEQ_CST);
	load_turn(stream->slot);
}

static void handle(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	for (enum stream_kind kind = 0; kind < NR_STREAMS; kind++)
		if (sig == signal_of(kind))
			receive(kind, info);
	errno = saved;
}

/* Takes signals without a handler. */
static void *wait_for_signals(void *arg)
{
	sigset_t set;
	siginfo_t info;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, signal_of(WAITED));
	for (;;) {
		int sig = sigwaitinfo(&set, &info);

		if (sig < 0) {
			CHECK(errno == EINTR, "sigwaitinfo: %s", strerror(errno));
			me->streams[WAITED].slot->interrupted++;
			continue;
		}
		receive(WAITED, &info);
	}
}

static void send_one(enum stream_kind kind, uint64_t number)
{
	siginfo_t info = {.si_code = SI_QUEUE, .si_pid = getpid(), .si_uid = getuid()};
	int sig = signal_of(kind), err;

	info.si_signo = sig;
	info.si_value.sival_ptr = (void *)(uintptr_t)number;
	if (kind == PLAIN)
		err = kill(next->pid, sig);
	else if (kind == DIRECTED)
		err = (int)syscall(SYS_rt_tgsigqueueinfo, next->pid, next->main_tid, sig, &info);
	else
		err = (int)syscall(SYS_rt_sigqueueinfo, next->pid, sig, &info);
	CHECK(!err, "%s: signal %llu can't be sent: %s", kinds[kind].name,
	      (unsigned long long)number, strerror(errno));
}

static void *send_signals(void *arg)
{
	enum stream_kind kind = (enum stream_kind)(uintptr_t)arg;
	struct stream *stream = &next->streams[kind];
	/* Plain signals coalesce: the next one is sent when the one before was handled. */
	uint64_t window = kind == PLAIN ? 1 : WINDOW;

	for (uint64_t number = 0; !load_stopping(); number++) {
		while (number - load(&stream->received) >= window)
			load_sleep_us(500);
		__atomic_store_n(&stream->sent, number + 1, __ATOMIC_SEQ_CST);
		send_one(kind, number);
	}
	return NULL;
}

static void block_all(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (enum stream_kind kind = 0; kind < NR_STREAMS; kind++)
		if (how == SIG_BLOCK || kind != WAITED)
			sigaddset(&set, signal_of(kind));
	pthread_sigmask(how, &set, NULL);
}

static void expect_all_received(void)
{
	uint64_t deadline = load_now_us() + 60000000;

	for (enum stream_kind kind = 0; kind < NR_STREAMS; kind++) {
		struct stream *stream = &me->streams[kind];

		while (load(&stream->received) != load(&stream->sent)) {
			CHECK(load_now_us() < deadline, "%s: %llu sent, %llu received",
			      stream->slot->name, (unsigned long long)load(&stream->sent),
			      (unsigned long long)load(&stream->received));
			usleep(1000);
		}
	}
}

/* The sender before has to find this process until it has ended, too. */
static void finish(const pthread_t *threads)
{
	for (enum stream_kind kind = 0; kind < NR_STREAMS; kind++)
		load_join(threads[kind]);
	set(&me->sent_all, 1);
	await(&ring[(me - ring + PROCESSES - 1) % PROCESSES].sent_all);
	expect_all_received();
	set(&me->received_all, 1);
	for (int i = 0; i < PROCESSES; i++)
		await(&ring[i].received_all);
}

static int be_process(void *arg)
{
	pthread_t threads[NR_STREAMS];

	me = arg;
	next = &ring[(me - ring + 1) % PROCESSES];
	me->pid = getpid();
	load_thread(wait_for_signals, NULL);
	set(&me->main_tid, (uint32_t)gettid());
	await(&next->main_tid);
	for (enum stream_kind kind = 0; kind < NR_STREAMS; kind++)
		threads[kind] = load_thread(send_signals, (void *)(uintptr_t)kind);
	block_all(SIG_UNBLOCK);
	while (!load_stopping())
		poll(NULL, 0, 100);
	finish(threads);
	return 0;
}

void load_signals(void)
{
	pid_t pids[PROCESSES];
	struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};

	ring = load_shared(PROCESSES * sizeof(*ring));
	for (enum stream_kind kind = 0; kind < NR_STREAMS; kind++) {
		for (int i = 0; i < PROCESSES; i++)
			ring[i].streams[kind].slot = load_slot(kinds[kind].name);
		sigaction(signal_of(kind), &action, NULL);
	}
	block_all(SIG_BLOCK);
	for (int i = 0; i < PROCESSES; i++)
		pids[i] = load_fork(be_process, &ring[i]);
	for (int i = 0; i < PROCESSES; i++)
		await(&ring[i].main_tid);
	area->ready = 1;
	for (int i = 0; i < PROCESSES; i++)
		load_reap(pids[i], 0);
}
