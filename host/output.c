// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmi/cleanup.h"

static const char partial_infix[] = ".ovm-partial.";

struct ovm_output {
	char *directory; /* as the caller named it */
	char *name;	 /* its last component */
	char *partial;	 /* name of the temporary directory in the parent */
	int parent_fd;
	int fd;
	bool committed;
};

int ovm_output_fd(const struct ovm_output *output)
{
	return output->fd;
}

static void closedir_guard(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}
#define _cleanup_closedir_ _cleanup_(closedir_guard)

static DIR *opendir_at(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

static bool is_dot(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* Remove a directory that holds files only, as a temporary one does. */
static void remove_flat_directory(int parent_fd, const char *name)
{
	_cleanup_closedir_ DIR *dir = opendir_at(parent_fd, name);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (!is_dot(entry->d_name))
			unlinkat(dirfd(dir), entry->d_name, 0);
	unlinkat(parent_fd, name, AT_REMOVEDIR);
}

/* Remove what killed writers left behind for the same target. */
static void remove_stale(const struct ovm_output *output)
{
	_cleanup_closedir_ DIR *dir = opendir_at(output->parent_fd, ".");
	_cleanup_free_ char *prefix = NULL;
	struct dirent *entry;

	if (!dir || asprintf(&prefix, ".%s%s", output->name, partial_infix) < 0)
		return;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		_cleanup_close_ int fd = openat(output->parent_fd, entry->d_name,
						O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
			remove_flat_directory(output->parent_fd, entry->d_name);
	}
}

static struct ovm_error *check_target(const struct ovm_output *output)
{
	_cleanup_closedir_ DIR *dir = opendir_at(output->parent_fd, output->name);
	struct dirent *entry;

	if (!dir) {
		if (errno == ENOENT)
			return NULL;
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, output->directory,
				       "can't use %s as image directory", output->directory);
	}
	while ((entry = readdir(dir)))
		if (!is_dot(entry->d_name))
			return ovm_error_format(OVM_ERROR_OUTPUT,
						"%s is not empty: name a new or an empty directory",
						output->directory);
	return NULL;
}

/* Split into parent and last component, trailing slashes aside. */
static struct ovm_error *open_parent(struct ovm_output *output)
{
	_cleanup_free_ char *path = strdup(output->directory);

	if (!path)
		return ovm_error_no_memory();
	for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';

	char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;

	if (!*base || is_dot(base))
		return ovm_error_format(OVM_ERROR_OUTPUT,
					"\"%s\" can't be an image directory: give it a "
					"name of its own",
					output->directory);
	output->name = strdup(base);
	if (!output->name)
		return ovm_error_no_memory();
	if (slash)
		slash[slash == path] = '\0';
	output->parent_fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (output->parent_fd < 0)
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, path,
				       "can't open the parent directory %s", slash ? path : ".");
	return NULL;
}

/* Open and lock the temporary directory; false when another dump took it for a stale one. */
static bool claim_partial(struct ovm_output *output)
{
	struct stat st;

	output->fd = openat(output->parent_fd, output->partial,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (output->fd >= 0 && !flock(output->fd, LOCK_EX | LOCK_NB) && !fstat(output->fd, &st) &&
	    st.st_nlink > 0)
		return true;
	if (output->fd >= 0)
		close(output->fd);
	output->fd = -1;
	return false;
}

/* mkdtemp(3) relative to a directory. */
static struct ovm_error *make_partial(struct ovm_output *output)
{
	errno = EEXIST;
	for (unsigned int i = 0; i < 100; i++) {
		uint32_t tag;

		if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
			break;
		free(output->partial);
		output->partial = NULL;
		if (asprintf(&output->partial, ".%s%s%08x", output->name, partial_infix, tag) < 0)
			return ovm_error_no_memory();
		if (mkdirat(output->parent_fd, output->partial, 0700)) {
			if (errno == EEXIST)
				continue;
			break;
		}
		if (claim_partial(output))
			return NULL;
	}
	return ovm_error_errno(OVM_ERROR_OUTPUT, errno, output->directory,
			       "can't make a temporary directory beside %s", output->directory);
}

struct ovm_error *ovm_output_begin(const char *directory, struct ovm_output **ret)
{
	struct ovm_output *output = calloc(1, sizeof(*output));
	struct ovm_error *err = NULL;

	*ret = NULL;
	if (!output)
		return ovm_error_no_memory();
	output->parent_fd = output->fd = -1;
	output->directory = strdup(directory);
	if (!output->directory)
		err = ovm_error_no_memory();
	if (!err)
		err = open_parent(output);
	if (!err)
		err = check_target(output);
	if (!err) {
		remove_stale(output);
		err = make_partial(output);
	}
	if (err) {
		ovm_output_end(output);
		return err;
	}
	*ret = output;
	return NULL;
}

/* The path from the directory @from to @to; both are absolute, without links or dots. */
static char *relative_path(const char *from, const char *to)
{
	size_t same = 0, len = strlen(to), ups = 0;

	/* Up to where the components are the same. */
	for (size_t i = 0; from[i] == to[i] || !from[i] || !to[i]; i++) {
		if ((!from[i] || from[i] == '/') && (!to[i] || to[i] == '/'))
			same = i;
		if (!from[i] || !to[i])
			break;
	}
	for (const char *p = from + same; *p; p++)
		ups += *p == '/' && p[1] && p[1] != '/';
	char *path = calloc(1, 3 * ups + len - same + 2);

	for (size_t i = 0; path && i < ups; i++)
		strcat(path, i ? "/.." : "..");
	for (to += same; *to == '/'; to++)
		;
	if (path && *to && *path)
		strcat(path, "/");
	if (path)
		strcat(path, *to || *path ? to : ".");
	return path;
}

/* Where the images will be. */
static char *final_path(const struct ovm_output *output)
{
	_cleanup_free_ char *parent = NULL, *fd_path = NULL;
	char *path = NULL;

	if (asprintf(&fd_path, "/proc/self/fd/%d", output->parent_fd) < 0)
		return NULL;
	parent = realpath(fd_path, NULL);
	if (!parent ||
	    asprintf(&path, "%s/%s", strcmp(parent, "/") ? parent : "", output->name) < 0)
		return NULL;
	return path;
}

struct ovm_error *ovm_output_link(struct ovm_output *output, const char *name,
				  const char *directory)
{
	_cleanup_free_ char *to = realpath(directory, NULL);
	_cleanup_free_ char *from = final_path(output);
	_cleanup_free_ char *path = NULL;
	struct stat wanted, found;

	if (!to)
		return ovm_error_errno(OVM_ERROR_USAGE, errno, directory, "can't find %s",
				       directory);
	path = from ? relative_path(from, to) : NULL;
	if (!path)
		return ovm_error_no_memory();
	if (symlinkat(path, output->fd, name))
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, name,
				       "can't make the link %s to %s", name, path);
	if (stat(directory, &wanted) || fstatat(output->fd, name, &found, 0) ||
	    wanted.st_dev != found.st_dev || wanted.st_ino != found.st_ino)
		return ovm_error_format(OVM_ERROR_OUTPUT,
					"a link to %s that begins at %s doesn't lead there",
					directory, output->directory);
	return NULL;
}

/* At how many images the whole file system is written to disk, with what others have there. */
enum { MANY_FILES = 64 };

static struct ovm_error *sync_file(const struct ovm_output *output, const char *name)
{
	_cleanup_close_ int fd = openat(output->fd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, name, "can't write %s to disk",
				       name);
	return NULL;
}

/* A file system has to finish what it is doing for each file: of many, all at once is faster. */
static struct ovm_error *sync_files(const struct ovm_output *output)
{
	_cleanup_closedir_ DIR *dir = opendir_at(output->fd, ".");
	struct ovm_error *err = NULL;
	struct dirent *entry;
	unsigned int nr = 0;

	if (!dir)
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, output->directory,
				       "can't list the images");
	while (nr <= MANY_FILES && (entry = readdir(dir)))
		nr++;
	if (nr > MANY_FILES) {
		if (syncfs(output->fd))
			return ovm_error_errno(OVM_ERROR_OUTPUT, errno, output->directory,
					       "can't write the images to disk");
		return NULL;
	}
	rewinddir(dir);
	while (!err && (entry = readdir(dir)))
		if (!is_dot(entry->d_name) && entry->d_type != DT_LNK)
			err = sync_file(output, entry->d_name);
	fsync(output->fd);
	return err;
}

struct ovm_error *ovm_output_commit(struct ovm_output *output)
{
	struct ovm_error *err = sync_files(output);

	if (err)
		return err;
	/* Replaces an empty directory, and nothing else. */
	if (renameat(output->parent_fd, output->partial, output->parent_fd, output->name))
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, output->directory,
				       "can't give the images the name %s", output->directory);
	output->committed = true;
	fsync(output->parent_fd);
	return NULL;
}

void ovm_output_end(struct ovm_output *output)
{
	if (!output)
		return;
	if (output->partial && output->fd >= 0 && !output->committed)
		remove_flat_directory(output->parent_fd, output->partial);
	if (output->fd >= 0)
		close(output->fd);
	if (output->parent_fd >= 0)
		close(output->parent_fd);
	free(output->partial);
	free(output->name);
	free(output->directory);
	free(output);
}
