"""What every test may rely on: the marks `needs(...)` and `alone`, and a list of what did not run.

A test that starts nginx says `@pytest.mark.needs("nginx")`. Where nginx is missing the test is skipped and
named, with the reason, at the end of the run. Under FLEEK_REQUIRE=all (or a comma-separated list of
programs) a missing program is a failure instead: that is how the continuous build proves that nothing was
silently left out.

`make test JOBS=auto` runs tests side by side, a process a core. A test that measures time or wants the
whole machine says `@pytest.mark.alone`: nothing else of the run is at work meanwhile.
"""

import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

# Time is judged by benches: a busy machine must not fail a property that holds
hypothesis.settings.register_profile("fleek", deadline=None)
hypothesis.settings.load_profile("fleek")

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that: tests that
# interrupt a command would wait for ever
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What tests/conformance/peers builds; then Debian keeps servers where an ordinary user's PATH does not look
PEERS = Path(__file__).parent.parent / "build" / "peers"
SEARCH_PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), str(PEERS), "/usr/local/sbin", "/usr/sbin", "/sbin"]
)


def find_program(name: str) -> str | None:
    """The full path of `name`, or None when this machine does not have it."""
    return shutil.which(name, path=SEARCH_PATH)


def required_programs() -> frozenset[str]:
    """The programs FLEEK_REQUIRE insists on; the word `all` stands for every one."""
    words = os.environ.get("FLEEK_REQUIRE", "").split(",")
    return frozenset(word.strip() for word in words if word.strip())


def missing_programs(item: pytest.Item) -> list[str]:
    """Programs that `item` names in its `needs` marks and that are not installed, in the order named."""
    wanted = [str(program) for mark in item.iter_markers("needs") for program in mark.args]
    return [program for program in dict.fromkeys(wanted) if find_program(program) is None]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or under FLEEK_REQUIRE fail, a test whose programs are missing."""
    missing = missing_programs(item)
    if not missing:
        return
    reason = f"needs {', '.join(missing)}, which this machine does not have"
    required = required_programs()
    if "all" in required or required.intersection(missing):
        pytest.fail(f"{reason}, and FLEEK_REQUIRE insists on it", pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Be at work among the processes of one test run, with others or alone. Waits for those who are not.

    Two files in `folder` are locked. Who waits to be alone holds the first: nobody comes in before.
    """
    with (folder / "door").open("a") as door, (folder / "room").open("a") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Where the run has several processes, take turns with those that are alone."""
    if not hasattr(item.config, "workerinput") or item.config.cache is None:
        return (yield)
    folder = item.config.cache.mkdir("turns")
    with turn(folder, alone=item.get_closest_marker("alone") is not None):
        return (yield)


def _skips(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    for report in reporter.stats.get("skipped", []):
        longrepr = report.longrepr
        reason = longrepr[2] if isinstance(longrepr, tuple | list) else str(longrepr)
        yield report.nodeid, reason.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List each test that did not run, with the reason, so that a green run hides nothing."""
    skips = sorted(set(_skips(terminalreporter)))
    if not skips:
        return
    terminalreporter.section("not run")
    for nodeid, reason in skips:
        terminalreporter.write_line(f"{nodeid}: {reason}")
