// SPDX-License-Identifier: GPL-2.0-only
/* Directories that appear whole or not at all. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/output.h"
#include "test.h"

static char base[] = "/tmp/ovm-test-output.XXXXXX";
static char target[64];

static void make_base(void)
{
	memcpy(base + strlen(base) - 6, "XXXXXX", 6);
	if (!mkdtemp(base))
		OVM_FAIL("can't make %s", base);
	snprintf(target, sizeof(target), "%s/images", base);
}

static void remove_base(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	if (system(command))
		OVM_FAIL("can't remove %s", base);
}

static void write_file(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || write(fd, "x", 1) != 1)
		OVM_FAIL("can't write %s", name);
	close(fd);
}

static bool exists(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return !access(path, F_OK);
}

static unsigned int count_entries(void)
{
	char command[128], text[16] = "";

	snprintf(command, sizeof(command), "ls -A '%s' | wc -l", base);
	FILE *pipe = popen(command, "r");

	if (!pipe || !fgets(text, sizeof(text), pipe))
		text[0] = '\0';
	if (pipe)
		pclose(pipe);
	return (unsigned int)atoi(text);
}

static void check_link(const char *directory, const char *expected)
{
	struct ovm_output *output;
	char path[96], link[96] = "";

	snprintf(path, sizeof(path), "%s/%s", base, directory);
	ASSERT_OK(ovm_output_begin(target, &output));
	ASSERT_OK(ovm_output_link(output, "parent", path));
	ASSERT_TRUE(readlinkat(ovm_output_fd(output), "parent", link, sizeof(link) - 1) > 0);
	ovm_output_end(output);
	if (strcmp(link, expected))
		OVM_FAIL("the link to %s leads to %s", directory, link);
}

OVM_TEST(output, links_relatively)
{
	char command[256];

	make_base();
	snprintf(command, sizeof(command),
		 "cd '%s' && mkdir -p old/deep image images2 && ln -s old/deep short", base);
	ASSERT_TRUE(!system(command));
	check_link("old", "../old");
	check_link("old/", "../old");
	check_link("./old/../old/deep", "../old/deep");
	check_link("short", "../old/deep");
	check_link("image", "../image");
	check_link("images2", "../images2");
	check_link(".", "..");
	check_link("..", "../..");
	remove_base();
}

OVM_TEST(output, links_to_what_is_there_only)
{
	struct ovm_output *output;

	make_base();
	ASSERT_OK(ovm_output_begin(target, &output));
	ASSERT_ERROR(ovm_output_link(output, "parent", "/nowhere/at/all"), OVM_ERROR_USAGE,
		     "/nowhere");
	ovm_output_end(output);
	remove_base();
}

OVM_TEST(output, appears_when_committed)
{
	struct ovm_output *output;

	make_base();
	ASSERT_OK(ovm_output_begin(target, &output));
	write_file(ovm_output_fd(output), "core-1.img");
	ASSERT_FALSE(exists("images"));
	ASSERT_OK(ovm_output_commit(output));
	ASSERT_TRUE(exists("images/core-1.img"));
	ovm_output_end(output);
	ASSERT_TRUE(exists("images/core-1.img"));
	ASSERT_EQ_U64(count_entries(), 1);
	remove_base();
}

OVM_TEST(output, leaves_nothing_without_commit)
{
	struct ovm_output *output;

	make_base();
	ASSERT_OK(ovm_output_begin(target, &output));
	write_file(ovm_output_fd(output), "core-1.img");
	ovm_output_end(output);
	ASSERT_EQ_U64(count_entries(), 0);
	remove_base();
}

OVM_TEST(output, takes_an_empty_directory_but_no_other)
{
	struct ovm_output *output;

	make_base();
	ASSERT_EQ_U64(mkdir(target, 0700), 0);
	ASSERT_OK(ovm_output_begin(target, &output));
	write_file(ovm_output_fd(output), "core-1.img");
	ASSERT_OK(ovm_output_commit(output));
	ovm_output_end(output);
	ASSERT_TRUE(exists("images/core-1.img"));
	ASSERT_ERROR(ovm_output_begin(target, &output), OVM_ERROR_OUTPUT, "is not empty");
	remove_base();
}

OVM_TEST(output, does_not_replace_what_filled_up_meanwhile)
{
	struct ovm_output *output;

	make_base();
	ASSERT_OK(ovm_output_begin(target, &output));
	ASSERT_EQ_U64(mkdir(target, 0700), 0);
	int fd = open(target, O_RDONLY | O_DIRECTORY);

	write_file(fd, "precious");
	close(fd);
	ASSERT_ERROR(ovm_output_commit(output), OVM_ERROR_OUTPUT, NULL);
	ovm_output_end(output);
	ASSERT_TRUE(exists("images/precious"));
	ASSERT_EQ_U64(count_entries(), 1);
	remove_base();
}

OVM_TEST(output, removes_what_a_killed_writer_left)
{
	struct ovm_output *output;
	char path[128];

	make_base();
	snprintf(path, sizeof(path), "%s/.images.ovm-partial.00000001", base);
	ASSERT_EQ_U64(mkdir(path, 0700), 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	write_file(fd, "pages-1.img");
	/* As long as its writer lives, it stays. */
	ASSERT_EQ_U64(flock(fd, LOCK_EX), 0);
	ASSERT_OK(ovm_output_begin(target, &output));
	ovm_output_end(output);
	ASSERT_TRUE(exists(".images.ovm-partial.00000001"));
	close(fd);
	ASSERT_OK(ovm_output_begin(target, &output));
	ovm_output_end(output);
	ASSERT_FALSE(exists(".images.ovm-partial.00000001"));
	remove_base();
}

OVM_TEST(output, says_what_is_wrong_with_a_name)
{
	struct ovm_output *output;

	ASSERT_ERROR(ovm_output_begin("/", &output), OVM_ERROR_OUTPUT, "a name of its own");
	ASSERT_ERROR(ovm_output_begin("..", &output), OVM_ERROR_OUTPUT, "a name of its own");
	ASSERT_ERROR(ovm_output_begin("/nonexistent/images", &output), OVM_ERROR_OUTPUT,
		     "can't open the parent directory");
	ASSERT_ERROR(ovm_output_begin("/dev/null", &output), OVM_ERROR_OUTPUT, "can't use");
}

OVM_TEST(output, trailing_slashes_do_not_matter)
{
	struct ovm_output *output;
	char name[80];

	make_base();
	snprintf(name, sizeof(name), "%s//", target);
	ASSERT_OK(ovm_output_begin(name, &output));
	ASSERT_OK(ovm_output_commit(output));
	ovm_output_end(output);
	ASSERT_TRUE(exists("images"));
	remove_base();
}
