// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device state in which anything may have been changed: with a description,
 * without one, and notes of a memory dump.  The first byte says which.
 */
#include <stdint.h>
#include <stdlib.h>

#include "vmi/vcpu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ovm_vcpus *vcpus = NULL;
	struct ovm_error *err;

	if (!size)
		return 0;
	const struct ovm_vcpu_context context = {.nr_vcpus = 1 + (data[0] >> 2 & 3),
						 .kvm = data[0] >> 4 & 1};

	if ((data[0] & 3) == 2)
		err = ovm_vcpus_parse_notes(data + 1, size - 1, &vcpus);
	else
		err = ovm_vcpus_parse(data + 1, size - 1, data[0] & 1, &context, &vcpus);
	/* A result or an error, never both, never neither. */
	if (!err == !vcpus)
		abort();
	ovm_error_free(err);
	ovm_vcpus_free(vcpus);
	return 0;
}
