"""A pool's security domain: the custody of its partitions by N custodians, of whom M together can open them.

A download makes a key pair, whose private half goes into the file and nowhere else; each partition's key is sealed to
its public half as soon as the partition is open. Beside it lies the data-wrapping key, which the pool keeps: under it
lie backups (hsm/backup). An upload brings both back: to an empty pool, which then is of the same domain, or to the pool
itself, which is open for its owner for a while, so that officers who have lost their PINs get new ones.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hsm import clock
from hsm.confinement.arena import ARENA, Secret
from hsm.errors import TokenError
from hsm.store import sealing
from hsm.store.domain_head import DomainHead, sealed_wrapping
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from cryptography import x509

    from hsm.store.sqlite import Store

OPEN_FOR = 900_000_000  # microseconds
# The tags of what is in the file.
ABOUT, PAIR, WRAPPING = "adyton/about", "adyton/domain-key", "adyton/data-wrapping-key"
_EXCHANGE_BITS, _EXCHANGE_DAYS = 3072, 30


class Custody:
    """Of one pool. Callers hold the pool's lock, but for ``exchange``, which makes a key and takes its time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._private: Secret | None = None
        self._until = 0  # by the machine's count, which nobody sets

    @property
    def head(self) -> DomainHead:
        return self._store.pool_head.domain

    @property
    def is_open(self) -> bool:
        if self._private is not None and clock.passed() >= self._until:
            self.close()
        return self._private is not None

    @property
    def open_until(self) -> float:
        """Seconds since the epoch; 0 where it is not open."""
        return clock.now() + (self._until - clock.passed()) / 1e6 if self.is_open else 0.0

    def close(self) -> None:
        self._private = None

    def download(
        self, custodians: Sequence[x509.Certificate], required: int, opened: Mapping[int, Secret],
        record: dict[str, str],
    ) -> str:
        """The file. ``opened``: the keys of partitions that are open, by slot, which it covers from now on."""
        from hsm.domain import form

        old, device = self.head, self._store.device_key
        domain = old.domain or str(uuid.uuid4())
        wrapping = old.wrapping_key(device) if old.is_there else ARENA.random()
        private, public = sealing.new_pair()
        head = DomainHead(
            domain, old.generation + 1, public, sealed_wrapping(device, domain, wrapping),
            tuple(map(form.thumbprint, custodians)), required, clock.microseconds(),
        )
        about = {"domain": domain, "generation": head.generation, "required": required, "made": clock.moment(head.at)}
        about["custodians"] = list(head.custodians)
        data = {ABOUT: json.dumps(about).encode(), PAIR: private, WRAPPING: bytes(wrapping)}
        text = form.written(data, custodians, required)
        with self._store.transaction() as tx:
            tx.set_domain(head)
            for slot, key in opened.items():
                tx.cover(slot, key)
            tx.audit(record)
        self.close()
        return text

    def exchange(self, record: dict[str, str]) -> bytes:
        """The certificate, in PEM, that a restore blob is to be sealed to. Its private key waits for the upload."""
        from datetime import UTC, datetime, timedelta

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.x509.oid import NameOID

        private = rsa.generate_private_key(65537, _EXCHANGE_BITS)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Adyton security domain exchange")])
        now = datetime.fromtimestamp(clock.now(), UTC)
        made = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=_EXCHANGE_DAYS)).sign(private, hashes.SHA256())
        )
        raw = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        sealed = sealing.seal(sealing.derive(self._store.device_key, b"exchange"), raw, b"")
        with self._store.transaction() as tx:
            tx.set_domain(tx.pool_head.domain._replace(exchange=sealed))
            tx.audit(record)
        return made.public_bytes(serialization.Encoding.PEM)

    def upload(self, text: bytes, record: dict[str, str]) -> bool:
        """Takes the blob. Returns whether the pool had no domain before, and has this one now. The exchange key is gone
        afterwards, so that a blob is of use once."""
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        from hsm.domain import form
        from hsm.domain.jwe import Unfit

        old, device = self.head, self._store.device_key
        if not old.exchange:
            words = "no upload is waited for: adyton security-domain init-recovery comes first"
            raise TokenError(ck.CKR_ARGUMENTS_BAD, words)
        raw = sealing.unseal(sealing.derive(device, b"exchange"), old.exchange, b"")
        exchange = load_der_private_key(raw, None)
        assert isinstance(exchange, RSAPrivateKey)
        try:
            data = form.taken(text, exchange)
            about = json.loads(data[ABOUT])
            domain, generation, private, wrapping = about["domain"], about["generation"], data[PAIR], data[WRAPPING]
            required, custodians = int(about["required"]), tuple(map(str, about["custodians"]))
            fit = isinstance(domain, str) and isinstance(generation, int) and (len(private), len(wrapping)) == (32, 32)
        except (Unfit, ValueError, KeyError, TypeError) as fault:
            words = str(fault) if isinstance(fault, Unfit) else "it holds no security domain of an Adyton pool"
            raise TokenError(ck.CKR_ARGUMENTS_BAD, f"the blob can't be taken: {words}") from None
        if not fit or not 0 < generation < 1 << 32:
            raise TokenError(ck.CKR_ARGUMENTS_BAD, "the blob can't be taken: it holds no security domain of Adyton's")
        if old.is_there and old.domain != domain:
            words = f"the blob is of security domain {domain}, and this pool has {old.domain}: another pool takes it"
            raise TokenError(ck.CKR_ARGUMENTS_BAD, words, domain)
        new = not old.is_there
        head = old._replace(exchange=b"")
        if new:
            public = sealing.public_of(private)
            sealed = sealed_wrapping(device, domain, wrapping)
            head = DomainHead(domain, generation, public, sealed, custodians, required, clock.microseconds())
        with self._store.transaction() as tx:
            tx.set_domain(head)
            tx.audit({**record, "domain": domain})
        self._private, self._until = ARENA.keep(private), clock.passed() + OPEN_FOR
        return new

    def partition_key(self, slot: int) -> Secret:
        """Of a partition that this domain covers, while it is open."""
        if not self.is_open or self._private is None:
            words = "the security domain is not open: its custodians open it, by adyton security-domain upload"
            raise TokenError(ck.CKR_FUNCTION_REJECTED, words)
        head = self._store.heads[slot]
        if not head.covered:
            words = f"no security domain covers partition {slot}: it was not open since the download"
            raise TokenError(ck.CKR_FUNCTION_REJECTED, words)
        try:
            found = sealing.open_copy(self._private, head.covered[4:], sealing.covering(head.serial))
        except sealing.Damaged:
            words = "the file that was uploaded is of another download than the one that covers this partition"
            raise TokenError(ck.CKR_FUNCTION_REJECTED, words) from None
        if found is None:
            raise TokenError(ck.CKR_DEVICE_ERROR, "the partition's copy for the security domain is damaged")
        return found

