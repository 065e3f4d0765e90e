/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers for files.
 *
 * A struct file that descriptors lead to has one id, however many they are.
 * What is used by its path only (mappings, the executable, directories) has one
 * id for each distinct path: restore opens it anew.
 */
#ifndef OVM_HOST_IMAGE_FILE_TABLE_H
#define OVM_HOST_IMAGE_FILE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image.h"

enum ovm_image_file_use {
	OVM_IMAGE_FILE_DESCRIPTOR,
	OVM_IMAGE_FILE_PATH,
};

struct ovm_image_file_ref {
	const struct ovm_rec_file *file;
	enum ovm_image_file_use use;
	/** Place in the order of appearance; then the id minus one. */
	size_t order;
};

/** Memory behind files without a path: memfd, shared anonymous memory. */
struct ovm_image_object {
	/** Any of the files that lead to it. */
	const struct ovm_rec_file *file;
	/** Number in memfd.img. */
	uint32_t inode_id;
	/** Names its pagemap-shmem image. */
	uint32_t shmid;
};

/** A pipe or FIFO behind files. */
struct ovm_image_pipe {
	const struct ovm_rec_pipe *rec;
	bool fifo;
	uint32_t id;
};

struct ovm_image_file_table {
	/** In the order of their keys, each once. */
	struct ovm_image_file_ref *refs;
	size_t nr;
	/** In the order of their ids. */
	const struct ovm_image_file_ref **by_id;
	/** By inode. */
	struct ovm_image_object *objects;
	size_t nr_objects;
	/** By inode. */
	struct ovm_image_pipe *pipes;
	size_t nr_pipes;
};

/** Number all files of a set. The records must outlive the table. */
struct ovm_error *ovm_image_file_table_create(const struct ovm_image_set *set,
					      struct ovm_image_file_table **ret);

/** Free a table; NULL is fine. */
void ovm_image_file_table_destroy(struct ovm_image_file_table *table);

/** The id of a file that the table was made with; 0 if it is not there. */
uint32_t ovm_image_file_id(const struct ovm_image_file_table *table,
			   const struct ovm_rec_file *file, enum ovm_image_file_use use);

/** The object behind a file, by its inode; NULL if there is none. */
const struct ovm_image_object *ovm_image_object_find(const struct ovm_image_file_table *table,
						     uint64_t inode);

/** Find and number the pipes of a table whose files are numbered. */
struct ovm_error *ovm_image_find_pipes(struct ovm_image_file_table *table);

/** The pipe of a file that the table was made with; NULL if it is not there. */
const struct ovm_image_pipe *ovm_image_pipe_find(const struct ovm_image_file_table *table,
						 const struct ovm_rec_pipe *pipe);

/** Whether a file is one of those that have no path but memory behind them. */
bool ovm_image_file_is_memory(const struct ovm_rec_file *file);

#endif /* OVM_HOST_IMAGE_FILE_TABLE_H */
