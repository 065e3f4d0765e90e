// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a file whose name is gone is opened by another one, or by the new one if it was
 * renamed
 */
#include "workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { SIZE = 10000, PAGE = 4096 };

static void prepare(void)
{
	workload_make_file("second", SIZE, 51);
	workload_make_file("renamed", SIZE, 52);
	workload_make_file("never", SIZE, 53);
}

static int open_name(const char *what)
{
	int fd = open(workload_path(what), O_RDWR);

	CHECK_CALL(fd >= 0);
	return fd;
}

/* It leaves the names that prepare() made, and opens the file by another one before. */
static void change_name(const char *from, const char *to, int (*change)(const char *, const char *))
{
	char name[256];

	snprintf(name, sizeof(name), "%s", workload_path(to));
	unlink(name);
	CHECK_CALL(!change(workload_path(from), name));
}

static void check(int fd, uint64_t seed, off_t position)
{
	uint8_t content[SIZE];
	struct stat st;

	CHECK_CALL(!fstat(fd, &st));
	CHECK(st.st_nlink == 1, "%u links", (unsigned int)st.st_nlink);
	CHECK(lseek(fd, 0, SEEK_CUR) == position, "the position is lost");
	CHECK_CALL(pread(fd, content, SIZE, 0) == SIZE);
	workload_check_fill(content, SIZE, seed, "the file");
}

/* A file that never had a name, until now. */
static int open_nameless(void)
{
	char path[64], name[256];
	uint8_t content[SIZE];
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0644);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snprintf(name, sizeof(name), "%s", workload_path("never"));
	workload_fill(content, SIZE, 53);
	CHECK_CALL(fd >= 0 && write(fd, content, SIZE) == SIZE && !unlink(name));
	if (linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW)) {
		CHECK_CALL(errno == EXDEV);
		close(fd);
		workload_make_file("never", SIZE, 53);
		fd = open_name("never");
		CHECK_CALL(lseek(fd, SIZE, SEEK_SET) == SIZE);
	}
	return fd;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, prepare);
	change_name("second", "first", link);

	int linked = open_name("first");
	uint8_t *memory = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, linked, 0);

	CHECK_CALL(memory != MAP_FAILED && !unlink(workload_path("first")));
	change_name("renamed", "before", rename);

	int renamed = open_name("before"), nameless = open_nameless();

	change_name("before", "renamed", rename);
	CHECK_CALL(lseek(linked, 77, SEEK_SET) == 77);
	workload_ready();
	workload_wait();
	check(linked, 51, 77);
	check(renamed, 52, 0);
	check(nameless, 53, SIZE);
	workload_check_fill(memory, SIZE, 51, "the mapping");
	workload_pass();
}
