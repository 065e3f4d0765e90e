// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a dynamically linked program goes on: library code is the file's, data is its own
 * @dynamic
 * @cflags: -Wl,-z,lazy -fno-builtin
 */
#include "workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Compare the mapping of code that @address is in with the file. */
static void check_code(const void *address, const char *what)
{
	struct workload_vma vma = workload_vma(address);
	struct stat st;
	int fd = open(vma.path, O_RDONLY);

	CHECK(fd >= 0 && !fstat(fd, &st), "%s: %s: %s", what, vma.path, strerror(errno));
	CHECK(!strcmp(vma.prot, "r-xp"), "%s is mapped %s", what, vma.prot);

	size_t length = vma.end - vma.start;
	size_t in_file = (size_t)st.st_size - vma.offset;
	const void *file = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, vma.offset);

	CHECK_CALL(file != MAP_FAILED);
	CHECK(!memcmp((const void *)vma.start, file, length < in_file ? length : in_file),
	      "%s: the code isn't that of %s", what, vma.path);
}

static int descending(const void *a, const void *b)
{
	return *(const int *)b - *(const int *)a;
}

int main(int argc, char **argv)
{
	int numbers[] = {3, 1, 4, 1, 5, 9, 2, 6};

	workload_start(argc, argv, NULL);
	/* State inside the C library. */
	setenv("WORKLOAD_VARIABLE", "set before", 1);
	srandom(42);

	long second, first = random();

	workload_ready();
	workload_wait();
	second = random();
	srandom(42);
	CHECK(random() == first && random() == second, "the generator's state was lost");
	CHECK(!strcmp(getenv("WORKLOAD_VARIABLE") ?: "", "set before"), "the environment was lost");
	/* Bound now, at the first call. */
	qsort(numbers, 8, sizeof(*numbers), descending);
	CHECK(numbers[0] == 9 && numbers[7] == 1, "a call back from the library fails");
	check_code((const void *)(uintptr_t)qsort, "qsort");
	check_code((const void *)(uintptr_t)main, "main");
	workload_pass();
}
