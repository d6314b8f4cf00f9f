"""kubo's `ipfs` in tests: a repository of its own that dials nobody, and its daemon."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import SEARCH_PATH


class Ipfs:
    """kubo over a repository of its own, offline."""

    def __init__(self, folder: Path) -> None:
        self.environ = {
            **os.environ,
            "PATH": SEARCH_PATH,
            "IPFS_PATH": str(folder / "repo"),
            "IPFS_TELEMETRY": "off",
        }
        self.run("init", "--empty-repo", "--profile=test")

    def attempt(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """One command to its end, however it ends."""
        return subprocess.run(
            ["ipfs", *arguments], input=stdin, capture_output=True, timeout=120, env=self.environ, check=False
        )

    def run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """What a command prints; it must succeed."""
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def daemon(self, **settings: object) -> Iterator[None]:
        """A running daemon, after `settings` (`a__b` is `a.b`) were made; it finds nobody by itself."""
        quiet: dict[str, object] = {
            "Provide.Enabled": False,
            "AutoConf.Enabled": False,
            "Ipns.DelegatedPublishers": [],
            "Bootstrap": [],
        }
        named = {name.replace("__", "."): value for name, value in settings.items()}
        for name, value in {**quiet, **named}.items():
            self.run("config", "--json", name, json.dumps(value))
        process = subprocess.Popen(
            ["ipfs", "daemon"], env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        try:
            said = iter(process.stdout.readline, b"")
            assert any(b"Daemon is ready" in line for line in said), "kubo did not start"
            yield
        finally:
            process.terminate()
            process.communicate(timeout=30)
