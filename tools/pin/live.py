"""Lines that change in place on a terminal. The only part of `fleek-pin` that needs rich."""

from types import TracebackType
from typing import Final

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.text import Text

_COLORS: Final = {"failed": "bold red", "pinned": "green", "pinning": "yellow", "queued": ""}
# A picture taller than the terminal cannot be drawn in place: pins that have ended are printed above it
_LINES_MAX: Final = 20


class Live:
    """The latest line of each pin that has not ended; those that have ended scroll away above."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = RichLive(console=self._console, transient=True, refresh_per_second=4)
        self._lines: dict[str, Text] = {}

    def __enter__(self) -> "Live":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, key: str, status: str, line: str) -> None:
        """Show `line` for the pin `key` from now on."""
        text = Text(line, style=_COLORS.get(status, ""), no_wrap=True, overflow="ellipsis")
        if status in ("pinned", "failed"):
            self._lines.pop(key, None)
            self._console.print(text, soft_wrap=True)
        else:
            self._lines[key] = text
        visible = list(self._lines.values())[:_LINES_MAX]
        more = len(self._lines) - len(visible)
        rest = [Text(f"… and {more} more")] if more else []
        self._live.update(Group(*visible, *rest), refresh=True)
