"""Somebody with an account of their own, alice, on a machine of her own where nothing of Adyton is yet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from machine import Machine
from recipe import PROGRAMS, blocks

HOME = "/mnt/alice"


class OrdinaryUser:
    """Her home is empty, and the command adyton is in her path."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.environment = {
            "HOME": HOME, "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8", "USER": "alice",
        }
        machine.run("useradd", "--create-home", "--home-dir", HOME, "--shell", "/bin/bash", "alice")

    def words(self, *words: str) -> list[str]:
        """The words that run these as her, in her home."""
        named = [f"{name}={value}" for name, value in self.environment.items()]
        who = ["setpriv", "--reuid", "alice", "--regid", "alice", "--init-groups"]
        return [*who, "env", "-i", f"--chdir={HOME}", *named, *words]

    def run(self, *words: str, **more: Any) -> str:
        return self.machine.run(*self.words(*words), **more)

    def follow(self, page: Path) -> list[str]:
        """What each block of the page said, as tests/recipe.py has it."""
        return [
            self.run(*PROGRAMS[language], block, timeout=110) for language, block in blocks(page, *PROGRAMS)
        ]
