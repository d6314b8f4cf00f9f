"""Pins as JSON objects of the Pinning Service API: PinStatus and PinResults. Pure.

Written by hand because a page has a thousand of them: 5 us each, where dicts and `json.dumps` take 9
(measured side by side). `tests/pinning/test_api_json.py` holds it against `json` over hostile strings.
"""

from json.encoder import encode_basestring_ascii as _quoted
from typing import Final

from blockstore.origin_address import shown
from pinning import timestamps
from pinning.api_query import PINNED_UNTIL
from pinning.pin import Page, Pin, Progress, Status

# A page ends here even if more were asked for: `limit` is a bound, and clients page on by `created`. A pin
# with all its origins and meta has about 72 KiB, so that a thousand of them would hold 72 MiB for one client.
PAGE_CHARS_MAX: Final = 4_194_304
_WAITS: Final = "waits for its turn"


def delegates_json(delegates: tuple[str, ...]) -> str:
    """The array of multiaddrs, to be given to `pin_json` and `page_json`."""
    return "[" + ",".join(map(_quoted, delegates)) + "]"


def pin_json(pin: Pin, delegates: str) -> str:
    """A PinStatus. `delegates`: see `delegates_json`."""
    wish = pin.wish
    more = ""
    if wish.name is not None:
        more = f',"name":{_quoted(wish.name)}'
    if origins := shown(wish.origins):
        more += f',"origins":{delegates_json(origins)}'
    if wish.meta:
        more += f',"meta":{_strings(wish.meta)}'
    info = _info(pin)
    return (
        f'{{"requestid":{_quoted(pin.request_id)},"status":"{pin.status}",'
        f'"created":"{timestamps.written(pin.created_ns)}","pin":{{"cid":"{wish.cid.text()}"{more}}},'
        f'"delegates":{delegates}{info}}}'
    )


def record_json(pin: Pin, delegates: str) -> str:
    """A line of `x/list`: a PinStatus, its Pin beside it and every member there, as `fleek-pin` prints it.

    Spaces are those of `json.dumps`, so that the command sends on what it was sent. ASCII; 3 us.
    """
    wish = pin.wish
    origins = f"[{', '.join(map(_quoted, shown(wish.origins)))}]" if wish.origins else "[]"
    meta = _spaced(wish.meta) if wish.meta else "{}"
    return (
        f'{{"requestid": {_quoted(pin.request_id)}, "status": "{pin.status.value}", '
        f'"cid": "{wish.cid.text()}", "name": {_quoted(wish.name or "")}, '
        f'"created": "{timestamps.written(pin.created_ns)}", '
        f'"origins": {origins}, "meta": {meta}, "delegates": {delegates}, '
        f'"info": {_spaced(_facts(pin))}}}\n'
    )


def _spaced(members: dict[str, str]) -> str:
    return "{" + ", ".join([f"{_quoted(key)}: {_quoted(text)}" for key, text in members.items()]) + "}"


def page_json(page: Page, delegates: str) -> bytes:
    """A PinResults of as many pins as fit, at least one where there are any; ASCII."""
    results: list[str] = []
    room = PAGE_CHARS_MAX
    for pin in page.pins:
        text = pin_json(pin, delegates)
        room -= len(text)
        if room < 0 and results:
            break
        results.append(text)
    return f'{{"count":{page.count},"results":[{",".join(results)}]}}'.encode("ascii")


def _info(pin: Pin) -> str:
    """`,"info":{…}`, or nothing when there is nothing to tell."""
    facts = _facts(pin)
    return f',"info":{_strings(facts)}' if facts else ""


def details_of(pin: Pin, waits: str = _WAITS) -> str:
    """Why a pin waits or failed, for people; `waits`: said of one that was not tried yet."""
    status = pin.status
    if status is Status.PINNING and pin.details:
        return f"try {pin.attempts + 1} is under way; the one before: {pin.details}"
    return pin.details or (waits if status is Status.QUEUED else "")


def _facts(pin: Pin) -> dict[str, str]:
    """What there is to tell of a pin. All values are strings, says the schema."""
    status, facts = pin.status, {}
    if details := details_of(pin):
        facts["status_details"] = details
    if pin.dag_bytes is not None:
        facts["dag_size"] = str(pin.dag_bytes)
    if pin.raw_bytes is not None:
        facts["raw_size"] = str(pin.raw_bytes)
    if pin.wish.expires_s is not None:
        facts[PINNED_UNTIL] = timestamps.written_s(pin.wish.expires_s)
    if status is not Status.PINNED and pin.progress != _NOTHING:
        facts |= _progress(pin.progress)
    return facts


_NOTHING: Final = Progress()


def _progress(progress: Progress) -> dict[str, str]:
    """For people in `progress`, for programs in the three numbers."""
    known = progress.blocks + progress.wanted
    return {
        "progress": f"{progress.blocks} of at least {known} blocks, {progress.bytes_} bytes",
        "progress_blocks": str(progress.blocks),
        "progress_bytes": str(progress.bytes_),
        "progress_wanted": str(progress.wanted),
    }


def _strings(members: dict[str, str]) -> str:
    return "{" + ",".join([f"{_quoted(key)}:{_quoted(text)}" for key, text in members.items()]) + "}"
