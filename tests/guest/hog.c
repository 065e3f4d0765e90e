// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process with MEBIBYTES of memory that waits for ever, by turns asleep and computing; for tests
 * and benches that need size rather than content.
 *
 *	hog MEBIBYTES
 *	hog vfork	wait uninterruptibly for a child that never ends
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void wait_uninterruptibly(void)
{
	if (!vfork())
		for (;;)
			pause();
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "vfork"))
		wait_uninterruptibly();

	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) << 20;
	volatile uint64_t *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < size / sizeof(*memory); i += 64)
		memory[i] = i * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (;;) {
		for (unsigned int i = 0; i < 10000000; i++)
			memory[0] += i;
		usleep(20000);
	}
}
