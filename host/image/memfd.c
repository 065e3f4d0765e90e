// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory behind files that have no path: memfd.img, and the pagemaps of its content, and of that of
 * System V shared memory.
 *
 * CRIU 3.17.1 has two forms for shared anonymous memory. This is the one that it writes itself, as
 * a memfd named "/dev/zero": it has the size of the object, where the older one (VMA_ANON_SHARED)
 * derives a size from what is mapped, and silently drops pages that reach beyond it.
 */
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "pagemap.h"
#include "pool.h"
#include "proto/files.pb-c.h"
#include "vmi/cleanup.h"
#include "write.h"

/* memfd_create(2) */
enum {
	K_MFD_HUGETLB = 4,
	K_MFD_HUGE_SHIFT = 26,
};

static char *object_name(struct ovm_image_pool *pool, const struct ovm_rec_file *file)
{
	static const char prefix[] = "memfd:", anonymous[] = "/dev/zero",
			  anonymous_huge[] = "/anon_hugepage";
	size_t skip = strlen(prefix);

	if (file->kind == OVM_REC_FILE_SHMEM_ANON)
		return ovm_image_string(pool, anonymous, strlen(anonymous));
	if (file->kind == OVM_REC_FILE_HUGETLB_ANON)
		return ovm_image_string(pool, anonymous_huge, strlen(anonymous_huge));
	if (file->path.len < skip || memcmp(file->path.data, prefix, skip))
		skip = 0;
	if (file->path.len == skip)
		return ovm_image_string(pool, NULL, 0);
	return ovm_image_string(pool, file->path.data + skip, file->path.len - skip);
}

static struct ovm_error *put_object(struct ovm_image_file *image,
				    const struct ovm_image_object *object)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	const struct ovm_rec_file *file = object->file;
	MemfdInodeEntry entry = MEMFD_INODE_ENTRY__INIT;

	entry.name = object_name(&pool, file);
	if (!entry.name)
		return ovm_error_no_memory();
	entry.uid = file->uid;
	entry.gid = file->gid;
	entry.size = file->size;
	entry.shmid = object->shmid;
	entry.seals = file->seals;
	entry.inode_id = object->inode_id;
	entry.has_hugetlb_flag = file->huge_shift != 0;
	if (file->huge_shift)
		entry.hugetlb_flag = K_MFD_HUGETLB | (uint32_t)file->huge_shift << K_MFD_HUGE_SHIFT;
	return ovm_image_file_put(image, &entry.base);
}

struct ovm_error *ovm_image_write_memfd(const struct ovm_image_file_table *files, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;

	if (!files->nr_objects)
		return NULL;
	struct ovm_error *err = ovm_image_file_create(dir_fd, OVM_IMAGE_MEMFD, 0, &image);

	for (size_t i = 0; i < files->nr_objects && !err; i++)
		err = put_object(image, &files->objects[i]);
	if (err)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(image));
}

static int compare_inode(const void *key, const void *element)
{
	const struct ovm_image_shmem *const *shmem = element;
	uint64_t inode = *(const uint64_t *)key;

	return (inode > (*shmem)->rec->inode) - (inode < (*shmem)->rec->inode);
}

static int compare_contents(const void *left, const void *right)
{
	const struct ovm_image_shmem *const *a = left, *const *b = right;

	return ((*a)->rec->inode > (*b)->rec->inode) - ((*a)->rec->inode < (*b)->rec->inode);
}

/* The contents by inode. */
static const struct ovm_image_shmem **sort_contents(const struct ovm_image_set *set)
{
	const struct ovm_image_shmem **shmem =
		calloc(set->nr_shmem + 1, sizeof(const struct ovm_image_shmem *));

	for (size_t i = 0; shmem && i < set->nr_shmem; i++)
		shmem[i] = &set->shmem[i];
	if (shmem)
		qsort(shmem, set->nr_shmem, sizeof(*shmem), compare_contents);
	return shmem;
}

static struct ovm_error *write_content(const struct ovm_image_set *set,
				       const struct ovm_image_shmem **contents, uint64_t inode,
				       uint32_t number, int dir_fd)
{
	const struct ovm_image_shmem *const *shmem =
		bsearch(&inode, contents, set->nr_shmem, sizeof(*contents), compare_inode);

	if (!shmem)
		return ovm_error_format(OVM_ERROR_CORRUPT,
					"the content of shared memory %u was not collected",
					number);
	return ovm_image_pagemap_write(dir_fd, OVM_IMAGE_PAGEMAP_SHMEM, number, &(*shmem)->pagemap,
				       NULL);
}

struct ovm_error *ovm_image_write_shmem(const struct ovm_image_set *set,
					const struct ovm_image_file_table *files, int dir_fd)
{
	_cleanup_free_ const struct ovm_image_shmem **contents = sort_contents(set);
	const struct ovm_rec_ipc *ipc = set->tree->ipc;
	struct ovm_error *err = contents ? NULL : ovm_error_no_memory();

	for (size_t i = 0; i < files->nr_objects && !err; i++) {
		const struct ovm_image_object *object = &files->objects[i];

		/* CRIU looks for content where there is a size, and only there. */
		if (object->file->size)
			err = write_content(set, contents, object->file->inode, object->shmid,
					    dir_fd);
	}
	/* Of segments, it looks for content in any case. */
	for (const struct ovm_rec_ipc_shm *shm = ipc ? ipc->shm : NULL; shm && !err;
	     shm = shm->next)
		err = write_content(set, contents, shm->pages->inode, (uint32_t)shm->perm.id,
				    dir_fd);
	return err;
}
