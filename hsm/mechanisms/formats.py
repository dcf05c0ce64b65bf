"""Keys as bytes: what goes into a wrapped key and what comes out of one, and the checks of values given in clear.

Secret keys travel as they are, private keys as PKCS#8 (PKCS#11 3.2, section 5.18.3). A value is checked here once,
when it comes in; mechanisms load it without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from hsm.errors import TokenError
from hsm.mechanisms import curves, der, ec, eddsa, montgomery, rsa_keys, secret_forms
from hsm.mechanisms.raw_curves import RawCurves
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

Attributes = dict[int, bytes]
EC_PUBLIC_KEY = (1, 2, 840, 10045, 2, 1)


class Form(NamedTuple):
    """One type of key pair: how its halves are loaded with every check, and what their objects then say. ``load``: a
    private key that was checked before."""

    native: tuple[type, ...]
    load: Callable[[Key], Any]
    public: Callable[[Attributes], Attributes]
    private: Callable[[Attributes], Attributes]
    of_native: Callable[[Any], Attributes]


def _ec_public(given: Attributes) -> Attributes:
    return ec.public_attributes(ec.load_public(given.get(ck.CKA_EC_PARAMS), given.get(ck.CKA_EC_POINT, b"")))


def _ec_private(given: Attributes) -> Attributes:
    parameters = given.get(ck.CKA_EC_PARAMS, b"")
    private = ec.load_private(parameters, given.get(ck.CKA_VALUE, b""))
    _same_point(given, ec.load_public(parameters, p) if (p := given.get(ck.CKA_EC_POINT)) else None, private)
    return ec.private_attributes(private, parameters)


def _raw(curves: RawCurves, check_public: Callable[[bytes | None, bytes], Any]) -> Form:
    """Edwards and Montgomery curves, whose keys are byte strings."""

    def public(given: Attributes) -> Attributes:
        return curves.public_attributes(check_public(given.get(ck.CKA_EC_PARAMS), given.get(ck.CKA_EC_POINT, b"")))

    def private(given: Attributes) -> Attributes:
        parameters = given.get(ck.CKA_EC_PARAMS, b"")
        made = curves.load_private(parameters, given.get(ck.CKA_VALUE, b""))
        _same_point(given, curves.load_public(parameters, p) if (p := given.get(ck.CKA_EC_POINT)) else None, made)
        return curves.private_attributes(made, parameters)

    return Form(curves.native, curves.private, public, private, curves.private_attributes)


def _same_point(given: Attributes, public: Any, private: Any) -> None:
    if public is not None and public != private.public_key():
        raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, "CKA_EC_POINT is not this private key's", "CKA_EC_POINT")


def _ec_native(key: Any) -> Attributes:
    row = next((row for row in curves.CURVES if isinstance(key.curve, row.make)), None)
    if row is None:
        raise TokenError(ck.CKR_CURVE_NOT_SUPPORTED, "the wrapped key's curve is not one of this token")
    return ec.private_attributes(key, row.oid)


FORMS = {
    ck.CKK_RSA: Form(
        (RSAPrivateKey,), rsa_keys.private, rsa_keys.check_public, rsa_keys.check_private,
        lambda key: rsa_keys.attributes_of(key)[1],
    ),
    ck.CKK_EC: Form((EllipticCurvePrivateKey,), ec.private, _ec_public, _ec_private, _ec_native),
    ck.CKK_EC_EDWARDS: _raw(eddsa.CURVES, eddsa.check_public),
    ck.CKK_EC_MONTGOMERY: _raw(montgomery.CURVES, montgomery.check_public),
}


def check_and_complete(given: Attributes) -> Attributes:
    """The value attributes of a key given in clear, checked, with those that follow from them. {} for other objects."""
    key_class = int.from_bytes(given[ck.CKA_CLASS], "little")
    if key_class == ck.CKO_SECRET_KEY:
        return _secret(given.get(ck.CKA_VALUE, b""), given)
    form = FORMS.get(int.from_bytes(given.get(ck.CKA_KEY_TYPE, b""), "little"))
    if form is None or key_class not in (ck.CKO_PUBLIC_KEY, ck.CKO_PRIVATE_KEY):
        return {}
    try:
        return form.public(given) if key_class == ck.CKO_PUBLIC_KEY else form.private(given)
    except (ValueError, TypeError):
        words = "the values given are not those of a key of this type"
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, words) from None


def derived(template: Attributes, made: Attributes) -> Attributes:
    """The value attributes of a key that another one gave, or of data."""
    if template[ck.CKA_CLASS] != ck.CKO_SECRET_KEY.to_bytes(8, "little"):
        return made
    value = secret_forms.derived(int.from_bytes(template[ck.CKA_KEY_TYPE], "little"), made[ck.CKA_VALUE])
    return {**made, **check_and_complete({**template, **made, ck.CKA_VALUE: value})}


def _secret(value: bytes, given: Attributes) -> Attributes:
    key_type = int.from_bytes(given[ck.CKA_KEY_TYPE], "little")
    if not secret_forms.has_length(key_type, len(value)):
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, "no key of this type has a value so long", "CKA_VALUE")
    if not secret_forms.is_good(key_type, value):
        words = "the value is no key of this type: its parity is wrong, or its halves are the same"
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, words, "CKA_VALUE")
    return {ck.CKA_VALUE: value, ck.CKA_VALUE_LEN: len(value).to_bytes(8, "little")}


def to_bytes(target: Key) -> bytes:
    """What is wrapped: the value of a secret key, the PKCS#8 PrivateKeyInfo of a private one."""
    if target.key_class == ck.CKO_SECRET_KEY:
        return target.get(ck.CKA_VALUE) or b""
    return der.private_info(target.native(FORMS[target.key_type].load))


def _of_explicit_curve(data: bytes) -> EllipticCurvePrivateKey | None:
    """A PKCS#8 EC key whose curve is spelt out: cryptography knows few that way, curves.py all of ours."""
    from pyasn1.codec.der import decoder, encoder
    from pyasn1.error import PyAsn1Error

    try:
        whole, rest = decoder.decode(data)
        parameters = encoder.encode(whole[1][1])
        inner, more = decoder.decode(whole[2].asOctets())
        if rest or more or parameters[0] != curves.SEQUENCE or tuple(whole[1][0]) != EC_PUBLIC_KEY:
            return None
        return ec.load_private(parameters, inner[1].asOctets())
    except (PyAsn1Error, IndexError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def without_zeros(data: bytes) -> bytes:
    """A DER value without the zeros that some mechanisms put behind it; other bytes as they are."""
    more = data[1] & 0x7F if len(data) > 1 and data[1] & 0x80 else 0
    size = int.from_bytes(data[2 : 2 + more], "big") if more else int.from_bytes(data[1:2], "big")
    end = 2 + more + size
    return data[:end] if not any(data[end:]) else data


def begins_as_private_key(data: bytes) -> bool:
    """Whether these bytes, whatever is behind them, begin as a PKCS#8 key does: SEQUENCE, version, SEQUENCE. Of random
    ones it is true once in 2^40."""
    more = data[1] & 0x7F if len(data) > 1 and data[1] & 0x80 else 0
    head = data[2 + more : 6 + more]
    return data[:1] == b"\x30" and head in (b"\x02\x01\x00\x30", b"\x02\x01\x01\x30")


def from_bytes(data: bytes, template: Attributes) -> Attributes:
    """The value attributes of an unwrapped key of the template's class and type, checked and complete."""
    if template[ck.CKA_CLASS] == ck.CKO_SECRET_KEY.to_bytes(8, "little"):
        if begins_as_private_key(data):
            # As a secret key it would be nobody's secret where the private key is known, and extractable once more.
            words = "what was wrapped is a private key, and comes back as nothing else"
            raise TokenError(ck.CKR_WRAPPED_KEY_INVALID, words)
        if not secret_forms.has_length(int.from_bytes(template[ck.CKA_KEY_TYPE], "little"), len(data)):
            words = "what was wrapped is not as long as a key of the type asked for"
            raise TokenError(ck.CKR_WRAPPED_KEY_LEN_RANGE, words)
        try:
            return _secret(data, template)
        except TokenError as refusal:
            raise TokenError(ck.CKR_WRAPPED_KEY_INVALID, refusal.reason) from None
    form = FORMS[int.from_bytes(template[ck.CKA_KEY_TYPE], "little")]
    try:
        key = der.load_private(data)
    except UnsupportedAlgorithm:  # a key, but of a curve that cryptography does not know, or not spelt out
        key = _of_explicit_curve(data)
        if key is None and form.native == (EllipticCurvePrivateKey,):
            raise TokenError(ck.CKR_CURVE_NOT_SUPPORTED, "the wrapped key's curve is not one of this token") from None
    except Exception:  # whatever the parser dislikes, the bytes are no key
        key = _of_explicit_curve(data)
    if key is None:
        raise TokenError(ck.CKR_WRAPPED_KEY_INVALID, "what was wrapped is no PKCS#8 private key")
    if not isinstance(key, form.native):
        raise TokenError(ck.CKR_WRAPPED_KEY_INVALID, "what was wrapped is a private key of another type")
    try:
        return form.private(form.of_native(key))
    except (ValueError, TypeError):
        raise TokenError(ck.CKR_WRAPPED_KEY_INVALID, "what was wrapped is no valid private key") from None
    except TokenError as refusal:
        rv = ck.CKR_WRAPPED_KEY_INVALID if refusal.rv == ck.CKR_ATTRIBUTE_VALUE_INVALID else refusal.rv
        raise TokenError(rv, refusal.reason) from None
