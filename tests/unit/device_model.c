// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device of the tests.
 *
 * Device memory is mapped between two pages that can't be touched; it is accessible only while
 * the device works. Mapped host memory has a second view, likewise: the device's.
 *
 * A pinned page outlives the hole that is punched where it was. To show it, each page has a
 * reference in a pipe (vmsplice), which is all that a pin is to the kernel: the page is neither
 * moved nor swapped out nor made part of a huge one. What was punched since is missing in the page
 * tables of the view, and is replaced there by what tee(2) finds in the pipe before any work is
 * done. What that can't show is a hole that is punched during a kernel. Where
 * pipes are short (user-pages-soft in /proc/sys/fs, without privileges), a copy stands in
 * for the pinned page: it holds what was there when it was mapped.
 */
#include "device_model.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernels-cuda/kernels.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum {
	PAGE = 4096,
	/* What CUDA aligns allocations to. */
	ALIGNMENT = 256,
	JUNK = 0xa7,
	GUARD = 0x5c,
	/* The longest pipe that anybody may have. */
	PIPE_PAGES = 256,
	MAX_ARGS = 4096,
};

static const uint64_t MAX_MAP = UINT64_C(64) << 30;
static const uint64_t DEFAULT_MEMORY = UINT64_C(1) << 30;

struct device_model_settings device_model_settings;

/* How often device_model_punched() was called. */
static atomic_uint punched;

void device_model_punched(void)
{
	atomic_fetch_add(&punched, 1);
}
struct device_model_stats device_model_last;
static atomic_int nr_open;

enum area_kind {
	AREA_DEVICE,
	AREA_PINNED,
	AREA_MAPPED,
};

struct area {
	struct area *next;
	enum area_kind kind;
	/* As the device sees it. */
	uint8_t *data;
	size_t size;
	/* AREA_DEVICE: the pages that hold it. */
	uint8_t *pages;
	size_t pages_size;
	/* AREA_MAPPED. */
	const uint8_t *host;
	/* The read ends of pipes with PIPE_PAGES pages each, or what was there, or neither. */
	int *pipes;
	size_t nr_pipes;
	uint8_t *copy;
	/* Whether it can be touched now. */
	bool open;
};

enum work_kind {
	WORK_COPY,
	WORK_FILL,
	WORK_LAUNCH,
};

struct work {
	struct work *next;
	enum work_kind kind;
	struct ovm_device_copy *pieces;
	size_t nr;
	uint8_t *memory;
	uint8_t byte;
	enum ovm_device_kernel kernel;
	uint32_t nr_blocks;
	/* Aligned like any allocation. */
	void *args;
};

struct model {
	struct ovm_device device;
	struct device_model_settings settings;
	/* When mapped pages were looked at. */
	unsigned int nr_punched;
	pthread_mutex_t lock;
	struct device_model_stats stats;
	bool failed;
	uint64_t used;
	struct area *areas;
	struct stream *streams;
	int pagemap;
	uint64_t random;
};

struct stream {
	struct ovm_stream stream;
	struct stream *next;
	struct work *first, **last;
};

#define BREACH(...)                                       \
	do {                                              \
		fprintf(stderr, "device of the tests: "); \
		fprintf(stderr, __VA_ARGS__);             \
		fprintf(stderr, "\n");                    \
		abort();                                  \
	} while (0)

static struct model *model_of(const struct ovm_device *device)
{
	return (struct model *)(uintptr_t)device;
}

static void lock(struct model *model)
{
	pthread_mutex_lock(&model->lock);
}

static void unlock(struct model *model)
{
	pthread_mutex_unlock(&model->lock);
}

/* Count a call that can fail; the error if it has to. */
static struct ovm_error *begin(struct model *model, const char *call)
{
	if (++model->stats.calls == model->settings.fail_at)
		model->failed = true;
	if (!model->failed)
		return NULL;
	return ovm_error_format(OVM_ERROR_DEVICE, "the device of the tests failed (call %llu: %s)",
				(unsigned long long)model->stats.calls, call);
}

static void *must(void *memory)
{
	if (!memory)
		BREACH("out of memory");
	return memory;
}

static void area_add(struct model *model, struct area *area)
{
	area->next = model->areas;
	model->areas = area;
}

/* The area that holds all of a piece of memory, or NULL. */
static struct area *area_find(struct model *model, const void *memory, size_t size)
{
	for (struct area *area = model->areas; area; area = area->next) {
		uintptr_t offset = (uintptr_t)memory - (uintptr_t)area->data;

		if (offset < area->size && size <= area->size - offset)
			return area;
	}
	return NULL;
}

static void check_piece(struct model *model, const char *call, const void *memory, size_t size,
			bool mapped_too)
{
	struct area *area = area_find(model, memory, size ? size : 1);

	if (!area)
		BREACH("%s: %zu bytes at %p are not all in one piece of memory that it knows", call,
		       size, memory);
	if (area->kind == AREA_MAPPED && !mapped_too)
		BREACH("%s: %p is mapped host memory", call, memory);
}

/* Mapped host memory */

static void pins_release(struct area *area)
{
	for (size_t i = 0; i < area->nr_pipes; i++)
		close(area->pipes[i]);
	free(area->pipes);
	free(area->copy);
	area->pipes = NULL;
	area->nr_pipes = 0;
	area->copy = NULL;
}

/* A pipe that holds pages by reference; -1 if pipes are short. */
static int pin_pages(const uint8_t *pages, size_t size)
{
	struct iovec iov = {(void *)(uintptr_t)pages, size};
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -1;
	if (fcntl(fds[1], F_SETPIPE_SZ, PIPE_PAGES * PAGE) < 0)
		iov.iov_len = 0;
	while (iov.iov_len) {
		ssize_t n = vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK);

		if (n <= 0)
			break;
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	close(fds[1]);
	if (iov.iov_base == pages + size)
		return fds[0];
	close(fds[0]);
	return -1;
}

static void area_pin(struct area *area)
{
	const size_t step = (size_t)PIPE_PAGES * PAGE;

	area->pipes = must(calloc(area->size / step + 1, sizeof(*area->pipes)));
	for (size_t offset = 0; offset < area->size; offset += step) {
		size_t left = area->size - offset;
		int pipe = pin_pages(area->data + offset, left < step ? left : step);

		if (pipe < 0) {
			pins_release(area);
			area->copy = must(malloc(area->size));
			memcpy(area->copy, area->data, area->size);
			return;
		}
		area->pipes[area->nr_pipes++] = pipe;
	}
}

/* What the pinned pages of a pipe hold now. */
static void pinned_read(const struct area *area, size_t pipe, uint8_t *buf)
{
	const size_t step = (size_t)PIPE_PAGES * PAGE;
	size_t left = area->size - pipe * step, done = 0;
	size_t size = left < step ? left : step;
	int fds[2];

	if (area->copy) {
		memcpy(buf, area->copy + pipe * step, size);
		return;
	}
	if (pipe2(fds, O_CLOEXEC) || fcntl(fds[1], F_SETPIPE_SZ, (int)step) < 0 ||
	    tee(area->pipes[pipe], fds[1], size, SPLICE_F_NONBLOCK) != (ssize_t)size)
		BREACH("can't look at pinned pages: %s", strerror(errno));
	while (done < size) {
		ssize_t n = read(fds[0], buf + done, size - done);

		if (n <= 0)
			BREACH("can't read pinned pages: %s", strerror(errno));
		done += (size_t)n;
	}
	close(fds[0]);
	close(fds[1]);
}

/* Put the pinned page where the view shows none, or another one. */
static void page_replace(uint8_t *view, const uint8_t *content)
{
	if (mmap(view, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		BREACH("can't show a pinned page: %s", strerror(errno));
	memcpy(view, content, PAGE);
	mprotect(view, PAGE, PROT_READ);
}

/*
 * Show pinned pages where holes were punched.
 *
 * /proc/PID/pagemap has 8 bytes a page; bit 63: it is in the page tables.
 * Source: Linux, Documentation/admin-guide/mm/pagemap.rst.
 */
static void area_update(struct model *model, struct area *area)
{
	static const uint64_t present = UINT64_C(1) << 63;
	const size_t step = (size_t)PIPE_PAGES * PAGE;
	uint64_t entries[PIPE_PAGES];

	if (!area->pipes && !area->copy)
		return;
	for (size_t offset = 0; offset < area->size; offset += step) {
		size_t left = area->size - offset;
		size_t nr = (left < step ? left : step) / PAGE;
		uint8_t *view = area->data + offset, *content = NULL;

		if (pread(model->pagemap, entries, nr * 8, (off_t)((uintptr_t)view / PAGE * 8)) !=
		    (ssize_t)(nr * 8))
			BREACH("can't read /proc/self/pagemap: %s", strerror(errno));
		for (size_t i = 0; i < nr; i++) {
			if (entries[i] & present)
				continue;
			if (!content) {
				content = must(malloc(step));
				pinned_read(area, offset / step, content);
			}
			page_replace(view + i * PAGE, content + i * PAGE);
		}
		free(content);
	}
}

static struct ovm_error *refusal(struct model *model, const char *why)
{
	model->stats.refusals++;
	return ovm_error_format(OVM_ERROR_UNREACHABLE,
				"the device of the tests can't pin memory: %s", why);
}

static struct ovm_error *model_map(struct model *model, const uint8_t *host, size_t size,
				   const void **ret)
{
	uint64_t max = model->settings.max_map ? model->settings.max_map : MAX_MAP;

	if (!size || ((uintptr_t)host | size) % PAGE || size > MAX_MAP)
		BREACH("map: %zu bytes at %p", size, (const void *)host);
	for (struct area *area = model->areas; area; area = area->next) {
		if (area->kind == AREA_MAPPED && host < area->host + area->size &&
		    area->host < host + size)
			BREACH("map: %p is mapped already", (const void *)host);
	}
	if (size > max)
		return refusal(model, "too long a piece");
	if (model->settings.max_mapped && model->stats.mapped + size > model->settings.max_mapped)
		return refusal(model, "too much of it");
	if (model->settings.refuse && model->settings.refuse(host, size))
		return refusal(model, "as asked");
	if (model->settings.needs_writable &&
	    madvise((void *)(uintptr_t)host, size, MADV_POPULATE_WRITE))
		return refusal(model, "it can't be written");
	if (madvise((void *)(uintptr_t)host, size, MADV_POPULATE_READ))
		return refusal(model, strerror(errno));

	struct area *area = must(calloc(1, sizeof(*area)));

	/* A second view of a shared mapping. Others have none, and can't have holes punched. */
	void *view = mremap((void *)(uintptr_t)host, 0, size, MREMAP_MAYMOVE);

	area->kind = AREA_MAPPED;
	area->host = host;
	area->data = view == MAP_FAILED ? (uint8_t *)(uintptr_t)host : view;
	area->size = size;
	if (view != MAP_FAILED) {
		if (madvise(view, size, MADV_POPULATE_READ)) {
			munmap(view, size);
			free(area);
			return refusal(model, strerror(errno));
		}
		area_pin(area);
		mprotect(view, size, PROT_NONE);
	}
	area_add(model, area);
	model->stats.maps++;
	model->stats.mappings++;
	model->stats.mapped += size;
	*ret = area->data;
	return NULL;
}

/* Device memory */

static void guards_check(const struct area *area)
{
	const uint8_t *end = area->pages + area->pages_size - PAGE;

	mprotect(area->pages + PAGE, area->pages_size - 2 * PAGE, PROT_READ | PROT_WRITE);
	ASAN_UNPOISON_MEMORY_REGION(area->pages, area->pages_size);
	for (const uint8_t *p = area->pages + PAGE; p < end; p++) {
		if (p == area->data)
			p += area->size;
		if (p < end && *p != GUARD)
			BREACH("something was written %td bytes from the start of an allocation "
			       "of %zu bytes",
			       p - area->data, area->size);
	}
}

static void area_release(struct model *model, struct area *area)
{
	if (area->kind == AREA_DEVICE) {
		guards_check(area);
		munmap(area->pages, area->pages_size);
		model->used -= area->size;
	} else if (area->kind == AREA_PINNED) {
		munmap(area->data, (area->size + PAGE - 1) / PAGE * PAGE);
	} else {
		pins_release(area);
		if (area->data != area->host)
			munmap(area->data, area->size);
		model->stats.mapped -= area->size;
	}
	free(area);
}

static void area_drop(struct model *model, enum area_kind kind, const char *call,
		      const void *memory)
{
	struct area **link = &model->areas;
	uint64_t *counts[] = {&model->stats.allocations, &model->stats.pinned,
			      &model->stats.mappings};

	while (*link && ((*link)->kind != kind ||
			 (kind == AREA_MAPPED ? (*link)->host : (*link)->data) != memory))
		link = &(*link)->next;
	if (!*link)
		BREACH("%s: nothing known at %p", call, memory);

	struct area *area = *link;

	*link = area->next;
	area_release(model, area);
	--*counts[kind];
}

static struct ovm_error *model_alloc(struct model *model, size_t size, void **ret)
{
	uint64_t memory = model->settings.memory ? model->settings.memory : DEFAULT_MEMORY;

	if (!size)
		BREACH("alloc: 0 bytes");
	if (size > memory - model->used)
		return ovm_error_format(OVM_ERROR_NO_MEMORY,
					"the device of the tests has no memory for %zu bytes",
					size);

	struct area *area = must(calloc(1, sizeof(*area)));
	size_t aligned = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	size_t inner = (aligned + PAGE - 1) / PAGE * PAGE;
	uint8_t *pages = mmap(NULL, inner + 2 * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pages == MAP_FAILED)
		BREACH("out of memory");
	area->kind = AREA_DEVICE;
	area->pages = pages;
	area->pages_size = inner + 2 * PAGE;
	area->data = pages + PAGE + inner - aligned;
	area->size = size;
	memset(pages + PAGE, GUARD, inner);
	memset(area->data, JUNK, size);
	ASAN_POISON_MEMORY_REGION(pages, area->pages_size);
	ASAN_UNPOISON_MEMORY_REGION(area->data, size);
	mprotect(pages, area->pages_size, PROT_NONE);
	area_add(model, area);
	model->used += size;
	model->stats.allocations++;
	*ret = area->data;
	return NULL;
}

static struct ovm_error *model_alloc_pinned(struct model *model, size_t size, void **ret)
{
	struct area *area = must(calloc(1, sizeof(*area)));
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!size || data == MAP_FAILED)
		BREACH("alloc_pinned: %zu bytes", size);
	area->kind = AREA_PINNED;
	area->data = data;
	area->size = size;
	area_add(model, area);
	model->stats.pinned++;
	*ret = data;
	return NULL;
}

/* Work */

#define OVM_KERNEL(name, body, args_type)                        \
	static void run_##name(const void *args, uint32_t block) \
	{                                                        \
		body((const args_type *)args, block);            \
	}
#include "kernels-cuda/kernels.def"
#undef OVM_KERNEL

static const struct {
	const char *name;
	size_t args_size;
	void (*run)(const void *args, uint32_t block);
} kernels[OVM_NR_KERNELS + 1] = {
#define OVM_KERNEL(name, body, args_type) \
	[OVM_KERNEL_##name] = {#name, sizeof(args_type), run_##name},
#include "kernels-cuda/kernels.def"
#undef OVM_KERNEL
};

static uint64_t next_random(struct model *model)
{
	model->random ^= model->random << 13;
	model->random ^= model->random >> 7;
	model->random ^= model->random << 17;
	return model->random;
}

static void run_kernel(struct model *model, const struct work *work)
{
	uint32_t nr = work->nr_blocks;
	uint32_t *order = must(malloc(((size_t)nr + 1) * sizeof(*order)));

	for (uint32_t i = 0; i < nr; i++)
		order[i] = model->settings.order == DEVICE_MODEL_REVERSE ? nr - 1 - i : i;
	for (uint32_t i = nr; model->settings.order == DEVICE_MODEL_SHUFFLED && i > 1; i--) {
		uint32_t j = (uint32_t)(next_random(model) % i), other = order[j];

		order[j] = order[i - 1];
		order[i - 1] = other;
	}
	for (uint32_t i = 0; i < nr; i++)
		kernels[work->kernel].run(work->args, order[i]);
	free(order);
}

static void run_work(struct model *model, const struct work *work)
{
	switch (work->kind) {
	case WORK_COPY:
		for (size_t i = 0; i < work->nr; i++)
			memcpy(work->pieces[i].to, work->pieces[i].from, work->pieces[i].size);
		break;
	case WORK_FILL:
		memset(work->memory, work->byte, work->nr);
		break;
	case WORK_LAUNCH:
		run_kernel(model, work);
		break;
	}
}

static void work_free(struct work *work)
{
	free(work->pieces);
	free(work->args);
	free(work);
}

enum {
	/* With more pieces of memory than these, it would take most of the time to watch over them.
	 */
	MAX_GUARDED = 24,
};

/* Let the device's memory be touched, or not. */
static void areas_open(struct model *model, bool open)
{
	const struct device_model_stats *held = &model->stats;

	if (!open && held->mappings + held->allocations > MAX_GUARDED)
		return;
	for (struct area *area = model->areas; area; area = area->next) {
		if (area->open == open)
			continue;
		area->open = open;
		if (area->kind == AREA_DEVICE)
			mprotect(area->pages + PAGE, area->pages_size - 2 * PAGE,
				 open ? PROT_READ | PROT_WRITE : PROT_NONE);
		else if (area->kind == AREA_MAPPED && area->data != area->host)
			mprotect(area->data, area->size, open ? PROT_READ : PROT_NONE);
	}
}

static void stream_run(struct model *model, struct stream *stream)
{
	struct work *work = stream->first;

	if (!work)
		return;
	unsigned int nr_punched = atomic_load(&punched);

	for (struct area *area = model->areas; area; area = area->next) {
		if (area->kind == AREA_MAPPED &&
		    !(model->settings.told && model->nr_punched == nr_punched))
			area_update(model, area);
	}
	model->nr_punched = nr_punched;
	areas_open(model, true);
	while (work) {
		struct work *next = work->next;

		run_work(model, work);
		work_free(work);
		work = next;
	}
	areas_open(model, false);
	stream->first = NULL;
	stream->last = &stream->first;
}

static void stream_drop(struct stream *stream)
{
	for (struct work *work = stream->first, *next; work; work = next) {
		next = work->next;
		work_free(work);
	}
	stream->first = NULL;
	stream->last = &stream->first;
}

static void streams_run(struct model *model)
{
	for (struct stream *stream = model->streams; stream; stream = stream->next) {
		if (model->failed)
			stream_drop(stream);
		else
			stream_run(model, stream);
	}
}

static struct work *work_add(struct stream *stream, enum work_kind kind)
{
	struct work *work = must(calloc(1, sizeof(*work)));

	work->kind = kind;
	*stream->last = work;
	stream->last = &work->next;
	return work;
}

/* The end of a call that put work into a stream. */
static struct ovm_error *work_added(struct model *model, struct stream *stream)
{
	if (model->settings.at_once)
		stream_run(model, stream);
	unlock(model);
	return NULL;
}

static int compare_pieces(const void *a, const void *b)
{
	const struct ovm_device_copy *x = a, *y = b;
	uintptr_t left = (uintptr_t)x->to, right = (uintptr_t)y->to;

	return left < right ? -1 : left > right;
}

static void check_overlaps(const struct work *work, const char *call)
{
	struct ovm_device_copy *sorted = must(calloc(work->nr + 1, sizeof(*sorted)));

	if (work->nr)
		memcpy(sorted, work->pieces, work->nr * sizeof(*sorted));
	qsort(sorted, work->nr, sizeof(*sorted), compare_pieces);
	for (size_t i = 0; i < work->nr; i++) {
		uintptr_t to = (uintptr_t)sorted[i].to, from = (uintptr_t)sorted[i].from;

		if (i && (uintptr_t)sorted[i - 1].to + sorted[i - 1].size > to)
			BREACH("%s: two pieces go to %p", call, sorted[i].to);
		if (to - from < sorted[i].size || from - to < sorted[i].size)
			BREACH("%s: from and to overlap at %p", call, sorted[i].to);
	}
	free(sorted);
}

static struct ovm_error *add_copies(struct ovm_stream *to_stream, const char *call,
				    const struct ovm_device_copy *pieces, size_t nr,
				    bool mapped_too)
{
	struct model *model = model_of(to_stream->device);
	struct stream *stream = (struct stream *)to_stream;

	lock(model);
	struct ovm_error *err = begin(model, call);

	if (err) {
		unlock(model);
		return err;
	}
	for (size_t i = 0; i < nr; i++) {
		check_piece(model, call, pieces[i].to, pieces[i].size, false);
		check_piece(model, call, pieces[i].from, pieces[i].size, mapped_too);
	}

	struct work *work = work_add(stream, WORK_COPY);

	work->nr = nr;
	work->pieces = must(calloc(nr + 1, sizeof(*pieces)));
	if (nr)
		memcpy(work->pieces, pieces, nr * sizeof(*pieces));
	check_overlaps(work, call);
	return work_added(model, stream);
}

/* The calls of device.h */

static void op_destroy(struct ovm_device *device)
{
	struct model *model = model_of(device);

	device_model_last = model->stats;
	for (struct stream *stream = model->streams, *next; stream; stream = next) {
		next = stream->next;
		stream_drop(stream);
		free(stream);
	}
	for (struct area *area = model->areas, *next; area; area = next) {
		next = area->next;
		area_release(model, area);
	}
	close(model->pagemap);
	pthread_mutex_destroy(&model->lock);
	free(model);
	atomic_fetch_sub(&nr_open, 1);
}

static struct ovm_error *op_info(struct ovm_device *device, struct ovm_device_info *ret)
{
	struct model *model = model_of(device);

	lock(model);
	struct ovm_error *err = begin(model, "info");

	memset(ret, 0, sizeof(*ret));
	if (!err) {
		snprintf(ret->name, sizeof(ret->name), "device of the tests");
		ret->memory = model->settings.memory ? model->settings.memory : DEFAULT_MEMORY;
		ret->free_memory = ret->memory - model->used;
		ret->nr_sms = 4;
		ret->arch = 75;
		ret->maps_read_only = !model->settings.needs_writable;
	}
	unlock(model);
	return err;
}

static struct ovm_error *op_map(struct ovm_device *device, const void *host, size_t size,
				const void **ret)
{
	struct model *model = model_of(device);

	*ret = NULL;
	lock(model);
	struct ovm_error *err = begin(model, "map");

	if (!err)
		err = model_map(model, host, size, ret);
	unlock(model);
	return err;
}

static void op_unmap(struct ovm_device *device, const void *host)
{
	struct model *model = model_of(device);

	lock(model);
	for (struct stream *stream = model->streams; stream; stream = stream->next) {
		if (stream->first && !model->failed)
			BREACH("unmap: there is work that nobody has waited for");
	}
	area_drop(model, AREA_MAPPED, "unmap", host);
	unlock(model);
}

static struct ovm_error *op_alloc(struct ovm_device *device, size_t size, void **ret)
{
	struct model *model = model_of(device);

	*ret = NULL;
	lock(model);
	struct ovm_error *err = begin(model, "alloc");

	if (!err)
		err = model_alloc(model, size, ret);
	unlock(model);
	return err;
}

static void op_free(struct ovm_device *device, void *memory)
{
	struct model *model = model_of(device);

	if (!memory)
		return;
	lock(model);
	streams_run(model);
	area_drop(model, AREA_DEVICE, "free", memory);
	unlock(model);
}

static struct ovm_error *op_alloc_pinned(struct ovm_device *device, size_t size, int node,
					 void **ret, void **ret_device)
{
	struct model *model = model_of(device);

	*ret = *ret_device = NULL;
	lock(model);
	struct ovm_error *err = begin(model, "alloc_pinned");

	if (node < -1)
		BREACH("alloc_pinned: node %d", node);
	if (!err)
		err = model_alloc_pinned(model, size, ret);
	*ret_device = *ret;
	unlock(model);
	return err;
}

static void op_free_pinned(struct ovm_device *device, void *memory)
{
	struct model *model = model_of(device);

	if (!memory)
		return;
	lock(model);
	streams_run(model);
	area_drop(model, AREA_PINNED, "free_pinned", memory);
	unlock(model);
}

static struct ovm_error *op_stream_create(struct ovm_device *device, struct ovm_stream **ret)
{
	struct model *model = model_of(device);

	*ret = NULL;
	lock(model);
	struct ovm_error *err = begin(model, "stream_create");

	if (!err) {
		struct stream *stream = must(calloc(1, sizeof(*stream)));

		stream->stream.device = device;
		stream->last = &stream->first;
		stream->next = model->streams;
		model->streams = stream;
		model->stats.streams++;
		*ret = &stream->stream;
	}
	unlock(model);
	return err;
}

static void op_stream_destroy(struct ovm_stream *stream)
{
	if (!stream)
		return;

	struct model *model = model_of(stream->device);

	lock(model);
	struct stream **link = &model->streams;

	while (*link && &(*link)->stream != stream)
		link = &(*link)->next;
	if (!*link)
		BREACH("stream_destroy: no such stream");

	struct stream *gone = *link;

	if (!model->failed)
		stream_run(model, gone);
	stream_drop(gone);
	*link = gone->next;
	free(gone);
	model->stats.streams--;
	unlock(model);
}

static struct ovm_error *op_wait(struct ovm_stream *stream)
{
	struct model *model = model_of(stream->device);

	lock(model);
	struct ovm_error *err = begin(model, "wait");

	if (err)
		stream_drop((struct stream *)stream);
	else
		stream_run(model, (struct stream *)stream);
	unlock(model);
	return err;
}

static struct ovm_error *op_copy(struct ovm_stream *stream, void *to, const void *from, size_t size)
{
	const struct ovm_device_copy piece = {to, from, size};

	return add_copies(stream, "copy", &piece, 1, false);
}

static struct ovm_error *op_copy_batch(struct ovm_stream *stream,
				       const struct ovm_device_copy *pieces, size_t nr)
{
	return add_copies(stream, "copy_batch", pieces, nr, true);
}

static struct ovm_error *op_fill(struct ovm_stream *stream, void *memory, uint8_t byte, size_t size)
{
	struct model *model = model_of(stream->device);

	lock(model);
	struct ovm_error *err = begin(model, "fill");

	if (err) {
		unlock(model);
		return err;
	}
	check_piece(model, "fill", memory, size, false);

	struct work *work = work_add((struct stream *)stream, WORK_FILL);

	work->memory = memory;
	work->byte = byte;
	work->nr = size;
	return work_added(model, (struct stream *)stream);
}

static struct ovm_error *op_launch(struct ovm_stream *stream, enum ovm_device_kernel kernel,
				   uint32_t nr_blocks, const void *args, size_t args_size)
{
	struct model *model = model_of(stream->device);

	lock(model);
	struct ovm_error *err = begin(model, "launch");

	if (err) {
		unlock(model);
		return err;
	}
	if ((unsigned int)kernel >= OVM_NR_KERNELS)
		BREACH("launch: no kernel %d", (int)kernel);
	if (args_size != kernels[kernel].args_size || args_size > MAX_ARGS)
		BREACH("launch: %zu bytes of arguments for %s, which takes %zu", args_size,
		       kernels[kernel].name, kernels[kernel].args_size);
	if (nr_blocks > INT32_MAX)
		BREACH("launch: %u blocks of %s", nr_blocks, kernels[kernel].name);

	struct work *work = work_add((struct stream *)stream, WORK_LAUNCH);

	work->kernel = kernel;
	work->nr_blocks = nr_blocks;
	work->args = must(malloc(args_size));
	memcpy(work->args, args, args_size);
	model->stats.launches++;
	return work_added(model, (struct stream *)stream);
}

static const struct ovm_device_ops ops = {
	.destroy = op_destroy,
	.info = op_info,
	.map = op_map,
	.unmap = op_unmap,
	.alloc = op_alloc,
	.free = op_free,
	.alloc_pinned = op_alloc_pinned,
	.free_pinned = op_free_pinned,
	.stream_create = op_stream_create,
	.stream_destroy = op_stream_destroy,
	.wait = op_wait,
	.copy = op_copy,
	.copy_batch = op_copy_batch,
	.fill = op_fill,
	.launch = op_launch,
};

struct ovm_error *device_model_open(struct ovm_device **ret)
{
	struct model *model = must(calloc(1, sizeof(*model)));

	*ret = NULL;
	model->device.ops = &ops;
	model->settings = device_model_settings;
	model->random = UINT64_C(0x9e3779b97f4a7c15);
	pthread_mutex_init(&model->lock, NULL);
	model->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (model->pagemap < 0)
		BREACH("/proc/self/pagemap: %s", strerror(errno));
	atomic_fetch_add(&nr_open, 1);

	struct ovm_error *err = begin(model, "open");

	if (err)
		op_destroy(&model->device);
	else
		*ret = &model->device;
	return err;
}

void device_model_stats(const struct ovm_device *device, struct device_model_stats *ret)
{
	struct model *model = model_of(device);

	lock(model);
	*ret = model->stats;
	unlock(model);
}

bool device_model_released(void)
{
	const struct device_model_stats *last = &device_model_last;

	return !atomic_load(&nr_open) && !last->mappings && !last->mapped && !last->allocations &&
	       !last->pinned && !last->streams;
}
