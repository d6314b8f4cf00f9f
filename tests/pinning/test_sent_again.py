"""What came is not sent again: after a crash, after a try that ended, and for the next version of a DAG."""

import random
from pathlib import Path

import pytest

from content.unixfs.profile import UNIXFS_V0_2015
from pinning.pin import Status
from tests.origins.fetching import run
from tests.origins.trustless_source import Asked, Response, Source, file_blocks, serving
from tests.pinning.dags import tree
from tests.pinning.working import lacking, working

pytestmark = pytest.mark.timeout(120)
FILES = {f"file {index}": random.Random(index).randbytes(1_400_000) for index in range(4)}
ROOT, HELD = tree(FILES)
WIDE = {
    "directory": tree({f"file {index:02}": random.Random(index).randbytes(500_000) for index in range(12)}),
    "file": file_blocks(random.Random(12).randbytes(6_000_000), UNIXFS_V0_2015),
}


@pytest.mark.parametrize("has_cursor", [True, False], ids=["cursor", "no cursor"])
@pytest.mark.parametrize("shape", WIDE)
def test_what_came_before_a_crash_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str, has_cursor: bool
) -> None:
    monkeypatch.setattr("pinning.attempt._PROGRESS_S", 0.02)
    monkeypatch.setattr("pinning.attempt._SENT_AGAIN_BYTES", 1_000_000)
    root, held = WIDE[shape]

    def stalls(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.stall_at = 2_600_000 if len(answer.body) > 2_600_000 else None  # less than half
        return answer

    async def test() -> None:
        source = Source(dict(held), stalls)
        async with serving(source):
            async with working(tmp_path / "d", source) as here:
                request_id = here.add(root)
                await here.until(lambda: here.pin(request_id).progress.bytes_ > 2_000_000)
                work = here.work
            if not has_cursor:
                work.cursors.clear()
            source.behave = Source.honest
            async with working(tmp_path / "d", source, work=work) as here:
                (pin,) = await here.ended(request_id)
                assert pin.status is Status.PINNED
                assert lacking(here.here, held) == []
            # besides the block that was cut in two
            assert source.sent_bytes < sum(len(block.data) for block in held.values()) + 1_000_000

    run(test())


def test_of_the_next_version_only_what_lacks_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinning.attempt._SENT_AGAIN_BYTES", 1_000_000)
    more = {f"more {index}": random.Random(f"more {index}").randbytes(100_000) for index in range(3)}
    root, held = tree({**FILES, **more})

    async def test() -> None:
        async with serving(Source(dict(held))) as source, working(tmp_path / "d", source) as here:
            here.here.dag.put(list(HELD.values()))
            (pin,) = await here.ended(here.add(root))
            assert pin.status is Status.PINNED
            assert source.sent_bytes < 1_000_000

    run(test())
