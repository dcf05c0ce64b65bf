"""Derived keys through the C ABI: none is weaker, shorter, better known or more open than what it came from.

The codes of what the mechanisms refuse are in test_derivation_codes.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from abi import Rows, good, name
from test_key_policy import AES, GENERIC, KWP, OPEN, P256
from vectors import Bench, bench_of_its_own
from vectors_agreement import agreement
from vectors_derivation import array, counter, counter_mode, field, hkdf, pbkdf2
from vectors_ec import SECRET

from hsm.mechanisms import registry
from pkcs11_shim import constants as ck

PARAM, TEMPLATE, SIZE = "CKR_MECHANISM_PARAM_INVALID", "CKR_TEMPLATE_INCONSISTENT", "CKR_KEY_SIZE_RANGE"
HMAC = ck.CKM_SHA256_HMAC
Make = Callable[[Bench], Any]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own() as opened:
        yield opened


def born(bench: Bench, **more: Any) -> int:
    """A sensitive key of 32 bytes, born in the token."""
    rows = {ck.CKA_VALUE_LEN: 32, **{getattr(ck, f"CKA_{n.upper()}"): v for n, v in more.items()}}
    rv, key = bench.m.generate(bench.s, ck.CKM_GENERIC_SECRET_KEY_GEN, rows)
    good(rv)
    return key


def known(bench: Bench) -> int:
    return bench.secret(b"k" * 32, ck.CKK_GENERIC_SECRET)


def derive(bench: Bench, mechanism: Any, base: int, rows: Rows) -> tuple[str, int]:
    rv, made = bench.m.derive(bench.s, mechanism, base, rows)
    return name(rv), made


# The one-way derivations: each from any base of 32 bytes.
ONE_WAY: dict[str, Make] = {
    "HKDF": lambda b: hkdf(b, "SHA256", info=b"info"),
    "HKDF extracted": lambda b: hkdf(b, "SHA256", salt=b"salt", bExpand=0),
    "HKDF expanded": lambda b: hkdf(b, "SHA256", info=b"info", bExtract=0),
    "SP 800-108": lambda b: counter_mode(b, HMAC, counter(b, 8), array(b, b"label")),
    "SHA-256": lambda b: b.mechanism(ck.CKM_SHA256_KEY_DERIVATION),
    "SHA3-512": lambda b: b.mechanism(ck.CKM_SHA3_512_KEY_DERIVATION),
}
one_way = pytest.mark.parametrize("how", ONE_WAY)


def given(bench: Bench, how: str) -> Any:
    bench.m._kept.clear()
    return ONE_WAY[how](bench)


# -- the policy


@one_way
def test_no_xts_key_is_derived(bench: Bench, how: str) -> None:
    """Its first half is what the same derivation gives as a shorter AES key: that wraps, and XTS would decrypt."""
    rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES_XTS, ck.CKA_VALUE_LEN: 32}
    for base in (born(bench), known(bench)):
        assert derive(bench, given(bench, how), base, rows)[0] == TEMPLATE


def test_no_derived_key_becomes_an_xts_key_by_a_round_trip(bench: Bench) -> None:
    m, s, outer = bench.m, bench.s, bench.m.aes(bench.s)
    rv, xts = m.generate(s, ck.CKM_AES_XTS_KEY_GEN, {ck.CKA_VALUE_LEN: 64, ck.CKA_EXTRACTABLE: True})
    good(rv)
    rows = {**GENERIC, ck.CKA_VALUE_LEN: 64, ck.CKA_EXTRACTABLE: True}
    named, made = derive(bench, given(bench, "HKDF"), born(bench, extractable=True), rows)
    assert named == "CKR_OK"
    for key, wanted in ((made, TEMPLATE), (xts, "CKR_OK")):
        rv, blob = m.wrap(s, bench.mechanism(KWP), outer, key)
        good(rv)
        good(m.C_DestroyObject(s, key))
        assert bench.unwrap(m.mechanism(KWP), outer, blob, {**GENERIC, ck.CKA_KEY_TYPE: ck.CKK_AES_XTS})[0] == wanted


@one_way
@pytest.mark.parametrize("weaker", [{ck.CKA_SENSITIVE: False}, {ck.CKA_EXTRACTABLE: True}])
def test_a_derived_key_is_as_sensitive_as_its_base(bench: Bench, how: str, weaker: Rows) -> None:
    base, rows = born(bench), {**AES, ck.CKA_VALUE_LEN: 32}
    assert derive(bench, given(bench, how), base, {**rows, **weaker})[0] == TEMPLATE
    rv, made = derive(bench, given(bench, how), base, rows)
    assert rv == "CKR_OK"
    for attribute, value in ((ck.CKA_SENSITIVE, 1), (ck.CKA_EXTRACTABLE, 0), (ck.CKA_ALWAYS_SENSITIVE, 1),
                             (ck.CKA_NEVER_EXTRACTABLE, 1), (ck.CKA_LOCAL, 0)):
        assert bench.m.read(bench.s, made, attribute) == bytes([value])
    assert derive(bench, given(bench, how), known(bench), {**rows, ck.CKA_SENSITIVE: False})[0] == "CKR_OK"


@one_way
def test_no_derived_key_is_short_enough_to_be_found(bench: Bench, how: str) -> None:
    for length in (1, 8, 13):
        rv, _ = derive(bench, given(bench, how), born(bench), {**GENERIC, ck.CKA_VALUE_LEN: length})
        assert rv in (SIZE, TEMPLATE), length  # what is only extracted has the hash's length or none
    if how != "HKDF extracted":
        assert derive(bench, given(bench, how), born(bench), {**GENERIC, ck.CKA_VALUE_LEN: 14})[0] == "CKR_OK"


@one_way
def test_what_comes_from_a_known_key_is_no_secret(bench: Bench, how: str) -> None:
    """The trojan wrapping key, one derivation further; from a secret it wraps."""
    m, s, rows = bench.m, bench.s, {**AES, ck.CKA_VALUE_LEN: 32, ck.CKA_SENSITIVE: True}
    target = m.aes(s, extractable=True)
    for base, wanted in ((known(bench), "CKR_KEY_NOT_WRAPPABLE"), (born(bench), "CKR_OK")):
        rv, wrapping = derive(bench, given(bench, how), base, rows)
        assert rv == "CKR_OK"
        assert name(m.wrap(s, m.mechanism(KWP), wrapping, target)[0]) == wanted


@one_way
def test_a_derived_key_is_no_stronger_than_its_base(bench: Bench, how: str) -> None:
    """32 bytes that came from 16 wrap keys of 16 bytes, and no longer ones."""
    m, s = bench.m, bench.s
    if how == "HKDF expanded":
        return  # takes no base shorter than its hash: below
    rv, base = m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, {ck.CKA_VALUE_LEN: 16})
    good(rv)
    rv, wrapping = derive(bench, given(bench, how), base, {**AES, ck.CKA_VALUE_LEN: 32})
    assert rv == "CKR_OK"
    rv, copy = m.copy(s, wrapping, {})
    good(rv)
    rv, short = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16, ck.CKA_EXTRACTABLE: True})
    good(rv)
    for key in (wrapping, copy):
        rv = m.wrap(s, m.mechanism(KWP), key, m.aes(s, extractable=True))[0]
        assert name(rv) == "CKR_WRAPPING_KEY_SIZE_RANGE"
        good(m.wrap(s, m.mechanism(KWP), key, short)[0])


@pytest.mark.parametrize(("length", "wraps"), [(1, 0), (16, 16), (24, 24), (32, 32)])
def test_a_derived_key_is_no_stronger_after_a_round_trip(bench: Bench, length: int, wraps: int) -> None:
    """Wrapped and unwrapped again, one that came from a single byte would be found by 256 guesses."""
    m, s, outer = bench.m, bench.s, bench.m.aes(bench.s)
    rows = {ck.CKA_VALUE_LEN: length, ck.CKA_EXTRACTABLE: True}
    rv, base = m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, rows)
    good(rv)
    rv, key = derive(bench, given(bench, "HKDF"), base, {**AES, ck.CKA_VALUE_LEN: 32, ck.CKA_EXTRACTABLE: True})
    assert rv == "CKR_OK"
    rv, blob = m.wrap(s, bench.mechanism(KWP), outer, key)
    good(rv)
    good(m.C_DestroyObject(s, key))
    rv, back = bench.unwrap(m.mechanism(KWP), outer, blob, AES)
    assert rv == "CKR_OK"
    for size in (16, 24, 32):
        rv, target = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: size, ck.CKA_EXTRACTABLE: True})
        good(rv)
        code = m.wrap(s, bench.mechanism(KWP), back, target)[0]
        assert name(code) == ("CKR_OK" if size <= wraps else "CKR_WRAPPING_KEY_SIZE_RANGE")


@one_way
@pytest.mark.parametrize("use", ["Sign", "Verify"])
def test_a_key_that_derives_makes_no_macs(bench: Bench, how: str, use: str) -> None:
    """HKDF and its like are HMACs under the base: a MAC over the right bytes is the derived key in clear."""
    m, s, mac = bench.m, bench.s, bench.mechanism(ck.CKM_SHA256_HMAC)
    base = born(bench)
    rv, copy = m.copy(s, base, {})
    good(rv)
    assert derive(bench, given(bench, how), base, {**AES, ck.CKA_VALUE_LEN: 32})[0] == "CKR_OK"
    for key in (base, copy):
        mac = bench.mechanism(ck.CKM_SHA256_HMAC)
        assert name(getattr(m, f"C_{use}Init")(s, mac, key)) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        assert name(m.change(s, key, {getattr(ck, f"CKA_{use.upper()}"): True})) == "CKR_ATTRIBUTE_READ_ONLY"


@one_way
@pytest.mark.parametrize("use", ["Sign", "Verify"])
def test_a_key_that_made_macs_derives_nothing(bench: Bench, how: str, use: str) -> None:
    """Verifying shortened MACs finds more and more of one, so that a refusal counts as well."""
    m, s, key = bench.m, bench.s, born(bench)
    if use == "Sign":
        good(m.use("Sign", s, bench.mechanism(HMAC), key, b"info\1")[0])
    else:
        assert name(m.verify(s, bench.mechanism(HMAC), key, b"info\1", bytes(32))) == "CKR_SIGNATURE_INVALID"
    assert m.read(s, key, ck.CKA_DERIVE) == b"\0"
    assert derive(bench, given(bench, how), key, {**AES, ck.CKA_VALUE_LEN: 32})[0] == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    assert name(m.change(s, key, {ck.CKA_DERIVE: True})) == "CKR_ATTRIBUTE_READ_ONLY"


@one_way
def test_a_key_derived_again_has_lost_what_it_lost_before(bench: Bench, how: str) -> None:
    """Destroyed and derived anew it has the same value: what that wrapped it would decrypt, and derive what it signs.
    It is a session key all the time, of a base that is one too."""
    m, s, base = bench.m, bench.s, born(bench)
    target = m.aes(s, extractable=True)

    def again(rows: Rows) -> int:
        rv, made = derive(bench, given(bench, how), base, {**rows, ck.CKA_VALUE_LEN: 32})
        assert rv == "CKR_OK"
        return made

    wrapping = again(AES)
    rv, blob = m.wrap(s, bench.mechanism(KWP), wrapping, target)
    good(rv)
    good(m.C_DestroyObject(s, wrapping))
    wrapping = again(AES)
    assert m.read(s, wrapping, ck.CKA_DECRYPT) == b"\0"
    assert m.use("Decrypt", s, bench.mechanism(KWP), wrapping, blob)[0] == ck.CKR_KEY_FUNCTION_NOT_PERMITTED
    if how == "HKDF extracted":
        return  # what it gives makes no MACs at all
    base = born(bench)
    mac = again(GENERIC)
    good(m.use("Sign", s, bench.mechanism(HMAC), mac, b"info\1")[0])
    good(m.C_DestroyObject(s, mac))
    mac = again(GENERIC)
    rv, _ = derive(bench, given(bench, "HKDF"), mac, {**AES, ck.CKA_VALUE_LEN: 32})
    assert rv == "CKR_KEY_FUNCTION_NOT_PERMITTED"


@pytest.mark.parametrize("use", ["Sign", "Verify"])
def test_what_hkdf_extracted_makes_no_macs(bench: Bench, use: str) -> None:
    """A MAC under it is what HKDF in one go gives as a key, from the same base and salt; nor does a twin of it."""
    m, s = bench.m, bench.s
    rows = {**GENERIC, ck.CKA_SIGN: True, ck.CKA_VERIFY: True, ck.CKA_EXTRACTABLE: True}
    rv, extracted = derive(bench, given(bench, "HKDF extracted"), born(bench, extractable=True), rows)
    assert rv == "CKR_OK"
    wrapping = m.aes(s)
    rv_code, blob = m.wrap(s, m.mechanism(KWP), wrapping, extracted)
    good(rv_code)
    rv, twin = bench.unwrap(m.mechanism(KWP), wrapping, blob, rows)
    assert rv == "CKR_OK"
    for key in (extracted, twin):
        assert name(getattr(m, f"C_{use}Init")(s, m.mechanism(HMAC), key)) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    assert derive(bench, given(bench, "HKDF expanded"), twin, {**AES, ck.CKA_VALUE_LEN: 32})[0] == "CKR_OK"


@pytest.mark.parametrize("use", ["Sign", "Verify"])
def test_what_counter_mode_makes_of_another_key_makes_no_macs(bench: Bench, use: str) -> None:
    """HMAC of a key and the counter, under a salt that is known, is what HKDF extracts from the key that is one byte
    longer and ends as the counter begins; one derived key in 256 does."""
    m, s, base, other = bench.m, bench.s, known(bench), born(bench)
    handle = field(bench, ck.CK_SP800_108_KEY_HANDLE, other.to_bytes(8, "little"))
    guarded = {ck.CKA_SENSITIVE: True, ck.CKA_EXTRACTABLE: False, ck.CKA_VALUE_LEN: 32}
    mechanism = counter_mode(bench, HMAC, handle, counter(bench, 8))
    rv, made = derive(bench, mechanism, base, {**GENERIC, **guarded, ck.CKA_SIGN: True})
    assert rv == "CKR_OK"
    assert name(getattr(m, f"C_{use}Init")(s, bench.mechanism(HMAC), made)) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    assert derive(bench, given(bench, "HKDF expanded"), made, {**AES, ck.CKA_VALUE_LEN: 32})[0] == "CKR_OK"


@pytest.mark.parametrize("first", ["sign", "derive"])
@pytest.mark.parametrize("longer", [True, False])
def test_a_key_and_the_same_with_zeros_behind_it_are_one(bench: Bench, first: str, longer: bool) -> None:
    """HMAC fills a short key with zeros: neither does what the other excludes. One derived key in 256 ends in one, and
    is so the longer twin of another."""
    m, s, value = bench.m, bench.s, os.urandom(20)
    key, kin = (m.make(s, {**GENERIC, ck.CKA_VALUE: value + bytes(zeros)}) for zeros in (0, 4))
    one, other = (key, kin) if longer else (kin, key)

    def sign(with_key: int) -> str:
        return name(m.use("Sign", s, bench.mechanism(HMAC), with_key, b"data")[0])

    def expand(with_key: int) -> str:
        return derive(bench, given(bench, "HKDF"), with_key, {**AES, ck.CKA_VALUE_LEN: 32})[0]

    if first == "sign":
        assert sign(one) == sign(other) == "CKR_OK"
        assert expand(one) == expand(other) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        return
    assert expand(one) == "CKR_OK"
    assert sign(other) == "CKR_OPERATION_NOT_INITIALIZED"  # C_Sign has no code of its own for a use that is gone
    assert expand(other) == "CKR_OK"


def test_a_long_base_is_not_hashed(bench: Bench) -> None:
    """HMAC takes the hash of a key that is longer than a block: the derived key would sign as its base derives."""
    m, s = bench.m, bench.s
    for number, block in ((ck.CKM_SHA256_KEY_DERIVATION, 64), (ck.CKM_SHA512_KEY_DERIVATION, 128),
                          (ck.CKM_SHA3_256_KEY_DERIVATION, 136)):
        for length, wanted in ((block, "CKR_OK"), (block + 1, SIZE)):
            rv, base = m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, {ck.CKA_VALUE_LEN: length})
            good(rv)
            assert derive(bench, bench.mechanism(number), base, GENERIC)[0] == wanted


def test_a_key_in_the_open_signs_and_derives(bench: Bench) -> None:
    key = bench.m.make(bench.s, {**OPEN, ck.CKA_VALUE: b"o" * 32})
    for _ in range(2):
        good(bench.m.use("Sign", bench.s, bench.mechanism(ck.CKM_SHA256_HMAC), key, b"data")[0])
        assert derive(bench, given(bench, "HKDF"), key, {**SECRET, ck.CKA_VALUE_LEN: 32})[0] == "CKR_OK"


def test_signing_stays_together_with_agreement(bench: Bench) -> None:
    m, s = bench.m, bench.s
    rv, public, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {})
    good(rv)
    for _ in range(2):
        assert derive(bench, agreement(bench, m.read(s, public, ck.CKA_EC_POINT)), private, GENERIC)[0] == "CKR_OK"
        good(m.use("Sign", s, bench.mechanism(ck.CKM_ECDSA), private, b"digest")[0])


@pytest.mark.parametrize("secret", ["base", "salt", "field"])
def test_every_key_that_goes_in_guards_what_comes_out(bench: Bench, secret: str) -> None:
    """A sensitive salt, or key among the PRF's input, over a base in the open; and what is known stays known."""
    m, s, one, other = bench.m, bench.s, born(bench), known(bench)
    base, second = (one, other) if secret == "base" else (other, one)

    def mechanism() -> Any:
        m._kept.clear()
        if secret != "field":
            return hkdf(bench, "SHA256", salt_key=second)
        handle = field(bench, ck.CK_SP800_108_KEY_HANDLE, second.to_bytes(8, "little"))
        return counter_mode(bench, HMAC, counter(bench, 8), handle)

    rows = {**AES, ck.CKA_VALUE_LEN: 32}
    assert derive(bench, mechanism(), base, {**rows, ck.CKA_SENSITIVE: False})[0] == TEMPLATE
    assert derive(bench, mechanism(), base, {**rows, ck.CKA_EXTRACTABLE: True, ck.CKA_SENSITIVE: True})[0] == TEMPLATE
    rv, made = derive(bench, mechanism(), base, {**rows, ck.CKA_SENSITIVE: True, ck.CKA_EXTRACTABLE: False})
    assert rv == "CKR_OK"
    assert name(m.wrap(s, m.mechanism(KWP), made, m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"
    assert m.read(s, one, ck.CKA_SIGN) == b"\0"


def test_every_key_that_goes_in_has_its_derive_template_obeyed(bench: Bench) -> None:
    """As a salt, or a field of the PRF's input, a key asks for no less of what comes from it than as a base."""
    m, s, rows = bench.m, bench.s, {**AES, ck.CKA_VALUE_LEN: 32}
    second = born(bench, derive_template={ck.CKA_ENCRYPT: False})
    for how in ("salt", "field"):
        for given_, wanted in (({ck.CKA_ENCRYPT: True}, TEMPLATE), ({}, "CKR_OK")):
            m._kept.clear()
            handle = field(bench, ck.CK_SP800_108_KEY_HANDLE, second.to_bytes(8, "little"))
            mechanism = counter_mode(bench, HMAC, counter(bench, 8), handle)
            if how == "salt":
                mechanism = hkdf(bench, "SHA256", salt_key=second)
            rv, made = derive(bench, mechanism, born(bench), {**rows, **given_})
            assert rv == wanted
        assert m.read(s, made, ck.CKA_ENCRYPT) == b"\0"


def test_another_key_that_goes_in_must_be_one_that_derives(bench: Bench) -> None:
    base = born(bench)
    for key, wanted in (
        (born(bench, derive=False), "CKR_KEY_FUNCTION_NOT_PERMITTED"),
        (bench.m.aes(bench.s), "CKR_KEY_TYPE_INCONSISTENT"), (4711, "CKR_KEY_HANDLE_INVALID"),
        (bench.public(ck.CKK_EC, ec_params=P256, ec_point=_point(bench)), "CKR_KEY_TYPE_INCONSISTENT"),
    ):
        bench.m._kept.clear()
        given_ = hkdf(bench, "SHA256", salt_key=key)
        assert derive(bench, given_, base, {**GENERIC, ck.CKA_VALUE_LEN: 32})[0] == wanted
    ignored = hkdf(bench, "SHA256", salt_key=4711, bExtract=0)
    assert derive(bench, ignored, base, {**GENERIC, ck.CKA_VALUE_LEN: 32})[0] == "CKR_OK"


def _point(bench: Bench) -> bytes:
    private = bench.private(ck.CKK_EC, ec_params=P256, value=b"\x11" * 32)
    return bench.m.read(bench.s, private, ck.CKA_EC_POINT)


def test_data_show_nothing_of_a_sensitive_key(bench: Bench) -> None:
    """CKM_HKDF_DATA gives the value in clear; the same info derives a key elsewhere, which would be known then."""
    m, s = bench.m, bench.s
    rows = {ck.CKA_VALUE_LEN: 12}
    for base in (born(bench), m.make(s, {**OPEN, ck.CKA_VALUE: b"o" * 32, ck.CKA_EXTRACTABLE: False})):
        assert derive(bench, hkdf(bench, "SHA256", ck.CKM_HKDF_DATA, info=b"iv"), base, rows)[0] == TEMPLATE
    salted = hkdf(bench, "SHA256", ck.CKM_HKDF_DATA, salt_key=born(bench))
    assert derive(bench, salted, known(bench), rows)[0] == TEMPLATE


def test_data_are_what_the_template_says(bench: Bench) -> None:
    m, s, base = bench.m, bench.s, known(bench)

    def data(rows: Rows, **more: Any) -> tuple[str, int]:
        m._kept.clear()
        return derive(bench, hkdf(bench, "SHA256", ck.CKM_HKDF_DATA, info=b"iv", **more), base, rows)

    rv, made = data({ck.CKA_VALUE_LEN: 1, ck.CKA_LABEL: b"iv"})
    assert rv == "CKR_OK"
    assert m.read(s, made, ck.CKA_CLASS) == ck.CKO_DATA.to_bytes(8, "little")
    assert (m.read(s, made, ck.CKA_LABEL), len(m.read(s, made, ck.CKA_VALUE))) == (b"iv", 1)
    assert m.read(s, made, ck.CKA_PRIVATE) == b"\1"  # as its base
    assert m.find(s, {ck.CKA_VALUE_LEN: 1, ck.CKA_CLASS: ck.CKO_DATA}) == []
    for rows, wanted in (
        ({}, "CKR_TEMPLATE_INCOMPLETE"), ({ck.CKA_VALUE_LEN: 1, ck.CKA_VALUE: b"x"}, TEMPLATE),
        ({ck.CKA_VALUE_LEN: 8161}, SIZE), ({ck.CKA_VALUE_LEN: 1, ck.CKA_CLASS: ck.CKO_SECRET_KEY}, TEMPLATE),
        ({ck.CKA_VALUE_LEN: 1, ck.CKA_SENSITIVE: False}, TEMPLATE),
        ({ck.CKA_VALUE_LEN: 1, ck.CKA_KEY_TYPE: ck.CKK_AES}, TEMPLATE),
    ):
        assert data(rows)[0] == wanted, rows
    assert data({ck.CKA_VALUE_LEN: 31}, bExpand=0)[0] == TEMPLATE


def test_a_password_key_is_no_secret(bench: Bench) -> None:
    m, s = bench.m, bench.s
    rv, wrapping = m.generate(s, ck.CKM_PKCS5_PBKD2, {**AES, ck.CKA_VALUE_LEN: 32}, pbkdf2(bench, b"pw", b"salt", 9))
    good(rv)
    assert m.read(s, wrapping, ck.CKA_LOCAL) == b"\1"
    assert name(m.wrap(s, m.mechanism(KWP), wrapping, m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"


def test_what_aes_cmac_derives_is_no_secret(bench: Bench) -> None:
    """Who may encrypt blocks under the base makes CMACs."""
    m, s = bench.m, bench.s
    mechanism = counter_mode(bench, ck.CKM_AES_CMAC, counter(bench, 8), array(bench, b"label"))
    rv, wrapping = derive(bench, mechanism, m.aes(s), {**AES, ck.CKA_VALUE_LEN: 32})
    assert rv == "CKR_OK"
    assert name(m.wrap(s, m.mechanism(KWP), wrapping, m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"


def test_counter_mode_inherits_what_the_template_leaves_out(bench: Bench) -> None:
    """Section 6.42: CKA_SENSITIVE and CKA_EXTRACTABLE are the base's where not given."""
    m, s = bench.m, bench.s
    bases = (known(bench), 0, 1), (born(bench), 1, 0), (born(bench, extractable=True), 1, 1)
    for base, sensitive, extractable in bases:
        rv, made = derive(bench, given(bench, "SP 800-108"), base, {**AES, ck.CKA_VALUE_LEN: 16})
        assert rv == "CKR_OK"
        assert m.read(s, made, ck.CKA_SENSITIVE) == bytes([sensitive])
        assert m.read(s, made, ck.CKA_EXTRACTABLE) == bytes([extractable])


def test_only_trusted_keys_wrap_what_comes_from_such_a_key(bench: Bench) -> None:
    base = born(bench, extractable=True, wrap_with_trusted=True)
    rows = {**AES, ck.CKA_VALUE_LEN: 32, ck.CKA_EXTRACTABLE: True}
    assert derive(bench, given(bench, "HKDF"), base, {**rows, ck.CKA_WRAP_WITH_TRUSTED: False})[0] == TEMPLATE
    rv, made = derive(bench, given(bench, "HKDF"), base, rows)
    assert rv == "CKR_OK"
    assert bench.m.read(bench.s, made, ck.CKA_WRAP_WITH_TRUSTED) == b"\1"


@pytest.mark.parametrize("number", [
    ck.CKM_CONCATENATE_BASE_AND_KEY, ck.CKM_CONCATENATE_BASE_AND_DATA, ck.CKM_CONCATENATE_DATA_AND_BASE,
    ck.CKM_XOR_BASE_AND_DATA, ck.CKM_EXTRACT_KEY_FROM_KEY,
])
def test_parts_of_a_base_are_not_derived(bench: Bench, number: int) -> None:
    """Clulow's: whoever puts chosen bytes beside a key, or cuts it, finds it piece by piece."""
    assert number not in registry.MECHANISMS
    base, parameter = known(bench), bytes(8)
    if number not in (ck.CKM_CONCATENATE_BASE_AND_KEY, ck.CKM_EXTRACT_KEY_FROM_KEY):
        parameter = bench.m.structure("CK_KEY_DERIVATION_STRING_DATA", pData=b"d" * 16, ulLen=16)
    mechanism = bench.m.mechanism(number, parameter)
    assert derive(bench, mechanism, base, {**SECRET, ck.CKA_VALUE_LEN: 16})[0] == "CKR_MECHANISM_INVALID"
