"""The denylist on a running node: whatever name a rule gives a thing, every other name of it is 410 too."""

import hashlib
import http.client
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import blake3
import pytest

from blockstore import Store
from content import multibase, multihash, names
from content.cid import DAG_PB, LIBP2P_KEY, RAW, Cid
from tests.appliance import Node, ask, edge, eventually
from tests.gateway.cases import Case, car_of, check_all
from tests.gateway.dags import FRAMED, Dags
from tests.gateway.shared_node import Key

LARGE = bytes(index * 7 % 255 for index in range(5_000))
KEYS = {name: Key.of(61 + index) for index, name in enumerate(("denied", "leads", "hop", "doubled", "half"))}
DOMAINS = [f"{name}.example" for name in ("bad", "half", "hop", "doubled", "old-doubled", "fine")]
BYTES = ["fine", "by hash", "by double", "by old double", "by blake3 double", "by path", "double path"]
BYTES += ["photo", "photo ok", "deep", "allowed", "twice"]


@dataclass(frozen=True)
class Denied:
    """A node with rules, and what they name."""

    node: Node
    dags: Dags
    cids: dict[str, Cid]


def b58(name: bytes) -> str:
    return multibase.encode("z", name)[1:]


def trees(dags: Dags) -> dict[str, Cid]:
    """Everything a rule may name, each with contents of its own."""
    cids = {name: dags.raw(f"the {name}".encode()) for name in BYTES}
    cids["large"] = dags.file(LARGE)
    cids["framed"] = dags.file(LARGE, FRAMED)
    cids["blob"] = dags.file(LARGE[::-1])
    cids["photos"] = dags.directory(
        {"photo1.jpg": cids["photo"], "photo-ok.jpg": cids["photo ok"], "other.txt": cids["fine"]}
    )
    cids["parent"] = dags.directory({"in": cids["photos"], "fine": cids["fine"]})
    cids["inner"] = dags.directory({"secret.txt": cids["by path"], "bx": cids["deep"], "ok": cids["fine"]})
    cids["outer"] = dags.directory({"inner": cids["inner"], "double": cids["double path"]})
    cids["holder"] = dags.directory({"a-fine": cids["fine"], "large": cids["large"], "z": cids["photo ok"]})
    cids["site"] = dags.directory({"index.html": cids["large"], "fine": cids["fine"]})
    rules = dags.raw(b"/moved /large 200\n/gone /large 404\n")
    cids["rewriting"] = dags.directory({"_redirects": rules, "large": cids["large"]})
    return cids


def rules_for(cids: dict[str, Cid]) -> str:
    def doubled(text: str, code: int = 0x12) -> str:
        return "//" + b58(multihash.of(code, text.encode()))

    old = hashlib.sha256(f"{Cid.v1(DAG_PB, cids['by old double'].multihash)}/".encode()).hexdigest()
    lines = [
        f"/ipfs/{cids['large']}",
        f"/ipfs/{cids['by hash']} status:gone",
        "/blake3/" + bytes(blake3.blake3(LARGE[::-1]).digest()).hex(),
        doubled(b58(cids["by double"].multihash)),
        doubled(b58(cids["by blake3 double"].multihash), 0x1E),
        f"//{old}",
        doubled(f"{b58(cids['outer'].multihash)}/double"),
        f"/ipfs/{cids['photos']}/photo*",
        f"!/ipfs/{cids['photos']}/photo-ok.jpg",
        f"/ipfs/{cids['outer']}/inner/secret.txt",
        f"/ipfs/{cids['outer']}/inner/b*",
        f"/ipfs/{cids['allowed']}",
        f"!/ipfs/{cids['allowed']}",
        f"!/ipfs/{cids['twice']}",
        f"/ipfs/{cids['twice']}",
        f"/ipns/{KEYS['denied'].text}",
        f"/ipns/{KEYS['half'].text}/in/*",
        "/ipns/bad.example",
        "/ipns/half.example/in",
        doubled("/ipns/doubled.example"),
        "//" + hashlib.sha256(b"old-doubled.example/").hexdigest(),
        doubled(b58(KEYS["doubled"].name.multihash)),
        "this is no rule",
    ]
    return "version: 1\n---\n# a list\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def denied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Denied]:
    folder = tmp_path_factory.mktemp("denied")
    data, dags = folder / "data", Dags()
    cids = trees(dags)
    done = edge(data, "dag", "import", str(dags.car(folder / "all.car")))
    assert done.returncode == 0, done.stderr
    store = Store.open(data)
    for name, key in KEYS.items():
        value = f"/ipns/{KEYS['denied'].text}" if name == "hop" else f"/ipfs/{cids['parent']}"
        value = f"/ipfs/{cids['holder']}" if name == "leads" else value
        store.dag.put_record(key.name.multihash, key.record(value))
    store.close()
    links = dict.fromkeys(DOMAINS, f"/ipfs/{cids['parent']}") | {"hop.example": "/ipns/bad.example"}
    (folder / "links.json").write_text(json.dumps(links))
    (folder / "list.deny").write_text(rules_for(cids))
    flags = ("--denylist", str(folder / "list.deny"), "--dnslink-file", str(folder / "links.json"))
    with Node(data, "--workers", "1", "--offline", *flags) as node:
        yield Denied(node, dags, cids)


def gone(path: str, headers: dict[str, str] | None = None) -> Case:
    return Case(path, 410, headers or {}, contains=("does not serve this content",))


def there(path: str, headers: dict[str, str] | None = None) -> Case:
    return Case(path, 200, headers or {})


def test_a_denied_file_is_denied_under_every_name_it_has(denied: Denied) -> None:
    large, framed = denied.cids["large"], denied.cids["framed"]
    v0 = b58(large.multihash)
    blob = f"/blake3/{bytes(blake3.blake3(LARGE).digest()).hex()}"
    texts = [large.text(), v0, large.text("k"), large.text("f"), large.text("z"), framed.text()]
    texts += [Cid.v1(RAW, large.multihash).text(), framed.as_v1().text()]
    cases = [gone(f"/ipfs/{text}{query}") for text in texts for query in ("", "?format=raw", "?format=car")]
    cases += [gone(f"/ipfs/{large}?format={form}") for form in ("bao", "bao-outboard", "tar")]
    cases += [
        gone(f"/ipfs/{large}", {"Range": "bytes=0-1"}),
        gone(f"/ipfs/{large}", {"If-None-Match": "*"}),
        gone("/", {"Host": f"{large}.ipfs.localhost"}),
        gone("/", {"Host": f"{framed.as_v1()}.ipfs.localhost"}),
        gone(f"/ipfs/{denied.cids['holder']}/large"),
        gone(f"/ipns/{KEYS['leads'].text}/large"),
        gone(f"/ipfs/{denied.cids['site']}/"),
        gone("/moved", {"Host": f"{denied.cids['rewriting']}.ipfs.localhost"}),
        gone("/gone", {"Host": f"{denied.cids['rewriting']}.ipfs.localhost"}),
        there(f"/ipfs/{denied.cids['holder']}/"),
        there(f"/ipfs/{denied.cids['holder']}/a-fine"),
        there(f"/ipfs/{denied.cids['site']}/fine"),
    ]
    check_all(denied.node, cases)
    other = names.cid(bytes(blake3.blake3(LARGE).digest()))
    for path in (blob, f"{blob}?format=bao", f"{blob}?format=bao-chunk&entity-bytes=0:5", f"/blake3/{other}"):
        for method in ("GET", "HEAD"):
            assert denied.node.request(method, path).status == 410, path
    for text in texts:
        assert denied.node.get(f"/routing/v1/providers/{text}").status == 410


def test_a_denied_blob_is_denied_under_every_cid(denied: Denied) -> None:
    blob = denied.cids["blob"]
    check_all(denied.node, [gone(f"/ipfs/{blob}"), gone(f"/ipfs/{blob}?format=car")])
    inner, *_ = denied.dags.children(blob)
    check_all(denied.node, [gone(f"/ipfs/{leaf}?format=raw") for leaf in denied.dags.children(inner)])
    assert denied.node.get("/blake3/" + bytes(blake3.blake3(LARGE[::-1]).digest()).hex()).status == 410


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("by hash", 410),
        ("by double", 410),
        ("by old double", 410),
        ("by blake3 double", 410),
        ("double path", 200),
        ("by path", 410),
        ("twice", 410),
        ("allowed", 200),
        ("fine", 200),
        ("photo", 200),
    ],
)
def test_each_form_of_rule(denied: Denied, name: str, status: int) -> None:
    cid = denied.cids[name]
    check_all(denied.node, [Case(f"/ipfs/{text}", status) for text in (cid, cid.text("k"))])
    hashed = bytes(blake3.blake3(f"the {name}".encode()).digest()).hex()
    assert denied.node.get(f"/blake3/{hashed}").status == status


def test_a_denied_path_is_denied_from_every_root_that_leads_to_it(denied: Denied) -> None:
    cids = denied.cids
    check_all(
        denied.node,
        [
            gone(f"/ipfs/{cids['outer']}/inner/secret.txt"),
            gone(f"/ipfs/{cids['inner']}/secret.txt"),
            gone(f"/ipfs/{cids['outer']}/inner/bx"),
            gone(f"/ipfs/{cids['inner']}/bx"),
            gone(f"/ipfs/{cids['outer']}/double"),
            there(f"/ipfs/{cids['outer']}/inner/ok"),
            there(f"/ipfs/{cids['outer']}/inner/"),
            gone(f"/ipfs/{cids['photos']}/photo1.jpg"),
            gone(f"/ipfs/{cids['photos']}/./photo1.jpg"),
            gone(f"/ipfs/{cids['photos']}/%70hoto1.jpg"),
            gone(f"/ipfs/{cids['photos']}/photo-none"),
            gone(f"/ipfs/{cids['parent']}/in/photo1.jpg"),
            there(f"/ipfs/{cids['photos']}/photo-ok.jpg"),
            there(f"/ipfs/{cids['parent']}/in/other.txt"),
        ],
    )


def test_no_car_and_no_tar_holds_what_is_denied(denied: Denied) -> None:
    """At its root 410; further down the body breaks off before the block leaves."""
    cids, node = denied.cids, denied.node
    check_all(
        node,
        [
            Case(f"/ipfs/{cids['photos']}?format=car&dag-scope=block"),
            Case(f"/ipfs/{cids['photos']}?format=car&dag-scope=entity"),
        ],
    )
    for name in ("photos", "parent", "holder", "outer", "inner"):
        for query in ("format=car", "format=car&car-dups=y", "format=tar"):
            try:
                reply = node.get(f"/ipfs/{cids[name]}?{query}")
            except (http.client.HTTPException, ConnectionError) as broken:
                sent = getattr(broken, "partial", b"")
                assert LARGE[:1000] not in sent
                assert b"the photo" not in sent
            else:
                assert reply.status == 410, (name, query)
            assert node.request("HEAD", f"/ipfs/{cids[name]}?{query}").status == 410, (name, query)
    assert cids["fine"] in car_of(Case(f"/ipfs/{cids['fine']}?format=car").check(node))


def test_denied_names_lead_nowhere_also_through_others(denied: Denied) -> None:
    key = {name: each.text for name, each in KEYS.items()}
    check_all(
        denied.node,
        [
            gone(f"/ipns/{key['denied']}/fine"),
            gone(f"/ipns/{key['denied']}?format=ipns-record"),
            gone(f"/ipns/{key['hop']}/fine"),
            gone(f"/ipns/{key['doubled']}/fine"),
            gone("/fine", {"Host": f"{key['denied']}.ipns.localhost"}),
            gone(f"/ipns/{key['half']}/in/other.txt"),
            there(f"/ipns/{key['half']}/fine"),
            gone("/ipns/bad.example/fine"),
            gone("/ipns/BAD.example/fine"),
            gone("/fine", {"Host": "bad.example"}),
            gone("/fine", {"Host": "bad-example.ipns.localhost"}),
            gone("/ipns/hop.example/fine"),
            gone("/ipns/half.example/in"),
            there("/ipns/half.example/in/other.txt"),
            there("/ipns/half.example/fine"),
            gone("/ipns/doubled.example/fine"),
            gone("/ipns/old-doubled.example/fine"),
            there("/ipns/fine.example/fine"),
            gone("/ipns/fine.example/in/photo1.jpg"),
        ],
    )
    for name in ("denied", "doubled"):
        assert denied.node.get(f"/routing/v1/ipns/{key[name]}").status == 410
    assert KEYS["denied"].name.codec == LIBP2P_KEY


def test_content_that_comes_later_is_denied_by_its_other_names_too(tmp_path: Path) -> None:
    """A path and a CID are denied before anything of them is here; memoised answers must not go on."""
    dags, data = Dags(), tmp_path / "data"
    secret = dags.raw(b"comes later")
    root = dags.directory({"dir": dags.directory({"secret": secret})})
    plain, framed = dags.file(LARGE), dags.file(LARGE, FRAMED)
    everything = dags.car(tmp_path / "all.car")
    below = {cid for cid in dags.blocks if cid.codec == DAG_PB and cid not in (plain, *dags.children(plain))}
    first = dags.car(tmp_path / "first.car", without=below)
    assert edge(data, "dag", "import", "--allow-incomplete", str(first)).returncode == 0
    (tmp_path / "list").write_text(f"/ipfs/{root}/dir/secret\n/ipfs/{framed}\n")
    with Node(data, "--workers", "2", "--offline", "--denylist", str(tmp_path / "list")) as node:
        targets = [f"/ipfs/{secret}", f"/ipfs/{plain}"]
        sessions = [node.session() for _ in range(4)]
        for session in sessions:
            for target in targets * 3:
                assert ask(session, "GET", target).status == 200
        assert edge(data, "dag", "import", str(everything)).returncode == 0
        for session in sessions:
            for target in targets:
                eventually(lambda session=session, target=target: ask(session, "GET", target).status == 410)  # type: ignore[misc]
            session.close()


def test_a_reload_puts_a_new_rule_in_force_on_every_worker(tmp_path: Path) -> None:
    dags, data, rules = Dags(), tmp_path / "data", tmp_path / "list"
    cid = dags.raw(b"denied by a reload")
    assert edge(data, "dag", "import", str(dags.car(tmp_path / "a.car"))).returncode == 0
    rules.write_text("# nothing yet\n")
    with Node(data, "--workers", "2", "--offline", "--denylist", str(rules)) as node:
        for _ in range(20):
            assert node.get(f"/ipfs/{cid}").status == 200
        rules.write_text(f"/ipfs/{cid}\n")
        os.kill(node.process.pid, signal.SIGHUP)
        eventually(lambda: all(node.get(f"/ipfs/{cid}").status == 410 for _ in range(20)))
        rules.write_text("<html>not a list</html>\n")
        os.kill(node.process.pid, signal.SIGHUP)
        eventually(lambda: b"reload refused, the old configuration stays" in node.log.read_bytes())
        assert node.get(f"/ipfs/{cid}").status == 410, "a list that is none changes nothing"
