// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/copier.h"
#include "host/state.h"
#include "host/state_images.h"
#include "hostile_private.h"
#include "vmi/cleanup.h"

enum {
	FIRST_PAGES_ID = 1,
	/* More may be asked for, but is not tried each time. */
	MAX_WRITTEN_PAGES = 1 << 14,
};

/* ---- reading -----------------------------------------------------------------------------------
 */

static struct ovm_error *read_guest(void *arg, uint64_t address, void *buf, size_t len)
{
	struct hostile *hostile = arg;

	for (size_t i = 0; hostile->watching && i < len; i += 8) {
		uint64_t gpa;
		struct ovm_error *err =
			ovm_kernel_translate(hostile->ovm.kernel, address + i, &gpa);

		if (!err)
			hostile_add_word(hostile->watching, gpa, address + i);
		ovm_error_free(err);
	}
	return ovm_kernel_read(hostile->ovm.kernel, address, buf, len);
}

static const void *peek_guest(void *arg, uint64_t address, size_t len)
{
	struct hostile *hostile = arg;

	return hostile->watching ? NULL : ovm_kernel_peek(hostile->ovm.kernel, address, len);
}

static bool find_symbol(void *arg, const char *name, uint64_t *ret)
{
	struct hostile *hostile = arg;

	return ovm_kernel_symbol(hostile->ovm.kernel, name, ret);
}

/* ---- what a dump does ------------------------------------------------------------------------ */

/* Names of recorded processes are ASCII; anything else in a text is a lie that got through. */
static void look_at_text(struct hostile_result *ret, const char *text)
{
	for (const char *c = text; *c; c++)
		if ((uint8_t)*c < ' ' && *c != '\n')
			snprintf(ret->bad_text, sizeof(ret->bad_text), "%s", text);
}

static bool succeeded(struct hostile_result *ret, struct ovm_error *err, unsigned int stage)
{
	if (!err) {
		ret->stages |= stage;
		return true;
	}
	look_at_text(ret, err->message);
	ovm_error_free(err);
	return false;
}

static void list_processes(struct ovm *ovm, struct hostile_result *ret)
{
	struct ovm_process_list *list;

	if (!succeeded(ret, ovm_ps(ovm, &list), HOSTILE_LISTED))
		return;
	for (size_t i = 0; i < list->nr; i++) {
		look_at_text(ret, list->processes[i].comm);
		look_at_text(ret, list->processes[i].command_line);
		look_at_text(ret, list->processes[i].cgroup);
	}
	ovm_process_list_free(list);
}

struct patching {
	const struct hostile *hostile;
	const struct ovm_pages *pages;
};

static struct ovm_error *patch(void *arg, const struct ovm_rec_process *process, uint64_t address,
			       const void *bytes, size_t len, bool *done)
{
	const struct patching *patching = arg;

	return ovm_pages_patch(patching->pages, patching->hostile->dir_fd, process, address, bytes,
			       len, done);
}

/* As of a guest that runs, and then of one that is paused. */
static struct ovm_error *copy_pages(struct hostile *hostile, struct ovm_pages *pages)
{
	const struct ovm_copier_options options = {
		.engine = hostile->ovm.engine,
		.dir_fd = hostile->dir_fd,
		.first_id = FIRST_PAGES_ID,
	};
	struct ovm_copier *copier = NULL;
	struct ovm_copier_stats stats;
	bool done;
	struct ovm_error *err = ovm_copier_create(&options, &copier);

	if (!err)
		err = ovm_copier_round(copier, pages, &stats);
	if (!err)
		err = ovm_copier_finish(copier, pages, UINT64_MAX, &stats, &done);
	if (!err)
		err = ovm_copier_arrange(copier);
	ovm_copier_destroy(copier);
	return err;
}

static void write_images(struct hostile *hostile, struct ovm_state *state, struct ovm_pages *pages,
			 struct hostile_result *ret)
{
	const uint64_t nr_pages = pages->private.written + pages->shmem.written;
	struct patching patching = {hostile, pages};
	struct ovm_state_images images;

	ret->output = nr_pages << 12;
	if (nr_pages > MAX_WRITTEN_PAGES)
		return;

	struct ovm_error *err = copy_pages(hostile, pages);

	if (!err)
		err = ovm_state_apply_patches(&hostile->ovm, state, patch, &patching);
	if (!err)
		err = ovm_state_images_init(state, pages, &images);
	if (!err) {
		err = ovm_image_write(&images.set, hostile->dir_fd);
		ovm_state_images_deinit(&images);
	}
	succeeded(ret, err, HOSTILE_WRITTEN);
}

static bool savable(const struct hostile *hostile, const struct ovm_state *state,
		    struct hostile_result *ret)
{
	const struct ovm_pages none = {0};
	struct ovm_state_images images;
	struct ovm_error *err = ovm_state_images_init(state, &none, &images);

	if (!err) {
		images.set.nr_cpus = (uint32_t)hostile->vcpus->nr;
		err = ovm_image_check(&images.set);
		ovm_state_images_deinit(&images);
	}
	return succeeded(ret, err, HOSTILE_SAVABLE);
}

/* Goes on behind most of what makes a dump stop, so that what comes then is tried, too. */
static void dump(struct hostile *hostile, struct hostile_result *ret)
{
	struct ovm *ovm = &hostile->ovm;
	struct ovm_state state = {.vcpus = hostile->vcpus, .clock = hostile->clock};
	const struct ovm_kernel_counters *counters = &hostile->snapshot.counters;
	struct ovm_rec_quiescence q;
	struct ovm_pages pages;

	if (!succeeded(ret, ovm_llv_arena_create(&state.arena), 0))
		return;
	if (succeeded(ret, ovm_state_look(ovm, hostile->pid, state.arena, &q), HOSTILE_LOOKED))
		succeeded(ret, ovm_state_check(ovm, &q, state.vcpus), HOSTILE_CHECKED);
	succeeded(ret, ovm_kernel_read_clock(ovm->kernel, counters, &state.clock), 0);
	if (succeeded(ret, ovm_state_fill(ovm, hostile->pid, &state), HOSTILE_FILLED)) {
		bool good = savable(hostile, &state, ret);

		if (succeeded(ret,
			      ovm_pages_look(ovm->engine, ovm->kernel, state.tree, NULL, NULL,
					     &pages),
			      HOSTILE_PLANNED)) {
			if (!hostile->sets[HOSTILE_PAGES].nr)
				hostile_watch_descriptors(hostile, &pages);
			if (good)
				write_images(hostile, &state, &pages, ret);
			ovm_pages_deinit(&pages);
		}
	}
	if (!hostile->sets[HOSTILE_TABLES].nr && state.nr_processes && state.processes[0].pgd)
		hostile_watch_table(hostile, state.processes[0].pgd,
				    ovm_kernel_info(ovm->kernel)->pgtable_levels);
	state.vcpus = NULL;
	ovm_state_deinit(&state);
}

static void freeze(struct hostile *hostile, struct hostile_result *ret)
{
	succeeded(ret, hostile_freeze(hostile, hostile->pid), HOSTILE_FROZEN_ONE);
	succeeded(ret, hostile_freeze(hostile, 0), HOSTILE_FROZEN_ALL);
}

static void empty_directory(int dir_fd)
{
	DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (entry->d_name[0] != '.')
			unlinkat(dir_fd, entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* ---- lies ------------------------------------------------------------------------------------ */

static uint64_t lie(const struct hostile *hostile, const struct hostile_lie *lie,
		    const struct words *words, const struct word *word, uint64_t truth)
{
	uint64_t value = (uint64_t)lie->high << 32 | lie->low;
	const struct word *other = &words->words[lie->low % words->nr];
	const uint64_t *place = (const uint64_t *)test_snapshot_at(&hostile->snapshot, other->gpa);

	switch (lie->how % 14) {
	case 0:
		return value;
	case 1: /* a pointer to something else that is read */
		return other->address + (lie->high & 0xf8);
	case 2: /* itself */
		return word->address;
	case 3:
		return truth ^ 1ULL << value % 64;
	case 4:
		return truth + (uint64_t)(int64_t)(int8_t)lie->low * 8;
	case 5:
		return 0;
	case 6:
		return UINT64_MAX;
	case 7: /* user space of the guest, or the tool's own memory */
		return lie->high & 1 ? value >> 17 : (uint64_t)(uintptr_t)hostile;
	case 8: /* another one's value */
		return *place;
	case 9:
		return 1ULL << value % 64;
	case 10:
		return (truth & 0xffffffff00000000) | lie->low;
	case 11:
		return (truth & 0x00000000ffffffff) | (uint64_t)lie->low << 32;
	case 12:
		return (truth & ~0xffULL) | (lie->low & 0xff);
	default: /* another one's address, tagged as trees do */
		return (other->address & ~0xffULL) | (lie->high & 0xff);
	}
}

static void tell_lies(struct hostile *hostile, const struct hostile_lie *lies, size_t nr)
{
	for (size_t i = 0; i < nr && hostile->nr_changes < HOSTILE_MAX_LIES; i++) {
		const struct words *words = &hostile->sets[lies[i].set % HOSTILE_NR_SETS];
		const struct word *word = &words->words[lies[i].word % words->nr];
		uint64_t *place = (uint64_t *)test_snapshot_at(&hostile->snapshot, word->gpa);

		hostile->changes[hostile->nr_changes++] = (struct change){place, *place};
		*place = lie(hostile, &lies[i], words, word, *place);
	}
}

static void take_back(struct hostile *hostile)
{
	while (hostile->nr_changes) {
		const struct change *change = &hostile->changes[--hostile->nr_changes];

		*change->place = change->old;
	}
}

/* What the machine does besides doesn't count. */
static uint64_t cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void hostile_round(struct hostile *hostile, const struct hostile_lie *lies, size_t nr,
		   struct hostile_result *ret)
{
	uint64_t start = cpu_ms();

	memset(ret, 0, sizeof(*ret));
	tell_lies(hostile, lies, nr);
	list_processes(&hostile->ovm, ret);
	dump(hostile, ret);
	freeze(hostile, ret);
	ret->milliseconds = cpu_ms() - start;
	empty_directory(hostile->dir_fd);
	take_back(hostile);
}

void hostile_freeze_only(struct hostile *hostile, struct hostile_result *ret)
{
	uint64_t start = cpu_ms();

	memset(ret, 0, sizeof(*ret));
	freeze(hostile, ret);
	ret->milliseconds = cpu_ms() - start;
}

/* ---- opening --------------------------------------------------------------------------------- */

static struct ovm_error *attach(struct hostile *hostile, struct ovm *ovm)
{
	const struct ovm_kernel_options options = {.size = sizeof(options),
						   .hints = hostile->snapshot.hints,
						   .nr_hints = hostile->snapshot.nr_hints,
						   .no_scan = true};
	struct ovm_llv_options llv_options = {.size = sizeof(llv_options),
					      .arg = hostile,
					      .peek = peek_guest,
					      .read = read_guest,
					      .symbol = find_symbol};
	struct ovm_btf *btf;
	struct ovm_error *err = ovm_kernel_attach(hostile->snapshot.memory, &options, &ovm->kernel);

	if (!err)
		err = ovm_kernel_load_btf(ovm->kernel, &btf);
	if (err)
		return err;
	llv_options.btf = btf;
	return ovm_llv_create(&llv_options, &ovm->llv);
}

static void detach(struct ovm *ovm)
{
	ovm_llv_destroy(ovm->llv);
	ovm_kernel_detach(ovm->kernel);
	ovm->llv = NULL;
	ovm->kernel = NULL;
}

void hostile_attach(struct hostile *hostile, const struct hostile_lie *lies, size_t nr,
		    struct hostile_result *ret)
{
	struct ovm known = hostile->ovm;
	uint64_t start = cpu_ms();

	memset(ret, 0, sizeof(*ret));
	tell_lies(hostile, lies, nr);
	hostile->ovm.kernel = NULL;
	hostile->ovm.llv = NULL;
	if (succeeded(ret, attach(hostile, &hostile->ovm), 0)) {
		succeeded(ret, ovm_kernel_load_module_btf(hostile->ovm.kernel, NULL), 0);
		list_processes(&hostile->ovm, ret);
	}
	detach(&hostile->ovm);
	hostile->ovm = known;
	ret->milliseconds = cpu_ms() - start;
	take_back(hostile);
}

/* The process that was recorded for this, else the first one. */
static struct ovm_error *find_process(struct hostile *hostile)
{
	struct ovm_process_list *list;
	struct ovm_error *err = ovm_ps(&hostile->ovm, &list);

	if (err)
		return err;
	hostile->pid = 1;
	for (size_t i = 0; i < list->nr; i++)
		if (!strcmp(list->processes[i].comm, "subject"))
			hostile->pid = list->processes[i].pid;
	ovm_process_list_free(list);
	return NULL;
}

static struct ovm_error *watch(struct hostile *hostile)
{
	struct hostile_result result = {0};

	hostile->watching = &hostile->sets[HOSTILE_LIST];
	list_processes(&hostile->ovm, &result);
	hostile->watching = &hostile->sets[HOSTILE_PROCESS];
	dump(hostile, &result);
	hostile->watching = &hostile->sets[HOSTILE_FREEZER];
	freeze(hostile, &result);
	hostile->watching = NULL;
	hostile_watch_kernel(hostile);
	empty_directory(hostile->dir_fd);
	for (int set = 0; set < HOSTILE_NR_SETS; set++) {
		hostile_unique_words(&hostile->sets[set]);
		if (!hostile->sets[set].nr)
			return ovm_error_format(OVM_ERROR_USAGE, "nothing to falsify in set %d",
						set);
	}
	return NULL;
}

static struct ovm_error *set_up(struct hostile *hostile)
{
	struct ovm_vcpu_context context = {.nr_vcpus = (unsigned int)hostile->snapshot.nr_hints};
	size_t size = 0;
	_cleanup_free_ char *devices = test_snapshot_file(&hostile->snapshot, "devices", &size);
	const struct ovm_engine_options engine_options = {.size = sizeof(engine_options),
							  .nr_threads = 2};
	struct ovm *ovm = &hostile->ovm;

	for (int set = 0; set < HOSTILE_NR_SETS; set++) {
		hostile->sets[set].words = calloc(HOSTILE_MAX_WORDS, sizeof(struct word));
		if (!hostile->sets[set].words)
			return ovm_error_no_memory();
	}
	ovm->ghost_limit = OVM_DEFAULT_GHOST_LIMIT;
	ovm->budget =
		(struct ovm_llv_budget){.steps = 3000000, .bytes = 64 << 20, .milliseconds = 20000};
	hostile->freezer = hostile_freezer_create();
	if (!hostile->freezer)
		return ovm_error_no_memory();
	strcpy(hostile->directory, "/dev/shm/ovm-hostile-XXXXXX");
	if (!mkdtemp(hostile->directory))
		return ovm_error_format(OVM_ERROR_OUTPUT, "can't make a directory");
	hostile->dir_fd = open(hostile->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	struct ovm_error *err = attach(hostile, ovm);

	if (!err)
		err = ovm_vcpus_parse((const uint8_t *)devices, size, false, &context,
				      &hostile->vcpus);
	if (!err)
		err = ovm_engine_create(&engine_options, &ovm->engine);
	if (!err)
		err = ovm_engine_attach(ovm->engine, hostile->snapshot.memory);
	if (!err)
		err = find_process(hostile);
	return err ? err : watch(hostile);
}

bool hostile_open(const char *name, struct hostile **ret, char *reason, size_t reason_size)
{
	struct hostile *hostile = calloc(1, sizeof(*hostile));

	*ret = NULL;
	if (!hostile)
		return false;
	hostile->dir_fd = -1;
	if (!test_snapshot_open_copy(&hostile->snapshot, name)) {
		snprintf(reason, reason_size, "%s", hostile->snapshot.reason);
		hostile_close(hostile);
		return false;
	}

	struct ovm_error *err = set_up(hostile);

	if (err) {
		snprintf(reason, reason_size, "%s", err->message);
		ovm_error_free(err);
		hostile_close(hostile);
		return false;
	}
	*ret = hostile;
	return true;
}

void hostile_close(struct hostile *hostile)
{
	if (!hostile)
		return;
	ovm_engine_destroy(hostile->ovm.engine);
	detach(&hostile->ovm);
	ovm_vcpus_free(hostile->vcpus);
	hostile_freezer_destroy(hostile->freezer);
	for (int set = 0; set < HOSTILE_NR_SETS; set++)
		free(hostile->sets[set].words);
	if (hostile->dir_fd >= 0) {
		empty_directory(hostile->dir_fd);
		close(hostile->dir_fd);
		rmdir(hostile->directory);
	}
	test_snapshot_close(&hostile->snapshot);
	free(hostile);
}

size_t hostile_words(const struct hostile *hostile, enum hostile_set set)
{
	return hostile->sets[set].nr;
}

uint64_t hostile_ram_size(const struct hostile *hostile)
{
	return ovm_engine_ram_size(hostile->ovm.engine);
}
