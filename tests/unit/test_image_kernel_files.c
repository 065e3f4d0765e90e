// SPDX-License-Identifier: GPL-2.0-only
/* What leads to the kernel: netlink and packet sockets, inotify and fanotify instances. */
#include "host/image/image.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_model.h"
#include "image_read.h"
#include "proto/files.pb-c.h"
#include "test.h"

enum { NETLINK, PACKET, INOTIFY, FANOTIFY, NR, FIRST_FD = 10 };

static struct image_model m;
static char warnings[4096], directory[64];

static struct ovm_rec_file files[NR];
static struct ovm_rec_fd fds[NR];
static struct ovm_rec_socket sockets[2];
static struct ovm_rec_netlink netlink;
static struct ovm_rec_packet_socket packet;
static struct ovm_rec_packet_membership membership;
static struct ovm_rec_fsnotify instances[2];
static struct ovm_rec_watch watches[3];

static void keep_warning(void *arg, const char *message)
{
	size_t used = strlen(warnings);

	(void)arg;
	snprintf(warnings + used, sizeof(warnings) - used, "%s\n", message);
}

static void init_file(int i, enum ovm_rec_file_kind kind, const char *path)
{
	files[i] = (struct ovm_rec_file){
		.file = 0xffff888000050000 + (uint64_t)i * 0x100,
		.kind = kind,
		.flags = 2 | 04000,
		.ino = (uint64_t)(500 + i),
		.nlink = 1,
		.nr_fds = 1,
		.path = image_model_bytes(path),
	};
	fds[i] = (struct ovm_rec_fd){.fd = FIRST_FD + i, .file = &files[i]};
	if (i)
		fds[i - 1].next = &fds[i];
	else
		m.fds[MODEL_NR_FDS - 1].next = &fds[0];
}

static struct ovm_rec_socket socket_of(uint16_t family, uint16_t protocol)
{
	return (struct ovm_rec_socket){
		.net = m.process.ns.net,
		.family = family,
		.type = 3,
		.protocol = protocol,
		.opts = {.sndbuf = 1000, .rcvbuf = 2000, .rcvlowat = 1, .peek_off = -1},
	};
}

static void start(void)
{
	image_model_init(&m);
	warnings[0] = '\0';
	m.set.warn = keep_warning;
	init_file(NETLINK, OVM_REC_FILE_SOCKET, "NETLINK");
	init_file(PACKET, OVM_REC_FILE_SOCKET, "PACKET");
	init_file(INOTIFY, OVM_REC_FILE_INOTIFY, "inotify");
	init_file(FANOTIFY, OVM_REC_FILE_FANOTIFY, "[fanotify]");
	sockets[NETLINK] = socket_of(16, 15);
	sockets[PACKET] = socket_of(17, 0);
	netlink = (struct ovm_rec_netlink){.portid = 4711, .groups = 5};
	sockets[NETLINK].netlink = &netlink;
	membership = (struct ovm_rec_packet_membership){.ifindex = 2, .count = 1, .type = 1};
	packet = (struct ovm_rec_packet_socket){
		.protocol = 8,
		.ifindex = 2,
		.running = 1,
		.has_fanout = 1,
		.fanout_id = 7,
		.fanout_type = 1,
		.fanout_flags = 0x10,
		.memberships = &membership,
	};
	sockets[PACKET].packet_socket = &packet;
	files[NETLINK].socket = &sockets[NETLINK];
	files[PACKET].socket = &sockets[PACKET];
	watches[0] = (struct ovm_rec_watch){
		.kind = OVM_REC_WATCH_INODE,
		.wd = 3,
		.mask = 0x08002102,
		.ino = 77,
		.generation = 5,
		.dev = 0x800001,
		.path = image_model_bytes("/var/spool"),
	};
	watches[1] = watches[0];
	watches[1].next = &watches[2];
	watches[2] = (struct ovm_rec_watch){.kind = OVM_REC_WATCH_MOUNT,
					    .mask = 8,
					    .ignored_mask = 2,
					    .flags = 0x100,
					    .mnt_id = 21,
					    .path = image_model_bytes("/srv")};
	instances[0] = (struct ovm_rec_fsnotify){.watches = &watches[0], .nr_watches = 1};
	instances[1] = (struct ovm_rec_fsnotify){
		.watches = &watches[1],
		.nr_watches = 2,
		.init_flags = 0x80000010,
		.event_flags = 0100000,
	};
	files[INOTIFY].fsnotify = &instances[0];
	files[FANOTIFY].fsnotify = &instances[1];
}

#define ASSERT_REFUSED(text) ASSERT_ERROR(ovm_image_check(&m.set), OVM_ERROR_NOT_DUMPABLE, text)

#define ASSERT_WARNED(text)                                                    \
	do {                                                                   \
		ASSERT_OK(ovm_image_check(&m.set));                            \
		if (!strstr(warnings, (text)))                                 \
			OVM_FAIL("no warning of %s, but: %s", text, warnings); \
	} while (0)

OVM_TEST(image_kernel_files, takes_what_criu_restores)
{
	start();
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
}

OVM_TEST(image_kernel_files, refuses_netlink_sockets)
{
	start();
	sockets[NETLINK].nr_waiting = 1;
	ASSERT_REFUSED("fd 10: netlink socket (inode 500, protocol 15) holds messages");
	start();
	netlink.in_dump = 1;
	ASSERT_REFUSED("holds messages that were not read");
	start();
	netlink.groups = UINT64_C(1) << 32;
	ASSERT_REFUSED("has joined groups beyond the first 32");
	start();
	netlink.portid = 0;
	ASSERT_REFUSED("has joined groups, but is not bound");
	start();
	sockets[NETLINK].net++;
	ASSERT_REFUSED("is in another network namespace");
	start();
	files[NETLINK].holder = (struct ovm_rec_holder){77, "cat"};
	ASSERT_REFUSED("fd 10: socket (NETLINK) is open in process 77 (cat) as well");
}

OVM_TEST(image_kernel_files, refuses_packet_sockets)
{
	start();
	packet.has_rings = 1;
	ASSERT_REFUSED("fd 11: packet socket (inode 501, protocol 0) has a ring");
	start();
	packet.ifindex = -1;
	ASSERT_REFUSED("is bound to a network device that is gone");
	start();
	packet.vnet_hdr_size = 12;
	ASSERT_REFUSED("has headers of another size");
	start();
	packet.fanout_type = 7;
	ASSERT_REFUSED("is in a group with a program");
	start();
	packet.running = 0;
	ASSERT_REFUSED("but its network device is down");
	start();
	membership.count = 2;
	ASSERT_REFUSED("has joined an address more than once");
}

OVM_TEST(image_kernel_files, refuses_watches)
{
	start();
	instances[0].nr_waiting = 2;
	ASSERT_REFUSED("fd 12: inotify instance (inotify) holds events that were not read");
	start();
	watches[0].path.len = 0;
	ASSERT_REFUSED("fd 12: inotify instance (inotify) watches what is deleted, hidden");
	start();
	files[INOTIFY].flags |= 020000;
	ASSERT_REFUSED("has flags (O_ASYNC)");
	start();
	instances[1].has_asked = 1;
	ASSERT_REFUSED("fd 13: fanotify instance ([fanotify]) holds events");
	start();
	watches[2].kind = OVM_REC_WATCH_OTHER;
	ASSERT_REFUSED("watches a whole file system");
}

OVM_TEST(image_kernel_files, warns_of_what_differs)
{
	start();
	netlink.flags = 1 << 6;
	ASSERT_WARNED("has NETLINK_EXT_ACK, which CRIU does not restore");
	start();
	sockets[NETLINK].state = 1;
	ASSERT_WARNED("is connected: restored, what it sends goes to group 32");
	start();
	sockets[PACKET].nr_waiting = 1;
	ASSERT_WARNED("fd 11: packet socket (inode 501) holds packets");
	start();
	watches[0].flags = 0x20;
	ASSERT_WARNED("has watches with IN_ONESHOT");
}

static void clean_up(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	image_directory_remove(directory);
}

static void check_netlink(const NetlinkSkEntry *entry)
{
	ASSERT_TRUE(entry);
	ASSERT_EQ_U64(entry->protocol, 15);
	ASSERT_EQ_U64(entry->portid, 4711);
	ASSERT_EQ_U64(entry->flags, 2 | 04000);
	ASSERT_TRUE(entry->n_groups == 1 && entry->groups[0] == 5);
}

static void check_packet(const PacketSockEntry *entry)
{
	ASSERT_TRUE(entry);
	ASSERT_EQ_U64(entry->protocol, 8);
	ASSERT_EQ_U64(entry->ifindex, 2);
	ASSERT_EQ_U64(entry->fanout, 0x10010007);
	ASSERT_TRUE(entry->n_mclist == 1 && entry->mclist[0]->index == 2);
}

static void check_inotify(const InotifyFileEntry *entry)
{
	ASSERT_TRUE(entry && entry->n_wd == 1);
	ASSERT_EQ_U64(entry->wd[0]->wd, 3);
	ASSERT_EQ_U64(entry->wd[0]->mask, 0x102);
	ASSERT_EQ_U64(entry->wd[0]->s_dev, 0x800001);
	ASSERT_STREQ(entry->wd[0]->f_handle->path, "/var/spool");
	ASSERT_EQ_U64(entry->wd[0]->f_handle->handle[0], UINT64_C(0x50000004d));
}

static void check_fanotify(const FanotifyFileEntry *entry)
{
	ASSERT_TRUE(entry && entry->n_mark == 2);
	ASSERT_EQ_U64(entry->faflags, 0x10);
	ASSERT_EQ_U64(entry->evflags, 0100000);
	ASSERT_TRUE(entry->mark[0]->type == MARK_TYPE__INODE && entry->mark[0]->ie);
	ASSERT_TRUE(entry->mark[1]->type == MARK_TYPE__MOUNT && entry->mark[1]->me);
	ASSERT_STREQ(entry->mark[1]->me->path, "/srv");
	ASSERT_EQ_U64(entry->mark[1]->mflags, 0x40);
	ASSERT_EQ_U64(entry->mark[1]->ignored_mask, 2);
}

OVM_TEST(image_kernel_files, writes_entries)
{
	__attribute__((cleanup(clean_up))) int fd = image_directory(directory);
	struct image_bytes image;
	const uint8_t *record;
	unsigned int nr = 0;
	size_t len;

	start();
	ASSERT_OK(ovm_image_write(&m.set, fd));
	image = image_open(directory, "files.img", 2);
	while ((record = image_record(&image, &len))) {
		FileEntry *entry = file_entry__unpack(NULL, len, record);

		ASSERT_TRUE(entry);
		nr++;
		if (entry->type == FD_TYPES__NETLINKSK)
			check_netlink(entry->nlsk);
		else if (entry->type == FD_TYPES__PACKETSK)
			check_packet(entry->psk);
		else if (entry->type == FD_TYPES__INOTIFY)
			check_inotify(entry->ify);
		else if (entry->type == FD_TYPES__FANOTIFY)
			check_fanotify(entry->ffy);
		else
			nr--;
		file_entry__free_unpacked(entry, NULL);
	}
	ASSERT_EQ_U64(nr, NR);
	image_close(&image);
}
