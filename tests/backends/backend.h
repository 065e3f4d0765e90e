/* SPDX-License-Identifier: GPL-2.0-only */
/* Engines by the name of what they work on. */
#ifndef OVM_TESTS_BACKENDS_BACKEND_H
#define OVM_TESTS_BACKENDS_BACKEND_H

#include "kernels-cuda/engine.h"

/**
 * Make an engine on "cpu", "cuda" or, where that is linked in, "emulated". One on a device doesn't
 * fall back on the CPU: its failures are errors.
 */
struct ovm_error *test_engine_create(const char *device, unsigned int nr_threads,
				     struct ovm_engine **ret);

/** Have blocks of any size made by the device of an engine that is attached, if it has one. */
void test_engine_any_block(struct ovm_engine *engine);

#endif /* OVM_TESTS_BACKENDS_BACKEND_H */
