"""What the admin listener shows of a node: one JSON object, and the page that draws it."""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from blockstore import Store
from runtime.metrics import totals

_PAGE_FILE: Final = Path(__file__).with_name("status.html")


def store_numbers(store: Store) -> dict[str, int]:
    """The store's totals by name. Sums page counts of every table: about 1 ms."""
    numbers: dict[str, int] = asdict(store.usage())
    numbers["content_bytes"] = numbers.pop("bytes_")
    return numbers


def status(store: Store, started_s: float) -> dict[str, Any]:
    """The node at a glance. Cheap enough to be asked every second."""
    wanted, ready = store.board.serving()
    return {
        "version": metadata.version("fleek-edge"),
        "pid": os.getppid(),
        "uptime_s": round(time.time() - started_s, 1),
        "workers": {"wanted": wanted, "ready": ready},
        "store": store_numbers(store),
        "traffic": traffic_numbers(totals(store.board)),
    }


def traffic_numbers(series: Mapping[str, int]) -> dict[str, int]:
    """What an operator looks at first, added up from the series of /metrics."""

    def added(start: str, *, having: str = "") -> int:
        return sum(value for name, value in series.items() if name.startswith(start) and having in name)

    return {
        "blob_bytes": added("fleek_response_bytes_total", having='kind="blob"'),
        "proof_bytes": added("fleek_response_bytes_total", having='kind="proof"'),
        "received_bytes": added("fleek_request_bytes_total"),
        "connections_open": added("fleek_http_connections_open"),
        "responses_2xx": added("fleek_responses_total", having="2xx"),
        "responses_3xx": added("fleek_responses_total", having="3xx"),
        "responses_4xx": added("fleek_responses_total", having="4xx"),
        "responses_5xx": added("fleek_responses_total", having="5xx"),
        "responses_broken_off": added("fleek_http_aborted_total"),
        "timeouts": added("fleek_http_timeouts_total"),
    }


def status_page() -> str:
    """The page; it asks /api/v1/status every two seconds."""
    return _PAGE_FILE.read_text(encoding="utf-8")
