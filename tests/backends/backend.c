// SPDX-License-Identifier: GPL-2.0-only
#include "backend.h"

#include <string.h>

#include "kernels-cuda/cuda.h"

#ifdef OVM_EMULATED
#include "tests/unit/device_model.h"
#endif

struct ovm_error *test_engine_create(const char *device, unsigned int nr_threads,
				     struct ovm_engine **ret)
{
	struct ovm_engine_options options = {
		.size = sizeof(options),
		.backend = OVM_BACKEND_CUDA,
		.nr_threads = nr_threads,
	};

	*ret = NULL;
	if (!strcmp(device, "cpu"))
		options.backend = OVM_BACKEND_CPU;
#ifdef OVM_EMULATED
	else if (!strcmp(device, "emulated")) {
		/* By made_guest_go_on(). */
		device_model_settings.told = true;
		return ovm_engine_create_on(&options, device_model_open, ret);
	}
#endif
	else if (strcmp(device, "cuda"))
		return ovm_error_format(OVM_ERROR_USAGE, "there is no device '%s'", device);
	return ovm_engine_create(&options, ret);
}

void test_engine_any_block(struct ovm_engine *engine)
{
	if (!strcmp(ovm_engine_backend_name(engine), "cuda") && engine->state)
		((struct ovm_cuda *)engine->state)->max_block_pages = OVM_PACK_MAX_BLOCK_PAGES;
}
