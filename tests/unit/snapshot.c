// SPDX-License-Identifier: GPL-2.0-only
#include "snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmi/cleanup.h"

enum {
	MAX_RANGES = 16,
};

const char *const test_snapshot_names[] = {
	"5.10", "6.1", "6.1-la57", "6.1-nokaslr", "6.12", "6.12-la57", "7.2", NULL,
};

static void find_directory(struct test_snapshot *snapshot, const char *name)
{
	const char *directory = getenv("OVM_SNAPSHOTS");
	const char *cache = getenv("OVM_CACHE");
	const char *xdg = getenv("XDG_CACHE_HOME");
	size_t size = sizeof(snapshot->directory);

	if (directory)
		snprintf(snapshot->directory, size, "%s/%s", directory, name);
	else if (cache)
		snprintf(snapshot->directory, size, "%s/snapshots/%s", cache, name);
	else if (xdg)
		snprintf(snapshot->directory, size, "%s/ovm-gpu/snapshots/%s", xdg, name);
	else
		snprintf(snapshot->directory, size, "%s/.cache/ovm-gpu/snapshots/%s",
			 getenv("HOME") ?: "", name);
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
		    sscanf(line, "cr3=%llx cr4=%llx rip=%llx gs_base=%llx idt_base=%llx", &cr3, &cr4,
			   &rip, &gs_base, &idt_base) != 5)
			return;
		snapshot->hints[snapshot->nr_hints++] = (struct ovm_kernel_hint){
			.cr3 = cr3, .cr4 = cr4, .rip = rip, .gs_base = gs_base, .idt_base = idt_base};
	}
}

static void read_clock(struct test_snapshot *snapshot)
{
	unsigned long long monotonic, boottime, realtime;
	size_t size;
	_cleanup_free_ char *text = test_snapshot_file(snapshot, "clock", &size);

	if (!text || sscanf(text, "%llu %llu %llu", &monotonic, &boottime, &realtime) != 3)
		return;
	snapshot->monotonic = monotonic;
	snapshot->boottime = boottime;
	snapshot->realtime = realtime;
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

bool test_snapshot_open(struct test_snapshot *snapshot, const char *name)
{
	struct ovm_ram_range ranges[MAX_RANGES];
	char path[640];

	memset(snapshot, 0, sizeof(*snapshot));
	find_directory(snapshot, name);
	snprintf(path, sizeof(path), "%s/ram", snapshot->directory);

	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		snprintf(snapshot->reason, sizeof(snapshot->reason),
			 "no snapshot %s: tests/guest/snapshots records it", snapshot->directory);
		return false;
	}

	size_t nr = read_ranges(snapshot, fd, ranges);
	struct ovm_error *err = ovm_memory_create(ranges, nr, &snapshot->memory);

	if (err) {
		snprintf(snapshot->reason, sizeof(snapshot->reason), "%s", err->message);
		ovm_error_free(err);
		return false;
	}
	read_hints(snapshot);
	read_clock(snapshot);
	return true;
}

void test_snapshot_close(struct test_snapshot *snapshot)
{
	ovm_memory_destroy(snapshot->memory);
	snapshot->memory = NULL;
}
