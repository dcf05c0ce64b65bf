"""``adyton repair``: whatever is done to pool.db, what is whole is saved, what is lost is named, nothing gets worse."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apart import adyton
from engine_room import CHEAP, DiskPool, Room, cheap_pins
from test_check import digests
from test_store import _altered, _cells, columns, edit, rows

from hsm.cli import repair
from hsm.cli.command import Arguments
from hsm.cli.salvage import PAGE
from hsm.errors import TokenError
from pkcs11_shim import constants as ck

MANY = 120  # objects, on several pages


@pytest.fixture(scope="module", autouse=True)
def cheap() -> Iterator[None]:
    with cheap_pins():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("whole")
    with Room(home) as room:
        room.with_user()
        for number in range(MANY):
            room.data(f"data {number}".encode(), value=bytes([number]) * 300)
            if number % 10 == 0:
                room.aes(f"key {number}".encode())
    return home


@pytest.fixture
def home(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(whole, tmp_path / "pool")
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    return tmp_path / "pool"


def held(home: Path) -> dict[bytes, dict[int, bytes]]:
    """What an engine serves, by label; with the user's PIN, if that still opens it."""
    with Room(home) as room:
        try:
            room.login()
        except (KeyError, TokenError):  # whom it is, is damaged
            pass
        objects = room.partition.objects.values()
        return {item.attributes[ck.CKA_LABEL]: dict(item.attributes) for item in objects}


def repaired(home: Path) -> dict[str, object]:
    told: dict[str, object] = json.loads(adyton("repair", "--yes", "--json"))
    return told


def page(number: int) -> Callable[[Path], None]:
    def zero(home: Path) -> None:
        with open(home / "pool.db", "r+b") as file:
            file.seek(number * PAGE)
            file.write(bytes(PAGE))

    return zero


def test_a_whole_pool_is_left_alone(home: Path) -> None:
    before = digests(home)
    told = repaired(home)
    assert told["repaired"] is False and told["findings"] == [] and digests(home) == before
    assert "nothing was done" in adyton("repair", str(home))


def test_nothing_is_done_unless_it_is_told_to(home: Path) -> None:
    edit(home, "DELETE FROM objects WHERE object_id = 7")
    before = digests(home)
    assert "add --yes" in adyton("repair", status=1) and "add --yes" in adyton("repair", "--dry-run")
    assert digests(home) == before and not list(home.glob("damaged-*"))


def test_a_row_that_was_removed(home: Path, whole: Path) -> None:
    """It is gone; the rest is whole, the log says so, and the damaged files are there."""
    (removed,) = (row[1] for row in rows(home, "objects")[7:8])
    edit(home, "DELETE FROM objects WHERE object_id = ?", removed)
    damaged = digests(home)["pool.db"]
    told = repaired(home)
    kept = Path(str(told["kept"]))
    assert kept.parent == home and kept.stat().st_mode & 0o777 == 0o700 and digests(kept)["pool.db"] == damaged
    assert len(held(home)) == len(held(whole)) - 1
    assert json.loads(adyton("check", "--json"))["findings"] == []
    assert "pool-repair" in adyton("audit", "query", "--operation", "pool-repair", "--json")


@pytest.mark.parametrize("number", range(0, 60, 3))
def test_a_page_that_is_gone(home: Path, whole: Path, number: int) -> None:
    """Any page of the file: objects on it are lost, those on other pages are as they were; or it says that nothing can
    be done, and has done nothing."""
    if number * PAGE >= (home / "pool.db").stat().st_size:
        number %= (home / "pool.db").stat().st_size // PAGE
    page(number)(home)
    before = digests(home)
    told = adyton("repair", "--yes", status=None)
    if "Nothing was done" in told or "nothing was done" in told:
        assert digests(home) == before and ("backup" in told or "nothing is damaged" in told)
        return
    truth, found = held(whole), held(home)
    assert all(truth[label] == attributes for label, attributes in found.items())
    assert len(found) > len(truth) - 30 or "could be read" in told
    assert not [f for f in json.loads(adyton("check", "--json", status=None))["findings"] if "removed" in f["what"]]


def test_the_first_page(home: Path, whole: Path) -> None:
    page(0)(home)
    told = adyton("repair", "--yes")
    assert "first page" in told and held(home) == held(whole)


def test_each_altered_object_is_left_out_and_the_rest_is_whole(home: Path, whole: Path) -> None:
    truth = held(whole)
    cells = [cell for cell in _cells(whole) if cell[0] == "objects"]
    for number, (table, row, column) in enumerate(random.Random(5).sample(cells, 12)):
        shutil.rmtree(home)
        shutil.copytree(whole, home)
        keys = rows(home, table)[row]
        value = _altered(keys[column], ("flip", "truncate", "empty")[number % 3], number + 1)
        try:
            edit(home, f"UPDATE {table} SET {columns(home, table)[column]} = ? WHERE slot = ? AND object_id = ?", value,
                 *keys[:2])
        except sqlite3.IntegrityError:
            continue
        adyton("repair", "--yes")
        found = held(home)
        assert len(found) >= len(truth) - 1
        assert all(truth[label] == attributes for label, attributes in found.items())
        again = json.loads(adyton("check", "--json", status=None))["findings"]
        assert not [finding for finding in again if "public" in finding["what"] or "removed" in finding["what"]]


def test_heads_and_the_pool_s_own(home: Path, whole: Path) -> None:
    """One copy of each, or both of the pool's: written anew."""
    for statement in ("DELETE FROM pool WHERE copy = 1", "UPDATE partitions SET head = x'00' WHERE copy = 0",
                      "DELETE FROM pool"):
        shutil.rmtree(home)
        shutil.copytree(whole, home)
        edit(home, statement)
        adyton("repair", "--yes")
        assert held(home) == held(whole)
        assert json.loads(adyton("check", "--json", status=None))["findings"] == []


def test_a_partition_without_a_head_is_said_to_be_lost(home: Path) -> None:
    edit(home, "DELETE FROM partitions")
    told = adyton("repair", "--yes")
    assert "partition 0, whose head is gone" in told
    assert json.loads(adyton("partition", "list", "--json")) == []
    adyton("partition", "create", "--label", "new", "--blank", status=None)
    adyton("stop")


def test_what_cannot_be_repaired_is_left_as_it_is(home: Path) -> None:
    for name, words in (("device.key", "backup"), ("pool.db", "backup")):
        lost = home / name
        kept = lost.read_bytes()
        lost.write_bytes(b"")
        before = digests(home)
        assert words in adyton("repair", "--yes", status=1) and digests(home) == before
        lost.write_bytes(kept)
    assert "is no folder" in adyton("repair", str(home / "nowhere"), status=1)


def test_not_beside_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DiskPool(tmp_path / "pool", CHEAP)
    monkeypatch.setenv("ADYTON_HOME", str(pool.home))
    adyton("partition", "list")
    try:
        assert "adyton stop" in adyton("repair", "--yes", status=1)
    finally:
        pool.stop()


def test_a_repair_that_is_killed_can_be_made_again(home: Path, whole: Path) -> None:
    """At each of its changes of names: afterwards the damaged pool, or the whole one, is there, and a second repair
    ends with the whole one."""
    ended = set()
    for name in ("rename", "unlink", "chmod", "mkdir", "fsync"):
        for times in range(1, 12):
            shutil.rmtree(home)
            shutil.copytree(whole, home)
            edit(home, "DELETE FROM pool WHERE copy = 1")
            child = os.fork()
            if not child:
                _killed_at(name, times, home)
            ended.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            adyton("repair", "--yes", status=None)
            assert held(home) == held(whole)
    assert ended == {0, 9}


def _killed_at(name: str, times: int, home: Path) -> None:
    """In a child: its end before so many calls of one kind, or after the whole repair."""
    left, real = times, getattr(os, name)

    def once(*arguments: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(9)
        return real(*arguments, **more)

    try:
        setattr(os, name, once)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            repair.repair(Arguments(folder=str(home), yes=True, dry_run=False, json=True))
        os._exit(0)
    finally:
        os._exit(1)


def test_counters_are_not_what_is_repaired(home: Path) -> None:
    """Nobody can tell how many tries there were, and a repair that says so has mended nothing."""
    (home / "counters").write_bytes(bytes(range(1, 201)))
    assert adyton("repair", "--yes").count("leaves as it is") == 2 and not list(home.glob("damaged-*"))
    edit(home, "DELETE FROM objects WHERE object_id = 1")
    told = adyton("repair", "--yes")
    assert told.count("leaves as it is") == 2 and "repaired; the damaged files are in" in told


def test_no_room_for_the_new_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(home, "DELETE FROM objects WHERE object_id = 1")
    (home / "pool.db.repaired-journal").mkdir()
    before = digests(home)
    assert "Nothing was done" in adyton("repair", "--yes", status=1) and digests(home) == before
