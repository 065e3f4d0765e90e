// SPDX-License-Identifier: GPL-2.0-only
// The example of the README builds as it stands.
// RUN: awk '/^```/ {n++; next} n == 1' %S/../../README.md > %t.c
// RUN: %llview-cc -Werror -c %t.c -o %t.o
