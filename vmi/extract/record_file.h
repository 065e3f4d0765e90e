/* SPDX-License-Identifier: GPL-2.0-only */
/* Records of open files. See record.h. */
#ifndef OVM_VMI_EXTRACT_RECORD_FILE_H
#define OVM_VMI_EXTRACT_RECORD_FILE_H

#include "record_base.h"
#include "record_socket.h"

enum ovm_rec_file_kind {
	OVM_REC_FILE_REGULAR = 1,
	OVM_REC_FILE_DIRECTORY,
	/* Memory character device: null, zero, full, random, urandom, mem, kmsg. */
	OVM_REC_FILE_CHRDEV_MEM,
	OVM_REC_FILE_MEMFD,
	/* Shared anonymous mapping: the kernel's unlinked "/dev/zero" on its internal tmpfs. */
	OVM_REC_FILE_SHMEM_ANON,
	/* System V shared memory segment seen as a file. */
	OVM_REC_FILE_SYSV_SHM,
	/* mmap(MAP_HUGETLB | MAP_ANONYMOUS): "anon_hugepage" on the kernel's internal hugetlbfs. */
	OVM_REC_FILE_HUGETLB_ANON,
	OVM_REC_FILE_PIPE,
	OVM_REC_FILE_FIFO,
	/* Of sockets, only some families are saved. */
	OVM_REC_FILE_SOCKET,
	/* Those that this tool does not save (yet). */
	OVM_REC_FILE_TTY,
	OVM_REC_FILE_CHRDEV,
	OVM_REC_FILE_BLKDEV,
	OVM_REC_FILE_ANON_INODE,
	OVM_REC_FILE_NAMESPACE,
	OVM_REC_FILE_OTHER,
	/* memfd_create(MFD_HUGETLB) */
	OVM_REC_FILE_MEMFD_HUGETLB,
	OVM_REC_FILE_EVENTFD,
	OVM_REC_FILE_TIMERFD,
	OVM_REC_FILE_EPOLL,
	OVM_REC_FILE_SIGNALFD,
	/* The ring of an AIO context, which only mappings lead to. */
	OVM_REC_FILE_AIO_RING,
	OVM_REC_FILE_INOTIFY,
	OVM_REC_FILE_FANOTIFY,
};

/* Another process that has a file open, any one of them; @pid is 0 if there is none. */
struct ovm_rec_holder {
	__s32 pid;
	char comm[OVM_REC_COMM_LEN];
};

/* What one buffer of a pipe holds. */
struct ovm_rec_pipe_data {
	struct ovm_rec_pipe_data __host *next;
	struct ovm_rec_bytes bytes;
};

/* A pipe or a FIFO that is open. */
struct ovm_rec_pipe {
	struct ovm_rec_pipe __host *next;
	__u64 inode; /* identity */
	__u64 ino;
	/* Open files that read and write, of all processes; and those of this process. */
	__u32 readers, writers, own_readers, own_writers;
	struct ovm_rec_holder holder;
	/* F_GETPIPE_SZ */
	__u64 size;
	/* In the order in which they are to be read. */
	struct ovm_rec_pipe_data __host *data;
	/* More than @size: there are more yet, and @data isn't whole. */
	__u64 nr_bytes;
	/* Some of them were written with O_DIRECT: read(2) ends where a packet does. */
	__u8 has_packets;
	/* O_NOTIFICATION_PIPE; its content is not extracted. */
	__u8 notifies;
};

struct ovm_rec_eventfd {
	__u64 count;
	__u8 semaphore;
};

struct ovm_rec_timerfd {
	__s32 clock;
	__u32 settime_flags; /* TFD_TIMER_* */
	/* Expirations that were not read, but for those that an @expired periodic timer is behind.
	 */
	__u64 ticks;
	__u64 interval; /* ns */
	/* Whether it will expire, then expiry on the clock @base_clock, ns. Not of alarm clocks. */
	__u8 armed;
	__u64 expires;
	__s32 base_clock;
	/* It has expired and was not read since: a periodic one goes on when it is. */
	__u8 expired;
	/* The clock was set, which the next read(2) tells. */
	__u8 cancelled;
};

/*
 * What an epoll instance waits for: a file, which descriptor @fd led to when it was added. By now
 * that may be closed, or lead to another file, if others lead to this one.
 */
struct ovm_rec_epoll_entry {
	struct ovm_rec_epoll_entry __host *next;
	__u64 file; /* identity */
	__s32 fd;
	__u32 events; /* EPOLL*; without any but flags: a disabled EPOLLONESHOT */
	__u64 data;
};

struct ovm_rec_epoll {
	struct ovm_rec_epoll_entry __host *entries;
	__u64 nr_entries;
};

struct ovm_rec_signalfd {
	__u64 signals; /* those that are read: bit N - 1 is signal N */
};

enum ovm_rec_watch_kind {
	OVM_REC_WATCH_INODE = 1,
	OVM_REC_WATCH_MOUNT,
	/* A whole file system, for example. */
	OVM_REC_WATCH_OTHER,
};

/* What an inotify or fanotify instance watches. */
struct ovm_rec_watch {
	struct ovm_rec_watch __host *next;
	enum ovm_rec_watch_kind kind;
	__s32 wd; /* of inotify only */
	__u32 mask, ignored_mask;
	__u32 flags; /* FSNOTIFY_MARK_FLAG_* */
	__u64 ino;
	__u32 generation;
	__u32 dev; /* as the kernel numbers it: 20 bits for the minor number */
	__u64 sb_magic;
	__s32 mnt_id;
	/* Where the process finds it; empty if that is not known. */
	struct ovm_rec_bytes path;
};

struct ovm_rec_fsnotify {
	struct ovm_rec_watch __host *watches;
	__u64 nr_watches;
	__u32 nr_waiting; /* events that were not read */
	/* Of fanotify only: as of fanotify_init(2), with the kernel's own; somebody waits for an
	 * answer. */
	__u32 init_flags, event_flags;
	__u8 has_asked;
};

enum ovm_rec_file_lock_kind {
	OVM_REC_FILE_LOCK_POSIX = 1,
	OVM_REC_FILE_LOCK_FLOCK,
	OVM_REC_FILE_LOCK_OFD,
	/* That nobody is breaking. */
	OVM_REC_FILE_LOCK_LEASE,
	/* A lease that is being broken, or what only file servers have. */
	OVM_REC_FILE_LOCK_OTHER,
};

/* Who waits for a lock, in a system call. */
struct ovm_rec_lock_waiter {
	struct ovm_rec_lock_waiter __host *next;
	__s32 pid; /* of the process; negative or 0: not known */
};

struct ovm_rec_file_lock {
	struct ovm_rec_file_lock __host *next;
	enum ovm_rec_file_lock_kind kind;
	/* Identity of the descriptor table that took a POSIX lock; of others, that of the file. */
	__u64 owner;
	__u8 exclusive; /* F_WRLCK, not F_RDLCK */
	struct ovm_rec_lock_waiter __host *waiters;
	/* First and last byte, POSIX and OFD only. */
	__u64 start, end;
};

/* A part of a file, from the page cache; they ascend. */
struct ovm_rec_ghost_data {
	struct ovm_rec_ghost_data __host *next;
	__u64 offset;
	struct ovm_rec_bytes bytes;
};

/* A regular file, directory or FIFO that has no name any more; only the first has content. */
struct ovm_rec_ghost {
	struct ovm_rec_ghost __host *next;
	__u64 inode; /* identity */
	__u64 size;
	__u8 too_large; /* larger than was asked for: without content */
	__s64 atime_sec, mtime_sec;
	__u32 atime_nsec, mtime_nsec;
	struct ovm_rec_ghost_data __host *data;
	/* Pages that may have content elsewhere: on a disk, or swapped out. */
	__u64 nr_missing;
};

enum {
	/* Bytes that a terminal's line discipline keeps. */
	OVM_REC_TTY_RING = 4096,
	OVM_REC_TTY_CC = 19,
	/* ovm_rec_tty.driver_type and .driver_subtype of pseudo-terminals. */
	OVM_REC_TTY_PTY = 4,
	OVM_REC_TTY_PTY_MASTER = 1,
	OVM_REC_TTY_PTY_SLAVE = 2,
};

/* As tcgetattr(3) has them, without speeds. */
struct ovm_rec_termios {
	__u32 iflag, oflag, cflag, lflag;
	__u8 line;
	__u8 cc[OVM_REC_TTY_CC];
};

/* A part of what was written to a terminal and didn't reach its line discipline yet. */
struct ovm_rec_tty_data {
	struct ovm_rec_tty_data __host *next;
	struct ovm_rec_bytes bytes;
};

/* One end of a pseudo-terminal, or another terminal; several files may lead to it. */
struct ovm_rec_tty {
	struct ovm_rec_tty __host *next;
	/* The other end of a pseudo-terminal; else NULL. */
	struct ovm_rec_tty __host *other;
	__u64 tty;     /* identity of the struct tty_struct */
	char name[32]; /* "pts3", "ptm3", "ttyS0" */
	__s32 driver_type, driver_subtype;
	__s32 index;
	__s32 discipline; /* 0: N_TTY, of which content is known; -1: none */
	struct ovm_rec_termios termios, termios_locked;
	__u16 rows, columns, xpixel, ypixel;
	__s32 session, pgrp; /* of slaves, not of their masters; 0: none */
	__u8 packet, packet_status;
	__u8 exclusive, locked, stopped, other_closed;
	/* Echoes wait for room in the output. */
	__u8 echoes;
	/* Open files of all processes, and those of this one. */
	__u32 nr_files, own_files;
	struct ovm_rec_holder holder;
	/*
	 * What can be read: @input_len bytes of @ring, from @input_pos modulo its size on, of which
	 * the first @input_lines are whole lines (ICANON), whose last bytes have a bit in
	 * @line_ends. Both are empty when nothing can be.
	 */
	struct ovm_rec_bytes ring, line_ends;
	__u64 input_pos;
	__u32 input_len, input_lines;
	/* What comes behind it. */
	struct ovm_rec_tty_data __host *flip;
	__u32 nr_flip;
};

/* One struct file. */
struct ovm_rec_file {
	struct ovm_rec_file __host *next;
	__u64 file;  /* identity */
	__u64 inode; /* identity */
	enum ovm_rec_file_kind kind;
	__u32 mode;  /* inode mode, type and permission bits */
	__u32 flags; /* O_* */
	__u32 fmode; /* FMODE_* */
	__u64 pos;
	__u64 size; /* inode size */
	__u64 ino;
	__u32 dev_major, dev_minor; /* of the super block, as user space sees them */
	__u32 rdev_major, rdev_minor;
	__u32 nlink;
	/* The path from the root of its mount namespace, without a trailing " (deleted)": a task
	 * that has called chroot(2) sees only the part below its own root. For anon inodes and
	 * pseudo file systems: the dentry's name ("[eventpoll]", "socket", "memfd:name"). */
	struct ovm_rec_bytes path;
	__u8 unlinked; /* the dentry is unhashed or nlink is 0 */
	/* The name that it was opened by is gone: @path is that of another link to the inode. */
	__u8 other_name;
	/* The mount is in the task's mount namespace, and nothing was mounted over it. */
	__u8 reachable;
	__s32 mnt_id;
	__u64 mnt_ns; /* identity of the mount's namespace */
	__u64 sb_magic;
	char fstype[16];
	/* Owner of signals (F_SETOWN, F_SETSIG). */
	__s32 owner_pid;
	__u32 owner_pid_type;
	__u32 owner_uid, owner_euid;
	__s32 owner_signum;
	/* memfd */
	__u32 seals;
	/* Of huge pages: log2 of the page size; else 0. */
	__u8 huge_shift;
	/* An area of a process of the tree is a shared mapping of this file. */
	__u8 mapped_shared;
	/* Areas of the processes of the tree that map it. */
	__u64 nr_areas;
	__u32 uid, gid;
	/* file_operations, for a message; the host resolves the symbol. */
	__u64 f_op;
	/* Locks that were taken by this file. */
	struct ovm_rec_file_lock __host *locks;
	/* What is behind the kinds of files that have it, else NULL. */
	struct ovm_rec_pipe __host *pipe;
	struct ovm_rec_eventfd __host *eventfd;
	struct ovm_rec_timerfd __host *timerfd;
	struct ovm_rec_epoll __host *epoll;
	struct ovm_rec_signalfd __host *signalfd;
	/* The process that a pidfd refers to. */
	__s32 pidfd;
	struct ovm_rec_fsnotify __host *fsnotify;
	struct ovm_rec_ghost __host *ghost;
	/* Of System V shared memory of the tree's own namespace. */
	struct ovm_rec_ipc_shm __host *segment;
	struct ovm_rec_tty __host *tty;
	/* The terminal hung up, for this file at least: nothing can be done with it any more. */
	__u8 hung_up;
	/* Of sockets, unless opened by name (O_PATH). */
	struct ovm_rec_socket __host *socket;
	/* Descriptors of the tree that lead to it; each table counts once. */
	__u64 nr_fds;
	/* How often it comes with messages that wait in sockets of the process. */
	__u64 nr_passed;
	/* Of files that others may not have open: references by descriptors (of all processes), by
	 * messages and by system calls that go on. */
	__u64 nr_references;
	struct ovm_rec_holder holder;
};

struct ovm_rec_fd {
	struct ovm_rec_fd __host *next;
	__s32 fd;
	__u8 cloexec;
	struct ovm_rec_file __host *file;
};

struct ovm_rec_fs {
	__u64 identity;
	struct ovm_rec_file __host *cwd; /* synthetic: @file is the dentry's identity */
	struct ovm_rec_file __host *root;
	__u32 umask;
};

#endif /* OVM_VMI_EXTRACT_RECORD_FILE_H */
