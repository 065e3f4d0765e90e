// SPDX-License-Identifier: GPL-2.0-only
/* Writing guest memory: what may be written, where, and when. */
#include <stdio.h>
#include <stdlib.h>

#include "snapshot.h"
#include "test.h"
#include "vmi/freeze_plan.h"
#include "write_guest.h"

static const char task_type[] = "struct task_struct";

/* ---- a made-up guest ------------------------------------------------------------------------- */

static struct write_guest guest;
static struct ovm_writer *writer;
static bool paused;
/* The latest write that was told, what was there then, and how many there were. */
static struct ovm_write told;
static uint64_t there_then;
static unsigned int nr_told;
static struct ovm_object told_object;

static bool is_paused(void *arg)
{
	return *(bool *)arg;
}

static void note_write(void *arg, const struct ovm_write *write)
{
	(void)arg;
	told = *write;
	nr_told++;
	memcpy(&there_then, told_object.map + (write->address - write->object), sizeof(there_then));
}

static struct ovm_error *make_writer(struct ovm_kernel *kernel, const struct ovm_memory *memory)
{
	const struct ovm_writer_options options = {
		.size = sizeof(options),
		.kernel = kernel,
		.memory = memory,
		.paused = is_paused,
		.log = note_write,
		.arg = &paused,
	};

	return ovm_writer_create(&options, &writer);
}

static void start(const struct write_guest_options *options)
{
	paused = true;
	nr_told = 0;
	ASSERT_TRUE(write_guest_start(&guest, options));
	ASSERT_OK(make_writer(guest.kernel, guest.memory));
}

static void stop(void)
{
	ovm_writer_destroy(writer);
	write_guest_stop(&guest);
}

/* A task on pages that nothing else is on. */
static const uint64_t task_gpa = WRITE_FREE * WRITE_PAGE + 0x40;

static void locate_task(struct ovm_object *ret)
{
	ASSERT_OK(ovm_writer_locate(writer, task_type, WRITE_DIRECT + task_gpa, ret));
	told_object = *ret;
}

/* ---- members --------------------------------------------------------------------------------- */

OVM_TEST(write, finds_members_by_name)
{
	struct ovm_member member;

	start(NULL);
	ASSERT_OK(ovm_writer_member(writer, task_type, "jobctl", &member));
	ASSERT_EQ_U64(member.offset, TASK_JOBCTL);
	ASSERT_EQ_U64(member.bytes, 8);
	ASSERT_EQ_U64(member.mask, UINT64_MAX);
	ASSERT_EQ_U64(member.shift, 0);
	ASSERT_OK(ovm_writer_member(writer, task_type, "__state", &member));
	ASSERT_EQ_U64(member.offset, TASK_STATE);
	ASSERT_EQ_U64(member.bytes, 4);
	ASSERT_EQ_U64(member.mask, UINT32_MAX);
	ASSERT_OK(ovm_writer_member(writer, task_type, "pending.signal.sig[0]", &member));
	ASSERT_EQ_U64(member.offset, TASK_PENDING + 16);
	ASSERT_OK(ovm_writer_member(writer, task_type, "comm[3]", &member));
	ASSERT_EQ_U64(member.offset, TASK_COMM + 3);
	ASSERT_EQ_U64(member.bytes, 1);
	ASSERT_EQ_U64(member.mask, UINT8_MAX);
	ASSERT_OK(ovm_writer_member(writer, task_type, "in_the_last_word", &member));
	ASSERT_EQ_U64(member.offset, TASK_SIZE - 8);
	stop();
}

OVM_TEST(write, finds_bit_fields_within_their_word)
{
	struct ovm_member member;

	start(NULL);
	ASSERT_OK(ovm_writer_member(writer, task_type, "frozen", &member));
	ASSERT_EQ_U64(member.offset, TASK_BITS);
	ASSERT_EQ_U64(member.bytes, 4);
	ASSERT_EQ_U64(member.shift, 5);
	ASSERT_EQ_U64(member.mask, 1);
	ASSERT_OK(ovm_writer_member(writer, task_type, "several", &member));
	ASSERT_EQ_U64(member.shift, 6);
	ASSERT_EQ_U64(member.mask, 7);
	ASSERT_OK(ovm_writer_member(writer, task_type, "last", &member));
	ASSERT_EQ_U64(member.offset, TASK_BITS);
	ASSERT_EQ_U64(member.shift, 31);
	stop();
}

OVM_TEST(write, refuses_members_that_cant_be_written_at_once)
{
	static const char *const names[] = {"comm",	  "thread_info",  "crossing",
					    "unaligned",  "half_outside", "outside",
					    "bit_outside"};
	struct ovm_member member;

	start(NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		ASSERT_ERROR(ovm_writer_member(writer, task_type, names[i], &member),
			     OVM_ERROR_KERNEL, "can't be written at once");
	ASSERT_ERROR(ovm_writer_member(writer, task_type, "nothing", &member), OVM_ERROR_NOT_FOUND,
		     "nothing");
	ASSERT_ERROR(ovm_writer_member(writer, "struct nothing", "x", &member), OVM_ERROR_NOT_FOUND,
		     "struct nothing");
	stop();
}

OVM_TEST(write, finds_what_freezing_needs)
{
	struct ovm_freeze_members m;

	start(NULL);
	ASSERT_OK(ovm_freeze_members_find(writer, &m));
	ASSERT_EQ_U64(m.tif_flags.offset, TASK_TIF_FLAGS);
	ASSERT_EQ_U64(m.cpu.offset, TASK_CPU);
	ASSERT_EQ_U64(m.siglock.offset, SIGHAND_SIGLOCK);
	ASSERT_EQ_U64(m.pi_lock.offset, TASK_PI_LOCK);
	ASSERT_TRUE(m.siglock.type != m.state.type);
	stop();
	start(&(struct write_guest_options){.bad_types = true});
	ASSERT_ERROR(ovm_freeze_members_find(writer, &m), OVM_ERROR_KERNEL, "can't freeze");
	stop();
}

/* ---- places ---------------------------------------------------------------------------------- */

static void assert_at(uint64_t address, uint64_t gpa)
{
	struct ovm_object object;

	ASSERT_OK(ovm_writer_locate(writer, task_type, address, &object));
	ASSERT_EQ_U64(object.address, address);
	ASSERT_EQ_U64(object.size, TASK_SIZE);
	object.map[0] = 0x5a;
	object.map[TASK_SIZE - 1] = 0xa5;
	ASSERT_EQ_U64(*write_guest_at(&guest, gpa), 0x5a);
	ASSERT_EQ_U64(*write_guest_at(&guest, gpa + TASK_SIZE - 1), 0xa5);
}

static void assert_nowhere(uint64_t address, enum ovm_error_code code)
{
	struct ovm_object object;

	ASSERT_ERROR(ovm_writer_locate(writer, task_type, address, &object), code, NULL);
}

static const uint64_t low_end = WRITE_DIRECT + WRITE_LOW_PAGES * WRITE_PAGE,
		      high = WRITE_DIRECT + WRITE_HIGH,
		      high_end = WRITE_DIRECT + WRITE_HIGH + WRITE_HIGH_PAGES * WRITE_PAGE;

OVM_TEST(write, locates_structures_within_ram)
{
	start(NULL);
	assert_at(WRITE_DIRECT + task_gpa, task_gpa);
	assert_at(low_end - TASK_SIZE, WRITE_LOW_PAGES * WRITE_PAGE - TASK_SIZE);
	assert_at(high, WRITE_HIGH);
	assert_at(high_end - TASK_SIZE, WRITE_HIGH + WRITE_HIGH_PAGES * WRITE_PAGE - TASK_SIZE);
	stop();
}

OVM_TEST(write, refuses_structures_that_leave_ram)
{
	start(NULL);
	for (unsigned int out = 8; out <= TASK_SIZE; out += 8) {
		assert_nowhere(low_end - TASK_SIZE + out, OVM_ERROR_FAULT);
		assert_nowhere(high_end - TASK_SIZE + out, OVM_ERROR_FAULT);
		assert_nowhere(high - out, OVM_ERROR_FAULT);
	}
	assert_nowhere(WRITE_VMALLOC - 8, OVM_ERROR_FAULT);
	assert_nowhere(WRITE_VMALLOC - TASK_SIZE, OVM_ERROR_FAULT);
	stop();
}

OVM_TEST(write, refuses_addresses_that_no_structure_has)
{
	start(NULL);
	for (unsigned int i = 1; i < 8; i++)
		assert_nowhere(WRITE_DIRECT + task_gpa + i, OVM_ERROR_CORRUPT);
	assert_nowhere(0, OVM_ERROR_FAULT);
	assert_nowhere(0x400000, OVM_ERROR_FAULT);
	assert_nowhere(UINT64_C(0x8000000000000000), OVM_ERROR_FAULT);
	assert_nowhere(UINT64_MAX - 7, OVM_ERROR_CORRUPT);
	assert_nowhere(-(uint64_t)TASK_SIZE, OVM_ERROR_CORRUPT);
	stop();
}

OVM_TEST(write, refuses_types_of_impossible_size)
{
	struct ovm_object object;

	start(NULL);
	ASSERT_ERROR(ovm_writer_locate(writer, "struct nothing", WRITE_DIRECT, &object),
		     OVM_ERROR_NOT_FOUND, NULL);
	ASSERT_ERROR(ovm_writer_locate(writer, "struct empty", WRITE_DIRECT, &object),
		     OVM_ERROR_CORRUPT, NULL);
	ASSERT_ERROR(ovm_writer_locate(writer, "struct huge", WRITE_DIRECT, &object),
		     OVM_ERROR_CORRUPT, NULL);
	stop();
}

OVM_TEST(write, takes_mapped_pages_that_follow_each_other)
{
	start(NULL);
	for (unsigned int i = 0; i < 3; i++)
		write_guest_map(guest.vmalloc, i, (WRITE_FREE + i) * WRITE_PAGE);
	assert_at(WRITE_VMALLOC, WRITE_FREE * WRITE_PAGE);
	assert_at(WRITE_VMALLOC + WRITE_PAGE - 8, (WRITE_FREE + 1) * WRITE_PAGE - 8);
	/* The page behind that is not there. */
	assert_nowhere(WRITE_VMALLOC + 2 * WRITE_PAGE, OVM_ERROR_FAULT);
	/* Pages that swap places, that are the same, that are elsewhere. */
	write_guest_map(guest.vmalloc, 1, (WRITE_FREE + 2) * WRITE_PAGE);
	assert_nowhere(WRITE_VMALLOC, OVM_ERROR_CORRUPT);
	write_guest_map(guest.vmalloc, 1, WRITE_FREE * WRITE_PAGE);
	assert_nowhere(WRITE_VMALLOC, OVM_ERROR_CORRUPT);
	write_guest_map(guest.vmalloc, 1, WRITE_HIGH);
	assert_nowhere(WRITE_VMALLOC, OVM_ERROR_CORRUPT);
	guest.vmalloc[1] = 0;
	assert_nowhere(WRITE_VMALLOC, OVM_ERROR_FAULT);
	stop();
}

/* Behind one another for the kernel and by number, but not in RAM. */
OVM_TEST(write, refuses_pages_that_are_no_ram)
{
	start(NULL);
	write_guest_map(guest.vmalloc, 0, (WRITE_LOW_PAGES - 1) * WRITE_PAGE);
	write_guest_map(guest.vmalloc, 1, WRITE_LOW_PAGES * WRITE_PAGE);
	assert_nowhere(WRITE_VMALLOC, OVM_ERROR_FAULT);
	write_guest_map(guest.vmalloc, 0, UINT64_C(0xffffffffff000));
	write_guest_map(guest.vmalloc, 1, 0);
	assert_nowhere(WRITE_VMALLOC, OVM_ERROR_CORRUPT);
	stop();
}

/* Nor may a walk go round the end. */
OVM_TEST(write, takes_the_last_page_but_nothing_behind)
{
	struct ovm_object object;
	const uint64_t last = WRITE_TOP + 0xff * WRITE_PAGE;

	start(NULL);
	for (unsigned int i = 0; i < 0x100; i++)
		write_guest_map(guest.top, i, (WRITE_FREE + i) * WRITE_PAGE);
	assert_at(last - WRITE_PAGE, (WRITE_FREE + 0xfe) * WRITE_PAGE);
	assert_nowhere(last, OVM_ERROR_CORRUPT);
	ASSERT_OK(ovm_writer_locate(writer, "struct llist_head", last, &object));
	stop();
}

/* ---- values ---------------------------------------------------------------------------------- */

OVM_TEST(write, changes_a_member_and_nothing_else)
{
	struct ovm_object object;
	struct ovm_member member;
	uint8_t before[TASK_SIZE], *p = write_guest_at(&guest, 0);
	const uint64_t value = 0x1122334455667788;

	start(NULL);
	locate_task(&object);
	ASSERT_OK(ovm_writer_member(writer, task_type, "jobctl", &member));
	for (unsigned int i = 0; i < TASK_SIZE; i++)
		object.map[i] = (uint8_t)(i * 7);
	memcpy(before, object.map, TASK_SIZE);
	const uint64_t old = ovm_object_load(&object, &member);

	ASSERT_MEMEQ(&old, before + TASK_JOBCTL, 8);
	ASSERT_OK(ovm_write(writer, &object, &member, old, value));
	memcpy(before + TASK_JOBCTL, &value, 8);
	p = write_guest_at(&guest, task_gpa);
	ASSERT_MEMEQ(p, before, TASK_SIZE);
	ASSERT_EQ_U64(ovm_object_load(&object, &member), value);
	stop();
}

OVM_TEST(write, changes_members_of_all_widths)
{
	static const struct {
		const char *name;
		uint32_t offset;
		uint64_t from, to, word;
	} members[] = {
		{"comm[1]", TASK_COMM, 0xff, 0x5a, 0xffffffffffff5aff},
		{"__state", TASK_STATE, UINT32_MAX, 0x1234, 0xffffffff00001234},
		{"pid", TASK_PID - 4, UINT32_MAX, 0, 0x00000000ffffffff},
		{"frozen", TASK_BITS - 4, 1, 0, 0xffffffdfffffffff},
		{"several", TASK_BITS - 4, 7, 2, 0xfffffebfffffffff},
		{"last", TASK_BITS - 4, 1, 0, 0x7fffffffffffffff},
		{"start_time", TASK_START_TIME, UINT64_MAX, 3, 3},
	};
	struct ovm_object object;
	struct ovm_member member;
	uint64_t word;

	start(NULL);
	locate_task(&object);
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		memset(object.map, 0xff, TASK_SIZE);
		ASSERT_OK(ovm_writer_member(writer, task_type, members[i].name, &member));
		ASSERT_EQ_U64(ovm_object_load(&object, &member), members[i].from);
		ASSERT_OK(ovm_write(writer, &object, &member, members[i].from, members[i].to));
		ASSERT_EQ_U64(ovm_object_load(&object, &member), members[i].to);
		memcpy(&word, object.map + members[i].offset, sizeof(word));
		ASSERT_EQ_U64(word, members[i].word);
	}
	stop();
}

OVM_TEST(write, leaves_alone_what_is_not_as_it_was)
{
	static const char *const names[] = {"jobctl", "__state", "comm[0]", "frozen", "several"};
	struct ovm_object object;
	struct ovm_member member;
	uint8_t before[TASK_SIZE];

	start(NULL);
	locate_task(&object);
	memset(before, 0xff, TASK_SIZE);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		memset(object.map, 0xff, TASK_SIZE);
		ASSERT_OK(ovm_writer_member(writer, task_type, names[i], &member));
		ASSERT_ERROR(ovm_write(writer, &object, &member, 0, 1), OVM_ERROR_INCONSISTENT,
			     "not written");
		ASSERT_FALSE(ovm_write_unlogged(&object, &member, 0, 1));
		ASSERT_MEMEQ(object.map, before, TASK_SIZE);
	}
	stop();
}

OVM_TEST(write, refuses_values_that_dont_fit)
{
	struct ovm_object object, other;
	struct ovm_member member;

	start(NULL);
	locate_task(&object);
	ASSERT_OK(ovm_writer_member(writer, task_type, "frozen", &member));
	ASSERT_ERROR(ovm_write(writer, &object, &member, 0, 2), OVM_ERROR_USAGE,
		     "can't be changed");
	ASSERT_ERROR(ovm_write(writer, &object, &member, 2, 0), OVM_ERROR_USAGE,
		     "can't be changed");
	ASSERT_FALSE(ovm_write_unlogged(&object, &member, 0, 2));
	ASSERT_OK(ovm_writer_member(writer, task_type, "__state", &member));
	ASSERT_ERROR(ovm_write(writer, &object, &member, 0, 1ULL << 32), OVM_ERROR_USAGE, NULL);
	/* A member of something else. */
	ASSERT_OK(ovm_writer_locate(writer, "struct sighand_struct", WRITE_DIRECT + task_gpa,
				    &other));
	ASSERT_ERROR(ovm_write(writer, &other, &member, 0, 1), OVM_ERROR_USAGE, NULL);
	ASSERT_FALSE(ovm_write_unlogged(&other, &member, 0, 1));
	member.offset = TASK_SIZE - 2;
	ASSERT_FALSE(ovm_write_unlogged(&object, &member, 0, 1));
	ASSERT_EQ_U64(nr_told, 0);
	stop();
}

/* ---- conditions ------------------------------------------------------------------------------ */

OVM_TEST(write, tells_of_each_write_before_it_is_made)
{
	struct ovm_object object;
	struct ovm_member member;

	start(NULL);
	locate_task(&object);
	ASSERT_OK(ovm_writer_member(writer, task_type, "jobctl", &member));
	for (uint64_t i = 0; i < 3; i++) {
		ASSERT_OK(ovm_write(writer, &object, &member, i, i + 1));
		ASSERT_EQ_U64(nr_told, i + 1);
		ASSERT_EQ_U64(there_then, i);
		ASSERT_STREQ(told.type, task_type);
		ASSERT_STREQ(told.member, "jobctl");
		ASSERT_EQ_U64(told.object, WRITE_DIRECT + task_gpa);
		ASSERT_EQ_U64(told.address, WRITE_DIRECT + task_gpa + TASK_JOBCTL);
		ASSERT_EQ_U64(told.from, i);
		ASSERT_EQ_U64(told.to, i + 1);
	}
	stop();
}

OVM_TEST(write, writes_only_what_is_paused)
{
	struct ovm_object object;
	struct ovm_member member;

	start(NULL);
	locate_task(&object);
	ASSERT_OK(ovm_writer_member(writer, task_type, "jobctl", &member));
	paused = false;
	ASSERT_ERROR(ovm_write(writer, &object, &member, 0, 1), OVM_ERROR_USAGE, "paused");
	ASSERT_EQ_U64(ovm_object_load(&object, &member), 0);
	ASSERT_EQ_U64(nr_told, 0);
	paused = true;
	ASSERT_OK(ovm_write(writer, &object, &member, 0, 1));
	stop();
}

OVM_TEST(write, refuses_a_kernel_that_has_changed)
{
	ASSERT_TRUE(write_guest_start(&guest, NULL));
	uint8_t *banner = write_guest_at(&guest, 0x1000 + WRITE_BANNER);

	banner[14]++;
	ASSERT_ERROR(make_writer(guest.kernel, guest.memory), OVM_ERROR_KERNEL,
		     "no longer the one");
	ASSERT_TRUE(!writer);
	banner[14]--;
	guest.kernel->banner[0] = '\0';
	ASSERT_ERROR(make_writer(guest.kernel, guest.memory), OVM_ERROR_KERNEL, "not verified");
	write_guest_stop(&guest);
}

OVM_TEST(write, refuses_private_ram)
{
	ASSERT_TRUE(write_guest_start(&guest, &(struct write_guest_options){.private_ram = true}));
	ASSERT_ERROR(make_writer(guest.kernel, guest.memory), OVM_ERROR_UNREACHABLE, "share=on");
	ASSERT_TRUE(!writer);
	write_guest_stop(&guest);
}

OVM_TEST(write, forgets_nothing_that_was_not_made)
{
	ovm_writer_destroy(NULL);
}

/* ---- recorded guests ------------------------------------------------------------------------- */

/* The first task's name is "swapper/0", whatever else it is. */
static void check_recorded(const char *name)
{
	struct test_snapshot snapshot;
	struct ovm_freeze_members members;
	struct ovm_kernel *kernel;
	struct ovm_object task;
	struct ovm_member comm;
	uint64_t init_task;

	ASSERT_TRUE(test_snapshot_open_copy(&snapshot, name));
	const struct ovm_kernel_options options = {.size = sizeof(options),
						   .hints = snapshot.hints,
						   .nr_hints = snapshot.nr_hints,
						   .no_scan = true};

	paused = true;
	ASSERT_OK(ovm_kernel_attach(snapshot.memory, &options, &kernel));
	ASSERT_OK(make_writer(kernel, snapshot.memory));
	ASSERT_OK(ovm_freeze_members_find(writer, &members));
	ASSERT_EQ_U64(members.frozen.mask, 1);
	ASSERT_TRUE(ovm_kernel_symbol(kernel, "init_task", &init_task));
	ASSERT_OK(ovm_writer_locate(writer, members.state.type, init_task, &task));
	told_object = task;
	ASSERT_EQ_U64(ovm_object_load(&task, &members.pid), 0);
	ASSERT_EQ_U64(ovm_object_load(&task, &members.cpu), 0);
	ASSERT_EQ_U64(ovm_object_load(&task, &members.frozen), 0);
	ASSERT_OK(ovm_writer_member(writer, task.type, "comm[0]", &comm));
	ASSERT_EQ_U64(ovm_object_load(&task, &comm), 's');
	ASSERT_OK(ovm_write(writer, &task, &comm, 's', 'S'));

	char text[10] = "";

	ASSERT_OK(ovm_kernel_read(kernel, init_task + comm.offset, text, sizeof(text) - 1));
	ASSERT_STREQ(text, "Swapper/0");
	ASSERT_OK(ovm_write(writer, &task, &members.frozen, 0, 1));
	ASSERT_EQ_U64(ovm_object_load(&task, &members.frozen), 1);
	ovm_writer_destroy(writer);
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(write, writes_a_copy_of_a_recorded_guest)
{
	char names[TEST_SNAPSHOTS][64];
	size_t nr = test_snapshot_names(names);

	if (!nr)
		OVM_SKIP("no snapshots: tests/guest/snapshot records them");
	for (size_t i = 0; i < nr && !ovm_test_failed(); i++)
		check_recorded(names[i]);
}
