// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pipes and FIFOs: their entries in files.img, and pipes-data.img and fifo-data.img.
 *
 * The latter have an entry for each pipe, with its size and the number of bytes in it, which follow
 * (CRIU 3.17.1, criu/pipes.c).  CRIU puts the bytes back in whole pages: where a packet ends is
 * lost.
 */
#include <stdlib.h>

#include "files.h"
#include "vmi/cleanup.h"
#include "write.h"

const char *ovm_image_pipe_problem(const struct ovm_rec_file *file)
{
	static const uint32_t reopened_packets = OVM_IMAGE_O_DIRECT | OVM_IMAGE_O_LARGEFILE;
	const struct ovm_rec_pipe *pipe = file->pipe;

	if (!pipe)
		return "is opened by its path only (O_PATH)";
	if (pipe->notifies)
		return "is a notification queue, which CRIU does not know";
	if (pipe->has_packets)
		return "holds packets (O_DIRECT), which CRIU would run together: let them be read";
	/* The first open file of each end comes with the pipe; open(2) makes the others. */
	if ((file->flags & reopened_packets) == reopened_packets)
		return "is in packet mode (O_DIRECT) and was opened by its path, which CRIU can't "
		       "do";
	if (pipe->size > UINT32_MAX)
		return "has an impossible size";
	if (pipe->nr_bytes > pipe->size)
		return "holds more bytes than CRIU could put back";
	return NULL;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_inodes(const void *left, const void *right)
{
	const struct ovm_image_pipe *a = left, *b = right;

	return compare_u64(a->rec->inode, b->rec->inode);
}

static int compare_ids(const void *left, const void *right)
{
	const struct ovm_image_pipe *a = left, *b = right;

	return compare_u64(a->rec->ino, b->rec->ino);
}

/* Inode numbers serve as ids if they fit and differ, as those of CRIU. */
static void number(struct ovm_image_pipe *pipes, size_t nr)
{
	bool good = true;

	qsort(pipes, nr, sizeof(*pipes), compare_ids);
	for (size_t i = 0; i < nr; i++)
		if (!pipes[i].rec->ino || pipes[i].rec->ino > UINT32_MAX ||
		    (i && pipes[i].rec->ino == pipes[i - 1].rec->ino))
			good = false;
	for (size_t i = 0; i < nr; i++)
		pipes[i].id = good ? (uint32_t)pipes[i].rec->ino : (uint32_t)i + 1;
}

struct ovm_error *ovm_image_find_pipes(struct ovm_image_file_table *table)
{
	size_t nr = 0;

	table->pipes = calloc(table->nr + 1, sizeof(*table->pipes));
	if (!table->pipes)
		return ovm_error_no_memory();
	for (size_t i = 0; i < table->nr; i++) {
		const struct ovm_rec_file *file = table->by_id[i]->file;

		if (file->pipe)
			table->pipes[nr++] = (struct ovm_image_pipe){
				.rec = file->pipe,
				.fifo = file->kind == OVM_REC_FILE_FIFO,
			};
	}
	qsort(table->pipes, nr, sizeof(*table->pipes), compare_inodes);
	for (size_t i = 0; i < nr; i++)
		if (!i || compare_inodes(&table->pipes[table->nr_pipes - 1], &table->pipes[i]))
			table->pipes[table->nr_pipes++] = table->pipes[i];
	number(table->pipes, table->nr_pipes);
	qsort(table->pipes, table->nr_pipes, sizeof(*table->pipes), compare_inodes);
	return NULL;
}

const struct ovm_image_pipe *ovm_image_pipe_find(const struct ovm_image_file_table *table,
						 const struct ovm_rec_pipe *pipe)
{
	const struct ovm_image_pipe key = {.rec = pipe};

	return bsearch(&key, table->pipes, table->nr_pipes, sizeof(key), compare_inodes);
}

struct ovm_error *ovm_image_put_pipe(struct ovm_image_file *image,
				     struct ovm_image_file_parts *parts,
				     const struct ovm_image_pipe *pipe)
{
	FileEntry entry = FILE_ENTRY__INIT;
	PipeEntry end = PIPE_ENTRY__INIT;

	end.id = parts->id;
	end.pipe_id = pipe->id;
	end.flags = parts->flags;
	end.fown = &parts->fown;
	entry.type = FD_TYPES__PIPE;
	entry.id = parts->id;
	entry.pipe = &end;
	return ovm_image_file_put(image, &entry.base);
}

struct ovm_error *ovm_image_put_fifo(struct ovm_image_file *image,
				     const struct ovm_image_file_parts *parts,
				     const struct ovm_image_pipe *pipe)
{
	FileEntry entry = FILE_ENTRY__INIT;
	FifoEntry end = FIFO_ENTRY__INIT;

	end.id = parts->id;
	end.pipe_id = pipe->id;
	end.has_regf_id = true;
	end.regf_id = parts->id;
	entry.type = FD_TYPES__FIFO;
	entry.id = parts->id;
	entry.fifo = &end;
	return ovm_image_file_put(image, &entry.base);
}

static struct ovm_error *put_data(struct ovm_image_file *image, const struct ovm_image_pipe *pipe)
{
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;

	entry.pipe_id = pipe->id;
	entry.bytes = (uint32_t)pipe->rec->nr_bytes;
	entry.has_size = true;
	entry.size = (uint32_t)pipe->rec->size;
	struct ovm_error *err = ovm_image_file_put(image, &entry.base);

	for (const struct ovm_rec_pipe_data *data = pipe->rec->data; data && !err;
	     data = data->next)
		err = ovm_image_file_append(image, data->bytes.data, data->bytes.len);
	return err;
}

static struct ovm_error *write_data(const struct ovm_image_file_table *files, bool fifos,
				    enum ovm_image_type type, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < files->nr_pipes && !err; i++) {
		if (files->pipes[i].fifo != fifos)
			continue;
		if (!image)
			err = ovm_image_file_create(dir_fd, type, 0, &image);
		if (!err)
			err = put_data(image, &files->pipes[i]);
	}
	if (err || !image)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(image));
}

struct ovm_error *ovm_image_write_pipes(const struct ovm_image_file_table *files, int dir_fd)
{
	struct ovm_error *err = write_data(files, false, OVM_IMAGE_PIPES_DATA, dir_fd);

	return err ? err : write_data(files, true, OVM_IMAGE_FIFO_DATA, dir_fd);
}
