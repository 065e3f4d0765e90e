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

#include "record_file.h"
#include "record_memory.h"
#include "record_socket.h"
#include "record_thread.h"

/* ---- processes ------------------------------------------------------------------------------ */

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
