"""SoftHSM2 as oracle, of key pairs, derivations and legacy keys: each module verifies and decrypts what the other made.

A difference is a row of peer_differences.py, as in test_peer.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from peer_differences import Step, named
from peer_keys import (
    BLOCK,
    CIPHERS,
    DIGESTS,
    EDWARDS,
    HALF,
    KINDS_OF_PAIRS,
    P256,
    PAIRS_OF_A_KIND,
    RANDOM,
    SIGNING,
    USES,
    Parameter,
    Template,
    agreement,
    data_to_chain,
    data_to_encrypt,
    imported,
    pair,
)
from peer_sequences import DATA, LIKELY, SELDOM, Sequence, run, side_by_side

from hsm.mechanisms.secret_forms import odd
from pkcs11_shim import constants as ck

FLAGS = st.tuples(SELDOM, *[LIKELY] * 4).map(list)
SECRETS = {ck.CKK_AES: 16, ck.CKK_DES3: 24, ck.CKK_GENERIC_SECRET: 32}
DERIVED: list[Template] = [
    [(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), (ck.CKA_VALUE_LEN, 16)],
    [(ck.CKA_KEY_TYPE, ck.CKK_AES), (ck.CKA_VALUE_LEN, 16)], [(ck.CKA_KEY_TYPE, ck.CKK_AES), (ck.CKA_VALUE_LEN, 32)],
    [(ck.CKA_KEY_TYPE, ck.CKK_AES), (ck.CKA_VALUE_LEN, 17)], [(ck.CKA_KEY_TYPE, ck.CKK_DES3)],
    [(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), (ck.CKA_VALUE_LEN, 4000)], [(ck.CKA_KEY_TYPE, ck.CKK_AES)],
    [(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET)], [(ck.CKA_KEY_TYPE, ck.CKK_RSA)],
]
MADE = (
    ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_VALUE, ck.CKA_VALUE_LEN, ck.CKA_LOCAL, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE,
    ck.CKA_ALWAYS_SENSITIVE, ck.CKA_NEVER_EXTRACTABLE, ck.CKA_KEY_GEN_MECHANISM,
)
PAIR_MADE = (
    ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_LOCAL, ck.CKA_KEY_GEN_MECHANISM, ck.CKA_TOKEN, ck.CKA_PRIVATE,
    ck.CKA_EC_PARAMS, ck.CKA_EC_POINT, ck.CKA_MODULUS, ck.CKA_MODULUS_BITS, ck.CKA_PUBLIC_EXPONENT, ck.CKA_SENSITIVE,
    ck.CKA_EXTRACTABLE, ck.CKA_ALWAYS_SENSITIVE, ck.CKA_NEVER_EXTRACTABLE,
)
GENERATED: list[tuple[int, Template]] = [
    (ck.CKM_EC_KEY_PAIR_GEN, [(ck.CKA_EC_PARAMS, P256)]), (ck.CKM_EC_KEY_PAIR_GEN, []),
    (ck.CKM_EC_KEY_PAIR_GEN, [(ck.CKA_EC_PARAMS, b"no curve")]),
    (ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, [(ck.CKA_EC_PARAMS, EDWARDS)]),
    (ck.CKM_RSA_PKCS_KEY_PAIR_GEN, []), (ck.CKM_RSA_PKCS_KEY_PAIR_GEN, [(ck.CKA_MODULUS_BITS, 100)]),
    (ck.CKM_RSA_PKCS_KEY_PAIR_GEN, [(ck.CKA_MODULUS_BITS, 1024), (ck.CKA_PUBLIC_EXPONENT, b"\x01\x00\x01")]),
    (ck.CKM_AES_KEY_GEN, []),
]
MECHANISMS = {"Digest": DIGESTS, "Sign": SIGNING, "Verify": SIGNING, "Encrypt": CIPHERS, "Decrypt": CIPHERS}


class Keys(Sequence):
    """Pairs that both have imported, secrets, and what is made of them."""

    mechanisms = MECHANISMS

    @initialize()
    def begin(self) -> None:
        super().begin()
        session = self._name()
        self.both("open", session, True)
        self.both("login", session, ck.CKU_USER, True)
        self.sessions.append(session)
        self.pairs: list[tuple[str, int, int]] = []  # kind, the public and the private half

    @precondition(lambda self: not self.over)
    @rule(
        data=st.data(), kind=st.sampled_from(sorted(KINDS_OF_PAIRS)), which=st.integers(0, PAIRS_OF_A_KIND - 1),
        flags=FLAGS,
    )
    def bring(self, data: Any, kind: str, which: int, flags: list[bool]) -> None:
        session, items = self._session(data), (self._name(), self._name())
        made = [
            self.both("create", item, session, template) == ("CKR_OK",)
            for item, template in zip(items, imported(kind, which, flags), strict=True)
        ]
        if not self.over and all(made):
            self.pairs.append((kind, *items))
            self.objects += items

    @precondition(lambda self: not self.over)
    @rule(data=st.data(), kind=st.sampled_from(sorted(SECRETS)), flags=FLAGS, parity=LIKELY)
    def create(self, data: Any, kind: int, flags: list[bool], parity: bool) -> None:
        value = next(self.values).to_bytes(SECRETS[kind], "big")
        value = odd(value) if kind == ck.CKK_DES3 and parity else value
        private, *uses = flags
        template = [
            (ck.CKA_CLASS, ck.CKO_SECRET_KEY), (ck.CKA_KEY_TYPE, kind), (ck.CKA_VALUE, value), (ck.CKA_TOKEN, False),
            (ck.CKA_PRIVATE, private), (ck.CKA_SENSITIVE, False), (ck.CKA_EXTRACTABLE, True), (ck.CKA_DERIVE, True),
            *zip(USES, (*uses, False, False), strict=True),
        ]
        item = self._name()
        if self.both("create", item, self._session(data), template) == ("CKR_OK",):
            self.objects.append(item)

    @precondition(lambda self: not self.over)
    @rule(data=st.data(), how=st.sampled_from(GENERATED), sensitive=LIKELY, extractable=LIKELY)
    def generate_pair(
        self, data: Any, how: tuple[int, Template], sensitive: bool, extractable: bool
    ) -> None:
        """What is made differs, so nothing is done with it but looking at it."""
        number, given = how
        session, items = self._session(data), (self._name(), self._name())
        public = [(ck.CKA_TOKEN, False), (ck.CKA_PRIVATE, False), *given]
        private = [(ck.CKA_TOKEN, False), (ck.CKA_SENSITIVE, sensitive), (ck.CKA_EXTRACTABLE, extractable)]
        if self.both("generate_pair", items, session, number, public, private) == ("CKR_OK",):
            for item in items:
                self.both("read", session, item, [(attribute, None) for attribute in PAIR_MADE])

    @precondition(lambda self: not self.over and self.objects)
    @rule(
        data=st.data(), template=st.sampled_from(DERIVED), which=st.integers(0, PAIRS_OF_A_KIND - 1),
        how=st.sampled_from(["raw", "point", "off", "none", "ecb", "cbc", "short"]),
    )
    def derive(self, data: Any, template: Template, which: int, how: str) -> None:
        point = dict(pair("EC", which)[0])[ck.CKA_EC_POINT]
        ways: dict[str, tuple[int, Parameter]] = {
            "raw": (ck.CKM_ECDH1_DERIVE, agreement(point[2:])), "point": (ck.CKM_ECDH1_DERIVE, agreement(point)),
            "off": (ck.CKM_ECDH1_DERIVE, agreement(point[:-1] + bytes([point[-1] ^ 1]))),
            "none": (ck.CKM_ECDH1_DERIVE, None), "ecb": (ck.CKM_AES_ECB_ENCRYPT_DATA, data_to_encrypt(2 * BLOCK)),
            "cbc": (ck.CKM_AES_CBC_ENCRYPT_DATA, data_to_chain(2 * BLOCK)),
            "short": (ck.CKM_AES_ECB_ENCRYPT_DATA, data_to_encrypt(HALF)),
        }
        item, session = self._name(), self._session(data)
        flags = [(ck.CKA_TOKEN, False), (ck.CKA_PRIVATE, False), (ck.CKA_SENSITIVE, False), (ck.CKA_EXTRACTABLE, True)]
        wanted = [(ck.CKA_CLASS, ck.CKO_SECRET_KEY), *flags, *template]
        if self.both("derive", item, session, *ways[how], self._object(data), wanted) == ("CKR_OK",):
            self.both("read", session, item, [(attribute, 64) for attribute in MADE])
            self.objects.append(item)

    @precondition(lambda self: not self.over and self.objects)
    @rule(data=st.data())
    def digest_key(self, data: Any) -> None:
        self.both("digest_key", self._session(data), self._object(data))

    @precondition(lambda self: not self.over and self.pairs)
    @rule(data=st.data(), how=st.sampled_from(SIGNING), given=DATA)
    def sign(self, data: Any, how: tuple[int, Parameter], given: bytes) -> None:
        """Each verifies what the other has signed, and the other's signature of something else."""
        _, public, private = data.draw(st.sampled_from(self.pairs))
        answers = self._each("Sign", how, private, given)
        for answer in answers:
            if answer[0] == "CKR_OK" and not self.over:
                self.both("check", *how, public, given, answer[2])
                self.both("check", *how, public, given[::-1] + b"\x01", answer[2])
                self.both("check", *how, public, given, answer[2][:-1])

    @precondition(lambda self: not self.over and self.pairs)
    @rule(data=st.data(), how=st.sampled_from(CIPHERS), given=DATA)
    def encrypt(self, data: Any, how: tuple[int, Parameter], given: bytes) -> None:
        """Each decrypts what the other has encrypted."""
        _, public, private = data.draw(st.sampled_from(self.pairs))
        for answer in self._each("Encrypt", how, public, given):
            if answer[0] == "CKR_OK" and not self.over:
                self.both("use", "Decrypt", *how, private, answer[2])
                self.both("use", "Decrypt", *how, private, answer[2][:-1])
                altered = answer[2][:-1] + bytes([answer[2][-1] ^ 1])
                self.both("use", "Decrypt", *how, private, altered)

    def _each(self, kind: str, how: tuple[int, Parameter], item: int, given: bytes) -> list[Any]:
        answers = [module.ask("use", kind, *how, item, given) for module in (self.ours, self.theirs)]
        random = (kind, how[0]) in RANDOM
        ours, theirs = (answer[:2] if random else answer for answer in answers)
        self._compared(Step("use", (kind, *how, item, given), ours, theirs))
        return answers


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[type[Sequence]]:
    with side_by_side(Keys, tmp_path) as machine:
        yield machine


# What SoftHSM2 has and this module doesn't: DSA and Diffie-Hellman modulo a prime, single DES, and DES with two keys.
THEIRS_ALONE = {
    ck.CKM_DSA_PARAMETER_GEN, ck.CKM_DSA_KEY_PAIR_GEN, ck.CKM_DSA, ck.CKM_DSA_SHA1, ck.CKM_DSA_SHA224,
    ck.CKM_DSA_SHA256, ck.CKM_DSA_SHA384, ck.CKM_DSA_SHA512, ck.CKM_DH_PKCS_PARAMETER_GEN,
    ck.CKM_DH_PKCS_KEY_PAIR_GEN, ck.CKM_DH_PKCS_DERIVE, ck.CKM_DES_KEY_GEN, ck.CKM_DES_ECB, ck.CKM_DES_CBC,
    ck.CKM_DES_CBC_PAD, ck.CKM_DES_ECB_ENCRYPT_DATA, ck.CKM_DES_CBC_ENCRYPT_DATA, ck.CKM_DES2_KEY_GEN,
    ck.CKM_DES3_ECB_ENCRYPT_DATA, ck.CKM_DES3_CBC_ENCRYPT_DATA,
}


def test_the_mechanisms_that_both_have(keys: type[Sequence]) -> None:
    for module in (keys.ours, keys.theirs):
        module.ask("begin")
    ours, theirs = ({*module.ask("mechanisms")[1]} for module in (keys.ours, keys.theirs))
    assert theirs - ours == THEIRS_ALONE
    for number in sorted(ours & theirs):
        answers = [module.ask("mechanism_info", number) for module in (keys.ours, keys.theirs)]
        step = Step("mechanism_info", (number,), *answers)
        assert answers[0] == answers[1] or named(step, [step]), step


def test_the_same_calls_with_keys(keys: type[Sequence]) -> None:
    run(keys, 60, 30)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_same_calls_with_keys_for_long(keys: type[Sequence]) -> None:
    run(keys, 1500, 40)
