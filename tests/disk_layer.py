"""A disk that loses what was not synced: tests/c/disk.c records what is written, this makes what a power cut leaves.

What is pessimistic here is what file systems may do: of what was written to a file since its last sync any sectors are
there and any not, in any mixture; of new, renamed and removed names since the folder's last sync so many as the file
system came to, in order; a file whose name did not come there is not there, however often it was synced.
"""

from __future__ import annotations

import mmap
import random
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parent / "c/disk.c"
SECTOR = 512
FAIL_WRITE, FAIL_SYNC, FAIL_READ, FAIL_OPEN = 1, 2, 4, 8
_HEAD = struct.Struct("<3Q")
_FAULT = struct.Struct("<4I")  # kinds, how many are let through, errno, how many have failed


def built(folder: Path) -> Path:
    made = folder / "disk.so"
    command = ["cc", "-std=gnu11", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", SOURCE, "-o", made, "-ldl"]
    subprocess.run(command, check=True)
    return made


class Faults:
    """What fails in a program that has the layer, turned while it runs."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_FAULT.size))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FAULT.size)

    def fail(self, kinds: int, code: int, after: int = 0) -> None:
        self._map[:] = _FAULT.pack(0, after, code, 0)
        self._map[:4] = struct.pack("<I", kinds)

    def heal(self) -> int:
        """How many calls had failed."""
        self._map[:4] = bytes(4)
        return int(_FAULT.unpack(self._map[:])[3])


class Event(NamedTuple):
    """``what``: w a write, t a truncation to ``at``, s a sync, c a new name, r a renamed one (to ``data``), u one that
    was removed, a what the program said."""

    what: str
    name: str
    at: int
    data: bytes


def recorded(path: Path) -> list[Event]:
    raw, at, events = path.read_bytes(), 0, []
    while at < len(raw):
        what = chr(raw[at])
        named, where, length = _HEAD.unpack_from(raw, at + 1)
        at += 1 + _HEAD.size
        name = raw[at : at + named].decode()
        at += named
        carried = length if what in "war" else 0
        events.append(Event(what, name, where, raw[at : at + carried]))
        at += carried
    return events


class _File:
    """One file's bytes: those on the disk for certain, and what has been done since."""

    def __init__(self) -> None:
        self.certain = bytearray()
        self.since: list[Event] = []

    def synced(self) -> None:
        for event in self.since:
            _apply(self.certain, event)
        self.since.clear()

    def after_cut(self, chance: random.Random) -> bytes:
        """Nothing of it, all of it, or some sectors, one as likely as the other."""
        found, keep = bytearray(self.certain), chance.choice((0.0, 1.0, chance.random()))
        for event in self.since:
            if event.what == "t":
                if chance.random() < keep:
                    _apply(found, event)
                continue
            for start in range(0, len(event.data), SECTOR):
                if chance.random() < keep:
                    _apply(found, event._replace(at=event.at + start, data=event.data[start : start + SECTOR]))
        return bytes(found)


def _apply(content: bytearray, event: Event) -> None:
    if event.what == "t":
        del content[event.at :]
        content.extend(bytes(event.at - len(content)))
        return
    content.extend(bytes(max(event.at + len(event.data) - len(content), 0)))
    content[event.at : event.at + len(event.data)] = event.data


class Disk:
    """The folder as it is on the disk while events come."""

    def __init__(self) -> None:
        self._names: dict[str, _File] = {}  # as the program sees them
        self._certain: dict[str, _File] = {}
        self._since: list[tuple[Event, _File | None]] = []

    def happened(self, event: Event) -> None:
        if event.what in "wt":
            self._names[event.name].since.append(event)
        elif event.what == "s" and event.name != "/":
            self._names[event.name].synced()
        elif event.what == "s":
            self._certain = dict(self._names)
            self._since.clear()
        elif event.what in "cru":
            file = _File() if event.what == "c" else self._names[event.name]
            self._since.append((event, file))
            _rename(self._names, event, file)

    def after_cut(self, folder: Path, chance: random.Random) -> None:
        """What the machine finds there when it comes up again."""
        names = dict(self._certain)
        for event, file in self._since[: chance.randint(0, len(self._since))]:
            _rename(names, event, file)
        folder.mkdir(mode=0o700)
        for name, file in names.items():
            where = folder / name.lstrip("/")
            where.write_bytes(file.after_cut(chance))
            where.chmod(0o600)


def _rename(names: dict[str, _File], event: Event, file: _File | None) -> None:
    if event.what == "c" and file is not None:
        names[event.name] = file
    elif event.what == "r" and file is not None:
        names.pop(event.name, None)
        names[event.data.decode()] = file
    else:
        names.pop(event.name, None)


def cuts(events: list[Event], count: int, seed: int, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """A power cut at so many moments, spread over the whole: the folder afterwards, and what the program had said."""
    chance = random.Random(seed)
    moments = sorted(chance.randrange(len(events) + 1) for _ in range(count))
    disk, said = Disk(), ""
    for at in range(len(events) + 1):
        while moments and moments[0] == at:
            moments.pop(0)
            image = folder / f"{at}-{len(moments)}"
            disk.after_cut(image, chance)
            yield image, said.splitlines()
        if at < len(events):
            disk.happened(events[at])
            said += events[at].data.decode() if events[at].what == "a" else ""
