"""Curves whose keys are byte strings of one length, named by OID or in words: what Edwards and Montgomery keys share
(RFC 8032, RFC 7748; PKCS#11 3.2, section 6.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hsm.errors import TokenError
from hsm.mechanisms import der
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

BITS = (255, 448)
FLAGS = ck.CKF_EC_F_P | ck.CKF_EC_OID | ck.CKF_EC_CURVENAME | ck.CKF_EC_COMPRESS  # the RFCs have no other form


class RawCurve(NamedTuple):
    """One curve: bytes of a key, RFC 8410's OID, what else clients write for it, and cryptography's two classes."""

    octets: int
    oid: bytes
    others: tuple[bytes, ...]
    private: Any
    public: Any


class RawCurves:
    """The curves of one key type, ``names`` in words. ``point`` makes CKA_EC_POINT of a public key's bytes."""

    def __init__(
        self, key_type: int, names: str, curves: tuple[RawCurve, ...], point: Callable[[bytes], bytes]
    ) -> None:
        self.native = tuple(curve.private for curve in curves)
        self._key_type = key_type
        self._names = names
        self._curves = curves
        self._point = point
        self._by_parameters = {name: curve for curve in curves for name in (curve.oid, *curve.others)}

    def find(self, parameters: bytes | None) -> RawCurve:
        """The curve that CKA_EC_PARAMS names; CKR_CURVE_NOT_SUPPORTED for others."""
        if not parameters:
            raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_EC_PARAMS must be given", "CKA_EC_PARAMS")
        curve = self._by_parameters.get(parameters)
        if curve is None:
            raise TokenError(ck.CKR_CURVE_NOT_SUPPORTED, f"the token's curves here are {self._names}", "CKA_EC_PARAMS")
        return curve

    def load_public(self, parameters: bytes | None, point: bytes) -> Any:
        """Raises ValueError for what has not the curve's length, raw or as a DER OCTET STRING."""
        curve = self.find(parameters)
        wrapped = len(point) == curve.octets + 2 and point[:2] == bytes([4, curve.octets])
        return curve.public.from_public_bytes(point[2:] if wrapped else point)

    def load_private(self, parameters: bytes | None, value: bytes) -> Any:
        """Raises ValueError for what has not the curve's length."""
        return self.find(parameters).private.from_private_bytes(value)

    def public(self, key: Key) -> Any:
        return self.load_public(key.get(ck.CKA_EC_PARAMS), key.get(ck.CKA_EC_POINT) or b"")

    def private(self, key: Key) -> Any:
        return self.load_private(key.get(ck.CKA_EC_PARAMS), key.get(ck.CKA_VALUE) or b"")

    def public_attributes(self, public: Any) -> dict[int, bytes]:
        """What both halves of a pair say of the public one."""
        return {
            ck.CKA_KEY_TYPE: self._key_type.to_bytes(8, "little"),
            ck.CKA_EC_POINT: self._point(public.public_bytes_raw()), ck.CKA_PUBLIC_KEY_INFO: der.public_info(public),
        }

    def private_attributes(self, made: Any, parameters: bytes | None = None) -> dict[int, bytes]:
        """``parameters``: CKA_EC_PARAMS as the client wrote it, else the OID."""
        oid = next(curve.oid for curve in self._curves if isinstance(made, curve.private))
        value = {ck.CKA_EC_PARAMS: parameters or oid, ck.CKA_VALUE: made.private_bytes_raw()}
        return {**self.public_attributes(made.public_key()), **value}

    def generate_pair(self, parameters: bytes | None) -> tuple[dict[int, bytes], dict[int, bytes]]:
        made = self.find(parameters).private.generate()
        return self.public_attributes(made.public_key()), self.private_attributes(made, parameters)
