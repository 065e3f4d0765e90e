/* SPDX-License-Identifier: GPL-2.0-only */
/* Every image that is written: its name and how it begins. */
#ifndef OVM_HOST_IMAGE_TABLE_H
#define OVM_HOST_IMAGE_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum ovm_image_type {
	OVM_IMAGE_INVENTORY,
	OVM_IMAGE_PSTREE,
	OVM_IMAGE_IDS,
	OVM_IMAGE_CORE,
	OVM_IMAGE_MM,
	OVM_IMAGE_FS,
	OVM_IMAGE_FILES,
	OVM_IMAGE_FDINFO,
	OVM_IMAGE_MEMFD,
	OVM_IMAGE_PIPES_DATA,
	OVM_IMAGE_FIFO_DATA,
	OVM_IMAGE_FILE_LOCKS,
	OVM_IMAGE_GHOST_FILE,
	OVM_IMAGE_REMAP_FPATH,
	OVM_IMAGE_PAGEMAP,
	OVM_IMAGE_PAGEMAP_SHMEM,
	OVM_IMAGE_IPC_VAR,
	OVM_IMAGE_IPC_SHM,
	OVM_IMAGE_IPC_MSG,
	OVM_IMAGE_IPC_SEM,
	OVM_IMAGE_SECCOMP,
	OVM_IMAGE_SK_QUEUES,
	OVM_IMAGE_TCP_STREAM,
	OVM_IMAGE_TIMENS,
	OVM_IMAGE_TTY_INFO,
	OVM_IMAGE_TTY_DATA,
	OVM_IMAGE_STATS,
	OVM_IMAGE_NR_TYPES,
};

enum {
	/* Longest name with its NUL. */
	OVM_IMAGE_NAME_MAX = 48,
};

/** How a file begins, before its own magic. */
enum ovm_image_head {
	/** With nothing. */
	OVM_IMAGE_HEAD_NONE,
	/** With the magic that all images but the inventory share. */
	OVM_IMAGE_HEAD_COMMON,
	/** With that of files which are not needed to restore. */
	OVM_IMAGE_HEAD_SERVICE,
};

struct ovm_image_description {
	/** What stands before and after the number, if there is one. */
	const char *prefix, *suffix;
	uint32_t magic;
	enum ovm_image_head head;
	/** Whether the name has a number: a pid, tid or id. */
	_Bool numbered;
	/** Whether that number is hexadecimal. */
	_Bool hexadecimal;
};

/** The description of an image. */
const struct ovm_image_description *ovm_image_describe(enum ovm_image_type type);

/** Make the name of an image; @number is that of a pid, tid or id, if the name has one. */
void ovm_image_name(enum ovm_image_type type, uint64_t number, char name[OVM_IMAGE_NAME_MAX]);

/** Fill @words with the magic numbers that the file begins with and return how many there are. */
size_t ovm_image_magic(enum ovm_image_type type, uint32_t words[2]);

#endif /* OVM_HOST_IMAGE_TABLE_H */
