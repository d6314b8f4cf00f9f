"""`make run`, as a newcomer meets it: a ready line, then commands that work word for word elsewhere."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.demo import admin_port

ROOT = Path(__file__).parent.parent.parent
READY_S = 120  # what the contract grants on a warm machine


@dataclass
class Demo:
    process: "subprocess.Popen[str]"
    ready: dict[str, object]
    commands: list[str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    data = tmp_path_factory.mktemp("demo") / "data with a blank"
    command = [sys.executable, "-m", "tools.demo", "--port", "0", "--data", str(data)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(READY_S, process.kill)
    watchdog.start()
    assert process.stdout is not None
    ready, commands = json.loads(process.stdout.readline()), []
    for line in process.stdout:
        if line.startswith("$ "):
            commands.append(line.removeprefix("$ ").rstrip("\n"))
        if line.startswith("Ctrl-C"):
            break
    watchdog.cancel()
    yield Demo(process, ready, commands)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.needs("curl")
@pytest.mark.timeout(400)  # some thirty programs, one after the other
def test_every_printed_command_works_word_for_word_from_another_folder(demo: Demo, tmp_path: Path) -> None:
    assert demo.ready["event"] == "ready"
    assert len(demo.commands) >= 4
    for command in demo.commands:
        ended = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=False)
        assert ended.returncode == 0, f"{command}: {ended.stderr.decode()}"
        assert ended.stdout, f"{command}: printed nothing"
    compared = [command for command in demo.commands if "cmp" in command]
    assert ["/blake3/" in command for command in compared] == [True, False], "by hash and by CID"
    assert all(command.endswith("echo identical") for command in compared)
    for form in ("/ipfs/", "/ipns/", "?format=car", "?format=bao-chunk", "-r 1000000", "dag import"):
        assert any(form in command for command in demo.commands), f"nothing shows {form}"
    for form in (" add bafy", "README.md", " ls", " verify ", " export", " origins "):
        pins = [command for command in demo.commands if "fleek-pin" in command]
        assert any(form in command for command in pins), f"nothing shows {form}"
    assert not any(tmp_path.iterdir()), "a printed command leaves files where it runs"


def test_sigterm_ends_the_node_and_the_demo_with_zero(demo: Demo) -> None:
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(60) == 0
    address = str(demo.ready["public"]).rpartition(":")[2]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address)), timeout=5)


def test_the_admin_port_is_the_next_one_or_any() -> None:
    assert admin_port(0) == 0
    assert admin_port(65535) == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert admin_port(taken.getsockname()[1] - 1) == 0


def test_ctrl_c_while_it_still_stores_is_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.demo", "--port", "0", "--data", str(tmp_path / "data")]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("storing docs")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
