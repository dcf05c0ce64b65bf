"""What the engine is given of a caller's arguments: every parameter and every template, from C over the wire to Python,
through an engine that records; and what the library refuses by itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from abi import NULL, Module, ffi, initialised, name
from fake_engine import recorder
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm.client import MODULE
from hsm.server import codec
from pkcs11_shim import constants as ck
from pkcs11_shim.parameters import MECHANISMS, RAW, STRUCTURES

Recording = tuple[Module, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    home = tmp_path_factory.mktemp("pool")
    home.chmod(0o700)
    engine, calls = recorder(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADYTON_HOME", str(home))
        with initialised(str(MODULE)) as module:
            yield module, calls
    engine.close()


SAMPLES = random.Random(1)


def _number(ctype: Any) -> int:
    return SAMPLES.getrandbits(8 * ffi.sizeof(ctype))


def _made(module: Module, kind: str) -> tuple[Any, Any]:
    """A structure with something in every field, and what the engine has to be given of it."""
    made = module.keep(ffi.new(f"{kind}*"))
    types = {field: place.type for field, place in ffi.typeof(kind).fields}
    expected = []
    for field in STRUCTURES[kind]:
        value: Any = SAMPLES.randbytes(SAMPLES.randrange(1, 40))
        if field.kind == "u64":
            value = _number(types[field.name])
            setattr(made, field.name, value)
        elif field.kind in ("bytes", "password"):
            setattr(made, field.name, module.bytes(value))
            setattr(made, field.length, len(value))
        elif field.kind == "inline":
            value = SAMPLES.randbytes(ffi.sizeof(types[field.name]))
            setattr(made, field.name, list(value))
        elif field.kind == "nested":
            inner, value = _made(module, field.structure)
            setattr(made, field.name, inner)
        elif field.kind == "embedded":
            inner, value = _made(module, field.structure)
            setattr(made, field.name, inner[0])
        elif field.kind == "rows":
            rows = [_made(module, field.structure) for _ in range(3)]
            array = module.keep(ffi.new(f"{field.structure}[]", [row[0] for row, _ in rows]))
            setattr(made, field.name, array)
            setattr(made, field.length, len(rows))
            value = [told for _, told in rows]
        else:
            continue
        expected.append(value)
    return made, getattr(codec, kind)(*expected)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_parameter_arrives_as_it_was_given(recording: Recording, mechanism: str) -> None:
    module, calls = recording
    number = getattr(ck, mechanism)
    if MECHANISMS[mechanism] == RAW:
        parameter = expected = SAMPLES.randbytes(16)
    else:
        parameter, expected = _made(module, MECHANISMS[mechanism])
    made = ffi.new("CK_ULONG*")
    module.C_DeriveKey(7, module.mechanism(number, parameter), 8, *module.template({}), made)
    assert calls[-1] == ("C_DeriveKey", 7, codec.Mech(number, expected), 8, [])


@pytest.mark.parametrize("kind", sorted(set(MECHANISMS.values()) - {RAW}))
def test_a_structure_of_another_length_is_refused(recording: Recording, kind: str) -> None:
    module, calls = recording
    number = next(getattr(ck, m) for m, its in MECHANISMS.items() if its == kind)
    before = len(calls)
    for length in (1, ffi.sizeof(kind) - 1, ffi.sizeof(kind) + 1):
        assert name(module.C_SignInit(7, module.mechanism(number, bytes(length)), 8)) == "CKR_MECHANISM_PARAM_INVALID"
    assert len(calls) == before


def test_of_a_parameter_of_unknown_form_no_byte_leaves(recording: Recording) -> None:
    module, calls = recording
    for number in (ck.CKM_SHA256, ck.CKM_KIP_DERIVE, ck.CKM_VENDOR_DEFINED + 1):
        module.C_SignInit(7, module.mechanism(number, b"an address, perhaps"), 8)
        assert calls[-1] == ("C_SignInit", 7, codec.Mech(number, b""), 8)


@pytest.mark.parametrize("pointer,length", [("pSharedData", "ulSharedDataLen"), ("pPublicData", "ulPublicDataLen")])
def test_a_pointer_inside_a_parameter_that_lies(recording: Recording, pointer: str, length: str) -> None:
    module, _ = recording
    for size in (1, 2**31, 2**32, 2**64 - 1):
        parameter = module.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, **{length: size})
        assert name(module.C_SignInit(7, module.mechanism(ck.CKM_ECDH1_DERIVE, parameter), 8)
                    ) == "CKR_MECHANISM_PARAM_INVALID"


TEMPLATES = (ck.CKA_WRAP_TEMPLATE, ck.CKA_UNWRAP_TEMPLATE, ck.CKA_DERIVE_TEMPLATE)
_PLAIN = st.tuples(
    st.sampled_from((ck.CKA_LABEL, ck.CKA_ID, ck.CKA_ALLOWED_MECHANISMS, 2**31, 2**32 + 5)),
    st.one_of(st.none(), st.binary(max_size=60), st.binary(min_size=5000, max_size=6000)),
)


def _nesting(depth: int) -> Any:
    rows = _PLAIN if depth == 0 else st.one_of(_PLAIN, st.tuples(st.sampled_from(TEMPLATES), _nesting(depth - 1)))
    return st.lists(rows, max_size=4)


def _build(module: Module, rows: list[Any]) -> tuple[Any, int]:
    made, count = module.template([(number, None if isinstance(value, list) else value) for number, value in rows])
    for row, (_, value) in zip(made, rows, strict=False):
        if isinstance(value, list):
            row.pValue, inner = _build(module, value)
            row.ulValueLen = inner * ffi.sizeof("CK_ATTRIBUTE")
    return made, count


@settings(max_examples=150, deadline=None)
@given(_nesting(2))
def test_every_template_arrives_as_it_was_given(recording: Recording, rows: list[Any]) -> None:
    module, calls = recording
    module.C_FindObjectsInit(7, *_build(module, rows))
    assert calls[-1] == ("C_FindObjectsInit", 7, rows)
    module._kept.clear()


def test_templates_that_cannot_be_read(recording: Recording) -> None:
    module, calls = recording
    before = len(calls)
    rows = ffi.new("CK_ATTRIBUTE*", {"type": ck.CKA_WRAP_TEMPLATE})
    rows.pValue, rows.ulValueLen = rows, ffi.sizeof("CK_ATTRIBUTE")  # itself, for ever
    assert name(module.C_FindObjectsInit(7, rows, 1)) == "CKR_ATTRIBUTE_VALUE_INVALID"
    rows.ulValueLen -= 1
    assert name(module.C_FindObjectsInit(7, rows, 1)) == "CKR_ATTRIBUTE_VALUE_INVALID"
    rows.pValue = NULL
    assert name(module.C_FindObjectsInit(7, rows, 1)) == "CKR_ATTRIBUTE_VALUE_INVALID"
    for count in (257, 2**31, 2**32 + 1, 2**64 - 1):
        assert name(module.C_FindObjectsInit(7, rows, count)) == "CKR_ARGUMENTS_BAD"
    assert len(calls) == before


def test_rows_are_counted_over_all_arrays_of_a_template(recording: Recording) -> None:
    """Arrays of arrays that each are short enough made frames of millions of rows, which took the engine seconds."""
    module, calls = recording

    def arrays(rows: int) -> Any:
        """Sixteen of them, that lead to so many rows in all."""
        sizes = [rows // 16 - 1 + (i < rows % 16) for i in range(16)]
        inner = ffi.new("CK_ATTRIBUTE[]", [(ck.CKA_ID, NULL, 0)] * max(sizes))
        size = ffi.sizeof("CK_ATTRIBUTE")
        return module.keep(inner), ffi.new("CK_ATTRIBUTE[]", [(TEMPLATES[0], inner, size * n) for n in sizes])

    inner, most = arrays(4096)
    assert name(module.C_FindObjectsInit(7, most, 16)) == "CKR_FUNCTION_FAILED"
    assert calls[-1][1:] == (7, [(TEMPLATES[0], [(ck.CKA_ID, None)] * 255)] * 16)
    before = len(calls)
    inner, more = arrays(4097)
    assert name(module.C_FindObjectsInit(7, more, 16)) == "CKR_ATTRIBUTE_VALUE_INVALID"
    full = module.keep(ffi.new("CK_ATTRIBUTE[]", [(TEMPLATES[0], inner, 255 * 24)] * 256))
    outer = ffi.new("CK_ATTRIBUTE[]", [(TEMPLATES[0], full, 256 * 24)] * 256)
    assert name(module.C_FindObjectsInit(7, outer, 256)) == "CKR_ATTRIBUTE_VALUE_INVALID"
    assert len(calls) == before


def test_data_too_long_for_a_message_has_each_functions_own_code(recording: Recording) -> None:
    module, _ = recording
    data, out, room = ffi.new("CK_BYTE[16]"), ffi.new("CK_BYTE[16]"), ffi.new("CK_ULONG*", 16)
    for length in (2**26 + 1, 2**31, 2**32, 2**64 - 1):
        assert name(module.C_Encrypt(7, data, length, out, room)) == "CKR_DATA_LEN_RANGE"
        assert name(module.C_DecryptUpdate(7, data, length, out, room)) == "CKR_ENCRYPTED_DATA_LEN_RANGE"
        assert name(module.C_InitPIN(7, data, length)) == "CKR_PIN_LEN_RANGE"
        assert name(module.C_VerifyFinal(7, data, length)) == "CKR_SIGNATURE_LEN_RANGE"
        assert name(module.C_VerifyRecover(7, data, length, out, room)) == "CKR_SIGNATURE_LEN_RANGE"
        assert name(module.C_SetOperationState(7, data, length, 0, 0)) == "CKR_SAVED_STATE_INVALID"
        assert name(module.C_Digest(7, data, length, out, room)) == "CKR_ARGUMENTS_BAD"
