"""What a node serves, judged by the Go package lukechampine.com/blake3/bao."""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import blake3
import pytest

from tests.appliance import Node, edge

HERE = Path(__file__).with_name("bao_go")
SIZES = (0, 1, 1024, 1025, 16384, 16385, 262143, 262144, 262145, 1_000_003, 3 << 20)

pytestmark = [pytest.mark.needs("go"), pytest.mark.slow]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built; its module comes from the module proxy once."""
    program = tmp_path_factory.mktemp("go") / "bao_go"
    built = subprocess.run(
        ["go", "build", "-o", str(program), "."], cwd=HERE, capture_output=True, timeout=170, check=False
    )
    if built.returncode and not os.environ.get("FLEEK_REQUIRE"):
        pytest.skip("the Go module could not be fetched or built")
    assert built.returncode == 0, built.stderr.decode()
    return program


@pytest.fixture(scope="module")
def contents() -> dict[int, bytes]:
    return {size: random.Random(size).randbytes(size) for size in SIZES}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, contents: dict[int, bytes]) -> Iterator[Node]:
    base = tmp_path_factory.mktemp("node")
    for size, content in contents.items():
        (base / str(size)).write_bytes(content)
    done = edge(base / "data", "put", *(str(base / str(size)) for size in SIZES))
    assert done.returncode == 0, done.stderr
    with Node(base / "data", "--workers", "1") as running:
        yield running


def proven(decoder: Path, stream: bytes, *arguments: str) -> bytes | None:
    """The bytes that the Go decoder vouches for, None when it refuses."""
    done = subprocess.run([decoder, *arguments], input=stream, capture_output=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else None


def root_of(content: bytes) -> str:
    return blake3.blake3(content).hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_go_decodes_our_combined_encoding_and_refuses_it_damaged(
    node: Node, decoder: Path, contents: dict[int, bytes], size: int
) -> None:
    content = contents[size]
    root = root_of(content)
    stream = node.get(f"/blake3/{root}?format=bao").body
    assert proven(decoder, stream, "decode", root) == content
    for place in {8, len(stream) // 2, len(stream) - 1}:
        if 8 <= place < len(stream):
            damaged = bytearray(stream)
            damaged[place] ^= 1
            assert proven(decoder, bytes(damaged), "decode", root) is None


@pytest.mark.parametrize("size", [size for size in SIZES if size])
def test_go_decodes_our_slices(node: Node, decoder: Path, contents: dict[int, bytes], size: int) -> None:
    content = contents[size]
    root = root_of(content)
    pick = random.Random(size + 1)
    for _ in range(6):
        start = pick.randrange(size)
        stop = pick.randrange(start + 1, size + 1)
        stream = node.get(f"/blake3/{root}?format=bao&entity-bytes={start}:{stop - 1}").body
        assert proven(decoder, stream, "slice", root, str(start), str(stop - start)) == content[start:stop]


@pytest.mark.parametrize("size", SIZES)
def test_our_outboard_is_what_go_makes_of_the_same_file(
    node: Node, decoder: Path, contents: dict[int, bytes], size: int, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(contents[size])
    served = node.get(f"/blake3/{root_of(contents[size])}?format=bao-outboard").body
    assert proven(decoder, b"", "outboard", str(path)) == served
