// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's own notes in a guest memory dump.
 *
 * Layout (QEMU 7.2, target/i386/arch_dump.c, struct QEMUCPUState, version 1): an
 * ELF note a vCPU, in the order of their numbers, named "QEMU", of type 0, its
 * contents little-endian:
 *
 *	u32 version, size
 *	u64 rax rbx rcx rdx rsi rdi rsp rbp r8..r15 rip rflags
 *	{u32 selector limit flags pad; u64 base} cs ds es fs gs ss ldt tr gdt idt
 *	u64 cr0..cr4
 *	u64 kernel_gs_base	(since QEMU 3.0; "size" tells)
 */
#include "vcpu.h"

#include <elf.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

struct note_segment {
	uint32_t selector, limit, flags, pad;
	uint64_t base;
};

struct note_state {
	uint32_t version, size;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r[8];
	uint64_t rip, rflags;
	struct note_segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
	uint64_t cr[5];
	uint64_t kernel_gs_base;
};

enum {
	NOTE_VERSION = 1,
	MAX_VCPUS = 8192,
};

static struct ovm_vcpu_segment decode_segment(const struct note_segment *segment)
{
	return (struct ovm_vcpu_segment){
		.selector = (uint16_t)segment->selector,
		.limit = segment->limit,
		.flags = segment->flags,
		.base = segment->base,
	};
}

static void decode_note(const struct note_state *note, struct ovm_vcpu *vcpu)
{
	const uint64_t gprs[8] = {note->rax, note->rcx, note->rdx, note->rbx,
				  note->rsp, note->rbp, note->rsi, note->rdi};

	memcpy(vcpu->gprs, gprs, sizeof(gprs));
	memcpy(vcpu->gprs + OVM_VCPU_R8, note->r, sizeof(note->r));
	vcpu->rip = note->rip;
	vcpu->rflags = note->rflags;
	vcpu->segments[OVM_VCPU_ES] = decode_segment(&note->es);
	vcpu->segments[OVM_VCPU_CS] = decode_segment(&note->cs);
	vcpu->segments[OVM_VCPU_SS] = decode_segment(&note->ss);
	vcpu->segments[OVM_VCPU_DS] = decode_segment(&note->ds);
	vcpu->segments[OVM_VCPU_FS] = decode_segment(&note->fs);
	vcpu->segments[OVM_VCPU_GS] = decode_segment(&note->gs);
	vcpu->ldt = decode_segment(&note->ldt);
	vcpu->tr = decode_segment(&note->tr);
	vcpu->gdt = decode_segment(&note->gdt);
	vcpu->idt = decode_segment(&note->idt);
	vcpu->cr0 = note->cr[0];
	vcpu->cr2 = note->cr[2];
	vcpu->cr3 = note->cr[3];
	vcpu->cr4 = note->cr[4];
	vcpu->kernel_gs_base = note->kernel_gs_base;
	vcpu->cpl = vcpu->segments[OVM_VCPU_SS].flags >> 13 & 3;
}

static struct ovm_error *error_malformed(const char *what)
{
	return ovm_error_format(OVM_ERROR_CORRUPT, "QEMU's dump of vCPU registers is malformed: %s",
				what);
}

static struct ovm_error *add_vcpu(struct ovm_vcpus **vcpus, const uint8_t *data, size_t size)
{
	struct note_state note = {0};
	size_t nr = (*vcpus)->nr;

	memcpy(&note, data, size < sizeof(note) ? size : sizeof(note));
	if (size < offsetof(struct note_state, kernel_gs_base) || note.version != NOTE_VERSION)
		return error_malformed("a note of an unknown version");
	if (nr == MAX_VCPUS)
		return error_malformed("too many vCPUs");

	struct ovm_vcpus *grown =
		realloc(*vcpus, sizeof(**vcpus) + (nr + 1) * sizeof((*vcpus)->vcpus[0]));

	if (!grown)
		return ovm_error_no_memory();
	*vcpus = grown;
	memset(&grown->vcpus[nr], 0, sizeof(grown->vcpus[nr]));
	grown->vcpus[nr].index = (uint32_t)nr;
	decode_note(&note, &grown->vcpus[nr]);
	grown->nr++;
	return NULL;
}

/* Walk the notes in @data. Name and contents are padded to four bytes. */
static struct ovm_error *walk_notes(struct ovm_vcpus **vcpus, const uint8_t *data, size_t len)
{
	static const char name[] = "QEMU";

	while (len) {
		Elf64_Nhdr header;

		if (len < sizeof(header))
			return error_malformed("a note is cut off");
		memcpy(&header, data, sizeof(header));
		uint64_t name_size = ((uint64_t)header.n_namesz + 3) & ~3ULL;
		uint64_t size = ((uint64_t)header.n_descsz + 3) & ~3ULL;

		if (name_size + size > len - sizeof(header))
			return error_malformed("a note is cut off");
		data += sizeof(header);
		if (header.n_namesz == sizeof(name) && !memcmp(data, name, sizeof(name)) &&
		    !header.n_type) {
			struct ovm_error *err = add_vcpu(vcpus, data + name_size, header.n_descsz);

			if (err)
				return err;
		}
		data += name_size + size;
		len -= sizeof(header) + name_size + size;
	}
	return NULL;
}

static struct ovm_error *walk_segments(struct ovm_vcpus **vcpus, const uint8_t *core, size_t len,
				       const Elf64_Ehdr *header)
{
	for (uint64_t i = 0; i < header->e_phnum; i++) {
		uint64_t offset = i * sizeof(Elf64_Phdr);
		Elf64_Phdr segment;

		if (header->e_phoff > len || offset > len - header->e_phoff ||
		    sizeof(segment) > len - header->e_phoff - offset)
			return error_malformed("program headers are cut off");
		memcpy(&segment, core + header->e_phoff + offset, sizeof(segment));
		if (segment.p_type != PT_NOTE)
			continue;
		if (segment.p_offset > len || segment.p_filesz > len - segment.p_offset)
			return error_malformed("notes are cut off");
		struct ovm_error *err =
			walk_notes(vcpus, core + segment.p_offset, segment.p_filesz);

		if (err)
			return err;
	}
	return NULL;
}

struct ovm_error *ovm_vcpus_parse_notes(const uint8_t *core, size_t len, struct ovm_vcpus **ret)
{
	Elf64_Ehdr header;

	*ret = NULL;
	if (len < sizeof(header) || memcmp(core, ELFMAG, SELFMAG))
		return error_malformed("not an ELF file");
	memcpy(&header, core, sizeof(header));
	/* QEMU writes 32-bit files for a machine whose first vCPU isn't in long mode. */
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest is not in 64-bit mode: still in its firmware or "
					"boot loader, or a 32-bit system");
	if (header.e_phentsize != sizeof(Elf64_Phdr))
		return error_malformed("program headers of a strange size");

	struct ovm_vcpus *vcpus = calloc(1, sizeof(*vcpus));
	struct ovm_error *err =
		vcpus ? walk_segments(&vcpus, core, len, &header) : ovm_error_no_memory();

	if (!err && !vcpus->nr)
		err = error_malformed("no note of QEMU's");
	if (err)
		free(vcpus);
	else
		*ret = vcpus;
	return err;
}
