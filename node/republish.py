"""Renews the records of the names whose keys are here, before they end, while a node runs.

A record that has less than half of its lifetime left is signed again: the same path and sequence, a later end
(what counts as newer by the IPNS specification), kept, and handed to the routers of [origins]. What routers
know is asked for first, so that a record published elsewhere with the same key is renewed and not undone.

Bounded: a round looks at `KEYS_MAX` keys, and asks each router twice a key that is due. Called by the keeper.
"""

import logging
from collections.abc import Callable
from typing import Final

from content import ipns
from content.cid import Cid
from content.private_key import PrivateKey
from gateway.dnslinks import DnsLinks
from gateway.mutable import Names
from gateway.ports import DagStore
from node.keystore import Keystore
from origins.routers import Routers
from runtime.clock import Clock
from runtime.errors import EdgeError

log = logging.getLogger("fleek.republish")

# Between two rounds. A record whose lifetime is shorter than twice this may lapse in between
INTERVAL_S: Final = 300.0
_DUE_SHARE: Final = 0.5


class Republisher:
    """One data folder's names."""

    def __init__(self, dag: DagStore, keys: Keystore, routers: Routers | None, clock: Clock) -> None:
        """`routers` None: offline, records are renewed here only."""
        self._dag, self._keys, self._routers, self._clock = dag, keys, routers, clock
        self._names = Names(dag, DnsLinks({}, clock.tick_s), clock.now_s)

    def run(self, stopped: Callable[[], bool]) -> int:
        """One round, given up between two keys when `stopped` says so; how many records were renewed."""
        renewed = 0
        try:
            for key_name, key, lifetime_s in self._keys.published():
                if stopped():
                    break
                renewed += self._renew(key_name, key, lifetime_s)
        except EdgeError as error:  # a key that cannot be read: the rest waits for the operator too
            log.error("names are not renewed: %s (%s)", error.message, error.where)
        return renewed

    def _renew(self, key_name: str, key: PrivateKey, lifetime_s: float) -> bool:
        name = key.name
        if not self._is_due(name, lifetime_s):
            return False
        for raw in () if self._routers is None else self._routers.records(name):
            try:
                self._names.keep(name, raw)
            except EdgeError as error:
                log.info("a record of %s is not taken: %s", key_name, error.message)
        if not self._is_due(name, lifetime_s):
            return False
        record = self._kept(name)
        assert record is not None, "what is due is there"
        now_s = self._clock.now_s()
        raw = ipns.create(
            key.public,
            key.sign,
            record.value,
            sequence=record.sequence,
            expires_s=now_s + lifetime_s,
            ttl_s=record.ttl_s,
        )
        if self._names.keep(name, raw).raw != raw:
            return False  # somebody has just published above it
        for offered in () if self._routers is None else self._routers.offer(name, raw):
            if offered.problem:
                log.warning("%s did not take the record of %s: %s", offered.router, key_name, offered.problem)
        return True

    def _is_due(self, name: Cid, lifetime_s: float) -> bool:
        record = self._kept(name)
        return record is not None and record.expires_s - self._clock.now_s() < lifetime_s * _DUE_SHARE

    def _kept(self, name: Cid) -> ipns.Record | None:
        raw = self._dag.record(name.multihash)
        return None if raw is None else ipns.unchecked(name, raw)
