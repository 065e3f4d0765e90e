/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device state that QEMU writes: sections of a migration stream.
 *
 * The fields of a section are known either from the description that ends a
 * full stream, or, in a stream without one, from a layout that the caller
 * brings along.  The bytes come from QEMU, but many of them are the guest's:
 * nothing in them can lead outside the buffer or go unnoticed for long.
 */
#ifndef OVM_VMI_MIGRATION_STREAM_H
#define OVM_VMI_MIGRATION_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/** A field of a section, as the sender has it: big-endian numbers, nothing between them. */
struct ovm_stream_field {
	/** Name in the stream's description; repeated names get "[0]", "[1]" behind them. */
	const char *name;
	/** Bytes of an element, and how many there are. */
	uint16_t size, count;
};

/** A section ("cpu") or subsection ("cpu/xss"). */
struct ovm_stream_layout {
	const char *name;
	uint32_t version;
	const struct ovm_stream_field *fields;
	size_t nr_fields;
};

struct ovm_stream_visitor {
	/**
	 * Called for each field of a section called @section: @layout is the name of the section or
	 * subsection that the field belongs to, @data its elements one after the other.
	 */
	void (*field)(void *arg, const char *section, uint32_t instance, const char *layout,
		      const char *name, const uint8_t *data, size_t size);
	void *arg;
};

/**
 * Visit the fields of a stream that ends in a description (what "migrate" writes).
 *
 * Errors: OVM_ERROR_CORRUPT when description and stream don't fit each other.
 */
struct ovm_error *ovm_stream_visit_described(const uint8_t *stream, size_t len,
					     const struct ovm_stream_visitor *visitor);

/**
 * Visit the fields of those sections of a stream without description (what
 * "xen-save-devices-state" writes) whose name @layouts has.
 *
 * A section is recognised by its header, its footer behind all its fields, and what comes before
 * and after those. Errors: OVM_ERROR_CORRUPT when a section shows up twice, in the same instance:
 * one of them is then data of the guest that looks like one.
 */
struct ovm_error *ovm_stream_visit_plain(const uint8_t *stream, size_t len,
					 const struct ovm_stream_layout *layouts, size_t nr,
					 const struct ovm_stream_visitor *visitor);

#endif /* OVM_VMI_MIGRATION_STREAM_H */
