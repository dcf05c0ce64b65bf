"""Ways out of one's scope, tried by officers who have a role on one key: each ends where the role ends.

The key that is not theirs is "this", made by another; theirs is "mine".
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from abi import good, name
from roles_world import (
    KINDS,
    KWP,
    MAKER,
    P256,
    SECRET,
    THIS,
    Pool,
    Seat,
    fresh_seat,
    officer,
    pin_of,
    pool_with_maker,
    sign,
)

from pkcs11_shim import constants as ck

MINE = b"mine"
NO_LOGIN = "CKR_USER_NOT_LOGGED_IN"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with pool_with_maker() as made:
        yield made


@pytest.fixture(params=KINDS)
def seat(pool: Pool, request: pytest.FixtureRequest) -> Iterator[Seat]:
    with fresh_seat(pool, request.param) as made:
        yield made


def backed_up(seat: Seat) -> bytes:
    """The maker's: a key "this" that may be wrapped, and it wrapped. A managed HSM's token keys leave it in no way but
    by having been session keys first."""
    rows: dict[str, Any] = {"label": THIS, "id": b"saved", "encrypt": False, "decrypt": False}
    kwp, kek = seat.m.mechanism(KWP), seat.handle(b"kek")
    target = seat.m.aes(seat.s, extractable=True, token=seat.kind == "token", **rows)
    rv, blob = seat.m.wrap(seat.s, kwp, kek, target)
    good(rv)
    if seat.kind == "managed-hsm":
        given = {getattr(ck, f"CKA_{n.upper()}"): v for n, v in rows.items()}
        good(seat.m.unwrap(seat.s, kwp, kek, blob, {**SECRET, **given, ck.CKA_TOKEN: True})[0])
    return blob


def unwrap(seat: Seat, blob: bytes, **more: Any) -> tuple[str, int]:
    rows = {**SECRET, ck.CKA_ENCRYPT: False, ck.CKA_DECRYPT: False}
    rows |= {getattr(ck, f"CKA_{n.upper()}"): v for n, v in more.items()}
    rv, handle = seat.m.unwrap(seat.s, seat.m.mechanism(KWP), seat.handle(b"kek"), blob, rows)
    return name(rv), handle


# -- finding and guessing


def test_no_handle_that_is_guessed_is_another_keys(seat: Seat) -> None:
    officer(seat, ("CU", "/keys/mine"))
    mine = seat.m.aes(seat.s, token=True, label=MINE)
    found = [
        handle for handle in range(max(mine - 300, 1), mine + 300)
        if seat.m.C_GetAttributeValue(seat.s, handle, *seat.m.template({ck.CKA_CLASS: None})) == ck.CKR_OK
    ]
    assert found == [mine]
    assert sign(seat, seat.stale[b"mac"]) == "CKR_KEY_HANDLE_INVALID"


def test_no_search_finds_another_key(seat: Seat) -> None:
    unique = seat.m.read(seat.s, seat.handle(b"mac"), ck.CKA_UNIQUE_ID)
    assert seat.m.find(seat.s, {ck.CKA_UNIQUE_ID: unique})
    officer(seat, ("CU", "/keys/mine"))
    mine = seat.m.aes(seat.s, token=True, label=MINE)
    assert seat.m.find(seat.s, {ck.CKA_UNIQUE_ID: unique}) == []
    assert seat.m.find(seat.s, {ck.CKA_LABEL: THIS}) == []
    assert seat.m.find(seat.s, {}) == [mine]


def test_a_role_is_on_all_versions_of_a_name_and_on_later_ones(seat: Seat) -> None:
    one = officer(seat, ("CU", "/keys/This"))  # names make no difference between T and t
    assert sign(seat, seat.handle(b"mac")) == "CKR_OK"
    seat.sit(MAKER)
    good(seat.m.C_DestroyObject(seat.s, seat.handle(b"mac")))
    for which in (b"second", b"third"):
        seat.key(which, encrypt=False, decrypt=False)
    seat.key(b"longer", b"this-one")
    seat.key(b"shorter", b"thi")
    seat.sit(one)
    assert [sign(seat, seat.handle(which)) for which in (b"second", b"third")] == ["CKR_OK"] * 2
    assert seat.m.find(seat.s, {ck.CKA_ID: b"longer"}) == seat.m.find(seat.s, {ck.CKA_ID: b"shorter"}) == []


def test_data_has_no_name_although_it_has_that_label(seat: Seat) -> None:
    good(seat.data(THIS, private=True)[0])
    officer(seat, ("CU", "/keys/this"))
    assert seat.m.find(seat.s, {ck.CKA_CLASS: ck.CKO_DATA}) == []
    officer(seat, ("CU", "/keys"))
    assert len(seat.m.find(seat.s, {ck.CKA_CLASS: ck.CKO_DATA})) == 1


# -- names


def test_a_new_label_moves_nobodys_scope(seat: Seat) -> None:
    theirs = officer(seat, ("CU", "/keys/this"))
    good(seat.m.change(seat.s, seat.handle(b"mac"), {ck.CKA_LABEL: MINE}))
    assert sign(seat, seat.handle(b"mac")) == "CKR_OK"
    mine = officer(seat, ("CU", "/keys/mine"))
    assert seat.m.find(seat.s, {ck.CKA_LABEL: MINE}) == []
    own = seat.m.aes(seat.s, token=True, label=MINE, id=b"own")
    good(seat.m.change(seat.s, own, {ck.CKA_LABEL: THIS}))
    # What is copied gets its name by the label, and "this" is not mine to make.
    assert name(seat.m.copy(seat.s, own, {ck.CKA_ID: b"copy"})[0]) == "CKR_ACTION_PROHIBITED"
    good(seat.m.copy(seat.s, own, {ck.CKA_LABEL: b"MINE"})[0])
    seat.sit(theirs)
    assert seat.m.find(seat.s, {ck.CKA_ID: b"own"}) == []
    seat.sit(mine)
    assert len(seat.m.find(seat.s, {ck.CKA_ID: b"own"})) == 2


def test_each_half_of_a_pair_is_made_by_its_own_name(seat: Seat) -> None:
    officer(seat, ("CU", "/keys/mine"))
    curve = {ck.CKA_EC_PARAMS: bytes.fromhex("06082a8648ce3d030107"), ck.CKA_TOKEN: True}
    for public, private in ((MINE, THIS), (THIS, MINE)):
        rv, _, handle = seat.m.pair(seat.s, ck.CKM_EC_KEY_PAIR_GEN, {**curve, ck.CKA_LABEL: public},
                                    {ck.CKA_TOKEN: True, ck.CKA_LABEL: private})
        if (seat.kind, private) == ("token", MINE):  # anybody makes public keys there
            good(rv)
            assert seat.m.read(seat.s, handle, ck.CKA_LABEL) == MINE
        else:
            assert name(rv) == "CKR_USER_NOT_LOGGED_IN"


def test_a_template_in_the_unwrapping_key_gives_no_name(seat: Seat) -> None:
    officer(seat, ("CU", "/keys/mine"))
    rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: MINE, ck.CKA_ENCRYPT: False, ck.CKA_DECRYPT: False,
            ck.CKA_UNWRAP_TEMPLATE: {ck.CKA_TOKEN: True, ck.CKA_LABEL: THIS}}
    rv, own = seat.m.generate(seat.s, ck.CKM_AES_KEY_GEN, rows)
    good(rv)
    kwp = seat.m.mechanism(KWP)
    rv, blob = seat.m.wrap(seat.s, kwp, own, seat.m.aes(seat.s, extractable=True))
    good(rv)
    assert name(seat.m.unwrap(seat.s, kwp, own, blob, SECRET)[0]) == "CKR_USER_NOT_LOGGED_IN"


# -- the value under another name


def test_who_reads_a_key_uses_no_copy_of_it_either(seat: Seat) -> None:
    officer(seat, ("AU", "/keys/this"), ("CU", "/keys/mine"))
    rv, copy = seat.m.copy(seat.s, seat.handle(b"mac"), {ck.CKA_TOKEN: False, ck.CKA_LABEL: MINE})
    good(rv)
    rv, second = seat.m.copy(seat.s, copy, {})
    good(rv)
    for handle in (seat.handle(b"mac"), copy, second):
        assert sign(seat, handle) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: MINE}
        assert name(seat.m.copy(seat.s, handle, rows)[0]) == "CKR_ACTION_PROHIBITED"


def test_a_session_copy_outlives_its_key_and_not_its_scope(seat: Seat) -> None:
    """The key is destroyed by another application meanwhile."""
    officer(seat, ("AU", "/keys/this"), ("CU", "/keys/mine"))
    rv, copy = seat.m.copy(seat.s, seat.handle(b"mac"), {ck.CKA_TOKEN: False, ck.CKA_LABEL: MINE})
    good(rv)
    destroyed_elsewhere(seat, b"mac")
    assert seat.m.find(seat.s, {ck.CKA_TOKEN: True, ck.CKA_ID: b"mac"}) == []
    assert sign(seat, copy) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: MINE}
    assert name(seat.m.copy(seat.s, copy, rows)[0]) == "CKR_ACTION_PROHIBITED"


def destroyed_elsewhere(seat: Seat, which: bytes) -> None:
    """By the maker, in a process of its own."""
    program = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from abi import good, initialised
from roles_world import MAKER, Desk, Seat
with initialised({os.environ["ADYTON_MODULE"]!r}) as m:
    seat = Seat(m, Desk("", {seat.slot}, ""), "")
    good(seat.login_user(MAKER))
    (key,) = m.find(seat.s, {{{ck.CKA_ID}: {which!r}, {ck.CKA_TOKEN}: True}})
    good(m.C_DestroyObject(seat.s, key))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_blob_of_another_key_opens_under_no_name_of_ones_own(seat: Seat) -> None:
    blob = backed_up(seat)
    officer(seat, ("SE", "/keys/kek"), ("CU", "/keys/mine"))
    assert unwrap(seat, blob)[0] == NO_LOGIN
    assert unwrap(seat, blob, private=False)[0] == NO_LOGIN
    assert unwrap(seat, blob, token=True, label=MINE)[0] == NO_LOGIN
    assert unwrap(seat, blob, token=True, label=THIS)[0] == NO_LOGIN
    assert unwrap(seat, blob, token=True, label=b"")[0] == NO_LOGIN
    assert seat.m.find(seat.s, {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_LABEL: MINE}) == []


def test_a_blob_of_a_key_that_one_may_only_read_gives_no_use_of_it(seat: Seat) -> None:
    """As a session object it is asked for like the key; no public token object of the value is made either."""
    blob = backed_up(seat)
    officer(seat, ("SE", "/"), ("CU", "/keys/mine"))
    for private in (True, False):
        code, opened = unwrap(seat, blob, private=private)
        assert code == "CKR_OK"
        assert sign(seat, opened) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        for label in (MINE, THIS):
            rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: label}
            assert name(seat.m.copy(seat.s, opened, rows)[0]) in ("CKR_ACTION_PROHIBITED", "CKR_TEMPLATE_INCONSISTENT")
    for label in (MINE, THIS):
        for private in (True, False):
            code, _ = unwrap(seat, blob, token=True, label=label, private=private)
            # A managed HSM has no public ones at all.
            public = seat.kind == "managed-hsm" and not private
            assert code == ("CKR_TEMPLATE_INCONSISTENT" if public else "CKR_USER_NOT_LOGGED_IN"), (label, private)


def test_a_session_object_of_the_value_is_no_use_to_whoever_comes_next(seat: Seat) -> None:
    """It is public, so it stays when its maker logs out."""
    blob = backed_up(seat)
    code, opened = unwrap(seat, blob, private=False)
    assert (code, sign(seat, opened)) == ("CKR_OK", "CKR_OK")
    seat.logout()
    assert sign(seat, opened) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    officer(seat, ("AU", "/"), ("CU", "/keys/mine"))
    assert sign(seat, opened) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    officer(seat, ("CU", "/keys/this"))
    assert sign(seat, opened) == "CKR_OK"


def test_a_value_that_is_known_comes_in_under_no_second_name(seat: Seat) -> None:
    value = os.urandom(32)
    rows = {**SECRET, ck.CKA_VALUE: value, ck.CKA_TOKEN: True}
    good(seat.m.create(seat.s, {**rows, ck.CKA_LABEL: THIS})[0])
    officer(seat, ("CU", "/keys/mine"))
    assert name(seat.m.create(seat.s, {**rows, ck.CKA_LABEL: MINE})[0]) == "CKR_USER_NOT_LOGGED_IN"
    assert name(seat.m.create(seat.s, {**rows, ck.CKA_TOKEN: False})[0]) == "CKR_USER_NOT_LOGGED_IN"
    officer(seat, ("CU", "/keys/mine"), ("BK", "/keys/this"))
    good(seat.m.create(seat.s, {**rows, ck.CKA_LABEL: MINE})[0])


def test_a_key_that_one_may_read_is_carried_out_by_no_key_of_ones_own(seat: Seat) -> None:
    """Neither it nor its session copy, under a wrapping key of one's own or a public key, which asks for no role."""
    extractable = seat.kind == "token"  # a managed HSM's keys go out in no case
    seat.key(b"out", extractable=extractable, encrypt=False, decrypt=False)
    officer(seat, ("AU", "/keys/this"), ("CU", "/keys/mine"))
    seat.wrapper(b"own", MINE)
    public, _ = rsa(seat)
    rv, copy = seat.m.copy(seat.s, seat.handle(b"out"), {ck.CKA_TOKEN: False, ck.CKA_ID: b"copy"})
    good(rv)
    ways = [(KWP, seat.handle(b"own")), (ck.CKM_RSA_PKCS, public)]
    for number, wrapping in ways:
        for target in (seat.handle(b"out"), copy):
            assert name(seat.m.wrap(seat.s, seat.m.mechanism(number), wrapping, target)[0]) == NO_LOGIN
    if extractable:
        officer(seat, ("AU", "/keys/this"), ("CU", "/keys/mine"), ("BK", "/keys/this"))
        good(seat.m.wrap(seat.s, seat.m.mechanism(KWP), seat.handle(b"own"), seat.handle(b"out"))[0])


def rsa(seat: Seat) -> tuple[int, int]:
    size = {ck.CKA_MODULUS_BITS: 1024, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
    rv, public, private = seat.m.pair(seat.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, size, {})
    good(rv)
    return int(public), int(private)


def test_the_value_of_a_key_that_shows_it_is_no_attribute_like_others(seat: Seat) -> None:
    """A key that is not sensitive leaves the token where it is read, in a session's copy or by a digest too."""
    m, s = seat.m, seat.s
    if seat.kind == "managed-hsm":  # where no token key shows its value
        rows = {ck.CKA_TOKEN: True, ck.CKA_SENSITIVE: False, ck.CKA_VALUE_LEN: 32}
        assert name(m.generate(s, ck.CKM_AES_KEY_GEN, rows)[0]) == "CKR_TEMPLATE_INCONSISTENT"
        return
    m.aes(s, token=True, label=THIS, id=b"open", sensitive=False, extractable=True)
    for role, code in (("AU", "CKR_ATTRIBUTE_SENSITIVE"), ("SE", "CKR_ATTRIBUTE_SENSITIVE"), ("CU", "CKR_OK")):
        seat.sit(officer(seat, (role, "/keys/this")))
        key = seat.handle(b"open")
        rv, copy = m.copy(s, key, {ck.CKA_TOKEN: False})
        good(rv)
        for handle in (key, copy):
            rows, count = m.template({ck.CKA_VALUE: None})
            assert name(m.C_GetAttributeValue(s, handle, rows, count)) == code
            assert m.read(s, handle, ck.CKA_LABEL) == THIS
            good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
            digested = name(m.C_DigestKey(s, handle))
            assert digested == ("CKR_OK" if code == "CKR_OK" else "CKR_KEY_INDIGESTIBLE")
            m.C_SessionCancel(s, ck.CKF_DIGEST)


def test_a_key_that_one_may_read_goes_into_no_derivation(seat: Seat) -> None:
    """Neither as the base nor as the salt, and into no data either."""
    generic(seat, b"base", THIS)
    officer(seat, ("AU", "/keys/this"), ("CU", "/keys/mine"))
    generic(seat, b"own", MINE)
    rv, copy = seat.m.copy(seat.s, seat.handle(b"base"), {ck.CKA_TOKEN: False, ck.CKA_ID: b"copy"})
    good(rv)
    own = seat.handle(b"own")

    def derive(base: int, salt: int, number: int = ck.CKM_HKDF_DERIVE) -> str:
        result = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_VALUE_LEN: 32}
        parameter = seat.m.structure(
            "CK_HKDF_PARAMS", bExtract=1, bExpand=1, prfHashMechanism=ck.CKM_SHA256, ulSaltType=ck.CKF_HKDF_SALT_KEY,
            hSaltKey=salt)
        return name(seat.m.derive(seat.s, seat.m.mechanism(number, parameter), base, result)[0])

    for other in (seat.handle(b"base"), copy):
        assert derive(own, other) == derive(other, own) == derive(other, own, ck.CKM_HKDF_DATA) == NO_LOGIN
    assert derive(own, own) == "CKR_OK"


def generic(seat: Seat, which: bytes, label: bytes) -> None:
    rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: label, ck.CKA_ID: which}
    good(seat.m.generate(seat.s, ck.CKM_GENERIC_SECRET_KEY_GEN, rows)[0])


def test_a_use_that_asks_for_a_login_each_time_asks_for_that_officers(seat: Seat) -> None:
    seat.pair(b"asks", ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, always_authenticate=True)
    other = seat.desk.officer(seat.new("officer"), ("CU", "/"))
    own = officer(seat, ("CU", "/keys/this"))
    good(seat.m.C_SignInit(seat.s, seat.m.mechanism(ck.CKM_ECDSA_SHA256), seat.handle(b"asks")))
    for user in (other, MAKER):
        assert name(seat.login_user(user, ck.CKU_CONTEXT_SPECIFIC)) == "CKR_PIN_INCORRECT"
        spelled = f"{user}:{pin_of(user)}"
        assert name(seat.m.login(seat.s, spelled, ck.CKU_CONTEXT_SPECIFIC)) == "CKR_PIN_INCORRECT"
    good(seat.login_user(own, ck.CKU_CONTEXT_SPECIFIC))
    good(seat.m.output(seat.m.C_Sign, seat.s, b"text", 4)[0])


def test_explain_says_who_lacks_which_action_where(seat: Seat) -> None:
    """In Azure's words. Of what may not be read it says no more than that no such handle is seen."""
    who = officer(seat, ("SE", "/keys/this"))

    def why() -> str:
        return str(seat.desk.ask("explain", "")["refusals"][-1]["reason"])

    azure = "Microsoft.KeyVault/managedHsm"
    assert sign(seat, seat.handle(b"mac")) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    assert all(word in why() for word in (who, f"{azure}/keys/sign/action", "/keys/this"))
    assert name(seat.m.C_DestroyObject(seat.s, seat.handle(b"mac"))) == "CKR_ACTION_PROHIBITED"
    assert all(word in why() for word in (who, f"{azure}/keys/delete", "/keys/this"))
    rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"other"}
    assert name(seat.m.generate(seat.s, ck.CKM_AES_KEY_GEN, rows)[0]) == NO_LOGIN
    assert all(word in why() for word in (who, f"{azure}/keys/create", "/keys/other"))
    assert name(seat.m.wrap(seat.s, seat.m.mechanism(KWP), seat.stale[b"kek"], 1)[0]) == (
        "CKR_WRAPPING_KEY_HANDLE_INVALID")
    assert "kek" not in why() and azure not in why()
