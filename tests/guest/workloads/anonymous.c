// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: 64 MiB of private memory come back: data, zero pages and holes, each where it was
 */
#include "workload.h"

#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 64 << 20 >> 12 };

enum kind { DATA, ZERO_READ, ZERO_WRITTEN, UNTOUCHED, LAST_BYTE, KINDS };

/* Stretches of one kind of many lengths, single pages too. */
static enum kind kind_of(size_t page)
{
	return workload_word(page / 512 % 2 ? 3 : 4, page / 512 % 2 ? page : page / 37) % KINDS;
}

static void fill(uint8_t *page, size_t number)
{
	switch (kind_of(number)) {
	case DATA:
		workload_fill(page, PAGE, number);
		break;
	case ZERO_READ:
		CHECK(!*(volatile uint8_t *)page, "new memory isn't zero");
		break;
	case ZERO_WRITTEN:
		*(volatile uint8_t *)page = 0;
		break;
	case LAST_BYTE:
		page[PAGE - 1] = 0xa5;
		break;
	default:
		break;
	}
}

static void check(const uint8_t *page, size_t number)
{
	static const uint8_t zero[PAGE];
	size_t zeros = PAGE;

	switch (kind_of(number)) {
	case DATA:
		workload_check_fill(page, PAGE, number, "a page of data");
		return;
	case LAST_BYTE:
		CHECK(page[--zeros] == 0xa5, "page %zu lost its last byte", number);
		break;
	default:
		break;
	}
	CHECK(!memcmp(page, zero, zeros), "page %zu isn't zero where it was", number);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	uint8_t *memory = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_CALL(memory != MAP_FAILED);
	for (size_t i = 0; i < PAGES; i++)
		fill(memory + i * PAGE, i);
	workload_ready();
	workload_wait();
	for (size_t i = 0; i < PAGES; i++)
		check(memory + i * PAGE, i);
	/* It can be written, and the zero page behind some of it can not. */
	memset(memory, 0xff, (size_t)PAGES * PAGE);
	workload_pass();
}
