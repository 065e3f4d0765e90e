// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: what waits in pseudo-terminals is read as before, on both sides, lines and raw bytes
 * @pty
 * @criu_dump: no criu reads only whole lines, and what it puts back is processed once more
 */
#include "terminal.h"

enum { BULK = 9000 };

/* Raw: every byte there is, both ways. */
static void fill_bytes(const struct terminal *t, char bytes[256])
{
	terminal_raw(t->slave);
	for (int i = 0; i < 256; i++)
		bytes[i] = (char)i;
	terminal_write(t->master, bytes, 256);
	terminal_write(t->slave, bytes, 256);
}

/* More than the line discipline takes: the rest waits in the buffers. */
static void fill_bulk(const struct terminal *t, char *bulk)
{
	terminal_raw(t->slave);
	workload_fill(bulk, BULK, 7);
	terminal_write(t->slave, bulk, BULK);
	terminal_write(t->master, bulk, BULK);
	/* Not to be blocked, CRIU would write a part of it only. */
	CHECK_CALL(!fcntl(t->master, F_SETFL, O_RDWR) && !fcntl(t->slave, F_SETFL, O_RDWR));
}

static void check_bulk(int fd, const char *bulk)
{
	static char buffer[2 * BULK];
	size_t n = terminal_read_all(fd, buffer, sizeof(buffer), 1000);

	CHECK(n == BULK && !memcmp(buffer, bulk, BULK), "fd %d has %zu bytes, not %d, or others",
	      fd, n, BULK);
}

static char first[BULK];

int main(int argc, char **argv)
{
	char bytes[256];

	workload_start(argc, argv, NULL);

	struct terminal raw = terminal_open(10, "/dev/ptmx", O_RDWR | O_NONBLOCK);
	struct terminal lines = terminal_open(12, "/dev/ptmx", O_RDWR | O_NONBLOCK);
	struct terminal echoes = terminal_open(14, "/dev/ptmx", O_RDWR | O_NONBLOCK);
	struct terminal bulk = terminal_open(16, "/dev/ptmx", O_RDWR | O_NONBLOCK);
	struct terminal late = terminal_open(18, "/dev/ptmx", O_RDWR | O_NONBLOCK);

	fill_bytes(&raw, bytes);
	fill_bulk(&bulk, first);
	/* Lines without echo: quoted characters, an end of file, and one that isn't whole. */
	terminal_set(lines.slave, 0, 0, 0, 0, ECHO, 0);
	terminal_write(lines.master, "one\ntwo\r", 8);
	terminal_write(lines.master, "^\x16\x03|\x16\n|\x16\r|\n", 11);
	terminal_write(lines.master, "end\x04\x04half a l\x7fline", 18);
	/* What is echoed has been seen by nobody yet. */
	terminal_write(echoes.slave, "prompt\n$ ", 9);
	terminal_write(echoes.master, "typed\nahead", 11);
	/* Was raw when it came. */
	terminal_raw(late.slave);
	terminal_write(late.master, "a\nb\x03", 4);
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	terminal_set(late.slave, 0, ICRNL, 0, 0, 0, ICANON | ISIG | IEXTEN);
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	workload_ready();
	workload_wait();

	terminal_check_read(raw.slave, bytes, 256);
	terminal_check_read(raw.master, bytes, 256);
	terminal_unblock(bulk.master);
	terminal_unblock(bulk.slave);
	check_bulk(bulk.master, first);
	check_bulk(bulk.slave, first);
	TERMINAL_CHECK_READ(lines.slave, "one\n");
	TERMINAL_CHECK_READ(lines.slave, "two\n");
	TERMINAL_CHECK_READ(lines.slave, "^\x03|\n|\r|\n");
	TERMINAL_CHECK_READ(lines.slave, "end");
	TERMINAL_CHECK_READ(lines.slave, "");
	terminal_check_empty(lines.slave);
	terminal_write(lines.master, "\x7f!\n", 3);
	TERMINAL_CHECK_READ(lines.slave, "half a lin!\n");
	terminal_check_empty(lines.master);
	TERMINAL_CHECK_READ(echoes.master, "prompt\r\n$ typed\r\nahead");
	TERMINAL_CHECK_READ(echoes.slave, "typed\n");
	terminal_write(echoes.master, "\n", 1);
	TERMINAL_CHECK_READ(echoes.slave, "ahead\n");
	TERMINAL_CHECK_READ(late.slave, "a\nb\x03");
	terminal_check_empty(late.slave);
	terminal_check_empty(late.master);
	workload_pass();
}
