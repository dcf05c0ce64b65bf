"""What the engine's start has not imported by itself, and some call may need later: imported before it shuts itself in.

An engine then runs the version that it began with, also when the package is upgraded under it, and reads none of its
own files again. It costs the first answer some 8 ms. The readers of key formats (pyasn1: 8 more; those of cryptography,
with all that they import: 6) and what the standard library keeps for odd moments come when they are asked for: landlock
leaves the interpreter's folders readable, and nothing of them writable.
"""

from __future__ import annotations

from importlib import import_module

MODULES = (
    "hsm.audit.azure", "hsm.audit.checkpoint", "hsm.audit.export", "hsm.audit.query", "hsm.audit.sinks",
    "hsm.server.admin",  # and with it all of hsm.management
    "cryptography.hazmat.primitives.hpke",
)


def load() -> None:
    for name in MODULES:
        import_module(name)
