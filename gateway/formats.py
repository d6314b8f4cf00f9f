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
# what a UnixFS file is given for: JSON means something for JSON only
AS_IT_IS: Final = frozenset((Format.NATIVE, Format.JSON, Format.CBOR))
TRUSTLESS: Final = frozenset((Format.RAW, Format.CAR, Format.IPNS_RECORD))


# Browsers send ten; a longer list is cut, as if the client had not gone on
_ACCEPT_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """The form asked for.

    `parameters`: of the media type in Accept, the preferred set first, where that names the form; `html`:
    text/html is wanted as much; `by_accept`: the URL does not say so, only Accept does.
    """

    form: Format
    parameters: tuple[dict[str, str], ...] = ()
    html: bool = False
    by_accept: bool = False


def asked_form(request: Request, query: dict[str, str]) -> Asked:
    """The form of content that a request asks for. Raises BadRequest for one that nobody knows."""
    accepted = by_accept(request.fields.get("accept") or "")
    name = query.get("format")
    if name is None:
        return accepted
    form = _BY_NAME.get(name)
    if form is None:
        known = ", ".join(sorted(_BY_NAME))
        raise BadRequest("there is no such format", where=f"format={name[:32]}", hint=f"known: {known}")
    return Asked(form, accepted.parameters if form is accepted.form else ())


def by_accept(accept: str) -> Asked:
    """What an Accept field asks for (RFC 9110 §12.5.1).

    The highest quality wins, of equals one that names a form or text/html before a wildcard, then the first.
    """
    ranked: list[tuple[float, int, Format]] = []
    parameters: dict[Format, list[tuple[float, dict[str, str]]]] = {}
    html = False
    for element in accept.split(",")[:_ACCEPT_MAX]:
        media_type, *rest = (part.strip() for part in element.split(";"))
        own = _parameters(rest)
        quality = _quality(own.pop("q", "1"))
        if not quality:
            continue
        lowered = media_type.lower()
        form = _BY_TYPE.get(lowered, Format.NATIVE)
        html = html or lowered == "text/html"
        ranked.append((quality, int(form is not Format.NATIVE or lowered == "text/html"), form))
        parameters.setdefault(form, []).append((quality, own))
    if not ranked:
        return Asked(Format.NATIVE)
    form = max(ranked, key=lambda each: each[:2])[2]  # the first of equals
    if form is Format.NATIVE:
        return Asked(form, html=html)
    sets = sorted(parameters[form], key=lambda pair: -pair[0])
    return Asked(form, tuple(own for _, own in sets), by_accept=True)


def _quality(text: str) -> float:
    """The weight of an Accept element; a malformed one counts as if it were not given."""
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 1.0


def _parameters(parts: list[str]) -> dict[str, str]:
    pairs = (part.partition("=") for part in parts)
    return {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}
