// SPDX-License-Identifier: GPL-2.0-only
#include "error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char no_memory_message[] = "out of memory: free some on the host and try again";
static struct ovm_error no_memory = {
	.code = OVM_ERROR_NO_MEMORY,
	.message = no_memory_message,
};

struct ovm_error *ovm_error_no_memory(void)
{
	return &no_memory;
}

static struct ovm_error *error_vformat(enum ovm_error_code code, const char *format, va_list ap)
{
	struct ovm_error *err = calloc(1, sizeof(*err));

	if (!err)
		return &no_memory;
	err->code = code;
	if (vasprintf(&err->message, format, ap) < 0) {
		free(err);
		return &no_memory;
	}
	return err;
}

struct ovm_error *ovm_error_format(enum ovm_error_code code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	struct ovm_error *err = error_vformat(code, format, ap);
	va_end(ap);
	return err;
}

/* Replace the message by one made from it; the old one stays when memory runs out. */
static void error_replace_message(struct ovm_error *err, char *message)
{
	if (!message)
		return;
	free(err->message);
	err->message = message;
}

struct ovm_error *ovm_error_errno(enum ovm_error_code code, int errnum, const char *path,
				  const char *format, ...)
{
	char buf[128];
	char *message;
	va_list ap;

	va_start(ap, format);
	struct ovm_error *err = error_vformat(code, format, ap);
	va_end(ap);
	if (err == &no_memory)
		return err;
	err->errnum = errnum;
	err->path = path ? strdup(path) : NULL;
	if (asprintf(&message, "%s: %s", err->message, strerror_r(errnum, buf, sizeof(buf))) < 0)
		message = NULL;
	error_replace_message(err, message);
	return err;
}

struct ovm_error *ovm_error_address(enum ovm_error_code code, uint64_t address, const char *format,
				    ...)
{
	char *message;
	va_list ap;

	va_start(ap, format);
	struct ovm_error *err = error_vformat(code, format, ap);
	va_end(ap);
	if (err == &no_memory)
		return err;
	err->has_address = true;
	err->address = address;
	if (asprintf(&message, "%s 0x%llx", err->message, (unsigned long long)address) < 0)
		message = NULL;
	error_replace_message(err, message);
	return err;
}

struct ovm_error *ovm_error_prepend(struct ovm_error *err, const char *format, ...)
{
	char *context, *message;
	va_list ap;

	if (!err || err == &no_memory)
		return err;
	va_start(ap, format);
	int n = vasprintf(&context, format, ap);
	va_end(ap);
	if (n < 0)
		return err;
	if (asprintf(&message, "%s: %s", context, err->message) < 0)
		message = NULL;
	free(context);
	error_replace_message(err, message);
	return err;
}

void ovm_error_free(struct ovm_error *err)
{
	if (!err || err == &no_memory)
		return;
	free(err->path);
	free(err->message);
	free(err);
}
