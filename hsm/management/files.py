"""Files that come open with a request: beyond the pool's folder the engine opens none, its caller hands them over.

Regular files only: a pipe that nobody reads, or writes, would hold a thread for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from hsm.errors import TokenError
from hsm.management.acts import Request, wrong


def descriptor(request: Request) -> int:
    found = request.get("descriptor")
    if type(found) is not int:
        raise wrong("this needs an open file with the request, as adyton sends it", "descriptor")
    if not stat.S_ISREG(os.fstat(found).st_mode):
        raise wrong("the file that comes with the request is to be a regular file", "descriptor")
    return found


def write(request: Request, data: bytes) -> None:
    """From the file's beginning on, and onto the disk."""
    file, at = descriptor(request), 0
    try:
        while at < len(data):
            at += os.pwrite(file, data[at : at + (1 << 20)], at)
        os.fsync(file)
    except OSError as fault:
        raise unwritten(fault) from None


def read(request: Request, longest: int) -> bytes:
    """All of the file."""
    file = descriptor(request)
    size = os.fstat(file).st_size
    if size > longest:
        raise wrong(f"the file has {size} bytes, more than what is looked for has", "descriptor")
    try:
        return b"".join(iter(_pieces(file, size), b""))
    except OSError as fault:
        raise wrong(f"the file can't be read: {os.strerror(fault.errno or errno.EIO)}", "descriptor") from None


def unwritten(fault: OSError) -> TokenError:
    return wrong(f"the file can't be written: {os.strerror(fault.errno or errno.EIO)}", "descriptor")


def _pieces(file: int, size: int) -> Callable[[], bytes]:
    at = 0

    def next_piece() -> bytes:
        nonlocal at
        piece = os.pread(file, min(size - at, 1 << 20), at) if at < size else b""
        at += len(piece)
        return piece

    return next_piece
