# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine must not fail a test.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For make fuzz; hypothesis keeps what it finds and tries it first the next time.
settings.register_profile("long", settings.get_profile("unhurried"), max_examples=20_000)
settings.load_profile("unhurried")
