#!/bin/sh
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes the disk that guests boot. Runs inside the build chroot, in a directory that holds boot.S.
set -eu

gcc -m32 -c boot.S
ld -m elf_i386 --entry=start -Ttext=0x7c00 --oformat=binary -o boot.img boot.o
# The BIOS boots no disk of less than a cylinder.
truncate --size=1M boot.img
