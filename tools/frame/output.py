"""What a command says and where: data on stdout, everything else on stderr.

Invariants
 1. Nothing but data is written to stdout: one JSON object a line with `--json`, one line a thing without.
 2. Text from outside (paths, names, messages of servers) never reaches a terminal with control characters.
 3. rich is loaded only when there is a terminal to show something on.
 4. stderr is silent in a pipe while all goes well: totals and bars are for a person who watches; what is said
    always is an error, or a warning that the result is not all that was asked for.
"""

import importlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol, TextIO

_COLORS: Final = {"red": "1;31", "yellow": "33", "green": "32"}
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Progress(Protocol):
    """A bar of work that is being done, counted in bytes."""

    def advance(self, done_bytes: int) -> None:
        """`done_bytes` more are done."""
        ...

    def line(self, text: str) -> None:
        """Show `text` above the bar, for when stdout is the same terminal."""
        ...


class Unseen:
    """The progress of a command that nobody watches."""

    def advance(self, done_bytes: int) -> None:
        """Nothing to show."""

    def line(self, text: str) -> None:
        """Never called: a line goes to stdout itself."""


class Output:
    """The two streams of one command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.shows_progress = True  # bars, where there is a terminal to show them
        self._live: Progress | None = None

    def record(
        self, record: Mapping[str, Any], plain: str, *, flush: bool = False, color: str | None = None
    ) -> None:
        """One result: `record` as a line of JSON, or `plain` for people, in `color` on a terminal.

        What the stream raises (BrokenPipeError, a full disk) passes through.
        """
        text = json.dumps(record) if self.as_json else painted(printable(plain), color, sys.stdout)
        if self._live is not None and sys.stdout.isatty():
            self._live.line(text)
            return
        sys.stdout.write(f"{text}\n")
        if flush:
            sys.stdout.flush()

    def encoded(self, lines: str) -> None:
        """Results that are lines of JSON already, with their ends, of a command that shows no bar."""
        sys.stdout.write(lines)

    def note(self, text: str) -> None:
        """A remark for a person who watches: on stderr where that is a terminal, and never beside JSON."""
        if not self.as_json and sys.stderr.isatty():
            self._say(text)

    def warn(self, text: str) -> None:
        """Something was left out or is not as it was asked for: on stderr, terminal or not."""
        if not self.as_json:
            self._say(text)

    def _say(self, text: str) -> None:
        if self._live is not None:
            self._live.line(printable(text))
        else:
            sys.stderr.write(f"{printable(text)}\n")

    @property
    def is_watched(self) -> bool:
        """Whether somebody sees a bar."""
        return self.shows_progress and not self.as_json and sys.stderr.isatty()

    def progress(self, title: str, total_bytes: int | None) -> AbstractContextManager[Progress]:
        """A bar on stderr where that is a terminal, else nothing. `total_bytes` None = not known."""
        if not self.is_watched:
            return nullcontext(Unseen())
        return self._shown(title, total_bytes)

    def _shown(self, title: str, total_bytes: int | None) -> AbstractContextManager[Progress]:
        # By name, at the moment of need: rich costs 45 ms, more than all the rest of a small `put`.
        bar = importlib.import_module("tools.frame.terminal").Bar(title, total_bytes, self._set_live)
        shown: AbstractContextManager[Progress] = bar
        return shown

    def _set_live(self, live: Progress | None) -> None:
        self._live = live


def printable(text: str) -> str:
    """`text` as one harmless line: controls (C0, DEL, C1), line ends and what is no text are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def painted(text: str, color: str | None, stream: TextIO) -> str:
    """`text` in `color` where `stream` is a terminal that shows colours and its user wants them."""
    if color is None:
        return text  # before the terminal is asked: lists have a line a microsecond
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if wanted else text


def human_size(size_bytes: int) -> str:
    """A size for people: exact below 1 KiB, else with one decimal, such as `1.5 MiB`."""
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size_bytes} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
