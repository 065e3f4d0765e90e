/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device for tests (kernels-cuda/device.h) that runs the kernels' bodies on the CPU.
 *
 * It is as unforgiving as a real one, or more so. Its memory is full of junk at first, ends at a
 * page that nobody can touch, and can be touched by nobody while the device does nothing. Work is
 * put off until someone waits for it. A mapped page is pinned: it shows what it held when a hole
 * was punched into its file, whatever is in the file since. The first breach of the rules of
 * device.h ends the program with a sentence about it.
 *
 *	device_model_settings.fail_at = n;
 *	err = ovm_engine_create_on(NULL, device_model_open, &engine);
 *	...
 *	ovm_engine_destroy(engine);
 *	ASSERT_TRUE(device_model_released());
 */
#ifndef OVM_TESTS_UNIT_DEVICE_MODEL_H
#define OVM_TESTS_UNIT_DEVICE_MODEL_H

#include "kernels-cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In which order the blocks of a kernel run. */
enum device_model_order {
	DEVICE_MODEL_FORWARD,
	DEVICE_MODEL_REVERSE,
	/* In an order that differs from launch to launch, but not from run to run. */
	DEVICE_MODEL_SHUFFLED,
};

struct device_model_settings {
	/* The call that fails, and makes all after it fail; the first is 1. 0: none. */
	uint64_t fail_at;
	/* Largest piece that can be mapped; 0: 64 GiB. */
	uint64_t max_map;
	/* Most bytes that can be mapped at a time; 0: no limit. */
	uint64_t max_mapped;
	/* Whether to refuse a piece, which can be read here; NULL: no. */
	bool (*refuse)(const void *host, size_t size);
	enum device_model_order order;
	/* Do work when it is put into a stream, not when it is waited for. */
	bool at_once;
	/* Refuse memory that can only be read, as most devices do. */
	bool needs_writable;
	/* Look for holes in files after device_model_punched() only: that takes a while. */
	bool told;
	/* Bytes of device memory; 0: 1 GiB. */
	uint64_t memory;
};

/* For devices that are opened from now on; those that are open keep theirs. */
extern struct device_model_settings device_model_settings;

/* An ovm_device_open_fn. Opening is the first of the calls that can fail. */
struct ovm_error *device_model_open(struct ovm_device **ret);

/* Holes were punched into a file that may be mapped. */
void device_model_punched(void);

struct device_model_stats {
	/* Calls that could fail; launches among them. */
	uint64_t calls, launches;
	/* Pieces that were mapped, and refused, up to now. */
	uint64_t maps, refusals;
	/* What is held: pieces and bytes that are mapped, allocations, pinned ones, streams. */
	uint64_t mappings, mapped, allocations, pinned, streams;
};

void device_model_stats(const struct ovm_device *device, struct device_model_stats *ret);

/* The same for the device that was destroyed last: what was held then had not been released. */
extern struct device_model_stats device_model_last;

/* Whether all devices are destroyed, and the last one held nothing any more. */
bool device_model_released(void);

#ifdef __cplusplus
}
#endif

#endif /* OVM_TESTS_UNIT_DEVICE_MODEL_H */
