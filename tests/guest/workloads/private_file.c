// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a private mapping of a file keeps its modified pages, and the others are the file's
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 300, TAIL = 1000, SIZE = PAGES * PAGE + TAIL };

static void prepare(void)
{
	workload_make_file("data", SIZE, 11);
}

static uint8_t *map(int prot, int first_page)
{
	int fd = open(workload_path("data"), O_RDONLY);
	void *memory =
		mmap(NULL, SIZE - first_page * PAGE, prot, MAP_PRIVATE, fd, first_page * PAGE);

	CHECK_CALL(fd >= 0 && memory != MAP_FAILED);
	close(fd);
	return memory;
}

static bool modified(int page)
{
	return workload_word(12, page) % 3 == 0;
}

static void check(const uint8_t *now, const uint8_t *file, int page)
{
	if (modified(page))
		workload_check_fill(now + page * PAGE, PAGE, 100 + page, "a modified page");
	else
		CHECK(!memcmp(now + page * PAGE, file + page * PAGE, PAGE),
		      "page %d isn't the file's", page);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, prepare);

	uint8_t *memory = map(PROT_READ | PROT_WRITE, 0);
	const uint8_t *from_third = map(PROT_READ, 3);
	static uint8_t file[SIZE];

	workload_fill(file, SIZE, 11);
	for (int i = 0; i < PAGES; i++)
		if (modified(i))
			workload_fill(memory + i * PAGE, PAGE, 100 + i);
	memory[SIZE - 1] ^= 0xff;
	/* Behind the end of the file there is the rest of a page. */
	memory[SIZE + 5] = 0x77;
	workload_ready();
	workload_wait();
	for (int i = 0; i < PAGES; i++)
		check(memory, file, i);
	CHECK(memory[SIZE - 2] == file[SIZE - 2], "the last page isn't the file's");
	CHECK((memory[SIZE - 1] ^ file[SIZE - 1]) == 0xff, "the last byte isn't the modified one");
	CHECK(memory[SIZE + 5] == 0x77, "what was behind the end of the file is lost");
	CHECK(!memcmp(from_third, file + 3 * PAGE, SIZE - 3 * PAGE),
	      "the mapping from the third page on isn't of the file");
	CHECK(!memcmp(map(PROT_READ, 0), file, SIZE), "the file itself was modified");

	struct workload_vma vma = workload_vma(from_third);

	CHECK(vma.offset == 3 * PAGE && !strcmp(vma.path, workload_path("data")),
	      "it is a mapping of %s from %llx on", vma.path, vma.offset);
	workload_pass();
}
