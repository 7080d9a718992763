#!/bin/sh
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Fetches the packages of the chroot's kernel and of its source into build/ there. A hook of
# mmdebstrap: the machine's apt runs with the chroot's configuration. Newer kernels are in several packages.
set -eu

cd "$1/build"
kernel=$(basename "$1"/usr/src/linux-headers-*-amd64)
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
version=${kernel#linux-headers-}
parts=$(apt-cache depends "linux-image-$version" | sed -n "s/^ *Depends: \(linux-[a-z]*-$version\)$/\1/p")
# shellcheck disable=SC2086  # a name each
apt-get download "linux-image-$version" $parts "linux-source-$(echo "$version" | cut -d. -f1,2)"
