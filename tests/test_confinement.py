"""What a confined engine can't do, tried from inside; what others of its user can't do to it, tried from outside."""

from __future__ import annotations

import errno
import json
import os
import re
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import initialised, logged_in
from engine_room import CHEAP, ROOT, DiskPool

from hsm.client import MODULE, connect
from hsm.confinement import kernel, landlock, seccomp
from hsm.confinement.arena import CELL, Arena
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

# A process that does what the launcher does, and then tries things: each line is a name and what came of it.
INSIDE = f"""
import ctypes, errno, json, mmap, os, socket, sys, threading
sys.path.insert(0, {str(ROOT)!r})
from hsm.confinement import kernel, process, landlock, seccomp
from hsm.confinement.landlock import Rule, WRITE
home = sys.argv[1]
before = os.open("/etc/hostname", os.O_RDONLY)
process.close()
failed = process.shut_in([Rule(home, WRITE)])
assert not failed, failed
def tried(what):
    try:
        what()
        return "done"
    except OSError as fault:
        return errno.errorcode[fault.errno]
def raw(number, *arguments):
    return tried(lambda: kernel.call(number, *arguments))
"""


def inside(home: Path, program: str) -> Any:
    home.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-I", "-c", INSIDE + textwrap.dedent(program), str(home)], capture_output=True, text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- system calls


def test_no_forbidden_call_is_made(tmp_path: Path) -> None:
    """By the kernel that runs here: each of the table, with arguments that none of them could obey."""
    told = inside(tmp_path / "home", """
        column = seccomp._COLUMN[kernel.MACHINE]
        found = {}
        for table in (seccomp.FORBIDDEN, seccomp.ABSENT):
            for name, numbers in table.items():
                if numbers[column] is not None:
                    found[name] = raw(numbers[column], -1, -1, -1, -1, -1, -1)
        found["newer"] = raw(seccomp._NEWEST + 1, -1, -1, -1)
        print(json.dumps(found))
    """)
    absent = {"clone3", "newer"}
    assert {name: code for name, code in told.items() if code != ("ENOSYS" if name in absent else "EPERM")} == {}
    assert len(told) > 80


def test_no_sockets_but_unix_ones(tmp_path: Path) -> None:
    told = inside(tmp_path / "home", """
        families = ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG", "AF_UNIX")
        found = {name: tried(socket.socket(getattr(socket, name), socket.SOCK_DGRAM).close)
                 if name == "AF_UNIX" else tried(lambda: socket.socket(getattr(socket, name), socket.SOCK_RAW))
                 for name in families}
        found["pair"] = tried(lambda: socket.socketpair())
        found["inet pair"] = tried(lambda: socket.socketpair(socket.AF_INET))
        print(json.dumps(found))
    """)
    assert {name for name, code in told.items() if code == "done"} == {"AF_UNIX", "pair"}
    assert {code for code in told.values()} == {"done", "EPERM"}


def test_threads_but_no_programs_and_no_processes(tmp_path: Path) -> None:
    told = inside(tmp_path / "home", """
        import subprocess
        ran = []
        thread = threading.Thread(target=lambda: ran.append(tried(os.fork)))
        thread.start(); thread.join()
        null = os.open("/dev/null", os.O_RDONLY)
        print(json.dumps({
            "fork": tried(os.fork), "of a thread": ran[0], "exec": tried(lambda: os.execv("/bin/true", ["true"])),
            "spawn": tried(lambda: subprocess.run(["/bin/true"])),
            "exec of a descriptor": tried(lambda: os.execve(null, ["null"], {})),
        }))
    """)
    assert set(told.values()) == {"EPERM"}


def test_no_memory_is_written_and_run(tmp_path: Path) -> None:
    told = inside(tmp_path / "home", """
        rwx, rw, rx = 7, 3, 5
        page = mmap.mmap(-1, 4096, prot=rw)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        number = {"x86_64": 10, "aarch64": 226}[kernel.MACHINE]
        print(json.dumps({
            "map": tried(lambda: mmap.mmap(-1, 4096, prot=rwx)), "turn": raw(number, address, 4096, rx),
            "read": raw(number, address, 4096, 1),
        }))
    """)
    assert told == {"map": "EPERM", "turn": "EPERM", "read": "done"}


def test_unreadable_stays_unreadable(tmp_path: Path) -> None:
    told = inside(tmp_path / "home", """
        import resource
        print(json.dumps({
            "dumpable": tried(lambda: kernel.prctl(4, 1)), "tracer": tried(lambda: kernel.prctl(0x59616d61, 1)),
            "is": kernel.prctl(3), "core": resource.getrlimit(resource.RLIMIT_CORE), "mask": os.umask(0),
        }))
    """)
    assert told == {"dumpable": "EPERM", "tracer": "EPERM", "is": 0, "core": [0, 0], "mask": 0o077}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_table_s_numbers_are_the_kernel_s(machine: str) -> None:
    """Against its headers: those of this machine and, for the other, the ones that all newer machines share."""
    column = ["x86_64", "aarch64"].index(machine)
    own = Path(f"/usr/include/{kernel.MACHINE}-linux-gnu/asm/unistd_64.h")
    header = own if machine == "x86_64" == kernel.MACHINE else Path("/usr/include/asm-generic/unistd.h")
    numbers = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    if machine == "x86_64" != kernel.MACHINE:
        numbers = {name: both[0] for name, both in seccomp.FORBIDDEN.items() if both[0] is not None}
    told = {name: both[column] for name, both in (seccomp.FORBIDDEN | seccomp.ABSENT).items()}
    told |= {row.name: row.numbers[column] for row in seccomp.BY_ARGUMENT}
    wrong = {
        name: number for name, number in told.items()
        if number is not None and int(numbers.get(name, -1)) not in (number, -1)
    }
    known = [name for name, number in told.items() if number is not None and name in numbers]
    assert wrong == {} and len(known) > 70


def verdict(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """The classic BPF machine (seccomp(2), struct seccomp_data), in as much as the filter needs of it."""
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, arch, 0, *(arguments + (0,) * 6)[:6])
    steps = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        if code == 0x06:
            return int(k)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x54:
            accumulator &= k
        else:
            holds = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k}[code]
            at += yes if holds else no


ALLOWED, REFUSED, ABSENT = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


@pytest.mark.parametrize(
    "machine, arch, other", [("x86_64", 0xC000003E, 0x40000003), ("aarch64", 0xC00000B7, 0x40000028)]
)
def test_the_filter_says_what_the_table_says(machine: str, arch: int, other: int) -> None:
    column = ["x86_64", "aarch64"].index(machine)
    program = seccomp.program(machine)
    refused = {both[column] for both in seccomp.FORBIDDEN.values()} - {None}
    by_argument = {row.numbers[column] for row in seccomp.BY_ARGUMENT}
    for number in range(1024):
        said = verdict(program, arch, number)
        if number in refused:
            assert said == REFUSED, number
        elif number == 435 or number > 462:
            assert said == ABSENT, number
        elif number not in by_argument:
            assert said == ALLOWED, number
        assert verdict(program, other, number) == 0x80000000, "a call by another machine's numbers"
    assert verdict(program, arch, -1) == verdict(program, arch, 0x7FFFFFFF) == ABSENT
    if machine == "x86_64":
        assert verdict(program, arch, 0x40000000 | 59) == verdict(program, arch, 0x40000000) == ABSENT


@pytest.mark.parametrize("machine, arch", [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_the_filter_looks_at_arguments(machine: str, arch: int) -> None:
    column, program = ["x86_64", "aarch64"].index(machine), seccomp.program(machine)
    number = {row.name: row.numbers[column] for row in seccomp.BY_ARGUMENT}
    other = os.getpid() + 1
    for name, arguments, allowed in (
        ("socket", (1,), True), ("socket", (2,), False), ("socket", (10,), False), ("socket", (16,), False),
        ("socket", (1 << 32 | 2,), False), ("socketpair", (1,), True), ("socketpair", (2,), False),
        ("clone", (0x3D0F00,), True), ("clone", (17,), False), ("clone", (0x01200011,), False),
        ("mmap", (0, 4096, 3), True), ("mmap", (0, 4096, 5), True), ("mmap", (0, 4096, 7), False),
        ("mprotect", (0, 4096, 3), True), ("mprotect", (0, 4096, 4), False), ("pkey_mprotect", (0, 1, 5), False),
        ("prctl", (4, 1), False), ("prctl", (15, 0), True), ("ioctl", (0, 0x5412), False), ("ioctl", (0, 0x5401), True),
        ("ioctl", (0, 1 << 32 | 0x5412), False), ("kill", (os.getpid(), 9), True), ("kill", (other, 9), False),
        ("kill", (0xFFFFFFFF, 9), False), ("tgkill", (os.getpid(), 1, 6), True), ("tgkill", (other, 1, 6), False),
    ):
        said = verdict(program, arch, number[name] or 0, *arguments)
        assert said == (ALLOWED if allowed else REFUSED), (name, arguments)


# -- files


def test_only_the_pool_and_what_the_interpreter_reads(tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/file").write_text("somebody else's")
    told = inside(tmp_path / "home", """
        beside = os.path.dirname(home) + "/beside"
        make = lambda path: tried(lambda: os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)))
        read = lambda path: tried(lambda: os.close(os.open(path, os.O_RDONLY)))
        import hsm.confinement
        package = os.path.dirname(hsm.confinement.__file__)
        print(json.dumps({
            "own": make(home + "/new"), "own renamed": tried(lambda: os.rename(home + "/new", home + "/newer")),
            "own shorter": tried(lambda: os.truncate(home + "/newer", 0)),
            "own gone": tried(lambda: os.unlink(home + "/newer")), "package": read(package + "/kernel.py"),
            "random": make("/dev/urandom"),
            "beside read": read(beside + "/file"), "beside listed": tried(lambda: os.listdir(beside)),
            "beside made": make(beside + "/new"), "beside gone": tried(lambda: os.unlink(beside + "/file")),
            "beside moved": tried(lambda: os.rename(beside + "/file", home + "/file")),
            "beside linked": tried(lambda: os.link(beside + "/file", home + "/file")),
            "package written": tried(lambda: os.open(package + "/kernel.py", os.O_WRONLY)),
            "package's neighbour": make(package + "/new.py"),
            "hostname": read("/etc/hostname"), "root's": read("/etc/shadow"), "tmp": make("/tmp/adyton-not-there"),
            "device": tried(lambda: os.mknod(home + "/device", 0o020600, 0x103)),
            "folder": tried(lambda: os.mkdir(home + "/folder")), "link": tried(lambda: os.symlink("/", home + "/link")),
            "door": tried(lambda: socket.socket(socket.AF_UNIX).bind(home + "/door")),
        }))
    """)
    done = {name for name, code in told.items() if code == "done"}
    assert done == {"own", "own renamed", "own shorter", "own gone", "package", "random"}
    assert set(told.values()) - {"done"} <= {"EACCES", "EPERM", "EXDEV"}


def test_nobody_else_is_signalled(tmp_path: Path) -> None:
    told = inside(tmp_path / "home", """
        import signal
        found = {f"{name} {pid}": tried(lambda: os.kill(pid, 0)) for name, pid in (
            ("parent", os.getppid()), ("group", 0), ("all", -1), ("init", 1))}
        found["by descriptor"] = tried(lambda: signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0))
        found["own"] = tried(lambda: os.kill(os.getpid(), 0))
        found["thread"] = tried(lambda: signal.pthread_kill(threading.main_thread().ident, 0))
        print(json.dumps(found))
    """)
    assert {name for name, code in told.items() if code == "done"} == {"own", "thread"}
    assert set(told.values()) == {"done", "EPERM"}


def test_an_older_kernel_rules_less_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []

    def call(number: int, *arguments: Any) -> int:
        if number == kernel.LANDLOCK_CREATE_RULESET:
            asked.append(struct.unpack(f"={arguments[1] // 8}Q", arguments[0].raw))
            return os.open("/dev/null", os.O_RDONLY)
        return 0

    monkeypatch.setattr(kernel, "call", call)
    for version in range(1, 8):
        monkeypatch.setattr(landlock, "abi", lambda version=version: version)
        landlock.restrict([landlock.Rule("/", landlock.WRITE)])
    sizes = [len(words) for words in asked]
    assert sizes == [1, 1, 1, 2, 2, 3, 3]
    assert [words[0].bit_length() for words in asked] == [13, 14, 15, 15, 16, 16, 16]
    assert [len(landlock.missing(version)) for version in range(0, 8)] == [6, 5, 4, 3, 2, 1, 0, 0]


# -- the real engine, and what other programs of its user do to it


OUTSIDE = """
import ctypes, errno, json, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def tried(what):
    try:
        what()
        return "done"
    except OSError as fault:
        return errno.errorcode[fault.errno]
def called(answer):
    if answer == -1:
        raise OSError(ctypes.get_errno(), "")
read = lambda name: tried(lambda: open(f"/proc/{pid}/{name}", "rb").read(1))
class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
room = ctypes.create_string_buffer(64)
here, there = IoVec(ctypes.addressof(room), 64), IoVec(0x400000, 64)
pidfd = os.pidfd_open(pid)
print(json.dumps({
    "mem": read("mem"), "environ": read("environ"), "maps": read("maps"), "auxv": read("auxv"), "stack": read("stack"),
    "descriptors": tried(lambda: os.readlink(f"/proc/{pid}/fd/2")),
    "files": tried(lambda: os.open(f"/proc/{pid}/fd/2", os.O_RDONLY)),
    "cwd": tried(lambda: os.readlink(f"/proc/{pid}/cwd")),
    "map_files": tried(lambda: os.listdir(f"/proc/{pid}/map_files")),
    "attach": tried(lambda: called(libc.ptrace(16, pid, None, None))),
    "seize": tried(lambda: called(libc.ptrace(0x4206, pid, None, None))),
    "readv": tried(lambda: called(libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))),
    "writev": tried(lambda: called(libc.process_vm_writev(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))),
    "getfd": tried(lambda: called(libc.syscall(438, pidfd, 3, 0))),
}))
"""


def same_user() -> list[str]:
    """Words before a command, that take root's rights away from it and leave the user."""
    if os.geteuid():
        return []
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"]


def try_on(pid: int) -> Any:
    done = subprocess.run(
        [*same_user(), sys.executable, "-I", "-c", OUTSIDE, str(pid)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_program_of_its_user_reads_the_engine_or_its_warden(adyton_token: ThrowAway) -> None:
    assert adyton_token._engine is not None
    engine = adyton_token._engine.pid
    [warden] = map(int, Path(f"/proc/{engine}/task/{engine}/children").read_text().split())
    for pid in (engine, warden):
        told = try_on(pid)
        assert set(told.values()) <= {"EPERM", "EACCES"}, told
    # One that is not closed is read: what is tried here does something. (Yama may keep others from its memory.)
    with subprocess.Popen([*same_user(), "sleep", "60"]) as other:
        told = try_on(other.pid)
        other.kill()
    assert told["environ"] == told["descriptors"] == told["cwd"] == "done"


def status_of(pid: int) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskPool]:
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    made = DiskPool(tmp_path / "pool", CHEAP)
    yield made
    made.stop()


def measures() -> dict[str, dict[str, Any]]:
    with connect(start=True) as client:
        return {row["measure"]: row for row in client.ask("security")["measures"]}


def test_an_engine_of_the_library_s_is_shut_in_before_it_answers(pool: DiskPool) -> None:
    with initialised(str(MODULE)):
        told = measures()
        pid = pool.engines()[-1]
        assert {name for name, row in told.items() if row["ours"] and row["in_force"] == "no"} == set()
        for task in Path(f"/proc/{pid}/task").iterdir():  # those of the log and of this connection too
            status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines())
            assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert "not in force" not in pool.log()


def test_a_library_that_is_preloaded_into_the_program_is_not_in_the_engine(tmp_path: Path) -> None:
    """LD_PRELOAD, and what Python would read, are the program's, not the engine's."""
    source, library, told = tmp_path / "spy.c", tmp_path / "spy.so", tmp_path / "told"
    source.write_text(
        "#include <stdio.h>\n#include <unistd.h>\n__attribute__((constructor)) static void here(void)\n"
        f'{{ FILE *f = fopen("{told}", "a"); if (f) {{ fprintf(f, "%d\\n", (int)getpid()); fclose(f); }} }}\n'
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    home = tmp_path / "pool"
    program = (
        "import ctypes, sys\nm = ctypes.CDLL(sys.argv[1])\nn = ctypes.c_ulong()\n"
        "assert m.C_Initialize(None) == 0 and m.C_GetSlotList(0, None, ctypes.byref(n)) == 0"
    )
    (tmp_path / "sitecustomize.py").write_text(f"open({str(told)!r}, 'a').write('python')")
    try:
        subprocess.run(
            [sys.executable, "-c", program, str(MODULE)], check=True, timeout=60,
            env={**os.environ, "LD_PRELOAD": str(library), "ADYTON_HOME": str(home), "PYTHONPATH": str(tmp_path)},
        )
        [engine] = DiskPool(home).engines()
        loaded = told.read_text()
        assert loaded.count("python") == 1 and str(engine) not in loaded.split()
    finally:
        DiskPool(home).stop()


# -- what is missing is said


@pytest.mark.parametrize("before, measure, word", [
    ("def none(*_):\n    raise OSError(38, 'none')\nfrom hsm.confinement import landlock\nlandlock.restrict = none",
     "files", "this kernel has none"),
    ("def none(*_):\n    raise OSError(95, 'off')\nfrom hsm.confinement import landlock\nlandlock.restrict = none",
     "files", "switched off"),
    ("from hsm.confinement import seccomp\nseccomp.why_not = lambda: 'there is no filter for this machine (vax)'",
     "system calls", "vax"),
    ("from hsm.confinement import arena, kernel\narena.Arena._secret = lambda self: None\n"
     "def none(*_):\n    raise OSError(12, 'Cannot allocate memory')\nkernel.mlock = none", "key memory", "be swapped"),
])
def test_what_is_not_in_force_is_said_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], before: str, measure: str,
    word: str,
) -> None:
    from hsm.cli.main import main

    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    pool = DiskPool(tmp_path / "pool", f"{CHEAP}\n{before}")
    try:
        row = measures()[measure]
        assert row["in_force"] == "no" and word in row["found"] and row["remedy"]
        assert [n for n, other in measures().items() if other["ours"] and other["in_force"] == "no"
                and n != "what runs"] == [measure]
        assert main(["status"]) == 0
        said = capsys.readouterr().out
        assert re.search(f"problem  not in force: {measure}: .*{word}", said)
        assert main(["status", "--security"]) == 0
        assert re.search(f"^no +{measure} .*{word}", capsys.readouterr().out, re.MULTILINE)
        assert f"not in force: {measure}: " in pool.log()
        with initialised(str(MODULE)) as m:  # and it serves
            assert m.token(0).flags & ck.CKF_RNG
    finally:
        pool.stop()


# -- the unit


@pytest.mark.long
def test_systemd_finds_little_to_close(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hsm.cli.main import main

    for kind in ("service", "socket"):
        assert main(["serve", "--print-unit", kind]) == 0
        unit = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", capsys.readouterr().out)
        (tmp_path / f"adyton.{kind}").write_text(unit)
    unit = str(tmp_path / "adyton.service")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert done.stdout + done.stderr == "" and done.returncode == 0
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=10", unit], capture_output=True, text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- the arena


@pytest.mark.parametrize("secret", [True, False])
def test_a_key_is_overwritten_when_nobody_holds_it(monkeypatch: pytest.MonkeyPatch, secret: bool) -> None:
    """In either kind of memory, also where one key after another needs more of it."""
    if not secret:
        monkeypatch.setattr(Arena, "_secret", lambda self: None)
    arena = Arena()
    key = arena.random()
    assert bytes(key) != bytes(CELL) and arena.held == 1 and arena.locked
    again, whole = key, key.obj
    place = bytes(whole).index(bytes(key))
    del key
    assert arena.held == 1 and bytes(again) != bytes(CELL), "it goes while it is held"
    del again
    assert arena.held == 0 and bytes(whole)[place : place + CELL] == bytes(CELL)
    many = [arena.keep(number.to_bytes(CELL, "big")) for number in range(1000)]
    assert [int.from_bytes(view, "big") for view in many] == list(range(1000)) and arena.bytes >= 1000 * CELL


def test_keys_are_nobody_else_s(tmp_path: Path) -> None:
    """Not a forked child's, who has memory of its own; where the kernel gives secret memory, not root's either."""
    program = """
        import os, sys
        sys.path.insert(0, sys.argv[1])
        from hsm.confinement.arena import ARENA
        key = ARENA.random()
        copy = bytes(key)
        child = os.fork()
        if child == 0:
            own = ARENA.random()
            os._exit(0 if bytes(own) != copy and ARENA.held == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert bytes(key) == copy
        if "memfd_secret" in ARENA.kind:
            import ctypes
            address = ctypes.addressof(ctypes.c_char.from_buffer(key))
            with open("/proc/self/mem", "rb", buffering=0) as memory:
                memory.seek(address)
                try:
                    assert memory.read(32) != copy
                except OSError:
                    pass
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(ROOT)], check=True, timeout=60)


# -- the version that runs is the one that began


def test_an_engine_that_serves_has_imported_all_of_itself() -> None:
    """So that a package which is upgraded under it does not mix into it."""
    program = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from hsm.server import launcher
        from hsm.confinement import process, measures
        from hsm.mechanisms import rsa_check
        import hsm.config, hsm.pool, hsm.server.listener, hsm.audit.keeping, hsm.log
        from hsm.server import preloaded
        preloaded.load()
        print(*sorted(name for name in sys.modules if name.startswith("hsm")))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    there = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "hsm").rglob("*.py")
    }
    elsewhere = {"hsm.client", "hsm.throwaway", "hsm.testing", "hsm.mechanisms.libcrypto", "hsm.audit.verify",
                 "hsm.access.calls"}  # the last is there to be read, by people and by tests
    late = {name for name in there - set(done.stdout.split()) - elsewhere if not name.startswith("hsm.cli")}
    assert late == set()


def test_it_works_in_there(adyton_token: ThrowAway) -> None:
    """What reads late, starts threads or asks the machine: an import, a generated key, seeds, a second login."""
    with logged_in(adyton_token) as (m, s):
        assert m.C_SeedRandom(s, b"seed", 4) == ck.CKR_OK
        m.aes(s)
