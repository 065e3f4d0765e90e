// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs an application, loads it, and keeps books of what it has acknowledged.
 *
 *	load [OPTION]... [-- PROGRAM ARGUMENT...]
 *	load --serve [OPTION]... -- PROGRAM ARGUMENT...
 *	load --facts DIRECTORY | load --set-facts
 *
 * The program is started as a child; without one, the server is there already: the second form
 * turns into it. Workers, processes
 * with a connection each, ask it for one operation after the other; what it answers has to fit all
 * that it has acknowledged to this worker: an operation that was lost, or done twice, shows in the
 * next answer, and once more when everything is read back in the end. Books are kept in memory, so
 * they are dumped and resumed with the load, if that belongs to the tree; otherwise
 * the load starts again with the books of an earlier one.
 *
 * In the control directory, files appear whole:
 *	ready		written, process id: each worker has had its first answer
 *	report		read: write "progress", and remove this
 *	progress	written: a line a worker, operations acknowledged and running hash
 *	stop		read: finish, check everything, end the program
 *	hold		read: end without checking, and leave the books in "progress"
 *	result		written: PASS or FAIL, with the reason
 * Nothing is held open meanwhile.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 64, LINE_SIZE = 4096, HASH_PRIME = 1000000007, BATCH = 500 };

/* Of one worker; shared by all processes of the load. */
struct book {
	long acknowledged;
	long hash;
	char failure[512];
};

struct connection {
	int fd;
	size_t at, have;
	char buffer[1 << 16];
};

struct protocol {
	const char *name;
	/* Once, before the workers begin. */
	void (*set_up)(struct connection *c);
	/* At the beginning of each connection. */
	void (*greet)(struct connection *c);
	/* One operation, which is to be number book->acknowledged + 1. */
	void (*operate)(struct connection *c, int worker, struct book *book);
	/* What was done before is all there; operations that an earlier load didn't know of count.
	 */
	void (*recover)(struct connection *c, int worker, struct book *book);
	/* Read everything back. */
	void (*verify)(struct connection *c, int worker, const struct book *book);
	/* By a connection that is made for it, when no worker runs any more. */
	void (*verify_all)(struct connection *c);
	/* When the server has ended. */
	void (*verify_files)(void);
};

static struct {
	const char *directory;
	const char *unix_path;
	int port;
	const char *log;
	int workers;
	int user;
	int stop_signal;
	bool keep_alive;
	bool resume;
	int pace_us;
} options = {.directory = "/tmp/run", .workers = 3, .stop_signal = SIGTERM, .keep_alive = true};

static struct shared {
	bool stop;
	struct book books[WORKERS_MAX];
} *shared;

/* Of this process; NULL in the first one. */
static struct book *own_book;
static pid_t server;

static void write_file(const char *name, const char *text)
{
	char path[512], temporary[520];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", options.directory, name);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	f = fopen(temporary, "we");
	if (!f)
		exit(1);
	fputs(text, f);
	fclose(f);
	rename(temporary, path);
}

static bool told(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", options.directory, name);
	return access(path, F_OK) == 0;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	char text[512] = "FAIL: ";
	va_list args;

	va_start(args, format);
	vsnprintf(text + 6, sizeof(text) - 6, format, args);
	va_end(args);
	if (own_book) {
		memcpy(own_book->failure, text, sizeof(text));
		_exit(1);
	}
	write_file("result", text);
	signal(SIGTERM, SIG_IGN);
	if (server > 0)
		kill(-server, SIGTERM);
	kill(0, SIGTERM);
	exit(1);
}

static void nap(long us)
{
	nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Connections */

static bool try_connect(struct connection *c)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(options.port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(options.port ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket: %m");
	if (!options.port)
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", options.unix_path);
	if (connect(fd, options.port ? (void *)&in : (void *)&un,
		    options.port ? sizeof(in) : sizeof(un))) {
		close(fd);
		return false;
	}
	c->fd = fd;
	c->at = c->have = 0;
	return true;
}

static void open_connection(struct connection *c)
{
	double deadline = now() + 90;

	while (!try_connect(c)) {
		if (now() > deadline)
			fail("the server can't be reached: %m");
		nap(50000);
	}
}

static void close_connection(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
}

static void send_bytes(struct connection *c, const void *data, size_t size)
{
	const char *at = data;

	while (size) {
		ssize_t n = send(c->fd, at, size, MSG_NOSIGNAL);

		if (n <= 0)
			fail("sending: %m");
		at += n;
		size -= n;
	}
}

__attribute__((format(printf, 2, 3))) static void send_text(struct connection *c,
							    const char *format, ...)
{
	char text[LINE_SIZE];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n >= (int)sizeof(text))
		fail("a request is too long");
	send_bytes(c, text, n);
}

static void fill(struct connection *c)
{
	ssize_t n;

	if (c->at) {
		memmove(c->buffer, c->buffer + c->at, c->have - c->at);
		c->have -= c->at;
		c->at = 0;
	}
	if (c->have == sizeof(c->buffer))
		fail("a line without an end");
	n = recv(c->fd, c->buffer + c->have, sizeof(c->buffer) - c->have, 0);
	if (n < 0)
		fail("receiving: %m");
	if (!n)
		fail("the server closed the connection");
	c->have += n;
}

/* A line without its end. */
static void receive_line(struct connection *c, char line[LINE_SIZE])
{
	char *end;
	size_t n;

	while (!(end = memchr(c->buffer + c->at, '\n', c->have - c->at)))
		fill(c);
	n = end - (c->buffer + c->at);
	if (n >= LINE_SIZE)
		fail("a line of %zu bytes", n);
	memcpy(line, c->buffer + c->at, n);
	c->at += n + 1;
	if (n && line[n - 1] == '\r')
		n--;
	line[n] = 0;
}

static void receive_bytes(struct connection *c, void *data, size_t size)
{
	char *to = data;

	while (size) {
		size_t n = c->have - c->at;

		if (!n) {
			fill(c);
			continue;
		}
		if (n > size)
			n = size;
		memcpy(to, c->buffer + c->at, n);
		c->at += n;
		to += n;
		size -= n;
	}
}

__attribute__((format(printf, 2, 3))) static void expect_line(struct connection *c,
							      const char *format, ...)
{
	char line[LINE_SIZE], wanted[LINE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(wanted, sizeof(wanted), format, args);
	va_end(args);
	receive_line(c, line);
	if (strcmp(line, wanted))
		fail("\"%s\" where \"%s\" was to come", line, wanted);
}

static long next_hash(long hash, long n)
{
	return (hash * 31 + n) % HASH_PRIME;
}

/* Redis: a counter and a list for each worker, both asked for in one write. */

static void redis_operate(struct connection *c, int worker, struct book *book)
{
	long n = book->acknowledged + 1;

	send_text(c, "INCR c:%d\r\nRPUSH l:%d %ld\r\nINCR total\r\n", worker, worker, n);
	expect_line(c, ":%ld", n);
	expect_line(c, ":%ld", n);
	char line[LINE_SIZE];
	receive_line(c, line);
	if (line[0] != ':' || atol(line + 1) < n)
		fail("the counter of all is at %s after %ld of one", line, n);
}

static void redis_verify(struct connection *c, int worker, const struct book *book)
{
	char wanted[32];

	send_text(c, "LRANGE l:%d 0 -1\r\n", worker);
	expect_line(c, "*%ld", book->acknowledged);
	for (long n = 1; n <= book->acknowledged; n++) {
		expect_line(c, "$%d", snprintf(wanted, sizeof(wanted), "%ld", n));
		expect_line(c, "%s", wanted);
	}
}

static void redis_recover(struct connection *c, int worker, struct book *book)
{
	redis_verify(c, worker, book);
}

static long acknowledged_by_all(void)
{
	long sum = 0;

	for (int i = 0; i < options.workers; i++)
		sum += shared->books[i].acknowledged;
	return sum;
}

static void redis_verify_all(struct connection *c)
{
	send_text(c, "GET total\r\n");
	char line[LINE_SIZE];
	receive_line(c, line);
	expect_line(c, "%ld", acknowledged_by_all());
}

/* memcached: a counter, and items to which each number is appended. */

static void memcached_set_up(struct connection *c)
{
	send_text(c, "set total 0 0 1\r\n0\r\n");
	expect_line(c, "STORED");
	for (int i = 0; i < options.workers; i++) {
		send_text(c, "set c:%d 0 0 1\r\n0\r\n", i);
		expect_line(c, "STORED");
	}
}

static void memcached_operate(struct connection *c, int worker, struct book *book)
{
	long n = book->acknowledged + 1;
	char line[LINE_SIZE], text[32];
	int length = snprintf(text, sizeof(text), "%ld ", n);

	send_text(c, "incr c:%d 1\r\n%s l:%d:%ld 0 0 %d\r\n%s\r\nincr total 1\r\n", worker,
		  (n - 1) % BATCH ? "append" : "add", worker, (n - 1) / BATCH, length, text);
	expect_line(c, "%ld", n);
	expect_line(c, "STORED");
	receive_line(c, line);
	if (atol(line) < n)
		fail("the counter of all is at %s after %ld of one", line, n);
}

static void memcached_verify(struct connection *c, int worker, const struct book *book)
{
	for (long n = 1; n <= book->acknowledged;) {
		char wanted[BATCH * 12], got[sizeof(wanted)];
		long batch = (n - 1) / BATCH;
		int length = 0;

		for (; n <= book->acknowledged && (n - 1) / BATCH == batch; n++)
			length += snprintf(wanted + length, sizeof(wanted) - length, "%ld ", n);
		send_text(c, "get l:%d:%ld\r\n", worker, batch);
		expect_line(c, "VALUE l:%d:%ld 0 %d", worker, batch, length);
		receive_bytes(c, got, length);
		if (memcmp(wanted, got, length))
			fail("batch %ld is not what was stored", batch);
		expect_line(c, "%s", "");
		expect_line(c, "END");
	}
}

static void memcached_recover(struct connection *c, int worker, struct book *book)
{
	memcached_verify(c, worker, book);
}

static void memcached_verify_all(struct connection *c)
{
	char line[LINE_SIZE];

	send_text(c, "get total\r\n");
	receive_line(c, line);
	receive_line(c, line);
	if (atol(line) != acknowledged_by_all())
		fail("the counter of all is at %s, not %ld", line, acknowledged_by_all());
	expect_line(c, "END");
}

/*
 * PostgreSQL: frontend/backend protocol 3.0, simple queries. An operation is a transaction that
 * changes three tables, one of them a row that all workers want.
 */

static void postgres_receive(struct connection *c, long *values, int count)
{
	int found = 0;

	for (;;) {
		unsigned char head[5];
		static char body[1 << 16];
		uint32_t length;

		receive_bytes(c, head, sizeof(head));
		memcpy(&length, head + 1, 4);
		length = ntohl(length) - 4;
		if (length >= sizeof(body))
			fail("message '%c' of %u bytes", head[0], length);
		receive_bytes(c, body, length);
		body[length] = 0;
		switch (head[0]) {
		case 'E':
			for (char *field = body; *field; field += strlen(field) + 1)
				if (*field == 'M')
					fail("the database says: %s", field + 1);
			fail("the database says no");
		case 'D': {
			char *at = body + 2;

			for (int i = 0; i < (uint8_t)body[1]; i++) {
				char text[32] = "";
				uint32_t size;

				memcpy(&size, at, 4);
				size = ntohl(size);
				if (size >= sizeof(text))
					fail("a value of %d bytes", (int)size);
				memcpy(text, at + 4, size);
				at += 4 + size;
				if (found < count)
					values[found] = atol(text);
				found++;
			}
			break;
		}
		case 'Z':
			if (body[0] != 'I')
				fail("a transaction is left open");
			if (found != count)
				fail("%d values where %d were to come", found, count);
			return;
		}
	}
}

__attribute__((format(printf, 4, 5))) static void query(struct connection *c, long *values,
							int count, const char *format, ...)
{
	char text[LINE_SIZE] = "Q";
	va_list args;
	uint32_t length;

	va_start(args, format);
	length = 4 + 1 + vsnprintf(text + 5, sizeof(text) - 5, format, args);
	va_end(args);
	memcpy(text + 1, &(uint32_t){htonl(length)}, 4);
	send_bytes(c, text, 1 + length);
	postgres_receive(c, values, count);
}

static void postgres_greet(struct connection *c)
{
	char text[] = "....\0\3\0\0user\0user\0database\0postgres\0";

	double deadline = now() + 90;

	memcpy(text, &(uint32_t){htonl(sizeof(text))}, 4);
	for (;;) {
		send_bytes(c, text, sizeof(text));
		fill(c);
		/* It is there before it serves anybody. */
		if (c->buffer[0] != 'E' || now() > deadline)
			break;
		close_connection(c);
		nap(200000);
		open_connection(c);
	}
	postgres_receive(c, NULL, 0);
}

static void postgres_set_up(struct connection *c)
{
	query(c, NULL, 0,
	      "CREATE TABLE counter (worker int PRIMARY KEY, n bigint, hash bigint);"
	      "CREATE TABLE log (worker int, n bigint, text text, PRIMARY KEY (worker, n));"
	      "CREATE TABLE total (n bigint); INSERT INTO total VALUES (0);"
	      "INSERT INTO counter SELECT i, 0, 0 FROM generate_series(0, %d) i",
	      options.workers - 1);
}

static void postgres_operate(struct connection *c, int worker, struct book *book)
{
	long n = book->acknowledged + 1, values[2];

	query(c, values, 2,
	      "BEGIN; UPDATE counter SET n = n + 1, hash = (hash * 31 + n + 1) %% %d"
	      " WHERE worker = %d RETURNING n, hash;"
	      "INSERT INTO log VALUES (%d, %ld, repeat('%ld.', 50));"
	      "UPDATE total SET n = n + 1; COMMIT",
	      HASH_PRIME, worker, worker, n, n);
	if (values[0] != n || values[1] != next_hash(book->hash, n))
		fail("operation %ld is counted as %ld, its hash is %ld, not %ld", n, values[0],
		     values[1], next_hash(book->hash, n));
}

static void postgres_verify(struct connection *c, int worker, const struct book *book)
{
	long v[5], n = book->acknowledged;

	query(c, v, 5,
	      "SELECT count(*), min(n), max(n), sum(n), count(*) FILTER (WHERE text ="
	      " repeat(n || '.', 50)) FROM log WHERE worker = %d",
	      worker);
	if (v[0] != n || v[1] != 1 || v[2] != n || v[3] != n * (n + 1) / 2 || v[4] != n)
		fail("the table has %ld lines, from %ld to %ld, sum %ld, %ld right; %ld were "
		     "acknowledged",
		     v[0], v[1], v[2], v[3], v[4], n);
}

static void postgres_recover(struct connection *c, int worker, struct book *book)
{
	long v[2];

	query(c, v, 2, "SELECT n, hash FROM counter WHERE worker = %d", worker);
	if (v[0] != book->acknowledged || v[1] != book->hash)
		fail("%ld operations were acknowledged, %ld are there", book->acknowledged, v[0]);
	postgres_verify(c, worker, book);
}

static void postgres_verify_all(struct connection *c)
{
	long v[2];

	query(c, v, 2, "SELECT n, (SELECT sum(n) FROM counter) FROM total");
	if (v[0] != acknowledged_by_all() || v[1] != v[0])
		fail("the total is %ld and %ld, not %ld", v[0], v[1], acknowledged_by_all());
}

/* HTTP: files of three sizes; the log has each request once. */

static const long http_sizes[] = {100, 5000, 300000};

static char http_byte(long file, long at)
{
	return 'a' + (at * 7 + at / 1000 + file) % 26;
}

static void http_operate(struct connection *c, int worker, struct book *book)
{
	static char body[300000], wanted[3][300000];
	long n = book->acknowledged + 1, file = n % 3, length = -1;
	char line[LINE_SIZE];

	send_text(c, "GET /%ld?worker=%d&n=%ld HTTP/1.1\r\nHost: guest\r\n%s\r\n", file, worker, n,
		  options.keep_alive ? "" : "Connection: close\r\n");
	receive_line(c, line);
	if (strncmp(line, "HTTP/1.1 200 ", 13))
		fail("request %ld: %s", n, line);
	while (receive_line(c, line), *line)
		if (!strncasecmp(line, "Content-Length:", 15))
			length = atol(line + 15);
	if (length != http_sizes[file])
		fail("request %ld: %ld bytes, not %ld", n, length, http_sizes[file]);
	receive_bytes(c, body, length);
	if (!wanted[file][0])
		for (long i = 0; i < length; i++)
			wanted[file][i] = http_byte(file, i);
	if (memcmp(body, wanted[file], length))
		fail("request %ld: what came isn't what is in the file", n);
}

static void http_set_up(struct connection *c)
{
	(void)c;
}

static void http_verify_files(void)
{
	static long logged[WORKERS_MAX];
	FILE *f = fopen(options.log, "re");
	char line[LINE_SIZE];

	if (!f)
		fail("%s: %m", options.log);
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, "worker=");
		int worker;
		long n;

		if (!at || sscanf(at, "worker=%d&n=%ld", &worker, &n) != 2 || worker < 0 ||
		    worker >= options.workers)
			fail("the log has \"%.100s\"", line);
		/* One connection is served by one process, which writes in order. */
		if (n != logged[worker] + 1)
			fail("worker %d's request %ld is logged after %ld", worker, n,
			     logged[worker]);
		logged[worker] = n;
	}
	fclose(f);
	for (int i = 0; i < options.workers; i++)
		if (logged[i] != shared->books[i].acknowledged)
			fail("worker %d: %ld logged, %ld answered", i, logged[i],
			     shared->books[i].acknowledged);
}

static const struct protocol protocols[] = {
	{"redis", NULL, NULL, redis_operate, redis_recover, redis_verify, redis_verify_all, NULL},
	{"memcached", memcached_set_up, NULL, memcached_operate, memcached_recover,
	 memcached_verify, memcached_verify_all, NULL},
	{"postgres", postgres_set_up, postgres_greet, postgres_operate, postgres_recover,
	 postgres_verify, postgres_verify_all, NULL},
	{"http", http_set_up, NULL, http_operate, NULL, NULL, NULL, http_verify_files},
};

static const struct protocol *protocol;

/* Workers */

static void begin(struct connection *c)
{
	open_connection(c);
	if (protocol->greet)
		protocol->greet(c);
}

static void work(int worker)
{
	static struct connection c;
	struct book *book = &shared->books[worker];

	own_book = book;
	begin(&c);
	if (options.resume && protocol->recover)
		protocol->recover(&c, worker, book);
	while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
		if (c.fd < 0)
			begin(&c);
		protocol->operate(&c, worker, book);
		book->hash = next_hash(book->hash, book->acknowledged + 1);
		__atomic_store_n(&book->acknowledged, book->acknowledged + 1, __ATOMIC_RELEASE);
		if (!options.keep_alive)
			close_connection(&c);
		if (options.pace_us)
			nap(options.pace_us);
	}
	if (protocol->verify) {
		if (c.fd < 0)
			begin(&c);
		protocol->verify(&c, worker, book);
	}
	_exit(0);
}

static void report(void)
{
	char text[WORKERS_MAX * 64] = "", path[512];
	int n = 0;

	for (int i = 0; i < options.workers; i++)
		n += snprintf(text + n, sizeof(text) - n, "%ld %ld\n",
			      shared->books[i].acknowledged, shared->books[i].hash);
	write_file("progress", text);
	snprintf(path, sizeof(path), "%s/report", options.directory);
	unlink(path);
}

static void read_books(void)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/progress", options.directory);
	f = fopen(path, "re");
	if (!f)
		fail("%s: %m", path);
	for (int i = 0; i < options.workers; i++)
		if (fscanf(f, "%ld %ld", &shared->books[i].acknowledged, &shared->books[i].hash) !=
		    2)
			fail("%s is not whole", path);
	fclose(f);
}

__attribute__((noreturn)) static void become_server(char **command)
{
	if (options.user && (setgroups(0, NULL) || setgid(options.user) || setuid(options.user)))
		_exit(126);
	execv(command[0], command);
	_exit(127);
}

static void start_server(char **command)
{
	server = fork();
	if (server)
		return;
	/* Apache ends its whole group. */
	setpgid(0, 0);
	become_server(command);
}

/* Reap; a worker that ended before its time has failed, and so has a server. */
static int reap(bool stopping)
{
	int status, ended = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == server)
			fail("the server ended with status %#x", status);
		for (int i = 0; i < options.workers; i++)
			if (shared->books[i].failure[0]) {
				own_book = NULL;
				fail("worker %d, operation %ld: %s", i,
				     shared->books[i].acknowledged + 1,
				     shared->books[i].failure + 6);
			}
		if (status || !stopping)
			fail("process %d ended with status %#x", pid, status);
		ended++;
	}
	return ended;
}

static void stop_server(void)
{
	double deadline = now() + 60;
	int status;

	if (server <= 0)
		return;
	kill(server, options.stop_signal);
	while (waitpid(server, &status, WNOHANG) != server) {
		if (now() > deadline)
			fail("the server doesn't end");
		nap(20000);
	}
	if (status)
		fail("the server ended with status %#x", status);
}

static void load(char **command)
{
	static struct connection c;
	bool ready = false;
	double deadline;
	int ended = 0;

	if (options.resume)
		read_books();
	if (*command)
		start_server(command);
	begin(&c);
	if (protocol->set_up && !options.resume)
		protocol->set_up(&c);
	close_connection(&c);
	for (int i = 0; i < options.workers; i++) {
		fflush(NULL);
		pid_t pid = fork();
		if (pid < 0)
			fail("fork: %m");
		if (!pid)
			work(i);
	}
	while (!told("stop") && !told("hold")) {
		reap(false);
		if (!ready) {
			ready = true;
			for (int i = 0; i < options.workers; i++)
				ready &= shared->books[i].acknowledged > 0;
			if (ready) {
				char text[32];

				snprintf(text, sizeof(text), "%d\n", getpid());
				write_file("ready", text);
			}
		}
		if (told("report"))
			report();
		nap(30000);
	}
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELEASE);
	deadline = now() + 120;
	while (ended < options.workers) {
		ended += reap(true);
		if (now() > deadline)
			fail("a worker doesn't end");
		nap(10000);
	}
	if (told("hold")) {
		report();
		write_file("result", "HELD");
		return;
	}
	begin(&c);
	if (protocol->verify_all)
		protocol->verify_all(&c);
	close_connection(&c);
	stop_server();
	if (protocol->verify_files)
		protocol->verify_files();
}

/*
 * A terminal: what is typed into an editor arrives in its file, every line once and in order. The
 * master's end is here, the program has the other one.
 */
static void terminal(char **command, const char *file)
{
	struct winsize size = {.ws_row = 37, .ws_col = 101}, found;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status;
	struct book *book = &shared->books[0];
	double deadline = 0;
	bool ready = false, ended = false, answered = false;
	char line[LINE_SIZE];
	FILE *f;

	if (master < 0 || grantpt(master) || unlockpt(master) || ioctl(master, TIOCSWINSZ, &size))
		fail("no terminal: %m");
	options.workers = 1;
	server = fork();
	if (!server) {
		int slave;

		setsid();
		slave = open(ptsname(master), O_RDWR);
		if (slave < 0 || ioctl(slave, TIOCSCTTY, 0))
			_exit(125);
		for (int fd = 0; fd < 3; fd++)
			dup2(slave, fd);
		if (slave > 2)
			close(slave);
		setenv("TERM", "vt100", 1);
		execv(command[0], command);
		_exit(127);
	}
	while (!ended) {
		struct pollfd p = {.fd = master, .events = POLLIN};
		char text[LINE_SIZE];
		int n;

		poll(&p, 1, 30);
		while ((p.revents & POLLIN) && read(master, text, sizeof(text)) > 0) {
			answered = true;
			p.revents = 0;
			poll(&p, 1, 0);
		}
		if (waitpid(server, &status, WNOHANG) == server) {
			if (!deadline || status)
				fail("the program ended with status %#x", status);
			ended = true;
			continue;
		}
		if (told("report"))
			report();
		if (deadline) {
			if (now() > deadline)
				fail("the program doesn't end");
			continue;
		}
		if (told("stop")) {
			if (write(master, "\33:wq\r", 5) != 5)
				fail("typing: %m");
			deadline = now() + 60;
			if (ioctl(master, TIOCGWINSZ, &found) ||
			    memcmp(&size, &found, sizeof(size)))
				fail("the terminal has another size");
			continue;
		}
		/* What is typed is echoed: never more on its way than the terminal takes. */
		if (!answered)
			continue;
		answered = false;
		book->acknowledged++;
		n = snprintf(text, sizeof(text), "o%ld is the line\33%s", book->acknowledged,
			     book->acknowledged % 10 ? "" : ":w\r");
		if (write(master, text, n) != n)
			fail("typing: %m");
		if (!ready && access(file, F_OK) == 0 && book->acknowledged > 20) {
			snprintf(text, sizeof(text), "%d\n", getpid());
			write_file("ready", text);
			ready = true;
		}
	}
	f = fopen(file, "re");
	if (!f)
		fail("%s: %m", file);
	/* The first one was there before anything was typed, and is empty. */
	if (!fgets(line, sizeof(line), f) || strcmp(line, "\n"))
		fail("the first line is \"%s\"", line);
	for (long n = 1; n <= book->acknowledged; n++) {
		char wanted[64];

		snprintf(wanted, sizeof(wanted), "%ld is the line\n", n);
		if (!fgets(line, sizeof(line), f) || strcmp(line, wanted))
			fail("line %ld of %ld is \"%s\"", n, book->acknowledged, line);
	}
	if (fgets(line, sizeof(line), f))
		fail("there are more lines than were typed");
	fclose(f);
	close(master);
}

/* A command that ends by itself, and leaves one line in a file. */
static void command_once(char **command, const char *file, const char *wanted)
{
	double started = now();
	bool ready = false;
	char line[LINE_SIZE] = "", text[32];
	int status;
	FILE *f;

	options.workers = 1;
	start_server(command);
	while (waitpid(server, &status, WNOHANG) != server) {
		if (!ready && now() > started + 2) {
			snprintf(text, sizeof(text), "%d\n", getpid());
			write_file("ready", text);
			ready = true;
		}
		if (told("report")) {
			shared->books[0].acknowledged = (now() - started) * 100;
			report();
		}
		nap(30000);
	}
	if (status)
		fail("the command ended with status %#x", status);
	f = fopen(file, "re");
	if (!f || !fgets(line, sizeof(line), f))
		fail("%s: %m", file);
	fclose(f);
	line[strcspn(line, " \n")] = 0;
	if (strcmp(line, wanted))
		fail("the command wrote \"%s\", not \"%s\"", line, wanted);
}

static void write_http_files(const char *directory)
{
	for (int file = 0; file < 3; file++) {
		char path[512];
		FILE *f;

		snprintf(path, sizeof(path), "%s/%d", directory, file);
		f = fopen(path, "we");
		if (!f)
			fail("%s: %m", path);
		for (long i = 0; i < http_sizes[file]; i++)
			fputc(http_byte(file, i), f);
		fclose(f);
	}
}

/*
 * Whose files are, and when they were changed, to the nanosecond: archives don't tell, and editors
 * compare it with what they remember.
 */
static int write_facts(const char *path, const struct stat *status, int kind, struct FTW *at)
{
	(void)at;
	if (kind == FTW_F || kind == FTW_D)
		printf("%u %u %lld %ld %s\n", status->st_uid, status->st_gid,
		       (long long)status->st_mtim.tv_sec, status->st_mtim.tv_nsec, path);
	return 0;
}

static int set_facts(void)
{
	char path[LINE_SIZE];
	unsigned int user, group;
	long long seconds;
	long rest;

	while (scanf("%u %u %lld %ld %4095[^\n]", &user, &group, &seconds, &rest, path) == 5) {
		struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					    {.tv_sec = seconds, .tv_nsec = rest}};

		if (chown(path, user, group) || utimensat(AT_FDCWD, path, times, 0))
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"directory", required_argument, 0, 'd'},
		{"unix", required_argument, 0, 'u'},
		{"tcp", required_argument, 0, 't'},
		{"log", required_argument, 0, 'l'},
		{"workers", required_argument, 0, 'w'},
		{"user", required_argument, 0, 'i'},
		{"signal", required_argument, 0, 's'},
		{"reconnect", no_argument, 0, 'r'},
		{"resume", no_argument, 0, 'R'},
		{"protocol", required_argument, 0, 'p'},
		{"file", required_argument, 0, 'f'},
		{"wanted", required_argument, 0, 'x'},
		{"pace", required_argument, 0, 'P'},
		{"http-files", required_argument, 0, 'H'},
		{"serve", no_argument, 0, 'S'},
		{"ipc-namespace", no_argument, 0, 'I'},
		{0},
	};
	const char *name = "", *file = NULL, *wanted = "", *http_files = NULL;
	bool serve = false;
	char text[128];
	int option;

	if (argc == 3 && !strcmp(argv[1], "--facts"))
		return nftw(argv[2], write_facts, 16, FTW_PHYS);
	if (argc == 2 && !strcmp(argv[1], "--set-facts"))
		return set_facts();
	while ((option = getopt_long(argc, argv, "+", known, NULL)) != -1) {
		switch (option) {
		case 'd':
			options.directory = optarg;
			break;
		case 'u':
			options.unix_path = optarg;
			break;
		case 't':
			options.port = atoi(optarg);
			break;
		case 'l':
			options.log = optarg;
			break;
		case 'w':
			options.workers = atoi(optarg);
			break;
		case 'i':
			options.user = atoi(optarg);
			break;
		case 's':
			options.stop_signal = atoi(optarg);
			break;
		case 'r':
			options.keep_alive = false;
			break;
		case 'R':
			options.resume = true;
			break;
		case 'p':
			name = optarg;
			break;
		case 'f':
			file = optarg;
			break;
		case 'x':
			wanted = optarg;
			break;
		case 'P':
			options.pace_us = atoi(optarg);
			break;
		case 'I':
			/* Only there is it restored by CRIU. */
			if (unshare(CLONE_NEWIPC))
				return 1;
			break;
		case 'S':
			serve = true;
			break;
		case 'H':
			http_files = optarg;
			break;
		default:
			return 2;
		}
	}
	if (options.workers < 1 || options.workers > WORKERS_MAX)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	setsid();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 1;
	if (http_files) {
		write_http_files(http_files);
		return 0;
	}
	if (serve) {
		snprintf(text, sizeof(text), "%d\n", getpid());
		write_file("server", text);
		become_server(argv + optind);
	}
	if (!strcmp(name, "terminal")) {
		terminal(argv + optind, file);
	} else if (!strcmp(name, "command")) {
		command_once(argv + optind, file, wanted);
	} else {
		for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
			if (!strcmp(name, protocols[i].name))
				protocol = &protocols[i];
		if (!protocol)
			return 2;
		load(argv + optind);
		if (told("hold"))
			return 0;
	}
	snprintf(text, sizeof(text), "PASS: %ld operations\n", acknowledged_by_all());
	write_file("result", text);
	return 0;
}
