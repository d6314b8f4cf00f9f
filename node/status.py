"""What the admin listener shows of a node: one JSON object, and the page that draws it."""

import os
import time
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
        "traffic": totals(store.board),
    }


def status_page() -> str:
    """The page; it asks /api/v1/status every two seconds."""
    return _PAGE_FILE.read_text(encoding="utf-8")
