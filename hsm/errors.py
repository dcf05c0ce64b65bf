"""The one exception of the engine: a return code, the reason in words, and the rule or attribute at fault.

Dispatch turns it into the CKR code the function answers; the reason stays for ``adyton explain``. A reason never
carries key bytes, PINs or any other value a caller may not read.
"""

from __future__ import annotations

from pkcs11_shim import constants as ck

LONGEST = 1000  # characters of a reason, whatever a caller has sent that it tells of


class TokenError(Exception):
    """A refusal: ``rv`` is the CKR code, ``reason`` a sentence for people, ``subject`` the attribute or rule. Where an
    officer has no role for it, the subject is the data action, and ``scope`` and ``officer`` say where and who."""

    def __init__(self, rv: int, reason: str, subject: str = "", *, scope: str = "", officer: str = "") -> None:
        super().__init__(shortened(reason))
        self.rv = rv
        self.reason = shortened(reason)
        self.subject = shortened(subject)
        self.scope = scope
        self.officer = officer


def shortened(text: str) -> str:
    """No longer than what fits into a log, or a list of what was refused."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def code_name(rv: int) -> str:
    """CKR_... as the standard spells it."""
    return _name("CKR_", rv) or hex(rv)


def mechanism_name(number: int) -> str:
    """CKM_... as the standard spells it, for sentences."""
    return _name("CKM_", number) or f"mechanism {number:#x}"


def _name(prefix: str, value: int) -> str | None:
    return next((n for n, v in vars(ck).items() if n.startswith(prefix) and v == value), None)
