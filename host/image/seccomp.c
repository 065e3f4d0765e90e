// SPDX-License-Identifier: GPL-2.0-only
/*
 * seccomp.img: the filters of all threads (CRIU 3.17.1, criu/seccomp.c).
 *
 * A thread's image has the place of the filter that is to be installed first, the filter there the
 * place of the next one ("prev"), and so on. If all threads of a process have the same ones, the
 * leader's image alone has them, and it installs them for all.
 */
#include "seccomp.h"

#include <stdlib.h>

#include "file.h"
#include "pool.h"
#include "proto/seccomp.pb-c.h"
#include "write.h"

enum {
	MODE_STRICT = 1,
	MODE_FILTER = 2,
	/* Flags of seccomp(2). */
	FLAG_TSYNC = 1,
	FLAG_LOG = 2,
	INSN_SIZE = 8,
	MAX_INSNS = 4096,
	/* What the kernel allows in one thread; each filter counts for its own length and 4. */
	MAX_INSNS_OF_ALL = (1 << 18) / INSN_SIZE,
	PENALTY = 4,
};

const char *ovm_image_seccomp_problem(const struct ovm_rec_thread *thread)
{
	uint64_t total = 0;

	if (thread->seccomp_mode < MODE_FILTER)
		return NULL;
	if (thread->seccomp_mode > MODE_FILTER)
		return "is in an unknown seccomp mode";
	if (!thread->seccomp)
		return "has seccomp filters that are not known";
	for (const struct ovm_rec_seccomp *f = thread->seccomp; f; f = f->prev) {
		uint64_t nr = f->code.len / INSN_SIZE;

		if (f->listened)
			return "has a seccomp filter that asks another process "
			       "(SECCOMP_RET_USER_NOTIF), which CRIU can't restore";
		if (!nr || nr > MAX_INSNS || f->code.len % INSN_SIZE)
			return "has a seccomp filter that the guest's kernel doesn't keep as it "
			       "was installed (CONFIG_CHECKPOINT_RESTORE)";
		total += nr + PENALTY;
		if (total > MAX_INSNS_OF_ALL + PENALTY)
			return "has more seccomp filters than can be";
	}
	return NULL;
}

bool ovm_image_seccomp_is_common(const struct ovm_image_process *process)
{
	const struct ovm_rec_seccomp *last =
		process->nr_threads ? process->threads[0].rec->seccomp : NULL;

	if (!last)
		return false;
	for (size_t i = 0; i < process->nr_threads; i++) {
		const struct ovm_rec_thread *rec = process->threads[i].rec;

		if (rec->seccomp_mode != MODE_FILTER || !rec->seccomp ||
		    rec->seccomp->filter != last->filter)
			return false;
	}
	return true;
}

static uint64_t first_filter(const struct ovm_rec_thread *rec)
{
	const struct ovm_rec_seccomp *f = rec->seccomp;

	while (f && f->prev)
		f = f->prev;
	return f ? f->filter : 0;
}

bool ovm_image_seccomp_branches(const struct ovm_image_process *process)
{
	if (ovm_image_seccomp_is_common(process))
		return false;
	for (size_t i = 1; i < process->nr_threads; i++) {
		uint64_t filter = first_filter(process->threads[i].rec);

		if (filter && (filter == first_filter(process->threads[0].rec) ||
			       filter == first_filter(process->threads[i - 1].rec)))
			return true;
	}
	return false;
}

static int compare_keys(const void *left, const void *right)
{
	const struct ovm_image_seccomp_list *a = left, *b = right;
	uint64_t x = a->last->filter, y = b->last->filter;

	return x != y ? (x > y) - (x < y) : a->all_threads - b->all_threads;
}

static int compare_lists(const void *left, const void *right)
{
	const struct ovm_image_seccomp_list *a = left, *b = right;
	int order = compare_keys(a, b);

	return order ? order : (a->begin > b->begin) - (a->begin < b->begin);
}

static int compare_appearance(const void *left, const void *right)
{
	const struct ovm_image_seccomp_list *const *a = left, *const *b = right;

	return ((*a)->begin > (*b)->begin) - ((*a)->begin < (*b)->begin);
}

/* Counts when @table has no room yet. */
static void add_process(struct ovm_image_seccomp_table *table,
			const struct ovm_image_process *process)
{
	bool common = ovm_image_seccomp_is_common(process);

	for (size_t i = 0; i < process->nr_threads && !process->rec->zombie; i++) {
		const struct ovm_rec_thread *rec = process->threads[i].rec;

		if (rec->seccomp_mode != MODE_FILTER || (common && i))
			continue;
		if (table->lists)
			table->lists[table->nr] = (struct ovm_image_seccomp_list){
				.last = rec->seccomp,
				.all_threads = common,
				.begin = (uint32_t)table->nr,
			};
		table->nr++;
	}
}

static void add_set(struct ovm_image_seccomp_table *table, const struct ovm_image_set *set)
{
	table->nr = 0;
	for (size_t i = 0; i < set->nr_processes; i++)
		add_process(table, &set->processes[i]);
}

static struct ovm_image_seccomp_list **by_appearance(const struct ovm_image_seccomp_table *table)
{
	struct ovm_image_seccomp_list **ret =
		calloc(table->nr + 1, sizeof(struct ovm_image_seccomp_list *));

	for (size_t i = 0; ret && i < table->nr; i++)
		ret[i] = &table->lists[i];
	if (ret)
		qsort(ret, table->nr, sizeof(*ret), compare_appearance);
	return ret;
}

/* Keep the first of equal ones, and give places to what they hold in the order of appearance. */
static struct ovm_error *number(struct ovm_image_seccomp_table *table)
{
	size_t nr = 0;

	qsort(table->lists, table->nr, sizeof(*table->lists), compare_lists);
	for (size_t i = 0; i < table->nr; i++)
		if (!nr || compare_keys(&table->lists[nr - 1], &table->lists[i]))
			table->lists[nr++] = table->lists[i];
	table->nr = nr;
	struct ovm_image_seccomp_list **order = by_appearance(table);

	if (!order)
		return ovm_error_no_memory();
	for (size_t i = 0; i < nr && table->nr_filters < UINT32_MAX; i++) {
		order[i]->begin = (uint32_t)table->nr_filters;
		for (const struct ovm_rec_seccomp *f = order[i]->last; f; f = f->prev)
			order[i]->end = (uint32_t)table->nr_filters++;
	}
	free(order);
	return table->nr_filters < UINT32_MAX
		       ? NULL
		       : ovm_error_format(OVM_ERROR_BUDGET, "too many seccomp filters");
}

struct ovm_error *ovm_image_seccomp_table_create(const struct ovm_image_set *set,
						 struct ovm_image_seccomp_table **ret)
{
	struct ovm_image_seccomp_table *table = calloc(1, sizeof(*table));
	struct ovm_error *err = NULL;

	*ret = NULL;
	if (!table)
		return ovm_error_no_memory();
	add_set(table, set);
	table->lists = calloc(table->nr + 1, sizeof(*table->lists));
	if (table->lists) {
		add_set(table, set);
		err = number(table);
	} else {
		err = ovm_error_no_memory();
	}
	if (err) {
		ovm_image_seccomp_table_destroy(table);
		return err;
	}
	*ret = table;
	return NULL;
}

void ovm_image_seccomp_table_destroy(struct ovm_image_seccomp_table *table)
{
	if (!table)
		return;
	free(table->lists);
	free(table);
}

void ovm_image_fill_seccomp(ThreadCoreEntry *entry, const struct ovm_image_seccomp_table *table,
			    const struct ovm_rec_thread *rec, bool common, bool leader)
{
	if (rec->seccomp_mode == MODE_STRICT) {
		entry->has_seccomp_mode = true;
		entry->seccomp_mode = SECCOMP_MODE__strict;
	}
	if (rec->seccomp_mode != MODE_FILTER || (common && !leader))
		return;
	const struct ovm_image_seccomp_list key = {.last = rec->seccomp, .all_threads = common};
	const struct ovm_image_seccomp_list *list =
		bsearch(&key, table->lists, table->nr, sizeof(key), compare_keys);

	entry->has_seccomp_mode = entry->has_seccomp_filter = true;
	entry->seccomp_mode = SECCOMP_MODE__filter;
	entry->seccomp_filter = list->end;
}

static bool fill_list(SeccompEntry *entry, struct ovm_image_pool *pool,
		      const struct ovm_image_seccomp_list *list)
{
	for (const struct ovm_rec_seccomp *f = list->last; f; f = f->prev) {
		SeccompFilter *filter = ovm_image_new(pool, SeccompFilter);

		if (!filter)
			return false;
		seccomp_filter__init(filter);
		filter->filter.data = f->code.data;
		filter->filter.len = f->code.len;
		filter->has_flags = true;
		filter->flags = (f->log ? FLAG_LOG : 0u) | (list->all_threads ? FLAG_TSYNC : 0u);
		filter->has_prev = f != list->last;
		filter->prev = filter->has_prev ? (uint32_t)entry->n_seccomp_filters - 1 : 0;
		entry->seccomp_filters[entry->n_seccomp_filters++] = filter;
	}
	return true;
}

struct ovm_error *ovm_image_write_seccomp(const struct ovm_image_seccomp_table *table, int dir_fd)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	SeccompEntry entry = SECCOMP_ENTRY__INIT;
	struct ovm_image_seccomp_list **order = by_appearance(table);
	bool done = order;

	entry.seccomp_filters =
		ovm_image_alloc(&pool, table->nr_filters + 1, sizeof(SeccompFilter *));
	done = done && entry.seccomp_filters;
	for (size_t i = 0; i < table->nr && done; i++)
		done = fill_list(&entry, &pool, order[i]);
	free(order);
	if (!done)
		return ovm_error_no_memory();
	return ovm_image_file_write(dir_fd, OVM_IMAGE_SECCOMP, 0, &entry.base);
}
