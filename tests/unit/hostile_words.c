// SPDX-License-Identifier: GPL-2.0-only
/* Which words of a guest the tool reads. */
#include <stdlib.h>

#include "hostile_private.h"

enum { TABLE_WORDS = 512 };

void hostile_add_word(struct words *words, uint64_t gpa, uint64_t address)
{
	if (words->nr < HOSTILE_MAX_WORDS)
		words->words[words->nr++] = (struct word){gpa & ~7ULL, address & ~7ULL};
}

static int compare_words(const void *a, const void *b)
{
	const struct word *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

void hostile_unique_words(struct words *words)
{
	size_t nr = 0;

	qsort(words->words, words->nr, sizeof(*words->words), compare_words);
	for (size_t i = 0; i < words->nr; i++)
		if (!nr || words->words[nr - 1].gpa != words->words[i].gpa)
			words->words[nr++] = words->words[i];
	words->nr = nr;
}

void hostile_watch_table(struct hostile *hostile, uint64_t table, unsigned int level)
{
	uint64_t entries[TABLE_WORDS];
	struct ovm_error *err =
		ovm_memory_read(hostile->snapshot.memory, table, entries, sizeof(entries));

	/* Of the top table, the lower half is the process' own. */
	for (size_t i = 0; !err && i < TABLE_WORDS / (level >= 4 ? 2 : 1); i++) {
		if (!entries[i])
			continue;
		hostile_add_word(&hostile->sets[HOSTILE_TABLES], table + 8 * i, 0);
		if (level > 1 && (entries[i] & 1) && !(entries[i] & 1 << 7))
			hostile_watch_table(hostile, entries[i] & 0x000ffffffffff000, level - 1);
	}
	ovm_error_free(err);
}

void hostile_watch_descriptors(struct hostile *hostile, const struct ovm_pages *pages)
{
	const uint64_t base = ovm_kernel_info(hostile->ovm.kernel)->vmemmap_base;
	const struct ovm_pages_file *file = &pages->files[0];
	const unsigned int page_size = 64;

	for (size_t i = 0; i < file->nr_runs; i++) {
		for (unsigned int word = 0; word < 4; word++) {
			uint64_t address = base + (file->runs[i].gpa >> 12) * page_size;
			uint64_t gpa;
			struct ovm_error *err =
				ovm_kernel_translate(hostile->ovm.kernel, address + 8 * word, &gpa);

			if (!err)
				hostile_add_word(&hostile->sets[HOSTILE_PAGES], gpa,
						 address + 8 * word);
			ovm_error_free(err);
		}
	}
}

void hostile_watch_kernel(struct hostile *hostile)
{
	static const char *const symbols[] = {
		"nr_swapfiles",	    "huge_zero_pfn",	 "xstate_offsets",    "tk_core",
		"timekeeper_data",  "jiffies",		 "hv_clock_boot",     "page_offset_base",
		"vmalloc_base",	    "vmemmap_base",	 "phys_base",	      "linux_banner",
		"__per_cpu_offset", "nr_cpu_ids",	 "init_uts_ns",	      "vmcoreinfo_note",
		"btf_modules",	    "__start_notes",	 "total_swap_pages",  "empty_zero_page",
		"init_top_pgt",	    "level3_kernel_pgt", "level2_kernel_pgt",
	};

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		uint64_t address, gpa;

		if (!ovm_kernel_symbol(hostile->ovm.kernel, symbols[i], &address))
			continue;
		for (unsigned int word = 0; word < (i < 20 ? 24 : TABLE_WORDS); word++) {
			struct ovm_error *err =
				ovm_kernel_translate(hostile->ovm.kernel, address + 8 * word, &gpa);

			if (!err)
				hostile_add_word(&hostile->sets[HOSTILE_KERNEL], gpa,
						 address + 8 * word);
			ovm_error_free(err);
		}
	}
}
