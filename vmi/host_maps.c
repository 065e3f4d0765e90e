// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's side of guest RAM: QEMU's mappings and the files behind them.
 *
 * A line of /proc/PID/maps (Documentation/filesystems/proc.rst):
 *
 *	7fe6a3fff000-7fe763fff000 rw-s 00000000 00:1a 3	/dev/shm/ram
 *
 * start-end, permissions (s shared, p private), offset, device, inode, path.
 */
#include "ram_layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "cleanup.h"

static bool parse_vma(char *line, struct ovm_host_vma *ret)
{
	unsigned int major, minor;
	uint64_t inode;
	char permissions[5];
	int used = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &ret->start, &ret->end, permissions, &ret->offset, &major, &minor, &inode,
		   &used) != 7 ||
	    strlen(permissions) != 4 || ret->end <= ret->start)
		return false;
	ret->device = makedev(major, minor);
	ret->inode = inode;
	ret->readable = permissions[0] == 'r';
	ret->writable = permissions[1] == 'w';
	ret->shared = permissions[3] == 's';
	ret->path = strdup(used ? line + used : "");
	return ret->path;
}

struct ovm_error *ovm_host_maps_parse(const char *text, struct ovm_host_maps *ret)
{
	struct ovm_host_maps maps = {0};
	_cleanup_free_ char *copy = strdup(text);
	char *position = copy, *line;
	size_t lines = 1;

	memset(ret, 0, sizeof(*ret));
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	maps.vmas = calloc(lines, sizeof(*maps.vmas));
	if (!copy || !maps.vmas) {
		free(maps.vmas);
		return ovm_error_no_memory();
	}
	while ((line = strsep(&position, "\n"))) {
		if (*line && parse_vma(line, &maps.vmas[maps.nr]))
			maps.nr++;
	}
	*ret = maps;
	return NULL;
}

/* Read a file of /proc, whose size isn't known beforehand. */
static struct ovm_error *read_text(const char *path, char **ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t len = 0, capacity = 0;
	ssize_t n;

	if (fd < 0)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, path,
				       "can't open %s; be root or the user that runs QEMU, in the "
				       "same container",
				       path);
	do {
		if (len + 1 >= capacity) {
			capacity = capacity ? capacity * 2 : 64 << 10;
			char *grown = realloc(text, capacity);

			if (!grown)
				return ovm_error_no_memory();
			text = grown;
		}
		n = read(fd, text + len, capacity - len - 1);
		if (n < 0)
			return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, path, "can't read %s",
					       path);
		len += (size_t)n;
	} while (n);
	text[len] = '\0';
	*ret = ovm_take_pointer(text);
	return NULL;
}

struct ovm_error *ovm_host_maps_read(pid_t pid, struct ovm_host_maps *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[32];

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	struct ovm_error *err = read_text(path, &text);

	return err ?: ovm_host_maps_parse(text, ret);
}

void ovm_host_maps_deinit(struct ovm_host_maps *maps)
{
	for (size_t i = 0; i < maps->nr; i++)
		free(maps->vmas[i].path);
	free(maps->vmas);
	memset(maps, 0, sizeof(*maps));
}

static const struct ovm_host_vma *find_vma(const struct ovm_host_maps *maps, uint64_t address)
{
	for (size_t i = 0; i < maps->nr; i++) {
		if (address >= maps->vmas[i].start && address < maps->vmas[i].end)
			return &maps->vmas[i];
	}
	return NULL;
}

bool ovm_host_maps_cover(const struct ovm_host_maps *maps, uint64_t address, uint64_t size)
{
	while (size) {
		const struct ovm_host_vma *vma = find_vma(maps, address);

		if (!vma || !vma->readable || !vma->writable)
			return false;
		if (vma->end - address >= size)
			return true;
		size -= vma->end - address;
		address = vma->end;
	}
	return true;
}

/* A file that backs guest RAM, opened once. */
struct ram_file {
	dev_t device;
	ino_t inode;
	int fd;
	enum ovm_ram_kind kind;
};

/* What ovm_layout_open() has made so far. */
struct opening {
	pid_t pid;
	struct ram_file *files;
	size_t nr_files;
	struct ovm_ram_range *ranges;
	size_t nr_ranges, max_ranges;
	bool all_shared;
};

static bool is_file_of(int fd, const struct ovm_host_vma *vma, bool check_device)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && st.st_ino == vma->inode &&
	       (!check_device || st.st_dev == vma->device);
}

/* Open @path if it is the file of @vma, else -1 (with errno from open(2) or ESTALE). */
static int open_if_same(const char *path, const struct ovm_host_vma *vma, bool check_device)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (!is_file_of(fd, vma, check_device)) {
		errno = ESTALE;
		return -1;
	}
	return ovm_take_fd(&fd);
}

/* Look among QEMU's descriptors, which need no privilege beyond being the same user. */
static int open_among_fds(pid_t pid, const struct ovm_host_vma *vma)
{
	char path[64];
	int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);

	if (!dir)
		return -1;
	for (struct dirent *entry; fd < 0 && (entry = readdir(dir));) {
		struct stat st;

		snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", (int)pid, entry->d_name);
		if (!stat(path, &st) && st.st_ino == vma->inode && st.st_dev == vma->device)
			fd = open_if_same(path, vma, true);
	}
	closedir(dir);
	return fd;
}

/*
 * Open the file behind a mapping.  map_files reaches any file, deleted ones and
 * memfds too, but takes CAP_CHECKPOINT_RESTORE; a file system may show another
 * device number in maps than in stat(2) (btrfs), so there only the inode counts.
 */
static int open_backing(pid_t pid, const struct ovm_host_vma *vma)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid,
		 vma->start, vma->end);
	int fd = open_if_same(path, vma, false);

	if (fd < 0)
		fd = open_among_fds(pid, vma);
	if (fd < 0 && vma->path[0] == '/')
		fd = open_if_same(vma->path, vma, true);
	return fd;
}

/* Pages of hugetlbfs can't be told from holes, those of a device can't be read. */
static enum ovm_ram_kind file_kind(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || fstatfs(fd, &fs))
		return OVM_RAM_PROCESS;
	return fs.f_type == HUGETLBFS_MAGIC ? OVM_RAM_FILE : OVM_RAM_MAPPED;
}

static struct ram_file *get_file(struct opening *opening, const struct ovm_host_vma *vma)
{
	for (size_t i = 0; i < opening->nr_files; i++) {
		struct ram_file *file = &opening->files[i];

		if (file->device == vma->device && file->inode == vma->inode)
			return file;
	}

	struct ram_file *file = &opening->files[opening->nr_files++];

	*file = (struct ram_file){.device = vma->device, .inode = vma->inode};
	file->fd = open_backing(opening->pid, vma);
	file->kind = file->fd < 0 ? OVM_RAM_PROCESS : file_kind(file->fd);
	if (file->kind == OVM_RAM_PROCESS && file->fd >= 0) {
		close(file->fd);
		file->fd = -1;
	}
	return file;
}

static struct ovm_error *probe_process(pid_t pid, uint64_t address)
{
	uint8_t byte;
	struct iovec local = {&byte, 1}, remote = {(void *)(uintptr_t)address, 1};

	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) == 1)
		return NULL;
	return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
			       "can't read the memory of QEMU (process %d); be root, or the user "
			       "that runs it with ptrace allowed (kernel.yama.ptrace_scope)",
			       (int)pid);
}

/* Add the part of a range that one mapping shows. */
static struct ovm_error *open_piece(struct opening *opening, const struct ovm_host_vma *vma,
				    uint64_t gpa, uint64_t address, uint64_t size)
{
	const struct ram_file *file = vma->shared ? get_file(opening, vma) : NULL;

	if (opening->nr_ranges == opening->max_ranges)
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"QEMU maps guest RAM in more than %zu pieces",
					opening->max_ranges);
	struct ovm_ram_range *range = &opening->ranges[opening->nr_ranges];

	*range = (struct ovm_ram_range){.gpa = gpa, .size = size, .fd = -1};
	if (!vma->shared)
		opening->all_shared = false;
	if (file && file->kind != OVM_RAM_PROCESS) {
		range->kind = file->kind;
		range->fd = file->fd;
		range->file_offset = vma->offset + (address - vma->start);
	} else {
		range->kind = OVM_RAM_PROCESS;
		range->vmm_pid = opening->pid;
		range->vmm_address = address;
		struct ovm_error *err = probe_process(opening->pid, address);

		if (err)
			return err;
	}
	opening->nr_ranges++;
	return NULL;
}

static struct ovm_error *open_range(struct opening *opening, const struct ovm_host_maps *maps,
				    const struct ovm_layout_range *range)
{
	uint64_t done = 0;

	while (done < range->size) {
		const struct ovm_host_vma *vma = find_vma(maps, range->hva + done);

		if (!vma)
			return ovm_error_address(OVM_ERROR_UNREACHABLE, range->gpa + done,
						 "QEMU's process maps nothing for RAM at");
		uint64_t size = vma->end - (range->hva + done);

		if (size > range->size - done)
			size = range->size - done;
		struct ovm_error *err =
			open_piece(opening, vma, range->gpa + done, range->hva + done, size);

		if (err)
			return err;
		done += size;
	}
	return NULL;
}

struct ovm_error *ovm_layout_open(const struct ovm_layout *layout, const struct ovm_host_maps *maps,
				  pid_t pid, struct ovm_memory **ret, bool *shared)
{
	struct opening opening = {.pid = pid, .all_shared = true};
	struct ovm_error *err = NULL;

	*ret = NULL;
	opening.max_ranges = layout->nr + maps->nr;
	opening.files = calloc(maps->nr + 1, sizeof(*opening.files));
	opening.ranges = calloc(opening.max_ranges, sizeof(*opening.ranges));
	if (!opening.files || !opening.ranges)
		err = ovm_error_no_memory();
	for (size_t i = 0; i < layout->nr && !err; i++)
		err = open_range(&opening, maps, &layout->ranges[i]);
	*shared = opening.all_shared;
	if (!err) {
		err = ovm_memory_create(opening.ranges, opening.nr_ranges, ret);
	} else {
		for (size_t i = 0; i < opening.nr_files; i++) {
			if (opening.files[i].fd >= 0)
				close(opening.files[i].fd);
		}
	}
	free(opening.files);
	free(opening.ranges);
	return err;
}
