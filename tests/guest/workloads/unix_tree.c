// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: Unix sockets go on to connect processes of a tree, with what waits in them
 */
#include "unix.h"

#include <sys/wait.h>

enum { NR_TYPES = 3, LENGTH = 3000, NR_CLIENTS = 2 };

static const int types[NR_TYPES] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
static const char listening[] = "\0ovm-gpu/tree", datagrams[] = "\0ovm-gpu/tree/datagrams";

static int pairs[NR_TYPES][2], half[2], closed[2], listener, server, named, steps[2];

static void send_all(int end)
{
	for (int i = 0; i < NR_TYPES; i++) {
		unix_send_message(pairs[i][end], LENGTH, (uint64_t)(10 * i + end));
		unix_send_message(pairs[i][end], 10, (uint64_t)(10 * i + end + 5));
	}
}

static void receive(int fd, int type, size_t length, uint64_t seed, const char *what)
{
	if (type == SOCK_STREAM)
		unix_receive(fd, 0, length, seed, what);
	else
		unix_message(fd, length, seed, what);
}

static void check_all(int end, const char *what)
{
	for (int i = 0; i < NR_TYPES; i++) {
		receive(pairs[i][end], types[i], LENGTH, (uint64_t)(10 * i + !end), what);
		receive(pairs[i][end], types[i], 10, (uint64_t)(10 * i + !end + 5), what);
		unix_check_empty(pairs[i][end], what);
	}
}

static void step(void)
{
	CHECK_CALL(write(steps[1], "x", 1) == 1);
}

static void await(int nr)
{
	char byte;

	while (nr--)
		CHECK_CALL(read(steps[0], &byte, 1) == 1);
}

static void close_ends(int end)
{
	for (int i = 0; i < NR_TYPES; i++)
		CHECK_CALL(!close(pairs[i][end]));
	CHECK_CALL(!close(half[end]) && !close(closed[end]));
}

/* Has the second ends of the pairs. */
static void first_child(void)
{
	close_ends(0);
	send_all(1);
	unix_send(half[1], 0, 100, 100, 70);
	CHECK_CALL(!shutdown(half[1], SHUT_WR));
	unix_send(closed[1], 0, 200, 200, 80);
	CHECK_CALL(!close(closed[1]));
	step();
	workload_wait();
	check_all(1, "child");
	unix_receive(half[1], 0, 300, 71, "half-closed");
	send_all(1);
	step();
	unix_receive_one(pairs[0][1]);
	_exit(1);
}

/* Connects to what the parent listens on, and sends to what it has bound. */
static void client(int number)
{
	int connected = socket(AF_UNIX, SOCK_STREAM, 0), waiting = socket(AF_UNIX, SOCK_STREAM, 0);
	int sender = socket(AF_UNIX, SOCK_DGRAM, 0);
	char path[100];
	int stream = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	close_ends(0);
	close_ends(1);
	if (number == 0) {
		unix_connect(connected, listening, sizeof(listening));
		unix_send(connected, 0, LENGTH, 500, 90);
		step();
		/* The parent has accepted it. */
		unix_receive_one(connected);
	} else {
		unix_connect(waiting, listening, sizeof(listening));
	}
	strcpy(path, workload_path("socket"));
	unix_connect(stream, path, strlen(path) + 1);
	unix_connect(sender, datagrams, sizeof(datagrams));
	unix_send_message(sender, 50, (uint64_t)(100 + number));
	step();
	workload_wait();
	unix_send_message(sender, 60, (uint64_t)(110 + number));
	if (number == 0)
		unix_receive(connected, 0, LENGTH, 91, "accepted connection, back");
	else
		unix_send(waiting, 0, LENGTH, LENGTH, 92);
	unix_send_message(stream, 70, (uint64_t)(120 + number));
	step();
	unix_receive_one(stream);
	_exit(2 + number);
}

static pid_t spawn(void (*run)(int), int number)
{
	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (pid)
		return pid;
	run(number);
	_exit(99);
}

static void first(int number)
{
	(void)number;
	first_child();
}

static void reap(pid_t pid, int code)
{
	int status;

	CHECK_CALL(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code, "a child ended with status %#x",
	      status);
}

int main(int argc, char **argv)
{
	pid_t child, clients[NR_CLIENTS];
	int accepted, fd[NR_CLIENTS];
	char path[100], byte;

	workload_start(argc, argv, NULL);
	for (int i = 0; i < NR_TYPES; i++)
		CHECK_CALL(!socketpair(AF_UNIX, types[i], 0, pairs[i]));
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_STREAM, 0, half) &&
		   !socketpair(AF_UNIX, SOCK_STREAM, 0, closed) && !pipe(steps));
	strcpy(path, workload_path("socket"));
	unlink(path);
	named = unix_bound(SOCK_SEQPACKET, path, strlen(path) + 1);
	server = unix_bound(SOCK_DGRAM, datagrams, sizeof(datagrams));
	listener = unix_bound(SOCK_STREAM, listening, sizeof(listening));
	CHECK_CALL(!listen(listener, 5) && !listen(named, 5));
	child = spawn(first, 0);
	await(1);
	clients[0] = spawn(client, 0);
	await(1);
	accepted = accept(listener, NULL, NULL);
	CHECK_CALL(accepted >= 0 && send(accepted, "x", 1, 0) == 1);
	await(1);
	clients[1] = spawn(client, 1);
	await(1);
	for (int i = 0; i < NR_CLIENTS; i++)
		CHECK_CALL((fd[i] = accept(named, NULL, NULL)) >= 0);
	close_ends(1);
	send_all(0);
	unix_send(half[0], 0, 300, 300, 71);
	unix_send(accepted, 0, LENGTH, 500, 91);
	usleep(300000);
	workload_ready();
	workload_wait();
	await(1 + NR_CLIENTS);
	for (int i = 0; i < NR_TYPES; i++) {
		receive(pairs[i][0], types[i], LENGTH, (uint64_t)(10 * i + 1), "parent");
		receive(pairs[i][0], types[i], 10, (uint64_t)(10 * i + 6), "parent");
	}
	check_all(0, "parent, anew");
	unix_receive(half[0], 0, 100, 70, "half-closed");
	CHECK(recv(half[0], &byte, 1, MSG_DONTWAIT) == 0, "half-closed: does not end");
	unix_receive(closed[0], 0, 200, 80, "closed");
	CHECK(recv(closed[0], &byte, 1, MSG_DONTWAIT) == 0, "closed: does not end");
	unix_receive(accepted, 0, LENGTH, 90, "accepted connection");
	accepted = accept(listener, NULL, NULL);
	CHECK_CALL(accepted >= 0);
	unix_receive(accepted, 0, LENGTH, 92, "the waiting connection");
	for (int i = 0; i < NR_CLIENTS; i++)
		unix_message(server, 50, (uint64_t)(100 + i), "datagrams");
	for (int i = 0; i < NR_CLIENTS; i++) {
		char text[61];

		CHECK(recv(server, text, sizeof(text), MSG_DONTWAIT) == 60,
		      "datagrams: no new one");
		unix_message(fd[i], 70, (uint64_t)(120 + i), "named");
		CHECK_CALL(send(fd[i], "x", 1, 0) == 1);
		reap(clients[i], 2 + i);
	}
	CHECK_CALL(send(pairs[0][0], "x", 1, 0) == 1);
	reap(child, 1);
	workload_pass();
}
