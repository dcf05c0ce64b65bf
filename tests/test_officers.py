"""A PIN that is set gives back nothing that was taken meanwhile, and lets nobody in whom no holder of the key has."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm.access import officers as chapter
from hsm.access.officers import Officers
from hsm.application import Application
from hsm.cryptoki import general
from hsm.errors import TokenError
from hsm.pool import Form, Pool
from pkcs11_shim import constants as ck

SO, USER, NEW = b"so-pin-1", b"user-pin-1", b"another-pin-1"
RECORD = {"act": "officer-set-pin", "officer": "so"}


def _officers(tmp_path: Path, *, recovery: bool, pins: dict[str, bytes]) -> tuple[Officers, bytes]:
    pool = Pool(str(tmp_path), in_memory=True, cheap_pin=True)
    app = Application(pool, 1, 0)
    made = pool.create_token(app, Form("token", recovery=recovery), b"t", pins)
    name = "user" if "user" in pins else "so"
    return made.officers, made.officers.credentials.check(name, pins[name]) or b""


@pytest.mark.parametrize("meanwhile", ["disabled", "deleted", "copy taken"])
def test_what_is_taken_while_a_pin_is_set_stays_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    officers, _ = _officers(tmp_path, recovery=False, pins={"so": SO})
    slow = chapter.with_pin

    def with_pin(*args: object, **more: object) -> object:
        made = slow(*args, **more)  # type: ignore[arg-type]
        with officers.directory.change() as change:
            there = officers.get("so")
            if meanwhile == "deleted":
                change.drop(there)
            else:
                change.write(there._replace(**({"enabled": False} if meanwhile == "disabled" else {"copy": b""})))
        return made

    monkeypatch.setattr(chapter, "with_pin", with_pin)
    if meanwhile == "disabled":
        officers.set_pin("so", SO, NEW, RECORD)
        assert not officers.get("so").enabled
        return
    with pytest.raises(TokenError) as refused:
        officers.set_pin("so", SO, NEW, RECORD)
    assert refused.value.rv == ck.CKR_PIN_INCORRECT
    assert not officers.exists("so") or not officers.get("so").copy


@pytest.mark.parametrize("before", [{}, {"enabled": False}, {"expires": 1}], ids=["there", "disabled", "expired"])
def test_an_administrator_without_a_copy_takes_no_bound_officers_place(
    tmp_path: Path, before: dict[str, object]
) -> None:
    officers, key = _officers(tmp_path, recovery=False, pins={"so": SO, "user": USER})
    svc = officers.create("svc", None, key, True, RECORD, uid=4242, roles=chapter.STANDARD["user"])
    assert officers.directory.why_not("svc") == ""
    with officers.directory.change() as change:
        change.write(svc._replace(**before))  # type: ignore[arg-type]
    officers.reset_pin("svc", NEW, None, False, RECORD)
    with officers.directory.change() as change:
        change.write(officers.get("svc")._replace(enabled=True, expires=0))
    with pytest.raises(TokenError) as refused:
        officers.authenticate(ck.CKU_USER, "svc", NEW, 0)
    assert refused.value.rv == ck.CKR_PIN_LOCKED


def test_who_is_disabled_while_the_pin_is_looked_at_is_not_logged_in(tmp_path: Path) -> None:
    """The login was not there yet when all of that officer's were ended, and no role comes back to it later."""
    pool = Pool(str(tmp_path), in_memory=True, cheap_pin=True)
    app = Application(pool, 1, 0)
    partition = pool.create_token(app, Form("token"), b"t", {"so": SO, "user": USER})
    session = app.open_session(partition, True)
    check = partition.officers.credentials.check

    def checked(name: str, pin: bytes) -> bytes | None:
        key = check(name, pin)
        with partition.directory.change() as change:
            change.write(partition.officers.get(name)._replace(enabled=False))
        partition.end_logins(name)
        return key

    partition.officers.credentials.check = checked  # type: ignore[method-assign]
    with pytest.raises(TokenError) as refused:
        general.C_Login(app, session.handle, ck.CKU_USER, USER)
    assert refused.value.rv == ck.CKR_PIN_LOCKED
    assert session.login is None


def test_a_pin_that_was_replaced_while_it_was_checked_sets_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argon2id takes its time there too: the PIN that an Administrator has set meanwhile stands."""
    officers, key = _officers(tmp_path, recovery=False, pins={"so": SO, "user": USER})
    officers.create("svc", USER, key, True, RECORD, roles=chapter.STANDARD["user"])
    slow = officers.credentials.check

    def check(name: str, pin: bytes) -> bytes | None:
        opened = slow(name, pin)
        officers.reset_pin("svc", b"by-an-administrator", key, True, RECORD, must_change=True)
        return opened

    monkeypatch.setattr(officers.credentials, "check", check)
    with pytest.raises(TokenError) as refused:
        officers.set_pin("svc", USER, NEW, RECORD)
    assert refused.value.rv == ck.CKR_PIN_INCORRECT
    assert officers.get("svc").must_change
    assert slow("svc", b"by-an-administrator") == key
