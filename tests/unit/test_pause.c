// SPDX-License-Identifier: GPL-2.0-only
/* Pausing, and what the guardian does when the one who paused dies. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qemu.h"
#include "test.h"
#include "vmi/pause.h"
#include "vmi/vcpu.h"
#include "vmi/vm.h"

static const char machine[] = "-machine q35,memory-backend=m -m 64M -smp 2 "
			      "-object memory-backend-memfd,id=m,size=64M,share=on";

static struct ovm_error *attach(const struct test_qemu *qemu, struct ovm_vm **ret)
{
	const struct ovm_vm_options options = {
		.size = sizeof(options),
		.qmp = {.size = sizeof(options.qmp), .path = qemu->socket, .timeout_ms = 40000},
	};

	return ovm_vm_attach(&options, ret);
}

static bool is_running(struct ovm_vm *vm)
{
	struct ovm_vm_status status = {0};

	ovm_error_free(ovm_vm_status(vm, &status));
	return status.running;
}

OVM_TEST(pause, stops_and_resumes)
{
	struct test_qemu qemu;
	struct ovm_pause *pause;
	struct ovm_vm *vm;

	if (!test_qemu_start(&qemu, machine))
		OVM_SKIP("%s", qemu.reason);
	ASSERT_OK(attach(&qemu, &vm));
	ASSERT_OK(ovm_pause_create(vm, &pause));
	for (int i = 0; i < 3; i++) {
		ASSERT_OK(ovm_pause_begin(pause));
		ASSERT_TRUE(ovm_pause_was_running(pause));
		ASSERT_FALSE(is_running(vm));
		ASSERT_ERROR(ovm_pause_begin(pause), OVM_ERROR_USAGE, "already");
		ASSERT_OK(ovm_pause_end(pause));
		ASSERT_TRUE(is_running(vm));
		ASSERT_OK(ovm_pause_end(pause));
	}
	ASSERT_OK(ovm_pause_begin(pause));
	ovm_pause_destroy(pause);
	ASSERT_TRUE(is_running(vm));
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
}

OVM_TEST(pause, leaves_a_paused_vm_paused)
{
	struct test_qemu qemu;
	struct ovm_pause *pause;
	struct ovm_vm *vm;

	if (!test_qemu_start(&qemu, machine))
		OVM_SKIP("%s", qemu.reason);
	ASSERT_OK(attach(&qemu, &vm));
	ASSERT_OK(ovm_qmp_execute(ovm_vm_qmp(vm), "stop", NULL, NULL));
	ASSERT_OK(ovm_pause_create(vm, &pause));
	ASSERT_OK(ovm_pause_begin(pause));
	ASSERT_FALSE(ovm_pause_was_running(pause));
	ASSERT_OK(ovm_pause_end(pause));
	ASSERT_FALSE(is_running(vm));
	ovm_pause_destroy(pause);
	ASSERT_FALSE(is_running(vm));
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
}

OVM_TEST(pause, leaves_no_child_behind)
{
	struct test_qemu qemu;
	struct ovm_pause *pause;
	struct ovm_vm *vm;
	int status;

	if (!test_qemu_start(&qemu, machine))
		OVM_SKIP("%s", qemu.reason);
	ASSERT_OK(attach(&qemu, &vm));
	ASSERT_OK(ovm_pause_create(vm, &pause));
	/* QEMU is the only child. */
	ASSERT_EQ_U64(waitpid(-1, &status, WNOHANG), 0);
	ovm_pause_destroy(pause);
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
	ASSERT_EQ_U64(waitpid(-1, &status, WNOHANG | __WALL), (pid_t)-1);
}

/* What parent and victim share. */
struct stage {
	/* Where the victim is: 0 starting, 1 about to pause, 2 paused, 3 resumed. */
	volatile int at;
};

/* Be the tool that will be killed: pause, read state, resume, over and over. */
static void be_victim(const struct test_qemu *qemu, struct stage *stage, int round)
{
	struct ovm_pause *pause;
	struct ovm_vm *vm;

	if (attach(qemu, &vm) || ovm_pause_create(vm, &pause))
		_exit(1);
	for (;;) {
		struct ovm_vcpus *vcpus;

		stage->at = 1;
		if (ovm_pause_begin(pause))
			_exit(1);
		stage->at = 2;
		if (ovm_vcpus_read_by(vm, round & 1 ? OVM_VCPU_MIGRATE : OVM_VCPU_SAVE_DEVICES,
				      &vcpus))
			_exit(1);
		ovm_vcpus_free(vcpus);
		stage->at = 3;
		if (ovm_pause_end(pause))
			_exit(1);
	}
}

/* Kill a victim after @delay_us; returns where it was, or -1 when it failed of itself. */
static int kill_victim(const struct test_qemu *qemu, struct stage *stage, int round,
		       unsigned int delay_us)
{
	int status;

	stage->at = 0;
	pid_t pid = fork();

	if (!pid)
		be_victim(qemu, stage, round);
	for (int i = 0; i < 100000 && !stage->at; i++)
		usleep(100);
	usleep(delay_us);
	kill(pid, SIGKILL);
	int at = stage->at;

	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? at : -1;
}

/* Reap the children that have ended, QEMU excepted. */
static void reap_guardians(pid_t qemu)
{
	siginfo_t info;

	do {
		info.si_pid = 0;
		waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL);
	} while (info.si_pid && info.si_pid != qemu && waitpid(info.si_pid, NULL, __WALL) > 0);
}

OVM_TEST(pause, vm_runs_after_the_tool_was_killed_200_times)
{
	struct stage *stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int paused = 0, seed = (unsigned int)time(NULL);
	struct test_qemu qemu;
	struct ovm_vm *vm;
	char *text;

	if (!test_qemu_start(&qemu, machine))
		OVM_SKIP("%s", qemu.reason);
	printf("seed %u\n", seed);
	/* Become the parent of the victims' guardians, and reap them. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 0; i < 200; i++) {
		int at = kill_victim(&qemu, stage, i, (unsigned int)rand_r(&seed) % 12000);

		ASSERT_TRUE(at > 0);
		paused += at == 2;
		/* The guardian holds the only seat at the monitor until it is done. */
		ASSERT_OK(attach(&qemu, &vm));
		if (!is_running(vm))
			OVM_FAIL("not running after round %d, killed at stage %d", i, at);
		ASSERT_OK(ovm_qmp_human(ovm_vm_qmp(vm), "info migrate_capabilities", &text));
		ASSERT_TRUE(strstr(text, "x-ignore-shared: off"));
		free(text);
		ovm_vm_detach(vm);
		reap_guardians(qemu.pid);
	}
	printf("killed %u times while paused\n", paused);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	ASSERT_TRUE(paused >= 20);
	test_qemu_stop(&qemu);
	munmap(stage, sizeof(*stage));
}

OVM_TEST(pause, guardian_resynchronises_after_half_a_command)
{
	static const char half[] = "{\"execute\":\"query-status\",\"arguments\":{\"x\": \"{[";
	struct test_qemu qemu;
	struct ovm_pause *pause;
	struct ovm_vm *vm;
	pid_t pid;

	if (!test_qemu_start(&qemu, machine))
		OVM_SKIP("%s", qemu.reason);
	pid = fork();
	if (!pid) {
		if (attach(&qemu, &vm) || ovm_pause_create(vm, &pause) || ovm_pause_begin(pause))
			_exit(1);
		if (write(ovm_qmp_fd(ovm_vm_qmp(vm)), half, sizeof(half) - 1) < 0)
			_exit(1);
		_exit(0);
	}
	int status;

	ASSERT_TRUE(waitpid(pid, &status, 0) == pid && !status);
	ASSERT_OK(attach(&qemu, &vm));
	ASSERT_TRUE(is_running(vm));
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
}

OVM_TEST(pause, guardian_reconnects_when_the_connection_is_lost)
{
	struct test_qemu qemu;
	struct ovm_pause *pause;
	struct ovm_vm *vm;
	pid_t pid;

	if (!test_qemu_start(&qemu, machine))
		OVM_SKIP("%s", qemu.reason);
	pid = fork();
	if (!pid) {
		if (attach(&qemu, &vm) || ovm_pause_create(vm, &pause) || ovm_pause_begin(pause))
			_exit(1);
		shutdown(ovm_qmp_fd(ovm_vm_qmp(vm)), SHUT_RDWR);
		_exit(0);
	}
	int status;

	ASSERT_TRUE(waitpid(pid, &status, 0) == pid && !status);
	/* Here the seat may be ours before the guardian's. */
	bool running = false;

	for (int i = 0; i < 100 && !running; i++) {
		ASSERT_OK(attach(&qemu, &vm));
		running = is_running(vm);
		ovm_vm_detach(vm);
		usleep(50000);
	}
	ASSERT_TRUE(running);
	test_qemu_stop(&qemu);
}

OVM_TEST(pause, guardian_resumes_when_the_tool_can_not)
{
	struct test_qemu qemu;
	struct ovm_pause *pause;
	struct ovm_vm *vm;

	if (!test_qemu_start(&qemu, machine))
		OVM_SKIP("%s", qemu.reason);
	ASSERT_OK(attach(&qemu, &vm));
	ASSERT_OK(ovm_pause_create(vm, &pause));
	ASSERT_OK(ovm_pause_begin(pause));
	shutdown(ovm_qmp_fd(ovm_vm_qmp(vm)), SHUT_RDWR);
	ASSERT_OK(ovm_pause_end(pause));
	ovm_pause_destroy(pause);
	ovm_vm_detach(vm);
	ASSERT_OK(attach(&qemu, &vm));
	ASSERT_TRUE(is_running(vm));
	ovm_vm_detach(vm);
	test_qemu_stop(&qemu);
}
