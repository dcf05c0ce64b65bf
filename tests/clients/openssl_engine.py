"""OpenSSL 3.0 with Debian's libengine-pkcs11-openssl in front of a token: its configuration, and how tests run it."""

from __future__ import annotations

import glob
import os
import subprocess
from pathlib import Path

ENGINE = next(iter(glob.glob("/usr/lib/*/engines-3/pkcs11.so")), "libengine-pkcs11-openssl is not installed")

# The recipe: what a machine's openssl.cnf needs, whose head (Debian's) names the section openssl_init already.
# init = 1, since nginx loads a key without initialising the engine first.
RECIPE = """
[openssl_init]
engines = engines

[engines]
pkcs11 = pkcs11

[pkcs11]
engine_id = pkcs11
dynamic_path = {engine}
MODULE_PATH = {module}
init = 1
"""

# What names a key to OpenSSL's commands, for each word that they give it.
IN_TOKEN = ("-engine", "pkcs11", "-keyform", "engine")


def configuration(module: str) -> str:
    """A whole openssl.cnf: the machine's, and the recipe."""
    return ".include /etc/ssl/openssl.cnf\n" + RECIPE.format(engine=ENGINE, module=module)


def key_uri(label: str, pin: str, name: str) -> str:
    return f"pkcs11:token={label};object={name};type=private;pin-value={pin}"


class OpenSSL:
    """openssl(1) and pkcs11-tool in one folder, with one token."""

    def __init__(self, folder: Path, module: str, label: str, pin: str) -> None:
        self.folder = folder
        self.module, self.label, self.pin = module, label, pin
        (folder / "openssl.cnf").write_text(configuration(module))

    def uri(self, name: str) -> str:
        return key_uri(self.label, self.pin, name)

    def environment(self, words: tuple[str, ...]) -> dict[str, str]:
        """What needs no token is done without the engine, which changes what OpenSSL does in software, too."""
        named = self.folder / "openssl.cnf" if "pkcs11" in words else Path("/etc/ssl/openssl.cnf")
        return {**os.environ, "OPENSSL_CONF": str(named)}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["openssl", *words], cwd=self.folder, env=self.environment(words), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    def run(self, *words: str, fails: bool = False) -> str:
        """What it printed; asserts that it succeeded, or that it failed."""
        done = subprocess.run(
            ["openssl", *words], cwd=self.folder, env=self.environment(words), text=True, capture_output=True,
            timeout=60,
        )
        assert (done.returncode != 0) == fails, f"openssl {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def make_key(self, kind: str, name: str, key_id: str = "01") -> None:
        command = ["pkcs11-tool", "--module", self.module, "--token-label", self.label, "--login", "--pin", self.pin]
        command += ["--keypairgen", "--key-type", kind, "--label", name, "--id", key_id]
        done = subprocess.run(command, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def self_sign(self, name: str, subject: str = "", *more: str) -> str:
        """A self-signed certificate of the key, NAME.pem."""
        self.run("req", "-new", "-x509", "-days", "30", "-sha256", *IN_TOKEN, "-key", self.uri(name),
                 "-subj", subject or f"/CN={name}", "-out", f"{name}.pem", *more)
        return f"{name}.pem"

    def public(self, name: str) -> str:
        """The key's public half in a file of its own, NAME.pub, for OpenSSL to verify with by itself."""
        self.run("pkey", "-engine", "pkcs11", "-inform", "engine", "-in", self.uri(name), "-pubout",
                 "-out", f"{name}.pub")
        return f"{name}.pub"
