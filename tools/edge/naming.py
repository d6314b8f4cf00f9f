"""From a path to a CID: names are followed over local records and the DNSLink table, then asked for.

Called by every command that takes `/ipns/NAME` or a path behind a CID. What asks is loaded when somebody is
asked: most calls name content that is here, and a third of their time would be this.
"""

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Final

from blockstore import Store
from content import ipns
from content.cid import Cid
from content.path import resolve
from gateway.dnslinks import DnsLinks
from gateway.mutable import Followed, Names, NameUnknown
from node.config import Config
from runtime.clock import SystemClock
from runtime.errors import BadRequest, EdgeError, NotFound, Unverified
from tools.edge.invocation import Invocation
from tools.edge.named import ContentPath

if TYPE_CHECKING:
    from origins.routers import Routers

# Each step of a chain is asked for at most once; longer chains are refused by `Names` as well
_ASKS_MAX: Final = 32


class Naming:
    """Names, as one command sees them."""

    def __init__(self, config: Config, store: Store, *, offline: bool = False) -> None:
        """`offline`: nobody is asked, whatever the configuration says."""
        clock = SystemClock()
        self._links = DnsLinks.load(config.gateway.dnslink_file, clock.tick_s)
        self.names = Names(store.dag, self._links, clock.now_s)
        self._offline = offline or config.node.offline
        self._asks_dns = config.gateway.dnslink_dns and not self._offline
        self._config = config

    @cached_property
    def routers(self) -> "Routers":
        """Who is asked for records of names, and handed new ones."""
        routers: Routers = import_module("origins.routers").Routers(self._config.origins)
        return routers

    def follow(self, name_text: str) -> Followed:
        """Where `/ipns/<name_text>` leads. Raises NotFound, Unverified, Unreachable, BadRequest."""
        asked: set[bytes | str] = set()
        while True:
            try:
                return self.names.follow(name_text)
            except NameUnknown as unknown:
                key = unknown.host if unknown.name is None else unknown.name.multihash
                if key in asked or len(asked) >= _ASKS_MAX or not self._ask(unknown):
                    raise _unknown(unknown, asked=not self._offline) from None
                asked.add(key)
            except Unverified:  # what is here has ended: somebody may have a newer one
                name = ipns.parse_name(name_text)
                if name.multihash in asked or not self.refresh(name):
                    raise
                asked.add(name.multihash)

    def refresh(self, name: Cid) -> bool:
        """Ask for newer records of a name and keep the newest; whether anybody had a valid one."""
        found = False
        for raw in () if self._offline else self.routers.records(name):
            try:
                self.names.keep(name, raw)
                found = True
            except EdgeError:
                continue  # a router of lies, or of old news
        return found

    def _ask(self, unknown: NameUnknown) -> bool:
        if unknown.name is not None:
            return self.refresh(unknown.name)
        if not self._asks_dns:
            return False
        path, ttl_s = import_module("net.dnslink").lookup_alone(unknown.host)
        self._links.learn(unknown.host, path, ttl_s)
        return path is not None


def resolved(invocation: Invocation, store: Store, path: ContentPath) -> Cid:
    """The CID at the end of a path. Raises BadRequest, NotFound, BlockMissing, and as `Naming.follow`."""
    if path.namespace == "ipfs":
        root, segments = Cid.parse(path.root), path.segments
    else:
        followed = Naming(invocation.config(), store).follow(path.root)
        root, segments = followed.root, (*followed.segments, *path.segments)
    return terminal(store, root, segments)


def terminal(store: Store, root: Cid, segments: tuple[str, ...]) -> Cid:
    """The CID that `segments` below `root` lead to. Raises BadRequest, NotFound, BlockMissing."""
    found = resolve(root, segments, store.dag.read)
    if found.remainder:
        raise BadRequest("the path ends inside a block", where="/".join((root.text(), *segments))[:200])
    return found.terminal


def _unknown(unknown: NameUnknown, *, asked: bool) -> EdgeError:
    hint = "nobody who was asked has a record" if asked else "offline: only records that are here count"
    return NotFound("the name cannot be resolved", where=unknown.where, hint=hint)
