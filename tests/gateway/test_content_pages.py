"""Pages made here: listings, previews, redirects to a slash; TARs. Over trees made here."""

import html
import http.client
import io
import tarfile
from urllib.parse import quote

from content import dag_cbor, dag_json
from tests.gateway.cases import FOREVER, Case, check_all
from tests.gateway.shared_node import Site
from tests.gateway.trees import MANY, NAMES, PAGE

GENERATED = "=public, max-age=604800, stale-while-revalidate=2678400"
HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_a_listing_has_what_kubos_users_and_tools_look_for(site: Site) -> None:
    roots = site.roots
    tree = f"/ipfs/{roots.tree}/"
    page = Case(
        tree,
        has={
            "Content-Type": "=text/html; charset=utf-8",
            "ETag": f'_CID-{roots.tree}"',
            "Cache-Control": GENERATED,
            "X-Ipfs-Path": f"={tree}",
            "X-Ipfs-Roots": f"={roots.tree}",
            "Content-Security-Policy": "default-src 'none'",
            "X-Content-Type-Options": "=nosniff",
        },
        contains=(
            "Index of",
            'class="ipfs-hash" translate="no"',
            f'<a href="{tree}hello.txt">hello.txt</a>',
            f'href="/ipfs/{roots.hello}?filename=hello.txt"',
            f'<a href="/ipfs/{roots.tree}">',
        ),
    ).check(site.node)
    assert page.headers["ETag"].startswith('"DirIndex-')
    assert b">..<" not in page.body, "there is nothing above a root"
    tag = page.headers["ETag"]
    check_all(
        site.node,
        [
            Case(f"{tree}sub/", contains=(f'<a href="{tree}sub/..">..</a>', f'<a href="{tree}sub">sub</a>')),
            Case(tree, 304, {"If-None-Match": tag}, {"ETag": f"={tag}", "Cache-Control": GENERATED}, b""),
            Case(tree, 304, {"If-None-Match": f"W/{tag}"}, body=b""),
            Case(tree, 304, {"If-None-Match": f'"x", {tag}'}, body=b""),
            Case(tree, 304, {"If-None-Match": "*"}, body=b""),
            Case(tree, 200, {"If-None-Match": f'"{roots.tree}"'}),
            Case(tree, 200, {"Range": "bytes=0-5"}, lacks=("Content-Range",)),
            Case(tree[:-1], 301, {}, {"Location": f"={tree}"}),
            Case(f"/ipfs/{roots.hamt}/", contains=("59.txt", "0.txt", "60 entries")),
            Case(f"/ipfs/{roots.names}", 301, {}, {"Location": f"=/ipfs/{roots.names}/"}),
        ],
    )


def test_a_listing_escapes_every_name_as_text_and_as_link(site: Site) -> None:
    page = site.node.get(f"/ipfs/{site.roots.names}/").body.decode()
    for name in NAMES:
        assert f">{html.escape(name)}</a>" in page
        twice = quote(quote(name, safe="~-._"), safe="~-._")
        assert f"?filename={twice}" in page
        assert site.node.get(f"/ipfs/{site.roots.names}/{quote(name)}").status == 200
    evil = site.node.get(f"/ipfs/{site.roots.sharp}/").body.decode()
    assert "<script>alert" not in evil
    assert 'href="javascript:' not in evil
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in evil


def test_an_index_page_stands_for_its_directory(site: Site) -> None:
    at = f"/ipfs/{site.roots.website}/"
    tag = f'"{site.roots.website}"'
    check_all(
        site.node,
        [
            Case(
                at, has={"ETag": f"={tag}", "Cache-Control": FOREVER, "Content-Type": "text/html"}, body=PAGE
            ),
            Case(at, 206, {"Range": "bytes=5-9"}, {"Content-Range": f"=bytes 5-9/{len(PAGE)}"}, PAGE[5:10]),
            Case(at, 304, {"If-None-Match": tag}),
            Case(at[:-1], 301, {}, {"Location": f"={at}"}),
            Case(f"/ipfs/{site.roots.tree}/site/", body=PAGE),
            Case("/", 206, {"Range": "bytes=-4", **site.at(site.roots.website)}, body=PAGE[-4:]),
            Case("/about/", headers=site.at(site.roots.website), contains=("Index of",)),
            Case("/about", 301, site.at(site.roots.website), {"Location": "=/about/"}),
        ],
    )


def test_values_come_in_their_own_codec_or_not_at_all(site: Site) -> None:
    roots = site.roots
    for name, kind, other, plain in (
        ("as_json", "dag-json", "dag-cbor", "json"),
        ("as_cbor", "dag-cbor", "dag-json", "cbor"),
    ):
        cid = getattr(roots, name)
        block, at, native = site.block(cid), f"/ipfs/{cid}", f"application/vnd.ipld.{kind}"
        way = "inline" if plain == "json" else "attachment"
        has = {
            "Content-Type": f"={native}",
            "ETag": f'="{cid}.{kind}"',
            "Content-Disposition": f'={way}; filename="{cid}.{plain}"',
            "Cache-Control": FOREVER,
            "X-Content-Type-Options": "=nosniff",
        }
        check_all(
            site.node,
            [
                Case(at, has=has, body=block, lacks=("Content-Location",)),
                Case(f"{at}?format={kind}", has=has, body=block),
                Case(at, headers={"Accept": native}, has={**has, "Content-Location": f"={at}?format={kind}"}),
                Case(f"{at}?format={plain}", has={"Content-Type": f"=application/{plain}"}, body=block),
                Case(at, headers={"Accept": f"application/{plain}"}, body=block),
                Case(f"{at}?format={other}", 406),
                Case(at, 406, {"Accept": f"application/vnd.ipld.{other}"}),
                Case(f"{at}?format={kind}", headers=HTML, has={"Content-Type": f"={native}"}, body=block),
                Case(at, 206, {"Range": "bytes=2-4"}, body=block[2:5]),
                Case(at, 304, {"If-None-Match": f'"{cid}.{kind}"'}),
                Case(
                    f"{at}?download=true&filename=x", has={"Content-Disposition": '=attachment; filename="x"'}
                ),
                Case(f"{at}/to", has={"Content-Type": f"={native}"}, contains=("leaf",)),
                Case(f"{at}/list/1", body=b"hello\n"),
                Case(f"{at}/list/0", 501, contains=("only links can be followed",)),
                Case(f"{at}/none", 404, contains=('no link named "none"',)),
                Case(f"{at}/to/leaf/deeper", 404),
                Case(f"{at}/to/leaf", 501),
            ],
        )
    decoded = dag_json.decode(site.node.get(f"/ipfs/{roots.as_json}").body)
    assert dag_cbor.decode(site.node.get(f"/ipfs/{roots.as_cbor}/to").body) == {"leaf": "cbor"}
    assert isinstance(decoded, dict)
    check_all(
        site.node,
        [
            Case(f"/ipfs/{roots.plain_json}", has={"Content-Type": "=application/json"}),
            Case(f"/ipfs/{roots.plain_cbor}", has={"Content-Type": "=application/cbor"}),
            Case(f"/ipfs/{roots.plain_json}?format=dag-json", 406),
            Case(f"/ipfs/{roots.tree}?format=dag-json", 406),
            Case(f"/ipfs/{roots.hello}?format=dag-cbor", 406),
        ],
    )


def test_a_preview_is_for_people_and_hostile_values_stay_text(site: Site) -> None:
    for name in ("as_json", "as_cbor", "plain_json", "plain_cbor"):
        cid = getattr(site.roots, name)
        page = Case(
            f"/ipfs/{cid}",
            headers=HTML,
            has={
                "Content-Type": "=text/html; charset=utf-8",
                "ETag": '"DagIndex-',
                "Cache-Control": GENERATED,
                "Content-Security-Policy": "default-src 'none'",
                "Vary": "=Accept",
            },
            contains=("</html>", f"/ipfs/{cid}?format=raw"),
        ).check(site.node)
        assert b"<script>" not in page.body
        Case(f"/ipfs/{cid}", 304, {**HTML, "If-None-Match": page.headers["ETag"]}, body=b"").check(site.node)
        Case(f"/ipfs/{cid}", 200, {"If-None-Match": page.headers["ETag"]}).check(site.node)
    linked = site.node.get(f"/ipfs/{site.roots.as_json}", HTML).body.decode()
    assert f'<a href="/ipfs/{site.roots.hello}">{site.roots.hello}</a>' in linked


def test_accept_is_weighed_as_http_has_it(site: Site) -> None:
    """RFC 9110 §12.5.1: quality first; of equals one that says something before a wildcard, then order."""
    cid = site.roots.as_cbor
    preview, native, car = "text/html", "application/vnd.ipld.dag-cbor", "application/vnd.ipld.car"
    for accept, kind in {
        "*/*": native,
        "": native,
        "application/*": native,
        "image/*, */*;q=0.1": native,
        "text/html;q=0": native,
        "text/html;q=0.1, application/vnd.ipld.car": car,
        "application/vnd.ipld.car;q=0.1, text/html": preview,
        "text/html, application/vnd.ipld.car": preview,
        "application/vnd.ipld.car, text/html": car,
        "*/*, application/vnd.ipld.car": car,
        "application/vnd.ipld.car;q=0.5, */*": native,
        "application/vnd.ipld.car;q=nonsense, */*;q=0.9": car,
        "APPLICATION/VND.IPLD.CAR": car,
        "application/vnd.ipld.raw;q=0, */*": native,
    }.items():
        reply = Case(f"/ipfs/{cid}", headers={"Accept": accept}).check(site.node)
        assert reply.headers["Content-Type"].startswith(kind), accept


def test_a_tar_holds_the_tree(site: Site) -> None:
    roots = site.roots
    at = f"/ipfs/{roots.tree}?format=tar"
    has = {
        "Content-Type": "=application/x-tar",
        "ETag": f'=W/"{roots.tree}.x-tar"',
        "Content-Disposition": f'=attachment; filename="{roots.tree}.tar"',
        "Cache-Control": FOREVER,
        "Accept-Ranges": "=none",
        "X-Content-Type-Options": "=nosniff",
    }
    reply = Case(at, has=has).check(site.node)
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as archive:
        names = archive.getnames()
        member = archive.extractfile(f"{roots.tree}/sub/many.bin")
        assert member is not None
        assert member.read() == MANY
        assert archive.getmember(f"{roots.tree}/link").linkname == "../hello.txt"
        assert {f"{roots.tree}/names/{name}" for name in NAMES} < set(names)
    located = {**has, "Content-Location": f"={at}"}
    check_all(
        site.node,
        [
            Case(
                f"/ipfs/{roots.tree}", headers={"Accept": "application/x-tar"}, has=located, body=reply.body
            ),
            Case(at, 304, {"If-None-Match": f'W/"{roots.tree}.x-tar"'}, body=b""),
            Case(at, 304, {"If-None-Match": "*"}, body=b""),
            Case(f"{at}&filename=t%C3%A9.tar", has={"Content-Disposition": "filename*=UTF-8''t%C3%A9.tar"}),
            Case(f"/ipfs/{roots.as_cbor}?format=tar", 400),
            Case(f"/ipfs/{roots.tree}/none?format=tar", 404),
        ],
    )
    for cid, name in ((roots.many, MANY), (roots.hello, b"hello\n")):
        with tarfile.open(fileobj=io.BytesIO(site.node.get(f"/ipfs/{cid}?format=tar").body)) as archive:
            member = archive.extractfile(str(cid))
            assert member is not None
            assert member.read() == name


def test_a_tar_that_would_leave_its_folder_or_has_a_name_twice_is_refused(site: Site) -> None:
    """The suite accepts any status here: we look at it. Below the top the body breaks off instead."""
    inside = site.node.get(f"/ipfs/{site.roots.inside}?format=tar")
    with tarfile.open(fileobj=io.BytesIO(inside.body)) as archive:
        assert f"{site.roots.inside}/b" in archive.getnames()
    outside = site.dags.children(site.roots.outside)[0]
    check_all(
        site.node,
        [
            Case(f"/ipfs/{outside}?format=tar", 422, contains=("outside the root",)),
            Case(f"/ipfs/{site.roots.doubled}?format=tar", 422, contains=("two entries",)),
        ],
    )
    try:
        below = site.node.get(f"/ipfs/{site.roots.outside}?format=tar")
    except (http.client.HTTPException, ConnectionError):
        return
    assert below.status == 422
