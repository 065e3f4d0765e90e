// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process in the snapshots that has something of everything that is saved, for tests that need
 * one: threads that sleep in several ways, memory of all kinds, files, pipes, sockets, signals,
 * timers.
 *
 * It makes /tmp/subject.ready when all of it is there.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	LONG_TIME = 100000,
};

static void *sleep_long(void *arg)
{
	const struct timespec time = {.tv_sec = LONG_TIME};

	(void)arg;
	for (;;)
		nanosleep(&time, NULL);
	return NULL;
}

static void *poll_long(void *arg)
{
	static char stack[1 << 16];
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};

	(void)arg;
	sigaltstack(&alternate, NULL);
	for (;;)
		poll(NULL, 0, LONG_TIME * 1000);
	return NULL;
}

static void *wait_for_lock(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void *suspend(void *arg)
{
	sigset_t mask;

	(void)arg;
	sigfillset(&mask);
	sigdelset(&mask, SIGUSR2);
	for (;;)
		sigsuspend(&mask);
	return NULL;
}

static void on_signal(int signo)
{
	(void)signo;
}

static void fill(char *memory, size_t size)
{
	for (size_t i = 0; memory != MAP_FAILED && i < size; i += PAGE)
		memset(memory + i, (int)(i / PAGE) + 1, PAGE);
}

static char *map(size_t size, int flags, int fd)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
}

static void make_memory(void)
{
	char *memory = map(64 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int fd = memfd_create("subject", MFD_ALLOW_SEALING);
	int file = open("/tmp/subject.data", O_RDWR | O_CREAT | O_TRUNC, 0600);

	fill(memory, 64 * PAGE);
	mprotect(memory + 8 * PAGE, PAGE, PROT_NONE);
	mlock(memory + 16 * PAGE, PAGE);
	madvise(memory + 24 * PAGE, PAGE, MADV_DONTFORK);
	madvise(memory + 32 * PAGE, PAGE, MADV_WIPEONFORK);
	fill(map(PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1), PAGE);
	fill(map(80 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1), 80 * PAGE);
	if (!ftruncate(fd, 300 * PAGE) && !ftruncate(file, 16 * PAGE)) {
		fill(map(300 * PAGE, MAP_SHARED, fd), 70 * PAGE);
		fill(map(16 * PAGE, MAP_SHARED, file), 8 * PAGE);
		fill(map(16 * PAGE, MAP_PRIVATE, file), 4 * PAGE);
	}
	lseek(dup(file), 5, SEEK_SET);
	fcntl(open("/tmp", O_RDONLY | O_DIRECTORY), F_SETFD, FD_CLOEXEC);
	fcntl(file, F_SETOWN, getpid());
}

static void make_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
	sigset_t blocked;

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigaddset(&blocked, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	kill(getpid(), SIGUSR1);
	raise(SIGUSR1);
	for (int i = 0; i < 5; i++)
		sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
}

static void make_timers(void)
{
	const struct itimerval interval = {.it_value.tv_sec = LONG_TIME};
	const struct itimerspec spec = {.it_value.tv_sec = LONG_TIME, .it_interval.tv_sec = 1};
	const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_PROCESS_CPUTIME_ID};

	setitimer(ITIMER_REAL, &interval, NULL);
	setitimer(ITIMER_PROF, &interval, NULL);
	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		struct sigevent event = {.sigev_signo = SIGUSR1, .sigev_notify = SIGEV_SIGNAL};
		timer_t timer;

		if (!timer_create(clocks[i], &event, &timer))
			timer_settime(timer, 0, &spec, NULL);
	}
}

/* Pipes with something of their own, of a file and of memory in them; counters, timers. */
static void make_events(void)
{
	const struct itimerspec spec = {.it_value.tv_sec = LONG_TIME, .it_interval.tv_sec = 1};
	static char memory[] = "of memory";
	const struct iovec iov = {memory, sizeof(memory) - 1};
	int file = open("/tmp/subject.text", O_RDWR | O_CREAT | O_TRUNC, 0600);
	loff_t offset = 0;
	int ends[2];

	if (pipe(ends) || write(file, "of a file, ", 11) != 11)
		return;
	for (int i = 0; i < 3; i++, offset = 0)
		splice(file, &offset, ends[1], NULL, 11, 0);
	write(ends[1], "written, ", 9);
	vmsplice(ends[1], &iov, 1, 0);
	close(file);
	eventfd(1234, 0);
	timerfd_settime(timerfd_create(CLOCK_MONOTONIC, 0), 0, &spec, NULL);
	timerfd_settime(timerfd_create(CLOCK_REALTIME, 0), TFD_TIMER_ABSTIME,
			&(struct itimerspec){.it_value.tv_sec = 1}, NULL);
}

/* An epoll instance within another one that waits for several files, and for most of them twice. */
static void make_watches(void)
{
	int inner = epoll_create1(0), outer = epoll_create1(0), file = -1;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	sigset_t signals;

	for (int i = 0; i < 9; i++) {
		if (i % 2 == 0)
			file = epoll_create1(0);
		event.data.u64 = 1000 + i;
		epoll_ctl(inner, EPOLL_CTL_ADD, i % 2 ? dup(file) : file, &event);
	}
	epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event);
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGRTMAX);
	signalfd(-1, &signals, 0);
}

/* A file with locks of each kind on it, and one without a name. */
static void make_files(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_start = 5, .l_len = 7};
	int locked = open("/tmp/subject.locked", O_RDWR | O_CREAT, 0600);
	int unlinked = open("/tmp/subject.unlinked", O_RDWR | O_CREAT, 0600);
	static char large[20000];

	fcntl(locked, F_SETLK, &lock);
	lock.l_start = 50;
	fcntl(locked, F_OFD_SETLK, &lock);
	flock(locked, LOCK_SH);
	memset(large, 'u', sizeof(large));
	write(unlinked, large, sizeof(large));
	unlink("/tmp/subject.unlinked");
}

static int bound(int type, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

/* A pair with bytes and pages on their way, a name with messages, a connection that waits. */
static void make_sockets(void)
{
	static const char path[] = "/tmp/subject.listener";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int pair[2], messages[2], listener, client, named;
	static char large[50000];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
	    socketpair(AF_UNIX, SOCK_DGRAM, 0, messages))
		return;
	memset(large, 'l', sizeof(large));
	write(pair[0], "read before. ", 13);
	write(pair[0], large, sizeof(large));
	read(pair[1], large, 13);
	write(messages[0], "a message", 9);
	write(messages[0], large, sizeof(large));
	named = bound(SOCK_DGRAM, "/tmp/subject.named");
	fcntl(named, F_SETFL, O_NONBLOCK);
	listener = bound(SOCK_STREAM, path);
	listen(listener, 3);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(address.sun_path, path);
	connect(client, (struct sockaddr *)&address, sizeof(address));
}

static void rest(void)
{
	for (;;)
		pause();
}

/* Under a name of their own: tests look for the subject by its. */
static pid_t fork_relative(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_NAME, "relative");
	return pid;
}

/* A child with a child and a thread, one that is stopped, one that has ended. */
static void make_family(void)
{
	pthread_t thread;

	if (!fork_relative()) {
		setsid();
		if (!fork_relative())
			rest();
		pthread_create(&thread, NULL, sleep_long, NULL);
		rest();
	}
	if (!fork_relative()) {
		raise(SIGSTOP);
		rest();
	}
	if (!fork_relative())
		_exit(7);
}

int main(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	void *(*const bodies[])(void *) = {sleep_long, poll_long, wait_for_lock, suspend};
	pthread_t thread;

	make_memory();
	make_family();
	make_signals();
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		if (pthread_create(&thread, NULL, bodies[i], &lock))
			return 1;
	make_timers();
	make_events();
	make_watches();
	make_files();
	make_sockets();
	sleep(1);
	close(open("/tmp/subject.ready", O_WRONLY | O_CREAT, 0600));
	for (;;)
		pause();
}
