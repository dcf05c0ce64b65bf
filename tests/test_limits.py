"""What a program and a user of the machine may hold of the engine: precise codes, and nobody else notices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from abi import NULL, Module, ffi, good, initialised, name
from apart import adyton
from engine_room import CHEAP, USER, DiskPool, Room, cheap_pins

from hsm.audit.keeping import Settings
from hsm.client import MODULE, Client
from hsm.errors import TokenError
from hsm.objects import attributes as table
from hsm.store.transaction import Transaction
from pkcs11_shim import constants as ck

MIB = 1 << 20
FULL = "CKR_DEVICE_MEMORY"
# Another program: it says what it sees, and waits to be told to go.
OTHER = """
import sys
from abi import *
m = Module(sys.argv[1])
slots = ffi.new("CK_ULONG*")
good(m.C_Initialize(NULL))
rv = m.C_GetSlotList(1, NULL, slots)
seen = slots[0] if rv == ck.CKR_OK else name(rv)
told = "-"
if seen == 1:
    s = m.session()
    good(m.login(s, "user-pin-1"))
    made = 0
    while len(sys.argv) > 2 and made < int(sys.argv[2]):
        rv, _ = m.create(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_VALUE: bytes(1 << 20)})
        if rv: break
        made += 1
    rv, _ = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16})
    told = f"{made} {name(rv)}"
print(seen, told, flush=True)
sys.stdin.readline()
m.C_Finalize(NULL)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "pool"
    pool = DiskPool(folder, CHEAP)
    with cheap_pins(), Room(folder) as room:
        room.with_user()
    monkeypatch.setenv("ADYTON_HOME", str(folder))
    yield folder
    pool.stop()


def limit(home: Path, **settings: int) -> None:
    with open(home / "adyton.conf", "a") as file:
        file.writelines(f"{setting.replace('_', '-')} = {value}\n" for setting, value in settings.items())


def other(more: str = "") -> subprocess.Popen[str]:
    paths = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parent.parent}"}
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, str(MODULE), *([more] if more else [])], env={**os.environ, **paths}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )


def said(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def leave(program: subprocess.Popen[str]) -> None:
    program.communicate("go\n", timeout=30)


def fill(m: Module, s: int, size: int = MIB) -> list[int]:
    made: list[int] = []
    while len(made) < 500:
        rv, handle = m.create(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_VALUE: bytes(size)})
        if rv:
            assert name(rv) == FULL
            return made
        made.append(handle)
    raise AssertionError("no limit was met")


def kept() -> int:
    with Client(str(Path(json.loads(adyton("status", "--json"))["pool"]))) as client:
        return int(sum(row["bytes"] for row in client.ask("status")["users"]))


def test_a_program_fills_its_own_memory_only(home: Path) -> None:
    limit(home, program_memory=16)
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        made = fill(m, s)
        assert 12 <= len(made) <= 16
        assert "program-memory" in adyton("explain") and "16 MiB" in adyton("explain")
        neighbour = other("8")
        assert said(neighbour) == "1 8 CKR_OK"
        leave(neighbour)
        held = kept()
        assert 12 * MIB < held < 17 * MIB
        for handle in made:
            good(m.C_DestroyObject(s, handle))
        assert kept() < held - 11 * MIB
        rv, grows = m.create(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_VALUE: b""})
        good(rv)
        assert name(m.change(s, grows, {ck.CKA_VALUE: bytes(15 * MIB)})) in ("CKR_OK", FULL)
        assert name(m.create(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_VALUE: bytes(12 * MIB)})[0]) == FULL
        good(m.C_DestroyObject(s, grows))
        assert len(fill(m, s)) >= len(made) - 1
        good(m.C_CloseAllSessions(0))
        assert kept() < MIB


def test_requests_and_gathered_input_count(home: Path) -> None:
    limit(home, program_memory=16)
    with initialised(str(MODULE)) as m:
        sessions = [m.session() for _ in range(8)]
        good(m.login(sessions[0], USER.decode()))
        key = m.aes(sessions[0])
        room = ffi.new("CK_BYTE[]", 32), ffi.new("CK_ULONG*", 32)
        good(m.C_DigestInit(sessions[0], m.mechanism(ck.CKM_SHA256)))
        data = bytes(20 * MIB)
        assert name(m.C_Digest(sessions[0], data, len(data), *room)) == FULL
        told = set()
        part = bytes(MIB)
        for s in sessions:  # GCM's input is kept until its end
            form = m.structure("CK_GCM_PARAMS", pIv=bytes([1]) * 12, ulIvLen=12, ulTagBits=128)
            good(m.C_DecryptInit(s, m.mechanism(ck.CKM_AES_GCM, form), key))
            for _ in range(4):
                size = ffi.new("CK_ULONG*", 32)
                told.add(name(m.C_DecryptUpdate(s, part, len(part), room[0], size)))
        assert told == {"CKR_OK", FULL, "CKR_OPERATION_NOT_INITIALIZED"}
        assert kept() < 17 * MIB
        for s in sessions:
            m.C_SessionCancel(s, ck.CKF_DECRYPT)
        rv, _ = m.create(sessions[0], {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_VALUE: bytes(5 * MIB)})
        good(rv)


def test_sessions_count(home: Path) -> None:
    limit(home, program_memory=1)
    with initialised(str(MODULE)) as m:
        handle, opened, rv = ffi.new("CK_SESSION_HANDLE*"), 0, 0
        while not rv and opened < 1000:
            rv = m.C_OpenSession(0, ck.CKF_SERIAL_SESSION, NULL, NULL, handle)
            opened += 1
        assert name(rv) == "CKR_SESSION_COUNT" and 200 < opened < 300
        good(m.C_CloseAllSessions(0))
        m.session()


def test_the_programs_of_a_user_share(home: Path) -> None:
    limit(home, program_memory=16, user_memory=24)
    programs = [other("500") for _ in range(3)]
    made = [int(said(program).split()[1]) for program in programs]
    assert 18 <= sum(made) <= 24 and max(made) <= 16
    for program in programs:
        leave(program)
    last = other("10")
    assert said(last) == "1 10 CKR_OK"
    leave(last)


def test_no_more_programs_than_a_user_may_have(home: Path) -> None:
    """Who comes after them sees no slot, and `adyton status` says why; it counts as one of them."""
    limit(home, max_programs=3)
    programs = [other() for _ in range(3)]
    assert [said(program) for program in programs] == ["1 0 CKR_OK"] * 3
    late = other()
    assert said(late).split()[0] != "1"
    told = adyton("status", status=1)
    assert "max-programs" in told and "as many programs" in told
    leave(late)
    leave(programs.pop())
    after = other()
    assert said(after) == "1 0 CKR_OK"
    leave(programs.pop())
    told = adyton("status")
    assert "serving 2 programs" in told and f"user     {os.getuid()} has 2 of these programs" in told
    for program in (after, *programs):
        leave(program)
    assert "as many as the setting max-programs allows" in (home / "engine.log").read_text()
    assert "of these programs" not in adyton("status"), "who asks is not counted"


def test_what_was_not_made_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose record can't be written: a session object then is none, and its bytes are nobody's."""

    def no_commit(*_: object) -> None:
        raise TokenError(ck.CKR_DEVICE_MEMORY, "no room")

    with cheap_pins(), Room(tmp_path) as room:
        room.with_user()
        room.pool.audit.configure(Settings(strict=True))
        kept = room.data(b"kept", token=table.FALSE)
        held = room.app._account.held
        with monkeypatch.context() as patched:
            patched.setattr(Transaction, "write_heads", no_commit)
            for _ in range(3):
                with pytest.raises(TokenError):
                    room.data(b"never", token=table.FALSE, value=bytes(MIB))
                with pytest.raises(TokenError):
                    room.relabel(kept, bytes(MIB))
        assert room.app._account.held == held
        room.destroy(kept)
        assert room.app._account.held < held
