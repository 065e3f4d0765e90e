/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unit tests in C on top of googletest.
 *
 *	OVM_TEST(memory, reads_across_ranges)
 *	{
 *		ASSERT_OK(ovm_memory_create(...));
 *		ASSERT_EQ_U64(value, 42);
 *	}
 *
 * A failed assertion says so and returns from the function that it stands in,
 * so helpers that assert return void and the test checks ovm_test_failed().
 */
#ifndef OVM_TESTS_UNIT_TEST_H
#define OVM_TESTS_UNIT_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vmi/error.h"

#ifdef __cplusplus
extern "C" {
#endif

void ovm_test_register(const char *suite, const char *name, const char *file, int line,
		       void (*body)(void));
void ovm_test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void ovm_test_skip(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/** Whether the test under way has failed already. */
bool ovm_test_failed(void);
/** Report an error as a failure, unless it is NULL; frees it. Returns whether it was NULL. */
bool ovm_test_ok(const char *file, int line, const char *expression, struct ovm_error *err);
/** Report anything but an error with @code whose message holds @text (if not NULL); frees it. */
bool ovm_test_error(const char *file, int line, const char *expression, struct ovm_error *err,
		    enum ovm_error_code code, const char *text);

#ifdef __cplusplus
}
#endif

#define OVM_TEST(suite, name)                                                                \
	static void suite##_##name##_body(void);                                             \
	__attribute__((constructor)) static void suite##_##name##_register(void)             \
	{                                                                                    \
		ovm_test_register(#suite, #name, __FILE__, __LINE__, suite##_##name##_body); \
	}                                                                                    \
	static void suite##_##name##_body(void)

#define OVM_SKIP(...)                                           \
	do {                                                    \
		ovm_test_skip(__FILE__, __LINE__, __VA_ARGS__); \
		return;                                         \
	} while (0)

#define OVM_FAIL(...)                                           \
	do {                                                    \
		ovm_test_fail(__FILE__, __LINE__, __VA_ARGS__); \
		return;                                         \
	} while (0)

/* The expression must return no error. */
#define ASSERT_OK(expression)                                                    \
	do {                                                                     \
		if (!ovm_test_ok(__FILE__, __LINE__, #expression, (expression))) \
			return;                                                  \
	} while (0)

/* The expression must return an error with this code whose message holds the text (or NULL). */
#define ASSERT_ERROR(expression, error_code, text)                                               \
	do {                                                                                     \
		if (!ovm_test_error(__FILE__, __LINE__, #expression, (expression), (error_code), \
				    (text)))                                                     \
			return;                                                                  \
	} while (0)

#define ASSERT_TRUE(condition)                                \
	do {                                                  \
		if (!(condition))                             \
			OVM_FAIL("not true: %s", #condition); \
	} while (0)

#define ASSERT_FALSE(condition)                                \
	do {                                                   \
		if (condition)                                 \
			OVM_FAIL("not false: %s", #condition); \
	} while (0)

#define ASSERT_EQ_U64(actual, expected)                                                      \
	do {                                                                                 \
		unsigned long long _actual = (unsigned long long)(actual);                   \
		unsigned long long _expected = (unsigned long long)(expected);               \
		if (_actual != _expected)                                                    \
			OVM_FAIL("%s is %llu (0x%llx), not %llu (0x%llx)", #actual, _actual, \
				 _actual, _expected, _expected);                             \
	} while (0)

#define ASSERT_STREQ(actual, expected)                                                            \
	do {                                                                                      \
		const char *_actual = (actual), *_expected = (expected);                          \
		if (!_actual || !_expected || strcmp(_actual, _expected))                         \
			OVM_FAIL("%s is \"%s\", not \"%s\"", #actual, _actual ? _actual : "NULL", \
				 _expected ? _expected : "NULL");                                 \
	} while (0)

#define ASSERT_MEMEQ(actual, expected, len)                               \
	do {                                                              \
		if (memcmp((actual), (expected), (len)))                  \
			OVM_FAIL("%s and %s differ", #actual, #expected); \
	} while (0)

#endif /* OVM_TESTS_UNIT_TEST_H */
