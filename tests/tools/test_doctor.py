"""`doctor`: each check on a machine where it holds and on one where it does not."""

import os
import resource
import shutil
import socket
from pathlib import Path

import pytest

from content import bao
from node.config import Config, load
from runtime.clock import SystemClock
from runtime.errors import EdgeError, UsageError
from tests.tools.conftest import Edge
from tools.edge import checks


def _config(data: Path, **environ: str) -> Config:
    return load(None, {"FLEEK_EDGE_DATA": str(data), **environ}, {})


def _free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("LISTEN", "ADMIN"):
        monkeypatch.setenv(f"FLEEK_EDGE_NODE_{key}", "127.0.0.1:0")


def test_a_fit_machine_passes_every_check(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    _free_ports(monkeypatch)
    result = edge("doctor", "--json")
    assert result.code == 0
    assert [each for each in result.records if each["status"] == "fail"] == []
    asked = {each["check"] for each in result.records}
    assert asked >= {"data folder", "store format", "free disk", "open files", "clock"}
    assert asked >= {"native module", "kernel sizes", "port listen", "port admin"}
    plain = edge("doctor").out.decode()
    assert "ok    native module    BLAKE3 test vectors pass\n" in plain


def test_looking_makes_nothing(edge: Edge, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free_ports(monkeypatch)
    edge("doctor")
    assert not data.exists()


def test_a_store_that_is_there_is_opened(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    _free_ports(monkeypatch)
    edge("put", "-", stdin=b"x")
    answers = {each["check"]: each["detail"] for each in edge("doctor", "--json").records}
    assert answers["store format"] == "opens, no damage on record"


def test_a_newer_store_fails_with_8(edge: Edge, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free_ports(monkeypatch)
    edge("put", "-", stdin=b"x")
    raw = bytearray((data / "format").read_bytes())
    data.joinpath("format").write_bytes(b"\xff" * len(raw))
    result = edge("doctor", "--json")
    assert result.code == 8
    assert [each["check"] for each in result.records if each["status"] == "fail"] == ["store format"]


def test_a_file_in_the_way_of_the_data_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(UsageError, match="in the way"):
        checks.data_folder(tmp_path / "data")


def test_a_folder_to_be_made_is_looked_for_above() -> None:
    assert "(will be made)" in checks.data_folder(Path("/tmp/no/such/folder")).detail


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)  # root may write everywhere
    with pytest.raises(UsageError, match="cannot be written"):
        checks.data_folder(tmp_path)


def test_a_disk_that_is_nearly_full_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(total=1 << 40, free=1 << 20))
    assert checks.free_disk(tmp_path).status == "warn"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(total=1 << 40, free=1 << 39))
    assert checks.free_disk(tmp_path).status == "ok"


def test_a_low_limit_of_open_files_is_warned_of_with_the_number_to_set() -> None:
    assert checks.open_files(1).status == "ok"
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    answer = checks.open_files(soft)
    assert answer.status == "warn"
    assert f"ulimit -n {soft + 512}" in answer.hint


def test_a_network_file_system_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\nserver:/y {tmp_path}x ext4 rw 0 0\n"
    monkeypatch.setattr(checks, "_kernel_text", lambda _: mounts)
    with pytest.raises(UsageError, match="nfs4 is a network file system"):
        checks.file_system(tmp_path / "below")
    assert checks.file_system(Path("/")).detail == "ext4"


def test_a_clock_that_was_never_set_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.clock(tmp_path).status == "ok"
    os.utime(tmp_path, (4e9, 4e9))
    assert checks.clock(tmp_path).status == "warn"
    monkeypatch.setattr(SystemClock, "now_s", lambda _: 0.0)
    with pytest.raises(UsageError, match="clock"):
        checks.clock(tmp_path)


def test_a_native_module_that_hashes_wrongly_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.native_module().status == "ok"
    monkeypatch.setattr(bao, "outboard", lambda _: (bytes(32), b""))
    with pytest.raises(EdgeError, match="hashes wrongly"):
        checks.native_module()


def test_small_kernel_queues_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"somaxconn": "128\n", "tcp_wmem": "4096\t16384\t65536\n"}
    monkeypatch.setattr(checks, "_kernel_text", lambda path: sizes[path.name])
    answer = checks.kernel_sizes(4096)
    assert answer.status == "warn"
    assert "somaxconn=128, wanted 4096" in answer.detail
    assert "tcp_wmem maximum=65536" in answer.detail


def test_a_kernel_that_tells_nothing_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_kernel_text", lambda _: "")
    assert checks.kernel_sizes(4096).status == "ok"
    assert checks.file_system(Path("/")).detail == "unknown"


def test_a_port_that_a_stranger_holds_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        text = f"127.0.0.1:{stranger.getsockname()[1]}"
        with pytest.raises(UsageError, match="already listens"):
            checks.port(_config(tmp_path), "listen", text)
    assert checks.port(_config(tmp_path), "listen", text).detail == f"{text} is free"


def test_a_socket_path_needs_its_folder(tmp_path: Path) -> None:
    config = _config(tmp_path)
    assert checks.port(config, "listen", f"unix:{tmp_path}/edge.sock").status == "ok"
    with pytest.raises(UsageError, match="socket's folder"):
        checks.port(config, "listen", f"unix:{tmp_path}/none/edge.sock")


def test_one_failed_check_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    environ = {"FLEEK_EDGE_NODE_LISTEN": "127.0.0.1:0", "FLEEK_EDGE_NODE_ADMIN": "127.0.0.1:0"}
    answers = list(checks.run_checks(_config(tmp_path / "data", **environ)))
    assert [each.name for each in answers if each.status == "fail"] == ["data folder"]
    assert len(answers) == 12
