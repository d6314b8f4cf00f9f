"""The Pinning Service API over HTTP: statuses, schemas, scopes, and what clients rely on."""

import asyncio
import json
import re
import threading

import pytest

from blockstore import Store
from net.answer import Answer
from net.bearer import Caller
from pinning import api as api_module
from pinning.limits import PinLimits
from pinning.pin import Filter, Page, Pin, Wish
from pinning.pins import Pins
from runtime.errors import NotFound, StoreFull
from tests.net.memory_app import PATIENCE_S, run
from tests.pinning.service import DELEGATE, DENIED, TOKENS, V0, Service, cid_of, service


def test_a_pin_is_added_told_replaced_and_removed(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            meta, origins = {"app": "wiki"}, ["/ip4/192.0.2.1/tcp/4001/p2p/12D3", "https://a.example/x"]
            pin = {"cid": cid_of("one").text(), "name": "one ☃", "meta": meta, "origins": origins}
            status, told = await api.ask("POST", pin=pin)
            assert (status, told["status"], told["pin"]) == (202, "queued", pin)
            assert told["delegates"] == [DELEGATE]
            assert re.fullmatch(r"2023-11-14T22:13:20\.\d{9}Z", told["created"])
            one = f"/pins/{told['requestid']}"
            assert await api.ask("GET", one) == (200, told)
            assert await api.ask("GET", one) == (200, told), "nothing of it changes by itself"

            status, new = await api.ask("POST", one, pin={"cid": cid_of("two").text()})
            assert status == 202
            assert new["requestid"] != told["requestid"]
            assert (await api.ask("GET", one))[0] == 404
            two = f"/pins/{new['requestid']}"
            assert (await api.ask("GET", two))[1]["pin"] == {"cid": cid_of("two").text()}
            assert await api.ask("DELETE", two) == (202, None)
            for method, body in (("GET", None), ("DELETE", None), ("POST", pin)):
                status, refused = await api.ask(method, two, pin=body)
                assert (status, refused["error"]["reason"]) == (404, "NOT_FOUND")

    run(main())


def test_a_cid_comes_back_as_it_was_named(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            for text in (V0.text(), cid_of("x").text()):
                status, told = await api.ask("POST", pin={"cid": text})
                assert (status, told["pin"]["cid"]) == (202, text)

    run(main())


def test_only_a_list_without_any_filter_is_of_pinned_ones(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            first = await api.add("a", name="a")
            await api.add("b")
            assert (await api.ask("GET"))[1] == {"count": 0, "results": []}
            assert (await api.ask("GET", "/pins?limit=5&match=exact"))[1]["count"] == 0
            assert pins.begin(first["requestid"])
            assert pins.pinned(first["requestid"], 5, 3)
            found = (await api.ask("GET"))[1]
            assert [each["requestid"] for each in found["results"]] == [first["requestid"]]
            assert found["results"][0]["info"] == {"dag_size": "5", "raw_size": "3"}
            for query in (
                "after=2000-01-01T00:00:00Z",
                "before=2100-01-01T00:00:00Z",
                "status=queued,pinned",
            ):
                assert (await api.ask("GET", f"/pins?{query}"))[1]["count"] == 2
            assert (await api.ask("GET", "/pins?name=a"))[1]["count"] == 1
            assert (await api.ask("GET", "/pins?meta=%7B%7D"))[1]["count"] == 2
            assert (await api.ask("GET", f"/pins?cid={cid_of('b')}"))[1]["count"] == 1

    run(main())


def test_pages_by_before_meet_each_pin_once_and_count_what_is_left(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            added = [(await api.add(f"{index}"))["requestid"] for index in range(25)]
            met, before, counts = [], "", []
            while True:
                _, page = await api.ask("GET", f"/pins?status=queued,pinning,pinned,failed{before}")
                counts.append(page["count"])
                met += [pin["requestid"] for pin in page["results"]]
                if page["count"] == len(page["results"]):
                    break
                before = f"&before={page['results'][-1]['created']}"
            assert counts == [25, 15, 5]
            assert met == added[::-1]

    run(main())


def test_no_account_meets_the_pins_of_another(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            one = f"/pins/{(await api.add('ours'))['requestid']}"
            for token in ("other", "admin"):
                assert (await api.ask("GET", "/pins?status=queued", token=token))[1]["count"] == 0
                for method, pin in (("GET", None), ("DELETE", None), ("POST", {"cid": V0.text()})):
                    assert (await api.ask(method, one, pin=pin, token=token))[0] == 404
            assert (await api.ask("GET", one, token="reader"))[0] == 200
            assert [pin.account for pin in pins.stream(None, Filter())] == ["ada"]

    run(main())


@pytest.mark.parametrize("token", [None, "", "nonsense", "Pinner"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_without_a_known_token_nothing_is_told(token: str | None, method: str, pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            path = "/pins/x" if method == "DELETE" else "/pins"
            pin = {"cid": V0.text()} if method == "POST" else None
            status, refused = await api.ask(method, path, pin=pin, token=token)
            assert (status, refused["error"]["reason"]) == (401, "UNAUTHORIZED")
            assert list(pins.stream(None, Filter())) == []

    run(main())


@pytest.mark.parametrize(
    ("token", "lists", "writes"),
    [("pinner", 200, 202), ("reader", 200, 403), ("putter", 403, 403), ("admin", 200, 202)],
)
def test_scopes(token: str, lists: int, writes: int, pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            status, told = await api.ask("GET", token=token)
            assert status == lists
            assert lists == 200 or told["error"]["reason"] == "FORBIDDEN"
            assert (await api.ask("POST", pin={"cid": V0.text()}, token=token))[0] == writes
            assert (await api.ask("DELETE", "/pins/x", token=token))[0] == (404 if writes == 202 else 403)

    run(main())


def test_an_origin_that_is_never_fetched_is_refused_at_once_and_pins_nothing(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            _, told = await api.ask("POST", pin={"cid": V0.text()})
            bad = {"cid": V0.text(), "origins": ["https://ann:pw1@a.example/f"]}
            for path in ("/pins", f"/pins/{told['requestid']}"):
                status, refused = await api.ask("POST", path, pin=bad)
                assert (status, refused["error"]["reason"]) == (400, "BAD_REQUEST")
                details = refused["error"]["details"]
                assert details.startswith("origins: 'https://…@…': a URL with user info is not fetched")
                assert "pw1" not in details
            assert [pin.request_id for pin in pins.stream(None, Filter())] == [told["requestid"]]

    run(main())


def test_quota_denied_content_and_a_full_store_are_refused_with_a_reason(store: Store, pins: Pins) -> None:
    class Full(Pins):
        def add(self, account: str, wish: Wish, *, quota_bytes: int | None = None) -> Pin:
            raise StoreFull("no room", where="disk")

    async def main() -> None:
        async with service(pins) as api:
            pin = {"cid": V0.text()}
            status, refused = await api.ask("POST", pin=pin, token="full")
            assert (status, refused["error"]["reason"]) == (409, "INSUFFICIENT_FUNDS")
            status, refused = await api.ask("POST", pin={"cid": DENIED.text()})
            assert (status, refused["error"]["reason"]) == (403, "BLOCKED")
            assert list(pins.stream(None, Filter())) == []
        async with service(Full(store)) as api:
            status, refused = await api.ask("POST", pin=pin)
            assert (status, refused["error"]["reason"]) == (507, "STORE_FULL")

    run(main())


def test_what_was_denied_after_it_was_pinned_says_that_it_is_kept_and_not_served(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            for cid in (DENIED, cid_of("fine")):
                pin = pins.add(TOKENS["pinner"].account, Wish(cid))
                pins.begin(pin.request_id)
                pins.pinned(pin.request_id, 10, 10)
                _, one = await api.ask("GET", f"/pins/{pin.request_id}")
                assert one["status"] == "pinned"
                assert one["info"].get("status_details") == (api_module.DENIED if cid == DENIED else None)
            _, page = await api.ask("GET")
            details = [each["info"].get("status_details") for each in page["results"]]
            assert details == [None, api_module.DENIED]
            listed = await api.raw("GET", "/pinning/v1/x/list", "pinner", None, {})
            assert listed.body.count(api_module.DENIED.encode()) == 1

    run(main())


def test_a_bug_is_told_in_the_schema_and_without_its_text(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Pins):
        def page(self, account: str, wanted: Filter, limit: int) -> Page:
            raise RuntimeError("secret")

    async def main() -> None:
        async with service(Broken(store)) as api:
            status, refused = await api.ask("GET")
            assert (status, refused["error"]["reason"]) == (500, "INTERNAL_SERVER_ERROR")
            assert "secret" not in json.dumps(refused)
            assert (await api.ask("GET", "/pins/x"))[0] == 404

    run(main())
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", "/pins", 405, "GET, HEAD, POST, OPTIONS"),
        ("DELETE", "/pins", 405, "GET, HEAD, POST, OPTIONS"),
        ("PATCH", "/pins/x", 405, "GET, HEAD, POST, DELETE, OPTIONS"),
        ("GET", "", 404, None),
        ("GET", "/", 404, None),
        ("GET", "/pins/x/y", 404, None),
        ("GET", "/pins/", 404, None),
        ("GET", f"/pins/{'x' * 129}", 404, None),
        ("GET", "/pins/%00", 404, None),
        ("GET", "/x/nothing/x", 404, None),
    ],
)
def test_other_paths_and_methods(method: str, path: str, status: int, allow: str | None, pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            reply = await api.raw(method, f"/pinning/v1{path}", "pinner", None, {})
            assert (reply.status, reply.fields.get("allow")) == (status, allow)
            assert json.loads(reply.body)["error"]["reason"]

    run(main())


def test_head_is_get_without_its_body(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            one = (await api.add("x"))["requestid"]
            for path in ("/pinning/v1/pins?status=queued", f"/pinning/v1/pins/{one}"):
                got, head = [await api.raw(method, path, "pinner", None, {}) for method in ("GET", "HEAD")]
                assert (head.status, head.fields["content-length"]) == (200, str(len(got.body)))

    run(main())


def test_pages_of_other_origins_may_use_it_with_a_token_of_theirs(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            asked = {"Origin": "https://a.example", "Access-Control-Request-Headers": "authorization"}
            reply = await api.raw("OPTIONS", "/pinning/v1/pins", None, None, asked)
            assert reply.status == 204
            assert reply.fields["access-control-allow-origin"] == "*"
            assert "Authorization" in reply.fields["access-control-allow-headers"]
            assert "DELETE" in reply.fields["access-control-allow-methods"]
            assert "access-control-allow-credentials" not in reply.fields
            for token in ("pinner", "nonsense"):
                told = await api.raw("GET", "/pinning/v1/pins", token, None, {})
                assert told.fields["access-control-allow-origin"] == "*"
                assert told.fields["cache-control"] == "no-store"
            refused = await api.raw("GET", "/pinning/v1/pins", None, None, {})
            assert "www-authenticate" in refused.fields

    run(main())


def test_bodies_are_json_and_bounded(pins: Pins) -> None:
    async def main() -> None:
        async with service(pins) as api:
            form = {"content_type": "text/plain"}
            status, refused = await api.ask("POST", pin={"cid": V0.text()}, **form)
            assert (status, refused["error"]["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
            good = {"content_type": "Application/JSON; charset=utf-8"}
            assert (await api.ask("POST", pin={"cid": V0.text()}, **good))[0] == 202
            assert (await api.ask("POST", pin=b""))[0] == 400
        async with service(pins) as api:
            status, refused = await api.ask("POST", pin=b" " * 131_073)
            assert (status, refused["error"]["reason"]) == (413, "TOO_LARGE")

    run(main())


class Waiting(Pins):
    """A book whose lists wait until they may go on."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.may_go_on, self.begun = threading.Event(), threading.Semaphore(0)

    def page(self, account: str, wanted: Filter, limit: int) -> Page:
        self.begun.release()
        assert self.may_go_on.wait(PATIENCE_S)
        return super().page(account, wanted, limit)


def test_one_pin_is_told_while_lists_take_their_time(store: Store) -> None:
    async def main() -> None:
        book = Waiting(store)
        pin = book.add("ada", Wish(V0))
        async with service(book) as slow, service(book) as api:
            listed = asyncio.create_task(slow.ask("GET"))
            await asyncio.to_thread(book.begun.acquire)
            assert (await api.ask("GET", f"/pins/{pin.request_id}"))[0] == 200
            assert not listed.done()
            book.may_go_on.set()
            assert (await listed)[0] == 200

    run(main())


def test_more_calls_than_may_wait_are_told_to_come_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "_PENDING_MAX", 1)

    async def main() -> None:
        book = Waiting(store)
        async with service(book) as api:
            first = asyncio.create_task(api.ask("GET"))
            await asyncio.to_thread(book.begun.acquire)
            other = Service(await api.connect(), book, api.connect)
            reply = await other.raw("GET", "/pinning/v1/pins", "pinner", None, {})
            assert (reply.status, json.loads(reply.body)["error"]["reason"]) == (503, "BUSY")
            assert int(reply.fields["retry-after"]) > 0
            book.may_go_on.set()
            assert (await first)[0] == 200
            assert (await other.ask("GET"))[0] == 200

    run(main())


def test_extras_are_answered_to_whoever_may_list(pins: Pins) -> None:
    def origins(who: Caller, rest: str) -> Answer:
        if rest == "none":
            raise NotFound("nothing is known", where=rest)
        return Answer(200, [("Content-Type", "application/json")], json.dumps([who.account, rest]).encode())

    async def main() -> None:
        async with service(pins, extras={"origins": origins}) as api:
            assert await api.ask("GET", "/x/origins/a%20b", token="reader") == (200, ["ada", "a%20b"])
            assert (await api.ask("GET", "/x/origins/none"))[0] == 404
            assert (await api.ask("GET", "/x/origins/a", token=None))[0] == 401
            assert (await api.ask("GET", "/x/origins/a", token="putter"))[0] == 403
            assert (await api.ask("POST", "/x/origins/a", pin={}))[0] == 405

    run(main())


def test_lists_do_not_wait_for_extras(pins: Pins) -> None:
    begun, let = threading.Event(), threading.Event()

    def slow(who: Caller, rest: str) -> Answer:
        begun.set()
        assert let.wait(20)
        return Answer(200, [("Content-Type", "application/json")], b"[]")

    async def main() -> None:
        async with service(pins, extras={"slow": slow}) as api:
            others = [Service(await api.connect(), pins, api.connect) for _ in range(3)]
            waiting = [asyncio.create_task(each.ask("GET", "/x/slow/a")) for each in others]
            await asyncio.to_thread(begun.wait, 20)
            try:
                async with asyncio.timeout(10):
                    assert (await api.ask("GET"))[0] == 200
            finally:
                let.set()
            assert {(await each)[0] for each in waiting} == {200}

    run(main())


def test_an_account_at_its_limit_is_told_so_in_the_schema(store: Store) -> None:
    async def main() -> None:
        async with service(Pins(store, PinLimits(open_max=1, pins_max=2))) as api:
            await api.add("one")
            status, told = await api.ask("POST", pin={"cid": cid_of("two").text()})
            assert (status, told["error"]["reason"]) == (409, "INSUFFICIENT_FUNDS")
            assert "at most 1" in told["error"]["details"]
            await api.add("two", token="other")

    run(main())
