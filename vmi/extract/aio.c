// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contexts of asynchronous I/O: io_setup(2).
 *
 * A context belongs to an address space, and its ring of completed events is mapped there: a file
 * of the kernel's own file system, whose pages are all in its page cache.  The kernel counts what
 * is left of a context's room, part of it by CPU, and what has been completed since it last looked
 * at what the program has read; the difference to the whole is under way.
 */
#include <linux/mutex.h>

#include "extract.h"
#include "timer.h"

enum {
	MAX_CONTEXTS = 1 << 20,
	MAX_REQUESTS = 1 << 20,
	MAX_PFN_BITS = 40,
};

static const u64 aio_ring_magic = 0xa10a10a1;

/* Private to fs/aio.c, all of them. */
struct kioctx_cpu___ovm {
	unsigned int reqs_available;
};

struct kioctx___ovm {
	struct kioctx_cpu___ovm *cpu;
	unsigned int nr_events;
	unsigned long mmap_base;
	unsigned long mmap_size;
	atomic_t reqs_available;
	spinlock_t ctx_lock;
	struct list_head active_reqs;
	struct mutex ring_lock;
	unsigned int completed_events;
	spinlock_t completion_lock;
};

struct kioctx_table___ovm {
	unsigned int nr;
	void *table[1];
};

struct aio_ring___ovm {
	unsigned int nr, head, tail;
};

LLV_SHARED bool ovm_inode_is_aio_ring(const struct inode *inode)
{
	return inode->i_sb->s_magic == aio_ring_magic;
}

static const struct kioctx_table___ovm *table_of(const struct mm_struct *mm)
{
	if (!llv_field_exists(struct mm_struct, ioctx_table))
		return NULL;
	return (const void *)mm->ioctx_table;
}

/* The context at or behind place *@i of the table, NULL behind the last one. */
static struct kioctx___ovm *next_context(const struct kioctx_table___ovm *table, unsigned int *i)
{
	unsigned int nr = table ? table->nr : 0;

	if (nr > MAX_CONTEXTS)
		llv_fail(LLV_CORRUPT, table, "table of AIO contexts is too large");
	while (*i < nr) {
		void *const *slots = table->table;
		u64 context = llv_load_u64(&slots[(*i)++]);

		if (context)
			return (struct kioctx___ovm *)context;
	}
	return NULL;
}

/*
 * While the guest runs, room moves from what is completed to what is left, and there from the CPUs
 * to the whole: read in the other order, it may be missed, but never counted twice.
 */
static u64 in_flight(const struct kioctx___ovm *context)
{
	s64 room = (s64)context->nr_events - 1;

	room -= context->reqs_available.counter;
	room -= (s64)ovm_percpu_sum(OVM_IDENTITY(context->cpu));
	room -= context->completed_events;
	return room > 0 ? room : 0;
}

/* Those that may be cancelled: they wait for something to happen. */
static u64 waiting(const struct kioctx___ovm *context)
{
	const struct list_head *node = context->active_reqs.next;
	u64 nr = 0;

	for (; node != &context->active_reqs; node = node->next)
		if (++nr > MAX_REQUESTS)
			llv_fail(LLV_CORRUPT, context, "list of AIO requests does not end");
	return nr;
}

LLV_SHARED void ovm_aio_contexts(const struct mm_struct *mm, struct ovm_rec_mm __host *mm_rec)
{
	struct ovm_rec_aio __host *__host *link = &mm_rec->aio;
	const struct kioctx_table___ovm *table = table_of(mm);
	const struct kioctx___ovm *context;
	unsigned int i = 0;

	while ((context = next_context(table, &i))) {
		struct ovm_rec_aio __host *rec = llv_new(struct ovm_rec_aio);

		rec->start = context->mmap_base;
		rec->size = context->mmap_size;
		rec->nr_in_flight = in_flight(context);
		if (rec->nr_in_flight)
			rec->nr_waiting = waiting(context);
		*link = rec;
		link = &rec->next;
	}
}

/* The head of a ring, which the program may write. */
static void head(struct ovm_rec_aio_ring __host *rec)
{
	const struct ovm_rec_runs __host *runs = rec->pages->runs;
	const struct aio_ring___ovm *ring;

	if (!runs || !runs->nr || runs->run[0].index)
		return;
	if (runs->run[0].pfn >> MAX_PFN_BITS)
		llv_fail(LLV_CORRUPT, 0, "AIO ring leads to memory that can't be");
	ring = (const void *)(page_offset_base + (runs->run[0].pfn << PAGE_SHIFT));
	rec->nr = ring->nr;
	rec->head = ring->head;
	rec->tail = ring->tail;
}

LLV_SHARED struct ovm_rec_aio_ring __host *ovm_aio_ring(const struct file *file)
{
	struct ovm_rec_aio_ring __host *rec;

	if (!ovm_inode_is_aio_ring(file->f_inode))
		return NULL;
	rec = llv_new(struct ovm_rec_aio_ring);
	rec->pages = ovm_page_cache(file->f_inode);
	head(rec);
	return rec;
}

/* A free lock here says that no request is just being completed, or its event read. */
LLV_SHARED bool ovm_aio_held(const struct mm_struct *mm)
{
	const struct kioctx_table___ovm *table = table_of(mm);
	const struct kioctx___ovm *context;
	unsigned int i = 0;

	if (!table)
		return false;
	if (ovm_spin_held(&mm->ioctx_lock))
		return true;
	while ((context = next_context(table, &i)))
		if (ovm_spin_held(&context->ctx_lock) || ovm_mutex_held(&context->ring_lock) ||
		    ovm_spin_held(&context->completion_lock))
			return true;
	return false;
}

LLV_SHARED bool ovm_aio_in_flight(const struct mm_struct *mm)
{
	const struct kioctx_table___ovm *table = table_of(mm);
	const struct kioctx___ovm *context;
	unsigned int i = 0;

	while ((context = next_context(table, &i))) {
		u64 nr = in_flight(context);

		if (nr && nr > waiting(context))
			return true;
	}
	return false;
}
