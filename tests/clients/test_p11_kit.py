"""p11-kit: one module file for all programs, root's or one's own; its server and its remote end carry the token on."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PyKCS11
import pytest
from opensc import tool
from ordinary_user import OrdinaryUser
from system_pool import ADYTON, SystemPool

RECIPES = Path(__file__).parent / "recipes"
CLIENT = next(map(str, Path("/usr/lib").glob("*/pkcs11/p11-kit-client.so")), "")


@pytest.mark.long
def test_recipe(alice: OrdinaryUser) -> None:
    installed, over_socket, through_pipe = alice.follow(RECIPES / "p11-kit.md")
    assert "\nadyton: /mnt/alice/.local/lib/pkcs11/adyton-pkcs11.so\n" in installed
    assert re.search(r"^    token: demo\n +manufacturer: Adyton\n", installed, re.MULTILINE)
    assert re.search(r"^pkcs11:model=Adyton%20token;.*;token=demo$", installed, re.MULTILINE)
    assert re.findall(r"^(\w+) Key Object; RSA", installed, re.MULTILINE) == ["Private", "Public"]  # the newest first
    assert "  SHA256-RSA-PKCS, " in over_socket and over_socket.endswith("Verified OK\n")
    remote = through_pipe.partition("\nelsewhere: ")[2]
    assert "    token: demo\n" in remote and "\nadyton: " not in through_pipe
    assert remote.count("... ok\n") == 3


BY_SSH = """
ssh-keygen -q -t ed25519 -N "" -f host
ssh-keygen -q -t ed25519 -N "" -f user
printf '%s\\n' "HostKey $PWD/host" "AuthorizedKeysFile $PWD/user.pub" >sshd_config
echo "elsewhere $(cat host.pub)" >known_hosts
cat >ssh_config <<END
Host elsewhere
ProxyCommand /usr/sbin/sshd -i -f $PWD/sshd_config
UserKnownHostsFile $PWD/known_hosts
IdentityFile $PWD/user
END
mkdir -p ~/.config/pkcs11/modules
cat >~/.config/pkcs11/modules/elsewhere.module <<END
remote: |ssh -F $PWD/ssh_config elsewhere p11-kit remote $(adyton module-path)
END
p11tool --login --set-pin=1234-demo --generate-privkey rsa --bits 2048 --label far --outfile far.pub pkcs11:token=demo
p11tool --login --set-pin=1234-demo --test-sign 'pkcs11:token=demo;object=far;type=private'
"""


@pytest.mark.long
def test_a_token_at_the_other_end_of_ssh(alice: OrdinaryUser) -> None:
    assert alice.run("bash", "-euo", "pipefail", "-c", BY_SSH).count("... ok\n") == 3
    assert "far" in alice.run("sh", "-c", 'pkcs11-tool --module "$(adyton module-path)" -O --type pubkey')


def test_what_root_installs_everybody_finds(system: SystemPool) -> None:
    """The link for the machine, and the system pool behind it; its /usr/local/lib is not this machine's."""
    system.serve()
    system.machine.run("mkdir", "/mnt/upper", "/mnt/work")
    system.machine.run("mount", "-t", "overlay", "overlay", "/usr/local/lib", "-o",
                       "lowerdir=/usr/local/lib,upperdir=/mnt/upper,workdir=/mnt/work")
    system.machine.run("sh", "-c", f"umask 077; {ADYTON} install-module")
    system.machine.run(
        "sh", "-c", f"cd /mnt && echo 12345678 >so && echo 1234-web >pin && "
        f"{ADYTON} partition create --label web --so-pin-file so --pin-file pin")
    for user in ("root", "www-data"):
        said = system.run_as(user, "p11-kit", "list-modules")
        assert "\nadyton: /usr/local/lib/pkcs11/adyton-pkcs11.so\n" in said and "    token: web\n" in said, user
    assert "    token: web\n" not in system.run_as("nobody", "p11-kit", "list-modules")


@pytest.fixture
def remote(adyton_token: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The token, with p11-kit's client for its module and p11-kit's server behind that."""
    where = tmp_path / "socket"
    command = ["p11-kit", "server", "--foreground", "--provider", adyton_token.module, "--name", str(where),
               f"pkcs11:token={adyton_token.label}"]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not where.exists():
        assert server.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    monkeypatch.setenv("P11_KIT_SERVER_ADDRESS", f"unix:path={where}")
    monkeypatch.setattr(adyton_token, "module", CLIENT)
    yield adyton_token
    server.terminate()
    server.wait(20)


@pytest.mark.long
def test_clients_of_one_server_are_applications_apart(remote: Any) -> None:
    """One is logged in; the other sees none of its private objects, and its own wrong PIN is its own."""
    lib = PyKCS11.PyKCS11Lib()
    lib.load(CLIENT)
    session = lib.openSession(lib.getSlotList(tokenPresent=True)[0], PyKCS11.CKF_RW_SESSION)
    session.login(remote.pin)
    session.createObject([
        (PyKCS11.CKA_CLASS, PyKCS11.CKO_DATA), (PyKCS11.CKA_TOKEN, True), (PyKCS11.CKA_PRIVATE, True),
        (PyKCS11.CKA_LABEL, "kept"), (PyKCS11.CKA_VALUE, b"inside"),
    ])
    assert "kept" not in tool(remote, "--list-objects", login=False)
    wrong = ("--login", "--pin", "not-the-pin", "--list-objects")
    assert "CKR_PIN_INCORRECT" in tool(remote, *wrong, login=False, fails=True)
    assert "kept" in tool(remote, "--list-objects")
    (found,) = session.findObjects([(PyKCS11.CKA_LABEL, "kept")])
    assert bytes(session.getAttributeValue(found, [PyKCS11.CKA_VALUE])[0]) == b"inside"
    session.logout()
    session.closeSession()


@pytest.mark.long
def test_pkcs11_tool_tests_the_token_over_the_socket(remote: Any) -> None:
    """As p11-kit 0.24 carries it: it has no random data of no length, and says CKR_BUFFER_TOO_SMALL itself."""
    tool(remote, "--keypairgen", "--key-type", "rsa:2048", "--label", "all", "--id", "01")
    said = tool(remote, "--test")
    assert "C_GenerateRandom(buf1,0) failed: CKR_BUFFER_TOO_SMALL" in said and "1 errors" in said
    assert said.count(": OK\n") >= 5
