"""The operator's denylist in force: what it names is answered 410 under every name it has.

Content is denied by its multihash, so v0, v1 and every codec and base of one block are one thing; a file is
denied with the blob it is, so its BLAKE3 name, proofs and other CIDs go with it. A denied path is followed
where its content is here: what it ends in is denied by its own CID too, and the rule then also holds below
each directory on the way. A prefix (`/ipfs/CID/PATH*`) denies paths only, and every CAR or TAR that would
hold what is below: the files of a denied folder may be everybody's (a licence, a library).

Content that comes after the list was read is met in two ways: whoever goes through a root that rules name
looks the rules up then; and `look_again`, once a second, looks for roots that arrived.

Cost: nothing where no rule is; else a look-up in memory for what was found clear before, some 30 us for
what was not, 2 us more for each leaf of a large file. The memo lasts until content comes or goes.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Final

from content import ipns, multibase, multihash, names
from content.block import BlockMissing
from content.cid import DAG_PB, LIBP2P_KEY, RAW, Cid
from content.path import resolve
from gateway.deny_rules import PathRule, PathRules, Rules, name_key
from gateway.ports import DagStore
from runtime.errors import BadRequest, Blocked, EdgeError

_BLAKE3: Final = b"\x1e\x20"
_CLEAR_MAX: Final = 65_536  # names found clear, 150 bytes each
# Roots of path rules looked for in one turn of `look_again`: 5 us each
_LOOKED_FOR: Final = 1000
# A file is joined into its blob a moment after its last block came: look more than once
_TURNS: Final = 3


class Denylist:
    """The rules in force, asked of every root, path, block and blob that is about to be shown."""

    def __init__(self, rules: Rules, dag: DagStore, generation: Callable[[], int]) -> None:
        """`generation()` changes whenever content is taken away."""
        self._rules = rules
        self._dag = dag
        self._generation = generation
        self._clear: set[bytes] = set()
        self._clear_since = generation()
        self._learned: set[bytes] = set()
        self._derived: PathRules = {}
        self._unlearned: dict[bytes, list[PathRule]] = dict(rules.paths)
        self._arrivals = dag.arrivals() if self._unlearned or rules else 0
        self._turns = _TURNS
        for root in list(self._unlearned):
            self._learn(root)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is denied."""
        return not self._rules

    def look_again(self) -> bool:
        """Learn of content that came; whether memoised decisions may be wrong now. Call once a second."""
        arrivals = self._dag.arrivals()
        if arrivals != self._arrivals:
            self._arrivals = arrivals
            self._turns = _TURNS + len(self._unlearned) // _LOOKED_FOR
        if not self._turns:
            return False
        self._turns -= 1
        self._clear.clear()
        for root in list(self._unlearned)[:_LOOKED_FOR]:
            rules = self._unlearned.pop(root)
            self._unlearned[root] = rules  # to the end: the others have their turn
            self._learn(root)
        return True

    # What is asked

    def check(self, cid: Cid) -> None:
        """Raise Blocked when a rule names this content, or the file it is."""
        if not self._rules or self._is_clear(cid.raw):
            return
        name = cid.multihash
        if name in self._unlearned:
            self._learn(name)
        if name not in self._rules.allowed:
            if name in self._rules.hashes or name in self._learned or self._is_doubled(cid, ""):
                raise _blocked(cid.text())
            found = self._dag.slice(cid) if self._rules.blobs else None
            if found is not None and found.blob.root in self._rules.blobs:
                raise _blocked(cid.text())
            if name[:2] == _BLAKE3 and name[2:] in self._rules.blobs:
                raise _blocked(cid.text())
        blob = self._dag.file(cid)
        if blob is not None:
            self.check_blob(blob.root)
        self._note_clear(cid.raw)

    def check_path(self, namespace: str, root: str, segments: Iterable[str]) -> None:
        """Raise Blocked when a rule names this path, as it was asked for."""
        rules = self._rules
        if not rules:
            return
        if namespace == "ipfs":
            self.check_way((Cid.parse(root),), tuple(segments))
            return
        key, path = name_key(root), "/".join(segments)
        if _denied(rules.names.get(key, ()), path) or self._is_name_doubled(root, path):
            raise _blocked(f"/ipns/{root}")

    def check_way(self, along: Sequence[Cid], segments: Sequence[str]) -> None:
        """Raise Blocked when a rule names what lies `segments` below along[0]; `along`: what is on the way.

        A step for each segment, as UnixFS has it; of any other way only the beginning is looked at.
        """
        if not self._rules:
            return
        steps = along if len(along) == len(segments) + 1 else along[:1]
        for taken, cid in enumerate(steps):
            path = "/".join(segments[taken:])
            if _denied(self._path_rules(cid.multihash), path) or (path and self._is_doubled(cid, path)):
                raise _blocked(f"/ipfs/{cid.text()}/{path}"[:160])

    def check_below(self, cid: Cid, path: str = "") -> None:
        """Raise Blocked when a prefix is denied below a directory, or below `path` in it.

        An exact path needs no such look: what it ends in is denied by its CID, and met when it is read.
        """
        if not self._rules:
            return
        inside = f"{path}/" if path else ""
        for rule in self._path_rules(cid.multihash):
            if rule.denies and rule.is_prefix and rule.path.startswith(inside):
                raise _blocked(f"/ipfs/{cid.text()}/{rule.path}"[:160])

    def check_blob(self, root: bytes) -> None:
        """Raise Blocked when a rule names this blob by BLAKE3 or by any CID that is the whole of it."""
        rules = self._rules
        if not rules or self._is_clear(root):
            return
        own = _BLAKE3 + root
        if root in rules.blobs:
            raise _blocked(names.hex(root))
        for name in (own, *self._dag.whole_names(root)):
            if name in rules.allowed:
                continue
            if name in rules.hashes or name in self._learned or self._is_doubled(Cid.v1(RAW, name), ""):
                raise _blocked(names.hex(root))
        self._note_clear(root)

    # How it is known

    def _is_clear(self, name: bytes) -> bool:
        generation = self._generation()
        if generation != self._clear_since:
            self._clear, self._clear_since = set(), generation
        return name in self._clear

    def _note_clear(self, name: bytes) -> None:
        if len(self._clear) >= _CLEAR_MAX:
            self._clear.clear()
        self._clear.add(name)

    def _path_rules(self, root: bytes) -> Iterable[PathRule]:
        if root in self._unlearned:
            self._learn(root)
        return chain(self._rules.paths.get(root, ()), self._derived.get(root, ()))

    def _learn(self, root: bytes) -> None:
        """Follow the rules of a root as far as its content is here."""
        left = []
        for rule in self._unlearned.pop(root, ()):
            try:
                self._follow(root, rule)
            except BlockMissing:
                left.append(rule)
            except EdgeError:
                continue  # it leads nowhere, and content never changes
        if left:
            self._unlearned[root] = left

    def _follow(self, root: bytes, rule: PathRule) -> None:
        way = tuple(rule.path.split("/")) if rule.path else ()
        steps = way[:-1] if rule.is_prefix else way
        found = resolve(Cid.v1(DAG_PB, root), steps, self._dag.read)
        if not rule.is_prefix and rule.denies and _denied(self._rules.paths[root], rule.path):
            self._learned.add(found.terminal.multihash)
            self._clear.clear()
        for taken, cid in enumerate(found.along[1:], 1):
            rest = PathRule("/".join(way[taken:]), rule.is_prefix, rule.denies)
            if rest.path:
                self._derived.setdefault(cid.multihash, []).append(rest)

    def _is_doubled(self, cid: Cid, path: str) -> bool:
        codes = self._rules.double_codes
        if not codes:
            return False
        modern = multibase.encode("z", cid.multihash)[1:] + (f"/{path}" if path else "")
        # The old form names a CID with its codec; the block is one thing under each
        codecs = dict.fromkeys((cid.codec, DAG_PB, RAW))
        texts = (modern, *(f"{Cid.v1(codec, cid.multihash).text()}/{path}" for codec in codecs))
        return self._any_doubled(texts)

    def _is_name_doubled(self, name: str, path: str) -> bool:
        if not self._rules.double_codes:
            return False
        try:
            key = ipns.parse_name(name).multihash
        except BadRequest:
            modern, old = f"/ipns/{name.lower()}", name.lower()
        else:
            modern, old = multibase.encode("z", key)[1:], Cid.v1(LIBP2P_KEY, key).text()
        return self._any_doubled((modern, f"{old}/", f"{modern}/{path}", f"{old}/{path}"))

    def _any_doubled(self, texts: Iterable[str]) -> bool:
        raws = [text.encode("utf-8", "surrogateescape") for text in texts]
        return any(
            multihash.of(code, raw) in self._rules.doubles
            for code in self._rules.double_codes
            for raw in raws
        )


def _denied(rules: Iterable[PathRule], path: str) -> bool:
    """Whether the last rule that matches denies."""
    denies = False
    for rule in rules:
        if rule.matches(path):
            denies = rule.denies
    return denies


def _blocked(where: str) -> Blocked:
    return Blocked("the operator of this node does not serve this content", where=where)
