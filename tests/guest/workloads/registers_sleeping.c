// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a thread in a system call keeps the registers that a system call keeps
 */
#include "workload.h"

#include <sys/syscall.h>

enum { KEPT = 11 };

/* rbx rdx rbp r8 r9 r10 r12...r15 and rdi, around one nanosleep after the other. */
struct frame {
	uint64_t before[KEPT];
	uint64_t after[KEPT];
	struct timespec period;
};

void sleep_on(struct frame *frame);
uint32_t registers_stop;

asm(".text\n"
    "sleep_on:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov 0(%rdi), %rbx; mov 8(%rdi), %rdx; mov 16(%rdi), %rbp; mov 24(%rdi), %r8\n"
    "	mov 32(%rdi), %r9; mov 40(%rdi), %r10; mov 48(%rdi), %r12; mov 56(%rdi), %r13\n"
    "	mov 64(%rdi), %r14; mov 72(%rdi), %r15\n"
    "	add $176, %rdi\n" /* period */
    "1:	mov $35, %eax\n"  /* nanosleep(rdi, NULL) */
    "	xor %esi, %esi\n"
    "	syscall\n"
    "	cmpl $0, registers_stop(%rip)\n"
    "	je 1b\n"
    "	sub $176, %rdi\n"
    "	mov %rbx, 88(%rdi); mov %rdx, 96(%rdi); mov %rbp, 104(%rdi); mov %r8, 112(%rdi)\n"
    "	mov %r9, 120(%rdi); mov %r10, 128(%rdi); mov %r12, 136(%rdi); mov %r13, 144(%rdi)\n"
    "	mov %r14, 152(%rdi); mov %r15, 160(%rdi); mov %rdi, 168(%rdi)\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n");

static void *run(void *arg)
{
	sleep_on(arg);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct frame frame = {.period = {.tv_nsec = 100 * 1000000}};

	_Static_assert(offsetof(struct frame, period) == 176, "the assembly knows it");
	workload_start(argc, argv, NULL);
	workload_fill(frame.before, sizeof(frame.before), 7);
	frame.before[KEPT - 1] = (uintptr_t)&frame;

	pthread_t thread = workload_thread(run, &frame);

	workload_ready();
	workload_wait();
	__atomic_store_n(&registers_stop, 1, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	for (int n = 0; n < KEPT; n++)
		CHECK(frame.after[n] == frame.before[n], "register %d is %llx, was %llx", n,
		      (unsigned long long)frame.after[n], (unsigned long long)frame.before[n]);
	workload_pass();
}
