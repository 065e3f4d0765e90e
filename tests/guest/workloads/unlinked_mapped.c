// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a program goes on whose executable file and mapped files were replaced
 * @dump: --ghost-limit 8M
 */
#include "workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { SIZE = 3 << 20, PAGE = 4096, TOUCHED = 5 * PAGE };

static void copy(const char *from, const char *to)
{
	static char buffer[1 << 16];
	int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_EXCL | O_WRONLY, 0755);
	ssize_t len;

	CHECK_CALL(in >= 0 && out >= 0);
	while ((len = read(in, buffer, sizeof(buffer))) > 0)
		CHECK_CALL(write(out, buffer, (size_t)len) == len);
	CHECK_CALL(!len && !close(in) && !close(out));
}

/* Becomes a copy of itself, whose file is then removed. */
static void replace(char **argv)
{
	char path[256];

	snprintf(path, sizeof(path), "%s", workload_path("program"));
	if (getenv("REPLACED")) {
		CHECK_CALL(!unlink(path));
		return;
	}
	unlink(path);
	copy("/proc/self/exe", path);
	CHECK_CALL(!setenv("REPLACED", "1", 1));
	execv(path, argv);
	workload_fail("%s: %s", path, strerror(errno));
}

static uint8_t *map(int flags)
{
	int fd = open(workload_path("library"), O_RDWR);
	uint8_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	CHECK_CALL(fd >= 0 && memory != MAP_FAILED && !close(fd));
	return memory;
}

int main(int argc, char **argv)
{
	char path[256] = "";

	workload_start(argc, argv, NULL);
	replace(argv);
	workload_make_file("library", SIZE, 61);

	uint8_t *private = map(MAP_PRIVATE), *shared = map(MAP_SHARED);

	CHECK_CALL(!unlink(workload_path("library")));
	workload_fill(private + TOUCHED, PAGE, 62);
	workload_fill(shared, PAGE, 63);
	workload_ready();
	workload_wait();
	workload_check_fill(private + TOUCHED, PAGE, 62, "what was changed of the private mapping");
	workload_check_fill(shared, PAGE, 63, "what was changed of the shared mapping");
	workload_check_fill(private, PAGE, 63, "what the private mapping shows of it");
	for (size_t i = 6 * PAGE; i < SIZE; i += PAGE)
		CHECK(!memcmp(private + i, shared + i, PAGE), "the mappings differ at %zu", i);
	CHECK(*(uint64_t *)(private + SIZE - 8) == workload_word(61, SIZE / 8 - 1),
	      "the end of the file is lost");
	CHECK_CALL(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	CHECK(strstr(path, " (deleted)"), "the executable is %s", path);
	workload_pass();
}
