// SPDX-License-Identifier: GPL-2.0-only
/*
 * freeze-watch: the parent of a load (see load.h), outside of what is frozen.
 *
 * Reads commands, a line each, and answers with a line: "ok ..." or "no" and what is wrong.
 *	start NAME	start a load in a cgroup of its own		ok PID
 *	frozen MS	see that nothing of it runs for so long
 *	running MS	see that something of it runs, in that time	ok MICROSECONDS
 *	all MS		see that each of its slots makes turns
 *	where		ok TID:STATE:WAIT-CHANNEL...
 *	slots		ok NAME:TID:TURNS:INTERRUPTED...
 *	quiet		see that nothing was told to the load's parent
 *	signal NUMBER	send a signal to it
 *	freezer 0|1	the guest's own freezer
 *	finish MS	have it check all the rest
 *	killed MS	see that all of it was killed
 *	kill		kill it
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define GROUP "/sys/fs/cgroup/load"

static const char area_path[] = "/tmp/freeze-load";
static const char program_path[] = "/bin/freeze-load";

static struct area *seen;
static pid_t child;

/* What may not change while nothing runs. */
struct snapshot {
	uint64_t turns[LOAD_SLOTS];
	uint64_t cpu_us;
	char threads[16384];
};

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void answer(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void sleep_us(uint64_t us)
{
	struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000 * 1000)};

	nanosleep(&time, NULL);
}

/* ---- files ----------------------------------------------------------------------------------- */

static const char *read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n = 0;

	while (fd >= 0 && have < size - 1 && (n = read(fd, text + have, size - 1 - have)) > 0)
		have += (size_t)n;
	if (fd >= 0)
		close(fd);
	text[have] = 0;
	return text;
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* The number that follows a word in a file of the cgroup. */
static uint64_t group_number(const char *file, const char *key)
{
	char text[1024];
	const char *found = strstr(read_text(file, text, sizeof(text)), key);

	return found ? strtoull(found + strlen(key), NULL, 10) : UINT64_MAX;
}

static void take_snapshot(struct snapshot *shot)
{
	for (int i = 0; i < LOAD_SLOTS; i++)
		shot->turns[i] = __atomic_load_n(&seen->slots[i].turns, __ATOMIC_SEQ_CST);
	shot->cpu_us = group_number(GROUP "/cpu.stat", "usage_usec ");
	read_text(GROUP "/cgroup.threads", shot->threads, sizeof(shot->threads));
}

/* ---- what is told to a parent ---------------------------------------------------------------- */

static bool took_sigchld(void)
{
	static const struct timespec none;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return sigtimedwait(&set, NULL, &none) == SIGCHLD;
}

/* Answers itself when it isn't; what was told can still be waited for. */
static bool quiet(void)
{
	siginfo_t info = {0};
	int err = waitid(P_PID, (id_t)child, &info,
			 WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT);

	if (__atomic_load_n(&seen->failed, __ATOMIC_SEQ_CST))
		answer("no %s", seen->message);
	else if (err)
		answer("no the load is gone");
	else if (info.si_pid)
		answer("no the parent was told of the load: code %d, status %d", info.si_code,
		       info.si_status);
	else if (took_sigchld())
		answer("no the parent got a SIGCHLD");
	else
		return true;
	return false;
}

/* ---- commands -------------------------------------------------------------------------------- */

static bool make_area(void)
{
	int fd = open(area_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*seen)))
		return false;
	if (seen)
		munmap(seen, sizeof(*seen));
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return seen != MAP_FAILED;
}

static void be_load(const char *name)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (!write_text(GROUP "/cgroup.procs", "0"))
		_exit(98);
	dup2(open("/dev/null", O_RDWR), 0);
	dup2(0, 1);
	dup2(0, 2);
	execl(program_path, "freeze-load", name, area_path, NULL);
	_exit(99);
}

static void start(const char *name)
{
	uint64_t deadline = now_us() + 60000000;

	mkdir(GROUP, 0755);
	if (!make_area())
		return answer("no area: %s", strerror(errno));
	child = fork();
	if (!child)
		be_load(name);
	while (!__atomic_load_n(&seen->ready, __ATOMIC_SEQ_CST)) {
		if (!quiet())
			return;
		if (now_us() > deadline)
			return answer("no the load isn't ready in time");
		sleep_us(2000);
	}
	answer("ok %d", child);
}

static void frozen(uint64_t ms)
{
	static struct snapshot before, after;

	take_snapshot(&before);
	sleep_us(ms * 1000);
	take_snapshot(&after);
	for (int i = 0; i < LOAD_SLOTS; i++)
		if (before.turns[i] != after.turns[i])
			return answer("no %s made %llu turns", seen->slots[i].name,
				      (unsigned long long)(after.turns[i] - before.turns[i]));
	if (before.cpu_us != after.cpu_us)
		return answer("no the load used %llu us of CPU time",
			      (unsigned long long)(after.cpu_us - before.cpu_us));
	if (strcmp(before.threads, after.threads))
		return answer("no threads came or went");
	if (quiet())
		answer("ok");
}

static uint64_t all_turns(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < LOAD_SLOTS; i++)
		sum += __atomic_load_n(&seen->slots[i].turns, __ATOMIC_RELAXED);
	return sum;
}

static void running(uint64_t ms)
{
	uint64_t start_us = now_us(), before = all_turns();

	while (all_turns() == before) {
		if (now_us() - start_us > ms * 1000)
			return answer("no nothing of the load runs");
		sleep_us(500);
	}
	if (quiet())
		answer("ok %llu", (unsigned long long)(now_us() - start_us));
}

/* The first slot that has made no turn since, or NULL. */
static const struct slot *standing(const struct snapshot *before)
{
	for (int i = 0; i < LOAD_SLOTS; i++) {
		const struct slot *slot = &seen->slots[i];

		if (slot->name[0] && slot->name[0] != '-' &&
		    __atomic_load_n(&slot->turns, __ATOMIC_SEQ_CST) == before->turns[i])
			return slot;
	}
	return NULL;
}

static void describe(pid_t tid, char *text, size_t size)
{
	char path[64], stat[512], channel[128];
	const char *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	state = strrchr(read_text(path, stat, sizeof(stat)), ')');
	snprintf(path, sizeof(path), "/proc/%d/wchan", tid);
	read_text(path, channel, sizeof(channel));
	snprintf(text, size, "%d:%c:%s", tid, state && state[1] ? state[2] : '-', channel);
}

static void all(uint64_t ms)
{
	static struct snapshot before;
	uint64_t deadline = now_us() + ms * 1000;
	const struct slot *slot;
	char text[256];

	take_snapshot(&before);
	while ((slot = standing(&before))) {
		if (now_us() > deadline) {
			describe(slot->tid, text, sizeof(text));
			return answer("no %s stands still after %llu turns: %s", slot->name,
				      (unsigned long long)slot->turns, text);
		}
		sleep_us(2000);
	}
	if (quiet())
		answer("ok");
}

static void where(void)
{
	static char threads[16384];
	char text[256];

	read_text(GROUP "/cgroup.threads", threads, sizeof(threads));
	printf("ok");
	for (char *word = strtok(threads, "\n"); word; word = strtok(NULL, "\n")) {
		describe(atoi(word), text, sizeof(text));
		printf(" %s", text);
	}
	answer("%s", "");
}

static void slots(void)
{
	printf("ok");
	for (int i = 0; i < LOAD_SLOTS; i++) {
		const struct slot *slot = &seen->slots[i];

		if (slot->name[0])
			printf(" %s:%d:%llu:%llu", slot->name, slot->tid,
			       (unsigned long long)slot->turns,
			       (unsigned long long)slot->interrupted);
	}
	answer("%s", "");
}

static void freezer(const char *value)
{
	uint64_t deadline = now_us() + 10000000;

	if (!write_text(GROUP "/cgroup.freeze", value))
		return answer("no cgroup.freeze: %s", strerror(errno));
	while (group_number(GROUP "/cgroup.events", "frozen ") != strtoull(value, NULL, 10)) {
		if (now_us() > deadline)
			return answer("no the cgroup isn't %s in time",
				      *value == '1' ? "frozen" : "thawed");
		sleep_us(1000);
	}
	answer("ok");
}

static void finish(uint64_t ms)
{
	uint64_t deadline = now_us() + ms * 1000;

	__atomic_store_n(&seen->stop, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&seen->done, __ATOMIC_SEQ_CST)) {
		if (!quiet())
			return;
		if (now_us() > deadline)
			return answer("no the load doesn't come to an end");
		sleep_us(2000);
	}
	if (quiet())
		answer("ok");
}

/* The main process is this one's to reap; the others are init's. */
static void killed(uint64_t ms)
{
	const int events = WEXITED | WSTOPPED | WCONTINUED;
	uint64_t deadline = now_us() + ms * 1000;
	siginfo_t info = {0};

	while (waitid(P_PID, (id_t)child, &info, events | WNOHANG | WNOWAIT) || !info.si_pid) {
		if (now_us() > deadline)
			return answer("no the load lives");
		sleep_us(1000);
	}
	if (info.si_code != CLD_KILLED || info.si_status != SIGKILL)
		return answer("no the parent was told of the load: code %d, status %d",
			      info.si_code, info.si_status);
	while (group_number(GROUP "/cgroup.events", "populated ")) {
		if (now_us() > deadline)
			return answer("no processes of the load are left");
		sleep_us(1000);
	}
	if (!took_sigchld())
		return answer("no there was no SIGCHLD");
	waitpid(child, NULL, 0);
	child = 0;
	answer("ok");
}

/* Without cgroup.kill, which v5.14 brought: one by one, until there is nobody to make more. */
static void kill_each(void)
{
	for (int i = 0; i < 1000 && group_number(GROUP "/cgroup.events", "populated "); i++) {
		FILE *procs = fopen(GROUP "/cgroup.procs", "re");
		int pid;

		while (procs && fscanf(procs, "%d", &pid) == 1)
			kill(pid, SIGKILL);
		if (procs)
			fclose(procs);
		sleep_us(1000);
	}
}

static void kill_all(void)
{
	if (child) {
		if (access(GROUP "/cgroup.kill", W_OK))
			kill_each();
		else
			write_text(GROUP "/cgroup.kill", "1");
		return killed(20000);
	}
	answer("ok");
}

static void check_quiet(void)
{
	if (quiet())
		answer("ok");
}

static void send_signal(uint64_t number)
{
	answer(kill(child, (int)number) ? "no such process" : "ok");
}

static const struct command {
	const char *name;
	/* One of these: with a word, with a number, with nothing. */
	void (*with_text)(const char *text);
	void (*with_number)(uint64_t number);
	void (*alone)(void);
} commands[] = {
	{"start", .with_text = start},
	{"freezer", .with_text = freezer},
	{"frozen", .with_number = frozen},
	{"running", .with_number = running},
	{"all", .with_number = all},
	{"finish", .with_number = finish},
	{"signal", .with_number = send_signal},
	{"killed", .with_number = killed},
	{"where", .alone = where},
	{"slots", .alone = slots},
	{"quiet", .alone = check_quiet},
	{"kill", .alone = kill_all},
};

static void execute(const char *name, const char *argument)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		const struct command *command = &commands[i];

		if (strcmp(command->name, name))
			continue;
		if (command->alone)
			return command->alone();
		if (command->with_text)
			return command->with_text(argument);
		return command->with_number(strtoull(argument, NULL, 10));
	}
	answer("no such command: %s", name);
}

int main(void)
{
	struct sched_param first = {.sched_priority = 1};
	char line[256];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A load may keep all CPUs busy: its watcher and the agent come first. */
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
	sched_setscheduler(getppid(), SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
	answer("ok");
	while (fgets(line, sizeof(line), stdin)) {
		const char *name = strtok(line, " \n"), *argument = strtok(NULL, " \n");

		execute(name ? name : "", argument ? argument : "");
	}
	return 0;
}
