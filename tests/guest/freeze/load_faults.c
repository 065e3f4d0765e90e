// SPDX-License-Identifier: GPL-2.0-only
/* Page faults of all kinds; what is in the pages is checked each time. */
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

enum { PAGE = 4096, PAGES = 256, SIZE = PAGE * PAGES, THREADS = 4, COW_PROCESSES = 2 };

static __thread sigjmp_buf after_fault;
static __thread void *volatile fault_at;

static char *map(void)
{
	char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	return memory;
}

static void fill(char *memory, uint64_t seed)
{
	for (size_t i = 0; i < PAGES; i++)
		*(uint64_t *)(memory + i * PAGE + (seed + i) % 500 * 8) = seed + i;
}

static void expect_filled(const struct slot *slot, const char *memory, uint64_t seed,
			  const char *when)
{
	for (size_t i = 0; i < PAGES; i++) {
		uint64_t found = *(const uint64_t *)(memory + i * PAGE + (seed + i) % 500 * 8);

		CHECK(found == seed + i, "%s: page %zu has 0x%llx, not 0x%llx, %s", slot->name, i,
		      (unsigned long long)found, (unsigned long long)(seed + i), when);
	}
}

static void expect_zero(const struct slot *slot, const char *memory, uint64_t seed)
{
	for (size_t i = 0; i < PAGES; i++)
		CHECK(!*(const uint64_t *)(memory + i * PAGE + (seed + i) % 500 * 8),
		      "%s: page %zu isn't empty", slot->name, i);
}

static void handle_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (!fault_at || info->si_addr != fault_at)
		load_fail("a fault at %p", info->si_addr);
	siglongjmp(after_fault, 1);
}

/* A write to a page that is read-only now has to end in the handler. */
static void expect_fault(const struct slot *slot, char *address)
{
	fault_at = address;
	if (!sigsetjmp(after_fault, 1)) {
		*(volatile char *)address = 1;
		load_fail("%s: a read-only page was written", slot->name);
	}
	fault_at = NULL;
}

static void *fault(void *arg)
{
	struct slot *slot = arg;
	uint64_t seed = (uint64_t)(slot - area->slots) << 32;

	slot->tid = gettid();
	for (; !load_stopping(); seed++) {
		char *memory = map();

		expect_zero(slot, memory, seed);
		fill(memory, seed);
		expect_filled(slot, memory, seed, "after it was written");
		mprotect(memory, SIZE, PROT_READ);
		expect_fault(slot, memory + seed % PAGES * PAGE);
		expect_filled(slot, memory, seed, "when it is read-only");
		mprotect(memory, SIZE, PROT_READ | PROT_WRITE);
		memory = mremap(memory, SIZE, 2 * SIZE, MREMAP_MAYMOVE);
		CHECK(memory != MAP_FAILED, "mremap: %s", strerror(errno));
		expect_filled(slot, memory, seed, "after it was moved");
		madvise(memory, SIZE, MADV_DONTNEED);
		expect_zero(slot, memory, seed);
		munmap(memory, 2 * SIZE);
		load_turn(slot);
	}
	return NULL;
}

struct cow {
	struct slot *slot;
	char *memory;
	uint64_t seed;
};

static int copy_on_write(void *arg)
{
	struct cow *cow = arg;

	expect_filled(cow->slot, cow->memory, cow->seed, "in the child");
	fill(cow->memory, cow->seed + 1);
	expect_filled(cow->slot, cow->memory, cow->seed + 1, "written by the child");
	return 0;
}

static int share_pages(void *arg)
{
	struct cow cow = {.slot = arg, .memory = map()};

	cow.slot->tid = gettid();
	while (!load_stopping()) {
		fill(cow.memory, cow.seed);
		pid_t pid = load_fork(copy_on_write, &cow);

		expect_filled(cow.slot, cow.memory, cow.seed, "beside a child");
		load_reap(pid, 0);
		expect_filled(cow.slot, cow.memory, cow.seed, "after the child's end");
		cow.seed += 2;
		load_turn(cow.slot);
	}
	return 0;
}

void load_faults(void)
{
	struct sigaction action = {.sa_sigaction = handle_fault, .sa_flags = SA_SIGINFO};
	pthread_t threads[THREADS];
	pid_t pids[COW_PROCESSES];

	sigaction(SIGSEGV, &action, NULL);
	for (int i = 0; i < COW_PROCESSES; i++)
		pids[i] = load_fork(share_pages, load_slot("cow"));
	for (int i = 0; i < THREADS; i++)
		threads[i] = load_thread(fault, load_slot("fault"));
	area->ready = 1;
	for (int i = 0; i < THREADS; i++)
		load_join(threads[i]);
	for (int i = 0; i < COW_PROCESSES; i++)
		load_reap(pids[i], 0);
}
