/* SPDX-License-Identifier: GPL-2.0-only */
/* Text that comes from the guest and is to be shown to people. */
#ifndef OVM_VMI_TEXT_H
#define OVM_VMI_TEXT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Make @len bytes fit for one line of a terminal or for JSON: what is not UTF-8, and what a
 * terminal would act upon instead of showing it (control characters, line separators, marks that
 * change the direction of writing) becomes '?', byte by byte. The length stays.
 */
void ovm_text_clean(char *text, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_TEXT_H */
