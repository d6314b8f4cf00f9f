"""Content on its way to a Fleek Edge node: `POST /car` for what is small, tus 1.0.0 for what is not.

A large upload that is cut off goes on from where the node has it: by itself while the command runs, and when
the same content is sent again later, because the upload's address is kept until it has ended.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from pinning import timestamps
from runtime.errors import (
    Busy,
    Conflict,
    EdgeError,
    NotFound,
    SourceTimeout,
    Unreachable,
    Unverified,
)
from tools.frame.output import Progress
from tools.frame.refusal import kind_of
from tools.pin.book import Order
from tools.pin.psa import Psa

# Below this one request is cheaper than to be able to go on in the middle
_WHOLE_BYTES_MAX: Final = 4 << 20
_TRIES: Final = 6  # in a row without a byte of progress: some 30 s
_KEPT_S: Final = 14 * 86_400  # longer than a node keeps what was begun
_TUS: Final = ("Tus-Resumable", "1.0.0")
_OFFSET_TYPE: Final = ("Content-Type", "application/offset+octet-stream")
_CAR_TYPE: Final = ("Content-Type", "application/vnd.ipld.car")
_MOUNT: Final = "/pinning/v1"


class Source(Protocol):
    """A CAR that can be read from any byte on."""

    @property
    def length_bytes(self) -> int:
        """All of it."""
        ...

    @property
    def identity(self) -> str:
        """What tells it from other content."""
        ...

    def pieces(self, start: int) -> Iterator[bytes]:
        """The bytes from `start` on."""
        ...


class Upload:
    """One CAR on its way."""

    def __init__(
        self, psa: Psa, source: Source, order: Order, progress: Progress, environ: Mapping[str, str],
        *, pause: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        """`psa`: of a Fleek Edge node."""
        endpoint = psa.service.endpoint
        self._psa, self._source, self._progress, self._pause = psa, source, progress, pause
        self._base = f"{psa.base.removesuffix(_MOUNT)}/car"
        self._query = _query(order)
        self._where = endpoint
        self._note = _Note(environ, f"{endpoint} {source.identity} {order.name} {order.meta}")
        self._shown_bytes = 0

    def send(self) -> list[str]:
        """Request ids of the pins that came of it. Raises what the node refuses with, Unreachable."""
        if self._source.length_bytes <= _WHOLE_BYTES_MAX:
            body, size = self._shown(0), self._source.length_bytes
            target = f"{self._base}{self._query}"
            answer = self._psa.exchange("POST", target, [_CAR_TYPE], body, size)
            return self._pins(self._psa.checked(*answer))
        offset, location = self._known() or self._created()
        tries = 0
        while offset < self._source.length_bytes:
            before = offset
            try:
                offset = self._patch(location, offset)
            except (Unreachable, SourceTimeout, Busy, Conflict) as error:
                tries = 0 if offset > before else tries + 1
                if tries >= _TRIES:
                    error.hint = "the same command goes on where it was"
                    raise
                self._pause(min(0.25 * 2**tries, 10.0))
                there = self._asked(location)
                if there is None:
                    raise Unreachable("the node forgot the upload", where=self._where) from None
                tries = 0 if there > before else tries
                offset = there
        return self._result(location)

    def _created(self) -> tuple[int, str]:
        headers = [_TUS, ("Upload-Length", str(self._source.length_bytes))]
        target = f"{self._base}/uploads{self._query}"
        reply, body = self._psa.exchange("POST", target, headers)
        location = reply.fields.get("location") or ""
        if reply.status != 201 or not location:
            raise self._psa.refusal(reply, body)
        path = location if location.startswith("/") else "/" + location.split("://", 1)[-1].partition("/")[2]
        self._note.write(path)
        return 0, path

    def _known(self) -> tuple[int, str] | None:
        """An upload of the same content that was begun before and is still there."""
        location = self._note.read()
        offset = None if location is None else self._asked(location)
        return None if offset is None or location is None else (offset, location)

    def _asked(self, location: str) -> int | None:
        """How much of an upload the node has; None when it does not know it."""
        reply, body = self._psa.exchange("HEAD", location, [_TUS])
        if reply.status in (404, 410):
            self._note.forget()
            return None
        offset = reply.fields.get("upload-offset") or ""
        if reply.status != 200 or not offset.isdigit():
            raise self._psa.refusal(reply, body)
        return int(offset)

    def _patch(self, location: str, offset: int) -> int:
        headers = [_TUS, _OFFSET_TYPE, ("Upload-Offset", str(offset))]
        left = self._source.length_bytes - offset
        reply, body = self._psa.exchange("PATCH", location, headers, self._shown(offset), left)
        now = reply.fields.get("upload-offset") or ""
        if reply.status != 204 or not now.isdigit():
            raise self._refused(self._psa.refusal(reply, body))
        return int(now)

    def _shown(self, start: int) -> Iterator[bytes]:
        """The pieces, with the bar advanced by what is sent for the first time."""
        at = start
        if start > self._shown_bytes:
            self._progress.advance(start - self._shown_bytes)
            self._shown_bytes = start
        for data in self._source.pieces(start):
            yield data
            at += len(data)
            if at > self._shown_bytes:
                self._progress.advance(at - self._shown_bytes)
                self._shown_bytes = at

    def _result(self, location: str) -> list[str]:
        """What became of an upload whose bytes are all there; the node may still be at it."""
        rest_s = 0.1
        while True:
            found = self._psa.checked(*self._psa.exchange("GET", location, [_TUS]))
            if not isinstance(found, dict):
                raise Unreachable("the node sent something that is no upload", where=self._where)
            if "error" in found:
                self._note.forget()
                raise self._failed(found)
            if found.get("done"):
                self._note.forget()
                return self._pins(found)
            self._pause(rest_s)
            rest_s = min(rest_s * 2, 2.0)

    def _pins(self, found: Any) -> list[str]:
        try:
            names = [pin["requestid"] for pin in found["pins"]]
        except (TypeError, KeyError):
            names = [None]
        if not names or not all(isinstance(name, str) for name in names):
            raise Unreachable("the node does not say what it pinned", where=self._where)
        return names

    def _failed(self, found: dict[str, Any]) -> EdgeError:
        """The refusal that ended an upload, which the node keeps with it."""
        status = found.get("status")
        error = found.get("error")
        words = error.get("message") if isinstance(error, dict) else None
        kind = kind_of(status) if isinstance(status, int) else Unreachable
        return self._refused(kind(f"the node refused the upload: {str(words)[:200]!r}", where=self._where))

    def _refused(self, error: EdgeError) -> EdgeError:
        if isinstance(error, Unverified):
            error.hint = "was a file changed while it was sent? Add it again"
        if isinstance(error, NotFound):
            self._note.forget()
        return error


class _Note:
    """The address of an upload that has not ended, kept for the next run. It opens to its token only."""

    def __init__(self, environ: Mapping[str, str], identity: str) -> None:
        base = environ.get("XDG_STATE_HOME", "")
        home = Path(environ.get("HOME") or "/")
        state = Path(base) if base.startswith("/") else home / ".local" / "state"
        self._folder = state / "fleek" / "uploads"
        self._path = self._folder / hashlib.sha256(identity.encode()).hexdigest()

    def read(self) -> str | None:
        """The address; None when there is none, or none that can be."""
        try:
            text = self._path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return text if text.startswith("/") and text.isprintable() and " " not in text else None

    def write(self, location: str) -> None:
        """Keep it, and let go of those that no node has any more. Failing costs a fresh start, no more."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.write_text(location, "ascii")
            for other in self._folder.iterdir():
                if other.stat().st_mtime < time.time() - _KEPT_S:
                    other.unlink()
        except (OSError, UnicodeEncodeError):
            pass

    def forget(self) -> None:
        """The upload has ended."""
        try:
            os.unlink(self._path)
        except OSError:
            pass


def _query(order: Order) -> str:
    fields = [("name", order.name)] if order.name else []
    fields += [("meta", json.dumps(order.meta, sort_keys=True))] if order.meta else []
    if order.expires_s is not None:
        fields.append(("expires", timestamps.written_s(order.expires_s)))
    return f"?{urlencode(fields)}" if fields else ""
