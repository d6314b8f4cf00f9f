"""What a person is told of each origin that a pin names, when it did not give the content."""

import asyncio
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from content.cid import Cid
from origins.said import Said
from pinning.pin import Pin, Status
from tests.origins.byte_server import ByteServer, Held, listening
from tests.origins.fetching import LOOPBACK, run
from tests.origins.trustless_source import Asked, Response, Source, file_blocks, serving
from tests.pinning.working import working

pytestmark = pytest.mark.timeout(120)
BODY = random.Random(9).randbytes(600_000)
CID, BLOCKS = file_blocks(BODY)
SECRET = "s3cr3t0123456789abcdef"


async def failed(tmp_path: Path, *origins: str, gateways: tuple[Source, ...] = (), **options: Any) -> Pin:
    """The pin of CID after one try that ended without it."""
    fetch = {"allow_nets_for_accounts": LOOPBACK, **options.pop("fetch", {})}
    limit = options.pop("limit", None)
    async with working(
        tmp_path / "d", *gateways, fetch=fetch, run=False, **{"attempts": 1, **options}
    ) as here:
        if limit is not None:
            here.quotas.limits["alice"] = limit
        request_id = here.add(CID, origins=origins)
        here.go()
        (pin,) = await here.ended(request_id)
        assert pin.status is Status.FAILED
        return pin


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (Held(BODY[:-1] + b"?"), "the bytes are not what the CID names"),
        (Held(b"", 404), "it answered 404: it does not have it"),
        (Held(b"", 500), "it answered 500"),
        (Held(b"", 302, {"Location": "/f"}), "too many redirects"),
        (
            Held(b"", 302, {"Location": "http://10.0.0.1/x"}),
            "it redirects to a host that is not at a public address",
        ),
        (Held(b"", 302, {"Location": "file:///etc/passwd"}), "only http and https URLs"),
        (Held(b"", 302, {}), "a redirect that does not say where to"),
        (Held(BODY, cut_at=1000), "the answer was cut short"),
        (Held(BODY, 200, {"Content-Encoding": "gzip"}), "the answer is compressed"),
        (Held(b"x", every_s=60.0), "nothing came for 0.3 s"),
    ],
)
def test_what_a_url_did_is_told_by_its_name(tmp_path: Path, held: Held, why: str) -> None:
    async def test() -> None:
        async with listening(ByteServer({"/f": held})) as server:
            pin = await failed(tmp_path, f"{server.url}/f", fetch={"idle_s": 0.3})
            assert pin.details.startswith(f"{CID} could not be fetched: {server.url}/f: {why}"), pin.details
            assert "name another origin that has it" in pin.details

    run(test())


def test_a_file_that_the_quota_leaves_no_room_for_is_told_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with listening(ByteServer({"/f": BODY})) as server:
            pin = await failed(tmp_path, f"{server.url}/f", limit=1000)
            assert "/f: it is longer than the 1,000 bytes there is room for" in pin.details

    run(test())


def test_a_connection_that_fails_says_how_and_shows_no_address(tmp_path: Path) -> None:
    async def test() -> None:
        async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 this is no TLS\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            pin = await failed(
                tmp_path, f"https://localhost:{port}/f", "http://localhost:1/f", "http://h.invalid/f"
            )
        assert f"https://localhost:{port}/f: cannot connect: TLS failed, " in pin.details, pin.details
        # below 80 no port is a web server's
        assert "http://localhost:1/f: port 1 is not a web server's" in pin.details
        assert "http://h.invalid/f: its name cannot be resolved" in pin.details
        assert "127.0.0.1" not in pin.details

    run(test())


def test_what_nobody_listens_at_is_told_without_the_address_of_its_name(tmp_path: Path) -> None:
    async def test() -> None:
        async with listening(ByteServer({})) as server:
            gone = server.url.replace("127.0.0.1", "localhost")
        pin = await failed(tmp_path, f"{gone}/f", gone)
        assert f"{gone}/f: cannot connect: connection refused" in pin.details
        assert f"{gone}: cannot connect: connection refused" in pin.details
        assert "127.0.0.1" not in pin.details

    run(test())


def test_an_inner_address_is_told_only_where_the_account_wrote_it(tmp_path: Path) -> None:
    async def test() -> None:
        origins = ("http://localhost/f", "http://10.1.2.3/f", "http://localhost", "http://[::1]/f")
        pin = await failed(tmp_path, *origins, fetch={"allow_nets_for_accounts": ()})
        named = "its host is not at a public address: that is not dialled"
        assert f"http://localhost/f: {named}" in pin.details
        assert f"http://localhost: {named}" in pin.details
        assert f"http://10.1.2.3/f: {named}" in pin.details
        assert f"http://[::1]/f: {named}" in pin.details
        assert "127.0.0.1" not in pin.details

    run(test())


def lies(source: Source, asked: Asked) -> Response:
    return Response(body=b"something else")


def busy(source: Source, asked: Asked) -> Response:
    return Response(503)


def stalls(source: Source, asked: Asked) -> Response:
    return Response(body=b"x" * 100, stall_at=1)


def test_gateways_that_a_pin_names_are_told_one_by_one_and_those_of_the_node_are_not(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            serving(Source({})) as without,
            serving(Source({}, lies)) as liar,
            serving(Source({}, busy)) as down,
            serving(Source({})) as own,
            serving(Source({}, lies)) as inner,
        ):
            origins = tuple(each.url for each in (without, liar, down))
            pin = await failed(tmp_path, *origins, gateways=(own, inner))
            assert f"{without.url}: it answered 404: it does not have it" in pin.details
            assert f"{liar.url}: it gave something else: the bytes do not match the CID" in pin.details
            assert f"{down.url}: it answered 503" in pin.details
            assert (
                "1 of 2 gateways that were asked answered 404; a gateway: it gave something else"
                in pin.details
            )
            assert own.url not in pin.details
            assert inner.url not in pin.details

    run(test())


def test_a_gateway_that_says_nothing_is_told_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source({}, stalls)) as slow:
            pin = await failed(tmp_path, slow.url, fetch={"fetch_timeout_s": 3.0})
            assert f"{slow.url}: the answer took too long as a whole" in pin.details

    run(test())


def test_a_try_that_is_over_says_which_origin_was_not_done(tmp_path: Path) -> None:
    async def test() -> None:
        async with listening(ByteServer({"/f": Held(b"x" * 1000, every_s=0.1)})) as server:
            pin = await failed(tmp_path, f"{server.url}/f", try_s=2.0)
            assert f"{server.url}/f: it was not done in the time there was" in pin.details
            assert "it was not whole after 2 s" in pin.details

    run(test())


def test_no_secret_of_an_address_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with listening(ByteServer({})) as server:
            host = server.url.removeprefix("http://")
            origins = (
                f"{server.url}/f?token={SECRET}",
                f"http://ann:{SECRET}@{host}/g",
                f"http://ann:{SECRET}@{host}",
                f"{server.url}?key={SECRET}",
            )
            pin = await failed(tmp_path, *origins)
            assert SECRET not in pin.details
            assert f"{server.url}/f: it answered 404" in pin.details
            assert f"{server.url}/g: a URL with user info is not fetched" in pin.details

    run(test())


def test_many_long_origins_leave_room_for_what_to_do(tmp_path: Path) -> None:
    async def test() -> None:
        async with listening(ByteServer({})) as server:
            origins = [f"{server.url}/{number}/{'x' * 1900}" for number in range(20)]
            pin = await failed(tmp_path, *origins, attempts=2, retry_s=0.01)
            assert len(pin.details) <= 1500
            assert "…" in pin.details
            assert "14 more of its origins did not give it" in pin.details
            assert pin.details.endswith("; given up after 2 tries")

    run(test())


def test_what_was_said_is_bounded_and_forgotten_when_it_gives() -> None:
    said, name = Said(), CID.multihash
    other = Cid.v1(0x55, CID.multihash[:-1] + b"?").multihash
    said.note("https://g.example", name, "x" * 5000, of_all=True)
    assert said.of(["https://g.example/", "https://h.example"], [other]) == [("https://g.example", "x" * 300)]
    said.gave("https://g.example", other)
    assert said.of(["https://g.example"], [other]) == []
    assert said.of(["https://g.example"], [name]) != []
    said.gave("https://g.example", name)
    assert said.of(["https://g.example"], [name]) == []
    for number in range(9000):
        said.note(f"https://{number}.example/f", name, "no")
    assert said.of(["https://0.example/f"], [name]) == []
    assert said.of(["https://8999.example/f"], [name]) == [("https://8999.example/f", "no")]


def test_what_offers_no_http_is_told_once_and_not_by_each_of_its_addresses(tmp_path: Path) -> None:
    async def test() -> None:
        peer = "12D3KooWGSBxHvrJkLmPTqWyJ6N8bVPrDvFTmjH3BEZHEVzZ9hDR"
        origins = (f"/ip4/1.2.3.4/tcp/4001/p2p/{peer}", f"/ip4/1.2.3.4/udp/4001/quic-v1/p2p/{peer}")
        pin = await failed(tmp_path, *origins)
        assert pin.details.startswith(
            f"no provider has {CID}: no gateway is known that may have it; 2 of its "
        )
        assert peer not in pin.details

    run(test())


def test_gateways_that_rest_are_told_with_why_they_do_and_not_where_they_are(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source({}, busy)) as down, working(tmp_path / "d", down, attempts=1) as here:
            other, _ = file_blocks(b"something that is asked for before")
            await here.ended(here.add(other), here.add(CID))
            (pin,) = await here.ended(here.add(CID))
            assert "a gateway: it answered 503" in pin.details, pin.details
            assert down.url not in pin.details

    run(test())


def test_an_inner_gateway_of_the_node_is_not_shown_to_accounts(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            serving(Source({})) as inner,
            working(tmp_path / "d", inner, fetch={"allow_nets": ()}, attempts=1) as here,
        ):
            (pin,) = await here.ended(here.add(CID))
            assert "a gateway: its host is not at a public address" in pin.details, pin.details
            assert "127.0.0.1" not in pin.details

    run(test())


def test_the_name_of_a_gateway_of_the_node_is_not_told_where_it_cannot_be_resolved(tmp_path: Path) -> None:
    async def test() -> None:
        inner = cast(Source, SimpleNamespace(url="http://inner.invalid"))
        async with working(tmp_path / "d", inner, attempts=1) as here:
            (pin,) = await here.ended(here.add(CID))
            assert "a gateway: its name cannot be resolved: " in pin.details, pin.details
            assert "inner.invalid" not in pin.details

    run(test())


def test_a_named_gateway_that_lacks_one_block_is_told_with_that_block(tmp_path: Path) -> None:
    big, blocks = file_blocks(random.Random(3).randbytes(3_000_000))
    lacks = next(each for each in blocks.values() if each.cid != big)

    async def test() -> None:
        held = {name: block for name, block in blocks.items() if block is not lacks}
        async with serving(Source(held)) as source, working(tmp_path / "d", fetch={}, attempts=1) as here:
            (pin,) = await here.ended(here.add(big, origins=(source.url,)))
            assert pin.details.startswith(
                f"the block {lacks.cid} of {big} could not be fetched: {source.url}: it answered 404"
            ), pin.details

    run(test())
