"""Options and arguments that several commands take: which pins, which content, when."""

import functools
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Final, ParamSpec, TypeVar

import click

from content.cid import Cid
from node.values import duration_s
from pinning.pin import CIDS_MAX, NAME_CHARS_MAX, ORIGINS_MAX, Match, Status
from runtime.errors import BadRequest, NotFound, UsageError
from tools.pin.book import ANY_STATUS, Book, Wanted
from tools.pin.record import PinRecord

P = ParamSpec("P")
R = TypeVar("R")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def _completed_status(_context: click.Context, _parameter: click.Parameter, beginning: str) -> list[str]:
    """The last of the words between commas."""
    before, comma, last = beginning.rpartition(",")
    return [f"{before}{comma}{each}" for each in ANY_STATUS if each.startswith(last)]


def filters(function: Callable[P, R]) -> Callable[..., R]:
    """Give a command the filters of the API; its function gets them as `wanted`."""

    @click.option("--cid", "cids", metavar="CID", multiple=True, help=f"Of this content; up to {CIDS_MAX}.")
    @click.option("--name", metavar="TEXT", help="Of this name; '' for pins without one.")
    @click.option(
        "--match",
        type=click.Choice([each.value for each in Match]),
        default=Match.EXACT.value,
        show_default=True,
        help="How --name is compared; i: whatever the case, partial: anywhere in the name.",
    )
    @click.option(
        "--status",
        metavar="S[,S]...",
        multiple=True,
        shell_complete=_completed_status,
        help=f"{', '.join(ANY_STATUS)} [default: any].",
    )
    @click.option("--meta", metavar="KEY=VALUE", multiple=True, help="With this label; repeat for more.")
    @click.option("--before", metavar="TIME", help="Created before: 2025-01-31, RFC 3339, or 12h (ago).")
    @click.option("--after", metavar="TIME", help="Created after, written as for --before.")
    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> R:
        moments = {key: options.pop(key) for key in ("before", "after")}
        wanted = Wanted(
            cids=tuple(checked_cid(each) for each in options.pop("cids")),
            name=_checked_name(options.pop("name")),
            match=options.pop("match"),
            statuses=_statuses(options.pop("status")),
            meta=pairs(options.pop("meta"), "--meta"),
            **{key: None if text is None else moment(text, f"--{key}") for key, text in moments.items()},
        )
        if len(wanted.cids) > CIDS_MAX:
            raise UsageError(f"at most {CIDS_MAX} CIDs at a time", where="--cid")
        return function(*args, **options, wanted=wanted)  # type: ignore[arg-type]

    return wrapped


def checked_cid(text: str) -> str:
    """`text` as a CID, with `/ipfs/` or `ipfs://` before it as well. Raises UsageError."""
    bare = text.removeprefix("/ipfs/").removeprefix("ipfs://").rstrip("/")
    try:
        Cid.parse(bare)
    except BadRequest as error:
        why = error.message.removeprefix("not a CID: ")
        hint = error.hint or "such as bafybei… or Qm…; `fleek-pin add PATH` prints that of a file"
        raise UsageError(f"not a CID: {why}", where=text[:200], hint=hint) from None
    return bare


def is_cid(text: str) -> bool:
    """Whether `text` is a CID."""
    try:
        checked_cid(text)
    except UsageError:
        return False
    return True


def pairs(texts: Sequence[str], where: str) -> dict[str, str]:
    """`KEY=VALUE` words as labels. Raises UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"not KEY=VALUE: {text[:100]!r}", where=where)
        found[key] = value
    return found


def checked_order_words(name: str, origins: Sequence[str]) -> None:
    """Raise UsageError for what no service takes."""
    _checked_name(name)
    if len(origins) > ORIGINS_MAX:
        raise UsageError(f"at most {ORIGINS_MAX} origins", where="--origin")
    for each in origins:
        check_origin(each)


def check_origin(text: str) -> None:
    """Raise UsageError for an origin that no service could fetch from."""
    try:  # loaded only here: it knows the store, which commands that name no origin do without
        import_module("pinning.named_origin").check_origin(text, "--origin")
    except BadRequest as error:
        raise UsageError(error.message, where=error.where, hint=error.hint) from None
    except UnicodeEncodeError:
        raise UsageError("an origin is not Unicode", where="--origin") from None


def moment(text: str, where: str) -> str:
    """A time as RFC 3339: a day, RFC 3339 itself, or how long ago it was. Raises UsageError."""
    try:
        if _DAY.fullmatch(text):
            return f"{datetime.fromisoformat(text):%Y-%m-%dT%H:%M:%S}Z"
        if _MOMENT.fullmatch(text):
            return text.upper().replace(" ", "T")
        return f"{datetime.now(UTC) - timedelta(seconds=duration_s(text)):%Y-%m-%dT%H:%M:%S.%f}Z"
    except (ValueError, OverflowError):
        hint = "2025-01-31, 2025-01-31T12:00:00Z, or how long ago: 90s, 12h, 30d"
        raise UsageError(f"not a time: {text[:60]!r}", where=where, hint=hint) from None


def expiry_s(text: str | None, now_s: float) -> float | None:
    """When a pin of a lifetime such as `30d` ends, epoch seconds. Raises UsageError."""
    if text is None:
        return None
    try:
        lifetime_s = duration_s(text)
    except ValueError as fault:
        raise UsageError(f"--expires {fault}", where="--expires") from None
    if lifetime_s <= 0:
        raise UsageError("--expires must be above zero", where="--expires")
    return now_s + lifetime_s


def pins_named(book: Book, words: Sequence[str]) -> list[PinRecord]:
    """The pins that request ids name, and all pins of CIDs. Raises NotFound: there is none."""
    found: dict[str, PinRecord] = {}
    for word in words:
        if not is_cid(word):
            records = [book.get(word)]
        else:
            records = list(book.pins(Wanted(cids=(checked_cid(word),))))
            if not records:
                raise NotFound(
                    "no pin of this content", where=word, hint="`fleek-pin ls` shows what is pinned"
                )
        found |= {record["requestid"]: record for record in records}
    return list(found.values())


def _checked_name(name: str | None) -> str | None:
    if name is not None and len(name) > NAME_CHARS_MAX:
        raise UsageError(f"a name has at most {NAME_CHARS_MAX} characters", where="--name")
    return name


def _statuses(texts: Sequence[str]) -> tuple[str, ...]:
    found = [each.strip() for text in texts for each in text.split(",")]
    known = {each.value for each in Status}
    for each in found:
        if each not in known:
            raise UsageError(f"no such status: {each[:40]!r}", where="--status", hint=", ".join(ANY_STATUS))
    return tuple(dict.fromkeys(found)) or ANY_STATUS
