"""What every test may rely on: `needs(...)` for other people's programs, and a list of what did not run.

A test that starts nginx says `@pytest.mark.needs("nginx")`. Where nginx is missing the test is skipped and
named, with the reason, at the end of the run. Under FLEEK_REQUIRE=all (or a comma-separated list of
programs) a missing program is a failure instead: that is how the continuous build proves that nothing was
silently left out.
"""

import os
import shutil
import signal
from collections.abc import Iterator
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


def _skips(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    for report in reporter.stats.get("skipped", []):
        longrepr = report.longrepr
        reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
        yield report.nodeid, reason.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List each test that did not run, with the reason, so that a green run hides nothing."""
    skips = sorted(set(_skips(terminalreporter)))
    if not skips:
        return
    terminalreporter.section("not run")
    for nodeid, reason in skips:
        terminalreporter.write_line(f"{nodeid}: {reason}")
