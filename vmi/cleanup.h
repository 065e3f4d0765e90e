/* SPDX-License-Identifier: GPL-2.0-only */
/* Guards that release a resource when its variable goes out of scope. */
#ifndef OVM_VMI_CLEANUP_H
#define OVM_VMI_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void ovm_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void ovm_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void ovm_cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_(fn)	 __attribute__((cleanup(fn)))
#define _cleanup_free_	 _cleanup_(ovm_cleanup_free)
#define _cleanup_close_	 _cleanup_(ovm_cleanup_close)
#define _cleanup_fclose_ _cleanup_(ovm_cleanup_fclose)

/** Give a guarded pointer away: returns it and disarms its guard. */
#define ovm_take_pointer(p)                 \
	({                                  \
		__typeof__(p) _taken = (p); \
		(p) = NULL;                 \
		_taken;                     \
	})

/** Give a guarded file descriptor away. */
static inline int ovm_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif /* OVM_VMI_CLEANUP_H */
