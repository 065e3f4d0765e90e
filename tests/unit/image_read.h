/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading images back. */
#ifndef OVM_TESTS_UNIT_IMAGE_READ_H
#define OVM_TESTS_UNIT_IMAGE_READ_H

#include <stddef.h>
#include <stdint.h>

struct image_bytes {
	uint8_t *data;
	size_t len;
	/** Of the next record; starts behind the magic. */
	size_t pos;
	uint32_t magic[2];
};

/** Read an image, with @nr_magic words of magic; NULL data if it is not there. */
struct image_bytes image_open(const char *directory, const char *name, size_t nr_magic);

/** The next record and its length; NULL at the end, or where the file breaks off. */
const uint8_t *image_record(struct image_bytes *image, size_t *len);

void image_close(struct image_bytes *image);

/** Make a directory for images in the place for temporary files; @path is filled in. */
int image_directory(char path[64]);

/** Remove it with all files in it. */
void image_directory_remove(const char *path);

#endif /* OVM_TESTS_UNIT_IMAGE_READ_H */
