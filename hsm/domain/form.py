"""A security domain's file and the blob that it is restored by, in the form of Azure Managed HSM, which ``az keyvault
security-domain`` reads and writes.

``EncData``: each datum under a key of its own, made from a master key by SP 800-108 with the datum's tag.
``SharedKeys``: the master key in shares, each sealed to one custodian's certificate. In a blob the data lie under a new
master key, which is sealed to the exchange certificate of the pool that is to take it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from hsm.domain import jwe, shares
from hsm.domain.jwe import Unfit

if TYPE_CHECKING:
    from cryptography import x509

KDF, ALGORITHM = "sp108_kdf", "shamir_share"
MASTER_BYTES, LEAST_BITS = 32, 2048
FEWEST, MOST, LEAST_REQUIRED = 3, 10, 2  # custodians, and of them (Azure's limits)
LONGEST = 1 << 20


def certificate(pem: bytes) -> x509.Certificate:
    """A custodian's or an exchange certificate, PEM or DER: of an RSA key of 2048 bits or more."""
    from cryptography import x509  # few engines ever read a certificate

    try:
        found = x509.load_pem_x509_certificate(pem) if b"-----BEGIN" in pem else x509.load_der_x509_certificate(pem)
        public = found.public_key()
    except ValueError:
        raise Unfit("it is no certificate, in PEM or DER") from None
    if not isinstance(public, RSAPublicKey) or public.key_size < LEAST_BITS:
        raise Unfit(f"its key is no RSA key of {LEAST_BITS} bits or more")
    return found


def thumbprint(found: x509.Certificate) -> str:
    """x5t#S256."""
    from cryptography.hazmat.primitives import serialization

    return jwe.b64(hashlib.sha256(found.public_bytes(serialization.Encoding.DER)).digest())


def _rsa(found: x509.Certificate) -> RSAPublicKey:
    public = found.public_key()
    assert isinstance(public, RSAPublicKey)
    return public


def _key(master: bytes, tag: str) -> bytes:
    return KBKDFHMAC(
        hashes.SHA512(), Mode.CounterMode, jwe.KEY_BYTES, 4, 4, CounterLocation.BeforeFixed, tag.encode(), b"", None
    ).derive(master)


def _sealed(data: Mapping[str, bytes], master: bytes) -> dict[str, Any]:
    rows = [{"compact_jwe": jwe.directly(_key(master, tag), value, tag), "tag": tag} for tag, value in data.items()]
    return {"data": rows, "kdf": KDF}


def _unsealed(told: Any, master: bytes) -> dict[str, bytes]:
    if told["kdf"] != KDF:
        raise Unfit(f"its keys are not made by {KDF}")
    rows = [(str(row["tag"]), row["compact_jwe"]) for row in told["data"]]
    return {tag: jwe.open_directly(_key(master, tag), sealed) for tag, sealed in rows}


def written(data: Mapping[str, bytes], custodians: Sequence[x509.Certificate], required: int) -> str:
    """The file."""
    master = os.urandom(MASTER_BYTES)
    rows = [
        {"enc_key": jwe.to_certificate(_rsa(one), share, "not used"), "x5t_256": thumbprint(one)}
        for one, share in zip(custodians, shares.split(master, len(custodians), required), strict=True)
    ]
    shared = {"enc_shares": rows, "key_algorithm": ALGORITHM, "required": required}
    return json.dumps({"EncData": _sealed(data, master), "SharedKeys": shared})


def _read(text: str | bytes) -> Any:
    if len(text) > LONGEST:
        raise Unfit("it is too long")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unfit("it is no JSON") from None


def _master(told: Any, keys: Mapping[str, RSAPrivateKey]) -> bytes:
    """``keys``: custodians' private keys, by what an error calls them. A key that opens no share is named."""
    shared, found = told["SharedKeys"], dict[str, bytes]()
    if shared["key_algorithm"] != ALGORITHM:
        raise Unfit(f"its shares are not by {ALGORITHM}")
    rows = list(shared["enc_shares"])
    for name, key in keys.items():
        opened = None
        for row in rows:
            try:
                opened = jwe.open_by(key, row["enc_key"])
                break
            except Unfit:
                continue
        if opened is None:
            raise Unfit(f"{name} opens no share of it: it is no custodian's key, or the custodian's share was altered")
        try:
            shares.number_of(opened)
        except Unfit:
            raise Unfit(f"the share that {name} opens is damaged") from None
        found[name] = opened
    required = int(shared["required"])
    if len({shares.number_of(share) for share in found.values()}) < required:
        raise Unfit(f"it takes the private keys of {required} custodians, and these are {len(set(found.values()))}")
    return shares.joined(list(dict.fromkeys(found.values()))[:required])


def opened(text: str | bytes, keys: Mapping[str, RSAPrivateKey]) -> dict[str, bytes]:
    """The data of a file, by their tags."""
    told = _read(text)
    try:
        return _unsealed(told["EncData"], _master(told, keys))
    except (KeyError, TypeError, AttributeError, OverflowError):
        raise Unfit("it is no security domain's file") from None


def blob(text: str | bytes, keys: Mapping[str, RSAPrivateKey], exchange: x509.Certificate) -> str:
    """What is uploaded: the data for who has the exchange certificate's private key."""
    master = os.urandom(MASTER_BYTES)
    carried = {"enc_key": jwe.to_certificate(_rsa(exchange), master, "not used"), "x5t_256": thumbprint(exchange)}
    return json.dumps({"EncData": _sealed(opened(text, keys), master), "WrappedKey": carried})


def taken(text: str | bytes, exchange: RSAPrivateKey) -> dict[str, bytes]:
    """The data of a blob."""
    told = _read(text)
    try:
        return _unsealed(told["EncData"], jwe.open_by(exchange, told["WrappedKey"]["enc_key"]))
    except (KeyError, TypeError, AttributeError, OverflowError):
        raise Unfit("it is no restore blob: adyton security-domain restore-blob makes one") from None
