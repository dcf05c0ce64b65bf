"""``adyton check``: whatever is done to a pool's files, it names what is damaged, and writes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from abi import good, initialised
from apart import adyton
from engine_room import CHEAP, NO, USER, DiskPool, Room, cheap_pins
from test_store import SEALED, _cells, columns, edit, made, rows
from test_store import _altered as altered

from hsm.access.credentials import Cost
from hsm.access.officers import Officers
from hsm.audit import checkpoint
from hsm.cli import check
from hsm.client import MODULE
from hsm.errors import TokenError
from hsm.store.folder import Unusable
from pkcs11_shim import constants as ck

assert made  # the fixture: a pool with a token, a user and objects of every kind
PIN = ["--as", "user", "--pin-file", "pin"]


@pytest.fixture(scope="module", autouse=True)
def cheap() -> Iterator[None]:
    with cheap_pins():
        yield


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "pool")
    (tmp_path / "pin").write_bytes(USER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    return tmp_path / "pool"


def found(home: Path) -> list[str]:
    """What is found with the user's PIN, in words; and that nothing was written."""
    before = digests(home)
    try:
        with check._looking_at(str(home)) as store:
            try:
                key = Officers(store, 0, Cost(), lambda: None).credentials.check("user", USER)
            except (TokenError, KeyError):  # whom it is, is damaged
                key = None
            opened = (0, key) if key is not None else None
            words = [f"{finding.where}: {finding.what}" for finding in check._all(store, opened, [])[0]]
    except Unusable as fault:
        words = [str(fault)]
    assert digests(home) == before
    return words


def digests(home: Path) -> dict[str, str]:
    files = sorted(path for path in home.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_whole_pool(home: Path) -> None:
    before = digests(home)
    told = json.loads(adyton("check", "--json", *PIN))
    assert told["findings"] == [] and told["sealed"] == 0
    assert told["looked_at"]["objects"] == told["looked_at"]["secrets"] == len(rows(home, "objects"))
    assert "nothing is damaged" in adyton("check", str(home))
    assert digests(home) == before


def test_each_altered_cell_is_named(made: Path, tmp_path: Path) -> None:
    """The very cells, and ways to alter them, that the engine is tried with."""
    for number, cell in enumerate(_cells(made)):
        work = tmp_path / "pool"
        _altered(made, work, cell, ("flip", "truncate", "empty")[number % 3], number)
        assert found(work), cell


def _altered(made: Path, work: Path, cell: tuple[str, int, int], how: str, at: int) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(made, work)
    table, row, column = cell
    values = rows(work, table)[row]
    names = columns(work, table)
    where = " AND ".join(f"{name} IS ?" for name in names)
    # A number that no other row has, where it names the row.
    other = values[column] + 1000 if isinstance(values[column], int) else altered(values[column], how, at)
    assert edit(work, f"UPDATE {table} SET {names[column]} = ? WHERE {where}", other, *values)


def test_each_deleted_row_is_named(made: Path, tmp_path: Path) -> None:
    for table in (*SEALED, "audit"):
        for number in range(len(rows(made, table))):
            work = tmp_path / "pool"
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(made, work)
            values, names = rows(work, table)[number], columns(work, table)
            where = " AND ".join(f"{name} IS ?" for name in names)
            assert edit(work, f"DELETE FROM {table} WHERE {where}", *values) == 1
            assert found(work), (table, number)


def flipped(name: str, at: int) -> Callable[[Path], None]:
    def flip(home: Path) -> None:
        data = bytearray((home / name).read_bytes())
        data[at] ^= 1
        (home / name).write_bytes(data)

    return flip


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda home: os.truncate(home / name, size)


def gone(name: str) -> Callable[[Path], None]:
    return lambda home: (home / name).unlink()


def conf(home: Path) -> None:
    (home / "adyton.conf").write_text("idle-timeout = soon\n")


@pytest.mark.parametrize("harm,words", [
    (gone("pool.db"), "pool.db is missing"), (cut("pool.db", 0), "pool.db is missing or empty"),
    (cut("pool.db", 5000), "can't be read"), (flipped("pool.db", 20), ""), (flipped("pool.db", 5), "can't be read"),
    (gone("device.key"), "device.key"), (cut("device.key", 31), "device.key is damaged"),
    (flipped("device.key", 3), "does not go with device.key"),
    (gone("counters"), "older than the store"), (cut("counters", 0), "older than the store"),
    (flipped("counters", 70), ""), (conf, "idle-timeout"),
])
def test_each_file(home: Path, harm: Callable[[Path], None], words: str) -> None:
    with Room(home) as room:  # so that the counters have been written to
        for _ in "ab":
            try:
                room.login(b"wrong-pin")
            except Exception:
                pass
        room.login()
        room.data(b"one more")
    assert adyton("check", *PIN)
    harm(home)
    told = adyton("check", status=None)
    if words:
        assert words in told, told
    else:
        assert "nothing is damaged" in told or ": " in told


def test_a_pool_that_was_put_back_is_found_by_a_checkpoint(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "of-before")
    with Room(home) as room:
        room.login()
        room.data(b"since then")
    with check._looking_at(str(home)) as store:
        private, public = store.audit_key()
        told = store.pool_head.chain
        kept = checkpoint.sign(private, public, told.sequence, told.hash, 0)
    (tmp_path / "kept").write_text(kept)
    assert "nothing is damaged" in adyton("check", "--checkpoint", "kept")
    shutil.rmtree(home)
    shutil.copytree(tmp_path / "of-before", home)
    assert "nothing is damaged" in adyton("check")
    assert "cut off: the checkpoint that was kept" in adyton("check", "--checkpoint", kept, status=1)


def test_what_only_a_pin_shows(home: Path) -> None:
    """A secret that was altered is found by who can open it; a wrong PIN opens nothing and costs a try of nobody's."""
    first = "(SELECT min(object_id) FROM objects WHERE secret IS NOT NULL)"
    assert edit(home, f"UPDATE objects SET secret = zeroblob(60) WHERE object_id = {first}") == 1
    told = adyton("check", status=1)  # the row's weight is another
    assert "not opened without --as OFFICER" in told
    assert "object" in adyton("check", *PIN, status=1)
    before = digests(home)
    (home.parent / "wrong").write_text("wrong-pin")
    assert "wrong PIN" in adyton("check", "--as", "user", "--pin-file", "wrong", status=1)
    assert digests(home) == before


def test_beside_an_engine_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DiskPool(tmp_path / "pool", CHEAP)
    monkeypatch.setenv("ADYTON_HOME", str(pool.home))
    with Room(pool.home) as room:
        room.with_user()
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        for number in range(8):
            for _ in range(5):
                m.make(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_TOKEN: True, ck.CKA_PRIVATE: NO, ck.CKA_LABEL: b"x"})
            with check._looking_at(str(pool.home)) as store:
                findings, looked = check._all(store, None, [])
            assert findings == [] and looked.objects == 5 * (number + 1)
    pool.stop()


def test_no_pool_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "none"))
    assert "is no folder" in adyton("check", status=1)
