"""What an argument names: a blob by its hash, or content by its path. One rule for every command.

    64 hexadecimal digits, the hash in multibase, `bafkr4i…` (raw, BLAKE3)   a blob: one byte sequence
    CID, CID/PATH, /ipfs/CID/PATH, ipfs://CID/PATH                           a DAG: a block and all below it
    /ipns/NAME/PATH, ipns://NAME/PATH                                        the DAG that the name points at

Pure text; `tools.edge.naming` follows paths.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeAlias

import click

from content import names
from content.cid import Cid
from content.path import MAX_SEGMENTS
from runtime.errors import BadRequest, UsageError

P = ParamSpec("P")

_NAMESPACES: Final = ("ipfs", "ipns")
_HINT: Final = "use 64 hexadecimal digits (a blob), a CID, CID/PATH or /ipns/NAME (a DAG)"


@dataclass(frozen=True, slots=True)
class ContentPath:
    """`/ipfs/CID/…` or `/ipns/NAME/…`, not followed yet."""

    namespace: str
    root: str
    segments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(("", self.namespace, self.root, *self.segments))

    @property
    def name(self) -> str:
        """What a file made of it is called: the last segment, else the CID or name."""
        return self.segments[-1] if self.segments else self.root


Named: TypeAlias = bytes | ContentPath
"""The root of a blob, or a path."""


def named(text: str) -> Named:
    """What `text` names. Raises BadRequest that says what it is instead."""
    try:
        return names.parse(text)
    except BadRequest:
        return content_path(text)


def content_path(text: str) -> ContentPath:
    """The path that `text` writes; an `/ipfs/` in front may be left out. Raises BadRequest."""
    for namespace in _NAMESPACES:
        text = text.replace(f"{namespace}://", f"/{namespace}/", 1) if text.startswith(namespace) else text
    explicit = text.startswith("/")
    namespace, _, rest = text[1:].partition("/") if explicit else ("ipfs", "", text)
    root, *segments = rest.split("/")
    if namespace not in _NAMESPACES or not root:
        raise BadRequest("neither a hash nor a content path", where=text[:80], hint=_HINT)
    found = ContentPath(namespace, root, tuple(part for part in segments if part))
    if len(found.segments) > MAX_SEGMENTS:
        raise BadRequest(f"a path of more than {MAX_SEGMENTS} segments", where=text[:80])
    if namespace == "ipfs":
        try:
            Cid.parse(root)
        except BadRequest as error:
            what = "not a CID" if explicit or segments else "neither a hash nor a CID"
            reason = error.message.removeprefix("not a CID: ")
            raise BadRequest(f"{what}: {reason}", where=text[:80], hint=_HINT) from None
    return found


class Name(click.ParamType[Named]):
    """An argument that names a blob or a DAG."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Named:
        """What it names. Raises BadRequest, or UsageError for an address."""
        if not isinstance(value, str):
            parsed: Named = value
            return parsed
        if value.startswith(("http://", "https://")):
            hint = "`fleek-edge get` takes addresses; other commands a hash or CID"
            raise UsageError("an address, where a hash or CID is wanted", where=value[:80], hint=hint)
        return named(value)


class Path(click.ParamType[ContentPath]):
    """An argument that names a DAG; a hash is not taken for one."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ContentPath:
        """The path. Raises BadRequest."""
        return value if isinstance(value, ContentPath) else content_path(str(value))


def things(function: Callable[P, int | None]) -> Callable[P, int | None]:
    """Give a command the argument `HASH|CID[/PATH]…` as `things_`: one or more blobs or DAGs."""
    return click.argument("things_", metavar="HASH|CID[/PATH]...", type=Name(), nargs=-1, required=True)(
        function
    )
