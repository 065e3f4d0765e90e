// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: memory of all kinds with pages of zeroes comes back, also after pages have changed
 *
 * With DIR/shrink.huge, huge pages are among it. Each time that DIR/shrink.step appears, pages
 * become others, and the file goes away: what was zero holds data, data became zeroes, some is as
 * it was two steps before. A child, which shares most pages with its parent since it was forked,
 * does likewise.
 */
#include "aio.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { PAGE = 4096, HUGE = 2 << 20, PAGES = 120, HUGE_PAGES = 2, AIO_NR = 4, AIO_PART = 64 };

/* What was below pages that were never written. */
enum below { ZEROES, FILE_DATA };

struct area {
	const char *what;
	enum below below;
	/* Others than the owner see it as it is. */
	bool shared;
	/* The protection while nobody changes it. */
	int prot;
	uint8_t *memory;
	int pages;
};

enum { MAX_AREAS = 16 };

static struct area areas[MAX_AREAS];
static int nr_areas;
static const uint8_t zero_page[PAGE];

/* ---- what pages hold ------------------------------------------------------------------------- */

enum content { UNTOUCHED, ZERO, DATA };

struct page {
	enum content content;
	uint64_t seed;
};

/* What a page holds at a step. @who tells parent and child apart where they differ. */
static struct page expected(int area, int i, int step, int who)
{
	uint64_t own = (uint64_t)(area + 1) << 32 | (uint64_t)i << 8;
	const struct page zero = {ZERO, 0}, constant = {DATA, own};

	if (areas[area].shared)
		who = 0;
	if (who && i % 5 == 1)
		return (i + step) % 2 ? zero : (struct page){DATA, own + 16 + (uint64_t)step};
	switch (i % 8) {
	case 0:
	case 1:
		return zero;
	case 2:
		return constant;
	case 3:
		return (struct page){DATA, own + 32 + (uint64_t)step};
	case 4:
		return step % 2 ? zero : constant;
	case 5:
		return step % 2 ? constant : zero;
	case 6:
		return (struct page){DATA, own + (uint64_t)(step % 2)};
	default:
		return (struct page){UNTOUCHED, 0};
	}
}

static bool same(struct page a, struct page b)
{
	return a.content == b.content && a.seed == b.seed;
}

static void set_page(const struct area *area, int i, struct page page)
{
	uint8_t *memory = area->memory + (size_t)i * PAGE;

	/* A page of zeroes that is there, rather than the kernel's own. */
	if (page.content != UNTOUCHED)
		workload_fill(memory, PAGE, 1);
	if (page.content == ZERO)
		memset(memory, 0, PAGE);
	else if (page.content == DATA)
		workload_fill(memory, PAGE, page.seed);
}

/* From the step before to @step; from nothing to step 0. */
static void change(int step, int who)
{
	for (int a = 0; a < nr_areas; a++) {
		const struct area *area = &areas[a];
		size_t size = (size_t)area->pages * PAGE;

		if (area->shared && who)
			continue;
		CHECK_CALL(!mprotect(area->memory, size, PROT_READ | PROT_WRITE));
		for (int i = 0; i < area->pages; i++) {
			struct page page = expected(a, i, step, who);

			/* The child begins with its parent's pages of step 0. */
			if ((step == 0 && !who) ||
			    !same(page, expected(a, i, step ? step - 1 : 0, step ? who : 0)))
				set_page(area, i, page);
		}
		CHECK_CALL(!mprotect(area->memory, size, area->prot));
	}
}

static void check_page(const struct area *area, int i, struct page page, int step)
{
	const uint8_t *memory = area->memory + (size_t)i * PAGE;
	static uint8_t filled[PAGE];

	if (page.content == DATA)
		workload_fill(filled, PAGE, page.seed);
	else if (page.content == UNTOUCHED && area->below == FILE_DATA)
		workload_fill(filled, PAGE, 7);
	else
		memset(filled, 0, PAGE);
	/* Each page of the file has the same content. */
	CHECK(!memcmp(memory, filled, PAGE), "%s: page %d is not that of step %d", area->what, i,
	      step);
}

static void check(int step, int who)
{
	for (int a = 0; a < nr_areas; a++) {
		const struct area *area = &areas[a];

		CHECK_CALL(!mprotect(area->memory, (size_t)area->pages * PAGE, PROT_READ));
		for (int i = 0; i < area->pages; i++)
			check_page(area, i, expected(a, i, step, who), step);
	}
}

/* ---- areas ----------------------------------------------------------------------------------- */

static struct area *add(const char *what, enum below below, void *memory, int pages)
{
	struct area *area = &areas[nr_areas++];

	CHECK(memory != MAP_FAILED, "%s: %s", what, strerror(errno));
	*area = (struct area){
		.what = what,
		.below = below,
		.prot = PROT_READ | PROT_WRITE,
		.memory = memory,
		.pages = pages,
	};
	return area;
}

static void *map(int flags, int fd)
{
	return mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
}

static int make_memfd(void)
{
	int fd = memfd_create("shrink", MFD_ALLOW_SEALING);

	CHECK_CALL(fd >= 0);
	for (int i = 0; i < PAGES; i++) {
		uint8_t page[PAGE];

		workload_fill(page, PAGE, 7);
		CHECK_CALL(write(fd, page, PAGE) == PAGE);
	}
	return fd;
}

static void make_huge(const char *what, int flags)
{
	void *memory = mmap(NULL, HUGE_PAGES * HUGE, PROT_READ | PROT_WRITE,
			    flags | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);

	add(what, ZEROES, memory, HUGE_PAGES * HUGE / PAGE)->shared = flags == MAP_SHARED;
}

static void make_stack(void)
{
	char *room = mmap(NULL, 4 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_CALL(room != MAP_FAILED && !munmap(room, 4 << 20));
	char *top = room + (3 << 20);
	char *memory =
		mmap(top - PAGE, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);

	CHECK_CALL(memory == top - PAGE);
	for (int i = 1; i <= PAGES; i++)
		top[-i * PAGE] = 0;
	add("memory that has grown downwards", ZEROES, top - PAGES * PAGE, PAGES);
}

static void make_areas(void)
{
	int file = open(workload_path("data"), O_RDWR), memfd = make_memfd();
	void *heap;

	CHECK_CALL(file >= 0);
	add("private memory", ZEROES, map(MAP_PRIVATE | MAP_ANONYMOUS, -1), PAGES);
	add("read-only memory", ZEROES, map(MAP_PRIVATE | MAP_ANONYMOUS, -1), PAGES)->prot =
		PROT_READ;
	add("memory without access", ZEROES, map(MAP_PRIVATE | MAP_ANONYMOUS, -1), PAGES)->prot =
		PROT_NONE;
	heap = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	add("locked memory", ZEROES, heap, PAGES);
	CHECK_CALL(!mlock(heap, PAGES * PAGE));
	CHECK_CALL(!posix_memalign(&heap, PAGE, PAGES * PAGE));
	memset(heap, 0, PAGES * PAGE);
	add("the heap", ZEROES, heap, PAGES);
	make_stack();
	add("a private mapping of a file", FILE_DATA, map(MAP_PRIVATE, file), PAGES);
	add("a private mapping of a memfd", FILE_DATA, map(MAP_PRIVATE, memfd), PAGES);
	CHECK_CALL(!fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
	add("shared memory", ZEROES, map(MAP_SHARED | MAP_ANONYMOUS, -1), PAGES)->shared = true;
	memfd = memfd_create("shrink-2", 0);
	CHECK_CALL(memfd >= 0 && !ftruncate(memfd, PAGES * PAGE));
	add("a memfd", ZEROES, map(MAP_SHARED, memfd), PAGES)->shared = true;
	/* There are not enough for all workloads at once. */
	if (access(workload_path("huge"), F_OK))
		return;
	make_huge("private huge pages", MAP_PRIVATE);
	make_huge("shared huge pages", MAP_SHARED);
}

/* Memory in whose place there is none, or other one, by turns. */
static uint8_t *renewed;

static void renew(int step)
{
	if (!renewed)
		renewed = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_CALL(renewed != MAP_FAILED);
	CHECK_CALL(mmap(renewed, PAGES * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == renewed);
	for (int i = step % 3; i < PAGES; i += 3)
		workload_fill(renewed + i * PAGE, PAGE, (uint64_t)i);
}

static void check_renewed(int step)
{
	for (int i = 0; i < PAGES; i++)
		if (i % 3 == step % 3)
			workload_check_fill(renewed + i * PAGE, PAGE, (uint64_t)i,
					    "memory that was mapped anew");
		else
			CHECK(!memcmp(renewed + i * PAGE, zero_page, PAGE),
			      "page %d of what was mapped anew is not zero", i);
}

/* ---- the two processes ----------------------------------------------------------------------- */

static int to_child[2], to_parent[2];

static void run_child(void)
{
	int step = 0;
	char command;

	CHECK_CALL(write(to_parent[1], "", 1) == 1);
	for (;;) {
		CHECK_CALL(read(to_child[0], &command, 1) == 1);
		if (command == 'e')
			break;
		change(step++, 1);
		CHECK_CALL(write(to_parent[1], "", 1) == 1);
	}
	check(step - 1, 1);
	_exit(0);
}

/* Have the child do something, and wait until it has. */
static void tell_child(char command)
{
	char answer;

	CHECK_CALL(write(to_child[1], &command, 1) == 1);
	if (command != 'e')
		CHECK_CALL(read(to_parent[0], &answer, 1) == 1);
}

static void take_step(int step)
{
	if (step)
		change(step, 0);
	renew(step);
	tell_child('s');
}

static void prepare(void)
{
	uint8_t page[PAGE];
	int fd = open(workload_path("data"), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	workload_fill(page, PAGE, 7);
	CHECK_CALL(fd >= 0);
	for (int i = 0; i < PAGES; i++)
		CHECK_CALL(write(fd, page, PAGE) == PAGE);
	CHECK_CALL(!fchmod(fd, 0644));
	close(fd);
}

int main(int argc, char **argv)
{
	static uint8_t buffers[AIO_NR][AIO_PART];
	struct io_event events[AIO_NR];
	int step = 0, status;
	char answer;

	workload_start(argc, argv, prepare);
	make_areas();
	change(0, 0);
	CHECK_CALL(!pipe(to_child) && !pipe(to_parent));
	pid_t child = fork();

	CHECK_CALL(child >= 0);
	if (!child)
		run_child();
	CHECK_CALL(read(to_parent[0], &answer, 1) == 1);
	take_step(0);

	int file = open(workload_path("data"), O_RDONLY);
	aio_context_t context = aio_setup(AIO_NR);

	for (int i = 0; i < AIO_NR; i++)
		aio_submit(context, IOCB_CMD_PREAD, file, buffers[i], AIO_PART, i * AIO_PART,
			   (uint64_t)i);
	workload_ready();
	while (!workload_go()) {
		if (!access(workload_path("step"), F_OK)) {
			take_step(++step);
			CHECK_CALL(!unlink(workload_path("step")));
		}
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);
	}
	check(step, 0);
	check_renewed(step);
	tell_child('e');
	CHECK_CALL(waitpid(child, &status, 0) == child);
	CHECK(!status, "the child ended with status 0x%x", status);
	CHECK(aio_take(context, AIO_NR, events) == AIO_NR, "events of asynchronous I/O are lost");
	workload_pass();
}
