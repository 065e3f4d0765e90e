// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records made of the input: checked and, if nothing stands against it, written. Neither may crash
 * or take more than the records justify, and what was written must be records to the end.
 *
 * Input: bytes that are taken off as they are needed, zeroes when they are used up. Numbers of
 * things are small; what is in them is anything, or a value that passes the checks, so that writing
 * is reached.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/image/image.h"
#include "host/image/pool.h"
#include "vmi/vcpu.h"

enum {
	MAX_PROCESSES = 4,
	MAX_THREADS = 3,
	MAX_FILTERS = 3,
	MAX_VMAS = 12,
	MAX_FILES = 8,
	MAX_FDS = 6,
	MAX_TIMERS = 3,
	MAX_SIGNALS = 3,
	MAX_ENTRIES = 8,
	MAX_SHMEM = 3,
	MAX_PATH = 40,
	XSAVE_PREFIX = 32,
};

struct input {
	const uint8_t *data;
	size_t size;
	struct ovm_image_pool pool;
};

static char directory[] = "/dev/shm/ovm-fuzz-image-XXXXXX";
static int directory_fd = -1;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void take(struct input *in, void *to, size_t len)
{
	size_t part = len < in->size ? len : in->size;

	memset(to, 0, len);
	if (part)
		memcpy(to, in->data, part);
	in->data += part;
	in->size -= part;
}

static uint64_t take_u64(struct input *in)
{
	uint64_t value;

	take(in, &value, sizeof(value));
	return value;
}

static uint8_t take_u8(struct input *in)
{
	uint8_t value;

	take(in, &value, sizeof(value));
	return value;
}

static size_t take_nr(struct input *in, size_t max)
{
	return take_u8(in) % (max + 1);
}

static void *new_array(struct input *in, size_t nr, size_t size)
{
	void *ret = ovm_image_alloc(&in->pool, nr + 1, size);

	must(ret);
	return ret;
}

/* Overwrite a few bytes of a record that would pass the checks. */
static void damage(struct input *in, void *record, size_t size)
{
	for (size_t nr = take_nr(in, 2); nr; nr--) {
		uint16_t place;
		uint8_t value = take_u8(in);

		take(in, &place, sizeof(place));
		((uint8_t *)record)[place % size] = value;
	}
}

#define DAMAGE(in, record, first, last)                                                         \
	damage((in), (uint8_t *)(record) + offsetof(__typeof__(*(record)), first),              \
	       offsetof(__typeof__(*(record)), last) - offsetof(__typeof__(*(record)), first) + \
		       sizeof((record)->last))

static struct ovm_rec_bytes make_path(struct input *in, enum ovm_rec_file_kind kind)
{
	static const char *const prefixes[] = {"/", "/proc/7", "memfd:", ""};
	size_t len = take_nr(in, MAX_PATH);
	const char *prefix = prefixes[kind == OVM_REC_FILE_MEMFD ? 2 : take_u8(in) % 2];
	uint8_t *text = new_array(in, strlen(prefix) + len, 1);

	memcpy(text, prefix, strlen(prefix));
	take(in, text + strlen(prefix), len);
	return (struct ovm_rec_bytes){text, strlen(prefix) + len};
}

static struct ovm_rec_file *make_files(struct input *in, size_t nr)
{
	struct ovm_rec_file *files = new_array(in, nr, sizeof(*files));

	for (size_t i = 0; i < nr; i++) {
		struct ovm_rec_file *file = &files[i];

		file->kind = take_u8(in) % 6 + 1;
		file->file = i + 1;
		file->inode = take_u8(in) % 8 + 1;
		file->ino = take_u8(in) % 4;
		file->mode = S_IFREG | 0644;
		file->nlink = file->reachable = 1;
		file->size = (uint64_t)take_u8(in) << 12;
		DAMAGE(in, file, ino, nlink);
		file->path = make_path(in, file->kind);
		file->next = i + 1 < nr ? &files[i + 1] : NULL;
	}
	return files;
}

static struct ovm_rec_file *pick(struct input *in, struct ovm_rec_file *files, size_t nr)
{
	size_t i = take_u8(in);

	return nr && i < 250 ? &files[i % nr] : NULL;
}

static struct ovm_rec_signal *make_signals(struct input *in)
{
	size_t nr = take_nr(in, MAX_SIGNALS);
	struct ovm_rec_signal *signals = new_array(in, nr, sizeof(*signals));

	for (size_t i = 0; i < nr; i++) {
		signals[i].signo = (int8_t)take_u8(in);
		take(in, signals[i].info, 16);
		signals[i].next = i + 1 < nr ? &signals[i + 1] : NULL;
	}
	return nr ? signals : NULL;
}

/* Each on top of the one before, so that threads share them or not. */
static struct ovm_rec_seccomp *make_filters(struct input *in)
{
	struct ovm_rec_seccomp *filters = new_array(in, MAX_FILTERS, sizeof(*filters));

	for (size_t i = 0; i < MAX_FILTERS; i++) {
		filters[i].filter = i + 1;
		filters[i].prev = i ? &filters[i - 1] : NULL;
		DAMAGE(in, &filters[i], filter, filter);
		filters[i].code.len = 8 * take_nr(in, 3) + (take_u8(in) == 1);
		filters[i].code.data = new_array(in, filters[i].code.len, 1);
		filters[i].log = take_u8(in) & 1;
		filters[i].listened = take_u8(in) == 1;
	}
	return filters;
}

static void make_thread(struct input *in, struct ovm_rec_thread *rec, int32_t tid,
			struct ovm_rec_seccomp *filters, struct ovm_image_thread *image)
{
	uint8_t *xsave = new_array(in, OVM_XSAVE_BYTES, 1);

	rec->tid = tid;
	rec->user_xfeatures = 0x207;
	rec->creds.user_ns_initial = 1;
	DAMAGE(in, rec, comm, user_dispatch_mode);
	/* Bytes that the host has copied are what their length says, whatever it is. */
	rec->fpstate = rec->lsm_label = (struct ovm_rec_bytes){0};
	rec->seccomp = rec->seccomp_mode ? &filters[take_u8(in) % MAX_FILTERS] : NULL;
	rec->creds.groups.gids.len = take_nr(in, 3) * 4;
	rec->creds.groups.gids.data = new_array(in, rec->creds.groups.gids.len, 1);
	rec->creds.groups.count = (uint32_t)(rec->creds.groups.gids.len / 4) + (take_u8(in) == 1);
	rec->pending = make_signals(in);
	take(in, xsave + OVM_XSAVE_HEADER, XSAVE_PREFIX);
	*image = (struct ovm_image_thread){
		.rec = rec,
		.regs = {.cs = 0x33},
		.xsave = xsave,
		.xsave_size = take_u8(in) == 1 ? 100 : OVM_XSAVE_BYTES,
	};
	DAMAGE(in, image, regs, gs_base);
}

static void make_threads(struct input *in, struct ovm_image_process *image,
			 struct ovm_rec_process *rec)
{
	size_t nr = take_nr(in, MAX_THREADS);
	struct ovm_rec_thread *recs = new_array(in, nr, sizeof(*recs));
	struct ovm_image_thread *threads = new_array(in, nr, sizeof(*threads));
	struct ovm_rec_seccomp *filters = make_filters(in);

	for (size_t i = 0; i < nr; i++) {
		recs[i].seccomp_mode = take_u8(in) % 8 == 1 ? 2 : 0;
		make_thread(in, &recs[i], rec->pid + (int32_t)i, filters, &threads[i]);
		recs[i].next = i + 1 < nr ? &recs[i + 1] : NULL;
	}
	rec->threads = nr ? recs : NULL;
	image->threads = threads;
	image->nr_threads = nr;
}

static void make_vmas(struct input *in, struct ovm_rec_mm *mm, struct ovm_rec_file *files,
		      size_t nr_files)
{
	size_t nr = take_nr(in, MAX_VMAS);
	struct ovm_rec_vma *vmas = new_array(in, nr, sizeof(*vmas));
	uint64_t at = 0x1000;

	for (size_t i = 0; i < nr; i++) {
		struct ovm_rec_vma *vma = &vmas[i];

		vma->start = at + ((uint64_t)take_u8(in) << 12);
		vma->end = at = vma->start + ((uint64_t)take_u8(in) << 12) + 0x1000;
		vma->may_share = take_u8(in) & 1;
		vma->file = pick(in, files, nr_files);
		DAMAGE(in, vma, start, huge_shift);
		damage(in, vma->special, sizeof(vma->special));
		vma->pkey = take_u8(in) == 1;
		vma->next = i + 1 < nr ? &vmas[i + 1] : NULL;
	}
	mm->vmas = nr ? vmas : NULL;
	mm->nr_vmas = nr;
	mm->exe = pick(in, files, nr_files);
	mm->nr_auxv = take_u8(in);
	take(in, mm->auxv, 16);
}

static void make_fds(struct input *in, struct ovm_rec_process *rec, struct ovm_rec_file *files,
		     size_t nr_files)
{
	size_t nr = take_nr(in, MAX_FDS);
	struct ovm_rec_fd *fds = new_array(in, nr, sizeof(*fds));
	int32_t at = -1;

	for (size_t i = 0; i < nr; i++) {
		at += (int8_t)take_u8(in) % 4;
		fds[i] = (struct ovm_rec_fd){i + 1 < nr ? &fds[i + 1] : NULL, at, take_u8(in) & 1,
					     pick(in, files, nr_files)};
	}
	rec->fds = nr ? fds : NULL;
}

static void make_timers(struct input *in, struct ovm_image_process *image,
			struct ovm_rec_process *rec)
{
	size_t nr = take_nr(in, MAX_TIMERS);
	struct ovm_rec_posix_timer *recs = new_array(in, nr, sizeof(*recs));
	struct ovm_image_posix_timer *timers = new_array(in, nr, sizeof(*timers));

	for (size_t i = 0; i < nr; i++) {
		DAMAGE(in, &recs[i], id, interval);
		recs[i].next = i + 1 < nr ? &recs[i + 1] : NULL;
		timers[i] = (struct ovm_image_posix_timer){&recs[i], take_u64(in)};
	}
	rec->posix_timers = nr ? recs : NULL;
	image->posix_timers = timers;
	image->nr_posix_timers = nr;
	image->real = (struct ovm_image_timer){take_u64(in), take_u64(in)};
}

static struct ovm_image_pagemap make_pagemap(struct input *in)
{
	size_t nr = take_nr(in, MAX_ENTRIES);
	struct ovm_image_pagemap_entry *entries = new_array(in, nr, sizeof(*entries));
	uint64_t at = 0;

	for (size_t i = 0; i < nr; i++) {
		entries[i].address = at + ((uint64_t)take_u8(in) << 12);
		entries[i].nr_pages = take_u8(in);
		/* A pagemap entry for each 2^30 pages is no fun to write. */
		DAMAGE(in, &entries[i], address, address);
		at = entries[i].address + (entries[i].nr_pages << 12);
	}
	return (struct ovm_image_pagemap){entries, nr, take_u8(in)};
}

static void make_shmem(struct input *in, struct ovm_image_set *set, struct ovm_rec_tree *tree)
{
	size_t nr = take_nr(in, MAX_SHMEM);
	struct ovm_rec_shmem *recs = new_array(in, nr, sizeof(*recs));
	struct ovm_image_shmem *shmem = new_array(in, nr, sizeof(*shmem));

	for (size_t i = 0; i < nr; i++) {
		recs[i].inode = take_u8(in) % 8 + 1;
		recs[i].nr_swapped = take_u8(in) == 1;
		recs[i].next = i + 1 < nr ? &recs[i + 1] : NULL;
		shmem[i] = (struct ovm_image_shmem){&recs[i], make_pagemap(in)};
	}
	tree->shmem = nr ? recs : NULL;
	set->shmem = shmem;
	set->nr_shmem = take_u8(in) == 1 ? 0 : nr;
}

/* All processes pick of the same files. */
static void make_process(struct input *in, struct ovm_image_process *image,
			 struct ovm_rec_process *rec, struct ovm_rec_file *files, size_t nr_files)
{
	image->rec = rec;
	rec->pid = 7 + 10 * (int32_t)rec->index;
	rec->ns.mnt_initial = rec->ns.uts_initial = rec->ns.ipc_initial = rec->ns.net_initial = 1;
	rec->ns.pid_initial = rec->ns.user_initial = rec->ns.cgroup_initial = 1;
	rec->ns.time_initial = 1;
	DAMAGE(in, rec, sigactions, sigactions);
	DAMAGE(in, rec, rlimits, loginuid);
	rec->shared_pending = make_signals(in);
	rec->fs.cwd = pick(in, files, nr_files);
	rec->fs.root = pick(in, files, nr_files);
	make_threads(in, image, rec);
	make_vmas(in, &rec->mm, files, nr_files);
	make_fds(in, rec, files, nr_files);
	make_timers(in, image, rec);
	image->pagemap = make_pagemap(in);
}

/* Related in any way, also in impossible ones. */
static void relate(struct input *in, struct ovm_rec_process *rec, struct ovm_rec_process *recs,
		   size_t nr)
{
	const uint8_t odd = take_u8(in);
	size_t parent = rec->index ? take_u8(in) % (odd == 1 ? nr : rec->index) : 0;

	if (rec->index || odd == 2)
		rec->parent = &recs[parent];
	rec->ppid = odd == 3 ? take_u8(in) : recs[parent].pid;
	rec->sid = 7 + 10 * (take_u8(in) % 4);
	rec->pgid = 7 + 10 * (take_u8(in) % 4);
	rec->zombie = take_u8(in) % 8 == 1;
	rec->files_owner = odd == 4 ? NULL : odd == 5 ? &recs[parent] : rec;
	rec->mm.identity = take_u8(in);
}

static void make_tree(struct input *in, struct ovm_image_set *set, struct ovm_rec_tree *tree)
{
	size_t nr_files = take_nr(in, MAX_FILES), nr = 1 + take_nr(in, MAX_PROCESSES - 1);
	struct ovm_rec_file *files = make_files(in, nr_files);
	struct ovm_rec_process *recs = new_array(in, nr, sizeof(*recs));
	struct ovm_image_process *images = new_array(in, nr, sizeof(*images));

	for (size_t i = 0; i < nr; i++) {
		recs[i].index = (uint32_t)i;
		recs[i].next = i + 1 < nr ? &recs[i + 1] : NULL;
		make_process(in, &images[i], &recs[i], files, nr_files);
		relate(in, &recs[i], recs, nr);
		tree->nr_threads += (uint32_t)images[i].nr_threads;
	}
	tree->processes = recs;
	tree->nr_processes = (uint32_t)nr;
	tree->files = nr_files ? files : NULL;
	set->tree = tree;
	set->processes = images;
	set->nr_processes = nr;
	make_shmem(in, set, tree);
}

/* Every image is magic and whole records; returns whether it was there. */
static void check_image(const char *name)
{
	static uint8_t bytes[4 << 20];
	size_t at = strcmp(name, "inventory.img") ? 8 : 4;
	uint32_t len;
	int fd = openat(directory_fd, name, O_RDONLY);

	must(fd >= 0);
	ssize_t size = read(fd, bytes, sizeof(bytes));

	close(fd);
	must(size >= (ssize_t)at && (size_t)size < sizeof(bytes));
	while (at < (size_t)size) {
		must((size_t)size - at >= sizeof(len));
		memcpy(&len, bytes + at, sizeof(len));
		at += sizeof(len);
		must(len <= (size_t)size - at);
		at += len;
	}
}

static void visit_directory(bool check)
{
	DIR *dir = fdopendir(openat(directory_fd, ".", O_RDONLY | O_DIRECTORY));

	must(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		if (check)
			check_image(entry->d_name);
		must(!unlinkat(directory_fd, entry->d_name, 0));
	}
	closedir(dir);
}

static void remove_directory(void)
{
	rmdir(directory);
}

static void set_up(void)
{
	must(mkdtemp(directory));
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY);
	must(directory_fd >= 0 && !atexit(remove_directory));
}

static void count_warning(void *arg, const char *message)
{
	must(strlen(message) > 0);
	++*(size_t *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size, {NULL}};
	struct ovm_rec_tree tree = {0};
	size_t nr_warnings = 0;
	struct ovm_image_set set = {.warn = count_warning, .warn_arg = &nr_warnings};

	if (directory_fd < 0)
		set_up();
	make_tree(&in, &set, &tree);
	set.clock_monotonic = take_u64(&in);
	set.nr_cpus = take_u8(&in);

	struct ovm_error *refused = ovm_image_check(&set);
	struct ovm_error *err = ovm_image_write(&set, directory_fd);

	/* What is refused is not written; what is not may still contradict itself. */
	must(!refused || (err && err->code == refused->code));
	visit_directory(!err);
	ovm_error_free(refused);
	ovm_error_free(err);
	ovm_image_pool_deinit(&in.pool);
	return 0;
}
