"""What the engine can't help: a fault of its own, a limit reached, a library that comes while it leaves.

Each is answered, said in the log by place and never by value, and takes nobody else along.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hsm.client import Client, Refused, bind
from hsm.pool import Pool
from hsm.server import admin, codec, dispatch
from hsm.server.listener import HELLO, LINK, MAGIC, Listener
from pkcs11_shim import constants as ck

SLOT_INFO = codec.NAMES.index("C_GetSlotInfo")


def _breaks(*_: object) -> Any:
    raise LookupError("the value")


def _full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "no space left")


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """An engine's listener, serving in a thread of this process."""
    tmp_path.chmod(0o700)
    pool = Pool(str(tmp_path), in_memory=True)
    serving = Listener(pool, bind(str(tmp_path), 0o600), 600, None)
    thread = threading.Thread(target=serving.serve)
    thread.start()
    yield serving
    serving.stop()
    thread.join()
    pool.close()


def _connected(home: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(10)
    made.connect(f"{home}/socket")
    return made


def _ask(connection: socket.socket, function: int, payload: bytes = b"") -> int:
    """The return code of one answer, all of which is read. Raises EOFError where there is none."""
    connection.sendall(struct.pack("<IHH", len(payload) + 4, function, 0) + payload)
    answer = connection.recv(4096)
    if not answer:
        raise EOFError
    return int.from_bytes(answer[4:12], "little")


def _hello(connection: socket.socket, version: bytes) -> int:
    told = struct.pack("<8sHHQ32sQQ", MAGIC, 1, 0, 8, bytes(32), os.getpid(), len(version)) + version
    return _ask(connection, HELLO, told)


def test_a_fault_is_answered_and_said_without_its_text(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dispatch, "HANDLERS", [_breaks for _ in dispatch.HANDLERS])
    monkeypatch.setitem(admin.ON_THE_ENGINE, "status", _breaks)
    with Client(listener.pool.home) as client:
        app = next(iter(listener.pool.applications))
        with monkeypatch.context() as patched:
            patched.setattr("sys.stderr.write", _full)
            assert dispatch.answer(app, SLOT_INFO, memoryview(bytes(8))) == struct.pack("<Q", ck.CKR_DEVICE_ERROR)
        with pytest.raises(Refused, match="its log says where"):
            client.ask("status")
        dispatch.answer(app, SLOT_INFO, memoryview(bytes(8)))
    said = capfd.readouterr().err
    assert "LookupError" in said and "test_faults.py" in said and "the value" not in said


def test_no_thread_and_no_descriptor_for_one_more(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can't be served is turned away, and may come again; those who are there go on."""

    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def no_descriptor(*_: object) -> Any:
        raise OSError(errno.EMFILE, "too many open files")

    with _connected(listener.pool.home) as here:
        assert _hello(here, b"0.0.1") == ck.CKR_OK
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_thread)
            with _connected(listener.pool.home) as other, pytest.raises((EOFError, ConnectionError)):
                _hello(other, b"0.0.1")
            assert _ask(here, LINK) == ck.CKR_DEVICE_MEMORY
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socketpair", no_descriptor)
            assert _ask(here, LINK) == ck.CKR_DEVICE_MEMORY
        assert _ask(here, LINK) == ck.CKR_OK
        with _connected(listener.pool.home) as other:
            assert _hello(other, b"0.0.1") == ck.CKR_OK


@pytest.mark.parametrize("version", [b"9" * 5000 + b".0.0", b"", b"1..2", "9²".encode(), bytes(range(128, 256))])
def test_what_is_no_version_is_no_newer_one(listener: Listener, version: bytes) -> None:
    listener.welcomed = True
    with _connected(listener.pool.home) as one:
        assert _hello(one, version) == ck.CKR_OK


def test_nobody_is_let_in_by_an_engine_that_has_promised_to_leave(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library comes in the moment between the promise to a newer one and the end of the socket."""
    stop = listener.stop
    answers: list[int] = []

    def meanwhile() -> None:
        try:  # its socket may be closed by then, too
            with _connected(listener.pool.home) as late:
                late.settimeout(0.5)
                answers.append(_hello(late, b"0.0.1"))
        except (OSError, EOFError):
            pass
        stop()

    listener.welcomed = True
    monkeypatch.setattr(listener, "stop", meanwhile)
    with _connected(listener.pool.home) as newer:
        assert _hello(newer, b"99.0.0") == ck.CKR_DEVICE_REMOVED
    assert answers == []
