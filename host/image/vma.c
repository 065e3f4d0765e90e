// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a memory area looks in an image.
 */
#include "file_table.h"
#include "ipc.h"
#include "mm.h"

/* mmap(2); the kernel's values on x86-64. */
enum {
	K_MAP_SHARED = 0x1,
	K_MAP_PRIVATE = 0x2,
	K_MAP_ANONYMOUS = 0x20,
	K_MAP_GROWSDOWN = 0x100,
	K_MAP_LOCKED = 0x2000,
	K_MAP_NORESERVE = 0x4000,
	K_MAP_HUGETLB = 0x40000,
	K_MAP_HUGE_SHIFT = 26,
	HUGE_SHIFT_MASK = 0x3f,
};

/* madvise(2). WIPEONFORK is not what CRIU writes, but it restores any advice. */
enum {
	K_MADV_RANDOM = 1,
	K_MADV_SEQUENTIAL = 2,
	K_MADV_DONTFORK = 10,
	K_MADV_MERGEABLE = 12,
	K_MADV_HUGEPAGE = 14,
	K_MADV_NOHUGEPAGE = 15,
	K_MADV_DONTDUMP = 16,
	K_MADV_WIPEONFORK = 18,
};

/* Status of an area (CRIU 3.17.1, criu/include/image.h). */
enum {
	AREA_REGULAR = 1 << 0,
	AREA_VDSO = 1 << 3,
	AREA_HEAP = 1 << 5,
	FILE_PRIVATE = 1 << 6,
	FILE_SHARED = 1 << 7,
	ANON_SHARED = 1 << 8,
	ANON_PRIVATE = 1 << 9,
	AREA_SYSV_IPC = 1 << 10,
	AREA_VVAR = 1 << 12,
	AREA_AIO_RING = 1 << 13,
	AREA_MEMFD = 1 << 14,
};

bool ovm_image_vma_is_private_huge(const struct ovm_rec_vma *vma)
{
	return vma->hugetlb && !vma->may_share && vma->file &&
	       vma->file->kind == OVM_REC_FILE_HUGETLB_ANON;
}

const struct ovm_rec_file *ovm_image_vma_file(const struct ovm_rec_vma *vma)
{
	if (ovm_image_vma_is_private_huge(vma) || ovm_image_vma_is_sysv(vma) || vma->aio_ring)
		return NULL;
	return vma->file;
}

/* Whether restore maps it without a file. */
static bool is_anonymous(const struct ovm_rec_vma *vma)
{
	return !vma->file || ovm_image_vma_is_private_huge(vma);
}

uint32_t ovm_image_vma_flags(const struct ovm_rec_vma *vma)
{
	uint32_t flags = vma->may_share ? K_MAP_SHARED : K_MAP_PRIVATE;

	if (is_anonymous(vma) || ovm_image_vma_is_sysv(vma))
		flags |= K_MAP_ANONYMOUS;
	if (vma->growsdown)
		flags |= K_MAP_GROWSDOWN;
	if (vma->locked)
		flags |= K_MAP_LOCKED;
	if (vma->noreserve)
		flags |= K_MAP_NORESERVE;
	if (vma->hugetlb)
		flags |= K_MAP_HUGETLB | (uint32_t)(vma->huge_shift & HUGE_SHIFT_MASK)
						 << K_MAP_HUGE_SHIFT;
	return flags;
}

/* As the kernel decides what to call [heap] in /proc/PID/maps. */
static bool is_heap(const struct ovm_rec_vma *vma, const struct ovm_rec_mm *mm)
{
	return vma->start <= mm->brk && vma->end >= mm->start_brk;
}

uint32_t ovm_image_vma_status(const struct ovm_rec_vma *vma, const struct ovm_rec_mm *mm)
{
	uint32_t status = AREA_REGULAR;

	if (vma->vdso)
		return status | AREA_VDSO | ANON_PRIVATE;
	if (vma->vvar)
		return status | AREA_VVAR | ANON_PRIVATE;
	if (vma->aio_ring)
		return AREA_AIO_RING;
	if (ovm_image_vma_is_sysv(vma))
		return status | ANON_SHARED | AREA_SYSV_IPC;
	if (is_anonymous(vma))
		return status | ANON_PRIVATE | (!vma->file && is_heap(vma, mm) ? AREA_HEAP : 0);
	if (ovm_image_file_is_memory(vma->file))
		status |= AREA_MEMFD;
	return status | (vma->may_share ? FILE_SHARED : FILE_PRIVATE);
}

uint64_t ovm_image_vma_advice(const struct ovm_rec_vma *vma)
{
	const struct {
		uint8_t given;
		unsigned int advice;
	} table[] = {
		{vma->rand_read, K_MADV_RANDOM},  {vma->seq_read, K_MADV_SEQUENTIAL},
		{vma->dontcopy, K_MADV_DONTFORK}, {vma->mergeable, K_MADV_MERGEABLE},
		{vma->hugepage, K_MADV_HUGEPAGE}, {vma->nohugepage, K_MADV_NOHUGEPAGE},
		{vma->dontdump, K_MADV_DONTDUMP}, {vma->wipe_on_fork, K_MADV_WIPEONFORK},
	};
	uint64_t advice = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].given)
			advice |= UINT64_C(1) << table[i].advice;
	return advice;
}

bool ovm_image_vma_may_be_lazy(const struct ovm_rec_vma *vma)
{
	return is_anonymous(vma) && !vma->may_share && !vma->locked && !vma->hugetlb &&
	       !vma->vdso && !vma->vsyscall;
}
