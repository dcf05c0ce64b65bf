"""Templates against the attribute table: what may be given, what must, what is set where nothing is said.

Everything here reads ``attributes.py``'s rows. The codes are those of PKCS#11 3.2, section 4.1.1: an attribute the
standard does not know is CKR_ATTRIBUTE_TYPE_INVALID, one that may not be given now CKR_ATTRIBUTE_READ_ONLY, a missing
one CKR_TEMPLATE_INCOMPLETE, a contradiction CKR_TEMPLATE_INCONSISTENT.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, NoReturn

from hsm import clock
from hsm.errors import TokenError
from hsm.objects import about
from hsm.objects import attributes as table
from hsm.objects.attributes import FALSE, TRUE, Attribute
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.mechanisms.entry import Mechanism

Attributes = dict[int, bytes]
Template = list[tuple[int, Any]]  # off the wire: bytes, None, or an attribute array, which is a template again
SIZE_OF_CK_ATTRIBUTE = 24
KINDS = {
    row.number: row.kind
    for rows in (*table.CLASSES.values(), *(kt.public for kt in table.KEY_TYPES.values()),
                 *(kt.private for kt in table.KEY_TYPES.values()))
    for row in rows
}
# What a template may say of a key's value, and the code where the value says otherwise (sections 4.10 and 5.18).
_CONTRADICTED = {
    ck.CKA_VALUE_LEN: ck.CKR_TEMPLATE_INCONSISTENT, ck.CKA_MODULUS_BITS: ck.CKR_TEMPLATE_INCONSISTENT,
    ck.CKA_KEY_TYPE: ck.CKR_TEMPLATE_INCONSISTENT, ck.CKA_PUBLIC_KEY_INFO: ck.CKR_ATTRIBUTE_VALUE_INVALID,
}
# A key's times, where it has them.
_DATES = {ck.CKA_START_DATE: about.NOT_BEFORE, ck.CKA_END_DATE: about.EXPIRES}
# What C_CopyObject may change besides what may be modified anyway (section 5.7.2).
_COPY_ALSO = (ck.CKA_TOKEN, ck.CKA_PRIVATE, ck.CKA_MODIFIABLE, ck.CKA_DESTROYABLE, ck.CKA_COPYABLE)


def _refuse(rv: int, number: int, words: str) -> NoReturn:
    name = table.name_of(number)
    raise TokenError(rv, f"{name} {words}", name)


def parse(template: Template) -> Attributes:
    """A template off the wire as native bytes by attribute: sizes checked, nothing twice, nothing unknown."""
    found: Attributes = {}
    for number, value in template:
        if number in found:
            _refuse(ck.CKR_TEMPLATE_INCONSISTENT, number, "is given twice")
        if number not in table.NAMED:
            _refuse(ck.CKR_ATTRIBUTE_TYPE_INVALID, number, "is not an attribute this token knows")
        found[number] = _checked(number, value)
    return found


def _checked(number: int, value: Any) -> bytes:
    kind = KINDS.get(number, table.BYTES)
    if kind == table.TEMPLATE:
        if isinstance(value, bytes):
            _refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, number, "takes a template")
        return pack(parse(value or []))
    if not isinstance(value, bytes | None):
        _refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, number, "does not take a template")
    value = value or b""
    wrong = (
        (kind == table.BOOL and value not in (TRUE, FALSE))
        or (kind == table.ULONG and len(value) != 8)
        or (kind == table.ULONGS and len(value) % 8)
        or (kind == table.DATE and value and not _is_date(value))
    )
    if wrong:
        _refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, number, "has a value of the wrong size or form")
    return bytes(value.lstrip(b"\0") if kind == table.BIG else value)


def _is_date(value: bytes) -> bool:
    """CK_DATE: year, month and day in digits (section 3.6)."""
    try:
        return len(value) == 8 and value.isdigit() and date(int(value[:4]), int(value[4:6]), int(value[6:])) is not None
    except ValueError:
        return False


def pack(attributes: Attributes) -> bytes:
    """A nested template as one value: (type, length, bytes) in order."""
    return b"".join(n.to_bytes(8, "little") + len(v).to_bytes(8, "little") + v for n, v in attributes.items())


def unpack(packed: bytes) -> Attributes:
    found: Attributes = {}
    at = 0
    while at < len(packed):
        number = int.from_bytes(packed[at : at + 8], "little")
        length = int.from_bytes(packed[at + 8 : at + 16], "little")
        found[number] = packed[at + 16 : at + 16 + length]
        at += 16 + length
    return found


def is_template(number: int) -> bool:
    return KINDS.get(number) == table.TEMPLATE


# -- making


def for_create(given: Attributes, so: bool) -> Attributes:
    """C_CreateObject: the template with its defaults."""
    rows = _rows(given)
    _permit(given, rows, 2, so)
    _require(given, rows, 1)
    if given[ck.CKA_CLASS] == ck.CKO_CERTIFICATE.to_bytes(8, "little"):
        given = _certificate(given)
    return _with_defaults(given, rows)


def _certificate(given: Attributes) -> Attributes:
    """Section 4.6: by value or by URL, the URL with hashes beside it; the check value is SHA-1's first three bytes."""
    if given[ck.CKA_CERTIFICATE_TYPE] != ck.CKC_X_509.to_bytes(8, "little"):
        _refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, ck.CKA_CERTIFICATE_TYPE, "must be CKC_X_509")
    value = given.get(ck.CKA_VALUE)
    if not value and not given.get(ck.CKA_URL):
        _refuse(ck.CKR_TEMPLATE_INCOMPLETE, ck.CKA_VALUE, "or CKA_URL must be given")
    for number in (ck.CKA_HASH_OF_SUBJECT_PUBLIC_KEY, ck.CKA_HASH_OF_ISSUER_PUBLIC_KEY):
        if given.get(ck.CKA_URL) and not given.get(number):
            _refuse(ck.CKR_TEMPLATE_INCOMPLETE, number, "must be given beside CKA_URL")
    if not value:
        return given
    check = hashlib.sha1(value, usedforsecurity=False).digest()[:3]
    if given.get(ck.CKA_CHECK_VALUE) not in (None, b"", check):
        _refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, ck.CKA_CHECK_VALUE, "is not this certificate's")
    return {ck.CKA_CHECK_VALUE: check, **given}


def for_generate(given: Attributes, key_class: int, entry: Mechanism, so: bool) -> Attributes:
    """C_GenerateKey and each half of C_GenerateKeyPair: class and key type follow from the mechanism, but for one that
    makes keys of several types, whose template says which (section 6.37.4)."""
    if len(entry.key_types) > 1 and ck.CKA_KEY_TYPE not in given:
        _refuse(ck.CKR_TEMPLATE_INCOMPLETE, ck.CKA_KEY_TYPE, "must be given: this mechanism makes keys of any type")
    given = _implied(given, key_class, entry.key_types[0], entry.key_types)
    rows = _rows(given)
    _permit(given, rows, 4, so)
    _require(given, rows, 3)
    return _with_defaults(given, rows)


def for_unwrap(given: Attributes, so: bool, key: Key) -> Attributes:
    """C_UnwrapKey: the template, joined with the unwrapping key's CKA_UNWRAP_TEMPLATE."""
    given = _joined(given, key.get(ck.CKA_UNWRAP_TEMPLATE))
    if ck.CKA_CLASS not in given:
        _refuse(ck.CKR_TEMPLATE_INCOMPLETE, ck.CKA_CLASS, "must be given")
    rows = _rows(given)
    if int.from_bytes(given[ck.CKA_CLASS], "little") not in table.GUARDED_CLASSES:
        _refuse(ck.CKR_TEMPLATE_INCONSISTENT, ck.CKA_CLASS, "must be that of a private or a secret key")
    _permit(given, rows, 6, so)
    _require(given, rows, 5)
    return _with_defaults(given, rows)


def for_derive(given: Attributes, so: bool, sources: Sequence[Key], entry: Mechanism) -> Attributes:
    """C_DeriveKey: the template, joined with the CKA_DERIVE_TEMPLATE of each key that goes in, the base first; a
    generic secret unless it says so."""
    base = sources[0]
    for source in sources:
        given = _joined(given, source.get(ck.CKA_DERIVE_TEMPLATE))
    if entry.makes == ck.CKO_DATA:
        return _for_data(given, so, base)
    given = _implied(given, entry.makes, ck.CKK_GENERIC_SECRET, tuple(table.KEY_TYPES))
    if not entry.agreement:
        stays = (ck.CKA_WRAP_WITH_TRUSTED, *((ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE) if entry.inherits else ()))
        given = {**{number: base.attributes[number] for number in stays if number in base.attributes}, **given}
    rows = _rows(given)
    _permit(given, rows, 4, so)
    return _with_defaults(given, rows)


def _for_data(given: Attributes, so: bool, base: Key) -> Attributes:
    """An object of CKO_DATA with a derived value, whose length CKA_VALUE_LEN says though it is no attribute of data."""
    wanted = {number: value for number, value in given.items() if number == ck.CKA_VALUE_LEN}
    data = _implied({n: v for n, v in given.items() if n not in wanted}, ck.CKO_DATA, 0, (0,))
    del data[ck.CKA_KEY_TYPE]
    if ck.CKA_VALUE in data:
        _refuse(ck.CKR_TEMPLATE_INCONSISTENT, ck.CKA_VALUE, "is what this mechanism makes")
    rows = _rows(data)
    _permit(data, rows, 4, so)
    private = {} if ck.CKA_PRIVATE in data else {ck.CKA_PRIVATE: TRUE if base.flag(ck.CKA_PRIVATE) else FALSE}
    return {**_with_defaults(data, rows), **private, **wanted}


def without_length(attributes: Attributes) -> Attributes:
    """What a derived object keeps of its template: data have no CKA_VALUE_LEN."""
    if attributes[ck.CKA_CLASS] != ck.CKO_DATA.to_bytes(8, "little"):
        return attributes
    return {number: value for number, value in attributes.items() if number != ck.CKA_VALUE_LEN}


def _implied(given: Attributes, key_class: int, key_type: int, allowed: tuple[int, ...]) -> Attributes:
    implied = {ck.CKA_CLASS: key_class.to_bytes(8, "little"), ck.CKA_KEY_TYPE: key_type.to_bytes(8, "little"), **given}
    if implied[ck.CKA_CLASS] != key_class.to_bytes(8, "little"):
        _refuse(ck.CKR_TEMPLATE_INCONSISTENT, ck.CKA_CLASS, "is not the class this mechanism makes")
    if int.from_bytes(implied[ck.CKA_KEY_TYPE], "little") not in allowed:
        _refuse(ck.CKR_TEMPLATE_INCONSISTENT, ck.CKA_KEY_TYPE, "is not a type this mechanism makes")
    return implied


def _joined(given: Attributes, packed: bytes | None) -> Attributes:
    """What the key in use demands of its product is added; a contradiction is refused (section 4.10)."""
    demanded = unpack(packed or b"")
    for number, value in demanded.items():
        if given.get(number, value) != value:
            _refuse(ck.CKR_TEMPLATE_INCONSISTENT, number, "contradicts the template of the key in use")
    return {**demanded, **given}


def _rows(given: Attributes) -> dict[int, Attribute]:
    if ck.CKA_CLASS not in given:
        _refuse(ck.CKR_TEMPLATE_INCOMPLETE, ck.CKA_CLASS, "must be given")
    object_class = int.from_bytes(given[ck.CKA_CLASS], "little")
    if object_class == ck.CKO_SECRET_KEY:
        _ignore(given)
    key_type = 0
    if object_class in table.KEY_CLASSES:
        if ck.CKA_KEY_TYPE not in given:
            _refuse(ck.CKR_TEMPLATE_INCOMPLETE, ck.CKA_KEY_TYPE, "must be given")
        key_type = int.from_bytes(given[ck.CKA_KEY_TYPE], "little")
        if key_type not in table.KEY_TYPES:
            _refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, ck.CKA_KEY_TYPE, "is not a key type this token offers")
    elif object_class not in table.CLASSES:
        _refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, ck.CKA_CLASS, "is not a class of objects that can be made")
    if not table.known(object_class, key_type):
        _refuse(ck.CKR_TEMPLATE_INCONSISTENT, ck.CKA_KEY_TYPE, "does not go with this CKA_CLASS")
    return table.rows_of(object_class, key_type)


def _ignore(given: Attributes) -> None:
    """Secret keys have no CKA_CHECK_VALUE here, it would tell of a sensitive value; a token that doesn't support it
    ignores it in templates (section 4.11)."""
    given.pop(ck.CKA_CHECK_VALUE, None)


def _permit(given: Attributes, rows: dict[int, Attribute], forbidden: int, so: bool) -> None:
    for number, value in given.items():
        row = rows.get(number)
        if row is None:
            _refuse(ck.CKR_TEMPLATE_INCONSISTENT, number, "does not belong to this kind of object")
        if forbidden in row.notes:
            _refuse(ck.CKR_ATTRIBUTE_READ_ONLY, number, "is set by the token and may not be given here")
        if 10 in row.notes and value == TRUE and not so:
            _refuse(ck.CKR_ATTRIBUTE_READ_ONLY, number, "may be set to CK_TRUE by the SO only")


def _require(given: Attributes, rows: dict[int, Attribute], note: int) -> None:
    for number, row in rows.items():
        if note in row.notes and number not in given:
            _refuse(ck.CKR_TEMPLATE_INCOMPLETE, number, "must be given")


def _with_defaults(given: Attributes, rows: dict[int, Attribute]) -> Attributes:
    object_class = int.from_bytes(given[ck.CKA_CLASS], "little")
    complete = {number: row.default for number, row in rows.items() if row.default is not None}
    complete[ck.CKA_PRIVATE] = TRUE if object_class in table.GUARDED_CLASSES else FALSE
    if object_class in table.KEY_CLASSES:
        uses = table.KEY_TYPES[int.from_bytes(given[ck.CKA_KEY_TYPE], "little")].uses
        public = object_class == ck.CKO_PUBLIC_KEY
        for use in table.USES:
            if use in rows:
                complete[use] = TRUE if use in uses and not (public and use == ck.CKA_DERIVE) else FALSE
    complete = {**complete, **given}
    if complete.get(ck.CKA_ALWAYS_AUTHENTICATE) == TRUE and complete[ck.CKA_PRIVATE] == FALSE:
        _refuse(ck.CKR_TEMPLATE_INCONSISTENT, ck.CKA_ALWAYS_AUTHENTICATE, "needs CKA_PRIVATE to be TRUE (section 4.10)")
    return complete


def finish(
    attributes: Attributes, material: Attributes, origin: str, *, known_outside: bool, base: Key | None = None,
    mechanism: int = ck.CK_UNAVAILABLE_INFORMATION,
) -> Attributes:
    """The complete object: template, value and what only the token sets. ``origin`` is how the value came to be."""
    object_class = int.from_bytes(attributes[ck.CKA_CLASS], "little")
    for number, rv in _CONTRADICTED.items():
        if attributes.get(number) and number in material and attributes[number] != material[number]:
            wrapped = origin == "unwrap" and number == ck.CKA_VALUE_LEN
            _refuse(ck.CKR_WRAPPED_KEY_LEN_RANGE if wrapped else rv, number, "contradicts the key's value")
    whole = {**attributes, **material, ck.CKA_UNIQUE_ID: str(uuid.uuid4()).encode()}
    if object_class not in table.KEY_CLASSES:
        return whole
    generated = origin == "generate"
    if origin == "create":
        whole[table.IMPORTED] = TRUE
    whole[ck.CKA_LOCAL] = TRUE if generated else FALSE
    whole[ck.CKA_KEY_GEN_MECHANISM] = (mechanism if generated else ck.CK_UNAVAILABLE_INFORMATION).to_bytes(8, "little")
    if object_class in table.GUARDED_CLASSES:
        _remember_guard(whole, origin, base)
        if known_outside or whole[ck.CKA_SENSITIVE] == FALSE:
            whole[table.KNOWN_OUTSIDE] = TRUE
    return whole


def _remember_guard(whole: Attributes, origin: str, base: Key | None) -> None:
    """CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE (sections 4.9 and 4.10): a derived key's follow its base's."""
    sensitive, unextractable = whole[ck.CKA_SENSITIVE] == TRUE, whole[ck.CKA_EXTRACTABLE] == FALSE
    if origin == "derive" and base is not None:
        sensitive = sensitive and base.flag(ck.CKA_ALWAYS_SENSITIVE)
        unextractable = unextractable and base.flag(ck.CKA_NEVER_EXTRACTABLE)
    elif origin != "generate":
        sensitive = unextractable = False
    whole[ck.CKA_ALWAYS_SENSITIVE] = TRUE if sensitive else FALSE
    whole[ck.CKA_NEVER_EXTRACTABLE] = TRUE if unextractable else FALSE


# -- changing and reading


def for_copy(item: Key, given: Attributes, so: bool) -> Attributes:
    """C_CopyObject: the whole copy, as private, sensitive and unextractable as its source or more."""
    if item.key_class == ck.CKO_SECRET_KEY:
        _ignore(given)
    if item.get(ck.CKA_COPYABLE) == FALSE:
        _refuse(ck.CKR_ACTION_PROHIBITED, ck.CKA_COPYABLE, "is FALSE")
    rows = _rows_of(item)
    for number, value in given.items():
        _changeable(item, rows, number, value, so, _COPY_ALSO)
    if item.flag(ck.CKA_PRIVATE) and given.get(ck.CKA_PRIVATE) == FALSE:
        _refuse(ck.CKR_TEMPLATE_INCONSISTENT, ck.CKA_PRIVATE, "is TRUE and stays so in a copy")
    copy = {**item.attributes, **given, ck.CKA_UNIQUE_ID: str(uuid.uuid4()).encode()}
    if ck.CKA_TRUSTED in copy and not so:  # only the SO makes trusted objects, by copying too
        if given.get(ck.CKA_TRUSTED) == TRUE:
            _refuse(ck.CKR_ATTRIBUTE_READ_ONLY, ck.CKA_TRUSTED, "may be set to CK_TRUE by the SO only")
        copy[ck.CKA_TRUSTED] = FALSE
    return copy


def for_set(item: Key, given: Attributes, so: bool) -> Attributes:
    """C_SetAttributeValue: the changes, all permitted or none."""
    if item.key_class == ck.CKO_SECRET_KEY:
        _ignore(given)
    if item.get(ck.CKA_MODIFIABLE) == FALSE:
        _refuse(ck.CKR_ACTION_PROHIBITED, ck.CKA_MODIFIABLE, "is FALSE")
    if item.key_class == ck.CKO_CERTIFICATE and item.flag(ck.CKA_TRUSTED):
        _refuse(ck.CKR_ACTION_PROHIBITED, ck.CKA_TRUSTED, "is TRUE: a trusted certificate can't be modified")
    rows = _rows_of(item)
    for number, value in given.items():
        _changeable(item, rows, number, value, so, (ck.CKA_COPYABLE,))
        if _date(item, number):
            _refuse(ck.CKR_ATTRIBUTE_READ_ONLY, number, "tells the key's time, which adyton key set-attributes sets")
    return given


def _changeable(
    item: Key, rows: dict[int, Attribute], number: int, value: bytes, so: bool, also: tuple[int, ...]
) -> None:
    row = rows.get(number)
    if row is None:
        _refuse(ck.CKR_TEMPLATE_INCONSISTENT, number, "does not belong to this kind of object")
    if 8 not in row.notes and number not in also:
        _refuse(ck.CKR_ATTRIBUTE_READ_ONLY, number, "can't be changed")
    now = item.get(number)
    if number in _CONTRADICTED and value != now:
        _refuse(_CONTRADICTED[number], number, "contradicts the key's value")
    if (11 in row.notes and now == TRUE and value == FALSE) or (12 in row.notes and now == FALSE and value == TRUE):
        _refuse(ck.CKR_ATTRIBUTE_READ_ONLY, number, "can't be changed back")
    if 10 in row.notes and value == TRUE and now != TRUE and not so:
        _refuse(ck.CKR_ATTRIBUTE_READ_ONLY, number, "may be set to CK_TRUE by the SO only")


def _rows_of(item: Key) -> dict[int, Attribute]:
    return table.rows_of(item.key_class, item.key_type if item.key_class in table.KEY_CLASSES else 0)


def read(item: Key, number: int) -> bytes:
    """One attribute's value; CKR_ATTRIBUTE_SENSITIVE or CKR_ATTRIBUTE_TYPE_INVALID where there is none to be had."""
    row = _rows_of(item).get(number)
    if row is None:
        _refuse(ck.CKR_ATTRIBUTE_TYPE_INVALID, number, "does not belong to this object")
    if 7 in row.notes and (item.flag(ck.CKA_SENSITIVE) or not item.flag(ck.CKA_EXTRACTABLE)):
        _refuse(ck.CKR_ATTRIBUTE_SENSITIVE, number, "of a sensitive or unextractable key is not revealed")
    value = _date(item, number) or item.get(number)
    if value is None:
        _refuse(ck.CKR_ATTRIBUTE_TYPE_INVALID, number, "was never given to this object")
    return value


def _date(item: Key, number: int) -> bytes:
    """CKA_START_DATE and CKA_END_DATE of a key that has a time to be used in (hsm/access/lifetime.py), which they then
    tell, in UTC."""
    if number not in _DATES:
        return b""
    seconds = item.time_of(_DATES[number])
    return clock.moment(seconds * 1_000_000)[:10].replace("-", "").encode() if seconds else b""


def is_secret(item: Key, number: int) -> bool:
    """Whether an attribute is part of a key's value, which is read in clear only where the key lets it (note 7)."""
    row = _rows_of(item).get(number)
    return row is not None and 7 in row.notes


def size(item: Key) -> int:
    """C_GetObjectSize: bytes of the attributes as the engine holds them."""
    return sum(16 + len(value) for value in item.attributes.values())
