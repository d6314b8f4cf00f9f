"""The frame of `fleek-pin`: help with examples, what help loads, completion, version."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.tools.pin.conftest import Pin
from tools.frame.program import attribute
from tools.pin import main

COMMAND = [sys.executable, "-m", "tools.pin"]
HOUSE = Path(__file__).parents[3]


def _commands() -> list[list[str]]:
    """Every command and subcommand by its words."""
    found = []
    for name, (module, _) in main.COMMANDS.items():
        loaded = getattr(importlib.import_module(f"tools.pin.{module}"), attribute(name))
        found.append([name])
        if isinstance(loaded, click.Group):
            found += [[name, inner] for inner in loaded.commands]
    return found


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(pin: Pin, words: list[str]) -> None:
    result = pin(*words, "--help")
    assert result.code == 0
    assert b"Example:\n    " in result.out
    assert b"fleek-pin " in result.out.partition(b"Example:")[2]
    assert result.err == ""


@pytest.mark.parametrize("name", main.COMMANDS)
def test_the_line_of_help_in_the_table_is_what_the_command_says(name: str) -> None:
    module, line = main.COMMANDS[name]
    loaded = getattr(importlib.import_module(f"tools.pin.{module}"), attribute(name))
    assert (loaded.help or "").splitlines()[0] == line


def test_help_lists_every_command_and_loads_none() -> None:
    code = (
        "import sys; from tools.pin import main; code = main.run(['--help'])\n"
        "heavy = {'blockstore', 'node', 'net', 'rich', 'asyncio', 'lmdb', 'content'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(f"\n  {name} " in done.stdout for name in main.COMMANDS)


def test_asking_a_service_loads_no_store(service: str) -> None:
    code = (
        "import sys; from tools.pin import main; code = main.run(['ls'])\n"
        "heavy = {'blockstore', 'rich', 'lmdb', 'aiohttp', 'uvloop'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.alone
def test_help_is_quick_enough_to_be_asked_for_often() -> None:
    took_s = []
    for _ in range(5):
        before_s = sum(os.times()[2:4])  # of children: user, system
        subprocess.run([*COMMAND, "--help"], cwd=HOUSE, capture_output=True, check=True)
        took_s.append(sum(os.times()[2:4]) - before_s)
    # About 0.1 s of CPU: how long a busy machine makes one wait for it says nothing
    assert min(took_s) < 0.3, took_s


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete "), ("zsh", "compdef "), ("fish", "complete ")]
)
def test_completion_scripts_name_the_program(pin: Pin, shell: str, mark: str) -> None:
    result = pin("completion", shell)
    assert result.code == 0
    assert mark in result.out.decode()
    assert "fleek-pin" in result.out.decode()
    assert main.PROGRAM.complete_variable in result.out.decode()


def test_completion_offers_commands_options_and_services(pin: Pin, home: Path) -> None:
    pin("service", "add", "mine", "https://one.example/psa")

    def offered(words: str) -> set[str]:
        environ = {
            **os.environ,
            main.PROGRAM.complete_variable: "bash_complete",
            "COMP_WORDS": f"fleek-pin {words}",
            "COMP_CWORD": str(len(words.split(" "))),
        }
        done = subprocess.run(COMMAND, cwd=HOUSE, env=environ, capture_output=True, text=True, check=True)
        kinds.update(line.partition(",")[0] for line in done.stdout.splitlines())
        return {line.partition(",")[2] for line in done.stdout.splitlines()}

    kinds = set[str]()
    for words in ("add ph", "add a ph", "import ph", "origins import ph", "export -o ph"):
        assert offered(words) == {"ph"}
        assert kinds == {"file"}, "the shell completes it"
    assert offered("st") == {"status"}
    assert "--match" in offered("ls --ma")
    assert offered("ls --match ip") == {"ipartial"}
    assert offered("service ") == {"add", "ls", "rm", "use"}
    assert offered("ls --service m") == {"mine"}
    assert offered("login ") == {"mine"}
    assert offered("--service m") == {"mine"}
    assert offered("ls --status queued,pinn") == {"queued,pinning", "queued,pinned"}
    assert offered("origins ") == {"show", "export", "import"}
    assert offered("origins export --out") == {"--output"}


def test_version_is_the_distribution_s() -> None:
    done = subprocess.run([*COMMAND, "--version"], cwd=HOUSE, capture_output=True, text=True, check=True)
    name, number = done.stdout.split()
    assert name == "fleek-pin"
    assert number[0].isdigit()


def test_a_mistyped_command_is_told(pin: Pin) -> None:
    result = pin("stats")
    assert result.code == 2
    assert "no such command 'stats'" in result.err
    assert "did you mean status?" in result.err
