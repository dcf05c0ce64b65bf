"""Writes tests/attacks/README.md: every attack, and what comes of it."""

from __future__ import annotations

from pathlib import Path

from attacks import expected
from attacks.attack import ATTACKS, Attack
from attacks.chapters import CHAPTERS

PAGE = Path(__file__).resolve().parent / "attacks/README.md"
HEAD = """# Attacks

What has been published against tokens with a PKCS#11 interface, and what was thought of while this one was made. Each
attack is a function that tries to get something: a sensitive key's bytes, a plaintext, a use that it has no right to,
an attribute that says too much or too little. It succeeds only where it can show what it got; a key's bytes, by
encrypting with them. Each is tried on Adyton as it comes, and on SoftHSM2 {version}, which shows that it is an attack.

{count} attacks: {default} succeed on Adyton, {softhsm} on SoftHSM2. Those that succeed here are an Administrator's ways
to keys on a partition that was made to let him, as Azure's does: each step is in
[the audit log](../../hsm/audit/README.md), and `adyton partition create --no-admin-recovery` closes them all. Where the
Administrator has chosen the profile `compatible`, {compatible} more succeed, each listed with
[what it is let for](../../hsm/access/README.md#profiles).

This page is written by `tools/generate`; `tests/attacks/expected.py`, typed by hand, has what comes of each.
To try some: `cd tests && python -m attacks.tried default|compatible|SoftHSM2 [NAME or chapter ...]`.
"""


def _row(attack: Attack) -> str:
    columns = expected.DEFAULT, expected.DEFAULT | expected.COMPATIBLE, expected.SOFTHSM2
    told = ["**succeeds**" if attack.name in fell else "held" for fell in columns]
    cells = (f"`{attack.name}`", attack.says.replace("|", "/"), attack.source, *told)
    return f"| {' | '.join(cells)} |\n"


def text() -> str:
    out = [HEAD.format(
        version="2.6.1", count=len(ATTACKS), default=len(expected.DEFAULT),
        compatible=len(expected.COMPATIBLE), softhsm=len(expected.SOFTHSM2),
    )]
    for module in CHAPTERS:
        mine = [attack for attack in ATTACKS.values() if attack.room == module.__name__]
        for chapter in dict.fromkeys(attack.chapter for attack in mine):
            out.append(f"\n## {chapter[0].upper()}{chapter[1:]}\n\n")
            out.append("| attack | how | source | default | compatible | SoftHSM2 |\n| --- |" + " --- |" * 5 + "\n")
            out.extend(_row(attack) for attack in mine if attack.chapter == chapter)
    return "".join(out)


if __name__ == "__main__":
    PAGE.write_text(text())
