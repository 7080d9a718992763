# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How much hosts and the control node exchange about libvirt's guests. Pure."""

from __future__ import annotations

# Of each list, and of each text in characters.
MOST = 512
LONGEST = 1024
# The guests of other hosts that one host is asked about: no host runs more.
MOST_ARRIVING = 4096
