// SPDX-License-Identifier: GPL-2.0-only
/* The back end on a device. */
#include "backend.h"

static struct ovm_error *cuda_attach(struct ovm_engine *engine)
{
	(void)engine;
	return ovm_error_format(OVM_ERROR_DEVICE, "not there yet");
}

static void cuda_detach(struct ovm_engine *engine)
{
	(void)engine;
}

const struct ovm_engine_backend ovm_backend_cuda = {
	.name = "cuda",
	.attach = cuda_attach,
	.detach = cuda_detach,
	.walk = ovm_cpu_walk,
	.copy = ovm_cpu_copy,
	.pack = ovm_cpu_pack,
};
