"""The form of a backup: chunk files of bounded size, and a manifest that says which belong together.

A chunk is a head, which says in clear of which backup it is, which chunk, and whether it is the last one, and rows
under AES-256-GCM. Its key is derived from the data-wrapping key for just this head, so that a chunk in another place,
of another backup or another domain does not open. The manifest has each chunk's hash, what is counted in all, and a MAC
under a key of the same kind: what was left out, put in or exchanged is found before anything is changed.

Rows are cells: numbers, text, bytes, or nothing. What they mean is said in rows.py.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from hsm.backup.wrapping import Wrapping
from hsm.store import sealing

VERSION = 1
CHUNK = 1 << 20  # bytes of rows in one chunk, or one row that is longer
LONGEST = 72 << 20  # of a chunk file: a row is no longer than what a call may bring
MANIFEST = "manifest.json"
LONGEST_MANIFEST = 4 << 20
_FORMAT = "adyton-backup"
_MAGIC = b"ADYTONBK"
_HEAD = struct.Struct("<8sHB5x16s16sI4x")  # what it is, version, whether it is the last, domain, backup, number
_LENGTH = struct.Struct("<I")
Cell = int | str | bytes | None
Cells = tuple[Cell, ...]


class Unfit(Exception):
    """What was given is no backup, or not the one that it should be: in words."""


def name_of(number: int) -> str:
    """The file of a chunk."""
    return f"chunk-{number:06}"


def _domain(wrapping: Wrapping) -> bytes:
    return hashlib.sha256(wrapping.domain.encode()).digest()[:16]


# -- chunks


def seal_chunk(wrapping: Wrapping, backup: bytes, number: int, last: bool, rows: bytes) -> bytes:
    head = _HEAD.pack(_MAGIC, VERSION, last, _domain(wrapping), backup, number)
    return head + sealing.seal(sealing.derive(wrapping.key, b"backup", head), rows, head)


def open_chunk(wrapping: Wrapping, backup: bytes, number: int, last: bool, chunk: bytes) -> bytes:
    """The rows, where it is just this chunk of just this backup."""
    wanted = _HEAD.pack(_MAGIC, VERSION, last, _domain(wrapping), backup, number)
    if len(chunk) < _HEAD.size or chunk[:8] != _MAGIC:
        raise Unfit(f"{name_of(number)} is no chunk of a backup")
    if chunk[: _HEAD.size] != wanted:
        raise Unfit(_other(wanted, chunk[: _HEAD.size], number))
    try:
        return sealing.unseal(sealing.derive(wrapping.key, b"backup", wanted), chunk[_HEAD.size :], wanted)
    except sealing.Damaged:
        raise Unfit(f"{name_of(number)} is damaged") from None


def _other(wanted: bytes, found: bytes, number: int) -> str:
    """What a chunk is that is not the one it should be."""
    _, version, last, domain, backup, there = _HEAD.unpack(found)
    meant = _HEAD.unpack(wanted)
    if version != meant[1]:
        return f"{name_of(number)} has version {version} of the format, this engine knows {VERSION}"
    if domain != meant[3]:
        return f"{name_of(number)} is of another security domain"
    if backup != meant[4]:
        return f"{name_of(number)} is of another backup, {backup.hex()}"
    if there != meant[5]:
        return f"{name_of(number)} is chunk {there} of this backup, in another one's place"
    return f"{name_of(number)} {'is' if last else 'is not'} the last chunk, by what it says"


# -- rows in a chunk


def pack_row(cells: Cells) -> bytes:
    row = sealing.pack({at: _cell(cell) for at, cell in enumerate(cells)})
    return _LENGTH.pack(len(row)) + row


def _cell(cell: Cell) -> bytes:
    if cell is None:
        return b"n"
    if isinstance(cell, int):
        return b"i" + cell.to_bytes(8, "little", signed=True)
    return b"s" + cell.encode() if isinstance(cell, str) else b"b" + bytes(cell)


def unpack_rows(rows: bytes) -> Iterator[Cells]:
    at = 0
    while at < len(rows):
        try:
            (length,) = _LENGTH.unpack_from(rows, at)
            row = sealing.unpack(rows[at + 4 : at + 4 + length])
            yield tuple(_told(row[number]) for number in range(len(row)))
        except (struct.error, sealing.Damaged, KeyError, UnicodeDecodeError):
            raise Unfit("a chunk holds what this engine does not understand") from None
        at += 4 + length


def _told(raw: bytes) -> Cell:
    kind, value = raw[:1], raw[1:]
    if kind == b"n":
        return None
    if kind == b"i":
        return int.from_bytes(value, "little", signed=True)
    return value.decode() if kind == b"s" else value


# -- the manifest


class Chunk(NamedTuple):
    bytes: int
    sha256: str


class Manifest(NamedTuple):
    """``pool`` and ``generation``: the pool that was backed up, and its change that the backup is as of; ``seen``: the
    time that it had seen (hsm/store/time_seen.py). ``partitions`` and ``keys``: what is counted. ``damaged``: what
    could not be read, and is left out."""

    backup: str
    domain: str
    pool: str
    time: int
    seen: int
    generation: int
    partitions: list[dict[str, Any]]
    keys: int
    rows: int
    damaged: list[str]
    chunks: list[Chunk]

    def write(self, wrapping: Wrapping) -> bytes:
        told: dict[str, Any] = {"format": _FORMAT, "version": VERSION, **self._asdict()}
        told["chunks"] = [
            {"file": name_of(number), **chunk._asdict()} for number, chunk in enumerate(self.chunks)
        ]
        told["checksum"] = checksum(self.chunks)
        told["mac"] = _mac(wrapping, told)
        return json.dumps(told, indent=1).encode() + b"\n"


def checksum(chunks: Iterable[Chunk]) -> str:
    """Of all chunks, in their order."""
    return hashlib.sha256(b"".join(bytes.fromhex(chunk.sha256) for chunk in chunks)).hexdigest()


def _mac(wrapping: Wrapping, told: dict[str, Any]) -> str:
    said = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    key = sealing.derive(wrapping.key, b"backup manifest", str(told.get("backup")).encode())
    return hmac.digest(key, said, "sha256").hex()


def read_manifest(raw: bytes) -> Manifest:
    """What a manifest says, which may be anything: who has the domain's key holds it against ``must_be_whole``."""
    try:
        told = json.loads(raw)
        if told["format"] != _FORMAT:
            raise Unfit(f"{MANIFEST} is not that of a backup")
        if told["version"] != VERSION:
            raise Unfit(f"the backup has version {told['version']} of the format, this adyton knows {VERSION}")
        chunks = [Chunk(int(chunk["bytes"]), str(chunk["sha256"])) for chunk in told["chunks"]]
        fields = {name: told[name] for name in Manifest._fields if name != "chunks"}
        made = Manifest(**fields, chunks=chunks)
        good = len(bytes.fromhex(made.backup)) == 16 and checksum(chunks) == told["checksum"] and _well_formed(made)
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        raise Unfit(f"{MANIFEST} is damaged, or is none") from None
    if not good or not chunks or any(not 0 < chunk.bytes <= LONGEST for chunk in chunks):
        raise Unfit(f"{MANIFEST} is damaged: its checksum is not that of its chunks")
    return made


def _well_formed(manifest: Manifest) -> bool:
    """Whether each field is of its kind, for who shows it before anybody has held it against its MAC."""
    texts = (manifest.domain, manifest.pool, *manifest.damaged)
    numbers = [manifest.time, manifest.seen, manifest.generation, manifest.keys, manifest.rows]
    for told in manifest.partitions:
        numbers += [told["slot"], *(told[name] for name in ("rows", "keys", "objects", "deleted", "officers"))]
        texts += (told["serial"],)
    return all(type(text) is str for text in texts) and all(type(n) is int and 0 <= n < 1 << 60 for n in numbers)


def open_manifest(wrapping: Wrapping, raw: bytes) -> Manifest:
    """The same, of which the domain's key says that it is as it was written."""
    made = read_manifest(raw)
    if made.domain != wrapping.domain:
        words = f"the backup is of security domain {made.domain}, and this pool has {wrapping.domain}"
        raise Unfit(f"{words}. It can be restored into pools of its own domain: adyton security-domain init-recovery")
    told = json.loads(raw)
    mac = told.pop("mac", "")
    if not isinstance(mac, str) or not hmac.compare_digest(mac.encode(), _mac(wrapping, told).encode()):
        raise Unfit(f"{MANIFEST} was altered: it is not as the engine wrote it")
    return made
