"""Fuzz target `site_rules`: texts that operators and website owners write: denylists, `_redirects`, DNSLink.

The first byte chooses which. Invariants
 1. Only the error of each kind is raised (UsageError, RedirectsBroken), and it says what is wrong.
 2. A denylist means what those of its lines mean that are rules, one by one; each denies what it names.
 3. A redirect that matches has a status that was asked for and leads to a path or a URL that stands in one
    header line.
 4. A DNSLink is a content path that came from one of the records.
"""

import io
import re

from content.cid import Cid
from gateway import deny_rules, redirects_file
from gateway.content_request import split_path
from gateway.deny_rules import Rules
from gateway.redirects_file import RedirectsBroken
from net import dnslink
from runtime.errors import BadRequest, UsageError
from tests.fuzz.draws import Draws

TARGET = "site_rules"
_CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
_LINE = re.compile(r"\bline (\d+)\b|:(\d+)$")


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    kind, rest = data[0] % 3, data[1:]
    if kind == 0:
        _denylist(rest)
    elif kind == 1:
        path, _, raw = rest.partition(b"\n")
        try:
            segments = split_path(path.decode("latin-1"))
        except BadRequest:
            return
        _redirects(segments, raw)
    else:
        _dnslink(Draws(rest))


def _denylist(raw: bytes) -> None:
    rules = Rules()
    try:
        deny_rules.read(io.BytesIO(raw), "list", rules)
    except UsageError as error:
        assert "version" in error.message or "none of its lines" in error.message, error.message
        return
    end = re.search(rb"(?:\A|\n)---[ \t]*\r?\n", raw)
    by_line = Rules()
    for line in raw[end.end() if end else 0 :].split(b"\n"):
        try:
            text = line.decode().strip()
            if text and not text.startswith("#"):
                by_line.add(text)
        except (BadRequest, UnicodeDecodeError):
            continue
        if re.fullmatch(r"/ipfs/b[a-z2-7]{58}", text):
            assert Cid.parse(text[6:]).multihash in by_line.hashes
    assert by_line == rules


def _redirects(path: tuple[str, ...], raw: bytes) -> None:
    try:
        rules = redirects_file.parse(raw)
    except RedirectsBroken as error:
        size = len(raw) > redirects_file.MAX_BYTES
        assert size or _LINE.search(error.message), error.message
        return
    assert len(rules) <= raw.count(b"\n") + raw.count(b"\r") + len(raw) // 3 + 1
    found = redirects_file.match(rules, path)
    if found is None:
        return
    assert found.status in (200, 301, 302, 303, 307, 308, 404, 410, 451)
    assert found.to.startswith(("/", "https://", "http://", "ipfs://", "ipns://"))
    assert found.is_redirect or found.to.startswith("/")
    assert re.fullmatch(r"[!-~]+", found.to), f"not one word of a header: {found.to!r}"


def _dnslink(draws: Draws) -> None:
    texts = [draws.chunk(255).decode("utf-8", "replace") for _ in range(draws.below(6))]
    found = dnslink.path_in(texts)
    assert found == dnslink.path_in(texts[::-1]), "the order of the answer counts"
    if found is not None:
        assert f"dnslink={found}" in texts
        assert found.startswith(("/ipfs/", "/ipns/"))
        assert found.isprintable(), f"controls in a path: {found!r}"


def _texts(*texts: str) -> bytes:
    raws = [text.encode() for text in texts]
    return b"\x02" + bytes([len(raws)]) + b"".join(bytes([len(raw)]) + raw for raw in raws)


_DENIED = f"""version: 1
name: a list
---
# a comment
/ipfs/{_CID}
/ipfs/{_CID}/a%20b/c*  # why
+/ipfs/{_CID}/
!/ipfs/{_CID}
/ipns/example.com
/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8
//QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn
//{"d" * 64}
/blake3/{"a" * 64}
"""
_REDIRECTS = """/a /b
/old/* /new/:splat 301
/:year/:month/x https://example.com/:month?y=:year 302
# comment
/api/* /index.html 200
/gone /gone.html 410
"""
SEEDS: list[bytes] = [
    b"\x00" + _DENIED.encode(),
    *(b"\x00" + line.encode() for line in _DENIED.splitlines()),
    *(
        b"\x01" + path + b"\n" + _REDIRECTS.encode()
        for path in (b"/a", b"/old/x/y", b"/2020/1/x", b"/api/", b"/")
    ),
    "\x01/old/a b%0D%0AX:%20y/é/%ff%2F\n/old/* /new/:splat 301".encode(),
    "\x01/x/y\n/:a/:b /é/:b/:a".encode(),
    b"\x01/x\n/x //evil 301",
    _texts("dnslink=/ipfs/bafkqaaa", "v=spf1", "dnslink=/ipns/example.com/a b"),
    _texts("dnslink=/ipfs/" + "a" * 200, "dnslink=/foo/x", "dnslink=/ipfs/\r\nx"),
]
