"""The settings, one row each: name, default, what it means. ``adyton config show`` and the engine read this table.

A pool's settings are the lines ``name = value`` of ``adyton.conf`` in its folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple


class Setting(NamedTuple):
    name: str
    default: str
    parse: Callable[[str], Any]
    meaning: str


def _seconds(text: str) -> float:
    value = float(text)
    if value < 0:
        raise ValueError("seconds can't be negative")
    return value


def _uids(text: str) -> frozenset[int]:
    import pwd

    names = [word.strip() for word in text.split(",") if word.strip()]
    listed = frozenset(int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid for name in names)
    return listed | {0, os.geteuid()}


SETTINGS = (
    Setting("idle-timeout", "600", _seconds, "seconds after the last client until the engine leaves; 0: never"),
    Setting("uids", "", _uids, "users besides the pool's owner and root who may connect: names or numbers, by comma"),
    Setting("python", "", str, "the interpreter that runs the engine, where it is not found beside the library"),
)


class Value(NamedTuple):
    setting: Setting
    text: str
    source: str


def read(home: str) -> list[Value]:
    """Each setting's value and where it comes from. Raises ValueError, in words, for a line that means nothing."""
    path = os.path.join(home, "adyton.conf")
    given: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                text = line.split("#", 1)[0].strip()
                if not text:
                    continue
                name, equals, value = (part.strip() for part in text.partition("="))
                if not equals or name not in {row.name for row in SETTINGS}:
                    known = ", ".join(row.name for row in SETTINGS)
                    raise ValueError(f"{path}, line {number}: not a setting; there are {known}")
                given[name] = value
    except FileNotFoundError:
        pass
    return [
        Value(row, given.get(row.name, row.default), path if row.name in given else "default") for row in SETTINGS
    ]


class EngineSettings(NamedTuple):
    idle_timeout: float
    uids: frozenset[int]


def engine_settings(home: str) -> EngineSettings:
    values = {value.setting.name: value.setting.parse(value.text) for value in read(home)}
    return EngineSettings(values["idle-timeout"], values["uids"])
