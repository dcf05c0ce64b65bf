"""C_Initialize to C_Finalize, forks, and an engine that goes away: nothing hangs, nothing crashes, codes are exact."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
import sanitized
from abi import NULL, Module, ffi, good, initialised, logged_in, name
from fake_engine import FakeEngine

from hsm.server import codec
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

TESTS = str(Path(__file__).resolve().parent)


def program(code: str, before: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """Another process running ``code``, with the driver in reach; ``before``: a command that starts it."""
    head = "import os, sys\nfrom abi import *\nfrom pkcs11_shim import constants as ck\n"
    head += "m = Module(os.environ['ADYTON_MODULE'])\n"
    return subprocess.run(
        [*before, sys.executable, "-c", head + textwrap.dedent(code)], capture_output=True, text=True, timeout=60,
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
        ffi.dlclose(m.library)
        for _ in range(3):
            assert "adyton-pkcs11" not in open("/proc/self/maps").read()
            handle = _ctypes.dlopen(os.environ["ADYTON_MODULE"], 2)
            library = ctypes.CDLL(None, handle=handle)
            assert library.C_Initialize(None) == 0 and library.C_Finalize(None) == 0
            _ctypes.dlclose(handle)
            child = os.fork()
            if child == 0: os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        handle = _ctypes.dlopen(os.environ["ADYTON_MODULE"], 2)
        library = ctypes.CDLL(None, handle=handle)
        assert library.C_Initialize(None) == 0
        assert library.C_GetSlotList(0, None, ctypes.byref(ctypes.c_ulong())) == 0
        _ctypes.dlclose(handle)  # with connections open
        child = os.fork()
        if child == 0: os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
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


def test_a_program_that_has_ended_holds_nobody_up(adyton_token: Any, tmp_path: Path) -> None:
    """Its sessions are gone with it for whoever asks next: C_InitToken wants that there are none."""
    pin = adyton_token.so_pin.encode()
    shutil.copy(adyton_token.module, tmp_path / "another.so")
    another = Module(str(tmp_path / "another.so"))
    with initialised(adyton_token.module) as m:
        for _ in range(300):
            good(another.C_Initialize(NULL))
            for _ in range(20):
                another.session()
            good(another.C_Finalize(NULL))
            good(m.C_InitToken(0, pin, len(pin), b"again".ljust(32)))


def test_standard_descriptors_that_a_host_has_closed_stay_closed(adyton_token: Any) -> None:
    """A socket of ours there would get what the host prints."""
    succeeds("""
        for fd in (0, 1, 2): os.close(fd)
        good(m.C_Initialize(NULL)); m.session()
        for fd in (0, 1, 2):
            try: os.fstat(fd)
            except OSError: continue
            os._exit(1)
        os._exit(0)
    """)


def test_a_daemon_that_closes_our_descriptors_and_uses_their_numbers(adyton_token: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    succeeds("""
        good(m.C_Initialize(NULL)); s = m.session(); info = ffi.new("CK_SESSION_INFO*")
        os.closerange(3, 200)
        files = [os.open(os.environ["FILE"], os.O_RDWR) for _ in range(20)]
        assert name(m.C_GetSessionInfo(s, info)) == "CKR_DEVICE_REMOVED"
        assert name(m.C_GetSessionInfo(s, info)) == "CKR_SESSION_HANDLE_INVALID"
        good(m.C_GetSessionInfo(m.session(), info)); good(m.C_Finalize(NULL))
        for file in files: assert os.fstat(file).st_size == 0
    """, FILE=str(tmp_path / "file"))


def test_a_host_without_free_descriptors(adyton_token: Any) -> None:
    """Nothing to connect with is no engine, until there is; with one connection, all threads go over it."""
    succeeds("""
        import resource, threading
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        def fill():
            held = []
            try:
                while True: held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError: return held
        good(m.C_Initialize(NULL)); slot = ffi.new("CK_SLOT_INFO*")
        held = fill()
        assert name(m.C_GetSlotInfo(0, slot)) == "CKR_DEVICE_ERROR"
        for fd in held: os.close(fd)
        s = m.session()
        held = fill()
        bad = []
        def work():
            for _ in range(200):
                rv = m.C_GetSlotInfo(0, ffi.new("CK_SLOT_INFO*"))
                if rv: bad.append(name(rv))
        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads: t.start()
        for t in threads: t.join()
        assert bad == [], bad
        good(m.C_GetSessionInfo(s, ffi.new("CK_SESSION_INFO*")))
    """)


def test_a_host_that_has_changed_its_root_and_user(adyton_token: Any, tmp_path: Path) -> None:
    """Links come over the first connection: more of them need neither the path nor the permission."""
    code = textwrap.dedent("""
        import threading
        good(m.C_Initialize(NULL)); s = m.session(); good(m.login(s, os.environ["ADYTON_PIN"])); key = m.aes(s)
        os.chroot(os.environ["ROOT"])
        if os.environ["REALLY"]: os.setgroups([]); os.setgid(65534); os.setuid(65534)
        bad = []
        def work():
            for _ in range(50):
                rv = m.C_GetSessionInfo(s, ffi.new("CK_SESSION_INFO*"))
                if rv: bad.append(name(rv))
        threads = [threading.Thread(target=work) for _ in range(6)]
        for t in threads: t.start()
        for t in threads: t.join()
        assert bad == [], bad
        rv, out = m.use("Encrypt", s, m.mechanism(ck.CKM_AES_CBC, bytes(16)), key, bytes(16)); good(rv)
    """)
    really = os.geteuid() == 0
    done = program(
        code, before=() if really else ("unshare", "--user", "--map-root-user"), ROOT=str(tmp_path),
        REALLY="1" if really else "",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_call_from_a_thread_with_a_small_stack(tmp_path: Path) -> None:
    """It starts the engine, within 64 KiB."""
    home = str(tmp_path / "pool")
    try:
        succeeds("""
            import threading
            threading.stack_size(64 * 1024)
            good(m.C_Initialize(NULL)); count = ffi.new("CK_ULONG*")
            told = []
            thread = threading.Thread(target=lambda: told.append(m.C_GetSlotList(0, NULL, count)))
            thread.start(); thread.join()
            assert told == [0] and count[0] == 1
        """, ADYTON_HOME=home, ADYTON_MODULE=ThrowAway().module)
    finally:
        stop = [sys.executable, "-m", "hsm.cli.main", "stop"]
        subprocess.run(stop, env={**os.environ, "ADYTON_HOME": home}, check=True)


def test_finalize_wakes_who_is_inside_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    inside, forever = threading.Event(), threading.Event()

    def never(function: int, payload: bytes) -> tuple[bytes, bool]:
        inside.set()
        forever.wait(60)
        return b"", False

    engine = FakeEngine(tmp_path, never)
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path))
    with initialised(ThrowAway().module) as m:
        told: list[str] = []
        caller = threading.Thread(target=lambda: told.append(name(m.C_GetSlotInfo(0, ffi.new("CK_SLOT_INFO*")))))
        caller.start()
        assert inside.wait(30)
        good(m.C_Finalize(NULL))
        caller.join(30)
        assert told == ["CKR_CRYPTOKI_NOT_INITIALIZED"]
    forever.set()
    engine.close()


def test_signals_neither_break_a_call_nor_kill_the_host(adyton_token: Any) -> None:
    """Interrupted waits go on; writing to an engine that has gone raises no SIGPIPE."""
    succeeds("""
        import signal
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        seen = []
        signal.signal(signal.SIGALRM, lambda *_: seen.append(1)); signal.siginterrupt(signal.SIGALRM, True)
        good(m.C_Initialize(NULL)); s = m.session(); random = ffi.new("CK_BYTE[]", 4 << 20)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(30): good(m.C_GenerateRandom(s, random, 4 << 20))
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert len(seen) > 10
        os.kill(int(open(os.environ["ADYTON_HOME"] + "/engine.log").read().split()[2]), signal.SIGKILL)
        rv = 0
        while rv == 0: rv = m.C_GenerateRandom(s, random, 16)
        assert name(rv) == "CKR_DEVICE_REMOVED"
    """)


def test_threads_cancelled_inside_calls_take_nothing_with_them(adyton_token: Any, tmp_path: Path) -> None:
    built = sanitized.program("cancelled.c", tmp_path, sanitize=False)
    done = subprocess.run([built, adyton_token.module], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"


def test_a_host_linked_with_another_module(adyton_token: Any, tmp_path: Path) -> None:
    """Its functions have our names, and are before ours in the host's scope."""
    other = tmp_path / "other.so"
    text = "".join(f"unsigned long {name}(void) {{ return 5; }}\n" for name in codec.NAMES)
    (tmp_path / "other.c").write_text(text)
    subprocess.run(["cc", "-shared", "-fPIC", str(tmp_path / "other.c"), "-o", str(other)], check=True)
    succeeds("""
        mine = ffi.new("CK_FUNCTION_LIST**"); good(m.C_GetFunctionList(mine))
        good(mine[0].C_Initialize(NULL)); good(mine[0].C_GetInfo(ffi.new("CK_INFO*")))
        count = ffi.new("CK_ULONG*"); good(mine[0].C_GetSlotList(0, NULL, count)); assert count[0] == 1
        good(mine[0].C_Finalize(NULL))
    """, LD_PRELOAD=str(other))
