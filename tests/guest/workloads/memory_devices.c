// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: open null, zero, full, random and urandom devices are what they were
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const struct device {
	const char *path;
	unsigned int minor;
	int flags;
} devices[] = {
	{"/dev/null", 3, O_RDWR},	{"/dev/zero", 5, O_RDONLY},  {"/dev/full", 7, O_WRONLY},
	{"/dev/random", 8, O_NONBLOCK}, {"/dev/urandom", 9, O_RDWR},
};

enum { DEVICES = sizeof(devices) / sizeof(*devices), NULL_DEVICE = 0, ZERO, FULL, RANDOM, URANDOM };

static void check(int fd, const struct device *device)
{
	struct stat st;

	CHECK_CALL(!fstat(fd, &st));
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, device->minor),
	      "%s became device %u:%u", device->path, major(st.st_rdev), minor(st.st_rdev));

	int mask = O_ACCMODE | O_NONBLOCK, flags = fcntl(fd, F_GETFL) & mask;

	CHECK(flags == (device->flags & mask), "the flags of %s are 0%o, were 0%o", device->path,
	      flags, device->flags & mask);
}

int main(int argc, char **argv)
{
	uint8_t bytes[64], zero[64] = {0};
	int fds[DEVICES];

	workload_start(argc, argv, NULL);
	for (int i = 0; i < DEVICES; i++) {
		fds[i] = open(devices[i].path, devices[i].flags);
		CHECK(fds[i] >= 0, "%s: %s", devices[i].path, strerror(errno));
	}
	workload_ready();
	workload_wait();
	for (int i = 0; i < DEVICES; i++)
		check(fds[i], &devices[i]);
	CHECK(read(fds[NULL_DEVICE], bytes, 64) == 0 && write(fds[NULL_DEVICE], bytes, 64) == 64,
	      "/dev/null isn't empty");
	memset(bytes, 1, 64);
	CHECK(read(fds[ZERO], bytes, 64) == 64 && !memcmp(bytes, zero, 64), "/dev/zero isn't zero");
	CHECK(write(fds[FULL], bytes, 64) == -1 && errno == ENOSPC, "/dev/full isn't full");
	CHECK(read(fds[RANDOM], bytes, 64) == 64 || errno == EAGAIN, "/dev/random can't be read");
	CHECK(read(fds[URANDOM], bytes, 64) == 64 && memcmp(bytes, zero, 64),
	      "/dev/urandom isn't random");
	workload_pass();
}
