"""Keys of IPNS names: made, moved in both formats, kept for their owner only, shown by export alone."""

import stat
import subprocess
from pathlib import Path

import pytest

from content import private_key, public_key
from content.cid import Cid
from content.private_key import PrivateKey
from content.public_key import KeyKind
from node.keystore import generate
from runtime.errors import BadRequest
from tests.tools.conftest import Edge

KINDS = ["ed25519", "rsa", "secp256k1"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["pem", "libp2p"])
def test_a_key_goes_out_and_in_and_signs_for_the_same_name(
    edge: Edge, tmp_path: Path, kind: str, form: str
) -> None:
    made = edge("key", "gen", "one", "--type", kind, "--json").records[0]
    assert (made["key"], made["type"]) == ("one", kind)
    assert made["name"].startswith("k")
    file = tmp_path / "one.key"
    assert edge("key", "export", "one", "--format", form, "-o", file, "--json").records == [made]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert edge("key", "export", "one", "--format", form).out == file.read_bytes()
    taken = edge("key", "import", "two", "-", "--json", stdin=file.read_bytes()).records[0]
    assert taken == made | {"key": "two"}
    assert edge("key", "import", "three", file).out.decode() == f"{made['name']}\n"
    assert [row["key"] for row in edge("key", "ls", "--json").records] == ["one", "three", "two"]


@pytest.mark.needs("openssl")
def test_what_is_exported_is_what_openssl_reads(edge: Edge, tmp_path: Path) -> None:
    for kind in KINDS:
        edge("key", "gen", kind, "--type", kind)
        pem = edge("key", "export", kind).out
        assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
        subprocess.run(["openssl", "pkey", "-noout"], input=pem, check=True)


def test_keys_are_their_owner_s_and_are_never_printed(edge: Edge, data: Path) -> None:
    edge("key", "gen", "site")
    file = data / "keys" / "site.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    secret = file.read_bytes().splitlines()[1]
    for argv in (["key", "ls"], ["key", "ls", "--json"], ["key", "gen", "site"]):
        result = edge(*argv)
        assert secret not in result.out
        assert secret.decode() not in result.err
    assert "PRIVATE" not in repr(private_key.decode(file.read_bytes()))


def test_nothing_is_overwritten_and_what_is_not_there_is_not_found(edge: Edge, tmp_path: Path) -> None:
    first = edge("key", "gen", "site").out
    assert edge("key", "gen", "site", "--json").error["kind"] == "conflict"
    assert edge("key", "ls").out.split()[0] == first.strip()
    (tmp_path / "there").write_text("mine")
    assert edge("key", "export", "site", "-o", tmp_path / "there").code == 5
    assert (tmp_path / "there").read_text() == "mine"
    assert edge("key", "rm", "site", "--json").records == [{"key": "site", "removed": True}]
    assert (edge("key", "rm", "site").code, edge("key", "export", "site").code) == (3, 3)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "sp ace", "nul\0", "é"])
def test_names_that_are_no_file_names_are_refused(edge: Edge, data: Path, name: str) -> None:
    edge("key", "gen", "ok")
    assert edge("key", "gen", name).code == 2
    assert [path.name for path in (data / "keys").iterdir()] == ["ok.pem"]


def _protobuf(kind: int, body: bytes) -> bytes:
    return bytes((8, kind, 0x12, len(body))) + body


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        _protobuf(1, bytes(64)),  # its halves do not belong together
        _protobuf(1, bytes(31)),
        _protobuf(2, bytes(32)),  # zero is no secp256k1 key
        _protobuf(2, bytes(31)),
        _protobuf(9, bytes(32)),
        _protobuf(0, bytes(32)),
        _protobuf(1, bytes(32))[:-1],
        bytes(20_000),
    ],
)
def test_what_is_no_key_is_refused_without_quoting_it(edge: Edge, raw: bytes) -> None:
    result = edge("key", "import", "bad", "-", "--json", stdin=raw)
    assert (result.code, result.error["kind"]) == (2, "bad_request")
    assert result.error["message"].startswith("not a private key that can be used")


@pytest.mark.needs("openssl")
def test_a_weak_or_locked_key_is_refused(edge: Edge) -> None:
    for command in (
        ["openssl", "genrsa", "1024"],
        ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x"],
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ):
        pem = subprocess.run(command, capture_output=True, check=True).stdout
        assert edge("key", "import", "bad", "-", stdin=pem).code == 2


def test_the_name_of_a_known_seed() -> None:
    seed = bytes(32)
    public = bytes.fromhex(
        "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    )  # RFC 8032's way
    key = private_key.decode(_protobuf(1, seed + public))
    assert key.public == public_key.ed25519_key(public)
    assert key.name.raw == bytes.fromhex("0172002408011220") + public
    assert Cid.parse(key.name.text("k")) == key.name
    with pytest.raises(BadRequest):
        private_key.decode(_protobuf(1, seed + public[::-1]))


@pytest.mark.parametrize("kind", list(KeyKind)[:3])
def test_what_a_key_signs_its_public_half_verifies(kind: KeyKind) -> None:
    key: PrivateKey = generate(kind)
    checker = public_key.decode(key.public)
    for message in (b"", b"message", bytes(10_000)):
        assert checker.verifies(key.sign(message), message)
        assert not checker.verifies(key.sign(message), message + b"x")
    assert checker.name == key.name.multihash
