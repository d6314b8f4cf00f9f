"""dag-json, dag-cbor, JSON and CBOR blocks, as they are or as a page for people.

Source: the path gateway specification, IPIP-524: bytes are never converted from codec to codec (406).
"""

import html
import json
from pathlib import Path
from typing import Final

from content import cid as codecs
from content import dag_cbor, dag_json
from content.cid import Cid
from content.dag_value import Value
from gateway.conditional import Verdict, evaluate_read
from gateway.content_fields import content_fields, located, named
from gateway.content_request import ContentRequest, Reading, Target
from gateway.formats import Format
from gateway.raw_answer import block_items
from gateway.representation import Representation, answer, bodiless
from net.answer import Answer
from runtime.errors import BadRequest, NotAcceptable

KIND: Final = "block"
PAGE_VERSION: Final = "2"
# A preview of more is no help to anybody, and costs ten times the block in HTML
_PREVIEW_BYTES_MAX: Final = 256 << 10
_PAGE: Final = Path(__file__).with_name("preview.html").read_text(encoding="utf-8")

_NATIVE: Final = {
    codecs.DAG_JSON: Format.DAG_JSON,
    codecs.DAG_CBOR: Format.DAG_CBOR,
    codecs.JSON: Format.JSON,
    codecs.CBOR: Format.CBOR,
}
_TYPES: Final = {
    Format.DAG_JSON: "application/vnd.ipld.dag-json",
    Format.DAG_CBOR: "application/vnd.ipld.dag-cbor",
    Format.JSON: "application/json",
    Format.CBOR: "application/cbor",
}
# what else the bytes of a codec are: dag-json is JSON, dag-cbor is CBOR
_PLAIN: Final = {codecs.DAG_JSON: Format.JSON, codecs.DAG_CBOR: Format.CBOR}


def is_value(cid: Cid) -> bool:
    """Whether a block is of one of the four codecs."""
    return cid.codec in _NATIVE


def dag_answer(asked: ContentRequest, target: Target, reading: Reading) -> Answer:
    """The terminal block in its own form. Raises BlockMissing, NotAcceptable for another codec's form."""
    cid = target.resolved.terminal
    form = _form(asked, cid)
    suffix = "json" if form in (Format.JSON, Format.DAG_JSON) else "cbor"
    etag = f'"{cid.text()}.{form.value}"'
    fields = content_fields(asked, target, etag)
    kind = "inline" if suffix == "json" else "attachment"
    fields += [
        named(asked, kind, f"{cid.text()}.{suffix}"),
        ("X-Content-Type-Options", "nosniff"),
        ("Accept-Ranges", "bytes"),
        *located(asked),
    ]
    size, items = block_items(cid, reading)
    shown = Representation(etag, size, _TYPES[form], fields, items, cid.text("f"), KIND, asked.account)
    return answer(shown, asked.request)


def preview_answer(asked: ContentRequest, target: Target, reading: Reading) -> Answer:
    """A page that shows the value of the terminal block, its links to click on."""
    cid = target.resolved.terminal
    etag = f'"DagIndex-{PAGE_VERSION}_CID-{cid.text()}"'
    fields = content_fields(asked, target, etag, generated=True)
    verdict = evaluate_read(etag, asked.request)
    if verdict is not Verdict.PERFORM:
        return bodiless(verdict, fields, asked.account)
    block = reading.read(cid)
    fields += [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    at = f"//{asked.site.base}/ipfs/" if asked.site.is_isolated else "/ipfs/"
    page = (
        _PAGE.replace("{{cid}}", cid.text())
        .replace("{{codec}}", cid.codec_name)
        .replace("{{size}}", f"{len(block):,}")
        .replace("{{raw}}", f"{at}{cid.text()}?format=raw")
        .replace("{{value}}", _shown(cid, block, at))
    )
    return Answer(200, fields, page.encode(), kind="listing", account=asked.account)


def _form(asked: ContentRequest, cid: Cid) -> Format:
    native, form = _NATIVE[cid.codec], asked.asked.form
    if form in (Format.NATIVE, native):
        return native
    if form is _PLAIN.get(cid.codec):
        return form
    raise NotAcceptable(
        f"a {cid.codec_name} block is not given as {form.value}",
        where=cid.text(),
        hint=f"ask for {native.value} or raw; codecs are not converted here",
    )


def _shown(cid: Cid, block: bytes, at: str) -> str:
    if len(block) > _PREVIEW_BYTES_MAX:
        return "too large to be shown here"
    try:
        if cid.codec == codecs.DAG_CBOR:
            return _rendered(dag_cbor.decode(block), at, 0)
        if cid.codec == codecs.DAG_JSON:
            return _rendered(dag_json.decode(block), at, 0)
        if cid.codec == codecs.JSON:
            return html.escape(json.dumps(json.loads(block), indent=2, ensure_ascii=False))
    except (BadRequest, ValueError, RecursionError) as error:
        return html.escape(f"not readable as {cid.codec_name}: {error}")
    return html.escape(block.hex(" "))


def _rendered(value: Value, at: str, depth: int) -> str:
    pad, inner = "  " * depth, "  " * (depth + 1)
    if isinstance(value, Cid):
        return f'<a href="{at}{value.text()}">{value.text()}</a>'
    if isinstance(value, dict):
        if not value:
            return "{}"
        rows = [f"{inner}{_key(key)}: {_rendered(each, at, depth + 1)}" for key, each in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{pad}}}"
    if isinstance(value, list):
        if not value:
            return "[]"
        rows = [f"{inner}{_rendered(each, at, depth + 1)}" for each in value]
        return "[\n" + ",\n".join(rows) + f"\n{pad}]"
    if isinstance(value, bytes):
        return f"<i>{len(value)} bytes</i> {value[:64].hex()}{'…' if len(value) > 64 else ''}"
    return html.escape(json.dumps(value, ensure_ascii=False))


def _key(key: str) -> str:
    return f"<b>{html.escape(json.dumps(key, ensure_ascii=False))}</b>"
