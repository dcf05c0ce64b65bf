"""Backups: made while clients write, restored under other device keys, refused where anything is not as it was made.

Two pools of one security domain, each with engines of its own, that the command line and PKCS#11 programs use.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import Module, good, initialised, name
from apart import adyton
from engine_room import CHEAP, SO, USER, DiskPool, Room, cheap_pins
from test_scale import OBJECTS, filled

from hsm.access.values import MADE_IVS
from hsm.backup import form
from hsm.client import MODULE, Client, Refused
from hsm.objects import about
from hsm.store.heads import Rule
from pkcs11_shim import constants as ck

# The engine that the tests start knows a domain by a file in its pool's folder, makes small chunks, and ends where it
# is told to, as by kill -9.
ENGINE = CHEAP + """
import os
from hsm.backup import form, wrapping
from hsm.store import points
def of(pool):
    try:
        with open(pool.home + "/domain") as file:
            domain = file.read()
    except FileNotFoundError:
        return without(pool)
    return wrapping.Wrapping(domain, domain.encode().ljust(32, b"k"))
without, wrapping.of = wrapping.of, of
home = sys.argv[sys.argv.index("--home") + 1]
if os.path.exists(home + "/small"):
    form.CHUNK = 4000
def end(point):
    try:
        with open(home + "/ends") as file:
            there = file.read() == point
    except FileNotFoundError:
        return
    if there:
        os.unlink(home + "/ends")
        os._exit(9)
points.watcher = end
sealed = form.seal_chunk
def seal(wrapping, backup, number, last, rows):
    end(f"chunk {number}")
    return sealed(wrapping, backup, number, last, rows)
form.seal_chunk = seal
opened = form.open_chunk
def open_chunk(wrapping, backup, number, last, chunk):
    end(f"read {number}")
    return opened(wrapping, backup, number, last, chunk)
form.open_chunk = open_chunk
"""
P256 = bytes.fromhex("06082a8648ce3d030107")
ECDSA = ck.CKM_ECDSA_SHA256


class Site:
    """One pool, its engine known by a domain; ``pins``: of whom a command may be."""

    def __init__(self, folder: Path, domain: str = "the domain", *, small: bool = True) -> None:
        self.pool = DiskPool(folder, ENGINE)
        self.home = folder
        if domain:
            (folder / "domain").write_text(domain)
        if small:
            (folder / "small").touch()
        self.pins = {"so": SO.decode(), "user": USER.decode()}

    def says(self, *words: str, by: str = "", status: int | None = 0) -> str:
        pins = {"ADYTON_SO_PIN": self.pins["so"]} if by == "so" else {"ADYTON_PIN": self.pins[by]} if by else {}
        who = ["--as", by] if by else []
        return adyton(*words, *who, status=status, ADYTON_HOME=str(self.home), **pins)

    def gives(self, *words: str, by: str = "") -> Any:
        return json.loads(self.says(*words, "--json", by=by))

    def token(self) -> None:
        with cheap_pins(), Room(self.home) as room:
            room.with_user()

    def ask(self, act: str, file: Path | None = None, **fields: Any) -> dict[str, Any]:
        """Without the command line, which looks at files itself."""
        with Client(str(self.home)) as client:
            if file is None:
                return client.ask(act, **fields)
            with open(file, "rb") as opened:
                return client.ask_into(opened.fileno(), act, **fields)

    def backup(self, folder: Path, *more: str) -> Path:
        self.says("backup", "--out", str(folder), *more, by="so")
        return folder

    def ends(self, where: str) -> None:
        (self.home / "ends").write_text(where)

    def state(self) -> dict[str, Any]:
        """What is there, by an engine of this process after the pool's own has ended: objects with all attributes and
        what is known of them, what values have lost, officers and their roles."""
        self.pool.stop()
        with cheap_pins(), Room(self.home) as room:
            assert room.pool.store.damage == {}
            found: dict[str, Any] = {"slots": room.pool.slots()}
            if room.partition.initialised:
                room.login()
                partition = room.partition
                store = room.pool.store
                found["objects"] = {
                    number: (dict(item.attributes), dict(store.about(0, number).said),
                             partition.values.bits_of(item.attributes))
                    for number, item in partition.objects.items()
                }
                found["deleted"] = sorted(partition.deleted.keys)
                directory = partition.directory
                found["officers"] = {n: o._replace(counter=0) for n, o in directory.officers.items()}
                found["roles"] = [directory.assignments, directory.custom]
                found["failures"] = {n: partition.officers.credentials.failures(n) for n in directory.officers}
                head = store.heads[0]
                found["head"] = (head.serial, head.kind, head.label, head.switches, head.retention, head.rule)
            return found


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def site(name: str, domain: str = "the domain", *, small: bool = True) -> Site:
        made.append(Site(tmp_path / name, domain, small=small))
        return made[-1]

    yield site
    for one in made:
        one.pool.stop()


def using(site: Site, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ADYTON_HOME", str(site.home))
    return initialised(str(MODULE))


def pair(m: Module, s: int, label: bytes) -> tuple[int, int]:
    rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: label, ck.CKA_ID: label}
    rv, public, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {**rows, ck.CKA_EC_PARAMS: P256}, rows)
    good(rv)
    return public, private


def one(m: Module, s: int, label: bytes, key_class: int) -> int:
    (found,) = m.find(s, {ck.CKA_LABEL: label, ck.CKA_CLASS: key_class})
    return found


def furnish(site: Site, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A token with keys, one of which has lost a use, a key deleted, officers with roles; returns a signature."""
    site.token()
    with cheap_pins(), Room(site.home) as room, room.pool.store.transaction() as tx:
        tx._head(0).retention = 7
    with using(site, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        for number in range(8):
            pair(m, s, b"pair-%d" % number)
        wrapping = m.aes(s, token=True, label=b"wrapping")
        session_key = m.aes(s, extractable=True)
        good(m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), wrapping, session_key)[0])
        m.make(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"note", ck.CKA_VALUE: b"x" * 9000})
        gone = m.aes(s, token=True, label=b"gone")
        good(m.C_DestroyObject(s, gone))
        rv, signature = m.use("Sign", s, m.mechanism(ECDSA), one(m, s, b"pair-1", ck.CKO_PRIVATE_KEY), b"signed")
        good(rv)
    site.pins["app"] = "app-pin-1"
    by = {"slot": 0, "as": "so", "pin": SO.decode()}
    site.ask("officer-create", name="app", new_pin="app-pin-1", **by)
    site.ask("role-assignment-create", assignee="app", role="Crypto User", scope="/keys/pair-1", **by)
    return signature


def test_a_round_trip_into_a_pool_with_another_device_key(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = sites("here"), sites("there")
    signature = furnish(here, monkeypatch)
    told = here.gives("backup", "--out", str(tmp_path / "kept"), by="so")
    assert (told["keys"], told["damaged"]) == (10, [])
    shown = json.loads(adyton("backup", "show", str(tmp_path / "kept"), "--json"))
    assert shown["whole"] and shown["chunks"] > 3 and shown["partitions"][0]["deleted"] == 1
    raw = b"".join(path.read_bytes() for path in (tmp_path / "kept").iterdir())
    for word in (b"pair-1", b"app", b"note", b"wrapping"):
        assert word not in raw, f"{word!r} lies in clear in the backup"
    assert not list(here.home.glob("backup.db*")), "what the backup was made of is gone"

    assert "new here" in there.says("restore", str(tmp_path / "kept"))
    assert not list(there.home.glob("restore.db*"))
    with using(there, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        public = one(m, s, b"pair-1", ck.CKO_PUBLIC_KEY)
        good(m.verify(s, m.mechanism(ECDSA), public, b"signed", signature))
        rv, again = m.use("Sign", s, m.mechanism(ECDSA), one(m, s, b"pair-1", ck.CKO_PRIVATE_KEY), b"signed")
        good(rv)
        good(m.verify(s, m.mechanism(ECDSA), public, b"signed", again))
        wrapping = one(m, s, b"wrapping", ck.CKO_SECRET_KEY)
        assert m.read(s, wrapping, ck.CKA_DECRYPT) == b"\0", "a use that was lost is back"
        refused = m.use("Decrypt", s, m.mechanism(ck.CKM_AES_ECB), wrapping, bytes(16))[0]
        assert name(refused) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        assert m.find(s, {ck.CKA_LABEL: b"gone"}) == []
        good(m.C_Logout(s))
        good(m.login(s, "app:app-pin-1"))
        assert len(m.find(s, {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})) == 1, "the officer's scope is what it was"
    before, after = here.state(), there.state()
    assert before == after
    assert before["deleted"] == ["gone"]
    assert (here.home / "device.key").read_bytes() != (there.home / "device.key").read_bytes()
    assert "nothing is damaged" in there.says("check", by="user")


def test_what_is_there_is_replaced(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions and logins end as by C_InitToken, what was made since is gone, and the partition is sealed."""
    here = sites("here")
    furnish(here, monkeypatch)
    kept = here.backup(tmp_path / "kept")
    before = here.state()
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        m.aes(s, token=True, label=b"later")
        key = one(m, s, b"pair-2", ck.CKO_PRIVATE_KEY)
        good(m.C_SignInit(s, m.mechanism(ECDSA), key))
        assert "add --yes" in here.says("restore", str(kept), by="so", status=1)
        assert "Managed HSM Restore" in here.says("restore", str(kept), "--yes", by="user", status=1)
        assert "replaced" in here.says("restore", str(kept), "--yes", by="so")
        rv, _ = m.output(m.C_Sign, s, m.bytes(b"x"), 1)
        assert name(rv) == "CKR_SESSION_HANDLE_INVALID"
        s = m.session()
        assert m.find(s, {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY}) == []
        good(m.login(s, USER.decode()))
        assert m.find(s, {ck.CKA_LABEL: b"later"}) == []
        good(m.use("Sign", s, m.mechanism(ECDSA), one(m, s, b"pair-2", ck.CKO_PRIVATE_KEY), b"x")[0])
    assert here.state() == before
    told = here.gives("audit", "query", "--operation", "restore-finish")
    assert {row["result"] for row in told} == {"CKR_OK", "CKR_ACTION_PROHIBITED"}


def test_without_a_domain_nothing_is_backed_up(sites: Callable[..., Site], tmp_path: Path) -> None:
    here = sites("here", "")
    here.token()
    said = here.says("backup", "--out", str(tmp_path / "kept"), by="so", status=1)
    assert "adyton security-domain download" in said
    assert "security domain" in here.says("key", "backup", "x", "--out", str(tmp_path / "x"), by="user", status=1)


def test_who_may_back_up(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = sites("here")
    furnish(here, monkeypatch)
    assert "backup/start/action" in here.says("backup", "--out", str(tmp_path / "kept"), by="app", status=1)
    assert "which officer acts" in here.says("backup", "--out", str(tmp_path / "kept"), status=1)
    with pytest.raises(Refused) as refused:
        here.ask("backup-start")
    assert name(refused.value.rv) == "CKR_USER_NOT_LOGGED_IN"


# -- what is not the backup as it was made


def _swap(kept: Path) -> None:
    one, two = kept / form.name_of(1), kept / form.name_of(2)
    one.rename(kept / "x")
    two.rename(one)
    (kept / "x").rename(two)


def _reckon(kept: Path) -> None:
    """The manifest's hashes made to fit what is there now: all that one without the domain's key can do."""
    told = json.loads((kept / form.MANIFEST).read_text())
    for chunk in told["chunks"]:
        raw = (kept / chunk["file"]).read_bytes()
        chunk |= {"bytes": len(raw), "sha256": __import__("hashlib").sha256(raw).hexdigest()}
    told["checksum"] = form.checksum(form.Chunk(c["bytes"], c["sha256"]) for c in told["chunks"])
    (kept / form.MANIFEST).write_text(json.dumps(told))


def _fewer(kept: Path) -> None:
    told = json.loads((kept / form.MANIFEST).read_text())
    told["chunks"].pop()
    (kept / form.MANIFEST).write_text(json.dumps(told))
    _reckon(kept)


def _flip(path: Path, at: int = -1) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


HARM: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a flipped bit": (lambda kept, other: _flip(kept / form.name_of(1)), "damaged"),
    "a flipped bit, and its hash": (lambda kept, other: (_flip(kept / form.name_of(1)), _reckon(kept)), "altered"),
    "cut short": (lambda kept, other: os.truncate(kept / form.name_of(2), 100), "damaged"),
    "empty": (lambda kept, other: os.truncate(kept / form.name_of(2), 0), "no chunk"),
    "the last chunk left out": (lambda kept, other: _fewer(kept), "altered"),
    "two exchanged": (lambda kept, other: _swap(kept), "in another one's place"),
    "two exchanged, and their hashes": (lambda kept, other: (_swap(kept), _reckon(kept)), "altered"),
    "another backup's chunk": (
        lambda kept, other: shutil.copy(other / form.name_of(1), kept / form.name_of(1)), "of another backup"),
    "another backup's manifest": (
        lambda kept, other: shutil.copy(other / form.MANIFEST, kept / form.MANIFEST), "of another backup"),
    "a manifest with another count": (lambda kept, other: (kept / form.MANIFEST).write_text(
        (kept / form.MANIFEST).read_text().replace('"officers": 3', '"officers": 2')), "altered"),
    "no manifest": (lambda kept, other: (kept / form.MANIFEST).write_text("{}"), "damaged"),
}


def _restored(site: Site, kept: Path, **more: Any) -> dict[str, Any]:
    """As adyton restore does it, without its own look at the files."""
    with Client(str(site.home)) as client:

        def ask(file: Path, act: str, **fields: Any) -> dict[str, Any]:
            with open(file, "rb") as opened:
                return client.ask_into(opened.fileno(), act, **fields)

        told = ask(kept / form.MANIFEST, "restore-start")
        for number in range(told["have"], told["chunks"]):
            ask(kept / form.name_of(number), "restore-chunk", backup=told["backup"], number=number)
        return client.ask("restore-finish", backup=told["backup"], **more)


def test_what_is_not_as_it_was_made_is_refused(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, foreign = sites("here"), sites("there"), sites("foreign", "another domain")
    furnish(here, monkeypatch)
    kept, other = here.backup(tmp_path / "kept"), here.backup(tmp_path / "other")
    there.says("partition", "list")
    for what, (harm, words) in HARM.items():
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(kept, copy)
        harm(copy, other)
        there.ask("restore-start", other / form.MANIFEST)  # what was read of this one before counts no more
        with pytest.raises(Refused, match=words):
            _restored(there, copy)
            raise AssertionError(f"{what} was taken")
        assert [row["initialised"] for row in there.gives("partition", "list")] == [False], what
        shown = there.says("restore", str(copy), status=1)
        assert shown.startswith("adyton: "), what
    foreign.says("partition", "list")
    with pytest.raises(Refused, match="of security domain the domain, and this pool has another domain"):
        _restored(foreign, kept)
    with pytest.raises(Refused, match="not whole yet"):  # two chunks of many
        told = there.ask("restore-start", kept / form.MANIFEST)
        for number in (0, 1):
            there.ask("restore-chunk", kept / form.name_of(number), backup=told["backup"], number=number)
        there.ask("restore-finish", backup=told["backup"])
    _restored(there, kept)
    assert there.state() == here.state()


# -- interruptions


@pytest.mark.parametrize("where", ["chunk 0", "chunk 3"])
def test_a_backup_that_is_interrupted_goes_on(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """By another engine too, and as of the same moment: what was made since is not in it."""
    here, there = sites("here"), sites("there")
    furnish(here, monkeypatch)
    before = here.state()
    kept = tmp_path / "kept"
    here.ends(where)
    assert "went away" in here.says("backup", "--out", str(kept), by="so", status=1)
    assert "--resume" in here.says("backup", "show", str(kept), status=1)
    assert "--resume" in here.says("backup", "--out", str(kept), by="so", status=1)
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        m.aes(s, token=True, label=b"later")
    if where == "chunk 3":
        _flip(kept / form.name_of(1))
    here.says("backup", "--out", str(kept), "--resume")
    assert not (kept / "unfinished.json").exists() and not list(here.home.glob("backup.db*"))
    there.says("restore", str(kept))
    assert there.state() == before
    assert "no unfinished backup" in here.says("backup", "--out", str(kept), "--resume", status=1)


def test_what_nobody_goes_on_with_goes_after_a_day(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds what may be purged from the pool meanwhile."""
    here = sites("here")
    furnish(here, monkeypatch)
    here.ends("chunk 1")
    here.says("backup", "--out", str(tmp_path / "kept"), by="so", status=1)
    left = here.home / "backup.db"
    (here.home / "backup.db.new").write_bytes(b"a draft")
    here.says("partition", "list")
    assert left.exists() and not (here.home / "backup.db.new").exists()
    here.pool.stop()
    os.utime(left, (time.time() - 90_000,) * 2)
    here.says("partition", "list")
    assert not left.exists()
    assert "Begin a new one" in here.says("backup", "--out", str(tmp_path / "kept"), "--resume", status=1)


POINTS = ("read 0", "read 2", "begun", "rows-written", "heads-written", "committed", "remembered", "forgetting")


@pytest.mark.parametrize("where", POINTS)
def test_a_restore_whose_engine_is_killed_is_all_or_nothing(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    here = sites("here")
    furnish(here, monkeypatch)
    kept = here.backup(tmp_path / "kept")
    old = here.state()
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        m.aes(s, token=True, label=b"later")
    new = here.state()
    assert old != new
    if where.startswith("read"):
        here.ends(where)
    else:  # an engine commits other things too: it ends at the restore's own commit
        with Client(str(_up(here).home)) as client:
            def ask(file: Path, act: str, **fields: Any) -> dict[str, Any]:
                with open(file, "rb") as opened:
                    return client.ask_into(opened.fileno(), act, **fields)

            told = ask(kept / form.MANIFEST, "restore-start")
            for number in range(told["chunks"]):
                ask(kept / form.name_of(number), "restore-chunk", backup=told["backup"], number=number)
            here.ends(where)
            with pytest.raises(Exception, match="went away"):
                client.ask("restore-finish", backup=told["backup"], slot=0, **{"as": "so", "pin": SO.decode()})
    if where.startswith("read"):
        assert "went away" in here.says("restore", str(kept), "--yes", by="so", status=1)
    assert not (here.home / "ends").exists(), "it never came there"
    found = here.state()
    done = where in ("committed", "remembered", "forgetting")
    assert found == (old if done else new)
    here.says("restore", str(kept), "--yes", by="so")
    assert here.state() == old
    assert not list(here.home.glob("restore.db*"))


def _up(site: Site) -> Site:
    site.says("partition", "list")
    return site


# -- nothing comes back by a restore that was lost


def test_a_restore_gives_no_tries(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = sites("here"), sites("there")
    furnish(here, monkeypatch)

    def guess(site: Site, officer: str, times: int) -> str:
        said = ""
        for _ in range(times):
            with pytest.raises(Refused) as refused:
                site.ask("login", slot=0, **{"as": officer, "pin": "wrong-pin"})
            said = str(refused.value)
        return said

    _up(here)
    guess(here, "app", 3)
    kept = here.backup(tmp_path / "kept")
    guess(here, "app", 5)
    guess(here, "user", 10)
    here.says("restore", str(kept), "--yes", by="so")
    here.pool.stop()
    with cheap_pins(), Room(here.home) as room:
        credentials = room.partition.officers.credentials
        assert {name: credentials.failures(name) for name in ("so", "app", "user")} == {"so": 0, "app": 8, "user": 10}
    _up(here)
    assert "1 try left" in guess(here, "app", 1)
    assert "locked" in guess(here, "user", 1)
    there.says("restore", str(kept))  # elsewhere: what it was when it was backed up
    assert "6 tries left" in guess(there, "app", 1)


def test_a_restore_gives_no_use_back(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a key has lost since the backup: else it could unwrap in clear what it has wrapped before."""
    here = sites("here")
    here.token()
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        key, open_one = m.aes(s, token=True, label=b"kek"), m.aes(s, token=True, label=b"open", extractable=True)
    kept = here.backup(tmp_path / "kept")
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        (key,), (open_one,) = m.find(s, {ck.CKA_LABEL: b"kek"}), m.find(s, {ck.CKA_LABEL: b"open"})
        rv, wrapped = m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), key, m.aes(s, extractable=True))
        good(rv)
        good(m.change(s, open_one, {ck.CKA_EXTRACTABLE: False}))
        good(m.C_DestroyObject(s, key))
    for _ in range(2):  # what is put together a second time is no longer either
        here.says("restore", str(kept), "--yes", by="so")
    for _ in range(2):  # in the engine that has it in memory, and in the next
        with using(here, monkeypatch) as m:
            s = m.session()
            good(m.login(s, USER.decode()))
            (key,), (open_one,) = m.find(s, {ck.CKA_LABEL: b"kek"}), m.find(s, {ck.CKA_LABEL: b"open"})
            assert m.read(s, key, ck.CKA_DECRYPT) == b"\0" and m.read(s, key, ck.CKA_WRAP) == b"\1"
            refused = m.use("Decrypt", s, m.mechanism(ck.CKM_AES_ECB), key, wrapped[:16])[0]
            assert name(refused) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
            assert m.read(s, open_one, ck.CKA_EXTRACTABLE) == b"\0"
        here.state()
    with cheap_pins(), Room(here.home) as room:
        assert room.pool.store.joined_values(0) == set(), "what was put together is written as one"


def test_purge_protection_is_not_got_around(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = sites("here")
    furnish(here, monkeypatch)
    kept = here.backup(tmp_path / "kept")
    here.pool.stop()
    with cheap_pins(), Room(here.home) as room, room.pool.store.transaction() as tx:
        tx.switch(0, room.partition.switches._replace(purge_protection=True))
    again = here.backup(tmp_path / "again")
    here.says("restore", str(kept), "--yes", by="so")
    assert here.state()["head"][3].purge_protection, "it was turned off by a restore"
    # A key that is there now, and was deleted then, is not gone a week after it was deleted then.
    day = 86_400_000_000
    with cheap_pins(), Room(here.home) as room:
        (gone,) = room.partition.deleted.keys.values()
        room.partition.recover_key("gone", {"act": "key-recover", "pid": "1", "uid": "0"})
        due = room.pool.store.time.now() + 7 * day
    here.says("restore", str(kept), "--yes", by="so")
    here.pool.stop()
    with cheap_pins(), Room(here.home) as room:
        (still,) = room.partition.deleted.keys.values()
        assert still.purge >= due > gone.purge
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        good(m.C_DestroyObject(s, m.aes(s, token=True, label=b"deleted-later")))
    said = here.says("restore", str(again), "--yes", by="so", status=1)
    assert "purge protection" in said and "deleted-later" in said
    assert "deleted-later" in here.state()["deleted"]


def test_a_rollback_guard_is_asked(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = sites("here")
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    furnish(here, monkeypatch)
    here.pool.stop()
    with open(here.home / "adyton.conf", "a") as settings:
        settings.write(f"rollback-guard = {tmp_path / 'elsewhere'}\nrollback = strict\n")
    kept = here.backup(tmp_path / "kept")
    here.pool.stop()
    said = here.says("restore", str(kept), "--yes", by="so", status=1)
    assert "older than the pool's rollback guard allows" in said and "--accept-rollback" in said
    here.says("restore", str(kept), "--yes", "--accept-rollback", by="so")
    assert "put back from an earlier day" in here.says("audit", "query", "--operation", "restore-finish", "--json")
    assert "nothing is damaged" in here.says("check")


def test_two_officers_restore(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = sites("here")
    furnish(here, monkeypatch)
    by = {"slot": 0, "as": "so", "pin": SO.decode()}
    _up(here)
    here.pins["boss"] = "boss-pin-1"
    here.ask("officer-create", name="boss", new_pin="boss-pin-1", **by)
    here.ask("role-assignment-create", assignee="boss", role="Administrator", scope="/", **by)
    here.pool.stop()
    with cheap_pins(), Room(here.home) as room, room.pool.store.transaction() as tx:
        tx.set_rule(0, Rule(2, ("export",), 24, True))
    kept = here.backup(tmp_path / "kept")
    assert "proposed as" in here.says("restore", str(kept), "--yes", by="so", status=3)
    (proposal,) = here.gives("proposal", "list", by="boss")
    here.says("proposal", "approve", proposal["id"], by="boss")
    here.says("restore", str(kept), "--yes", by="so")
    assert here.gives("proposal", "list", by="boss") == []
    assert "proposed as" in here.says("key", "backup", "pair-1", "--out", str(tmp_path / "k"), by="user", status=3)


# -- while clients write


def test_a_backup_is_of_one_moment(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client makes one pair after the other: of each, what is in the backup is the first so many, and all of what
    it had been told before the backup was begun."""
    here, there = sites("here"), sites("there")
    here.token()
    client = f"""
import sys
from abi import *
from pkcs11_shim import constants as ck
with initialised({str(MODULE)!r}) as m:
    s = m.session()
    good(m.login(s, {USER.decode()!r}))
    n = 0
    while True:
        rows = {{ck.CKA_TOKEN: True, ck.CKA_LABEL: f"{{sys.argv[1]}}-{{n}}".encode()}}
        good(m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {{**rows, ck.CKA_EC_PARAMS: {P256!r}}}, rows)[0])
        print(n, flush=True)
        n += 1
"""
    environment = {**os.environ, "ADYTON_HOME": str(here.home), "PYTHONPATH": str(Path(__file__).parent)}
    clients = [
        subprocess.Popen([sys.executable, "-c", client, mark], env=environment, stdout=subprocess.PIPE, text=True)
        for mark in "ab"
    ]
    told = {mark: [one.stdout.readline() for _ in range(30)] for mark, one in zip("ab", clients, strict=True)
            if one.stdout is not None}
    try:
        kept = here.backup(tmp_path / "kept")
    finally:
        for one in clients:
            one.kill()
    after = {mark: len(told[mark]) + len(one.stdout.read().splitlines())
             for mark, one in zip("ab", clients, strict=True) if one.stdout is not None}
    for one in clients:
        one.wait(20)
    there.says("restore", str(kept))
    labels = sorted(row[0][ck.CKA_LABEL].decode() for row in there.state()["objects"].values())
    for mark in "ab":
        mine = [label for label in labels if label.startswith(mark)]
        assert 60 <= len(mine) <= 2 * (after[mark] + 1)
        assert sorted(mine) == sorted(f"{mark}-{n}" for n in range(len(mine) // 2) for _ in range(2))


def test_a_restore_under_load(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that sign meanwhile: in another partition of the pool they notice nothing; in the one that is replaced
    their sessions end, and they go on with new ones and the same keys."""
    here, there = sites("here"), sites("there")
    furnish(here, monkeypatch)
    kept = here.backup(tmp_path / "kept")
    there.says("restore", str(kept))
    other = {"ADYTON_HOME": str(there.home), "ADYTON_SO_PIN": "12345678", "ADYTON_PIN": USER.decode()}
    adyton("partition", "create", "--label", "other", **other)
    program = f"""
import sys
from abi import *
from pkcs11_shim import constants as ck
slot, mine = int(sys.argv[1]), []
with initialised({str(MODULE)!r}) as m:
    while True:
        s = m.session(slot)
        rv = m.login(s, {USER.decode()!r})
        if rv not in (ck.CKR_OK, ck.CKR_USER_ALREADY_LOGGED_IN): print(name(rv), flush=True); continue
        if slot and not mine:
            rows = {{ck.CKA_TOKEN: True, ck.CKA_LABEL: b"pair-1"}}
            mine = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {{**rows, ck.CKA_EC_PARAMS: {P256!r}}}, rows)[1:]
        rv = ck.CKR_OK
        while rv == ck.CKR_OK:
            found, count = ffi.new("CK_OBJECT_HANDLE[1]"), ffi.new("CK_ULONG*")
            rows = {{ck.CKA_LABEL: b"pair-1", ck.CKA_CLASS: ck.CKO_PRIVATE_KEY}}
            rv = m.C_FindObjectsInit(s, *m.template(rows)) or m.C_FindObjects(s, found, 1, count)
            rv = rv or m.C_FindObjectsFinal(s)
            if not rv: rv = m.use("Sign", s, m.mechanism({int(ECDSA)}), found[0], b"x")[0]
            print(name(rv), flush=True)
"""
    environment = {**os.environ, "ADYTON_HOME": str(there.home), "PYTHONPATH": str(Path(__file__).parent)}
    clients = [
        subprocess.Popen([sys.executable, "-c", program, slot], env=environment, stdout=subprocess.PIPE, text=True)
        for slot in ("0", "1")
    ]
    lines: list[list[str]] = [[], []]

    def listen(said: list[str], client: subprocess.Popen[str]) -> None:
        assert client.stdout is not None
        for line in client.stdout:
            said.append(line.strip())

    listening = [threading.Thread(target=listen, args=pair) for pair in zip(lines, clients, strict=True)]
    for one in listening:
        one.start()
    try:
        for _ in range(3):
            _more(lines)
            assert "replaced" in there.says("restore", str(kept), "--yes", "--partition", "0", by="so")
        _more(lines)
    finally:
        for client in clients:
            client.kill()
            client.wait(20)
        for one in listening:
            one.join()
    assert set(lines[1]) == {"CKR_OK"}
    gone = {"CKR_SESSION_HANDLE_INVALID", "CKR_SESSION_CLOSED", "CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID",
            "CKR_USER_NOT_LOGGED_IN", "CKR_OPERATION_NOT_INITIALIZED", "CKR_OK"}
    assert {"CKR_OK"} < set(lines[0]) <= gone
    assert json.loads(there.says("status", "--json"))["engine"]["damage"] == []


def _more(lines: list[list[str]]) -> None:
    """Each program has signed twenty times more."""
    wanted, until = [said.count("CKR_OK") + 20 for said in lines], time.monotonic() + 30
    while any(said.count("CKR_OK") < least for said, least in zip(lines, wanted, strict=True)):
        assert time.monotonic() < until, [said[-3:] for said in lines]
        time.sleep(0.01)


@pytest.mark.long
def test_ten_thousand_keys(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In less than 30 seconds each way, in bounded memory, and nobody who works meanwhile waits long."""
    here, there = sites("here", small=False), sites("there", small=False)
    filled(here.home)
    waited: list[float] = []
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        ended = threading.Event()

        def write() -> None:
            while not ended.wait(0.02):
                began = time.monotonic()
                m.aes(s, token=True, label=b"meanwhile")
                waited.append(time.monotonic() - began)

        before = _memory(here)
        writing = threading.Thread(target=write)
        writing.start()
        began = time.monotonic()
        kept = here.backup(tmp_path / "kept")
        took = time.monotonic() - began
        ended.set()
        writing.join()
        grown = _memory(here) - before
    began = time.monotonic()
    there.says("restore", str(kept))
    back = time.monotonic() - began
    print(f"backup {took:.1f} s, restore {back:.1f} s, the longest wait {max(waited):.3f} s of {len(waited)} writes, "
          f"{grown:.1f} MB more memory")
    assert took < 30 and back < 30
    assert max(waited) < 1
    assert grown < 40
    shown = json.loads(adyton("backup", "show", str(kept), "--json"))
    assert shown["partitions"][0]["objects"] >= OBJECTS
    assert len(there.state()["objects"]) == shown["partitions"][0]["objects"]


def _memory(site: Site) -> float:
    lines = Path(f"/proc/{site.pool.engines()[-1]}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


# -- one key


def test_a_key_goes_by_file(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All versions with their ids, tags and times, into another partition of another pool; its lost uses stay lost."""
    here, there, foreign = sites("here"), sites("there"), sites("foreign", "another domain")
    furnish(here, monkeypatch)
    there.token()
    foreign.token()
    file = tmp_path / "wrapping.key"
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        m.aes(s, token=True, label=b"wrapping")
        newest = m.find(s, {ck.CKA_LABEL: b"wrapping"})[0]
        shown, length = m.gcm_message()
        good(m.C_MessageEncryptInit(s, m.mechanism(ck.CKM_AES_GCM), newest))
        good(m.output(m.C_EncryptMessage, s, shown, length, m.bytes(b""), 0, m.bytes(b"m"), 1)[0])
    here.pool.stop()
    with cheap_pins(), Room(here.home) as room, room.pool.store.transaction() as tx:
        for number in room.pool.store.object_ids(0):
            if room.pool.store.about(0, number).name == "wrapping":
                tx.change_about(0, number, about.tagged({"team": "storage"}) | about.limits(None, None, 4_000_000_000))
    assert "keys/backup/action" in here.says("key", "backup", "wrapping", "--out", str(file), by="app", status=1)
    assert "there is no key nothing" in here.says("key", "backup", "nothing", "--out", str(file), by="user", status=1)
    assert len(here.gives("key", "backup", "wrapping", "--out", str(file), by="user")["versions"]) == 2
    assert b"wrapping" not in file.read_bytes() and b"team" not in file.read_bytes()
    assert "CKR_TEMPLATE_INCONSISTENT" in here.says("key", "restore", "--file", str(file), by="user", status=1)
    assert "another security domain" in foreign.says("key", "restore", "--file", str(file), by="user", status=1)
    assert "keys/restore/action" in there.says("key", "restore", "--file", str(file), by="so", status=1)
    for at in (0, 10, 60, -1):
        bad = tmp_path / "bad.key"
        bad.write_bytes(file.read_bytes())
        _flip(bad, at)
        there.says("key", "restore", "--file", str(bad), by="user", status=1)
    assert len(there.gives("key", "restore", "--file", str(file), by="user")["versions"]) == 2
    with using(there, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        new, old = m.find(s, {ck.CKA_LABEL: b"wrapping"})
        assert (m.read(s, old, ck.CKA_DECRYPT), m.read(s, old, ck.CKA_WRAP)) == (b"\0", b"\1")
        assert m.read(s, new, ck.CKA_ENCRYPT) == b"\1"
        good(m.C_DestroyObject(s, old))
    one, two = here.state(), there.state()
    mine = sorted((row for row in one["objects"].values() if row[1].get(about.NAME) == b"wrapping"), key=str)
    theirs = [row for row in two["objects"].values() if row[1].get(about.NAME) == b"wrapping"]
    assert len(mine) == 2 and len(theirs) == 1 and theirs[0] in mine
    assert theirs[0][2] & MADE_IVS
    ivs = []
    for site in (here, there):
        with cheap_pins(), Room(site.home) as room:
            ivs.append(room.pool.store.heads[0].ivs)
    assert ivs[0] <= 1 << 20 < ivs[1], "IVs made there come from the same numbers as those made here"


def test_a_key_goes_where_the_kind_takes_it(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A managed HSM keeps no keys that others may have in clear, wherever they come from."""
    here = sites("here")
    furnish(here, monkeypatch)
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        m.aes(s, token=True, label=b"loose", extractable=True)
    pins = {"ADYTON_HOME": str(here.home), "ADYTON_SO_PIN": "12345678"}
    (tmp_path / "pin").write_text("123456")
    made = ("partition", "create", "--kind", "managed-hsm", "--label", "strict")
    adyton(*made, "--pin-file", str(tmp_path / "pin"), **pins)
    for key, status in (("pair-0", 0), ("loose", 1)):
        file = tmp_path / f"{key}.key"
        here.says("key", "backup", key, "--out", str(file), "--partition", "0", by="user")
        words = ("key", "restore", "--file", str(file), "--partition", "strict", "--as", "user")
        said = adyton(*words, status=status, ADYTON_PIN="123456", **pins)
        assert ("CKA_EXTRACTABLE" in said or "CKR_" in said) == bool(status), said


def test_a_manifest_may_say_anything(tmp_path: Path) -> None:
    """adyton backup show reads it with no key to hold it against."""
    chunk = {"bytes": 1, "sha256": "00" * 32}
    kinds: tuple[Any, ...] = (None, -1, 1.5, "x", "\x1b[2J", [], {}, [None], [{}], True, 10**50)
    whole: dict[str, Any] = {
        "format": "adyton-backup", "version": 1, "backup": "00" * 16, "domain": "d", "pool": "p", "time": 0, "seen": 0,
        "generation": 0, "partitions": [{"slot": 0, "serial": "s", "rows": 0, "keys": 0, "objects": 0, "deleted": 0,
                                         "officers": 0}],
        "keys": 0, "rows": 0, "damaged": [], "chunks": [chunk], "checksum": form.checksum([form.Chunk(**chunk)]),
    }
    (tmp_path / form.MANIFEST).write_text(json.dumps(whole))
    assert "chunk-000000 is missing" in adyton("backup", "show", str(tmp_path), status=1)
    for field in whole:
        for value in (*kinds, *([{**whole["partitions"][0], "serial": kind}] for kind in kinds)):
            try:
                read = form.read_manifest(json.dumps({**whole, field: value}).encode())
            except form.Unfit:
                continue
            assert {type(one) for one in (read.domain, read.pool, *read.damaged)} == {str}, (field, value)
            assert all(type(told["serial"]) is str for told in read.partitions)
    told = {**whole, "pool": "\x1b[2J"}
    (tmp_path / form.MANIFEST).write_text(json.dumps(told))
    assert "\x1b" not in adyton("backup", "show", str(tmp_path), status=1)


def test_a_deleted_keys_name_is_not_free(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = sites("here")
    furnish(here, monkeypatch)
    file = tmp_path / "pair-3.key"
    here.says("key", "backup", "pair-3", "--out", str(file), by="user")
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        good(m.C_DestroyObject(s, one(m, s, b"pair-3", ck.CKO_PRIVATE_KEY)))
        good(m.C_DestroyObject(s, one(m, s, b"pair-3", ck.CKO_PUBLIC_KEY)))
    assert "can be recovered" in here.says("key", "restore", "--file", str(file), by="user", status=1)


def test_one_key_out_of_a_backup(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = sites("here"), sites("there")
    furnish(here, monkeypatch)
    there.token()
    kept = here.backup(tmp_path / "kept")
    out = ("key", "restore", "--from", str(kept), "--name")
    assert "is there" in here.says(*out, "pair-5", by="user", status=1)
    before = here.state()
    here.pool.stop()
    with cheap_pins(), Room(here.home) as room, room.pool.store.transaction() as tx:
        for number in room.pool.store.object_ids(0):
            if room.pool.store.about(0, number).name in ("pair-5", "wrapping"):
                tx.delete_object(0, number)
    assert here.gives(*out, "pair-5", by="user")["name"] == "pair-5"
    here.says(*out, "Wrapping", by="user")
    assert "has no key nothing" in here.says(*out, "nothing", by="user", status=1)
    assert "lies under the key" in there.says(*out, "pair-5", by="user", status=1)
    after = here.state()
    assert sorted(map(str, before["objects"].values())) == sorted(map(str, after["objects"].values()))
    with using(here, monkeypatch) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        good(m.use("Sign", s, m.mechanism(ECDSA), one(m, s, b"pair-5", ck.CKO_PRIVATE_KEY), b"x")[0])
        assert m.read(s, one(m, s, b"wrapping", ck.CKO_SECRET_KEY), ck.CKA_DECRYPT) == b"\0"


def test_a_backup_as_a_stream(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = sites("here"), sites("there")
    furnish(here, monkeypatch)
    command = [sys.executable, "-m", "hsm.cli.main"]

    def of(site: Site) -> dict[str, str]:
        return {**os.environ, "ADYTON_HOME": str(site.home), "ADYTON_SO_PIN": SO.decode()}

    words = [*command, "backup", "--out", "-", "--as", "so"]
    made = subprocess.run(words, env=of(here), capture_output=True, timeout=60)
    assert made.returncode == 0 and b"keys: 10" in made.stderr, made.stderr
    assert not list(here.home.glob("backup.db*"))
    for stream in (made.stdout[:9000], b"no archive"):
        cut = subprocess.run([*command, "restore", "-"], env=of(there), input=stream, capture_output=True, timeout=60)
        assert cut.returncode == 1 and cut.stderr.startswith(b"adyton: "), cut.stderr
    subprocess.run([*command, "restore", "-"], env=of(there), input=made.stdout, check=True, timeout=60)
    assert there.state() == here.state()


def test_several_partitions(sites: Callable[..., Site], tmp_path: Path) -> None:
    """Each by an officer of its own, logged in here; or one alone."""
    here, there = sites("here"), sites("there")
    here.token()
    pins = {"ADYTON_HOME": str(here.home), "ADYTON_SO_PIN": "12345678", "ADYTON_PIN": "123456"}
    adyton("partition", "create", "--label", "second", **pins)
    kept = tmp_path / "kept"
    assert "log in" in here.says("backup", "--out", str(kept), by="so", status=1)
    assert "adyton login --partition 0" in here.says("backup", "--out", str(kept), status=1)
    here.says("login", "--partition", "0", by="so")
    adyton("login", "--partition", "1", "--as", "so", **pins)
    told = here.gives("backup", "--out", str(kept))
    assert [row["slot"] for row in told["partitions"]] == [0, 1]
    alone = there.gives("restore", str(kept), "--partition", told["partitions"][1]["serial"])
    assert [(row["slot"], row["label"]) for row in alone["partitions"]] == [(1, "second")]
    there.pins["so"] = "12345678"
    assert "replaced" in there.says("restore", str(kept), "--yes", "--partition", "second", by="so")
    whole = there.says("restore", str(kept), "--yes", by="so")
    assert "partition 1 (second)" in whole and "partition 2 (room)" in whole
