"""``adyton partition``: make, list, show, set and delete the pool's partitions."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hsm.cli.acting import choose, officer
from hsm.cli.command import COLUMNS, Arguments, Failure, cell, show, table
from hsm.cli.pins import Source
from hsm.cli.times import in_words
from hsm.client import Client, connect

KEY_FILE = 32  # bytes of a key file that is made here


def create(given: Arguments) -> int:
    if given.blank and given.label:
        raise Failure("a --blank partition has its label from who initialises it: give --label or --blank, not both")
    if not given.blank and not given.label:
        raise Failure("a partition needs a --label, or --blank for one that a program initialises itself")
    fields: dict[str, Any] = {
        "legacy": given.legacy, "weak_token_keys": given.weak_token_keys, "profile": given.profile,
        "kind": given.kind, "admin_recovery": not given.no_admin_recovery, **_rule(given),
        "purge_protection": given.purge_protection,
    }
    fields |= {} if given.retention_days is None else {"retention_days": given.retention_days}
    fields |= {} if given.limits is None else {"limits": given.limits}
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
    told = {**row, "quorum": _rule_in_words(row["quorum"])}
    return show(given, row, "\n".join(f"{name:15} {cell(value)}" for name, value in told.items()))


def _rule(given: Arguments) -> dict[str, Any]:
    """The two-person rule as a request says it; nothing where it was not spoken of."""
    acts = None if given.quorum_acts is None else [act.strip() for act in given.quorum_acts.split(",")]
    said = {"quorum": given.quorum, "quorum_acts": acts, "quorum_expiry": given.quorum_expiry}
    return {name: value for name, value in said.items() if value is not None}


def _rule_in_words(rule: dict[str, Any] | None) -> str:
    if rule is None:
        return "no"
    words = f"{rule['officers']} officers for {', '.join(rule['acts'])}; a proposal stands {rule['expiryHours']} h"
    return words if rule["awake"] else f"{words}; sleeps until there are {rule['officers']} Administrators"


def _by(given: Arguments, client: Client, row: dict[str, Any]) -> dict[str, str]:
    """One that nobody has initialised has no officers."""
    return officer(given, client, row["slot"], "so") if row["initialised"] else {}


def _switches(given: Arguments) -> dict[str, Any]:
    """Those that are to be turned, as a request says it."""
    said = {"profile": given.profile, "limits": given.limits}
    turned = ("legacy", given.legacy), ("weak_token_keys", given.weak_token_keys)
    for name, value in (*turned, ("purge_protection", given.purge_protection)):
        said[name] = None if value is None else value == "on"
    return {name: value for name, value in said.items() if value is not None}


_SAID: dict[str, Callable[[Any], str]] = {
    "profile": lambda profile: f"the profile is {profile}",
    "legacy": lambda on: f"DES3 and MD5 {'are offered' if on else 'are not offered'}",
    "limits": lambda limits: f"limits on keys and versions: {limits}",
    "purge_protection": lambda on: "what is deleted stays until its retention is over, for ever from now on",
    "weak_token_keys": lambda on: f"weak keys {'may be token keys' if on else 'are session keys only'}",
}


def change(given: Arguments) -> int:
    rule, switches = _rule(given), _switches(given)
    if not switches and not rule:
        words = "Give --profile, --legacy, --weak-token-keys, --purge-protection, --limits, --quorum, --quorum-acts or "
        words += "--quorum-expiry"
        raise Failure(f"what is to change? {words}")
    with connect(start=True) as client:
        row = _row(client, given.slot)
        who = _by(given, client, row)
        row = client.ask("partition-set", slot=row["slot"], **switches, **rule, **who)["partition"]
    lines = [_SAID[name](row[name]) for name in switches]
    if rule:
        lines.append(f"two-person rule: {_rule_in_words(row['quorum'])}")
    return show(given, row, "\n".join(f"partition {row['slot']}: {line}" for line in lines))


def unattended(given: Arguments) -> int:
    if given.off and given.key_file:
        raise Failure("is a file to open the partition, or none? Give --key-file FILE or --off, not both")
    if not given.off and not given.key_file:
        raise Failure("which file opens the partition? Give --key-file FILE, or --off for none")
    with connect(start=True) as client:
        row = _row(client, given.slot)
        fields = {"slot": row["slot"], **_by(given, client, row)}
        if given.off:
            told = client.ask("partition-unattended", **fields)
        else:
            told = opened_by(client, os.path.abspath(given.key_file), **fields)
    words = "no file opens it any more; delete the one that did"
    if told["key_file"]:
        words = f"{cell(told['key_file'])} opens it for officers who are users of the machine"
    return show(given, told, f"partition {row['slot']}: {words}")


def seal(given: Arguments) -> int:
    with connect(start=True) as client:
        told = client.ask("partition-seal", slot=_row(client, given.slot)["slot"])
    slot = told["partition"]["slot"]
    words = "sealed: all logins are over, and the next one opens it" if told["was_open"] else "was sealed already"
    return show(given, told, f"partition {slot} {words}")


def opened_by(client: Client, path: str, **fields: Any) -> dict[str, Any]:
    """The file at ``path``, made where there is none, opens the partition from now on."""
    handle, made = _key_file(path, int(client.ask("status")["uid"]))
    try:
        return client.ask_into(handle, "partition-unattended", key_file=path, **fields)
    except BaseException:
        if made:
            os.unlink(path)
        raise
    finally:
        os.close(handle)


def _key_file(path: str, uid: int) -> tuple[int, bool]:
    """A key file, open, and whether it was made here: on the disk, and the engine's user's."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), False
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as fault:
        raise Failure(f"{path} can't be a key file: {fault}") from None
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as fault:
        raise Failure(f"{path} can't be made: {fault.strerror}.\n"
                      f"Make it yourself: umask 077; head -c {KEY_FILE} /dev/urandom >{path}") from None
    try:
        if os.geteuid() == 0:
            os.fchown(handle, uid, -1)
        os.write(handle, os.urandom(KEY_FILE))
        os.fsync(handle)
        _sync_folder(path)
    except OSError as fault:
        os.close(handle)
        os.unlink(path)
        raise Failure(f"{path} can't be written: {fault.strerror}") from None
    return handle, True


def _sync_folder(path: str) -> None:
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def delete(given: Arguments) -> int:
    with connect(start=True) as client:
        row = _row(client, given.slot)
        slot = row["slot"]
        if not given.yes:
            words = f"partition {slot} ({cell(row['label'])}) and all its keys would be gone for ever: add --yes"
            raise Failure(words)
        client.ask("partition-delete", slot=slot, **_by(given, client, row))
    return show(given, {"deleted": slot}, f"partition {slot} is gone; its number is not used again")


def list_deleted(given: Arguments) -> int:
    with connect(start=True) as client:
        rows = client.ask("partition-list-deleted")["partitions"]
    told = [{**row, "purged": in_words(row["scheduledPurgeDate"])} for row in rows]
    return show(given, rows, table(told, ("slot", "label", "serial", "kind", "purge_protection", "purged")))


def recover(given: Arguments) -> int:
    with connect(start=True) as client:
        row = client.ask("partition-recover", only=given.slot)["partition"]
    return show(given, row, f"partition {row['slot']} ({cell(row['label'])}) is back")


def purge(given: Arguments) -> int:
    if not given.yes:
        raise Failure("this destroys the deleted partition and all its keys for ever; say --yes to do it")
    with connect(start=True) as client:
        client.ask("partition-purge", only=given.slot)
    return show(given, {"purged": given.slot}, f"partition {given.slot} is gone for good")
