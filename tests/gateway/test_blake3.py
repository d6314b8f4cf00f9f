"""`/blake3/…` from outside, on a real node: the forms of the contract, one table a form."""

import base64
import hashlib
import socket
import struct
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import blake3
import pytest

from content import names
from content.bao.decode import Decoder
from tests.appliance import Node, Reply, ask, edge_json, token

SMALL = b"hello, edge\n"
LARGE = bytes(i * i % 251 for i in range(1 << 20)) + b"tail"  # four segments and four bytes
HUGE = LARGE * 3  # in an extent


def root_of(data: bytes) -> bytes:
    return bytes(blake3.blake3(data).digest())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node") / "data"


@pytest.fixture(scope="module")
def node(data: Path) -> Iterator[Node]:
    for content in (SMALL, LARGE, HUGE, b""):
        assert edge_json(data, "put", "-", stdin=content)["blake3"] == root_of(content).hex()
    with Node(data, "--workers", "1") as running:
        yield running


def of(content: bytes) -> str:
    return f"/blake3/{root_of(content).hex()}"


@pytest.mark.parametrize("content", [SMALL, LARGE, HUGE, b""], ids=["small", "large", "huge", "empty"])
def test_a_blob_is_served_whole_under_every_name(node: Node, content: bytes) -> None:
    root = root_of(content)
    for name in (root.hex(), root.hex().upper(), names.cid(root), "f" + root.hex(), "f1e20" + root.hex()):
        reply = node.get(f"/blake3/{name}")
        assert (reply.status, reply.body) == (200, content)
        assert reply.headers["ETag"] == f'"{root.hex()}"'
        assert reply.headers["Content-Type"] == "application/octet-stream"
        assert reply.headers["Content-Length"] == str(len(content))
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Security-Policy"] == "sandbox"
        assert reply.headers["Accept-Ranges"] == "bytes"
        assert "immutable" in reply.headers["Cache-Control"]
        assert reply.headers["Repr-Digest"] == f"blake3=:{base64.b64encode(root).decode()}:"
        assert reply.headers["Date"]


def test_memoised_and_decided_answers_are_the_same(node: Node) -> None:
    """The hit path and the full path may differ in cost only."""
    session = node.session()
    plain = [ask(session, "GET", of(SMALL)) for _ in range(3)]
    decided = ask(session, "GET", of(SMALL), {"If-None-Match": '"other"'})
    session.close()
    for reply in plain:
        assert reply.body == decided.body
        assert sorted(set(reply.headers.items()) ^ set(decided.headers.items())) in (
            [],
            _dates(reply, decided),
        )


def _dates(one: Reply, other: Reply) -> list[tuple[str, str]]:
    return sorted([("Date", one.headers["Date"]), ("Date", other.headers["Date"])])


def test_head_says_what_get_would(node: Node) -> None:
    for query in ("", "?format=bao", "?format=bao-outboard", "?format=bao-chunk&entity-bytes=5:7"):
        got, head = node.get(of(LARGE) + query), node.request("HEAD", of(LARGE) + query)
        assert head.status == 200
        assert head.body == b""
        assert int(head.headers["Content-Length"]) == len(got.body)
        assert head.headers["ETag"] == got.headers["ETag"]


@pytest.mark.parametrize(
    ("field", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, len(LARGE)),
        ("bytes=-5", len(LARGE) - 5, len(LARGE)),
        ("bytes=262143-262144", 262143, 262145),
        ("bytes=100000-900000", 100000, 900001),
        (f"bytes=5-{10**19}", 5, len(LARGE)),
    ],
)
def test_a_single_range_is_a_206_of_exactly_those_bytes(
    node: Node, field: str, start: int, stop: int
) -> None:
    reply = node.get(of(LARGE), {"Range": field})
    assert (reply.status, reply.body) == (206, LARGE[start:stop])
    assert reply.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(LARGE)}"


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (0, len(HUGE)), (262_143, 262_145), (1_000_000, 2_500_001), (len(HUGE) - 5, len(HUGE))],
)
def test_a_range_of_an_extent_is_exactly_those_bytes(node: Node, start: int, stop: int) -> None:
    reply = node.get(of(HUGE), {"Range": f"bytes={start}-{stop - 1}"})
    assert (reply.status, reply.body) == (206, HUGE[start:stop])
    assert node.request("HEAD", of(HUGE)).headers["Content-Length"] == str(len(HUGE))


@pytest.mark.parametrize("content", [LARGE, HUGE], ids=["in bulk", "in an extent"])
def test_several_ranges_come_as_multipart_in_the_clients_order(node: Node, content: bytes) -> None:
    reply = node.get(of(content), {"Range": "bytes=262140-262150, 0-3,-2"})
    assert reply.status == 206
    message = BytesParser().parsebytes(
        b"Content-Type: " + reply.headers["Content-Type"].encode() + b"\r\n\r\n" + reply.body
    )
    parts = message.get_payload()
    assert isinstance(parts, list)
    shown = [
        (part["Content-Range"], part.get_payload(decode=True)) for part in parts if isinstance(part, Message)
    ]
    size = len(content)
    assert shown == [
        (f"bytes 262140-262150/{size}", content[262140:262151]),
        (f"bytes 0-3/{size}", content[:4]),
        (f"bytes {size - 2}-{size - 1}/{size}", content[-2:]),
    ]
    assert "Content-Range" not in reply.headers


def test_a_range_outside_is_a_416_that_tells_the_size(node: Node) -> None:
    reply = node.get(of(SMALL), {"Range": "bytes=12-"})
    assert reply.status == 416
    assert reply.headers["Content-Range"] == f"bytes */{len(SMALL)}"
    assert reply.json()["error"]["kind"] == "bad_request"


def test_malformed_ranges_and_stale_if_range_get_the_whole(node: Node) -> None:
    for headers in (
        {"Range": "bytes=5-4"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=0-1", "If-Range": '"other"'},
        {"Range": "bytes=0-1", "If-Range": f'W/"{root_of(SMALL).hex()}"'},
        {"Range": "bytes=0-1", "If-Range": "Wed, 21 Oct 2015 07:28:00 GMT"},
    ):
        reply = node.get(of(SMALL), headers)
        assert (reply.status, reply.body) == (200, SMALL)
    reply = node.get(of(SMALL), {"Range": "bytes=0-1", "If-Range": f'"{root_of(SMALL).hex()}"'})
    assert (reply.status, reply.body) == (206, SMALL[:2])


def test_conditions_answer_304_and_412_without_a_body(node: Node) -> None:
    tag = f'"{root_of(SMALL).hex()}"'
    for field in (tag, f"W/{tag}", "*", f'"x", {tag}'):
        reply = node.get(of(SMALL), {"If-None-Match": field, "Range": "bytes=0-1"})
        assert (reply.status, reply.body) == (304, b"")
        assert reply.headers["ETag"] == tag
        assert "Content-Type" not in reply.headers
    assert node.get(of(SMALL), {"If-Match": '"x"'}).status == 412
    assert node.get(of(SMALL), {"If-Match": tag}).status == 200


def proven(decoder: Decoder, body: bytes) -> dict[int, bytes]:
    out = {piece.offset_bytes: bytes(piece.data) for piece in decoder.feed(body)}
    decoder.finish()
    return out


def joined(pieces: dict[int, bytes]) -> bytes:
    return b"".join(pieces[offset] for offset in sorted(pieces))


@pytest.mark.parametrize("content", [SMALL, LARGE, HUGE, b""], ids=["small", "large", "huge", "empty"])
def test_every_proof_form_proves_the_content(node: Node, content: bytes) -> None:
    root = root_of(content)
    combined = node.get(of(content) + "?format=bao")
    assert combined.headers["Content-Type"] == "application/vnd.fleek.bao"
    assert combined.headers["Accept-Ranges"] == "none"
    assert joined(proven(Decoder.combined(root), combined.body)) == content
    outboard = node.get(of(content) + "?format=bao-outboard")
    assert outboard.body[:8] == struct.pack("<Q", len(content))
    assert len(outboard.body) == int(outboard.headers["Content-Length"])


def test_slices_and_chunk_ranges_prove_their_bytes(node: Node) -> None:
    root = root_of(LARGE)
    for start, stop in ((0, 1), (262143, 262145), (300000, 900000), (len(LARGE) - 1, len(LARGE))):
        query = f"entity-bytes={start}:{stop - 1}"
        pieces = proven(
            Decoder.slice(root, start, stop - start), node.get(f"{of(LARGE)}?format=bao&{query}").body
        )
        assert _covers(pieces, start, stop)
        fine = node.get(f"{of(LARGE)}?format=bao-chunk&{query}").body
        assert _covers(proven(Decoder.subgroup(root, [(start, stop)]), fine), start, stop)
    several = node.get(of(LARGE) + "?format=bao-chunk&entity-bytes=0:9,500000:500009,-4:*").body
    size = len(LARGE)
    wanted = [(0, 10), (500000, 500010), (size - 4, size)]
    pieces = proven(Decoder.subgroup(root, wanted), several)
    assert all(_covers(pieces, start, stop) for start, stop in wanted)


def _covers(pieces: dict[int, bytes], start: int, stop: int) -> bool:
    shown = bytearray(len(LARGE))
    seen = bytearray(len(LARGE))
    for offset, data in pieces.items():
        shown[offset : offset + len(data)] = data
        seen[offset : offset + len(data)] = b"\x01" * len(data)
    return all(seen[start:stop]) and shown[start:stop] == LARGE[start:stop]


def test_proofs_have_a_tag_per_form_and_range_and_ignore_range(node: Node) -> None:
    queries = [
        "?format=bao",
        "?format=bao-outboard",
        "?format=bao&entity-bytes=0:9",
        "?format=bao-chunk&entity-bytes=0:9",
    ]
    replies = [node.get(of(LARGE) + query, {"Range": "bytes=0-1"}) for query in queries]
    assert [reply.status for reply in replies] == [200] * 4
    tags = {reply.headers["ETag"] for reply in replies}
    assert len(tags | {f'"{root_of(LARGE).hex()}"'}) == 5
    for query, reply in zip(queries, replies, strict=True):
        assert node.get(of(LARGE) + query, {"If-None-Match": reply.headers["ETag"]}).status == 304


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/blake3/" + "0" * 64, 404, "not_found"),
        ("/blake3/xyz", 400, "bad_request"),
        ("/blake3/", 400, "bad_request"),
        ("/nothing", 404, "not_found"),
        (of(SMALL) + "?format=zip", 400, "bad_request"),
        (of(SMALL) + "?entity-bytes=0:1", 400, "bad_request"),
        (of(SMALL) + "?format=bao&entity-bytes=x", 400, "bad_request"),
        (of(SMALL) + "?format=bao&format=bao-chunk", 400, "bad_request"),
        (of(SMALL) + "/../x", 400, "bad_request"),
    ],
)
def test_errors_say_what_was_wrong_in_the_shape_of_the_contract(
    node: Node, path: str, status: int, kind: str
) -> None:
    reply = node.get(path)
    assert reply.status == status
    assert set(reply.json()["error"]) == {"kind", "message", "where", "hint"}
    assert reply.json()["error"]["kind"] == kind


def test_methods_that_are_not_done_are_refused_with_allow(node: Node) -> None:
    for method, path in (("DELETE", of(SMALL)), ("PATCH", of(SMALL)), ("POST", of(SMALL)), ("PUT", "/")):
        reply = node.request(method, path)
        assert reply.status in (401, 405)
        if reply.status == 405:
            assert reply.headers["Allow"]


def test_uploads_need_a_token_with_the_right_scope(node: Node, data: Path) -> None:
    body = b"needs a token"
    assert node.request("PUT", of(body), body=body).status == 401
    assert node.request("PUT", of(body), {"Authorization": "Bearer nonsense"}, body).status == 401
    reader = token(data, "alice", "read")
    refused = node.request("PUT", of(body), {"Authorization": f"Bearer {reader}"}, body)
    assert (refused.status, refused.json()["error"]["kind"]) == (403, "forbidden")
    assert node.get(of(body)).status == 404


def test_put_stores_verifies_and_repeats(node: Node, data: Path) -> None:
    auth = {"Authorization": f"Bearer {token(data, 'alice', 'put')}"}
    body = LARGE[::-1]
    made = node.request("PUT", of(body), {**auth, "Content-Type": "text/plain"}, body)
    assert made.status == 201
    expected = {"blake3": root_of(body).hex(), "cid": names.cid(root_of(body)), "size_bytes": len(body)}
    assert made.json() == expected
    assert node.request("PUT", of(body), auth, body).status == 200
    got = node.get(of(body))
    assert (got.body, got.headers["Content-Type"]) == (body, "text/plain")
    wrong = node.request("PUT", of(b"promised"), auth, b"delivered")
    assert (wrong.status, wrong.json()["error"]["kind"]) == (422, "unverified")
    assert node.get(of(b"promised")).status == 404
    assert node.get(of(b"delivered")).status == 404


def test_post_names_what_it_stored(node: Node, data: Path) -> None:
    auth = {"Authorization": f"Bearer {token(data, 'alice', 'put')}"}
    for body in (b"", b"posted", LARGE * 2):
        made = node.request("POST", "/blake3/", auth, body)
        assert made.status == 201
        assert made.headers["Location"] == of(body)
        assert node.get(of(body)).body == body


def test_a_broken_digest_promise_keeps_nothing(node: Node, data: Path) -> None:
    auth = {"Authorization": f"Bearer {token(data, 'alice', 'put')}"}
    good = base64.b64encode(hashlib.sha256(b"right").digest()).decode()
    field = {"Content-Digest": f"sha-256=:{good}:"}
    assert node.request("POST", "/blake3/", {**auth, **field}, b"right").status == 201
    assert node.request("POST", "/blake3/", {**auth, **field}, b"wrong").status == 422
    assert node.get(of(b"wrong")).status == 404


def test_conditions_of_a_put_are_kept(node: Node, data: Path) -> None:
    """RFC 9110 §13.1: 412, and nothing is done."""
    auth = {"Authorization": f"Bearer {token(data, 'alice', 'put')}"}
    body = b"put under conditions"
    tag = f'"{root_of(body).hex()}"'
    for field in (tag, "*", '"x"'):
        refused = node.request("PUT", of(body), {**auth, "If-Match": field}, body)
        assert (refused.status, refused.json()["error"]["kind"]) == (412, "precondition_failed")
    assert node.get(of(body)).status == 404
    assert node.request("PUT", of(body), {**auth, "If-None-Match": "*"}, body).status == 201
    for name, field, status in (
        ("If-None-Match", "*", 412),
        ("If-None-Match", f"W/{tag}", 412),
        ("If-None-Match", '"x"', 200),
        ("If-Match", tag, 200),
        ("If-Match", "*", 200),
        ("If-Match", '"x"', 412),
    ):
        assert node.request("PUT", of(body), {**auth, name: field}, body).status == status, (name, field)


def test_what_a_put_says_of_its_body_is_checked_also_when_that_is_here(node: Node, data: Path) -> None:
    auth = {"Authorization": f"Bearer {token(data, 'alice', 'put')}"}
    for body in (b"never put before", SMALL):
        for name, field, status in (
            ("Content-Range", f"bytes 0-{len(body) - 1}/{len(body)}", 400),
            ("Content-Encoding", "gzip", 400),
            ("Content-Digest", f"sha-256=:{base64.b64encode(bytes(32)).decode()}:", 422),
            ("Repr-Digest", f"blake3=:{base64.b64encode(bytes(32)).decode()}:", 422),
        ):
            refused = node.request("PUT", of(body), {**auth, name: field}, body)
            assert refused.status == status, (body, name, refused.body)
    assert node.get(of(b"never put before")).status == 404


def test_a_quota_refuses_before_and_after_the_body(node: Node, data: Path) -> None:
    auth = {"Authorization": f"Bearer {token(data, 'bob', 'put', '--quota-bytes', '1000')}"}
    assert node.request("POST", "/blake3/", auth, b"a" * 600).status == 201
    refused = node.request("POST", "/blake3/", auth, b"b" * 600)
    assert (refused.status, refused.json()["error"]["kind"]) == (403, "quota_exceeded")
    assert node.get(of(b"b" * 600)).status == 404
    assert node.request("POST", "/blake3/", auth, b"c" * 300).status == 201


def test_a_quota_refuses_a_body_without_a_length_before_it_ends(node: Node, data: Path) -> None:
    auth = f"Bearer {token(data, 'carol', 'put', '--quota-bytes', '1000')}"
    head = f"POST /blake3/ HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with node.connect() as connection:
        connection.sendall(head.encode() + b"".join(b"258\r\n" + b"d" * 600 + b"\r\n" for _ in range(2)))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 403 "), answer
    assert b"quota_exceeded" in answer


def _raw(node: Node, request: bytes) -> bytes:
    with node.connect() as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer


def test_an_old_client_need_not_name_a_host(node: Node) -> None:
    """RFC 9112 §3.2 asks it of HTTP/1.1 alone; health checks of proxies are HTTP/1.0 without one."""
    for path, content in (("/", b""), (of(SMALL), SMALL)):
        answer = _raw(node, f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:300]
        assert answer.endswith(content)
    assert _raw(node, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_options_of_the_server_itself_are_told(node: Node) -> None:
    answer = _raw(node, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 "), answer[:300]
    assert b"\r\nAllow: GET, HEAD, " in answer
