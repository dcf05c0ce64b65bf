"""stunnel's keys are in a token: both ends of a tunnel, and a server that is reloaded under requests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from openssl_engine import key_uri
from requests_under_way import everybody_has, requests, until
from system_pool import LABEL, PIN, SystemPool

from hsm.client import MODULE

pytestmark = pytest.mark.long

# What its user reads again at a reload lies where its user may read.
CONFIGURATION = """
pid = /run/stunnel/pid
output = /run/stunnel/log
setuid = nobody
setgid = adyton
engine = pkcs11
engineCtrl = MODULE_PATH:{module}
"""
SERVICE = """
[{name}]
accept = 127.0.0.1:{port}
exec = /bin/sh
execArgs = sh /run/stunnel/answer {generation}
engineId = pkcs11
cert = /run/stunnel/{name}.pem
key = {uri}
"""
ANSWER = r"""
while read -r line && [ "${#line}" -gt 1 ]; do :; done
printf 'HTTP/1.1 200 OK\r\n\r\n%s' "$1"
"""


class Stunnel:
    def __init__(self, system: SystemPool) -> None:
        self.system = system
        system.machine.run("install", "-d", "-o", "nobody", "/run/stunnel")
        self._write("answer", ANSWER)
        for name in system.ports:
            self._write(f"{name}.pem", (system.folder / f"{name}.pem").read_text())

    def _write(self, name: str, text: str) -> None:
        self.system.machine.run("sh", "-c", 'printf %s "$1" >"/run/stunnel/$0"', name, text)

    def run(self, generation: str, *words: str) -> None:
        """Runs this on a configuration whose servers answer with the generation."""
        text = CONFIGURATION.format(module=MODULE)
        for name, port in self.system.ports.items():
            text += SERVICE.format(name=name, port=port, generation=generation, uri=key_uri(LABEL, PIN, name))
        self._write("conf", text)
        self.system.machine.run(*words)

    def start(self, generation: str) -> None:
        self.run(generation, "stunnel", "/run/stunnel/conf")

    def reload(self, generation: str) -> None:
        self.run(generation, "pkill", "-HUP", "--pidfile", "/run/stunnel/pid")

    def has_served_all(self) -> bool:
        """Whoever was accepted got the whole answer."""
        log = self.system.machine.run("cat", "/run/stunnel/log")
        return log.count(": 31 byte(s) sent to TLS, ") == log.count("accepted connection from ")


def test_recipe(follow_recipe: Callable[[str], list[str]]) -> None:
    _, tunnel = follow_recipe("stunnel")
    assert tunnel.count("through the tunnel and back\n") == 2
    assert "Certificate accepted at depth=0: CN=server" in tunnel
    assert "Certificate accepted at depth=0: CN=client" in tunnel


def test_reload_under_requests(system: SystemPool) -> None:
    """A reload closes stunnel's ports for a moment, so that the kernel turns some connections away, with keys in files
    as with keys in a token. Whoever stunnel has accepted is served."""
    system.serve()
    system.make_keys()
    stunnel = Stunnel(system)
    stunnel.start("generation-0")
    with requests(system) as threads:
        until(everybody_has(threads, "generation-0"), "stunnel does not answer")
        for number in range(1, 7):
            stunnel.reload(f"generation-{number}")
            until(everybody_has(threads, f"generation-{number}"), f"reload {number} has no effect")
    until(stunnel.has_served_all, "whom stunnel accepted was not served")
    failures = [failure for thread in threads for failure in thread.failures]
    assert all("ConnectionRefusedError" in failure or "ConnectionResetError" in failure for failure in failures)
    with requests(system) as threads:
        until(lambda: all(len(thread.answers) >= 10 or thread.failures for thread in threads), "no answers")
    assert [failure for thread in threads for failure in thread.failures] == []
