"""Programs of users of the machine that are officers by that alone: they give no PIN, and a restart asks for none."""

from __future__ import annotations

import re

from system_pool import ADYTON, LABEL, PIN, SO_PIN, SystemPool

SIGN = ("--login", "--sign", "--mechanism", "ECDSA", "--label", "web", "--input-file")


def with_officer(system: SystemPool) -> None:
    """www-data is the officer ``web``, who may use the key of that name."""
    system.serve()
    system.tool("--init-token", "--slot", "0", "--label", LABEL, "--so-pin", SO_PIN)
    system.tool("--login", "--login-type", "so", "--so-pin", SO_PIN, "--init-pin", "--pin", PIN)
    system.tool("--login", "--pin", PIN, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "web")
    system.machine.run("sh", "-c", f"""
        set -e
        install -d -o adyton -m 700 /etc/adyton-keys
        head -c 32 /dev/zero >/tmp/digest
        printf %s '{SO_PIN}' >/root/so-pin; printf %s '{PIN}' >/root/pin
        {ADYTON} officer create web --uid www-data --as so --pin-file /root/so-pin
        {ADYTON} role assignment create --assignee web --role 'Crypto User' --scope /keys/web \\
            --as so --pin-file /root/so-pin""")


def unattended(system: SystemPool, path: str, *, fails: bool = False) -> str:
    words = ("partition", "unattended", "0", "--key-file", path, "--as", "user", "--pin-file", "/root/pin")
    return system.machine.run(ADYTON, *words, fails=fails)


def test_a_systemd_credential_is_a_key_file(system: SystemPool) -> None:
    """As systemd hands it out: root's, with a right for the service's user that shows as the group's. Elsewhere such a
    file may be read by anybody of that group."""
    with_officer(system)
    system.machine.run("sh", "-c", """
        set -e
        mkdir -p /run/credentials/adyton.service
        for file in /run/credentials/adyton.service/unseal /etc/unseal; do
            head -c 32 /dev/urandom >$file; chown root:adyton $file; chmod 440 $file
        done""")
    assert "others than the engine's user" in unattended(system, "/etc/unseal", fails=True)
    unattended(system, "/run/credentials/adyton.service/unseal")
    system.kill_engine()
    system.tool(*SIGN, "/tmp/digest", "--output-file", "/tmp/signature", user="www-data")


def test_a_server_signs_after_a_restart_with_nobody_there(system: SystemPool) -> None:
    with_officer(system)
    unattended(system, "/etc/adyton-keys/unseal")
    assert system.machine.run("stat", "-c", "%A %U", "/etc/adyton-keys/unseal") == "-rw------- adyton\n"
    pad = re.compile("token flags.*PIN pad present")
    assert pad.search(system.tool("-L", user="www-data")) and not pad.search(system.tool("-L"))
    for number in range(3):
        if number:
            system.kill_engine()
        system.tool(*SIGN, "/tmp/digest", "--output-file", f"/tmp/signature-{number}", user="www-data")
        assert system.machine.run("stat", "-c", "%s", f"/tmp/signature-{number}") == "64\n"
    # What it may do ends where its role does, and nobody else is who it is.
    make = ("--login", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "no")
    said = system.tool(*make, user="www-data", fails=True)
    assert "CKR_USER_NOT_LOGGED_IN" in said
    assert "enter User PIN" in system.tool(*SIGN, "/tmp/digest", "--output-file", "/tmp/none", fails=True)
    # Without the file a restart needs somebody with a PIN.
    system.machine.run("mv", "/etc/adyton-keys/unseal", "/etc/adyton-keys/gone")
    system.kill_engine()
    said = system.tool(*SIGN, "/tmp/digest", "--output-file", "/tmp/none", user="www-data", fails=True)
    assert "CKR_FUNCTION_FAILED" in said
    assert "/etc/adyton-keys/unseal" in system.run_as("www-data", ADYTON, "explain")
