"""One application: a process that called C_Initialize, its sessions, its handles and its logins.

Object and session handles belong to the application and mean nothing to another one (PKCS#11 3.2, section 4.4);
session objects die with their session, everything dies with the application's control connection.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from hsm.access import policy
from hsm.access.roles import KEY_TRUST
from hsm.errors import TokenError
from hsm.limits import SESSION, User
from hsm.objects.attributes import KEY_CLASSES
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hsm.access.directory import Held
    from hsm.objects.token_object import TokenObject
    from hsm.partitions import Partition
    from hsm.pool import Pool

COUNTED_EACH = 1 << 20  # bytes of input that are taken up between two counts of what operations keep
REFUSALS_KEPT = 32


class Login:
    """Who is logged in on one partition, for all sessions of the application there. A later login is another one,
    even of the same officer: what was started under this one does not go on under that. While the PIN must be changed,
    it counts as none."""

    __slots__ = ("held", "must_change", "officer", "user_type")

    def __init__(self, officer: str, user_type: int, held: Held, must_change: bool = False) -> None:
        self.officer = officer
        self.user_type = user_type
        self.held = held
        self.must_change = must_change

    @property
    def is_user(self) -> bool:
        return self.user_type == ck.CKU_USER and not self.must_change


class Session:
    """A session and its active operations, one of each kind at most (section 5.6). ``said``: what is known of token
    keys that are made in it besides what their templates say (hsm/objects/about.py), where a door says that too."""

    __slots__ = ("active", "application", "closed", "handle", "lock", "partition", "read_write", "said")

    def __init__(self, application: Application, handle: int, partition: Partition, read_write: bool) -> None:
        self.application = application
        self.handle = handle
        self.partition = partition
        self.read_write = read_write
        self.closed = False
        self.said: dict[int, bytes] = {}
        self.active: dict[str, Any] = {}
        self.lock = threading.RLock()

    @property
    def login(self) -> Login | None:
        return self.application.logins.get(self.partition.slot)

    @property
    def is_user(self) -> bool:
        login = self.login
        return login is not None and login.is_user

    @property
    def is_so(self) -> bool:
        login = self.login
        return login is not None and login.user_type == ck.CKU_SO and not login.must_change

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
        if found is None or not found.alive or found.partition is not self.partition or not policy.sees(self, found):
            raise TokenError(invalid, "no object that this session may see has this handle")
        return found

    def key(self, handle: int, invalid: int = ck.CKR_KEY_HANDLE_INVALID) -> TokenObject:
        """The key behind a handle; that of another object is as invalid as none (section 5.1.6)."""
        found = self.object(handle, invalid)
        if found.key_class not in KEY_CLASSES:
            raise TokenError(invalid, "the object that has this handle is no key")
        return found

    def pin_must_not_have_expired(self) -> None:
        login = self.login
        if login is not None and login.must_change:
            words = f"officer {login.officer} must set a new PIN first: C_SetPIN, or adyton officer set-pin"
            raise TokenError(ck.CKR_PIN_EXPIRED, words, login.officer)

    def still_open(self) -> None:
        """Asked again where a call took long: another thread may have closed the session meanwhile."""
        if self.closed:
            raise TokenError(ck.CKR_SESSION_CLOSED, "another thread closed the session meanwhile")

    def ask_again(self) -> None:
        """After a change of rights: what was begun under one that is gone is over, also if that one comes back."""
        for use, active in list(self.active.items()):
            active.ask_again(self, use)

    def trustee(self, handle: int) -> TokenObject | None:
        """The private wrapping key behind a handle, for an Administrator's session that may trust it."""
        found = self.application.handles.get(handle)
        return found if found is not None and found.alive and policy.may_trust(self, found) else None

    @property
    def trusts(self) -> bool:
        """Whether CKA_TRUSTED may be set to TRUE."""
        return self.is_so and policy.permitted(self, KEY_TRUST)


def _too_many(setting: str, kind: str, opened: int) -> TokenError:
    words = f"this application has {opened} {kind}session{'s' * (opened != 1)} with the token, as many as the setting"
    return TokenError(ck.CKR_SESSION_COUNT, f"{words} {setting} allows: close one, or see adyton config show", setting)


class SavedState(NamedTuple):
    """A copy of what was active in a session; ``held``: bytes of input and results in it."""

    partition: Partition
    session_state: int
    operations: dict[str, Any]
    held: int


class SavedStates:
    """What C_GetOperationState has given out: a random ticket each, to a copy that stays here. Nobody gives one back,
    so the oldest make room for new ones, by their number and by what they hold."""

    MOST = 256
    MOST_HELD = 1 << 20
    HEADER = b"adyton-1"
    LENGTH = len(HEADER) + 24

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[bytes, SavedState] = {}

    def put(self, saved: SavedState) -> bytes:
        ticket = self.HEADER + os.urandom(self.LENGTH - len(self.HEADER))
        with self._lock:
            self._kept[ticket] = saved
            held = sum(kept.held for kept in self._kept.values())
            while len(self._kept) > self.MOST or held > self.MOST_HELD:
                held -= self._kept.pop(next(iter(self._kept))).held
        return ticket

    def get(self, ticket: bytes) -> SavedState:
        with self._lock:
            found = self._kept.get(ticket)
        if found is None:
            ours = len(ticket) == self.LENGTH and ticket.startswith(self.HEADER)
            words = "another application's, or too many were saved after it" if ours else "nothing that was saved here"
            raise TokenError(ck.CKR_SAVED_STATE_INVALID, f"this state is {words}")
        return found

    def drop(self, which: Callable[[SavedState], bool]) -> None:
        with self._lock:
            for ticket in [ticket for ticket, saved in self._kept.items() if which(saved)]:
                del self._kept[ticket]


class Application:
    """What one C_Initialize made: sessions, handles, logins and the last refusals."""

    def __init__(
        self, pool: Pool, pid: int, uid: int, hung_up: Callable[[], bool] = lambda: False, user: User | None = None,
    ) -> None:
        self.pool = pool
        self._account = pool.users.account_of(user or User(uid, pool.users.limits))
        self._gathered = self._since = 0  # bytes of input that operations keep: counted last, and come since
        self._counting = threading.Lock()
        self.pid = pid
        self.uid = uid
        self.hung_up = hung_up  # whether its process has closed the control connection
        self.gone = threading.Event()
        self.since = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.lock = threading.RLock()
        self.sessions: dict[int, Session] = {}
        self.handles: dict[int, TokenObject] = {}
        self.logins: dict[int, Login] = {}
        self.logins_begun: dict[int, int] = {}  # how many, by slot
        self.saved = SavedStates()
        self.refusals: deque[dict[str, Any]] = deque(maxlen=REFUSALS_KEPT)
        self.ended = False
        self.must_change = False  # whether a login waits for a new PIN
        self.slots_seen: dict[int, int] = {}  # pool.slot_events: when the last event that was told happened
        self._next = 1 + int.from_bytes(os.urandom(3), "little")

    # -- what the engine keeps for it

    def take(self, count: int) -> None:
        """Room for so many bytes more; CKR_DEVICE_MEMORY where there is none."""
        if self.ended:
            raise TokenError(ck.CKR_DEVICE_REMOVED, "the application is gone")
        try:
            self._account.take(count)
        except TokenError:
            self._recount()  # input of operations that have ended meanwhile
            self._account.take(count)

    def give(self, count: int) -> None:
        self._account.give(count)

    @contextmanager
    def room_for(self, count: int) -> Iterator[None]:
        """So many bytes more, or fewer, if what is done now succeeds."""
        if count:
            self.take(count)
        try:
            yield
        except BaseException:
            self.give(count)
            raise

    def may_gather(self, count: int) -> None:
        """So many bytes come to an operation that may keep them until its end."""
        self._since += count
        if self._since >= COUNTED_EACH:
            self._recount()
            with self._counting:
                self._account.take(self._since)
                self._gathered += self._since
                self._since = 0

    def _recount(self) -> None:
        """Asked with a session's or the partition's lock held, so it takes none of these."""
        with self._counting:
            self._count()

    def _count(self) -> None:
        active = [operation for session in list(self.sessions.values()) for operation in list(session.active.values())]
        found = sum(getattr(operation, "held", 0) for operation in active)
        if found < self._gathered:
            self._account.give(self._gathered - found)
        else:
            self._account.take(found - self._gathered)
        self._gathered = found

    def _handle(self) -> int:
        self._next += 1
        return self._next

    def open_session(self, partition: Partition, read_write: bool) -> Session:
        with self.lock:
            login = self.logins.get(partition.slot)
            if not read_write and login is not None and login.user_type == ck.CKU_SO:
                raise TokenError(ck.CKR_SESSION_READ_WRITE_SO_EXISTS, "the SO is logged in: no read-only session")
            if self.ended:
                raise TokenError(ck.CKR_DEVICE_REMOVED, "the application is gone")
            self._may_open(partition, read_write)
            try:
                self.take(SESSION)
            except TokenError as full:
                raise TokenError(ck.CKR_SESSION_COUNT, full.reason, full.subject) from None
            try:
                session = Session(self, self._handle(), partition, read_write)
                partition.session_opened(read_write)
            except TokenError:
                self.give(SESSION)
                raise
            self.sessions[session.handle] = session
            return session

    def counted(self, partition: Partition) -> tuple[int, int]:
        """This application's sessions with the token, and how many of them are read/write."""
        with self.lock:
            kinds = [session.read_write for session in self.sessions.values() if session.partition is partition]
        return len(kinds), sum(kinds)

    def _may_open(self, partition: Partition, read_write: bool) -> None:
        if not (self.pool.max_sessions or self.pool.max_rw_sessions):
            return
        opened, rw = self.counted(partition)
        if self.pool.max_sessions and opened >= self.pool.max_sessions:
            raise _too_many("max-sessions", "", opened)
        if read_write and self.pool.max_rw_sessions and rw >= self.pool.max_rw_sessions:
            raise _too_many("max-rw-sessions", "read/write ", rw)

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
            session.closed = True
            session.partition.session_closed(session)
            self.give(SESSION)
            if not any(other.partition is session.partition for other in self.sessions.values()):
                self.end_login(session.partition)

    def close_all(self, partition: Partition | None = None) -> None:
        with self.lock:
            for handle in [h for h, s in self.sessions.items() if partition is None or s.partition is partition]:
                self.close_session(handle)

    def start_login(self, session: Session, officer: str, user_type: int, must_change: bool) -> None:
        """After the PIN was found right: what other threads did meanwhile counts (section 5.6.8)."""
        with self.lock:
            session.still_open()
            self.may_log_in(session.partition, user_type)
            held = session.partition.directory.held(officer)
            slot = session.partition.slot
            self.logins[slot] = Login(officer, user_type, held, must_change)
            session.partition.logged_in(self)
            self.logins_begun[slot] = self.logins_begun.get(slot, 0) + 1
            why = session.partition.directory.why_not(officer)
            if why:  # who was disabled while the PIN was looked at, before this login was there to be ended
                del self.logins[slot]
                session.partition.logged_out(self)
                raise TokenError(ck.CKR_PIN_LOCKED, why, officer)
            self.must_change = self.must_change or must_change
            self.pool.epoch.bump()

    def pin_changed(self, partition: Partition, officer: str) -> None:
        """A login that waited for a new PIN counts now."""
        with self.lock:
            login = self.logins.get(partition.slot)
            if login is not None and login.officer == officer:
                login.must_change = False
            self.must_change = any(login.must_change for login in self.logins.values())
            self.pool.epoch.bump()

    def may_log_in(self, partition: Partition, user_type: int) -> None:
        with self.lock:
            held = self.logins.get(partition.slot)
            if held is not None and held.user_type == user_type:
                raise TokenError(ck.CKR_USER_ALREADY_LOGGED_IN, "this user is logged in on this token already")
            if held is not None:
                words = "another user is logged in on this token: log out first"
                raise TokenError(ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, words)
            read_only = any(s.partition is partition and not s.read_write for s in self.sessions.values())
            if user_type == ck.CKU_SO and read_only:
                raise TokenError(ck.CKR_SESSION_READ_ONLY_EXISTS, "a read-only session is open: the SO can't log in")

    def end_login(self, partition: Partition) -> Login | None:
        """Logout: private session objects are gone and private handles void (section 5.6.10). Operations with private
        keys are over because the login they were started under is. Returns whose login has ended."""
        with self.lock:
            ended = self.logins.pop(partition.slot, None)
            self.must_change = any(login.must_change for login in self.logins.values())
            partition.drop_private_session_objects(self)
            self.saved.drop(lambda saved: saved.partition is partition and any(
                operation.key is not None and operation.key.private for operation in saved.operations.values()
            ))
            for handle, item in list(self.handles.items()):
                if item.partition is partition and item.private:
                    self.handles.pop(handle, None)
                    item.handles.pop(self, None)
            self.pool.epoch.bump()
            partition.logged_out(self)
            return ended

    def end(self) -> None:
        with self.lock:
            self.ended = True
            self.pool.slot_events.wake()
            self.close_all()
            self.saved.drop(lambda saved: True)
            for item in list(self.handles.values()):
                item.handles.pop(self, None)
            self.handles.clear()
            self._account.give(self._account.held)
        self.gone.set()
