"""RSA keys: loaded from attributes, checked where they come in, and the attributes that follow from one.

Keys are loaded without the costly check: what reaches a mechanism was checked when it came in.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa

from hsm.errors import TokenError
from hsm.mechanisms import der
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

SMALLEST, LARGEST = 1024, 16384
SMALLEST_PUBLIC = 512  # old certificates are still to be verified
PARTS = (
    ck.CKA_PRIME_1, ck.CKA_PRIME_2, ck.CKA_PRIVATE_EXPONENT, ck.CKA_EXPONENT_1, ck.CKA_EXPONENT_2, ck.CKA_COEFFICIENT,
)


def _integer(key: Key, attribute: int) -> int:
    return int.from_bytes(key.get(attribute) or b"", "big")


def public(key: Key) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(_integer(key, ck.CKA_PUBLIC_EXPONENT), _integer(key, ck.CKA_MODULUS)).public_key()


def private(key: Key) -> rsa.RSAPrivateKey:
    numbers = rsa.RSAPublicNumbers(_integer(key, ck.CKA_PUBLIC_EXPONENT), _integer(key, ck.CKA_MODULUS))
    p, q, d, dmp1, dmq1, iqmp = (_integer(key, part) for part in PARTS)
    return rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, numbers).private_key(unsafe_skip_rsa_key_validation=True)


def bits(key: Key) -> int:
    return _integer(key, ck.CKA_MODULUS).bit_length()


def octets(key: Key) -> int:
    return (bits(key) + 7) // 8


def attributes_of(made: rsa.RSAPrivateKey) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """The value attributes of the public and of the private key object."""
    numbers = made.private_numbers()
    both = {
        ck.CKA_KEY_TYPE: ck.CKK_RSA.to_bytes(8, "little"),
        ck.CKA_MODULUS: _big(numbers.public_numbers.n),
        ck.CKA_PUBLIC_EXPONENT: _big(numbers.public_numbers.e),
        ck.CKA_PUBLIC_KEY_INFO: der.public_info(made.public_key()),
    }
    public = {**both, ck.CKA_MODULUS_BITS: made.key_size.to_bytes(8, "little")}
    private = {
        ck.CKA_PRIVATE_EXPONENT: numbers.d, ck.CKA_PRIME_1: numbers.p, ck.CKA_PRIME_2: numbers.q,
        ck.CKA_EXPONENT_1: numbers.dmp1, ck.CKA_EXPONENT_2: numbers.dmq1, ck.CKA_COEFFICIENT: numbers.iqmp,
    }
    return public, {**both, **{attribute: _big(value) for attribute, value in private.items()}}


def check_public(given: dict[int, bytes]) -> dict[int, bytes]:
    """A public key given in clear: CKA_MODULUS_BITS and CKA_PUBLIC_KEY_INFO follow. ValueError for what is none."""
    key = _numbers(given, SMALLEST_PUBLIC).public_key()
    return {ck.CKA_MODULUS_BITS: key.key_size.to_bytes(8, "little"), ck.CKA_PUBLIC_KEY_INFO: der.public_info(key)}


def check_private(given: dict[int, bytes]) -> dict[int, bytes]:
    """A private key given in clear, with every check libcrypto has; missing primes and CRT parts are computed."""
    public = _numbers(given, SMALLEST)
    parts = tuple(int.from_bytes(given.get(part, b""), "big") for part in PARTS)
    p, q, d, dmp1, dmq1, iqmp = parts
    if not d or max(parts) >= public.n or ((dmp1 or dmq1 or iqmp) and not (p and q)):
        raise ValueError("parts that belong to no key of this modulus")
    from hsm.mechanisms import rsa_check

    try:
        n, e, d, p, q, dmp1, dmq1, iqmp = rsa_check.WORKER.complete((public.n, public.e, d, p, q, dmp1, dmq1, iqmp))
    except OSError:
        words = "the process that checks keys is gone, or ended at this one. A new engine has a new one: adyton stop"
        raise TokenError(ck.CKR_FUNCTION_FAILED, words) from None
    made = rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, rsa.RSAPublicNumbers(e, n))
    return attributes_of(made.private_key(unsafe_skip_rsa_key_validation=True))[1]


def _numbers(given: dict[int, bytes], smallest: int) -> rsa.RSAPublicNumbers:
    n, e = (int.from_bytes(given.get(part, b""), "big") for part in (ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT))
    if not e:
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_PUBLIC_EXPONENT must be given", "CKA_PUBLIC_EXPONENT")
    if not smallest <= n.bit_length() <= LARGEST:
        words = f"a modulus has {smallest} to {LARGEST} bits"
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, words, "CKA_MODULUS")
    if n.bit_length() > 3072 and e.bit_length() > 64:  # libcrypto's own limit, which it tells at the first use only
        words = "with a modulus of more than 3072 bits the exponent has 64 bits at most"
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, words, "CKA_PUBLIC_EXPONENT")
    return rsa.RSAPublicNumbers(e, n)


def _big(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
