"""Digest fields: what a client promised is checked against what it sent."""

import base64
import hashlib

import pytest

from gateway.digest import UploadDigests, repr_digest
from runtime.errors import BadRequest, Unverified

BODY = b"some body"
SHA256 = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
SHA512 = base64.b64encode(hashlib.sha512(BODY).digest()).decode()


def checked(*fields: str | None, body: bytes = BODY) -> UploadDigests:
    digests = UploadDigests(*fields)
    for position in range(0, len(body), 4):
        digests.update(body[position : position + 4])
    digests.check()
    return digests


@pytest.mark.parametrize(
    "field",
    [
        f"sha-256=:{SHA256}:",
        f"sha-512=:{SHA512}:,sha-256=:{SHA256}:",
        f" sha-256=:{SHA256}: , sha-512=:{SHA512}: ",
        "md5=:AAAA:",  # unknown algorithms are ignored (RFC 9530 §2)
        None,
    ],
)
def test_a_kept_promise_passes(field: str | None) -> None:
    checked(field)


@pytest.mark.parametrize("field", [f"sha-256=:{SHA256}:", f"md5=:AAAA:, sha-512=:{SHA512}:"])
def test_a_broken_promise_is_refused(field: str) -> None:
    with pytest.raises(Unverified):
        checked(field, body=BODY + b"!")


def test_one_of_several_broken_promises_is_enough() -> None:
    other = base64.b64encode(bytes(64)).decode()
    with pytest.raises(Unverified):
        checked(f"sha-256=:{SHA256}:", f"sha-512=:{other}:")


@pytest.mark.parametrize(
    "field",
    [
        "sha-256",
        "sha-256=abc",
        "sha-256=:a:",
        "sha-256=:????:",
        "=::",
        "sha-256=:" + "A" * 2000 + ":",
        "\x00",
    ],
)
def test_malformed_fields_are_refused(field: str) -> None:
    with pytest.raises(BadRequest):
        UploadDigests(field)


def test_contradicting_promises_are_refused() -> None:
    with pytest.raises(BadRequest):
        UploadDigests(f"sha-256=:{SHA256}:", f"sha-256=:{base64.b64encode(bytes(32)).decode()}:")


def test_the_blake3_promise_is_handed_on_for_the_store_to_check() -> None:
    root = bytes(range(32))
    assert checked(repr_digest(root)).blake3 == root
    assert checked(None).blake3 is None
