"""Logins and PINs: guesses without end, PINs that are nearly right, logins that nobody should have."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from abi import NULL, ffi
from attacks.attack import SO_PIN, USER_PIN, Token, attack
from attacks.sessions import CMAC, STANDARD, elsewhere

from pkcs11_shim import constants as ck

CHAPTER = "logins and PINs"
TRIES = 10


def wrong(t: Token, times: int, user: int = ck.CKU_USER) -> None:
    for n in range(times):
        t.m.login(t.s, f"wrong-{n:04}", user)


@attack(CHAPTER, "pin-guessed-without-end", "of our own; SoftHSM2 has no lockout")
def _(t: Token) -> str | None:
    """A hundred wrong PINs, and then the right one."""
    t.logout()
    wrong(t, 100)
    return "a hundred guesses, and a login" if t.m.login(t.s, t.pin) == ck.CKR_OK else None


@attack(CHAPTER, "so-pin-guessed-without-end", "of our own; SoftHSM2 has no lockout")
def _(t: Token) -> str | None:
    """The same of the SO's."""
    t.logout()
    wrong(t, 100, ck.CKU_SO)
    return "a hundred guesses, and a login" if t.m.login(t.s, t.so_pin, ck.CKU_SO) == ck.CKR_OK else None


def guesses_by(guess: Callable[[Token, str], int]) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A hundred PINs are guessed by a function that asks for one without being a login."""
        for n in range(100):
            guess(t, f"wrong-{n:04}")
        t.m.C_Logout(t.s)
        return "a hundred guesses, and a login" if t.m.login(t.s, t.pin) == ck.CKR_OK else None

    return run


def _by_set_pin(t: Token, pin: str) -> int:
    return int(t.m.C_SetPIN(t.s, pin.encode(), len(pin), b"1234-new", 8))


def _by_context(t: Token, pin: str) -> int:
    _, private = t.ec(always_authenticate=True, sign=True)
    t.m.C_SignInit(t.s, t.mech(ck.CKM_ECDSA), private)
    return t.m.login(t.s, pin, ck.CKU_CONTEXT_SPECIFIC)


attack(CHAPTER, "pin-guessed-by-set-pin", "of our own")(guesses_by(_by_set_pin))
attack(CHAPTER, "pin-guessed-by-context-specific-login", "of our own")(guesses_by(_by_context))


@attack(CHAPTER, "so-pin-guessed-by-init-token", "of our own")
def _(t: Token) -> str | None:
    """The SO's PIN is guessed by C_InitToken, which asks for it too."""
    t.ok(t.m.C_CloseAllSessions(t.slot), "C_CloseAllSessions")
    label = b"attacked".ljust(32)
    for n in range(100):
        pin = f"wrong-{n:04}".encode()
        t.m.C_InitToken(t.slot, pin, len(pin), label)
    so = t.so_pin.encode()
    return (
        "a hundred guesses, and a token made anew" if t.m.C_InitToken(t.slot, so, len(so), label) == ck.CKR_OK else None
    )


@attack(CHAPTER, "lockout-forgotten-by-reinitialise", "of our own")
def _(t: Token) -> str | None:
    """Nine wrong PINs, C_Finalize, and so on: the count begins anew."""
    t.logout()
    for _ in range(6):
        wrong(t, TRIES - 1)
        t.m.C_Finalize(NULL)
        t.ok(t.m.C_Initialize(NULL), "C_Initialize")
        t.s = t.session()
    return "fifty-four guesses, and a login" if t.m.login(t.s, t.pin) == ck.CKR_OK else None


@attack(CHAPTER, "lockout-forgotten-by-another-program", "of our own")
def _(t: Token) -> str | None:
    """The same from several programs: each has a count of its own."""
    t.logout()
    for _ in range(6):
        elsewhere(t, lambda m, s: [m.login(s, f"wrong-{n:04}") for n in range(TRIES - 1)][-1])
    return "fifty-four guesses, and a login" if t.m.login(t.s, t.pin) == ck.CKR_OK else None


@attack(CHAPTER, "lockout-outrun-in-parallel", "of our own")
def _(t: Token) -> str | None:
    """Forty programs guess at once, before any of them is counted."""
    t.logout()
    children = []
    for n in range(40):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                t.m.C_Finalize(NULL)
                t.m.C_Initialize(NULL)
                code = int(t.m.login(t.m.session(t.slot), f"wrong-{n:04}") == ck.CKR_PIN_LOCKED)
            finally:
                os._exit(code)
        children.append(child)
    checked = sum(os.waitpid(child, 0)[1] == 0 for child in children)
    return f"{checked} guesses were checked" if checked > TRIES else None


@attack(CHAPTER, "lockout-forgotten-by-a-kill", "of our own")
def _(t: Token) -> str | None:
    """The program is killed between guess and count, again and again."""
    t.logout()
    checked = 0
    for n in range(30):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            t.m.C_Finalize(NULL)
            t.m.C_Initialize(NULL)
            s = t.m.session(t.slot)
            rv = t.m.login(s, f"wrong-{n:04}")
            os.write(writing, b"i" if rv == ck.CKR_PIN_INCORRECT else b"l")
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(writing)
        checked += os.read(reading, 1) == b"i"
        os.close(reading)
        os.waitpid(child, 0)
    return f"{checked} guesses were checked" if checked > TRIES else None


def odd_pin(make: Callable[[str], bytes], user: int = ck.CKU_USER) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A PIN that is not the PIN, but begins or ends like it."""
        t.logout()
        pin = make(t.pin if user == ck.CKU_USER else t.so_pin)
        return "a login" if t.m.C_Login(t.s, user, pin, len(pin)) == ck.CKR_OK else None

    return run


for _name, _make in (
    ("empty", lambda pin: b""),
    ("cut", lambda pin: pin[:-1].encode()),
    ("longer", lambda pin: pin.encode() + b"x"),
    ("with-nul", lambda pin: pin.encode() + b"\0"),
    ("nul-and-more", lambda pin: pin.encode() + b"\0more"),
    ("in-capitals", lambda pin: pin.upper().encode()),
    ("with-a-space", lambda pin: pin.encode() + b" "),
    ("fullwidth", lambda pin: "".join(chr(ord(c) + 0xFEE0) if c != "-" else c for c in pin).encode()),
):
    attack(CHAPTER, f"pin-{_name}", "of our own")(odd_pin(_make))
attack(CHAPTER, "so-with-the-users-pin", STANDARD)(odd_pin(lambda pin: USER_PIN.encode(), ck.CKU_SO))
attack(CHAPTER, "user-with-the-sos-pin", STANDARD)(odd_pin(lambda pin: SO_PIN.encode()))


@attack(CHAPTER, "odd-user-types", STANDARD)
def _(t: Token) -> str | None:
    """User types that there are none of, with the right PIN."""
    t.logout()
    pin = t.pin.encode()
    kinds = (3, 4, 0xFF, 0x80000000, (1 << 64) - 1)
    return "a login of no type" if any(t.m.C_Login(t.s, kind, pin, len(pin)) == ck.CKR_OK for kind in kinds) else None


@attack(CHAPTER, "context-specific-without-need", STANDARD)
def _(t: Token) -> str | None:
    """A context-specific login while no operation asks for one, from outside a login."""
    t.logout()
    told = t.m.login(t.s, t.pin, ck.CKU_CONTEXT_SPECIFIC)
    return "a context-specific login out of place" if told == ck.CKR_OK else None


@attack(CHAPTER, "second-user-logs-in", STANDARD)
def _(t: Token) -> str | None:
    """The SO logs in while the user is: both at once."""
    return "two logins at once" if t.m.login(t.session(), t.so_pin, ck.CKU_SO) == ck.CKR_OK else None


@attack(CHAPTER, "so-beside-read-only-sessions", STANDARD)
def _(t: Token) -> str | None:
    """The SO logs in where there is a read-only session, or opens one."""
    t.logout()
    other = t.session(read_write=False)
    if t.m.login(t.s, t.so_pin, ck.CKU_SO) == ck.CKR_OK:
        return "the SO in a read-only session"
    t.ok(t.m.C_CloseSession(other), "C_CloseSession")
    t.login(user=ck.CKU_SO)
    made = ffi.new("CK_SESSION_HANDLE*")
    rv = t.m.C_OpenSession(t.slot, ck.CKF_SERIAL_SESSION, NULL, NULL, made)
    return "the SO in a read-only session" if rv == ck.CKR_OK else None


@attack(CHAPTER, "so-uses-the-users-keys", STANDARD)
def _(t: Token) -> str | None:
    """The SO finds one of the user's private keys, and uses it in any way, or reads more than he trusts keys by."""
    uses = {"sign": True, "wrap": True, "encrypt": True, "extractable": True}
    t.key(token=True, label=b"the user's", id=b"id", **uses)
    t.as_so()
    key = (t.m.find(t.s, {ck.CKA_LABEL: b"the user's"}) or [0])[0]
    got = [
        t.m.use("Sign", t.s, t.mech(CMAC), key, bytes(16))[0],
        t.m.copy(t.s, key, {ck.CKA_TOKEN: False})[0],
        t.m.use("Encrypt", t.s, t.mech(ck.CKM_AES_ECB), key, bytes(16))[0],
        t.m.C_DestroyObject(t.s, key),
        t.m.wrap(t.s, t.mech(ck.CKM_AES_KEY_WRAP), key, key)[0],
        t.m.change(t.s, key, {ck.CKA_LABEL: b"the SO's"}),
        t.m.C_GetAttributeValue(t.s, key, *t.m.template({ck.CKA_ID: bytes(8)})),
    ]
    return "a use of the user's key" if ck.CKR_OK in got else None


@attack(CHAPTER, "init-pin-by-the-user", STANDARD)
def _(t: Token) -> str | None:
    """The user, or nobody, calls C_InitPIN."""
    by_user = t.m.C_InitPIN(t.s, b"1234-new", 8) == ck.CKR_OK
    t.logout()
    return "a new PIN without the SO" if by_user or t.m.C_InitPIN(t.s, b"1234-new", 8) == ck.CKR_OK else None


@attack(CHAPTER, "set-pin-without-the-old-one", STANDARD)
def _(t: Token) -> str | None:
    """C_SetPIN with a wrong old PIN, by who is logged in."""
    return "a new PIN without the old one" if t.m.C_SetPIN(t.s, b"wrong-pin", 9, b"1234-new", 8) == ck.CKR_OK else None


@attack(CHAPTER, "init-token-keeps-keys", "PKCS#11 3.2, section 5.5.7")
def _(t: Token) -> str | None:
    """The SO makes the token anew, and finds the old user's keys with a new user's PIN."""
    t.key(token=True, label=b"of before")
    t.ok(t.m.C_CloseAllSessions(t.slot), "C_CloseAllSessions")
    so = t.so_pin.encode()
    t.ok(t.m.C_InitToken(t.slot, so, len(so), b"anew".ljust(32)), "C_InitToken")
    slots, count = ffi.new("CK_SLOT_ID[16]"), ffi.new("CK_ULONG*", 16)
    t.ok(t.m.C_GetSlotList(1, slots, count), "C_GetSlotList")
    t.slot = int(slots[0])
    t.s = t.session()
    t.login(user=ck.CKU_SO)
    t.ok(t.m.C_InitPIN(t.s, b"1234-next", 9), "C_InitPIN")
    t.logout()
    t.login(pin="1234-next")
    return "the keys of before" if t.m.find(t.s, {ck.CKA_LABEL: b"of before"}) else None


@attack(CHAPTER, "so-resets-the-pin-and-takes-the-keys", "Azure's own design, audited; --no-admin-recovery closes it")
def _(t: Token) -> str | None:
    """The SO sets the user's PIN and logs in with it."""
    t.key(token=True, label=b"the user's", sign=True)
    t.as_so()
    t.ok(t.m.C_InitPIN(t.s, b"1234-taken", 10), "C_InitPIN")
    t.logout()
    t.login(pin="1234-taken")
    key = t.m.find(t.s, {ck.CKA_LABEL: b"the user's"})
    return "the user's keys, by a reset PIN" if key and t.sign(CMAC, key[0], bytes(16)) else None
