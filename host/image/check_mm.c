// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory areas that can't be represented, or change.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "file_table.h"
#include "ipc.h"
#include "mm.h"

enum {
	PAGE_SHIFT = 12,
	MEM_MAJOR = 1,
	ZERO_MINOR = 5,
	LOW_ADDRESS_BITS = 47,
};

/* An area that is mapped from a file. */
static const char *file_problem(const struct ovm_rec_vma *vma)
{
	const struct ovm_rec_file *file = vma->file;

	switch (file->kind) {
	case OVM_REC_FILE_REGULAR:
		return ovm_image_path_problem(file);
	case OVM_REC_FILE_MEMFD:
	case OVM_REC_FILE_SHMEM_ANON:
	case OVM_REC_FILE_MEMFD_HUGETLB:
	case OVM_REC_FILE_HUGETLB_ANON:
		return NULL;
	case OVM_REC_FILE_CHRDEV_MEM:
		if (file->rdev_major == MEM_MAJOR && file->rdev_minor == ZERO_MINOR &&
		    !vma->may_share)
			return ovm_image_path_problem(file);
		return "maps device memory, which can't be saved";
	default:
		return "maps a file of a kind that can't be saved";
	}
}

/* Protection keys are not restored; the kernel itself uses one where only execution is allowed. */
static bool uses_key(const struct ovm_rec_vma *vma)
{
	return vma->pkey && (vma->read || vma->write || !vma->exec);
}

static const char *kernel_problem(const struct ovm_rec_vma *vma)
{
	if (vma->vdso || !strcmp(vma->special, "[vvar]"))
		return NULL;
	return "is a kernel mapping that CRIU 3.17.1 does not know";
}

static const char *vma_problem(const struct ovm_rec_vma *before, const struct ovm_rec_vma *vma)
{
	if (vma->start >= vma->end || (vma->start | vma->end) & ((1 << PAGE_SHIFT) - 1))
		return "has impossible bounds";
	if (vma->special[0] || vma->vdso || vma->vvar)
		return kernel_problem(vma);
	if (vma->uffd)
		return "is watched by userfaultfd, which CRIU can't restore";
	if (vma->shadow_stack)
		return "is a shadow stack: start the program with "
		       "GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK";
	if (uses_key(vma))
		return "has a protection key, which CRIU does not restore";
	if (vma->pfnmap || vma->io || vma->mixedmap)
		return "maps device memory, which can't be saved";
	if (vma->aio_ring)
		return ovm_image_aio_ring_problem(vma);
	if (!vma->file)
		return vma->may_share ? "is shared memory without an object" : NULL;
	if (vma->pgoff >> (64 - PAGE_SHIFT))
		return "has an impossible offset";
	if (ovm_image_vma_is_sysv(vma))
		return ovm_image_sysv_problem(before, vma);
	if (vma->hugetlb && !ovm_image_file_is_memory(vma->file))
		return "is of huge pages of a file, which this version does not save";
	return file_problem(vma);
}

static void check_vma(struct ovm_image_report *report, const struct ovm_rec_vma *before,
		      const struct ovm_rec_vma *vma)
{
	const char *problem = vma_problem(before, vma), *name = vma->special;
	char quoted[OVM_IMAGE_QUOTED_MAX] = "";

	if (!problem)
		return;
	if (vma->file)
		name = ovm_image_quote(vma->file->path.data, vma->file->path.len, quoted);
	else
		name = ovm_image_quote(name, strnlen(name, sizeof(vma->special)), quoted);
	ovm_image_reason(report, "memory 0x%llx-0x%llx%s%s%s: %s", (unsigned long long)vma->start,
			 (unsigned long long)vma->end, name[0] ? " (" : "", name,
			 name[0] ? ")" : "", problem);
}

struct losses {
	size_t on_fault, sealed, droppable, named, high;
};

static void count_losses(struct losses *losses, const struct ovm_rec_vma *vma)
{
	losses->on_fault += vma->lock_on_fault != 0;
	losses->sealed += vma->sealed != 0;
	losses->droppable += vma->droppable != 0;
	losses->named += vma->anon_name.len != 0;
	losses->high += vma->end >> LOW_ADDRESS_BITS != 0 && !vma->vsyscall;
}

static void warn_losses(struct ovm_image_report *report, const struct losses *losses)
{
	const struct {
		size_t nr;
		const char *what;
	} table[] = {
		{losses->on_fault, "locked when touched (MLOCK_ONFAULT) are locked as a whole"},
		{losses->sealed, "sealed (mseal) are not sealed"},
		{losses->droppable, "droppable (MAP_DROPPABLE) are ordinary memory"},
		{losses->named, "named (PR_SET_VMA_ANON_NAME) have no name"},
		{losses->high, "above 47 bits of address need a CPU with 5-level page tables"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].nr)
			ovm_image_warn(report, "%zu memory areas %s after a restore", table[i].nr,
				       table[i].what);
}

static int compare_inodes(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static bool has_object(const struct ovm_image_report *report, const struct ovm_rec_file *file)
{
	return bsearch(&file->inode, report->objects, report->nr_objects, sizeof(*report->objects),
		       compare_inodes);
}

/* Private huge pages are restored without the file, which holds nothing. */
static bool needs_object(const struct ovm_rec_file *file)
{
	return ovm_image_file_is_memory(file) && file->size &&
	       (file->kind != OVM_REC_FILE_HUGETLB_ANON || file->mapped_shared);
}

/* Through /proc/PID/map_files a process can have private mappings of what others share. */
static void check_private_huge(struct ovm_image_report *report, const struct ovm_rec_process *rec)
{
	for (const struct ovm_rec_vma *vma = rec->mm.vmas; vma; vma = vma->next)
		if (ovm_image_vma_is_private_huge(vma) && has_object(report, vma->file))
			ovm_image_reason(report,
					 "memory 0x%llx-0x%llx: is a private mapping of shared "
					 "huge pages, which this version does not save",
					 (unsigned long long)vma->start,
					 (unsigned long long)vma->end);
}

/* Sort the inodes of the objects, for questions that come with each file. */
static bool sort_objects(struct ovm_image_report *report)
{
	size_t nr = 0;

	for (const struct ovm_rec_shmem *shmem = report->set->tree->shmem; shmem;
	     shmem = shmem->next)
		nr++;
	report->objects = calloc(nr + 1, sizeof(*report->objects));
	if (!report->objects)
		return false;
	for (const struct ovm_rec_shmem *shmem = report->set->tree->shmem; shmem;
	     shmem = shmem->next)
		report->objects[report->nr_objects++] = shmem->inode;
	qsort(report->objects, nr, sizeof(*report->objects), compare_inodes);
	return true;
}

void ovm_image_check_shared_memory(struct ovm_image_report *report)
{
	const struct ovm_rec_tree *tree = report->set->tree;

	if (!sort_objects(report)) {
		report->out_of_memory = true;
		return;
	}
	for (const struct ovm_rec_file *file = tree->files; file; file = file->next)
		if (needs_object(file) && !has_object(report, file))
			ovm_image_reason(report,
					 "shared memory (inode %llu): its content is not "
					 "known",
					 (unsigned long long)file->ino);
	for (const struct ovm_rec_shmem *shmem = tree->shmem; shmem; shmem = shmem->next)
		if (shmem->nr_swapped)
			ovm_image_reason(report,
					 "shared memory (inode %llu): %llu pages are swapped out: "
					 "run 'swapoff -a' in the guest, or give it more memory",
					 (unsigned long long)shmem->ino,
					 (unsigned long long)shmem->nr_swapped);
}

static void check_aio(struct ovm_image_report *report, const struct ovm_rec_mm *mm)
{
	for (const struct ovm_rec_aio *aio = mm->aio; aio; aio = aio->next) {
		if (!aio->ring || aio->ring->pages->size != aio->size)
			ovm_image_reason(report,
					 "asynchronous I/O (io_setup): the ring at 0x%llx is no "
					 "longer mapped there",
					 (unsigned long long)aio->start);
		if (aio->nr_in_flight)
			ovm_image_reason(report,
					 "asynchronous I/O (io_submit): %llu requests are not "
					 "completed%s",
					 (unsigned long long)aio->nr_in_flight,
					 aio->nr_waiting ? ", and wait for events (IOCB_CMD_POLL): "
							   "CRIU can't save them"
							 : ": try again");
	}
}

/* A mapping keeps a file open, and its locks with it. */
static void check_locked(struct ovm_image_report *report, const struct ovm_rec_vma *vma)
{
	const struct ovm_rec_file *file = vma->file;
	char quoted[OVM_IMAGE_QUOTED_MAX];

	if (file && !file->nr_fds && !file->nr_passed && ovm_image_has_shared_locks(file))
		ovm_image_reason(report,
				 "memory 0x%llx-0x%llx (%s): maps a file with a lock to which no "
				 "descriptor leads: CRIU would lose the lock",
				 (unsigned long long)vma->start, (unsigned long long)vma->end,
				 ovm_image_quote(file->path.data, file->path.len, quoted));
}

void ovm_image_check_memory(struct ovm_image_report *report, const struct ovm_image_process *p)
{
	const struct ovm_rec_mm *mm = &p->rec->mm;
	const struct ovm_rec_vma *before = NULL;
	struct losses losses = {0};
	uint64_t last = 0;
	bool sorted = true;

	for (const struct ovm_rec_vma *vma = mm->vmas; vma; vma = vma->next) {
		sorted = sorted && vma->start >= last;
		last = vma->end;
		if (vma->vsyscall)
			continue;
		check_vma(report, before, vma);
		check_locked(report, vma);
		count_losses(&losses, vma);
		before = vma;
	}
	if (!mm->vmas || !sorted)
		ovm_image_reason(report, "its memory areas are %s",
				 sorted ? "not known" : "out of order");
	check_private_huge(report, p->rec);
	check_aio(report, mm);
	warn_losses(report, &losses);
}
