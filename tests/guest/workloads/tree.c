// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: processes come back as each other's parents and children, with memory of their own
 */
#include "workload.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum {
	NR_CHILDREN = 3,
	NR_GRANDCHILDREN = 2,
	SIZE = 24 * 4096,
};

/* What each process has in its own copy of this page since it was born. */
struct self {
	pid_t pid, parent;
	int number;
};

static struct self self;
static unsigned char *memory;
static int turns[2], results[2];

static void become(int number, pid_t parent)
{
	self = (struct self){getpid(), parent, number};
	/* Half of it is written anew; the rest stays what the parent had. */
	workload_fill(memory, SIZE / 2, (uint64_t)number);
}

static void check_self(void)
{
	CHECK(getpid() == self.pid, "process %d has pid %d, not %d", self.number, getpid(),
	      self.pid);
	CHECK(getppid() == self.parent, "process %d has parent %d, not %d", self.number, getppid(),
	      self.parent);
	workload_check_fill(memory, SIZE / 2, (uint64_t)self.number, "own memory");
	workload_check_fill(memory + SIZE / 2, SIZE / 2, 1000, "inherited memory");
}

/* Quiescent until the root, who sees go, lets them. */
static void wait_for_turn(void)
{
	char c;

	CHECK_CALL(read(turns[0], &c, 1) == 1);
}

/* A process that ends with its number. */
static void tell(void)
{
	check_self();
	CHECK_CALL(write(results[1], &self.number, sizeof(self.number)) == sizeof(self.number));
	_exit(self.number);
}

static pid_t spawn(int number, void (*run)(void))
{
	pid_t parent = getpid(), pid = fork();

	CHECK_CALL(pid >= 0);
	if (pid)
		return pid;
	become(number, parent);
	run();
	_exit(99);
}

static void reap(const pid_t *pids, int nr, int first)
{
	for (int i = 0; i < nr; i++) {
		int status;

		CHECK_CALL(waitpid(pids[i], &status, 0) == pids[i]);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == first + i,
		      "process %d ended with status 0x%x", first + i, status);
	}
}

static void grandchild(void)
{
	wait_for_turn();
	tell();
}

static void child(void)
{
	pid_t pids[NR_GRANDCHILDREN];

	for (int i = 0; i < NR_GRANDCHILDREN; i++)
		pids[i] = spawn(self.number * 10 + i, grandchild);
	wait_for_turn();
	reap(pids, NR_GRANDCHILDREN, self.number * 10);
	tell();
}

int main(int argc, char **argv)
{
	const int nr = NR_CHILDREN * (1 + NR_GRANDCHILDREN);
	pid_t pids[NR_CHILDREN];
	int sum = 0, number;

	workload_start(argc, argv, NULL);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_CALL(memory != MAP_FAILED && !pipe(turns) && !pipe(results));
	workload_fill(memory + SIZE / 2, SIZE / 2, 1000);
	for (int i = 0; i < NR_CHILDREN; i++)
		pids[i] = spawn(1 + i, child);
	/* Nobody is on the way any more when all wait for go. */
	usleep(300000);
	workload_ready();
	workload_wait();
	CHECK_CALL(write(turns[1], "123456789", nr) == nr);
	reap(pids, NR_CHILDREN, 1);
	for (int i = 0; i < nr; i++) {
		CHECK_CALL(read(results[0], &number, sizeof(number)) == sizeof(number));
		sum += number;
	}
	CHECK(sum == 1 + 2 + 3 + 10 + 11 + 20 + 21 + 30 + 31, "others than all have told: %d", sum);
	workload_pass();
}
