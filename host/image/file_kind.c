// SPDX-License-Identifier: GPL-2.0-only
/*
 * What files are called in messages.
 *
 * Files that are no file system's are told by the name that the kernel gives them, and that
 * /proc/PID/fd shows.
 */
#include <string.h>

#include "files.h"

static const char *const kinds[] = {
	[OVM_REC_FILE_REGULAR] = "file",
	[OVM_REC_FILE_DIRECTORY] = "directory",
	[OVM_REC_FILE_CHRDEV_MEM] = "memory device",
	[OVM_REC_FILE_MEMFD] = "memfd",
	[OVM_REC_FILE_SHMEM_ANON] = "shared memory",
	[OVM_REC_FILE_SYSV_SHM] = "System V shared memory",
	[OVM_REC_FILE_HUGETLB_ANON] = "huge pages",
	[OVM_REC_FILE_PIPE] = "pipe",
	[OVM_REC_FILE_FIFO] = "FIFO",
	[OVM_REC_FILE_SOCKET] = "socket",
	[OVM_REC_FILE_TTY] = "terminal",
	[OVM_REC_FILE_CHRDEV] = "character device",
	[OVM_REC_FILE_BLKDEV] = "block device",
	[OVM_REC_FILE_ANON_INODE] = "anonymous inode",
	[OVM_REC_FILE_NAMESPACE] = "namespace",
	[OVM_REC_FILE_OTHER] = "file of an unknown kind",
	[OVM_REC_FILE_MEMFD_HUGETLB] = "memfd of huge pages",
	[OVM_REC_FILE_EVENTFD] = "eventfd",
	[OVM_REC_FILE_TIMERFD] = "timerfd",
	[OVM_REC_FILE_EPOLL] = "epoll instance",
	[OVM_REC_FILE_SIGNALFD] = "signalfd",
	[OVM_REC_FILE_AIO_RING] = "ring of asynchronous I/O",
	[OVM_REC_FILE_INOTIFY] = "inotify instance",
	[OVM_REC_FILE_FANOTIFY] = "fanotify instance",
};

static const struct {
	/* What the name begins with; newer kernels have added brackets to some. */
	const char *name, *kind;
} anonymous[] = {
	{"[io_uring]", "io_uring instance"},
	{"[perf_event]", "perf event"},
	{"[userfaultfd]", "userfaultfd"},
	{"bpf-map", "BPF map"},
	{"bpf-prog", "BPF program"},
	{"bpf_link", "BPF link"},
	{"bpf_iter", "BPF iterator"},
	{"bpf-token", "BPF token"},
	{"btf", "BTF of BPF programs"},
	{"seccomp notify", "seccomp listener"},
	{"[landlock-ruleset]", "Landlock ruleset"},
	{"landlock-ruleset", "Landlock ruleset"},
	{"[fscontext]", "file system context (fsopen)"},
	{"kvm-vm", "KVM virtual machine"},
	{"kvm-vcpu", "KVM virtual CPU"},
	{"kvm-", "KVM object"},
	{"[kvm-gmem]", "memory of a KVM virtual machine"},
	{"[vfio-device]", "VFIO device"},
	{"sync_file", "fence of a graphics device"},
	{"secretmem", "secret memory (memfd_secret)"},
};

/* Those that have no name of their own, or are named by those who make them. */
static const struct {
	uint64_t sb_magic;
	const char *kind;
} file_systems[] = {
	{0x19800202, "POSIX message queue"},
	{0x444d4142, "dma-buf"},
	{0x5345434d, "secret memory (memfd_secret)"},
};

static const char *special(const struct ovm_rec_file *file)
{
	for (size_t i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++)
		if (file->sb_magic == file_systems[i].sb_magic)
			return file_systems[i].kind;
	for (size_t i = 0; i < sizeof(anonymous) / sizeof(anonymous[0]); i++) {
		size_t len = strlen(anonymous[i].name);

		if (file->path.len >= len && !memcmp(file->path.data, anonymous[i].name, len))
			return anonymous[i].kind;
	}
	return NULL;
}

const char *ovm_image_kind_name(const struct ovm_rec_file *file)
{
	const char *found = NULL;

	if (file->kind < 1 || file->kind >= sizeof(kinds) / sizeof(kinds[0]) || !kinds[file->kind])
		return kinds[OVM_REC_FILE_OTHER];
	if (file->pidfd)
		return "pidfd";
	if (file->kind == OVM_REC_FILE_ANON_INODE || file->kind == OVM_REC_FILE_OTHER)
		found = special(file);
	return found ? found : kinds[file->kind];
}
