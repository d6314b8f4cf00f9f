"""The origin of what a command reads: the file or folder it was given, by its absolute path."""

import os
from typing import Final

from blockstore import Store
from blockstore.origin import Origin, OriginKind
from tools.frame import walk

_STDIN: Final = "standard input"


def came_from(store: Store, path: str, size_bytes: int | None = None, profile: str = "") -> Origin:
    """Content that was read from `path` just now; `profile` says how it became UnixFS. About 10 us.

    Standard input is noted as an upload: nobody can read it again.
    """
    now_s = store.backing.clock.now_s()
    kind, address = OriginKind.LOCAL, os.path.abspath(path)
    if path == walk.STDIN:
        kind, address = OriginKind.UPLOAD, _STDIN
    return Origin(
        kind,
        address,
        added_s=now_s,
        size_bytes=size_bytes,
        first_success_s=now_s,
        last_success_s=now_s,
        profile=profile,
    )
