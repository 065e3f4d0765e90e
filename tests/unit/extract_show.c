/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Print what the extractors find, as JSON: extract-show QMP [PID]
 *
 * Without a pid, the list of processes; with one, what decides about its
 * quiescence and its whole record. The VM is paused meanwhile.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/context.h"
#include "vmi/extract/record.h"
#include "vmi/pause.h"

#define NUMBER(object, rec, field) \
	json_object_object_add(object, #field, json_object_new_uint64((uint64_t)(rec)->field))
#define SIGNED(object, rec, field) \
	json_object_object_add(object, #field, json_object_new_int64((int64_t)(rec)->field))
#define TEXT(object, rec, field) \
	json_object_object_add(object, #field, text((rec)->field, sizeof((rec)->field)))
#define BYTES(object, rec, field)     json_object_object_add(object, #field, bytes(&(rec)->field))
#define HEX(object, name, data, size) json_object_object_add(object, name, hex(data, size))

static struct json_object *text(const char *chars, size_t max)
{
	return json_object_new_string_len(chars, (int)strnlen(chars, max));
}

static struct json_object *bytes(const struct ovm_rec_bytes *b)
{
	return json_object_new_string_len((const char *)b->data, (int)b->len);
}

static struct json_object *hex(const void *data, size_t size)
{
	const unsigned char *from = data;
	char *digits = calloc(1, 2 * size + 1);

	for (size_t i = 0; digits && i < size; i++)
		snprintf(digits + 2 * i, 3, "%02x", from[i]);
	struct json_object *ret = json_object_new_string(digits ? digits : "");

	free(digits);
	return ret;
}

static struct json_object *numbers(const __u64 *values, size_t nr)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < nr; i++)
		json_object_array_add(array, json_object_new_uint64(values[i]));
	return array;
}

static struct json_object *show_signals(const struct ovm_rec_signal *sig)
{
	struct json_object *array = json_object_new_array();

	for (; sig; sig = sig->next) {
		struct json_object *o = json_object_new_object();

		SIGNED(o, sig, signo);
		HEX(o, "info", sig->info, 48);
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *show_creds(const struct ovm_rec_creds *creds)
{
	struct json_object *o = json_object_new_object(), *gids = json_object_new_array();

	NUMBER(o, creds, uid);
	NUMBER(o, creds, gid);
	NUMBER(o, creds, euid);
	NUMBER(o, creds, egid);
	NUMBER(o, creds, suid);
	NUMBER(o, creds, sgid);
	NUMBER(o, creds, fsuid);
	NUMBER(o, creds, fsgid);
	NUMBER(o, creds, cap_inheritable);
	NUMBER(o, creds, cap_permitted);
	NUMBER(o, creds, cap_effective);
	NUMBER(o, creds, cap_bounding);
	NUMBER(o, creds, cap_ambient);
	NUMBER(o, creds, securebits);
	NUMBER(o, creds, no_new_privs);
	NUMBER(o, creds, user_ns_initial);
	for (uint32_t i = 0; i < creds->groups.count; i++) {
		uint32_t gid;

		memcpy(&gid, creds->groups.gids.data + 4 * (size_t)i, sizeof(gid));
		json_object_array_add(gids, json_object_new_uint64(gid));
	}
	json_object_object_add(o, "groups", gids);
	return o;
}

static struct json_object *show_regs(const struct ovm_rec_regs *regs)
{
	struct json_object *o = json_object_new_object();

	NUMBER(o, regs, ip);
	NUMBER(o, regs, sp);
	NUMBER(o, regs, flags);
	NUMBER(o, regs, cs);
	NUMBER(o, regs, ss);
	SIGNED(o, regs, orig_ax);
	SIGNED(o, regs, ax);
	NUMBER(o, regs, di);
	NUMBER(o, regs, si);
	NUMBER(o, regs, dx);
	NUMBER(o, regs, r10);
	NUMBER(o, regs, r8);
	NUMBER(o, regs, r9);
	return o;
}

static struct json_object *show_sleep(const struct ovm_rec_sleep *sleep)
{
	struct json_object *o = json_object_new_object();

	NUMBER(o, sleep, armed);
	SIGNED(o, sleep, clock);
	NUMBER(o, sleep, expires);
	NUMBER(o, sleep, soft_expires);
	return o;
}

static struct json_object *show_thread(struct ovm *ovm, const struct ovm_rec_thread *t)
{
	struct json_object *o = json_object_new_object();
	uint64_t offset;
	const char *where = ovm_kernel_symbol_at(ovm->kernel, t->wchan, &offset);

	SIGNED(o, t, tid);
	SIGNED(o, t, vtid);
	TEXT(o, t, comm);
	NUMBER(o, t, state);
	NUMBER(o, t, exit_state);
	NUMBER(o, t, jobctl);
	NUMBER(o, t, flags);
	NUMBER(o, t, ptrace);
	NUMBER(o, t, cpu);
	NUMBER(o, t, on_cpu);
	NUMBER(o, t, on_rq);
	NUMBER(o, t, tif_flags);
	NUMBER(o, t, where);
	NUMBER(o, t, kernel_sp);
	NUMBER(o, t, regs_address);
	json_object_object_add(o, "wchan", json_object_new_string(where ? where : ""));
	json_object_object_add(o, "regs", show_regs(&t->regs));
	NUMBER(o, t, fs_base);
	NUMBER(o, t, gs_base);
	NUMBER(o, t, seg_ds);
	NUMBER(o, t, seg_fs);
	NUMBER(o, t, compat);
	json_object_object_add(o, "tls", numbers(t->tls, OVM_REC_NR_TLS));
	HEX(o, "fpstate", t->fpstate.data, (size_t)t->fpstate.len);
	NUMBER(o, t, xfeatures);
	NUMBER(o, t, user_xfeatures);
	NUMBER(o, t, need_fpu_load);
	NUMBER(o, t, has_pkru);
	NUMBER(o, t, pkru);
	NUMBER(o, t, clear_child_tid);
	NUMBER(o, t, robust_list);
	NUMBER(o, t, rseq);
	NUMBER(o, t, rseq_len);
	NUMBER(o, t, rseq_sig);
	NUMBER(o, t, sas_sp);
	NUMBER(o, t, sas_size);
	NUMBER(o, t, sas_flags);
	SIGNED(o, t, pdeath_signal);
	NUMBER(o, t, blocked);
	NUMBER(o, t, restore_sigmask);
	json_object_object_add(o, "pending", show_signals(t->pending));
	NUMBER(o, t, policy);
	SIGNED(o, t, nice);
	NUMBER(o, t, rt_priority);
	NUMBER(o, t, dl_runtime);
	json_object_object_add(o, "cpus_allowed", numbers(t->cpus_allowed, 16));
	NUMBER(o, t, nr_cpus_allowed);
	json_object_object_add(o, "creds", show_creds(&t->creds));
	NUMBER(o, t, seccomp_mode);
	json_object_object_add(o, "sleep", show_sleep(&t->sleep));
	where = ovm_kernel_symbol_at(ovm->kernel, t->restart_fn, &offset);
	json_object_object_add(o, "restart_fn", json_object_new_string(where ? where : ""));
	NUMBER(o, t, restart_rmtp);
	NUMBER(o, t, io_uring);
	NUMBER(o, t, user_dispatch_mode);
	return o;
}

static struct json_object *show_pipe(const struct ovm_rec_pipe *pipe)
{
	struct json_object *o = json_object_new_object();

	NUMBER(o, pipe, readers);
	NUMBER(o, pipe, writers);
	NUMBER(o, pipe, own_readers);
	NUMBER(o, pipe, own_writers);
	SIGNED(o, &pipe->holder, pid);
	NUMBER(o, pipe, size);
	NUMBER(o, pipe, nr_bytes);
	NUMBER(o, pipe, has_packets);
	NUMBER(o, pipe, notifies);
	return o;
}

static struct json_object *show_timerfd(const struct ovm_rec_timerfd *timer)
{
	struct json_object *o = json_object_new_object();

	SIGNED(o, timer, clock);
	NUMBER(o, timer, settime_flags);
	NUMBER(o, timer, ticks);
	NUMBER(o, timer, interval);
	NUMBER(o, timer, armed);
	NUMBER(o, timer, expires);
	SIGNED(o, timer, base_clock);
	NUMBER(o, timer, expired);
	NUMBER(o, timer, cancelled);
	return o;
}

static struct json_object *show_epoll(const struct ovm_rec_epoll *epoll)
{
	struct json_object *array = json_object_new_array();

	for (const struct ovm_rec_epoll_entry *e = epoll->entries; e; e = e->next) {
		struct json_object *o = json_object_new_object();

		NUMBER(o, e, file);
		SIGNED(o, e, fd);
		NUMBER(o, e, events);
		NUMBER(o, e, data);
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *show_file_locks(const struct ovm_rec_file_lock *lock)
{
	struct json_object *array = json_object_new_array();

	for (; lock; lock = lock->next) {
		struct json_object *o = json_object_new_object();

		NUMBER(o, lock, kind);
		NUMBER(o, lock, exclusive);
		if (lock->waiters)
			SIGNED(o, lock->waiters, pid);
		NUMBER(o, lock, start);
		NUMBER(o, lock, end);
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *show_tty(const struct ovm_rec_tty *tty)
{
	struct json_object *o = json_object_new_object();

	SIGNED(o, tty, index);
	SIGNED(o, tty, session);
	SIGNED(o, tty, pgrp);
	SIGNED(o, tty, discipline);
	NUMBER(o, tty, nr_files);
	NUMBER(o, tty, own_files);
	NUMBER(o, tty, input_len);
	NUMBER(o, tty, input_lines);
	NUMBER(o, tty, nr_flip);
	NUMBER(o, tty, other_closed);
	return o;
}

static struct json_object *show_file(const struct ovm_rec_file *f)
{
	struct json_object *o = json_object_new_object();

	NUMBER(o, f, file);
	NUMBER(o, f, kind);
	BYTES(o, f, path);
	NUMBER(o, f, mode);
	NUMBER(o, f, flags);
	NUMBER(o, f, fmode);
	NUMBER(o, f, pos);
	NUMBER(o, f, size);
	NUMBER(o, f, ino);
	NUMBER(o, f, dev_major);
	NUMBER(o, f, dev_minor);
	NUMBER(o, f, rdev_major);
	NUMBER(o, f, rdev_minor);
	NUMBER(o, f, nlink);
	NUMBER(o, f, unlinked);
	NUMBER(o, f, reachable);
	SIGNED(o, f, mnt_id);
	NUMBER(o, f, sb_magic);
	TEXT(o, f, fstype);
	SIGNED(o, f, owner_pid);
	NUMBER(o, f, owner_pid_type);
	SIGNED(o, f, owner_signum);
	NUMBER(o, f, seals);
	NUMBER(o, f, huge_shift);
	NUMBER(o, f, mapped_shared);
	NUMBER(o, f, uid);
	NUMBER(o, f, gid);
	json_object_object_add(o, "locks", show_file_locks(f->locks));
	NUMBER(o, f, nr_fds);
	NUMBER(o, f, nr_passed);
	NUMBER(o, f, nr_references);
	if (f->pipe)
		json_object_object_add(o, "pipe", show_pipe(f->pipe));
	if (f->eventfd)
		NUMBER(o, f->eventfd, count);
	if (f->ghost) {
		NUMBER(o, f->ghost, nr_missing);
		SIGNED(o, f->ghost, mtime_sec);
	}
	if (f->timerfd)
		json_object_object_add(o, "timerfd", show_timerfd(f->timerfd));
	if (f->epoll)
		json_object_object_add(o, "epoll", show_epoll(f->epoll));
	if (f->signalfd)
		NUMBER(o, f->signalfd, signals);
	if (f->tty)
		json_object_object_add(o, "tty", show_tty(f->tty));
	return o;
}

static struct json_object *show_fds(const struct ovm_rec_fd *fd)
{
	struct json_object *array = json_object_new_array();

	for (; fd; fd = fd->next) {
		struct json_object *o = json_object_new_object();

		SIGNED(o, fd, fd);
		NUMBER(o, fd, cloexec);
		json_object_object_add(o, "file", json_object_new_uint64(fd->file->file));
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *show_vma(const struct ovm_rec_vma *v)
{
	struct json_object *o = json_object_new_object();

	NUMBER(o, v, start);
	NUMBER(o, v, end);
	NUMBER(o, v, pgoff);
	NUMBER(o, v, flags);
	NUMBER(o, v, read);
	NUMBER(o, v, write);
	NUMBER(o, v, exec);
	NUMBER(o, v, may_share);
	NUMBER(o, v, growsdown);
	NUMBER(o, v, locked);
	NUMBER(o, v, hugetlb);
	NUMBER(o, v, huge_shift);
	NUMBER(o, v, anon_vma);
	NUMBER(o, v, uffd);
	NUMBER(o, v, sealed);
	NUMBER(o, v, vdso);
	NUMBER(o, v, vvar);
	NUMBER(o, v, pkey);
	TEXT(o, v, special);
	BYTES(o, v, anon_name);
	if (v->file)
		json_object_object_add(o, "file", json_object_new_uint64(v->file->file));
	return o;
}

static struct json_object *show_mm(const struct ovm_rec_mm *mm)
{
	struct json_object *o = json_object_new_object(), *vmas = json_object_new_array();

	NUMBER(o, mm, pgd);
	NUMBER(o, mm, start_code);
	NUMBER(o, mm, end_code);
	NUMBER(o, mm, start_data);
	NUMBER(o, mm, end_data);
	NUMBER(o, mm, start_stack);
	NUMBER(o, mm, start_brk);
	NUMBER(o, mm, brk);
	NUMBER(o, mm, arg_start);
	NUMBER(o, mm, arg_end);
	NUMBER(o, mm, env_start);
	NUMBER(o, mm, env_end);
	NUMBER(o, mm, task_size);
	json_object_object_add(o, "auxv", numbers(mm->auxv, mm->nr_auxv));
	NUMBER(o, mm, dumpable);
	NUMBER(o, mm, thp_disabled);
	NUMBER(o, mm, map_count);
	NUMBER(o, mm, total_vm);
	NUMBER(o, mm, nr_vmas);
	NUMBER(o, mm, vdso);
	NUMBER(o, mm, vdso_data);
	NUMBER(o, mm, vdso_size);
	NUMBER(o, mm, rss_file);
	NUMBER(o, mm, rss_anon);
	NUMBER(o, mm, rss_shmem);
	NUMBER(o, mm, swap_entries);
	NUMBER(o, mm, has_uprobes);
	if (mm->exe)
		json_object_object_add(o, "exe", bytes(&mm->exe->path));
	for (const struct ovm_rec_vma *v = mm->vmas; v; v = v->next)
		json_object_array_add(vmas, show_vma(v));
	json_object_object_add(o, "vmas", vmas);
	return o;
}

static struct json_object *show_shmem(const struct ovm_rec_shmem *shmem)
{
	struct json_object *array = json_object_new_array();

	for (; shmem; shmem = shmem->next) {
		struct json_object *o = json_object_new_object(), *runs = json_object_new_array();

		NUMBER(o, shmem, inode);
		NUMBER(o, shmem, ino);
		NUMBER(o, shmem, size);
		NUMBER(o, shmem, nr_pages);
		NUMBER(o, shmem, nr_swapped);
		for (const struct ovm_rec_runs *node = shmem->runs; node; node = node->next)
			for (uint32_t i = 0; i < node->nr; i++)
				json_object_array_add(runs, numbers(&node->run[i].index, 3));
		json_object_object_add(o, "runs", runs);
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *show_itimer(const struct ovm_rec_itimer *timer)
{
	struct json_object *o = json_object_new_object();

	NUMBER(o, timer, expires);
	NUMBER(o, timer, interval);
	return o;
}

static struct json_object *show_posix_timers(const struct ovm_rec_posix_timer *timer)
{
	struct json_object *array = json_object_new_array();

	for (; timer; timer = timer->next) {
		struct json_object *o = json_object_new_object();

		SIGNED(o, timer, id);
		SIGNED(o, timer, clock);
		SIGNED(o, timer, notify);
		SIGNED(o, timer, signo);
		NUMBER(o, timer, value);
		SIGNED(o, timer, notify_tid);
		SIGNED(o, timer, overrun);
		NUMBER(o, timer, interval);
		NUMBER(o, timer, armed);
		NUMBER(o, timer, expires);
		SIGNED(o, timer, base_clock);
		NUMBER(o, timer, cpu_timer);
		NUMBER(o, timer, cpu_now);
		NUMBER(o, timer, signal_pending);
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *show_namespaces(const struct ovm_rec_namespaces *ns)
{
	struct json_object *o = json_object_new_object();

	NUMBER(o, ns, mnt_initial);
	NUMBER(o, ns, uts_initial);
	NUMBER(o, ns, ipc_initial);
	NUMBER(o, ns, net_initial);
	NUMBER(o, ns, pid_initial);
	NUMBER(o, ns, user_initial);
	NUMBER(o, ns, cgroup_initial);
	NUMBER(o, ns, time_initial);
	SIGNED(o, ns, time_monotonic_offset);
	SIGNED(o, ns, time_boottime_offset);
	return o;
}

static struct json_object *show_sigactions(const struct ovm_rec_process *p)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < OVM_REC_NR_SIGNALS; i++)
		json_object_array_add(array, numbers(&p->sigactions[i].handler, 4));
	return array;
}

static struct json_object *show_threads(struct ovm *ovm, const struct ovm_rec_thread *t)
{
	struct json_object *array = json_object_new_array();

	for (; t; t = t->next)
		json_object_array_add(array, show_thread(ovm, t));
	return array;
}

static struct json_object *show_fs(const struct ovm_rec_fs *fs)
{
	struct json_object *o = json_object_new_object();

	if (fs->cwd)
		json_object_object_add(o, "cwd", show_file(fs->cwd));
	if (fs->root)
		json_object_object_add(o, "root", show_file(fs->root));
	NUMBER(o, fs, umask);
	return o;
}

static void show_ids(struct json_object *o, const struct ovm_rec_process *p)
{
	SIGNED(o, p, pid);
	SIGNED(o, p, ppid);
	SIGNED(o, p, pgid);
	SIGNED(o, p, sid);
	SIGNED(o, p, vpid);
	NUMBER(o, p, zombie);
	NUMBER(o, p, nr_threads);
	NUMBER(o, p, signal_flags);
	NUMBER(o, p, stopped);
	NUMBER(o, p, utime);
	NUMBER(o, p, stime);
	NUMBER(o, p, sum_exec_runtime);
	SIGNED(o, p, oom_score_adj);
	NUMBER(o, p, child_subreaper);
	NUMBER(o, p, personality);
	NUMBER(o, p, loginuid);
	json_object_object_add(o, "has_tty", json_object_new_int(p->tty != NULL));
	NUMBER(o, p, nr_fds);
	NUMBER(o, p, has_sysv_undo);
	NUMBER(o, p, has_io_uring);
	BYTES(o, p, cgroup);
}

static struct json_object *show_process(struct ovm *ovm, const struct ovm_rec_process *p)
{
	struct json_object *o = json_object_new_object();

	show_ids(o, p);
	json_object_object_add(o, "threads", show_threads(ovm, p->threads));
	json_object_object_add(o, "ns", show_namespaces(&p->ns));
	json_object_object_add(o, "sigactions", show_sigactions(p));
	json_object_object_add(o, "shared_pending", show_signals(p->shared_pending));
	json_object_object_add(o, "real", show_itimer(&p->real));
	json_object_object_add(o, "virt", show_itimer(&p->virt));
	json_object_object_add(o, "prof", show_itimer(&p->prof));
	json_object_object_add(o, "posix_timers", show_posix_timers(p->posix_timers));
	json_object_object_add(o, "rlimits", numbers(&p->rlimits[0].cur, 2 * OVM_REC_NR_RLIMITS));
	json_object_object_add(o, "fs", show_fs(&p->fs));
	json_object_object_add(o, "fds", show_fds(p->fds));
	json_object_object_add(o, "mm", show_mm(&p->mm));
	return o;
}

/* The root with all that the tree has, and its descendants beside it. */
static void show_tree(struct ovm *ovm, const struct ovm_rec_tree *tree, struct json_object *o)
{
	struct json_object *root = show_process(ovm, tree->processes);
	struct json_object *files = json_object_new_array(), *others = json_object_new_array();

	for (const struct ovm_rec_file *f = tree->files; f; f = f->next)
		json_object_array_add(files, show_file(f));
	json_object_object_add(root, "files", files);
	json_object_object_add(root, "shmem", show_shmem(tree->shmem));
	json_object_object_add(o, "process", root);
	for (const struct ovm_rec_process *p = tree->processes->next; p; p = p->next)
		json_object_array_add(others, show_process(ovm, p));
	json_object_object_add(o, "descendants", others);
}

static struct json_object *show_locks(const struct ovm_rec_lock *lock)
{
	struct json_object *array = json_object_new_array();

	for (; lock; lock = lock->next) {
		struct json_object *o = json_object_new_object();

		TEXT(o, lock, name);
		SIGNED(o, lock, tid);
		SIGNED(o, lock, owner);
		NUMBER(o, lock, shared);
		json_object_array_add(array, o);
	}
	return array;
}

static struct ovm_error *extract_list(struct ovm *ovm, struct ovm_llv_arena *arena,
				      struct json_object *o)
{
	struct ovm_extract_ps_args args = {0};
	struct ovm_error *err = ovm_llv_run(ovm->llv, "ovm_extract_ps",
					    OVM_LLV_ENTRY(ovm_extract_ps), &args, NULL, arena);
	struct json_object *array = json_object_new_array();

	for (const struct ovm_rec_ps *ps = args.list; !err && ps; ps = ps->next) {
		struct json_object *p = json_object_new_object();
		const char state[] = {ps->state, 0};

		SIGNED(p, ps, pid);
		SIGNED(p, ps, ppid);
		NUMBER(p, ps, uid);
		NUMBER(p, ps, nr_threads);
		TEXT(p, ps, comm);
		json_object_object_add(p, "state", json_object_new_string(state));
		NUMBER(p, ps, rss_pages);
		NUMBER(p, ps, kernel_thread);
		NUMBER(p, ps, in_initial_namespaces);
		BYTES(p, ps, cgroup);
		json_object_array_add(array, p);
	}
	json_object_object_add(o, "processes", array);
	return err;
}

static struct ovm_error *extract_one(struct ovm *ovm, struct ovm_llv_arena *arena, pid_t pid,
				     struct json_object *o)
{
	struct ovm_rec_quiescence q = {.pid = pid};
	struct ovm_extract_quiescence_args first = {.q = &q};
	struct ovm_extract_tree_args second = {.pid = pid, .ghost_limit = 1 << 20};
	uint64_t start = ovm_now_us();
	struct ovm_error *err =
		ovm_llv_run(ovm->llv, "ovm_extract_quiescence",
			    OVM_LLV_ENTRY(ovm_extract_quiescence), &first, NULL, arena);

	if (err)
		return err;
	json_object_object_add(o, "quiescence_us", json_object_new_uint64(ovm_now_us() - start));
	json_object_object_add(o, "found", json_object_new_boolean(q.found));
	json_object_object_add(o, "locks", show_locks(q.locks));
	start = ovm_now_us();
	err = ovm_llv_run(ovm->llv, "ovm_extract_tree", OVM_LLV_ENTRY(ovm_extract_tree), &second,
			  NULL, arena);
	if (err)
		return err;
	json_object_object_add(o, "process_us", json_object_new_uint64(ovm_now_us() - start));
	show_tree(ovm, second.tree, o);
	return NULL;
}

static struct ovm_error *show(struct ovm *ovm, pid_t pid, struct json_object *o)
{
	struct ovm_llv_arena *arena = NULL;
	struct ovm_pause *pause = NULL;
	struct ovm_error *err = ovm_llv_arena_create(&arena);

	if (!err)
		err = ovm_pause_create(ovm->vm, &pause);
	if (!err)
		err = ovm_pause_begin(pause);
	if (!err)
		err = pid ? extract_one(ovm, arena, pid, o) : extract_list(ovm, arena, o);
	ovm_pause_destroy(pause);
	ovm_llv_arena_destroy(arena);
	return err;
}

int main(int argc, char **argv)
{
	struct json_object *o = json_object_new_object();
	struct ovm_attach_options options = {.size = sizeof(options), .qmp_path = argv[1]};
	struct ovm *ovm = NULL;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: extract-show QMP [PID]\n");
		return 2;
	}
	struct ovm_error *err = ovm_attach(&options, &ovm);

	if (!err)
		err = show(ovm, argc > 2 ? atoi(argv[2]) : 0, o);
	if (err)
		fprintf(stderr, "extract-show: %s\n", err->message);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	ovm_detach(ovm);
	json_object_put(o);
	int status = err ? 1 : 0;

	ovm_error_free(err);
	return status;
}
