// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an IPC namespace keeps its limits
 */
#include "ipc.h"

#include <fcntl.h>
#include <stdio.h>

static const struct {
	const char *name, *text;
} limits[] = {
	{"kernel/sem", "1000\t20000\t77\t99\n"},
	{"kernel/msgmax", "4000\n"},
	{"kernel/msgmnb", "20000\n"},
	{"kernel/msgmni", "123\n"},
	{"kernel/shmmax", "77777777\n"},
	{"kernel/shmall", "1234567\n"},
	{"kernel/shmmni", "55\n"},
	{"kernel/shm_rmid_forced", "1\n"},
	{"fs/mqueue/queues_max", "33\n"},
	{"fs/mqueue/msg_max", "12\n"},
	{"fs/mqueue/msgsize_max", "9000\n"},
	{"fs/mqueue/msg_default", "11\n"},
	{"fs/mqueue/msgsize_default", "8200\n"},
};

enum { NR = sizeof(limits) / sizeof(limits[0]) };

static int open_limit(int i, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/%s", limits[i].name);
	int fd = open(path, flags);

	if (fd < 0)
		workload_skip("%s: %s", path, strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	char text[128];

	workload_start(argc, argv, NULL);
	ipc_unshare();
	for (int i = 0; i < NR; i++) {
		int fd = open_limit(i, O_WRONLY);
		size_t len = strlen(limits[i].text);

		CHECK_CALL(write(fd, limits[i].text, len) == (ssize_t)len);
		close(fd);
	}
	workload_ready();
	workload_wait();
	for (int i = 0; i < NR; i++) {
		int fd = open_limit(i, O_RDONLY);
		ssize_t len = read(fd, text, sizeof(text) - 1);

		CHECK_CALL(len > 0);
		text[len] = '\0';
		CHECK(!strcmp(text, limits[i].text), "%s is %s", limits[i].name, text);
		close(fd);
	}
	workload_pass();
}
