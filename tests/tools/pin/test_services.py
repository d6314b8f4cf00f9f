"""Services, their tokens, and who is asked: what is kept, what is never shown, and what is refused."""

import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.pin.conftest import Pin
from tests.tools.pin.fake_service import TOKEN, Conduct, serving

HOUSE = Path(__file__).parents[3]
CID = "bafkqaaa"


@pytest.fixture
def config(home: Path) -> Path:
    return home / "config" / "fleek" / "pin.toml"


def test_without_a_service_the_error_says_how_to_add_one(pin: Pin, config: Path) -> None:
    result = pin("ls", "--json")
    assert (result.code, result.error["message"]) == (2, "no pinning service is configured")
    assert "fleek-pin service add" in result.error["hint"]
    assert "fleek-pin login" in result.error["hint"]
    assert result.error["where"] == str(config)


def test_the_first_service_is_in_use_and_others_when_told(pin: Pin, config: Path) -> None:
    assert pin("service", "add", "one", "https://one.example/psa/").code == 0
    assert pin("service", "add", "two", "https://two.example/psa/pins").code == 0
    rows = pin("service", "ls", "--json").records
    assert [(row["service"], row["endpoint"], row["in_use"], row["has_token"]) for row in rows] == [
        ("one", "https://one.example/psa", True, False),
        ("two", "https://two.example/psa", False, False),
    ]
    assert pin("service", "use", "two").code == 0
    assert pin("service", "ls").out.decode().splitlines()[1].startswith("* two")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert pin("service", "rm", "two").code == 0
    unchosen = pin("ls", "--json")
    assert (unchosen.code, unchosen.error["message"]) == (2, "no service is in use")
    assert "fleek-pin service use" in unchosen.error["hint"]
    assert "known: one" in unchosen.error["hint"]
    assert pin("service", "use", "two").code == 3


def test_login_keeps_a_token_that_works_and_never_shows_it(pin: Pin, conduct: Conduct, config: Path) -> None:
    with serving(conduct) as endpoint:
        pin("service", "add", "mine", endpoint)
        refused = pin("login", "mine", stdin=b"wrong-token\n")
        assert refused.code == 5
        assert "wrong-token" not in config.read_text()
        done = pin("login", "mine", stdin=TOKEN.encode() + b"\n")
        assert done.code == 0
        assert TOKEN in config.read_text()
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert pin("ls").code == 0
        shown = [
            pin("service", "ls"),
            pin("service", "ls", "--json"),
            pin("service", "add", "mine", endpoint),
            done,
        ]
        assert all(TOKEN not in result.out.decode() + result.err for result in shown)
        assert pin("service", "ls", "--json").records[0]["has_token"], "the same address keeps its token"
        stat_row = pin("service", "ls", "--stat", "--json").records[0]
        assert stat_row["pins"] == {"queued": 0, "pinning": 0, "pinned": 0, "failed": 0}


def test_another_address_does_not_get_the_token(pin: Pin, config: Path) -> None:
    pin("service", "add", "mine", "https://one.example/psa")
    pin("login", "mine", "--no-check", stdin=b"sekret")
    pin("service", "add", "mine", "https://evil.example/psa")
    assert "sekret" not in config.read_text()


def test_login_takes_the_token_of_the_environment(
    pin: Pin, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin("service", "add", "mine", "https://one.example/psa")
    monkeypatch.setenv("FLEEK_PIN_TOKEN", "of-the-environment")
    assert pin("login", "--no-check").code == 0
    assert 'token = "of-the-environment"' in config.read_text()


@pytest.mark.parametrize("given", [b"", b"\n", b"two\nlines", b"caf\xc3\xa9", b"x" * 9000, b"nul\0"])
def test_what_is_no_token_is_refused_unseen(pin: Pin, given: bytes) -> None:
    pin("service", "add", "mine", "https://one.example/psa")
    result = pin("login", "mine", "--no-check", stdin=given)
    assert result.code == 2
    assert "that is no token" in result.err
    assert "lines" not in result.err


def test_a_token_is_no_argument_anywhere(pin: Pin) -> None:
    for words in (["login"], ["service", "add"], ["add"], ["ls"]):
        assert b"--token" not in pin(*words, "--help").out


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_use_is_refused(pin: Pin, config: Path, mode: int) -> None:
    pin("service", "add", "mine", "https://one.example/psa")
    config.chmod(mode)
    result = pin("ls", "--json")
    assert (result.code, result.error["kind"]) == (5, "forbidden")
    assert f"chmod 600 {config}" in result.error["hint"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("use = [", "not valid TOML"),
        ("colour = 1", "unknown key 'colour'"),
        ("service = 1", "service must be tables"),
        ('[service.a]\nendpoint = "ftp://x"', "not an http:// or https:// address"),
        ('[service.a]\ntoken = "x"', "endpoint and token must be text"),
        ('[service.a]\nendpoint = "http://x"\npassword = "y"', "a service has endpoint and token"),
        ('[service."a b"]\nendpoint = "http://x"', "not a name for a service"),
        ('use = "b"\n[service.a]\nendpoint = "http://x"', "no service is named 'b'"),
    ],
)
def test_a_file_that_cannot_be_read_names_itself(pin: Pin, config: Path, text: str, words: str) -> None:
    config.parent.mkdir(parents=True)
    config.write_text(text)
    config.chmod(0o600)
    result = pin("ls", "--json")
    assert result.code in (2, 3)
    assert words in result.error["message"]
    assert str(config) in result.error["where"]


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://example.com", "http://", "http://user:pw@example.com", "http://x/psa?key=1",
     "http://x:0/", "http://x:99999/", "http://é.example/", "http://a b/"],
)  # fmt: skip
def test_an_address_that_cannot_be_is_refused_and_not_kept(pin: Pin, config: Path, url: str) -> None:
    result = pin("service", "add", "mine", url)
    assert result.code == 2
    assert "pw" not in result.err
    assert not config.exists()


def test_a_named_file_and_a_link_are_written_where_they_are(
    pin: Pin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, link = tmp_path / "dotfiles" / "pin.toml", tmp_path / "link.toml"
    kept.parent.mkdir()
    link.symlink_to(kept)
    monkeypatch.setenv("FLEEK_PIN_CONFIG", str(link))
    assert pin("service", "add", "mine", "https://one.example/psa").code == 0
    assert link.is_symlink()
    assert "one.example" in kept.read_text()


def test_the_command_line_wins_over_the_environment_over_the_file(
    pin: Pin, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed, named = Conduct(), Conduct()
    with serving(filed) as of_file, serving(named) as of_environment:
        pin("service", "add", "filed", of_file)
        pin("login", "filed", stdin=TOKEN.encode())
        filed.requests.clear()
        monkeypatch.setenv("FLEEK_PIN_ENDPOINT", of_environment)
        monkeypatch.setenv("FLEEK_PIN_TOKEN", TOKEN)
        assert pin("ls").code == 0
        assert (len(filed.requests), len(named.requests)) == (0, 1)
        assert pin("--service", "filed", "ls").code == 0
        assert pin("ls", "--service", "filed").code == 0
        assert (len(filed.requests), len(named.requests)) == (2, 1)
    assert pin("ls", "--service", "filed", "--data", "x").code == 2
    assert pin("ls", "--service", "unknown").code == 3


def test_a_token_at_a_terminal_is_not_echoed(home: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
    command = [sys.executable, "-m", "tools.pin"]
    subprocess.run(
        [*command, "service", "add", "mine", "https://one.example/psa"],
        cwd=HOUSE, env=environ, check=True, capture_output=True,
    )  # fmt: skip
    leader, follower = pty.openpty()
    # the terminal becomes that of the session, as a shell's is
    program = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    program += "from tools.pin import __main__; __main__.main()"
    child = subprocess.Popen(
        [sys.executable, "-c", program, "login", "mine", "--no-check"],
        cwd=HOUSE, env=environ, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    seen = bytearray()
    try:
        while got := os.read(leader, 65536):
            seen += got
            if seen.endswith(b"token of mine: "):
                os.write(leader, b"typed-secret\n")
    except OSError:
        pass  # the other end is closed: all was read
    assert child.wait(60) == 0
    os.close(leader)
    assert b"logged in to mine" in seen
    assert b"typed-secret" not in seen
    assert "typed-secret" in (home / "config" / "fleek" / "pin.toml").read_text()


def test_a_dead_service_is_told_beside_those_that_answer(pin: Pin, conduct: Conduct, config: Path) -> None:
    with serving(conduct) as endpoint:
        pin("service", "add", "dead", "http://127.0.0.1:1/psa")
        pin("service", "add", "live", endpoint, "--use")
        pin("login", "live", stdin=TOKEN.encode())
        plain = pin("service", "ls", "--stat")
        assert plain.code == 6
        dead, live = plain.out.decode().splitlines()
        assert "no connection" in dead
        assert live.startswith("* live")
        assert "0 pinned" in live
        assert "fleek-pin service ls" in plain.err
        rows = pin("service", "ls", "--stat", "--json").records
        assert rows[0]["error"]["kind"] == "unreachable"
        assert rows[1]["pins"]["pinned"] == 0


def test_a_token_that_is_refused_has_a_hint_that_fits_where_it_came_from(
    pin: Pin, conduct: Conduct, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(conduct) as endpoint:
        pin("service", "add", "mine", endpoint)
        assert "there is no token" in pin("ls", "--json").error["hint"]
        pin("login", "mine", "--no-check", stdin=b"wrong")
        refused = pin("ls", "--json")
        assert (refused.code, "login mine` keeps another" in refused.error["hint"]) == (5, True)
        monkeypatch.setenv("FLEEK_PIN_ENDPOINT", endpoint)
        assert "login" not in pin("ls", "--json").error["hint"]


def test_a_token_of_the_environment_is_not_sent_to_every_service(
    pin: Pin, conduct: Conduct, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(conduct) as endpoint:
        pin("service", "add", "other", endpoint)
        monkeypatch.setenv("FLEEK_PIN_TOKEN", "for-somebody-else")
        assert pin("service", "ls", "--stat").code == 5
        assert set(conduct.tokens) == {None}


def test_a_device_in_place_of_the_configuration_is_not_replaced(
    pin: Pin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "null").symlink_to(os.devnull)
    monkeypatch.setenv("FLEEK_PIN_CONFIG", str(tmp_path / "null"))
    assert pin("service", "ls").code == 0
    result = pin("service", "add", "mine", "http://127.0.0.1:1/pinning/v1", "--json")
    assert (result.code, result.error["message"]) == (2, "not a regular file")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
