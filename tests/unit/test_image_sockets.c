// SPDX-License-Identifier: GPL-2.0-only
/* Unix sockets: what is refused, in which order they are described, what waits in them. */
#include "host/image/image.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_model.h"
#include "image_read.h"
#include "proto/files.pb-c.h"
#include "proto/sk-packet.pb-c.h"
#include "test.h"

enum {
	NR = 4,
	FIRST_FD = 10,
	FIRST_INO = 500,
	STREAM = 1,
	DGRAM = 2,
	ESTABLISHED = 1,
	CLOSE = 7,
	LISTEN = 10,
};

static struct image_model m;
static char warnings[4096], directory[64];

/* Sockets behind the descriptors from FIRST_FD on. */
static struct {
	struct ovm_rec_file file;
	struct ovm_rec_socket rec;
	struct ovm_rec_unix socket;
	struct ovm_rec_file bound;
	struct ovm_rec_fd fd;
	struct ovm_rec_packet packet;
	struct ovm_rec_piece piece;
	struct ovm_rec_connection connection;
} s[NR];

static void keep_warning(void *arg, const char *message)
{
	size_t used = strlen(warnings);

	(void)arg;
	snprintf(warnings + used, sizeof(warnings) - used, "%s\n", message);
}

static void init_socket(int i)
{
	s[i].file = (struct ovm_rec_file){
		.file = 0xffff888000050000 + (uint64_t)i * 0x100,
		.kind = OVM_REC_FILE_SOCKET,
		.flags = 2,
		.ino = (uint64_t)(FIRST_INO + i),
		.nlink = 1,
		.socket = &s[i].rec,
		.nr_fds = 1,
		.path = image_model_bytes("UNIX"),
	};
	s[i].rec = (struct ovm_rec_socket){
		.sk = 0xffff888000060000 + (uint64_t)i * 0x400,
		.net = m.process.ns.net,
		.family = 1,
		.type = STREAM,
		.state = CLOSE,
		.opts = {.sndbuf = 1000, .rcvbuf = 2000, .rcvlowat = 1, .peek_off = -1},
		.unix_socket = &s[i].socket,
	};
	s[i].bound.mode = S_IFSOCK | 0640;
	s[i].bound.reachable = 1;
	s[i].fd = (struct ovm_rec_fd){.fd = FIRST_FD + i, .file = &s[i].file};
	m.fds[MODEL_NR_FDS - 1].next = &s[0].fd;
	if (i)
		s[i - 1].fd.next = &s[i].fd;
}

static void start(void)
{
	image_model_init(&m);
	memset(s, 0, sizeof(s));
	warnings[0] = '\0';
	m.set.warn = keep_warning;
	for (int i = 0; i < NR; i++)
		init_socket(i);
}

static void connect_to(int from, int to)
{
	s[from].rec.state = ESTABLISHED;
	s[from].socket.peer = s[to].rec.sk;
	s[from].socket.peer_ino = s[to].file.ino;
	s[from].socket.peer_name = s[to].socket.name;
}

static void start_with_pair(void)
{
	start();
	connect_to(0, 1);
	connect_to(1, 0);
}

static void add_packet(int i, const char *text)
{
	s[i].piece.bytes = image_model_bytes(text);
	s[i].packet = (struct ovm_rec_packet){.pieces = &s[i].piece, .len = strlen(text)};
	s[i].rec.packets = &s[i].packet;
}

static void bind_to(int i, const char *name, uint64_t len, const char *path)
{
	s[i].socket.name = (struct ovm_rec_bytes){(uint8_t *)(uintptr_t)name, len};
	if (!path)
		return;
	s[i].bound.path = image_model_bytes(path);
	s[i].socket.bound = &s[i].bound;
}

/* A connection to socket @to that it has not accepted. */
static void wait_for(int from, int to)
{
	s[to].rec.state = LISTEN;
	s[from].rec.state = ESTABLISHED;
	s[from].socket.peer = 0xffff888000070000;
	s[to].connection = (struct ovm_rec_connection){
		.client = s[from].rec.sk,
		.client_ino = s[from].file.ino,
	};
	s[to].socket.connections = &s[to].connection;
}

/* A file comes with the message that waits in socket @to. */
static void pass(int to, struct ovm_rec_passed *passed, struct ovm_rec_file *file)
{
	struct ovm_rec_file *last = m.tree.files;

	*passed = (struct ovm_rec_passed){.identity = file->file, .file = file};
	if (!s[to].rec.packets)
		add_packet(to, "x");
	s[to].packet.passed = passed;
	s[to].packet.nr_passed = 1;
	file->nr_passed++;
	while (last->next && last != file)
		last = last->next;
	if (last != file)
		last->next = file;
}

/* Socket @i has no descriptor: it has to be on its way. */
static void close_socket(int i)
{
	s[i - 1].fd.next = s[i].fd.next;
	s[i].file.nr_fds = 0;
}

#define ASSERT_REFUSED(text) ASSERT_ERROR(ovm_image_check(&m.set), OVM_ERROR_NOT_DUMPABLE, text)

#define ASSERT_WARNED(text)                                                    \
	do {                                                                   \
		ASSERT_OK(ovm_image_check(&m.set));                            \
		if (!strstr(warnings, (text)))                                 \
			OVM_FAIL("no warning of %s, but: %s", text, warnings); \
	} while (0)

OVM_TEST(image_sockets, takes_what_stays_within_the_process)
{
	start_with_pair();
	add_packet(0, "bytes");
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
	start();
	bind_to(1, "\0abstract", 9, NULL);
	wait_for(0, 1);
	ASSERT_OK(ovm_image_check(&m.set));
	/* What is left of a connection whose other end is closed. */
	start();
	s[2].rec.state = ESTABLISHED;
	s[2].rec.shutdown = 3;
	s[2].socket.peer = 0xffff888000070000;
	ASSERT_OK(ovm_image_check(&m.set));
}

OVM_TEST(image_sockets, refuses_other_families_and_processes)
{
	start();
	s[0].rec.unix_socket = NULL;
	s[0].rec.family = 10;
	ASSERT_REFUSED("fd 10: socket (IPv6, UNIX) is not saved");
	start();
	s[0].rec.state = ESTABLISHED;
	s[0].socket.peer = 0xffff888000070000;
	s[0].socket.peer_ino = 77;
	s[0].socket.peer_name = (struct ovm_rec_bytes){(uint8_t *)(uintptr_t)"\0name", 5};
	ASSERT_REFUSED("fd 10: Unix socket (inode 500, without a name) is connected to a socket "
		       "(inode 77, @name) that another process has");
	start();
	s[0].rec.state = ESTABLISHED;
	ASSERT_REFUSED("waits to be accepted by another process");
	start();
	wait_for(0, 1);
	s[1].connection.client++;
	ASSERT_REFUSED("fd 11: Unix socket (inode 501, without a name) has a connection waiting "
		       "from a socket (inode 500) that another process has");
	start();
	s[0].file.holder = (struct ovm_rec_holder){77, "cat"};
	ASSERT_REFUSED("fd 10: socket (UNIX) is open in process 77 (cat) as well");
	start();
	s[0].rec.net++;
	ASSERT_REFUSED("is in another network namespace");
}

OVM_TEST(image_sockets, refuses_what_criu_would_lose)
{
	start();
	wait_for(0, 1);
	s[1].connection.client_ino = 0;
	ASSERT_REFUSED("has a connection waiting that its maker has closed");
	start();
	bind_to(1, "\0a", 2, NULL);
	wait_for(0, 1);
	s[1].connection.nr_packets = 1;
	ASSERT_REFUSED("has a connection waiting (fd 10) on which data was sent already");
	start_with_pair();
	add_packet(0, "x");
	s[0].rec.opts.passcred = 1;
	ASSERT_REFUSED("SO_PASSCRED");
	s[0].rec.opts.passcred = 0;
	s[0].socket.has_oob = 1;
	ASSERT_REFUSED("MSG_OOB");
	s[0].socket.has_oob = 0;
	s[0].rec.opts.bound_dev = 2;
	ASSERT_REFUSED("is bound to a network device");
	s[0].rec.opts.bound_dev = 0;
	s[0].rec.opts.has_filter = 1;
	ASSERT_REFUSED("not of classic BPF");
}

OVM_TEST(image_sockets, takes_files_on_their_way)
{
	struct ovm_rec_passed passed[2];

	start_with_pair();
	connect_to(2, 3);
	connect_to(3, 2);
	close_socket(3);
	pass(0, &passed[0], &s[3].file);
	/* Needs the other end of the socket it waits in, which only the message above has. */
	pass(2, &passed[1], &m.files[MODEL_LOG]);
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
}

OVM_TEST(image_sockets, refuses_files_on_their_way_that_criu_can_t_send)
{
	struct ovm_rec_passed passed;
	struct ovm_rec_epoll_entry entry = {.fd = FIRST_FD};
	struct ovm_rec_epoll epoll = {.entries = &entry, .nr_entries = 1};
	struct ovm_rec_file file = {
		.file = 0xffff888000090000, .kind = OVM_REC_FILE_EPOLL, .epoll = &epoll};

	/* Nobody is connected to the socket any more. */
	start();
	s[0].rec.state = ESTABLISHED;
	s[0].rec.shutdown = 3;
	pass(0, &passed, &m.files[MODEL_LOG]);
	ASSERT_REFUSED("fd 10: Unix socket (inode 500, without a name) holds files on their way "
		       "(SCM_RIGHTS), and no socket is connected both ways");
	start_with_pair();
	close_socket(1);
	pass(0, &passed, &s[1].file);
	ASSERT_REFUSED("fd 10: Unix socket (inode 500, without a name) holds files on their way "
		       "(SCM_RIGHTS), and so is its other end");
	start_with_pair();
	pass(0, &passed, &file);
	ASSERT_REFUSED("on its way to fd 10: an epoll instance");
	file.kind = OVM_REC_FILE_TTY;
	ASSERT_REFUSED("on its way to fd 10: a file that CRIU may not have opened in time");
	file.kind = OVM_REC_FILE_BLKDEV;
	ASSERT_REFUSED("on its way to fd 10: block device 0:0 () is not saved");
}

static void connect_out(int i, const char *name, uint64_t len)
{
	s[i].rec.state = ESTABLISHED;
	s[i].socket.peer = 0xffff888000070000;
	s[i].socket.peer_ino = 77;
	s[i].socket.peer_name = (struct ovm_rec_bytes){(uint8_t *)(uintptr_t)name, len};
}

OVM_TEST(image_sockets, takes_what_leads_out_when_told_to)
{
	static const char *const externals[] = {"unix[500]"};

	start();
	m.set.externals = externals;
	m.set.nr_externals = 1;
	connect_out(0, "\0name", 5);
	ASSERT_WARNED("is connected to one outside (@name): restored, to whoever has that name");
	connect_out(0, NULL, 0);
	ASSERT_WARNED("criu restore needs --inherit-fd fd[N]:socket:[500]");
	connect_out(0, "name", 5);
	ASSERT_REFUSED("is connected to one with a name that CRIU can't use again");
	connect_out(0, "\0name", 5);
	add_packet(0, "x");
	ASSERT_REFUSED("holds data that came from a process which is not saved");
	s[0].rec.packets = NULL;
	connect_out(1, "\0name", 5);
	ASSERT_REFUSED("fd 11: Unix socket (inode 501, without a name) is connected to a socket "
		       "(inode 77, @name) that another process has: --external unix[501]");
}

OVM_TEST(image_sockets, refuses_names_that_can_t_be_used_again)
{
	const struct {
		const char *name, *path, *text;
	} table[] = {
		{"/run/name", NULL, "is nowhere in the file system"},
		{"/run/name", "/run/other", "was renamed"},
		{"../name", "/run/name", "has a relative name that can't"},
		{"name", "/name-tail", "was renamed"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		start();
		bind_to(0, table[i].name, strlen(table[i].name) + 1, table[i].path);
		ASSERT_REFUSED(table[i].text);
	}
	start();
	bind_to(0, "/n", 3, "/jail/n");
	ASSERT_OK(ovm_image_check(&m.set));
	m.files[MODEL_ROOT].path = image_model_bytes("/jail");
	ASSERT_REFUSED("below another root directory");
	start();
	bind_to(0, "/n", 3, "/n");
	s[0].bound.reachable = 0;
	ASSERT_REFUSED("on a mount that the process can't reach");
}

OVM_TEST(image_sockets, refuses_what_contradicts_itself)
{
	start();
	s[1].file.ino = s[0].file.ino;
	ASSERT_REFUSED("has the inode number of another socket");
	start();
	s[1].rec.sk = s[0].rec.sk;
	ASSERT_REFUSED("is also there as another file");
	start();
	s[0].rec.type = 3;
	ASSERT_REFUSED("is of an unknown type");
	start();
	s[0].rec.state = 2;
	ASSERT_REFUSED("is in an unknown state");
	/* Three in a circle. */
	start();
	for (int i = 0; i < 3; i++) {
		bind_to(i, "\0name", 5, NULL);
		s[i].rec.type = DGRAM;
		connect_to(i, (i + 1) % 3);
	}
	ASSERT_REFUSED("is connected to itself by way of others");
}

OVM_TEST(image_sockets, warns_of_what_differs)
{
	start_with_pair();
	bind_to(0, "\0name", 5, NULL);
	ASSERT_WARNED("CRIU does not restore its own name");
	start();
	s[0].rec.err = 104;
	ASSERT_WARNED("has a pending error");
	start();
	s[0].rec.type = DGRAM;
	s[0].rec.state = ESTABLISHED;
	s[0].socket.peer = 0xffff888000070000;
	ASSERT_WARNED("is connected to one that is closed");
	start();
	s[0].rec.type = DGRAM;
	add_packet(0, "x");
	s[0].packet.sender = 0xffff888000070000;
	s[0].packet.sender_named = 1;
	ASSERT_WARNED("whose sender's name is lost");
}

static void clean_up(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	image_directory_remove(directory);
}

/* The sockets of files.img in their order, as numbers of s[]. */
static void read_order(int order[NR], size_t *nr)
{
	struct image_bytes image = image_open(directory, "files.img", 2);
	const uint8_t *record;
	size_t len;

	while ((record = image_record(&image, &len))) {
		FileEntry *entry = file_entry__unpack(NULL, len, record);

		ASSERT_TRUE(entry);
		if (entry->type == FD_TYPES__UNIXSK) {
			ASSERT_TRUE(entry->usk && entry->usk->id == entry->id && *nr < NR);
			order[(*nr)++] = (int)entry->usk->ino - FIRST_INO;
		}
		file_entry__free_unpacked(entry, NULL);
	}
	image_close(&image);
}

OVM_TEST(image_sockets, describes_peers_first)
{
	__attribute__((cleanup(clean_up))) int fd = image_directory(directory);
	int order[NR] = {-1, -1, -1, -1};
	size_t nr = 0;

	/* 0 is connected to 2, which is connected to 3; 1 waits for 3 to accept it. */
	start();
	for (int i = 0; i < NR; i++)
		bind_to(i, "\0name", 5, NULL);
	s[0].rec.type = s[2].rec.type = DGRAM;
	connect_to(0, 2);
	wait_for(1, 3);
	ASSERT_OK(ovm_image_write(&m.set, fd));
	read_order(order, &nr);
	ASSERT_EQ_U64(nr, NR);
	ASSERT_EQ_U64((uint64_t)order[0], 2);
	ASSERT_EQ_U64((uint64_t)order[1], 0);
	ASSERT_EQ_U64((uint64_t)order[2], 3);
	ASSERT_EQ_U64((uint64_t)order[3], 1);
}

OVM_TEST(image_sockets, puts_queues_behind_their_entries)
{
	__attribute__((cleanup(clean_up))) int fd = image_directory(directory);
	struct ovm_rec_packet empty = {0};
	struct ovm_rec_piece tail = {.bytes = image_model_bytes("...")};

	start_with_pair();
	s[0].rec.type = s[1].rec.type = DGRAM;
	add_packet(0, "first");
	s[0].packet.next = &empty;
	s[0].piece.next = &tail;
	s[0].packet.len += 3;
	ASSERT_OK(ovm_image_write(&m.set, fd));

	struct image_bytes image = image_open(directory, "sk-queues.img", 2);
	size_t len;
	const uint8_t *record = image_record(&image, &len);

	ASSERT_TRUE(record);
	SkPacketEntry *entry = sk_packet_entry__unpack(NULL, len, record);

	ASSERT_TRUE(entry);
	ASSERT_EQ_U64(entry->length, 8);
	ASSERT_TRUE(!memcmp(image.data + image.pos, "first...", 8));
	sk_packet_entry__free_unpacked(entry, NULL);
	image.pos += 8;
	record = image_record(&image, &len);
	ASSERT_TRUE(record);
	entry = sk_packet_entry__unpack(NULL, len, record);
	ASSERT_TRUE(entry && !entry->length);
	sk_packet_entry__free_unpacked(entry, NULL);
	ASSERT_TRUE(!image_record(&image, &len));
	image_close(&image);
}

static void next_packet(struct image_bytes *image, SkPacketEntry **entry)
{
	size_t len;
	const uint8_t *record = image_record(image, &len);

	ASSERT_TRUE(record);
	*entry = sk_packet_entry__unpack(NULL, len, record);
	ASSERT_TRUE(*entry);
	image->pos += (*entry)->length;
}

OVM_TEST(image_sockets, writes_files_on_their_way)
{
	__attribute__((cleanup(clean_up))) int fd = image_directory(directory);
	struct ovm_rec_passed passed[2];
	SkPacketEntry *entry;
	uint32_t id;

	start_with_pair();
	connect_to(2, 3);
	connect_to(3, 2);
	/* 3 is on its way to 1; what waits in 2 has to be sent by 3, hence behind. */
	close_socket(3);
	pass(2, &passed[0], &m.files[MODEL_LOG]);
	pass(1, &passed[1], &s[3].file);
	ASSERT_OK(ovm_image_write(&m.set, fd));

	struct image_bytes image = image_open(directory, "sk-queues.img", 2);

	next_packet(&image, &entry);
	ASSERT_EQ_U64(entry->n_scm, 1);
	ASSERT_EQ_U64(entry->scm[0]->type, 1);
	ASSERT_EQ_U64(entry->scm[0]->n_rights, 1);
	id = entry->scm[0]->rights[0];
	sk_packet_entry__free_unpacked(entry, NULL);
	next_packet(&image, &entry);
	ASSERT_EQ_U64(entry->n_scm, 1);
	ASSERT_TRUE(entry->scm[0]->rights[0] && entry->scm[0]->rights[0] != id);
	sk_packet_entry__free_unpacked(entry, NULL);
	image_close(&image);

	/* It has an entry of its own. */
	image = image_open(directory, "files.img", 2);

	const uint8_t *record;
	bool found = false;
	size_t len;

	while ((record = image_record(&image, &len))) {
		FileEntry *file = file_entry__unpack(NULL, len, record);

		ASSERT_TRUE(file);
		if (file->id == id)
			found = file->usk && file->usk->ino == (uint32_t)(FIRST_INO + 3);
		file_entry__free_unpacked(file, NULL);
	}
	ASSERT_TRUE(found);
	image_close(&image);
}

OVM_TEST(image_sockets, describes_what_is_outside_first)
{
	__attribute__((cleanup(clean_up))) int fd = image_directory(directory);
	static const char *const externals[] = {"unix[500]", "unix[501]"};
	unsigned int nr = 0, nr_outside = 0;
	const uint8_t *record;
	size_t len;

	start();
	m.set.externals = externals;
	m.set.nr_externals = 2;
	connect_out(0, "\0name", 5);
	connect_out(1, "\0name", 5);
	s[0].rec.type = s[1].rec.type = DGRAM;
	ASSERT_OK(ovm_image_write(&m.set, fd));

	struct image_bytes image = image_open(directory, "files.img", 2);

	while ((record = image_record(&image, &len))) {
		FileEntry *entry = file_entry__unpack(NULL, len, record);

		ASSERT_TRUE(entry);
		if (entry->usk && entry->usk->uflags == 1) {
			ASSERT_TRUE(!nr && entry->usk->ino == 77 && entry->usk->name.len == 5);
			nr_outside++;
		} else if (entry->usk && nr++ < 2) {
			ASSERT_EQ_U64(entry->usk->peer, 77);
		}
		file_entry__free_unpacked(entry, NULL);
	}
	ASSERT_EQ_U64(nr_outside, 1);
	image_close(&image);
}
