"""Blocks as they are (`raw`): the facts sheet's line "Raw", over trees made here."""

import pytest

from content.cid import Cid
from tests.gateway.cases import FOREVER, MISSING, Case, check_all
from tests.gateway.shared_node import Site

RAW = {"Accept": "application/vnd.ipld.raw"}


def shared(cid: Cid, size: int) -> dict[str, str]:
    return {
        "Content-Type": "=application/vnd.ipld.raw",
        "Content-Length": f"={size}",
        "Content-Disposition": f'=attachment; filename="{cid}.bin"',
        "X-Content-Type-Options": "=nosniff",
        "ETag": f'="{cid}.raw"',
        "X-Ipfs-Roots": str(cid),
        "Cache-Control": FOREVER,
        "Access-Control-Allow-Origin": "=*",
    }


@pytest.mark.parametrize(
    "name",
    ["hello", "many", "framed", "tree", "hamt", "link", "as_json", "as_cbor", "plain_json", "plain_cbor"],
)
def test_a_block_of_any_codec_comes_byte_for_byte(site: Site, name: str) -> None:
    cid = getattr(site.roots, name)
    block = site.block(cid)
    has = shared(cid, len(block))
    check_all(
        site.node,
        [
            Case(f"/ipfs/{cid}?format=raw", has=has, body=block),
            Case(f"/ipfs/{cid}", headers=RAW, has={**has, "Content-Location": f"=/ipfs/{cid}?format=raw"}),
            Case(f"/ipfs/{cid}?format=raw", headers={"Accept": "text/html"}, body=block),
            Case(f"/ipfs/{cid}?format=raw", 206, {"Range": "bytes=1-3"}, body=block[1:4]),
            Case(f"/ipfs/{cid}?format=raw", 206, {"Range": "bytes=-2"}, body=block[-2:]),
            Case(f"/ipfs/{cid}?format=raw", 416, {"Range": "bytes=100000-"}),
            Case(f"/ipfs/{cid}?format=raw", 304, {"If-None-Match": f'"{cid}.raw"'}, body=b""),
            Case(f"/ipfs/{cid}?format=raw", 200, {"If-None-Match": f'"{cid}"'}, body=block),
        ],
    )


def test_leaves_of_a_flattened_file_are_given_with_their_framing(site: Site) -> None:
    """A dag-pb leaf is a slice of the file's blob between a prefix and a suffix: no byte of them may go."""
    (inner, *_) = site.dags.children(site.roots.framed)
    for leaf in site.dags.children(inner):
        block = site.block(leaf)
        assert block[0] == 0x0A, "a framed leaf"
        for start, stop in ((0, len(block)), (0, 5), (4, 9), (len(block) - 3, len(block))):
            Case(
                f"/ipfs/{leaf}?format=raw",
                206,
                {"Range": f"bytes={start}-{stop - 1}"},
                body=block[start:stop],
            ).check(site.node)


def test_a_path_leads_to_the_block_at_its_end(site: Site) -> None:
    roots = site.roots
    check_all(
        site.node,
        [
            Case(
                f"/ipfs/{roots.tree}/sub/hello.txt?format=raw",
                has={
                    **shared(roots.hello, 6),
                    "X-Ipfs-Path": f"=/ipfs/{roots.tree}/sub/hello.txt",
                    "X-Ipfs-Roots": f"={roots.tree},{roots.sub},{roots.hello}",
                },
                body=b"hello\n",
            ),
            Case(f"/ipfs/{roots.hamt}/33.txt?format=raw", body=b"33\n"),
            Case(f"/ipfs/{roots.tree}/none?format=raw", 404, contains=('no link named "none"',)),
            Case(f"/ipfs/{roots.as_json}/to?format=raw", body=b'{"leaf":"json"}'),
        ],
    )


def test_the_file_name_is_the_clients_choice_and_cannot_escape_its_field(site: Site) -> None:
    at = f"/ipfs/{site.roots.hello}?format=raw&filename="
    for given, shown in {
        "x.bin": 'attachment; filename="x.bin"',
        "bl%C3%B6ck": "attachment; filename=\"bl_ck\"; filename*=UTF-8''bl%C3%B6ck",
        "a%22b": "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b",
        "a%0D%0AX-Evil:%201": "attachment; filename=\"a__X-Evil: 1\"; filename*=UTF-8''a%0D%0AX-Evil%3A%201",
        "..%2F..%2Fetc%2Fpasswd": 'attachment; filename="passwd"',
        "..%5Cwin.ini": 'attachment; filename="win.ini"',
        "%FF": "attachment; filename=\"_\"; filename*=UTF-8''%EF%BF%BD",
    }.items():
        Case(at + given, has={"Content-Disposition": f"={shown}"}, lacks=("X-Evil",)).check(site.node)


def test_the_probe_and_what_is_not_here(site: Site) -> None:
    check_all(
        site.node,
        [
            Case("/ipfs/bafkqaaa", body=b""),
            Case("/ipfs/bafkqaaa?format=raw", has={"Content-Length": "=0"}, body=b""),
            Case("/ipfs/bafkqaaa", headers=RAW, body=b""),
            Case("/ipfs/bafkqabtimvwgy3yk?format=raw", body=b"hello\n"),
            Case(f"/ipfs/{MISSING}?format=raw", 404),
            Case(f"/ipfs/{MISSING}", 404),
            Case(f"/ipfs/{MISSING}?format=raw", 412, {"Cache-Control": "only-if-cached"}),
            Case(f"/ipfs/{site.roots.hello}?format=raw", 200, {"Cache-Control": "only-if-cached"}),
            Case("/ipfs/nonsense?format=raw", 400, contains=('invalid path "/ipfs/nonsense"',)),
            Case(f"/ipfs/{site.roots.hello}?format=nothing", 400),
        ],
    )
