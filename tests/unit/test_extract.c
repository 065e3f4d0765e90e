// SPDX-License-Identifier: GPL-2.0-only
/*
 * The extractors on recorded guests: every process of each, and what they do when memory lies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"
#include "test.h"
#include "vmi/extract/record.h"
#include "vmi/kernel.h"
#include "vmi/llview.h"

enum {
	USER_CS = 0x33,
	USER_DS = 0x2b,
	HOSTILE_RUNS = 1500,
};

/* A guest's kernel with the extractors bound to it, and a way to falsify what they read. */
struct guest {
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	struct ovm_llv *llv;
	uint64_t random;
	/* One of so many reads is falsified; 0: none. */
	unsigned int lie_every;
};

static uint64_t next_random(struct guest *guest)
{
	guest->random ^= guest->random << 13;
	guest->random ^= guest->random >> 7;
	guest->random ^= guest->random << 17;
	return guest->random;
}

static uint64_t lie(struct guest *guest, uint64_t address, uint64_t truth)
{
	switch (next_random(guest) % 7) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2: /* a place in the tool's own memory */
		return (uint64_t)(uintptr_t)guest;
	case 3: /* itself: a list that does not end */
		return address;
	case 4:
		return truth ^ 1ULL << next_random(guest) % 64;
	case 5:
		return truth + 8 * (next_random(guest) % 64);
	default:
		return next_random(guest);
	}
}

static struct ovm_error *read_guest(void *arg, uint64_t address, void *buf, size_t len)
{
	struct guest *guest = arg;
	struct ovm_error *err = ovm_kernel_read(guest->kernel, address, buf, len);
	uint64_t word;

	if (err || !guest->lie_every || len < sizeof(word) || next_random(guest) % guest->lie_every)
		return err;
	size_t offset = next_random(guest) % (len / sizeof(word)) * sizeof(word);

	memcpy(&word, (char *)buf + offset, sizeof(word));
	word = lie(guest, address + offset, word);
	memcpy((char *)buf + offset, &word, sizeof(word));
	return NULL;
}

static const void *peek_guest(void *arg, uint64_t address, size_t len)
{
	struct guest *guest = arg;

	return guest->lie_every ? NULL : ovm_kernel_peek(guest->kernel, address, len);
}

static bool find_symbol(void *arg, const char *name, uint64_t *ret)
{
	struct guest *guest = arg;

	return ovm_kernel_symbol(guest->kernel, name, ret);
}

static void open_guest(struct guest *guest, const char *name)
{
	struct ovm_btf *btf;

	memset(guest, 0, sizeof(*guest));
	guest->random = 88172645463325252ULL;
	ASSERT_TRUE(test_snapshot_open(&guest->snapshot, name));
	ASSERT_STREQ(guest->snapshot.reason, "");
	const struct ovm_kernel_options kernel_options = {.size = sizeof(kernel_options),
							  .hints = guest->snapshot.hints,
							  .nr_hints = guest->snapshot.nr_hints,
							  .no_scan = true};
	struct ovm_llv_options options = {.size = sizeof(options),
					  .arg = guest,
					  .peek = peek_guest,
					  .read = read_guest,
					  .symbol = find_symbol};

	ASSERT_OK(ovm_kernel_attach(guest->snapshot.memory, &kernel_options, &guest->kernel));
	ASSERT_OK(ovm_kernel_load_btf(guest->kernel, &btf));
	options.btf = btf;
	ASSERT_OK(ovm_llv_create(&options, &guest->llv));
}

static void close_guest(struct guest *guest)
{
	ovm_llv_destroy(guest->llv);
	ovm_kernel_detach(guest->kernel);
	test_snapshot_close(&guest->snapshot);
}

static struct ovm_error *list(struct guest *guest, struct ovm_llv_arena *arena,
			      struct ovm_extract_ps_args *args)
{
	return ovm_llv_run(guest->llv, "ovm_extract_ps", OVM_LLV_ENTRY(ovm_extract_ps), args, NULL,
			   arena);
}

static struct ovm_error *look(struct guest *guest, struct ovm_llv_arena *arena,
			      struct ovm_rec_quiescence *q)
{
	struct ovm_extract_quiescence_args args = {.q = q};

	return ovm_llv_run(guest->llv, "ovm_extract_quiescence",
			   OVM_LLV_ENTRY(ovm_extract_quiescence), &args, NULL, arena);
}

static struct ovm_error *extract(struct guest *guest, struct ovm_llv_arena *arena, int32_t pid,
				 struct ovm_rec_tree **ret)
{
	struct ovm_extract_tree_args args = {.pid = pid, .ghost_limit = 1 << 20};
	const struct ovm_llv_budget budget = {.steps = 2000000, .bytes = 64 << 20};
	struct ovm_error *err = ovm_llv_run(guest->llv, "ovm_extract_tree",
					    OVM_LLV_ENTRY(ovm_extract_tree), &args, &budget, arena);

	*ret = args.tree;
	return err;
}

static void check_threads(const struct ovm_rec_process *process)
{
	uint32_t nr = 0;

	for (const struct ovm_rec_thread *t = process->threads; t; t = t->next, nr++) {
		ASSERT_EQ_U64(t->regs.cs, USER_CS);
		ASSERT_EQ_U64(t->regs.ss, USER_DS);
		ASSERT_TRUE(t->regs.flags & 0x200);
		ASSERT_TRUE(t->regs.ip && t->regs.ip < 1ULL << 56);
		ASSERT_TRUE(t->fpstate.len >= 512);
		ASSERT_TRUE(t->on_cpu || t->kernel_sp < t->regs_address);
		ASSERT_TRUE(t->mm == process->mm.identity);
		ASSERT_TRUE(t->creds.user_ns_initial);
	}
	ASSERT_EQ_U64(nr, process->nr_threads);
	ASSERT_EQ_U64((uint64_t)process->threads->tid, (uint64_t)process->pid);
}

static void check_memory(const struct ovm_rec_mm *mm)
{
	bool stack = false, vdso = false;

	ASSERT_EQ_U64(mm->nr_vmas, mm->map_count);
	for (const struct ovm_rec_vma *v = mm->vmas; v; v = v->next) {
		ASSERT_TRUE(v->start < v->end && (!v->next || v->end <= v->next->start));
		stack |= v->start <= mm->start_stack && mm->start_stack < v->end;
		vdso |= v->vdso && v->start == mm->vdso;
	}
	ASSERT_TRUE(stack);
	ASSERT_TRUE(vdso);
	ASSERT_TRUE(mm->vdso_size && mm->vdso_data);
	ASSERT_TRUE(mm->exe && mm->exe->path.len && mm->exe->path.data[0] == '/');
	ASSERT_TRUE(mm->nr_auxv >= 2 && mm->nr_auxv % 2 == 0);
	ASSERT_EQ_U64(mm->auxv[mm->nr_auxv - 2], 0);
	ASSERT_TRUE(mm->start_code < mm->end_code && mm->arg_start < mm->arg_end);
	ASSERT_TRUE(mm->rss_anon > 0);
}

static void check_files(const struct ovm_rec_process *process)
{
	ASSERT_EQ_U64(process->fs.root->path.len, 1);
	ASSERT_EQ_U64(process->fs.root->path.data[0], '/');
	ASSERT_TRUE(process->fs.root->reachable);
	for (const struct ovm_rec_fd *fd = process->fds; fd; fd = fd->next) {
		ASSERT_TRUE(fd->file && fd->file->kind);
		ASSERT_TRUE(!fd->next || fd->fd < fd->next->fd);
	}
}

static void check_pipe(const struct ovm_rec_pipe *pipe)
{
	static const char content[] = "of a file, of a file, of a file, written, of memory";
	char found[sizeof(content)] = "";
	size_t len = 0;

	ASSERT_EQ_U64(pipe->own_readers, pipe->readers);
	ASSERT_EQ_U64(pipe->own_writers, pipe->writers);
	ASSERT_EQ_U64(pipe->size, 1 << 16);
	ASSERT_EQ_U64(pipe->nr_bytes, sizeof(content) - 1);
	for (const struct ovm_rec_pipe_data *data = pipe->data; data; data = data->next) {
		ASSERT_TRUE(data->bytes.len < sizeof(content) - len);
		memcpy(found + len, data->bytes.data, data->bytes.len);
		len += data->bytes.len;
	}
	ASSERT_STREQ(found, content);
}

static void add_packets(const struct ovm_rec_packet *packet, uint64_t *len)
{
	for (; packet; packet = packet->next) {
		uint64_t left = packet->len;

		for (const struct ovm_rec_piece *p = packet->pieces; p; p = p->next)
			left -= p->bytes.len;
		ASSERT_EQ_U64(left, 0);
		*len += packet->len;
	}
}

/* Two pairs, a name, a listening socket and one that it has not accepted. */
static void check_sockets(const struct ovm_rec_tree *tree)
{
	uint64_t streams = 0, messages = 0, waiting = 0, named = 0, nr = 0;

	for (const struct ovm_rec_file *file = tree->files; file; file = file->next) {
		const struct ovm_rec_socket *socket = file->socket;

		if (!socket)
			continue;
		nr++;
		ASSERT_EQ_U64(socket->family, 1);
		ASSERT_TRUE(socket->unix_socket && socket->net == tree->processes->ns.net);
		ASSERT_EQ_U64(socket->opts.rcvlowat, 1);
		ASSERT_TRUE(socket->opts.sndbuf > 4096);
		add_packets(socket->packets, socket->type == 1 ? &streams : &messages);
		waiting += socket->unix_socket->connections != NULL;
		named += socket->unix_socket->bound != NULL;
	}
	ASSERT_EQ_U64(nr, 7);
	ASSERT_EQ_U64(streams, 50000);
	ASSERT_EQ_U64(messages, 50009);
	ASSERT_EQ_U64(waiting, 1);
	ASSERT_EQ_U64(named, 2);
}

/* One that waits for nine files, one that waits for this one, and five that wait for nothing. */
static void check_epolls(const struct ovm_rec_tree *tree)
{
	uint64_t nr = 0, entries = 0, data = 0;

	for (const struct ovm_rec_file *file = tree->files; file; file = file->next) {
		if (!file->epoll)
			continue;
		nr++;
		entries += file->epoll->nr_entries;
		for (const struct ovm_rec_epoll_entry *e = file->epoll->entries; e; e = e->next) {
			ASSERT_EQ_U64(e->events, 0x80000019);
			data += e->data;
		}
	}
	ASSERT_EQ_U64(nr, 7);
	ASSERT_EQ_U64(entries, 10);
	ASSERT_EQ_U64(data, 1000 + 1001 + 1002 + 1003 + 1004 + 1005 + 1006 + 1007 + 1008 + 1008);
}

static void check_locks(const struct ovm_rec_file_lock *lock)
{
	static const struct ovm_rec_file_lock expected[] = {
		{.kind = OVM_REC_FILE_LOCK_FLOCK},
		{.kind = OVM_REC_FILE_LOCK_POSIX, .exclusive = 1, .start = 5, .end = 11},
		{.kind = OVM_REC_FILE_LOCK_OFD, .exclusive = 1, .start = 50, .end = 56},
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++, lock = lock->next) {
		ASSERT_TRUE(lock);
		ASSERT_EQ_U64(lock->kind, expected[i].kind);
		ASSERT_EQ_U64(lock->exclusive, expected[i].exclusive);
		ASSERT_EQ_U64(lock->start, expected[i].start);
		ASSERT_EQ_U64(lock->end, expected[i].end);
		ASSERT_TRUE(!lock->waiters);
	}
	ASSERT_TRUE(!lock);
}

static void check_ghost(const struct ovm_rec_ghost *ghost)
{
	uint64_t len = 0;

	ASSERT_EQ_U64(ghost->size, 20000);
	ASSERT_EQ_U64(ghost->nr_missing, 0);
	ASSERT_TRUE(ghost->mtime_sec > 0 && ghost->mtime_nsec < 1000000000);
	for (const struct ovm_rec_ghost_data *data = ghost->data; data; data = data->next) {
		ASSERT_EQ_U64(data->offset, len);
		for (uint64_t i = 0; i < data->bytes.len; i++)
			ASSERT_TRUE(data->bytes.data[i] == 'u');
		len += data->bytes.len;
	}
	ASSERT_EQ_U64(len, ghost->size);
}

static void check_subject_files(const struct ovm_rec_tree *tree)
{
	unsigned int locked = 0, ghosts = 0;

	for (const struct ovm_rec_file *file = tree->files; file; file = file->next) {
		if (file->locks) {
			check_locks(file->locks);
			locked++;
		}
		if (file->ghost) {
			check_ghost(file->ghost);
			ghosts++;
		}
	}
	ASSERT_EQ_U64(locked, 1);
	ASSERT_EQ_U64(ghosts, 1);
}

/* What tests/guest/snapshot_subject.c makes. */
static void check_family(const struct ovm_rec_tree *tree)
{
	const struct ovm_rec_process *p = tree->processes->next;
	unsigned int zombies = 0, stopped = 0, leaders = 0;

	for (; p; p = p->next) {
		zombies += p->zombie && p->exit_code == 7 << 8 && p->nr_threads == 1;
		stopped += p->stopped && p->threads->state & 4;
		leaders += p->sid == p->pid && p->nr_threads == 2;
		ASSERT_TRUE(p->zombie || (p->mm.vmas && p->mm.identity && p->files_owner == p));
	}
	ASSERT_EQ_U64(tree->nr_processes, 5);
	ASSERT_EQ_U64(zombies, 1);
	ASSERT_EQ_U64(stopped, 1);
	ASSERT_EQ_U64(leaders, 1);
}

static void check_subject(const struct ovm_rec_tree *tree)
{
	unsigned int pipes = 0, eventfds = 0, timerfds = 0, signalfds = 0;

	for (const struct ovm_rec_file *file = tree->files; file; file = file->next) {
		ASSERT_TRUE(!file->holder.pid);
		if (file->pipe) {
			check_pipe(file->pipe);
			pipes++;
		}
		if (file->eventfd) {
			ASSERT_EQ_U64(file->eventfd->count, 1234);
			ASSERT_EQ_U64(file->nr_references, 1);
			eventfds++;
		}
		if (file->timerfd) {
			ASSERT_EQ_U64(file->timerfd->armed, file->timerfd->clock == 1);
			ASSERT_EQ_U64(file->timerfd->expired, file->timerfd->clock == 0);
			ASSERT_EQ_U64(file->timerfd->ticks, file->timerfd->clock == 0);
			timerfds++;
		}
		if (file->signalfd) {
			ASSERT_EQ_U64(file->signalfd->signals, 0x8000000000000001);
			signalfds++;
		}
	}
	ASSERT_EQ_U64(pipes, 2);
	ASSERT_EQ_U64(eventfds, 1);
	ASSERT_EQ_U64(timerfds, 2);
	ASSERT_EQ_U64(signalfds, 1);
	check_family(tree);
	check_epolls(tree);
	check_sockets(tree);
	check_subject_files(tree);
}

static uint32_t count_zombies(const struct ovm_rec_tree *tree)
{
	uint32_t nr = 0;

	for (const struct ovm_rec_process *p = tree->processes; p; p = p->next)
		nr += p->zombie;
	return nr;
}

/* Init's tree is that of all processes but the kernel's. */
static void check_tree(struct guest *guest, uint64_t nr_users)
{
	struct ovm_llv_arena *arena;
	struct ovm_rec_tree *tree;
	uint32_t nr = 0;

	ASSERT_OK(ovm_llv_arena_create(&arena));
	ASSERT_OK(extract(guest, arena, 1, &tree));
	for (const struct ovm_rec_process *p = tree->processes; p; p = p->next, nr++) {
		ASSERT_EQ_U64(p->index, nr);
		ASSERT_TRUE(nr ? p->parent && p->parent->index < nr && p->parent->pid == p->ppid
			       : !p->parent);
	}
	ASSERT_EQ_U64(nr, tree->nr_processes);
	ASSERT_EQ_U64(nr - count_zombies(tree), nr_users);
	ovm_llv_arena_destroy(arena);
}

static void check_process(struct guest *guest, const struct ovm_rec_ps *ps)
{
	struct ovm_llv_arena *arena;
	struct ovm_rec_quiescence q = {.pid = ps->pid};
	struct ovm_rec_tree *tree;

	ASSERT_OK(ovm_llv_arena_create(&arena));
	ASSERT_OK(look(guest, arena, &q));
	ASSERT_TRUE(q.found);
	ASSERT_OK(extract(guest, arena, ps->pid, &tree));
	const struct ovm_rec_process *process = tree->processes;

	ASSERT_EQ_U64(process->nr_threads, ps->nr_threads);
	ASSERT_EQ_U64(q.nr_threads, tree->nr_threads - count_zombies(tree));
	ASSERT_EQ_U64((uint64_t)process->ppid, (uint64_t)ps->ppid);
	ASSERT_TRUE(process->ns.pid_initial && process->ns.mnt_initial);
	check_threads(process);
	check_memory(&process->mm);
	check_files(process);
	if (!strcmp(ps->comm, "subject"))
		check_subject(tree);
	ovm_llv_arena_destroy(arena);
}

static void check_guest(const char *name)
{
	struct ovm_extract_ps_args args = {0};
	struct ovm_llv_arena *arena;
	struct guest guest;
	uint64_t users = 0;

	open_guest(&guest, name);
	ASSERT_OK(ovm_llv_arena_create(&arena));
	ASSERT_OK(list(&guest, arena, &args));
	ASSERT_TRUE(args.list && args.list->pid == 1 && !args.list->kernel_thread);
	for (const struct ovm_rec_ps *ps = args.list; ps; ps = ps->next) {
		if (ps->pid == 2)
			ASSERT_STREQ(ps->comm, "kthreadd");
		ASSERT_TRUE(ps->kernel_thread == (ps->pid == 2 || ps->ppid == 2));
		if (ps->kernel_thread || ps->state == 'Z')
			continue;
		check_process(&guest, ps);
		users++;
	}
	check_tree(&guest, users);
	printf("%s: %llu processes, %llu of user space\n", name, (unsigned long long)args.nr,
	       (unsigned long long)users);
	ovm_llv_arena_destroy(arena);
	close_guest(&guest);
}

OVM_TEST(extract, finds_every_process_of_a_recorded_guest_consistent)
{
	char names[TEST_SNAPSHOTS][64];
	size_t nr = test_snapshot_names(names);

	if (!nr)
		OVM_SKIP("no snapshots: run tests/guest/snapshot");
	for (size_t i = 0; i < nr; i++)
		check_guest(names[i]);
}

OVM_TEST(extract, says_that_there_is_no_such_process)
{
	char names[TEST_SNAPSHOTS][64];
	struct ovm_rec_quiescence q = {.pid = 999999};
	struct ovm_rec_tree *tree;
	struct ovm_llv_arena *arena;
	struct guest guest;

	if (!test_snapshot_names(names))
		OVM_SKIP("no snapshots: run tests/guest/snapshot");
	open_guest(&guest, names[0]);
	ASSERT_OK(ovm_llv_arena_create(&arena));
	ASSERT_ERROR(extract(&guest, arena, 999999, &tree), OVM_ERROR_NOT_FOUND, "no process");
	ASSERT_OK(look(&guest, arena, &q));
	ASSERT_FALSE(q.found);
	ovm_llv_arena_destroy(arena);
	close_guest(&guest);
}

/* Any word may be anything: the run ends, with records or with an error, and touches nothing. */
OVM_TEST(extract, survives_a_guest_whose_memory_lies)
{
	char names[TEST_SNAPSHOTS][64];
	struct guest guest;
	unsigned int failed = 0;

	if (!test_snapshot_names(names))
		OVM_SKIP("no snapshots: run tests/guest/snapshot");
	open_guest(&guest, names[1]);
	for (unsigned int i = 0; i < HOSTILE_RUNS; i++) {
		struct ovm_rec_quiescence q = {.pid = 1};
		struct ovm_rec_tree *tree;
		struct ovm_llv_arena *arena;

		ASSERT_OK(ovm_llv_arena_create(&arena));
		guest.lie_every = 1U << (4 + i % 10);
		ovm_error_free(look(&guest, arena, &q));
		struct ovm_error *err = extract(&guest, arena, 1, &tree);

		failed += err != NULL;
		ovm_error_free(err);
		ovm_llv_arena_destroy(arena);
	}
	printf("%u of %u extractions refused\n", failed, HOSTILE_RUNS);
	ASSERT_TRUE(failed > 0 && failed < HOSTILE_RUNS);
	close_guest(&guest);
}
