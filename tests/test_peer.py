"""SoftHSM2 as oracle: the same random calls to both modules; whatever differs is a row of peer_differences.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from peer_differences import VENDOR, table
from peer_keys import BLOCK, USES, Parameter, Template
from peer_sequences import DATA, LIKELY, MOST_WRONG, ROOMS, SELDOM, Sequence, run, side_by_side

from pkcs11_shim import constants as ck

MECHANISMS: dict[str, list[tuple[int, Parameter]]] = {
    "Digest": [(ck.CKM_SHA256, None), (ck.CKM_SHA_1, None), (ck.CKM_SHA512, None), (ck.CKM_AES_ECB, None)],
    "Sign": [(ck.CKM_SHA256_HMAC, None), (ck.CKM_AES_CMAC, None), (ck.CKM_AES_CMAC, None), (ck.CKM_SHA256, None)],
    "Encrypt": [
        (ck.CKM_AES_ECB, None), (ck.CKM_AES_CBC, BLOCK), (ck.CKM_AES_CBC_PAD, BLOCK), (ck.CKM_AES_CBC, b"short"),
        (ck.CKM_AES_CBC_PAD, None), (ck.CKM_SHA256, None),
    ],
}
MECHANISMS["Decrypt"], MECHANISMS["Verify"] = MECHANISMS["Encrypt"], MECHANISMS["Sign"]
WRAPPING = [ck.CKM_AES_KEY_WRAP, ck.CKM_AES_KEY_WRAP, ck.CKM_AES_KEY_WRAP_PAD, ck.CKM_SHA256]
READABLE = (
    ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_VALUE, ck.CKA_VALUE_LEN, ck.CKA_LABEL, ck.CKA_ID, ck.CKA_TOKEN,
    ck.CKA_PRIVATE, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE, ck.CKA_MODIFIABLE, ck.CKA_LOCAL, ck.CKA_ALWAYS_SENSITIVE,
    ck.CKA_NEVER_EXTRACTABLE, ck.CKA_KEY_GEN_MECHANISM, ck.CKA_MODULUS, ck.CKA_APPLICATION, *USES,
)


VALUE_OF_ITS_OWN = 16  # stands for so many bytes that no other key has: what the token knows of one binds its twins


def _secret(value: Any, flags: list[bool], more: Template) -> Template:
    """A secret key with all its flags said, since their defaults differ by design."""
    token, private, sensitive, extractable, modifiable, *uses = flags
    rows = {
        ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE: value, ck.CKA_TOKEN: token,
        ck.CKA_PRIVATE: private, ck.CKA_SENSITIVE: sensitive, ck.CKA_EXTRACTABLE: extractable,
        ck.CKA_MODIFIABLE: modifiable, **dict(zip(USES, uses, strict=True)), ck.CKA_DERIVE: False,
    }
    return [*rows.items(), *more]


FLAGS = st.tuples(SELDOM, SELDOM, SELDOM, LIKELY, LIKELY, *[LIKELY] * len(USES)).map(list)
ODD: list[Template] = [
    [], [], [], [], [(ck.CKA_LABEL, b"odd")], [(ck.CKA_ID, b"")], [(ck.CKA_LOCAL, True)],
    [(VENDOR, b"vendor")], [(ck.CKA_MODULUS, b"\x01")],
]
VALUES = st.sampled_from([*[VALUE_OF_ITS_OWN] * 4, b"15 bytes, no key"[:15], b""])
SECRETS = st.builds(_secret, VALUES, FLAGS, st.sampled_from(ODD))
DATA_OBJECTS = st.builds(
    lambda token, private, value, more: [
        (ck.CKA_CLASS, ck.CKO_DATA), (ck.CKA_TOKEN, token), (ck.CKA_PRIVATE, private), (ck.CKA_VALUE, value), *more
    ],
    SELDOM, SELDOM, DATA, st.sampled_from(ODD),
)
WITHOUT_CLASS: Template = [(ck.CKA_TOKEN, False), (ck.CKA_LABEL, b"of no class")]
GENERATED = st.builds(
    lambda length, flags: [row for row in _secret(b"", flags, []) if row[0] != ck.CKA_VALUE] + length,
    st.sampled_from([[(ck.CKA_VALUE_LEN, 16)], [(ck.CKA_VALUE_LEN, 32)], [(ck.CKA_VALUE_LEN, 17)], []]), FLAGS,
)
CHANGES = st.sampled_from([
    [(ck.CKA_LABEL, b"changed")], [(ck.CKA_ID, b"1")], [(ck.CKA_SENSITIVE, True)], [(ck.CKA_SENSITIVE, False)],
    [(ck.CKA_EXTRACTABLE, False)], [(ck.CKA_EXTRACTABLE, True)], [(ck.CKA_VALUE, BLOCK)], [(ck.CKA_CLASS, 0)],
    [(ck.CKA_TOKEN, True)], [(ck.CKA_PRIVATE, True)], [(ck.CKA_MODIFIABLE, False)], [(ck.CKA_KEY_TYPE, ck.CKK_AES)],
    [(ck.CKA_ENCRYPT, False)], [], [(ck.CKA_LOCAL, True)],
])


class Peers(Sequence):
    """Sessions, logins, objects, searches, wrapping, and operations with secret keys."""

    mechanisms = MECHANISMS

    @precondition(lambda self: not self.over)
    @rule(data=st.data(), how=st.sampled_from(["logout", "init_pin", "info"]))
    def officers(self, data: Any, how: str) -> None:
        self.both(how, self._session(data))

    @precondition(lambda self: not self.over and self.wrong <= MOST_WRONG)
    @rule(data=st.data(), user=st.sampled_from([ck.CKU_USER, ck.CKU_SO]), right=LIKELY)
    def set_pin(self, data: Any, user: int, right: bool) -> None:
        self.both("set_pin", self._session(data), user, right)

    @precondition(lambda self: not self.over and self.sessions)
    @rule(data=st.data(), template=st.one_of(SECRETS, SECRETS, DATA_OBJECTS, st.just(WITHOUT_CLASS)))
    def create(self, data: Any, template: Template) -> None:
        item = self._name()
        own = next(self.values).to_bytes(16, "big")
        template = [(number, own if value is VALUE_OF_ITS_OWN else value) for number, value in template]
        if self.both("create", item, self._session(data), template) == ("CKR_OK",):
            self.objects.append(item)

    @precondition(lambda self: not self.over and self.objects)
    @rule(data=st.data(), template=CHANGES)
    def copy(self, data: Any, template: Template) -> None:
        item = self._name()
        if self.both("copy", item, self._session(data), self._object(data), template) == ("CKR_OK",):
            self.objects.append(item)

    @precondition(lambda self: not self.over and self.sessions)
    @rule(data=st.data(), template=GENERATED)
    def generate(self, data: Any, template: Template) -> None:
        """What is made differs, so nothing is done with it but looking at it."""
        item, session = self._name(), self._session(data)
        if self.both("generate", item, session, ck.CKM_AES_KEY_GEN, template) == ("CKR_OK",):
            self.both("read", session, item, [(number, None) for number in READABLE])

    @precondition(lambda self: not self.over and self.objects)
    @rule(data=st.data(), how=st.sampled_from(["destroy", "change", "change"]), template=CHANGES)
    def alter(self, data: Any, how: str, template: Template) -> None:
        more = (template,) if how == "change" else ()
        self.both(how, self._session(data), self._object(data), *more)

    @precondition(lambda self: not self.over and self.objects)
    @rule(
        data=st.data(),
        attributes=st.lists(st.tuples(st.sampled_from(READABLE), st.sampled_from([None, 0, 3, 64])), max_size=4),
    )
    def read(self, data: Any, attributes: list[tuple[int, int | None]]) -> None:
        self.both("read", self._session(data), self._object(data), attributes)

    @precondition(lambda self: not self.over and self.sessions)
    @rule(data=st.data(), template=st.sampled_from([
        [], [(ck.CKA_CLASS, ck.CKO_SECRET_KEY)], [(ck.CKA_CLASS, ck.CKO_DATA)], [(ck.CKA_LABEL, b"odd")],
        [(ck.CKA_TOKEN, True)], [(ck.CKA_VALUE, BLOCK)], [(VENDOR, b"vendor")], [(ck.CKA_CLASS, b"\x01")],
    ]))
    def find(self, data: Any, template: Template) -> None:
        self.both("find", self._session(data), template)

    @precondition(lambda self: not self.over and self.objects)
    @rule(data=st.data(), number=st.sampled_from(WRAPPING), room=ROOMS)
    def wrap(self, data: Any, number: int, room: int | None) -> None:
        key, target = self._object(data), self._object(data)
        answer = self.both("wrap", self._session(data), number, None, key, target, room)
        if answer and answer[0] == "CKR_OK" and room is not None:
            self.blobs.append((number, None, key, answer[2]))

    @precondition(lambda self: not self.over and self.blobs)
    @rule(data=st.data(), flags=FLAGS, whole=LIKELY)
    def unwrap(self, data: Any, flags: list[bool], whole: bool) -> None:
        number, parameter, key, blob = data.draw(st.sampled_from(self.blobs))
        template = [row for row in _secret(b"", flags, []) if row[0] != ck.CKA_VALUE]
        item = self._name()
        blob = blob if whole else blob[:-8]
        if self.both("unwrap", item, self._session(data), number, parameter, key, blob, template) == ("CKR_OK",):
            self.objects.append(item)


def test_the_differences_are_in_the_docs() -> None:
    assert table() in (Path(__file__).resolve().parent.parent / "hsm/cryptoki/README.md").read_text()


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[type[Sequence]]:
    with side_by_side(Peers, tmp_path) as machine:
        yield machine


def test_the_same_calls(peers: type[Sequence]) -> None:
    run(peers, 60, 30)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_same_calls_for_long(peers: type[Sequence]) -> None:
    run(peers, 1500, 40)
