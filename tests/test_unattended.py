"""Officers who are users of the machine, and the file that opens a sealed partition for them."""

from __future__ import annotations

import os
import select
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, good, initialised, name
from engine_room import CHEAP, SO, USER, DiskPool, Room, cheap_pins

from hsm.cli.command import Failure
from hsm.cli.partition import opened_by
from hsm.client import MODULE, Refused, connect
from hsm.store.sqlite import Store
from pkcs11_shim import constants as ck

AS_SO = {"as": "so", "pin": SO.decode()}
AS_USER = {"as": "user", "pin": USER.decode()}
ECDSA = ck.CKM_ECDSA_SHA256


class Bound:
    """A pool on disk whose officer ``daemon`` is this user of the machine and may use keys; one key is there."""

    def __init__(self, home: Path) -> None:
        self.pool = DiskPool(home, CHEAP)
        with cheap_pins(), Room(home) as room:
            room.with_user()
            room.pair(b"key")
        with connect(start=True) as client:
            client.ask("officer-create", slot=0, name="daemon", uid=os.geteuid(), **AS_SO)
            client.ask("role-assignment-create", slot=0, assignee="daemon", role="Crypto User", scope="/", **AS_SO)

    def ask(self, act: str, who: dict[str, str], **fields: Any) -> dict[str, Any]:
        with connect(start=True) as client:
            return client.ask(act, slot=0, **who, **fields)

    def unattended(self, path: Path | str, **who: str) -> dict[str, Any]:
        with connect(start=True) as client:
            return opened_by(client, str(path), slot=0, **(who or AS_SO))

    def open(self) -> bool:
        return bool(self.ask("partition-list", {})["partitions"][0]["open"])

    def seal(self) -> None:
        """A new engine, of whom nobody has opened the partition."""
        self.pool.stop()
        assert not self.open()


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bound]:
    home = tmp_path / "pool"
    monkeypatch.setenv("ADYTON_HOME", str(home))
    made = Bound(home)
    yield made
    made.pool.stop()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "unseal.key"


def login(m: Module, s: int) -> str:
    """As who has a protected authentication path: without a PIN."""
    return name(m.C_Login(s, ck.CKU_USER, NULL, 0))


def signs() -> str:
    """What a program that is ``daemon`` gets at its login; if it may, it signs."""
    with initialised(str(MODULE)) as m:
        s = m.session()
        code = login(m, s)
        if code == "CKR_OK":
            [key] = m.find(s, {ck.CKA_LABEL: b"key", ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})
            good(m.use("Sign", s, m.mechanism(ECDSA), key, b"data")[0])
        return code


def reason() -> str:
    with connect(start=True) as client:
        return str(client.ask("explain")["refusals"][-1]["reason"])


def test_a_sealed_partition_says_why_it_stays_so(bound: Bound) -> None:
    assert signs() == "CKR_OK", "it was open"
    bound.seal()
    assert signs() == "CKR_FUNCTION_FAILED"
    assert "sealed" in reason() and "adyton partition unattended 0" in reason()
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
    assert signs() == "CKR_OK", "another officer has opened it"


def test_a_file_opens_it(bound: Bound, key_file: Path) -> None:
    told = bound.unattended(key_file)
    assert told["partition"]["unattended"] and told["key_file"] == str(key_file)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600 and len(key_file.read_bytes()) == 32
    for _ in range(2):
        bound.seal()
        assert signs() == "CKR_OK" and bound.open()
    # Who has a PIN goes by that.
    bound.seal()
    with initialised(str(MODULE)) as m:
        s = m.session()
        assert name(m.login(s, "not the PIN")) == "CKR_PIN_INCORRECT"
    assert not bound.open()


def test_off_it_opens_nothing(bound: Bound, key_file: Path) -> None:
    bound.unattended(key_file)
    told = bound.ask("partition-unattended", AS_SO)
    assert not told["partition"]["unattended"] and key_file.exists()
    bound.seal()
    assert signs() == "CKR_FUNCTION_FAILED"
    with pytest.raises(Refused, match="off already"):
        bound.ask("partition-unattended", AS_SO)


def test_a_file_that_is_there_is_taken(bound: Bound, key_file: Path) -> None:
    """A systemd credential, for one."""
    key_file.write_bytes(b"as long as a key is, if not longer than that.\n")
    key_file.chmod(0o400)
    before = key_file.stat()
    bound.unattended(key_file)
    assert key_file.stat() == before
    bound.seal()
    assert signs() == "CKR_OK"


def test_another_file_opens_nothing(bound: Bound, key_file: Path, tmp_path: Path) -> None:
    bound.unattended(key_file)
    bound.seal()
    kept = key_file.read_bytes()
    for harm, why in (
        (lambda: key_file.write_bytes(os.urandom(32)), "turned on with another one"),
        (lambda: key_file.write_bytes(kept[:31]), "31 bytes"),
        (lambda: key_file.chmod(0o640), "chmod 600"),
        (key_file.unlink, "No such file"),
        (lambda: key_file.symlink_to(tmp_path / "pool/pool.db"), "symbolic"),
        (lambda: (key_file.unlink(), os.mkfifo(key_file, 0o600)), "no file"),
    ):
        harm()
        assert signs() == "CKR_FUNCTION_FAILED", why
        assert why in reason() and str(key_file) in reason()
    key_file.unlink()
    key_file.touch(0o600)
    key_file.write_bytes(kept)
    assert signs() == "CKR_FUNCTION_FAILED"
    assert "adyton stop" in reason(), "it is another file, which this engine has no right to open"
    bound.seal()
    assert signs() == "CKR_OK"


@pytest.mark.parametrize("path", ["relative", "/proc/none/key", "/dev/null", "/", "nul\0byte", "/nul\0byte"])
def test_what_can_be_no_key_file(bound: Bound, path: str) -> None:
    with pytest.raises((Refused, Failure)):
        bound.unattended(path)
    assert not bound.ask("partition-list", {})["partitions"][0]["unattended"]


def test_a_pool_does_not_open_itself(bound: Bound, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(bound.pool.home)
    for folder in (bound.pool.home, tmp_path / "elsewhere"):
        with pytest.raises(Refused, match="pool's own folder"):
            bound.unattended(folder / "unseal")
    assert not (bound.pool.home / "unseal").exists()


def test_who_may_turn_it_on(bound: Bound, key_file: Path) -> None:
    for who in ({}, {"as": "daemon"}):
        with pytest.raises(Refused):
            bound.ask("partition-unattended", who, key_file=str(key_file))
    bound.ask("officer-create", AS_SO, name="alice", new_pin="alice-pin")
    bound.unattended(key_file, **{"as": "alice", "pin": "alice-pin"})
    bound.ask("partition-unattended", AS_USER)


def test_where_the_administrator_keeps_no_copy_it_gives_none_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_file: Path
) -> None:
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    pool = DiskPool(tmp_path / "pool", CHEAP)
    try:
        with connect(start=True) as client:
            so, pin = SO.decode(), USER.decode()
            client.ask("partition-create", label="own", so_pin=so, pin=pin, admin_recovery=False)
            with pytest.raises(Refused, match="no copy"):
                opened_by(client, str(key_file), slot=0, **AS_SO)
            assert not key_file.exists()
            opened_by(client, str(key_file), slot=0, **AS_USER)
            # Taking it away gives nothing to anybody.
            client.ask("partition-unattended", slot=0, **AS_SO)
    finally:
        pool.stop()


def test_a_new_token_has_none(bound: Bound, key_file: Path) -> None:
    bound.unattended(key_file)
    with initialised(str(MODULE)) as m:
        good(m.C_InitToken(0, SO, len(SO), b"new".ljust(32)))
    assert not bound.ask("partition-list", {})["partitions"][0]["unattended"]


def test_the_store_holds_the_copy_under_the_file_and_the_path_for_nobody(bound: Bound, key_file: Path) -> None:
    bound.unattended(key_file)
    bound.pool.stop()
    with cheap_pins(), Room(bound.pool.home) as room:
        room.login()
        secret = room.partition.key
    raw = b"".join(path.read_bytes() for path in bound.pool.home.iterdir() if path.is_file())
    assert secret is not None and secret not in raw
    assert key_file.read_bytes() not in raw
    store = Store(str(bound.pool.home))
    told = [record for record in store.audit.records() if record.operation == "partition-unattended"]
    assert [(record.officer, record.detail) for record in told] == [("so", {"state": "on", "keyFile": str(key_file)})]
    store.close()


def test_a_damaged_copy_is_said(bound: Bound, key_file: Path) -> None:
    bound.unattended(key_file)
    bound.pool.stop()
    with sqlite3.connect(bound.pool.home / "pool.db") as database:
        assert database.execute("UPDATE records SET sealed = zeroblob(99) WHERE kind = 'unattended'").rowcount == 1
    database.close()
    assert signs() == "CKR_FUNCTION_FAILED"
    with connect(start=True) as client:
        assert "unattended" in str(client.ask("status")["damage"])


# -- an engine that stays


def _opened_by_the_user(pool: DiskPool) -> int:
    """An engine that leaves when it was idle for a second."""
    with open(pool.home / "adyton.conf", "a") as conf:
        conf.write("idle-timeout = 1\n")
    with initialised(str(MODULE)) as m:
        good(m.login(m.session(), USER.decode()))
    return pool.engines()[-1]


def _has_left(engine: int) -> None:
    ended = select.poll()
    ended.register(os.pidfd_open(engine), select.POLLIN)
    assert ended.poll(30_000), "the engine does not leave"


@pytest.mark.parametrize("unattended", [False, True])
def test_an_engine_stays_where_its_end_would_shut_officers_out(
    bound: Bound, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unattended: bool
) -> None:
    if unattended:
        bound.unattended(key_file)
    bound.pool.stop()
    engine = _opened_by_the_user(bound.pool)
    if unattended:
        _has_left(engine)
    else:  # another engine, which nothing keeps, tells how long is long enough
        other = DiskPool(tmp_path / "other", CHEAP)
        with cheap_pins(), Room(other.home) as room:
            room.with_user()
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("ADYTON_HOME", str(other.home))
            _has_left(_opened_by_the_user(other))
    assert signs() == "CKR_OK"
    assert (bound.pool.engines()[-1] == engine) != unattended


# -- real programs of users of the machine


def test_pkcs11_tool_asks_for_no_pin(bound: Bound, key_file: Path, tmp_path: Path) -> None:
    bound.unattended(key_file)
    bound.seal()
    tool = ["pkcs11-tool", "--module", str(MODULE)]
    told = subprocess.run([*tool, "-L"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    assert "PIN pad present" in told
    data = tmp_path / "data"
    data.write_bytes(bytes(32))
    done = subprocess.run(
        [*tool, "--login", "--sign", "-m", "ECDSA", "--label", "key", "-i", str(data), "-o", str(tmp_path / "sig")],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "sig").read_bytes()) == 64
