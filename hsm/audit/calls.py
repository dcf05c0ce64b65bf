"""What the call that a thread is answering has done so far, for its record: each handler notes it as it goes.

Dispatch begins and ends a call. A change's own transaction writes the record of the call (hsm/store/transaction.py);
for anything else dispatch has it queued once the answer is ready, so that what was refused at the very end is not told
as done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import TYPE_CHECKING

from hsm import clock
from hsm.errors import TokenError, shortened
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Application, Login, Session
    from hsm.audit.chain import Context, Entry, Said
    from hsm.objects.token_object import TokenObject

# Whose refusals are recorded, each with the first argument that says where: those that use, make, change or look for
# keys, and those of officers. What only reads attributes, or tells of slots and sessions, is in no record.
_OPERATIONS = """
    C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit C_SignRecover C_VerifyInit C_Verify C_VerifyUpdate
    C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal
    C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal C_DigestKey C_DigestEncryptUpdate C_DecryptDigestUpdate
    C_SignEncryptUpdate C_DecryptVerifyUpdate C_MessageEncryptInit C_EncryptMessage C_EncryptMessageBegin
    C_EncryptMessageNext C_MessageDecryptInit C_DecryptMessage C_DecryptMessageBegin C_DecryptMessageNext
    C_WrapKey C_UnwrapKey C_DeriveKey C_GenerateKey C_GenerateKeyPair"""
_OBJECTS = "C_CreateObject C_CopyObject C_SetAttributeValue C_DestroyObject C_FindObjectsInit"
_OFFICERS = "C_Login C_LoginUser C_Logout C_InitPIN C_SetPIN"
OF_A_SESSION = frozenset(f"{_OPERATIONS} {_OBJECTS} {_OFFICERS}".split())
OF_A_SLOT = frozenset({"C_InitToken"})
RECORDED = OF_A_SESSION | OF_A_SLOT
# Acts that are one with the call they are made by; others, as a key's first use, have a record beside it.
_BY_A_CALL = frozenset("generate create copy change destroy unwrap derive C_InitToken C_InitPIN C_SetPIN".split())


class Call:
    """One for each thread. ``use``: the session, key, mechanism and login of a use that has given something out, which
    is all that most records need; ``asked``: the login whose rights a call asks for, and how many there had been; other
    notes are taken by ``note``. ``done``: it has done what is recorded; ``written``: a transaction has recorded it.
    ``undo``: what takes back an effect that would outlive a refusal at the end. ``claimed``: the officer that somebody
    wants to be. ``ahead``: the library has granted the call already, by what the engine had said before."""

    __slots__ = (
        "ahead", "asked", "began", "claimed", "detail", "done", "function", "keys", "last", "mechanism", "noted",
        "officer", "slot", "undo", "use", "written",
    )

    def __init__(self) -> None:
        self.ahead = False
        self.function = ""
        self.began = 0
        self.last: Context = ("", 0, "", 0, 0, 0, (("", ""),), None, ())
        self.use: tuple[Session, TokenObject, int, Login | None] | None = None
        self.clear()

    def clear(self) -> None:
        """Drops the notes of a call that has ended; most calls leave none."""
        self.noted = self.done = self.written = False
        self.asked: tuple[Login | None, int] | None = None
        self.officer = ""
        self.slot = -1
        self.keys: Said = ()
        self.mechanism: int | None = None
        self.detail: Said = ()
        self.undo: Callable[[], object] | None = None
        self.claimed = ""

    def at(self, session: Session) -> None:
        self.slot = session.partition.slot
        login = session.login if self.asked is None else self.asked[0]
        if login is not None:
            self.officer = login.officer

    def entry_of_use(self, app: Application, use: tuple[Session, TokenObject, int, Login | None]) -> Entry:
        """Most are like the one before them, and share what they have in common with it."""
        session, key, mechanism, login = use
        slot, known, last = session.partition.slot, key.key_name(), self.last
        if not known[1]:
            known = named(key)
        officer = "" if login is None else login.officer
        if not (
            last[0] is self.function and last[6][0] is known and last[2] is officer and last[7] == mechanism
            and last[4] == app.pid and last[3] == app.uid and last[5] == slot
        ):
            last = self.last = (self.function, 0, officer, app.uid, app.pid, slot, (known,), mechanism, ())
        return clock.now(), perf_counter_ns() - self.began, last

    def entry(self, app: Application, rv: int, detail: Said = ()) -> Entry:
        return clock.now(), perf_counter_ns() - self.began, (
            self.function, rv, self.officer, app.uid, app.pid, self.slot, self.keys, self.mechanism,
            tuple([(name, shortened(value)) for name, value in self.detail + detail]),
        )

    def refused(self, app: Application, where: object, rv: int, refusal: TokenError) -> Entry:
        """``where``: the call's first argument, for a call that was refused before it said where it is."""
        self.noted = True
        if self.use is not None:  # its record could not be written
            session, key, self.mechanism, login = self.use
            self.asked = login, 0
            self.at(session)
            self.keys = (named(key),)
        elif self.slot < 0 and isinstance(where, int):
            found = app.sessions.get(where) if self.function in OF_A_SESSION else None
            if found is not None:
                self.at(found)
            elif self.function in OF_A_SLOT and where in app.pool.by_slot:
                self.slot = where
        told = why(refusal)
        if self.claimed and not self.officer:
            told += (("as", self.claimed),)
        if self.ahead:
            told += (("ahead", "the library had granted it, and the call after it was refused"),)
        return self.entry(app, rv, told)


def why(refusal: TokenError) -> Said:
    """A refusal in a record: the data action that was not held and its scope, or whatever else it is about, stand by
    themselves too."""
    reason = ("reason", refusal.reason)
    if refusal.scope:
        return reason, ("action", refusal.subject), ("scope", refusal.scope)
    return (reason, ("subject", refusal.subject)) if refusal.subject else (reason,)


class _OfAThread(threading.local):
    def __init__(self) -> None:
        self.call = Call()


CURRENT = _OfAThread()


def named(item: TokenObject) -> tuple[str, str]:
    """How a record names an object: by its name and version for life, else by its CKA_UNIQUE_ID; by both if it is a
    session object with a token key's value."""
    known = item.key_name()
    if known[1]:
        return known
    unique = (item.get(ck.CKA_UNIQUE_ID) or b"").decode()
    return known[0], f"object:{unique}" if known[0] else unique


def note() -> Call:
    """The call of this thread, to take notes of it; where there is none, nobody reads them."""
    call = CURRENT.call
    if not call.function:
        return Call()
    call.noted = True
    return call


def about(items: Iterable[TokenObject], mechanism: int | None = None) -> None:
    """What the call is about, as soon as that is known: a refusal's record tells it too."""
    call = note()
    call.keys += tuple([named(item) for item in items])
    if mechanism is not None:
        call.mechanism = mechanism


def used(session: Session, key: TokenObject | None, mechanism: int, login: Login | None) -> None:
    """A step of an operation has given something out, or ended it, by the rights of ``login``. One without a key is in
    no record."""
    if key is not None:
        CURRENT.call.use = (session, key, mechanism, login)


def begun(session: Session) -> None:
    """From here on the call asks for the rights of who is logged in now."""
    slot, app = session.partition.slot, session.application
    logins = app.logins_begun.get(slot, 0)
    note().asked = app.logins.get(slot), logins


def asked_of(session: Session) -> Login | None:
    """The login whose rights the call has asked for. Where another thread has logged out meanwhile, some may have been
    those of another, and the record would name somebody who did not do it: the call is refused. The first login may
    come in between, since nobody before it had any rights."""
    login, call = session.login, CURRENT.call
    if call.asked is None:
        return login
    before, logins = call.asked
    since = session.application.logins_begun.get(session.partition.slot, 0) - logins
    if before is None and since == 1 and login is not None:
        call.asked = login, logins + 1
    elif login is not before or since:
        words = "another thread has logged out or in while this call was answered"
        raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, words)
    return login


def detail(**told: str) -> None:
    note().detail += tuple(told.items())


def done(session: Session, **detail: str) -> None:
    """The call has done what it does; what it is about has been noted."""
    call = note()
    call.at(session)
    call.detail += tuple(detail.items())
    call.done = True


def left(session: Session, ended: Login) -> None:
    """A logout, which is done, whether it can be told or not."""
    call, app = note(), session.application
    call.asked = ended, 0
    call.at(session)
    if call.function:
        app.pool.audit.tell_anyway(call.entry(app, ck.CKR_OK))


def change(record: dict[str, str], keys: Said) -> Entry:
    """What a change's transaction writes: the record of the call or act that makes it, or one beside that."""
    rest = dict(record)
    act, officer = rest.pop("act"), rest.pop("officer", "")
    uid, pid, slot = (int(rest.pop(name, "-1")) for name in ("uid", "pid", "slot"))
    operation, mechanism, duration = act, None, 0
    call = CURRENT.call
    if act == call.function or (act in _BY_A_CALL and call.function.startswith("C_")):
        operation, mechanism, duration = call.function, call.mechanism, perf_counter_ns() - call.began
        keys = call.keys + keys
        rest.update(call.detail)
        note().written = True
    keys = tuple(dict.fromkeys(keys))  # the halves of a pair are one version of one key
    context = (operation, 0, officer, uid, pid, slot, keys, mechanism, tuple(rest.items()))
    return clock.now(), duration, context
