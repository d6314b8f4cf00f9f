"""A running node over public fixtures: what path, subdomain, DNSLink and trustless gateways promise."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from content import dag_cbor, dag_json, dag_pb, ipns
from content.car import CarReader
from content.cid import Cid
from tests.appliance import Node, Reply, edge
from tests.shared_data import shared_data

pytestmark = pytest.mark.timeout(120)


@dataclass
class Fixtures:
    """The node and the roots of the CAR files by a part of their names."""

    node: Node
    roots: dict[str, Cid]
    blocks: dict[bytes, bytes]

    def root(self, name: str) -> Cid:
        (found,) = {cid for key, cid in self.roots.items() if key.startswith(name)}
        return found

    def block(self, cid: Cid) -> bytes:
        return self.blocks[cid.multihash]

    def child(self, cid: Cid, *names: str) -> Cid:
        for name in names:
            (cid,) = [link.cid for link in dag_pb.decode(self.block(cid)).links if link.name == name]
        return cid


@pytest.fixture(scope="module")
def fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fixtures]:
    folder = shared_data("gateway-fixtures")
    data = tmp_path_factory.mktemp("gateway") / "data"
    cars = sorted(folder.glob("*.car"))
    done = edge(data, "dag", "import", "--allow-incomplete", *map(str, cars))
    assert done.returncode == 0, done.stderr
    refused = []
    for record in sorted(folder.glob("*.ipns-record")):
        name = record.name.removesuffix(".ipns-record").split("_")[0]
        put = edge(data, "name", "put", "--name", name, str(record))
        if put.returncode:
            assert put.returncode == 4, put.stderr
            refused.append(record.name)
    assert len(refused) == 3, "the three records that are wrong on purpose"
    roots: dict[str, Cid] = {}
    blocks: dict[bytes, bytes] = {}
    for car in cars:
        reader = CarReader()
        blocks |= {block.cid.multihash: block.data for block in reader.feed(car.read_bytes())}
        assert reader.roots
        roots[car.name] = reader.roots[0]
    flags = (
        "--subdomain-host",
        "example.com",
        "--subdomain-host",
        "localhost",
        "--workers",
        "1",
        "--offline",
    )
    with Node(data, *flags, "--dnslink-file", str(folder / "dnslinks.json")) as node:
        yield Fixtures(node, roots, blocks)


@dataclass(frozen=True)
class Case:
    """A request and what its answer must have."""

    path: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    has: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    contains: tuple[str, ...] = ()
    method: str = "GET"

    def check(self, node: Node) -> Reply:
        reply = node.request(self.method, self.path, self.headers)
        assert reply.status == self.status, (self, reply.status, reply.body[:300])
        for name, text in self.has.items():
            assert text in (reply.headers[name] or ""), (self, name, reply.headers[name])
        if self.body is not None:
            assert reply.body == self.body
        for text in self.contains:
            assert text.encode() in reply.body, (self, text, reply.body[:2000])
        return reply


FOREVER = "public, max-age=29030400, immutable"


def test_raw_blocks(fixtures: Fixtures) -> None:
    root = fixtures.root("gateway-raw-block")
    leaf = fixtures.child(root, "dir", "ascii.txt")
    block = fixtures.block(leaf)
    shared = {
        "Content-Type": "application/vnd.ipld.raw",
        "Content-Length": str(len(block)),
        "Content-Disposition": f'attachment; filename="{leaf}.bin"',
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{leaf}.raw"',
        "X-Ipfs-Path": f"/ipfs/{root}/dir/ascii.txt",
        "X-Ipfs-Roots": str(leaf),
        "Cache-Control": FOREVER,
    }
    path = f"/ipfs/{root}/dir/ascii.txt"
    cases = [
        Case(f"{path}?format=raw", has=shared, body=block),
        Case(path, headers={"Accept": "application/vnd.ipld.raw"}, has=shared, body=block),
        Case(f"{path}?format=raw", method="HEAD", has=shared, body=b""),
        Case(
            f"{path}?format=raw",
            206,
            {"Range": "bytes=1-3"},
            {"Content-Range": f"bytes 1-3/{len(block)}"},
            block[1:4],
        ),
        Case(f"{path}?format=raw", 304, {"If-None-Match": f'W/"{leaf}.raw"'}, body=b""),
        Case(
            f"{path}?format=raw&filename=bl%C3%B6ck.bin",
            has={"Content-Disposition": "filename*=UTF-8''bl%C3%B6ck.bin"},
        ),
        Case("/ipfs/bafkqaaa?format=raw", body=b""),
        Case("/ipfs/bafkqaaa?format=raw", method="HEAD"),
        Case(f"/ipfs/{root}/missing?format=raw", 404),
        Case("/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy?format=raw", 404),
        Case("/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", 404, method="HEAD"),
        Case(f"{path}?format=nothing", 400),
    ]
    for case in cases:
        case.check(fixtures.node)


def car_of(reply: Reply) -> list[Cid]:
    reader = CarReader()
    found = [block.cid for block in reader.feed(reply.body)]
    reader.end()
    return found


def test_cars_hold_exactly_the_blocks_asked_for_in_order(fixtures: Fixtures) -> None:
    root = fixtures.root("subdir-with-two-single-block-files")
    subdir = fixtures.child(root, "subdir")
    one, two = fixtures.child(subdir, "ascii.txt"), fixtures.child(subdir, "hello.txt")
    whole = {
        f"/ipfs/{root}?format=car": [root, subdir, one, two],
        f"/ipfs/{root}/subdir/ascii.txt?format=car": [root, subdir, one],
        f"/ipfs/{root}/subdir?format=car&dag-scope=block": [root, subdir],
        f"/ipfs/{root}/subdir?format=car&dag-scope=entity": [root, subdir],
        f"/ipfs/{root}/subdir/ascii.txt?format=car&dag-scope=entity&entity-bytes=0:*": [root, subdir, one],
        f"/ipfs/{one}?format=car&entity-bytes=-5:*": [one],
    }
    tags = set()
    for path, cids in whole.items():
        shared = {
            "Content-Type": "application/vnd.ipld.car; version=1; order=dfs; dups=n",
            "Accept-Ranges": "none",
        }
        reply = Case(
            path, has={**shared, "X-Content-Type-Options": "nosniff", "Content-Disposition": ".car"}
        ).check(fixtures.node)
        assert car_of(reply) == cids, path
        tags.add(reply.headers["ETag"])
    assert len(tags) == len(whole), "a tag for each path, scope and range"
    for path, status in {
        f"/ipfs/{root}?format=car&dag-scope=some": 400,
        f"/ipfs/{root}?format=car&car-version=2": 406,
        f"/ipfs/{one}?format=car&entity-bytes=x": 400,
        f"/ipfs/{root}/subdir/none?format=car": 404,
    }.items():
        Case(path, status).check(fixtures.node)
    Case(f"/ipfs/{root}?format=car", method="HEAD", body=b"").check(fixtures.node)


def test_duplicate_blocks_are_sent_once_or_each_time(fixtures: Fixtures) -> None:
    root = fixtures.root("dir-with-duplicate-files")
    once = car_of(Case(f"/ipfs/{root}?format=car").check(fixtures.node))
    often = car_of(
        Case(
            f"/ipfs/{root}",
            headers={"Accept": "application/vnd.ipld.car; dups=y"},
            has={"Content-Type": "dups=y"},
        ).check(fixtures.node)
    )
    assert len(once) == len(set(once)) < len(often)
    assert (
        car_of(
            Case(
                f"/ipfs/{root}?format=car&car-dups=n", headers={"Accept": "application/vnd.ipld.car; dups=y"}
            ).check(fixtures.node)
        )
        == once
    )


def test_a_car_of_a_sharded_path_walks_only_its_shards(fixtures: Fixtures) -> None:
    root = fixtures.root("single-layer-hamt")
    path = car_of(Case(f"/ipfs/{root}/685.txt?format=car&dag-scope=block").check(fixtures.node))
    entity = car_of(Case(f"/ipfs/{root}?format=car&dag-scope=entity").check(fixtures.node))
    assert path[0] == entity[0] == root
    assert 2 <= len(path) < len(entity)


def test_a_file_with_a_missing_block_serves_its_other_bytes_and_never_a_clean_end(fixtures: Fixtures) -> None:
    root = fixtures.root("file-3k-and-3-blocks-missing-block")
    whole = {"Range": "bytes=0-1000"}
    first = Case(f"/ipfs/{root}", 206, whole, {"Content-Range": "bytes 0-1000/"}).check(fixtures.node)
    assert len(first.body) == 1001
    last = Case(f"/ipfs/{root}", 206, {"Range": "bytes=-500"}).check(fixtures.node)
    assert len(last.body) == 500
    inside = car_of(
        Case(f"/ipfs/{root}?format=car&dag-scope=entity&entity-bytes=0:1000").check(fixtures.node)
    )
    assert len(inside) == 2
    with pytest.raises(Exception, match=r"IncompleteRead|reset|Connection"):
        fixtures.node.get(f"/ipfs/{root}")
    with pytest.raises(Exception, match=r"IncompleteRead|reset|Connection"):
        fixtures.node.get(f"/ipfs/{root}?format=car")


def test_directories_and_caching(fixtures: Fixtures) -> None:
    root = fixtures.root("fixtures_1.car")
    node = fixtures.node
    names = ["root2", "root3", "root4"]
    cids = [root]
    for name in names:
        cids.append(fixtures.child(cids[-1], name))
    at = f"/ipfs/{root}/root2/root3/"
    listing = Case(
        at,
        has={
            "ETag": f"_CID-{cids[2]}",
            "X-Ipfs-Roots": ",".join(map(str, cids[:3])),
            "X-Ipfs-Path": at,
            "Cache-Control": "public, max-age=604800, stale-while-revalidate=2678400",
        },
        contains=("Index of", ">root4<", 'class="ipfs-hash" translate="no"'),
    ).check(node)
    page = fixtures.child(cids[3], "index.html")
    cases = [
        Case(at[:-1], 301, has={"Location": at}),
        Case(at, 304, {"If-None-Match": listing.headers["ETag"]}),
        Case(at, 304, {"If-None-Match": f"W/{listing.headers['ETag']}"}),
        Case(f"{at}root4/", has={"ETag": f'"{cids[3]}"', "Cache-Control": FOREVER}, body=b"hello\n"),
        Case(f"{at}root4", 301),
        Case(
            f"{at}root4/index.html",
            has={"ETag": f'"{page}"', "Content-Type": "text/html", "Accept-Ranges": "bytes"},
        ),
        Case(f"{at}root4/index.html", 304, {"If-None-Match": f'"x", "{page}"'}),
        Case(f"{at}root4/index.html", 304, {"If-None-Match": "*"}),
        Case(f"{at}root4/index.html", 412, {"If-Match": '"x"'}),
        Case(f"{at}nothing", 404, contains=('no link named "nothing"',)),
        Case(f"{at}root4/?format=raw", body=fixtures.block(cids[3])),
        Case(f"{at}root4/?format=raw", headers={"Cache-Control": "only-if-cached"}),
        Case(
            "/ipfs/QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN", 412, {"Cache-Control": "only-if-cached"}
        ),
        Case(
            "/ipfs/QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN",
            412,
            {"Cache-Control": "only-if-cached"},
            method="HEAD",
        ),
        Case("/ipfs/QmInvalidCID", 400, contains=('invalid path "/ipfs/QmInvalidCID"',)),
        Case(
            f"/ipfs/{root}/",
            method="OPTIONS",
            has={"Access-Control-Allow-Origin": "*", "Allow": "GET, HEAD, OPTIONS"},
        ),
        Case(f"/ipfs/{root}/", 405, method="DELETE", has={"Allow": "GET, HEAD, OPTIONS"}),
    ]
    for case in cases:
        case.check(node)
    for name in ("Content-Range", "X-Ipfs-Roots", "X-Stream-Output"):
        assert name in listing.headers["Access-Control-Expose-Headers"]


def test_names_beyond_ascii_in_listings(fixtures: Fixtures) -> None:
    root = fixtures.root("fixtures_11")
    file = fixtures.child(root, "ą", "ę", "file-źł.txt")
    Case(f"/ipfs/{root}/%C4%85/%C4%99", 301, has={"Location": f"/ipfs/{root}/%C4%85/%C4%99/"}).check(
        fixtures.node
    )
    Case(
        f"/ipfs/{root}/%C4%85/%C4%99/",
        contains=(
            f'<a href="/ipfs/{root}/%C4%85/%C4%99/..">..</a>',
            f'<a href="/ipfs/{root}/%C4%85/%C4%99/file-%C5%BA%C5%82.txt">file-źł.txt</a>',
            f'href="/ipfs/{file}?filename=file-%25C5%25BA%25C5%2582.txt">',
        ),
    ).check(fixtures.node)
    assert ">..<" not in fixtures.node.get(f"/ipfs/{root}/").body.decode()


def test_a_symlink_is_its_target_as_text(fixtures: Fixtures) -> None:
    Case(f"/ipfs/{fixtures.root('symlink')}/bar", body=b"foo").check(fixtures.node)


def test_values_come_in_their_own_codec_only(fixtures: Fixtures) -> None:
    node = fixtures.node
    as_json, as_cbor = fixtures.root("dag-json-traversal"), fixtures.root("dag-cbor-traversal")
    for cid, kind, other, plain in (
        (as_json, "dag-json", "dag-cbor", "json"),
        (as_cbor, "dag-cbor", "dag-json", "cbor"),
    ):
        block = fixtures.block(cid)
        disposition = "inline" if plain == "json" else "attachment"
        native = {
            "Content-Type": f"application/vnd.ipld.{kind}",
            "ETag": f'"{cid}.{kind}"',
            "Content-Disposition": f'{disposition}; filename="{cid}.{plain}"',
            "Cache-Control": FOREVER,
        }
        cases = [
            Case(f"/ipfs/{cid}", has=native, body=block),
            Case(f"/ipfs/{cid}?format={kind}", has=native, body=block),
            Case(f"/ipfs/{cid}", headers={"Accept": f"application/vnd.ipld.{kind}"}, has=native, body=block),
            Case(f"/ipfs/{cid}?format={plain}", has={"Content-Type": f"application/{plain}"}, body=block),
            Case(f"/ipfs/{cid}?format={other}", 406),
            Case(f"/ipfs/{cid}", 206, {"Range": "bytes=2-4"}, body=block[2:5]),
            Case(
                f"/ipfs/{cid}?format={kind}&filename=x.{plain}&download=true",
                has={"Content-Disposition": f'attachment; filename="x.{plain}"'},
            ),
            Case(f"/ipfs/{cid}/foo?format={kind}", 501),
            Case(f"/ipfs/{cid}/foo/i-do-not-exist", 404),
            Case(
                f"/ipfs/{cid}/",
                headers={"Accept": "text/html"},
                has={"ETag": "DagIndex-", "Content-Type": "text/html"},
                contains=("</html>",),
            ),
        ]
        for case in cases:
            case.check(node)
    through = Case(f"/ipfs/{as_json}/foo/link/bar?format=dag-json").check(node)
    assert dag_json.decode(through.body) == {"hello": "this is not a link"}
    through = Case(f"/ipfs/{as_cbor}/foo/link/bar?format=dag-cbor").check(node)
    assert dag_cbor.decode(through.body) == {"hello": "this is not a link"}
    Case(f"/ipfs/{fixtures.root('dag-pb')}?format=dag-json", 406).check(node)


def test_tars(fixtures: Fixtures) -> None:
    root = fixtures.root("fixtures_11")
    reply = Case(
        f"/ipfs/{root}?format=tar",
        has={
            "Content-Type": "application/x-tar",
            "ETag": f'W/"{root}.x-tar',
            "Content-Disposition": "attachment;",
        },
    ).check(fixtures.node)
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as archive:
        member = archive.extractfile(f"{root}/ą/ę/file-źł.txt")
        assert member is not None
        assert member.read() == b"I am a txt file on path with utf8\n"
    inside = fixtures.root("inside-root")
    with tarfile.open(
        fileobj=io.BytesIO(Case(f"/ipfs/{inside}?format=tar").check(fixtures.node).body)
    ) as archive:
        assert f"{inside}/foobar/file" in archive.getnames()


def test_a_tar_that_would_leave_its_folder_is_refused(fixtures: Fixtures) -> None:
    outside = fixtures.root("outside-root")
    reply = Case(f"/ipfs/{outside}?format=tar", 422).check(fixtures.node)
    assert b"outside the root" in reply.body


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
