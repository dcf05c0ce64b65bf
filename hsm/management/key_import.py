"""``key-import``: a key that comes in from a file, which the engine reads, as a key or as a new version of one.

In clear (PEM, DER or raw), or as Azure's key transfer file ("bring your own key"): wrapped under a key of this
partition by CKM_RSA_AES_KEY_WRAP, which C_UnwrapKey opens. Either way every rule of C_CreateObject or C_UnwrapKey
holds, and what was in clear counts as known outside.
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any, NamedTuple

from hsm.access.roles import KEY_IMPORT, KEY_READ
from hsm.confinement.sweeping import SWEEPER
from hsm.confinement.wiping import overwrite
from hsm.cryptoki import keys as functions
from hsm.management import files
from hsm.management.acts import Act, Caller, Request, given_or, wrong
from hsm.management.key_bundle import IMPORT, USUAL, key_ops
from hsm.management.keys import (
    EC_CURVES,
    Mechanism,
    changes_of,
    common,
    name_of,
    newest,
    ops_of,
    scope,
    versions_of,
)
from hsm.mechanisms import ec, formats
from hsm.objects import templates
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Session

LONGEST = 64 << 10  # bytes of a file: a wrapped RSA-16384 key in base64 takes 17 KiB
_TYPES = {"RSA": ck.CKK_RSA, "EC": ck.CKK_EC, "oct": ck.CKK_AES}
_DEFAULT_OPS = {"EC": ["sign", "verify"]}
_SCHEMA = "1.0.0"
_ENC = "CKM_RSA_AES_KEY_WRAP"


class Oaep(NamedTuple):
    """CK_RSA_PKCS_OAEP_PARAMS, as Azure's file has it."""

    hashAlg: int = ck.CKM_SHA_1
    mgf: int = ck.CKG_MGF1_SHA1
    source: int = ck.CKZ_DATA_SPECIFIED
    pSourceData: bytes = b""


class RsaAes(NamedTuple):
    """CK_RSA_AES_KEY_WRAP_PARAMS."""

    ulAESKeyBits: int = 256
    pOAEPParams: Oaep = Oaep()


def _native(data: bytes, passphrase: str | None) -> Any:
    """A private key of PEM or DER, PKCS#8 or the older forms."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    try:
        return load(data, passphrase.encode() if passphrase else None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        asked = "it has a passphrase: give --pem-password-file" if not passphrase else "it has no passphrase"
        raise wrong(f"the private key can't be read: {asked}", "passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        words = "the file holds no private key that can be read (PEM or DER, RSA or EC), or its passphrase is another"
        raise wrong(words) from None


def _public_row(session: Session, name: str, ops: list[str], private: dict[int, bytes]) -> dict[int, bytes]:
    """The public half of a private key, as complete as C_CreateObject makes it."""
    kept = (ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT, ck.CKA_EC_PARAMS, ck.CKA_KEY_TYPE, ck.CKA_ID)
    rows = dict(common(name, ops, True)) | {number: private[number] for number in kept if number in private}
    if ck.CKA_EC_PARAMS in private:
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        public: Any = load_der_public_key(private[ck.CKA_PUBLIC_KEY_INFO])
        short = not hasattr(public, "curve")  # of an Edwards or a Montgomery curve
        rows[ck.CKA_EC_POINT] = public.public_bytes_raw() if short else ec.public_attributes(public)[ck.CKA_EC_POINT]
    return _created(session, rows | {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY.to_bytes(8, "little")})


def _created(session: Session, rows: dict[int, Any]) -> dict[int, bytes]:
    """As C_CreateObject makes it, before it is added."""
    attributes = templates.for_create(templates.parse(list(rows.items())), session.trusts)
    session.partition.may_add(session, attributes, "create")
    return templates.finish(attributes, formats.check_and_complete(attributes), "create", known_outside=True)


def _in_clear(caller: Caller, request: Request, data: bytes) -> None:
    name, ops = name_of(request), ops_of(request)
    with caller.session(changes_of(request)) as session:
        if request["format"] == "raw":
            rows = [*common(name, ops or list(USUAL), None),
                    (ck.CKA_CLASS, ck.CKO_SECRET_KEY.to_bytes(8, "little")), (ck.CKA_ID, os.urandom(16)),
                    (ck.CKA_KEY_TYPE, ck.CKK_AES.to_bytes(8, "little")), (ck.CKA_VALUE, data)]
            from hsm.cryptoki import objects

            objects.C_CreateObject(caller.app, session.handle, rows)
            return
        native = _native(data, given_or(request, "passphrase", str, None))
        found = next((item for item in formats.FORMS.items() if isinstance(native, item[1].native)), None)
        if found is None:
            raise wrong(f"keys of this type are not brought in: {type(native).__name__}")
        key_type, form = found
        default = ["sign", "verify"] if key_type != ck.CKK_RSA else list(USUAL)
        ops = ops or default
        follows = (ck.CKA_PUBLIC_KEY_INFO, ck.CKA_EC_POINT)
        own = {number: value for number, value in form.of_native(native).items() if number not in follows}
        own |= {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY.to_bytes(8, "little"), ck.CKA_ID: os.urandom(16)}
        own |= {**dict(common(name, ops, False)), ck.CKA_KEY_TYPE: key_type.to_bytes(8, "little")}
        private = _created(session, own)
        session.partition.add_all(session, [private, _public_row(session, name, ops, private)], "create")


# -- Azure's key transfer file


def _transfer(data: bytes) -> tuple[str, bytes]:
    """The name of the key that it is wrapped under, and the wrapped key."""
    try:
        told = json.loads(data)
        header = told["header"]
        known = (told["schema_version"], header["alg"], header["enc"]) == (_SCHEMA, "dir", _ENC)
        kid, text = str(header["kid"]), str(told["ciphertext"])
        wrapped = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise wrong("the file is no key transfer file: JSON with schema_version, header and ciphertext") from None
    if not known:
        raise wrong(f"the key transfer file is of another kind: {_SCHEMA}, alg dir and enc {_ENC} are known")
    return kid, wrapped


def _kek(caller: Caller, kid: str) -> Any:
    """The key object that a kid (an URL of Azure's, or /keys/NAME/VERSION) tells of: one that imports, and nothing
    else."""
    parts = kid.rstrip("/").split("/")
    at = parts.index("keys") if "keys" in parts else -1
    name, wanted = [*parts[at + 1 : at + 3], "", ""][:2] if at >= 0 else (kid, "")
    caller.must_hold(KEY_READ, name)
    for version in versions_of(caller, name):
        if wanted in ("", version.version):
            if key_ops(version) != [IMPORT]:
                words = f"key {name} is not one for imports: adyton key create NAME --ops import makes one"
                raise wrong(words, name)
            halves = [caller.partition.objects.get(number) for number in version.objects]
            found = [half for half in halves if half is not None and half.key_class == ck.CKO_PRIVATE_KEY]
            if found:
                return found[0]
    raise wrong(f"the key {kid} that it is wrapped under is not here", kid)


def _transferred(caller: Caller, request: Request, data: bytes) -> None:
    name, kty = name_of(request), given_or(request, "kty", str, "RSA").removesuffix("-HSM")
    if kty not in _TYPES:
        raise wrong(f"{kty!r} is no type of keys that are brought in; there are: {', '.join(_TYPES)}", "kty")
    kid, wrapped = _transfer(data)
    ops = ops_of(request) or _DEFAULT_OPS.get(kty, list(USUAL))
    with caller.session(changes_of(request)) as session:
        kek = _kek(caller, kid)
        public = None if kty == "oct" else False
        key_class = ck.CKO_SECRET_KEY if kty == "oct" else ck.CKO_PRIVATE_KEY
        rows = [*common(name, ops, public), (ck.CKA_CLASS, key_class.to_bytes(8, "little")),
                (ck.CKA_KEY_TYPE, _TYPES[kty].to_bytes(8, "little")), (ck.CKA_ID, os.urandom(16))]
        if request.get("crv") is not None:
            curve = given_or(request, "crv", str, "")
            if curve not in EC_CURVES:
                raise wrong(f"there is no curve {curve!r}; there are: {', '.join(EC_CURVES)}", "crv")
            rows.append((ck.CKA_EC_PARAMS, EC_CURVES[curve]))
        app = caller.app
        _, handle = functions.C_UnwrapKey(
            app, session.handle, Mechanism(ck.CKM_RSA_AES_KEY_WRAP, RsaAes()), app.handle_of(kek), wrapped, rows
        )
        if public is not None:  # the half that anybody may see, of the same version
            whole = session.object(handle).attributes
            session.partition.add(session, _public_row(session, name, ops, whole), "create")


FORMATS = {"pem": _in_clear, "raw": _in_clear, "byok": _transferred}


def _import(caller: Caller, request: Request) -> dict[str, Any]:
    how = FORMATS.get(given_or(request, "format", str, ""))
    if how is None:
        raise wrong(f"a key comes in as one of: {', '.join(FORMATS)}", "format")
    data = files.read(request, LONGEST)
    try:
        how(caller, request, data)
    finally:
        held = [data]
        del data
        overwrite(held)
        SWEEPER.ring()
    return {"key": newest(caller, name_of(request))}


ACTS = (Act("key-import", KEY_IMPORT, _import, scope),)
