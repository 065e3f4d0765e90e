// SPDX-License-Identifier: GPL-2.0-only
/* Images of an IPC namespace, read back; and what is refused of one. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/image/image.h"
#include "image_model.h"
#include "image_read.h"
#include "proto/ids.pb-c.h"
#include "proto/ipc.pb-c.h"
#include "proto/mm.pb-c.h"
#include "proto/pagemap.pb-c.h"
#include "test.h"

enum { ID = 32769, INODE_NUMBER = ID };

static struct image_model m;
static struct ovm_rec_ipc ipc;
static struct ovm_rec_ipc_shm shm;
static struct ovm_rec_ipc_sems sems;
static struct ovm_rec_ipc_sem_values values;
static struct ovm_rec_ipc_queue queue;
static struct ovm_rec_ipc_message messages[2];
static struct ovm_rec_piece pieces[3];
static char warnings[2048], directory[64];

static void warn(void *arg, const char *message)
{
	size_t len = strlen(warnings);

	snprintf(warnings + len, sizeof(warnings) - len, "%s\n", message);
}

static void clean_up(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	image_directory_remove(directory);
}

#define WITH_DIRECTORY(fd)                                                      \
	__attribute__((cleanup(clean_up))) int fd = image_directory(directory); \
	ASSERT_TRUE(fd >= 0)

#define ASSERT_REFUSED(text) ASSERT_ERROR(ovm_image_check(&m.set), OVM_ERROR_NOT_DUMPABLE, text)

#define ASSERT_WARNED(text)                                                    \
	do {                                                                   \
		ASSERT_OK(ovm_image_check(&m.set));                            \
		if (!strstr(warnings, (text)))                                 \
			OVM_FAIL("no warning of %s, but: %s", text, warnings); \
	} while (0)

static void init_objects(void)
{
	shm = (struct ovm_rec_ipc_shm){
		.perm = {.id = ID, .key = 0x1234, .uid = 1, .gid = 2, .mode = 0640},
		.size = 0x3800,
		.pages = &m.shmem[0],
	};
	values = (struct ovm_rec_ipc_sem_values){.nr = 3, .value = {7, 0, 32767}};
	sems = (struct ovm_rec_ipc_sems){.perm = {.id = 1}, .nr = 3, .values = &values};
	pieces[0] = (struct ovm_rec_piece){&pieces[1], image_model_bytes("hello, ")};
	pieces[1] = (struct ovm_rec_piece){NULL, image_model_bytes("world")};
	messages[0] = (struct ovm_rec_ipc_message){&messages[1], 3, 12, &pieces[0]};
	messages[1] = (struct ovm_rec_ipc_message){NULL, 1, 0, &pieces[2]};
	queue = (struct ovm_rec_ipc_queue){
		.perm = {.id = 2, .key = 5},
		.max_bytes = 16384,
		.nr_messages = 2,
		.nr_bytes = 12,
		.messages = messages,
	};
}

/* Shared memory of the model becomes a segment. */
static void start(void)
{
	image_model_init(&m);
	m.set.warn = warn;
	warnings[0] = '\0';
	init_objects();
	ipc = (struct ovm_rec_ipc){
		.identity = 0xffff888000012345,
		.sem_limits = {32000, 1024000, 500, 32000},
		.msg_max = 8192,
		.msg_queue_bytes = 16384,
		.msg_queues = 32000,
		.shm_max = UINT64_MAX,
		.shm_all = UINT64_MAX,
		.shm_segments = 4096,
		.mq_queues_max = 256,
		.sem_next_id = -1,
		.msg_next_id = -1,
		.shm_next_id = 9,
		.shm = &shm,
		.sems = &sems,
		.queues = &queue,
	};
	m.process.ns.ipc_initial = 0;
	m.process.ns.ipc = ipc.identity;
	m.tree.ipc = &ipc;
	m.files[MODEL_SHM].segment = &shm;
	m.files[MODEL_SHM].kind = OVM_REC_FILE_SYSV_SHM;
	m.files[MODEL_SHM].ino = m.shmem[0].ino = INODE_NUMBER;
	m.files[MODEL_SHM].path = image_model_bytes("SYSV00001234");
}

static void *record(const char *name, const ProtobufCMessageDescriptor *descriptor,
		    unsigned int index)
{
	struct image_bytes image = image_open(directory, name, 2);
	const uint8_t *bytes = NULL;
	size_t len = 0;
	void *ret = NULL;

	for (unsigned int i = 0; image.data && i <= index; i++)
		bytes = image_record(&image, &len);
	if (bytes)
		ret = protobuf_c_message_unpack(descriptor, NULL, len, bytes);
	image_close(&image);
	return ret;
}

static void free_message(void *message)
{
	protobuf_c_message_free_unpacked(*(ProtobufCMessage **)message, NULL);
}

#define RECORD(type, name, file, descriptor, index)                                             \
	__attribute__((cleanup(free_message))) type *name = record(file, &(descriptor), index); \
	ASSERT_TRUE(name)

OVM_TEST(image_ipc, the_namespace_is_made_anew)
{
	start();
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&m.set, fd));
	RECORD(TaskKobjIdsEntry, ids, "ids-4711.img", task_kobj_ids_entry__descriptor, 0);
	ASSERT_EQ_U64(ids->ipc_ns_id, 20);
	RECORD(IpcVarEntry, var, "ipcns-var-20.img", ipc_var_entry__descriptor, 0);
	ASSERT_EQ_U64(var->n_sem_ctls, 4);
	ASSERT_EQ_U64(var->sem_ctls[1], 1024000);
	ASSERT_EQ_U64(var->shm_ctlall, UINT64_MAX);
	ASSERT_FALSE(var->has_msg_next_id || var->has_sem_next_id);
	ASSERT_EQ_U64(var->shm_next_id, 9);
}

OVM_TEST(image_ipc, a_segment_has_a_pagemap_by_its_id)
{
	start();
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&m.set, fd));
	RECORD(IpcShmEntry, entry, "ipcns-shm-20.img", ipc_shm_entry__descriptor, 0);
	ASSERT_EQ_U64(entry->desc->id, ID);
	ASSERT_EQ_U64(entry->desc->key, 0x1234);
	ASSERT_EQ_U64(entry->desc->mode, 0640);
	ASSERT_EQ_U64(entry->size, 0x3800);
	ASSERT_TRUE(entry->in_pagemaps && !entry->has_hugetlb_flag);
	RECORD(PagemapEntry, pages, "pagemap-shmem-32769.img", pagemap_entry__descriptor, 1);
	ASSERT_EQ_U64(pages->vaddr, 0x1000);
	RECORD(MmEntry, mm, "mm-4711.img", mm_entry__descriptor, 0);
	ASSERT_EQ_U64(mm->vmas[MODEL_SHARED]->shmid, ID);
	ASSERT_EQ_U64(mm->vmas[MODEL_SHARED]->status, 1 | 1 << 8 | 1 << 10);
	ASSERT_EQ_U64(mm->vmas[MODEL_SHARED]->flags, 0x21);
}

OVM_TEST(image_ipc, huge_pages_are_asked_for)
{
	start();
	shm.huge_shift = 21;
	shm.size = 1;
	m.vmas[MODEL_SHARED].file = &m.files[MODEL_MEMFD];
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&m.set, fd));
	RECORD(IpcShmEntry, entry, "ipcns-shm-20.img", ipc_shm_entry__descriptor, 0);
	ASSERT_EQ_U64(entry->hugetlb_flag, 04000 | 21 << 26);
}

OVM_TEST(image_ipc, messages_and_values_are_filled_up_to_eight_bytes)
{
	static const uint8_t text[16] = "hello, world";
	static const uint16_t expected[4] = {7, 0, 32767, 0};
	size_t len;

	start();
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&m.set, fd));

	struct image_bytes image = image_open(directory, "ipcns-msg-20.img", 2);

	ASSERT_TRUE(image_record(&image, &len) && image_record(&image, &len));
	ASSERT_TRUE(image.pos + sizeof(text) <= image.len &&
		    !memcmp(image.data + image.pos, text, sizeof(text)));
	image.pos += sizeof(text);
	ASSERT_TRUE(image_record(&image, &len));
	ASSERT_EQ_U64(image.pos, image.len);
	image_close(&image);
	image = image_open(directory, "ipcns-sem-20.img", 2);
	ASSERT_TRUE(image_record(&image, &len));
	ASSERT_TRUE(image.pos + sizeof(expected) == image.len &&
		    !memcmp(image.data + image.pos, expected, sizeof(expected)));
	image_close(&image);
}

OVM_TEST(image_ipc, memfd_numbers_are_not_those_of_segments)
{
	start();
	m.files[MODEL_MEMFD].ino = m.shmem[1].ino = ID;
	WITH_DIRECTORY(fd);
	ASSERT_OK(ovm_image_write(&m.set, fd));
	RECORD(PagemapHead, head, "pagemap-shmem-32769.img", pagemap_head__descriptor, 0);
	ASSERT_EQ_U64(head->pages_id, 2);
	RECORD(PagemapHead, other, "pagemap-shmem-1.img", pagemap_head__descriptor, 0);
	ASSERT_EQ_U64(other->pages_id, 3);
}

OVM_TEST(image_ipc, refuses_segments_that_shmat_can_t_attach)
{
	struct ovm_rec_vma *vma = &m.vmas[MODEL_SHARED];

	start();
	m.files[MODEL_SHM].segment = NULL;
	ASSERT_REFUSED("'unshare --ipc'");
	start();
	m.process.ns.ipc++;
	ASSERT_REFUSED("in another IPC namespace than the root of the tree");
	start();
	vma->end -= 0x1000;
	ASSERT_REFUSED("only a part");
	start();
	vma->pgoff = 1;
	ASSERT_REFUSED("only a part");
	start();
	vma->exec = 1;
	ASSERT_REFUSED("is executable");
	start();
	shm.huge_shift = 21;
	ASSERT_REFUSED("last huge page");
	start();
	shm.size = 0x4001;
	ASSERT_REFUSED("only a part");
}

OVM_TEST(image_ipc, areas_of_one_attachment_follow_each_other)
{
	struct ovm_rec_vma second;

	start();
	second = m.vmas[MODEL_SHARED];
	m.vmas[MODEL_SHARED].next = &second;
	m.vmas[MODEL_SHARED].end = second.start = second.start + 0x1000;
	second.pgoff = 1;
	ASSERT_OK(ovm_image_check(&m.set));
	second.pgoff = 2;
	ASSERT_REFUSED("only a part");
}

OVM_TEST(image_ipc, refuses_what_can_t_be_made_again)
{
	start();
	ipc.holder = (struct ovm_rec_holder){.pid = 99, .comm = "other"};
	ASSERT_REFUSED("also that of process 99 (other)");
	start();
	m.tree.nr_used_queues = 3;
	ASSERT_REFUSED("0 sets of semaphores, 3 message queues");
	start();
	ipc.nr_posix_queues = 2;
	ASSERT_REFUSED("2 POSIX message queues");
	start();
	messages[0].len = 8193;
	ASSERT_REFUSED("message of 8193 bytes");
	start();
	queue.nr_bytes = 16385;
	ASSERT_REFUSED("kernel.msgmnb");
	start();
	ipc.sem_limits[0] = 2;
	ASSERT_REFUSED("kernel.sem");
	start();
	values.value[1] = 32768;
	ASSERT_REFUSED("kernel.sem");
	start();
	ipc.shm_max = 0x3000;
	ASSERT_REFUSED("kernel.shmmax");
	start();
	ipc.shm_all = 3;
	ASSERT_REFUSED("kernel.shmall");
}

OVM_TEST(image_ipc, warns_of_what_is_lost)
{
	start();
	shm.perm.mode |= 01000;
	ASSERT_WARNED("IPC_RMID");
	start();
	shm.perm.mode |= 02000;
	ASSERT_WARNED("SHM_LOCK");
	start();
	queue.max_bytes = 100;
	ASSERT_WARNED("100 bytes, is that of kernel.msgmnb (16384)");
	start();
	ipc.shm_rmid_forced = 1;
	ASSERT_WARNED("shm_rmid_forced");
}
