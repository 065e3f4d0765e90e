// SPDX-License-Identifier: GPL-2.0-only
/* What is refused, and what is only warned of. */
#include "host/image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_model.h"
#include "test.h"

static struct image_model m;
static char warnings[4096];

static void keep_warning(void *arg, const char *message)
{
	size_t used = strlen(warnings);

	(void)arg;
	snprintf(warnings + used, sizeof(warnings) - used, "%s\n", message);
}

static void start(void)
{
	image_model_init(&m);
	warnings[0] = '\0';
	m.set.warn = keep_warning;
}

#define ASSERT_REFUSED(text) ASSERT_ERROR(ovm_image_check(&m.set), OVM_ERROR_NOT_DUMPABLE, text)

#define ASSERT_WARNED(text)                                                    \
	do {                                                                   \
		ASSERT_OK(ovm_image_check(&m.set));                            \
		if (!strstr(warnings, (text)))                                 \
			OVM_FAIL("no warning of %s, but: %s", text, warnings); \
	} while (0)

OVM_TEST(image_check, takes_the_model)
{
	start();
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
}

OVM_TEST(image_check, gives_all_reasons_a_line_each)
{
	start();
	m.files[MODEL_NULL].kind = OVM_REC_FILE_ANON_INODE;
	m.files[MODEL_NULL].path = image_model_bytes("[thing]");
	m.threads[1].ptrace = 1;
	m.process.has_io_uring = 1;
	struct ovm_error *err = ovm_image_check(&m.set);

	ASSERT_TRUE(err);
	ASSERT_EQ_U64(err->pid, MODEL_PID);
	const char *const lines[] = {
		"pid 4711: uses io_uring",
		"\npid 4711: thread 4713: is traced",
		"\npid 4711: fd 0: anonymous inode ([thing]) is not saved",
		"\npid 4711: fd 2: anonymous inode ([thing]) is not saved",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(err->message, lines[i]))
			OVM_FAIL("no '%s' in: %s", lines[i], err->message);
	ovm_error_free(err);
}

OVM_TEST(image_check, has_an_end_with_a_million_bad_descriptors)
{
	enum { NR = 1000000 };
	struct ovm_rec_fd *fds = calloc(NR, sizeof(*fds));

	ASSERT_TRUE(fds);
	start();
	m.files[MODEL_NULL].kind = OVM_REC_FILE_SOCKET;
	for (int i = 0; i < NR; i++)
		fds[i] = (struct ovm_rec_fd){i + 1 < NR ? &fds[i + 1] : NULL, i, 0,
					     &m.files[MODEL_NULL]};
	m.process.fds = fds;
	struct ovm_error *err = ovm_image_check(&m.set);

	free(fds);
	ASSERT_ERROR(err, OVM_ERROR_NOT_DUMPABLE, "and 999000 more");
}

OVM_TEST(image_check, shows_names_without_control_characters)
{
	start();
	m.files[MODEL_NULL].kind = OVM_REC_FILE_OTHER;
	m.files[MODEL_NULL].path = image_model_bytes("/dev/\033[31mred\n");
	ASSERT_REFUSED("(/dev/\\x1b[31mred\\x0a)");
}

OVM_TEST(image_check, refuses_each_kind_of_descriptor_by_name)
{
	const struct {
		enum ovm_rec_file_kind kind;
		const char *text;
	} table[] = {
		{OVM_REC_FILE_PIPE, "fd 1: pipe"},
		{OVM_REC_FILE_FIFO, "fd 1: FIFO"},
		{OVM_REC_FILE_SOCKET, "fd 1: socket"},
		{OVM_REC_FILE_TTY, "fd 1: terminal"},
		{OVM_REC_FILE_CHRDEV, "fd 1: character device 0:0"},
		{OVM_REC_FILE_BLKDEV, "fd 1: block device"},
		{OVM_REC_FILE_ANON_INODE, "fd 1: anonymous inode"},
		{OVM_REC_FILE_NAMESPACE, "fd 1: namespace"},
		{OVM_REC_FILE_OTHER, "fd 1: file of an unknown kind"},
		{OVM_REC_FILE_SYSV_SHM, "fd 1: System V shared memory"},
		{OVM_REC_FILE_HUGETLB_ANON, "fd 1: huge pages"},
		{(enum ovm_rec_file_kind)77, "fd 1: file of an unknown kind"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		start();
		m.files[MODEL_LOG].kind = table[i].kind;
		ASSERT_REFUSED(table[i].text);
	}
}

/* Standard output is a pipe that only this process has. */
static void start_with_pipe(struct ovm_rec_pipe *pipe)
{
	struct ovm_rec_file *file = &m.files[MODEL_LOG];

	start();
	*pipe = (struct ovm_rec_pipe){.writers = 1, .own_writers = 1, .size = 65536};
	file->kind = OVM_REC_FILE_PIPE;
	file->pipe = pipe;
	file->nr_fds = file->nr_references = 1;
}

OVM_TEST(image_check, refuses_pipes_that_can_t_be_filled_again)
{
	struct ovm_rec_pipe pipe;

	start_with_pipe(&pipe);
	ASSERT_OK(ovm_image_check(&m.set));
	pipe.has_packets = 1;
	ASSERT_REFUSED("fd 1: pipe (pipe:[102]) holds packets");
	start_with_pipe(&pipe);
	m.files[MODEL_LOG].flags |= 040000;
	ASSERT_REFUSED("is in packet mode");
	start_with_pipe(&pipe);
	pipe.notifies = 1;
	ASSERT_REFUSED("is a notification queue");
	start_with_pipe(&pipe);
	pipe.nr_bytes = pipe.size + 1;
	ASSERT_REFUSED("holds more bytes than");
	start_with_pipe(&pipe);
	m.files[MODEL_LOG].pipe = NULL;
	ASSERT_REFUSED("(O_PATH)");
}

OVM_TEST(image_check, refuses_pipes_that_lead_out)
{
	struct ovm_rec_pipe pipe;

	start_with_pipe(&pipe);
	pipe.readers = 1;
	ASSERT_REFUSED("fd 1: pipe (pipe:[102]) is open elsewhere as well, though in no process");
	pipe.holder = (struct ovm_rec_holder){77, "cat"};
	ASSERT_REFUSED("is open in process 77 (cat) as well, which is not saved");
	start_with_pipe(&pipe);
	/* One system call a thread may hold on to a file. */
	m.files[MODEL_LOG].nr_references = 1 + MODEL_NR_THREADS;
	ASSERT_OK(ovm_image_check(&m.set));
	m.files[MODEL_LOG].nr_references++;
	ASSERT_REFUSED("is open elsewhere");
	m.files[MODEL_LOG].holder = (struct ovm_rec_holder){78, "dog"};
	ASSERT_REFUSED("is open in process 78 (dog)");
}

OVM_TEST(image_check, refuses_counters_and_timers_that_criu_has_no_place_for)
{
	struct ovm_rec_eventfd eventfd = {.count = UINT32_MAX};
	struct ovm_rec_timerfd timerfd = {.clock = 1};
	struct ovm_rec_signalfd signalfd = {.signals = 1};
	struct ovm_rec_file *file = &m.files[MODEL_LOG];

	start();
	file->kind = OVM_REC_FILE_EVENTFD;
	file->eventfd = &eventfd;
	ASSERT_OK(ovm_image_check(&m.set));
	eventfd.count++;
	ASSERT_REFUSED("fd 1: eventfd (/var/log/program) has counted beyond");
	eventfd = (struct ovm_rec_eventfd){.semaphore = 1};
	ASSERT_REFUSED("is a semaphore");
	start();
	file->kind = OVM_REC_FILE_TIMERFD;
	file->timerfd = &timerfd;
	ASSERT_OK(ovm_image_check(&m.set));
	timerfd.clock = 8;
	ASSERT_REFUSED("fd 1: timerfd (/var/log/program) counts on a clock that CRIU does not");
	timerfd = (struct ovm_rec_timerfd){.settime_flags = 3, .cancelled = 1, .armed = 1};
	ASSERT_REFUSED("was cancelled when the clock was set");
	timerfd = (struct ovm_rec_timerfd){.settime_flags = 3};
	ASSERT_REFUSED("is off, and still to be cancelled");
	timerfd.armed = 1;
	ASSERT_OK(ovm_image_check(&m.set));
	start();
	file->kind = OVM_REC_FILE_SIGNALFD;
	ASSERT_REFUSED("fd 1: signalfd (/var/log/program) has no known content");
	file->signalfd = &signalfd;
	ASSERT_OK(ovm_image_check(&m.set));
}

/* Standard output is an epoll instance. */
static void start_with_epoll(struct ovm_rec_epoll *epoll, struct ovm_rec_epoll_entry *entries,
			     size_t nr)
{
	struct ovm_rec_file *file = &m.files[MODEL_LOG];

	start();
	*epoll = (struct ovm_rec_epoll){.entries = entries, .nr_entries = nr};
	for (size_t i = 0; i < nr; i++) {
		entries[i].next = i + 1 < nr ? &entries[i + 1] : NULL;
		entries[i].file = m.files[MODEL_NULL].file;
	}
	file->kind = OVM_REC_FILE_EPOLL;
	file->epoll = epoll;
	file->nr_fds = file->nr_references = 1;
}

OVM_TEST(image_check, refuses_epoll_entries_without_a_descriptor)
{
	struct ovm_rec_epoll_entry entries[] = {
		{.fd = 0, .events = 1}, {.fd = 2, .events = 1}, {.fd = 5, .events = 1}};
	struct ovm_rec_epoll epoll;

	/* Two descriptors lead to the file. */
	start_with_epoll(&epoll, entries, 2);
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
	start_with_epoll(&epoll, entries, 3);
	ASSERT_REFUSED("fd 1: epoll instance waits for a file that was fd 5, and to which no");
	start_with_epoll(&epoll, entries, 1);
	entries[0].file = 0x1234;
	ASSERT_REFUSED("waits for a file that was fd 0");
	start_with_epoll(&epoll, entries, 1);
	entries[0].fd = 5;
	ASSERT_WARNED("waits for what was fd 5: restored as fd 0");
	start_with_epoll(&epoll, entries, 1);
	m.files[MODEL_LOG].epoll = NULL;
	ASSERT_REFUSED("has no known content");
}

OVM_TEST(image_check, warns_of_epoll_entries_that_are_disabled)
{
	struct ovm_rec_epoll_entry entry = {.fd = 0, .events = 0x40000000};
	struct ovm_rec_epoll epoll;

	start_with_epoll(&epoll, &entry, 1);
	ASSERT_WARNED("fd 1: epoll instance has fd 0 disabled (EPOLLONESHOT)");
	entry.events = 0x40000001;
	start_with_epoll(&epoll, &entry, 1);
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
}

OVM_TEST(image_check, refuses_epoll_instances_that_others_have_open)
{
	struct ovm_rec_epoll epoll;

	start_with_epoll(&epoll, NULL, 0);
	ASSERT_OK(ovm_image_check(&m.set));
	m.files[MODEL_LOG].nr_references = 1 + MODEL_NR_THREADS + 1;
	m.files[MODEL_LOG].holder = (struct ovm_rec_holder){77, "cat"};
	ASSERT_REFUSED("is open in process 77 (cat) as well");
}

OVM_TEST(image_check, has_an_end_with_many_epoll_entries_of_one_file)
{
	enum { NR = 200000 };
	struct ovm_rec_epoll_entry *entries = calloc(NR, sizeof(*entries));
	struct ovm_rec_fd *fds = calloc(NR, sizeof(*fds));
	struct ovm_rec_epoll epoll;

	ASSERT_TRUE(entries && fds);
	start_with_epoll(&epoll, entries, NR);
	for (int i = 0; i < NR; i++) {
		entries[i].fd = NR + i;
		fds[i] = (struct ovm_rec_fd){i + 1 < NR ? &fds[i + 1] : NULL, 10 + i, 0,
					     &m.files[i % 2 ? MODEL_NULL : MODEL_LOG]};
	}
	m.fds[MODEL_NR_FDS - 1].next = fds;
	m.files[MODEL_LOG].nr_fds = m.files[MODEL_LOG].nr_references = 1 + NR / 2;
	ASSERT_REFUSED("to which no descriptor is left");
	free(entries);
	free(fds);
}

OVM_TEST(image_check, refuses_files_that_can_t_be_opened_again)
{
	start();
	m.files[MODEL_LOG].unlinked = 1;
	ASSERT_REFUSED("fd 1: file (/var/log/program) is deleted");
	start();
	m.files[MODEL_LOG].reachable = 0;
	ASSERT_REFUSED("on a mount that the process can't reach");
	start();
	m.files[MODEL_LOG].path.len = 0;
	ASSERT_REFUSED("has no known path");
	start();
	m.files[MODEL_EXE].unlinked = 1;
	ASSERT_REFUSED("executable: /bin/program is deleted");
	start();
	m.files[MODEL_CWD].unlinked = 1;
	ASSERT_REFUSED("working directory: /home is deleted");
	start();
	m.files[MODEL_LOG].owner_pid = MODEL_TID;
	ASSERT_REFUSED("a thread that isn't a process' first one");
	m.files[MODEL_LOG].owner_pid = 99;
	ASSERT_REFUSED("F_SETOWN");
	start();
	m.files[MODEL_LOG].sb_magic = 0x9fa0;
	m.files[MODEL_LOG].path = image_model_bytes("/proc/47/status");
	ASSERT_REFUSED("belongs to a process that is not saved");
}

OVM_TEST(image_check, refuses_locks_that_can_t_be_taken_again)
{
	struct ovm_rec_lock_waiter waiter = {.pid = MODEL_PID};
	struct ovm_rec_file_lock lock = {.kind = OVM_REC_FILE_LOCK_POSIX, .start = 3, .end = 3};
	struct ovm_rec_file *file = &m.files[MODEL_LOG];

	start();
	file->locks = &lock;
	ASSERT_WARNED("'criu restore --file-locks' only");
	file->holder = (struct ovm_rec_holder){78, "dog"};
	ASSERT_OK(ovm_image_check(&m.set));
	lock.kind = OVM_REC_FILE_LOCK_FLOCK;
	ASSERT_REFUSED("fd 1: file (/var/log/program) is open in process 78 (dog) as well");
	file->holder.pid = 0;
	lock.end = 1;
	ASSERT_OK(ovm_image_check(&m.set));
	lock.kind = OVM_REC_FILE_LOCK_OFD;
	ASSERT_REFUSED("fd 1: /var/log/program has a lock on an impossible range");
	lock.end = UINT64_C(1) << 63;
	ASSERT_REFUSED("has a lock on an impossible range");
	lock.end--;
	ASSERT_OK(ovm_image_check(&m.set));
	lock.waiters = &waiter;
	ASSERT_OK(ovm_image_check(&m.set));
	waiter.pid = -1;
	ASSERT_REFUSED("fd 1: /var/log/program is locked, and a process that is not saved waits");
	lock = (struct ovm_rec_file_lock){.kind = OVM_REC_FILE_LOCK_OTHER};
	ASSERT_REFUSED("has a lease that is being broken");
	lock.kind = 77;
	ASSERT_REFUSED("or a lock of an unknown kind");
}

OVM_TEST(image_check, refuses_posix_locks_that_closing_the_file_again_would_lose)
{
	struct ovm_rec_file_lock flock = {.kind = OVM_REC_FILE_LOCK_FLOCK};
	struct ovm_rec_file_lock lock = {.next = &flock, .kind = OVM_REC_FILE_LOCK_POSIX};
	static const enum model_file opened[] = {MODEL_EXE, MODEL_SHM, MODEL_CWD, MODEL_ROOT};

	for (size_t i = 0; i < sizeof(opened) / sizeof(opened[0]); i++) {
		start();
		m.files[MODEL_LOG].inode = m.files[opened[i]].inode;
		m.files[MODEL_LOG].locks = &lock;
		ASSERT_REFUSED("fd 1: /var/log/program has a POSIX lock, which CRIU would lose");
		m.files[MODEL_LOG].locks = &flock;
		ASSERT_OK(ovm_image_check(&m.set));
	}
}

OVM_TEST(image_check, refuses_files_without_a_name_whose_content_is_not_there)
{
	struct ovm_rec_ghost_data data[] = {
		{&data[1], 0, {(uint8_t *)(uintptr_t)"content", 7}},
		{NULL, 4096, {(uint8_t *)(uintptr_t)"more", 4}},
	};
	struct ovm_rec_ghost ghost = {.size = 4100, .data = data};

	start();
	m.files[MODEL_LOG].unlinked = 1;
	m.files[MODEL_LOG].ghost = &ghost;
	m.files[MODEL_EXE].unlinked = m.files[MODEL_EXE_TWICE].unlinked = 1;
	m.files[MODEL_EXE].ghost = m.files[MODEL_EXE_TWICE].ghost = &ghost;
	ASSERT_OK(ovm_image_check(&m.set));
	m.files[MODEL_LOG].reachable = 0;
	ASSERT_REFUSED("on a mount that the process can't reach");
	m.files[MODEL_LOG].reachable = 1;
	ghost.nr_missing = 1;
	ASSERT_REFUSED("fd 1: file (/var/log/program) is deleted, and not all of it is in");
	ghost.nr_missing = 0;
	ghost.size--;
	ASSERT_REFUSED("has content beyond its end");
	ghost.size = 4095;
	ASSERT_REFUSED("has content beyond its end");
	ghost.size = 4100;
	data[1].offset = 6;
	ASSERT_REFUSED("has content beyond its end");
	ghost.too_large = 1;
	ASSERT_REFUSED("is deleted and larger than what is saved of such files (--ghost-limit");
}

OVM_TEST(image_check, tells_of_files_that_are_opened_by_another_name)
{
	start();
	m.files[MODEL_LOG].other_name = 1;
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_TRUE(strstr(warnings, "is restored by another one, /var/log/program"));
}

OVM_TEST(image_check, takes_proc_files_of_its_own)
{
	start();
	m.files[MODEL_LOG].sb_magic = 0x9fa0;
	m.files[MODEL_LOG].path = image_model_bytes("/proc/4711/status");
	ASSERT_OK(ovm_image_check(&m.set));
	m.files[MODEL_LOG].path = image_model_bytes("/proc/meminfo");
	ASSERT_OK(ovm_image_check(&m.set));
}

OVM_TEST(image_check, refuses_namespaces_by_name)
{
	start();
	m.process.ns.net_initial = 0;
	ASSERT_REFUSED("network namespace");
	start();
	m.process.ns.pid_for_children = 5;
	ASSERT_REFUSED("PID namespace for its children");
}

OVM_TEST(image_check, refuses_areas_that_can_t_be_mapped_again)
{
	start();
	m.vmas[MODEL_HEAP].uffd = 1;
	ASSERT_REFUSED("memory 0x1000000-0x1021000: is watched by userfaultfd");
	start();
	m.vmas[MODEL_HEAP].pkey = 3;
	ASSERT_REFUSED("protection key");
	start();
	m.vmas[MODEL_HEAP].shadow_stack = 1;
	ASSERT_REFUSED("shadow stack");
	start();
	m.files[MODEL_EXE].unlinked = 1;
	ASSERT_REFUSED("memory 0x400000-0x405000 (/bin/program): is deleted");
	start();
	m.vmas[MODEL_DATA].pfnmap = 1;
	ASSERT_REFUSED("maps device memory");
	start();
	m.vmas[MODEL_DATA].hugetlb = 1;
	ASSERT_REFUSED("huge pages of a file");
	start();
	m.vmas[MODEL_MEMFD_PRIVATE].hugetlb = 1;
	m.files[MODEL_MEMFD].kind = OVM_REC_FILE_HUGETLB_ANON;
	ASSERT_REFUSED("memory 0x7f0000010000-0x7f0000011000: is a private mapping of shared huge");
	start();
	m.files[MODEL_SHM].kind = OVM_REC_FILE_SYSV_SHM;
	ASSERT_REFUSED("System V shared memory");
	start();
	strcpy(m.vmas[MODEL_VVAR].special, "[vvar_vclock]");
	ASSERT_REFUSED("([vvar_vclock]): is a kernel mapping");
	start();
	m.vmas[MODEL_HEAP].start = 0x300000;
	ASSERT_REFUSED("out of order");
	start();
	m.tree.shmem = NULL;
	ASSERT_REFUSED("its content is not known");
	start();
	m.shmem[0].nr_swapped = 7;
	ASSERT_REFUSED("7 pages are swapped out: run 'swapoff -a'");
}

OVM_TEST(image_check, takes_the_key_of_execute_only_memory)
{
	start();
	m.vmas[MODEL_CODE].pkey = 1;
	m.vmas[MODEL_CODE].read = 0;
	ASSERT_OK(ovm_image_check(&m.set));
}

OVM_TEST(image_check, refuses_threads_that_can_t_be_resumed)
{
	start();
	m.threads[1].compat = 1;
	ASSERT_REFUSED("thread 4713: runs 32-bit code");
	start();
	m.threads[1].policy = 6;
	ASSERT_REFUSED("SCHED_DEADLINE");
	start();
	m.threads[1].policy = 1;
	ASSERT_REFUSED("impossible priority");
	start();
	m.threads[1].files = 77;
	ASSERT_REFUSED("does not share its file descriptors");
	start();
	m.threads[1].flags = 4;
	ASSERT_REFUSED("has exited, or is about to");
	start();
	m.threads[1].io_uring = 1;
	ASSERT_REFUSED("io_uring");
	start();
	m.xsave[1][OVM_XSAVE_HEADER + 2] = 4;
	ASSERT_REFUSED("AMX tile registers (state component 18)");
	start();
	m.image_threads[1].xsave_size = 512;
	ASSERT_REFUSED("extended state is not known");
}

OVM_TEST(image_check, refuses_what_the_process_is_in_the_middle_of)
{
	struct ovm_rec_signal kill = {.signo = 9};

	start();
	m.process.signal_flags = 4;
	ASSERT_REFUSED("is exiting");
	start();
	m.threads[1].pending = &kill;
	ASSERT_REFUSED("is being killed");
	start();
	m.process.has_sysv_undo = 1;
	ASSERT_REFUSED("SEM_UNDO");
}

static struct ovm_rec_aio_ring ring;
static struct ovm_rec_shmem ring_pages;
static struct ovm_rec_aio context;

/* Shared memory of the model becomes a ring of four pages. */
static void start_ring(void)
{
	struct ovm_rec_vma *vma = &m.vmas[MODEL_SHARED];

	start();
	ring_pages = (struct ovm_rec_shmem){.size = 0x4000, .nr_pages = 4};
	ring = (struct ovm_rec_aio_ring){.pages = &ring_pages, .nr = 511, .head = 3, .tail = 510};
	context = (struct ovm_rec_aio){.start = vma->start, .size = 0x4000, .ring = &ring};
	vma->aio_ring = &ring;
	m.process.mm.aio = &context;
}

OVM_TEST(image_check, takes_rings_of_completed_io_only)
{
	start_ring();
	ASSERT_OK(ovm_image_check(&m.set));
	context.nr_in_flight = 1;
	ASSERT_REFUSED("1 requests are not completed: try again");
	context.nr_waiting = 1;
	ASSERT_REFUSED("IOCB_CMD_POLL");
	start_ring();
	ring.tail = 511;
	ASSERT_REFUSED("the program has overwritten");
	start_ring();
	ring.nr = 510;
	ASSERT_REFUSED("the program has overwritten");
	start_ring();
	ring_pages.nr_pages = 3;
	ASSERT_REFUSED("only a part of a ring");
	start_ring();
	m.vmas[MODEL_SHARED].write = 0;
	ASSERT_REFUSED("another protection");
	start_ring();
	context.ring = NULL;
	ASSERT_REFUSED("no longer mapped");
}

OVM_TEST(image_check, refuses_timers_on_clocks_of_others)
{
	const struct {
		int32_t clock;
		const char *text;
	} table[] = {
		{-2, "CPU time of some thread"},
		{3, "CPU time of some thread"},
		{(int32_t)(~99u << 3) | 2, "another process"},
		{(int32_t)(~5u << 3) | 3, "clock device"},
		{5, "not known"},
		{40, "not known"},
	};
	struct ovm_rec_posix_timer timer = {.id = 1};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		start();
		timer.clock = table[i].clock;
		m.process.posix_timers = &timer;
		ASSERT_REFUSED(table[i].text);
	}
	timer.clock = 1;
	timer.notify = 4;
	timer.notify_tid = 12;
	ASSERT_REFUSED("notifies thread 12");
}

OVM_TEST(image_check, takes_timers_on_its_own_clocks)
{
	const int32_t clocks[] = {0,
				  1,
				  2,
				  7,
				  8,
				  9,
				  11,
				  -6,
				  (int32_t)(~(uint32_t)MODEL_PID << 3) | 2,
				  (int32_t)(~(uint32_t)MODEL_TID << 3) | 6};
	struct ovm_rec_posix_timer timer = {.id = 1};

	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		start();
		timer.clock = clocks[i];
		m.process.posix_timers = &timer;
		ASSERT_OK(ovm_image_check(&m.set));
	}
}

OVM_TEST(image_check, warns_of_what_is_lost)
{
	start();
	m.process.personality = 0x40000;
	ASSERT_WARNED("pid 4711: personality 0x40000");
	start();
	m.threads[1].creds.no_new_privs = 1;
	ASSERT_WARNED("thread 4713: no_new_privs");
	start();
	m.threads[1].creds.cap_ambient = 1;
	ASSERT_WARNED("ambient capabilities");
	start();
	m.threads[1].pdeath_signal = 15;
	ASSERT_WARNED("signal 15 is sent to it when its parent dies");
	start();
	m.vmas[MODEL_HEAP].lock_on_fault = m.vmas[MODEL_STACK].lock_on_fault = 1;
	ASSERT_WARNED("2 memory areas locked when touched");
	start();
	m.vmas[MODEL_HEAP].droppable = 1;
	ASSERT_WARNED("MAP_DROPPABLE");
}

OVM_TEST(image_check, warns_of_affinity_where_it_knows_the_cpus)
{
	start();
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
	m.set.nr_cpus = 2;
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
	m.set.nr_cpus = 4;
	ASSERT_WARNED("CPU affinity");
}

OVM_TEST(image_check, writing_refuses_too)
{
	start();
	m.process.has_io_uring = 1;
	ASSERT_ERROR(ovm_image_write(&m.set, -1), OVM_ERROR_NOT_DUMPABLE, "io_uring");
	ASSERT_STREQ(warnings, "");
}

OVM_TEST(image_check, refuses_threads_that_have_no_image_of_their_own)
{
	start();
	m.threads[1].tid = MODEL_PID;
	ASSERT_REFUSED("thread 4711: is there twice");
	start();
	m.threads[1].tid = -7;
	ASSERT_REFUSED("thread -7: has an impossible id");
}

OVM_TEST(image_check, refuses_paths_that_no_kernel_puts_together)
{
	static const char *const paths[] = {"/var/../etc/shadow", "/..", "/tmp/.", "//tmp/log",
					    "/tmp/"};
	static const char *const fine[] = {"/", "/...", "/.hidden", "/a../..b"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		start();
		m.files[MODEL_LOG].path = image_model_bytes(paths[i]);
		ASSERT_REFUSED("has a path that can't be opened");
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		start();
		m.files[MODEL_LOG].path = image_model_bytes(fine[i]);
		ASSERT_OK(ovm_image_check(&m.set));
	}
}
