// SPDX-License-Identifier: GPL-2.0-only
#include "ipi.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "json.h"

enum {
	ANSWER_MS = 5000,
	PACKET_MAX = 256,
	/* What an MSI address holds of the destination. */
	APIC_ID_MAX = 254,
};

/* Our character device, and the one that QEMU makes for "-gdb" and "gdbserver". */
static const char device[] = "ovm-ipi", user_device[] = "gdb";

struct ovm_ipi {
	struct ovm_vm *vm;
	int fd;
};

static struct ovm_error *error_stub(const char *what)
{
	return ovm_error_format(OVM_ERROR_UNREACHABLE,
				"QEMU's gdb stub, through which the guest's CPUs are "
				"interrupted, %s",
				what);
}

static struct json_object *text_argument(const char *key, const char *value)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, key, json_object_new_string(value));
	return o;
}

/* Have the stub let go of its device, which is removed with that. */
static struct ovm_error *stop_stub(struct ovm_qmp *qmp)
{
	_cleanup_free_ char *answer = NULL;

	return ovm_qmp_human(qmp, "gdbserver none", &answer);
}

/* One that a debugger uses is left alone; one that a killed predecessor left is removed. */
static struct ovm_error *clear_stub(struct ovm_qmp *qmp)
{
	_cleanup_json_ struct json_object *list = NULL;
	struct ovm_error *err = ovm_qmp_execute(qmp, "query-chardev", NULL, &list);
	bool left = false;

	if (err)
		return err;
	if (!json_object_is_type(list, json_type_array))
		return error_stub("can't be looked at");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *label = ovm_json_string(json_object_array_get_idx(list, i), "label");

		if (!strcmp(label, user_device))
			return error_stub("is in use: end the debugging session (\"gdbserver "
					  "none\")");
		left |= !strcmp(label, device);
	}
	if (!left)
		return NULL;
	err = stop_stub(qmp);
	if (err)
		return err;
	/* Fails, rightly, when the stub had it and took it along. */
	ovm_error_free(ovm_qmp_execute(qmp, "chardev-remove", text_argument("id", device), NULL));
	return NULL;
}

static struct ovm_error *add_device(struct ovm_qmp *qmp, int fd)
{
	struct ovm_error *err =
		ovm_qmp_execute_fd(qmp, "getfd", text_argument("fdname", device), fd, NULL);

	if (err)
		return err;
	struct json_object *addr = json_object_new_object();
	struct json_object *data = json_object_new_object();
	struct json_object *backend = json_object_new_object();
	struct json_object *arguments = text_argument("id", device);

	json_object_object_add(addr, "type", json_object_new_string("fd"));
	json_object_object_add(addr, "data", text_argument("str", device));
	json_object_object_add(data, "addr", addr);
	json_object_object_add(data, "server", json_object_new_boolean(false));
	json_object_object_add(backend, "type", json_object_new_string("socket"));
	json_object_object_add(backend, "data", data);
	json_object_object_add(arguments, "backend", backend);
	err = ovm_qmp_execute(qmp, "chardev-add", arguments, NULL);
	if (err)
		ovm_error_free(
			ovm_qmp_execute(qmp, "closefd", text_argument("fdname", device), NULL));
	return err;
}

static struct ovm_error *start_stub(struct ovm_qmp *qmp)
{
	_cleanup_free_ char *answer = NULL;
	char line[64];

	snprintf(line, sizeof(line), "gdbserver chardev:%s", device);
	struct ovm_error *err = ovm_qmp_human(qmp, line, &answer);

	if (!err && strncmp(answer, "Waiting", strlen("Waiting")))
		err = ovm_error_prepend(error_stub("can't be started"), "%s", answer);
	if (err)
		ovm_error_free(
			ovm_qmp_execute(qmp, "chardev-remove", text_argument("id", device), NULL));
	return err;
}

/* Read a packet's answer, which follows acknowledgements and reports of stops. */
static bool read_answer(int fd, char *buf, size_t size)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	size_t len = 0;

	while (len + 1 < size) {
		if (poll(&pfd, 1, ANSWER_MS) <= 0)
			return false;
		ssize_t n = recv(fd, buf + len, 1, 0);

		if (n <= 0)
			return false;
		if (!len && buf[0] != '$')
			continue;
		len++;
		if (len < 4 || buf[len - 3] != '#')
			continue;
		buf[len] = 0;
		if (buf[1] != 'T' && buf[1] != 'S')
			return true;
		len = 0;
	}
	return false;
}

/* Remote protocol of gdb: "$payload#checksum", acknowledged by '+' in both directions. */
static struct ovm_error *exchange(struct ovm_ipi *ipi, const char *payload)
{
	char packet[PACKET_MAX], answer[PACKET_MAX];
	uint8_t sum = 0;

	for (const char *p = payload; *p; p++)
		sum = (uint8_t)(sum + (uint8_t)*p);
	int len = snprintf(packet, sizeof(packet), "$%s#%02x", payload, sum);

	if (send(ipi->fd, packet, (size_t)len, MSG_NOSIGNAL) != len ||
	    !read_answer(ipi->fd, answer, sizeof(answer)))
		return error_stub("doesn't answer");
	if (send(ipi->fd, "+", 1, MSG_NOSIGNAL) != 1)
		return error_stub("has closed its connection");
	return strncmp(answer, "$OK#", 4) ? error_stub("refuses to write") : NULL;
}

struct ovm_error *ovm_ipi_open(struct ovm_vm *vm, struct ovm_ipi **ret)
{
	struct ovm_qmp *qmp = ovm_vm_qmp(vm);
	struct ovm_vm_status status;
	int pair[2];
	struct ovm_error *err = ovm_vm_status(vm, &status);

	*ret = NULL;
	if (err)
		return err;
	if (status.running)
		return ovm_error_format(OVM_ERROR_USAGE, "the virtual machine is not paused");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL, "can't make sockets");
	_cleanup_close_ int ours = pair[0], theirs = pair[1];

	err = clear_stub(qmp);
	if (!err)
		err = add_device(qmp, theirs);
	if (!err)
		err = start_stub(qmp);
	if (err)
		return err;
	struct ovm_ipi *ipi = calloc(1, sizeof(*ipi));

	if (!ipi) {
		ovm_error_free(stop_stub(qmp));
		return ovm_error_no_memory();
	}
	ipi->vm = vm;
	ipi->fd = ovm_take_fd(&ours);
	*ret = ipi;
	return NULL;
}

struct ovm_error *ovm_ipi_send(struct ovm_ipi *ipi, uint32_t apic_id, uint8_t vector)
{
	char payload[64];

	if (apic_id > APIC_ID_MAX)
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"a CPU with APIC id %u can't be interrupted from outside",
					apic_id);
	struct ovm_error *err = exchange(ipi, "Qqemu.PhyMemMode:1");

	if (err)
		return err;
	snprintf(payload, sizeof(payload), "M%x,4:%02x000000", 0xfee00000 | apic_id << 12, vector);
	err = exchange(ipi, payload);
	/* The mode is the stub's, not the connection's: a debugger would find it so. */
	struct ovm_error *other = exchange(ipi, "Qqemu.PhyMemMode:0");

	if (!err)
		return other;
	ovm_error_free(other);
	return err;
}

void ovm_ipi_drain(struct ovm_ipi *ipi)
{
	char buf[PACKET_MAX];

	while (recv(ipi->fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

void ovm_ipi_close(struct ovm_ipi *ipi)
{
	if (!ipi)
		return;
	struct ovm_qmp *qmp = ovm_vm_qmp(ipi->vm);
	bool cancellable = ovm_qmp_set_cancellable(qmp, false);

	ovm_error_free(stop_stub(qmp));
	ovm_qmp_set_cancellable(qmp, cancellable);
	close(ipi->fd);
	free(ipi);
}
