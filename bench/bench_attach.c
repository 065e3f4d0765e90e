// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long it takes to find and verify the guest's kernel, in recorded guests
 * (tests/guest/snapshot) or in a VM that runs.
 *
 * usage: bench_attach RUNS [QMP-SOCKET]
 *
 * Every sample begins with guest RAM newly mapped, as a tool that was just
 * started has it.  Recorded guests get 64 GiB of RAM more, as a hole.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "tests/unit/snapshot.h"
#include "vmi/cleanup.h"
#include "vmi/kernel.h"
#include "vmi/vcpu.h"
#include "vmi/vm.h"

enum {
	MAX_RANGES = 16,
};

static const uint64_t hole_bytes = 64ULL << 30;

/** What an attach starts from. */
enum start {
	/** vCPUs, nothing else. */
	START_COLD,
	/** vCPUs, and symbols cached by build id. */
	START_CACHED,
	/** The same, and types are loaded, too. */
	START_CACHED_TYPES,
	/** Nothing but RAM. */
	START_SCAN,
	NR_STARTS,
};

static const char *const start_names[] = {"cold", "cached", "cached, with types", "scan of RAM"};

static double attach(const struct ovm_memory *memory, const struct ovm_kernel_hint *hints,
		     size_t nr_hints, enum start start, const char *cache)
{
	const struct ovm_kernel_options options = {
		.size = sizeof(options),
		.hints = start == START_SCAN ? NULL : hints,
		.nr_hints = start == START_SCAN ? 0 : nr_hints,
		.cache_dir = start == START_COLD || start == START_SCAN ? NULL : cache,
		.no_scan = start != START_SCAN,
	};
	struct ovm_kernel *kernel;
	double begin = bench_now();

	bench_must(ovm_kernel_attach(memory, &options, &kernel));
	if (start == START_CACHED_TYPES)
		bench_must(ovm_kernel_load_btf(kernel, NULL));

	double seconds = bench_now() - begin;

	ovm_kernel_detach(kernel);
	return seconds;
}

/* The snapshot's memory once more, with a hole behind it. */
static struct ovm_memory *map_again(const struct ovm_memory *memory)
{
	struct ovm_ram_range copy[MAX_RANGES + 1];
	const struct ovm_ram_range *ranges;
	size_t nr = ovm_memory_ranges(memory, &ranges);
	struct ovm_memory *again;
	uint64_t end = 0;
	int fd = memfd_create("hole", MFD_CLOEXEC);
	int ram = fcntl(ranges[0].fd, F_DUPFD_CLOEXEC, 0);

	if (nr > MAX_RANGES || fd < 0 || ram < 0 || ftruncate(fd, (off_t)hole_bytes))
		exit(1);
	for (size_t i = 0; i < nr; i++) {
		copy[i] = ranges[i];
		copy[i].fd = ram;
		end = ranges[i].gpa + ranges[i].size;
	}
	copy[nr] = (struct ovm_ram_range){
		.gpa = end, .size = hole_bytes, .kind = OVM_RAM_MAPPED, .fd = fd};
	bench_must(ovm_memory_create(copy, nr + 1, &again));
	return again;
}

static void report(const char *guest, enum start start, const struct bench_samples *samples)
{
	bench_begin("attach");
	bench_text("guest", guest);
	bench_text("from", start_names[start]);
	bench_times(samples);
}

static void measure_snapshot(const char *name, unsigned int runs, const char *cache)
{
	struct bench_samples samples[NR_STARTS] = {0};
	struct test_snapshot snapshot;

	if (!test_snapshot_open(&snapshot, name))
		return;
	attach(snapshot.memory, snapshot.hints, snapshot.nr_hints, START_CACHED, cache);
	for (unsigned int i = 0; i < runs; i++) {
		for (unsigned int start = 0; start < NR_STARTS; start++) {
			struct ovm_memory *memory = map_again(snapshot.memory);

			bench_add(&samples[start],
				  attach(memory, snapshot.hints, snapshot.nr_hints, start, cache));
			ovm_memory_destroy(memory);
		}
	}
	for (unsigned int start = 0; start < NR_STARTS; start++)
		report(name, start, &samples[start]);
	test_snapshot_close(&snapshot);
}

/* All of it: connect, find RAM, read the vCPUs' registers, find the kernel. */
static double attach_vm(const char *socket, enum start start, const char *cache)
{
	const struct ovm_vm_options options = {
		.size = sizeof(options), .qmp = {.size = sizeof(options.qmp), .path = socket}};
	struct ovm_kernel_hint hints[64] = {0};
	struct ovm_vcpus *vcpus;
	struct ovm_vm *vm;
	size_t nr;
	double begin = bench_now();

	bench_must(ovm_vm_attach(&options, &vm));
	bench_must(ovm_vcpus_read_notes(vm, &vcpus));
	for (nr = 0; nr < vcpus->nr && nr < 64; nr++)
		hints[nr] = (struct ovm_kernel_hint){.cr3 = vcpus->vcpus[nr].cr3,
						     .cr4 = vcpus->vcpus[nr].cr4};
	attach(ovm_vm_memory(vm), hints, nr, start, cache);

	double seconds = bench_now() - begin;

	ovm_vcpus_free(vcpus);
	ovm_vm_detach(vm);
	return seconds;
}

static void measure_vm(const char *socket, unsigned int runs, const char *cache)
{
	struct bench_samples samples[NR_STARTS] = {0};

	attach_vm(socket, START_CACHED, cache);
	for (unsigned int i = 0; i < runs; i++) {
		for (unsigned int start = 0; start < START_SCAN; start++)
			bench_add(&samples[start], attach_vm(socket, start, cache));
	}
	for (unsigned int start = 0; start < START_SCAN; start++)
		report("vm", start, &samples[start]);
}

static void remove_directory(const char *path)
{
	DIR *dir = opendir(path);

	for (struct dirent *entry; dir && (entry = readdir(dir));)
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

int main(int argc, char **argv)
{
	char names[TEST_SNAPSHOTS][64], cache[] = "/tmp/ovm-bench-XXXXXX";
	unsigned int runs = argc > 1 ? (unsigned int)atoi(argv[1]) : 0;

	if (!runs || !mkdtemp(cache)) {
		fprintf(stderr, "usage: %s RUNS [QMP-SOCKET]\n", argv[0]);
		return 2;
	}
	if (argc > 2) {
		measure_vm(argv[2], runs, cache);
	} else {
		size_t nr = test_snapshot_names(names);

		for (size_t i = 0; i < nr; i++)
			measure_snapshot(names[i], runs, cache);
		if (!nr)
			printf("[");
	}
	bench_end();
	remove_directory(cache);
	return 0;
}
