"""``adyton login``, ``logout`` and ``whoami``: an officer for this terminal session, remembered by the engine alone."""

from __future__ import annotations

import time
from typing import Any

from hsm.cli.acting import choose, officer, partition
from hsm.cli.command import Arguments, Failure, cell, show
from hsm.client import connect


def login(given: Arguments) -> int:
    with connect(start=True) as client:
        if not given.officer:
            raise Failure("who logs in? Give --as NAME")
        row = partition(given, client)
        told = client.ask("login", slot=row["slot"], **officer(given, client, row["slot"]))
    words = f"{told['officer']} is logged in on partition {row['slot']} ({cell(row['label'])}) in this terminal session"
    return show(given, told, f"{words},\nuntil adyton logout, an hour without use, or the engine's end")


def logout(given: Arguments) -> int:
    """From the partition, or from all."""
    with connect(start=False) as client:
        known = [row for row in client.ask("whoami")["officers"] if row["by"] == "login"]
        if given.partition is not None:
            slot = choose(client.ask("partition-list")["partitions"], given.partition)["slot"]
            known = [row for row in known if row["slot"] == slot]
        ended = [client.ask("logout", slot=row["slot"], **{"as": row["officer"]}) for row in known]
    lines = [f"{row['officer']} is logged out of partition {row['slot']}" for row in ended]
    return show(given, ended, "\n".join(lines) or "nobody was logged in here")


def whoami(given: Arguments) -> int:
    with connect(start=True) as client:
        told = client.ask("whoami")
    lines = [f"user {told['uid']} of this machine", *in_words(told)]
    if not told["officers"]:
        lines.append("no officer: give --as NAME with each command, or log in: adyton login --as NAME")
    if told["problem"]:
        lines.append(told["problem"])
    return show(given, told, "\n".join(lines))


def in_words(told: dict[str, Any]) -> list[str]:
    """A line for each officer that the caller is without a PIN."""
    lines = []
    for row in told["officers"]:
        how = "as that user"
        if row["by"] == "login":
            until = time.strftime("%H:%M", time.localtime(time.time() + row["seconds"]))
            how = f"by adyton login, until {until} if not used before"
        lines.append(f"{row['officer']} in partition {row['slot']} ({cell(row['label'])}), {how}")
    return lines
