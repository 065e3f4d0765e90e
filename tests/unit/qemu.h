/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtual machines without a guest system, for tests: QEMU that starts in a fraction of a second.
 */
#ifndef OVM_TESTS_UNIT_QEMU_H
#define OVM_TESTS_UNIT_QEMU_H

#include <stdbool.h>
#include <sys/types.h>

struct test_qemu {
	pid_t pid;
	char directory[64];
	char socket[96];
	/** Which part could not be started, when test_qemu_start() returned false. */
	char reason[128];
};

/**
 * Start QEMU with @arguments (split at spaces; "@" stands for a scratch directory on tmpfs) and
 * wait for its QMP socket.
 */
bool test_qemu_start(struct test_qemu *qemu, const char *arguments);

/** End it, and remove its directory. */
void test_qemu_stop(struct test_qemu *qemu);

#endif /* OVM_TESTS_UNIT_QEMU_H */
