"""`GET …/x/proof/<cid>/<nonce>/<samples>`: a proof that what an account has pinned can be read here, now.

The nonce is the verifier's: 64 hexadecimal digits nobody could foresee. The answer is the CAR of
docs/formats/proof.md, streamed; only pins of the account that asks are proven, so that nobody learns from it
what others keep, or has a node read what it is not paid for.
"""

from collections.abc import Callable
from typing import Final, Protocol

from blockstore import Store
from content.cid import Cid
from net.answer import Answer
from pinning.challenge import NONCE_BYTES, SAMPLES_DEFAULT, Challenge
from pinning.holding import Holding
from pinning.pin import Filter, Status
from pinning.ports import PinBook
from pinning.proofs import Proofs
from pinning.proving import prove
from runtime.errors import BadRequest, NotFound

MEDIA_TYPE: Final = "application/vnd.ipld.car; version=1"
STATEMENT_TYPE: Final = "application/vnd.ipld.dag-cbor"
_SECOND_MS: Final = 1000
_PINS_MAX: Final = 100  # of one CID, with which the statement is kept


class Signer(Protocol):
    """The node's key; `content.private_key.PrivateKey` is one."""

    @property
    def public(self) -> bytes:
        """Protobuf of the public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`."""
        ...


def proof_answer(
    store: Store,
    book: PinBook,
    signer: Signer,
    check: Callable[[Cid], None],
    now_s: float,
    account: str,
    asked: str,
) -> Answer:
    """The answer to `account`; `asked`: CID, nonce and samples as the path has them. Blocking.

    `check` raises what refuses a block (a denylist): a proof shows content, and so may not show that.

    What was stated is kept with the pins, once a minute (`pinning.proofs`). Raises BadRequest, NotFound
    (nothing pinned of that CID), BlobDamaged, StoreFull. Reads at most 64 ways down the DAG, and once a
    minute waits for a commit.
    """
    challenge = _challenge(asked)
    wanted = Filter(cids=(challenge.root,), statuses=frozenset((Status.PINNED,)))
    pins = book.page(account, wanted, _PINS_MAX).pins
    if not pins:
        hint = "only what is pinned, and by the account that asks, is proven"
        raise NotFound("no pin of this content that is pinned", where=challenge.root.text(), hint=hint)
    made_ms = int(now_s * _SECOND_MS)
    proof = prove(challenge, Holding(store, check), signer.public, signer.sign, made_ms)
    Proofs(store).keep([pin.request_id for pin in pins], proof.statement, made_ms)
    fields = [("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store")]
    return Answer(200, fields, proof.pieces, kind="pinning", account=account)


def proved_answer(store: Store, book: PinBook, account: str, request_id: str) -> Answer:
    """`GET …/x/proved/<requestid>`: the statement that is kept of a pin. Raises NotFound."""
    found = Proofs(store).of(book.get(account, request_id).request_id)
    if found is None:
        hint = "ask for a proof: x/proof/<cid>/<nonce>/<samples>"
        raise NotFound("nothing was proven of this pin yet", where=request_id[:64], hint=hint)
    fields = [("Content-Type", STATEMENT_TYPE), ("Cache-Control", "no-store")]
    return Answer(200, fields, found, len(found), kind="pinning", account=account)


def _challenge(asked: str) -> Challenge:
    cid_text, _, rest = asked.partition("/")
    nonce_text, _, samples_text = rest.partition("/")
    try:
        nonce = bytes.fromhex(nonce_text) if len(nonce_text) == 2 * NONCE_BYTES else b""
    except ValueError:
        nonce = b""
    if not nonce:
        raise BadRequest(f"a nonce is {2 * NONCE_BYTES} hexadecimal digits", where="nonce")
    plain = samples_text.isascii() and samples_text.isdigit() and len(samples_text) < 4
    if samples_text and not plain:
        raise BadRequest("samples are a number", where="samples")
    return Challenge(Cid.parse(cid_text), nonce, int(samples_text or SAMPLES_DEFAULT))
