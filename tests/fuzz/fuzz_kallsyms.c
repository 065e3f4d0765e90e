// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel images whose symbol tables are spoilt, in each form that kernels have
 * had: whatever is found must be consistent.
 *
 * Input: the form (1 byte), then changes of 6 bytes each: what the offset is
 * from (1), the offset (2), how many bytes to change (1), and to what (2).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmi/kallsyms.h"

/* The tables' maker belongs to the unit tests. */
#include "tests/unit/kallsyms_model.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kallsyms_form forms[] = {
	{.encoding = OVM_KALLSYMS_ABSOLUTE_PERCPU, .offsets_first = true, .alignment = 8},
	{.encoding = OVM_KALLSYMS_ABSOLUTE, .offsets_first = true, .alignment = 8},
	{.encoding = OVM_KALLSYMS_ABSOLUTE_PERCPU,
	 .offsets_first = true,
	 .seqs = 3,
	 .alignment = 8},
	{.encoding = OVM_KALLSYMS_ABSOLUTE_PERCPU, .alignment = 8},
	{.encoding = OVM_KALLSYMS_BASE_RELATIVE, .alignment = 8},
	{.encoding = OVM_KALLSYMS_PLACE_RELATIVE, .alignment = 4},
};

enum {
	NR_FORMS = sizeof(forms) / sizeof(forms[0]),
};

static const struct kallsyms_model *get_model(unsigned int form)
{
	static struct kallsyms_model *models[NR_FORMS];

	if (!models[form]) {
		models[form] = malloc(sizeof(*models[form]));
		kallsyms_model_build(models[form], &forms[form], 64);
	}
	return models[form];
}

static void spoil(const struct kallsyms_model *model, uint8_t *image, const uint8_t change[6])
{
	const size_t bases[] = {0,
				model->names,
				model->names - 8,
				model->markers,
				model->token_table,
				model->token_table + 1024,
				model->size / 2,
				model->size - 0x4000};
	size_t offset = bases[change[0] % 8] + (change[1] | (size_t)change[2] << 8);

	for (size_t i = 0; i < change[3]; i++) {
		if (offset + i < model->size)
			image[offset + i] = change[4 + i % 2];
	}
}

static void check(const struct ovm_kallsyms *kallsyms)
{
	for (size_t i = 0; i < kallsyms->nr; i += 5) {
		const char *name = ovm_kallsyms_name(kallsyms, i);
		ssize_t found = ovm_kallsyms_find(kallsyms, name);

		if (found < 0 || strcmp(ovm_kallsyms_name(kallsyms, (size_t)found), name))
			abort();
		if (i && kallsyms->addresses[i] < kallsyms->addresses[i - 1])
			abort();
		found = ovm_kallsyms_find_address(kallsyms, kallsyms->addresses[i]);
		if (found < 0 || kallsyms->addresses[found] != kallsyms->addresses[i])
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;

	const struct kallsyms_model *model = get_model(data[0] % NR_FORMS);
	/* Of exactly its size, so that reading behind it is noticed. */
	uint8_t *image = malloc(model->size);
	struct ovm_kallsyms *kallsyms;

	memcpy(image, model->data, model->size);
	for (size_t at = 1; at + 6 <= size; at += 6)
		spoil(model, image, data + at);

	const struct ovm_kallsyms_image all = {
		.data = image,
		.size = model->size,
		.address = MODEL_ADDRESS,
		.text = MODEL_TEXT,
	};
	struct ovm_error *err = ovm_kallsyms_create(&all, &kallsyms);

	if (!err)
		check(kallsyms);
	else if (err->code != OVM_ERROR_NOT_FOUND || size == 1)
		abort();
	ovm_error_free(err);
	ovm_kallsyms_destroy(kallsyms);
	free(image);
	return 0;
}
