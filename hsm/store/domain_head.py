"""What a pool knows of its security domain (hsm/domain), in its head: who holds it, and what it seals."""

from __future__ import annotations

from typing import NamedTuple

from hsm.confinement.arena import Secret
from hsm.store import sealing

_ID, _GENERATION, _PUBLIC, _WRAPPING, _CUSTODIANS, _REQUIRED, _AT, _EXCHANGE = range(1, 9)


class DomainHead(NamedTuple):
    """``domain``: its id for good. ``generation``: how often it was downloaded, each time with a new pair, whose
    ``public`` half partition keys are sealed to. ``wrapping``: the data-wrapping key, and ``exchange``: the private
    key of an exchange certificate that waits for an upload, both sealed under the device key. ``custodians``:
    thumbprints of the certificates, of whom ``required`` together have the private half. ``at``: microseconds since the
    epoch."""

    domain: str = ""
    generation: int = 0
    public: bytes = b""
    wrapping: bytes = b""
    custodians: tuple[str, ...] = ()
    required: int = 0
    at: int = 0
    exchange: bytes = b""

    def pack(self) -> bytes:
        return sealing.pack({
            _ID: self.domain.encode(), _GENERATION: self.generation.to_bytes(4, "little"), _PUBLIC: self.public,
            _WRAPPING: self.wrapping, _CUSTODIANS: " ".join(self.custodians).encode(),
            _REQUIRED: bytes([self.required]), _AT: self.at.to_bytes(8, "little"), _EXCHANGE: self.exchange,
        })

    @classmethod
    def unpack(cls, raw: bytes) -> DomainHead:
        found = sealing.unpack(raw)
        return cls(
            found[_ID].decode(), int.from_bytes(found[_GENERATION], "little"), found[_PUBLIC], found[_WRAPPING],
            tuple(found[_CUSTODIANS].decode().split()), found[_REQUIRED][0], int.from_bytes(found[_AT], "little"),
            found[_EXCHANGE],
        )

    @property
    def is_there(self) -> bool:
        return bool(self.domain)

    def wrapping_key(self, device_key: Secret) -> Secret:
        return sealing.unseal_key(sealing.derive(device_key, b"data-wrapping"), self.wrapping, self.domain.encode())


def sealed_wrapping(device_key: Secret, domain: str, key: Secret) -> bytes:
    return sealing.seal(sealing.derive(device_key, b"data-wrapping"), key, domain.encode())
