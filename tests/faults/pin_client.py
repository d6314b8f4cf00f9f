"""`python -m tests.faults.pin_client DATA JOURNAL SEED`: asks for pins and lets go of some.

The journal is one O_APPEND write a line: `began add KEY`, `done add KEY`, `began rm KEY`, `done rm KEY`. What
it says `done` of, the store had acknowledged. A key is `ROUND.NUMBER.ACCOUNT`, and the name of its pin.
"""

import os
import random
import sys
import threading
from pathlib import Path

from blockstore import Store, StoreSettings
from pinning.pin import Filter, Status, Wish
from pinning.pins import Pins
from runtime.errors import NotFound
from tests.faults.pin_dags import NUMBERS, dag_of

PINS = 200
ACCOUNTS = ("ann", "ben", "cid", "dot")
SETTINGS = StoreSettings(lease_s=30.0, linger_s=0.01, index_map_bytes=1 << 30, bulk_map_bytes=1 << 34)
_THREADS = 16
_KEPT = 120  # pins of earlier rounds that stay


def run(data: Path, journal: Path, seed: int) -> None:
    """Ask for PINS pins at once, and let go of what is too much."""
    rng = random.Random(seed)
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    store = Store.open(data, SETTINGS)
    pins = Pins(store)
    old = [pin for pin in pins.stream(None, Filter()) if pin.status is Status.PINNED]
    rng.shuffle(old)
    adds = [(number, rng.choice(ACCOUNTS)) for number in rng.sample(range(NUMBERS), PINS)]
    work = threading.Lock()
    steps: list[tuple[str, str, str, str]] = [
        ("add", f"{seed}.{number}.{account}", account, "") for number, account in adds
    ]
    steps += [("rm", pin.wish.name or "", pin.account, pin.request_id) for pin in old[_KEPT:]]
    rng.shuffle(steps)

    def note(*words: str) -> None:
        os.write(file, (" ".join(words) + "\n").encode())

    def go() -> None:
        while True:
            with work:
                if not steps:
                    return
                what, key, account, request_id = steps.pop()
            note("began", what, key)
            if what == "add":
                pins.add(account, Wish(dag_of(int(key.split(".")[1]))[0].cid, name=key))
            else:
                try:
                    pins.remove(account, request_id)
                except NotFound:
                    note("wrong", key)
            note("done", what, key)

    threads = [threading.Thread(target=go) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
