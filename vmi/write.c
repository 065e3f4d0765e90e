// SPDX-License-Identifier: GPL-2.0-only
#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"

enum {
	PAGE_BYTES = 4096,
	/* Of a bit-field, the bytes that are exchanged. */
	WORD_BYTES = 4,
	WORD_BITS = 32,
	BANNER_MAX = 512,
	/* Larger than any structure that is written to. */
	MAX_OBJECT_BYTES = 1 << 20,
};

struct ovm_writer {
	struct ovm_writer_options options;
	struct ovm_btf *btf;
	const struct ovm_ram_range *ranges;
	size_t nr_ranges;
	/* Each range mapped for writing. */
	uint8_t **maps;
};

static struct ovm_error *check_kernel(struct ovm_kernel *kernel)
{
	const char *banner = ovm_kernel_info(kernel)->banner;
	size_t len = strlen(banner);
	char found[BANNER_MAX];
	uint64_t address;

	if (!len || len >= sizeof(found) || !ovm_kernel_symbol(kernel, "linux_banner", &address))
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel was not verified; nothing is written");
	struct ovm_error *err = ovm_kernel_read(kernel, address, found, len);

	if (!err && memcmp(found, banner, len))
		err = ovm_error_address(OVM_ERROR_KERNEL, address,
					"the guest's kernel is no longer the one that was "
					"verified; nothing is written. Banner at");
	return err;
}

static struct ovm_error *map_range(const struct ovm_ram_range *range, uint8_t **ret)
{
	char path[64];

	if (range->kind == OVM_RAM_PROCESS)
		return ovm_error_address(OVM_ERROR_UNREACHABLE, range->gpa,
					 "the guest's RAM is private to QEMU and can't be written: "
					 "use a shared memory back end (share=on). RAM at");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", range->fd);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't open the guest's RAM for writing");
	void *map = mmap(NULL, range->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
			 (off_t)range->file_offset);

	if (map == MAP_FAILED)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't map the guest's RAM for writing");
	*ret = map;
	return NULL;
}

struct ovm_error *ovm_writer_create(const struct ovm_writer_options *options,
				    struct ovm_writer **ret)
{
	struct ovm_btf *btf;
	struct ovm_error *err = check_kernel(options->kernel);

	*ret = NULL;
	if (!err)
		err = ovm_kernel_load_btf(options->kernel, &btf);
	if (err)
		return err;
	struct ovm_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return ovm_error_no_memory();
	writer->options = *options;
	writer->btf = btf;
	writer->nr_ranges = ovm_memory_ranges(options->memory, &writer->ranges);
	writer->maps = calloc(writer->nr_ranges + 1, sizeof(*writer->maps));
	if (!writer->maps)
		err = ovm_error_no_memory();
	for (size_t i = 0; !err && i < writer->nr_ranges; i++)
		err = map_range(&writer->ranges[i], &writer->maps[i]);
	if (err) {
		ovm_writer_destroy(writer);
		return err;
	}
	*ret = writer;
	return NULL;
}

void ovm_writer_destroy(struct ovm_writer *writer)
{
	if (!writer)
		return;
	for (size_t i = 0; writer->maps && i < writer->nr_ranges; i++)
		if (writer->maps[i])
			munmap(writer->maps[i], writer->ranges[i].size);
	free(writer->maps);
	free(writer);
}

struct ovm_error *ovm_writer_member(struct ovm_writer *writer, const char *type, const char *name,
				    struct ovm_member *ret)
{
	struct ovm_btf_member found;
	struct ovm_error *err = ovm_btf_find_member(writer->btf, type, name, &found);
	uint64_t bytes, offset, size;

	if (!err)
		err = ovm_btf_sizeof(writer->btf, type, &size);
	if (err)
		return err;
	*ret = (struct ovm_member){.type = type, .name = name};
	if (found.bits) {
		bytes = WORD_BYTES;
		offset = found.bit_offset / WORD_BITS * WORD_BYTES;
		ret->shift = found.bit_offset % WORD_BITS;
		ret->mask = found.bits < WORD_BITS ? (1ULL << found.bits) - 1 : UINT32_MAX;
		if (ret->shift + found.bits > WORD_BITS)
			bytes = 0;
	} else {
		bytes = found.size;
		offset = found.bit_offset / 8;
		ret->mask = bytes < 8 ? (1ULL << bytes * 8) - 1 : UINT64_MAX;
	}
	/* Types are the guest's word: what is located is @size bytes, and no more. */
	if ((bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) || offset % bytes ||
	    offset > UINT32_MAX || bytes > size || offset > size - bytes)
		return ovm_error_format(OVM_ERROR_KERNEL, "%s.%s can't be written at once", type,
					name);
	ret->offset = (uint32_t)offset;
	ret->bytes = (uint32_t)bytes;
	return NULL;
}

static uint8_t *find_map(const struct ovm_writer *writer, uint64_t gpa, uint64_t size)
{
	for (size_t i = 0; i < writer->nr_ranges; i++) {
		const struct ovm_ram_range *range = &writer->ranges[i];

		if (gpa >= range->gpa && gpa - range->gpa < range->size &&
		    size <= range->size - (gpa - range->gpa))
			return writer->maps[i] + (gpa - range->gpa);
	}
	return NULL;
}

/* What is behind one another in the kernel's eyes has to be so in RAM. */
static struct ovm_error *check_contiguous(struct ovm_kernel *kernel,
					  const struct ovm_object *object, uint64_t gpa)
{
	uint64_t found;

	for (uint64_t at = PAGE_BYTES - object->address % PAGE_BYTES; at < object->size;
	     at += PAGE_BYTES) {
		struct ovm_error *err = ovm_kernel_translate(kernel, object->address + at, &found);

		if (err)
			return err;
		if (found - gpa != at)
			return ovm_error_address(OVM_ERROR_CORRUPT, object->address,
						 "%s lies in several pieces of RAM; at",
						 object->type);
	}
	return NULL;
}

struct ovm_error *ovm_writer_locate(struct ovm_writer *writer, const char *type, uint64_t address,
				    struct ovm_object *ret)
{
	struct ovm_object object = {.type = type, .address = address};
	struct ovm_error *err = ovm_btf_sizeof(writer->btf, type, &object.size);
	uint64_t gpa;

	if (err)
		return err;
	if (address % sizeof(uint64_t) || !object.size || object.size > MAX_OBJECT_BYTES ||
	    address + object.size < address)
		return ovm_error_address(OVM_ERROR_CORRUPT, address, "no %s can be at", type);
	err = ovm_kernel_translate(writer->options.kernel, address, &gpa);
	if (!err)
		err = check_contiguous(writer->options.kernel, &object, gpa);
	if (err)
		return err;
	object.map = find_map(writer, gpa, object.size);
	if (!object.map)
		return ovm_error_address(OVM_ERROR_FAULT, address, "no RAM holds the %s at", type);
	*ret = object;
	return NULL;
}

static uint64_t load(const void *p, uint32_t bytes)
{
	switch (bytes) {
	case 1:
		return __atomic_load_n((const uint8_t *)p, __ATOMIC_SEQ_CST);
	case 2:
		return __atomic_load_n((const uint16_t *)p, __ATOMIC_SEQ_CST);
	case 4:
		return __atomic_load_n((const uint32_t *)p, __ATOMIC_SEQ_CST);
	default:
		return __atomic_load_n((const uint64_t *)p, __ATOMIC_SEQ_CST);
	}
}

#define EXCHANGE(type, p, old, new)                                                 \
	({                                                                          \
		type _old = (type)(old);                                            \
		__atomic_compare_exchange_n((type *)(p), &_old, (type)(new), false, \
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);    \
	})

static bool exchange(void *p, uint32_t bytes, uint64_t old, uint64_t new)
{
	switch (bytes) {
	case 1:
		return EXCHANGE(uint8_t, p, old, new);
	case 2:
		return EXCHANGE(uint16_t, p, old, new);
	case 4:
		return EXCHANGE(uint32_t, p, old, new);
	default:
		return EXCHANGE(uint64_t, p, old, new);
	}
}

uint64_t ovm_object_load(const struct ovm_object *object, const struct ovm_member *member)
{
	return load(object->map + member->offset, member->bytes) >> member->shift & member->mask;
}

static bool fits(const struct ovm_object *object, const struct ovm_member *member)
{
	return object->type == member->type && member->bytes <= object->size &&
	       member->offset <= object->size - member->bytes;
}

bool ovm_write_unlogged(const struct ovm_object *object, const struct ovm_member *member,
			uint64_t from, uint64_t to)
{
	if (!fits(object, member) || from & ~member->mask || to & ~member->mask)
		return false;
	void *p = object->map + member->offset;
	uint64_t old = load(p, member->bytes);
	uint64_t others = old & ~(member->mask << member->shift);

	return (old >> member->shift & member->mask) == from &&
	       exchange(p, member->bytes, old, others | to << member->shift);
}

struct ovm_error *ovm_write(struct ovm_writer *writer, const struct ovm_object *object,
			    const struct ovm_member *member, uint64_t from, uint64_t to)
{
	struct ovm_write write = {
		.type = member->type,
		.member = member->name,
		.object = object->address,
		.address = object->address + member->offset,
		.from = from,
		.to = to,
	};

	if (!writer->options.paused(writer->options.arg))
		return ovm_error_format(OVM_ERROR_USAGE,
					"the guest's memory is written only while the virtual "
					"machine is paused by this process");
	if (!fits(object, member) || from & ~member->mask || to & ~member->mask)
		return ovm_error_format(
			OVM_ERROR_USAGE, "%s.%s can't be changed from 0x%llx to 0x%llx", write.type,
			write.member, (unsigned long long)from, (unsigned long long)to);
	if (writer->options.log)
		writer->options.log(writer->options.arg, &write);
	if (!ovm_write_unlogged(object, member, from, to))
		return ovm_error_address(OVM_ERROR_INCONSISTENT, write.address,
					 "%s.%s holds 0x%llx, not 0x%llx; not written. At",
					 write.type, write.member,
					 (unsigned long long)ovm_object_load(object, member),
					 (unsigned long long)from);
	return NULL;
}
