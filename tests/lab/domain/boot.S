// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-3.0-or-later

/*
 * All that runs in a guest on a lab host: a boot sector that keeps state in its assigned devices.
 *
 * A device is each PCI function whose first BAR is I/O ports, but for the boot disk. Its register 7
 * is the scratch register of a serial port, as mtty and the sample driver have it. So is each of the
 * lab's virtual functions, which have that register in their configuration space. The guest writes
 * another value into each, once, and from then on, once a second, says on its console
 * what it wrote and what is there: after a migration these are the same if the device's state has
 * come along.
 */

#define BUSES 8
#define SCRATCH 7
#define FUNCTION_SCRATCH 0xff
#define FUNCTION_ID 0x10ca8086
#define VIRTIO_VENDOR 0x1af4
#define PCI_ID 0
#define PCI_BAR 0x10
#define PCI_BIOS_READ_BYTE 0xb108
#define PCI_BIOS_READ_DWORD 0xb10a
#define PCI_BIOS_WRITE_BYTE 0xb10b
#define BIOS_TICKS 0x46c
#define PERIOD 2 /* ticks of the real-time clock */
#define TIMER 0x40
#define TIMER_CONTROL 0x43
#define TIMER_ONCE 0x30
#define CLOCK_INDEX 0x70
#define CLOCK_DATA 0x71
#define CLOCK_RATE 0x0a
#define CLOCK_TWICE_A_SECOND 0x2f
#define CLOCK_CONTROL 0x0b
#define CLOCK_PERIODIC 0x42 /* with hours as before */
#define UART 0x3f8
#define UART_LSR (UART + 5)
#define UART_THRE 0x20

	.code16
	.globl	start
start:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$start, %sp
	cld
	sti

	/*
	 * Fills the table with a port, or bus and function, and a value for each device, and with which of
	 * the two it is; %bx is bus and function.
	 */
	movw	$table, %bp
	xorw	%bx, %bx
find:
	movw	$PCI_ID, %di
	call	read_config
	incl	%ecx /* all ones where there is no function */
	jz	next
	decl	%ecx
	cmpw	$VIRTIO_VENDOR, %cx
	je	next
	movw	%bx, %dx
	movb	$1, 3(%bp)
	cmpl	$FUNCTION_ID, %ecx
	je	found
	movw	$PCI_BAR, %di
	call	read_config
	testb	$1, %cl
	jz	next
	andw	$0xfffc, %cx
	jz	next
	movw	%cx, %dx
	addw	$SCRATCH, %dx
	movb	$0, 3(%bp)
found:
	movb	BIOS_TICKS, %al
	xorb	%bl, %al
	orb	$1, %al /* not what the register has at first */
	movw	%dx, (%bp)
	movb	%al, 2(%bp)
	testb	$1, 3(%bp)
	jnz	write_function
	outb	%al, %dx
	jmp	written
write_function:
	movb	%al, %cl
	movw	$PCI_BIOS_WRITE_BYTE, %ax
	movw	$FUNCTION_SCRATCH, %di
	int	$0x1a
written:
	addw	$4, %bp
next:
	incw	%bx
	cmpw	$(BUSES << 8), %bx
	jb	find

	/*
	 * The timer of PCs interrupts 18 times a second, which costs an emulated host a fifth of its time for
	 * each guest: it goes off once more. The slowest rate of the real-time clock does in its place.
	 */
	movb	$TIMER_ONCE, %al
	outb	%al, $TIMER_CONTROL
	outb	%al, $TIMER
	outb	%al, $TIMER
	movw	$(CLOCK_TWICE_A_SECOND << 8 | CLOCK_RATE), %ax
	outw	%ax, $CLOCK_INDEX
	movw	$(CLOCK_PERIODIC << 8 | CLOCK_CONTROL), %ax
	outw	%ax, $CLOCK_INDEX

report:
	movw	$table, %si
each:
	cmpw	%bp, %si
	je	wait
	movw	(%si), %dx
	movb	%dh, %al
	call	print_hex
	movb	%dl, %al
	call	print_hex
	movw	$wrote, %di
	call	print
	movb	2(%si), %al
	call	print_hex
	movw	$has, %di
	call	print
	movw	(%si), %dx
	testb	$1, 3(%si)
	jnz	read_function
	inb	%dx, %al
	jmp	read
read_function:
	movw	%dx, %bx
	movw	$PCI_BIOS_READ_BYTE, %ax
	movw	$FUNCTION_SCRATCH, %di
	int	$0x1a
	movb	%cl, %al
read:
	call	print_hex
	movw	$end, %di
	call	print
	addw	$4, %si
	jmp	each
wait:
	movw	$PERIOD, %cx
tick:
	hlt
	loop	tick
	jmp	report

/* Reads register %di of function %bx into %ecx. */
read_config:
	movw	$PCI_BIOS_READ_DWORD, %ax
	int	$0x1a
	ret

/* Prints the text at %di. */
print:
	movb	(%di), %al
	testb	%al, %al
	jz	printed
	call	print_character
	incw	%di
	jmp	print
printed:
	ret

/* Prints %al as two digits. */
print_hex:
	pushw	%ax
	shrb	$4, %al
	call	print_digit
	popw	%ax
	andb	$15, %al
print_digit:
	cmpb	$10, %al
	jb	decimal
	addb	$('a' - '0' - 10), %al
decimal:
	addb	$'0', %al
print_character:
	pushw	%dx
	pushw	%ax
	movw	$UART_LSR, %dx
busy:
	inb	%dx, %al
	testb	$UART_THRE, %al
	jz	busy
	popw	%ax
	movw	$UART, %dx
	outb	%al, %dx
	popw	%dx
	ret

wrote:
	.asciz	" wrote "
has:
	.asciz	" has "
end:
	.asciz	"\n"

	.org	510
	.word	0xaa55
table:
