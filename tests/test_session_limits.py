"""A maximum of sessions through the C ABI: what the settings allow, what the token tells of it, whom it holds for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from abi import NULL, Module, ffi, good, initialised, name

from hsm.client import MODULE
from pkcs11_shim import constants as ck

PIN = b"12345678"
ADYTON = [sys.executable, "-m", "hsm.cli.main"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "pool"
    folder.mkdir(0o700)
    monkeypatch.setenv("ADYTON_HOME", str(folder))
    yield folder
    subprocess.run([*ADYTON, "stop"], check=True, capture_output=True)


@pytest.fixture
def limited(home: Path) -> Iterator[Module]:
    """A token that allows one application 4 sessions, 2 of them read/write."""
    (home / "adyton.conf").write_text("max-sessions = 4\nmax-rw-sessions = 2\n")
    with initialised(str(MODULE)) as m:
        good(m.C_InitToken(0, PIN, 8, b"limited".ljust(32)))
        yield m


def opened(m: Module, read_write: bool) -> str:
    flags = ck.CKF_SERIAL_SESSION | (ck.CKF_RW_SESSION if read_write else 0)
    return name(m.C_OpenSession(0, flags, NULL, NULL, ffi.new("CK_SESSION_HANDLE*")))


def counts(m: Module) -> tuple[int, int, int, int]:
    told = m.token()
    return told.ulMaxSessionCount, told.ulSessionCount, told.ulMaxRwSessionCount, told.ulRwSessionCount


def test_no_more_sessions_than_the_settings_allow_and_the_token_tells_both(limited: Module) -> None:
    m = limited
    assert counts(m) == (4, 0, 2, 0)
    first, _ = m.session(), m.session()
    assert opened(m, True) == "CKR_SESSION_COUNT"
    assert counts(m) == (4, 2, 2, 2)
    third, _ = m.session(read_write=False), m.session(read_write=False)
    assert opened(m, False) == opened(m, True) == "CKR_SESSION_COUNT"
    assert counts(m) == (4, 4, 2, 2)
    good(m.C_CloseSession(third))
    assert opened(m, True) == "CKR_SESSION_COUNT"
    good(m.C_CloseSession(first))
    assert opened(m, True) == "CKR_OK"
    assert counts(m) == (4, 3, 2, 2)
    good(m.C_CloseAllSessions(0))
    assert counts(m) == (4, 0, 2, 0)
    assert [opened(m, False) for _ in range(5)] == ["CKR_OK"] * 4 + ["CKR_SESSION_COUNT"]
    explained = subprocess.run([*ADYTON, "explain", "--json"], capture_output=True, text=True, check=True).stdout
    assert "4 sessions with the token, as many as the setting max-sessions allows" in explained
    assert "2 read/write sessions with the token, as many as the setting max-rw-sessions allows" in explained


def test_the_limit_is_of_one_application_with_one_token(limited: Module) -> None:
    m = limited
    for _ in range(4):
        m.session(read_write=False)
    pins = {"ADYTON_SO_PIN": "12345678", "ADYTON_PIN": "12345678"}
    command = [*ADYTON, "partition", "create", "--label", "other", "--json"]
    made = subprocess.run(command, env={**os.environ, **pins}, capture_output=True, text=True, check=True).stdout
    slot = json.loads(made)["slot"]
    good(m.C_OpenSession(slot, ck.CKF_SERIAL_SESSION, NULL, NULL, ffi.new("CK_SESSION_HANDLE*")))
    code = """
import sys
from abi import *
m = Module(sys.argv[1]); good(m.C_Initialize(NULL))
print([m.session(read_write=False) > 0 for _ in range(4)], m.token().ulSessionCount)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    other = subprocess.run([sys.executable, "-c", code, str(MODULE)], env=environment, capture_output=True, text=True,
                           check=True)
    assert other.stdout.strip() == "[True, True, True, True] 4"
    assert m.token().ulSessionCount == 4


def test_without_the_settings_there_is_no_limit(home: Path) -> None:
    with initialised(str(MODULE)) as m:
        good(m.C_InitToken(0, PIN, 8, b"free".ljust(32)))
        for _ in range(300):
            m.session()
        assert counts(m) == (ck.CK_EFFECTIVELY_INFINITE, 300, ck.CK_EFFECTIVELY_INFINITE, 300)


def test_one_setting_alone(home: Path) -> None:
    (home / "adyton.conf").write_text("max-rw-sessions = 1\n")
    with initialised(str(MODULE)) as m:
        good(m.C_InitToken(0, PIN, 8, b"one".ljust(32)))
        m.session()
        assert opened(m, True) == "CKR_SESSION_COUNT"
        assert [opened(m, False) for _ in range(20)] == ["CKR_OK"] * 20
        assert counts(m) == (ck.CK_EFFECTIVELY_INFINITE, 21, 1, 1)
