// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a memfd keeps contents, size, position and seals, and stays one with its mappings
 */
#include "workload.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { SIZE = 3 << 20, TAIL = 777, POSITION = 12345, PAGE = 4096 };

static int create(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_ALLOW_SEALING);

	CHECK_CALL(fd >= 0 && !ftruncate(fd, size));
	return fd;
}

static uint8_t *map(int fd, int prot, int flags)
{
	void *memory = mmap(NULL, SIZE, prot, flags, fd, 0);

	CHECK_CALL(memory != MAP_FAILED);
	return memory;
}

static void check_file(int fd, off_t size, int seals)
{
	struct stat st;

	CHECK_CALL(!fstat(fd, &st));
	CHECK(st.st_size == size, "fd %d has %lld bytes, had %lld", fd, (long long)st.st_size,
	      (long long)size);
	CHECK(fcntl(fd, F_GET_SEALS) == seals, "fd %d has seals %x, had %x", fd,
	      fcntl(fd, F_GET_SEALS), seals);
}

int main(int argc, char **argv)
{
	static const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	uint8_t byte;

	workload_start(argc, argv, NULL);

	int fd = create("open", SIZE + TAIL), sealed = create("sealed", PAGE);
	uint8_t *shared = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	uint8_t *private = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	workload_fill(shared, SIZE, 1);
	workload_fill(private, PAGE, 2);
	CHECK_CALL(pwrite(fd, "tail", 4, SIZE + TAIL - 4) == 4);
	CHECK_CALL(pwrite(sealed, "constant", 8, 100) == 8);
	CHECK_CALL(!fcntl(fd, F_ADD_SEALS, seals));
	CHECK_CALL(!fcntl(sealed, F_ADD_SEALS, seals | F_SEAL_WRITE | F_SEAL_SEAL));
	CHECK_CALL(lseek(fd, POSITION, SEEK_SET) == POSITION);
	workload_ready();
	workload_wait();
	check_file(fd, SIZE + TAIL, seals);
	check_file(sealed, PAGE, seals | F_SEAL_WRITE | F_SEAL_SEAL);
	workload_check_fill(shared, SIZE, 1, "shared mapping");
	workload_check_fill(private, PAGE, 2, "modified page of the private mapping");
	CHECK(!memcmp(private + PAGE, shared + PAGE, SIZE - PAGE),
	      "the private mapping isn't of this file");
	CHECK(lseek(fd, 0, SEEK_CUR) == POSITION, "the position is %lld, was %d",
	      (long long)lseek(fd, 0, SEEK_CUR), POSITION);
	shared[POSITION] = 0x42;
	CHECK(read(fd, &byte, 1) == 1 && byte == 0x42,
	      "what is written to the mapping isn't in the file");

	char text[9] = "";

	CHECK(pread(fd, text, 4, SIZE + TAIL - 4) == 4 && !memcmp(text, "tail", 4),
	      "the bytes behind the mapping are \"%s\"", text);
	CHECK(pread(sealed, text, 8, 100) == 8 && !memcmp(text, "constant", 8),
	      "the sealed file holds \"%s\"", text);
	CHECK(write(sealed, "x", 1) == -1, "the sealed file can be written");
	workload_pass();
}
