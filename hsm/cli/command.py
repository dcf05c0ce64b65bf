"""What a command is, and how commands speak: text for people or JSON, and one way to fail."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

# What is told of a partition, in tables.
COLUMNS = (
    "slot", "label", "serial", "kind", "profile", "legacy", "admin_recovery", "initialised", "officers", "open",
    "sessions", "objects", "damaged",
)
Arguments = argparse.Namespace


class Failure(Exception):
    """What happened, why, and what to do next; ends the command, with status 1 where no other is given."""

    def __init__(self, words: str, status: int = 1) -> None:
        super().__init__(words)
        self.status = status


class Command(NamedTuple):
    """One command: its words, what it does in a sentence, an example, its arguments, and the room and function that
    run it (a room is imported for its own commands only)."""

    words: str
    meaning: str
    example: str
    arguments: tuple[tuple[tuple[str, ...], dict[str, Any]], ...]
    run: str

    def function(self) -> Callable[[Arguments], int]:
        from importlib import import_module

        room, _, name = self.run.partition(":")
        found: Callable[[Arguments], int] = getattr(import_module(f"hsm.cli.{room}"), name)
        return found


def new_file(path: Path) -> int:
    """An open descriptor of a file that was not there: never over another, which may be the only one of its kind."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Failure(f"{path} is there already: give another name, or move it away") from None


def option(*names: str, **more: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return names, more


JSON = option("--json", action="store_true", help="the same as JSON")


def show(given: Arguments, data: Any, text: str) -> int:
    """Either the data as JSON or the text for people."""
    print(json.dumps(data, indent=2) if given.json else text)
    return 0


def table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    cells = [columns, *[tuple(cell(row[name]) for name in columns) for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def cell(value: Any) -> str:
    """For a terminal: a label may hold anything, also what would move the cursor."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))
