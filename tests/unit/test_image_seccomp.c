// SPDX-License-Identifier: GPL-2.0-only
/* Seccomp filters: where they are put, who refers to them, what is refused. */
#include "host/image/image.h"

#include <string.h>
#include <unistd.h>

#include "image_model.h"
#include "image_read.h"
#include "proto/core.pb-c.h"
#include "proto/seccomp.pb-c.h"
#include "test.h"

enum {
	FILTER = 2,
	STRICT = 1,
	TSYNC = 1,
	LOG = 2,
	NR = 3,
};

static struct image_model m;
static char directory[64], warnings[4096];
/* Each is on top of the one before. */
static struct ovm_rec_seccomp filters[NR];

static void clean_up(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	image_directory_remove(directory);
}

#define WITH_IMAGES(fd)                                                         \
	__attribute__((cleanup(clean_up))) int fd = image_directory(directory); \
	ASSERT_TRUE(fd >= 0);                                                   \
	ASSERT_OK(ovm_image_write(&m.set, fd))

#define ASSERT_REFUSED(text) ASSERT_ERROR(ovm_image_check(&m.set), OVM_ERROR_NOT_DUMPABLE, text)

static void keep_warning(void *arg, const char *message)
{
	(void)arg;
	strncat(warnings, message, sizeof(warnings) - strlen(warnings) - 1);
}

static void start(void)
{
	static uint8_t code[NR][16];

	image_model_init(&m);
	m.set.warn = keep_warning;
	warnings[0] = '\0';
	memset(filters, 0, sizeof(filters));
	for (int i = 0; i < NR; i++) {
		memset(code[i], i + 1, sizeof(code[i]));
		filters[i].filter = 0xffff888000070000 + (uint64_t)i * 0x80;
		filters[i].code = (struct ovm_rec_bytes){code[i], (uint64_t)8 << (i == 1)};
		filters[i].prev = i ? &filters[i - 1] : NULL;
	}
}

static void give(int thread, struct ovm_rec_seccomp *last)
{
	m.threads[thread].seccomp_mode = FILTER;
	m.threads[thread].seccomp = last;
}

static void *read_message(const char *name, const ProtobufCMessageDescriptor *descriptor)
{
	struct image_bytes image = image_open(directory, name, 2);
	size_t len = 0;
	const uint8_t *record = image.data ? image_record(&image, &len) : NULL;
	void *ret = record ? protobuf_c_message_unpack(descriptor, NULL, len, record) : NULL;

	image_close(&image);
	return ret;
}

static void free_message(void *message)
{
	if (*(void **)message)
		protobuf_c_message_free_unpacked(*(void **)message, NULL);
}

#define MESSAGE(type, variable, name, descriptor)               \
	__attribute__((cleanup(free_message))) type *variable = \
		read_message((name), &(descriptor));            \
	ASSERT_TRUE(variable)

OVM_TEST(image_seccomp, filters_are_found_from_the_oldest_on)
{
	start();
	filters[1].log = 1;
	give(1, &filters[2]);
	WITH_IMAGES(fd);
	MESSAGE(CoreEntry, leader, "core-4711.img", core_entry__descriptor);
	MESSAGE(CoreEntry, thread, "core-4713.img", core_entry__descriptor);
	MESSAGE(SeccompEntry, image, "seccomp.img", seccomp_entry__descriptor);

	ASSERT_FALSE(leader->thread_core->has_seccomp_mode);
	ASSERT_EQ_U64(thread->thread_core->seccomp_mode, FILTER);
	ASSERT_EQ_U64(image->n_seccomp_filters, NR);
	uint32_t at = thread->thread_core->seccomp_filter;

	for (unsigned int i = 0; i < NR; i++) {
		ASSERT_TRUE(at < NR);
		const SeccompFilter *filter = image->seccomp_filters[at];

		ASSERT_EQ_U64(filter->filter.len, filters[i].code.len);
		ASSERT_EQ_U64(filter->filter.data[0], i + 1);
		ASSERT_EQ_U64(filter->flags, i == 1 ? LOG : 0);
		ASSERT_EQ_U64(filter->has_prev, i != NR - 1);
		at = filter->prev;
	}
}

OVM_TEST(image_seccomp, what_all_threads_have_is_given_to_all_by_the_leader)
{
	start();
	give(0, &filters[1]);
	give(1, &filters[1]);
	WITH_IMAGES(fd);
	MESSAGE(CoreEntry, leader, "core-4711.img", core_entry__descriptor);
	MESSAGE(CoreEntry, thread, "core-4713.img", core_entry__descriptor);
	MESSAGE(SeccompEntry, image, "seccomp.img", seccomp_entry__descriptor);

	ASSERT_EQ_U64(image->n_seccomp_filters, 2);
	ASSERT_EQ_U64(image->seccomp_filters[0]->flags, TSYNC);
	ASSERT_EQ_U64(image->seccomp_filters[1]->flags, TSYNC);
	ASSERT_EQ_U64(leader->thread_core->seccomp_filter, 1);
	ASSERT_FALSE(thread->thread_core->has_seccomp_mode);
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_FALSE(strstr(warnings, "SECCOMP_FILTER_FLAG_TSYNC"));
}

OVM_TEST(image_seccomp, a_list_does_not_branch)
{
	start();
	give(0, &filters[0]);
	give(1, &filters[2]);
	WITH_IMAGES(fd);
	MESSAGE(CoreEntry, leader, "core-4711.img", core_entry__descriptor);
	MESSAGE(CoreEntry, thread, "core-4713.img", core_entry__descriptor);
	MESSAGE(SeccompEntry, image, "seccomp.img", seccomp_entry__descriptor);

	ASSERT_EQ_U64(image->n_seccomp_filters, 4);
	ASSERT_EQ_U64(leader->thread_core->seccomp_filter, 0);
	ASSERT_FALSE(image->seccomp_filters[0]->has_prev);
	ASSERT_EQ_U64(thread->thread_core->seccomp_filter, 3);
	ASSERT_EQ_U64(image->seccomp_filters[3]->prev, 2);
	ASSERT_FALSE(image->seccomp_filters[1]->has_prev);
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_TRUE(strstr(warnings, "SECCOMP_FILTER_FLAG_TSYNC fails"));
}

OVM_TEST(image_seccomp, strict_mode_has_no_filter)
{
	start();
	m.threads[1].seccomp_mode = STRICT;
	WITH_IMAGES(fd);
	MESSAGE(CoreEntry, thread, "core-4713.img", core_entry__descriptor);
	ASSERT_EQ_U64(thread->thread_core->seccomp_mode, STRICT);
	ASSERT_FALSE(thread->thread_core->has_seccomp_filter);
}

OVM_TEST(image_seccomp, refuses_what_can_t_be_installed)
{
	start();
	m.threads[1].seccomp_mode = FILTER;
	ASSERT_REFUSED("thread 4713: has seccomp filters that are not known");
	m.threads[1].seccomp_mode = 3;
	ASSERT_REFUSED("thread 4713: is in an unknown seccomp mode");
	start();
	give(1, &filters[2]);
	filters[0].code.len = 0;
	ASSERT_REFUSED("CONFIG_CHECKPOINT_RESTORE");
	filters[0].code.len = 7;
	ASSERT_REFUSED("CONFIG_CHECKPOINT_RESTORE");
	start();
	give(1, &filters[2]);
	filters[1].listened = 1;
	ASSERT_REFUSED("asks another process");
}

OVM_TEST(image_seccomp, names_what_else_restricts_threads)
{
	start();
	m.threads[1].landlocked = 1;
	ASSERT_REFUSED("thread 4713: is restricted by Landlock");
	start();
	m.threads[0].tracee = 12;
	ASSERT_REFUSED("thread 4711: traces thread 12");
	start();
	m.threads[0].lsm_label = image_model_bytes("/usr/bin/man");
	m.threads[1].core_cookie = 7;
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_TRUE(strstr(warnings, "AppArmor profile (/usr/bin/man)"));
	ASSERT_TRUE(strstr(warnings, "thread 4713: its core scheduling"));
}

OVM_TEST(image_seccomp, names_anonymous_files)
{
	static const struct {
		const char *name, *kind;
	} table[] = {
		{"[io_uring]", "io_uring instance ([io_uring]) is not saved"},
		{"[perf_event]", "perf event"},
		{"[userfaultfd]", "userfaultfd"},
		{"kvm-vcpu:3", "KVM virtual CPU"},
		{"bpf-map", "BPF map"},
		{"seccomp notify", "seccomp listener"},
		{"[something]", "anonymous inode ([something])"},
	};
	struct ovm_rec_file *file = &m.files[MODEL_LOG];

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		start();
		file->kind = OVM_REC_FILE_ANON_INODE;
		file->path = image_model_bytes(table[i].name);
		ASSERT_REFUSED(table[i].kind);
	}
	start();
	file->kind = OVM_REC_FILE_ANON_INODE;
	file->pidfd = 55;
	ASSERT_REFUSED("fd 1: pidfd of process 55");
	start();
	file->kind = OVM_REC_FILE_OTHER;
	file->sb_magic = 0x19800202;
	ASSERT_REFUSED("fd 1: POSIX message queue");
}
