"""The kinds of partitions, one row each: what a plain PKCS#11 token does and what a managed HSM does otherwise."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """``guarded``: private and secret token keys are private, sensitive and unextractable, and nothing is changed on
    the token without a login. The limits are on custom role definitions, on assignments at the scope of the whole
    partition and on those at one key's; 0 is none. ``retention``: days for which deleting can be taken back, where a
    new partition does not say; 0 is none."""

    name: str
    guarded: bool
    most_definitions: int
    most_assignments: int
    most_of_a_key: int
    retention: int


KINDS = {
    kind.name: kind for kind in (
        Kind("token", False, 0, 0, 0, 0),
        Kind("managed-hsm", True, 50, 50, 10, 90),
    )
}


class KeyLimits(NamedTuple):
    """How many keys a partition may have, deleted ones counted in, and how many versions one of them."""

    keys: int
    versions: int


KEY_LIMITS: dict[str, KeyLimits | None] = {"none": None, "azure": KeyLimits(5000, 100)}
