"""Keys against keys: what wrapping, unwrapping, encrypting and decrypting with one key give away together."""

from __future__ import annotations

from collections.abc import Callable

from attacks.attack import IV, Held, Token, attack
from cryptography.hazmat.primitives import keywrap

from pkcs11_shim import constants as ck

CHAPTER = "wrap and decrypt, unwrap and encrypt"
CLULOW = "Clulow 2003, section 3"
DKS = "Delaune, Kremer, Steel 2008"
TOOKAN = "Bortolozzo et al. 2010"
ALL_USES = {"encrypt": True, "decrypt": True, "wrap": True, "unwrap": True, "sensitive": True, "extractable": True}
KW, KWP, ECB, CBC = ck.CKM_AES_KEY_WRAP, ck.CKM_AES_KEY_WRAP_PAD, ck.CKM_AES_ECB, ck.CKM_AES_CBC
PAD = ck.CKM_AES_CBC_PAD
Block = Callable[[bytes], bytes]


def gcm(t: Token, bits: int = 128, iv: bytes = IV[:12]) -> tuple[int, object]:
    room = t.m.structure("CK_GCM_PARAMS", pIv=iv, ulIvLen=len(iv), ulIvBits=8 * len(iv), ulTagBits=bits)
    return ck.CKM_AES_GCM, room


def ctr(t: Token, counter: bytes) -> tuple[int, object]:
    return ck.CKM_AES_CTR, t.m.structure("CK_AES_CTR_PARAMS", ulCounterBits=32, cb=counter)


def oaep(t: Token) -> tuple[int, object]:
    return ck.CKM_RSA_PKCS_OAEP, t.m.structure(
        "CK_RSA_PKCS_OAEP_PARAMS", hashAlg=ck.CKM_SHA_1, mgf=ck.CKG_MGF1_SHA1, source=ck.CKZ_DATA_SPECIFIED
    )


def opened(decrypt: Block, blob: bytes) -> bytes:
    """RFC 3394, section 2.2.2, by a block decryption; the integrity value is left unchecked, and KWP's is the same."""
    a, blocks = blob[:8], [blob[i : i + 8] for i in range(8, len(blob), 8)]
    for j in range(5, -1, -1):
        for i in range(len(blocks) - 1, -1, -1):
            t = len(blocks) * j + i + 1
            out = decrypt(bytes(x ^ y for x, y in zip(a, t.to_bytes(8, "big"), strict=True)) + blocks[i])
            a, blocks[i] = out[:8], out[8:]
    return b"".join(blocks)


def closed(encrypt: Block, value: bytes, a: bytes = b"\xa6" * 8) -> bytes:
    """RFC 3394, section 2.2.1, by a block encryption."""
    blocks = [value[i : i + 8] for i in range(0, len(value), 8)]
    for j in range(6):
        for i in range(len(blocks)):
            out = encrypt(a + blocks[i])
            t = len(blocks) * j + i + 1
            a, blocks[i] = bytes(x ^ y for x, y in zip(out[:8], t.to_bytes(8, "big"), strict=True)), out[8:]
    return a + b"".join(blocks)


def wraps_then_decrypts(wrap: int, decrypt: int, parameter: bytes | None = None) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A key with all uses wraps a sensitive key, and decrypts what it has wrapped."""
        kek, victim = t.key(**ALL_USES), t.victim()
        blob = t.wrap((wrap, parameter) if parameter else wrap, kek, victim)
        if wrap in (KW, KWP):
            return t.fell(victim, opened(lambda block: t.decrypt(ECB, kek, block), blob))
        return t.fell(victim, t.decrypt((decrypt, parameter) if parameter else decrypt, kek, blob)[:32])

    return run


for _name, _wrap, _decrypt, _parameter in (
    ("wrap-decrypt-ecb", ECB, ECB, None),
    ("wrap-decrypt-cbc", CBC, CBC, IV),
    ("wrap-decrypt-cbc-pad", PAD, PAD, IV),
    ("wrap-decrypt-key-wrap", KW, ECB, None),
    ("wrap-decrypt-kwp", KWP, ECB, None),
):
    attack(CHAPTER, _name, CLULOW)(wraps_then_decrypts(_wrap, _decrypt, _parameter))


def wraps_by_rsa(mechanism: Callable[[Token], object], trusted: bool, how: str) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """The public half of a pair made inside wraps a sensitive key, and the private half opens it."""
        public, private = t.rsa(
            public={
                ck.CKA_WRAP: True,
                ck.CKA_ENCRYPT: True,
                ck.CKA_PRIVATE: False,
                ck.CKA_TOKEN: True,
                ck.CKA_ID: b"pair",
            },
            decrypt=how != "sign",
            unwrap=True,
            sign=True,
            token=True,
            id=b"pair",
        )
        if trusted:
            t.as_so()
            t.change(public, trusted=True)
            t.logout()
            t.login()
            private = t.m.find(t.s, {ck.CKA_ID: b"pair", ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})[0]
        victim = t.victim()
        blob = t.wrap(mechanism(t), public, victim)
        if how == "raw":
            return t.fell(victim, t.decrypt(ck.CKM_RSA_X_509, private, blob)[-32:])
        if how == "sign":
            return t.fell(victim, t.sign(ck.CKM_RSA_X_509, private, blob)[-32:])
        return t.fell(victim, t.decrypt(mechanism(t), private, blob))

    return run


def _pkcs(t: Token) -> object:
    return ck.CKM_RSA_PKCS


for _trusted in (False, True):
    for _name, _form, _how in (
        ("pkcs", _pkcs, ""),
        ("oaep", oaep, ""),
        ("raw", _pkcs, "raw"),
        ("sign-raw", _pkcs, "sign"),
    ):
        attack(CHAPTER, f"wrap-decrypt-rsa-{_name}{'-trusted' * _trusted}", CLULOW)(wraps_by_rsa(_form, _trusted, _how))


def a_twin(make: Callable[[Token, int], int]) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """Wrapping and decrypting are two objects' uses, of one value."""
        kek = t.key(**{**ALL_USES, "decrypt": False})
        twin, victim = make(t, kek), t.victim()
        blob = t.wrap(KW, kek, victim)
        return t.fell(victim, opened(lambda block: t.decrypt(ECB, twin, block), blob))

    return run


def _unwrapped_twin(t: Token, kek: int) -> int:
    above = t.key(wrap=True, unwrap=True, sensitive=True)
    return t.unwrap(KW, above, t.wrap(KW, above, kek), decrypt=True, sensitive=True)


attack(CHAPTER, "wrap-decrypt-by-copy", TOOKAN)(a_twin(lambda t, kek: t.copy(kek, decrypt=True, wrap=False)))
attack(CHAPTER, "wrap-decrypt-by-unwrapped-twin", DKS)(a_twin(_unwrapped_twin))


@attack(CHAPTER, "wrap-decrypt-by-set-attribute", DKS)
def _(t: Token) -> str | None:
    """The wrapping key gets CKA_DECRYPT by C_SetAttributeValue once it has wrapped."""
    kek, victim = t.key(**{**ALL_USES, "decrypt": False}), t.victim()
    blob = t.wrap(KW, kek, victim)
    t.change(kek, wrap=False)
    t.change(kek, decrypt=True)
    return t.fell(victim, opened(lambda block: t.decrypt(ECB, kek, block), blob))


@attack(CHAPTER, "wrap-decrypt-after-logout", TOOKAN)
def _(t: Token) -> str | None:
    """As wrap-decrypt-key-wrap by a token key, with logout and login between, which must not give a use back."""
    kek, victim = t.key(token=True, label=b"kek", **ALL_USES), t.victim(token=True, label=b"victim")
    blob = t.wrap(KW, kek, victim)
    t.logout()
    t.login()
    kek, victim = t.m.find(t.s, {ck.CKA_LABEL: b"kek"})[0], t.m.find(t.s, {ck.CKA_LABEL: b"victim"})[0]
    return t.fell(victim, opened(lambda block: t.decrypt(ECB, kek, block), blob))


@attack(CHAPTER, "wrap-decrypt-begun-before", "of our own")
def _(t: Token) -> str | None:
    """A decryption is begun in one session, the key wraps in another, and the decryption goes on."""
    kek, victim, other = t.key(**ALL_USES), t.victim(), t.session()
    t.ok(t.m.C_DecryptInit(other, t.mech(ECB), kek), "C_DecryptInit")
    blob = t.wrap(ECB, kek, victim)
    rv, plain = t.m.output(t.m.C_Decrypt, other, t.m.bytes(blob), len(blob))
    t.ok(rv, "C_Decrypt")
    return t.fell(victim, plain)


@attack(CHAPTER, "wrap-gcm-decrypt-ctr", "of our own")
def _(t: Token) -> str | None:
    """GCM is CTR with a tag: a key wrapped by GCM is decrypted under the keystream by CTR."""
    kek, victim = t.key(**ALL_USES), t.victim()
    blob = t.wrap(gcm(t), kek, victim)
    return t.fell(victim, t.decrypt(ctr(t, IV[:12] + b"\0\0\0\2"), kek, blob[:-16]))


@attack(CHAPTER, "wrap-gcm-encrypt-counters", "of our own")
def _(t: Token) -> str | None:
    """The keystream that hid a wrapped key is had by encrypting its counter blocks by ECB."""
    kek, victim = t.key(**{**ALL_USES, "decrypt": False}), t.victim()
    blob = t.wrap(gcm(t), kek, victim)
    stream = t.encrypt(ECB, kek, IV[:12] + b"\0\0\0\2" + IV[:12] + b"\0\0\0\3")
    return t.fell(victim, bytes(x ^ y for x, y in zip(blob[:32], stream, strict=True)))


@attack(CHAPTER, "wrap-encrypt-ofb", "of our own")
def _(t: Token) -> str | None:
    """A stream mode's encryption is its decryption: a key wrapped under a keystream is encrypted once more."""
    kek, victim = t.key(**{**ALL_USES, "decrypt": False}), t.victim()
    blob = t.wrap((ck.CKM_AES_OFB, IV), kek, victim)
    return t.fell(victim, t.encrypt((ck.CKM_AES_OFB, IV), kek, blob))


def encrypts_then_unwraps(
    encrypt: Callable[[Token, int, bytes], bytes], unwrap: object
) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A key of the attacker's choice is encrypted and unwrapped: it counts as one born inside, and wraps."""
        chosen, kek, victim = bytes(range(32)), t.key(**ALL_USES), t.victim()
        trojan = t.unwrap(unwrap, kek, encrypt(t, kek, chosen), wrap=True, sensitive=True)
        return t.fell(victim, keywrap.aes_key_unwrap(chosen, t.wrap(KW, trojan, victim)))

    return run


attack(CHAPTER, "encrypt-unwrap-ecb", DKS)(encrypts_then_unwraps(lambda t, k, v: t.encrypt(ECB, k, v), ECB))
attack(CHAPTER, "encrypt-unwrap-cbc", DKS)(encrypts_then_unwraps(lambda t, k, v: t.encrypt((CBC, IV), k, v), (CBC, IV)))
attack(CHAPTER, "encrypt-unwrap-cbc-pad", DKS)(
    encrypts_then_unwraps(lambda t, k, v: t.encrypt((PAD, IV), k, v), (PAD, IV))
)
attack(CHAPTER, "encrypt-unwrap-key-wrap", DKS)(
    encrypts_then_unwraps(lambda t, k, v: closed(lambda block: t.encrypt(ECB, k, block), v), KW)
)


def _kwp_of(t: Token, kek: int, value: bytes) -> bytes:
    return closed(lambda block: t.encrypt(ECB, kek, block), value, b"\xa6\x59\x59\xa6" + len(value).to_bytes(4, "big"))


attack(CHAPTER, "encrypt-unwrap-kwp", DKS)(encrypts_then_unwraps(_kwp_of, KWP))


@attack(CHAPTER, "encrypt-unwrap-by-copy", TOOKAN)
def _(t: Token) -> str | None:
    """As encrypt-unwrap-key-wrap; the key that encrypts is a copy of the one that unwraps."""
    chosen, kek, victim = bytes(range(32)), t.key(**{**ALL_USES, "encrypt": False}), t.victim()
    twin = t.copy(kek, encrypt=True, unwrap=False)
    blob = closed(lambda block: t.encrypt(ECB, twin, block), chosen)
    trojan = t.unwrap(KW, kek, blob, wrap=True, sensitive=True)
    return t.fell(victim, keywrap.aes_key_unwrap(chosen, t.wrap(KW, trojan, victim)))


@attack(CHAPTER, "encrypt-by-rsa-and-unwrap", CLULOW)
def _(t: Token) -> str | None:
    """Anybody can encrypt under a public key: the attacker's key is unwrapped by the private half, and wraps."""
    chosen, victim = bytes(range(32)), t.victim()
    public, private = t.rsa(public={ck.CKA_ENCRYPT: True}, unwrap=True, decrypt=False)
    blob = t.encrypt(ck.CKM_RSA_PKCS, public, chosen)
    trojan = t.unwrap(ck.CKM_RSA_PKCS, private, blob, wrap=True, sensitive=True)
    return t.fell(victim, keywrap.aes_key_unwrap(chosen, t.wrap(KW, trojan, victim)))


@attack(CHAPTER, "gmac-makes-blocks", "of our own")
def _(t: Token) -> str | None:
    """GMAC over nothing gives the encryption of a chosen counter block: enough to put a wrapped key together from a key
    that may sign and unwrap, and never encrypt."""
    chosen, victim = bytes(range(32)), t.victim()
    kek = t.key(**{**ALL_USES, "encrypt": False, "decrypt": False, "sign": True})

    def block(data: bytes) -> bytes:
        if data[12:] != b"\0\0\0\1":
            raise Held("GMAC: the counter block is not one to choose freely")
        return t.sign((ck.CKM_AES_GMAC, data[:12]), kek, b"")

    trojan = t.unwrap(KW, kek, closed(block, chosen), wrap=True, sensitive=True)
    return t.fell(victim, keywrap.aes_key_unwrap(chosen, t.wrap(KW, trojan, victim)))
