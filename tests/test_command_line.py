"""``adyton``, each command as a process: what it prints, its JSON, its errors, and what it leaves behind."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, ffi, good, initialised, name
from apart import PINS, adyton, apart, make_token, status, tool

from hsm import __version__
from hsm.cli.main import COMMANDS, _parser
from hsm.client import MODULE
from pkcs11_shim import constants as ck

ADYTON = [sys.executable, "-m", "hsm.cli.main"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path / "pool"
    monkeypatch.setenv("ADYTON_HOME", str(folder))
    for variable in PINS:
        monkeypatch.delenv(variable, raising=False)
    yield folder
    adyton("stop", status=None)


def partitions() -> list[dict[str, Any]]:
    return list(json.loads(adyton("partition", "list", "--json")))


# -- help and errors


@pytest.mark.parametrize("command", COMMANDS, ids=lambda row: str(row.words))
def test_help_of_each_command_has_its_example(command: Any) -> None:
    said = adyton(*command.words.split(), "--help")
    assert f"example: {command.example}" in said and command.meaning in said
    assert command.function().__module__.startswith("hsm.cli.")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda row: str(row.words))
def test_examples_are_commands_and_what_tells_something_tells_it_as_json(command: Any) -> None:
    words = shlex.split(command.example)
    if words[0] == "adyton":
        words = words[1 : words.index(">")] if ">" in words else words[1:]
        assert _parser().parse_args(words).row is command
    speaks = any(names == ("--json",) for names, _ in command.arguments)
    assert speaks is (command.words not in ("module-path", "serve", "run"))


def test_help_names_every_command_and_version_is_told() -> None:
    said = adyton("--help")
    assert all(row.words.split()[0] in said for row in COMMANDS)
    assert 'example: pkcs11-tool --module "$(adyton module-path)" --init-token --slot 0 --label demo\n' in said
    assert adyton("--version") == f"adyton {__version__}\n"
    assert "usage" in adyton(status=2) and "invalid choice" in adyton("no-such-command", status=2)


def test_module_path_imports_no_cryptography() -> None:
    assert adyton("module-path") == f"{MODULE}\n"
    code = "import sys; from hsm.cli.main import main; main(['module-path']); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'hsm.client'" in loaded
    heavy = ("cryptography", "sqlite3", "cffi", "ctypes", "subprocess")
    assert not [name for name in heavy if f"'{name}'" in loaded]


FAILURES: dict[tuple[str, ...], str] = {
    ("partition", "create"): "--label, or --blank",
    ("partition", "create", "--label", "x", "--blank"): "give --label or --blank, not both",
    ("partition", "create", "--label", "x" * 33): "32 bytes at most",
    ("partition", "create", "--label", "x"): "no SO PIN was given: set ADYTON_SO_PIN",
    ("partition", "create", "--label", "x", "--so-pin-file", "/nowhere"): "/nowhere: No such file",
    ("partition", "create", "--label", "x", "--so-pin-file", sys.executable): "is not a text file",
    ("partition", "show", "7"): "there is no partition 7; there are: 0",
    ("partition", "delete", "7", "--yes"): "there is no partition 7; there are: 0",
    ("partition", "delete", "0"): "add --yes",
    ("run", "--", "/nowhere/command"): "can't be run: No such file",
    ("run", "--pin", "12", "--", "true"): "a PIN has 4 to 255 bytes",
    ("run", "--label", "x" * 33, "--", "true"): "32 bytes at most",
    ("run",): "no command to run",
    ("install-module", "--dir", "/proc/nowhere"): "Give a folder you may write to",
}


@pytest.mark.parametrize("words", FAILURES, ids=" ".join)
def test_errors_say_what_why_and_what_next(home: Path, words: tuple[str, ...]) -> None:
    said = adyton(*words, status=None)
    assert FAILURES[words] in said and said.startswith("adyton: ")
    for wrong, why in (("12", "has 4 to 255 bytes"), ("1" * 256, "has 4 to 255 bytes"), ("\udc80" * 4, "is text")):
        pins = {"ADYTON_PIN": wrong, "ADYTON_SO_PIN": "12345678"}
        assert f"a PIN {why}" in adyton("partition", "create", "--label", "x", status=1, **pins)
    assert partitions()[0]["initialised"] is False and len(partitions()) == 1


def test_errors_are_json_where_json_is_asked_for(home: Path) -> None:
    done = subprocess.run([*ADYTON, "partition", "show", "7", "--json"], capture_output=True, text=True)
    assert done.returncode == 1 and "no partition 7" in json.loads(done.stdout)["error"]


def test_a_reader_that_goes_away_is_no_error(home: Path) -> None:
    with subprocess.Popen([*ADYTON, "partition", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        assert listing.stdout is not None and listing.stderr is not None
        listing.stdout.close()
        assert listing.stderr.read() == b""


# -- status, explain, stop, config


def test_status_tells_what_is_there(home: Path) -> None:
    told = status()
    assert told["engine"] is None and told["pool"] == str(home) and told["pool_from"] == "ADYTON_HOME"
    assert told["problems"] == [] and told["module"] == str(MODULE) and not home.exists()
    make_token("payments")
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, PINS["ADYTON_PIN"]))
        m.aes(s, token=True)
        told = status()
        assert told["socket"] == f"{home}/socket" and told["version"] == told["engine"]["version"] == __version__
        assert told["sessions"] == 1 and told["objects"] == 1 and told["engine"]["applications"] == 1
        assert os.readlink(f"/proc/{told['engine']['pid']}/exe") == os.path.realpath(sys.executable)
        (row,) = told["partitions"]
        assert row["label"] == "payments" and row["initialised"] and row["user_pin"] and row["open"]
        text = adyton("status")
        assert str(told["engine"]["pid"]) in text and "payments" in text and row["serial"] in text


def test_explain_gives_the_reason_of_a_refusal(home: Path) -> None:
    assert "no engine runs" in adyton("explain", status=1)
    make_token()
    with initialised(str(MODULE)) as m:
        s = m.session()
        assert name(m.login(s, "wrong-one")) == "CKR_PIN_INCORRECT"
        (row,) = json.loads(adyton("explain", "--json", "--pid", str(os.getpid())))
        assert row["function"] == "C_Login" and row["code"] == "CKR_PIN_INCORRECT" and "9 tries left" in row["reason"]
        assert "wrong-one" not in adyton("explain") and "CKR_PIN_INCORRECT" in adyton("explain")
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert json.loads(adyton("explain", "--json", "--pid", str(gone.pid))) == []


def test_explain_says_what_to_do_about_what_is_switched_off_or_was_taken_by_an_earlier_use(home: Path) -> None:
    make_token()
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, PINS["ADYTON_PIN"]))

        def why(rv: int, code: str) -> str:
            assert name(rv) == code
            return str(json.loads(adyton("explain", "--json"))[-1]["reason"])

        words = why(m.C_DigestInit(s, m.mechanism(ck.CKM_MD5)), "CKR_MECHANISM_INVALID")
        assert "CKM_MD5" in words and "--legacy on" in words
        weak = {ck.CKA_MODULUS_BITS: 1024, ck.CKA_TOKEN: True}
        rv = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, weak, {})[0]
        assert "below 2048 bits" in why(rv, "CKR_TEMPLATE_INCONSISTENT")
        key = m.aes(s, decrypt=True, wrap=True)
        iv = m.mechanism(ck.CKM_AES_CBC, bytes(16))
        good(m.use("Decrypt", s, iv, key, bytes(32))[0])
        rv = m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), key, m.aes(s, extractable=True))[0]
        assert "an earlier decrypt" in why(rv, "CKR_KEY_FUNCTION_NOT_PERMITTED")


def test_a_label_does_not_move_the_cursor(home: Path) -> None:
    make_token("\x1b[2J\u202eevil")
    assert "\x1b" not in adyton("status") and "\u202e" not in adyton("partition", "list")
    assert partitions()[0]["label"] == "\x1b[2J\u202eevil"


def test_stop_ends_once_the_engine_has(home: Path) -> None:
    assert "no engine runs" in adyton("stop")
    make_token()
    engine = os.pidfd_open(status()["engine"]["pid"])
    stopped = json.loads(adyton("stop", "--json"))["stopped"]
    assert select.select([engine], [], [], 0)[0] and stopped
    assert (home / "engine.log").read_text().endswith(f"engine {stopped} leaves\n")
    assert [row["label"] for row in partitions()] == ["kept"]


# -- partitions and slots


def test_an_empty_pool_is_initialised_without_starting_anything(home: Path) -> None:
    """One slot, 0, whose number and serial number outlive C_InitToken; no spare one appears."""
    assert "uninitialized" in tool("-L")
    (blank,) = partitions()
    assert blank["slot"] == 0 and not blank["initialised"]
    tool("--init-token", "--slot", "0", "--label", "demo", "--so-pin", "12345678")
    tool("--login", "--login-type", "so", "--so-pin", "12345678", "--init-pin", "--pin", "123456")
    tool("--login", "--pin", "123456", "--keygen", "--key-type", "aes:32", "--label", "k")
    (made,) = partitions()
    assert made["slot"] == 0 and made["serial"] == blank["serial"] and made["label"] == "demo"
    tool("--init-token", "--slot", "0", "--label", "again", "--so-pin", "12345678")
    adyton("stop")
    (again,) = partitions()
    assert again["slot"] == 0 and again["serial"] == blank["serial"] and again["objects"] == 0


def test_partitions_come_and_go_and_numbers_are_not_used_again(home: Path) -> None:
    make_token("twin")
    made = [json.loads(adyton("partition", "create", "--label", "twin", "--json", **PINS)) for _ in range(2)]
    blank = json.loads(adyton("partition", "create", "--blank", "--json"))
    rows = partitions()
    assert [row["slot"] for row in rows] == [0, 1, 2, 3] and [row["slot"] for row in made] == [1, 2]
    assert len({row["serial"] for row in rows}) == 4 and [row["label"] for row in rows] == ["twin"] * 3 + [""]
    assert "CKR_PIN_INCORRECT" in adyton("partition", "delete", "2", "--yes", status=1, ADYTON_SO_PIN="wrong-one")
    assert json.loads(adyton("partition", "delete", "2", "--yes", "--json", **PINS)) == {"deleted": 2}
    adyton("partition", "delete", str(blank["slot"]), "--yes")
    adyton("stop")
    adyton("partition", "create", "--blank")
    after = partitions()
    assert [row["slot"] for row in after] == [0, 1, 4]
    assert [row["serial"] for row in after][:2] == [row["serial"] for row in rows][:2]
    shown = json.loads(adyton("partition", "show", "4", "--json"))
    assert shown["slot"] == 4 and not shown["initialised"] and "serial" in adyton("partition", "show", "4")
    with initialised(str(MODULE)) as m:
        m.session(0)
        assert "CKR_SESSION_EXISTS" in adyton("partition", "delete", "0", "--yes", status=1, **PINS)


def test_a_partition_is_made_whole_or_not_at_all(home: Path) -> None:
    """The engine refuses the second PIN after it has made the partition: nothing of it stays."""
    from hsm.client import Refused, connect

    make_token()
    with connect(start=True) as client, pytest.raises(Refused):
        client.ask("partition-create", label="half", so_pin="12345678", pin="1")
    with connect(start=True) as client, pytest.raises(Refused, match="officer's name"):
        client.ask("partition-create", label="half", so_pin="12345678", pin="user:123456")
    assert [row["label"] for row in partitions()] == ["kept"]
    adyton("stop")
    assert [row["label"] for row in partitions()] == ["kept"]
    with connect(start=True) as client:
        assert client.ask("partition-create", label="whole", so_pin="12345678", pin="123456")["partition"]["slot"] == 1


def test_pins_from_files(home: Path, tmp_path: Path) -> None:
    for file, pin in (("so", "12345678"), ("user", "geheim-\u00e9")):
        (tmp_path / file).write_text(f"{pin}\r\n", encoding="utf-8")
    files = ["--so-pin-file", str(tmp_path / "so"), "--pin-file", str(tmp_path / "user")]
    adyton("partition", "create", "--label", "f", *files)
    tool("--login", "--pin", "geheim-\u00e9", "-O")


def _typed(words: list[str], answers: list[str]) -> tuple[int, str]:
    """Runs the command on a terminal, and types an answer at each prompt."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*ADYTON, *words])
    said = ""
    for answer in [*answers, ""]:
        while not said.endswith(": ") or not answer:
            try:
                got = os.read(terminal, 4096)
            except OSError:
                got = b""
            if not got:
                break
            said += got.decode()
        if answer:
            os.write(terminal, f"{answer}\n".encode())
            said += "\n"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def test_pins_from_a_terminal(home: Path) -> None:
    code, said = _typed(["partition", "create", "--label", "t"], ["12345678", "12345678", "123456", "123456"])
    assert code == 0 and "12345678" not in said and "partition 0 made" in said
    code, said = _typed(["partition", "create", "--label", "u"], ["12345678", "1234567x"])
    assert code == 1 and "differ" in said
    code, said = _typed(["partition", "create", "--label", "u"], ["\x04"])
    assert code == 1 and "no SO PIN was typed" in said and "Traceback" not in said
    assert [row["label"] for row in partitions()] == ["t"]


# -- the engine's coming and going


def test_the_engine_leaves_when_idle_and_comes_back(home: Path) -> None:
    home.mkdir(0o700)
    (home / "adyton.conf").write_text("idle-timeout = 0.3\n")
    with initialised(str(MODULE)) as m:
        good(m.C_InitToken(0, b"12345678", 8, m.bytes(b"idle".ljust(32))))
        s = m.session()
        engine = os.pidfd_open(int((home / "engine.log").read_text().split()[2]))
        assert not select.select([engine], [], [], 1.5)[0]  # somebody is there
        good(m.C_CloseSession(s))
    assert select.select([engine], [], [], 30)[0]
    assert "idle" in tool("-L")
    assert (home / "engine.log").read_text().count("serves") == 2


def test_one_engine_a_pool(home: Path) -> None:
    make_token()
    said = adyton("serve", status=1)
    assert "an engine serves" in said and "adyton stop" in said
    # Nor by the back door: on a socket of its own, the second engine finds the pool taken.
    launcher = MODULE.parent.parent / "hsm/server/launcher.py"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "other"))
        listening.listen()
        command = [sys.executable, "-I", str(launcher), "--home", str(home), "--listen", str(listening.fileno())]
        done = subprocess.run(command, pass_fds=[listening.fileno()], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "another engine" in done.stderr


def test_serve_in_the_foreground(home: Path) -> None:
    with subprocess.Popen([*ADYTON, "serve"], stderr=subprocess.PIPE, text=True) as engine:
        assert engine.stderr is not None
        assert engine.stderr.readline() == f"adyton: engine {engine.pid} serves {home}\n"
        make_token()
        assert status()["engine"]["pid"] == engine.pid
        engine.send_signal(signal.SIGTERM)
        assert engine.wait(30) == 0 and "leaves" in engine.stderr.read()


def test_serve_says_in_the_foreground_why_it_cannot(home: Path) -> None:
    home.mkdir(0o700)
    (home / "adyton.conf").write_text("nonsense\n")
    assert "'nonsense' is not a setting" in adyton("serve", status=1)
    home.chmod(0o777)
    assert "chmod 700" in adyton("serve", status=1)
    home.chmod(0o700)


def test_socket_activation(home: Path, tmp_path: Path) -> None:
    """systemd's way: the socket is fd 3, LISTEN_FDS says how many, LISTEN_PID for whom."""
    home.mkdir(0o700)
    (home / "adyton.conf").write_text("idle-timeout = 0.3\n")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "socket"))
        listening.listen()
        os.set_inheritable(listening.fileno(), True)

        def begin(sockets: str) -> subprocess.Popen[str]:
            code = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid())\n"
            code += "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
            return subprocess.Popen(
                [sys.executable, "-c", code, str(listening.fileno()), *ADYTON[1:], "serve"], stderr=subprocess.PIPE,
                text=True, pass_fds=[listening.fileno()], env={**os.environ, "LISTEN_FDS": sockets},
            )

        # It leaves when idle, or is told to; the socket stays, and another is started for the next program.
        for told in (False, True, False):
            with begin("1") as engine:
                assert "uninitialized" in tool("-L")
                if told:
                    adyton("stop")
                assert engine.wait(30) == 0
        with begin("2") as engine:
            assert engine.stderr is not None and "ListenStream" in engine.stderr.read()
            assert engine.wait(30) == 1


def test_units_for_systemd() -> None:
    import configparser

    for kind, section, key in (("service", "Service", "ExecStart"), ("socket", "Socket", "ListenStream")):
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(adyton("serve", f"--print-unit={kind}").partition("adyton: the unit")[0])
        assert {"Unit", section, "Install"} <= set(unit) and unit[section][key]
    assert unit["Socket"]["ListenStream"] == "/run/adyton/socket"


# -- install-module


def test_install_module_for_p11_kit(tmp_path: Path) -> None:
    """The link works from where it lies; p11-kit finds it by the module file. An old link is replaced."""
    folder = tmp_path / "pkcs11"
    folder.mkdir()
    (folder / MODULE.name).symlink_to("/nowhere")
    for _ in range(2):
        made = json.loads(adyton("install-module", "--dir", str(folder), "--json"))
        names = {"module": MODULE.name, "p11_kit": "adyton.module", "settings": "adyton.conf"}
        assert made == {what: f"{folder}/{file}" for what, file in names.items()}
    assert os.path.realpath(made["module"]) == str(MODULE)
    assert f"module: {made['module']}" in Path(made["p11_kit"]).read_text()
    lines = Path(made["settings"]).read_text().splitlines()
    assert {"# idle-timeout = 600", "# home = /run/adyton"} <= set(lines)
    assert all(line.startswith("#") for line in lines)
    apart(tmp_path, f"""
        os.environ["ADYTON_HOME"] = os.path.abspath("pool")
        disk("over"); os.makedirs("over/up"); os.makedirs("over/work")
        mount("-t", "overlay", "-o", "lowerdir=/etc,upperdir=over/up,workdir=over/work", "overlay", "/etc")
        os.makedirs("/etc/pkcs11/modules", exist_ok=True)
        os.symlink({made["p11_kit"]!r}, "/etc/pkcs11/modules/adyton.module")
        make_token("by p11-kit")
        said = subprocess.run(["p11-kit", "list-modules"], capture_output=True, text=True, check=True).stdout
        assert "by p11-kit" in said, said
    """)


def test_a_program_without_slots_costs_nothing(home: Path) -> None:
    """C_Initialize and C_GetInfo start no engine and make no folder."""
    with initialised(str(MODULE)) as m:
        good(m.C_GetInfo(ffi.new("CK_INFO*")))
        assert m.C_GetFunctionList(NULL) == ck.CKR_ARGUMENTS_BAD
    assert not home.exists()
