// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces: their bounds, their areas.
 */
#include <linux/mm.h>
#include <linux/percpu_counter.h>

#include <asm/vdso.h>

#include "extract.h"
#include "timer.h"
#include "vma_iter.h"

/* f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter", v6.2). */
struct mm_struct___percpu_rss {
	struct percpu_counter rss_stat[NR_MM_COUNTERS];
};

/* "mm: convert core mm to mm_flags_*() accessors" (v6.18). */
struct mm_flags___ovm {
	unsigned long __mm_flags[1];
};

struct mm_struct___flag_words {
	struct mm_flags___ovm flags;
};

/* Names of anonymous areas, 9a10064f5625 ("mm: add a field to store names for private anonymous
 * memory", v5.17), when CONFIG_ANON_VMA_NAME is set. */
struct vm_area_struct___named {
	struct anon_vma_name *anon_name;
};

/* Bits of vm_flags that Linux 6.1 does not have. */
static const u64 vm_shadow_stack = 1ULL << 37; /* v6.6 */
static const u64 vm_droppable = 1ULL << 40;    /* v6.11 */
static const u64 vm_sealed_low = 1ULL << 42;   /* v6.18 */
static const u64 vm_sealed_high = 1ULL << 63;  /* v6.10 */

enum {
	/* linux/sched/coredump.h, linux/mm_types.h */
	MMF_DUMPABLE = 3,
	MMF_UPROBES_BIT = 19,
	MMF_THP_DISABLED_BIT = 24,
	PKEY_SHIFT = 32,
	PKEY_MASK = 15,
	ANON_NAME_MAX = 80,
};

LLV_SHARED __u64 ovm_mm_flags(const struct mm_struct *mm)
{
	if (llv_field_exists(struct mm_struct___flag_words, flags.__mm_flags))
		return llv_load_u64(&((const struct mm_struct___flag_words *)mm)->flags);
	return mm->flags;
}

LLV_SHARED __u64 ovm_mm_counter(struct mm_struct *mm, unsigned int member)
{
	__s64 sum;

	if (llv_type_exists(struct mm_rss_stat)) {
		sum = mm->rss_stat.count[member].counter;
	} else {
		const struct percpu_counter *counters =
			((const struct mm_struct___percpu_rss *)mm)->rss_stat;

		sum = ovm_percpu_counter_sum(&counters[member]);
	}
	/* Counters that are summed while they change may go below zero. */
	return sum > 0 ? sum : 0;
}

static void bounds(const struct mm_struct *mm, struct ovm_rec_mm __host *rec)
{
	rec->pgd = OVM_IDENTITY(mm->pgd);
	rec->start_code = mm->start_code;
	rec->end_code = mm->end_code;
	rec->start_data = mm->start_data;
	rec->end_data = mm->end_data;
	rec->start_stack = mm->start_stack;
	rec->start_brk = mm->start_brk;
	rec->brk = mm->brk;
	rec->arg_start = mm->arg_start;
	rec->arg_end = mm->arg_end;
	rec->env_start = mm->env_start;
	rec->env_end = mm->env_end;
	rec->task_size = mm->task_size;
	rec->map_count = mm->map_count;
	rec->total_vm = mm->total_vm;
}

/* Pairs of words up to AT_NULL; the array may be longer, and of another size than here. */
static void auxv(const struct mm_struct *mm, struct ovm_rec_mm __host *rec)
{
	const unsigned long *words = mm->saved_auxv;
	unsigned int max = llv_field_count(struct mm_struct, saved_auxv);

	if (max > OVM_REC_AUXV_WORDS)
		max = OVM_REC_AUXV_WORDS;
	for (unsigned int i = 0; i + 1 < max && i + 1 < OVM_REC_AUXV_WORDS; i += 2) {
		rec->auxv[i] = llv_load_u64(&words[i]);
		rec->auxv[i + 1] = llv_load_u64(&words[i + 1]);
		rec->nr_auxv = i + 2;
		if (!rec->auxv[i])
			return;
	}
}

static void counters(struct mm_struct *mm, struct ovm_rec_mm __host *rec)
{
	rec->rss_file = ovm_mm_counter(mm, MM_FILEPAGES);
	rec->rss_anon = ovm_mm_counter(mm, MM_ANONPAGES);
	rec->swap_entries = ovm_mm_counter(mm, MM_SWAPENTS);
	rec->rss_shmem = ovm_mm_counter(mm, MM_SHMEMPAGES);
}

static void flags(const struct mm_struct *mm, struct ovm_rec_mm __host *rec)
{
	rec->flags = ovm_mm_flags(mm);
	rec->dumpable = rec->flags & MMF_DUMPABLE;
	if (llv_field_exists(struct mm_struct, membarrier_state))
		rec->membarrier_state = llv_load_u32(&mm->membarrier_state);
	rec->thp_disabled = rec->flags >> MMF_THP_DISABLED_BIT & 1;
	rec->has_uprobes = rec->flags >> MMF_UPROBES_BIT & 1;
	ovm_aio_contexts(mm, rec);
}

static void vdso(const struct mm_struct *mm, struct ovm_rec_mm __host *rec)
{
	rec->vdso = OVM_IDENTITY(mm->context.vdso);
	if (!rec->vdso || !mm->context.vdso_image)
		return;
	rec->vdso_data = OVM_IDENTITY(mm->context.vdso_image->data);
	rec->vdso_size = mm->context.vdso_image->size;
}

/* What the bits mean is part of the kernel's ABI with itself only; see linux/mm.h. */
static void decode_flags(u64 flags, struct ovm_rec_vma __host *rec)
{
	rec->flags = flags;
	rec->read = !!(flags & VM_READ);
	rec->write = !!(flags & VM_WRITE);
	rec->exec = !!(flags & VM_EXEC);
	rec->shared = !!(flags & VM_SHARED);
	rec->may_share = !!(flags & VM_MAYSHARE);
	rec->growsdown = !!(flags & VM_GROWSDOWN);
	rec->locked = !!(flags & VM_LOCKED);
	rec->lock_on_fault = !!(flags & VM_LOCKONFAULT);
	rec->noreserve = !!(flags & VM_NORESERVE);
	rec->hugetlb = !!(flags & VM_HUGETLB);
	rec->pfnmap = !!(flags & VM_PFNMAP);
	rec->mixedmap = !!(flags & VM_MIXEDMAP);
	rec->io = !!(flags & VM_IO);
	rec->seq_read = !!(flags & VM_SEQ_READ);
	rec->rand_read = !!(flags & VM_RAND_READ);
	rec->dontcopy = !!(flags & VM_DONTCOPY);
	rec->dontdump = !!(flags & VM_DONTDUMP);
	rec->mergeable = !!(flags & VM_MERGEABLE);
	rec->hugepage = !!(flags & VM_HUGEPAGE);
	rec->nohugepage = !!(flags & VM_NOHUGEPAGE);
	rec->wipe_on_fork = !!(flags & VM_WIPEONFORK);
	rec->softdirty = !!(flags & 0x08000000);
	rec->uffd = !!(flags & (VM_UFFD_MISSING | VM_UFFD_WP));
	rec->pkey = flags >> PKEY_SHIFT & PKEY_MASK;
}

/* The bit of shadow stacks was one of userfaultfd's before there were any. */
static void decode_new_flags(u64 flags, struct ovm_rec_vma __host *rec)
{
	rec->sealed = !!(flags & (vm_sealed_low | vm_sealed_high));
	rec->droppable = !!(flags & vm_droppable);
	if (llv_symbol_exists("__x64_sys_map_shadow_stack"))
		rec->shadow_stack = !!(flags & vm_shadow_stack);
}

/* Areas that the kernel made: private data leads to a description with a name. */
static void special(const struct vm_area_struct *vma, struct ovm_rec_vma __host *rec)
{
	u64 ops = OVM_IDENTITY(vma->vm_ops);

	if (!ops || ops != llv_symbol("special_mapping_vmops"))
		return;
	const struct vm_special_mapping *mapping = vma->vm_private_data;

	if (!mapping || !mapping->name)
		return;
	llv_strcpy(rec->special, mapping->name);
	rec->vdso = llv_streq(mapping->name, "[vdso]");
	rec->vvar = llv_starts_with(mapping->name, "[vvar");
}

static void anon_name(const struct vm_area_struct *vma, struct ovm_rec_vma __host *rec)
{
	if (vma->vm_file || !llv_field_exists(struct vm_area_struct___named, anon_name))
		return;
	const struct anon_vma_name *name = ((const struct vm_area_struct___named *)vma)->anon_name;

	if (name)
		llv_string(&rec->anon_name, name->name, ANON_NAME_MAX);
}

static void area_file(struct ovm_files __host *files, const struct vm_area_struct *vma,
		      struct ovm_rec_vma __host *rec)
{
	if (!vma->vm_file)
		return;
	rec->file = ovm_file(files, vma->vm_file);
	rec->file->nr_areas++;
	if (rec->may_share)
		rec->file->mapped_shared = 1;
	if (rec->hugetlb)
		rec->huge_shift = rec->file->huge_shift;
	rec->aio_ring = ovm_aio_ring(vma->vm_file);
}

static void aio_ring(struct ovm_rec_mm __host *mm, const struct ovm_rec_vma __host *vma)
{
	struct ovm_rec_aio __host *aio = mm->aio;

	if (!vma->aio_ring)
		return;
	while (aio && aio->start != vma->start)
		aio = aio->next;
	if (aio)
		aio->ring = vma->aio_ring;
}

static void area(struct ovm_files __host *files, const struct vm_area_struct *vma,
		 struct ovm_rec_vma __host *rec)
{
	rec->start = vma->vm_start;
	rec->end = vma->vm_end;
	rec->pgoff = vma->vm_pgoff;
	decode_flags(vma->vm_flags, rec);
	decode_new_flags(rec->flags, rec);
	rec->anon_vma = vma->anon_vma != NULL;
	if (llv_field_exists(struct vm_area_struct, vm_userfaultfd_ctx.ctx))
		rec->uffd |= vma->vm_userfaultfd_ctx.ctx != NULL;
	area_file(files, vma, rec);
	special(vma, rec);
	anon_name(vma, rec);
}

static void areas(struct ovm_files __host *files, struct mm_struct *mm,
		  struct ovm_rec_mm __host *rec)
{
	struct ovm_rec_vma __host *__host *link = &rec->vmas;
	struct vm_area_struct *vma;
	struct ovm_vma_iter it;
	u64 last = 0;

	ovm_vma_iter_start(&it, mm);
	while ((vma = ovm_vma_iter_next(&it))) {
		struct ovm_rec_vma __host *to = llv_new(struct ovm_rec_vma);

		area(files, vma, to);
		aio_ring(rec, to);
		if (to->start < last || to->end <= to->start || vma->vm_mm != mm)
			llv_fail(LLV_CORRUPT, vma, "memory areas out of order");
		last = to->end;
		*link = to;
		link = &to->next;
		rec->nr_vmas++;
	}
}

LLV_SHARED void ovm_mm(struct ovm_files __host *files, struct mm_struct *mm,
		       struct ovm_rec_mm __host *rec)
{
	rec->identity = OVM_IDENTITY(mm);
	bounds(mm, rec);
	auxv(mm, rec);
	counters(mm, rec);
	flags(mm, rec);
	vdso(mm, rec);
	if (mm->exe_file)
		rec->exe = ovm_file(files, mm->exe_file);
	areas(files, mm, rec);
}
