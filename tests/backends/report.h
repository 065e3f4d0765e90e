/* SPDX-License-Identifier: GPL-2.0-only */
/* What went wrong in a comparison, for people (stderr) and as JSON. */
#ifndef OVM_TESTS_BACKENDS_REPORT_H
#define OVM_TESTS_BACKENDS_REPORT_H

#include <stdbool.h>

#include "kernels-cuda/engine.h"

enum {
	REPORT_MAX = 10,
};

struct report {
	char *failures[REPORT_MAX];
	unsigned int nr;
};

/** Note a failure and print it on stderr; those beyond REPORT_MAX are counted only. */
void report_failure(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** How many failures there were. */
unsigned int report_failures(const struct report *report);

/** Whether there is no use in going on. */
bool report_is_full(const struct report *report);

/** Print the members of a JSON object that tell of the failures, and release them. */
void report_print(struct report *report);

/** Print the member "device_ram": how much of the guest a device reads in place, or has to be
 * staged. */
void report_print_device(const struct ovm_engine_device_stats *stats);

/** Print a string as JSON. */
void report_print_string(const char *text);

#endif /* OVM_TESTS_BACKENDS_REPORT_H */
