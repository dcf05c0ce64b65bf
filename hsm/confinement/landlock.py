"""Which files the engine may open from the moment it serves (landlock(7)), whatever its user could open otherwise.

A rule is a folder or file and what may be done beneath it. The kernel's ABI says what can be ruled: older ones rule
less, which is told by ``missing``.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from typing import NamedTuple

from hsm.confinement import kernel

_EXECUTE, _WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV
READ = READ_FILE | READ_DIR
WRITE = READ | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE
DEVICE = READ_FILE | _WRITE_FILE
_BIND_TCP, _CONNECT_TCP = 1, 2
_ABSTRACT_SOCKETS = 1
_VERSION, _PATH_BENEATH = 1, 1
# What each ABI brought: (from which on, what it rules, in words). All of it is wanted.
ABIS = (
    (1, "opening, making and removing files"),
    (2, "files moved between folders"),
    (3, "files made shorter"),
    (4, "TCP"),
    (5, "devices"),
    (6, "abstract sockets"),
)
WANTED = ABIS[-1][0]


class Rule(NamedTuple):
    path: str
    rights: int


def abi() -> int:
    """What this kernel can rule; 0: nothing."""
    try:
        return kernel.call(kernel.LANDLOCK_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def missing(version: int) -> list[str]:
    """What this kernel is too old for, in words."""
    return [words for since, words in ABIS if since > version]


def _handled(version: int) -> int:
    """All rights of this ABI, which are refused where no rule gives them."""
    return (1 << 13) - 1 | sum(bit for since, bit in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)) if since <= version)


def restrict(rules: Iterable[Rule]) -> int:
    """This thread, and those that it starts: so it is called before there are others. Returns the ABI; raises OSError.
    A rule whose path is not there is left out."""
    version = min(abi(), WANTED)
    handled = _handled(version)
    words = [handled, _BIND_TCP | _CONNECT_TCP, _ABSTRACT_SOCKETS]
    words = words[: 3 if version >= 6 else 2 if version >= 4 else 1]
    attributes = ctypes.create_string_buffer(struct.pack(f"={len(words)}Q", *words), 8 * len(words))
    ruleset = kernel.call(kernel.LANDLOCK_CREATE_RULESET, attributes, 8 * len(words), 0)
    try:
        for rule in rules:
            _add(ruleset, rule, handled)
        kernel.call(kernel.LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _add(ruleset: int, rule: Rule, handled: int) -> None:
    try:
        place = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        folder = stat.S_ISDIR(os.fstat(place).st_mode)
        rights = rule.rights & handled & (-1 if folder else _OF_FILES)
        beneath = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
        kernel.call(kernel.LANDLOCK_ADD_RULE, ruleset, _PATH_BENEATH, beneath, 0)
    finally:
        os.close(place)
