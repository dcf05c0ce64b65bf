"""Random attackers against the key policy: whatever calls they make, in whatever order, they get to know no secret.

An attacker is a user who may do everything with keys of all kinds. It keeps all bytes that it was ever given, and works
on them outside: unwraps what it has under keys whose values it knows, decrypts, computes MACs and derivations. It likes
to use one key for two things, and what came of one call in the next. After each call the engine is opened, so to speak,
and each key that counts as a secret there is looked for in what the attacker has. A walk that gets something is printed
as a script; and where a rule of the policy is switched off, some walk does.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from engine_room import NO, USER, YES, Mech, cheap_pins, ulong

from hsm.access import key_policy
from hsm.application import Application
from hsm.cryptoki import ciphering, general, keys, objects, signing
from hsm.errors import TokenError
from hsm.objects.token_object import TokenObject
from hsm.pool import Pool
from hsm.server import codec
from pkcs11_shim import constants as ck

CONSTANTS = (bytes(16), bytes(32), b"\1" * 32, b"\1", ulong(1)[:4][::-1] + bytes(16))
IV = bytes(range(16))
FLAGS = ("WRAP", "UNWRAP", "ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "DERIVE")
WRAPS = (
    "AES_KEY_WRAP", "AES_KEY_WRAP_KWP", "AES_KEY_WRAP_PKCS7", "AES_ECB", "AES_CBC", "AES_CBC_PAD", "AES_CTR", "AES_GCM",
)
CIPHERS = ("AES_ECB", "AES_CBC", "AES_CBC_PAD", "AES_CTR", "AES_GCM", "AES_KEY_WRAP", "AES_KEY_WRAP_KWP", "AES_OFB")
MACS = ("SHA256_HMAC", "SHA_1_HMAC", "AES_CMAC", "SHA256_HMAC_GENERAL")
DERIVES = (
    "HKDF_DERIVE", "SHA256_KEY_DERIVATION", "AES_ECB_ENCRYPT_DATA", "AES_CBC_ENCRYPT_DATA", "SP800_108_COUNTER_KDF",
)
TYPES = (ck.CKK_AES, ck.CKK_GENERIC_SECRET, ck.CKK_SHA256_HMAC, ck.CKK_HKDF)
MOST_KNOWN, MOST_KEYS = 60, 6


class Found(AssertionError):
    """What the attacker got, and how."""


class World(NamedTuple):
    pool: Pool
    app: Application
    handle: int


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with cheap_pins(), tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o700)
        pool = Pool(home, in_memory=True, cheap_pin=True)
        app = Application(pool, os.getpid(), os.geteuid())
        partition = pool.by_slot[0]
        partition.initialise(app, b"so-officer-pin", b"explored")
        partition.init_pin(app, "so", USER)
        session = app.open_session(partition, True)
        general.C_Login(app, session.handle, ck.CKU_USER, USER)
        yield World(pool, app, session.handle)


class Attacker:
    """One walk. ``known``: bytes it has; ``script``: what it did."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.known: dict[bytes, str] = {}
        self.mine: list[int] = []
        self.made: list[tuple[bytes, str, int]] = []  # what came out of a key, by which mechanism
        self.script: list[str] = []
        self.derived: list[TokenObject] = []  # from secrets

    # -- steps; each returns what it was given

    def rows(self, **more: Any) -> list[tuple[int, bytes]]:
        chance = self.chance
        told: dict[str, bytes] = {"CLASS": ulong(ck.CKO_SECRET_KEY), "SENSITIVE": chance.choice((YES, YES, NO)),
                                  "EXTRACTABLE": chance.choice((YES, YES, YES, NO))}
        if chance.random() < 0.3:  # else each may do what its type can
            told |= {flag: chance.choice((YES, NO)) for flag in FLAGS}
        told |= more
        return [(getattr(ck, f"CKA_{name}"), value) for name, value in told.items()]

    @property
    def blobs(self) -> list[bytes]:
        return [blob for blob, _, _ in self.made[-8:]]

    def handle(self) -> int:
        """Mostly one of the first two."""
        return self.chance.choice(self.mine[:2] if self.chance.random() < 0.6 else self.mine)

    def again(self) -> tuple[bytes, str, int]:
        """Something that came out of a key, and mostly that key and its mechanism."""
        blob, name, key = self.chance.choice(self.made[-8:])
        known = key in self.mine
        return (
            blob if self.chance.random() < 0.8 else self.data(),
            name if self.chance.random() < 0.7 else self.chance.choice(WRAPS),
            key if known and self.chance.random() < 0.8 else self.handle(),
        )

    def length(self) -> dict[str, bytes]:
        return {"VALUE_LEN": ulong(self.chance.choice((16, 24, 32)))} if self.chance.random() < 0.8 else {}

    def mech(self, name: str) -> Mech:
        number = getattr(ck, f"CKM_{name}")
        if name in ("AES_CBC", "AES_CBC_PAD", "AES_OFB"):
            return Mech(number, IV)
        if name == "AES_CTR":
            return Mech(number, codec.CK_AES_CTR_PARAMS(128, self.chance.choice((IV, bytes(16)))))
        if name == "AES_GCM":
            return Mech(number, codec.CK_GCM_PARAMS(IV[:12], 96, b"", 128))
        if name == "HKDF_DERIVE":
            extract, expand = self.chance.choice(((1, 1), (1, 0), (0, 1)))
            return Mech(number, codec.CK_HKDF_PARAMS(
                extract, expand, self.chance.choice((ck.CKM_SHA256, ck.CKM_SHA_1)), ck.CKF_HKDF_SALT_NULL, None, 0,
                b""))
        if name.endswith("ENCRYPT_DATA"):
            data = self.chance.choice((*CONSTANTS[:2], *[blob for blob in self.blobs if len(blob) % 16 == 0]))
            if "CBC" in name:
                return Mech(number, codec.CK_AES_CBC_ENCRYPT_DATA_PARAMS(IV, data))
            return Mech(number, codec.CK_KEY_DERIVATION_STRING_DATA(data))
        if name == "SP800_108_COUNTER_KDF":
            prf = self.chance.choice((ck.CKM_SHA256_HMAC, ck.CKM_AES_CMAC))
            fields = [codec.CK_PRF_DATA_PARAM(ck.CK_SP800_108_ITERATION_VARIABLE, ulong(0) + ulong(32)),
                      codec.CK_PRF_DATA_PARAM(ck.CK_SP800_108_BYTE_ARRAY, bytes(16))]
            return Mech(number, codec.CK_SP800_108_KDF_PARAMS(prf, fields))
        if name == "SHA256_HMAC_GENERAL":
            return Mech(number, ulong(self.chance.choice((4, 8, 16, 31))))
        return Mech(number)

    def data(self) -> bytes:
        """Something that it has, or parts of two such things together."""
        some = [*CONSTANTS, *self.blobs, *self.known]
        one = self.chance.choice(some)
        shape = self.chance.random()
        if shape < 0.2:
            return one[: 8 * self.chance.randint(1, 4)]
        return (one + self.chance.choice(some))[:64] if shape < 0.35 else one

    def keep(self, data: bytes, how: str) -> None:
        if data and len(data) <= 4096:
            self.known.setdefault(data, how)

    def generate(self) -> None:
        kind = self.chance.choice(("AES", "GENERIC_SECRET"))
        mech = Mech(getattr(ck, f"CKM_{kind}_KEY_GEN"))
        rows = self.rows(VALUE_LEN=ulong(self.chance.choice((16, 32))))
        self.mine.append(keys.C_GenerateKey(self.world.app, self.world.handle, mech, rows)[1])

    def bring(self) -> None:
        value = self.chance.choice((self.chance.randbytes(32), self.chance.randbytes(16), CONSTANTS[2]))
        self.keep(value, "imported")
        rows = self.rows(VALUE=value, KEY_TYPE=ulong(self.chance.choice(TYPES)))
        self.mine.append(objects.C_CreateObject(self.world.app, self.world.handle, rows)[1])

    def wrap(self) -> None:
        name, key, target = self.chance.choice(WRAPS), self.handle(), self.handle()
        told = keys.C_WrapKey(self.world.app, self.world.handle, self.mech(name), key, target, 4096)
        if told[2]:
            self.made.append((told[2], name, key))

    def unwrap(self) -> None:
        data, name, key = self.again() if self.made else (self.data(), self.chance.choice(WRAPS), self.handle())
        rows = self.rows(KEY_TYPE=ulong(self.chance.choice(TYPES)), **self.length())
        made = keys.C_UnwrapKey(self.world.app, self.world.handle, self.mech(name), key, data, rows)[1]
        self.mine.insert(self.chance.randrange(3), made)

    def derive(self) -> None:
        rows = self.rows(KEY_TYPE=ulong(self.chance.choice(TYPES)), **self.length())
        name, base = self.chance.choice(DERIVES), self.handle()
        made = keys.C_DeriveKey(self.world.app, self.world.handle, self.mech(name), base, rows)[1]
        self.mine.insert(self.chance.randrange(3), made)
        source, item = self.world.app.handles[base], self.world.app.handles[made]
        if source in self.derived or self.is_secret(source):
            self.derived.append(item)

    def cipher(self, way: str) -> None:
        app, s = self.world.app, self.world.handle
        data, name, key = self.data(), self.chance.choice(CIPHERS), self.handle()
        if way == "Decrypt" and self.made:
            data, name, key = self.again()
        getattr(ciphering, f"C_{way}Init")(app, s, self.mech(name), key)
        made = getattr(ciphering, f"C_{way}")(app, s, data, 8192)[2]
        if made:
            self.made.append((made, name, key))
            self.keep(made, way)

    def encrypt(self) -> None:
        self.cipher("Encrypt")

    def decrypt(self) -> None:
        self.cipher("Decrypt")

    def sign(self) -> None:
        app, s = self.world.app, self.world.handle
        signing.C_SignInit(app, s, self.mech(self.chance.choice(MACS)), self.handle())
        made = signing.C_Sign(app, s, self.data(), 4096)[2]
        self.keep(made or b"", "MAC")

    def copy(self) -> None:
        rows = [row for row in self.rows() if row[0] != ck.CKA_CLASS and self.chance.random() < 0.3]
        self.mine.append(objects.C_CopyObject(self.world.app, self.world.handle, self.handle(), rows)[1])

    def change(self) -> None:
        flag = self.chance.choice((*FLAGS, "SENSITIVE", "EXTRACTABLE"))
        rows = [(getattr(ck, f"CKA_{flag}"), self.chance.choice((YES, NO)))]
        objects.C_SetAttributeValue(self.world.app, self.world.handle, self.handle(), rows)

    def read(self) -> None:
        _, told = objects.C_GetAttributeValue(
            self.world.app, self.world.handle, self.handle(), [(ck.CKA_VALUE, 4096), (ck.CKA_CHECK_VALUE, 64)])
        for _, value in told:
            if isinstance(value, bytes):
                self.keep(value, "read")

    def destroy(self) -> None:
        while len(self.mine) > MOST_KEYS:
            handle = self.mine.pop(self.chance.randrange(len(self.mine)))
            objects.C_DestroyObject(self.world.app, self.world.handle, handle)

    # -- and outside

    def think(self) -> None:
        """What follows from what it has, one step further."""
        values = [value for value in self.known if len(value) in (16, 24, 32)][-12:]
        fresh: list[bytes] = []
        for value in values:
            for blob in self.blobs[-12:]:
                fresh += _opened(value, blob)
            for data in CONSTANTS:
                fresh.append(hmac.digest(value, data, "sha256"))
                if len(data) % 16 == 0:
                    fresh.append(Cipher(algorithms.AES(value), modes.ECB()).encryptor().update(data))
            fresh.append(hashlib.sha256(value).digest())
        for value in fresh:
            self.keep(value, "worked out")
        while len(self.known) > MOST_KNOWN:
            self.known.pop(next(iter(self.known)))

    STEPS: tuple[tuple[Callable[[Attacker], None], int], ...] = ()

    def walk(self, steps: int) -> int:
        """How many steps were let."""
        self.generate()
        self.generate()
        let = 0
        doing, weights = zip(*self.STEPS, strict=True)
        for _ in range(steps):
            step = self.chance.choices(doing, weights)[0]
            try:
                step(self)
                let += 1
                self.script.append(step.__name__)
                self.destroy()
            except TokenError as refusal:
                self.script.append(f"({step.__name__}: {refusal.reason})")
                for active in list(self.world.app.session(self.world.handle).active):
                    self.world.app.session(self.world.handle).active.pop(active)
            self.think()
            self.look()
        return let

    def look(self) -> None:
        self.derived = [item for item in self.derived if item.alive and item.flag(ck.CKA_SENSITIVE)]
        for item in self.world.pool.by_slot[0].session_objects:
            if not self.is_secret(item) and item not in self.derived:
                continue
            value = item.attributes[ck.CKA_VALUE]
            for known, how in self.known.items():
                if value in known or (len(value) > 16 and known in (value[:16], value[-16:])):
                    raise Found(f"a secret of {len(value)} bytes is known ({how}):\n" + "\n".join(self.script))

    def is_secret(self, item: TokenObject) -> bool:
        """As the token counts it."""
        return key_policy.is_secret(item) and not self.world.pool.by_slot[0].values.is_known(item)

    def leave(self) -> None:
        partition = self.world.pool.by_slot[0]
        for item in [*partition.session_objects]:
            with partition.lock:
                partition._drop(item)


Attacker.STEPS = (
    (Attacker.generate, 3), (Attacker.bring, 2), (Attacker.wrap, 8), (Attacker.unwrap, 8), (Attacker.derive, 6),
    (Attacker.encrypt, 6), (Attacker.decrypt, 8), (Attacker.sign, 4), (Attacker.copy, 3), (Attacker.change, 3),
    (Attacker.read, 4),
)



def _opened(value: bytes, blob: bytes) -> list[bytes]:
    """What a wrapped key is, to who knows the key above it, by each way that there is to wrap."""
    found = []
    for unwrap in (keywrap.aes_key_unwrap, keywrap.aes_key_unwrap_with_padding):
        try:
            found.append(unwrap(value, blob))
        except (keywrap.InvalidUnwrap, ValueError):
            pass
    if blob and len(blob) % 16 == 0:
        found.append(Cipher(algorithms.AES(value), modes.ECB()).decryptor().update(blob))
        found.append(Cipher(algorithms.AES(value), modes.CBC(IV)).decryptor().update(blob))
    for counter in (IV, bytes(16), IV[:12] + b"\0\0\0\2"):
        found.append(Cipher(algorithms.AES(value), modes.CTR(counter)).encryptor().update(blob))
    return found


def _walks(world: World, seeds: range, steps: int) -> None:
    let = 0
    for seed in seeds:
        attacker = Attacker(world, seed)
        try:
            let += attacker.walk(steps)
        finally:
            attacker.leave()
    assert let > len(seeds) * steps // 6, "most of what was tried was refused: nothing was explored"


def test_no_walk_gets_a_secret(world: World) -> None:
    _walks(world, range(120), 60)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_walk_of_thousands_gets_a_secret(world: World) -> None:
    _walks(world, range(1000, 3000), 80)


@pytest.mark.parametrize(("rule", "instead"), [
    ("EXCLUDES", {}), ("CIPHER_EXCLUDES", {}), ("_may_wrap_sensitive", lambda *_: None),
])
def test_a_rule_that_is_switched_off_is_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch, rule: str, instead: Any
) -> None:
    """The judge judged: these walks do find what the rules are there for."""
    monkeypatch.setattr(key_policy, rule, instead)
    with pytest.raises(Found):
        _walks(world, range(120), 60)
