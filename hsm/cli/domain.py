"""``adyton security-domain``: the pool's custody, in the words of ``az keyvault security-domain``.

Custodians' private keys are read here only where a restore blob is made, which takes no engine and may be done on a
machine that has no network.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hsm.cli import acting, times
from hsm.cli.command import Arguments, Failure, cell, new_file, show
from hsm.cli.pins import Source
from hsm.client import connect

LONGEST = 1 << 20


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        found = file.read(LONGEST + 1)
    if len(found) > LONGEST:
        raise Failure(f"{cell(path)} is longer than {LONGEST >> 20} MiB: it is no such file")
    return found


def _write_new(path: str, text: str) -> None:
    with open(new_file(Path(path)), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _in_words(told: dict[str, Any]) -> str:
    if not told["activated"]:
        return "no security domain yet: adyton security-domain download puts the pool into several people's custody"
    lines = {
        "domain": told["domain"], "generation": told["generation"],
        "custodians": f"{len(told['custodians'])}, of whom {told['required']} can open it",
        "downloaded": times.in_words(told["downloaded"]),
        "covered": ", ".join(map(str, told["covered"])) or "no partition",
        "missing": ", ".join(map(str, told["missing"])) or "none",
        "open": f"until {times.in_words(told['openUntil'])}" if told["openUntil"] else "no",
    }
    text = "\n".join(f"{name:12} {cell(value)}" for name, value in lines.items())
    if told["missing"]:
        text += "\nWhat is missing is covered when somebody next logs in there by a PIN."
    return text


def show_domain(given: Arguments) -> int:
    with connect(start=True) as client:
        told = client.ask("domain-show")["securityDomain"]
    return show(given, told, _in_words(told))


def _who(given: Arguments, client: Any) -> dict[str, Any]:
    """The officer of --as, in the one partition that it is about; others by their logins at this terminal."""
    if given.officer is None and given.partition is None:
        rows = [row for row in client.ask("partition-list")["partitions"] if row["initialised"]]
        return {"slot": rows[0]["slot"]} if len(rows) == 1 else {}
    slot = acting.partition(given, client)["slot"]
    return {"slot": slot, **acting.officer(given, client, slot)}


def download(given: Arguments) -> int:
    texts = [_read(path).decode("utf-8", "replace") for path in given.certificates]
    if os.path.exists(given.out):
        raise Failure(f"{cell(given.out)} is there already; give another name")
    with connect(start=True) as client:
        told = client.ask("domain-download", certificates=texts, required=given.quorum, **_who(given, client))
    _write_new(given.out, told["value"])
    domain = told["securityDomain"]
    words = f"{cell(given.out)} written: any {given.quorum} of the {len(texts)} custodians open it. Keep it, and their "
    return show(given, domain, f"{words}private keys, in different places\n{_in_words(domain)}")


def init_recovery(given: Arguments) -> int:
    with connect(start=True) as client:
        told = client.ask("domain-transfer-key")
    _write_new(given.out, told["certificate"])
    words = f"{cell(given.out)} written. Now, where the custodians' keys are: adyton security-domain restore-blob"
    return show(given, told, words)


def restore_blob(given: Arguments) -> int:
    """Offline."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from hsm.domain import form
    from hsm.domain.jwe import Unfit

    passphrase = None
    if given.passphrase_file:
        passphrase = Source("passphrase", "--passphrase", given.passphrase_file, "").read().encode()
    keys: dict[str, RSAPrivateKey] = {}
    for path in given.keys:
        pem = _read(path)
        try:
            key = load_pem_private_key(pem, passphrase if b"ENCRYPTED" in pem else None)
        except (ValueError, TypeError):
            asked = "; it has a passphrase: --passphrase-file" if b"ENCRYPTED" in pem and passphrase is None else ""
            raise Failure(f"{cell(path)} is no private key that can be read{asked}") from None
        if not isinstance(key, RSAPrivateKey):
            raise Failure(f"{cell(path)} is no RSA key, as custodians' keys are")
        keys[cell(path)] = key
    try:
        exchange = form.certificate(_read(given.exchange))
    except Unfit as fault:
        raise Failure(f"{cell(given.exchange)}: {fault}") from None
    try:
        made = form.blob(_read(given.file), keys, exchange)
    except Unfit as fault:
        raise Failure(f"{cell(given.file)}: {fault}; nothing was written") from None
    _write_new(given.out, made)
    return show(given, {"blob": given.out}, f"{cell(given.out)} written: adyton security-domain upload takes it, once")


def upload(given: Arguments) -> int:
    text = _read(given.blob).decode("utf-8", "replace")
    with connect(start=True) as client:
        told = client.ask("domain-upload", value=text, **_who(given, client))
    domain = told["securityDomain"]
    what = "the pool is of this security domain now" if told["taken"] else "the pool's security domain is open"
    then = "adyton restore FOLDER takes its backups" if told["taken"] else "adyton officer recover NAME gives a new PIN"
    return show(given, domain, f"{what}: {then}\n{_in_words(domain)}")


def close(given: Arguments) -> int:
    with connect(start=True) as client:
        told = client.ask("domain-close")
    return show(given, told, "closed" if told["was_open"] else "it was not open")


def recover_officer(given: Arguments) -> int:
    pin = Source(f"new PIN of {cell(given.name)}", "--new-pin", given.new_pin_file, "ADYTON_NEW_PIN", given.new_pin_fd)
    with connect(start=True) as client:
        slot = acting.partition(given, client)["slot"]
        fields = {"name": given.name, "new_pin": pin.read(twice=True), "must_change": given.must_change}
        told = client.ask("officer-recover", slot=slot, **fields)
    return show(given, told, f"officer {cell(given.name)} has a new PIN, which opens the keys of partition {slot}")
