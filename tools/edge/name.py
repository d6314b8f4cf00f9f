"""`fleek-edge name publish | resolve | put | get | ls`: IPNS names and their records."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from blockstore import Store
from content import cid as codecs
from content import ipns
from content.cid import Cid
from content.private_key import PrivateKey
from content.public_key import KeyKind
from node.keystore import DEFAULT, Keystore, generate
from node.values import duration_s
from origins.routers import Offered
from runtime.clock import SystemClock
from runtime.errors import BadRequest, NotFound, Unreachable, UsageError
from tools.edge.invocation import Invocation, command
from tools.edge.named import ContentPath
from tools.edge.named import Path as PathType
from tools.edge.naming import Naming
from tools.edge.token_file import token_from
from tools.frame import walk

_FILE_BYTES_MAX: Final = ipns.MAX_RECORD_BYTES + 1
_DAY_S: Final = 86_400.0
# A record of a few seconds ends before anybody has it; of a century cannot be taken back
_LIFETIME_S: Final = (60.0, 3650 * _DAY_S)
_SEQUENCE_MAX: Final = 1 << 63


class NameType(click.ParamType[Cid]):
    """An argument that is an IPNS name: a CID of codec libp2p-key, or a peer id."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Cid:
        """The name. Raises BadRequest."""
        return value if isinstance(value, Cid) else ipns.parse_name(str(value).removeprefix("/ipns/"))


@click.group()
def name() -> None:
    """Publish, keep and resolve IPNS names.

    \b
    Example:
      fleek-edge name publish /ipfs/bafybei…
      fleek-edge name resolve k51q…
    """


@name.command()
@click.argument("path", metavar="PATH", type=PathType())
@click.option(
    "--key", "key_name", metavar="NAME", default=DEFAULT, show_default=True, help="Signs the record."
)
@click.option("--lifetime", metavar="TIME", default="48h", show_default=True, help="How long it is good.")
@click.option("--ttl", metavar="TIME", default="5m", show_default=True, help="How long others may cache it.")
@click.option("--offline", is_flag=True, help="Keep it here; tell no router.")
@click.option("--token-file", type=click.Path(path_type=Path), help="Bearer token for the routers.")
@command
def publish(invocation: Invocation, /, path: ContentPath, key_name: str, **options: Any) -> None:
    """Point a key's name at a path, signed, above every record known before.

    The record is kept here and handed to the routers of [origins]; a node that runs here renews it. The key
    `self` is made when it is first used; `fleek-edge key gen` makes others. Exit 6 when no router took it.

    \b
    Example:
      fleek-edge name publish /ipfs/bafybei…
      fleek-edge name publish --key site --lifetime 7d --ttl 1h /ipfs/bafybei…/public
    """
    lifetime_s = _duration("--lifetime", options["lifetime"])
    if not _LIFETIME_S[0] <= lifetime_s <= _LIFETIME_S[1]:
        raise UsageError("a record is good for a minute to ten years", where="--lifetime")
    ttl_s = min(_duration("--ttl", options["ttl"]), lifetime_s)
    token = None if options["token_file"] is None else token_from(options["token_file"])
    config = invocation.config()
    offline = options["offline"] or config.node.offline
    with invocation.store(create=True) as store:
        keys = Keystore(config.node.data)
        key = _key(keys, key_name)
        naming = Naming(config, store, offline=offline)
        naming.refresh(key.name)  # so that the new one is above what others have
        record = _signed(store, key, path, lifetime_s, ttl_s)
        keys.set_lifetime(key_name, lifetime_s)
        offered = [] if offline else naming.routers.offer(key.name, record.raw, token)
    for each in offered:
        if each.problem:
            invocation.out.warn(f"not taken by {each.router}: {each.problem}")
    text = ipns.name_text(key.name)
    fields = {**_fields(key.name, record), "key": key_name, "routers": _routers(offered)}
    invocation.out.record(fields, f"{text}  {record.value}", flush=True)
    if offered and all(each.problem for each in offered):
        hint = "the record is kept here; publish again, or --offline"
        raise Unreachable("no router took the record", where=text, hint=hint)


@name.command()
@click.option("--name", "name_", metavar="NAME", type=NameType(), required=True, help="The record's name.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@command
def put(invocation: Invocation, name_: Cid, file: Path) -> None:
    """Keep a signed record, after checking it against its name.

    Exit 4 when the name's key did not sign it. A record that is older than the one here is not taken.

    \b
    Example:
      fleek-edge name put --name k51q… k51q….ipns-record
    """
    try:
        with file.open("rb") as opened:
            raw = opened.read(_FILE_BYTES_MAX)
    except OSError as fault:
        raise walk.translated(fault, str(file)) from None
    with invocation.store(create=True) as store:
        record = Naming(invocation.config(), store).names.keep(name_, raw)
    invocation.out.record(_fields(name_, record), record.value, flush=True)


@name.command()
@click.argument("name_", metavar="NAME")
@click.option("--nocache", is_flag=True, help="Ask the routers first, whatever is known here.")
@click.option("--offline", is_flag=True, help="Only by what is known here.")
@command
def resolve(invocation: Invocation, name_: str, nocache: bool, offline: bool) -> None:
    """Print the /ipfs path that a name leads to.

    An IPNS name by its record here, else by one that a router or gateway of [origins] has; a domain by the
    DNSLink table, else by the DNS; names that point at names are followed. Exit 4 when a record is not valid
    (any more).

    \b
    Example:
      fleek-edge name resolve k51q…
      fleek-edge name resolve docs.example.org --json
    """
    text = name_.removeprefix("ipns://").removeprefix("/ipns/").rstrip("/")
    with invocation.store() as store:
        naming = Naming(invocation.config(), store, offline=offline)
        known = _parsed(text)
        if nocache and known is not None:
            naming.refresh(known)
        followed = naming.follow(text)
        record = None if known is None else naming.names.record(known)
    path = "/".join(("", "ipfs", followed.root.text(), *followed.segments))
    fields: dict[str, Any] = {"name": text, "value": path, "sequence": None, "expires_s": None}
    fields |= {} if known is None or record is None else _fields(known, record)
    fields |= {"path": path, "ttl_s": followed.ttl_s}
    invocation.out.record(fields, path, flush=True)
    if record is not None:
        left_s = record.expires_s - SystemClock().now_s()
        invocation.out.note(f"good for {left_s / 3600:.1f} h more, sequence {record.sequence}")


@name.command()
@click.argument("name_", metavar="NAME", type=NameType())
@command
def get(invocation: Invocation, name_: Cid) -> None:
    """Write a name's record to standard output, as other IPFS tools read it.

    \b
    Example:
      fleek-edge name get k51q… > k51q….ipns-record
    """
    with invocation.store() as store:
        raw = store.dag.record(name_.multihash)
    if raw is None:
        raise NotFound("no record is kept for this name", where=ipns.name_text(name_))
    if sys.stdout.isatty():
        raise UsageError("a record is binary data", where="stdout", hint="redirect it: > FILE")
    sys.stdout.buffer.write(raw)
    sys.stdout.buffer.flush()


@name.command()
@command
def ls(invocation: Invocation) -> None:
    """List the names with a record here.

    \b
    Example:
      fleek-edge name ls --json
    """
    now_s = SystemClock().now_s()
    with invocation.store() as store:
        for multihash in store.dag.record_names():
            name_ = Cid.v1(codecs.LIBP2P_KEY, multihash)
            raw = store.dag.record(multihash)
            if raw is not None:
                record = ipns.unchecked(name_, raw)
                ended = "  expired" if record.expires_s <= now_s else ""
                plain = f"{ipns.name_text(name_)}  {record.value}{ended}"
                invocation.out.record(_fields(name_, record), plain, flush=True)


def _key(keys: Keystore, key_name: str) -> PrivateKey:
    """The key to sign with; `self` is made when it is missing."""
    if key_name == DEFAULT and DEFAULT not in keys.names():
        keys.put(DEFAULT, generate(KeyKind.ED25519))
    return keys.get(key_name)


def _signed(store: Store, key: PrivateKey, path: ContentPath, lifetime_s: float, ttl_s: float) -> ipns.Record:
    """A record of `path` above the one that is kept, kept in its place."""
    kept = store.dag.record(key.name.multihash)
    sequence = 0 if kept is None else ipns.unchecked(key.name, kept).sequence + 1
    if sequence >= _SEQUENCE_MAX:
        raise UsageError("the name has no sequence numbers left", where=ipns.name_text(key.name))
    now_s = SystemClock().now_s()
    raw = ipns.create(
        key.public, key.sign, str(path), sequence=sequence, expires_s=now_s + lifetime_s, ttl_s=ttl_s
    )
    record = ipns.verified(key.name, raw, now_s)
    store.dag.put_record(key.name.multihash, raw)
    return record


def _fields(name_: Cid, record: ipns.Record) -> dict[str, Any]:
    return {
        "name": ipns.name_text(name_),
        "value": record.value,
        "sequence": record.sequence,
        "ttl_s": record.ttl_s,
        "expires_s": record.expires_s,
    }


def _routers(offered: list[Offered]) -> list[dict[str, Any]]:
    return [
        {"router": each.router, "accepted": not each.problem, "problem": each.problem or None}
        for each in offered
    ]


def _parsed(text: str) -> Cid | None:
    """The IPNS name; None for a domain. Raises BadRequest for what is neither."""
    try:
        return ipns.parse_name(text)
    except BadRequest:
        if "." in text:
            return None
        raise


def _duration(flag: str, text: str) -> float:
    try:
        return duration_s(text)
    except ValueError as fault:
        raise UsageError(f"{flag} {fault}", where=flag) from None
