// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small migration controller: freezes a process of a VM and dumps it, hands
 * the images over, and kills the process when they were taken; when they were
 * not, it lets the process go on.  So it runs in one place at a time, and goes
 * on in one of them.
 *
 *	cc controller.c $(pkg-config --cflags --libs libovm-gpu)
 *	./a.out vm.qmp 1234 images 10 'scp -qr "$0" other: && ssh other criu restore -d -D images'
 *
 * The command finds the directory of the images in $0; it is run while the
 * process is frozen.  The dump is given up when it takes longer than it may.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ovm-gpu/ovm-gpu.h>

struct deadline {
	struct ovm *ovm;
	unsigned int seconds;
};

/* ovm_cancel() is the one call that another thread may make. */
static void *cancel_when_late(void *arg)
{
	const struct deadline *deadline = arg;

	sleep(deadline->seconds);
	ovm_cancel(deadline->ovm);
	return NULL;
}

static int show_progress(void *arg, const struct ovm_progress *progress)
{
	static const char *const phases[] = {
		[OVM_PHASE_FREEZE] = "freeze",	 [OVM_PHASE_WAIT] = "wait",
		[OVM_PHASE_EXTRACT] = "extract", [OVM_PHASE_PAGES] = "pages",
		[OVM_PHASE_WRITE] = "write",
	};

	printf("%s %llu/%llu\n", phases[progress->phase], (unsigned long long)progress->done,
	       (unsigned long long)progress->total);
	return 0;
}

/* Dump, and leave the process frozen; when that fails, it runs on, and there are no images. */
static struct ovm_error *dump(struct ovm *ovm, int pid, const char *directory, unsigned int seconds)
{
	struct ovm_dump_options options = {
		.size = sizeof(options),
		.pid = pid,
		.directory = directory,
		.leave = OVM_LEAVE_STOPPED,
		.progress = show_progress,
	};
	struct ovm_dump_result result = {.size = sizeof(result)};
	struct deadline deadline = {.ovm = ovm, .seconds = seconds};
	pthread_t thread;

	if (pthread_create(&thread, NULL, cancel_when_late, &deadline))
		return ovm_dump(ovm, &options, &result);
	struct ovm_error *err = ovm_dump(ovm, &options, &result);

	pthread_cancel(thread);
	pthread_join(thread, NULL);
	if (!err)
		printf("%llu bytes, VM paused for %llu us\n",
		       (unsigned long long)result.bytes_written,
		       (unsigned long long)result.paused_us);
	return err;
}

/* Whether the other side has taken the images. */
static bool hand_over(const char *command, const char *directory)
{
	fflush(stdout);
	pid_t child = fork();
	int status;

	if (!child) {
		execl("/bin/sh", "sh", "-c", command, directory, NULL);
		_exit(127);
	}
	return child > 0 && waitpid(child, &status, 0) == child && !status;
}

/* The process is frozen, and has to go on either there or here. */
static struct ovm_error *settle(struct ovm *ovm, int pid, bool taken)
{
	struct ovm_processes_options options = {.size = sizeof(options), .pid = pid};
	struct ovm_processes_result result = {.size = sizeof(result)};
	struct ovm_error *err = taken ? ovm_processes_kill(ovm, &options, &result)
				      : ovm_processes_thaw(ovm, &options, &result);

	if (!err)
		printf("%s %u threads in %llu us\n", taken ? "killed" : "thawed", result.nr_threads,
		       (unsigned long long)result.total_us);
	return err;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: %s QMP PID DIRECTORY SECONDS COMMAND\n", argv[0]);
		return 2;
	}

	struct ovm_attach_options options = {.size = sizeof(options), .qmp_path = argv[1]};
	int pid = atoi(argv[2]);
	bool taken = false;
	struct ovm *ovm;
	struct ovm_error *err = ovm_attach(&options, &ovm);

	if (!err)
		err = dump(ovm, pid, argv[3], (unsigned int)atoi(argv[4]));
	if (!err) {
		taken = hand_over(argv[5], argv[3]);
		err = settle(ovm, pid, taken);
	}
	ovm_detach(ovm);
	if (!err)
		return taken ? 0 : 1;
	fprintf(stderr, "%s\n", err->message);
	ovm_error_free(err);
	return 1;
}
