// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: the heap has the same end and contents, and can grow and shrink
 */
#include "workload.h"

#include <stdlib.h>

enum { SIZE = 5 * 1024 * 1024 + 123, NODES = 2000 };

struct node {
	struct node *next;
	size_t size;
	unsigned char bytes[];
};

static struct node *build(void)
{
	struct node *list = NULL;

	for (int i = 0; i < NODES; i++) {
		size_t size = workload_word(1, i) % 3000;
		struct node *node = malloc(sizeof(*node) + size);

		CHECK(node, "no memory");
		*node = (struct node){.next = list, .size = size};
		workload_fill(node->bytes, size, i);
		list = node;
	}
	return list;
}

/* Checks and frees: the allocator's own bookkeeping must be whole, too. */
static void take_down(struct node *list)
{
	for (int i = NODES - 1; i >= 0; i--) {
		struct node *next;

		CHECK(list, "the list ends %d nodes early", i + 1);
		next = list->next;
		workload_check_fill(list->bytes, list->size, i, "a block from malloc");
		free(list);
		list = next;
	}
	CHECK(!list, "the list doesn't end");
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	struct node *list = build();
	char *block = sbrk(SIZE), *end = sbrk(0);

	CHECK(block != (void *)-1, "sbrk: %s", strerror(errno));
	workload_fill(block, SIZE, 5);
	workload_ready();
	workload_wait();
	CHECK(sbrk(0) == end, "the heap ends at %p, ended at %p", sbrk(0), (void *)end);
	workload_check_fill(block, SIZE, 5, "heap");
	CHECK(sbrk(1 << 20) == end, "the heap doesn't grow at its end");
	for (int i = 0; i < 1 << 20; i++)
		CHECK(!end[i], "what the heap has grown by isn't zero");
	CHECK_CALL(sbrk(-(1 << 20)) != (void *)-1);
	take_down(list);
	workload_check_fill(block, SIZE, 5, "heap after malloc was used");
	workload_pass();
}
