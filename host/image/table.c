// SPDX-License-Identifier: GPL-2.0-only
#include "table.h"

#include <inttypes.h>
#include <stdio.h>

/*
 * Format of an image (CRIU 3.17.1, criu/image.c and criu/protobuf.c): one or two magic numbers of
 * 32 bits, then records of a 32-bit length and that many bytes of protobuf, to the end of the file.
 * All little-endian. The inventory has only its own magic: it is where the format is stated.
 */
static const uint32_t head_magic[] = {
	[OVM_IMAGE_HEAD_COMMON] = 0x54564319,
	[OVM_IMAGE_HEAD_SERVICE] = 0x55105940,
};

#define PLAIN(name, number)    {name, ".img", number, OVM_IMAGE_HEAD_COMMON, 0, 0}
#define NUMBERED(name, number) {name, ".img", number, OVM_IMAGE_HEAD_COMMON, 1, 0}

static const struct ovm_image_description table[OVM_IMAGE_NR_TYPES] = {
	[OVM_IMAGE_INVENTORY] = {"inventory", ".img", 0x58313116, OVM_IMAGE_HEAD_NONE, 0, 0},
	[OVM_IMAGE_PSTREE] = PLAIN("pstree", 0x50273030),
	[OVM_IMAGE_IDS] = NUMBERED("ids-", 0x54432030),
	[OVM_IMAGE_CORE] = NUMBERED("core-", 0x55053847),
	[OVM_IMAGE_MM] = NUMBERED("mm-", 0x57492820),
	[OVM_IMAGE_FS] = NUMBERED("fs-", 0x51403912),
	[OVM_IMAGE_FILES] = PLAIN("files", 0x56303138),
	[OVM_IMAGE_FDINFO] = NUMBERED("fdinfo-", 0x56213732),
	[OVM_IMAGE_MEMFD] = PLAIN("memfd", 0x48453499),
	[OVM_IMAGE_PIPES_DATA] = PLAIN("pipes-data", 0x56453709),
	[OVM_IMAGE_FIFO_DATA] = PLAIN("fifo-data", 0x59333054),
	[OVM_IMAGE_FILE_LOCKS] = PLAIN("filelocks", 0x54323616),
	[OVM_IMAGE_GHOST_FILE] = {"ghost-file-", ".img", 0x52583605, OVM_IMAGE_HEAD_COMMON, 1, 1},
	[OVM_IMAGE_REMAP_FPATH] = PLAIN("remap-fpath", 0x59133954),
	[OVM_IMAGE_PAGEMAP] = NUMBERED("pagemap-", 0x56084025),
	[OVM_IMAGE_PAGEMAP_SHMEM] = NUMBERED("pagemap-shmem-", 0x56084025),
	[OVM_IMAGE_IPC_VAR] = NUMBERED("ipcns-var-", 0x53115007),
	[OVM_IMAGE_IPC_SHM] = NUMBERED("ipcns-shm-", 0x46283044),
	[OVM_IMAGE_IPC_MSG] = NUMBERED("ipcns-msg-", 0x55453737),
	[OVM_IMAGE_IPC_SEM] = NUMBERED("ipcns-sem-", 0x59573019),
	[OVM_IMAGE_SECCOMP] = PLAIN("seccomp", 0x64413049),
	[OVM_IMAGE_SK_QUEUES] = PLAIN("sk-queues", 0x56264026),
	[OVM_IMAGE_TCP_STREAM] = {"tcp-stream-", ".img", 0x51465506, OVM_IMAGE_HEAD_COMMON, 1, 1},
	[OVM_IMAGE_TIMENS] = NUMBERED("timens-", 0x43114433),
	[OVM_IMAGE_TTY_INFO] = PLAIN("tty-info", 0x59453036),
	[OVM_IMAGE_TTY_DATA] = PLAIN("tty-data", 0x59413026),
	[OVM_IMAGE_STATS] = {"stats-dump", "", 0x57093306, OVM_IMAGE_HEAD_SERVICE, 0, 0},
};

const struct ovm_image_description *ovm_image_describe(enum ovm_image_type type)
{
	return &table[type];
}

void ovm_image_name(enum ovm_image_type type, uint64_t number, char name[OVM_IMAGE_NAME_MAX])
{
	const struct ovm_image_description *description = &table[type];

	if (description->hexadecimal)
		snprintf(name, OVM_IMAGE_NAME_MAX, "%s%" PRIx64 "%s", description->prefix, number,
			 description->suffix);
	else if (description->numbered)
		snprintf(name, OVM_IMAGE_NAME_MAX, "%s%" PRIu64 "%s", description->prefix, number,
			 description->suffix);
	else
		snprintf(name, OVM_IMAGE_NAME_MAX, "%s%s", description->prefix,
			 description->suffix);
}

size_t ovm_image_magic(enum ovm_image_type type, uint32_t words[2])
{
	const struct ovm_image_description *description = &table[type];
	size_t nr = 0;

	if (description->head != OVM_IMAGE_HEAD_NONE)
		words[nr++] = head_magic[description->head];
	words[nr++] = description->magic;
	return nr;
}
