/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The terminals of a set.
 *
 * CRIU tells terminals by the device numbers of the files that lead to them, and describes each end
 * of a pseudo-terminal once, however many files there are (CRIU 3.17.1, criu/tty.c).
 */
#ifndef OVM_HOST_IMAGE_TTY_H
#define OVM_HOST_IMAGE_TTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image.h"

enum ovm_image_tty_kind {
	/** One that CRIU does not know. */
	OVM_IMAGE_TTY_NONE,
	OVM_IMAGE_TTY_MASTER,
	OVM_IMAGE_TTY_SLAVE,
	/** /dev/console */
	OVM_IMAGE_TTY_CONSOLE,
	/** /dev/ttyN */
	OVM_IMAGE_TTY_VT,
	/** /dev/tty */
	OVM_IMAGE_TTY_CURRENT,
};

/** A file that leads to a terminal. */
struct ovm_image_tty {
	const struct ovm_rec_file *file;
	const struct ovm_rec_tty *rec;
	enum ovm_image_tty_kind kind;
	/** Of its entry in tty-info.img. */
	uint32_t id;
	/** The first process and its first descriptor that lead to it. */
	const struct ovm_rec_process *process;
	int32_t fd;
};

struct ovm_image_tty_table {
	/** In the order of appearance, each file once. */
	struct ovm_image_tty *ttys;
	size_t nr;
	/** There are more: OVM_IMAGE_TTY_FILES_MAX are as many as are looked at. */
	bool too_many;
};

enum {
	/** What an end of a pseudo-terminal can hold, at most: line discipline and buffers. */
	OVM_IMAGE_TTY_ROOM = 8192,
	/** Each is compared with all others. CRIU has room for 1088 terminals. */
	OVM_IMAGE_TTY_FILES_MAX = 4096,
};

/** Collect the terminals of a set. The records must outlive the table. */
struct ovm_error *ovm_image_tty_table_create(const struct ovm_image_set *set,
					     struct ovm_image_tty_table **ret);

/** Free a table; NULL is fine. */
void ovm_image_tty_table_destroy(struct ovm_image_tty_table *table);

/** The first file of a kind that leads to a terminal, and isn't hung up; NULL: there is none. */
const struct ovm_image_tty *ovm_image_tty_find(const struct ovm_image_tty_table *table,
					       const struct ovm_rec_tty *rec,
					       enum ovm_image_tty_kind kind);

/** What kind of terminal CRIU takes a file for. */
enum ovm_image_tty_kind ovm_image_tty_kind(const struct ovm_rec_file *file);

/** The process of a set that leads a session; NULL if it is none of them. */
const struct ovm_rec_process *ovm_image_session_leader(const struct ovm_image_set *set,
						       int32_t session);

/** What has to be written to the other end of a pseudo-terminal, so that all is as it was. */
struct ovm_image_tty_content {
	uint8_t *bytes;
	size_t len;
	/** Why there is no such thing: a phrase, or NULL. */
	const char *problem;
	/** Of slaves: what can be read is echoed again, though it was before. */
	bool echoed;
};

/**
 * What to write to @master for its slave to have what it has, and to the slave for the master.
 * Either end may have nothing. Free with ovm_image_tty_content_deinit(), also after an error.
 */
struct ovm_error *ovm_image_tty_contents(const struct ovm_rec_tty *master,
					 struct ovm_image_tty_content *for_slave,
					 struct ovm_image_tty_content *for_master);

void ovm_image_tty_content_deinit(struct ovm_image_tty_content *content);

#endif /* OVM_HOST_IMAGE_TTY_H */
