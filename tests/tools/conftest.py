"""The command line on a store of the test's own, run in this process."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.edge import main


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code and the two streams."""

    code: int
    out: bytes
    err: str

    @property
    def records(self) -> list[Any]:
        """The NDJSON of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, str]:
        """The error object of stderr, which holds nothing else."""
        error: dict[str, str] = json.loads(self.err)["error"]
        assert set(error) == {"kind", "message", "where", "hint"}
        return error


Edge = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of `edge`, not made yet; the user's own environment is out of the way."""
    for name in ("FLEEK_EDGE_CONFIG", "FLEEK_EDGE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    monkeypatch.setenv("FLEEK_EDGE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def edge(data: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Edge:
    """Run one command line; `stdin` is what it may read there."""

    def call(*argv: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        code = main.run([str(each) for each in argv])
        captured = capsysbinary.readouterr()
        return Result(code, captured.out, captured.err.decode())

    return call
