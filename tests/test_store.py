"""The sealed store: whatever is done to its files, it is never silently wrong, and one record costs one object."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_room import CHEAP, ECB, KWP, NO, SO, USER, DiskPool, Room, cheap_pins, crashes_at, refused, serve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm.access import key_use
from hsm.access.credentials import TRIES
from hsm.cryptoki import general
from hsm.errors import TokenError
from hsm.store import folder, schema
from hsm.store.counters import Counters
from hsm.store.folder import Unusable
from hsm.store.transaction import Transaction
from pkcs11_shim import constants as ck

SEALED = ("pool", "partitions", *schema.OF_A_PARTITION)
Objects = dict[int, dict[int, bytes]]


@pytest.fixture(scope="module", autouse=True)
def cheap() -> Iterator[None]:
    with cheap_pins():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool with a token, a user, and objects of every kind; closed, so that all is in pool.db."""
    home = tmp_path_factory.mktemp("made")
    with Room(home) as room:
        room.with_user()
        room.pair(b"pair")
        room.aes(b"secret key")
        room.aes(b"in clear", sensitive=NO, extractable=b"\1", private=NO)
        room.data(b"public data", value=b"for everybody")
        room.data(b"private data", value=b"for few", private=b"\1")
        item = room.session.object(room.find(b"secret key")[0])
        key_use.used(room.session, item, "decrypt", ECB)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "pool")
    return tmp_path / "pool"


def objects(home: Path) -> tuple[Objects, dict[int | None, list[str]]]:
    with Room(home) as room:
        room.login()
        found = {number: dict(item.attributes) for number, item in room.partition.objects.items()}
        return found, dict(room.pool.store.damage)


@pytest.fixture(scope="module")
def truth(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Objects:
    shutil.copytree(made, copy := tmp_path_factory.mktemp("truth") / "pool")
    found, damage = objects(copy)
    assert len(found) == 6 and damage == {}
    return found


def after(home: Path, truth: Objects) -> tuple[int, bool]:
    """(objects lost, whether anything was said), having checked that what is there is right."""
    try:
        found, damage = objects(home)
    except (Unusable, TokenError) as fault:
        assert len(str(fault)) > 20
        return len(truth), True
    for number, attributes in found.items():
        assert truth[number] == attributes, "silently wrong"
    return len(truth) - len(found), bool(damage)


def edit(home: Path, statement: str, *values: object) -> int:
    database = sqlite3.connect(home / "pool.db", isolation_level=None)
    try:
        return database.execute(statement, values).rowcount
    finally:
        database.close()


def rows(home: Path, table: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(home / "pool.db")
    try:
        return database.execute(f"SELECT * FROM {table}").fetchall()
    finally:
        database.close()


def columns(home: Path, table: str) -> list[str]:
    database = sqlite3.connect(home / "pool.db")
    try:
        return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    finally:
        database.close()


def put_back(home: Path, table: str, found: list[tuple[object, ...]]) -> None:
    for row in found:
        edit(home, f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", *row)


# -- rows


def _cells(made: Path) -> list[tuple[str, int, int]]:
    return [(table, row, column) for table in SEALED for row, values in enumerate(rows(made, table))
            for column in range(len(values)) if values[column] is not None]


def _altered(value: object, how: str, at: int) -> object:
    if isinstance(value, int):
        return value + 1 + at
    raw = value.encode() if isinstance(value, str) else value
    assert isinstance(raw, bytes)
    if how == "flip":
        place = at % (8 * len(raw))
        raw = bytes(b ^ (1 << place % 8) if i == place // 8 else b for i, b in enumerate(raw))
    else:
        raw = raw[: at % len(raw)] if how == "truncate" else b""
    return raw.decode("utf-8", "replace") if isinstance(value, str) else raw


def _alter(made: Path, work: Path, truth: Objects, cell: tuple[str, int, int], how: str, at: int) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(made, work)
    table, row, column = cell
    values = list(rows(work, table)[row])
    key = f"{columns(work, table)[0]} = ? AND {columns(work, table)[1]} = ?"
    edit(work, f"DELETE FROM {table} WHERE {key}", values[0], values[1])
    values[column] = _altered(values[column], how, at)
    put_back(work, table, [tuple(values)])
    replaced = len(rows(made, table)) - len(rows(work, table))  # by a number that another record had
    lost, said = after(work, truth)
    assert said, f"{table} row {row}, column {column}: {how} went unnoticed"
    if table in ("objects", "key_values", "partition_keys", "pool", "partitions") and column:
        assert lost <= 1 + replaced, f"{table} row {row}, column {column}: {how} cost {lost} objects"


def test_every_altered_cell_is_noticed_and_costs_one_object(made: Path, truth: Objects, tmp_path: Path) -> None:
    for number, cell in enumerate(_cells(made)):
        for how in ("flip", "truncate", "empty"):
            _alter(made, tmp_path / "pool", truth, cell, how, 7919 * number)


@pytest.mark.long
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_thousand_alterations(made: Path, truth: Objects, tmp_path: Path, data: st.DataObject) -> None:
    cell = data.draw(st.sampled_from(_cells(made)))
    how = data.draw(st.sampled_from(["flip", "truncate"]))
    _alter(made, tmp_path / "pool", truth, cell, how, data.draw(st.integers(0, 1 << 20)))


def test_two_rows_swapped_are_noticed(home: Path, truth: Objects) -> None:
    found = rows(home, "objects")
    for left, right in ((0, 1), (2, 3), (4, 5)):
        for column in (2, 3, 4, 5):  # generation, about, public, secret
            shutil.copy(home / "pool.db", home / "kept")
            one, two = list(found[left]), list(found[right])
            one[column], two[column] = two[column], one[column]
            put_back(home, "objects", [tuple(one), tuple(two)])
            lost, said = after(home, truth)
            assert (said or one[column] == two[column]) and lost <= 2
            shutil.copy(home / "kept", home / "pool.db")


def test_every_deleted_row_is_noticed(made: Path, truth: Objects, tmp_path: Path) -> None:
    for table in (*SEALED, "audit"):
        for number, row in enumerate(rows(made, table)):
            if table == "audit" and number < len(rows(made, table)) - 1:
                continue  # the chain's own matter: see test_audit
            shutil.rmtree(tmp_path / "pool", ignore_errors=True)
            shutil.copytree(made, tmp_path / "pool")
            names = columns(tmp_path / "pool", table)
            key = " AND ".join(f"{name} IS ?" for name in names)
            assert edit(tmp_path / "pool", f"DELETE FROM {table} WHERE {key}", *row) == 1
            lost, said = after(tmp_path / "pool", truth)
            assert said, f"{table} row {number} was deleted unnoticed"
            assert lost <= (1 if table == "objects" else 0) or row[1:3] == ("officer", "user")


def test_an_old_row_put_back_is_noticed(home: Path) -> None:
    """An object that was destroyed, one as it was before a change, a PIN that was changed, a use given back."""
    before = {table: rows(home, table) for table in SEALED}
    with Room(home) as room:
        room.login()
        room.destroy(room.find(b"public data")[0])
        room.relabel(room.find(b"private data")[0], b"renamed")
        item = room.session.object(room.find(b"in clear")[0])
        key_use.used(room.session, item, "wrap", KWP, room.session.object(room.find(b"secret key")[0]))
        room.partition.set_pin(room.app, room.session.login, USER, b"another pin")
    for table in schema.OF_A_PARTITION:
        for row in before[table]:
            if row not in rows(home, table):
                shutil.copytree(home, home.parent / "copy")
                put_back(home.parent / "copy", table, [row])
                with Room(home.parent / "copy") as room:
                    assert room.partition.damaged, f"an old row of {table} was taken back"
                shutil.rmtree(home.parent / "copy")
    for table in ("pool", "partitions"):  # the heads of before, both copies: then the rest does not add up
        shutil.copytree(home, home.parent / "copy")
        put_back(home.parent / "copy", table, before[table])
        with Room(home.parent / "copy") as room:
            assert room.pool.store.damage
        shutil.rmtree(home.parent / "copy")


def test_a_partition_that_was_taken_away_is_missed(home: Path) -> None:
    for table in ("partitions", *schema.OF_A_PARTITION):
        edit(home, f"DELETE FROM {table} WHERE slot = 0")
    with pytest.raises(KeyError):
        Room(home)


# -- files


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 1 << 30), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_database_is_never_silently_wrong(
    made: Path, truth: Objects, tmp_path: Path, at: int, bit: int
) -> None:
    shutil.rmtree(tmp_path / "pool", ignore_errors=True)
    shutil.copytree(made, tmp_path / "pool")
    with open(tmp_path / "pool/pool.db", "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(at % size)
        byte = file.read(1)[0]
        file.seek(at % size)
        file.write(bytes([byte ^ 1 << bit]))
    lost, said = after(tmp_path / "pool", truth)
    assert said or not lost


@pytest.mark.parametrize("name", ["pool.db", "device.key"])
@pytest.mark.parametrize("how", ["missing", "empty", "truncated", "flipped"])
def test_a_lost_or_damaged_file_is_said_and_never_made_anew(home: Path, truth: Objects, name: str, how: str) -> None:
    path = home / name
    content = path.read_bytes()
    cut = len(content) // 2
    changed = {"empty": b"", "truncated": content[:cut], "flipped": content[:cut] + b"\xff" * 8 + content[cut + 8:]}
    path.unlink()
    if how != "missing":
        path.write_bytes(changed[how])
        path.chmod(0o600)
    lost, said = after(home, truth)
    assert said or (how == "flipped" and not lost)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    if name == "device.key":
        assert after(home, truth) == (0, False)


def test_no_engine_starts_on_damage_without_words(home: Path) -> None:
    os.truncate(home / "device.key", 7)
    engine = serve(home)
    words = engine.communicate(timeout=30)[1]
    assert engine.returncode == 1 and "put its backup back" in words and "Traceback" not in words


def test_damage_is_in_the_log_and_in_status(home: Path) -> None:
    pool = DiskPool(home, CHEAP)
    number = rows(home, "objects")[0][1]
    edit(home, "UPDATE objects SET public = zeroblob(100) WHERE object_id = ?", number)
    environment = {**os.environ, "ADYTON_HOME": str(home)}
    command = [sys.executable, "-m", "hsm.cli.main"]
    try:
        subprocess.run([*command, "partition", "list"], env=environment, check=True, capture_output=True)
        told = subprocess.run([*command, "status", "--json"], env=environment, capture_output=True, text=True)
        engine = json.loads(told.stdout)["engine"]
        assert json.loads(told.stdout)["partitions"][0]["damaged"] == 2
        assert any(f"object {number} is damaged" in words for words in engine["damage"])
        assert any("behind the engine's back" in words for words in engine["damage"])
        shown = subprocess.run([*command, "status"], env=environment, capture_output=True, text=True).stdout
        assert f"problem  damage in partition 0: object {number} is damaged and left out" in shown
        assert f"object {number} is damaged" in pool.log()
    finally:
        pool.stop()


def test_a_store_of_a_later_version_is_refused_with_words(home: Path) -> None:
    edit(home, "PRAGMA user_version = 99")
    engine = serve(home)
    assert "has version 99" in engine.communicate(timeout=30)[1] and engine.returncode == 1


def test_a_store_without_its_key_is_not_adopted_by_a_new_key(home: Path) -> None:
    (home / "device.key").unlink()
    for _ in range(2):
        with pytest.raises(Unusable, match=r"device\.key is missing"):
            Room(home)


# -- at rest


def test_nothing_secret_lies_in_clear_in_any_file(tmp_path: Path) -> None:
    home = tmp_path / "pool"
    home.mkdir()
    value = os.urandom(32)
    with Room(home) as room:
        room.with_user(b"the-user's-own-pin")
        handle = room.aes(b"label-of-a-private-key")
        room.data(b"label-of-private-data", private=b"\1", value=value, application=b"application-of-few")
        room.pair(b"label-of-a-pair")
        key = room.session.object(handle).attributes[ck.CKA_VALUE]
        pair = [o.attributes for o in room.partition.objects.values() if ck.CKA_EC_PARAMS in o.attributes]
        scalar = next(a[ck.CKA_VALUE] for a in pair if a[ck.CKA_CLASS] == ck.CKO_PRIVATE_KEY.to_bytes(8, "little"))
        unsealed = room.aes(b"public-label", private=NO, sensitive=NO, extractable=b"\1")
        weak = room.session.object(unsealed).attributes[ck.CKA_VALUE]
        room.destroy(room.find(b"label-of-private-data")[0])
        room.relabel(handle, b"another-private-label")
        partition_key = bytes(room.partition.opened())
        secret = (value, key, scalar, weak, partition_key, SO, b"the-user's-own-pin", b"label-of-a-private-key",
                  b"label-of-private-data", b"another-private-label", b"application-of-few")
        files = {path.name: path.read_bytes() for path in home.iterdir()}
        assert files["pool.db-wal"], "the log is looked at too"
    files |= {f"closed {path.name}": path.read_bytes() for path in home.iterdir()}
    for name, content in files.items():
        for told in secret:
            assert told not in content and told[::-1] not in content, f"in {name}"


def test_what_was_destroyed_leaves_the_files(home: Path) -> None:
    with Room(home) as room:
        room.login()
        handle = room.find(b"secret key")[0]
        number = room.session.object(handle).object_id
        sealed = room.pool.store._rows("SELECT secret FROM objects WHERE object_id = ?", number)[0][0]
        room.relabel(handle, b"renamed")
        again = room.pool.store._rows("SELECT secret FROM objects WHERE object_id = ?", number)[0][0]
        assert sealed != again
        room.destroy(handle)
        for path in home.iterdir():
            content = path.read_bytes()
            assert sealed not in content and again not in content, path.name


def test_an_officer_whose_record_is_damaged_has_no_roles_and_a_new_pin_works(home: Path) -> None:
    edit(home, "UPDATE records SET sealed = x'00' WHERE kind = 'officer' AND name = 'user'")
    with Room(home) as room:
        with refused(ck.CKR_DEVICE_ERROR):
            room.login()
        room.login(SO, ck.CKU_SO)
        general.C_InitPIN(room.app, room.handle, b"another-pin")
        room.logout()
        room.login(b"another-pin")
        assert not room.find(b"secret key")
    with Room(home) as room:
        room.login(b"another-pin")
        officer = room.partition.directory.officers["user"]
        assert officer.object_id and not room.partition.directory.assignments_of(officer)


# -- versions


def test_an_upgrade_is_all_or_nothing(home: Path, truth: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    def note(tx: Transaction) -> None:
        tx.database.execute("CREATE TABLE notes (note BLOB)")
        tx.database.execute("INSERT INTO notes VALUES (?)", (bytes(len(tx.device_key)),))

    def fails(tx: Transaction) -> None:
        tx.database.execute("DROP TABLE objects")
        raise sqlite3.OperationalError("a step that fails")

    monkeypatch.setattr(schema, "UPGRADES", [*schema.UPGRADES, note, fails])
    with pytest.raises((Unusable, TokenError)):
        Room(home)
    assert "notes" not in [row[1] for row in rows(home, "sqlite_master")]
    monkeypatch.setattr(schema, "UPGRADES", schema.UPGRADES[:-1])
    assert after(home, truth) == (0, False)
    assert rows(home, "notes") == [(bytes(32),)]
    monkeypatch.undo()
    with pytest.raises(Unusable, match="upgrade adyton"):
        Room(home)


# -- read-only


def test_a_read_only_pool_is_write_protected_and_logs_in(
    home: Path, truth: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "is_read_only", lambda home: True)
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    with Room(home) as room:
        assert room.partition.token_flags(-1) & ck.CKF_WRITE_PROTECTED
        with refused(ck.CKR_TOKEN_WRITE_PROTECTED):
            room.app.open_session(room.partition, True)
        with refused(ck.CKR_TOKEN_WRITE_PROTECTED):
            room.init_token()
        room._session = room.app.open_session(room.partition, False)
        with refused(ck.CKR_PIN_INCORRECT):
            room.login(b"wrong-pin")
        assert room.partition.token_flags(-1) & ck.CKF_USER_PIN_COUNT_LOW
        room.login()
        assert {n: i.attributes for n, i in room.partition.objects.items()} == truth
        room.aes(b"session", token=NO)
        with refused(ck.CKR_TOKEN_WRITE_PROTECTED):
            room.pool.create_partition(room.app)
        room.logout()
        for _ in range(TRIES):
            with refused(ck.CKR_PIN_INCORRECT):
                room.login(b"wrong-pin")
        with refused(ck.CKR_PIN_LOCKED):
            room.login()
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


def test_what_a_killed_engine_left_is_read_on_a_read_only_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(acknowledge: object) -> None:
        with Room(home) as room:
            room.login()
            room.data(b"in the log")
            os.kill(os.getpid(), signal.SIGKILL)

    crashes_at(1 << 30, make)
    assert (home / "pool.db-wal").stat().st_size
    monkeypatch.setattr(folder, "is_read_only", lambda home: True)
    with Room(home) as room:
        assert b"in the log" in room.labels()


# -- counters


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["fail", "good", "new", "restart", "damage"]), st.integers(0, 255)),
                max_size=30))
def test_a_counter_never_forgets_a_try(tmp_path: Path, steps: list[tuple[str, int]]) -> None:
    """Against a model: damage to one place may only count more, damage to both counts as locked."""
    path = tmp_path / "counters"
    path.unlink(missing_ok=True)
    number, credential, least = 3, bytes(16), 0
    subject = Counters(str(path), b"key")
    subject.reserve(number + 1)
    for what, value in steps:
        failures = subject.failures(number, credential, 0)
        assert failures >= least
        if what == "fail":
            subject.write(number, credential, failures + 1)
            least += 1
        elif what == "good":
            subject.write(number, credential, 0)
            least = 0
        elif what == "new":
            credential = bytes([value]) * 16
            subject.write(number, credential, 0)
            least = 0
        else:
            subject.close()
            if what == "damage":
                raw = bytearray(path.read_bytes())
                at = (2 * number + value % 2) * 64 + value // 4
                raw[at] ^= 1 + value % 7
                path.write_bytes(raw)
            subject = Counters(str(path), b"key")
    subject.close()


def test_a_counters_file_put_back_gives_no_tries(home: Path) -> None:
    blank = bytes((home / "counters").stat().st_size)
    with Room(home) as room:
        for _ in range(TRIES - 1):
            with refused(ck.CKR_PIN_INCORRECT):
                room.login(b"wrong-pin")
        room.app.close_all()
        room._session = None
        room.login(SO, ck.CKU_SO)
        room.logout()
        room.data(b"a commit, which tells the store how far the counters were")
    for content in (blank, None):
        (home / "counters").unlink()
        if content is not None:
            (home / "counters").write_bytes(content)
        with Room(home) as room, refused(ck.CKR_PIN_LOCKED):
            room.login()
