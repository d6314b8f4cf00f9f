"""`fleek-pin verify`: a service proves that it can read what it says is pinned."""

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from content import multibase, public_key
from content.cid import Cid
from pinning.challenge import NONCE_BYTES, SAMPLES_DEFAULT, SAMPLES_MAX, Challenge
from pinning.verifying import Verdict, Verifier
from runtime.errors import Unverified
from tools.frame.output import human_size
from tools.pin.asking import pins_named
from tools.pin.book import Book
from tools.pin.invocation import Invocation, command
from tools.pin.record import PinRecord
from tools.pin.twice import Written, file_named

_SECOND_MS: Final = 1000


@click.command()
@click.argument("pins", metavar="REQUESTID|CID...", nargs=-1, required=True)
@click.option(
    "--samples", type=click.IntRange(1, SAMPLES_MAX), default=SAMPLES_DEFAULT, show_default=True,
    help="Random ways down the DAG. Who lacks a tenth of it passes 16 once in five times, 64 hardly ever.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Keep the proof (a CAR)."
)
@command
def verify(invocation: Invocation, pins: tuple[str, ...], samples: int, output: Path | None) -> None:
    """Have it proven that a pin's content is there.

    A new random challenge each time; the answer is checked here, against the CID alone. Exit 4 when the proof
    does not hold, or the node itself says what it lacks. A Fleek Edge node proves, or the store of --data.

    \b
    Example:
      fleek-pin verify 0f2b…
      fleek-pin verify bafybei… --samples 64 -o proof.car --json
    """
    lacking: Unverified | None = None
    with invocation.book() as book, ExitStack() as stack:
        file = None if output is None else stack.enter_context(Written(file_named(output)))
        for record in pins_named(book, pins):
            verdict = _verdict(book, record, samples, file)
            signer = multibase.encode("z", public_key.decode(verdict.signer).name)[1:]
            made = f"{datetime.fromtimestamp(verdict.made_ms / _SECOND_MS, UTC):%Y-%m-%dT%H:%M:%SZ}"
            if verdict.missing is not None:
                lacking = Unverified(
                    f"the node says that it lacks block {verdict.missing}",
                    where=f"{record['requestid']}, {record['cid']}",
                    hint=f"signed by {signer} at {made}",
                )
                break  # and not raised here: what it signed is kept as a proof is
            told = {
                "requestid": record["requestid"],
                "cid": record["cid"],
                "proven": True,
                "samples": samples,
                "blocks": verdict.blocks,
                "size_bytes": verdict.bytes_,
                "signer": signer,
                "made": made,
            }
            plain = f"{record['cid']}  proven by {samples} samples: {verdict.blocks} blocks, "
            plain += f"{human_size(verdict.bytes_)}, signed by {signer}"
            invocation.out.record(told, plain, color="green", flush=True)
    if lacking is not None:
        raise lacking


def _verdict(book: Book, record: PinRecord, samples: int, file: Written | None) -> Verdict:
    challenge = Challenge(Cid.parse(record["cid"]), os.urandom(NONCE_BYTES), samples)
    verifier = Verifier(challenge)
    for data in book.proof(record["cid"], challenge.nonce, samples):
        if file is not None:
            file.write(data)
        verifier.feed(data)
    return verifier.end()
