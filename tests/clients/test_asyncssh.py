"""asyncssh logs in with keys of a token: to a real sshd, and to its own server whose host keys are in the token."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ALGORITHMS = ["rsa-sha2-256", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"]

# Each key logs in with each of its algorithms, five times, all of them at once: threads of one process sign in one
# session of the token, for both sides. (A pair of asyncssh's holds the algorithm that it was last asked for, so each
# side of each connection has pairs of its own.)
AT_ONCE = """
import asyncio, sys
import asyncssh

module, = sys.argv[1:]
algorithms = {"rsa-sha2-256": 2, "rsa-sha2-512": 2, "ecdsa-sha2-nistp256": 1, "ecdsa-sha2-nistp384": 0}
trusted = [asyncssh.import_public_key(line) for line in open("authorized_keys")]


def load(**chosen):
    return asyncssh.load_pkcs11_keys(module, pin="1234-demo", token_label="demo", **chosen)


async def login(port, algorithm, host):
    key = load()[algorithms[algorithm]]
    async with asyncssh.connect(
        "127.0.0.1", port, username="somebody", client_keys=[key], signature_algs=[algorithm],
        server_host_key_algs=[host], known_hosts=(trusted, [], []), agent_path=None, config=None,
    ) as connection:
        return (await connection.run("", check=True)).stdout


def answer(process):
    process.stdout.write(process.get_extra_info("username"))
    process.exit(0)


async def main():
    async with asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=load(), authorized_client_keys="authorized_keys", process_factory=answer,
    ) as server:
        hosts = list(algorithms)
        logins = [login(server.get_port(), algorithm, hosts[number % 3]) for number, algorithm in enumerate(hosts * 5)]
        told = await asyncio.gather(*logins)
    print(*sorted(set(told)), len(told))


assert [key.get_algorithm() for key in load(key_label="ssh EC:secp384r1")] == ["ecdsa-sha2-nistp384"]
asyncio.run(main())
"""


def test_recipe(follow_recipe: Callable[[str], list[str]], newcomer: dict[str, str], tmp_path: Path) -> None:
    _, _, logins = follow_recipe("asyncssh")
    # asyncio may add that the sshd was gone before its watcher of children saw it go.
    logged_in = [line for line in logins.splitlines() if line.endswith(" logged in")]
    assert logged_in == [f"{algorithm} logged in" for algorithm in ALGORITHMS[::-1]], logins  # newest first
    log = (tmp_path / "sshd.log").read_text()
    assert log.count("Accepted publickey for ") == len(ALGORITHMS), log
    module = subprocess.check_output(["adyton", "module-path"], env=newcomer, text=True).strip()
    done = subprocess.run([sys.executable, "-c", AT_ONCE, module], env=newcomer, cwd=tmp_path, capture_output=True,
                          text=True, timeout=60)
    assert done.stdout == "somebody 20\n", done.stderr
