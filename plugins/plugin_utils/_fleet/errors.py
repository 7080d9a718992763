# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The errors of the controller side. Pure."""

from __future__ import annotations


class MigrationError(ValueError):
    """What was asked for cannot be done: the message names what is wrong and what would be right.

    It is the base of all errors that filters and actions turn into errors of Ansible.
    """


class FleetError(MigrationError):
    """Facts, a request or a plan that somebody gave cannot be used."""
