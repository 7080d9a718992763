#!/bin/sh
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Fetches the packages of the chroot's kernel and of its source into build/ there. A hook of
# mmdebstrap: the machine's apt runs with the chroot's configuration.
set -eu

cd "$1/build"
kernel=$(basename "$1"/usr/src/linux-headers-*-amd64)
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
version=${kernel#linux-headers-}
apt-get download "linux-image-$version" "linux-source-$(echo "$version" | cut -d. -f1,2)"
