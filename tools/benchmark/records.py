"""What an operation's audit record costs, in a pool of this process: how much later its answer is, and processor time
in all, the writing on the disk included."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from hsm.application import Application
from hsm.audit import calls, chain
from hsm.cryptoki import general, keys
from hsm.pool import Pool
from pkcs11_shim import constants as ck

COUNT = 4000  # below what wakes the log's own thread: nothing else runs meanwhile
PIN, SO_PIN = b"1234-bench", b"12345678"
P256 = bytes.fromhex("06082a8648ce3d030107")


class _Mechanism:
    def __init__(self, number: int) -> None:
        self.number = number
        self.parameter = None


def _call(app: Application, call: calls.Call, function: str, use: tuple[Any, Any, int] | None) -> None:
    """What dispatch does for the record of a call, and the operation where it gives something out."""
    call.function = function
    call.began = time.perf_counter_ns()
    call.use = None
    if use is not None:
        calls.used(*use)
    if call.use is not None:
        app.pool.audit.tell(call.entry_of_use(app, call.use))
    elif call.done and not call.written:
        raise AssertionError
    call.function = ""
    if call.noted:
        call.clear()


def cost(folder: Path) -> tuple[float, float]:
    """(later by, processor time in all), in microseconds for a C_SignInit with its C_Sign."""
    assert COUNT < chain.LARGEST
    with tempfile.TemporaryDirectory(dir=folder) as home:
        pool = Pool(home)
        app = Application(pool, os.getpid(), os.geteuid())
        general.C_InitToken(app, 0, SO_PIN, b"bench".ljust(32))
        handle = app.open_session(pool.by_slot[0], True).handle
        general.C_Login(app, handle, ck.CKU_SO, SO_PIN)
        general.C_InitPIN(app, handle, PIN)
        general.C_Logout(app, handle)
        general.C_Login(app, handle, ck.CKU_USER, PIN)
        common = [(ck.CKA_TOKEN, b"\x01"), (ck.CKA_LABEL, b"bench")]
        template = [*common, (ck.CKA_EC_PARAMS, P256)]
        made = keys.C_GenerateKeyPair(app, handle, _Mechanism(ck.CKM_EC_KEY_PAIR_GEN), template, common)
        session = app.session(handle)
        key = session.key(made[2])
        pool.audit.flush()
        began, used = time.perf_counter_ns(), time.thread_time_ns()
        call = calls.CURRENT.call
        for _ in range(COUNT):
            _call(app, call, "C_SignInit", None)
            _call(app, call, "C_Sign", (session, key, ck.CKM_ECDSA))
        later = time.perf_counter_ns() - began
        pool.audit.flush()
        processor = time.thread_time_ns() - used
        app.end()
        pool.close()
    return later / COUNT / 1000, processor / COUNT / 1000
