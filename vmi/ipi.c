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
	TAKE_OVER_MS = 1000,
	/* CPUs that are interrupted with one exchange, and bytes for one. */
	BATCH = 32,
	PACKET_BYTES = 40,
	MSI_ADDRESS = 0xfee00000,
	MSI_DESTINATION_SHIFT = 12,
};

/* Our character device, and the one that QEMU makes for "-gdb" and "gdbserver". */
static const char device[] = "ovm-ipi", user_device[] = "gdb";

struct ovm_ipi {
	struct ovm_vm *vm;
	/* Our end, and the one for QEMU until it is handed over. */
	int fd, theirs;
	bool prepared, started;
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
	return err;
}

struct ovm_error *ovm_ipi_create(struct ovm_vm *vm, struct ovm_ipi **ret)
{
	struct ovm_ipi *ipi = calloc(1, sizeof(*ipi));
	int pair[2];

	*ret = NULL;
	if (!ipi)
		return ovm_error_no_memory();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		free(ipi);
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL, "can't make sockets");
	}
	ipi->vm = vm;
	ipi->fd = pair[0];
	ipi->theirs = pair[1];
	*ret = ipi;
	return NULL;
}

int ovm_ipi_fd(const struct ovm_ipi *ipi)
{
	return ipi->fd;
}

struct ovm_error *ovm_ipi_prepare(struct ovm_ipi *ipi)
{
	struct ovm_qmp *qmp = ovm_vm_qmp(ipi->vm);

	if (ipi->prepared)
		return NULL;
	struct ovm_error *err = clear_stub(qmp);

	if (!err)
		err = add_device(qmp, ipi->theirs);
	if (err)
		return err;
	close(ovm_take_fd(&ipi->theirs));
	ipi->prepared = true;
	return NULL;
}

struct ovm_error *ovm_ipi_start(struct ovm_ipi *ipi)
{
	if (ipi->started)
		return NULL;
	struct ovm_error *err = start_stub(ovm_vm_qmp(ipi->vm));

	ipi->started = !err;
	return err;
}

/* Add a packet of gdb's remote protocol, "$payload#checksum", and return its end. */
static char *add_packet(char *at, const char *payload)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum = 0;

	*at++ = '$';
	for (const char *p = payload; *p; p++) {
		sum = (uint8_t)(sum + (uint8_t)*p);
		*at++ = *p;
	}
	*at++ = '#';
	*at++ = digits[sum >> 4];
	*at++ = digits[sum & 15];
	return at;
}

static void put_hex(char *at, unsigned int nr, uint32_t value)
{
	for (unsigned int i = 0; i < nr; i++)
		at[i] = "0123456789abcdef"[value >> 4 * (nr - 1 - i) & 15];
}

/* Wait for a packet that begins so, whatever comes before it. */
static bool read_until(int fd, const char beginning[3])
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char last[3] = "";

	while (memcmp(last, beginning, sizeof(last))) {
		char c;
		int n = poll(&pfd, 1, TAKE_OVER_MS);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || recv(fd, &c, 1, 0) != 1)
			return false;
		last[0] = last[1];
		last[1] = last[2];
		last[2] = c;
	}
	return true;
}

/* Wait for @nr packets "OK". Acknowledgements and reports of stops may come in between. */
static bool read_answers(int fd, unsigned int nr)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char payload[2] = "";
	unsigned int len = 0;
	bool inside = false;

	while (nr) {
		char c;
		int n = poll(&pfd, 1, ANSWER_MS);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || recv(fd, &c, 1, 0) != 1)
			return false;
		if (c == '$') {
			inside = true;
			len = 0;
		} else if (inside && c == '#') {
			inside = false;
			if (len && payload[0] == 'E')
				return false;
			nr -= len == 2 && payload[0] == 'O' && payload[1] == 'K';
		} else if (inside && len++ < sizeof(payload)) {
			payload[len - 1] = c;
		}
	}
	return true;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/*
 * Everything is sent at once and the answers are read then: a packet that comes instead of an
 * acknowledgement stands for one (QEMU 7.2, gdb_read_byte()).  The mode of addresses is the
 * stub's, not the connection's: a debugger would find it as we leave it.
 */
static bool send_batch(int fd, const uint32_t *apic_ids, unsigned int nr, uint8_t vector)
{
	char packets[(BATCH + 2) * PACKET_BYTES], payload[] = "Mxxxxxxxx,4:vv000000";
	char *end = add_packet(packets, "Qqemu.PhyMemMode:1");

	for (unsigned int i = 0; i < nr; i++) {
		if (apic_ids[i] > OVM_IPI_APIC_ID_MAX)
			return false;
		put_hex(payload + 1, 8, MSI_ADDRESS | apic_ids[i] << MSI_DESTINATION_SHIFT);
		put_hex(payload + 12, 2, vector);
		end = add_packet(end, payload);
	}
	end = add_packet(end, "Qqemu.PhyMemMode:0");
	return send_all(fd, packets, (size_t)(end - packets)) && read_answers(fd, nr + 2);
}

bool ovm_ipi_send(int fd, const uint32_t *apic_ids, size_t nr, uint8_t vector)
{
	ovm_ipi_drain(fd);
	for (size_t i = 0; i < nr; i += BATCH)
		if (!send_batch(fd, apic_ids + i, nr - i < BATCH ? (unsigned int)(nr - i) : BATCH,
				vector))
			return false;
	return true;
}

/*
 * The first byte stops a VM that runs, and the first three end a packet that was not whole; then
 * the stub is asked for its current thread, which nobody else asks for.
 */
bool ovm_ipi_take_over(int fd)
{
	static const char query[] = "#00$qC#b4";

	return send_all(fd, query, sizeof(query) - 1) && read_until(fd, "$QC");
}

void ovm_ipi_drain(int fd)
{
	char buf[256];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

void ovm_ipi_destroy(struct ovm_ipi *ipi)
{
	if (!ipi)
		return;
	struct ovm_qmp *qmp = ovm_vm_qmp(ipi->vm);
	bool cancellable = ovm_qmp_set_cancellable(qmp, false);

	if (ipi->started)
		ovm_error_free(stop_stub(qmp));
	else if (ipi->prepared)
		ovm_error_free(
			ovm_qmp_execute(qmp, "chardev-remove", text_argument("id", device), NULL));
	ovm_qmp_set_cancellable(qmp, cancellable);
	close(ipi->fd);
	if (ipi->theirs >= 0)
		close(ipi->theirs);
	free(ipi);
}
