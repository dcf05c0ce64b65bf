"""Where records go besides the log: files in Azure's folder layout, standard output, syslog.

A sink has a thread of its own that reads the log behind everybody's back: one that hangs or fails holds nobody up,
and gets later what it has missed, since how far it has come is kept on the disk. What it has missed goes only with the
log's own oldest records (``audit-retention``, ``audit-cap``).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hsm.errors import TokenError
from hsm.log import report, say

if TYPE_CHECKING:
    from hsm.audit.log import Log
    from hsm.audit.record import Record

Written = dict[str, Any]  # a record in Azure's form
_AT_A_TIME = 500
_FAR_BEHIND = 10_000  # records, of a sink that hangs
_LOOK_AGAIN = 1.0
_LONGEST_PAUSE = 60.0
_PATIENCE = 5.0  # of a socket that takes nothing
_FIRST_PAUSE = 0.5
_END = b"\n]\n"  # of an array in a file
_CONTAINER = "insights-logs-auditevent"
_SYSLOG = 13 << 3 | 6  # facility log audit, severity informational (RFC 5424, section 6.2.1)


class Spec(NamedTuple):
    """One word of the setting: ``files:/srv/audit``, ``stdout``, ``syslog``, ``syslog:/run/log``."""

    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}" if self.place else self.kind

    def made(self) -> bool:
        """Whether there is a folder to write to; one that is not there is made."""
        if self.kind != "files":
            return False
        try:
            os.makedirs(self.place, mode=0o750, exist_ok=True)
        except OSError:
            pass
        return os.path.isdir(self.place)


class Cursor(NamedTuple):
    """How far a sink has come, and how long the files were then that it writes to."""

    sequence: int
    sizes: dict[str, int]


class Sink(Protocol):
    """What takes records. ``place`` groups them: those of one place are written together. ``size`` is what restoring a
    place takes; ``write`` says how far it has come, and the size then. Where nothing can be written, OSError."""

    def restore(self, cursor: Cursor) -> None: ...
    def place(self, record: Written) -> str: ...
    def size(self, place: str) -> int: ...
    def write(self, place: str, records: list[Written]) -> tuple[int, int]: ...


class Files:
    """``PT1H.json``: a JSON array for each resource and hour, closed after each batch, where Azure's storage accounts
    have it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def restore(self, cursor: Cursor) -> None:
        """What was written before it could be said so is written again, and only once there; until then the file is
        the array that it was, also where its disk stays full."""
        for place, size in cursor.sizes.items():
            if self.size(place) < size or not os.path.exists(place):
                continue
            with open(place, "r+b") as file:
                file.truncate(size)
                if size >= len(_END):
                    file.seek(size - len(_END))
                    file.write(_END)

    def place(self, record: Written) -> str:
        at = datetime.fromisoformat(record["time"])
        hour = f"y={at:%Y}/m={at:%m}/d={at:%d}/h={at:%H}/m=00"
        return f"{self._folder}/{_CONTAINER}/resourceId={record['resourceId']}/{hour}/PT1H.json"

    def size(self, place: str) -> int:
        return os.path.getsize(place) if os.path.exists(place) else 0

    def write(self, place: str, records: list[Written]) -> tuple[int, int]:
        os.makedirs(os.path.dirname(place), mode=0o750, exist_ok=True)
        with open(os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640), "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records).encode()
            if size >= len(_END):
                file.seek(size - len(_END))
                file.write(b",\n" + lines + _END)
            else:
                file.seek(0)
                file.write(b"[\n" + lines + _END)
            file.flush()
            os.fsync(file.fileno())
            return records[-1]["properties"]["sequence"], file.tell()


class _Lines:
    """What takes a line at a time, and has nothing to be put right."""

    def restore(self, cursor: Cursor) -> None:
        pass

    def place(self, record: Written) -> str:
        return ""

    def size(self, place: str) -> int:
        return 0


class Stdout(_Lines):
    """The engine's own standard output, as of ``adyton serve`` in the foreground or under systemd."""

    def __init__(self, place: str) -> None:
        pass

    def write(self, place: str, records: list[Written]) -> tuple[int, int]:
        lines = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records).encode()
        while lines:
            lines = lines[os.write(1, lines):]
        return records[-1]["properties"]["sequence"], 0


class Syslog(_Lines):
    """A datagram a record, to the machine's syslog or whoever else listens there."""

    def __init__(self, place: str) -> None:
        self._path = place or "/dev/log"

    def write(self, place: str, records: list[Written]) -> tuple[int, int]:
        taken = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(_PATIENCE)
            out.connect(self._path)
            for record in records:
                try:
                    self._send(out, record)
                except OSError:
                    if not taken:
                        raise
                    break  # what it took, it has; the rest is tried again
                taken = record["properties"]["sequence"]
        return taken, 0

    def _send(self, out: socket.socket, record: Written) -> None:
        """One that is longer than a datagram may be goes without what it says of itself."""
        try:
            out.send(self._line(record))
        except OSError as fault:
            if fault.errno != errno.EMSGSIZE:
                raise
            kept = {name: record["properties"][name] for name in ("sequence", "operation", "ckr")}
            out.send(self._line({**record, "resultDescription": "too long for a datagram", "properties": kept}))

    def _line(self, record: Written) -> bytes:
        return f"<{_SYSLOG}>adyton[{os.getpid()}]: {json.dumps(record, separators=(',', ':'))}".encode()


SINKS: dict[str, Callable[[str], Sink]] = {"files": Files, "stdout": Stdout, "syslog": Syslog}


def parse(text: str) -> tuple[Spec, ...]:
    """The setting ``audit-sinks``. Raises ValueError with what would do."""
    found = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        kind, _, place = word.partition(":")
        if kind not in SINKS:
            raise ValueError(f"there is no sink {kind!r}; there are files:/FOLDER, stdout, syslog and syslog:/SOCKET")
        if (kind == "files" or place) and not place.startswith("/"):
            raise ValueError(f"{word}: give a whole path, from / on")
        if kind == "stdout" and place:
            raise ValueError(f"{word}: stdout has no path")
        found.append(Spec(kind, place))
    return tuple(dict.fromkeys(found))


class Runner:
    """One sink's thread."""

    def __init__(self, log: Log, spec: Spec, form: Callable[[Record], Written], home: str | None) -> None:
        self._log = log
        self._spec = spec
        self._form = form
        self._sink = SINKS[spec.kind](spec.place)
        name = hashlib.sha256(str(spec).encode()).hexdigest()[:16]
        self._path = None if home is None else os.path.join(home, f"audit-sink-{name}")
        self.cursor = Cursor(0, {})
        self._failing = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        known = begun = False
        while True:
            try:
                if not known:
                    self.cursor, known = self._kept(), True
                if not begun:  # before anything goes out: where this can't be kept, it would go out again and again
                    self._keep(self.cursor)
                    self._sink.restore(self.cursor)
                    begun = True
                more = self._step()
                pause, self._failing = _FIRST_PAUSE, ""
            except (OSError, TokenError) as fault:
                self._failed(fault)
                if self._stopping.wait(pause):
                    return
                pause, begun = min(2 * pause, _LONGEST_PAUSE), False
                continue
            except Exception as fault:  # a fault of ours ends this sink, and is said
                report(fault)
                self._failing = "a fault of the engine: its log says where"
                return
            if not more:
                if self._stopping.is_set():
                    return
                self._log.wait(self.cursor.sequence, _LOOK_AGAIN)

    def _failed(self, fault: OSError | TokenError) -> None:
        words = fault.reason if isinstance(fault, TokenError) else os.strerror(fault.errno or errno.EIO)
        if self._spec.kind == "files" and isinstance(fault, PermissionError):
            words += " (a folder that was not there when the engine started is the next one's: adyton stop)"
        if not self._failing:
            say(f"audit sink {self._spec} takes nothing: {words}; it is tried again")
        self._failing = words

    def _step(self) -> bool:
        """One batch; False where there is none."""
        batch = [self._form(record) for record in islice(self._log.records(self.cursor.sequence), _AT_A_TIME)]
        if not batch:
            return False
        by_place: dict[str, list[Written]] = {}
        for record in batch:
            by_place.setdefault(self._sink.place(record), []).append(record)
        if not by_place.keys() <= self.cursor.sizes.keys():
            self._keep(Cursor(self.cursor.sequence, {place: self._sink.size(place) for place in by_place}))
        taken, sizes = 0, dict(self.cursor.sizes)
        for place, records in by_place.items():
            last, sizes[place] = self._sink.write(place, records)
            taken = max(taken, last)
        self._keep(Cursor(taken, sizes))
        return True

    def _kept(self) -> Cursor:
        if self._path is None:
            return Cursor(0, {})
        try:
            with open(self._path, encoding="utf-8") as file:
                read = json.load(file)
                return Cursor(int(read["sequence"]), {str(name): int(size) for name, size in read["sizes"].items()})
        except FileNotFoundError:
            return Cursor(0, {})
        except (ValueError, KeyError, TypeError, AttributeError):
            say(f"how far audit sink {self._spec} has come is damaged: it begins anew")
            return Cursor(0, {})

    def _keep(self, cursor: Cursor) -> None:
        """In memory first: what went out went out, also where that can't be written."""
        self.cursor = cursor
        if self._path is not None:
            with open(f"{self._path}.new", "w", encoding="utf-8") as file:
                json.dump(cursor._asdict(), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{self._path}.new", self._path)

    def status(self) -> dict[str, Any]:
        behind = max(self._log.last - self.cursor.sequence, 0)
        return {"sink": str(self._spec), "sequence": self.cursor.sequence, "behind": behind, "problem": self._failing}

    def stop(self, seconds: float) -> None:
        """What is there goes out, within this time; the rest, when the next engine is there."""
        self._stopping.set()
        self._thread.join(seconds)


class Sinks:
    """All sinks of a pool. ``home`` None: it lives in memory."""

    def __init__(self, log: Log, specs: Iterable[Spec], form: Callable[[Record], Written], home: str | None) -> None:
        self._runners = [Runner(log, spec, form, home) for spec in specs]

    def status(self) -> list[dict[str, Any]]:
        return [runner.status() for runner in self._runners]

    def problems(self) -> list[str]:
        return [
            f"audit sink {told['sink']} is {told['behind']} records behind: {told['problem'] or 'it takes nothing'}"
            for told in self.status() if told["problem"] or told["behind"] > _FAR_BEHIND
        ]

    def stop(self) -> None:
        for runner in self._runners:
            runner.stop(2.0)
