"""The one question: may this login do this data action on this object, now?

The actions and roles are Azure Managed HSM's (hsm/access/roles.py); which officer holds which is the directory's to say
(hsm/access/directory.py). A row of its own says what nobody logged in may do, and no role takes that away: read objects
that are not private, use public keys, and do anything with session objects, which are the application's own. Every door
asks here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hsm.access import roles
from hsm.access.kinds import Kind
from hsm.access.roles import AZURE
from hsm.errors import TokenError
from hsm.objects import about
from hsm.objects import attributes as table
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hsm.application import Session
    from hsm.objects.token_object import TokenObject

# What a use of a key is called in Azure's table of data actions. It has no row for key agreement and derivation: what
# they give is got out of the key as plaintext is got out by decryption.
ACTION_OF_USE = {
    "sign": f"{AZURE}/keys/sign/action",
    "verify": f"{AZURE}/keys/verify/action",
    "sign_recover": f"{AZURE}/keys/sign/action",
    "verify_recover": f"{AZURE}/keys/verify/action",
    "encrypt": f"{AZURE}/keys/encrypt/action",
    "decrypt": f"{AZURE}/keys/decrypt/action",
    "wrap": f"{AZURE}/keys/wrap/action",
    "unwrap": f"{AZURE}/keys/unwrap/action",
    "derive": f"{AZURE}/keys/decrypt/action",
}


class Making(NamedTuple):
    """What making a token key in some way asks for under the new key's name, and the code where a role says no."""

    action: str
    rv: int = ck.CKR_USER_NOT_LOGGED_IN


MAKING = {
    "create": Making(roles.KEY_IMPORT),
    "unwrap": Making(roles.KEY_IMPORT),
    "generate": Making(roles.KEY_CREATE),
    "derive": Making(roles.KEY_CREATE),
    "copy": Making(roles.KEY_CREATE, ck.CKR_ACTION_PROHIBITED),
}


def permitted(session: Session, action: str, key: TokenObject | str = "") -> bool:
    """Whether the session's login holds ``action`` on this key, of a name or yet to be; without one, on the partition.
    An Administrator's session (CKU_SO) has no data action on keys, whoever logged in."""
    login = session.login
    if login is None or login.must_change or (action in roles.OF_KEYS) != (login.user_type == ck.CKU_USER):
        return False
    return login.held.allows(action, key if isinstance(key, str) else key.name)


def _on_key(session: Session, action: str, key: TokenObject) -> bool:
    """The same for a data action on a key that is there, which every use asks for."""
    login = session.login
    return login is not None and login.is_user and login.held.allows(action, key.name)


def sees(session: Session, item: TokenObject) -> bool:
    """What may not be read is not there: not found, and its handle is invalid."""
    if item.owner is not None:
        return item.owner.application is session.application and (not item.private or session.is_user)
    return not item.private or _on_key(session, roles.KEY_READ, item)


def check_use(session: Session, key: TokenObject, use: str) -> None:
    """Raises the code for a use that the login may not make. A session object that has a token key's value is asked for
    under that key's name."""
    action = ACTION_OF_USE[use]
    if key.is_token:
        if not key.private or _on_key(session, action, key):
            return
        name = key.name()
    else:
        if not key.names or any(permitted(session, action, name) for name in key.names):
            return
        name = key.names[0]
    rv = ck.CKR_USER_NOT_LOGGED_IN if use in ("wrap", "unwrap", "derive") else ck.CKR_KEY_FUNCTION_NOT_PERMITTED
    raise denied(session, action, name, rv)


def check_leaves(session: Session, target: TokenObject, rv: int = ck.CKR_USER_NOT_LOGGED_IN) -> None:
    """A token key whose value leaves the token, wrapped or, where the key lets it, in clear, is backed up by that: who
    may wrap with one key and only read another does not carry that one out. Asked for keys that have a secret."""
    names = ([target.name()] if target.private else []) if target.is_token else list(target.names)
    if names and not any(permitted(session, roles.KEY_BACKUP, name) for name in names):
        raise denied(session, roles.KEY_BACKUP, names[0], rv)


def denied(session: Session, action: str, name: str, rv: int) -> TokenError:
    """Of the session's login, which may be of a kind that no role helps."""
    login = session.login
    if login is not None and login.user_type == ck.CKU_SO and action in roles.OF_KEYS:
        where = roles.scope_of(name)
        words = f"an Administrator's session (CKU_SO) never has {action} (scope {where}): log in as CKU_USER for it"
        return TokenError(rv, words, action, scope=where)
    return roles.denial(login.officer if login is not None else "", action, name, rv)


def is_guarded(attributes: Mapping[int, bytes]) -> bool:
    """Whether this is a private or a secret key."""
    return attributes.get(ck.CKA_CLASS) in _GUARDED


_GUARDED = tuple(number.to_bytes(8, "little") for number in table.GUARDED_CLASSES)


def name_for(attributes: Mapping[int, bytes]) -> str:
    """The name that a new token key will have by its label; none where it will be a random one, or is no key."""
    label = attributes.get(ck.CKA_LABEL, b"")
    return label.decode() if ck.CKA_KEY_TYPE in attributes and about.is_name(label) else ""


def may_make(session: Session, attributes: Mapping[int, bytes], how: str, kind: Kind) -> None:
    """Whether the login may make this object; session objects anybody may."""
    private = attributes.get(ck.CKA_PRIVATE) == table.TRUE
    if private and not session.is_user:
        raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, "private objects need the user logged in")
    if attributes.get(ck.CKA_TOKEN) != table.TRUE or not (private or kind.guarded):
        return
    making, name = MAKING[how], name_for(attributes)
    if not permitted(session, making.action, name):
        raise denied(session, making.action, name, making.rv)


def may_be_twin(session: Session, attributes: Mapping[int, bytes], names: Iterable[str], how: str) -> None:
    """A new token key whose value is, or was, that of token keys of these ``names``: under another name it is within
    another scope, and as a public object within none. Who brings it there must be one who may back those keys up."""
    own = name_for(attributes).lower() if attributes.get(ck.CKA_PRIVATE) == table.TRUE else None
    for name in names:
        if name.lower() != own and not permitted(session, roles.KEY_BACKUP, name):
            raise denied(session, roles.KEY_BACKUP, name, MAKING[how].rv)


def names(
    session: Session, attributes: Mapping[int, bytes], twins: Iterable[TokenObject], how: str,
    source: TokenObject | None,
) -> tuple[str, ...]:
    """The names under which a new session key is asked for: those of ``twins``, the token keys with its value. A token
    key of another name than theirs, or a public one, needs a right on each. ``source``: what it is a copy of."""
    if not is_guarded(attributes):
        return ()
    theirs = tuple(dict.fromkeys(twin.name() for twin in twins))
    if attributes.get(ck.CKA_TOKEN) == table.TRUE:
        # A session copy has its key's name for as long as it lives, also where the key is gone.
        may_be_twin(session, attributes, (*theirs, *(source.names if source is not None else ())), how)
        return ()
    if source is not None and (source.names or source.is_token):
        return source.names or ((source.name(),) if source.private else ())
    if theirs and not any(permitted(session, roles.KEY_READ, name) for name in theirs):
        raise denied(session, roles.KEY_READ, theirs[0], MAKING[how].rv)
    return theirs


def may_change(session: Session, item: TokenObject, action: str, kind: Kind) -> None:
    """Whether the login may change or destroy an object that it sees."""
    if item.is_token and (item.private or kind.guarded) and not permitted(session, action, item):
        raise denied(session, action, item.name(), ck.CKR_ACTION_PROHIBITED)


def may_trust(session: Session, item: TokenObject) -> bool:
    """Only who holds keys/trust sets CKA_TRUSTED, in an Administrator's session, and so gets to see which private keys
    wrap, and no more of them than TRUSTING: it uses, changes and destroys none."""
    return (
        session.is_so and item.partition is session.partition and item.is_token and item.private
        and item.flag(ck.CKA_WRAP) and permitted(session, roles.KEY_TRUST)
    )


def check_guarded(attributes: Mapping[int, bytes]) -> None:
    """Kind managed-hsm: what a token's private and secret keys always are."""
    if attributes.get(ck.CKA_TOKEN) != table.TRUE or not is_guarded(attributes):
        return
    always = ((ck.CKA_PRIVATE, table.TRUE), (ck.CKA_SENSITIVE, table.TRUE), (ck.CKA_EXTRACTABLE, table.FALSE))
    for number, value in always:
        if attributes.get(number, value) != value:
            name = table.name_of(number)
            words = f"{name} must be {'TRUE' if value == table.TRUE else 'FALSE'} on a managed HSM's token keys"
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, name)
