/* SPDX-License-Identifier: GPL-2.0-only */
/* Filters that have one system call fail, and a look at what is installed. */
#ifndef OVM_WORKLOADS_SECCOMP_H
#define OVM_WORKLOADS_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "workload.h"

/* Calls that no libc makes on its own, and that fail otherwise as they are made here. */
enum {
	SECCOMP_CALL_A = SYS_getpgid,
	SECCOMP_CALL_B = SYS_getsid,
	SECCOMP_CALL_C = SYS_getpriority
};

/** Install a filter with which the call @nr fails with @errnum; the result of seccomp(2). */
static inline long seccomp_install(unsigned int flags, int nr, int errnum)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)errnum),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

/** Fail unless the call @nr fails with @errnum, or succeeds for 0. */
static inline void seccomp_expect(const char *who, int nr, int errnum)
{
	errno = 0;
	long result = syscall(nr, 0, 0);

	CHECK(errno == errnum && (result == -1) == (errnum != 0),
	      "%s: system call %d returns %ld and error %d, not %d", who, nr, result, errno,
	      errnum);
}

/** The number behind "@name:" in /proc/self/task/TID/status. */
static inline long seccomp_status(pid_t tid, const char *name)
{
	char path[64], text[4096], *line = text;
	size_t len = strlen(name);

	snprintf(path, sizeof(path), "task/%d/status", tid);
	workload_proc(path, text, sizeof(text));
	while (line && (strncmp(line, name, len) || line[len] != ':')) {
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	CHECK(line, "there is no %s in %s", name, path);
	return strtol(line + len + 1, NULL, 10);
}

/** Fail unless the thread is in filter mode with @nr filters. */
static inline void seccomp_check_number(pid_t tid, long nr)
{
	long mode = seccomp_status(tid, "Seccomp"), found = seccomp_status(tid, "Seccomp_filters");

	CHECK(mode == SECCOMP_MODE_FILTER && found == nr,
	      "thread %d: mode %ld, %ld filters, not %ld", tid, mode, found, nr);
}

#endif /* OVM_WORKLOADS_SECCOMP_H */
