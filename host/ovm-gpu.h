/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libovm-gpu: save processes out of a running virtual machine, from outside.
 *
 *	struct ovm_attach_options attach = {.size = sizeof(attach), .qmp_path = "vm.qmp"};
 *	struct ovm_dump_options dump = {.size = sizeof(dump), .pid = 1234,
 *					.directory = "images", .leave = OVM_LEAVE_RUNNING};
 *	struct ovm *ovm;
 *	struct ovm_error *err = ovm_attach(&attach, &ovm);
 *
 *	if (!err)
 *		err = ovm_dump(ovm, &dump, NULL);
 *	ovm_detach(ovm);
 *
 * A struct ovm belongs to one VM and is used by one thread at a time; there may
 * be many of them.  Only ovm_cancel() may be called from another thread or from
 * a signal handler.  The library has no global state, installs no signal
 * handlers, prints nothing and never exits; callbacks run in the calling thread.
 *
 * Every options structure begins with its own size, so that it can grow:
 * fields behind that size are taken as zero, which is always the default.
 */
#ifndef OVM_HOST_OVM_GPU_H
#define OVM_HOST_OVM_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct ovm;

enum ovm_log_level {
	OVM_LOG_WARNING = 1,
	OVM_LOG_INFO,
	OVM_LOG_DEBUG,
};

struct ovm_attach_options {
	/** sizeof(struct ovm_attach_options) */
	size_t size;
	/** QMP socket of the VM. QEMU serves one client per socket. */
	const char *qmp_path;
	/** Connected QMP socket instead of @qmp_path when greater than 0; it stays the caller's. */
	int qmp_fd;
	/** Directory for facts cached by kernel build id, or NULL for none; created when missing.
	 */
	const char *cache_directory;
	/** Never search all of guest RAM for the kernel. */
	bool no_scan;
	/** Receives messages for people; may be NULL. */
	void (*log)(void *arg, enum ovm_log_level level, const char *message);
	void *log_arg;
	/** Never write guest memory: what would have to is refused, but for dumps with read_only.
	 */
	bool read_only;
};

/**
 * Attach to a VM: find its RAM and understand its kernel. The VM runs on.
 *
 * Errors: OVM_ERROR_UNREACHABLE for QMP and RAM, OVM_ERROR_KERNEL for a kernel that is not
 * understood. *@ret is set to NULL then.
 */
struct ovm_error *ovm_attach(const struct ovm_attach_options *options, struct ovm **ret);

/** Detach from a VM and release all that belongs to it; NULL is fine. */
void ovm_detach(struct ovm *ovm);

/** Make the operation under way fail with OVM_ERROR_CANCELLED soon. Async-signal-safe. */
void ovm_cancel(struct ovm *ovm);

/** One line of the answer to "can this VM be dumped?" */
struct ovm_check_item {
	/** What is required, a few words. */
	const char *requirement;
	bool ok;
	/** What was found. */
	const char *finding;
	/** What to do about it, or NULL when @ok. */
	const char *remedy;
};

/**
 * Check everything that a dump from the VM at the end of @options needs.
 *
 * Calls @item for each requirement in turn; a requirement that builds on one that is not met is
 * left out. Works without an attached context, since attaching may be what fails.
 *
 * Returns NULL when the check could be made at all; *@ok tells whether every item was.
 */
struct ovm_error *ovm_check(const struct ovm_attach_options *options,
			    void (*item)(void *arg, const struct ovm_check_item *item), void *arg,
			    bool *ok);

/** A process of the guest. Strings live as long as the list. */
struct ovm_process {
	/** In the guest's initial pid namespace, and in its own. */
	int32_t pid, parent_pid, namespace_pid;
	uint32_t uid;
	uint32_t nr_threads;
	/** How many of them are in the kernel's freezer. */
	uint32_t nr_frozen;
	/** As in ps(1): R S D T t X Z I; and F: all threads are in the freezer. */
	char state;
	/** Resident memory, bytes, by the kernel's counters. */
	uint64_t resident;
	bool kernel_thread;
	/** Whether it lives in the guest's initial namespaces altogether. */
	bool initial_namespaces;
	const char *comm;
	/** Arguments joined by spaces, non-printing bytes replaced; "" when there are none. */
	const char *command_line;
	/** Path in the cgroup v2 hierarchy, or "". */
	const char *cgroup;
	/** Id of the container as found in the cgroup path, or "". */
	const char *container;
};

struct ovm_process_list {
	struct ovm_process *processes;
	size_t nr;
};

/** List the processes of the guest by pid; free with ovm_process_list_free(). */
struct ovm_error *ovm_ps(struct ovm *ovm, struct ovm_process_list **ret);

/** Free a process list; NULL is fine. */
void ovm_process_list_free(struct ovm_process_list *list);

/** What becomes of the processes after they were dumped. */
enum ovm_leave {
	/** Kill them, as criu dump does. */
	OVM_LEAVE_KILLED,
	OVM_LEAVE_RUNNING,
	OVM_LEAVE_STOPPED,
};

enum ovm_dump_backend {
	/** CUDA where there is a device, else CPU. */
	OVM_DUMP_BACKEND_AUTO,
	OVM_DUMP_BACKEND_CPU,
	OVM_DUMP_BACKEND_CUDA,
};

enum ovm_phase {
	OVM_PHASE_FREEZE,
	OVM_PHASE_WAIT, /* for a consistent state */
	OVM_PHASE_EXTRACT,
	OVM_PHASE_PAGES,
	OVM_PHASE_WRITE,
};

struct ovm_progress {
	enum ovm_phase phase;
	/** Bytes of memory copied so far, and in all (0: not known yet). */
	uint64_t done, total;
};

struct ovm_dump_options {
	/** sizeof(struct ovm_dump_options) */
	size_t size;
	/** Root of the tree of processes to dump, in the guest's initial pid namespace. */
	int32_t pid;
	/** Where the images go: a directory that does not exist yet, or an empty one. */
	const char *directory;
	enum ovm_leave leave;
	enum ovm_dump_backend backend;
	/** Worker threads for walking and copying; 0: one per CPU. */
	unsigned int nr_threads;
	/** How long freezing and waiting for a consistent state may take, ms; 0: 5000. */
	unsigned int timeout_ms;
	/** Called as the dump goes on; may be NULL. Anything but 0 cancels the dump. */
	int (*progress)(void *arg, const struct ovm_progress *progress);
	void *progress_arg;
	/** Write nothing into the guest: pause the VM for the whole copy; needs OVM_LEAVE_RUNNING.
	 */
	bool read_only;
	/**
	 * Largest file without a name whose content is saved, bytes; 0: 1 MiB. Pages of such files
	 * that are not in the guest's memory can't be saved, however small the file is.
	 */
	uint64_t ghost_limit;
	/**
	 * Save TCP connections, for criu restore --tcp-established. From when they are saved until
	 * the process is killed or thawed, nothing is sent or acknowledged on them; the peer sees
	 * neither a reset nor an end. Without this, a process that has one is refused.
	 */
	bool tcp_established;
	/** The session of the process and its terminal may belong to others, such as the shell it
	 * was started from; to be restored from a terminal, with criu restore --shell-job. */
	bool shell_job;
	/**
	 * Sockets and pipes that may lead to processes which are not dumped, as `criu dump` names
	 * them: "unix[INODE]" for a Unix socket of the process by its own inode number,
	 * "pipe[INODE]". `criu restore` connects or replaces them; whatever waits in them on the
	 * other side is not saved.
	 */
	const char *const *externals;
	size_t nr_externals;
	/** Leave out pages that are all zero, where CRIU makes zeroes of what is missing. */
	bool skip_zero;
	/**
	 * Images of an earlier dump, or NULL: pages that they hold, at the same addresses of
	 * processes with the same pids, are left to them. They have to be kept, in the same place
	 * relative to the new ones, whose symbolic link "parent" leads there. They may have a
	 * parent themselves.
	 */
	const char *parent_directory;
	/**
	 * Compress memory by LZ4, so many bytes at a time: a multiple of 4 KiB, up to 4 MiB; 0:
	 * don't. Such images are meant for CRIU's development branch of August 2026; not tried with
	 * it. Releases up to 4.2 refuse them.
	 *
	 * With @read_only, and for shared memory that others may write, pages are compared with
	 * the parent's and compressed while the VM is paused.
	 */
	uint32_t block_size;
};

/** Figures of a dump; times in microseconds. */
struct ovm_dump_result {
	/** sizeof(struct ovm_dump_result), set by the caller. */
	size_t size;
	uint32_t nr_processes, nr_threads;
	uint64_t pages_scanned, pages_written, shmem_pages_written;
	uint64_t bytes_written;
	/** Attempts until the state was consistent, and the time that took. */
	uint32_t attempts;
	uint64_t wait_us;
	/** How long the VM was paused in the attempt that succeeded, and in all. */
	uint64_t paused_us, paused_total_us;
	uint64_t extract_us, walk_us, copy_us, write_us, total_us;
	/** "cpu" or "cuda". */
	const char *backend;
	/** "frozen": copied while the VM ran, or "paused". */
	const char *method;
	/** Freezing the process, and from the begin of that to its being thawed, killed or kept. */
	uint64_t freeze_us, frozen_us;
	/** Rounds of copying while the VM ran, and pages that one of them had to copy again. */
	uint32_t rounds;
	uint64_t pages_recopied;
	/** Pages copied under the last pause, and how many of them of shared memory: what others
	 * may write. */
	uint64_t pages_paused, shmem_pages_paused;
	/** Pages that were left out as zero, and to the parent's images; shared memory included. */
	uint64_t zero_pages, parent_pages;
};

/**
 * Dump a process with all its descendants into CRIU images.
 *
 * They are frozen by the guest's own means and their memory copied while the VM runs; the VM is
 * paused for a moment only, to take what the kernel knows of them. With @options->read_only, and
 * when the VM is paused already, nothing is frozen, and it is paused for all of that.
 *
 * A dump that fails leaves no images, and the processes and the VM as they were, also when the
 * caller is killed. Images appear in @directory all at once when they are complete; only then
 * do the processes become what @options->leave says. Should that fail, the images stay, and the
 * processes stay frozen, so that they don't run twice. @result may be NULL.
 *
 * Errors: OVM_ERROR_USAGE, OVM_ERROR_NOT_FOUND (no such process), OVM_ERROR_NOT_DUMPABLE (a line
 * per reason), OVM_ERROR_INCONSISTENT (thread, system call and reason), OVM_ERROR_OUTPUT,
 * OVM_ERROR_CANCELLED, OVM_ERROR_UNREACHABLE (also when the guest can't be frozen from outside),
 * OVM_ERROR_KERNEL.
 */
struct ovm_error *ovm_dump(struct ovm *ovm, const struct ovm_dump_options *options,
			   struct ovm_dump_result *result);

/** Which processes, and how long it may take. */
struct ovm_processes_options {
	/** sizeof(struct ovm_processes_options) */
	size_t size;
	/** A process with all its descendants, in the guest's initial pid namespace. */
	int32_t pid;
	/**
	 * Path in the guest's cgroup v2 hierarchy ("/system.slice/x.scope", as struct ovm_process
	 * has it) instead of @pid: all processes of this cgroup and of those below it; or NULL.
	 */
	const char *cgroup;
	/** ms; 0: 10000. */
	unsigned int timeout_ms;
};

/** What it took; times in microseconds. */
struct ovm_processes_result {
	/** sizeof(struct ovm_processes_result), set by the caller. */
	size_t size;
	uint32_t nr_processes, nr_threads;
	/** Threads that were woken, words of guest memory written, CPUs interrupted. */
	uint32_t nr_woken, nr_writes, nr_interrupts;
	/** Pauses of the VM: how many, the longest, and all of them. */
	uint32_t nr_pauses;
	uint64_t paused_us_max, paused_total_us;
	uint64_t total_us;
};

/**
 * Thaw what was frozen from outside: by a dump that left its process stopped, or by a controller
 * that failed. What the guest itself has frozen stays so. When nothing was, that is no error, and
 * @result->nr_writes is 0. @result may be NULL.
 *
 * The VM has to run; it is paused for moments only. An ovm_cancel() from before the call is
 * forgotten: it was meant for the dump.
 *
 * Errors: OVM_ERROR_NOT_FOUND (no such process, or none in the cgroup), OVM_ERROR_USAGE (the
 * guest's init and threads of its kernel are not touched; the VM is paused), OVM_ERROR_INCONSISTENT
 * (not in time, with the thread and the reason), OVM_ERROR_KERNEL, OVM_ERROR_UNREACHABLE,
 * OVM_ERROR_CANCELLED.
 */
struct ovm_error *ovm_processes_thaw(struct ovm *ovm, const struct ovm_processes_options *options,
				     struct ovm_processes_result *result);

/**
 * Kill processes with SIGKILL, frozen or not, and wait until they are gone, or are zombies that
 * their parents have not reaped. Otherwise as ovm_processes_thaw().
 */
struct ovm_error *ovm_processes_kill(struct ovm *ovm, const struct ovm_processes_options *options,
				     struct ovm_processes_result *result);

/** Version of the library, "0.1.0". */
const char *ovm_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* OVM_HOST_OVM_GPU_H */
