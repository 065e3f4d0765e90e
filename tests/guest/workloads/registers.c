// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: threads that spin in user mode keep every general register and the direction flag
 * @busy
 */
#include "workload.h"

enum { THREADS = 2, REGISTERS = 14, FLAG_DIRECTION = 1 << 10 };

struct frame {
	/* rax rbx rcx rdx rsi rbp r8...r15, then rdi: those that the loop holds. */
	uint64_t before[REGISTERS + 1];
	uint64_t after[REGISTERS + 1];
	uint64_t flags;
};

/* Loads @before, spins until registers_stop, stores @after. Nothing else touches the registers. */
void spin(struct frame *frame);
uint32_t registers_stop;

asm(".text\n"
    "spin:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
    "	mov 0(%rdi), %rax; mov 8(%rdi), %rbx; mov 16(%rdi), %rcx; mov 24(%rdi), %rdx\n"
    "	mov 32(%rdi), %rsi; mov 40(%rdi), %rbp; mov 48(%rdi), %r8; mov 56(%rdi), %r9\n"
    "	mov 64(%rdi), %r10; mov 72(%rdi), %r11; mov 80(%rdi), %r12; mov 88(%rdi), %r13\n"
    "	mov 96(%rdi), %r14; mov 104(%rdi), %r15; mov 112(%rdi), %rdi\n"
    "	std\n"
    "1:	cmpl $0, registers_stop(%rip)\n"
    "	je 1b\n"
    "	xchg %rdi, (%rsp)\n"
    "	mov %rax, 120(%rdi); mov %rbx, 128(%rdi); mov %rcx, 136(%rdi); mov %rdx, 144(%rdi)\n"
    "	mov %rsi, 152(%rdi); mov %rbp, 160(%rdi); mov %r8, 168(%rdi); mov %r9, 176(%rdi)\n"
    "	mov %r10, 184(%rdi); mov %r11, 192(%rdi); mov %r12, 200(%rdi); mov %r13, 208(%rdi)\n"
    "	mov %r14, 216(%rdi); mov %r15, 224(%rdi); popq 232(%rdi)\n"
    "	pushfq; popq 240(%rdi); cld\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n");

static void *run(void *arg)
{
	spin(arg);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct frame frames[THREADS];
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	for (int i = 0; i < THREADS; i++) {
		workload_fill(frames[i].before, sizeof(frames[i].before), 100 + i);
		threads[i] = workload_thread(run, &frames[i]);
	}
	/* Let them get into their loops. */
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000000}, NULL);
	workload_ready();
	workload_wait();
	__atomic_store_n(&registers_stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		for (int n = 0; n <= REGISTERS; n++)
			CHECK(frames[i].after[n] == frames[i].before[n],
			      "thread %d: register %d is %llx, was %llx", i, n,
			      (unsigned long long)frames[i].after[n],
			      (unsigned long long)frames[i].before[n]);
		CHECK(frames[i].flags & FLAG_DIRECTION, "thread %d: the direction flag is lost", i);
	}
	workload_pass();
}
