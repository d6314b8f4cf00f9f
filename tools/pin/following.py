"""`fleek-pin status | wait`: what becomes of pins."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import click

from node.values import duration_s
from runtime.errors import SourceTimeout, Unreachable, UsageError
from tools.frame.output import human_size
from tools.pin.asking import pins_named
from tools.pin.book import Book
from tools.pin.invocation import Invocation, command
from tools.pin.record import ENDED, PinRecord, color, details, line

# Asked at once, then ever more seldom: content that is near is told quickly, a long wait costs little
_FIRST_S: Final = 0.1
_LONGEST_S: Final = 2.0


@click.command()
@click.argument("pins", metavar="REQUESTID|CID...", nargs=-1, required=True)
@command
def status(invocation: Invocation, pins: tuple[str, ...]) -> None:
    """Show what has become of pins.

    A CID stands for every pin of it. Exit 0 whatever the status; `wait` tells it by its exit code.

    \b
    Example:
      fleek-pin status 0f2b…
      fleek-pin status bafybei… --json | jq -r .status
    """
    with invocation.book() as book:
        for index, record in enumerate(pins_named(book, pins)):
            if invocation.out.as_json:
                invocation.out.record(record, "")
                continue
            for each in ("", *described(record)) if index else described(record):
                invocation.out.record({}, each)


@click.command()
@click.argument("pins", metavar="REQUESTID|CID...", nargs=-1, required=True)
@click.option("--timeout", metavar="TIME", help="Give up after so long, such as 90s or 2h.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code says it.")
@command
def wait(invocation: Invocation, pins: tuple[str, ...], timeout: str | None, quiet: bool) -> None:
    """Wait until pins are pinned.

    Prints each as it ends. Exit 6 with the reason when one failed, or when the time is over.

    \b
    Example:
      fleek-pin wait 0f2b… --timeout 10m
      fleek-pin add bafybei… -q | xargs fleek-pin wait
    """
    timeout_s = checked_timeout_s(timeout)
    with invocation.book() as book:
        waited_for(invocation, book, pins_named(book, pins), timeout_s, quiet=quiet)


def waited_for(
    invocation: Invocation,
    book: Book,
    records: Sequence[PinRecord],
    timeout_s: float | None = None,
    *,
    quiet: bool = False,
) -> None:
    """Wait for `records` and print each as it ends. Raises Unreachable (failed), SourceTimeout."""
    failed: PinRecord | None = None
    for record in changes(book, records, timeout_s):
        if record["status"] in ENDED and not quiet:
            invocation.out.record(record, line(record), color=color(record), flush=True)
        failed = record if record["status"] == "failed" and failed is None else failed
    if failed is not None:
        raise failure(failed)


def changes(
    book: Book,
    records: Sequence[PinRecord],
    timeout_s: float | None = None,
    *,
    pause: Callable[[float], None] = time.sleep,
    now_s: Callable[[], float] = time.monotonic,
) -> Iterator[PinRecord]:
    """`records`, then each again whenever it has changed, until all have ended.

    Raises SourceTimeout when the time is over first.
    """
    deadline_s = None if timeout_s is None else now_s() + timeout_s
    known = {record["requestid"]: record for record in records}
    yield from known.values()
    rest_s = _FIRST_S
    while waiting := [record for record in known.values() if record["status"] not in ENDED]:
        if deadline_s is not None and now_s() >= deadline_s:
            first = waiting[0]
            said = details(first) or f"it is {first['status']}"
            more = f" ({len(waiting)} are not done)" if len(waiting) > 1 else ""
            raise SourceTimeout(f"not pinned in time{more}: {said}", where=first["requestid"])
        pause(rest_s if deadline_s is None else min(rest_s, max(0.0, deadline_s - now_s())))
        rest_s = min(rest_s * 1.5, _LONGEST_S)
        for before in waiting:
            record = book.get(before["requestid"])
            known[record["requestid"]] = record
            if (record["status"], record["info"]) != (before["status"], before["info"]):
                rest_s = _FIRST_S if record["status"] != before["status"] else rest_s
                yield record


def failure(record: PinRecord) -> Unreachable:
    """The error that a failed pin is: its content could not be had."""
    said = details(record) or "the service does not say why"
    return Unreachable(f"pinning failed: {said}", where=f"{record['requestid']}, {record['cid']}")


def checked_timeout_s(text: str | None) -> float | None:
    """`--timeout` in seconds. Raises UsageError."""
    try:
        return None if text is None else duration_s(text)
    except ValueError as fault:
        raise UsageError(f"--timeout {fault}", where="--timeout") from None


def described(record: PinRecord) -> Iterator[str]:
    """A pin at length, a line a fact."""
    yield f"{'request id':<12} {record['requestid']}"
    yield f"{'status':<12} {record['status']}"
    yield f"{'cid':<12} {record['cid']}"
    if record["name"]:
        yield f"{'name':<12} {record['name']}"
    yield f"{'created':<12} {record['created']}"
    for key, value in record["meta"].items():
        yield f"{'label':<12} {key}={value}"
    for index, part in enumerate(details(record).split("; ")):
        if part:
            yield f"{'' if index else 'details':<12} {part}"
    for key, value in record["info"].items():
        if key == "status_details" or (key.startswith("progress_") and "progress" in record["info"]):
            continue  # the numbers are for programs
        shown = key.replace("_", " ")
        is_size = key.endswith("_size") and str(value).isascii() and str(value).isdigit()
        yield f"{shown:<12} {human_size(int(value)) if is_size else value}"
    for origin in record["origins"]:
        yield f"{'origin':<12} {origin}"
    for delegate in record["delegates"]:
        yield f"{'delegate':<12} {delegate}"
