// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a symbolic link that is itself open (O_PATH and O_NOFOLLOW) leads to the same place
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/stat.h>

static const char target[] = "somewhere/else";

static void prepare(void)
{
	unlink(workload_path("link"));
	CHECK_CALL(!symlink(target, workload_path("link")));
}

int main(int argc, char **argv)
{
	char found[64] = "";
	struct stat st;

	workload_start(argc, argv, prepare);

	int fd = open(workload_path("link"), O_PATH | O_NOFOLLOW);
	int flags = fcntl(fd, F_GETFL);

	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	workload_ready();
	workload_wait();
	CHECK_CALL(!fstat(40, &st));
	CHECK(S_ISLNK(st.st_mode), "fd 40 is of mode %o", st.st_mode);
	CHECK_CALL(readlinkat(40, "", found, sizeof(found) - 1) > 0);
	CHECK(!strcmp(found, target), "the link leads to %s", found);
	CHECK(fcntl(40, F_GETFL) == flags, "the flags are 0%o, were 0%o", fcntl(40, F_GETFL),
	      flags);
	workload_pass();
}
