"""The compact denylist format: rules read from files. Knows no store.

Source: the compact denylist format (IPIP-383). A line is one of

    /ipfs/CID   /ipfs/CID/PATH   /ipfs/CID/PATH*   /ipns/NAME   /ipns/NAME/PATH   /ipns/NAME/PATH*
    //HASH (base58 multihash of `base58 multihash[/PATH]`, or the old hex sha2-256 of `CIDv1/PATH`)
    /blake3/HASH (ours)

`!` (or `+`, `-`, as older lists write it) before a rule allows what earlier rules deny: the last rule that
matches counts, over all files in their order. Behind a rule hints may stand, which mean nothing here. `#`
begins a comment line. A header of at most 1 MiB ends with a line `---`.

A line that is no rule is passed over and logged with its number: lists come from others, and a rule of
tomorrow must neither stop a node nor void its 500,000 neighbours. What cannot be read at all, is of another
version, or holds no rule among its lines, is refused: it must not let everything pass.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from content import ipns, multibase, multihash, names
from content.cid import Cid
from content.multihash import IDENTITY, SHA2_256
from gateway.content_request import split_path
from runtime.errors import BadRequest, UsageError

log = logging.getLogger("fleek.gateway")

_HEADER_BYTES_MAX: Final = 1 << 20
_LINE_BYTES_MAX: Final = 2 << 20
_HEADER_END: Final = re.compile(rb"(?:\A|\n)---[ \t]*\r?\n")
_VERSION: Final = re.compile(rb"^version:[ \t]*(\S+)", re.MULTILINE)
_DOUBLE_HEX: Final = re.compile(r"[0-9a-f]{64}")
_LOGGED_MAX: Final = 20  # lines of one file; then their number
_V0_TEXT: Final = 46
# As many levels as a rule may name; real ones name a handful
_SEGMENTS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class PathRule:
    """A rule about paths below a root, their segments joined by slashes."""

    path: str
    is_prefix: bool
    denies: bool

    def matches(self, path: str) -> bool:
        """Whether the rule is about this path."""
        return path.startswith(self.path) if self.is_prefix else path == self.path


PathRules = dict[bytes, list[PathRule]]


@dataclass(slots=True)
class Rules:
    """What a set of lists says. Multihashes name content, keys and double hashes alike."""

    hashes: set[bytes] = field(default_factory=set)
    blobs: set[bytes] = field(default_factory=set)
    doubles: set[bytes] = field(default_factory=set)
    double_codes: set[int] = field(default_factory=set)
    allowed: set[bytes] = field(default_factory=set)
    paths: PathRules = field(default_factory=dict)
    names: PathRules = field(default_factory=dict)  # by multihash of a key, or the domain in lower case

    def __len__(self) -> int:
        return sum(map(len, (self.hashes, self.blobs, self.doubles, self.paths, self.names)))

    def add(self, line: str) -> None:
        """Take one rule. Raises BadRequest for what is none."""
        rule = line.split()[0]
        denies = rule[0] not in "!+-"
        rule = rule if denies else rule[1:]
        if rule.startswith("//"):
            self._add_double(rule[2:], denies=denies)
        elif rule.startswith("/ipfs/"):
            self._add_ipfs(rule[6:], denies=denies)
        elif rule.startswith("/ipns/"):
            name, _, path = rule[6:].partition("/")
            below = _path_rule(path or "*", denies=denies)
            self.names.setdefault(name_key(name), []).append(below)
        elif rule.startswith("/blake3/"):
            _toggle(self.blobs, names.parse(rule[8:]), denies=denies)
        else:
            raise BadRequest("it begins with none of /ipfs/, /ipns/, /blake3/, //")

    def _add_ipfs(self, text: str, *, denies: bool) -> None:
        root_text, _, path = text.partition("/")
        root = _multihash(root_text)
        if path.strip("/") in ("", "*"):
            _toggle(self.hashes, root, denies=denies)
            _toggle(self.allowed, root, denies=not denies)
        if path.strip("/"):
            below = _path_rule(path, denies=denies)
            self.paths.setdefault(root, []).append(below)

    def _add_double(self, text: str, *, denies: bool) -> None:
        if _DOUBLE_HEX.fullmatch(text):
            name = multihash.wrap(SHA2_256, bytes.fromhex(text))
        else:
            name = multibase.decode("z" + text)
        code, digest = multihash.split(name)
        if code == IDENTITY or len(digest) < 20:
            raise BadRequest("a double hash is a base58 multihash, or 64 hexadecimal digits of sha2-256")
        multihash.of(code, b"")  # one that is not known here could never match
        _toggle(self.doubles, name, denies=denies)
        self.double_codes.add(code)


def load(files: Iterable[Path]) -> Rules:
    """The rules of all files, in their order. Raises UsageError."""
    rules = Rules()
    for path in files:
        try:
            with path.open("rb") as file:
                read(file, str(path), rules)
        except OSError as fault:
            reason = (fault.strerror or "cannot be read").lower()
            raise UsageError(f"the denylist cannot be read: {reason}", where=str(path)) from None
    return rules


def name_key(text: str) -> bytes:
    """What a name under /ipns/ is kept under: the multihash of a key, else a domain."""
    try:
        return ipns.parse_name(text).multihash
    except BadRequest:
        return text.lower().removesuffix(".").encode("utf-8", "surrogateescape")


def read(file: IO[bytes], where: str, rules: Rules) -> None:
    """Add the rules of one list, which can be sought in. Raises UsageError for what is no list."""
    skipped = _header(file, where)
    bad = good = 0
    for number, line in _lines(file, skipped):
        try:
            if line is None:
                raise BadRequest("it is longer than 2 MiB")
            text = line.decode("utf-8").strip()
            if not text or text.startswith("#"):
                continue
            rules.add(text)
            good += 1
        except (BadRequest, UnicodeDecodeError) as error:
            bad += 1
            if bad <= _LOGGED_MAX:
                why = error.message if isinstance(error, BadRequest) else "it is not UTF-8"
                log.error("%s:%d: not a denylist rule, passed over: %s", where, number, why)
    if bad and not good:
        raise UsageError("not a denylist: none of its lines is a rule", where=where)
    if bad > _LOGGED_MAX:
        log.error("%s: %d lines are no rules and were passed over", where, bad)


def _header(file: IO[bytes], where: str) -> int:
    """Go to the first line behind the header; returns how many lines came before. Raises UsageError."""
    beginning = file.read(_HEADER_BYTES_MAX)
    end = _HEADER_END.search(beginning)
    header = beginning[: end.end()] if end else b""
    version = _VERSION.search(header)
    if version is not None and version[1].strip(b"'\"") != b"1":
        raise UsageError(
            f"denylist version {version[1][:16].decode('ascii', 'replace')} is not known here",
            where=where,
            hint="version 1 is",
        )
    file.seek(len(header))
    return header.count(b"\n")


def _lines(file: IO[bytes], number: int) -> Iterator[tuple[int, bytes | None]]:
    """(number, line) of each line; None for one that is too long."""
    while line := file.readline(_LINE_BYTES_MAX):
        number += 1
        if not line.endswith(b"\n") and len(line) == _LINE_BYTES_MAX:
            while (rest := file.readline(_LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        else:
            yield number, line


def _multihash(text: str) -> bytes:
    """Of a CID of any kind, or written bare in base58. Not memoised: a list holds each once."""
    if len(text) == _V0_TEXT and text.startswith("Qm"):
        return Cid.v0(multibase.decode("z" + text)).multihash
    try:
        return Cid.from_bytes(multibase.decode(text)).multihash
    except BadRequest as error:
        try:
            bare = multibase.decode("z" + text)
            multihash.split(bare)
        except BadRequest:
            raise error from None
        return bare


def _path_rule(text: str, *, denies: bool) -> PathRule:
    segments = split_path(text.removesuffix("*"))
    if len(segments) > _SEGMENTS_MAX:
        raise BadRequest(f"a path of more than {_SEGMENTS_MAX} segments")
    return PathRule("/".join(segments), text.endswith("*"), denies)


def _toggle(found: set[bytes], name: bytes, *, denies: bool) -> None:
    if denies:
        found.add(name)
    else:
        found.discard(name)
