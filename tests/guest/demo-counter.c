// SPDX-License-Identifier: GPL-2.0-only
/*
 * Four threads that count, each a thousand times a second at most; a fifth
 * writes the counts into a file. The counts are nowhere but in memory: the file
 * is written anew each time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4 };

static unsigned long counts[THREADS];

static void *count(void *arg)
{
	unsigned long *mine = arg;

	for (;;) {
		__atomic_add_fetch(mine, 1, __ATOMIC_RELAXED);
		usleep(1000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	char temporary[256];

	if (argc != 2)
		return 2;
	snprintf(temporary, sizeof(temporary), "%s.new", argv[1]);
	setsid();
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, count, &counts[i]))
			return 1;
	}
	for (;;) {
		FILE *file = fopen(temporary, "we");

		if (!file)
			return 1;
		for (int i = 0; i < THREADS; i++)
			fprintf(file, "%lu ", __atomic_load_n(&counts[i], __ATOMIC_RELAXED));
		fprintf(file, "\n");
		fclose(file);
		rename(temporary, argv[1]);
		usleep(100000);
	}
}
