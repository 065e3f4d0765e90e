// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "vmi/cleanup.h"
#include "vmi/extract/record.h"
#include "vmi/text.h"

enum {
	/* Most processes a list has, and most bytes shown of a command line. */
	MAX_PROCESSES = 1 << 20,
	MAX_COMMAND_LINE = 4096,
};

/* What belongs to a list besides the array itself. */
struct list {
	struct ovm_process_list pub;
	char **strings;
	size_t nr_strings;
};

/* Keep @string (of the heap) with the list; "" stands for NULL. */
static const char *keep(struct list *list, char *string)
{
	if (!string)
		return "";
	list->strings[list->nr_strings++] = string;
	return string;
}

/* Make text of the guest's fit to be shown. */
static char *clean(const uint8_t *bytes, size_t len)
{
	char *text = malloc(len + 1);

	if (!text)
		return NULL;
	if (len)
		memcpy(text, bytes, len);
	text[len] = '\0';
	ovm_text_clean(text, len);
	return text;
}

/* Arguments as the process has them in its memory; NULL when they can't be read. */
static char *read_command_line(struct ovm *ovm, const struct ovm_rec_ps *rec)
{
	uint8_t buf[MAX_COMMAND_LINE];
	uint64_t pgd;

	if (!rec->pgd || rec->arg_end <= rec->arg_start)
		return NULL;
	size_t len = rec->arg_end - rec->arg_start;

	if (len > sizeof(buf))
		len = sizeof(buf);
	struct ovm_error *err = ovm_kernel_translate(ovm->kernel, rec->pgd, &pgd);

	if (!err)
		err = ovm_kernel_read_user(ovm->kernel, pgd, rec->arg_start, buf, len);
	if (err) {
		/* Swapped out, or gone meanwhile: the name has to do. */
		ovm_error_free(err);
		return NULL;
	}
	while (len && !buf[len - 1])
		len--;
	for (size_t i = 0; i < len; i++)
		if (!buf[i])
			buf[i] = ' ';
	return len ? clean(buf, len) : NULL;
}

static bool is_hex(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return true;
}

/*
 * Container engines name the cgroup after the container's id of 64 hexadecimal digits:
 * ".../docker-ID.scope", ".../cri-containerd-ID.scope", "/docker/ID", ".../libpod-ID.scope".
 */
static char *find_container(const char *cgroup)
{
	enum { ID_LEN = 64 };
	const char *end = cgroup + strlen(cgroup);

	for (const char *p = cgroup; end - p >= ID_LEN; p++) {
		if ((p == cgroup || p[-1] == '/' || p[-1] == '-') && is_hex(p, ID_LEN) &&
		    !isxdigit((unsigned char)p[ID_LEN]))
			return strndup(p, ID_LEN);
	}
	return NULL;
}

static void fill(struct ovm *ovm, struct list *list, const struct ovm_rec_ps *rec,
		 struct ovm_process *process)
{
	*process = (struct ovm_process){
		.pid = rec->pid,
		.parent_pid = rec->ppid,
		.namespace_pid = rec->vpid,
		.uid = rec->uid,
		.nr_threads = rec->nr_threads,
		.nr_frozen = rec->nr_frozen,
		.state = rec->state,
		.resident = rec->rss_pages << 12,
		.kernel_thread = rec->kernel_thread,
		.initial_namespaces = rec->in_initial_namespaces,
	};
	process->comm = keep(
		list, clean((const uint8_t *)rec->comm, strnlen(rec->comm, sizeof(rec->comm))));
	process->command_line = keep(list, read_command_line(ovm, rec));
	process->cgroup = keep(list, clean(rec->cgroup.data, rec->cgroup.len));
	process->container = keep(list, find_container(process->cgroup));
}

static int by_pid(const void *a, const void *b)
{
	const struct ovm_process *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void ovm_process_list_free(struct ovm_process_list *list)
{
	struct list *whole = (struct list *)list;

	if (!whole)
		return;
	for (size_t i = 0; i < whole->nr_strings; i++)
		free(whole->strings[i]);
	free(whole->strings);
	free(whole->pub.processes);
	free(whole);
}

static struct ovm_error *make_list(struct ovm *ovm, const struct ovm_rec_ps *recs,
				   struct ovm_process_list **ret)
{
	enum { STRINGS_PER_PROCESS = 4 };
	size_t nr = 0;

	for (const struct ovm_rec_ps *rec = recs; rec && nr < MAX_PROCESSES; rec = rec->next)
		nr++;
	struct list *list = calloc(1, sizeof(*list));

	if (list) {
		list->strings = calloc(nr * STRINGS_PER_PROCESS + 1, sizeof(*list->strings));
		list->pub.processes = calloc(nr + 1, sizeof(*list->pub.processes));
	}
	if (!list || !list->strings || !list->pub.processes) {
		ovm_process_list_free(&list->pub);
		return ovm_error_no_memory();
	}
	for (; list->pub.nr < nr; recs = recs->next)
		fill(ovm, list, recs, &list->pub.processes[list->pub.nr++]);
	qsort(list->pub.processes, list->pub.nr, sizeof(*list->pub.processes), by_pid);
	*ret = &list->pub;
	return NULL;
}

struct ovm_error *ovm_ps(struct ovm *ovm, struct ovm_process_list **ret)
{
	enum { ATTEMPTS = 5 };
	struct ovm_error *err = NULL;

	*ret = NULL;
	/*
	 * The guest runs on, and a list may change under the reader: then it is read again, but not
	 * if it took too long already.
	 */
	for (int i = 0; i < ATTEMPTS && !*ret && (!err || err->code != OVM_ERROR_BUDGET); i++) {
		struct ovm_extract_ps_args args = {0};
		struct ovm_llv_arena *arena;

		ovm_error_free(err);
		err = ovm_llv_arena_create(&arena);
		if (err)
			return err;
		err = ovm_llv_run(ovm->llv, "ovm_extract_ps", OVM_LLV_ENTRY(ovm_extract_ps), &args,
				  &ovm->budget, arena);
		if (!err)
			err = make_list(ovm, args.list, ret);
		ovm_llv_arena_destroy(arena);
	}
	return err;
}
