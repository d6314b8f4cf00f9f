"""Files by path: bytes, ranges, types, names. The facts sheet's line "UnixFS", over trees made here."""

import http.client
from email.message import Message
from email.parser import BytesParser
from urllib.parse import quote

import pytest

from content.cid import Cid
from tests.appliance import Reply
from tests.gateway.cases import FOREVER, Case, check_all
from tests.gateway.shared_node import Site
from tests.gateway.trees import GAP, MANY, NAMES


def shared(cid: Cid) -> dict[str, str]:
    return {"ETag": f'="{cid}"', "Accept-Ranges": "=bytes", "Cache-Control": FOREVER, "Vary": "=Accept"}


@pytest.mark.parametrize("name", ["many", "framed"])
@pytest.mark.parametrize(
    ("field", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 10300),
        ("bytes=-1", 10299, 10300),
        ("bytes=-99999", 0, 10300),
        ("bytes=999-1000", 999, 1001),
        ("bytes=1000-1999", 1000, 2000),
        ("bytes=3500-8500", 3500, 8501),
        ("bytes=10299-20000", 10299, 10300),
    ],
)
def test_a_range_is_exactly_those_bytes(site: Site, name: str, field: str, start: int, stop: int) -> None:
    cid = getattr(site.roots, name)
    Case(
        f"/ipfs/{cid}",
        206,
        {"Range": field},
        {**shared(cid), "Content-Range": f"=bytes {start}-{stop - 1}/10300"},
        MANY[start:stop],
    ).check(site.node)


@pytest.mark.parametrize("name", ["many", "framed"])
def test_a_file_whole_in_parts_and_under_conditions(site: Site, name: str) -> None:
    cid = getattr(site.roots, name)
    at, tag = f"/ipfs/{cid}", f'"{cid}"'
    check_all(
        site.node,
        [
            Case(at, has={**shared(cid), "Content-Length": "=10300", "X-Fleek-Blake3": ""}, body=MANY),
            Case(at, 416, {"Range": "bytes=10300-"}, {"Content-Range": "=bytes */10300"}),
            Case(at, 200, {"Range": "bytes=5-4"}, body=MANY),
            Case(at, 200, {"Range": "pages=1-2"}, body=MANY),
            Case(at, 206, {"Range": "bytes=0-1", "If-Range": tag}, body=MANY[:2]),
            Case(at, 200, {"Range": "bytes=0-1", "If-Range": '"other"'}, body=MANY),
            Case(at, 200, {"Range": "bytes=0-1", "If-Range": f"W/{tag}"}, body=MANY),
            Case(at, 304, {"If-None-Match": tag, "Range": "bytes=0-1"}, body=b""),
            Case(at, 304, {"If-None-Match": f"W/{tag}"}, {"ETag": f"={tag}"}, b""),
            Case(at, 304, {"If-None-Match": f'"x", W/"y", {tag}'}, body=b""),
            Case(at, 304, {"If-None-Match": "*"}, body=b""),
            Case(at, 200, {"If-None-Match": '"x"'}, body=MANY),
            Case(at, 412, {"If-Match": '"other"'}),
            Case(at, 200, {"If-Match": tag}),
            Case(at, method="HEAD", headers={"Range": "bytes=0-1"}, has={"Content-Length": "=10300"}),
        ],
    )


def parts(reply: Reply) -> list[tuple[str, bytes]]:
    head = b"Content-Type: " + reply.headers["Content-Type"].encode() + b"\r\n\r\n"
    message = BytesParser().parsebytes(head + reply.body)
    found = message.get_payload()
    assert isinstance(found, list)
    return [
        (str(each["Content-Range"]), bytes(each.get_payload(decode=True) or b""))
        for each in found
        if isinstance(each, Message)
    ]


@pytest.mark.parametrize("name", ["many", "framed"])
def test_several_ranges_come_as_parts(site: Site, name: str) -> None:
    reply = Case(
        f"/ipfs/{getattr(site.roots, name)}",
        206,
        {"Range": "bytes=998-1001, 0-1, -3"},
        lacks=("Content-Range",),
    ).check(site.node)
    assert parts(reply) == [
        ("bytes 998-1001/10300", MANY[998:1002]),
        ("bytes 0-1/10300", MANY[:2]),
        ("bytes 10297-10299/10300", MANY[-3:]),
    ]


def test_a_file_that_lacks_a_block_serves_its_other_bytes_and_breaks_off_at_the_gap(site: Site) -> None:
    gap, headless = f"/ipfs/{site.roots.gap}", f"/ipfs/{site.roots.headless}"
    check_all(
        site.node,
        [
            Case(gap, 206, {"Range": "bytes=0-1999"}, body=GAP[:2000]),
            Case(gap, 206, {"Range": "bytes=-500"}, body=GAP[-500:]),
            Case(gap, 206, {"Range": "bytes=3000-3999"}, body=GAP[3000:4000]),
            Case(headless, 206, {"Range": "bytes=1000-1001"}, body=GAP[::-1][1000:1002]),
            Case(headless, 404),
            Case(f"{headless}?filename=x.bin", 404),
            Case(gap, 206, {"Range": "bytes=3000-", "Cache-Control": "only-if-cached"}, body=GAP[3000:]),
            Case(headless, 412, {"Cache-Control": "only-if-cached"}),
        ],
    )
    for headers in ({}, {"Range": "bytes=1000-3500"}, {"Range": "bytes=0-1, 2500-2600"}):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            site.node.get(gap, headers)


def test_paths_lead_through_directories_shards_and_to_symlinks(site: Site) -> None:
    roots = site.roots
    tree = f"/ipfs/{roots.tree}"
    check_all(
        site.node,
        [
            Case(
                f"{tree}/sub/many.bin",
                has={
                    "X-Ipfs-Path": f"={tree}/sub/many.bin",
                    "X-Ipfs-Roots": f"={roots.tree},{roots.sub},{roots.many}",
                },
                body=MANY,
            ),
            Case(f"/ipfs/{roots.hamt}/59.txt", has={"Content-Type": "text/plain"}, body=b"59\n"),
            Case(f"/ipfs/{roots.hamt}/59.txt", 206, {"Range": "bytes=1-"}, body=b"9\n"),
            Case(f"/ipfs/{roots.hamt}/60.txt", 404, contains=("60.txt",)),
            Case(f"{tree}/link", has={"Content-Type": "=inode/symlink"}, body=b"../hello.txt"),
            Case(f"{tree}/hello.txt/deeper", 404),
            Case(f"{tree}/sub", 301, has={"Location": f"={tree}/sub/"}),
            Case(f"{tree}/sub?a=b&c", 301, has={"Location": f"={tree}/sub/?a=b&c"}),
            Case(
                f"/ipfs/{roots.accents}/%C4%85%20%C4%99",
                301,
                has={"Location": f"=/ipfs/{roots.accents}/%C4%85%20%C4%99/"},
            ),
            Case(f"{tree}//sub///hello.txt", body=b"hello\n"),
            Case(f"{tree}/sub/../hello.txt", body=b"hello\n"),
            Case(f"{tree}/sub/./hello.txt", body=b"hello\n"),
            Case(f"{tree}/../../../../etc/passwd", 404),
            Case(f"{tree}/%2e%2e/hello.txt", body=b"hello\n"),
            Case(f"{tree}/sub%2Fhello.txt", 404),
            Case(f"{tree}/sub%252Fhello.txt", 404),
            Case(f"{tree}/hello.txt%00", 400),
            Case(f"{tree}/%FF%FE", 404),
            Case(f"{tree}/%E0%A4%A", 404),
            Case("/ipfs/", 400),
            Case("/ipfs//", 400),
            Case("/ipns/", 400),
            Case(f"/ipfs/%2F{roots.tree}", 400),
        ],
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_reached_by_its_percent_encoded_form(site: Site, name: str) -> None:
    at = f"/ipfs/{site.roots.names}/{quote(name)}"
    Case(at, has={"X-Ipfs-Path": f"/ipfs/{site.roots.names}/"}, body=b"hello\n").check(site.node)
    Case(f"{at}?download=true", has={"Content-Disposition": "attachment; filename="}).check(site.node)


def test_a_plus_is_a_plus_and_twice_encoded_is_another_name(site: Site) -> None:
    at = f"/ipfs/{site.roots.names}"
    check_all(
        site.node,
        [
            Case(f"{at}/plus+and%20space.txt", body=b"hello\n"),
            Case(f"{at}/plus+and+space.txt", 404),
            Case(f"{at}/100%25.txt", body=b"hello\n"),
            Case(f"{at}/100%2525.txt", 404),
        ],
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("text", "text/plain; charset=utf-8"),
        ("binary", "application/octet-stream"),
        ("html", "text/html; charset=utf-8"),
        ("svg", "image/svg+xml; charset=utf-8"),
        ("xml", "text/xml; charset=utf-8"),
        ("png", "image/png"),
        ("json", "application/json"),
        ("wasm", "application/wasm"),
        ("empty", "text/plain; charset=utf-8"),
    ],
)
def test_a_file_without_a_name_is_typed_by_how_it_begins(site: Site, name: str, kind: str) -> None:
    Case(f"/ipfs/{site.roots.untyped[name]}", has={"Content-Type": f"={kind}"}).check(site.node)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.html", "text/html; charset=utf-8"),
        ("x.JS", "text/javascript; charset=utf-8"),
        ("x.mjs", "text/javascript; charset=utf-8"),
        ("x.css", "text/css; charset=utf-8"),
        ("x.svg", "image/svg+xml; charset=utf-8"),
        ("x.json", "application/json"),
        ("x.wasm", "application/wasm"),
        ("x.mp4", "video/mp4"),
        ("x.jpg", "image/jpeg"),
        ("x.pdf", "application/pdf"),
        ("x.webp", "image/webp"),
        ("x.woff2", "font/woff2"),
        ("x.unknown-type", "application/octet-stream"),
    ],
)
def test_a_name_tells_the_type_also_the_one_the_client_gives(site: Site, name: str, kind: str) -> None:
    at = f"/ipfs/{site.roots.untyped['binary']}"
    Case(f"{at}?filename={name}", has={"Content-Type": f"={kind}"}).check(site.node)


def test_file_names_become_dispositions_that_nothing_can_break_out_of(site: Site) -> None:
    at = f"/ipfs/{site.roots.tree}/hello.txt"
    check_all(
        site.node,
        [
            Case(at, lacks=("Content-Disposition",)),
            Case(f"{at}?filename=a.txt", has={"Content-Disposition": '=inline; filename="a.txt"'}),
            Case(f"{at}?filename=a.txt&download=false", has={"Content-Disposition": "inline; "}),
            Case(f"{at}?download=true", has={"Content-Disposition": '=attachment; filename="hello.txt"'}),
            Case(
                f"{at}?download=true&filename=t%D1%82.pdf",
                has={"Content-Disposition": "=attachment; filename=\"t_.pdf\"; filename*=UTF-8''t%D1%82.pdf"},
            ),
            Case(
                f"{at}?filename=a%22;%20x=%22b%0D%0ASet-Cookie:%20c=d",
                has={"Content-Disposition": 'inline; filename="a_; x=_b__Set-Cookie: c=d"'},
                lacks=("Set-Cookie",),
            ),
        ],
    )


def test_pages_under_a_path_get_no_origin_to_act_in(site: Site) -> None:
    page = f"/ipfs/{site.roots.untyped['html']}"
    Case(page, has={"Content-Security-Policy": "sandbox"}).check(site.node)
    Case("/", headers=site.at(site.roots.untyped["html"]), lacks=("Content-Security-Policy",)).check(
        site.node
    )


def test_a_service_worker_may_not_take_the_whole_gateway_over(site: Site) -> None:
    """Path gateway specification: a script at /ipfs/<cid> would have the scope /ipfs/."""
    script = {"Service-Worker": "script"}
    tree, hello = site.roots.tree, site.roots.hello
    check_all(
        site.node,
        [
            Case(f"/ipfs/{hello}", 400, script, contains=("navigator.serviceWorker",)),
            Case(f"/ipns/{site.keys['valid'].text}", 400, script),
            Case(f"/ipfs/{tree}/hello.txt", 200, script),
            Case(f"/ipfs/{tree}/", 200, script),
            Case("/hello.txt", 200, {**script, **site.at(tree)}),
        ],
    )
