/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Extended processor state, held in the registers while a thread spins or sleeps.
 *
 * Layout of the XSAVE area: Intel SDM volume 1, 13.4: the FXSAVE image (512 bytes), the header
 * (XSTATE_BV first), then components where CPUID leaf 0xd says.
 */
#ifndef OVM_WORKLOADS_FPU_H
#define OVM_WORKLOADS_FPU_H

#include "workload.h"

#include <cpuid.h>

enum { FPU_AREA = 8192, FPU_HEADER = 512, FPU_SIGNATURE_BYTES = 10 };

enum fpu_component {
	FPU_X87 = 1 << 0,
	FPU_SSE = 1 << 1,
	FPU_AVX = 1 << 2,
	FPU_OPMASK = 1 << 5,
	FPU_ZMM_HI256 = 1 << 6,
	FPU_HI16_ZMM = 1 << 7,
};

/* Offsets in the FXSAVE image. */
enum { FPU_FCW = 0, FPU_FSW = 2, FPU_FTW = 4, FPU_MXCSR = 24, FPU_ST = 32, FPU_XMM = 160 };

struct fpu {
	uint8_t before[FPU_AREA] __attribute__((aligned(64)));
	uint8_t after[FPU_AREA] __attribute__((aligned(64)));
	uint32_t mask;
	bool spin;
	/* The state is loaded: the thread is in its loop or about to enter it. */
	bool held;
};

static uint32_t fpu_stop;

/* Components that the kernel has switched on (XCR0). */
static inline uint64_t fpu_available(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		workload_skip("the CPU has no XSAVE");
	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (uint64_t)d << 32 | a;
}

static inline void fpu_where(int component, uint32_t *offset, uint32_t *size)
{
	uint32_t c, d;

	__cpuid_count(0xd, component, *size, *offset, c, d);
	(void)c;
	(void)d;
	CHECK(*offset + *size <= FPU_AREA, "the XSAVE area is larger than expected");
}

/* Give every register of the components in @mask a value of its own. */
static inline void fpu_fill(struct fpu *fpu, uint32_t mask, uint64_t seed)
{
	uint64_t xstate_bv = mask;

	memset(fpu, 0, sizeof(*fpu));
	fpu->mask = mask;
	memcpy(fpu->before + FPU_HEADER, &xstate_bv, sizeof(xstate_bv));
	/* x87: 53 bits, rounding up, exceptions masked; top of stack 5, condition bits, all used.
	 */
	memcpy(fpu->before + FPU_FCW, &(uint16_t){0x0a7f}, 2);
	memcpy(fpu->before + FPU_FSW, &(uint16_t){0x2d00}, 2);
	fpu->before[FPU_FTW] = 0xff;
	for (int i = 0; i < 8; i++)
		workload_fill(fpu->before + FPU_ST + 16 * i, FPU_SIGNATURE_BYTES, seed + 16 + i);
	/* SSE: rounding down, flush to zero, exceptions masked. */
	memcpy(fpu->before + FPU_MXCSR, &(uint32_t){0xbf80}, 4);
	workload_fill(fpu->before + FPU_XMM, 256, seed);
	for (int i = 2; i < 8; i++) {
		uint32_t offset, size;

		if (!(mask & 1 << i))
			continue;
		fpu_where(i, &offset, &size);
		workload_fill(fpu->before + offset, size, seed + i);
	}
}

#define FPU_CLOBBERS                                                                        \
	"rcx", "rsi", "rdi", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", \
		"xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
		"xmm14", "xmm15", "st"

/* Hold the state until fpu_stop is set. Between loading and storing no other code runs. */
static inline void *fpu_hold(void *arg)
{
	static const struct timespec period = {.tv_nsec = 100 * 1000000};
	static const uint32_t default_mxcsr = 0x1f80;
	struct fpu *fpu = arg;
	uint32_t spin = fpu->spin;

	asm volatile("xor %%edx, %%edx\n"
		     "mov %[mask], %%eax\n"
		     "xrstor %[before]\n"
		     "movb $1, %[held]\n"
		     "1: test %[spin], %[spin]\n"
		     "jnz 2f\n"
		     "mov $35, %%eax\n" /* nanosleep(period, NULL) */
		     "lea %[period], %%rdi\n"
		     "xor %%esi, %%esi\n"
		     "syscall\n"
		     "2: cmpl $0, %[stop]\n"
		     "je 1b\n"
		     "xor %%edx, %%edx\n"
		     "mov %[mask], %%eax\n"
		     "xsave %[after]\n"
		     "fninit\n"
		     "ldmxcsr %[default_mxcsr]\n"
		     : [after] "+m"(fpu->after), [held] "+m"(fpu->held)
		     : [before] "m"(fpu->before), [stop] "m"(fpu_stop), [period] "m"(period),
		       [mask] "r"(fpu->mask), [spin] "r"(spin), [default_mxcsr] "m"(default_mxcsr)
		     : "rax", "rdx", FPU_CLOBBERS);
	return NULL;
}

static inline void fpu_compare(const struct fpu *fpu, uint32_t offset, uint32_t size,
			       const char *what)
{
	for (uint32_t i = offset; i < offset + size; i++)
		CHECK(fpu->after[i] == fpu->before[i], "%s: byte %u is 0x%02x, was 0x%02x", what,
		      i - offset, fpu->after[i], fpu->before[i]);
}

/* Compare what was held with what was loaded, component by component. */
static inline void fpu_check(const struct fpu *fpu)
{
	static const char *const names[] = {[2] = "upper halves of ymm",
					    [5] = "opmask",
					    [6] = "upper halves of zmm0-15",
					    [7] = "zmm16-31"};

	fpu_compare(fpu, FPU_FCW, 2, "x87 control word");
	fpu_compare(fpu, FPU_FSW, 2, "x87 status word");
	fpu_compare(fpu, FPU_FTW, 1, "x87 tag word");
	for (int i = 0; i < 8; i++)
		fpu_compare(fpu, FPU_ST + 16 * i, FPU_SIGNATURE_BYTES, "x87 register");
	fpu_compare(fpu, FPU_MXCSR, 4, "mxcsr");
	fpu_compare(fpu, FPU_XMM, 256, "xmm");
	for (int i = 2; i < 8; i++) {
		uint32_t offset, size;

		if (!(fpu->mask & 1 << i))
			continue;
		fpu_where(i, &offset, &size);
		fpu_compare(fpu, offset, size, names[i]);
	}
}

/* Start a thread that holds the state; returns when it does. */
static inline pthread_t fpu_start(struct fpu *fpu, bool spin)
{
	fpu->spin = spin;
	pthread_t thread = workload_thread(fpu_hold, fpu);

	while (!__atomic_load_n(&fpu->held, __ATOMIC_SEQ_CST))
		sched_yield();
	return thread;
}

static inline void fpu_release(void)
{
	__atomic_store_n(&fpu_stop, 1, __ATOMIC_SEQ_CST);
}

#endif /* OVM_WORKLOADS_FPU_H */
