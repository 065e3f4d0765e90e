// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recorded guests: everything that is known of their kernels is compared with
 * what they say themselves, and what was planted or spoilt must not be believed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot.h"
#include "test.h"
#include "vmi/kernel_private.h"

static const char none[] = "no snapshots: tests/guest/snapshot records them";

static struct ovm_kernel_options options_for(const struct test_snapshot *snapshot)
{
	return (struct ovm_kernel_options){.size = sizeof(struct ovm_kernel_options),
					   .hints = snapshot->hints,
					   .nr_hints = snapshot->nr_hints,
					   .no_scan = true};
}

static struct ovm_error *attach(const struct test_snapshot *snapshot, struct ovm_kernel **ret)
{
	const struct ovm_kernel_options options = options_for(snapshot);

	return ovm_kernel_attach(snapshot->memory, &options, ret);
}

static struct ovm_error *attach_by_scan(const struct test_snapshot *snapshot,
					struct ovm_kernel **ret)
{
	const struct ovm_kernel_options options = {.size = sizeof(options)};

	return ovm_kernel_attach(snapshot->memory, &options, ret);
}

static struct ovm_error *attach_cached(const struct test_snapshot *snapshot, const char *directory,
				       struct ovm_kernel **ret)
{
	struct ovm_kernel_options options = options_for(snapshot);

	options.cache_dir = directory;
	return ovm_kernel_attach(snapshot->memory, &options, ret);
}

static void for_each_snapshot(void (*fn)(const char *name))
{
	char names[TEST_SNAPSHOTS][64];
	size_t nr = test_snapshot_names(names);

	if (!nr)
		OVM_SKIP("%s", none);
	for (size_t i = 0; i < nr && !ovm_test_failed(); i++)
		fn(names[i]);
}

/* A copy of the first snapshot, which can be spoilt. */
static bool open_any_copy(struct test_snapshot *snapshot)
{
	char names[TEST_SNAPSHOTS][64];

	return test_snapshot_names(names) && test_snapshot_open_copy(snapshot, names[0]);
}

static uint8_t *at_address(const struct test_snapshot *snapshot, struct ovm_kernel *kernel,
			   uint64_t address)
{
	uint64_t gpa;
	struct ovm_error *err = ovm_kernel_translate(kernel, address, &gpa);

	if (!err)
		return test_snapshot_at(snapshot, gpa);
	ovm_error_free(err);
	return NULL;
}

static uint8_t *at_symbol(const struct test_snapshot *snapshot, struct ovm_kernel *kernel,
			  const char *name)
{
	uint64_t address;

	return ovm_kernel_symbol(kernel, name, &address) ? at_address(snapshot, kernel, address)
							 : NULL;
}

/* ---- Facts --------------------------------------------------------------- */

static void check_banner(const struct test_snapshot *snapshot, const struct ovm_kernel_info *info)
{
	size_t size;
	char *version = test_snapshot_file(snapshot, "guest/version", &size);

	ASSERT_TRUE(version);
	version[strcspn(version, "\n")] = 0;
	ASSERT_STREQ(info->banner, version);
	free(version);
	ASSERT_TRUE(strstr(info->banner, info->release) == info->banner + 14);
}

/* /sys/kernel/notes holds the build id. */
static void check_build_id(const struct test_snapshot *snapshot, const struct ovm_kernel_info *info)
{
	size_t size, len = strlen(info->build_id) / 2;
	char *notes = test_snapshot_file(snapshot, "guest/notes", &size);
	uint8_t id[64];

	ASSERT_TRUE(notes && len == 20);
	for (size_t i = 0; i < len; i++)
		ASSERT_EQ_U64(sscanf(info->build_id + 2 * i, "%2hhx", &id[i]), 1);
	ASSERT_TRUE(memmem(notes, size, id, len));
	free(notes);
}

/* "  06000000-06e01ef1 : Kernel code" */
static void check_place(const struct test_snapshot *snapshot, const struct ovm_kernel_info *info)
{
	size_t size;
	char *iomem = test_snapshot_file(snapshot, "guest/iomem", &size);
	char *line = iomem ? strstr(iomem, " : Kernel code") : NULL;

	ASSERT_TRUE(line);
	while (line > iomem && line[-1] != '\n')
		line--;
	ASSERT_EQ_U64(info->image_start - OVM_START_KERNEL_MAP + info->phys_base,
		      strtoull(line, NULL, 16));
	free(iomem);
}

static void check_facts(const char *name)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	uint64_t address, offset;

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));
	ASSERT_OK(attach(&snapshot, &kernel));

	const struct ovm_kernel_info *info = ovm_kernel_info(kernel);

	check_banner(&snapshot, info);
	check_build_id(&snapshot, info);
	check_place(&snapshot, info);
	ASSERT_EQ_U64(info->pgtable_levels, strstr(name, "la57") ? 5 : 4);
	ASSERT_EQ_U64(info->nr_cpu_ids, snapshot.nr_hints);
	ASSERT_EQ_U64(info->kaslr_offset, info->image_start - OVM_LINKED_TEXT);
	if (strstr(name, "nokaslr"))
		ASSERT_EQ_U64(info->kaslr_offset, 0);
	ASSERT_EQ_U64(info->sme_mask, 0);
	ASSERT_TRUE(ovm_kernel_symbol(kernel, "init_task", &address));
	ASSERT_STREQ(ovm_kernel_symbol_at(kernel, address + 5, &offset), "init_task");
	ASSERT_EQ_U64(offset, 5);
	ASSERT_TRUE(!ovm_kernel_symbol_at(kernel, info->image_start - 1, &offset));
	ASSERT_TRUE(!ovm_kernel_symbol_at(kernel, info->image_end, &offset));
	ASSERT_FALSE(ovm_kernel_symbol(kernel, "no such symbol", &address));
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel, is_found_through_a_vcpu)
{
	for_each_snapshot(check_facts);
}

static void check_scan(const char *name)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *hinted, *scanned;

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));
	ASSERT_OK(attach(&snapshot, &hinted));
	ASSERT_OK(attach_by_scan(&snapshot, &scanned));
	ASSERT_EQ_U64(ovm_kernel_info(hinted)->image_start, ovm_kernel_info(scanned)->image_start);
	ASSERT_EQ_U64(ovm_kernel_info(hinted)->pgd_gpa, ovm_kernel_info(scanned)->pgd_gpa);
	ovm_kernel_detach(hinted);
	ovm_kernel_detach(scanned);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel, is_found_by_a_scan_of_ram)
{
	for_each_snapshot(check_scan);
}

/* Every vCPU alone leads to the kernel, with page table isolation from user mode, too. */
static void check_each_hint(const char *name)
{
	struct test_snapshot snapshot;

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));
	for (size_t i = 0; i < 2 * snapshot.nr_hints && i < 4; i++) {
		struct ovm_kernel_hint hint = snapshot.hints[i / 2];
		struct ovm_kernel_options options = options_for(&snapshot);
		struct ovm_kernel *kernel;

		if (i % 2) {
			hint = (struct ovm_kernel_hint){.cr3 = hint.cr3 | 0x801};
			hint.cr3 |= strstr(name, "pti") ? 0x1000 : 0;
		}
		options.hints = &hint;
		options.nr_hints = 1;
		ASSERT_OK(ovm_kernel_attach(snapshot.memory, &options, &kernel));
		ovm_kernel_detach(kernel);
	}
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel, is_found_through_each_vcpu_alone)
{
	for_each_snapshot(check_each_hint);
}

/* ---- Types --------------------------------------------------------------- */

static void check_btf(const char *name)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	uint64_t start, stop;
	size_t size;

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));
	ASSERT_OK(attach(&snapshot, &kernel));

	char *expected = test_snapshot_file(&snapshot, "guest/btf/vmlinux", &size);
	char *found = malloc(size);

	ASSERT_TRUE(ovm_kernel_symbol(kernel, "__start_BTF", &start));
	ASSERT_TRUE(ovm_kernel_symbol(kernel, "__stop_BTF", &stop));
	ASSERT_EQ_U64(stop - start, size);
	ASSERT_OK(ovm_kernel_read(kernel, start, found, size));
	ASSERT_MEMEQ(found, expected, size);
	free(found);
	free(expected);
	ASSERT_TRUE(ovm_btf_nr_types(ovm_kernel_btf(kernel)) > 50000);
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel, types_are_the_guest_s_own)
{
	for_each_snapshot(check_btf);
}

/* Number of modules with types, and the name of one. */
static size_t list_module_btf(const struct test_snapshot *snapshot, char name[64])
{
	char path[640];
	size_t nr = 0;

	snprintf(path, sizeof(path), "%s/guest/btf", snapshot->directory);

	DIR *dir = opendir(path);

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "vmlinux"))
			continue;
		snprintf(name, 64, "%.63s", entry->d_name);
		nr++;
	}
	if (dir)
		closedir(dir);
	return nr;
}

static void check_modules(const char *name)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));
	ASSERT_OK(attach(&snapshot, &kernel));

	char module[64];
	size_t nr = list_module_btf(&snapshot, module);
	size_t nr_types = ovm_btf_nr_types(ovm_kernel_btf(kernel));

	if (nr) {
		ASSERT_OK(ovm_kernel_load_module_btf(kernel, module));
		ASSERT_EQ_U64(kernel->nr_modules, 1);
		ASSERT_TRUE(ovm_btf_nr_types(ovm_kernel_btf(kernel)) > nr_types);
		ASSERT_ERROR(ovm_kernel_load_module_btf(kernel, "no_such_module"),
			     OVM_ERROR_NOT_FOUND, "no_such_module");
	}
	ASSERT_OK(ovm_kernel_load_module_btf(kernel, NULL));
	ASSERT_EQ_U64(kernel->nr_modules, nr);
	/* Again adds nothing. */
	ASSERT_OK(ovm_kernel_load_module_btf(kernel, NULL));
	ASSERT_EQ_U64(kernel->nr_modules, nr);
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel, types_of_modules_are_added)
{
	for_each_snapshot(check_modules);
}

/* ---- Memory -------------------------------------------------------------- */

/* Each CPU's current task, through its per-CPU area, is a task by its own idle task's reckoning. */
static void check_memory(const char *name)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	uint64_t init_task, number, area, gpa, run, user;
	char direct[64], walked[64];

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));
	ASSERT_OK(attach(&snapshot, &kernel));
	ASSERT_TRUE(ovm_kernel_symbol(kernel, "cpu_number", &number) ||
		    ovm_kernel_symbol(kernel, "pcpu_hot", &number) ||
		    ovm_kernel_symbol(kernel, "__per_cpu_start", &number));
	for (unsigned int cpu = 0; cpu < ovm_kernel_info(kernel)->nr_cpu_ids; cpu++) {
		uint64_t this_offset, symbol;

		ASSERT_TRUE(ovm_kernel_per_cpu_offset(kernel, cpu, &area));
		ASSERT_TRUE(ovm_kernel_symbol(kernel, "this_cpu_off", &symbol));
		ASSERT_OK(ovm_kernel_read(kernel, symbol + area, &this_offset, 8));
		ASSERT_EQ_U64(this_offset, area);
	}
	ASSERT_FALSE(ovm_kernel_per_cpu_offset(kernel, 9999, &area));

	/* The same bytes in the image, in the direct map, and by page walk. */
	const struct ovm_kernel_info *info = ovm_kernel_info(kernel);

	ASSERT_TRUE(ovm_kernel_symbol(kernel, "init_task", &init_task));
	ASSERT_OK(ovm_kernel_read(kernel, init_task, direct, sizeof(direct)));
	ASSERT_OK(ovm_kernel_translate(kernel, init_task, &gpa));
	ASSERT_OK(ovm_kernel_read(kernel, info->page_offset_base + gpa, walked, sizeof(walked)));
	ASSERT_MEMEQ(direct, walked, sizeof(direct));
	ASSERT_OK(ovm_kernel_read_user(kernel, info->pgd_gpa, init_task, walked, sizeof(walked)));
	ASSERT_MEMEQ(direct, walked, sizeof(direct));
	ASSERT_OK(ovm_kernel_translate_in(kernel, info->pgd_gpa, init_task, &user, &run));
	ASSERT_EQ_U64(user, gpa);
	ASSERT_TRUE(run);

	const void *peeked = ovm_kernel_peek(kernel, init_task, sizeof(direct));

	ASSERT_TRUE(peeked);
	ASSERT_MEMEQ(direct, peeked, sizeof(direct));
	ASSERT_ERROR(ovm_kernel_read(kernel, 0x1000, direct, 8), OVM_ERROR_FAULT, "0x1000");
	ASSERT_ERROR(ovm_kernel_read(kernel, info->vmalloc_base - 64, direct, 8), OVM_ERROR_FAULT,
		     NULL);
	ASSERT_TRUE(!ovm_kernel_peek(kernel, 0x1000, 8));
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel, memory_is_read_by_arithmetic_and_by_page_walk)
{
	for_each_snapshot(check_memory);
}

OVM_TEST(kernel, faults_name_the_virtual_address)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	uint8_t buf[64];

	if (!open_any_copy(&snapshot))
		OVM_SKIP("%s", none);
	ASSERT_OK(attach(&snapshot, &kernel));

	const struct ovm_kernel_info *info = ovm_kernel_info(kernel);
	const uint64_t bad = info->page_offset_base + (1ULL << 40);
	const struct ovm_kernel_read reads[] = {
		{info->image_start, buf, 8},
		{bad, buf, 8},
		{info->image_start, buf, 8},
	};
	struct ovm_error *err = ovm_kernel_read_batch(kernel, reads, 3);

	ASSERT_TRUE(err && err->has_address);
	ASSERT_EQ_U64(err->address, bad);
	ovm_error_free(err);
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

/* ---- What was planted or spoilt ------------------------------------------ */

/* A note in a lower page than the real one, which leads elsewhere. */
static void plant_note(const struct test_snapshot *snapshot, uint64_t gpa, uint64_t from)
{
	uint8_t *page = test_snapshot_at(snapshot, gpa);

	memcpy(page, test_snapshot_at(snapshot, from), OVM_PAGE_SIZE);

	char *base = memmem(page, OVM_PAGE_SIZE, "NUMBER(phys_base)=", 18);

	/* Another digit at the end is 10 times as far. */
	ASSERT_TRUE(base);
	memcpy(base + 18, "12345678", 8);
}

OVM_TEST(kernel, planted_note_loses)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel, *again;
	size_t size;

	if (!open_any_copy(&snapshot))
		OVM_SKIP("%s", none);
	ASSERT_OK(attach(&snapshot, &kernel));

	char *where = test_snapshot_file(&snapshot, "guest/vmcoreinfo", &size);

	ASSERT_TRUE(where);
	for (uint64_t gpa = 0x1000; gpa < 0x10000; gpa += OVM_PAGE_SIZE)
		plant_note(&snapshot, gpa, strtoull(where, NULL, 16));
	free(where);
	ASSERT_OK(attach_by_scan(&snapshot, &again));
	ASSERT_EQ_U64(ovm_kernel_info(kernel)->image_start, ovm_kernel_info(again)->image_start);
	ovm_kernel_detach(kernel);
	ovm_kernel_detach(again);
	test_snapshot_close(&snapshot);
}

/* A page table in low memory that maps a copy of the image's read-only data instead of an image. */
static uint64_t plant_tables(const struct test_snapshot *snapshot, struct ovm_kernel *kernel)
{
	const uint64_t flags = OVM_PTE_PRESENT | OVM_PTE_WRITABLE;
	const struct ovm_kernel_info *info = ovm_kernel_info(kernel);
	const uint64_t address = info->image_start + (64 << 20);
	uint64_t *tables[6], gpa = 0x20000;

	for (unsigned int level = info->pgtable_levels; level >= 2; level--) {
		tables[level] = (uint64_t *)test_snapshot_at(snapshot, gpa);
		memset(tables[level], 0, OVM_PAGE_SIZE);
		if (level > 2)
			tables[level][ovm_pagetable_index(address, level)] =
				(gpa + OVM_PAGE_SIZE) | flags;
		gpa += OVM_PAGE_SIZE;
	}
	/* The true image, at another virtual address than its own. */
	for (uint64_t at = info->image_start; at < info->image_end; at += 2 << 20) {
		uint64_t page = at - OVM_START_KERNEL_MAP + info->phys_base;

		tables[2][ovm_pagetable_index(at + (64 << 20), 2)] =
			page | flags | OVM_PTE_PAGE_SIZE;
	}
	return 0x20000;
}

OVM_TEST(kernel, planted_page_table_loses)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel, *again;
	struct ovm_kernel_hint hints[2];

	if (!open_any_copy(&snapshot))
		OVM_SKIP("%s", none);
	ASSERT_OK(attach(&snapshot, &kernel));
	hints[0] = snapshot.hints[0];
	hints[0].lstar = 0;
	hints[0].cr3 = plant_tables(&snapshot, kernel);
	hints[1] = snapshot.hints[0];

	struct ovm_kernel_options options = {
		.size = sizeof(options), .hints = hints, .nr_hints = 2, .no_scan = true};

	ASSERT_OK(ovm_kernel_attach(snapshot.memory, &options, &again));
	ASSERT_EQ_U64(ovm_kernel_info(again)->pgd_gpa, ovm_kernel_info(kernel)->pgd_gpa);
	ovm_kernel_detach(again);
	/* With nothing else to go by, it is refused. */
	options.nr_hints = 1;
	ASSERT_ERROR(ovm_kernel_attach(snapshot.memory, &options, &again), OVM_ERROR_KERNEL,
		     "no Linux kernel");
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

/* Each anchor alone, spoilt, makes the kernel one that is not understood. */
OVM_TEST(kernel, that_contradicts_itself_is_refused)
{
	static const char *const symbols[] = {"phys_base",   "page_offset_base", "linux_banner",
					      "init_uts_ns", "init_task",	 "nr_cpu_ids",
					      "sme_me_mask", "__start_BTF",	 "init_top_pgt"};

	struct test_snapshot snapshot;
	struct ovm_kernel *kernel, *again;

	if (!open_any_copy(&snapshot))
		OVM_SKIP("%s", none);
	ASSERT_OK(attach(&snapshot, &kernel));
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		uint8_t *spoilt = at_symbol(&snapshot, kernel, symbols[i]);

		ASSERT_TRUE(spoilt);
		if (!strcmp(symbols[i], "init_task"))
			spoilt += kernel->offsets.task_comm;
		if (!strcmp(symbols[i], "init_uts_ns"))
			spoilt += kernel->offsets.uts_release;
		if (!strcmp(symbols[i], "init_top_pgt"))
			spoilt += 511 * 8;
		for (unsigned int j = 0; j < 8; j++)
			spoilt[j] ^= 0x55;
		ASSERT_ERROR(attach(&snapshot, &again), OVM_ERROR_KERNEL, "no Linux kernel");
		for (unsigned int j = 0; j < 8; j++)
			spoilt[j] ^= 0x55;
	}
	ASSERT_OK(attach(&snapshot, &again));
	ovm_kernel_detach(again);
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel, copies_of_types_elsewhere_do_not_count)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel, *again;

	if (!open_any_copy(&snapshot))
		OVM_SKIP("%s", none);
	ASSERT_OK(attach(&snapshot, &kernel));

	size_t nr_types = ovm_btf_nr_types(ovm_kernel_btf(kernel));
	uint8_t *types = at_symbol(&snapshot, kernel, "__start_BTF");

	/* A shorter copy in low memory, and one in the image's own data. */
	memcpy(test_snapshot_at(&snapshot, 0x1000), types, 0x8000);
	memcpy(at_symbol(&snapshot, kernel, "__bss_start"), types, 0x1000);
	ASSERT_OK(attach(&snapshot, &again));
	ASSERT_EQ_U64(ovm_btf_nr_types(ovm_kernel_btf(again)), nr_types);
	ovm_kernel_detach(kernel);
	ovm_kernel_detach(again);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel, endless_list_of_modules_is_noticed)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	uint64_t head, first;

	if (!test_snapshot_open_copy(&snapshot, "6.1"))
		OVM_SKIP("%s", snapshot.reason);
	ASSERT_OK(attach(&snapshot, &kernel));
	ASSERT_TRUE(ovm_kernel_symbol(kernel, "btf_modules", &head));
	ASSERT_OK(ovm_kernel_read(kernel, head, &first, sizeof(first)));
	memcpy(at_address(&snapshot, kernel, first), &first, sizeof(first));
	ASSERT_ERROR(ovm_kernel_load_module_btf(kernel, NULL), OVM_ERROR_BUDGET, "does not end");
	first = 0x123456789abc;
	memcpy(at_address(&snapshot, kernel, head), &first, sizeof(first));
	ASSERT_ERROR(ovm_kernel_load_module_btf(kernel, NULL), OVM_ERROR_FAULT, NULL);
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel, is_not_found_in_empty_memory)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);
	struct ovm_ram_range range = {.size = 64ULL << 30, .kind = OVM_RAM_MAPPED, .fd = fd};
	const struct ovm_kernel_hint hint = {.cr3 = 0x1000};
	struct ovm_kernel_options options = {
		.size = sizeof(options), .hints = &hint, .nr_hints = 1};
	struct ovm_memory *memory;
	struct ovm_kernel *kernel;
	struct stat st;

	ASSERT_TRUE(fd >= 0 && !ftruncate(fd, 64LL << 30));
	ASSERT_OK(ovm_memory_create(&range, 1, &memory));
	ASSERT_ERROR(ovm_kernel_attach(memory, &options, &kernel), OVM_ERROR_KERNEL,
		     "no Linux kernel");
	/* And looking allocated nothing. */
	ASSERT_TRUE(!fstat(fd, &st));
	ASSERT_EQ_U64(st.st_blocks, 0);
	ovm_memory_destroy(memory);
}

/* ---- The cache ----------------------------------------------------------- */

struct cache {
	char directory[64];
	char file[384];
};

static void make_cache(struct cache *cache)
{
	strcpy(cache->directory, "/tmp/ovm-test-cache-XXXXXX");
	ASSERT_TRUE(mkdtemp(cache->directory));
	cache->file[0] = 0;
}

/* The only file in it. */
static void find_file(struct cache *cache)
{
	DIR *dir = opendir(cache->directory);
	size_t nr = 0;

	ASSERT_TRUE(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(cache->file, sizeof(cache->file), "%s/%s", cache->directory,
			 entry->d_name);
		nr++;
	}
	closedir(dir);
	ASSERT_EQ_U64(nr, 1);
}

static void remove_cache(struct cache *cache)
{
	unlink(cache->file);
	rmdir(cache->directory);
}

static void same_symbols(const struct ovm_kernel *a, const struct ovm_kernel *b)
{
	ASSERT_EQ_U64(a->kallsyms->nr, b->kallsyms->nr);
	ASSERT_EQ_U64(a->kallsyms->pool_size, b->kallsyms->pool_size);
	ASSERT_MEMEQ(a->kallsyms->pool, b->kallsyms->pool, a->kallsyms->pool_size);
	ASSERT_MEMEQ(a->kallsyms->addresses, b->kallsyms->addresses, 8 * a->kallsyms->nr);
	ASSERT_TRUE(ovm_kallsyms_find(a->kallsyms, "init_task") ==
		    ovm_kallsyms_find(b->kallsyms, "init_task"));
}

static void check_cache(const char *name)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *cold, *warm;
	struct cache cache;

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));
	make_cache(&cache);
	ASSERT_OK(attach_cached(&snapshot, cache.directory, &cold));
	find_file(&cache);
	ASSERT_TRUE(cold->btf);
	ASSERT_OK(attach_cached(&snapshot, cache.directory, &warm));
	/* Only an attach without the cache has loaded types. */
	ASSERT_TRUE(!warm->btf);
	same_symbols(cold, warm);
	ASSERT_STREQ(ovm_kernel_info(cold)->build_id, ovm_kernel_info(warm)->build_id);
	ASSERT_TRUE(ovm_kernel_btf(warm));
	ovm_kernel_detach(cold);
	ovm_kernel_detach(warm);
	remove_cache(&cache);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel_cache, gives_the_same_kernel)
{
	for_each_snapshot(check_cache);
}

/* KASLR put the same kernel elsewhere. */
OVM_TEST(kernel_cache, moves_with_the_image)
{
	struct test_snapshot one, other;
	struct ovm_kernel *cold, *warm;
	struct cache cache;

	if (!test_snapshot_open(&one, "6.1") || !test_snapshot_open(&other, "6.1-up-nokaslr"))
		OVM_SKIP("%s%s", one.reason, other.reason);
	make_cache(&cache);
	ASSERT_OK(attach_cached(&one, cache.directory, &cold));
	find_file(&cache);
	ovm_kernel_detach(cold);
	ASSERT_OK(attach_cached(&other, cache.directory, &warm));
	ASSERT_TRUE(!warm->btf);
	ASSERT_OK(attach(&other, &cold));
	same_symbols(cold, warm);
	ovm_kernel_detach(cold);
	ovm_kernel_detach(warm);
	remove_cache(&cache);
	test_snapshot_close(&one);
	test_snapshot_close(&other);
}

/* A guest may make up a build id each time. */
OVM_TEST(kernel_cache, makes_room)
{
	enum { NR = 70 };
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	struct cache cache;
	char path[128];
	unsigned int left = 0;

	if (!open_any_copy(&snapshot))
		OVM_SKIP("%s", none);
	make_cache(&cache);
	for (unsigned int i = 0; i < NR; i++) {
		const struct timespec times[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};

		snprintf(path, sizeof(path), "%s/%02x-1000.symbols", cache.directory, i);
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		ASSERT_TRUE(!utimensat(AT_FDCWD, path, times, 0));
	}
	ASSERT_OK(attach_cached(&snapshot, cache.directory, &kernel));
	ovm_kernel_detach(kernel);
	for (unsigned int i = 0; i < NR; i++) {
		snprintf(path, sizeof(path), "%s/%02x-1000.symbols", cache.directory, i);
		ASSERT_TRUE(i || access(path, F_OK));
		left += !unlink(path);
	}
	ASSERT_EQ_U64(left, NR - 1);
	find_file(&cache);
	remove_cache(&cache);
	test_snapshot_close(&snapshot);
}

/* Spoil a file at several places, and by cutting it off. */
OVM_TEST(kernel_cache, that_is_damaged_is_made_again)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	struct cache cache;
	struct stat st;

	if (!open_any_copy(&snapshot))
		OVM_SKIP("%s", none);
	make_cache(&cache);
	ASSERT_OK(attach_cached(&snapshot, cache.directory, &kernel));
	ovm_kernel_detach(kernel);
	find_file(&cache);
	for (unsigned int i = 0; i < 12; i++) {
		int fd = open(cache.file, O_RDWR | O_CLOEXEC);
		uint8_t byte;

		ASSERT_TRUE(fd >= 0 && !fstat(fd, &st));

		off_t at = i < 8 ? (off_t)i * 29 : st.st_size * i / 12;

		if (i == 11) {
			ASSERT_TRUE(!ftruncate(fd, st.st_size - 1));
		} else {
			ASSERT_TRUE(pread(fd, &byte, 1, at) == 1);
			byte ^= 0x10;
			ASSERT_TRUE(pwrite(fd, &byte, 1, at) == 1);
		}
		close(fd);
		ASSERT_OK(attach_cached(&snapshot, cache.directory, &kernel));
		/* It was not used, */
		ASSERT_TRUE(kernel->btf);
		ovm_kernel_detach(kernel);
		/* and is good again. */
		ASSERT_OK(attach_cached(&snapshot, cache.directory, &kernel));
		ASSERT_TRUE(!kernel->btf);
		ovm_kernel_detach(kernel);
	}
	remove_cache(&cache);
	test_snapshot_close(&snapshot);
}

/* A guest that has another's build id and other symbols gets nothing from it, and leaves nothing.
 */
OVM_TEST(kernel_cache, is_not_poisoned_by_another_guest)
{
	struct test_snapshot honest, hostile;
	struct ovm_kernel *kernel;
	struct cache cache;

	if (!open_any_copy(&honest) || !open_any_copy(&hostile))
		OVM_SKIP("%s", none);
	ASSERT_OK(attach(&hostile, &kernel));

	/* Turn the letters of a token round: many symbols get other names. */
	const struct ovm_kallsyms_layout *layout = &kernel->kallsyms->layout;
	char *tokens = (char *)at_address(&hostile, kernel, layout->address + layout->token_table);
	char *token = memmem(tokens, layout->token_table_size, "get", 3);

	ASSERT_TRUE(token);
	memcpy(token, "teg", 3);
	ovm_kernel_detach(kernel);

	make_cache(&cache);
	ASSERT_OK(attach_cached(&hostile, cache.directory, &kernel));
	ovm_kernel_detach(kernel);
	find_file(&cache);
	ASSERT_OK(attach_cached(&honest, cache.directory, &kernel));
	ASSERT_TRUE(kernel->btf);

	struct ovm_kernel *plain;

	ASSERT_OK(attach(&honest, &plain));
	same_symbols(kernel, plain);
	ovm_kernel_detach(kernel);
	ovm_kernel_detach(plain);
	remove_cache(&cache);
	test_snapshot_close(&honest);
	test_snapshot_close(&hostile);
}

OVM_TEST(kernel_cache, of_others_is_not_trusted)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;
	struct cache cache;

	if (!open_any_copy(&snapshot))
		OVM_SKIP("%s", none);
	make_cache(&cache);
	ASSERT_OK(attach_cached(&snapshot, cache.directory, &kernel));
	ovm_kernel_detach(kernel);
	find_file(&cache);
	ASSERT_TRUE(!chmod(cache.file, 0666));
	ASSERT_OK(attach_cached(&snapshot, cache.directory, &kernel));
	ASSERT_TRUE(kernel->btf);
	ovm_kernel_detach(kernel);
	remove_cache(&cache);
	test_snapshot_close(&snapshot);
}

OVM_TEST(kernel_cache, is_not_needed)
{
	struct test_snapshot snapshot;
	struct ovm_kernel *kernel;

	if (!open_any_copy(&snapshot))
		OVM_SKIP("%s", none);
	ASSERT_OK(attach_cached(&snapshot, "/proc/no/such/directory", &kernel));
	ovm_kernel_detach(kernel);
	test_snapshot_close(&snapshot);
}
