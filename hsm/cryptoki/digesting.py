"""Message digests (section 5.12) and random numbers (section 5.20) of PKCS#11 3.2."""

from __future__ import annotations

import os
from typing import Any

from hsm.access import lifetime, policy
from hsm.application import Application
from hsm.audit import calls
from hsm.cryptoki import operation
from hsm.cryptoki.operation import Sized
from hsm.errors import TokenError
from pkcs11_shim import constants as ck

LONGEST_RANDOM = (64 << 20) - 4096  # what one message carries, with room for the rest of it


def C_DigestInit(app: Application, session: int, mechanism: Any) -> tuple[int]:
    return operation.start(app, session, "digest", mechanism, None)


def _length(state: Any) -> int:
    return int(state.length)


def _digest(state: Any, data: bytes) -> bytes:
    state.update(data)
    return bytes(state.finish())


def C_Digest(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    given = data or b""
    return operation.finish(app, session, "digest", capacity, given, _length, lambda s: _digest(s, given))


def C_DigestUpdate(app: Application, session: int, data: bytes | None) -> tuple[int]:
    return operation.feed(app, session, "digest", data)


def C_DigestKey(app: Application, session: int, key: int) -> tuple[int]:
    """The value of a secret key goes into the digest; never a sensitive one, it would be an oracle on its value."""
    opened = app.session(session)
    with operation.going_on(opened, "digest") as active:
        operation.in_parts(active)
        item = opened.key(key)
        calls.about((item,))
        if item.key_class != ck.CKO_SECRET_KEY or item.flag(ck.CKA_SENSITIVE) or not item.flag(ck.CKA_EXTRACTABLE):
            raise TokenError(ck.CKR_KEY_INDIGESTIBLE, "only secret keys that may be read can be digested")
        policy.check_leaves(opened, item, ck.CKR_KEY_INDIGESTIBLE)
        lifetime.check(item, "export", ck.CKR_KEY_INDIGESTIBLE)
        active.state.update(item.get(ck.CKA_VALUE) or b"")
        calls.used(opened, item, active.entry.number, active.asked)
        calls.note().undo = lambda: opened.active.pop("digest", None)
    return (ck.CKR_OK,)


def C_DigestFinal(app: Application, session: int, capacity: int | None) -> Sized:
    return operation.finish(app, session, "digest", capacity, None, _length, lambda s: bytes(s.finish()))


def C_SeedRandom(app: Application, session: int, seed: bytes | None) -> tuple[int]:
    """The seed goes to the kernel, which mixes it in and trusts it with nothing (random(4)). NSS calls this."""
    app.session(session)
    if seed:
        try:
            with open("/dev/urandom", "wb", buffering=0) as kernel:
                kernel.write(seed[:256])
        except OSError:
            raise TokenError(ck.CKR_RANDOM_SEED_NOT_SUPPORTED, "the kernel takes no seed here") from None
    return (ck.CKR_OK,)


def C_GenerateRandom(app: Application, session: int, length: int) -> tuple[int, bytes]:
    app.session(session)
    if length > LONGEST_RANDOM:
        raise TokenError(ck.CKR_ARGUMENTS_BAD, "more random bytes asked for than one message carries")
    return ck.CKR_OK, os.urandom(length)
