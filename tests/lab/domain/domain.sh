#!/bin/sh
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Guests of a lab host, under libvirt. Installed there as lab-domain:
#
#   lab-domain libvirt               starts libvirt, unless it runs; hosts do not at boot
#   lab-domain start NAME DEVICE...  defines and starts a guest that has these devices: UUIDs of mediated ones, PCI addresses;
#                                    with LAB_MIGRATION=auto QEMU decides whether they can migrate, and finds that they cannot
#   lab-domain state NAME            prints the last that the guest said of each device's state
set -eu

console=/var/log/libvirt/qemu

start_libvirt() {
    pgrep -x virtlogd >/dev/null || virtlogd --daemon
    pgrep -x libvirtd >/dev/null || libvirtd --daemon
    # It looks at QEMU first, which takes an emulated host on a busy machine longer than anybody waits for an answer.
    virsh version >/dev/null || virsh capabilities >/dev/null
}

# Prints how a domain has a device.
assigned() {
    case $1 in
    *:*)
        address=$1
        domain=${address%%:*}
        address=${address#*:}
        bus=${address%%:*}
        slot=${address#*:}
        address="domain='0x$domain' bus='0x$bus' slot='0x${slot%.*}' function='0x${slot#*.}'"
        cat <<XML
    <hostdev mode='subsystem' type='pci' managed='no'>
      <source>
        <address $address/>
      </source>
    </hostdev>
XML
        ;;
    *)
        cat <<XML
    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>
      <source>
        <address uuid='$1'/>
      </source>
    </hostdev>
XML
        ;;
    esac
}

# Nobody here tracks the pages that a device writes, so QEMU would not migrate it unless it is told to. Nor would it find out which pages have
# changed if it mapped the virtual functions' registers, which are no whole pages.
define() {
    cat <<XML
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>$1</name>
  <memory unit='MiB'>32</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <disk type='file' device='disk'>
      <source file='/lab/boot.img'/>
      <target dev='vda' bus='virtio'/>
      <readonly/>
    </disk>
    <serial type='file'>
      <source path='$console/$1.console'/>
    </serial>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <video>
      <model type='none'/>
    </video>
XML
    shift
    for device; do
        assigned "$device"
    done
    echo "  </devices>"
    echo "  <qemu:override>"
    number=0
    for device; do
        cat <<XML
    <qemu:device alias='hostdev$number'>
      <qemu:frontend>
        <qemu:property name='enable-migration' type='string' value='${LAB_MIGRATION:-on}'/>
        <qemu:property name='x-device-dirty-page-tracking' type='string' value='off'/>
        <qemu:property name='x-no-mmap' type='bool' value='true'/>
      </qemu:frontend>
    </qemu:device>
XML
        number=$((number + 1))
    done
    echo "  </qemu:override>"
    echo "</domain>"
}

case $1 in
libvirt)
    start_libvirt
    ;;
start)
    shift
    start_libvirt
    define "$@" >"/tmp/$1.xml"
    virsh --quiet define "/tmp/$1.xml"
    virsh --quiet start "$1"
    ;;
state)
    # The last line may be half written, and of a guest that has come the first one.
    head --lines=-1 "$console/$2.console" |
        awk 'length($1) == 4 && $2 == "wrote" { last[$1] = $0 } END { for (port in last) print last[port] }' | sort
    ;;
*)
    echo "usage: lab-domain libvirt | start NAME DEVICE... | state NAME" >&2
    exit 2
    ;;
esac
