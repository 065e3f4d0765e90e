// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pipes and FIFOs: size, and the bytes in them.
 *
 * Layout (linux/pipe_fs_i.h, since 8cefc107ca54 "pipe: Use head and tail pointers for the ring, not
 * cursor and length", v5.5): a ring of ring_size buffers, a power of two, of which max_usage may be
 * in use.  head and tail count buffers without an end; those from tail to head are in use.  Each
 * has a part of a page; the page may be one of the page cache (splice(2)) or of user memory
 * (vmsplice(2)), and part of a larger one, beyond whose first page the bytes may reach.
 */
#include <linux/mm.h>
#include <linux/pipe_fs_i.h>
#include <linux/stat.h>

#include "extract.h"

/* c73be61cede5 ("pipe: Add general notification queue support", v5.8), by configuration. */
struct pipe_inode_info___watch {
	struct watch_queue *watch_queue;
};

enum {
	/* F_SETPIPE_SZ takes up to 2^31 bytes. */
	MAX_SLOTS = 1 << 19,
	/* Bytes that follow each other in one large page. */
	MAX_BUFFER = 2 << 20,
	MAX_PFN_BITS = 40,
};

static struct pipe_inode_info *pipe_of(const struct inode *inode)
{
	return (inode->i_mode & S_IFMT) == S_IFIFO ? inode->i_pipe : NULL;
}

LLV_SHARED struct mutex *ovm_pipe_lock(const struct inode *inode)
{
	struct pipe_inode_info *pipe = pipe_of(inode);

	return pipe ? &pipe->mutex : NULL;
}

/* A page of a file may still be on its way from the disk; the others have no such state. */
static bool is_readable(const struct pipe_buffer *buf)
{
	return OVM_IDENTITY(buf->ops) != llv_symbol("page_cache_pipe_buf_ops") ||
	       ovm_page_is_up_to_date(buf->page);
}

/* The number of bytes; they themselves are only worth having while there are not too many. */
static u64 buffer(const struct pipe_buffer *buf, u64 room, struct ovm_rec_pipe_data __host *rec)
{
	u64 pfn = ovm_page_frame(buf->page), offset = buf->offset, len = buf->len;

	if (pfn >> MAX_PFN_BITS || offset > MAX_BUFFER || len > MAX_BUFFER - offset)
		llv_fail(LLV_CORRUPT, buf, "pipe buffer is out of range");
	if (!is_readable(buf))
		llv_fail(LLV_INCONSISTENT, buf, "a page in a pipe is being read from its file");
	if (len <= room)
		llv_bytes(&rec->bytes, page_offset_base + (pfn << PAGE_SHIFT) + offset, len);
	return len;
}

static void content(const struct pipe_inode_info *pipe, struct ovm_rec_pipe __host *rec)
{
	struct ovm_rec_pipe_data __host *__host *link = &rec->data;
	u32 ring = pipe->ring_size, usage = pipe->max_usage, tail = pipe->tail;
	u32 used = pipe->head - tail;

	if (!ring || ring > MAX_SLOTS || ring & (ring - 1) || usage > ring || used > ring)
		llv_fail(LLV_CORRUPT, pipe, "ring of a pipe is out of range");
	rec->size = (u64)usage << PAGE_SHIFT;
	for (u32 i = 0; i < used; i++) {
		const struct pipe_buffer *buf = &pipe->bufs[(tail + i) & (ring - 1)];
		struct ovm_rec_pipe_data __host *data;

		if (buf->flags & PIPE_BUF_FLAG_PACKET)
			rec->has_packets = 1;
		if (!buf->len)
			continue;
		data = llv_new(struct ovm_rec_pipe_data);
		rec->nr_bytes += buffer(buf, rec->size - rec->nr_bytes, data);
		if (rec->nr_bytes > rec->size)
			return;
		*link = data;
		link = &data->next;
	}
}

static struct ovm_rec_pipe __host *one(const struct inode *inode,
				       const struct pipe_inode_info *pipe)
{
	struct ovm_rec_pipe __host *rec = llv_new(struct ovm_rec_pipe);

	rec->inode = OVM_IDENTITY(inode);
	rec->ino = inode->i_ino;
	rec->readers = pipe->readers;
	rec->writers = pipe->writers;
	if (llv_field_exists(struct pipe_inode_info___watch, watch_queue))
		rec->notifies = ((const struct pipe_inode_info___watch *)pipe)->watch_queue != NULL;
	if (!rec->notifies)
		content(pipe, rec);
	return rec;
}

LLV_SHARED struct ovm_rec_pipe __host *ovm_pipe_find(struct ovm_files __host *files, __u64 inode)
{
	struct ovm_rec_pipe __host *rec = files->pipes[OVM_FILE_BUCKET(inode)];

	while (rec && rec->inode != inode)
		rec = rec->next;
	return rec;
}

LLV_SHARED struct ovm_rec_pipe __host *ovm_pipe(struct ovm_files __host *files,
						const struct file *file)
{
	const struct inode *inode = file->f_inode;
	const struct pipe_inode_info *pipe = pipe_of(inode);
	struct ovm_rec_pipe __host *rec = ovm_pipe_find(files, OVM_IDENTITY(inode));
	struct ovm_rec_pipe __host *__host *bucket =
		&files->pipes[OVM_FILE_BUCKET(OVM_IDENTITY(inode))];

	/* With O_PATH there may be none. */
	if (!pipe || file->f_mode & FMODE_PATH)
		return NULL;
	if (!rec) {
		rec = one(inode, pipe);
		rec->next = *bucket;
		*bucket = rec;
	}
	rec->own_readers += !!(file->f_mode & FMODE_READ);
	rec->own_writers += !!(file->f_mode & FMODE_WRITE);
	return rec;
}
