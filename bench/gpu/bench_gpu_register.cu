// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to register guest RAM with the GPU, a GiB at a time and by kinds of memory: files
 * of 4 KiB pages, of huge pages as tmpfs has them, of hugetlb; mapped for reading or writing; by
 * one thread and by four.
 *
 * usage: bench_gpu_register [GIB [SAMPLES]]
 */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "gpu.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static unsigned int nr_samples = 3;
static size_t gib = 2;
static bool can_read_only;

/* Bytes of the mapping that are mapped by huge pages. */
static size_t huge_bytes(const host_memory *memory)
{
	unsigned long long start = 0, end, kib, sum = 0;
	char line[512];
	FILE *file = fopen("/proc/self/smaps", "re");

	while (file && fgets(line, sizeof(line), file)) {
		unsigned long long address;

		if (sscanf(line, "%llx-%llx ", &address, &end) == 2)
			start = address;
		if (sscanf(line, "ShmemPmdMapped: %llu", &kib) == 1 &&
		    start - reinterpret_cast<uintptr_t>(memory->map) < memory->size)
			sum += kib * KIB;
	}
	if (file)
		fclose(file);
	return sum;
}

/* Register in as many parts as there are threads; 0 if that fails. */
static double time_register(const host_memory *memory, unsigned int flags, unsigned int threads)
{
	std::vector<std::thread> list;
	bool good = true;
	double start = bench_now();

	for (unsigned int i = 0; i < threads; i++) {
		list.emplace_back([=, &good] {
			size_t part = memory->size / threads;

			if (cudaSetDevice(0) ||
			    cudaHostRegister(memory->map + i * part, part,
					     cudaHostRegisterMapped | cudaHostRegisterPortable |
						     flags))
				good = false;
		});
	}
	for (auto &thread : list)
		thread.join();
	(void)cudaGetLastError();
	return good ? bench_now() - start : 0;
}

static double time_unregister(const host_memory *memory, unsigned int threads)
{
	double start = bench_now();

	for (unsigned int i = 0; i < threads; i++)
		(void)cudaHostUnregister(memory->map + i * (memory->size / threads));
	(void)cudaGetLastError();
	return bench_now() - start;
}

static void measure(const char *pages, const char *access, const host_memory *memory,
		    unsigned int flags, unsigned int threads)
{
	struct bench_samples in = {}, out = {};

	for (unsigned int i = 0; i <= nr_samples; i++) {
		double seconds = time_register(memory, flags, threads);
		double unregister = time_unregister(memory, threads);

		if (!seconds) {
			fprintf(stderr, "%s, %s: refused\n", pages, access);
			bench_begin("register");
			bench_text("pages", pages);
			bench_text("access", access);
			bench_number("threads", threads);
			printf(", \"refused\": true}");
			return;
		}
		if (i) {
			bench_add(&in, seconds);
			bench_add(&out, unregister);
		}
	}
	bench_begin("register");
	bench_text("pages", pages);
	bench_text("access", access);
	bench_number("threads", threads);
	bench_number("gib", static_cast<double>(memory->size) / GIB);
	bench_number("huge_gib", static_cast<double>(huge_bytes(memory)) / GIB);
	bench_number("ms_per_gib", bench_median(&in) * 1e3 * GIB / memory->size);
	bench_number("unregister_ms_per_gib", bench_median(&out) * 1e3 * GIB / memory->size);
	bench_times(&in);
}

/* @fd: a file that can be filled; -1 says that there is none. */
static void measure_file(const char *pages, int fd)
{
	host_memory memory;

	if (!host_map(&memory, fd, gib * GIB, PROT_READ | PROT_WRITE)) {
		fprintf(stderr, "%s: can't be had here\n", pages);
		host_destroy(&memory);
		return;
	}
	/* Whatever the system's settings are. */
	if (!strcmp(pages, "shmem, huge"))
		(void)madvise(memory.map, memory.size, MADV_COLLAPSE);
	measure(pages, "read and write", &memory, 0, 1);
	measure(pages, "read and write", &memory, 0, 4);
	mprotect(memory.map, memory.size, PROT_READ);
	if (can_read_only) {
		measure(pages, "read only", &memory, cudaHostRegisterReadOnly, 1);
		measure(pages, "read only", &memory, cudaHostRegisterReadOnly, 4);
	}
	host_destroy(&memory);
}

/* A file in a tmpfs of huge pages that only this process sees; a memfd where that is refused. */
static int huge_file(void)
{
	char path[] = "/tmp/ovm-bench-XXXXXX";
	int fd = -1;

	if (mkdtemp(path) && !unshare(CLONE_NEWNS) &&
	    !mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) &&
	    !mount("tmpfs", path, "tmpfs", 0, "huge=always,size=100%")) {
		fd = open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
		umount2(path, MNT_DETACH);
	}
	rmdir(path);
	return fd >= 0 ? fd : memfd_create("bench", MFD_CLOEXEC);
}

int main(int argc, char **argv)
{
	int supported = 0;

	if (argc > 1)
		gib = static_cast<size_t>(atoi(argv[1]));
	if (argc > 2)
		nr_samples = static_cast<unsigned int>(atoi(argv[2]));

	/* Before there are threads: a namespace is a matter of the whole process. */
	int huge = huge_file();

	gpu_open();
	gpu_must(cudaDeviceGetAttribute(&supported, cudaDevAttrHostRegisterReadOnlySupported, 0),
		 "attribute");
	can_read_only = supported != 0;
	bench_begin("register_support");
	bench_number("read_only", supported);
	printf("}");
	measure_file("shmem, 4 KiB", memfd_create("bench", MFD_CLOEXEC));
	measure_file("shmem, huge", huge);
	measure_file("hugetlb, 2 MiB", memfd_create("bench", MFD_CLOEXEC | MFD_HUGETLB));
	bench_end();
	return 0;
}
