// SPDX-License-Identifier: GPL-2.0-only
/*
 * What waits in a pseudo-terminal.
 *
 * CRIU puts it back by writing it to the other end, when all settings are restored (3.17.1,
 * criu/tty.c): first to the slave, then to the master.  What a slave can read went through the
 * input processing of its line discipline already, and what the master can read through the output
 * processing of the slave's; both would happen again.  So what is written is not what waits, but
 * what the processing turns into that (drivers/tty/n_tty.c: n_tty_receive_char_special() and
 * do_output_char()).  Input that is echoed comes out of the master once more: if what the master
 * has ends with that echo, it is left to the kernel.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "tty.h"

enum {
	/* A control character that is switched off. */
	DISABLED = 0,
	/* The kernel's values (asm-generic/termbits.h). */
	K_EXTPROC = 0200000,
	K_XTABS = 0014000,
	MARK = 0xff,
};

struct input {
	const struct ovm_rec_tty *tty;
	struct ovm_image_tty_content *out;
};

static bool lflag(const struct ovm_rec_tty *tty, uint32_t flag)
{
	return tty->termios.lflag & flag;
}

static bool iflag(const struct ovm_rec_tty *tty, uint32_t flag)
{
	return tty->termios.iflag & flag;
}

static bool oflag(const struct ovm_rec_tty *tty, uint32_t flag)
{
	return tty->termios.oflag & flag;
}

static void put(struct ovm_image_tty_content *content, uint8_t byte)
{
	content->bytes[content->len++] = byte;
}

static bool is_cc(const struct ovm_rec_tty *tty, uint8_t byte, int first, int second)
{
	return byte == tty->termios.cc[first] || byte == tty->termios.cc[second];
}

/* Whether a byte that comes in does something else than being read, line feeds and returns apart.
 */
static bool is_special(const struct ovm_rec_tty *tty, uint8_t byte)
{
	if (byte == DISABLED)
		return false;
	if (iflag(tty, IXON) && is_cc(tty, byte, VSTART, VSTOP))
		return true;
	if (lflag(tty, ISIG) && (is_cc(tty, byte, VINTR, VQUIT) || is_cc(tty, byte, VSUSP, VSUSP)))
		return true;
	if (!lflag(tty, ICANON))
		return false;
	if (is_cc(tty, byte, VERASE, VKILL) || is_cc(tty, byte, VEOF, VEOL))
		return true;
	return lflag(tty, IEXTEN) &&
	       (is_cc(tty, byte, VWERASE, VLNEXT) || is_cc(tty, byte, VEOL2, VREPRINT));
}

/* Make the next byte mean nothing. */
static bool quote(struct input *in, uint8_t byte)
{
	uint8_t next = in->tty->termios.cc[VLNEXT];

	if (!lflag(in->tty, ICANON) || !lflag(in->tty, IEXTEN) || next == DISABLED)
		return false;
	put(in->out, next);
	put(in->out, byte);
	return true;
}

/* A line feed that comes out as one, and so ends a line. */
static bool put_line_feed(struct input *in)
{
	if (!iflag(in->tty, INLCR))
		put(in->out, '\n');
	else if (iflag(in->tty, ICRNL) && !iflag(in->tty, IGNCR))
		put(in->out, '\r');
	else
		return false;
	return true;
}

static bool put_return(struct input *in)
{
	if (!iflag(in->tty, IGNCR | ICRNL))
		put(in->out, '\r');
	else if (iflag(in->tty, INLCR))
		put(in->out, '\n');
	else
		return quote(in, '\r');
	return true;
}

static bool put_within_line(struct input *in, uint8_t byte)
{
	const struct ovm_rec_tty *tty = in->tty;

	if ((iflag(tty, ISTRIP) && byte & 0x80) ||
	    (iflag(tty, IUCLC) && lflag(tty, IEXTEN) && isupper(byte)))
		return false;
	if (lflag(tty, K_EXTPROC)) {
		put(in->out, byte);
		return true;
	}
	if (byte == '\n')
		return lflag(tty, ICANON) ? quote(in, byte) : put_line_feed(in);
	if (byte == '\r')
		return put_return(in);
	if (is_special(tty, byte))
		return quote(in, byte);
	put(in->out, byte);
	return true;
}

/* The end of a line, or of file, which comes as a NUL; or of what was there before lines were. */
static bool put_line_end(struct input *in, uint8_t byte)
{
	const struct ovm_rec_tty *tty = in->tty;
	uint8_t eof = tty->termios.cc[VEOF];

	if (lflag(tty, K_EXTPROC))
		return false;
	if (byte == '\n')
		return put_line_feed(in);
	if (byte != DISABLED && (byte == tty->termios.cc[VEOL] ||
				 (byte == tty->termios.cc[VEOL2] && lflag(tty, IEXTEN)))) {
		put(in->out, byte);
		return true;
	}
	if (eof == DISABLED || (byte != DISABLED && !put_within_line(in, byte)))
		return false;
	put(in->out, eof);
	return true;
}

static uint8_t byte_at(const struct ovm_rec_tty *tty, uint32_t i)
{
	return tty->ring.data[(tty->input_pos + i) % OVM_REC_TTY_RING];
}

static bool ends_line(const struct ovm_rec_tty *tty, uint32_t i)
{
	uint64_t place = (tty->input_pos + i) % OVM_REC_TTY_RING;

	return i < tty->input_lines && tty->line_ends.data[place / 8] >> place % 8 & 1;
}

/* With PARMRK, this byte comes twice where it was received once. */
static bool is_marked(const struct ovm_rec_tty *tty, uint32_t i)
{
	return iflag(tty, PARMRK) && byte_at(tty, i) == MARK;
}

static bool put_ring(struct input *in)
{
	const struct ovm_rec_tty *tty = in->tty;

	for (uint32_t i = 0; i < tty->input_len; i++) {
		if (is_marked(tty, i)) {
			i++;
			if (i == tty->input_len || !is_marked(tty, i))
				return false;
		}
		if (!(ends_line(tty, i) ? put_line_end : put_within_line)(in, byte_at(tty, i)))
			return false;
	}
	return true;
}

static void put_flip(const struct ovm_rec_tty *tty, struct ovm_image_tty_content *out)
{
	for (const struct ovm_rec_tty_data *data = tty->flip; data; data = data->next) {
		memcpy(out->bytes + out->len, data->bytes.data, data->bytes.len);
		out->len += data->bytes.len;
	}
}

static void input(const struct ovm_rec_tty *slave, struct ovm_image_tty_content *out,
		  size_t *nr_processed)
{
	if (!put_ring(&(struct input){slave, out}))
		out->problem = "holds input that its present settings would change: let it be read";
	*nr_processed = out->len;
	put_flip(slave, out);
}

/* What input that was processed once is echoed as; false if that is not so simple. */
static bool echo(const struct ovm_rec_tty *slave, const struct ovm_image_tty_content *in,
		 size_t len, struct ovm_image_tty_content *out)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = in->bytes[i];

		if (lflag(slave, ICANON) && byte != DISABLED && byte == slave->termios.cc[VEOF])
			continue;
		if (byte == '\n' || (byte == '\r' && iflag(slave, ICRNL))) {
			if (oflag(slave, OPOST) && oflag(slave, ONLCR))
				put(out, '\r');
			put(out, '\n');
		} else if (byte < 0x20 || byte == 0x7f || oflag(slave, OLCUC)) {
			return false;
		} else {
			put(out, byte);
		}
	}
	return true;
}

static bool echoes(const struct ovm_rec_tty *slave)
{
	return !lflag(slave, K_EXTPROC) &&
	       (lflag(slave, ECHO) || (lflag(slave, ICANON) && lflag(slave, ECHONL)));
}

/* What the slave's output processing turns into @bytes; false if nothing does. */
static bool put_output(const struct ovm_rec_tty *slave, const uint8_t *bytes, size_t len,
		       struct ovm_image_tty_content *out)
{
	bool lines = oflag(slave, ONLCR), returns = oflag(slave, OCRNL);

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = bytes[i];

		if (lines && byte == '\r' && i + 1 < len && bytes[i + 1] == '\n') {
			byte = bytes[++i];
		} else if (lines && byte == '\n') {
			if (!returns)
				return false;
			byte = '\r';
		} else if ((byte == '\r' && (returns || oflag(slave, ONOCR))) ||
			   (byte == '\t' && oflag(slave, K_XTABS)) ||
			   (oflag(slave, OLCUC) && islower(byte))) {
			return false;
		}
		put(out, byte);
	}
	return true;
}

static struct ovm_error *reserve(struct ovm_image_tty_content *content,
				 const struct ovm_rec_tty *tty)
{
	/* Quoted, and the end of file behind it. */
	size_t size = 3 * (size_t)tty->input_len + 1;

	for (const struct ovm_rec_tty_data *data = tty->flip; data; data = data->next)
		size += data->bytes.len;
	content->bytes = malloc(size);
	return content->bytes ? NULL : ovm_error_no_memory();
}

/* What the master can read, without the echo that putting the input back makes. */
static struct ovm_error *output(const struct ovm_rec_tty *master,
				const struct ovm_image_tty_content *in, size_t nr_processed,
				struct ovm_image_tty_content *out, bool *echoed)
{
	const struct ovm_rec_tty *slave = master->other;
	struct ovm_image_tty_content raw = {0}, again = {0};
	struct ovm_error *err = reserve(&raw, master);

	/* An echo makes two bytes of one at most. */
	if (!err && !(again.bytes = malloc(2 * nr_processed + 1)))
		err = ovm_error_no_memory();
	if (!err) {
		bool simple = lflag(slave, ECHO) && echo(slave, in, nr_processed, &again);

		for (uint32_t i = 0; i < master->input_len; i++)
			put(&raw, byte_at(master, i));
		put_flip(master, &raw);
		if (simple && raw.len >= again.len &&
		    !memcmp(raw.bytes + raw.len - again.len, again.bytes, again.len))
			raw.len -= again.len;
		else
			*echoed = true;
		if (!oflag(slave, OPOST)) {
			memcpy(out->bytes, raw.bytes, raw.len);
			out->len = raw.len;
		} else if (!put_output(slave, raw.bytes, raw.len, out)) {
			out->problem = "holds output that the present settings would change: let "
				       "it be read";
		}
	}
	free(raw.bytes);
	free(again.bytes);
	return err;
}

static bool is_known(const struct ovm_rec_tty *tty)
{
	return !tty->discipline && tty->input_len <= OVM_REC_TTY_RING &&
	       (!tty->input_len ||
		(tty->ring.len == OVM_REC_TTY_RING && tty->line_ends.len == OVM_REC_TTY_RING / 8));
}

struct ovm_error *ovm_image_tty_contents(const struct ovm_rec_tty *master,
					 struct ovm_image_tty_content *for_slave,
					 struct ovm_image_tty_content *for_master)
{
	const struct ovm_rec_tty *slave = master->other;
	size_t nr_processed = 0;
	bool again = false;

	*for_slave = *for_master = (struct ovm_image_tty_content){0};
	if (!slave || !is_known(master) || !is_known(slave)) {
		for_slave->problem = "has content that is not known";
		return NULL;
	}
	struct ovm_error *err = reserve(for_slave, slave);

	if (!err)
		err = reserve(for_master, master);
	if (err)
		return err;
	input(slave, for_slave, &nr_processed);
	err = output(master, for_slave, nr_processed, for_master, &again);
	for_slave->echoed = again && nr_processed && echoes(slave);
	return err;
}

void ovm_image_tty_content_deinit(struct ovm_image_tty_content *content)
{
	free(content->bytes);
	content->bytes = NULL;
	content->len = 0;
}
