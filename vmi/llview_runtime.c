// SPDX-License-Identifier: GPL-2.0-only
/*
 * What extractors call while they run (llview-pass/llview_abi.h).
 *
 * An address is the guest's word.  It is only ever translated by the guest's
 * own layout, and one that isn't a kernel address isn't even tried.  Each
 * value is read once, by one instruction where it doesn't cross a page.
 */
#include <stdlib.h>
#include <string.h>

#include "llview_internal.h"

_Static_assert((int)OVM_ERROR_KERNEL == 4 && (int)OVM_ERROR_FAULT == 5 &&
		       (int)OVM_ERROR_CORRUPT == 6 && (int)OVM_ERROR_NOT_FOUND == 8 &&
		       (int)OVM_ERROR_NOT_DUMPABLE == 9 && (int)OVM_ERROR_INCONSISTENT == 10,
	       "enum llv_code of llview-pass/llview.h");

/* The upper half of 57 bits; with 4 levels the kernel's part is smaller, and the rest unmapped. */
static const uint64_t first_kernel_address = UINT64_C(0xff00000000000000);

/* struct ovm_rec_bytes */
struct bytes {
	uint8_t *data;
	uint64_t len;
};

struct unaligned16 {
	uint16_t v;
} __attribute__((packed));
struct unaligned32 {
	uint32_t v;
} __attribute__((packed));
struct unaligned64 {
	uint64_t v;
} __attribute__((packed));

static __attribute__((noreturn)) void leave(struct ovm_llv *llv, struct ovm_error *err)
{
	llv->err = err;
	_longjmp(llv->leave, 1);
}

static __attribute__((noreturn)) void leave_unbound(struct ovm_llv *llv,
						    const struct ovm_llv_reloc *reloc)
{
	struct ovm_llv_slot slot = {0};
	struct ovm_error *err = ovm_llv_bind(llv, reloc, &slot);

	leave(llv, err ? err : ovm_error_format(OVM_ERROR_KERNEL, "%s: not bound", reloc->site));
}

static struct ovm_error *not_kernel(uint64_t address)
{
	return ovm_error_address(OVM_ERROR_FAULT, address, "%s",
				 address < OVM_LLV_PAGE_SIZE ? "null pointer in the guest"
							     : "not an address of the kernel");
}

static struct ovm_error *read_guest(struct ovm_llv *llv, uint64_t address, void *buf, uint64_t len)
{
	if (address < first_kernel_address || len > UINT64_MAX - address)
		return not_kernel(address);
	return llv->options.read(llv->options.arg, address, buf, len);
}

/* The page at @address where it can be read natively, or NULL. */
static const uint8_t *page_of(struct ovm_llv *llv, uint64_t address)
{
	uint64_t number = address / OVM_LLV_PAGE_SIZE;
	struct ovm_llv_tlb_entry *entry = &llv->tlb[number % OVM_LLV_TLB_SIZE];

	if (entry->tag == number + 1)
		return entry->page;
	if (!llv->options.peek)
		return NULL;
	const uint8_t *page =
		llv->options.peek(llv->options.arg, number * OVM_LLV_PAGE_SIZE, OVM_LLV_PAGE_SIZE);
	if (page)
		*entry = (struct ovm_llv_tlb_entry){number + 1, page};
	return page;
}

static uint64_t load_native(const uint8_t *p, uint32_t size)
{
	switch (size) {
	case 1:
		return *(const volatile uint8_t *)p;
	case 2:
		return ((const volatile struct unaligned16 *)p)->v;
	case 4:
		return ((const volatile struct unaligned32 *)p)->v;
	default:
		return ((const volatile struct unaligned64 *)p)->v;
	}
}

static struct ovm_error *load(struct ovm_llv *llv, uint64_t address, uint32_t size, uint64_t *ret)
{
	uint64_t offset = address % OVM_LLV_PAGE_SIZE;

	if (address < first_kernel_address || size > UINT64_MAX - address)
		return not_kernel(address);
	if (offset + size <= OVM_LLV_PAGE_SIZE) {
		const uint8_t *page = page_of(llv, address);

		if (page) {
			*ret = load_native(page + offset, size);
			return NULL;
		}
	}
	*ret = 0;
	return llv->options.read(llv->options.arg, address, ret, size);
}

static const struct ovm_llv_slot *slot_of(struct ovm_llv *llv, const struct ovm_llv_reloc *reloc)
{
	size_t index = reloc - llv->options.relocs;

	if (index >= llv->options.nr_relocs)
		leave(llv, ovm_error_format(OVM_ERROR_USAGE, "an extractor was bound to no guest"));
	if (llv->slots[index].state != OVM_LLV_BOUND)
		leave_unbound(llv, reloc);
	return &llv->slots[index];
}

uint64_t ovm_llv_rt_value(const struct ovm_llv_reloc *reloc)
{
	return slot_of(ovm_llv_current, reloc)->value;
}

uint64_t ovm_llv_rt_field(uint64_t base, const struct ovm_llv_reloc *reloc)
{
	struct ovm_llv *llv = ovm_llv_current;
	const struct ovm_llv_slot *slot = slot_of(llv, reloc);
	uint64_t value;
	struct ovm_error *err = load(llv, base + slot->value, slot->size, &value);

	if (err)
		leave(llv, ovm_error_prepend(err, "%s: reading '%s' of '%s'", reloc->site,
					     reloc->path, reloc->type));
	value >>= slot->shift;
	if (slot->bits == 64)
		return value;
	unsigned int unused = 64 - slot->bits;
	if (slot->is_signed)
		return (uint64_t)((int64_t)(value << unused) >> unused);
	return value << unused >> unused;
}

uint64_t ovm_llv_rt_load(uint64_t address, uint32_t size, const char *site)
{
	struct ovm_llv *llv = ovm_llv_current;
	uint64_t value;
	struct ovm_error *err = load(llv, address, size, &value);

	if (err)
		leave(llv, ovm_error_prepend(err, "%s", site));
	return value;
}

static void charge(struct ovm_llv *llv, uint64_t bytes)
{
	if (bytes > llv->bytes)
		leave(llv, ovm_error_format(OVM_ERROR_BUDGET,
					    "the guest's data is larger than the budget allows"));
	llv->bytes -= bytes;
}

void ovm_llv_rt_copy(void *dst, uint64_t address, uint64_t size, const char *site)
{
	struct ovm_llv *llv = ovm_llv_current;

	charge(llv, size);
	struct ovm_error *err = size ? read_guest(llv, address, dst, size) : NULL;
	if (err)
		leave(llv, ovm_error_prepend(err, "%s", site));
}

/* What is too expensive to be asked at each step. */
static void look_up(struct ovm_llv *llv, const char *site)
{
	if (ovm_llv_now_ms() > llv->deadline)
		leave(llv,
		      ovm_error_format(OVM_ERROR_BUDGET,
				       "%s: going through the guest's data takes too long", site));
	if (llv->cancelled && llv->cancelled(llv->cancelled_arg))
		leave(llv, ovm_error_format(OVM_ERROR_CANCELLED, "interrupted"));
}

void ovm_llv_rt_tick(const char *site)
{
	struct ovm_llv *llv = ovm_llv_current;

	if (llv->steps-- == 0)
		leave(llv, ovm_error_format(OVM_ERROR_BUDGET,
					    "%s: a loop over the guest's data doesn't end", site));
	if (llv->steps % OVM_LLV_CLOCK_STEPS == 0)
		look_up(llv, site);
}

void ovm_llv_rt_enter(const char *site)
{
	struct ovm_llv *llv = ovm_llv_current;

	if (++llv->depth > OVM_LLV_MAX_DEPTH)
		leave(llv, ovm_error_format(OVM_ERROR_BUDGET,
					    "%s: the guest's data is nested too deeply", site));
	ovm_llv_rt_tick(site);
}

void ovm_llv_rt_leave(void)
{
	ovm_llv_current->depth--;
}

void ovm_llv_rt_trap(const char *what, const char *site)
{
	leave(ovm_llv_current,
	      ovm_error_format(OVM_ERROR_CORRUPT, "%s: the guest's data led to %s", site, what));
}

void ovm_llv_rt_fail(int code, uint64_t address, const char *text)
{
	struct ovm_error *err =
		address ? ovm_error_address((enum ovm_error_code)code, address, "%s", text)
			: ovm_error_format((enum ovm_error_code)code, "%s", text);

	leave(ovm_llv_current, err);
}

void *ovm_llv_rt_alloc(uint64_t size)
{
	struct ovm_llv *llv = ovm_llv_current;

	charge(llv, size);
	void *result = ovm_llv_arena_alloc(llv->arena, size);
	if (!result)
		leave(llv, ovm_error_no_memory());
	return result;
}

static void set_bytes(struct ovm_llv *llv, struct bytes *dst, const void *first, uint64_t first_len,
		      const void *second, uint64_t second_len)
{
	if (first_len > UINT64_MAX / 4 || second_len > UINT64_MAX / 4)
		charge(llv, UINT64_MAX);
	uint64_t len = first_len + second_len;
	uint8_t *data = ovm_llv_rt_alloc(len + 1);
	if (first_len)
		memcpy(data, first, first_len);
	if (second_len)
		memcpy(data + first_len, second, second_len);
	dst->data = len ? data : NULL;
	dst->len = len;
}

void ovm_llv_rt_bytes(void *dst, uint64_t address, uint64_t len)
{
	struct ovm_llv *llv = ovm_llv_current;
	struct bytes *bytes = dst;

	*bytes = (struct bytes){0};
	if (!len)
		return;
	if (len == UINT64_MAX)
		charge(llv, len);
	uint8_t *data = ovm_llv_rt_alloc(len + 1);
	struct ovm_error *err = read_guest(llv, address, data, len);
	if (err)
		leave(llv, err);
	*bytes = (struct bytes){data, len};
}

void ovm_llv_rt_host_bytes(void *dst, const void *src, uint64_t len)
{
	set_bytes(ovm_llv_current, dst, src, len, NULL, 0);
}

void ovm_llv_rt_concat(void *dst, const void *first, const void *second)
{
	const struct bytes *a = first, *b = second;

	set_bytes(ovm_llv_current, dst, a->data, a->len, b->data, b->len);
}

static void need_scratch(struct ovm_llv *llv, size_t size)
{
	if (size <= llv->scratch_size)
		return;
	size = size < 4096 ? 4096 : size * 2;
	char *grown = realloc(llv->scratch, size);
	if (!grown)
		leave(llv, ovm_error_no_memory());
	llv->scratch = grown;
	llv->scratch_size = size;
}

/* Read a string of at most @max bytes into the scratch buffer; the page behind it isn't touched. */
static size_t gather_string(struct ovm_llv *llv, uint64_t address, uint64_t max)
{
	size_t len = 0;

	while (len < max) {
		uint64_t room = OVM_LLV_PAGE_SIZE - (address + len) % OVM_LLV_PAGE_SIZE;
		uint64_t piece = max - len < room ? max - len : room;

		/* Most are short. */
		piece = piece < 256 ? piece : 256;
		charge(llv, piece);
		need_scratch(llv, len + piece);
		struct ovm_error *err = read_guest(llv, address + len, llv->scratch + len, piece);
		if (err)
			leave(llv, err);
		const char *end = memchr(llv->scratch + len, 0, piece);
		if (end)
			return end - llv->scratch;
		len += piece;
	}
	return len;
}

void ovm_llv_rt_string(void *dst, uint64_t address, uint64_t max)
{
	struct ovm_llv *llv = ovm_llv_current;
	size_t len = gather_string(llv, address, max);

	set_bytes(llv, dst, llv->scratch, len, NULL, 0);
}

void ovm_llv_rt_strcpy(char *dst, uint64_t address, uint64_t size)
{
	struct ovm_llv *llv = ovm_llv_current;

	if (!size)
		return;
	size_t len = gather_string(llv, address, size - 1);
	if (len)
		memcpy(dst, llv->scratch, len);
	memset(dst + len, 0, size - len);
}

int ovm_llv_rt_streq(uint64_t address, const char *text)
{
	struct ovm_llv *llv = ovm_llv_current;
	size_t len = strlen(text);

	return gather_string(llv, address, len + 1) == len && !memcmp(llv->scratch, text, len);
}

int ovm_llv_rt_readable(uint64_t address, uint64_t len)
{
	struct ovm_llv *llv = ovm_llv_current;

	for (uint64_t done = 0; done < len;) {
		uint64_t at = address + done;
		uint64_t room = OVM_LLV_PAGE_SIZE - at % OVM_LLV_PAGE_SIZE;
		uint8_t byte;

		charge(llv, 1);
		struct ovm_error *err =
			at < address ? not_kernel(at) : read_guest(llv, at, &byte, 1);
		if (err) {
			ovm_error_free(err);
			return 0;
		}
		done += room;
	}
	return 1;
}
