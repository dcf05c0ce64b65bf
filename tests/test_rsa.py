"""RSA: what the engine signs or encrypts, the cryptography package judges."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from hsm.errors import TokenError
from hsm.mechanisms import registry, rsa
from hsm.objects.key import Key
from hsm.server.codec import CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS
from pkcs11_shim import constants as ck


@pytest.fixture(scope="module")
def pair() -> tuple[Key, Key, Any]:
    entry = registry.find(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, "generate_pair")
    wanted = {ck.CKA_MODULUS_BITS: (2048).to_bytes(8, "little")}
    public, private = entry.generate_pair(None, wanted, {})  # type: ignore[misc]
    return Key(public), Key(private), serialization.load_der_public_key(public[ck.CKA_PUBLIC_KEY_INFO])


def run(number: int, use: str, key: Key, raw: Any, *given: bytes) -> bytes:
    entry = registry.find(number, use)
    made: bytes = getattr(entry, use)(key, entry.parameter(raw)).one_shot(*given)
    return made


@pytest.mark.parametrize("number", rsa._HASHED)
def test_pkcs1_signature(pair: Any, number: int) -> None:
    public, private, judge = pair
    signature = run(number, "sign", private, None, b"data")
    judge.verify(signature, b"data", padding.PKCS1v15(), rsa.HASHES[rsa._HASHED[number]][0]())
    run(number, "verify", public, None, b"data", signature)
    with pytest.raises(TokenError) as refusal:
        run(number, "verify", public, None, b"Data", signature)
    assert refusal.value.rv == ck.CKR_SIGNATURE_INVALID
    with pytest.raises(TokenError) as refusal:
        run(number, "verify", public, None, b"data", signature[1:])
    assert refusal.value.rv == ck.CKR_SIGNATURE_LEN_RANGE


@pytest.mark.parametrize("salt", [0, 20, 32])
@pytest.mark.parametrize("mgf", [ck.CKG_MGF1_SHA1, ck.CKG_MGF1_SHA256])
def test_pss_signature(pair: Any, salt: int, mgf: int) -> None:
    _, private, judge = pair
    raw = CK_RSA_PKCS_PSS_PARAMS(ck.CKM_SHA256, mgf, salt)
    signature = run(ck.CKM_SHA256_RSA_PKCS_PSS, "sign", private, raw, b"data")
    judge.verify(signature, b"data", padding.PSS(padding.MGF1(rsa._MGF[mgf]()), salt), hashes.SHA256())


def test_raw_pss_wants_a_digest(pair: Any) -> None:
    with pytest.raises(TokenError) as refusal:
        run(ck.CKM_RSA_PKCS_PSS, "sign", pair[1], CK_RSA_PKCS_PSS_PARAMS(ck.CKM_SHA256, ck.CKG_MGF1_SHA256, 32), b"x")
    assert refusal.value.rv == ck.CKR_DATA_LEN_RANGE


@pytest.mark.parametrize("number", rsa.OAEP_HASHES)
@pytest.mark.parametrize("mgf", [ck.CKG_MGF1_SHA1, ck.CKG_MGF1_SHA512])
def test_oaep(pair: Any, number: int, mgf: int) -> None:
    _, private, judge = pair
    raw = CK_RSA_PKCS_OAEP_PARAMS(number, mgf, ck.CKZ_DATA_SPECIFIED, b"label")
    pad = padding.OAEP(padding.MGF1(rsa._MGF[mgf]()), rsa.HASHES[number][0](), b"label")
    assert run(ck.CKM_RSA_PKCS_OAEP, "decrypt", private, raw, judge.encrypt(b"secret", pad)) == b"secret"


def test_wrong_pkcs1_padding_is_no_oracle(pair: Any) -> None:
    """A ciphertext with no valid padding decrypts to something, the same each time (implicit rejection)."""
    outcomes = {run(ck.CKM_RSA_PKCS, "decrypt", pair[1], None, b"\x01" * 256) for _ in range(3)}
    assert len(outcomes) == 1


@pytest.mark.parametrize(("bits", "exponent"), [(512, b"\x03"), (16384, b"\x03"), (2048, b"\x05")])
def test_sizes_and_exponents_not_offered(bits: int, exponent: bytes) -> None:
    entry = registry.find(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, "generate_pair")
    with pytest.raises(TokenError) as refusal:
        entry.generate_pair(  # type: ignore[misc]
            None, {ck.CKA_MODULUS_BITS: bits.to_bytes(8, "little"), ck.CKA_PUBLIC_EXPONENT: exponent}, {}
        )
    assert refusal.value.rv in (ck.CKR_KEY_SIZE_RANGE, ck.CKR_ATTRIBUTE_VALUE_INVALID)
