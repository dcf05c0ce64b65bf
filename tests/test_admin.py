"""The command line's door, spoken to by somebody who is not our command line."""

from __future__ import annotations

import os
import struct
from typing import Any

import pytest
from abi import good, initialised

from hsm.client import Client, Refused
from pkcs11_shim import constants as ck

ADMIN = 0xFFFD
NOT_WELL_FORMED = [
    b"", b"null", b"[]", b"{}", b"\xff", b'{"act": []}', b'{"act": {}}', b'{"act": null}',
    b'{"act": "partition-delete"}', b'{"act": "partition-delete", "slot": 1e400, "as": "so", "pin": ""}',
    b'{"act": "partition-delete", "slot": true, "as": "so", "pin": ""}', b'{"act": "partition-delete", "slot": "0"}',
    b'{"act": "partition-delete", "slot": 0, "as": "so", "pin": null}', b"[" * 200_000,
]


@pytest.mark.parametrize("payload", NOT_WELL_FORMED, ids=lambda payload: payload[:50].decode("latin-1"))
def test_a_request_that_is_not_well_formed_is_refused_and_harms_nothing(adyton_token: Any, payload: bytes) -> None:
    with Client(os.environ["ADYTON_HOME"]) as client:
        assert client._exchange(ADMIN, payload)[0] == ck.CKR_ARGUMENTS_BAD
        assert client.ask("status")["partitions"][0]["label"] == adyton_token.label


def test_pins_guessed_here_are_counted_as_everywhere(adyton_token: Any) -> None:
    for wanted in [ck.CKR_PIN_INCORRECT] * 10 + [ck.CKR_PIN_LOCKED]:
        with Client(os.environ["ADYTON_HOME"]) as client, pytest.raises(Refused) as refused:
            client.ask("partition-delete", slot=0, **{"as": "so", "pin": "not the SO PIN"})
        assert refused.value.rv == wanted
    with initialised(adyton_token.module) as m:
        assert m.login(m.session(), adyton_token.so_pin, ck.CKU_SO) == ck.CKR_PIN_LOCKED
        good(m.login(m.session(), adyton_token.pin))


def test_frames_that_are_none_end_their_own_connection(adyton_token: Any) -> None:
    for length, function in ((3, ADMIN), (1 << 31, ADMIN), (4, 7)):
        with Client(os.environ["ADYTON_HOME"]) as client:
            client._socket.sendall(struct.pack("<IHH", length, function, 0))
            assert client._socket.recv(1) == b""
    with Client(os.environ["ADYTON_HOME"]) as client:
        assert client.ask("status")["partitions"]
