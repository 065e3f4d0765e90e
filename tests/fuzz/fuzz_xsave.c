// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's buffer of extended state, and what the guest says of it. Expanding must end without
 * reading past the buffer; what it lets pass holds nothing that images can't hold.
 *
 * Input: 8 bytes of features, 4 of PKRU, a byte of flags, 4 bytes of a layout, then the buffer.
 */
#include <stdlib.h>
#include <string.h>

#include "host/xsave.h"
#include "vmi/vcpu.h"

enum { HEAD = 17 };

static uint8_t out[OVM_XSAVE_BYTES];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_result(void)
{
	uint64_t xstate_bv;

	memcpy(&xstate_bv, out + OVM_XSAVE_HEADER, sizeof(xstate_bv));
	if (ovm_xsave_unsupported(xstate_bv) >= 0 || (xstate_bv & 3) != 3)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ovm_xsave_layout layout = {{0, 0, 576, 960, 1024, 1088, 1152, 1664, 0, 2688}};
	struct ovm_rec_thread thread = {0};
	uint16_t offset;

	if (size < HEAD)
		return 0;
	memcpy(&thread.xfeatures, data, sizeof(thread.xfeatures));
	memcpy(&thread.pkru, data + 8, sizeof(thread.pkru));
	thread.has_pkru = data[12] & 1;
	thread.user_xfeatures = thread.xfeatures;
	memcpy(&offset, data + 14, sizeof(offset));
	layout.offsets[data[13] % OVM_XSAVE_NR_COMPONENTS] = offset;

	/* A copy of its own, so that reading past its end is noticed. */
	size_t len = size - HEAD;
	uint8_t *buffer = len ? malloc(len) : NULL;

	if (len && !buffer)
		return 0;
	if (len)
		memcpy(buffer, data + HEAD, len);
	thread.fpstate = (struct ovm_rec_bytes){buffer, len};
	struct ovm_error *err = ovm_xsave_expand(&thread, &layout, out);

	if (!err)
		check_result();
	ovm_error_free(err);
	free(buffer);
	return 0;
}
