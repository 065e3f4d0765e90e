// SPDX-License-Identifier: GPL-2.0-only
#include "placement.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "run.h"

#ifdef OVM_HAVE_NUMA
#include <numa.h>
#include <numaif.h>

/* Whether nodes matter: several of them, and a kernel that has the calls. */
static bool numa_matters(void)
{
	return numa_available() >= 0 && numa_num_task_nodes() > 1;
}

static bool node_usable(int node)
{
	bool usable = false;

	if (!numa_bitmask_isbitset(numa_get_mems_allowed(), (unsigned int)node))
		return false;

	struct bitmask *cpus = numa_allocate_cpumask();

	if (!numa_node_to_cpus(node, cpus)) {
		for (unsigned int i = 0; i < cpus->size && !usable; i++)
			usable = numa_bitmask_isbitset(cpus, i) &&
				 numa_bitmask_isbitset(numa_all_cpus_ptr, i);
	}
	numa_free_cpumask(cpus);
	return usable;
}

int ovm_placement_worker_node(unsigned int index)
{
	if (!numa_matters())
		return -1;

	int max = numa_max_node();
	unsigned int nr = 0;

	for (int node = 0; node <= max; node++)
		nr += node_usable(node);
	if (nr < 2)
		return -1;
	index %= nr;
	for (int node = 0; node <= max; node++) {
		if (node_usable(node) && index-- == 0)
			return node;
	}
	return -1;
}

/* The mask of one node, for the system calls: libnuma's wrappers print when these fail. */
static void node_mask(int node, unsigned long mask[1])
{
	static_assert(OVM_MAX_NODES <= 8 * sizeof(mask[0]), "a mask is one word");
	mask[0] = node < OVM_MAX_NODES ? 1UL << node : 0;
}

void ovm_placement_bind(int node)
{
	unsigned long mask[1];

	if (node < 0 || numa_available() < 0 || node > numa_max_node())
		return;
	/* Where this fails (a sandbox), the work is done all the same. */
	(void)!numa_run_on_node(node);
	node_mask(node, mask);
	(void)!set_mempolicy(MPOL_PREFERRED, mask, OVM_MAX_NODES + 1);
}

static void buffer_prefer(void *buf, size_t size, int node)
{
	unsigned long mask[1];

	if (node < 0)
		return;
	node_mask(node, mask);
	(void)!mbind(buf, size, MPOL_PREFERRED, mask, OVM_MAX_NODES + 1, 0);
}

enum {
	NODE_SAMPLES = 32,
};

/* Address of a page with data in the address space where the node can be asked, or NULL. */
static void *sample_address(const struct ovm_memory *memory, const struct ovm_ram_range *range,
			    uint64_t offset)
{
	if (range->kind == OVM_RAM_PROCESS)
		return (void *)(uintptr_t)(range->vmm_address + offset);
	if (range->kind != OVM_RAM_MAPPED)
		return NULL;

	const void *page = ovm_memory_peek(memory, range->gpa + offset, OVM_PAGE_SIZE);

	/* Only a page that is mapped here has a node; this one has data already. */
	if (page)
		(void)*(const volatile uint8_t *)page;
	return (void *)(uintptr_t)page;
}

static int most_common_node(const int *status, unsigned long nr)
{
	unsigned int count[OVM_MAX_NODES] = {0};
	int best = -1;

	for (unsigned long i = 0; i < nr; i++) {
		if (status[i] < 0 || status[i] >= OVM_MAX_NODES)
			continue;
		count[status[i]]++;
		if (best < 0 || count[status[i]] > count[best])
			best = status[i];
	}
	return best;
}

int ovm_placement_range_node(const struct ovm_memory *memory, const struct ovm_ram_range *range)
{
	void *pages[NODE_SAMPLES];
	int status[NODE_SAMPLES];
	unsigned long nr = 0;
	uint64_t step = range->size / NODE_SAMPLES & ~(uint64_t)(OVM_PAGE_SIZE - 1);

	if (!numa_matters())
		return -1;
	for (uint64_t i = 0; i < NODE_SAMPLES && i * step < range->size; i++) {
		pages[nr] = sample_address(memory, range, i * step);
		if (pages[nr])
			nr++;
	}

	int pid = range->kind == OVM_RAM_PROCESS ? range->vmm_pid : 0;

	if (!nr || numa_move_pages(pid, nr, pages, NULL, status, 0))
		return -1;
	return most_common_node(status, nr);
}

#else /* OVM_HAVE_NUMA */

int ovm_placement_worker_node(unsigned int index)
{
	(void)index;
	return -1;
}

void ovm_placement_bind(int node)
{
	(void)node;
}

static void buffer_prefer(void *buf, size_t size, int node)
{
	(void)buf;
	(void)size;
	(void)node;
}

int ovm_placement_range_node(const struct ovm_memory *memory, const struct ovm_ram_range *range)
{
	(void)memory;
	(void)range;
	return -1;
}

#endif /* OVM_HAVE_NUMA */

void *ovm_placement_alloc(size_t size, int node)
{
	void *buf = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buf == MAP_FAILED)
		return NULL;
	buffer_prefer(buf, size, node);
	return buf;
}

void ovm_placement_free(void *buf, size_t size)
{
	if (buf)
		munmap(buf, size);
}
