"""A running node over public fixtures: names, subdomains, websites, the proxy, proofs, providers."""

import json
from pathlib import Path

import pytest

from content import dag_pb, ipns
from tests.appliance import Node
from tests.gateway.cases import FOREVER, Case
from tests.gateway.fixtures import Fixtures
from tests.shared_data import shared_data

pytestmark = pytest.mark.timeout(120)


RECORDS = {
    "v1": "k51qzi5uqu5dm4tm0wt8srkg9h9suud4wuiwjimndrkydqm81cqtlb5ak6p7ku",
    "v1 value broken": "k51qzi5uqu5dlmit2tuwdvnx4sbnyqgmvbxftl0eo3f33wwtb9gr7yozae9kpw",
    "v2 signature broken": "k51qzi5uqu5diamp7qnnvs1p1gzmku3eijkeijs3418j23j077zrkok63xdm8c",
}


@pytest.mark.parametrize("name", RECORDS.values(), ids=RECORDS.keys())
def test_names_whose_record_is_wrong_do_not_resolve(fixtures: Fixtures, name: str) -> None:
    assert 500 <= fixtures.node.get(f"/ipns/{name}").status <= 599
    assert fixtures.node.get(f"/ipns/{name}?format=ipns-record").status >= 400


def test_names_resolve_and_give_their_record(fixtures: Fixtures) -> None:
    name = "k51qzi5uqu5dlkw8pxuw9qmqayfdeh4kfebhmreauqdc6a7c3y7d5i9fi8mk9w"
    Case(f"/ipns/{name}", body=b"v1+v2 record").check(fixtures.node)
    for path, headers in (
        (f"/ipns/{name}?format=ipns-record", {}),
        (f"/ipns/{name}", {"Accept": "application/vnd.ipfs.ipns-record"}),
    ):
        reply = Case(
            path,
            headers=headers,
            has={
                "Content-Type": "application/vnd.ipfs.ipns-record",
                "Cache-Control": "public, max-age=1800",
                "Content-Disposition": "attachment;",
            },
        ).check(fixtures.node)
        assert ipns.verified(ipns.parse_name(name), reply.body, 1_700_000_000.0).value.startswith("/ipfs/")
    old = "QmcJM7PRfkSbcM5cf1QugM5R37TLRKyJGgBEhXjLTB8uA2"
    Case(
        f"/ipns/{old}/a/",
        302,
        has={"Location": "/ipns/k2k4r8ol4m8kkcqz509c1rcjwunebj02gcnm5excpx842u736nja8ger/a/"},
    ).check(fixtures.node)
    cached = Case("/ipns/k51qzi5uqu5dlxdsdu5fpuu7h69wu4ohp32iwm9pdt9nq3y5rpn3ln9j12zfhe/root2/root3/").check(
        fixtures.node
    )
    assert "immutable" not in cached.headers["Cache-Control"]


@pytest.mark.parametrize("host", ["example.com", "localhost:8080"])
def test_subdomains(fixtures: Fixtures, host: str) -> None:
    node = fixtures.node
    root = fixtures.root("fixtures_19")
    text = {link.name: link.cid for link in dag_pb.decode(fixtures.block(root)).links}
    folder, file = text["testdirlisting"], text["hello-CIDv1"]
    old, long = text["hello-CIDv0"], text["hello-CIDv1_TOO_LONG"]
    here, there = {"Host": host}, {"Host": f"{file}.ipfs.{host}"}
    site = {"Host": f"{folder}.ipfs.{host}"}
    proxied = {"Host": "fake.domain.com", "X-Forwarded-Host": host, "X-Forwarded-Proto": "https"}
    cases = [
        Case(f"/ipfs/{file}/", 301, here, {"Location": f"http://{file}.ipfs.{host}/"}),
        Case(f"/ipfs/{old}/", 301, here, {"Location": f"http://{old.as_v1()}.ipfs.{host}/"}),
        Case(f"/ipfs/{file}", 301, proxied, {"Location": f"https://{file}.ipfs.{host}/"}),
        Case(f"/ipfs/{file}", headers={"Host": "fake.domain.com"}, body=b"hello\n"),
        Case("/", headers=there, body=b"hello\n"),
        Case(f"/ipfs/{file}", 404, there),
        Case("/ipfs/file.txt", headers=site, contains=("I am a txt file",)),
        Case(
            "/ipfs/ipns/",
            headers=site,
            contains=('<a href="/ipfs/ipns/..">..</a>', f'"//{host}/ipfs/{folder}/ipfs/ipns"'),
        ),
        Case(f"/ipfs/{long}/", 400, here, contains=("CID incompatible with DNS label length limit of 63",)),
        Case(
            "/ipfs/?uri=ipfs://QmXoypizjW3WknFiJnKLwHCnL72vedxjQkDDP1mXWo6uco/wiki/a.html",
            301,
            here,
            {"Location": "/ipfs/QmXoypizjW3WknFiJnKLwHCnL72vedxjQkDDP1mXWo6uco/wiki/a.html"},
        ),
        Case(
            "/ipns/en.wikipedia-on-ipfs.org/wiki/",
            301,
            here,
            {"Location": f"http://en-wikipedia--on--ipfs-org.ipns.{host}/wiki/"},
        ),
    ]
    for case in cases:
        case.check(node)


def test_forwarded_fields_count_from_trusted_proxies_only(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[gateway]\ntrusted_proxies = ["192.0.2.0/24"]\nsubdomain_hosts = ["example.com"]\n')
    with Node(tmp_path / "data", "--config", str(config), "--workers", "1") as node:
        reply = node.get("/ipfs/bafkqaaa", {"Host": "fake.domain.com", "X-Forwarded-Host": "example.com"})
        assert reply.status == 200, "nobody may say whom a request is for but a trusted proxy"


def test_redirects_files(fixtures: Fixtures) -> None:
    root = fixtures.root("redirects_18")
    parts = {
        name: fixtures.child(root, name)
        for name in ("examples", "forced", "too-large", "newlines", "good-codes", "bad-codes")
    }

    def at(name: str) -> dict[str, str]:
        return {"Host": f"{parts[name].as_v1()}.ipfs.example.com"}

    cases = [
        Case("/redirect-one", 301, at("examples"), {"Location": "/one.html"}),
        Case("/302-redirect-two", 302, at("examples"), {"Location": "/two.html"}),
        Case("/200-index", 200, at("examples"), contains=("my index",)),
        Case(
            "/posts/2022/01/01/hello-world",
            301,
            at("examples"),
            {"Location": "/articles/2022/01/01/hello-world"},
        ),
        Case("/splat/one.html", 301, at("examples"), {"Location": "/redirected-splat/one.html"}),
        Case(
            "/not-found/x",
            404,
            at("examples"),
            {"Cache-Control": FOREVER, "ETag": f'"{fixtures.child(parts["examples"], "404.html")}"'},
            contains=("my 404",),
        ),
        Case("/gone/x", 410, at("examples"), contains=("my 410",)),
        Case("/unavail/x", 451, at("examples"), contains=("my 451",)),
        Case("/not-found", 500, at("forced"), contains=("could not parse _redirects:",)),
        Case(
            "/not-found",
            500,
            at("too-large"),
            contains=("could not parse _redirects:", "redirects file size cannot exceed"),
        ),
        Case("/redirect-one", 301, at("newlines"), {"Location": "/one.html"}),
        Case("/a301", 301, at("good-codes"), {"Location": "/b301"}),
        Case("/found.html", 200, at("bad-codes"), contains=("my found",)),
        Case(f"/ipfs/{parts['examples']}/redirect-one", 404),
    ]
    for case in cases:
        case.check(fixtures.node)


def test_dnslink_sites(fixtures: Fixtures) -> None:
    domains = json.loads((shared_data("gateway-fixtures") / "dnslinks.json").read_text())["domains"]
    site = next(host for host, path in domains.items() if path == f"/ipfs/{fixtures.root('fixtures_11')}")
    Case(
        "/%C4%85/%C4%99/",
        headers={"Host": site},
        contains=("Index of", f'<a href="//{site}/">{site}</a>', 'href="https://cid.ipfs.tech/#'),
    ).check(fixtures.node)
    reply = Case("/", headers={"Host": site}).check(fixtures.node)
    assert "immutable" not in reply.headers["Cache-Control"]
    inlined = site.replace("-", "--").replace(".", "-")
    Case("/", headers={"Host": f"{inlined}.ipns.example.com"}, contains=("Index of",)).check(fixtures.node)


def test_the_proxy_answers_for_content_here_and_dials_nobody(fixtures: Fixtures) -> None:
    root = fixtures.root("fixtures_19")
    file = fixtures.child(root, "hello-CIDv1")
    with fixtures.node.connect() as sock:
        sock.sendall(f"CONNECT {file}.ipfs.localhost:80 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {file}.ipfs.localhost\r\n\r\n".encode())
        assert b"hello\n" in sock.recv(4000)
    for line, status in (
        (f"GET http://{file}.ipfs.localhost/ HTTP/1.1", b"200"),
        ("GET http://example.org/ HTTP/1.1", b"404"),
        ("CONNECT example.org:443 HTTP/1.1", b"404"),
    ):
        with fixtures.node.connect() as sock:
            sock.sendall(f"{line}\r\nHost: y\r\n\r\n".encode())
            assert sock.recv(1000).split(b" ")[1] == status, line


def test_files_by_cid_have_their_blake3_name_and_proofs(fixtures: Fixtures) -> None:
    root = fixtures.root("dir-with-files")
    path = f"/ipfs/{root}/ascii.txt"
    reply = Case(path, has={"X-Fleek-Blake3": ""}).check(fixtures.node)
    name = reply.headers["X-Fleek-Blake3"]
    assert fixtures.node.get(f"/blake3/{name}").body == reply.body
    for form in ("bao", "bao-outboard", "bao&entity-bytes=1:3", "bao-chunk&entity-bytes=0:5"):
        assert (
            fixtures.node.get(f"{path}?format={form}").body
            == fixtures.node.get(f"/blake3/{name}?format={form}").body
        )


def test_this_node_is_a_provider_of_what_it_holds(fixtures: Fixtures) -> None:
    root = fixtures.root("dir-with-files")
    found = json.loads(Case(f"/routing/v1/providers/{root}").check(fixtures.node).body)["Providers"]
    assert [each["Schema"] for each in found] == ["peer"]
    assert found[0]["Addrs"][0].endswith("/http")
    nothing = Case("/routing/v1/providers/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").check(
        fixtures.node
    )
    assert json.loads(nothing.body) == {"Providers": []}
    lines = Case(f"/routing/v1/providers/{root}", headers={"Accept": "application/x-ndjson"}).check(
        fixtures.node
    )
    assert json.loads(lines.body) == found[0]
