"""Which form of the content a request asks for: `format=` first, then Accept. Pure.

Source: the path and trustless gateway specifications; IPIP-523 (URL parameters beat Accept), IPIP-524 (no
conversion between codecs: 406).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from net.http1 import Request
from runtime.errors import BadRequest


class Format(Enum):
    """A form of content; the value is its name in `format=`."""

    NATIVE = ""
    RAW = "raw"
    CAR = "car"
    TAR = "tar"
    DAG_JSON = "dag-json"
    DAG_CBOR = "dag-cbor"
    JSON = "json"
    CBOR = "cbor"
    IPNS_RECORD = "ipns-record"
    BAO = "bao"
    BAO_CHUNK = "bao-chunk"
    BAO_OUTBOARD = "bao-outboard"


_BY_NAME: Final = {form.value: form for form in Format if form.value}
_BY_TYPE: Final = {
    "application/vnd.ipld.raw": Format.RAW,
    "application/vnd.ipld.car": Format.CAR,
    "application/x-tar": Format.TAR,
    "application/vnd.ipld.dag-json": Format.DAG_JSON,
    "application/vnd.ipld.dag-cbor": Format.DAG_CBOR,
    "application/json": Format.JSON,
    "application/cbor": Format.CBOR,
    "application/vnd.ipfs.ipns-record": Format.IPNS_RECORD,
}
PROOFS: Final = frozenset((Format.BAO, Format.BAO_CHUNK, Format.BAO_OUTBOARD))
TRUSTLESS: Final = frozenset((Format.RAW, Format.CAR, Format.IPNS_RECORD))


@dataclass(frozen=True, slots=True)
class Asked:
    """The form asked for. `parameters`: of the media type in Accept; `html`: text/html is wanted too."""

    form: Format
    parameters: dict[str, str]
    html: bool


def asked_form(request: Request, query: dict[str, str]) -> Asked:
    """The form of content that a request asks for. Raises BadRequest for one that nobody knows."""
    accept = request.fields.get("accept") or ""
    chosen, parameters, html = Format.NATIVE, {}, False
    for element in accept.split(","):
        media_type, *rest = (part.strip() for part in element.split(";"))
        lowered = media_type.lower()
        if lowered == "text/html":
            html = True
        found = _BY_TYPE.get(lowered)
        if found is not None and chosen is Format.NATIVE and not html:
            chosen, parameters = found, _parameters(rest)
    name = query.get("format")
    if name is not None:
        form = _BY_NAME.get(name)
        if form is None:
            known = ", ".join(sorted(_BY_NAME))
            raise BadRequest("there is no such format", where=f"format={name[:32]}", hint=f"known: {known}")
        same = form is chosen
        return Asked(form, parameters if same else {}, html=False)
    return Asked(chosen, parameters, html)


def _parameters(parts: list[str]) -> dict[str, str]:
    pairs = (part.partition("=") for part in parts)
    return {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}
