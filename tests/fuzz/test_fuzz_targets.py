"""Every fuzz target in short: its seeds, what once broke it, and a few thousand fresh mutations."""

import secrets
from itertools import islice

import pytest

from tests.fuzz.mutator import MAX_BYTES, mutations
from tests.fuzz.targets import CASES, Target, find_targets

FRESH_INPUTS = 2000
TARGETS = find_targets()


def run(target: Target, data: bytes, origin: str) -> None:
    try:
        target.one(data)
    except Exception as fault:
        raise AssertionError(
            f"{target.name} broke on {origin}: {data[:200]!r} ({len(data)} bytes)"
        ) from fault


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_pinned_cases_hold(name: str) -> None:
    target = TARGETS[name]
    assert target.seeds, "a target without seeds starts from nothing"
    for number, seed in enumerate(target.seeds):
        run(target, seed, f"seed {number}")
    for path in target.pinned():
        run(target, path.read_bytes(), path.name)


@pytest.mark.parametrize("name", TARGETS)
def test_fresh_mutations_hold(name: str) -> None:
    seed = secrets.randbelow(1 << 31)
    print(f"seed {seed}")
    for number, data in enumerate(islice(mutations(TARGETS[name].corpus(), seed), FRESH_INPUTS)):
        run(TARGETS[name], data, f"input {number} of seed {seed}")


def test_no_pinned_case_is_orphaned() -> None:
    folders = {path.name for path in CASES.iterdir() if path.is_dir()} if CASES.is_dir() else set()
    assert folders <= TARGETS.keys()


def test_the_mutator_is_deterministic_bounded_and_leaves_seeds_whole() -> None:
    corpus = [b"GET / HTTP/1.1\r\n\r\n", bytes(MAX_BYTES)]
    first, second = (list(islice(mutations(corpus, 7), 300)) for _ in range(2))
    assert first == second
    assert first[:2] == corpus
    assert max(map(len, first)) <= MAX_BYTES
    assert len(set(first)) > 200
    assert first != list(islice(mutations(corpus, 8), 300))
