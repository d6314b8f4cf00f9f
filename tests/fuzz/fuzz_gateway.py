"""Fuzz target `gateway`: request heads asking for content of a small website, up to the head of the answer.

An input is a target, a Host, an Accept and more header lines, one a line. Invariants
 1. Only errors of the product are raised, and each can be said in an answer.
 2. Every head can be written: no line breaks out of a field, however a name or path is written.
 3. HEAD says what GET says, but for ranges.
 4. A path that is written again from its segments is the same path; a redirect leads to one place that a
    browser can be sent to.
 5. Blocks read for one decision are bounded by the length of the path and the size of the site.
"""

import re
from dataclasses import replace
from typing import Final

from blockstore import Blob
from blockstore.block_slice import Slice
from content import dag_cbor, dag_json, dag_pb
from content.block import Block, BlockMissing
from content.cid import DAG_CBOR, DAG_JSON, DAG_PB, RAW, Cid
from content.unixfs.build_directory import Entry, build_directory, build_symlink
from content.unixfs.message import Kind, Message, encode
from content.unixfs.profile import UNIXFS_V1_2025
from gateway.content_app import ContentApp
from gateway.content_request import encoded, parse_query, split_path
from gateway.deny_rules import Rules
from gateway.denylist import Denylist
from gateway.dnslinks import DnsLinks
from gateway.hosts import Hosts
from gateway.mutable import Names
from net import response
from net.answer import Answer
from net.http1 import HeadReader, Request
from net.limits import HttpLimits
from net.refusal import Refused
from runtime.errors import BadRequest, EdgeError
from runtime.errors import Kind as ErrorKind

TARGET: Final = "gateway"
_HEADS: Final = HeadReader(HttpLimits())
_ITEMS_MAX: Final = 4096  # more than a HEAD looks at
_READS_MAX: Final = 64
_NEWLINE_NAME: Final = "a\r\nX-Evil: 1"


class Site:
    """A website in memory, as the gateway's store; counts what is read."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, bytes] = {}
        self.reads = 0
        page = self.put(RAW, b"<html>hello")
        text = self.put(RAW, b"text")
        value = self.put(DAG_CBOR, dag_cbor.encode({"page": page, "list": [text, {"x": 1}]}))
        plain = self.put(DAG_JSON, dag_json.encode({"page": page, "é": 2}))
        link = build_symlink(UNIXFS_V1_2025, "../elsewhere")
        self.blocks[link.cid.multihash] = link.data
        rules = self.put(RAW, b"/old/* /new/:splat 301\n/x/:a /page.html 200\n/gone/* /b%20c.txt 410\n")
        hard = self.folder({"b c.txt": text, "é.txt": text, _NEWLINE_NAME: text, '"<b>': page, "..": text})
        many = self.folder({f"file-{number:04}": text for number in range(40)})
        self.root = self.folder(
            {
                "_redirects": rules,
                "page.html": page,
                "value": value,
                "plain": plain,
                "link": link.cid,
                "hard": hard,
                "many": many,
                "missing": Block.sealed(RAW, b"not here").cid,
                "index.html": page,
            }
        )
        self.bare = self.folder({"many": many, "hard": hard})

    def put(self, codec: int, data: bytes) -> Cid:
        """Keep a block."""
        block = Block.sealed(codec, data)
        self.blocks[block.cid.multihash] = data
        return block.cid

    def folder(self, entries: dict[str, Cid]) -> Cid:
        """Keep a directory; names that `build_directory` refuses are written all the same."""
        try:
            made = build_directory(UNIXFS_V1_2025, [Entry(name, cid, 1) for name, cid in entries.items()])
        except BadRequest:
            links = tuple(dag_pb.Link(cid, name, 1) for name, cid in sorted(entries.items()))
            return self.put(DAG_PB, dag_pb.encode(dag_pb.Node(links, encode(Message(Kind.DIRECTORY)))))
        self.blocks |= {block.cid.multihash: block.data for block in made.blocks}
        return made.cid

    def read(self, cid: Cid) -> bytes:
        """The bytes of a block. Raises BlockMissing."""
        self.reads += 1
        if cid.is_identity:
            return cid.digest
        found = self.blocks.get(cid.multihash)
        if found is None:
            raise BlockMissing(cid)
        return found

    def has(self, cid: Cid) -> bool:
        """Whether a block is here."""
        return cid.is_identity or cid.multihash in self.blocks

    def slice(self, cid: Cid) -> Slice | None:
        """Nothing lies in a blob here."""
        return None

    def sound_slice(self, cid: Cid) -> Slice | None:
        """Nothing lies in a blob here."""
        return None

    def file(self, cid: Cid) -> Blob | None:
        """Nothing is a blob here."""
        return None

    def was_file(self, cid: Cid) -> bool:
        return self.file(cid) is not None

    def whole_file(self, cid: Cid) -> Blob | None:
        """Nothing is a blob here."""
        return None

    def whole_names(self, blob: bytes) -> list[bytes]:
        """Nothing lies in a blob here."""
        return []

    def arrivals(self) -> int:
        """Nothing comes."""
        return 0

    def record(self, name: bytes) -> bytes | None:
        """No name is known."""
        return None

    def put_record(self, name: bytes, record: bytes) -> None:
        """Nothing is published in these tests."""
        raise AssertionError("a request changed a record")


SITE: Final = Site()
_LINKS: Final = DnsLinks(
    {"site.example": f"/ipfs/{SITE.root}", "loop.example": "/ipns/loop.example"}, lambda: 0.0
)
_HOSTS: Final = Hosts(("localhost", "gw.example"), ("127.0.0.0/8",), _LINKS.is_known)
_APP: Final = ContentApp(
    SITE, _HOSTS, Names(SITE, _LINKS, lambda: 0.0), Denylist(Rules(), SITE, lambda: 0), None
)


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    target, _, rest = data.partition(b"\n")
    host, _, rest = rest.partition(b"\n")
    accept, _, more = rest.partition(b"\n")
    lines = b"".join(b"\r\n" + line for line in more.split(b"\n")[:4] if line)
    head = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nAccept: " + accept + lines + b"\r\n\r\n"
    try:
        taken = _HEADS.take(head)
    except Refused:
        return
    if taken is None:
        return
    request = replace(taken[0], peer="127.0.0.1")
    _paths(request)
    try:
        is_content = request.path[:6] in ("/ipfs/", "/ipns/") or _HOSTS.site(request).is_isolated
    except EdgeError:
        return
    if not is_content:
        return  # another part of the gateway answers
    SITE.reads = 0
    got = _decided(request)
    assert SITE.reads <= _READS_MAX + 2 * request.path.count("/"), f"{SITE.reads} blocks read"
    if "range" in request.fields:
        return  # a HEAD answers as the GET without it (RFC 9110 §14.2)
    said = _decided(replace(request, method="HEAD"))
    assert got[:2] == said[:2] or _breaks_off(request), "HEAD says something else than GET"


def _breaks_off(request: Request) -> bool:
    """Whether the body of a GET ends in an error: then its HEAD says that error (`gateway.head_look`)."""
    body = _APP.decide(request, _HOSTS.site(request), None).body
    if body is None or isinstance(body, bytes):
        return False
    try:
        for _ in zip(range(_ITEMS_MAX), body, strict=False):
            pass
    except (BlockMissing, EdgeError):
        return True
    return False


def _decided(request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
    """(status, fields, head) of the answer, an error's among them."""
    try:
        answer = _APP.decide(request, _HOSTS.site(request), None)
    except EdgeError as error:
        assert error.kind is not ErrorKind.INTERNAL or "_redirects" in error.message, error.message
        answer = response.error_answer(error, retry_after_s=1)
    how = response.framing(answer, http_1_1=True, is_head=request.method == "HEAD")
    head = response.head(answer, b"", how, http_1_1=True, keep_alive=True)
    _location(answer)
    return answer.status, sorted(answer.fields), head


def _location(answer: Answer) -> None:
    for name, value in answer.fields:
        if name == "Location":
            assert re.fullmatch(r"(?:https?://[^/]+)?/[!-~]*|https?://[!-~]+", value), f"Location: {value!r}"
            assert not value.startswith("//"), f"another host: {value!r}"


def _paths(request: Request) -> None:
    try:
        segments = split_path(request.path)
        parse_query(request.query)
    except BadRequest:
        return
    assert not {"", ".", ".."} & set(segments), f"a dot segment is left: {segments}"
    assert split_path("/" + "/".join(map(encoded, segments))) == segments


def _seed(target: str, host: str = "gw.test", accept: str = "*/*", *more: str) -> bytes:
    return "\n".join((target, host, accept, *more)).encode("latin-1")


_R: Final = f"/ipfs/{SITE.root}"
SEEDS: list[bytes] = [
    *(
        _seed(_R + path)
        for path in ("", "/", "/hard", "/hard/", "/value/page", "/value/list/1/x", "/plain", "/link")
    ),
    *(
        _seed(_R + path)
        for path in ("/missing", "/never", "/hard/b%20c.txt", "/hard/%C3%A9.txt", "/a/../%2e%2e/value")
    ),
    _seed(f"/ipfs/{SITE.bare}/many/?x=%0D%0A"),
    _seed(f"/ipfs/{SITE.bare}/hard/a%0D%0AX-Evil:%201?download=true"),
    *(_seed(f"{_R}?format={form}") for form in ("raw", "car", "tar", "dag-json", "cbor", "bao", "nope")),
    _seed(f"{_R}?format=car&dag-scope=entity&entity-bytes=0:*&car-dups=y"),
    *(_seed(_R + "/value", "gw.test", kind) for kind in ("text/html", "application/cbor;q=0.5, */*", "")),
    _seed(
        _R,
        "gw.test",
        "application/vnd.ipld.car; version=1; order=dfs; dups=n",
        "Cache-Control: only-if-cached",
    ),
    _seed(_R + "/many/file-0001", "localhost:8080"),
    _seed("/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8/x", "gw.example"),
    _seed("/page.html", f"{SITE.root}.ipfs.localhost"),
    _seed("/old/%0D%0Ax/y?z", f"{SITE.root}.ipfs.localhost"),
    _seed("/gone/x", "site.example"),
    _seed("/", "loop.example"),
    _seed("/ipns/%E2%82%AC.x/y", "gw.example"),
    _seed("/ipns/a%0D%0AX:%20y.z/", "gw.example"),
    _seed("/ipns/a%0D%0AX:%20y.z/", "gw.test"),
    _seed(
        "/",
        "site-example.ipns.localhost",
        "*/*",
        "X-Forwarded-Host: gw.example:99",
        "X-Forwarded-Proto: https",
    ),
    _seed("/ipfs/?uri=ipfs%3A%2F%2Fbafkqaaa%2Fa%20b"),
    _seed("/ipfs/bafkqaaa", "gw.test", "*/*", 'If-None-Match: "x", *', "Range: bytes=0-"),
    _seed("/ipns/site.example/hard/?filename=%22%0D%0A%C3%A9", "gw.test"),
]
