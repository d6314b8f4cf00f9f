"""Names that change: IPNS and DNSLink, followed to an immutable root. Synchronous, over what is known here.

Source: the IPNS and DNSLink specifications. A name that is not known is `NameUnknown`: whoever may dial
out asks for it and comes again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from content import ipns
from content.cid import Cid
from gateway.content_request import split_path
from gateway.ports import DagStore, Links
from runtime.errors import BadRequest, Unreachable, Unverified

# Longer chains mean a loop; kubo stops at 32 as well
_HOPS_MAX: Final = 32
# However short a record's time to live: nobody is asked more often for one name by one worker
_AGAIN_S: Final = 5.0
_DUE_MAX: Final = 4096  # names, 200 bytes each


class NameUnknown(Unreachable):
    """A name that nobody here knows; `name` is the IPNS name or `host` the domain to ask for.

    `kept`: a valid record is here, and old enough to ask for a newer one. `absent`: the DNS was asked lately,
    and has nothing: to ask again is vain.
    """

    def __init__(
        self,
        name: Cid | None,
        host: str,
        why: str = "no record is known here",
        *,
        kept: bool = False,
        absent: bool = False,
    ) -> None:
        text = ipns.name_text(name) if name is not None else host
        super().__init__("could not resolve name", where=f"/ipns/{text}", hint=f"{why}, and nobody had one")
        self.name, self.host, self.kept, self.absent = name, host, kept, absent


@dataclass(frozen=True, slots=True)
class Followed:
    """Where a name leads, and for how many seconds that may be believed."""

    root: Cid
    segments: tuple[str, ...]
    ttl_s: float


class Names:
    """Follows names over local records and known DNSLinks."""

    def __init__(self, dag: DagStore, links: Links, now_s: Callable[[], float]) -> None:
        self._dag = dag
        self._links = links
        self._now_s = now_s
        self._due_s: dict[bytes, float] = {}  # when to ask for a record again

    def follow(
        self,
        name_text: str,
        check: Callable[[str, tuple[str, ...]], None] = lambda _name, _segments: None,
        *,
        asks: bool = False,
    ) -> Followed:
        """Where `/ipns/<name_text>` leads; `check` may refuse any name, and path under it, on the way.

        `asks`: a record whose time to live is over is to be asked for again first. Raises NameUnknown,
        BadRequest.
        """
        segments: tuple[str, ...] = ()
        ttl_s = float("inf")
        for _ in range(_HOPS_MAX):
            check(name_text, segments)
            path, seconds = self._one(name_text, asks=asks)
            ttl_s = min(ttl_s, seconds)
            namespace, root_text, more = _parts(path)
            segments = (*more, *segments)
            if namespace == "ipfs":
                return Followed(Cid.parse(root_text), segments, ttl_s)
            name_text = root_text
        raise Unreachable(f"names lead on for more than {_HOPS_MAX} steps", where=f"/ipns/{name_text}")

    def record(self, name: Cid) -> ipns.Record:
        """The valid record of a name that is kept here. Raises NameUnknown, also for one that is over."""
        raw = self._dag.record(name.multihash)
        if raw is None:
            raise NameUnknown(name, "")
        try:
            return ipns.verified(name, raw, self._now_s())
        except (Unverified, BadRequest) as error:
            raise NameUnknown(name, "", error.message) from None

    def fresh_s(self, record: ipns.Record) -> float:
        """Seconds that a record may be believed: what it says, and never beyond its end."""
        return max(0.0, min(record.ttl_s, record.expires_s - self._now_s()))

    def asked(self, name: Cid) -> None:
        """Others were asked for the record of a name: the one here counts for its time to live."""
        kept = self._kept(name)
        ttl_s = 0.0 if kept is None else self.fresh_s(kept)
        while len(self._due_s) >= _DUE_MAX:
            del self._due_s[next(iter(self._due_s))]
        self._due_s[name.multihash] = self._now_s() + max(ttl_s, _AGAIN_S)

    def keep(self, name: Cid, raw: bytes) -> ipns.Record:
        """Keep a record, if it is valid and no older than the one here; returns the one that counts.

        Raises Unverified, BadRequest.
        """
        record = ipns.verified(name, raw, self._now_s())
        kept = self._kept(name)
        if kept is not None and ipns.newer(record, kept) is not record:
            return kept
        if kept is None or kept.raw != raw:
            self._dag.put_record(name.multihash, raw)
        return record

    def _kept(self, name: Cid) -> ipns.Record | None:
        """What lies here for a name, unless it cannot even be read; whether it is valid is not asked."""
        raw = self._dag.record(name.multihash)
        try:
            return None if raw is None else ipns.unchecked(name, raw)
        except (Unverified, BadRequest):
            return None

    def _one(self, name_text: str, *, asks: bool) -> tuple[str, float]:
        try:
            name = ipns.parse_name(name_text)
        except BadRequest:
            if "." not in name_text:
                raise
            host = name_text.lower()
            link = self._links.link(host)
            if link is None:
                raise NameUnknown(None, host, absent=self._links.is_absent(host)) from None
            return link
        record = self.record(name)
        if asks and self._due_s.get(name.multihash, 0.0) <= self._now_s():
            raise NameUnknown(name, "", "the record here may be old", kept=True)
        return record.value, self.fresh_s(record)


def _parts(path: str) -> tuple[str, str, tuple[str, ...]]:
    """(namespace, root, segments) of `/ipfs/…` or `/ipns/…`. Raises BadRequest."""
    parts = path.split("/", 3)
    if len(parts) < 3 or parts[0] or parts[1] not in ("ipfs", "ipns") or not parts[2]:
        raise BadRequest("a name points at what is neither /ipfs/ nor /ipns/", where=path[:160])
    return parts[1], parts[2], split_path(parts[3] if len(parts) == 4 else "")
