"""CARs of paths, entities and ranges: the facts sheet's line "CAR", over trees made here."""

import http.client

import pytest

from content.car import CarReader
from content.cid import DAG_CBOR, RAW, Cid
from content.dag_walk import walk
from tests.gateway.cases import FOREVER, MISSING, Case, car_of, check_all
from tests.gateway.shared_node import Site

CAR = "application/vnd.ipld.car"
SHARED = {
    "Content-Type": f"={CAR}; version=1; order=dfs; dups=n",
    "Accept-Ranges": "=none",
    "X-Content-Type-Options": "=nosniff",
    "Content-Disposition": 'attachment; filename="',
    "Cache-Control": FOREVER,
    "ETag": 'W/"',
}


def whole(site: Site, cid: Cid) -> list[Cid]:
    return list(walk(cid, site.block))


def test_a_scope_chooses_exactly_its_blocks_in_depth_first_order(site: Site) -> None:
    roots = site.roots
    tree, sub, many, hello = roots.tree, roots.sub, roots.many, roots.hello
    file = whole(site, many)
    rows: dict[str, list[Cid]] = {
        f"{hello}?format=car": [hello],
        f"{many}?format=car": file,
        f"{many}?format=car&dag-scope=all": file,
        f"{many}?format=car&dag-scope=entity": file,
        f"{many}?format=car&dag-scope=block": [many],
        f"{sub}?format=car": [sub, hello, *file],
        f"{sub}?format=car&dag-scope=entity": [sub],
        f"{sub}?format=car&dag-scope=block": [sub],
        f"{tree}/sub?format=car&dag-scope=block": [tree, sub],
        f"{tree}/sub?format=car": [tree, sub, hello, *file],
        f"{tree}/sub/hello.txt?format=car": [tree, sub, hello],
        f"{tree}/sub/many.bin?format=car&dag-scope=entity": [tree, sub, *file],
        f"{roots.as_cbor}/to?format=car&dag-scope=entity": [
            roots.as_cbor,
            site.dags.value(DAG_CBOR, {"leaf": "cbor"}),
        ],
        f"{roots.as_cbor}?format=car&dag-scope=entity": [roots.as_cbor],
        f"{roots.link}?format=car": [roots.link],
    }
    tags = set()
    for path, cids in rows.items():
        reply = Case(f"/ipfs/{path}", has=SHARED).check(site.node)
        assert car_of(reply) == cids, path
        assert reply.headers["Content-Disposition"].endswith('.car"')
        tags.add(reply.headers["ETag"])
    assert len(tags) >= len(rows) - 1, "a tag for each path and scope"


def test_a_sharded_directory_gives_the_shards_walked_or_all_of_them(site: Site) -> None:
    root = site.roots.hamt
    shards = [cid for cid in whole(site, root) if cid.codec != RAW]
    entity = Case(f"/ipfs/{root}?format=car&dag-scope=entity").check(site.node)
    assert car_of(entity) == shards, "every shard, no child"
    path = car_of(Case(f"/ipfs/{root}/7.txt?format=car").check(site.node))
    assert path[0] == root
    assert site.block(path[-1]) == b"7\n"
    assert set(path[:-1]) < set(shards), "only the shards on the way"


def leaves_between(site: Site, first: int, last: int) -> list[Cid]:
    """The blocks of `many` that hold a byte of [first, last]."""
    found: list[Cid] = [site.roots.many]
    at = 0
    for inner in site.dags.children(site.roots.many):
        below = site.dags.children(inner)
        sizes = [len(site.block(leaf)) for leaf in below]
        inside = [
            leaf
            for index, leaf in enumerate(below)
            if at + sum(sizes[:index]) <= last and at + sum(sizes[: index + 1]) > first
        ]
        found += [inner, *inside] if inside else []
        at += sum(sizes)
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("0:*", 0, 10299),
        ("0:0", 0, 0),
        ("0:999", 0, 999),
        ("0:1000", 0, 1000),
        ("999:1000", 999, 1000),
        ("4000:7999", 4000, 7999),
        ("-1:*", 10299, 10299),
        ("-300:*", 10000, 10299),
        ("-301:*", 9999, 10299),
        ("-400:-301", 9900, 9999),
        ("2000:-8300", 2000, 2000),
        ("5:99999999999999999999", 5, 10299),
        ("-99999999999999999999:3", 0, 3),
    ],
)
def test_entity_bytes_choose_the_blocks_of_those_bytes(site: Site, text: str, first: int, last: int) -> None:
    reply = Case(f"/ipfs/{site.roots.many}?format=car&entity-bytes={text}", has=SHARED).check(site.node)
    assert car_of(reply) == leaves_between(site, first, last)


def test_entity_bytes_of_nothing_give_the_block_that_shows_why(site: Site) -> None:
    many, sub, hamt = site.roots.many, site.roots.sub, site.roots.hamt
    for path, cids in {
        f"{many}?format=car&entity-bytes=20000:30000": [many],
        f"{many}?format=car&entity-bytes=10300:*": [many],
        f"{many}?format=car&entity-bytes=9000:-9000": [many],
        f"{many}?format=car&entity-bytes=-5:3": [many],
        f"{sub}?format=car&entity-bytes=0:5": [sub],
        f"{site.roots.as_cbor}?format=car&entity-bytes=0:5": [site.roots.as_cbor],
    }.items():
        assert car_of(Case(f"/ipfs/{path}").check(site.node)) == cids, path
    assert car_of(Case(f"/ipfs/{hamt}?format=car&entity-bytes=0:*").check(site.node)) == car_of(
        Case(f"/ipfs/{hamt}?format=car&dag-scope=entity").check(site.node)
    )


def test_what_is_not_a_car_request_is_refused(site: Site) -> None:
    at = f"/ipfs/{site.roots.many}?format=car"
    bad = [f"&dag-scope={text}" for text in ("some", "ALL", "")]
    bad += [f"&entity-bytes={text}" for text in ("x", "1", "5:2", "-2:-5", "*:5", "0:", "1:2:3", "0x1:2")]
    bad += ["&entity-bytes=" + "9" * 200 + ":*", "&car-dups=x"]
    check_all(site.node, [Case(at + query, 400) for query in bad])
    check_all(
        site.node,
        [
            Case(f"{at}&car-version=2", 406),
            Case(f"{at}&car-order=bfs", 406),
            Case(f"/ipfs/{site.roots.many}", 406, {"Accept": f"{CAR}; order=rnd"}),
            Case(f"/ipfs/{site.roots.tree}/none?format=car", 404),
            Case(f"/ipfs/{MISSING}?format=car", 404),
            Case(f"/ipfs/{MISSING}?format=car", 412, {"Cache-Control": "only-if-cached"}),
            Case(at, 200, {"Range": "bytes=0-5"}, lacks=("Content-Range",)),
        ],
    )


def test_accept_and_query_choose_the_form_and_the_query_counts_more(site: Site) -> None:
    tree = site.roots.twice
    often = {"Content-Type": f"={CAR}; version=1; order=dfs; dups=y"}
    at = f"/ipfs/{tree}"
    located = f"={at}?format=car&car-version=1&car-order=dfs&car-dups=y"
    cases = [
        Case(at, headers={"Accept": f"{CAR};dups=y"}, has={**often, "Content-Location": located}),
        Case(f"{at}?format=car", headers={"Accept": f"{CAR};dups=y"}, has=often, lacks=("Content-Location",)),
        Case(f"{at}?format=car&car-dups=y", headers={"Accept": f"{CAR};dups=n"}, has=often),
        Case(at, headers={"Accept": f"{CAR};order=foo, {CAR};order=dfs;dups=y;q=0.5"}, has=often),
        Case(at, headers={"Accept": f'{CAR}; version=1; order=unk; dups="y", */*;q=0.1'}, has=often),
    ]
    bodies = {cases[0].check(site.node).body for _ in range(2)}
    for case in cases:
        bodies.add(case.check(site.node).body)
    assert len(bodies) == 1, "the same bytes each time"
    repeated = car_of(cases[1].check(site.node))
    once = car_of(Case(f"{at}?format=car").check(site.node))
    assert repeated == list(walk(tree, site.block, repeats=True))
    assert once == list(dict.fromkeys(repeated))
    assert len(once) < len(repeated)


def test_an_etag_tells_path_scope_range_and_duplicates_apart_and_is_honoured(site: Site) -> None:
    many, tree = site.roots.many, site.roots.tree
    paths = [
        f"/ipfs/{many}?format=car",
        f"/ipfs/{many}?format=car&dag-scope=block",
        f"/ipfs/{many}?format=car&dag-scope=entity",
        f"/ipfs/{many}?format=car&entity-bytes=0:5",
        f"/ipfs/{many}?format=car&entity-bytes=0:5000",
        f"/ipfs/{many}?format=car&car-dups=y",
        f"/ipfs/{tree}/many.bin?format=car",
    ]
    tags = [site.node.get(path).headers["ETag"] for path in paths]
    assert len(set(tags)) == len(tags)
    for path, tag in zip(paths, tags, strict=True):
        for field in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
            Case(path, 304, {"If-None-Match": field}, has={"ETag": f"={tag}"}, body=b"").check(site.node)
        Case(path, 200, {"If-None-Match": '"x"'}).check(site.node)


def test_identity_cids_are_never_sent(site: Site) -> None:
    probe = Case("/ipfs/bafkqaaa?format=car", has=SHARED).check(site.node)
    reader = CarReader()
    assert list(reader.feed(probe.body)) == []
    assert reader.roots == (Cid.parse("bafkqaaa"),)
    inline, hello = site.roots.inline, site.roots.hello
    for path, cids in {
        f"{inline}?format=car": [inline, hello],
        f"{inline}?format=car&car-dups=y": [inline, hello],
        f"{inline}?format=car&dag-scope=entity": [inline],
        f"{inline}/in?format=car": [inline],
        f"{inline}/in?format=car&dag-scope=entity&entity-bytes=0:*": [inline],
        f"{inline}/in?format=car&dag-scope=block": [inline],
    }.items():
        assert car_of(Case(f"/ipfs/{path}").check(site.node)) == cids, path
    Case(f"/ipfs/{inline}/in", body=b"inline").check(site.node)


def test_a_car_with_a_missing_block_never_ends_cleanly(site: Site) -> None:
    """The connection is reset: a client that sees a clean end may believe that it has everything."""
    gap = site.roots.gap
    for query in ("format=car", "format=car&dag-scope=entity", "format=car&entity-bytes=0:3000"):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            site.node.get(f"/ipfs/{gap}?{query}")
    for span in ("0:1999", "3000:*", "-1:*"):
        assert car_of(Case(f"/ipfs/{gap}?format=car&entity-bytes={span}").check(site.node))


def test_a_head_says_that_what_would_be_sent_is_not_whole_here(site: Site) -> None:
    gap, shardless = site.roots.gap, site.roots.shardless
    for path in (f"{gap}?format=car", f"{shardless}?format=car", f"{shardless}?format=tar", f"{shardless}/"):
        assert site.node.request("HEAD", f"/ipfs/{path}").status == 404, path
        refused = site.node.request("HEAD", f"/ipfs/{path}", {"Cache-Control": "only-if-cached"})
        assert refused.status == 412, path
    for path in (f"{gap}?format=car&entity-bytes=0:1999", f"{gap}?format=car&dag-scope=block", str(gap)):
        assert site.node.request("HEAD", f"/ipfs/{path}").status == 200, path
    tag = site.node.request("HEAD", f"/ipfs/{gap}?format=car&dag-scope=block").headers["ETag"]
    Case(f"/ipfs/{gap}?format=car&dag-scope=block", 304, {"If-None-Match": tag}).check(site.node)
