"""Attributes that say less about a key than is so: lowered, forged, lost on the way through a copy or an import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attacks.attack import SECRET, TRUE, Token, attack, ulong

from pkcs11_shim import constants as ck

CHAPTER = "attributes lowered and forged"
STANDARD = "PKCS#11 3.2, section 4.9"
TOOKAN = "Bortolozzo et al. 2010"
KW = ck.CKM_AES_KEY_WRAP
Change = Callable[[Token, int], int]


def by_set(attribute: str, value: Any) -> Change:
    def change(t: Token, victim: int) -> int:
        t.change(victim, **{attribute: value})
        return victim

    return change


def by_copy(attribute: str, value: Any) -> Change:
    return lambda t, victim: t.copy(victim, **{attribute: value})


_WAYS = {"set": by_set, "copy": by_copy}
# CKA_MODIFIABLE, CKA_DESTROYABLE, CKA_TOKEN and CKA_PRIVATE may be changed by C_CopyObject (section 4.4); who doesn't
# want that says CKA_COPYABLE FALSE.
for _attribute, _before, _after, _more in (
    ("sensitive", True, False, {}),
    ("extractable", False, True, {}),
    ("always_sensitive", True, False, {}),
    ("modifiable", False, True, {}),
    ("copyable", False, True, {}),
    ("destroyable", False, True, {}),
    ("private", True, False, {}),
    ("wrap_with_trusted", True, False, {}),
    ("local", True, False, {}),
    ("key_gen_mechanism", ulong(ck.CKM_AES_KEY_GEN), ulong(ck.CK_UNAVAILABLE_INFORMATION), {}),
    ("allowed_mechanisms", ulong(ck.CKM_AES_GCM), ulong(ck.CKM_AES_ECB), {}),
    ("class", ulong(ck.CKO_SECRET_KEY), ulong(ck.CKO_DATA), {}),
    ("key_type", ulong(ck.CKK_AES), ulong(ck.CKK_GENERIC_SECRET), {}),
):
    for _way, _how in _WAYS.items():
        if _way == "copy" and _attribute in ("modifiable", "destroyable"):
            continue
        _rows = (
            {} if _attribute in ("local", "key_gen_mechanism", "always_sensitive", "class") else {_attribute: _before}
        )
        _name = f"{_attribute.replace('_', '-')}-by-{_way}"

        def _lowered(
            t: Token, attribute: str = _attribute, rows: dict[str, Any] = _rows, after: Any = _after, how: Any = _how
        ) -> str | None:
            """A key that was made with this attribute in its safe state loses that."""
            victim = t.victim(**{"token": True, **rows})
            number = getattr(ck, f"CKA_{attribute.upper()}")
            before = t.read(victim, number)
            reached = how(attribute, after)(t, victim)
            told = t.read(reached, number)
            if told == before:
                return None
            if attribute == "sensitive":
                return t.fell(victim, t.read(reached, ck.CKA_VALUE))
            return f"CKA_{attribute.upper()} is {told.hex()}, and was {before.hex()}"

        attack(CHAPTER, _name, STANDARD)(_lowered)


@attack(CHAPTER, "copy-shows-a-private-key", STANDARD)
def _(t: Token) -> str | None:
    """A private object's copy is public, and is found by who is not logged in."""
    t.copy(t.victim(token=True, label=b"first"), private=False, label=b"shown", token=True)
    t.logout()
    return "a private key's copy, found without a login" if t.m.find(t.s, {ck.CKA_LABEL: b"shown"}) else None


@attack(CHAPTER, "uncopyable-is-copied", STANDARD)
def _(t: Token) -> str | None:
    """A key that may not be copied is, for another purpose."""
    t.copy(t.victim(copyable=False, encrypt=False), encrypt=True)
    return "a copy of what may not be copied"


@attack(CHAPTER, "undestroyable-is-destroyed", STANDARD)
def _(t: Token) -> str | None:
    """A key that may not be destroyed is."""
    t.destroy(t.victim(destroyable=False))
    return "what may not be destroyed is gone"


@attack(CHAPTER, "unmodifiable-is-modified", STANDARD)
def _(t: Token) -> str | None:
    """A key that may not be modified gets another label."""
    t.change(t.victim(modifiable=False), label=b"another")
    return "what may not be modified has another label"


def forged(attribute: str, value: Any, make: Callable[[Token, dict[str, Any]], int]) -> Callable[[Token], str | None]:
    number = getattr(ck, f"CKA_{attribute.upper()}")

    def run(t: Token) -> str | None:
        """A key that came from outside says of itself what only a key that was born inside may say."""
        told = t.read(make(t, {attribute: value}), number)
        return f"CKA_{attribute.upper()} is {told.hex()}" if told == (TRUE if value is True else value) else None

    return run


def _create(t: Token, rows: dict[str, Any]) -> int:
    return t.imported(bytes(range(32)), **{"sensitive": True, "extractable": False, **rows})


def _unwrap(t: Token, rows: dict[str, Any]) -> int:
    kek = t.key(wrap=True, unwrap=True, sensitive=True)
    return t.unwrap(KW, kek, t.wrap(KW, kek, t.imported(bytes(range(32)), extractable=True)), SECRET, **rows)


def _created_plainly(t: Token, rows: dict[str, Any]) -> int:
    return t.imported(bytes(range(32)), sensitive=True, extractable=False)


for _attribute, _value in (
    ("local", True),
    ("always_sensitive", True),
    ("never_extractable", True),
    ("key_gen_mechanism", ulong(ck.CKM_AES_KEY_GEN)),
):
    for _way, _make in (("create", _create), ("unwrap", _unwrap), ("plain-create", _created_plainly)):
        attack(CHAPTER, f"forged-{_attribute.replace('_', '-')}-by-{_way}", STANDARD)(forged(_attribute, _value, _make))


@attack(CHAPTER, "forged-always-sensitive-by-copy", STANDARD)
def _(t: Token) -> str | None:
    """A readable key is copied as a sensitive one, which then claims to have been so always."""
    copied = t.copy(t.key(sensitive=False, extractable=True), sensitive=True, extractable=False)
    return "a key that was read says CKA_ALWAYS_SENSITIVE" if t.flag(copied, ck.CKA_ALWAYS_SENSITIVE) else None


@attack(CHAPTER, "forged-never-extractable-by-set", STANDARD)
def _(t: Token) -> str | None:
    """An extractable key is made unextractable, which then claims to have been so always."""
    victim = t.victim()
    t.change(victim, extractable=False)
    return "a key that was extractable says CKA_NEVER_EXTRACTABLE" if t.flag(victim, ck.CKA_NEVER_EXTRACTABLE) else None


def twice(first: Any, second: Any, attribute: int = ck.CKA_SENSITIVE) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A template gives an attribute twice: what was checked is not what is stored."""
        rows = [*SECRET.items(), (ck.CKA_VALUE, bytes(range(32))), (attribute, first), (attribute, second)]
        made = t.make(rows)
        return f"made, with the attribute {t.read(made, attribute).hex()}"

    return run


attack(CHAPTER, "sensitive-twice", "security advisories for SoftHSM2; PKCS#11 3.2, section 4.1.1")(twice(True, False))
attack(CHAPTER, "sensitive-twice-the-other-way", "PKCS#11 3.2, section 4.1.1")(twice(False, True))
attack(CHAPTER, "extractable-twice", "PKCS#11 3.2, section 4.1.1")(twice(False, True, ck.CKA_EXTRACTABLE))


@attack(CHAPTER, "sensitive-twice-in-set", "PKCS#11 3.2, section 4.1.1")
def _(t: Token) -> str | None:
    """The same in C_SetAttributeValue, first the value that it has."""
    victim = t.victim()
    rows = [(ck.CKA_SENSITIVE, True), (ck.CKA_SENSITIVE, False)]
    t.ok(t.m.C_SetAttributeValue(t.s, victim, *t.m.template(rows)), "C_SetAttributeValue")
    return t.fell(victim, t.read(victim, ck.CKA_VALUE)) or "accepted"


@attack(CHAPTER, "a-boolean-that-is-neither", STANDARD)
def _(t: Token) -> str | None:
    """CKA_SENSITIVE and CKA_EXTRACTABLE as a byte that is neither CK_TRUE nor CK_FALSE."""
    rv, made = t.m.generate(
        t.s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 32, ck.CKA_SENSITIVE: b"\x02", ck.CKA_EXTRACTABLE: b"\x02"}
    )
    t.ok(rv, "C_GenerateKey")
    return f"sensitive {t.read(made, ck.CKA_SENSITIVE).hex()}, extractable {t.read(made, ck.CKA_EXTRACTABLE).hex()}"


@attack(CHAPTER, "value-by-set", STANDARD)
def _(t: Token) -> str | None:
    """A token key's value is replaced by the attacker's own."""
    victim = t.victim()
    t.change(victim, value=bytes(32))
    return "a key with the attacker's value"


@attack(CHAPTER, "modulus-by-set", STANDARD)
def _(t: Token) -> str | None:
    """A public key's modulus is replaced, so that whoever encrypts to it encrypts to the attacker."""
    public, _ = t.rsa(public={ck.CKA_TOKEN: True})
    t.change(public, modulus=b"\xff" * 256)
    return "a public key with another modulus"


@attack(CHAPTER, "always-authenticate-by-copy", STANDARD)
def _(t: Token) -> str | None:
    """A key that asks for a login at each use is copied without that."""
    _, private = t.rsa(always_authenticate=True, sign=True)
    copied = t.copy(private, always_authenticate=False)
    t.sign(ck.CKM_RSA_PKCS, copied, b"signed without the login that the key asks for")
    return "a signature without the login that the key asks for"


@attack(CHAPTER, "always-authenticate-by-set", STANDARD)
def _(t: Token) -> str | None:
    """The same, by C_SetAttributeValue."""
    _, private = t.rsa(always_authenticate=True, sign=True)
    t.change(private, always_authenticate=False)
    t.sign(ck.CKM_RSA_PKCS, private, b"signed without the login that the key asks for")
    return "a signature without the login that the key asks for"


@attack(CHAPTER, "always-authenticate-once-for-two", STANDARD)
def _(t: Token) -> str | None:
    """One context-specific login, and two signatures."""
    _, private = t.rsa(always_authenticate=True, sign=True)
    t.ok(t.m.C_SignInit(t.s, t.mech(ck.CKM_RSA_PKCS), private), "C_SignInit")
    t.login(user=ck.CKU_CONTEXT_SPECIFIC, pin=t.pin)
    t.ok(t.m.output(t.m.C_Sign, t.s, b"one", 3)[0], "C_Sign")
    t.sign(ck.CKM_RSA_PKCS, private, b"two")
    return "two signatures for one login"


@attack(CHAPTER, "unwrap-template-is-overruled", TOOKAN)
def _(t: Token) -> str | None:
    """A key's CKA_UNWRAP_TEMPLATE says that what it unwraps is sensitive, and the caller says that it is not."""
    kek = t.m.generate(
        t.s,
        ck.CKM_AES_KEY_GEN,
        {
            ck.CKA_VALUE_LEN: 32,
            ck.CKA_WRAP: True,
            ck.CKA_UNWRAP: True,
            ck.CKA_SENSITIVE: True,
            ck.CKA_UNWRAP_TEMPLATE: {ck.CKA_SENSITIVE: True, ck.CKA_EXTRACTABLE: False},
        },
    )
    t.ok(kek[0], "C_GenerateKey")
    blob = t.wrap(KW, kek[1], t.key(sensitive=False, extractable=True))
    opened = t.unwrap(KW, kek[1], blob, SECRET, sensitive=False, extractable=True)
    return "a readable key, against the template" if t.read(opened, ck.CKA_VALUE) else None


@attack(CHAPTER, "wrap-template-is-overruled", TOOKAN)
def _(t: Token) -> str | None:
    """A key's CKA_WRAP_TEMPLATE says what it may wrap, and it wraps something else."""
    rv, kek = t.m.generate(
        t.s,
        ck.CKM_AES_KEY_GEN,
        {
            ck.CKA_VALUE_LEN: 32,
            ck.CKA_WRAP: True,
            ck.CKA_SENSITIVE: True,
            ck.CKA_WRAP_TEMPLATE: {ck.CKA_LABEL: b"these"},
        },
    )
    t.ok(rv, "C_GenerateKey")
    t.wrap(KW, kek, t.victim(label=b"others"))
    return "a key that the template leaves out, wrapped"


@attack(CHAPTER, "wrap-template-tells-of-values", "of our own")
def _(t: Token) -> str | None:
    """A CKA_WRAP_TEMPLATE with a guess at a sensitive key's value: whether it wraps tells whether that is right."""
    guess = bytes(range(32))
    victim = t.imported(guess, sensitive=True, extractable=True)
    answers = set()
    for value in (guess, bytes(32)):
        rv, kek = t.m.generate(
            t.s,
            ck.CKM_AES_KEY_GEN,
            {
                ck.CKA_VALUE_LEN: 32,
                ck.CKA_WRAP: True,
                ck.CKA_SENSITIVE: True,
                ck.CKA_WRAP_TEMPLATE: {ck.CKA_VALUE: value},
            },
        )
        t.ok(rv, "C_GenerateKey")
        answers.add(t.m.wrap(t.s, t.mech(KW), kek, victim)[0])
    return "right and wrong guesses at a value are told apart" if len(answers) == 2 else None


@attack(CHAPTER, "allowed-mechanisms-are-ignored", STANDARD)
def _(t: Token) -> str | None:
    """A key for GCM alone encrypts by ECB."""
    t.encrypt(ck.CKM_AES_ECB, t.key(encrypt=True, allowed_mechanisms=ulong(ck.CKM_AES_GCM)), bytes(16))
    return "an encryption by a mechanism that the key does not allow"


@attack(CHAPTER, "usage-is-ignored", STANDARD)
def _(t: Token) -> str | None:
    """A key whose flags say that it only verifies signs."""
    t.sign(ck.CKM_SHA256_HMAC, t.imported(bytes(32), ck.CKK_GENERIC_SECRET, sign=False, verify=True), b"x")
    return "a MAC by a key that may not make any"


@attack(CHAPTER, "token-key-for-nobody", STANDARD)
def _(t: Token) -> str | None:
    """A session key becomes a token key by C_SetAttributeValue, past what is asked of those."""
    victim = t.victim(token=False)
    t.change(victim, token=True)
    return "a session key turned into a token key" if t.flag(victim, ck.CKA_TOKEN) else None


@attack(CHAPTER, "unique-id-by-set", "PKCS#11 3.0, section 4.4.1")
def _(t: Token) -> str | None:
    """An object takes the CKA_UNIQUE_ID of another, which programs tell objects by."""
    first, second = t.victim(token=True), t.victim(token=True)
    t.change(second, unique_id=t.read(first, ck.CKA_UNIQUE_ID))
    return "two objects with one unique id"
