"""Resumable uploads from outside, in the words of tus 1.0.0: cut, resumed, cancelled, lied about."""

import base64
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from content.car import CarReader
from pinning.pin import Status
from pinning.receiving import CHECKPOINT_BYTES
from tests.pinning.arrivals import Service, car_of, service, tree

OFFSET_TYPE = "application/offset+octet-stream"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path / "data") as running:
        yield running


def test_an_upload_in_pieces_of_any_size_is_pinned_with_its_last(node: Service) -> None:
    dags, root = tree(1, 300_000, 5, 20_000)
    whole, token, chance = car_of(dags, root), node.token(), random.Random()
    path, at = node.begin(token, len(whole), "?name=site"), 0
    while at < len(whole):
        assert node.offset(token, path) == at
        size = chance.choice((1, 2, 39, 1000, 100_000))
        reply = node.patch(token, path, at, whole[at : at + size])
        at += len(whole[at : at + size])
        assert (reply.status, reply.fields["Upload-Offset"], reply.fields["Tus-Resumable"]) == (
            204,
            str(at),
            "1.0.0",
        )
    told = node.ask("GET", path, token).json()
    assert (told["done"], told["offset"], told["pins"][0]["status"]) == (True, len(whole), "pinned")
    pin = node.book.get("alice", told["pins"][0]["requestid"])
    assert (pin.wish.cid, pin.wish.name, pin.status) == (root, "site", Status.PINNED)
    assert all(node.store.dag.read(cid) == data for cid, data in dags.blocks.items())
    assert not list((node.spools._folder).glob("*.part")), "its bytes are let go of"


def test_what_came_before_a_cut_is_never_sent_again(node: Service) -> None:
    dags, root = tree(2, 2_000_000)
    whole, token, chance = car_of(dags, root), node.token(), random.Random()
    path, sent = node.begin(token, len(whole)), 0
    while (at := node.offset(token, path)) < len(whole):
        some = chance.randrange(1, 500_000)
        print("cut", at, some)
        piece = whole[at : at + some]
        fields = f"Upload-Offset: {at}\r\nContent-Type: {OFFSET_TYPE}\r\n\r\n".encode()
        node.cut(token, f"PATCH {path}", fields + piece, len(whole) - at)
        sent += len(piece)
    assert sent == len(whole)
    assert node.ask("GET", path, token).json()["pins"][0]["status"] == "pinned"
    assert len(node.pins()) == 1


@pytest.mark.parametrize("at", [0, 1, 100, 5000])
def test_a_lie_ends_the_upload_where_it_is_met(node: Service, at: int) -> None:
    dags, root = tree(3, 50_000)
    whole, token = bytearray(car_of(dags, root)), node.token()
    whole[at] ^= 0x55
    path = node.begin(token, len(whole))
    half = len(whole) // 2
    reply = node.patch(token, path, 0, bytes(whole[:half]))
    assert 400 <= reply.status < 500, reply.body
    assert reply.json()["error"]["message"]
    told = node.ask("GET", path, token).json()
    assert told["done"]
    assert told["error"] == reply.json()["error"]
    assert node.patch(token, path, half, bytes(whole[half:])).status == reply.status
    assert not node.pins()
    assert not list((node.spools._folder).glob("*.part"))


def test_a_car_that_is_cut_short_is_refused_with_its_last_byte(node: Service) -> None:
    dags, root = tree(4, 50_000)
    whole, token = car_of(dags, root)[:-7], node.token()
    path = node.begin(token, len(whole))
    assert node.patch(token, path, 0, whole).status == 400
    assert not node.pins()


def test_bytes_go_on_where_the_upload_stands_and_nowhere_else(node: Service) -> None:
    dags, root = tree(5, 50_000)
    whole, token = car_of(dags, root), node.token()
    path = node.begin(token, len(whole))
    assert node.patch(token, path, 0, whole[:1000]).status == 204
    for offset in (0, 999, 1001):
        assert node.patch(token, path, offset, whole[offset : offset + 10]).status == 409, offset
    assert node.patch(token, path, 1000, whole[1000:] + b"more").status == 413
    assert node.offset(token, path) == 1000
    assert node.patch(token, path, 1000, iter([whole[1000:], b"more"])).status == 413, "without a length too"
    assert node.ask("PATCH", path, token, b"x", Upload_Offset="1000").status == 400, "without its type"
    assert node.ask("PATCH", path, token, b"x", Content_Type=OFFSET_TYPE).status == 400, "without an offset"


def test_an_upload_goes_on_in_another_process(tmp_path: Path) -> None:
    """What the parser stood at is kept with the offset: the next process checks on from there."""
    dags, root = tree(6, 3_000_000, 7, 100_000)
    whole, chance = car_of(dags, root), random.Random()
    path, at, token = "", 0, ""
    while at < len(whole):
        with service(tmp_path / "data") as node:
            token = token or node.token()
            path = path or node.begin(token, len(whole))
            assert node.offset(token, path) == at
            size = chance.choice((1, 39, 700_000, 1_500_000))
            assert node.patch(token, path, at, whole[at : at + size]).status == 204
            at += len(whole[at : at + size])
            if at >= len(whole):
                assert node.ask("GET", path, token).json()["pins"][0]["status"] == "pinned"


def test_the_parser_goes_on_at_any_section(tmp_path: Path) -> None:
    dags, root = tree(7, 9000, 20)
    whole = car_of(dags, root)
    expected = [block.cid for block in CarReader().feed(whole)]
    for cut in range(1, len(whole), 97):
        first = CarReader()
        got = [block.cid for block in first.feed(whole[:cut])]
        if first.roots is None:
            continue
        second = CarReader()
        next(second.feed(whole), None)
        second.go_on_at(first.at)
        got += [block.cid for block in second.feed(whole[first.at :])]
        second.end()
        assert got == expected, cut


def test_only_its_account_sees_an_upload(node: Service) -> None:
    path = node.begin(node.token("alice"), 1000)
    other = node.token("bob")
    assert node.ask("HEAD", path, other).status == 404
    assert node.patch(other, path, 0, b"x").status == 404
    assert node.ask("DELETE", path, other).status == 404
    assert node.ask("HEAD", path, None).status == 401
    assert node.ask("HEAD", path, node.token("alice")).status == 200
    for name in ("..", "a" * 22, "%2e%2e%2fx", "x" * 300):
        assert node.ask("HEAD", f"/car/uploads/{name}", other).status == 404


def test_a_cancelled_upload_is_gone(node: Service) -> None:
    token = node.token()
    path = node.begin(token, 1000)
    assert node.ask("DELETE", path, token).status == 204
    assert node.ask("HEAD", path, token).status == 404
    assert not list(node.spools._folder.iterdir())


def test_the_first_bytes_may_come_with_the_creation(node: Service) -> None:
    dags, root = tree(8, 4000)
    whole, token = car_of(dags, root), node.token()
    named = "filename " + base64.b64encode(b"bilder.car").decode()
    fields = {"Upload_Length": str(len(whole)), "Content_Type": OFFSET_TYPE, "Upload_Metadata": named}
    reply = node.ask("POST", "/car/uploads", token, whole[:100], **fields)
    assert (reply.status, reply.fields["Upload-Offset"]) == (201, "100")
    path = reply.fields["Location"]
    assert node.ask("HEAD", path, token).fields["Upload-Metadata"] == named
    assert node.patch(token, path, 100, whole[100:]).status == 204
    assert node.pins()[0].wish.name == "bilder.car"


def test_quota_number_and_length_are_bounded(node: Service) -> None:
    token = node.token(quota_bytes=5000)
    assert node.ask("POST", "/car/uploads", token, Upload_Length="5001").status == 403
    for length in ("", "-1", "0", "1e3", "9" * 17):
        assert node.ask("POST", "/car/uploads", token, Upload_Length=length).status == 400, length
    assert node.ask("POST", "/car/uploads", node.token(), Upload_Length=str(1 << 41)).status == 413
    assert node.ask("POST", "/car/uploads", node.token(), Upload_Length=str(1 << 40)).status == 507
    assert node.ask("POST", "/car/uploads", token, Upload_Defer_Length="1").status == 501
    many = node.token()
    replies = [node.ask("POST", "/car/uploads", many, Upload_Length="1000") for _ in range(33)]
    assert [reply.status for reply in replies] == [201] * 32 + [429]
    assert node.ask("POST", "/car/uploads", node.token("bob"), Upload_Length="1000").status == 201


def test_open_uploads_share_what_the_quota_leaves(node: Service) -> None:
    dags, root = tree(11, 2000)
    whole, token = car_of(dags, root), node.token(quota_bytes=9000)
    first = node.begin(token, 5000)
    assert node.ask("POST", "/car/uploads", token, Upload_Length="4001").status == 403
    assert node.ask("POST", "/car", token, b"x" * 4001).status == 403
    node.begin(token, 4000 - len(whole))
    assert node.ask("POST", "/car", token, whole + b"x").status == 403
    assert node.ask("POST", "/car", token, whole).status == 201
    assert node.ask("DELETE", first, token).status == 204
    assert node.ask("POST", "/car/uploads", token, Upload_Length="3000").status == 201
    assert (
        node.ask("POST", "/car/uploads", node.token("bob", quota_bytes=9000), Upload_Length="9000").status
        == 201
    )


@pytest.mark.parametrize("first", [b"no CAR at all" * 20, b"x" * 1001])
def test_a_creation_that_is_refused_leaves_nothing(node: Service, first: bytes) -> None:
    fields = {"Upload_Length": "1000", "Content_Type": OFFSET_TYPE}
    for _ in range(3):
        assert 400 <= node.ask("POST", "/car/uploads", node.token(), first, **fields).status < 500
    assert not list(node.spools._folder.iterdir())


def test_a_creation_that_breaks_off_leaves_nothing(node: Service) -> None:
    dags, root = tree(12, 5000)
    whole = car_of(dags, root)
    fields = f"Upload-Length: {len(whole)}\r\nContent-Type: {OFFSET_TYPE}\r\n\r\n".encode()
    node.cut(node.token(), "POST /car/uploads", fields + whole[:1000], len(whole))
    assert not list(node.spools._folder.iterdir())


def test_a_record_that_cannot_be_read_stands_in_nobody_s_way(
    node: Service, caplog: pytest.LogCaptureFixture
) -> None:
    dags, root = tree(13, 9000)
    whole, token = car_of(dags, root), node.token()
    broken, unplaced = (node.begin(token, 1000).rpartition("/")[2] for _ in range(2))
    node.spools._json(broken).write_bytes(b"{")
    with node.spools._part(unplaced).open("r+b") as part:
        part.write(bytes(1024))
    path = node.begin(token, len(whole))
    identity = path.rpartition("/")[2]
    with node.spools.open(identity) as spool:
        spool.append(whole)
        spool.checkpoint(0)
    now_s = node.spools.touched_s(identity)
    node.uploads.finisher.tend(now_s, lambda: False)
    assert node.ask("GET", path, token).json()["pins"][0]["status"] == "pinned"
    assert broken in caplog.text
    assert unplaced in caplog.text
    node.uploads.finisher.tend(now_s + 2 * node.spools.keep_s, lambda: False)
    assert not list(node.spools._folder.iterdir())


def test_other_versions_of_the_protocol_are_refused_by_name(node: Service) -> None:
    reply = node.ask("POST", "/car/uploads", node.token(), Upload_Length="9", Tus_Resumable="0.2.2")
    assert (reply.status, reply.fields["Tus-Version"]) == (412, "1.0.0")
    reply = node.ask("OPTIONS", "/car/uploads", None)
    assert reply.status == 204
    assert reply.fields["Tus-Extension"] == "creation,creation-with-upload,expiration,termination"
    assert reply.fields["Access-Control-Allow-Origin"] == "*"


def test_abandoned_uploads_are_swept_and_whole_ones_finished(node: Service) -> None:
    dags, root = tree(9, 9000)
    whole, token = car_of(dags, root), node.token()
    open_path = node.begin(token, 1000)
    path = node.begin(token, len(whole))
    identity = path.rpartition("/")[2]
    with node.spools.open(identity) as spool:  # a node that died between the last byte and the import
        spool.append(whole)
        spool.checkpoint(0)
    now_s = node.spools.touched_s(identity)
    node.uploads.finisher.tend(now_s, lambda: False)
    assert node.ask("GET", path, token).json()["pins"][0]["status"] == "pinned"
    assert node.offset(token, open_path) == 0, "too young to be swept"
    node.uploads.finisher.tend(now_s + 2 * node.spools.keep_s, lambda: False)
    assert not list(node.spools._folder.iterdir())
    assert len(node.pins()) == 1


def test_a_finish_that_is_done_again_makes_no_second_pin(node: Service) -> None:
    dags, root = tree(10, 9000)
    whole, token = car_of(dags, root), node.token()
    path = node.begin(token, len(whole))
    identity = path.rpartition("/")[2]
    with node.spools.open(identity) as spool:
        spool.append(whole)
        spool.checkpoint(0)
        node.uploads.finisher._imported(spool)  # and the node dies before the result is kept
    told = node.ask("GET", path, token).json()
    assert told["pins"][0]["status"] == "pinned"
    assert [pin.request_id for pin in node.pins()] == [told["pins"][0]["requestid"]]


def test_two_requests_do_not_write_one_upload(node: Service) -> None:
    token = node.token()
    path = node.begin(token, 1000)
    with node.spools.open(path.rpartition("/")[2]):
        reply = node.patch(token, path, 0, b"x")
    assert (reply.status, reply.json()["error"]["kind"], reply.fields["Retry-After"]) == (503, "busy", "1")
    assert node.offset(token, path) == 0


def test_a_checkpoint_is_every_few_mebibytes() -> None:
    assert CHECKPOINT_BYTES <= 4 << 20, "with what is in sockets at most 16 MiB are sent again"
