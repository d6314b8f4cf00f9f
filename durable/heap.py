"""Memory that a commit used is kept for the next one.

LMDB copies every page it will write to the heap first: 32 MiB for a full commit. glibc gives such memory
back to the kernel when it is freed, and for the next commit asks for it again, page by page. On a virtual
machine those page faults were two thirds of the CPU of writing 1 GiB (docs/performance.md). So what is freed
stays with the process, up to a bound, until the writer is idle.

Source: glibc's mallopt(3). Where there is another C library, nothing is done.
"""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
# One commit's pages and what waits for the next; more is given back at once
_KEPT_BYTES: Final = 128 << 20
# A stored segment (257 KiB) and a buffer to read into come from the heap: what is mapped by itself is
# unmapped when it is freed
_MAPPED_ABOVE_BYTES: Final = 4 << 20
_LIBC: Final = ctypes.CDLL(None)


def keep_freed() -> None:
    """Keep freed memory for the next commit, from now on and in all of this process."""
    if hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        _LIBC.mallopt(_MMAP_THRESHOLD, _MAPPED_ABOVE_BYTES)


def give_back() -> None:
    """Return what is free to the kernel; takes about a millisecond when there is much."""
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)
