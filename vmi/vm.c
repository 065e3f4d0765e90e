// SPDX-License-Identifier: GPL-2.0-only
/* Attaching to a virtual machine. */
#include "vm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "json.h"
#include "ram_layout.h"

struct ovm_vm {
	struct ovm_qmp *qmp;
	struct ovm_memory *memory;
	struct ovm_vm_info info;
	struct ovm_error *(*migration_hook)(void *arg, const char *undo);
	void *migration_arg;
};

static void cleanup_vm(struct ovm_vm **vm)
{
	ovm_vm_detach(*vm);
}

/* A process that may be QEMU, best guess first. */
struct candidates {
	pid_t pids[3];
	size_t nr;
};

/* Process that the thread @tid belongs to, or 0. */
static pid_t thread_group(pid_t tid)
{
	char path[32], line[128];
	int tgid = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Tgid: %d", &tgid) == 1)
			break;
	}
	return tgid;
}

static void add_candidate(struct candidates *candidates, pid_t pid)
{
	for (size_t i = 0; i < candidates->nr; i++) {
		if (candidates->pids[i] == pid)
			return;
	}
	if (pid > 0)
		candidates->pids[candidates->nr++] = pid;
}

/* Count the vCPUs; one of their threads tells QEMU's process when something else made the socket.
 */
static struct ovm_error *query_vcpus(struct ovm_vm *vm, pid_t *tid)
{
	_cleanup_json_ struct json_object *cpus = NULL;
	struct json_object *value;
	struct ovm_error *err = ovm_qmp_execute(vm->qmp, "query-cpus-fast", NULL, &cpus);

	if (err)
		return err;
	if (!json_object_is_type(cpus, json_type_array) || !json_object_array_length(cpus))
		return ovm_error_format(OVM_ERROR_UNREACHABLE, "QEMU tells of no vCPU");
	vm->info.nr_vcpus = (unsigned int)json_object_array_length(cpus);

	struct json_object *first = json_object_array_get_idx(cpus, 0);
	const char *target = ovm_json_string(first, "target");

	if (json_object_object_get_ex(first, "thread-id", &value))
		*tid = json_object_get_int(value);
	if (*target && strcmp(target, "x86_64"))
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"the guest's architecture is %s; only x86_64 is supported",
					target);
	return NULL;
}

static struct ovm_error *query_accelerator(struct ovm_vm *vm)
{
	_cleanup_json_ struct json_object *kvm = NULL;
	struct json_object *enabled;
	struct ovm_error *err = ovm_qmp_execute(vm->qmp, "query-kvm", NULL, &kvm);

	if (!err && json_object_object_get_ex(kvm, "enabled", &enabled))
		vm->info.kvm = json_object_get_boolean(enabled);
	return err;
}

static struct ovm_error *query_ram_size(struct ovm_vm *vm)
{
	_cleanup_json_ struct json_object *summary = NULL;
	struct json_object *value;
	struct ovm_error *err =
		ovm_qmp_execute(vm->qmp, "query-memory-size-summary", NULL, &summary);

	if (err)
		return err;
	if (json_object_object_get_ex(summary, "base-memory", &value))
		vm->info.ram_size = json_object_get_uint64(value);
	if (json_object_object_get_ex(summary, "plugged-memory", &value))
		vm->info.ram_size += json_object_get_uint64(value);
	return NULL;
}

/*
 * RAM of the machine, as opposed to a device's: a memory back end, whose region
 * has its id (or its path, on old machine types), or the RAM that QEMU makes when
 * there is no back end, called after the machine.
 */
static bool is_machine_ram(void *arg, const char *name)
{
	struct json_object *backends = arg;
	const char *slash = strrchr(name, '/');

	if (strlen(name) >= 4 && !strcmp(name + strlen(name) - 4, ".ram"))
		return true;
	for (size_t i = 0; i < json_object_array_length(backends); i++) {
		struct json_object *backend = json_object_array_get_idx(backends, i);

		if (!strcmp(ovm_json_string(backend, "id"), slash ? slash + 1 : name))
			return true;
	}
	return false;
}

static struct ovm_error *filter_layout(struct ovm_vm *vm, struct ovm_layout *layout)
{
	_cleanup_json_ struct json_object *backends = NULL;
	struct ovm_error *err = ovm_qmp_execute(vm->qmp, "query-memdev", NULL, &backends);

	if (err)
		return err;
	/* When all of it adds up, no name needs to be understood. */
	if (ovm_layout_total(layout) == vm->info.ram_size)
		return NULL;
	if (json_object_is_type(backends, json_type_array))
		ovm_layout_filter(layout, is_machine_ram, backends);

	uint64_t total = ovm_layout_total(layout);

	if (total < vm->info.ram_size)
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"QEMU says that the guest has %" PRIu64
					" MiB of RAM, but its memory map shows %" PRIu64 " MiB",
					vm->info.ram_size >> 20, total >> 20);
	return NULL;
}

static struct ovm_error *query_addresses(struct ovm_vm *vm, struct ovm_layout *layout)
{
	for (size_t i = 0; i < layout->nr; i++) {
		_cleanup_free_ char *answer = NULL;
		char command[40];

		snprintf(command, sizeof(command), "gpa2hva 0x%" PRIx64, layout->ranges[i].gpa);
		struct ovm_error *err = ovm_qmp_human(vm->qmp, command, &answer);

		if (err)
			return err;
		if (!ovm_layout_parse_hva(answer, &layout->ranges[i].hva))
			return ovm_error_format(OVM_ERROR_UNREACHABLE,
						"QEMU's answer to \"%s\" holds no address: %.80s",
						command, answer);
	}
	return NULL;
}

static bool maps_hold_layout(const struct ovm_host_maps *maps, const struct ovm_layout *layout)
{
	for (size_t i = 0; i < layout->nr; i++) {
		if (!ovm_host_maps_cover(maps, layout->ranges[i].hva, layout->ranges[i].size))
			return false;
	}
	return true;
}

/* Open RAM through the first candidate whose address space has it where QEMU says. */
static struct ovm_error *open_memory(struct ovm_vm *vm, const struct ovm_layout *layout,
				     const struct candidates *candidates)
{
	struct ovm_error *first = NULL;

	for (size_t i = 0; i < candidates->nr; i++) {
		struct ovm_host_maps maps;
		struct ovm_error *err = ovm_host_maps_read(candidates->pids[i], &maps);

		if (!err && maps_hold_layout(&maps, layout)) {
			vm->info.pid = candidates->pids[i];
			err = ovm_layout_open(layout, &maps, vm->info.pid, &vm->memory,
					      &vm->info.ram_shared);
			ovm_host_maps_deinit(&maps);
			ovm_error_free(first);
			return err;
		}
		ovm_host_maps_deinit(&maps);
		if (first)
			ovm_error_free(err);
		else
			first = err;
	}
	return first
		       ?: ovm_error_format(
				  OVM_ERROR_UNREACHABLE,
				  "can't find QEMU's process: none behind the socket maps the "
				  "guest's RAM; run on the virtual machine's host, in its pid "
				  "namespace, or name the process");
}

static struct ovm_error *attach_memory(struct ovm_vm *vm, const struct candidates *candidates)
{
	_cleanup_free_ char *mtree = NULL;
	struct ovm_layout layout = {0};
	struct ovm_error *err = ovm_qmp_human(vm->qmp, "info mtree -f", &mtree);

	if (!err)
		err = ovm_layout_parse(mtree, &layout);
	if (!err)
		err = filter_layout(vm, &layout);
	if (!err)
		err = query_addresses(vm, &layout);
	if (!err)
		err = open_memory(vm, &layout, candidates);
	ovm_layout_deinit(&layout);
	return err;
}

struct ovm_error *ovm_vm_attach(const struct ovm_vm_options *options, struct ovm_vm **ret)
{
	struct ovm_vm_options own = {0};
	struct candidates candidates = {0};
	pid_t tid = 0;
	_cleanup_(cleanup_vm) struct ovm_vm *vm = calloc(1, sizeof(*vm));

	*ret = NULL;
	if (!vm)
		return ovm_error_no_memory();
	memcpy(&own, options, options->size < sizeof(own) ? options->size : sizeof(own));

	struct ovm_error *err = ovm_qmp_connect(&own.qmp, &vm->qmp);

	if (err)
		return err;
	vm->info.version = *ovm_qmp_version(vm->qmp);
	err = query_vcpus(vm, &tid);
	if (!err)
		err = query_accelerator(vm);
	if (!err)
		err = query_ram_size(vm);
	if (err)
		return err;
	add_candidate(&candidates, own.pid);
	if (!own.pid) {
		add_candidate(&candidates, ovm_qmp_peer_pid(vm->qmp));
		add_candidate(&candidates, thread_group(tid));
	}
	err = attach_memory(vm, &candidates);
	if (!err)
		*ret = ovm_take_pointer(vm);
	return err;
}

void ovm_vm_detach(struct ovm_vm *vm)
{
	if (!vm)
		return;
	ovm_memory_destroy(vm->memory);
	ovm_qmp_close(vm->qmp);
	free(vm);
}

struct ovm_qmp *ovm_vm_qmp(struct ovm_vm *vm)
{
	return vm->qmp;
}

const struct ovm_memory *ovm_vm_memory(const struct ovm_vm *vm)
{
	return vm->memory;
}

const struct ovm_vm_info *ovm_vm_info(const struct ovm_vm *vm)
{
	return &vm->info;
}

struct ovm_error *ovm_vm_status(struct ovm_vm *vm, struct ovm_vm_status *ret)
{
	_cleanup_json_ struct json_object *status = NULL;
	struct json_object *value;
	struct ovm_error *err = ovm_qmp_execute(vm->qmp, "query-status", NULL, &status);

	memset(ret, 0, sizeof(*ret));
	if (err)
		return err;
	if (!json_object_object_get_ex(status, "running", &value))
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"QEMU's answer to \"query-status\" lacks \"running\"");
	ret->running = json_object_get_boolean(value);
	snprintf(ret->name, sizeof(ret->name), "%s", ovm_json_string(status, "status"));
	return NULL;
}

void ovm_vm_set_migration_hook(struct ovm_vm *vm,
			       struct ovm_error *(*hook)(void *arg, const char *undo), void *arg)
{
	vm->migration_hook = hook;
	vm->migration_arg = arg;
}

struct ovm_error *ovm_vm_note_migration(struct ovm_vm *vm, const char *undo)
{
	return vm->migration_hook ? vm->migration_hook(vm->migration_arg, undo) : NULL;
}
