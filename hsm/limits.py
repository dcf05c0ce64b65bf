"""What one program, and one user of the machine, may hold of the engine, so that none takes it from all others.

Counted are programs, and the bytes that the engine keeps for them: session objects, sessions, input that operations
gather, requests that come in. What is beyond the limits is refused by the precise code, and the program goes on.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from hsm.errors import TokenError
from hsm.log import say
from pkcs11_shim import constants as ck

MIB = 1 << 20
OBJECT, SESSION = 1024, 4096  # bytes that one costs beside its attributes


class Limits(NamedTuple):
    """The settings: programs of one user at a time, and MiB for one program and for one user; 0: no limit."""

    max_programs: int = 1024
    program_memory: int = 512
    user_memory: int = 2048


class Account:
    """Bytes that somebody holds; what is taken here is taken of ``over`` too."""

    __slots__ = ("_lock", "_most", "_over", "_setting", "held")

    def __init__(self, setting: str, mebibytes: int, over: Account | None = None) -> None:
        self._lock = threading.Lock()
        self._most = mebibytes * MIB
        self._setting = setting
        self._over = over
        self.held = 0

    def take(self, count: int) -> None:
        with self._lock:
            if self._most and self.held + count > self._most:
                words = f"what the engine keeps for it is as much as the setting {self._setting} allows"
                raise TokenError(ck.CKR_DEVICE_MEMORY, f"{words}, {self._most // MIB} MiB", self._setting)
            self.held += count
        if self._over is not None:
            try:
                self._over.take(count)
            except TokenError:
                with self._lock:
                    self.held -= count
                raise

    def give(self, count: int) -> None:
        """Never more than is held: who has ended gives all back, whatever its threads give after that."""
        with self._lock:
            count = min(count, self.held)
            self.held -= count
        if self._over is not None:
            self._over.give(count)


class User:
    """One user of the machine: how many programs it has here, and what they hold together."""

    def __init__(self, uid: int, limits: Limits) -> None:
        self.uid = uid
        self.programs = 0
        self.account = Account("user-memory", limits.user_memory)
        self.told = False  # whether the log has been told that it has too many


class Users:
    """Those who have programs here."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._here: dict[int, User] = {}

    def enter(self, uid: int) -> User | None:
        """One more program of this user; None where it has as many as it may."""
        with self._lock:
            user = self._here.get(uid) or User(uid, self.limits)
            if self.limits.max_programs and user.programs >= self.limits.max_programs:
                if not user.told:
                    say(f"user {uid} has {user.programs} programs here, as many as the setting max-programs allows")
                    user.told = True
                return None
            user.programs += 1
            user.told = False
            self._here[uid] = user
            return user

    def leave(self, user: User) -> None:
        with self._lock:
            user.programs -= 1
            if not user.programs:
                self._here.pop(user.uid, None)

    def account_of(self, user: User) -> Account:
        """For a program of this user."""
        return Account("program-memory", self.limits.program_memory, user.account)

    def status(self, asking: int) -> list[dict[str, int]]:
        """``asking``: whose program it is that asks; it is not counted."""
        with self._lock:
            found = [
                {"uid": user.uid, "programs": user.programs - (user.uid == asking), "bytes": user.account.held}
                for user in self._here.values()
            ]
        return [row for row in found if row["programs"]]
