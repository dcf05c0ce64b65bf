"""The wire: generated files are fresh, the C side compiles without a warning, and no frame harms the decoders."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm.errors import TokenError
from hsm.objects import templates
from hsm.server import codec, frames
from pkcs11_shim import build, directions, generate
from pkcs11_shim import constants as ck

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", generate.everything())
def test_generated_file_is_fresh(path: str) -> None:
    assert (ROOT / path).read_text() == generate.everything()[path], "run tools/generate"


def test_all_functions_of_the_three_tables() -> None:
    ffi, _ = generate.declarations()
    lists = ("CK_FUNCTION_LIST", "CK_FUNCTION_LIST_3_0", "CK_FUNCTION_LIST_3_2")
    lengths = [len(ffi.typeof(name).fields) - 1 for name in lists]
    assert lengths == [68, 92, 104]
    assert len(codec.DECODE) == len(codec.ENCODE) == len(codec.NAMES) == 104


@pytest.mark.parametrize("source", sorted((ROOT / "c_src").rglob("*.c")), ids=lambda p: p.name)
def test_c_compiles_without_a_warning(source: Path, tmp_path: Path) -> None:
    flags = [flag for flag in build.FLAGS if not flag.startswith(("-Wl", "-shared"))]
    command = ["cc", *flags, "-I", str(ROOT / "c_src")]
    done = subprocess.run([*command, "-c", str(source), "-o", str(tmp_path / "o")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@given(st.integers(0, 103), st.binary(max_size=200))
def test_no_frame_breaks_a_decoder(function: int, frame: bytes) -> None:
    """Any bytes at all either decode or are Malformed."""
    try:
        arguments = codec.DECODE[function](memoryview(frame))
    except codec.Malformed:
        return
    kinds = directions.row(codec.NAMES[function])
    assert len(arguments) == sum(kind in ("label", *generate.generate_codec.READERS) for kind in kinds)


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def test_a_gcm_parameter_arrives_whole() -> None:
    position = codec.NAMES.index("C_EncryptInit")
    iv, aad = b"i" * 12, b"header"
    frame = (
        _u64(7) + b"\x03" + _u64(ck.CKM_AES_GCM) + _u64(len(iv)) + iv + _u64(96) + _u64(len(aad)) + aad + _u64(128)
        + _u64(9)
    )
    session, mechanism, key = codec.DECODE[position](memoryview(frame))
    assert (session, key) == (7, 9)
    assert mechanism.parameter == codec.CK_GCM_PARAMS(iv, 96, aad, 128)


def test_nesting_deeper_than_the_cap_is_refused() -> None:
    frame = b""
    for _ in range(4):
        frame = _u64(1) + _u64(ck.CKA_WRAP_TEMPLATE) + b"\x02" + (frame or _u64(0))
    with pytest.raises(codec.Malformed):
        codec.DECODE[codec.NAMES.index("C_FindObjectsInit")](memoryview(_u64(1) + frame))


def test_bytes_where_a_template_belongs_are_no_fault() -> None:
    """The library never sends them; who writes frames gets the same code as for a template where bytes belong."""
    rows = _u64(1) + _u64(ck.CKA_UNWRAP_TEMPLATE) + b"\1" + _u64(24) + bytes(24)
    _, template = codec.DECODE[codec.NAMES.index("C_FindObjectsInit")](memoryview(_u64(1) + rows))
    with pytest.raises(TokenError) as refused:
        templates.parse(template)
    assert refused.value.rv == ck.CKR_ATTRIBUTE_VALUE_INVALID


def test_a_template_of_more_rows_than_the_library_sends_is_refused_at_the_first_too_many() -> None:
    rows = _u64(255) + (_u64(ck.CKA_ID) + b"\0") * 255
    decode = codec.DECODE[codec.NAMES.index("C_FindObjectsInit")]

    def arrays(count: int) -> bytes:
        return _u64(1) + _u64(count) + (_u64(ck.CKA_WRAP_TEMPLATE) + b"\2" + rows) * count

    assert len(decode(memoryview(arrays(16)))[1]) == 16
    with pytest.raises(codec.Malformed, match="template too large"):
        decode(memoryview(arrays(17)))


def test_a_length_that_is_only_claimed_takes_no_memory() -> None:
    """Twenty links that each sent a header of eight bytes held 1.3 GB of the engine."""
    ours, theirs = socket.socketpair()
    ours.sendall(struct.pack("<IHH", frames.LARGEST_FRAME, 0, 0) + bytes(1000))
    ours.shutdown(socket.SHUT_WR)
    tracemalloc.start()
    try:
        with pytest.raises(EOFError):
            frames.receive(theirs)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
        ours.close()
        theirs.close()


@pytest.mark.parametrize("size", [65_500, 65_536, 1_000_003])
def test_a_long_frame_arrives_whole(size: int) -> None:
    ours, theirs = socket.socketpair()
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sending = threading.Thread(target=ours.sendall, args=(struct.pack("<IHH", size + 4, 7, 9) + body,))
    sending.start()
    function, ahead, payload = frames.receive(theirs)
    sending.join()
    assert (function, ahead, bytes(payload)) == (7, 9, body)
    ours.close()
    theirs.close()
