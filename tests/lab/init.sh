#!/bin/sh
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Process 1 of a lab host. /lab holds what distinguishes this host; the rest is shared.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
trap 'echo "lab: init failed"; echo o >/proc/sysrq-trigger; sleep 5' EXIT

mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/lock /run/sshd /dev/pts /dev/shm
mount -t devpts -o mode=0620,gid=5 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t debugfs debugfs /sys/kernel/debug
mount -t 9p -o trans=virtio,version=9p2000.L definitions /etc/mdevctl.d
mount -t 9p -o trans=virtio,version=9p2000.L units /etc/systemd/system

cp /lab/hostname /etc/hostname
hostname "$(cat /etc/hostname)"
cp /lab/hosts /etc/hosts

# Where mdevctl's udev rule looks for it, but Debian has none.
[ -e /usr/sbin/mdevctl ] || ln -s ../bin/mdevctl /usr/sbin/mdevctl

install -m 0644 /lab/modprobe.conf /etc/modprobe.d/lab.conf
install -D -m 0644 /lab/migration_sample.ko "/lib/modules/$(uname -r)/extra/migration_sample.ko"
depmod

modprobe virtio_net
ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip address add "$(cat /lab/address)/24" dev eth1
ip link set eth1 up

/usr/lib/systemd/systemd-udevd --daemon
xargs modprobe --all </lab/modules
udevadm settle

install -m 0600 /lab/ssh_host_key /etc/ssh/lab_host_key
install -m 0644 /lab/authorized_keys /etc/ssh/authorized_keys
# Hosts log in to each other, for libvirt.
install -m 0600 /lab/ssh_client_key /root/.ssh/id_ed25519
install -m 0644 /lab/ssh_known_hosts /etc/ssh/ssh_known_hosts
install -m 0755 /lab/domain.sh /usr/local/bin/lab-domain
/usr/sbin/sshd
echo "lab: $(cat /etc/hostname) is up"

trap - EXIT
# A host that has units of systemd goes on with that as its first process, as all hosts do outside of the lab.
if [ -d /etc/systemd/system/multi-user.target.wants ]; then
    systemd-machine-id-setup
    mkdir -p /run/systemd/system
    # What only a first boot needs, and takes long here.
    for unit in ldconfig systemd-hwdb-update systemd-journal-catalog-update; do
        ln -s /dev/null "/run/systemd/system/$unit.service"
    done
    udevadm control --exit
    exec /usr/lib/systemd/systemd
fi
# The shell stays: waiting for a child, it also reaps what daemons leave behind.
while :; do
    sleep 2147483647
done
