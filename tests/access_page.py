"""Writes hsm/access/README.md: the roles, what each call of PKCS#11 and each act asks for, the kinds of partitions.

Run by tools/generate; a test holds the page against a fresh one.
"""

from __future__ import annotations

from pathlib import Path

from hsm.access import roles
from hsm.access.calls import AS_BEGUN, CALLS, FREE
from hsm.access.kinds import KINDS
from hsm.access.profile import PROFILES
from hsm.errors import code_name
from hsm.management.registry import ACTS
from pkcs11_shim import constants as ck

PAGE = Path(__file__).resolve().parent.parent / "hsm/access/README.md"
SHORT = {definition.name: short for short, definition in zip(
    ("AD", "CO", "CU", "PA", "SE", "BK", "AU", "SR", "RS"), roles.BUILT_IN.values(), strict=True
)}
HEAD = """\
# Who may do what

Written by `tools/generate`; not by hand. [Run a pool](../management/README.md) says how officers get their roles.

One question is asked at every use, in one place (`policy.py`): does this officer hold this *data action* on this key,
now? An officer holds what its *role assignments* give: each is a role at a *scope*, which is the whole partition (`/`
or `/keys`) or one key's name in all its versions (`/keys/NAME`). A key's name is fixed when it is made: its label,
where that has 1 to 127 letters, digits and hyphens, else `p11-` and 32 hex digits. Certificates and data have no
name, so what is done with private ones has to be held at `/` or `/keys`.
"""
ROLES = """
## Roles

The table is Microsoft's "Managed HSM local RBAC built-in roles", with its columns. What begins with `Adyton/` is
ours, for what Azure leaves to Entra ID, its control plane and Azure Monitor. Three rows stand only in the list of
Azure's SDKs: `securitydomain/download/read`, `keys/export/action`, `rng/action`. Microsoft's table also marks
`deletedKeys/delete` under AU, whose description says that it only reads; here it is not given. Rows about deleted
keys, rotation, release, backup, restore and the security domain are held, as in Azure, but nothing asks for them yet;
`keys/backup` is asked for where a key leaves the token or its name.

| | built-in role | GUID |
| --- | --- | --- |
"""
CALLS_HEAD = """
## What each call asks for

On private objects of the token; in kind `managed-hsm` making, changing and destroying any token object asks too.
Objects of a session are the application's own: nothing is asked for them, except where one has the value of a token
key (copied, unwrapped, imported), which then is asked for under that key's name. Whatever is done with a handle,
`keys/read` is asked first: what an officer may not read is not found, and its handle is invalid. Actions on keys
count in CKU_USER sessions only, the others in CKU_SO sessions and at `adyton`.

| call | data action | on | refused with |
| --- | --- | --- | --- |
"""
STEPS = """
The steps of an operation ask for what began it, each time: {steps}. Where a role was taken away meanwhile, the
operation is over: CKR_OPERATION_NOT_INITIALIZED.

A new token key that has a token key's value under another name, or is public, also asks for `keys/backup` on that key,
however it is made, and also where only a session's copy is left of it. C_WrapKey asks for it on a session object too
that has a token key's value, and so does C_DigestKey; C_GetAttributeValue does for the value of a key that shows it:
CKR_ATTRIBUTE_SENSITIVE.

These ask for nothing:

"""
NOBODY = """
### Not logged in

A row of its own, which no role takes away: find and read objects with CKA_PRIVATE FALSE, use public keys, digest,
take random numbers, and make, use and destroy session objects that are not private. Public token objects are made,
changed and destroyed by a read/write session in kind `token`; in kind `managed-hsm` only by an officer who holds the
action.
"""
KINDS_HEAD = """
## Kinds of partitions

| kind | private and secret token keys | public token objects without login | custom roles | \
assignments at `/` and `/keys` | at each key's scope | retention of what is deleted |
| --- | --- | --- | --- | --- | --- | --- |
"""
PROFILES_HEAD = """
## Profiles

What keys may do to each other is the profile's matter. `strict` is what partitions have, and what kind `managed-hsm`
keeps. `adyton partition set SLOT --profile compatible` takes these rules back, by the partition's Administrator and
with a record in the log; what it opens is what [the attacks](../../tests/attacks/README.md) of these names get. Back to
`strict` is at once, for all keys: the rules are asked at each use. There is a narrower way for one wrapping key
that was imported: the Administrator sets its CKA_TRUSTED.

| let | what is let | needed by | attacks that succeed by it |
| --- | --- | --- | --- |
"""
SWITCHES = """
Two more settings of a partition, off by default in both profiles: `--legacy on` offers triple DES and MD5, and
`--weak-token-keys on` lets RSA below 2048 bits and elliptic curves below 224 be token keys, which else are session keys
only. Whoever factors a short modulus has the key, whatever guards it here. Keys that are there stay, and can be used,
when that is turned off.
"""
ACTS_HEAD = """
## What each command asks for

The commands of `adyton` ask the engine for acts, each of them for a data action at `/`, or at the scope that an
assignment is made or taken away at. "The owner" is the user whom the pool belongs to, or root: he is needed besides.

| act | data action |
| --- | --- |
"""
# Of acts whose functions decide more than a data action says.
SAID = {
    "officer-waiting": "none: an officer whose PIN opens the partition's keys",
    "officer-approve": "none: an officer whose PIN opens the partition's keys",
    "officer-set-pin": "for another officer `Adyton/managedHsm/officers/write/action`; one's own PIN takes the old one",
    "partition-set": "where it is initialised, `Adyton/managedHsm/partition/write/action`",
    "partition-delete": "where it is initialised, `Adyton/managedHsm/partition/delete/action`, while any officer that "
    "has it is not locked out",
    "partition-unattended": "none: an officer whose PIN opens the partition's keys; to end it "
    "`Adyton/managedHsm/partition/write/action` will do",
    "proposal-list": "none: what an officer has proposed or may approve; all with `officers/read` or `audit/read`",
    "proposal-show": "the same",
    "proposal-approve": "what the proposed act asks for",
    "proposal-reject": "the same; none for one's own",
}


def _short(action: str) -> str:
    return action.removeprefix(f"{roles.AZURE}/").removesuffix("/action")


def _roles() -> str:
    lines = [
        f"| {SHORT[guid]} | {role.role_name}: {role.description} | `{guid}` |\n"
        for guid, role in roles.BUILT_IN.items()
    ]
    lines += ["\n", f"| data action | {' | '.join(SHORT.values())} |\n", f"| --- |{' --- |' * len(SHORT)}\n"]
    for action in roles.ACTIONS:
        marks = ("●" if action in role.permits else " " for role in roles.BUILT_IN.values())
        lines.append(f"| `{action.removeprefix('Microsoft.KeyVault/managedHsm')}` | {' | '.join(marks)} |\n")
    return "".join(lines)


def _calls() -> str:
    return "".join(
        f"| {function} | {', '.join(f'`{_short(action)}`' for action in row.actions)} | {row.on} | "
        f"{code_name(row.rv) if row.rv != ck.CKR_OK else 'not found'} |\n"
        for function, row in CALLS.items()
    )


def _kinds() -> str:
    return "".join(
        f"| `{kind.name}` | {'private, sensitive, never extractable' if kind.guarded else 'as the template says'} | "
        f"{'no change' if kind.guarded else 'by a read/write session'} | "
        f"{' | '.join(f'{most} at most' if most else 'any number' for most in kind[2:5])} | "
        f"{f'{kind.retention} days, or as it is made' if kind.retention else 'none, or as it is made'} |\n"
        for kind in KINDS.values()
    )


def _profiles() -> str:
    return "".join(
        f"| `{let.name}` | {let.lets} | {let.needed_by} | {', '.join(f'`{name}`' for name in let.opens)} |\n"
        for lets in PROFILES.values() for let in lets
    )


def _acts() -> str:
    return "".join(
        f"| {act.name} | {SAID.get(act.name) or (f'`{act.asks}`' if act.asks in roles.ACTIONS else 'none')}"
        f"{'; the owner' if act.owners else ''} |\n" for act in ACTS.values()
    )


def page() -> str:
    steps = f"{', '.join(AS_BEGUN[:-1])} and {AS_BEGUN[-1]}"
    free = "".join(f"- {why}: {', '.join(names)}\n" for why, names in FREE.items())
    return "".join((
        HEAD, ROLES, _roles(), CALLS_HEAD, _calls(), STEPS.format(steps=steps), free, NOBODY, KINDS_HEAD, _kinds(),
        PROFILES_HEAD, _profiles(), SWITCHES, ACTS_HEAD, _acts(),
    ))


if __name__ == "__main__":
    PAGE.write_text(page())
