// SPDX-License-Identifier: GPL-2.0-only
#include "socket_table.h"

#include <stdlib.h>

#include "external.h"
#include "passed.h"

bool ovm_image_file_is_unix_socket(const struct ovm_rec_file *file)
{
	return file->kind == OVM_REC_FILE_SOCKET && file->socket && file->socket->unix_socket;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_sockets(const void *left, const void *right)
{
	const struct ovm_image_socket *a = left, *b = right;
	int order = compare_u64(a->rec->sk, b->rec->sk);

	if (order)
		return order;
	return compare_u64(a->place, b->place);
}

static int compare_key(const void *key, const void *element)
{
	const struct ovm_image_socket *socket = element;

	return compare_u64(*(const uint64_t *)key, socket->rec->sk);
}

static int compare_inos(const void *left, const void *right)
{
	return compare_u64(*(const uint64_t *)left, *(const uint64_t *)right);
}

static int compare_by_place(const void *left, const void *right)
{
	const struct ovm_image_socket *const *a = left, *const *b = right;

	return compare_u64((*a)->place, (*b)->place);
}

/* Counts when there is no room yet. */
static void add(struct ovm_image_socket_table *table, const struct ovm_rec_file *file,
		const struct ovm_rec_process *process, int32_t fd)
{
	if (!file || !ovm_image_file_is_unix_socket(file))
		return;
	if (table->sockets)
		table->sockets[table->nr] = (struct ovm_image_socket){
			.file = file,
			.rec = file->socket,
			.process = process,
			.fd = fd,
			.only_passed = fd < 0,
			.place = table->nr,
		};
	table->nr++;
}

static void add_set(struct ovm_image_socket_table *table, const struct ovm_image_set *set)
{
	table->nr = 0;
	for (size_t i = 0; i < set->nr_processes; i++) {
		const struct ovm_rec_process *rec = set->processes[i].rec;

		for (const struct ovm_rec_fd *fd = ovm_image_owns_files(rec) ? rec->fds : NULL; fd;
		     fd = fd->next)
			add(table, fd->file, rec, fd->fd);
	}
	for (const struct ovm_rec_file *file = ovm_image_set_files(set); file; file = file->next)
		if (file->nr_passed)
			add(table, file, NULL, -1);
}

/* One for each, that of the first descriptor. */
static void remove_duplicates(struct ovm_image_socket_table *table)
{
	size_t nr = 0;

	qsort(table->sockets, table->nr, sizeof(*table->sockets), compare_sockets);
	for (size_t i = 0; i < table->nr; i++)
		if (!nr || table->sockets[nr - 1].rec->sk != table->sockets[i].rec->sk)
			table->sockets[nr++] = table->sockets[i];
	table->nr = nr;
}

struct ovm_image_socket *ovm_image_socket_find(const struct ovm_image_socket_table *table,
					       uint64_t sk)
{
	return bsearch(&sk, table->sockets, table->nr, sizeof(*table->sockets), compare_key);
}

static void inherit_place(struct ovm_image_socket_table *table, const struct ovm_image_socket *from,
			  const struct ovm_rec_file *file)
{
	struct ovm_image_socket *socket = file && ovm_image_file_is_unix_socket(file)
						  ? ovm_image_socket_find(table, file->socket->sk)
						  : NULL;

	if (!socket || !socket->only_passed || socket->fd >= 0)
		return;
	socket->process = from->process;
	socket->fd = from->fd;
}

/* What is on its way stands behind the sockets that it waits in. */
static void locate_passed(struct ovm_image_socket_table *table, const struct ovm_image_set *set)
{
	const struct ovm_rec_file *file = ovm_image_set_files(set);

	for (; file; file = file->next) {
		const struct ovm_image_socket *socket =
			ovm_image_file_is_unix_socket(file)
				? ovm_image_socket_find(table, file->socket->sk)
				: NULL;
		const struct ovm_rec_packet *packet = socket ? file->socket->packets : NULL;

		for (; packet; packet = packet->next)
			for (const struct ovm_rec_passed *p = packet->passed; p; p = p->next)
				inherit_place(table, socket, p->file);
	}
}

/* The first place in the sorted list at which @ino could stand. */
static size_t lower_bound(const struct ovm_image_socket_table *table, uint64_t ino)
{
	size_t low = 0, high = table->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->inos[middle] < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t ovm_image_socket_count_ino(const struct ovm_image_socket_table *table, uint64_t ino)
{
	return lower_bound(table, ino + 1) - lower_bound(table, ino);
}

/* The peer of what waits to be accepted is an end that nobody has yet; a listening socket has it in
 * its queue. */
static void find_waiting(struct ovm_image_socket_table *table, struct ovm_image_socket *listener)
{
	const struct ovm_rec_connection *c = listener->rec->unix_socket->connections;

	for (; c; c = c->next) {
		struct ovm_image_socket *client = ovm_image_socket_find(table, c->client);

		if (!client || client->peer || client == listener)
			continue;
		client->peer = listener;
		client->waiting = true;
	}
}

static void connect_all(struct ovm_image_socket_table *table)
{
	for (size_t i = 0; i < table->nr; i++) {
		struct ovm_image_socket *socket = &table->sockets[i];

		if (socket->rec->unix_socket->peer)
			socket->peer = ovm_image_socket_find(table, socket->rec->unix_socket->peer);
	}
	for (size_t i = 0; i < table->nr; i++)
		if (table->sockets[i].rec->state == OVM_IMAGE_TCP_LISTEN)
			find_waiting(table, &table->sockets[i]);
	for (size_t i = 0; i < table->nr; i++) {
		struct ovm_image_socket *socket = &table->sockets[i];

		socket->mutual = socket->peer && socket->peer->peer == socket;
	}
}

static bool receives_files(const struct ovm_image_socket *socket)
{
	const struct ovm_rec_packet *packet = socket->rec->packets;

	while (packet && !packet->nr_passed)
		packet = packet->next;
	return packet;
}

static void put(struct ovm_image_socket_table *table, struct ovm_image_socket *socket,
		size_t *placed)
{
	if (socket->stage == OVM_IMAGE_SOCKET_PLACED)
		return;
	socket->stage = OVM_IMAGE_SOCKET_PLACED;
	socket->position = *placed;
	table->order[(*placed)++] = socket;
}

/*
 * CRIU takes the first that is connected to a socket for the one that sends what waits in it: that
 * has to be the other one of a pair. The later one of a pair sends for both.
 */
static void put_both(struct ovm_image_socket_table *table, struct ovm_image_socket *socket,
		     size_t *placed)
{
	bool peer_first = socket->mutual && receives_files(socket->peer) && !receives_files(socket);

	if (peer_first)
		put(table, socket->peer, placed);
	put(table, socket, placed);
	if (socket->mutual)
		put(table, socket->peer, placed);
}

/* Put a socket behind those that it has to follow. @path has room for all of them. */
static void place(struct ovm_image_socket_table *table, struct ovm_image_socket *socket,
		  struct ovm_image_socket **path, size_t *placed)
{
	size_t nr = 0;

	while (socket && socket->stage == OVM_IMAGE_SOCKET_NEW) {
		socket->stage = OVM_IMAGE_SOCKET_ON_PATH;
		path[nr++] = socket;
		socket = socket->mutual ? NULL : socket->peer;
	}
	if (socket && socket->stage == OVM_IMAGE_SOCKET_ON_PATH)
		socket->in_circle = true;
	while (nr)
		put_both(table, path[--nr], placed);
}

static void count_connected(struct ovm_image_socket_table *table)
{
	for (size_t i = 0; i < table->nr; i++) {
		const struct ovm_image_socket *socket = table->order[i];

		if (!socket->peer)
			continue;
		if (!socket->peer->nr_connected++)
			socket->peer->first_connected = socket;
	}
}

static struct ovm_error *order_all(struct ovm_image_socket_table *table)
{
	struct ovm_image_socket **by_place =
		calloc(table->nr + 1, sizeof(struct ovm_image_socket *));
	struct ovm_image_socket **path = calloc(table->nr + 1, sizeof(struct ovm_image_socket *));
	size_t placed = 0;

	if (by_place && path) {
		for (size_t i = 0; i < table->nr; i++)
			by_place[i] = &table->sockets[i];
		qsort(by_place, table->nr, sizeof(struct ovm_image_socket *), compare_by_place);
		for (size_t i = 0; i < table->nr; i++)
			place(table, by_place[i], path, &placed);
		count_connected(table);
	}
	struct ovm_error *err = by_place && path ? NULL : ovm_error_no_memory();

	free(by_place);
	free(path);
	return err;
}

static struct ovm_error *fill(struct ovm_image_socket_table *table, const struct ovm_image_set *set)
{
	add_set(table, set);
	table->sockets = calloc(table->nr + 1, sizeof(*table->sockets));
	table->order = calloc(table->nr + 1, sizeof(struct ovm_image_socket *));
	table->queues = calloc(table->nr + 1, sizeof(struct ovm_image_socket *));
	table->inos = calloc(table->nr + 1, sizeof(*table->inos));
	if (!table->sockets || !table->order || !table->queues || !table->inos)
		return ovm_error_no_memory();
	add_set(table, set);
	remove_duplicates(table);
	locate_passed(table, set);
	for (size_t i = 0; i < table->nr; i++)
		table->sockets[i].external = ovm_image_is_external(set, table->sockets[i].file);
	for (size_t i = 0; i < table->nr; i++)
		table->inos[i] = table->sockets[i].file->ino;
	qsort(table->inos, table->nr, sizeof(*table->inos), compare_inos);
	connect_all(table);

	struct ovm_error *err = order_all(table);

	return err ? err : ovm_image_plan_queues(table, set);
}

struct ovm_error *ovm_image_socket_table_create(const struct ovm_image_set *set,
						struct ovm_image_socket_table **ret)
{
	struct ovm_image_socket_table *table = calloc(1, sizeof(*table));

	*ret = NULL;
	if (!table)
		return ovm_error_no_memory();
	struct ovm_error *err = fill(table, set);

	if (err) {
		ovm_image_socket_table_destroy(table);
		return err;
	}
	*ret = table;
	return NULL;
}

void ovm_image_socket_table_destroy(struct ovm_image_socket_table *table)
{
	if (!table)
		return;
	free(table->sockets);
	free(table->order);
	free(table->queues);
	free(table->inos);
	free(table);
}
