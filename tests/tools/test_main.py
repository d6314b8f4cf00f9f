"""The frame: usage errors, exit codes, help, version, completion, pipes and Ctrl-C."""

import errno
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from runtime.errors import OUTCOMES, EdgeError, Kind
from tests.tools.conftest import Edge
from tools.edge import main

COMMAND = [sys.executable, "-m", "tools.edge"]
HOUSE = Path(__file__).parents[2]


def _commands() -> list[list[str]]:
    """Every command and subcommand by its words."""
    found = []
    for name, (module, _) in main.COMMANDS.items():
        loaded = getattr(importlib.import_module(f"tools.edge.{module}"), name)
        found.append([name])
        if isinstance(loaded, click.Group):
            found += [[name, inner] for inner in loaded.commands]
    return found


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(edge: Edge, words: list[str]) -> None:
    result = edge(*words, "--help")
    assert result.code == 0
    assert b"Example:\n    fleek-edge " in result.out
    assert result.err == ""


@pytest.mark.parametrize("name", main.COMMANDS)
def test_the_line_of_help_in_the_table_is_what_the_command_says(name: str) -> None:
    module, line = main.COMMANDS[name]
    loaded = getattr(importlib.import_module(f"tools.edge.{module}"), name)
    assert (loaded.help or "").splitlines()[0] == line


def test_help_lists_every_command_and_loads_none() -> None:
    code = (
        "import sys; from tools.edge import main; code = main.run(['--help'])\n"
        "heavy = {'blockstore', 'node', 'net', 'rich', 'asyncio', 'lmdb'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(f"\n  {name} " in done.stdout for name in main.COMMANDS)


def test_a_command_on_what_is_here_loads_nothing_that_asks_others() -> None:
    code = (
        "import sys, tools.edge.blobs, tools.edge.ls, tools.edge.roots, tools.edge.put, tools.edge.cat\n"
        "heavy = {'asyncio', 'aiohttp', 'dns', 'h11', 'rich', 'ssl', 'uvloop'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["competion"], "no such command 'competion'", "did you mean completion?"),
        (["--jsn"], "no such option '--jsn'", "did you mean --json?"),
        (["ls", "--dta", "x"], "no such option '--dta'", "did you mean --data?"),
        (["stat"], "missing argument 'HASH|CID[/PATH]...'", "`fleek-edge stat --help` shows how it is used"),
        (
            ["completion", "tcsh"],
            "'tcsh' is not one of",
            "`fleek-edge completion --help` shows how it is used",
        ),
        (["stat", "nonsense"], "neither a hash nor a CID", "use 64 hexadecimal digits"),
        (["rm", "ab" * 31], "neither a hash nor a CID", "use 64 hexadecimal digits"),
        (["token", "ad"], "no such command 'ad'", "did you mean"),
    ],
)
def test_a_mistyped_command_line_is_refused_with_the_way_out(
    edge: Edge, argv: list[str], message: str, hint: str
) -> None:
    result = edge(*argv)
    assert result.code == 2
    assert result.out == b""
    assert result.err.startswith("error: ")
    assert message in result.err
    assert f"  hint: {hint}" in result.err


def test_with_json_the_same_mistake_is_an_object(edge: Edge) -> None:
    result = edge("ls", "--jsn", "--json")
    assert (result.code, result.out) == (2, b"")
    assert result.error["kind"] == "usage"
    assert result.error["hint"] == "did you mean --json?"


def test_json_after_two_dashes_is_an_argument(edge: Edge) -> None:
    assert edge("put", "--", "--json").err.startswith("error: no such file")


def test_a_command_line_without_a_command_shows_help_on_stderr(edge: Edge) -> None:
    result = edge()
    assert (result.code, result.out) == (2, b"")
    assert result.err.startswith("Usage: fleek-edge")


def test_options_for_every_command_may_stand_before_it(edge: Edge, tmp_path: Path) -> None:
    other = tmp_path / "other"
    result = edge("--data", other, "--json", "put", "-", stdin=b"x")
    assert result.records[0]["size_bytes"] == 1
    assert (other / "format").exists()


def test_no_store_is_not_found_and_none_is_made(edge: Edge, data: Path) -> None:
    result = edge("ls", "--json")
    assert (result.code, result.out) == (3, b"")
    assert result.error["where"] == str(data)
    assert not data.exists()


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_error_leaves_with_its_code(
    edge: Edge, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Planted(EdgeError):
        pass

    Planted.kind = kind

    def fail(_context: click.Context) -> None:
        raise Planted("it broke", where="here", hint="mend it")

    monkeypatch.setattr(main.edge, "invoke", fail)
    assert edge("ls").err == "error: it broke\n  where: here\n  hint: mend it\n"
    result = edge("ls", "--json")
    assert result.code == OUTCOMES[kind].exit_code
    assert result.error == {"kind": kind.value, "message": "it broke", "where": "here", "hint": "mend it"}


def test_a_bug_leaves_with_1_and_says_where(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_context: click.Context) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(main.edge, "invoke", fail)
    plain = edge("ls")
    assert plain.code == 1
    assert "Traceback" in plain.err
    assert "error: internal fault: KeyError: 'oops'" in plain.err
    assert edge("ls", "--json").error["where"].startswith("test_main.py:")


def test_what_the_owner_of_a_file_forbids_is_no_bug(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_context: click.Context) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/edge/format")

    monkeypatch.setattr(main.edge, "invoke", fail)
    result = edge("ls", "--json")
    assert (result.code, result.error["where"]) == (5, "/srv/edge/format")
    assert "Traceback" not in edge("ls").err


def test_a_native_module_that_does_not_load_is_told_apart_from_a_bug(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_context: click.Context) -> None:
        raise ImportError("wrong ELF class", name="content.bao._native")

    monkeypatch.setattr(main.edge, "invoke", fail)
    result = edge("ls")
    assert result.code == 1
    assert "make setup" in result.err
    assert "Traceback" not in result.err


def test_a_message_from_outside_cannot_drive_the_terminal(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_context: click.Context) -> None:
        raise EdgeError("a\x1b[2Jb\nerror: c")

    monkeypatch.setattr(main.edge, "invoke", fail)
    assert edge("ls").err == "error: a\\x1b[2Jb\\nerror: c\n"


def test_a_reader_that_goes_away_is_no_news(data: Path, tmp_path: Path) -> None:
    for index in range(40):
        (tmp_path / "many").mkdir(exist_ok=True)
        (tmp_path / "many" / f"{index}").write_text(str(index))
    done = subprocess.run([*COMMAND, "put", tmp_path / "many"], cwd=HOUSE, capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == 40
    child = subprocess.Popen(
        [*COMMAND, "ls", "--json"], cwd=HOUSE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.wait(60) == 130
    assert child.stderr.read() == b""
    child.stderr.close()


def test_a_reader_of_add_that_goes_away_is_no_fault_of_a_file(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for index in range(3000):
        (tmp_path / "many" / f"{index}").write_text(str(index))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "add", tmp_path / "many"], cwd=HOUSE, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_put_that_is_stopped_in_the_middle_leaves_130_and_a_clean_store(
    edge: Edge, how: signal.Signals
) -> None:
    child = subprocess.Popen(
        [*COMMAND, "put", "-"],
        cwd=HOUSE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdin is not None
    child.stdin.write(bytes(4 << 20))  # more than a pipe holds: when this returns, the command is reading
    child.stdin.flush()
    child.send_signal(how)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (130, b"", b"")
    assert edge("ls").out == b""
    assert edge("put", "-", stdin=b"after").code == 0


@pytest.mark.parametrize("argv", [["ls"], ["get"], ["put", "-"]])
def test_a_full_disk_behind_stdout_is_store_full(edge: Edge, argv: list[str]) -> None:
    name = edge("put", "-", "--json", stdin=b"x" * 100_000).records[0]["blake3"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *argv, *([name] if argv == ["get"] else [])],
            cwd=HOUSE,
            input=b"y",
            stdout=full,
            stderr=subprocess.PIPE,
            text=False,
            check=False,
        )
    assert done.returncode == 7
    assert done.stderr.decode().startswith("error: no space left on device\n  where: standard output\n")


def test_nothing_is_lost_where_python_runs_unbuffered(edge: Edge) -> None:
    name = edge("put", "-", "--json", stdin=bytes(5 << 20)).records[0]["blake3"]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    done = subprocess.run([*COMMAND, "get", name], cwd=HOUSE, env=environ, capture_output=True, check=True)
    assert done.stdout == bytes(5 << 20)


def test_version_is_the_distribution_s() -> None:
    done = subprocess.run([*COMMAND, "--version"], cwd=HOUSE, capture_output=True, text=True, check=True)
    name, number = done.stdout.split()
    assert name == "fleek-edge"
    assert number[0].isdigit()


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete "), ("zsh", "compdef "), ("fish", "complete ")]
)
def test_completion_scripts_name_the_program(edge: Edge, shell: str, mark: str) -> None:
    result = edge("completion", shell)
    assert result.code == 0
    assert mark in result.out.decode()
    assert "fleek-edge" in result.out.decode()
    assert main.PROGRAM.complete_variable in result.out.decode()


def test_completion_offers_commands_and_options() -> None:
    def offered(words: str) -> set[str]:
        environ = {
            **os.environ,
            main.PROGRAM.complete_variable: "bash_complete",
            "COMP_WORDS": f"fleek-edge {words}",
            "COMP_CWORD": str(len(words.split(" "))),
        }
        done = subprocess.run(COMMAND, cwd=HOUSE, env=environ, capture_output=True, text=True, check=True)
        return {line.partition(",")[2] for line in done.stdout.splitlines()}

    assert offered("p") == {"put", "pin"}
    assert "--no-pin" in offered("put --n")
    assert offered("token ") == {"add", "ls", "revoke"}
    assert offered("put ph") == offered("add a ph") == offered("dag import ph") == {"ph"}, "as files"


@pytest.mark.alone
def test_help_is_quick_enough_to_be_asked_for_often() -> None:
    took_s = []
    for _ in range(5):
        before_s = sum(os.times()[2:4])  # of children: user, system
        subprocess.run([*COMMAND, "--help"], cwd=HOUSE, capture_output=True, check=True)
        took_s.append(sum(os.times()[2:4]) - before_s)
    # About 0.1 s of CPU: how long a busy machine makes one wait for it says nothing
    assert min(took_s) < 0.3, took_s


def test_errors_are_json_even_for_commands_that_stream(edge: Edge) -> None:
    result = edge("get", "00" * 32, "--json")
    assert result.code == 3
    assert json.loads(result.err)["error"]["kind"] == "not_found"


@pytest.mark.parametrize(
    ("argv", "closed", "code"),
    [
        ("ls", ">&-", 2),
        ("ls", "2>&-", 0),
        ("ls", "<&-", 0),
        ("ls", "<&- >&- 2>&-", 2),
        ("put -", "<&-", 2),
        ("nonsense", "2>&-", 2),
        ("nonsense", "2>/dev/full", 2),
    ],
)
def test_a_stream_that_is_closed_is_no_bug(edge: Edge, argv: str, closed: str, code: int) -> None:
    assert edge("put", "-", stdin=b"x").code == 0
    line = f'exec "$@" {argv} {closed}'
    done = subprocess.run(["sh", "-c", line, "sh", *COMMAND], cwd=HOUSE, capture_output=True, check=False)
    assert done.returncode == code, done
    assert b"Traceback" not in done.stderr
    assert edge("ls").code == 0, "nothing was written where a stream should be"


def test_ctrl_c_while_modules_load_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("print('loading', flush=True)\nimport time\ntime.sleep(60)\n")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(HOUSE)))}
    child = subprocess.Popen(
        COMMAND, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "loading\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    "argv", [["put", "-", "--name"], ["add", "-", "--name"], ["name", "publish", "--offline"]], ids=" ".join
)
def test_bytes_that_are_no_text_are_refused_where_text_is_wanted(edge: Edge, argv: list[str]) -> None:
    cid = edge("add", "-", "-Q", stdin=b"x").out.decode().strip()
    result = edge(*argv, f"{cid}/\udcff" if argv[0] == "name" else "\udcff", "--json", stdin=b"x")
    assert (result.code, result.error["kind"]) == (2, "usage")
    assert "UTF-8" in result.error["message"]
