"""The settings, one row each: name, default, what it means. ``adyton config show`` and the engine read this table.

A setting is a line ``name = value`` in the pool's own ``adyton.conf``, else in the machine's, else the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hsm.audit.sinks import Spec
    from hsm.store.guard import Place

MACHINE_SETTINGS = "/etc/adyton/adyton.conf"
SYSTEM_HOME = "/var/lib/adyton"


class Wrong(ValueError):
    """A line of a settings file that can't be obeyed: which, why, and what would do."""

    remedy = "Mend that line, or take it out"


class Unreadable(Wrong):
    """A settings file that isn't for this user to read, as the system pool's is not for its clients."""

    remedy = "Ask as root or as the engine's user, who must be able to read it"


class Setting(NamedTuple):
    name: str
    default: str
    parse: Callable[[str], Any]
    meaning: str


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ValueError("give seconds, as in 600; 0 means never")
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError("give a number, as in 100; 0 means no limit")
    return int(text)


def _audit(text: str) -> bool:
    if text not in ("normal", "strict"):
        raise ValueError("give normal or strict")
    return text == "strict"


def _listed(text: str, number_of: Callable[[str], int], kind: str) -> frozenset[int]:
    names = [word.strip() for word in text.split(",") if word.strip()]
    if text and not names:  # else who meant to let in few would let in everybody
        raise ValueError(f"names no {kind}: give names or numbers, by comma")
    try:
        return frozenset(int(name) if name.isascii() and name.isdigit() else number_of(name) for name in names)
    except KeyError as unknown:
        raise ValueError(f"{str(unknown.args[0]).rpartition(' ')[2]} is no {kind} of this machine") from None


def _uids(text: str) -> frozenset[int]:
    import pwd

    return _listed(text, lambda name: pwd.getpwnam(name).pw_uid, "user")


def _gids(text: str) -> frozenset[int]:
    import grp

    return _listed(text, lambda name: grp.getgrnam(name).gr_gid, "group")


def _sinks(text: str) -> tuple[Spec, ...]:
    if not text:
        return ()
    from hsm.audit import sinks  # who has none never needs it

    return sinks.parse(text)


def _folder(text: str) -> str:
    if text and not (text.startswith("/") and os.path.isdir(text)):
        raise ValueError("give the whole path of a folder that is there")
    return text


def _rollback(text: str) -> bool:
    if text not in ("strict", "warn"):
        raise ValueError("give strict or warn")
    return text == "strict"


def _program(text: str) -> str:
    if text and not os.access(text, os.X_OK):
        raise ValueError(f"{text} can't be run: give an interpreter's whole path")
    return text


SETTINGS = (
    Setting("idle-timeout", "600", _seconds, "seconds after the last client until the engine leaves; 0: never"),
    Setting("seal-after", "0", _seconds, "seconds after the last logout until a partition is sealed: the engine "
            "forgets its key, and the next login opens it; officers without a PIN need its key file then; 0: never"),
    Setting("max-sessions", "0", _count, "sessions that one application may have with a token at a time; 0: no limit"),
    Setting("max-rw-sessions", "0", _count, "how many of these may be read/write sessions; 0: no limit of their own"),
    Setting("max-programs", "1024", _count, "programs that one user of the machine may have connected at a time; "
            "0: no limit"),
    Setting("program-memory", "512", _count, "MiB that the engine keeps for one program at most: session objects, "
            "gathered input, requests; beyond it CKR_DEVICE_MEMORY; 0: no limit"),
    Setting("user-memory", "2048", _count, "the same for all programs of one user of the machine together"),
    Setting("rollback-guard", "", _folder, "a folder, best on another disk, with a witness of how far the pool "
            "has come: a pool that was put back from an earlier day is found by it"),
    Setting("rollback", "warn", _rollback, "strict: such a pool is not served until adyton accept-rollback; "
            "warn: it is, and the log, the audit records and adyton status say so"),
    Setting("uids", "", _uids, "users who may connect to the system pool, besides its owner and root: names or "
            "numbers, by comma; with neither uids nor gids, whoever its socket's group lets in"),
    Setting("gids", "", _gids, "groups whose members may connect to the system pool: names or numbers, by comma"),
    Setting("audit", "normal", _audit, "normal: records of use are written within a second, and use goes on where they "
            "can't be; strict: each answer waits for its record, and there is none without it"),
    Setting("audit-retention", "0", _count, "days after which records are dropped, of time "
            "that the pool's engines have seen pass; 0: never"),
    Setting("audit-cap", "512", _count, "MiB that the audit log may take; beyond it the oldest records are dropped, "
            "or with audit = strict use is refused until they are exported; 0: no cap"),
    Setting("audit-checkpoint", "60", _seconds, "seconds until new records are covered by a signed checkpoint; "
            "0: only each thousand records, and when the engine ends"),
    Setting("audit-sinks", "", _sinks, "where records go besides the log, by comma: files:/FOLDER (Azure's layout), "
            "stdout, syslog, syslog:/SOCKET"),
    Setting("python", "", _program, "the interpreter that runs the engine, where it is not found beside the library"),
)
_NAMES = {row.name for row in SETTINGS}


class Value(NamedTuple):
    setting: Setting
    text: str
    source: str

    def parsed(self) -> Any:
        try:
            return self.setting.parse(self.text)
        except ValueError as fault:
            raise Wrong(f"{self.source}: {self.setting.name} = {self.text}: {fault}") from None


def _lines(path: str, known: set[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                text = line.split("#", 1)[0].strip()
                if not text:
                    continue
                name, equals, value = (part.strip() for part in text.partition("="))
                if not equals or name not in known:
                    there_are = ", ".join(sorted(known))
                    raise Wrong(f"{path}, line {number}: {text!r} is not a setting; there are {there_are}")
                given.setdefault(name, value)  # as the library reads it: the first counts
    except FileNotFoundError:
        pass
    except UnicodeDecodeError:
        raise Wrong(f"{path}: not a text file") from None
    except OSError as fault:
        raise Unreadable(f"{path}: can't be read: {fault.strerror}") from None
    return given


def read(home: str) -> list[Value]:
    """Each setting's value and where it comes from. Raises Wrong for a line that means nothing."""
    pool = os.path.join(home, "adyton.conf")
    found = {}
    for path, known in ((MACHINE_SETTINGS, _NAMES | {"home"}), (pool, _NAMES)):
        found.update({name: (value, path) for name, value in _lines(path, known).items() if value})
    return [Value(row, *found.get(row.name, (row.default, "default"))) for row in SETTINGS]


class EngineSettings(NamedTuple):
    idle_timeout: float
    uids: frozenset[int]
    gids: frozenset[int]
    max_sessions: int
    max_rw_sessions: int
    max_programs: int
    program_memory: int
    user_memory: int
    seal_after: float
    audit: bool
    audit_retention: int
    audit_cap: int
    audit_checkpoint: float
    audit_sinks: tuple[Spec, ...]
    rollback_guard: str
    rollback: bool

    @property
    def guard(self) -> Place | None:
        from hsm.store.guard import Place

        return Place(self.rollback_guard, self.rollback) if self.rollback_guard else None


def engine_settings(home: str) -> EngineSettings:
    values = {value.setting.name: value.parsed() for value in read(home)}
    return EngineSettings(*(values[name.replace("_", "-")] for name in EngineSettings._fields))
