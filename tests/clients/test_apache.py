"""Apache httpd serves TLS with keys of the system pool: started as root, its workers www-data, no environment kept."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from openssl_engine import key_uri
from requests_under_way import everybody_has, requests, until
from system_pool import LABEL, PIN, SystemPool

pytestmark = pytest.mark.long

MODULES = "/usr/lib/apache2/modules"
CONFIGURATION = """
ServerRoot /run
ServerName localhost
PidFile /run/apache2.pid
ErrorLog {folder}/apache.log
LogLevel ssl:warn
User www-data
Group www-data
{modules}
StartServers 2
SSLCryptoDevice pkcs11
SSLSessionCache none
DocumentRoot /var/lib/www/{generation}
DirectoryIndex index
<Directory /var/lib/www>
  Require all granted
</Directory>
"""
SERVER = """
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
  SSLEngine on
  SSLCertificateFile {folder}/{name}.pem
  SSLCertificateKeyFile "{uri}"
</VirtualHost>
"""


class Apache:
    def __init__(self, system: SystemPool, kind: str) -> None:
        """``kind``: the multi-processing module."""
        self.system = system
        names = (f"mpm_{kind}", "authz_core", "dir", "ssl")
        self.modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in names)

    def run(self, generation: str, signal: str) -> None:
        """Starts it, or hands it a signal, on a configuration whose servers answer with the generation."""
        system, folder = self.system, self.system.folder
        system.machine.run("install", "-d", f"/var/lib/www/{generation}")
        system.machine.run("sh", "-c", 'printf %s "$1" >"/var/lib/www/$1/index"', "sh", generation)
        text = CONFIGURATION.format(folder=folder, modules=self.modules, generation=generation)
        for name, port in system.ports.items():
            text += SERVER.format(folder=folder, name=name, port=port, uri=key_uri(LABEL, PIN, name))
        (folder / "apache.conf").write_text(text)
        system.machine.run("apache2", "-f", f"{folder}/apache.conf", "-k", signal)

    def log(self) -> str:
        return (self.system.folder / "apache.log").read_text()


def test_recipe(follow_on_machine: Callable[[str], list[str]]) -> None:
    _, _, seen = follow_on_machine("apache")
    assert seen.count("signed for by the token\n") == 2


@pytest.mark.parametrize("kind", ["event", "prefork"])
def test_reload_under_requests(system: SystemPool, kind: str) -> None:
    """Each time the modules and keys are loaded anew and workers forked; no request notices."""
    system.serve()
    system.make_keys()
    apache = Apache(system, kind)
    apache.run("generation-0", "start")
    with requests(system) as threads:
        until(everybody_has(threads, "generation-0"), "Apache does not answer")
        for number in range(1, 7):
            apache.run(f"generation-{number}", "graceful")
            until(everybody_has(threads, f"generation-{number}"), f"reload {number} has no effect")
    log = apache.log()
    assert [failure for thread in threads for failure in thread.failures] == [], log
    assert not re.search(r":(error|crit|alert|emerg)\]|exit signal", log), log
    users = system.machine.run("ps", "-C", "apache2", "-o", "user=").split()
    assert users.count("root") == 1 and set(users) == {"root", "www-data"}


def test_the_engine_is_killed_under_apache(system: SystemPool) -> None:
    """Requests fail at once, none hangs. Apache works again once it has been started again: libp11 0.4.12 keeps the
    sessions of the engine that is gone, and Apache's reload keeps libp11."""
    system.serve()
    system.make_keys()
    apache = Apache(system, "event")
    apache.run("before", "start")
    with requests(system) as threads:
        until(everybody_has(threads, "before"), "Apache does not answer")
        system.kill_engine()
        until(lambda: all(thread.failures for thread in threads), "nobody noticed")
    failures = [failure for thread in threads for failure in thread.failures]
    assert all("internal error" in failure for failure in failures), failures
    apache.run("after", "stop")
    until(lambda: not system.machine.run("sh", "-c", "pgrep -x apache2 || true"), "Apache does not stop")
    apache.run("after", "start")
    with requests(system) as threads:
        until(lambda: all(len(thread.answers) >= 10 or thread.failures for thread in threads), "no answers")
    assert [failure for thread in threads for failure in thread.failures] == [], apache.log()
