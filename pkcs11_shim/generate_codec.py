"""Writes hsm/server/codec.py: straight-line Python that decodes every call and encodes every answer."""

from __future__ import annotations

from pkcs11_shim import directions
from pkcs11_shim.parameters import STRUCTURES

HEADER = '''"""The engine's codecs, one pair a function; written by tools/generate, not by hand.

Decoders raise Malformed on any length that the frame does not hold, and on bytes left over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

NULL = 0xFFFFFFFFFFFFFFFF
MOST_ENTRIES = 256
MOST_ROWS = 4096
DEEPEST = 2
SIZE_OF_CK_ATTRIBUTE = 24
_Q = struct.Struct("<Q")
_NUMBERS = [struct.Struct(f"<{count}Q") for count in range(8)]


class Malformed(Exception):
    """A frame that no library of ours sends."""


class Mech(NamedTuple):
    """CK_MECHANISM: its number and its parameter, None, raw bytes or one of the structures below."""

    number: int
    parameter: Any


class Message(NamedTuple):
    """CK_GCM_MESSAGE_PARAMS. ``tag``: of what is decrypted; of what is encrypted None where there is no room for it."""

    iv: bytes | None
    fixed_bits: int
    generator: int
    tag_bits: int
    tag: bytes | None


def _u64(data: memoryview, at: int) -> tuple[int, int]:
    if at + 8 > len(data):
        raise Malformed("short")
    return _Q.unpack_from(data, at)[0], at + 8


def _bytes(data: memoryview, at: int) -> tuple[bytes | None, int]:
    length, at = _u64(data, at)
    if length == NULL:
        return None, at
    if length > len(data) - at:
        raise Malformed("length beyond the frame")
    return bytes(data[at : at + length]), at + length


def _capacity(data: memoryview, at: int) -> tuple[int | None, int]:
    value, at = _u64(data, at)
    return (None if value == NULL else value), at


def _kind(data: memoryview, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise Malformed("short")
    return data[at], at + 1


def _template(data: memoryview, at: int) -> tuple[list[Any], int]:
    rows, at, _ = _rows(data, at, 0, MOST_ROWS)
    return rows, at


def _rows(data: memoryview, at: int, depth: int, left: int) -> tuple[list[Any], int, int]:
    """``left``: how many rows the template may still have, those of its arrays counted in."""
    count, at = _u64(data, at)
    if count > min(MOST_ENTRIES, left) or depth > DEEPEST:
        raise Malformed("template too large")
    left -= count
    rows: list[Any] = []
    for _ in range(count):
        attribute, at = _u64(data, at)
        kind, at = _kind(data, at)
        value: Any = None
        if kind == 1:
            value, at = _bytes(data, at)
        elif kind == 2:
            value, at, left = _rows(data, at, depth + 1, left)
        elif kind:
            raise Malformed("attribute kind")
        rows.append((attribute, value))
    return rows, at, left


def _query(data: memoryview, at: int) -> tuple[list[Any], int]:
    """Types, and the room for their values: None where only the length is asked for."""
    count, at = _u64(data, at)
    if count > MOST_ENTRIES:
        raise Malformed("query too large")
    rows: list[Any] = []
    for _ in range(count):
        attribute, at = _u64(data, at)
        kind, at = _kind(data, at)
        size, at = _u64(data, at)
        if kind > 1:
            raise Malformed("query kind")
        rows.append((attribute, size if kind else None))
    return rows, at


def _mechanism(data: memoryview, at: int) -> tuple[Mech | None, int]:
    kind, at = _kind(data, at)
    number, at = _u64(data, at)
    if kind == 0:
        return None, at
    if kind == 1:
        return Mech(number, None), at
    if kind == 2:
        raw, at = _bytes(data, at)
        return Mech(number, raw), at
    reader = PARAMETERS.get(number) if kind == 3 else None
    if reader is None:
        raise Malformed("parameter kind")
    parameter, at = reader(data, at)
    return Mech(number, parameter), at


def _message(data: memoryview, at: int, reader: Callable[[memoryview, int], tuple[Any, int]]) -> tuple[Any, int]:
    """None where the parameter has no form that is known."""
    kind, at = _kind(data, at)
    if kind == 0:
        return None, at
    if kind > 1:
        raise Malformed("message kind")
    iv, at = _bytes(data, at)
    fixed, at = _u64(data, at)
    generator, at = _u64(data, at)
    bits, at = _u64(data, at)
    tag, at = reader(data, at)
    return Message(iv, fixed, generator, bits, tag), at


def _message_made(data: memoryview, at: int) -> tuple[Any, int]:
    return _message(data, at, _room_for_tag)


def _message_read(data: memoryview, at: int) -> tuple[Any, int]:
    return _message(data, at, _bytes)


def _room_for_tag(data: memoryview, at: int) -> tuple[bytes | None, int]:
    there, at = _kind(data, at)
    return (b"" if there else None), at


def _many(data: memoryview, at: int, reader: Callable[[memoryview, int], tuple[Any, int]]) -> tuple[list[Any], int]:
    count, at = _u64(data, at)
    if count > MOST_ENTRIES:
        raise Malformed("array too large")
    found: list[Any] = []
    for _ in range(count):
        item, at = reader(data, at)
        found.append(item)
    return found, at


def _sized(length: int, data: bytes | None) -> bytes:
    return _Q.pack(length) + (b"\\x00" if data is None else b"\\x01" + data)


def _made(iv: bytes, tag: bytes) -> bytes:
    """What is written into a message's parameter; nothing of what is empty."""
    return _Q.pack(len(iv)) + iv + _Q.pack(len(tag)) + tag


def _ulongs(count: int, values: list[int] | None) -> bytes:
    return _Q.pack(count) + (b"\\x00" if values is None else b"\\x01" + struct.pack(f"<{count}Q", *values))


def _found(values: list[int]) -> bytes:
    return struct.pack(f"<{len(values) + 1}Q", len(values), *values)


def _blob(value: bytes) -> bytes:
    return _Q.pack(len(value)) + value


def _answers(rows: list[Any]) -> bytes:
    """(length, value) each: None, bytes, or the (type, value) rows of an attribute array."""
    parts = [_Q.pack(len(rows))]
    for length, value in rows:
        if isinstance(value, list):
            parts.append(_Q.pack(length) + b"\\x02" + _array(value))
        else:
            parts.append(_Q.pack(length) + (b"\\x00" if value is None else b"\\x01" + value))
    return b"".join(parts)


def _array(rows: list[Any]) -> bytes:
    parts = []
    for attribute, value in rows:
        if isinstance(value, list):
            parts.append(_Q.pack(attribute) + _Q.pack(SIZE_OF_CK_ATTRIBUTE * len(value)) + b"\\x02" + _array(value))
        else:
            parts.append(_Q.pack(attribute) + _Q.pack(len(value)) + b"\\x01" + value)
    return b"".join(parts)


'''

READERS = {"u64": "_u64", "bytes": "_bytes", "out": "_capacity", "fixedout": "_u64", "ulongs": "_capacity",
           "waits": "_u64", "found": "_u64", "template": "_template", "query": "_query", "mechanism": "_mechanism",
           "message_mechanism": "_mechanism", "message": "_message_made", "message_read": "_message_read"}
WRITERS = {"out": ("_sized({0}, {1})", 2), "fixedout": ("_blob({0})", 1), "ulongs": ("_ulongs({0}, {1})", 2),
           "found": ("_found({0})", 1), "ulong_out": ("_Q.pack({0})", 1), "struct_out": ("_blob({0})", 1),
           "query": ("_answers({0})", 1), "message": ("_made({0}, {1})", 2)}


_TYPES = {"u64": "int", "bytes": "bytes | None", "password": "bytes | None", "inline": "bytes", "rows": "list[Any]"}


def _structure(name: str) -> str:
    fields = [field for field in STRUCTURES[name] if field.kind != "absent"]
    lines = [f"class {name}(NamedTuple):"]
    lines += [f"    {field.name}: {_TYPES.get(field.kind, field.structure)}" for field in fields]
    lines += ["", "", f"def _read_{name}(data: memoryview, at: int) -> tuple[{name}, int]:"]
    for position, field in enumerate(fields):
        if field.kind == "rows":
            lines.append(f"    v{position}, at = _many(data, at, _read_{field.structure})")
            continue
        readers = {"u64": "_u64", "bytes": "_bytes", "password": "_bytes", "inline": "_bytes"}
        reader = readers.get(field.kind, f"_read_{field.structure}")
        lines.append(f"    v{position}, at = {reader}(data, at)")
        if field.kind == "inline":
            lines.append(f"    if v{position} is None:\n        raise Malformed(\"missing\")")
    names = ", ".join(f"v{position}" for position in range(len(fields)))
    return "\n".join([*lines, f"    return {name}({names}), at", "", ""])


def _head(kinds: tuple[str, ...]) -> tuple[list[str], int]:
    """The lines that read a call's first numbers, and its first bytes where those follow them, at one go: the way of
    every short call. How many arguments that covers."""
    numbers = next((i for i, kind in enumerate(kinds) if kind != "u64"), len(kinds))
    counted = kinds[numbers : numbers + 1] == ("bytes",)
    if not numbers:
        return ["    at = 0"], 0
    names = [f"v{i}" for i in range(numbers)] + ["size"] * counted
    room = 8 * len(names)
    lines = [f"    if len(data) < {room}:", '        raise Malformed("short")',
             f"    {', '.join(names)}, = _NUMBERS[{len(names)}].unpack_from(data)", f"    at = {room}"]
    if counted:
        v = f"v{numbers}"
        lines += [f"    {v} = None", "    if size != NULL:", "        if size > len(data) - at:",
                  '            raise Malformed("length beyond the frame")',
                  f"        {v}, at = bytes(data[at : at + size]), at + size"]
    return lines, len(names)


def _decoder(name: str, kinds: tuple[str, ...]) -> str:
    lines = [f"def _decode_{name}(data: memoryview) -> tuple[Any, ...]:"]
    if kinds == directions.LOCAL:
        return "\n".join([lines[0], '    raise Malformed("answered in the library")', "", ""])
    head, covered = _head(kinds)
    lines += head
    names = [f"v{i}" for i in range(covered)]
    for position, kind in enumerate(kinds):
        if position < covered:
            continue
        if kind == "label":
            lines += ["    if at + 32 > len(data):", '        raise Malformed("short")',
                      f"    v{position}, at = bytes(data[at : at + 32]), at + 32"]
        elif kind in READERS:
            lines.append(f"    v{position}, at = {READERS[kind]}(data, at)")
        else:
            continue
        names.append(f"v{position}")
    lines += ["    if at != len(data):", '        raise Malformed("bytes left over")']
    return "\n".join([*lines, f"    return ({', '.join(names)},)", "", ""])


def _encoder(name: str, kinds: tuple[str, ...]) -> str:
    parts: list[str] = []
    names: list[str] = []
    for kind in kinds:
        if kind in WRITERS:
            form, count = WRITERS[kind]
            fresh = [f"v{len(names) + i}" for i in range(count)]
            names += fresh
            parts.append(form.format(*fresh))
    arguments = ", ".join(f"{n}: Any" for n in names)
    return f"def _encode_{name}({arguments}) -> bytes:\n    return {' + '.join(parts) or 'b' + chr(34) * 2}\n\n"


def text(names: list[str], numbers: dict[int, str]) -> str:
    """The whole module, for functions in table order and mechanism number -> structure name."""
    out = [HEADER, *[_structure(name) + "\n" for name in STRUCTURES]]
    rows = "".join(f"    {number:#x}: _read_{name},\n" for number, name in sorted(numbers.items()))
    out.append(f"PARAMETERS: dict[int, Callable[[memoryview, int], tuple[Any, int]]] = {{\n{rows}}}\n\n\n")
    for name in names:
        kinds = directions.row(name)
        out += [_decoder(name, kinds) + "\n", _encoder(name, kinds) + "\n"]
    for table, prefix in (("DECODE", "_decode_"), ("ENCODE", "_encode_")):
        members = "".join(f"    {prefix}{name},\n" for name in names)
        out.append(f"{table}: list[Callable[..., Any]] = [\n{members}]\n")
    begins = ", ".join(str(names.index(name)) for name in directions.BEGUN_BY.values())
    out.append(f"# What a library may answer by itself and send ahead of a later call.\nBEGINS = ({begins})\n")
    out.append("NAMES = [\n" + "".join(f'    "{name}",\n' for name in names) + "]\n")
    return "".join(out).replace("\n\n\n\n", "\n\n\n")
