// SPDX-License-Identifier: GPL-2.0-only
/* Having QEMU write down the state of its vCPUs. */
#include "vcpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "json.h"

/* Name under which descriptors are passed to QEMU. */
static const char fd_name[] = "ovm-gpu-state";

enum {
	/* Device state takes tens of KiB; AMX tiles and a display's memory add some MiB. */
	MAX_STATE = 256 << 20,
	POLL_MS = 1,
	MAX_POLLS = 5000,
};

static struct ovm_error *make_file(int *ret)
{
	*ret = memfd_create(fd_name, MFD_CLOEXEC);
	if (*ret < 0)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't make a file for QEMU's device state");
	return NULL;
}

/* A file's contents, mapped. */
struct contents {
	uint8_t *data;
	size_t len;
};

static void contents_deinit(struct contents *contents)
{
	if (contents->data)
		munmap(contents->data, contents->len);
}

static struct ovm_error *contents_init(struct contents *contents, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't get the size of QEMU's device state");
	if (!st.st_size || st.st_size > MAX_STATE)
		return ovm_error_format(
			OVM_ERROR_UNREACHABLE,
			"QEMU's device state has %lld bytes; at most %d are expected",
			(long long)st.st_size, MAX_STATE);
	/* QEMU has closed its copy by now, or writes no more: a private copy is not needed. */
	void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);

	if (data == MAP_FAILED)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't map QEMU's device state");
	contents->data = data;
	contents->len = (size_t)st.st_size;
	return NULL;
}

static struct json_object *string_argument(const char *key, const char *value)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, key, json_object_new_string(value));
	return arguments;
}

/* ---- Notes of a dump of one byte ------------------------------------------ */

static struct ovm_error *dump_notes(struct ovm_qmp *qmp, int fd)
{
	char protocol[32];
	struct ovm_error *err =
		ovm_qmp_execute_fd(qmp, "getfd", string_argument("fdname", fd_name), fd, NULL);

	if (err)
		return err;
	snprintf(protocol, sizeof(protocol), "fd:%s", fd_name);
	struct json_object *arguments = string_argument("protocol", protocol);

	json_object_object_add(arguments, "paging", json_object_new_boolean(false));
	json_object_object_add(arguments, "begin", json_object_new_int(0));
	json_object_object_add(arguments, "length", json_object_new_int(1));
	err = ovm_qmp_execute(qmp, "dump-guest-memory", arguments, NULL);
	/* A dump that was refused early leaves the descriptor behind. */
	if (err)
		ovm_error_free(
			ovm_qmp_execute(qmp, "closefd", string_argument("fdname", fd_name), NULL));
	return err;
}

struct ovm_error *ovm_vcpus_read_notes(struct ovm_vm *vm, struct ovm_vcpus **ret)
{
	_cleanup_(contents_deinit) struct contents contents = {0};
	_cleanup_close_ int fd = -1;
	struct ovm_error *err = make_file(&fd);

	*ret = NULL;
	if (!err)
		err = dump_notes(ovm_vm_qmp(vm), fd);
	if (!err)
		err = contents_init(&contents, fd);
	if (!err)
		err = ovm_vcpus_parse_notes(contents.data, contents.len, ret);
	return ovm_error_prepend(err, "can't read the vCPUs' registers");
}

/* ---- xen-save-devices-state ---------------------------------------------- */

static struct ovm_error *save_to_fdset(struct ovm_qmp *qmp, int64_t set)
{
	char path[48];

	snprintf(path, sizeof(path), "/dev/fdset/%lld", (long long)set);
	struct json_object *arguments = string_argument("filename", path);

	/* "live" is about handing disks over to another QEMU, and is true by default. */
	json_object_object_add(arguments, "live", json_object_new_boolean(false));
	return ovm_qmp_execute(qmp, "xen-save-devices-state", arguments, NULL);
}

static struct ovm_error *save_devices(struct ovm_vm *vm, int fd)
{
	_cleanup_json_ struct json_object *added = NULL;
	struct json_object *id;
	struct ovm_qmp *qmp = ovm_vm_qmp(vm);
	char path[32];

	/* QEMU looks in the set for a descriptor of the access mode that it needs. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	_cleanup_close_ int writer = open(path, O_WRONLY | O_CLOEXEC);

	if (writer < 0)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, path, "can't open %s", path);
	struct ovm_error *err = ovm_qmp_execute_fd(qmp, "add-fd", NULL, writer, &added);

	if (err)
		return err;
	if (!json_object_object_get_ex(added, "fdset-id", &id))
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"QEMU's answer to \"add-fd\" lacks \"fdset-id\"");
	err = save_to_fdset(qmp, json_object_get_int64(id));

	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, "fdset-id", json_object_get(id));
	bool cancellable = ovm_qmp_set_cancellable(qmp, false);

	ovm_error_free(ovm_qmp_execute(qmp, "remove-fd", arguments, NULL));
	ovm_qmp_set_cancellable(qmp, cancellable);
	return err;
}

/* ---- migrate ------------------------------------------------------------- */

/* What must be on, and what would change the stream or where it goes. */
static const struct capability {
	const char *name;
	bool state;
} needed_capabilities[] = {
	{"x-ignore-shared", true},   {"xbzrle", false},
	{"compress", false},	     {"zero-blocks", false},
	{"rdma-pin-all", false},     {"postcopy-ram", false},
	{"postcopy-preempt", false}, {"x-colo", false},
	{"release-ram", false},	     {"block", false},
	{"return-path", false},	     {"pause-before-switchover", false},
	{"multifd", false},	     {"zero-copy-send", false},
	{"dirty-bitmaps", false},    {"background-snapshot", false},
	{"switchover-ack", false},   {"mapped-ram", false},
};

static const struct capability *find_capability(const char *name)
{
	for (size_t i = 0; i < sizeof(needed_capabilities) / sizeof(*needed_capabilities); i++) {
		if (!strcmp(needed_capabilities[i].name, name))
			return &needed_capabilities[i];
	}
	return NULL;
}

static void add_capability(struct json_object *list, const char *name, bool state)
{
	struct json_object *entry = json_object_new_object();

	json_object_object_add(entry, "capability", json_object_new_string(name));
	json_object_object_add(entry, "state", json_object_new_boolean(state));
	json_object_array_add(list, entry);
}

/* Lists of the capabilities that have to change: to what, and back to what. */
struct capability_change {
	struct json_object *there, *back;
};

static void cleanup_change(struct capability_change *change)
{
	json_object_put(change->there);
	json_object_put(change->back);
}

static struct ovm_error *plan_change(struct ovm_qmp *qmp, struct capability_change *change)
{
	_cleanup_json_ struct json_object *now = NULL;
	bool ignores_shared = false;
	struct ovm_error *err = ovm_qmp_execute(qmp, "query-migrate-capabilities", NULL, &now);

	if (err)
		return err;
	change->there = json_object_new_array();
	change->back = json_object_new_array();
	for (size_t i = 0;
	     json_object_is_type(now, json_type_array) && i < json_object_array_length(now); i++) {
		struct json_object *entry = json_object_array_get_idx(now, i), *value = NULL;
		const char *name = ovm_json_string(entry, "capability");
		const struct capability *capability = find_capability(name);

		json_object_object_get_ex(entry, "state", &value);
		bool state = json_object_get_boolean(value);

		ignores_shared |= !strcmp(name, needed_capabilities[0].name);
		if (!capability || state == capability->state)
			continue;
		add_capability(change->there, name, capability->state);
		add_capability(change->back, name, state);
	}
	if (!ignores_shared)
		return ovm_error_format(
			OVM_ERROR_UNREACHABLE,
			"QEMU's \"migrate\" can't leave RAM out (no x-ignore-shared)");
	return NULL;
}

static struct ovm_error *set_capabilities(struct ovm_qmp *qmp, struct json_object *list)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, "capabilities", json_object_get(list));
	return ovm_qmp_execute(qmp, "migrate-set-capabilities", arguments, NULL);
}

static struct ovm_error *query_migration(struct ovm_qmp *qmp, char status[static 32],
					 char reason[static 128])
{
	_cleanup_json_ struct json_object *migration = NULL;
	struct ovm_error *err = ovm_qmp_execute(qmp, "query-migrate", NULL, &migration);

	if (err)
		return err;
	snprintf(status, 32, "%s", ovm_json_string(migration, "status"));
	snprintf(reason, 128, "%s", ovm_json_string(migration, "error-desc"));
	return NULL;
}

static bool migration_ended(const char *status)
{
	return !*status || !strcmp(status, "none") || !strcmp(status, "completed") ||
	       !strcmp(status, "failed") || !strcmp(status, "cancelled");
}

static struct ovm_error *wait_migration(struct ovm_qmp *qmp)
{
	char status[32], reason[128];

	for (int i = 0;; i++) {
		struct ovm_error *err = query_migration(qmp, status, reason);

		if (!err && migration_ended(status))
			break;
		if (!err)
			err = ovm_qmp_sleep(qmp, POLL_MS);
		if (!err && i == MAX_POLLS)
			err = ovm_error_format(OVM_ERROR_UNREACHABLE,
					       "QEMU doesn't finish saving device state (%s)",
					       status);
		if (err)
			return err;
	}
	if (!strcmp(status, "completed"))
		return NULL;
	return ovm_error_format(OVM_ERROR_UNREACHABLE, "QEMU can't save device state: %s%s%s",
				status, *reason ? ": " : "", reason);
}

/* End a migration that is ours, so that the VM can go on. */
static void abandon_migration(struct ovm_qmp *qmp)
{
	char status[32], reason[128];

	ovm_error_free(ovm_qmp_execute(qmp, "migrate_cancel", NULL, NULL));
	for (int i = 0; i < MAX_POLLS; i++) {
		struct ovm_error *err = query_migration(qmp, status, reason);

		if (err || migration_ended(status)) {
			ovm_error_free(err);
			return;
		}
		ovm_error_free(ovm_qmp_sleep(qmp, POLL_MS));
	}
}

static struct ovm_error *migrate_to(struct ovm_qmp *qmp, int fd)
{
	char uri[32];
	struct ovm_error *err =
		ovm_qmp_execute_fd(qmp, "getfd", string_argument("fdname", fd_name), fd, NULL);

	if (err)
		return err;
	snprintf(uri, sizeof(uri), "fd:%s", fd_name);
	err = ovm_qmp_execute(qmp, "migrate", string_argument("uri", uri), NULL);
	if (err)
		ovm_error_free(
			ovm_qmp_execute(qmp, "closefd", string_argument("fdname", fd_name), NULL));
	else
		err = wait_migration(qmp);
	return err;
}

/* A descriptor can't be talked to in TLS. */
static struct ovm_error *check_parameters(struct ovm_qmp *qmp)
{
	_cleanup_json_ struct json_object *parameters = NULL;
	struct ovm_error *err = ovm_qmp_execute(qmp, "query-migrate-parameters", NULL, &parameters);

	if (!err && *ovm_json_string(parameters, "tls-creds"))
		err = ovm_error_format(OVM_ERROR_UNREACHABLE,
				       "this virtual machine migrates in TLS only: clear the "
				       "migration parameter tls-creds for the time being");
	return err;
}

static struct ovm_error *check_migratable(struct ovm_vm *vm)
{
	char status[32], reason[128];
	struct ovm_error *err = check_parameters(ovm_vm_qmp(vm));

	if (!err)
		err = query_migration(ovm_vm_qmp(vm), status, reason);
	if (err)
		return err;
	if (!migration_ended(status))
		return ovm_error_format(
			OVM_ERROR_UNREACHABLE,
			"the virtual machine is being migrated: try again afterwards");
	if (!ovm_vm_info(vm)->ram_shared)
		return ovm_error_format(
			OVM_ERROR_UNREACHABLE,
			"this QEMU can save device state only together with RAM that isn't shared; "
			"give it RAM with share=on (-object memory-backend-memfd,share=on,...)");
	return NULL;
}

static struct ovm_error *migrate_devices(struct ovm_vm *vm, int fd)
{
	_cleanup_(cleanup_change) struct capability_change change = {0};
	struct ovm_qmp *qmp = ovm_vm_qmp(vm);
	struct ovm_error *err = check_migratable(vm);

	if (!err)
		err = plan_change(qmp, &change);
	if (!err)
		err = ovm_vm_note_migration(
			vm, json_object_to_json_string_ext(change.back, JSON_C_TO_STRING_PLAIN));
	if (err)
		return err;
	if (json_object_array_length(change.there))
		err = set_capabilities(qmp, change.there);
	if (!err)
		err = migrate_to(qmp, fd);

	bool cancellable = ovm_qmp_set_cancellable(qmp, false);

	if (err)
		abandon_migration(qmp);
	if (json_object_array_length(change.back)) {
		struct ovm_error *back = set_capabilities(qmp, change.back);

		if (err)
			ovm_error_free(back);
		else
			err = ovm_error_prepend(back, "can't restore migration capabilities");
	}
	ovm_qmp_set_cancellable(qmp, cancellable);
	if (!err)
		return ovm_vm_note_migration(vm, NULL);
	ovm_error_free(ovm_vm_note_migration(vm, NULL));
	return err;
}

/* ---- Both ---------------------------------------------------------------- */

struct ovm_error *ovm_vcpus_read_by(struct ovm_vm *vm, enum ovm_vcpu_source source,
				    struct ovm_vcpus **ret)
{
	_cleanup_(contents_deinit) struct contents contents = {0};
	_cleanup_close_ int fd = -1;
	const struct ovm_vm_info *info = ovm_vm_info(vm);
	const struct ovm_vcpu_context context = {.nr_vcpus = info->nr_vcpus, .kvm = info->kvm};
	struct ovm_vm_status status;
	struct ovm_error *err = ovm_vm_status(vm, &status);

	*ret = NULL;
	if (!err && status.running)
		err = ovm_error_format(OVM_ERROR_USAGE,
				       "the vCPUs' state can be read only while the VM is paused");
	if (!err)
		err = make_file(&fd);
	if (!err)
		err = source == OVM_VCPU_MIGRATE ? migrate_devices(vm, fd) : save_devices(vm, fd);
	if (!err)
		err = contents_init(&contents, fd);
	if (!err)
		err = ovm_vcpus_parse(contents.data, contents.len, source == OVM_VCPU_MIGRATE,
				      &context, ret);
	return ovm_error_prepend(err, "can't read the vCPUs' state");
}

struct ovm_error *ovm_vcpus_read(struct ovm_vm *vm, struct ovm_vcpus **ret)
{
	struct ovm_error *err = ovm_vcpus_read_by(vm, OVM_VCPU_SAVE_DEVICES, ret);

	/* Refused, or not understood: what follows describes itself. */
	if (err && (err->code == OVM_ERROR_UNREACHABLE || err->code == OVM_ERROR_CORRUPT)) {
		struct ovm_error *second = ovm_vcpus_read_by(vm, OVM_VCPU_MIGRATE, ret);

		if (!second || second->code == OVM_ERROR_CANCELLED) {
			ovm_error_free(err);
			return second;
		}
		err = ovm_error_prepend(err, "%s; and", second->message);
		ovm_error_free(second);
	}
	return err;
}
