"""Bench rows for people: a plain table for the terminal, a Markdown one for docs/performance.md."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.bench.row import Row

_HEADS = ("id", "ours", "peer", "unit", "ratio", "floor", "rounds", "spread", "verdict", "why")


def as_text(rows: Iterable[Row]) -> str:
    """A table with aligned columns."""
    lines = [_HEADS, *(_cells(row.as_json()) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def as_markdown(document: Mapping[str, Any]) -> str:
    """The content of build/bench.json as a Markdown table under a line that names the machine."""
    machine = document["machine"]
    rows: Sequence[Mapping[str, Any]] = document["rows"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}",
        "",
        "| " + " | ".join(_HEADS) + " |",
        "|" + "---|" * len(_HEADS),
    ]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    floor = "" if row["floor"] is None else f"{row['sense']} {_number(row['floor'])}"
    spread = "" if row["spread"] is None else f"{100 * row['spread']:.0f} %"
    numbers = (_number(row["ours"]), _number(row["peer"]), row["unit"], _number(row["ratio"]))
    return (row["id"], *numbers, floor, str(row["rounds"]), spread, row["verdict"], row["why"])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
