"""The memo of what was checked: it never invents a check, and it stays within its memory."""

from hypothesis import given
from hypothesis import strategies as st

from blockstore.checked import CheckedMemo

PAIRS = st.tuples(st.integers(65_536, 2**63), st.integers(0, 2**32 - 1))


@given(st.lists(PAIRS, max_size=60), PAIRS)
def test_only_what_was_marked_is_remembered(marked: list[tuple[int, int]], other: tuple[int, int]) -> None:
    memo = CheckedMemo(1 << 20)
    for pair in marked:
        memo.mark(*pair)
    assert all(memo.has(*pair) for pair in marked)
    assert memo.has(*other) == (other in marked)


def test_a_million_neighbouring_blobs_fit_and_are_remembered() -> None:
    memo = CheckedMemo(1 << 20)
    for storage_id in range(65_536, 65_536 + 1_000_000, 997):
        memo.mark(storage_id, 0)
    assert all(memo.has(storage_id, 0) for storage_id in range(65_536, 65_536 + 1_000_000, 997))


def test_beyond_its_memory_the_oldest_is_forgotten() -> None:
    memo = CheckedMemo(10_000)
    for storage_id in range(1000):
        memo.mark(storage_id, 5000)
    assert not memo.has(0, 5000)
    assert memo.has(999, 5000)
    assert sum(memo.has(storage_id, 5000) for storage_id in range(1000)) <= 10_000 // 500
