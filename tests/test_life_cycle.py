"""C_Initialize to C_Finalize, forks, and an engine that goes away: nothing hangs, nothing crashes, codes are exact."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, logged_in, name

from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

TESTS = str(Path(__file__).resolve().parent)


def program(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another process running ``code``, with the driver in reach."""
    head = "import os, sys\nfrom abi import *\nfrom pkcs11_shim import constants as ck\n"
    head += "m = Module(os.environ['ADYTON_MODULE'])\n"
    return subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code)], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": TESTS, **environment},
    )


def succeeds(code: str, **environment: str) -> str:
    done = program(code, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_second_initialize_says_so_and_harms_nothing(adyton_token: Any) -> None:
    with initialised(adyton_token.module) as m:
        assert m.C_Initialize(NULL) == ck.CKR_CRYPTOKI_ALREADY_INITIALIZED
        m.session()


def test_calls_before_initialize_and_after_finalize(adyton_token: Any) -> None:
    m = Module(adyton_token.module)
    count = ffi.new("CK_ULONG*")
    assert m.C_GetSlotList(0, NULL, count) == ck.CKR_CRYPTOKI_NOT_INITIALIZED
    assert m.C_Finalize(NULL) == ck.CKR_CRYPTOKI_NOT_INITIALIZED
    good(m.C_Initialize(NULL))
    assert m.C_Finalize(ffi.cast("void*", 1)) == ck.CKR_ARGUMENTS_BAD
    good(m.C_Finalize(NULL))
    assert m.C_GetInfo(ffi.new("CK_INFO*")) == ck.CKR_CRYPTOKI_NOT_INITIALIZED
    good(m.C_Initialize(NULL))
    good(m.C_Finalize(NULL))


def test_initialize_arguments(adyton_token: Any) -> None:
    m = Module(adyton_token.module)
    arguments = ffi.new("CK_C_INITIALIZE_ARGS*")
    arguments.pReserved = ffi.cast("void*", 1)  # an address nobody may look at
    assert m.C_Initialize(arguments) == ck.CKR_ARGUMENTS_BAD
    arguments.pReserved = NULL
    arguments.CreateMutex = ffi.cast("CK_CREATEMUTEX", 1)
    assert m.C_Initialize(arguments) == ck.CKR_ARGUMENTS_BAD
    arguments.CreateMutex = ffi.cast("CK_CREATEMUTEX", 0)
    arguments.flags = ck.CKF_OS_LOCKING_OK | ck.CKF_LIBRARY_CANT_CREATE_OS_THREADS
    good(m.C_Initialize(arguments))
    good(m.C_Finalize(NULL))


def test_open_session_takes_application_and_notify(adyton_token: Any) -> None:
    with initialised(adyton_token.module) as m:
        made = ffi.new("CK_SESSION_HANDLE*")
        notify = ffi.cast("CK_NOTIFY", 1)
        good(m.C_OpenSession(0, ck.CKF_SERIAL_SESSION, ffi.cast("void*", 1), notify, made))


def test_a_forked_child_starts_afresh_and_leaves_the_parent_alone(adyton_token: Any) -> None:
    succeeds("""
        good(m.C_Initialize(NULL)); s = m.session(); good(m.login(s, os.environ["ADYTON_PIN"]))
        info = ffi.new("CK_SESSION_INFO*")
        child = os.fork()
        if child == 0:
            if m.C_GetSessionInfo(s, info) != ck.CKR_CRYPTOKI_NOT_INITIALIZED: os._exit(1)
            if m.C_Initialize(NULL): os._exit(2)
            if m.C_GetSessionInfo(s, info) != ck.CKR_SESSION_HANDLE_INVALID: os._exit(3)
            t = m.session()
            if m.C_GetSessionInfo(t, info) or info.state != ck.CKS_RW_PUBLIC_SESSION: os._exit(4)
            os._exit(m.C_Finalize(NULL))
        assert os.waitpid(child, 0)[1] == 0
        good(m.C_GetSessionInfo(s, info)); assert info.state == ck.CKS_RW_USER_FUNCTIONS
    """)


def test_twenty_children_at_once(adyton_token: Any) -> None:
    succeeds("""
        good(m.C_Initialize(NULL)); s = m.session(); good(m.login(s, os.environ["ADYTON_PIN"]))
        children = []
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                try:
                    good(m.C_Initialize(NULL)); t = m.session(); good(m.login(t, os.environ["ADYTON_PIN"]))
                    m.aes(t); good(m.C_Finalize(NULL))
                except BaseException:
                    os._exit(1)
                os._exit(0)
            children.append(pid)
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
        m.aes(s)
    """)


def test_twenty_processes_start_one_engine(tmp_path: Path, adyton_token: Any) -> None:
    """No engine runs for the folder; all twenty see the one slot, from one engine."""
    code = "good(m.C_Initialize(NULL)); n = ffi.new('CK_ULONG*'); good(m.C_GetSlotList(0, NULL, n)); print(n[0])"
    environment = {**os.environ, "PYTHONPATH": TESTS, "ADYTON_HOME": str(tmp_path / "pool")}
    head = "import os\nfrom abi import *\nm = Module(os.environ['ADYTON_MODULE'])\n"
    started = [
        subprocess.Popen([sys.executable, "-c", head + code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(20)
    ]
    try:
        assert [process.communicate(timeout=60)[0] for process in started] == ["1\n"] * 20
        assert (tmp_path / "pool/engine.log").read_text().count("serves") == 1
    finally:
        subprocess.run([sys.executable, "-m", "hsm.cli.main", "stop"], env=environment, check=True)


def test_finalize_from_an_exit_handler_and_exit_with_threads_inside(adyton_token: Any) -> None:
    succeeds("""
        import atexit, threading
        good(m.C_Initialize(NULL)); s = m.session()
        atexit.register(lambda: good(m.C_Finalize(NULL)))
        def work():
            info = ffi.new("CK_SESSION_INFO*")
            while m.C_GetSessionInfo(s, info) == 0: pass
        for _ in range(4): threading.Thread(target=work, daemon=True).start()
    """)


def test_unload_and_load_again(adyton_token: Any) -> None:
    succeeds("""
        import _ctypes, ctypes
        for _ in range(3):
            handle = _ctypes.dlopen(os.environ["ADYTON_MODULE"], 2)
            library = ctypes.CDLL(None, handle=handle)
            assert library.C_Initialize(None) == 0 and library.C_Finalize(None) == 0
            _ctypes.dlclose(handle)
    """)


def test_an_engine_that_dies_is_noticed_once_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "pool"
    monkeypatch.setenv("ADYTON_HOME", str(home))
    with initialised(ThrowAway().module) as m:
        assert m.C_InitToken(0, b"12345678", 8, m.bytes(b"killed".ljust(32))) == ck.CKR_OK
        s = m.session()
        engine = int((home / "engine.log").read_text().split()[2])
        os.kill(engine, signal.SIGKILL)
        info = ffi.new("CK_SESSION_INFO*")
        assert name(m.C_GetSessionInfo(s, info)) == "CKR_DEVICE_REMOVED"
        assert name(m.C_GetSessionInfo(s, info)) == "CKR_SESSION_HANDLE_INVALID"
        good(m.C_GetSessionInfo(m.session(), info))
    subprocess.run([sys.executable, "-m", "hsm.cli.main", "stop"], check=True)


def test_no_engine_to_be_had_is_no_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for_others = tmp_path / "pool"
    for_others.mkdir()
    for_others.chmod(0o777)
    monkeypatch.setenv("ADYTON_HOME", str(for_others))
    with initialised(ThrowAway().module) as m:
        count = ffi.new("CK_ULONG*", 7)
        good(m.C_GetSlotList(0, NULL, count))
        assert count[0] == 0
        assert name(m.C_GetSlotInfo(0, ffi.new("CK_SLOT_INFO*"))) == "CKR_DEVICE_ERROR"
    told = subprocess.run([sys.executable, "-m", "hsm.cli.main", "status"], capture_output=True, text=True)
    assert "chmod 700" in told.stdout and told.returncode == 1


def test_another_process_sees_changes_at_once_and_no_sessions(adyton_token: Any) -> None:
    with logged_in(adyton_token) as (m, s):
        m.make(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"shared"})
        m.make(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_LABEL: b"mine"})
        m.aes(s, token=True, label=b"private")
        succeeds("""
            good(m.C_Initialize(NULL)); t = m.session()
            assert len(m.find(t, {ck.CKA_LABEL: b"shared"})) == 1
            assert m.find(t, {ck.CKA_LABEL: b"mine"}) == [] and m.find(t, {ck.CKA_LABEL: b"private"}) == []
            good(m.C_DestroyObject(t, m.find(t, {ck.CKA_LABEL: b"shared"})[0]))
        """)
        assert m.find(s, {ck.CKA_LABEL: b"shared"}) == []
