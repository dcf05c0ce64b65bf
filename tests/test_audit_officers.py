"""Whoever logs another officer in while a call is answered puts nothing on that one's account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from abi import good, initialised, name
from engine_room import CHEAP, DiskPool, Room

from hsm.audit.record import Record
from hsm.client import MODULE, connect
from hsm.store.sqlite import Store
from pkcs11_shim import constants as ck

SO, USER, BOB = "the-so-pin", "the-user-pin", "the-bob-pin"
# As another thread of the application could: after the right was asked for, and before the record is made.
SWAPS = """
from hsm.access import key_use
from hsm.access import policy
def swapping(asked, first):
    def swap(*given, **more):
        answer = asked(*given, **more)
        session = given[first]
        app, partition = session.application, session.partition
        if app.logins[partition.slot].officer == "user":
            app.end_login(partition)
            app.start_login(session, "bob", 1, False)
        return answer
    return swap
key_use.used = swapping(key_use.used, 0)
policy.names = swapping(policy.names, 0)
"""


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskPool]:
    """An engine in which ``bob`` comes instead of ``user`` in the middle of calls, and may use nothing."""
    made = DiskPool(tmp_path / "pool", CHEAP + SWAPS)
    monkeypatch.setenv("ADYTON_HOME", str(made.home))
    with connect(start=True) as client:
        client.ask("partition-create", kind="token", label="one", so_pin=SO, pin=USER)
        client.ask("officer-create", slot=0, name="bob", new_pin=BOB, **{"as": "so", "pin": SO})
        role = {"assignee": "bob", "role": "Crypto User", "scope": "/keys/none"}
        client.ask("role-assignment-create", slot=0, **role, **{"as": "so", "pin": SO})
    yield made
    made.stop()


def told(pool: DiskPool, function: str) -> list[Record]:
    pool.stop()
    store = Store(str(pool.home))
    try:
        return [record for record in store.audit.records() if record.operation == function]
    finally:
        store.close()


def test_a_use_is_recorded_as_whose_right_it_was(pool: DiskPool) -> None:
    pool.stop()
    with Room(pool.home) as room:  # whose engine is this process: nobody comes in between
        room.login(USER.encode())
        room.aes(b"this")
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER))
        (key,) = m.find(s, {ck.CKA_LABEL: b"this"})
        good(m.use("Sign", s, m.mechanism(ck.CKM_AES_CMAC), key, b"text")[0])
        assert m.find(s, {ck.CKA_LABEL: b"this"}) == []
    (record,) = told(pool, "C_Sign")
    assert (record.officer, record.rv) == ("user", ck.CKR_OK)


def test_what_one_may_make_is_not_made_on_anothers_account(pool: DiskPool) -> None:
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER))
        rows = {ck.CKA_TOKEN: True, ck.CKA_VALUE_LEN: 32, ck.CKA_LABEL: b"this"}
        assert name(m.generate(s, ck.CKM_AES_KEY_GEN, rows)[0]) == "CKR_USER_NOT_LOGGED_IN"
    assert {(record.officer, record.rv) for record in told(pool, "C_GenerateKey")} == {
        ("user", ck.CKR_USER_NOT_LOGGED_IN)
    }
    with Room(pool.home) as room:
        room.login(USER.encode())
        assert room.labels() == []
