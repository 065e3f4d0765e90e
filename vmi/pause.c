// SPDX-License-Identifier: GPL-2.0-only
/* Pausing a VM, and the watched side of the guardian. */
#include "pause.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "guardian.h"

enum {
	/* The guardian does nothing but answer, except when it is to resume the VM. */
	ANSWER_MS = 10000,
	RESUME_MS = 60000,
};

struct ovm_pause {
	struct ovm_vm *vm;
	int channel;
	pid_t guardian;
	bool was_running;
	/* Whether the VM is, or may be, stopped by us. */
	bool stopped;
	/* When it was told to stop, and for how long it stood still. */
	uint64_t stop_us, last_us;
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct ovm_error *error_guardian(const char *what)
{
	return ovm_error_errno(
		OVM_ERROR_UNREACHABLE, errno, NULL,
		"can't %s the guardian process that would resume the virtual machine", what);
}

static bool receive_answer(int channel, int timeout_ms, char *ret)
{
	struct pollfd fd = {.fd = channel, .events = POLLIN};
	int n;

	do {
		n = poll(&fd, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (!n)
		errno = ETIMEDOUT;
	if (n <= 0)
		return false;
	ssize_t len = recv(channel, ret, 1, MSG_DONTWAIT);

	if (!len)
		errno = ECHILD;
	return len == 1;
}

static struct ovm_error *tell_guardian(struct ovm_pause *pause, enum ovm_guardian_message message,
				       const char *text)
{
	char packet[OVM_GUARDIAN_PACKET], got;
	size_t len = strlen(text);
	int timeout_ms = message == OVM_GUARDIAN_RESUME ? RESUME_MS : ANSWER_MS;

	if (len + 2 > sizeof(packet))
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"message to the guardian is too long");
	packet[0] = (char)message;
	memcpy(packet + 1, text, len);
	if (send(pause->channel, packet, len + 1, MSG_NOSIGNAL) < 0 ||
	    !receive_answer(pause->channel, timeout_ms, &got))
		return error_guardian("reach");
	if (got != OVM_GUARDIAN_DONE)
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"the virtual machine can't be resumed; do so by hand (QMP "
					"\"cont\")");
	return NULL;
}

static struct ovm_error *note_migration(void *arg, const char *undo)
{
	struct ovm_pause *pause = arg;

	return undo ? tell_guardian(pause, OVM_GUARDIAN_MIGRATION, undo)
		    : tell_guardian(pause, OVM_GUARDIAN_NO_MIGRATION, "");
}

/*
 * Fork off the guardian, as a child whose end raises no signal and which only
 * __WCLONE waits for: the caller's own handling of children never sees it.  Only
 * async-signal-safe functions run there, as the caller may have threads, whose
 * locks stay taken in the child for ever; all signals are blocked from its start.
 */
static struct ovm_error *start_guardian(const struct ovm_guardian *guardian, pid_t *ret)
{
	sigset_t all, former;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &former);
	pid_t pid = (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
	int errnum = errno;

	if (!pid)
		ovm_guardian_run(guardian);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	if (pid < 0) {
		errno = errnum;
		return error_guardian("start");
	}
	*ret = pid;
	return NULL;
}

/* Tell the guardian that no more will come, and wait for its end. */
static void dismiss_guardian(int channel, pid_t pid)
{
	char got;

	shutdown(channel, SHUT_WR);
	/* Nothing is sent: this waits for the guardian's end of the channel to be closed. */
	receive_answer(channel, ANSWER_MS, &got);
	for (int ms = 0; ms < 1000 && !waitpid(pid, NULL, __WCLONE | WNOHANG); ms++)
		poll(NULL, 0, 1);
}

static void set_address(struct ovm_guardian *guardian, const char *path)
{
	if (!path || strlen(path) >= sizeof(guardian->address.sun_path))
		return;
	guardian->address.sun_family = AF_UNIX;
	strcpy(guardian->address.sun_path, path);
}

struct ovm_error *ovm_pause_create_with_heir(struct ovm_vm *vm, const struct ovm_pause_heir *heir,
					     struct ovm_pause **ret)
{
	int channel[2];
	char got;

	*ret = NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel))
		return error_guardian("start");

	_cleanup_close_ int ours = channel[0], theirs = channel[1];
	_cleanup_close_ int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct ovm_guardian guardian = {
		.channel = theirs,
		.process = process,
		.qmp = ovm_qmp_fd(ovm_vm_qmp(vm)),
		.heir_fd = -1,
	};

	if (heir) {
		guardian.take_over = heir->take_over;
		guardian.heir = heir->inherit;
		guardian.heir_arg = heir->arg;
		guardian.heir_fd = heir->fd;
	}

	set_address(&guardian, ovm_qmp_path(ovm_vm_qmp(vm)));
	struct ovm_pause *pause = calloc(1, sizeof(*pause));

	if (!pause)
		return ovm_error_no_memory();
	struct ovm_error *err = start_guardian(&guardian, &pause->guardian);

	if (!err) {
		/* With our copy closed, its end shows on ours. */
		close(ovm_take_fd(&theirs));
		if (!receive_answer(ours, ANSWER_MS, &got)) {
			err = error_guardian("start");
			dismiss_guardian(ours, pause->guardian);
		}
	}
	if (err) {
		free(pause);
		return err;
	}
	pause->vm = vm;
	pause->channel = ovm_take_fd(&ours);
	ovm_vm_set_migration_hook(vm, note_migration, pause);
	*ret = pause;
	return NULL;
}

struct ovm_error *ovm_pause_create(struct ovm_vm *vm, struct ovm_pause **ret)
{
	return ovm_pause_create_with_heir(vm, NULL, ret);
}

/* Have the VM run, and the guardian stand down; by way of the guardian if there is no other. */
static struct ovm_error *resume(struct ovm_pause *pause)
{
	struct ovm_qmp *qmp = ovm_vm_qmp(pause->vm);
	bool cancellable = ovm_qmp_set_cancellable(qmp, false);
	struct ovm_vm_status status = {0};
	struct ovm_error *err = ovm_qmp_execute(qmp, "cont", NULL, NULL);

	pause->last_us = now_us() - pause->stop_us;
	if (!err)
		err = ovm_vm_status(pause->vm, &status);
	ovm_qmp_set_cancellable(qmp, cancellable);
	if (err || !status.running) {
		ovm_error_free(err);
		err = tell_guardian(pause, OVM_GUARDIAN_RESUME, "");
	} else {
		err = tell_guardian(pause, OVM_GUARDIAN_DISARM, "");
	}
	pause->stopped = false;
	return err;
}

struct ovm_error *ovm_pause_begin(struct ovm_pause *pause)
{
	struct ovm_vm_status status;

	if (pause->stopped)
		return ovm_error_format(OVM_ERROR_USAGE, "the virtual machine is paused already");
	struct ovm_error *err = ovm_vm_status(pause->vm, &status);

	if (err)
		return err;
	pause->was_running = status.running;
	if (!status.running)
		return NULL;
	err = tell_guardian(pause, OVM_GUARDIAN_ARM, "");
	if (err)
		return err;
	pause->stopped = true;
	pause->stop_us = now_us();
	err = ovm_qmp_execute(ovm_vm_qmp(pause->vm), "stop", NULL, NULL);
	/* A stop whose answer didn't come in time may still be carried out. */
	if (err)
		ovm_error_free(resume(pause));
	return ovm_error_prepend(err, "can't pause the virtual machine");
}

bool ovm_pause_was_running(const struct ovm_pause *pause)
{
	return pause->was_running;
}

uint64_t ovm_pause_last_us(const struct ovm_pause *pause)
{
	return pause->last_us;
}

bool ovm_pause_holds(const struct ovm_pause *pause)
{
	return pause->stopped;
}

struct ovm_error *ovm_pause_end(struct ovm_pause *pause)
{
	return pause->stopped ? resume(pause) : NULL;
}

void ovm_pause_destroy(struct ovm_pause *pause)
{
	if (!pause)
		return;
	ovm_error_free(ovm_pause_end(pause));
	ovm_vm_set_migration_hook(pause->vm, NULL, NULL);
	/* Its end is waited for, so that it holds the QMP connection no longer than we do. */
	dismiss_guardian(pause->channel, pause->guardian);
	close(pause->channel);
	free(pause);
}
