"""Names that change: IPNS records, DNSLink, subdomains, proxies. Over names and trees made here."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from content import multibase
from tests.appliance import Node, edge, eventually
from tests.gateway.cases import FOREVER, MISSING, Case, check_all
from tests.gateway.shared_node import Key, Site
from tests.gateway.trees import PAGE

RECORD = {"Accept": "application/vnd.ipfs.ipns-record"}


def test_a_name_leads_to_its_content_for_as_long_as_it_says(site: Site) -> None:
    roots, valid = site.roots, site.keys["valid"].text
    brief = {"Cache-Control": "=public, max-age=1800"}
    check_all(
        site.node,
        [
            Case(f"/ipns/{valid}/hello.txt", has={**brief, "ETag": f'="{roots.hello}"'}, body=b"hello\n"),
            Case(f"/ipns/{valid}/", has=brief, contains=("Index of",)),
            Case(f"/ipns/{valid}", 301, has={**brief, "Location": f"=/ipns/{valid}/"}),
            Case(f"/ipns/{valid}/hello.txt?format=raw", has=brief),
            Case(f"/ipns/{valid}/sub?format=car", has=brief),
            Case(f"/ipns/{valid}/hello.txt", 304, {"If-None-Match": f'"{roots.hello}"'}, has=brief),
            Case(f"/ipns/{valid}/none", 404),
            Case(f"/ipns/{site.keys['path'].text}/hello.txt", has={"Cache-Control": "=public, max-age=0"}),
            Case(
                f"/ipns/{valid}/sub/hello.txt",
                has={
                    "X-Ipfs-Path": f"=/ipns/{valid}/sub/hello.txt",
                    "X-Ipfs-Roots": f"={roots.tree},{roots.sub},{roots.hello}",
                },
            ),
            Case(f"/ipns/{site.keys['v2 only'].text}/hello.txt", has=brief, body=b"hello\n"),
            Case(f"/ipns/{site.keys['named'].text}/style.css", contains=("red",)),
        ],
    )


@pytest.mark.parametrize("name", ["expired", "wrong v2", "wrong v1", "v1 only"])
def test_a_record_that_is_wrong_or_over_resolves_nothing(site: Site, name: str) -> None:
    """Also when it lies in the store already; the suite accepts any status here."""
    text = site.keys[name].text
    for path in (f"/ipns/{text}", f"/ipns/{text}/hello.txt", f"/ipns/{text}?format=ipns-record"):
        Case(path, 502, contains=("could not resolve name",), has={"Retry-After": ""}).check(site.node)


def test_a_wrong_record_is_not_taken_in(site: Site, tmp_path: Path) -> None:
    key = Key.of(99)
    (tmp_path / "record").write_bytes(Key.of(98).record("/ipfs/bafkqaaa"))
    done = edge(tmp_path / "data", "name", "put", "--name", key.text, str(tmp_path / "record"))
    assert done.returncode == 4, done.stderr
    assert site.node.get(f"/ipns/{key.text}").status == 502


def test_the_record_itself_is_given(site: Site) -> None:
    key = site.keys["valid"]
    raw = key.record(f"/ipfs/{site.roots.tree}", ttl_s=1800)
    has = {
        "Content-Type": "=application/vnd.ipfs.ipns-record",
        "Content-Disposition": f'=attachment; filename="{key.text}.ipns-record"',
        "Cache-Control": "=public, max-age=1800",
        "X-Content-Type-Options": "=nosniff",
        "ETag": '"',
    }
    located = {**has, "Content-Location": f"=/ipns/{key.text}?format=ipns-record"}
    reply = Case(f"/ipns/{key.text}?format=ipns-record", has=has, body=raw).check(site.node)
    check_all(
        site.node,
        [
            Case(f"/ipns/{key.text}", headers=RECORD, has=located, body=raw),
            Case(f"/ipns/{key.text}?format=ipns-record", 304, {"If-None-Match": reply.headers["ETag"]}),
            Case(f"/ipns/{key.text}/sub?format=ipns-record", 400),
            Case(f"/ipfs/{site.roots.tree}?format=ipns-record", 400),
            Case("/ipns/plain.example?format=ipns-record", 400),
            Case(f"/routing/v1/ipns/{key.text}", body=raw),
        ],
    )


def test_every_way_to_write_a_key_leads_to_the_canonical_one(site: Site) -> None:
    key = site.keys["valid"]
    peer_id = multibase.encode("z", key.name.multihash)[1:]
    for text in (peer_id, key.name.text("b"), key.name.text("z"), key.name.text("f")):
        Case(f"/ipns/{text}/sub/?a=b", 302, has={"Location": f"=/ipns/{key.text}/sub/?a=b"}).check(site.node)
    for text in ("k51nonsense", "nodots", "Qm123", MISSING):
        Case(f"/ipns/{text}", 400, contains=("invalid path",)).check(site.node)


def test_domains_lead_where_their_link_says(site: Site) -> None:
    brief = {"Cache-Control": "=public, max-age=300"}
    check_all(
        site.node,
        [
            Case("/ipns/plain.example/", has=brief, body=PAGE),
            Case("/ipns/PLAIN.example/style.css", has=brief),
            Case("/ipns/deep.example/hello.txt", has=brief, body=b"hello\n"),
            Case("/ipns/chain.example/hello.txt", has={"Cache-Control": "=public, max-age=300"}),
            Case("/ipns/chain-two.example/hello.txt", body=b"hello\n"),
            Case("/ipns/loop.example/", 502, contains=("more than",)),
            Case("/ipns/unknown.example/", 502, contains=("could not resolve name",)),
            Case(
                "/",
                headers={"Host": "plain.example"},
                has=brief,
                body=PAGE,
                lacks=("Cache-Control: immutable",),
            ),
            Case("/", headers={"Host": "PLAIN.EXAMPLE:8080"}, body=PAGE),
            Case("/", headers={"Host": "plain.example."}, body=PAGE),
            Case("/hello.txt", headers={"Host": "deep.example"}, body=b"hello\n"),
            Case("/ipfs/bafkqaaa", 404, headers={"Host": "plain.example"}),
            Case("/about/", headers={"Host": "plain.example"}, contains=("https://cid.ipfs.tech/#",)),
            Case("/", headers={"Host": "plain-example.ipns.example.com"}, body=PAGE),
            Case("/hello.txt", headers={"Host": "chain--two-example.ipns.localhost"}, body=b"hello\n"),
            Case("/", headers={"Host": "plain.example.ipns.localhost:80"}, body=PAGE),
        ],
    )


@pytest.mark.parametrize("host", ["example.com", "localhost:8080", "EXAMPLE.com", "example.com."])
def test_each_root_has_an_origin_of_its_own(site: Site, host: str) -> None:
    roots, here = site.roots, {"Host": host}
    base = host.lower().removesuffix(".")
    key = site.keys["valid"]
    old, v1 = roots.framed, roots.framed.as_v1()
    upper = str(roots.tree).upper()
    at_tree = {"Host": f"{roots.tree}.ipfs.{host}"}
    check_all(
        site.node,
        [
            Case(f"/ipfs/{roots.tree}", 301, here, {"Location": f"=http://{roots.tree}.ipfs.{base}/"}),
            Case(
                f"/ipfs/{roots.tree}/sub/a%20b?x=y&z",
                301,
                here,
                {"Location": f"=http://{roots.tree}.ipfs.{base}/sub/a%20b?x=y&z"},
            ),
            Case(f"/ipfs/{old}/", 301, here, {"Location": f"=http://{v1}.ipfs.{base}/"}),
            Case(f"/ipfs/{roots.tree.text('k')}/", 301, here, {"Location": f"http://{roots.tree}.ipfs."}),
            Case(
                f"/ipfs/{roots.long}/",
                400,
                here,
                contains=("CID incompatible with DNS label length limit of 63",),
            ),
            Case(f"/ipns/{key.name.text('z')}/", 301, here, {"Location": f"=http://{key.text}.ipns.{base}/"}),
            Case("/ipns/a-b.example.org/", 301, here, {"Location": f"=http://a--b-example-org.ipns.{base}/"}),
            Case("/ipfs/nonsense/", 400, here, contains=('invalid path "/ipfs/nonsense',)),
            Case(f"/ipfs/{roots.tree}?format=car", 200, here),
            Case(f"/ipfs/{roots.hello}", 200, {**here, "Accept": "application/vnd.ipld.raw"}),
            Case("/hello.txt", 200, at_tree, {"X-Ipfs-Path": f"=/ipfs/{roots.tree}/hello.txt"}, b"hello\n"),
            Case("/hello.txt", 200, {"Host": f"{upper}.IPFS.{host}"}, body=b"hello\n"),
            Case("/sub", 301, at_tree, {"Location": "=/sub/"}),
            Case(f"/ipfs/{roots.tree}/hello.txt", 404, at_tree),
            Case(
                "/names/",
                200,
                at_tree,
                contains=(f'"//{base}/ipfs/{roots.tree}/names"', '<a href="/names/..">'),
            ),
            Case(
                "/x?y",
                301,
                {"Host": f"{roots.tree.text('k')}.ipfs.{host}"},
                {"Location": f"http://{roots.tree}.ipfs.{base}/x?y"},
            ),
            Case(
                "/x",
                301,
                {"Host": f"{key.name.text('b')}.ipns.{host}"},
                {"Location": f"http://{key.text}.ipns.{base}/x"},
            ),
            Case(
                "/hello.txt",
                200,
                {"Host": f"{key.text}.ipns.{host}"},
                {"Cache-Control": "=public, max-age=1800"},
            ),
            Case("/", 400, {"Host": f"{'a' * 64}.ipfs.{host}"}),
            Case("/", 400, {"Host": f"nonsense.ipfs.{host}"}),
        ],
    )


def test_forwarded_hosts_are_believed_of_a_trusted_proxy_and_only_when_they_are_hosts(site: Site) -> None:
    hello, text = site.roots.hello, f"/ipfs/{site.roots.hello}"
    proxied = {"Host": "internal:8080", "X-Forwarded-Host": "example.com", "X-Forwarded-Proto": "https"}
    check_all(
        site.node,
        [
            Case(text, 301, proxied, {"Location": f"=https://{hello}.ipfs.example.com/"}),
            Case(text, 301, {**proxied, "X-Forwarded-Host": "example.com, other"}, {"Location": "https://"}),
            Case(text, 301, {**proxied, "X-Forwarded-Proto": "gopher"}, {"Location": "http://"}),
            Case("/", 200, {**proxied, "X-Forwarded-Host": f"{hello}.ipfs.example.com"}, body=b"hello\n"),
            Case(text, 400, {**proxied, "X-Forwarded-Host": 'example.com:1"><script>'}),
            Case(text, 400, {**proxied, "X-Forwarded-Host": "example.com/path"}),
            Case(text, 200, {"Host": "internal:8080"}, body=b"hello\n"),
            Case(text, 200, {"Host": "[::1]:8080"}, body=b"hello\n"),
            Case(text, 200, {"Host": "[::1]"}, body=b"hello\n"),
            Case(text, 200, {"Host": "127.0.0.1"}, body=b"hello\n"),
        ],
    )


def test_a_protocol_handlers_uri_leads_to_its_path(site: Site) -> None:
    hello = site.roots.hello
    check_all(
        site.node,
        [
            Case(f"/ipfs/?uri=ipfs%3A%2F%2F{hello}", 301, has={"Location": f"=/ipfs/{hello}"}),
            Case(
                "/ipns/?uri=ipns://plain.example/a%20b", 301, has={"Location": "=/ipns/plain.example/a%20b"}
            ),
            Case("/ipfs/?uri=https://evil.example/", 400),
            Case("/ipfs/?uri=ipfs://", 400),
            Case("/ipfs/?uri=ipfs://x%0D%0AEvil:%201", 301, lacks=("Evil",)),
        ],
    )


def ask_raw(node: Node, *lines: str) -> bytes:
    """What a connection answers to request heads sent one after the other."""
    with node.connect() as sock:
        for line in lines:
            sock.sendall(f"{line}\r\n\r\n".encode())
        sock.shutdown(socket.SHUT_WR)
        found = b""
        while piece := sock.recv(65536):
            found += piece
        return found


def test_a_proxy_answers_for_what_is_here_and_dials_nobody(site: Site) -> None:
    hello = site.roots.hello
    here = f"{hello}.ipfs.localhost"
    for line, status, inside in (
        (f"GET http://{here}/ HTTP/1.1\r\nHost: ignored", 200, b"hello\n"),
        (f"GET http://{here}:99/ HTTP/1.1\r\nHost: ignored", 200, b"hello\n"),
        ("GET http://plain.example/style.css HTTP/1.1\r\nHost: ignored", 200, b"red"),
        (f"GET http://localhost/ipfs/{hello} HTTP/1.1\r\nHost: ignored", 301, here.encode()),
        ("GET http://example.org/ HTTP/1.1\r\nHost: example.com", 404, b"no proxy"),
        ("GET http://example.org/ipfs/bafkqaaa HTTP/1.1\r\nHost: example.com", 404, b"no proxy"),
        ("GET http://user@example.com/ HTTP/1.1\r\nHost: x", 400, b""),
        ("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443", 404, b"no proxy"),
        ("CONNECT nonsense HTTP/1.1\r\nHost: x", 400, b""),
    ):
        answer = ask_raw(site.node, line)
        assert answer.split(b" ")[1] == str(status).encode(), line
        assert inside in answer, line
    tunnel = ask_raw(
        site.node, f"CONNECT {here}:80 HTTP/1.1\r\nHost: {here}:80", f"GET / HTTP/1.1\r\nHost: {here}"
    )
    assert re.match(rb"HTTP/1\.1 200 [^\n]*\r\n(?:[^\r\n]+\r\n)*\r\nHTTP/1\.1 200 ", tunnel)
    assert tunnel.endswith(b"hello\n")


def test_other_origins_may_read_everything(site: Site) -> None:
    paths = [
        f"/ipfs/{site.roots.hello}",
        f"/ipfs/{site.roots.tree}/",
        f"/ipfs/{site.roots.tree}",
        f"/ipfs/{site.roots.tree}?format=car",
        f"/ipfs/{site.roots.as_json}",
        f"/ipns/{site.keys['valid'].text}?format=ipns-record",
        f"/routing/v1/providers/{site.roots.hello}",
    ]
    for path in paths:
        reply = site.node.get(path, {"Origin": "https://else.example"})
        assert reply.headers["Access-Control-Allow-Origin"] == "*", path
        for name in ("Content-Range", "X-Ipfs-Roots", "X-Ipfs-Path", "X-Fleek-Blake3"):
            assert name in reply.headers["Access-Control-Expose-Headers"], path
    for path in paths[:6]:
        allowed = site.node.request(
            "OPTIONS", path, {"Origin": "https://else.example", "Access-Control-Request-Method": "GET"}
        )
        assert allowed.status == 200, path
        assert "GET" in allowed.headers["Access-Control-Allow-Methods"]
        assert "Range" in allowed.headers["Access-Control-Allow-Headers"]
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        refused = site.node.request(method, paths[0])
        assert refused.status == 405
        assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"
    missing = site.node.get(f"/ipfs/{MISSING}")
    assert missing.headers["Access-Control-Allow-Origin"] == "*", "scripts read errors too"


def test_nothing_under_a_name_is_ever_called_immutable(site: Site) -> None:
    valid = site.keys["valid"].text
    for path, headers in (
        (f"/ipns/{valid}/hello.txt", {}),
        (f"/ipns/{valid}/", {}),
        (f"/ipns/{valid}/sub", {}),
        (f"/ipns/{valid}/hello.txt?format=raw", {}),
        (f"/ipns/{valid}?format=car", {}),
        (f"/ipns/{valid}/sub?format=tar", {}),
        ("/ipns/plain.example/", {}),
        ("/", {"Host": "plain.example"}),
        ("/nowhere", {"Host": "rules.example"}),
        ("/", {"Host": f"{valid}.ipns.example.com"}),
        (f"/ipns/{valid}/sub/many.bin?format=bao", {}),
    ):
        for _ in range(2):
            reply = site.node.get(path, headers)
            assert "immutable" not in (reply.headers["Cache-Control"] or ""), path
    Case(f"/ipfs/{site.roots.hello}", has={"Cache-Control": FOREVER}).check(site.node)


def test_the_table_of_domains_is_read_again_on_sighup(tmp_path: Path) -> None:
    table = tmp_path / "links.json"
    table.write_text('{"one.example": "/ipfs/bafkqabtimvwgy3yk"}')
    flags = ("--workers", "1", "--offline", "--dnslink-file", str(table))
    with Node(tmp_path / "data", *flags) as node:
        assert node.get("/ipns/one.example").body == b"hello\n"
        assert node.get("/ipns/two.example").status == 502
        table.write_text('{"two.example": "/ipfs/bafkqabtimvwgy3yk"}')
        os.kill(node.process.pid, signal.SIGHUP)
        eventually(lambda: node.get("/ipns/two.example").status == 200)
        assert node.get("/ipns/one.example").status == 502
