"""PINs: what a guess costs, how many there are, and that no crash, storm or spelling changes it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_room import CHEAP, SO, USER, DiskPool, Room, cheap_pins, refused

from hsm.access import credentials
from hsm.access.credentials import LONGEST_PIN, TRIES, Cost
from hsm.cryptoki import general
from hsm.errors import TokenError
from hsm.store import sealing
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

LOW, FINAL, LOCKED = ck.CKF_USER_PIN_COUNT_LOW, ck.CKF_USER_PIN_FINAL_TRY, ck.CKF_USER_PIN_LOCKED
SO_FLAGS = ck.CKF_SO_PIN_COUNT_LOW, ck.CKF_SO_PIN_FINAL_TRY, ck.CKF_SO_PIN_LOCKED


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with cheap_pins():
        (tmp_path / "pool").mkdir()
        with Room(tmp_path / "pool") as room:
            room.with_user()
        yield tmp_path / "pool"


@pytest.fixture
def room(home: Path) -> Iterator[Room]:
    with Room(home) as opened:
        yield opened


def close_sessions(room: Room) -> None:
    room.app.close_all()
    room._session = None


def test_the_cost_of_a_guess_is_that_of_the_design() -> None:
    """64 MiB x 5 on disk pools: measured by what it takes against a tenth of it, so that a slow machine passes too."""
    assert Cost() == (64 * 1024, 5, 4)
    wrapped = sealing.wrap_under_pin(USER, bytes(32), Cost(), b"place")
    cheap = sealing.wrap_under_pin(USER, bytes(32), Cost(8 * 1024, 1, 4), b"place")
    took = []
    for record in (wrapped, cheap):
        started = time.process_time()
        assert sealing.unwrap_under_pin(USER, record, b"place") == bytes(32)
        assert sealing.unwrap_under_pin(b"wrong", record, b"place") is None
        took.append(time.process_time() - started)
    assert took[0] > 6 * took[1]


def test_at_most_two_guesses_at_a_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most, gate = 0, 0, threading.Lock()
    real = sealing.unwrap_under_pin

    def counted(*arguments: bytes) -> bytes | None:
        nonlocal at_once, most
        with gate:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.02)
        with gate:
            at_once -= 1
        return real(*arguments)

    monkeypatch.setattr(sealing, "unwrap_under_pin", counted)
    with Room(home) as room:
        second = room.pool.create_partition(room.app)
        third = room.pool.create_partition(room.app)
        for partition in (second, third):
            general.C_InitToken(room.app, partition.slot, SO, b"another".ljust(32))
        close_sessions(room)
        tried = [
            threading.Thread(target=p.officers.credentials._check_at_cost, args=(p.directory.officers["so"], SO, 0))
            for p in (room.partition, second, third) * 2
        ]
        for thread in tried:
            thread.start()
        for thread in tried:
            thread.join()
    assert most == 2


def test_flags_and_lock_step_by_step(room: Room, home: Path) -> None:
    def flags() -> int:
        return room.partition.token_flags(-1) & (LOW | FINAL | LOCKED)

    assert flags() == 0
    for tries in range(1, TRIES + 1):
        with refused(ck.CKR_PIN_INCORRECT):
            room.login(b"wrong-pin")
        assert flags() == LOW | (FINAL if tries == TRIES - 1 else 0) | (LOCKED if tries == TRIES else 0), tries
    with pytest.raises(TokenError, match="The SO sets a new one: C_InitPIN") as locked:
        room.login()
    assert locked.value.rv == ck.CKR_PIN_LOCKED
    with refused(ck.CKR_PIN_LOCKED):
        general.C_SetPIN(room.app, room.handle, USER, b"another")
    room.login(SO, ck.CKU_SO)
    assert not room.partition.token_flags(-1) & sum(SO_FLAGS)
    general.C_InitPIN(room.app, room.handle, b"another")
    assert flags() == 0
    room.logout()
    room.login(b"another")


def test_a_good_login_forgets_the_tries_also_the_fast_way(room: Room) -> None:
    for pin in (USER, USER):  # the first costs Argon2id, the second is the verifier's
        with refused(ck.CKR_PIN_INCORRECT):
            room.login(b"wrong-pin")
        assert room.partition.token_flags(-1) & LOW
        room.login(pin)
        assert not room.partition.token_flags(-1) & LOW
        room.logout()


def test_the_fast_way_lasts_while_the_engine_does_and_admits_the_right_pin_only(home: Path) -> None:
    asked = 0
    real = sealing.unwrap_under_pin

    def counted(*arguments: bytes) -> bytes | None:
        nonlocal asked
        asked += 1
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "unwrap_under_pin", counted)
        for engine in (1, 2):
            with Room(home) as room:
                for _ in range(3):
                    room.login()
                    room.logout()
                assert asked == engine + engine - 1
                with refused(ck.CKR_PIN_INCORRECT):
                    room.login(b"wrong-pin")
                assert asked == 2 * engine
    assert not any(USER in item for pair in room.partition.officers.credentials._fast.values() for item in pair)


def test_a_pin_outside_the_limits_is_wrong_and_costs_no_try(room: Room) -> None:
    for pin in (b"", b"abc", b"x" * (LONGEST_PIN + 1)):
        with refused(ck.CKR_PIN_INCORRECT):
            room.login(pin)
        with refused(ck.CKR_PIN_INCORRECT):
            general.C_SetPIN(room.app, room.handle, pin, b"good-new-pin")
        with refused(ck.CKR_PIN_LEN_RANGE):
            general.C_SetPIN(room.app, room.handle, USER, pin)
    assert not room.partition.token_flags(-1) & LOW
    room.login()
    room.logout()
    room.login(SO, ck.CKU_SO)
    for pin in (b"abc", b"x" * (LONGEST_PIN + 1)):
        with refused(ck.CKR_PIN_LEN_RANGE):
            general.C_InitPIN(room.app, room.handle, pin)
    general.C_InitPIN(room.app, room.handle, b"x" * LONGEST_PIN)
    room.logout()
    room.login(b"x" * LONGEST_PIN)


def test_three_spellings_of_one_officer(room: Room) -> None:
    room.login(b"user:" + USER)
    room.logout()
    general.C_LoginUser(room.app, room.handle, ck.CKU_USER, USER, b"user")
    room.logout()
    room.login(b"so:" + SO, ck.CKU_SO)
    room.logout()
    room.login(b"user:" + USER, ck.CKU_SO)  # who is a Crypto Officer, and manages roles
    with refused(ck.CKR_USER_NOT_LOGGED_IN):
        general.C_InitPIN(room.app, room.handle, b"another-pin")
    room.logout()
    with refused(ck.CKR_PIN_INCORRECT):
        room.login(b"so:" + SO)  # who has nothing to do with keys
    with refused(ck.CKR_PIN_INCORRECT):
        general.C_LoginUser(room.app, room.handle, ck.CKU_USER, USER, b"nobody")
    assert not room.partition.token_flags(-1) & (LOW | SO_FLAGS[0]), "none of these named an officer's PIN"
    general.C_SetPIN(room.app, room.handle, b"user:" + USER, b"nobody:pin")  # nobody of that name: a PIN like any other
    room.login(b"nobody:pin")
    room.logout()
    room.login(b"user:nobody:pin")
    general.C_SetPIN(room.app, room.handle, b"nobody:pin", b"newest-pin")
    room.logout()
    room.login(b"newest-pin")


def test_a_wrong_so_pin_at_init_token_counts_and_destroys_nothing(room: Room) -> None:
    room.login()
    room.data(b"there")
    close_sessions(room)
    for _ in range(TRIES):
        with refused(ck.CKR_PIN_INCORRECT):
            room.init_token(b"wrong-so-pin")
    with refused(ck.CKR_PIN_LOCKED):
        room.init_token(SO)
    assert room.partition.token_flags(-1) & sum(SO_FLAGS) == SO_FLAGS[0] | SO_FLAGS[2]
    assert room.labels() == [b"there"]


def test_init_token_keeps_slot_and_serial_and_forgets_the_rest(room: Room, home: Path) -> None:
    serial = room.partition.serial
    room.login()
    room.aes(b"gone")
    with refused(ck.CKR_SESSION_EXISTS):
        room.init_token()
    close_sessions(room)
    with refused(ck.CKR_PIN_INCORRECT):
        room.login(b"wrong-pin")
    close_sessions(room)
    room.init_token(label=b"anew")
    assert (room.partition.serial, room.partition.label, room.labels()) == (serial, "anew", [])
    assert not room.partition.token_flags(-1) & (LOW | ck.CKF_USER_PIN_INITIALIZED)
    with refused(ck.CKR_USER_PIN_NOT_INITIALIZED):
        room.login()
    room.close()
    with Room(home) as again:
        assert (again.partition.serial, again.partition.label, again.pool.slots()) == (serial, "anew", [0])
        again.login(SO, ck.CKU_SO)


def test_slots_and_counters_of_partitions_that_come_and_go(room: Room, home: Path) -> None:
    for _ in range(3):
        made = room.pool.create_partition(room.app)
        room.pool.delete_partition(room.app, made.slot, made.act(room.app, "partition-delete", ""))
    last = room.pool.create_partition(room.app)
    assert last.slot == 4 and room.pool.slots() == [0, 4]
    general.C_InitToken(room.app, 4, SO, b"fourth".ljust(32))
    with refused(ck.CKR_PIN_INCORRECT):
        general.C_InitToken(room.app, 4, b"wrong-so-pin", b"fourth".ljust(32))
    assert not room.partition.token_flags(-1) & SO_FLAGS[0]
    room.close()
    with Room(home) as again:
        assert again.pool.slots() == [0, 4]
        assert again.pool.by_slot[4].token_flags(-1) & SO_FLAGS[0]
        assert again.pool.create_partition(again.app).slot == 5


def test_a_disk_without_room_for_counters_is_said(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    made = room.pool.create_partition(room.app)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with refused(ck.CKR_DEVICE_MEMORY):
            general.C_InitToken(room.app, made.slot, SO, b"second".ljust(32))
    assert not made.initialised and not made.directory.officers
    general.C_InitToken(room.app, made.slot, SO, b"second".ljust(32))


def test_wrong_pins_in_parallel_get_ten_tries(room: Room) -> None:
    codes = []

    def guess(n: int) -> None:
        try:
            room.partition.authenticate(room.app, ck.CKU_USER, b"", b"wrong-%d" % n)
        except TokenError as refusal:
            codes.append(refusal.rv)

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == sorted([ck.CKR_PIN_INCORRECT] * TRIES + [ck.CKR_PIN_LOCKED] * (40 - TRIES))


def test_sessions_are_counted_right_by_many_applications(room: Room) -> None:
    from hsm.application import Application

    def work() -> None:
        app = Application(room.pool, 1, 1)
        for _ in range(300):
            app.close_session(app.open_session(room.partition, True).handle)

    threads = [threading.Thread(target=work) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert room.partition.sessions == 0
    close_sessions(room)
    room.init_token()


# -- through the library

STORM = """
import os, sys
from abi import *
from pkcs11_shim import constants as ck
m = Module(sys.argv[1])
good(m.C_Initialize(NULL))
s = m.session()
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
print(name(m.login(s, sys.argv[2])))
"""


def storm(home: Path, pins: list[str]) -> tuple[list[str], float]:
    """Processes that log in at the same moment: what each got, and how long it took in all."""
    environment = {**os.environ, "ADYTON_HOME": str(home), "PYTHONPATH": str(Path(__file__).parent)}
    clients = [
        subprocess.Popen([sys.executable, "-c", STORM, ThrowAway().module, pin], env=environment, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE) for pin in pins
    ]
    for client in clients:
        assert client.stdout is not None and client.stdout.readline() == "ready\n"
    started = time.monotonic()
    for client in clients:
        assert client.stdin is not None
        client.stdin.write("\n")
        client.stdin.flush()
    found = [client.stdout.readline().strip() for client in clients if client.stdout is not None]
    took = time.monotonic() - started
    for client in clients:
        client.communicate(timeout=60)
    return found, took


def test_twenty_logins_at_once_cost_one(tmp_path: Path) -> None:
    """The real cost, a freshly started engine: one Argon2id for all, where twenty would be four seconds of work."""
    pool = DiskPool(tmp_path / "pool")
    with Room(pool.home) as room:
        room.with_user()
    cost = time.process_time()
    sealing.wrap_under_pin(USER, bytes(32), credentials.Cost(), b"")
    cost = time.process_time() - cost
    try:
        found, took = storm(pool.home, [USER.decode()] * 20)
        assert found == ["CKR_OK"] * 20
        assert took < max(10 * cost, 1.0)
    finally:
        pool.stop()


def test_a_lock_outlives_kill_9_and_guesses_in_parallel(tmp_path: Path) -> None:
    pool = DiskPool(tmp_path / "pool", CHEAP)
    with cheap_pins(), Room(pool.home) as room:
        room.with_user()
    told: list[str] = []
    try:
        for guesses in (4, 4, 8):
            found, _ = storm(pool.home, [f"wrong-{n}" for n in range(guesses)])
            told += found
            pool.kill()
        assert sorted(told) == ["CKR_PIN_INCORRECT"] * TRIES + ["CKR_PIN_LOCKED"] * 6
        assert storm(pool.home, [USER.decode()])[0] == ["CKR_PIN_LOCKED"]
    finally:
        pool.kill()


def test_a_kill_between_count_and_check_costs_the_try(tmp_path: Path) -> None:
    """The engine dies while it checks the PIN: the try was counted before."""
    dies = CHEAP + (
        "\nimport os, signal\nfrom hsm.store import sealing\n"
        "sealing.unwrap_under_pin = lambda *a: os.kill(os.getpid(), signal.SIGKILL)"
    )
    pool = DiskPool(tmp_path / "pool", dies)
    with cheap_pins(), Room(pool.home) as room:
        room.with_user()
    for _ in range(TRIES):
        assert storm(pool.home, ["some-guess"])[0] == ["CKR_DEVICE_REMOVED"]
    try:
        assert storm(pool.home, [USER.decode()])[0] == ["CKR_PIN_LOCKED"]
    finally:
        pool.kill()
