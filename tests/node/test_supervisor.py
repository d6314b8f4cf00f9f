"""The node as an operator meets it: starts, second starts, dead workers, reload, drain."""

import os
import resource
import select
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.appliance import COMMAND, Node, ask, children_of, edge, edge_json, eventually


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def put(data: Path, content: bytes) -> str:
    return f"/blake3/{edge_json(data, 'put', '-', stdin=content)['blake3']}"


def test_sigterm_ends_with_0_and_the_sockets_are_gone(data: Path) -> None:
    with Node(data) as node:
        assert node.get("/healthz", which="admin").status == 200
        assert node.get("/readyz", which="admin").json()["ready"]
        with node.connect() as idle:
            assert node.stop() == 0
            assert idle.recv(100) == b""
        with pytest.raises(OSError):
            node.connect()


def test_ctrl_c_ends_with_0(data: Path) -> None:
    with Node(data) as node:
        assert node.stop(signal.SIGINT) == 0


def test_a_second_start_on_the_same_data_or_port_says_so_and_exits_2(data: Path, tmp_path: Path) -> None:
    with Node(data) as node:
        again = edge(data, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        assert again.returncode == 2
        assert b"already runs on this data folder" in again.stderr
        place = node.ready["public"].removeprefix("http://")
        other = edge(tmp_path / "other", "serve", "--listen", place, "--admin", "127.0.0.1:0")
        assert other.returncode == 2
        assert place.encode() in other.stderr
        assert node.get("/").status == 200


def test_commands_work_on_the_data_of_a_running_node(data: Path) -> None:
    with Node(data) as node:
        path = put(data, b"put while it runs")
        assert node.get(path).body == b"put while it runs"
        listed = edge(data, "ls", "--json")
        assert listed.returncode == 0
        assert path.removeprefix("/blake3/").encode() in listed.stdout


@pytest.mark.parametrize("content", [b"soon gone", bytes(range(251)) * 40_000], ids=["small", "large"])
def test_after_rm_returns_no_worker_and_no_kept_alive_connection_answers(data: Path, content: bytes) -> None:
    path = put(data, content)
    with Node(data, "--workers", "3") as node:
        sessions = [node.session() for _ in range(12)]  # enough that every worker has some
        for session in sessions:
            for _ in range(4):  # the first proves, the second learns, then the native turn answers
                reply = ask(session, "GET", path)
                assert (reply.status, reply.body) == (200, content)
        assert edge(data, "rm", path.removeprefix("/blake3/")).returncode == 0
        for session in sessions:
            assert ask(session, "GET", path).status == 404
            assert ask(session, "GET", path, {"Range": "bytes=0-1"}).status == 404
            assert ask(session, "GET", path + "?format=bao").status == 404
            session.close()


def test_what_was_removed_does_not_come_back_from_the_file_it_was(data: Path, tmp_path: Path) -> None:
    """A node that may dial out has its origins, and reads what was evicted from there; rm is meant."""
    (tmp_path / "file").write_bytes(b"on the disk still")
    name = str(edge_json(data, "put", str(tmp_path / "file"))["blake3"])
    with Node(data, "--workers", "2") as node:
        assert node.get(f"/blake3/{name}").status == 200
        assert edge(data, "evict", name).returncode == 0
        assert node.get(f"/blake3/{name}").status == 200, "evicted, and here again"
        assert edge(data, "rm", name).returncode == 0
        for _ in range(6):
            for query in ("", "?format=bao"):
                assert node.get(f"/blake3/{name}{query}").status == 404
        assert edge(data, "ls", "--json").stdout == b""


def test_a_killed_worker_is_replaced_and_its_queue_is_served(data: Path) -> None:
    path = put(data, b"still here")
    with Node(data, "--workers", "1") as node:
        (first,) = node.workers()
        os.kill(first, signal.SIGKILL)
        assert node.get(path).body == b"still here"  # waits in the supervisor's socket for the next worker
        (second,) = node.workers()
        assert second != first


def test_reload_replaces_the_workers_without_refusing_anybody(data: Path, tmp_path: Path) -> None:
    path = put(data, b"all the while")
    config = tmp_path / "edge.toml"
    config.write_text("[node]\nanonymous_read = true\n")
    with Node(data, "--workers", "2", "--config", str(config)) as node:
        before = set(node.workers())
        config.write_text("[node]\nanonymous_read = false\n")
        node.process.send_signal(signal.SIGHUP)
        statuses: list[int] = []

        def reloaded() -> bool:
            statuses.append(node.get(path).status)
            return statuses[-1] == 401 and not before & set(node.workers())

        eventually(reloaded)
        assert set(statuses) == {200, 401}
        config.write_text("[node]\nnonsense = 1\n")
        node.process.send_signal(signal.SIGHUP)
        eventually(lambda: "reload refused" in node.log.read_text())
        assert node.get(path).status == 401


def test_a_drain_lets_a_response_finish(data: Path) -> None:
    content = os.urandom(32 << 20)
    path = put(data, content)
    with Node(data, "--workers", "1") as node:
        with node.connect() as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = sock.recv(1000)
            node.process.send_signal(signal.SIGTERM)
            body = head.partition(b"\r\n\r\n")[2] + b"".join(iter(lambda: sock.recv(1 << 20), b""))
        assert body == content
        assert node.stop() == 0


def test_a_unix_socket_serves_and_a_stale_one_is_taken_over(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "edge.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(place))
    stale.close()
    with Node(data, "--listen", f"unix:{place}") as node:
        assert node.ready["public"] == f"unix:{place}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert node.stop() == 0
    assert not place.exists()


def test_metrics_show_all_workers_traffic(data: Path) -> None:
    path = put(data, b"x" * 1000)
    with Node(data, "--workers", "2") as node:
        for _ in range(20):
            assert node.get(path).status == 200

        def counted() -> float:
            text = node.get("/metrics", which="admin").body.decode()
            sent = [line for line in text.splitlines() if line.startswith("fleek_response_bytes_total")]
            blob = [line for line in sent if 'kind="blob"' in line and 'principal="anonymous"' in line]
            return sum(float(line.rpartition(" ")[2]) for line in blob)

        eventually(lambda: counted() >= 20_000)  # a worker counts just after the client has its bytes
        assert counted() == 20_000


def test_the_admin_listener_refuses_rebound_hosts_and_other_origins(data: Path) -> None:
    with Node(data) as node:
        assert node.get("/metrics", {"Host": "evil.example"}, which="admin").status == 403
        assert node.get("/metrics", {"Origin": "http://evil.example"}, which="admin").status == 403
        page = node.get("/_/", which="admin")
        assert page.status == 200
        assert "Set-Cookie" not in page.headers
        assert node.get("/api/v1/status", which="admin").json()["workers"]


def test_workers_may_open_more_files_than_a_shell_usually_allows(data: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with Node(data, "--workers", "1") as node:
            (worker,) = node.workers()
            granted, _ = resource.prlimit(worker, resource.RLIMIT_NOFILE)
            assert granted >= min(hard, 65_536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_supervisor_forks_from_one_thread(data: Path) -> None:
    with Node(data, "--workers", "1") as node:
        (worker,) = node.workers()
        assert len(os.listdir(f"/proc/{node.process.pid}/task")) == 1
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: node.workers() not in ([], [worker]))
        assert len(os.listdir(f"/proc/{node.process.pid}/task")) == 1


def test_children_hold_nothing_of_the_supervisor_but_their_listeners(data: Path) -> None:
    with Node(data, "--workers", "2") as node:
        assert "node.lock" in _open_files(node.process.pid)
        first, second = node.workers()
        for child in node.children():
            held = _open_files(child)
            assert "node.lock" not in held
            # its own loop's, and a worker's set of large bodies
            assert held.count("anon_inode:[eventpoll]") == 1 + (child in (first, second))
        listeners = [_listening(pid) for pid in (first, second)]
        assert [len(each) for each in listeners] == [1, 1]
        assert listeners[0] != listeners[1]


def test_children_leave_when_the_supervisor_is_killed_and_another_node_can_start(data: Path) -> None:
    with Node(data, "--workers", "2") as node:
        children = [os.pidfd_open(child) for child in node.children()]
        assert len(children) == 3
        node.stop(signal.SIGKILL)
        with Node(data, "--workers", "1") as another:
            assert another.get("/").status == 200
        for child in children:
            assert select.select([child], [], [], 20)[0]
            os.close(child)


def test_stopping_while_children_start_ends_in_order(data: Path) -> None:
    command = [*COMMAND, "serve", "--data", str(data), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    with subprocess.Popen([*command, "--workers", "8"], stdout=subprocess.PIPE) as node:
        eventually(lambda: bool(children_of(node.pid)))
        node.terminate()
        assert node.wait(20) in (0, 1)  # 1 when a child had not come to its handlers yet


@pytest.mark.parametrize("seen", [1, 2, 3])
def test_a_stop_in_the_middle_of_a_reload_ends_with_0(data: Path, seen: int) -> None:
    """`seen`: how many of the three children have been replaced, or are being, when the stop comes."""
    with Node(data, "--workers", "2") as node:
        before = set(node.children())
        node.process.send_signal(signal.SIGHUP)
        while len(set(node.children()) - before) < seen:
            pass  # the moment is short: a new child is there and does not serve yet
        assert node.stop() == 0


def _open_files(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    return [os.readlink(folder / fd).rpartition("/")[2] for fd in os.listdir(folder)]


def _listening(pid: int) -> set[str]:
    """The inodes of the listening TCP sockets that a process has open."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"} & set(_open_files(pid))
