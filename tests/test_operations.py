"""Operations through the C ABI, in parts and at once: what ends them, what leaves them, how much room they ask for."""

from __future__ import annotations

import hashlib
import hmac
import threading
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, name
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm.cryptoki import operation
from hsm.mechanisms.entry import Mechanism
from pkcs11_shim import constants as ck

AES = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
P256 = bytes.fromhex("06082a8648ce3d030107")
HMAC, ECB, PAD, CTR, GCM = (
    ck.CKM_SHA256_HMAC, ck.CKM_AES_ECB, ck.CKM_AES_CBC_PAD, ck.CKM_AES_CTR, ck.CKM_AES_GCM,
)
VALUE = bytes(range(32))
IV = bytes(range(16))


def known(m: Module, s: int, kind: int = ck.CKK_AES, **more: Any) -> int:
    """A secret key whose value the test knows."""
    rows = {**AES, ck.CKA_KEY_TYPE: kind, ck.CKA_VALUE: VALUE}
    return m.make(s, {**rows, **{getattr(ck, f"CKA_{n.upper()}"): v for n, v in more.items()}})


def mac_key(m: Module, s: int) -> int:
    return known(m, s, ck.CKK_GENERIC_SECRET)


def mac(data: bytes) -> bytes:
    return hmac.digest(VALUE, data, "sha256")


def sized(m: Module, call: Any, *before: Any) -> tuple[str, int]:
    """The length that a size query tells."""
    length = ffi.new("CK_ULONG*", 7)
    return name(call(*before, NULL, length)), int(length[0])


def into(call: Any, *before: Any, room: int) -> tuple[str, bytes]:
    """The answer into a buffer of exactly ``room`` bytes, with a guard behind it that must stay."""
    buffer, length = ffi.new("CK_BYTE[]", room + 8), ffi.new("CK_ULONG*", room)
    ffi.buffer(buffer)[room:] = b"\xa5" * 8
    rv = name(call(*before, buffer, length))
    assert bytes(ffi.buffer(buffer))[room:] == b"\xa5" * 8
    return rv, bytes(ffi.buffer(buffer, min(length[0], room)))


# -- size queries, and buffers too small


@pytest.mark.parametrize("number", [ck.CKM_ECDSA_SHA256, ck.CKM_SHA256_RSA_PKCS_PSS], ids=["ECDSA", "PSS"])
def test_size_query_and_small_buffer_leave_a_randomised_signature_to_be_fetched(
    user: tuple[Module, int], number: int
) -> None:
    m, s = user
    parameter: Any = None
    if number == ck.CKM_ECDSA_SHA256:
        rv, public, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {})
    else:
        rsa = {ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
        rv, public, private = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rsa, {})
        parameter = m.structure("CK_RSA_PKCS_PSS_PARAMS", hashAlg=ck.CKM_SHA256, mgf=ck.CKG_MGF1_SHA256, sLen=32)
    good(rv)
    mechanism = m.mechanism(number, parameter)
    good(m.C_SignInit(s, mechanism, private))
    rv, length = sized(m, m.C_Sign, s, b"data", 4)
    assert rv == "CKR_OK"
    short = ffi.new("CK_ULONG*", length - 1)
    assert name(m.C_Sign(s, b"data", 4, ffi.new("CK_BYTE[512]"), short)) == "CKR_BUFFER_TOO_SMALL"
    assert short[0] == length
    told, signature = into(m.C_Sign, s, b"data", 4, room=length)
    assert told == "CKR_OK" and len(signature) == length
    good(m.verify(s, mechanism, public, b"data", signature))
    assert name(m.output(m.C_Sign, s, b"data", 4)[0]) == "CKR_OPERATION_NOT_INITIALIZED"


def test_what_had_too_little_room_was_not_signed(user: tuple[Module, int]) -> None:
    """Another message after a buffer too small gets its own MAC, not the first one's."""
    m, s = user
    good(m.C_SignInit(s, m.mechanism(HMAC), mac_key(m, s)))
    assert into(m.C_Sign, s, b"one", 3, room=31)[0] == "CKR_BUFFER_TOO_SMALL"
    assert into(m.C_Sign, s, b"two", 3, room=32) == ("CKR_OK", mac(b"two"))


def test_a_size_query_at_the_end_consumes_nothing_and_parts_may_follow(user: tuple[Module, int]) -> None:
    m, s = user
    good(m.C_SignInit(s, m.mechanism(HMAC), mac_key(m, s)))
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    good(m.C_EncryptInit(s, m.mechanism(PAD, IV), known(m, s)))
    sealed = b""
    for part in (b"a" * 20, b"b" * 20):
        good(m.C_SignUpdate(s, part, 20))
        good(m.C_DigestUpdate(s, part, 20))
        rv, out = m.output(m.C_EncryptUpdate, s, part, 20)
        good(rv)
        sealed += out
        assert sized(m, m.C_SignFinal, s) == ("CKR_OK", 32)
        assert sized(m, m.C_DigestFinal, s) == ("CKR_OK", 32)
        assert sized(m, m.C_EncryptFinal, s) == ("CKR_OK", 16)
        assert into(m.C_EncryptFinal, s, room=15)[0] == "CKR_BUFFER_TOO_SMALL"
    whole = b"a" * 20 + b"b" * 20
    assert into(m.C_SignFinal, s, room=32) == ("CKR_OK", mac(whole))
    assert into(m.C_DigestFinal, s, room=32) == ("CKR_OK", hashlib.sha256(whole).digest())
    rv, last = into(m.C_EncryptFinal, s, room=16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(VALUE), modes.CBC(IV)).encryptor()
    assert rv == "CKR_OK" and sealed + last == encryptor.update(padder.update(whole) + padder.finalize())


def test_decrypting_into_too_little_room_keeps_the_plaintext_for_the_next_call(user: tuple[Module, int]) -> None:
    m, s = user
    key = known(m, s)
    rv, sealed = m.use("Encrypt", s, m.mechanism(PAD, IV), key, b"a plaintext")
    good(rv)
    good(m.C_DecryptInit(s, m.mechanism(PAD, IV), key))
    assert sized(m, m.C_Decrypt, s, sealed, 16) == ("CKR_OK", 16)
    length = ffi.new("CK_ULONG*", 10)
    assert name(m.C_Decrypt(s, sealed, 16, ffi.new("CK_BYTE[16]"), length)) == "CKR_BUFFER_TOO_SMALL"
    assert length[0] == 11
    assert sized(m, m.C_Decrypt, s, sealed, 16) == ("CKR_OK", 11)
    assert into(m.C_Decrypt, s, sealed, 16, room=11) == ("CKR_OK", b"a plaintext")


def test_a_kept_plaintext_is_not_another_ciphertexts(user: tuple[Module, int]) -> None:
    m, s = user
    key = known(m, s)
    rv, sealed = m.use("Encrypt", s, m.mechanism(PAD, IV), key, b"a plaintext")
    good(rv)
    good(m.C_DecryptInit(s, m.mechanism(PAD, IV), key))
    assert into(m.C_Decrypt, s, sealed, 16, room=10)[0] == "CKR_BUFFER_TOO_SMALL"
    assert into(m.C_Decrypt, s, bytes(16), 16, room=16)[0] == "CKR_ENCRYPTED_DATA_INVALID"
    assert into(m.C_Decrypt, s, sealed, 16, room=16)[0] == "CKR_OPERATION_NOT_INITIALIZED"


def test_no_part_follows_a_plaintext_that_waits_to_be_fetched(user: tuple[Module, int]) -> None:
    m, s = user
    key = known(m, s)
    rv, sealed = m.use("Encrypt", s, m.mechanism(PAD, IV), key, b"a plaintext")
    good(rv)
    good(m.C_DecryptInit(s, m.mechanism(PAD, IV), key))
    assert into(m.C_Decrypt, s, sealed, 16, room=1)[0] == "CKR_BUFFER_TOO_SMALL"
    assert into(m.C_DecryptUpdate, s, sealed, 16, room=64)[0] == "CKR_OPERATION_ACTIVE"


def test_first_use_is_output_not_a_size_query_or_a_buffer_too_small(user: tuple[Module, int]) -> None:
    """A key for several purposes keeps them until its first plaintext has really gone out."""
    m, s = user
    key = m.aes(s)
    rv, sealed = m.use("Encrypt", s, m.mechanism(PAD, IV), m.aes(s), bytes(5))
    good(rv)
    good(m.C_DecryptInit(s, m.mechanism(ck.CKM_AES_CBC, IV), key))
    assert sized(m, m.C_Decrypt, s, sealed, 16)[0] == "CKR_OK"
    assert into(m.C_Decrypt, s, sealed, 16, room=4)[0] == "CKR_BUFFER_TOO_SMALL"
    assert m.read(s, key, ck.CKA_WRAP) == b"\1"
    assert into(m.C_Decrypt, s, sealed, 16, room=16)[0] == "CKR_OK"
    assert m.read(s, key, ck.CKA_WRAP) == b"\0"


MODES = {
    "ECB": (ECB, None, modes.ECB()), "CBC_PAD": (PAD, IV, modes.CBC(IV)), "CTR": (CTR, "counter", modes.CTR(IV)),
    "GCM": (GCM, "gcm", None),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mode=st.sampled_from(sorted(MODES)), data=st.binary(max_size=100), cuts=st.lists(st.integers(0, 120), max_size=6)
)
def test_every_part_fits_exactly_into_the_room_it_asks_for(
    user: tuple[Module, int], mode: str, data: bytes, cuts: list[int]
) -> None:
    """Both ways, cut anywhere: what a size query of a part tells is what the part gives, byte for byte."""
    m, s = user
    if mode == "ECB":
        data = data[: len(data) // 16 * 16]
    number, parameter, reference = MODES[mode]
    if parameter == "counter":
        parameter = m.structure("CK_AES_CTR_PARAMS", ulCounterBits=128, cb=IV)
    elif parameter == "gcm":
        parameter = m.structure("CK_GCM_PARAMS", pIv=IV[:12], ulIvLen=12, ulIvBits=96, ulTagBits=128)
    mechanism = m.mechanism(number, parameter)
    key = known(m, s)
    sealed = in_parts(m, s, "Encrypt", mechanism, key, data, cuts)
    if reference is None:
        assert sealed == AESGCM(VALUE).encrypt(IV[:12], data, None)
    else:
        padder = padding.PKCS7(128).padder()
        filled = padder.update(data) + padder.finalize() if mode == "CBC_PAD" else data
        assert sealed == Cipher(algorithms.AES(VALUE), reference).encryptor().update(filled)
    assert in_parts(m, s, "Decrypt", mechanism, key, sealed, cuts) == data


def mode_of_blocks(mechanism: Any) -> bool:
    return mechanism.mechanism != CTR


def in_parts(m: Module, s: int, kind: str, mechanism: Any, key: int, data: bytes, cuts: list[int]) -> bytes:
    good(getattr(m, f"C_{kind}Init")(s, mechanism, key))
    update, final = getattr(m, f"C_{kind}Update"), getattr(m, f"C_{kind}Final")
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = b""
    for start, end in pairwise(edges):
        part = data[start:end]
        rv, room = sized(m, update, s, part or NULL, len(part))
        assert rv == "CKR_OK"
        room = 0 if room == 1 and mode_of_blocks(mechanism) else room  # never 0 where there is input
        if room:
            assert into(update, s, part or NULL, len(part), room=room - 1)[0] == "CKR_BUFFER_TOO_SMALL"
        rv, given = into(update, s, part or NULL, len(part), room=room)
        assert (rv, len(given)) == ("CKR_OK", room)
        out += given
    rv, room = sized(m, final, s)
    assert rv == "CKR_OK"
    rv, given = into(final, s, room=room)
    assert rv == "CKR_OK"
    return out + given


# -- what ends an operation


def test_one_shot_after_a_part_is_refused_and_ends_the_operation(user: tuple[Module, int]) -> None:
    m, s = user
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    good(m.C_DigestUpdate(s, b"x", 1))
    assert name(m.output(m.C_Digest, s, b"x", 1)[0]) == "CKR_OPERATION_ACTIVE"
    assert name(m.output(m.C_DigestFinal, s)[0]) == "CKR_OPERATION_NOT_INITIALIZED"


def test_a_second_init_is_refused_and_harms_nothing(user: tuple[Module, int]) -> None:
    m, s = user
    good(m.C_SignInit(s, m.mechanism(HMAC), mac_key(m, s)))
    good(m.C_SignUpdate(s, b"da", 2))
    assert name(m.C_SignInit(s, m.mechanism(HMAC), mac_key(m, s))) == "CKR_OPERATION_ACTIVE"
    good(m.C_SignUpdate(s, b"ta", 2))
    assert into(m.C_SignFinal, s, room=32) == ("CKR_OK", mac(b"data"))


def test_an_init_that_is_refused_leaves_nothing_active(user: tuple[Module, int]) -> None:
    m, s = user
    key = known(m, s)
    for mechanism, handle in ((m.mechanism(PAD, b"short"), key), (m.mechanism(0x7FFF0000), key), (m.mechanism(ECB), 0)):
        assert m.C_EncryptInit(s, mechanism, handle) != ck.CKR_OK
        assert name(m.output(m.C_Encrypt, s, bytes(16), 16)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    good(m.C_EncryptInit(s, m.mechanism(ECB), key))


def test_any_error_but_a_small_buffer_ends_the_operation(user: tuple[Module, int]) -> None:
    m, s = user
    key = known(m, s)
    good(m.C_EncryptInit(s, m.mechanism(ECB), key))
    assert name(m.output(m.C_Encrypt, s, bytes(15), 15)[0]) == "CKR_DATA_LEN_RANGE"
    assert name(m.output(m.C_Encrypt, s, bytes(16), 16)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    good(m.C_DecryptInit(s, m.mechanism(PAD, IV), key))
    assert name(m.output(m.C_Decrypt, s, bytes(15), 15)[0]) == "CKR_ENCRYPTED_DATA_LEN_RANGE"
    assert name(m.output(m.C_DecryptFinal, s)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    assert name(m.C_DigestKey(s, 0)) == "CKR_KEY_HANDLE_INVALID"
    assert name(m.C_DigestUpdate(s, b"x", 1)) == "CKR_OPERATION_NOT_INITIALIZED"
    rv, _, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {})
    good(rv)
    good(m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA), private))
    assert name(m.C_SignUpdate(s, b"x", 1)) == "CKR_OPERATION_NOT_INITIALIZED"
    assert name(m.output(m.C_Sign, s, bytes(32), 32)[0]) == "CKR_OPERATION_NOT_INITIALIZED"


def test_a_wrong_argument_ends_the_operation_too(user: tuple[Module, int]) -> None:
    """Arguments that the library itself refuses are errors like others."""
    m, s = user
    key, mechanism = mac_key(m, s), m.mechanism(HMAC)
    for call in (
        lambda: m.C_Sign(s, b"x", 1, ffi.new("CK_BYTE[64]"), NULL), lambda: m.C_SignUpdate(s, NULL, 1),
        lambda: m.C_SignFinal(s, ffi.new("CK_BYTE[64]"), NULL),
    ):
        good(m.C_SignInit(s, mechanism, key))
        assert name(call()) == "CKR_ARGUMENTS_BAD"
        assert name(m.output(m.C_Sign, s, b"x", 1)[0]) == "CKR_OPERATION_NOT_INITIALIZED"


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_verification_ends_whatever_it_finds(user: tuple[Module, int], in_parts: bool) -> None:
    m, s = user
    key = mac_key(m, s)
    for signature, expected in (
        (mac(b"data"), "CKR_OK"), (bytes(32), "CKR_SIGNATURE_INVALID"), (bytes(31), "CKR_SIGNATURE_LEN_RANGE"),
    ):
        good(m.C_VerifyInit(s, m.mechanism(HMAC), key))
        if in_parts:
            good(m.C_VerifyUpdate(s, b"data", 4))
            rv = m.C_VerifyFinal(s, signature, len(signature))
        else:
            rv = m.C_Verify(s, b"data", 4, signature, len(signature))
        assert name(rv) == expected
        assert name(m.C_VerifyFinal(s, signature, len(signature))) == "CKR_OPERATION_NOT_INITIALIZED"


def test_a_fault_of_the_engine_ends_the_operation() -> None:
    """No error is known that does so from outside: a state that fails in no foreseen way stands in for it."""
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    session = SimpleNamespace(lock=threading.RLock(), active={}, login=None)
    app: Any = SimpleNamespace(session=lambda handle: session, may_gather=lambda count: None)
    state = SimpleNamespace(update=fail, finish=lambda: fail(b""), length=1)
    for step in (
        lambda: operation.feed(app, 1, "digest", b"x"),
        lambda: operation.finish(app, 1, "digest", 9, None, lambda s: 1, lambda s: s.finish()),
    ):
        session.active["digest"] = operation.Operation(Mechanism(0), state, None, None)
        with pytest.raises(ZeroDivisionError):
            step()
        assert session.active == {}


# -- together, empty, in place


def test_five_operations_and_a_search_are_active_together(user: tuple[Module, int]) -> None:
    m, s = user
    key, keyed = known(m, s), mac_key(m, s)
    good(m.C_FindObjectsInit(s, NULL, 0))
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    good(m.C_SignInit(s, m.mechanism(HMAC), keyed))
    good(m.C_VerifyInit(s, m.mechanism(HMAC), keyed))
    good(m.C_EncryptInit(s, m.mechanism(ECB), key))
    good(m.C_DecryptInit(s, m.mechanism(ECB), key))
    for part in (b"a" * 16, b"b" * 16):
        good(m.C_DigestUpdate(s, part, 16))
        good(m.C_SignUpdate(s, part, 16))
        good(m.C_VerifyUpdate(s, part, 16))
        rv, sealed = m.output(m.C_EncryptUpdate, s, part, 16)
        good(rv)
        assert m.output(m.C_DecryptUpdate, s, sealed, 16) == (ck.CKR_OK, part)
    whole = b"a" * 16 + b"b" * 16
    assert m.output(m.C_DigestFinal, s) == (ck.CKR_OK, hashlib.sha256(whole).digest())
    assert m.output(m.C_SignFinal, s) == (ck.CKR_OK, mac(whole))
    good(m.C_VerifyFinal(s, mac(whole), 32))
    good(m.C_FindObjectsFinal(s))
    assert m.output(m.C_EncryptFinal, s) == m.output(m.C_DecryptFinal, s) == (ck.CKR_OK, b"")


def test_empty_input_with_a_null_pointer(user: tuple[Module, int]) -> None:
    m, s = user
    key, keyed = known(m, s), mac_key(m, s)
    empty = hashlib.sha256().digest()
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    assert m.output(m.C_Digest, s, NULL, 0) == (ck.CKR_OK, empty)
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    good(m.C_DigestUpdate(s, NULL, 0))
    assert m.output(m.C_DigestFinal, s) == (ck.CKR_OK, empty)
    good(m.C_SignInit(s, m.mechanism(HMAC), keyed))
    assert m.output(m.C_Sign, s, NULL, 0) == (ck.CKR_OK, mac(b""))
    good(m.C_SignInit(s, m.mechanism(HMAC), keyed))
    assert m.output(m.C_SignFinal, s) == (ck.CKR_OK, mac(b""))
    good(m.C_VerifyInit(s, m.mechanism(HMAC), keyed))
    good(m.C_Verify(s, NULL, 0, mac(b""), 32))
    good(m.C_EncryptInit(s, m.mechanism(PAD, IV), key))
    rv, sealed = m.output(m.C_Encrypt, s, NULL, 0)
    assert rv == ck.CKR_OK and len(sealed) == 16
    good(m.C_DecryptInit(s, m.mechanism(PAD, IV), key))
    assert m.output(m.C_Decrypt, s, sealed, 16) == (ck.CKR_OK, b"")
    good(m.C_EncryptInit(s, m.mechanism(ECB), key))
    assert m.output(m.C_Encrypt, s, NULL, 0) == (ck.CKR_OK, b"")


def test_input_and_output_in_the_same_place(user: tuple[Module, int]) -> None:
    m, s = user
    key = known(m, s)
    buffer, length = ffi.new("CK_BYTE[32]", bytes(16)), ffi.new("CK_ULONG*", 32)
    good(m.C_EncryptInit(s, m.mechanism(PAD, IV), key))
    good(m.C_Encrypt(s, buffer, 16, buffer, length))
    assert length[0] == 32
    good(m.C_DecryptInit(s, m.mechanism(PAD, IV), key))
    good(m.C_Decrypt(s, buffer, 32, buffer, length))
    assert bytes(ffi.buffer(buffer, length[0])) == bytes(16)


def test_an_answer_as_long_as_a_frame_is_refused_and_the_engine_stays(user: tuple[Module, int]) -> None:
    m, s = user
    most = 64 << 20
    room = ffi.new("CK_BYTE[]", most)
    assert name(m.C_GenerateRandom(s, room, most)) == "CKR_ARGUMENTS_BAD"
    good(m.C_GenerateRandom(s, room, most - 4096))
    good(m.C_EncryptInit(s, m.mechanism(PAD, IV), known(m, s)))
    longest = most - 32  # whole blocks: the padding is one more, and the answer longer than the call
    length = ffi.new("CK_ULONG*", most)
    assert name(m.C_Encrypt(s, room, longest, room, length)) in ("CKR_DATA_LEN_RANGE", "CKR_DEVICE_MEMORY")
    assert m.state(s) == ck.CKS_RW_USER_FUNCTIONS
