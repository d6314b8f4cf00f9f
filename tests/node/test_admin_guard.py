"""The admin listener answers its own page and tools, not pages of other sites."""

import pytest

from node.admin_guard import HostGuard

GUARD = HostGuard(["edge.example.net"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8081",
        "LOCALHOST.:1",
        "127.0.0.1:8081",
        "[::1]:8081",
        "10.1.2.3",
        "edge.example.net:80",
    ],
)
def test_own_names_and_ip_literals_pass(host: str) -> None:
    assert GUARD.refusal(host, None) is None
    assert GUARD.refusal(host, f"http://{host}") is None


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", "999.1.1.1"],
)
def test_rebound_names_are_refused(host: str | None) -> None:
    assert GUARD.refusal(host, None) is not None


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "http://localhost:9", "https://localhost:80", "file://"]
)
def test_other_origins_are_refused(origin: str) -> None:
    assert GUARD.refusal("localhost:8081", origin) is not None
