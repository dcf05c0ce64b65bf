"""``adyton officer`` and ``adyton partition``, each command a process: who may, what is told, and what to do next."""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import good, initialised, name
from apart import PINS, adyton
from officer_desk import Desk, desk, pin_of

from hsm.client import MODULE, Refused, connect
from pkcs11_shim import constants as ck

ADYTON = [sys.executable, "-m", "hsm.cli.main"]
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with desk(tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture
def pool(bare: Desk) -> Desk:
    bare.partition("pay")
    return bare


# -- officers come, are shown, change, and go


def test_an_officer_from_the_first_day_to_the_last(pool: Desk) -> None:
    made = pool.officer("alice", "--expires", "90d")
    assert GUID.fullmatch(made["objectId"]) and made["credential"] == "pin" and made["enabled"] and made["opens"]
    assert abs(made["expires"] - time.time() - 90 * 86400) < 100 and made["roles"] == [] and not made["pending"]
    rows = pool.gives("officer", "list")
    assert [row["name"] for row in rows] == ["so", "user", "alice"]
    assert pool.gives("officer", "show", "alice") == made == rows[2]
    lines = pool.says("officer", "list").splitlines()
    assert lines[0].split()[:4] == ["name", "credential", "state", "expires"] and "Administrator at /" in lines[1]
    assert made["objectId"] in pool.says("officer", "show", "alice")

    assert pool.gives("officer", "update", "alice", "--expires", "never")["expires"] is None
    assert "disabled" in pool.says("officer", "update", "alice", "--disable")
    said = pool.fails("officer", "list", by="alice")
    assert "alice is disabled" in said and "adyton officer update alice --enable" in said
    assert "enabled" in pool.says("officer", "update", "alice", "--enable")
    assert pool.gives("officer", "delete", "alice") == {"deleted": "alice"}
    assert "there is no officer 'alice'" in pool.fails("officer", "list", by="alice")
    assert "there is no officer alice; there are: so, user" in pool.fails("officer", "show", "alice")


def test_times_of_expiry_as_people_write_them(pool: Desk) -> None:
    said = {
        "2099-12-31": 4102358400, "2099-12-31T18:00": 4102423200, "2099-12-31T18:00:00Z": 4102423200,
        "2099-12-31T20:00+02:00": 4102423200, "never": None,
    }
    for text, at in said.items():
        assert pool.gives("officer", "update", "user", "--expires", text)["expires"] == at
    for text, seconds in {"90d": 90 * 86400, "12h": 12 * 3600, "30m": 1800}.items():
        at = pool.gives("officer", "update", "user", "--expires", text)["expires"]
        assert abs(at - time.time() - seconds) < 100
    for text in ("tomorrow", "", "-1d", "2026-13-01", "9" * 30 + "d", "1e9"):
        assert "is no time of expiry: give a date" in pool.fails("officer", "update", "user", f"--expires={text}")
    for text in ("2001-01-01", "1970-01-01", "0d"):
        assert "has passed already" in pool.fails("officer", "update", "user", "--expires", text)
    assert "Give --enable, --disable or --expires" in pool.fails("officer", "update", "user")
    assert "--enable or --disable, not both" in pool.fails("officer", "update", "user", "--enable", "--disable")


def test_an_expired_officer_is_told_so(pool: Desk) -> None:
    pool.officer("alice")
    soon = time.time() + 1.5
    with connect(start=True) as client:
        so = {"as": "so", "pin": pin_of("so"), "slot": 0}
        client.ask("officer-update", name="alice", expires=soon, **so)
        while client.ask("officer-show", name="alice", **so)["officer"]["expires"] > time.time():
            pass
    said = pool.fails("officer", "list", by="alice")
    assert "credential of officer alice has expired" in said and "--expires 90d" in said
    assert "expired" in pool.says("officer", "list")


BAD_NAMES = ("", "-x", ".x", "a b", "a:b", "\u00e9ve", "x" * 65, "\x1b[2J", "a\nb", "a/b", "\u202ealice", "\udc80")


def test_names_that_no_officer_may_have(pool: Desk) -> None:
    for bad in BAD_NAMES:
        pins = {"ADYTON_SO_PIN": pin_of("so"), "ADYTON_PIN": "1234-x", "ADYTON_NEW_PIN": "1234-x"}
        said = adyton("officer", "create", "--as", "so", "--", bad, status=1, **pins)
        assert "an officer's name has 1 to 64 letters" in said, (bad, said)
        if bad:
            assert "there is no officer" in adyton("officer", "list", f"--as={bad}", status=1, **pins)
    for moving in ("\x1b[2J", "\u202ealice", "\udc80"):
        told = adyton("officer", "list", f"--as={moving}", status=1, ADYTON_PIN="1234-x")
        told += adyton("officer", "show", "--as=so", "--", moving, status=1, ADYTON_SO_PIN=pin_of("so"))
        assert "\x1b" not in told and "\u202e" not in told and told.count("there is no officer") == 2
    for known in ("so", "user"):
        said = pool.fails("officer", "create", known, ADYTON_NEW_PIN="1234-x")
        assert f"there is an officer {known} already" in said
    for fine in ("a", "x" * 64, "Alice.B_c@example.com", "7+8-9"):
        assert pool.officer(fine)["name"] == fine


def test_a_user_of_the_machine_gives_no_pin(pool: Desk) -> None:
    """By number and by name; one officer each; and no PIN for it helps anybody else."""
    me = os.getuid()
    made = json.loads(pool.says("officer", "create", "me", "--uid", pwd.getpwuid(me).pw_name, "--json"))
    assert made["credential"] == "uid" and made["uid"] == me
    pool.assign("Crypto Auditor", "me", "/")
    assert pool.gives("officer", "show", "me", by="")["name"] == "me"
    assert [row["officer"] for row in json.loads(adyton("whoami", "--json"))["officers"]] == ["me"]
    assert "me in partition 0 (pay), as that user" in adyton("status")
    assert f"uid {me}" in adyton("officer", "list", "--as", "me")
    assert f"user {me} is officer me already" in pool.fails("officer", "create", "also", "--uid", str(me))
    other = str(me + 1)
    pool.says("officer", "create", "other", "--uid", other)
    said = adyton("officer", "list", "--as", "other", status=1, ADYTON_PIN="some-pin")
    assert f"officer other has no PIN: it is the user {other} of this machine" in said
    for bad in ("nobody-like-this", "-1", "1.5", "\x1b"):
        assert "there is no user" in pool.fails("officer", "create", "x", f"--uid={bad}")
    assert "user number" in pool.fails("officer", "create", "x", "--uid", str(2**32))
    assert "has no PIN: give --uid, or a PIN" in pool.fails("officer", "create", "x", "--uid", "5", "--must-change")
    with initialised(str(MODULE)) as m:
        assert name(m.C_Login(m.session(), ck.CKU_SO, b"", 0)) != "CKR_OK"


def test_new_pins_come_from_files_descriptors_and_the_environment_and_never_from_arguments(
    pool: Desk, tmp_path: Path
) -> None:
    (tmp_path / "pin").write_text("from-a-file\r\nand more\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xfd\xfc")
    pool.says("officer", "create", "alice", "--new-pin-file", str(tmp_path / "pin"))
    said = adyton("officer", "list", "--as", "alice", "--pin-file", str(tmp_path / "pin"), status=1)
    assert "officer alice has no role assignment" in said
    reading, writing = os.pipe()
    os.write(writing, b"by-descriptor\n")
    os.close(writing)
    words = [*ADYTON, "officer", "create", "bob", "--as", "so", "--new-pin-fd", str(reading)]
    subprocess.run(words, env={**os.environ, **PINS}, check=True, pass_fds=[reading], capture_output=True)
    os.close(reading)
    with open(tmp_path / "bob", "w+") as pin:
        pin.write("by-descriptor")
        pin.seek(0)
        words = [*ADYTON, "officer", "list", "--as", "bob", "--pin-fd", str(pin.fileno())]
        done = subprocess.run(words, pass_fds=[pin.fileno()], capture_output=True, text=True)
    assert "officer bob has no role assignment" in done.stderr
    wrong = {
        ("--new-pin-file", "/nowhere"): "/nowhere: No such file", ("--new-pin-fd", "999"): "descriptor 999: Bad file",
        ("--new-pin-file", str(tmp_path / "bytes")): "is not a text file",
        ("--new-pin-fd=-1",): "there is no descriptor -1", ("--new-pin-fd", str(1 << 40)): "there is no descriptor",
        ("--new-pin-file", str(tmp_path / "pin"), "--new-pin-fd", "0"): "comes from one place",
        (): "no new PIN of officer carol was given: set ADYTON_NEW_PIN",
    }
    for options, words_of in wrong.items():
        assert words_of in pool.fails("officer", "create", "carol", *options)
    for pin_given, why in (("123", "4 to 255 bytes"), ("1" * 256, "4 to 255 bytes"), ("so:1234", "officer's name"),
                           ("carol:1234", "officer's name"), ("\udc80" * 4, "a PIN is text")):
        assert why in pool.fails("officer", "create", "carol", ADYTON_NEW_PIN=pin_given)
    assert [row["name"] for row in pool.gives("officer", "list")] == ["so", "user", "alice", "bob"]


# -- who acts


def test_each_way_of_not_being_an_officer_says_what_to_do(pool: Desk) -> None:
    pool.officer("alice")
    assert "Give --as NAME, or log in for this terminal" in pool.fails("officer", "list", by="")
    assert "no PIN of officer alice was given: set ADYTON_PIN" in adyton("officer", "list", "--as", "alice", status=1)
    assert "no SO PIN was given: set ADYTON_SO_PIN" in adyton("officer", "list", "--as", "so", status=1)
    # A user's PIN in the environment is none of the SO's tries.
    assert "no SO PIN was given" in adyton("officer", "list", "--as", "so", status=1, ADYTON_PIN="123456")
    assert pool.gives("officer", "show", "so")["failures"] == 0
    said = pool.fails("officer", "list", by="alicia")
    assert "there is no officer 'alicia' in partition 0" in said and "adyton officer list --as so" in said
    for left in [*range(9, 0, -1), 0]:
        said = adyton("officer", "list", "--as", "alice", status=1, ADYTON_PIN="wrong-one")
        assert f"wrong PIN for alice: {left} tr{'y' if left == 1 else 'ies'} left" in said and "wrong-one" not in said
    said = pool.fails("officer", "list", by="alice")
    assert "the PIN of alice is locked" in said and "An Administrator unlocks it: adyton officer unlock alice" in said
    assert "locked" in pool.says("officer", "list")
    assert pool.gives("officer", "unlock", "alice")["failures"] == 0
    assert "no role assignment" in pool.fails("officer", "list", by="alice")


def test_must_change_lets_nothing_be_done_before_the_new_pin(pool: Desk) -> None:
    pool.officer("alice", "--must-change")
    pool.assign("Crypto Auditor", "alice", "/")
    said = pool.fails("officer", "list", by="alice")
    assert "must set a new PIN first: adyton officer set-pin alice --as alice" in said
    pool.says("officer", "set-pin", "alice", by="alice", ADYTON_NEW_PIN="another-one")
    assert "alice" in adyton("officer", "list", "--as", "alice", ADYTON_PIN="another-one")
    assert "wrong PIN for alice" in pool.fails("officer", "list", by="alice")
    said = pool.says("officer", "set-pin", "alice", "--must-change", ADYTON_NEW_PIN=pin_of("alice"))
    assert "must change it at the first login" in said
    assert "CKR_PIN_EXPIRED" in pool.fails("officer", "list", by="alice")


def test_pins_are_set_by_oneself_or_by_an_administrator(pool: Desk) -> None:
    pool.officer("alice")
    pool.officer("bob")
    said = pool.fails("officer", "set-pin", "bob", by="alice", ADYTON_NEW_PIN="stolen-one")
    assert "Adyton/managedHsm/officers/write/action at scope /" in said
    pool.says("officer", "set-pin", "bob", ADYTON_NEW_PIN="given-one")
    with initialised(str(MODULE)) as m:
        good(m.login(m.session(), "bob:given-one"))
    with connect(start=True) as client, pytest.raises(Refused, match="give that too"):
        client.ask("login", slot=0, **{"as": "so", "pin": pin_of("so")})
        client.ask("officer-set-pin", slot=0, name="so", new_pin="without-the-old")
    adyton("logout")


def test_a_denial_names_action_scope_and_remedy_and_the_remedy_mends_it(pool: Desk) -> None:
    pool.officer("alice")
    words = ["officer", "list", "--as", "alice", "--json"]
    pins = {"ADYTON_PIN": pin_of("alice")}
    done = subprocess.run([*ADYTON, *words], env={**os.environ, **pins}, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["code"] == "CKR_ACTION_PROHIBITED" and told["scope"] == "/"
    assert told["action"] == "Adyton/managedHsm/officers/read/action" and told["officer"] == "alice"
    assert told["remedy"] in done.stderr
    assert "--partition" not in told["remedy"]
    pool.partition("second")
    told = json.loads(subprocess.run([*ADYTON, *words, "--partition=pay"], env={**os.environ, **pins},
                                     capture_output=True).stdout)
    command = f"{sys.executable} -m hsm.cli.main {told['remedy'].removeprefix('adyton ')} --as so"
    subprocess.run(["sh", "-c", command], env={**os.environ, **PINS}, check=True, capture_output=True)
    assert "alice" in pool.says("officer", "list", "--partition", "pay", by="alice")


def test_explain_shows_action_scope_and_remedy_of_a_role_denial(pool: Desk) -> None:
    pool.officer("alice")
    pool.assign("Crypto Auditor", "alice", "/")
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, PINS["ADYTON_PIN"]))
        m.aes(s, token=True, label=b"payments")
        good(m.C_Logout(s))
        good(m.login(s, "alice:alice-pin"))
        (key,) = m.find(s, {ck.CKA_LABEL: b"payments"})
        assert name(m.C_DestroyObject(s, key)) == "CKR_ACTION_PROHIBITED"
        row = json.loads(adyton("explain", "--json"))[-1]
        lines = [" ".join(line.split()) for line in adyton("explain").splitlines()]
    action = "Microsoft.KeyVault/managedHsm/keys/delete"
    assert (row["action"], row["scope"], row["officer"]) == (action, "/keys/payments", "alice")
    remedy = 'adyton role assignment create --role "Managed HSM Crypto User" --assignee alice --scope /keys/payments'
    assert row["remedy"] == remedy
    assert [f"data action {action}", "scope /keys/payments", f"remedy {remedy}"] == lines[-3:]


# -- the last ones stay


def test_the_last_administrator_is_kept(pool: Desk) -> None:
    assert "without an Administrator" in pool.fails("officer", "update", "so", "--disable")
    assert "without an Administrator" in pool.fails("officer", "update", "so", "--expires", "90d")
    assert "so is the token's own security officer" in pool.fails("officer", "delete", "so")
    (mine,) = pool.gives("role", "assignment", "list", "--assignee", "so")
    assert "without an Administrator" in pool.fails("role", "assignment", "delete", "--name", mine["name"])
    pool.officer("alice")
    pool.assign("Administrator", "alice", "/keys/one")
    assert "without an Administrator" in pool.fails("officer", "update", "so", "--disable"), "one key's is none"
    pool.assign("Administrator", "alice", "/")
    pool.says("officer", "update", "so", "--disable", by="alice")
    assert "without an Administrator" in pool.fails("officer", "delete", "alice", by="alice")
    pool.says("officer", "update", "so", "--enable", by="alice")
    pool.says("officer", "delete", "alice")


# -- partitions


def test_partitions_are_named_by_slot_or_label(bare: Desk) -> None:
    assert "no partition is initialised. Make one" in bare.fails("officer", "list")
    for label in ("one", "two", "two", "\u00fcbel"):
        bare.partition(label)
    assert "say which: --partition 0 (one), 1 (two), 2 (two), 3 (\u00fcbel)" in bare.fails("officer", "list")
    assert "several partitions are labelled two; give a number" in bare.fails("officer", "list", "--partition", "two")
    assert "there is no partition three; there are: 0 (one)" in bare.fails("officer", "list", "--partition", "three")
    assert "there is no partition ;" in bare.fails("officer", "list", "--partition", "")
    said = bare.fails("officer", "list", "--partition", "\x1b[2J")
    assert "\x1b" not in said and "there is no partition \\x1b[2J" in said
    for text in ("0", "one", "\u00fcbel"):
        assert bare.gives("officer", "list", "--partition", text)[0]["name"] == "so"
    assert bare.gives("role", "definition", "list", "--hsm-name", "one")[0]["name"]
    assert json.loads(adyton("partition", "show", "\u00fcbel", "--json"))["slot"] == 3


def test_partition_set_and_delete_are_an_officers(pool: Desk) -> None:
    """By default so; or whom --as names, if it has the role."""
    assert "no SO PIN was given" in adyton("partition", "set", "0", "--legacy", "on", status=1)
    assert "are offered" in adyton("partition", "set", "0", "--legacy", "on", **PINS)
    pool.officer("alice")
    said = pool.fails("partition", "set", "0", "--legacy", "off", by="alice")
    assert "needs an officer with Adyton/managedHsm/partition/write/action" in said and "PIN of so" in said
    pool.assign("Administrator", "alice", "/")
    assert "are not offered" in pool.says("partition", "set", "pay", "--legacy", "off", by="alice")
    assert pool.gives("partition", "delete", "pay", "--yes", by="alice") == {"deleted": 0}


def test_kinds_and_recovery_are_shown(bare: Desk) -> None:
    made = json.loads(adyton("partition", "create", "--label", "hsm", "--kind", "managed-hsm", "--no-admin-recovery",
                             "--json", ADYTON_SO_PIN="12345678", ADYTON_PIN="no user's"))
    assert made["kind"] == "managed-hsm" and made["admin_recovery"] is False
    assert made["officers"] == 1 and made["user_pin"] is False
    lines = adyton("partition", "list").splitlines()
    row = dict(zip(lines[0].split(), lines[1].split(), strict=True))
    assert row["kind"] == "managed-hsm" and row["admin_recovery"] == "no" and row["officers"] == "1"
    assert "admin_recovery  no" in adyton("partition", "show", "hsm")
    assert [row["name"] for row in bare.gives("officer", "list")] == ["so"]


def test_without_recovery_an_administrators_officers_wait_for_approval(bare: Desk) -> None:
    bare.partition("strict", "--no-admin-recovery")
    made = bare.officer("alice")
    assert made["pending"] and not made["opens"]
    assert "adyton officer approve bob" in bare.says("officer", "create", "bob", ADYTON_NEW_PIN="bob's-pin")
    said = bare.fails("officer", "list", by="alice")
    assert "alice waits for approval" in said and "adyton officer approve alice" in said
    said = bare.fails("officer", "approve", "alice")
    assert "no copy of the partition key" in said
    assigned = bare.assign("Crypto User", "alice", "/")
    assert assigned["pending"]
    said = bare.fails("officer", "approve", "alice", by="user")
    assert "Crypto User at / (pending)" in said and "--yes" in said
    assert bare.gives("officer", "approve", "alice", "--yes", by="user")["opens"]
    assert "nothing of officer alice waits" in bare.fails("officer", "approve", "alice", by="user")
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, "alice:alice-pin"))
        m.aes(s, token=True)
    assert "no copy of this partition's key" in bare.fails("officer", "set-pin", "user", ADYTON_NEW_PIN="taken-over")


@pytest.mark.parametrize("meanwhile", ["another role", "a wider role", "another PIN"])
def test_what_came_after_the_approver_looked_is_not_approved(bare: Desk, meanwhile: str) -> None:
    """The Administrator alone gives nobody keys, nor by being quicker than who approves."""
    bare.partition("strict", "--no-admin-recovery")
    bare.officer("alice")
    definition = {"roleName": "Reader", "dataActions": ["Microsoft.KeyVault/managedHsm/keys/read/action"]}
    bare.gives("role", "definition", "create", "--role-definition", json.dumps(definition))
    bare.assign("Reader", "alice", "/keys/web")
    approver = {"slot": 0, "name": "alice", "as": "user", "pin": pin_of("user")}
    with connect(start=True) as client:
        seen = client.ask("officer-waiting", **approver)["seen"]
        if meanwhile == "another role":
            bare.assign("Crypto User", "alice", "/")
        elif meanwhile == "a wider role":
            wider = {**definition, "dataActions": ["Microsoft.KeyVault/managedHsm/keys/*"]}
            bare.gives("role", "definition", "update", "--role-definition", json.dumps(wider))
        else:
            bare.says("officer", "set-pin", "alice", ADYTON_NEW_PIN="the Administrator's")
        with pytest.raises(Refused, match="look at it again"):
            client.ask("officer-approve", seen=seen, **approver)
        assert bare.gives("officer", "show", "alice")["pending"]
        client.ask("officer-approve", seen=client.ask("officer-waiting", **approver)["seen"], **approver)
    assert not bare.gives("officer", "show", "alice")["pending"]


def every_word(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        for field, value in told.items():
            yield field
            yield from every_word(value)
    elif isinstance(told, list):
        for value in told:
            yield from every_word(value)
    else:
        yield str(told)


def test_no_pin_is_told_or_logged(pool: Desk) -> None:
    pool.officer("alice")
    pool.says("officer", "set-pin", "alice", by="alice", ADYTON_NEW_PIN="second-pin-of-hers")
    told = [*every_word(pool.gives("officer", "list")), (pool.home / "engine.log").read_text()]
    for secret in ("alice-pin", "second-pin-of-hers", pin_of("so")):
        assert not any(secret in text for text in told)
        assert not any(secret.encode() in path.read_bytes() for path in pool.home.iterdir() if path.is_file())
