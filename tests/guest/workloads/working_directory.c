// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: working directory and umask are kept
 */
#include "workload.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static void prepare(void)
{
	mkdir(workload_path("directory"), 0755);
	mkdir(workload_path("directory/below"), 0755);
	workload_make_file("directory/below/here", 100, 71);
}

int main(int argc, char **argv)
{
	char before[PATH_MAX], now[PATH_MAX];
	struct stat st;

	workload_start(argc, argv, prepare);
	CHECK_CALL(!chdir(workload_path("directory/below")) && getcwd(before, sizeof(before)));
	umask(0135);
	workload_ready();
	workload_wait();
	CHECK(getcwd(now, sizeof(now)) && !strcmp(now, before), "the directory is %s, was %s", now,
	      before);
	CHECK(!access("here", R_OK), "a file in it isn't found: %s", strerror(errno));

	int fd = open("made", O_CREAT | O_TRUNC | O_RDWR, 0777);

	CHECK_CALL(fd >= 0 && !fstat(fd, &st) && !unlink("made"));
	CHECK((st.st_mode & 0777) == (0777 & ~0135), "a new file has mode 0%o", st.st_mode & 0777);
	CHECK(umask(0) == 0135, "the umask changed");
	workload_pass();
}
