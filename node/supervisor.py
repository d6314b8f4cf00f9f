"""The process that `fleek-edge serve` starts: it owns the sockets and keeps the others alive.

It serves nothing itself. Per worker it holds a listening socket and two counter slots (the old
and the new process of a reload use different ones); the keeper has a pair of its own.

Invariants
 1. A child that dies without being asked is replaced, later and later while it keeps dying.
 2. A reload replaces children one by one, the new one serving before the old one drains.
 3. After SIGTERM no child is started, and the exit code is 0 once all have left.
"""

import asyncio
import fcntl
import json
import logging
import os
import resource
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from blockstore import Store
from durable import translated
from handshake.tokens import Tokens
from node.child import Child, start_child
from node.config import Config
from node.identity import peer_id
from node.listeners import close, open_listeners, shown
from node.named_files import check_files
from node.start import Start
from node.values import address
from runtime.board import SLOT_COUNT, Board
from runtime.errors import EdgeError, UsageError
from runtime.metrics import clear_gauges

log = logging.getLogger("fleek.supervisor")

_DESCRIPTORS: Final = 65_536  # for eight times the default max_connections of a worker
_KEEPER_SLOT: Final = SLOT_COUNT - 2
_STOP_GRACE_S: Final = 5.0  # beyond drain_s, for commits in flight
_LEAVING_S: Final = 1.0  # from the end of a child's words to its exit
_RESTART_FIRST_S: Final = 0.05
_RESTART_MOST_S: Final = 5.0
_SETTLED_S: Final = 30.0  # a child that lived this long starts again without delay


@dataclass(slots=True)
class Post:
    """A place in the node that always wants one process."""

    name: str
    module: str
    slots: tuple[int, int]
    plain: socket.socket | None = None
    tls: socket.socket | None = None
    admin: socket.socket | None = None
    child: Child | None = None
    coming: Child | None = None  # what a reload would put in its place
    watcher: "asyncio.Task[None] | None" = None
    ready: bool = False
    leaving: "set[asyncio.Task[int]]" = field(default_factory=set)


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises EdgeError before it serves."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    _allow_many_connections()
    check_files(config)
    lock = _lock(config.node.data)
    try:
        _check_store(config)
        return asyncio.run(_Supervisor(config).run())
    finally:
        os.close(lock)


def _allow_many_connections() -> None:
    """Take the descriptors the system grants: a connection is one, and the soft limit is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _lock(data: Path) -> int:
    """Hold DATA/run/node.lock for life; the kernel lets go of it however this process ends."""
    path = data / "run" / "node.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise translated(error, str(data)) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise UsageError(
            "a node already runs on this data folder",
            where=str(data),
            hint="stop it, or choose another folder with --data; put, get, ls, rm work while it runs",
        ) from None
    return fd


def _check_store(config: Config) -> None:
    """Make or open everything once, so that what is wrong is said here and not by N children."""
    Store.open(config.node.data, config.store).close()
    Tokens.open(config.node.data).close()
    peer_id(config.node.data)


class _Supervisor:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._board = Board(config.node.data / "run" / "board")
        self._posts: list[Post] = []
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._serving_or_stopping = asyncio.Event()
        self._announced = False
        self._failed_start: int | None = None
        self._workers = 0

    async def run(self) -> int:
        self._open_posts()
        self._board.clear_counters()
        loop = asyncio.get_running_loop()
        reloads: set[asyncio.Task[None]] = set()

        def reload() -> None:
            task = loop.create_task(self._reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGTERM, self._begin_stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGHUP, reload)
        for post in self._posts:
            post.watcher = loop.create_task(self._keep(post), name=post.name)
        await self._serving_or_stopping.wait()
        if not self._stopping.is_set():
            self._announced = True
            self._say_ready()
        await self._stopping.wait()
        await self._stop()
        _ignore_signals(loop)
        return self._failed_start or 0

    def _open_posts(self) -> None:
        node = self._config.node
        self._workers = node.workers or len(os.sched_getaffinity(0))
        plain = open_listeners(address(node.listen), self._workers)
        tls = open_listeners(address(node.tls_listen), self._workers) if node.tls_listen else []
        admin = open_listeners(address(node.admin), 1)[0]
        self._posts = [
            Post(
                name=f"worker {index}",
                module="node.worker",
                slots=(2 * index, 2 * index + 1),
                plain=plain[index],
                tls=tls[index] if tls else None,
            )
            for index in range(self._workers)
        ]
        self._posts.append(
            Post(name="keeper", module="node.keeper", slots=(_KEEPER_SLOT, _KEEPER_SLOT + 1), admin=admin)
        )

    def _say_ready(self) -> None:
        first = self._posts[0]
        admin = self._posts[-1].admin
        assert first.plain is not None
        assert admin is not None
        line = {
            "event": "ready",
            "public": shown(first.plain, "http"),
            "tls": shown(first.tls, "https") if first.tls is not None else None,
            "admin": shown(admin, "http"),
            "pid": os.getpid(),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def _interrupt(self) -> None:
        if self._stopping.is_set():
            for post in self._posts:
                for child in (post.child, post.coming):
                    if child is not None:
                        child.kill()
        self._begin_stop()

    def _begin_stop(self) -> None:
        self._stopping.set()
        self._serving_or_stopping.set()

    def _start(self, post: Post, slot: int) -> Child:
        config = self._config
        child = start_child(
            post.name,
            post.module,
            Start(
                node=config.node,
                store=config.store,
                http=config.http,
                log=config.log,
                gateway=config.gateway,
                origins=config.origins,
                pinning=config.pinning,
                slot=slot,
                plain_fd=_fd(post.plain),
                tls_fd=_fd(post.tls),
                admin_fd=_fd(post.admin),
            ),
        )
        # What a dead process had open is open no more; its counters stay
        child.exited.add_done_callback(lambda _: clear_gauges(self._board.slot(slot)))
        return child

    async def _keep(self, post: Post) -> None:
        """Keep one post filled until the node stops."""
        loop = asyncio.get_running_loop()
        delay_s = _RESTART_FIRST_S
        while not self._stopping.is_set():
            started_s = loop.time()
            child = post.child = self._start(post, _other_slot(post))
            self._note(post, await child.ready())
            if post.ready:
                code = await self._until_replaced_or_dead(post)
            else:
                code = await child.stopped(_LEAVING_S)  # what it leaves with says why
                if not self._announced:
                    self._failed_start = code if code > 0 else 1
                    self._begin_stop()
            self._note(post, False)
            if self._stopping.is_set():
                return
            log.error("%s (pid %d) ended with %s; starting another", post.name, child.pid, code)
            delay_s = _RESTART_FIRST_S if loop.time() - started_s > _SETTLED_S else delay_s * 2
            await self._pause(min(delay_s, _RESTART_MOST_S))

    async def _until_replaced_or_dead(self, post: Post) -> int:
        """Follow the post through reloads: only the death of its current child is a death."""
        while True:
            child = post.child
            assert child is not None
            code = await asyncio.shield(child.exited)
            if post.child is child:
                return code

    def _note(self, post: Post, ready: bool) -> None:
        post.ready = ready
        workers = [other for other in self._posts if other.plain is not None]
        count = sum(other.ready for other in workers)
        self._board.set_serving(wanted=len(workers), ready=0 if self._stopping.is_set() else count)
        if all(other.ready for other in self._posts):
            self._serving_or_stopping.set()

    async def _pause(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _reload(self) -> None:
        """Read the configuration again and replace every child by one that knows it."""
        async with self._reloading:
            try:
                fresh = self._config.reload()
                check_files(fresh)
            except EdgeError as error:
                log.error("reload refused, the old configuration stays: %s (%s)", error.message, error.where)
                return
            self._warn_unchangeable(fresh)
            self._config = fresh
            for post in self._posts:
                if self._stopping.is_set():
                    return
                await self._replace(post)
            log.info("reloaded")

    def _warn_unchangeable(self, fresh: Config) -> None:
        for name in ("data", "listen", "admin", "tls_listen", "workers"):
            if getattr(fresh.node, name) != getattr(self._config.node, name):
                log.warning("%s changed; this takes effect at the next start", name)

    async def _replace(self, post: Post) -> None:
        old = post.child
        if old is None or not post.ready:
            return  # being started anyway, and with the new configuration
        child = post.coming = self._start(post, _other_slot(post))
        ready = await child.ready()
        if self._stopping.is_set():
            return  # `_stop` ends both
        post.coming = None
        if not ready:
            child.kill()
            log.error("reload: a new %s did not come up; the old one stays", post.name)
            return
        post.child = child
        old.terminate()
        leaving = asyncio.create_task(old.stopped(self._grace_s()))
        post.leaving.add(leaving)
        leaving.add_done_callback(post.leaving.discard)

    def _grace_s(self) -> float:
        return self._config.node.drain_s + _STOP_GRACE_S

    async def _stop(self) -> None:
        self._board.set_serving(wanted=0, ready=0)
        children = [child for post in self._posts for child in (post.child, post.coming) if child is not None]
        for child in children:
            child.terminate()
        waits = [child.stopped(self._grace_s()) for child in children]
        leaving = [task for post in self._posts for task in post.leaving]
        await asyncio.gather(*waits, *leaving)
        watchers = [post.watcher for post in self._posts if post.watcher is not None]
        await asyncio.gather(*watchers)
        for post in self._posts:
            for listener in (post.plain, post.tls, post.admin):
                if listener is not None:
                    close(listener)


def _ignore_signals(loop: asyncio.AbstractEventLoop) -> None:
    """All children have left: an impatient second SIGTERM must not turn the exit code into 143."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _other_slot(post: Post) -> int:
    """The slot that the present process of the post, which may still be draining, does not count in."""
    return post.slots[1] if post.child is not None and post.child.slot == post.slots[0] else post.slots[0]


def _fd(listener: socket.socket | None) -> int | None:
    return listener.fileno() if listener is not None else None
