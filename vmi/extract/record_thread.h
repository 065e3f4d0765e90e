/* SPDX-License-Identifier: GPL-2.0-only */
/* Records of threads, and of what the threads of a process share. See record.h. */
#ifndef OVM_VMI_EXTRACT_RECORD_THREAD_H
#define OVM_VMI_EXTRACT_RECORD_THREAD_H

#include "record_base.h"

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

#endif /* OVM_VMI_EXTRACT_RECORD_THREAD_H */
