# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.certificates import (
    certificate_facts,
)

CLIENT = ("ca-cert.pem", "client-cert.pem", "client-key.pem")
SERVER = ("ca-cert.pem", "server-cert.pem", "server-key.pem")


@pytest.fixture
def make(tmp_path):
    def files(directory, *names):
        place = tmp_path / directory.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            (place / name).write_text("")

    return files


@pytest.fixture
def configure(tmp_path):
    def write(text):
        (tmp_path / "etc/libvirt").mkdir(parents=True)
        (tmp_path / "etc/libvirt/qemu.conf").write_text(text)

    return write


@pytest.mark.parametrize(
    ("names", "client", "server"),
    [
        ((), False, False),
        (CLIENT, True, False),
        (SERVER, False, True),
        (CLIENT[1:] + SERVER[1:], False, False),
    ],
)
def test_each_side_needs_its_own_three_files(make, tmp_path, names, client, server):
    make("/etc/pki/qemu", *names)
    assert certificate_facts(str(tmp_path)) == {
        "directory": "/etc/pki/qemu",
        "client": client,
        "server": server,
    }


def test_a_host_without_any_has_none(tmp_path):
    assert certificate_facts(str(tmp_path))["server"] is False


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ('default_tls_x509_cert_dir = "/srv/tls"', "/srv/tls"),
        ('#default_tls_x509_cert_dir = "/srv/tls"', "/etc/pki/qemu"),
        (
            'default_tls_x509_cert_dir = "/srv/tls"\nmigrate_tls_x509_cert_dir = "/srv/moves"',
            "/srv/moves",
        ),
        ('  migrate_tls_x509_cert_dir="/srv/moves" # those of moves', "/srv/moves"),
        ("migrate_tls_x509_cert_dir = 7", "/etc/pki/qemu"),
    ],
)
def test_libvirts_configuration_says_where(configure, tmp_path, text, directory):
    configure(text)
    assert certificate_facts(str(tmp_path))["directory"] == directory


def test_the_directory_of_migrations_comes_before_the_default(configure, make, tmp_path):
    make("/etc/pki/libvirt-migrate", *SERVER)
    configure('default_tls_x509_cert_dir = "/srv/tls"')
    assert certificate_facts(str(tmp_path)) == {
        "directory": "/etc/pki/libvirt-migrate",
        "client": False,
        "server": True,
    }
