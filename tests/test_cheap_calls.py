"""What the library answers about slots and mechanisms by itself: as the engine answers it, and at every moment what the
engine would answer now."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, logged_in, name
from fake_engine import HELLO, FakeEngine, framed, page, recorder
from test_life_cycle import succeeds

from hsm import epoch
from hsm.client import connect
from hsm.server import codec, listener
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck


class Wire:
    """An application without the library."""

    def __init__(self, home: str) -> None:
        self.control = socket.socket(socket.AF_UNIX)
        self.control.connect(f"{home}/socket")
        hello = struct.pack("<8sHHQ32sQQ", listener.MAGIC, listener.MAJOR, listener.MINOR, 8, bytes(32), 1, 1) + b"0"
        self._ask(self.control, listener.HELLO, hello)
        _, (link,) = self._ask(self.control, listener.LINK, b"")
        self.link = socket.socket(fileno=link)

    def close(self) -> None:
        self.link.close()
        self.control.close()

    @staticmethod
    def _ask(connection: socket.socket, function: int, payload: bytes) -> tuple[bytes, list[int]]:
        connection.sendall(struct.pack("<IHH", 4 + len(payload), function, 0) + payload)
        data, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 1)
        assert len(data) == 4 + struct.unpack_from("<I", data)[0]
        return data[4:], descriptors

    def call(self, function: str, *numbers: int) -> bytes:
        """The answer from its return code on."""
        payload = b"".join(struct.pack("<Q", number) for number in numbers)
        return self._ask(self.link, codec.NAMES.index(function), payload)[0]


@contextmanager
def stopped(engine: int) -> Iterator[None]:
    """Nothing that is answered now is the engine's answer."""
    os.kill(engine, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine, signal.SIGCONT)


def engine_of(token: Any) -> int:
    client = connect(start=False)
    pid = int(client.ask("status")["pid"])
    client.close()
    return pid


def slots(m: Module) -> list[int]:
    count = ffi.new("CK_ULONG*")
    good(m.C_GetSlotList(1, NULL, count))
    found = ffi.new("CK_SLOT_ID[]", max(count[0], 1))
    good(m.C_GetSlotList(1, found, count))
    return [int(found[i]) for i in range(count[0])]


def mechanisms(m: Module, slot: int = 0) -> list[int]:
    count = ffi.new("CK_ULONG*")
    good(m.C_GetMechanismList(slot, NULL, count))
    found = ffi.new("CK_MECHANISM_TYPE[]", count[0])
    good(m.C_GetMechanismList(slot, found, count))
    return [int(found[i]) for i in range(count[0])]


def test_without_the_engine_and_to_the_byte_what_it_answers(adyton_token: Any) -> None:
    wire = Wire(adyton_token.home)
    connect(start=False).ask("partition-create")
    with initialised(adyton_token.module) as m:
        m.session()
        told: dict[tuple[Any, ...], bytes] = {}
        with stopped(engine_of(adyton_token)):
            for slot in slots(m):
                info = ffi.new("CK_SLOT_INFO*")
                good(m.C_GetSlotInfo(slot, info))
                told["C_GetSlotInfo", slot] = bytes(ffi.buffer(info))
                offered = mechanisms(m, slot)
                told["C_GetMechanismList", slot, len(offered)] = struct.pack(f"<{len(offered)}Q", *offered)
                for number in offered:
                    info = ffi.new("CK_MECHANISM_INFO*")
                    good(m.C_GetMechanismInfo(slot, number, info))
                    told["C_GetMechanismInfo", slot, number] = bytes(ffi.buffer(info))
    assert len(told) > 100
    for (function, *numbers), answer in told.items():
        ours = wire.call(function, *numbers)
        head = 17 if function == "C_GetMechanismList" else 16
        assert ours[:8] == bytes(8) and ours[head:] == answer, (function, numbers)
    wire.close()


def test_too_little_room(adyton_token: Any) -> None:
    with initialised(adyton_token.module) as m:
        offered = mechanisms(m)
        with stopped(engine_of(adyton_token)):
            count, found = ffi.new("CK_ULONG*", len(offered) - 1), ffi.new("CK_MECHANISM_TYPE[]", len(offered))
            assert name(m.C_GetMechanismList(0, found, count)) == "CKR_BUFFER_TOO_SMALL"
            assert count[0] == len(offered) and list(found) == [0] * len(offered)
            assert name(m.C_GetSlotList(1, found, ffi.new("CK_ULONG*", 0))) == "CKR_BUFFER_TOO_SMALL"


def test_a_refusal_is_the_engines_own_with_its_words(adyton_token: Any) -> None:
    with initialised(adyton_token.module) as m:
        mechanisms(m)
        assert name(m.C_GetMechanismInfo(0, 0x7FFF0000, ffi.new("CK_MECHANISM_INFO*"))) == "CKR_MECHANISM_INVALID"
        assert name(m.C_GetMechanismInfo(9, ck.CKM_SHA256, ffi.new("CK_MECHANISM_INFO*"))) == "CKR_SLOT_ID_INVALID"
        assert name(m.C_GetSlotInfo(9, ffi.new("CK_SLOT_INFO*"))) == "CKR_SLOT_ID_INVALID"
        assert name(m.C_GetMechanismList(9, NULL, ffi.new("CK_ULONG*"))) == "CKR_SLOT_ID_INVALID"
        refused = connect(start=False).ask("explain")["refusals"]
    assert [row["function"] for row in refused] == ["C_GetMechanismInfo"] * 2 + ["C_GetSlotInfo", "C_GetMechanismList"]


def test_what_another_process_changed_is_seen_at_once(adyton_token: Any) -> None:
    with initialised(adyton_token.module) as m:
        before = slots(m)
        for _ in range(20):
            client = connect(start=False)
            made = int(client.ask("partition-create")["partition"]["slot"])
            assert slots(m) == [*before, made]
            good(m.C_GetSlotInfo(made, ffi.new("CK_SLOT_INFO*")))
            assert mechanisms(m, made) == mechanisms(m)
            client.ask("partition-delete", slot=made)
            client.close()
            assert slots(m) == before
            assert name(m.C_GetSlotInfo(made, ffi.new("CK_SLOT_INFO*"))) == "CKR_SLOT_ID_INVALID"


def test_a_partition_whose_legacy_switch_is_turned_lists_other_mechanisms_at_once(adyton_token: Any) -> None:
    """In its slot and no other."""
    client = connect(start=False)
    other = int(client.ask("partition-create")["partition"]["slot"])
    with initialised(adyton_token.module) as m:
        usual = mechanisms(m)
        assert ck.CKM_MD5 not in usual
        info = ffi.new("CK_MECHANISM_INFO*")
        for on in (True, False, True):
            client.ask("partition-set", slot=0, legacy=on, **{"as": "so", "pin": adyton_token.so_pin})
            with stopped(engine_of(adyton_token)):
                assert (ck.CKM_MD5 in mechanisms(m)) == on
                assert mechanisms(m, other) == usual
                assert not on or m.C_GetMechanismInfo(0, ck.CKM_MD5, info) == ck.CKR_OK
            assert name(m.C_GetMechanismInfo(other, ck.CKM_MD5, info)) == "CKR_MECHANISM_INVALID"
    client.close()


def test_a_forked_child_and_a_library_that_was_finalized_know_nothing(adyton_token: Any) -> None:
    succeeds("""
        good(m.C_Initialize(NULL)); count = ffi.new("CK_ULONG*")
        good(m.C_GetSlotList(1, NULL, count)); good(m.C_GetSlotList(1, NULL, count))
        child = os.fork()
        if child == 0:
            if name(m.C_GetSlotList(1, NULL, count)) != "CKR_CRYPTOKI_NOT_INITIALIZED": os._exit(1)
            if name(m.C_GetMechanismList(0, NULL, count)) != "CKR_CRYPTOKI_NOT_INITIALIZED": os._exit(2)
            good(m.C_Initialize(NULL)); good(m.C_GetSlotList(1, NULL, count))
            os._exit(count[0] - 1)
        assert os.waitpid(child, 0)[1] == 0
        good(m.C_Finalize(NULL))
        assert name(m.C_GetSlotList(1, NULL, count)) == "CKR_CRYPTOKI_NOT_INITIALIZED"
    """)


def test_a_killed_engines_word_counts_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not say that it goes; its successor, which another process has started, has more slots."""
    home = tmp_path / "pool"
    monkeypatch.setenv("ADYTON_HOME", str(home))
    try:
        with initialised(ThrowAway().module) as m:
            assert slots(m) == [0]
            engine = os.pidfd_open(int((home / "engine.log").read_text().split()[2]))
            signal.pidfd_send_signal(engine, signal.SIGKILL)
            assert select.select([engine], [], [], 30)[0]
            os.close(engine)
            command = [sys.executable, "-m", "hsm.cli.main", "partition", "create", "--blank"]
            subprocess.run(command, check=True, capture_output=True)
            count = ffi.new("CK_ULONG*")
            assert name(m.C_GetSlotList(1, NULL, count)) == "CKR_FUNCTION_FAILED"
            assert slots(m) == [0, 1]
    finally:
        subprocess.run([sys.executable, "-m", "hsm.cli.main", "stop"], check=True)


def test_more_slots_than_the_page_holds_are_asked_for(adyton_token: Any) -> None:
    """An empty catalog: what is longer than the page must not be cut."""
    one = epoch.Epoch()
    one.publish(b"12345678")
    one.publish(bytes(epoch.SIZE))
    told = os.pread(one.handle, 16, 8)
    assert struct.unpack("<2Q", told) == (4, 0)
    one.close()


WHOLE = struct.pack("<QQ", 2, 0)  # a catalog that is not being written
SLOT = struct.pack("<2Q", 0, 0) + b"S" * 112
LIES = {
    "no catalog": b"",
    "being written for ever": struct.pack("<QQ", 3, 500),
    "no slots": struct.pack("<QQ", 2, 16),
    "more slots than bytes": struct.pack("<QQ", 2, 16) + bytes(40) + struct.pack("<2Q", 2**61, 1) + SLOT,
    "more slots than words": struct.pack("<QQ", 2, 16) + bytes(40) + struct.pack("<2Q", 2**64 - 1, 1) + SLOT,
    "a list of nobody": struct.pack("<QQ", 2, 16) + bytes(40) + struct.pack("<2Q", 1, 0) + SLOT,
    "a list beyond the page": struct.pack("<QQ", 2, 16) + bytes(40) + struct.pack("<2Q", 1, 1) + SLOT
    + struct.pack("<2Q", 2**64 - 72, 5),
    "a longer list than the page": struct.pack("<QQ", 2, 16) + bytes(40) + struct.pack("<2Q", 1, 1) + SLOT
    + struct.pack("<2Q", 160, 2**59),
    "a list at odd bytes": struct.pack("<QQ", 2, 16) + bytes(40) + struct.pack("<2Q", 1, 1) + SLOT
    + struct.pack("<2Q", 161, 5),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_page_that_makes_no_sense_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """Then the engine is asked, which says here that it has failed."""
    tmp_path.chmod(0o700)

    def pages() -> tuple[bytes, list[int]]:
        return HELLO, [page(content=bytes(8) + LIES[lie])]

    asked: list[str] = []

    def answer(function: int, payload: bytes) -> tuple[bytes, bool]:
        asked.append(codec.NAMES[function])
        return framed(ck.CKR_FUNCTION_FAILED), True

    engine = FakeEngine(tmp_path, answer, pages)
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path))
    with initialised(ThrowAway().module) as m:
        m.C_GetTokenInfo(0, ffi.new("CK_TOKEN_INFO*"))
        info = ffi.new("CK_MECHANISM_INFO*")
        assert name(m.C_GetMechanismInfo(0, ck.CKM_SHA256, info)) == "CKR_FUNCTION_FAILED"
        assert name(m.C_GetMechanismInfo(0, 0, info)) in ("CKR_FUNCTION_FAILED", "CKR_OK")
        assert name(m.C_GetSlotInfo(7, ffi.new("CK_SLOT_INFO*"))) == "CKR_FUNCTION_FAILED"
        assert asked[:2] == ["C_GetTokenInfo", "C_GetMechanismInfo"]
    engine.close()


def test_an_attribute_that_another_process_has_changed_is_read_anew(adyton_token: Any) -> None:
    with logged_in(adyton_token) as (m, s):
        item = m.make(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"first"})
        assert m.read(s, item, ck.CKA_LABEL) == b"first"
        succeeds("""
            good(m.C_Initialize(NULL)); t = m.session()
            good(m.change(t, m.find(t, {ck.CKA_LABEL: b"first"})[0], {ck.CKA_LABEL: b"second"}))
        """)
        assert m.read(s, item, ck.CKA_LABEL) == b"second"


def test_attributes_cost_one_trip_however_many_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    engine, calls = recorder(tmp_path)
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path))
    with initialised(ThrowAway().module) as m:
        m.C_GetAttributeValue(1, 2, *m.template([(number, None) for number in range(45)]))
        assert [(call[0], len(call[3])) for call in calls] == [("C_GetAttributeValue", 45)]
    engine.close()
