"""`fleek-pin` in this process, against a service of the test's own."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.conftest import Result
from tests.tools.pin.fake_service import TOKEN, Conduct, serving
from tools.pin import main

Pin = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user who has configured nothing."""
    for name in (
        "FLEEK_PIN_CONFIG",
        "FLEEK_PIN_TOKEN",
        "FLEEK_PIN_ENDPOINT",
        "FLEEK_EDGE_DATA",
        "FLEEK_EDGE_CONFIG",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "share"))
    return tmp_path / "home"


@pytest.fixture
def pin(home: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Pin:
    """Run one command line; `stdin` is what it may read there."""

    def call(*argv: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        code = main.run([str(each) for each in argv])
        captured = capsysbinary.readouterr()
        return Result(code, captured.out, captured.err.decode())

    return call


@pytest.fixture
def conduct() -> Conduct:
    """How `service` behaves."""
    return Conduct()


@pytest.fixture
def service(conduct: Conduct, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A running service, which `pin` asks by its environment."""
    with serving(conduct) as endpoint:
        monkeypatch.setenv("FLEEK_PIN_ENDPOINT", endpoint)
        monkeypatch.setenv("FLEEK_PIN_TOKEN", TOKEN)
        yield endpoint
