"""The short form of the kill -9 rounds; the long form is `make faults SUITE=store`."""

import json
import os
import subprocess
import sys

from tests.faults import store_rounds

ROUNDS = 20


def test_killed_processes_lose_nothing_show_nothing_false_and_leak_nothing() -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}: python -m tests.faults store {ROUNDS} {seed}")
    assert store_rounds.run(ROUNDS, seed) == []


def test_the_command_ends_with_its_verdict_as_json() -> None:
    command = [sys.executable, "-m", "tests.faults"]
    done = subprocess.run([*command, "store", "1", "7"], capture_output=True, text=True, check=True)
    last = json.loads(done.stdout.splitlines()[-1])
    assert last == {"suite": "store", "rounds": 1, "seed": 7, "violations": 0}
    wrong = subprocess.run([*command, "nothing", "1", "7"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "usage" in wrong.stderr
