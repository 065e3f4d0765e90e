// SPDX-License-Identifier: GPL-2.0-only
#include "kallsyms_model.h"

#include <stdio.h>
#include <string.h>

static void put(struct kallsyms_model *model, const void *data, size_t len)
{
	memcpy(model->data + model->size, data, len);
	model->size += len;
}

static void align(struct kallsyms_model *model)
{
	while (model->size % model->form.alignment)
		model->data[model->size++] = 0;
}

/* Codes that no name has stand for longer tokens. */
static void token(unsigned int code, char buf[16])
{
	if (code > ' ' && code < 0x7f)
		snprintf(buf, 16, "%c", (char)code);
	else
		snprintf(buf, 16, "<%02x>", code);
}

static void make_symbols(struct kallsyms_model *model)
{
	bool absolute_percpu = model->form.encoding == OVM_KALLSYMS_ABSOLUTE_PERCPU ||
			       model->form.encoding == OVM_KALLSYMS_ABSOLUTE;

	for (unsigned int i = 0; i < MODEL_NR; i++) {
		snprintf(model->symbols[i], sizeof(model->symbols[i]), "%c%s%u", i % 3 ? 't' : 'T',
			 i % 7 ? "function_" : "f", i);
		if (i < MODEL_PER_CPU && absolute_percpu)
			model->addresses[i] = 16 * i;
		else
			model->addresses[i] = MODEL_TEXT + 64 * (uint64_t)i - 64 * MODEL_PER_CPU;
	}
	strcpy(model->symbols[MODEL_PER_CPU], "T_text");
	memset(model->symbols[MODEL_LONG] + 1, 'x', 300);
	/* Two static functions, and a global one later, of the same name. */
	strcpy(model->symbols[100], "tshared");
	strcpy(model->symbols[101], "tshared");
	strcpy(model->symbols[102], "Tshared");
	model->addresses[201] = model->addresses[200];
	model->addresses[202] = model->addresses[200];
}

static void put_offsets(struct kallsyms_model *model)
{
	const uint64_t base = MODEL_TEXT - 64 * MODEL_PER_CPU;

	align(model);
	for (unsigned int i = 0; i < MODEL_NR; i++) {
		uint64_t address = model->addresses[i];
		uint32_t offset;

		if (i && (int)i == model->form.address_error)
			address -= 4096;
		switch (model->form.encoding) {
		case OVM_KALLSYMS_ABSOLUTE:
			put(model, &address, sizeof(address));
			continue;
		case OVM_KALLSYMS_ABSOLUTE_PERCPU:
			offset = (uint32_t)(i < MODEL_PER_CPU ? address : base - 1 - address);
			break;
		case OVM_KALLSYMS_BASE_RELATIVE:
			offset = (uint32_t)(address - base);
			break;
		default:
			offset = (uint32_t)(address - (MODEL_ADDRESS + model->size));
		}
		put(model, &offset, sizeof(offset));
	}
	if (model->form.encoding == OVM_KALLSYMS_BASE_RELATIVE ||
	    model->form.encoding == OVM_KALLSYMS_ABSOLUTE_PERCPU) {
		while (model->size % 8)
			model->data[model->size++] = 0;
		put(model, &base, sizeof(base));
	}
}

static void put_names(struct kallsyms_model *model, uint32_t *markers)
{
	const uint32_t nr = (uint32_t)(MODEL_NR + model->form.nr_error);

	align(model);
	put(model, &nr, sizeof(nr));
	align(model);
	model->names = model->size;
	for (unsigned int i = 0; i < MODEL_NR; i++) {
		size_t len = strlen(model->symbols[i]);
		uint8_t head[2] = {(uint8_t)len, 0};

		if (i % 256 == 0)
			markers[i / 256] = (uint32_t)(model->size - model->names);
		/* Every fifth name ends with a token that is longer than its code. */
		if (len < 100 && i % 5 == 4 && i != MODEL_PER_CPU) {
			head[0]++;
			put(model, head, 1);
			put(model, model->symbols[i], len);
			put(model, "\x80", 1);
			strcat(model->symbols[i], "<80>");
			continue;
		}
		if (len > 127) {
			head[0] = 0x80 | (len & 0x7f);
			head[1] = (uint8_t)(len >> 7);
		}
		put(model, head, len > 127 ? 2 : 1);
		put(model, model->symbols[i], len);
	}
}

static void put_seqs(struct kallsyms_model *model)
{
	align(model);
	for (unsigned int i = 0; i < MODEL_NR; i++) {
		uint32_t seq = i * 2654435761U % MODEL_NR;

		put(model, &seq, model->form.seqs);
	}
}

static void put_tokens(struct kallsyms_model *model)
{
	uint16_t index[256];

	align(model);
	model->token_table = model->size;
	for (unsigned int i = 0; i < 256; i++) {
		char text[16];

		index[i] = (uint16_t)(model->size - model->token_table);
		token(i, text);
		put(model, text, strlen(text) + 1);
	}
	if (model->form.index_error)
		index[model->form.index_error]++;
	align(model);
	put(model, index, sizeof(index));
}

void kallsyms_model_build(struct kallsyms_model *model, const struct kallsyms_form *form,
			  size_t start)
{
	uint32_t markers[(MODEL_NR + 255) / 256];

	model->form = *form;
	memset(model->data, 0, sizeof(model->data));
	for (model->size = 0; model->size < start; model->size++)
		model->data[model->size] = (uint8_t)(model->size * 131 >> 3);
	make_symbols(model);
	if (model->form.offsets_first)
		put_offsets(model);
	put_names(model, markers);
	align(model);
	model->markers = model->size;
	if (model->form.marker_error)
		markers[model->form.marker_error]++;
	put(model, markers, sizeof(markers));
	if (model->form.seqs)
		put_seqs(model);
	put_tokens(model);
	if (!model->form.offsets_first)
		put_offsets(model);
	put(model, "the end", 8);
}
