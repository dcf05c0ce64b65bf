"""The chain of the audit log, offline: whatever is done to 10,000 records is found, and where."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from engine_room import Room, cheap_pins
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm.audit import checkpoint
from hsm.audit.verify import Verdict, verify
from pkcs11_shim import constants as ck

RECORDS = 10_000
Lines = list[str]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lines, bytes]:
    """A log of some 10,000 records in blocks of many sizes, and its public key."""
    home = tmp_path_factory.mktemp("chain") / "pool"
    home.mkdir(mode=0o700)
    chance = random.Random(4)
    with cheap_pins(), Room(home) as room:
        log, told = room.pool.audit, 0
        while log.last < RECORDS:
            for _ in range(chance.choice((1, 2, 7, 60, 400))):
                rv = chance.choice((0, 0, 0, ck.CKR_KEY_FUNCTION_NOT_PERMITTED))
                keys = ((f"key-{chance.randrange(9)}", f"{told:032x}"),)
                log.tell((1.8e9 + told, 5000, ("C_Sign", rv, "alice", 1000, 77, 0, keys, ck.CKM_ECDSA, ())))
                told += 1
            log.flush()
        lines: list[bytes] = []
        log.export(lines.append)
        return [line.decode() for line in lines], log.public_key()


def ranges(lines: Lines) -> dict[int, tuple[int, int]]:
    """The records of each line that is a block."""
    found, before = {}, 0
    for at, line in enumerate(lines):
        read = json.loads(line)
        if "last" in read:
            found[at] = (before + 1, read["last"])
            before = read["last"]
    return found


def located(verdict: Verdict, first: int, last: int) -> bool:
    """Whether a finding lies within these records, or just behind, where something should have followed."""
    return any(finding.first <= last + 1 and finding.last >= first for finding in verdict.findings)


def outsider(lines: Lines) -> list[Any]:
    """The records of an export, read and chained by this file's own code."""
    head = json.loads(lines[0])
    previous, found = bytes.fromhex(head["hash"]), []
    for line in lines[1:]:
        read = json.loads(line)
        if "last" in read:
            body = read["body"].encode()
            previous = hashlib.sha256(read["last"].to_bytes(8, "little") + previous + body).digest()
            assert previous.hex() == read["hash"]
            _, _, contexts, which, _, _, _ = json.loads(body)
            found += [contexts[number] for number in which]
            assert len(found) == read["last"]
    return found


def test_an_untouched_log_is_whole_and_signed_to_its_end(exported: tuple[Lines, bytes]) -> None:
    lines, key = exported
    verdict = verify(lines, key)
    assert verdict.findings == []
    assert (verdict.first, verdict.last) == (1, len(outsider(lines))) and verdict.signed == verdict.last
    assert verdict.last >= RECORDS
    assert verdict.log == hashlib.sha256(key).hexdigest()[:32]
    assert json.loads(lines[-1])["checkpoint"].startswith("adyton-checkpoint-1 ")


def test_each_altered_block_is_found_where_it_is(exported: tuple[Lines, bytes]) -> None:
    lines, key = exported
    for at, (first, last) in ranges(lines).items():
        read = json.loads(lines[at])
        body = json.dumps(altered(json.loads(read["body"]), 0, "when"))
        findings = verify([*lines[:at], json.dumps({**read, "body": body}), *lines[at + 1 :]], key).findings
        assert [(finding.first, finding.last) for finding in findings] == [(first, last)]


def test_each_dropped_block_is_found_where_it_was(exported: tuple[Lines, bytes]) -> None:
    lines, key = exported
    for at, (first, last) in ranges(lines).items():
        verdict = verify([*lines[:at], *lines[at + 1 :]], key)
        assert located(verdict, first, last), (first, last, verdict)


def test_each_pair_that_changed_places_is_found(exported: tuple[Lines, bytes]) -> None:
    lines, key = exported
    blocks = list(ranges(lines))
    for one, two in itertools.pairwise(blocks):
        moved = list(lines)
        moved[one], moved[two] = moved[two], moved[one]
        assert located(verify(moved, key), ranges(lines)[one][0], ranges(lines)[two][1])


def altered(body: list[Any], row: int, how: str) -> list[Any]:
    """A block's body after one of its records was changed, taken out, or changed places with its neighbour."""
    form, first, contexts, which, times, durations, counts = json.loads(json.dumps(body))
    if how == "who" or (how == "order" and len(which) == 1):
        contexts.append([*contexts[which[row]][:2], "mallory", *contexts[which[row]][3:]])
        which[row] = len(contexts) - 1
    elif how == "when":
        times[row] += 1
    elif how == "drop":
        for column in (which, times, durations):
            del column[row]
    else:
        other = row - 1 if row else 1
        for column in (which, times, durations):
            column[row], column[other] = column[other], column[row]
        if (which[row], times[row], durations[row]) == (which[other], times[other], durations[other]):
            durations[row] += 1
    return [form, first, contexts, which, times, durations, counts]


def forged(lines: Lines) -> Lines:
    """With every hash computed anew, as whoever can write the file may do."""
    previous, found = bytes.fromhex(json.loads(lines[0])["hash"]), lines[:1]
    for line in lines[1:]:
        read = json.loads(line)
        if "last" in read:
            previous = hashlib.sha256(read["last"].to_bytes(8, "little") + previous + read["body"].encode()).digest()
            read["hash"] = previous.hex()
        found.append(json.dumps(read))
    return found


def attack(lines: Lines, key: bytes, record: int, how: str, *, anew: bool) -> None:
    """One record, one kind of harm: it must be found, in its block, or between the checkpoints around it."""
    at, (first, last) = next((at, held) for at, held in ranges(lines).items() if held[1] >= record)
    read = json.loads(lines[at])
    read["body"] = json.dumps(altered(json.loads(read["body"]), record - first, how), separators=(",", ":"))
    harmed = [*lines[:at], json.dumps(read), *lines[at + 1 :]]
    findings = verify(forged(harmed) if anew else harmed, key).findings
    assert findings, (record, how)
    signed = [checkpoint.check(json.loads(line)["checkpoint"], key).sequence for line in lines if "checkpoint" in line]
    low = max([at + 1 for at in signed if at < first], default=1) if anew else first
    high = min(at for at in signed if at >= last) if anew else last
    assert (findings[0].first, findings[0].last) == (low, high) or how == "drop", (record, how, findings)
    assert findings[0].first <= record <= findings[0].last, (record, how, findings)


HOW = ("who", "when", "drop", "order")


@settings(max_examples=120, deadline=None)
@given(st.integers(1, RECORDS), st.sampled_from(HOW), st.booleans())
def test_any_record_that_is_harmed_is_found(
    exported: tuple[Lines, bytes], record: int, how: str, anew: bool
) -> None:
    attack(*exported, record, how, anew=anew)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_each_of_all_records_is_found_when_it_is_harmed(exported: tuple[Lines, bytes]) -> None:
    lines, key = exported
    for record in range(1, verify(lines, key).last + 1):
        attack(lines, key, record, HOW[record % 4], anew=bool(record & 4))


def test_a_log_that_was_cut_is_found_by_a_checkpoint_that_was_kept(exported: tuple[Lines, bytes]) -> None:
    lines, key = exported
    kept = json.loads(lines[-1])["checkpoint"]
    for cut in [at + 1 for at, line in enumerate(lines) if "checkpoint" in line][:-1]:
        short = lines[:cut]
        assert verify(short, key).findings == [], "it ends with a checkpoint, and nothing here knows more"
        last = verify(short, key).last
        findings = verify(short, key, [kept]).findings
        assert [(f.first, f.last) for f in findings] == [(last + 1, verify(lines, key).last)]
    # Cut behind any block, it is found without: no checkpoint vouches for its last records.
    for at in ranges(lines):
        if "checkpoint" not in lines[at + 1]:
            assert verify(lines[: at + 1], key).findings


def test_checkpoints_of_before_are_held_against_the_log(exported: tuple[Lines, bytes]) -> None:
    lines, key = exported
    kept = [json.loads(line)["checkpoint"] for line in lines if "checkpoint" in line]
    assert verify(lines, key, kept).findings == []
    first = kept[0]
    forged = f"{first[:-10]}{'A' if first[-10] != 'A' else 'B'}{first[-9:]}"
    for wrong in (first.replace("sequence=", "sequence=1"), forged, "adyton-checkpoint-1 log=", "rubbish",
                  first.replace("hash=", "hash=0")[:-1]):
        assert verify(lines, key, [wrong]).findings, wrong


def test_another_key_signs_nothing_here(exported: tuple[Lines, bytes]) -> None:
    lines, _ = exported
    private, public = checkpoint.new_key()
    assert verify(lines, public).findings
    head = json.dumps({**json.loads(lines[0]), "public_key": public.hex()})
    assert verify([head, *lines[1:]], public).findings, "nor where the file says it is its own"
    last = verify(lines).last
    chained = bytes.fromhex(json.loads(lines[-2])["hash"])
    lie = json.dumps({"checkpoint": checkpoint.sign(private, public, last, chained, 1_800_000_000_000_000)})
    assert verify([*lines[:-1], lie], exported[1]).findings


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_line_makes_it_stumble(exported: tuple[Lines, bytes], data: st.DataObject) -> None:
    """Lines of an attacker's making are a finding, whatever they are."""
    lines, key = exported
    some = lines[:12]
    at = data.draw(st.integers(0, len(some) - 1))
    text = st.text(max_size=9)
    junk = st.recursive(
        st.none() | st.integers() | st.floats() | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    )
    read = json.loads(some[at])
    field = data.draw(st.sampled_from(sorted(read)))
    value = data.draw(junk)
    if field == "body" and data.draw(st.booleans()):
        body = json.loads(read["body"])
        body[data.draw(st.integers(0, 6))] = value
        value = json.dumps(body)
    if value == read[field] or field in ("format", "log"):
        return
    some[at] = json.dumps({**read, field: value})
    assert verify(some, key).findings


def test_the_signature_is_ed25519_of_the_line(exported: tuple[Lines, bytes], tmp_path: Path) -> None:
    """OpenSSL finds it right, with nothing of ours."""
    import base64
    import subprocess

    lines, key = exported
    told, _, signature = json.loads(lines[-1])["checkpoint"].rpartition(" signature=")
    (tmp_path / "line").write_text(told)
    (tmp_path / "signature").write_bytes(base64.b64decode(signature))
    spki = bytes.fromhex("302a300506032b6570032100") + key
    (tmp_path / "key").write_bytes(spki)
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin", "-in", "line",
         "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True,
    )
    assert done.returncode == 0 and "Verified Successfully" in done.stdout, done.stdout + done.stderr
