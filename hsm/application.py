"""One application: a process that called C_Initialize, its sessions, its handles and its logins.

Object and session handles belong to the application and mean nothing to another one (PKCS#11 3.2, section 4.4);
session objects die with their session, everything dies with the application's control connection.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from hsm.errors import TokenError
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.objects.token_object import TokenObject
    from hsm.partitions import Partition
    from hsm.pool import Pool

REFUSALS_KEPT = 32
OPERATIONS = ("find", "digest", "sign", "verify", "encrypt", "decrypt")


class Login:
    """Who is logged in on one partition, for all sessions of the application there."""

    __slots__ = ("officer", "user_type")

    def __init__(self, officer: str, user_type: int) -> None:
        self.officer = officer
        self.user_type = user_type


class Session:
    """A session and its active operations, one of each kind at most (section 5.6)."""

    __slots__ = ("active", "application", "handle", "lock", "partition", "read_write")

    def __init__(self, application: Application, handle: int, partition: Partition, read_write: bool) -> None:
        self.application = application
        self.handle = handle
        self.partition = partition
        self.read_write = read_write
        self.active: dict[str, Any] = {}
        self.lock = threading.RLock()

    @property
    def login(self) -> Login | None:
        return self.application.logins.get(self.partition.slot)

    @property
    def is_user(self) -> bool:
        login = self.login
        return login is not None and login.user_type == ck.CKU_USER

    @property
    def is_so(self) -> bool:
        login = self.login
        return login is not None and login.user_type == ck.CKU_SO

    @property
    def state(self) -> int:
        if self.is_so:
            return ck.CKS_RW_SO_FUNCTIONS
        if self.is_user:
            return ck.CKS_RW_USER_FUNCTIONS if self.read_write else ck.CKS_RO_USER_FUNCTIONS
        return ck.CKS_RW_PUBLIC_SESSION if self.read_write else ck.CKS_RO_PUBLIC_SESSION

    def object(self, handle: int, invalid: int = ck.CKR_OBJECT_HANDLE_INVALID) -> TokenObject:
        """The object behind a handle that this session may see; ``invalid`` otherwise."""
        found = self.application.handles.get(handle)
        if found is None or not found.alive or found.partition is not self.partition or not self.sees(found):
            raise TokenError(invalid, "no object that this session may see has this handle")
        return found

    def sees(self, item: TokenObject) -> bool:
        if item.owner is not None and item.owner.application is not self.application:
            return False
        return not item.private or self.is_user


class Application:
    """What one C_Initialize made: sessions, handles, logins and the last refusals."""

    def __init__(self, pool: Pool, pid: int, uid: int) -> None:
        self.pool = pool
        self.pid = pid
        self.uid = uid
        self.lock = threading.RLock()
        self.sessions: dict[int, Session] = {}
        self.handles: dict[int, TokenObject] = {}
        self.logins: dict[int, Login] = {}
        self.refusals: deque[dict[str, Any]] = deque(maxlen=REFUSALS_KEPT)
        self._next = 1 + int.from_bytes(os.urandom(3), "little")

    def _handle(self) -> int:
        self._next += 1
        return self._next

    def open_session(self, partition: Partition, read_write: bool) -> Session:
        with self.lock:
            partition.session_opened(read_write)
            session = Session(self, self._handle(), partition, read_write)
            self.sessions[session.handle] = session
            return session

    def session(self, handle: int) -> Session:
        session = self.sessions.get(handle)
        if session is None:
            raise TokenError(ck.CKR_SESSION_HANDLE_INVALID, "no session of this application has this handle")
        return session

    def handle_of(self, item: TokenObject) -> int:
        """The handle by which this application knows the object, given at first sight and kept."""
        with self.lock:
            known = item.handles.get(self)
            if known is None:
                known = item.handles[self] = self._handle()
                self.handles[known] = item
            return known

    def close_session(self, handle: int) -> None:
        with self.lock:
            session = self.session(handle)
            del self.sessions[handle]
            partition = session.partition
            partition.session_closed()
            partition.drop_session_objects(session)
            if not any(other.partition is partition for other in self.sessions.values()):
                self.end_login(partition)

    def close_all(self, partition: Partition | None = None) -> None:
        with self.lock:
            for handle in [h for h, s in self.sessions.items() if partition is None or s.partition is partition]:
                self.close_session(handle)

    def end_login(self, partition: Partition) -> None:
        """Logout: private operations are over, private session objects gone, private handles void (section 5.6.6)."""
        with self.lock:
            self.logins.pop(partition.slot, None)
            for session in self.sessions.values():
                if session.partition is not partition:
                    continue
                for kind in [k for k, op in session.active.items() if getattr(op, "private", False)]:
                    session.active.pop(kind, None)
            partition.drop_private_session_objects(self)
            for handle in [h for h, o in self.handles.items() if o.partition is partition and o.private]:
                self.handles.pop(handle).handles.pop(self, None)
            self.pool.epoch.bump()

    def end(self) -> None:
        self.close_all()
        with self.lock:
            for item in self.handles.values():
                item.handles.pop(self, None)
            self.handles.clear()
