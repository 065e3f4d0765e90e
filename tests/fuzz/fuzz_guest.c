// SPDX-License-Identifier: GPL-2.0-only
/*
 * A recorded guest (tests/guest/snapshot), some of whose words are lies: processes are listed and
 * one is dumped. That has to end in time, and must neither crash nor take more than RAM accounts
 * for, nor say anything that a terminal would act upon.
 *
 * Input: lies of 12 bytes each (struct hostile_lie).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/gdb_peer.c"
#include "tests/unit/hostile.c"
#include "tests/unit/hostile_freeze.c"
#include "tests/unit/hostile_words.c"
#include "tests/unit/snapshot.c"

static struct hostile *guest;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The one that $OVM_FUZZ_SNAPSHOT names, else that of the kernel that most tests use. */
static const char *choose(char names[TEST_SNAPSHOTS][64], size_t nr)
{
	const char *name = getenv("OVM_FUZZ_SNAPSHOT");

	for (size_t i = 0; i < nr && !name; i++)
		if (!strcmp(names[i], "6.1"))
			name = names[i];
	return name ? name : names[0];
}

static void close_guest(void)
{
	hostile_close(guest);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char names[TEST_SNAPSHOTS][64], reason[640];
	size_t nr = test_snapshot_names(names);

	(void)argc;
	(void)argv;
	if (!nr) {
		printf("SKIP: no snapshots: run tests/guest/snapshot\n");
		exit(0);
	}
	if (!hostile_open(choose(names, nr), &guest, reason, sizeof(reason))) {
		fprintf(stderr, "%s\n", reason);
		exit(1);
	}
	atexit(close_guest);
	return 0;
}

static void must(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hostile_lie lies[HOSTILE_MAX_LIES];
	struct hostile_result result;
	size_t nr = size / sizeof(lies[0]);

	if (nr > HOSTILE_MAX_LIES)
		nr = HOSTILE_MAX_LIES;
	if (nr)
		memcpy(lies, data, nr * sizeof(lies[0]));
	hostile_round(guest, lies, nr, &result);
	must(result.milliseconds <= HOSTILE_MAX_MS);
	must(result.output / HOSTILE_MAX_OUTPUT <= hostile_ram_size(guest));
	must(!result.bad_text[0]);
	return 0;
}
