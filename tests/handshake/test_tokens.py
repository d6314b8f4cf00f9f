"""Tokens: shown once, checked in constant time, refused everywhere the moment revoke returns."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handshake.tokens import Tokens
from runtime.errors import Forbidden, NotFound, Unauthenticated, UsageError
from tests.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


@pytest.fixture
def tokens(tmp_path: Path, clock: ManualClock) -> Iterator[Tokens]:
    book = Tokens.open(tmp_path, clock)
    yield book
    book.close()


def test_a_token_names_its_account_scopes_and_quota(tokens: Tokens) -> None:
    text = tokens.add("alice", ["put", "read"], quota_bytes=5)
    principal = tokens.principal(text)
    assert (principal.account, principal.quota_bytes) == ("alice", 5)
    principal.require("put")
    with pytest.raises(Forbidden, match="scope pin"):
        principal.require("pin")
    assert tokens.list()[0].scopes == ("put", "read")


def test_admin_includes_every_scope(tokens: Tokens) -> None:
    principal = tokens.principal(tokens.add("root", ["admin"]))
    for scope in ("put", "pin", "purge", "read", "admin"):
        principal.require(scope)


def test_the_secret_is_not_kept(tokens: Tokens, tmp_path: Path) -> None:
    text = tokens.add("alice", ["put"])
    secret = text.rpartition("_")[2]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "access").iterdir())
    assert text.split("_")[1].encode() in kept
    assert secret.encode() not in kept
    assert bytes.fromhex(secret) not in kept
    assert secret not in repr(tokens.list())


@pytest.mark.parametrize("change", ["secret", "id", "short", "upper", "space", "empty", "digits"])
def test_anything_but_the_exact_text_is_refused_without_repeating_it(tokens: Tokens, change: str) -> None:
    text = tokens.add("alice", ["put"])
    other = {"0": "1"}.get(text[-1], "0")
    wrong = {
        "secret": text[:-1] + other,
        "id": "flk_" + "0" * 12 + text[16:],
        "short": text[:-1],
        "upper": text.upper(),
        "space": text + " ",
        "empty": "",
        "digits": text[:-1] + "\u0661",
    }[change]
    with pytest.raises(Unauthenticated) as caught:
        tokens.principal(wrong)
    assert text[17:-1] not in str(caught.value.as_json())


def test_a_revoked_token_is_refused_at_once_in_another_open_process(tokens: Tokens, tmp_path: Path) -> None:
    text = tokens.add("alice", ["put"])
    code = (
        "import sys, pathlib\n"
        "from handshake.tokens import Tokens\n"
        "book = Tokens.open(pathlib.Path(sys.argv[1]))\n"
        "book.principal(sys.argv[2]); print('good', flush=True); sys.stdin.readline()\n"
        "try: book.principal(sys.argv[2])\n"
        "except Exception as error: print(error.message, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "good\n"
        first = tokens.revoke(text.split("_")[1])
        answer, _ = process.communicate("\n")
    assert answer == "the token was revoked\n"
    assert tokens.revoke(first.id).revoked_s == first.revoked_s


def test_a_token_expires(tokens: Tokens, clock: ManualClock) -> None:
    text = tokens.add("alice", ["put"], expires_s=clock.now + 10)
    tokens.principal(text)
    clock.now += 10
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.principal(text)


def test_bad_wishes_are_refused(tokens: Tokens, clock: ManualClock) -> None:
    for account in ("", "a b", "../x", "a" * 65, "-x", "a\n"):
        with pytest.raises(UsageError, match="account"):
            tokens.add(account, ["put"])
    for scopes in ([], ["root"], ["put", "x"]):
        with pytest.raises(UsageError, match="scope"):
            tokens.add("a", scopes)
    with pytest.raises(UsageError, match="expired"):
        tokens.add("a", ["put"], expires_s=clock.now)
    with pytest.raises(UsageError, match="quota"):
        tokens.add("a", ["put"], quota_bytes=-1)
    for identity in ("", "0" * 12, "x" * 600):
        with pytest.raises(NotFound):
            tokens.revoke(identity)
    assert tokens.list() == []


def test_tokens_are_listed_oldest_first_and_survive_reopening(tmp_path: Path, clock: ManualClock) -> None:
    book = Tokens.open(tmp_path, clock)
    for name in ("c", "a", "b"):
        book.add(name, ["read"])
        clock.now += 1
    book.close()
    again = Tokens.open(tmp_path, clock)
    assert [row.account for row in again.list()] == ["c", "a", "b"]
    again.close()
