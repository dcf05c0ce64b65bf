"""Two applications under different officers on one partition, python-pkcs11 and pkcs11-tool, neither of which knows of
roles: each logs in by ``name:pin`` and is stopped where its officer's roles stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from opensc import tool
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from hsm.client import Client
from pkcs11_shim import constants as ck

TEXT = b"a page that is to be signed"
# Unless it is told, pkcs11-tool makes secret keys that are not private: anybody may, and anybody sees and uses them.
SECRET = ("--private", "--sensitive")
CURVE = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
# Codes that python-pkcs11 has no exceptions of its own for.
PROHIBITED, NOT_PERMITTED = ck.CKR_ACTION_PROHIBITED, ck.CKR_KEY_FUNCTION_NOT_PERMITTED


def refused(rv: int) -> Any:
    return pytest.raises(pkcs11.exceptions.PKCS11Error, match=f"Unmapped error code {rv:#x}$")


class Office:
    """The partition's officers, as its SO makes them."""

    def __init__(self, token: Any) -> None:
        self.token = token

    def ask(self, act: str, **fields: Any) -> dict[str, Any]:
        with Client(self.token.home) as client:
            return client.ask(act, slot=0, **{"as": "so", "pin": self.token.so_pin, **fields})

    def officer(self, name: str, *roles: tuple[str, str]) -> str:
        """A new one; what a client gives as its PIN."""
        self.ask("officer-create", name=name, new_pin=f"{name}-pin")
        for role, scope in roles:
            self.ask("role-assignment-create", assignee=name, role=role, scope=scope)
        return f"{name}:{name}-pin"

    def tool(self, pin: str, *words: str, fails: bool = False) -> str:
        """pkcs11-tool, as this officer."""
        words = ("--token-label", self.token.label, "--login", "--pin", pin, *words)
        return tool(self.token, *words, login=False, fails=fails)


@pytest.fixture
def office(adyton_token: Any) -> Office:
    return Office(adyton_token)


@pytest.fixture
def library(adyton_token: Any) -> Iterator[Any]:
    module = pkcs11.lib(adyton_token.module)
    try:
        yield module.get_token(token_label=adyton_token.label)
    finally:
        module.finalize()


def pair(session: Any, label: str) -> tuple[Any, Any]:
    parameters = session.create_domain_parameters(KeyType.EC, CURVE, local=True)
    public, private = parameters.generate_keypair(store=True, label=label)
    return public, private


def test_the_signer_and_the_storage_service(office: Office, library: Any, tmp_path: Path) -> None:
    """python-pkcs11 signs pages with one key; pkcs11-tool wraps data keys with another; neither sees the other's."""
    signer = office.officer("signer", ("Crypto User", "/keys/pages"))
    storage = office.officer("storage", ("Crypto Service Encryption User", "/keys/kek"))
    keeper = office.officer("keeper", ("Crypto User", "/"))
    office.tool(keeper, "--keygen", "--key-type", "AES:32", "--label", "kek", "--id", "01", "--usage-wrap", *SECRET)
    with library.open(rw=True, user_pin=signer) as session:
        _, private = pair(session, "pages")
        signature = private.sign(TEXT, mechanism=Mechanism.ECDSA_SHA256)
        # The signer stops at other names, and has never heard of the key that wraps.
        for label in ("letters", "kek", ""):
            with pytest.raises(pkcs11.exceptions.UserNotLoggedIn):
                pair(session, label)
        with pytest.raises(pkcs11.exceptions.UserNotLoggedIn):
            session.generate_key(KeyType.AES, 256, store=True, label="kek")
        with pytest.raises(pkcs11.exceptions.NoSuchKey):
            session.get_key(label="kek")
        assert {key.label for key in session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})} == {"pages"}

        # Meanwhile pkcs11-tool is another application under another officer.
        said = office.tool(storage, "--list-objects")
        assert "Public Key Object" in said and "Private Key Object" not in said
        assert said.count("Secret Key Object") == 1 and "label:      kek" in said
        page = tmp_path / "page"
        page.write_bytes(TEXT)
        sign = ("--sign", "--mechanism", "ECDSA-SHA256", "--signature-format", "openssl", "--input-file", str(page))
        out = ("--output-file", str(tmp_path / "signature"))
        assert "not found" in office.tool(storage, *sign, "--label", "pages", *out, fails=True)
        encrypt = ("--encrypt", "--mechanism", "AES-ECB", "--input-file", str(page), *out)
        assert "CKR_KEY_FUNCTION_NOT_PERMITTED" in office.tool(storage, *encrypt, "--id", "01", fails=True)
        keygen = ("--keygen", "--key-type", "AES:32", "--label", "kek", *SECRET)
        assert "CKR_USER_NOT_LOGGED_IN" in office.tool(storage, *keygen, fails=True)
        delete = ("--delete-object", "--type", "secrkey", "--id", "01")
        assert f"({PROHIBITED:#x})" in office.tool(storage, *delete, fails=True)

        # The first is where it was, and what it signed is right.
        again = private.sign(TEXT, mechanism=Mechanism.ECDSA_SHA256)
        point = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label="pages")[Attribute.EC_POINT][2:]
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    for raw in (signature, again):
        der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key.verify(der, TEXT, ec.ECDSA(hashes.SHA256()))


def test_a_data_key_goes_from_one_application_to_the_other(office: Office, library: Any, tmp_path: Path) -> None:
    """pkcs11-tool, as who may import, brings in a key; python-pkcs11, as a storage service, wraps data keys with it;
    and pkcs11-tool with that service's officer unwraps the blob into nothing that would stay."""
    keeper = office.officer("keeper", ("Crypto User", "/"))
    storage = office.officer("storage", ("Crypto Service Encryption User", "/keys/kek"))
    office.tool(keeper, "--keygen", "--key-type", "AES:32", "--label", "kek", "--id", "01", "--usage-wrap", *SECRET)
    with library.open(rw=True, user_pin=storage) as session:
        kek = session.get_key(label="kek")
        template = {Attribute.EXTRACTABLE: True, Attribute.WRAP: False, Attribute.UNWRAP: False}
        data_key = session.generate_key(KeyType.AES, 256, template=template)
        sealed = data_key.encrypt(TEXT, mechanism=Mechanism.AES_CBC_PAD, mechanism_param=bytes(16))
        blob = kek.wrap_key(data_key, mechanism=Mechanism.AES_KEY_WRAP)
        opened = kek.unwrap_key(
            ObjectClass.SECRET_KEY, KeyType.AES, blob, mechanism=Mechanism.AES_KEY_WRAP,
            template={Attribute.WRAP: False, Attribute.UNWRAP: False})
        assert opened.decrypt(sealed, mechanism=Mechanism.AES_CBC_PAD, mechanism_param=bytes(16)) == TEXT
        with pytest.raises(pkcs11.exceptions.UserNotLoggedIn):
            kek.unwrap_key(ObjectClass.SECRET_KEY, KeyType.AES, blob, mechanism=Mechanism.AES_KEY_WRAP, store=True)
        with refused(PROHIBITED):
            kek.destroy()
        with refused(PROHIBITED):
            kek[Attribute.LABEL] = "mine"
        with refused(NOT_PERMITTED):
            kek.encrypt(TEXT, mechanism=Mechanism.AES_CBC_PAD, mechanism_param=bytes(16))
    file = tmp_path / "blob"
    file.write_bytes(blob)
    unwrap = ("--unwrap", "--mechanism", "AES-KEY-WRAP", "--id", "01", "--input-file", str(file), "--key-type", "AES:",
              "--application-id", "02", "--application-label", "data", *SECRET)
    assert "CKR_USER_NOT_LOGGED_IN" in office.tool(storage, *unwrap, fails=True)
    office.tool(keeper, *unwrap)


def test_an_auditor_and_an_administrator_look_and_touch_nothing(
    office: Office, library: Any, adyton_token: Any, tmp_path: Path
) -> None:
    auditor = office.officer("auditor", ("Crypto Auditor", "/"))
    admin = office.officer("admin", ("Administrator", "/"))
    signer = office.officer("signer", ("Crypto User", "/keys/pages"))
    page = tmp_path / "page"
    page.write_bytes(TEXT)
    with library.open(rw=True, user_pin=signer) as session:
        public, _ = pair(session, "pages")
        point = public[Attribute.EC_POINT]
    said = office.tool(auditor, "--list-objects")
    assert "Private Key Object" in said and point.hex() in said.lower()
    sign = ("--sign", "--mechanism", "ECDSA-SHA256", "--input-file", str(page), "--output-file", str(tmp_path / "out"))
    assert "CKR_KEY_FUNCTION_NOT_PERMITTED" in office.tool(auditor, *sign, "--label", "pages", fails=True)
    # An Administrator is no user, and as security officer it has no keys.
    assert "CKR_PIN_INCORRECT" in office.tool(admin, "--list-objects", fails=True)
    words = ("--token-label", adyton_token.label, "--login", "--session-rw", "--login-type", "so", "--so-pin", admin)
    said = tool(adyton_token, *words, "--list-objects", login=False)
    assert "Public Key Object" in said and "Private Key Object" not in said
    assert "not found" in tool(adyton_token, *words, *sign, "--label", "pages", login=False, fails=True)


def test_a_running_application_is_stopped_when_its_role_is_taken_away(office: Office, library: Any) -> None:
    signer = office.officer("signer", ("Crypto User", "/keys/pages"))
    with library.open(rw=True, user_pin=signer) as session:
        _, private = pair(session, "pages")
        private.sign(TEXT, mechanism=Mechanism.ECDSA_SHA256)
        (found,) = office.ask("role-assignment-list", assignee="signer")["assignments"]
        office.ask("role-assignment-delete", name=found["name"])
        with pytest.raises(pkcs11.exceptions.KeyHandleInvalid):
            private.sign(TEXT, mechanism=Mechanism.ECDSA_SHA256)
        office.ask("role-assignment-create", assignee="signer", role="Crypto Auditor", scope="/")
        with refused(NOT_PERMITTED):
            private.sign(TEXT, mechanism=Mechanism.ECDSA_SHA256)
