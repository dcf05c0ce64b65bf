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


def test_the_worker_s_life(adyton_token: ThrowAway) -> None:
    """Started at the first key, none before; nothing in its arguments or environment; started again where it was
    killed; gone with the engine."""
    assert adyton_token._engine is not None
    engine = adyton_token._engine.pid
    with logged_in(adyton_token) as (m, s):
        assert workers(engine) == []
        m.make(s, rows(numbers(key_of())))
        (worker,) = workers(engine)
        assert Path(f"/proc/{worker}/cmdline").read_bytes().count(b"\0") == 3
        m.make(s, rows(numbers(key_of(1024))))
        assert workers(engine) == [worker]
        os.kill(worker, signal.SIGKILL)
        m.make(s, rows(numbers(key_of(2048, 3))))
        (again,) = workers(engine)
        assert again != worker
    held = os.pidfd_open(again)
    os.kill(engine, signal.SIGKILL)
    assert select.select([held], [], [], 30)[0], "the worker outlives its engine"
    os.close(held)


def test_the_worker_keeps_nothing_readable(adyton_token: ThrowAway) -> None:
    """As the engine's, its memory is closed to other processes of this user, and it leaves no core."""
    assert adyton_token._engine is not None
    with logged_in(adyton_token) as (m, s):
        m.make(s, rows(numbers(key_of())))
        (worker,) = workers(adyton_token._engine.pid)
        limits = Path(f"/proc/{worker}/limits")
        if os.geteuid():
            with pytest.raises(PermissionError):
                Path(f"/proc/{worker}/mem").open("rb")
        else:
            assert Path(f"/proc/{worker}/environ").stat().st_uid == 0
            core = next(line for line in limits.read_text().splitlines() if line.startswith("Max core"))
            assert core.split()[4:6] == ["0", "0"]


def test_nobody_makes_the_engine_check_who_may_not_make_the_key(adyton_token: ThrowAway) -> None:
    assert adyton_token._engine is not None
    with initialised(adyton_token.module) as m:
        s = m.session()
        private = rows(numbers(key_of()))
        assert name(m.create(s, private)[0]) == "CKR_USER_NOT_LOGGED_IN"
        assert workers(adyton_token._engine.pid) == []
