"""Logins of the command line that last for a terminal session: ``adyton login``, ``logout``, ``whoami``.

Nothing of them is on the disk, and nothing is given to the terminal that could be taken from it. The engine remembers
which officer has proved to be there in a session of the machine (setsid(2)): the user that its process had when it
connected, the session's leader, and when that started, since numbers of processes come again. It forgets at logout,
after an hour without use, with another PIN, with a disabled or deleted officer, and at its own end.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hsm.access.roles import denial
from hsm.errors import TokenError
from hsm.management.acts import ANYBODY, OFFICER, Act, Caller, Request
from hsm.store.records import Officer
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Application
    from hsm.partitions import Partition

LASTS = 3600.0
_TICKS = os.sysconf("SC_CLK_TCK")
_REMEDY = "Give --as and the PIN with each command instead"


class Terminal(NamedTuple):
    uid: int
    leader: int
    started: int


class _Login(NamedTuple):
    officer: str
    credential: tuple[str, bytes, int]
    used: float


def terminal_of(app: Application) -> Terminal:
    """The session that an application's process is in. Raises where that can't be told for certain."""
    session, started = _stat(app.pid)
    # A process that began after the connection is another one, which has got the number of the one that connected.
    if started > app.since * _TICKS:
        raise _untold(f"process {app.pid}, which connected, is gone")
    if session <= 0:
        raise _untold(
            f"process {app.pid} is in a session begun outside this container (`setsid --wait bash` begins one inside)"
        )
    return Terminal(app.uid, session, _stat(session)[1])


def _stat(pid: int) -> tuple[int, int]:
    """proc(5), /proc/PID/stat: the session of a process, and when it started, in ticks since the machine did."""
    if pid <= 0 or os.readlink("/proc/self") != str(os.getpid()):
        raise _untold("the caller's process is one of a container that this engine can't see into")
    try:
        with open(f"/proc/{pid}/stat", "rb") as told:
            fields = told.read().rpartition(b")")[2].split()  # the name before it may hold anything
    except OSError:
        raise _untold(f"process {pid}, the caller or its session's leader, is gone or hidden from the engine") from None
    return int(fields[3]), int(fields[19])


def _untold(why: str) -> TokenError:
    return TokenError(ck.CKR_FUNCTION_REJECTED, f"which terminal session this is can't be told: {why}. {_REMEDY}")


def _credential(officer: Officer) -> tuple[str, bytes, int]:
    return officer.object_id, officer.wrapped, officer.uid


class Terminals:
    """Who is logged in where. ``clock`` counts while the machine sleeps too."""

    def __init__(self, clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._logins: dict[tuple[Terminal, Partition], _Login] = {}

    def remember(self, terminal: Terminal, partition: Partition, name: str) -> None:
        with self._lock:
            now = self._clock()
            self._logins = {place: login for place, login in self._logins.items() if now - login.used < LASTS}
            credential = _credential(partition.officers.get(name))
            self._logins[terminal, partition] = _Login(name, credential, now)

    def officer(self, terminal: Terminal, partition: Partition, *, use: bool = True) -> str:
        """Who is logged in there, if anybody still is. ``use``: the hour begins again."""
        with self._lock:
            login = self._logins.get((terminal, partition))
            if login is None:
                return ""
            now, officer = self._clock(), partition.directory.officers.get(login.officer)
            if officer is None or now - login.used >= LASTS or _credential(officer) != login.credential:
                del self._logins[terminal, partition]
                return ""
            if use:
                self._logins[terminal, partition] = login._replace(used=now)
            return login.officer

    def left(self, terminal: Terminal, partition: Partition) -> float:
        """Seconds until the login is forgotten."""
        with self._lock:
            login = self._logins.get((terminal, partition))
            return LASTS - (self._clock() - login.used) if login is not None else 0.0

    def forget(self, terminal: Terminal, partition: Partition) -> None:
        with self._lock:
            self._logins.pop((terminal, partition), None)

    def end(self, partition: Partition, name: str = "") -> None:
        """Everywhere, for an officer that may do nothing any more; for all of them, where none is named."""
        with self._lock:
            for place, login in list(self._logins.items()):
                if place[1] is partition and name in ("", login.officer):
                    del self._logins[place]


TERMINALS = Terminals()


def logged_in(app: Application, partition: Partition) -> str:
    """The officer whose terminal session the caller is in; nobody where that can't be told."""
    try:
        return TERMINALS.officer(terminal_of(app), partition)
    except TokenError:
        return ""


def officer_of(caller: Caller, partition: Partition) -> str:
    """Who asks in this partition, also where the request is about another one or about all: the officer of the request,
    of the terminal session, or the one that the user of the machine is; nobody who has to set a new PIN first."""
    if caller.on is partition and caller.officer:
        return caller.officer
    bound = partition.directory.bound(caller.app.uid)
    known = logged_in(caller.app, partition) or (bound.name if bound is not None else "")
    return known if known and not partition.officers.get(known).must_change else ""


def must_hold(caller: Caller, partition: Partition, action: str) -> str:
    """The officer by whom the caller may do this there."""
    name = officer_of(caller, partition)
    if not name:
        words = f"partition {partition.slot} has officers, and none of them asks for this: give --partition and --as"
        words += f", or log in there first: adyton login --partition {partition.slot} --as NAME"
        raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, words, action, scope="/")
    why = partition.directory.why_not(name)
    if why:
        raise TokenError(ck.CKR_PIN_LOCKED, why, name)
    if not partition.directory.holds(name, action):
        raise denial(name, action, "", ck.CKR_ACTION_PROHIBITED)
    return name


def _login(caller: Caller, request: Request) -> dict[str, Any]:
    terminal = terminal_of(caller.app)
    TERMINALS.remember(terminal, caller.partition, caller.officer)
    return {"officer": caller.officer, "slot": caller.partition.slot, "session": terminal.leader, "seconds": LASTS}


def _logout(caller: Caller, request: Request) -> dict[str, Any]:
    TERMINALS.forget(terminal_of(caller.app), caller.partition)
    return {"officer": caller.officer, "slot": caller.partition.slot}


def _whoami(caller: Caller, request: Request) -> dict[str, Any]:
    """Who the caller is without a PIN, in each partition: by a login in this session, or as a user of the machine."""
    terminal, why = None, ""
    try:
        terminal = terminal_of(caller.app)
    except TokenError as refusal:
        why = refusal.reason
    found = []
    with caller.pool.lock:
        partitions = [caller.pool.by_slot[slot] for slot in caller.pool.slots()]
    for partition in partitions:
        told = {"slot": partition.slot, "label": partition.label.rstrip()}
        name = TERMINALS.officer(terminal, partition, use=False) if terminal else ""
        if terminal and name:
            left = int(TERMINALS.left(terminal, partition))
            found.append({**told, "officer": name, "by": "login", "seconds": left})
        bound = partition.directory.bound(caller.app.uid)
        if bound is not None:
            found.append({**told, "officer": bound.name, "by": "uid", "seconds": None})
    session = terminal.leader if terminal else None
    return {"uid": caller.app.uid, "owner": caller.owns, "session": session, "problem": why or None, "officers": found}


ACTS = (
    Act("login", OFFICER, _login),
    Act("logout", OFFICER, _logout),
    Act("whoami", ANYBODY, _whoami),
)
