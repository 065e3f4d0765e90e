// SPDX-License-Identifier: GPL-2.0-only
/*
 * The facts are CRIU 3.17.1's (criu/sk-unix.c, criu/sk-queue.c, criu/files.c).
 */
#include "passed.h"

#include <stdlib.h>

#include "vmi/cleanup.h"

enum {
	/* Sockets in messages that wait in sockets in messages: the kernel itself has taken four at
	 * most for long. */
	MAX_DEPTH = 64,
};

/* A file, and the process that opens it: the first one that has it, or is to send it. */
struct owned {
	const struct ovm_rec_file *file;
	int32_t pid;
};

struct plan {
	struct ovm_image_socket_table *table;
	/* By identity. */
	struct owned *owned;
	/* One for each pipe. */
	struct owned **pipe_makers;
	size_t nr, nr_queues, nr_pipes;
};

const struct ovm_rec_file *ovm_image_set_files(const struct ovm_image_set *set)
{
	return set->tree ? set->tree->files : NULL;
}

static int compare_i32(int32_t a, int32_t b)
{
	return (a > b) - (a < b);
}

static int compare_files(const void *left, const void *right)
{
	const struct owned *a = left, *b = right;

	return (a->file->file > b->file->file) - (a->file->file < b->file->file);
}

/* Who is nobody comes last. */
static int compare_owned(const void *left, const void *right)
{
	const struct owned *a = left, *b = right;
	int order = compare_files(a, b);

	if (order)
		return order;
	return !a->pid != !b->pid ? (a->pid ? -1 : 1) : compare_i32(a->pid, b->pid);
}

static struct owned *find(const struct plan *plan, const struct ovm_rec_file *file)
{
	const struct owned key = {.file = file};

	return file ? bsearch(&key, plan->owned, plan->nr, sizeof(key), compare_files) : NULL;
}

/* Counts when there is no room yet. */
static void add(struct plan *plan, const struct ovm_rec_file *file, int32_t pid)
{
	if (!file)
		return;
	if (plan->owned)
		plan->owned[plan->nr] = (struct owned){file, pid};
	plan->nr++;
}

static void add_set(struct plan *plan, const struct ovm_image_set *set)
{
	plan->nr = 0;
	for (size_t i = 0; i < set->nr_processes; i++) {
		const struct ovm_rec_process *rec = set->processes[i].rec;

		for (const struct ovm_rec_fd *fd = ovm_image_owns_files(rec) ? rec->fds : NULL; fd;
		     fd = fd->next)
			add(plan, fd->file, rec->pid);
	}
	for (const struct ovm_rec_file *file = ovm_image_set_files(set); file; file = file->next)
		if (file->nr_passed)
			add(plan, file, 0);
}

static struct ovm_error *find_owned(struct plan *plan, const struct ovm_image_set *set)
{
	size_t nr = 0;

	add_set(plan, set);
	plan->owned = calloc(plan->nr + 1, sizeof(*plan->owned));
	if (!plan->owned)
		return ovm_error_no_memory();
	add_set(plan, set);
	qsort(plan->owned, plan->nr, sizeof(*plan->owned), compare_owned);
	for (size_t i = 0; i < plan->nr; i++)
		if (!nr || compare_files(&plan->owned[nr - 1], &plan->owned[i]))
			plan->owned[nr++] = plan->owned[i];
	plan->nr = nr;
	return NULL;
}

static bool has_passed(const struct ovm_image_socket *socket)
{
	const struct ovm_rec_packet *packet = socket->rec->packets;

	while (packet && !packet->nr_passed)
		packet = packet->next;
	return packet;
}

static void add_queue(struct plan *plan, struct ovm_image_socket *socket)
{
	plan->table->queues[plan->nr_queues++] = socket;
}

/* Each file on its way gets a descriptor in the process that sends it. */
static void open_passed(struct plan *plan, const struct ovm_image_socket *socket, int32_t pid)
{
	for (const struct ovm_rec_packet *packet = socket->rec->packets; packet;
	     packet = packet->next)
		for (const struct ovm_rec_passed *p = packet->passed; p; p = p->next) {
			struct owned *owned = find(plan, p->file);

			if (owned && (!owned->pid || owned->pid > pid))
				owned->pid = pid;
		}
}

/* Whether the queue was planned: the other end has to be open somewhere by then. */
static bool plan_queue(struct plan *plan, struct ovm_image_socket *socket)
{
	const struct owned *sender = find(plan, socket->peer->file);

	if (!sender || !sender->pid)
		return false;
	add_queue(plan, socket);
	open_passed(plan, socket, sender->pid);
	return true;
}

static void plan_passed(struct plan *plan, struct ovm_image_socket **left, size_t nr)
{
	for (unsigned int depth = 0; nr && depth < MAX_DEPTH; depth++) {
		size_t nr_left = 0;

		for (size_t i = 0; i < nr; i++)
			if (!plan_queue(plan, left[i]))
				left[nr_left++] = left[i];
		nr = nr_left;
	}
	for (size_t i = 0; i < nr; i++) {
		left[i]->passed_problem = "and so is its other end, which CRIU would need for that";
		add_queue(plan, left[i]);
	}
}

static int compare_pipes(const void *left, const void *right)
{
	const struct owned *const *a = left, *const *b = right;
	uintptr_t x = (uintptr_t)(*a)->file->pipe, y = (uintptr_t)(*b)->file->pipe;

	return (x > y) - (x < y);
}

static int compare_pipe_makers(const void *left, const void *right)
{
	const struct owned *const *a = left, *const *b = right;
	int order = compare_pipes(left, right);

	return order ? order : compare_i32((*a)->pid, (*b)->pid);
}

static struct ovm_error *find_pipe_makers(struct plan *plan)
{
	size_t nr = 0;

	plan->pipe_makers = calloc(plan->nr + 1, sizeof(struct owned *));
	if (!plan->pipe_makers)
		return ovm_error_no_memory();
	for (size_t i = 0; i < plan->nr; i++)
		if (plan->owned[i].file->pipe)
			plan->pipe_makers[nr++] = &plan->owned[i];
	qsort(plan->pipe_makers, nr, sizeof(struct owned *), compare_pipe_makers);
	for (size_t i = 0; i < nr; i++)
		if (!plan->nr_pipes ||
		    compare_pipes(&plan->pipe_makers[plan->nr_pipes - 1], &plan->pipe_makers[i]))
			plan->pipe_makers[plan->nr_pipes++] = plan->pipe_makers[i];
	return NULL;
}

/* Of a pair of sockets, the later one in the order: it makes both, and sends for both. */
static const struct ovm_image_socket *pair_maker(const struct ovm_image_socket *socket)
{
	return socket->peer->position > socket->position ? socket->peer : socket;
}

/* The process that makes a file; that of a pair of sockets or a pipe makes both ends. */
static int32_t maker(const struct plan *plan, const struct ovm_rec_file *file)
{
	const struct ovm_image_socket *socket = NULL;
	const struct owned *owned = find(plan, file);
	struct owned *const *pipe = NULL;

	if (file->pipe)
		pipe = bsearch(&owned, plan->pipe_makers, plan->nr_pipes, sizeof(struct owned *),
			       compare_pipes);
	if (pipe)
		owned = *pipe;
	if (ovm_image_file_is_unix_socket(file))
		socket = ovm_image_socket_find(plan->table, file->socket->sk);
	if (socket && socket->mutual)
		owned = find(plan, pair_maker(socket)->file);
	return owned ? owned->pid : 0;
}

static bool is_opened_in(const struct plan *plan, const struct ovm_rec_file *file, int32_t pid)
{
	const struct owned *owned = find(plan, file);

	return owned && owned->pid == pid && maker(plan, file) == pid;
}

/*
 * With several processes, what is sent has to be made by the one that sends it: CRIU does not wait
 * for what comes from others, and drops the message then.
 */
static const char *process_problem(const struct plan *plan, const struct ovm_image_socket *socket)
{
	const struct owned *sender = find(plan, socket->peer->file);

	if (!sender || maker(plan, socket->file) != sender->pid)
		return "in both directions between processes, which CRIU can't restore";
	for (const struct ovm_rec_packet *packet = socket->rec->packets; packet;
	     packet = packet->next)
		for (const struct ovm_rec_passed *p = packet->passed; p; p = p->next)
			if (p->file && !is_opened_in(plan, p->file, sender->pid))
				return "that another process than the sender has as well, which "
				       "CRIU may lose";
	return NULL;
}

static struct ovm_error *plan_all(struct plan *plan, const struct ovm_image_set *set)
{
	struct ovm_image_socket_table *table = plan->table;
	_cleanup_free_ struct ovm_image_socket **passed =
		calloc(table->nr + 1, sizeof(struct ovm_image_socket *));
	size_t nr = 0;

	if (!passed)
		return ovm_error_no_memory();
	for (size_t i = 0; i < table->nr; i++) {
		struct ovm_image_socket *socket = table->order[i];

		if (has_passed(socket) && socket->mutual) {
			passed[nr++] = socket;
			continue;
		}
		if (has_passed(socket))
			socket->passed_problem = "and no socket is connected both ways that could "
						 "send them again";
		add_queue(plan, socket);
	}
	if (!nr)
		return NULL;

	struct ovm_error *err = find_owned(plan, set);

	if (err)
		return err;
	plan_passed(plan, passed, nr);
	err = find_pipe_makers(plan);
	for (size_t i = 0; i < plan->nr_queues && set->nr_processes > 1 && !err; i++)
		if (has_passed(table->queues[i]) && !table->queues[i]->passed_problem)
			table->queues[i]->passed_problem = process_problem(plan, table->queues[i]);
	return err;
}

struct ovm_error *ovm_image_plan_queues(struct ovm_image_socket_table *table,
					const struct ovm_image_set *set)
{
	struct plan plan = {.table = table};
	struct ovm_error *err = plan_all(&plan, set);

	free(plan.owned);
	free(plan.pipe_makers);
	return err;
}
