// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: /proc shows the same arguments, environment, auxiliary vector, ranges and executable
 */
#include "workload.h"

#include <elf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>

enum { SIZE = 16384 };

struct view {
	size_t cmdline_length, environ_length, auxv_words;
	char cmdline[SIZE], environ[SIZE];
	uint64_t auxv[128];
	/* start_code end_code start_stack; start_data end_data start_brk and the four of arg, env.
	 */
	unsigned long ranges[10];
	char exe[PATH_MAX];
};

static void read_ranges(struct view *view)
{
	char text[2048], *at;
	int field;

	workload_proc("stat", text, sizeof(text));
	at = strrchr(text, ')');
	for (field = 2; at && field <= 51; field++, at = strchr(at + 1, ' ')) {
		if (field >= 26 && field <= 28)
			view->ranges[field - 26] = strtoul(at, NULL, 10);
		if (field >= 45)
			view->ranges[field - 42] = strtoul(at, NULL, 10);
	}
	CHECK(field == 52, "/proc/self/stat has %d fields only", field);
}

static struct view *look(void)
{
	struct view *view = calloc(1, sizeof(*view));

	view->cmdline_length = workload_proc("cmdline", view->cmdline, SIZE);
	view->environ_length = workload_proc("environ", view->environ, SIZE);
	workload_proc("auxv", (char *)view->auxv, sizeof(view->auxv));
	while (view->auxv[view->auxv_words] != AT_NULL)
		view->auxv_words += 2;
	read_ranges(view);
	CHECK_CALL(readlink("/proc/self/exe", view->exe, sizeof(view->exe) - 1) > 0);
	return view;
}

static void compare(const struct view *now, const struct view *before)
{
	CHECK(now->cmdline_length == before->cmdline_length &&
		      !memcmp(now->cmdline, before->cmdline, before->cmdline_length),
	      "the arguments are \"%s\"..., were \"%s\"...", now->cmdline, before->cmdline);
	CHECK(now->environ_length == before->environ_length &&
		      !memcmp(now->environ, before->environ, before->environ_length),
	      "the environment changed from %zu bytes to %zu", before->environ_length,
	      now->environ_length);
	CHECK(now->auxv_words == before->auxv_words, "the auxiliary vector has %zu words, had %zu",
	      now->auxv_words, before->auxv_words);
	for (size_t i = 0; i < before->auxv_words; i++)
		CHECK(now->auxv[i] == before->auxv[i], "auxiliary word %zu is %llx, was %llx", i,
		      (long long)now->auxv[i], (long long)before->auxv[i]);
	for (int i = 0; i < 10; i++)
		CHECK(now->ranges[i] == before->ranges[i], "range %d is %lx, was %lx", i,
		      now->ranges[i], before->ranges[i]);
	CHECK(!strcmp(now->exe, before->exe), "the executable is %s, was %s", now->exe,
	      before->exe);
}

int main(int argc, char **argv)
{
	struct stat exe, path;

	workload_start(argc, argv, NULL);

	struct view *before = look();

	workload_ready();
	workload_wait();
	compare(look(), before);
	CHECK(argc == 2 && !strcmp(argv[0], before->cmdline), "argv[0] is %s", argv[0]);
	CHECK_CALL(!stat("/proc/self/exe", &exe) && !stat(before->exe, &path));
	CHECK(exe.st_ino == path.st_ino && exe.st_dev == path.st_dev,
	      "/proc/self/exe isn't the file %s", before->exe);
	workload_pass();
}
