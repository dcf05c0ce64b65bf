"""The key that backups lie under: the data-wrapping key of the pool's security domain.

Every pool that has the domain has the key, and nobody else. So a backup can be restored wherever the domain is, and is
of no use where it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hsm.confinement.arena import Secret
from hsm.errors import TokenError
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.pool import Pool


class Wrapping(NamedTuple):
    """The security domain, by its id, and its data-wrapping key."""

    domain: str
    key: Secret


def of(pool: Pool) -> Wrapping:
    """Raises where the pool has no security domain: what would be backed up could never be restored elsewhere."""
    domain = pool.store.pool_head.domain
    if domain.is_there:
        return Wrapping(domain.domain, domain.wrapping_key(pool.store.device_key))
    words = "this pool has no security domain yet, under whose key backups lie"
    raise TokenError(ck.CKR_FUNCTION_REJECTED, f"{words}. Download it first: adyton security-domain download --help")
