"""python-pkcs11 makes and uses keys in the engine as programs do that stand on it.

Its own suite is run by test_python_pkcs11_suite.py; here is what that leaves out. Answers are checked by cryptography.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import decode_rsa_private_key, encode_rsa_public_key


@pytest.fixture
def session(adyton_token: Any) -> Iterator[Any]:
    module = pkcs11.lib(adyton_token.module)
    try:
        yield module.get_token(token_label=adyton_token.label).open(rw=True, user_pin=adyton_token.pin)
    finally:
        # python-pkcs11 keeps a module for the life of the process; the next test has another pool.
        module.finalize()


def ec_pair(session: Any, curve: str, **more: Any) -> tuple[Any, Any]:
    parameters = session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
    )
    public, private = parameters.generate_keypair(**more)
    return public, private


def test_gcm_agrees_with_another_implementation(session: Any) -> None:
    value = bytes(range(32))
    key = session.create_object({
        Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: value,
        Attribute.SENSITIVE: False,
    })
    iv = bytes(12)
    parameter = pkcs11.GCMParams(iv, b"header")
    sealed = key.encrypt(b"plain", mechanism=Mechanism.AES_GCM, mechanism_param=parameter)
    assert sealed == AESGCM(value).encrypt(iv, b"plain", b"header")
    assert key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameter) == b"plain"
    with pytest.raises(pkcs11.exceptions.EncryptedDataInvalid):
        key.decrypt(sealed[:-1] + b"?", mechanism=Mechanism.AES_GCM, mechanism_param=parameter)


def test_a_sensitive_value_is_not_given(session: Any) -> None:
    key = session.generate_key(KeyType.AES, 256)
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        key[Attribute.VALUE]


def test_a_stream_in_parts_of_any_size(session: Any) -> None:
    key, iv = session.generate_key(KeyType.AES, 256), os.urandom(16)
    parts = [bytes([n % 256]) * n for n in (1, 15, 16, 17, 1000, 3)]
    sealed = b"".join(key.encrypt(parts, mechanism_param=iv))
    assert sealed == key.encrypt(b"".join(parts), mechanism_param=iv)
    assert b"".join(key.decrypt([sealed[:7], sealed[7:100], sealed[100:]], mechanism_param=iv)) == b"".join(parts)


@pytest.mark.parametrize("curve", [
    "secp224r1", "secp256r1", "secp384r1", "secp521r1", "secp256k1", "1.3.36.3.3.2.8.1.1.7", "1.3.36.3.3.2.8.1.1.11",
    "1.3.36.3.3.2.8.1.1.13",  # Brainpool's, which it has no names for
])
def test_the_public_key_can_be_had_from_either_half(session: Any, curve: str) -> None:
    """asyncssh reads CKA_EC_POINT of the private key."""
    public, private = ec_pair(session, curve)
    outside: Any = serialization.load_der_public_key(encode_ec_public_key(public))
    assert serialization.load_der_public_key(encode_ec_public_key(private)) == outside
    signature = private.sign(b"message", mechanism=Mechanism.ECDSA_SHA256)
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    outside.verify(encode_dss_signature(r, s), b"message", ec.ECDSA(hashes.SHA256()))


def test_ed448(session: Any) -> None:
    curve = session.create_domain_parameters(
        KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: bytes.fromhex("06032b6571")}, local=True
    )
    public, private = curve.generate_keypair()
    signature = private.sign(b"message")
    assert public.verify(b"message", signature) and not public.verify(b"another", signature)
    Ed448PublicKey.from_public_bytes(public[Attribute.EC_POINT][2:]).verify(signature, b"message")


def test_an_imported_rsa_key_signs_as_the_file_would(session: Any) -> None:
    made = rsa.generate_private_key(65537, 2048)
    form = serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    private = session.create_object(decode_rsa_private_key(made.private_bytes(*form)))
    signature = private.sign(b"message", mechanism=Mechanism.SHA384_RSA_PKCS)
    made.public_key().verify(signature, b"message", padding.PKCS1v15(), hashes.SHA384())
    public_form = serialization.Encoding.DER, serialization.PublicFormat.PKCS1
    assert encode_rsa_public_key(private) == made.public_key().public_bytes(*public_form)
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        private[Attribute.PRIME_1]


def test_a_search_that_was_left_halfway_does_no_harm(session: Any) -> None:
    for number in range(30):
        session.generate_key(KeyType.AES, 128, label=f"key {number}")
    search = session.get_objects({Attribute.KEY_TYPE: KeyType.AES})
    next(search)
    del search
    assert len(list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))) == 30
    assert session.get_key(label="key 7")[Attribute.LABEL] == "key 7"


def test_token_keys_are_there_for_the_next_session(session: Any, adyton_token: Any) -> None:
    session.generate_key(KeyType.AES, 256, label="kept", id=b"\x01", store=True)
    session.generate_key(KeyType.AES, 256, label="passing")
    ec_pair(session, "secp256r1", label="pair", store=True)
    pkcs11.lib(adyton_token.module).reinitialize()
    token = pkcs11.lib(adyton_token.module).get_token(token_label=adyton_token.label)
    with token.open(user_pin=adyton_token.pin) as again:
        assert {item[Attribute.LABEL] for item in again.get_objects()} == {"kept", "pair"}
        assert again.get_key(label="kept", id=b"\x01").key_length == 256
        pair = again.get_key(label="pair", object_class=ObjectClass.PRIVATE_KEY)
        with pytest.raises(pkcs11.exceptions.SessionReadOnly):
            pair.destroy()
    with token.open() as nobody:
        assert [item[Attribute.CLASS] for item in nobody.get_objects()] == [ObjectClass.PUBLIC_KEY]


def test_threads_each_with_a_session(session: Any) -> None:
    public, _ = session.generate_keypair(KeyType.RSA, 2048, label="shared", store=True)
    outside: Any = serialization.load_der_public_key(encode_rsa_public_key(public))

    def work(number: int) -> None:
        with session.token.open() as own:  # the application is logged in, so this session is
            private = own.get_key(label="shared", object_class=ObjectClass.PRIVATE_KEY)
            for turn in range(10):
                text = b"%d %d" % (number, turn)
                signature = private.sign(text, mechanism=Mechanism.SHA256_RSA_PKCS)
                outside.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))


def sign_in_a_child(module: str, label: str, pin: str, answer: Any) -> None:
    # The module that the parent initialised is not initialised here: it has to be loaded afresh.
    pkcs11.unload(module)
    library = pkcs11.lib(module)
    with library.get_token(token_label=label).open(user_pin=pin) as own:
        private = own.get_key(label="shared", object_class=ObjectClass.PRIVATE_KEY)
        answer.send(private.sign(b"message", mechanism=Mechanism.SHA256_RSA_PKCS))


def test_forked_children_sign_with_the_same_key(session: Any, adyton_token: Any) -> None:
    public, _ = session.generate_keypair(KeyType.RSA, 2048, label="shared", store=True)
    forked = multiprocessing.get_context("fork")
    children = []
    for _ in range(4):
        here, there = forked.Pipe()
        arguments = adyton_token.module, adyton_token.label, adyton_token.pin, there
        children.append((forked.Process(target=sign_in_a_child, args=arguments), here))
        children[-1][0].start()
    for child, here in children:
        assert here.poll(60)
        assert public.verify(b"message", here.recv(), mechanism=Mechanism.SHA256_RSA_PKCS)
        child.join(60)
        assert child.exitcode == 0
