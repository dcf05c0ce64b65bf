"""A program: pyHanko signs a PDF with each kind of key in each way that it knows, and verifies what it has signed.

Its arguments are the module, the token's label and its PIN; it prints a line for each signature that it found good. The
certificates are issued by an authority outside of the token, from the keys' public halves alone.
"""

from __future__ import annotations

import datetime
import io
import sys
from typing import Any

import pkcs11
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key
from pyhanko.pdf_utils.generic import ArrayObject, StreamObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.pkcs11 import PKCS11Signer
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

AUTHORITY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
NOW = datetime.datetime.now(datetime.UTC)
WAYS: list[tuple[str, str, dict[str, Any]]] = [
    ("rsa", "sha256", {}), ("rsa", "sha512", {}), ("rsa", "sha256", {"use_raw_mechanism": True}),
    ("rsa", "sha256", {"prefer_pss": True}), ("rsa", "sha384", {"prefer_pss": True}),
    ("secp256r1", "sha256", {}), ("secp384r1", "sha384", {}), ("secp521r1", "sha512", {}),
    ("secp256r1", "sha256", {"use_raw_mechanism": True}), ("ed25519", "sha512", {}),
]



def issue(subject: str, public: Any, *extensions: tuple[x509.ExtensionType, bool]) -> asn1_x509.Certificate:
    builder = x509.CertificateBuilder().issuer_name(NAME).public_key(public).serial_number(x509.random_serial_number())
    builder = builder.subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
    builder = builder.not_valid_before(NOW - datetime.timedelta(1)).not_valid_after(NOW + datetime.timedelta(1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(AUTHORITY, hashes.SHA256())
    return asn1_x509.Certificate.load(made.public_bytes(serialization.Encoding.DER))


def usage(*uses: str) -> tuple[x509.KeyUsage, bool]:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{use: use in uses for use in every}), True


def on_curve(session: Any, key_type: KeyType, curve: str) -> Any:
    return session.create_domain_parameters(
        key_type, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True)


def make_key(session: Any, kind: str) -> None:
    """The key, and its certificate beside it, under the name of its kind."""
    more = {"id": kind.encode(), "label": kind, "store": True}
    known: Any
    if kind == "rsa":
        public, _ = session.generate_keypair(KeyType.RSA, 2048, **more)
        known = serialization.load_der_public_key(encode_rsa_public_key(public))
    elif kind == "ed25519":
        public, _ = on_curve(session, KeyType.EC_EDWARDS, "1.3.101.112").generate_keypair(**more)
        known = ed25519.Ed25519PublicKey.from_public_bytes(bytes(public[Attribute.EC_POINT])[-32:])
    else:
        public, _ = on_curve(session, KeyType.EC, kind).generate_keypair(**more)
        known = serialization.load_der_public_key(encode_ec_public_key(public))
    certificate = issue(kind, known, usage("digital_signature", "content_commitment"))
    session.create_object({
        Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
        Attribute.TOKEN: True, Attribute.LABEL: kind, Attribute.ID: kind.encode(),
        Attribute.SUBJECT: certificate.subject.dump(), Attribute.VALUE: certificate.dump(),
    })


def blank_document() -> bytes:
    document, out = PdfFileWriter(), io.BytesIO()
    contents = document.add_object(StreamObject(stream_data=b""))
    document.insert_page(PageObject(contents=contents, media_box=ArrayObject([0, 0, 595, 842])))
    document.write(out)
    return out.getvalue()


def main(module: str, label: str, pin: str) -> None:
    root = issue("authority", AUTHORITY.public_key(), (x509.BasicConstraints(ca=True, path_length=None), True),
                 usage("key_cert_sign"))
    trusted = ValidationContext(trust_roots=[root])
    token = pkcs11.lib(module).get_token(token_label=label)
    with token.open(rw=True, user_pin=pin) as session:
        for kind in dict.fromkeys(kind for kind, _, _ in WAYS):
            make_key(session, kind)
        for kind, digest, way in WAYS:
            signer = PKCS11Signer(session, cert_label=kind, ca_chain=[root], **way)
            signed = signers.sign_pdf(
                IncrementalPdfFileWriter(io.BytesIO(blank_document())),
                signers.PdfSignatureMetadata(field_name="Approved", md_algorithm=digest), signer,
            )
            signature = PdfFileReader(signed).embedded_signatures[0]
            status = validate_pdf_signature(signature, trusted)
            assert status.bottom_line, (kind, digest, way, status.pretty_print_details())
            print(kind, digest, *way, status.pkcs7_signature_mechanism)


if __name__ == "__main__":
    main(*sys.argv[1:])
