// SPDX-License-Identifier: GPL-2.0-only
/*
 * CRIU looks for the peer of a socket among the entries. One that is not restored has an entry of
 * its own (criu/sk-unix.c, 3.17.1), with a name by which the other is connected to it.
 */
#include "external.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "vmi/cleanup.h"

enum { USK_EXTERN = 1, MAX_DIGITS = 20 };

bool ovm_image_is_external_name(const char *text)
{
	size_t digits;

	if (strncmp(text, "unix[", 5) && strncmp(text, "pipe[", 5))
		return false;
	digits = strspn(text + 5, "0123456789");
	return digits && digits <= MAX_DIGITS && !strcmp(text + 5 + digits, "]");
}

bool ovm_image_is_external(const struct ovm_image_set *set, const struct ovm_rec_file *file)
{
	char name[sizeof("unix[]") + MAX_DIGITS];

	if (file->kind != OVM_REC_FILE_PIPE && !ovm_image_file_is_unix_socket(file))
		return false;
	snprintf(name, sizeof(name), "%s[%llu]", file->kind == OVM_REC_FILE_PIPE ? "pipe" : "unix",
		 (unsigned long long)file->ino);
	for (size_t i = 0; i < set->nr_externals; i++)
		if (!strcmp(set->externals[i], name))
			return true;
	return false;
}

bool ovm_image_leads_to_external(const struct ovm_image_socket *socket)
{
	return socket->external && !socket->peer && socket->rec->unix_socket->peer_ino;
}

static int compare_peers(const void *left, const void *right)
{
	const struct ovm_image_socket *const *a = left, *const *b = right;
	uint64_t x = (*a)->rec->unix_socket->peer_ino, y = (*b)->rec->unix_socket->peer_ino;

	return (x > y) - (x < y);
}

static struct ovm_error *put(struct ovm_image_file *image, uint32_t id,
			     const struct ovm_rec_unix *rec)
{
	FileEntry file = FILE_ENTRY__INIT;
	UnixSkEntry entry = UNIX_SK_ENTRY__INIT;
	FownEntry fown = FOWN_ENTRY__INIT;
	SkOptsEntry opts = SK_OPTS_ENTRY__INIT;

	entry.id = id;
	entry.ino = (uint32_t)rec->peer_ino;
	entry.type = OVM_IMAGE_SOCK_DGRAM;
	entry.state = OVM_IMAGE_TCP_LISTEN;
	entry.uflags = USK_EXTERN;
	entry.name.data = rec->peer_name.data;
	entry.name.len = rec->peer_name.len;
	entry.fown = &fown;
	entry.opts = &opts;
	file.type = FD_TYPES__UNIXSK;
	file.id = id;
	file.usk = &entry;
	return ovm_image_file_put(image, &file.base);
}

struct ovm_error *ovm_image_put_external_sockets(struct ovm_image_file *image,
						 const struct ovm_image_file_table *files,
						 const struct ovm_image_socket_table *sockets)
{
	_cleanup_free_ const struct ovm_image_socket **out =
		calloc(sockets->nr + 1, sizeof(struct ovm_image_socket *));
	uint32_t id = (uint32_t)files->nr;
	struct ovm_error *err = NULL;
	size_t nr = 0;

	if (!out)
		return ovm_error_no_memory();
	for (size_t i = 0; i < sockets->nr; i++)
		if (ovm_image_leads_to_external(&sockets->sockets[i]))
			out[nr++] = &sockets->sockets[i];
	qsort(out, nr, sizeof(struct ovm_image_socket *), compare_peers);
	for (size_t i = 0; i < nr && !err; i++)
		if (!i || compare_peers(&out[i - 1], &out[i]))
			err = put(image, ++id, out[i]->rec->unix_socket);
	return err;
}
