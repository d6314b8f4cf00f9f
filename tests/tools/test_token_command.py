"""`token`: made once, shown once, refused once revoked."""

from pathlib import Path

import pytest

from handshake.tokens import Tokens
from runtime.errors import Unauthenticated
from tests.tools.conftest import Edge


def _principal(data: Path, text: str) -> str:
    tokens = Tokens.open(data)
    try:
        return tokens.principal(text).account
    finally:
        tokens.close()


def test_a_token_is_printed_once_and_lets_its_account_in(edge: Edge, data: Path) -> None:
    made = edge("token", "add", "--account", "studio", "--scope", "put,read", "--scope", "pin")
    text = made.out.decode().strip()
    assert made.err == ""
    assert _principal(data, text) == "studio"
    listed = edge("token", "ls", "--json")
    secret = text.split("_")[2]
    assert secret not in listed.out.decode()
    row = listed.records[0]
    assert (row["account"], row["scopes"], row["state"]) == ("studio", ["put", "pin", "read"], "good")


def test_json_gives_the_token_and_its_limits(edge: Edge) -> None:
    made = edge(
        "token",
        "add",
        "--account",
        "a",
        "--scope",
        "put",
        "--expires",
        "30d",
        "--quota-bytes",
        "1GiB",
        "--json",
    ).records[0]
    assert made["token"].startswith(f"flk_{made['id']}_")
    assert made["quota_bytes"] == 1 << 30
    row = edge("token", "ls", "--json").records[0]
    assert row["expires_s"] == made["expires_s"]
    assert 29.9 * 86_400 < row["expires_s"] - row["created_s"] < 30.1 * 86_400
    plain = edge("token", "ls").out.decode()
    assert made["id"] in plain
    assert "quota 1073741824 bytes" in plain


def test_a_revoked_token_lets_nobody_in(edge: Edge, data: Path) -> None:
    made = edge("token", "add", "--account", "a", "--scope", "put", "--json").records[0]
    assert edge("token", "revoke", made["id"], "--json").records[0]["id"] == made["id"]
    with pytest.raises(Unauthenticated):
        _principal(data, made["token"])
    assert edge("token", "ls", "--json").records[0]["state"] == "revoked"
    assert edge("token", "revoke", "0" * 12).code == 3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--scope", "put"], "missing option '--account'"),
        (["--account", "a"], "missing option '--scope'"),
        (["--account", "a", "--scope", "everything"], "scope"),
        (["--account", "a b", "--scope", "put"], "malformed account name"),
        (["--account", "a", "--scope", "put", "--expires", "soon"], "--expires must be a duration"),
        (["--account", "a", "--scope", "put", "--expires", "0"], "expired from the start"),
        (["--account", "a", "--scope", "put", "--quota-bytes", "lots"], "--quota-bytes must be a size"),
        (["--account", "a", "--scope", "put", "--quota-bytes", "-1"], "quota"),
    ],
)
def test_a_malformed_token_is_refused(edge: Edge, argv: list[str], message: str) -> None:
    result = edge("token", "add", *argv)
    assert (result.code, result.out) == (2, b"")
    assert message in result.err


def test_listing_tokens_makes_no_store(edge: Edge, data: Path) -> None:
    assert edge("token", "ls").code == 3
    assert not data.exists()


def test_an_end_that_no_calendar_shows_is_refused_and_an_older_token_with_one_is_listed(
    edge: Edge, data: Path
) -> None:
    far = "99999999999999d"
    result = edge("token", "add", "--account", "a", "--scope", "put", "--expires", far, "--json")
    assert (result.code, result.error["where"]) == (2, "--expires")
    assert edge("put", "-", stdin=b"x").code == 0
    tokens = Tokens.open(data)
    tokens.add("a", ("put",), expires_s=1e20, quota_bytes=None)
    tokens.close()
    assert b"until 9999-12-31" in edge("token", "ls").out
