// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a seccomp filter that asks another process is refused, as is who is asked
 * @expect: refused has a seccomp filter that asks another process; seccomp listener
 */
#include "seccomp.h"

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SECCOMP_CALL_A, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

	workload_start(argc, argv, NULL);
	CHECK_CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			   &filter) >= 0);
	workload_ready();
	workload_wait();
	workload_pass();
}
