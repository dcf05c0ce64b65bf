"""Which partition a command is about, and which officer gives it: the same options and rules for every command."""

from __future__ import annotations

from typing import Any

from hsm.cli.command import Arguments, Failure, cell, option
from hsm.cli.pins import Source
from hsm.client import Client

AS = (
    option("--as", dest="officer", metavar="OFFICER", help="act as this officer (default: who is logged in here, see "
           "adyton whoami)"),
    option("--pin-file", metavar="FILE", help="that officer's PIN's file; else $ADYTON_PIN (of so: $ADYTON_SO_PIN), "
           "else asked for"),
    option("--pin-fd", type=int, metavar="N", help="an open descriptor to read that PIN from"),
)
PARTITION = option("--partition", "--hsm-name", metavar="SLOT|LABEL", help="the partition (default: the only "
                   "initialised one)")
ON_A_PARTITION = (PARTITION, *AS)


def choose(rows: list[dict[str, Any]], text: str | None) -> dict[str, Any]:
    """The partition of this slot number or label; without one, the only one that is initialised."""
    if text is None:
        found = [row for row in rows if row["initialised"]]
        if not found:
            raise Failure("no partition is initialised. Make one: adyton partition create --label NAME")
        if len(found) > 1:
            raise Failure(f"there are several partitions, so say which: --partition {_named(found)}")
        return found[0]
    found = [row for row in rows if str(row["slot"]) == text] or [row for row in rows if row["label"] == text != ""]
    if not found:
        there_are = _named(rows) or "none"
        raise Failure(f"there is no partition {cell(text)}; there are: {there_are}. See: adyton partition list")
    if len(found) > 1:
        raise Failure(f"several partitions are labelled {cell(text)}; give a number: {_named(found)}")
    return found[0]


def _named(rows: list[dict[str, Any]]) -> str:
    return ", ".join(f"{row['slot']} ({cell(row['label'])})" if row["label"] else str(row["slot"]) for row in rows)


def partition(given: Arguments, client: Client) -> dict[str, Any]:
    return choose(client.ask("partition-list")["partitions"], given.partition)


def pin_of(given: Arguments, officer: str) -> Source:
    """``so`` has a variable of its own: a user's PIN in the environment must not cost the SO's tries."""
    variable = "ADYTON_SO_PIN" if officer == "so" else "ADYTON_PIN"
    what = "SO PIN" if officer == "so" else f"PIN of officer {cell(officer)}"
    return Source(what, "--pin", given.pin_file, variable, given.pin_fd)


def officer(given: Arguments, client: Client, slot: int, otherwise: str = "") -> dict[str, str]:
    """Who acts, as fields of a request: the officer of --as, else who is known here, else ``otherwise``. A PIN is asked
    for where nothing else proves it."""
    known = [row["officer"] for row in client.ask("whoami")["officers"] if row["slot"] == slot]
    name = given.officer or (known[0] if known else otherwise)
    if not name:
        raise Failure("which officer acts? Give --as NAME, or log in for this terminal: adyton login --as NAME")
    source = pin_of(given, name)
    if name in known and not source.named:
        return {"as": name}
    return {"as": name, "pin": source.read()}


def owner_or_officer(given: Arguments, client: Client) -> dict[str, Any]:
    """For what the pool's owner may ask as well: nobody acts then, whoever is logged in here, unless ``--as`` names an
    officer; and it is about one partition where one is named. Anybody else acts as everywhere."""
    if given.officer is None and client.ask("whoami")["owner"]:
        return {} if given.partition is None else {"only": partition(given, client)["slot"]}
    slot = partition(given, client)["slot"]
    return {"slot": slot, **officer(given, client, slot)}


def ask(given: Arguments, client: Client, act: str, **fields: Any) -> dict[str, Any]:
    """An act on a partition, by an officer."""
    slot = partition(given, client)["slot"]
    return client.ask(act, slot=slot, **officer(given, client, slot), **fields)
