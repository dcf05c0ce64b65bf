"""Keys as DER, as the rest of the world writes them: SubjectPublicKeyInfo, PKCS#8, and RSA's own form.

cryptography's serialization also reads OpenSSH's keys and brings what that needs: a sixth of an engine's start. So it
is imported by the first call here, as keys come in, go out or are made.
"""

from __future__ import annotations

from typing import Any


def public_info(public: Any) -> bytes:
    """CKA_PUBLIC_KEY_INFO: the SubjectPublicKeyInfo of X.509."""
    from cryptography.hazmat.primitives import serialization

    made: bytes = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return made


def uncompressed(public: Any) -> bytes:
    """A point of an elliptic curve as X9.62 has it, both coordinates."""
    from cryptography.hazmat.primitives import serialization

    made: bytes = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return made


def private_info(private: Any) -> bytes:
    """PKCS#8's PrivateKeyInfo, in clear."""
    from cryptography.hazmat.primitives import serialization

    return _private(private, serialization.PrivateFormat.PKCS8)


def rsa_private(private: Any) -> bytes:
    """PKCS#1's RSAPrivateKey, in clear."""
    from cryptography.hazmat.primitives import serialization

    return _private(private, serialization.PrivateFormat.TraditionalOpenSSL)


def _private(private: Any, form: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    made: bytes = private.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    return made


def load_private(data: bytes) -> Any:
    """The key in a PKCS#8 PrivateKeyInfo, without RSA's costly check; raises what cryptography raises."""
    from cryptography.hazmat.primitives import serialization

    return serialization.load_der_private_key(data, None, unsafe_skip_rsa_key_validation=True)
