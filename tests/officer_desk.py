"""The command line with officers: a pool whose engine takes cheap PINs, and commands given by whoever is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from apart import PINS, adyton
from engine_room import CHEAP, DiskPool

VARIABLES = ("ADYTON_PIN", "ADYTON_SO_PIN", "ADYTON_NEW_PIN")


def pin_of(officer: str) -> str:
    return {"so": PINS["ADYTON_SO_PIN"], "user": PINS["ADYTON_PIN"]}.get(officer, f"{officer}-pin")


def acting(officer: str) -> tuple[list[str], dict[str, str]]:
    """The option and the environment by which a command is that officer's; "" is nobody."""
    if not officer:
        return [], {}
    return ["--as", officer], {"ADYTON_SO_PIN" if officer == "so" else "ADYTON_PIN": pin_of(officer)}


class Desk:
    def __init__(self, home: Path) -> None:
        self.home = home

    def says(self, *words: str, by: str = "so", status: int = 0, **environment: str) -> str:
        options, pins = acting(by)
        return adyton(*words, *options, status=status, **{**pins, **environment})

    def gives(self, *words: str, by: str = "so") -> Any:
        return json.loads(self.says(*words, "--json", by=by))

    def fails(self, *words: str, by: str = "so", status: int = 1, **environment: str) -> str:
        said = self.says(*words, by=by, status=status, **environment)
        assert said.startswith("adyton: "), said
        return said

    def officer(self, name: str, *more: str) -> Any:
        return json.loads(self.says("officer", "create", name, *more, "--json", ADYTON_NEW_PIN=pin_of(name)))

    def assign(self, role: str, officer: str, scope: str, by: str = "so") -> Any:
        words = ("--role", role, "--assignee", officer, "--scope", scope)
        return self.gives("role", "assignment", "create", *words, by=by)

    def partition(self, label: str, *more: str) -> Any:
        return json.loads(adyton("partition", "create", "--label", label, *more, "--json", **PINS))


@contextmanager
def desk(folder: Path, monkeypatch: pytest.MonkeyPatch, before: str = "") -> Iterator[Desk]:
    """Nobody's PIN is in the environment, and the pool has no partition yet."""
    home = folder / "pool"
    pool = DiskPool(home, f"{CHEAP}\n{before}")
    monkeypatch.setenv("ADYTON_HOME", str(home))
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    try:
        yield Desk(home)
    finally:
        pool.stop()
