"""JSON Web Encryption in its compact form (RFC 7516), of the two kinds that a security domain's file is made of.

To a certificate: RSA-OAEP-256 carries a key of the moment. Directly: under a key that both sides have. What is inside
is A256CBC-HS512 (RFC 7518, section 5.2.5): AES-256-CBC, and HMAC-SHA512 cut to 32 bytes over header, IV, ciphertext and
the header's length in bits.
"""

from __future__ import annotations

import hmac
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding as blocks
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from hsm.confinement.arena import Secret

ENC = "A256CBC-HS512"
KEY_BYTES, TAG_BYTES = 64, 32


class Unfit(ValueError):
    """It is no such thing, was altered, or is under another key."""


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, UnicodeError):
        raise Unfit("it is no base64url") from None


def _oaep() -> padding.OAEP:
    return padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def to_certificate(public: RSAPublicKey, data: Secret, kid: str) -> str:
    key = os.urandom(KEY_BYTES)
    header = {"alg": "RSA-OAEP-256", "kid": kid, "enc": ENC}
    return _sealed(header, public.encrypt(key, _oaep()), key, data)


def directly(key: Secret, data: Secret, kid: str) -> str:
    return _sealed({"alg": "dir", "kid": kid, "enc": ENC}, b"", key, data)


def _sealed(header: dict[str, str], carried: bytes, key: Secret, data: Secret) -> str:
    head, iv = b64(json.dumps(header, separators=(",", ":")).encode()), os.urandom(16)
    pad = blocks.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES256(bytes(key[32:])), modes.CBC(iv)).encryptor()
    text = cipher.update(pad.update(bytes(data)) + pad.finalize()) + cipher.finalize()
    return ".".join([head, b64(carried), b64(iv), b64(text), b64(_tag(key, head, iv, text))])


def _tag(key: Secret, head: str, iv: bytes, text: bytes) -> bytes:
    told = head.encode() + iv + text + (8 * len(head)).to_bytes(8, "big")
    return hmac.digest(bytes(key[:32]), told, "sha512")[:TAG_BYTES]


def _parts(token: object, alg: str) -> tuple[str, bytes, bytes, bytes, bytes]:
    if not isinstance(token, str) or token.count(".") != 4:
        raise Unfit("it is no JWE in compact form")
    head, *rest = token.split(".")
    try:
        header: Any = json.loads(unb64(head))
        known = (header["alg"], header["enc"]) == (alg, ENC)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unfit("the JWE's header can't be read") from None
    if not known:
        raise Unfit(f"the JWE is of another kind than {alg} with {ENC}")
    carried, iv, text, tag = map(unb64, rest)
    return head, carried, iv, text, tag


def open_by(private: RSAPrivateKey, token: object) -> bytes:
    """What was sealed to this key's certificate."""
    head, carried, iv, text, tag = _parts(token, "RSA-OAEP-256")
    try:
        key = private.decrypt(carried, _oaep())
    except ValueError:
        raise Unfit("it was sealed to another certificate, or altered") from None
    return _opened(key, head, iv, text, tag)


def open_directly(key: Secret, token: object) -> bytes:
    head, carried, iv, text, tag = _parts(token, "dir")
    if carried:
        raise Unfit("a JWE with a direct key carries none")
    return _opened(key, head, iv, text, tag)


def _opened(key: Secret, head: str, iv: bytes, text: bytes, tag: bytes) -> bytes:
    whole = len(key) == KEY_BYTES and len(iv) == 16 and len(text) % 16 == 0 and len(text) > 0
    if not whole or not hmac.compare_digest(_tag(key, head, iv, text), tag):
        raise Unfit("it was altered, or is under another key")
    cipher = Cipher(algorithms.AES256(bytes(key[32:])), modes.CBC(iv)).decryptor()
    unpad = blocks.PKCS7(128).unpadder()
    try:
        return unpad.update(cipher.update(text) + cipher.finalize()) + unpad.finalize()
    except ValueError:
        raise Unfit("it was altered") from None
