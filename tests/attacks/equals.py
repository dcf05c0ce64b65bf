"""A derived key that is one thing by two names: what derives it, another function gives out in clear."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from abi import ffi
from attacks.attack import GENERIC, Token, attack
from attacks.wrapping import CBC, ECB

from pkcs11_shim import constants as ck

CHAPTER = "derivation that another function repeats"
OURS = "of our own"
LABEL = b"what it is for.."


def same(t: Token, derived: int, claimed: bytes) -> str | None:
    """Whether the derived key, which is sensitive, has this value: both make the same MAC."""
    made = t.sign(ck.CKM_SHA256_HMAC, derived, b"which key is it")
    fell = hmac.digest(claimed, b"which key is it", "sha256") == made
    return "the value of a derived sensitive key" if fell else None


def counter_mode(t: Token, prf: int) -> Any:
    """SP 800-108's input: a counter of one byte, and the label."""
    m = t.m
    rows = m.keep(ffi.new("CK_PRF_DATA_PARAM[2]"))
    form = m.structure("CK_SP800_108_COUNTER_FORMAT", bLittleEndian=0, ulWidthInBits=8)
    kinds = ck.CK_SP800_108_ITERATION_VARIABLE, ck.CK_SP800_108_BYTE_ARRAY
    for row, kind, (value, length) in zip(rows, kinds, (_at(m, form), _at(m, LABEL)), strict=True):
        row.type, row.pValue, row.ulValueLen = kind, value, length
    given = m.structure("CK_SP800_108_KDF_PARAMS", prfType=prf, pDataParams=rows, ulNumberOfDataParams=2)
    return ck.CKM_SP800_108_COUNTER_KDF, given


def _at(m: Any, value: Any) -> tuple[Any, int]:
    if isinstance(value, bytes):
        return m.keep(ffi.new("CK_BYTE[]", value)), len(value)
    return value, ffi.sizeof(ffi.typeof(value).item)


def expand(t: Token) -> Any:
    return ck.CKM_HKDF_DERIVE, t.m.structure(
        "CK_HKDF_PARAMS",
        bExtract=0,
        bExpand=1,
        prfHashMechanism=ck.CKM_SHA256,
        pInfo=LABEL,
        ulInfoLen=len(LABEL),
        ulSaltType=ck.CKF_HKDF_SALT_NULL,
    )


def by_hmac(protected: dict[str, bool], mechanism: Callable[[Token], Any], message: bytes, *, first: str) -> Any:
    def run(t: Token) -> str | None:
        """The base shows its value to nobody, sensitive or only unextractable: it derives a sensitive key, and signs
        what that key is."""
        base = t.key(ck.CKM_GENERIC_SECRET_KEY_GEN, 32, derive=True, sign=True, **protected)
        claimed = t.sign(ck.CKM_SHA256_HMAC, base, message) if first == "sign" else b""
        derived = t.derive(mechanism(t), base, GENERIC, value_len=32, sensitive=True, extractable=False, sign=True)
        return same(t, derived, claimed or t.sign(ck.CKM_SHA256_HMAC, base, message))

    return run


HIDDEN = {"sensitive": False, "extractable": False}
SECRET = {"sensitive": True, "extractable": False}
for _name, _given in (
    ("unextractable-base", (HIDDEN, expand, LABEL + b"\1")),
    ("unextractable-base-in-counter-mode", (HIDDEN, lambda t: counter_mode(t, ck.CKM_SHA256_HMAC), b"\1" + LABEL)),
    ("sensitive-base-in-counter-mode", (SECRET, lambda t: counter_mode(t, ck.CKM_SHA256_HMAC), b"\1" + LABEL)),
):
    for _first in ("sign", "derive"):
        attack(CHAPTER, f"hmac-is-derivation-{_name}-{_first}-first", OURS)(by_hmac(*_given, first=_first))


def encrypt_data(t: Token) -> Any:
    form = t.m.structure("CK_KEY_DERIVATION_STRING_DATA", pData=LABEL, ulLen=len(LABEL))
    return ck.CKM_AES_ECB_ENCRYPT_DATA, form


def by_aes(mechanism: Callable[[Token], Any], give: Callable[[Token, int], bytes], use: str, *, first: bool) -> Any:
    def run(t: Token) -> str | None:
        """The base is an AES key: it derives a sensitive key, and another use of it gives that key's value."""
        base = t.key(derive=True, **SECRET, **{use: True})
        claimed = give(t, base) if first else b""
        derived = t.derive(mechanism(t), base, GENERIC, value_len=16, sensitive=True, extractable=False, sign=True)
        return same(t, derived, claimed or give(t, base))

    return run


def _counted(t: Token, key: int) -> bytes:
    form = t.m.structure("CK_AES_CTR_PARAMS", ulCounterBits=128, cb=LABEL)
    return t.decrypt((ck.CKM_AES_CTR, form), key, bytes(16))


def _cmac(t: Token) -> Any:
    return counter_mode(t, ck.CKM_AES_CMAC)


_BY: dict[str, tuple[Callable[[Token], Any], Callable[[Token, int], bytes], str]] = {
    "cmac-is-counter-mode": (_cmac, lambda t, k: t.sign(ck.CKM_AES_CMAC, k, b"\1" + LABEL), "sign"),
    "ecb-is-encrypt-data": (encrypt_data, lambda t, k: t.encrypt(ECB, k, LABEL), "encrypt"),
    "cbc-is-encrypt-data": (encrypt_data, lambda t, k: t.encrypt((CBC, bytes(16)), k, LABEL), "encrypt"),
    "ctr-decryption-is-encrypt-data": (encrypt_data, _counted, "decrypt"),
}
for _name, _way in _BY.items():
    for _first in (True, False):
        _order = "used-first" if _first else "derived-first"
        attack(CHAPTER, f"{_name}-{_order}", OURS)(by_aes(*_way, first=_first))
