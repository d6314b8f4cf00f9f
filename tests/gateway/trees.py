"""The trees that the shared node holds."""

from dataclasses import dataclass

from content.cid import CBOR, DAG_CBOR, DAG_JSON, DAG_PB, JSON, RAW, Cid
from content.multihash import IDENTITY, SHA2_512
from tests.gateway.dags import FRAMED, SHARDED, Dags

MANY = bytes(index * index % 251 for index in range(10_300))
GAP = bytes(index % 253 for index in range(5_000))
PAGE = b"<!doctype html><title>a website</title>" + b"<p>words</p>" * 200
RULES = b"""\
# comments are passed over
/one /one.html
/two /two.html 302
/three /three.html 303
/seven /seven.html 307
/eight /eight.html 308
/old/:year/:title /new/:title/:year 301
/files/* /moved/:splat 302
/away/* https://example.org/:splat 302
/app/* /index.html 200
/gone/* /410.html 410
/legal/* /451.html 451
/spa /folder/ 200
/lost/* /nowhere.html 404
/* /404.html 404
"""
NAMES = ("plus+and space.txt", "100%.txt", "q?x#y.txt", "ąę źł.txt", '<b>&"quoted".txt', "semi;colon,eq=.txt")


@dataclass(frozen=True)
class Roots:
    """CIDs of what a test asks for."""

    hello: Cid
    many: Cid
    framed: Cid
    gap: Cid
    headless: Cid
    shardless: Cid
    names: Cid
    tree: Cid
    sub: Cid
    website: Cid
    hamt: Cid
    twice: Cid
    link: Cid
    outside: Cid
    inside: Cid
    doubled: Cid
    rules: Cid
    rules_crlf: Cid
    rules_bad: Cid
    rules_large: Cid
    as_json: Cid
    as_cbor: Cid
    plain_json: Cid
    plain_cbor: Cid
    sharp: Cid
    long: Cid
    inline: Cid
    accents: Cid
    untyped: dict[str, Cid]
    absent: set[Cid]


def make_roots(dags: Dags) -> Roots:
    """Build everything into `dags`."""
    hello = dags.raw(b"hello\n")
    many, framed = dags.file(MANY), dags.file(MANY, FRAMED)
    gap, headless = dags.file(GAP), dags.file(GAP[::-1])
    absent = {dags.children(dags.children(gap)[0])[2], dags.children(dags.children(headless)[0])[0]}
    shardless = dags.directory({f"{n}.txt": dags.raw(b"%d\n" % n) for n in range(60, 120)}, SHARDED)
    absent.add(next(cid for cid in dags.children(shardless) if cid.codec == DAG_PB))
    link = dags.symlink("../hello.txt")
    sub = dags.directory({"hello.txt": hello, "many.bin": many})
    names = dags.directory(dict.fromkeys(NAMES, hello))
    website = dags.directory(
        {"index.html": dags.file(PAGE), "style.css": dags.raw(b"p { color: red }"), "about": sub}
    )
    tree = dags.directory(
        {"hello.txt": hello, "many.bin": many, "sub": sub, "names": names, "site": website, "link": link}
    )
    spam = dags.crooked_directory([("<script>alert(1)</script>", hello), ("javascript:alert(1)", hello)])
    values = _values(dags, hello)
    return Roots(
        hello=hello,
        many=many,
        framed=framed,
        gap=gap,
        headless=headless,
        shardless=shardless,
        names=names,
        tree=tree,
        sub=sub,
        website=website,
        hamt=dags.directory({f"{n}.txt": dags.raw(b"%d\n" % n) for n in range(60)}, SHARDED),
        twice=dags.directory({"one": many, "two": many, "three": sub}),
        link=link,
        outside=dags.directory({"in": dags.crooked_directory([("../../../etc/passwd", hello)])}),
        inside=dags.crooked_directory([("a/../b", hello)]),
        doubled=dags.crooked_directory([("same", hello), ("same", link)]),
        rules=_site_with_rules(dags, RULES),
        rules_crlf=_site_with_rules(dags, b"/one /one.html\r\n/two /two.html 302\r\n"),
        rules_bad=_site_with_rules(dags, b"/one /one.html\n/two /two.html 200!\n"),
        rules_large=_site_with_rules(dags, b"/one /one.html\n" + b"#" * (64 << 10)),
        sharp=spam,
        long=dags.put(RAW, b"a long name\n", SHA2_512),
        inline=dags.directory({"in": dags.put(RAW, b"inline", IDENTITY), "out": hello}),
        accents=dags.directory({"ą ę": dags.directory({"plik.txt": hello})}),
        untyped=_untyped(dags),
        absent=absent,
        **values,
    )


def _values(dags: Dags, hello: Cid) -> dict[str, Cid]:
    inner_json = dags.value(DAG_JSON, {"leaf": "json"})
    inner_cbor = dags.value(DAG_CBOR, {"leaf": "cbor"})
    hostile = {"<script>alert(1)</script>": "</pre><script>alert(2)</script>"}
    return {
        "as_json": dags.value(DAG_JSON, {"to": inner_json, "list": [1, hello], "text": "x", **hostile}),
        "as_cbor": dags.value(DAG_CBOR, {"to": inner_cbor, "list": [1, hello], "bytes": b"\0\1", **hostile}),
        "plain_json": dags.value(JSON, {"a": [1, 2], **hostile}),
        "plain_cbor": dags.value(CBOR, {"a": [1, 2]}),
    }


def _site_with_rules(dags: Dags, rules: bytes) -> Cid:
    page = dags.raw(b"<html>the index</html>")
    return dags.directory(
        {
            "_redirects": dags.file(rules),
            "index.html": page,
            "one.html": dags.raw(b"one"),
            "404.html": dags.raw(b"my own 404"),
            "410.html": dags.raw(b"my own 410"),
            "451.html": dags.raw(b"my own 451"),
            "folder": dags.directory({"index.html": dags.raw(b"in the folder")}),
        }
    )


def _untyped(dags: Dags) -> dict[str, Cid]:
    """Contents of files without a telling name."""
    return {
        "text": dags.raw("zażółć\n".encode()),
        "binary": dags.raw(bytes(range(32))),
        "html": dags.raw(b"  <!DOCTYPE HTML><p>hi"),
        "svg": dags.raw(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
        "xml": dags.raw(b'<?xml version="1.0"?><feed/>'),
        "png": dags.raw(b"\x89PNG\r\n\x1a\n" + bytes(20)),
        "json": dags.raw(b'{"a": 1}'),
        "wasm": dags.raw(b"\0asm\1\0\0\0"),
        "empty": dags.raw(b""),
    }
