// SPDX-License-Identifier: GPL-2.0-only
#include "remote_call.h"

#include <string.h>

#include "ipi.h"

enum {
	/* Where entries lie from the low end of an idle thread's stack, whose first word is the
	 * kernel's mark against overflow; their distance keeps each within a page. */
	SLOTS_OFFSET = 1024,
	SLOT_BYTES = 64,
	MIN_SLOTS = 8,
	/* Room that an idle thread is left for its own frames. */
	FRAMES_BYTES = 4096,
	MAX_STACK = 64 << 10,
	/* include/linux/smp_types.h */
	CSD_FLAG_LOCK = 0x01,
	CSD_TYPE_SYNC = 0x10,
	CR4_CET_ENDBR = 0xfa1e0ff3, /* endbr64, as a little-endian word */
	ENDBR_BYTES = 4,
};

static const char csd_type[] = "struct __call_single_data", list_type[] = "struct llist_head";

static struct ovm_error *find_members(struct ovm_writer *writer, struct ovm_remote_calls *calls)
{
	struct ovm_error *err = ovm_writer_member(writer, list_type, "first", &calls->first);

	if (!err)
		err = ovm_writer_member(writer, csd_type, "node.llist.next", &calls->next);
	if (!err)
		err = ovm_writer_member(writer, csd_type, "node.u_flags", &calls->flags);
	if (!err)
		err = ovm_writer_member(writer, csd_type, "func", &calls->func);
	if (!err)
		err = ovm_writer_member(writer, csd_type, "info", &calls->info);
	return err;
}

/*
 * A kernel built with control flow integrity checks the type of what it calls, and ours is not
 * that of a function to be called so; kCFI shows by a symbol in front of each function.
 */
static struct ovm_error *check_function(struct ovm_kernel *kernel, const char *function,
					uint64_t address)
{
	char prefixed[64] = "__cfi_";
	uint64_t unused;
	uint32_t first;

	strncat(prefixed, function, sizeof(prefixed) - strlen(prefixed) - 1);
	if (ovm_kernel_symbol(kernel, prefixed, &unused))
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel checks its indirect calls (kCFI), so "
					"that threads can't be woken from outside");
	struct ovm_error *err = ovm_kernel_read(kernel, address, &first, sizeof(first));

	/* With indirect branch tracking, functions that nobody calls indirectly lose their mark. */
	if (!err && ovm_kernel_symbol(kernel, "ibt_save", &unused) && first != CR4_CET_ENDBR)
		err = ovm_error_format(OVM_ERROR_KERNEL,
				       "%s of the guest's kernel can't be called indirectly",
				       function);
	return err;
}

static void find_add_timer(struct ovm_kernel *kernel, struct ovm_remote_calls *calls)
{
	struct ovm_error *err;

	if (!ovm_kernel_symbol(kernel, "add_timer", &calls->add_timer))
		return;
	err = check_function(kernel, "add_timer", calls->add_timer);
	if (err)
		calls->add_timer = 0;
	ovm_error_free(err);
}

static struct ovm_error *check_gate(struct ovm_kernel *kernel, uint64_t gate)
{
	uint64_t offset;
	const char *name = ovm_kernel_symbol_at(kernel, gate, &offset);

	if (name && strstr(name, "call_function_single"))
		return NULL;
	return ovm_error_address(OVM_ERROR_KERNEL, gate,
				 "the guest's interrupt vector for function calls leads elsewhere, "
				 "to");
}

static bool is_free(const struct ovm_remote_calls *calls, const struct ovm_object *slot)
{
	return !ovm_object_load(slot, &calls->flags);
}

/* Empty, as the stack was made, or an entry of ours. */
static bool is_usable(const struct ovm_remote_calls *calls, const struct ovm_object *slot)
{
	uint64_t func = ovm_object_load(slot, &calls->func);

	bool ours = func == calls->function || (calls->add_timer && func == calls->add_timer);

	return (!func || ours) && is_free(calls, slot) &&
	       (func ||
		(!ovm_object_load(slot, &calls->info) && !ovm_object_load(slot, &calls->next)));
}

static void find_slots(struct ovm_writer *writer, const struct ovm_remote_calls *calls,
		       const struct ovm_rec_freezer_cpu *rec, struct ovm_remote_call_cpu *cpu)
{
	uint64_t end = SLOTS_OFFSET + OVM_REMOTE_CALL_SLOTS * SLOT_BYTES;

	if (rec->idle_sp - rec->idle_stack < MAX_STACK &&
	    rec->idle_sp - rec->idle_stack < end + FRAMES_BYTES)
		return;
	for (uint64_t at = SLOTS_OFFSET; at < end; at += SLOT_BYTES) {
		struct ovm_object *slot = &cpu->slots[cpu->nr_slots];
		struct ovm_error *err =
			ovm_writer_locate(writer, csd_type, rec->idle_stack + at, slot);

		if (!err && slot->size <= SLOT_BYTES && is_usable(calls, slot))
			cpu->nr_slots++;
		ovm_error_free(err);
	}
}

struct ovm_error *ovm_remote_calls_init(struct ovm_writer *writer, struct ovm_kernel *kernel,
					const struct ovm_rec_freezer *rec, const char *function,
					struct ovm_remote_calls *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!ovm_kernel_symbol(kernel, function, &ret->function))
		return ovm_error_format(OVM_ERROR_KERNEL, "the guest's kernel has no %s", function);
	struct ovm_error *err = check_function(kernel, function, ret->function);

	if (!err)
		find_add_timer(kernel, ret);
	if (!err)
		err = check_gate(kernel, rec->gate);
	if (!err)
		err = find_members(writer, ret);
	for (const struct ovm_rec_freezer_cpu *c = rec->cpus; c && !err; c = c->next) {
		struct ovm_remote_call_cpu *cpu = &ret->cpus[ret->nr_cpus];

		if (ret->nr_cpus == OVM_REMOTE_CALL_CPUS || c->apic_id > OVM_IPI_APIC_ID_MAX)
			continue;
		cpu->cpu = c->cpu;
		cpu->apic_id = c->apic_id;
		err = ovm_writer_locate(writer, list_type, c->queue, &cpu->queue);
		if (!err)
			find_slots(writer, ret, c, cpu);
		ret->nr_cpus++;
	}
	if (!err && !ovm_remote_calls_cpu(ret, 0))
		err = ovm_error_format(OVM_ERROR_KERNEL,
				       "no CPU of the guest has room for calls from outside");
	return err;
}

static bool has_room(const struct ovm_remote_call_cpu *cpu)
{
	return cpu->nr_slots >= MIN_SLOTS;
}

struct ovm_remote_call_cpu *ovm_remote_calls_cpu(struct ovm_remote_calls *calls, uint32_t cpu)
{
	struct ovm_remote_call_cpu *other = NULL;

	for (uint32_t i = 0; i < calls->nr_cpus; i++) {
		if (!has_room(&calls->cpus[i]))
			continue;
		if (calls->cpus[i].cpu == cpu)
			return &calls->cpus[i];
		if (!other)
			other = &calls->cpus[i];
	}
	return other;
}

static const struct ovm_object *take_slot(const struct ovm_remote_calls *calls,
					  struct ovm_remote_call_cpu *cpu)
{
	for (uint32_t i = 0; i < cpu->nr_slots; i++) {
		if (!is_free(calls, &cpu->slots[i]))
			continue;
		cpu->stale[i] = false;
		return &cpu->slots[i];
	}
	return NULL;
}

/* The entry is whole before it is linked, by the last write: then the guest may run on. */
static bool queue_call(const struct ovm_remote_calls *calls, struct ovm_remote_call_cpu *cpu,
		       uint64_t function, uint64_t info, ovm_remote_call_write *write, void *arg)
{
	const struct ovm_object *slot = take_slot(calls, cpu);
	const struct {
		const struct ovm_member *member;
		uint64_t value;
	} parts[] = {
		{&calls->func, function},
		{&calls->info, info},
		{&calls->next, ovm_object_load(&cpu->queue, &calls->first)},
		{&calls->flags, CSD_FLAG_LOCK | CSD_TYPE_SYNC},
	};

	if (!slot)
		return false;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		uint64_t from = ovm_object_load(slot, parts[i].member);

		if (from != parts[i].value &&
		    !write(arg, slot, parts[i].member, from, parts[i].value))
			return false;
	}
	return write(arg, &cpu->queue, &calls->first, parts[2].value,
		     slot->address + calls->next.offset);
}

bool ovm_remote_call(const struct ovm_remote_calls *calls, struct ovm_remote_call_cpu *cpu,
		     uint64_t info, ovm_remote_call_write *write, void *arg)
{
	return queue_call(calls, cpu, calls->function, info, write, arg);
}

bool ovm_remote_add_timer(const struct ovm_remote_calls *calls, struct ovm_remote_call_cpu *cpu,
			  uint64_t timer, ovm_remote_call_write *write, void *arg)
{
	return calls->add_timer && queue_call(calls, cpu, calls->add_timer, timer, write, arg);
}

void ovm_remote_calls_inherit(struct ovm_remote_calls *calls)
{
	for (uint32_t i = 0; i < calls->nr_cpus; i++)
		for (uint32_t j = 0; j < calls->cpus[i].nr_slots; j++)
			calls->cpus[i].stale[j] = !is_free(calls, &calls->cpus[i].slots[j]);
}

bool ovm_remote_calls_pending(const struct ovm_remote_calls *calls)
{
	for (uint32_t i = 0; i < calls->nr_cpus; i++)
		for (uint32_t j = 0; j < calls->cpus[i].nr_slots; j++)
			if (!calls->cpus[i].stale[j] && !is_free(calls, &calls->cpus[i].slots[j]))
				return true;
	return false;
}
