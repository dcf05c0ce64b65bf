"""``adyton partition seal`` and the setting ``seal-after``: as before anybody had logged in, and nothing is lost."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import Module, good, initialised, logged_in, name
from engine_room import CHEAP, USER, DiskPool, Room, cheap_pins

from hsm.cli.main import main
from hsm.client import MODULE, Client, Refused, connect
from hsm.management.terminal import Terminal, Terminals
from hsm.objects.token_object import TokenObject
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

PRIVATE = {ck.CKA_LABEL: b"kept", ck.CKA_TOKEN: True}


def seal(token: ThrowAway) -> dict[str, Any]:
    with Client(token.home) as client:
        return client.ask("partition-seal", slot=0)


def partition(token: ThrowAway) -> dict[str, Any]:
    with Client(token.home) as client:
        row: dict[str, Any] = client.ask("partition-list")["partitions"][0]
        return row


def test_all_logins_and_what_they_began_are_over(adyton_token: ThrowAway) -> None:
    with logged_in(adyton_token) as (m, s):
        key, mechanism = m.aes(s, token=True, label=b"kept"), m.mechanism(ck.CKM_AES_ECB)
        public = m.make(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"public"})
        before = m.use("Encrypt", s, mechanism, key, bytes(16))
        good(m.C_EncryptInit(s, mechanism, key))
        assert seal(adyton_token)["was_open"] and not partition(adyton_token)["open"]
        assert m.state(s) == ck.CKS_RW_PUBLIC_SESSION
        assert name(m.output(m.C_Encrypt, s, m.bytes(bytes(16)), 16)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
        assert name(m.C_EncryptInit(s, mechanism, key)) == "CKR_KEY_HANDLE_INVALID"
        assert m.find(s, PRIVATE) == [] and m.find(s, {ck.CKA_LABEL: b"public"}) == [public]
        assert not seal(adyton_token)["was_open"], "twice"
        good(m.login(s, adyton_token.pin))
        assert partition(adyton_token)["open"]
        [again] = m.find(s, PRIVATE)
        assert again != key and m.use("Encrypt", s, mechanism, again, bytes(16)) == before


def test_a_wrong_pin_costs_all_of_argon2_again(adyton_token: ThrowAway) -> None:
    with logged_in(adyton_token) as (m, s):
        seal(adyton_token)
        assert name(m.login(s, "wrong-pin")) == "CKR_PIN_INCORRECT" and not partition(adyton_token)["open"]
        good(m.login(s, adyton_token.pin))


def test_what_has_happened_to_a_value_is_not_forgotten(tmp_path: Path) -> None:
    """A lost use stays lost, and so does an IV that was used: sealing is no restart."""
    home = tmp_path / "pool"
    home.mkdir(mode=0o700)
    with cheap_pins(), Room(home) as room:
        room.with_user()
        item = room.session.object(room.aes(b"key"))
        nonces = room.partition.values.nonces(item)
        assert nonces is not None
        nonces.add(b"an IV of 12 b")
        assert room.partition.seal()
        assert item.alive is False and room.partition.key is None
        room.login()
        again = room.session.object(room.find(b"key")[0])
        nonces = room.partition.values.nonces(again)
        assert nonces is not None and b"an IV of 12 b" in nonces


def test_nothing_of_the_key_is_left_in_the_engine(tmp_path: Path) -> None:
    home = tmp_path / "pool"
    home.mkdir(mode=0o700)
    with cheap_pins(), Room(home) as room:
        room.with_user()
        item = room.session.object(room.aes(b"key"))
        value = bytes(item.attributes[ck.CKA_VALUE])
        held = room.partition.officers.credentials._fast
        assert len(value) == 32 and held
        room.partition.seal()
        assert held == {} and value not in item._held.values()
        assert not any(value in other._held.values() for other in room.partition.objects.values())


def test_only_the_pool_s_owner_seals(adyton_token: ThrowAway, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["partition", "seal", adyton_token.label]) == 0
    assert capsys.readouterr().out == "partition 0 sealed: all logins are over, and the next one opens it\n"
    assert main(["partition", "seal", "0"]) == 0
    assert "was sealed already" in capsys.readouterr().out
    with Client(adyton_token.home) as client:
        told = [row for row in client.ask("audit-records")["records"] if row["operation"] == "partition-seal"]
        assert [row["uid"] for row in told] == [os.geteuid()] * 2
        blank = client.ask("partition-create")["partition"]["slot"]
        with pytest.raises(Refused, match="nothing to seal"):
            client.ask("partition-seal", slot=blank)


def test_terminal_logins_end_with_it() -> None:
    terminals, here, there = Terminals(), object(), object()
    terminals._logins = {
        (Terminal(1, 2, 3), where): type("Login", (), {"officer": "alice"})() for where in (here, there)  # type: ignore[dict-item]
    }
    terminals.end(here)  # type: ignore[arg-type]
    assert [place[1] for place in terminals._logins] == [there]


def test_sealing_while_others_work(adyton_token: ThrowAway) -> None:
    """Each call is answered as it was begun, or as one of somebody who is logged out; no answer is wrong."""
    codes: set[str] = set()
    with logged_in(adyton_token) as (m, s):
        m.aes(s, token=True, label=b"kept")
        mechanism, expected = m.mechanism(ck.CKM_AES_ECB), None
        expected = m.use("Encrypt", s, mechanism, m.find(s, PRIVATE)[0], bytes(16))[1]
        done = threading.Event()

        def seen(session: int) -> list[int]:
            """Nothing, where the search was told that somebody has logged out in the midst of it."""
            try:
                return m.find(session, PRIVATE)
            except AssertionError as refused:
                codes.add(f"search: {refused}")
                return []

        def work(session: int) -> None:
            while not done.is_set():
                m.login(session, adyton_token.pin)
                for key in seen(session):
                    rv, made = m.use("Encrypt", session, mechanism, key, bytes(16))
                    codes.add(name(rv) if rv or made == expected else "wrong")

        threads = [threading.Thread(target=work, args=(m.session(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            seal(adyton_token)
        done.set()
        for thread in threads:
            thread.join()
    assert codes <= {
        "CKR_OK", "CKR_KEY_HANDLE_INVALID", "CKR_OPERATION_NOT_INITIALIZED", "search: CKR_FUNCTION_FAILED",
    } and "CKR_OK" in codes
    assert "fault" not in Path(adyton_token.home, "engine.log").read_text()


# -- seal-after


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskPool]:
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    made = DiskPool(tmp_path / "pool", CHEAP)
    with cheap_pins(), Room(made.home) as room:
        room.with_user()
    with open(made.home / "adyton.conf", "a") as conf:
        conf.write("seal-after = 0.4\n")
    yield made
    made.stop()


def is_open() -> bool:
    with connect(start=True) as client:
        return bool(client.ask("partition-list")["partitions"][0]["open"])


def until_sealed(m: Module) -> None:
    late = time.monotonic() + 20
    while is_open():
        assert time.monotonic() < late, "nobody seals it"


def test_a_partition_is_sealed_after_the_last_logout(pool: DiskPool) -> None:
    with initialised(str(MODULE)) as m:
        first, other = m.session(), m.session()
        good(m.login(first, USER.decode()))
        begun = time.monotonic()
        while time.monotonic() < begun + 1.0:
            assert is_open(), "somebody is logged in"
        good(m.C_Logout(other))
        until_sealed(m)
        good(m.login(first, USER.decode()))
        assert is_open()
        good(m.C_Logout(first))
        until_sealed(m)
    with connect(start=True) as client:
        told = [row for row in client.ask("audit-records")["records"] if row["operation"] == "partition-seal"]
    assert len(told) == 2 and all("seal-after" in str(row) for row in told)


def test_a_key_that_is_folded_just_as_it_is_read_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another application's logout folds between two steps of this one's: what is read is the value, never nothing,
    under which a MAC would be anybody's to make."""
    with cheap_pins(), Room(tmp_path) as room:
        room.with_user()
        room.aes(b"key")
        item = next(item for item in room.partition.objects.values() if item.attributes[ck.CKA_LABEL] == b"key")
        value, unfold = item.attributes[ck.CKA_VALUE], TokenObject._unfold

        def folded_again(self: TokenObject) -> object:
            told = unfold(self)
            room.partition._fold(self)
            return told

        monkeypatch.setattr(TokenObject, "_unfold", folded_again)
        for _ in range(3):
            room.partition._fold(item)
            assert item.get(ck.CKA_VALUE) == value
            assert item.attributes[ck.CKA_VALUE] == value


def test_many_threads_read_while_others_fold(tmp_path: Path) -> None:
    with cheap_pins(), Room(tmp_path) as room:
        room.with_user()
        room.aes(b"key")
        item = next(item for item in room.partition.objects.values() if item.attributes[ck.CKA_LABEL] == b"key")
        value, wrong, done = item.attributes[ck.CKA_VALUE], [], threading.Event()

        def read() -> None:
            while not done.is_set():
                if item.get(ck.CKA_VALUE) != value or item.attributes.get(ck.CKA_VALUE) != value:
                    wrong.append(1)

        readers = [threading.Thread(target=read) for _ in range(3)]
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for reader in readers:
                reader.start()
            for _ in range(4000):
                room.partition._fold(item)
        finally:
            done.set()
            for reader in readers:
                reader.join()
            sys.setswitchinterval(before)
        assert not wrong
