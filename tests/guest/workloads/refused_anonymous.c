// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: files that CRIU can't restore are refused, each by its kind, all at once
 * @expect: refused fd 20: io_uring instance; fd 21: perf event; fd 22: userfaultfd
 * @expect: fd 23: pidfd of process; fd 24: BPF map
 * @expect: fd 26: POSIX message queue; fd 27: Landlock ruleset; fd 28: file system context
 * @expect: is restricted by Landlock
 */
#include "workload.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <mqueue.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { FIRST = 20 };

static void keep(long found, int fd)
{
	CHECK(found >= 0, "fd %d: %s", fd, strerror(errno));
	if (found == fd)
		return;
	CHECK_CALL(dup2((int)found, fd) == fd && !close((int)found));
}

int main(int argc, char **argv)
{
	struct io_uring_params ring = {0};
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(event),
		.config = PERF_COUNT_SW_TASK_CLOCK,
	};
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_BLOCK};
	int fd = FIRST;
	long landlock;
	char queue[32];

	workload_start(argc, argv, NULL);
	keep(syscall(SYS_io_uring_setup, 4, &ring), fd++);
	keep(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), fd++);
	keep(syscall(SYS_userfaultfd, O_CLOEXEC), fd++);
	keep(syscall(SYS_pidfd_open, 1, 0), fd++);
	keep(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)), fd++);
	keep(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY), fd++);
	snprintf(queue, sizeof(queue), "/workload.%d", getpid());
	keep(mq_open(queue, O_RDWR | O_CREAT, 0600, NULL), fd++);
	CHECK_CALL(!mq_unlink(queue));
	landlock = syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	keep(landlock, fd++);
	keep(syscall(SYS_fsopen, "tmpfs", 0), fd++);
	CHECK_CALL(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_CALL(!syscall(SYS_landlock_restrict_self, fd - 2, 0));
	workload_ready();
	workload_wait();
	workload_pass();
}
