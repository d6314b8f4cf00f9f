"""Addresses of origins as anybody may give them: `make fuzz TARGET=origin_address`.

The invariant: what is kept holds no user info, no fragment and no query with a credential, is bounded,
and is what cleaning it again gives.
"""

from urllib.parse import urlsplit

from blockstore.origin import ADDRESS_BYTES_MAX, OriginKind
from blockstore.origin_address import clean, is_secret_query, named
from runtime.errors import BadRequest

TARGET = "origin_address"
SEEDS = [
    b"https://ann:secret@example.org/a?page=2#x",
    b"https://example.org/a;jsessionid=0123456789abcdef/b%3Ftoken=x?X-Amz-Signature=ab",
    b"https://proxy.example/https://ann:pw@example.org/x?url=https%3A%2F%2Fu%3Ap%40h",
    b"ar://aBcD_-3fGh1jKlMnOpQrStUvWxYz0123456789ABCDE/x?y=1",
    b"/dns4/example.org/tcp/443/tls/http/http-path/a%3Ftoken=1",
    b"https://gw.example/ipfs/bafkqaaa?format=raw",
]


def one(data: bytes) -> None:
    """Clean `data` as every kind of address."""
    text = data.decode("utf-8", "surrogateescape")
    for kind in OriginKind:
        try:
            kept, _ = clean(kind, text)
        except (BadRequest, UnicodeEncodeError):
            continue
        assert len(kept.encode("utf-8", "surrogateescape")) <= ADDRESS_BYTES_MAX
        assert clean(kind, kept)[0] == kept
        if kind in (OriginKind.LOCAL, OriginKind.UPLOAD) or kept.startswith("/"):
            continue
        parts = urlsplit(kept)
        assert "@" not in parts.netloc
        assert not parts.fragment
        assert not parts.query or not is_secret_query(parts.query)
    try:
        named(text)
    except (BadRequest, UnicodeEncodeError):
        pass
