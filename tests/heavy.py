"""One application that does one heavy thing over and over until standard input ends: ``heavy.py WHAT PIN``.

Prints "ready" before it begins, and at the end how often it did it, or what went wrong, as JSON.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable

from abi import NULL, Module, Rows, ffi, good
from cryptography.hazmat.primitives.asymmetric import rsa

from pkcs11_shim import constants as ck

PAIR = {ck.CKA_MODULUS_BITS: 4096, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
RSA: Rows = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA, ck.CKA_TOKEN: False}
Round = Callable[[], None]


def generates(m: Module, s: int) -> Round:
    def once() -> None:
        rv, public, private = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, PAIR, {})
        good(rv)
        good(m.C_DestroyObject(s, public))
        good(m.C_DestroyObject(s, private))

    return once


def imports(m: Module, s: int) -> Round:
    """Keys from outside, each with values of its own kind of oddness: their owner made them, the engine checks them."""
    numbers = rsa.generate_private_key(65537, 4096).private_numbers()

    def octets(value: int) -> bytes:
        return value.to_bytes((value.bit_length() + 7) // 8, "big")

    rows = {**RSA, ck.CKA_MODULUS: octets(numbers.public_numbers.n), ck.CKA_PUBLIC_EXPONENT: b"\1\0\1",
            ck.CKA_PRIVATE_EXPONENT: octets(numbers.d), ck.CKA_PRIME_1: octets(numbers.p),
            ck.CKA_PRIME_2: octets(numbers.q), ck.CKA_EXPONENT_1: octets(numbers.dmp1),
            ck.CKA_EXPONENT_2: octets(numbers.dmq1), ck.CKA_COEFFICIENT: octets(numbers.iqmp)}
    return lambda: good(m.C_DestroyObject(s, m.make(s, rows)))


def unwraps(m: Module, s: int) -> Round:
    kwp = m.mechanism(ck.CKM_AES_KEY_WRAP_KWP)
    kek = m.aes(s, wrap=True, unwrap=True)
    rv, _, private = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, PAIR, {ck.CKA_EXTRACTABLE: True})
    good(rv)
    rv, blob = m.wrap(s, kwp, kek, private)
    good(rv)

    def once() -> None:
        rv, handle = m.unwrap(s, kwp, kek, blob, RSA)
        good(rv)
        good(m.C_DestroyObject(s, handle))

    return once


def searches(m: Module, s: int) -> Round:
    """Everything there is, in pages."""
    found, count = ffi.new("CK_OBJECT_HANDLE[500]"), ffi.new("CK_ULONG*")

    def once() -> None:
        good(m.C_FindObjectsInit(s, NULL, 0))
        total = 0
        while True:
            good(m.C_FindObjects(s, found, 500, count))
            total += count[0]
            if not count[0]:
                break
        good(m.C_FindObjectsFinal(s))
        assert total >= 10_000, total

    return once


PAUSES = {"searches": 0.1}  # what goes through all objects takes the interpreter, of which there is one
WHAT = {"generates": generates, "imports": imports, "unwraps": unwraps, "searches": searches}


def main(what: str, pin: str) -> None:
    m = Module(os.environ["ADYTON_MODULE"])
    good(m.C_Initialize(NULL))
    s = m.session()
    good(m.login(s, pin))
    once = WHAT[what](m, s)
    print("ready", flush=True)
    done, wrong = 0, ""
    while not select.select([sys.stdin], [], [], PAUSES.get(what, 0))[0]:
        kept = len(m._kept)
        try:
            once()
        except AssertionError as fault:
            wrong = str(fault)
            break
        del m._kept[kept:]
        done += 1
    print(json.dumps({"done": done, "wrong": wrong}), flush=True)
    good(m.C_Finalize(NULL))


if __name__ == "__main__":
    main(*sys.argv[1:])
