#!/bin/sh
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes the guests' kernel, modules and initramfs. Runs inside the build chroot, in a directory that
# holds this script, its neighbours and the Debian packages of the kernel and of its source.
set -eu

kernel=$(basename /usr/src/linux-headers-*-amd64)
kernel=${kernel#linux-headers-}

# Reads names of modules, prints the files that they need in the order in which they load.
module_files() {
    xargs modprobe -d "$PWD/image/usr" -S "$kernel" --all --show-depends >dependencies
    sed -n 's/^insmod \([^ ]*\).*/\1/p' dependencies | awk '!seen[$0]++'
}

echo "Unpacking the kernel"
mkdir image
for package in *"-${kernel}_"*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C image
done
depmod -b "$PWD/image/usr" "$kernel"

echo "Building the kernel's sample drivers"
mkdir samples
dpkg-deb --fsys-tarfile linux-source-*.deb | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
    tar -xJ -C samples --wildcards --transform='s|.*/||' \
        '*/samples/vfio-mdev/*.[ch]' '*/drivers/vdpa/vdpa_sim/*.[ch]' '*/drivers/vhost/vringh.c'
cp Kbuild samples/Kbuild
make -C "/usr/src/linux-headers-$kernel" "M=$PWD/samples" CONFIG_DEBUG_INFO_BTF_MODULES= modules

echo "Collecting modules"
modules=out/tree/usr/lib/modules/$kernel
mkdir -p "$modules"
for file in modules.builtin modules.builtin.modinfo modules.order; do
    cp "image/usr/lib/modules/$kernel/$file" "$modules/"
done
grep '^[^#]' modules | module_files >chosen
while read -r file; do
    xz -dc "$file" >"$modules/$(basename "$file" .xz)"
done <chosen
for file in samples/*.ko; do
    strip --strip-debug -o "$modules/$(basename "$file")" "$file"
done

echo "Packing the initramfs"
mkdir -p initramfs/bin initramfs/dev initramfs/modules initramfs/proc initramfs/root initramfs/sys
cp /bin/busybox initramfs/bin/
for applet in insmod mkdir mount poweroff sh switch_root; do
    ln -s busybox "initramfs/bin/$applet"
done
echo overlay 9p 9pnet_virtio | module_files >chosen
while read -r file; do
    cp "$modules/$(basename "$file" .xz)" initramfs/modules/
    echo "/modules/$(basename "$file" .xz)"
done <chosen >initramfs/modules/order
install -m 0755 initramfs-init.sh initramfs/init
(cd initramfs && find . | cpio --quiet --create --format=newc) | gzip >out/initramfs

# The latter is its place in newer packages.
for image in "image/boot/vmlinuz-$kernel" "image/usr/lib/modules/$kernel/vmlinuz"; do
    [ ! -e "$image" ] || cp "$image" out/vmlinuz
done
[ -e out/vmlinuz ]
