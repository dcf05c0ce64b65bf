"""``adyton partition``: make, list, show, set and delete the pool's partitions. PINs never come as arguments."""

from __future__ import annotations

import os
from typing import Any

from hsm.cli.command import COLUMNS, Arguments, Failure, cell, show, table
from hsm.client import connect


def _pin(path: str | None, variable: str, prompt: str, *, twice: bool) -> str:
    if path is not None:
        try:
            with open(path, encoding="utf-8") as lines:
                return lines.readline().rstrip("\r\n")
        except OSError as fault:
            raise Failure(f"the {prompt} can't be read: {path}: {fault.strerror}") from None
        except UnicodeDecodeError:
            raise Failure(f"the {prompt} can't be read: {path} is not a text file") from None
    if os.environ.get(variable):
        return os.environ[variable]
    import getpass
    import sys

    if not sys.stdin.isatty():
        option = variable.removeprefix("ADYTON_").replace("_", "-").lower()
        raise Failure(f"no {prompt} was given: set {variable}, name its file by --{option}-file, or use a terminal")
    given = getpass.getpass(f"{prompt}: ")
    if twice and getpass.getpass(f"{prompt}, once more: ") != given:
        raise Failure("the two differ; nothing was changed")
    return given


def _is_text(pin: str) -> bool:
    try:
        pin.encode()
    except UnicodeEncodeError:  # bytes of the environment that are no text
        return False
    return True


def create(given: Arguments) -> int:
    if given.blank == bool(given.label):
        raise Failure("a partition needs a --label, or --blank for one that a program initialises itself")
    fields: dict[str, Any] = {"legacy": given.legacy}
    if given.label:
        if not 0 < len(given.label.encode(errors="replace")) <= 32:
            raise Failure("a label has 32 bytes at most; nothing was changed")
        fields["so_pin"] = _pin(given.so_pin_file, "ADYTON_SO_PIN", "SO PIN", twice=True)
        fields["pin"] = _pin(given.pin_file, "ADYTON_PIN", "user PIN", twice=True)
        if not all(_is_text(fields[name]) for name in ("so_pin", "pin")):
            raise Failure("a PIN is text; nothing was changed")
        fields["label"] = given.label
    with connect(start=True) as client:
        made = client.ask("partition-create", **fields)["partition"]
    return show(given, made, f"partition {made['slot']} made, serial number {made['serial']}")


def _row(rows: list[dict[str, Any]], slot: int) -> dict[str, Any]:
    found = next((row for row in rows if row["slot"] == slot), None)
    if found is None:
        there_are = ", ".join(str(row["slot"]) for row in rows) or "none"
        raise Failure(f"there is no partition {slot}; there are: {there_are}. See: adyton partition list")
    return found


def list_all(given: Arguments) -> int:
    with connect(start=True) as client:
        rows = client.ask("partition-list")["partitions"]
    return show(given, rows, table(rows, COLUMNS))


def show_one(given: Arguments) -> int:
    with connect(start=True) as client:
        row = _row(client.ask("partition-list")["partitions"], given.slot)
    return show(given, row, "\n".join(f"{name:12} {cell(value)}" for name, value in row.items()))


def change(given: Arguments) -> int:
    with connect(start=True) as client:
        row = _row(client.ask("partition-list")["partitions"], given.slot)
        pin = _pin(given.so_pin_file, "ADYTON_SO_PIN", "SO PIN", twice=False) if row["initialised"] else ""
        fields = {"slot": given.slot, "as": "so", "pin": pin, "legacy": given.legacy == "on"}
        row = client.ask("partition-set", **fields)["partition"]
    offered = "are offered" if row["legacy"] else "are not offered"
    return show(given, row, f"partition {given.slot}: DES3 and MD5 {offered}")


def delete(given: Arguments) -> int:
    with connect(start=True) as client:
        row = _row(client.ask("partition-list")["partitions"], given.slot)
        if not given.yes:
            words = f"partition {given.slot} ({cell(row['label'])}) and all its keys would be gone for ever: add --yes"
            raise Failure(words)
        pin = _pin(given.so_pin_file, "ADYTON_SO_PIN", "SO PIN", twice=False) if row["initialised"] else ""
        client.ask("partition-delete", slot=given.slot, **{"as": "so", "pin": pin})
    return show(given, {"deleted": given.slot}, f"partition {given.slot} is gone; its number is not used again")
