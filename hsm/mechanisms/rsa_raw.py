"""RSA without padding, CKM_RSA_X_509 (PKCS#11 3.2, section 6.1): offered where libcrypto.py was compiled.

A key that signs raw decrypts raw, and opens whatever was ever encrypted or wrapped for it, by any padding. So a private
key must be one that signs and decrypts, each use counts as decryption, and what its public half has wrapped ends both.
Keys are not wrapped: nothing would be put before them, and a short one is the cube root of what comes out.
"""

from __future__ import annotations

import hmac
from importlib import import_module
from typing import Any

from hsm.errors import TokenError
from hsm.mechanisms import der, rsa_keys
from hsm.mechanisms.entry import Mechanism, OnePart
from hsm.objects.key import Key
from pkcs11_shim import constants as ck


def _find() -> Any:
    try:
        return import_module("hsm.mechanisms._libcrypto")
    except ImportError:  # it was installed where libcrypto's headers are not, or runs where libcrypto is not
        return None


compiled = _find()


def _loaded(key: Any) -> Any:
    if key == compiled.ffi.NULL:
        raise TokenError(ck.CKR_FUNCTION_FAILED, "libcrypto does not take this key")
    return compiled.ffi.gc(key, compiled.lib.EVP_PKEY_free)


def _private(key: Key) -> Any:
    encoded = der.rsa_private(rsa_keys.private(key))
    return _loaded(compiled.lib.adyton_private(encoded, len(encoded)))


def _public(key: Key) -> Any:
    encoded = der.public_info(rsa_keys.public(key))
    return _loaded(compiled.lib.adyton_public(encoded, len(encoded)))


class _Raw(OnePart):
    """One number in, one out, each as long as the modulus."""

    __slots__ = ("_key", "_modulus", "length")

    def __init__(self, key: Key, parameter: None) -> None:
        self._key = key
        self._modulus = key.get(ck.CKA_MODULUS) or b""
        self.length = len(self._modulus)

    def bound(self, length: int) -> int:
        return self.length

    def _padded(self, data: bytes, too_long: int, too_large: int) -> bytes:
        """Zeros go before it; it must be less than the modulus."""
        if len(data) > self.length:
            raise TokenError(too_long, f"up to {self.length} bytes fit this key")
        padded = data.rjust(self.length, b"\0")
        if padded >= self._modulus:
            raise TokenError(too_large, "the data, as a number, are not less than the modulus")
        return padded

    def _computed(self, padded: bytes, private: bool) -> bytes:
        out = compiled.ffi.new("unsigned char[]", self.length)
        native = self._key.native(_private if private else _public)
        if not compiled.lib.adyton_raw(native, private, padded, out, self.length):
            raise TokenError(ck.CKR_FUNCTION_FAILED, "libcrypto could not compute with this key")
        return bytes(compiled.ffi.buffer(out))


class Signature(_Raw):
    """Signing, with and without recovery, and verifying."""

    def one_shot(self, data: bytes, signature: bytes | None = None) -> bytes:
        padded = self._padded(data, ck.CKR_DATA_LEN_RANGE, ck.CKR_DATA_INVALID)
        if signature is None:
            return self._computed(padded, True)
        if len(signature) != self.length:
            raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"a signature by this key has {self.length} bytes")
        signed = self._padded(signature, ck.CKR_SIGNATURE_LEN_RANGE, ck.CKR_SIGNATURE_INVALID)
        if not hmac.compare_digest(self._computed(signed, False), padded):
            raise TokenError(ck.CKR_SIGNATURE_INVALID, "the signature does not verify")
        return b""


class Recovery(_Raw):
    """What was signed, with the zeros that went before it."""

    def one_shot(self, signature: bytes) -> bytes:
        if len(signature) != self.length:
            raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"a signature by this key has {self.length} bytes")
        return self._computed(self._padded(signature, ck.CKR_SIGNATURE_LEN_RANGE, ck.CKR_SIGNATURE_INVALID), False)


class Encryption(_Raw):
    def one_shot(self, data: bytes) -> bytes:
        return self._computed(self._padded(data, ck.CKR_DATA_LEN_RANGE, ck.CKR_DATA_INVALID), False)


class Decryption(_Raw):
    def one_shot(self, data: bytes) -> bytes:
        if len(data) != self.length:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_LEN_RANGE, "the ciphertext is as long as the modulus")
        padded = self._padded(data, ck.CKR_ENCRYPTED_DATA_LEN_RANGE, ck.CKR_ENCRYPTED_DATA_INVALID)
        return self._computed(padded, True)


MECHANISMS = [] if compiled is None else [
    Mechanism(
        ck.CKM_RSA_X_509, (ck.CKK_RSA,), rsa_keys.SMALLEST, rsa_keys.LARGEST, raw=True, sign=Signature,
        verify=Signature, sign_recover=Signature, verify_recover=Recovery, encrypt=Encryption, decrypt=Decryption,
    ),
]
