// SPDX-License-Identifier: GPL-2.0-only
/*
 * mm-PID.img: the address space.
 */
#include "mm.h"

#include <string.h>
#include <sys/mman.h>

#include "file.h"
#include "ipc.h"
#include "pool.h"
#include "proto/mm.pb-c.h"
#include "write.h"

enum {
	PAGE_SHIFT = 12,
	/* FMODE_READ, FMODE_WRITE */
	F_MODE_READ = 1,
	F_MODE_WRITE = 2,
	K_O_RDONLY = 0,
	K_O_WRONLY = 1,
	K_O_RDWR = 2,
	AT_VECTOR_END = 0,
};

/* Types of the auxiliary vector that may be left out, the first ones first. */
static const uint64_t auxv_dispensable[] = {
	30, /* AT_HWCAP4 */
	29, /* AT_HWCAP3 */
	28, /* AT_RSEQ_ALIGN */
	27, /* AT_RSEQ_FEATURE_SIZE */
	51, /* AT_MINSIGSTKSZ */
};

static uint32_t drop_auxv(uint64_t *words, uint32_t nr, uint64_t type)
{
	for (uint32_t i = 0; i + 2 <= nr; i += 2) {
		if (words[i] != type)
			continue;
		memmove(&words[i], &words[i + 2], (nr - i - 2) * sizeof(*words));
		return nr - 2;
	}
	return nr;
}

uint32_t ovm_image_auxv(const struct ovm_rec_mm *mm, uint64_t words[OVM_IMAGE_AUXV_MAX])
{
	uint64_t all[OVM_REC_AUXV_WORDS];
	uint32_t nr = 0, max = mm->nr_auxv < OVM_REC_AUXV_WORDS ? mm->nr_auxv : OVM_REC_AUXV_WORDS;

	while (nr + 2 <= max) {
		all[nr] = mm->auxv[nr];
		all[nr + 1] = mm->auxv[nr + 1];
		nr += 2;
		if (all[nr - 2] == AT_VECTOR_END)
			break;
	}
	/* The kernel clears what follows the words that it is given (prctl_set_mm_map()), which
	 * ends the vector as well. */
	if (nr > OVM_IMAGE_AUXV_MAX && all[nr - 2] == AT_VECTOR_END)
		nr -= 2;
	for (size_t i = 0; i < sizeof(auxv_dispensable) / sizeof(auxv_dispensable[0]); i++)
		if (nr > OVM_IMAGE_AUXV_MAX)
			nr = drop_auxv(all, nr, auxv_dispensable[i]);
	if (nr > OVM_IMAGE_AUXV_MAX)
		nr = OVM_IMAGE_AUXV_MAX;
	memcpy(words, all, nr * sizeof(*words));
	return nr;
}

static uint32_t protection(const struct ovm_rec_vma *vma)
{
	return (vma->read ? PROT_READ : 0) | (vma->write ? PROT_WRITE : 0) |
	       (vma->exec ? PROT_EXEC : 0);
}

/* How the mapped file was opened, as /proc/PID/map_files shows it. */
static uint32_t open_mode(const struct ovm_rec_file *file)
{
	if (!(file->fmode & F_MODE_WRITE))
		return K_O_RDONLY;
	return file->fmode & F_MODE_READ ? K_O_RDWR : K_O_WRONLY;
}

/* What is mapped: a file, or a segment of System V shared memory; 0 for a ring of events. */
static uint64_t object_id(const struct ovm_image_job *job, const struct ovm_rec_vma *vma)
{
	if (ovm_image_vma_is_sysv(vma))
		return vma->file->ino;
	return ovm_image_vma_file(vma)
		       ? ovm_image_file_id(job->files, vma->file, OVM_IMAGE_FILE_PATH)
		       : 0;
}

static void fill_vma(const struct ovm_image_job *job, const struct ovm_rec_vma *vma,
		     VmaEntry *entry)
{
	vma_entry__init(entry);
	entry->start = vma->start;
	entry->end = vma->end;
	entry->prot = protection(vma);
	entry->flags = ovm_image_vma_flags(vma);
	entry->status = ovm_image_vma_status(vma, &job->process->rec->mm);
	entry->fd = -1;
	entry->madv = ovm_image_vma_advice(vma);
	entry->has_madv = entry->madv != 0;
	if (!vma->file || ovm_image_vma_is_private_huge(vma))
		return;
	entry->pgoff = vma->pgoff << PAGE_SHIFT;
	entry->shmid = object_id(job, vma);
	entry->has_fdflags = true;
	entry->fdflags = open_mode(vma->file);
}

static bool fill_vmas(const struct ovm_image_job *job, struct ovm_image_pool *pool, MmEntry *entry)
{
	const struct ovm_rec_mm *mm = &job->process->rec->mm;
	size_t nr = 0;

	for (const struct ovm_rec_vma *vma = mm->vmas; vma; vma = vma->next)
		nr += !vma->vsyscall;
	VmaEntry *vmas = ovm_image_alloc(pool, nr, sizeof(*vmas));

	entry->vmas = ovm_image_alloc(pool, nr, sizeof(*entry->vmas));
	if (!vmas || !entry->vmas)
		return false;
	for (const struct ovm_rec_vma *vma = mm->vmas; vma; vma = vma->next) {
		if (vma->vsyscall)
			continue;
		fill_vma(job, vma, &vmas[entry->n_vmas]);
		entry->vmas[entry->n_vmas] = &vmas[entry->n_vmas];
		entry->n_vmas++;
	}
	return true;
}

static bool fill_aio(const struct ovm_rec_mm *mm, struct ovm_image_pool *pool, MmEntry *entry)
{
	size_t nr = 0;

	for (const struct ovm_rec_vma *vma = mm->vmas; vma; vma = vma->next)
		nr += vma->aio_ring != NULL;
	AioRingEntry *rings = ovm_image_alloc(pool, nr, sizeof(*rings));

	entry->aios = ovm_image_alloc(pool, nr, sizeof(*entry->aios));
	if (!rings || !entry->aios)
		return false;
	for (const struct ovm_rec_vma *vma = mm->vmas; vma; vma = vma->next) {
		if (!vma->aio_ring)
			continue;
		AioRingEntry *ring = &rings[entry->n_aios];

		aio_ring_entry__init(ring);
		ring->id = vma->start;
		ring->nr_req = ovm_image_aio_requests(vma);
		ring->ring_len = (uint32_t)(vma->end - vma->start);
		entry->aios[entry->n_aios++] = ring;
	}
	return true;
}

static void fill_bounds(MmEntry *entry, const struct ovm_rec_mm *mm)
{
	entry->mm_start_code = mm->start_code;
	entry->mm_end_code = mm->end_code;
	entry->mm_start_data = mm->start_data;
	entry->mm_end_data = mm->end_data;
	entry->mm_start_stack = mm->start_stack;
	entry->mm_start_brk = mm->start_brk;
	entry->mm_brk = mm->brk;
	entry->mm_arg_start = mm->arg_start;
	entry->mm_arg_end = mm->arg_end;
	entry->mm_env_start = mm->env_start;
	entry->mm_env_end = mm->env_end;
}

struct ovm_error *ovm_image_write_mm(const struct ovm_image_job *job)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	const struct ovm_rec_mm *mm = &job->process->rec->mm;
	uint64_t auxv[OVM_IMAGE_AUXV_MAX];
	MmEntry entry = MM_ENTRY__INIT;

	fill_bounds(&entry, mm);
	entry.exe_file_id = ovm_image_file_id(job->files, mm->exe, OVM_IMAGE_FILE_PATH);
	entry.mm_saved_auxv = auxv;
	entry.n_mm_saved_auxv = ovm_image_auxv(mm, auxv);
	if (!fill_vmas(job, &pool, &entry) || !fill_aio(mm, &pool, &entry))
		return ovm_error_no_memory();
	entry.has_dumpable = entry.has_thp_disabled = true;
	entry.dumpable = (int32_t)mm->dumpable;
	entry.thp_disabled = mm->thp_disabled;
	return ovm_image_file_write(job->dir_fd, OVM_IMAGE_MM, (uint64_t)job->process->rec->pid,
				    &entry.base);
}
