"""kill -9 of the engine at each fault point that the store names: each is hit, and the next engine finds what it says.

Clients make, change and destroy keys, try PINs and make officers the while, through the library. Nothing that they were
told is lost, nothing destroyed is back, nothing is there by half, and another engine serves within two seconds.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_room import CHEAP, DiskPool, Room, cheap_pins
from writing_clients import Told, begin

from hsm.client import MODULE
from hsm.store.points import POINTS

MAKING = ("key-drafted", "key-synced", "store-made", "key-named")
ONCE = ("use-marked",)  # in an engine's life
# In an engine that a test starts: at the n-th coming to a point it ends, as by kill -9, and leaves word of it.
ENDING = """
import os
from hsm.store import points
left = [{times}]
def watcher(point):
    if point == {point!r}:
        left[0] -= 1
        if not left[0]:
            os.close(os.open({hit!r}, os.O_CREAT | os.O_WRONLY, 0o600))
            os._exit(9)
if not os.path.exists({hit!r}):
    points.watcher = watcher
"""
UP = """
import sys
from abi import *
m = Module(sys.argv[1])
count = ffi.new("CK_ULONG*")
good(m.C_Initialize(NULL))
good(m.C_GetSlotList(1, NULL, count))
print(count[0])
"""


def _pool(home: Path, point: str, times: int) -> tuple[DiskPool, Path]:
    hit = home / "hit"
    return DiskPool(home, CHEAP + ENDING.format(times=times, point=point, hit=str(hit))), hit


def _up_again(home: Path) -> None:
    """A new program sees the pool's slot, from a new engine, within two seconds, its own start left out."""
    environment = {"ADYTON_HOME": str(home), "PYTHONPATH": str(Path(__file__).parent), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", UP, str(MODULE)]
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "1", done.stderr
    assert time.monotonic() - began < 2 + 1, "an interpreter with cffi takes some of it"


def _ended_at(home: Path, point: str, times: int) -> None:
    with cheap_pins():
        pool, hit = _pool(home, point, times)
        with Room(home) as room:
            room.with_user()
        told = Told()
        for _ in range(20):  # a client logs in anew each time: points that a start goes by are met there
            client = begin(home, "all")
            assert client.stdout is not None
            lines = client.stdout.read().splitlines()
            client.wait(60)
            assert lines[-1].startswith("lost "), lines[-1]
            told.listen(lines[:-1])
            if hit.exists():
                break
        assert hit.exists(), f"the engine never came to {point}"
        _up_again(home)
        pool.stop()
        told.check(home)


@pytest.mark.parametrize("point", [point for point in POINTS if point not in MAKING])
def test_an_engine_that_ends_there(tmp_path: Path, point: str) -> None:
    _ended_at(tmp_path / "pool", point, 1 if point in ONCE else 2)


@pytest.mark.parametrize("point", MAKING)
def test_an_engine_that_ends_while_it_makes_a_pool(tmp_path: Path, point: str) -> None:
    """The program that started it may be told so; the next finds a whole pool, with a token yet to be initialised."""
    with cheap_pins():
        home = tmp_path / "pool"
        pool, hit = _pool(home, point, 1)
        environment = {"ADYTON_HOME": str(home), "PYTHONPATH": str(Path(__file__).parent), "PATH": "/usr/bin:/bin"}
        subprocess.run([sys.executable, "-c", UP, str(MODULE)], env=environment, capture_output=True, timeout=60)
        assert hit.exists(), f"the engine never came to {point}"
        _up_again(home)
        pool.stop()
        with Room(home) as room:
            assert room.pool.store.damage == {} and not room.partition.initialised
            room.with_user()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("point", [point for point in POINTS if point not in MAKING])
def test_an_engine_that_ends_there_in_300_rounds(tmp_path: Path, point: str) -> None:
    """Twenty-five rounds for each point, later and later in the work."""
    for round_number in range(25):
        _ended_at(tmp_path / str(round_number), point, 1 if point in ONCE else 1 + round_number)


def test_every_point_is_one_of_the_table() -> None:
    """Where the code comes by a point, the table has it, and the other way round."""
    rooms = (Path(__file__).parent.parent / "hsm").rglob("*.py")
    reached = {name for room in rooms for name in re.findall(r'reach\("([\w-]+)"\)', room.read_text())}
    assert reached == set(POINTS)


def test_no_setting_and_no_client_sets_the_watcher() -> None:
    """Only who runs an engine of his own making does: nothing of the package assigns it but its own room."""
    for room in (Path(__file__).parent.parent / "hsm").rglob("*.py"):
        assert room.name == "points.py" or "points.watcher" not in room.read_text()
