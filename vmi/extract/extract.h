/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the extractors share among themselves.
 *
 * Plain pointers are the guest's, __host pointers lead to records.  Members
 * that other kernels have, or that live in private files of the kernel, are
 * declared as flavours: "struct mount___ovm" stands for the guest's struct
 * mount, whose layout comes from its own type information.
 */
#ifndef OVM_VMI_EXTRACT_EXTRACT_H
#define OVM_VMI_EXTRACT_EXTRACT_H

#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/cred.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/mm_types.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>

#include "record.h"

enum {
	/* Longest path that is put together, and most components of one. */
	OVM_EXTRACT_PATH_MAX = 4096,
	OVM_EXTRACT_COMPONENTS_MAX = 2048,
	OVM_EXTRACT_NAME_MAX = 255,
	OVM_EXTRACT_CPU_WORDS = 1024, /* 65536 CPUs */
};

/* A place for a few characters of our own. */
struct ovm_text {
	char text[32];
};

/* ---- guards.c ------------------------------------------------------------------------------ */

/* Whether a lock of each kind is held, in any of the forms that the guest's kernel may have. */
LLV_SHARED bool ovm_spin_held(const spinlock_t *lock);
LLV_SHARED bool ovm_raw_spin_held(const raw_spinlock_t *lock);
LLV_SHARED bool ovm_rwlock_write_held(const rwlock_t *lock);
LLV_SHARED bool ovm_rwsem_write_held(const struct rw_semaphore *sem);
LLV_SHARED bool ovm_rwsem_read_held(const struct rw_semaphore *sem);
LLV_SHARED bool ovm_mutex_held(const struct mutex *lock);
/* The thread that holds it, where the lock tells; else 0. */
LLV_SHARED pid_t ovm_rwsem_owner(const struct rw_semaphore *sem);
LLV_SHARED pid_t ovm_mutex_owner(const struct mutex *lock);

/* ---- task.c -------------------------------------------------------------------------------- */

/** The leader of the thread group @tgid of the initial pid namespace, or NULL. */
LLV_SHARED struct task_struct *ovm_find_leader(pid_t tgid);
/** Whether a task is the process @root of the initial pid namespace, or descends from it. */
LLV_SHARED bool ovm_in_tree(const struct task_struct *p, pid_t root);
/** Whether all threads of a group have ended. */
LLV_SHARED bool ovm_is_zombie(const struct task_struct *leader);
/** Id of @pid in the initial namespace and in the one that it was made in; 0 for NULL. */
LLV_SHARED pid_t ovm_pid_nr(const struct pid *pid);
LLV_SHARED pid_t ovm_pid_vnr(const struct pid *pid);
/** The pid namespace that a task lives in. */
LLV_SHARED struct pid_namespace *ovm_task_pid_ns(const struct task_struct *p);
/** The state bits of a task, by whichever name its kernel has them. */
LLV_SHARED unsigned int ovm_task_state(const struct task_struct *p);
/** Whether the kernel numbers thread flags (TIF_*) as all architectures do by now. */
LLV_SHARED bool ovm_has_generic_flags(void);
/** The CPU that a task runs on, or ran on last. */
LLV_SHARED unsigned int ovm_task_cpu(const struct task_struct *p);
/** A return address on the stack of a thread that is not on a CPU, for messages; or 0. */
LLV_SHARED __u64 ovm_wait_channel(const struct task_struct *p);
/** What decides whether a thread can be taken as it is: state, registers, masks. */
LLV_SHARED void ovm_thread_state(struct task_struct *p, struct ovm_rec_thread __host *t);
/** All the rest of a thread. */
LLV_SHARED void ovm_thread_rest(struct task_struct *p, struct ovm_rec_thread __host *t);
/** All threads of a group, the leader first; the rest of them too if @all. */
LLV_SHARED struct ovm_rec_thread __host *ovm_threads(struct task_struct *leader, bool all);
/** What is left of the thread of a zombie. */
LLV_SHARED struct ovm_rec_thread __host *ovm_zombie_thread(struct task_struct *leader);

/* ---- fpu.c --------------------------------------------------------------------------------- */

LLV_SHARED void ovm_thread_fpu(struct task_struct *p, struct ovm_rec_thread __host *t);

/* ---- cred.c -------------------------------------------------------------------------------- */

LLV_SHARED void ovm_creds(const struct task_struct *p, struct ovm_rec_creds __host *creds);

/* ---- seccomp.c ----------------------------------------------------------------------------- */

/** Filters of a thread; of those that two other ones have, if there are, the same records. */
LLV_SHARED struct ovm_rec_seccomp __host *ovm_seccomp(const struct task_struct *p,
						      const struct ovm_rec_thread __host *leader,
						      const struct ovm_rec_thread __host *before);

/* ---- policy.c ------------------------------------------------------------------------------ */

LLV_SHARED void ovm_thread_policy(const struct task_struct *p, struct ovm_rec_thread __host *t);

/* ---- signal.c ------------------------------------------------------------------------------ */

LLV_SHARED struct ovm_rec_signal __host *ovm_pending(const struct sigpending *pending);
LLV_SHARED void ovm_sigactions(const struct sighand_struct *sighand,
			       struct ovm_rec_process __host *rec);

/* ---- timer.c, posix_timer.c ---------------------------------------------------------------- */

/** The time-out that a thread sleeps for, if any; its registers have to be known. */
LLV_SHARED void ovm_sleeper(const struct task_struct *p, struct ovm_rec_thread __host *t);
LLV_SHARED void ovm_itimers(struct signal_struct *signal, struct ovm_rec_process __host *rec);
LLV_SHARED void ovm_posix_timers(struct task_struct *leader, struct ovm_rec_process __host *rec);
/** How many CPUs the guest's kernel has numbers for. */
LLV_SHARED unsigned int ovm_nr_cpus(void);
/** Whether any POSIX timer of a process is being changed. */
LLV_SHARED bool ovm_posix_timers_held(struct signal_struct *signal);

/* ---- namespace.c, cgroup.c ----------------------------------------------------------------- */

LLV_SHARED void ovm_namespaces(struct task_struct *p, struct ovm_rec_namespaces __host *ns);
/** Whether all namespaces are those that the guest booted with. */
LLV_SHARED bool ovm_in_initial_namespaces(struct task_struct *p);
/** Path in the default cgroup hierarchy, "/" for its root; empty when there is none. */
LLV_SHARED void ovm_cgroup_path(struct task_struct *p, struct ovm_rec_bytes __host *path);

/* ---- path.c, file.c ------------------------------------------------------------------------ */

/**
 * Put the path of a dentry together, from the root of the mount namespace that its mount is in.
 * @ns receives that namespace, or 0 when the mount is detached from every one, or something else is
 * mounted where the path leads through.
 */
LLV_SHARED void ovm_path(struct dentry *dentry, struct vfsmount *mnt,
			 struct ovm_rec_bytes __host *path, __u64 __host *ns);
LLV_SHARED __s32 ovm_mnt_id(struct vfsmount *mnt);
/** Set @path to "/". */
LLV_SHARED void ovm_path_root(struct ovm_rec_bytes __host *path);
/** Put "/" and the string at @name, of at most @max bytes, in front of @path. */
LLV_SHARED void ovm_path_prepend(struct ovm_rec_bytes __host *path, const void *name, __u64 max);

struct ovm_file_node {
	struct ovm_file_node __host *next;
	struct ovm_rec_file __host *file;
};

/* What is known of an object of shared memory on the way: who refers to it. */
struct ovm_shmem_node {
	struct ovm_shmem_node __host *next;
	struct ovm_rec_shmem __host *shmem;
	/* Identity of the dentry that its files have, and how many these are; more than one dentry,
	 * or a file that others refer to, too. */
	__u64 dentry;
	__u32 nr_files;
	__u8 has_others;
};

/* So many that of some ten thousand files few meet. */
enum { OVM_FILE_BUCKET_BITS = 14, OVM_FILE_BUCKETS = 1 << OVM_FILE_BUCKET_BITS };

/*
 * Where a kernel object is to be looked for, by its identity. Objects of a slab are so many bytes
 * apart that their lower bits would leave most buckets empty: those of a product, as in hash_64()
 * of linux/hash.h, don't.
 */
#define OVM_FILE_BUCKET(identity) \
	((unsigned int)(((identity) * 0x61C8864680B583EBull) >> (64 - OVM_FILE_BUCKET_BITS)))

/* The files of one tree, by identity, so that each is extracted once. */
struct ovm_files {
	struct ovm_file_node __host *bucket[OVM_FILE_BUCKETS];
	/* By their inodes. */
	struct ovm_rec_pipe __host *pipes[OVM_FILE_BUCKETS];
	struct ovm_rec_ghost __host *ghosts[OVM_FILE_BUCKETS];
	struct ovm_shmem_node __host *shmem[OVM_FILE_BUCKETS];
	/* By themselves. */
	struct ovm_rec_tty __host *ttys[OVM_FILE_BUCKETS];
	/* Where the next one is linked to. */
	struct ovm_rec_file __host *__host *tail;
	/* Identity of the mount namespace of the process that is being extracted. */
	__u64 mnt_ns;
	__u64 ghost_limit;
	struct ovm_rec_tree __host *tree;
};

/** Locks that were taken by @file, whoever did. */
LLV_SHARED struct ovm_rec_file_lock __host *ovm_file_locks(const struct file *file);
/** What guards the locks on an inode; NULL if it never had any. */
LLV_SHARED spinlock_t *ovm_file_locks_lock(const struct inode *inode);
/** The record of a file by its identity, NULL if it has not been met. */
LLV_SHARED struct ovm_rec_file __host *ovm_file_find(struct ovm_files __host *files,
						     __u64 identity);
/** The record of @file, made when it is met for the first time. */
LLV_SHARED struct ovm_rec_file __host *ovm_file(struct ovm_files __host *files, struct file *file);
/** Whether the name that a file was opened by is gone, though it has others. */
LLV_SHARED bool ovm_file_lost_its_name(const struct file *file);
LLV_SHARED void ovm_fds(struct ovm_files __host *files, struct files_struct *table,
			struct ovm_rec_process __host *rec);
LLV_SHARED void ovm_fs(struct ovm_files __host *files, struct fs_struct *fs,
		       struct ovm_rec_fs __host *rec);
/**
 * Whether the inode is one of the kernel's own tmpfs or hugetlbfs: memfd, shared anonymous memory,
 * SysV.
 */
LLV_SHARED bool ovm_inode_is_internal_memory(const struct inode *inode);
/** Whether it is of hugetlbfs, the kernel's own or another. */
LLV_SHARED bool ovm_inode_is_hugetlb(const struct inode *inode);
/** log2 of the number of small pages in a page of a hugetlbfs inode. */
LLV_SHARED unsigned int ovm_huge_order(const struct inode *inode);

/** A record for what a task or socket refers to by name and mount, without a struct file. */
LLV_SHARED struct ovm_rec_file __host *ovm_path_record(struct ovm_files __host *files,
						       const struct path *path,
						       enum ovm_rec_file_kind kind);

/* ---- pipe.c, eventfd.c, timerfd.c, epoll.c, signalfd.c, holder.c --------------------------- */

/** The pipe behind a file, NULL if there is none; to be called once for each file. */
LLV_SHARED struct ovm_rec_pipe __host *ovm_pipe(struct ovm_files __host *files,
						const struct file *file);
/** A pipe that has been met, by its inode; or NULL. */
LLV_SHARED struct ovm_rec_pipe __host *ovm_pipe_find(struct ovm_files __host *files, __u64 inode);
/** What guards a pipe; NULL if the inode is none that is open. */
LLV_SHARED struct mutex *ovm_pipe_lock(const struct inode *inode);
LLV_SHARED bool ovm_file_is_eventfd(const struct file *file);
LLV_SHARED struct ovm_rec_eventfd __host *ovm_eventfd(const struct file *file);
LLV_SHARED spinlock_t *ovm_eventfd_lock(const struct file *file);
LLV_SHARED bool ovm_file_is_timerfd(const struct file *file);
LLV_SHARED struct ovm_rec_timerfd __host *ovm_timerfd(const struct file *file);
LLV_SHARED spinlock_t *ovm_timerfd_lock(const struct file *file);
/** Whether a timer is just expiring: it is off its queue, and not marked yet. */
LLV_SHARED bool ovm_timerfd_fires(const struct file *file);
LLV_SHARED bool ovm_file_is_epoll(const struct file *file);
LLV_SHARED struct ovm_rec_epoll __host *ovm_epoll(const struct file *file);
LLV_SHARED struct mutex *ovm_epoll_lock(const struct file *file);
LLV_SHARED bool ovm_file_is_signalfd(const struct file *file);
LLV_SHARED struct ovm_rec_signalfd __host *ovm_signalfd(const struct file *file);
/**
 * Find processes outside of the tree of @root that have pipes, eventfds, epoll instances or sockets
 * of it open; when all files are known.
 */
LLV_SHARED void ovm_file_holders(struct ovm_files __host *files, pid_t root);

/* ---- pidfd.c ------------------------------------------------------------------------------- */

/** The process that a pidfd refers to; 0 for other files. */
LLV_SHARED __s32 ovm_pidfd(const struct file *file);

/* ---- fsnotify.c, inode_path.c -------------------------------------------------------------- */

LLV_SHARED bool ovm_file_is_inotify(const struct file *file);
LLV_SHARED bool ovm_file_is_fanotify(const struct file *file);
LLV_SHARED struct ovm_rec_fsnotify __host *ovm_fsnotify(struct ovm_files __host *files,
							const struct file *file);
/** What guards the watches of an instance, and its events. */
LLV_SHARED struct mutex *ovm_fsnotify_mutex(const struct file *file);
LLV_SHARED spinlock_t *ovm_fsnotify_lock(const struct file *file);
/** A path that leads the process to an inode, if the kernel has one in memory. */
LLV_SHARED void ovm_inode_path(struct ovm_files __host *files, const struct inode *inode,
			       struct ovm_rec_bytes __host *path);

/* ---- ghost.c ------------------------------------------------------------------------------- */

/** Whether an inode is that of a regular file without a name, whose page cache is its content. */
LLV_SHARED bool ovm_inode_is_ghost(const struct inode *inode);
/** What is to be known of a file without a name; NULL if it is no such file, or can't be made. */
LLV_SHARED struct ovm_rec_ghost __host *ovm_ghost(struct ovm_files __host *files,
						  const struct inode *inode);

/* ---- tty.c --------------------------------------------------------------------------------- */

struct tty_struct;

LLV_SHARED bool ovm_file_is_tty(const struct file *file);
/** Whether such a file was cut off from its terminal. */
LLV_SHARED bool ovm_file_is_hung_up(const struct file *file);
/** The record of a terminal, made with that of its other end when it is met for the first time. */
LLV_SHARED struct ovm_rec_tty __host *ovm_tty(struct ovm_files __host *files,
					      const struct tty_struct *tty);
/** That of a file's terminal, NULL if it has none; to be called once for each file. */
LLV_SHARED struct ovm_rec_tty __host *ovm_file_tty(struct ovm_files __host *files,
						   const struct file *file);
/** That of any file's terminal, if it has been met; or NULL. */
LLV_SHARED struct ovm_rec_tty __host *ovm_file_tty_find(struct ovm_files __host *files,
							const struct file *file);
/** The terminal behind a file; NULL for files of other kinds. */
LLV_SHARED const struct tty_struct *ovm_tty_of(const struct file *file);
/** What guards its session, and the output of its line discipline (NULL if it is another one). */
LLV_SHARED const spinlock_t *ovm_tty_ctrl_lock(const struct tty_struct *tty);
LLV_SHARED const struct mutex *ovm_tty_output_lock(const struct tty_struct *tty);

/* ---- socket.c, sk_queue.c, unix_socket.c --------------------------------------------------- */

struct sock;
struct sk_buff;
struct sk_buff_head;
struct scm_fp_list;

/** The socket behind an inode; NULL for inodes of other kinds, names of sockets among them. */
LLV_SHARED const struct sock *ovm_inode_sock(const struct inode *inode);
/** The inode number of a socket; 0 when it is closed, or nobody has accepted it yet. */
LLV_SHARED __u64 ovm_sock_ino(const struct sock *sk);
LLV_SHARED struct ovm_rec_socket __host *ovm_socket(struct ovm_files __host *files,
						    const struct sock *sk);
/** What a packet holds, without the first @skip bytes. */
LLV_SHARED struct ovm_rec_packet __host *ovm_packet(const struct sk_buff *skb, __u64 skip);
/** The packet behind @skb, the @nr-th of @queue, or the first one for 0; NULL behind the last. */
LLV_SHARED const struct sk_buff *ovm_next_packet(const struct sk_buff_head *queue,
						 const struct sk_buff *skb, __u64 nr);
LLV_SHARED void ovm_unix_socket(struct ovm_files __host *files, const struct sock *sk,
				struct ovm_rec_socket __host *rec);
/** Whether a Unix socket is being changed. */
LLV_SHARED bool ovm_unix_socket_held(const struct sock *sk);
LLV_SHARED __u64 ovm_ticks_per_second(void);

/** The files that come with a packet in the queue of a Unix socket that does not listen; or NULL.
 */
LLV_SHARED const struct scm_fp_list *ovm_unix_socket_passed(const struct sk_buff *skb);

/* ---- inet_socket.c, tcp.c ------------------------------------------------------------------ */

/** Whether a socket is of IPv4 or IPv6. */
LLV_SHARED bool ovm_sock_is_inet(const struct sock *sk);
LLV_SHARED void ovm_inet_socket(const struct sock *sk, struct ovm_rec_socket __host *rec);
/** Whether such a socket is being changed. */
LLV_SHARED bool ovm_inet_socket_held(const struct sock *sk);
/** Whether it is held from outside. */
LLV_SHARED bool ovm_inet_socket_is_ours(const struct sock *sk);
/** What TCP sockets have; @rec->inet is there. */
LLV_SHARED void ovm_tcp_socket(const struct sock *sk, struct ovm_rec_socket __host *rec);

/* ---- netlink.c, packet.c ------------------------------------------------------------------- */

/** Whether the guest's kernel tells what these are. */
LLV_SHARED bool ovm_has_netlink_sockets(void);
LLV_SHARED bool ovm_has_packet_sockets(void);
LLV_SHARED void ovm_netlink_socket(const struct sock *sk, struct ovm_rec_socket __host *socket);
LLV_SHARED void ovm_packet_socket(const struct sock *sk, struct ovm_rec_socket __host *socket);
/** Whether what a packet socket is bound to is being changed. */
LLV_SHARED bool ovm_packet_socket_held(const struct sock *sk);

/* ---- passed.c ------------------------------------------------------------------------------ */

LLV_SHARED void ovm_packet_passed(const struct scm_fp_list *list,
				  struct ovm_rec_packet __host *packet);
/** Find files that come with messages, when those behind descriptors are known. */
LLV_SHARED void ovm_passed_files(struct ovm_files __host *files);

/* ---- mm.c, shmem.c ------------------------------------------------------------------------- */

LLV_SHARED void ovm_mm(struct ovm_files __host *files, struct mm_struct *mm,
		       struct ovm_rec_mm __host *rec);
LLV_SHARED __u64 ovm_mm_flags(const struct mm_struct *mm);
/** Resident pages of one kind: MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES. */
LLV_SHARED __u64 ovm_mm_counter(struct mm_struct *mm, unsigned int member);
/** Seals of an inode of the kernel's own tmpfs or hugetlbfs. */
LLV_SHARED __u32 ovm_memory_seals(const struct inode *inode);
/** Page frame of a struct page; ends the extraction if it is none. */
LLV_SHARED __u64 ovm_page_frame(const struct page *page);
/** Whether a page has its content already (PG_uptodate). */
LLV_SHARED bool ovm_page_is_up_to_date(const struct page *page);
/** What is in the page cache of an inode. */
LLV_SHARED struct ovm_rec_shmem __host *ovm_page_cache(const struct inode *inode);
/** Objects of shared memory among the files of a tree. */
LLV_SHARED void ovm_shmem_objects(struct ovm_files __host *files);
/** The one of these with that inode, by its identity; or NULL. */
LLV_SHARED struct ovm_shmem_node __host *ovm_shmem_find(struct ovm_files __host *files,
							__u64 inode);

/* ---- ipc.c --------------------------------------------------------------------------------- */

/** The IPC namespace of a tree, if it is not the initial one; shared memory has to be known. */
LLV_SHARED void ovm_ipc(struct ovm_files __host *files);
/** Which segments of it nobody else may write; after ovm_sharing(). */
LLV_SHARED void ovm_ipc_sharing(const struct ovm_rec_tree __host *tree);
/** Whether anything in the namespace of a process is being changed, as far as it is read. */
LLV_SHARED bool ovm_ipc_held(const struct task_struct *leader);
/** Whether semaphores would change when the process ends (SEM_UNDO). */
LLV_SHARED bool ovm_has_sem_undo(const struct task_struct *p);

/* ---- aio.c --------------------------------------------------------------------------------- */

/** Whether an inode is that of a ring of asynchronous I/O. */
LLV_SHARED bool ovm_inode_is_aio_ring(const struct inode *inode);
/** The contexts of an address space. */
LLV_SHARED void ovm_aio_contexts(const struct mm_struct *mm, struct ovm_rec_mm __host *mm_rec);
/** The ring that a mapped file is; NULL if it is none. */
LLV_SHARED struct ovm_rec_aio_ring __host *ovm_aio_ring(const struct file *file);
/** Whether a context is being changed. */
LLV_SHARED bool ovm_aio_held(const struct mm_struct *mm);
/** Whether a request is under way that will end by itself. */
LLV_SHARED bool ovm_aio_in_flight(const struct mm_struct *mm);

/* ---- sharing.c ----------------------------------------------------------------------------- */

/** What of the memory of a tree others may write; all else of it has to be known. */
LLV_SHARED void ovm_sharing(struct ovm_files __host *files);

/* ---- small things -------------------------------------------------------------------------- */

/* Whether the guest's string begins with a literal of up to 8 characters. */
#define llv_starts_with(guest, literal) \
	((llv_load_u64(guest) & OVM_LITERAL_MASK(literal)) == OVM_LITERAL_WORD(literal))
#define OVM_LITERAL_BYTE(s, i) ((__u64)(i < sizeof(s) - 1 ? (__u8)(s)[i] : 0) << 8 * i)
#define OVM_LITERAL_WORD(s)                                                         \
	(OVM_LITERAL_BYTE(s, 0) | OVM_LITERAL_BYTE(s, 1) | OVM_LITERAL_BYTE(s, 2) | \
	 OVM_LITERAL_BYTE(s, 3) | OVM_LITERAL_BYTE(s, 4) | OVM_LITERAL_BYTE(s, 5) | \
	 OVM_LITERAL_BYTE(s, 6) | OVM_LITERAL_BYTE(s, 7))
#define OVM_LITERAL_MASK(s) (~0ULL >> (64 - 8 * (sizeof(s) - 1)))

#define OVM_IDENTITY(p) ((__u64)(unsigned long)(p))

#endif /* OVM_VMI_EXTRACT_EXTRACT_H */
