"""The whole list as a stream: the pins of a page, of the caller alone, filtered, in chunks of whole lines."""

import json

from pinning import api_list
from pinning.pin import Filter, Wish
from pinning.pins import Pins
from tests.net.memory_app import run
from tests.pinning.service import DELEGATE, cid_of, service


def test_the_list_is_every_pin_of_the_caller_newest_first(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            added = [await api.add(f"n{each}", name=f'"☃{each}\\', meta={"a": "b"}) for each in range(70)]
            await api.add("theirs", token="other")
            reply = await api.raw("GET", "/pinning/v1/x/list?status=queued", "reader", None, {})
            assert reply.status == 200
            told = [json.loads(line) for line in reply.body.splitlines()]
            assert [each["requestid"] for each in told] == [each["requestid"] for each in reversed(added)]
            assert told[0] == {
                "requestid": added[-1]["requestid"],
                "status": "queued",
                "cid": cid_of("n69").text(),
                "name": '"☃69\\',
                "created": added[-1]["created"],
                "origins": [],
                "meta": {"a": "b"},
                "delegates": [DELEGATE],
                "info": {"status_details": "waits for its turn"},
            }
            query = f"x/list?before={added[3]['created']}&after={added[0]['created']}"
            some = await api.raw("GET", f"/pinning/v1/{query}", "pinner", None, {})
            assert [json.loads(line)["name"] for line in some.body.splitlines()] == ['"☃2\\', '"☃1\\']
            none = await api.raw("GET", "/pinning/v1/x/list", "pinner", None, {})
            assert (none.status, none.body) == (200, b""), "no filter means pinned ones, as at /pins"

    run(main())


def test_the_list_is_refused_as_pages_are(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            assert (await api.ask("GET", "/x/list", token=None))[0] == 401
            assert (await api.ask("GET", "/x/list", token="putter"))[0] == 403
            assert (await api.ask("GET", "/x/list?status=lost"))[0] == 400
            assert (await api.ask("POST", "/x/list", pin={}))[0] == 405

    run(main())


def test_chunks_are_whole_lines_and_end(pins: Pins) -> None:
    many = [Wish(cid_of(str(each)), "n" * 255) for each in range(1000)]
    pins.add_many("ada", many)
    listed = pins.stream("ada", Filter())
    chunks = []
    while chunk := api_list.chunk(listed, "[]"):
        assert chunk.endswith(b"\n")
        assert len(chunk) < api_list.CHUNK_CHARS + 2000
        chunks.append(chunk)
    assert len(chunks) > 1
    assert len(b"".join(chunks).splitlines()) == len(many)
