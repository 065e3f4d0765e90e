// SPDX-License-Identifier: GPL-2.0-only
// The C API of test.h, on top of googletest.
#include <cstdarg>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

// googletest has macros of the same names; those of test.h are for C alone.
#undef ASSERT_TRUE
#undef ASSERT_FALSE
#undef ASSERT_STREQ
#include "test.h"

namespace
{

class c_test : public ::testing::Test
{
public:
	explicit c_test(void (*body)(void)) : body_(body)
	{
	}

	void TestBody() override
	{
		body_();
	}

private:
	void (*body_)(void);
};

std::string format_text(const char *format, va_list ap)
{
	char text[4096];

	vsnprintf(text, sizeof(text), format, ap);
	return text;
}

void fail(const char *file, int line, const std::string &text)
{
	GTEST_MESSAGE_AT_(file, line, text.c_str(), ::testing::TestPartResult::kFatalFailure);
}

} // namespace

void ovm_test_register(const char *suite, const char *name, const char *file, int line,
		       void (*body)(void))
{
	::testing::RegisterTest(suite, name, nullptr, nullptr, file, line,
				[body]() -> ::testing::Test * { return new c_test(body); });
}

void ovm_test_fail(const char *file, int line, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	std::string text = format_text(format, ap);
	va_end(ap);
	fail(file, line, text);
}

void ovm_test_skip(const char *file, int line, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	std::string text = format_text(format, ap);
	va_end(ap);
	GTEST_MESSAGE_AT_(file, line, text.c_str(), ::testing::TestPartResult::kSkip);
}

bool ovm_test_failed(void)
{
	return ::testing::Test::HasFailure();
}

bool ovm_test_ok(const char *file, int line, const char *expression, struct ovm_error *err)
{
	if (!err)
		return true;
	fail(file, line, std::string(expression) + ": " + err->message);
	ovm_error_free(err);
	return false;
}

bool ovm_test_error(const char *file, int line, const char *expression, struct ovm_error *err,
		    enum ovm_error_code code, const char *text)
{
	std::string problem;

	if (!err)
		problem = "succeeds, but should fail";
	else if (err->code != code)
		problem = "fails with code " + std::to_string(err->code) + ", not " +
			  std::to_string(code) + ": " + err->message;
	else if (text && !strstr(err->message, text))
		problem = std::string("message lacks \"") + text + "\": " + err->message;
	ovm_error_free(err);
	if (problem.empty())
		return true;
	fail(file, line, std::string(expression) + " " + problem);
	return false;
}
