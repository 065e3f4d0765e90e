// SPDX-License-Identifier: GPL-2.0-only
#include "image_read.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE_MAX_READ = 64 << 20 };

struct image_bytes image_open(const char *directory, const char *name, size_t nr_magic)
{
	struct image_bytes image = {0};
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "r");

	if (!file)
		return image;
	image.data = malloc(SIZE_MAX_READ);
	if (image.data)
		image.len = fread(image.data, 1, SIZE_MAX_READ, file);
	fclose(file);
	image.pos = nr_magic * sizeof(uint32_t);
	if (image.data && image.len >= image.pos)
		memcpy(image.magic, image.data, image.pos);
	return image;
}

const uint8_t *image_record(struct image_bytes *image, size_t *len)
{
	uint32_t size;

	if (image->pos > image->len || image->len - image->pos < sizeof(size))
		return NULL;
	memcpy(&size, image->data + image->pos, sizeof(size));
	if (size > image->len - image->pos - sizeof(size))
		return NULL;
	const uint8_t *ret = image->data + image->pos + sizeof(size);

	image->pos += sizeof(size) + size;
	*len = size;
	return ret;
}

void image_close(struct image_bytes *image)
{
	free(image->data);
	image->data = NULL;
}

int image_directory(char path[64])
{
	strcpy(path, "/tmp/ovm-images-XXXXXX");
	return mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

void image_directory_remove(const char *path)
{
	DIR *directory = opendir(path);

	for (struct dirent *entry; directory && (entry = readdir(directory));)
		unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
	rmdir(path);
}
