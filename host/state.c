// SPDX-License-Identifier: GPL-2.0-only
#include "state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/image/report.h"
#include "host/pages_mark.h"
#include "vmi/cleanup.h"
#include "xsave.h"

enum {
	/* Layout of struct rseq and struct rseq_cs (include/uapi/linux/rseq.h). */
	RSEQ_CS_OFFSET = 8,
	RSEQ_CS_SIZE = 32,
	/* What is kept of each thread's extended state: images have nothing beyond. */
	SAVED_XSAVE = OVM_XSAVE_TILECFG,
};

/* The error for a thread that can't be taken now; the caller tries again. */
static struct ovm_error *not_now(const struct ovm_rec_thread *thread, const char *why)
{
	const char *call = NULL;
	char comm[OVM_IMAGE_QUOTED_MAX];

	if (thread->where == OVM_REC_IN_SYSCALL)
		call = ovm_syscall_name((int64_t)thread->regs.orig_ax);
	struct ovm_error *err = ovm_error_format(
		OVM_ERROR_INCONSISTENT, "thread %d (%s) %s%s%s", thread->tid,
		ovm_image_quote(thread->comm, strnlen(thread->comm, sizeof(thread->comm)), comm),
		why, call ? ", in " : "", call ? call : "");

	err->pid = thread->tid;
	return err;
}

static struct ovm_error *check_locks(const struct ovm_rec_quiescence *q)
{
	const struct ovm_rec_lock *lock = q->locks;

	/* What is held for reading only is whole. */
	while (lock && lock->shared)
		lock = lock->next;
	if (!lock)
		return NULL;
	struct ovm_error *err = ovm_error_format(OVM_ERROR_INCONSISTENT, "thread %d: %.*s is held",
						 lock->tid, (int)sizeof(lock->name), lock->name);

	err->pid = lock->tid;
	return err;
}

/* The vCPU that is the guest's CPU @cpu: its per-CPU base is in GS, or waits there for SWAPGS. */
static const struct ovm_vcpu *find_vcpu(struct ovm *ovm, const struct ovm_vcpus *vcpus,
					uint32_t cpu)
{
	uint64_t base;

	if (!ovm_kernel_per_cpu_offset(ovm->kernel, cpu, &base))
		return NULL;
	for (size_t i = 0; i < vcpus->nr; i++) {
		const struct ovm_vcpu *vcpu = &vcpus->vcpus[i];
		bool user = vcpu->cpl == 3;

		if (base == (user ? vcpu->kernel_gs_base : vcpu->segments[OVM_VCPU_GS].base))
			return vcpu;
	}
	return NULL;
}

static struct ovm_settle_cpu settle_cpu(const struct ovm_vcpu *vcpu)
{
	const uint64_t *gprs = vcpu->gprs;

	return (struct ovm_settle_cpu){
		.user = vcpu->cpl == 3,
		.fs_base = vcpu->segments[OVM_VCPU_FS].base,
		.gs_base = vcpu->segments[OVM_VCPU_GS].base,
		.regs =
			{
				.r15 = gprs[OVM_VCPU_R15],
				.r14 = gprs[OVM_VCPU_R14],
				.r13 = gprs[OVM_VCPU_R13],
				.r12 = gprs[OVM_VCPU_R12],
				.bp = gprs[OVM_VCPU_RBP],
				.bx = gprs[OVM_VCPU_RBX],
				.r11 = gprs[OVM_VCPU_R11],
				.r10 = gprs[OVM_VCPU_R10],
				.r9 = gprs[OVM_VCPU_R9],
				.r8 = gprs[OVM_VCPU_R8],
				.ax = gprs[OVM_VCPU_RAX],
				.cx = gprs[OVM_VCPU_RCX],
				.dx = gprs[OVM_VCPU_RDX],
				.si = gprs[OVM_VCPU_RSI],
				.di = gprs[OVM_VCPU_RDI],
				.orig_ax = (uint64_t)-1,
				.ip = vcpu->rip,
				.cs = vcpu->segments[OVM_VCPU_CS].selector,
				.flags = vcpu->rflags,
				.sp = gprs[OVM_VCPU_RSP],
				.ss = vcpu->segments[OVM_VCPU_SS].selector,
			},
	};
}

/* What there is besides the record of a thread to settle it with. */
struct around {
	const struct ovm_vcpus *vcpus; /* NULL: not read */
	const struct ovm_settle_clock *clock;
	const struct ovm_settle_around *held; /* NULL: only the reason is asked for */
};

static const char *settle_paused(struct ovm *ovm, const struct around *around,
				 const struct ovm_rec_thread *thread, const char *restart_fn,
				 struct ovm_settled *ret)
{
	struct ovm_settle_cpu cpu, *current = NULL;

	if (thread->where == OVM_REC_ON_CPU && around->vcpus) {
		const struct ovm_vcpu *vcpu = find_vcpu(ovm, around->vcpus, thread->cpu);

		if (vcpu) {
			cpu = settle_cpu(vcpu);
			current = &cpu;
		}
	}
	return ovm_settle_thread(thread, current, around->clock, restart_fn, ret);
}

static struct ovm_error *settle(struct ovm *ovm, const struct around *around,
				const struct ovm_rec_thread *thread, struct ovm_settled *ret)
{
	const char *restart_fn = NULL, *why;
	uint64_t offset;

	if (thread->restart_fn)
		restart_fn = ovm_kernel_symbol_at(ovm->kernel, thread->restart_fn, &offset);
	if (ovm_settle_is_held(thread))
		why = ovm_settle_held(thread, around->held, around->clock, restart_fn, ret);
	else
		why = settle_paused(ovm, around, thread, restart_fn, ret);
	return why ? not_now(thread, why) : NULL;
}

struct ovm_error *ovm_state_look(struct ovm *ovm, int32_t pid, struct ovm_llv_arena *arena,
				 struct ovm_rec_quiescence *ret)
{
	struct ovm_extract_quiescence_args args = {.q = ret};

	*ret = (struct ovm_rec_quiescence){.pid = pid};
	struct ovm_error *err =
		ovm_llv_run(ovm->llv, "ovm_extract_quiescence",
			    OVM_LLV_ENTRY(ovm_extract_quiescence), &args, &ovm->budget, arena);

	if (!err)
		err = check_locks(ret);
	if (!err && !ret->found)
		err = ovm_error_format(OVM_ERROR_NOT_FOUND,
				       "the guest has no process %d: 'ovm-gpu ps' lists them", pid);
	return err;
}

struct ovm_error *ovm_state_check(struct ovm *ovm, const struct ovm_rec_quiescence *q,
				  const struct ovm_vcpus *vcpus)
{
	const struct ovm_settle_clock clock = {0};
	const struct around around = {.vcpus = vcpus, .clock = &clock};
	struct ovm_error *err = NULL;

	for (const struct ovm_rec_thread *t = q->threads; t && !err; t = t->next) {
		struct ovm_settled settled;

		err = settle(ovm, &around, t, &settled);
	}
	return err;
}

static bool all_held(const struct ovm_rec_quiescence *q)
{
	for (const struct ovm_rec_thread *t = q->threads; t; t = t->next)
		if (!ovm_settle_is_held(t))
			return false;
	return true;
}

/*
 * Check everything that decides whether a state can be taken now, by the cheapest means first.
 * *@held tells whether the freezer holds all threads.
 */
static struct ovm_error *check_quiescence(struct ovm *ovm, int32_t pid, struct ovm_llv_arena *arena,
					  bool *held)
{
	struct ovm_rec_quiescence q;
	struct ovm_vcpus *vcpus = NULL;
	struct ovm_error *err = ovm_state_look(ovm, pid, arena, &q);

	*held = !err && all_held(&q);
	if (!err && !*held)
		err = ovm_vcpus_read_notes(ovm->vm, &vcpus);
	if (!err)
		err = ovm_state_check(ovm, &q, vcpus);
	ovm_vcpus_free(vcpus);
	return err;
}

static struct ovm_error *read_rseq(struct ovm *ovm, uint64_t pgd,
				   const struct ovm_rec_thread *thread, struct ovm_settle_rseq *ret)
{
	uint64_t cs_address;
	struct {
		uint32_t version, flags;
		uint64_t start_ip, post_commit_offset, abort_ip;
	} cs;

	_Static_assert(sizeof(cs) == RSEQ_CS_SIZE, "layout of struct rseq_cs");
	memset(ret, 0, sizeof(*ret));
	if (!thread->rseq)
		return NULL;
	struct ovm_error *err = ovm_kernel_read_user(
		ovm->kernel, pgd, thread->rseq + RSEQ_CS_OFFSET, &cs_address, sizeof(cs_address));

	if (err || !cs_address)
		goto out;
	err = ovm_kernel_read_user(ovm->kernel, pgd, cs_address, &cs, sizeof(cs));
	if (!err)
		*ret = (struct ovm_settle_rseq){true, cs.start_ip, cs.post_commit_offset,
						cs.abort_ip};
out:
	/* The kernel would kill a thread whose area is not readable when it preempts it. */
	return ovm_error_prepend(err, "thread %d: rseq area", thread->tid);
}

/* What a thread does next, if it can be read. */
static void read_code(struct ovm *ovm, uint64_t pgd, const struct ovm_rec_thread *thread,
		      uint8_t *code, size_t len)
{
	struct ovm_error *err = ovm_kernel_read_user(ovm->kernel, pgd, thread->regs.ip, code, len);

	if (err)
		memset(code, 0, len);
	ovm_error_free(err);
}

/* Extended state of a thread in the standard form, from the vCPU or from the kernel's buffer. */
static struct ovm_error *fill_xsave(struct ovm *ovm, const struct ovm_state *state,
				    const struct ovm_rec_thread *thread,
				    const struct ovm_settled *settled, uint8_t *out)
{
	if (settled->fpu_in_vcpu) {
		const struct ovm_vcpu *vcpu = find_vcpu(ovm, state->vcpus, thread->cpu);

		if (!vcpu)
			return not_now(thread, "has left its CPU");
		memcpy(out, vcpu->xsave, SAVED_XSAVE);
		return NULL;
	}
	uint8_t whole[OVM_XSAVE_BYTES];
	struct ovm_error *err = ovm_xsave_expand(thread, &state->xsave_layout, whole);

	if (err)
		return ovm_error_prepend(err, "thread %d", thread->tid);
	memcpy(out, whole, SAVED_XSAVE);
	return NULL;
}

static struct ovm_error *fill_thread(struct ovm *ovm, const struct ovm_state *state,
				     struct ovm_state_process *process,
				     const struct ovm_rec_thread *thread, size_t i)
{
	const struct ovm_settle_clock clock = {state->clock.monotonic, state->clock.boottime,
					       state->clock.realtime};
	struct ovm_image_thread *image = &process->threads[i];
	uint8_t *xsave = process->xsave + i * SAVED_XSAVE;
	struct ovm_settle_around held = {
		.shared = process->rec->shared_pending,
		.actions = process->rec->sigactions,
	};
	const struct around around = {state->vcpus, &clock, &held};
	struct ovm_settle_rseq rseq;
	struct ovm_settled settled;

	read_code(ovm, process->pgd, thread, held.code, sizeof(held.code));

	struct ovm_error *err = settle(ovm, &around, thread, &settled);

	if (!err)
		err = read_rseq(ovm, process->pgd, thread, &rseq);
	if (!err)
		err = fill_xsave(ovm, state, thread, &settled, xsave);
	if (err)
		return err;
	ovm_settle_rseq(&rseq, &settled.regs);
	*image = (struct ovm_image_thread){
		.rec = thread,
		.regs = settled.regs,
		.fs_base = settled.fs_base,
		.gs_base = settled.gs_base,
		.xsave = xsave,
		.xsave_size = SAVED_XSAVE,
		.blocked = settled.blocked,
	};
	process->patches[i] = settled.patch;
	return NULL;
}

static struct ovm_error *fill_threads(struct ovm *ovm, const struct ovm_state *state,
				      struct ovm_state_process *process)
{
	const size_t nr = process->rec->nr_threads;

	process->threads = calloc(nr + 1, sizeof(*process->threads));
	process->patches = calloc(nr + 1, sizeof(*process->patches));
	process->xsave = calloc(nr + 1, SAVED_XSAVE);
	if (!process->threads || !process->patches || !process->xsave)
		return ovm_error_no_memory();
	for (const struct ovm_rec_thread *t = process->rec->threads; t; t = t->next) {
		struct ovm_error *err = fill_thread(ovm, state, process, t, process->nr_threads);

		if (err)
			return err;
		process->nr_threads++;
	}
	return NULL;
}

/* A periodic timer whose signal is pending starts again when that is delivered. */
static struct ovm_image_timer itimer(const struct ovm_rec_itimer *rec, uint64_t now)
{
	return (struct ovm_image_timer){
		.remaining = rec->expires ? ovm_settle_remaining(rec->expires, now) : rec->interval,
		.interval = rec->interval,
	};
}

/* What a POSIX timer's expiry is counted on. */
static uint64_t posix_timer_now(const struct ovm_state *state,
				const struct ovm_rec_posix_timer *timer)
{
	if (timer->cpu_timer)
		return timer->cpu_now;
	switch (timer->base_clock) {
	case CLOCK_REALTIME:
	case CLOCK_TAI:
		return state->clock.realtime;
	case CLOCK_BOOTTIME:
		return state->clock.boottime;
	default:
		return state->clock.monotonic;
	}
}

static uint64_t posix_timer_remaining(const struct ovm_state *state,
				      const struct ovm_rec_posix_timer *timer)
{
	uint64_t now = posix_timer_now(state, timer);

	if (timer->armed)
		return ovm_settle_remaining(timer->expires, now);
	if (!timer->signal_pending || !timer->interval)
		return 0;
	/* The next expiry after now, on the grid of the interval. */
	if (timer->expires > now)
		return timer->expires - now;
	return timer->interval - (now - timer->expires) % timer->interval;
}

static struct ovm_error *fill_timers(const struct ovm_state *state,
				     struct ovm_state_process *process)
{
	const struct ovm_rec_process *rec = process->rec;
	size_t nr = 0;

	process->real = itimer(&rec->real, state->clock.monotonic);
	process->virt = itimer(&rec->virt, rec->utime);
	process->prof = itimer(&rec->prof, rec->utime + rec->stime);
	for (const struct ovm_rec_posix_timer *t = rec->posix_timers; t; t = t->next)
		nr++;
	process->posix_timers = calloc(nr + 1, sizeof(*process->posix_timers));
	if (!process->posix_timers)
		return ovm_error_no_memory();
	for (const struct ovm_rec_posix_timer *t = rec->posix_timers; t; t = t->next)
		process->posix_timers[process->nr_posix_timers++] = (struct ovm_image_posix_timer){
			.rec = t,
			.remaining = posix_timer_remaining(state, t),
		};
	return NULL;
}

/* Main counter of the HPET, through the monitor. */
static struct ovm_error *read_hpet(struct ovm *ovm, uint64_t gpa, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	char command[64];
	unsigned int high, low;

	/* Its registers are to be read in halves of 32 bits; while paused, the halves fit. */
	snprintf(command, sizeof(command), "xp /2wx 0x%llx", (unsigned long long)gpa);
	struct ovm_error *err = ovm_qmp_human(ovm_vm_qmp(ovm->vm), command, &text);

	if (err)
		return err;
	const char *colon = strchr(text, ':');

	*ret = 0;
	if (colon && sscanf(colon + 1, " 0x%x 0x%x", &low, &high) == 2)
		*ret = (uint64_t)high << 32 | low;
	return NULL;
}

/* Whether the guest's clock source counts what only the saved state of the vCPUs tells. */
static struct ovm_error *clock_needs_vcpus(struct ovm *ovm, bool *ret)
{
	struct ovm_kernel_clock_info info;
	struct ovm_error *err = ovm_kernel_clock_info(ovm->kernel, &info);

	*ret = !err && (info.source == OVM_CLOCK_TSC || info.source == OVM_CLOCK_KVM ||
			info.source == OVM_CLOCK_ACPI_PM);
	return err;
}

static struct ovm_error *read_clock(struct ovm *ovm, struct ovm_state *state)
{
	struct ovm_kernel_counters counters = {
		.tsc = state->vcpus && state->vcpus->nr ? state->vcpus->vcpus[0].tsc : 0,
		.vm_clock = state->vcpus ? state->vcpus->vm_clock : 0,
	};
	struct ovm_kernel_clock_info info;
	struct ovm_error *err = ovm_kernel_clock_info(ovm->kernel, &info);

	if (!err && info.source == OVM_CLOCK_HPET)
		err = read_hpet(ovm, info.register_gpa, &counters.hpet);
	if (!err)
		err = ovm_kernel_read_clock(ovm->kernel, &counters, &state->clock);
	if (!err && state->clock.uncertainty)
		ovm_log(ovm, OVM_LOG_WARNING,
			"the guest's clock source %s can't be read from outside: its clocks may be "
			"%.1f ms ahead of what is saved",
			info.name, (double)state->clock.uncertainty / 1e6);
	return err;
}

static struct ovm_error *fill_zombie(struct ovm_state_process *process)
{
	process->threads = calloc(1, sizeof(*process->threads));
	if (!process->threads)
		return ovm_error_no_memory();
	process->threads[0].rec = process->rec->threads;
	process->nr_threads = 1;
	return NULL;
}

static struct ovm_error *fill_process(struct ovm *ovm, const struct ovm_state *state,
				      struct ovm_state_process *process)
{
	if (process->rec->zombie)
		return fill_zombie(process);
	struct ovm_error *err =
		ovm_kernel_translate(ovm->kernel, process->rec->mm.pgd, &process->pgd);

	if (!err)
		err = fill_threads(ovm, state, process);
	return err ? err : fill_timers(state, process);
}

static struct ovm_error *extract(struct ovm *ovm, int32_t pid, struct ovm_state *state)
{
	struct ovm_extract_tree_args args = {.pid = pid, .ghost_limit = ovm->ghost_limit};
	struct ovm_error *err =
		ovm_llv_run(ovm->llv, "ovm_extract_tree", OVM_LLV_ENTRY(ovm_extract_tree), &args,
			    &ovm->budget, state->arena);

	if (!err && args.tree->processes->pid != pid)
		err = ovm_error_format(OVM_ERROR_CORRUPT,
				       "process %d leads to another one (%d) in the guest", pid,
				       args.tree->processes->pid);
	state->tree = args.tree;
	return err;
}

struct ovm_error *ovm_state_fill(struct ovm *ovm, int32_t pid, struct ovm_state *state)
{
	struct ovm_error *err = extract(ovm, pid, state);

	if (err)
		return err;
	ovm_xsave_layout_read(ovm->kernel, &state->xsave_layout);
	state->processes = calloc(state->tree->nr_processes, sizeof(*state->processes));
	if (!state->processes)
		return ovm_error_no_memory();
	for (const struct ovm_rec_process *rec = state->tree->processes; rec && !err;
	     rec = rec->next) {
		struct ovm_state_process *process = &state->processes[state->nr_processes++];

		process->rec = rec;
		err = fill_process(ovm, state, process);
	}
	return err;
}

struct ovm_error *ovm_state_take(struct ovm *ovm, int32_t pid, struct ovm_state *ret)
{
	bool held = false, needed = true;
	struct ovm_error *err;

	memset(ret, 0, sizeof(*ret));
	err = ovm_llv_arena_create(&ret->arena);
	if (!err)
		err = check_quiescence(ovm, pid, ret->arena, &held);
	if (!err && held)
		err = clock_needs_vcpus(ovm, &needed);
	if (!err && needed)
		err = ovm_vcpus_read(ovm->vm, &ret->vcpus);
	if (!err)
		err = read_clock(ovm, ret);
	if (!err)
		err = ovm_state_fill(ovm, pid, ret);
	if (err)
		ovm_state_deinit(ret);
	return err;
}

struct ovm_error *ovm_state_list_patches(const struct ovm_state *state, struct ovm_pages_spot **ret,
					 size_t *ret_nr)
{
	size_t nr = 0, max = 0;

	for (size_t i = 0; i < state->nr_processes; i++)
		max += state->processes[i].nr_threads;
	struct ovm_pages_spot *spots = calloc(2 * max + 1, sizeof(*spots));

	if (!spots)
		return ovm_error_no_memory();
	for (size_t i = 0; i < state->nr_processes; i++) {
		const struct ovm_state_process *process = &state->processes[i];

		for (size_t j = 0; j < process->nr_threads && !process->rec->zombie; j++) {
			const struct ovm_settle_patch *patch = &process->patches[j];
			const uint64_t mask = ~(uint64_t)(OVM_PAGE_SIZE - 1);

			if (!patch->address || !patch->len)
				continue;
			spots[nr++] =
				(struct ovm_pages_spot){process->rec->index, patch->address & mask};
			spots[nr++] = (struct ovm_pages_spot){
				process->rec->index, (patch->address + patch->len - 1) & mask};
		}
	}
	*ret = spots;
	*ret_nr = nr;
	return NULL;
}

static struct ovm_error *patch_process(struct ovm *ovm, struct ovm_state_process *process,
				       ovm_state_write_fn *write, void *arg)
{
	for (size_t i = 0; i < process->nr_threads && !process->rec->zombie; i++) {
		const struct ovm_settle_patch *patch = &process->patches[i];
		bool done;

		if (!patch->address)
			continue;
		struct ovm_error *err =
			write(arg, process->rec, patch->address, patch->bytes, patch->len, &done);

		if (err)
			return err;
		if (!done && patch->needed)
			process->threads[i].regs = patch->otherwise;
		else if (!done)
			ovm_log(ovm, OVM_LOG_WARNING,
				"thread %d: the time left of its sleep could not be stored at "
				"0x%llx",
				process->threads[i].rec->tid, (unsigned long long)patch->address);
	}
	return NULL;
}

struct ovm_error *ovm_state_apply_patches(struct ovm *ovm, struct ovm_state *state,
					  ovm_state_write_fn *write, void *arg)
{
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < state->nr_processes && !err; i++)
		err = patch_process(ovm, &state->processes[i], write, arg);
	return err;
}

void ovm_state_deinit(struct ovm_state *state)
{
	for (size_t i = 0; i < state->nr_processes; i++) {
		free(state->processes[i].threads);
		free(state->processes[i].patches);
		free(state->processes[i].xsave);
		free(state->processes[i].posix_timers);
	}
	free(state->processes);
	ovm_vcpus_free(state->vcpus);
	ovm_llv_arena_destroy(state->arena);
	memset(state, 0, sizeof(*state));
}
