"""``adyton key``: keys by name, in the words of ``az keyvault key``."""

from __future__ import annotations

import os
from typing import Any

from hsm.cli import acting, times
from hsm.cli.command import Arguments, Failure, cell, show, table
from hsm.client import connect

COLUMNS = ("name", "version", "kty", "enabled", "created", "expires", "tags")
DELETED_COLUMNS = ("name", "versions", "deleted", "purged", "by")


def _fields(given: Arguments) -> dict[str, Any]:
    """What a version is to be, as a request says it."""
    said: dict[str, Any] = {
        "nbf": _moment(given.not_before), "exp": _moment(given.expires), "key_ops": given.ops,
        "tags": _tags(given.tags),
    }
    if getattr(given, "version", None):
        said["version"] = given.version
    return {name: value for name, value in said.items() if value is not None}


def _moment(text: str | None) -> int | None:
    told = times.expiry(text)
    if not told:
        return None
    if "expires_in" in told:
        return times.from_now(int(told["expires_in"] or 0))
    return int(told["expires"] or 0)


def _tags(pairs: list[str] | None) -> dict[str, str] | None:
    if pairs is None:
        return None
    split = [pair.partition("=") for pair in pairs]
    if not all(name and sign for name, sign, _ in split):
        raise Failure("a tag is NAME=VALUE, as in --tags team=payments stage=test")
    return {name: value for name, _, value in split}


def _row(told: dict[str, Any]) -> dict[str, Any]:
    """A line of a list."""
    about = told["attributes"]
    return {
        "name": told["name"], "version": told["version"], "kty": told["kty"], "enabled": about["enabled"],
        "created": times.in_words(about["created"]), "expires": times.in_words(about.get("exp"), ""),
        "tags": " ".join(f"{name}={value}" for name, value in told["tags"].items()),
    }


def in_words(told: dict[str, Any]) -> str:
    """One key for people; long numbers are for --json."""
    key, about = told["key"], told["attributes"]
    lines = {"kid": key["kid"], "kty": key["kty"]}
    lines |= {name: key[name] for name in ("crv", "key_size") if name in key}
    lines |= {"key_ops": " ".join(key["key_ops"]) or "nothing"}
    for name, value in about.items():
        lines[name] = times.in_words(value) if name in ("nbf", "exp", "created", "updated") else value
    if told["tags"]:
        lines["tags"] = " ".join(f"{name}={value}" for name, value in told["tags"].items())
    return "\n".join(f"{name:16} {cell(value)}" for name, value in lines.items())


def _answered(given: Arguments, act: str, words: str = "", **fields: Any) -> int:
    """An act that answers with a key."""
    with connect(start=True) as client:
        told = acting.ask(given, client, act, name=given.name, **fields)["key"]
    text = in_words(told)
    return show(given, told, f"{words.format(told['key']['kid'])}\n{text}" if words else text)


def create(given: Arguments) -> int:
    fields = {"kty": given.kty, **({"key_size": given.size} if given.size else {}), **_fields(given)}
    if given.curve:
        fields |= {"crv": given.curve, "kty": "EC" if given.kty == "RSA" else given.kty}
    if given.disabled:
        fields["enabled"] = False
    return _answered(given, "key-create", "{} made", **fields)


def list_all(given: Arguments) -> int:
    with connect(start=True) as client:
        rows = acting.ask(given, client, "key-list")["keys"]
    return show(given, rows, table([_row(row) for row in rows], COLUMNS))


def list_versions(given: Arguments) -> int:
    with connect(start=True) as client:
        rows = acting.ask(given, client, "key-list-versions", name=given.name)["keys"]
    return show(given, rows, table([_row(row) for row in rows], COLUMNS))


def show_one(given: Arguments) -> int:
    return _answered(given, "key-show", **({"version": given.version} if given.version else {}))


def set_attributes(given: Arguments) -> int:
    fields = _fields(given)
    if given.enabled is not None:
        fields["enabled"] = given.enabled == "true"
    if not fields.keys() - {"version"}:
        raise Failure("what is to change? Give --enabled, --not-before, --expires, --ops or --tags")
    return _answered(given, "key-set-attributes", **fields)


def rotate(given: Arguments) -> int:
    return _answered(given, "key-rotate", "{} made")


def _policy(given: Arguments, act: str, **fields: Any) -> int:
    with connect(start=True) as client:
        told = acting.ask(given, client, act, name=given.name, **fields)["policy"]
    rotates = [f"{name} {value}" for row in told["lifetimeActions"] for name, value in row["trigger"].items()]
    lines = {
        "rotates": rotates[0] if rotates else "never by itself",
        "new versions expire": told["attributes"]["expiryTime"] or "never",
        "next rotation": times.in_words(told["nextRotation"]),
    }
    return show(given, told, "\n".join(f"{name:20} {cell(value)}" for name, value in lines.items()))


def show_policy(given: Arguments) -> int:
    return _policy(given, "key-rotation-policy-show")


def update_policy(given: Arguments) -> int:
    said = {
        "time_after_create": given.after_create, "time_before_expiry": given.before_expiry,
        "expiry_time": given.expiry_time,
    }
    return _policy(given, "key-rotation-policy-update", **{name: value for name, value in said.items() if value})


def delete(given: Arguments) -> int:
    with connect(start=True) as client:
        told = acting.ask(given, client, "key-delete", name=given.name)
    key = told["key"]
    if not told["recoverable"]:
        words = f"key {cell(given.name)} is destroyed, with all its versions: the partition has no retention"
        return show(given, key, words)
    until, back = times.in_words(key["scheduledPurgeDate"]), f"adyton key recover {cell(given.name)}"
    words = f"key {cell(given.name)} is deleted, with all its versions. Until {until} it comes back by: {back}"
    return show(given, key, words)


def _deleted_row(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": told["recoveryId"].removeprefix("/deletedkeys/"), "versions": told["versions"],
        "deleted": times.in_words(told["deletedDate"]), "purged": times.in_words(told["scheduledPurgeDate"]),
        "by": told["deletedBy"],
    }


def list_deleted(given: Arguments) -> int:
    with connect(start=True) as client:
        rows = acting.ask(given, client, "key-list-deleted")["keys"]
    return show(given, rows, table([_deleted_row(row) for row in rows], DELETED_COLUMNS))


def show_deleted(given: Arguments) -> int:
    with connect(start=True) as client:
        told = acting.ask(given, client, "key-show-deleted", name=given.name)["key"]
    return show(given, told, "\n".join(f"{name:10} {cell(value)}" for name, value in _deleted_row(told).items()))


def recover(given: Arguments) -> int:
    return _answered(given, "key-recover", "{} is back")


def purge(given: Arguments) -> int:
    if not given.yes:
        raise Failure("this destroys the deleted key and all its versions for ever; say --yes to do it")
    with connect(start=True) as client:
        acting.ask(given, client, "key-purge", name=given.name)
    return show(given, {"purged": given.name}, f"key {cell(given.name)} is gone for good")


def import_key(given: Arguments) -> int:
    """The file is opened here, and read by the engine: the key's bytes are in its memory alone."""
    files = [name for name in ("pem_file", "byok_file", "raw_file") if getattr(given, name)]
    if len(files) != 1:
        raise Failure("which key? Give one of --pem-file, --byok-file and --raw-file")
    fields: dict[str, Any] = {"format": files[0].removesuffix("_file"), **_fields(given)}
    fields |= {"kty": given.kty} if given.kty else {}
    fields |= {"crv": given.curve} if given.curve else {}
    if given.disabled:
        fields["enabled"] = False
    if given.pem_password_file:
        from hsm.cli.pins import Source

        fields["passphrase"] = Source("passphrase", "--pem-password", given.pem_password_file, "").read()
    try:
        file = os.open(getattr(given, files[0]), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as fault:
        raise Failure(f"{cell(getattr(given, files[0]))}: {fault.strerror}") from None
    try:
        with connect(start=True) as client:
            slot = acting.partition(given, client)["slot"]
            who = acting.officer(given, client, slot)
            told = client.ask_into(file, "key-import", slot=slot, name=given.name, **who, **fields)["key"]
    finally:
        os.close(file)
    return show(given, told, f"{told['key']['kid']} brought in\n{in_words(told)}")
