// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: directories without a name are there again: the current one, one that is open, an
 * outer one of both; so are files in them, and FIFOs without a name with what is in them
 */
#include "workload.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int make_directory(const char *what)
{
	CHECK_CALL(!mkdir(workload_path(what), 0700));

	int fd = open(workload_path(what), O_RDONLY | O_DIRECTORY);

	CHECK_CALL(fd >= 0);
	return fd;
}

static void check_directory(int fd, const char *what, mode_t mode)
{
	struct dirent *entry;
	struct stat st;
	DIR *directory;

	CHECK_CALL(!fstat(fd, &st));
	CHECK(S_ISDIR(st.st_mode) && (st.st_mode & 07777) == mode, "%s: mode %o", what, st.st_mode);
	directory = fdopendir(dup(fd));
	CHECK_CALL(directory);
	while ((entry = readdir(directory)))
		CHECK(entry->d_name[0] == '.', "%s: holds %s", what, entry->d_name);
	closedir(directory);
}

static int make_fifo(void)
{
	CHECK_CALL(!mkfifo(workload_path("fifo"), 0600));

	int fd = open(workload_path("fifo"), O_RDWR);

	CHECK_CALL(fd >= 0 && !unlink(workload_path("fifo")) && write(fd, "waiting", 7) == 7);
	return fd;
}

int main(int argc, char **argv)
{
	char text[16] = "";
	struct stat st, now;

	workload_start(argc, argv, NULL);

	int outer = make_directory("outer"), inner = make_directory("outer/inner");
	int file = open(workload_path("outer/inner/file"), O_CREAT | O_RDWR, 0600);

	CHECK_CALL(file >= 0 && write(file, "content", 7) == 7);
	CHECK_CALL(!fchdir(inner) && !fchmod(inner, 01751));
	CHECK_CALL(!unlink(workload_path("outer/inner/file")));
	CHECK_CALL(!rmdir(workload_path("outer/inner")) && !rmdir(workload_path("outer")));

	int other = make_directory("other"), fifo = make_fifo();

	CHECK_CALL(!rmdir(workload_path("other")));
	workload_ready();
	workload_wait();
	check_directory(outer, "the outer one", 0700);
	check_directory(inner, "the inner one", 01751);
	check_directory(other, "another one", 0700);
	CHECK_CALL(!fstat(inner, &st) && !stat(".", &now));
	CHECK(st.st_ino == now.st_ino && st.st_dev == now.st_dev,
	      "the current directory is another one");
	CHECK(pread(file, text, 8, 0) == 7 && !memcmp(text, "content", 7),
	      "the file in the directory holds \"%s\"", text);
	CHECK(read(fifo, text, 8) == 7 && !memcmp(text, "waiting", 7), "the FIFO held \"%s\"",
	      text);
	CHECK(!fstat(fifo, &st) && S_ISFIFO(st.st_mode) && !st.st_nlink, "the FIFO has a name");
	for (int i = 0; i < 3; i++)
		CHECK(access(workload_path(i == 0   ? "outer"
					   : i == 1 ? "other"
						    : "fifo"),
			     F_OK),
		      "a name is back");
	workload_pass();
}
