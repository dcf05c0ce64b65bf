"""python-pkcs11 makes and uses keys in the engine; each answer is checked by another implementation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


@pytest.fixture
def session(adyton_token: Any) -> Iterator[Any]:
    module = pkcs11.lib(adyton_token.module)
    with module.get_token(token_label=adyton_token.label).open(rw=True, user_pin=adyton_token.pin) as opened:
        yield opened
    # python-pkcs11 keeps a module for the life of the process; the next test has another pool.
    module.finalize()


def test_aes_round_trip(session: Any) -> None:
    key = session.generate_key(pkcs11.KeyType.AES, 256)
    iv = os.urandom(16)
    sealed = key.encrypt(b"a secret of some length", mechanism_param=iv)
    assert key.decrypt(sealed, mechanism_param=iv) == b"a secret of some length"


def test_rsa_signature_verifies_and_a_changed_one_does_not(session: Any) -> None:
    public, private = session.generate_keypair(pkcs11.KeyType.RSA, 2048)
    signature = private.sign(b"data", mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)
    assert public.verify(b"data", signature, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)
    assert not public.verify(b"Data", signature, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)


def test_gcm_agrees_with_another_implementation(session: Any) -> None:
    value = bytes(range(32))
    key = session.create_object(
        {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
            pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
            pkcs11.Attribute.VALUE: value,
            pkcs11.Attribute.SENSITIVE: False,
        }
    )
    iv = bytes(12)
    parameter = pkcs11.GCMParams(iv, b"header")
    sealed = key.encrypt(b"plain", mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameter)
    assert sealed == AESGCM(value).encrypt(iv, b"plain", b"header")


def test_a_sensitive_value_is_not_given(session: Any) -> None:
    key = session.generate_key(pkcs11.KeyType.AES, 256)
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        key[pkcs11.Attribute.VALUE]
