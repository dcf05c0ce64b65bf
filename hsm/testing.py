"""The pytest plugin: ``adyton_token`` is a fresh token of its own engine for each test, gone afterwards.

    def test_signs(adyton_token):
        lib = pkcs11.lib(adyton_token.module)
        token = lib.get_token(token_label=adyton_token.label)
        with token.open(user_pin=adyton_token.pin) as session: ...

Programs that the test starts find the token by the environment (ADYTON_HOME and the rest), which the fixture sets.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hsm.throwaway import ThrowAway


@pytest.fixture
def adyton_token(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThrowAway]:
    """A fresh initialised token; attributes: module, label, pin, so_pin, uri, home, environment."""
    with ThrowAway() as token:
        for name, value in token.environment.items():
            monkeypatch.setenv(name, value)
        yield token
