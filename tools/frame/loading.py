"""Ctrl-C while the modules of a command line load: the process ends, and no traceback says where it was."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quietly_interrupted() -> Iterator[None]:
    """Leave SIGINT to the system inside this block. Where it is ignored (`nohup`, `&`) it stays so."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
