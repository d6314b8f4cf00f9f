"""A signed IPNS record as it is: `application/vnd.ipfs.ipns-record` (trustless gateway specification)."""

from typing import Final

from xxhash import xxh3_64_hexdigest

from content import ipns
from content.cid import Cid
from gateway.content_fields import CORS, located, named
from gateway.content_request import ContentRequest
from gateway.mutable import Names
from gateway.representation import Representation, answer
from net.answer import Answer
from runtime.errors import BadRequest

KIND: Final = "record"
MEDIA_TYPE: Final = "application/vnd.ipfs.ipns-record"


def ipns_record_answer(asked: ContentRequest, names: Names) -> Answer:
    """The record of the name in the path. Raises NameUnknown, Unverified; BadRequest where it is no name."""
    if asked.namespace != "ipns" or asked.segments:
        raise BadRequest("only /ipns/<name> has a record", where=asked.ipfs_path[:160])
    name = ipns.parse_name(asked.root_text)
    record = names.record(name)
    return record_answer(name, record, names.fresh_s(record), asked)


def record_answer(name: Cid, record: ipns.Record, fresh_s: float, asked: ContentRequest) -> Answer:
    """A record that was verified, and may be believed for `fresh_s`."""
    text = ipns.name_text(name)
    etag = f'"{xxh3_64_hexdigest(record.raw)}"'
    fields = [
        ("ETag", etag),
        ("Cache-Control", f"public, max-age={int(fresh_s)}"),
        named(asked, "attachment", f"{text}.ipns-record"),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", "Accept"),
        *located(asked),
        *CORS,
    ]
    raw = record.raw
    shown = Representation(
        etag, len(raw), MEDIA_TYPE, fields, lambda start, stop: [raw[start:stop]], text, KIND, asked.account
    )
    return answer(shown, asked.request)
