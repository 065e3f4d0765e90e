// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that can't be represented.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "external.h"
#include "files.h"
#include "inet_socket.h"
#include "vmi/cleanup.h"

enum {
	PATH_LEN_MAX = 4095,
	/* "memfd:" and what memfd_create(2) takes. */
	MEMFD_NAME_MAX = 6 + 249,
	NR_SEALS = 5,
	/* fcntl(2), F_SETOWN_EX: kinds of owners. */
	OWNER_THREAD = 0,
	OWNER_PGRP = 2,
	MEM_MAJOR = 1,
};

/* The kernel's values (linux/eventpoll.h), and those that an entry keeps when it is disabled. */
static const uint32_t K_EPOLLONESHOT = 1u << 30;
static const uint32_t K_EPOLL_FLAGS = 15u << 28;

/* The kernel puts paths together of names that are neither of these. */
static bool has_odd_component(const struct ovm_rec_bytes *path)
{
	const uint8_t *end = path->data + path->len;

	if (path->len == 1)
		return false;
	for (const uint8_t *name = path->data + 1, *next; name <= end; name = next + 1) {
		next = memchr(name, '/', (size_t)(end - name));
		if (!next)
			next = end;
		size_t len = (size_t)(next - name);

		if (!len || (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))))
			return true;
	}
	return false;
}

static const char *name_problem(const struct ovm_rec_file *file)
{
	const struct ovm_rec_bytes *path = &file->path;

	if (!path->len || path->data[0] != '/')
		return "has no known path";
	if (path->len > PATH_LEN_MAX || memchr(path->data, '\0', path->len) ||
	    has_odd_component(path))
		return "has a path that can't be opened";
	return NULL;
}

const char *ovm_image_path_problem(const struct ovm_rec_file *file)
{
	const char *problem = file->ghost ? ovm_image_ghost_problem(file) : NULL;

	if (problem)
		return problem;
	if (file->unlinked && !file->ghost)
		return "is deleted (an old version of it, if the name is in use again): restart "
		       "what holds it";
	if (!file->reachable)
		return "is on a mount that the process can't reach, or that another one hides";
	return name_problem(file);
}

static const char *memory_problem(const struct ovm_rec_file *file)
{
	if (file->path.len > MEMFD_NAME_MAX ||
	    (file->path.len && memchr(file->path.data, '\0', file->path.len)))
		return "has a name that memfd_create does not take";
	if (file->seals >> NR_SEALS)
		return "has seals that CRIU does not know";
	return NULL;
}

/* Below /proc/PID there are only the saved processes after a restore. */
static const char *proc_problem(const struct ovm_image_report *report,
				const struct ovm_rec_file *file)
{
	static const uint64_t proc_super_magic = 0x9fa0;
	char path[sizeof("/proc/4294967295/")] = "";
	const size_t prefix = strlen("/proc/");
	size_t len = file->path.len < sizeof(path) - 1 ? file->path.len : sizeof(path) - 1;

	if (file->sb_magic != proc_super_magic || !len)
		return NULL;
	memcpy(path, file->path.data, len);
	if (strncmp(path, "/proc/", prefix) || path[prefix] < '0' || path[prefix] > '9')
		return NULL;
	return ovm_image_set_has_thread(report, (int32_t)strtol(path + prefix, NULL, 10))
		       ? NULL
		       : "belongs to a process that is not saved";
}

static bool has_group(const struct ovm_image_report *report, int32_t pgid)
{
	return bsearch(&pgid, report->groups, report->set->nr_processes, sizeof(pgid),
		       ovm_image_compare_ids);
}

static const char *owner_problem(const struct ovm_image_report *report,
				 const struct ovm_rec_file *file)
{
	if (file->owner_signum < 0 || file->owner_signum > OVM_REC_NR_SIGNALS)
		return "sends an impossible signal to its owner";
	if (!file->owner_pid)
		return NULL;
	bool own = file->owner_pid_type == OWNER_PGRP
			   ? has_group(report, file->owner_pid)
			   : ovm_image_set_has_process(report, file->owner_pid);

	if (!own && file->owner_pid_type == OWNER_THREAD &&
	    ovm_image_set_has_thread(report, file->owner_pid))
		return "sends signals to a thread that isn't a process' first one (F_SETOWN_EX): "
		       "CRIU opens files before it makes threads";
	return own && file->owner_pid_type <= OWNER_PGRP
		       ? NULL
		       : "sends signals to a process that is not saved (F_SETOWN)";
}

/* Sockets and terminals are looked at by themselves. */
static const char *kind_problem(const struct ovm_image_report *report,
				const struct ovm_rec_file *file)
{
	const char *problem;

	switch (file->kind) {
	case OVM_REC_FILE_REGULAR:
	case OVM_REC_FILE_DIRECTORY:
		problem = ovm_image_path_problem(file);
		return problem ? problem : proc_problem(report, file);
	case OVM_REC_FILE_CHRDEV_MEM:
		return ovm_image_path_problem(file);
	case OVM_REC_FILE_MEMFD:
	case OVM_REC_FILE_MEMFD_HUGETLB:
	case OVM_REC_FILE_SHMEM_ANON:
		return memory_problem(file);
	case OVM_REC_FILE_PIPE:
		return ovm_image_pipe_problem(file);
	case OVM_REC_FILE_FIFO:
		problem = ovm_image_path_problem(file);
		return problem ? problem : ovm_image_pipe_problem(file);
	case OVM_REC_FILE_EVENTFD:
		return ovm_image_eventfd_problem(file);
	case OVM_REC_FILE_TIMERFD:
		return ovm_image_timerfd_problem(file);
	case OVM_REC_FILE_EPOLL:
		return ovm_image_epoll_problem(file);
	case OVM_REC_FILE_SIGNALFD:
		return ovm_image_signalfd_problem(file);
	case OVM_REC_FILE_INOTIFY:
	case OVM_REC_FILE_FANOTIFY:
		return ovm_image_fsnotify_problem(file);
	case OVM_REC_FILE_SOCKET:
	case OVM_REC_FILE_TTY:
		return NULL;
	default:
		return "is not saved by this version";
	}
}

/* Its path, or what /proc shows of a pipe, which has none. */
static const char *file_name(const struct ovm_rec_file *file, char quoted[OVM_IMAGE_QUOTED_MAX])
{
	if (file->kind != OVM_REC_FILE_PIPE)
		return ovm_image_quote(file->path.data, file->path.len, quoted);
	snprintf(quoted, OVM_IMAGE_QUOTED_MAX, "pipe:[%llu]", (unsigned long long)file->ino);
	return quoted;
}

/* Whether it means something that others have a file open, too; of locks, see leads_out(). */
static bool connects(const struct ovm_rec_file *file)
{
	return file->pipe || file->eventfd || file->epoll || file->socket || file->fsnotify;
}

/* Whoever has the file open holds these too; a POSIX lock is of one process alone. */
bool ovm_image_has_shared_locks(const struct ovm_rec_file *file)
{
	const struct ovm_rec_file_lock *lock = file->locks;

	while (lock && lock->kind == OVM_REC_FILE_LOCK_POSIX)
		lock = lock->next;
	return lock;
}

/*
 * A system call takes a reference too, as long as it goes on. A file that is only locked may be
 * mapped besides: there, references alone tell nothing.
 */
static bool leads_out(const struct ovm_image_report *report, const struct ovm_rec_file *file)
{
	const struct ovm_rec_pipe *pipe = file->pipe;

	if (pipe && (pipe->readers != pipe->own_readers || pipe->writers != pipe->own_writers))
		return true;
	return connects(file) &&
	       file->nr_references > file->nr_fds + file->nr_passed + report->nr_all_tids;
}

static void warn_external(struct ovm_image_report *report, const struct ovm_rec_fd *fd)
{
	ovm_image_warn(report,
		       "fd %d: %s (inode %llu) is open outside as well: criu restore needs "
		       "--inherit-fd fd[N]:%s:[%llu]",
		       fd->fd, ovm_image_kind_name(fd->file), (unsigned long long)fd->file->ino,
		       fd->file->kind == OVM_REC_FILE_PIPE ? "pipe" : "socket",
		       (unsigned long long)fd->file->ino);
}

/* The other end of what leads out of the process would be gone. */
static void check_holder(struct ovm_image_report *report, const struct ovm_rec_fd *fd)
{
	const struct ovm_rec_file *file = fd->file;
	const struct ovm_rec_holder *holder = &file->holder;
	char quoted[OVM_IMAGE_QUOTED_MAX], comm[OVM_IMAGE_QUOTED_MAX];

	if (!connects(file) && !ovm_image_has_shared_locks(file))
		return;
	if (!holder->pid && file->pipe)
		holder = &file->pipe->holder;
	file_name(file, quoted);
	if (ovm_image_is_external(report->set, file)) {
		if (holder->pid || leads_out(report, file))
			warn_external(report, fd);
		return;
	}
	if (holder->pid)
		ovm_image_reason(report,
				 "fd %d: %s (%s) is open in process %d (%s) as well, which is not "
				 "saved%s",
				 fd->fd, ovm_image_kind_name(file), quoted, holder->pid,
				 ovm_image_quote(holder->comm,
						 strnlen(holder->comm, sizeof(holder->comm)), comm),
				 file->kind == OVM_REC_FILE_PIPE
					 ? " (--external leaves that to the restore)"
					 : "");
	else if (leads_out(report, file))
		ovm_image_reason(report,
				 "fd %d: %s (%s) is open elsewhere as well, though in no process",
				 fd->fd, ovm_image_kind_name(file), quoted);
}

/* CRIU adds all entries with EPOLLERR and EPOLLHUP, as the kernel does. */
static bool is_disabled(const struct ovm_rec_epoll_entry *entry)
{
	return entry->events & K_EPOLLONESHOT && !(entry->events & ~K_EPOLL_FLAGS);
}

static void check_epoll_entry(struct ovm_image_report *report, int32_t fd,
			      const struct ovm_image_epoll_entry *entry)
{
	if (!entry->file)
		ovm_image_reason(report,
				 "fd %d: epoll instance waits for a file that was fd %d, and to "
				 "which no descriptor is left: CRIU can't add it",
				 fd, entry->rec->fd);
	else if (entry->fd != entry->rec->fd)
		ovm_image_warn(report,
			       "fd %d: epoll instance waits for what was fd %d: restored as fd %d, "
			       "which leads to the same file",
			       fd, entry->rec->fd, entry->fd);
	else if (is_disabled(entry->rec))
		ovm_image_warn(report,
			       "fd %d: epoll instance has fd %d disabled (EPOLLONESHOT): restored, "
			       "it tells errors and hang-ups",
			       fd, entry->rec->fd);
}

static void check_epoll(struct ovm_image_report *report, const struct ovm_rec_fd *fd)
{
	_cleanup_free_ struct ovm_image_epoll_entry *entries = NULL;
	struct ovm_error *err = ovm_image_epoll_entries(report->epolls, fd->file, &entries);

	if (err) {
		ovm_error_free(err);
		report->out_of_memory = true;
		return;
	}
	for (uint64_t i = 0; i < fd->file->epoll->nr_entries; i++)
		check_epoll_entry(report, fd->fd, &entries[i]);
}

/*
 * What is looked at for the first descriptor of a file only: it may have long lists, and many
 * descriptors.
 */
static bool is_known(const struct ovm_image_report *report, const struct ovm_rec_process *rec,
		     const struct ovm_rec_fd *fd)
{
	const struct ovm_rec_file *file = fd->file;

	return (file->fsnotify || file->locks || file->socket) && file->nr_fds > 1 &&
	       !ovm_image_epoll_is_first(report->epolls, rec, fd);
}

void ovm_image_check_fd(struct ovm_image_report *report, const struct ovm_image_process *p,
			const struct ovm_rec_fd *fd)
{
	const struct ovm_rec_file *file = fd->file;
	char quoted[OVM_IMAGE_QUOTED_MAX], device[32] = "";

	if (fd->fd < 0 || !file) {
		ovm_image_reason(report, "fd %d: has no file", fd->fd);
		return;
	}
	if (is_known(report, p->rec, fd))
		return;
	if (file->kind == OVM_REC_FILE_SOCKET)
		ovm_image_check_socket(report, p, fd);
	if (file->kind == OVM_REC_FILE_CHRDEV || file->kind == OVM_REC_FILE_BLKDEV)
		snprintf(device, sizeof(device), " %u:%u", file->rdev_major, file->rdev_minor);
	if (file->pidfd)
		snprintf(device, sizeof(device), " of process %d", file->pidfd);
	const char *const problems[] = {
		kind_problem(report, file),
		owner_problem(report, file),
	};

	check_holder(report, fd);
	if (file->other_name)
		ovm_image_warn(report,
			       "fd %d: the name that it was opened by is gone: it is restored by "
			       "another one, %s",
			       fd->fd, file_name(file, quoted));
	if (file->fsnotify && ovm_image_fsnotify_loss(file))
		ovm_image_warn(report, "fd %d: %s %s", fd->fd, ovm_image_kind_name(file),
			       ovm_image_fsnotify_loss(file));
	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
		if (problems[i])
			ovm_image_reason(report, "fd %d: %s%s (%s) %s", fd->fd,
					 ovm_image_kind_name(file), device, file_name(file, quoted),
					 problems[i]);
}

static void check_directory(struct ovm_image_report *report, const struct ovm_rec_file *file,
			    const char *what)
{
	char quoted[OVM_IMAGE_QUOTED_MAX];

	if (!file) {
		ovm_image_reason(report, "%s: is not known", what);
		return;
	}
	const char *problem = ovm_image_path_problem(file);

	if (problem)
		ovm_image_reason(report, "%s: %s %s", what,
				 ovm_image_quote(file->path.data, file->path.len, quoted), problem);
}

static void check_exe(struct ovm_image_report *report, const struct ovm_rec_file *exe)
{
	if (exe && exe->kind != OVM_REC_FILE_REGULAR)
		ovm_image_reason(report, "executable: is not a regular file (%s)",
				 ovm_image_kind_name(exe));
	else
		check_directory(report, exe, "executable");
}

/* Descriptors ascend, as the kernel's table has them: the same one twice is one too many. */
static void check_order(struct ovm_image_report *report, const struct ovm_rec_process *rec)
{
	int32_t last = -1;

	for (const struct ovm_rec_fd *fd = rec->fds; fd; fd = fd->next) {
		if (fd->fd <= last) {
			ovm_image_reason(report, "fd %d: is out of order", fd->fd);
			return;
		}
		last = fd->fd;
	}
}

static void check_fds(struct ovm_image_report *report, const struct ovm_image_process *p)
{
	for (const struct ovm_rec_fd *fd = p->rec->fds; fd; fd = fd->next) {
		ovm_image_check_fd(report, p, fd);
		if (fd->file && fd->file->epoll &&
		    ovm_image_epoll_is_first(report->epolls, p->rec, fd))
			check_epoll(report, fd);
	}
	ovm_image_check_file_locks(report, p);
}

void ovm_image_check_files(struct ovm_image_report *report, const struct ovm_image_process *p)
{
	if (!p->rec->files_owner)
		ovm_image_reason(report, "its descriptors are not known");
	if (ovm_image_owns_files(p->rec)) {
		check_fds(report, p);
		check_order(report, p->rec);
	}
	check_directory(report, p->rec->fs.cwd, "working directory");
	check_directory(report, p->rec->fs.root, "root directory");
	check_exe(report, p->rec->mm.exe);
}
