/* SPDX-License-Identifier: GPL-2.0-only */
/* Makes kallsyms tables, in all the forms that kernels have had. */
#ifndef OVM_TESTS_UNIT_KALLSYMS_MODEL_H
#define OVM_TESTS_UNIT_KALLSYMS_MODEL_H

#include "vmi/kallsyms.h"

enum {
	MODEL_NR = 1200,
	MODEL_PER_CPU = 50,
	MODEL_BYTES = 1 << 18,
	/* Number of the symbol whose name takes two bytes to tell its length. */
	MODEL_LONG = 777,
};

#define MODEL_ADDRESS 0xffffffff9a000000ULL
#define MODEL_TEXT    0xffffffff99000000ULL

/** How the tables are laid out. */
struct kallsyms_form {
	enum ovm_kallsyms_encoding encoding;
	bool offsets_first;
	/** Bytes a symbol of seqs_of_names in front of token_table. */
	unsigned int seqs;
	unsigned int alignment;
	/** What to spoil, unless 0: number of symbols, a marker, an address, a token's index. */
	int nr_error, marker_error, address_error, index_error;
};

/** An image, and what is in it. */
struct kallsyms_model {
	struct kallsyms_form form;
	uint8_t data[MODEL_BYTES];
	size_t size;
	size_t token_table, names, markers;
	uint64_t addresses[MODEL_NR];
	char symbols[MODEL_NR][400];
};

/** Make an image that begins with @start bytes of noise. */
void kallsyms_model_build(struct kallsyms_model *model, const struct kallsyms_form *form,
			  size_t start);

#endif /* OVM_TESTS_UNIT_KALLSYMS_MODEL_H */
