"""Sinks: files in Azure's layout, standard output, syslog. What hangs or fails holds nobody up, and misses nothing."""

from __future__ import annotations

import json
import os
import select
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import good, initialised
from apart import PINS, adyton
from engine_room import CHEAP, DiskPool, Room, cheap_pins, end, serve

from hsm import config
from hsm.audit import sinks
from hsm.audit.record import Record
from hsm.client import MODULE, Client, connect
from pkcs11_shim import constants as ck

PATIENCE = 20.0


class World:
    def __init__(self, home: Path, setting: str) -> None:
        self.pool = DiskPool(home, CHEAP)
        self.home = home
        with open(home / "adyton.conf", "a") as settings:
            settings.write(f"audit-sinks = {setting}\n")

    def token(self) -> None:
        adyton("partition", "create", "--label", "web", **PINS)

    def signs(self, times: int) -> None:
        with initialised(str(MODULE)) as m:
            s = m.session()
            good(m.login(s, PINS["ADYTON_PIN"]))
            rv, key = m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, {ck.CKA_VALUE_LEN: 32})
            good(rv)
            for _ in range(times):
                good(m.use("Sign", s, m.mechanism(ck.CKM_SHA256_HMAC), key, b"data")[0])

    def last(self) -> int:
        with connect(start=True) as client:
            return int(client.ask("audit-records", after=1 << 62)["last"])


def until(holds: Callable[[], Any]) -> Any:
    """What is true sooner or later; polls, since a sink tells nobody."""
    late = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < late
        select.select([], [], [], 0.02)
    return found


def written(folder: Path) -> list[dict[str, Any]]:
    """All records below, each file being an array at any moment that its sink is at rest."""
    found = []
    for path in folder.rglob("PT1H.json"):
        try:
            found += json.loads(path.read_text())
        except ValueError:
            return []
    return sorted(found, key=lambda record: int(record["properties"]["sequence"]))


def numbers(records: list[dict[str, Any]]) -> list[int]:
    return [record["properties"]["sequence"] for record in records]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], World]]:
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    made: list[World] = []

    def make(setting: str) -> World:
        made.append(World(tmp_path / "pool", setting))
        return made[-1]

    yield make
    for one in made:
        one.pool.stop()


def test_files_lie_as_azure_lays_them(world: Callable[[str], World], tmp_path: Path) -> None:
    one = world(f"files:{tmp_path}/out")
    one.token()
    one.signs(3)
    last = one.last()
    found = until(lambda: (got := written(tmp_path / "out")) and len(got) >= last and got)
    assert numbers(found) == list(range(1, len(found) + 1))
    assert [record["operationName"] for record in found].count("KeySign") == 3
    (signed,) = {str(path.parent.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("PT1H.json")
                 if "KeySign" in path.read_text()}
    assert signed.startswith("out/insights-logs-auditevent/resourceId=/SUBSCRIPTIONS/")
    assert "/MANAGEDHSMS/WEB-0/y=" in signed and signed.endswith("/m=00")


@pytest.mark.parametrize("kill", [True, False])
def test_an_engine_that_ends_anyhow_leaves_nothing_out_and_writes_nothing_twice(
    world: Callable[[str], World], tmp_path: Path, kill: bool
) -> None:
    one = world(f"files:{tmp_path}/out")
    one.token()
    for _ in range(4):
        one.signs(5)
        one.pool.kill() if kill else one.pool.stop()
    last = one.last()
    found = until(lambda: (got := written(tmp_path / "out")) and len(got) >= last and got)
    assert numbers(found) == list(range(1, len(found) + 1))


def test_a_batch_cut_short_is_written_again_and_once(tmp_path: Path) -> None:
    """As a kill between the file's write and the cursor's leaves it, and one in the middle of the write."""
    files = sinks.Files(str(tmp_path))
    records = [{"time": "2026-11-25T04:00:00.000001Z", "resourceId": "/A", "properties": {"sequence": n}}
               for n in range(1, 5)]
    where = files.place(records[0])
    before = sinks.Cursor(2, {where: files.write(where, records[:2])[1]})
    assert [r["properties"]["sequence"] for r in json.loads(Path(where).read_text())] == [1, 2]
    whole = Path(where).read_bytes()
    files.write(where, records[2:])
    after = Path(where).read_bytes()
    for left in range(len(whole), len(after) + 1):
        Path(where).write_bytes(after[:left])
        files.restore(before)
        files.write(where, records[2:])
        assert Path(where).read_bytes() == after


def test_a_folder_that_is_not_there_yet_is_said_and_filled_later(
    world: Callable[[str], World], tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file in the folder's place")
    one = world(f"files:{tmp_path}/out")
    one.token()
    until(lambda: f"audit sink files:{tmp_path}/out" in adyton("status"))
    one.signs(2)
    (tmp_path / "out").unlink()
    adyton("stop")  # an engine opens no folder that was not there when it started
    last = one.last()
    found = until(lambda: (got := written(tmp_path / "out")) and len(got) >= last and got)
    assert numbers(found) == list(range(1, len(found) + 1))
    until(lambda: "audit sink" not in adyton("status"))


def test_syslog_gets_each_record_and_may_come_late(world: Callable[[str], World], tmp_path: Path) -> None:
    one = world(f"syslog:{tmp_path}/log")
    one.token()
    one.signs(2)
    until(lambda: "No such file" in adyton("status"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.settimeout(PATIENCE)
        log.bind(str(tmp_path / "log"))
        found = []
        while len(found) < one.last():
            line = log.recv(1 << 16).decode()
            assert line.startswith("<110>adyton[")
            found.append(json.loads(line.partition(": ")[2]))
    assert numbers(found) == list(range(1, len(found) + 1))


def test_a_sink_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    """Standard output is a pipe that is full and that nobody reads; another sink goes on, and so do calls."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writing, True)
    home = tmp_path / "pool"
    one = World(home, f"stdout, files:{tmp_path}/out")
    kept = os.dup(1)
    os.dup2(writing, 1)
    try:
        engine = serve(home, "--cheap-pin", "--memory")
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(writing)
    try:
        with engine:
            (path,) = home.glob("socket-*")
            path.rename(home / "socket")
            with Client(str(home)) as client:
                client.ask("init", slot=0, label="web", so_pin="12345678", pin="123456")
                for _ in range(200):
                    client.ask("audit-checkpoint")
                last = client.ask("audit-records", after=1 << 62)["last"]
                found = until(lambda: (got := written(tmp_path / "out")) and len(got) >= last and got)
                assert numbers(found) == list(range(1, len(found) + 1))
                told = {row["sink"]: row for row in client.ask("status")["audit"]["sinks"]}
                assert told["stdout"]["behind"] >= 200 and told[f"files:{tmp_path}/out"]["problem"] == ""
            end(engine.pid, 15)
    finally:
        os.close(reading)
        engine.kill()
    assert one.home == home


@pytest.mark.parametrize("text", ["files", "files:here", "stdout:/x", "kafka:/x", "syslog:here"])
def test_a_setting_that_means_nothing_is_refused_with_what_would_do(text: str, tmp_path: Path) -> None:
    (tmp_path / "adyton.conf").write_text(f"audit-sinks = {text}\n")
    with pytest.raises(config.Wrong, match="audit-sinks"):
        config.engine_settings(str(tmp_path))


def test_a_fault_in_a_sink_ends_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Log:
        last = 3

        def records(self, after: int = 0) -> Iterator[Record]:
            raise LookupError("a fault of ours")

    said = threading.Event()
    monkeypatch.setattr(sinks, "report", lambda fault: said.set())
    runner = sinks.Runner(Log(), sinks.Spec("syslog", "/x"), lambda record: {}, None)  # type: ignore[arg-type]
    assert said.wait(PATIENCE)
    runner.stop(PATIENCE)
    assert "fault" in runner.status()["problem"] and runner.status()["behind"] == 3


class Three:
    """A log of three records."""

    last = 3

    def records(self, after: int = 0) -> Iterator[Record]:
        for n in range(after + 1, 4):
            yield Record(n, 0, "C_Sign", 0, "", 0, 0, 0, (), None, 0, 1, {})

    def wait(self, after: int, seconds: float) -> bool:
        return False


def numbered(record: Record) -> dict[str, Any]:
    return {"time": "2026-11-25T04:00:00.000001Z", "resourceId": "/A", "properties": {"sequence": record.sequence}}


def runner(place: Path, home: Path) -> sinks.Runner:
    return sinks.Runner(Three(), sinks.Spec("syslog", str(place)), numbered, str(home))  # type: ignore[arg-type]


def test_where_it_cannot_be_kept_how_far_a_sink_has_come_nothing_is_sent_twice(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.settimeout(PATIENCE)
        log.bind(str(tmp_path / "log"))
        one = runner(tmp_path / "log", tmp_path / "gone")
        try:
            until(lambda: one.status()["problem"])
            (tmp_path / "gone").mkdir()
            until(lambda: one.status()["behind"] == 0)
        finally:
            one.stop(PATIENCE)
        log.setblocking(False)
        found: list[dict[str, Any]] = []
        with pytest.raises(BlockingIOError):
            while True:
                found.append(json.loads(log.recv(1 << 16).decode().partition(": ")[2]))
    assert numbers(found) == [1, 2, 3]


def test_what_syslog_took_before_it_failed_is_not_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [numbered(record) for record in Three().records()]
    sent: list[bytes] = []

    class Fails(socket.socket):
        def send(self, data: Any, *flags: int) -> int:
            if len(sent) == 2:
                raise OSError(105, "no buffer space")
            sent.append(data)
            return super().send(data, *flags)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        monkeypatch.setattr("hsm.audit.sinks.socket.socket", Fails)
        syslog = sinks.Syslog(str(tmp_path / "log"))
        assert syslog.write("", records) == (2, 0)
        with pytest.raises(OSError, match="no buffer space"):
            syslog.write("", records[2:])


def test_a_file_is_an_array_again_while_its_disk_stays_full(tmp_path: Path) -> None:
    files = sinks.Files(str(tmp_path))
    records = [numbered(record) for record in Three().records()]
    where = files.place(records[0])
    kept = sinks.Cursor(2, {where: files.write(where, records[:2])[1]})
    whole = Path(where).read_bytes()
    files.write(where, records[2:])
    Path(where).write_bytes(Path(where).read_bytes()[:-9])
    files.restore(kept)
    assert Path(where).read_bytes() == whole


def test_two_partitions_that_take_turns_are_written_once_after_a_kill_between_their_files(tmp_path: Path) -> None:
    """As it leaves them: what was kept is from before the batch, and one or both files have it already."""

    def form(record: Record) -> dict[str, Any]:
        return {**numbered(record), "resourceId": f"/{record.sequence % 2}"}

    def run() -> list[int]:
        spec = sinks.Spec("files", str(tmp_path / "out"))
        one = sinks.Runner(Three(), spec, form, str(tmp_path))  # type: ignore[arg-type]
        until(lambda: one.status()["behind"] == 0)
        one.stop(PATIENCE)
        return numbers(written(tmp_path / "out"))

    assert run() == [1, 2, 3]
    (kept,) = tmp_path.glob("audit-sink-*")
    files = [str(path) for path in (tmp_path / "out").rglob("PT1H.json")]
    assert len(files) == 2
    kept.write_text(json.dumps({"sequence": 0, "sizes": dict.fromkeys(files, 0)}))
    assert run() == [1, 2, 3]
    kept.write_text(json.dumps({"sequence": 0, "sizes": dict.fromkeys(files, 0)}))
    Path(files[0]).unlink()
    assert run() == [1, 2, 3]


def test_a_damaged_block_is_told_and_what_is_behind_it_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "pool"
    home.mkdir(mode=0o700)
    with cheap_pins():
        with Room(home) as room:
            room.with_user()
        database = sqlite3.connect(home / "pool.db")
        numbers_ = [row[0] for row in database.execute("SELECT sequence FROM audit ORDER BY sequence")]
        database.execute("UPDATE audit SET record = x'00' WHERE sequence = ?", (numbers_[1],))
        database.commit()
        database.close()
        with Room(home) as room:
            found = list(room.pool.audit.records())
    (damaged,) = [record for record in found if record.operation == "audit-damaged"]
    assert (damaged.sequence, damaged.rv) == (numbers_[1], ck.CKR_DEVICE_ERROR)
    assert "damaged" in damaged.detail["reason"]
    assert {record.sequence for record in found} >= set(numbers_)


def test_a_record_too_long_for_a_datagram_goes_without_its_details(tmp_path: Path) -> None:
    records = [{"properties": {"sequence": n, "operation": "C_Sign", "ckr": "CKR_OK", "reason": "x" * size}}
               for n, size in ((1, 10), (2, 4 << 20), (3, 10))]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.settimeout(PATIENCE)
        log.bind(str(tmp_path / "log"))
        assert sinks.Syslog(str(tmp_path / "log")).write("", records) == (3, 0)
        got = [json.loads(log.recv(1 << 16).decode().partition(": ")[2]) for _ in records]
    assert numbers(got) == [1, 2, 3]
    assert "reason" not in got[1]["properties"] and "too long" in got[1]["resultDescription"]
