"""Generates what the ABI fixes: C stubs, parameter flattening, function lists, constants and the engine's codecs.

cffi parses c_src/pkcs11.h; the tables beside this file say what types can't. Where the two disagree, nothing is
written. Run by tools/generate; a test holds the written files against a fresh run.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import cffi

from pkcs11_shim import directions, generate_codec
from pkcs11_shim.parameters import MECHANISMS, STRUCTURES

ROOT = Path(__file__).resolve().parent.parent
BANNER = "/* Written by tools/generate from pkcs11.h and the tables of pkcs11_shim; not by hand. */\n"
_DEFINE = re.compile(r"^#define (CK\w+) (0x[0-9A-Fa-f]+)UL$", re.M)


class Disagreement(Exception):
    """The table of directions and the declared types differ."""


def declarations() -> tuple[Any, dict[str, int]]:
    """The parsed header, and every constant with its value."""
    text = (ROOT / "c_src/pkcs11.h").read_text()
    ffi = cffi.FFI()
    ffi.cdef("\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return ffi, {name: int(value, 16) for name, value in _DEFINE.findall(text)}


def _fits(ctype: Any, wanted: str) -> bool:
    if wanted == "any":
        return True
    if wanted == "integer":
        return bool(ctype.kind == "primitive")
    if ctype.kind != "pointer":
        return False
    item = ctype.item
    if wanted == "byte *":
        return bool(item.kind == "primitive" and item.cname == "unsigned char")
    if wanted == "integer *":
        return bool(item.kind == "primitive" and item.cname == "unsigned long")
    if wanted == "structure *":
        return bool(item.kind == "struct")
    return bool(item.cname == wanted[:-2] or f"struct {wanted[:-2]}" == item.cname)


def functions(ffi: Any) -> dict[str, Any]:
    """Name -> function type, in table order, each checked against its row."""
    fields = ffi.typeof("CK_FUNCTION_LIST_3_2").fields[1:]
    found = {name: field.type for name, field in fields}
    for name, pointer in found.items():
        kinds = directions.row(name)
        if kinds == directions.LOCAL:
            continue
        wanted = [kind for row in kinds for kind in directions.KINDS[row]]
        given = list(pointer.args)
        if kinds[-1] == "rest":
            given = given[: len(wanted)]
        if len(given) != len(wanted) or not all(map(_fits, given, wanted)):
            raise Disagreement(f"{name}: the row {kinds} does not fit {pointer.cname}")
    if set(directions.ROWS) - set(found):
        raise Disagreement("rows without a function")
    return found


def _argument(ctype: Any, name: str) -> str:
    callback = ctype.kind == "function" or (ctype.kind == "pointer" and ctype.item.kind == "function")
    return f"{'CK_NOTIFY' if callback else ctype.cname} {name}"


def _stub(name: str, position: int, pointer: Any) -> str:
    """One C function: check pointers, put, exchange, get."""
    kinds = directions.row(name)
    args = [f"a{i}" for i in range(len(pointer.args))]
    signature = ", ".join(_argument(t, n) for t, n in zip(pointer.args, args, strict=True))
    checks: list[str] = []
    puts: list[str] = []
    gets: list[str] = []
    late: set[str] = set(args)
    at = 0
    for kind in kinds:
        width = len(directions.KINDS[kind])
        a = args[at : at + width]
        at += width
        late -= set(a)
        if kind in ("ignored",):
            late |= set(a)
        elif kind == "reserved":
            checks.append(f"{a[0]} != NULL")
        elif kind == "u64":
            puts.append(f"adyton_put_u64(&call, {a[0]});")
        elif kind == "bytes":
            puts.append(f"adyton_put_bytes(&call, {a[0]}, {a[1]});")
        elif kind == "label":
            checks.append(f"{a[0]} == NULL")
            puts.append(f"adyton_put_raw(&call, {a[0]}, 32);")
        elif kind in ("out", "ulongs"):
            checks.append(f"{a[1]} == NULL")
            puts.append(f"adyton_put_u64(&call, {a[0]} == NULL ? ADYTON_NULL : *{a[1]});")
            gets.append(f"adyton_get_{kind}(&answer, {a[0]}, {a[1]})")
        elif kind == "fixedout":
            checks.append(f"({a[0]} == NULL && {a[1]} != 0)")
            puts.append(f"adyton_put_u64(&call, {a[1]});")
            gets.append(f"adyton_get_exact(&answer, {a[0]}, {a[1]})")
        elif kind == "found":
            checks.append(f"{a[2]} == NULL || ({a[0]} == NULL && {a[1]} != 0)")
            puts.append(f"adyton_put_u64(&call, {a[1]});")
            gets.append(f"adyton_get_found(&answer, {a[0]}, {a[1]}, {a[2]})")
        elif kind == "ulong_out":
            checks.append(f"{a[0]} == NULL")
            gets.append(f"adyton_get_u64(&answer, (uint64_t *){a[0]})")
        elif kind == "struct_out":
            checks.append(f"{a[0]} == NULL")
            gets.append(f"adyton_get_exact(&answer, {a[0]}, sizeof *{a[0]})")
        elif kind in ("template", "query"):
            puts.append(f"adyton_put_{kind}(&call, {a[0]}, {a[1]}, 0);")
            if kind == "query":
                gets.append(f"adyton_get_query(&answer, {a[0]}, {a[1]}, 0)")
        elif kind == "mechanism":
            puts.append(f"adyton_put_mechanism(&call, {a[0]});")
    unused = "".join(f"    (void){n};\n" for n in args if n in late)
    guard = "".join(f"    if ({check})\n        return CKR_ARGUMENTS_BAD;\n" for check in checks)
    reads = ""
    if gets:
        told = "rv == CKR_OK"
        if "out" in kinds or "ulongs" in kinds:
            told += " || rv == CKR_BUFFER_TOO_SMALL"
        if "query" in kinds:
            told += (" || rv == CKR_BUFFER_TOO_SMALL || rv == CKR_ATTRIBUTE_SENSITIVE ||"
                     " rv == CKR_ATTRIBUTE_TYPE_INVALID")
        condition = " &&\n          ".join(gets)
        reads = (f"    if (({told}) && answer.at != NULL && !({condition}))\n        rv = CKR_DEVICE_ERROR;\n")
    return (
        f"CK_RV {name}({signature})\n{{\n{unused}"
        "    struct adyton_call call;\n    struct adyton_answer answer = {NULL, 0};\n"
        f"    CK_RV rv = adyton_begin(&call, {position});\n    if (rv != CKR_OK)\n        return rv;\n"
        + guard.replace("        return CKR_ARGUMENTS_BAD;", "        call.failed = (int)CKR_ARGUMENTS_BAD;")
        + ("    if (!call.failed) {\n" if checks else "")
        + "".join(f"    {'    ' if checks else ''}{put}\n" for put in puts) + ("    }\n" if checks else "")
        + "    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);\n"
        + _over(name) + reads + "    adyton_end(&call);\n    return rv;\n}\n\n"
    )


def _over(name: str) -> str:
    """What the library refuses by itself ends the operation as well as what the engine refuses (section 5.8.2)."""
    kinds = directions.WITHIN.get(name, ())
    kind = name.removeprefix("C_") if name in directions.BEGUN_BY else kinds[0] if len(kinds) == 1 else ""
    return f"    if (call.failed)\n        adyton_operation_over(a0, CKF_{kind.upper()});\n" if kind else ""


def entry(found: dict[str, Any]) -> str:
    head = BANNER + '#include "flatten.h"\n\n'
    stubs = [_stub(n, i, t) for i, (n, t) in enumerate(found.items()) if directions.row(n) != directions.LOCAL]
    return head + "".join(stubs)


def tables(ffi: Any) -> str:
    rows = []
    for kind, variable, major, minor in (
        ("CK_FUNCTION_LIST", "adyton_functions_2_40", 2, 40),
        ("CK_FUNCTION_LIST_3_0", "adyton_functions_3_0", 3, 0),
        ("CK_FUNCTION_LIST_3_2", "adyton_functions_3_2", 3, 2),
    ):
        members = "".join(f"    .{n} = {n},\n" for n, _ in ffi.typeof(kind).fields[1:])
        first = f"extern {kind} {variable};\n{kind} {variable} = {{\n    .version = {{{major}, {minor}}},\n"
        rows.append(f"{first}{members}}};\n")
    digest = ", ".join(f"{byte:#04x}" for byte in hashlib.sha256((ROOT / "c_src/pkcs11.h").read_bytes()).digest())
    rows.append(f"const unsigned char adyton_declarations_hash[32] = {{{digest}}};\n")
    rows.append(_operations([name for name, _ in ffi.typeof("CK_FUNCTION_LIST_3_2").fields[1:]]))
    includes = '#include "grant.h"\n#include "link.h"\n\n'
    return f"{BANNER}#pragma GCC visibility push(hidden)\n{includes}" + "\n".join(rows)


def _operations(names: list[str]) -> str:
    lines = []
    for name in names:
        bits, part = directions.operations(name)
        of_session = int(directions.row(name) != directions.LOCAL and name not in directions.NOT_OF_A_SESSION)
        begun_by = names.index(directions.BEGUN_BY[name]) if part == "WHOLE" else 0
        lines.append(f"    {{{bits}, ADYTON_{part}, {of_session}, {begun_by}}}, /* {name} */\n")
    return f"const struct adyton_function adyton_functions[ADYTON_FUNCTIONS] = {{\n{''.join(lines)}}};\n"


def parameters(ffi: Any) -> str:
    """C that puts each structure of the table, with the sizes and offsets that both sides rely on asserted."""
    out = [BANNER + '#include <stddef.h>\n\n#include "flatten.h"\n\n']
    for name, fields in sorted(STRUCTURES.items(), key=lambda row: any(f[0] == "nested" for f in row[1])):
        layout = dict(ffi.typeof(name).fields)
        covered = {field for _, field, _ in fields} | {other for kind, _, other in fields if kind == "bytes"}
        if covered != set(layout):
            raise Disagreement(f"{name}: the table covers {sorted(covered)}, the structure has {sorted(layout)}")
        out.append(f'_Static_assert(sizeof({name}) == {ffi.sizeof(name)}, "{name}");\n')
        for field, place in layout.items():
            out.append(f'_Static_assert(offsetof({name}, {field}) == {place.offset}, "{name}.{field}");\n')
        puts = []
        for kind, field, other in fields:
            if kind == "u64":
                puts.append(f"    adyton_put_u64(call, p->{field});\n")
            elif kind == "bytes":
                puts.append(f"    adyton_put_bytes(call, p->{field}, p->{other});\n")
            elif kind == "inline":
                puts.append(f"    adyton_put_bytes(call, p->{field}, sizeof p->{field});\n")
            else:
                puts.append(
                    f"    if (p->{field} == NULL) {{\n        if (!call->failed)\n"
                    f"            call->failed = (int)CKR_MECHANISM_PARAM_INVALID;\n        return;\n    }}\n"
                    f"    put_{other}(call, p->{field});\n"
                )
        out.append(f"\nstatic void put_{name}(struct adyton_call *call, const {name} *p)\n{{\n{''.join(puts)}}}\n\n")
    out.append("bool adyton_put_parameter(struct adyton_call *call, const CK_MECHANISM *mechanism)\n{\n")
    out.append("    switch (mechanism->mechanism) {\n")
    for structure in STRUCTURES:
        cases = "".join(f"    case {m}:\n" for m, s in MECHANISMS.items() if s == structure)
        out.append(
            f"{cases}        if (mechanism->ulParameterLen != sizeof({structure}))\n            return false;\n"
            "        adyton_put_u8(call, 3);\n        adyton_put_u64(call, mechanism->mechanism);\n"
            f"        put_{structure}(call, mechanism->pParameter);\n        return true;\n"
        )
    out.append("    default:\n        return false;\n    }\n}\n")
    return "".join(out)


def constants(values: dict[str, int]) -> str:
    head = '"""Every constant of PKCS#11 3.2 under its own name; written by tools/generate from c_src/pkcs11.h."""\n\n'
    return head + "".join(f"{name} = {value:#x}\n" for name, value in values.items())


def everything() -> dict[str, str]:
    """Path below the root -> text, for every generated file."""
    ffi, values = declarations()
    found = functions(ffi)
    numbers = {values[mechanism]: structure for mechanism, structure in MECHANISMS.items()}
    return {
        "c_src/generated/entry.c": entry(found),
        "c_src/generated/tables.c": tables(ffi),
        "c_src/generated/params.c": parameters(ffi),
        "pkcs11_shim/constants.py": constants(values),
        "hsm/server/codec.py": generate_codec.text(list(found), numbers),
    }


def main() -> None:
    for path, text in everything().items():
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
