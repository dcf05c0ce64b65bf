"""What keys may do to each other, strict by default: the textbook attacks on PKCS#11 end here.

Clulow (2003), Delaune, Kremer and Steel (2008) and Bortolozzo et al. (2010) show how a token that follows the standard
to the letter gives its keys away: a key that wraps and decrypts, a wrapping key the attacker knows, a wrapped key that
comes back as a weaker one. Each rule below closes one of these.
"""

from __future__ import annotations

from collections.abc import Sequence

from hsm.access.values import CHOSEN, HALVES, HOLDS
from hsm.errors import TokenError
from hsm.mechanisms.entry import Mechanism
from hsm.objects import attributes as table
from hsm.objects import templates
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

WEAKEST_DERIVED = 14  # bytes, 112 bits
WEAKEST_TOKEN_RSA = 2048
WEAKEST_TOKEN_EC = 224
# A use, and the flags that the key's value loses by it for ever.
EXCLUDES = {
    "wrap": (ck.CKA_DECRYPT,), "decrypt": (ck.CKA_WRAP,), "unwrap": (ck.CKA_ENCRYPT,), "encrypt": (ck.CKA_UNWRAP,),
}
# The same for secret keys that encrypt nothing. What HKDF and its like derive is an HMAC under the base: who may sign
# has it in clear, and who may verify finds it byte by byte through shortened MACs.
MAC_EXCLUDES = {"sign": (ck.CKA_DERIVE,), "verify": (ck.CKA_DERIVE,), "derive": (ck.CKA_SIGN, ck.CKA_VERIFY)}
# The same for keys that encrypt: what the cipher derives, an encryption, a CMAC or a keystream under it is in clear.
CIPHER_EXCLUDES = {
    "derive": (ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY, ck.CKA_WRAP),
    **dict.fromkeys(("encrypt", "decrypt", "sign", "verify", "wrap"), (ck.CKA_DERIVE,)),
}


def known_outside(origin: str, entry: Mechanism | None, base: Key | None, *, chosen: bool) -> bool:
    """Whether a new key's value may be known outside the token, from how it came to be. ``chosen``: its base has
    encrypted what a caller chose, of which a wrapped key can be put together (RFC 3394 is encryptions in a row)."""
    if origin == "generate":
        return entry is not None and entry.told
    if origin == "unwrap" and entry is not None and base is not None:
        return chosen or enciphers(base, entry) or base.key_class != ck.CKO_SECRET_KEY or not is_secret(base)
    if origin == "derive" and entry is not None and base is not None:
        ciphered = "derive" in entry.oracle and is_cipher(base)
        return entry.agreement or ciphered or not is_secret(base)
    return True


def is_cipher(key: Key) -> bool:
    """Whether keys of this type encrypt: what such a key derives by its cipher, an encryption gives in clear."""
    return ck.CKA_ENCRYPT in table.KEY_TYPES[key.key_type].uses


def enciphers(key: Key, entry: Mechanism) -> bool:
    """Whether this is plain encryption that serves for wrapping: of blocks, which can be cut out and unwrapped one by
    one, or under a keystream, which is to be had by encrypting."""
    return key.key_class == ck.CKO_SECRET_KEY and (not entry.authenticated or entry.keystream)


def is_secret(key: Key) -> bool:
    """A key whose value nobody outside knows: sensitive all its life and born, unwrapped or derived inside."""
    return key.key_class != ck.CKO_PUBLIC_KEY and key.flag(ck.CKA_SENSITIVE) and not key.flag(table.KNOWN_OUTSIDE)


def may_come_back(key: Key) -> bool:
    """A secret that was derived or unwrapped can be so again: what its value has lost outlives its last object."""
    return is_secret(key) and not key.flag(ck.CKA_LOCAL)


def may_wrap(key: Key, target: Key, entry: Mechanism, *, known: bool, imported: bool) -> None:
    """C_WrapKey: whether ``key`` may wrap ``target`` by this mechanism. ``known``: its value has been known outside, by
    whatever object; a known key does not become a secret by being wrapped and unwrapped. ``imported``: whether keys
    that were imported may wrap sensitive ones (hsm/access/profile.py)."""
    if target.key_class not in table.GUARDED_CLASSES:
        raise TokenError(ck.CKR_KEY_NOT_WRAPPABLE, "only private and secret keys are wrapped")
    if not target.flag(ck.CKA_EXTRACTABLE):
        raise TokenError(ck.CKR_KEY_UNEXTRACTABLE, "the key's CKA_EXTRACTABLE is FALSE", "CKA_EXTRACTABLE")
    if target.flag(ck.CKA_WRAP_WITH_TRUSTED) and not key.flag(ck.CKA_TRUSTED):
        raise TokenError(ck.CKR_KEY_NOT_WRAPPABLE, "the key asks for a CKA_TRUSTED wrapping key", "CKA_TRUSTED")
    for number, value in templates.unpack(key.get(ck.CKA_WRAP_TEMPLATE) or b"").items():
        if not _says(target, number, value):
            raise TokenError(ck.CKR_KEY_HANDLE_INVALID, "the key does not match the wrapping key's CKA_WRAP_TEMPLATE")
    if target.flag(ck.CKA_SENSITIVE):
        chosen = key.flag(ck.CKA_TRUSTED) or (imported and key.flag(table.IMPORTED))
        _may_wrap_sensitive(key, target, entry, chosen or (is_secret(key) and not known))


def _says(target: Key, number: int, value: bytes) -> bool:
    """Whether an attribute that anybody may read has this value: of others even yes or no would tell."""
    try:
        return templates.read(target, number) == value
    except TokenError:
        return False


def _may_wrap_sensitive(key: Key, target: Key, entry: Mechanism, trusted: bool) -> None:
    if not trusted:
        words = "the wrapping key's value may be known outside: only a CKA_TRUSTED one wraps sensitive keys"
        raise TokenError(ck.CKR_KEY_NOT_WRAPPABLE, words, "CKA_TRUSTED")
    if enciphers(key, entry):
        raise TokenError(ck.CKR_KEY_NOT_WRAPPABLE, "sensitive keys are wrapped by AES_KEY_WRAP and KWP only")
    if strength(key) < min(_nominal(target), 256):
        raise TokenError(ck.CKR_WRAPPING_KEY_SIZE_RANGE, "the wrapping key is weaker than the key it would wrap")


def strength(key: Key) -> int:
    """Bits of security (NIST SP 800-57 part 1, table 2); RSA of 2048 bits or more wraps any key. A derived key has no
    more of them than what it was derived from, however long it is."""
    if key.key_class == ck.CKO_SECRET_KEY:
        length = len(key.get(ck.CKA_VALUE) or b"")
        looks = {ck.CKK_DES3: 112, ck.CKK_AES_XTS: 4 * length}.get(key.key_type, 8 * length)
        return min(looks, key.ulong(table.STRENGTH, looks))
    if key.key_type == ck.CKK_RSA:
        bits = int.from_bytes(key.get(ck.CKA_MODULUS) or b"", "big").bit_length()
        if key.key_class == ck.CKO_PUBLIC_KEY:
            return 256 if bits >= 2048 else 80
        return next(level for least, level in ((15360, 256), (7680, 192), (3072, 128), (2048, 112), (0, 80))
                    if bits >= least)
    return 4 * len(key.get(ck.CKA_VALUE) or b"")


def _nominal(target: Key) -> int:
    """As strong as it looks, which is what it is again once it was wrapped and unwrapped."""
    return 8 * len(target.get(ck.CKA_VALUE) or b"") if target.key_class == ck.CKO_SECRET_KEY else strength(target)


def may_unwrap(attributes: dict[int, bytes], entry: Mechanism, *, holds: bool) -> None:
    """Asked before anything is decrypted, or the answer would tell about the padding. ``holds``: the unwrapping key has
    wrapped sensitive keys, whose blocks it would give out one by one."""
    secret = attributes[ck.CKA_CLASS] == ck.CKO_SECRET_KEY.to_bytes(8, "little")
    open_to_changes = not entry.authenticated and ck.CKK_RSA not in entry.key_types
    if secret and open_to_changes and attributes.get(ck.CKA_SENSITIVE) == table.TRUE:
        words = "an unauthenticated mechanism unwraps no sensitive secret key: use AES_KEY_WRAP, KWP or GCM"
        raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, "CKA_SENSITIVE")
    if open_to_changes and holds:
        # Private keys too: whether the padding was right shows in how long a refusal takes, and in its reason.
        words = "a key that has wrapped sensitive keys unwraps by AES_KEY_WRAP, KWP or GCM only"
        raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words)


def may_derive_from(sources: Sequence[Key], attributes: dict[int, bytes], entry: Mechanism) -> None:
    """Every derivation but key agreement, whose results the standard leaves to the template: at least as sensitive as
    each key that went in. Data show their value, and come from keys that show theirs."""
    if entry.agreement:
        return
    row = table.type_of(attributes)
    if row is not None and row.halves:
        words = "a derived key has no halves: each could be derived as an AES key too, and what one wraps both decrypt"
        raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, "CKA_KEY_TYPE")
    shown = attributes[ck.CKA_CLASS] == ck.CKO_DATA.to_bytes(8, "little")
    for source in sources:
        if source.flag(ck.CKA_SENSITIVE) and attributes.get(ck.CKA_SENSITIVE) != table.TRUE:
            words = "what comes from a sensitive key is a key, and sensitive"
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, "CKA_SENSITIVE")
        if not source.flag(ck.CKA_EXTRACTABLE) and (shown or attributes.get(ck.CKA_EXTRACTABLE) == table.TRUE):
            words = "what comes from an unextractable key is a key, and unextractable"
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, "CKA_EXTRACTABLE")
        if source.flag(ck.CKA_WRAP_WITH_TRUSTED) and attributes.get(ck.CKA_WRAP_WITH_TRUSTED) == table.FALSE:
            words = "what comes from a key that only trusted keys wrap is such a key too"
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, "CKA_WRAP_WITH_TRUSTED")


def may_derive(attributes: dict[int, bytes]) -> None:
    """A short key would be found by trying, and its base part by part."""
    secret = attributes[ck.CKA_CLASS] == ck.CKO_SECRET_KEY.to_bytes(8, "little")
    if secret and len(attributes.get(ck.CKA_VALUE, b"")) < WEAKEST_DERIVED:
        raise TokenError(ck.CKR_KEY_SIZE_RANGE, "a derived key has 112 bits or more", "CKA_VALUE_LEN")


def strength_of(
    sources: Sequence[Key], attributes: dict[int, bytes], entry: Mechanism, parameter: object
) -> dict[int, bytes]:
    """The attribute of a derived key that looks stronger than what it was derived from, or by."""
    least = min((*map(strength, sources), *((entry.most_bits(parameter),) if entry.most_bits else ())))
    if entry.agreement or entry.makes == ck.CKO_DATA or least >= 8 * len(attributes[ck.CKA_VALUE]):
        return {}
    return {table.STRENGTH: least.to_bytes(8, "little")}


def may_be_kept(attributes: dict[int, bytes]) -> None:
    """RSA of less than 2048 bits and P-192 live in session keys only, which test suites make, but where a partition's
    setting lets them be token keys."""
    if attributes.get(ck.CKA_TOKEN) != table.TRUE:
        return
    key_type = attributes.get(ck.CKA_KEY_TYPE)
    if key_type == ck.CKK_RSA.to_bytes(8, "little"):
        modulus = attributes.get(ck.CKA_MODULUS)
        asked = int.from_bytes(attributes.get(ck.CKA_MODULUS_BITS, b""), "little")
        bits = int.from_bytes(modulus, "big").bit_length() if modulus else asked
        weak, least = 0 < bits < WEAKEST_TOKEN_RSA, f"RSA keys below {WEAKEST_TOKEN_RSA}"
    elif key_type == ck.CKK_EC.to_bytes(8, "little"):
        point = attributes.get(ck.CKA_EC_POINT)
        weak = point is not None and len(point) < 2 * WEAKEST_TOKEN_EC // 8
        least = f"EC keys below {WEAKEST_TOKEN_EC}"
    else:
        return
    if weak:
        words = f"{least} bits may be session keys only, or the partition is set --weak-token-keys on"
        raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, "CKA_TOKEN")


def counts_as(key: Key, use: str, entry: Mechanism) -> str:
    """The use that this one costs a key: GMAC over no data and ENCRYPT_DATA encrypt, and raw RSA decrypts, whatever
    they are called."""
    if entry.raw and use in ("sign", "sign_recover"):
        return "decrypt"
    return "encrypt" if use in entry.oracle and use not in EXCLUDES and is_cipher(key) else use


def lost_by(key: Key, use: str, entry: Mechanism, target: Key | None) -> tuple[int, ...]:
    """The usage flags that the key's value loses by this use, if any.

    A sensitive key loses them at its first use, any key when it wraps or unwraps a sensitive one.
    """
    touches = target is not None and target.flag(ck.CKA_SENSITIVE)
    if key.key_class == ck.CKO_SECRET_KEY and not is_cipher(key) and use in MAC_EXCLUDES:
        # An unextractable base shows its value as little as a sensitive one, and may have derived sensitive keys.
        hidden = key.flag(ck.CKA_SENSITIVE) or not key.flag(ck.CKA_EXTRACTABLE)
        return MAC_EXCLUDES[use] if hidden else ()
    if not (key.flag(ck.CKA_SENSITIVE) or touches):
        return ()
    ciphered = {"derive": "derive" in entry.oracle, "wrap": enciphers(key, entry)}.get(use, True)
    secret = key.key_class == ck.CKO_SECRET_KEY
    repeats = CIPHER_EXCLUDES.get(use, ()) if secret and is_cipher(key) and ciphered else ()
    return (*EXCLUDES.get(counts_as(key, use, entry), ()), *repeats)


def takers_of(key: Key, use: str) -> list[str]:
    """The uses that would take ``use`` from this key's value: for the words of a refusal."""
    macs = key.key_class == ck.CKO_SECRET_KEY and not is_cipher(key)
    ciphers = key.key_class == ck.CKO_SECRET_KEY and not macs
    rules = (EXCLUDES, MAC_EXCLUDES if macs else CIPHER_EXCLUDES if ciphers else {})
    flag = getattr(ck, f"CKA_{use.upper()}")
    found = [other for rule in rules for other, lost in rule.items() if flag in lost]
    return [] if key.key_class == ck.CKO_PUBLIC_KEY else list(dict.fromkeys(found))


def done_by(key: Key, use: str, entry: Mechanism, target: Key | None) -> int:
    """What the record of the key's value keeps of this use: of its having wrapped ``target``, or that blocks which a
    caller chose may be encrypted from now on: what the key unwraps later may be put together of these."""
    if use != "wrap" or target is None:
        return CHOSEN if use in entry.oracle else 0
    holds = HOLDS | (HALVES if entry.halves else 0)
    return (holds if target.flag(ck.CKA_SENSITIVE) else 0) | (CHOSEN if enciphers(key, entry) else 0)
