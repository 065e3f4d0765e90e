// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a process of 5000 mappings has each of them again
 */
#include "workload.h"

#include <stdio.h>
#include <sys/mman.h>

enum { PAGE = 4096, MAPPINGS = 5000 };

/* Neighbours differ in protection, or they would be one mapping. */
static int prot(int i)
{
	return i % 2 ? PROT_READ : PROT_READ | PROT_WRITE;
}

static bool has_data(int i)
{
	return workload_word(77, i) % 3 == 0;
}

/* The protections of the pages from @start on, as /proc/self/maps has them. */
static void check_maps(const char *start)
{
	unsigned long from, to, expected = (unsigned long)start;
	char line[512], text[5];
	int seen = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	CHECK_CALL(maps);
	while (fgets(line, sizeof(line), maps)) {
		CHECK(sscanf(line, "%lx-%lx %4s", &from, &to, text) == 3, "odd line: %s", line);
		if (from < expected || seen == MAPPINGS)
			continue;
		CHECK(from == expected && to == from + PAGE, "mapping %d is %lx-%lx, was at %lx",
		      seen, from, to, expected);
		CHECK(!strcmp(text, seen % 2 ? "r--p" : "rw-p"), "mapping %d is %s", seen, text);
		expected = to;
		seen++;
	}
	fclose(maps);
	CHECK(seen == MAPPINGS, "there are %d mappings, there were %d", seen, MAPPINGS);
}

int main(int argc, char **argv)
{
	static const char zero[PAGE];

	workload_start(argc, argv, NULL);

	char *room =
		mmap(NULL, (MAPPINGS + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_CALL(room != MAP_FAILED);

	char *start = room + PAGE;

	CHECK_CALL(!mprotect(start, MAPPINGS * PAGE, PROT_READ | PROT_WRITE));
	for (int i = 0; i < MAPPINGS; i++) {
		if (has_data(i))
			workload_fill(start + i * PAGE, PAGE, i);
		if (prot(i) == PROT_READ)
			CHECK_CALL(!mprotect(start + i * PAGE, PAGE, PROT_READ));
	}
	workload_ready();
	workload_wait();
	check_maps(start);
	for (int i = 0; i < MAPPINGS; i++)
		if (has_data(i))
			workload_check_fill(start + i * PAGE, PAGE, i, "a page of data");
		else
			CHECK(!memcmp(start + i * PAGE, zero, PAGE), "mapping %d isn't zero", i);
	workload_pass();
}
