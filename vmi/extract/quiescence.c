// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a process can be believed as it lies in memory: the locks around what the extractors
 * read, and where its threads are.
 *
 * What a held lock guards is not read on from here.
 */
#include <linux/fdtable.h>
#include <linux/mm_types.h>
#include <linux/skbuff.h>
#include <linux/stat.h>
#include <linux/tty.h>
#include <net/af_unix.h>
#include <net/scm.h>
#include <net/tcp_states.h>

#include "extract.h"
#include "vma_iter.h"

/* eea9673250db ("exec: Add exec_update_mutex to replace cred_guard_mutex", v5.7), a semaphore
 * since f7cfd871ae0c ("exec: Transform exec_update_mutex into a rw_semaphore", v5.11). */
struct signal_struct___exec_mutex {
	struct mutex exec_update_mutex;
};

/* By v6.17, the lock and the count of fs_struct are one seqlock. */
struct fs_struct___seqlock {
	seqlock_t seq;
};

extern rwlock_t tasklist_lock;

/* A file that waits in a socket. */
struct waiting {
	struct waiting __host *next;
	struct waiting __host *next_in_bucket;
	u64 file;
};

struct locks {
	struct ovm_rec_lock __host *__host *link;
	/* Files on their way that have been met, in that order, and by identity. */
	struct waiting __host *waiting;
	struct waiting __host *__host *tail;
	struct waiting __host *bucket[OVM_FILE_BUCKETS];
	/* Thread that is being looked at, for reports. */
	__s32 tid;
};

#define REPORT(locks, literal, lock, owner_tid, is_shared)                        \
	({                                                                        \
		struct ovm_rec_lock __host *__rec = llv_new(struct ovm_rec_lock); \
		llv_set_text(__rec->name, literal);                               \
		__rec->address = OVM_IDENTITY(lock);                              \
		__rec->tid = (locks)->tid;                                        \
		__rec->owner = (owner_tid);                                       \
		__rec->shared = (is_shared);                                      \
		*(locks)->link = __rec;                                           \
		(locks)->link = &__rec->next;                                     \
	})

#define CHECK_SPIN(locks, literal, lock)                    \
	({                                                  \
		bool __held = ovm_spin_held(lock);          \
		if (__held)                                 \
			REPORT(locks, literal, lock, 0, 0); \
		__held;                                     \
	})

#define CHECK_MUTEX(locks, literal, lock)                                       \
	({                                                                      \
		bool __held = ovm_mutex_held(lock);                             \
		if (__held)                                                     \
			REPORT(locks, literal, lock, ovm_mutex_owner(lock), 0); \
		__held;                                                         \
	})

/* True when held for writing; readers are reported as such. */
#define CHECK_RWSEM(locks, literal, lock)                                       \
	({                                                                      \
		bool __held = ovm_rwsem_write_held(lock);                       \
		if (__held)                                                     \
			REPORT(locks, literal, lock, ovm_rwsem_owner(lock), 0); \
		else if (ovm_rwsem_read_held(lock))                             \
			REPORT(locks, literal, lock, 0, 1);                     \
		__held;                                                         \
	})

/* Execve replaces address space, credentials and signal handlers under these. */
static void exec_locks(struct signal_struct *signal, struct locks __host *locks)
{
	CHECK_MUTEX(locks, "signal->cred_guard_mutex", &signal->cred_guard_mutex);
	if (llv_field_exists(struct signal_struct, exec_update_lock))
		CHECK_RWSEM(locks, "signal->exec_update_lock", &signal->exec_update_lock);
	else if (llv_field_exists(struct signal_struct___exec_mutex, exec_update_mutex))
		CHECK_MUTEX(locks, "signal->exec_update_mutex",
			    &((struct signal_struct___exec_mutex *)signal)->exec_update_mutex);
}

static void shmem_lock(struct file *file, struct locks __host *locks)
{
	const struct inode *inode = file->f_inode;

	if (ovm_inode_is_internal_memory(inode) || ovm_inode_is_ghost(inode))
		CHECK_SPIN(locks, "mapping->i_pages", &inode->i_mapping->i_pages.xa_lock);
}

static void note(u64 file, struct locks __host *locks)
{
	unsigned int bucket = OVM_FILE_BUCKET(file);
	struct waiting __host *waiting = locks->bucket[bucket];

	while (waiting && waiting->file != file)
		waiting = waiting->next_in_bucket;
	if (waiting)
		return;
	waiting = llv_new(struct waiting);
	waiting->file = file;
	waiting->next_in_bucket = locks->bucket[bucket];
	locks->bucket[bucket] = waiting;
	*locks->tail = waiting;
	locks->tail = &waiting->next;
}

/* What is on its way has to be looked at, too; not from here, as sockets may wait in each other. */
static void note_passed(const struct sock *sk, struct locks __host *locks)
{
	const struct sk_buff_head *queue = &sk->sk_receive_queue;
	const struct sk_buff *skb = NULL;
	__u64 nr = 0;

	if (sk->__sk_common.skc_family != AF_UNIX || !llv_type_exists(struct unix_sock) ||
	    sk->__sk_common.skc_state == TCP_LISTEN)
		return;
	while ((skb = ovm_next_packet(queue, skb, nr++))) {
		const struct scm_fp_list *list = ovm_unix_socket_passed(skb);
		int count = list ? list->count : 0;

		for (int i = 0; i < count; i++)
			note(OVM_IDENTITY(list->fp[i]), locks);
	}
}

static void socket_lock(const struct file *file, struct locks __host *locks)
{
	const struct sock *sk = ovm_inode_sock(file->f_inode);

	if (!sk)
		return;
	if (sk->__sk_common.skc_family == AF_PACKET && ovm_has_packet_sockets() &&
	    ovm_packet_socket_held(sk))
		REPORT(locks, "packet_sock->bind_lock", sk, 0, 0);
	if (ovm_unix_socket_held(sk))
		REPORT(locks, "unix_sock->lock", sk, 0, 0);
	else
		note_passed(sk, locks);
	if (ovm_sock_is_inet(sk) && ovm_inet_socket_held(sk))
		REPORT(locks, "sock->sk_lock", sk, 0, 0);
}

static void mm_locks(struct mm_struct *mm, struct locks __host *locks)
{
	struct vm_area_struct *vma;
	struct ovm_vma_iter it;

	CHECK_SPIN(locks, "mm->page_table_lock", &mm->page_table_lock);
	if (ovm_aio_held(mm))
		REPORT(locks, "kioctx->ctx_lock", 0, 0, 0);
	else if (ovm_aio_in_flight(mm))
		REPORT(locks, "kioctx (I/O under way)", 0, 0, 0);
	if (CHECK_RWSEM(locks, "mm->mmap_lock", &mm->mmap_lock))
		return;
	ovm_vma_iter_start(&it, mm);
	while ((vma = ovm_vma_iter_next(&it)))
		if (vma->vm_file)
			shmem_lock(vma->vm_file, locks);
}

static void pipe_locks(const struct inode *inode, struct locks __host *locks)
{
	struct mutex *lock = ovm_pipe_lock(inode);

	if (lock)
		CHECK_MUTEX(locks, "pipe->mutex", lock);
}

static void event_locks(const struct file *file, struct locks __host *locks)
{
	if (ovm_file_is_eventfd(file))
		CHECK_SPIN(locks, "eventfd->wqh.lock", ovm_eventfd_lock(file));
	if (ovm_file_is_timerfd(file) &&
	    !CHECK_SPIN(locks, "timerfd->wqh.lock", ovm_timerfd_lock(file)) &&
	    ovm_timerfd_fires(file))
		REPORT(locks, "timerfd (expiring)", 0, 0, 0);
	if (ovm_file_is_epoll(file))
		CHECK_MUTEX(locks, "eventpoll->mtx", ovm_epoll_lock(file));
	if (ovm_file_is_inotify(file) || ovm_file_is_fanotify(file)) {
		CHECK_MUTEX(locks, "fsnotify->mark_mutex", ovm_fsnotify_mutex(file));
		CHECK_SPIN(locks, "fsnotify->notification_lock", ovm_fsnotify_lock(file));
	}
}

static void tty_locks(const struct tty_struct *tty, struct locks __host *locks)
{
	const struct mutex *output = ovm_tty_output_lock(tty);

	CHECK_MUTEX(locks, "tty->legacy_mutex", &tty->legacy_mutex);
	CHECK_RWSEM(locks, "tty->termios_rwsem", &tty->termios_rwsem);
	CHECK_SPIN(locks, "tty->ctrl.lock", ovm_tty_ctrl_lock(tty));
	CHECK_SPIN(locks, "tty->files_lock", &tty->files_lock);
	if (output)
		CHECK_MUTEX(locks, "n_tty_data->output_lock", output);
	if (tty->port)
		CHECK_MUTEX(locks, "tty_port->buf.lock", &tty->port->buf.lock);
}

static void pair_locks(const struct tty_struct *tty, struct locks __host *locks)
{
	if (!tty)
		return;
	tty_locks(tty, locks);
	if (tty->link)
		tty_locks(tty->link, locks);
}

static void file_locks(struct file *file, struct locks __host *locks)
{
	u32 type = file->f_inode->i_mode & S_IFMT;
	spinlock_t *lock = ovm_file_locks_lock(file->f_inode);

	if (lock)
		CHECK_SPIN(locks, "file_lock_context->flc_lock", lock);

	CHECK_SPIN(locks, "file->f_lock", &file->f_lock);
	if (ovm_file_lost_its_name(file))
		CHECK_SPIN(locks, "inode->i_lock", &file->f_inode->i_lock);
	/* Shares its place with other things in files that have no position (v6.12). */
	if (type == S_IFREG || type == S_IFDIR)
		CHECK_MUTEX(locks, "file->f_pos_lock", &file->f_pos_lock);
	shmem_lock(file, locks);
	pipe_locks(file->f_inode, locks);
	event_locks(file, locks);
	if (type == S_IFSOCK)
		socket_lock(file, locks);
	if (type == S_IFCHR)
		pair_locks(ovm_tty_of(file), locks);
}

static void files_locks(struct files_struct *files, struct locks __host *locks)
{
	if (CHECK_SPIN(locks, "files->file_lock", &files->file_lock))
		return;
	const struct fdtable *fdt = files->fdt;

	for (unsigned int base = 0; base < fdt->max_fds; base += BITS_PER_LONG) {
		unsigned long open = fdt->open_fds[base / BITS_PER_LONG];

		for (unsigned int bit = 0; open; bit++, open >>= 1)
			if ((open & 1) && fdt->fd[base + bit])
				file_locks(fdt->fd[base + bit], locks);
	}
}

static void passed_locks(struct locks __host *locks)
{
	for (struct waiting __host *waiting = locks->waiting; waiting; waiting = waiting->next)
		file_locks((struct file *)waiting->file, locks);
}

static void thread_locks(struct task_struct *leader, struct locks __host *locks)
{
	struct task_struct *p;

	list_for_each_entry(p, &leader->signal->thread_head, thread_node) {
		locks->tid = p->pid;
		CHECK_SPIN(locks, "task->alloc_lock", &p->alloc_lock);
	}
	locks->tid = leader->pid;
}

static void fs_lock(struct fs_struct *fs, struct locks __host *locks)
{
	if (llv_field_exists(struct fs_struct, lock))
		CHECK_SPIN(locks, "fs->lock", &fs->lock);
	else
		CHECK_SPIN(locks, "fs->lock", &((struct fs_struct___seqlock *)fs)->seq.lock);
}

static void group_locks(struct task_struct *leader, struct locks __host *locks)
{
	thread_locks(leader, locks);
	exec_locks(leader->signal, locks);
	if (leader->sighand && !CHECK_SPIN(locks, "sighand->siglock", &leader->sighand->siglock) &&
	    ovm_posix_timers_held(leader->signal))
		REPORT(locks, "timer->it_lock", 0, 0, 0);
	pair_locks(leader->signal->tty, locks);
	if (leader->mm)
		mm_locks(leader->mm, locks);
	if (leader->files)
		files_locks(leader->files, locks);
	if (leader->fs)
		fs_lock(leader->fs, locks);
}

/* Append the threads of a process at @link. */
static struct ovm_rec_thread __host *__host *one_process(struct task_struct *leader,
							 struct ovm_rec_quiescence __host *q,
							 struct ovm_rec_thread __host *__host *link,
							 struct locks __host *locks)
{
	*link = ovm_threads(leader, false);
	for (; *link; link = &(*link)->next)
		q->nr_threads++;
	group_locks(leader, locks);
	return link;
}

LLV_ENTRY(ovm_extract_quiescence, struct ovm_extract_quiescence_args, args)
{
	struct ovm_rec_quiescence __host *q = args->q;
	struct locks __host *locks = llv_new(struct locks);

	locks->link = &q->locks;
	locks->tail = &locks->waiting;
	/* A writer may be linking or unlinking a task: the lists are not to be followed. */
	if (ovm_rwlock_write_held(&tasklist_lock)) {
		REPORT(locks, "tasklist_lock", &tasklist_lock, 0, 0);
		return;
	}
	struct ovm_rec_thread __host *__host *link = &q->threads;
	struct task_struct *leader;

	for_each_process(leader) {
		if (!ovm_in_tree(leader, q->pid))
			continue;
		q->found = 1;
		if (!ovm_is_zombie(leader))
			link = one_process(leader, q, link, locks);
		/* What is shared by all is looked at once. */
		if (leader->tgid == q->pid && ovm_ipc_held(leader))
			REPORT(locks, "kern_ipc_perm->lock", 0, 0, 0);
	}
	passed_locks(locks);
}
