// SPDX-License-Identifier: GPL-2.0-only
#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void report_failure(struct report *report, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "%s\n", text);
	if (report->nr < REPORT_MAX && asprintf(&report->failures[report->nr], "%s", text) < 0)
		report->failures[report->nr] = NULL;
	report->nr++;
}

unsigned int report_failures(const struct report *report)
{
	return report->nr;
}

bool report_is_full(const struct report *report)
{
	return report->nr >= REPORT_MAX;
}

void report_print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c > '~')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

void report_print_device(const struct ovm_engine_device_stats *stats)
{
	printf(", \"device_ram\": {\"mapped\": %" PRIu64 ", \"staged\": %" PRIu64
	       ", \"pieces\": %" PRIu64 ", \"reason\": ",
	       stats->mapped, stats->staged, stats->nr_pieces);
	if (stats->reason)
		report_print_string(stats->reason);
	else
		printf("null");
	printf("}");
}

void report_print(struct report *report)
{
	printf(", \"good\": %s, \"failures\": [", report->nr ? "false" : "true");
	for (unsigned int i = 0; i < report->nr && i < REPORT_MAX; i++) {
		printf(i ? ", " : "");
		report_print_string(report->failures[i] ? report->failures[i] : "out of memory");
		free(report->failures[i]);
	}
	printf("], \"nr_failures\": %u", report->nr);
	report->nr = 0;
}
