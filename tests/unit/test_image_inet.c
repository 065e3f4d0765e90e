// SPDX-License-Identifier: GPL-2.0-only
/* Sockets of IPv4 and IPv6: what is refused and warned of, and what is written of connections. */
#include "host/image/image.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "image_model.h"
#include "image_read.h"
#include "proto/files.pb-c.h"
#include "proto/tcp-stream.pb-c.h"
#include "test.h"

enum {
	FD = 10,
	INO = 0xabc,
	STREAM = 1,
	DGRAM = 2,
	RAW = 3,
	ESTABLISHED = 1,
	SYN_SENT = 2,
	FIN_WAIT1 = 4,
	FIN_WAIT2 = 5,
	CLOSE = 7,
	CLOSE_WAIT = 8,
	LISTEN = 10,
	TCP = 6,
	UDP = 17,
};

static struct image_model m;
static char warnings[4096], directory[64];
static struct ovm_rec_file file;
static struct ovm_rec_socket rec;
static struct ovm_rec_inet inet;
static struct ovm_rec_tcp tcp;
static struct ovm_rec_fd fd;
static struct ovm_rec_packet in, out;
static struct ovm_rec_piece in_piece, out_piece;

static void keep_warning(void *arg, const char *message)
{
	size_t used = strlen(warnings);

	(void)arg;
	snprintf(warnings + used, sizeof(warnings) - used, "%s\n", message);
}

static void start(void)
{
	image_model_init(&m);
	warnings[0] = '\0';
	m.set.warn = keep_warning;
	tcp = (struct ovm_rec_tcp){.keepidle = 7200, .keepintvl = 75, .keepcnt = 9};
	inet = (struct ovm_rec_inet){.src_port = 80, .src = {10, 0, 0, 1}, .tcp = &tcp};
	rec = (struct ovm_rec_socket){
		.sk = 0xffff888000060000,
		.net = m.process.ns.net,
		.family = 2,
		.type = STREAM,
		.protocol = TCP,
		.state = LISTEN,
		.max_backlog = 5,
		.opts = {.sndbuf = 1000, .rcvbuf = 2000, .rcvlowat = 1, .peek_off = -1},
		.inet = &inet,
	};
	file = (struct ovm_rec_file){
		.file = 0xffff888000050000,
		.kind = OVM_REC_FILE_SOCKET,
		.flags = 2,
		.ino = INO,
		.nlink = 1,
		.socket = &rec,
		.nr_fds = 1,
		.path = image_model_bytes("TCP"),
	};
	fd = (struct ovm_rec_fd){.fd = FD, .file = &file};
	m.fds[MODEL_NR_FDS - 1].next = &fd;
}

/* With 3 bytes to be read, 2 to be acknowledged and 2 to be sent. */
static void start_connected(void)
{
	start();
	in_piece = (struct ovm_rec_piece){.bytes = image_model_bytes("abc")};
	in = (struct ovm_rec_packet){.pieces = &in_piece, .len = 3};
	out_piece = (struct ovm_rec_piece){.bytes = image_model_bytes("wxyz")};
	out = (struct ovm_rec_packet){.pieces = &out_piece, .len = 4};
	m.set.tcp_established = true;
	rec.state = ESTABLISHED;
	rec.packets = &in;
	inet.dst_port = 4000;
	memcpy(inet.dst, (uint8_t[]){10, 0, 0, 2}, 4);
	tcp.copied_seq = 0xfffffffe;
	tcp.rcv_nxt = 1;
	tcp.rcv_wup = 1;
	tcp.rcv_wnd = 100;
	tcp.snd_wl1 = 1;
	tcp.snd_una = 70;
	tcp.snd_nxt = 72;
	tcp.write_seq = 74;
	tcp.in_len = 3;
	tcp.out_len = 4;
	tcp.sent = &out;
	tcp.mss_clamp = 1460;
	tcp.timestamps = 1;
	tcp.tsoffset = 10;
}

#define ASSERT_REFUSED(text) ASSERT_ERROR(ovm_image_check(&m.set), OVM_ERROR_NOT_DUMPABLE, text)

#define ASSERT_WARNED(text)                                                    \
	do {                                                                   \
		ASSERT_OK(ovm_image_check(&m.set));                            \
		if (!strstr(warnings, (text)))                                 \
			OVM_FAIL("no warning of %s, but: %s", text, warnings); \
	} while (0)

OVM_TEST(image_inet, takes_what_is_not_connected)
{
	start();
	ASSERT_OK(ovm_image_check(&m.set));
	rec.state = CLOSE;
	ASSERT_OK(ovm_image_check(&m.set));
	inet.tcp = NULL;
	rec.type = DGRAM;
	rec.protocol = UDP;
	ASSERT_OK(ovm_image_check(&m.set));
	rec.type = RAW;
	rec.protocol = 1;
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
}

OVM_TEST(image_inet, refuses_connections_unless_asked_for)
{
	start_connected();
	ASSERT_OK(ovm_image_check(&m.set));
	m.set.tcp_established = false;
	ASSERT_REFUSED("fd 10: TCP socket (inode 2748, 10.0.0.1:80) is connected to "
		       "10.0.0.2:4000: saved only with --tcp-established");
	rec.state = CLOSE;
	ASSERT_REFUSED("was connected to 10.0.0.2:4000");
	start_connected();
	rec.state = SYN_SENT;
	ASSERT_REFUSED("is just being connected to 10.0.0.2:4000: try again");
	start();
	tcp.nr_connections = 2;
	ASSERT_REFUSED("listens, and 2 connections wait to be accepted");
	start();
	file.holder = (struct ovm_rec_holder){77, "cat"};
	ASSERT_REFUSED("is open in process 77 (cat) as well");
}

OVM_TEST(image_inet, refuses_what_contradicts_itself)
{
	start_connected();
	tcp.in_len = 2;
	ASSERT_REFUSED("contradict each other");
	start_connected();
	tcp.write_seq++;
	ASSERT_REFUSED("contradict each other");
	start_connected();
	tcp.snd_nxt = 60;
	ASSERT_REFUSED("contradict each other");
	/* A FIN takes a number, and its state says so. */
	start_connected();
	tcp.fin_queued = 1;
	tcp.write_seq++;
	ASSERT_REFUSED("contradict each other");
	rec.state = FIN_WAIT1;
	ASSERT_OK(ovm_image_check(&m.set));
	start_connected();
	tcp.rcv_nxt++;
	tcp.rcv_wup++;
	ASSERT_REFUSED("contradict each other");
	rec.state = CLOSE_WAIT;
	ASSERT_OK(ovm_image_check(&m.set));
	start_connected();
	tcp.rcv_wup++;
	ASSERT_REFUSED("has a window that can't be set again");
}

OVM_TEST(image_inet, refuses_what_criu_would_lose)
{
	const struct {
		uint8_t *flag;
		const char *text;
	} flags[] = {
		{&tcp.layered, "TCP_ULP"},     {&tcp.authenticated, "TCP_MD5SIG"},
		{&tcp.multipath, "Multipath"}, {&tcp.urgent, "MSG_OOB"},
		{&tcp.opening, "Fast Open"},   {&tcp.repair, "TCP_REPAIR"},
		{&inet.chooses, "chooses"},
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		start_connected();
		*flags[i].flag = 1;
		ASSERT_REFUSED(flags[i].text);
	}
	start();
	rec.type = DGRAM;
	rec.protocol = 1;
	ASSERT_REFUSED("is of type 2 and protocol 1");
	start();
	rec.type = DGRAM;
	rec.protocol = UDP;
	rec.state = CLOSE;
	inet.tcp = NULL;
	inet.corked = 1;
	ASSERT_REFUSED("UDP_CORK");
	inet.corked = 0;
	inet.nr_waiting = 3;
	inet.lost = OVM_REC_LOST_TOS | OVM_REC_LOST_CMSG;
	ASSERT_WARNED("has 3 messages that were not read yet");
	ASSERT_WARNED("has IP_TOS, options such as IP_PKTINFO, which CRIU does not restore");
}

static void clean_up(int *dir_fd)
{
	if (*dir_fd >= 0)
		close(*dir_fd);
	image_directory_remove(directory);
}

static TcpStreamEntry *read_stream(struct image_bytes *image)
{
	size_t len;
	const uint8_t *record;

	*image = image_open(directory, "tcp-stream-abc.img", 2);
	record = image->data ? image_record(image, &len) : NULL;
	return record ? tcp_stream_entry__unpack(NULL, len, record) : NULL;
}

OVM_TEST(image_inet, writes_connections)
{
	__attribute__((cleanup(clean_up))) int dir_fd = image_directory(directory);
	struct image_bytes image;

	start_connected();
	m.set.clock_monotonic = UINT64_C(5000000001);
	ASSERT_OK(ovm_image_write(&m.set, dir_fd));
	TcpStreamEntry *entry = read_stream(&image);

	ASSERT_TRUE(entry);
	ASSERT_EQ_U64(entry->inq_len, 3);
	ASSERT_EQ_U64(entry->inq_seq, 1);
	ASSERT_EQ_U64(entry->outq_len, 4);
	ASSERT_EQ_U64(entry->outq_seq, 74);
	ASSERT_EQ_U64(entry->unsq_len, 2);
	ASSERT_EQ_U64(entry->opt_mask, 1);
	/* Rounded up: the lowest bit has a meaning of its own. */
	ASSERT_EQ_U64(entry->timestamp, 5010);
	ASSERT_TRUE(!memcmp(image.data + image.pos, "abcwxyz", 7));
	ASSERT_EQ_U64(image.len - image.pos, 7);
	tcp_stream_entry__free_unpacked(entry, NULL);
	image_close(&image);
}

OVM_TEST(image_inet, leaves_the_end_of_a_stream_to_its_state)
{
	__attribute__((cleanup(clean_up))) int dir_fd = image_directory(directory);
	struct image_bytes image;

	start_connected();
	rec.state = FIN_WAIT1;
	tcp.fin_queued = 1;
	tcp.write_seq++;
	tcp.timestamps = 0;
	ASSERT_OK(ovm_image_write(&m.set, dir_fd));
	TcpStreamEntry *entry = read_stream(&image);

	ASSERT_TRUE(entry);
	ASSERT_EQ_U64(entry->outq_len, 4);
	ASSERT_EQ_U64(entry->outq_seq, 75);
	ASSERT_EQ_U64(entry->unsq_len, 2);
	ASSERT_FALSE(entry->has_timestamp);
	tcp_stream_entry__free_unpacked(entry, NULL);
	image_close(&image);
}
