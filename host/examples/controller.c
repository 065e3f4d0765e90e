// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small migration controller: attaches to a VM, dumps a process, shows how
 * it goes on, and gives up when it takes longer than it may.
 *
 *	cc controller.c $(pkg-config --cflags --libs libovm-gpu)
 *	./a.out vm.qmp 1234 images 10
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
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
		[OVM_PHASE_WAIT] = "wait",
		[OVM_PHASE_EXTRACT] = "extract",
		[OVM_PHASE_PAGES] = "pages",
		[OVM_PHASE_WRITE] = "write",
	};

	printf("%s %llu/%llu\n", phases[progress->phase], (unsigned long long)progress->done,
	       (unsigned long long)progress->total);
	return 0;
}

static struct ovm_error *migrate_out(struct ovm *ovm, int pid, const char *directory,
				     unsigned int seconds)
{
	struct ovm_dump_options options = {
		.size = sizeof(options),
		.pid = pid,
		.directory = directory,
		.leave = OVM_LEAVE_RUNNING,
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
		printf("%llu bytes, paused for %llu us\n", (unsigned long long)result.bytes_written,
		       (unsigned long long)result.paused_us);
	return err;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: %s QMP PID DIRECTORY SECONDS\n", argv[0]);
		return 2;
	}

	struct ovm_attach_options options = {.size = sizeof(options), .qmp_path = argv[1]};
	struct ovm *ovm;
	struct ovm_error *err = ovm_attach(&options, &ovm);

	if (!err)
		err = migrate_out(ovm, atoi(argv[2]), argv[3], (unsigned int)atoi(argv[4]));
	ovm_detach(ovm);
	if (!err)
		return 0;
	fprintf(stderr, "%s\n", err->message);
	ovm_error_free(err);
	return 1;
}
