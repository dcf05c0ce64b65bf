"""What is known of a token key while its partition is sealed and nobody is logged in: never its value.

A record of its own beside the object, under the device key, so that keys can be listed, found by name and looked after
before the first login. It uses the attributes' own numbers where PKCS#11 has one, and can grow: what a record does not
say was not known when it was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hsm import clock
from hsm.objects import attributes as table
from hsm.objects.attributes import INTERNAL, TRUE
from pkcs11_shim import constants as ck

NAME, VERSION, CREATED, ENABLED, BITS = (INTERNAL | number for number in (0x10, 0x11, 0x12, 0x13, 0x14))
_AZURE_NAME = re.compile(rb"[0-9a-zA-Z-]{1,127}")
_SAID = (ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_EC_PARAMS, *table.USES)


def is_name(label: bytes) -> bool:
    """Whether a key can bear this label as its name for life, as Azure's keys are named."""
    return _AZURE_NAME.fullmatch(label) is not None


def of(
    attributes: Mapping[int, bytes], before: Mapping[int, bytes] | None, name: bytes, version: bytes
) -> dict[int, bytes]:
    """The record of a key with these attributes. Name, version, time and state are those of the record ``before``; a
    new key has the ones given, is enabled, and was created now (microseconds since the epoch)."""
    made = before or {
        NAME: name, VERSION: version, ENABLED: TRUE, CREATED: clock.microseconds().to_bytes(8, "little"),
    }
    said = {number: attributes[number] for number in _SAID if number in attributes}
    return {**made, **said, BITS: _bits(attributes).to_bytes(8, "little")}


def _bits(attributes: Mapping[int, bytes]) -> int:
    """Of an RSA modulus, or of a secret; 0 where CKA_EC_PARAMS says it."""
    modulus = attributes.get(ck.CKA_MODULUS)
    if modulus is not None:
        return int.from_bytes(modulus, "big").bit_length()
    return 0 if ck.CKA_EC_PARAMS in attributes else 8 * len(attributes.get(ck.CKA_VALUE, b""))
