// SPDX-License-Identifier: GPL-2.0-only
#include "socket_table.h"

#include <stdlib.h>

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

static int compare_places(const void *left, const void *right)
{
	const struct ovm_image_socket *const *a = left, *const *b = right;

	return compare_u64((*a)->place, (*b)->place);
}

static void add_process(struct ovm_image_socket_table *table, const struct ovm_rec_process *rec)
{
	for (const struct ovm_rec_fd *fd = rec->fds; fd; fd = fd->next) {
		if (!fd->file || !ovm_image_file_is_unix_socket(fd->file))
			continue;
		if (table->sockets)
			table->sockets[table->nr] = (struct ovm_image_socket){
				.file = fd->file,
				.rec = fd->file->socket,
				.process = rec,
				.fd = fd->fd,
				.place = table->nr,
			};
		table->nr++;
	}
}

/* Counts when there is no room yet. */
static void add_set(struct ovm_image_socket_table *table, const struct ovm_image_set *set)
{
	table->nr = 0;
	for (size_t i = 0; i < set->nr_processes; i++)
		if (ovm_image_owns_files(set->processes[i].rec))
			add_process(table, set->processes[i].rec);
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
	while (nr) {
		path[--nr]->stage = OVM_IMAGE_SOCKET_PLACED;
		table->order[(*placed)++] = path[nr];
	}
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
		qsort(by_place, table->nr, sizeof(struct ovm_image_socket *), compare_places);
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
	table->inos = calloc(table->nr + 1, sizeof(*table->inos));
	if (!table->sockets || !table->order || !table->inos)
		return ovm_error_no_memory();
	add_set(table, set);
	remove_duplicates(table);
	for (size_t i = 0; i < table->nr; i++)
		table->inos[i] = table->sockets[i].file->ino;
	qsort(table->inos, table->nr, sizeof(*table->inos), compare_inos);
	connect_all(table);
	return order_all(table);
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
	free(table->inos);
	free(table);
}
