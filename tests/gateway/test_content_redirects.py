"""`_redirects` of a website: what each rule does, and that nothing in a path can become more than a path."""

import pytest

from gateway import redirects_file
from gateway.redirects_file import RedirectsBroken
from tests.gateway.cases import FOREVER, Case, check_all
from tests.gateway.shared_node import Site


@pytest.mark.parametrize("host", ["origin", "dnslink"])
def test_each_kind_of_rule(site: Site, host: str) -> None:
    here = site.at(site.roots.rules) if host == "origin" else {"Host": "rules.example"}
    kept = FOREVER if host == "origin" else "=public, max-age=300"
    cases = [
        Case("/one", 301, here, {"Location": "=/one.html"}),
        Case("/two", 302, here, {"Location": "=/two.html"}),
        Case("/three", 303, here, {"Location": "=/three.html"}),
        Case("/seven", 307, here, {"Location": "=/seven.html"}),
        Case("/eight", 308, here, {"Location": "=/eight.html"}),
        Case("/old/2024/a-title", 301, here, {"Location": "=/new/a-title/2024"}),
        Case("/old/2024", 404, here, body=b"my own 404"),
        Case("/files/a/b/c.txt", 302, here, {"Location": "=/moved/a/b/c.txt"}),
        Case("/files/", 302, here, {"Location": "=/moved/"}),
        Case("/app/anything/at/all", 200, here, {"Cache-Control": kept, "Content-Type": "text/html"}),
        Case("/app/x", 206, {**here, "Range": "bytes=0-5"}, body=b"<html>"),
        Case("/spa", 200, here, body=b"in the folder"),
        Case("/gone/x", 410, here, {"Cache-Control": kept}, b"my own 410"),
        Case("/legal/x", 451, here, {"Cache-Control": kept}, b"my own 451"),
        Case("/anything", 404, here, {"Cache-Control": kept}, b"my own 404"),
        Case("/anything", 404, {**here, "Range": "bytes=0-1"}, body=b"my own 404", lacks=("Content-Range",)),
        Case("/anything", 404, {**here, "If-None-Match": "*"}, body=b"my own 404"),
        Case("/lost/x", 404, here, contains=("no link named",)),
        Case("/one.html", 200, here, body=b"one"),
        Case("/", 200, here, body=b"<html>the index</html>"),
        Case("/_redirects", 200, here, contains=("# comments",)),
        Case("/anything?format=raw", 404, here, contains=("no link named",)),
    ]
    check_all(site.node, cases)
    spa = Case("/app/x", 200, here).check(site.node)
    Case("/app/x", 304, {**here, "If-None-Match": spa.headers["ETag"]}, body=b"").check(site.node)


def test_a_path_stays_a_path_whatever_it_holds(site: Site) -> None:
    """What is put in a Location is percent-encoded: no field, no host, no error of ours."""
    here = site.at(site.roots.rules)
    check_all(
        site.node,
        [
            Case(
                "/files/a%0D%0ASet-Cookie:%20b=c",
                302,
                here,
                {"Location": "=/moved/a%0D%0ASet-Cookie:%20b=c"},
                lacks=("Set-Cookie",),
            ),
            Case("/files/%C4%85/%FF", 302, here, {"Location": "=/moved/%C4%85/%FF"}),
            Case("/files//evil.example", 302, here, {"Location": "=/moved/evil.example"}),
            Case("/away/%2Fevil", 302, here, {"Location": "=https://example.org/%2Fevil"}),
            Case("/away/%5Cevil.example", 302, here, {"Location": "=https://example.org/%5Cevil.example"}),
            Case("/files/x/%2e%2e/y", 302, here, {"Location": "=/moved/y"}),
            Case("/files/a?b=c", 302, here, {"Location": "=/moved/a"}),
        ],
    )


def test_rules_count_only_on_an_origin_of_their_own(site: Site) -> None:
    Case(f"/ipfs/{site.roots.rules}/one", 404, contains=("no link named",)).check(site.node)


def test_files_that_cannot_be_read_say_so(site: Site) -> None:
    roots = site.roots
    check_all(
        site.node,
        [
            Case("/one", 301, site.at(roots.rules_crlf), {"Location": "=/one.html"}),
            Case("/two", 302, site.at(roots.rules_crlf), {"Location": "=/two.html"}),
            Case("/x", 500, site.at(roots.rules_bad), contains=("could not parse _redirects:", "line 2")),
            Case("/one.html", 200, site.at(roots.rules_bad), body=b"one"),
            Case(
                "/x",
                500,
                site.at(roots.rules_large),
                contains=("could not parse _redirects:", "redirects file size cannot exceed"),
            ),
            Case("/x", 404, site.at(roots.tree)),
        ],
    )


@pytest.mark.parametrize(
    "line",
    [
        "/only-one-word",
        "/a /b 301 more",
        "/a /b 300",
        "/a /b 200!",
        "/a /b two",
        "/a /b ٣٠١",
        "a /b",
        "/a b",
        "/a ftp://b",
        "/a https://b.example/ 200",
        "/a/*/b /c",
        "/a%00b /c",
    ],
)
def test_a_line_that_is_no_rule_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(RedirectsBroken, match="could not parse _redirects: line 2"):
        redirects_file.parse(f"/fine /too\n{line}\n".encode())


def test_the_bound_is_64_kib_to_the_byte() -> None:
    full = b"/a /b\n" + b"#" * (redirects_file.MAX_BYTES - 6)
    assert len(redirects_file.parse(full)) == 1
    with pytest.raises(RedirectsBroken, match="size cannot exceed 65536 bytes"):
        redirects_file.parse(full + b"#")
