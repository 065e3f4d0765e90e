// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>

#include "snapshot.h"
#include "test.h"
#include "vmi/vmcoreinfo.h"

static const char text[] = "OSRELEASE=6.1.0-56-cloud-amd64\n"
			   "BUILD-ID=3b43fad5034874490492495d552c0af6a5fab235\n"
			   "PAGESIZE=4096\n"
			   "SYMBOL(init_uts_ns)=ffffffffa29f9b60\n"
			   "SYMBOL(_stext)=ffffffffa0e00000\n"
			   "NUMBER(phys_base)=-450887680\n"
			   "SYMBOL(init_top_pgt)=ffffffffa2810000\n"
			   "NUMBER(pgtable_l5_enabled)=1\n"
			   "KERNELOFFSET=1fe00000\n"
			   "SYMBOL(kallsyms_names)=ffffffffa1f20000\n";

static size_t make_note(uint8_t *page, uint32_t name_size, uint32_t size, uint32_t type)
{
	const uint32_t header[] = {name_size, size, type};

	memset(page, 0, 4096);
	memcpy(page, header, sizeof(header));
	memcpy(page + sizeof(header), "VMCOREINFO", 11);
	memcpy(page + OVM_VMCOREINFO_HEADER, text, sizeof(text) - 1);
	return sizeof(text) - 1;
}

OVM_TEST(vmcoreinfo, reads_the_keys_it_needs)
{
	struct ovm_vmcoreinfo info;

	ASSERT_TRUE(ovm_vmcoreinfo_parse(text, sizeof(text) - 1, &info));
	ASSERT_STREQ(info.release, "6.1.0-56-cloud-amd64");
	ASSERT_EQ_U64(info.stext, 0xffffffffa0e00000);
	ASSERT_EQ_U64(info.init_top_pgt, 0xffffffffa2810000);
	ASSERT_EQ_U64(info.kernel_offset, 0x1fe00000);
	ASSERT_TRUE(info.has_phys_base && info.has_kernel_offset && info.five_levels);
	ASSERT_EQ_U64(info.phys_base, -450887680LL);
}

OVM_TEST(vmcoreinfo, refuses_numbers_that_are_none)
{
	struct ovm_vmcoreinfo info;
	const char bad[] = "OSRELEASE=6\nSYMBOL(_stext)=fffffffff00000000\n";
	const char worse[] = "OSRELEASE=6\nSYMBOL(_stext)=12g\n";

	ASSERT_FALSE(ovm_vmcoreinfo_parse(bad, sizeof(bad) - 1, &info));
	ASSERT_FALSE(ovm_vmcoreinfo_parse(worse, sizeof(worse) - 1, &info));
	ASSERT_FALSE(ovm_vmcoreinfo_parse("", 0, &info));
	ASSERT_FALSE(ovm_vmcoreinfo_parse("=\n==\nOSRELEASE=", 15, &info));
}

OVM_TEST(vmcoreinfo, takes_a_release_only_if_it_fits)
{
	struct ovm_vmcoreinfo info;
	char release[128] = "OSRELEASE=";

	memset(release + 10, 'x', 100);
	ASSERT_FALSE(ovm_vmcoreinfo_parse(release, 110, &info));
	ASSERT_STREQ(info.release, "");
}

OVM_TEST(vmcoreinfo, tells_a_note_from_its_name_alone)
{
	uint8_t page[4096];
	size_t len, size = make_note(page, 11, sizeof(text) - 1, 0);

	ASSERT_TRUE(ovm_vmcoreinfo_note(page, sizeof(page), &len) ==
		    (char *)page + OVM_VMCOREINFO_HEADER);
	ASSERT_EQ_U64(len, size);
	make_note(page, 10, sizeof(text) - 1, 0);
	ASSERT_FALSE(ovm_vmcoreinfo_note(page, sizeof(page), &len));
	make_note(page, 11, sizeof(text) - 1, 1);
	ASSERT_FALSE(ovm_vmcoreinfo_note(page, sizeof(page), &len));
	make_note(page, 11, 4096 - OVM_VMCOREINFO_HEADER + 1, 0);
	ASSERT_FALSE(ovm_vmcoreinfo_note(page, sizeof(page), &len));
	ASSERT_FALSE(ovm_vmcoreinfo_note(page, OVM_VMCOREINFO_HEADER - 1, &len));
}

/* /sys/kernel/vmcoreinfo tells the note's physical address. */
static void check_note(const char *name)
{
	struct test_snapshot snapshot;
	struct ovm_vmcoreinfo info;
	uint8_t page[4096];
	size_t size, len;

	ASSERT_TRUE(test_snapshot_open(&snapshot, name));

	char *where = test_snapshot_file(&snapshot, "guest/vmcoreinfo", &size);
	uint64_t gpa = where ? strtoull(where, NULL, 16) : 0;

	free(where);

	struct ovm_error *err = ovm_memory_read(snapshot.memory, gpa, page, sizeof(page));

	test_snapshot_close(&snapshot);
	ASSERT_OK(err);

	const char *note = ovm_vmcoreinfo_note(page, sizeof(page), &len);

	ASSERT_TRUE(note);
	ASSERT_TRUE(ovm_vmcoreinfo_parse(note, len, &info));
	ASSERT_TRUE(info.has_phys_base && info.init_top_pgt);
}

OVM_TEST(vmcoreinfo, reads_that_of_real_kernels)
{
	char names[TEST_SNAPSHOTS][64];
	size_t nr = test_snapshot_names(names);

	if (!nr)
		OVM_SKIP("no snapshots: tests/guest/snapshot records them");
	for (size_t i = 0; i < nr && !ovm_test_failed(); i++)
		check_note(names[i]);
}
