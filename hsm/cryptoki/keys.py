"""Key management: section 5.18 of PKCS#11 3.2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hsm.access import key_policy, key_use, lifetime, policy, quorum
from hsm.access.profile import IMPORTED_KEYS_WRAP
from hsm.access.values import CHOSEN, GIVEN_IVS, HOLDS
from hsm.application import Application, Session
from hsm.audit import calls
from hsm.cryptoki.operation import Sized, too_small
from hsm.errors import TokenError
from hsm.mechanisms import formats, registry
from hsm.mechanisms.entry import Mechanism
from hsm.objects import templates
from hsm.objects.key import Key
from hsm.objects.templates import Template
from hsm.objects.token_object import TokenObject
from pkcs11_shim import constants as ck


def _mechanism(session: Session, mech: Any, use: str) -> tuple[Any, Any]:
    if mech is None:
        raise TokenError(ck.CKR_ARGUMENTS_BAD, "the mechanism is missing")
    calls.about((), mech.number)
    calls.begun(session)
    entry = registry.find(mech.number, use, session.partition.legacy)
    return entry, entry.parameter(mech.parameter)


def C_GenerateKey(app: Application, handle: int, mech: Any, template: Template) -> tuple[int, int]:
    session = app.session(handle)
    entry, parameter = _mechanism(session, mech, "generate")
    attributes = templates.for_generate(templates.parse(template), ck.CKO_SECRET_KEY, entry, session.trusts)
    session.partition.may_add(session, attributes, "generate")
    made = entry.generate(parameter, attributes)
    outside = key_policy.known_outside("generate", entry, None, chosen=False)
    complete = templates.finish(attributes, made, "generate", known_outside=outside, mechanism=entry.number)
    made_key = session.partition.add(session, complete, "generate")
    calls.done(session)
    return ck.CKR_OK, made_key


def C_GenerateKeyPair(
    app: Application, handle: int, mech: Any, public: Template, private: Template
) -> tuple[int, int, int]:
    session = app.session(handle)
    entry, parameter = _mechanism(session, mech, "generate_pair")
    given = templates.parse(public), templates.parse(private)
    wanted_public = templates.for_generate(given[0], ck.CKO_PUBLIC_KEY, entry, session.trusts)
    wanted_private = templates.for_generate(given[1], ck.CKO_PRIVATE_KEY, entry, session.trusts)
    session.partition.may_add(session, wanted_public, "generate")
    session.partition.may_add(session, wanted_private, "generate")
    made_public, made_private = entry.generate_pair(parameter, wanted_public, wanted_private)
    pair = [
        templates.finish(wanted_public, made_public, "generate", known_outside=False, mechanism=entry.number),
        templates.finish(wanted_private, made_private, "generate", known_outside=False, mechanism=entry.number),
    ]
    one, two = session.partition.add_all(session, pair, "generate")
    calls.done(session)
    return ck.CKR_OK, one, two


def C_WrapKey(app: Application, handle: int, mech: Any, wrapping: int, target: int, capacity: int | None) -> Sized:
    session = app.session(handle)
    entry, parameter = _mechanism(session, mech, "wrap")
    key = session.key(wrapping, ck.CKR_WRAPPING_KEY_HANDLE_INVALID)
    calls.about((key,))
    wrapped_key = session.key(target)
    calls.about((wrapped_key,))
    key_use.check(session, key, "wrap", entry)
    policy.check_leaves(session, wrapped_key)
    lifetime.check(wrapped_key, "export", ck.CKR_KEY_NOT_WRAPPABLE)
    partition = session.partition
    imported = partition.lets(IMPORTED_KEYS_WRAP)
    key_policy.may_wrap(key, wrapped_key, entry, known=partition.values.is_known(key), imported=imported)
    blob = bytes(entry.wrap(key, parameter, wrapped_key))
    calls.asked_of(session)
    approved = quorum.wrapping(session, key, wrapped_key, entry.number)
    short = too_small(len(blob), capacity)
    if short is not None:
        return short
    key_use.used(session, key, "wrap", entry, wrapped_key, 0 if entry.nonce is None else GIVEN_IVS)
    if entry.nonce is not None:
        key_use.spend_nonce(key, entry, entry.nonce(parameter))
    quorum.wrapped(session, approved)
    calls.done(session)
    return ck.CKR_OK, len(blob), blob


def _complete(
    attributes: dict[int, bytes], made: dict[int, bytes], origin: str, key: TokenObject, entry: Mechanism,
    others: Sequence[TokenObject] = (),
) -> dict[int, bytes]:
    """The object that an unwrapped or derived value becomes; what was unwrapped is checked and complete already."""
    value = made if origin == "unwrap" else formats.derived(attributes, made)
    chosen = key.partition.values.has_done(key, CHOSEN)
    outside = any(key_policy.known_outside(origin, entry, source, chosen=chosen) for source in (key, *others))
    return templates.finish(attributes, value, origin, known_outside=outside, base=key)


def C_UnwrapKey(
    app: Application, handle: int, mech: Any, unwrapping: int, wrapped: bytes | None, template: Template
) -> tuple[int, int]:
    session = app.session(handle)
    entry, parameter = _mechanism(session, mech, "unwrap")
    key = session.key(unwrapping, ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID)
    calls.about((key,))
    key_use.check(session, key, "unwrap", entry)
    attributes = templates.for_unwrap(templates.parse(template), session.trusts, key)
    session.partition.may_add(session, attributes, "unwrap")
    key_policy.may_unwrap(attributes, entry, holds=session.partition.values.has_done(key, HOLDS))
    if "unwrap" in entry.oracle:  # a refusal, and its reason, tell of the blocks too
        key_use.used(session, key, "unwrap", entry)
    made = entry.unwrap(key, parameter, wrapped or b"", attributes)
    complete = _complete(attributes, made, "unwrap", key, entry)
    key_use.may_open(key, complete)
    key_use.used(session, key, "unwrap", entry, Key(complete))
    opened = session.partition.add(session, complete, "unwrap")
    calls.done(session)
    return ck.CKR_OK, opened


def _other_keys(session: Session, entry: Mechanism, parameter: Any) -> list[TokenObject]:
    """Further keys that go into a derivation: each could be its base (section 6.42.2)."""
    others = [session.key(handle) for handle in entry.other_keys(parameter)] if entry.other_keys else []
    for other in others:
        if other.key_class != ck.CKO_SECRET_KEY:
            raise TokenError(ck.CKR_KEY_TYPE_INCONSISTENT, "the parameter names a key that is not a secret one")
        key_use.check(session, other, "derive", entry)
    return others


def C_DeriveKey(app: Application, handle: int, mech: Any, base: int, template: Template) -> tuple[int, int]:
    session = app.session(handle)
    entry, parameter = _mechanism(session, mech, "derive")
    key = session.key(base)
    calls.about((key,))
    key_use.check(session, key, "derive", entry)
    others = _other_keys(session, entry, parameter)
    calls.about(others)
    attributes = templates.for_derive(templates.parse(template), session.trusts, (key, *others), entry)
    session.partition.may_add(session, attributes, "derive")
    key_policy.may_derive_from((key, *others), attributes, entry)
    made = entry.derive(key, parameter, attributes, *others)
    complete = _complete(templates.without_length(attributes), made, "derive", key, entry, others)
    key_policy.may_derive(complete)
    complete.update(key_policy.strength_of((key, *others), complete, entry, parameter))
    for source in (key, *others):
        key_use.used(session, source, "derive", entry)
    derived = session.partition.add(session, complete, "derive")
    calls.done(session)
    return ck.CKR_OK, derived
