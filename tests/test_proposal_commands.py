"""The two-person rule as people at terminals have it: ``adyton``, command by command."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

PINS = {"so": "so-officer-pin", "boss": "boss-pin-1", "user": "user-pin-1"}


class Terminals:
    """Each officer's PIN is in a file."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment, self.folder = environment, folder
        for officer, pin in PINS.items():
            (folder / officer).write_text(pin)

    def run(self, *words: str, status: int = 0) -> tuple[str, str]:
        done = subprocess.run(
            ["adyton", *words], env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            cwd=self.folder,
        )
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stdout, done.stderr

    def by(self, officer: str, *words: str, status: int = 0) -> tuple[str, str]:
        return self.run(*words, "--as", officer, "--pin-file", officer, status=status)

    def told(self, officer: str, *words: str, status: int = 0) -> Any:
        return json.loads(self.by(officer, *words, "--json", status=status)[0])


@pytest.fixture
def terminals(newcomer: dict[str, str], tmp_path: Path) -> Terminals:
    """A partition under a rule, with a second Administrator, by whom it is awake."""
    made = Terminals(newcomer, tmp_path)
    made.run("partition", "create", "--label", "pay", "--so-pin-file", "so", "--pin-file", "user", "--quorum", "2",
             "--quorum-expiry", "12")
    shown = made.run("partition", "show", "pay")[0]
    assert "2 officers for destroy, export, policy; a proposal stands 12 h; sleeps until there are 2" in shown
    made.by("so", "officer", "create", "boss", "--new-pin-file", "boss")
    made.by("so", "role", "assignment", "create", "--assignee", "boss", "--role", "Administrator", "--scope", "/")
    assert "sleeps" not in made.run("partition", "show", "pay")[0]
    return made


def test_a_walk(terminals: Terminals) -> None:
    create = ("officer", "create", "temp", "--new-pin-file", "user", "--expires", "90d")
    said = terminals.by("so", *create, status=3)[1]
    [told] = terminals.told("boss", "proposal", "list")
    assert f"adyton proposal approve {told['id']} --as NAME" in said and "CKR_" not in said
    asked = terminals.told("so", *create, status=3)
    assert asked["proposed"] == told["id"], "a span of time is the same at each time that it is asked for"
    table = terminals.by("boss", "proposal", "list")[0].splitlines()
    assert table[0].split() == ["id", "act", "about", "proposedBy", "approvedBy", "state", "expires"]
    assert "officer-create" in table[1] and "waits for another officer" in table[1] and "name=temp" in table[1]
    shown = terminals.by("boss", "proposal", "show", told["id"][:8])[0]
    assert "name: temp" in shown and "new_pin: a new PIN" in shown and PINS["user"] not in shown
    said = terminals.by("so", "proposal", "approve", told["id"], status=1)[1]
    assert "nobody approves his own proposal" in said
    said = terminals.by("boss", "proposal", "approve", told["id"][:8])[0]
    assert said.startswith("approved: officer-create") and "so asks for it again now" in said
    assert terminals.told("so", *create)["name"] == "temp"
    assert terminals.by("boss", "proposal", "list")[0] == "nothing is proposed\n"
    said = terminals.by("boss", "proposal", "show", told["id"], status=1)[1]
    assert "adyton proposal list" in said


def test_the_rule_is_set_and_goes_by_two(terminals: Terminals) -> None:
    off = ("partition", "set", "pay", "--quorum", "0")
    proposal = terminals.told("so", *off, status=3)["proposed"]
    assert terminals.told("boss", "proposal", "reject", proposal)["id"] == proposal
    terminals.by("boss", "proposal", "approve", terminals.told("so", *off, status=3)["proposed"])
    assert terminals.by("so", *off)[0] == "partition 0: two-person rule: no\n"
    said = terminals.by("so", "partition", "set", "pay", "--quorum", "2", "--quorum-acts", "destroy, export")[0]
    assert said == "partition 0: two-person rule: 2 officers for destroy, export; a proposal stands 24 h\n"
    said = terminals.by("so", "partition", "set", "pay", "--quorum", "2", "--quorum-acts", "all", status=3)[1]
    terminals.by("boss", "proposal", "approve", said.split("proposed as ")[1].split(",")[0])
    said = terminals.by("so", "partition", "set", "pay", "--quorum", "2", "--quorum-acts", "all", status=1)[1]
    assert "destroy, export, policy" in said
    assert "Give --profile" in terminals.by("so", "partition", "set", "pay", status=1)[1]


def test_a_file_for_users_of_the_machine(newcomer: dict[str, str], tmp_path: Path) -> None:
    terminals = Terminals(newcomer, tmp_path)
    terminals.run("partition", "create", "--label", "pay", "--so-pin-file", "so", "--pin-file", "user")
    said = terminals.by("so", "partition", "unattended", "pay", status=1)[1]
    assert "--key-file FILE, or --off" in said
    said = terminals.by("so", "partition", "unattended", "pay", "--key-file", "unseal")[0]
    assert said == f"partition 0: {tmp_path}/unseal opens it for officers who are users of the machine\n"
    assert os.stat(tmp_path / "unseal").st_mode & 0o777 == 0o600
    assert "no file opens it any more" in terminals.by("so", "partition", "unattended", "pay", "--off")[0]
    said = terminals.by("so", "partition", "unattended", "pay", "--key-file", "nowhere/unseal", status=1)[1]
    assert "head -c 32 /dev/urandom" in said
