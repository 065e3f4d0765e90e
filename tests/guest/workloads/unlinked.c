// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: open and mapped files without a name keep content, holes, times and what shares them
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { PAGE = 4096, SIZE = 300001, HOLE = 5 * PAGE, BEHIND = 40 * PAGE, MTIME = 1000000000 };

/* The name is in use again, in the other VM, too. */
static void prepare(void)
{
	workload_make_file("again", 1000, 91);
}

static int make(const char *what, int flags, size_t length, uint64_t seed)
{
	int fd = open(workload_path(what), O_CREAT | O_TRUNC | O_RDWR | flags, 0640);
	static uint8_t content[SIZE];

	CHECK_CALL(fd >= 0);
	workload_fill(content, length, seed);
	CHECK_CALL(write(fd, content, length) == (ssize_t)length);
	return fd;
}

static void check(int fd, off_t from, size_t length, uint64_t seed, const char *what)
{
	static uint8_t found[SIZE];

	CHECK(pread(fd, found, length, from) == (ssize_t)length, "%s: is too short", what);
	workload_check_fill(found, length, seed, what);
}

static int make_sparse(void)
{
	const struct timespec times[] = {{.tv_sec = MTIME + 5}, {MTIME, 123456000}};
	int fd = make("sparse", 0, HOLE, 92);
	uint8_t end[PAGE + 7];

	workload_fill(end, sizeof(end), 93);
	CHECK_CALL(pwrite(fd, end, sizeof(end), BEHIND) == sizeof(end) && !ftruncate(fd, SIZE));
	CHECK_CALL(!fchown(fd, 12, 34) && !fchmod(fd, 0604) && !futimens(fd, times));
	CHECK_CALL(!unlink(workload_path("sparse")));
	return fd;
}

static void check_sparse(int fd)
{
	static const uint8_t zeroes[SIZE];
	static uint8_t found[SIZE];
	struct stat st;

	CHECK_CALL(!fstat(fd, &st));
	CHECK(st.st_size == SIZE && !st.st_nlink && st.st_mode == (S_IFREG | 0604) &&
		      st.st_uid == 12 && st.st_gid == 34,
	      "size %ld, links %ld, mode %o, owner %u:%u", (long)st.st_size, (long)st.st_nlink,
	      st.st_mode, st.st_uid, st.st_gid);
	CHECK(st.st_mtim.tv_sec == MTIME && st.st_mtim.tv_nsec == 123456000,
	      "modified at %ld.%09ld", (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	CHECK(st.st_blocks < SIZE / 512 / 2, "the holes are filled: %ld", (long)st.st_blocks);
	check(fd, 0, HOLE, 92, "before the hole");
	check(fd, BEHIND, PAGE + 7, 93, "behind the hole");
	CHECK_CALL(pread(fd, found, BEHIND - HOLE, HOLE) == BEHIND - HOLE);
	CHECK(!memcmp(found, zeroes, BEHIND - HOLE), "the hole isn't empty");
	CHECK_CALL(pread(fd, found, SIZE, BEHIND + PAGE + 7) == SIZE - BEHIND - PAGE - 7);
	CHECK(!memcmp(found, zeroes, SIZE - BEHIND - PAGE - 7), "the end isn't empty");
}

static uint8_t *map(void)
{
	int fd = make("mapped", 0, 3 * PAGE, 94);
	uint8_t *memory = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK_CALL(memory != MAP_FAILED && !close(fd) && !unlink(workload_path("mapped")));
	workload_fill(memory + PAGE, PAGE, 95);
	return memory;
}

static int make_in_directory(void)
{
	CHECK_CALL(!mkdir(workload_path("directory"), 0700));

	int fd = make("directory/file", 0, 77, 96);

	CHECK_CALL(!unlink(workload_path("directory/file")));
	CHECK_CALL(!rmdir(workload_path("directory")));
	return fd;
}

static int make_tmpfile(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

	CHECK_CALL(fd >= 0 && write(fd, "nameless", 8) == 8);
	return fd;
}

int main(int argc, char **argv)
{
	char text[16] = "";
	struct stat st;

	workload_start(argc, argv, prepare);

	int small = make("small", O_APPEND, 500, 97);
	int reader = open(workload_path("small"), O_RDONLY), again;

	CHECK_CALL(reader >= 0 && !unlink(workload_path("small")) && dup2(small, 40) == 40);
	CHECK_CALL(lseek(reader, 123, SEEK_SET) == 123);
	again = open(workload_path("again"), O_RDWR);
	CHECK_CALL(again >= 0 && pwrite(again, "old", 3, 0) == 3 &&
		   !unlink(workload_path("again")));
	workload_make_file("again", 1000, 91);

	int sparse = make_sparse(), inside = make_in_directory(), nameless = make_tmpfile();
	int empty = make("empty", 0, 0, 0);
	uint8_t *memory = map();

	CHECK_CALL(!unlink(workload_path("empty")));
	workload_ready();
	workload_wait();
	check(reader, 0, 500, 97, "the small file");
	CHECK(lseek(reader, 0, SEEK_CUR) == 123, "the position is lost");
	CHECK(write(40, "more", 4) == 4 && pread(reader, text, 9, 500) == 4 &&
		      !memcmp(text, "more", 4),
	      "the two descriptors have different files");
	CHECK(fcntl(small, F_GETFL) & O_APPEND, "O_APPEND is lost");
	CHECK(pread(again, text, 3, 0) == 3 && !memcmp(text, "old", 3), "the older file is lost");
	check_sparse(sparse);
	check(inside, 0, 77, 96, "the file in the directory");
	CHECK(pread(nameless, text, 9, 0) == 8 && !memcmp(text, "nameless", 8),
	      "the file that never had a name held \"%s\"", text);
	CHECK(!fstat(empty, &st) && !st.st_size && !st.st_nlink, "the empty file isn't empty");
	workload_check_fill(memory + PAGE, PAGE, 95, "the mapped file, as written in memory");
	workload_check_fill(memory, PAGE, 94, "the mapped file");
	CHECK(access(workload_path("small"), F_OK) && access(workload_path("mapped"), F_OK),
	      "the files have names again");
	again = open(workload_path("again"), O_RDONLY);
	check(again, 0, 1000, 91, "the younger file");
	workload_pass();
}
