// SPDX-License-Identifier: GPL-2.0-only
#include "snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmi/cleanup.h"
#include "vmi/vcpu.h"

enum {
	MAX_RANGES = 16,
};

static void directory_of_all(char *buf, size_t size)
{
	const char *directory = getenv("OVM_SNAPSHOTS");
	const char *cache = getenv("OVM_CACHE");
	const char *xdg = getenv("XDG_CACHE_HOME");

	if (directory)
		snprintf(buf, size, "%s", directory);
	else if (cache)
		snprintf(buf, size, "%s/snapshots", cache);
	else if (xdg)
		snprintf(buf, size, "%s/ovm-gpu/snapshots", xdg);
	else
		snprintf(buf, size, "%s/.cache/ovm-gpu/snapshots", getenv("HOME") ?: "");
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

size_t test_snapshot_names(char names[TEST_SNAPSHOTS][64])
{
	char path[512];
	size_t nr = 0;

	directory_of_all(path, sizeof(path));

	DIR *dir = opendir(path);

	if (!dir)
		return 0;
	for (struct dirent *entry; nr < TEST_SNAPSHOTS && (entry = readdir(dir));) {
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < sizeof(names[0]))
			strcpy(names[nr++], entry->d_name);
	}
	closedir(dir);
	qsort(names, nr, sizeof(names[0]), compare_names);
	return nr;
}

char *test_snapshot_file(const struct test_snapshot *snapshot, const char *name, size_t *ret_size)
{
	char path[640];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", snapshot->directory, name);

	_cleanup_fclose_ FILE *file = fopen(path, "re");

	if (!file || fstat(fileno(file), &st))
		return NULL;

	char *data = malloc((size_t)st.st_size + 1);

	if (!data)
		return NULL;
	*ret_size = fread(data, 1, (size_t)st.st_size, file);
	data[*ret_size] = 0;
	return data;
}

static void read_hints(struct test_snapshot *snapshot)
{
	size_t size;
	_cleanup_free_ char *text = test_snapshot_file(snapshot, "vcpus", &size);
	char *save = NULL;

	if (!text)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long cr3, cr4, rip, gs_base, idt_base;

		if (snapshot->nr_hints == TEST_SNAPSHOT_CPUS ||
		    sscanf(line, "cr3=%llx cr4=%llx rip=%llx gs_base=%llx idt_base=%llx", &cr3,
			   &cr4, &rip, &gs_base, &idt_base) != 5)
			return;
		snapshot->hints[snapshot->nr_hints++] =
			(struct ovm_kernel_hint){.cr3 = cr3,
						 .cr4 = cr4,
						 .rip = rip,
						 .gs_base = gs_base,
						 .idt_base = idt_base};
	}
}

/* Device state has the counters, and the system call entry of each vCPU. */
static void read_devices(struct test_snapshot *snapshot)
{
	const struct ovm_vcpu_context context = {.nr_vcpus = (unsigned int)snapshot->nr_hints};
	size_t size;
	_cleanup_free_ char *state = test_snapshot_file(snapshot, "devices", &size);
	struct ovm_vcpus *vcpus;

	if (!state)
		return;

	struct ovm_error *err =
		ovm_vcpus_parse((const uint8_t *)state, size, false, &context, &vcpus);

	if (err) {
		snprintf(snapshot->reason, sizeof(snapshot->reason), "%s", err->message);
		ovm_error_free(err);
		return;
	}
	for (size_t i = 0; i < snapshot->nr_hints && i < vcpus->nr; i++)
		snapshot->hints[i].lstar = vcpus->vcpus[i].lstar;
	snapshot->counters.tsc = vcpus->vcpus[0].tsc;
	snapshot->counters.vm_clock = vcpus->vm_clock;
	ovm_vcpus_free(vcpus);
}

static void read_clocks(struct test_snapshot *snapshot)
{
	unsigned long long monotonic, boottime, realtime, hpet;
	size_t size;
	_cleanup_free_ char *clock = test_snapshot_file(snapshot, "clock", &size);
	_cleanup_free_ char *counter = test_snapshot_file(snapshot, "hpet", &size);

	if (clock && sscanf(clock, "%llu %llu %llu", &monotonic, &boottime, &realtime) == 3) {
		snapshot->monotonic = monotonic;
		snapshot->boottime = boottime;
		snapshot->realtime = realtime;
	}
	if (counter && sscanf(counter, "%llx", &hpet) == 1)
		snapshot->counters.hpet = hpet;
}

static size_t read_ranges(struct test_snapshot *snapshot, int fd, struct ovm_ram_range *ranges)
{
	size_t size, nr = 0;
	_cleanup_free_ char *text = test_snapshot_file(snapshot, "ranges", &size);
	char *save = NULL;

	if (!text)
		return 0;
	for (char *line = strtok_r(text, "\n", &save); line && nr < MAX_RANGES;
	     line = strtok_r(NULL, "\n", &save)) {
		unsigned long long gpa, bytes, offset;

		if (sscanf(line, "%llx %llx %llx", &gpa, &bytes, &offset) == 3)
			ranges[nr++] = (struct ovm_ram_range){.gpa = gpa,
							      .size = bytes,
							      .kind = OVM_RAM_MAPPED,
							      .fd = fd,
							      .file_offset = offset};
	}
	return nr;
}

static bool open_ram(struct test_snapshot *snapshot, int fd)
{
	struct ovm_ram_range ranges[MAX_RANGES];
	size_t nr = read_ranges(snapshot, fd, ranges);
	struct ovm_error *err = ovm_memory_create(ranges, nr, &snapshot->memory);

	if (err) {
		snprintf(snapshot->reason, sizeof(snapshot->reason), "%s", err->message);
		ovm_error_free(err);
		return false;
	}
	read_hints(snapshot);
	read_devices(snapshot);
	read_clocks(snapshot);
	return true;
}

static int open_file(struct test_snapshot *snapshot, const char *name)
{
	char all[384], path[640];

	memset(snapshot, 0, sizeof(*snapshot));
	directory_of_all(all, sizeof(all));
	snprintf(snapshot->directory, sizeof(snapshot->directory), "%s/%s", all, name);
	snprintf(path, sizeof(path), "%s/ram", snapshot->directory);

	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		snprintf(snapshot->reason, sizeof(snapshot->reason),
			 "no snapshot %s: tests/guest/snapshot records it", snapshot->directory);
	return fd;
}

bool test_snapshot_open(struct test_snapshot *snapshot, const char *name)
{
	int fd = open_file(snapshot, name);

	return fd >= 0 && open_ram(snapshot, fd);
}

/* Copy what is not a hole. */
static bool copy_data(int from, uint8_t *to, off_t size)
{
	for (off_t at = 0; (at = lseek(from, at, SEEK_DATA)) >= 0 && at < size;) {
		off_t end = lseek(from, at, SEEK_HOLE);

		while (at < end) {
			ssize_t n = pread(from, to + at, (size_t)(end - at), at);

			if (n <= 0)
				return false;
			at += n;
		}
	}
	return true;
}

bool test_snapshot_open_copy(struct test_snapshot *snapshot, const char *name)
{
	_cleanup_close_ int from = open_file(snapshot, name);
	_cleanup_close_ int fd = memfd_create("snapshot", MFD_CLOEXEC);
	struct stat st;

	if (from < 0 || fd < 0 || fstat(from, &st) || ftruncate(fd, st.st_size))
		return false;

	void *ram = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (ram == MAP_FAILED)
		return false;
	snapshot->ram = ram;
	snapshot->ram_size = (size_t)st.st_size;
	return copy_data(from, ram, st.st_size) && open_ram(snapshot, ovm_take_fd(&fd));
}

void test_snapshot_close(struct test_snapshot *snapshot)
{
	ovm_memory_destroy(snapshot->memory);
	snapshot->memory = NULL;
	if (snapshot->ram)
		munmap(snapshot->ram, snapshot->ram_size);
	snapshot->ram = NULL;
}

uint8_t *test_snapshot_at(const struct test_snapshot *snapshot, uint64_t gpa)
{
	const struct ovm_ram_range *ranges;
	size_t nr = ovm_memory_ranges(snapshot->memory, &ranges);

	for (size_t i = 0; i < nr; i++) {
		if (gpa >= ranges[i].gpa && gpa - ranges[i].gpa < ranges[i].size)
			return snapshot->ram + ranges[i].file_offset + (gpa - ranges[i].gpa);
	}
	return NULL;
}
