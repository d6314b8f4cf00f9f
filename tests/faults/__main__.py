"""`python -m tests.faults SUITE ROUNDS SEED`: the long form of the fault tests.

Each round hurts the product at a random moment and checks what must still be true. The last line
is `{"suite", "rounds", "seed", "violations"}`; the exit status is 1 when there were violations.
"""

import json
import sys
from collections.abc import Callable

from tests.faults import pin_rounds, store_rounds

SUITES: dict[str, Callable[[int, int], list[str]]] = {
    "store": store_rounds.run,
    "pin": pin_rounds.run,
}


def main(arguments: list[str]) -> int:
    """Run one suite."""
    if len(arguments) != 3 or arguments[0] not in SUITES or not all(each.isdigit() for each in arguments[1:]):
        print(f"usage: python -m tests.faults {{{','.join(SUITES)}}} ROUNDS SEED", file=sys.stderr)
        return 2
    suite, rounds, seed = arguments[0], int(arguments[1]), int(arguments[2])
    violations = SUITES[suite](rounds, seed)
    for each in violations:
        print(each, file=sys.stderr)
    print(json.dumps({"suite": suite, "rounds": rounds, "seed": seed, "violations": len(violations)}))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
