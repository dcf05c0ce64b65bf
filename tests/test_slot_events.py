"""C_WaitForSlotEvent (section 5.5.4): tokens that come, go and are initialised through any door, told once to each
application; a call that waits is ended by C_Finalize and by the engine's end, and hinders nobody."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sanitized
from abi import NULL, Module, ffi, good, initialised, name
from test_life_cycle import TESTS, succeeds

from hsm.client import connect
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

LIMIT = 30.0


def created(label: str | None = None) -> int:
    """A partition, by the command line's door."""
    client = connect(start=False)
    more = {"label": label, "so_pin": "12345678", "pin": "1234-user"} if label else {}
    slot = int(client.ask("partition-create", **more)["partition"]["slot"])
    client.close()
    return slot


def deleted(slot: int) -> None:
    client = connect(start=False)
    client.ask("partition-delete", slot=slot)
    client.close()


def event(m: Module, flags: int = ck.CKF_DONT_BLOCK) -> int | str:
    """The slot, or the name of another code."""
    slot = ffi.new("CK_SLOT_ID*", 77)
    rv = int(m.C_WaitForSlotEvent(flags, slot, NULL))
    return int(slot[0]) if rv == ck.CKR_OK else name(rv)


class Waiter(threading.Thread):
    """A thread that waits for one event."""

    def __init__(self, m: Module) -> None:
        super().__init__(daemon=True)
        self.m = m
        self.told: int | str | None = None
        self.start()

    def run(self) -> None:
        self.told = event(self.m, 0)

    def answer(self) -> int | str | None:
        self.join(LIMIT)
        return self.told


def waits(waiter: Waiter) -> None:
    """Until it sleeps in its call."""
    call = Path(f"/proc/self/task/{waiter.native_id}/syscall")
    until = time.monotonic() + LIMIT
    while time.monotonic() < until and waiter.is_alive():
        if call.read_text().split()[0] == RECEIVES:
            return
    raise AssertionError(f"it does not wait: {waiter.told}")


RECEIVES = "45" if os.uname().machine == "x86_64" else "207"  # recvfrom(2)


@pytest.fixture
def engine(adyton_token: Any) -> int:
    client = connect(start=False)
    pid = int(client.ask("status")["pid"])
    client.close()
    return pid


def test_nothing_has_happened(m: Module) -> None:
    assert event(m) == "CKR_NO_EVENT"


def test_bad_arguments(m: Module) -> None:
    slot = ffi.new("CK_SLOT_ID*")
    assert name(m.C_WaitForSlotEvent(ck.CKF_DONT_BLOCK, NULL, NULL)) == "CKR_ARGUMENTS_BAD"
    assert name(m.C_WaitForSlotEvent(ck.CKF_DONT_BLOCK, slot, ffi.cast("void*", 1))) == "CKR_ARGUMENTS_BAD"
    assert name(m.C_WaitForSlotEvent(0, slot, ffi.cast("void*", 1))) == "CKR_ARGUMENTS_BAD"
    assert name(m.C_WaitForSlotEvent(2, slot, NULL)) == "CKR_ARGUMENTS_BAD"


def test_a_partition_that_comes_and_goes(m: Module) -> None:
    slot = created()
    assert [event(m), event(m)] == [slot, "CKR_NO_EVENT"]
    deleted(slot)
    assert [event(m), event(m)] == [slot, "CKR_NO_EVENT"]
    assert name(m.C_GetSlotInfo(slot, ffi.new("CK_SLOT_INFO*"))) == "CKR_SLOT_ID_INVALID"


def test_what_happened_since_initialize_counts_though_nothing_was_asked_before(adyton_token: Any) -> None:
    before = created("before")
    with initialised(adyton_token.module) as m:
        after = created("after")
        assert before != after
        assert [event(m), event(m)] == [after, "CKR_NO_EVENT"]


def test_several_events_in_a_slot_count_once(m: Module) -> None:
    assert event(m) == "CKR_NO_EVENT"
    one, two = created(), created()
    deleted(one)
    assert sorted([event(m), event(m)], key=str) == sorted([one, two], key=str)
    assert event(m) == "CKR_NO_EVENT"


INIT_TOKEN = """
    good(m.C_Initialize(NULL)); slot = int(os.environ["SLOT"])
    good(m.C_InitToken(slot, m.bytes(b"12345678"), 8, m.bytes(b"renewed".ljust(32))))
    told = ffi.new("CK_SLOT_ID*")
    assert name(m.C_WaitForSlotEvent(ck.CKF_DONT_BLOCK, told, NULL)) == "CKR_NO_EVENT"
"""


def test_a_token_that_another_application_initialises(m: Module) -> None:
    """Who did it knows; and a login or an object is no event."""
    slot = created("old")
    assert event(m) == slot
    succeeds(INIT_TOKEN, SLOT=str(slot))
    assert [event(m), event(m)] == [slot, "CKR_NO_EVENT"]
    succeeds("""
        good(m.C_Initialize(NULL)); s = m.session(); good(m.login(s, os.environ["ADYTON_PIN"]))
        m.aes(s, token=True)
    """)
    assert event(m) == "CKR_NO_EVENT"


def test_a_refused_change_is_no_event(m: Module) -> None:
    slot = created("kept")
    assert event(m) == slot
    assert m.C_InitToken(slot, m.bytes(b"87654321"), 8, m.bytes(b" " * 32)) == ck.CKR_PIN_INCORRECT
    with pytest.raises(Exception, match="PIN"):
        connect(start=False).ask("partition-delete", slot=slot, **{"as": "so", "pin": "87654321"})
    assert event(m) == "CKR_NO_EVENT"


def test_each_application_is_told(m: Module) -> None:
    other = """
        good(m.C_Initialize(NULL)); told = ffi.new("CK_SLOT_ID*")
        print("ready", flush=True); sys.stdin.readline()
        good(m.C_WaitForSlotEvent(0, told, NULL)); print(told[0])
        assert name(m.C_WaitForSlotEvent(ck.CKF_DONT_BLOCK, told, NULL)) == "CKR_NO_EVENT"
    """
    head = "import os, sys\nfrom abi import *\nfrom pkcs11_shim import constants as ck\n"
    head += "m = Module(os.environ['ADYTON_MODULE'])\n"
    others = [
        subprocess.Popen([sys.executable, "-c", head + textwrap.dedent(other)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": TESTS})
        for _ in range(2)
    ]
    for process in others:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    slot = created()
    assert [process.communicate("\n", timeout=LIMIT)[0] for process in others] == [f"{slot}\n"] * 2
    assert [process.returncode for process in others] == [0, 0]
    assert [event(m), event(m)] == [slot, "CKR_NO_EVENT"]


def test_polling_leaves_the_refusals_to_be_explained(m: Module) -> None:
    """The last 32 are kept, and who polls hears more often than that of no event."""
    assert name(m.C_CloseSession(424242)) == "CKR_SESSION_HANDLE_INVALID"
    assert {event(m) for _ in range(40)} == {"CKR_NO_EVENT"}
    client = connect(start=False)
    assert [row["function"] for row in client.ask("explain")["refusals"]] == ["C_CloseSession"]
    client.close()


def test_who_waits_is_woken_by_an_event(m: Module) -> None:
    waiter = Waiter(m)
    waits(waiter)
    slot = created()
    assert waiter.answer() == slot
    assert event(m) == "CKR_NO_EVENT"


def test_who_waits_hinders_nobody(m: Module) -> None:
    """More threads wait than there are connections; one event wakes one of them, and calls go on meanwhile."""
    waiters = [Waiter(m) for _ in range(20)]
    s = m.session()
    good(m.C_GetSessionInfo(s, ffi.new("CK_SESSION_INFO*")))
    slots = [created() for _ in waiters]
    assert sorted(str(waiter.answer()) for waiter in waiters) == sorted(map(str, slots))


def test_who_waits_burns_nothing(m: Module, engine: int) -> None:
    waiter = Waiter(m)
    waits(waiter)

    def used() -> int:
        here = Path(f"/proc/self/task/{waiter.native_id}/stat").read_text().rpartition(")")[2].split()
        there = Path(f"/proc/{engine}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, (here[11], here[12], there[11], there[12])))

    before, until = used(), time.monotonic() + 1.0
    while time.monotonic() < until:
        waiter.join(0.2)
    assert used() - before <= 5  # clock ticks of 10 ms
    created()
    assert isinstance(waiter.answer(), int)


@pytest.mark.parametrize("again", [False, True], ids=["finalized", "finalized and initialized again"])
def test_finalize_wakes_who_waits(m: Module, again: bool) -> None:
    """NSS ends its waiting thread by C_Finalize and C_Initialize: it must not go on in the next life."""
    first = Waiter(m)
    waits(first)
    # More wait for its place; one that came late would wait in the next life.
    waiters = [first] if again else [first, Waiter(m), Waiter(m)]
    good(m.C_Finalize(NULL))
    if again:
        good(m.C_Initialize(NULL))
    assert {waiter.answer() for waiter in waiters} == {"CKR_CRYPTOKI_NOT_INITIALIZED"}
    if again:
        assert event(m) == "CKR_NO_EVENT"


def test_signals_do_not_end_the_wait(m: Module) -> None:
    waiter = Waiter(m)
    waits(waiter)
    caught = threading.Event()
    former = signal.signal(signal.SIGUSR1, lambda *_: caught.set())
    try:
        assert waiter.ident is not None
        for _ in range(5):
            signal.pthread_kill(waiter.ident, signal.SIGUSR1)
            waits(waiter)
        assert caught.wait(LIMIT) and waiter.is_alive()
    finally:
        signal.signal(signal.SIGUSR1, former)
    slot = created()
    assert waiter.answer() == slot


def test_a_fork_while_a_thread_waits(adyton_token: Any) -> None:
    """The child starts afresh, with events of its own; the parent's thread waits on and is told."""
    succeeds("""
        import threading
        from hsm.client import connect
        def created():
            client = connect(start=False); slot = client.ask("partition-create")["partition"]["slot"]; client.close()
            return slot
        def event(flags):
            slot = ffi.new("CK_SLOT_ID*"); rv = m.C_WaitForSlotEvent(flags, slot, NULL)
            return name(rv) if rv else slot[0]
        good(m.C_Initialize(NULL)); m.session()
        told = []
        waiter = threading.Thread(target=lambda: told.append(event(0))); waiter.start()
        while open(f"/proc/self/task/{waiter.native_id}/syscall").read().split()[0] != os.environ["RECEIVES"]: pass
        child = os.fork()
        if child == 0:
            if event(1) != "CKR_CRYPTOKI_NOT_INITIALIZED": os._exit(1)
            good(m.C_Initialize(NULL))
            if event(1) != "CKR_NO_EVENT": os._exit(2)
            slot = created()
            if event(0) != slot: os._exit(3)
            os._exit(m.C_Finalize(NULL))
        assert os.waitpid(child, 0)[1] == 0
        waiter.join(30)
        assert len(told) == 1 and told != [0], told
    """, RECEIVES=RECEIVES)


def test_a_thread_cancelled_while_it_waits(adyton_token: Any, tmp_path: Path) -> None:
    """It ends at once, the event that comes then is told to another, and nothing of the library is held."""
    waiting = sanitized.program("waiting.c", tmp_path, sanitize=False)
    process = subprocess.Popen([str(waiting), adyton_token.module], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "cancelled\n"
    slot = created()
    assert process.communicate("\n", timeout=LIMIT)[0] == f"{slot}\n"
    assert process.returncode == 0


def test_the_library_is_unloaded_while_a_thread_waits(adyton_token: Any) -> None:
    """The thread returns through code that is still there; and who loads the library again gets the one it waits in."""
    succeeds("""
        import _ctypes, ctypes, threading
        from hsm.client import connect
        ffi.dlclose(m.library)
        handle = _ctypes.dlopen(os.environ["ADYTON_MODULE"], 2)
        library = ctypes.CDLL(None, handle=handle)
        assert library.C_Initialize(None) == 0
        slot, told = ctypes.c_ulong(77), []
        waiter = threading.Thread(target=lambda: told.append(library.C_WaitForSlotEvent(0, ctypes.byref(slot), None)))
        waiter.start()
        while open(f"/proc/self/task/{waiter.native_id}/syscall").read().split()[0] != os.environ["RECEIVES"]: pass
        _ctypes.dlclose(handle)
        client = connect(start=False); made = client.ask("partition-create")["partition"]["slot"]; client.close()
        waiter.join(30)
        assert (told, slot.value) == ([0], made)
        library = ctypes.CDLL(os.environ["ADYTON_MODULE"])
        assert library.C_Initialize(None) == ck.CKR_CRYPTOKI_ALREADY_INITIALIZED and library.C_Finalize(None) == 0
    """, RECEIVES=RECEIVES)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """A pool on disk with an engine that may be killed."""
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    try:
        with initialised(ThrowAway().module) as m:
            good(m.C_GetSlotList(0, NULL, ffi.new("CK_ULONG*")))
            assert [created("first"), created("second")] == [0, 1]
            assert {event(m), event(m)} == {0, 1}
            yield m
    finally:
        subprocess.run([sys.executable, "-m", "hsm.cli.main", "stop"], check=True)


def engine_of(home: str) -> int:
    lines = [line for line in (Path(home) / "engine.log").read_text().splitlines() if "serves" in line]
    return int(lines[-1].split()[2])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_an_engine_that_goes_while_a_thread_waits(pool: Module, how: signal.Signals) -> None:
    """All tokens went with it. The next call asks the engine that follows, in which all of them are new."""
    engine = engine_of(os.environ["ADYTON_HOME"])
    waiter = Waiter(pool)
    waits(waiter)
    os.kill(engine, how)
    assert waiter.answer() == "CKR_FUNCTION_FAILED"
    assert {event(pool), event(pool)} == {0, 1}
    assert event(pool) == "CKR_NO_EVENT"
    slot = created()
    assert event(pool, 0) == slot


def test_an_engine_that_went_unnoticed(pool: Module) -> None:
    """Another process starts the next one, and changes it: nothing of that is lost."""
    engine = os.pidfd_open(engine_of(os.environ["ADYTON_HOME"]))
    signal.pidfd_send_signal(engine, signal.SIGKILL)
    assert select.select([engine], [], [], LIMIT)[0]
    os.close(engine)
    subprocess.run([sys.executable, "-m", "hsm.cli.main", "status"], check=False, capture_output=True)
    assert event(pool) == "CKR_FUNCTION_FAILED"
    assert {event(pool), event(pool)} == {0, 1}
    assert event(pool) == "CKR_NO_EVENT"


def test_no_engine_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library without slots has no events; and waiting for one would be for ever."""
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool").chmod(0o777)
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    with initialised(ThrowAway().module) as m:
        assert event(m) == "CKR_NO_EVENT"
        assert event(m, 0) == "CKR_FUNCTION_FAILED"


def test_who_waits_is_a_client_that_an_engine_stays_for(tmp_path: Path) -> None:
    """An engine that left would leave the event to one that the waiting call isn't connected to. It leaves when that
    application has gone."""
    home = tmp_path / "pool"
    home.mkdir(mode=0o700)
    (home / "adyton.conf").write_text("idle-timeout = 1\n")
    environment = {**os.environ, "ADYTON_HOME": str(home)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADYTON_HOME", str(home))
        with initialised(ThrowAway().module) as m:
            waiter = Waiter(m)
            waits(waiter)
            engine = os.pidfd_open(engine_of(str(home)))
            waiter.join(3)  # three times as long as it stays for nobody
            slot = created()
            assert waiter.answer() == slot
        watched = select.poll()
        watched.register(engine, select.POLLIN)
        assert watched.poll(LIMIT * 1000)
    subprocess.run([sys.executable, "-m", "hsm.cli.main", "stop"], env=environment, check=True)
