// SPDX-License-Identifier: GPL-2.0-only
/* Images of a made-up process, read back. */
#include "host/image/image.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_model.h"
#include "image_read.h"
#include "proto/core.pb-c.h"
#include "proto/file-lock.pb-c.h"
#include "proto/files.pb-c.h"
#include "proto/fs.pb-c.h"
#include "proto/ghost-file.pb-c.h"
#include "proto/inventory.pb-c.h"
#include "proto/mm.pb-c.h"
#include "proto/pagemap.pb-c.h"
#include "proto/pstree.pb-c.h"
#include "proto/remap-file-path.pb-c.h"
#include "proto/stats.pb-c.h"
#include "proto/timens.pb-c.h"
#include "test.h"

static struct image_model model;
static char directory[64];

static void clean_up(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	image_directory_remove(directory);
}

#define WITH_DIRECTORY(fd)                                                      \
	__attribute__((cleanup(clean_up))) int fd = image_directory(directory); \
	ASSERT_TRUE(fd >= 0)

/* Record @index of an image; to be freed with free(3)-like protobuf_c_message_free_unpacked(). */
static void *read_message(const char *name, const ProtobufCMessageDescriptor *descriptor,
			  unsigned int index)
{
	bool inventory = !strcmp(name, "inventory.img");
	struct image_bytes image = image_open(directory, name, inventory ? 1 : 2);
	const uint8_t *record = NULL;
	size_t len = 0;
	void *ret = NULL;

	for (unsigned int i = 0; image.data && i <= index; i++)
		record = image_record(&image, &len);
	if (record)
		ret = protobuf_c_message_unpack(descriptor, NULL, len, record);
	image_close(&image);
	return ret;
}

static void free_message(void *message)
{
	if (*(void **)message)
		protobuf_c_message_free_unpacked(*(void **)message, NULL);
}

#define MESSAGE(type, variable, name, descriptor, index)        \
	__attribute__((cleanup(free_message))) type *variable = \
		read_message((name), &(descriptor), (index));   \
	ASSERT_TRUE(variable)

OVM_TEST(image, begins_with_magic)
{
	image_model_init(&model);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	ASSERT_OK(ovm_image_write_stats(&model.set.stats, fd));
	const struct {
		const char *name;
		uint32_t magic[2];
	} table[] = {
		{"inventory.img", {0x58313116, 0}},
		{"pstree.img", {0x54564319, 0x50273030}},
		{"ids-4711.img", {0x54564319, 0x54432030}},
		{"core-4711.img", {0x54564319, 0x55053847}},
		{"core-4713.img", {0x54564319, 0x55053847}},
		{"mm-4711.img", {0x54564319, 0x57492820}},
		{"fs-4711.img", {0x54564319, 0x51403912}},
		{"files.img", {0x54564319, 0x56303138}},
		{"fdinfo-2.img", {0x54564319, 0x56213732}},
		{"memfd.img", {0x54564319, 0x48453499}},
		{"pagemap-4711.img", {0x54564319, 0x56084025}},
		{"pagemap-shmem-103.img", {0x54564319, 0x56084025}},
		{"pagemap-shmem-104.img", {0x54564319, 0x56084025}},
		{"timens-0.img", {0x54564319, 0x43114433}},
		{"stats-dump", {0x55105940, 0x57093306}},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct image_bytes image =
			image_open(directory, table[i].name, table[i].magic[1] ? 2 : 1);
		uint32_t first = image.magic[0], second = image.magic[1];
		bool there = image.data;

		image_close(&image);
		if (!there)
			OVM_FAIL("%s is missing", table[i].name);
		if (first != table[i].magic[0] || second != table[i].magic[1])
			OVM_FAIL("%s begins with %x %x", table[i].name, first, second);
	}
}

OVM_TEST(image, is_private_and_never_overwritten)
{
	struct stat st;

	image_model_init(&model);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	ASSERT_TRUE(!fstatat(fd, "mm-4711.img", &st, 0));
	ASSERT_EQ_U64(st.st_mode, S_IFREG | 0600);
	ASSERT_ERROR(ovm_image_write(&model.set, fd), OVM_ERROR_OUTPUT,
		     "can't create ids-4711.img");
}

OVM_TEST(image, names_the_file_that_the_disk_has_no_room_for)
{
	image_model_init(&model);
	int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ASSERT_TRUE(fd >= 0);
	struct ovm_error *err = ovm_image_write(&model.set, fd);

	close(fd);
	ASSERT_ERROR(err, OVM_ERROR_OUTPUT, "ids-4711.img");
}

OVM_TEST(image, inventory_shares_namespaces_with_the_process)
{
	image_model_init(&model);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(InventoryEntry, inventory, "inventory.img", inventory_entry__descriptor, 0);
	MESSAGE(TaskKobjIdsEntry, ids, "ids-4711.img", task_kobj_ids_entry__descriptor, 0);
	MESSAGE(PstreeEntry, pstree, "pstree.img", pstree_entry__descriptor, 0);

	ASSERT_EQ_U64(inventory->img_version, 2);
	ASSERT_TRUE(inventory->fdinfo_per_id && inventory->root_ids);
	ASSERT_EQ_U64(inventory->root_ids->pid_ns_id, ids->pid_ns_id);
	ASSERT_EQ_U64(inventory->root_ids->user_ns_id, ids->user_ns_id);
	ASSERT_EQ_U64(inventory->root_ids->time_ns_id, ids->time_ns_id);
	ASSERT_TRUE(inventory->root_ids->files_id != ids->files_id);
	ASSERT_EQ_U64(pstree->pid, MODEL_PID);
	ASSERT_EQ_U64(pstree->ppid, 0);
	ASSERT_EQ_U64(pstree->n_threads, 2);
	ASSERT_EQ_U64(pstree->threads[1], MODEL_TID);
}

OVM_TEST(image, leader_has_the_process_and_threads_have_not)
{
	image_model_init(&model);
	model.image_threads[1].blocked = 0x400;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, leader, "core-4711.img", core_entry__descriptor, 0);
	MESSAGE(CoreEntry, thread, "core-4713.img", core_entry__descriptor, 0);

	ASSERT_TRUE(leader->tc && !thread->tc);
	ASSERT_EQ_U64(leader->tc->n_sigactions, 62);
	ASSERT_EQ_U64(leader->tc->rlimits->n_rlimits, 16);
	ASSERT_EQ_U64(leader->tc->blk_sigset, 0x200);
	ASSERT_FALSE(leader->thread_core->has_blk_sigset);
	ASSERT_EQ_U64(thread->thread_core->blk_sigset, 0x400);
	ASSERT_EQ_U64(thread->thread_info->gpregs->ip, 0x401000);
	ASSERT_EQ_U64(thread->thread_info->gpregs->fs_base, 0x10003c0);
	ASSERT_EQ_U64(thread->thread_core->rseq_entry->rseq_abi_pointer, 0x1000ce0);
	ASSERT_EQ_U64(thread->thread_core->creds->n_cap_bnd, 2);
	ASSERT_EQ_U64(thread->thread_core->creds->cap_bnd[1], 0x1ff);
	ASSERT_STREQ(thread->thread_core->comm, "program");
}

OVM_TEST(image, signal_actions_leave_out_kill_and_stop)
{
	image_model_init(&model);
	for (int i = 0; i < OVM_REC_NR_SIGNALS; i++)
		model.process.sigactions[i].handler = (uint64_t)i + 1;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);

	for (size_t i = 0; i < core->tc->n_sigactions; i++) {
		uint64_t signo = core->tc->sigactions[i]->sigaction;

		ASSERT_TRUE(signo != SIGKILL && signo != SIGSTOP);
		ASSERT_EQ_U64(signo, i + 1 + (i + 1 >= SIGKILL) + (i + 2 >= SIGSTOP));
	}
}

OVM_TEST(image, extended_state_has_the_components_of_the_cpu)
{
	const uint32_t ymm = 0x12345678, pkru = 0x55555554;

	image_model_init(&model);
	memcpy(model.xsave[0] + OVM_XSAVE_YMMH, &ymm, sizeof(ymm));
	memcpy(model.xsave[0] + OVM_XSAVE_PKRU, &pkru, sizeof(pkru));
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);
	const UserX86FpregsEntry *fpregs = core->thread_info->fpregs;

	ASSERT_EQ_U64(fpregs->n_st_space, 32);
	ASSERT_EQ_U64(fpregs->n_xmm_space, 64);
	ASSERT_EQ_U64(fpregs->xsave->xstate_bv, 7);
	ASSERT_EQ_U64(fpregs->xsave->n_ymmh_space, 64);
	ASSERT_EQ_U64(fpregs->xsave->ymmh_space[0], ymm);
	ASSERT_EQ_U64(fpregs->xsave->n_pkru, 2);
	ASSERT_EQ_U64(fpregs->xsave->pkru[0], pkru);
	ASSERT_EQ_U64(fpregs->xsave->n_opmask_reg, 0);
}

OVM_TEST(image, all_components_have_the_sizes_that_restore_wants)
{
	image_model_init(&model);
	model.threads[0].user_xfeatures = 0x2ff;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);
	const UserX86XsaveEntry *xsave = core->thread_info->fpregs->xsave;

	ASSERT_EQ_U64(xsave->n_bndreg_state, 8);
	ASSERT_EQ_U64(xsave->n_bndcsr_state, 8);
	ASSERT_EQ_U64(xsave->n_opmask_reg, 8);
	ASSERT_EQ_U64(xsave->n_zmm_upper, 64);
	ASSERT_EQ_U64(xsave->n_hi16_zmm, 128);
}

OVM_TEST(image, a_cpu_without_xsave_has_no_extended_state)
{
	image_model_init(&model);
	model.threads[0].user_xfeatures = 0;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);
	ASSERT_FALSE(core->thread_info->fpregs->xsave);
}

OVM_TEST(image, tls_descriptors_are_taken_apart)
{
	image_model_init(&model);
	/* Base 0x12345678, limit 0xabcde, writable data, 32-bit, in pages, usable. */
	model.threads[0].tls[1] = UINT64_C(0x12daf2345678bcde);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);
	UserDescT **tls = core->thread_info->tls;

	ASSERT_EQ_U64(core->thread_info->n_tls, 3);
	ASSERT_TRUE(tls[0]->seg_not_present && tls[0]->read_exec_only);
	ASSERT_EQ_U64(tls[1]->entry_number, 13);
	ASSERT_EQ_U64(tls[1]->base_addr, 0x12345678);
	ASSERT_EQ_U64(tls[1]->limit, 0xabcde);
	ASSERT_TRUE(tls[1]->seg_32bit && tls[1]->limit_in_pages && tls[1]->usable);
	ASSERT_FALSE(tls[1]->seg_not_present || tls[1]->read_exec_only);
}

OVM_TEST(image, alternate_stack_is_as_sigaltstack_reports_it)
{
	const struct {
		uint64_t size;
		uint32_t flags, expected;
		uint64_t sp;
	} table[] = {
		{0, 2, 2, 0x1000},
		{0x2000, 0, 0, 0x9000},
		{0x2000, 0, 1, 0x3000},
		{0x2000, 0, 0, 0x1000},
		{0x2000, 1U << 31, 1U << 31, 0x2000},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		image_model_init(&model);
		model.threads[0].sas_sp = 0x1000;
		model.threads[0].sas_size = table[i].size;
		model.threads[0].sas_flags = table[i].flags;
		model.image_threads[0].regs.sp = table[i].sp;
		WITH_DIRECTORY(fd);
		ASSERT_OK(ovm_image_write(&model.set, fd));
		MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);
		ASSERT_EQ_U64(core->thread_core->sas->ss_flags, table[i].expected);
	}
}

OVM_TEST(image, a_one_shot_interval_timer_gets_a_period_that_starts_it)
{
	image_model_init(&model);
	model.image.real = (struct ovm_image_timer){1500000001, 0};
	model.image.virt = (struct ovm_image_timer){0, 1000};
	model.image.prof = (struct ovm_image_timer){1, 2500000};
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);
	const TaskTimersEntry *timers = core->tc->timers;

	ASSERT_EQ_U64(timers->real->vsec, 1);
	ASSERT_EQ_U64(timers->real->vusec, 500001);
	ASSERT_TRUE(timers->real->isec > 1 << 30);
	/* One that is off must not be started by its period. */
	ASSERT_EQ_U64(timers->virt->isec + timers->virt->iusec, 0);
	ASSERT_EQ_U64(timers->prof->vusec, 1);
	ASSERT_EQ_U64(timers->prof->iusec, 2500);
}

OVM_TEST(image, posix_timers_keep_what_is_left)
{
	struct ovm_rec_posix_timer rec = {.id = 3,
					  .clock = -6,
					  .notify = 4,
					  .signo = 34,
					  .notify_tid = MODEL_TID,
					  .value = 99,
					  .overrun = 2,
					  .interval = 250000000};
	struct ovm_image_posix_timer timer = {&rec, 3000000007};

	image_model_init(&model);
	model.process.posix_timers = &rec;
	model.image.posix_timers = &timer;
	model.image.nr_posix_timers = 1;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);
	const PosixTimerEntry *entry = core->tc->timers->posix[0];

	ASSERT_EQ_U64(entry->clock_id, 4294967290);
	ASSERT_EQ_U64(entry->vsec, 3);
	ASSERT_EQ_U64(entry->vnsec, 7);
	ASSERT_EQ_U64(entry->insec, 250000000);
	ASSERT_EQ_U64((uint32_t)entry->notify_thread_id, MODEL_TID);
}

OVM_TEST(image, pending_signals_keep_their_order_and_payload)
{
	struct ovm_rec_signal second = {.signo = 40}, first = {&second, 34, {0}};

	image_model_init(&model);
	first.info[24] = 7;
	model.process.shared_pending = &first;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);
	const SignalQueueEntry *queue = core->tc->signals_s;

	ASSERT_EQ_U64(queue->n_signals, 2);
	ASSERT_EQ_U64(queue->signals[0]->siginfo.len, 128);
	ASSERT_EQ_U64(queue->signals[0]->siginfo.data[0], 34);
	ASSERT_EQ_U64(queue->signals[0]->siginfo.data[24], 7);
	ASSERT_EQ_U64(queue->signals[1]->siginfo.data[0], 40);
}

OVM_TEST(image, areas_have_criu_s_status)
{
	const struct {
		uint32_t prot, flags, status;
		bool has_file;
	} expected[MODEL_NR_VMAS] = {
		[MODEL_CODE] = {5, 0x2, 0x41, true},
		[MODEL_DATA] = {3, 0x2, 0x41, true},
		[MODEL_HEAP] = {3, 0x22, 0x221, false},
		[MODEL_SHARED] = {3, 0x1, 0x4081, true},
		[MODEL_MEMFD_PRIVATE] = {1, 0x2, 0x4041, true},
		[MODEL_STACK] = {3, 0x122, 0x201, false},
		[MODEL_VVAR] = {1, 0x22, 0x1201, false},
		[MODEL_VDSO] = {5, 0x22, 0x209, false},
	};

	image_model_init(&model);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(MmEntry, mm, "mm-4711.img", mm_entry__descriptor, 0);

	ASSERT_EQ_U64(mm->n_vmas, MODEL_NR_VMAS);
	for (size_t i = 0; i < mm->n_vmas; i++) {
		ASSERT_EQ_U64(mm->vmas[i]->start, model.vmas[i].start);
		ASSERT_EQ_U64(mm->vmas[i]->prot, expected[i].prot);
		ASSERT_EQ_U64(mm->vmas[i]->flags, expected[i].flags);
		ASSERT_EQ_U64(mm->vmas[i]->status, expected[i].status);
		ASSERT_EQ_U64(mm->vmas[i]->has_fdflags, expected[i].has_file);
		ASSERT_EQ_U64(mm->vmas[i]->shmid != 0, expected[i].has_file);
	}
	ASSERT_EQ_U64(mm->vmas[MODEL_DATA]->pgoff, 0x5000);
	ASSERT_EQ_U64(mm->vmas[MODEL_STACK]->pgoff, 0);
	ASSERT_EQ_U64(mm->vmas[MODEL_VVAR]->madv, 1 << 16);
}

OVM_TEST(image, private_huge_pages_are_mapped_without_a_file)
{
	image_model_init(&model);
	struct ovm_rec_file *file = &model.files[MODEL_EXE_TWICE];

	file->kind = OVM_REC_FILE_HUGETLB_ANON;
	file->path = image_model_bytes("anon_hugepage");
	model.vmas[MODEL_DATA].hugetlb = 1;
	model.vmas[MODEL_DATA].huge_shift = 21;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(MmEntry, mm, "mm-4711.img", mm_entry__descriptor, 0);
	ASSERT_EQ_U64(mm->vmas[MODEL_DATA]->flags, 21u << 26 | 0x40022);
	ASSERT_EQ_U64(mm->vmas[MODEL_DATA]->status, 0x201);
	ASSERT_EQ_U64(mm->vmas[MODEL_DATA]->shmid, 0);
}

OVM_TEST(image, shared_huge_pages_are_a_memfd_of_their_size)
{
	image_model_init(&model);
	model.files[MODEL_SHM].kind = OVM_REC_FILE_HUGETLB_ANON;
	model.files[MODEL_SHM].path = image_model_bytes("anon_hugepage");
	model.files[MODEL_SHM].mapped_shared = 1;
	model.files[MODEL_SHM].huge_shift = 21;
	model.vmas[MODEL_SHARED].hugetlb = 1;
	model.vmas[MODEL_SHARED].huge_shift = 21;
	model.files[MODEL_MEMFD].kind = OVM_REC_FILE_MEMFD_HUGETLB;
	model.files[MODEL_MEMFD].huge_shift = 30;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_check(&model.set));
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(MmEntry, mm, "mm-4711.img", mm_entry__descriptor, 0);
	ASSERT_EQ_U64(mm->vmas[MODEL_SHARED]->flags, 21u << 26 | 0x40001);
	ASSERT_EQ_U64(mm->vmas[MODEL_SHARED]->status, 0x4081);
	ASSERT_TRUE(mm->vmas[MODEL_SHARED]->shmid);
	MESSAGE(MemfdInodeEntry, shm, "memfd.img", memfd_inode_entry__descriptor, 0);
	MESSAGE(MemfdInodeEntry, memfd, "memfd.img", memfd_inode_entry__descriptor, 1);
	ASSERT_STREQ(shm->name, "/anon_hugepage");
	ASSERT_EQ_U64(shm->hugetlb_flag, 21u << 26 | 4);
	ASSERT_STREQ(memfd->name, "blob");
	ASSERT_EQ_U64(memfd->hugetlb_flag, 30u << 26 | 4);
}

OVM_TEST(image, advice_is_a_bit_each)
{
	image_model_init(&model);
	struct ovm_rec_vma *vma = &model.vmas[MODEL_HEAP];

	vma->dontcopy = vma->wipe_on_fork = vma->nohugepage = vma->locked = vma->noreserve = 1;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(MmEntry, mm, "mm-4711.img", mm_entry__descriptor, 0);
	ASSERT_EQ_U64(mm->vmas[MODEL_HEAP]->madv, 1 << 10 | 1 << 18 | 1 << 15);
	ASSERT_EQ_U64(mm->vmas[MODEL_HEAP]->flags, 0x6022);
}

static void fill_auxv(unsigned int nr, const uint64_t *last_types, unsigned int nr_last)
{
	struct ovm_rec_mm *rec = &model.process.mm;

	for (unsigned int i = 0; i < nr; i++) {
		rec->auxv[2 * i] = 100 + i;
		if (i + nr_last >= nr)
			rec->auxv[2 * i] = last_types[i + nr_last - nr];
		rec->auxv[2 * i + 1] = i;
	}
	rec->nr_auxv = 2 * nr;
}

OVM_TEST(image, auxv_without_its_end_fits_into_what_restore_takes)
{
	const uint64_t types[] = {27, 28, 0};

	image_model_init(&model);
	fill_auxv(23, types, 3);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(MmEntry, mm, "mm-4711.img", mm_entry__descriptor, 0);
	ASSERT_EQ_U64(mm->n_mm_saved_auxv, 44);
	ASSERT_EQ_U64(mm->mm_saved_auxv[40], 27);
	ASSERT_EQ_U64(mm->mm_saved_auxv[42], 28);
}

OVM_TEST(image, auxv_of_newer_kernels_loses_its_youngest_entries)
{
	const uint64_t types[] = {27, 28, 29, 30, 0};

	image_model_init(&model);
	fill_auxv(25, types, 5);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(MmEntry, mm, "mm-4711.img", mm_entry__descriptor, 0);
	ASSERT_EQ_U64(mm->n_mm_saved_auxv, 44);
	ASSERT_EQ_U64(mm->mm_saved_auxv[40], 27);
	ASSERT_EQ_U64(mm->mm_saved_auxv[42], 28);
}

static FileEntry *find_file(uint32_t id)
{
	for (unsigned int i = 0;; i++) {
		FileEntry *entry = read_message("files.img", &file_entry__descriptor, i);

		if (!entry || entry->id == id)
			return entry;
		file_entry__free_unpacked(entry, NULL);
	}
}

OVM_TEST(image, descriptors_of_one_file_share_its_entry)
{
	image_model_init(&model);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(FdinfoEntry, first, "fdinfo-2.img", fdinfo_entry__descriptor, 0);
	MESSAGE(FdinfoEntry, log, "fdinfo-2.img", fdinfo_entry__descriptor, 1);
	MESSAGE(FdinfoEntry, third, "fdinfo-2.img", fdinfo_entry__descriptor, 2);
	MESSAGE(FdinfoEntry, memfd, "fdinfo-2.img", fdinfo_entry__descriptor, 3);
	__attribute__((cleanup(free_message))) FileEntry *entry = find_file(log->id);

	ASSERT_EQ_U64(first->id, third->id);
	ASSERT_EQ_U64(third->fd, 2);
	ASSERT_EQ_U64(memfd->fd, 7);
	ASSERT_EQ_U64(memfd->flags, 1);
	ASSERT_EQ_U64(memfd->type, FD_TYPES__MEMFD);
	ASSERT_TRUE(entry && entry->reg);
	ASSERT_STREQ(entry->reg->name, "/var/log/program");
	ASSERT_EQ_U64(entry->reg->flags, 0102001);
	ASSERT_EQ_U64(entry->reg->pos, 1234);
	/* The size of a log file may differ on restore. */
	ASSERT_FALSE(entry->reg->has_size);
}

OVM_TEST(image, mappings_of_one_path_share_an_entry)
{
	image_model_init(&model);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(MmEntry, mm, "mm-4711.img", mm_entry__descriptor, 0);
	MESSAGE(FsEntry, fs, "fs-4711.img", fs_entry__descriptor, 0);
	__attribute__((cleanup(free_message))) FileEntry *exe = find_file(mm->exe_file_id);
	__attribute__((cleanup(free_message))) FileEntry *cwd = find_file(fs->cwd_id);

	ASSERT_EQ_U64(mm->vmas[MODEL_CODE]->shmid, mm->exe_file_id);
	ASSERT_EQ_U64(mm->vmas[MODEL_DATA]->shmid, mm->exe_file_id);
	ASSERT_TRUE(exe && exe->reg && cwd && cwd->reg);
	ASSERT_EQ_U64(exe->reg->flags, 0);
	ASSERT_EQ_U64(exe->reg->size, 40960);
	ASSERT_STREQ(cwd->reg->name, "/home");
	ASSERT_EQ_U64(fs->umask, 022);
}

OVM_TEST(image, flags_that_act_on_opening_are_not_kept)
{
	image_model_init(&model);
	model.files[MODEL_LOG].flags |= 0100 | 0200 | 01000 | 02000000 | 0x4000000;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(FdinfoEntry, log, "fdinfo-2.img", fdinfo_entry__descriptor, 1);
	__attribute__((cleanup(free_message))) FileEntry *entry = find_file(log->id);
	ASSERT_EQ_U64(entry->reg->flags, 0102001);
}

/* Two descriptors become the ends of a pipe with two buffers in it. */
static void make_pipe(struct ovm_rec_pipe *pipe, struct ovm_rec_pipe_data data[2])
{
	struct ovm_rec_file *ends[] = {&model.files[MODEL_NULL], &model.files[MODEL_LOG]};

	data[0] = (struct ovm_rec_pipe_data){&data[1], image_model_bytes("one")};
	data[1] = (struct ovm_rec_pipe_data){NULL, image_model_bytes("other")};
	*pipe = (struct ovm_rec_pipe){.inode = 77,
				      .ino = 8113,
				      .readers = 1,
				      .own_readers = 1,
				      .writers = 1,
				      .own_writers = 1,
				      .size = 4096,
				      .data = data,
				      .nr_bytes = 8};
	for (int i = 0; i < 2; i++) {
		ends[i]->kind = OVM_REC_FILE_PIPE;
		ends[i]->flags = (uint32_t)i;
		ends[i]->pipe = pipe;
	}
}

OVM_TEST(image, a_pipe_has_an_entry_for_each_end_and_one_for_its_content)
{
	struct ovm_rec_pipe pipe;
	struct ovm_rec_pipe_data data[2];

	image_model_init(&model);
	make_pipe(&pipe, data);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(FdinfoEntry, reader, "fdinfo-2.img", fdinfo_entry__descriptor, 0);
	MESSAGE(FdinfoEntry, writer, "fdinfo-2.img", fdinfo_entry__descriptor, 1);
	ASSERT_EQ_U64(reader->type, FD_TYPES__PIPE);
	MESSAGE(FileEntry, from, "files.img", file_entry__descriptor, reader->id - 1);
	MESSAGE(FileEntry, to, "files.img", file_entry__descriptor, writer->id - 1);
	ASSERT_TRUE(from->pipe && to->pipe);
	ASSERT_EQ_U64(from->pipe->id, reader->id);
	ASSERT_EQ_U64(from->pipe->pipe_id, 8113);
	ASSERT_EQ_U64(from->pipe->flags, 0);
	ASSERT_EQ_U64(to->pipe->pipe_id, 8113);
	ASSERT_EQ_U64(to->pipe->flags, 1);
	MESSAGE(PipeDataEntry, content, "pipes-data.img", pipe_data_entry__descriptor, 0);
	ASSERT_EQ_U64(content->pipe_id, 8113);
	ASSERT_EQ_U64(content->bytes, 8);
	ASSERT_EQ_U64(content->size, 4096);
	struct image_bytes image = image_open(directory, "pipes-data.img", 2);

	ASSERT_TRUE(image.len > 8 && !memcmp(image.data + image.len - 8, "oneother", 8));
	image_close(&image);
}

OVM_TEST(image, pipes_whose_inode_numbers_don_t_do_are_numbered)
{
	struct ovm_rec_pipe pipe;
	struct ovm_rec_pipe_data data[2];

	image_model_init(&model);
	make_pipe(&pipe, data);
	pipe.ino = UINT64_C(1) << 32;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(PipeDataEntry, content, "pipes-data.img", pipe_data_entry__descriptor, 0);
	ASSERT_EQ_U64(content->pipe_id, 1);
}

OVM_TEST(image, a_fifo_has_a_path_besides)
{
	struct ovm_rec_pipe pipe = {
		.inode = 77, .ino = 8113, .writers = 1, .own_writers = 1, .size = 65536};

	image_model_init(&model);
	model.files[MODEL_LOG].kind = OVM_REC_FILE_FIFO;
	model.files[MODEL_LOG].mode = S_IFIFO | 0600;
	model.files[MODEL_LOG].pipe = &pipe;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(FdinfoEntry, info, "fdinfo-2.img", fdinfo_entry__descriptor, 1);
	ASSERT_EQ_U64(info->type, FD_TYPES__FIFO);
	MESSAGE(FileEntry, path, "files.img", file_entry__descriptor, info->id - 1);
	MESSAGE(FileEntry, fifo, "files.img", file_entry__descriptor, info->id);
	ASSERT_TRUE(path->reg && fifo->fifo);
	ASSERT_STREQ(path->reg->name, "/var/log/program");
	ASSERT_TRUE(!path->reg->has_size);
	ASSERT_EQ_U64(fifo->fifo->id, info->id);
	ASSERT_EQ_U64(fifo->fifo->regf_id, path->reg->id);
	ASSERT_EQ_U64(fifo->fifo->pipe_id, 8113);
	MESSAGE(PipeDataEntry, content, "fifo-data.img", pipe_data_entry__descriptor, 0);
	ASSERT_EQ_U64(content->bytes, 0);
	ASSERT_EQ_U64(content->size, 65536);
}

OVM_TEST(image, locks_come_with_the_first_descriptor_of_a_file)
{
	struct ovm_rec_file_lock locks[] = {
		{.kind = OVM_REC_FILE_LOCK_POSIX, .exclusive = 1, .start = 10, .end = 29},
		{.kind = OVM_REC_FILE_LOCK_OFD, .start = 7, .end = INT64_MAX},
		/* Of the other file, which two descriptors lead to. */
		{.kind = OVM_REC_FILE_LOCK_FLOCK, .exclusive = 1},
		{.kind = OVM_REC_FILE_LOCK_LEASE},
	};
	static const struct {
		int64_t fd, flag, type, start, len;
	} expected[] = {{0, 2, 1, 0, 0}, {0, 8, 0, 0, 0}, {1, 1, 1, 10, 20}, {1, 4, 0, 7, 0}};

	image_model_init(&model);
	locks[0].next = &locks[1];
	locks[2].next = &locks[3];
	model.files[MODEL_LOG].locks = &locks[0];
	model.files[MODEL_NULL].locks = &locks[2];
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	for (unsigned int i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		MESSAGE(FileLockEntry, lock, "filelocks.img", file_lock_entry__descriptor, i);
		ASSERT_EQ_U64(lock->pid, MODEL_PID);
		ASSERT_EQ_U64(lock->fd, expected[i].fd);
		ASSERT_EQ_U64(lock->flag, expected[i].flag);
		ASSERT_EQ_U64(lock->type, expected[i].type);
		ASSERT_EQ_U64(lock->start, expected[i].start);
		ASSERT_EQ_U64(lock->len, expected[i].len);
	}
	ASSERT_TRUE(!read_message("filelocks.img", &file_lock_entry__descriptor, 4));
}

/* What follows the first record, whose entry is returned. */
static GhostFileEntry *read_ghost(const char *name, char *rest, size_t size)
{
	struct image_bytes image = image_open(directory, name, 2);
	size_t len = 0, left;
	const uint8_t *record = image_record(&image, &len);
	GhostFileEntry *entry = NULL;

	memset(rest, 0, size);
	if (record) {
		entry = ghost_file_entry__unpack(NULL, len, record);
		left = image.len - (size_t)(record + len - image.data);
		memcpy(rest, record + len, left < size ? left : size - 1);
	}
	image_close(&image);
	return entry;
}

OVM_TEST(image, a_file_without_a_name_comes_with_its_content)
{
	static char rest[8192];
	struct ovm_rec_ghost_data data = {NULL, 4096, image_model_bytes("content")};
	struct ovm_rec_ghost ghost = {
		.size = 4104, .data = &data, .mtime_sec = 9, .mtime_nsec = 5999};

	image_model_init(&model);
	model.files[MODEL_LOG].unlinked = model.files[MODEL_NULL].unlinked = 1;
	model.files[MODEL_LOG].ghost = model.files[MODEL_NULL].ghost = &ghost;
	model.files[MODEL_NULL].inode = model.files[MODEL_LOG].inode;
	model.files[MODEL_NULL].kind = OVM_REC_FILE_REGULAR;
	model.files[MODEL_NULL].mode = model.files[MODEL_LOG].mode;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	for (unsigned int i = 0; i < 2; i++) {
		MESSAGE(FdinfoEntry, info, "fdinfo-2.img", fdinfo_entry__descriptor, i);
		MESSAGE(RemapFilePathEntry, remap, "remap-fpath.img",
			remap_file_path_entry__descriptor, i);
		ASSERT_EQ_U64(remap->orig_id, info->id);
		ASSERT_EQ_U64(remap->remap_id, 1);
		ASSERT_EQ_U64(remap->remap_type, REMAP_TYPE__GHOST);
	}
	__attribute__((cleanup(free_message))) GhostFileEntry *entry =
		read_ghost("ghost-file-1.img", rest, sizeof(rest));

	ASSERT_TRUE(entry && !entry->chunks && !entry->has_size);
	ASSERT_EQ_U64(entry->mode, S_IFREG | 0600);
	ASSERT_EQ_U64(entry->mtim->tv_sec, 9);
	ASSERT_EQ_U64(entry->mtim->tv_usec, 5);
	ASSERT_TRUE(!memcmp(rest + 4096, "content", 8) && !rest[0] && !rest[4095]);
}

OVM_TEST(image, a_large_file_without_a_name_comes_in_chunks)
{
	static char rest[64];
	struct ovm_rec_ghost_data data[] = {
		{&data[1], 0, image_model_bytes("one")},
		{&data[2], 3, image_model_bytes("two")},
		{NULL, 8192, image_model_bytes("three")},
	};
	struct ovm_rec_ghost ghost = {.size = 12288, .data = data};
	GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;
	uint8_t packed[32];

	image_model_init(&model);
	model.files[MODEL_LOG].unlinked = 1;
	model.files[MODEL_LOG].ghost = &ghost;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	__attribute__((cleanup(free_message))) GhostFileEntry *entry =
		read_ghost("ghost-file-1.img", rest, sizeof(rest));

	ASSERT_TRUE(entry && entry->chunks);
	ASSERT_EQ_U64(entry->size, 12288);
	chunk.len = 6;
	size_t len = ghost_chunk_entry__pack(&chunk, packed);
	const char *next = rest + 4 + len + 6;

	ASSERT_TRUE(!memcmp(rest + 4, packed, len) && !memcmp(rest + 4 + len, "onetwo", 6));
	chunk.len = 5;
	chunk.off = 8192;
	len = ghost_chunk_entry__pack(&chunk, packed);
	ASSERT_TRUE(!memcmp(next + 4, packed, len) && !memcmp(next + 4 + len, "three", 5));
}

OVM_TEST(image, an_eventfd_has_its_count)
{
	struct ovm_rec_eventfd eventfd = {.count = 1234};

	image_model_init(&model);
	model.files[MODEL_LOG].kind = OVM_REC_FILE_EVENTFD;
	model.files[MODEL_LOG].flags = 04002;
	model.files[MODEL_LOG].eventfd = &eventfd;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(FdinfoEntry, info, "fdinfo-2.img", fdinfo_entry__descriptor, 1);
	MESSAGE(FileEntry, file, "files.img", file_entry__descriptor, info->id - 1);
	ASSERT_EQ_U64(info->type, FD_TYPES__EVENTFD);
	ASSERT_TRUE(file->efd);
	ASSERT_EQ_U64(file->efd->counter, 1234);
	ASSERT_EQ_U64(file->efd->flags, 04002);
}

OVM_TEST(image, a_directory_without_a_name_is_empty)
{
	struct ovm_rec_ghost ghost = {.mtime_sec = 7};
	struct ovm_rec_file *cwd = &model.files[MODEL_CWD];
	char rest[8];

	image_model_init(&model);
	cwd->ghost = &ghost;
	cwd->unlinked = 1;
	cwd->mode = S_IFDIR | 0711;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(FsEntry, fs, "fs-4711.img", fs_entry__descriptor, 0);
	MESSAGE(RemapFilePathEntry, remap, "remap-fpath.img", remap_file_path_entry__descriptor, 0);
	ASSERT_EQ_U64(remap->orig_id, fs->cwd_id);
	__attribute__((cleanup(free_message))) GhostFileEntry *entry =
		read_ghost("ghost-file-1.img", rest, sizeof(rest));
	ASSERT_TRUE(entry);
	ASSERT_EQ_U64(entry->mode, S_IFDIR | 0711);
	ASSERT_FALSE(entry->has_chunks || entry->has_size || rest[0]);
}

OVM_TEST(image, a_signalfd_has_its_signals)
{
	struct ovm_rec_signalfd signalfd = {.signals = 0x8000000000000201};

	image_model_init(&model);
	model.files[MODEL_LOG].kind = OVM_REC_FILE_SIGNALFD;
	model.files[MODEL_LOG].flags = 04002;
	model.files[MODEL_LOG].signalfd = &signalfd;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(FdinfoEntry, info, "fdinfo-2.img", fdinfo_entry__descriptor, 1);
	MESSAGE(FileEntry, file, "files.img", file_entry__descriptor, info->id - 1);
	ASSERT_EQ_U64(info->type, FD_TYPES__SIGNALFD);
	ASSERT_TRUE(file->sgfd);
	ASSERT_EQ_U64(file->sgfd->sigmask, 0x8000000000000201);
	ASSERT_EQ_U64(file->sgfd->flags, 04002);
}

/* A chain of entries. */
static void make_epoll(struct ovm_rec_epoll *epoll, struct ovm_rec_epoll_entry *entries, size_t nr)
{
	*epoll = (struct ovm_rec_epoll){.entries = nr ? entries : NULL, .nr_entries = nr};
	for (size_t i = 0; i < nr; i++)
		entries[i].next = i + 1 < nr ? &entries[i + 1] : NULL;
	model.files[MODEL_LOG].kind = OVM_REC_FILE_EPOLL;
	model.files[MODEL_LOG].epoll = epoll;
}

OVM_TEST(image, an_epoll_instance_has_entries_that_each_have_a_descriptor)
{
	struct ovm_rec_epoll epoll;

	image_model_init(&model);
	model.files[MODEL_NULL].dev_major = 8;
	model.files[MODEL_NULL].dev_minor = 1;
	/* The first file has descriptors 0 and 2, the second one has 7. */
	struct ovm_rec_epoll_entry entries[] = {
		{.file = model.files[MODEL_NULL].file, .fd = 5, .events = 0x19, .data = 50},
		{.file = model.files[MODEL_NULL].file,
		 .fd = 0,
		 .events = 0x80000005,
		 .data = ~0ull},
		{.file = model.files[MODEL_MEMFD].file, .fd = 0, .events = 1, .data = 70},
	};

	make_epoll(&epoll, entries, 3);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(FdinfoEntry, info, "fdinfo-2.img", fdinfo_entry__descriptor, 1);
	MESSAGE(FileEntry, file, "files.img", file_entry__descriptor, info->id - 1);
	ASSERT_EQ_U64(info->type, FD_TYPES__EVENTPOLL);
	ASSERT_TRUE(file->epfd);
	ASSERT_EQ_U64(file->epfd->id, info->id);
	ASSERT_EQ_U64(file->epfd->n_tfd, 3);
	const uint32_t fds[] = {2, 0, 7};

	for (size_t i = 0; i < 3; i++) {
		const EventpollTfdEntry *tfd = file->epfd->tfd[i];

		ASSERT_EQ_U64(tfd->id, info->id);
		ASSERT_EQ_U64(tfd->tfd, fds[i]);
		ASSERT_EQ_U64(tfd->events, entries[i].events);
		ASSERT_EQ_U64(tfd->data, entries[i].data);
	}
	ASSERT_EQ_U64(file->epfd->tfd[0]->dev, 0x800001);
	ASSERT_EQ_U64(file->epfd->tfd[0]->inode, 100 + MODEL_NULL);
}

OVM_TEST(image, an_epoll_instance_may_be_empty)
{
	struct ovm_rec_epoll epoll;

	image_model_init(&model);
	make_epoll(&epoll, NULL, 0);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(FdinfoEntry, info, "fdinfo-2.img", fdinfo_entry__descriptor, 1);
	MESSAGE(FileEntry, file, "files.img", file_entry__descriptor, info->id - 1);
	ASSERT_TRUE(file->epfd && !file->epfd->n_tfd);
}

OVM_TEST(image, a_timerfd_goes_on_as_if_it_had_just_been_looked_at)
{
	/* At 5.000000001 s on CLOCK_MONOTONIC, 6.000000002 on CLOCK_BOOTTIME, 7 on CLOCK_REALTIME.
	 */
	const struct {
		struct ovm_rec_timerfd timer;
		uint64_t ticks, left, flags;
	} table[] = {
		{{.clock = 1, .base_clock = 1, .armed = 1, .expires = 5000000003}, 0, 2, 0},
		{{.clock = 7, .base_clock = 7, .armed = 1, .expires = 8000000002},
		 0,
		 2000000000,
		 0},
		/* Its interrupt is late. */
		{{.clock = 1, .base_clock = 1, .armed = 1, .expires = 5}, 0, 1, 0},
		/* Off, or expired; CRIU would start it if it was absolute. */
		{{.clock = 1, .base_clock = 1, .settime_flags = 1}, 0, 0, 0},
		{{.clock = 0, .base_clock = 0, .settime_flags = 1, .expired = 1, .ticks = 1},
		 1,
		 0,
		 0},
		/* Periodic, and not read since: it stands still. */
		{{.clock = 1,
		  .base_clock = 1,
		  .interval = 1000000000,
		  .expired = 1,
		  .ticks = 1,
		  .expires = 2500000001},
		 3,
		 500000000,
		 0},
		{{.clock = 0,
		  .base_clock = 0,
		  .armed = 1,
		  .expires = 7000000010,
		  .settime_flags = 3,
		  .interval = 5},
		 0,
		 10,
		 3},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		image_model_init(&model);
		model.set.clock_realtime = 7000000000;
		struct ovm_rec_timerfd timerfd = table[i].timer;

		model.files[MODEL_LOG].kind = OVM_REC_FILE_TIMERFD;
		model.files[MODEL_LOG].timerfd = &timerfd;
		WITH_DIRECTORY(fd);
		ASSERT_OK(ovm_image_write(&model.set, fd));
		MESSAGE(FdinfoEntry, info, "fdinfo-2.img", fdinfo_entry__descriptor, 1);
		MESSAGE(FileEntry, file, "files.img", file_entry__descriptor, info->id - 1);
		ASSERT_TRUE(file->tfd);
		ASSERT_EQ_U64(file->tfd->clockid, (uint64_t)timerfd.clock);
		ASSERT_EQ_U64(file->tfd->ticks, table[i].ticks);
		ASSERT_EQ_U64(file->tfd->vsec * 1000000000 + file->tfd->vnsec, table[i].left);
		ASSERT_EQ_U64(file->tfd->settime_flags, table[i].flags);
		ASSERT_EQ_U64(file->tfd->isec * 1000000000 + file->tfd->insec, timerfd.interval);
	}
}

OVM_TEST(image, shared_memory_is_a_memfd)
{
	image_model_init(&model);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(MemfdInodeEntry, shm, "memfd.img", memfd_inode_entry__descriptor, 0);
	MESSAGE(MemfdInodeEntry, memfd, "memfd.img", memfd_inode_entry__descriptor, 1);
	MESSAGE(PagemapHead, head, "pagemap-shmem-103.img", pagemap_head__descriptor, 0);
	MESSAGE(PagemapEntry, entry, "pagemap-shmem-103.img", pagemap_entry__descriptor, 1);

	ASSERT_STREQ(shm->name, "/dev/zero");
	ASSERT_EQ_U64(shm->shmid, 103);
	ASSERT_EQ_U64(shm->size, 0x4000);
	ASSERT_STREQ(memfd->name, "blob");
	ASSERT_EQ_U64(memfd->uid, 1000);
	ASSERT_TRUE(memfd->inode_id != shm->inode_id);
	ASSERT_EQ_U64(head->pages_id, 2);
	ASSERT_EQ_U64(entry->vaddr, 0x1000);
	ASSERT_EQ_U64(entry->nr_pages, 2);
	ASSERT_EQ_U64(entry->flags, 4);
}

OVM_TEST(image, equal_or_long_inode_numbers_are_replaced)
{
	const uint64_t numbers[] = {103, UINT64_C(1) << 32, 0};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		image_model_init(&model);
		model.files[MODEL_MEMFD].ino = numbers[i];
		WITH_DIRECTORY(fd);
		ASSERT_OK(ovm_image_write(&model.set, fd));
		MESSAGE(MemfdInodeEntry, shm, "memfd.img", memfd_inode_entry__descriptor, 0);
		MESSAGE(MemfdInodeEntry, memfd, "memfd.img", memfd_inode_entry__descriptor, 1);
		ASSERT_TRUE(shm->shmid && memfd->shmid && shm->shmid != memfd->shmid);
	}
}

OVM_TEST(image, pagemap_is_split_where_laziness_changes)
{
	const struct {
		uint64_t address;
		uint32_t nr, flags;
	} expected[] = {
		{0x404000, 3, 4},
		{0x1000000, 4, 6},
		{0x7ffd00104000, 2, 4},
	};

	image_model_init(&model);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	for (unsigned int i = 0; i < 3; i++) {
		MESSAGE(PagemapEntry, entry, "pagemap-4711.img", pagemap_entry__descriptor, i + 1);
		ASSERT_EQ_U64(entry->vaddr, expected[i].address);
		ASSERT_EQ_U64(entry->nr_pages, expected[i].nr);
		ASSERT_EQ_U64(entry->flags, expected[i].flags);
	}
	ASSERT_FALSE(read_message("pagemap-4711.img", &pagemap_entry__descriptor, 4));
}

OVM_TEST(image, a_huge_pagemap_entry_is_split)
{
	image_model_init(&model);
	model.vmas[MODEL_HEAP].end = 0x1000000 + (UINT64_C(1) << 43);
	model.vmas[MODEL_HEAP].next = &model.vmas[MODEL_SHARED];
	model.pagemap[1].nr_pages = UINT64_C(1) << 31;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(PagemapEntry, first, "pagemap-4711.img", pagemap_entry__descriptor, 2);
	MESSAGE(PagemapEntry, second, "pagemap-4711.img", pagemap_entry__descriptor, 3);
	ASSERT_EQ_U64(first->nr_pages, 1 << 30);
	ASSERT_EQ_U64(second->nr_pages, 1 << 30);
	ASSERT_EQ_U64(second->vaddr, 0x1000000 + (UINT64_C(1) << 42));
}

OVM_TEST(image, pages_outside_of_areas_are_an_error)
{
	image_model_init(&model);
	model.pagemap[1].address = 0x2000000;
	WITH_DIRECTORY(fd);
	ASSERT_ERROR(ovm_image_write(&model.set, fd), OVM_ERROR_CORRUPT, "in no memory area");
}

OVM_TEST(image, pages_out_of_order_are_an_error)
{
	image_model_init(&model);
	model.pagemap[1].address = 0x405000;
	WITH_DIRECTORY(fd);
	ASSERT_ERROR(ovm_image_write(&model.set, fd), OVM_ERROR_CORRUPT, "out of order");
}

OVM_TEST(image, clocks_are_absolute)
{
	image_model_init(&model);
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(TimensEntry, entry, "timens-0.img", timens_entry__descriptor, 0);
	ASSERT_EQ_U64(entry->monotonic->tv_sec, 5);
	ASSERT_EQ_U64(entry->monotonic->tv_nsec, 1);
	ASSERT_EQ_U64(entry->boottime->tv_sec, 6);
}

OVM_TEST(image, stats_have_criu_s_keys)
{
	const struct ovm_image_stats stats = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write_stats(&stats, fd));
	MESSAGE(StatsEntry, entry, "stats-dump", stats_entry__descriptor, 0);
	ASSERT_EQ_U64(entry->dump->frozen_time, 2);
	ASSERT_EQ_U64(entry->dump->pages_written, 7);
	ASSERT_EQ_U64(entry->dump->shpages_written, 11);
}

OVM_TEST(image, later_versions_are_told_of_no_new_privs)
{
	image_model_init(&model);
	model.threads[0].creds.no_new_privs = 1;
	model.threads[0].creds.cap_ambient = UINT64_C(1) << 33;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&model.set, fd));
	MESSAGE(CoreEntry, core, "core-4711.img", core_entry__descriptor, 0);
	ASSERT_EQ_U64(core->thread_core->creds->no_new_privs, 1);
	ASSERT_EQ_U64(core->thread_core->creds->cap_amb[1], 2);
}
