"""What a person sees: progress on a terminal, none elsewhere, no colour where none is wanted."""

import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

from blake3 import blake3

CONTENT = bytes(30 << 20)
HASH = blake3(CONTENT).hexdigest()


def _seen(data: Path, *, stdout_too: bool, **environ: str) -> tuple[str, str]:
    """What a terminal at stderr (and at stdout) showed of a put, and what a pipe at stdout got."""
    leader, follower = pty.openpty()
    seen = bytearray()

    def watch() -> None:
        try:
            while got := os.read(leader, 65536):
                seen.extend(got)
        except OSError:
            pass  # the other end is closed: all was read

    watcher = threading.Thread(target=watch)
    watcher.start()
    done = subprocess.run(
        [sys.executable, "-m", "tools.edge", "put", "-", "--data", data],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "60", **environ},
        input=CONTENT,
        stdout=follower if stdout_too else subprocess.PIPE,
        stderr=follower,
        check=True,
    )
    os.close(follower)
    watcher.join()
    os.close(leader)
    return seen.decode(), (done.stdout or b"").decode()


def test_progress_is_shown_on_stderr_and_data_stays_on_stdout(data: Path) -> None:
    seen, out = _seen(data, stdout_too=False)
    assert "storing" in seen
    assert "1 stored, 30.0 MiB, 0 left out" in seen
    assert out == f"{HASH}  -\n"


def test_a_result_on_the_same_terminal_stays_one_line_however_narrow(data: Path) -> None:
    seen, _ = _seen(data, stdout_too=True)
    assert f"{HASH}  -" in seen


def test_no_color_is_kept(data: Path) -> None:
    color = re.compile(r"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38;)[0-9;]*m")
    assert color.search(_seen(data, stdout_too=False)[0])
    assert not color.search(_seen(data, stdout_too=False, NO_COLOR="1")[0])


def test_an_error_is_marked_in_colour_for_people_only(data: Path) -> None:
    assert _error() == "\x1b[1;31merror:\x1b[0m no such file or directory\r\n  where: /nowhere\r\n"
    assert _error(NO_COLOR="1") == "error: no such file or directory\r\n  where: /nowhere\r\n"


def _error(**environ: str) -> str:
    leader, follower = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "tools.edge", "put", "/nowhere"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TERM": "xterm", **environ},
        stderr=follower,
        check=False,
    )
    seen = os.read(leader, 4096).decode()
    os.close(follower)
    os.close(leader)
    return seen


def test_a_dumb_terminal_gets_no_control_sequences(data: Path) -> None:
    seen, _ = _seen(data, stdout_too=False, TERM="dumb")
    assert "\x1b" not in seen
