"""What an account is told of where content came from: its own origins, best first."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockstore import Durability, Store, StoreSettings
from blockstore.origin import Origin, OriginKind
from blockstore.origin_lines import parsed
from content import multihash
from content.cid import RAW, Cid
from net.answer import Pause
from pinning.origins_answer import origins_answer, origins_of
from runtime.errors import BadRequest

CID = Cid.v1(RAW, multihash.of(multihash.SHA2_256, b"x"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data", StoreSettings(durability=Durability.NONE)) as opened:
        places = [("ann", 1.0), ("ann", 2.0), ("bob", 3.0)]
        opened.origins.merge(
            (CID.multihash, Origin(OriginKind.HTTP, f"https://h{at}/", account, last_success_s=at))
            for account, at in places
        )
        yield opened


def test_an_account_is_told_of_its_own_the_best_first(store: Store) -> None:
    answer = origins_answer(store, CID.text(), "ann")
    assert answer.status == 200
    assert isinstance(answer.body, bytes)
    told = json.loads(answer.body)
    assert told["cid"] == CID.text()
    assert [each["address"] for each in told["origins"]] == ["https://h2.0/", "https://h1.0/"]
    assert {"account", "multihash"}.isdisjoint(told["origins"][0])
    assert b"bob" not in answer.body


def test_an_unknown_cid_has_none_and_what_is_no_cid_is_refused(store: Store) -> None:
    other = Cid.v1(RAW, multihash.of(multihash.SHA2_256, b"y"))
    assert json.loads(origins_answer(store, other.text(), "ann").body or b"")["origins"] == []  # type: ignore[arg-type]
    with pytest.raises(BadRequest):
        origins_answer(store, "nonsense", "ann")


def test_the_operator_is_told_who_named_what(store: Store) -> None:
    assert [each["account"] for each in origins_of(store, CID, None)] == ["bob", "ann", "ann"]


async def waited(pause: Pause) -> None:
    await pause.wait()


def test_all_of_an_account_comes_in_steps_that_pass_over_others(store: Store) -> None:
    def place(number: int, account: str) -> tuple[bytes, Origin]:
        name = multihash.of(multihash.SHA2_256, number.to_bytes(4, "big"))
        return name, Origin(OriginKind.HTTP, f"https://h/{number}", account)

    store.origins.merge(place(number, "bob") for number in range(6_000))
    store.origins.merge(place(number, "ann") for number in range(0, 6_000, 1_000))
    body = origins_answer(store, "", "ann").body
    assert isinstance(body, Iterator)
    pieces: list[bytes] = []
    pauses = 0
    for piece in body:
        if isinstance(piece, Pause):
            asyncio.run(waited(piece))
            pauses += 1
        else:
            assert isinstance(piece, bytes)
            pieces.append(piece)
    told = [parsed(line) for line in b"".join(pieces).splitlines()]
    assert pauses == 3, "6,009 rows, 4,096 a step, and the end"
    assert len(told) == 6 + 2
    assert {row.account for _, row in told} == {"ann"}
