// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an open directory is the same one, and names are looked up in it
 */
#include "workload.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static void prepare(void)
{
	mkdir(workload_path("directory"), 0755);
	workload_make_file("directory/inside", 100, 61);
}

/* The names, but "." and "..". */
static int count_names(int fd)
{
	DIR *directory = fdopendir(dup(fd));
	int count = 0;

	CHECK_CALL(directory);
	rewinddir(directory);
	for (struct dirent *entry; (entry = readdir(directory));)
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

int main(int argc, char **argv)
{
	struct stat by_fd, by_path;

	workload_start(argc, argv, prepare);

	int fd = open(workload_path("directory"), O_RDONLY | O_DIRECTORY);
	int path_fd = open(workload_path("directory"), O_PATH | O_DIRECTORY);

	CHECK_CALL(fd >= 0 && path_fd >= 0);
	workload_ready();
	workload_wait();
	CHECK_CALL(!fstat(fd, &by_fd) && !stat(workload_path("directory"), &by_path));
	CHECK(by_fd.st_ino == by_path.st_ino && by_fd.st_dev == by_path.st_dev &&
		      S_ISDIR(by_fd.st_mode),
	      "the descriptor isn't of this directory");
	CHECK(count_names(fd) == 1, "it has %d names, not 1", count_names(fd));
	CHECK(openat(fd, "inside", O_RDONLY) >= 0, "a name isn't found: %s", strerror(errno));
	CHECK(openat(path_fd, "inside", O_RDONLY) >= 0, "by O_PATH a name isn't found: %s",
	      strerror(errno));
	workload_pass();
}
