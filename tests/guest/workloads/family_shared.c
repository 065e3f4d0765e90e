// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: memory that processes share, anonymous or a sealed memfd, is still the same for all
 */
#include "family.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { NR = 3, PAGE = 4096, PART = 256 * PAGE, SIZE = NR * PART };

static uint8_t *anonymous, *file;
static int fd;

static uint8_t *map(int flags, int of)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | flags, of, 0);

	CHECK_CALL(memory != MAP_FAILED);
	return memory;
}

/* What those before have written by now, those behind have not. */
static void check(int written, uint64_t seed)
{
	for (int i = 0; i < NR; i++) {
		uint64_t expected = (i < written ? seed : seed - 100) + i;

		workload_check_fill(anonymous + i * PART, PART, expected, "anonymous memory");
		workload_check_fill(file + i * PART, PART, expected + 1000, "memfd");
	}
}

static void fill(int i, uint64_t seed)
{
	workload_fill(anonymous + i * PART, PART, seed + i);
	workload_fill(file + i * PART, PART, seed + 1000 + i);
}

static void child(const struct family *family, int i)
{
	/* The parent's mapping goes; this one is of the same file. */
	CHECK_CALL(!munmap(file, SIZE));
	file = map(0, fd);
	fill(i, 100);
	family_step(family, i);
	check(i, 200);
	fill(i, 200);
	CHECK(write(fd, "x", 1) == -1 && errno == EPERM, "child %d can write by the descriptor", i);
	CHECK(fcntl(fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE),
	      "child %d sees the seals %x", i, fcntl(fd, F_GET_SEALS));
}

int main(int argc, char **argv)
{
	struct family family;

	workload_start(argc, argv, NULL);
	fd = memfd_create("family", MFD_ALLOW_SEALING);
	CHECK_CALL(fd >= 0 && !ftruncate(fd, SIZE));
	anonymous = map(MAP_ANONYMOUS, -1);
	file = map(0, fd);
	family_start(&family, NR, child);
	CHECK_CALL(!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE));
	workload_ready();
	workload_wait();
	check(0, 200);
	for (int i = 0; i < NR; i++) {
		family_next(&family, i);
		check(i + 1, 200);
	}
	family_end(&family);
	workload_pass();
}
