// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: TCP connections go on, with all that was on its way, sent or not, in both directions
 * @dump: --tcp-established
 */
#include "inet.h"

enum {
	PORT = 7041,
	V6_PORT = 7042,
	READ = 3000,
	SIZE = 20000,
	FULL = 8 << 20,
	MORE = 100000,
};

/* What is sent when nobody reads: the receiver's window, and all of the sender's buffer. */
struct full {
	int fd, peer;
	size_t sent;
};

static void fill(struct full *full, int fd, int peer, uint64_t seed)
{
	*full = (struct full){fd, peer, inet_send_all(fd, 0, FULL, seed)};
	CHECK(full->sent > SIZE && full->sent < FULL, "%zu bytes fit", full->sent);
}

static void *send_more(void *arg)
{
	const struct full *full = arg;

	inet_send(full->fd, full->sent, full->sent + MORE, 7);
	return NULL;
}

static void check_both(int a, int b, uint64_t seed, const char *what)
{
	inet_check_empty(a, what);
	inet_check_empty(b, what);
	inet_send(a, 0, SIZE, seed);
	inet_receive(b, 0, SIZE, seed, what);
	inet_send(b, 0, SIZE, seed + 1);
	inet_receive(a, 0, SIZE, seed + 1, what);
}

int main(int argc, char **argv)
{
	int idle[2], busy[2], six[2], mapped[2], stuffed[2];
	struct full full;

	workload_start(argc, argv, NULL);

	int listening = inet_listening("127.0.0.1", PORT, 5);
	int both = inet_listening("::", V6_PORT, 5);

	inet_pair(listening, "127.0.0.1", PORT, idle);
	inet_pair(listening, "127.0.0.1", PORT, busy);
	inet_pair(both, "::1", V6_PORT, six);
	inet_pair(both, "127.0.0.1", V6_PORT, mapped);
	inet_pair(listening, "127.0.0.1", PORT, stuffed);
	inet_set(idle[0], SOL_TCP, TCP_NODELAY, 1);
	inet_set(idle[0], SOL_SOCKET, SO_KEEPALIVE, 1);
	inet_set(idle[0], SOL_TCP, TCP_KEEPIDLE, 55);
	/* Read in part, in both directions. */
	inet_send(busy[0], 0, SIZE, 1);
	inet_receive(busy[1], 0, READ, 1, "before the dump");
	inet_send(busy[1], 0, SIZE, 2);
	inet_send(six[0], 0, SIZE, 3);
	inet_send(mapped[1], 0, SIZE, 4);
	fill(&full, stuffed[0], stuffed[1], 7);
	workload_ready();
	workload_wait();
	inet_check_name(idle[0], true, "127.0.0.1", PORT);
	inet_check_name(six[1], false, "::1", V6_PORT);
	inet_check_name(mapped[1], false, "::ffff:127.0.0.1", V6_PORT);
	inet_check_option(idle[0], SOL_TCP, TCP_NODELAY, 1);
	inet_check_option(idle[1], SOL_TCP, TCP_NODELAY, 0);
	inet_check_option(idle[0], SOL_SOCKET, SO_KEEPALIVE, 1);
	inet_check_option(idle[1], SOL_SOCKET, SO_KEEPALIVE, 0);
	inet_check_option(idle[0], SOL_TCP, TCP_KEEPIDLE, 55);
	inet_receive(busy[1], READ, SIZE, 1, "what was on its way");
	inet_receive(busy[0], 0, SIZE, 2, "what was on its way back");
	inet_receive(six[1], 0, SIZE, 3, "what was on its way by IPv6");
	inet_receive(mapped[0], 0, SIZE, 4, "what was on its way to a mapped address");

	pthread_t sender = workload_thread(send_more, &full);

	inet_receive(full.peer, 0, full.sent + MORE, 7, "a full connection");
	CHECK_CALL(!pthread_join(sender, NULL));
	check_both(idle[0], idle[1], 10, "an idle connection");
	check_both(busy[0], busy[1], 12, "a connection with data");
	check_both(six[0], six[1], 14, "a connection by IPv6");
	check_both(mapped[0], mapped[1], 16, "a connection to a mapped address");
	close(idle[0]);
	inet_check_end(idle[1], "a connection that ends");
	workload_pass();
}
