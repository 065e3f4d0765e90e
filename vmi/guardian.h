/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The process that resumes a VM when the one that paused it dies, and settles
 * what else that one has left behind in the guest.
 *
 * It is forked off a process that may have any number of threads, so it runs
 * on system calls alone: no allocation, no stdio, no locks.
 */
#ifndef OVM_VMI_GUARDIAN_H
#define OVM_VMI_GUARDIAN_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/** Messages to the guardian: the first byte of a packet. */
enum ovm_guardian_message {
	/** From now on, resume the VM when the sender ends. */
	OVM_GUARDIAN_ARM = 'A',
	/** No longer. */
	OVM_GUARDIAN_DISARM = 'D',
	/** A migration begins; the JSON list of capabilities to set back follows. */
	OVM_GUARDIAN_MIGRATION = 'M',
	/** The migration has ended, and everything is set back. */
	OVM_GUARDIAN_NO_MIGRATION = 'N',
	/** Resume the VM now: the sender can't. */
	OVM_GUARDIAN_RESUME = 'R',
};

/** Answers: one byte. The first one, unasked, says that the guardian is there. */
enum ovm_guardian_answer {
	OVM_GUARDIAN_DONE = 'k',
	OVM_GUARDIAN_FAILED = 'f',
};

enum {
	/** Longest packet. */
	OVM_GUARDIAN_PACKET = 4096,
};

struct ovm_guardian {
	/** Connection of packets with the process to be watched. */
	int channel;
	/** pidfd of that process, or -1. */
	int process;
	/** The QMP connection, shared with that process. */
	int qmp;
	/** Where to reconnect when that connection is gone; no family when unknown. */
	struct sockaddr_un address;
	/**
	 * What to do, with the VM paused, when the process has ended; or NULL. Returns true when
	 * nothing is left to be done. May use system calls only, and a descriptor that it is
	 * handed: @heir_fd, or -1.
	 */
	bool (*heir)(void *arg, int fd);
	/** What to do before the VM is resumed for a process that died while it was paused. */
	void (*take_over)(void *arg, int fd);
	void *heir_arg;
	int heir_fd;
};

/** Be the guardian; all signals are blocked. Never returns. */
void ovm_guardian_run(const struct ovm_guardian *guardian) __attribute__((noreturn));

#endif /* OVM_VMI_GUARDIAN_H */
