"""An Auditor finds out who did what from the log alone: what happened is told to the test, not to her."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from abi import Module, good, initialised
from officer_desk import desk, pin_of

from hsm.client import MODULE
from pkcs11_shim import constants as ck

PEOPLE = {"ann": "/keys/red", "ben": "/keys/blue", "cat": "/"}


def _sees(m: Module, s: int, label: str) -> int:
    found = m.find(s, {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_LABEL: label.encode()})
    return found[0] if found else 0


def test_who_did_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with desk(tmp_path, monkeypatch) as pool:
        pool.partition("pay")
        for name, scope in PEOPLE.items():
            pool.officer(name)
            pool.assign("Crypto User", name, scope)
        pool.officer("audrey")
        pool.assign("Crypto Auditor", "audrey", "/")
        truth: list[tuple[str, str, str, bool]] = []
        chance = random.Random(4)
        for _ in range(12):
            who = chance.choice(sorted(PEOPLE))
            truth += _goes_about(who, chance)
        _tries_what_is_not_his(pool, truth)

        ask = lambda *words: pool.gives("audit", "query", *words, by="audrey")  # noqa: E731
        told = [(r["officer"], r["operationName"], _key(r), r["result"] == "CKR_OK") for r in ask()]
        work = {"KeyCreate", "KeySign", "KeyDelete", "RoleAssignmentCreate"}
        assert [row for row in told if row[1] in work and row[0] in {*PEOPLE}] == truth
        # The questions of every audit, each by one query.
        destroyed = [(who, key) for who, what, key, done in truth if what == "KeyDelete" and done]
        assert [(r["officer"], _key(r)) for r in ask("--operation", "KeyDelete", "--result", "ok")] == destroyed
        red = [row for row in truth if row[2] == "red"]
        assert len([r for r in ask("--key", "red") if r["operationName"] in work]) == len(red)
        (grab,) = ask("--by", "ben", "--operation", "RoleAssignmentCreate")
        assert grab["result"] == "CKR_ACTION_PROHIBITED"
        assert grab["detail"]["action"].endswith("/roleAssignments/write/action") and grab["detail"]["scope"] == "/"
        # And nothing of hers changes anything.
        assert "no role assignment" in pool.fails("officer", "update", "ann", "--disable", by="audrey")


def _key(record: dict[str, Any]) -> str:
    return record["keys"][0].partition("/")[0] if record["keys"] else ""


def _goes_about(who: str, chance: random.Random) -> list[tuple[str, str, str, bool]]:
    """Makes a key, uses it, destroys it; what was refused is truth too."""
    done = []
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, f"{who}:{pin_of(who)}"))
        label = chance.choice(["red", "blue"])
        may = PEOPLE[who] in ("/", f"/keys/{label}")
        what = chance.choice(["make", "sign", "destroy"])
        if what == "make":
            rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: label.encode(), ck.CKA_VALUE_LEN: 32}
            assert (m.generate(s, ck.CKM_GENERIC_SECRET_KEY_GEN, rows)[0] == ck.CKR_OK) is may
            done.append((who, "KeyCreate", label if may else "", may))
        elif key := _sees(m, s, label):
            assert may
            if what == "sign":
                good(m.use("Sign", s, m.mechanism(ck.CKM_SHA256_HMAC), key, b"data")[0])
            else:
                good(m.C_DestroyObject(s, key))
            done.append((who, {"sign": "KeySign", "destroy": "KeyDelete"}[what], label, True))
    return done


def _tries_what_is_not_his(pool: Any, truth: list[tuple[str, str, str, bool]]) -> None:
    words = ("--role", "Managed HSM Crypto User", "--assignee", "ben", "--scope", "/")
    said = pool.fails("role", "assignment", "create", *words, by="ben")
    assert "roleAssignments/write" in said
    truth.append(("ben", "RoleAssignmentCreate", "", False))
