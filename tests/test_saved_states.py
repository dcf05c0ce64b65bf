"""States of operations saved and restored through the C ABI: whose they are, what they hold, how long they last."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, name
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm.application import SavedStates
from hsm.mechanisms import aead, registry
from hsm.mechanisms.digest import HASHES
from hsm.mechanisms.entry import Saveable
from pkcs11_shim import constants as ck

VALUE = bytes(range(32))
P256, ED25519 = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06032b6570")
SHA256, HMAC, ECB = ck.CKM_SHA256, ck.CKM_SHA256_HMAC, ck.CKM_AES_ECB


def save(m: Module, s: int) -> bytes:
    rv, state = m.output(m.C_GetOperationState, s)
    good(rv)
    return state


def restore(m: Module, s: int, state: bytes, encryption: int = 0, authentication: int = 0) -> str:
    return name(m.C_SetOperationState(s, state, len(state), encryption, authentication))


def known(m: Module, s: int, kind: int = ck.CKK_GENERIC_SECRET, **more: Any) -> int:
    rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: kind, ck.CKA_VALUE: VALUE}
    return m.make(s, {**rows, **{getattr(ck, f"CKA_{n.upper()}"): v for n, v in more.items()}})


def mac(data: bytes) -> bytes:
    return hmac.digest(VALUE, data, "sha256")


def pair(m: Module, s: int, kind: str, **private: Any) -> tuple[int, int, Any]:
    """A pair, and its public key as cryptography has it."""
    number, rows = {
        "RSA": (ck.CKM_RSA_PKCS_KEY_PAIR_GEN, {ck.CKA_MODULUS_BITS: 1024, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}),
        "EC": (ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}),
        "Ed25519": (ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: ED25519}),
    }[kind]
    rv, one, two = m.pair(s, number, rows, {getattr(ck, f"CKA_{n.upper()}"): v for n, v in private.items()})
    good(rv)
    return one, two, load_der_public_key(m.read(s, one, ck.CKA_PUBLIC_KEY_INFO))


# -- a copy goes on by itself


@pytest.mark.parametrize("row", HASHES, ids=lambda row: row.name)
def test_a_digest_is_cloned_into_another_session(user: tuple[Module, int], row: Any) -> None:
    """What Java's MessageDigest.clone() does: two sessions, both of which go on from the same point."""
    m, s = user
    other = m.session()
    good(m.C_DigestInit(s, m.mechanism(row.digest)))
    good(m.C_DigestUpdate(s, b"begun ", 6))
    assert restore(m, other, save(m, s)) == "CKR_OK"
    good(m.C_DigestUpdate(s, b"here", 4))
    good(m.C_DigestUpdate(other, b"there", 5))
    assert m.output(m.C_DigestFinal, other) == (ck.CKR_OK, hashlib.new(row.name, b"begun there").digest())
    assert m.output(m.C_DigestFinal, s) == (ck.CKR_OK, hashlib.new(row.name, b"begun here").digest())


@pytest.mark.parametrize("row", HASHES, ids=lambda row: row.name)
@pytest.mark.parametrize("kind", ["Sign", "Verify"])
def test_an_hmac_goes_on_from_its_saved_state(user: tuple[Module, int], row: Any, kind: str) -> None:
    m, s = user
    good(getattr(m, f"C_{kind}Init")(s, m.mechanism(row.hmac), known(m, s)))
    update = getattr(m, f"C_{kind}Update")
    good(update(s, b"begun ", 6))
    state = save(m, s)
    good(update(s, b"in vain", 7))
    assert restore(m, s, state) == "CKR_OK"
    good(update(s, b"here", 4))
    right = hmac.digest(VALUE, b"begun here", row.name)
    if kind == "Sign":
        assert m.output(m.C_SignFinal, s) == (ck.CKR_OK, right)
    else:
        good(m.C_VerifyFinal(s, right, len(right)))


def test_a_cmac_goes_on_from_its_saved_state(user: tuple[Module, int]) -> None:
    m, s = user
    good(m.C_SignInit(s, m.mechanism(ck.CKM_AES_CMAC), known(m, s, ck.CKK_AES)))
    good(m.C_SignUpdate(s, b"begun " * 5, 30))
    other = m.session()
    assert restore(m, other, save(m, s)) == "CKR_OK"
    good(m.C_SignUpdate(other, b"there", 5))
    reference = CMAC(AES(VALUE))
    reference.update(b"begun " * 5 + b"there")
    assert m.output(m.C_SignFinal, other) == (ck.CKR_OK, reference.finalize())


@pytest.mark.parametrize("kind", ["RSA", "EC", "Ed25519"])
def test_a_signature_goes_on_from_its_saved_state(user: tuple[Module, int], kind: str) -> None:
    m, s = user
    public, private, outside = pair(m, s, kind)
    pss = m.structure("CK_RSA_PKCS_PSS_PARAMS", hashAlg=SHA256, mgf=ck.CKG_MGF1_SHA256, sLen=32)
    signing = {
        "RSA": m.mechanism(ck.CKM_SHA256_RSA_PKCS_PSS, pss), "EC": m.mechanism(ck.CKM_ECDSA_SHA256),
        "Ed25519": m.mechanism(ck.CKM_EDDSA),
    }[kind]
    good(m.C_SignInit(s, signing, private))
    good(m.C_SignUpdate(s, b"begun ", 6))
    state = save(m, s)
    for end in (b"here", b"there"):
        assert restore(m, s, state) == "CKR_OK"
        good(m.C_SignUpdate(s, end, len(end)))
        rv, signature = m.output(m.C_SignFinal, s)
        good(rv)
        if kind == "RSA":
            outside.verify(signature, b"begun " + end, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        elif kind == "EC":
            r, t = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            outside.verify(encode_dss_signature(r, t), b"begun " + end, ec.ECDSA(hashes.SHA256()))
        else:
            outside.verify(signature, b"begun " + end)
        good(m.C_VerifyInit(s, signing, public))
        good(m.C_VerifyUpdate(s, b"begun ", 6))
        begun = save(m, s)
        good(m.C_VerifyUpdate(s, b"wrong", 5))
        assert restore(m, s, begun) == "CKR_OK"
        good(m.C_VerifyUpdate(s, end, len(end)))
        good(m.C_VerifyFinal(s, signature, len(signature)))


def test_what_takes_its_input_in_one_part_is_saved_as_it_was_begun(user: tuple[Module, int]) -> None:
    m, s = user
    _, private, outside = pair(m, s, "EC")
    good(m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA), private))
    other = m.session()
    assert restore(m, other, save(m, s)) == "CKR_OK"
    digest = hashlib.sha256(b"data").digest()
    for session in (s, other):
        rv, signature = m.output(m.C_Sign, session, digest, 32)
        good(rv)
        r, t = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        outside.verify(encode_dss_signature(r, t), b"data", ec.ECDSA(hashes.SHA256()))


def test_all_operations_of_a_session_are_saved_together(user: tuple[Module, int]) -> None:
    m, s = user
    keyed = known(m, s)
    good(m.C_DigestInit(s, m.mechanism(SHA256)))
    good(m.C_SignInit(s, m.mechanism(HMAC), keyed))
    good(m.C_VerifyInit(s, m.mechanism(HMAC), keyed))
    good(m.C_DigestUpdate(s, b"one", 3))
    good(m.C_SignUpdate(s, b"two", 3))
    good(m.C_VerifyUpdate(s, b"three", 5))
    other, state = m.session(), save(m, s)
    good(m.C_SessionCancel(s, ck.CKF_DIGEST | ck.CKF_SIGN | ck.CKF_VERIFY))
    assert restore(m, other, state) == "CKR_OK"
    assert m.output(m.C_DigestFinal, other) == (ck.CKR_OK, hashlib.sha256(b"one").digest())
    assert m.output(m.C_SignFinal, other) == (ck.CKR_OK, mac(b"two"))
    good(m.C_VerifyFinal(other, mac(b"three"), 32))


def test_a_state_that_was_saved_in_parts_is_not_finished_in_one(user: tuple[Module, int]) -> None:
    m, s = user
    good(m.C_DigestInit(s, m.mechanism(SHA256)))
    begun = save(m, s)
    good(m.C_DigestUpdate(s, b"x", 1))
    state = save(m, s)
    assert restore(m, s, state) == "CKR_OK"
    assert name(m.output(m.C_Digest, s, b"y", 1)[0]) == "CKR_OPERATION_ACTIVE"
    assert restore(m, s, begun) == "CKR_OK"
    assert m.output(m.C_Digest, s, b"y", 1) == (ck.CKR_OK, hashlib.sha256(b"y").digest())


# -- what a restoration ends, and what refuses it


def test_a_restoration_cancels_what_was_active_a_search_included(user: tuple[Module, int]) -> None:
    """Section 5.6.7: the ongoing operations are abruptly cancelled."""
    m, s = user
    good(m.C_DigestInit(s, m.mechanism(SHA256)))
    state = save(m, s)
    good(m.C_EncryptInit(s, m.mechanism(ECB), known(m, s, ck.CKK_AES)))
    good(m.C_FindObjectsInit(s, NULL, 0))
    assert restore(m, s, state) == "CKR_OK"
    assert name(m.output(m.C_EncryptFinal, s)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    assert name(m.C_FindObjectsFinal(s)) == "CKR_OPERATION_NOT_INITIALIZED"
    good(m.output(m.C_DigestFinal, s)[0])


def test_one_that_is_refused_cancels_nothing(user: tuple[Module, int]) -> None:
    m, s = user
    keyed, other = known(m, s), known(m, s)
    good(m.C_SignInit(s, m.mechanism(HMAC), keyed))
    state = save(m, s)
    good(m.C_SignUpdate(s, b"data", 4))
    good(m.C_FindObjectsInit(s, NULL, 0))
    assert restore(m, s, state, authentication=other) == "CKR_KEY_CHANGED"
    assert restore(m, s, state, encryption=keyed) == "CKR_KEY_NOT_NEEDED"
    assert restore(m, s, state[:-1]) == "CKR_SAVED_STATE_INVALID"
    assert restore(m, s, state[:-1] + bytes([state[-1] ^ 1])) == "CKR_SAVED_STATE_INVALID"
    good(m.C_FindObjectsFinal(s))
    assert m.output(m.C_SignFinal, s) == (ck.CKR_OK, mac(b"data"))


def test_keys_may_be_named_where_they_are_the_right_ones(user: tuple[Module, int]) -> None:
    """CKF_RESTORE_KEY_NOT_NEEDED is set, so that nobody has to."""
    m, s = user
    assert m.token().flags & ck.CKF_RESTORE_KEY_NOT_NEEDED
    keyed = known(m, s)
    _, private, _ = pair(m, s, "RSA")
    good(m.C_SignInit(s, m.mechanism(HMAC), keyed))
    good(m.C_DecryptInit(s, m.mechanism(ck.CKM_RSA_PKCS), private))
    state = save(m, s)
    for encryption, authentication in ((0, 0), (private, 0), (0, keyed), (private, keyed)):
        assert restore(m, s, state, encryption, authentication) == "CKR_OK"
    assert restore(m, s, state, keyed, private) == "CKR_KEY_CHANGED"
    assert restore(m, s, state, 0, 0x7777) == "CKR_KEY_CHANGED"


@pytest.mark.parametrize("number", [ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD, ck.CKM_AES_CTR, ck.CKM_AES_GCM])
def test_a_cipher_in_parts_can_not_be_saved_and_goes_on(user: tuple[Module, int], number: int) -> None:
    m, s = user
    parameters = {
        ECB: None, ck.CKM_AES_CTR: m.structure("CK_AES_CTR_PARAMS", ulCounterBits=128, cb=bytes(16)),
        ck.CKM_AES_GCM: m.structure("CK_GCM_PARAMS", pIv=bytes(12), ulIvLen=12, ulIvBits=96, ulTagBits=128),
    }
    good(m.C_EncryptInit(s, m.mechanism(number, parameters.get(number, bytes(16))), known(m, s, ck.CKK_AES)))
    assert name(m.output(m.C_GetOperationState, s)[0]) == "CKR_STATE_UNSAVEABLE"
    assert name(m.C_GetOperationState(s, NULL, ffi.new("CK_ULONG*"))) == "CKR_STATE_UNSAVEABLE"
    good(m.output(m.C_EncryptUpdate, s, bytes(16), 16)[0])
    good(m.output(m.C_EncryptFinal, s)[0])


def test_every_digest_and_every_signature_in_parts_can_be_saved() -> None:
    """One that can't be is a gap, not a choice; but GMAC's state is a cipher's context, of which libcrypto makes no
    copy, and a second message under its IV would give its key away."""
    found = [
        kind for family in registry.FAMILIES for _, kind in inspect.getmembers(family, inspect.isclass)
        if kind.__module__ == family.__name__ and hasattr(kind, "finish") and not hasattr(kind, "part_bound")
    ]
    assert len(found) >= 6
    assert [kind for kind in found if not issubclass(kind, Saveable)] == [aead.Gmac]


# -- whose it is, and how long it lasts


def test_a_size_query_gives_nothing_out(user: tuple[Module, int]) -> None:
    m, s = user
    good(m.C_DigestInit(s, m.mechanism(SHA256)))
    state, length = save(m, s), ffi.new("CK_ULONG*")
    for _ in range(SavedStates.MOST + 1):
        good(m.C_GetOperationState(s, NULL, length))
        assert length[0] == len(state)
        length[0] = len(state) - 1
        assert name(m.C_GetOperationState(s, ffi.new("CK_BYTE[64]"), length)) == "CKR_BUFFER_TOO_SMALL"
    assert restore(m, s, state) == "CKR_OK"


def test_the_oldest_states_make_room_for_new_ones(user: tuple[Module, int]) -> None:
    m, s = user
    good(m.C_DigestInit(s, m.mechanism(SHA256)))
    states = [save(m, s) for _ in range(SavedStates.MOST + 1)]
    assert len(set(states)) == len(states)
    assert restore(m, s, states[0]) == "CKR_SAVED_STATE_INVALID"
    assert restore(m, s, states[1]) == restore(m, s, states[-1]) == "CKR_OK"


def test_states_that_hold_much_input_are_few(user: tuple[Module, int]) -> None:
    """EdDSA gathers its message, so a state is as large as that."""
    m, s = user
    _, private, _ = pair(m, s, "Ed25519")
    part = SavedStates.MOST_HELD // 4
    good(m.C_SignInit(s, m.mechanism(ck.CKM_EDDSA), private))
    states = []
    for _ in range(4):
        good(m.C_SignUpdate(s, bytes(part), part))
        states.append(save(m, s))
    # 1, 2, 3 and 4 quarters: the last one alone is all that is kept.
    assert {restore(m, s, state) for state in states[:3]} == {"CKR_SAVED_STATE_INVALID"}
    assert restore(m, s, states[3]) == "CKR_OK"
    good(m.C_SignUpdate(s, b"x", 1))
    assert name(m.output(m.C_GetOperationState, s)[0]) == "CKR_STATE_UNSAVEABLE"
    assert restore(m, s, states[3]) == "CKR_OK"


def test_a_state_is_nothing_to_another_application_nor_to_a_later_one(adyton_token: Any) -> None:
    code = """
import sys
from abi import *
m = Module(sys.argv[1]); good(m.C_Initialize(NULL)); s = m.session(); state = bytes.fromhex(sys.argv[2])
print(name(m.C_SetOperationState(s, state, len(state), 0, 0)))
"""
    with initialised(adyton_token.module) as m:
        s = m.session()
        good(m.C_DigestInit(s, m.mechanism(SHA256)))
        state = save(m, s)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", code, adyton_token.module, state.hex()]
        other = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert other.stdout.strip() == "CKR_SAVED_STATE_INVALID"
        good(m.C_CloseSession(s))
        s = m.session()
        assert restore(m, s, state) == "CKR_OK", "a session that was closed leaves its saved states behind"
    with initialised(adyton_token.module) as m:
        assert restore(m, m.session(), state) == "CKR_SAVED_STATE_INVALID"


def test_a_state_is_for_sessions_in_the_same_state(adyton_token: Any) -> None:
    with initialised(adyton_token.module) as m:
        s, read_only = m.session(), m.session(read_write=False)
        good(m.C_DigestInit(s, m.mechanism(SHA256)))
        public = save(m, s)
        assert restore(m, read_only, public) == "CKR_SAVED_STATE_INVALID"
        good(m.login(s, adyton_token.pin))
        assert restore(m, s, public) == "CKR_SAVED_STATE_INVALID"
        good(m.C_Logout(s))
        assert restore(m, s, public) == "CKR_OK"


def test_a_state_with_a_private_key_ends_with_the_login_or_with_the_key(
    user: tuple[Module, int], adyton_token: Any
) -> None:
    m, s = user
    good(m.C_SignInit(s, m.mechanism(HMAC), known(m, s, token=True)))
    state = save(m, s)
    good(m.C_SessionCancel(s, ck.CKF_SIGN))
    good(m.C_DigestInit(s, m.mechanism(SHA256)))
    digest = save(m, s)
    good(m.C_Logout(s))
    good(m.login(s, adyton_token.pin))
    assert restore(m, s, state) == "CKR_SAVED_STATE_INVALID"
    assert restore(m, s, digest) == "CKR_OK"
    for private in (True, False):
        keyed = known(m, s, private=private)
        good(m.C_SignInit(s, m.mechanism(HMAC), keyed))
        state = save(m, s)
        good(m.C_DestroyObject(s, keyed))
        assert restore(m, s, state) == "CKR_SAVED_STATE_INVALID"
        assert name(m.output(m.C_SignFinal, s)[0]) == "CKR_OPERATION_NOT_INITIALIZED"


def test_a_key_that_lost_its_flag_does_not_go_on_from_a_saved_state(user: tuple[Module, int]) -> None:
    m, s = user
    keyed = known(m, s)
    good(m.C_SignInit(s, m.mechanism(HMAC), keyed))
    state = save(m, s)
    good(m.change(s, keyed, {ck.CKA_SIGN: False}))
    assert restore(m, s, state) == "CKR_OK"
    assert name(m.C_SignUpdate(s, b"x", 1)) == "CKR_OPERATION_NOT_INITIALIZED"


def test_a_login_for_one_use_is_not_copied_with_the_operation(user: tuple[Module, int], adyton_token: Any) -> None:
    m, s = user
    _, private, _ = pair(m, s, "EC", always_authenticate=True)
    good(m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA_SHA256), private))
    good(m.login(s, adyton_token.pin, ck.CKU_CONTEXT_SPECIFIC))
    good(m.C_SignUpdate(s, b"x", 1))
    state = save(m, s)
    good(m.output(m.C_SignFinal, s)[0])
    assert restore(m, s, state) == "CKR_OK"
    assert name(m.output(m.C_SignFinal, s)[0]) == "CKR_USER_NOT_LOGGED_IN"
    assert restore(m, s, state) == "CKR_OK"
    good(m.login(s, adyton_token.pin, ck.CKU_CONTEXT_SPECIFIC))
    good(m.output(m.C_SignFinal, s)[0])


def test_an_init_that_the_library_answered_is_part_of_the_state(user: tuple[Module, int]) -> None:
    """The second Init with a key is not sent before the session's next call, which may be this one."""
    m, s = user
    keyed, mechanism = known(m, s), m.mechanism(HMAC)
    for _ in range(3):
        good(m.use("Sign", s, mechanism, keyed, b"data")[0])
    good(m.C_SignInit(s, mechanism, keyed))
    state = save(m, s)
    assert m.output(m.C_Sign, s, b"one", 3) == (ck.CKR_OK, mac(b"one"))
    assert restore(m, s, state) == "CKR_OK"
    assert name(m.C_SignInit(s, mechanism, keyed)) == "CKR_OPERATION_ACTIVE"
    assert m.output(m.C_Sign, s, b"two", 3) == (ck.CKR_OK, mac(b"two"))
