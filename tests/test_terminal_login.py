"""``adyton login``: an officer for one terminal session, remembered by the engine alone. Each session is a process of
its own with setsid(2), and each command a child of it."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apart import adyton
from engine_room import SO, Room, cheap_pins
from officer_desk import Desk, desk, pin_of

from hsm.application import Application
from hsm.errors import TokenError, code_name
from hsm.management import terminal
from hsm.management.terminal import Terminal, Terminals, terminal_of
from hsm.store.sqlite import Store

COMMAND = f"{shlex.quote(sys.executable)} -m hsm.cli.main"


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with desk(tmp_path, monkeypatch) as opened:
        opened.partition("pay")
        opened.officer("alice")
        opened.assign("Crypto Auditor", "alice", "/")
        yield opened


class Shells:
    """Shells, each the leader of a session."""

    def __init__(self) -> None:
        self.shells: list[subprocess.Popen[str]] = []

    def open(self) -> Callable[..., str]:
        shell = subprocess.Popen(
            ["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )
        self.shells.append(shell)

        def run(words: str, status: int = 0, **environment: str) -> str:
            assert shell.stdin is not None and shell.stdout is not None
            before = "".join(f"{name}={shlex.quote(value)} " for name, value in environment.items())
            shell.stdin.write(f"{before}{COMMAND} {words} </dev/null; echo ended $?\n")
            shell.stdin.flush()
            lines = []
            while not (line := shell.stdout.readline()).startswith("ended "):
                assert line, lines
                lines.append(line)
            assert line == f"ended {status}\n", (line, lines)
            return "".join(lines)

        return run

    def close(self) -> None:
        for shell in self.shells:
            shell.kill()
            shell.communicate()


@pytest.fixture
def sessions() -> Iterator[Shells]:
    opened = Shells()
    yield opened
    opened.close()


def officers(run: Callable[..., str]) -> list[tuple[str, str, int]]:
    return [(row["officer"], row["by"], row["slot"]) for row in json.loads(run("whoami --json"))["officers"]]


def test_a_login_is_for_one_session_and_for_all_its_commands(pool: Desk, sessions: Shells) -> None:
    here, there = sessions.open(), sessions.open()
    assert "Give --as NAME" in here("officer list", 1)
    assert "alice is logged in on partition 0 (pay)" in here("login --as alice", ADYTON_PIN=pin_of("alice"))
    assert officers(here) == [("alice", "login", 0)] and officers(there) == []
    assert "alice" in here("officer list") and "alice" in here("role assignment list --as alice")
    assert "alice in partition 0 (pay), by adyton login" in here("status")
    assert "Give --as NAME" in there("officer list", 1)
    # The role is asked for at each act; --as is somebody else.
    assert "officer alice has no role assignment with Adyton/managedHsm/officers/del" in here("officer delete user", 1)
    assert "no SO PIN was given" in here("officer delete user --as so", 1)
    here("officer update user --disable --as so", ADYTON_SO_PIN=pin_of("so"))
    assert here("logout") == "alice is logged out of partition 0\n"
    assert officers(here) == [] and "Give --as NAME" in here("officer list", 1)
    assert here("logout") == "nobody was logged in here\n"


def test_nothing_of_a_login_is_on_the_disk_and_it_ends_with_the_engine(pool: Desk, sessions: Shells) -> None:
    run = sessions.open()
    before = {path: path.read_bytes() for path in pool.home.rglob("*") if path.is_file()}
    told = json.loads(run("login --as alice --json", ADYTON_PIN=pin_of("alice")))
    assert told["officer"] == "alice" and told["session"] == sessions.shells[0].pid and told["seconds"] == 3600
    assert {path for path in pool.home.rglob("*") if path.is_file()} == set(before)
    run("stop")
    assert officers(run) == []


def test_logins_and_what_they_do_are_in_the_audit_log(pool: Desk, sessions: Shells) -> None:
    run = sessions.open()
    run("login --as so", 1, ADYTON_SO_PIN="a-wrong-one")
    run("login --as a-pin-typed-here", 1, ADYTON_PIN="1234")
    run("login --as alice", ADYTON_PIN=pin_of("alice"))
    run("officer list")
    run("officer delete user", 1)
    run("logout")
    adyton("stop")
    store = Store(str(pool.home))
    records = list(store.audit.records())
    store.close()
    here = [row for row in records if row.operation in ("login", "logout", "officer-list", "officer-delete")]
    assert [(row.operation, code_name(row.rv), row.officer) for row in here] == [
        ("login", "CKR_PIN_INCORRECT", ""), ("login", "CKR_PIN_INCORRECT", ""), ("login", "CKR_OK", "alice"),
        ("officer-list", "CKR_OK", "alice"), ("officer-delete", "CKR_ACTION_PROHIBITED", "alice"),
        ("logout", "CKR_OK", "alice"),
    ]
    assert here[4].detail["action"] == "Adyton/managedHsm/officers/delete/action" and here[4].detail["scope"] == "/"
    assert not any(word in repr(records) for word in ("a-wrong-one", "a-pin-typed-here", pin_of("alice")))


ENDS = {
    "disabled": ("officer update alice --disable", "officer update alice --enable"),
    "a new PIN": ("officer set-pin alice", ""),
    "deleted": ("officer delete alice", "officer create alice"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_login_ends_when_its_officer_is_changed(pool: Desk, sessions: Shells, how: str) -> None:
    run = sessions.open()
    run("login --as alice", ADYTON_PIN=pin_of("alice"))
    for words in filter(None, ENDS[how]):
        pool.says(*words.split(), ADYTON_NEW_PIN="another-pin")
    assert officers(run) == [] and "Give --as NAME" in run("officer list", 1)


def test_wrong_pins_at_login_are_counted_and_log_nobody_in(pool: Desk, sessions: Shells) -> None:
    run = sessions.open()
    assert "9 tries left" in run("login --as alice", 1, ADYTON_PIN="wrong-one")
    assert "there is no officer 'alicia'" in run("login --as alicia", 1, ADYTON_PIN="wrong-one")
    assert "who logs in? Give --as NAME" in run("login", 1)
    assert "no PIN of officer alice was given" in run("login --as alice", 1)
    assert officers(run) == []


def test_ones_own_pin_is_not_changed_by_a_login_alone(pool: Desk, sessions: Shells) -> None:
    run = sessions.open()
    run("login --as so", ADYTON_SO_PIN=pin_of("so"))
    assert "no SO PIN was given" in run("officer set-pin so", 1, ADYTON_NEW_PIN="87654321")
    run("officer set-pin alice", ADYTON_NEW_PIN="second-one")
    run("officer set-pin so", ADYTON_NEW_PIN="87654321", ADYTON_SO_PIN=pin_of("so"))
    assert officers(run) == [], "the PIN that it was proved by is no more"


def test_one_login_a_partition(pool: Desk, sessions: Shells) -> None:
    pool.partition("second")
    run = sessions.open()
    run("login --as alice --partition pay", ADYTON_PIN=pin_of("alice"))
    run("login --as so --partition second", ADYTON_SO_PIN=pin_of("so"))
    assert officers(run) == [("alice", "login", 0), ("so", "login", 1)]
    run("login --as user --partition second", ADYTON_PIN=pin_of("user"))
    assert officers(run) == [("alice", "login", 0), ("user", "login", 1)]
    run("partition delete second --yes --as so", ADYTON_SO_PIN=pin_of("so"))
    assert officers(run) == [("alice", "login", 0)]
    run("logout --partition pay")
    assert officers(run) == []


def test_a_login_is_forgotten_without_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = "from hsm.management import terminal\nterminal.LASTS = 0.0"
    with desk(tmp_path, monkeypatch, before) as pool:
        pool.partition("pay")
        pool.says("login")
        assert json.loads(adyton("whoami", "--json"))["officers"] == []


def test_a_session_whose_leader_is_gone_is_no_session(pool: Desk, tmp_path: Path) -> None:
    """What a number of a process meant before may mean something else later: refused, and the words say so."""
    leader_gone, said = tmp_path / "leader", tmp_path / "said"
    os.mkfifo(leader_gone)
    os.mkfifo(said)
    script = f"(read x <{leader_gone}; ({COMMAND} login --as alice; {COMMAND} whoami) >{said} 2>&1) & exit 0"
    leader = subprocess.Popen(
        ["sh", "-c", script], start_new_session=True, env={**os.environ, "ADYTON_PIN": pin_of("alice")},
        stdin=subprocess.DEVNULL,
    )
    assert leader.wait() == 0
    leader_gone.write_text("gone\n")
    told = said.read_text()
    assert told.count(f"process {leader.pid}, the caller or its session's leader, is gone") == 2
    assert "Give --as and the PIN" in told and "CKR_FUNCTION_REJECTED" in told


def test_a_real_terminal(pool: Desk) -> None:
    """The PIN is asked for, not shown, and the next command on the terminal asks for none."""
    pid, shell = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", f"{COMMAND} login --as alice && {COMMAND} officer show alice; echo ended $?"])
    said = ""
    while "ended" not in said:
        said += os.read(shell, 4096).decode()
        if said.endswith("PIN of officer alice: "):
            os.write(shell, f"{pin_of('alice')}\n".encode())
            said += "\n"
    os.close(shell)
    os.waitpid(pid, 0)
    assert "ended 0" in said and "alice is logged in" in said and "objectId" in said and pin_of("alice") not in said


# -- the table


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with cheap_pins(), Room(tmp_path) as opened:
        opened.with_user()
        yield opened


def test_an_hour_counts_from_the_last_use_and_places_are_apart(room: Room) -> None:
    time = [100.0]
    table = Terminals(lambda: time[0])
    here = Terminal(1000, 50, 7)
    others = [Terminal(1001, 50, 7), Terminal(1000, 51, 7), Terminal(1000, 50, 8)]
    table.remember(here, room.partition, "user")
    for seconds in (0.0, 3599.0, 3599.0):
        time[0] += seconds
        assert table.officer(here, room.partition) == "user"
        assert not any(table.officer(other, room.partition) for other in others)
    time[0] += 3599
    assert table.officer(here, room.partition, use=False) == "user", "looking is no use"
    time[0] += 1
    assert table.officer(here, room.partition) == ""
    time[0] -= 1
    assert table.officer(here, room.partition) == "", "what is forgotten does not come back"
    table.remember(here, room.partition, "user")
    table.end(room.partition, "so")
    assert table.officer(here, room.partition) == "user"
    table.end(room.partition, "user")
    assert table.officer(here, room.partition) == ""


def test_a_token_initialised_anew_knows_nobody(room: Room) -> None:
    here = terminal_of(room.app)
    terminal.TERMINALS.remember(here, room.partition, "so")
    room.logout()
    room.app.close_all()
    room._session = None
    room.init_token(SO)
    assert terminal.logged_in(room.app, room.partition) == ""


def test_a_process_that_began_after_the_connection_is_another_one(room: Room) -> None:
    """The number of a client that has gone may be given to a process in somebody's session."""
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        app = Application(room.pool, child.pid, os.geteuid())
        assert terminal_of(app).leader == child.pid
        app.since -= 10
        with pytest.raises(TokenError, match="is gone"):
            terminal_of(app)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    for pid in (0, -1, child.pid):
        with pytest.raises(TokenError, match="can't be told"):
            terminal_of(Application(room.pool, pid, os.geteuid()))


def test_the_name_of_a_process_says_nothing(room: Room) -> None:
    """Whatever stands in proc's line before the last bracket is what the process calls itself."""
    code = "open('/proc/self/comm', 'w').write(') S 1 1 1 1'); print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )
    try:
        assert child.stdout is not None and child.stdout.readline()
        found: Any = terminal_of(Application(room.pool, child.pid, os.geteuid()))
        assert found.leader == os.getsid(child.pid) == child.pid
    finally:
        child.kill()
        child.communicate()
