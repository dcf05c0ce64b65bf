"""What an operation's audit record costs, in a pool of this process: how much later its answer is, and processor time
in all, the writing on the disk included."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hsm.application import Application
from hsm.audit import calls
from hsm.cryptoki import general, keys, signing
from hsm.pool import Pool
from hsm.server import codec, dispatch
from pkcs11_shim import constants as ck

COUNT = 2000
PIN, SO_PIN = b"1234-bench", b"12345678"
INIT, SIGN = codec.NAMES.index("C_SignInit"), codec.NAMES.index("C_Sign")


class _Mechanism:
    def __init__(self, number: int) -> None:
        self.number = number
        self.parameter = None


def cost(folder: Path) -> tuple[float, float]:
    """(an answer to C_Sign comes later by, processor time of C_SignInit and C_Sign more), in microseconds."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        pool = Pool(home)
        app = Application(pool, os.getpid(), os.geteuid())
        handle, key = _signer(app)
        decode = codec.DECODE[INIT], codec.DECODE[SIGN]
        init, sign = (handle, _Mechanism(ck.CKM_SHA256_HMAC), key), (handle, bytes(32), 64)
        codec.DECODE[INIT], codec.DECODE[SIGN] = lambda _: init, lambda _: sign
        try:
            recorded = _timed(lambda: dispatch.answer(app, INIT, memoryview(b"")),
                              lambda: dispatch.answer(app, SIGN, memoryview(b"")), pool.audit.flush)
            used, calls.used = calls.used, lambda *_: None
            bare = _timed(lambda: _bare(app, INIT, signing.C_SignInit, init),
                          lambda: _bare(app, SIGN, signing.C_Sign, sign), pool.audit.flush)
            calls.used = used
        finally:
            codec.DECODE[INIT], codec.DECODE[SIGN] = decode
        app.end()
        pool.close()
    return recorded[0] - bare[0], recorded[1] - bare[1]


def _signer(app: Application) -> tuple[int, int]:
    general.C_InitToken(app, 0, SO_PIN, b"bench".ljust(32))
    handle = app.open_session(app.pool.by_slot[0], True).handle
    general.C_Login(app, handle, ck.CKU_SO, SO_PIN)
    general.C_InitPIN(app, handle, PIN)
    general.C_Logout(app, handle)
    general.C_Login(app, handle, ck.CKU_USER, PIN)
    template = [(ck.CKA_TOKEN, b"\x01"), (ck.CKA_VALUE_LEN, (32).to_bytes(8, "little"))]
    return handle, keys.C_GenerateKey(app, handle, _Mechanism(ck.CKM_GENERIC_SECRET_KEY_GEN), template)[1]


def _bare(app: Application, function: int, handler: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    """What dispatch does of an answer that nobody records."""
    try:
        rv, *outs = handler(app, *arguments)
        return int(rv).to_bytes(8, "little") + bytes(codec.ENCODE[function](*outs))
    except MemoryError:
        return b""


Work = Callable[[], object]


def _timed(before: Work, work: Work, after: Work) -> tuple[float, float]:
    """Microseconds of ``work``, the median; processor time of all three, the mean."""
    taken = []
    began = time.process_time_ns()
    for _ in range(COUNT):
        before()
        start = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - start)
    after()
    return statistics.median(taken) / 1000, (time.process_time_ns() - began) / COUNT / 1000
