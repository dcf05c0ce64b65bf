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
from pkcs11_shim.parameters import MECHANISMS, ONCE_RAW, RAW, STRUCTURES, Field

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


# What an argument is called, by its declared type, where the row does not name it.
_WORDS = {
    "CK_SESSION_HANDLE": "session", "CK_SLOT_ID": "slot", "CK_OBJECT_HANDLE": "object", "CK_FLAGS": "flags",
    "CK_USER_TYPE": "user", "CK_MECHANISM_TYPE": "type", "CK_MECHANISM *": "mechanism", "CK_ATTRIBUTE *": "rows",
    "CK_NOTIFY": "notify", "void *": "pointer", "CK_OBJECT_HANDLE *": "objects", "CK_SESSION_HANDLE *": "opened",
    "CK_SLOT_ID *": "slots", "CK_MECHANISM_TYPE *": "types", "CK_UTF8CHAR *": "text", "CK_BYTE *": "bytes",
    "CK_ULONG": "length", "CK_ULONG *": "size", "CK_BBOOL": "flag",
}
_ROLES = {
    "out": ("out", "room"), "fixedout": ("out", "length"), "ulongs": ("", "room"), "found": ("", "most", "count"),
    "template": ("rows", "count"), "query": ("rows", "count"), "struct_out": ("info",), "label": ("label",),
}
_TELLING = {"out": ("CKR_BUFFER_TOO_SMALL",), "ulongs": ("CKR_BUFFER_TOO_SMALL",),
            "query": ("CKR_BUFFER_TOO_SMALL", "CKR_ATTRIBUTE_SENSITIVE", "CKR_ATTRIBUTE_TYPE_INVALID")}


def _arguments(name: str, kinds: tuple[str, ...]) -> list[tuple[str, str]]:
    """Type and name of each argument of a C function, the type as pkcs11.h writes it."""
    header = (ROOT / "c_src/pkcs11.h").read_text()
    declared = re.search(rf"^CK_RV {name}\((.*)\);$", header, re.M)
    if declared is None:
        raise Disagreement(f"{name} is not declared on one line")
    types = declared[1].split(", ")
    roles = [role for kind in kinds for role in _ROLES.get(kind, ("",) * len(directions.KINDS[kind]))]
    words = [role or _WORDS.get(ctype, "value") for ctype, role in
             zip(types, roles + [""] * (len(types) - len(roles)), strict=True)]
    seen: dict[str, int] = {}
    unique = []
    for word in words:
        seen[word] = seen.get(word, 0) + 1
        unique.append(word if seen[word] == 1 else f"{word}{seen[word]}")
    return list(zip(types, unique, strict=True))


def _steps(name: str, kind: str, a: list[str]) -> tuple[str, str, str]:
    """What one argument needs: a condition to refuse, how it is put, how its answer is got; each may be empty."""
    too_long = directions.TOO_LONG.get(name, "CKR_ARGUMENTS_BAD")
    forms = {
        "u64": ("", "put_u64(&call, {0})", ""),
        "bytes": ("", f"put_bytes(&call, {{0}}, {{1}}, {too_long})", ""),
        "label": ("{0} == NULL", "put_raw(&call, {0}, 32)", ""),
        "out": ("{1} == NULL", "put_room(&call, {0}, {1})", "get_out(&answer, {0}, {1})"),
        "ulongs": ("{1} == NULL", "put_room(&call, {0}, {1})", "get_ulongs(&answer, {0}, {1})"),
        "fixedout": ("({0} == NULL && {1} != 0)", "put_u64(&call, {1})", "get_exact(&answer, {0}, {1})"),
        "found": ("{2} == NULL || ({0} == NULL && {1} != 0)", "put_u64(&call, {1})",
                  "get_found(&answer, {0}, {1}, {2})"),
        "ulong_out": ("{0} == NULL", "", "get_u64(&answer, {0})"),
        "struct_out": ("{0} == NULL", "", "get_exact(&answer, {0}, sizeof *{0})"),
        "template": ("", "put_template(&call, {0}, {1})", ""),
        "query": ("", "put_query(&call, {0}, {1})", "get_query(&answer, {0}, {1})"),
        "mechanism": ("", "put_mechanism(&call, {0})", ""),
        "message_mechanism": ("", "put_message_mechanism(&call, {0})", ""),
        "message": ("", "put_message(&call, {0}, {1}, false)", "get_message(&answer, {0}, {1})"),
        "message_read": ("", "put_message(&call, {0}, {1}, true)", ""),
        "reserved": ("{0} != NULL", "", ""),
        "waits": ("({0} & ~CKF_DONT_BLOCK) != 0", "put_u64(&call, adyton_events_since({0}))", ""),
        "ignored": ("", "", ""),
        "rest": ("", "", ""),
    }
    check, put, get = (form.format(*a) for form in forms[kind])
    return check, put and f"adyton_{put};", get and f"adyton_{get}"


def _broken(kinds: tuple[str, ...], gets: list[str]) -> list[str]:
    """The condition under which an answer is none of this function's."""
    if kinds[-1] == "rest":  # an engine that took less than the arguments can't have done it
        return ["if (answer.rv == CKR_OK)"]
    if not gets:
        return ["if (answer.rv == CKR_OK && answer.left != 0)"]
    telling = ["CKR_OK", *dict.fromkeys(code for kind in kinds for code in _TELLING.get(kind, ()))]
    told = " || ".join(f"answer.rv == {code}" for code in telling)
    return [f"if (({told}) &&", f"    !({' && '.join([*gets, 'answer.left == 0'])}))"]


def _stub(name: str, position: int) -> str:
    """One C function: check pointers, put, exchange, get."""
    kinds = directions.row(name)
    arguments = _arguments(name, kinds)
    names = [n for _, n in arguments]
    steps = []
    unused = list(names)
    at = 0
    for kind in kinds:
        mine = names[at : at + len(directions.KINDS[kind])]
        at += len(mine)
        steps.append(_steps(name, kind, mine))
        if kind != "ignored":
            unused = [n for n in unused if n not in mine]
    checks = [check for check, _, _ in steps if check]
    puts = [put for _, put, _ in steps if put]
    gets = [get for _, _, get in steps if get]
    lines = [f"(void){n};" for n in unused]
    lines += ["struct adyton_call call;", "struct adyton_answer answer = {NULL, 0, CKR_OK};",
              f"if (!adyton_begin(&call, {position}))", "    return CKR_CRYPTOKI_NOT_INITIALIZED;"]
    if checks:
        lines += [f"if ({' || '.join(checks)}) {{", "    adyton_refuse(&call, CKR_ARGUMENTS_BAD);"]
        lines += ["} else {", *(f"    {put}" for put in puts), "}"] if puts else ["}"]
    else:
        lines += puts
    lines += ["answer.rv = adyton_exchange(&call, &answer.at, &answer.left);", *_broken(kinds, gets),
              "    answer.rv = CKR_DEVICE_ERROR;"]
    if name in directions.ENDS:
        flags = " | ".join(directions.ENDS[name])
        lines += ["if (call.failed != CKR_OK)", f"    (void)C_SessionCancel({names[0]}, {flags});"]
    lines += ["adyton_end(&call);", "return answer.rv;"]
    signature = ", ".join(f"{t}{n}" if t.endswith("*") else f"{t} {n}" for t, n in arguments)
    body = "".join(f"    {line}\n" for line in lines)
    return f"CK_RV {name}({signature})\n{{\n{body}}}\n\n"


def entry(found: dict[str, Any]) -> str:
    head = BANNER + '#include "flatten.h"\n\n'
    stubs = [_stub(name, i) for i, name in enumerate(found) if directions.row(name) != directions.LOCAL]
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


def _put_field(field: Field) -> str:
    """C that puts one field of the structure at ``p``."""
    at, count = f"p->{field.name}", f"p->{field.length}"
    if field.kind == "u64":
        return f"    adyton_put_u64(call, {at});\n"
    if field.kind == "bytes":
        return f"    adyton_put_bytes(call, {at}, {count}, CKR_MECHANISM_PARAM_INVALID);\n"
    if field.kind == "password":
        return f"    adyton_put_password(call, {at}, {count});\n"
    if field.kind == "inline":
        return f"    adyton_put_bytes(call, {at}, sizeof {at}, CKR_MECHANISM_PARAM_INVALID);\n"
    if field.kind == "embedded":
        return f"    put_{field.structure}(call, &{at});\n"
    refuse = "adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);"
    if field.kind == "absent":
        return f"    if ({count} != 0)\n        {refuse}\n"
    if field.kind == "nested":
        return f"    if ({at} == NULL)\n        {refuse}\n    else\n        put_{field.structure}(call, {at});\n"
    loop = f"for (CK_ULONG i = 0; i < {count} && call->failed == CKR_OK; i++)"
    return (f"    if (adyton_put_count(call, {at}, {count}))\n        {loop}\n"
            f"            put_{field.structure}(call, &{at}[i]);\n")


def _put_structure(ffi: Any, name: str) -> str:
    """C that puts one structure, with the size and the offsets that both sides rely on asserted."""
    fields = STRUCTURES[name]
    layout = dict(ffi.typeof(name).fields)
    covered = {field.name for field in fields} | {field.length for field in fields if field.length}
    if covered != set(layout):
        raise Disagreement(f"{name}: the table covers {sorted(covered)}, the structure has {sorted(layout)}")
    out = [f'_Static_assert(sizeof({name}) == {ffi.sizeof(name)}, "{name}");\n']
    for field, place in layout.items():
        out.append(f'_Static_assert(offsetof({name}, {field}) == {place.offset}, "{name}.{field}");\n')
    body = "".join(map(_put_field, fields))
    return "".join(out) + f"\nstatic void put_{name}(struct adyton_call *call, const {name} *p)\n{{\n{body}}}\n\n"


def parameters(ffi: Any, values: dict[str, int]) -> str:
    """C that puts the parameter of every mechanism of the table, and only those."""
    out = [BANNER + '#include <stddef.h>\n\n#include "flatten.h"\n\nenum { STRUCTURE = 3 };\n\n']
    out += [_put_structure(ffi, name) for name in STRUCTURES]
    out.append("void adyton_put_parameter(struct adyton_call *call, const CK_MECHANISM *mechanism)\n{\n")
    out.append("    const void *parameter = mechanism->pParameter;\n    switch (mechanism->mechanism) {\n")
    for form in dict.fromkeys(MECHANISMS.values()):
        of_form = [mechanism for mechanism, its in MECHANISMS.items() if its == form]
        for mechanism in sorted(of_form, key=lambda mechanism: mechanism not in ONCE_RAW):
            out.append(f"    case {mechanism}:\n")
            if size := ONCE_RAW.get(mechanism):
                out.append(
                    f"        if (mechanism->ulParameterLen == {size}) {{\n"
                    f"            adyton_put_raw_parameter(call, mechanism, {size});\n            return;\n        }}\n"
                    "        __attribute__((fallthrough));\n"
                )
        if form == RAW:
            out.append("        adyton_put_raw_parameter(call, mechanism, mechanism->ulParameterLen);\n")
            out.append("        return;\n")
            continue
        out.append(
            f"        if (mechanism->ulParameterLen != sizeof({form})) {{\n"
            "            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);\n            return;\n        }\n"
            "        adyton_put_u8(call, STRUCTURE);\n        adyton_put_u64(call, mechanism->mechanism);\n"
            f"        put_{form}(call, parameter);\n        return;\n"
        )
    out.append("    default:\n        adyton_put_raw_parameter(call, mechanism, 0);\n    }\n}\n")
    if unknown := set(MECHANISMS) - set(values):
        raise Disagreement(f"no such mechanisms: {sorted(unknown)}")
    return "".join(out)


def constants(values: dict[str, int]) -> str:
    head = '"""Every constant of PKCS#11 3.2 under its own name; written by tools/generate from c_src/pkcs11.h."""\n\n'
    return head + "".join(f"{name} = {value:#x}\n" for name, value in values.items())


def everything() -> dict[str, str]:
    """Path below the root -> text, for every generated file."""
    ffi, values = declarations()
    found = functions(ffi)
    numbers = {values[mechanism]: form for mechanism, form in MECHANISMS.items() if form != RAW}
    return {
        "c_src/generated/entry.c": entry(found),
        "c_src/generated/tables.c": tables(ffi),
        "c_src/generated/params.c": parameters(ffi, values),
        "pkcs11_shim/constants.py": constants(values),
        "hsm/server/codec.py": generate_codec.text(list(found), numbers),
    }


def main() -> None:
    for path, text in everything().items():
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
