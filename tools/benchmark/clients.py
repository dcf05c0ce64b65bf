"""What a whole run of a client costs: tools/bench --clients. Each command line is run on our module and on SoftHSM2's
in turns, our engine running and its partition open; the ratio is taken within the round, and the median of the rounds
counts. No run may take more than LIMIT times as long as SoftHSM2's.

The tokens are alike: two RSA and two EC key pairs, and a certificate for one of each. All lies in memory-backed
folders. A client that is not installed has no row.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import page
from modules import LABEL, PIN, SO_PIN, SOFTHSM, stop_engine

from hsm.client import MODULE

LIMIT = 1.3
KEYS = (
    ("01", "rsa:2048", "rsa"), ("02", "EC:prime256v1", "ec"), ("03", "rsa:3072", "rsa2"), ("04", "EC:secp384r1", "ec2"),
)
PYTHON = """
import sys, pkcs11
token = pkcs11.lib(sys.argv[1]).get_token(token_label=sys.argv[2])
with token.open(user_pin=sys.argv[3]) as session:
    key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="rsa")
    for _ in range(10):
        key.sign(b"data", mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)
    for item in session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY}):
        item.label, item.id, item.key_type
"""


class Side:
    """One module with its token, and what clients need to be told of it."""

    def __init__(self, name: str, module: str, folder: Path) -> None:
        self.name = name
        self.module = module
        self.folder = folder / name
        self.folder.mkdir()
        self.environment = {
            **os.environ, "LC_ALL": "C.UTF-8", "PKCS11_MODULE_PATH": module, "GNUTLS_PIN": PIN,
            "HOME": str(self.folder), "SSH_ASKPASS": str(self.folder / "askpass"), "SSH_ASKPASS_REQUIRE": "force",
        }

    def run(self, *command: str, a_line: bool = False) -> float:
        """Milliseconds; ``a_line``: of each line that it prints."""
        start = time.perf_counter()
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False, timeout=60,
        )
        took = time.perf_counter() - start
        if done.returncode:
            words = done.stdout.decode(errors="replace").strip()
            raise Failed(f"{self.name}: {' '.join(command)}: {words[-800:]}")
        return 1000 * took / (done.stdout.count(b"\n") if a_line else 1)

    def token(self) -> None:
        tool = ("pkcs11-tool", "--module", self.module)
        slot = ("--init-token", "--slot-index", "0", "--label", LABEL, "--so-pin", SO_PIN)
        self.run(*tool, *slot)
        so = ("--login", "--login-type", "so", "--so-pin", SO_PIN)
        self.run(*tool, "--token-label", LABEL, *so, "--init-pin", "--pin", PIN)
        user = (*tool, "--token-label", LABEL, "--login", "--pin", PIN)
        for number, kind, label in KEYS:
            self.run(*user, "--keypairgen", "--key-type", kind, "--id", number, "--label", label)
        for label, number in (("rsa", "01"), ("ec", "02")):
            request = ("req", "-new", "-x509", "-subj", f"/CN={label}", "-key", uri(label), "-out", f"{label}.pem")
            self.run(*openssl(*request))
            self.run("openssl", "x509", "-in", f"{label}.pem", "-outform", "DER", "-out", f"{label}.der")
            self.run(*user, "--write-object", f"{label}.der", "--type", "cert", "--id", number, "--label", label)
        (self.folder / "data").write_bytes(bytes(range(100)))
        (self.folder / "digest").write_bytes(bytes(range(32)))
        (self.folder / "pin").write_text(PIN)
        (self.folder / "askpass").write_text(f"#!/bin/sh\necho {PIN}\n")
        (self.folder / "askpass").chmod(0o700)
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "somebody")
        self.run("sh", "-c", f"ssh-keygen -D {self.module} | grep -m1 ecdsa >ca.pub")
        (self.folder / "script.py").write_text(PYTHON)
        (self.folder / "java").write_text(f"name = bench\nlibrary = {self.module}\nslotListIndex = 0\n")

    def database(self) -> None:
        """NSS's own, with the module in it."""
        (self.folder / "nss").mkdir()
        self.run("certutil", "-N", "-d", "sql:nss", "--empty-password")
        self.run("modutil", "-dbdir", "sql:nss", "-add", "bench", "-libfile", self.module, "-force")


class Failed(Exception):
    """A client's run that did not succeed."""


def uri(label: str) -> str:
    return f"pkcs11:token={LABEL};object={label};type=private;pin-value={PIN}"


def openssl(*words: str) -> tuple[str, ...]:
    return ("openssl", *words, "-engine", "pkcs11", "-keyform", "engine")


class Run(NamedTuple):
    """A row: its name, and the command line, in which MODULE stands for the module's path. ``a_line``: what is listed
    is not as much in both modules, so it is the time of each that is compared."""

    name: str
    command: tuple[str, ...]
    a_line: bool = False


_TOOL = ("pkcs11-tool", "--module", "MODULE", "--token-label", LABEL)
_USER = (*_TOOL, "--login", "--pin", PIN)
_SIGN = (*_USER, "--sign", "--output-file", "signature")
_P11TOOL = ("p11tool", "--provider", "MODULE")
_KEYTOOL = ("keytool", "-keystore", "NONE", "-storetype", "PKCS11", "-providerClass", "sun.security.pkcs11.SunPKCS11",
            "-providerArg", "java", "-storepass", PIN)
_TLS = ("-connect", "localhost:PORT", "-cert", "rsa.pem", "-brief")
RUNS = (
    Run("pkcs11-tool --list-token-slots", ("pkcs11-tool", "--module", "MODULE", "--list-token-slots")),
    Run("pkcs11-tool --list-mechanisms", (*_TOOL, "--list-mechanisms")),
    Run("pkcs11-tool --list-objects", (*_USER, "--list-objects")),
    Run("pkcs11-tool --sign, RSA", (*_SIGN, "--id", "01", "-m", "SHA256-RSA-PKCS", "--input-file", "data")),
    Run("pkcs11-tool --sign, ECDSA", (*_SIGN, "--id", "02", "-m", "ECDSA", "--input-file", "digest")),
    Run("pkcs11-tool --test", (*_USER, "--test")),
    Run("pkcs11-tool --read-object", (*_TOOL, "--read-object", "--type", "cert", "--id", "01", "-o", "read")),
    Run("p11tool --list-tokens", (*_P11TOOL, "--list-tokens")),
    Run("p11tool --list-mechanisms, each of 123 here, of 70 there",
        (*_P11TOOL, "--list-mechanisms", f"pkcs11:token={LABEL}"), a_line=True),
    Run("p11tool --list-all", (*_P11TOOL, "--login", "--list-all", f"pkcs11:token={LABEL}")),
    Run("p11tool --test-sign", (*_P11TOOL, "--login", "--test-sign", uri("rsa").partition(";pin-value")[0])),
    Run("openssl req", openssl("req", "-new", "-subj", "/CN=run", "-key", uri("rsa"), "-out", "request.pem")),
    Run("openssl cms -sign", openssl("cms", "-sign", "-md", "sha256", "-inkey", uri("ec"), "-signer", "ec.pem", "-in",
                                     "data", "-binary", "-out", "message.cms")),
    Run("openssl s_client, its key in the token", openssl("s_client", "-key", uri("rsa"), *_TLS)),
    Run("ssh-keygen -D", ("ssh-keygen", "-D", "MODULE")),
    Run("ssh-keygen -s -D", ("ssh-keygen", "-q", "-s", "ca.pub", "-D", "MODULE", "-I", "somebody", "-n", "somebody",
                             "somebody.pub")),
    Run("certutil -L", ("certutil", "-L", "-d", "sql:nss", "-h", LABEL, "-f", "pin")),
    Run("certutil -K", ("certutil", "-K", "-d", "sql:nss", "-h", LABEL, "-f", "pin")),
    Run("keytool -list", (*_KEYTOOL, "-list")),
    Run("python-pkcs11, 10 signatures", (sys.executable, "script.py", "MODULE", LABEL, PIN)),
)


class Timed(NamedTuple):
    """Milliseconds of each round; of the peer none where its run fails."""

    run: Run
    ours: list[float]
    peer: list[float]

    @property
    def ratio(self) -> float | None:
        return statistics.median(a / b for a, b in zip(self.ours, self.peer, strict=True)) if self.peer else None


@contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    """openssl s_server with a key of its own, which asks for the client's. On a free port."""
    key, certificate = str(folder / "server.key"), str(folder / "server.crt")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/CN=localhost", "-keyout", key, "-out", certificate]
    subprocess.run(make, check=True, capture_output=True)
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    command = ["openssl", "s_server", "-accept", f"localhost:{port}", "-key", key, "-cert", certificate,
               "-verify", "1", "-www"]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing) as server:
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("localhost", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port
        finally:
            server.kill()


@contextmanager
def prepared() -> Iterator[tuple[Side, Side, int]]:
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="adyton-bench-", dir=place))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        os.environ.update(SOFTHSM2_CONF=f"{folder}/softhsm2.conf", ADYTON_HOME=f"{folder}/pool")
        stack.callback(stop_engine)
        ours, peer = Side("ours", str(MODULE), folder), Side("SoftHSM2", SOFTHSM, folder)
        for side in (ours, peer):
            side.token()
            if shutil.which("certutil"):
                side.database()
        yield ours, peer, stack.enter_context(tls_server(folder))


def once(side: Side, run: Run, port: int) -> float:
    words = (word.replace("MODULE", side.module).replace("PORT", str(port)) for word in run.command)
    return side.run(*words, a_line=run.a_line)


def measured(rounds: int, chosen: str, quiet: bool) -> Iterator[Timed]:
    from rich.progress import Progress

    there = [run for run in RUNS if chosen in run.name and shutil.which(run.command[0])]
    shown = Progress(transient=True, disable=quiet or not sys.stderr.isatty())
    with shown as progress, prepared() as (ours, peer, port):
        task = progress.add_task("", total=len(there) * rounds)
        for run in there:
            progress.update(task, description=run.name)
            timed = Timed(run, [], [])
            once(ours, run, port)
            sides = [(ours, timed.ours), (peer, timed.peer)]
            try:
                once(peer, run, port)
            except Failed:
                sides.pop()
            for number in range(rounds):
                for side, times in sides if number % 2 else sides[::-1]:
                    times.append(once(side, run, port))
                progress.advance(task)
            yield timed


def table(rows: list[Timed]) -> page.Table:
    said = []
    for timed in rows:
        peer = page.figure(statistics.median(timed.peer), "ms") if timed.peer else "fails"
        ratio = f"{timed.ratio:.2f}" if timed.ratio is not None else page.NOTHING
        said.append([timed.run.name, page.figure(statistics.median(timed.ours), "ms"), peer, ratio])
    return ["run", "ours, ms", "SoftHSM2, ms", "ratio"], said


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/bench --clients", description=__doc__, epilog="example: tools/bench --clients --only openssl"
    )
    parser.add_argument("--rounds", type=int, default=31, help="of each run (default: 31)")
    parser.add_argument("--only", default="", metavar="WORDS", help="runs whose names have these words")
    parser.add_argument("--json", action="store_true", help="every round's milliseconds as JSON")
    parser.add_argument("--write", action="store_true", help="the table into tools/benchmark/README.md")
    given = parser.parse_args()
    rows = list(measured(given.rounds, given.only, given.json))
    if given.json:
        print(json.dumps({t.run.name: {"ours": t.ours, "SoftHSM2": t.peer, "ratio": t.ratio} for t in rows}))
    else:
        page.draw({"clients": table(rows)})
    if given.write:
        page.write({"clients": table(rows)})
    return int(any(timed.ratio is not None and timed.ratio > LIMIT for timed in rows))


if __name__ == "__main__":
    raise SystemExit(main())
