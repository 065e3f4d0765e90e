// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files on their way in messages (SCM_RIGHTS) that can't be represented.
 *
 * CRIU sends a message when the files that come with it are there: it looks once, and forgets the
 * message if they are not. So they have to be of kinds that it opens at once.
 */
#include "check.h"

#include "files.h"

static bool is_opened_at_once(const struct ovm_rec_file *file)
{
	switch (file->kind) {
	case OVM_REC_FILE_REGULAR:
	case OVM_REC_FILE_DIRECTORY:
	case OVM_REC_FILE_CHRDEV_MEM:
	case OVM_REC_FILE_MEMFD:
	case OVM_REC_FILE_MEMFD_HUGETLB:
	case OVM_REC_FILE_SHMEM_ANON:
	case OVM_REC_FILE_PIPE:
	case OVM_REC_FILE_FIFO:
	case OVM_REC_FILE_EVENTFD:
	case OVM_REC_FILE_TIMERFD:
	case OVM_REC_FILE_EPOLL:
	case OVM_REC_FILE_SIGNALFD:
	case OVM_REC_FILE_INOTIFY:
	case OVM_REC_FILE_FANOTIFY:
	case OVM_REC_FILE_SOCKET:
		return true;
	default:
		return false;
	}
}

/* It waits for the other one's name. */
static bool leads_to_deleted_name(const struct ovm_image_socket_table *table,
				  const struct ovm_rec_file *file)
{
	const struct ovm_image_socket *socket =
		ovm_image_file_is_unix_socket(file) ? ovm_image_socket_find(table, file->socket->sk)
						    : NULL;

	if (!socket || !socket->peer || socket->mutual)
		return false;

	const struct ovm_rec_file *bound = socket->peer->rec->unix_socket->bound;

	return bound && bound->unlinked;
}

static void check_one(struct ovm_image_report *report, const struct ovm_image_process *p,
		      const struct ovm_image_socket *socket, const struct ovm_rec_file *file)
{
	const struct ovm_rec_fd fd = {.fd = socket->fd, .file = (struct ovm_rec_file *)file};

	if (!file->nr_fds)
		ovm_image_check_fd(report, p, &fd);
	if (!is_opened_at_once(file) || leads_to_deleted_name(report->sockets, file))
		ovm_image_reason(report, "fd %d: a file that CRIU may not have opened in time",
				 socket->fd);
	if (!file->nr_fds && file->locks)
		ovm_image_reason(report, "fd %d: a file with locks, which CRIU would lose",
				 socket->fd);
	if (!file->nr_fds && file->epoll && file->epoll->entries)
		ovm_image_reason(report,
				 "fd %d: an epoll instance, whose files CRIU would not find",
				 socket->fd);
}

static void check_queue(struct ovm_image_report *report, const struct ovm_image_process *p,
			const struct ovm_image_socket *socket)
{
	const struct ovm_rec_packet *packet = socket->rec->packets;

	for (; packet; packet = packet->next)
		for (const struct ovm_rec_passed *passed = packet->passed; passed;
		     passed = passed->next)
			if (passed->file)
				check_one(report, p, socket, passed->file);
}

void ovm_image_check_passed(struct ovm_image_report *report)
{
	const struct ovm_image_socket_table *table = report->sockets;

	report->passed = true;
	for (size_t i = 0; i < table->nr; i++) {
		const struct ovm_image_socket *socket = table->order[i];

		/* No process has what is only on its way itself. */
		if (!socket->process)
			continue;
		report->pid = socket->process->pid;
		check_queue(report, &report->set->processes[socket->process->index], socket);
	}
	report->passed = false;
}
