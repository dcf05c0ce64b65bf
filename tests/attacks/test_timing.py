"""Whether time tells what the code does not: right and wrong paddings, taken by turns, are told apart by their ranks.

The measure is the chance that a call of one kind took longer than a call of the other: one half, where time tells
nothing. What no such test can show is that nothing at all is told: it would find what a patient attacker on the same
machine finds with some hundred calls, not with a million.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable
from typing import Any

import pytest
from abi import Module, logged_in
from attacks.oracles import NONSENSE, _pkcs1_blobs

from pkcs11_shim import constants as ck

TURNS = 600
FAIR = 0.42, 0.58  # by chance, with so many calls, it is within 0.467 and 0.533 in nineteen of twenty runs
SECRET = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_TOKEN: False, ck.CKA_VALUE_LEN: 32}
Call = Callable[[bytes], object]


def chance(call: Call, one: list[bytes], other: list[bytes]) -> float:
    took: tuple[list[int], list[int]] = [], []
    for turn in range(TURNS):
        for kind in (0, 1) if turn % 2 else (1, 0):
            blobs = (one, other)[kind]
            blob = blobs[turn // 2 % len(blobs)]
            started = time.perf_counter_ns()
            call(blob)
            took[kind].append(time.perf_counter_ns() - started)
    ranked = sorted(took[1])
    below = sum(bisect.bisect_left(ranked, value) + bisect.bisect_right(ranked, value) for value in took[0])
    return below / (2 * len(took[0]) * len(took[1]))


def setting(m: Module, s: int) -> tuple[int, int]:
    """A private key made inside, and its modulus."""
    rv, public, private = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, {
        ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}, {ck.CKA_DECRYPT: True, ck.CKA_UNWRAP: True})
    assert rv == ck.CKR_OK
    return private, int.from_bytes(m.read(s, public, ck.CKA_MODULUS), "big")


@pytest.mark.long
def test_paddings_take_the_same_time(adyton_token: Any) -> None:
    with logged_in(adyton_token) as (m, s):
        private, n = setting(m, s)
        pkcs, oaep = m.mechanism(ck.CKM_RSA_PKCS), m.mechanism(ck.CKM_RSA_PKCS_OAEP, m.structure(
            "CK_RSA_PKCS_OAEP_PARAMS", hashAlg=ck.CKM_SHA_1, mgf=ck.CKG_MGF1_SHA1, source=ck.CKZ_DATA_SPECIFIED))
        right, *wrong = _pkcs1_blobs(n)
        manger = [[pow(int.from_bytes(first + NONSENSE[:255], "big") % n, 65537, n).to_bytes(256, "big")]
                  for first in (b"\0", b"\1")]

        def unwraps(blob: bytes) -> None:
            rv, made = m.unwrap(s, pkcs, private, blob, SECRET)
            assert rv == ck.CKR_OK
            m.C_DestroyObject(s, made)

        found = {
            "PKCS#1 v1.5 in C_Decrypt": chance(lambda blob: m.use("Decrypt", s, pkcs, private, blob), [right], wrong),
            "PKCS#1 v1.5 in C_UnwrapKey": chance(unwraps, [right], wrong),
            "OAEP in C_Decrypt": chance(lambda blob: m.use("Decrypt", s, oaep, private, blob), *manger),
        }
        print(found)
        assert all(FAIR[0] < value < FAIR[1] for value in found.values()), found


def test_a_difference_is_found_where_there_is_one(adyton_token: Any) -> None:
    """A ciphertext that is too short is refused before anything is computed: that the ranks must show."""
    with logged_in(adyton_token) as (m, s):
        private, n = setting(m, s)
        pkcs = m.mechanism(ck.CKM_RSA_PKCS)
        blob = _pkcs1_blobs(n)[0]
        assert chance(lambda given: m.use("Decrypt", s, pkcs, private, given), [blob], [blob[:-1]]) > 0.9
