"""The coverage-guided engine, run as a process of its own because libFuzzer ends the process it runs in.

    python -m tests.fuzz.guided MODULE CORPUS_DIR [libFuzzer options …]

Started by tests/fuzz/__main__.py only; it reads the statistics libFuzzer prints at its end.
"""

import sys
from typing import Final

import atheris

# what a target may reach; the standard library and the tests themselves are not worth the slowdown
_WATCHED: Final = ["content", "net", "blockstore", "gateway", "handshake", "node", "runtime"]


def main() -> None:
    """Instrument, import the target, fuzz until the options say stop."""
    module, *options = sys.argv[1:]
    with atheris.instrument_imports(include=_WATCHED):
        from tests.fuzz.targets import load  # noqa: PLC0415 - what is imported here is instrumented

        target = load(module)
    atheris.Setup([sys.argv[0], *options], target.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
