"""What people do with keys every day works on the token that holds against the attacks, by the templates they use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pkcs11
import pytest
from abi import Module, Rows, good, initialised, logged_in
from attacks.attack import IV, P256, SECRET
from attacks.wrapping import KW, gcm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pkcs11_shim import constants as ck

KWP, PAD = ck.CKM_AES_KEY_WRAP_PAD, ck.CKM_AES_CBC_PAD
# CKF_... of SunPKCS11's templates: class and type, and nothing of what the key is for.
JAVAS: Rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}


@pytest.fixture
def token(adyton_token: Any) -> Iterator[tuple[Module, int]]:
    with logged_in(adyton_token) as opened:
        yield opened


def test_python_pkcs11_s_keys_of_all_uses(adyton_token: Any) -> None:
    """It sets every usage flag that a type has: each use works, and a backup of another key by a key of its own."""
    library = pkcs11.lib(adyton_token.module)
    try:
        with library.get_token(token_label=adyton_token.label).open(rw=True, user_pin=adyton_token.pin) as session:
            everything = {pkcs11.Attribute.EXTRACTABLE: True}
            first, second = (session.generate_key(pkcs11.KeyType.AES, 256, template=everything) for _ in "ab")
            assert first.decrypt(first.encrypt(b"data", mechanism_param=IV), mechanism_param=IV) == b"data"
            third = session.generate_key(pkcs11.KeyType.AES, 256)
            blob = second.wrap_key(first, mechanism=pkcs11.Mechanism.AES_KEY_WRAP)
            again = second.unwrap_key(
                pkcs11.ObjectClass.SECRET_KEY, pkcs11.KeyType.AES, blob, mechanism=pkcs11.Mechanism.AES_KEY_WRAP,
                template={pkcs11.Attribute.SENSITIVE: True},
            )
            sealed = first.encrypt(b"data", mechanism_param=IV)
            assert again.decrypt(sealed, mechanism_param=IV) == b"data"
            assert third.verify(b"data", third.sign(b"data", mechanism=pkcs11.Mechanism.AES_CMAC),
                                mechanism=pkcs11.Mechanism.AES_CMAC)
            public, private = session.generate_keypair(pkcs11.KeyType.RSA, 2048)
            assert public.verify(b"data", private.sign(b"data"))
            assert private.decrypt(public.encrypt(b"data")) == b"data"
    finally:
        pkcs11.unload(adyton_token.module)


def test_java_s_templates_without_a_word_about_uses(token: tuple[Module, int]) -> None:
    m, s = token
    rv, key = m.generate(s, ck.CKM_AES_KEY_GEN, {**JAVAS, ck.CKA_VALUE_LEN: 32})
    good(rv)
    for mechanism in ((ck.CKM_AES_CBC_PAD, IV), gcm(_Structures(m), iv=IV[:12])):
        rv, out = m.use("Encrypt", s, m.mechanism(*mechanism), key, b"data")
        good(rv)
        assert m.use("Decrypt", s, m.mechanism(*mechanism), key, out) == (ck.CKR_OK, b"data")
    imported = m.make(s, {**JAVAS, ck.CKA_VALUE: bytes(range(32))})
    expected = Cipher(algorithms.AES(bytes(range(32))), modes.ECB()).encryptor().update(IV)
    assert m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), imported, IV) == (ck.CKR_OK, expected)
    rv, _, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {})
    good(rv)
    good(m.use("Sign", s, m.mechanism(ck.CKM_ECDSA_SHA256), private, b"data")[0])


class _Structures:
    """The one thing that attacks.wrapping.gcm wants of a token."""

    def __init__(self, m: Module) -> None:
        self.m = m


def test_nss_imports_a_private_key_of_a_pkcs12_file(token: tuple[Module, int]) -> None:
    """NSS encrypts the PKCS#8 bytes under a key of the moment, made of the password, and unwraps them by CBC_PAD."""
    m, s = token
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    of_the_moment = bytes(range(32))
    padder = PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(of_the_moment), modes.CBC(IV)).encryptor()
    blob = cipher.update(padder.update(der) + padder.finalize())
    kek = m.make(s, {**SECRET, ck.CKA_VALUE: of_the_moment, ck.CKA_UNWRAP: True})
    rows = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_TOKEN: True, ck.CKA_PRIVATE: True,
            ck.CKA_SENSITIVE: True, ck.CKA_SIGN: True, ck.CKA_ID: b"nss"}
    rv, private = m.unwrap(s, m.mechanism(PAD, IV), kek, blob, rows)
    good(rv)
    rv, signature = m.use("Sign", s, m.mechanism(ck.CKM_ECDSA_SHA256), private, b"data")
    good(rv)
    r, second = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
    key.public_key().verify(encode_dss_signature(r, second), b"data", ec.ECDSA(SHA256()))


@pytest.mark.parametrize("mechanism", [KW, KWP])
def test_a_sensitive_key_is_backed_up_and_comes_back(token: tuple[Module, int], mechanism: int) -> None:
    m, s = token
    kek = m.aes(s, token=True, wrap=True, unwrap=True, sensitive=True, extractable=False, label=b"kek")
    key = m.aes(s, token=True, sensitive=True, extractable=True, label=b"key")
    good(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, IV)[0])
    rv, block = m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, IV)
    good(rv)
    rv, blob = m.wrap(s, m.mechanism(mechanism), kek, key)
    good(rv)
    good(m.C_DestroyObject(s, key))
    rv, back = m.unwrap(s, m.mechanism(mechanism), kek, blob, {**SECRET, ck.CKA_TOKEN: True, ck.CKA_SENSITIVE: True})
    good(rv)
    assert m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), back, IV) == (ck.CKR_OK, block)


def test_a_key_for_somebody_elsewhere_under_a_trusted_public_key(adyton_token: Any) -> None:
    """A data key goes to who has the private half, once the SO has said that this public key is to be trusted."""
    theirs = rsa.generate_private_key(65537, 2048)
    with initialised(adyton_token.module) as m:
        s = m.session()
        good(m.login(s, adyton_token.pin))
        public = m.make(s, {
            ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA, ck.CKA_TOKEN: True, ck.CKA_WRAP: True,
            ck.CKA_MODULUS: theirs.public_key().public_numbers().n.to_bytes(256, "big"),
            ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"})
        good(m.C_Logout(s))
        good(m.login(s, adyton_token.so_pin, ck.CKU_SO))
        good(m.change(s, public, {ck.CKA_TRUSTED: True}))
        good(m.C_Logout(s))
        good(m.login(s, adyton_token.pin))
        key = m.aes(s, sensitive=True, extractable=True)
        rv, block = m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, IV)
        good(rv)
        form = m.structure("CK_RSA_PKCS_OAEP_PARAMS", hashAlg=ck.CKM_SHA_1, mgf=ck.CKG_MGF1_SHA1,
                           source=ck.CKZ_DATA_SPECIFIED)
        rv, blob = m.wrap(s, m.mechanism(ck.CKM_RSA_PKCS_OAEP, form), public, key)
        good(rv)
        opened = theirs.decrypt(blob, padding.OAEP(padding.MGF1(SHA1()), SHA1(), None))
        assert Cipher(algorithms.AES(opened), modes.ECB()).encryptor().update(IV) == block
