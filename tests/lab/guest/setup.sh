#!/bin/sh
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Finishes the guests' root file system. Runs inside it, once, when it is built.
set -eu

# Both accounts are reached by key alone; "*" is "no password", "!" would be "locked" and refused by sshd.
useradd --create-home --shell /bin/bash --gid operator --password '*' operator
usermod --password '*' root

cat >/etc/ssh/sshd_config.d/lab.conf <<'EOF'
AuthorizedKeysFile /etc/ssh/authorized_keys
HostKey /etc/ssh/lab_host_key
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
UsePAM no
EOF

# There is nothing here that could confine guests, and root's is the only account that could run them.
cat >/etc/libvirt/qemu.conf <<'EOF'
cgroup_controllers = []
group = "root"
namespaces = []
remember_owner = 0
security_driver = "none"
user = "root"
EOF
echo 'listen_tls = 0' >/etc/libvirt/libvirtd.conf

# Certificates for QEMU, for all hosts the same. Whoever wants TLS copies them to /etc/pki/qemu.
mkdir --parents /usr/local/share/lab-tls
cd /usr/local/share/lab-tls
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
cat >host.cnf <<'EOF'
subjectAltName = DNS:a, DNS:b, DNS:c
keyUsage = digitalSignature
extendedKeyUsage = serverAuth, clientAuth
EOF
# shellcheck disable=SC2086 # The options are words.
openssl req -x509 $key -days 3650 -subj /CN=lab -addext keyUsage=keyCertSign -keyout ca-key.pem -out ca-cert.pem
# shellcheck disable=SC2086
openssl req $key -subj /CN=host -keyout server-key.pem -out host.csr
openssl x509 -req -in host.csr -CA ca-cert.pem -CAkey ca-key.pem -days 3650 -extfile host.cnf -out server-cert.pem
cp server-key.pem client-key.pem
cp server-cert.pem client-cert.pem
rm ca-key.pem host.cnf host.csr
cd /

# Python loads it from there when it starts.
for place in /etc/python3.*; do
    cp /keep_code.py "$place/sitecustomize.py"
done
rm /keep_code.py

rm -rf /etc/ssh/ssh_host_* /usr/share/doc /usr/share/info /usr/share/locale /usr/share/man
mkdir -p /lab
