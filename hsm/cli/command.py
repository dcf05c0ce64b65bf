"""What a command is, and how commands speak: text for people or JSON, and one way to fail."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, NamedTuple

# What is told of a partition, in tables.
COLUMNS = ("slot", "label", "serial", "kind", "initialised", "open", "sessions", "objects", "damaged")
Arguments = argparse.Namespace


class Failure(Exception):
    """What happened, why, and what to do next; ends the command with status 1."""


class Command(NamedTuple):
    """One command: its words, what it does in a sentence, an example, its arguments, and the function that runs it."""

    words: str
    meaning: str
    example: str
    arguments: tuple[tuple[tuple[str, ...], dict[str, Any]], ...]
    run: Callable[[Arguments], int]


def option(*names: str, **more: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return names, more


JSON = option("--json", action="store_true", help="the same as JSON")


def show(given: Arguments, data: Any, text: str) -> int:
    """Either the data as JSON or the text for people."""
    print(json.dumps(data, indent=2) if given.json else text)
    return 0


def table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    cells = [columns, *[tuple(_cell(row[name]) for name in columns) for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def _cell(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
