"""Officers, roles and keys' names as time passes: a credential that expires in the middle of its work, and another
engine over the same pool."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from abi import Module, good, initialised, name
from engine_room import CHEAP, SO, DiskPool, Room
from roles_world import NOT_INITIALIZED, THIS, Desk, Seat, begun, end, sign

from hsm.client import MODULE
from pkcs11_shim import constants as ck

MOVED = """
import time
from hsm import clock
clock.now = lambda: time.time() + float(open({path!r}).read())
"""


class Clock:
    """The engine's clock, which a file puts forward."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.forward(0)

    def forward(self, seconds: int) -> None:
        after = self._path.with_suffix(".next")
        after.write_text(str(seconds))
        after.replace(self._path)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    (tmp_path / "pool").mkdir(mode=0o700)  # outside of which an engine opens nothing
    return Clock(tmp_path / "pool/forward")


@pytest.fixture
def disk(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskPool]:
    made = DiskPool(tmp_path / "pool", CHEAP + MOVED.format(path=str(tmp_path / "pool/forward")))
    with Room(made.home) as room:
        room.with_user()
    monkeypatch.setenv("ADYTON_HOME", str(made.home))
    yield made
    made.stop()


def at(m: Module, disk: DiskPool) -> Seat:
    m.token()
    return Seat(m, Desk(str(disk.home), 0, SO.decode()), "token")


def test_an_officer_that_expires_is_stopped_in_what_it_does(disk: DiskPool, clock: Clock) -> None:
    with initialised(str(MODULE)) as m:
        seat = at(m, disk)
        who = seat.desk.officer("temporary", ("CU", "/keys/this"))
        expires = int(time.time()) + 3600
        seat.desk.ask("officer-update", name=who, expires=expires)
        seat.sit(who)
        seat.key(b"mac", encrypt=False, decrypt=False)
        key = seat.handle(b"mac")
        assert [sign(seat, key) for _ in range(3)] == ["CKR_OK"] * 3
        clock.forward(3500)
        begun(seat, "Sign")
        clock.forward(3700)
        assert end(seat, "Sign") == NOT_INITIALIZED
        # The library may still answer an Init by what it was granted; there is no signature to be had.
        assert sign(seat, key) in (NOT_INITIALIZED, "CKR_KEY_HANDLE_INVALID")
        assert m.find(seat.s, {ck.CKA_TOKEN: True, ck.CKA_CLASS: ck.CKO_SECRET_KEY}) == []
        seat.logout()
        assert name(seat.login_user(who)) == "CKR_PIN_LOCKED"
        assert name(seat.desk.try_it("officer-set-pin", who, name=who, new_pin="another-pin")) == "CKR_PIN_LOCKED"
        seat.desk.ask("officer-update", name=who, expires=expires + 86_400)
        seat.sit(who)
        assert sign(seat, seat.handle(b"mac")) == "CKR_OK"


def test_roles_and_names_are_the_same_in_the_next_engine(disk: DiskPool) -> None:
    """Also where a key's label has been changed: its name is written down."""
    with initialised(str(MODULE)) as m:
        seat = at(m, disk)
        mine = seat.desk.officer("mine", ("CU", "/keys/mine"))
        this = seat.desk.officer("this", ("CU", "/keys/this"))
        seat.sit(mine)
        seat.key(b"mac", b"mine", encrypt=False, decrypt=False)
        good(m.change(seat.s, seat.handle(b"mac"), {ck.CKA_LABEL: THIS}))
    disk.stop()
    with initialised(str(MODULE)) as m:
        seat = at(m, disk)
        seat.sit(this)
        assert m.find(seat.s, {ck.CKA_LABEL: THIS}) == []
        seat.sit(mine)
        seat.stale.clear()
        assert sign(seat, seat.handle(b"mac")) == "CKR_OK"
        rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: THIS}
        assert name(m.generate(seat.s, ck.CKM_AES_KEY_GEN, rows)[0]) == "CKR_USER_NOT_LOGGED_IN"
