"""The one question: may this login do this data action on this object, now?

The actions and roles are Azure Managed HSM's, by the same names. A session's own objects need no action; a row of its
own says what nobody logged in may do. Every door asks here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsm.errors import TokenError
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Session
    from hsm.objects.token_object import TokenObject

PREFIX = "Microsoft.KeyVault/managedHsm"

# What a use of a key is called in Azure's table of data actions.
ACTION_OF_USE = {
    "sign": f"{PREFIX}/keys/sign/action",
    "verify": f"{PREFIX}/keys/verify/action",
    "sign_recover": f"{PREFIX}/keys/sign/action",
    "verify_recover": f"{PREFIX}/keys/verify/action",
    "encrypt": f"{PREFIX}/keys/encrypt/action",
    "decrypt": f"{PREFIX}/keys/decrypt/action",
    "wrap": f"{PREFIX}/keys/wrap/action",
    "unwrap": f"{PREFIX}/keys/unwrap/action",
    "derive": f"{PREFIX}/keys/decrypt/action",
}
KEY_ACTIONS = frozenset(ACTION_OF_USE.values()) | {
    f"{PREFIX}/keys/read/action",
    f"{PREFIX}/keys/write/action",
    f"{PREFIX}/keys/create",
    f"{PREFIX}/keys/delete",
    f"{PREFIX}/keys/import/action",
}
ADMINISTRATOR = "a290e904-7015-4bba-90c8-60543313cdb4"
CRYPTO_OFFICER = "515eb02d-2335-4d2d-92f2-b1cbdf9c3778"
CRYPTO_USER = "21dbd100-6940-42c2-9190-5d6cb909625b"
ROLES: dict[str, tuple[str, frozenset[str]]] = {
    ADMINISTRATOR: ("Managed HSM Administrator", frozenset()),
    CRYPTO_OFFICER: ("Managed HSM Crypto Officer", frozenset()),
    CRYPTO_USER: ("Managed HSM Crypto User", KEY_ACTIONS),
}
# The officers that the standard knows, and their roles.
OFFICERS = {"so": (ADMINISTRATOR,), "user": (CRYPTO_OFFICER, CRYPTO_USER)}
_ACTIONS = {
    user_type: frozenset().union(*(ROLES[role][1] for role in OFFICERS[officer]))
    for user_type, officer in ((ck.CKU_SO, "so"), (ck.CKU_USER, "user"))
}


def permitted(session: Session, action: str) -> bool:
    """Whether the session's login holds a role with this data action."""
    login = session.login
    if login is None:
        return False
    return action in _ACTIONS[login.user_type]


def check_use(session: Session, key: TokenObject, use: str) -> None:
    """Raises the code for a use that the login may not make.

    Session objects are the application's own; public token objects may be used by anybody (the row «not logged in»).
    """
    if not key.is_token or not key.private or permitted(session, ACTION_OF_USE[use]):
        return
    rv = ck.CKR_USER_NOT_LOGGED_IN if use in ("wrap", "unwrap", "derive") else ck.CKR_KEY_FUNCTION_NOT_PERMITTED
    raise TokenError(rv, f"no role of this login has {ACTION_OF_USE[use]}", ACTION_OF_USE[use])
