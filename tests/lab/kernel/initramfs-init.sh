#!/bin/sh
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# First process: root is the guests' shared read-only tree, the kernel's with its modules over it, and a private tmpfs over both.
set -eu
trap 'echo "lab: initramfs failed"; poweroff -f' EXIT

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "$module"
done </modules/order

mkdir -p /lower /kernel /upper /root
mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=262144,ro root /lower
mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=262144,ro kernel /kernel
mount -t tmpfs -o mode=0755 tmpfs /upper
mkdir /upper/changes /upper/work
mount -t overlay -o lowerdir=/kernel:/lower,upperdir=/upper/changes,workdir=/upper/work overlay /root
mount -t 9p -o trans=virtio,version=9p2000.L,ro config /root/lab

mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
trap - EXIT
exec switch_root /root /bin/sh /lab/init.sh
