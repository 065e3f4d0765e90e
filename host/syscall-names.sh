#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Print initialisers of an array of system call names, from the headers of the C compiler $1.
set -eu

echo '#include <asm/unistd.h>' | "$1" -E -dM -x c - |
	sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9]*\)$/[\2] = "\1",/p' |
	sort -t '[' -k 2n
