"""A program of GnuTLS that signs, forks children that sign with the same key, and signs again: MODULE URI.

Each line of its output: who signed, and the signature. Run as a program.
"""

from __future__ import annotations

import ctypes
import os
import sys

SHA256 = 6
CHILDREN = 3
MESSAGE = b"what is signed"


class Datum(ctypes.Structure):
    _fields_ = (("data", ctypes.POINTER(ctypes.c_char)), ("size", ctypes.c_uint))


def main(module: str, uri: str) -> None:
    gnutls = ctypes.CDLL("libgnutls.so.30")
    gnutls.gnutls_strerror.restype = ctypes.c_char_p
    key = ctypes.c_void_p()

    def call(name: str, *arguments: object) -> None:
        code = getattr(gnutls, name)(*arguments)
        if code < 0:
            raise SystemExit(f"{name}: {gnutls.gnutls_strerror(code).decode()}")

    def sign(who: str) -> None:
        data = Datum(ctypes.cast(MESSAGE, ctypes.POINTER(ctypes.c_char)), len(MESSAGE))
        made = Datum()
        call("gnutls_privkey_sign_data", key, SHA256, 0, ctypes.byref(data), ctypes.byref(made))
        print(who, made.data[: made.size].hex(), flush=True)

    call("gnutls_pkcs11_init", 0, None)
    call("gnutls_pkcs11_add_provider", module.encode(), None)
    call("gnutls_privkey_init", ctypes.byref(key))
    call("gnutls_privkey_import_url", key, uri.encode(), 0)
    sign("parent")
    for _ in range(CHILDREN):
        child = os.fork()
        if child == 0:
            sign("child")
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit("a child did not sign")
    sign("parent")


if __name__ == "__main__":
    main(*sys.argv[1:])
