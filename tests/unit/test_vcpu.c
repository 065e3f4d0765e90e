// SPDX-License-Identifier: GPL-2.0-only
/* vCPU state of a guest whose registers hold known values (bare_guest.S). */
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "qemu.h"
#include "test.h"
#include "vmi/memory.h"
#include "vmi/vcpu.h"
#include "vmi/vm.h"

extern const uint8_t bare_guest_start[], bare_guest_end[];

static const uint64_t tsc_at = 0x300000;

static const char shared_ram[] = "-machine q35,memory-backend=m -m 64M -cpu max -smp 2 "
				 "-object memory-backend-memfd,id=m,size=64M,share=on";

struct bare_vm {
	struct test_qemu qemu;
	struct ovm_vm *vm;
};

static bool write_image(char path[static 32])
{
	size_t len = (size_t)(bare_guest_end - bare_guest_start);

	strcpy(path, "/tmp/ovm-bare-XXXXXX");
	int fd = mkstemp(path);
	bool ok = fd >= 0 && write(fd, bare_guest_start, len) == (ssize_t)len;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Start the guest, and wait until its first vCPU spins in user mode. */
static void start(struct bare_vm *bare, const char *arguments)
{
	char image[32], text[512];

	memset(bare, 0, sizeof(*bare));
	ASSERT_TRUE(write_image(image));
	snprintf(text, sizeof(text), "%s -kernel %s", arguments, image);
	bool started = test_qemu_start(&bare->qemu, text);

	if (!started) {
		unlink(image);
		OVM_SKIP("%s", bare->qemu.reason);
	}
	const struct ovm_vm_options options = {
		.size = sizeof(options),
		.qmp = {.size = sizeof(options.qmp), .path = bare->qemu.socket},
	};
	struct ovm_error *err = ovm_vm_attach(&options, &bare->vm);
	uint64_t tsc = 0;

	for (int i = 0; i < 1000 && !err && !tsc; i++) {
		err = ovm_memory_read(ovm_vm_memory(bare->vm), tsc_at, &tsc, sizeof(tsc));
		usleep(10000);
	}
	unlink(image);
	ASSERT_OK(err);
	ASSERT_TRUE(tsc);
}

static void stop(struct bare_vm *bare)
{
	ovm_vm_detach(bare->vm);
	test_qemu_stop(&bare->qemu);
}

static void check_general(const struct ovm_vcpu *vcpu)
{
	static const uint64_t gprs[OVM_VCPU_NR_GPRS] = {
		[OVM_VCPU_RCX] = 0xc0c0c0c0c0c0c0c0, [OVM_VCPU_RBX] = 0xb0b0b0b0b0b0b0b0,
		[OVM_VCPU_RSP] = 0x7ffff0,	     [OVM_VCPU_RBP] = 0xb9b9b9b9b9b9b9b9,
		[OVM_VCPU_RSI] = 0x5151515151515151, [OVM_VCPU_RDI] = 0xd1d1d1d1d1d1d1d1,
		[OVM_VCPU_R8] = 0x0808080808080808,  [OVM_VCPU_R9] = 0x0909090909090909,
		[OVM_VCPU_R10] = 0x1010101010101010, [OVM_VCPU_R11] = 0x1111111111111111,
		[OVM_VCPU_R12] = 0x1212121212121212, [OVM_VCPU_R13] = 0x1313131313131313,
		[OVM_VCPU_R14] = 0x1414141414141414, [OVM_VCPU_R15] = 0x1515151515151515,
	};

	for (unsigned int i = 0; i < OVM_VCPU_NR_GPRS; i++) {
		/* These two hold the latest time stamp. */
		if (i != OVM_VCPU_RAX && i != OVM_VCPU_RDX)
			ASSERT_EQ_U64(vcpu->gprs[i], gprs[i]);
	}
	ASSERT_TRUE(vcpu->rip >= 0x100000 &&
		    vcpu->rip < 0x100000 + (uint64_t)(bare_guest_end - bare_guest_start));
	ASSERT_EQ_U64(vcpu->rflags & 0xfff, 0x8d7);
	ASSERT_EQ_U64(vcpu->cpl, 3);
	ASSERT_EQ_U64(vcpu->segments[OVM_VCPU_CS].selector, 0x1b);
	ASSERT_EQ_U64(vcpu->segments[OVM_VCPU_SS].selector, 0x23);
	ASSERT_EQ_U64(vcpu->segments[OVM_VCPU_FS].base, 0x00007f0012345678);
	ASSERT_EQ_U64(vcpu->segments[OVM_VCPU_GS].base, 0x00007f00abcdef00);
	ASSERT_EQ_U64(vcpu->kernel_gs_base, 0xffff888012340000);
	ASSERT_EQ_U64(vcpu->cr3, 0x200000);
	ASSERT_EQ_U64(vcpu->cr4, 0x440620);
	ASSERT_EQ_U64(vcpu->cr0 & 0xe000003f, 0x80000023 | 0x10);
	ASSERT_EQ_U64(vcpu->gdt.limit, 39);
}

static uint64_t get(const uint8_t *xsave, size_t offset)
{
	uint64_t value;

	memcpy(&value, xsave + offset, sizeof(value));
	return le64toh(value);
}

static void check_x87(const uint8_t *xsave)
{
	/* Three values were pushed: log2(e) on top, then 1, then pi. */
	static const struct {
		uint64_t mantissa;
		uint16_t exponent;
	} stack[] = {
		{0xb8aa3b295c17f0bc, 0x3fff},
		{0x8000000000000000, 0x3fff},
		{0xc90fdaa22168c235, 0x4000},
	};

	ASSERT_EQ_U64(get(xsave, 0) & 0xffff, 0x027f);
	ASSERT_EQ_U64(get(xsave, 2) >> 11 & 7, 5);
	ASSERT_EQ_U64(xsave[4], 0xe0);
	for (unsigned int i = 0; i < 3; i++) {
		/* The last bit of a constant depends on the rounding mode. */
		ASSERT_EQ_U64(get(xsave, OVM_XSAVE_ST + 16 * i) | 1, stack[i].mantissa | 1);
		ASSERT_EQ_U64(get(xsave, OVM_XSAVE_ST + 16 * i + 8), stack[i].exponent);
	}
}

static void check_vectors(const uint8_t *xsave)
{
	ASSERT_EQ_U64(get(xsave, OVM_XSAVE_MXCSR) & 0xffff, 0x5fa0);
	for (unsigned int i = 0; i < 16; i++) {
		for (unsigned int word = 0; word < 4; word++) {
			size_t base = word < 2 ? OVM_XSAVE_XMM : OVM_XSAVE_YMMH;
			uint64_t expected = 0x1111111111111111 * (word + 1) + i;

			ASSERT_EQ_U64(get(xsave, base + 16 * i + 8 * (word % 2)), expected);
		}
	}
}

static void check_full(struct ovm_vm *vm, const struct ovm_vcpus *vcpus)
{
	const struct ovm_vcpu *vcpu = &vcpus->vcpus[0];
	uint64_t stored;

	ASSERT_TRUE(vcpus->full && vcpu->full);
	ASSERT_EQ_U64(vcpus->nr, 2);
	ASSERT_FALSE(vcpu->halted);
	ASSERT_TRUE(vcpus->vcpus[1].halted);
	ASSERT_EQ_U64(vcpus->vcpus[1].index, 1);
	ASSERT_EQ_U64(vcpu->lstar, 0xffffffff81a00080);
	ASSERT_EQ_U64(vcpu->tsc_aux, 0x1001);
	ASSERT_EQ_U64(vcpu->efer & 0x501, 0x501);
	ASSERT_EQ_U64(vcpu->xcr0, 0x207);
	ASSERT_EQ_U64(vcpu->pkru, 0x55555554);
	ASSERT_EQ_U64(get(vcpu->xsave, OVM_XSAVE_HEADER), 0x207);
	ASSERT_EQ_U64(get(vcpu->xsave, OVM_XSAVE_PKRU), 0x55555554);
	check_x87(vcpu->xsave);
	check_vectors(vcpu->xsave);
	ASSERT_OK(ovm_memory_read(ovm_vm_memory(vm), tsc_at, &stored, sizeof(stored)));
	ASSERT_TRUE(stored <= vcpu->tsc);
	/* A vCPU thread may wait for a processor for a while, but not for this long. */
	ASSERT_TRUE(vcpu->tsc - stored < 10000000000);
	ASSERT_TRUE(vcpus->vm_clock > 1000000 && vcpus->vm_clock < 1000000000000);
}

static void execute(struct ovm_vm *vm, const char *command)
{
	ASSERT_OK(ovm_qmp_execute(ovm_vm_qmp(vm), command, NULL, NULL));
}

OVM_TEST(vcpu, notes_of_a_running_vm)
{
	struct ovm_vcpus *vcpus;
	struct bare_vm bare;
	struct ovm_vm_status status;

	start(&bare, shared_ram);
	if (!bare.vm)
		return;
	ASSERT_OK(ovm_vcpus_read_notes(bare.vm, &vcpus));
	ASSERT_EQ_U64(vcpus->nr, 2);
	ASSERT_FALSE(vcpus->full);
	check_general(&vcpus->vcpus[0]);
	ASSERT_OK(ovm_vm_status(bare.vm, &status));
	ASSERT_TRUE(status.running);
	ovm_vcpus_free(vcpus);
	stop(&bare);
}

static void check_source(const char *arguments, enum ovm_vcpu_source source, const char *state)
{
	struct ovm_vcpus *vcpus;
	struct bare_vm bare;
	struct ovm_vm_status status;

	start(&bare, arguments);
	if (!bare.vm)
		return;
	ASSERT_ERROR(ovm_vcpus_read_by(bare.vm, source, &vcpus), OVM_ERROR_USAGE, "paused");
	for (int i = 0; i < 3 && !ovm_test_failed(); i++) {
		execute(bare.vm, "stop");
		ASSERT_OK(ovm_vcpus_read_by(bare.vm, source, &vcpus));
		check_general(&vcpus->vcpus[0]);
		check_full(bare.vm, vcpus);
		ovm_vcpus_free(vcpus);
		ASSERT_OK(ovm_vm_status(bare.vm, &status));
		ASSERT_STREQ(status.name, state);
		execute(bare.vm, "cont");
		ASSERT_OK(ovm_vm_status(bare.vm, &status));
		ASSERT_TRUE(status.running);
	}
	stop(&bare);
}

OVM_TEST(vcpu, saved_devices)
{
	check_source(shared_ram, OVM_VCPU_SAVE_DEVICES, "paused");
}

OVM_TEST(vcpu, saved_devices_of_private_ram)
{
	check_source("-machine q35 -m 64M -cpu max -smp 2", OVM_VCPU_SAVE_DEVICES, "paused");
}

OVM_TEST(vcpu, migration)
{
	check_source(shared_ram, OVM_VCPU_MIGRATE, "postmigrate");
}

OVM_TEST(vcpu, both_ways_agree)
{
	struct ovm_vcpus *saved, *migrated;
	struct bare_vm bare;

	start(&bare, shared_ram);
	if (!bare.vm)
		return;
	execute(bare.vm, "stop");
	ASSERT_OK(ovm_vcpus_read(bare.vm, &saved));
	ASSERT_OK(ovm_vcpus_read_by(bare.vm, OVM_VCPU_MIGRATE, &migrated));
	ASSERT_EQ_U64(saved->nr, migrated->nr);
	ASSERT_EQ_U64(saved->vm_clock, migrated->vm_clock);
	ASSERT_MEMEQ(saved->vcpus, migrated->vcpus, saved->nr * sizeof(saved->vcpus[0]));
	ovm_vcpus_free(saved);
	ovm_vcpus_free(migrated);
	stop(&bare);
}

OVM_TEST(vcpu, migration_leaves_capabilities_as_they_were)
{
	char *before, *after;
	struct ovm_vcpus *vcpus;
	struct bare_vm bare;

	start(&bare, shared_ram);
	if (!bare.vm)
		return;
	ASSERT_OK(ovm_qmp_human(ovm_vm_qmp(bare.vm), "migrate_set_capability xbzrle on", &before));
	free(before);
	ASSERT_OK(ovm_qmp_human(ovm_vm_qmp(bare.vm), "info migrate_capabilities", &before));
	execute(bare.vm, "stop");
	ASSERT_OK(ovm_vcpus_read_by(bare.vm, OVM_VCPU_MIGRATE, &vcpus));
	ASSERT_OK(ovm_qmp_human(ovm_vm_qmp(bare.vm), "info migrate_capabilities", &after));
	ASSERT_STREQ(after, before);
	ASSERT_TRUE(strstr(after, "xbzrle: on") && strstr(after, "x-ignore-shared: off"));
	free(before);
	free(after);
	ovm_vcpus_free(vcpus);
	stop(&bare);
}

OVM_TEST(vcpu, private_ram_is_not_migrated)
{
	struct ovm_vcpus *vcpus;
	struct bare_vm bare;

	start(&bare, "-machine q35 -m 64M -cpu max -smp 2");
	if (!bare.vm)
		return;
	execute(bare.vm, "stop");
	ASSERT_ERROR(ovm_vcpus_read_by(bare.vm, OVM_VCPU_MIGRATE, &vcpus), OVM_ERROR_UNREACHABLE,
		     "share=on");
	stop(&bare);
}

OVM_TEST(vcpu, firmware_is_not_a_64_bit_guest)
{
	struct test_qemu qemu;
	struct ovm_vcpus *vcpus;
	struct ovm_vm *vm;

	if (!test_qemu_start(&qemu, "-S -machine q35 -m 64M"))
		OVM_SKIP("%s", qemu.reason);
	const struct ovm_vm_options options = {
		.size = sizeof(options),
		.qmp = {.size = sizeof(options.qmp), .path = qemu.socket},
	};

	ASSERT_OK(ovm_vm_attach(&options, &vm));
	ASSERT_ERROR(ovm_vcpus_read_notes(vm, &vcpus), OVM_ERROR_KERNEL, "not in 64-bit mode");
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
}
