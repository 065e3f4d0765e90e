/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMCOREINFO: what a Linux kernel tells crash dump tools about itself.
 *
 * An ELF note (type 0, name "VMCOREINFO") in a page of its own, whose contents
 * are lines "KEY=value": "OSRELEASE=6.1.0", "SYMBOL(name)=hexadecimal",
 * "NUMBER(name)=decimal", "KERNELOFFSET=hexadecimal".
 * Source: kernel/vmcore_info.c (v6.9 and later; crash_core.c before),
 * arch/x86/kernel/vmcore_info_64.c; Documentation/admin-guide/kdump/vmcoreinfo.rst.
 */
#ifndef OVM_VMI_VMCOREINFO_H
#define OVM_VMI_VMCOREINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	/** Bytes of the text at most: it is limited to the page that holds the note. */
	OVM_VMCOREINFO_MAX = 4096,
	/** Bytes in front of the text: note header and padded name. */
	OVM_VMCOREINFO_HEADER = 24,
};

struct ovm_vmcoreinfo {
	char release[65];
	/** Guest virtual addresses, 0 when absent. */
	uint64_t stext, init_top_pgt;
	bool has_phys_base, has_kernel_offset;
	uint64_t phys_base, kernel_offset;
	/** Whether the kernel says that its page tables have 5 levels. */
	bool five_levels;
};

/**
 * Find the note's text in the @len bytes of memory at @page.
 *
 * Returns NULL unless a complete note starts at @page; its text is of @ret_len bytes.
 */
const char *ovm_vmcoreinfo_note(const void *page, size_t len, size_t *ret_len);

/** Whether a note of this kind starts here, as far as its OVM_VMCOREINFO_HEADER bytes tell. */
bool ovm_vmcoreinfo_is_header(const void *header, size_t len);

/** Parse the text, which need not end with NUL. False when it is no kernel's. */
bool ovm_vmcoreinfo_parse(const char *text, size_t len, struct ovm_vmcoreinfo *ret);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_VMCOREINFO_H */
