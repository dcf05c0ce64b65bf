"""The audit log: each change has its record in the change's own commit, chained, and without a value in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_room import ECB, KWP, NO, SO, USER, Room, cheap_pins, refused

from hsm.access import key_use
from hsm.cryptoki import general, objects
from pkcs11_shim import constants as ck


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with cheap_pins():
        (tmp_path / "pool").mkdir()
        yield tmp_path / "pool"


def records(home: Path) -> list[dict[str, Any]]:
    """Reads the log of a closed pool as an outsider would, and recomputes its chain."""
    database = sqlite3.connect(home / "pool.db")
    rows = database.execute("SELECT sequence, record, hash FROM audit ORDER BY sequence").fetchall()
    database.close()
    found: list[dict[str, Any]] = []
    previous = bytes(32)
    for last, block, chained in rows:
        body = zlib.decompress(block)
        assert hashlib.sha256(last.to_bytes(8, "little") + previous + body).digest() == chained
        previous = chained
        _, first, contexts, which, times, _, _ = json.loads(body)
        assert first == len(found) + 1 and last == first + len(which) - 1
        now = 0
        for number, passed in zip(which, times, strict=True):
            now += passed
            act, rv, officer, uid, pid, slot, keys, _, detail = contexts[number]
            assert rv == 0
            found.append({"act": act, "officer": officer, "uid": uid, "pid": pid, "slot": slot, "keys": keys,
                          "time": now / 1e6, **detail})
    return found


def acts(home: Path) -> list[str]:
    """Without what engines say of themselves."""
    return [row["act"] for row in records(home) if not row["act"].startswith("engine-")]


def test_every_change_has_its_record(home: Path) -> None:
    expected = ["pool-create"]

    def did(*names: str) -> None:
        expected.extend(names)

    with Room(home) as room:
        room.with_user()
        did("C_InitToken", "C_InitPIN")
        key = room.aes(b"key")
        did("generate")
        room.pair(b"pair")
        did("generate")
        data = room.data(b"data")
        did("create")
        objects.C_CopyObject(room.app, room.handle, data, [(ck.CKA_LABEL, b"copy")])
        did("copy")
        room.relabel(key, b"renamed")
        did("change")
        item = room.session.object(key)
        key_use.used(room.session, item, "decrypt", ECB)
        did("first-decrypt")
        key_use.used(room.session, item, "decrypt", ECB)
        wrapped = room.session.object(room.aes(b"wrapped", extractable=b"\1"))
        wrapping = room.session.object(room.aes(b"wrapping"))
        did("generate", "generate")
        key_use.used(room.session, wrapping, "wrap", KWP, wrapped)
        did("first-wrap")
        key_name = "/".join(item.key_name())
        room.destroy(key)
        did("destroy")
        room.aes(b"a session object changes nothing that lasts", token=NO)
        general.C_SetPIN(room.app, room.handle, USER, b"another-pin")
        did("C_SetPIN")
        room.app.close_all()
        room._session = None
        made = room.pool.create_partition(room.app)
        room.pool.delete_partition(room.app, made.slot, made.act(room.app, "partition-delete", ""))
        did("partition-create", "partition-delete")
        room.init_token()
        did("C_InitToken")
    assert acts(home) == expected
    found = [row for row in records(home) if row["act"] in expected[1:]]
    for row in found:
        assert row["pid"] == os.getpid() and row["uid"] == os.geteuid() and row["time"] > 1.7e9
        assert row["officer"] == {"C_InitToken": "so", "C_InitPIN": "so", "partition-create": "",
                                  "partition-delete": ""}.get(row["act"], "user")
        assert row["slot"] == (made.slot if row["act"].startswith("partition") else 0)
    assert [row["act"] for row in found if key_name in row["keys"]] == [
        "generate", "change", "first-decrypt", "destroy"]
    assert next(row for row in found if row["act"] == "change")["attributes"] == "CKA_LABEL"
    assert [key.split("/")[0] for key in found[3]["keys"]] == ["pair"], "both halves of a pair are one version"


def test_no_value_and_no_pin_is_in_it(home: Path) -> None:
    value = b"value-that-nobody-may-read-there"
    with Room(home) as room:
        room.with_user()
        handle = room.data(b"a-label-of-somebody", value=value, private=b"\1", application=b"application-name")
        room.relabel(handle, b"another-label")
        key = room.session.object(room.aes(b"key"))
        secret = key.attributes[ck.CKA_VALUE]
        general.C_SetPIN(room.app, room.handle, USER, b"another-pin")
        room.destroy(handle)
    text = json.dumps(records(home)).encode()
    told = (value, b"a-label-of-somebody", b"another-label", b"application-name", SO, USER, b"another-pin")
    for secret_bytes in (*told, secret):
        for form in (secret_bytes, secret_bytes.hex().encode(), secret_bytes.hex().upper().encode()):
            assert form not in text
        assert hashlib.sha256(secret_bytes).hexdigest().encode() not in text


def test_what_was_rolled_back_has_no_record(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Room(home) as room:
        room.with_user()
        store = room.pool.store
        database = store._database

        class Refuses:
            in_transaction = property(lambda self: database.in_transaction)

            def execute(self, statement: str, *values: object) -> object:
                if statement == "COMMIT":
                    raise sqlite3.OperationalError("refused")
                return database.execute(statement, *values)

        monkeypatch.setattr(store, "_database", Refuses())
        with refused(ck.CKR_DEVICE_ERROR):
            room.aes(b"never")
        monkeypatch.setattr(store, "_database", database)
        room.aes(b"there")
    assert acts(home) == ["pool-create", "C_InitToken", "C_InitPIN", "generate"]


def test_an_altered_record_breaks_the_chain_and_a_shortened_log_is_said(home: Path) -> None:
    with Room(home) as room:
        room.with_user()
        for n in range(5):
            room.data(b"%d" % n)
    whole = records(home)
    shutil.copytree(home, copy := home.parent / "copy")
    database = sqlite3.connect(copy / "pool.db", isolation_level=None)
    block = database.execute("SELECT record FROM audit WHERE sequence = 6").fetchone()[0]
    altered = zlib.compress(zlib.decompress(block).replace(b"create", b"creatE"))
    database.execute("UPDATE audit SET record = ? WHERE sequence = 6", (altered,))
    with pytest.raises(AssertionError):
        records(copy)
    database.close()
    shutil.rmtree(copy)
    shutil.copytree(home, copy)
    database = sqlite3.connect(copy / "pool.db", isolation_level=None)
    database.execute("DELETE FROM audit WHERE sequence > 6")
    database.close()
    assert len(records(copy)) == 6 < len(whole)
    with Room(copy) as room:
        assert any("audit log" in words for words in room.pool.store.damage[None])
