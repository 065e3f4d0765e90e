/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest without a system: a multiboot image (Multiboot 0.6.96, with the
 * address fields of flag 16, so that it needs no ELF headers) that enters long
 * mode, fills every register with something known and spins in user mode, where
 * it stores the time stamp counter over and over.  test_vcpu.c knows the values.
 */
#define BASE   0x100000
#define AT(x)  (BASE + (x) - bare_guest_start)
#define TABLES 0x200000
#define TSC_AT 0x300000

	.section .rodata
	.globl bare_guest_start, bare_guest_end
	.balign 8
bare_guest_start:
	.long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
	.long AT(bare_guest_start), BASE, 0, 0, AT(entry)

	.balign 8
gdt:
	.quad 0
	.quad 0x00209a0000000000	/* 0x08: kernel code */
	.quad 0x0000920000000000	/* 0x10: kernel data */
	.quad 0x0020fa0000000000	/* 0x18: user code */
	.quad 0x0000f20000000000	/* 0x20: user data */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad AT(gdt)
	.balign 16
vector:
	.quad 0x1111111111111111, 0x2222222222222222, 0x3333333333333333, 0x4444444444444444
control_word:
	.word 0x027f
	.balign 4
mxcsr:
	.long 0x5fa0

	.code32
entry:
	cld
	movl $TABLES, %edi
	xorl %eax, %eax
	movl $0x3000 / 4, %ecx
	rep stosl
	movl $(TABLES + 0x1007), TABLES
	movl $(TABLES + 0x2007), TABLES + 0x1000
	movl $0x87, TABLES + 0x2000
	movl $0x200087, TABLES + 0x2008
	movl $TABLES, %eax
	movl %eax, %cr3
	/* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE, PKE */
	movl $0x440620, %eax
	movl %eax, %cr4
	movl $0xc0000080, %ecx
	movl $0x101, %eax
	xorl %edx, %edx
	wrmsr
	/* PG, NE, MP, PE */
	movl $0x80000023, %eax
	movl %eax, %cr0
	lgdt AT(gdt_pointer)
	ljmp $8, $AT(long_mode)

	.code64
.macro set_msr number, value
	movl $\number, %ecx
	movl $(\value & 0xffffffff), %eax
	movl $(\value >> 32), %edx
	wrmsr
.endm

long_mode:
	xorl %ecx, %ecx
	xorl %edx, %edx
	movl $0x207, %eax
	xsetbv
	movl $0x20, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	set_msr 0xc0000082, 0xffffffff81a00080
	set_msr 0xc0000100, 0x00007f0012345678
	set_msr 0xc0000101, 0x00007f00abcdef00
	set_msr 0xc0000102, 0xffff888012340000
	set_msr 0xc0000103, 0x0000000000001001
	xorl %ecx, %ecx
	xorl %edx, %edx
	movl $0x55555554, %eax
	wrpkru

	fninit
	fldcw AT(control_word)
	fldpi
	fld1
	fldl2e
	ldmxcsr AT(mxcsr)
	/* Each register is the vector with its own number added to each word. */
	movl $1, %eax
	vmovd %eax, %xmm1
	vpbroadcastq %xmm1, %ymm1
	vmovdqu AT(vector), %ymm0
.irp n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqa %ymm0, %ymm\n
.endr
.irp first, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
.irp n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
.if \n >= \first
	vpaddq %ymm1, %ymm\n, %ymm\n
.endif
.endr
.endr
.irp n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vpaddq %ymm1, %ymm\n, %ymm\n
.endr
	vpaddq %ymm1, %ymm0, %ymm1

	pushq $0x23
	pushq $0x7ffff0
	pushq $0x8d7
	pushq $0x1b
	pushq $AT(spin)
	movabsq $0xb0b0b0b0b0b0b0b0, %rbx
	movabsq $0xc0c0c0c0c0c0c0c0, %rcx
	movabsq $0x5151515151515151, %rsi
	movabsq $0xd1d1d1d1d1d1d1d1, %rdi
	movabsq $0xb9b9b9b9b9b9b9b9, %rbp
	movabsq $0x0808080808080808, %r8
	movabsq $0x0909090909090909, %r9
	movabsq $0x1010101010101010, %r10
	movabsq $0x1111111111111111, %r11
	movabsq $0x1212121212121212, %r12
	movabsq $0x1313131313131313, %r13
	movabsq $0x1414141414141414, %r14
	movabsq $0x1515151515151515, %r15
	iretq

spin:
	rdtsc
	movl %eax, TSC_AT
	movl %edx, TSC_AT + 4
	jmp spin
bare_guest_end:
	.byte 0
	.section .note.GNU-stack, "", @progbits
