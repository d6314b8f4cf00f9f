"""`fleek-pin`, and `python -m tools.pin`, which is the same."""

from importlib import import_module
from typing import NoReturn

from tools.frame.loading import quietly_interrupted


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    with quietly_interrupted():
        module = import_module("tools.pin.main")
    module.main()
    raise AssertionError("it exits")


if __name__ == "__main__":
    main()
