// SPDX-License-Identifier: GPL-2.0-only
/* Terminals: what is refused, how they are described, how what waits in them is put back. */
#include "host/image/tty.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "image_model.h"
#include "image_read.h"
#include "proto/files.pb-c.h"
#include "proto/tty.pb-c.h"
#include "test.h"

enum { INDEX = 3, MASTER_FD = 10, SLAVE_FD = 11, OTHER = 77 };

static struct image_model m;
static char warnings[4096];

/* A pseudo-terminal, a file for each end. */
static struct {
	struct ovm_rec_tty rec;
	struct ovm_rec_file file;
	struct ovm_rec_fd fd;
	struct ovm_rec_tty_data flip;
	uint8_t ring[OVM_REC_TTY_RING], line_ends[OVM_REC_TTY_RING / 8];
} master, slave;

static void keep_warning(void *arg, const char *message)
{
	size_t used = strlen(warnings);

	(void)arg;
	snprintf(warnings + used, sizeof(warnings) - used, "%s\n", message);
}

static void init_end(struct ovm_rec_tty *rec, struct ovm_rec_file *file, struct ovm_rec_fd *fd,
		     uint64_t address)
{
	rec->tty = address;
	rec->driver_type = OVM_REC_TTY_PTY;
	rec->index = INDEX;
	rec->nr_files = rec->own_files = 1;
	rec->rows = 24;
	rec->columns = 80;
	*file = (struct ovm_rec_file){
		.file = address + 0x100,
		.kind = OVM_REC_FILE_TTY,
		.mode = S_IFCHR | 0620,
		.flags = 0100002,
		.nlink = 1,
		.reachable = 1,
		.uid = 5,
		.gid = 6,
		.tty = rec,
	};
	fd->file = file;
}

/* The settings that a new one has. */
static void set_lines(struct ovm_rec_termios *termios)
{
	static const uint8_t cc[OVM_REC_TTY_CC] = {3,  28, 127, 21, 4,	0,  1,	0,
						   17, 19, 26,	0,  18, 15, 23, 22};

	*termios = (struct ovm_rec_termios){
		.iflag = ICRNL | IXON,
		.oflag = OPOST | ONLCR,
		.cflag = B38400 | CS8 | CREAD,
		.lflag = ISIG | ICANON | IEXTEN | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE,
	};
	memcpy(termios->cc, cc, sizeof(cc));
}

static void start(void)
{
	image_model_init(&m);
	memset(&master, 0, sizeof(master));
	memset(&slave, 0, sizeof(slave));
	warnings[0] = '\0';
	m.set.warn = keep_warning;
	init_end(&master.rec, &master.file, &master.fd, 0xffff888000070000);
	init_end(&slave.rec, &slave.file, &slave.fd, 0xffff888000080000);
	strcpy(master.rec.name, "ptm3");
	strcpy(slave.rec.name, "pts3");
	master.rec.driver_subtype = OVM_REC_TTY_PTY_MASTER;
	slave.rec.driver_subtype = OVM_REC_TTY_PTY_SLAVE;
	master.rec.other = &slave.rec;
	slave.rec.other = &master.rec;
	master.file.path = image_model_bytes("/dev/ptmx");
	master.file.rdev_major = 5;
	master.file.rdev_minor = 2;
	slave.file.path = image_model_bytes("/dev/pts/3");
	slave.file.rdev_major = 136;
	slave.file.rdev_minor = INDEX;
	set_lines(&slave.rec.termios);
	master.fd.fd = MASTER_FD;
	slave.fd.fd = SLAVE_FD;
	m.fds[MODEL_NR_FDS - 1].next = &master.fd;
	master.fd.next = &slave.fd;
}

/* Bytes that wait, across the end of the ring; "|" is an end of file, if @lines are counted. */
static void hold(struct ovm_rec_tty *rec, uint8_t *ring, uint8_t *line_ends, const char *bytes,
		 size_t len)
{
	rec->ring = (struct ovm_rec_bytes){ring, OVM_REC_TTY_RING};
	rec->line_ends = (struct ovm_rec_bytes){line_ends, OVM_REC_TTY_RING / 8};
	rec->input_pos = 5 * OVM_REC_TTY_RING - 2;
	rec->input_len = (uint32_t)len;
	rec->input_lines = 0;
	memset(line_ends, 0, OVM_REC_TTY_RING / 8);
	for (size_t i = 0; i < len; i++) {
		size_t place = (rec->input_pos + i) % OVM_REC_TTY_RING;
		bool end = bytes[i] == '\n' || bytes[i] == '|';

		ring[place] = bytes[i] == '|' ? 0 : (uint8_t)bytes[i];
		if (!(rec->termios.lflag & ICANON) || !end)
			continue;
		line_ends[place / 8] |= (uint8_t)(1 << place % 8);
		rec->input_lines = (uint32_t)i + 1;
	}
}

#define HOLD(end, text) hold(&(end).rec, (end).ring, (end).line_ends, text, sizeof(text) - 1)

/* What is written for the slave to have what it has, and for the master. */
static void check_contents(const char *for_slave, size_t slave_len, const char *for_master,
			   size_t master_len)
{
	struct ovm_image_tty_content to_slave, to_master;

	ASSERT_OK(ovm_image_tty_contents(&master.rec, &to_slave, &to_master));
	if (for_slave) {
		ASSERT_TRUE(!to_slave.problem);
		ASSERT_EQ_U64(to_slave.len, slave_len);
		ASSERT_TRUE(!slave_len || !memcmp(to_slave.bytes, for_slave, slave_len));
	} else {
		ASSERT_TRUE(to_slave.problem);
	}
	if (for_master) {
		ASSERT_TRUE(!to_master.problem);
		ASSERT_EQ_U64(to_master.len, master_len);
		ASSERT_TRUE(!master_len || !memcmp(to_master.bytes, for_master, master_len));
	} else {
		ASSERT_TRUE(to_master.problem);
	}
	ovm_image_tty_content_deinit(&to_slave);
	ovm_image_tty_content_deinit(&to_master);
}

#define ASSERT_CONTENTS(for_slave, for_master) \
	check_contents(for_slave, sizeof(for_slave) - 1, for_master, sizeof(for_master) - 1)
#define ASSERT_NO_INPUT()  check_contents(NULL, 0, "", 0)
#define ASSERT_NO_OUTPUT() check_contents("", 0, NULL, 0)

#define ASSERT_REFUSED(text) ASSERT_ERROR(ovm_image_check(&m.set), OVM_ERROR_NOT_DUMPABLE, text)

#define ASSERT_WARNED(text)                                                    \
	do {                                                                   \
		ASSERT_OK(ovm_image_check(&m.set));                            \
		if (!strstr(warnings, (text)))                                 \
			OVM_FAIL("no warning of %s, but: %s", text, warnings); \
	} while (0)

OVM_TEST(image_ttys, input_is_what_becomes_it)
{
	start();
	slave.rec.termios.lflag &= ~(uint32_t)ECHO;
	HOLD(slave, "line\nend|\x03\x16\x7f\r\xe4|half");
	ASSERT_CONTENTS("line\nend\x04\x16\x03\x16\x16\x16\x7f\x16\r\xe4\x04half", "");
	slave.flip.bytes = image_model_bytes("\x03\r");
	slave.rec.flip = &slave.flip;
	HOLD(slave, "\n");
	ASSERT_CONTENTS("\n\x03\r", "");
	/* A line feed within a line, and a line's end that is none: both were there before lines.
	 */
	slave.rec.flip = NULL;
	HOLD(slave, "a\nb");
	memset(slave.line_ends, 0, sizeof(slave.line_ends));
	slave.line_ends[0] = 1;
	slave.rec.input_lines = 3;
	ASSERT_CONTENTS("a\x16\nb\x04", "");
}

/* Each line feed is quoted, by a line feed, and all of them are echoed with a carriage return. */
OVM_TEST(image_ttys, an_echo_may_be_longer_than_what_is_written)
{
	static char feeds[OVM_REC_TTY_RING];
	struct ovm_image_tty_content to_slave, to_master;

	start();
	memset(feeds, '\n', sizeof(feeds));
	slave.rec.termios.cc[VLNEXT] = '\n';
	hold(&slave.rec, slave.ring, slave.line_ends, feeds, sizeof(feeds));
	memset(slave.line_ends, 0, sizeof(slave.line_ends));
	slave.rec.input_lines = 0;
	ASSERT_OK(ovm_image_tty_contents(&master.rec, &to_slave, &to_master));
	ovm_image_tty_content_deinit(&to_slave);
	ovm_image_tty_content_deinit(&to_master);
}

OVM_TEST(image_ttys, input_that_would_change_has_none)
{
	start();
	slave.rec.termios.lflag = ISIG;
	HOLD(slave, "\x04\n\x7f");
	ASSERT_CONTENTS("\x04\n\x7f", "");
	HOLD(slave, "\x03");
	ASSERT_NO_INPUT();
	slave.rec.termios.lflag = 0;
	HOLD(slave, "\x03\x11");
	ASSERT_NO_INPUT();
	slave.rec.termios.iflag = ICRNL;
	HOLD(slave, "\x03\x11\r");
	ASSERT_NO_INPUT();
	slave.rec.termios.iflag = ICRNL | INLCR;
	HOLD(slave, "\r\n");
	ASSERT_CONTENTS("\n\r", "");
	slave.rec.termios.iflag = ISTRIP;
	HOLD(slave, "\xe4");
	ASSERT_NO_INPUT();
	slave.rec.termios.iflag = PARMRK;
	HOLD(slave, "a\xff\xff");
	ASSERT_CONTENTS("a\xff", "");
	HOLD(slave, "a\xff");
	ASSERT_NO_INPUT();
	slave.rec.termios.iflag = 0;
	slave.rec.discipline = 5;
	ASSERT_NO_INPUT();
}

OVM_TEST(image_ttys, output_is_what_becomes_it)
{
	start();
	HOLD(master, "a\r\r\n\r\nb\r");
	ASSERT_CONTENTS("", "a\r\n\nb\r");
	HOLD(master, "a\n");
	ASSERT_NO_OUTPUT();
	slave.rec.termios.oflag |= OCRNL;
	ASSERT_CONTENTS("", "a\r");
	HOLD(master, "a\r");
	ASSERT_NO_OUTPUT();
	slave.rec.termios.oflag = ONLCR;
	ASSERT_CONTENTS("", "a\r");
	slave.rec.termios.oflag = OPOST | XTABS;
	HOLD(master, "a\n");
	ASSERT_CONTENTS("", "a\n");
	HOLD(master, "\t");
	ASSERT_NO_OUTPUT();
}

OVM_TEST(image_ttys, an_echo_is_left_to_the_kernel)
{
	start();
	HOLD(slave, "ls\n|x");
	HOLD(master, "$ ls\r\nx");
	ASSERT_CONTENTS("ls\n\x04x", "$ ");
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
	HOLD(master, "$ l");
	ASSERT_CONTENTS("ls\n\x04x", "$ l");
	ASSERT_WARNED("fd 11: terminal (/dev/pts/3) has input that was echoed already");
}

OVM_TEST(image_ttys, refuses_what_is_open_elsewhere)
{
	start();
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
	slave.rec.nr_files = 2;
	ASSERT_REFUSED("fd 10: terminal (pts3) is open elsewhere as well, though in no process");
	slave.rec.holder = (struct ovm_rec_holder){OTHER, "less"};
	ASSERT_REFUSED("fd 10: terminal (pts3) is open in process 77 (less) as well");
	start();
	master.file.holder = (struct ovm_rec_holder){OTHER, "sshd"};
	ASSERT_REFUSED("fd 10: terminal (/dev/ptmx) is open in process 77 (sshd) as well");
}

OVM_TEST(image_ttys, a_terminal_outside_takes_an_option)
{
	start();
	m.fds[MODEL_NR_FDS - 1].next = &slave.fd;
	master.rec.holder = (struct ovm_rec_holder){OTHER, "sshd"};
	slave.file.holder = (struct ovm_rec_holder){OTHER + 1, "bash"};
	slave.rec.nr_files = 5;
	ASSERT_REFUSED(
		"fd 11: terminal (/dev/pts/3) has its other end outside of what is saved, in "
		"process 77 (sshd): dump with --shell-job");
	m.set.shell_job = true;
	ASSERT_OK(ovm_image_check(&m.set));
	HOLD(slave, "x");
	ASSERT_WARNED("has input that was not read yet");
	slave.fd.next = &master.fd;
	master.fd.next = NULL;
	master.file = slave.file;
	master.file.file++;
	ASSERT_REFUSED("fd 10: terminal (/dev/pts/3) was opened more than once");
}

OVM_TEST(image_ttys, knows_whose_a_controlling_terminal_is)
{
	start();
	m.process.sid = m.process.pid;
	m.process.tty = &slave.rec;
	slave.rec.session = m.process.pid;
	slave.rec.pgrp = m.process.pgid;
	ASSERT_OK(ovm_image_check(&m.set));
	slave.rec.pgrp = OTHER;
	ASSERT_REFUSED("has the foreground group 77, of which no process");
	slave.rec.session = OTHER;
	ASSERT_REFUSED("fd 10: terminal (pts3) is that of session 77, whose leader is not saved");
	m.fds[MODEL_NR_FDS - 1].next = NULL;
	ASSERT_REFUSED("leads the session of a terminal (pts3)");
	m.process.sid = OTHER;
	ASSERT_REFUSED("belongs to a terminal (pts3) and session");
	m.set.shell_job = true;
	ASSERT_OK(ovm_image_check(&m.set));
}

OVM_TEST(image_ttys, refuses_what_criu_loses)
{
	start();
	master.file.hung_up = 1;
	ASSERT_REFUSED("fd 10: terminal (/dev/ptmx) was hung up");
	start();
	slave.file.rdev_major = 4;
	slave.file.rdev_minor = 64;
	ASSERT_REFUSED("fd 11: terminal (/dev/pts/3) is of a kind that CRIU can't restore");
	start();
	slave.rec.index = master.rec.index = 1001;
	ASSERT_REFUSED("fd 11: terminal (/dev/pts/3) has an index");
	start();
	slave.rec.discipline = 2;
	ASSERT_REFUSED("another line discipline");
	start();
	master.rec.other_closed = 1;
	ASSERT_REFUSED("fd 10: terminal (/dev/ptmx) tells that its slave was closed");
	start();
	master.file.owner_pid = m.process.pid;
	master.file.owner_pid_type = 1;
	ASSERT_REFUSED("F_SETOWN");
	start();
	master.fd.next = NULL;
	slave.rec.nr_files = slave.rec.own_files = 0;
	slave.rec.termios.lflag = 0;
	HOLD(slave, "x");
	ASSERT_REFUSED("has input for its slave, which nobody has open");
	start();
	slave.file.flags = 0;
	HOLD(master, "x");
	ASSERT_REFUSED("fd 10: terminal (/dev/ptmx) holds what CRIU can't write back");
}

OVM_TEST(image_ttys, refuses_more_files_than_it_compares)
{
	static struct ovm_rec_file files[OVM_IMAGE_TTY_FILES_MAX];
	static struct ovm_rec_fd fds[OVM_IMAGE_TTY_FILES_MAX];

	start();
	slave.rec.nr_files = slave.rec.own_files = OVM_IMAGE_TTY_FILES_MAX;
	for (int i = 0; i < OVM_IMAGE_TTY_FILES_MAX; i++) {
		files[i] = slave.file;
		files[i].file += (uint64_t)i + 1;
		fds[i] = (struct ovm_rec_fd){.fd = SLAVE_FD + i, .file = &files[i]};
		fds[i].next = i + 1 < OVM_IMAGE_TTY_FILES_MAX ? &fds[i + 1] : NULL;
	}
	master.fd.next = &fds[1];
	ASSERT_OK(ovm_image_check(&m.set));
	master.fd.next = &fds[0];
	ASSERT_REFUSED("has more than 4096 files of terminals open");
}

OVM_TEST(image_ttys, takes_a_slave_that_hung_up)
{
	start();
	m.fds[MODEL_NR_FDS - 1].next = &slave.fd;
	slave.file.hung_up = slave.file.unlinked = 1;
	slave.rec.discipline = -1;
	ASSERT_OK(ovm_image_check(&m.set));
	ASSERT_STREQ(warnings, "");
	slave.fd.next = &master.fd;
	master.fd.next = NULL;
	master.file = slave.file;
	master.file.file++;
	master.file.hung_up = master.file.unlinked = 0;
	master.rec.index = INDEX;
	master.rec.driver_subtype = OVM_REC_TTY_PTY_SLAVE;
	master.file.tty = &master.rec;
	ASSERT_REFUSED("fd 10: terminal (/dev/pts/3) can't be told from another one");
}

OVM_TEST(image_ttys, warns_of_what_criu_loses)
{
	start();
	slave.rec.exclusive = 1;
	ASSERT_WARNED("fd 11: terminal (/dev/pts/3) is in exclusive mode");
	start();
	slave.rec.stopped = 1;
	ASSERT_WARNED("is stopped");
	start();
	master.rec.packet = 1;
	slave.rec.packet_status = 1;
	ASSERT_WARNED("fd 10: terminal (/dev/ptmx) has a packet");
	start();
	master.rec.index = slave.rec.index = 40;
	ASSERT_WARNED("has a high number");
}

static char directory[64];

#define WITH_DIRECTORY(name)                   \
	int name = image_directory(directory); \
	ASSERT_TRUE(name >= 0)

static ProtobufCMessage *message(const char *image, const ProtobufCMessageDescriptor *descriptor,
				 int nr)
{
	struct image_bytes bytes = image_open(directory, image, 2);
	const uint8_t *record = NULL;
	size_t len = 0;

	if (!bytes.data)
		return NULL;
	for (int i = 0; i <= nr; i++)
		record = image_record(&bytes, &len);
	ProtobufCMessage *ret =
		record ? protobuf_c_message_unpack(descriptor, NULL, len, record) : NULL;

	image_close(&bytes);
	return ret;
}

OVM_TEST(image_ttys, both_ends_are_described_the_master_first)
{
	start();
	master.fd.fd = SLAVE_FD;
	slave.fd.fd = MASTER_FD;
	m.fds[MODEL_NR_FDS - 1].next = &slave.fd;
	slave.fd.next = &master.fd;
	master.fd.next = NULL;
	master.rec.packet = master.rec.locked = 1;
	master.rec.columns = 0;
	slave.rec.termios_locked.cc[17] = 9;
	HOLD(slave, "in\n");
	slave.rec.termios.lflag &= ~(uint32_t)ECHO;
	HOLD(master, "out");
	WITH_DIRECTORY(dir_fd);
	ASSERT_OK(ovm_image_write(&m.set, dir_fd));
	close(dir_fd);

	TtyInfoEntry *first =
		(TtyInfoEntry *)message("tty-info.img", &tty_info_entry__descriptor, 0);
	TtyInfoEntry *second =
		(TtyInfoEntry *)message("tty-info.img", &tty_info_entry__descriptor, 1);
	TtyDataEntry *out = (TtyDataEntry *)message("tty-data.img", &tty_data_entry__descriptor, 0);
	TtyDataEntry *in = (TtyDataEntry *)message("tty-data.img", &tty_data_entry__descriptor, 1);

	ASSERT_TRUE(first && second && out && in);
	ASSERT_EQ_U64(first->id, 2 * INDEX + 1);
	ASSERT_EQ_U64(first->type, 1);
	ASSERT_EQ_U64(first->rdev, 0x502);
	ASSERT_TRUE(first->packet_mode && first->locked);
	ASSERT_EQ_U64(first->pty->index, INDEX);
	ASSERT_EQ_U64(first->termios->c_lflag, slave.rec.termios.lflag);
	ASSERT_EQ_U64(first->termios->n_c_cc, 19);
	ASSERT_EQ_U64(first->winsize->ws_col, 80);
	ASSERT_EQ_U64(first->termios->c_cc[0], 0x157f1c03);
	ASSERT_EQ_U64(first->termios_locked->c_cc[4], 0);
	ASSERT_EQ_U64(second->termios_locked->c_cc[4], 0x900);
	ASSERT_EQ_U64(second->id, 2 * INDEX);
	ASSERT_EQ_U64(second->rdev, 0x8803);
	ASSERT_EQ_U64(second->winsize->ws_col, 80);
	ASSERT_EQ_U64(second->uid, 5);
	ASSERT_EQ_U64(out->tty_id, first->id);
	ASSERT_TRUE(out->data.len == 3 && !memcmp(out->data.data, "out", 3));
	ASSERT_EQ_U64(in->tty_id, second->id);
	ASSERT_TRUE(in->data.len == 3 && !memcmp(in->data.data, "in\n", 3));
	protobuf_c_message_free_unpacked(&first->base, NULL);
	protobuf_c_message_free_unpacked(&second->base, NULL);
	protobuf_c_message_free_unpacked(&out->base, NULL);
	protobuf_c_message_free_unpacked(&in->base, NULL);
	image_directory_remove(directory);
}
