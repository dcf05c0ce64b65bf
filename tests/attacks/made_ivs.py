"""IVs that the token makes for GCM, by the message calls: whether one ever comes for two messages under one value."""

from __future__ import annotations

import os

from abi import NULL, ffi, name
from attacks.attack import Held, Token, attack

from pkcs11_shim import constants as ck

CHAPTER = "IVs made by the token"
SOURCE = "NIST SP 800-38D, section 8.2; Joux 2006"
GCM = ck.CKM_AES_GCM


def start(t: Token, key: int, session: int = 0) -> None:
    if not hasattr(t.m, "C_MessageEncryptInit"):
        raise Held("a library of PKCS#11 2.40, without message calls")
    t.ok(t.m.C_MessageEncryptInit(session or t.s, t.mech(GCM), key), "C_MessageEncryptInit")


def sealed(t: Token, iv: bytes = b"", fixed: int = 0, session: int = 0, generator: int = ck.CKG_GENERATE) -> bytes:
    """The IV of a message; ``iv``: the caller's, or what begins it."""
    places = ffi.new("CK_BYTE[12]", list(iv.ljust(12, b"\0"))), ffi.new("CK_BYTE[16]")
    form = ffi.new("CK_GCM_MESSAGE_PARAMS*", {
        "pIv": places[0], "ulIvLen": 12, "ulIvFixedBits": fixed, "ivGenerator": generator, "pTag": places[1],
        "ulTagBits": 128,
    })
    room = ffi.new("CK_BYTE[4]"), ffi.new("CK_ULONG*", 4)
    rv = t.m.C_EncryptMessage(session or t.s, form, ffi.sizeof("CK_GCM_MESSAGE_PARAMS"), NULL, 0, b"data", 4, *room)
    if rv != ck.CKR_OK:
        raise Held(f"C_EncryptMessage: {name(rv)}")
    return bytes(ffi.buffer(places[0]))


def twice(ivs: list[bytes]) -> str | None:
    return "one IV for two messages under one key" if len(set(ivs)) < len(ivs) else None


@attack(CHAPTER, "made-iv-of-a-copy", SOURCE)
def _(t: Token) -> str | None:
    """A copy of the key counts from the beginning again."""
    key = t.key(token=True, encrypt=True)
    start(t, key)
    other = t.session()
    start(t, t.copy(key, token=False), other)
    return twice([sealed(t, session=session) for _ in range(40) for session in (t.s, other)])


@attack(CHAPTER, "made-iv-of-a-twin", SOURCE)
def _(t: Token) -> str | None:
    """The key is wrapped, destroyed and unwrapped, and its counter with it."""
    kek, key = t.key(wrap=True, unwrap=True, sensitive=True), t.victim(encrypt=True)
    blob, ivs = t.wrap(ck.CKM_AES_KEY_WRAP, kek, key), []
    for _ in range(3):
        start(t, key)
        ivs += [sealed(t) for _ in range(20)]
        t.ok(t.m.C_MessageEncryptFinal(t.s), "C_MessageEncryptFinal")
        t.destroy(key)
        rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
        key = t.unwrap(ck.CKM_AES_KEY_WRAP, kek, blob, rows, sensitive=True, encrypt=True)
    return twice(ivs)


@attack(CHAPTER, "made-iv-given-again", SOURCE)
def _(t: Token) -> str | None:
    """What the token made is given for another message, as the caller's own."""
    key = t.key(token=True, encrypt=True)
    start(t, key)
    sealed(t, sealed(t), generator=ck.CKG_NO_GENERATE)
    return "one IV for two messages under one key"


@attack(CHAPTER, "made-iv-given-before", SOURCE)
def _(t: Token) -> str | None:
    """IVs are given that the token would make: the count is known by another key, and the bytes before it are fixed."""
    other, key = t.key(token=True, encrypt=True), t.key(token=True, encrypt=True)
    start(t, other)
    count = int.from_bytes(sealed(t)[4:], "big")
    t.ok(t.m.C_MessageEncryptFinal(t.s), "C_MessageEncryptFinal")
    start(t, key)
    given = [b"fix!" + (count + ahead).to_bytes(8, "big") for ahead in range(1, 8)]
    for iv in given:
        sealed(t, iv, generator=ck.CKG_NO_GENERATE)
    return twice([*given, *(sealed(t, b"fix!", 32) for _ in range(4))])


@attack(CHAPTER, "made-iv-of-all-bits-fixed", SOURCE)
def _(t: Token) -> str | None:
    """The caller fixes the whole of the IV, or all but a byte, and leaves the token nothing to make."""
    start(t, t.key(token=True, encrypt=True))
    return twice([sealed(t, b"i" * 12, 96) for _ in range(2)] + [sealed(t, b"i" * 12, 88) for _ in range(300)])


@attack(CHAPTER, "made-iv-of-a-child", SOURCE)
def _(t: Token) -> str | None:
    """A forked child's counter is its parent's."""
    key = t.key(token=True, encrypt=True, label=b"forked")
    start(t, key)
    ivs = [sealed(t) for _ in range(4)]
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            t.m.C_Initialize(NULL)
            t.s = t.session()
            t.login()
            start(t, t.m.find(t.s, {ck.CKA_LABEL: b"forked"})[0])
            os.write(writing, b"".join(sealed(t) for _ in range(20)))
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    told = os.read(reading, 4096)
    ivs += [told[at : at + 12] for at in range(0, len(told), 12)]
    return twice([*ivs, *(sealed(t) for _ in range(20))])
