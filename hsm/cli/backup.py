"""``adyton backup`` and ``adyton restore``, of partitions to a folder and back; ``adyton key backup`` and ``restore``.

The engine opens no file outside its pool: each is opened here, and handed over.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hsm.cli import acting
from hsm.cli.command import Arguments, Failure, cell, new_file, show, table
from hsm.client import Client, connect

UNFINISHED = "unfinished.json"  # in the folder until the backup is whole: which one it is to be
_COLUMNS = ("slot", "serial", "keys", "objects", "deleted", "officers")


# -- which partitions, and by whom


def _by(given: Arguments, client: Client, slots: list[int]) -> dict[str, Any]:
    """Who asks, of partitions that have officers: by its PIN in one; where there are several, by logins here."""
    if not slots:
        return {}
    if len(slots) == 1:
        return {"slot": slots[0], **acting.officer(given, client, slots[0])}
    if given.officer is not None:
        words = "an officer is of one partition, and this is about several: name one by --partition, or leave out --as"
        raise Failure(f"{words} and log in at each first: adyton login --partition SLOT --as NAME")
    return {}


def _wanted(given: Arguments, client: Client) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.ask("partition-list")["partitions"]
    if given.partition is not None:
        return [acting.choose(rows, given.partition)]
    found = [row for row in rows if row["initialised"]]
    if not found:
        raise Failure("no partition is initialised: there is nothing to back up")
    return found


# -- files


def _filled(path: Path, ask: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """A file that the engine has written, under its name once it is whole and on the disk."""
    draft = path.with_name(path.name + ".part")
    draft.unlink(missing_ok=True)
    file = new_file(draft)
    try:
        told = ask(file)
        os.fsync(file)
    except BaseException:
        draft.unlink()
        raise
    finally:
        os.close(file)
    draft.rename(path)
    return told


def _handed(path: Path, ask: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as fault:
        raise Failure(f"{path} can't be read: {fault.strerror}") from None
    try:
        return ask(file)
    finally:
        os.close(file)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _progress(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar, on a terminal, where rich is installed; called with how much is done."""
    try:
        if not sys.stderr.isatty():
            raise ImportError
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda done: None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done: bar.update(task, completed=done)


# -- adyton backup


class _Folder:
    """Where a backup goes, file by file, each there once it is whole."""

    def __init__(self, folder: Path) -> None:
        self.where = str(folder)
        self._folder = folder

    def put(self, name: str, ask: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        return _filled(self._folder / name, ask)

    def end(self) -> None:
        _sync(self._folder)


class _Stream:
    """The same as a tar archive in standard output."""

    where = "the stream"

    def __init__(self) -> None:
        if sys.stdout.isatty():
            raise Failure("a backup is no text: send it somewhere, adyton backup --out - >FILE")
        self._tar = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")

    def put(self, name: str, ask: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        with open(os.memfd_create(name, os.MFD_CLOEXEC), "w+b") as file:
            told = ask(file.fileno())
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = os.fstat(file.fileno()).st_size, 0o600, int(time.time())
            self._tar.addfile(member, file)
        return told

    def end(self) -> None:
        self._tar.close()
        sys.stdout.flush()


def backup(given: Arguments) -> int:
    if given.out is None:
        raise Failure("where to? adyton backup --out FOLDER; what a backup has: adyton backup show FOLDER")
    began, folder = time.monotonic(), Path(given.out)
    out: _Folder | _Stream = _Folder(folder)
    with connect(start=True) as client:
        if given.out == "-":
            out, told = _Stream(), _start(given, client)
        else:
            told = _resumed(folder, client) if given.resume else _begun(given, folder, client)
        have = told["chunks"]
        with _progress("backing up", told["rows"]) as at:
            done = sum(chunk["rows"] for chunk in have)
            while not have or not have[-1]["last"]:
                asked = {"backup": told["backup"], "number": len(have)}
                have.append(out.put(_chunk(len(have)), partial(_into, client, "backup-chunk", asked)))
                done += have[-1]["rows"]
                at(done)
        ended = out.put("manifest.json", partial(_into, client, "backup-finish", {"backup": told["backup"]}))
        out.end()
        client.ask("backup-end", backup=told["backup"])
    size, seconds = sum(chunk["bytes"] for chunk in have), time.monotonic() - began
    words = f"backup {told['backup']} is in {out.where}\n"
    words += f"keys: {ended['keys']}, partitions: {len(ended['partitions'])}, MiB: {size / (1 << 20):.1f}, "
    words += f"chunks: {len(have)}, seconds: {seconds:.1f}"
    words = "\n".join([words, *(f"left out, since it is damaged: {cell(wrong)}" for wrong in ended["damaged"])])
    if given.out == "-":
        print(words, file=sys.stderr)
        return 0
    (folder / UNFINISHED).unlink()
    return show(given, {"folder": str(folder), "backup": told["backup"], "bytes": size, **ended}, words)


def _into(client: Client, act: str, fields: dict[str, Any], file: int) -> dict[str, Any]:
    return client.ask_into(file, act, **fields)


def _start(given: Arguments, client: Client) -> dict[str, Any]:
    slots = [row["slot"] for row in _wanted(given, client)]
    return client.ask("backup-start", **_by(given, client, slots))


def _chunk(number: int) -> str:
    return f"chunk-{number:06}"


def _begun(given: Arguments, folder: Path, client: Client) -> dict[str, Any]:
    if folder.exists() and any(folder.iterdir()):
        then = "go on with it: --resume" if (folder / UNFINISHED).exists() else "give a new one"
        raise Failure(f"{folder} has something in it already: {then}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = _start(given, client)
    (folder / UNFINISHED).write_text(json.dumps({"backup": told["backup"]}))
    _sync(folder)
    return told


def _resumed(folder: Path, client: Client) -> dict[str, Any]:
    """The backup that is unfinished there, with those of its chunks that are there, and as they were made."""
    try:
        known = json.loads((folder / UNFINISHED).read_text())["backup"]
    except (OSError, ValueError, KeyError):
        raise Failure(f"{folder} has no unfinished backup: begin one, without --resume") from None
    told = client.ask("backup-resume", backup=known)
    there = []
    for number, chunk in enumerate(told["chunks"]):
        if _sha256(folder / _chunk(number)) != chunk["sha256"]:
            break
        there.append(chunk)
    return {**told, "chunks": there}


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def show_one(given: Arguments) -> int:
    """What a backup says of itself, and whether its files are those that it says. Needs no engine."""
    manifest, wrong = _looked_at(Path(given.folder))
    told = manifest._asdict() | {"chunks": len(manifest.chunks), "whole": not wrong, "problems": wrong}
    lines = [
        f"{'backup':10} {manifest.backup}", f"{'domain':10} {cell(manifest.domain)}",
        f"{'pool':10} {cell(manifest.pool)}",
        f"{'made':10} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(manifest.time))} UTC, as of change "
        f"{manifest.generation}",
        f"{'size':10} {sum(chunk.bytes for chunk in manifest.chunks)} bytes in {len(manifest.chunks)} chunks", "",
        table(manifest.partitions, _COLUMNS), "",
        *(f"left out, since it was damaged: {cell(row)}" for row in manifest.damaged), *wrong,
        "not whole" if wrong else "whole, by its checksums; that nobody altered it finds the engine that restores it",
    ]
    show(given, told, "\n".join(lines))
    return 1 if wrong else 0


def _looked_at(folder: Path) -> tuple[Any, list[str]]:
    from hsm.backup import form

    try:
        manifest = form.read_manifest((folder / form.MANIFEST).read_bytes())
    except FileNotFoundError:
        then = f": adyton backup --out {folder} --resume" if (folder / UNFINISHED).exists() else ""
        raise Failure(f"{folder} has no {form.MANIFEST}: it is no backup, or an unfinished one{then}") from None
    except form.Unfit as fault:
        raise Failure(f"{folder}: {fault}") from None
    wrong = []
    for number, chunk in enumerate(manifest.chunks):
        path = folder / form.name_of(number)
        if not path.exists():
            wrong.append(f"{path.name} is missing")
        elif _sha256(path) != chunk.sha256:
            wrong.append(f"{path.name} is damaged, or another one")
    return manifest, wrong


# -- adyton restore


def restore(given: Arguments) -> int:
    if given.folder != "-":
        return _restored(given, Path(given.folder))
    with tempfile.TemporaryDirectory(prefix="adyton-") as scratch:
        try:
            with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as tar:
                tar.extractall(scratch, filter="data")
        except (tarfile.TarError, EOFError) as fault:
            raise Failure(f"the stream is no backup, as adyton backup --out - writes it: {fault}") from None
        return _restored(given, Path(scratch))


def _restored(given: Arguments, folder: Path) -> int:
    _must_be_there(folder)
    with connect(start=True) as client:
        told = _handed(folder / "manifest.json", partial(_into, client, "restore-start", {}))
        coming = _coming(given, client, told["partitions"])
        replaced = [row["replaces"] for row in coming if row["replaces"] is not None]
        if replaced and not given.yes:
            which = ", ".join(map(str, replaced))
            made = time.strftime("%Y-%m-%d %H:%M", time.gmtime(told["time"]))
            words = f"all that is in partition {which} would be replaced by what was there at {made} UTC, officers and"
            raise Failure(f"{words} PINs too, and sessions and logins there end. To do that, add --yes")
        by = _by(given, client, replaced)
        only = {} if given.partition is None else {"serial": coming[0]["serial"]}
        accept = {"accept_rollback": True} if given.accept_rollback else {}
        _read(folder, client, told)
        ended = client.ask("restore-finish", backup=told["backup"], **only, **accept, **by)
    rows = ended["partitions"]
    lines = [
        f"partition {row['slot']} ({cell(row['label'])}), serial number {row['serial']}: "
        f"{'replaced' if row['replaced'] else 'new here'}" for row in rows
    ]
    lines.append("Officers log in with the PINs of that time. Unattended unsealing is off: adyton partition unattended")
    return show(given, {"backup": told["backup"], **ended}, "\n".join(lines))


def _must_be_there(folder: Path) -> None:
    """What is missing or damaged is said before anything is read by the engine."""
    _, wrong = _looked_at(folder)
    if wrong:
        words = "\n".join(wrong[:10])
        raise Failure(f"{folder} is not whole, and nothing was changed:\n{words}")


def _coming(given: Arguments, client: Client, partitions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``--partition``: one that is here, or, by its serial number, one that is in the backup."""
    if given.partition is None:
        return partitions
    found = [row for row in partitions if row["serial"] == given.partition]
    if not found:
        serial = acting.choose(client.ask("partition-list")["partitions"], given.partition)["serial"]
        found = [row for row in partitions if row["serial"] == serial]
    if not found:
        there = ", ".join(row["serial"] for row in partitions)
        raise Failure(f"partition {cell(given.partition)} is not in the backup. Those there have serial number {there}")
    return found


def _read(folder: Path, client: Client, told: dict[str, Any]) -> None:
    with _progress("reading the backup", told["chunks"]) as at:
        for number in range(told["have"], told["chunks"]):
            asked = {"backup": told["backup"], "number": number}
            _handed(folder / _chunk(number), partial(_into, client, "restore-chunk", asked))
            at(number + 1)


# -- adyton key backup, adyton key restore


def backup_key(given: Arguments) -> int:
    path = Path(given.out)
    if path.exists():
        raise Failure(f"{path} is there already: give another name, or move it away")
    with connect(start=True) as client:
        slot = acting.partition(given, client)["slot"]
        by = acting.officer(given, client, slot)
        told = _filled(path, lambda file: client.ask_into(file, "key-backup", slot=slot, name=given.name, **by))
    words = f"key {cell(told['name'])}, {len(told['versions'])} versions, is in {path}"
    words += ": pools of this security domain take it"
    return show(given, {"file": str(path), **told}, words)


def restore_key(given: Arguments) -> int:
    if (given.file is None) == (given.folder is None) or (given.folder is None) != (given.name is None):
        raise Failure("where from? Give --file FILE, or --from FOLDER and --name NAME")
    with connect(start=True) as client:
        slot = acting.partition(given, client)["slot"]
        by = acting.officer(given, client, slot)
        if given.file is not None:
            told = _handed(Path(given.file), lambda file: client.ask_into(file, "key-restore", slot=slot, **by))
        else:
            folder = Path(given.folder)
            _must_be_there(folder)
            begun = _handed(folder / "manifest.json", partial(_into, client, "restore-start", {}))
            _read(folder, client, begun)
            told = client.ask("key-restore", slot=slot, backup=begun["backup"], name=given.name, **by)
    words = f"key {cell(told['name'])} is back, with {len(told['versions'])} versions"
    return show(given, told, words)
