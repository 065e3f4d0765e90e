// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files without a name, directories and FIFOs among them: ghost-file-ID.img, one for each inode,
 * and remap-fpath.img, which tells for each entry of files.img that needs one which it is
 * (CRIU 3.17.1, criu/files-reg.c).
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "file.h"
#include "files.h"
#include "proto/ghost-file.pb-c.h"
#include "proto/remap-file-path.pb-c.h"
#include "vmi/cleanup.h"
#include "write.h"

enum {
	/* From this size on, CRIU writes the content in chunks, without the holes. */
	CHUNKS_MIN = 3 * 4096,
	NSEC_PER_USEC = 1000,
};

const char *ovm_image_ghost_problem(const struct ovm_rec_file *file)
{
	const struct ovm_rec_ghost *ghost = file->ghost;
	uint64_t end = 0;

	if (ghost->too_large)
		return "is deleted and larger than what is saved of such files (--ghost-limit, 1 "
		       "MiB by default): raise that, give it a name again, or shorten it";
	if (ghost->nr_missing)
		return "is deleted, and not all of it is in the guest's memory: have it read in "
		       "the guest ('cat /proc/PID/fd/N >/dev/null', or map_files/N-N, or exe), "
		       "without swap";
	for (const struct ovm_rec_ghost_data *data = ghost->data; data; data = data->next) {
		if (data->offset < end || data->offset > ghost->size ||
		    data->bytes.len > ghost->size - data->offset)
			return "is deleted, and has content beyond its end";
		end = data->offset + data->bytes.len;
	}
	return NULL;
}

static struct ovm_error *put_zeroes(struct ovm_image_file *image, uint64_t len)
{
	static const uint8_t zeroes[4096];
	struct ovm_error *err = NULL;

	while (len && !err) {
		size_t part = len < sizeof(zeroes) ? (size_t)len : sizeof(zeroes);

		err = ovm_image_file_append(image, zeroes, part);
		len -= part;
	}
	return err;
}

/* All of a small file, holes included. */
static struct ovm_error *put_whole(struct ovm_image_file *image, const struct ovm_rec_ghost *ghost)
{
	struct ovm_error *err = NULL;
	uint64_t end = 0;

	for (const struct ovm_rec_ghost_data *data = ghost->data; data && !err; data = data->next) {
		err = put_zeroes(image, data->offset - end);
		if (!err)
			err = ovm_image_file_append(image, data->bytes.data, data->bytes.len);
		end = data->offset + data->bytes.len;
	}
	return err ? err : put_zeroes(image, ghost->size - end);
}

/* One chunk for all parts that follow each other; the first one behind it. */
static struct ovm_error *put_chunk(struct ovm_image_file *image,
				   const struct ovm_rec_ghost_data **data)
{
	const struct ovm_rec_ghost_data *end = *data;
	GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;

	for (chunk.off = end->offset; end && end->offset == chunk.off + chunk.len; end = end->next)
		chunk.len += end->bytes.len;
	struct ovm_error *err = ovm_image_file_put(image, &chunk.base);

	for (; *data != end && !err; *data = (*data)->next)
		err = ovm_image_file_append(image, (*data)->bytes.data, (*data)->bytes.len);
	return err;
}

static struct ovm_error *put_content(struct ovm_image_file *image,
				     const struct ovm_rec_ghost *ghost)
{
	const struct ovm_rec_ghost_data *data = ghost->data;
	struct ovm_error *err = NULL;

	if (ghost->size < CHUNKS_MIN)
		return put_whole(image, ghost); /* nothing, of what is no regular file */
	while (data && !err)
		err = put_chunk(image, &data);
	return err;
}

static struct ovm_error *write_ghost(const struct ovm_rec_file *file, uint32_t id, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	const struct ovm_rec_ghost *ghost = file->ghost;
	GhostFileEntry entry = GHOST_FILE_ENTRY__INIT;
	Timeval atim = TIMEVAL__INIT, mtim = TIMEVAL__INIT;

	atim.tv_sec = (uint64_t)ghost->atime_sec;
	atim.tv_usec = ghost->atime_nsec / NSEC_PER_USEC;
	mtim.tv_sec = (uint64_t)ghost->mtime_sec;
	mtim.tv_usec = ghost->mtime_nsec / NSEC_PER_USEC;
	entry.uid = file->uid;
	entry.gid = file->gid;
	entry.mode = file->mode;
	entry.has_dev = entry.has_ino = true;
	entry.dev = (uint32_t)makedev(file->dev_major, file->dev_minor);
	entry.ino = file->ino;
	entry.atim = &atim;
	entry.mtim = &mtim;
	entry.has_chunks = entry.chunks = entry.has_size = ghost->size >= CHUNKS_MIN;
	entry.size = entry.has_size ? ghost->size : 0;
	struct ovm_error *err = ovm_image_file_create(dir_fd, OVM_IMAGE_GHOST_FILE, id, &image);

	if (!err)
		err = ovm_image_file_put(image, &entry.base);
	if (!err)
		err = put_content(image, ghost);
	return err ? err : ovm_image_file_finish(ovm_take_pointer(image));
}

static struct ovm_error *put_remap(struct ovm_image_file *image, uint32_t file_id, uint32_t id)
{
	RemapFilePathEntry entry = REMAP_FILE_PATH_ENTRY__INIT;

	entry.orig_id = file_id;
	entry.remap_id = id;
	entry.has_remap_type = true;
	entry.remap_type = REMAP_TYPE__GHOST;
	return ovm_image_file_put(image, &entry.base);
}

static int compare_inodes(const void *left, const void *right)
{
	const struct ovm_image_file_ref *const *a = left, *const *b = right;
	uint64_t x = (*a)->file->inode, y = (*b)->file->inode;

	return x != y ? (x > y) - (x < y)
		      : ((*a)->order > (*b)->order) - ((*a)->order < (*b)->order);
}

struct remap {
	const struct ovm_image_file_ref *ref;
	uint32_t id;
};

static bool is_directory(const struct remap *remap)
{
	return S_ISDIR(remap->ref->file->mode);
}

/*
 * CRIU makes the files in this order, and removes them in the same one: what is in a directory has
 * to come before it. Made first, where its directory isn't there, it gets another place.
 */
static int compare_remaps(const void *left, const void *right)
{
	const struct remap *a = left, *b = right;
	uint64_t x = a->ref->file->path.len, y = b->ref->file->path.len;

	if (is_directory(a) != is_directory(b))
		return is_directory(a) - is_directory(b);
	if (is_directory(a) && x != y)
		return (x < y) - (x > y);
	return (a->ref->order > b->ref->order) - (a->ref->order < b->ref->order);
}

/* The entries with the same inode follow each other. */
static struct ovm_error *write_ghosts(struct remap *remaps,
				      const struct ovm_image_file_ref *const *refs, size_t nr,
				      int dir_fd)
{
	struct ovm_error *err = NULL;
	uint32_t id = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		if (!i || refs[i]->file->inode != refs[i - 1]->file->inode)
			err = write_ghost(refs[i]->file, ++id, dir_fd);
		remaps[i] = (struct remap){refs[i], id};
	}
	return err;
}

static struct ovm_error *write_remaps(struct remap *remaps, size_t nr, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	struct ovm_error *err = ovm_image_file_create(dir_fd, OVM_IMAGE_REMAP_FPATH, 0, &image);

	qsort(remaps, nr, sizeof(*remaps), compare_remaps);
	for (size_t i = 0; i < nr && !err; i++)
		err = put_remap(image, (uint32_t)remaps[i].ref->order + 1, remaps[i].id);
	return err ? err : ovm_image_file_finish(ovm_take_pointer(image));
}

struct ovm_error *ovm_image_write_ghosts(const struct ovm_image_file_table *files, int dir_fd)
{
	_cleanup_free_ const struct ovm_image_file_ref **refs =
		calloc(files->nr + 1, sizeof(const struct ovm_image_file_ref *));
	_cleanup_free_ struct remap *remaps = NULL;
	size_t nr = 0;

	if (!refs)
		return ovm_error_no_memory();
	for (size_t i = 0; i < files->nr; i++)
		if (files->by_id[i]->file->ghost)
			refs[nr++] = files->by_id[i];
	if (!nr)
		return NULL;
	remaps = calloc(nr, sizeof(*remaps));
	if (!remaps)
		return ovm_error_no_memory();
	qsort(refs, nr, sizeof(const struct ovm_image_file_ref *), compare_inodes);
	struct ovm_error *err = write_ghosts(remaps, refs, nr, dir_fd);

	return err ? err : write_remaps(remaps, nr, dir_fd);
}
