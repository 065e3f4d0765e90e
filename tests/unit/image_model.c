// SPDX-License-Identifier: GPL-2.0-only
#include "image_model.h"

#include <string.h>
#include <sys/stat.h>

struct ovm_rec_bytes image_model_bytes(const char *text)
{
	return (struct ovm_rec_bytes){(uint8_t *)(uintptr_t)text, strlen(text)};
}

static struct ovm_rec_file file(enum model_file number, enum ovm_rec_file_kind kind, uint32_t mode,
				const char *path)
{
	return (struct ovm_rec_file){
		.file = 0xffff888000010000 + number * 0x100,
		.inode = 0xffff888000020000 + number * 0x400,
		.ino = 100 + number,
		.kind = kind,
		.mode = mode,
		.fmode = 3,
		.nlink = 1,
		.mnt_id = 20,
		.reachable = 1,
		.path = image_model_bytes(path),
	};
}

static void init_files(struct image_model *m)
{
	struct ovm_rec_file *f = m->files;

	f[MODEL_EXE] = file(MODEL_EXE, OVM_REC_FILE_REGULAR, S_IFREG | 0755, "/bin/program");
	f[MODEL_EXE].size = 40960;
	f[MODEL_EXE].fmode = 1;
	f[MODEL_EXE_TWICE] = f[MODEL_EXE];
	f[MODEL_EXE_TWICE].file++;
	f[MODEL_NULL] = file(MODEL_NULL, OVM_REC_FILE_CHRDEV_MEM, S_IFCHR | 0666, "/dev/null");
	f[MODEL_NULL].rdev_major = 1;
	f[MODEL_NULL].rdev_minor = 3;
	f[MODEL_NULL].flags = 0100002;
	f[MODEL_LOG] = file(MODEL_LOG, OVM_REC_FILE_REGULAR, S_IFREG | 0600, "/var/log/program");
	f[MODEL_LOG].flags = 0102001;
	f[MODEL_LOG].pos = f[MODEL_LOG].size = 1234;
	f[MODEL_SHM] = file(MODEL_SHM, OVM_REC_FILE_SHMEM_ANON, S_IFREG | 0777, "dev/zero");
	f[MODEL_SHM].size = 0x4000;
	f[MODEL_SHM].seals = 1;
	f[MODEL_MEMFD] = file(MODEL_MEMFD, OVM_REC_FILE_MEMFD, S_IFREG | 0777, "memfd:blob");
	f[MODEL_MEMFD].size = 0x2000;
	f[MODEL_MEMFD].flags = 0100002;
	f[MODEL_MEMFD].uid = 1000;
	f[MODEL_CWD] = file(MODEL_CWD, OVM_REC_FILE_DIRECTORY, S_IFDIR | 0755, "/home");
	f[MODEL_ROOT] = file(MODEL_ROOT, OVM_REC_FILE_DIRECTORY, S_IFDIR | 0755, "/");
	for (int i = 0; i + 1 < MODEL_NR_FILES; i++)
		if (i != MODEL_CWD && i != MODEL_ROOT)
			f[i].next = &f[i + 1 == MODEL_CWD ? MODEL_EXE_TWICE : i + 1];
}

static void init_fds(struct image_model *m)
{
	const struct ovm_rec_fd fds[MODEL_NR_FDS] = {
		{.fd = 0, .file = &m->files[MODEL_NULL]},
		{.fd = 1, .file = &m->files[MODEL_LOG]},
		{.fd = 2, .file = &m->files[MODEL_NULL]},
		{.fd = 7, .file = &m->files[MODEL_MEMFD], .cloexec = 1},
	};

	memcpy(m->fds, fds, sizeof(fds));
	for (int i = 0; i + 1 < MODEL_NR_FDS; i++)
		m->fds[i].next = &m->fds[i + 1];
}

static void init_vmas(struct image_model *m)
{
	const struct ovm_rec_vma vmas[MODEL_NR_VMAS] = {
		[MODEL_CODE] = {.start = 0x400000,
				.end = 0x405000,
				.read = 1,
				.exec = 1,
				.file = &m->files[MODEL_EXE]},
		[MODEL_DATA] = {.start = 0x405000,
				.end = 0x407000,
				.read = 1,
				.write = 1,
				.pgoff = 5,
				.file = &m->files[MODEL_EXE_TWICE]},
		[MODEL_HEAP] = {.start = 0x1000000, .end = 0x1021000, .read = 1, .write = 1},
		[MODEL_SHARED] = {.start = 0x7f0000000000,
				  .end = 0x7f0000004000,
				  .read = 1,
				  .write = 1,
				  .shared = 1,
				  .may_share = 1,
				  .file = &m->files[MODEL_SHM]},
		[MODEL_MEMFD_PRIVATE] = {.start = 0x7f0000010000,
					 .end = 0x7f0000011000,
					 .read = 1,
					 .pgoff = 1,
					 .file = &m->files[MODEL_MEMFD]},
		[MODEL_STACK] = {.start = 0x7ffd00000000,
				 .end = 0x7ffd00021000,
				 .read = 1,
				 .write = 1,
				 .growsdown = 1,
				 .pgoff = 0x7ffffffde},
		[MODEL_VVAR] = {.start = 0x7ffd00100000,
				.end = 0x7ffd00104000,
				.read = 1,
				.io = 1,
				.pfnmap = 1,
				.dontdump = 1,
				.vvar = 1,
				.special = "[vvar]"},
		[MODEL_VDSO] = {.start = 0x7ffd00104000,
				.end = 0x7ffd00106000,
				.read = 1,
				.exec = 1,
				.vdso = 1,
				.special = "[vdso]"},
	};

	memcpy(m->vmas, vmas, sizeof(vmas));
	for (int i = 0; i + 1 < MODEL_NR_VMAS; i++)
		m->vmas[i].next = &m->vmas[i + 1];
}

static void init_mm(struct image_model *m)
{
	m->process.mm = (struct ovm_rec_mm){
		.start_code = 0x400000,
		.end_code = 0x404321,
		.start_data = 0x405000,
		.end_data = 0x406000,
		.start_stack = 0x7ffd00020000,
		.start_brk = 0x1000000,
		.brk = 0x1021000,
		.arg_start = 0x7ffd00020100,
		.arg_end = 0x7ffd00020110,
		.env_start = 0x7ffd00020110,
		.env_end = 0x7ffd00020200,
		.nr_auxv = 4,
		.auxv = {6, 4096, 0, 0},
		.dumpable = 1,
		.exe = &m->files[MODEL_EXE],
		.vmas = m->vmas,
		.nr_vmas = MODEL_NR_VMAS,
	};
}

static void init_shmem(struct image_model *m)
{
	m->shmem[0] = (struct ovm_rec_shmem){.next = &m->shmem[1],
					     .inode = m->files[MODEL_SHM].inode,
					     .ino = m->files[MODEL_SHM].ino,
					     .size = m->files[MODEL_SHM].size};
	m->shmem[1] = (struct ovm_rec_shmem){.inode = m->files[MODEL_MEMFD].inode,
					     .ino = m->files[MODEL_MEMFD].ino,
					     .size = m->files[MODEL_MEMFD].size};
	m->shmem_pagemap[0] = (struct ovm_image_pagemap_entry){0x1000, 2};
	m->image_shmem[0] = (struct ovm_image_shmem){&m->shmem[0], {m->shmem_pagemap, 1, 2}};
	m->image_shmem[1] = (struct ovm_image_shmem){&m->shmem[1], {NULL, 0, 3}};
}

static void init_thread(struct image_model *m, int i)
{
	struct ovm_rec_thread *rec = &m->threads[i];
	const uint64_t in_use = 7;

	*rec = (struct ovm_rec_thread){
		.tid = i ? MODEL_TID : MODEL_PID,
		.vtid = i ? MODEL_TID : MODEL_PID,
		.comm = "program",
		.user_xfeatures = 0x207,
		.xfeatures = 0x207,
		.clear_child_tid = 0x1000690,
		.robust_list = 0x10006a0,
		.rseq = 0x1000ce0,
		.rseq_len = 32,
		.rseq_sig = 0x53053053,
		.sas_flags = 2,
		.creds = {.uid = 1000,
			  .gid = 1000,
			  .user_ns_initial = 1,
			  .cap_bounding = UINT64_C(0x1ffffffffff)},
		.nr_cpus_allowed = 2,
		.cpus_allowed = {3},
		.mm = 1,
		.files = 2,
		.fs = 3,
		.sighand = 4,
		.nsproxy = 5,
	};
	memcpy(m->xsave[i] + OVM_XSAVE_HEADER, &in_use, sizeof(in_use));
	m->image_threads[i] = (struct ovm_image_thread){
		.rec = rec,
		.regs = {.cs = 0x33,
			 .ss = 0x2b,
			 .ip = 0x401000,
			 .sp = 0x7ffd0001ff00,
			 .orig_ax = (uint64_t)-1},
		.fs_base = 0x10003c0,
		.xsave = m->xsave[i],
		.xsave_size = OVM_XSAVE_BYTES,
		.blocked = 0x200,
	};
}

static void init_process(struct image_model *m)
{
	struct ovm_rec_process *p = &m->process;

	p->pid = p->vpid = p->pgid = p->vpgid = p->sid = p->vsid = MODEL_PID;
	p->ppid = 1;
	p->nr_threads = MODEL_NR_THREADS;
	p->threads = m->threads;
	p->ns = (struct ovm_rec_namespaces){.mnt_initial = 1,
					    .uts_initial = 1,
					    .ipc_initial = 1,
					    .net_initial = 1,
					    .pid_initial = 1,
					    .user_initial = 1,
					    .cgroup_initial = 1,
					    .time_initial = 1};
	p->loginuid = UINT32_MAX;
	p->fs = (struct ovm_rec_fs){
		.cwd = &m->files[MODEL_CWD], .root = &m->files[MODEL_ROOT], .umask = 022};
	p->fds = m->fds;
	p->nr_fds = MODEL_NR_FDS;
	p->files_owner = p;
	m->tree = (struct ovm_rec_tree){
		.processes = p,
		.nr_processes = 1,
		.nr_threads = MODEL_NR_THREADS,
		.files = m->files,
		.shmem = m->shmem,
	};
}

void image_model_init(struct image_model *m)
{
	memset(m, 0, sizeof(*m));
	init_files(m);
	init_fds(m);
	init_vmas(m);
	init_process(m);
	init_mm(m);
	init_shmem(m);
	for (int i = 0; i < MODEL_NR_THREADS; i++)
		init_thread(m, i);
	m->threads[0].next = &m->threads[1];
	/* Spans two areas; the heap; the vDSO. */
	m->pagemap[0] = (struct ovm_image_pagemap_entry){0x404000, 3};
	m->pagemap[1] = (struct ovm_image_pagemap_entry){0x1000000, 4};
	m->pagemap[2] = (struct ovm_image_pagemap_entry){0x7ffd00104000, 2};
	m->image = (struct ovm_image_process){
		.rec = &m->process,
		.threads = m->image_threads,
		.nr_threads = MODEL_NR_THREADS,
		.pagemap = {m->pagemap, MODEL_NR_PAGEMAP, 1},
	};
	m->set = (struct ovm_image_set){
		.tree = &m->tree,
		.processes = &m->image,
		.nr_processes = 1,
		.shmem = m->image_shmem,
		.nr_shmem = MODEL_NR_SHMEM,
		.clock_monotonic = UINT64_C(5000000001),
		.clock_boottime = UINT64_C(6000000002),
	};
}
