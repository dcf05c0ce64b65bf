"""Each attack, on a token of Adyton's and on SoftHSM2: what comes of it is what tests/attacks/expected.py says."""

from __future__ import annotations

import attacks_page
import pytest
from attacks import expected
from attacks.attack import ATTACKS
from attacks.chapters import CHAPTERS
from attacks.tried import token, tried

from hsm.access.profile import PROFILES


@pytest.mark.parametrize("name", ATTACKS)
def test_on_adyton(name: str) -> None:
    with token("default") as module:
        outcome = tried(name, module)
    assert not outcome.fault, outcome.fault
    assert bool(outcome.fell) == (name in expected.DEFAULT), outcome


@pytest.mark.parametrize("name", ATTACKS)
def test_on_a_compatible_partition(name: str) -> None:
    """What the profile lets opens the attacks that are listed with it, and no others."""
    with token("compatible") as module:
        outcome = tried(name, module)
    assert not outcome.fault, outcome.fault
    assert bool(outcome.fell) == (name in expected.DEFAULT | expected.COMPATIBLE), outcome


def test_the_compatible_profile_says_what_it_opens() -> None:
    said = [name for let in PROFILES["compatible"] for name in let.opens]
    assert sorted(said) == sorted(expected.COMPATIBLE) and len(said) <= 8 and not PROFILES["strict"]


@pytest.mark.long
@pytest.mark.parametrize("name", ATTACKS)
def test_on_softhsm2(name: str) -> None:
    """An attack that succeeds there is one. A module that crashes under it has not held either."""
    with token("SoftHSM2") as module:
        outcome = tried(name, module)
    assert bool(outcome.fell) == (name in expected.SOFTHSM2), outcome


def test_each_expected_attack_is_there() -> None:
    assert expected.DEFAULT | expected.COMPATIBLE | expected.SOFTHSM2 <= set(ATTACKS)
    assert len(ATTACKS) >= 135 and len({attack.chapter for attack in ATTACKS.values()}) >= len(CHAPTERS)


def test_the_page_is_up_to_date() -> None:
    assert attacks_page.PAGE.read_text() == attacks_page.text(), "run tools/generate"
