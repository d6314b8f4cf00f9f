"""What is known of a blob and of its roots, as commands show it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from blockstore import BlobStat, Root
from blockstore.records import RootKind
from blockstore.upper import UPPER_SEGMENT
from content import names
from tools.frame.output import Output

# A file that was added is kept by each of its blocks, four in a MiB: for people one line says so
_BLOCK: Final = RootKind.BLOCK.name.lower()


def blob_record(known: BlobStat) -> dict[str, Any]:
    """The JSON object of a blob."""
    return {
        "blake3": names.hex(known.hash),
        "cid": names.cid(known.hash),
        "size_bytes": known.size_bytes,
        "created_s": known.created_s,
        "content_type": known.content_type or None,
        "state": known.state,
        **damage_record(known.damaged_segments),
        "roots": roots_record(known.roots),
    }


def damage_record(numbers: tuple[int, ...]) -> dict[str, Any]:
    """Damaged segments by number; the tree above the segments, which the store numbers too, apart."""
    return {
        "damaged_segments": [number for number in numbers if number != UPPER_SEGMENT],
        "damaged_tree": UPPER_SEGMENT in numbers,
    }


def roots_record(roots: Iterable[Root]) -> list[dict[str, Any]]:
    """Why something is kept."""
    return [
        {
            "kind": keeper.kind.name.lower(),
            "owner": keeper.owner,
            "name": keeper.name,
            "created_s": keeper.created_s,
            "expires_s": keeper.expires_s,
        }
        for keeper in roots
    ]


def show_fields(out: Output, record: dict[str, Any]) -> None:
    """One record: an object with --json, else a line a field and a line a root."""
    lines = [f"{key:<17} {_text(value)}" for key, value in record.items() if key != "roots"]
    blocks = [keeper for keeper in record["roots"] if keeper["kind"] == _BLOCK]
    shown = [keeper for keeper in record["roots"] if keeper["kind"] != _BLOCK or len(blocks) == 1]
    lines += [f"{'kept by':<17} {_kept(keeper)}" for keeper in shown]
    lines += [f"{'kept by':<17} {len(blocks)} blocks, which --json lists"] if len(blocks) > 1 else []
    for line in lines[:-1] if not out.as_json else ():
        out.record({}, line)
    out.record(record, lines[-1])


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _kept(keeper: dict[str, Any]) -> str:
    expires_s = keeper["expires_s"]
    until = f" until {datetime.fromtimestamp(expires_s, UTC):%Y-%m-%d %H:%M:%SZ}" if expires_s else ""
    owner = keeper["owner"] if keeper["owner"] != keeper["name"] else ""
    return " ".join(part for part in (keeper["kind"], owner, keeper["name"]) if part) + until
