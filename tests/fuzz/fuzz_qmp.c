// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever a QMP server may answer: the client must end with a value or an
 * error, and so must what parses the answers that hold text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <json-c/json.h>

#include "vmi/qmp.h"
#include "vmi/ram_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char preamble[] = "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}}}\r\n"
			       "{\"return\": {}, \"id\": 1}\r\n";

static void note_event(void *arg, const char *name, struct json_object *data)
{
	*(size_t *)arg += strlen(name) + (data != NULL);
}

static void talk(int fd)
{
	size_t events = 0;
	const struct ovm_qmp_options options = {.size = sizeof(options),
						.fd = fd,
						.timeout_ms = 1000,
						.max_reply = 8192,
						.event = note_event,
						.event_arg = &events};
	struct ovm_qmp *qmp;
	struct ovm_error *err = ovm_qmp_connect(&options, &qmp);

	for (int i = 0; i < 4 && !err; i++) {
		struct json_object *value = NULL;
		char *text = NULL;

		if (i & 1)
			err = ovm_qmp_human(qmp, "info mtree -f", &text);
		else
			err = ovm_qmp_execute(qmp, "query-status", NULL, &value);
		json_object_put(value);
		free(text);
	}
	ovm_error_free(err);
	ovm_qmp_close(qmp);
}

static void parse_text(const uint8_t *data, size_t size)
{
	struct ovm_layout layout;
	struct ovm_host_maps maps;
	uint64_t hva;
	char *text = malloc(size + 1);

	if (!text)
		return;
	memcpy(text, data, size);
	text[size] = '\0';
	ovm_error_free(ovm_layout_parse(text, &layout));
	ovm_layout_total(&layout);
	ovm_layout_deinit(&layout);
	ovm_error_free(ovm_host_maps_parse(text, &maps));
	ovm_host_maps_cover(&maps, 0x1000, 0x2000);
	ovm_host_maps_deinit(&maps);
	ovm_layout_parse_hva(text, &hva);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[2];

	/* More would not fit the socket's buffer before anybody reads. */
	if (!size || size > 64 << 10 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 0;
	if (data[0] & 1 && send(fds[0], preamble, sizeof(preamble) - 1, 0) < 0)
		abort();
	if (size > 1 && send(fds[0], data + 1, size - 1, 0) < 0)
		abort();
	shutdown(fds[0], SHUT_WR);
	talk(fds[1]);
	close(fds[0]);
	close(fds[1]);
	parse_text(data, size);
	return 0;
}
