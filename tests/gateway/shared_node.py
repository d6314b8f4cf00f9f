"""A node over the trees of `trees`, with names, records and websites: what most tests here ask."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from blockstore import Store
from content import ipns, public_key
from content.cid import LIBP2P_KEY, Cid
from tests.appliance import Node, edge
from tests.gateway.dags import Dags
from tests.gateway.trees import Roots, make_roots

FLAGS = ("--workers", "1", "--offline", "--subdomain-host", "example.com", "--subdomain-host", "localhost")
SOON_S = 1_893_456_000.0  # 2030
PAST_S = 1_600_000_000.0


@dataclass(frozen=True)
class Key:
    """An IPNS name and the key that signs for it."""

    name: Cid
    public: bytes
    private: Ed25519PrivateKey

    @classmethod
    def of(cls, seed: int) -> "Key":
        private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        public = public_key.ed25519_key(private.public_key().public_bytes_raw())
        return cls(Cid.v1(LIBP2P_KEY, public_key.decode(public).name), public, private)

    @property
    def text(self) -> str:
        return ipns.name_text(self.name)

    def record(
        self, value: str, *, expires_s: float = SOON_S, ttl_s: float = 1800, sequence: int = 1
    ) -> bytes:
        return ipns.create(
            self.public, self.private.sign, value, sequence=sequence, expires_s=expires_s, ttl_s=ttl_s
        )


@dataclass(frozen=True)
class Site:
    """The node, what it holds, and its names."""

    node: Node
    dags: Dags
    roots: Roots
    keys: dict[str, Key]

    def block(self, cid: Cid) -> bytes:
        return self.dags.blocks[cid]

    def at(self, cid: Cid, host: str = "example.com") -> dict[str, str]:
        """The Host field of a CID's own origin."""
        return {"Host": f"{cid.as_v1()}.ipfs.{host}"}


DOMAINS = {
    "plain.example": "/ipfs/{website}",
    "deep.example": "/ipfs/{tree}/sub",
    "chain.example": "/ipns/{valid}",
    "chain-two.example": "/ipns/chain.example",
    "loop.example": "/ipns/loop.example",
    "rules.example": "/ipfs/{rules}",
}


def put_records(data: Path, keys: dict[str, Key], roots: Roots) -> None:
    """Records as a node may find them in its store: valid, expired, and wrong in three ways."""
    with_value = f"/ipfs/{roots.tree}"
    valid = keys["valid"].record(with_value, ttl_s=1800)
    wrong_v2 = bytearray(keys["wrong v2"].record(with_value))
    wrong_v2[wrong_v2.rindex(b"\x42\x40") + 5] ^= 1  # in signatureV2 (field 8, 64 bytes)
    wrong_v1 = keys["wrong v1"].record(with_value).replace(b"/ipfs/b", b"/ipfs/z", 1)
    v1_only, v2_only = keys["v1 only"].record(with_value), keys["v2 only"].record(with_value)
    records = {
        "valid": valid,
        "path": keys["path"].record(f"/ipfs/{roots.tree}/sub", ttl_s=0),
        "expired": keys["expired"].record(with_value, expires_s=PAST_S),
        "wrong v2": bytes(wrong_v2),
        "wrong v1": wrong_v1,
        "v1 only": v1_only[: v1_only.rindex(b"\x42\x40")],
        "v2 only": v2_only[v2_only.rindex(b"\x42\x40") :],
        "named": keys["named"].record("/ipns/plain.example"),
    }
    store = Store.open(data)
    try:
        for name, raw in records.items():
            store.dag.put_record(keys[name].name.multihash, raw)
    finally:
        store.close()


KEYS = ("valid", "path", "expired", "wrong v2", "wrong v1", "v1 only", "named", "v2 only")


@contextmanager
def node_over_trees(folder: Path) -> Iterator[Site]:
    """Build, import, serve."""
    data, dags = folder / "data", Dags()
    roots = make_roots(dags)
    keys = {name: Key.of(index + 1) for index, name in enumerate(KEYS)}
    car = dags.car(folder / "all.car", without=roots.absent)
    done = edge(data, "dag", "import", "--allow-incomplete", str(car))
    assert done.returncode == 0, done.stderr
    put_records(data, keys, roots)
    words = {"website": roots.website, "tree": roots.tree, "valid": keys["valid"].text, "rules": roots.rules}
    table = {host: path.format(**words) for host, path in DOMAINS.items()}
    (folder / "dnslinks.json").write_text(json.dumps({"domains": table}))
    with Node(data, *FLAGS, "--dnslink-file", str(folder / "dnslinks.json")) as node:
        yield Site(node, dags, roots, keys)
