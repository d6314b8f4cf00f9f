"""`x/proof`: proves what the account has pinned, to whoever knows the CID; and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from blockstore import Store
from content.block import Block
from content.cid import RAW, Cid
from content.private_key import wrap
from pinning.challenge import Challenge
from pinning.pin import Pin, Wish
from pinning.pins import Pins
from pinning.proof import read_statement
from pinning.proof_answer import proof_answer, proved_answer
from pinning.proofs import Proofs
from pinning.verifying import verify
from runtime.errors import BadRequest, Blocked, EdgeError, NotFound
from tests.pinning.arrivals import QUICK

KEY = wrap(Ed25519PrivateKey.from_private_bytes(bytes(32)))
NONCE = bytes(range(32))
CID = Cid.parse("bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")  # "hello world"


@pytest.fixture
def pins(tmp_path: Path) -> Pins:
    return Pins(Store.open(tmp_path / "data", QUICK))


def asked(
    pins: Pins,
    account: str,
    rest: str,
    now_s: float = 1_700_000_000.5,
    check: Callable[[Cid], None] = lambda cid: None,
) -> bytes:
    answer = proof_answer(pins._store, pins, KEY, check, now_s, account, rest)
    assert answer.status == 200
    assert answer.body is not None
    return b"".join(bytes(piece) for piece in answer.body)  # type: ignore[arg-type]


def test_what_is_pinned_is_proven_to_its_account_alone(pins: Pins) -> None:
    path = f"{CID}/{NONCE.hex()}/3"
    with pytest.raises(NotFound):
        asked(pins, "a", path)
    pin = pins.add("a", Wish(CID))
    with pytest.raises(NotFound):
        asked(pins, "a", path)
    pins.begin(pin.request_id)
    pins.pinned(pin.request_id, 11, 11)
    verdict = verify(Challenge(CID, NONCE, 3), [asked(pins, "a", path)])
    assert (verdict.signer, verdict.made_ms) == (KEY.public, 1_700_000_000_500)
    assert verdict.missing == CID, "it is said that it is not here after all"
    with pytest.raises(NotFound):
        asked(pins, "b", path)


def test_of_what_is_denied_no_proof_is_given(pins: Pins) -> None:
    pins._store.dag.put([Block(CID, b"hello world")])
    pin = pins.add("a", Wish(CID))
    pins.begin(pin.request_id)
    pins.pinned(pin.request_id, 11, 11)
    path = f"{CID}/{NONCE.hex()}/3"
    assert b"hello world" in asked(pins, "a", path)

    def deny(cid: Cid) -> None:
        raise Blocked("denied", where=cid.text())

    with pytest.raises(Blocked):
        asked(pins, "a", path, check=deny)


def test_what_was_stated_last_is_kept_with_the_pin_and_goes_with_it(pins: Pins) -> None:
    pin = pins.add("a", Wish(CID))
    pins.begin(pin.request_id)
    pins.pinned(pin.request_id, 11, 11)
    with pytest.raises(NotFound, match="nothing was proven"):
        proved_answer(pins._store, pins, "a", pin.request_id)
    asked(pins, "a", f"{CID}/{NONCE.hex()}/3")
    pins._store.put_bytes(b"hello world")
    kept = proved_answer(pins._store, pins, "a", pin.request_id).body
    assert isinstance(kept, bytes)
    statement = read_statement(kept)
    assert (statement.challenge, statement.missing) == (Challenge(CID, NONCE, 3), CID)
    with pytest.raises(NotFound):
        proved_answer(pins._store, pins, "b", pin.request_id)
    proofs = Proofs(pins._store)
    pins.remove("a", pin.request_id)
    assert proofs.of(pin.request_id) is None
    proofs.keep([pin.request_id], Block.sealed(RAW, kept), 1 << 50)
    assert proofs.of(pin.request_id) is None, "nothing is kept of a pin that is gone"


def test_asking_for_proofs_commits_once_a_minute(pins: Pins) -> None:
    made = [pins.add("a", Wish(CID)) for _ in range(2)]
    for pin in made:
        pins.begin(pin.request_id)
        pins.pinned(pin.request_id, 11, 11)

    def kept(pin: Pin) -> int:
        body = proved_answer(pins._store, pins, "a", pin.request_id).body
        assert isinstance(body, bytes)
        return read_statement(body).made_ms

    begin_s = 1_700_000_000.0
    for second in (0, 1, 59.9):
        asked(pins, "a", f"{CID}/{NONCE.hex()}/3", begin_s + second)
        assert {kept(pin) for pin in made} == {1_700_000_000_000}
    asked(pins, "a", f"{CID}/{NONCE.hex()}/3", begin_s + 60)
    assert {kept(pin) for pin in made} == {1_700_000_060_000}
    asked(pins, "a", f"{CID}/{NONCE.hex()}/3", begin_s - 3600)
    assert {kept(pin) for pin in made} == {1_699_996_400_000}, "a clock that stepped back"


@pytest.mark.parametrize(
    "rest",
    ["", "nonsense", str(CID), f"{CID}/", f"{CID}/00", f"{CID}/{'zz' * 32}", f"{CID}/{NONCE.hex()}/0",
     f"{CID}/{NONCE.hex()}/65", f"{CID}/{NONCE.hex()}/x", f"{CID}/{NONCE.hex()}/3/4", f"x/{NONCE.hex()}"],
)  # fmt: skip
def test_a_challenge_that_is_none_is_refused(pins: Pins, rest: str) -> None:
    with pytest.raises(BadRequest) as refused:
        asked(pins, "a", rest)
    assert isinstance(refused.value, EdgeError)
