"""The parts of the output that need rich; loaded only when stderr is a terminal.

NO_COLOR and TERM=dumb are kept by rich itself.
"""

from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tools.frame.output import human_size


class _Speed(ProgressColumn):
    """How fast it goes, in the units of the sizes beside it: rich's own column counts in thousands."""

    def render(self, task: Task) -> Text:
        """See rich."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{human_size(int(speed))}/s", style="progress.data.speed")


class Bar:
    """A progress bar on stderr that leaves no trace when it ends."""

    def __init__(self, title: str, total_bytes: int | None, live: Callable[["Bar | None"], None]) -> None:
        """`live` is told of the bar while it is on the screen, so that lines are put above it."""
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            _Speed(),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(title, total=total_bytes)
        self._live = live

    def __enter__(self) -> "Bar":
        self._progress.start()
        self._live(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live(None)
        self._progress.stop()

    def advance(self, done_bytes: int) -> None:
        """`done_bytes` more are done."""
        self._progress.advance(self._task, done_bytes)

    def line(self, text: str) -> None:
        """`text` above the bar, unwrapped, so that it can be copied."""
        self._progress.console.print(Text.from_ansi(text), soft_wrap=True)
