"""The `needs` mark: a missing program is skipped aloud, or an error where the build insists on it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
TESTS = """
import pytest

@pytest.mark.needs("no-such-program", "sh")
def test_with_a_stranger():
    pass

@pytest.mark.needs()
def test_alone():
    pass
"""


def run_pytest(folder: Path, require: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_one.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = needs: programs\n")
    environ = {**os.environ, "FLEEK_REQUIRE": require}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, check=False, cwd=folder, env=environ, capture_output=True, text=True)


def test_a_missing_program_skips_and_is_listed_with_its_reason(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, "")
    assert ended.returncode == 0
    assert "1 passed, 1 skipped" in ended.stdout
    assert (
        "test_one.py::test_with_a_stranger: needs no-such-program, which this machine does not have"
        in (ended.stdout.partition("not run")[2])
    )


@pytest.mark.parametrize("require", ["all", "nginx, no-such-program"])
def test_a_missing_program_is_an_error_where_it_is_required(tmp_path: Path, require: str) -> None:
    ended = run_pytest(tmp_path, require)
    assert ended.returncode == 1
    assert "1 passed, 1 error" in ended.stdout
    assert "FLEEK_REQUIRE insists on it" in ended.stdout


def test_requiring_another_program_leaves_the_skip(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, "nginx").returncode == 0
