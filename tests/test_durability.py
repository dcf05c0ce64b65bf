"""Acknowledged is durable: an engine that dies at any step leaves all of a change or nothing, and goes on."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from abi import ffi, good, initialised, name
from engine_room import CHEAP, ECB, NO, SO, USER, DiskPool, Room, cheap_pins, crashes_at, refused, serve
from writing_clients import Told, begin

from hsm.access import key_use
from hsm.client import MODULE
from hsm.cryptoki import general
from hsm.errors import TokenError
from pkcs11_shim import constants as ck

NEW = b"user-pin-2"


@pytest.fixture(autouse=True)
def cheap() -> Iterator[None]:
    with cheap_pins():
        yield


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A pool with a token, a user, an object to keep, one to change and one to destroy."""
    home = tmp_path / "made"
    home.mkdir()
    with Room(home) as room:
        room.with_user()
        for label in (b"kept", b"change", b"destroy"):
            room.aes(label)
    return home


# -- one engine a pool


def test_a_second_engine_leaves_with_words(tmp_path: Path) -> None:
    one = serve(tmp_path)
    try:
        assert one.stderr is not None and "serves" in one.stderr.readline()
        for other in [serve(tmp_path), serve(tmp_path, "--memory")]:
            assert "in use by another engine" in other.communicate(timeout=30)[1]
            assert other.returncode == 1
    finally:
        one.send_signal(signal.SIGTERM)
        one.communicate(timeout=30)
    assert one.returncode == 0


def test_an_engine_waits_for_one_that_is_just_leaving(tmp_path: Path) -> None:
    one = serve(tmp_path)
    assert one.stderr is not None and "serves" in one.stderr.readline()
    two = serve(tmp_path)
    one.send_signal(signal.SIGTERM)
    one.communicate(timeout=30)
    assert two.stderr is not None and "serves" in two.stderr.readline()
    two.send_signal(signal.SIGTERM)
    two.communicate(timeout=30)


# -- a crash at every step


def test_a_pool_survives_a_crash_at_every_step_of_its_making(tmp_path: Path) -> None:
    steps = 0
    for steps in range(1, 500):
        home = tmp_path / str(steps)
        home.mkdir()

        def make(acknowledge: Callable[[], None], home: Path = home) -> None:
            with Room(home):
                acknowledge()

        acknowledged, ended = crashes_at(steps, make)
        with Room(home) as room:
            assert room.pool.slots() == [0]
            room.with_user()
            room.aes(b"first")
        with Room(home) as room:
            room.login()
            assert room.labels() == [b"first"]
        assert sorted(p.name for p in home.iterdir()) == ["counters", "device.key", "pool.db"]
        if ended:
            assert acknowledged
            break
    assert steps > 30


Work = Callable[[Room], object]


def _destroy(room: Room) -> None:
    room.destroy(room.find(b"destroy")[0])


def _change(room: Room) -> None:
    room.relabel(room.find(b"change")[0], b"changed")


def _first_use(room: Room) -> None:
    item = next(o for o in room.partition.objects.values() if o.attributes[ck.CKA_LABEL] == b"kept")
    key_use.used(room.session, item, "decrypt", ECB)


def _init_pin(room: Room) -> None:
    room.logout()
    room.login(SO, ck.CKU_SO)
    general.C_InitPIN(room.app, room.handle, NEW)


def _set_pin(room: Room) -> None:
    general.C_SetPIN(room.app, room.handle, USER, NEW)


def _init_token(room: Room) -> None:
    room.app.close_all()
    room._session = None
    room.init_token(label=b"again")


def _state(home: Path) -> tuple[object, ...]:
    """What a fresh engine knows: label, whose PIN is right, the objects, and what the key «kept» lost."""
    with Room(home) as room:
        assert room.partition.damaged == [] and room.pool.store.damage == {}
        right = None
        for pin in (USER, NEW) if room.partition.has_user else ():
            try:
                room.login(pin)
                right = pin
                break
            except TokenError as refusal:
                assert refusal.rv == ck.CKR_PIN_INCORRECT
        kept = [o.attributes[ck.CKA_WRAP] for o in room.partition.objects.values()
                if o.attributes[ck.CKA_LABEL] == b"kept"]
        return room.partition.label, right, room.labels(), kept


@pytest.mark.parametrize(
    "work", [lambda room: room.pair(b"pair"), _destroy, _change, _first_use, _set_pin, _init_pin, _init_token],
    ids=["pair", "destroy", "change", "first-use", "set-pin", "init-pin", "init-token"],
)
def test_a_crash_at_every_step_of_a_change_leaves_all_or_nothing(made: Path, tmp_path: Path, work: Work) -> None:
    home = tmp_path / "pool"

    def whole(acknowledge: Callable[[], None]) -> None:
        with Room(home) as room:
            room.login()
            opened.append(room)
            work(room)
            acknowledge()

    opened: list[Room] = []
    before = _state(made)
    shutil.copytree(made, home)
    assert crashes_at(1 << 30, whole) == (True, True)
    after = _state(home)
    assert before != after
    seen = set()
    for step in range(1, 500):
        shutil.rmtree(home)
        shutil.copytree(made, home)
        acknowledged, ended = crashes_at(step, whole)
        found = _state(home)
        assert found == after if acknowledged else found in (before, after), step
        seen.add(found == after)
        if ended:
            break
    assert seen == {False, True}


def test_a_crash_at_every_step_of_a_wrong_pin_never_gives_a_try_nor_takes_two(made: Path, tmp_path: Path) -> None:
    home = tmp_path / "pool"

    def guess(acknowledge: Callable[[], None]) -> None:
        with Room(home) as room:
            with refused(ck.CKR_PIN_INCORRECT):
                room.login(b"wrong-pin")
            acknowledge()

    seen = set()
    for step in range(1, 200):
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(made, home)
        acknowledged, ended = crashes_at(step, guess)
        with Room(home) as room:
            failures = room.partition.officers.credentials.failures("user")
            assert failures == 1 if acknowledged else failures in (0, 1)
            seen.add(failures)
            room.login()
            assert room.partition.officers.credentials.failures("user") == 0
        if ended:
            break
    assert seen == {0, 1}


def test_a_locked_pin_stays_locked_through_every_crash_but_for_a_new_one(made: Path, tmp_path: Path) -> None:
    with Room(made) as room:
        for _ in range(10):
            with refused(ck.CKR_PIN_INCORRECT):
                room.login(b"wrong-pin")
        with refused(ck.CKR_PIN_LOCKED):
            room.login()
    home = tmp_path / "pool"

    def reset(acknowledge: Callable[[], None]) -> None:
        with Room(home) as room:
            room.login(SO, ck.CKU_SO)
            general.C_InitPIN(room.app, room.handle, NEW)
            acknowledge()

    for step in range(1, 300):
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(made, home)
        acknowledged, ended = crashes_at(step, reset)
        with Room(home) as room:
            locked = bool(room.partition.token_flags(-1) & ck.CKF_USER_PIN_LOCKED)
            assert not (locked and acknowledged)
            if locked:
                with refused(ck.CKR_PIN_LOCKED):
                    room.login()
            else:
                room.login(NEW)
        if ended:
            break
    else:
        raise AssertionError("never ended")


# -- kill -9 from outside, through the library


def _rounds(home: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    pool = DiskPool(home, CHEAP)
    with Room(home) as room:
        room.with_user()
    told = Told()
    for number in range(rounds):
        clients = [begin(home) for _ in range(2)]
        # The kill comes some steps later and a moment more: when it comes is what this test tries out.
        first = [[client.stdout.readline()] for client in clients if client.stdout]
        for lines, client in zip(first, clients, strict=True):
            assert client.stdout is not None
            lines += [client.stdout.readline() for _ in range(chance.randrange(20))]
        threading.Event().wait(chance.uniform(0, 0.03))
        killed = clients[0] if number % 3 == 0 else None  # a program at random, too, in whatever it does
        if killed is not None:
            killed.kill()
        pool.kill()
        for read, client in zip(first, clients, strict=True):
            assert client.stdout is not None  # communicate() would pass over what readline() has read ahead
            lines = ("".join(read) + client.stdout.read()).splitlines(keepends=True)
            client.wait(60)
            if client is killed:
                told.listen([line for line in lines if line.endswith("\n") and not line.startswith("lost")])
                continue
            assert lines[-1] == "lost CKR_DEVICE_REMOVED\n", lines[-1]
            told.listen(lines[:-1])
        told.check(home)
    assert len(told.made) > 2 * rounds and told.ended and told.changed


def test_kill_9_under_writing_clients(tmp_path: Path) -> None:
    _rounds(tmp_path / "pool", 15, 1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_kill_9_under_writing_clients_300_rounds(tmp_path: Path) -> None:
    _rounds(tmp_path / "pool", 300, 2)


def test_a_client_goes_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DiskPool(tmp_path / "pool", CHEAP)
    with Room(pool.home) as room:
        room.with_user()
    monkeypatch.setenv("ADYTON_HOME", str(pool.home))
    with initialised(str(MODULE)) as m:
        for round in range(3):
            s = m.session()
            good(m.login(s, USER.decode()))
            assert len(m.find(s, {ck.CKA_LABEL: b"again"})) == round
            m.aes(s, token=True, label=b"again")
            pool.kill()
            started = time.monotonic()
            info = ffi.new("CK_SESSION_INFO*")
            assert name(m.C_GetSessionInfo(s, info)) == "CKR_DEVICE_REMOVED"
            assert name(m.C_GetSessionInfo(s, info)) == "CKR_SESSION_HANDLE_INVALID"
            good(m.C_GetSessionInfo(m.session(), info))
            assert time.monotonic() - started < 2
            m.C_CloseAllSessions(0)
    pool.stop()


# -- what a refused change leaves in memory


def test_a_change_that_does_not_commit_leaves_memory_as_it_was(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Room(made) as room:
        room.login()
        store = room.pool.store
        database = store._database

        class Full:
            """Whose every commit fails as on a full disk."""

            in_transaction = property(lambda self: database.in_transaction)

            def execute(self, statement: str, *values: object) -> object:
                if statement == "COMMIT":
                    database.execute("PRAGMA max_page_count = 1")
                    database.execute("CREATE TABLE filler (x)")
                return database.execute(statement, *values)

        def whole() -> object:
            items = sorted(room.partition.objects.items())
            return [(number, dict(item.attributes)) for number, item in items], store.heads[0].total, \
                store.pool_head.chain, room.partition.label, room.find(b"kept"), room.find(b"changed"), \
                room.partition.values.is_stored(items[0][1]), room.partition.officers.exists("user"), \
                room.app.handles

        before = whole()
        monkeypatch.setattr(store, "_database", Full())
        for work in (lambda r: r.pair(b"pair"), lambda r: r.data(b"data"), _destroy, _change, _first_use, _set_pin):
            with refused(ck.CKR_DEVICE_MEMORY):
                work(room)
            assert whole() == before
        room.logout()
        room.login(SO, ck.CKU_SO)
        with refused(ck.CKR_DEVICE_MEMORY):
            general.C_InitPIN(room.app, room.handle, NEW)
        room.app.close_all()
        with refused(ck.CKR_DEVICE_MEMORY):
            room.init_token(label=b"again")
        assert room.partition.label == "room"
        monkeypatch.setattr(store, "_database", database)
    assert _state(made)[1:3] == (USER, [b"change", b"destroy", b"kept"])


def test_a_session_key_is_used_where_nothing_can_be_written(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Room(made) as room:
        room.login()
        handle = room.aes(b"session", token=NO)
        monkeypatch.setattr(type(room.pool.store), "write_protected", True)
        item = room.session.object(handle)
        key_use.used(room.session, item, "decrypt", ECB)
        assert item.attributes[ck.CKA_WRAP] == NO
        with refused(ck.CKR_DEVICE_ERROR):
            _first_use(room)
        with refused(ck.CKR_TOKEN_WRITE_PROTECTED):
            _change(room)
        room.logout()
        room.login()
