// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's buffers of extended state, expanded. */
#include "host/xsave.h"

#include <string.h>

#include "test.h"
#include "vmi/vcpu.h"

enum {
	HEADER_END = 576,
	COMPONENT_PASID = 10,
};

static const uint64_t compacted = UINT64_C(1) << 63;

static uint8_t buffer[16 << 10], out[OVM_XSAVE_BYTES];
static struct ovm_rec_thread thread;
static struct ovm_xsave_layout layout;

static void put(size_t offset, uint64_t value, size_t size)
{
	memcpy(buffer + offset, &value, size);
}

static uint64_t get(size_t offset, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, out + offset, size);
	return value;
}

/* A buffer full of bytes that must not be taken for state. */
static void start(uint64_t xstate_bv, uint64_t xcomp_bv, size_t len)
{
	static const uint32_t offsets[] = {0, 0, 576, 960, 1024, 1088, 1152, 1664, 0, 2688};

	memset(buffer, 0xee, sizeof(buffer));
	memset(out, 0xdd, sizeof(out));
	memset(&layout, 0, sizeof(layout));
	memcpy(layout.offsets, offsets, sizeof(offsets));
	put(OVM_XSAVE_HEADER, xstate_bv, 8);
	put(OVM_XSAVE_HEADER + 8, xcomp_bv, 8);
	thread = (struct ovm_rec_thread){
		.fpstate = {buffer, len},
		.xfeatures = 0x2ff,
		.user_xfeatures = 0x2ff,
	};
}

static void assert_initial(void)
{
	ASSERT_EQ_U64(get(0, 2), 0x37f);
	ASSERT_EQ_U64(get(2, 8), 0);
	ASSERT_EQ_U64(get(OVM_XSAVE_MXCSR, 4), 0x1f80);
	ASSERT_EQ_U64(get(OVM_XSAVE_ST, 8), 0);
	ASSERT_EQ_U64(get(OVM_XSAVE_XMM, 8), 0);
	ASSERT_EQ_U64(get(OVM_XSAVE_YMMH, 8), 0);
	ASSERT_EQ_U64(get(OVM_XSAVE_HI16_ZMM, 8), 0);
}

OVM_TEST(xsave, fills_in_initial_values)
{
	start(0, compacted | 0x2ff, 2696);
	ASSERT_OK(ovm_xsave_expand(&thread, &layout, out));
	assert_initial();
}

OVM_TEST(xsave, finds_components_in_the_compacted_form)
{
	/* x87, SSE, AVX, AVX-512 and PKRU have a place; masks are in their initial state. */
	start(0xc7, compacted | 0x2e7, 2440);
	put(0, 0x27f, 2);
	put(OVM_XSAVE_MXCSR, 0x1fa0, 4);
	put(OVM_XSAVE_XMM, 11, 8);
	put(HEADER_END, 22, 8);
	put(HEADER_END + 256, 33, 8);
	put(HEADER_END + 256 + 64, 44, 8);
	put(HEADER_END + 256 + 64 + 512, 55, 8);
	ASSERT_OK(ovm_xsave_expand(&thread, &layout, out));
	ASSERT_EQ_U64(get(0, 2), 0x27f);
	ASSERT_EQ_U64(get(OVM_XSAVE_MXCSR, 4), 0x1fa0);
	ASSERT_EQ_U64(get(OVM_XSAVE_XMM, 8), 11);
	ASSERT_EQ_U64(get(OVM_XSAVE_YMMH, 8), 22);
	ASSERT_EQ_U64(get(OVM_XSAVE_OPMASK, 8), 0);
	ASSERT_EQ_U64(get(OVM_XSAVE_ZMMH, 8), 44);
	ASSERT_EQ_U64(get(OVM_XSAVE_HI16_ZMM, 8), 55);
	ASSERT_EQ_U64(get(OVM_XSAVE_HEADER, 8), 0xc7);
	ASSERT_EQ_U64(get(OVM_XSAVE_HEADER + 8, 8), 0);
}

OVM_TEST(xsave, skips_the_kernel_s_components)
{
	/* AVX, processor trace (128 bytes), PKRU. */
	start(0x307, compacted | 0x304, 968);
	put(HEADER_END, 1, 8);
	put(HEADER_END + 256 + 128, 0x54, 8);
	ASSERT_OK(ovm_xsave_expand(&thread, &layout, out));
	ASSERT_EQ_U64(get(OVM_XSAVE_YMMH, 8), 1);
	ASSERT_EQ_U64(get(OVM_XSAVE_PKRU, 8), 0x54);
	ASSERT_EQ_U64(get(OVM_XSAVE_HEADER, 8), 0x207);
}

OVM_TEST(xsave, takes_the_standard_form)
{
	start(0x27, 0, 2696);
	put(OVM_XSAVE_YMMH, 7, 8);
	put(OVM_XSAVE_OPMASK, 9, 8);
	ASSERT_OK(ovm_xsave_expand(&thread, &layout, out));
	ASSERT_EQ_U64(get(OVM_XSAVE_YMMH, 8), 7);
	ASSERT_EQ_U64(get(OVM_XSAVE_OPMASK, 8), 9);
	ASSERT_EQ_U64(get(OVM_XSAVE_HI16_ZMM, 8), 0);
}

OVM_TEST(xsave, takes_the_standard_form_of_other_processors)
{
	start(0x207, 0, 840);
	layout.offsets[9] = 832;
	put(832, 0x55555554, 8);
	ASSERT_OK(ovm_xsave_expand(&thread, &layout, out));
	ASSERT_EQ_U64(get(OVM_XSAVE_PKRU, 4), 0x55555554);
}

OVM_TEST(xsave, takes_pkru_from_where_the_kernel_keeps_it)
{
	start(0x203, compacted | 0x204, 840);
	put(HEADER_END + 256, 0xbad, 8);
	thread.has_pkru = 1;
	thread.pkru = 0x12;
	ASSERT_OK(ovm_xsave_expand(&thread, &layout, out));
	ASSERT_EQ_U64(get(OVM_XSAVE_PKRU, 8), 0x12);
	ASSERT_EQ_U64(get(OVM_XSAVE_HEADER, 8) >> 9 & 1, 1);
}

OVM_TEST(xsave, takes_what_fxsave_wrote)
{
	start(0, 0, 512);
	put(0, 0x27f, 2);
	put(OVM_XSAVE_XMM + 240, 99, 8);
	ASSERT_OK(ovm_xsave_expand(&thread, &layout, out));
	ASSERT_EQ_U64(get(0, 2), 0x27f);
	ASSERT_EQ_U64(get(OVM_XSAVE_XMM + 240, 8), 99);
	ASSERT_EQ_U64(get(OVM_XSAVE_HEADER, 8), 3);
	ASSERT_EQ_U64(get(OVM_XSAVE_YMMH, 8), 0);
}

OVM_TEST(xsave, refuses_what_images_can_t_hold_by_name)
{
	start(UINT64_C(1) << 18, compacted | UINT64_C(1) << 18, sizeof(buffer));
	ASSERT_ERROR(ovm_xsave_expand(&thread, &layout, out), OVM_ERROR_NOT_DUMPABLE, "AMX tile");
	start(1 << COMPONENT_PASID, compacted | 1 << COMPONENT_PASID, 1024);
	ASSERT_ERROR(ovm_xsave_expand(&thread, &layout, out), OVM_ERROR_NOT_DUMPABLE, "PASID");
	start(UINT64_C(1) << 40, compacted, 1024);
	ASSERT_ERROR(ovm_xsave_expand(&thread, &layout, out), OVM_ERROR_NOT_DUMPABLE,
		     "state component 40");
}

OVM_TEST(xsave, refuses_buffers_that_end_early)
{
	start(7, compacted | 7, HEADER_END + 255);
	ASSERT_ERROR(ovm_xsave_expand(&thread, &layout, out), OVM_ERROR_CORRUPT, NULL);
	start(7, compacted | 3, 1024);
	ASSERT_ERROR(ovm_xsave_expand(&thread, &layout, out), OVM_ERROR_CORRUPT, NULL);
	start(0x207, 0, 1024);
	ASSERT_ERROR(ovm_xsave_expand(&thread, &layout, out), OVM_ERROR_CORRUPT, NULL);
	start(7, 0, 511);
	ASSERT_ERROR(ovm_xsave_expand(&thread, &layout, out), OVM_ERROR_CORRUPT, NULL);
}
