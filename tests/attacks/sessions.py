"""Sessions, handles and logins: what one program, one session or one login leaves open for another."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from abi import NULL, Module, ffi
from attacks.attack import SO_PIN, USER_PIN, Held, Token, attack

from pkcs11_shim import constants as ck

CHAPTER = "sessions and handles"
STANDARD = "PKCS#11 3.2, section 5.6"
CMAC, HMAC = ck.CKM_AES_CMAC, ck.CKM_SHA256_HMAC


def elsewhere(t: Token, work: Callable[[Module, int], int]) -> bool:
    """Whether ``work`` gets anything (returns CKR_OK) in another program, on a session of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            m = t.m
            m.C_Finalize(NULL)
            if m.C_Initialize(NULL) == ck.CKR_OK:
                code = int(work(m, m.session(t.slot)) != ck.CKR_OK)
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def size_of(m: Module, session: int, item: int) -> int:
    return int(m.C_GetObjectSize(session, item, ffi.new("CK_ULONG*")))


def signing(t: Token, key: int) -> None:
    t.ok(t.m.C_SignInit(t.s, t.mech(CMAC), key), "C_SignInit")


def signed(t: Token, session: int = 0) -> str | None:
    rv, _ = t.m.output(t.m.C_Sign, session or t.s, b"sixteen bytes ok", 16)
    t.ok(rv, "C_Sign")
    return "a signature"


@attack(CHAPTER, "operation-survives-logout", STANDARD)
def _(t: Token) -> str | None:
    """A signature is begun, its user logs out, and it is made."""
    signing(t, t.key(token=True, sign=True))
    t.logout()
    got = signed(t)
    return got and "a signature by a private key with nobody logged in"


@attack(CHAPTER, "operation-survives-another-login", STANDARD)
def _(t: Token) -> str | None:
    """A signature is begun by the user, and made when the SO is logged in."""
    signing(t, t.key(token=True, sign=True))
    t.as_so()
    got = signed(t)
    return got and "a signature by the user's key in the SO's session"


@attack(CHAPTER, "operation-survives-its-key", STANDARD)
def _(t: Token) -> str | None:
    """A signature is begun, its key destroyed, and it is made."""
    key = t.key(sign=True)
    signing(t, key)
    t.destroy(key)
    return signed(t)


@attack(CHAPTER, "operation-survives-its-key-elsewhere", STANDARD)
def _(t: Token) -> str | None:
    """The same; another program destroys the key."""
    key = t.key(token=True, label=b"shared", sign=True)
    signing(t, key)

    def destroys(m: Module, s: int) -> int:
        m.login(s, t.pin)
        return int(m.C_DestroyObject(s, m.find(s, {ck.CKA_LABEL: b"shared"})[0]))

    if not elsewhere(t, destroys):
        raise Held("C_DestroyObject in another program")
    return signed(t)


@attack(CHAPTER, "private-handle-survives-logout", STANDARD)
def _(t: Token) -> str | None:
    """A private object's handle is still one after logout."""
    key = t.key(token=True)
    t.logout()
    return "an object that only its user may see" if size_of(t.m, t.s, key) == ck.CKR_OK else None


@attack(CHAPTER, "private-handle-comes-back", STANDARD)
def _(t: Token) -> str | None:
    """A private session object's handle works again after a second login."""
    key = t.key(token=False)
    t.logout()
    t.login()
    return "a session object that is gone" if size_of(t.m, t.s, key) == ck.CKR_OK else None


@attack(CHAPTER, "session-object-survives-its-session", STANDARD)
def _(t: Token) -> str | None:
    """A session object is used after its session was closed."""
    other = t.session()
    rv, key = t.m.generate(other, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16})
    t.ok(rv, "C_GenerateKey")
    t.ok(t.m.C_CloseSession(other), "C_CloseSession")
    return "an object of a closed session" if size_of(t.m, t.s, key) == ck.CKR_OK else None


@attack(CHAPTER, "last-session-closed-login-stays", STANDARD)
def _(t: Token) -> str | None:
    """The last session is closed and another opened: who was logged in still is."""
    t.key(token=True, label=b"private")
    t.ok(t.m.C_CloseAllSessions(t.slot), "C_CloseAllSessions")
    s = t.session()
    return "a private object without a login" if t.m.find(s, {ck.CKA_LABEL: b"private"}) else None


@attack(CHAPTER, "reinitialise-login-stays", STANDARD)
def _(t: Token) -> str | None:
    """C_Finalize and C_Initialize: who was logged in still is."""
    t.key(token=True, label=b"private")
    t.m.C_Finalize(NULL)
    t.ok(t.m.C_Initialize(NULL), "C_Initialize")
    s = t.session()
    return "a private object without a login" if t.m.find(s, {ck.CKA_LABEL: b"private"}) else None


@attack(CHAPTER, "login-of-another-program", STANDARD)
def _(t: Token) -> str | None:
    """While this program is logged in, another one finds its private objects without a login."""
    t.key(token=True, label=b"private")
    found = elsewhere(t, lambda m, s: 0 if m.find(s, {ck.CKA_LABEL: b"private"}) else 1)
    return "another program's private objects" if found else None


@attack(CHAPTER, "fork-inherits-the-login", STANDARD)
def _(t: Token) -> str | None:
    """A child goes on where its parent was, with C_Initialize or without: session, login and keys."""
    key, s = t.key(token=True, sign=True), t.s
    for again in (False, True):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if again:
                    t.m.C_Initialize(NULL)
                code = int(t.m.use("Sign", s, t.mech(CMAC), key, b"sixteen bytes ok")[0] != ck.CKR_OK)
            finally:
                os._exit(code)
        if os.waitpid(child, 0)[1] == 0:
            return "a child signs with its parent's login"
    return None


@attack(CHAPTER, "handles-of-another-program", STANDARD)
def _(t: Token) -> str | None:
    """Another program, logged in, uses this one's session and object handles."""
    key, mine = t.key(token=False), t.s

    def uses(m: Module, s: int) -> int:
        m.login(s, t.pin)
        inherited = m.C_GetSessionInfo(mine, ffi.new("CK_SESSION_INFO*")) == ck.CKR_OK and mine != s
        return 0 if inherited or size_of(m, s, key) == ck.CKR_OK else 1

    return "another program's session or object" if elsewhere(t, uses) else None


@attack(CHAPTER, "session-objects-of-another-program", STANDARD)
def _(t: Token) -> str | None:
    """Another program finds this one's session objects."""
    t.make({ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_LABEL: b"of this session", ck.CKA_PRIVATE: False})
    found = elsewhere(t, lambda m, s: 0 if m.find(s, {ck.CKA_LABEL: b"of this session"}) else 1)
    return "another program's session objects" if found else None


@attack(CHAPTER, "handles-are-guessed", "of our own")
def _(t: Token) -> str | None:
    """Another program, not logged in, tries handles near those it has itself."""
    t.key(token=True)

    def guesses(m: Module, s: int) -> int:
        own = m.make(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_PRIVATE: False})
        near = [h for h in range(max(own - 300, 1), own + 300) if h != own]
        return 0 if any(size_of(m, s, handle) == ck.CKR_OK for handle in near) else 1

    return "an object by a guessed handle" if elsewhere(t, guesses) else None


def another_token(t: Token) -> int:
    """A session on a second token, made for the occasion; its user is not logged in."""
    slots, count = ffi.new("CK_SLOT_ID[16]"), ffi.new("CK_ULONG*", 16)
    if "ADYTON_HOME" in os.environ:
        from hsm.client import Client

        with Client(os.environ["ADYTON_HOME"]) as client:
            made = client.ask("partition-create", label="second", so_pin=SO_PIN, pin=USER_PIN)
        return t.m.session(made["partition"]["slot"])
    t.ok(t.m.C_GetSlotList(0, slots, count), "C_GetSlotList")
    spare = max(int(slots[i]) for i in range(count[0]) if int(slots[i]) != t.slot)
    so = SO_PIN.encode()
    t.ok(t.m.C_InitToken(spare, so, len(so), b"second".ljust(32)), "C_InitToken")
    count[0] = 16
    t.ok(t.m.C_GetSlotList(1, slots, count), "C_GetSlotList")
    return t.m.session(next(int(slots[i]) for i in range(count[0]) if int(slots[i]) != t.slot))


@attack(CHAPTER, "destroy-another-tokens-object", "seen in SoftHSM2 2.6.1")
def _(t: Token) -> str | None:
    """A session on one token destroys an object of another by its handle."""
    key, other = t.key(token=True, label=b"here"), another_token(t)
    t.m.C_DestroyObject(other, key)
    return None if t.m.find(t.s, {ck.CKA_LABEL: b"here"}) else "an object of another token is gone"


def uses_another_tokens(call: Callable[[Token, int, int], int], key: dict[str, Any]) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A session on one token, with nobody logged in, uses an object of another by its handle."""
        made, other = t.key(token=True, **key), another_token(t)
        return "another token's object, used" if call(t, other, made) == ck.CKR_OK else None

    return run


for _name, _call, _key in (
    ("read", lambda t, s, key: size_of(t.m, s, key), {}),
    ("sign", lambda t, s, key: t.m.use("Sign", s, t.mech(CMAC), key, b"sixteen bytes ok")[0], {"sign": True}),
    ("copy", lambda t, s, key: t.m.copy(s, key, {ck.CKA_TOKEN: False})[0], {}),
    ("change", lambda t, s, key: t.m.change(s, key, {ck.CKA_LABEL: b"changed"}), {}),
    (
        "wrap",
        lambda t, s, key: t.m.wrap(s, t.mech(ck.CKM_AES_KEY_WRAP), key, key)[0],
        {"wrap": True, "extractable": True},
    ),
):
    attack(CHAPTER, f"{_name}-another-tokens-object", "seen in SoftHSM2 2.6.1")(uses_another_tokens(_call, _key))


@attack(CHAPTER, "read-only-session-changes", STANDARD)
def _(t: Token) -> str | None:
    """A read-only session changes and destroys token objects."""
    key, s = t.key(token=True), t.session(read_write=False)
    changed = t.m.change(s, key, {ck.CKA_LABEL: b"changed"}) == ck.CKR_OK
    made = t.m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16, ck.CKA_TOKEN: True})[0] == ck.CKR_OK
    gone = t.m.C_DestroyObject(s, key) == ck.CKR_OK
    return "a token object, changed by a read-only session" if changed or made or gone else None


@attack(CHAPTER, "saved-state-of-another-program", STANDARD)
def _(t: Token) -> str | None:
    """An operation's saved state is restored in another program, without a login."""
    key = t.imported(bytes(32), ck.CKK_GENERIC_SECRET, sign=True)
    t.ok(t.m.C_SignInit(t.s, t.mech(HMAC), key), "C_SignInit")
    t.ok(t.m.C_SignUpdate(t.s, b"x", 1), "C_SignUpdate")
    rv, state = t.m.output(t.m.C_GetOperationState, t.s)
    t.ok(rv, "C_GetOperationState")

    def restores(m: Module, s: int) -> int:
        rv = m.C_SetOperationState(s, state, len(state), 0, 0)
        return int(rv) or m.output(m.C_SignFinal, s)[0]

    return "a MAC by another program's key" if elsewhere(t, restores) else None


@attack(CHAPTER, "saved-state-survives-logout", STANDARD)
def _(t: Token) -> str | None:
    """A private key's operation is saved, its user logs out, and it is restored."""
    key = t.key(token=True, sign=True)
    t.ok(t.m.C_SignInit(t.s, t.mech(CMAC), key), "C_SignInit")
    t.ok(t.m.C_SignUpdate(t.s, b"x", 1), "C_SignUpdate")
    rv, state = t.m.output(t.m.C_GetOperationState, t.s)
    t.ok(rv, "C_GetOperationState")
    t.logout()
    t.ok(t.m.C_SetOperationState(t.s, state, len(state), 0, 0), "C_SetOperationState")
    rv, _ = t.m.output(t.m.C_SignFinal, t.s)
    return "a MAC with nobody logged in" if rv == ck.CKR_OK else None
