"""Who may do what: Azure Managed HSM's data actions and built-in roles, one row a data action.

The rows of ``_TABLE`` are Microsoft's table "Managed HSM local RBAC built-in roles", with its column heads. Those
marked *enum* stand only in the SDKs' list of data actions. ``_OURS`` are Adyton's own, for what Azure leaves to Entra
ID, to its control plane and to Azure Monitor. Azure's table marks deletedKeys/delete for the Crypto Auditor too, whose
description says that it only reads: that mark is not taken over.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from hsm.errors import TokenError

AZURE = "Microsoft.KeyVault/managedHsm"
OURS = "Adyton/managedHsm"
# Data action, and the built-in roles that have it.
_TABLE = """
    /securitydomain/download/action  AD
    /securitydomain/download/read    AD                enum
    /securitydomain/upload/action    AD
    /securitydomain/upload/read      AD
    /securitydomain/transferkey/read AD
    /keys/read/action                CU SE AU
    /keys/write/action               CU
    /keys/rotate/action              CU
    /keys/create                     CU
    /keys/delete                     CU
    /keys/deletedKeys/read/action    CO
    /keys/deletedKeys/recover/action CO
    /keys/deletedKeys/delete         CO
    /keys/backup/action              CU BK
    /keys/restore/action             CU RS
    /keys/release/action             CU SR
    /keys/import/action              CU
    /keys/export/action              CO                enum
    /keys/encrypt/action             CU
    /keys/decrypt/action             CU
    /keys/wrap/action                CU SE
    /keys/unwrap/action              CU SE
    /keys/sign/action                CU
    /keys/verify/action              CU
    /rng/action                      CU                enum
    /roleAssignments/read/action     AD CO CU PA AU
    /roleAssignments/write/action    AD CO PA
    /roleAssignments/delete/action   AD CO PA
    /roleDefinitions/read/action     AD CO CU PA AU
    /roleDefinitions/write/action    AD CO PA
    /roleDefinitions/delete/action   AD CO PA
    /backup/start/action             AD BK
    /backup/status/action            AD BK
    /restore/start/action            AD RS
    /restore/status/action           AD RS
"""
_OURS = """
    /officers/read/action            AD CO PA AU
    /officers/write/action           AD
    /officers/delete/action          AD
    /keys/trust/action               AD
    /partition/write/action          AD
    /partition/delete/action         AD
    /audit/read/action               AD AU
"""


class RoleDefinition(NamedTuple):
    """``name`` is its GUID, as in Azure's own ids; a data action may hold ``*``, which stands for anything."""

    name: str
    role_name: str
    description: str
    data_actions: tuple[str, ...]
    not_data_actions: tuple[str, ...] = ()
    built_in: bool = False

    @property
    def permits(self) -> frozenset[str]:
        """The data actions of the tables above that this comes to; strings that are in none are kept, and give none."""
        return _permits(self.data_actions, self.not_data_actions)


def _rows(text: str, prefix: str) -> dict[str, frozenset[str]]:
    rows = (line.split() for line in text.splitlines() if line.strip())
    return {prefix + action: frozenset(held) - {"enum"} for action, *held in rows}


ACTIONS = {**_rows(_TABLE, AZURE), **_rows(_OURS, OURS)}
_BUILT_IN = (
    ("AD", "a290e904-7015-4bba-90c8-60543313cdb4", "Administrator",
     "security domain, full backup and restore, role management; no key operation"),
    ("CO", "515eb02d-2335-4d2d-92f2-b1cbdf9c3778", "Crypto Officer",
     "role management; lists, recovers and purges deleted keys"),
    ("CU", "21dbd100-6940-42c2-9190-5d6cb909625b", "Crypto User",
     "manages and uses keys; does not recover or purge deleted ones"),
    ("PA", "4bd23610-cdcf-4971-bdee-bdc562cc28e4", "Policy Administrator", "creates and deletes role assignments"),
    ("SE", "33413926-3206-4cdd-b39a-83574fe37a17", "Crypto Service Encryption User", "reads keys, wraps and unwraps"),
    ("BK", "7b127d3c-77bd-4e3e-bbe0-dbb8971fa7f8", "Backup", "backs up keys and the whole HSM"),
    ("AU", "2c18b078-7c48-4d3a-af88-5a3a1b3f82b3", "Crypto Auditor",
     "reads keys' attributes, role data and the audit log"),
    ("SR", "21dbd100-6940-42c2-9190-5d6cb909625c", "Crypto Service Release User", "releases keys"),
    ("RS", "6efe6056-5259-49d2-8b3d-d3d73544b20b", "Restore", "restores keys and the whole HSM"),
)
BUILT_IN = {
    guid: RoleDefinition(
        guid, f"Managed HSM {title}", meaning, tuple(action for action, held in ACTIONS.items() if short in held),
        built_in=True,
    )
    for short, guid, title, meaning in _BUILT_IN
}
ADMINISTRATOR, CRYPTO_OFFICER, CRYPTO_USER = (row[1] for row in _BUILT_IN[:3])

KEY_READ, KEY_WRITE = f"{AZURE}/keys/read/action", f"{AZURE}/keys/write/action"
KEY_CREATE, KEY_DELETE, KEY_IMPORT = f"{AZURE}/keys/create", f"{AZURE}/keys/delete", f"{AZURE}/keys/import/action"
KEY_BACKUP, KEY_ROTATE = f"{AZURE}/keys/backup/action", f"{AZURE}/keys/rotate/action"
DELETED_KEY_READ, DELETED_KEY_DELETE = f"{AZURE}/keys/deletedKeys/read/action", f"{AZURE}/keys/deletedKeys/delete"
DOMAIN_DOWNLOAD = f"{AZURE}/securitydomain/download/action"
DOMAIN_UPLOAD = f"{AZURE}/securitydomain/upload/action"
DELETED_KEY_RECOVER = f"{AZURE}/keys/deletedKeys/recover/action"
KEY_RESTORE = f"{AZURE}/keys/restore/action"
BACKUP_START, RESTORE_START = f"{AZURE}/backup/start/action", f"{AZURE}/restore/start/action"
ASSIGNMENTS_READ, ASSIGNMENTS_WRITE = f"{AZURE}/roleAssignments/read/action", f"{AZURE}/roleAssignments/write/action"
ASSIGNMENTS_DELETE = f"{AZURE}/roleAssignments/delete/action"
DEFINITIONS_READ, DEFINITIONS_WRITE = f"{AZURE}/roleDefinitions/read/action", f"{AZURE}/roleDefinitions/write/action"
DEFINITIONS_DELETE = f"{AZURE}/roleDefinitions/delete/action"
OFFICERS_READ, OFFICERS_WRITE = f"{OURS}/officers/read/action", f"{OURS}/officers/write/action"
OFFICERS_DELETE = f"{OURS}/officers/delete/action"
KEY_TRUST = f"{OURS}/keys/trust/action"
PARTITION_WRITE, PARTITION_DELETE = f"{OURS}/partition/write/action", f"{OURS}/partition/delete/action"
AUDIT_READ = f"{OURS}/audit/read/action"
# What is done with keys; an Administrator's session has none of it.
OF_KEYS = frozenset(action for action in ACTIONS if action.startswith(f"{AZURE}/keys/"))


@lru_cache(maxsize=256)
def _permits(data_actions: tuple[str, ...], not_data_actions: tuple[str, ...]) -> frozenset[str]:
    return frozenset(
        action for action in ACTIONS if _any(action, data_actions) and not _any(action, not_data_actions)
    )


def least(action: str) -> RoleDefinition | None:
    """The built-in role that has this data action and the fewest others."""
    having = [role for role in BUILT_IN.values() if action in role.data_actions]
    return min(having, key=lambda role: len(role.data_actions), default=None)


def scope_of(name: str) -> str:
    """Of the key of that name; without one, of the partition."""
    return f"/keys/{name}" if name else "/"


def denial(officer: str, action: str, name: str, rv: int) -> TokenError:
    """In Azure's words: the officer, the data action, the scope."""
    scope, who = scope_of(name), f"officer {officer}" if officer else "nobody logged in"
    words = f"{who} has no role assignment with {action} at scope {scope}"
    return TokenError(rv, words, action, scope=scope, officer=officer)


def _any(action: str, patterns: Iterable[str]) -> bool:
    """Azure compares actions without regard to case."""
    return any(_matches(action.lower().encode(), pattern.lower().encode()) for pattern in patterns)


def _matches(action: bytes, pattern: bytes) -> bool:
    """``*`` stands for anything: what is between two of them is looked for from the left, which never goes back."""
    first, *rest = pattern.split(b"*")
    if not rest:
        return action == pattern
    *middle, last = rest
    if not (action.startswith(first) and action.endswith(last) and len(first) + len(last) <= len(action)):
        return False
    at, end = len(first), len(action) - len(last)
    for part in middle:
        found = action.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
