// SPDX-License-Identifier: GPL-2.0-only
/* What stands in for cuda_device.cu in a build without CUDA. */
#include "device.h"

struct ovm_error *ovm_cuda_device_open(struct ovm_device **ret)
{
	*ret = NULL;
	return ovm_error_format(OVM_ERROR_USAGE, "this build has no CUDA back end");
}
