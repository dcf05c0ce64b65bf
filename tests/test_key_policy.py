"""The textbook attacks on PKCS#11, each tried through the C ABI: a sensitive key never comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import Module, ffi, good, initialised, logged_in, name
from engine_room import CHEAP, SO, USER, DiskPool

from hsm.client import MODULE
from pkcs11_shim import constants as ck

AES = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
ALL = {"encrypt": True, "decrypt": True, "wrap": True, "unwrap": True}
KWP = ck.CKM_AES_KEY_WRAP_KWP


@pytest.fixture
def user(adyton_token: Any) -> Iterator[tuple[Module, int]]:
    with logged_in(adyton_token) as opened:
        yield opened


def test_defaults_are_strict(user: tuple[Module, int]) -> None:
    m, s = user
    key = m.aes(s)
    for attribute, value in (
        (ck.CKA_SENSITIVE, 1), (ck.CKA_EXTRACTABLE, 0), (ck.CKA_PRIVATE, 1), (ck.CKA_ALWAYS_SENSITIVE, 1),
        (ck.CKA_NEVER_EXTRACTABLE, 1), (ck.CKA_LOCAL, 1), (ck.CKA_ENCRYPT, 1), (ck.CKA_WRAP, 1),
    ):
        assert m.read(s, key, attribute) == bytes([value]), attribute


def test_a_key_that_wrapped_never_decrypts(user: tuple[Module, int]) -> None:
    m, s = user
    wrapping, target = m.aes(s, **ALL), m.aes(s, extractable=True)
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, target)
    good(rv)
    assert m.read(s, wrapping, ck.CKA_DECRYPT) == b"\0"
    assert m.use("Decrypt", s, m.mechanism(KWP), wrapping, blob)[0] == ck.CKR_KEY_FUNCTION_NOT_PERMITTED
    again = m.C_SetAttributeValue(s, wrapping, *m.template({ck.CKA_DECRYPT: True}))
    assert name(again) == "CKR_ATTRIBUTE_READ_ONLY"


def test_a_copy_does_not_regain_what_the_value_lost(user: tuple[Module, int]) -> None:
    m, s = user
    wrapping, target = m.aes(s, **ALL), m.aes(s, extractable=True)
    copy = m.keep(ffi.new("CK_OBJECT_HANDLE*"))
    good(m.C_CopyObject(s, wrapping, *m.template({ck.CKA_LABEL: b"copy"}), copy))
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, target)
    good(rv)
    assert m.use("Decrypt", s, m.mechanism(KWP), copy[0], blob)[0] == ck.CKR_KEY_FUNCTION_NOT_PERMITTED
    later = m.keep(ffi.new("CK_OBJECT_HANDLE*"))
    assert m.C_CopyObject(s, wrapping, *m.template({ck.CKA_DECRYPT: True}), later) in (
        ck.CKR_OK, ck.CKR_ATTRIBUTE_READ_ONLY,
    )
    if later[0]:
        assert m.read(s, later[0], ck.CKA_DECRYPT) == b"\0"


def test_a_key_that_decrypted_never_wraps(user: tuple[Module, int]) -> None:
    m, s = user
    key, target = m.aes(s, **ALL), m.aes(s, extractable=True)
    iv = m.mechanism(ck.CKM_AES_CBC, bytes(16))
    good(m.use("Decrypt", s, iv, key, bytes(32))[0])
    assert m.wrap(s, m.mechanism(KWP), key, target)[0] == ck.CKR_KEY_FUNCTION_NOT_PERMITTED


def test_a_known_key_wraps_no_sensitive_key(user: tuple[Module, int]) -> None:
    m, s = user
    known = m.make(s, {**AES, ck.CKA_VALUE: b"k" * 32, ck.CKA_WRAP: True})
    assert m.wrap(s, m.mechanism(KWP), known, m.aes(s, extractable=True))[0] == ck.CKR_KEY_NOT_WRAPPABLE
    plain = m.aes(s, extractable=True, sensitive=False)
    good(m.wrap(s, m.mechanism(KWP), known, plain)[0])


@pytest.mark.parametrize("sensitive", [True, False])
@pytest.mark.parametrize("later", [True, False])
def test_a_known_key_is_no_secret_after_a_round_trip(user: tuple[Module, int], sensitive: bool, later: bool) -> None:
    """The trojan wrapping key again: wrapped by a secret key, destroyed or not, and unwrapped as a sensitive one."""
    m, s = user
    wrapping, target = m.aes(s), m.aes(s, extractable=True)
    known = m.make(s, {**AES, ck.CKA_VALUE: b"k" * 32, ck.CKA_SENSITIVE: sensitive, ck.CKA_EXTRACTABLE: True})
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, known)
    good(rv)
    if later:
        good(m.C_DestroyObject(s, known))
    rv, trojan = m.unwrap(s, m.mechanism(KWP), wrapping, blob, {**AES, ck.CKA_WRAP: True, ck.CKA_SENSITIVE: True})
    good(rv)
    assert name(m.wrap(s, m.mechanism(KWP), trojan, target)[0]) == "CKR_KEY_NOT_WRAPPABLE"


def test_an_open_key_is_no_secret_with_zeros_behind_it(user: tuple[Module, int]) -> None:
    m, s = user
    wrapping, mechanism = m.aes(s), m.mechanism(ck.CKM_AES_KEY_WRAP)
    rv, target = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16, ck.CKA_EXTRACTABLE: True})
    good(rv)
    for short in (1, 17):
        rv, blob = m.wrap(s, mechanism, wrapping, m.make(s, {**OPEN, ck.CKA_VALUE: b"k" * short}))
        good(rv)
        rv, trojan = m.unwrap(s, mechanism, wrapping, blob, {**AES, ck.CKA_WRAP: True})
        good(rv)
        assert name(m.wrap(s, m.mechanism(KWP), trojan, target)[0]) == "CKR_KEY_NOT_WRAPPABLE"


@pytest.mark.parametrize("known", [True, False])
def test_a_short_key_comes_back_with_no_zeros_behind_it(user: tuple[Module, int], known: bool) -> None:
    """AES_KEY_WRAP fills it up: a longer key would be as well known, or found by 256 guesses."""
    m, s = user
    wrapping, mechanism = m.aes(s), m.mechanism(ck.CKM_AES_KEY_WRAP)
    generic = {**GENERIC, ck.CKA_EXTRACTABLE: True}
    for short in (1, 17):
        if known:
            key = m.make(s, {**generic, ck.CKA_VALUE: b"k" * short})
        else:
            key = m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, {ck.CKA_VALUE_LEN: short, ck.CKA_EXTRACTABLE: True})[1]
        rv, blob = m.wrap(s, mechanism, wrapping, key)
        good(rv)
        good(m.C_DestroyObject(s, key))
        for rows in (AES, GENERIC):
            assert name(m.unwrap(s, mechanism, wrapping, blob, rows)[0]) == "CKR_WRAPPED_KEY_LEN_RANGE"
        good(m.unwrap(s, mechanism, wrapping, blob, {**generic, ck.CKA_VALUE_LEN: short})[0])


def kwp(encrypt: Callable[[bytes], bytes], value: bytes) -> bytes:
    """RFC 5649, section 4.1, over any source of single encrypted blocks."""
    check = bytes.fromhex("a65959a6") + len(value).to_bytes(4, "big")
    parts = [value[at : at + 8] for at in range(0, len(value), 8)]
    for step in range(6 * len(parts)):
        block = encrypt(check + parts[step % len(parts)])
        check = (int.from_bytes(block[:8], "big") ^ (step + 1)).to_bytes(8, "big")
        parts[step % len(parts)] = block[8:]
    return check + b"".join(parts)


@pytest.mark.parametrize("number", [ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD, ck.CKM_AES_CTR])
def test_a_key_made_up_by_wrapping_chosen_blocks_is_no_secret(user: tuple[Module, int], number: int) -> None:
    """Keys in the clear, wrapped by a plain cipher, are encryption at will, though C_Encrypt excludes unwrapping:
    enough to put together a KWP of a trojan wrapping key that no object of the token ever had."""
    m, s = user
    wrapping, value = m.aes(s), b"a trojan of thirty-two bytes...."

    def encrypt(block: bytes) -> bytes:
        given = bytes([1]) * 16 if number == ck.CKM_AES_CTR else block
        counter = m.structure("CK_AES_CTR_PARAMS", ulCounterBits=128, cb=block)
        parameter = {ck.CKM_AES_ECB: None, ck.CKM_AES_CTR: counter}.get(number, bytes(16))
        rv, blob = m.wrap(s, m.mechanism(number, parameter), wrapping, m.make(s, {**OPEN, ck.CKA_VALUE: given}))
        good(rv)
        return bytes(a ^ 1 for a in blob) if number == ck.CKM_AES_CTR else blob[:16]

    rv, trojan = m.unwrap(s, m.mechanism(KWP), wrapping, kwp(encrypt, value), {**AES, ck.CKA_WRAP: True})
    good(rv)
    assert name(m.wrap(s, m.mechanism(KWP), trojan, m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"


def test_unextractable_keys_are_not_wrapped(user: tuple[Module, int]) -> None:
    m, s = user
    assert m.wrap(s, m.mechanism(KWP), m.aes(s), m.aes(s))[0] == ck.CKR_KEY_UNEXTRACTABLE


def test_a_weaker_key_does_not_wrap_a_stronger_one(user: tuple[Module, int]) -> None:
    m, s = user
    rv, weak = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16})
    good(rv)
    assert m.wrap(s, m.mechanism(KWP), weak, m.aes(s, extractable=True))[0] == ck.CKR_WRAPPING_KEY_SIZE_RANGE


@pytest.mark.parametrize("weaker", [{ck.CKA_SENSITIVE: False}, {ck.CKA_EXTRACTABLE: True}])
def test_a_wrapped_key_does_not_come_back_weaker(user: tuple[Module, int], weaker: dict[int, bool]) -> None:
    m, s = user
    wrapping, target = m.aes(s), m.aes(s, extractable=True)
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, target)
    good(rv)
    good(m.C_SetAttributeValue(s, target, *m.template({ck.CKA_EXTRACTABLE: False})))
    rv, _ = m.unwrap(s, m.mechanism(KWP), wrapping, blob, {**AES, **weaker})
    assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"
    rv, back = m.unwrap(s, m.mechanism(KWP), wrapping, blob, AES)
    good(rv)
    assert m.read(s, back, ck.CKA_EXTRACTABLE) == b"\0"


def test_a_key_that_only_trusted_ones_wrap_comes_back_as_such(user: tuple[Module, int]) -> None:
    m, s = user
    wrapping, target = m.aes(s), m.aes(s, extractable=True)
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, target)
    good(rv)
    good(m.change(s, target, {ck.CKA_WRAP_WITH_TRUSTED: True}))
    for _ in range(2):
        rv, back = m.unwrap(s, m.mechanism(KWP), wrapping, blob, {**AES, ck.CKA_EXTRACTABLE: True})
        good(rv)
        assert name(m.wrap(s, m.mechanism(KWP), wrapping, back)[0]) == "CKR_KEY_NOT_WRAPPABLE"
        assert name(m.change(s, back, {ck.CKA_WRAP_WITH_TRUSTED: False})) == "CKR_ATTRIBUTE_READ_ONLY"
        good(m.C_DestroyObject(s, target))
        target = back


def test_sensitive_keys_are_wrapped_with_authentication_only(user: tuple[Module, int]) -> None:
    """Blocks of a key wrapped by ECB or CBC could be unwrapped one by one."""
    m, s = user
    target = m.aes(s, extractable=True)
    for number, parameter in ((ck.CKM_AES_ECB, None), (ck.CKM_AES_CBC, bytes(16)), (ck.CKM_AES_CBC_PAD, bytes(16))):
        assert m.wrap(s, m.mechanism(number, parameter), m.aes(s), target)[0] == ck.CKR_KEY_NOT_WRAPPABLE
        rv, _ = m.unwrap(s, m.mechanism(number, parameter), m.aes(s), bytes(32), AES)
        assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"


def test_sensitive_given_twice_is_refused(user: tuple[Module, int]) -> None:
    m, s = user
    rows = [*AES.items(), (ck.CKA_VALUE, bytes(32)), (ck.CKA_SENSITIVE, True), (ck.CKA_SENSITIVE, False)]
    assert name(m.create(s, rows)[0]) == "CKR_TEMPLATE_INCONSISTENT"


@pytest.mark.parametrize(
    ("attribute", "value"),
    [(ck.CKA_SENSITIVE, False), (ck.CKA_EXTRACTABLE, True), (ck.CKA_ALWAYS_SENSITIVE, True),
     (ck.CKA_NEVER_EXTRACTABLE, True), (ck.CKA_LOCAL, True), (ck.CKA_TRUSTED, True), (ck.CKA_UNIQUE_ID, b"mine")],
)
def test_protection_is_not_taken_back(user: tuple[Module, int], attribute: int, value: Any) -> None:
    m, s = user
    rv = m.C_SetAttributeValue(s, m.aes(s), *m.template({attribute: value}))
    assert name(rv) == "CKR_ATTRIBUTE_READ_ONLY"


def test_a_search_does_not_answer_guesses_at_a_secret(user: tuple[Module, int]) -> None:
    m, s = user
    m.make(s, {**AES, ck.CKA_VALUE: b"g" * 32})
    assert m.find(s, {ck.CKA_VALUE: b"g" * 32}) == []


def test_a_wrapping_key_s_template_does_not_answer_guesses_at_a_secret(user: tuple[Module, int]) -> None:
    m, s = user
    target = m.make(s, {**AES, ck.CKA_VALUE: b"g" * 32, ck.CKA_EXTRACTABLE: True, ck.CKA_LABEL: b"guessed"})
    for template, wanted in (
        ({ck.CKA_VALUE: b"g" * 32}, "CKR_KEY_HANDLE_INVALID"), ({ck.CKA_LABEL: b"guessed"}, "CKR_OK"),
    ):
        rv, wrapping = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 32, ck.CKA_WRAP_TEMPLATE: template})
        good(rv)
        assert name(m.wrap(s, m.mechanism(KWP), wrapping, target)[0]) == wanted


def test_a_sensitive_key_is_not_digested(user: tuple[Module, int]) -> None:
    m, s = user
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    assert name(m.C_DigestKey(s, m.aes(s))) == "CKR_KEY_INDIGESTIBLE"


def test_weak_keys_live_in_sessions_only(user: tuple[Module, int]) -> None:
    m, s = user
    public = {ck.CKA_MODULUS_BITS: 1024, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
    assert m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, public, {})[0] == ck.CKR_OK
    rv, *_ = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, {**public, ck.CKA_TOKEN: True}, {ck.CKA_TOKEN: True})
    assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"
    p192 = {ck.CKA_EC_PARAMS: bytes.fromhex("06082a8648ce3d030101")}
    rv, _, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, p192, {})
    good(rv)
    made = ffi.new("CK_OBJECT_HANDLE*")
    assert name(m.C_CopyObject(s, private, *m.template({ck.CKA_TOKEN: True}), made)) == "CKR_TEMPLATE_INCONSISTENT"


def test_rsa_unwraps_a_key_that_then_wraps_no_sensitive_one(user: tuple[Module, int]) -> None:
    """The trojan wrapping key: known to who encrypted it under the public key."""
    m, s = user
    public = {ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
    rv, pub, prv = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, public, {})
    good(rv)
    rv, blob = m.use("Encrypt", s, m.mechanism(ck.CKM_RSA_PKCS), pub, b"t" * 32)
    good(rv)
    rv, trojan = m.unwrap(s, m.mechanism(ck.CKM_RSA_PKCS), prv, blob, {**AES, ck.CKA_WRAP: True})
    good(rv)
    assert m.wrap(s, m.mechanism(KWP), trojan, m.aes(s, extractable=True))[0] == ck.CKR_KEY_NOT_WRAPPABLE


def test_an_operation_does_not_outlive_its_login(user: tuple[Module, int]) -> None:
    m, s = user
    key = m.aes(s)
    good(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), key))
    good(m.C_Logout(s))
    rv, _ = m.output(m.C_Encrypt, s, m.bytes(bytes(16)), 16)
    assert name(rv) == "CKR_OPERATION_NOT_INITIALIZED"
    assert m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), key) == ck.CKR_KEY_HANDLE_INVALID


GENERIC = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET}
OPEN = {**GENERIC, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
P256 = bytes.fromhex("06082a8648ce3d030107")


@pytest.mark.parametrize("curve", [P256, bytes.fromhex("06032b6570")])
def test_a_private_key_does_not_come_back_as_a_secret_one(user: tuple[Module, int], curve: bytes) -> None:
    """Its PKCS#8 bytes would be the value of a secret key that nobody has called sensitive or unextractable; or, of a
    key that was imported, of a secret that is none, from which a trojan wrapping key is derived."""
    m, s = user
    wrapping, private_key = m.aes(s), {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_EXTRACTABLE: True}
    private = m.make(s, {
        **private_key, ck.CKA_KEY_TYPE: ck.CKK_EC if curve == P256 else ck.CKK_EC_EDWARDS,
        ck.CKA_EC_PARAMS: curve, ck.CKA_VALUE: bytes(range(1, 25)) + bytes([8]) * 8,
    })
    padded, filled = m.mechanism(ck.CKM_AES_KEY_WRAP_PKCS7), m.mechanism(ck.CKM_AES_KEY_WRAP)
    for out, back in ((m.mechanism(KWP), m.mechanism(KWP)), (filled, filled), (padded, filled), (filled, padded)):
        rv, blob = m.wrap(s, out, wrapping, private)
        good(rv)
        for rows in (OPEN, {**GENERIC, ck.CKA_EXTRACTABLE: True}, GENERIC):
            assert name(m.unwrap(s, back, wrapping, blob, rows)[0]) == "CKR_WRAPPED_KEY_INVALID"


def test_a_wrapped_key_is_not_cut_short(user: tuple[Module, int]) -> None:
    """AES_KEY_WRAP fills with zeros and keeps no length: only zeros are cut off again, sensitive or not."""
    m, s = user
    wrapping, mechanism = m.aes(s), m.mechanism(ck.CKM_AES_KEY_WRAP)
    value = b"0123456789abcdef-1234567"
    target = m.make(s, {**GENERIC, ck.CKA_VALUE: value, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True})
    rv, blob = m.wrap(s, mechanism, wrapping, target)
    good(rv)
    for sensitive in (True, False):
        shorter = {**GENERIC, ck.CKA_VALUE_LEN: 23, ck.CKA_SENSITIVE: sensitive}
        assert name(m.unwrap(s, mechanism, wrapping, blob, shorter)[0]) == "CKR_WRAPPED_KEY_LEN_RANGE"
    rv, back = m.unwrap(s, mechanism, wrapping, blob, OPEN)
    good(rv)
    assert m.read(s, back, ck.CKA_VALUE) == value


def test_gcm_wraps_no_sensitive_key(user: tuple[Module, int]) -> None:
    """Who encrypts the counter blocks under the wrapping key has the keystream."""
    m, s = user
    gcm = m.structure("CK_GCM_PARAMS", pIv=b"i" * 12, ulIvLen=12, ulIvBits=96, ulTagBits=128)
    mechanism = m.mechanism(ck.CKM_AES_GCM, gcm)
    assert name(m.wrap(s, mechanism, m.aes(s), m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"


@pytest.mark.parametrize("number", [ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD])
def test_a_key_that_wrapped_sensitive_ones_unwraps_no_blocks_of_them(user: tuple[Module, int], number: int) -> None:
    """Unwrapping by ECB in clear is decryption; by CBC_PAD it would tell of each block whether the padding is good."""
    m, s = user
    wrapping = m.aes(s)
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, m.aes(s, extractable=True))
    good(rv)
    mechanism = m.mechanism(number, None if number == ck.CKM_AES_ECB else bytes(16))
    for wrapped in (blob[:16], bytes(32)):
        rows = {**OPEN, ck.CKA_VALUE_LEN: len(wrapped)} if number != ck.CKM_AES_CBC_PAD else OPEN
        assert name(m.unwrap(s, mechanism, wrapping, wrapped, rows)[0]) == "CKR_TEMPLATE_INCONSISTENT"


@pytest.mark.parametrize("key_type", [ck.CKK_RSA, ck.CKK_EC])
def test_a_key_that_wrapped_sensitive_ones_tells_no_padding_as_a_private_key(
    user: tuple[Module, int], key_type: int
) -> None:
    """Vaudenay's oracle: of 256 ciphertexts one has good padding and no PKCS#8 within, which took twice as long to
    refuse. Forged blocks and honest ones are refused alike, before anything is decrypted."""
    m, s = user
    wrapping = m.aes(s)
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, m.aes(s, extractable=True))
    good(rv)
    private = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: key_type}
    for last in range(256):
        mechanism = m.mechanism(ck.CKM_AES_CBC_PAD, bytes(15) + bytes([last]))
        assert name(m.unwrap(s, mechanism, wrapping, blob[:16], private)[0]) == "CKR_TEMPLATE_INCONSISTENT"


def test_what_is_in_the_clear_goes_round_by_a_key_that_wrapped_sensitive_ones(user: tuple[Module, int]) -> None:
    m, s = user
    wrapping, target = m.aes(s), m.aes(s, sensitive=False, extractable=True)
    good(m.wrap(s, m.mechanism(KWP), wrapping, m.aes(s, extractable=True))[0])
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, target)
    good(rv)
    value = m.read(s, target, ck.CKA_VALUE)
    good(m.C_DestroyObject(s, target))
    rv, back = m.unwrap(s, m.mechanism(KWP), wrapping, blob, {**AES, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True})
    good(rv)
    assert m.read(s, back, ck.CKA_VALUE) == value


def test_the_halves_of_an_rsa_aes_wrapped_key_give_nothing(user: tuple[Module, int], adyton_token: Any) -> None:
    """The AES key of the first half, unwrapped as a sensitive one, would open the second half under another class."""
    m, s = user
    rows = {ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1", ck.CKA_TOKEN: True}
    rv, public, unwrapping = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rows, {ck.CKA_TOKEN: True})
    good(rv)
    rv, _, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {
        ck.CKA_EXTRACTABLE: True, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"target",
    })
    good(rv)
    oaep = m.structure("CK_RSA_PKCS_OAEP_PARAMS", hashAlg=ck.CKM_SHA256, mgf=ck.CKG_MGF1_SHA256)
    both = m.structure("CK_RSA_AES_KEY_WRAP_PARAMS", ulAESKeyBits=256, pOAEPParams=oaep)
    rsa_aes = m.mechanism(ck.CKM_RSA_AES_KEY_WRAP, both)
    good(m.C_Logout(s))
    good(m.login(s, adyton_token.so_pin, ck.CKU_SO))
    good(m.C_SetAttributeValue(s, public, *m.template({ck.CKA_TRUSTED: True})))
    good(m.C_Logout(s))
    good(m.login(s, adyton_token.pin))
    (private,) = m.find(s, {ck.CKA_LABEL: b"target", ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})
    (unwrapping,) = m.find(s, {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA})
    rv, blob = m.wrap(s, rsa_aes, public, private)
    good(rv)
    first = m.mechanism(ck.CKM_RSA_PKCS_OAEP, oaep)
    assert name(m.unwrap(s, first, unwrapping, blob[:256], OPEN)[0]) == "CKR_TEMPLATE_INCONSISTENT"
    rv, once = m.unwrap(s, first, unwrapping, blob[:256], {**AES, ck.CKA_UNWRAP: True})
    good(rv)
    assert name(m.unwrap(s, m.mechanism(KWP), once, blob[256:], OPEN)[0]) == "CKR_WRAPPED_KEY_INVALID"
    for rows in (AES, {**AES, ck.CKA_DECRYPT: True}):  # as a key that has wrapped, it decrypts no more, nor its twins
        rv, once = m.unwrap(s, first, unwrapping, blob[:256], rows)
        good(rv)
        assert m.read(s, once, ck.CKA_DECRYPT) == b"\0"
        assert m.use("Decrypt", s, m.mechanism(KWP), once, blob[256:])[0] == ck.CKR_KEY_FUNCTION_NOT_PERMITTED
        assert name(m.change(s, once, {ck.CKA_DECRYPT: True})) == "CKR_ATTRIBUTE_READ_ONLY"
    good(m.unwrap(s, rsa_aes, unwrapping, blob, {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC})[0])
    rv, blob = m.wrap(s, first, public, m.aes(s, extractable=True))
    good(rv)
    rv, back = m.unwrap(s, first, unwrapping, blob, AES)  # one that was wrapped by itself keeps what it had
    good(rv)
    assert m.read(s, back, ck.CKA_DECRYPT) == b"\1"


def test_a_pair_that_wrapped_computes_nothing_raw(user: tuple[Module, int], adyton_token: Any) -> None:
    """RSA without padding decrypts, signing or not: it would open what the public half has wrapped."""
    m, s = user
    rows = {ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1", ck.CKA_TOKEN: True}
    rv, public, _ = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rows, {ck.CKA_TOKEN: True})
    good(rv)
    good(m.C_Logout(s))
    good(m.login(s, adyton_token.so_pin, ck.CKU_SO))
    good(m.C_SetAttributeValue(s, public, *m.template({ck.CKA_TRUSTED: True})))
    good(m.C_Logout(s))
    good(m.login(s, adyton_token.pin))
    (private,) = m.find(s, {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})
    before = m.session()
    good(m.C_SignInit(before, m.mechanism(ck.CKM_RSA_X_509), private))
    rv, wrapped = m.wrap(s, m.mechanism(ck.CKM_RSA_PKCS), public, m.aes(s, extractable=True))
    good(rv)
    rv, _ = m.output(m.C_Sign, before, m.bytes(wrapped), len(wrapped))
    assert name(rv) == "CKR_OPERATION_NOT_INITIALIZED"
    for use in ("Sign", "Decrypt"):
        rv, _ = m.use(use, s, m.mechanism(ck.CKM_RSA_X_509), private, wrapped)
        assert name(rv) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    good(m.use("Sign", s, m.mechanism(ck.CKM_RSA_PKCS), private, b"padded signatures go on")[0])


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskPool]:
    """On disk, its token initialised, its user PIN set, no engine running."""
    made = DiskPool(tmp_path / "pool", CHEAP)
    monkeypatch.setenv("ADYTON_HOME", str(made.home))
    try:
        with initialised(str(MODULE)) as m:
            good(m.C_InitToken(0, SO, len(SO), m.bytes(b"kept".ljust(32))))
            s = m.session()
            good(m.login(s, SO.decode(), ck.CKU_SO))
            good(m.C_InitPIN(s, USER, len(USER)))
        made.kill()
        yield made
    finally:
        made.stop()


def test_what_a_key_has_wrapped_is_not_forgotten(pool: DiskPool) -> None:
    """A token key that wrapped a sensitive key still knows after its engine was killed."""
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        wrapping = m.aes(s, token=True, label=b"wrapping")
        rv, blob = m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_PKCS7), wrapping, m.aes(s, extractable=True))
        good(rv)
    pool.kill()
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        (wrapping,) = m.find(s, {ck.CKA_LABEL: b"wrapping"})
        mechanism = m.mechanism(ck.CKM_AES_KEY_WRAP)  # with the padding behind it, its value has no record
        assert name(m.unwrap(s, mechanism, wrapping, blob, OPEN)[0]) == "CKR_TEMPLATE_INCONSISTENT"


def test_that_a_key_is_known_is_not_forgotten(pool: DiskPool) -> None:
    """Wrapped out by one engine, unwrapped by the next: still nobody's secret."""
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        wrapping = m.aes(s, token=True, label=b"wrapping")
        known = m.make(s, {**AES, ck.CKA_VALUE: b"k" * 32, ck.CKA_EXTRACTABLE: True})
        rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, known)
        good(rv)
    pool.kill()
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        (wrapping,) = m.find(s, {ck.CKA_LABEL: b"wrapping"})
        rv, trojan = m.unwrap(s, m.mechanism(KWP), wrapping, blob, AES)
        good(rv)
        assert name(m.wrap(s, m.mechanism(KWP), trojan, m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"


def test_that_a_key_has_derived_is_not_forgotten(pool: DiskPool) -> None:
    """What it derives is an HMAC under it: after its engine was killed it still signs none."""
    mac = ck.CKM_SHA256_HMAC
    for number in (ck.CKM_SHA256_KEY_DERIVATION, None):
        with initialised(str(MODULE)) as m:
            s = m.session()
            good(m.login(s, USER.decode()))
            if number is not None:
                rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"base"}
                rv, base = m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, rows)
                good(rv)
                good(m.derive(s, m.mechanism(number), base, {**AES, ck.CKA_VALUE_LEN: 32})[0])
            (base,) = m.find(s, {ck.CKA_LABEL: b"base"})
            assert name(m.C_SignInit(s, m.mechanism(mac), base)) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        pool.kill()


def test_what_a_derived_session_key_has_wrapped_is_not_forgotten(pool: DiskPool) -> None:
    """Its base is a token key, so that after its engine was killed it can be derived again."""
    blob = b""
    for _ in range(2):
        with initialised(str(MODULE)) as m:
            s = m.session()
            good(m.login(s, USER.decode()))
            if not blob:
                rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"base"}
                good(m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, rows)[0])
            (base,) = m.find(s, {ck.CKA_LABEL: b"base"})
            rv, key = m.derive(s, m.mechanism(ck.CKM_SHA256_KEY_DERIVATION), base, {**AES, ck.CKA_VALUE_LEN: 32})
            good(rv)
            if not blob:
                rv, blob = m.wrap(s, m.mechanism(KWP), key, m.aes(s, extractable=True))
                good(rv)
                pool.kill()
                continue
            assert m.use("Decrypt", s, m.mechanism(KWP), key, blob)[0] == ck.CKR_KEY_FUNCTION_NOT_PERMITTED


def test_session_keys_have_values_before_anybody_logs_in(pool: DiskPool) -> None:
    """A copy loses with its source while the partition is sealed, and has still lost once it is open."""
    with initialised(str(MODULE)) as m:
        s = m.session()
        wrapping, target = m.aes(s, private=False), m.aes(s, private=False, extractable=True)
        rv, copy = m.copy(s, wrapping, {ck.CKA_LABEL: b"copy"})
        good(rv)
        rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, target)
        good(rv)
        for _ in range(2):
            assert m.read(s, copy, ck.CKA_DECRYPT) == b"\0"
            rv, _ = m.unwrap(s, m.mechanism(KWP), copy, blob, {**OPEN, ck.CKA_PRIVATE: False})
            assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"
            again = m.login(s, USER.decode())
        assert name(again) == "CKR_USER_ALREADY_LOGGED_IN"


@pytest.mark.parametrize("copied", [True, False])
def test_what_was_wrapped_out_before_anybody_logged_in_is_not_forgotten(pool: DiskPool, copied: bool) -> None:
    """A key that wrapped another, was wrapped out itself and destroyed comes back after the login: it decrypts no more,
    nor does a known one come back as a secret."""
    with initialised(str(MODULE)) as m:
        s = m.session()
        kept, wrapping, target = (m.aes(s, private=False, extractable=True) for _ in range(3))
        trojan = m.make(s, {**AES, ck.CKA_PRIVATE: False, ck.CKA_VALUE: b"t" * 32, ck.CKA_EXTRACTABLE: True})
        blobs = []
        for by, what in ((wrapping, target), (kept, wrapping), (kept, trojan)):
            rv, blob = m.wrap(s, m.mechanism(KWP), by, what)
            good(rv)
            blobs.append(blob)
        if copied:
            good(m.copy(s, wrapping, {})[0])
        for handle in (wrapping, trojan):
            good(m.C_DestroyObject(s, handle))
        good(m.login(s, USER.decode()))
        rv, back = m.unwrap(s, m.mechanism(KWP), kept, blobs[1], {**AES, ck.CKA_DECRYPT: True})
        good(rv)
        assert m.read(s, back, ck.CKA_DECRYPT) == b"\0"
        assert m.use("Decrypt", s, m.mechanism(KWP), back, blobs[0])[0] == ck.CKR_KEY_FUNCTION_NOT_PERMITTED
        rv, back = m.unwrap(s, m.mechanism(KWP), kept, blobs[2], AES)
        good(rv)
        assert name(m.wrap(s, m.mechanism(KWP), back, m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"
