// SPDX-License-Identifier: GPL-2.0-only
/* Trees of processes: what is refused, and what their images say. */
#include "host/image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image_model.h"
#include "image_read.h"
#include "proto/core.pb-c.h"
#include "proto/ids.pb-c.h"
#include "proto/pstree.pb-c.h"
#include "test.h"

enum {
	MAX = 6,
	ROOT = 100,
	USER_CS = 0x33,
};

/* Processes with one thread each, of whose files and memory the model's root has examples. */
static struct tree {
	struct image_model model;
	struct ovm_rec_process recs[MAX];
	struct ovm_rec_thread threads[MAX];
	struct ovm_image_thread image_threads[MAX];
	struct ovm_image_process images[MAX];
} t;

/* The root, of session 100. */
static void start(void)
{
	memset(&t, 0, sizeof(t));
	image_model_init(&t.model);
	t.model.tree.nr_processes = 0;
	t.model.set.processes = t.images;
	t.model.set.nr_processes = 0;
}

/* The next process: @pid, its parent's place, its group and session. */
static struct ovm_rec_process *add(int32_t pid, size_t parent, int32_t pgid, int32_t sid)
{
	const size_t i = t.model.set.nr_processes++;
	struct ovm_rec_process *rec = &t.recs[i];

	*rec = t.model.process;
	rec->pid = pid;
	rec->pgid = pgid;
	rec->sid = sid;
	rec->index = (uint32_t)i;
	rec->next = NULL;
	rec->parent = i ? &t.recs[parent] : NULL;
	rec->ppid = i ? t.recs[parent].pid : 1;
	rec->files_owner = rec;
	rec->files_identity = 0x1000 + i;
	rec->fs.identity = 0x2000 + i;
	rec->mm.identity = 0x3000 + i;
	rec->sighand_identity = 0x4000 + i;
	rec->nr_threads = 1;
	rec->threads = &t.threads[i];
	t.threads[i] = t.model.threads[0];
	t.threads[i].next = NULL;
	t.threads[i].tid = t.threads[i].tgid = pid;
	t.image_threads[i] = t.model.image_threads[0];
	t.image_threads[i].rec = rec->threads;
	t.images[i] = t.model.image;
	t.images[i].rec = rec;
	t.images[i].threads = &t.image_threads[i];
	t.images[i].nr_threads = 1;
	if (i)
		t.recs[i - 1].next = rec;
	t.model.tree.processes = t.recs;
	t.model.tree.nr_processes = t.model.tree.nr_threads = (uint32_t)i + 1;
	return rec;
}

#define ASSERT_REFUSED(text) \
	ASSERT_ERROR(ovm_image_check(&t.model.set), OVM_ERROR_NOT_DUMPABLE, text)

OVM_TEST(image_tree, takes_sessions_and_groups_that_fork_can_make)
{
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, 101, 101);	 /* began a session */
	add(102, 1, 102, 101);	 /* in its parent's */
	add(103, 1, ROOT, ROOT); /* born before its parent began one */
	add(104, 0, 77, 66);	 /* leaders of both are gone, and it was left to the root */
	add(105, 2, 102, 101);
	ASSERT_OK(ovm_image_check(&t.model.set));
}

OVM_TEST(image_tree, refuses_sessions_that_fork_can_t_make)
{
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, 101, 101);
	add(102, 1, 66, 66); /* its leader is gone, and its parent is another's member */
	ASSERT_REFUSED("pid 102: is in a session whose leader is gone");
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, 101, 101);
	add(102, 1, 102, 102);
	add(103, 2, ROOT, ROOT); /* born when 102 and 101 were in the session of the root ... */
	add(104, 2, 101, 101);	 /* ... and then in that of 101 */
	ASSERT_REFUSED("pid 104: is in a session that its parent was in before");
}

OVM_TEST(image_tree, refuses_what_is_shared_in_ways_that_criu_can_t_make)
{
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, ROOT, ROOT)->mm.identity = t.recs[0].mm.identity;
	ASSERT_REFUSED("pid 101: shares its memory with process 100");
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, ROOT, ROOT)->sighand_identity = t.recs[0].sighand_identity;
	ASSERT_REFUSED("pid 101: shares its signal handlers with process 100");
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, ROOT, ROOT)->fs.identity = t.recs[0].fs.identity;
	ASSERT_REFUSED("pid 101: shares its working directory with process 100");
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, ROOT, ROOT);
	add(102, 0, ROOT, ROOT)->files_identity = t.recs[1].files_identity; /* a sibling's */
	ASSERT_REFUSED("pid 102: shares its file descriptors with process 101");
}

OVM_TEST(image_tree, refuses_relations_that_contradict_themselves)
{
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, ROOT, ROOT)->ppid = 7;
	ASSERT_REFUSED("pid 101: has no place in the tree");
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, ROOT, ROOT)->parent = NULL;
	ASSERT_REFUSED("pid 101: has no place in the tree");
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, ROOT, ROOT);
	t.recs[1].parent = &t.recs[1];
	ASSERT_REFUSED("pid 101: has no place in the tree");
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(ROOT, 0, ROOT, ROOT);
	ASSERT_REFUSED("thread 100: is there twice");
	start();
	add(ROOT, 0, ROOT, ROOT)->zombie = 1;
	ASSERT_REFUSED("pid 100: has ended");
}

OVM_TEST(image_tree, files_may_belong_to_any_process_that_is_saved)
{
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, 101, ROOT);
	t.model.files[MODEL_LOG].owner_pid = 101;
	t.model.files[MODEL_LOG].owner_pid_type = 1;
	ASSERT_OK(ovm_image_check(&t.model.set));
	t.model.files[MODEL_LOG].owner_pid_type = 2;
	ASSERT_OK(ovm_image_check(&t.model.set));
	t.model.files[MODEL_LOG].owner_pid = 102;
	ASSERT_REFUSED("sends signals to a process that is not saved");
}

/* ---- images ---------------------------------------------------------------------------------- */

static char directory[64];

static void write_all(void)
{
	int fd = image_directory(directory);

	/* Pages are the model's root's. */
	ASSERT_OK(ovm_image_write(&t.model.set, fd));
	close(fd);
}

static void *read_one(const char *name, const ProtobufCMessageDescriptor *descriptor)
{
	struct image_bytes image = image_open(directory, name, 2);
	size_t len;
	const uint8_t *record = image.data ? image_record(&image, &len) : NULL;
	void *message = record ? protobuf_c_message_unpack(descriptor, NULL, len, record) : NULL;

	image_close(&image);
	return message;
}

static bool exists(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return !access(path, F_OK);
}

OVM_TEST(image_tree, has_an_entry_each_and_a_zombie_little_else)
{
	struct image_bytes image;
	const uint8_t *record;
	size_t len, nr = 0;

	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, ROOT, ROOT);
	add(102, 0, ROOT, ROOT)->zombie = 1;
	t.recs[2].exit_code = 7 << 8;
	write_all();
	image = image_open(directory, "pstree.img", 2);
	while ((record = image_record(&image, &len))) {
		PstreeEntry *entry = pstree_entry__unpack(NULL, len, record);

		ASSERT_TRUE(entry);
		ASSERT_EQ_U64(entry->pid, ROOT + nr);
		ASSERT_EQ_U64(entry->ppid, nr ? ROOT : 0);
		ASSERT_EQ_U64(entry->n_threads, 1);
		pstree_entry__free_unpacked(entry, NULL);
		nr++;
	}
	image_close(&image);
	ASSERT_EQ_U64(nr, 3);
	CoreEntry *core = read_one("core-102.img", &core_entry__descriptor);

	ASSERT_TRUE(core && core->tc && !core->thread_core && !core->thread_info);
	ASSERT_EQ_U64(core->tc->task_state, 2);
	ASSERT_EQ_U64(core->tc->exit_code, 7 << 8);
	core_entry__free_unpacked(core, NULL);
	ASSERT_TRUE(exists("mm-101.img") && exists("ids-101.img") && exists("pagemap-101.img"));
	ASSERT_TRUE(!exists("mm-102.img") && !exists("ids-102.img") && !exists("fs-102.img"));
	image_directory_remove(directory);
}

OVM_TEST(image_tree, descriptors_that_are_shared_are_in_one_image)
{
	TaskKobjIdsEntry *ids[2];
	char name[32];

	start();
	add(ROOT, 0, ROOT, ROOT);
	struct ovm_rec_process *child = add(101, 0, ROOT, ROOT);

	child->files_owner = &t.recs[0];
	child->files_identity = t.recs[0].files_identity;
	write_all();
	ids[0] = read_one("ids-100.img", &task_kobj_ids_entry__descriptor);
	ids[1] = read_one("ids-101.img", &task_kobj_ids_entry__descriptor);
	ASSERT_TRUE(ids[0] && ids[1]);
	ASSERT_EQ_U64(ids[0]->files_id, ids[1]->files_id);
	ASSERT_TRUE(ids[0]->vm_id != ids[1]->vm_id);
	snprintf(name, sizeof(name), "fdinfo-%u.img", ids[0]->files_id);
	ASSERT_TRUE(exists(name));
	snprintf(name, sizeof(name), "fdinfo-%u.img", ids[1]->vm_id);
	ASSERT_TRUE(!exists(name));
	for (int i = 0; i < 2; i++)
		task_kobj_ids_entry__free_unpacked(ids[i], NULL);
	image_directory_remove(directory);
}

OVM_TEST(image_tree, a_stopped_process_is_to_be_stopped_again)
{
	start();
	add(ROOT, 0, ROOT, ROOT);
	add(101, 0, ROOT, ROOT)->stopped = 1;
	t.threads[1].jobctl = 20; /* SIGTSTP */
	write_all();
	CoreEntry *core = read_one("core-101.img", &core_entry__descriptor);

	ASSERT_TRUE(core && core->tc);
	ASSERT_EQ_U64(core->tc->task_state, 3);
	ASSERT_EQ_U64((uint64_t)core->tc->stop_signo, 20);
	core_entry__free_unpacked(core, NULL);
	image_directory_remove(directory);
}
