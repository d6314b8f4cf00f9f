"""One child process of the supervisor: start it, hear that it serves, tell it to stop."""

import asyncio
import os
import sys
from typing import Final

from node.start import READY_LINE, Start, packed

# Opening a store checks readers and verifies the format; a cold disk takes a second or two
_READY_WITHIN_S: Final = 60.0


class Child:
    """A running child. `module` is what it runs, for example `node.worker`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, slot: int) -> None:
        """Use `start_child`."""
        self.name = name
        self.slot = slot
        self._process = process
        self.exited: asyncio.Task[int] = asyncio.create_task(process.wait(), name=f"{name} exits")

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def ready(self) -> bool:
        """Wait until the child serves; False when it ended or took too long instead."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                return await self._process.stdout.readline() == READY_LINE
        except TimeoutError:
            return False

    def terminate(self) -> None:
        """Ask it to drain and leave."""
        if self._process.returncode is None:
            self._process.terminate()

    async def stopped(self, within_s: float) -> int:
        """Its exit code, killed when it does not leave by itself in time."""
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self.exited)
        except TimeoutError:
            self.kill()
            return await self.exited

    def kill(self) -> None:
        """End it now."""
        if self._process.returncode is None:
            self._process.kill()


async def start_child(name: str, module: str, start: Start) -> Child:
    """Start `python -P -m module` with the listeners named in `start`, and hand it `start`.

    -P keeps the working directory off the import path: a node started in a hostile folder must
    not import from it.
    """
    passed = [fd for fd in (start.plain_fd, start.tls_fd, start.admin_fd) if fd is not None]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=passed,
        start_new_session=True,  # Ctrl-C on the terminal reaches the supervisor alone
        env={**os.environ, "FLEEK_EDGE_CHILD": name},
    )
    assert process.stdin is not None
    process.stdin.write(packed(start))
    await process.stdin.drain()
    return Child(name, process, start.slot)
