"""The compact denylist format: every form of rule, the last that matches, lines that are none."""

import hashlib
import logging
from pathlib import Path

import pytest

from content import multibase, multihash
from content.cid import Cid
from gateway import deny_rules
from gateway.deny_rules import Rules
from runtime.errors import UsageError

V0 = "QmecDgNqCRirkc3Cjz9eoRBNwXGckJ9WvTdmY16HP88768"
CID = Cid.parse(V0)
KEY = "k51qzi5uqu5dhmzyv3zac033i7rl9hkgczxyl81lwoukda2htteop7d3x0y1mf"


def rules_of(tmp_path: Path, *texts: str) -> Rules:
    files = []
    for index, text in enumerate(texts):
        files.append(tmp_path / f"{index}.deny")
        files[-1].write_bytes(text.encode("utf-8", "surrogateescape"))
    return deny_rules.load(files)


def test_every_way_to_write_content_is_one_multihash(tmp_path: Path) -> None:
    v1 = CID.as_v1()
    bare = multibase.encode("z", multihash.of(0x13, b"x"))[1:]
    for text in (V0, v1.text(), v1.text("k"), v1.text("f"), Cid.v1(0x55, CID.multihash).text()):
        rules = rules_of(tmp_path, f"/ipfs/{text} hint=value other:hint\n")
        assert CID.multihash in rules.hashes
        assert len(rules) == 1
    assert multihash.of(0x13, b"x") in rules_of(tmp_path, f"/ipfs/{bare}\n").hashes


def test_paths_and_prefixes_are_read_with_their_percent_signs(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path, f"/ipfs/{V0}/a%20b/c/\n/ipfs/{V0}/x*\n/ipfs/{V0}/d/*\n!/ipfs/{V0}/xy\n/ipfs/{V0}\n"
    )
    found = [(rule.path, rule.is_prefix, rule.denies) for rule in rules.paths[CID.multihash]]
    assert found == [("a b/c", False, True), ("x", True, True), ("d", True, True), ("xy", False, False)]
    everything = rules_of(tmp_path, f"/ipfs/{V0}/*\n")
    assert CID.multihash in everything.hashes
    assert everything.paths[CID.multihash][0].matches("any/thing")


@pytest.mark.parametrize("allow", ["!", "+", "-"])
def test_the_last_rule_counts_also_over_several_files(tmp_path: Path, allow: str) -> None:
    rule, other = f"/ipfs/{V0}\n", f"{allow}/ipfs/{V0}\n"
    double = "//" + "ab" * 32 + "\n"
    denied = rules_of(tmp_path, rule, other, rule)
    assert CID.multihash in denied.hashes
    assert CID.multihash not in denied.allowed
    allowed = rules_of(tmp_path, rule + other, double + allow + double)
    assert CID.multihash not in allowed.hashes
    assert CID.multihash in allowed.allowed
    assert len(allowed.doubles) == 0


def test_names_are_kept_by_key_or_domain(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, f"/ipns/{KEY}\n/ipns/Bad.Example.\n/ipns/half.example/path*\n")
    key = Cid.parse(KEY).multihash
    assert rules.names[key][0].matches("anything")
    assert rules.names[b"bad.example"][0].matches("")
    half = rules.names[b"half.example"][0]
    assert half.matches("path/x")
    assert not half.matches("")


def test_double_hashes_are_old_hex_or_any_multihash_we_can_make(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"secret").digest()
    as_hex = rules_of(tmp_path, f"//{digest.hex()}\n")
    modern = rules_of(tmp_path, f"//{multibase.encode('z', multihash.wrap(0x12, digest))[1:]}\n")
    blake3 = rules_of(tmp_path, f"//{multibase.encode('z', multihash.of(0x1E, b'secret'))[1:]}\n")
    assert multihash.wrap(0x12, digest) in as_hex.doubles
    assert multihash.wrap(0x12, digest) in modern.doubles
    assert blake3.double_codes == {0x1E}


def test_a_header_is_passed_over_and_its_version_counts(tmp_path: Path) -> None:
    header = "version: 1\nname: a list\nhints:\n  a: b\n---\n"
    assert len(rules_of(tmp_path, header + f"/ipfs/{V0}\n")) == 1
    assert len(rules_of(tmp_path, header.replace("\n", "\r\n") + f"/ipfs/{V0}\r\n")) == 1
    assert len(rules_of(tmp_path, header)) == 0
    assert len(rules_of(tmp_path, f"/ipfs/{V0}\n# no header, no newline at the end\n/ipns/a.example")) == 2
    with pytest.raises(UsageError, match="version 2"):
        rules_of(tmp_path, header.replace("1", "2", 1))


def test_lines_that_are_no_rules_are_passed_over_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ["/ipfs/nonsense", "/ipld/x", "garbage", "//short", "//" + "g" * 64, "/blake3/xyz", "\udcff"]
    bad += ["/ipfs/" + V0 + "/a%00b", "/ipfs/" + V0 + "/x" * 100, "/ipfs/" + "b" * 600]
    text = "\n".join(["# a comment", "", *bad, f"/ipfs/{V0}"])
    with caplog.at_level(logging.ERROR):
        rules = rules_of(tmp_path, text)
    assert len(rules) == 1
    assert [record.getMessage().split(":")[1] for record in caplog.records] == [
        str(number) for number in range(3, 3 + len(bad))
    ]


def test_a_line_too_long_is_passed_over_and_not_held(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, "/ipfs/" + "x" * (5 << 20) + f"\n/ipfs/{V0}\n")
    assert len(rules) == 1


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none of its lines"):
        rules_of(tmp_path, "<html>\nnot found\n</html>\n")
    with pytest.raises(UsageError, match="cannot be read"):
        deny_rules.load([tmp_path / "missing.deny"])
    assert len(rules_of(tmp_path, "")) == 0
