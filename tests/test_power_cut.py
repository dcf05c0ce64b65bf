"""The power fails at any moment: what the disk may then hold is made of what was written, and the next engine opens it.

tests/disk_layer.py says what may be lost. Nothing that was acknowledged is, nothing destroyed comes back, nothing is
there by half, and no damage is found where there was none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import disk_layer
import pytest
from engine_room import Room, cheap_pins
from writing_clients import Told

from hsm.errors import TokenError
from hsm.store.folder import Unusable

# One program that makes a pool and changes it; each line is an acknowledgement, or the word that a change is begun.
WORK = """
import os, sys
from engine_room import *
from hsm.access import key_use
from hsm.cryptoki import general
def say(*words): os.write(1, " ".join(map(str, words)).encode() + b"\\n")
with cheap_pins(), Room(Path(sys.argv[1])) as room:
    room.with_user()
    say("ready", "-")
    for n in range(1, 31):
        label = f"me-{n}"
        say("try", label)
        room.aes(label.encode()) if n % 3 else room.pair(label.encode())
        say("made", label, 1 if n % 3 else 2)
        if n % 4 == 0:
            gone = f"me-{n - 2}"
            say("end", gone)
            for handle in room.find(gone.encode()): room.destroy(handle)
            say("ended", gone)
        if n % 5 == 0:
            say("guess", "me")
            with refused(ck.CKR_PIN_INCORRECT):
                general.C_SetPIN(room.app, room.handle, b"wrong-pin", USER)
            say("guessed", "me")
        if n == 7:
            say("right", "me")
            general.C_SetPIN(room.app, room.handle, USER, USER)
            say("righted", "me")
"""


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[disk_layer.Event]]:
    folder = tmp_path_factory.mktemp("recorded")
    home, record = folder / "pool", folder / "record"
    home.mkdir(mode=0o700)
    paths = f"{Path(__file__).parent}:{Path(__file__).parent.parent}"
    environment = {
        **os.environ, "LD_PRELOAD": str(disk_layer.built(folder)), "DISK_FOLDER": str(home), "DISK_RECORD": str(record),
        "PYTHONPATH": paths,
    }
    done = subprocess.run([sys.executable, "-c", WORK, str(home)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = disk_layer.recorded(record)
    assert sum(event.what == "s" for event in found) > 30 and len(found) > 300
    yield found


def _cut(events: list[disk_layer.Event], count: int, seed: int, folder: Path) -> None:
    seen = set()
    with cheap_pins():
        for image, said in disk_layer.cuts(events, count, seed, folder):
            ready = any(line.startswith("ready") for line in said)
            if not ready:
                with Room(image) as room:
                    assert room.pool.store.damage == {}, image
            else:
                told = Told()
                told.listen([line for line in said if not line.startswith("ready")])
                told.check(image)
            seen.add(ready)
            shutil.rmtree(image)
    assert seen == {False, True}


def test_a_power_cut_at_any_moment(events: list[disk_layer.Event], tmp_path: Path) -> None:
    _cut(events, 600, 1, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_power_cut_at_any_moment_thousands_of_times(events: list[disk_layer.Event], tmp_path: Path) -> None:
    for seed in range(2, 12):
        _cut(events, 2000, seed, tmp_path)


def test_the_layer_finds_a_sync_that_is_missing(events: list[disk_layer.Event], tmp_path: Path) -> None:
    """The judge judged: without the syncs of SQLite's log, acknowledged changes are lost."""
    without = [event for event in events if not (event.what == "s" and event.name == "/pool.db-wal")]
    with pytest.raises((AssertionError, TokenError, Unusable)):
        _cut(without, 150, 1, tmp_path)
