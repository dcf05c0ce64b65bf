"""The cells of operations in which data go in and come out: signing, verifying, encrypting, decrypting, digesting and
both with recovery (sections 5.2, 5.8 to 5.16 of PKCS#11 3.2).

Each cell is a function of a row and a use, on a session of its own; which cells a row has follows from the use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from abi import NULL, ffi, name
from matrix import FUNCTIONS, IN_ONE_PART, STREAMED, Operation, Row, message
from vectors import Bench, flipped

Cell = Callable[[Bench, Row, str, int], None]
SMALL = "CKR_BUFFER_TOO_SMALL"
CUTS = (7, 16)


def start(bench: Bench, row: Row, use: str, session: int) -> Operation:
    operation = Operation(bench, row, use, session)
    operation.begin()
    return operation


def fed(operation: Operation, data: bytes, cut: int) -> bytes:
    """The output of the parts, each into just the room that its own size query told."""
    out = b""
    for piece in operation.pieces(data, cut):
        room = operation.update(piece, None).told if operation.use in STREAMED else 0
        made = operation.update(piece, room)
        assert made.rv == "CKR_OK", f"Update of {len(piece)} bytes into {room}: {made.rv}"
        out += made.output
    return out


def accepted(row: Row, use: str, data: bytes, output: bytes) -> None:
    assert row.oracle.accepts(use, data, output), f"the oracle differs for {len(data)} bytes: {output.hex()}"


# -- with output: sign, encrypt, decrypt, digest, and both with recovery


def one_shot(bench: Bench, row: Row, use: str, s: int) -> None:
    for length in row.lengths:
        data = message(length)
        operation = start(bench, row, use, s)
        known = row.given(use, data)
        made = operation.whole(known)
        assert made.rv == "CKR_OK", f"{length} bytes: {made.rv}"
        accepted(row, use, data, made.output)
        assert start(bench, row, use, s).whole(known, len(made.output)).rv == "CKR_OK", "into just the room it takes"
        assert operation.is_over()


def in_parts(bench: Bench, row: Row, use: str, s: int, cuts: tuple[int, ...] = CUTS) -> None:
    for length in row.lengths:
        for cut in cuts:
            data = message(length)
            operation = start(bench, row, use, s)
            out = fed(operation, row.given(use, data), cut)
            last = operation.final(operation.final(None).told)
            assert last.rv == "CKR_OK", f"Final of {length} bytes in parts of {cut}: {last.rv}"
            accepted(row, use, data, out + last.output)
            assert operation.is_over()


def size_query(bench: Bench, row: Row, use: str, s: int) -> None:
    """Costs nothing, may be repeated, and tells the length: exactly, but where it is a plaintext's."""
    data = message(max(row.lengths))
    known = row.given(use, data)
    operation = start(bench, row, use, s)
    told = {operation.whole(known, None)[:2] for _ in range(3)}
    assert len(told) == 1
    rv, room = told.pop()
    made = operation.whole(known, room)
    assert (rv, made.rv) == ("CKR_OK", "CKR_OK")
    assert room == len(made.output) or (use in ("decrypt", "verify_recover") and room >= len(made.output))
    accepted(row, use, data, made.output)
    if operation.parts:
        operation.begin()
        out = fed(operation, known, 16)
        rooms = {operation.final(None)[:2] for _ in range(3)}
        assert len(rooms) == 1
        last = operation.final(rooms.pop()[1])
        accepted(row, use, data, out + last.output)


def too_small(bench: Bench, row: Row, use: str, s: int) -> None:
    """CKR_BUFFER_TOO_SMALL with the length that is needed, and the operation goes on (section 5.2)."""
    data = message(max(row.lengths))
    known = row.given(use, data)
    operation = start(bench, row, use, s)
    exact = len(operation.whole(known).output)
    operation.begin()
    for room in {exact - 1, 0} if exact else ():
        refused = operation.whole(known, room)
        assert (refused.rv, refused.told >= exact) == (SMALL, True), f"room for {room} of {exact}: {refused}"
    accepted(row, use, data, operation.whole(known, exact).output)
    if operation.parts:
        operation.begin()
        out = fed(operation, known, 16)
        if exact - len(out):
            refused = operation.final(exact - len(out) - 1)
            assert (refused.rv, refused.told >= exact - len(out)) == (SMALL, True), f"Final: {refused}"
        accepted(row, use, data, out + operation.final(exact - len(out)).output)


def part_too_small(bench: Bench, row: Row, use: str, s: int) -> None:
    """An Update that has too little room has consumed nothing."""
    data = message(max(row.lengths))
    known = row.given(use, data)
    operation = start(bench, row, use, s)
    first, rest = known[:33], known[33:]
    needed = len(operation.update(first).output)
    if needed:
        good_output = start_again(operation).update(first, needed).output
        operation = start_again(operation)
        refused = operation.update(first, needed - 1)
        assert (refused.rv, refused.told) == (SMALL, needed)
        assert operation.update(first, needed).output == good_output
        out = good_output + operation.update(rest).output + operation.final().output
        accepted(row, use, data, out)


def start_again(operation: Operation) -> Operation:
    assert operation.init(key=0, mechanism=NULL) == "CKR_OK"
    operation.begin()
    return operation


def empty(bench: Bench, row: Row, use: str, s: int) -> None:
    """No input at all: a NULL pointer, a pointer to none, no Update, an empty Update."""
    wanted = row.refused.get(use, {}).get(0, "CKR_OK")
    operation = Operation(bench, row, use, s)
    call = getattr(bench.m, f"C_{FUNCTIONS[use]}")
    outputs = []
    for pointer in (NULL, bench.m.bytes(b"x")):
        operation.begin()
        rv, output = bench.m.output(call, s, pointer, 0)
        assert name(rv) == wanted, f"one-shot: {name(rv)}"
        outputs.append(output)
        assert operation.is_over()
    if operation.parts:
        for updates in (0, 2):
            operation.begin()
            rvs = {operation.update(b"").rv for _ in range(updates)}
            assert rvs <= {"CKR_OK"}
            made = operation.final()
            assert made.rv == wanted, f"Final after {updates} empty parts: {made.rv}"
            outputs.append(made.output)
            assert operation.is_over()
    for output in outputs:
        if wanted == "CKR_OK" and use in ("decrypt", "verify_recover"):
            assert output == b""
        elif wanted == "CKR_OK":
            accepted(row, use, b"", output)


def in_place(bench: Bench, row: Row, use: str, s: int) -> None:
    """«it is OK if pData and pEncryptedData point to the same location» (sections 5.8.2 and 5.8.3, 5.10, 5.12.2)."""
    for length in row.lengths:
        data = message(length)
        known = row.given(use, data)
        buffer, told = ffi.new("CK_BYTE[]", 4096), ffi.new("CK_ULONG*", 4096)
        ffi.memmove(buffer, known, len(known))
        operation = start(bench, row, use, s)
        assert name(getattr(bench.m, f"C_{FUNCTIONS[use]}")(s, buffer, len(known), buffer, told)) == "CKR_OK"
        accepted(row, use, data, bytes(ffi.buffer(buffer, told[0])))
        if operation.parts and use in STREAMED:
            operation.begin()
            ffi.memmove(buffer, known, len(known))
            out, update = b"", getattr(bench.m, f"C_{FUNCTIONS[use]}Update")
            for at in range(0, len(known), 16):
                part, told[0] = buffer + at, 4096 - at
                size = min(16, len(known) - at)
                kept = bytes(ffi.buffer(part + size, 64))
                assert name(update(s, part, size, part, told)) == "CKR_OK"
                out += bytes(ffi.buffer(part, told[0]))
                if told[0] > size:  # what an earlier part held back comes too, over input that is still to be read
                    ffi.memmove(part + size, kept, 64)
            accepted(row, use, data, out + operation.final().output)


def wrong_lengths(bench: Bench, row: Row, use: str, s: int) -> None:
    """Input of a length that the mechanism doesn't take ends the operation, by the code for data or ciphertexts."""
    for length, wanted in row.refused.get(use, {}).items():
        operation = start(bench, row, use, s)
        made = operation.whole(message(length))
        assert made.rv == wanted, f"{length} bytes: {made.rv}, not {wanted}"
        assert operation.is_over(), f"after {length} bytes"
        if operation.parts:
            operation.begin()
            rvs = [operation.update(piece).rv for piece in operation.pieces(message(length), 7)]
            rvs.append(operation.final().rv if rvs[-1:] in ([], ["CKR_OK"]) else rvs.pop())
            assert rvs.pop() == wanted, f"{length} bytes in parts"
            assert set(rvs) <= {"CKR_OK"}
            assert operation.is_over(), f"after {length} bytes in parts"


def altered(bench: Bench, row: Row, use: str, s: int) -> None:
    """What was changed, where the mechanism can tell; no byte of the plaintext has left before."""
    sealed = flipped(row.given(use, message(max(row.lengths))))
    operation = start(bench, row, use, s)
    made = operation.whole(sealed)
    assert (made.rv, made.output) == (row.altered, b"")
    assert operation.is_over()
    if operation.parts:
        operation.begin()
        assert fed(operation, sealed, 16) == b""
        assert operation.final().rv == row.altered
        assert operation.is_over()


# -- verifying has no output


def verified(bench: Bench, row: Row, use: str, s: int) -> None:
    for length in row.lengths:
        data = message(length)
        signature = row.oracle.make(data)
        operation = start(bench, row, use, s)
        rv = operation.verify(data, signature)
        assert rv == "CKR_OK", f"{length} bytes: {rv}"
        assert operation.is_over()
        for cut in CUTS if operation.parts else ():
            operation.begin()
            fed(operation, data, cut)
            assert operation.verify_final(signature) == "CKR_OK", f"{length} bytes in parts of {cut}"
            assert operation.is_over()


def not_verified(bench: Bench, row: Row, use: str, s: int) -> None:
    """The codes of sections 5.15.2 and 5.15.4, and all of them end the operation."""
    data = message(max(row.lengths))
    other = bytes([data[0] ^ 1]) + data[1:]  # of a digest given to ECDSA only the first bytes count
    signature = row.oracle.make(data)
    for given, shown, wanted in (
        (data, flipped(signature), "CKR_SIGNATURE_INVALID"), (other, signature, "CKR_SIGNATURE_INVALID"),
        (data, bytes(len(signature)), "CKR_SIGNATURE_INVALID"), (data, signature[:-1], "CKR_SIGNATURE_LEN_RANGE"),
        (data, signature + b"\0", "CKR_SIGNATURE_LEN_RANGE"), (data, b"", "CKR_SIGNATURE_LEN_RANGE"),
    ):
        operation = start(bench, row, use, s)
        rv = operation.verify(given, shown)
        assert rv == wanted, f"signature of {len(shown)} bytes: {rv}, not {wanted}"
        assert operation.is_over()
        if operation.parts:
            operation.begin()
            fed(operation, given, 16)
            assert operation.verify_final(shown) == wanted
            assert operation.is_over()


def nothing_verified(bench: Bench, row: Row, use: str, s: int) -> None:
    """No data: NULL, no Update, an empty Update."""
    wanted = row.refused.get(use, {}).get(0, "CKR_OK")
    signature = row.oracle.make(b"") if wanted == "CKR_OK" else bytes(len(row.oracle.make(message(row.lengths[0]))))
    operation = start(bench, row, use, s)
    assert operation.verify(b"", signature) == wanted
    for updates in (0, 2) if operation.parts else ():
        operation.begin()
        fed(operation, b"", 1)
        assert {operation.update(b"").rv for _ in range(updates)} <= {"CKR_OK"}
        assert operation.verify_final(signature) == wanted
    assert operation.is_over()


def wrong_lengths_to_verify(bench: Bench, row: Row, use: str, s: int) -> None:
    signature = row.oracle.make(message(row.lengths[-1]))
    for length, wanted in row.refused.get(use, {}).items():
        operation = start(bench, row, use, s)
        rv = operation.verify(message(length), signature)
        assert rv == wanted, f"{length} bytes: {rv}"
        assert operation.is_over()


def every_length(row: Row) -> tuple[int, ...]:
    """All that a row takes, up to four blocks of AES and one byte."""
    most = 65 if row.parts else min(65, max(row.lengths))
    return row.lengths if len(row.lengths) == 1 else tuple(range(min(row.lengths), most + 1, row.step))


def in_parts_of_all_sizes(bench: Bench, row: Row, use: str, s: int) -> None:
    in_parts(bench, row, use, s, (1, 3, 15, 17, 33))


def judging(row: Row, use: str) -> Iterator[Cell]:
    """The cells in which the oracle has a say, or the length of what is given."""
    parts = row.parts and use not in IN_ONE_PART
    if use == "verify":
        yield from (verified, not_verified, nothing_verified, wrong_lengths_to_verify)
        return
    yield from (one_shot, empty, wrong_lengths)
    if parts:
        yield in_parts
    if use in ("decrypt", "verify_recover") and row.altered:
        yield altered
