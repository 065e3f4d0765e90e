// SPDX-License-Identifier: GPL-2.0-only
/* Any page as one that may hold a VMCOREINFO note. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmi/vmcoreinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const char *text, size_t len)
{
	struct ovm_vmcoreinfo info;

	if (ovm_vmcoreinfo_parse(text, len, &info) &&
	    strnlen(info.release, sizeof(info.release)) == sizeof(info.release))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len;
	const char *text = ovm_vmcoreinfo_note(data, size, &len);

	if (text) {
		if ((const uint8_t *)text + len > data + size)
			abort();
		parse(text, len);
	}
	/* The text alone, too, of which the note's header need not be guessed. */
	parse((const char *)data, size);
	return 0;
}
