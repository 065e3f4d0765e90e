// SPDX-License-Identifier: GPL-2.0-only
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* A process may have a million descriptors of a kind that can't be saved. */
	MAX_LINES = 1000,
	MAX_WARNINGS = 100,
	FIRST_SIZE = 1024,
	/* Of a long name, this many bytes at each end are shown. */
	QUOTED_END = 32,
	ESCAPED = 4,
};

static bool reserve(struct ovm_image_report *report, size_t need)
{
	size_t size = report->size ? report->size : FIRST_SIZE;

	while (size - report->len < need)
		size *= 2;
	if (size == report->size)
		return true;
	char *text = realloc(report->text, size);

	if (!text) {
		report->out_of_memory = true;
		return false;
	}
	report->text = text;
	report->size = size;
	return true;
}

static char *make_line(const struct ovm_image_report *report, const char *format, va_list ap)
{
	char *text = NULL, *line = NULL;

	if (vasprintf(&text, format, ap) < 0)
		return NULL;
	if (asprintf(&line, "pid %d: %s%s", report->pid, report->passed ? "on its way to " : "",
		     text) < 0)
		line = NULL;
	free(text);
	return line;
}

static void add_line(struct ovm_image_report *report, const char *line)
{
	size_t len = strlen(line);

	if (!reserve(report, len + 2))
		return;
	if (report->len)
		report->text[report->len++] = '\n';
	memcpy(report->text + report->len, line, len + 1);
	report->len += len;
}

void ovm_image_reason(struct ovm_image_report *report, const char *format, ...)
{
	va_list ap;

	if (!report->nr++)
		report->first_pid = report->pid;
	if (report->nr > MAX_LINES)
		return;
	va_start(ap, format);
	char *line = make_line(report, format, ap);
	va_end(ap);
	if (line)
		add_line(report, line);
	else
		report->out_of_memory = true;
	free(line);
}

void ovm_image_warn(struct ovm_image_report *report, const char *format, ...)
{
	va_list ap;

	if (!report->warn || report->nr_warnings++ >= MAX_WARNINGS)
		return;
	va_start(ap, format);
	char *line = make_line(report, format, ap);
	va_end(ap);
	if (line)
		report->warn(report->warn_arg, line);
	free(line);
}

struct ovm_error *ovm_image_report_finish(struct ovm_image_report *report)
{
	struct ovm_error *err = NULL;

	if (report->out_of_memory)
		err = ovm_error_no_memory();
	else if (report->nr > MAX_LINES)
		err = ovm_error_format(OVM_ERROR_NOT_DUMPABLE, "%s\nand %zu more", report->text,
				       report->nr - MAX_LINES);
	else if (report->nr)
		err = ovm_error_format(OVM_ERROR_NOT_DUMPABLE, "%s", report->text);
	if (err && err->code == OVM_ERROR_NOT_DUMPABLE)
		err->pid = report->first_pid;
	free(report->tids);
	report->tids = NULL;
	report->nr_tids = 0;
	free(report->text);
	report->text = NULL;
	report->len = report->size = 0;
	return err;
}

static char *quote_bytes(char *out, const unsigned char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		if (bytes[i] >= ' ' && bytes[i] <= '~' && bytes[i] != '\\') {
			*out++ = (char)bytes[i];
			continue;
		}
		*out++ = '\\';
		*out++ = 'x';
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	return out;
}

const char *ovm_image_quote(const void *bytes, uint64_t len, char out[OVM_IMAGE_QUOTED_MAX])
{
	static const char gap[] = "...";
	char quoted[2 * QUOTED_END * ESCAPED + sizeof(gap)];
	char *end = quoted;

	if (!bytes)
		len = 0;
	if (len <= 2 * QUOTED_END) {
		end = quote_bytes(end, bytes, len);
	} else {
		end = quote_bytes(end, bytes, QUOTED_END);
		memcpy(end, gap, sizeof(gap) - 1);
		end = quote_bytes(end + sizeof(gap) - 1,
				  (const unsigned char *)bytes + len - QUOTED_END, QUOTED_END);
	}
	*end = '\0';
	snprintf(out, OVM_IMAGE_QUOTED_MAX, "%.*s", OVM_IMAGE_QUOTED_MAX - 1, quoted);
	return out;
}
