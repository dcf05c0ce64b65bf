"""libpq logs in to a PostgreSQL server by a certificate whose key is in the token."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.long


def test_recipe(follow_recipe: Callable[[str], list[str]]) -> None:
    _, logins = follow_recipe("postgresql")
    assert "alice   | TLSv1.3 | /CN=alice" in logins
    assert 'certificate authentication failed for user "admin"' in logins
    assert "number of transactions actually processed: 40/40" in logins
