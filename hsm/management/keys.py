"""Acts on keys by name, in the words of Azure's REST API and of ``az keyvault key``.

What PKCS#11 has functions for, making keys and bringing them in, goes through these (hsm/cryptoki), so that every rule
of theirs holds; what it has none for stands here.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from hsm import clock
from hsm.access.quorum import DESTROY
from hsm.access.roles import (
    DELETED_KEY_DELETE,
    DELETED_KEY_READ,
    DELETED_KEY_RECOVER,
    KEY_CREATE,
    KEY_DELETE,
    KEY_READ,
    KEY_ROTATE,
    KEY_WRITE,
)
from hsm.cryptoki import keys as functions
from hsm.errors import TokenError
from hsm.management.acts import OFFICER, Act, Caller, Request, given, given_or, under, wrong
from hsm.management.key_bundle import IMPORT, OF_PUBLIC, ONLY_FOR_IMPORT, OPS, USUAL, bundle, deleted_bundle, item
from hsm.mechanisms.curves import CURVES
from hsm.objects import about
from hsm.objects import attributes as table
from hsm.rotation import LONGEST, after
from hsm.store.key_names import Version
from hsm.store.records import RotationPolicy
from pkcs11_shim import constants as ck

_AZURES = {"secp256k1": "P-256K"}  # by another name there
EC_CURVES = {_AZURES.get(row.name, row.name): row.oid for row in CURVES}
MOST_TAGS, LONGEST_TAG = 15, 256
_LATEST = 253402300799  # the last second of the year 9999
_LEAST_DAYS = 28  # of Azure's managed HSM, for rotation and for what a policy makes expire
RSA_SIZES, OCT_SIZES = (2048, 3072, 4096), (128, 192, 256)


class Mechanism(NamedTuple):
    """CK_MECHANISM, as the functions of a chapter get it."""

    number: int
    parameter: Any = None


# -- what is asked for


def name_of(request: Request) -> str:
    """The key's name, which is the act's scope. Raises with what would do."""
    name: str = given(request, "name", str)
    if not about.is_name(name.encode(errors="replace")):
        raise wrong(f"{name!r} is no name of a key: give 1 to 127 letters, digits and hyphens", "name")
    return name


def scope(request: Request) -> str:
    return str(request.get("name", ""))


def _number(request: Request, field: str, otherwise: int | None = None) -> int | None:
    found: int | None = given_or(request, field, int, otherwise)
    if found is not None and not 0 <= found <= _LATEST:
        raise wrong(f"{field} is a time in seconds since the epoch, or 0 for none", field)
    return found


def changes_of(request: Request) -> dict[int, bytes | None]:
    """What the request says of a version's attributes and tags."""
    nbf, exp = _number(request, "nbf"), _number(request, "exp")
    if nbf and exp and nbf >= exp:
        raise wrong("the key would expire (exp) before it may be used (nbf)", "exp")
    changes = about.limits(given_or(request, "enabled", bool, None), nbf, exp)
    tags = given_or(request, "tags", dict, None)
    if tags is None:
        return changes
    texts = [text for pair in tags.items() for text in pair]
    if len(tags) > MOST_TAGS or not all(isinstance(text, str) and len(text) <= LONGEST_TAG for text in texts):
        raise wrong(f"a key has {MOST_TAGS} tags at most, names and values of {LONGEST_TAG} characters", "tags")
    return changes | about.tagged(tags)


def ops_of(request: Request) -> list[str] | None:
    ops = given_or(request, "key_ops", list, None)
    if ops is None:
        return None
    unknown = [op for op in ops if op not in (*OPS, IMPORT)]
    if unknown:
        raise wrong(f"{unknown[0]!r} is no operation of a key; there are: {', '.join((*OPS, IMPORT))}", "key_ops")
    if IMPORT in ops and len(ops) > 1:
        raise wrong("a key that imports others does nothing else: give import alone", "key_ops")
    return list(ops)


def flags(ops: list[str], public: bool | None) -> dict[int, bytes]:
    """The usage attributes of a half of a pair, or of a secret key (None)."""
    ops = ["unwrapKey"] if ops == [IMPORT] else ops
    mine = [op for op in OPS if public is None or (op in OF_PUBLIC) == public]
    return {OPS[op]: table.TRUE if op in ops else table.FALSE for op in mine}


def versions_of(caller: Caller, name: str) -> list[Version]:
    """The newest first. Of a deleted key there may be public halves, which are not the key."""
    store = caller.pool.store
    with store.lock:
        found = store.key_names(caller.partition.slot).versions(name)
    deleted = name.lower() in caller.partition.deleted.keys
    if not found or deleted:
        words = f"there is no key {name}"
        words += f", but a deleted one: adyton key recover {name}" if deleted else ": adyton key list"
        raise TokenError(ck.CKR_ARGUMENTS_BAD, words, name)
    return found


def version_of(caller: Caller, request: Request) -> Version:
    """The version that the request names, or the newest."""
    name, wanted = name_of(request), given_or(request, "version", str, None)
    found = versions_of(caller, name)
    if wanted is None:
        return found[0]
    for version in found:
        if version.version == wanted.lower():
            return version
    raise wrong(f"key {name} has no version {wanted!r}: adyton key list-versions {name}", "version")


def newest(caller: Caller, name: str) -> dict[str, Any]:
    return bundle(caller.partition, versions_of(caller, name)[0])


# -- making


def common(name: str, ops: list[str], public: bool | None) -> list[tuple[int, Any]]:
    rows = {ck.CKA_TOKEN: table.TRUE, ck.CKA_LABEL: name.encode(), **flags(ops, public)}
    if ops == [IMPORT] and not public:
        rows[ck.CKA_ALLOWED_MECHANISMS] = ONLY_FOR_IMPORT
    return list(rows.items())


def _create(caller: Caller, request: Request) -> dict[str, Any]:
    name, kty = name_of(request), given_or(request, "kty", str, "RSA").removesuffix("-HSM")
    asked, identity = ops_of(request), os.urandom(16)
    with caller.session(changes_of(request)) as session:
        if kty == "oct":
            size = _size(request, OCT_SIZES, 256)
            rows = common(name, asked or list(USUAL), None)
            rows += [(ck.CKA_VALUE_LEN, (size // 8).to_bytes(8, "little")), (ck.CKA_ID, identity)]
            functions.C_GenerateKey(caller.app, session.handle, Mechanism(ck.CKM_AES_KEY_GEN), rows)
        else:
            mechanism, parameters, ops = _pair(request, kty)
            ops = asked or ops
            functions.C_GenerateKeyPair(
                caller.app, session.handle, Mechanism(mechanism),
                [*common(name, ops, True), (ck.CKA_ID, identity), parameters],
                [*common(name, ops, False), (ck.CKA_ID, identity)],
            )
        return {"key": newest(caller, name)}


def _pair(request: Request, kty: str) -> tuple[int, tuple[int, bytes], list[str]]:
    if kty == "RSA":
        size = _size(request, RSA_SIZES, 2048).to_bytes(8, "little")
        return ck.CKM_RSA_PKCS_KEY_PAIR_GEN, (ck.CKA_MODULUS_BITS, size), list(USUAL)
    curve = given_or(request, "crv", str, "P-256")
    if kty == "EC" and curve in EC_CURVES:
        return ck.CKM_EC_KEY_PAIR_GEN, (ck.CKA_EC_PARAMS, EC_CURVES[curve]), ["sign", "verify"]
    if kty == "EC":
        raise wrong(f"there is no curve {curve!r}; there are: {', '.join(EC_CURVES)}", "crv")
    raise wrong(f"{kty!r} is no type of keys that are made here; there are: RSA, EC, oct", "kty")


def _size(request: Request, sizes: tuple[int, ...], otherwise: int) -> int:
    size: int = given_or(request, "key_size", int, otherwise)
    if size not in sizes:
        raise wrong(f"such a key has {', '.join(map(str, sizes))} bits, not {size}", "key_size")
    return size


# -- looking


def _list(caller: Caller, request: Request) -> dict[str, Any]:
    """Each key by its newest version, of those that the officer may read."""
    store, partition = caller.pool.store, caller.partition
    with store.lock:
        names = store.key_names(partition.slot)
        there = [name for name in names.names() if name.lower() not in partition.deleted.keys]
        found = [names.versions(name)[0] for name in there]
    return {"keys": [item(partition, version) for version in found if caller.holds(KEY_READ, version.name)]}


def _show(caller: Caller, request: Request) -> dict[str, Any]:
    return {"key": bundle(caller.partition, version_of(caller, request))}


def _list_versions(caller: Caller, request: Request) -> dict[str, Any]:
    return {"keys": [item(caller.partition, version) for version in versions_of(caller, name_of(request))]}


# -- changing


def _set_attributes(caller: Caller, request: Request) -> dict[str, Any]:
    version, changes, ops = version_of(caller, request), changes_of(request), ops_of(request)
    if not changes and ops is None:
        raise wrong("nothing is to be set: give enabled, nbf, exp, key_ops or tags")
    told = version.about
    nbf, exp = (
        int.from_bytes(changes.get(field, told.said.get(field)) or b"", "little")
        for field in (about.NOT_BEFORE, about.EXPIRES)
    )
    if nbf and exp and nbf >= exp:
        raise wrong("the key would expire (exp) before it may be used (nbf)", "exp")
    uses: dict[int, bytes] = {}
    if ops is not None:
        if (ops == [IMPORT]) != (told.said.get(ck.CKA_ALLOWED_MECHANISMS) == ONLY_FOR_IMPORT):
            raise wrong("a key is made for import, or not: that stays as it is", "key_ops")
        uses = flags(ops, None)
    fields = ("enabled", "nbf", "exp", "key_ops", "tags")
    said = {name: str(request[name]) for name in fields if request.get(name) is not None}
    caller.partition.change_key([version], changes, uses, caller.record("key-set-attributes", **said))
    return {"key": bundle(caller.partition, version_of(caller, {**request, "version": version.version}))}


def _of_the_whole(request: Request) -> str:
    """The name, of an act on all versions of a key."""
    if request.get("version") is not None:
        raise wrong("this is done to a key, not to one version of it", "version")
    return name_of(request)


def _rotate(caller: Caller, request: Request) -> dict[str, Any]:
    name, rotations = _of_the_whole(request), caller.partition.rotations
    versions_of(caller, name)
    if caller.partition.kind.guarded and name.lower() not in rotations.policies:
        words = f"a managed HSM rotates keys that have a rotation policy: adyton key rotation-policy update {name}"
        raise wrong(words, name)
    rotations.rotate(name, caller.record("key-rotate"))
    return {"key": newest(caller, name)}


def describe_policy(caller: Caller, policy: RotationPolicy) -> dict[str, Any]:
    """Azure's KeyRotationPolicy."""
    trigger = {name: value for name, value in (
        ("timeAfterCreate", policy.after_create), ("timeBeforeExpiry", policy.before_expiry)) if value}
    due = caller.partition.rotations.due_at(policy)
    return {
        "id": f"/keys/{policy.key}/rotationpolicy",
        "lifetimeActions": [{"trigger": trigger, "action": {"type": "Rotate"}}] if trigger else [],
        "attributes": {
            "expiryTime": policy.expiry_time or None, "created": policy.made // 1_000_000,
            "updated": policy.updated // 1_000_000,
        },
        "nextRotation": due or None,
    }


def _show_policy(caller: Caller, request: Request) -> dict[str, Any]:
    name = name_of(request)
    versions_of(caller, name)
    return {"policy": describe_policy(caller, caller.partition.rotations.policies.get(
        name.lower(), RotationPolicy(name.lower(), name)))}


def _update_policy(caller: Caller, request: Request) -> dict[str, Any]:
    name = name_of(request)
    version, rotations = versions_of(caller, name)[0], caller.partition.rotations
    created = given_or(request, "time_after_create", str, "")
    before, expiry = given_or(request, "time_before_expiry", str, ""), given_or(request, "expiry_time", str, "")
    now = int(clock.now())
    least = _LEAST_DAYS * 86400 if caller.partition.kind.guarded else 1
    for field, text in (("time_after_create", created), ("time_before_expiry", before), ("expiry_time", expiry)):
        try:
            span = after(now, text) - now if text else least
        except ValueError:
            words = f"{text!r} is no duration: give years, months, weeks or days, as in P90D, P18M or P2Y"
            raise wrong(words, field) from None
        if span < least and field != "time_before_expiry":
            raise wrong(f"a managed HSM rotates, and lets keys expire, {_LEAST_DAYS} days later at the earliest", field)
        if not 0 < span <= LONGEST:
            raise wrong(f"{text!r} is no time at all, or more than a hundred years", field)
    if created and before:
        raise wrong("a key is rotated after its creation or before its expiry: give one of them", "time_before_expiry")
    if before and not expiry:
        raise wrong("to rotate before expiry, say when keys expire: give expiry_time too", "expiry_time")
    old, moment = rotations.policies.get(name.lower()), clock.microseconds()
    policy = RotationPolicy(name.lower(), version.name, created, before, expiry, old.made if old else moment, moment)
    with caller.partition.lock:
        said = {"timeAfterCreate": created, "timeBeforeExpiry": before, "expiryTime": expiry}
        rotations.set(policy, caller.record("key-rotation-policy-update", **said))
    return {"policy": describe_policy(caller, policy)}


# -- deleting


def _delete(caller: Caller, request: Request) -> dict[str, Any]:
    name, partition = _of_the_whole(request), caller.partition
    told = newest(caller, name)
    partition.delete_key(name, caller.record("key-delete"))
    deleted = partition.deleted.keys.get(name.lower())
    return {"key": deleted_bundle(partition, deleted) if deleted else told, "recoverable": deleted is not None}


def _list_deleted(caller: Caller, request: Request) -> dict[str, Any]:
    partition = caller.partition
    found = [partition.deleted.keys[name] for name in sorted(partition.deleted.keys)]
    return {"keys": [deleted_bundle(partition, key) for key in found if caller.holds(DELETED_KEY_READ, key.key)]}


def _show_deleted(caller: Caller, request: Request) -> dict[str, Any]:
    return {"key": deleted_bundle(caller.partition, caller.partition.deleted.find(name_of(request)))}


def _recover(caller: Caller, request: Request) -> dict[str, Any]:
    name = name_of(request)
    caller.partition.recover_key(name, caller.record("key-recover"))
    return {"key": newest(caller, name)}


def _purge(caller: Caller, request: Request) -> dict[str, Any]:
    caller.partition.purge_key(name_of(request), caller.record("key-purge"))
    return {}


ACTS = (
    Act("key-create", KEY_CREATE, _create, scope),
    Act("key-list", OFFICER, _list),
    Act("key-show", KEY_READ, _show, scope),
    Act("key-list-versions", KEY_READ, _list_versions, scope),
    Act("key-set-attributes", KEY_WRITE, _set_attributes, scope),
    Act("key-rotate", KEY_ROTATE, _rotate, scope),
    Act("key-rotation-policy-show", KEY_READ, _show_policy, scope),
    Act("key-rotation-policy-update", KEY_WRITE, _update_policy, scope),
    Act("key-delete", KEY_DELETE, _delete, scope, second=under(DESTROY, KEY_DELETE)),
    Act("key-list-deleted", OFFICER, _list_deleted),
    Act("key-show-deleted", DELETED_KEY_READ, _show_deleted, scope),
    Act("key-recover", DELETED_KEY_RECOVER, _recover, scope),
    Act("key-purge", DELETED_KEY_DELETE, _purge, scope, second=under(DESTROY, DELETED_KEY_DELETE)),
)
