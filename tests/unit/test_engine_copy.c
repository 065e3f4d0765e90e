// SPDX-License-Identifier: GPL-2.0-only
/* Lists of pages, copies from each kind of memory, and sinks. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test_engine_guest.h"
#include "test.h"

enum {
	MIB = 1 << 20,
	RAM_SIZE = 128 * MIB,
	FIRST = 32 * MIB,
};

struct fixture {
	struct guest guest;
	struct ovm_engine *engine;
	struct ovm_page_sink *sink;
	struct ovm_page_list *list;
	uint8_t *out;
	size_t out_size;
};

static void fixture_deinit(struct fixture *f)
{
	ovm_page_sink_destroy(f->sink);
	ovm_page_list_free(f->list);
	ovm_engine_destroy(f->engine);
	guest_destroy(&f->guest);
	free(f->out);
}

#define _cleanup_fixture_ __attribute__((cleanup(fixture_deinit)))

static struct ovm_error *fixture_init(struct fixture *f, enum ovm_ram_kind kind,
				      unsigned int nr_threads)
{
	struct ovm_error *err = guest_create(&f->guest, RAM_SIZE, 4, kind, 2);

	return err ? err : guest_engine(&f->guest, nr_threads, &f->engine);
}

/* A copy into a buffer of as many bytes as the pieces have. */
static struct ovm_error *copy(struct fixture *f, const struct ovm_copy_run *copies, size_t nr)
{
	struct ovm_copy_request request = {
		.size = sizeof(request),
		.copies = copies,
		.nr_copies = nr,
	};

	f->out_size = 0;
	for (size_t i = 0; i < nr; i++)
		f->out_size += copies[i].nr_pages << 12;
	free(f->out);
	f->out = malloc(f->out_size);
	memset(f->out, 0xa5, f->out_size);
	ovm_page_sink_destroy(f->sink);

	struct ovm_error *err = ovm_page_sink_create_buffer(f->out, f->out_size, &f->sink);

	request.sink = f->sink;
	return err ? err : ovm_engine_copy(f->engine, &request);
}

/* Fill a page with words that name it; not with @hole. */
static void fill_page(struct guest *guest, uint64_t gpa)
{
	for (unsigned int i = 0; i < 512; i++)
		guest_words(guest, gpa)[i] = gpa + i;
}

static bool page_is_right(const uint8_t *page, uint64_t gpa, bool hole)
{
	for (unsigned int i = 0; i < 512; i++) {
		uint64_t word;

		memcpy(&word, page + 8 * i, 8);
		if (word != (hole ? 0 : gpa + i))
			return false;
	}
	return true;
}

/* Page @i above FIRST is a hole. */
static bool is_hole(uint64_t i)
{
	return i % 7 == 3 || (i >= 600 && i < 1700);
}

static uint64_t allocated(const struct guest *guest)
{
	struct stat st;

	return fstat(guest->fd, &st) ? 0 : (uint64_t)st.st_blocks;
}

static void check_copy(enum ovm_ram_kind kind, unsigned int nr_threads)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct ovm_copy_run copies[1026];
	uint64_t page = 0;

	ASSERT_OK(fixture_init(&f, kind, nr_threads));
	for (uint64_t i = 0; i < 8192; i++) {
		if (!is_hole(i))
			fill_page(&f.guest, FIRST + (i << 12));
	}
	/* One long piece, then single pages from back to front, then a long one again. */
	copies[0] = (struct ovm_copy_run){FIRST, 3000, 0};
	for (uint64_t i = 1; i < 1025; i++)
		copies[i] =
			(struct ovm_copy_run){FIRST + ((8000 - 2 * i) << 12), 1, (2999 + i) << 12};
	copies[1025] = (struct ovm_copy_run){FIRST + (100 << 12), 2000, (2999 + 1025) << 12};

	uint64_t before = allocated(&f.guest);

	ASSERT_OK(copy(&f, copies, 1026));
	if (kind != OVM_RAM_PROCESS)
		ASSERT_EQ_U64(allocated(&f.guest), before);
	for (unsigned int c = 0; c < 1026; c++) {
		for (uint64_t i = 0; i < copies[c].nr_pages; i++, page++) {
			uint64_t gpa = copies[c].gpa + (i << 12);

			ASSERT_TRUE(page_is_right(f.out + (page << 12), gpa,
						  is_hole((gpa - FIRST) >> 12)));
		}
	}
	ASSERT_EQ_U64(page << 12, f.out_size);
}

OVM_TEST(engine_copy, copies_mapped_memory_and_keeps_its_holes)
{
	check_copy(OVM_RAM_MAPPED, 1);
	check_copy(OVM_RAM_MAPPED, 3);
}

OVM_TEST(engine_copy, copies_memory_that_can_only_be_read)
{
	check_copy(OVM_RAM_FILE, 1);
	check_copy(OVM_RAM_FILE, 3);
}

OVM_TEST(engine_copy, copies_memory_of_another_process)
{
	check_copy(OVM_RAM_PROCESS, 2);
}

/* Make a system call fail with ENOSYS, as on a kernel that doesn't have it. */
static bool forbid_syscall(unsigned int nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 38),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Run a check in a child that lacks system calls. */
static void check_without(const unsigned int *nrs, unsigned int nr)
{
	pid_t pid = fork();

	if (!pid) {
		for (unsigned int i = 0; i < nr; i++) {
			if (!forbid_syscall(nrs[i]))
				_exit(77);
		}
		check_copy(OVM_RAM_MAPPED, 2);
		_exit(ovm_test_failed());
	}

	int status;

	ASSERT_TRUE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		OVM_SKIP("seccomp filters are not available");
	ASSERT_EQ_U64(WEXITSTATUS(status), 0);
}

OVM_TEST(engine_copy, keeps_holes_on_kernels_without_cachestat)
{
	const unsigned int cachestat = 451;

	check_without(&cachestat, 1);
}

OVM_TEST(engine_copy, keeps_holes_without_cachestat_and_mincore)
{
	const unsigned int nrs[] = {451, SYS_mincore};

	check_without(nrs, 2);
}

OVM_TEST(engine_copy, sees_holes_that_the_guest_made_since)
{
	_cleanup_fixture_ struct fixture f = {0};
	const struct ovm_copy_run piece = {FIRST, 512, 0};

	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 1));
	for (uint64_t i = 0; i < 512; i++)
		fill_page(&f.guest, FIRST + (i << 12));
	ASSERT_OK(copy(&f, &piece, 1));
	ASSERT_TRUE(page_is_right(f.out + 4096, FIRST + 4096, false));
	ASSERT_TRUE(
		!fallocate(f.guest.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FIRST, 2 * MIB));
	ASSERT_OK(copy(&f, &piece, 1));
	ASSERT_TRUE(page_is_right(f.out + 4096, FIRST + 4096, true));
}

OVM_TEST(engine_copy, crosses_adjoining_ranges_of_ram)
{
	int fd = memfd_create("ram", MFD_CLOEXEC), other = memfd_create("other", MFD_CLOEXEC);
	const struct ovm_ram_range ranges[] = {
		{.gpa = 0, .size = MIB, .kind = OVM_RAM_MAPPED, .fd = fd},
		{.gpa = MIB, .size = MIB, .kind = OVM_RAM_FILE, .fd = other},
		{.gpa = 8 * MIB, .size = MIB, .kind = OVM_RAM_MAPPED, .fd = fd, .file_offset = MIB},
	};
	const struct ovm_copy_run piece = {MIB - 8192, 4, 0};
	const struct ovm_copy_run beyond = {2 * MIB - 8192, 4, 0};
	_cleanup_fixture_ struct fixture f = {.guest.fd = -1};
	const struct ovm_engine_options options = {.size = sizeof(options), .nr_threads = 2};

	ASSERT_TRUE(!ftruncate(fd, 2 * MIB) && !ftruncate(other, MIB));
	ASSERT_TRUE(pwrite(fd, "below", 5, MIB - 4096) == 5 && pwrite(other, "above", 5, 0) == 5);
	ASSERT_OK(ovm_memory_create(ranges, 3, &f.guest.memory));
	ASSERT_OK(ovm_engine_create(&options, &f.engine));
	ASSERT_OK(ovm_engine_attach(f.engine, f.guest.memory));
	ASSERT_OK(copy(&f, &piece, 1));
	ASSERT_MEMEQ(f.out + 4096, "below", 6);
	ASSERT_MEMEQ(f.out + 8192, "above", 6);
	ASSERT_ERROR(copy(&f, &beyond, 1), OVM_ERROR_FAULT, "0x200000");
}

/* Cutting it into chunks alone would take hours. */
OVM_TEST(engine_copy, refuses_a_piece_larger_than_ram_at_once)
{
	const struct ovm_ram_range range = {
		.size = MIB, .kind = OVM_RAM_MAPPED, .fd = memfd_create("ram", MFD_CLOEXEC)};
	const struct ovm_copy_run piece = {4096, 1ULL << 50, 0};
	_cleanup_fixture_ struct fixture f = {.guest.fd = -1};
	struct ovm_copy_request request = {
		.size = sizeof(request), .copies = &piece, .nr_copies = 1};
	const struct ovm_engine_options options = {.size = sizeof(options), .nr_threads = 2};

	ASSERT_TRUE(!ftruncate(range.fd, MIB));
	ASSERT_OK(ovm_memory_create(&range, 1, &f.guest.memory));
	ASSERT_OK(ovm_engine_create(&options, &f.engine));
	ASSERT_OK(ovm_engine_attach(f.engine, f.guest.memory));
	ASSERT_OK(ovm_page_sink_create_discard(&f.sink));
	request.sink = f.sink;
	ASSERT_ERROR(ovm_engine_copy(f.engine, &request), OVM_ERROR_FAULT, "0x100000");
}

static struct ovm_error *copy_to_fd(struct fixture *f, const struct ovm_copy_run *piece, int fd,
				    uint64_t base, const char *path)
{
	struct ovm_copy_request request = {
		.size = sizeof(request),
		.copies = piece,
		.nr_copies = 1,
	};

	ovm_page_sink_destroy(f->sink);

	struct ovm_error *err = ovm_page_sink_create_file(fd, base, path, &f->sink);

	request.sink = f->sink;
	return err ? err : ovm_engine_copy(f->engine, &request);
}

OVM_TEST(engine_copy, writes_a_file_at_an_offset)
{
	_cleanup_fixture_ struct fixture f = {0};
	const struct ovm_copy_run piece = {FIRST, 700, 0};
	uint8_t page[4096];
	int fd = memfd_create("pages", MFD_CLOEXEC);

	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 2));
	for (uint64_t i = 0; i < 700; i++)
		fill_page(&f.guest, FIRST + (i << 12));
	ASSERT_OK(copy_to_fd(&f, &piece, fd, 12288, NULL));
	ASSERT_TRUE(lseek(fd, 0, SEEK_END) == 703 * 4096);
	for (uint64_t i = 0; i < 700; i++) {
		ASSERT_TRUE(pread(fd, page, 4096, (off_t)(12288 + (i << 12))) == 4096);
		ASSERT_TRUE(page_is_right(page, FIRST + (i << 12), false));
	}
	close(fd);
}

OVM_TEST(engine_copy, names_the_file_that_is_full)
{
	_cleanup_fixture_ struct fixture f = {0};
	const struct ovm_copy_run piece = {FIRST, 700, 0};
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		OVM_SKIP("/dev/full can't be opened");
	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 2));
	ASSERT_ERROR(copy_to_fd(&f, &piece, fd, 0, "/dev/full"), OVM_ERROR_OUTPUT,
		     "can't write /dev/full, make room");
	close(fd);
	ASSERT_ERROR(copy_to_fd(&f, &piece, -1, 0, NULL), OVM_ERROR_OUTPUT, "the pages file");
}

OVM_TEST(engine_copy, says_when_guest_ram_was_cut_off)
{
	_cleanup_fixture_ struct fixture f = {0};
	const struct ovm_copy_run piece = {FIRST, 512, 0};
	int fd = memfd_create("pages", MFD_CLOEXEC);

	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 2));
	for (uint64_t i = 0; i < 512; i++)
		fill_page(&f.guest, FIRST + (i << 12));
	/* One page was in use already: only writing it can tell. */
	ASSERT_TRUE(ovm_memory_peek(f.guest.memory, FIRST, OVM_PAGE_SIZE));
	ASSERT_TRUE(!ftruncate(f.guest.fd, FIRST));
	ASSERT_ERROR(copy_to_fd(&f, &piece, fd, 0, NULL), OVM_ERROR_UNREACHABLE, NULL);
	ASSERT_TRUE(!ftruncate(f.guest.fd, RAM_SIZE));
	close(fd);
}

OVM_TEST(engine_copy, goes_on_after_a_short_write)
{
	_cleanup_fixture_ struct fixture f = {0};
	const struct ovm_copy_run piece = {FIRST, 512, 0};
	const struct rlimit limit = {100 * 4096 + 1000, RLIM_INFINITY};
	struct rlimit old;
	char path[] = "/tmp/ovm-test-XXXXXX";
	int fd = mkstemp(path);

	ASSERT_TRUE(fd >= 0 && !unlink(path));
	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 1));
	ASSERT_TRUE(!getrlimit(RLIMIT_FSIZE, &old));

	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

	setrlimit(RLIMIT_FSIZE, &limit);

	struct ovm_error *err = copy_to_fd(&f, &piece, fd, 0, "pages-1.img");

	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, handler);
	/* The first call writes up to the limit, the second one fails. */
	ASSERT_ERROR(err, OVM_ERROR_OUTPUT, "pages-1.img: File too large");
	ASSERT_TRUE(lseek(fd, 0, SEEK_END) == 100 * 4096 + 1000);
	close(fd);
}

OVM_TEST(engine_copy, refuses_to_write_past_a_buffer)
{
	_cleanup_fixture_ struct fixture f = {0};
	const struct ovm_copy_run piece = {FIRST, 2, 4096};

	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 2));
	ASSERT_ERROR(copy(&f, &piece, 1), OVM_ERROR_OUTPUT, "too small");
}

/* A sink that only notes what it is told. */
struct log {
	pthread_mutex_t lock;
	uint64_t bytes;
	uint64_t most;
	unsigned int calls;
	unsigned int fail_at;
};

static struct ovm_error *log_write(void *arg, const struct iovec *iov, int nr, uint64_t offset)
{
	struct log *log = arg;
	struct ovm_error *err = NULL;
	uint64_t bytes = 0;

	for (int i = 0; i < nr; i++)
		bytes += iov[i].iov_len;
	pthread_mutex_lock(&log->lock);
	log->bytes += bytes;
	log->calls++;
	if (bytes > log->most)
		log->most = bytes;
	if (log->fail_at && log->calls >= log->fail_at)
		err = ovm_error_format(OVM_ERROR_OUTPUT, "peer gone at %llu",
				       (unsigned long long)offset);
	pthread_mutex_unlock(&log->lock);
	return err;
}

struct progress {
	uint64_t done;
	uint64_t total;
	bool backwards;
	bool cancel;
};

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct progress *progress = arg;

	progress->backwards |= done < progress->done || done > total;
	progress->done = done;
	progress->total = total;
}

static bool on_cancel(void *arg)
{
	const struct progress *progress = arg;

	return progress->cancel && progress->done >= 8 * MIB;
}

static struct ovm_error *copy_to_log(struct fixture *f, struct log *log, struct progress *progress,
				     size_t chunk)
{
	const struct ovm_copy_run piece = {FIRST, 64 * MIB / 4096, 0};
	struct ovm_copy_request request = {
		.size = sizeof(request),
		.copies = &piece,
		.nr_copies = 1,
		.chunk = chunk,
		.progress = on_progress,
		.cancelled = on_cancel,
		.arg = progress,
	};
	struct ovm_error *err = ovm_page_sink_create(log_write, log, &f->sink);

	request.sink = f->sink;
	return err ? err : ovm_engine_copy(f->engine, &request);
}

OVM_TEST(engine_copy, gives_a_custom_sink_chunks_and_tells_progress)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct log log = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct progress progress = {0};

	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 2));
	ASSERT_OK(copy_to_log(&f, &log, &progress, 4 * MIB));
	ASSERT_EQ_U64(log.bytes, 64 * MIB);
	ASSERT_EQ_U64(log.most, 4 * MIB);
	ASSERT_EQ_U64(log.calls, 16);
	ASSERT_EQ_U64(progress.done, 64 * MIB);
	ASSERT_EQ_U64(progress.total, 64 * MIB);
	ASSERT_FALSE(progress.backwards);
}

OVM_TEST(engine_copy, returns_the_error_of_a_sink)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct log log = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_at = 3};
	struct progress progress = {0};

	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 4));
	ASSERT_ERROR(copy_to_log(&f, &log, &progress, 0), OVM_ERROR_OUTPUT, "peer gone");
	ASSERT_TRUE(log.calls < 10);
}

OVM_TEST(engine_copy, stops_on_request)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct log log = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct progress progress = {.cancel = true};

	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 1));
	ASSERT_ERROR(copy_to_log(&f, &log, &progress, 0), OVM_ERROR_CANCELLED, NULL);
	ASSERT_EQ_U64(log.bytes, 8 * MIB);
}

OVM_TEST(engine_copy, refuses_malformed_pieces)
{
	_cleanup_fixture_ struct fixture f = {0};
	const struct ovm_copy_run unaligned = {FIRST + 1, 1, 0};
	const struct ovm_copy_run too_long = {FIRST, UINT64_MAX / 4096, 0};
	const struct ovm_copy_run too_far = {FIRST, 1, INT64_MAX};
	struct ovm_copy_request request = {
		.size = sizeof(request),
		.copies = &unaligned,
		.nr_copies = 1,
	};

	ASSERT_OK(fixture_init(&f, OVM_RAM_MAPPED, 1));
	ASSERT_OK(ovm_page_sink_create_discard(&f.sink));
	request.sink = f.sink;
	ASSERT_ERROR(ovm_engine_copy(f.engine, &request), OVM_ERROR_USAGE, "malformed");
	request.copies = &too_long;
	ASSERT_ERROR(ovm_engine_copy(f.engine, &request), OVM_ERROR_USAGE, "malformed");
	request.copies = &too_far;
	ASSERT_ERROR(ovm_engine_copy(f.engine, &request), OVM_ERROR_USAGE, "malformed");
	request.nr_copies = 0;
	ASSERT_OK(ovm_engine_copy(f.engine, &request));
}

OVM_TEST(engine_list, merges_extents_by_address_and_copies_by_frame)
{
	const struct ovm_run runs[] = {
		{.va = 0x10000, .gpa = 0x5000, .nr_pages = 2, .kind = OVM_PAGE_ANON},
		{.va = 0x12000, .gpa = 0x9000, .nr_pages = 1, .kind = OVM_PAGE_FILE, .range = 1},
		{.va = 0x13000, .gpa = 0x1, .nr_pages = 1, .kind = OVM_PAGE_SWAP, .range = 1},
		{.va = 0x14000, .gpa = 0xa000, .nr_pages = 3, .kind = OVM_PAGE_ANON},
		{.va = 0x17000, .gpa = 0x2000, .nr_pages = 2, .kind = OVM_PAGE_ZERO},
	};
	struct ovm_page_list *list;

	ASSERT_OK(ovm_page_list_create(runs, 5, OVM_PAGE_KINDS_RAM, &list));
	ASSERT_EQ_U64(list->nr_pages, 8);
	ASSERT_EQ_U64(list->nr_extents, 2);
	ASSERT_EQ_U64(list->extents[0].va, 0x10000);
	ASSERT_EQ_U64(list->extents[0].nr_pages, 3);
	ASSERT_EQ_U64(list->extents[1].va, 0x14000);
	ASSERT_EQ_U64(list->extents[1].nr_pages, 5);
	ASSERT_EQ_U64(list->extents[1].offset, 3 << 12);
	/* Frames 9 to 12 follow each other, though not in the address space. */
	ASSERT_EQ_U64(list->nr_copies, 4);
	ASSERT_EQ_U64(list->copies[1].gpa, 0x9000);
	ASSERT_EQ_U64(list->copies[1].nr_pages, 4);
	ASSERT_EQ_U64(list->copies[1].offset, 2 << 12);
	/* The zero page is the same page twice. */
	ASSERT_EQ_U64(list->copies[2].gpa, 0x2000);
	ASSERT_EQ_U64(list->copies[3].gpa, 0x2000);
	ASSERT_EQ_U64(list->copies[3].nr_pages, 1);
	ASSERT_EQ_U64(list->copies[3].offset, 7 << 12);
	ovm_page_list_free(list);
	ASSERT_ERROR(ovm_page_list_create(runs, 5, OVM_PAGE_BIT(OVM_PAGE_SWAP), &list),
		     OVM_ERROR_USAGE, "only pages in RAM");
}
