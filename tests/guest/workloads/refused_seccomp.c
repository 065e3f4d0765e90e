// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a thread with a seccomp filter is refused
 * @expect: refused thread; seccomp
 */
#include "workload.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	/* getppid fails with EPERM; all else is as it was. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

	workload_start(argc, argv, NULL);
	CHECK_CALL(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_CALL(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
	workload_ready();
	workload_wait();
	CHECK(syscall(SYS_getppid) == -1 && errno == EPERM, "the filter was lost");
	workload_pass();
}
