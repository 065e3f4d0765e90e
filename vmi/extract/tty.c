// SPDX-License-Identifier: GPL-2.0-only
/*
 * Terminals: settings, session, and what waits to be read.
 *
 * What was written to a terminal is first in the flip buffers of its port, a list of struct
 * tty_buffer: the bytes from read to used of each.  Where no byte has a flag, as with ptys, the
 * room of the flags is theirs too: twice the size.  A worker hands them to the line discipline, as
 * far as that has room.  N_TTY keeps them in a ring, n_tty_data.read_buf, from read_tail to
 * read_head, which are not reduced to its size; in canonical mode, read_flags marks the ends of
 * lines, of which the last one is before canon_head.  What a pty's master writes is read from the
 * slave, and the other way round.
 */
#include <linux/tty.h>
#include <linux/tty_driver.h>
#include <linux/tty_port.h>

#include "extract.h"

/* Private to drivers/tty/n_tty.c. */
struct n_tty_data___ovm {
	u64 read_head, canon_head, read_tail;
	u64 echo_head, echo_tail;
	unsigned char read_buf[4096];
	unsigned long read_flags[64];
	struct mutex output_lock;
};

/* 6e94dbc7a4e4 ("tty: cumulate and document tty_struct::ctrl* members", v5.14), and the one for
 * flow: single members before. */
struct tty_struct___single {
	spinlock_t ctrl_lock;
	struct pid *pgrp, *session;
	unsigned long ctrl_status, packet, stopped;
};

struct tty_driver___ovm {
	int type, subtype;
};

/* By v6.17, the numbers of flags are enumerators, and others. */
#define TTY_BIT(name, before)                                                      \
	((unsigned int)(llv_enum_exists(enum tty_struct_flags, name)               \
				? llv_enum_value(enum tty_struct_flags, name) & 63 \
				: (before)))

enum {
	/* Numbers of TTY_* flags when they had no enumeration. */
	BIT_OTHER_CLOSED = 2,
	BIT_EXCLUSIVE = 3,
	BIT_PTY_LOCK = 16,
	MAX_TTY_FILES = 1 << 20,
	/* Ptys take 8 KiB, other drivers 64 KiB. */
	MAX_FLIP_BUFFERS = 1024,
	MAX_FLIP_BYTES = 128 << 10,
};

LLV_SHARED bool ovm_file_is_tty(const struct file *file)
{
	u64 f_op = OVM_IDENTITY(file->f_op);

	return f_op &&
	       (f_op == llv_symbol("tty_fops") || f_op == llv_symbol("ptmx_fops") ||
		f_op == llv_symbol("console_fops") || f_op == llv_symbol("hung_up_tty_fops"));
}

static const struct tty_struct *tty_of(const struct file *file)
{
	const struct tty_file_private *priv = file->private_data;

	return ovm_file_is_tty(file) && priv ? priv->tty : NULL;
}

static bool has_ctrl(void)
{
	return llv_field_exists(struct tty_struct, ctrl);
}

static void termios(const struct ktermios *from, struct ovm_rec_termios __host *to)
{
	to->iflag = from->c_iflag;
	to->oflag = from->c_oflag;
	to->cflag = from->c_cflag;
	to->lflag = from->c_lflag;
	to->line = from->c_line;
	llv_copy(to->cc, from->c_cc);
}

static void control(const struct tty_struct *tty, struct ovm_rec_tty __host *rec)
{
	const struct tty_struct___single *old = (const void *)tty;

	if (has_ctrl()) {
		rec->session = ovm_pid_nr(tty->ctrl.session);
		rec->pgrp = ovm_pid_nr(tty->ctrl.pgrp);
		rec->packet = tty->ctrl.packet;
		rec->packet_status = tty->ctrl.pktstatus;
	} else {
		rec->session = ovm_pid_nr(old->session);
		rec->pgrp = ovm_pid_nr(old->pgrp);
		rec->packet = old->packet;
		rec->packet_status = (u8)old->ctrl_status;
	}
	rec->stopped = llv_field_exists(struct tty_struct, flow) ? tty->flow.stopped : old->stopped;
}

static void state(const struct tty_struct *tty, struct ovm_rec_tty __host *rec)
{
	const struct tty_driver___ovm *driver = (const void *)tty->driver;
	unsigned long flags = tty->flags;

	rec->tty = OVM_IDENTITY(tty);
	rec->driver_type = driver->type;
	rec->driver_subtype = driver->subtype;
	rec->index = tty->index;
	llv_strcpy(rec->name, tty->name);
	rec->other_closed = flags >> TTY_BIT(TTY_OTHER_CLOSED, BIT_OTHER_CLOSED) & 1;
	rec->exclusive = flags >> TTY_BIT(TTY_EXCLUSIVE, BIT_EXCLUSIVE) & 1;
	rec->locked = flags >> TTY_BIT(TTY_PTY_LOCK, BIT_PTY_LOCK) & 1;
	termios(&tty->termios, &rec->termios);
	termios(&tty->termios_locked, &rec->termios_locked);
	rec->rows = tty->winsize.ws_row;
	rec->columns = tty->winsize.ws_col;
	rec->xpixel = tty->winsize.ws_xpixel;
	rec->ypixel = tty->winsize.ws_ypixel;
	control(tty, rec);
}

/* What the line discipline has; of others than N_TTY nothing is known. */
static void discipline(const struct tty_struct *tty, struct ovm_rec_tty __host *rec)
{
	const struct tty_ldisc *ldisc = tty->ldisc;
	const struct n_tty_data___ovm *data = tty->disc_data;

	rec->discipline = ldisc ? ldisc->ops->num : -1;
	if (rec->discipline != N_TTY || !data)
		return;
	u64 head = data->read_head, tail = data->read_tail, canon = data->canon_head;

	/* Without lines, the end of the last one means nothing. */
	if (!(rec->termios.lflag & ICANON))
		canon = tail;
	if (head - tail > OVM_REC_TTY_RING || canon - tail > head - tail)
		llv_fail(LLV_CORRUPT, data, "positions in a terminal's buffer are out of range");
	rec->echoes = data->echo_head != data->echo_tail;
	rec->input_pos = tail;
	rec->input_len = (u32)(head - tail);
	rec->input_lines = (u32)(canon - tail);
	if (head == tail)
		return;
	llv_bytes(&rec->ring, data->read_buf, OVM_REC_TTY_RING);
	llv_bytes(&rec->line_ends, data->read_flags, OVM_REC_TTY_RING / 8);
}

static void flip_buffers(const struct tty_struct *tty, struct ovm_rec_tty __host *rec)
{
	struct ovm_rec_tty_data __host *__host *link = &rec->flip;
	const struct tty_port *port = tty->port;
	const struct tty_buffer *buffer = port ? port->buf.head : NULL;

	for (unsigned int nr = 0; buffer; buffer = buffer->next) {
		u32 size = buffer->size, used = buffer->used, read = buffer->read;

		if (++nr > MAX_FLIP_BUFFERS || size > MAX_FLIP_BYTES || used > 2 * size ||
		    read > used)
			llv_fail(LLV_CORRUPT, buffer, "buffer of a terminal is out of range");
		if (read == used)
			continue;
		struct ovm_rec_tty_data __host *data = llv_new(struct ovm_rec_tty_data);
		/* Of bytes by 6.12, of words before. */
		const u8 *content = (const u8 *)buffer + llv_offsetof(struct tty_buffer, data);

		llv_bytes(&data->bytes, content + read, used - read);
		*link = data;
		link = &data->next;
		rec->nr_flip += used - read;
		if (rec->nr_flip > MAX_FLIP_BYTES)
			llv_fail(LLV_CORRUPT, buffer, "buffers of a terminal have no end");
	}
}

static void count_files(const struct tty_struct *tty, struct ovm_rec_tty __host *rec)
{
	const struct tty_file_private *priv;

	list_for_each_entry(priv, &tty->tty_files, list)
		if (++rec->nr_files > MAX_TTY_FILES)
			llv_fail(LLV_CORRUPT, tty, "list of a terminal's files does not end");
}

static struct ovm_rec_tty __host *one(struct ovm_files __host *files, const struct tty_struct *tty)
{
	struct ovm_rec_tty __host *rec = llv_new(struct ovm_rec_tty);
	struct ovm_rec_tty __host *__host *bucket =
		&files->ttys[OVM_FILE_BUCKET(OVM_IDENTITY(tty))];

	state(tty, rec);
	discipline(tty, rec);
	flip_buffers(tty, rec);
	count_files(tty, rec);
	rec->next = *bucket;
	*bucket = rec;
	return rec;
}

LLV_SHARED struct ovm_rec_tty __host *ovm_tty_find(struct ovm_files __host *files, __u64 identity)
{
	struct ovm_rec_tty __host *rec = files->ttys[OVM_FILE_BUCKET(identity)];

	while (rec && rec->tty != identity)
		rec = rec->next;
	return rec;
}

LLV_SHARED struct ovm_rec_tty __host *ovm_tty(struct ovm_files __host *files,
					      const struct tty_struct *tty)
{
	struct ovm_rec_tty __host *rec = ovm_tty_find(files, OVM_IDENTITY(tty));
	const struct tty_struct *other;

	if (rec)
		return rec;
	rec = one(files, tty);
	other = tty->link;
	if (!other)
		return rec;
	if (other->link != tty || other == tty || ovm_tty_find(files, OVM_IDENTITY(other)))
		llv_fail(LLV_CORRUPT, tty, "the ends of a pseudo-terminal don't belong together");
	rec->other = one(files, other);
	rec->other->other = rec;
	return rec;
}

LLV_SHARED struct ovm_rec_tty __host *ovm_file_tty(struct ovm_files __host *files,
						   const struct file *file)
{
	const struct tty_struct *tty = tty_of(file);
	struct ovm_rec_tty __host *rec;

	if (!tty)
		return NULL;
	rec = ovm_tty(files, tty);
	rec->own_files++;
	return rec;
}

LLV_SHARED struct ovm_rec_tty __host *ovm_file_tty_find(struct ovm_files __host *files,
							const struct file *file)
{
	const struct tty_struct *tty = tty_of(file);

	return tty ? ovm_tty_find(files, OVM_IDENTITY(tty)) : NULL;
}

LLV_SHARED bool ovm_file_is_hung_up(const struct file *file)
{
	return OVM_IDENTITY(file->f_op) == llv_symbol("hung_up_tty_fops");
}

LLV_SHARED const struct tty_struct *ovm_tty_of(const struct file *file)
{
	return tty_of(file);
}

LLV_SHARED const spinlock_t *ovm_tty_ctrl_lock(const struct tty_struct *tty)
{
	return has_ctrl() ? &tty->ctrl.lock : &((const struct tty_struct___single *)tty)->ctrl_lock;
}

LLV_SHARED const struct mutex *ovm_tty_output_lock(const struct tty_struct *tty)
{
	const struct n_tty_data___ovm *data = tty->disc_data;

	return tty->ldisc && tty->ldisc->ops->num == N_TTY && data ? &data->output_lock : NULL;
}
