"""Throw-away certificates for `localhost`, and a client that trusts exactly one of them."""

import datetime as dt
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from content.bao._native import TlsServer
from net import tls

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def write_certificate(
    folder: Path, organisation: str, key: PrivateKey | None = None, *, issued_by: "Issuer | None" = None
) -> tuple[Path, Path]:
    """A certificate and its key (P-256 if none is given) as `cert.pem` and `key.pem` in `folder`.

    Self-signed, or issued by an authority, whose certificate then follows in `cert.pem`.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    issuer, issuer_key = (None, key) if issued_by is None else (issued_by.certificate, issued_by.key)
    certificate = _certificate(organisation, key.public_key(), issuer, issuer_key)
    chain = [certificate] if issuer is None else [certificate, issuer]
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
    key_file.write_bytes(pem(key))
    return cert_file, key_file


@dataclass(frozen=True)
class Issuer:
    """A certificate authority between the root that clients trust and the server."""

    root: x509.Certificate
    certificate: x509.Certificate
    key: PrivateKey

    @classmethod
    def new(cls) -> "Issuer":
        """A fresh root, and an authority under it."""
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = _certificate("root", root_key.public_key(), None, root_key, authority=True)
        return cls(root, _certificate("issuer", key.public_key(), root, root_key, authority=True), key)


def pem(
    key: PrivateKey,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    pass_phrase: bytes | None = None,
) -> bytes:
    """A private key in PEM."""
    secret: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if pass_phrase is not None:
        secret = serialization.BestAvailableEncryption(pass_phrase)
    return key.private_bytes(serialization.Encoding.PEM, form, secret)


def _certificate(
    organisation: str,
    public: CertificatePublicKeyTypes,
    issuer: x509.Certificate | None,
    issuer_key: PrivateKey,
    *,
    authority: bool = False,
) -> x509.Certificate:
    common = organisation if authority else "localhost"
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
        ]
    )
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(authority or issuer is None, None), critical=False)
        .sign(issuer_key, None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )


def serving(files: tuple[Path, Path]) -> tls.TlsServer:
    """What a listener with this certificate and key needs."""
    return tls.load(*files, TlsServer)


def trusting(cert_file: Path) -> ssl.SSLContext:
    """A client context that trusts `cert_file` and nothing else."""
    context = ssl.create_default_context(cafile=str(cert_file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
