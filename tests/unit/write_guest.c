// SPDX-License-Identifier: GPL-2.0-only
#include "write_guest.h"

#include <bpf/btf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	IMAGE_GPA = 0x1000,
	IMAGE_PAGES = 2,
	/* Tables: the top one, and three each for what is mapped. */
	PGD_GPA = 0x4000,
	VMALLOC_GPA = 0x5000,
	TOP_GPA = 0x8000,
	TABLE_FLAGS = 0x63,
	HASH_SLOTS = 64,
	POOL_BYTES = 512,
	MAX_SYMBOLS = 16,
	RAM_BYTES = (WRITE_LOW_PAGES + WRITE_HIGH_PAGES) * WRITE_PAGE,
};

static const char banner[] = "Linux version 6.1.0-made-up (nobody@nowhere)\n";

/* ---- types ----------------------------------------------------------------------------------- */

struct ids {
	int u32, u64, pointer, spinlock, raw_spinlock, sigpending, comm;
};

/* A structure with a single member, at its start. */
static int wrap(struct btf *btf, const char *name, int size, const char *member, int type)
{
	int id = btf__add_struct(btf, name, (unsigned int)size);

	btf__add_field(btf, member, type, 0, 0);
	return id;
}

static void add_basics(struct btf *btf, struct ids *ids)
{
	int u8 = btf__add_int(btf, "char", 1, 0);

	ids->u32 = btf__add_int(btf, "unsigned int", 4, 0);
	ids->u64 = btf__add_int(btf, "long unsigned int", 8, 0);
	ids->pointer = btf__add_ptr(btf, 0);
	ids->comm = btf__add_array(btf, ids->u32, u8, 16);
	int atomic = wrap(btf, "atomic_t_struct", 4, "counter", ids->u32);
	int raw_lock = wrap(btf, "qspinlock", 4, "val", atomic);

	ids->raw_spinlock = wrap(btf, "raw_spinlock", 4, "raw_lock", raw_lock);
	ids->spinlock = wrap(btf, "spinlock", 4, "rlock", ids->raw_spinlock);
	int words = btf__add_array(btf, ids->u32, ids->u64, 1);
	int set = wrap(btf, "sigset", 8, "sig", words);

	ids->sigpending = btf__add_struct(btf, "sigpending", 24);
	btf__add_field(btf, "signal", set, 16 * 8, 0);
}

static void add_task(struct btf *btf, const struct ids *ids, bool bad)
{
	int info = btf__add_struct(btf, "thread_info", 24);

	btf__add_field(btf, "flags", ids->u64, 0, 0);
	btf__add_field(btf, "cpu", ids->u32, TASK_CPU * 8, 0);
	btf__add_struct(btf, "task_struct", TASK_SIZE);
	btf__add_field(btf, "thread_info", info, TASK_TIF_FLAGS * 8, 0);
	btf__add_field(btf, "__state", ids->u32, TASK_STATE * 8, 0);
	btf__add_field(btf, "flags", ids->u32, TASK_FLAGS * 8, 0);
	btf__add_field(btf, "on_cpu", ids->u32, TASK_ON_CPU * 8, 0);
	btf__add_field(btf, "on_rq", ids->u32, TASK_ON_RQ * 8, 0);
	btf__add_field(btf, "exit_state", ids->u32, TASK_EXIT_STATE * 8, 0);
	btf__add_field(btf, "jobctl", ids->u64, bad ? TASK_SIZE * 8 : TASK_JOBCTL * 8, 0);
	btf__add_field(btf, "frozen", ids->u32, TASK_BITS * 8 + 5, 1);
	btf__add_field(btf, "several", ids->u32, TASK_BITS * 8 + 6, 3);
	btf__add_field(btf, "last", ids->u32, TASK_BITS * 8 + 31, 1);
	btf__add_field(btf, "crossing", ids->u32, TASK_BITS * 8 + 30, 4);
	btf__add_field(btf, "pid", ids->u32, TASK_PID * 8, 0);
	btf__add_field(btf, "start_time", ids->u64, TASK_START_TIME * 8, 0);
	btf__add_field(btf, "unaligned", ids->u64, TASK_PID * 8, 0);
	btf__add_field(btf, "comm", ids->comm, TASK_COMM * 8, 0);
	btf__add_field(btf, "sighand", ids->pointer, TASK_SIGHAND * 8, 0);
	btf__add_field(btf, "pending", ids->sigpending, TASK_PENDING * 8, 0);
	btf__add_field(btf, "pi_lock", ids->raw_spinlock, TASK_PI_LOCK * 8, 0);
	btf__add_field(btf, "in_the_last_word", ids->u64, (TASK_SIZE - 8) * 8, 0);
	btf__add_field(btf, "half_outside", ids->u64, (TASK_SIZE - 4) * 8, 0);
	btf__add_field(btf, "outside", ids->u64, TASK_SIZE * 8, 0);
	btf__add_field(btf, "bit_outside", ids->u32, TASK_SIZE * 8 + 3, 1);
}

static void add_calls(struct btf *btf, const struct ids *ids, bool old)
{
	int list = wrap(btf, "llist_node", 8, "next", ids->pointer);

	wrap(btf, "llist_head", 8, "first", ids->pointer);
	int node = btf__add_struct(btf, "__call_single_node", 16);

	btf__add_field(btf, "llist", list, 0, 0);
	btf__add_field(btf, "u_flags", ids->u32, 64, 0);
	btf__add_struct(btf, "__call_single_data", 32);
	btf__add_field(btf, old ? "llist" : "node", old ? list : node, 0, 0);
	btf__add_field(btf, "func", ids->pointer, 128, 0);
	btf__add_field(btf, "info", ids->pointer, 192, 0);
}

static struct ovm_btf *make_types(const struct write_guest_options *options)
{
	struct btf *btf = btf__new_empty();
	struct ovm_btf *ret = NULL;
	struct ids ids;
	__u32 size = 0;

	add_basics(btf, &ids);
	add_task(btf, &ids, options->bad_types);
	btf__add_struct(btf, "sighand_struct", SIGHAND_SIZE);
	btf__add_field(btf, "siglock", ids.spinlock, SIGHAND_SIGLOCK * 8, 0);
	btf__add_struct(btf, "signal_struct", SIGNAL_SIZE);
	btf__add_field(btf, "nr_threads", ids.u32, 112 * 8, 0);
	btf__add_field(btf, "group_exit_code", ids.u32, 120 * 8, 0);
	btf__add_field(btf, "group_stop_count", ids.u32, 136 * 8, 0);
	btf__add_field(btf, "flags", ids.u32, 144 * 8, 0);
	btf__add_struct(btf, "empty", 0);
	btf__add_struct(btf, "huge", (1 << 20) + 8);
	add_calls(btf, &ids, options->old_calls);

	const void *raw = btf__raw_data(btf, &size);

	ovm_error_free(ovm_btf_create(raw, size, &ret));
	btf__free(btf);
	return ret;
}

/* ---- symbols --------------------------------------------------------------------------------- */

static void add_symbol(struct ovm_kallsyms *k, const char *name, uint64_t address)
{
	size_t slot = ovm_siphash(&k->key, name, strlen(name));

	while (k->hash[slot % HASH_SLOTS])
		slot++;
	k->hash[slot % HASH_SLOTS] = (uint32_t)k->nr + 1;
	k->names[k->nr] = (uint32_t)k->pool_size;
	k->addresses[k->nr++] = address;
	k->pool[k->pool_size++] = 'T';
	strcpy(k->pool + k->pool_size, name);
	k->pool_size += strlen(name) + 1;
}

/* In the order of their addresses. */
static struct ovm_kallsyms *make_symbols(const struct write_guest_options *options)
{
	struct ovm_kallsyms *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->addresses = calloc(MAX_SYMBOLS, sizeof(*k->addresses));
	k->names = calloc(MAX_SYMBOLS, sizeof(*k->names));
	k->hash = calloc(HASH_SLOTS, sizeof(*k->hash));
	k->pool = calloc(1, POOL_BYTES);
	k->hash_slots = HASH_SLOTS;
	if (!k->addresses || !k->names || !k->hash || !k->pool) {
		ovm_kallsyms_destroy(k);
		return NULL;
	}
	add_symbol(k, "linux_banner", WRITE_IMAGE + WRITE_BANNER);
	add_symbol(k, "wake_up_process", WRITE_IMAGE + WRITE_WAKE_UP);
	add_symbol(k, "asm_sysvec_call_function_single", WRITE_IMAGE + WRITE_GATE);
	add_symbol(k, "asm_sysvec_reboot", WRITE_IMAGE + WRITE_GATE + 0x100);
	if (options->symbol)
		add_symbol(k, options->symbol, WRITE_IMAGE + WRITE_GATE + 0x200);
	return k;
}

/* ---- memory ---------------------------------------------------------------------------------- */

uint8_t *write_guest_at(const struct write_guest *guest, uint64_t gpa)
{
	if (gpa >= WRITE_HIGH)
		return guest->ram + WRITE_LOW_PAGES * WRITE_PAGE + (gpa - WRITE_HIGH);
	return guest->ram + gpa;
}

void write_guest_map(uint64_t *table, unsigned int nr, uint64_t gpa)
{
	table[nr] = gpa | TABLE_FLAGS;
}

/* The tables that lead to the one of the pages from @address on, at @gpa and behind. */
static uint64_t *make_tables(const struct write_guest *guest, uint64_t address, uint64_t gpa)
{
	uint64_t table = PGD_GPA;

	for (unsigned int level = 4; level > 1; level--) {
		uint64_t *entries = (uint64_t *)write_guest_at(guest, table);

		entries[ovm_pagetable_index(address, level)] = gpa | TABLE_FLAGS;
		table = gpa;
		gpa += WRITE_PAGE;
	}
	return (uint64_t *)write_guest_at(guest, table) + ovm_pagetable_index(address, 1);
}

static struct ovm_error *make_memory(struct write_guest *guest, bool private_ram)
{
	int fd = memfd_create("write-guest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, RAM_BYTES))
		return ovm_error_no_memory();
	guest->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	struct ovm_ram_range ranges[] = {
		{.gpa = 0, .size = WRITE_LOW_PAGES * WRITE_PAGE, .fd = fd},
		{.gpa = WRITE_HIGH, .size = WRITE_HIGH_PAGES * WRITE_PAGE, .fd = fd},
	};

	ranges[1].file_offset = ranges[0].size;
	for (size_t i = 0; private_ram && i < 2; i++) {
		ranges[i].kind = OVM_RAM_PROCESS;
		ranges[i].fd = -1;
		ranges[i].vmm_pid = getpid();
		ranges[i].vmm_address = (uintptr_t)guest->ram + ranges[i].file_offset;
	}
	if (private_ram)
		close(fd);
	return ovm_memory_create(ranges, 2, &guest->memory);
}

static void set_info(struct ovm_kernel *kernel)
{
	memcpy(kernel->banner, banner, sizeof(banner) - 2);
	kernel->info = (struct ovm_kernel_info){
		.banner = kernel->banner,
		.release = kernel->release,
		.build_id = kernel->build_id,
		.phys_base = IMAGE_GPA - (WRITE_IMAGE - OVM_START_KERNEL_MAP),
		.image_start = WRITE_IMAGE,
		.image_end = WRITE_IMAGE + IMAGE_PAGES * WRITE_PAGE,
		.page_offset_base = WRITE_DIRECT,
		.vmalloc_base = WRITE_VMALLOC,
		.pgd_gpa = PGD_GPA,
		.pgtable_levels = 4,
		.nr_cpu_ids = 1,
	};
}

bool write_guest_start(struct write_guest *guest, const struct write_guest_options *options)
{
	static const struct write_guest_options none;

	options = options ?: &none;
	memset(guest, 0, sizeof(*guest));

	struct ovm_error *err = make_memory(guest, options->private_ram);

	guest->kernel = err ? NULL : calloc(1, sizeof(*guest->kernel));
	ovm_error_free(err);
	if (!guest->kernel)
		return false;
	guest->kernel->memory = guest->memory;
	guest->kernel->kallsyms = make_symbols(options);
	guest->kernel->btf = make_types(options);
	set_info(guest->kernel);
	memcpy(write_guest_at(guest, IMAGE_GPA + WRITE_BANNER), banner, sizeof(banner));
	guest->vmalloc = make_tables(guest, WRITE_VMALLOC, VMALLOC_GPA);
	guest->top = make_tables(guest, WRITE_TOP, TOP_GPA);
	return guest->kernel->kallsyms && guest->kernel->btf;
}

void write_guest_stop(struct write_guest *guest)
{
	ovm_kernel_detach(guest->kernel);
	ovm_memory_destroy(guest->memory);
	if (guest->ram)
		munmap(guest->ram, RAM_BYTES);
}
