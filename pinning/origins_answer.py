"""`GET …/x/origins[/{cid}]`: where content came from, as the account that asks may know it.

Without a CID all of its own, a line each as an export has them (`blockstore.origin_lines`). With one an
object, `{"cid","origins":[…]}`, the best origin first; the members are those of a line without the names. An
account sees what it named and sent itself, nothing else. A CID of which nothing is known has no origins: that
is no error, and tells nobody whether it is here.
"""

import asyncio
import json
from collections.abc import Iterator
from itertools import islice
from typing import Final

from blockstore import Store
from blockstore.origin import Origin
from blockstore.origin_lines import as_json, line
from content.cid import Cid
from net.answer import Answer, Pause

MEDIA_TYPE: Final = "application/x-ndjson"
_STEP_PAGES: Final = 16  # 20 ms in a thread: rows of other accounts are passed over


def origins_of(store: Store, cid: Cid, account: str | None) -> list[dict[str, object]]:
    """Origins of a CID, best first; of all accounts (None, for the operator) or of one. Blocking, 20 us."""
    found = [as_json(cid.multihash, each) for each in store.origins.of(cid.multihash, account)]
    for each in found:
        del each["multihash"]
        if account is not None:
            del each["account"]
    return found


def origins_answer(store: Store, cid_text: str, account: str) -> Answer:
    """The answer to `account`; no text: all of its own. Raises BadRequest where the text is no CID."""
    if not cid_text:
        fields = [("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store")]
        return Answer(200, fields, _every(store, account), kind="pinning", account=account)
    cid = Cid.parse(cid_text)
    body = json.dumps({"cid": cid.text(), "origins": origins_of(store, cid, account)}).encode() + b"\n"
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Answer(200, fields, body, len(body), kind="pinning", account=account)


def _every(store: Store, account: str) -> Iterator[bytes | Pause]:
    """Lines as an export has them, made in a thread while the client reads; nothing is held in between."""
    pages = store.origins.pages(account=account)
    made: bytes | None = None

    async def make() -> None:
        nonlocal made
        made = await asyncio.to_thread(_lines, pages)

    while True:
        yield Pause(make)
        if made is None:
            return
        if made:
            yield made


def _lines(pages: Iterator[list[tuple[bytes, Origin]]]) -> bytes | None:
    """Of the next pages; None when there are no more."""
    some = list(islice(pages, _STEP_PAGES))
    return b"".join(line(*row) for page in some for row in page) if some else None
