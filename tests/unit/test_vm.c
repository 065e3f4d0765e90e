// SPDX-License-Identifier: GPL-2.0-only
/* Attaching to real QEMUs that hold a few known words of RAM, and no guest. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qemu.h"
#include "test.h"
#include "vmi/memory.h"
#include "vmi/ram_layout.h"
#include "vmi/vm.h"

#define GIB (1ULL << 30)
#define MIB (1ULL << 20)

static struct ovm_error *attach(const struct test_qemu *qemu, struct ovm_vm **ret)
{
	const struct ovm_vm_options options = {
		.size = sizeof(options),
		.qmp = {.size = sizeof(options.qmp), .path = qemu->socket},
	};

	return ovm_vm_attach(&options, ret);
}

/* Where the words are: on each side of what may divide RAM. */
static const uint64_t places[] = {
	0x1000,	 0x9f000,    MIB, 511 * MIB, 2 * GIB - 8, 4 * GIB, 4 * GIB + 511 * MIB,
	5 * GIB, 6 * GIB + 8};

static bool is_ram(uint64_t gpa, uint64_t below, uint64_t above)
{
	return gpa < below || (gpa >= 4 * GIB && gpa < 4 * GIB + above);
}

static uint64_t word_at(uint64_t gpa)
{
	return 0x0123456789abcdefULL ^ (gpa << 8);
}

/* Start QEMU with @arguments and a known word at each place that is RAM. */
static bool start(struct test_qemu *qemu, const char *arguments, uint64_t below, uint64_t above)
{
	char text[2048];
	int len = snprintf(text, sizeof(text), "-S %s", arguments);

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (is_ram(places[i], below, above))
			len += snprintf(text + len, sizeof(text) - (size_t)len,
					" -device loader,addr=0x%" PRIx64 ",data=0x%" PRIx64
					",data-len=8",
					places[i], word_at(places[i]));
	}
	return test_qemu_start(qemu, text);
}

static void check_words(struct ovm_vm *vm, uint64_t below, uint64_t above)
{
	const struct ovm_memory *memory = ovm_vm_memory(vm);

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		uint64_t word;

		if (is_ram(places[i], below, above)) {
			ASSERT_OK(ovm_memory_read(memory, places[i], &word, sizeof(word)));
			ASSERT_EQ_U64(word, word_at(places[i]));
		} else {
			ASSERT_ERROR(ovm_memory_read(memory, places[i], &word, sizeof(word)),
				     OVM_ERROR_FAULT, NULL);
		}
	}
}

/* One machine: attach, check what is known of it, read the words, detach, attach again. */
static void check_machine(const char *arguments, uint64_t below, uint64_t above,
			  enum ovm_ram_kind kind, unsigned int nr_vcpus)
{
	const struct ovm_ram_range *ranges;
	struct ovm_vm_status status;
	struct test_qemu qemu;
	struct ovm_vm *vm;

	if (!start(&qemu, arguments, below, above))
		OVM_SKIP("%s", qemu.reason);
	for (int i = 0; i < 2 && !ovm_test_failed(); i++) {
		ASSERT_OK(attach(&qemu, &vm));
		ASSERT_EQ_U64(ovm_vm_info(vm)->pid, qemu.pid);
		ASSERT_EQ_U64(ovm_vm_info(vm)->nr_vcpus, nr_vcpus);
		ASSERT_EQ_U64(ovm_vm_info(vm)->ram_size, below + above);
		ASSERT_EQ_U64(ovm_vm_info(vm)->ram_shared, kind != OVM_RAM_PROCESS);
		ASSERT_TRUE(ovm_vm_info(vm)->version.major >= 5);
		size_t nr = ovm_memory_ranges(ovm_vm_memory(vm), &ranges);

		for (size_t j = 0; j < nr; j++)
			ASSERT_EQ_U64(ranges[j].kind, kind);
		ASSERT_OK(ovm_vm_status(vm, &status));
		ASSERT_FALSE(status.running);
		ASSERT_STREQ(status.name, "prelaunch");
		check_words(vm, below, above);
		ovm_vm_detach(vm);
	}
	test_qemu_stop(&qemu);
}

OVM_TEST(vm, ram_in_a_file_below_the_hole)
{
	check_machine("-machine q35,memory-backend=m -m 512M -smp 3 "
		      "-object memory-backend-file,id=m,size=512M,mem-path=@/m,share=on",
		      512 * MIB, 0, OVM_RAM_MAPPED, 3);
}

OVM_TEST(vm, ram_in_a_memfd_around_the_hole)
{
	check_machine("-machine q35,memory-backend=m -m 3G "
		      "-object memory-backend-memfd,id=m,size=3G,share=on",
		      2 * GIB, GIB, OVM_RAM_MAPPED, 1);
}

OVM_TEST(vm, old_machine_has_another_hole)
{
	check_machine("-machine pc,memory-backend=m -m 6G "
		      "-object memory-backend-memfd,id=m,size=6G,share=on",
		      3 * GIB, 3 * GIB, OVM_RAM_MAPPED, 1);
}

OVM_TEST(vm, two_nodes_of_different_kind)
{
	check_machine("-machine q35 -m 6G -smp 2 "
		      "-object memory-backend-file,id=a,size=3G,mem-path=@/a,share=on "
		      "-object memory-backend-memfd,id=b,size=3G,share=on "
		      "-numa node,memdev=a,cpus=0 -numa node,memdev=b,cpus=1",
		      2 * GIB, 4 * GIB, OVM_RAM_MAPPED, 2);
}

OVM_TEST(vm, private_ram_is_read_from_the_process)
{
	check_machine("-machine q35 -m 3G", 2 * GIB, GIB, OVM_RAM_PROCESS, 1);
}

OVM_TEST(vm, private_file_is_read_from_the_process)
{
	check_machine("-machine q35,memory-backend=m -m 512M "
		      "-object memory-backend-file,id=m,size=512M,mem-path=@/m,share=off",
		      512 * MIB, 0, OVM_RAM_PROCESS, 1);
}

OVM_TEST(vm, shared_anonymous_ram_is_mapped)
{
	check_machine("-machine q35,memory-backend=m -m 512M "
		      "-object memory-backend-ram,id=m,size=512M,share=on",
		      512 * MIB, 0, OVM_RAM_MAPPED, 1);
}

OVM_TEST(vm, memory_of_a_display_is_left_out)
{
	check_machine("-machine q35,memory-backend=m -m 512M -device VGA "
		      "-object memory-backend-memfd,id=m,size=512M,share=on",
		      512 * MIB, 0, OVM_RAM_MAPPED, 1);
}

static const char nr_hugepages[] = "/proc/sys/vm/nr_hugepages";

static long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long value = -1;

	if (file && fscanf(file, "%ld", &value) != 1)
		value = -1;
	if (file)
		fclose(file);
	return value;
}

static void write_number(const char *path, long value)
{
	FILE *file = fopen(path, "we");

	if (file) {
		fprintf(file, "%ld\n", value);
		fclose(file);
	}
}

OVM_TEST(vm, huge_pages_are_read)
{
	const long needed = 32, former = read_number(nr_hugepages);

	write_number(nr_hugepages, former + needed);
	if (read_number(nr_hugepages) < former + needed) {
		write_number(nr_hugepages, former);
		OVM_SKIP("%ld huge pages of 2 MiB (needs root and unfragmented memory)", needed);
	}
	check_machine("-machine q35,memory-backend=m -m 64M "
		      "-object memory-backend-memfd,id=m,size=64M,share=on,hugetlb=on",
		      64 * MIB, 0, OVM_RAM_FILE, 1);
	write_number(nr_hugepages, former);
}

OVM_TEST(vm, reading_sparse_ram_allocates_nothing)
{
	struct test_qemu qemu;
	struct stat before, after;
	struct ovm_vm *vm;
	char path[128], *buf = malloc(64 << 20);

	if (!start(&qemu,
		   "-machine q35,memory-backend=m -m 2G "
		   "-object memory-backend-file,id=m,size=2G,mem-path=@/m,share=on",
		   2 * GIB, 0))
		OVM_SKIP("%s", qemu.reason);
	snprintf(path, sizeof(path), "%s/m", qemu.directory);
	ASSERT_OK(attach(&qemu, &vm));
	ASSERT_TRUE(!stat(path, &before));
	for (uint64_t gpa = MIB; gpa < 2 * GIB; gpa += MIB)
		ASSERT_OK(ovm_memory_read(ovm_vm_memory(vm), gpa, buf, 8));
	ASSERT_OK(ovm_memory_read(ovm_vm_memory(vm), GIB, buf, 64 << 20));
	ASSERT_TRUE(!stat(path, &after));
	ASSERT_EQ_U64(after.st_blocks, before.st_blocks);
	free(buf);
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
}

OVM_TEST(vm, second_client_is_told_why)
{
	struct test_qemu qemu;
	struct ovm_vm *vm, *second;

	if (!start(&qemu, "-machine q35 -m 64M", 64 * MIB, 0))
		OVM_SKIP("%s", qemu.reason);
	const struct ovm_vm_options options = {
		.size = sizeof(options),
		.qmp = {.size = sizeof(options.qmp), .path = qemu.socket, .timeout_ms = 200},
	};

	ASSERT_OK(attach(&qemu, &vm));
	ASSERT_ERROR(ovm_vm_attach(&options, &second), OVM_ERROR_UNREACHABLE,
		     "one client at a time");
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
}

OVM_TEST(vm, dead_vm_is_an_error)
{
	struct test_qemu qemu;
	struct ovm_vm_status status;
	struct ovm_vm *vm;

	if (!start(&qemu, "-machine q35 -m 64M", 64 * MIB, 0))
		OVM_SKIP("%s", qemu.reason);
	ASSERT_OK(attach(&qemu, &vm));
	test_qemu_stop(&qemu);
	uint64_t word;

	ASSERT_ERROR(ovm_vm_status(vm, &status), OVM_ERROR_UNREACHABLE, "closed the connection");
	ASSERT_ERROR(ovm_memory_read(ovm_vm_memory(vm), MIB, &word, 8), OVM_ERROR_UNREACHABLE,
		     NULL);
	ovm_vm_detach(vm);
}

/* ---- Parsers ------------------------------------------------------------- */

static const char mtree[] =
	"FlatView #0\n AS \"cpu-smm-0\", root: memory\n Root memory region: memory\n"
	"  0000000000000000-00000000ffffffff (prio 0, ram): wrong KVM\n\n"
	"FlatView #1\r\n AS \"I/O\", root: io\r\n AS \"memory\", root: system\r\n"
	" Root memory region: system\r\n"
	"  0000000000000000-00000000000bffff (prio 0, ram): m0 KVM\r\n"
	"  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom\r\n"
	"  0000000000100000-000000007fffffff (prio 0, ram): m0 @0000000000100000 KVM\r\n"
	"  00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram owner:{dev path=/x} KVM\r\n"
	"  00000000fe000000-00000000feffffff (prio 1, ramd): vfio bar 0\r\n"
	"  0000000100000000-000000013fffffff (prio 0, nv-ram): pmem\r\n"
	"  0000000140000000-00000001ffffffff (prio 0, ram): m1\r\n"
	"  garbage\n  0000000000000fff-0000000000000000 (prio 0, ram): backwards\n\n";

static bool not_vram(void *arg, const char *name)
{
	return strcmp(name, arg);
}

OVM_TEST(ram_layout, parses_a_memory_map)
{
	struct ovm_layout layout;

	ASSERT_OK(ovm_layout_parse(mtree, &layout));
	ASSERT_EQ_U64(layout.nr, 4);
	ASSERT_STREQ(layout.ranges[0].name, "m0");
	ASSERT_EQ_U64(layout.ranges[0].size, 0xc0000);
	ASSERT_EQ_U64(layout.ranges[1].offset, 0x100000);
	ASSERT_STREQ(layout.ranges[1].name, "m0");
	ASSERT_STREQ(layout.ranges[2].name, "vga.vram");
	ovm_layout_filter(&layout, not_vram, "vga.vram");
	ASSERT_EQ_U64(layout.nr, 3);
	ASSERT_STREQ(layout.ranges[2].name, "m1");
	ASSERT_EQ_U64(layout.ranges[2].gpa, 0x140000000);
	ASSERT_EQ_U64(ovm_layout_total(&layout), 0x80000000ULL + 0xc0000000ULL);
	ovm_layout_deinit(&layout);
	ASSERT_ERROR(ovm_layout_parse("", &layout), OVM_ERROR_UNREACHABLE, "called \"memory\"");
	ASSERT_ERROR(
		ovm_layout_parse(" AS \"memory\", root: system\n  No rendered FlatView\n", &layout),
		OVM_ERROR_UNREACHABLE, "no RAM");
}

OVM_TEST(ram_layout, parses_host_addresses)
{
	uint64_t hva;

	ASSERT_TRUE(ovm_layout_parse_hva("Host virtual address for 0x0 (m0) is 0x7fe6a3fff000\r\n",
					 &hva));
	ASSERT_EQ_U64(hva, 0x7fe6a3fff000);
	ASSERT_FALSE(ovm_layout_parse_hva("No memory is mapped at address 0x0\r\n", &hva));
	ASSERT_FALSE(ovm_layout_parse_hva("Memory at address 0x0 is not RAM (x) is 0x", &hva));
}

OVM_TEST(ram_layout, parses_mappings)
{
	static const char text[] = "1000-3000 rw-s 00002000 00:1a 3    /dev/shm/a b (deleted)\n"
				   "3000-4000 rw-p 00000000 00:00 0\n"
				   "5000-6000 r--p 00000000 08:01 99 /lib/x\n"
				   "nonsense\n";
	struct ovm_host_maps maps;

	ASSERT_OK(ovm_host_maps_parse(text, &maps));
	ASSERT_EQ_U64(maps.nr, 3);
	ASSERT_EQ_U64(maps.vmas[0].inode, 3);
	ASSERT_TRUE(maps.vmas[0].shared && !maps.vmas[1].shared);
	ASSERT_STREQ(maps.vmas[0].path, "/dev/shm/a b (deleted)");
	ASSERT_STREQ(maps.vmas[1].path, "");
	ASSERT_TRUE(ovm_host_maps_cover(&maps, 0x1800, 0x2800));
	ASSERT_FALSE(ovm_host_maps_cover(&maps, 0x1800, 0x2801));
	ASSERT_FALSE(ovm_host_maps_cover(&maps, 0x5000, 0x10));
	ovm_host_maps_deinit(&maps);
}
