"""The library and our C programs built with AddressSanitizer and UBSan, and the declarations as C for them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from pkcs11_shim import build, directions, generate
from pkcs11_shim.parameters import MECHANISMS, RAW, STRUCTURES, Field

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests/c"
# Any report ends the program with a code of its own; a leak counts.
ENVIRONMENT = {
    "ASAN_OPTIONS": "exitcode=99:detect_leaks=1:allocator_may_return_null=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "LSAN_OPTIONS": "exitcode=99",
}
_LETTERS = {
    "CK_SESSION_HANDLE": "s", "CK_SLOT_ID": "t", "CK_OBJECT_HANDLE": "h", "CK_MECHANISM *": "m", "CK_ULONG": "l",
    "CK_BYTE *": "b", "CK_UTF8CHAR *": "b", "CK_ATTRIBUTE *": "a", "CK_ULONG *": "L", "CK_SLOT_ID *": "L",
    "CK_MECHANISM_TYPE *": "L", "CK_OBJECT_HANDLE *": "L", "CK_SESSION_HANDLE *": "L", "CK_FLAGS *": "L",
    "CK_INFO *": "i", "CK_SLOT_INFO *": "i", "CK_TOKEN_INFO *": "i", "CK_MECHANISM_INFO *": "i",
    "CK_SESSION_INFO *": "i", "CK_ASYNC_DATA *": "i",
}


def _fill(field: Field) -> str:
    at = f"p->{field.name}"
    forms = {
        "u64": f"{at} = (__typeof__({at}))number(a);",
        "bytes": f"{at} = some_bytes(a, &p->{field.length});",
        "password": f"{at} = some_bytes(a, &p->{field.length});",
        "inline": f"memset({at}, 7, sizeof {at});",
        "absent": f"p->{field.length} = number(a);",
        "embedded": f"fill_{field.structure}(a, &{at});",
        "nested": f"if (one_in(a, 4)) {at} = NULL; else {{ {at} = &a->oaep; fill_{field.structure}(a, {at}); }}",
        "rows": f"for (int i = 0; i < 4; i++) fill_{field.structure}(a, &a->prf[i]);"
                f" {at} = one_in(a, 4) ? NULL : a->prf; p->{field.length} = one_in(a, 3) ? absurd(a) : below(a, 5);",
    }
    return forms[field.kind]


def declarations() -> str:
    """functions.inc for tests/c/abuse.c."""
    header = (ROOT / "c_src/pkcs11.h").read_text()
    ffi, values = generate.declarations()
    rows = []
    for name in generate.functions(ffi):
        declared = re.search(rf"^CK_RV {name}\((.*)\);$", header, re.M)
        assert declared is not None, name
        kinds = "".join(_LETTERS.get(kind, "x") for kind in declared[1].split(", "))
        kinds = kinds.replace("a", "q") if name == "C_GetAttributeValue" else kinds
        if any(kind in ("message", "message_read") for kind in directions.row(name)):
            kinds = kinds.replace("x", "p", 1)
        rows.append(f'    {{"{name}", "{kinds}", {str(name in directions.ROWS).lower()}}},\n')
    out = ["static const struct function functions[FUNCTIONS] = {\n", *rows, "};\n"]
    for name, fields in STRUCTURES.items():
        body = " ".join(map(_fill, fields))
        out.append(f"static void fill_{name}(struct arena *a, {name} *p) {{ {body} }}\n")
        if name in MECHANISMS.values():
            out.append(f"static void parameter_{name}(struct arena *a) {{ fill_{name}(a, (void *)a->parameter); }}\n")
    out.append("static void parameter_raw(struct arena *a) { a->parameter[0] = random_u64(a); }\n")
    out.append("struct parameter { word mechanism, size; void (*fill)(struct arena *); };\n")
    out.append("static const struct parameter parameters[] = {\n")
    for mechanism, form in MECHANISMS.items():
        out.append(f"    {{{mechanism}, {16 if form == RAW else f'sizeof({form})'}, parameter_{form or 'raw'}}},\n")
    out.append("};\n")
    for array, prefix in (("mechanisms", "CKM_"), ("attributes", "CKA_"), ("codes", "CKR_")):
        out.append(f"static const word {array}[] = {{{', '.join(n for n in values if n.startswith(prefix))}}};\n")
    return "".join(out)


def program(source: str, folder: Path, *, sanitize: bool = True, **included: str) -> Path:
    """A C program of ours, compiled as the library is; ``included``: the text of NAME.inc."""
    for name, text in included.items():
        (folder / f"{name}.inc").write_text(text)
    output = folder / source.removesuffix(".c")
    command = ["cc", "-std=gnu11", "-g1", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror",
               *(build.SANITIZE if sanitize else []),
               f"-I{ROOT / 'c_src'}", f"-I{folder}", str(SOURCES / source), "-o", str(output), "-ldl"]
    subprocess.run(command, check=True)
    return output
