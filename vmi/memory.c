// SPDX-License-Identifier: GPL-2.0-only WITH ovm-gpu-cuda-exception
/*
 * Guest RAM as mapped files, files to be read, or another process' memory.
 *
 * A read fault in a hole of a shared tmpfs or memfd mapping allocates the page
 * there, so a page is touched through the mapping only once it is known to
 * hold data.  Each mapped range has a bitmap of such pages, filled page by page
 * with lseek(SEEK_DATA): one cheap system call a page the first time, none
 * later.  (SEEK_HOLE would tell the length of a run, but it takes time
 * proportional to that run, which is all of RAM in a guest that was filled
 * once.)  Long pieces that are mostly unknown are read with pread(2), which
 * returns zeroes for holes and leaves them alone.
 *
 * A RAM file must not shrink while it is mapped: its size is checked when the
 * memory is made, and a page that is touched for the first time must still be
 * inside the file; one that is cut off after its first use raises SIGBUS, as
 * with any mapped file.  QEMU never shrinks its RAM files.
 */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cleanup.h"

enum {
	PAGE_SHIFT = 12,
	PAGE_BYTES = 1 << PAGE_SHIFT,
	BITS_PER_WORD = 64,
	/* From this many unknown pages on, pread(2) is cheaper than asking for each page. */
	PREAD_PAGES = 16,
	/* Pieces handed to one process_vm_readv(2). */
	NR_IOVECS = 64,
};

struct ovm_memory {
	struct ovm_ram_range *ranges;
	size_t nr;
	/* For each range: one bit a page that is known to hold data; NULL unless mapped. */
	uint64_t **known;
	/* Range that served the last read; only a hint, so races are harmless. */
	size_t last;
};

static int compare_ranges(const void *a, const void *b)
{
	const struct ovm_ram_range *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

static struct ovm_error *check_file(const struct ovm_ram_range *range)
{
	struct stat st;

	if (fstat(range->fd, &st))
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't get the size of the guest's RAM file");
	/* A character device such as devdax has no size. */
	if (!S_ISREG(st.st_mode))
		return NULL;
	if (range->file_offset > (uint64_t)st.st_size ||
	    range->size > (uint64_t)st.st_size - range->file_offset)
		return ovm_error_address(
			OVM_ERROR_UNREACHABLE, range->gpa,
			"the guest's RAM file is smaller (%lld bytes) than the RAM that it backs: "
			"was it truncated? RAM at",
			(long long)st.st_size);
	return NULL;
}

static struct ovm_error *check_range(const struct ovm_ram_range *range,
				     const struct ovm_ram_range *previous)
{
	if (!range->size || (range->gpa | range->size | range->file_offset) % PAGE_BYTES ||
	    range->gpa + range->size < range->gpa ||
	    (range->kind != OVM_RAM_PROCESS && range->file_offset + range->size < range->size))
		return ovm_error_address(OVM_ERROR_USAGE, range->gpa, "malformed RAM range at");
	if (previous && range->gpa - previous->gpa < previous->size)
		return ovm_error_address(OVM_ERROR_USAGE, range->gpa, "RAM ranges overlap at");
	if (range->kind != OVM_RAM_PROCESS)
		return check_file(range);
	return NULL;
}

static struct ovm_error *map_range(struct ovm_ram_range *range, uint64_t **known)
{
	uint64_t words = (range->size >> PAGE_SHIFT) / BITS_PER_WORD + 1;

	*known = calloc(words, sizeof(**known));
	if (!*known)
		return ovm_error_no_memory();
	void *map = mmap(NULL, range->size, PROT_READ, MAP_SHARED | MAP_NORESERVE, range->fd,
			 (off_t)range->file_offset);
	if (map == MAP_FAILED) {
		int errnum = errno;

		return ovm_error_prepend(
			ovm_error_address(OVM_ERROR_UNREACHABLE, range->gpa, "RAM at"),
			"can't map the guest's RAM file (%s)", strerrordesc_np(errnum));
	}
	/* The guest's memory has no place in a core dump of this process. */
	madvise(map, range->size, MADV_DONTDUMP);
	range->map = map;
	return NULL;
}

static struct ovm_error *memory_init(struct ovm_memory *memory)
{
	const struct ovm_ram_range *previous = NULL;

	for (size_t i = 0; i < memory->nr; i++) {
		struct ovm_ram_range *range = &memory->ranges[i];
		struct ovm_error *err = check_range(range, previous);

		if (!err && range->kind == OVM_RAM_MAPPED)
			err = map_range(range, &memory->known[i]);
		if (err)
			return err;
		previous = range;
	}
	return NULL;
}

/* Close each descriptor once, though several ranges may name it. */
static void close_files(const struct ovm_ram_range *ranges, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		bool again = ranges[i].kind == OVM_RAM_PROCESS || ranges[i].fd < 0;

		for (size_t j = 0; j < i && !again; j++)
			again = ranges[j].kind != OVM_RAM_PROCESS && ranges[j].fd == ranges[i].fd;
		if (!again)
			close(ranges[i].fd);
	}
}

struct ovm_error *ovm_memory_create(const struct ovm_ram_range *ranges, size_t nr,
				    struct ovm_memory **ret)
{
	struct ovm_memory *memory = calloc(1, sizeof(*memory));

	*ret = NULL;
	if (memory) {
		memory->ranges = calloc(nr + 1, sizeof(*memory->ranges));
		memory->known = calloc(nr + 1, sizeof(*memory->known));
	}
	if (!memory || !memory->ranges || !memory->known) {
		close_files(ranges, nr);
		if (memory) {
			free(memory->ranges);
			free(memory->known);
		}
		free(memory);
		return ovm_error_no_memory();
	}
	memory->nr = nr;
	for (size_t i = 0; i < nr; i++) {
		memory->ranges[i] = ranges[i];
		memory->ranges[i].map = NULL;
		if (ranges[i].kind == OVM_RAM_PROCESS)
			memory->ranges[i].fd = -1;
	}
	qsort(memory->ranges, nr, sizeof(*memory->ranges), compare_ranges);

	struct ovm_error *err = memory_init(memory);

	if (err) {
		ovm_memory_destroy(memory);
		return err;
	}
	*ret = memory;
	return NULL;
}

void ovm_memory_destroy(struct ovm_memory *memory)
{
	if (!memory)
		return;
	for (size_t i = 0; i < memory->nr; i++) {
		if (memory->ranges[i].map)
			munmap((void *)memory->ranges[i].map, memory->ranges[i].size);
		free(memory->known[i]);
	}
	close_files(memory->ranges, memory->nr);
	free(memory->known);
	free(memory->ranges);
	free(memory);
}

size_t ovm_memory_ranges(const struct ovm_memory *memory, const struct ovm_ram_range **ret)
{
	*ret = memory->ranges;
	return memory->nr;
}

static bool range_holds(const struct ovm_ram_range *range, uint64_t gpa)
{
	return gpa >= range->gpa && gpa - range->gpa < range->size;
}

/* Index of the range that holds @gpa, or memory->nr. */
static size_t find_range(const struct ovm_memory *memory, uint64_t gpa)
{
	size_t *hint = (size_t *)&memory->last;
	size_t last = __atomic_load_n(hint, __ATOMIC_RELAXED);
	size_t low = 0, high = memory->nr;

	if (last < memory->nr && range_holds(&memory->ranges[last], gpa))
		return last;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (range_holds(&memory->ranges[middle], gpa)) {
			__atomic_store_n(hint, middle, __ATOMIC_RELAXED);
			return middle;
		}
		if (gpa < memory->ranges[middle].gpa)
			high = middle;
		else
			low = middle + 1;
	}
	return memory->nr;
}

enum page_state {
	PAGE_DATA,
	PAGE_HOLE,
	PAGE_GONE,
};

static bool page_is_known(const uint64_t *known, uint64_t page)
{
	return __atomic_load_n(&known[page / BITS_PER_WORD], __ATOMIC_RELAXED) >>
		       (page % BITS_PER_WORD) &
	       1;
}

/* Whether a page of a mapped range may be touched. Never looks at the page itself. */
static enum page_state page_probe(const struct ovm_ram_range *range, uint64_t *known, uint64_t page)
{
	if (page_is_known(known, page))
		return PAGE_DATA;

	off_t offset = (off_t)(range->file_offset + (page << PAGE_SHIFT));
	off_t data = lseek(range->fd, offset, SEEK_DATA);

	/* ENXIO is a hole up to the end of the file, or an offset behind it. */
	if (data < 0 && errno == ENXIO)
		return lseek(range->fd, 0, SEEK_END) > offset ? PAGE_HOLE : PAGE_GONE;
	if (data >= offset + PAGE_BYTES)
		return PAGE_HOLE;
	/* A file system that can't tell holes from data answers EINVAL: all is data. */
	__atomic_fetch_or(&known[page / BITS_PER_WORD], 1ULL << (page % BITS_PER_WORD),
			  __ATOMIC_RELAXED);
	return PAGE_DATA;
}

static struct ovm_error *error_lost(uint64_t gpa, int errnum)
{
	if (!errnum)
		return ovm_error_address(
			OVM_ERROR_UNREACHABLE, gpa,
			"the guest's RAM file was truncated while in use; it ends before RAM at");

	struct ovm_error *err = ovm_error_address(
		OVM_ERROR_UNREACHABLE, gpa,
		"can't read guest RAM (%s): is the virtual machine still there? RAM at",
		strerrordesc_np(errnum) ?: "unknown error");

	if (err->has_address)
		err->errnum = errnum;
	return err;
}

static struct ovm_error *read_file(const struct ovm_ram_range *range, uint64_t gpa, uint8_t *buf,
				   size_t len)
{
	while (len) {
		off_t offset = (off_t)(range->file_offset + (gpa - range->gpa));
		ssize_t n = pread(range->fd, buf, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_lost(gpa, n ? errno : 0);
		buf += n;
		gpa += (uint64_t)n;
		len -= (size_t)n;
	}
	return NULL;
}

/* Length of the longest prefix of [offset, offset + len) in which no page is known to be data. */
static size_t unknown_prefix(const uint64_t *known, uint64_t offset, size_t len)
{
	uint64_t first = offset >> PAGE_SHIFT, last = (offset + len - 1) >> PAGE_SHIFT;

	for (uint64_t page = first; page <= last; page++) {
		if (page_is_known(known, page))
			return page == first ? 0 : (page << PAGE_SHIFT) - offset;
	}
	return len;
}

static struct ovm_error *read_mapped(const struct ovm_ram_range *range, uint64_t *known,
				     uint64_t gpa, uint8_t *buf, size_t len)
{
	while (len) {
		uint64_t offset = gpa - range->gpa;
		size_t n = PAGE_BYTES - offset % PAGE_BYTES;
		enum page_state state;

		if (n > len)
			n = len;
		if (len >= PREAD_PAGES * PAGE_BYTES) {
			size_t unknown = unknown_prefix(known, offset, len);

			if (unknown >= PREAD_PAGES * PAGE_BYTES) {
				struct ovm_error *err = read_file(range, gpa, buf, unknown);

				if (err)
					return err;
				n = unknown;
				goto next;
			}
		}
		state = page_probe(range, known, offset >> PAGE_SHIFT);
		if (state == PAGE_GONE)
			return error_lost(gpa, 0);
		if (state == PAGE_HOLE)
			memset(buf, 0, n);
		else
			memcpy(buf, range->map + offset, n);
next:
		buf += n;
		gpa += n;
		len -= n;
	}
	return NULL;
}

/* Pieces of another process' memory that wait for one process_vm_readv(2). */
struct process_batch {
	pid_t pid;
	int nr;
	struct iovec local[NR_IOVECS], remote[NR_IOVECS];
	uint64_t gpa[NR_IOVECS];
};

/* Drop the first @n bytes, which were read. */
static void batch_advance(struct process_batch *batch, int *done, size_t n)
{
	while (n) {
		struct iovec *local = &batch->local[*done], *remote = &batch->remote[*done];
		size_t part = n < local->iov_len ? n : local->iov_len;

		local->iov_base = (uint8_t *)local->iov_base + part;
		remote->iov_base = (uint8_t *)remote->iov_base + part;
		batch->gpa[*done] += part;
		local->iov_len -= part;
		remote->iov_len -= part;
		n -= part;
		if (!local->iov_len)
			++*done;
	}
}

static struct ovm_error *batch_flush(struct process_batch *batch)
{
	int done = 0;

	while (done < batch->nr) {
		ssize_t n = process_vm_readv(
			batch->pid, &batch->local[done], (unsigned long)(batch->nr - done),
			&batch->remote[done], (unsigned long)(batch->nr - done), 0);

		if (n <= 0)
			return error_lost(batch->gpa[done], n ? errno : EFAULT);
		batch_advance(batch, &done, (size_t)n);
	}
	batch->nr = 0;
	return NULL;
}

static struct ovm_error *batch_add(struct process_batch *batch, const struct ovm_ram_range *range,
				   uint64_t gpa, void *buf, size_t len)
{
	if (batch->nr == NR_IOVECS || (batch->nr && batch->pid != range->vmm_pid)) {
		struct ovm_error *err = batch_flush(batch);

		if (err)
			return err;
	}
	batch->pid = range->vmm_pid;
	batch->local[batch->nr] = (struct iovec){buf, len};
	batch->remote[batch->nr] =
		(struct iovec){(void *)(uintptr_t)(range->vmm_address + (gpa - range->gpa)), len};
	batch->gpa[batch->nr++] = gpa;
	return NULL;
}

static struct ovm_error *read_piece(const struct ovm_memory *memory, struct process_batch *batch,
				    const struct ovm_memory_read *piece)
{
	uint64_t gpa = piece->gpa;
	uint8_t *buf = piece->buf;
	size_t len = piece->len;

	while (len) {
		size_t i = find_range(memory, gpa);

		if (i == memory->nr)
			return ovm_error_address(OVM_ERROR_FAULT, gpa,
						 "no guest RAM at physical address");

		const struct ovm_ram_range *range = &memory->ranges[i];
		uint64_t left = range->size - (gpa - range->gpa);
		size_t n = len < left ? len : left;
		struct ovm_error *err;

		if (range->kind == OVM_RAM_MAPPED)
			err = read_mapped(range, memory->known[i], gpa, buf, n);
		else if (range->kind == OVM_RAM_FILE)
			err = read_file(range, gpa, buf, n);
		else
			err = batch_add(batch, range, gpa, buf, n);
		if (err)
			return err;
		buf += n;
		gpa += n;
		len -= n;
	}
	return NULL;
}

struct ovm_error *ovm_memory_read_batch(const struct ovm_memory *memory,
					const struct ovm_memory_read *reads, size_t nr)
{
	struct process_batch batch;

	batch.nr = 0;
	for (size_t i = 0; i < nr; i++) {
		struct ovm_error *err = read_piece(memory, &batch, &reads[i]);

		if (err)
			return err;
	}
	return batch.nr ? batch_flush(&batch) : NULL;
}

struct ovm_error *ovm_memory_read(const struct ovm_memory *memory, uint64_t gpa, void *buf,
				  size_t len)
{
	const struct ovm_memory_read piece = {.gpa = gpa, .buf = buf, .len = len};

	return ovm_memory_read_batch(memory, &piece, 1);
}

const void *ovm_memory_peek(const struct ovm_memory *memory, uint64_t gpa, size_t len)
{
	size_t i = find_range(memory, gpa);

	if (i == memory->nr || !memory->ranges[i].map || !len)
		return NULL;

	const struct ovm_ram_range *range = &memory->ranges[i];
	uint64_t offset = gpa - range->gpa;

	if (len > range->size - offset)
		return NULL;
	for (uint64_t page = offset >> PAGE_SHIFT; page <= (offset + len - 1) >> PAGE_SHIFT;
	     page++) {
		if (page_probe(range, memory->known[i], page) != PAGE_DATA)
			return NULL;
	}
	return range->map + offset;
}
