/* SPDX-License-Identifier: GPL-2.0-only */
/* The bodies of all kernels, for who runs them: cuda_device.cu, and the device of the tests. */
#ifndef OVM_KERNELS_CUDA_KERNELS_H
#define OVM_KERNELS_CUDA_KERNELS_H

#include "compact.h"
#include "devicewalk.h"
#include "gather.h"
#include "lanes.h"
#include "lz4block.h"
#include "pagehash.h"
#include "scan.h"

#endif /* OVM_KERNELS_CUDA_KERNELS_H */
