/* SPDX-License-Identifier: GPL-2.0-only */
/* Records of memory, System V IPC included. See record.h. */
#ifndef OVM_VMI_EXTRACT_RECORD_MEMORY_H
#define OVM_VMI_EXTRACT_RECORD_MEMORY_H

#include "record_base.h"
#include "record_file.h"

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

#endif /* OVM_VMI_EXTRACT_RECORD_MEMORY_H */
