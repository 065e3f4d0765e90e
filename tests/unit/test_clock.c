// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clocks of recorded guests, in which a thread read them all the time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "snapshot.h"
#include "test.h"
#include "vmi/kernel_private.h"

enum {
	MS = 1000000,
	/* How long the host may not have run the guest's thread before the guest was paused. */
	MAX_LAG = 1000 * MS,
	/* Realtime may be slewed between two of the thread's reads. */
	TOLERANCE = 10000,
};

static struct ovm_error *attach(const struct test_snapshot *snapshot, struct ovm_kernel **ret)
{
	const struct ovm_kernel_options options = {.size = sizeof(options),
						   .hints = snapshot->hints,
						   .nr_hints = snapshot->nr_hints,
						   .no_scan = true};

	return ovm_kernel_attach(snapshot->memory, &options, ret);
}

/* @now is what was found, @seen what the guest saw shortly before. */
static void check_clock(const char *what, uint64_t now, uint64_t seen)
{
	if (now + TOLERANCE < seen || now - seen > MAX_LAG)
		OVM_FAIL("%s is %lld ns after the guest last saw it", what,
			 (long long)(now - seen));
}

static void check_source(const struct test_snapshot *snapshot,
			 const struct ovm_kernel_clock_info *info)
{
	size_t size;
	char *name = test_snapshot_file(snapshot, "guest/clocksource", &size);

	ASSERT_TRUE(name);
	name[strcspn(name, "\n")] = 0;
	/* It may have changed since it was recorded, from one that the kernel has only at first. */
	if (strcmp(name, "tsc-early"))
		ASSERT_STREQ(info->name, name);
	free(name);
	ASSERT_TRUE(info->source != OVM_CLOCK_OTHER);
	ASSERT_EQ_U64(info->register_gpa, info->source == OVM_CLOCK_HPET ? 0xfed000f0 : 0);
}

static void check_guest(const char *name)
{
	struct test_snapshot snapshot;
	struct ovm_kernel_clock_info info;
	struct ovm_kernel_clock clock, tick;
	const struct ovm_kernel_counters unknown = {0};
	struct ovm_kernel *kernel;

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));
	ASSERT_STREQ(snapshot.reason, "");
	ASSERT_TRUE(snapshot.monotonic && snapshot.counters.vm_clock);
	ASSERT_OK(attach(&snapshot, &kernel));
	ASSERT_OK(ovm_kernel_clock_info(kernel, &info));
	check_source(&snapshot, &info);
	ASSERT_OK(ovm_kernel_read_clock(kernel, &snapshot.counters, &clock));
	ASSERT_EQ_U64(clock.uncertainty, 0);
	check_clock("CLOCK_MONOTONIC", clock.monotonic, snapshot.monotonic);
	check_clock("CLOCK_BOOTTIME", clock.boottime, snapshot.boottime);
	check_clock("CLOCK_REALTIME", clock.realtime, snapshot.realtime);

	/* Without counters it is the last tick, and is known to be. */
	ASSERT_OK(ovm_kernel_read_clock(kernel, &unknown, &tick));
	ASSERT_TRUE(tick.monotonic <= clock.monotonic);
	ASSERT_TRUE(tick.uncertainty >= clock.monotonic - tick.monotonic);
	printf("%s: %s, %.3f ms after the guest's last read, %.3f ms after the last tick\n", name,
	       info.name, (double)(int64_t)(clock.monotonic - snapshot.monotonic) / MS,
	       (double)(clock.monotonic - tick.monotonic) / MS);
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(clock, agrees_with_what_the_guest_saw)
{
	char names[TEST_SNAPSHOTS][64];
	size_t nr = test_snapshot_names(names);

	if (!nr)
		OVM_SKIP("no snapshots: tests/guest/snapshot records them");
	for (size_t i = 0; i < nr && !ovm_test_failed(); i++)
		check_guest(names[i]);
}

/* A copy of a guest that can be changed; the first snapshot does. */
static bool open_any(struct test_snapshot *snapshot, struct ovm_kernel **kernel)
{
	char names[TEST_SNAPSHOTS][64];

	if (!test_snapshot_names(names) || !test_snapshot_open_copy(snapshot, names[0]))
		return false;
	return ovm_test_ok(__FILE__, __LINE__, "attach", attach(snapshot, kernel));
}

static uint8_t *symbol(const struct test_snapshot *snapshot, struct ovm_kernel *kernel,
		       const char *name)
{
	uint64_t address = 0, gpa = 0;

	if (!ovm_kernel_symbol(kernel, name, &address))
		return NULL;
	ovm_error_free(ovm_kernel_translate(kernel, address, &gpa));
	return test_snapshot_at(snapshot, gpa);
}

/* Give the clock source that the guest uses another name. */
static void rename_source(const struct test_snapshot *snapshot, struct ovm_kernel *kernel,
			  const char *from, const char *to)
{
	const struct ovm_kernel_info *info = ovm_kernel_info(kernel);
	const size_t len = strlen(from) + 1;
	uint64_t end = info->image_end - info->image_start;
	uint8_t *image = test_snapshot_at(snapshot, info->image_start - OVM_START_KERNEL_MAP +
							    info->phys_base);

	for (uint8_t *at = image; (at = memmem(at, end - (size_t)(at - image), from, len)); at++) {
		/* The whole string, not the end of another. */
		if (at > image && !at[-1])
			memcpy(at, to, strlen(to) + 1);
	}
}

struct pvclock {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad[2];
};

OVM_TEST(clock, follows_kvm_clock)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	struct ovm_kernel_clock_info info;
	struct ovm_kernel_clock first, second, third;
	struct ovm_kernel_counters counters = {.tsc = 5000000000};

	if (!open_any(&snapshot, &kernel))
		OVM_SKIP("no snapshots: tests/guest/snapshot records them");
	ASSERT_OK(ovm_kernel_clock_info(kernel, &info));

	bool hpet = info.source == OVM_CLOCK_HPET;

	rename_source(&snapshot, kernel, info.name, "kvm-clock");
	ASSERT_OK(ovm_kernel_clock_info(kernel, &info));
	ASSERT_EQ_U64(info.source, OVM_CLOCK_KVM);

	struct pvclock *pvclock = (void *)symbol(&snapshot, kernel, "hv_clock_boot");

	/* A quarter of the TSC's ticks, as (delta >> 1) / 2, on top of what the source counts. */
	ASSERT_TRUE(pvclock);
	*pvclock = (struct pvclock){
		.version = 2,
		.tsc_timestamp = 4000000000,
		.system_time = hpet ? snapshot.counters.hpet : snapshot.counters.tsc,
		.tsc_to_system_mul = 0x80000000,
		.tsc_shift = -1,
	};
	ASSERT_OK(ovm_kernel_read_clock(kernel, &counters, &first));
	ASSERT_EQ_U64(first.uncertainty, 0);
	counters.tsc += 4000;
	ASSERT_OK(ovm_kernel_read_clock(kernel, &counters, &second));
	ASSERT_TRUE(second.monotonic > first.monotonic);
	pvclock->system_time += 1000;
	counters.tsc -= 4000;
	ASSERT_OK(ovm_kernel_read_clock(kernel, &counters, &third));
	ASSERT_EQ_U64(third.monotonic, second.monotonic);

	pvclock->version = 3;
	ASSERT_ERROR(ovm_kernel_read_clock(kernel, &counters, &third), OVM_ERROR_INCONSISTENT,
		     "KVM");
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(clock, is_not_read_while_it_is_being_set)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	struct ovm_kernel_clock clock;

	if (!open_any(&snapshot, &kernel))
		OVM_SKIP("no snapshots: tests/guest/snapshot records them");

	uint8_t *sequence = symbol(&snapshot, kernel, "tk_core")
				    ?: symbol(&snapshot, kernel, "timekeeper_data");

	ASSERT_TRUE(sequence);
	*sequence |= 1;
	ASSERT_ERROR(ovm_kernel_read_clock(kernel, &snapshot.counters, &clock),
		     OVM_ERROR_INCONSISTENT, "set its clocks");
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(clock, that_is_unknown_is_uncertain)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	struct ovm_kernel_clock_info info;
	struct ovm_kernel_clock clock;

	if (!open_any(&snapshot, &kernel))
		OVM_SKIP("no snapshots: tests/guest/snapshot records them");
	ASSERT_OK(ovm_kernel_clock_info(kernel, &info));
	rename_source(&snapshot, kernel, info.name, "xyz");
	ASSERT_OK(ovm_kernel_clock_info(kernel, &info));
	ASSERT_STREQ(info.name, "xyz");
	ASSERT_EQ_U64(info.source, OVM_CLOCK_OTHER);
	ASSERT_OK(ovm_kernel_read_clock(kernel, &snapshot.counters, &clock));
	ASSERT_TRUE(clock.uncertainty);
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}
