// SPDX-License-Identifier: GPL-2.0-only
#include "file_table.h"

#include <stdlib.h>
#include <string.h>

#include "mm.h"
#include "passed.h"
#include "vmi/cleanup.h"

bool ovm_image_file_is_memory(const struct ovm_rec_file *file)
{
	switch (file->kind) {
	case OVM_REC_FILE_MEMFD:
	case OVM_REC_FILE_MEMFD_HUGETLB:
	case OVM_REC_FILE_SHMEM_ANON:
	case OVM_REC_FILE_HUGETLB_ANON:
		return true;
	default:
		return false;
	}
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_paths(const struct ovm_rec_bytes *a, const struct ovm_rec_bytes *b)
{
	int order = compare_u64(a->len, b->len);

	if (order || !a->len)
		return order;
	return memcmp(a->data, b->data, a->len);
}

static int compare_keys(const struct ovm_image_file_ref *a, const struct ovm_image_file_ref *b)
{
	int order = compare_u64(a->use, b->use);

	if (order)
		return order;
	if (a->use == OVM_IMAGE_FILE_DESCRIPTOR)
		return compare_u64(a->file->file, b->file->file);
	order = compare_u64(a->file->inode, b->file->inode);
	if (!order)
		order = compare_u64((uint32_t)a->file->mnt_id, (uint32_t)b->file->mnt_id);
	return order ? order : compare_paths(&a->file->path, &b->file->path);
}

static int compare_refs(const void *left, const void *right)
{
	const struct ovm_image_file_ref *a = left, *b = right;
	int order = compare_keys(a, b);

	return order ? order : compare_u64(a->order, b->order);
}

static int compare_orders(const void *left, const void *right)
{
	const struct ovm_image_file_ref *const *a = left, *const *b = right;

	return compare_u64((*a)->order, (*b)->order);
}

static int compare_refs_by_key(const void *left, const void *right)
{
	return compare_keys(left, right);
}

/* Counts when @table has no room yet. */
static void add(struct ovm_image_file_table *table, const struct ovm_rec_file *file,
		enum ovm_image_file_use use)
{
	if (!file)
		return;
	if (table->refs)
		table->refs[table->nr] = (struct ovm_image_file_ref){file, use, table->nr};
	table->nr++;
}

/* In the order in which CRIU meets them. */
static void add_process(struct ovm_image_file_table *table, const struct ovm_rec_process *process)
{
	for (const struct ovm_rec_vma *vma = process->mm.vmas; vma; vma = vma->next)
		add(table, ovm_image_vma_file(vma), OVM_IMAGE_FILE_PATH);
	for (const struct ovm_rec_fd *fd = ovm_image_owns_files(process) ? process->fds : NULL; fd;
	     fd = fd->next)
		add(table, fd->file, OVM_IMAGE_FILE_DESCRIPTOR);
	add(table, process->mm.exe, OVM_IMAGE_FILE_PATH);
	add(table, process->fs.cwd, OVM_IMAGE_FILE_PATH);
	add(table, process->fs.root, OVM_IMAGE_FILE_PATH);
}

static void add_set(struct ovm_image_file_table *table, const struct ovm_image_set *set)
{
	table->nr = 0;
	for (size_t i = 0; i < set->nr_processes; i++)
		add_process(table, set->processes[i].rec);
	for (const struct ovm_rec_file *file = ovm_image_set_files(set); file; file = file->next)
		if (file->nr_passed)
			add(table, file, OVM_IMAGE_FILE_DESCRIPTOR);
}

/* Keep the first of equal ones, and number what is left in the order of appearance. */
static struct ovm_error *number_files(struct ovm_image_file_table *table)
{
	size_t nr = 0;

	qsort(table->refs, table->nr, sizeof(*table->refs), compare_refs);
	for (size_t i = 0; i < table->nr; i++)
		if (!nr || compare_keys(&table->refs[nr - 1], &table->refs[i]))
			table->refs[nr++] = table->refs[i];
	table->nr = nr;
	table->by_id = calloc(nr + 1, sizeof(*table->by_id));
	if (!table->by_id)
		return ovm_error_no_memory();
	for (size_t i = 0; i < nr; i++)
		table->by_id[i] = &table->refs[i];
	qsort(table->by_id, nr, sizeof(*table->by_id), compare_orders);
	for (size_t i = 0; i < nr; i++)
		table->refs[table->by_id[i] - table->refs].order = i;
	return NULL;
}

static int compare_objects(const void *left, const void *right)
{
	const struct ovm_image_object *a = left, *b = right;
	int order = compare_u64(a->file->inode, b->file->inode);

	return order ? order : compare_u64(a->inode_id, b->inode_id);
}

static int compare_inode_numbers(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return compare_u64(*a, *b);
}

static int compare_appearance(const void *left, const void *right)
{
	const struct ovm_image_object *const *a = left, *const *b = right;

	return compare_u64((*a)->inode_id, (*b)->inode_id);
}

/* From places among the files to consecutive numbers. */
static struct ovm_error *number_inodes(struct ovm_image_file_table *table)
{
	_cleanup_free_ struct ovm_image_object **objects =
		calloc(table->nr_objects + 1, sizeof(struct ovm_image_object *));

	if (!objects)
		return ovm_error_no_memory();
	for (size_t i = 0; i < table->nr_objects; i++)
		objects[i] = &table->objects[i];
	qsort(objects, table->nr_objects, sizeof(*objects), compare_appearance);
	for (size_t i = 0; i < table->nr_objects; i++)
		objects[i]->inode_id = (uint32_t)i + 1;
	return NULL;
}

/* Ids of System V shared memory, which name contents as well; sorted. */
static uint64_t *list_segments(const struct ovm_rec_ipc *ipc, size_t *ret_nr)
{
	const struct ovm_rec_ipc_shm *first = ipc ? ipc->shm : NULL;
	size_t nr = 0;

	for (const struct ovm_rec_ipc_shm *shm = first; shm; shm = shm->next)
		nr++;
	uint64_t *ids = calloc(nr + 1, sizeof(*ids));

	if (!ids)
		return NULL;
	nr = 0;
	for (const struct ovm_rec_ipc_shm *shm = first; shm; shm = shm->next)
		ids[nr++] = (uint32_t)shm->perm.id;
	qsort(ids, nr, sizeof(*ids), compare_inode_numbers);
	*ret_nr = nr;
	return ids;
}

static bool is_listed(uint64_t number, const uint64_t *numbers, size_t nr)
{
	return bsearch(&number, numbers, nr, sizeof(*numbers), compare_inode_numbers);
}

/* Inode numbers serve as numbers of objects if they fit and differ, as those of CRIU. */
static struct ovm_error *number_contents(struct ovm_image_file_table *table,
					 const struct ovm_rec_ipc *ipc)
{
	size_t nr_segments = 0;
	_cleanup_free_ uint64_t *inos = calloc(table->nr_objects + 1, sizeof(*inos));
	_cleanup_free_ uint64_t *segments = list_segments(ipc, &nr_segments);
	uint32_t last = 0;
	bool good = true;

	if (!inos || !segments)
		return ovm_error_no_memory();
	for (size_t i = 0; i < table->nr_objects; i++)
		inos[i] = table->objects[i].file->ino;
	qsort(inos, table->nr_objects, sizeof(*inos), compare_inode_numbers);
	for (size_t i = 0; i < table->nr_objects; i++)
		if (!inos[i] || inos[i] > UINT32_MAX || (i && inos[i] == inos[i - 1]) ||
		    is_listed(inos[i], segments, nr_segments))
			good = false;
	for (size_t i = 0; i < table->nr_objects; i++) {
		struct ovm_image_object *object = &table->objects[i];

		while (!good && is_listed(++last, segments, nr_segments))
			;
		object->shmid = good ? (uint32_t)object->file->ino : last;
	}
	return NULL;
}

static struct ovm_error *find_objects(struct ovm_image_file_table *table,
				      const struct ovm_rec_ipc *ipc)
{
	size_t nr = 0;

	table->objects = calloc(table->nr + 1, sizeof(*table->objects));
	if (!table->objects)
		return ovm_error_no_memory();
	for (size_t i = 0; i < table->nr; i++) {
		const struct ovm_rec_file *file = table->by_id[i]->file;

		if (ovm_image_file_is_memory(file))
			table->objects[nr++] = (struct ovm_image_object){
				.file = file,
				.inode_id = (uint32_t)i + 1,
			};
	}
	qsort(table->objects, nr, sizeof(*table->objects), compare_objects);
	for (size_t i = 0; i < nr; i++) {
		const struct ovm_image_object *object = &table->objects[i];

		if (!i || table->objects[table->nr_objects - 1].file->inode != object->file->inode)
			table->objects[table->nr_objects++] = *object;
	}
	struct ovm_error *err = number_inodes(table);

	return err ? err : number_contents(table, ipc);
}

struct ovm_error *ovm_image_file_table_create(const struct ovm_image_set *set,
					      struct ovm_image_file_table **ret)
{
	struct ovm_image_file_table *table = calloc(1, sizeof(*table));
	struct ovm_error *err = NULL;

	*ret = NULL;
	if (!table)
		return ovm_error_no_memory();
	add_set(table, set);
	if (table->nr >= UINT32_MAX)
		err = ovm_error_format(OVM_ERROR_BUDGET, "too many files");
	if (!err) {
		table->refs = calloc(table->nr + 1, sizeof(*table->refs));
		if (!table->refs)
			err = ovm_error_no_memory();
	}
	if (!err) {
		add_set(table, set);
		err = number_files(table);
	}
	if (!err)
		err = find_objects(table, set->tree->ipc);
	if (!err)
		err = ovm_image_find_pipes(table);
	if (err) {
		ovm_image_file_table_destroy(table);
		return err;
	}
	*ret = table;
	return NULL;
}

void ovm_image_file_table_destroy(struct ovm_image_file_table *table)
{
	if (!table)
		return;
	free(table->refs);
	free(table->by_id);
	free(table->objects);
	free(table->pipes);
	free(table);
}

uint32_t ovm_image_file_id(const struct ovm_image_file_table *table,
			   const struct ovm_rec_file *file, enum ovm_image_file_use use)
{
	const struct ovm_image_file_ref key = {file, use, 0};
	const struct ovm_image_file_ref *ref = NULL;

	if (file)
		ref = bsearch(&key, table->refs, table->nr, sizeof(key), compare_refs_by_key);
	return ref ? (uint32_t)ref->order + 1 : 0;
}

static int compare_inode(const void *key, const void *element)
{
	const struct ovm_image_object *object = element;

	return compare_u64(*(const uint64_t *)key, object->file->inode);
}

const struct ovm_image_object *ovm_image_object_find(const struct ovm_image_file_table *table,
						     uint64_t inode)
{
	return bsearch(&inode, table->objects, table->nr_objects, sizeof(*table->objects),
		       compare_inode);
}
