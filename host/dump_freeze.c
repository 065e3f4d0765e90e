// SPDX-License-Identifier: GPL-2.0-only
/* What a dump makes of the process: frozen, and in the end killed, stopped or running. */
#include <stdlib.h>

#include "dump_private.h"
#include "host/image/inet_socket.h"
#include "host/image/socket_table.h"

static struct ovm_freeze_set freeze_set(const struct ovm_dump *dump)
{
	return (struct ovm_freeze_set){.pid = dump->options.pid};
}

/* Whether the VM is to be paused for all of the dump. */
static struct ovm_error *without_freezer(struct ovm_dump *dump, bool *ret)
{
	struct ovm_vm_status status;

	*ret = true;
	if (dump->options.read_only)
		return NULL;
	struct ovm_error *err = ovm_vm_status(dump->ovm->vm, &status);

	if (err)
		return err;
	*ret = !status.running;
	if (status.running || dump->options.leave == OVM_LEAVE_RUNNING)
		return NULL;
	return ovm_error_format(OVM_ERROR_USAGE,
				"the virtual machine does not run (%s), so that the process can't "
				"be %s: let it run (QMP \"cont\"), or use -R (--leave-running)",
				status.name,
				dump->options.leave == OVM_LEAVE_STOPPED ? "stopped" : "killed");
}

struct ovm_error *ovm_dump_prepare(struct ovm_dump *dump)
{
	bool without;
	struct ovm_error *err = without_freezer(dump, &without);

	if (err)
		return err;
	if (without) {
		err = ovm_pause_create(dump->ovm->vm, &dump->own_pause);
		dump->pause = dump->own_pause;
		return err;
	}
	err = ovm_make_freezer(dump->ovm, ovm_dump_timeout_ms(dump), &dump->freezer);
	if (err)
		return ovm_error_prepend(err,
					 "can't freeze the process (a dump with --read-only -R "
					 "pauses the virtual machine instead)");
	dump->pause = ovm_freezer_pause(dump->freezer);
	return NULL;
}

/* Account for an operation of the freezer. */
static void add_pauses(struct ovm_dump *dump, const struct ovm_freeze_stats *stats)
{
	dump->result.paused_total_us += stats->pause_us_total;
}

struct ovm_error *ovm_dump_freeze(struct ovm_dump *dump)
{
	const struct ovm_freeze_set set = freeze_set(dump);
	struct ovm_freeze_stats stats = {0};

	if (!dump->freezer)
		return NULL;
	ovm_dump_progress(dump, OVM_PHASE_FREEZE, 0, 0);
	dump->frozen_at = ovm_now_us();
	struct ovm_error *err = ovm_freeze(dump->freezer, &set, &stats);

	dump->result.freeze_us = ovm_now_us() - dump->frozen_at;
	add_pauses(dump, &stats);
	if (!err)
		ovm_log(dump->ovm, OVM_LOG_DEBUG,
			"froze threads (%u) in %.1f ms: %u woken, %u CPUs interrupted, %u pauses "
			"of "
			"at most %.1f ms",
			stats.nr_threads, (double)dump->result.freeze_us / 1000, stats.nr_woken,
			stats.nr_interrupts, stats.nr_pauses, (double)stats.pause_us_max / 1000);
	return err;
}

/* The address of a connection's struct sock; 0 of other files. */
static uint64_t connection_of(const struct ovm_rec_file *file)
{
	const struct ovm_rec_socket *socket = file->socket;

	return socket && ovm_image_has_tcp_stream(socket) && socket->state != OVM_IMAGE_TCP_CLOSE
		       ? socket->sk
		       : 0;
}

struct ovm_error *ovm_dump_hold(struct ovm_dump *dump)
{
	const struct ovm_rec_file *files = dump->state.tree->files;
	uint64_t *sockets;
	size_t nr = 0;

	if (!dump->frozen_at || dump->options.leave == OVM_LEAVE_RUNNING)
		return NULL;
	for (const struct ovm_rec_file *file = files; file; file = file->next)
		nr += connection_of(file) != 0;
	if (!nr)
		return NULL;
	sockets = calloc(nr, sizeof(*sockets));
	if (!sockets)
		return ovm_error_no_memory();
	nr = 0;
	for (const struct ovm_rec_file *file = files; file; file = file->next)
		if (connection_of(file))
			sockets[nr++] = connection_of(file);
	struct ovm_error *err = ovm_freezer_hold(dump->freezer, sockets, nr);

	free(sockets);
	return err;
}

static void end_freeze(struct ovm_dump *dump)
{
	dump->result.frozen_us = ovm_now_us() - dump->frozen_at;
	dump->frozen_at = 0;
}

struct ovm_error *ovm_dump_thaw(struct ovm_dump *dump)
{
	const struct ovm_freeze_set set = freeze_set(dump);
	struct ovm_freeze_stats stats = {0};

	if (!dump->frozen_at)
		return NULL;
	struct ovm_error *err = ovm_thaw(dump->freezer, &set, &stats);

	add_pauses(dump, &stats);
	if (err)
		return ovm_error_prepend(err,
					 "can't let process %d run on; if it stays frozen, "
					 "'ovm-gpu thaw -t %d' tries again",
					 dump->options.pid, dump->options.pid);
	end_freeze(dump);
	return NULL;
}

static struct ovm_error *kill_process(struct ovm_dump *dump)
{
	const struct ovm_freeze_set set = freeze_set(dump);
	struct ovm_freeze_stats stats = {0};
	struct ovm_error *err = ovm_kill(dump->freezer, &set, &stats);

	add_pauses(dump, &stats);
	if (!err)
		return NULL;
	/* Were it thawed, it could run twice. */
	ovm_freezer_keep(dump->freezer);
	return ovm_error_prepend(err,
				 "the images in %s are complete, but process %d could not be "
				 "killed and stays frozen: 'ovm-gpu kill -t %d' kills it, "
				 "'ovm-gpu thaw -t %d' lets it run on",
				 dump->options.directory, dump->options.pid, dump->options.pid,
				 dump->options.pid);
}

struct ovm_error *ovm_dump_leave(struct ovm_dump *dump)
{
	struct ovm_error *err = NULL;

	if (!dump->frozen_at)
		return NULL;
	if (dump->options.leave == OVM_LEAVE_STOPPED)
		ovm_freezer_keep(dump->freezer);
	else
		err = kill_process(dump);
	end_freeze(dump);
	return err;
}

void ovm_dump_release(struct ovm_dump *dump)
{
	ovm_freezer_destroy(dump->freezer);
	ovm_pause_destroy(dump->own_pause);
}
