// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoded symbols, kept on disk by build id.
 *
 * A file BUILDID-OFFSET.symbols belongs to the kernel that has the build id's
 * note OFFSET bytes behind the start of its image, so one read of guest memory
 * tells whether it is the right one.  The guest chooses its build id, though,
 * and must not be able to plant symbols for other guests: the file also holds a
 * fingerprint of the tables that it was made from, by a keyed hash with a key
 * that was drawn when it was written, and the tables of each guest that uses it
 * must have the same.
 *
 * Layout: struct header, then nr u64 addresses, nr u32 name offsets, hash_slots
 * u32, pool_size bytes. Numbers are in the byte order of this machine. The
 * addresses are those of the kernel it was made from, and move with the image.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "kernel_private.h"

enum {
	/* Files in the directory that are considered, and those of ours that are kept. */
	MAX_FILES = 1024,
	MAX_KEPT = 64,
	MAX_FILE_BYTES = 256 << 20,
	TOKEN_INDEX_BYTES = 512,
};

static const char magic[8] = "OVMSYM1";
static const char suffix[] = ".symbols";

struct header {
	char magic[8];
	/* Of everything behind this field; against damage, not malice. */
	uint64_t checksum;
	uint64_t size;
	struct ovm_siphash_key fingerprint_key;
	uint64_t fingerprint;
	uint64_t image_start;
	/* Of struct ovm_kallsyms. */
	struct ovm_siphash_key key;
	struct ovm_kallsyms_layout layout;
	uint64_t nr, pool_size, hash_slots;
	struct ovm_kernel_offsets offsets;
};

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static void cleanup_kallsyms(struct ovm_kallsyms **kallsyms)
{
	ovm_kallsyms_destroy(*kallsyms);
}

/* Arrays of a file, in order. */
struct array {
	void **data;
	size_t size;
};

enum {
	NR_ARRAYS = 4,
};

static void list_arrays(struct ovm_kallsyms *kallsyms, struct array arrays[NR_ARRAYS])
{
	arrays[0] = (struct array){(void **)&kallsyms->addresses,
				   kallsyms->nr * sizeof(*kallsyms->addresses)};
	arrays[1] =
		(struct array){(void **)&kallsyms->names, kallsyms->nr * sizeof(*kallsyms->names)};
	arrays[2] = (struct array){(void **)&kallsyms->hash,
				   kallsyms->hash_slots * sizeof(*kallsyms->hash)};
	arrays[3] = (struct array){(void **)&kallsyms->pool, kallsyms->pool_size};
}

static uint64_t checksum(const struct header *header, const struct array arrays[NR_ARRAYS])
{
	const size_t skip = offsetof(struct header, size);
	struct ovm_siphash_key key = {{0, 0}};

	key.words[0] = ovm_siphash(&key, (const char *)header + skip, sizeof(*header) - skip);
	for (size_t i = 0; i < NR_ARRAYS; i++)
		key.words[0] = ovm_siphash(&key, *arrays[i].data, arrays[i].size);
	return key.words[0];
}

/* Hash one table of the guest and chain it to what is in @hash. */
static bool hash_table(const struct header *header, const struct ovm_memory *memory, uint64_t gpa,
		       uint64_t size, uint64_t *hash)
{
	_cleanup_free_ void *copy = NULL;
	struct ovm_siphash_key key = header->fingerprint_key;

	if (!size || size > OVM_KERNEL_MAX_IMAGE)
		return false;
	copy = malloc(size);
	if (!copy)
		return false;

	struct ovm_error *err = ovm_memory_read(memory, gpa, copy, size);

	if (err) {
		ovm_error_free(err);
		return false;
	}
	key.words[0] += *hash;
	*hash = ovm_siphash(&key, copy, size);
	return true;
}

/* Fingerprint of the tables of the guest whose image is @map, at the places that @header tells. */
static bool fingerprint(const struct header *header, const struct ovm_memory *memory,
			const struct ovm_image_map *map, uint64_t *ret)
{
	const struct ovm_kallsyms_layout *layout = &header->layout;
	uint64_t base = ovm_image_gpa(map, layout->address - header->image_start + map->start);
	uint64_t hash = 0;

	if (!hash_table(header, memory, base + layout->names, layout->names_size, &hash) ||
	    !hash_table(header, memory, base + layout->token_table, layout->token_table_size,
			&hash) ||
	    !hash_table(header, memory, base + layout->token_index, TOKEN_INDEX_BYTES, &hash) ||
	    !hash_table(header, memory, base + layout->offsets, 4 * (uint64_t)layout->nr, &hash))
		return false;
	*ret = hash;
	return true;
}

static bool read_all(int fd, void *buf, size_t size)
{
	char *at = buf;

	while (size) {
		ssize_t n = read(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

static bool write_all(int fd, const void *buf, size_t size)
{
	const char *at = buf;

	while (size) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

/* Open a file that nobody else could have written. */
static int open_file(int directory, const char *name)
{
	_cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || (st.st_mode & 022) ||
	    (st.st_uid != geteuid() && st.st_uid != 0))
		return -1;
	return ovm_take_fd(&fd);
}

static bool header_is_sane(const struct header *header)
{
	const struct ovm_kallsyms_layout *layout = &header->layout;

	return !memcmp(header->magic, magic, sizeof(magic)) && header->size < MAX_FILE_BYTES &&
	       header->nr && header->nr < (1 << 24) && layout->nr == header->nr &&
	       layout->encoding != OVM_KALLSYMS_ABSOLUTE && header->pool_size &&
	       header->pool_size < MAX_FILE_BYTES && header->hash_slots > header->nr &&
	       header->hash_slots < (1 << 26) && !(header->hash_slots & (header->hash_slots - 1)) &&
	       header->size == sizeof(*header) + 12 * header->nr + 4 * header->hash_slots +
				       header->pool_size;
}

/* Whether indices stay within the arrays, so that lookups are safe whatever the file says. */
static bool arrays_are_sane(const struct ovm_kallsyms *kallsyms)
{
	size_t used = 0;

	for (size_t i = 0; i < kallsyms->nr; i++) {
		if (kallsyms->names[i] + 1ULL >= kallsyms->pool_size)
			return false;
		if (i && kallsyms->addresses[i] < kallsyms->addresses[i - 1])
			return false;
	}
	for (size_t i = 0; i < kallsyms->hash_slots; i++) {
		if (kallsyms->hash[i] > kallsyms->nr)
			return false;
		used += !!kallsyms->hash[i];
	}
	return used < kallsyms->hash_slots && !kallsyms->pool[kallsyms->pool_size - 1];
}

/* Take the arrays from behind the header. NULL when something is wrong with them. */
static struct ovm_kallsyms *read_symbols(int fd, const struct header *header)
{
	_cleanup_(cleanup_kallsyms) struct ovm_kallsyms *kallsyms = calloc(1, sizeof(*kallsyms));
	struct array arrays[NR_ARRAYS];

	if (!kallsyms)
		return NULL;
	kallsyms->nr = header->nr;
	kallsyms->pool_size = header->pool_size;
	kallsyms->hash_slots = header->hash_slots;
	kallsyms->key = header->key;
	kallsyms->layout = header->layout;
	list_arrays(kallsyms, arrays);
	for (size_t i = 0; i < NR_ARRAYS; i++) {
		*arrays[i].data = malloc(arrays[i].size);
		if (!*arrays[i].data || !read_all(fd, *arrays[i].data, arrays[i].size))
			return NULL;
	}
	if (checksum(header, arrays) != header->checksum || !arrays_are_sane(kallsyms))
		return NULL;
	return ovm_take_pointer(kallsyms);
}

static bool load_file(int directory, const char *name, const struct ovm_image_map *map,
		      struct ovm_kernel *kernel)
{
	_cleanup_close_ int fd = open_file(directory, name);
	struct header header;
	uint64_t hash;

	if (fd < 0 || !read_all(fd, &header, sizeof(header)) || !header_is_sane(&header) ||
	    !fingerprint(&header, kernel->memory, map, &hash) || hash != header.fingerprint)
		return false;
	kernel->kallsyms = read_symbols(fd, &header);
	if (!kernel->kallsyms)
		return false;
	kernel->offsets = header.offsets;

	/* What is below is per-CPU and stays where it is. */
	uint64_t moved = map->start - header.image_start;

	for (size_t i = 0; i < kernel->kallsyms->nr; i++) {
		if (kernel->kallsyms->addresses[i] >= OVM_START_KERNEL_MAP)
			kernel->kallsyms->addresses[i] += moved;
	}
	kernel->kallsyms->layout.address += moved;
	kernel->kallsyms->layout.relative_base += moved;
	return true;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -1;
}

/* Take a file name apart; false when it is none of ours. */
static bool parse_name(const char *name, uint8_t id[OVM_KERNEL_BUILD_ID_MAX], size_t *len,
		       uint64_t *offset)
{
	for (*len = 0; hex_digit(name[0]) >= 0 && hex_digit(name[1]) >= 0; name += 2) {
		if (*len == OVM_KERNEL_BUILD_ID_MAX)
			return false;
		id[(*len)++] = (uint8_t)(hex_digit(name[0]) << 4 | hex_digit(name[1]));
	}
	if (!*len || *name++ != '-')
		return false;
	for (*offset = 0; hex_digit(*name) >= 0; name++) {
		if (*offset > OVM_KERNEL_IMAGE_ROOM)
			return false;
		*offset = *offset << 4 | (uint64_t)hex_digit(*name);
	}
	return !strcmp(name, suffix);
}

/* Whether the guest has the build id's note @id at @offset from the start of its image. */
static bool has_build_id(const struct ovm_memory *memory, const struct ovm_image_map *map,
			 uint64_t offset, const uint8_t *id, size_t len)
{
	const uint32_t expected[4] = {4, (uint32_t)len, 3, 0x554e47 /* "GNU" */};
	uint8_t note[sizeof(expected) + OVM_KERNEL_BUILD_ID_MAX];

	if (offset >= map->end - map->start)
		return false;

	struct ovm_error *err = ovm_memory_read(memory, ovm_image_gpa(map, map->start + offset),
						note, sizeof(expected) + len);

	if (err) {
		ovm_error_free(err);
		return false;
	}
	return !memcmp(note, expected, sizeof(expected)) &&
	       !memcmp(note + sizeof(expected), id, len);
}

bool ovm_kernel_cache_load(const char *directory, const struct ovm_image_map *map,
			   struct ovm_kernel *kernel)
{
	_cleanup_(cleanup_dir) DIR *dir = opendir(directory);

	if (!dir)
		return false;
	for (unsigned int i = 0; i < MAX_FILES; i++) {
		uint8_t id[OVM_KERNEL_BUILD_ID_MAX];
		struct dirent *entry = readdir(dir);
		uint64_t offset;
		size_t len;

		if (!entry)
			break;
		if (parse_name(entry->d_name, id, &len, &offset) &&
		    has_build_id(kernel->memory, map, offset, id, len) &&
		    load_file(dirfd(dir), entry->d_name, map, kernel))
			return true;
	}
	return false;
}

static struct ovm_error *make_directory(const char *directory)
{
	_cleanup_free_ char *path = strdup(directory);

	if (!path)
		return ovm_error_no_memory();
	for (char *slash = path + 1; *path; slash++) {
		char end = *slash;

		if (end && end != '/')
			continue;
		*slash = 0;
		if (mkdir(path, 0700) && errno != EEXIST)
			break;
		*slash = end;
		if (!end)
			return NULL;
	}
	return ovm_error_errno(OVM_ERROR_OUTPUT, errno, path, "can't make the cache directory");
}

/*
 * Each build id that a guest makes up takes a file: beyond a number of them, the one that was
 * written first makes room.
 */
static void make_room(const char *directory)
{
	_cleanup_(cleanup_dir) DIR *dir = opendir(directory);
	char oldest[NAME_MAX + 1] = "";
	time_t oldest_time = 0;
	unsigned int nr = 0;

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		uint8_t id[OVM_KERNEL_BUILD_ID_MAX];
		uint64_t offset;
		struct stat st;
		size_t len;

		if (!parse_name(entry->d_name, id, &len, &offset) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (!nr++ || st.st_mtime < oldest_time) {
			oldest_time = st.st_mtime;
			strcpy(oldest, entry->d_name);
		}
	}
	if (nr >= MAX_KEPT)
		unlinkat(dirfd(dir), oldest, 0);
}

/* Write a file under another name and rename it when it is complete. */
static struct ovm_error *write_file(const char *directory, const char *name,
				    const struct header *header,
				    const struct array arrays[NR_ARRAYS])
{
	_cleanup_free_ char *path = NULL, *temporary = NULL;
	_cleanup_close_ int fd = -1;

	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		path = NULL;
		return ovm_error_no_memory();
	}
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		temporary = NULL;
		return ovm_error_no_memory();
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, temporary, "can't make cache file");

	bool ok = write_all(fd, header, sizeof(*header));

	for (size_t i = 0; ok && i < NR_ARRAYS; i++)
		ok = write_all(fd, *arrays[i].data, arrays[i].size);
	if (ok && !rename(temporary, path))
		return NULL;

	struct ovm_error *err =
		ovm_error_errno(OVM_ERROR_OUTPUT, errno, path, "can't write cache file");

	unlink(temporary);
	return err;
}

struct ovm_error *ovm_kernel_cache_save(const char *directory, const struct ovm_image_map *map,
					const struct ovm_kernel *kernel)
{
	struct ovm_kallsyms *kallsyms = kernel->kallsyms;
	struct header header;
	struct array arrays[NR_ARRAYS];
	_cleanup_free_ char *name = NULL;

	/* Addresses in the tables themselves move with the image, and so would the fingerprint. */
	if (!kernel->build_id_offset || kallsyms->layout.encoding == OVM_KALLSYMS_ABSOLUTE)
		return NULL;
	memset(&header, 0, sizeof(header));
	memcpy(header.magic, magic, sizeof(magic));
	header.image_start = map->start;
	header.key = kallsyms->key;
	header.layout = kallsyms->layout;
	header.nr = kallsyms->nr;
	header.pool_size = kallsyms->pool_size;
	header.hash_slots = kallsyms->hash_slots;
	header.offsets = kernel->offsets;
	if (getrandom(&header.fingerprint_key, sizeof(header.fingerprint_key), 0) !=
	    sizeof(header.fingerprint_key))
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, NULL, "no random numbers");
	if (!fingerprint(&header, kernel->memory, map, &header.fingerprint))
		return ovm_error_format(OVM_ERROR_KERNEL, "can't read the kernel's symbol tables");
	list_arrays(kallsyms, arrays);
	header.size = sizeof(header);
	for (size_t i = 0; i < NR_ARRAYS; i++)
		header.size += arrays[i].size;
	header.checksum = checksum(&header, arrays);
	if (asprintf(&name, "%s-%llx%s", kernel->build_id,
		     (unsigned long long)kernel->build_id_offset, suffix) < 0) {
		name = NULL;
		return ovm_error_no_memory();
	}

	struct ovm_error *err = make_directory(directory);

	if (!err)
		make_room(directory);
	return err ?: write_file(directory, name, &header, arrays);
}
