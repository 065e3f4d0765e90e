/* SPDX-License-Identifier: GPL-2.0-only */
/* A parent and its children, who take turns. */
#ifndef OVM_WORKLOADS_FAMILY_H
#define OVM_WORKLOADS_FAMILY_H

#include <sys/wait.h>

#include "workload.h"

enum { FAMILY_MAX = 4 };

struct family {
	int nr;
	pid_t pids[FAMILY_MAX];
	/* By which each child is told to go on, and tells that it has. */
	int go[FAMILY_MAX][2], done[FAMILY_MAX][2];
};

static inline void family_put(int fd)
{
	CHECK_CALL(write(fd, "", 1) == 1);
}

static inline void family_get(int fd)
{
	char c;

	CHECK_CALL(read(fd, &c, 1) == 1);
}

/** A child: say that a step is done, and wait until the parent wants the next one. */
static inline void family_step(const struct family *family, int child)
{
	family_put(family->done[child][1]);
	family_get(family->go[child][0]);
}

/** Make @nr children, each of which runs @run; returns when all have done their first step. */
static inline void family_start(struct family *family, int nr,
				void (*run)(const struct family *family, int child))
{
	family->nr = nr;
	for (int i = 0; i < nr; i++)
		CHECK_CALL(!pipe(family->go[i]) && !pipe(family->done[i]));
	for (int i = 0; i < nr; i++) {
		family->pids[i] = fork();
		CHECK_CALL(family->pids[i] >= 0);
		if (family->pids[i])
			continue;
		run(family, i);
		family_put(family->done[i][1]);
		_exit(0);
	}
	for (int i = 0; i < nr; i++)
		family_get(family->done[i][0]);
}

/** Have a child do its next step, and wait until it has. */
static inline void family_next(const struct family *family, int child)
{
	family_put(family->go[child][1]);
	family_get(family->done[child][0]);
}

/** All children have to end as they should. */
static inline void family_end(const struct family *family)
{
	for (int i = 0; i < family->nr; i++) {
		int status;

		CHECK_CALL(waitpid(family->pids[i], &status, 0) == family->pids[i]);
		CHECK(!status, "child %d ended with status 0x%x", i, status);
	}
}

#endif /* OVM_WORKLOADS_FAMILY_H */
