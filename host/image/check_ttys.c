// SPDX-License-Identifier: GPL-2.0-only
/*
 * Terminals that can't be represented, or whose state is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tty.h"

enum {
	/* CRIU's limit on the index of a pseudo-terminal, and how many it opens to find a free one.
	 */
	INDEX_MAX = 1000,
	TRIES = 32,
	K_O_ACCMODE = 03,
	K_O_RDONLY = 00,
	K_O_WRONLY = 01,
	K_O_NONBLOCK = 04000,
};

struct check {
	struct ovm_image_report *report;
	const struct ovm_image_set *set;
	const struct ovm_image_tty_table *table;
};

static const char *tty_name(const struct ovm_rec_tty *tty, char quoted[OVM_IMAGE_QUOTED_MAX])
{
	return ovm_image_quote(tty->name, strnlen(tty->name, sizeof(tty->name)), quoted);
}

static const char *file_name(const struct ovm_image_tty *tty, char quoted[OVM_IMAGE_QUOTED_MAX])
{
	return ovm_image_quote(tty->file->path.data, tty->file->path.len, quoted);
}

static void refuse(const struct check *check, const struct ovm_image_tty *tty, const char *problem)
{
	char quoted[OVM_IMAGE_QUOTED_MAX];

	if (problem)
		ovm_image_reason(check->report, "fd %d: terminal (%s) %s", tty->fd,
				 file_name(tty, quoted), problem);
}

static void warn(const struct check *check, const struct ovm_image_tty *tty, const char *what)
{
	char quoted[OVM_IMAGE_QUOTED_MAX];

	ovm_image_warn(check->report, "fd %d: terminal (%s) %s", tty->fd, file_name(tty, quoted),
		       what);
}

static const struct ovm_image_tty *master_of(const struct check *check,
					     const struct ovm_image_tty *slave)
{
	return ovm_image_tty_find(check->table, slave->rec->other, OVM_IMAGE_TTY_MASTER);
}

static bool is_outside(const struct check *check, const struct ovm_image_tty *tty)
{
	return tty->kind == OVM_IMAGE_TTY_SLAVE && !tty->file->hung_up && !master_of(check, tty);
}

/* ---- each file ----------------------------------------------------------------------------- */

static const char *kind_problem(const struct ovm_image_tty *tty)
{
	if (!tty->rec)
		return "has no known content";
	if (tty->file->hung_up && tty->kind != OVM_IMAGE_TTY_SLAVE)
		return "was hung up, which CRIU restores of pseudo-terminals only: close it";
	if (tty->kind == OVM_IMAGE_TTY_NONE)
		return "is of a kind that CRIU can't restore, such as a serial line: run the "
		       "process with other standard files";
	if (tty->rec->discipline && !tty->file->hung_up)
		return "has another line discipline than N_TTY, which CRIU does not restore";
	return NULL;
}

static const char *index_problem(const struct ovm_image_tty *tty)
{
	if (tty->kind != OVM_IMAGE_TTY_MASTER && tty->kind != OVM_IMAGE_TTY_SLAVE)
		return NULL;
	return tty->rec->index < 0 || tty->rec->index > INDEX_MAX
		       ? "has an index that CRIU does not take"
		       : NULL;
}

/* Only slaves of a pair get their owner back. */
static const char *owner_problem(const struct check *check, const struct ovm_image_tty *tty)
{
	bool kept = tty->kind == OVM_IMAGE_TTY_SLAVE && !is_outside(check, tty);

	return tty->file->owner_pid && !kept
		       ? "sends signals to its owner (F_SETOWN), which CRIU does not restore here"
		       : NULL;
}

/* Another terminal with the same number in tty-info.img. */
static const char *number_problem(const struct check *check, const struct ovm_image_tty *tty)
{
	for (size_t i = 0; i < check->table->nr; i++) {
		const struct ovm_image_tty *other = &check->table->ttys[i];

		if (other->id == tty->id && other->kind &&
		    (other->rec != tty->rec || other->file->hung_up != tty->file->hung_up))
			return "can't be told from another one of the process by CRIU";
	}
	return NULL;
}

static bool has_locks(const struct ovm_rec_termios *locked)
{
	uint32_t any = locked->iflag | locked->oflag | locked->cflag | locked->lflag | locked->line;

	for (size_t i = 0; i < OVM_REC_TTY_CC; i++)
		any |= locked->cc[i];
	return any;
}

/* CRIU locks them before it restores them, but for those of a pair. */
static bool loses_locked(const struct check *check, const struct ovm_image_tty *tty)
{
	if (tty->kind == OVM_IMAGE_TTY_MASTER)
		return has_locks(&tty->rec->other->termios_locked) &&
		       !ovm_image_tty_find(check->table, tty->rec->other, OVM_IMAGE_TTY_SLAVE);
	return has_locks(&tty->rec->termios_locked) && tty->kind != OVM_IMAGE_TTY_CURRENT &&
	       (tty->kind != OVM_IMAGE_TTY_SLAVE || is_outside(check, tty));
}

/* What was hung up has lost its name, which CRIU makes anew. */
static const char *path_problem(const struct ovm_image_tty *tty)
{
	struct ovm_rec_file file = *tty->file;

	if (file.hung_up)
		file.unlinked = 0;
	return ovm_image_path_problem(&file);
}

static void warn_file(const struct check *check, const struct ovm_image_tty *tty)
{
	const struct ovm_rec_tty *rec = tty->rec;

	if (rec->exclusive)
		warn(check, tty, "is in exclusive mode (TIOCEXCL), which CRIU does not restore");
	if (loses_locked(check, tty))
		warn(check, tty,
		     "has locked settings (TIOCSLCKTRMIOS), which CRIU locks as those "
		     "of a new terminal are");
	if (rec->stopped)
		warn(check, tty, "is stopped (TCOOFF, ^S): restored, output goes on");
	if (rec->other && rec->packet && rec->other->packet_status)
		warn(check, tty,
		     "has a packet of control information (TIOCPKT) to be read, which "
		     "is lost");
	if (tty->kind == OVM_IMAGE_TTY_MASTER && rec->index >= TRIES)
		warn(check, tty,
		     "has a high number: CRIU reaches it only if most of those before "
		     "are in use in the other VM");
	if (tty->kind != OVM_IMAGE_TTY_MASTER && tty->kind != OVM_IMAGE_TTY_SLAVE &&
	    tty->kind != OVM_IMAGE_TTY_CURRENT && (rec->input_len || rec->nr_flip))
		warn(check, tty, "has input that was not read yet, which is lost");
}

/* Whether there is more to be looked at. */
static bool check_file(const struct check *check, const struct ovm_image_tty *tty)
{
	const char *problems[] = {kind_problem(tty), NULL, NULL, NULL, NULL};

	if (!problems[0]) {
		problems[1] = index_problem(tty);
		problems[2] = owner_problem(check, tty);
		problems[3] = number_problem(check, tty);
		problems[4] = path_problem(tty);
	}
	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
		refuse(check, tty, problems[i]);
	if (problems[0] || tty->file->hung_up)
		return false;
	warn_file(check, tty);
	return true;
}

/* ---- pairs --------------------------------------------------------------------------------- */

/* Who has either end open beside the processes of the set. */
static void check_holders(const struct check *check, const struct ovm_image_tty *master)
{
	const struct ovm_rec_tty *ends[] = {master->rec, master->rec->other};
	char name[OVM_IMAGE_QUOTED_MAX], comm[OVM_IMAGE_QUOTED_MAX];

	for (size_t i = 0; i < 2; i++) {
		const struct ovm_rec_holder *holder = &ends[i]->holder;

		if (ends[i]->nr_files == ends[i]->own_files)
			continue;
		if (!holder->pid)
			ovm_image_reason(
				check->report,
				"fd %d: terminal (%s) is open elsewhere as well, though in "
				"no process",
				master->fd, tty_name(ends[i], name));
		else
			ovm_image_reason(
				check->report,
				"fd %d: terminal (%s) is open in process %d (%s) as well, which is "
				"not saved",
				master->fd, tty_name(ends[i], name), holder->pid,
				ovm_image_quote(holder->comm,
						strnlen(holder->comm, sizeof(holder->comm)), comm));
	}
}

/* The descriptors of both ends may be shared with others, too. */
static void check_sharer(const struct check *check, const struct ovm_image_tty *tty)
{
	const struct ovm_rec_holder *holder = &tty->file->holder;
	char name[OVM_IMAGE_QUOTED_MAX], comm[OVM_IMAGE_QUOTED_MAX];

	if (holder->pid && !is_outside(check, tty))
		ovm_image_reason(
			check->report,
			"fd %d: terminal (%s) is open in process %d (%s) as well, which is "
			"not saved",
			tty->fd, file_name(tty, name), holder->pid,
			ovm_image_quote(holder->comm, strnlen(holder->comm, sizeof(holder->comm)),
					comm));
}

static bool has_group(const struct ovm_image_set *set, int32_t session, int32_t group)
{
	for (size_t i = 0; i < set->nr_processes; i++)
		if (set->processes[i].rec->sid == session && set->processes[i].rec->pgid == group)
			return true;
	return false;
}

static void check_session(const struct check *check, const struct ovm_image_tty *master)
{
	const struct ovm_rec_tty *slave = master->rec->other;
	char quoted[OVM_IMAGE_QUOTED_MAX];

	if (!slave->session)
		return;
	if (!ovm_image_session_leader(check->set, slave->session))
		ovm_image_reason(check->report,
				 "fd %d: terminal (%s) is that of session %d, whose leader is not "
				 "saved",
				 master->fd, tty_name(slave, quoted), slave->session);
	else if (!has_group(check->set, slave->session, slave->pgrp))
		ovm_image_reason(check->report,
				 "fd %d: terminal (%s) has the foreground group %d, of which no "
				 "process is saved",
				 master->fd, tty_name(slave, quoted), slave->pgrp);
}

static bool can_write(const struct ovm_image_tty *tty)
{
	return (tty->file->flags & K_O_ACCMODE) != K_O_RDONLY;
}

static void check_content(const struct check *check, const struct ovm_image_tty *to,
			  const struct ovm_image_tty *from,
			  const struct ovm_image_tty_content *content)
{
	refuse(check, to, content->problem);
	if (!content->len)
		return;
	if (!from)
		refuse(check, to, "has input, and nobody has the other end open: CRIU loses it");
	else if (!can_write(from))
		refuse(check, to,
		       "holds what CRIU can't write back: the other end is open for "
		       "reading only");
	else if (content->len > OVM_IMAGE_TTY_ROOM && from->file->flags & K_O_NONBLOCK)
		refuse(check, to, "holds more than CRIU writes back at once: let it be read");
}

static void check_contents(const struct check *check, const struct ovm_image_tty *master)
{
	const struct ovm_image_tty *slave =
		ovm_image_tty_find(check->table, master->rec->other, OVM_IMAGE_TTY_SLAVE);
	struct ovm_image_tty_content for_slave, for_master;
	struct ovm_error *err = ovm_image_tty_contents(master->rec, &for_slave, &for_master);

	if (err) {
		ovm_error_free(err);
		check->report->out_of_memory = true;
	} else if (!slave && (for_slave.len || for_slave.problem)) {
		refuse(check, master,
		       "has input for its slave, which nobody has open: CRIU loses "
		       "it");
	} else {
		if (slave)
			check_content(check, slave, master, &for_slave);
		check_content(check, master, slave, &for_master);
		if (for_slave.echoed)
			warn(check, slave, "has input that was echoed already: it is echoed again");
	}
	ovm_image_tty_content_deinit(&for_slave);
	ovm_image_tty_content_deinit(&for_master);
}

static void check_master(const struct check *check, const struct ovm_image_tty *master)
{
	const struct ovm_rec_tty *rec = master->rec;

	/* Making it the terminal of a session opens and closes the slave. */
	if (rec->other_closed && !rec->other->session)
		refuse(check, master,
		       "tells that its slave was closed, which CRIU does not "
		       "restore: close it");
	if (rec->other->discipline)
		refuse(check, master, "has a slave with another line discipline than N_TTY");
	if (rec->other->echoes)
		refuse(check, master, "has echoes that wait for room: let it be read");
	check_holders(check, master);
	check_session(check, master);
	check_contents(check, master);
}

/* ---- terminals outside --------------------------------------------------------------------- */

static void check_slave(const struct check *check, const struct ovm_image_tty *slave)
{
	const struct ovm_rec_tty *other = slave->rec->other;
	const struct ovm_rec_holder *holder = &other->holder;
	char quoted[OVM_IMAGE_QUOTED_MAX], comm[OVM_IMAGE_QUOTED_MAX];

	if (master_of(check, slave))
		return;
	if (!check->set->shell_job) {
		ovm_image_reason(
			check->report,
			"fd %d: terminal (%s) has its other end outside of what is saved, in "
			"process %d (%s): dump with --shell-job, and restore from a terminal, with "
			"'criu restore --shell-job'",
			slave->fd, file_name(slave, quoted), holder->pid,
			ovm_image_quote(holder->comm, strnlen(holder->comm, sizeof(holder->comm)),
					comm));
		return;
	}
	for (const struct ovm_image_tty *tty = check->table->ttys; tty < slave; tty++) {
		if (!is_outside(check, tty))
			continue;
		refuse(check, slave,
		       tty->rec == slave->rec
			       ? "was opened more than once: with --shell-job, CRIU opens it by "
				 "its "
				 "path again, where another terminal may be"
			       : "is the second one outside of what is saved: CRIU takes one");
		return;
	}
	if (slave->rec->input_len || slave->rec->nr_flip)
		warn(check, slave, "has input that was not read yet, which is lost");
}

/* ---- controlling terminals ----------------------------------------------------------------- */

/* Whether restoring what is open makes it the terminal of its session again. */
static bool is_restored(const struct check *check, const struct ovm_rec_tty *tty)
{
	if (tty->other)
		return ovm_image_tty_find(check->table, tty->other, OVM_IMAGE_TTY_MASTER);
	return ovm_image_tty_find(check->table, tty, OVM_IMAGE_TTY_CONSOLE) ||
	       ovm_image_tty_find(check->table, tty, OVM_IMAGE_TTY_VT);
}

static void check_controlling(const struct check *check, const struct ovm_rec_process *rec)
{
	char quoted[OVM_IMAGE_QUOTED_MAX];

	if (!rec->tty)
		return;
	tty_name(rec->tty, quoted);
	if (rec->pid == rec->sid) {
		if (!is_restored(check, rec->tty))
			ovm_image_reason(check->report,
					 "leads the session of a terminal (%s) that is outside of "
					 "what is saved: dump the process that has its other end, "
					 "or start it with setsid(1)",
					 quoted);
	} else if (ovm_image_set_has_process(check->report, rec->sid)) {
		ovm_image_warn(check->report,
			       "its controlling terminal (%s) is restored by CRIU for the leader "
			       "of its session only",
			       quoted);
	} else if (!check->set->shell_job) {
		ovm_image_reason(check->report,
				 "belongs to a terminal (%s) and session that are outside of what "
				 "is saved: dump with --shell-job, and restore from a terminal, "
				 "with 'criu restore --shell-job'; or start it with setsid(1)",
				 quoted);
	}
}

/* /dev/tty: there has to be a controlling terminal when it is opened. */
static void check_current(const struct check *check, const struct ovm_image_tty *tty)
{
	const struct ovm_rec_process *process = tty->process;
	bool leads = process->pid == process->sid;
	bool outside = !ovm_image_session_leader(check->set, process->sid);

	if (process->tty != tty->rec)
		refuse(check, tty, "is not the controlling terminal any more");
	else if (!leads && !(outside && check->set->shell_job))
		refuse(check, tty,
		       "can be opened by the leader of the session only, as CRIU "
		       "restores it");
}

static void check_one(const struct check *check, const struct ovm_image_tty *tty)
{
	check->report->pid = tty->process->pid;
	if (!check_file(check, tty))
		return;
	check_sharer(check, tty);
	if (tty->kind == OVM_IMAGE_TTY_MASTER)
		check_master(check, tty);
	else if (tty->kind == OVM_IMAGE_TTY_SLAVE)
		check_slave(check, tty);
	else if (tty->kind == OVM_IMAGE_TTY_CURRENT)
		check_current(check, tty);
}

void ovm_image_check_ttys(struct ovm_image_report *report)
{
	const struct ovm_image_set *set = report->set;
	struct ovm_image_tty_table *table = NULL;
	struct ovm_error *err = ovm_image_tty_table_create(set, &table);

	if (err) {
		ovm_error_free(err);
		report->out_of_memory = true;
		return;
	}
	const struct check check = {report, set, table};

	report->pid = set->processes[0].rec->pid;
	if (table->too_many)
		ovm_image_reason(report,
				 "has more than %d files of terminals open, which is more "
				 "than CRIU takes",
				 OVM_IMAGE_TTY_FILES_MAX);
	for (size_t i = 0; i < table->nr; i++)
		check_one(&check, &table->ttys[i]);
	for (size_t i = 0; i < set->nr_processes; i++) {
		report->pid = set->processes[i].rec->pid;
		check_controlling(&check, set->processes[i].rec);
	}
	ovm_image_tty_table_destroy(table);
}
