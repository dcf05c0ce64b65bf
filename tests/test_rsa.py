"""RSA keys that come from outside: what is completed, what is refused, and that the check stalls nobody."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from abi import Rows, name
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from vectors import Bench, bench_of_its_own

from pkcs11_shim import constants as ck

PARTS = ("MODULUS", "PUBLIC_EXPONENT", "PRIVATE_EXPONENT", "PRIME_1", "PRIME_2", "EXPONENT_1", "EXPONENT_2",
         "COEFFICIENT")
READABLE = {ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
VALUE = "CKR_ATTRIBUTE_VALUE_INVALID"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own() as opened:
        yield opened


@cache
def key_of(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(exponent, bits)


def big(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def numbers(key: rsa.RSAPrivateKey) -> dict[str, int]:
    known = key.private_numbers()
    public = known.public_numbers
    values = (public.n, public.e, known.d, known.p, known.q, known.dmp1, known.dmq1, known.iqmp)
    return dict(zip(PARTS, values, strict=True))


def rows(values: dict[str, int], **more: Any) -> Rows:
    made = {getattr(ck, f"CKA_{part}"): big(value) for part, value in values.items()}
    return {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA, **READABLE, **made, **more}


def judged(bench: Bench, handle: int, key: rsa.RSAPrivateKey) -> None:
    signature = bench.sign(bench.mechanism(ck.CKM_SHA256_RSA_PKCS), handle, b"data")
    key.public_key().verify(signature, b"data", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("given", [PARTS, PARTS[:5], PARTS[:4], (*PARTS[:3], "PRIME_2"), PARTS[:3], PARTS[:6]])
def test_missing_parts_are_computed(bench: Bench, given: tuple[str, ...]) -> None:
    values = numbers(key_of())
    handle = bench.m.make(bench.s, rows({part: values[part] for part in given}))
    judged(bench, handle, key_of())
    stored = {part: int.from_bytes(bench.m.read(bench.s, handle, getattr(ck, f"CKA_{part}")), "big") for part in PARTS}
    n, e, d, p, q, dp, dq, qi = stored.values()
    checked = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n)).private_key()
    assert checked.public_key() == key_of().public_key()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("change", [1, 2, -2])
def test_a_wrong_part_is_refused(bench: Bench, part: str, change: int) -> None:
    """Signing with a wrong CRT part would give the primes away (Boneh, DeMillo, Lipton 1997)."""
    values = numbers(key_of())
    assert name(bench.m.create(bench.s, rows({**values, part: values[part] + change}))[0]) == VALUE


def test_parts_that_belong_to_no_key(bench: Bench) -> None:
    values = numbers(key_of())
    bare = {part: values[part] for part in PARTS[:3]}
    n, prime = values["MODULUS"], values["PRIME_1"]
    for wrong in (
        {**bare, "EXPONENT_1": values["EXPONENT_1"]},  # a CRT part without the primes that it belongs to
        {**values, "PRIVATE_EXPONENT": n + 2}, {**bare, "PRIVATE_EXPONENT": values["PRIVATE_EXPONENT"] + 2},
        {**bare, "PRIME_1": prime + 2}, {**values, "PRIME_1": 1, "PRIME_2": n - 1}, {**values, "MODULUS": n - 1},
        {**values, "PRIME_1": n, "PRIME_2": 1},
        {**values, "PRIVATE_EXPONENT": 1 << 70000},  # longer than any key
    ):
        assert name(bench.m.create(bench.s, rows(wrong))[0]) == VALUE
    without = {part: value for part, value in values.items() if part != "PUBLIC_EXPONENT"}
    assert name(bench.m.create(bench.s, rows(without))[0]) == "CKR_TEMPLATE_INCOMPLETE"


def test_primes_that_are_none(bench: Bench) -> None:
    """A modulus of a prime and a composite, whose parts otherwise fit together."""
    p = numbers(key_of())["PRIME_1"]
    q = numbers(key_of(1024))["PRIME_1"] * numbers(key_of(1024))["PRIME_2"]
    phi = (p - 1) * (q - 1)
    d = pow(65537, -1, phi)
    values = dict(zip(PARTS, (p * q, 65537, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)), strict=True))
    assert name(bench.m.create(bench.s, rows(values))[0]) == VALUE


@pytest.mark.parametrize("exponent", [3, 5, 17, 257, 2**16 + 3, 2**32 + 15, 2**64 + 13, 2**100 + 277])
@pytest.mark.parametrize("bits", [2048, 4096])
def test_other_public_exponents(bench: Bench, exponent: int, bits: int) -> None:
    """Whatever is accepted must sign and verify; what libcrypto will not use is refused where it comes in."""
    known = numbers(key_of(bits))
    p, q = known["PRIME_1"], known["PRIME_2"]
    try:
        d = pow(exponent, -1, (p - 1) * (q - 1))
    except ValueError:
        pytest.fail("the exponent shares a factor with this key's group: run again") if exponent > 257 else None
        return
    values = {"MODULUS": p * q, "PUBLIC_EXPONENT": exponent, "PRIVATE_EXPONENT": d, "PRIME_1": p, "PRIME_2": q}
    rv, private = bench.m.create(bench.s, rows(values))
    public = {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA}
    named = {ck.CKA_MODULUS: big(p * q), ck.CKA_PUBLIC_EXPONENT: big(exponent)}
    rv_public, other = bench.m.create(bench.s, {**public, **named})
    assert name(rv) == name(rv_public)
    if exponent.bit_length() > 64 and bits > 3072:
        assert name(rv) == VALUE
        return
    mechanism = bench.mechanism(ck.CKM_SHA256_RSA_PKCS)
    bench.verify(mechanism, other, b"data", bench.sign(mechanism, private, b"data"))


@pytest.mark.parametrize("exponent", [0, 1, 2, 4, 65536])
def test_exponents_that_are_none(bench: Bench, exponent: int) -> None:
    values = {**numbers(key_of()), "PUBLIC_EXPONENT": exponent}
    wanted = VALUE if exponent else "CKR_TEMPLATE_INCOMPLETE"
    assert name(bench.m.create(bench.s, rows(values))[0]) == wanted
    public = {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA}
    named = {ck.CKA_MODULUS: big(values["MODULUS"]), ck.CKA_PUBLIC_EXPONENT: big(exponent)}
    assert name(bench.m.create(bench.s, {**public, **named})[0]) == wanted


def test_wrong_pkcs1_padding_is_no_oracle(bench: Bench) -> None:
    """A ciphertext with no valid padding decrypts to something, the same each time (implicit rejection)."""
    handle = bench.m.make(bench.s, rows(numbers(key_of())))
    mechanism = bench.mechanism(ck.CKM_RSA_PKCS)
    outcomes = {bench.m.use("Decrypt", bench.s, mechanism, handle, b"\x01" * 256) for _ in range(3)}
    assert len(outcomes) == 1
    assert name(outcomes.pop()[0]) == "CKR_OK"


@pytest.mark.parametrize("kind,length", [(ck.CKK_GENERIC_SECRET, 48), (ck.CKK_AES, 32), (ck.CKK_AES, 0)])
def test_unwrapping_by_pkcs1_never_tells_of_the_padding(bench: Bench, kind: int, length: int) -> None:
    """Whatever is wrong, there is a key of the length asked for, the same each time, that is in the blob nowhere."""
    handle = bench.m.make(bench.s, rows(numbers(key_of())))
    mechanism, public = bench.mechanism(ck.CKM_RSA_PKCS), key_of().public_key()
    n = public.public_numbers().n
    wanted = length or 32
    template = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: kind, **READABLE}
    template |= {ck.CKA_VALUE_LEN: length} if length else {}

    def unwrapped(blob: bytes) -> bytes:
        rv, made = bench.m.unwrap(bench.s, mechanism, handle, blob, template)
        assert name(rv) == "CKR_OK"
        return bench.m.read(bench.s, made, ck.CKA_VALUE)

    right = b"\x01\x02" * (wanted // 2)
    assert unwrapped(public.encrypt(right, padding.PKCS1v15())) == right
    others = (b"\x01" * (wanted - 1), b"\x01" * (wanted + 1), b"\x01" * 245, b"", b"\x01" * 5)
    blobs = [public.encrypt(other, padding.PKCS1v15()) for other in others]
    blobs += [pow(int.from_bytes(head + b"\xaa" * 254, "big") % n, 65537, n).to_bytes(256, "big")
              for head in (b"\0\2", b"\0\1", b"\1\2")]
    seen = [unwrapped(blob) for blob in blobs]
    assert [unwrapped(blob) for blob in blobs] == seen
    assert {len(value) for value in seen} == {wanted} and len(set(seen)) == len(seen)
    for value, blob in zip(seen, blobs, strict=True):
        plain = pow(int.from_bytes(blob, "big"), numbers(key_of())["PRIVATE_EXPONENT"], n).to_bytes(256, "big")
        assert value not in plain and plain[-8:] not in value
