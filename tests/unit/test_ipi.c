// SPDX-License-Identifier: GPL-2.0-only
/* Interrupts as packets for QEMU's gdb stub, with a made-up stub and with a real one. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gdb_peer.h"
#include "qemu.h"
#include "test.h"
#include "vmi/ipi.h"
#include "vmi/vm.h"

enum {
	VECTOR = 0xfb,
	/* CPUs for one exchange. */
	BATCH = 32,
	MANY = 2 * BATCH + 5,
};

static struct gdb_peer peer;

static void assert_interrupt(size_t packet, uint32_t apic_id)
{
	char expected[32];

	snprintf(expected, sizeof(expected), "Mfee%02x000,4:fb000000", apic_id);
	ASSERT_STREQ(peer.packets[packet], expected);
}

/* Around each batch, addresses are physical ones; afterwards they are as a debugger expects. */
static void assert_packets(const uint32_t *ids, size_t nr)
{
	size_t packet = 0;

	for (size_t i = 0; i < nr && !ovm_test_failed(); i++) {
		if (i % BATCH == 0)
			ASSERT_STREQ(peer.packets[packet++], "Qqemu.PhyMemMode:1");
		assert_interrupt(packet++, ids[i]);
		if (i % BATCH == BATCH - 1 || i == nr - 1)
			ASSERT_STREQ(peer.packets[packet++], "Qqemu.PhyMemMode:0");
	}
	ASSERT_EQ_U64(gdb_peer_nr(&peer), packet);
	ASSERT_EQ_U64(peer.nr_bad, 0);
}

static void send_to(const uint32_t *ids, size_t nr, bool reports)
{
	ASSERT_TRUE(gdb_peer_start(&peer));
	peer.reports = reports;
	ASSERT_TRUE(ovm_ipi_send(peer.fd, ids, nr, VECTOR));
	assert_packets(ids, nr);
	gdb_peer_stop(&peer);
}

OVM_TEST(ipi, each_cpu_gets_a_message_of_its_own)
{
	static const uint32_t ids[] = {0, 1, 7, 128, OVM_IPI_APIC_ID_MAX};

	send_to(ids, 1, false);
	send_to(ids, sizeof(ids) / sizeof(*ids), false);
}

OVM_TEST(ipi, many_cpus_are_sent_in_batches)
{
	uint32_t ids[MANY];

	for (uint32_t i = 0; i < MANY; i++)
		ids[i] = 3 * i;
	for (size_t nr = BATCH - 1; nr <= MANY && !ovm_test_failed(); nr++)
		send_to(ids, nr, false);
}

OVM_TEST(ipi, nobody_to_interrupt_says_nothing)
{
	ASSERT_TRUE(gdb_peer_start(&peer));
	ASSERT_TRUE(ovm_ipi_send(peer.fd, NULL, 0, VECTOR));
	ASSERT_EQ_U64(gdb_peer_nr(&peer), 0);
	gdb_peer_stop(&peer);
}

OVM_TEST(ipi, reports_of_stops_are_no_answers)
{
	uint32_t ids[BATCH + 1] = {0};

	send_to(ids, BATCH + 1, true);
}

/* A socket has room for a few hundred. */
OVM_TEST(ipi, reports_before_are_thrown_away)
{
	const uint32_t id = 3;

	ASSERT_TRUE(gdb_peer_start(&peer));
	for (unsigned int i = 0; i < 100; i++)
		gdb_peer_report(&peer);
	ASSERT_TRUE(ovm_ipi_send(peer.fd, &id, 1, VECTOR));
	assert_packets(&id, 1);
	gdb_peer_stop(&peer);
}

OVM_TEST(ipi, an_id_that_has_no_room_is_not_sent)
{
	static const uint32_t ids[] = {0, OVM_IPI_APIC_ID_MAX + 1};

	ASSERT_TRUE(gdb_peer_start(&peer));
	ASSERT_FALSE(ovm_ipi_send(peer.fd, ids, 2, VECTOR));
	ASSERT_FALSE(ovm_ipi_send(peer.fd, (const uint32_t[]){UINT32_MAX}, 1, VECTOR));
	ASSERT_EQ_U64(gdb_peer_nr(&peer), 0);
	gdb_peer_stop(&peer);
}

OVM_TEST(ipi, an_error_of_the_stub_is_told)
{
	static const uint32_t ids[MANY];

	/* Of the mode, an interrupt, the mode again, and something in the last batch. */
	for (size_t at = 1; at <= MANY + 6; at += BATCH / 2 - 1) {
		ASSERT_TRUE(gdb_peer_start(&peer));
		peer.fail_at = at;
		ASSERT_FALSE(ovm_ipi_send(peer.fd, ids, MANY, VECTOR));
		gdb_peer_stop(&peer);
	}
}

OVM_TEST(ipi, a_stub_that_hangs_up_is_told)
{
	static const uint32_t ids[MANY];

	for (size_t at = 1; at <= MANY + 6; at++) {
		ASSERT_TRUE(gdb_peer_start(&peer));
		peer.close_at = at;
		ASSERT_FALSE(ovm_ipi_send(peer.fd, ids, MANY, VECTOR));
		ASSERT_FALSE(ovm_ipi_send(peer.fd, ids, 1, VECTOR));
		gdb_peer_stop(&peer);
	}
}

OVM_TEST(ipi, no_connection_is_told)
{
	const uint32_t id = 0;

	ovm_ipi_drain(-1);
	ASSERT_FALSE(ovm_ipi_send(-1, &id, 1, VECTOR));
}

/* ---- QEMU ------------------------------------------------------------------------------------ */

static const char machine[] = "-machine q35 -m 64M -smp 2 -S";

static struct ovm_error *attach(const struct test_qemu *qemu, struct ovm_vm **ret)
{
	const struct ovm_vm_options options = {
		.size = sizeof(options),
		.qmp = {.size = sizeof(options.qmp), .path = qemu->socket, .timeout_ms = 40000},
	};

	return ovm_vm_attach(&options, ret);
}

static void interrupt_both(struct ovm_vm *vm)
{
	static const uint32_t ids[] = {0, 1};
	struct ovm_ipi *ipi;

	ASSERT_OK(ovm_ipi_create(vm, &ipi));
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(ovm_ipi_prepare(ipi));
		ASSERT_OK(ovm_ipi_start(ipi));
		ASSERT_TRUE(ovm_ipi_send(ovm_ipi_fd(ipi), ids, 2, VECTOR));
	}
	ovm_ipi_destroy(ipi);
}

OVM_TEST(ipi, qemu_takes_interrupts_again_and_again)
{
	struct test_qemu qemu;
	struct ovm_vm *vm;

	if (!test_qemu_start(&qemu, machine))
		OVM_SKIP("%s", qemu.reason);
	ASSERT_OK(attach(&qemu, &vm));
	for (int i = 0; i < 3 && !ovm_test_failed(); i++)
		interrupt_both(vm);
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
}

OVM_TEST(ipi, what_a_killed_predecessor_left_is_removed)
{
	const uint32_t id = 0;
	struct test_qemu qemu;
	struct ovm_ipi *dead;
	struct ovm_vm *vm;

	if (!test_qemu_start(&qemu, machine))
		OVM_SKIP("%s", qemu.reason);
	for (int started = 0; started < 2 && !ovm_test_failed(); started++) {
		ASSERT_OK(attach(&qemu, &vm));
		ASSERT_OK(ovm_ipi_create(vm, &dead));
		ASSERT_OK(ovm_ipi_prepare(dead));
		if (started) {
			ASSERT_OK(ovm_ipi_start(dead));
			ASSERT_TRUE(ovm_ipi_send(ovm_ipi_fd(dead), &id, 1, VECTOR));
		}
		interrupt_both(vm);
		/* Its device is gone, which it doesn't mind. */
		ovm_ipi_destroy(dead);
		interrupt_both(vm);
		ovm_vm_detach(vm);
	}
	test_qemu_stop(&qemu);
}

OVM_TEST(ipi, a_debugger_is_left_alone)
{
	struct test_qemu qemu;
	struct ovm_ipi *ipi;
	struct ovm_vm *vm;

	if (!test_qemu_start(&qemu, "-machine q35 -m 64M -S "
				    "-gdb unix:@/gdb,server=on,wait=off"))
		OVM_SKIP("%s", qemu.reason);
	ASSERT_OK(attach(&qemu, &vm));
	ASSERT_OK(ovm_ipi_create(vm, &ipi));
	ASSERT_ERROR(ovm_ipi_prepare(ipi), OVM_ERROR_UNREACHABLE, "is in use");
	ovm_ipi_destroy(ipi);
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
}
