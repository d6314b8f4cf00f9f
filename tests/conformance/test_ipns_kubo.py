"""IPNS with kubo: it reads the records and keys that we write, we read its own."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from content import ipns
from tests import appliance
from tests.conftest import SEARCH_PATH

pytestmark = [pytest.mark.needs("ipfs"), pytest.mark.slow, pytest.mark.timeout(180)]
PATH = "/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
KINDS = ["ed25519", "rsa", "secp256k1"]


@pytest.fixture
def repo(tmp_path: Path) -> dict[str, str]:
    """The environment of a fresh kubo that never dials."""
    environ = {
        **os.environ,
        "PATH": SEARCH_PATH,
        "IPFS_PATH": str(tmp_path / "kubo"),
        "IPFS_TELEMETRY": "off",
    }
    _kubo(environ, "init", "--empty-repo", "--profile", "test")
    return environ


def _kubo(environ: dict[str, str], *argv: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        ["ipfs", *argv], env=environ, input=stdin, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _published(data: Path, key: str) -> str:
    record = appliance.edge_json(data, "name", "publish", PATH, "--key", key, "--offline")
    return str(record["name"])


@pytest.mark.parametrize("kind", KINDS)
def test_kubo_verifies_our_records(tmp_path: Path, repo: dict[str, str], kind: str) -> None:
    data = tmp_path / "data"
    assert appliance.edge(data, "key", "gen", "one", "--type", kind).returncode == 0
    for sequence in range(6 if kind == "secp256k1" else 2):  # signatures of that kind differ in form
        name = _published(data, "one")
        record = appliance.edge(data, "name", "get", name).stdout
        told = json.loads(_kubo(repo, "name", "inspect", f"--verify={name}", "--enc=json", stdin=record))
        assert told["Validation"]["Valid"] is True, told
        assert told["Entry"]["Value"] == PATH
        assert told["Entry"]["Sequence"] == sequence
        assert told["Validation"]["Name"] == name


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_kubo_takes_our_keys_and_we_take_its_own(tmp_path: Path, repo: dict[str, str], kind: str) -> None:
    data = tmp_path / "data"
    ours = str(appliance.edge_json(data, "key", "gen", "ours", "--type", kind)["name"])
    forms = [("pem", "pem-pkcs8-cleartext"), ("libp2p", "libp2p-protobuf-cleartext")]
    for form, kubo_form in forms:
        file = tmp_path / f"ours.{form}"
        appliance.edge(data, "key", "export", "ours", "--format", form, "-o", str(file))
        taken = _kubo(repo, "key", "import", f"ours-{form}", f"--format={kubo_form}", str(file))
        assert taken.decode().strip() == ours
        theirs = _kubo(repo, "key", "gen", f"theirs-{form}", f"--type={kind}").decode().strip()
        given = tmp_path / f"theirs.{form}"
        _kubo(repo, "key", "export", f"--format={kubo_form}", "-o", str(given), f"theirs-{form}")
        imported = appliance.edge_json(data, "key", "import", f"theirs-{form}", str(given))
        assert imported["name"] == theirs


@pytest.fixture
def gateway(repo: dict[str, str]) -> Iterator[str]:
    """A kubo that runs offline, for its gateway's address."""
    daemon = subprocess.Popen(
        ["ipfs", "daemon", "--offline"],
        env=repo,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert daemon.stdout is not None
    try:
        assert any(line.startswith("Daemon is ready") for line in daemon.stdout)
        yield Path(repo["IPFS_PATH"], "gateway").read_text().strip()
    finally:
        daemon.terminate()
        daemon.wait(30)
        daemon.stdout.close()


def test_records_travel_both_ways(
    tmp_path: Path, repo: dict[str, str], gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    ours = _published(data, "self")
    record = tmp_path / "record"
    record.write_bytes(appliance.edge(data, "name", "get", ours).stdout)
    _kubo(repo, "routing", "put", "--allow-offline", f"/ipns/{ours}", str(record))
    assert _kubo(repo, "name", "resolve", ours).decode().strip() == PATH

    theirs = _kubo(repo, "name", "publish", "--allow-offline", "--resolve=false", "--quieter", PATH)
    monkeypatch.setenv("FLEEK_EDGE_ORIGINS_GATEWAYS", gateway)
    monkeypatch.setenv("FLEEK_EDGE_ORIGINS_ALLOW_NETS", "127.0.0.0/8")
    told = appliance.edge_json(data, "name", "resolve", theirs.decode().strip())
    assert told["path"] == PATH
    name = ipns.parse_name(theirs.decode().strip())
    assert ipns.name_text(name) in appliance.edge(data, "name", "ls").stdout.decode(), "verified and kept"
