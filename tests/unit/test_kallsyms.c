// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>

#include "kallsyms_model.h"
#include "snapshot.h"
#include "test.h"
#include "vmi/kernel_private.h"

static struct ovm_error *create(const struct kallsyms_model *model, struct ovm_kallsyms **ret)
{
	const struct ovm_kallsyms_image image = {
		.data = model->data,
		.size = model->size,
		.address = MODEL_ADDRESS,
		.text = MODEL_TEXT,
	};

	return ovm_kallsyms_create(&image, ret);
}

static void check_symbols(const struct kallsyms_model *model, const struct ovm_kallsyms *kallsyms)
{
	ASSERT_EQ_U64(kallsyms->nr, MODEL_NR);
	for (unsigned int i = 0; i < MODEL_NR; i++) {
		ASSERT_EQ_U64(kallsyms->addresses[i], model->addresses[i]);
		ASSERT_STREQ(kallsyms->pool + kallsyms->names[i], model->symbols[i]);
		if (i < 100 || i > 102)
			ASSERT_EQ_U64(ovm_kallsyms_find(kallsyms, model->symbols[i] + 1), i);
	}
}

static void check_form(enum ovm_kallsyms_encoding encoding, bool offsets_first, unsigned int seqs,
		       unsigned int alignment)
{
	static struct kallsyms_model model;
	struct ovm_kallsyms *kallsyms;

	const struct kallsyms_form form = {.encoding = encoding,
					   .offsets_first = offsets_first,
					   .seqs = seqs,
					   .alignment = alignment};

	kallsyms_model_build(&model, &form, 4096 + 8 * seqs);
	ASSERT_OK(create(&model, &kallsyms));
	ASSERT_EQ_U64(kallsyms->layout.encoding, encoding);
	check_symbols(&model, kallsyms);
	ovm_kallsyms_destroy(kallsyms);
}

OVM_TEST(kallsyms, reads_tables_before_v6_2)
{
	check_form(OVM_KALLSYMS_ABSOLUTE_PERCPU, true, 0, 8);
	check_form(OVM_KALLSYMS_BASE_RELATIVE, true, 0, 8);
	check_form(OVM_KALLSYMS_ABSOLUTE, true, 0, 8);
}

OVM_TEST(kallsyms, reads_tables_with_seqs_between)
{
	check_form(OVM_KALLSYMS_ABSOLUTE_PERCPU, true, 3, 8);
	check_form(OVM_KALLSYMS_ABSOLUTE_PERCPU, true, 4, 8);
}

OVM_TEST(kallsyms, reads_tables_since_v6_4)
{
	check_form(OVM_KALLSYMS_ABSOLUTE_PERCPU, false, 0, 8);
	check_form(OVM_KALLSYMS_BASE_RELATIVE, false, 0, 8);
}

OVM_TEST(kallsyms, reads_place_relative_tables)
{
	check_form(OVM_KALLSYMS_PLACE_RELATIVE, false, 0, 8);
	check_form(OVM_KALLSYMS_PLACE_RELATIVE, false, 0, 4);
}

static const struct kallsyms_form good = {.encoding = OVM_KALLSYMS_ABSOLUTE_PERCPU, .alignment = 8};

OVM_TEST(kallsyms, finds_symbols_by_name_and_address)
{
	static struct kallsyms_model model;
	struct ovm_kallsyms *kallsyms;

	kallsyms_model_build(&model, &good, 0);
	ASSERT_OK(create(&model, &kallsyms));
	/* Of static functions with one name, a global one is meant. */
	ASSERT_EQ_U64(ovm_kallsyms_find(kallsyms, "shared"), 102);
	ASSERT_EQ_U64(ovm_kallsyms_type(kallsyms, 102), 'T');
	ASSERT_TRUE(ovm_kallsyms_find(kallsyms, "no_such_symbol") < 0);
	ASSERT_TRUE(ovm_kallsyms_find(kallsyms, "") < 0);
	ASSERT_EQ_U64(ovm_kallsyms_find_address(kallsyms, MODEL_TEXT + 65), MODEL_PER_CPU + 1);
	/* The first of several at one address. */
	ASSERT_EQ_U64(ovm_kallsyms_find_address(kallsyms, model.addresses[202] + 1), 200);
	ASSERT_EQ_U64(ovm_kallsyms_find_address(kallsyms, UINT64_MAX), MODEL_NR - 1);
	ASSERT_EQ_U64(ovm_kallsyms_find_address(kallsyms, 0), 0);
	ovm_kallsyms_destroy(kallsyms);
}

static void check_refused(struct kallsyms_form form)
{
	static struct kallsyms_model model;
	struct ovm_kallsyms *kallsyms;

	form.encoding = OVM_KALLSYMS_ABSOLUTE_PERCPU;
	form.alignment = 8;
	kallsyms_model_build(&model, &form, 512);
	ASSERT_ERROR(create(&model, &kallsyms), OVM_ERROR_NOT_FOUND, "CONFIG_KALLSYMS");
	ASSERT_TRUE(!kallsyms);
}

OVM_TEST(kallsyms, refuses_tables_that_contradict_each_other)
{
	check_refused((struct kallsyms_form){.nr_error = 1});
	check_refused((struct kallsyms_form){.nr_error = -1});
	check_refused((struct kallsyms_form){.marker_error = 3});
	check_refused((struct kallsyms_form){.index_error = 200});
	/* Not ascending. */
	check_refused((struct kallsyms_form){.address_error = 1000});
	/* _text elsewhere. */
	check_refused((struct kallsyms_form){.address_error = MODEL_PER_CPU});
}

OVM_TEST(kallsyms, passes_over_a_copy_that_is_not_of_this_kernel)
{
	static struct kallsyms_model decoy, model;
	struct kallsyms_form form = good;
	static uint8_t data[2 * MODEL_BYTES];
	struct ovm_kallsyms *kallsyms;
	struct ovm_kallsyms_image image = {.data = data, .text = MODEL_TEXT};

	form.address_error = MODEL_PER_CPU;
	kallsyms_model_build(&decoy, &form, 0);
	kallsyms_model_build(&model, &good, 64);
	memcpy(data, decoy.data, MODEL_BYTES);
	memcpy(data + MODEL_BYTES, model.data, model.size);
	image.size = MODEL_BYTES + model.size;
	image.address = MODEL_ADDRESS - MODEL_BYTES;
	ASSERT_OK(ovm_kallsyms_create(&image, &kallsyms));
	check_symbols(&model, kallsyms);
	ASSERT_TRUE(kallsyms->layout.names >= MODEL_BYTES);
	ovm_kallsyms_destroy(kallsyms);
}

OVM_TEST(kallsyms, survives_being_cut_off_anywhere)
{
	static struct kallsyms_model model;
	struct ovm_kallsyms *kallsyms;

	kallsyms_model_build(&model, &good, 16);

	size_t size = model.size;

	for (size_t cut = 0; cut < size - 16; cut += cut < size - 2048 ? 997 : 1) {
		uint8_t *copy = malloc(cut ?: 1);
		const struct ovm_kallsyms_image image = {
			.data = copy, .size = cut, .address = MODEL_ADDRESS, .text = MODEL_TEXT};

		memcpy(copy, model.data, cut);

		struct ovm_error *err = ovm_kallsyms_create(&image, &kallsyms);

		free(copy);
		ASSERT_ERROR(err, OVM_ERROR_NOT_FOUND, NULL);
	}
}

OVM_TEST(kallsyms, gives_up_on_endless_decoys)
{
	static const char digits[20] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
	const size_t size = 32 << 20;
	uint8_t *data = malloc(size);
	struct ovm_kallsyms *kallsyms;
	const struct ovm_kallsyms_image image = {
		.data = data, .size = size, .address = MODEL_ADDRESS, .text = MODEL_TEXT};

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)digits[i % sizeof(digits)];

	struct ovm_error *err = ovm_kallsyms_create(&image, &kallsyms);

	free(data);
	ASSERT_ERROR(err, OVM_ERROR_NOT_FOUND, NULL);
}

/* Compare with /proc/kallsyms, modules left out, line by line. */
static void compare_with_guest(const struct ovm_kallsyms *kallsyms, char *text)
{
	size_t i = 0;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char type, name[600], *end;

		if (strchr(line, '['))
			continue;

		uint64_t address = strtoull(line, &end, 16);

		ASSERT_EQ_U64(sscanf(end, " %c %599s", &type, name), 2);
		ASSERT_TRUE(i < kallsyms->nr);
		ASSERT_EQ_U64(kallsyms->addresses[i], address);
		ASSERT_EQ_U64(ovm_kallsyms_type(kallsyms, i), type);
		ASSERT_STREQ(ovm_kallsyms_name(kallsyms, i), name);
		i++;
	}
	ASSERT_EQ_U64(kallsyms->nr, i);
}

static void check_guest(const char *name)
{
	struct test_snapshot snapshot;
	const struct ovm_kernel_options options = {
		.size = sizeof(options), .hints = snapshot.hints, .nr_hints = 1, .no_scan = true};
	struct ovm_kernel *kernel;
	size_t size;

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));
	ASSERT_OK(ovm_kernel_attach(snapshot.memory, &options, &kernel));

	char *text = test_snapshot_file(&snapshot, "guest/kallsyms", &size);

	if (text)
		compare_with_guest(kernel->kallsyms, text);
	free(text);
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kallsyms, equal_those_that_real_kernels_tell)
{
	char names[TEST_SNAPSHOTS][64];
	size_t nr = test_snapshot_names(names);

	if (!nr)
		OVM_SKIP("no snapshots: tests/guest/snapshot records them");
	for (size_t i = 0; i < nr && !ovm_test_failed(); i++)
		check_guest(names[i]);
}
