"""``adyton audit``, each command a process: what is told to whom, what a file holds, and what verify finds offline."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import good, initialised
from apart import PINS, adyton
from officer_desk import Desk, desk, pin_of

from hsm.client import MODULE, Refused, connect
from pkcs11_shim import constants as ck

P256 = bytes.fromhex("06082a8648ce3d030107")
LABEL = {ck.CKA_TOKEN: True, ck.CKA_LABEL: b"web"}


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with desk(tmp_path, monkeypatch) as opened:
        opened.partition("pay")
        opened.officer("audrey")
        opened.assign("Crypto Auditor", "audrey", "/")
        yield opened


def signs(pin: str, times: int = 1) -> None:
    """With the key ``web``, made where it isn't there."""
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, pin))
        found = m.find(s, {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_LABEL: b"web"})
        if not found:
            rv, _, key = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {**LABEL, ck.CKA_EC_PARAMS: P256}, LABEL)
            good(rv)
            found = [key]
        for _ in range(times):
            good(m.use("Sign", s, m.mechanism(ck.CKM_ECDSA_SHA256), found[0], b"data")[0])


def owner(*words: str, status: int = 0) -> str:
    return adyton("audit", *words, status=status)


def records(*words: str, by: str = "", where: Desk | None = None) -> list[dict[str, Any]]:
    if where is not None:
        found: list[dict[str, Any]] = where.gives("audit", "query", *words, by=by)
        return found
    return list(json.loads(owner("query", *words, "--json")))


# -- reading


def test_a_query_finds_what_was_done(pool: Desk) -> None:
    signs(PINS["ADYTON_PIN"], 3)
    signed = records("--operation", "KeySign")
    assert len(signed) == 3 and records("--operation", "c_sign") == signed
    for record in signed:
        assert (record["officer"], record["mechanism"], record["result"]) == ("user", "CKM_ECDSA_SHA256", "CKR_OK")
        assert re.fullmatch("web/[0-9a-f]{32}", record["keys"][0]) and record["partition"] == 0
    assert records("--operation", "KeySign", "--key", "WEB") == records("--key", signed[0]["keys"][0], "--by", "user",
                                                                        "--operation", "C_Sign")
    assert records("--operation", "KeySign", "--result", "refused") == []
    assert "no record fits" in owner("query", "--by", "nobody-of-that-name")
    assert "give ok, refused, or a code" in owner("query", "--result", "bad", status=1)
    everything = records()
    assert [record["sequence"] for record in everything] == list(range(1, len(everything) + 1))
    moment = signed[1]["time"]
    assert [r for r in records("--since", moment) if r["sequence"] <= signed[0]["sequence"]] == []
    assert records("--until", moment)[-1]["sequence"] == signed[0]["sequence"]
    assert len(records("--since", "1h")) == len(everything)
    for wrong in ("yesterday", "5", "2026-13-01"):
        assert "is no time: give" in owner("query", "--since", wrong, status=1)


def test_tail_ends_where_the_log_does_and_follows_it(pool: Desk) -> None:
    signs(PINS["ADYTON_PIN"], 30)
    lines = owner("tail", "-n", "5", "--operation", "KeySign").splitlines()
    assert lines[0].split()[0] == "number" and len(lines) == 6 and all("C_Sign" in line for line in lines[1:])
    assert len(owner("tail").splitlines()) == 21
    assert "give 1 or more" in owner("tail", "-n", "0", status=1)
    command = [sys.executable, "-m", "hsm.cli.main", "audit", "tail", "-n", "1", "--follow", "--json",
               "--operation", "KeySign"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as following:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        signs(PINS["ADYTON_PIN"], 2)
        told = []
        for _ in range(2):
            assert select.select([following.stdout], [], [], 20)[0] or told
            told.append(json.loads(following.stdout.readline()))
        following.terminate()
    assert [record["operation"] for record in told] == ["C_Sign", "C_Sign"]
    assert first["sequence"] < told[0]["sequence"] < told[1]["sequence"]


def test_an_auditor_reads_its_partition_and_the_owner_the_pool(pool: Desk) -> None:
    pool.partition("other")
    here = pool.gives("audit", "query", "--partition", "pay", by="audrey")
    assert {record["partition"] for record in here} == {0}
    assert {record["partition"] for record in records()} == {0, 1, None}
    assert {record["partition"] for record in records("--partition", "other")} == {1}
    said = pool.fails("audit", "query", "--partition", "pay", by="user")
    assert "Adyton/managedHsm/audit/read/action" in said and "scope /" in said
    assert "pool's owner exports it" in pool.fails(
        "audit", "export", "--format", "chain", "--out", str(pool.home / "log"), "--partition", "pay", by="audrey")
    assert not (pool.home / "log").exists()


# -- taking out, verifying


@pytest.fixture
def taken(pool: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with log, key and a kept checkpoint, in which there is no pool any more."""
    signs(PINS["ADYTON_PIN"], 20)
    folder = tmp_path / "taken"
    folder.mkdir()
    owner("export", "--format", "chain", "--out", str(folder / "log"))
    (folder / "key").write_text(owner("key"))
    (folder / "checkpoint").write_text(owner("checkpoint"))
    assert (folder / "checkpoint").read_text().count("\n") == 1
    adyton("stop")
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "nothing"))
    monkeypatch.chdir(folder)
    return folder


def _verdict(*words: str, status: int = 0) -> Any:
    return json.loads(owner("verify", *words, "--json", status=status))


def test_what_was_taken_out_is_verified_with_no_pool_and_no_engine(taken: Path) -> None:
    whole = _verdict("log", "--public-key", "key")
    assert whole["whole"] and whole["first"] == 1 and whole["last"] == whole["signed"] > 20
    assert "proves little" in owner("verify", "log")
    assert not _verdict("log", "--public-key", "00" * 32, status=1)["whole"]
    for wrong, why in ((("nowhere",), "No such file"), (("log", "--public-key", "log"), "holds no public key"),
                       (("log", "--public-key", "nowhere"), "no public key (64 hexadecimal digits")):
        assert why in owner("verify", *wrong, status=1)
    # Azure's form, or any other file: said once, whatever its length.
    (taken / "other").write_text("[\n" + "{}\n" * 100)
    (said,) = _verdict("other", status=1)["findings"]
    assert "adyton audit export --format chain" in said["what"]


def test_each_harm_is_found(taken: Path) -> None:
    lines = (taken / "log").read_text().splitlines(keepends=True)
    blocks = [number for number, line in enumerate(lines) if line.startswith('{"last"')]
    assert len(blocks) > 3
    harmed = {
        "altered": "".join(line.replace("C_Sign", "C_Sigm") for line in lines),
        "dropped": "".join(line for number, line in enumerate(lines) if number != blocks[1]),
        "swapped": "".join([*lines[: blocks[1]], lines[blocks[2]], lines[blocks[1]], *lines[blocks[2] + 1:]]),
    }
    for how, text in harmed.items():
        (taken / how).write_text(text)
        found = _verdict(how, "--public-key", "key", status=1)
        assert not found["whole"] and found["findings"], how
    # Cut off: whole by itself, and found by the checkpoint that was kept.
    (taken / "short").write_text("".join(lines[: blocks[2]]))
    found = _verdict("short", "--public-key", "key", "--checkpoint", "checkpoint", status=1)
    assert any("cut" in finding["what"] or "end" in finding["what"] for finding in found["findings"])


def test_an_export_in_azures_form(pool: Desk, tmp_path: Path) -> None:
    signs(PINS["ADYTON_PIN"], 2)
    told = json.loads(owner("export", "--out", str(tmp_path / "all.json"), "--json"))
    found = json.loads((tmp_path / "all.json").read_text())
    assert len(found) == told["records"] > 5
    assert [record["operationName"] for record in found].count("KeySign") == 2
    object_ids = {officer["name"]: officer["objectId"] for officer in pool.gives("officer", "list")}
    (signed, _) = [record for record in found if record["operationName"] == "KeySign"]
    assert json.loads(signed["identity"])["objectidentifier"] == object_ids["user"]
    for words in (("--by", "user"), ("--partition", "0"), ("--since", "1h")):
        said = owner("export", "--format", "chain", "--out", str(tmp_path / "part"), *words, status=1)
        assert f"exported whole, or it couldn't be verified: leave out {words[0]}" in said
    assert "is there already" in owner("export", "--out", str(tmp_path / "all.json"), status=1)
    owner("export", "--out", str(tmp_path / "none.json"), "--by", "nobody")
    assert json.loads((tmp_path / "none.json").read_text()) == []
    assert oct((tmp_path / "all.json").stat().st_mode & 0o777) == "0o600"
    # What an auditor takes out is its own partition's.
    pool.says("audit", "export", "--out", str(tmp_path / "hers.json"), by="audrey")
    assert {r["properties"]["partition"] for r in json.loads((tmp_path / "hers.json").read_text())} == {0}


def test_what_takes_no_export_is_said(pool: Desk, tmp_path: Path) -> None:
    """A caller opens what the engine writes to: it may be anything."""
    (tmp_path / "file").touch()
    reading, writing = os.pipe()
    places = {
        "a regular file": [writing, os.open(tmp_path, os.O_RDONLY), os.open("/dev/full", os.O_WRONLY)],
        "can't be written: Bad file descriptor": [os.open(tmp_path / "file", os.O_RDONLY)],
    }
    signs(PINS["ADYTON_PIN"], 2)
    for form in ("azure", "chain"):
        for words, descriptors in places.items():
            for descriptor in descriptors:
                with connect(start=True) as client, pytest.raises(Refused, match=words) as refused:
                    client.ask_into(descriptor, "audit-export", format=form)
                assert refused.value.rv == ck.CKR_ARGUMENTS_BAD
    for descriptor in (reading, *(one for several in places.values() for one in several)):
        os.close(descriptor)


def test_a_file_that_cannot_be_made_is_said_and_no_pin_is_in_the_log(pool: Desk) -> None:
    assert "Not a directory" in owner("export", "--out", "/dev/null/x", status=1)
    assert pin_of("audrey") not in owner("query") and PINS["ADYTON_PIN"] not in owner("query", "--json")
