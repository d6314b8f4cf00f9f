"""The operator's denylist: what it names is answered 410 under every name it has.

Source: the compact denylist format (IPIP-383). Lines are `/ipfs/CID`, `/ipfs/CID/path`, `/ipfs/CID/path*`,
`/ipns/NAME`, `//HASH` (base58 sha2-256 multihash, or hex sha256, of `CIDv1/path`) and, of ours,
`/blake3/HASH`; `+` before a rule allows; `#` begins a comment; a YAML header ends with `---`. Content is
denied by its multihash, so v0, v1 and every codec and base of one block are one thing; a file is denied by
the blob it is as well, so its BLAKE3 name, proofs and other CIDs go with it.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from content import ipns, multibase, names
from content.cid import DAG_PB, RAW, Cid
from content.path import resolve
from gateway.content_request import split_path
from gateway.ports import DagStore
from runtime.errors import BadRequest, Blocked, EdgeError, UsageError

# Public lists have some 500,000 lines of 50 bytes
_FILE_BYTES_MAX: Final = 256 << 20
_DOUBLE_HEX: Final = re.compile(r"[0-9a-f]{64}")
_BLAKE3: Final = b"\x1e\x20"


@dataclass(slots=True)
class Rules:
    """What a set of lists says."""

    hashes: set[bytes] = field(default_factory=set)
    blobs: set[bytes] = field(default_factory=set)
    doubles: set[bytes] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    paths: dict[bytes, list[tuple[tuple[str, ...], bool]]] = field(default_factory=dict)
    allowed: set[bytes] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.hashes) + len(self.blobs) + len(self.doubles) + len(self.names) + len(self.paths)


def parse(text: str, where: str, rules: Rules) -> None:
    """Add the rules of a list. Raises UsageError naming the line that is none."""
    lines = text.split("\n")
    start = lines.index("---") + 1 if "---" in lines else 0
    for number, line in enumerate(lines[start:], start + 1):
        rule = line.split(" #", 1)[0].strip()
        if not rule or rule.startswith("#"):
            continue
        try:
            _add(rule.split()[0], rules)
        except BadRequest as error:
            raise UsageError(f"not a denylist rule: {error.message}", where=f"{where}:{number}") from None


def _add(rule: str, rules: Rules) -> None:
    allows = rule.startswith("+")
    rule = rule.removeprefix("+").removeprefix("!")
    if rule.startswith("//"):
        rules.doubles.add(_double(rule[2:]))
    elif rule.startswith("/ipfs/"):
        root_text, _, path = rule[6:].partition("/")
        root = Cid.parse(root_text).multihash
        if allows:
            rules.allowed.add(root)
        elif path in ("", "*"):
            rules.hashes.add(root)
        else:
            prefix = path.endswith("*")
            rules.paths.setdefault(root, []).append((split_path(path.removesuffix("*")), prefix))
    elif rule.startswith("/ipns/"):
        rules.names.add(_name(rule[6:].strip("/")))
    elif rule.startswith("/blake3/"):
        rules.blobs.add(names.parse(rule[8:]))
    else:
        raise BadRequest("it begins with none of /ipfs/, /ipns/, /blake3/, //")


def _double(text: str) -> bytes:
    if _DOUBLE_HEX.fullmatch(text):
        return bytes.fromhex(text)
    raw = multibase.decode("z" + text)
    if not raw.startswith(b"\x12\x20") or len(raw) != 34:
        raise BadRequest("a double hash is a base58 sha2-256 multihash, or 64 hexadecimal digits")
    return raw[2:]


def _name(text: str) -> str:
    try:
        return ipns.name_text(ipns.parse_name(text))
    except BadRequest:
        return text.lower()


class Denylist:
    """The rules in force, asked of every root, path, block and blob that is about to be shown."""

    def __init__(self, rules: Rules, dag: DagStore) -> None:
        self._rules = rules
        self._dag = dag
        self._learn_paths()

    @classmethod
    def load(cls, files: Iterable[Path], dag: DagStore) -> "Denylist":
        """Read all lists. Raises UsageError: a list that cannot be read must not let everything pass."""
        rules = Rules()
        for path in files:
            try:
                if path.stat().st_size > _FILE_BYTES_MAX:
                    raise UsageError(f"a denylist is above {_FILE_BYTES_MAX >> 20} MiB", where=str(path))
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as fault:
                raise UsageError(f"the denylist cannot be read: {fault}", where=str(path)) from None
            parse(text, str(path), rules)
        return cls(rules, dag)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is denied."""
        return not self._rules

    def check(self, cid: Cid) -> None:
        """Raise Blocked when a rule names this content, or the file it is."""
        rules = self._rules
        if not rules:
            return
        if cid.multihash in rules.allowed:
            return
        if cid.multihash in rules.hashes or self._is_doubled(cid, ""):
            raise _blocked(cid.text())
        if rules.blobs:
            if cid.multihash[:2] == _BLAKE3 and cid.multihash[2:] in rules.blobs:
                raise _blocked(cid.text())
            found = self._dag.slice(cid)
            if found is not None and found.blob.root in rules.blobs:
                raise _blocked(cid.text())
        blob = self._dag.file(cid)
        if blob is not None:
            self.check_blob(blob.root)

    def check_path(self, namespace: str, root: str, segments: Iterable[str]) -> None:
        """Raise Blocked when a rule names this path."""
        rules = self._rules
        if not rules:
            return
        if namespace == "ipns":
            if _name(root) in rules.names:
                raise _blocked(f"/ipns/{root}")
            return
        cid, way = Cid.parse(root), tuple(segments)
        for denied, is_prefix in rules.paths.get(cid.multihash, ()):
            if way == denied or (is_prefix and _begins(way, denied)):
                raise _blocked(f"/ipfs/{root}/{'/'.join(denied)}")
        if way and self._is_doubled(cid, "/".join(way)):
            raise _blocked(f"/ipfs/{root}")

    def check_blob(self, root: bytes) -> None:
        """Raise Blocked when a rule names this blob by BLAKE3 or by any CID that is the whole of it."""
        rules = self._rules
        if not rules:
            return
        if root in rules.blobs or _BLAKE3 + root in rules.hashes:
            raise _blocked(names.hex(root))
        for multihash, whole in self._dag.names_of(root):
            if whole and multihash not in rules.allowed:
                codec = Cid.v1(DAG_PB, multihash)
                doubled = self._is_doubled(codec, "") or self._is_doubled(Cid.v1(RAW, multihash), "")
                if multihash in rules.hashes or doubled:
                    raise _blocked(names.hex(root))

    def _is_doubled(self, cid: Cid, path: str) -> bool:
        if not self._rules.doubles:
            return False
        text = f"{cid.as_v1().text()}/{path}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() in self._rules.doubles

    def _learn_paths(self) -> None:
        """A denied path denies what it leads to; content that comes later is denied by its path alone."""
        for root, ways in self._rules.paths.items():
            for way, is_prefix in ways:
                if is_prefix:
                    continue
                try:
                    end = resolve(Cid.v1(DAG_PB, root), way, self._dag.read).terminal
                except EdgeError:
                    continue
                self._rules.hashes.add(end.multihash)


def _begins(way: tuple[str, ...], denied: tuple[str, ...]) -> bool:
    return "/".join(way).startswith("/".join(denied))


def _blocked(where: str) -> Blocked:
    return Blocked("the operator of this node does not serve this content", where=where)
