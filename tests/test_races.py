"""What a program does while another, or another thread, takes away what it stands on: right or refused, never wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from abi import Module, good, initialised, name
from engine_room import CHEAP, USER, DiskPool, Room, cheap_pins

from hsm.client import MODULE
from pkcs11_shim import constants as ck

# Another program, which logs in and out until it is told to go.
COMING_AND_GOING = """
import sys, select
from abi import *
m = Module(sys.argv[1])
good(m.C_Initialize(NULL))
s, n = m.session(), 0
while not select.select([sys.stdin], [], [], 0)[0]:
    good(m.login(s, "user-pin-1"))
    good(m.C_Logout(s))
    n += 1
print(n)
"""
LATE = {
    "CKR_OPERATION_NOT_INITIALIZED", "CKR_USER_NOT_LOGGED_IN", "CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID",
}


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskPool]:
    made = DiskPool(tmp_path / "pool", CHEAP)
    with cheap_pins(), Room(made.home) as room:
        room.with_user()
    monkeypatch.setenv("ADYTON_HOME", str(made.home))
    yield made
    made.stop()
    assert "fault" not in made.log() and "Traceback" not in made.log()


def _coming_and_going() -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parent.parent}"}
    return subprocess.Popen(
        [sys.executable, "-c", COMING_AND_GOING, str(MODULE)], env=environment, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_a_mac_is_the_same_while_others_log_in_and_out(pool: DiskPool) -> None:
    """A key for everybody, by a program that is not logged in: each logout elsewhere folds it."""
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        rows = {ck.CKA_TOKEN: True, ck.CKA_PRIVATE: False, ck.CKA_VALUE_LEN: 32, ck.CKA_SENSITIVE: True}
        rv, key = m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, rows)
        good(rv)
        mac = m.mechanism(ck.CKM_SHA256_HMAC)
        rv, told = m.use("Sign", s, mac, key, b"message")
        good(rv)
        good(m.C_Logout(s))
        other = _coming_and_going()
        for _ in range(6000):
            assert m.use("Sign", s, mac, key, b"message") == (ck.CKR_OK, told)
        times, _ = other.communicate("go\n", timeout=60)
        assert int(times) > 20


def _signing(m: Module, key: int, going: threading.Event, outcomes: set[str]) -> None:
    s = m.session()
    mac = m.mechanism(ck.CKM_SHA256_HMAC)
    while going.is_set():
        rv, _ = m.use("Sign", s, mac, key, b"message")
        outcomes.add(name(rv))
    good(m.C_CloseSession(s))


def test_threads_that_sign_while_another_logs_out_and_destroys(pool: DiskPool) -> None:
    """Each call is right or refused by a code that says why; once the logout is answered, none is right any more."""
    with initialised(str(MODULE)) as m:
        s = m.session()
        for _ in range(12):
            good(m.login(s, USER.decode()))
            rv, key = m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, {ck.CKA_VALUE_LEN: 32})
            good(rv)
            going, outcomes = threading.Event(), set[str]()
            going.set()
            signers = [threading.Thread(target=_signing, args=(m, key, going, outcomes)) for _ in range(3)]
            for signer in signers:
                signer.start()
            while "CKR_OK" not in outcomes:
                pass
            good(m.C_Logout(s))
            outcomes.clear()
            for _ in range(50):
                assert name(m.use("Sign", s, m.mechanism(ck.CKM_SHA256_HMAC), key, b"x")[0]) in LATE
            late = set(outcomes)
            going.clear()
            for signer in signers:
                signer.join()
            assert late <= LATE | {"CKR_OK"}  # a call that was under way as the logout was answered may end well
            outcomes.clear()
