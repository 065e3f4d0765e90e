// SPDX-License-Identifier: GPL-2.0-only
/*
 * BTF from a hostile guest, and the use of it: the first half of the input is
 * vmlinux', the second a module's.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vmi/btf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_up(struct ovm_btf *btf)
{
	static const char *const types[] = {"struct task_struct", "union u", "thing_t", "struct a",
					    "struct thing"};
	static const char *const paths[] = {"a", "a.b", "a[1].b", "inner[3].a", "signal.rlim[3]"};
	struct ovm_btf_member member;
	uint64_t size;
	int64_t value;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		ovm_error_free(ovm_btf_sizeof(btf, types[i], &size));
		for (size_t j = 0; j < sizeof(paths) / sizeof(paths[0]); j++)
			ovm_error_free(ovm_btf_find_member(btf, types[i], paths[j], &member));
	}
	ovm_error_free(ovm_btf_enum_value(btf, "", "NONE", &value));
	for (uint32_t id = 0; id <= ovm_btf_nr_types(btf) && id < 256; id++) {
		(void)!strlen(ovm_btf_name(btf, id));
		ovm_error_free(ovm_btf_size(btf, id, &size));
		ovm_error_free(ovm_btf_member_of(btf, id, "a[2].b", &member));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ovm_btf *btf = NULL;
	size_t first = size / 2;
	struct ovm_error *err = ovm_btf_create(data, first, &btf);

	if (err) {
		ovm_error_free(err);
		first = size;
		err = ovm_btf_create(data, size, &btf);
	}
	if (err) {
		ovm_error_free(err);
		return 0;
	}
	ovm_error_free(ovm_btf_add_module(btf, data + first, size - first));
	look_up(btf);
	ovm_btf_destroy(btf);
	return 0;
}
