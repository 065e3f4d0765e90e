// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: the vDSO is where it was, and a pointer into it, taken before, still works
 */
#include "workload.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

typedef int (*clock_gettime_fn)(clockid_t clock, struct timespec *ts);

struct image {
	const char *base;
	const ElfW(Sym) * symbols;
	const char *strings;
	const uint32_t *hash;
};

/* The vDSO is linked to address 0: addresses in it are offsets. */
static struct image open_image(void)
{
	struct image image = {.base = (const char *)getauxval(AT_SYSINFO_EHDR)};
	const ElfW(Ehdr) *header = (const void *)image.base;
	const ElfW(Phdr) * segment;
	const ElfW(Dyn) *entry = NULL;

	CHECK(image.base && !memcmp(header->e_ident, ELFMAG, SELFMAG), "there is no vDSO");
	segment = (const void *)(image.base + header->e_phoff);
	for (int i = 0; i < header->e_phnum; i++)
		if (segment[i].p_type == PT_DYNAMIC)
			entry = (const void *)(image.base + segment[i].p_offset);
	for (; entry && entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			image.symbols = (const void *)(image.base + entry->d_un.d_ptr);
		if (entry->d_tag == DT_STRTAB)
			image.strings = image.base + entry->d_un.d_ptr;
		if (entry->d_tag == DT_HASH)
			image.hash = (const void *)(image.base + entry->d_un.d_ptr);
	}
	return image;
}

static clock_gettime_fn find(const struct image *image)
{
	/* Newer ones have a GNU hash table only: symbols end where their names begin. */
	size_t count = image->hash ? image->hash[1]
				   : (size_t)(image->strings - (const char *)image->symbols) /
					     sizeof(*image->symbols);

	for (size_t i = 0; image->symbols && image->strings && i < count; i++)
		if (!strcmp(image->strings + image->symbols[i].st_name, "__vdso_clock_gettime"))
			return (clock_gettime_fn)(image->base + image->symbols[i].st_value);
	workload_fail("there is no clock_gettime in the vDSO");
}

int main(int argc, char **argv)
{
	struct timespec before, now;

	workload_start(argc, argv, NULL);

	struct image image = open_image();
	clock_gettime_fn vdso_clock_gettime = find(&image);

	CHECK(!vdso_clock_gettime(CLOCK_MONOTONIC, &before), "it doesn't work before");
	workload_ready();
	workload_wait();
	CHECK(!vdso_clock_gettime(CLOCK_MONOTONIC, &now), "the clock can't be read");
	CHECK(workload_ns(now) > workload_ns(before), "the clock went back by %lld ms",
	      (long long)(workload_ns(before) - workload_ns(now)) / 1000000);
	CHECK((const char *)getauxval(AT_SYSINFO_EHDR) == image.base, "it is known at a new place");
	CHECK(!memcmp(image.base, ELFMAG, SELFMAG), "it has lost its header");
	CHECK(strstr(workload_vma(image.base).prot, "r-x"), "it is mapped %s",
	      workload_vma(image.base).prot);
	workload_pass();
}
