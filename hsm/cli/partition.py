"""``adyton partition``: make, list, show and delete the pool's partitions. PINs never come as arguments."""

from __future__ import annotations

import argparse
import os
from typing import Any

from hsm.cli.command import COLUMNS, JSON, Command, Failure, option, show, table
from hsm.client import connect

_PIN_OPTIONS = (
    option("--so-pin-file", metavar="FILE", help="the SO PIN's file; else $ADYTON_SO_PIN, else asked for"),
    option("--pin-file", metavar="FILE", help="the user PIN's file; else $ADYTON_PIN, else asked for"),
)
_SLOT = option("slot", type=int, help="the partition's slot number, see adyton partition list")


def _pin(path: str | None, variable: str, prompt: str, *, twice: bool) -> str:
    if path is not None:
        try:
            with open(path, encoding="utf-8") as lines:
                return lines.readline().rstrip("\n")
        except OSError as fault:
            raise Failure(f"the PIN can't be read: {fault}") from None
    if variable in os.environ:
        return os.environ[variable]
    import getpass
    import sys

    if not sys.stdin.isatty():
        raise Failure(f"no {prompt}: give its file, or set {variable}, or run this on a terminal")
    given = getpass.getpass(f"{prompt}: ")
    if twice and getpass.getpass(f"{prompt}, once more: ") != given:
        raise Failure("the two differ; nothing was changed")
    return given


def _create(given: argparse.Namespace) -> int:
    if not given.blank and not given.label:
        raise Failure("a partition needs a --label, or --blank for one that a program initialises itself")
    fields: dict[str, Any] = {}
    if not given.blank:
        fields["so_pin"] = _pin(given.so_pin_file, "ADYTON_SO_PIN", "SO PIN", twice=True)
        fields["pin"] = _pin(given.pin_file, "ADYTON_PIN", "user PIN", twice=True)
        if not all(4 <= len(pin.encode()) <= 255 for pin in fields.values()):
            raise Failure("a PIN has 4 to 255 bytes; nothing was changed")
    client = connect(start=True)
    made = client.ask("partition-create")["partition"]
    if not given.blank:
        made = client.ask("init", slot=made["slot"], label=given.label, **fields)["partition"]
    return show(given, made, f"partition {made['slot']} made, serial number {made['serial']}")


def _list(given: argparse.Namespace) -> int:
    rows = connect(start=True).ask("partition-list")["partitions"]
    return show(given, rows, table(rows, COLUMNS))


def _show(given: argparse.Namespace) -> int:
    rows = connect(start=True).ask("partition-list")["partitions"]
    row = next((row for row in rows if row["slot"] == given.slot), None)
    if row is None:
        raise Failure(f"there is no partition {given.slot}. See: adyton partition list")
    return show(given, row, "\n".join(f"{name:12} {value}" for name, value in row.items()))


def _delete(given: argparse.Namespace) -> int:
    client = connect(start=True)
    rows = client.ask("partition-list")["partitions"]
    row = next((row for row in rows if row["slot"] == given.slot), None)
    if row is None:
        raise Failure(f"there is no partition {given.slot}. See: adyton partition list")
    if not given.yes:
        raise Failure(f"partition {given.slot} ({row['label']}) and all its keys would be gone for ever: add --yes")
    pin = _pin(given.so_pin_file, "ADYTON_SO_PIN", "SO PIN", twice=False) if row["initialised"] else ""
    client.ask("partition-delete", slot=given.slot, so_pin=pin)
    return show(given, {"deleted": given.slot}, f"partition {given.slot} is gone; its number is not used again")


COMMANDS = (
    Command(
        "partition create", "make a partition: a slot with a token", "adyton partition create --label payments",
        (
            option("--label", help="the token's label; two may share one"),
            option("--blank", action="store_true", help="leave it uninitialised, for C_InitToken"), *_PIN_OPTIONS, JSON,
        ),
        _create,
    ),
    Command("partition list", "all partitions of the pool", "adyton partition list --json", (JSON,), _list),
    Command("partition show", "one partition", "adyton partition show 0", (_SLOT, JSON), _show),
    Command(
        "partition delete", "destroy a partition and all its keys", "adyton partition delete 2 --yes",
        (_SLOT, option("--yes", action="store_true", help="yes, for ever"), _PIN_OPTIONS[0], JSON), _delete,
    ),
)
