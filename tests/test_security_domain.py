"""The security domain: custody of a pool by several people, a new machine that takes it over, officers who come back.

The commands as people give them, on real engines; the file's form held against RFC 7516's and NIST's own examples where
they have some, and against az in tests/clients.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from abi import initialised, name
from apart import PINS, adyton
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from officer_desk import Desk, desk

from hsm.client import MODULE
from hsm.domain import jwe, shares
from hsm.domain.jwe import Unfit
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck


@pytest.fixture(scope="module")
def custodians(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """Five, each with a certificate and a private key, the last one's under a passphrase."""
    folder, found = tmp_path_factory.mktemp("custodians"), []
    for number in range(5):
        key = rsa.generate_private_key(65537, 2048)
        common = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"custodian {number}")])
        made = (
            x509.CertificateBuilder().subject_name(common).issuer_name(common).public_key(key.public_key())
            .serial_number(number + 1).not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(datetime.now(UTC) + timedelta(days=9)).sign(key, hashes.SHA256())
        )
        certificate, private = folder / f"{number}.pem", folder / f"{number}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        how = serialization.BestAvailableEncryption(b"phrase") if number == 4 else serialization.NoEncryption()
        private.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))
        found.append((certificate, private))
    return found


def files(custodians: list[tuple[Path, Path]], which: int, *numbers: int) -> list[str]:
    return [str(custodians[number][which]) for number in numbers]


# -- the form


@given(secret=st.binary(min_size=1, max_size=40), required=st.integers(2, 6), more=st.integers(0, 4), data=st.data())
def test_any_quorum_gives_the_secret_and_fewer_give_none(
    secret: bytes, required: int, more: int, data: st.DataObject
) -> None:
    made = shares.split(secret, required + more, required)
    chosen = data.draw(st.permutations(made))
    assert shares.joined(chosen[:required]) == secret
    try:
        fewer = shares.joined(chosen[: required - 1]) if required > 2 else b""
    except Unfit:
        return
    assert fewer != secret or len(secret) < 4  # what fewer give is noise, which may hit a short one


def test_a_share_s_words_are_as_azure_s_reader_has_them() -> None:
    """The number in the upper seven bits, the value in the lower nine; a polynomial of degree one by hand."""
    made = shares.split(b"\x05", 3, 2)
    words = [int.from_bytes(share, "little") for share in made]
    assert [word >> 9 for word in words] == [1, 2, 3]
    slope = ((words[0] & 511) - 5) % 257
    assert [word & 511 for word in words] == [(5 + slope * x) % 257 for x in (1, 2, 3)]
    for wrong in (b"", b"\1", (1 << 9 | 300).to_bytes(2, "little"), b"\0\0"):
        with pytest.raises(Unfit):
            shares.number_of(wrong)
    with pytest.raises(Unfit, match="twice"):
        shares.joined([made[0], made[0]])


def test_a_direct_jwe_is_rfc_7518_s() -> None:
    """Appendix B.3: A256CBC-HS512, its key, IV, associated data and what they give."""
    key = bytes(range(64))
    text = (b"A cipher system must not be required to be secret, and it must be able to fall into the hands of the "
            b"enemy without inconvenience")
    iv = bytes.fromhex("1af38c2dc2b96ffdd86694092341bc04")
    aad = b"The second principle of Auguste Kerckhoffs"
    sealed = bytes.fromhex(
        "4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd822c301dd67c373bccb584ad3e9279c2e6d12a1374b77f07"
        "7553df829410446b36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3a3b75e662a2594410ae496b2e2e6609e"
        "31e6e02cc837f053d21f37ff4f51950bbe2638d09dd7a4930930806d0703b1f6")
    tag = bytes.fromhex("4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5")
    assert jwe._tag(key, aad.decode(), iv, sealed) == tag
    head = jwe.b64(b'{"alg":"dir","enc":"A256CBC-HS512"}')
    whole = ".".join([head, "", jwe.b64(iv), jwe.b64(sealed), jwe.b64(jwe._tag(key, head, iv, sealed))])
    assert jwe.open_directly(key, whole) == text


@given(st.binary(max_size=100), st.binary(min_size=64, max_size=64), st.data())
def test_a_jwe_that_is_altered_does_not_open(data: bytes, key: bytes, draw: st.DataObject) -> None:
    made = jwe.directly(key, data, "tag")
    assert jwe.open_directly(key, made) == data
    at = draw.draw(st.integers(0, len(made) - 1))
    other = made[:at] + ("A" if made[at] != "A" else "B") + made[at + 1 :]
    try:
        assert jwe.open_directly(key, other) == data  # bits that base64 does not count
    except Unfit:
        pass


# -- the ceremony, by commands


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with desk(tmp_path / "one", monkeypatch) as opened:
        yield opened


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()


def download(at: Desk, custodians: Any, out: Path, quorum: int = 2) -> Any:
    words = ("--certificates", *files(custodians, 0, 0, 1, 2, 4), "--quorum", str(quorum), "--out", str(out))
    return at.gives("security-domain", "download", *words)


def blob(at: Desk, custodians: Any, file: Path, folder: Path, *keys: int, status: int = 0) -> tuple[Path, str]:
    exchange, made = folder / f"exchange-{len(list(folder.iterdir()))}.pem", folder / "blob.json"
    at.says("security-domain", "init-recovery", "--out", str(exchange), by="")
    made.unlink(missing_ok=True)
    phrase = folder / "phrase"
    phrase.write_text("phrase\n")
    said = at.says(
        "security-domain", "restore-blob", "--file", str(file), "--exchange", str(exchange), "--keys",
        *files(custodians, 1, *keys), "--passphrase-file", str(phrase), "--out", str(made), by="", status=status)
    return made, said


def sign(slot: int, pin: str) -> str:
    with initialised(str(MODULE)) as m:
        s = m.session(slot)
        rv = m.login(s, pin)
        if rv:
            return name(rv)
        (key,) = m.find(s, {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})
        return name(m.use("Sign", s, m.mechanism(ck.CKM_ECDSA), key, bytes(32))[0])


def test_from_an_empty_machine_to_a_recovered_one(
    pool: Desk, custodians: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool in custody is backed up and lost; another machine takes the domain over, then the backup."""
    slot = pool.partition("pay")["slot"]
    pool.gives("key", "create", "invoices", "--kty", "EC", by="user")
    assert not pool.gives("security-domain", "show", by="")["activated"]
    assert "custody  nobody's" in pool.says("status", by="")
    assert "security-domain download" in pool.fails("backup", "--out", str(tmp_path / "early"))
    told = download(pool, custodians, tmp_path / "domain.json")
    assert "custody  4 people's, of whom 2 can open it" in pool.says("status", by="")
    assert told["activated"] and told["covered"] == [slot] and told["missing"] == [] and told["required"] == 2
    assert (tmp_path / "domain.json").stat().st_mode & 0o777 == 0o600
    pool.says("backup", "--out", str(tmp_path / "backup"))
    assert sign(slot, PINS["ADYTON_PIN"]) == "CKR_OK"

    with desk(tmp_path / "two", monkeypatch) as other:
        made, _ = blob(other, custodians, tmp_path / "domain.json", tmp_path, 4, 1)
        took = json.loads(adyton("security-domain", "upload", "--blob", str(made), "--json"))
        assert took["domain"] == told["domain"]
        assert "no upload is waited for" in other.fails("security-domain", "upload", "--blob", str(made), by="")
        adyton("restore", str(tmp_path / "backup"), "--yes")
        back = [row["slot"] for row in other.gives("partition", "list", by="") if row["label"] == "pay"]
        assert sign(back[0], PINS["ADYTON_PIN"]) == "CKR_OK"
        again = other.gives("security-domain", "show", by="")
        assert again["covered"] == back


def test_fewer_than_the_quorum_or_the_wrong_ones_give_nothing_and_are_named(
    pool: Desk, custodians: Any, tmp_path: Path
) -> None:
    pool.partition("pay")
    file = tmp_path / "domain.json"
    download(pool, custodians, file, 3)
    made, said = blob(pool, custodians, file, tmp_path, 0, 1, status=1)
    assert "takes the private keys of 3 custodians, and these are 2" in said and not made.exists()
    _, said = blob(pool, custodians, file, tmp_path, 0, 1, 1, status=1)
    assert "these are 2" in said
    _, said = blob(pool, custodians, file, tmp_path, 0, 1, 3, status=1)
    assert f"{custodians[3][1]} opens no share" in said
    told = json.loads(file.read_text())
    told["EncData"]["data"][1]["compact_jwe"] = told["EncData"]["data"][0]["compact_jwe"]
    other = tmp_path / "altered.json"
    other.write_text(json.dumps(told))
    _, said = blob(pool, custodians, other, tmp_path, 0, 1, 2, status=1)
    assert "altered" in said
    for text in ("", "{}", "[]", '{"EncData": 1, "SharedKeys": {}}', "9" * 10000):
        other.write_text(text)
        _, said = blob(pool, custodians, other, tmp_path, 0, 1, 2, status=1)
        assert said.startswith("adyton: ") and "nothing was written" in said
    wrong = ("--certificates", *files(custodians, 0, 0, 1), "--quorum", "2", "--out", str(tmp_path / "x"))
    assert "3 to 10 custodians" in pool.fails("security-domain", "download", *wrong)
    twice = ("--certificates", *files(custodians, 0, 0, 1, 1), "--quorum", "2", "--out", str(tmp_path / "x"))
    assert "are the same" in pool.fails("security-domain", "download", *twice)
    nobody = ("--certificates", *files(custodians, 0, 0, 1, 2), "--quorum", "2", "--out", str(tmp_path / "x"))
    assert "securitydomain/download/action" in pool.fails("security-domain", "download", *nobody, by="user")


def test_the_quorum_brings_officers_back_where_no_administrator_can(
    pool: Desk, custodians: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = pool.partition("pay", "--no-admin-recovery")["slot"]
    pool.gives("key", "create", "invoices", "--kty", "EC", by="user")
    download(pool, custodians, tmp_path / "domain.json")
    assert "Administrator keeps no copy" in pool.fails(
        "officer", "set-pin", "user", ADYTON_NEW_PIN="another-pin")
    early = pool.fails("officer", "recover", "user", by="", ADYTON_NEW_PIN="another-pin")
    assert "is not open" in early
    made, _ = blob(pool, custodians, tmp_path / "domain.json", tmp_path, 0, 2)
    assert pool.gives("security-domain", "upload", "--blob", str(made))["openUntil"]
    assert "has a new PIN" in pool.says("officer", "recover", "user", by="", ADYTON_NEW_PIN="another-pin")
    pool.says("stop", by="")
    assert sign(slot, PINS["ADYTON_PIN"]) == "CKR_PIN_INCORRECT"
    assert sign(slot, "another-pin") == "CKR_OK"
    assert "is not open" in pool.fails("officer", "recover", "user", by="", ADYTON_NEW_PIN="third-pin")


def test_a_later_download_is_the_same_domain_and_leaves_the_earlier_file_behind(
    pool: Desk, custodians: Any, tmp_path: Path
) -> None:
    slot = pool.partition("pay")["slot"]
    first = download(pool, custodians, tmp_path / "first.json")
    pool.says("partition", "seal", str(slot), by="")
    # Nobody's PIN has opened the partition since: who gives the command does.
    second = download(pool, custodians, tmp_path / "second.json")
    assert (second["domain"], second["generation"]) == (first["domain"], 2)
    made, _ = blob(pool, custodians, tmp_path / "first.json", tmp_path, 0, 1)
    pool.gives("security-domain", "upload", "--blob", str(made))
    said = pool.fails("officer", "recover", "user", by="", ADYTON_NEW_PIN="another-pin")
    assert "of another download" in said
    assert "closed" in pool.says("security-domain", "close", by="")
    assert "it was not open" in pool.says("security-domain", "close", by="")
    made, _ = blob(pool, custodians, tmp_path / "second.json", tmp_path, 0, 1)
    pool.gives("security-domain", "upload", "--blob", str(made))
    assert "has a new PIN" in pool.says("officer", "recover", "user", by="", ADYTON_NEW_PIN="another-pin")


def test_what_is_sealed_at_the_download_is_covered_at_its_next_opening(
    pool: Desk, custodians: Any, tmp_path: Path
) -> None:
    """The second partition's Administrator has no copy of its key: he agrees to the download, and opens nothing."""
    pay = pool.partition("pay")["slot"]
    other = pool.partition("other", "--no-admin-recovery")["slot"]
    words = ("--certificates", *files(custodians, 0, 0, 1, 2), "--quorum", "2", "--out", str(tmp_path / "domain.json"))
    refused = pool.fails("security-domain", "download", *words, "--partition", "pay")
    assert f"partition {other} has officers" in refused and f"adyton login --partition {other} --as NAME" in refused
    pool.says("login", "--partition", "other")
    told = pool.gives("security-domain", "download", *words, "--partition", "pay")
    assert (told["covered"], told["missing"]) == ([pay], [other])
    assert f"not yet partition {other}" in pool.says("status", by="")
    pool.gives("key", "create", "invoices", "--kty", "EC", "--partition", "other", by="user")
    assert pool.gives("security-domain", "show", by="")["covered"] == [pay, other]


def test_another_pool_s_domain_is_refused(
    pool: Desk, custodians: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.partition("pay")
    download(pool, custodians, tmp_path / "domain.json")
    with desk(tmp_path / "two", monkeypatch) as other:
        other.partition("more")
        download(other, custodians, tmp_path / "theirs.json")
        made, _ = blob(other, custodians, tmp_path / "domain.json", tmp_path, 0, 1)
        assert "another pool takes it" in other.fails("security-domain", "upload", "--blob", str(made))




def test_an_open_domain_closes_by_itself(custodians: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that the test moves, in a throw-away pool, whose PINs are cheap too."""
    with ThrowAway(test_clock=True) as token:
        for variable, value in token.environment.items():
            monkeypatch.setenv(variable, value)
        pool, so = Desk(Path(token.home)), {"ADYTON_SO_PIN": token.so_pin}
        words = ("--certificates", *files(custodians, 0, 0, 1, 2), "--quorum", "2", "--out", str(tmp_path / "d.json"))
        adyton("security-domain", "download", *words, "--as", "so", **so)
        made, _ = blob(pool, custodians, tmp_path / "d.json", tmp_path, 0, 1)
        adyton("security-domain", "upload", "--blob", str(made), "--as", "so", **so)
        token.advance(899)
        assert "has a new PIN" in pool.says("officer", "recover", "user", by="", ADYTON_NEW_PIN="another-pin")
        token.advance(2)
        assert "is not open" in pool.fails("officer", "recover", "user", by="", ADYTON_NEW_PIN="third-pin")
        assert pool.gives("security-domain", "show", by="")["openUntil"] is None
