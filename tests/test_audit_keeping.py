"""How the audit log is kept: full and read-only disks, strict, killed engines, the cap, retention, pools of before."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import initialised, name
from apart import apart
from engine_room import CHEAP, SO, USER, DiskPool, Room, cheap_pins, crashes_at, refused

from hsm import clock
from hsm.audit import log
from hsm.audit.keeping import Settings
from hsm.audit.record import Record
from hsm.audit.verify import Verdict, verify
from hsm.client import MODULE, Client
from hsm.errors import TokenError
from hsm.store import points
from pkcs11_shim import constants as ck

OLD = Path(__file__).resolve().parent / "pool-of-0.2.0.tar.xz"
DAY = 86400.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with cheap_pins():
        (tmp_path / "pool").mkdir(mode=0o700)
        yield tmp_path / "pool"


def use(room: Room, number: int = 1, *, note: str = "") -> None:
    """Records of use, as dispatch queues them."""
    for n in range(number):
        detail = (("reason", f"{note}{n}"),) if note else ()
        room.pool.audit.tell((clock.now(), 5000, ("C_Sign", 0, "user", 1, 2, 0, (("key", "v"),), 1, detail)))


def exported(room: Room) -> list[str]:
    lines: list[bytes] = []
    room.pool.audit.export(lines.append)
    return [line.decode() for line in lines]


def whole(room: Room, *kept: str) -> Verdict:
    return verify(exported(room), room.pool.audit.public_key(), kept)


def operations(rows: Iterator[Record] | list[Record]) -> list[str]:
    return [row.operation for row in rows]


class Refuses:
    """A database whose every commit fails."""

    def __init__(self, database: Any) -> None:
        self.database = database

    @property
    def in_transaction(self) -> bool:
        return bool(self.database.in_transaction)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "COMMIT":
            raise sqlite3.OperationalError("refused")
        return self.database.execute(statement, *values)


# -- one order


def test_a_change_comes_behind_what_was_queued_before_it(home: Path) -> None:
    with Room(home) as room:
        room.with_user()
        use(room, 3)
        room.aes(b"key")
        use(room, 2)
        assert operations(room.pool.audit.records())[-6:] == ["C_Sign"] * 3 + ["generate"] + ["C_Sign"] * 2
        assert whole(room).findings == []


def test_what_a_failed_change_took_along_is_written_later_in_its_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Room(home) as room:
        room.with_user()
        before = room.pool.audit.last
        use(room, 3, note="a")
        with monkeypatch.context() as patch:
            patch.setattr(room.pool.store, "_database", Refuses(room.pool.store._database))
            with refused(ck.CKR_DEVICE_ERROR):
                room.aes(b"key")
        use(room, 1, note="b")
        rows = list(room.pool.audit.records(before))
        assert [row.detail["reason"] for row in rows] == ["a0", "a1", "a2", "b0"]
        assert [row.sequence for row in rows] == list(range(before + 1, before + 5))
        assert whole(room).findings == []


def test_many_threads_tell_at_once_and_nothing_is_lost_or_twice(home: Path) -> None:
    with Room(home) as room:
        room.with_user()
        threads = [threading.Thread(target=use, args=(room, 3000), kwargs={"note": f"{n}-"}) for n in range(4)]
        for thread in threads:
            thread.start()
        for n in range(20):
            room.data(b"between %d" % n)
        for thread in threads:
            thread.join()
        reasons = [row.detail["reason"] for row in room.pool.audit.records() if "reason" in row.detail]
        assert len(reasons) == 12_000
        for n in range(4):
            assert [r for r in reasons if r.startswith(f"{n}-")] == [f"{n}-{k}" for k in range(3000)]
        assert whole(room).findings == []


def test_wait_returns_when_there_is_something_new(home: Path) -> None:
    with Room(home) as room:
        room.with_user()
        audit = room.pool.audit
        audit.flush()
        last = audit.last
        assert not audit.wait(last, 0.01)
        use(room)
        assert audit.wait(last, 10), "its own thread has written"
        assert operations(audit.records(last)) == ["C_Sign"]


# -- where nothing can be written


def test_what_is_kept_in_memory_has_a_bound_and_what_is_lost_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MOST_KEPT", 100)
    with Room(home) as room:
        room.with_user()
        audit = room.pool.audit
        before = audit.last
        with monkeypatch.context() as patch:
            patch.setattr(room.pool.store, "_database", Refuses(room.pool.store._database))
            use(room, 250, note="use")
            with pytest.raises(TokenError):
                audit.flush()
            assert audit.status()["pending"] == 100 and audit.status()["lost"] == 150
        rows = list(audit.records(before))
        assert [row.detail["reason"] for row in rows[:100]] == [f"use{n}" for n in range(100)]
        assert rows[100].operation == "audit-lost" and rows[100].detail["count"] == "150"
        assert len(rows) == 101 and audit.status()["lost"] == 0
        assert whole(room).findings == []


FULL = """
disk("disk", "6m")
os.mkdir("disk/pool", 0o700)
home = os.path.abspath("disk/pool")
os.environ["ADYTON_HOME"] = home
from hsm.client import MODULE, Client
from hsm.audit.verify import verify
SETTING = {setting!r}
with open(home + "/adyton.conf", "w") as settings:
    settings.write(SETTING)
adyton("partition", "create", "--label", "full", **PINS)
made = initialised(str(MODULE))
m = made.__enter__()
s = m.session()
good(m.login(s, PINS["ADYTON_PIN"]))
key = m.aes(s, token=True, label=b"key", encrypt=False, decrypt=False, wrap=False, unwrap=False, derive=False)
cmac = m.mechanism(ck.CKM_AES_CMAC)
good(m.use("Sign", s, cmac, key, b"data")[0])  # what a first use costs is paid
client = Client(home)
before = client.ask("status")["audit"]["last"]
while client.ask("status")["audit"]["pending"] or client.ask("status")["audit"]["last"] < before:
    pass
fill(home)
"""

FREED = """
os.unlink(home + "/filling")
"""


def test_on_a_full_disk_use_goes_on_and_its_records_are_written_when_there_is_room(tmp_path: Path) -> None:
    said = apart(tmp_path, FULL.format(setting=""), """
        seen = False
        for _ in range(3000):
            good(m.use("Sign", s, cmac, key, b"data")[0])
        while not any("audit log can't be written" in words for words in client.ask("status")["problems"]):
            good(m.use("Sign", s, cmac, key, b"data")[0])
    """, FREED, """
        told = client.ask("status")["audit"]
        while told["pending"] or told["last"] < before + 3000:
            told = client.ask("status")["audit"]
        assert not any("audit log" in words for words in client.ask("status")["problems"])
        m.C_Finalize(NULL)
        print(json.dumps(told))
    """)
    told = json.loads(said.splitlines()[-1])
    assert told["lost"] == 0 and told["last"] > 3000


def test_strict_gives_nothing_out_on_a_full_disk(tmp_path: Path) -> None:
    apart(tmp_path, FULL.format(setting="audit = strict\n"), """
        room, length = ffi.new("CK_BYTE[16]"), ffi.new("CK_ULONG*", 16)
        good(m.C_SignInit(s, cmac, key))
        assert name(m.C_Sign(s, b"data", 4, room, length)) == "CKR_DEVICE_MEMORY"
        assert bytes(ffi.buffer(room)) == bytes(16)
        assert name(m.C_Sign(s, b"data", 4, room, length)) == "CKR_OPERATION_NOT_INITIALIZED"
        assert name(m.C_FindObjectsInit(s, *m.template({}))) == "CKR_DEVICE_MEMORY"
        assert name(m.C_FindObjectsFinal(s)) == "CKR_OPERATION_NOT_INITIALIZED"
        rv, made_key = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16, ck.CKA_LABEL: b"session"})
        assert name(rv) == "CKR_DEVICE_MEMORY"
        good(m.C_Logout(s))
        assert name(m.login(s, PINS["ADYTON_PIN"])) == "CKR_DEVICE_MEMORY"
        assert m.state(s) == ck.CKS_RW_PUBLIC_SESSION
    """, FREED, """
        good(m.login(s, PINS["ADYTON_PIN"]))
        assert m.find(s, {ck.CKA_LABEL: b"session"}) == []
        key = m.find(s, {ck.CKA_LABEL: b"key"})[0]
        good(m.use("Sign", s, cmac, key, b"data")[0])
        m.C_Finalize(NULL)
    """)


def test_strict_has_each_answer_s_record_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed right after an answer, again and again: no record of what was answered is missing."""
    pool = DiskPool(tmp_path / "pool", CHEAP)
    with Room(pool.home) as room:
        room.with_user()
        room.aes(b"key")
    with open(pool.home / "adyton.conf", "a") as settings:
        settings.write("audit = strict\n")
    monkeypatch.setenv("ADYTON_HOME", str(pool.home))
    answered = 0
    for round_number in range(4):
        with initialised(str(MODULE)) as m:
            s = m.session()
            assert name(m.login(s, USER.decode())) == "CKR_OK"
            key = m.find(s, {ck.CKA_LABEL: b"key"})[0]
            for _ in range(round_number + 1):
                assert name(m.use("Sign", s, m.mechanism(ck.CKM_AES_CMAC), key, b"x")[0]) == "CKR_OK"
                answered += 1
            pool.kill()
    with Room(pool.home) as room:
        rows = list(room.pool.audit.records())
        assert operations(rows).count("C_Sign") == answered
        assert operations(rows).count("C_Login") == operations(rows).count("C_FindObjectsInit") == 4
        assert whole(room).findings == []


def test_strict_commits_many_at_a_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits while another one writes has its record in the next commit, with all who wait too."""
    with Room(home) as room:
        room.with_user()
        audit, store = room.pool.audit, room.pool.store
        audit.configure(Settings(strict=True))
        audit.flush()
        before = len(list(store.blocks(0)))
        threads = [threading.Thread(target=use, args=(room, 1), kwargs={"note": f"{n}-"}) for n in range(16)]
        with store.lock:
            for thread in threads:
                thread.start()
            while audit.status()["pending"] < 16:
                pass
        for thread in threads:
            thread.join()
        blocks = list(store.blocks(0))
        assert len(blocks) == before + 1
        assert {row.detail.get("reason") for row in list(audit.records())[-16:]} == {f"{n}-0" for n in range(16)}


def test_a_read_only_pool_is_used_and_its_log_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Room(home) as room:
        room.with_user()
        use(room, 3)
    monkeypatch.setattr("hsm.store.folder.is_read_only", lambda home: True)
    with Room(home) as room:
        use(room, 2)
        assert operations(room.pool.audit.records())[-2:] == ["C_Sign", "engine-stop"]
        assert room.pool.audit.status()["pending"] == 2
        assert any("can't be written" in words for words in room.pool.audit.problems())
        assert whole(room).findings == []


# -- engines that end, one way or another


def test_a_crash_at_every_step_leaves_a_whole_chain_and_the_next_engine_tells_of_it(home: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with Room(home) as room:
        room.with_user()
    shutil.copytree(home, made)

    def work(acknowledge: Callable[[], None]) -> None:
        with Room(home) as room:
            room.login()
            use(room, 3)
            room.data(b"data")
            acknowledge()
            use(room, 2)

    seen = set()
    for step in range(1, 500):
        shutil.rmtree(home)
        shutil.copytree(made, home)
        acknowledged, ended = crashes_at(step, work)
        left = (home / "audit.open").exists()
        with Room(home) as room:
            before = room.pool.audit.last
            use(room)
            rows = list(room.pool.audit.records())
            crashed = operations(rows[:before])
            assert whole(room).findings == [] and room.pool.store.damage == {}, step
            # The change is there with what was queued before it, or neither is.
            assert crashed.count("create") == len(room.find(b"data") or ()), step
            assert not acknowledged or "create" in crashed
            if "create" in crashed:
                assert crashed[crashed.index("create") - 3 :][:3] == ["C_Sign"] * 3
            else:
                assert "C_Sign" not in crashed
            assert not ended or crashed.count("C_Sign") == 5
            said = rows[before].detail["previous"]
            assert rows[before].operation == "engine-start"
            assert said == ("broken off" if left or crashed[-1] != "engine-stop" else "ended"), step
            seen.add((said, "create" in crashed))
        assert not (home / "audit.open").exists()
        if ended:
            break
    assert ended and seen == {("broken off", False), ("broken off", True), ("ended", False), ("ended", True)}


# -- checkpoints


def test_a_clean_end_is_signed_and_so_is_what_came_some_seconds_ago(home: Path) -> None:
    with Room(home) as room:
        room.with_user()
        audit = room.pool.audit
        audit.configure(Settings(checkpoint=0.2))
        use(room)
        audit.flush()
        while audit.status()["signed"] < audit.last:
            threading.Event().wait(0.01)
        kept = audit.checkpoint()
        use(room)
    with Room(home) as room:
        told = room.pool.audit.status()
        assert told["signed"] == told["last"]
        assert operations(room.pool.audit.records())[-1] == "engine-stop"
        assert whole(room, kept).findings == []


def test_a_damaged_block_is_said_to_who_reads_and_found_in_the_export(home: Path) -> None:
    with Room(home) as room:
        room.with_user()
        use(room, 3)
    database = sqlite3.connect(home / "pool.db", isolation_level=None)
    database.execute("UPDATE audit SET record = X'00112233' WHERE sequence = 2")
    database.close()
    with Room(home) as room:
        damaged, *others = room.pool.audit.records()
        assert (damaged.sequence, damaged.operation, damaged.rv) == (2, "audit-damaged", ck.CKR_DEVICE_ERROR)
        assert len(others) > 2 and others == list(room.pool.audit.records(2))
        findings = whole(room).findings
        assert (findings[0].first, findings[0].last) == (1, 2)


def test_without_seconds_checkpoints_go_by_the_number_of_records(home: Path) -> None:
    with Room(home) as room:
        room.with_user()
        audit = room.pool.audit
        audit.configure(Settings(checkpoint=0))
        signed = audit.status()["signed"]
        use(room, 900)
        audit.flush()
        assert audit.status()["signed"] == signed
        use(room, 200)
        audit.flush()
        assert audit.status()["signed"] == audit.last


# -- what is dropped


def test_the_cap_is_announced_and_then_the_oldest_go(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Room(home) as room:
        room.with_user()
        audit = room.pool.audit
        audit.configure(Settings(cap=1))
        kept = audit.checkpoint()
        first_warning = 0
        while audit.status()["first"] == 1:
            use(room, 200, note=os.urandom(40).hex())
            audit.flush()
            if not first_warning and audit.problems():
                first_warning = audit.status()["size"]
                assert "0.8 of the 1 MiB" in audit.problems()[0] and "oldest records are dropped" in audit.problems()[0]
                assert "audit-cap" in capfd.readouterr().err
        assert 0.8 * (1 << 20) <= first_warning < 0.85 * (1 << 20)
        told = audit.status()
        assert told["size"] <= 1 << 20
        rows = list(audit.records())
        assert rows[0].sequence == told["first"] and rows[-1].operation == "audit-drop"
        assert rows[-1].detail["through"] == str(told["first"] - 1) and rows[-1].detail["reason"] == "audit-cap"
        lines = exported(room)
        verdict = verify(lines, audit.public_key())
        assert verdict.findings == [] and verdict.first == told["first"] > 1
        assert verify(lines, audit.public_key(), [kept]).findings, "what it vouches for is not here to be checked"
        # Nobody else drops the beginning: not with a checkpoint, not by hand.
        blocks = [line for line in lines[1:] if "checkpoint" not in json.loads(line)]
        assert verify([lines[0], *lines[2:]], audit.public_key()).findings, "no checkpoint vouches for the cut"
        head = json.loads(lines[0])
        later = {**head, "after": json.loads(blocks[0])["last"], "hash": json.loads(blocks[0])["hash"]}
        assert verify([json.dumps(later), *lines[3:]], audit.public_key()).findings
        # And the next drop's record takes the place of this one's.
        through = told["first"]
        while audit.status()["first"] == through:
            use(room, 200, note=os.urandom(40).hex())
            audit.flush()
        assert whole(room).findings == []
    with Room(home) as room:
        assert room.pool.store.damage == {} and whole(room).findings == []


def test_strict_drops_only_what_was_exported(home: Path) -> None:
    with Room(home) as room:
        room.with_user()
        audit = room.pool.audit
        audit.configure(Settings(strict=True, cap=1))
        with refused(ck.CKR_DEVICE_MEMORY):
            for _ in range(100_000):
                # Queued together, as many threads would have them; the last one waits.
                for n in range(200):
                    note = (("note", f"{os.urandom(40).hex()}{n}"),)
                    audit._queue.append((clock.now(), 1, ("C_Sign", 0, "user", 1, 2, 0, (), 1, note)))
                use(room)
        assert audit.status()["first"] == 1
        assert any("use is refused" in words for words in audit.problems())
        exported(room)
        use(room)
        assert audit.status()["first"] > 1
        assert whole(room).findings == []


class Moved:
    """The clock and the machine's own count, moved by a test: together as time passes, or the clock alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now, passed = clock.now, clock.passed
        self.set = self.gone = 0.0
        monkeypatch.setattr(clock, "now", lambda: now() + self.set + self.gone)
        monkeypatch.setattr(clock, "passed", lambda: passed() + int(self.gone * 1e6))


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Moved:
    return Moved(monkeypatch)


def notes(room: Room) -> list[str]:
    told = [row.detail.get("reason", "") for row in room.pool.audit.records()]
    return [reason for reason in told if reason.startswith("day ")]


def test_retention_drops_what_is_older(home: Path, moved: Moved) -> None:
    with Room(home) as room:
        room.with_user()
        for day in (0, 10, 20, 22, 30):
            moved.gone = day * DAY
            use(room, 3, note=f"day {day} ")
            room.pool.audit.flush()
    with Room(home) as room:
        room.pool.audit.configure(Settings(retention=9))
        use(room)
        rows = list(room.pool.audit.records())
        assert notes(room) == [f"day {day} {n}" for day in (22, 30) for n in range(3)]
        drop = next(row for row in rows if row.operation == "audit-drop")
        assert drop.detail["reason"] == "audit-retention" and int(drop.detail["through"]) == rows[0].sequence - 1
        assert whole(room).findings == []


@pytest.mark.parametrize("stopped", [False, True])
def test_a_clock_that_is_set_ahead_drops_nothing(home: Path, moved: Moved, stopped: bool) -> None:
    """Ten years, under a running engine or while it is stopped, and engines after that: the log is whole, tells of the
    first, and goes on when the clock is set right again."""
    years = 3650 * DAY
    with Room(home) as room:
        room.with_user()
        room.pool.audit.configure(Settings(retention=7))
        use(room, 3, note="day 0 ")
        if not stopped:
            moved.set = years
            use(room, 1, note="day later ")
            assert [row.operation for row in room.pool.audit.records()].count("clock-set") == 1
    moved.set = years
    for _ in range(3):
        with Room(home) as room:
            room.pool.audit.configure(Settings(retention=7))
            use(room)
            assert notes(room)[:3] == [f"day 0 {n}" for n in range(3)]
    moved.set = -years
    with Room(home) as room:
        room.pool.audit.configure(Settings(retention=7))
        use(room)
        assert notes(room)[:3] == [f"day 0 {n}" for n in range(3)]
        assert whole(room).findings == []


def test_what_is_old_goes_a_day_at_a_time_where_engines_run_seldom(home: Path, moved: Moved) -> None:
    """A month between two engines counts as a day: it is dropped late, and it is dropped."""
    with Room(home) as room:
        room.with_user()
        use(room, 3, note="day 0 ")
    for month in range(1, 6):
        moved.gone = month * 30 * DAY
        with Room(home) as room:
            room.pool.audit.configure(Settings(retention=3))
            use(room)
            assert (len(notes(room)) == 3) == (month < 3), month


# -- pools of before


def test_a_pool_of_the_second_release_goes_on_with_its_chain(home: Path) -> None:
    with tarfile.open(OLD) as packed:
        packed.extractall(home, filter="data")
    for path in home.iterdir():
        path.chmod(0o600)
        os.chown(path, os.geteuid(), os.getegid())
    with Room(home) as room:
        room.login()
        assert room.find(b"renamed")
        rows = list(room.pool.audit.records())
        assert operations(rows)[:9] == [
            "pool-create", "C_InitToken", "C_InitPIN", "generate", "generate", "create", "change", "destroy",
            "partition-create"]
        assert [row.officer for row in rows[1:9]] == ["so", "so", "user", "user", "user", "user", "user", ""]
        assert rows[6].detail == {"attributes": "CKA_LABEL"} and rows[8].slot == 1 and len(rows[4].keys) == 2
        use(room, 2)
        room.aes(b"new")
        assert room.pool.store.damage == {}
        lines = exported(room)
        assert verify(lines, room.pool.audit.public_key()).findings == []
        for at in range(1, 10):
            read = json.loads(lines[at])
            harmed = json.dumps({**read, "body": read["body"].replace('"act":"', '"act":"x')})
            findings = verify([*lines[:at], harmed, *lines[at + 1 :]], room.pool.audit.public_key()).findings
            assert [(finding.first, finding.last) for finding in findings] == [(at, at)]
        assert room.pool.audit.last == len(list(room.pool.audit.records()))
    with Room(home) as room:
        start = [row for row in room.pool.audit.records() if row.operation == "engine-start"]
        assert room.pool.store.damage == {} and start[0].detail["previous"] == "of an earlier release"


def test_the_status_of_an_engine_tells_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DiskPool(tmp_path / "pool", CHEAP)
    with Room(pool.home) as room:
        room.with_user()
        key = room.pool.audit.status()["key"]
    with open(pool.home / "adyton.conf", "a") as settings:
        settings.write("audit = strict\naudit-cap = 3\n")
    monkeypatch.setenv("ADYTON_HOME", str(pool.home))
    with initialised(str(MODULE)) as m:
        m.session()
        with Client(str(pool.home)) as client:
            told = client.ask("status")["audit"]
    pool.stop()
    assert told["mode"] == "strict" and told["cap"] == 3 << 20 and told["key"] == key and told["pending"] == 0
    assert SO not in json.dumps(told).encode()


def test_an_engine_that_ends_at_the_cap_ends_cleanly(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an end must write has its room, by what is dropped: only a pool set to strict drops nothing unasked."""
    with Room(home) as room:
        room.with_user()
        for number in range(40):
            room.data(b"object %d" % number)
        monkeypatch.setattr("hsm.audit.keeping.Keeping.cap", 1 << 12)
    monkeypatch.undo()
    with Room(home) as room:
        room.data(b"after")
        found = list(room.pool.audit.records())
    assert [record.detail["previous"] for record in found if record.operation == "engine-start"][-1] == "ended"
    assert "audit-drop" in [record.operation for record in found]


def test_that_the_clock_was_set_is_told_though_a_commit_failed(
    home: Path, moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_commit(point: str) -> None:
        if point == "heads-written":
            raise TokenError(ck.CKR_DEVICE_MEMORY, "no room")

    with Room(home) as room:
        room.with_user()
        moved.set = 10 * DAY
        with monkeypatch.context() as patched:
            patched.setattr(points, "watcher", no_commit)
            with pytest.raises(TokenError):
                room.data(b"never")
        for label in (b"made", b"another"):
            room.data(label)
        assert [row.operation for row in room.pool.audit.records()].count("clock-set") == 1
