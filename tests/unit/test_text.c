// SPDX-License-Identifier: GPL-2.0-only
#include "vmi/text.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

static const char *clean(const char *text, size_t len)
{
	static char buf[64];

	memcpy(buf, text, len);
	buf[len] = '\0';
	ovm_text_clean(buf, len);
	return buf;
}

#define CLEAN(literal) clean(literal, sizeof(literal) - 1)

OVM_TEST(text, leaves_what_can_be_shown)
{
	ASSERT_STREQ(CLEAN(""), "");
	ASSERT_STREQ(CLEAN("ls -l /tmp"), "ls -l /tmp");
	ASSERT_STREQ(CLEAN("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa7"),
		     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa7");
}

OVM_TEST(text, hides_what_a_terminal_acts_upon)
{
	ASSERT_STREQ(CLEAN("a\033[2Jb\nc\td\x7f\0e"), "a?[2Jb?c?d??e");
	/* CSI of the second control set; line separator; right-to-left override. */
	ASSERT_STREQ(CLEAN("\xc2\x9b\x31m"), "??1m");
	ASSERT_STREQ(CLEAN("\xe2\x80\xa8"), "???");
	ASSERT_STREQ(CLEAN("x\xe2\x80\xaey"), "x???y");
}

OVM_TEST(text, hides_what_is_not_utf_8)
{
	ASSERT_STREQ(CLEAN("\x9b\x31m"), "?1m");
	ASSERT_STREQ(CLEAN("caf\xe9"), "caf?");
	/* Cut off; too long a form of '/'; a surrogate; beyond Unicode. */
	ASSERT_STREQ(CLEAN("\xe2\x82"), "??");
	ASSERT_STREQ(CLEAN("\xc0\xaf"), "??");
	ASSERT_STREQ(CLEAN("\xed\xa0\x80"), "???");
	ASSERT_STREQ(CLEAN("\xf4\x90\x80\x80\xff"), "?????");
}
