"""``adyton partition``: make, list, show, set and delete the pool's partitions."""

from __future__ import annotations

from typing import Any

from hsm.cli.acting import choose, officer
from hsm.cli.command import COLUMNS, Arguments, Failure, cell, show, table
from hsm.cli.pins import Source
from hsm.client import Client, connect


def create(given: Arguments) -> int:
    if given.blank == bool(given.label):
        raise Failure("a partition needs a --label, or --blank for one that a program initialises itself")
    fields: dict[str, Any] = {
        "legacy": given.legacy, "kind": given.kind, "admin_recovery": not given.no_admin_recovery,
    }
    if given.label:
        if not 0 < len(given.label.encode(errors="replace")) <= 32:
            raise Failure("a label has 32 bytes at most; nothing was changed")
        fields["so_pin"] = Source("SO PIN", "--so-pin", given.so_pin_file, "ADYTON_SO_PIN").read(twice=True)
        # A managed HSM has its officers made by name; who wants a plain user there says so.
        if given.kind == "token" or given.pin_file:
            fields["pin"] = Source("user PIN", "--pin", given.pin_file, "ADYTON_PIN").read(twice=True)
        fields["label"] = given.label
    with connect(start=True) as client:
        made = client.ask("partition-create", **fields)["partition"]
    return show(given, made, f"partition {made['slot']} made, serial number {made['serial']}")


def list_all(given: Arguments) -> int:
    with connect(start=True) as client:
        rows = client.ask("partition-list")["partitions"]
    return show(given, rows, table(rows, COLUMNS))


def _row(client: Client, text: str) -> dict[str, Any]:
    return choose(client.ask("partition-list")["partitions"], text)


def show_one(given: Arguments) -> int:
    with connect(start=True) as client:
        row = _row(client, given.slot)
    return show(given, row, "\n".join(f"{name:15} {cell(value)}" for name, value in row.items()))


def _by(given: Arguments, client: Client, row: dict[str, Any]) -> dict[str, str]:
    """One that nobody has initialised has no officers."""
    return officer(given, client, row["slot"], "so") if row["initialised"] else {}


def change(given: Arguments) -> int:
    with connect(start=True) as client:
        row = _row(client, given.slot)
        who = _by(given, client, row)
        row = client.ask("partition-set", slot=row["slot"], legacy=given.legacy == "on", **who)["partition"]
    offered = "are offered" if row["legacy"] else "are not offered"
    return show(given, row, f"partition {row['slot']}: DES3 and MD5 {offered}")


def delete(given: Arguments) -> int:
    with connect(start=True) as client:
        row = _row(client, given.slot)
        slot = row["slot"]
        if not given.yes:
            words = f"partition {slot} ({cell(row['label'])}) and all its keys would be gone for ever: add --yes"
            raise Failure(words)
        client.ask("partition-delete", slot=slot, **_by(given, client, row))
    return show(given, {"deleted": slot}, f"partition {slot} is gone; its number is not used again")
