"""The system pool on a machine of its own, installed by what its units say, with nginx in front of its keys."""

from __future__ import annotations

import json
import re
import shlex
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import Machine
from openssl_engine import ENGINE, RECIPE, key_uri

from hsm.client import MODULE

ROOT = Path(__file__).resolve().parents[2]
REACHABLE = (ROOT, Path(sys.base_prefix), Path(sys.prefix))
SYSTEMD = str(Path(__file__).with_name("systemd_stand_in.py"))
ADYTON = str(Path(sys.executable).parent / "adyton")
LABEL, PIN, SO_PIN = "web", "1234-5678", "8765-4321"
KEYS = {"rsa": "rsa:2048", "ec": "EC:prime256v1"}
NGINX = """
user www-data;
worker_processes 2;
error_log {folder}/error.log notice;
events {{ worker_connections 64; }}
http {{
  access_log off;
  ssl_protocols TLSv1.2 TLSv1.3;
  {servers}
}}
"""
SERVER = """
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/{name}.pem;
    ssl_certificate_key "engine:pkcs11:{uri}";
    location / {{ return 200 "{generation}"; }}
  }}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SystemPool:
    """``folder``: for certificates, configuration and logs."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine, self.folder = machine, folder
        self.ports = {name: free_port() for name in KEYS}

    # -- the engine

    def install(self) -> None:
        """What the unit's head says, and what systemd makes for it."""
        self.units = {
            kind: self.machine.run(ADYTON, "serve", "--print-unit", kind, stderr=subprocess.DEVNULL)
            for kind in ("service", "socket")
        }
        for command in re.findall(r"^#.*:\s+(user(?:add|mod) .*)$", self.units["service"], re.MULTILINE):
            self.machine.run(*shlex.split(command))
        for kind, unit in self.units.items():
            (self.folder / f"adyton.{kind}").write_text(unit)

    def serve(self) -> None:
        """The two units under a stand-in for systemd, until its socket listens."""
        with open(self.folder / "engine.log", "a") as log:
            systemd = self.machine.start(sys.executable, "-I", SYSTEMD, str(self.folder), stdout=subprocess.PIPE,
                                         stderr=log)
        assert systemd.stdout is not None and systemd.stdout.readline() == "listening\n", self.log()

    def log(self) -> str:
        return (self.folder / "engine.log").read_text()

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.machine.run(ADYTON, "status", "--json"))
        return told

    def kill_engine(self) -> None:
        self.machine.run("kill", "-9", str(self.status()["engine"]["pid"]))

    def run_as(self, user: str, *words: str, **more: Any) -> str:
        (group,) = self.machine.run("id", "-gn", user).split()
        return self.machine.run("setpriv", "--reuid", user, "--regid", group, "--init-groups", *words, **more)

    def tool(self, *words: str, user: str = "root", **more: Any) -> str:
        return self.run_as(user, "pkcs11-tool", "--module", str(MODULE), *words, **more)

    # -- nginx

    def make_keys(self) -> None:
        """A token with a key and a certificate for each of nginx's servers, and OpenSSL's configuration."""
        recipe = RECIPE.format(engine=ENGINE, module=MODULE)
        self.machine.run("sh", "-c", 'printf %s "$1" >>/etc/ssl/openssl.cnf', "sh", recipe)
        self.tool("--init-token", "--slot", "0", "--label", LABEL, "--so-pin", SO_PIN)
        self.tool("--login", "--login-type", "so", "--so-pin", SO_PIN, "--init-pin", "--pin", PIN)
        login = ("--login", "--pin", PIN)
        for number, (name, kind) in enumerate(KEYS.items(), 1):
            self.tool(*login, "--keypairgen", "--key-type", kind, "--label", name, "--id", f"{number:02}")
            self.machine.run(
                "openssl", "req", "-new", "-x509", "-days", "30", "-engine", "pkcs11", "-keyform", "engine",
                "-key", key_uri(LABEL, PIN, name), "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost",
                "-out", f"{self.folder}/{name}.pem",
            )

    def nginx(self, generation: str, *words: str) -> None:
        """Runs nginx with these words, on a configuration whose servers answer with the generation."""
        servers = "".join(
            SERVER.format(folder=self.folder, name=name, port=port, uri=key_uri(LABEL, PIN, name),
                          generation=generation)
            for name, port in self.ports.items()
        )
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, servers=servers))
        self.machine.run("mkdir", "-p", "/var/lib/nginx")
        self.machine.run("nginx", "-c", f"{self.folder}/nginx.conf", "-e", f"{self.folder}/error.log", *words)

    def ask(self, name: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str:
        """One request over a connection and a TLS session of its own: the key in the token signs for it."""
        context = ssl.create_default_context(cafile=str(self.folder / f"{name}.pem"))
        context.minimum_version = context.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", self.ports[name]), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            assert not secured.session_reused
            secured.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = b"".join(iter(lambda: secured.recv(4096), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), answer
        return body.decode()
