// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: open files that are on their way in messages arrive, those included that nobody has
 * open
 */
#include "unix.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { FILE_LENGTH = 5000, POSITION = 1234, PIPED = 3000, MEMORY = 8192 };

static const char name[] = "\0ovm-gpu-passed-self";
static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

static void prepare(void)
{
	workload_make_file("data", FILE_LENGTH, 1);
}

static void pass_and_close(int fd, uint8_t byte, int passed)
{
	unix_pass(fd, byte, &passed, 1);
	CHECK_CALL(!close(passed));
}

static int take(int fd, uint8_t byte, const char *what)
{
	int taken;

	unix_take(fd, byte, &taken, 1, what);
	return taken;
}

static bool is_same(int a, int b)
{
	off_t before = lseek(a, 0, SEEK_CUR), moved;

	CHECK_CALL(lseek(a, before + 10, SEEK_SET) == before + 10);
	moved = lseek(b, 0, SEEK_CUR);
	CHECK_CALL(lseek(a, before, SEEK_SET) == before);
	return moved == before + 10;
}

static int open_file(void)
{
	int fd = open(workload_path("data"), O_RDWR);

	CHECK_CALL(fd >= 0 && lseek(fd, POSITION, SEEK_SET) == POSITION);
	return fd;
}

/* Kept and passed, and passed twice in one message; only passed. */
struct files {
	int ends[2], kept;
};

static void pass_files(struct files *f, int type)
{
	CHECK_CALL(!socketpair(AF_UNIX, type, 0, f->ends));
	f->kept = open_file();

	const int fds[] = {f->kept, 0, f->kept};

	unix_send_message(f->ends[0], 100, 1);
	unix_pass(f->ends[0], 1, fds, 3);
	unix_send_message(f->ends[0], 200, 2);
	pass_and_close(f->ends[0], 2, open_file());
	pass_and_close(f->ends[1], 3, open_file());
}

static void check_files(struct files *f, const char *what)
{
	int fds[3], first, second;

	unix_message(f->ends[1], 100, 1, what);
	unix_take(f->ends[1], 1, fds, 3, what);
	CHECK(is_same(fds[0], f->kept) && is_same(fds[2], f->kept), "%s: became another file",
	      what);
	unix_message(f->ends[1], 200, 2, what);
	first = take(f->ends[1], 2, what);
	second = take(f->ends[0], 3, what);
	CHECK(!is_same(first, second) && !is_same(first, f->kept), "%s: became the same file",
	      what);
	CHECK(lseek(first, 0, SEEK_CUR) == POSITION && lseek(second, 0, SEEK_CUR) == POSITION,
	      "%s: position lost", what);
	unix_check_empty(f->ends[0], what);
	unix_check_empty(f->ends[1], what);
}

static void check_stream(struct files *f)
{
	char text[101];
	int fds[3];

	/* A stream is one, but what comes with files ends a recvmsg(2). */
	CHECK(recv(f->ends[1], text, 100, MSG_DONTWAIT) == 100, "stream: is shorter");
	workload_check_fill(text, 100, 1, "stream");
	unix_take(f->ends[1], 1, fds, 3, "stream");
	CHECK(is_same(fds[0], f->kept) && is_same(fds[2], f->kept), "stream: became another file");
}

/* A pipe with both ends on the way; one with one of them. */
static void pass_pipes(int to)
{
	uint8_t data[PIPED];
	int ends[2], other[2];

	workload_fill(data, sizeof(data), 3);
	CHECK_CALL(!pipe(ends) && !pipe(other));
	CHECK_CALL(write(ends[1], data, sizeof(data)) == sizeof(data));
	unix_pass(to, 4, ends, 2);
	CHECK_CALL(!close(ends[0]) && !close(ends[1]));
	pass_and_close(to, 5, other[1]);
	CHECK_CALL(dup2(other[0], 90) == 90 && !close(other[0]));
}

static void check_pipes(int from)
{
	uint8_t data[PIPED];
	int ends[2], writer;

	unix_take(from, 4, ends, 2, "pipe");
	CHECK(read(ends[0], data, sizeof(data)) == sizeof(data), "pipe: content lost");
	workload_check_fill(data, sizeof(data), 3, "pipe");
	CHECK_CALL(write(ends[1], "x", 1) == 1 && read(ends[0], data, 2) == 1);
	CHECK_CALL(!close(ends[1]) && read(ends[0], data, 1) == 0);
	writer = take(from, 5, "pipe");
	CHECK_CALL(write(writer, "y", 1) == 1 && read(90, data, 2) == 1);
	CHECK_CALL(!close(writer) && read(90, data, 1) == 0);
}

static void pass_memory(int to)
{
	int memory = memfd_create("passed", 0), counter = eventfd(77, EFD_NONBLOCK);
	uint8_t data[MEMORY];

	workload_fill(data, sizeof(data), 5);
	CHECK_CALL(memory >= 0 && counter >= 0);
	CHECK_CALL(write(memory, data, sizeof(data)) == sizeof(data));
	pass_and_close(to, 6, memory);
	pass_and_close(to, 7, counter);

	int deleted = open(workload_path("deleted"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK_CALL(deleted >= 0 && !unlink(workload_path("deleted")));
	CHECK_CALL(write(deleted, data, 100) == 100);
	pass_and_close(to, 8, deleted);
}

static void check_memory(int from)
{
	uint8_t data[MEMORY];
	uint64_t count = 0;
	int fd = take(from, 6, "memory");

	CHECK_CALL(pread(fd, data, sizeof(data), 0) == sizeof(data));
	workload_check_fill(data, sizeof(data), 5, "memory");
	fd = take(from, 7, "eventfd");
	CHECK(read(fd, &count, sizeof(count)) == sizeof(count) && count == 77, "eventfd: %llu",
	      (unsigned long long)count);
	fd = take(from, 8, "deleted file");
	CHECK_CALL(pread(fd, data, sizeof(data), 0) == 100);
	workload_check_fill(data, 96, 5, "deleted file");
}

/* Both ends of a pair on their way, with a message in one of them that has a file with it. */
static void pass_sockets(int to)
{
	int outer[2], inner[2];

	CHECK_CALL(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, outer));
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_STREAM, 0, inner));
	unix_send(inner[0], 0, 500, 100, 8);
	pass_and_close(outer[0], 9, inner[1]);
	CHECK_CALL(dup2(inner[0], 91) == 91 && !close(inner[0]));
	unix_pass(to, 10, outer, 2);
	CHECK_CALL(!close(outer[0]) && !close(outer[1]));
}

static void check_sockets(int from)
{
	int outer[2], inner;

	unix_take(from, 10, outer, 2, "sockets");
	unix_send_message(outer[1], 300, 11);
	unix_message(outer[0], 300, 11, "sockets");
	inner = take(outer[1], 9, "socket in a socket");
	unix_receive(inner, 0, 500, 8, "socket in a socket");
	unix_send(inner, 0, 500, 500, 12);
	unix_receive(91, 0, 500, 12, "socket in a socket, back");
}

/* A socket that waits in itself, by way of another, and one in what is sent to itself. */
static void pass_circle(int circle[2], int *self)
{
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_DGRAM, 0, circle));
	unix_pass(circle[0], 13, &circle[1], 1);
	unix_pass(circle[1], 14, circle, 2);
	*self = unix_bound(SOCK_DGRAM, name, sizeof(name) - 1);
	unix_connect(*self, name, sizeof(name) - 1);
	pass_and_close(*self, 15, open_file());
	unix_pass(*self, 16, self, 1);
}

static void check_circle(const int circle[2], int self)
{
	int fds[2], fd = take(circle[1], 13, "circle");

	unix_take(circle[0], 14, fds, 2, "circle");
	unix_send_message(fds[0], 10, 15);
	unix_message(fd, 10, 15, "circle");
	fd = take(self, 15, "socket connected to itself");
	CHECK(lseek(fd, 0, SEEK_CUR) == POSITION, "socket connected to itself: position lost");
	fd = take(self, 16, "socket connected to itself");
	unix_send_message(fd, 10, 16);
	unix_message(self, 10, 16, "socket connected to itself");
}

int main(int argc, char **argv)
{
	struct files files[3];
	int ends[2], circle[2], self;

	workload_start(argc, argv, prepare);
	for (unsigned int i = 0; i < 3; i++)
		pass_files(&files[i], types[i]);
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	pass_pipes(ends[0]);
	pass_memory(ends[1]);
	pass_sockets(ends[0]);
	pass_circle(circle, &self);
	workload_ready();
	workload_wait();
	check_stream(&files[0]);
	check_files(&files[1], "datagrams");
	check_files(&files[2], "sequenced packets");
	check_pipes(ends[1]);
	check_sockets(ends[1]);
	check_memory(ends[0]);
	check_circle(circle, self);
	workload_pass();
}
