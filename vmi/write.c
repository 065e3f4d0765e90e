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
	/* Of a bit-field, the word that is exchanged. */
	WORD_BYTES = 4,
	WORD_BITS = 32,
	BANNER_MAX = 512,
};

struct ovm_writer {
	struct ovm_writer_options options;
	struct ovm_btf *btf;
	/* For each range of RAM: its file opened for writing, or -1. */
	int *fds;
	const struct ovm_ram_range *ranges;
	size_t nr_ranges;
	/* The page that was written last. */
	uint8_t *map;
	uint64_t map_gpa;
};

/* Where a member lies within its structure, in words that can be exchanged at once. */
struct place {
	uint64_t offset;
	unsigned int bytes;
	/* Of a bit-field. */
	unsigned int shift;
	uint64_t mask;
};

static struct ovm_error *check_kernel(struct ovm_kernel *kernel)
{
	const char *banner = ovm_kernel_info(kernel)->banner;
	size_t len = strlen(banner);
	char found[BANNER_MAX];
	uint64_t address;
	struct ovm_error *err = NULL;

	if (!len || len >= sizeof(found) || !ovm_kernel_symbol(kernel, "linux_banner", &address))
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel was not verified; nothing is written");
	err = ovm_kernel_read(kernel, address, found, len);
	if (!err && memcmp(found, banner, len))
		err = ovm_error_address(OVM_ERROR_KERNEL, address,
					"the guest's kernel is no longer the one that was "
					"verified; nothing is written. Banner at");
	return err;
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
	writer->fds = malloc((writer->nr_ranges + 1) * sizeof(*writer->fds));
	if (!writer->fds) {
		free(writer);
		return ovm_error_no_memory();
	}
	for (size_t i = 0; i < writer->nr_ranges; i++)
		writer->fds[i] = -1;
	*ret = writer;
	return NULL;
}

static void unmap(struct ovm_writer *writer)
{
	if (writer->map)
		munmap(writer->map, PAGE_BYTES);
	writer->map = NULL;
}

void ovm_writer_destroy(struct ovm_writer *writer)
{
	if (!writer)
		return;
	unmap(writer);
	for (size_t i = 0; i < writer->nr_ranges; i++)
		if (writer->fds[i] >= 0)
			close(writer->fds[i]);
	free(writer->fds);
	free(writer);
}

static struct ovm_error *open_range(struct ovm_writer *writer, size_t i)
{
	char path[64];

	if (writer->fds[i] >= 0)
		return NULL;
	if (writer->ranges[i].kind == OVM_RAM_PROCESS)
		return ovm_error_address(OVM_ERROR_UNREACHABLE, writer->ranges[i].gpa,
					 "the guest's RAM is private to QEMU and can't be written: "
					 "use a shared memory back end (share=on). RAM at");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", writer->ranges[i].fd);
	writer->fds[i] = open(path, O_RDWR | O_CLOEXEC);
	if (writer->fds[i] < 0)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't open the guest's RAM for writing");
	return NULL;
}

static struct ovm_error *map_page(struct ovm_writer *writer, uint64_t gpa)
{
	uint64_t page = gpa & ~(uint64_t)(PAGE_BYTES - 1);
	size_t i = 0;

	if (writer->map && writer->map_gpa == page)
		return NULL;
	unmap(writer);
	while (i < writer->nr_ranges && (page < writer->ranges[i].gpa ||
					 page - writer->ranges[i].gpa >= writer->ranges[i].size))
		i++;
	if (i == writer->nr_ranges)
		return ovm_error_address(OVM_ERROR_FAULT, gpa, "not RAM");
	struct ovm_error *err = open_range(writer, i);

	if (err)
		return err;
	uint64_t offset = writer->ranges[i].file_offset + (page - writer->ranges[i].gpa);
	void *map = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, writer->fds[i],
			 (off_t)offset);

	if (map == MAP_FAILED)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't map the guest's RAM for writing");
	writer->map = map;
	writer->map_gpa = page;
	return NULL;
}

static struct ovm_error *find_place(const struct ovm_writer *writer, const struct ovm_write *write,
				    struct place *ret)
{
	struct ovm_btf_member member;
	struct ovm_error *err =
		ovm_btf_find_member(writer->btf, write->type, write->member, &member);

	if (err)
		return err;
	if (member.bits) {
		ret->bytes = WORD_BYTES;
		ret->offset = member.bit_offset / WORD_BITS * WORD_BYTES;
		ret->shift = member.bit_offset % WORD_BITS;
		ret->mask = member.bits < WORD_BITS ? (1ULL << member.bits) - 1 : UINT32_MAX;
		if (ret->shift + member.bits > WORD_BITS)
			ret->bytes = 0;
	} else {
		ret->bytes = (unsigned int)member.size;
		ret->offset = member.bit_offset / 8;
		ret->shift = 0;
		ret->mask = member.size < 8 ? (1ULL << member.size * 8) - 1 : UINT64_MAX;
		if (member.size > 8)
			ret->bytes = 0;
	}
	if (ret->bytes != 1 && ret->bytes != 2 && ret->bytes != 4 && ret->bytes != 8)
		return ovm_error_format(OVM_ERROR_KERNEL, "%s.%s can't be written at once",
					write->type, write->member);
	if (write->expected & ~ret->mask || write->value & ~ret->mask)
		return ovm_error_format(OVM_ERROR_USAGE, "%s.%s is too small for the value 0x%llx",
					write->type, write->member,
					(unsigned long long)write->value);
	return NULL;
}

static uint64_t load(const void *p, unsigned int bytes)
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

static bool exchange(void *p, unsigned int bytes, uint64_t old, uint64_t new)
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

static struct ovm_error *change(struct ovm_writer *writer, const struct ovm_write *write,
				const struct place *place, uint64_t gpa)
{
	void *p = writer->map + gpa % PAGE_BYTES;
	uint64_t old = load(p, place->bytes);
	uint64_t others = old & ~(place->mask << place->shift);

	if ((old >> place->shift & place->mask) != write->expected ||
	    !exchange(p, place->bytes, old, others | write->value << place->shift))
		return ovm_error_address(OVM_ERROR_INCONSISTENT, write->object + place->offset,
					 "%s.%s holds 0x%llx, not 0x%llx; not written. At",
					 write->type, write->member,
					 (unsigned long long)(old >> place->shift & place->mask),
					 (unsigned long long)write->expected);
	return NULL;
}

static struct ovm_error *check_allowed(const struct ovm_writer *writer)
{
	if (writer->options.read_only)
		return ovm_error_format(OVM_ERROR_USAGE,
					"writing to the guest's memory is forbidden");
	if (!ovm_pause_holds(writer->options.pause))
		return ovm_error_format(OVM_ERROR_USAGE,
					"the guest's memory is written only while the virtual "
					"machine is paused by this process");
	return NULL;
}

struct ovm_error *ovm_write(struct ovm_writer *writer, const struct ovm_write *write)
{
	struct place place;
	uint64_t gpa;
	struct ovm_error *err = check_allowed(writer);

	if (!err)
		err = find_place(writer, write, &place);
	if (err)
		return err;
	uint64_t address = write->object + place.offset;

	if (address < write->object || address % place.bytes)
		return ovm_error_address(OVM_ERROR_CORRUPT, write->object,
					 "misplaced structure at");
	err = ovm_kernel_translate(writer->options.kernel, address, &gpa);
	if (!err)
		err = map_page(writer, gpa);
	if (err)
		return err;
	if (writer->options.log)
		writer->options.log(writer->options.log_arg, write, address);
	return change(writer, write, &place, gpa);
}
