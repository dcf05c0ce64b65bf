"""What is known of a token key while its partition is sealed and nobody is logged in: never its value.

A record of its own beside the object, under the device key, so that keys can be listed, found by name and looked after
before the first login. It uses the attributes' own numbers where PKCS#11 has one, and can grow: what a record does not
say was not known when it was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from hsm import clock
from hsm.objects import attributes as table
from hsm.objects.attributes import INTERNAL, TRUE
from pkcs11_shim import constants as ck

NAME, VERSION, CREATED, ENABLED, BITS, UPDATED, NOT_BEFORE, EXPIRES, TAGS = (
    INTERNAL | number for number in range(0x10, 0x19)
)
_AZURE_NAME = re.compile(rb"[0-9a-zA-Z-]{1,127}")
# What a new version of a key has of the one before it, besides its type and size.
FORM = (
    ck.CKA_PRIVATE, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE, ck.CKA_MODIFIABLE, ck.CKA_COPYABLE, ck.CKA_DESTROYABLE,
    ck.CKA_WRAP_WITH_TRUSTED, ck.CKA_ALWAYS_AUTHENTICATE, ck.CKA_ALLOWED_MECHANISMS, ck.CKA_WRAP_TEMPLATE,
    ck.CKA_UNWRAP_TEMPLATE, ck.CKA_DERIVE_TEMPLATE, *table.USES,
)
_SAID = (ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_EC_PARAMS, ck.CKA_PUBLIC_EXPONENT, *FORM)
_ALWAYS = (TRUE, None, None)
COPIED = (ENABLED, NOT_BEFORE, EXPIRES)  # what a copy has of its source: it can't be used where that one can't
KEPT = (*COPIED, TAGS)  # what a new object may have of another, besides its name and version


class About:
    """One key object's record. Times are seconds since the epoch, 0 for none; ``limited``: whether there are times, or
    uses, at which the key is not to be used, which every use asks for."""

    __slots__ = ("limited", "named", "said")

    def __init__(self, said: Mapping[int, bytes]) -> None:
        self.said = said
        self.named = said.get(NAME, b"").decode(), said.get(VERSION, b"").decode()
        self.limited = (said.get(ENABLED, TRUE), said.get(NOT_BEFORE), said.get(EXPIRES)) != _ALWAYS

    def __repr__(self) -> str:
        return f"<About {'/'.join(self.named)}>"

    @property
    def name(self) -> str:
        return self.named[0]

    @property
    def version(self) -> str:
        return self.named[1]

    @property
    def enabled(self) -> bool:
        return self.said.get(ENABLED, TRUE) == TRUE

    def number(self, field: int) -> int:
        return int.from_bytes(self.said.get(field, b""), "little")

    @property
    def not_before(self) -> int:
        return self.number(NOT_BEFORE)

    @property
    def expires(self) -> int:
        return self.number(EXPIRES)

    @property
    def made(self) -> int:
        """In microseconds."""
        return self.number(CREATED)

    @property
    def created(self) -> int:
        return self.made // 1_000_000

    @property
    def updated(self) -> int:
        return self.number(UPDATED) // 1_000_000 or self.created

    @property
    def tags(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.said.get(TAGS, b"{}"))
        return found

    @property
    def key_class(self) -> int:
        return self.number(ck.CKA_CLASS)

    @property
    def is_public(self) -> bool:
        return self.key_class == ck.CKO_PUBLIC_KEY


NOTHING = About({})  # of an object that is no key
DAMAGED = About({ENABLED: table.FALSE})  # nobody knows until when it could be used


def is_name(label: bytes) -> bool:
    """Whether a key can bear this label as its name for life, as Azure's keys are named."""
    return _AZURE_NAME.fullmatch(label) is not None


def limits(enabled: bool | None, not_before: int | None, expires: int | None) -> dict[int, bytes | None]:
    """What changes in a record by these of Azure's attributes: None leaves one as it was, a time of 0 takes it away."""
    changed: dict[int, bytes | None] = {}
    if enabled is not None:
        changed[ENABLED] = TRUE if enabled else table.FALSE
    for field, value in ((NOT_BEFORE, not_before), (EXPIRES, expires)):
        if value is not None:
            changed[field] = value.to_bytes(8, "little") if value else None
    return changed


def tagged(tags: Mapping[str, str]) -> dict[int, bytes | None]:
    return {TAGS: json.dumps(dict(tags), ensure_ascii=False).encode() if tags else None}


def changed(said: Mapping[int, bytes], changes: Mapping[int, bytes | None]) -> dict[int, bytes]:
    """The record with these changes, made now."""
    now = clock.microseconds().to_bytes(8, "little")
    return {number: value for number, value in {**said, **changes, UPDATED: now}.items() if value is not None}


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
