"""What has happened to each key *value* of a partition, whatever objects carry it.

A copy, an unwrapped twin or a re-import has the same fingerprint as its source, so a use that one of them lost is lost
to all, and none may come back less sensitive. The fingerprint is keyed under the partition key; before the partition is
open, when there are session keys only, under a key of the moment. A record outlives its objects once it was written to
the store: when a token key had the value, or when it was wrapped out.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import or_

from hsm.confinement.arena import ARENA, Secret
from hsm.errors import TokenError
from hsm.objects import attributes as table
from hsm.objects.attributes import FALSE, TRUE
from hsm.objects.key import Key
from hsm.objects.token_object import TokenObject
from pkcs11_shim import constants as ck

# The uses that a value loses, each with its bit in the record.
_LOST = {
    ck.CKA_DECRYPT: 1, ck.CKA_WRAP: 2, ck.CKA_ENCRYPT: 4, ck.CKA_UNWRAP: 8,
    ck.CKA_SIGN: 1024, ck.CKA_VERIFY: 2048, ck.CKA_DERIVE: 4096,
}
_SENSITIVE, _UNEXTRACTABLE = 16, 32
GUARDED = _SENSITIVE | _UNEXTRACTABLE
# What a value has done by wrapping, and what it is.
HOLDS = 64  # it has wrapped a sensitive key, or may have: what it unwraps may be that key in another form
KNOWN = 128  # somebody outside may know it: wrapped and unwrapped again, or imported anew, it is no secret
CHOSEN = 256  # it has encrypted what a caller chose: what it unwraps may have been made up from that
HALVES = 512  # it has wrapped a key of the moment, with the key that this one wrapped beside it
# It looks stronger than what it was derived from, whose bits of security are fewer than these, and these at least.
_WEAKER = {256: (8192, 192), 192: (16384, 128), 128: (32768, 112), 112: (65536, 0)}
_TRUSTED_ONLY = 262144  # only trusted keys wrap it
GIVEN_IVS = 1048576  # it has encrypted under IVs that callers gave: the token makes none for it any more
MADE_IVS = 2097152  # the other way round
_PRIVATE = 524288  # only who is logged in sees it
_TWO = 131072  # it is two keys, one behind the other
_STAYS_TRUE = {table.KNOWN_OUTSIDE: KNOWN, ck.CKA_WRAP_WITH_TRUSTED: _TRUSTED_ONLY}
_LONGEST_FILL = 15  # zeros behind one byte of a key, up to the shortest message of AES_KEY_WRAP
_PADDED = 8  # AES_KEY_WRAP_PKCS7 fills half blocks


class Nonces:
    """What one value has encrypted under, in memory: the last ``most``, of which half are forgotten at a time.

    So a counter that was set back and an IV used over and over are noticed, a repeat from long ago or from before a
    restart is not. 2^16 IVs of 12 bytes take some 6 MB.
    """

    __slots__ = ("_before", "_most", "_recent")

    def __init__(self, most: int = 1 << 16) -> None:
        self._most = most
        self._recent: set[bytes] = set()
        self._before: set[bytes] = set()

    def __contains__(self, nonce: bytes) -> bool:
        return nonce in self._recent or nonce in self._before

    def add(self, nonce: bytes) -> None:
        if len(self._recent) >= self._most // 2:
            self._before, self._recent = self._recent, set()
        self._recent.add(nonce)


class Value:
    """One value: bits of what it lost and of what it must stay, and the objects that carry it now."""

    __slots__ = ("_nonces", "bits", "objects", "stored")

    def __init__(self, bits: int = 0, stored: bool = False) -> None:
        self.bits = bits
        self.stored = stored
        self.objects: list[TokenObject] = []
        self._nonces: Nonces | None = None

    @property
    def nonces(self) -> Nonces:
        """Made at their first use: most of many thousand values have none, and two empty sets take 400 bytes."""
        self._nonces = self._nonces or Nonces()
        return self._nonces

    def lost(self) -> list[int]:
        return [number for number, bit in _LOST.items() if self.bits & bit]


def _fingerprint(key: Secret, attributes: Mapping[int, bytes]) -> bytes | None:
    info = attributes.get(ck.CKA_PUBLIC_KEY_INFO)
    if attributes.get(ck.CKA_CLASS) == ck.CKO_SECRET_KEY.to_bytes(8, "little"):
        told = b"secret" + attributes.get(ck.CKA_VALUE, b"")
    elif info and ck.CKA_KEY_TYPE in attributes:
        told = b"pair" + info
    else:
        return None
    return hmac.digest(key, told, "sha256")[:16]


def _forms(value: bytes) -> Iterator[bytes]:
    """What this value may have been wrapped as: with the filling, or without."""
    shortest = max(len(value.rstrip(b"\0")), len(value) - _LONGEST_FILL)
    yield from (value[:length] for length in range(shortest, len(value)))
    yield from (value + bytes(more) for more in range(1, _LONGEST_FILL + 1))
    pad = value[-1] if value else 0
    if 0 < pad <= _PADDED and value.endswith(bytes((pad,)) * pad):
        yield value[:-pad]
    more = _PADDED - len(value) % _PADDED
    yield value + bytes((more,)) * more


def _has_halves(attributes: Mapping[int, bytes]) -> bool:
    row = table.type_of(attributes)
    return row is not None and row.halves


class Values:
    """The values of one partition. Callers hold the partition's lock."""

    def __init__(self) -> None:
        self._key = ARENA.random()
        self._known: dict[bytes, Value] = {}
        self.opened = False  # whether fingerprints are the store's; they stay so while the partition is sealed
        self._earlier: tuple[Secret, dict[bytes, Value]] = (self._key, {})

    def open(self, partition_key: Secret, stored: Iterable[tuple[bytes, int]]) -> None:
        """From now on fingerprints are those of the store, whose records are ``stored``; what session keys have lost
        before anybody logged in stays lost."""
        self.opened = True
        self._earlier = self._key, self._known
        self._key = ARENA.keep(hmac.digest(partition_key, b"adyton fingerprint", "sha256"))
        self._known = {fingerprint: Value(bits, stored=True) for fingerprint, bits in stored}
        for value in [value for value in self._earlier[1].values() if value.objects]:
            self._find(value.objects[0].attributes)

    def _find(self, attributes: Mapping[int, bytes]) -> Value | None:
        """The record of this object's value. One from before the opening, of a key that is gone but was wrapped out,
        can't be told by today's fingerprint before the value itself comes back."""
        fingerprint = self.fingerprint(attributes)
        if fingerprint is None:
            return None
        key, earlier = self._earlier
        told = _fingerprint(key, attributes) or b"" if earlier else b""
        before = earlier.get(told)
        if before is not None:
            # Entered here before it leaves there: at no moment has the value no record.
            now = self._known.setdefault(fingerprint, before)
            if now is not before:
                now.bits |= before.bits
                now.objects += before.objects
            earlier.pop(told, None)
        return self._known.get(fingerprint)

    def fingerprint(self, attributes: Mapping[int, bytes]) -> bytes | None:
        """16 bytes that tell values apart and nothing else; None for objects that are no keys."""
        return _fingerprint(self._key, attributes)

    def admit(self, attributes: dict[int, bytes]) -> dict[int, bytes]:
        """A new object's attributes, less the uses its value has lost, and CKA_WRAP_WITH_TRUSTED if it ever was;
        refused if it would be less protected."""
        value = self._find(attributes)
        if value is None:
            return attributes
        if value.bits & _SENSITIVE and attributes.get(ck.CKA_SENSITIVE) == FALSE:
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, "this key's value is sensitive here", "CKA_SENSITIVE")
        if value.bits & _UNEXTRACTABLE and attributes.get(ck.CKA_EXTRACTABLE) == TRUE:
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, "this key's value is unextractable here", "CKA_EXTRACTABLE")
        # As in a copy: who may unwrap a twin may not hand the key to everybody, for longer than his own right lasts.
        # A session object of the value is asked for under the key's name, and who brings the value himself needs none.
        for_all = attributes.get(ck.CKA_PRIVATE) == FALSE and attributes.get(ck.CKA_TOKEN) == TRUE
        guarded = attributes.get(ck.CKA_SENSITIVE) == TRUE and table.IMPORTED not in attributes
        if for_all and guarded and value.bits & _PRIVATE:
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, "this key's value is private here", "CKA_PRIVATE")
        if value.bits & GUARDED and not value.bits & _TWO and _has_halves(attributes):
            words = "this key's value is in one piece here: its halves may be keys of their own, derived like the whole"
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, "CKA_KEY_TYPE")
        stays = {number: FALSE for number in value.lost() if number in attributes}
        if ck.CKA_SENSITIVE in attributes:
            stays |= {number: TRUE for number, bit in _STAYS_TRUE.items() if value.bits & bit}
        floors = [floor for bit, floor in _WEAKER.values() if value.bits & bit]
        if floors:
            stays[table.STRENGTH] = min(floors).to_bytes(8, "little")
        return {**attributes, **stays}

    def bits_of(self, attributes: Mapping[int, bytes]) -> int:
        """What the record of this object's value says once the object is there."""
        value = self._find(attributes)
        bits = value.bits if value else 0
        if attributes.get(ck.CKA_SENSITIVE) == TRUE:
            bits |= _SENSITIVE
        if attributes.get(ck.CKA_EXTRACTABLE) == FALSE:
            bits |= _UNEXTRACTABLE
        if bits & _SENSITIVE and attributes.get(ck.CKA_PRIVATE) == TRUE:
            bits |= _PRIVATE
        if attributes.get(table.HELD) == TRUE:
            bits |= HOLDS | _LOST[ck.CKA_DECRYPT]
        if attributes.get(table.NO_MACS) == TRUE:
            bits |= _LOST[ck.CKA_SIGN] | _LOST[ck.CKA_VERIFY]
        if attributes.get(table.KNOWN_OUTSIDE) == TRUE:
            bits |= KNOWN
        if attributes.get(ck.CKA_WRAP_WITH_TRUSTED) == TRUE:
            bits |= _TRUSTED_ONLY
        if _has_halves(attributes):
            bits |= _TWO
        if table.STRENGTH in attributes:
            strength = int.from_bytes(attributes[table.STRENGTH], "little")
            bits |= sum(bit for level, (bit, _) in _WEAKER.items() if strength < level)
        return bits

    def enter(self, item: TokenObject) -> None:
        fingerprint = self.fingerprint(item.attributes)
        if fingerprint is None:
            return
        bits = self.bits_of(item.attributes)
        value = self._known.setdefault(fingerprint, Value())
        value.bits = bits
        value.stored = value.stored or item.is_token
        if item not in value.objects:
            value.objects.append(item)

    def leave(self, item: TokenObject) -> None:
        value = self._find(item.attributes)
        fingerprint = self.fingerprint(item.attributes)
        if value is None or fingerprint is None:
            return
        if item in value.objects:
            value.objects.remove(item)
        if not value.objects and not value.stored:
            del self._known[fingerprint]

    def may_change(self, item: TokenObject, changes: Mapping[int, bytes]) -> None:
        """A use that the value has lost does not come back by C_SetAttributeValue."""
        value = self._find(item.attributes)
        for number in value.lost() if value else ():
            if changes.get(number) == TRUE:
                name = table.name_of(number)
                raise TokenError(ck.CKR_ATTRIBUTE_READ_ONLY, f"{name} is lost to this key by an earlier use", name)

    def losing(self, item: TokenObject, flags: Iterable[int], done: int) -> tuple[list[TokenObject], int]:
        """The objects that lose one of ``flags``, and the record's new bits, ``done`` among them. ENCRYPT of a public
        key stays: anybody can encrypt with it elsewhere."""
        value = self._find(item.attributes)
        objects = [item] if value is None else [*value.objects, *([] if item in value.objects else [item])]
        bits = (value.bits if value else self.bits_of(item.attributes)) | done
        for flag in flags:
            bits |= _LOST[flag]
        losers = [o for o in objects if any(map(o.flag, flags)) and (
            o.key_class != ck.CKO_PUBLIC_KEY or ck.CKA_ENCRYPT not in flags
        )]
        return losers, bits

    def lost(self, item: Key, bits: int, stored: bool) -> None:
        """After the commit: the record now says ``bits``."""
        value = self._find(item.attributes)
        if value is not None:
            value.bits = bits
            value.stored = value.stored or stored

    def owed(self, item: TokenObject) -> dict[int, bytes]:
        """What an object has to change for what is known of its value, which came together by a restore: uses that are
        lost, and protection that is never less than it was."""
        value = self._find(item.attributes)
        if value is None:
            return {}
        owed = {n: FALSE for n in value.lost() if item.flag(n)
                and (n != ck.CKA_ENCRYPT or item.key_class != ck.CKO_PUBLIC_KEY)}
        if item.key_class in table.GUARDED_CLASSES:
            stays = {ck.CKA_SENSITIVE: (_SENSITIVE, TRUE), ck.CKA_EXTRACTABLE: (_UNEXTRACTABLE, FALSE),
                     ck.CKA_WRAP_WITH_TRUSTED: (_TRUSTED_ONLY, TRUE)}
            owed |= {n: to for n, (bit, to) in stays.items() if value.bits & bit and item.get(n) != to}
        return owed

    def bringing(
        self, attributes: Mapping[int, bytes], bits: int
    ) -> tuple[int, dict[TokenObject, dict[int, bytes]]]:
        """A key comes back whose value had these ``bits``: what its record says then, and which uses the objects lose
        that have the value here. Nothing is got back by it, on either side."""
        value = self._find(attributes)
        bits |= self.bits_of(attributes)
        lost = [number for number, bit in _LOST.items() if bits & bit]
        losers = {}
        for item in value.objects if value is not None else ():
            gone = [n for n in lost if item.flag(n)
                    and (n != ck.CKA_ENCRYPT or item.key_class != ck.CKO_PUBLIC_KEY)]
            if gone:
                losers[item] = dict.fromkeys(gone, FALSE)
        return bits, losers

    def has_lost(self, item: TokenObject, flag: int) -> bool:
        value = self._find(item.attributes)
        return not item.flag(flag) if value is None else bool(value.bits & _LOST[flag])

    def kin_bits(self, attributes: Mapping[int, bytes]) -> int:
        """What the records of the secrets say that differ from this one by no more than what AES_KEY_WRAP or
        AES_KEY_WRAP_PKCS7 puts behind a key, or takes off again."""
        if attributes[ck.CKA_CLASS] != ck.CKO_SECRET_KEY.to_bytes(8, "little"):
            return 0
        forms = _forms(attributes.get(ck.CKA_VALUE, b""))
        found = (self._find({**attributes, ck.CKA_VALUE: form}) for form in forms)
        return reduce(or_, (kin.bits for kin in found if kin is not None), 0)

    def kin_has_lost(self, attributes: Mapping[int, bytes], flag: int) -> bool:
        """Whether a value that differs from this one by a filling has lost ``flag``: HMAC fills keys with zeros too, so
        that both make the same MACs."""
        return bool(self.kin_bits(attributes) & _LOST[flag])

    def has_done(self, item: Key, done: int) -> bool:
        """Whether the record of this value says all of ``done``; HOLDS also for a key of the moment."""
        value = self._find(item.attributes)
        return (value.bits if value is not None else 0) & done == done

    def is_known(self, item: Key) -> bool:
        """Whether any object that has or had this value came from outside, or showed it."""
        value = self._find(item.attributes)
        return value is not None and bool(value.bits & KNOWN)

    def is_new(self, attributes: Mapping[int, bytes]) -> bool:
        """Whether this value has no record here."""
        return self._find(attributes) is None

    def is_open(self, attributes: Mapping[int, bytes]) -> bool:
        """Whether a value is known here, and not as a sensitive one."""
        value = self._find(attributes)
        return value is not None and not value.bits & _SENSITIVE

    def nonces(self, item: Key) -> Nonces | None:
        """Where a token key has this value, what it encrypted under, by whatever object."""
        value = self._find(item.attributes)
        return value.nonces if value is not None and value.stored else None

    def twins(self, attributes: Mapping[int, bytes]) -> list[TokenObject]:
        """The private token keys that have this value, but for public halves."""
        return [item for item in self.bearers(attributes) if item.private]

    def bearers(self, attributes: Mapping[int, bytes]) -> list[TokenObject]:
        """The token keys that have this value, but for public halves."""
        value = self._find(attributes)
        return [] if value is None else [
            item for item in value.objects if item.is_token and item.key_class in table.GUARDED_CLASSES
        ]

    def halves(self, attributes: Mapping[int, bytes]) -> list[TokenObject]:
        """The token objects of this pair of keys."""
        value = self._find(attributes)
        return [] if value is None else [item for item in value.objects if item.is_token]

    def is_stored(self, item: Key) -> bool:
        value = self._find(item.attributes)
        return value is not None and value.stored
