"""A key as Azure's REST API tells it: a JSON Web Key without secrets, its attributes, its tags."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from hsm.objects import attributes as table
from hsm.objects.about import BITS
from hsm.soft_delete import LONGEST, purged_at
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.partitions import Partition
    from hsm.store.key_names import Version
    from hsm.store.records import DeletedKey

KTY = {
    ck.CKK_RSA: "RSA-HSM", ck.CKK_EC: "EC-HSM", ck.CKK_AES: "oct-HSM", ck.CKK_GENERIC_SECRET: "oct-HSM",
    ck.CKK_EC_EDWARDS: "OKP-HSM", ck.CKK_EC_MONTGOMERY: "OKP-HSM",
}
# A use of a key, in Azure's words where it has one. Azure derives with no key.
OPS = {
    "encrypt": ck.CKA_ENCRYPT, "decrypt": ck.CKA_DECRYPT, "sign": ck.CKA_SIGN, "verify": ck.CKA_VERIFY,
    "wrapKey": ck.CKA_WRAP, "unwrapKey": ck.CKA_UNWRAP, "deriveKey": ck.CKA_DERIVE,
}
USUAL = tuple(op for op in OPS if op != "deriveKey")  # of a key that may do what its type can, where nothing is said
OF_PUBLIC = ("encrypt", "verify", "wrapKey")
IMPORT = "import"  # of a key that unwraps what is brought in, and nothing else
ONLY_FOR_IMPORT = ck.CKM_RSA_AES_KEY_WRAP.to_bytes(8, "little")
CRV = {"secp256r1": "P-256", "secp256k1": "P-256K", "secp384r1": "P-384", "secp521r1": "P-521"}


def _b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int, length: int = 0) -> str:
    return _b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def _public_part(info: bytes) -> dict[str, str]:
    """What a JWK has of a public key, from its SubjectPublicKeyInfo."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key: Any = load_der_public_key(info)
    except ValueError:
        return {}
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        return {"n": _number(numbers.n), "e": _number(numbers.e)}
    if isinstance(key, EllipticCurvePublicKey):
        point, octets = key.public_numbers(), (key.curve.key_size + 7) // 8
        return {"crv": CRV.get(key.curve.name, key.curve.name), "x": _number(point.x, octets),
                "y": _number(point.y, octets)}
    return {"crv": type(key).__name__.removesuffix("PublicKey"), "x": _b64(key.public_bytes_raw())}


def key_ops(version: Version) -> list[str]:
    found = [op for op, flag in OPS.items() if any(a.said.get(flag) == table.TRUE for a in version.objects.values())]
    return [IMPORT] if version.about.said.get(ck.CKA_ALLOWED_MECHANISMS) == ONLY_FOR_IMPORT else found


def bundle(partition: Partition, version: Version) -> dict[str, Any]:
    """Azure's KeyBundle. What is not known while the partition is sealed is left out."""
    key_type = version.about.number(ck.CKA_KEY_TYPE)
    key: dict[str, Any] = {
        "kid": f"/keys/{version.name}/{version.version}", "kty": KTY.get(key_type, "oct-HSM"),
        "key_ops": key_ops(version),
    }
    if not version.has_secret:
        key["kty"] = key["kty"].removesuffix("-HSM")
    halves = [partition.objects.get(number) for number in version.objects]
    for half in halves:
        info = half.shown.get(ck.CKA_PUBLIC_KEY_INFO) if half is not None else None
        if info:
            key |= _public_part(info)
            break
    if key_type in (ck.CKK_AES, ck.CKK_GENERIC_SECRET, ck.CKK_RSA):
        key["key_size"] = version.about.number(BITS)
    return {"key": key, "attributes": attributes(partition, version), "tags": version.about.tags}


def attributes(partition: Partition, version: Version) -> dict[str, Any]:
    """Azure's KeyAttributes: times in seconds since the epoch."""
    about = version.about
    times = {name: at for name, at in (("nbf", about.not_before), ("exp", about.expires)) if at}
    days = partition.deleted.retention
    return {
        "enabled": about.enabled, **times, "created": about.created, "updated": about.updated,
        "recoveryLevel": recovery_level(days, partition.deleted.protected),
        **({"recoverableDays": days} if days else {}),
        "exportable": about.said.get(ck.CKA_EXTRACTABLE) == table.TRUE,
    }


def recovery_level(days: int, protected: bool) -> str:
    if not days:
        return "Purgeable"
    level = "Recoverable" if days == LONGEST else "CustomizedRecoverable"
    return level if protected else f"{level}+Purgeable"


def deleted_bundle(partition: Partition, deleted: DeletedKey) -> dict[str, Any]:
    """Azure's DeletedKeyBundle, of the newest version."""
    versions = partition.deleted.versions(deleted.key)
    told = bundle(partition, versions[0]) if versions else {"key": {"kid": f"/keys/{deleted.key}"}}
    return {
        **told, "recoveryId": f"/deletedkeys/{deleted.key}", "deletedDate": deleted.date // 1_000_000,
        "scheduledPurgeDate": purged_at(deleted) // 1_000_000, "versions": len(versions), "deletedBy": deleted.by,
    }


def item(partition: Partition, version: Version) -> dict[str, Any]:
    """Azure's KeyItem, as lists have it."""
    told = bundle(partition, version)
    return {"kid": told["key"]["kid"], "name": version.name, "version": version.version, "kty": told["key"]["kty"],
            "attributes": told["attributes"], "tags": told["tags"]}


