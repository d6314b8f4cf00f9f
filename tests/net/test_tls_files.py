"""Certificates and keys as files: every kind that is taken, and what is said of those that are not."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from runtime.errors import UsageError
from tests.net.certificates import Issuer, PrivateKey, pem, serving, trusting, write_certificate
from tests.net.tls_pair import Pair

TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL  # PKCS#1 for RSA, SEC1 for ECDSA
PKCS8 = serialization.PrivateFormat.PKCS8
RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def check(files: tuple[Path, Path], trusted: Path) -> None:
    """A handshake and a request, with both versions."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trusting(trusted)
        context.minimum_version = context.maximum_version = version
        with Pair(serving(files), context) as pair:
            pair.shake()
            assert pair.client.version() == version.name.replace("v1_", "v1.")
            assert pair.feed(pair.seal(b"hello")) == b"hello"


@pytest.mark.parametrize(
    ("key", "form"),
    [
        (RSA, TRADITIONAL),
        (RSA, PKCS8),
        (P256, TRADITIONAL),
        (P256, PKCS8),
        (P384, TRADITIONAL),
        (P384, PKCS8),
        (ED25519, PKCS8),
    ],
)
def test_every_kind_of_key_in_every_form_serves(
    tmp_path: Path, key: PrivateKey, form: serialization.PrivateFormat
) -> None:
    files = write_certificate(tmp_path, "any", key)
    files[1].write_bytes(pem(key, form))
    check(files, files[0])


def test_what_stands_around_the_key_does_not_matter(tmp_path: Path) -> None:
    files = write_certificate(tmp_path, "any", P256)
    text = b"# a comment\r\n" + EC_PARAMETERS + pem(P256, TRADITIONAL).replace(b"\n", b"\r\n")
    files[1].write_bytes(text)
    check(files, files[0])
    both = tmp_path / "both.pem"
    both.write_bytes(files[0].read_bytes() + files[1].read_bytes())
    check((both, both), files[0])


def test_the_whole_chain_is_sent(tmp_path: Path) -> None:
    issuer = Issuer.new()
    files = write_certificate(tmp_path, "leaf", issued_by=issuer)
    root = tmp_path / "root.pem"
    root.write_bytes(issuer.root.public_bytes(serialization.Encoding.PEM))
    check(files, root)


def refusal(cert: Path, key: Path) -> str:
    with pytest.raises(UsageError) as caught:
        serving((cert, key))
    assert caught.value.where == f"{cert}, {key}"
    return caught.value.message


def test_files_that_do_not_do_are_refused_with_the_reason(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path, "any", P256)
    spare = tmp_path / "spare.pem"

    def with_key(text: bytes) -> str:
        spare.write_bytes(text)
        return refusal(cert, spare)

    assert "does not belong to the first certificate" in with_key(pem(P384))
    for form in (PKCS8, TRADITIONAL):
        assert "pass phrase" in with_key(pem(P256, form, b"open sesame"))
    assert "holds no private key" in refusal(cert, cert)
    assert "holds no private key" in with_key(b"not a key")
    assert "holds no private key" in with_key(b"")
    assert "is not PEM" in with_key(pem(P256).replace(b"-----END PRIVATE KEY-----", b""))
    p521, short = ec.generate_private_key(ec.SECP521R1()), rsa.generate_private_key(65537, 1024)
    for strange in (p521, short):
        assert "none of RSA" in with_key(pem(strange))
    assert "holds no certificate" in refusal(key, key)
    spare.write_bytes(b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n")
    assert "certificate cannot be used" in refusal(spare, key)
    assert "No such file" in refusal(tmp_path / "none", key)
    assert "directory" in refusal(cert, tmp_path)


def test_no_refusal_shows_any_of_the_key(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path, "any", P256)
    lines = key.read_text().splitlines()
    for broken in ("\n".join(lines[:-1]), "\n".join([lines[0], "!" + lines[1], *lines[2:]]), lines[1]):
        key.write_text(broken)
        message = refusal(cert, key)
        assert not any(word in message for line in lines[1:-1] for word in (line, line[:12]))
    assert "PRIVATE" not in repr(serving(write_certificate(tmp_path, "any")))
