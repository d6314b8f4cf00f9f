"""A running node over public fixtures: what path and trustless gateways promise of content by CID."""

import io
import tarfile

import pytest

from content import dag_cbor, dag_json
from tests.gateway.cases import FOREVER, Case, car_of
from tests.gateway.fixtures import Fixtures

pytestmark = pytest.mark.timeout(120)


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
