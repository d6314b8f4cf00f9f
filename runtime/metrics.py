"""Every counter of the product, as words of a board slot, and their text for Prometheus.

The table below is the one place where metrics are declared: each series (a name with one set of
labels) is one word of a slot, at the same offset in every process. Counting is one addition to one
word, with no lock and no look-up by name; whoever shows metrics sums the slots of all processes.

Invariants
 1. Every process of one node lays out the same families in the same order.
 2. A word has one writer: the process (and in it the thread) that owns the slot.
 3. Words of processes that have ended keep counting towards totals; `clear_gauges` takes back
    what such a process no longer has.

Exposition format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, 0.0.4).
To add a metric: add a `Family` to `FAMILIES` and look its word up with `word` where it is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from runtime.board import SLOT_COUNT, SLOT_WORDS, Board

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
"""Label names and values of one series, in the order they are shown."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, what it counts, and one word for each series."""

    name: str
    help: str
    type: Literal["counter", "gauge"] = "counter"
    series: tuple[Labels, ...] = ((),)


PRINCIPALS: Final = ("anonymous", "account")
# What response bytes are metered as; `net.meter` counts any other kind as the last one.
KINDS: Final = ("blob", "proof", "upload", "page", "error", "other")
# What other nodes are asked for, and why an answer was none.
ORIGIN_REQUESTS: Final = ("block", "car", "bytes", "providers", "record")
ORIGIN_FAILURES: Final = ("not_found", "unreachable", "timeout", "lied", "too_large", "refused")
# How a try for a pin ended, and where pins stand, in the words of the Pinning Service API.
PIN_OUTCOMES: Final = ("pinned", "again", "failed", "gone")
PIN_STATUSES: Final = ("queued", "pinning", "pinned", "failed")
# What became of damage that the background found.
HEAL_OUTCOMES: Final = ("healed", "failed")
PHASES: Final = ("tls_handshake", "header", "body", "answer", "write", "keep_alive")

FAMILIES: Final = (
    Family(
        "fleek_response_bytes_total",
        "Bytes of response bodies that the kernel took.",
        series=tuple((("principal", p), ("kind", k)) for p in PRINCIPALS for k in KINDS),
    ),
    Family(
        "fleek_responses_total",
        "Responses ended or broken off, by class of status.",
        series=tuple((("code", code),) for code in ("1xx", "2xx", "3xx", "4xx", "5xx")),
    ),
    Family(
        "fleek_request_bytes_total",
        "Bytes of request bodies received.",
        series=tuple((("principal", p),) for p in PRINCIPALS),
    ),
    Family(
        "fleek_http_timeouts_total",
        "Connections or requests ended by a time limit, by phase.",
        series=tuple((("phase", phase),) for phase in PHASES),
    ),
    Family(
        "fleek_tls_handshakes_total",
        "TLS handshakes by result.",
        series=((("result", "ok"),), (("result", "failed"),)),
    ),
    Family("fleek_http_connections_accepted_total", "Connections accepted."),
    Family("fleek_http_connections_refused_total", "Connections refused because too many were open."),
    Family("fleek_http_connections_open", "Connections open now.", "gauge"),
    Family("fleek_http_parse_errors_total", "Requests refused for their form."),
    Family("fleek_http_aborted_total", "Responses broken off because their body could not be had."),
    Family("fleek_access_log_dropped_total", "Access log lines dropped because the writer was behind."),
    Family(
        "fleek_origin_requests_total",
        "Requests to other nodes, by what is asked for.",
        series=tuple((("for", kind),) for kind in ORIGIN_REQUESTS),
    ),
    Family(
        "fleek_origin_failures_total",
        "Requests to other nodes that did not bring what they were for.",
        series=tuple((("why", why),) for why in ORIGIN_FAILURES),
    ),
    Family("fleek_origin_bytes_total", "Bytes of content received from other nodes."),
    Family("fleek_origin_demotions_total", "Times a source was left alone for a while: it failed or lied."),
    Family("fleek_origin_requests_open", "Requests for content to other nodes under way now.", "gauge"),
    Family(
        "fleek_heals_total",
        "Damaged blobs that the background tried to bring back from where they came, by how that ended.",
        series=tuple((("outcome", outcome),) for outcome in HEAL_OUTCOMES),
    ),
    Family(
        "fleek_pin_attempts_total",
        "Tries to have all of a pin here, by how they ended; gone: the pin was removed meanwhile.",
        series=tuple((("outcome", outcome),) for outcome in PIN_OUTCOMES),
    ),
    Family(
        "fleek_pins",
        "Pins of all accounts by status, counted now and again.",
        "gauge",
        series=tuple((("status", status),) for status in PIN_STATUSES),
    ),
    Family(
        "fleek_pinned_bytes",
        "Bytes that accounts have pinned; a root counts once an account.",
        "gauge",
    ),
)


def _lay_out() -> dict[tuple[str, Labels], int]:
    words: dict[tuple[str, Labels], int] = {}
    for family in FAMILIES:
        for labels in family.series:
            assert (family.name, labels) not in words, f"{family.name} {labels} is declared twice"
            words[family.name, labels] = len(words)
    assert len(words) <= SLOT_WORDS, f"{len(words)} series do not fit a slot"
    return words


_WORDS: Final = _lay_out()


def word(name: str, *labels: tuple[str, str]) -> int:
    """Where in a slot this series is counted; `KeyError` when it is not declared."""
    return _WORDS[name, labels]


def totals(board: Board) -> dict[str, int]:
    """Each series by its name as Prometheus writes it, summed over all slots. About 1 ms."""
    sums = _sums(board)
    return {f"{name}{_label_text(labels)}": sums[at] for (name, labels), at in _WORDS.items()}


def clear_gauges(slot: "memoryview[int]") -> None:
    """Zero the gauges of a slot whose process has ended."""
    for family in FAMILIES:
        if family.type == "gauge":
            for labels in family.series:
                slot[_WORDS[family.name, labels]] = 0


def render(board: Board, store: Mapping[str, int]) -> str:
    """All metrics as Prometheus text; the numbers of `store` as gauges `fleek_store_<name>`."""
    sums = _sums(board)
    lines: list[str] = []
    for family in FAMILIES:
        lines += _title(family.name, family.help, family.type)
        for labels in family.series:
            lines.append(f"{family.name}{_label_text(labels)} {sums[_WORDS[family.name, labels]]}")
    wanted, ready = board.serving()
    gauges = {"fleek_workers_wanted": wanted, "fleek_workers_ready": ready}
    gauges.update({f"fleek_store_{name}": value for name, value in store.items()})
    for name, value in gauges.items():
        lines += _title(name, name.removeprefix("fleek_").replace("_", " ").capitalize() + ".", "gauge")
        lines.append(f"{name} {value}")
    return "\n".join(lines) + "\n"


def _sums(board: Board) -> list[int]:
    slots = (board.slot(index).tolist() for index in range(SLOT_COUNT))
    return [sum(values) for values in zip(*slots, strict=True)]


def _title(name: str, text: str, kind: str) -> list[str]:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return [f"# HELP {name} {escaped}", f"# TYPE {name} {kind}"]


def _label_text(labels: Labels) -> str:
    # Names and values are ours, declared above; none needs escaping.
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""
