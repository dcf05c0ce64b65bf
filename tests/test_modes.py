"""AES's further modes in parts, at their bounds and given what is wrong: each code as the standard has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from abi import NULL, ffi, good, name, ulong
from cryptography.hazmat.decrepit.ciphers.modes import CFB, CFB8, OFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vectors import Bench, bench_of_its_own
from vectors_modes import ccm_parameter, encrypt_data
from vectors_symmetric import SECRET, gcm_parameter

from pkcs11_shim import constants as ck

PARAM, OVER = "CKR_MECHANISM_PARAM_INVALID", "CKR_OPERATION_NOT_INITIALIZED"
KEY, LONG, IV = bytes(range(32)), bytes(range(64)), bytes(range(16, 32))
NONCE = bytes(range(12))
Rows = list[tuple[str, int, Any]]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own(legacy=True) as opened:
        yield opened


def mechanism(bench: Bench, number: int, parameter: Any) -> Any:
    bench.mechanism(number)
    return bench.m.mechanism(number, parameter(bench) if callable(parameter) else parameter)


def key_for(bench: Bench, number: int) -> int:
    if number == ck.CKM_AES_XTS:
        return bench.secret(LONG, ck.CKK_AES_XTS)
    if number in (ck.CKM_DES3_ECB, ck.CKM_DES3_CBC, ck.CKM_DES3_CBC_PAD, ck.CKM_DES3_CMAC_GENERAL):
        return bench.secret(bytes.fromhex("0123456789abcdef23456789abcdef01456789abcdef0123"), ck.CKK_DES3)
    return bench.secret(KEY)


def _stream(mode: Any, key: bytes = KEY) -> Any:
    def seal(plain: bytes) -> bytes:
        context = Cipher(algorithms.AES(key), mode).encryptor()
        return context.update(plain) + context.finalize()

    return seal


def _stolen(plain: bytes) -> bytes:
    """CBC-CS1 by its definition: pad with zeros, leave out of the last block but one what they stand for."""
    cut = len(plain) % 16 or 16
    sealed = _stream(modes.CBC(IV))(plain + bytes(16 - cut))
    return sealed[: len(plain) - 16] + sealed[len(sealed) - 16 :] if cut < 16 else sealed


JUDGES = {
    ck.CKM_AES_OFB: (IV, _stream(OFB(IV)), 0), ck.CKM_AES_CFB8: (IV, _stream(CFB8(IV)), 0),
    ck.CKM_AES_CFB128: (IV, _stream(CFB(IV)), 0), ck.CKM_AES_CTS: (IV, _stolen, 16),
    ck.CKM_AES_XTS: (IV, _stream(modes.XTS(IV), LONG), 16),
}


def in_parts(bench: Bench, what: str, mech: Any, key: int, data: bytes, cuts: list[int]) -> bytes:
    """Every part into a buffer of just the length that was asked for; one byte less takes nothing up."""
    m, s, made, at = bench.m, bench.s, b"", 0
    good(getattr(m, f"C_{what}Init")(s, mech, key))
    update, length = getattr(m, f"C_{what}Update"), ffi.new("CK_ULONG*")
    for cut in [*sorted(cuts), len(data)]:
        piece, at = data[at:cut], max(at, cut)
        good(update(s, piece, len(piece), NULL, length))
        bound = length[0]
        room = ffi.new("CK_BYTE[]", bound or 1)
        length[0] = bound - 1 if bound else 0
        if bound > 1:
            assert name(update(s, piece, len(piece), room, length)) == "CKR_BUFFER_TOO_SMALL"
            assert length[0] == bound
        length[0] = bound
        good(update(s, piece, len(piece), room, length))
        made += bytes(ffi.buffer(room, length[0]))
    return made + bench._sized(getattr(m, f"C_{what}Final"))


@pytest.mark.parametrize("number", JUDGES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_parts_of_any_length_are_the_whole(bench: Bench, number: int, data: st.DataObject) -> None:
    parameter, judge, least = JUDGES[number]
    plain = data.draw(st.binary(min_size=least, max_size=100))
    cuts = data.draw(st.lists(st.integers(0, len(plain)), max_size=5))
    key, sealed = key_for(bench, number), judge(plain) if plain else b""
    mech = mechanism(bench, number, parameter)
    assert bench.cipher("Encrypt", mech, key, plain, parts=False) == sealed
    assert in_parts(bench, "Encrypt", mech, key, plain, cuts) == sealed
    assert in_parts(bench, "Decrypt", mech, key, sealed, cuts) == plain


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_ccm_gives_nothing_before_its_end(bench: Bench, data: st.DataObject) -> None:
    plain, aad = data.draw(st.binary(max_size=80)), data.draw(st.binary(max_size=20))
    nonce, tag = data.draw(st.binary(min_size=7, max_size=13)), data.draw(st.sampled_from(range(4, 17, 2)))
    cuts = data.draw(st.lists(st.integers(0, len(plain)), max_size=5))
    sealed = AESCCM(KEY, tag).encrypt(nonce, plain, aad)
    mech = mechanism(bench, ck.CKM_AES_CCM, ccm_parameter(len(plain), nonce, aad, tag))
    key = key_for(bench, ck.CKM_AES_CCM)
    assert in_parts(bench, "Encrypt", mech, key, plain, cuts) == sealed
    assert in_parts(bench, "Decrypt", mech, key, sealed, cuts) == plain
    good(bench.m.C_DecryptInit(bench.s, mech, key))
    rv, part = bench.m.output(bench.m.C_DecryptUpdate, bench.s, sealed, len(sealed))
    assert (name(rv), part) == ("CKR_OK", b"")
    good(bench.m.C_DecryptInit(bench.s, NULL, 0))


CCM = ck.CKM_AES_CCM
WRONG_PARAMETERS: Rows = [
    *[("Encrypt", number, wrong)
      for number in (ck.CKM_AES_OFB, ck.CKM_AES_CFB8, ck.CKM_AES_CFB128, ck.CKM_AES_CTS, ck.CKM_AES_XTS)
      for wrong in (None, bytes(15), bytes(17))],
    *[("Encrypt", number, wrong) for number in (ck.CKM_DES3_CBC, ck.CKM_DES3_CBC_PAD)
      for wrong in (None, bytes(7), bytes(16))],
    ("Encrypt", ck.CKM_DES3_ECB, b"x"),
    *[("Encrypt", CCM, ccm_parameter(5, nonce, b"", 16)) for nonce in (b"", bytes(6), bytes(14))],
    *[("Encrypt", CCM, ccm_parameter(5, NONCE, b"", tag)) for tag in (0, 2, 5, 15, 17, 18, 2**63)],
    *[(what, CCM, ccm_parameter(length, nonce, b"", 16)) for what in ("Encrypt", "Decrypt")
      for length, nonce in ((65536, bytes(13)), ((64 << 20) + 1, bytes(7)), (2**64 - 1, bytes(7)))],
    ("Encrypt", CCM, None), ("Encrypt", CCM, NONCE),
    *[("Sign", ck.CKM_AES_GMAC, gcm_parameter(iv, b"", 128)) for iv in (b"", bytes(7), bytes(129))],
    *[("Sign", ck.CKM_AES_GMAC, gcm_parameter(NONCE, b"", bits)) for bits in (0, 24, 100, 136)],
    ("Sign", ck.CKM_AES_GMAC, gcm_parameter(NONCE, b"data", 128)), ("Sign", ck.CKM_AES_GMAC, None),
    ("Sign", ck.CKM_AES_GMAC, bytes(11)), ("Sign", ck.CKM_AES_GMAC, bytes(13)),
    ("Verify", ck.CKM_AES_GMAC, gcm_parameter(NONCE, b"data", 128)),
    *[("Sign", ck.CKM_AES_CMAC_GENERAL, wrong) for wrong in (None, b"\x10", ulong(0), ulong(17), ulong(2**63))],
    *[("Sign", ck.CKM_DES3_CMAC_GENERAL, wrong) for wrong in (None, ulong(0), ulong(9))],
    *[("Encrypt", ck.CKM_AES_KEY_WRAP_PKCS7, wrong) for wrong in (bytes(8), b"\xa6" * 7)],
    *[("Encrypt", ck.CKM_AES_KEY_WRAP_PAD, wrong) for wrong in (bytes(4), b"\xa6" * 8)],
]


@pytest.mark.parametrize(("what", "number", "parameter"), WRONG_PARAMETERS)
def test_wrong_parameters(bench: Bench, what: str, number: int, parameter: Any) -> None:
    handle = key_for(bench, number)
    assert name(getattr(bench.m, f"C_{what}Init")(bench.s, mechanism(bench, number, parameter), handle)) == PARAM


CCM_OF_5 = ccm_parameter(5, NONCE, b"", 16)
E, D = "CKR_DATA_LEN_RANGE", "CKR_ENCRYPTED_DATA_LEN_RANGE"
WRONG_DATA: list[tuple[str, int, Any, int, str]] = [
    *[("Encrypt", number, IV, length, E) for number in (ck.CKM_AES_CTS, ck.CKM_AES_XTS) for length in (0, 1, 15)],
    *[("Decrypt", number, IV, length, D) for number in (ck.CKM_AES_CTS, ck.CKM_AES_XTS) for length in (0, 1, 15)],
    *[("Encrypt", CCM, CCM_OF_5, length, E) for length in (0, 4, 6, 100)],
    *[("Decrypt", CCM, CCM_OF_5, length, D) for length in (0, 5, 16, 20, 22)],
    ("Decrypt", CCM, CCM_OF_5, 21, "CKR_ENCRYPTED_DATA_INVALID"),
    ("Encrypt", ck.CKM_DES3_ECB, None, 12, E), ("Decrypt", ck.CKM_DES3_CBC, bytes(8), 12, D),
    ("Decrypt", ck.CKM_DES3_CBC_PAD, bytes(8), 0, D), ("Decrypt", ck.CKM_DES3_CBC_PAD, bytes(8), 12, D),
    *[("Encrypt", ck.CKM_AES_KEY_WRAP_PKCS7, None, length, E) for length in (0, 7)],
    ("Decrypt", ck.CKM_AES_KEY_WRAP_PKCS7, None, 16, D), ("Decrypt", ck.CKM_AES_KEY_WRAP_PAD, None, 20, D),
]


@pytest.mark.parametrize(("what", "number", "parameter", "length", "wanted"), WRONG_DATA)
def test_wrong_data(bench: Bench, what: str, number: int, parameter: Any, length: int, wanted: str) -> None:
    bench.refused(what, mechanism(bench, number, parameter), key_for(bench, number), bytes(length), wanted)


def test_ccm_ends_where_it_was_said_to(bench: Bench) -> None:
    """In parts: one byte too many ends the operation at once, one too few at its end."""
    m, s, key = bench.m, bench.s, key_for(bench, CCM)
    mech = mechanism(bench, CCM, CCM_OF_5)
    good(m.C_EncryptInit(s, mech, key))
    good(m.output(m.C_EncryptUpdate, s, b"data", 4)[0])
    assert name(m.output(m.C_EncryptUpdate, s, b"da", 2)[0]) == E
    assert name(m.output(m.C_EncryptFinal, s)[0]) == OVER
    good(m.C_EncryptInit(s, mech, key))
    good(m.output(m.C_EncryptUpdate, s, b"data", 4)[0])
    assert name(m.output(m.C_EncryptFinal, s)[0]) == E
    good(m.C_DecryptInit(s, mech, key))
    assert name(m.output(m.C_DecryptUpdate, s, bytes(22), 22)[0]) == D


@pytest.mark.parametrize("said", [0, 5, 2**64 - 1])
def test_ccm_wraps_a_key_of_any_said_length(bench: Bench, said: int) -> None:
    """Section 6.13.5: for keys the token knows the length, and ignores ulDataLen."""
    m, s, value = bench.m, bench.s, bytes(range(40))
    mech = mechanism(bench, CCM, ccm_parameter(said, NONCE, b"aad", 8))
    key, target = key_for(bench, CCM), bench.secret(value, ck.CKK_GENERIC_SECRET)
    rv, blob = m.wrap(s, mech, key, target)
    assert (name(rv), blob) == ("CKR_OK", AESCCM(KEY, 8).encrypt(NONCE, value, b"aad"))
    rv_name, back = bench.unwrap(mech, key, blob, SECRET)
    assert (rv_name, m.read(s, back, ck.CKA_VALUE)) == ("CKR_OK", value)
    assert bench.unwrap(mech, key, bytes(len(blob)), SECRET)[0] == "CKR_WRAPPED_KEY_INVALID"
    assert bench.unwrap(mech, key, bytes(7), SECRET)[0] == "CKR_WRAPPED_KEY_LEN_RANGE"


def test_a_data_unit_has_16_mebibytes_at_most(bench: Bench) -> None:
    m, s, key, most = bench.m, bench.s, key_for(bench, ck.CKM_AES_XTS), 16 << 20
    mech, room, length = mechanism(bench, ck.CKM_AES_XTS, IV), ffi.new("CK_BYTE[]", most), ffi.new("CK_ULONG*", most)
    good(m.C_EncryptInit(s, mech, key))
    good(m.C_Encrypt(s, bytes(most), most, room, length))
    assert length[0] == most
    good(m.C_EncryptInit(s, mech, key))
    good(m.C_EncryptUpdate(s, bytes(most), most, room, length))
    length[0] = most
    assert name(m.C_EncryptUpdate(s, b"x", 1, room, length)) == E


@pytest.mark.parametrize("number", [ck.CKM_AES_KEY_WRAP, ck.CKM_AES_KEY_WRAP_KWP, ck.CKM_AES_KEY_WRAP_PAD])
def test_a_key_wrap_takes_a_mebibyte_at_most(bench: Bench, number: int) -> None:
    """It is one call of the cipher library, in which no other thread runs: 32 MiB stopped all others for seconds."""
    m, s, key, most, mech = bench.m, bench.s, key_for(bench, number), 1 << 20, bench.mechanism(number)
    room, length = ffi.new("CK_BYTE[]", most + 16), ffi.new("CK_ULONG*")
    for size, wanted in ((most, "CKR_OK"), (most + 8, E)):
        length[0] = most + 16
        good(m.C_EncryptInit(s, mech, key))
        assert name(m.C_Encrypt(s, bytes(size), size, room, length)) == wanted
    wrapped = bytes(ffi.buffer(room, most + 8))
    for blob, wanted in ((wrapped, "CKR_OK"), (wrapped + bytes(8), D)):
        length[0] = most + 16
        good(m.C_DecryptInit(s, mech, key))
        assert name(m.C_Decrypt(s, blob, len(blob), room, length)) == wanted
    assert bench.unwrap(mech, key, wrapped + bytes(8), SECRET)[0] == "CKR_WRAPPED_KEY_LEN_RANGE"


@pytest.mark.parametrize(("value", "wanted"), [
    (bytes(16), "CKR_ATTRIBUTE_VALUE_INVALID"), (bytes(range(48)), "CKR_ATTRIBUTE_VALUE_INVALID"),
    (2 * bytes(range(32)), "CKR_ATTRIBUTE_VALUE_INVALID"), (bytes(range(32)), "CKR_OK"), (LONG, "CKR_OK"),
])
def test_keys_for_xts(bench: Bench, value: bytes, wanted: str) -> None:
    """32 or 64 bytes, of which the halves differ: also where they come wrapped."""
    rows = {**SECRET, ck.CKA_KEY_TYPE: ck.CKK_AES_XTS}
    assert name(bench.m.create(bench.s, {**rows, ck.CKA_VALUE: value})[0]) == wanted
    mech, key = bench.mechanism(ck.CKM_AES_KEY_WRAP_KWP), bench.secret(KEY)
    rv, blob = bench.m.wrap(bench.s, mech, key, bench.secret(value, ck.CKK_GENERIC_SECRET))
    good(rv)
    same = "INVALID" if len(value) in (32, 64) else "LEN_RANGE"
    assert bench.unwrap(mech, key, blob, rows)[0] == ("CKR_OK" if wanted == "CKR_OK" else f"CKR_WRAPPED_KEY_{same}")


def test_xts_and_aes_keys_don_t_go_together(bench: Bench) -> None:
    m, s, wrong = bench.m, bench.s, "CKR_KEY_TYPE_INCONSISTENT"
    one, other = bench.secret(KEY), bench.secret(LONG, ck.CKK_AES_XTS)
    assert name(m.C_EncryptInit(s, mechanism(bench, ck.CKM_AES_XTS, IV), one)) == wrong
    assert name(m.C_EncryptInit(s, mechanism(bench, ck.CKM_AES_CBC, IV), other)) == wrong
    for length, wanted in ((16, "CKR_ATTRIBUTE_VALUE_INVALID"), (48, "CKR_ATTRIBUTE_VALUE_INVALID"), (64, "CKR_OK")):
        assert name(m.generate(s, ck.CKM_AES_XTS_KEY_GEN, {ck.CKA_VALUE_LEN: length})[0]) == wanted
    assert name(m.generate(s, ck.CKM_AES_XTS_KEY_GEN, {})[0]) == "CKR_TEMPLATE_INCOMPLETE"


ECB_DATA, CBC_DATA = ck.CKM_AES_ECB_ENCRYPT_DATA, ck.CKM_AES_CBC_ENCRYPT_DATA
AES = {**SECRET, ck.CKA_KEY_TYPE: ck.CKK_AES}


@pytest.mark.parametrize(("number", "parameter", "rows", "wanted"), [
    (ECB_DATA, None, SECRET, PARAM), (ECB_DATA, bytes(15), SECRET, PARAM), (CBC_DATA, None, SECRET, PARAM),
    (ECB_DATA, encrypt_data(b"", bytes(17)), SECRET, PARAM), (CBC_DATA, encrypt_data(IV, bytes(15)), SECRET, PARAM),
    (ECB_DATA, encrypt_data(b"", b""), SECRET, "CKR_DATA_LEN_RANGE"),
    (CBC_DATA, encrypt_data(IV, bytes(16)), {**SECRET, ck.CKA_VALUE_LEN: 17}, "CKR_DATA_LEN_RANGE"),
    (ECB_DATA, encrypt_data(b"", bytes(16)), {**AES, ck.CKA_VALUE_LEN: 32}, "CKR_DATA_LEN_RANGE"),
    (ECB_DATA, encrypt_data(b"", bytes(32)), AES, "CKR_TEMPLATE_INCOMPLETE"),
    (ECB_DATA, encrypt_data(b"", bytes(32)), {**AES, ck.CKA_VALUE_LEN: 20}, "CKR_ATTRIBUTE_VALUE_INVALID"),
    (ECB_DATA, encrypt_data(b"", bytes(16)), {**SECRET, ck.CKA_VALUE_LEN: 13}, "CKR_KEY_SIZE_RANGE"),
    (ECB_DATA, encrypt_data(b"", bytes(16)), {**SECRET, ck.CKA_VALUE: bytes(16)}, "CKR_ATTRIBUTE_READ_ONLY"),
    (CBC_DATA, encrypt_data(IV, bytes(32)), {**AES, ck.CKA_VALUE_LEN: 24}, "CKR_OK"),
])
def test_deriving_by_encryption(bench: Bench, number: int, parameter: Any, rows: Any, wanted: str) -> None:
    key = key_for(bench, number)
    mech = mechanism(bench, number, parameter)
    assert name(bench.m.derive(bench.s, mech, key, rows)[0]) == wanted


def test_wrapping_by_modes_that_fill(bench: Bench) -> None:
    """Triple DES fills with zeros to its own blocks, OFB and CFB need none, stealing takes a block or more."""
    m, s = bench.m, bench.s
    for number, parameter, length, wanted in (
        (ck.CKM_DES3_ECB, None, 13, 16), (ck.CKM_DES3_CBC, bytes(8), 16, 16), (ck.CKM_DES3_CBC_PAD, bytes(8), 16, 24),
        (ck.CKM_AES_OFB, IV, 13, 13), (ck.CKM_AES_CFB8, IV, 13, 13), (ck.CKM_AES_CTS, IV, 21, 21),
        (ck.CKM_AES_XTS, IV, 21, 21), (ck.CKM_AES_KEY_WRAP_PKCS7, None, 13, 24),
    ):
        value = bytes(range(1, length + 1))
        key, mech = key_for(bench, number), mechanism(bench, number, parameter)
        rv, blob = m.wrap(s, mech, key, bench.secret(value, ck.CKK_GENERIC_SECRET))
        assert (name(rv), len(blob)) == ("CKR_OK", wanted)
        rows = {**SECRET, ck.CKA_VALUE_LEN: length} if number in (ck.CKM_DES3_ECB, ck.CKM_DES3_CBC) else SECRET
        rv_name, back = bench.unwrap(mech, key, blob, rows)
        assert (rv_name, m.read(s, back, ck.CKA_VALUE)) == ("CKR_OK", value)
    short = bench.secret(bytes(15), ck.CKK_GENERIC_SECRET)
    for number in (ck.CKM_AES_CTS, ck.CKM_AES_XTS):
        mech = mechanism(bench, number, IV)
        assert name(m.wrap(s, mech, key_for(bench, number), short)[0]) == "CKR_KEY_SIZE_RANGE"
        assert bench.unwrap(mech, key_for(bench, number), bytes(15), SECRET)[0] == "CKR_WRAPPED_KEY_LEN_RANGE"
    mech = mechanism(bench, ck.CKM_DES3_ECB, None)
    assert bench.unwrap(mech, key_for(bench, ck.CKM_DES3_ECB), bytes(16), SECRET)[0] == "CKR_TEMPLATE_INCOMPLETE"


def test_mechanism_info(bench: Bench) -> None:
    info = ffi.new("CK_MECHANISM_INFO*")
    signing, cipher = ck.CKF_SIGN | ck.CKF_VERIFY, ck.CKF_ENCRYPT | ck.CKF_DECRYPT | ck.CKF_WRAP | ck.CKF_UNWRAP
    for number, smallest, largest, flags in (
        *((number, 16, 32, cipher) for number in (
            ck.CKM_AES_OFB, ck.CKM_AES_CFB8, ck.CKM_AES_CFB128, ck.CKM_AES_CTS, ck.CKM_AES_CCM,
            ck.CKM_AES_KEY_WRAP_PAD, ck.CKM_AES_KEY_WRAP_PKCS7,
        )),
        (ck.CKM_AES_GMAC, 16, 32, signing), (ck.CKM_AES_CMAC_GENERAL, 16, 32, signing),
        (ck.CKM_AES_XTS, 32, 64, cipher), (ck.CKM_AES_XTS_KEY_GEN, 32, 64, ck.CKF_GENERATE),
        (ECB_DATA, 16, 32, ck.CKF_DERIVE), (CBC_DATA, 16, 32, ck.CKF_DERIVE),
        (ck.CKM_DES3_KEY_GEN, 0, 0, ck.CKF_GENERATE), (ck.CKM_DES3_CBC_PAD, 0, 0, cipher),
        (ck.CKM_DES3_CMAC, 0, 0, signing), (ck.CKM_MD5, 0, 0, ck.CKF_DIGEST),
        (ck.CKM_MD5_RSA_PKCS, 1024, 16384, signing),
    ):
        good(bench.m.C_GetMechanismInfo(0, number, info))
        assert (info.ulMinKeySize, info.ulMaxKeySize, info.flags) == (smallest, largest, flags), hex(number)
