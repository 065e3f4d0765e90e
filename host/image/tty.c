// SPDX-License-Identifier: GPL-2.0-only
/*
 * Terminals: their entries in files.img, tty-info.img and tty-data.img.
 *
 * CRIU pairs the ends of a pseudo-terminal in the order in which tty-info.img has them, and takes
 * two slaves for a pair when the master comes behind them (3.17.1, criu/tty.c): masters come first.
 */
#include "tty.h"

#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "proto/tty.pb-c.h"
#include "vmi/cleanup.h"
#include "write.h"

enum {
	/* linux/major.h */
	TTY_MAJOR = 4,
	TTYAUX_MAJOR = 5,
	UNIX98_PTY_SLAVE_MAJOR = 136,
	/* Minors of TTYAUX_MAJOR. */
	AUX_TTY = 0,
	AUX_CONSOLE = 1,
	AUX_PTMX = 2,
	/* Minors of TTY_MAJOR, first and last. */
	FIRST_VT = 1,
	LAST_VT = 63,
	/* What stands for the index of others than pseudo-terminals. */
	CONSOLE_INDEX = 1002,
	VT_INDEX = 1004,
	CURRENT_INDEX = 1006,
	NR_CC_WORDS = 19,
};

enum ovm_image_tty_kind ovm_image_tty_kind(const struct ovm_rec_file *file)
{
	const struct ovm_rec_tty *tty = file->tty;
	bool pty = tty && tty->driver_type == OVM_REC_TTY_PTY;
	uint32_t major = file->rdev_major, minor = file->rdev_minor;

	if (!tty)
		return OVM_IMAGE_TTY_NONE;
	if (major == TTYAUX_MAJOR && minor == AUX_PTMX)
		return pty && tty->driver_subtype == OVM_REC_TTY_PTY_MASTER && tty->other
			       ? OVM_IMAGE_TTY_MASTER
			       : OVM_IMAGE_TTY_NONE;
	if (major == TTYAUX_MAJOR && minor == AUX_CONSOLE)
		return OVM_IMAGE_TTY_CONSOLE;
	if (major == TTYAUX_MAJOR && minor == AUX_TTY)
		return OVM_IMAGE_TTY_CURRENT;
	if (major == TTY_MAJOR && minor >= FIRST_VT && minor <= LAST_VT)
		return OVM_IMAGE_TTY_VT;
	if (major == UNIX98_PTY_SLAVE_MAJOR && pty &&
	    tty->driver_subtype == OVM_REC_TTY_PTY_SLAVE && tty->other)
		return OVM_IMAGE_TTY_SLAVE;
	return OVM_IMAGE_TTY_NONE;
}

/* The number of an entry in tty-info.img: of masters, an odd one. */
static uint32_t info_id(const struct ovm_rec_file *file, enum ovm_image_tty_kind kind)
{
	switch (kind) {
	case OVM_IMAGE_TTY_MASTER:
		return (uint32_t)file->tty->index << 1 | 1;
	case OVM_IMAGE_TTY_SLAVE:
		return (uint32_t)file->tty->index << 1;
	case OVM_IMAGE_TTY_CONSOLE:
		return CONSOLE_INDEX << 1;
	case OVM_IMAGE_TTY_VT:
		return VT_INDEX << 1;
	case OVM_IMAGE_TTY_CURRENT:
		return CURRENT_INDEX << 1;
	default:
		return 0;
	}
}

/* ---- table --------------------------------------------------------------------------------- */

static bool is_known(const struct ovm_image_tty_table *table, const struct ovm_rec_file *file)
{
	for (size_t i = 0; i < table->nr; i++)
		if (table->ttys[i].file == file)
			return true;
	return false;
}

/* Counts when there is no room yet. */
static size_t add_process(struct ovm_image_tty_table *table, const struct ovm_rec_process *process)
{
	size_t nr = 0;

	if (!ovm_image_owns_files(process))
		return 0;
	for (const struct ovm_rec_fd *fd = process->fds; fd; fd = fd->next) {
		if (!fd->file || fd->file->kind != OVM_REC_FILE_TTY)
			continue;
		nr++;
		if (!table->ttys || is_known(table, fd->file))
			continue;
		if (table->nr == OVM_IMAGE_TTY_FILES_MAX) {
			table->too_many = true;
			return nr;
		}
		enum ovm_image_tty_kind kind = ovm_image_tty_kind(fd->file);

		table->ttys[table->nr++] = (struct ovm_image_tty){
			.file = fd->file,
			.rec = fd->file->tty,
			.kind = kind,
			.id = info_id(fd->file, kind),
			.process = process,
			.fd = fd->fd,
		};
	}
	return nr;
}

struct ovm_error *ovm_image_tty_table_create(const struct ovm_image_set *set,
					     struct ovm_image_tty_table **ret)
{
	struct ovm_image_tty_table *table = calloc(1, sizeof(*table));
	size_t nr = 0;

	*ret = NULL;
	if (!table)
		return ovm_error_no_memory();
	for (size_t i = 0; i < set->nr_processes; i++)
		nr += add_process(table, set->processes[i].rec);
	table->ttys = calloc(nr + 1, sizeof(*table->ttys));
	if (!table->ttys) {
		free(table);
		return ovm_error_no_memory();
	}
	for (size_t i = 0; i < set->nr_processes && !table->too_many; i++)
		add_process(table, set->processes[i].rec);
	*ret = table;
	return NULL;
}

void ovm_image_tty_table_destroy(struct ovm_image_tty_table *table)
{
	if (!table)
		return;
	free(table->ttys);
	free(table);
}

const struct ovm_image_tty *ovm_image_tty_find(const struct ovm_image_tty_table *table,
					       const struct ovm_rec_tty *rec,
					       enum ovm_image_tty_kind kind)
{
	for (size_t i = 0; i < table->nr; i++)
		if (table->ttys[i].rec == rec && table->ttys[i].kind == kind &&
		    !table->ttys[i].file->hung_up)
			return &table->ttys[i];
	return NULL;
}

const struct ovm_rec_process *ovm_image_session_leader(const struct ovm_image_set *set,
						       int32_t session)
{
	for (size_t i = 0; i < set->nr_processes; i++) {
		const struct ovm_rec_process *rec = set->processes[i].rec;

		if (session && rec->pid == session && rec->sid == session)
			return rec;
	}
	return NULL;
}

/* ---- files.img ----------------------------------------------------------------------------- */

struct ovm_error *ovm_image_put_tty(struct ovm_image_file *image,
				    struct ovm_image_file_parts *parts,
				    const struct ovm_rec_file *file)
{
	FileEntry entry = FILE_ENTRY__INIT;
	TtyFileEntry tty = TTY_FILE_ENTRY__INIT;

	tty.id = parts->id;
	tty.tty_info_id = info_id(file, ovm_image_tty_kind(file));
	tty.flags = parts->flags;
	tty.fown = &parts->fown;
	tty.has_regf_id = true;
	tty.regf_id = parts->id;
	entry.type = FD_TYPES__TTY;
	entry.id = parts->id;
	entry.tty = &tty;
	return ovm_image_file_put(image, &entry.base);
}

/* ---- tty-info.img -------------------------------------------------------------------------- */

struct settings {
	TermiosEntry entry;
	uint32_t cc[NR_CC_WORDS];
};

static TermiosEntry *fill_termios(struct settings *settings, const struct ovm_rec_termios *termios)
{
	TermiosEntry *entry = &settings->entry;

	termios_entry__init(entry);
	entry->c_iflag = termios->iflag;
	entry->c_oflag = termios->oflag;
	entry->c_cflag = termios->cflag;
	entry->c_lflag = termios->lflag;
	entry->c_line = termios->line;
	memset(settings->cc, 0, sizeof(settings->cc));
	for (size_t i = 0; i < OVM_REC_TTY_CC; i++)
		settings->cc[i / 4] |= (uint32_t)termios->cc[i] << i % 4 * 8;
	entry->c_cc = settings->cc;
	entry->n_c_cc = NR_CC_WORDS;
	return entry;
}

/* As stat(2) packs device numbers into 32 bits. */
static uint32_t device(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

/* Both ends of a pseudo-terminal have the slave's session, settings and size. */
static const struct ovm_rec_tty *real_tty(const struct ovm_image_tty *tty)
{
	return tty->kind == OVM_IMAGE_TTY_MASTER ? tty->rec->other : tty->rec;
}

/*
 * Whoever has the master, or a terminal that is none of a pair, makes the leader of its session
 * take it, who has to be there.
 */
static void fill_session(TtyInfoEntry *entry, const struct ovm_image_set *set,
			 const struct ovm_image_tty *tty)
{
	const struct ovm_rec_tty *real = real_tty(tty);

	if (tty->kind != OVM_IMAGE_TTY_SLAVE && !ovm_image_session_leader(set, real->session))
		return;
	entry->sid = (uint32_t)real->session;
	entry->pgrp = (uint32_t)real->pgrp;
}

/*
 * Settings that are locked can't be restored any more: those of a pair are with the master, and
 * locked with the slave, which comes behind.
 */
static const struct ovm_rec_termios *locks(const struct ovm_image_tty_table *table,
					   const struct ovm_image_tty *tty)
{
	static const struct ovm_rec_termios none;

	if (tty->kind == OVM_IMAGE_TTY_MASTER &&
	    ovm_image_tty_find(table, tty->rec->other, OVM_IMAGE_TTY_SLAVE))
		return &none;
	return &real_tty(tty)->termios_locked;
}

static TtyType type_of(enum ovm_image_tty_kind kind)
{
	switch (kind) {
	case OVM_IMAGE_TTY_CONSOLE:
		return TTY_TYPE__TTY_CONSOLE;
	case OVM_IMAGE_TTY_VT:
		return TTY_TYPE__TTY_VT;
	case OVM_IMAGE_TTY_CURRENT:
		return TTY_TYPE__TTY_CURRENT;
	default:
		return TTY_TYPE__TTY_PTY;
	}
}

static struct ovm_error *put_info(struct ovm_image_file *image, const struct ovm_image_set *set,
				  const struct ovm_image_tty_table *table,
				  const struct ovm_image_tty *tty)
{
	const struct ovm_rec_file *file = tty->file;
	const struct ovm_rec_tty *rec = tty->rec, *real = real_tty(tty);
	TtyInfoEntry entry = TTY_INFO_ENTRY__INIT;
	TtyPtyEntry pty = TTY_PTY_ENTRY__INIT;
	WinsizeEntry size = WINSIZE_ENTRY__INIT;
	struct settings settings, locked;

	entry.id = tty->id;
	entry.type = type_of(tty->kind);
	entry.rdev = device(file->rdev_major, file->rdev_minor);
	entry.has_dev = entry.has_uid = entry.has_gid = true;
	entry.dev = device(file->dev_major, file->dev_minor);
	entry.uid = file->uid;
	entry.gid = file->gid;
	entry.exclusive = rec->exclusive;
	if (entry.type == TTY_TYPE__TTY_PTY) {
		entry.locked = rec->locked;
		entry.packet_mode = rec->packet;
		entry.pty = &pty;
		pty.index = (uint32_t)rec->index;
	}
	/* What was hung up has no settings; CRIU hangs up what it makes for it. */
	if (file->hung_up)
		return ovm_image_file_put(image, &entry.base);
	fill_session(&entry, set, tty);
	entry.termios = fill_termios(&settings, &real->termios);
	entry.termios_locked = fill_termios(&locked, locks(table, tty));
	entry.winsize = &size;
	size.ws_row = real->rows;
	size.ws_col = real->columns;
	size.ws_xpixel = real->xpixel;
	size.ws_ypixel = real->ypixel;
	return ovm_image_file_put(image, &entry.base);
}

static bool is_first(const struct ovm_image_tty_table *table, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (table->ttys[j].id == table->ttys[i].id)
			return false;
	return true;
}

static struct ovm_error *put_infos(struct ovm_image_file *image, const struct ovm_image_set *set,
				   const struct ovm_image_tty_table *table, bool masters)
{
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < table->nr && !err; i++)
		if ((table->ttys[i].kind == OVM_IMAGE_TTY_MASTER) == masters && is_first(table, i))
			err = put_info(image, set, table, &table->ttys[i]);
	return err;
}

static struct ovm_error *write_info(const struct ovm_image_set *set,
				    const struct ovm_image_tty_table *table, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	struct ovm_error *err = ovm_image_file_create(dir_fd, OVM_IMAGE_TTY_INFO, 0, &image);

	if (!err)
		err = put_infos(image, set, table, true);
	if (!err)
		err = put_infos(image, set, table, false);
	return err ? err : ovm_image_file_finish(ovm_take_pointer(image));
}

/* ---- tty-data.img -------------------------------------------------------------------------- */

static struct ovm_error *put_content(struct ovm_image_file **image, int dir_fd, uint32_t id,
				     const struct ovm_image_tty_content *content)
{
	TtyDataEntry entry = TTY_DATA_ENTRY__INIT;
	struct ovm_error *err = NULL;

	if (!content->len)
		return NULL;
	if (!*image)
		err = ovm_image_file_create(dir_fd, OVM_IMAGE_TTY_DATA, 0, image);
	if (err)
		return err;
	entry.tty_id = id;
	entry.data.data = content->bytes;
	entry.data.len = content->len;
	return ovm_image_file_put(*image, &entry.base);
}

static struct ovm_error *put_contents(struct ovm_image_file **image, int dir_fd,
				      const struct ovm_image_tty *master,
				      const struct ovm_image_tty *slave)
{
	struct ovm_image_tty_content for_slave, for_master;
	struct ovm_error *err = ovm_image_tty_contents(master->rec, &for_slave, &for_master);

	if (!err)
		err = put_content(image, dir_fd, master->id, &for_master);
	if (!err)
		err = put_content(image, dir_fd, slave->id, &for_slave);
	ovm_image_tty_content_deinit(&for_slave);
	ovm_image_tty_content_deinit(&for_master);
	return err;
}

static struct ovm_error *write_data(const struct ovm_image_tty_table *table, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < table->nr && !err; i++) {
		const struct ovm_image_tty *master = &table->ttys[i], *slave;

		if (master->kind != OVM_IMAGE_TTY_MASTER || !is_first(table, i))
			continue;
		slave = ovm_image_tty_find(table, master->rec->other, OVM_IMAGE_TTY_SLAVE);
		if (slave)
			err = put_contents(&image, dir_fd, master, slave);
	}
	if (err || !image)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(image));
}

struct ovm_error *ovm_image_write_ttys(const struct ovm_image_set *set, int dir_fd)
{
	struct ovm_image_tty_table *table = NULL;
	struct ovm_error *err = ovm_image_tty_table_create(set, &table);

	if (!err && table->nr)
		err = write_info(set, table, dir_fd);
	if (!err)
		err = write_data(table, dir_fd);
	ovm_image_tty_table_destroy(table);
	return err;
}
