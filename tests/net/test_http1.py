"""The request machine: what it takes, what it refuses, and that cuts between bytes do not matter."""

import pytest

from net.http1 import HeadReader, Request
from net.limits import HttpLimits
from net.refusal import Refused

LIMITS = HttpLimits()
SMALL = HttpLimits(request_line_bytes=64, header_bytes=256, header_count=4, body_bytes=1000)
TAIL = b" HTTP/1.1\r\nHost: a\r\n\r\n"


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def take(data: bytes, limits: HttpLimits = LIMITS) -> Request:
    """The request in `data`, which is exactly one head; checked whole, bytewise and with bytes behind."""
    taken = HeadReader(limits).take(data)
    assert taken is not None
    request, used = taken
    assert used == len(data)
    behind = HeadReader(limits).take(data + b"\r\nGET")
    assert behind is not None
    assert (behind[1], behind[0].target) == (used, request.target)
    reader = HeadReader(limits)
    for stop in range(1, len(data)):
        assert reader.take(data[:stop], stop - 1) is None
    bytewise = reader.take(data, len(data) - 1)
    assert bytewise is not None
    assert list(bytewise[0].fields) == list(request.fields)
    return request


def refusal(data: bytes, limits: HttpLimits = LIMITS) -> Refused:
    """Why `data` is refused; the same kind of end must come bytewise."""
    with pytest.raises(Refused) as whole:
        HeadReader(limits).take(data)
    with pytest.raises(Refused):
        take_bytewise(data, limits)
    return whole.value


def take_bytewise(data: bytes, limits: HttpLimits) -> None:
    reader = HeadReader(limits)
    for stop in range(1, len(data) + 1):
        assert reader.take(data[:stop], stop - 1) is None


def test_a_plain_get_is_read_in_all_its_parts() -> None:
    request = take(head("GET /blake3/ab?format=bao&x HTTP/1.1", "Host: Example:80", "Accept:  */* \t"))
    assert (request.method, request.path, request.query) == ("GET", "/blake3/ab", "format=bao&x")
    assert request.target == "/blake3/ab?format=bao&x"
    assert request.version == (1, 1)
    assert request.keep_alive
    assert not request.has_body
    assert request.plain
    assert request.fields.get("HOST") == "Example:80"
    assert request.fields.get("accept") == "*/*"


def test_repeated_fields_are_joined_in_order_and_kept_apart() -> None:
    fields = take(head("GET / HTTP/1.1", "Host: a", "If-None-Match: a", "X: 1", "if-none-match: b")).fields
    assert fields.get("if-none-match") == "a, b"
    assert fields.all("If-None-Match") == ("a", "b")
    assert "x" in fields
    assert len(fields) == 4


def test_one_empty_line_before_the_request_line_is_ignored() -> None:
    assert take(b"\r\n" + b"GET /" + TAIL).path == "/"


@pytest.mark.parametrize(
    ("lines", "keep_alive"),
    [
        (["GET / HTTP/1.1", "Host: a"], True),
        (["GET / HTTP/1.1", "Host: a", "Connection: Close"], False),
        (["GET / HTTP/1.1", "Host: a", "Connection: te", "Connection: close"], False),
        (["GET / HTTP/1.0"], False),
        (["GET / HTTP/1.0", "Connection: Keep-Alive"], True),
        (["GET / HTTP/1.0", "Connection: keep-alive, close"], False),
    ],
)
def test_connections_are_kept_as_the_version_and_the_client_say(lines: list[str], keep_alive: bool) -> None:
    assert take(head(*lines)).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        ("http://b.example/x?y=1", "/x", "y=1", "b.example"),
        ("HTTPS://[::1]:8443", "/", "", "[::1]:8443"),
        ("http://b?q", "/", "q", "b"),
    ],
)
def test_absolute_form_replaces_host(target: str, path: str, query: str, host: str) -> None:
    request = take(head(f"GET {target} HTTP/1.1", "Host: a"))
    assert (request.path, request.query) == (path, query)
    assert request.fields.all("host") == (host,)


def test_options_of_the_whole_server_is_read() -> None:
    assert take(head("OPTIONS * HTTP/1.1", "Host: a")).path == "*"


@pytest.mark.parametrize(
    "host", ["", "a", "a:80", "a:", "[2001:db8::1]:8080", "xn--bcher-kva.example", "1.2.3.4"]
)
def test_host_may_be_any_authority_without_user(host: str) -> None:
    assert take(head("GET / HTTP/1.1", f"Host: {host}")).fields.get("host") == host


@pytest.mark.parametrize(
    "lines",
    [
        ["GET / HTTP/1.1"],
        ["GET / HTTP/1.1", "Host: a", "Host: a"],
        ["GET / HTTP/1.0", "Host: a", "Host: b"],
        ["GET / HTTP/1.1", "Host: a b"],
        ["GET / HTTP/1.1", "Host: a, b"],
        ["GET / HTTP/1.1", "Host: a,b"],
        ["GET / HTTP/1.1", "Host: u@a"],
        ["GET / HTTP/1.1", "Host: a/b"],
        ["GET / HTTP/1.1", "Host: a:99999999"],
        ["GET / HTTP/1.1", "Host: [::1"],
    ],
)
def test_a_request_without_exactly_one_good_host_is_400(lines: list[str]) -> None:
    assert refusal(head(*lines)).status == 400


@pytest.mark.parametrize(
    "line",
    [
        "GET  / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.10",
        "GET /",
        "GET",
        "",
        "GET /\tx HTTP/1.1",
        "G\tT / HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\xe9 HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET http://u:p@a/ HTTP/1.1",
        "X" * 33 + " / HTTP/1.1",
    ],
)
def test_a_request_line_that_is_not_one_is_400(line: str) -> None:
    assert refusal(head(line, "Host: a")).status == 400


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"])
def test_other_versions_are_505(version: str) -> None:
    assert refusal(head(f"GET / {version}", "Host: a")).status == 505


def test_connect_names_its_host_in_the_target_and_has_no_path() -> None:
    request = take(head("CONNECT a:443 HTTP/1.1", "Host: b"))
    assert (request.method, request.path, request.host) == ("CONNECT", "", "a:443")
    assert refusal(head("CONNECT a HTTP/1.1", "Host: a")).status == 400
    for target in ("/a:1", ":", ":443", "a:", "[::1]"):
        assert refusal(head(f"CONNECT {target} HTTP/1.1", "Host: a")).status == 400
    assert take(head("CONNECT [::1]:443 HTTP/1.1", "Host: b")).host == "[::1]:443"


@pytest.mark.parametrize(
    "line",
    [
        "A : b",
        " A: b",
        "\tA: b",
        "A",
        ": b",
        "A(: b",
        "A\xe9: b",
        "A: b\x00",
        "A: b\x01",
        "A: b\x7f",
        "A: b\rc",
        "A: b\nc: d",
        "",
    ],
)
def test_a_field_line_that_is_not_one_is_400(line: str) -> None:
    data = f"GET / HTTP/1.1\r\nHost: a\r\n{line}\r\nC: d\r\n\r\n".encode("latin-1")
    if line:
        assert refusal(data).status == 400
    else:  # an empty line is simply the end of the head
        taken = HeadReader(LIMITS).take(data)
        assert taken is not None
        assert data[taken[1] :] == b"C: d\r\n\r\n"


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\n", b"\nGET"]
)
def test_bare_line_feeds_are_refused_without_waiting_for_more(data: bytes) -> None:
    assert refusal(data).status == 400


def test_garbage_of_another_protocol_is_refused_at_once() -> None:
    with pytest.raises(Refused):
        HeadReader(LIMITS).take(bytes.fromhex("16030100c8010000c40303"))


def test_a_refused_field_shows_its_name_and_not_its_value() -> None:
    refused = refusal(head("GET / HTTP/1.1", "Host: a", "Authorization : Bearer secret"))
    assert refused.where == "Authorization"
    assert "secret" not in str(refused.as_json())


def test_limits_have_their_own_statuses() -> None:
    assert refusal(b"GET /" + b"x" * 80 + TAIL, SMALL).status == 414
    assert refusal(b"G" * 80, SMALL).status == 414
    assert refusal(b"G" * 65 + b"\r", SMALL).status == 414
    longest = b"GET /" + b"x" * 50 + TAIL  # 64 bytes before its CR, which may come before the LF
    assert take(longest, SMALL).target == "/" + "x" * 50
    assert refusal(head("GET / HTTP/1.1", "Host: a", "X: " + "y" * 300), SMALL).status == 431
    assert refusal(head("GET / HTTP/1.1", "Host: a", *["X: y"] * 4), SMALL).status == 431
    assert refusal(head("PUT / HTTP/1.1", "Host: a", "Content-Length: 1001"), SMALL).status == 413
    assert take(head("PUT / HTTP/1.1", "Host: a", "Content-Length: 1000"), SMALL).content_length == 1000


SMUGGLING = [
    (["Content-Length: 5", "Transfer-Encoding: chunked"], 400),
    (["Transfer-Encoding: chunked", "Content-Length: 0"], 400),
    (["Content-Length: 5", "Content-Length: 6"], 400),
    (["Content-Length: 5", "Content-Length: 5"], 400),
    (["Content-Length: 5, 6"], 400),
    (["Content-Length: 5, 5"], 400),
    (["Content-Length: +5"], 400),
    (["Content-Length: -5"], 400),
    (["Content-Length: 5 5"], 400),
    (["Content-Length: 0x5"], 400),
    (["Content-Length: 5_0"], 400),
    (["Content-Length: \xb2"], 400),
    (["Content-Length:"], 400),
    (["Content-Length: 99999999999999999999"], 400),
    (["Content-Length: 9999999999999999999"], 413),
    (["Content-Length : 5"], 400),
    (["Transfer-Encoding: gzip"], 400),
    (["Transfer-Encoding: identity"], 400),
    (["Transfer-Encoding: chunked, gzip"], 400),
    (["Transfer-Encoding: chunked, chunked"], 400),
    (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
    (["Transfer-Encoding: xchunked"], 400),
    (["Transfer-Encoding: chunked;q=1"], 400),
    (["Transfer-Encoding: \x0bchunked"], 400),
    (["Transfer-Encoding:\r\n chunked"], 400),
    (["Transfer-Encoding : chunked"], 400),
    (["Transfer-Encoding: chunked,"], 400),
    (["Transfer-Encoding:"], 400),
    (["Transfer-Encoding: gzip, chunked"], 501),
]


@pytest.mark.parametrize(("lines", "status"), SMUGGLING)
def test_framing_that_two_servers_could_read_differently_is_refused(lines: list[str], status: int) -> None:
    assert refusal(head("POST / HTTP/1.1", "Host: a", *lines)).status == status


def test_a_1_0_client_cannot_send_chunks() -> None:
    assert refusal(head("POST / HTTP/1.0", "Transfer-Encoding: chunked")).status == 400


def test_chunked_is_understood_in_any_case() -> None:
    request = take(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked"))
    assert request.chunked
    assert request.content_length is None


def test_expectations() -> None:
    assert take(
        head("PUT / HTTP/1.1", "Host: a", "Content-Length: 1", "Expect: 100-Continue")
    ).expect_continue
    assert not take(head("PUT / HTTP/1.0", "Content-Length: 1", "Expect: 100-continue")).expect_continue
    assert refusal(head("PUT / HTTP/1.1", "Host: a", "Expect: 200-ok")).status == 417


@pytest.mark.parametrize(
    "line",
    [
        "Range: bytes=0-1",
        "If-None-Match: *",
        "If-Match: *",
        "If-Range: x",
        "If-Modified-Since: x",
        "Authorization: Bearer x",
        "Cookie: a=b",
        "Connection: close",
        "Content-Length: 0",
        "Accept: application/vnd.ipld.raw",
    ],
)
def test_what_could_change_an_answer_is_not_plain_and_not_memoised(line: str) -> None:
    reader = HeadReader(LIMITS)
    taken = reader.take(head("GET / HTTP/1.1", "Host: a", line))
    assert taken is not None
    assert not taken[0].plain
    assert not reader.plain


def test_a_memoised_tail_means_what_it_meant_before() -> None:
    reader = HeadReader(LIMITS)
    first, second = reader.take(b"GET /1" + TAIL), reader.take(b"GET /2" + TAIL)
    assert first is not None
    assert second is not None
    assert first[0].fields is second[0].fields
    assert second[0].target == "/2"
    assert list(reader.plain) == [TAIL[1:]]


def test_the_memo_is_bounded_and_keeps_what_is_used() -> None:
    reader = HeadReader(LIMITS)
    for index in range(3000):
        reader.take(b"GET / HTTP/1.1\r\nHost: a\r\nX: %d\r\n\r\n" % index)
        reader.take(b"GET /" + TAIL)
        assert len(reader.plain) <= 512
    assert TAIL[1:] in reader.plain


def test_a_memoised_tail_does_not_bless_a_bad_request_line() -> None:
    reader = HeadReader(LIMITS)
    assert reader.take(b"GET /" + TAIL) is not None
    for start in (b"GET /\x01", b"GET /\r\nA:", b"G\x00T /", b"GET /a b"):
        with pytest.raises(Refused):
            reader.take(start + TAIL)
