// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contents of shared memory objects: the page cache of the kernel's internal tmpfs and hugetlbfs.
 *
 * XArray (linux/xarray.h, since v4.20): nodes of 64 slots, each for 2^shift indices.  An entry
 * whose low two bits are 10 is internal: a node (above 4096), or the number of a sibling slot that
 * holds the entry for this one too.  An entry with bit 0 set is a value: here, where a page is
 * swapped out.  Anything else is the first struct page of a folio, which may cover many slots.
 *
 * Indices count small pages; of hugetlbfs, they counted huge ones before a08c7193e4f1 ("mm/filemap:
 * remove hugetlb special casing in filemap.c", v6.7).  Then each huge page has one slot of a single
 * index.  Since, it has as many indices as small pages, 512 at least, which no slot of a single
 * index is part of: the slot tells which it is.
 */
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/shmem_fs.h>
#include <linux/xarray.h>

#include "extract.h"

/* "mm: introduce memdesc_flags_t" (v6.18). */
struct page_flags___ovm {
	unsigned long f;
};

struct page___memdesc {
	struct page_flags___ovm flags;
};

enum {
	XA_NODE_MIN = 4096,
	MAX_OBJECTS = 1 << 20,
	/* Slots of 2^60 indices would be the last level. */
	SHIFT_MAX = 60,
};

struct walk {
	struct ovm_rec_shmem __host *object;
	struct ovm_rec_runs __host *last;
	/* log2 of the small pages in each page of the object. */
	unsigned int order;
};

LLV_SHARED __u32 ovm_memory_seals(const struct inode *inode)
{
	if (ovm_inode_is_hugetlb(inode))
		return container_of(inode, struct hugetlbfs_inode_info, vfs_inode)->seals;
	return container_of(inode, struct shmem_inode_info, vfs_inode)->seals;
}

static bool is_node(unsigned long entry)
{
	return (entry & 3) == 2 && entry > XA_NODE_MIN;
}

static bool is_sibling(unsigned long entry)
{
	return (entry & 3) == 2 && entry >> 2 < XA_CHUNK_SIZE;
}

static u64 page_flags(const struct page *page)
{
	if (llv_field_exists(struct page___memdesc, flags.f))
		return ((const struct page___memdesc *)page)->flags.f;
	return page->flags;
}

/* Pages that were allocated ahead (fallocate(2)) are filled with zeroes when first read. */
LLV_SHARED bool ovm_page_is_up_to_date(const struct page *page)
{
	return page_flags(page) >> llv_enum_value(enum pageflags, PG_uptodate) & 1;
}

/* Folios came with 7b230db3b8d3 ("mm: Introduce struct folio", v5.16). */
static u64 first_index(const struct page *page)
{
	if (llv_type_exists(struct folio))
		return ((const struct folio *)page)->index;
	return page->index;
}

LLV_SHARED __u64 ovm_page_frame(const struct page *page)
{
	u64 distance = OVM_IDENTITY(page) - vmemmap_base, size = llv_sizeof(struct page);

	if (OVM_IDENTITY(page) < vmemmap_base || distance % size)
		llv_fail(LLV_CORRUPT, page, "pointer does not lead to a struct page");
	return distance / size;
}

static struct ovm_rec_run __host *new_run(struct walk __host *walk)
{
	struct ovm_rec_runs __host *runs = walk->last;

	if (!runs || runs->nr >= OVM_REC_RUNS_PER_NODE) {
		runs = llv_new(struct ovm_rec_runs);
		if (walk->last)
			walk->last->next = runs;
		else
			walk->object->runs = runs;
		walk->last = runs;
	}
	return &runs->run[runs->nr++];
}

static void append(struct walk __host *walk, u64 index, u64 pfn, u64 nr)
{
	struct ovm_rec_runs __host *runs = walk->last;

	walk->object->nr_pages += nr;
	if (runs && runs->nr && runs->nr <= OVM_REC_RUNS_PER_NODE) {
		struct ovm_rec_run __host *run = &runs->run[runs->nr - 1];

		if (run->index + run->nr == index && run->pfn + run->nr == pfn) {
			run->nr += nr;
			return;
		}
	}
	struct ovm_rec_run __host *run = new_run(walk);

	run->index = index;
	run->pfn = pfn;
	run->nr = nr;
}

/* A page of hugetlbfs with an index in units of such pages. */
static void huge_leaf(struct walk __host *walk, const struct page *page, u64 index)
{
	u64 nr = 1ULL << walk->order;

	if (index >> (64 - PAGE_SHIFT - walk->order) || ovm_page_frame(page) & (nr - 1))
		llv_fail(LLV_CORRUPT, page, "page cache entry is not a huge page");
	append(walk, index << walk->order, ovm_page_frame(page), nr);
}

static void leaf(struct walk __host *walk, unsigned long entry, u64 index, u64 nr)
{
	if (!entry || (entry & 3) == 2)
		return;
	if (entry & 1) {
		walk->object->nr_swapped += nr;
		return;
	}
	const struct page *page = (const struct page *)entry;
	u64 first = first_index(page);

	if (first > index)
		llv_fail(LLV_CORRUPT, page, "page cache entry lies before its folio");
	if (!ovm_page_is_up_to_date(page))
		return;
	if (walk->order && nr == 1)
		huge_leaf(walk, page, index);
	else
		append(walk, index, ovm_page_frame(page) + (index - first), nr);
}

/* Slot @i of a node; the entry of a sibling is that of the slot which it names. */
static unsigned long slot_entry(const struct xa_node *node, unsigned int i)
{
	void *const *slots = node->slots;
	unsigned long entry = llv_load_u64(&slots[i]);

	if (is_sibling(entry))
		entry = llv_load_u64(&slots[entry >> 2]);
	return is_sibling(entry) ? 0 : entry;
}

/* Walks down and, with the nodes' own parent and offset, up again: no stack is needed. */
static void walk_nodes(struct walk __host *walk, const struct xa_node *node)
{
	const struct xa_node *parent;
	u64 base = 0;
	unsigned int i = 0, shift = node->shift, depth = 0;

	for (;;) {
		if (shift > SHIFT_MAX)
			llv_fail(LLV_CORRUPT, node, "page cache node with a shift out of range");
		if (i < XA_CHUNK_SIZE) {
			unsigned long entry = slot_entry(node, i);
			u64 index = base + ((u64)i << shift);

			if (shift && is_node(entry)) {
				parent = node;
				node = (const struct xa_node *)(entry - 2);
				if (node->shift + XA_CHUNK_SHIFT != shift || node->offset != i ||
				    node->parent != parent)
					llv_fail(LLV_CORRUPT, node,
						 "page cache tree is inconsistent");
				base = index;
				shift = node->shift;
				i = 0;
				depth++;
				continue;
			}
			leaf(walk, entry, index, 1ULL << shift);
			i++;
			continue;
		}
		if (!depth--)
			return;
		i = node->offset;
		node = node->parent;
		shift = node->shift;
		base -= (u64)i << shift;
		i++;
	}
}

LLV_SHARED struct ovm_rec_shmem __host *ovm_page_cache(const struct inode *inode)
{
	struct ovm_rec_shmem __host *rec = llv_new(struct ovm_rec_shmem);
	struct walk __host *walk = llv_new(struct walk);
	unsigned long head = (unsigned long)inode->i_mapping->i_pages.xa_head;

	rec->inode = OVM_IDENTITY(inode);
	rec->ino = inode->i_ino;
	rec->size = inode->i_size;
	walk->object = rec;
	if (ovm_inode_is_hugetlb(inode))
		walk->order = ovm_huge_order(inode);
	if (is_node(head))
		walk_nodes(walk, (const struct xa_node *)(head - 2));
	else
		leaf(walk, head, 0, 1);
	return rec;
}

/* Private mappings of huge pages have a file too, whose page cache stays empty. */
static bool holds_shared_memory(const struct ovm_rec_file __host *file, const struct inode *inode)
{
	switch (file->kind) {
	case OVM_REC_FILE_MEMFD:
	case OVM_REC_FILE_MEMFD_HUGETLB:
	case OVM_REC_FILE_SHMEM_ANON:
	case OVM_REC_FILE_SYSV_SHM:
		return true;
	case OVM_REC_FILE_HUGETLB_ANON:
		return file->mapped_shared || inode->i_mapping->i_pages.xa_head;
	default:
		return false;
	}
}

LLV_SHARED struct ovm_shmem_node __host *ovm_shmem_find(struct ovm_files __host *files, __u64 inode)
{
	struct ovm_shmem_node __host *node = files->shmem[OVM_FILE_BUCKET(inode)];

	while (node && node->shmem->inode != inode)
		node = node->next;
	return node;
}

LLV_SHARED void ovm_shmem_objects(struct ovm_files __host *files)
{
	struct ovm_rec_shmem __host *__host *link = &files->tree->shmem;

	for (struct ovm_rec_file __host *file = files->tree->files; file; file = file->next) {
		const struct inode *inode = (const struct inode *)file->inode;
		unsigned int bucket = OVM_FILE_BUCKET(file->inode);

		if (!holds_shared_memory(file, inode) || !ovm_inode_is_internal_memory(inode) ||
		    ovm_shmem_find(files, file->inode))
			continue;
		struct ovm_shmem_node __host *node = llv_new(struct ovm_shmem_node);

		node->shmem = *link = ovm_page_cache(inode);
		link = &node->shmem->next;
		node->next = files->shmem[bucket];
		files->shmem[bucket] = node;
	}
}
