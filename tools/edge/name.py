"""`fleek-edge name put | resolve | ls`: IPNS names and their records."""

from pathlib import Path
from typing import Final

import click

from content import cid as codecs
from content import ipns
from content.cid import Cid
from runtime.clock import SystemClock
from runtime.errors import NotFound
from tools.edge import walk
from tools.edge.invocation import Invocation, command


class NameType(click.ParamType[Cid]):
    """An argument that is an IPNS name: a CID of codec libp2p-key, or a peer id."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Cid:
        """The name. Raises BadRequest."""
        return value if isinstance(value, Cid) else ipns.parse_name(str(value).removeprefix("/ipns/"))


_FILE_BYTES_MAX: Final = ipns.MAX_RECORD_BYTES + 1


@click.group()
def name() -> None:
    """Keep and resolve IPNS names.

    \b
    Example:
      fleek-edge name put --name k51q… k51q….ipns-record
      fleek-edge name resolve k51q…
    """


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
    now_s = SystemClock().now_s()
    record = ipns.verified(name_, raw, now_s)
    with invocation.store(create=True) as store:
        kept = store.dag.record(name_.multihash)
        newest = record
        if kept is not None:
            newest = ipns.newer(record, ipns.unchecked(name_, kept))
        if newest is record:
            store.dag.put_record(name_.multihash, raw)
    _tell(invocation, name_, newest)


@name.command()
@click.argument("name_", metavar="NAME", type=NameType())
@command
def resolve(invocation: Invocation, name_: Cid) -> None:
    """Print the path that a name's record here points at.

    \b
    Example:
      fleek-edge name resolve k51q…
    """
    with invocation.store() as store:
        raw = store.dag.record(name_.multihash)
    if raw is None:
        raise NotFound("no record is kept for this name", where=ipns.name_text(name_))
    _tell(invocation, name_, ipns.verified(name_, raw, SystemClock().now_s()))


@name.command()
@command
def ls(invocation: Invocation) -> None:
    """List the names with a record here.

    \b
    Example:
      fleek-edge name ls --json
    """
    with invocation.store() as store:
        for multihash in store.dag.record_names():
            name_ = Cid.v1(codecs.LIBP2P_KEY, multihash)
            raw = store.dag.record(multihash)
            if raw is not None:
                _tell(invocation, name_, ipns.unchecked(name_, raw), names_only=True)


def _tell(invocation: Invocation, name_: Cid, record: ipns.Record, *, names_only: bool = False) -> None:
    text = ipns.name_text(name_)
    fields = {
        "name": text,
        "value": record.value,
        "sequence": record.sequence,
        "ttl_s": record.ttl_s,
        "expires_s": record.expires_s,
    }
    invocation.out.record(fields, f"{text}  {record.value}" if names_only else record.value, flush=True)
