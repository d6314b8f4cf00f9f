"""`POST /car` from outside: what is pinned, what is refused, and what a cut leaves behind."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from content import car
from content.cid import Cid
from content.unixfs.file import leaves
from runtime.errors import Blocked
from tests.gateway.dags import Dags
from tests.pinning.arrivals import MovedClock, Service, car_of, service, tree

META = "%7B%22app%22%3A%22x%22%7D"
BAD = ("nmae=x", "name=a&name=b", "meta=[]", "meta=%7B%22a%22%3A1%7D", "expires=soon", f"name={256 * 'n'}")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path / "data") as running:
        yield running


def read(node: Service, cid: Cid) -> bytes:
    dag = node.store.dag
    return b"".join(dag.read(leaf.cid)[leaf.block_start : leaf.block_stop] for leaf in leaves(cid, dag.read))


def test_a_whole_car_is_pinned_when_the_answer_comes(node: Service) -> None:
    dags, root = tree(1, 3_000_000, 10, 0, 70_000)
    reply = node.ask(
        "POST", "/car?name=holiday&meta=%7B%22app%22%3A%22x%22%7D", node.token(), car_of(dags, root)
    )
    assert reply.status == 201, reply.body
    told = reply.json()
    assert [(each["cid"], each["status"]) for each in told["pins"]] == [(root.text(), "pinned")]
    pin = node.book.get("alice", told["pins"][0]["requestid"])
    assert (pin.account, pin.wish.name, pin.wish.meta) == ("alice", "holiday", {"app": "x"})
    assert pin.dag_bytes == sum(len(data) for data in dags.blocks.values())
    assert pin.raw_bytes == 3_070_010
    assert all(node.store.dag.read(cid) == data for cid, data in dags.blocks.items())
    assert told["blocks"] == told["new_blocks"] == len(dags.blocks)
    large = dags.children(root)[0]
    assert node.store.dag.file(large) is not None, "a file is one blob"


def test_a_second_version_of_the_header_is_skipped(node: Service) -> None:
    dags, root = tree(2, 100)
    inner = car_of(dags, root)
    pragma = bytes.fromhex("0aa16776657273696f6e02")
    outer = pragma + bytes(16) + (51).to_bytes(8, "little") + len(inner).to_bytes(8, "little") + bytes(8)
    reply = node.ask("POST", "/car", node.token(), outer + inner + b"an index")
    assert (reply.status, reply.json()["pins"][0]["cid"]) == (201, root.text())


def test_blocks_that_lack_leave_a_queued_pin(node: Service) -> None:
    dags, root = tree(3, 5000, 5000)
    lacking = dags.children(dags.children(root)[1])[0]
    reply = node.ask("POST", "/car", node.token(), car_of(dags, root, without=frozenset((lacking,))))
    assert reply.status == 202
    assert reply.json()["pins"][0] | {"requestid": ""} == {
        "requestid": "", "cid": root.text(), "status": "queued", "missing": lacking.text()
    }  # fmt: skip


def test_several_roots_are_several_pins(node: Service) -> None:
    dags = Dags()
    roots = [dags.file(bytes([number]) * 10) for number in range(3)]
    reply = node.ask("POST", "/car", node.token(), car_of(dags, *roots, roots[0]))
    assert [each["cid"] for each in reply.json()["pins"]] == [root.text() for root in roots]


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), 422),
        (lambda data: data[:-1], 400),
        (lambda data: b"", 400),
        (lambda data: b"not a CAR at all", 400),
        (lambda data: data + b"\0", 400),
        (lambda data: car.header(()) + data[len(car.header(())) :], 400),
    ],
    ids=["a flipped bit", "cut short", "empty", "nonsense", "more behind it", "no root"],
)
def test_what_is_no_sound_car_is_refused_and_pins_nothing(
    node: Service, spoil: Callable[[bytes], bytes], status: int
) -> None:
    dags, root = tree(4, 5000)
    reply = node.ask("POST", "/car", node.token(), spoil(car_of(dags, root)))
    assert reply.status == status, reply.body
    assert reply.json()["error"]["message"]
    assert not node.pins()


def test_a_body_that_breaks_off_acknowledges_nothing_and_keeps_what_came(node: Service) -> None:
    dags, root = tree(5, 400_000, 400_000)
    whole = car_of(dags, root)
    chance = random.Random()
    at = chance.randrange(100_000, len(whole))
    print("cut at", at)
    node.cut(node.token(), "POST /car", b"\r\n" + whole[:at], len(whole))
    assert not node.pins()
    here = {cid for cid in dags.blocks if node.store.dag.has(cid)}
    assert here == {block.cid for block in car.CarReader().feed(whole[:at])}, "what came whole is here"
    again = node.ask("POST", "/car", node.token(), whole)
    assert again.status == 201
    assert again.json()["new_blocks"] == len(dags.blocks) - len(here)
    assert read(node, dags.children(root)[0]) + read(node, dags.children(root)[1])


def test_a_body_byte_by_byte_in_chunks(node: Service) -> None:
    dags, root = tree(6, 3000)
    pieces = (bytes((each,)) for each in car_of(dags, root))
    assert node.ask("POST", "/car", node.token(), pieces).json()["pins"][0]["status"] == "pinned"


def test_the_quota_is_judged_by_the_length_before_a_byte_is_sent(node: Service) -> None:
    dags, root = tree(7, 50_000)
    token = node.token(quota_bytes=10_000)
    reply = node.ask("POST", "/car", token, car_of(dags, root))
    assert (reply.status, reply.json()["error"]["kind"]) == (403, "quota_exceeded")
    assert not any(node.store.dag.has(cid) for cid in dags.blocks)


def test_the_quota_is_judged_while_a_body_without_a_length_comes(node: Service) -> None:
    dags, root = tree(8, 4_000_000)
    whole = car_of(dags, root)
    token = node.token(quota_bytes=1_000_000)
    reply = node.ask("POST", "/car", token, (whole[at : at + 65536] for at in range(0, len(whole), 65536)))
    assert (reply.status, reply.json()["error"]["kind"]) == (403, "quota_exceeded")
    assert not node.pins()


def test_who_may_and_what_is_there(node: Service) -> None:
    assert node.ask("POST", "/car", None, b"").status == 401
    assert node.ask("POST", "/car", "flk_000000000000_" + "0" * 48, b"").status == 401
    assert node.ask("POST", "/car", node.token(scope="read"), b"").status == 403
    assert node.ask("GET", "/car", node.token()).status == 405
    assert node.ask("POST", "/carpet", node.token(), b"").status == 404
    for query in BAD:
        assert node.ask("POST", f"/car?{query}", node.token(), b"").status == 400, query


def test_a_name_on_the_denylist_is_refused_when_the_header_tells_it(tmp_path: Path) -> None:
    def deny(roots: tuple[Cid, ...]) -> None:
        raise Blocked("denied", where=roots[0].text())

    with service(tmp_path / "data", check=deny) as node:
        dags, root = tree(9, 100)
        assert node.ask("POST", "/car", node.token(), car_of(dags, root)).status == 410
        assert not node.pins()


def test_a_name_on_the_denylist_is_refused_below_the_root_too(tmp_path: Path) -> None:
    dags, root = tree(14, 5000, 10)
    denied = dags.children(dags.children(root)[0])[1]

    def deny(cids: tuple[Cid, ...]) -> None:
        if denied in cids:
            raise Blocked("denied", where=denied.text())

    with service(tmp_path / "data", check=deny) as node:
        whole, token = car_of(dags, root), node.token()
        reply = node.ask("POST", "/car", token, whole)
        assert (reply.status, reply.json()["error"]["where"]) == (410, denied.text())
        path = node.begin(token, len(whole))
        assert node.patch(token, path, 0, whole).status == 410
        assert not node.pins()


def test_an_expiry_is_kept_with_the_pin(node: Service) -> None:
    dags, root = tree(10, 100)
    reply = node.ask("POST", "/car?expires=2030-01-31T12:00:00Z", node.token(), car_of(dags, root))
    assert node.book.get("alice", reply.json()["pins"][0]["requestid"]).wish.expires_s == 1_896_091_200.0


@pytest.mark.parametrize("text", ["2020-01-31T12:00:00Z", "2030-01-31T12:00:00", "2030-01-31"])
def test_an_end_that_is_over_or_no_time_is_refused_as_for_pins(node: Service, text: str) -> None:
    dags, root = tree(13, 100)
    for path, fields in (
        (f"/car?expires={text}", {}),
        (f"/car/uploads?expires={text}", {"Upload_Length": "9"}),
    ):
        reply = node.ask("POST", path, node.token(), car_of(dags, root), **fields)
        assert reply.status == 400
        assert reply.json()["error"]["where"] == "expires"
    assert not node.pins()


def test_what_is_pinned_outlives_its_lease_and_gc(tmp_path: Path) -> None:
    dags, root = tree(11, 20_000)
    other, lost = tree(12, 20_000)
    clock = MovedClock()
    with service(tmp_path / "data", clock=clock) as node:
        assert node.ask("POST", "/car", node.token(), car_of(dags, root)).status == 201
        whole = car_of(other, lost)
        node.cut(node.token(), "POST /car", b"\r\n" + whole[:-10], len(whole))
        clock.ahead_s = 10 * node.store.settings.lease_s
        node.store.sweep()
        assert all(node.store.dag.has(cid) for cid in dags.blocks)
        assert not any(node.store.dag.has(cid) for cid in other.blocks), "nobody keeps what was broken off"
