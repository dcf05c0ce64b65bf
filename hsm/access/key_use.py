"""The use of a key: asked at Init, again at every step, and written down at its first output.

What a first use takes from a key's value for ever (hsm/access/key_policy.py) is committed before the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsm.access import key_policy, lifetime, policy
from hsm.access.profile import GCM_NONCES_REPEAT
from hsm.access.values import GIVEN_IVS, GUARDED, HALVES, HOLDS, KNOWN, MADE_IVS
from hsm.audit import calls
from hsm.errors import TokenError
from hsm.objects import attributes as table
from hsm.objects.key import Key
from hsm.objects.token_object import TokenObject
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Session
    from hsm.mechanisms.entry import Mechanism

USAGE = {
    "sign": ck.CKA_SIGN, "verify": ck.CKA_VERIFY, "sign_recover": ck.CKA_SIGN_RECOVER,
    "verify_recover": ck.CKA_VERIFY_RECOVER, "encrypt": ck.CKA_ENCRYPT, "decrypt": ck.CKA_DECRYPT,
    "wrap": ck.CKA_WRAP, "unwrap": ck.CKA_UNWRAP, "derive": ck.CKA_DERIVE,
}
CLASSES = {
    "sign": (ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY), "verify": (ck.CKO_PUBLIC_KEY, ck.CKO_SECRET_KEY),
    "sign_recover": (ck.CKO_PRIVATE_KEY,), "verify_recover": (ck.CKO_PUBLIC_KEY,),
    "encrypt": (ck.CKO_PUBLIC_KEY, ck.CKO_SECRET_KEY), "decrypt": (ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY),
    "wrap": (ck.CKO_PUBLIC_KEY, ck.CKO_SECRET_KEY), "unwrap": (ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY),
    "derive": (ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY),
}
# One call each, with no Init after which a context-specific login could come.
IN_ONE_CALL = ("wrap", "unwrap", "derive")
WRONG_TYPE = {"wrap": ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT, "unwrap": ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT}
# What of a value's record says that IVs have come to it by the other way.
_OTHER_IVS = {GIVEN_IVS: MADE_IVS, MADE_IVS: GIVEN_IVS}
_BY_MAC = b"GMAC"  # before a nonce that a MAC was made under, which is encryption's mask
GONE = {"wrap": ck.CKR_WRAPPING_KEY_HANDLE_INVALID, "unwrap": ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID}


def check(session: Session, key: TokenObject, use: str, entry: Mechanism) -> None:
    """At Init: right kind of key, right flag, right role (sections 5.8 to 5.18)."""
    if key.key_class not in CLASSES[use] or key.key_type not in entry.key_types:
        wrong = WRONG_TYPE.get(use, ck.CKR_KEY_TYPE_INCONSISTENT)
        raise TokenError(wrong, "the mechanism does not work with a key of this class and type")
    try:
        check_right(session, key, use, entry)
    except TokenError:
        if session.login is None and key.is_token and key.private and use not in IN_ONE_CALL:
            words = "another thread has logged out meanwhile: private handles are void"
            raise TokenError(ck.CKR_KEY_HANDLE_INVALID, words) from None
        raise
    allowed = key.get(ck.CKA_ALLOWED_MECHANISMS)
    if allowed and entry.number.to_bytes(8, "little") not in [allowed[i : i + 8] for i in range(0, len(allowed), 8)]:
        raise TokenError(ck.CKR_MECHANISM_INVALID, "not among the key's CKA_ALLOWED_MECHANISMS")
    if use in IN_ONE_CALL and key.flag(ck.CKA_ALWAYS_AUTHENTICATE):
        words = "the key asks for a context-specific login at each use, which this function has no room for"
        raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, words, "CKA_ALWAYS_AUTHENTICATE")


def check_right(session: Session, key: TokenObject, use: str, entry: Mechanism) -> None:
    """Asked again at every use: a flag lost or a role removed stops a running operation."""
    if not key.flag(USAGE[use]):
        raise _not_permitted(key, use)
    counted = key_policy.counts_as(key, use, entry)
    if counted != use and key.partition.values.has_lost(key, USAGE[counted]):
        words = f"an earlier use has taken CKA_{counted.upper()} from the key, and this mechanism would do just that"
        raise TokenError(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, words, f"CKA_{counted.upper()}")
    if entry.raw and key.key_class == ck.CKO_PRIVATE_KEY and not (key.flag(ck.CKA_SIGN) and key.flag(ck.CKA_DECRYPT)):
        words = "without padding, who signs decrypts and who decrypts signs: the key must be allowed both"
        raise TokenError(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, words, use)
    lifetime.check(key, use)
    policy.check_use(session, key, use)


def _not_permitted(key: TokenObject, use: str) -> TokenError:
    """The flag may be FALSE by the template or by an earlier use: who asks why is told of both."""
    takers = " or ".join(key_policy.takers_of(key, use))
    words = f"the key's CKA_{use.upper()} is FALSE"
    if takers:
        words += f": it was made so, or an earlier {takers} with a protected key of this value has taken it"
    return TokenError(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, words, use)


def may_open(key: TokenObject, unwrapped: dict[int, bytes]) -> None:
    """A key that has wrapped sensitive keys unwraps in the clear only what is in the clear here already: anything
    else may be a sensitive key under another class, type or length. And what was wrapped comes back as it was."""
    values = key.partition.values
    sensitive = unwrapped.get(ck.CKA_SENSITIVE) == table.TRUE
    if not sensitive and values.has_done(key, HOLDS) and not values.is_open(unwrapped):
        words = "the unwrapping key has wrapped sensitive keys: what it unwraps must be CKA_SENSITIVE"
        raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, "CKA_SENSITIVE")
    kin = values.kin_bits(unwrapped) if values.is_new(unwrapped) else 0
    if kin & GUARDED:
        # It would be as short as the key that was wrapped, as well known perhaps, and extractable once more.
        words = "the value is that of another key here but for the filling: unwrap it as it was wrapped"
        raise TokenError(ck.CKR_WRAPPED_KEY_LEN_RANGE, words, "CKA_VALUE_LEN")
    if kin & KNOWN:
        unwrapped[table.KNOWN_OUTSIDE] = table.TRUE
    if values.has_done(key, HALVES) and values.is_new(unwrapped):
        # It may be the first half of what RSA_AES_KEY_WRAP gave, whose key has wrapped the second and so decrypts
        # nothing. A key that was wrapped by itself has a record, and keeps its uses.
        unwrapped.update({table.HELD: table.TRUE, ck.CKA_DECRYPT: table.FALSE})


def check_ivs(key: TokenObject, way: int) -> None:
    """A secret's IVs come from callers or from the token, never from both (NIST SP 800-38D, section 8.2), or one that
    the token makes could have been given before. ``way``: GIVEN_IVS or MADE_IVS."""
    if key_policy.is_secret(key) and key.partition.values.has_done(key, _OTHER_IVS[way]):
        words = {GIVEN_IVS: "makes the IVs of this key", MADE_IVS: "makes no IVs for a key that was given some"}
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, f"the token {words[way]}", "ivGenerator")


def check_nonce(key: TokenObject, entry: Mechanism, nonce: bytes) -> None:
    """Whether ``key`` may encrypt under this nonce: under one of its own once only, where its value is a secret."""
    check_ivs(key, GIVEN_IVS)
    nonces = key.partition.values.nonces(key) if key_policy.is_secret(key) else None
    let = entry.number == ck.CKM_AES_GCM and key.partition.lets(GCM_NONCES_REPEAT)
    if nonces is not None and (_BY_MAC + nonce if let else nonce) in nonces:
        words = "this key has encrypted under this IV already: a second message would give both away"
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, words, "pIv")


def spend_nonce(key: TokenObject, entry: Mechanism, nonce: bytes) -> None:
    """As the ciphertext goes out; of two operations that were begun under one nonce, the second is refused."""
    with key.partition.lock:
        check_nonce(key, entry, nonce)
        nonces = key.partition.values.nonces(key) if key_policy.is_secret(key) else None
        if nonces is not None:
            nonces.add(nonce)
            if "sign" in entry.oracle:
                nonces.add(_BY_MAC + nonce)


def used(
    session: Session, key: TokenObject, use: str, entry: Mechanism, target: Key | None = None, ivs: int = 0
) -> None:
    """First output of a use: what it excludes for ever, and has done, is committed before the answer. ``ivs``: where
    the IV came from, if there was one."""
    partition, values = key.partition, key.partition.values
    flags = key_policy.lost_by(key, use, entry, target)
    done = key_policy.done_by(key, use, entry, target) | ivs
    carried_out = use == "wrap" and target is not None and not values.is_stored(target)
    known = not flags or (all(values.has_lost(key, flag) for flag in flags) and values.has_done(key, done))
    if known and not carried_out:
        return
    with partition.lock:
        partition.is_there(key, GONE.get(use, ck.CKR_OPERATION_NOT_INITIALIZED))
        check_right(session, key, use, entry)  # another thread's first use may have taken this one away meanwhile
        if flags and use in key_policy.MAC_EXCLUDES and values.kin_has_lost(key.attributes, USAGE[use]):
            words = "the key differs by zeros from one that has done what excludes this use: both make the same MACs"
            raise TokenError(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, words, f"CKA_{use.upper()}")
        if ivs:
            check_ivs(key, ivs)
        losers, bits = values.losing(key, flags, done) if flags else ([], 0)
        changes = [(item, {flag: table.FALSE for flag in flags if item.flag(flag)}) for item in losers]
        keep = any(item.is_token for item in losers) or values.is_stored(key) or key_policy.may_come_back(key)
        if keep or carried_out:
            _write(session, use, key, changes, bits if flags and keep else None, target if carried_out else None)
        for item, change in changes:
            item.change(change)
        partition.pool.epoch.bump()
        if flags:
            values.lost(key, bits, keep)
        if carried_out and target is not None:
            values.lost(target, values.bits_of(target.attributes), True)


def _write(
    session: Session, use: str, key: TokenObject, changes: list[tuple[TokenObject, dict[int, bytes]]],
    bits: int | None, carried_out: Key | None,
) -> None:
    """The commit of a first use. Where there is none, there is no use: the next engine would not know of it."""
    partition, values = key.partition, key.partition.values
    if partition.pool.store.write_protected:
        words = "the key's first use takes other uses away, which can't be written down on a read-only disk"
        raise TokenError(ck.CKR_DEVICE_ERROR, words)
    with partition.pool.store.transaction() as tx:
        for item, change in changes:
            if item.is_token:
                tx.put_object(partition.slot, item.object_id, {**item.attributes, **change}, partition.key)
        if bits is not None:
            partition.put_value(tx, key.attributes, bits)
        if carried_out is not None:
            partition.put_value(tx, carried_out.attributes, values.bits_of(carried_out.attributes))
        about = (key, *(item for item, _ in changes if item is not key))
        tx.audit(partition.record(session, f"first-{use}"), tuple(map(calls.named, about)))
