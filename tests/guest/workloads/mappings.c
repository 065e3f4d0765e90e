// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: /proc/self/maps is the same: addresses, protections, offsets and files
 */
#include "workload.h"

#include <stdio.h>

enum { SIZE = 1 << 20 };

/* Nothing is allocated while looking: that could change what is seen. */
static char raw[SIZE], before[SIZE], now[SIZE];

/* Lines without device and inode number, and without what the kernel maps for itself. */
static void look(char *text)
{
	char path[256], prot[5];
	unsigned long from, to;
	unsigned long long offset;
	size_t used = 0;

	workload_proc("maps", raw, sizeof(raw));
	for (char *line = strtok(raw, "\n"); line; line = strtok(NULL, "\n")) {
		path[0] = 0;
		CHECK(sscanf(line, "%lx-%lx %4s %llx %*s %*s %255s", &from, &to, prot, &offset,
			     path) >= 4,
		      "odd line: %s", line);
		if (!strncmp(path, "[v", 2))
			continue;
		used += snprintf(text + used, SIZE - used, "%lx-%lx %s %llx %s\n", from, to, prot,
				 offset, path);
		CHECK(used < SIZE, "too many mappings");
	}
}

static void *run(void *arg)
{
	workload_wait();
	return arg;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	pthread_t thread = workload_thread(run, NULL);

	look(before);
	workload_ready();
	workload_wait();

	const char *line = before, *line_now = now;

	look(now);
	while (*line || *line_now) {
		size_t length = strcspn(line, "\n"), length_now = strcspn(line_now, "\n");

		CHECK(length == length_now && !memcmp(line, line_now, length),
		      "\"%.*s\" became \"%.*s\"", (int)length, line, (int)length_now, line_now);
		line += length + 1;
		line_now += length_now + 1;
	}
	pthread_join(thread, NULL);
	workload_pass();
}
