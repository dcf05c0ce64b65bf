"""The check of RSA keys from outside runs beside the engine: it stalls nobody and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from pathlib import Path

import pytest
from abi import good, initialised, logged_in, name
from test_rsa import PARTS, key_of, numbers, rows

from hsm.client import Client
from hsm.mechanisms import rsa_check
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck


def workers(engine: int) -> list[int]:
    """The engine's children."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == engine and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def test_an_import_stalls_no_other_connection(adyton_token: ThrowAway) -> None:
    """The check of this key holds the interpreter's lock for hundreds of milliseconds: not the engine's."""
    values = numbers(key_of(4096))
    with logged_in(adyton_token) as (m, s):
        other, done = m.session(), threading.Event()
        key, longest, calls = m.aes(other), 0.0, 0
        mechanism, block = m.mechanism(ck.CKM_AES_ECB), bytes(16)

        def call() -> None:
            nonlocal longest, calls
            while not done.is_set():
                begun = time.perf_counter()
                assert m.use("Encrypt", other, mechanism, key, block)[0] == ck.CKR_OK
                longest, calls = max(longest, time.perf_counter() - begun), calls + 1

        caller = threading.Thread(target=call)
        caller.start()
        begun = time.perf_counter()
        rv, _ = m.create(s, rows({part: values[part] for part in PARTS[:3]}))
        took = time.perf_counter() - begun
        done.set()
        caller.join()
        good(rv)
        assert longest < took / 4, (longest, took, calls)
        assert calls > 100


def test_the_warden_s_life(adyton_token: ThrowAway) -> None:
    """There before the first key, and one for the engine's life; a process for each key, gone with it; killed with the
    engine, and never anybody's to start again: the engine says so, and goes on."""
    assert adyton_token._engine is not None
    engine = adyton_token._engine.pid
    [warden] = workers(engine)
    with logged_in(adyton_token) as (m, s):
        m.make(s, rows(numbers(key_of())))
        m.make(s, rows(numbers(key_of(1024))))
        assert workers(engine) == [warden]
        late = time.monotonic() + 10
        while workers(warden):  # the last one, which has answered, is on its way out
            assert time.monotonic() < late
    held = os.pidfd_open(warden)
    os.kill(engine, signal.SIGKILL)
    assert select.select([held], [], [], 30)[0], "the warden outlives its engine"
    os.close(held)


def test_not_even_a_stopped_warden_outlives_its_engine(adyton_token: ThrowAway) -> None:
    assert adyton_token._engine is not None
    [warden] = workers(adyton_token._engine.pid)
    held = os.pidfd_open(warden)
    os.kill(warden, signal.SIGSTOP)
    os.kill(adyton_token._engine.pid, signal.SIGKILL)
    assert select.select([held], [], [], 30)[0], "the warden outlives its engine"
    os.close(held)


def test_a_killed_warden_is_missed(adyton_token: ThrowAway) -> None:
    assert adyton_token._engine is not None
    [warden] = workers(adyton_token._engine.pid)
    with logged_in(adyton_token) as (m, s):
        held = os.pidfd_open(warden)
        os.kill(warden, signal.SIGKILL)
        select.select([held], [], [], 30)
        os.close(held)
        rv, _ = m.create(s, rows(numbers(key_of())))
        assert name(rv) == "CKR_FUNCTION_FAILED"
        m.aes(s)
        with Client(adyton_token.home) as client:
            refusals = client.ask("explain")["refusals"]
        assert "adyton stop" in refusals[-1]["reason"]


def test_a_check_that_ends_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where libcrypto crashes: this key is refused, the next one is checked."""
    worker = rsa_check.Worker()
    monkeypatch.setattr(rsa_check, "check", lambda given: given if given[0] == 1 else os.kill(os.getpid(), 9))
    with pytest.raises(OSError, match="ended before it answered"):
        worker.complete((2,) * 8)
    assert worker.complete((1,) * 8) == (1,) * 8
    monkeypatch.setattr(rsa_check, "unpack", lambda body: os.kill(os.getpid(), 9))
    unread = rsa_check.Worker()
    with pytest.raises(OSError, match="ended before it answered"):
        unread.complete((1,) * 8)


def test_the_warden_is_closed_as_the_engine_is(adyton_token: ThrowAway) -> None:
    """Its memory is closed to other processes of this user, it leaves no core, runs nothing and opens no pool."""
    assert adyton_token._engine is not None
    [warden] = workers(adyton_token._engine.pid)
    told = dict(line.split(":", 1) for line in Path(f"/proc/{warden}/status").read_text().splitlines())
    assert (told["Seccomp"].strip(), told["NoNewPrivs"].strip()) == ("2", "1")
    assert os.stat(f"/proc/{warden}/environ").st_uid == 0, "it can be read"
    core = next(line for line in Path(f"/proc/{warden}/limits").read_text().splitlines() if line.startswith("Max core"))
    assert core.split()[4:6] == ["0", "0"]
    if os.geteuid() == 0:  # others may not even see which these are
        kept = {os.readlink(f"/proc/{warden}/fd/{n}") for n in os.listdir(f"/proc/{warden}/fd")}
        assert {name.partition(":")[0] for name in kept} == {"/dev/null", "socket"}


def test_each_gets_the_answer_to_its_own_question(adyton_token: ThrowAway) -> None:
    keys = [key_of(1024, exponent) for exponent in (3, 65537)]
    with logged_in(adyton_token) as (m, s):
        sessions, found = [s, m.session()], [[], []]

        def make(number: int) -> None:
            for _ in range(5):
                made = m.make(sessions[number], rows(numbers(keys[number])))
                found[number].append(int.from_bytes(m.read(sessions[number], made, ck.CKA_MODULUS), "big"))

        threads = [threading.Thread(target=make, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [[key.private_numbers().public_numbers.n] * 5 for key in keys]


def test_nobody_makes_the_engine_check_who_may_not_make_the_key(adyton_token: ThrowAway) -> None:
    assert adyton_token._engine is not None
    with initialised(adyton_token.module) as m:
        s = m.session()
        private = rows(numbers(key_of()))
        [warden] = workers(adyton_token._engine.pid)
        os.kill(warden, signal.SIGSTOP)  # whoever asked it would wait
        assert name(m.create(s, private)[0]) == "CKR_USER_NOT_LOGGED_IN"
