// SPDX-License-Identifier: GPL-2.0-only
#include "kallsyms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cleanup.h"
#include "kallsyms_tables.h"

enum {
	/* Type letter, name and NUL; kernels allow 512 (KSYM_NAME_LEN). */
	MAX_NAME = 1024,
	MAX_POOL = 128 << 20,
	/* Sets of tables in one image that are decoded. */
	MAX_CANDIDATES = 8,
};

struct token {
	const char *text;
	size_t len;
};

static void cleanup_kallsyms(struct ovm_kallsyms **kallsyms)
{
	ovm_kallsyms_destroy(*kallsyms);
}

void ovm_kallsyms_destroy(struct ovm_kallsyms *kallsyms)
{
	if (!kallsyms)
		return;
	free(kallsyms->addresses);
	free(kallsyms->names);
	free(kallsyms->pool);
	free(kallsyms->hash);
	free(kallsyms);
}

static void read_tokens(const struct ovm_kallsyms_image *image,
			const struct ovm_kallsyms_layout *layout,
			struct token tokens[OVM_KALLSYMS_NR_TOKENS])
{
	const char *text = (const char *)image->data + layout->token_table;

	for (unsigned int i = 0; i < OVM_KALLSYMS_NR_TOKENS; i++) {
		tokens[i] = (struct token){text, strlen(text)};
		text += tokens[i].len + 1;
	}
}

/* Bytes of all names; 0 when one of them can't be a name. */
static size_t measure_names(const struct ovm_kallsyms_image *image,
			    const struct ovm_kallsyms_layout *layout, const struct token *tokens)
{
	uint64_t position = layout->names, end = position + layout->names_size;
	size_t total = 0;

	for (uint32_t i = 0; i < layout->nr; i++) {
		struct ovm_kallsyms_codes codes;
		size_t len = 1;

		if (!ovm_kallsyms_take_name(image, &position, end, &codes))
			return 0;
		for (size_t j = 0; j < codes.len; j++)
			len += tokens[codes.codes[j]].len;
		if (len < 3 || len > MAX_NAME)
			return 0;
		total += len;
	}
	return total <= MAX_POOL ? total : 0;
}

static void expand_names(const struct ovm_kallsyms_image *image,
			 const struct ovm_kallsyms_layout *layout, const struct token *tokens,
			 struct ovm_kallsyms *ret)
{
	uint64_t position = layout->names, end = position + layout->names_size;
	char *out = ret->pool;

	for (uint32_t i = 0; i < layout->nr; i++) {
		struct ovm_kallsyms_codes codes = {NULL, 0};

		ovm_kallsyms_take_name(image, &position, end, &codes);
		ret->names[i] = (uint32_t)(out - ret->pool);
		for (size_t j = 0; j < codes.len; j++) {
			const struct token *token = &tokens[codes.codes[j]];

			memcpy(out, token->text, token->len);
			out += token->len;
		}
		*out++ = 0;
	}
}

/* Slot that holds @name, or the empty one where it belongs. */
static size_t find_slot(const struct ovm_kallsyms *kallsyms, const char *name)
{
	size_t slot = ovm_siphash(&kallsyms->key, name, strlen(name));

	for (;; slot++) {
		slot &= kallsyms->hash_slots - 1;

		uint32_t entry = kallsyms->hash[slot];

		if (!entry || !strcmp(ovm_kallsyms_name(kallsyms, entry - 1), name))
			return slot;
	}
}

static bool is_global(char type)
{
	return type >= 'A' && type <= 'Z';
}

static struct ovm_error *build_hash(struct ovm_kallsyms *kallsyms)
{
	if (getrandom(&kallsyms->key, sizeof(kallsyms->key), 0) != sizeof(kallsyms->key))
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL, "no random numbers");
	kallsyms->hash_slots = 1024;
	while (kallsyms->hash_slots < 2 * kallsyms->nr)
		kallsyms->hash_slots *= 2;
	kallsyms->hash = calloc(kallsyms->hash_slots, sizeof(*kallsyms->hash));
	if (!kallsyms->hash)
		return ovm_error_no_memory();
	for (size_t i = 0; i < kallsyms->nr; i++) {
		uint32_t *slot =
			&kallsyms->hash[find_slot(kallsyms, ovm_kallsyms_name(kallsyms, i))];

		/* Static functions may share a name; a global one has precedence. */
		if (!*slot || (is_global(ovm_kallsyms_type(kallsyms, i)) &&
			       !is_global(ovm_kallsyms_type(kallsyms, *slot - 1))))
			*slot = (uint32_t)i + 1;
	}
	return NULL;
}

/* Decode the names. *@ret stays NULL when they turn out not to be names. */
static struct ovm_error *decode_names(const struct ovm_kallsyms_image *image,
				      const struct ovm_kallsyms_layout *layout,
				      struct ovm_kallsyms **ret)
{
	struct token tokens[OVM_KALLSYMS_NR_TOKENS];

	*ret = NULL;
	read_tokens(image, layout, tokens);

	size_t pool_size = measure_names(image, layout, tokens);

	if (!pool_size)
		return NULL;

	_cleanup_(cleanup_kallsyms) struct ovm_kallsyms *kallsyms = calloc(1, sizeof(*kallsyms));

	if (!kallsyms)
		return ovm_error_no_memory();
	kallsyms->nr = layout->nr;
	kallsyms->layout = *layout;
	kallsyms->pool_size = pool_size;
	kallsyms->pool = malloc(pool_size);
	kallsyms->names = calloc(layout->nr, sizeof(*kallsyms->names));
	kallsyms->addresses = calloc(layout->nr, sizeof(*kallsyms->addresses));
	if (!kallsyms->pool || !kallsyms->names || !kallsyms->addresses)
		return ovm_error_no_memory();
	expand_names(image, layout, tokens, kallsyms);

	struct ovm_error *err = build_hash(kallsyms);

	if (!err)
		*ret = ovm_take_pointer(kallsyms);
	return err;
}

struct ovm_error *ovm_kallsyms_create(const struct ovm_kallsyms_image *image,
				      struct ovm_kallsyms **ret)
{
	struct ovm_kallsyms_layout layout;
	struct ovm_kallsyms_search search = ovm_kallsyms_search_start();

	*ret = NULL;
	for (unsigned int i = 0; i < MAX_CANDIDATES; i++) {
		if (!ovm_kallsyms_next_tables(image, &search, &layout))
			break;

		_cleanup_(cleanup_kallsyms) struct ovm_kallsyms *kallsyms = NULL;
		struct ovm_error *err = decode_names(image, &layout, &kallsyms);

		if (err)
			return err;
		if (!kallsyms)
			continue;

		ssize_t text = ovm_kallsyms_find(kallsyms, "_text");

		if (text >= 0 && ovm_kallsyms_find_addresses(image, (size_t)text, &kallsyms->layout,
							     kallsyms->addresses)) {
			*ret = ovm_take_pointer(kallsyms);
			return NULL;
		}
	}
	return ovm_error_format(OVM_ERROR_NOT_FOUND,
				"no kallsyms in the kernel image: the guest's kernel must be built "
				"with CONFIG_KALLSYMS");
}

ssize_t ovm_kallsyms_find(const struct ovm_kallsyms *kallsyms, const char *name)
{
	uint32_t entry = kallsyms->hash[find_slot(kallsyms, name)];

	return (ssize_t)entry - 1;
}

ssize_t ovm_kallsyms_find_address(const struct ovm_kallsyms *kallsyms, uint64_t address)
{
	size_t low = 0, high = kallsyms->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (kallsyms->addresses[middle] <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return -1;

	/* Of several symbols at that address take the first, as the kernel does. */
	uint64_t found = kallsyms->addresses[low - 1];

	for (high = low - 1, low = 0; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (kallsyms->addresses[middle] < found)
			low = middle + 1;
		else
			high = middle;
	}
	return (ssize_t)low;
}
