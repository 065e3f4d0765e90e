// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: restartable sequences stay registered, and one that was under way is started anew
 * @busy
 * @criu_dump: no it leaves threads inside of a sequence (not the leader) where they are
 */
#include "workload.h"

#include <linux/rseq.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

enum { THREADS = 4, CPUS = 64, DELAY = 20000 };

struct slot {
	uint64_t value;
	char padding[56];
};

/* Per CPU: added to by whoever is on it, and undisturbed as long as sequences are. */
static struct slot slots[CPUS];
static uint32_t stop;

static struct rseq *registration(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/*
 * Add one to the slot of this CPU. It takes long between reading and writing, so that a dump finds
 * threads there. 0: started anew too often or at a wrong place; the caller tries again.
 */
static int add_one(struct rseq *area)
{
	asm goto volatile(".pushsection __rseq_cs, \"aw\"\n"
			  ".balign 32\n"
			  "3: .long 0, 0\n"
			  ".quad 1f, 2f - 1f, 4f\n"
			  ".popsection\n"
			  "lea 3b(%%rip), %%rax\n"
			  "mov %%rax, %c[rseq_cs](%[area])\n"
			  "1:\n"
			  "mov %c[cpu_id](%[area]), %%ecx\n"
			  "shl $6, %%rcx\n"
			  "mov (%[slots], %%rcx), %%rax\n"
			  "mov %[delay_count], %%edx\n"
			  "5: dec %%edx\n"
			  "jnz 5b\n"
			  "inc %%rax\n"
			  "mov %%rax, (%[slots], %%rcx)\n"
			  "2:\n"
			  ".pushsection __rseq_failure, \"ax\"\n"
			  ".byte 0x0f, 0xb9, 0x3d\n"
			  ".long 0x53053053\n"
			  "4: jmp %l[aborted]\n"
			  ".popsection\n"
			  :
			  : [area] "r"(area), [slots] "r"(slots), [delay_count] "i"(DELAY),
			    [rseq_cs] "i"(offsetof(struct rseq, rseq_cs)),
			    [cpu_id] "i"(offsetof(struct rseq, cpu_id))
			  : "rax", "rcx", "rdx", "memory", "cc"
			  : aborted);
	return 1;
aborted:
	return 0;
}

static void check_registered(const char *when)
{
	struct rseq *area = registration();
	long again = syscall(SYS_rseq, area, 32, 0, RSEQ_SIG);

	CHECK(again == -1 && errno == EBUSY, "%s: registering again gives %ld: %s", when, again,
	      strerror(errno));
	CHECK(area->cpu_id < CPUS, "%s: the registered CPU number is %u", when, area->cpu_id);
}

/* Returns the number of additions. */
static void *run(void *arg)
{
	uint64_t *additions = arg;

	check_registered("at first");
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		*additions += add_one(registration());
	check_registered("at last");
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	uint64_t additions[THREADS] = {0}, expected = 0, sum = 0;

	workload_start(argc, argv, NULL);
	if (!__rseq_size)
		workload_skip("the C library has not registered restartable sequences");
	check_registered("before");
	for (int i = 0; i < THREADS; i++)
		threads[i] = workload_thread(run, &additions[i]);
	workload_ready();
	workload_wait();
	/* As restored, before anything else could have registered. */
	check_registered("after");
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		expected += additions[i];
	}
	for (int i = 0; i < CPUS; i++)
		sum += slots[i].value;
	CHECK(expected && sum == expected, "of %llu additions %llu are there",
	      (unsigned long long)expected, (unsigned long long)sum);
	workload_pass();
}
