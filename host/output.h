/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The directory that a dump goes to.
 *
 * Images are written into a temporary directory beside the target, named
 * ".NAME.ovm-partial.XXXXXX", and renamed when they are complete.  A temporary
 * directory is locked (flock(2)) as long as its writer lives, so that what a
 * killed one left behind is told from one in use, and removed by the next dump
 * to the same place.
 */
#ifndef OVM_HOST_OUTPUT_H
#define OVM_HOST_OUTPUT_H

#include "vmi/error.h"

struct ovm_output;

/**
 * Make the temporary directory for @directory, which must not exist or be empty.
 *
 * Errors: OVM_ERROR_OUTPUT.
 */
struct ovm_error *ovm_output_begin(const char *directory, struct ovm_output **ret);

/** The temporary directory; owned by the output. */
int ovm_output_fd(const struct ovm_output *output);

/**
 * Make the symbolic link @name to a directory, relative to the one that the images will be in.
 *
 * Errors: OVM_ERROR_OUTPUT; OVM_ERROR_USAGE if there is no such directory.
 */
struct ovm_error *ovm_output_link(struct ovm_output *output, const char *name,
				  const char *directory);

/**
 * Make what was written durable and give the directory its name.
 *
 * Errors: OVM_ERROR_OUTPUT; the output must still be ended.
 */
struct ovm_error *ovm_output_commit(struct ovm_output *output);

/** Release an output; what was not committed is removed. NULL is fine. */
void ovm_output_end(struct ovm_output *output);

#endif /* OVM_HOST_OUTPUT_H */
