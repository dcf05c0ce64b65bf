"""Every environment that the module meets: it works there, or answers a precise code, and the words are to be had."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cryptography
import pytest
from abi import NULL, ffi, good, initialised, name
from apart import adyton, apart, make_token, status, tool

from hsm.client import MODULE
from pkcs11_shim import constants as ck
from pkcs11_shim.build import ROOT

# Pieces of programs that run apart: a token with a key, a session `s` of the user, and what is done there.
BEGIN = """
    def start():
        m = Module(str(MODULE)); good(m.C_Initialize(NULL))
        return m
    def user():
        s = m.session(); good(m.login(s, "123456"))
        return s
    def sign():
        key = m.find(s, {ck.CKA_LABEL: b"first"})[0]
        rv, out = m.use("Sign", s, m.mechanism(ck.CKM_SHA256_HMAC), key, b"signed"); good(rv)
        return out
    def note(label):
        rows = {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_TOKEN: True, ck.CKA_LABEL: label, ck.CKA_VALUE: bytes(8192)}
        return name(m.create(s, rows)[0])
    disk("disk"); disk("run"); os.environ["ADYTON_HOME"] = os.path.abspath("disk/pool")
    make_token(); m = start(); s = user()
    rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"first"}
    good(m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, rows)[0]); sign()  # its first use is written down here
    m.aes(s, token=True, label=b"many-uses")
    def first_use():  # takes uses away, which has to be written down
        key = m.find(s, {ck.CKA_LABEL: b"many-uses"})[0]
        return name(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, bytes(16))[0])
"""
READ_ONLY = """
    m = start()
    info = ffi.new("CK_TOKEN_INFO*"); good(m.C_GetTokenInfo(0, info))
    assert info.flags & ck.CKF_WRITE_PROTECTED
    handle = ffi.new("CK_SESSION_HANDLE*")
    rv = m.C_OpenSession(0, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION, NULL, NULL, handle)
    assert name(rv) == "CKR_TOKEN_WRITE_PROTECTED"
    assert name(m.C_InitToken(0, b"12345678", 8, m.bytes(b"other".ljust(32)))) == "CKR_TOKEN_WRITE_PROTECTED"
    s = m.session(read_write=False)
    assert name(m.login(s, "wrong-one")) == "CKR_PIN_INCORRECT"
    good(m.login(s, "123456"))
    sign()
    assert first_use() == "CKR_DEVICE_ERROR" and "read-only disk" in adyton("explain")
    assert note(b"no") == "CKR_SESSION_READ_ONLY"
    assert "read-only" in status()["problems"][0] and status()["socket"].startswith(os.path.abspath("run"))
    assert "CKR_TOKEN_WRITE_PROTECTED" in adyton("partition", "create", "--label", "x", status=1, **PINS)
    good(m.C_Finalize(NULL))
"""
WRITABLE = """
    read_only("disk", on=False)
    m = start(); s = user()
    assert note(b"again") == "CKR_OK"
    assert status()["problems"] == [] and status()["socket"] == os.path.abspath("disk/pool/socket")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pool's folder that is not there yet; its engine, if one comes up, is ended."""
    folder = tmp_path / "pool"
    monkeypatch.setenv("ADYTON_HOME", str(folder))
    yield folder
    if folder.is_dir() and os.access(folder, os.W_OK):
        adyton("stop", status=None)


def no_token() -> None:
    """What a program sees where no engine is to be had: the library, and no slot."""
    with initialised(str(MODULE)) as m:
        count = ffi.new("CK_ULONG*", 7)
        good(m.C_GetSlotList(0, NULL, count))
        assert count[0] == 0
        assert name(m.C_GetInfo(ffi.new("CK_INFO*"))) == "CKR_OK"
        session = ffi.new("CK_SESSION_HANDLE*")
        rv = m.C_OpenSession(0, ck.CKF_SERIAL_SESSION, NULL, NULL, session)
        assert name(rv) in ("CKR_DEVICE_REMOVED", "CKR_SLOT_ID_INVALID")


def test_without_runtime_directory_and_home(tmp_path: Path) -> None:
    """The pool is in the home that the password file names."""
    apart(tmp_path, """
        own = os.path.abspath("own"); os.mkdir(own)
        line = f"root:x:0:0::{own}:/bin/sh\\n"
        open("passwd", "w").write(line); mount("--bind", "passwd", "/etc/passwd")
        os.environ.pop("HOME", None)
        tool("--init-token", "--slot", "0", "--label", "homeless", "--so-pin", "12345678")
        assert status()["pool"] == f"{own}/.local/share/adyton", status()
    """)


def test_a_read_only_home(tmp_path: Path) -> None:
    apart(tmp_path, """
        from test_places import no_token
        disk("own"); os.environ["HOME"] = os.path.abspath("own"); read_only("own")
        no_token()
        assert "read-only" in status(code=1)["problems"][0]
        for words in (("partition", "list"), ("explain",)):
            assert "read-only" in adyton(*words, status=1) and "ADYTON_HOME" in adyton(*words, status=1)
    """)


def test_a_full_disk_before_the_first_start(tmp_path: Path) -> None:
    apart(tmp_path, """
        from test_places import no_token
        disk("small", "64k"); os.environ["ADYTON_HOME"] = os.path.abspath("small/pool")
        os.mkdir("small/pool", 0o700); fill("small")
        no_token()
        assert "full" in status(code=1)["problems"][0], status(code=1)
        mount("-o", "remount,size=4m", "small")
        make_token()
        assert [row["label"] for row in status()["partitions"]] == ["kept"]
    """)


def test_a_full_disk_under_a_running_engine(tmp_path: Path) -> None:
    """Keys and logins go on, a change says CKR_DEVICE_MEMORY, and is taken again once there is room."""
    apart(tmp_path, BEGIN, """
        before = sign()
        fill("disk")
        assert sign() == before
        codes = [note(b"%d" % n) for n in range(3)]
        assert codes == ["CKR_DEVICE_MEMORY"] * 3, codes
        assert "full" in status()["problems"][0]
        assert "the disk is full" in adyton("explain")
        assert m.find(s, {ck.CKA_CLASS: ck.CKO_DATA}) == []
        assert "first" in tool("--login", "--pin", "123456", "-O")
        tool("--login", "--pin", "wrong-one", "-O", code=1)
        assert "count low" in tool("-L")
        os.unlink("disk/filling")
        assert note(b"later") == "CKR_OK"
        assert status()["problems"] == []
        adyton("stop")
        seen = tool("--login", "--pin", "123456", "-O")
        assert "later" in seen and "first" in seen
    """)


def test_a_full_disk_before_a_later_start(tmp_path: Path) -> None:
    apart(tmp_path, BEGIN, """
        good(m.C_Finalize(NULL)); adyton("stop"); fill("disk")
        m = start(); s = user(); sign()
        assert first_use() == "CKR_DEVICE_MEMORY"
        assert note(b"no room") == "CKR_DEVICE_MEMORY"
        os.unlink("disk/filling")
        assert note(b"room") == "CKR_OK"
    """)


def test_a_read_only_disk(tmp_path: Path) -> None:
    """Keys are used, the token says it is write-protected; the socket is in the runtime directory meanwhile."""
    apart(tmp_path, BEGIN, """
        good(m.C_Finalize(NULL)); adyton("stop"); read_only("disk")
        assert "No slots" in tool("-L", code=1) and "XDG_RUNTIME_DIR" in status(code=1)["problems"][0]
        os.environ["XDG_RUNTIME_DIR"] = os.path.abspath("run")
    """, READ_ONLY, WRITABLE)


def test_a_disk_made_read_only_after_the_engine_was_killed(tmp_path: Path) -> None:
    """What was acknowledged last lies in SQLite's log, which can't be applied there."""
    apart(tmp_path, BEGIN, """
        import select
        os.environ["XDG_RUNTIME_DIR"] = os.path.abspath("run")
        engine = os.pidfd_open(status()["engine"]["pid"])
        good(m.C_Finalize(NULL))
        signal.pidfd_send_signal(engine, signal.SIGKILL); select.select([engine], [], [])
        assert os.path.getsize("disk/pool/pool.db-wal")
        read_only("disk")
    """, READ_ONLY, WRITABLE)


def test_a_read_only_disk_without_a_pool(tmp_path: Path) -> None:
    apart(tmp_path, """
        from test_places import no_token
        disk("disk"); disk("run"); os.environ["XDG_RUNTIME_DIR"] = os.path.abspath("run")
        os.environ["ADYTON_HOME"] = os.path.abspath("disk/pool")
        os.mkdir("disk/pool", 0o700); read_only("disk")
        no_token()
        assert "read-only disk, with no pool on it" in status(code=1)["problems"][0]
        assert "adyton: no engine for" in open(next(Path("run").glob("adyton-*")) / "engine.log").read()
    """)


def test_a_folder_that_others_may_write(home: Path) -> None:
    home.mkdir()
    for mode in (0o770, 0o707):
        home.chmod(mode)
        no_token()
        assert "chmod 700" in status(code=1)["problems"][0]
        assert "chmod 700" in adyton("partition", "list", status=1)
    assert list(home.iterdir()) == []
    home.chmod(0o700)
    make_token()


def test_a_folder_of_another_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        home.mkdir(0o700)
        os.chown(home, 12345, 12345)
    else:
        home = Path("/usr/lib")
        monkeypatch.setenv("ADYTON_HOME", str(home))
    no_token()
    assert "belongs to another user" in status(code=1)["problems"][0]
    assert "belongs to another user" in adyton("partition", "list", status=1)
    assert not (home / "lock").exists() and not (home / "socket").exists()
    if os.geteuid() == 0:
        os.chown(home, 0, 0)


def test_a_file_where_the_folder_should_be(home: Path) -> None:
    home.write_text("no folder")
    no_token()
    assert "is no folder" in status(code=1)["problems"][0]


def test_a_relative_home_is_no_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADYTON_HOME", "pool")
    monkeypatch.chdir(tmp_path)
    no_token()
    assert "whole path" in adyton("status", status=1)
    assert list(tmp_path.iterdir()) == []


def test_a_path_longer_than_a_sockets_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / ("long" * 20) / ("longer" * 15)
    assert len(str(home)) > 200
    monkeypatch.setenv("ADYTON_HOME", str(home))
    tool("--init-token", "--slot", "0", "--label", "far", "--so-pin", "12345678")
    assert status()["partitions"][0]["label"] == "far"
    adyton("stop")
    monkeypatch.setenv("TMPDIR", str(home))
    assert "far away" in adyton("run", "--label", "far away", "--", "pkcs11-tool", "--module", str(MODULE), "-L")


SETTINGS = {
    "idle-timeout: 5": "is not a setting",
    "idle-timeout = soon": "give seconds",
    "idle-timeout = -1": "give seconds",
    "max-sessions = few": "give a number",
    "max-rw-sessions = -1": "give a number",
    "uids = nobody-of-that-name": "no user of this machine",
    "uids = ,": "names no user",
    "gids = \u00b2": "no group of this machine",
    "python = /nowhere/python": "can't be run",
    "\ufeff\x00": "is not a setting",
}


@pytest.mark.parametrize("line", SETTINGS)
def test_broken_settings(home: Path, line: str) -> None:
    """No token, and status, the log and every command that needs an engine say which line."""
    home.mkdir(0o700)
    (home / "adyton.conf").write_text(f"# settings\n{line}\n")
    no_token()
    assert SETTINGS[line] in status(code=1)["problems"][0]
    assert SETTINGS[line] in adyton("config", "show", status=1)
    assert SETTINGS[line] in adyton("partition", "list", status=1)
    log = (home / "engine.log").read_text()
    assert log.startswith("adyton: no engine for ") and ("adyton.conf" in log)
    (home / "adyton.conf").write_text("idle-timeout = 30 # seconds\n")
    make_token()
    shown = adyton("config", "show")
    assert f"into {home}/adyton.conf" in shown
    assert "30" in shown and str(home / "adyton.conf") in shown


def test_settings_broken_under_an_engine(home: Path) -> None:
    """It serves with those that it read, and status says that the next one won't."""
    make_token()
    (home / "adyton.conf").write_text("idle-timeuot = 5\n")
    told = status()
    assert told["engine"] and "will not start again" in told["problems"][0] and "idle-timeuot" in told["problems"][0]


def test_a_failed_start_is_told_with_its_time(home: Path) -> None:
    """Settings that have been mended since are not the next start's problem."""
    home.mkdir(0o700)
    (home / "adyton.conf").write_text("idle-timeout = soon\n")
    no_token()
    (home / "adyton.conf").unlink()
    told = status(code=1)["problems"][0]
    assert re.search(r"last start, at \d\d:\d\d:\d\d on .* failed: .*soon", told) and "If that is mended" in told
    make_token()
    assert status()["problems"] == []


def test_a_disk_that_counts_no_blocks_is_not_full(tmp_path: Path) -> None:
    apart(tmp_path, """
        disk("disk", "0"); os.environ["ADYTON_HOME"] = os.path.abspath("disk/pool")
        assert os.statvfs("disk").f_blocks == 0 and status()["problems"] == []
        make_token()
        assert status()["problems"] == []
        adyton("stop")
    """)


def test_settings_of_the_whole_machine(tmp_path: Path) -> None:
    """/etc/adyton/adyton.conf: the pool's folder, and defaults that a pool's own file overrides."""
    apart(tmp_path, """
        os.makedirs("etc/adyton"); disk("over"); os.makedirs("over/up"); os.makedirs("over/work")
        mount("-t", "overlay", "-o", "lowerdir=/etc,upperdir=over/up,workdir=over/work", "overlay", "/etc")
        os.mkdir("/etc/adyton")
        own = os.path.abspath("own")
        open("/etc/adyton/adyton.conf", "w").write(f"home = {own}\\nidle-timeout = 40\\n")
        make_token()
        assert status()["pool"] == own
        rows = {row["setting"]: row for row in json.loads(adyton("config", "show", "--json"))}
        assert rows["home"]["from"] == "/etc/adyton/adyton.conf"
        assert rows["idle-timeout"]["value"] == "40" and rows["idle-timeout"]["from"] == "/etc/adyton/adyton.conf"
        assert rows["uids"]["from"] == "default"
        open("own/adyton.conf", "w").write("idle-timeout = 50\\n")
        rows = {row["setting"]: row for row in json.loads(adyton("config", "show", "--json"))}
        assert rows["idle-timeout"]["value"] == "50" and rows["idle-timeout"]["from"] == f"{own}/adyton.conf"
    """)


# -- packages that are not whole, or of another version


def copy_of_package(folder: Path, version: str = "", *, needs: bool = True) -> Path:
    """The package in a site folder of its own, with this interpreter in reach; built anew where it has a version."""
    for part in ("hsm", "pkcs11_shim"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    # Without what an editable installation would fill the gaps from.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    own = next((folder / ".venv/lib").glob("python*/site-packages"))
    (own / "needs.pth").write_text(str(Path(cryptography.__file__).parent.parent) if needs else "")
    if version:
        told = folder / "hsm/__init__.py"
        ours = told.read_text()
        told.write_text(ours[: ours.index("__version__")] + f'__version__ = "{version}"\n')
        shutil.copytree(ROOT / "c_src", folder / "c_src")
        subprocess.run([sys.executable, "-m", "pkcs11_shim.build"], cwd=folder, check=True, capture_output=True)
    return folder


def slots_of(library: Path) -> int:
    with initialised(str(library)) as m:
        count = ffi.new("CK_ULONG*")
        good(m.C_GetSlotList(0, NULL, count))
        return int(count[0])


@pytest.mark.parametrize("part", ["hsm/server/launcher.py", "hsm/store", "hsm/config.py", "pkcs11_shim/constants.py"])
def test_a_package_half_removed(home: Path, tmp_path: Path, part: str) -> None:
    site = copy_of_package(tmp_path / "site")
    shutil.rmtree(site / part) if (site / part).is_dir() else (site / part).unlink()
    assert slots_of(site / "pkcs11_shim" / MODULE.name) == 0
    assert "install adyton again" in (home / "engine.log").read_text()
    assert "install adyton again" in status(code=1)["problems"][0]


def test_a_package_whose_needs_are_missing(home: Path, tmp_path: Path) -> None:
    """An interpreter without cryptography: the words name both."""
    site = copy_of_package(tmp_path / "site", needs=False)
    assert slots_of(site / "pkcs11_shim" / MODULE.name) == 0
    told = status(code=1)["problems"][0]
    assert "cryptography" in told or "cffi" in told or "pyasn1" in told
    assert f"{site}/.venv/bin/python" in told


def test_no_interpreter(home: Path, tmp_path: Path) -> None:
    home.mkdir(0o700)
    script = tmp_path / "python"
    script.write_text("#!/nowhere/interpreter\n")
    script.chmod(0o700)
    (home / "adyton.conf").write_text(f"python = {script}\n")
    no_token()
    told = status(code=1)["problems"][0]
    assert f"{script} can't be started: No such file" in told


def test_a_library_that_is_linked_elsewhere(home: Path, tmp_path: Path) -> None:
    """The interpreter and the package are found beside what the link leads to."""
    link = tmp_path / "elsewhere.so"
    link.symlink_to(MODULE)
    done = subprocess.run(
        ["pkcs11-tool", "--module", link.name, "-L"], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
    )
    assert "uninitialized" in done.stdout


def test_engines_and_libraries_of_other_versions(home: Path, tmp_path: Path) -> None:
    newer = copy_of_package(tmp_path / "site", "9.9.9") / "pkcs11_shim" / MODULE.name
    make_token()
    with initialised(str(MODULE)) as m:
        m.session()
        ours = status()["engine"]
        assert slots_of(newer) == 1
        assert status()["engine"] == ours  # busy: it serves the newer library too
    while status()["engine"]["applications"]:
        pass
    assert slots_of(newer) == 1
    theirs = status()["engine"]
    assert theirs["version"] == "9.9.9" and theirs["pid"] != ours["pid"]
    assert slots_of(MODULE) == 1  # older, and served
    assert status()["engine"]["pid"] == theirs["pid"]


def test_an_engine_of_another_protocol(home: Path, tmp_path: Path) -> None:
    site = copy_of_package(tmp_path / "site")
    listener = site / "hsm/server/listener.py"
    listener.write_text(listener.read_text().replace("MAJOR, MINOR = 1, 0", "MAJOR, MINOR = 2, 0"))
    home.mkdir(0o700)
    engine = subprocess.Popen(
        [sys.executable, "-m", "hsm.cli.main", "serve"], cwd=site, stderr=subprocess.PIPE, text=True
    )
    try:
        assert engine.stderr is not None and "serves" in engine.stderr.readline()
        no_token()
        told = status(code=1)["problems"][0]
        assert f"engine {engine.pid} " in told and "another protocol" in told and "Upgrade" in told
        assert "another protocol" in adyton("partition", "list", status=1)
    finally:
        engine.send_signal(signal.SIGTERM)
        engine.wait(30)
