/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the extractors find out about processes, in plain C.
 *
 * This header is compiled twice: with kernel headers by the LLView pass, and
 * by the host compiler.  Records live in the arena of one extraction; lists are
 * linked in the order of the kernel's own.  A number is the guest's word: it
 * has been read once, and nothing has been checked but what a comment says.
 *
 * "Identity" means the address of a kernel object, used only to tell whether
 * two things are the same one.
 */
#ifndef OVM_VMI_EXTRACT_RECORD_H
#define OVM_VMI_EXTRACT_RECORD_H

#include <linux/types.h>

#ifndef __host
/* Marks pointers to the tool's own memory; means something to the pass only. */
#define __host
#endif

/* Bytes copied out of the guest; @data is NULL when @len is 0. */
struct ovm_rec_bytes {
	__u8 __host *data;
	__u64 len;
};

enum {
	OVM_REC_COMM_LEN = 16,
	OVM_REC_NR_SIGNALS = 64,
	OVM_REC_NR_RLIMITS = 16,
	OVM_REC_AUXV_WORDS = 64,
	OVM_REC_NR_TLS = 3,
	OVM_REC_RUNS_PER_NODE = 340,
	OVM_REC_SIGINFO_LEN = 128,
};

/* ---- threads ------------------------------------------------------------------------------- */

/* User registers as the kernel's struct pt_regs has them (x86-64), in its order. */
struct ovm_rec_regs {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	__u64 orig_ax, ip, cs, flags, sp, ss;
};

/* A signal that was sent and not yet delivered. */
struct ovm_rec_signal {
	struct ovm_rec_signal __host *next;
	__s32 signo;
	/* siginfo_t as user space would get it; synthesised (SI_USER) when the kernel kept none. */
	__u8 info[OVM_REC_SIGINFO_LEN];
};

struct ovm_rec_groups {
	__u32 count;
	/* @count values of 32 bits each. */
	struct ovm_rec_bytes gids;
};

/* Credentials; ids are as seen in the initial user namespace. */
struct ovm_rec_creds {
	__u32 uid, gid, euid, egid, suid, sgid, fsuid, fsgid;
	__u64 cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	__u32 securebits;
	struct ovm_rec_groups groups;
	__u8 no_new_privs;
	/* Identity of the user namespace, and whether it is the initial one. */
	__u64 user_ns;
	__u8 user_ns_initial;
};

/* Where a thread is, as far as kernel memory tells. */
enum ovm_rec_where {
	/* Current on a CPU: the registers in memory are those of its last entry into the kernel. */
	OVM_REC_ON_CPU = 1,
	/* Switched out; it entered the kernel by an interrupt or exception from user mode. */
	OVM_REC_INTERRUPTED,
	/* Switched out inside a system call. */
	OVM_REC_IN_SYSCALL,
};

/* A time-out that will wake the thread: an hrtimer whose sleeper it is. */
struct ovm_rec_sleep {
	/* Whether there is one. */
	__u8 armed;
	/* CLOCK_MONOTONIC 1, CLOCK_REALTIME 0, CLOCK_BOOTTIME 7, CLOCK_TAI 11. */
	__s32 clock;
	/* Expiry on that clock, ns: hard (latest) and soft (earliest, what was asked for). */
	__u64 expires, soft_expires;
};

/* A filter of system calls; those that are shared are one record. */
struct ovm_rec_seccomp {
	/* The one that was installed before. */
	struct ovm_rec_seccomp __host *prev;
	__u64 filter; /* identity */
	/* As it was installed, 8 bytes an instruction (struct sock_filter); empty: not known. */
	struct ovm_rec_bytes code;
	__u8 log;      /* SECCOMP_FILTER_FLAG_LOG */
	__u8 listened; /* SECCOMP_FILTER_FLAG_NEW_LISTENER, and the listener is there */
};

struct ovm_rec_thread {
	struct ovm_rec_thread __host *next;
	/* Address of the task_struct. */
	__u64 task;
	__s32 tid, tgid;
	/* In the task's own pid namespace. */
	__s32 vtid;
	char comm[OVM_REC_COMM_LEN];

	/* Scheduling state. */
	__u32 state; /* task_struct.__state */
	__u32 exit_state;
	__u64 jobctl;
	__u32 flags;  /* PF_* */
	__u32 ptrace; /* non-zero: traced */
	__u32 cpu;
	/* The freezer counts it as frozen; with JOBCTL_TRAP_FREEZE it stays so. */
	__u8 frozen;
	__u8 on_cpu;
	__u8 on_rq;
	/* thread_info: TIF_* bits, and the system call it is in (orig_ax) or -1. */
	__u64 tif_flags;
	enum ovm_rec_where where;
	/* Address of the kernel function that the thread sleeps in is not known from memory alone;
	 * the return addresses nearest the top of its stack help a message along. 0: none. */
	__u64 wchan;
	/* Saved kernel stack pointer (thread.sp) and address of the pt_regs on that stack: their
	 * distance tells how deep in the kernel the thread was switched out. */
	__u64 kernel_sp, regs_address;

	struct ovm_rec_regs regs;
	__u64 fs_base, gs_base;
	__u16 seg_ds, seg_es, seg_fs, seg_gs;
	/* Compatibility (32-bit) thread: cs == 0x23. */
	__u8 compat;
	/* user_desc-like GDT entries 12..14, raw 8-byte descriptors. */
	__u64 tls[OVM_REC_NR_TLS];

	/* FPU: the kernel's buffer as it is (standard or compacted form). */
	struct ovm_rec_bytes fpstate;
	/* fpstate.xfeatures (kernel's), user features, and whether TIF_NEED_FPU_LOAD is set: when
	 * clear and the thread is on a CPU, the truth is in the vCPU. */
	__u64 xfeatures, user_xfeatures;
	__u8 need_fpu_load;
	/* thread.pkru, valid when @has_pkru. */
	__u8 has_pkru;
	__u32 pkru;

	/* User memory that the kernel was told of. */
	__u64 clear_child_tid, set_child_tid;
	__u64 robust_list; /* 0: none */
	__u64 rseq;	   /* 0: none */
	__u32 rseq_len, rseq_sig;
	__u64 sas_sp, sas_size;
	__u32 sas_flags;
	__s32 pdeath_signal;

	/* Signals: what sigprocmask would report (saved mask if one is to be restored). */
	__u64 blocked;
	__u8 restore_sigmask;
	/* Masks that two calls put aside while they wait: rt_sigsuspend (task->saved_sigmask,
	 * before it sets restore_sigmask) and rt_sigtimedwait (task->real_blocked). */
	__u64 saved_sigmask, real_blocked;
	/* The mask in force: @blocked, or a temporary one while @restore_sigmask is set. */
	__u64 mask_in_force;
	struct ovm_rec_signal __host *pending;

	/* Scheduling parameters. */
	__u32 policy;
	__s32 nice; /* -20..19 */
	__u32 rt_priority;
	__u64 dl_runtime, dl_deadline, dl_period; /* SCHED_DEADLINE */
	__u64 cpus_allowed[16];
	__u32 nr_cpus_allowed;

	struct ovm_rec_creds creds;
	__u32 seccomp_mode;
	struct ovm_rec_seccomp __host *seccomp; /* the last one that was installed */
	__u8 landlocked;			/* landlock_restrict_self(2) */
	/* Profile of AppArmor; empty: unconfined. */
	struct ovm_rec_bytes lsm_label;
	/* PR_SCHED_CORE; 0: none. */
	__u64 core_cookie;
	/* A thread that it traces; 0: none. */
	__s32 tracee;

	/* What it waits for. */
	struct ovm_rec_sleep sleep;
	/* restart_block.fn: name is resolved by the host. 0: none. */
	__u64 restart_fn;
	/* restart_block.nanosleep: user address for the remaining time, or 0. */
	__u64 restart_rmtp;
	/* restart_block: until when an interrupted call was to wait, for those @restart_fn that say
	 * so on one of the clocks above. */
	struct ovm_rec_sleep restart;
	__u64 io_uring; /* identity of the task's io_uring context, or 0 */
	__u64 user_dispatch_mode;
	/* Shares with the leader (false would be a CLONE_VM-only relative). */
	__u64 mm, files, fs, sighand, nsproxy; /* identities */
};

/* ---- process-wide state -------------------------------------------------------------------- */

struct ovm_rec_sigaction {
	__u64 handler, flags, restorer, mask;
};

/* ITIMER_*: remaining and interval. */
struct ovm_rec_itimer {
	/* REAL: expiry on CLOCK_MONOTONIC, ns. VIRTUAL, PROF: expiry in consumed ns of CPU time. 0:
	 * off, or with an @interval: its signal is pending, and it starts again when that is
	 * delivered. */
	__u64 expires;
	__u64 interval; /* ns */
};

struct ovm_rec_posix_timer {
	struct ovm_rec_posix_timer __host *next;
	__s32 id;
	__s32 clock;
	__s32 notify; /* SIGEV_* incl. SIGEV_THREAD_ID */
	__s32 signo;
	__u64 value;	  /* sival_ptr */
	__s32 notify_tid; /* SIGEV_THREAD_ID: tid, else 0 */
	__s32 overrun;
	__u64 interval; /* ns */
	/* Whether it is armed, then expiry on its clock, ns (for CPU clocks: consumed time). */
	__u8 armed;
	__u64 expires;
	/* Which hrtimer base: clock id of the base on which @expires counts. */
	__s32 base_clock;
	__u8 cpu_timer; /* driven by consumed CPU time, of which the clock now shows @cpu_now */
	__u64 cpu_now;
	/* A signal of it is pending and not yet delivered; with an interval, it is started again
	 * from
	 * @expires on when that is delivered, and not @armed until then. */
	__u8 signal_pending;
};

struct ovm_rec_rlimit {
	__u64 cur, max; /* ~0: infinite */
};

/* Identities of the namespaces, and which of them are the initial ones. */
struct ovm_rec_namespaces {
	__u64 mnt, uts, ipc, net, pid, pid_for_children, user, cgroup, time, time_for_children;
	__u8 mnt_initial, uts_initial, ipc_initial, net_initial, pid_initial, user_initial,
		cgroup_initial, time_initial;
	/* Offsets of the time namespace, ns. */
	__s64 time_monotonic_offset, time_boottime_offset;
};

/* ---- sockets ------------------------------------------------------------------------------- */

struct ovm_rec_file;

/* A part of a message; those of one message follow each other. */
struct ovm_rec_piece {
	struct ovm_rec_piece __host *next;
	struct ovm_rec_bytes bytes;
};

/* A file that comes with a message (SCM_RIGHTS). */
struct ovm_rec_passed {
	struct ovm_rec_passed __host *next;
	__u64 identity;
	struct ovm_rec_file __host *file;
};

/* What waits in a socket's receive queue: a message; of streams, a part of what was written. */
struct ovm_rec_packet {
	struct ovm_rec_packet __host *next;
	struct ovm_rec_piece __host *pieces;
	__u64 len; /* bytes in all pieces */
	/* Files that come with it, in their order. */
	struct ovm_rec_passed __host *passed;
	__u32 nr_passed;
	/* Identity of the struct sock that sent it, and whether that one has a name. */
	__u64 sender;
	__u8 sender_named;
};

/* A connection that waits in a listening socket's queue to be accepted. */
struct ovm_rec_connection {
	struct ovm_rec_connection __host *next;
	__u64 client;	  /* identity of the struct sock that connected */
	__u64 client_ino; /* its inode number; 0: it is closed by now */
	__u32 nr_packets; /* what it has sent already */
};

/* A time-out as setsockopt(2) has it; zero: none. */
struct ovm_rec_sock_timeout {
	__u64 sec, usec;
};

/* Options that sockets of all families have; numbers are those of getsockopt(2). */
struct ovm_rec_sock_opts {
	__u32 sndbuf, rcvbuf;
	__s32 rcvlowat, peek_off;
	__u32 priority, mark;
	struct ovm_rec_sock_timeout snd_timeout, rcv_timeout;
	__u8 reuseaddr, reuseport, dontroute, no_check, broadcast, keepalive, oobinline;
	__u8 passcred, passsec, passpidfd;
	__u8 linger;
	__u32 linger_seconds;
	/* Whether the kernel has SO_BUF_LOCK, and its value. */
	__u8 has_buf_lock;
	__u32 buf_lock;
	__s32 bound_dev; /* number of a network device; 0: none */
	/* A filter is attached; without instructions (8 bytes each, struct sock_filter), it is
	 * not one of classic BPF. */
	__u8 has_filter;
	struct ovm_rec_bytes filter;
};

/* What only Unix sockets have. */
struct ovm_rec_unix {
	/* sun_path as bind(2) got it: a path with its NUL; a NUL and an abstract name; or empty. */
	struct ovm_rec_bytes name;
	/* The socket's place in the file system; synthetic, NULL without a path. */
	struct ovm_rec_file __host *bound;
	/* The socket it is connected to: identity of its struct sock, 0: none; its inode number,
	 * 0 when nobody has accepted it yet or it is closed; its name. */
	__u64 peer, peer_ino;
	struct ovm_rec_bytes peer_name;
	struct ovm_rec_connection __host *connections;
	__u8 has_oob; /* there is a byte sent with MSG_OOB */
};

enum {
	/* sk_lock.owned of a socket that this tool holds (vmi/hold.h): "ovm". */
	OVM_REC_HELD = 0x6d766f,
	OVM_REC_ICMP_FILTER_WORDS = 8,
	OVM_REC_DEVICE_LEN = 16,
};

/* Options with another than their first value that images have no place for. */
enum ovm_rec_lost_option {
	OVM_REC_LOST_TOS = 1 << 0,
	OVM_REC_LOST_TTL = 1 << 1,
	OVM_REC_LOST_TRANSPARENT = 1 << 2,
	OVM_REC_LOST_RECVERR = 1 << 3,
	OVM_REC_LOST_CMSG = 1 << 4, /* IP_PKTINFO and the like, IPV6_RECVPKTINFO and the like */
	OVM_REC_LOST_MULTICAST = 1 << 5,
	OVM_REC_LOST_USER_TIMEOUT = 1 << 6,
	OVM_REC_LOST_DEFER_ACCEPT = 1 << 7,
	OVM_REC_LOST_FASTOPEN = 1 << 8,
	OVM_REC_LOST_MAXSEG = 1 << 9,
	OVM_REC_LOST_LINGER2 = 1 << 10,
	OVM_REC_LOST_NOTSENT_LOWAT = 1 << 11,
	OVM_REC_LOST_CONGESTION = 1 << 12,
};

/* What only TCP sockets have. */
struct ovm_rec_tcp {
	__u32 keepidle, keepintvl, keepcnt; /* s, s, number */
	__u8 nodelay, cork;
	/* TLS and the like; MD5 or AO keys; MPTCP; a byte sent with MSG_OOB; TCP Fast Open goes on;
	 * TCP_REPAIR. */
	__u8 layered, authenticated, multipath, urgent, opening, repair;
	/* Of a listening socket: connections that wait to be accepted. */
	__u32 nr_connections;

	/* Of a socket that has a peer, or had one. Sequence numbers are the kernel's. */
	__u32 copied_seq, rcv_nxt, snd_una, snd_nxt, write_seq;
	__u32 snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
	/* Timestamps are CLOCK_MONOTONIC in ms, or us, and this. */
	__u32 tsoffset;
	__u8 usec_timestamps;
	__u8 timestamps, sack, window_scaling, ecn, syn_data;
	__u8 snd_wscale, rcv_wscale;
	__u16 mss_clamp;
	/* Bytes that wait to be read, in the socket's packets; and bytes that are not acknowledged
	 * or not sent, in @sent. */
	__u32 in_len, out_len;
	struct ovm_rec_packet __host *sent;
	__u8 fin_queued; /* behind these */
};

/* What only sockets of IPv4 and IPv6 have. */
struct ovm_rec_inet {
	__u16 src_port, dst_port; /* 0: none */
	/* As on the wire; of IPv4, the first four bytes. */
	__u8 src[16], dst[16];
	__u8 v6only, freebind, hdrincl, nodefrag;
	char device[OVM_REC_DEVICE_LEN]; /* that it is bound to, or empty */
	__u32 lost;			 /* OVM_REC_LOST_* */
	__u8 chooses;			 /* a program chooses among the sockets of its port */
	/* Not of TCP: messages that wait; whether it holds a message back, or unwraps them. */
	__u32 nr_waiting;
	__u8 corked, encapsulates;
	/* Raw sockets of ICMP only. */
	__u32 icmp_filter_words;
	__u32 icmp_filter[OVM_REC_ICMP_FILTER_WORDS];
	struct ovm_rec_tcp __host *tcp; /* TCP only */
};

/* What only netlink sockets have; the state is 1 if it is connected. */
struct ovm_rec_netlink {
	__u32 portid; /* 0: not bound */
	__u32 dst_portid, dst_group;
	/* The first 64 groups that it has joined: bit N - 1 is group N; and whether of others. */
	__u64 groups;
	__u8 has_more_groups;
	__u8 in_dump; /* the answer to a request is not sent whole */
	__u64 flags;  /* options: bit N is the kernel's NETLINK_F_* number N */
};

/* PACKET_ADD_MEMBERSHIP */
struct ovm_rec_packet_membership {
	struct ovm_rec_packet_membership __host *next;
	__s32 ifindex;
	__s32 count; /* how often it was joined */
	__u16 type;  /* PACKET_MR_* */
	struct ovm_rec_bytes address;
};

/* What only packet sockets have; options as of packet(7). */
struct ovm_rec_packet_socket {
	__u16 protocol; /* in network byte order, as socket(2) takes it */
	__s32 ifindex;	/* 0: all; negative: of a device that is gone */
	__u8 running;	/* it receives: the device is up */
	__u32 version, reserve, timestamp;
	__s32 copy_thresh;
	__u8 aux_data, orig_dev, loss, tx_has_off, qdisc_bypass, ignore_outgoing;
	__u8 vnet_hdr_size; /* 0: off */
	__u8 has_rings;
	__u8 has_fanout;
	__u16 fanout_id;
	__u8 fanout_type, fanout_flags;
	struct ovm_rec_packet_membership __host *memberships;
};

struct ovm_rec_socket {
	__u64 sk;  /* identity of the struct sock */
	__u64 net; /* identity of its network namespace */
	__u16 family, type, protocol;
	__u8 state;    /* TCP_*, also for other families */
	__u8 shutdown; /* 1: of receiving, 2: of sending */
	__s32 err;     /* a pending error, which the next call would return */
	__u32 max_backlog;
	__u32 unread; /* bytes of memory in the queues of others that it has sent to */
	struct ovm_rec_sock_opts opts;
	/* Content of the receive queue, for those families that are read. */
	struct ovm_rec_packet __host *packets;
	__u32 nr_waiting; /* packets in it */
	/* What is behind the families that have it, else NULL. */
	struct ovm_rec_unix __host *unix_socket;
	struct ovm_rec_inet __host *inet;
	struct ovm_rec_netlink __host *netlink;
	struct ovm_rec_packet_socket __host *packet_socket;
};

/* ---- files --------------------------------------------------------------------------------- */

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

/* ---- memory -------------------------------------------------------------------------------- */

struct ovm_rec_vma {
	struct ovm_rec_vma __host *next;
	__u64 start, end; /* end exclusive */
	__u64 pgoff;	  /* pages */
	__u64 flags;	  /* VM_* of the guest's kernel; the bits below are decoded for the host */
	__u8 read, write, exec, shared, may_share, growsdown, locked, lock_on_fault, noreserve,
		hugetlb, pfnmap, mixedmap, io, seq_read, rand_read, dontcopy, dontdump, mergeable,
		hugepage, nohugepage, wipe_on_fork, uffd, softdirty, anon_vma, sealed, droppable,
		shadow_stack;
	__u8 vdso, vvar, vsyscall;
	/* hugetlb: log2 of the page size. */
	__u8 huge_shift;
	struct ovm_rec_file __host *file; /* NULL: anonymous */
	/* Kind of a special mapping ("[vdso]", "[vvar]", "[vvar_vclock]", ...), else "". */
	char special[24];
	/* prctl(PR_SET_VMA_ANON_NAME), else empty. */
	struct ovm_rec_bytes anon_name;
	/* Protection key. */
	__u32 pkey;
	/* Where completed asynchronous I/O is told; else NULL. */
	struct ovm_rec_aio_ring __host *aio_ring;
};

/* Pages of a shared memory object: physically contiguous runs in index order. */
struct ovm_rec_run {
	__u64 index; /* first page's index in the object */
	__u64 pfn;   /* its page frame */
	__u64 nr;    /* pages */
};

struct ovm_rec_runs {
	struct ovm_rec_runs __host *next;
	__u32 nr;
	struct ovm_rec_run run[OVM_REC_RUNS_PER_NODE];
};

/* An inode whose content has to be saved: shared anonymous memory, memfd, of huge pages or not. */
struct ovm_rec_ipc_shm;

struct ovm_rec_shmem {
	struct ovm_rec_shmem __host *next;
	/* Of System V shared memory of the tree's own namespace. */
	struct ovm_rec_ipc_shm __host *segment;
	__u64 inode; /* identity */
	__u64 ino;
	__u64 size; /* bytes */
	struct ovm_rec_runs __host *runs;
	__u64 nr_pages;
	/* Pages that are swapped out. */
	__u64 nr_swapped;
	/* Nobody but the tree has it open or mapped. */
	__u8 exclusive;
};

/* A ring of io_setup(2) as it is mapped: its pages, and what the head says, which is not the
 * kernel's word, as the program may write there. */
struct ovm_rec_aio_ring {
	struct ovm_rec_shmem __host *pages;
	__u32 nr, head, tail;
};

/* A context of io_setup(2). */
struct ovm_rec_aio {
	struct ovm_rec_aio __host *next;
	__u64 start, size; /* where its ring is mapped, bytes */
	/* What is mapped there; NULL: no ring. */
	struct ovm_rec_aio_ring __host *ring;
	/* Requests that are not completed; and those among them that wait for an event, maybe for
	 * ever. */
	__u64 nr_in_flight, nr_waiting;
};

struct ovm_rec_mm {
	__u64 identity;
	__u64 pgd; /* guest virtual address of the top table */
	__u64 start_code, end_code, start_data, end_data, start_stack, start_brk, brk;
	__u64 arg_start, arg_end, env_start, env_end;
	__u64 task_size;
	__u32 nr_auxv; /* words up to and including the AT_NULL pair */
	__u64 auxv[OVM_REC_AUXV_WORDS];
	__u32 dumpable; /* 0, 1, 2 */
	__u8 thp_disabled;
	__u64 flags;
	__u64 map_count;
	__u64 total_vm; /* pages */
	struct ovm_rec_file __host *exe;
	struct ovm_rec_vma __host *vmas; /* by address */
	__u64 nr_vmas;
	__u64 vdso; /* address, or 0 */
	/* context.vdso_image: kernel address of the vDSO's bytes and their number. Pages of the
	 * vDSO that the process has never touched are not in its page tables. */
	__u64 vdso_data, vdso_size;
	/* Resident and swapped pages by the kernel's own counters (approximate). */
	__u64 rss_file, rss_anon, rss_shmem, swap_entries;
	struct ovm_rec_aio __host *aio;
	__u8 has_uprobes;
	/* Registered for membarrier(2) commands: MEMBARRIER_STATE_* of linux/sched/mm.h. */
	__u32 membarrier_state;
	/* Somebody else than the process' threads uses it, maybe for a moment only. */
	__u8 used_by_others;
};

/* ---- System V IPC --------------------------------------------------------------------------- */

enum {
	OVM_REC_NR_SEM_LIMITS = 4,
	OVM_REC_SEMS_PER_NODE = 500,
	/* Longer messages have no content here. */
	OVM_REC_IPC_MESSAGE_MAX = 8192,
};

/* What objects of all kinds have; ids of users and groups as in the initial user namespace. */
struct ovm_rec_ipc_perm {
	__s32 id;
	__u32 key;
	__u32 uid, gid, cuid, cgid;
	__u32 mode; /* also SHM_DEST and SHM_LOCKED */
};

struct ovm_rec_ipc_shm {
	struct ovm_rec_ipc_shm __host *next;
	struct ovm_rec_ipc_perm perm;
	__u64 size;		   /* as asked for, bytes */
	__u64 nr_attached, nr_own; /* areas of all processes, and of those of the tree */
	/* Of huge pages: log2 of the page size; else 0. */
	__u8 huge_shift;
	struct ovm_rec_shmem __host *pages; /* among those of the tree */
};

struct ovm_rec_ipc_sem_values {
	struct ovm_rec_ipc_sem_values __host *next;
	__u32 nr;
	__u32 value[OVM_REC_SEMS_PER_NODE];
};

struct ovm_rec_ipc_sems {
	struct ovm_rec_ipc_sems __host *next;
	struct ovm_rec_ipc_perm perm;
	__u32 nr;
	struct ovm_rec_ipc_sem_values __host *values;
};

struct ovm_rec_ipc_message {
	struct ovm_rec_ipc_message __host *next;
	__s64 type;
	__u64 len;
	struct ovm_rec_piece __host *pieces;
};

struct ovm_rec_ipc_queue {
	struct ovm_rec_ipc_queue __host *next;
	struct ovm_rec_ipc_perm perm;
	__u64 max_bytes;
	__u64 nr_messages, nr_bytes;
	struct ovm_rec_ipc_message __host *messages; /* the oldest first */
};

/* An IPC namespace: its limits (sysctl), and all that is in it. */
struct ovm_rec_ipc {
	__u64 identity;
	__u32 sem_limits[OVM_REC_NR_SEM_LIMITS]; /* SEMMSL, SEMMNS, SEMOPM, SEMMNI */
	__u32 msg_max, msg_queue_bytes, msg_queues;
	__u64 shm_max, shm_all;
	__u32 shm_segments, shm_rmid_forced;
	__u32 mq_queues_max, mq_msg_max, mq_msgsize_max, mq_msg_default, mq_msgsize_default;
	/* Ids that the next objects are to have; -1: any. */
	__s32 sem_next_id, msg_next_id, shm_next_id;
	__u32 nr_posix_queues; /* of mq_open(3) */
	struct ovm_rec_ipc_shm __host *shm;
	struct ovm_rec_ipc_sems __host *sems;
	struct ovm_rec_ipc_queue __host *queues;
	/* A process beside those that are extracted which lives in it, too. */
	struct ovm_rec_holder holder;
};

struct ovm_rec_process {
	struct ovm_rec_process __host *next;
	/* Place in the list of the tree, and the process whose child it is; NULL for the root. */
	__u32 index;
	struct ovm_rec_process __host *parent;
	__u64 task; /* leader's task_struct */
	/* In the initial pid namespace, and in the task's own. */
	__s32 pid, ppid, pgid, sid;
	__s32 vpid, vpgid, vsid;
	/* All threads have ended, and nobody has reaped it: besides ids, state, exit code and the
	 * name of its one thread nothing is known of it. */
	__u8 zombie;
	__u32 nr_threads;
	struct ovm_rec_thread __host *threads; /* the leader first */
	struct ovm_rec_namespaces ns;
	__u64 files_identity, sighand_identity;
	/* Whose descriptor table it uses: its own, or that of an ancestor which it was made to
	 * share (CLONE_FILES); there, how many threads of the tree do. NULL for a zombie. */
	struct ovm_rec_process __host *files_owner;
	__u64 nr_files_users;

	/* signal_struct */
	struct ovm_rec_sigaction sigactions[OVM_REC_NR_SIGNALS];
	struct ovm_rec_signal __host *shared_pending;
	__u32 signal_flags; /* SIGNAL_* */
	__s32 group_exit_code;
	__s32 exit_code; /* of a zombie: what wait(2) will tell */
	__u32 stopped;	 /* 1: group-stopped */
	struct ovm_rec_itimer real, virt, prof;
	/* CPU time consumed by the whole group, ns: user and user+system. */
	__u64 utime, stime, sum_exec_runtime;
	struct ovm_rec_posix_timer __host *posix_timers;
	struct ovm_rec_rlimit rlimits[OVM_REC_NR_RLIMITS];
	__s32 oom_score_adj;
	__u8 child_subreaper, has_child_subreaper;
	__u32 personality;
	__u32 loginuid;
	/* The controlling terminal, or NULL. */
	struct ovm_rec_tty __host *tty;

	struct ovm_rec_fs fs;
	/* The same list as that of @files_owner. */
	struct ovm_rec_fd __host *fds;
	__u32 nr_fds;
	struct ovm_rec_mm mm;

	/* Resources of whole-process scope that this tool does not save: non-zero if present. */
	__u8 has_sysv_undo;
	__u8 has_io_uring;
	/* cgroup v2 path, for ps. */
	struct ovm_rec_bytes cgroup;
};

/* A process with all its descendants. */
struct ovm_rec_tree {
	/* Parents first, generation by generation. */
	struct ovm_rec_process __host *processes;
	__u32 nr_processes, nr_threads;
	/* Every distinct struct file met: fds, mappings, executables; directories apart. */
	struct ovm_rec_file __host *files;
	/* The objects of shared memory behind them. */
	struct ovm_rec_shmem __host *shmem;
	/* The IPC namespace of the root, if that is not the initial one; else how many sets of
	 * semaphores and message queues of the initial one were last used by the tree. */
	struct ovm_rec_ipc __host *ipc;
	__u32 nr_used_sems, nr_used_queues;
};

/* ---- consistency --------------------------------------------------------------------------- */

/* Locks that are held now among those that guard what is extracted; names are literals. */
struct ovm_rec_lock {
	struct ovm_rec_lock __host *next;
	char name[32]; /* "mm->mmap_lock" */
	__u64 address;
	__s32 tid;   /* of the thread it was met with */
	__s32 owner; /* tid of the holder where the lock tells, else 0 */
	__u8 shared; /* held for reading only: what it guards is whole, though in use */
};

/* What has to be known before anything else is believed. */
struct ovm_rec_quiescence {
	__s32 pid; /* in: root of the tree of processes, in the initial namespace */
	__u8 found;
	/* Of all processes but zombies. */
	struct ovm_rec_thread __host *threads;
	__u32 nr_threads;
	struct ovm_rec_lock __host *locks;
};

/* ---- processes at a glance ----------------------------------------------------------------- */

struct ovm_rec_ps {
	struct ovm_rec_ps __host *next;
	__s32 pid, ppid;
	/* In its own pid namespace. */
	__s32 vpid;
	__u32 uid;
	__u32 nr_threads;
	__u32 nr_frozen; /* threads that the freezer holds */
	char comm[OVM_REC_COMM_LEN];
	char state; /* as ps(1) shows it; F: the freezer holds all threads */
	__u64 rss_pages;
	__u8 kernel_thread;
	__u8 in_initial_namespaces;
	__u64 pid_ns, mnt_ns;
	struct ovm_rec_bytes cgroup;	   /* path in the default hierarchy */
	struct ovm_rec_bytes cmdline_hint; /* empty: to be read from user memory by the host */
	__u64 pgd;			   /* guest virtual, 0: none */
	__u64 arg_start, arg_end;
};

/* ---- threads to be stopped and woken -------------------------------------------------------- */

/* A thread as far as freezing it is concerned. */
struct ovm_rec_freezable {
	struct ovm_rec_freezable __host *next;
	__u64 task, sighand, signal; /* identities */
	__s32 tid, tgid;
	__u64 start_time;
	char comm[OVM_REC_COMM_LEN];
	__u32 state; /* task_struct.__state */
	__u32 exit_state;
	__u64 jobctl;
	__u32 flags; /* PF_* */
	/* Its cgroup is frozen by the guest itself. */
	__u8 cgroup_frozen;
	/* Path in the default hierarchy; when it was asked for. */
	struct ovm_rec_bytes cgroup;
	/* Where it sleeps, for messages; 0 while it runs. */
	__u64 wchan;
};

/* A TCP socket that is held from outside, behind a descriptor of a frozen process. */
struct ovm_rec_held {
	struct ovm_rec_held __host *next;
	__s32 tgid;
	__u64 sk; /* identity of its struct sock */
};

/* A CPU as far as interrupting it, and having it call functions, is concerned. */
struct ovm_rec_freezer_cpu {
	struct ovm_rec_freezer_cpu __host *next;
	__u32 cpu;
	__u32 apic_id;
	/* Address of its call_single_queue. */
	__u64 queue;
	/* Lowest address of the stack of its idle thread, and where that thread's frames end. */
	__u64 idle_stack, idle_sp;
};

struct ovm_rec_freezer {
	/*
	 * In: root of the tree of processes, in the initial pid namespace; 0: all processes but the
	 * kernel's, each thread with the path of its cgroup; negative: none.
	 */
	__s32 pid;
	/* In: tell where threads sleep. */
	__u8 with_wchan;
	/* The kernel has what is needed: the cgroup freezer, calls queued to CPUs. */
	__u8 supported;
	/* Number of the TIF_SIGPENDING flag. */
	__u8 sigpending_bit;
	/* Address that the interrupt gate CALL_FUNCTION_SINGLE leads to. */
	__u64 gate;
	/* @pid is a kernel thread. */
	__u8 has_kernel_threads;
	struct ovm_rec_freezable __host *threads;
	__u32 nr_threads;
	struct ovm_rec_freezer_cpu __host *cpus;
	/* Of those processes that are frozen from outside; when @with_held asks for them. */
	__u8 with_held;
	struct ovm_rec_held __host *held;
};

/* ---- entry points -------------------------------------------------------------------------- */

struct ovm_extract_ps_args {
	struct ovm_rec_ps __host *list; /* out */
	__u64 nr;			/* out */
};

struct ovm_extract_quiescence_args {
	struct ovm_rec_quiescence __host *q; /* in: pid; out: the rest */
};

struct ovm_extract_tree_args {
	__s32 pid; /* in: the root, in the initial pid namespace */
	/* In: larger files without a name have no content; bytes. */
	__u64 ghost_limit;
	struct ovm_rec_tree __host *tree; /* out */
};

struct ovm_extract_freezer_args {
	struct ovm_rec_freezer __host *freezer; /* in and out */
};

#ifndef __LLVIEW__
void ovm_extract_freezer(struct ovm_extract_freezer_args *args);
void ovm_extract_ps(struct ovm_extract_ps_args *args);
void ovm_extract_quiescence(struct ovm_extract_quiescence_args *args);
void ovm_extract_tree(struct ovm_extract_tree_args *args);
#endif

#endif /* OVM_VMI_EXTRACT_RECORD_H */
