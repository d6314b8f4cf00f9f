"""What is remembered of an answer is used for the very same question only, and dies with the content."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.appliance import Node, Reply, ask, edge
from tests.gateway.dags import Dags
from tests.gateway.shared_node import Key, Site

TWICE = range(3)  # decided, memoised, answered natively
Sessions = Callable[[Node], HTTPConnection]


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    """Kept-alive connections, closed when the test is over."""
    with ExitStack() as stack:
        yield lambda node: stack.enter_context(closing(node.session()))


def fields(reply: Reply) -> dict[str, str]:
    return {name: text for name, text in reply.headers.items() if name != "Date"}


def test_each_variant_of_a_remembered_target_gets_its_own_answer(site: Site, sessions: Sessions) -> None:
    """One kept-alive connection, the plain question asked before and after each other one."""
    hello, many = site.roots.hello, site.roots.many
    at = f"/ipfs/{hello}"
    session = sessions(site.node)
    plain = [ask(session, "GET", at) for _ in TWICE]
    assert all(fields(reply) == fields(plain[0]) and reply.body == b"hello\n" for reply in plain)
    variants: list[tuple[dict[str, str], int, str]] = [
        ({"Accept": "application/vnd.ipld.raw, */*;q=0.5"}, 200, "application/vnd.ipld.raw"),
        ({"Accept": "application/vnd.ipld.car, */*"}, 200, "application/vnd.ipld.car"),
        ({"Accept": "application/x-tar;q=0.9, */*;q=0.8"}, 200, "application/x-tar"),
        ({"Accept": "application/vnd.ipld.dag-json, */*;q=0.1"}, 406, "text/plain"),
        ({"Host": "example.com"}, 301, ""),
        ({"Host": f"{many}.ipfs.localhost"}, 404, "text/plain"),
        ({"Host": "plain.example"}, 404, "text/plain"),
        ({"X-Forwarded-Host": "example.com"}, 301, ""),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost"}, 301, ""),
        ({"Range": "bytes=1-2"}, 206, "text/plain"),
        ({"If-None-Match": f'"{hello}"'}, 304, ""),
        ({"Service-Worker": "script"}, 400, "text/plain"),
        ({"Authorization": "Bearer nonsense"}, 401, "text/plain"),
    ]
    for headers, status, kind in variants:
        for _ in TWICE:
            reply = ask(session, "GET", at, headers)
            assert reply.status == status, headers
            assert (reply.headers["Content-Type"] or "").startswith(kind), headers
            again = ask(session, "GET", at)
            assert (fields(again), again.body) == (fields(plain[0]), b"hello\n"), headers
    for same in ({"Accept": "*/*"}, {"Accept": "text/html, */*;q=0.8"}, {"Accept": "application/json, */*"}):
        assert fields(ask(session, "GET", at, same)) == fields(plain[0])


def test_targets_that_look_alike_are_not_taken_for_each_other(site: Site, sessions: Sessions) -> None:
    tree = site.roots.tree
    session = sessions(site.node)
    for path, status in (
        (f"/ipfs/{tree}/hello.txt", 200),
        (f"/ipfs/{tree}/hello.txt/", 200),
        (f"/ipfs/{tree}/hello.txt?format=raw", 200),
        (f"/ipfs/{tree}/hello.txt?download=true", 200),
        (f"/ipfs/{tree}/hello%2Etxt", 200),
        (f"/ipfs/{tree}/hello%252Etxt", 404),
        (f"/ipfs/{tree}/./hello.txt", 200),
        (f"/ipfs/{tree}/hello.txt%00", 400),
        (f"/IPFS/{tree}/hello.txt", 404),
        (f"/ipfs/{str(tree).upper()}/hello.txt", 200),
    ):
        replies = [ask(session, "GET", path) for _ in TWICE]
        assert [reply.status for reply in replies] == [status] * 3, path
        assert len({str(fields(reply)) for reply in replies}) == 1, path


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Path]]:
    data = tmp_path_factory.mktemp("changing") / "data"
    with Node(data, "--workers", "2", "--offline") as node:
        yield node, data


def test_what_was_removed_is_gone_from_every_memo(
    changing: tuple[Node, Path], sessions: Sessions, tmp_path: Path
) -> None:
    node, data = changing
    dags = Dags()
    file = dags.file(b"soon gone" * 500)
    root = dags.directory({"file": file})
    assert edge(data, "dag", "import", str(dags.car(tmp_path / "a.car"))).returncode == 0
    paths = [f"/ipfs/{root}/file", f"/ipfs/{file}"]
    several = [sessions(node) for _ in range(6)]  # on both workers, most likely
    name = ""
    for session in several:
        for path in paths * 3:
            reply = ask(session, "GET", path)
            assert reply.status == 200
            name = reply.headers["X-Fleek-Blake3"]
    assert edge(data, "rm", "--force", name).returncode == 0
    for session in several:
        for path in [*paths, f"/blake3/{name}"]:
            assert ask(session, "GET", path).status == 404, path


def test_a_name_that_moves_moves_at_once(
    changing: tuple[Node, Path], sessions: Sessions, tmp_path: Path
) -> None:
    node, data = changing
    key, dags = Key.of(50), Dags()
    first, second = dags.raw(b"first"), dags.raw(b"second")
    assert edge(data, "dag", "import", str(dags.car(tmp_path / "b.car"))).returncode == 0
    session = sessions(node)
    for sequence, (cid, body) in enumerate(((first, b"first"), (second, b"second"))):
        (tmp_path / "record").write_bytes(key.record(f"/ipfs/{cid}", sequence=sequence))
        put = edge(data, "name", "put", "--name", key.text, str(tmp_path / "record"))
        assert put.returncode == 0, put.stderr
        assert [ask(session, "GET", f"/ipns/{key.text}").body for _ in TWICE] == [body] * 3


def test_errors_about_content_are_json_for_who_asks_for_it(site: Site) -> None:
    nowhere = f"/ipfs/{site.roots.many}/nowhere"
    as_text = site.node.get(nowhere)
    as_json = site.node.get(nowhere, {"Accept": "application/json"})
    assert as_text.status == as_json.status == 404
    assert (as_text.headers["Content-Type"] or "").startswith("text/plain")
    assert as_json.headers["Content-Type"] == "application/json"
    error = json.loads(as_json.body)["error"]
    assert error["kind"] == "not_found"
    assert error["message"].encode() in as_text.body


def test_a_proof_of_an_inline_file_is_refused_with_the_reason(site: Site) -> None:
    refused = site.node.get("/ipfs/bafkqablimvwgy3y?format=bao")
    assert refused.status == 406
    assert b"holds the bytes of this file itself" in refused.body
