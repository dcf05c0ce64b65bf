"""What each role may do, typed by hand: from Microsoft's page "Managed HSM local RBAC built-in roles", and, for what
that page doesn't know (PKCS#11's functions, officers, the audit log), from Adyton's documentation.

Nothing here is made from hsm/access: this file is what that one is held against. A row has one letter for each of

    AD Administrator    CO Crypto Officer    CU Crypto User    PA Policy Administrator
    SE Crypto Service Encryption User        BK Backup         AU Crypto Auditor
    SR Crypto Service Release User           RS Restore

in this order.
"""

from __future__ import annotations

from typing import NamedTuple

ROLES = ("AD", "CO", "CU", "PA", "SE", "BK", "AU", "SR", "RS")
# The names and GUIDs on Microsoft's page.
GUIDS = {
    "AD": ("Managed HSM Administrator", "a290e904-7015-4bba-90c8-60543313cdb4"),
    "CO": ("Managed HSM Crypto Officer", "515eb02d-2335-4d2d-92f2-b1cbdf9c3778"),
    "CU": ("Managed HSM Crypto User", "21dbd100-6940-42c2-9190-5d6cb909625b"),
    "PA": ("Managed HSM Policy Administrator", "4bd23610-cdcf-4971-bdee-bdc562cc28e4"),
    "SE": ("Managed HSM Crypto Service Encryption User", "33413926-3206-4cdd-b39a-83574fe37a17"),
    "BK": ("Managed HSM Backup", "7b127d3c-77bd-4e3e-bbe0-dbb8971fa7f8"),
    "AU": ("Managed HSM Crypto Auditor", "2c18b078-7c48-4d3a-af88-5a3a1b3f82b3"),
    "SR": ("Managed HSM Crypto Service Release User", "21dbd100-6940-42c2-9190-5d6cb909625c"),
    "RS": ("Managed HSM Restore", "6efe6056-5259-49d2-8b3d-d3d73544b20b"),
}

# Microsoft's table, row by row, under Microsoft.KeyVault/managedHsm. Its mark for the Auditor at deletedKeys/delete is
# not here: the same page says of that role that it reads.
AZURES = """
                                     AD CO CU PA SE BK AU SR RS
    /securitydomain/download/action   X  .  .  .  .  .  .  .  .
    /securitydomain/upload/action     X  .  .  .  .  .  .  .  .
    /securitydomain/upload/read       X  .  .  .  .  .  .  .  .
    /securitydomain/transferkey/read  X  .  .  .  .  .  .  .  .
    /keys/read/action                 .  .  X  .  X  .  X  .  .
    /keys/write/action                .  .  X  .  .  .  .  .  .
    /keys/rotate/action               .  .  X  .  .  .  .  .  .
    /keys/create                      .  .  X  .  .  .  .  .  .
    /keys/delete                      .  .  X  .  .  .  .  .  .
    /keys/deletedKeys/read/action     .  X  .  .  .  .  .  .  .
    /keys/deletedKeys/recover/action  .  X  .  .  .  .  .  .  .
    /keys/deletedKeys/delete          .  X  .  .  .  .  .  .  .
    /keys/backup/action               .  .  X  .  .  X  .  .  .
    /keys/restore/action              .  .  X  .  .  .  .  .  X
    /keys/release/action              .  .  X  .  .  .  .  X  .
    /keys/import/action               .  .  X  .  .  .  .  .  .
    /keys/encrypt/action              .  .  X  .  .  .  .  .  .
    /keys/decrypt/action              .  .  X  .  .  .  .  .  .
    /keys/wrap/action                 .  .  X  .  X  .  .  .  .
    /keys/unwrap/action               .  .  X  .  X  .  .  .  .
    /keys/sign/action                 .  .  X  .  .  .  .  .  .
    /keys/verify/action               .  .  X  .  .  .  .  .  .
    /roleAssignments/read/action      X  X  X  X  .  .  X  .  .
    /roleAssignments/write/action     X  X  .  X  .  .  .  .  .
    /roleAssignments/delete/action    X  X  .  X  .  .  .  .  .
    /roleDefinitions/read/action      X  X  X  X  .  .  X  .  .
    /roleDefinitions/write/action     X  X  .  X  .  .  .  .  .
    /roleDefinitions/delete/action    X  X  .  X  .  .  .  .  .
    /backup/start/action              X  .  .  .  .  X  .  .  .
    /backup/status/action             X  .  .  .  .  X  .  .  .
    /restore/start/action             X  .  .  .  .  .  .  .  X
    /restore/status/action            X  .  .  .  .  .  .  .  X
"""
# In Azure's SDKs only: the Officer "can export keys"; nobody else is said to have random bytes or that status.
OF_THE_SDKS = """
    /securitydomain/download/read     X  .  .  .  .  .  .  .  .
    /keys/export/action               .  X  .  .  .  .  .  .  .
    /rng/action                       .  .  X  .  .  .  .  .  .
"""
# Adyton's own, under Adyton/managedHsm.
OURS = """
    /officers/read/action             X  X  .  X  .  .  X  .  .
    /officers/write/action            X  .  .  .  .  .  .  .  .
    /officers/delete/action           X  .  .  .  .  .  .  .  .
    /keys/trust/action                X  .  .  .  .  .  .  .  .
    /partition/write/action           X  .  .  .  .  .  .  .  .
    /partition/delete/action          X  .  .  .  .  .  .  .  .
    /audit/read/action                X  .  .  .  .  .  X  .  .
"""

# What a letter below stands for. A dot: what is not there for the caller, found by no search, its handle invalid.
CODES = {
    "+": "CKR_OK",
    "f": "CKR_KEY_FUNCTION_NOT_PERMITTED",
    "a": "CKR_ACTION_PROHIBITED",
    "l": "CKR_USER_NOT_LOGGED_IN",
    "p": "CKR_PIN_INCORRECT",
    "r": "CKR_ATTRIBUTE_READ_ONLY",
    "s": "CKR_ATTRIBUTE_SENSITIVE",
    "i": "CKR_KEY_INDIGESTIBLE",
    "u": "CKR_USER_PIN_NOT_INITIALIZED",
}
# What is done with keys of the name "this", with the role held at one scope; the last letter is for nobody logged in.
# Who has role management only (AD, PA) is logged in as CKU_SO where it holds that at /, everybody else as CKU_USER;
# role management at one key makes no SO. A row that begins with a kind's name is for that kind only.
CALLS = """
                                              /          /keys/this  /keys/other
                                          ACCPSBASR   ACCPSBASR   ACCPSBASR
                                          DOUAEKURS   DOUAEKURS   DOUAEKURS  nobody
log in as CKU_SO                          ++p+ppppp   ppppppppp   ppppppppp  p
log in as CKU_USER                        p++p+++++   +++++++++   +++++++++  p

find a key                                ..+.+.+..   ..+.+.+..   .........  .
read a key's label                        ..+.+.+..   ..+.+.+..   .........  .
a key's size                              ..+.+.+..   ..+.+.+..   .........  .
find a public key                         +++++++++   +++++++++   +++++++++  +
read a public key                         +++++++++   +++++++++   +++++++++  +
find a wrapping key                       +.+.+.+..   ..+.+.+..   .........  .
read a wrapping key's label               +.+.+.+..   ..+.+.+..   .........  .
read a wrapping key's id                  s.+.+.+..   ..+.+.+..   .........  .
set a wrapping key's label                a.+.a.a..   ..+.a.a..   .........  .
set a wrapping key's CKA_TRUSTED          +.r.r.r..   ..r.r.r..   .........  .
destroy a wrapping key                    ..+.a.a..   ..+.a.a..   .........  .
set a key's label                         ..+.a.a..   ..+.a.a..   .........  .
destroy a key                             ..+.a.a..   ..+.a.a..   .........  .
copy a key for the session                ..+.+.+..   ..+.+.+..   .........  .
copy a key                                ..+.a.a..   ..+.a.a..   .........  .
copy a key under a new name               ..+.a.a..   ..a.a.a..   .........  .

sign                                      ..+.f.f..   ..+.f.f..   .........  .
sign by a pair                            ..+.f.f..   ..+.f.f..   .........  .
sign with recovery                        ..+.f.f..   ..+.f.f..   .........  .
verify                                    ..+.f.f..   ..+.f.f..   .........  .
verify by a public key                    +++++++++   +++++++++   +++++++++  +
recover by a public key                   +++++++++   +++++++++   +++++++++  +
encrypt                                   ..+.f.f..   ..+.f.f..   .........  .
encrypt by a public key                   +++++++++   +++++++++   +++++++++  +
decrypt                                   ..+.f.f..   ..+.f.f..   .........  .
wrap a session key                        ..+.+.l..   ..+.+.l..   .........  .
token: wrap a token key                   ..+.l.l..   ..+.l.l..   .........  .
unwrap for the session                    ..+.+.l..   ..+.+.l..   .........  .
unwrap into a token key                   ..+.l.l..   ..+.l.l..   .........  .
unwrap into a new name                    ..+.l.l..   ..l.l.l..   .........  .
derive for the session                    ..+.l.l..   ..+.l.l..   .........  .
derive into a token key                   ..+.l.l..   ..+.l.l..   .........  .
derive into a new name                    ..+.l.l..   ..l.l.l..   .........  .
token: digest a key                       ..+.i.i..   ..+.i.i..   .........  .
managed-hsm: digest a key                 ..i.i.i..   ..i.i.i..   .........  .

generate a key                            ll+llllll   ll+llllll   lllllllll  l
generate a key of a new name              ll+llllll   lllllllll   lllllllll  l
generate a key without a name             ll+llllll   lllllllll   lllllllll  l
generate a pair                           ll+llllll   ll+llllll   lllllllll  l
generate a pair of a new name             ll+llllll   lllllllll   lllllllll  l
import a key                              ll+llllll   ll+llllll   lllllllll  l
import a key of a new name                ll+llllll   lllllllll   lllllllll  l
token: import a public key                +++++++++   +++++++++   +++++++++  +
managed-hsm: import a public key          ll+llllll   ll+llllll   lllllllll  l
make private data                         ll+llllll   lllllllll   lllllllll  l
token: make public data                   +++++++++   +++++++++   +++++++++  +
managed-hsm: make public data             ll+llllll   lllllllll   lllllllll  l
token: change public data                 +++++++++   +++++++++   +++++++++  +
managed-hsm: change public data           aa+aaaaaa   aaaaaaaaa   aaaaaaaaa  a
token: destroy public data                +++++++++   +++++++++   +++++++++  +
managed-hsm: destroy public data          aa+aaaaaa   aaaaaaaaa   aaaaaaaaa  a

make, use and destroy a session key       +++++++++   +++++++++   +++++++++  +
make a private session key                l++l+++++   +++++++++   +++++++++  l
digest                                    +++++++++   +++++++++   +++++++++  +
random bytes                              +++++++++   +++++++++   +++++++++  +
set one's own PIN                         +++++++++   +++++++++   +++++++++  +
set the user's PIN                        +llllllll   lllllllll   lllllllll  l
"""

# Acts of the command line, with the role held at one scope: whether it is done. Without an officer none is.
ACTS = """
                                          ACCPSBASR   ACCPSBASR   ACCPSBASR
                                          DOUAEKURS   DOUAEKURS   DOUAEKURS
officer create                            X........   .........   .........
officer list                              XX.X..X..   .........   .........
officer show                              XX.X..X..   .........   .........
officer update                            X........   .........   .........
officer delete                            X........   .........   .........
officer unlock                            X........   .........   .........
officer set-pin, another's                X........   .........   .........
officer set-pin, one's own                XXXXXXXXX   XXXXXXXXX   XXXXXXXXX
role definition list                      XXXX..X..   .........   .........
role definition show                      XXXX..X..   .........   .........
role definition create                    XX.X.....   .........   .........
role definition update                    XX.X.....   .........   .........
role definition delete                    XX.X.....   .........   .........
role assignment list                      XXXX..X..   .........   .........
role assignment list at this key          XXXX..X..   XXXX..X..   .........
role assignment create                    XX.X.....   .........   .........
role assignment create at this key        XX.X.....   XX.X.....   .........
role assignment delete                    XX.X.....   .........   .........
role assignment delete at this key        XX.X.....   XX.X.....   .........
partition set                             X........   .........   .........
partition delete                          X........   .........   .........
backup start                              X....X...   .........   .........
key backup at this key                    ..X..X...   ..X..X...   .........
key create at this key                    ..X......   ..X......   .........
key import at this key                    ..X......   ..X......   .........
key show at this key                      ..X.X.X..   ..X.X.X..   .........
key list-versions at this key             ..X.X.X..   ..X.X.X..   .........
key set-attributes at this key            ..X......   ..X......   .........
key rotate at this key                    ..X......   ..X......   .........
key rotation-policy show at this key      ..X.X.X..   ..X.X.X..   .........
key rotation-policy update at this key    ..X......   ..X......   .........
key delete at this key                    ..X......   ..X......   .........
key show-deleted at this key              .X.......   .X.......   .........
key recover at this key                   .X.......   .X.......   .........
key purge at this key                     .X.......   .X.......   .........
audit records                             X.....X..   .........   .........
audit export                              X.....X..   .........   .........
audit checkpoint                          X.....X..   .........   .........
audit key                                 X.....X..   .........   .........
"""

# Of an assignment that the SO has proposed under a two-person rule, at / or at this key: who may do what it asks for
# approves or rejects it (X); who only sees officers or the log sees it (a: CKR_ACTION_PROHIBITED beyond that); for
# everybody else it is not there.
PROPOSALS = """
                                          ACCPSBASR   ACCPSBASR   ACCPSBASR
                                          DOUAEKURS   DOUAEKURS   DOUAEKURS
proposal show                             XX.X..X..   .........   .........
proposal approve                          XX.X..a..   .........   .........
proposal reject                           XX.X..a..   .........   .........
proposal show at this key                 XX.X..X..   XX.X.....   .........
proposal approve at this key              XX.X..a..   XX.X.....   .........
proposal reject at this key               XX.X..a..   XX.X.....   .........
"""

SCOPES = ("/", "/keys/this", "/keys/other")


class Row(NamedTuple):
    """``letters``: a string of one for each role, for each scope; ``nobody``: nobody's, the empty string for acts."""

    name: str
    kind: str
    letters: dict[str, str]
    nobody: str


def actions() -> dict[str, frozenset[str]]:
    """Each data action, and the roles that have it."""
    held = {}
    parts = (("Microsoft.KeyVault/managedHsm", AZURES + OF_THE_SDKS), ("Adyton/managedHsm", OURS))
    for prefix, text in parts:
        for line in text.splitlines():
            if line.strip().startswith("/"):
                action, *marks = line.split()
                assert len(marks) == len(ROLES), line
                held[prefix + action] = frozenset(r for r, mark in zip(ROLES, marks, strict=True) if mark == "X")
    return held


def rows(text: str, last: int) -> list[Row]:
    """The rows of a table above, whose lines end in ``last`` letters for nobody."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("/", "ACCPSBASR", "DOUAEKURS"):
            continue
        at = len(words) - len(SCOPES) - last
        name, blocks = " ".join(words[:at]), words[at : at + len(SCOPES)]
        assert all(len(block) == len(ROLES) for block in blocks), line
        kind, colon, rest = name.partition(": ")
        found.append(Row(rest if colon else name, kind if colon else "", dict(zip(SCOPES, blocks, strict=True)),
                         words[-1] if last else ""))
    return found
