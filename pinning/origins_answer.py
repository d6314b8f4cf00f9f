"""`GET …/x/origins/{cid}`: where content came from, as the account that asks may know it.

One object, `{"cid","origins":[…]}`, the best origin first; the members are those of an export's line
(`blockstore.origin_lines`) without the names. An account sees what it named and sent itself, nothing else. A
CID of which nothing is known has no origins: that is no error, and tells nobody whether it is here.
"""

import json

from blockstore import Store
from blockstore.origin_lines import as_json
from content.cid import Cid
from net.answer import Answer


def origins_of(store: Store, cid: Cid, account: str | None) -> list[dict[str, object]]:
    """Origins of a CID, best first; of all accounts (None, for the operator) or of one. Blocking, 20 us."""
    found = [as_json(cid.multihash, each) for each in store.origins.of(cid.multihash, account)]
    for each in found:
        del each["multihash"]
        if account is not None:
            del each["account"]
    return found


def origins_answer(store: Store, cid_text: str, account: str) -> Answer:
    """The answer to `account`. Raises BadRequest where the text is no CID."""
    cid = Cid.parse(cid_text)
    body = json.dumps({"cid": cid.text(), "origins": origins_of(store, cid, account)}).encode() + b"\n"
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Answer(200, fields, body, len(body), kind="pinning", account=account)
