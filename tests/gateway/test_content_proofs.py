"""Files by CID have a BLAKE3 name, and proofs of any range of them, under every name they have."""

import blake3
import pytest

from content.bao.decode import Decoder
from tests.gateway.cases import FOREVER, Case, check_all
from tests.gateway.shared_node import Site
from tests.gateway.trees import MANY

ROOT = bytes(blake3.blake3(MANY).digest())


@pytest.mark.parametrize("name", ["many", "framed"])
def test_a_file_names_its_hash_and_is_found_by_it(site: Site, name: str) -> None:
    cid = getattr(site.roots, name)
    hashed = {"X-Fleek-Blake3": f"={ROOT.hex()}"}
    check_all(
        site.node,
        [
            Case(f"/ipfs/{cid}", has=hashed, body=MANY),
            Case(f"/ipfs/{cid}", 206, {"Range": "bytes=5-9"}, hashed, MANY[5:10]),
            Case(f"/blake3/{ROOT.hex()}", body=MANY),
        ],
    )


def test_every_form_of_proof_is_that_of_the_hash(site: Site) -> None:
    paths = [
        f"/ipfs/{site.roots.many}",
        f"/ipfs/{site.roots.framed}",
        f"/ipfs/{site.roots.tree}/sub/many.bin",
        f"/ipns/{site.keys['valid'].text}/many.bin",
    ]
    for form in ("bao", "bao-outboard", "bao&entity-bytes=1000:1999", "bao-chunk&entity-bytes=5:6,-9:*"):
        wanted = site.node.get(f"/blake3/{ROOT.hex()}?format={form}")
        for path in paths:
            kept = "=public, max-age=1800" if path.startswith("/ipns/") else FOREVER
            has = {
                "ETag": f"={wanted.headers['ETag']}",
                "X-Fleek-Blake3": f"={ROOT.hex()}",
                "Cache-Control": kept,
            }
            Case(f"{path}?format={form}", has=has, body=wanted.body).check(site.node)
            Case(f"{path}?format={form}", 304, {"If-None-Match": wanted.headers["ETag"]}).check(site.node)
    whole = Decoder.combined(ROOT)
    pieces = list(whole.feed(site.node.get(f"{paths[0]}?format=bao").body))
    whole.finish()
    assert b"".join(bytes(piece.data) for piece in pieces) == MANY


def test_what_is_not_whole_here_has_no_proof(site: Site) -> None:
    check_all(
        site.node,
        [
            Case(f"/ipfs/{site.roots.gap}?format=bao", 406, contains=("CAR and raw blocks are proofs",)),
            Case(f"/ipfs/{site.roots.tree}?format=bao", 406),
            Case(f"/ipfs/{site.roots.many}?format=bao&entity-bytes=x", 400),
            Case(f"/ipfs/{site.roots.many}?format=bao-chunk&entity-bytes=9:2", 400),
        ],
    )
