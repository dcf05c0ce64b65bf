"""PyKCS11 signs, encrypts, wraps and derives with parameters of every shape it has; cryptography checks the answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import PyKCS11
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding
from PyKCS11 import CK_FALSE, CK_TRUE, Mechanism

from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

SECRET = [(ck.CKA_CLASS, ck.CKO_SECRET_KEY), (ck.CKA_KEY_TYPE, ck.CKK_AES)]
PRIVATE = [(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY)]
READABLE = [(ck.CKA_SENSITIVE, CK_FALSE), (ck.CKA_EXTRACTABLE, CK_TRUE)]
P256 = bytes.fromhex("06082a8648ce3d030107")
ED25519 = bytes.fromhex("06032b6570")
HASHES = {
    "SHA1": hashes.SHA1(), "SHA224": hashes.SHA224(), "SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
# How a private key of each kind is made outside, and what it signs with inside.
KINDS: dict[str, Any] = {
    "rsa": (lambda: rsa.generate_private_key(65537, 2048), ck.CKK_RSA, ck.CKM_SHA256_RSA_PKCS),
    "ed25519": (ed25519.Ed25519PrivateKey.generate, ck.CKK_EC_EDWARDS, ck.CKM_EDDSA),
    **{
        curve.name: (lambda curve=curve: ec.generate_private_key(curve()), ck.CKK_EC, ck.CKM_ECDSA_SHA256)
        for curve in (ec.SECP224R1, ec.SECP256R1, ec.SECP384R1, ec.SECP521R1, ec.SECP256K1)
    },
}


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """One token and one session for the file: each test makes the keys it uses."""
    with ThrowAway() as token, pytest.MonkeyPatch.context() as patch:
        for name, value in token.environment.items():
            patch.setenv(name, value)
        library = PyKCS11.PyKCS11Lib()
        library.load(token.module)
        opened = library.openSession(0, PyKCS11.CKF_RW_SESSION)
        opened.login(token.pin)
        yield opened
        library.unload()


def number(name: str) -> int:
    return int(getattr(ck, name))


def aes(session: Any, value: bytes) -> Any:
    """An AES key of known value."""
    return session.createObject([*SECRET, (ck.CKA_VALUE, value), *READABLE])


def value_of(session: Any, handle: Any) -> bytes:
    return bytes(session.getAttributeValue(handle, [ck.CKA_VALUE])[0])


def public_of(session: Any, handle: Any) -> Any:
    """The public key, from the object's CKA_PUBLIC_KEY_INFO; the other attributes must say the same."""
    info = session.getAttributeValue(handle, [ck.CKA_PUBLIC_KEY_INFO])[0]
    return serialization.load_der_public_key(bytes(info))


@pytest.fixture(scope="module")
def rsa_pair(session: Any) -> tuple[Any, Any, Any]:
    handles = session.generateKeyPair([(ck.CKA_MODULUS_BITS, 2048), (ck.CKA_PUBLIC_EXPONENT, b"\x01\x00\x01")], [])
    public = public_of(session, handles[0])
    modulus = bytes(session.getAttributeValue(handles[1], [ck.CKA_MODULUS])[0])
    assert int.from_bytes(modulus, "big") == public.public_numbers().n and public == public_of(session, handles[1])
    return *handles, public


@pytest.fixture(scope="module")
def ec_pair(session: Any) -> tuple[Any, Any, Any]:
    handles = session.generateKeyPair([(ck.CKA_EC_PARAMS, P256)], [], PyKCS11.MechanismECGENERATEKEYPAIR)
    public = public_of(session, handles[0])
    point = bytes(session.getAttributeValue(handles[1], [ck.CKA_EC_POINT])[0])
    raw = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    assert point == b"\x04\x41" + raw
    return *handles, public


# -- signatures


@pytest.mark.parametrize("name", HASHES)
def test_rsa_signatures(session: Any, rsa_pair: Any, name: str) -> None:
    public, private, outside = rsa_pair
    mechanism = Mechanism(number(f"CKM_{name}_RSA_PKCS"))
    signature = bytes(session.sign(private, b"message", mechanism))
    outside.verify(signature, b"message", padding.PKCS1v15(), HASHES[name])
    assert session.verify(public, b"message", signature, mechanism)
    assert not session.verify(public, b"Message", signature, mechanism)


@pytest.mark.parametrize("salt", [0, 20, 32])
@pytest.mark.parametrize(("name", "mgf"), [("SHA1", "SHA1"), ("SHA256", "SHA256"), ("SHA256", "SHA512")])
def test_pss(session: Any, rsa_pair: Any, name: str, mgf: str, salt: int) -> None:
    public, private, outside = rsa_pair
    named = number("CKM_SHA_1" if name == "SHA1" else f"CKM_{name}")
    mechanism = PyKCS11.RSA_PSS_Mechanism(
        number(f"CKM_{name}_RSA_PKCS_PSS"), named, number(f"CKG_MGF1_{mgf}"), salt
    )
    signature = bytes(session.sign(private, b"message", mechanism))
    outside.verify(signature, b"message", padding.PSS(padding.MGF1(HASHES[mgf]), salt), HASHES[name])
    assert session.verify(public, b"message", signature, mechanism)
    assert not session.verify(public, b"Message", signature, mechanism)


@pytest.mark.parametrize("name", HASHES)
def test_ecdsa(session: Any, ec_pair: Any, name: str) -> None:
    public, private, outside = ec_pair
    mechanism = Mechanism(number(f"CKM_ECDSA_{name}"))
    signature = bytes(session.sign(private, b"message", mechanism))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    outside.verify(encode_dss_signature(r, s), b"message", ec.ECDSA(HASHES[name]))
    assert session.verify(public, b"message", signature, mechanism)
    assert not session.verify(public, b"Message", signature, mechanism)


def test_eddsa_with_and_without_parameters(session: Any) -> None:
    generate = Mechanism(ck.CKM_EC_EDWARDS_KEY_PAIR_GEN)
    public, private = session.generateKeyPair([(ck.CKA_EC_PARAMS, ED25519)], [], generate)
    outside = public_of(session, public)
    for mechanism in (Mechanism(ck.CKM_EDDSA), PyKCS11.EDDSA_Mechanism(), PyKCS11.EDDSA_Mechanism(phFlag=False)):
        signature = bytes(session.sign(private, b"message", mechanism))
        outside.verify(signature, b"message")
        assert session.verify(public, b"message", signature, mechanism)
    for mechanism in (PyKCS11.EDDSA_Mechanism(phFlag=True), PyKCS11.EDDSA_Mechanism(False, b"context")):
        with pytest.raises(PyKCS11.PyKCS11Error, match="CKR_MECHANISM_PARAM_INVALID"):
            session.sign(private, b"message", mechanism)


# -- encryption


@pytest.mark.parametrize("label", [None, b"a label"])
@pytest.mark.parametrize(("name", "mgf"), [("SHA1", "SHA1"), ("SHA256", "SHA256"), ("SHA512", "SHA1")])
def test_oaep(session: Any, rsa_pair: Any, name: str, mgf: str, label: bytes | None) -> None:
    public, private, outside = rsa_pair
    named = number("CKM_SHA_1" if name == "SHA1" else f"CKM_{name}")
    mechanism = PyKCS11.RSAOAEPMechanism(named, number(f"CKG_MGF1_{mgf}"), label)
    scheme = padding.OAEP(padding.MGF1(HASHES[mgf]), HASHES[name], label)
    assert bytes(session.decrypt(private, outside.encrypt(b"message", scheme), mechanism)) == b"message"
    sealed = session.encrypt(public, b"message", mechanism)
    assert bytes(session.decrypt(private, sealed, mechanism)) == b"message"
    other = PyKCS11.RSAOAEPMechanism(named, number(f"CKG_MGF1_{mgf}"), b"another label")
    with pytest.raises(PyKCS11.PyKCS11Error, match="CKR_ENCRYPTED_DATA_INVALID"):
        session.decrypt(private, sealed, other)


@pytest.mark.parametrize("bits", [32, 64, 96, 104, 112, 120, 128])
@pytest.mark.parametrize(("iv", "aad"), [(12, b""), (12, b"header"), (16, b"header" * 40)])
def test_gcm(session: Any, iv: int, aad: bytes, bits: int) -> None:
    value, nonce = os.urandom(32), os.urandom(iv)
    key = aes(session, value)
    mechanism = PyKCS11.AES_GCM_Mechanism(nonce, aad, bits)
    sealed = bytes(session.encrypt(key, b"a plain text", mechanism))
    assert sealed == AESGCM(value).encrypt(nonce, b"a plain text", aad)[: 12 + bits // 8]
    assert bytes(session.decrypt(key, sealed, mechanism)) == b"a plain text"
    for altered in (bytes([sealed[0] ^ 1]) + sealed[1:], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(PyKCS11.PyKCS11Error, match="CKR_ENCRYPTED_DATA_INVALID"):
            session.decrypt(key, altered, mechanism)


def test_gcm_in_parts_gives_no_text_before_the_tag(session: Any) -> None:
    value, nonce = os.urandom(16), os.urandom(12)
    key, mechanism = aes(session, value), PyKCS11.AES_GCM_Mechanism(nonce, b"header", 128)
    session.encryptInit(mechanism, key)
    sealed = b"".join(bytes(session.encryptUpdate(bytes([n]) * n)) for n in range(1, 40))
    sealed += bytes(session.encryptFinal())
    text = b"".join(bytes([n]) * n for n in range(1, 40))
    assert sealed == AESGCM(value).encrypt(nonce, text, b"header")
    session.decryptInit(mechanism, key)
    assert bytes(session.decryptUpdate(sealed[:100])) == bytes(session.decryptUpdate(sealed[100:])) == b""
    assert bytes(session.decryptFinal()) == text


@pytest.mark.parametrize("counter", [8, 32, 64, 128])
def test_ctr(session: Any, counter: int) -> None:
    value, block = os.urandom(24), os.urandom(12) + bytes(4)
    key, mechanism = aes(session, value), PyKCS11.AES_CTR_Mechanism(counter, block)
    expected = _outside(value, modes.CTR(block), b"a text of any length")
    assert bytes(session.encrypt(key, b"a text of any length", mechanism)) == expected
    assert bytes(session.decrypt(key, expected, mechanism)) == b"a text of any length"


def test_ctr_stops_where_its_counter_would_repeat(session: Any) -> None:
    key, mechanism = aes(session, os.urandom(16)), PyKCS11.AES_CTR_Mechanism(8, bytes(15) + b"\xfe")
    assert len(bytes(session.encrypt(key, bytes(32), mechanism))) == 32
    with pytest.raises(PyKCS11.PyKCS11Error, match="CKR_DATA_LEN_RANGE"):
        session.encrypt(key, bytes(33), mechanism)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 4096])
def test_cbc_pad_at_once_and_in_parts(session: Any, length: int) -> None:
    value, iv, text = os.urandom(32), os.urandom(16), os.urandom(length)
    key, mechanism = aes(session, value), Mechanism(ck.CKM_AES_CBC_PAD, iv)
    pad = 16 - length % 16
    expected = _outside(value, modes.CBC(iv), text + bytes([pad]) * pad)
    assert bytes(session.encrypt(key, text, mechanism)) == expected
    assert bytes(session.decrypt(key, expected, mechanism)) == text
    for step in (1, 7, 16, 100):
        if length // step > 600:
            continue
        session.encryptInit(mechanism, key)
        parts = [bytes(session.encryptUpdate(text[at : at + step])) for at in range(0, length, step)]
        assert b"".join([*parts, bytes(session.encryptFinal())]) == expected
        session.decryptInit(mechanism, key)
        parts = [bytes(session.decryptUpdate(expected[at : at + step])) for at in range(0, len(expected), step)]
        assert b"".join([*parts, bytes(session.decryptFinal())]) == text


def _outside(value: bytes, mode: Any, text: bytes) -> bytes:
    made = Cipher(algorithms.AES(value), mode).encryptor()
    return made.update(text) + made.finalize()


# -- wrapping


def test_secret_keys_wrapped_by_every_aes_mechanism(session: Any) -> None:
    value, target, iv = os.urandom(32), os.urandom(16), os.urandom(16)
    key, wrapped = aes(session, value), aes(session, target)
    pad = b"\x10" * 16
    cases = [
        (Mechanism(ck.CKM_AES_KEY_WRAP), aes_key_wrap(value, target)),
        (Mechanism(ck.CKM_AES_KEY_WRAP_KWP), aes_key_wrap_with_padding(value, target)),
        (PyKCS11.AES_GCM_Mechanism(iv[:12], b"", 128), AESGCM(value).encrypt(iv[:12], target, b"")),
        (Mechanism(ck.CKM_AES_ECB), _outside(value, modes.ECB(), target)),
        (Mechanism(ck.CKM_AES_CBC, iv), _outside(value, modes.CBC(iv), target)),
        (Mechanism(ck.CKM_AES_CBC_PAD, iv), _outside(value, modes.CBC(iv), target + pad)),
        (PyKCS11.AES_CTR_Mechanism(128, iv), _outside(value, modes.CTR(iv), target)),
    ]
    for mechanism, expected in cases:
        assert bytes(session.wrapKey(key, wrapped, mechanism)) == expected
        back = session.unwrapKey(key, expected, [*SECRET, *READABLE], mechanism)
        assert value_of(session, back) == target


def test_rsa_wraps_a_secret_key(session: Any) -> None:
    pair = session.generateKeyPair([(ck.CKA_MODULUS_BITS, 2048)], [])
    target = os.urandom(32)
    for mechanism in (
        PyKCS11.MechanismRSAPKCS1, PyKCS11.RSAOAEPMechanism(ck.CKM_SHA256, ck.CKG_MGF1_SHA256, b"label")
    ):
        blob = session.wrapKey(pair[0], aes(session, target), mechanism)
        back = session.unwrapKey(pair[1], blob, [*SECRET, *READABLE], mechanism)
        assert value_of(session, back) == target


@pytest.mark.parametrize("kind", KINDS)
def test_private_keys_come_and_go_as_pkcs8(session: Any, kind: str) -> None:
    made, key_type, mechanism = KINDS[kind][0](), KINDS[kind][1], Mechanism(KINDS[kind][2])
    value, wrap = os.urandom(32), Mechanism(ck.CKM_AES_KEY_WRAP_KWP)
    key = aes(session, value)
    form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    blob = aes_key_wrap_with_padding(value, made.private_bytes(*form))
    private = session.unwrapKey(key, blob, [*PRIVATE, (ck.CKA_KEY_TYPE, key_type), *READABLE], wrap)
    assert public_of(session, private) == made.public_key()
    assert bytes(session.wrapKey(key, private, wrap)) == blob
    signature = bytes(session.sign(private, b"message", mechanism))
    if key_type == ck.CKK_RSA:
        made.public_key().verify(signature, b"message", padding.PKCS1v15(), hashes.SHA256())
    elif key_type == ck.CKK_EC:
        half = len(signature) // 2
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        made.public_key().verify(encode_dss_signature(r, s), b"message", ec.ECDSA(hashes.SHA256()))
    else:
        made.public_key().verify(signature, b"message")
    other = ck.CKK_EC if key_type == ck.CKK_RSA else ck.CKK_RSA
    with pytest.raises(PyKCS11.PyKCS11Error, match="CKR_WRAPPED_KEY_INVALID"):
        session.unwrapKey(key, blob, [*PRIVATE, (ck.CKA_KEY_TYPE, other), *READABLE], wrap)


# -- agreement


@pytest.mark.parametrize("shared", [None, b"shared information"])
@pytest.mark.parametrize("kdf", ["NULL", "SHA1_KDF", "SHA256_KDF", "SHA512_KDF"])
def test_ecdh(session: Any, ec_pair: Any, kdf: str, shared: bytes | None) -> None:
    peer = ec.generate_private_key(ec.SECP256R1())
    point = peer.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    mechanism = PyKCS11.ECDH1_DERIVE_Mechanism(point, number(f"CKD_{kdf}"), shared)
    template = [*SECRET, *READABLE, (ck.CKA_VALUE_LEN, 32)]
    agreed = peer.exchange(ec.ECDH(), ec_pair[2])
    if kdf == "NULL" and shared:
        with pytest.raises(PyKCS11.PyKCS11Error, match="CKR_MECHANISM_PARAM_INVALID"):
            session.deriveKey(ec_pair[1], template, mechanism)
        return
    derived = value_of(session, session.deriveKey(ec_pair[1], template, mechanism))
    if kdf == "NULL":
        assert derived == agreed
    else:
        assert derived == X963KDF(HASHES[kdf.removesuffix("_KDF")], 32, shared).derive(agreed)


MONTGOMERY: dict[str, tuple[bytes, Any, Any]] = {
    "X25519": (b"\x13\x0acurve25519", x25519.X25519PrivateKey, x25519.X25519PublicKey),
    "X448": (bytes.fromhex("06032b656f"), x448.X448PrivateKey, x448.X448PublicKey),
}


@pytest.mark.parametrize("curve", MONTGOMERY)
def test_montgomery_agreement(session: Any, curve: str) -> None:
    parameters, own, point = MONTGOMERY[curve]
    generation = Mechanism(ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN)
    public, private = session.generateKeyPair([(ck.CKA_EC_PARAMS, parameters)], [(ck.CKA_DERIVE, CK_TRUE)], generation)
    peer = own.generate()
    mechanism = PyKCS11.ECDH1_DERIVE_Mechanism(peer.public_key().public_bytes_raw(), PyKCS11.CKD_NULL)
    derived = value_of(session, session.deriveKey(private, [*SECRET, *READABLE, (ck.CKA_VALUE_LEN, 32)], mechanism))
    raw = bytes(session.getAttributeValue(public, [ck.CKA_EC_POINT])[0])
    assert derived == peer.exchange(point.from_public_bytes(raw))[-32:]
