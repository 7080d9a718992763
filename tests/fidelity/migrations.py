# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real migrations: one guest that travels from device to device."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remote import Host, Refused

_PLACES = {"mdev": "/sys/bus/mdev/devices", "pci": "/sys/bus/pci/devices"}


@dataclass(frozen=True)
class Device:
    """A device of a lab host with this kernel; ``kind`` names what its descriptor says, and ``origin`` where that is from."""

    host: str
    kernel: str
    bus: str
    id: str
    driver: str
    kind: str
    origin: str

    @property
    def derived(self) -> bool:
        return self.origin == "derived"

    @property
    def path(self) -> str:
        return f"{_PLACES[self.bus]}/{self.id}"

    def __str__(self) -> str:
        return f"{self.kind} ({self.origin})"


@dataclass(frozen=True)
class Place:
    """Where a guest is, or is to go: devices of one host, all that it has."""

    devices: tuple[Device, ...]

    @property
    def host(self) -> str:
        return self.devices[0].host

    @property
    def paths(self) -> list[str]:
        return [device.path for device in self.devices]

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.devices))} on {self.host}"


@dataclass(frozen=True)
class Migration:
    """What became of one attempt; ``said`` is empty where the guest has come with its devices' states."""

    way: str
    source: Place
    target: Place
    said: tuple[str, ...]
    seconds: float

    @property
    def succeeded(self) -> bool:
        return not self.said


class GuestLost(Exception):
    """A migration failed and the guest did not go on where it was."""


class _StateLost(Exception):
    """Nobody said that the migration has failed, but a device's state has not come along."""


class Traveller:
    """Tries migrations with one guest, which stays where it is if one fails."""

    def __init__(self, way: str, hosts: Mapping[str, Host]) -> None:
        self._way = way
        self._hosts = hosts
        self._at: Place | None = None
        self._wrote: list[str] = []

    def migrations(self, pairs: Iterable[tuple[Place, Place]]) -> Iterator[Migration]:
        """Try every pair, those of one source together where the guest gets no further."""
        left: dict[Place, list[Place]] = {}
        for source, target in pairs:
            left.setdefault(source, []).append(target)
        while left:
            first, *_later = left
            source = self._at if self._at in left else first
            target = left[source].pop(0)
            if not left[source]:
                del left[source]
            yield self._try(source, target)
        self._leave()

    def _try(self, source: Place, target: Place) -> Migration:
        begin = time.monotonic()
        said: list[str] = []
        try:
            self._be_at(source)
            self._migrate(source, target)
        except Refused as refused:
            said = refused.said
            self._ask(target, "stop")
            self._renew(target)
            self._check_still_at(source)
        except _StateLost as lost:
            said = [str(lost)]
            self._ask(target, "stop")
            self._renew(target)
            self._leave()
        else:
            self._ask(source, "stop")
            self._at = target
        return Migration(self._way, source, target, tuple(said), time.monotonic() - begin)

    def _migrate(self, source: Place, target: Place) -> None:
        self._ask(target, "receive", *target.paths)
        try:
            self._ask(source, "send", target.host, *source.paths, *target.paths)
        except Refused as on_source:
            try:
                self._ask(target, "arrived")
            except Refused as on_target:
                raise Refused(on_target.said + on_source.said) from on_source
            raise
        states = self._ask(target, "arrived")
        if states != self._as_written():
            raise _StateLost(f"the guest goes on, but wrote {self._wrote} and finds {states}")

    def _as_written(self) -> list[list[str]]:
        """Return the states of devices that have what the guest wrote into them."""
        return [[wrote, wrote] for wrote in self._wrote]

    def _renew(self, place: Place) -> None:
        for device in place.devices:
            if device.bus == "mdev":
                self._hosts[device.host].ask("sysfs", "renew", device.path)

    def _be_at(self, place: Place) -> None:
        if self._at != place:
            self._leave()
            self._wrote = [wrote for wrote, _has in self._ask(place, "run", *place.paths)]
            self._at = place

    def _leave(self) -> None:
        if self._at:
            self._ask(self._at, "stop")
        self._at = None

    def _check_still_at(self, place: Place) -> None:
        """Raise ``GuestLost`` unless the guest runs with its devices as before; one that never ran is not lost."""
        if self._at != place:
            self._ask(place, "stop")
            return
        try:
            states = self._ask(place, "state")
        except Refused as refused:
            raise GuestLost(f"{place}: {refused}") from refused
        if states != self._as_written():
            raise GuestLost(f"{place}: the guest wrote {self._wrote} and finds {states}")

    def _ask(self, place: Place, command: str, *arguments: str) -> Any:
        return self._hosts[place.host].ask(self._way, command, *arguments)
