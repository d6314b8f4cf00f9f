"""Bearer tokens: made once, shown once, kept only as a hash. The one place that owns them.

A token reads `flk_<id>_<secret>`: 12 hexadecimal digits that name the row and 48 that are random
(192 bits). Only SHA-256 of the secret is kept; a slow password hash would add nothing against
a secret that cannot be guessed and would make every request pay.

Every check reads the table, about 3 us, so a revocation that has returned holds on all workers
at once and there is nothing to invalidate. The table is an LMDB environment of its own
(DATA/access): wiping content cannot touch it.

Invariants
 1. The secret appears in the return value of `add` and nowhere else: not in errors, rows, logs.
 2. A check costs the same whether the id is unknown or the secret wrong (constant-time compare).
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from durable.environment import Environment
from durable.errors import FOREIGN, translated
from handshake.principal import Principal, checked_scopes
from runtime.clock import Clock, SystemClock
from runtime.errors import BlobDamaged, NotFound, Unauthenticated, UsageError

_TOKEN: Final = re.compile(r"flk_([0-9a-f]{12})_([0-9a-f]{48})", re.ASCII)
_ID: Final = re.compile(r"[0-9a-f]{12}", re.ASCII)
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_TABLE: Final = "tokens"
_MAP_BYTES: Final = 1 << 30  # a row is about 250 bytes: four million tokens
_NO_HASH: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as operators see it. Times are epoch seconds."""

    id: str
    account: str
    scopes: tuple[str, ...]
    created_s: float
    expires_s: float | None
    revoked_s: float | None
    quota_bytes: int | None


class Tokens:
    """The tokens of one data folder."""

    def __init__(self, environment: Environment, clock: Clock) -> None:
        """Use `Tokens.open`."""
        self._env = environment
        self._table = environment.tables[_TABLE]
        self._clock = clock

    @classmethod
    def open(cls, data: Path, clock: Clock | None = None) -> "Tokens":
        """Open or make the table in the data folder. Raises what `Environment.open` raises."""
        environment = Environment.open(data / "access", map_bytes=_MAP_BYTES, tables=(_TABLE,))
        return cls(environment, clock or SystemClock())

    def close(self) -> None:
        """Close the table; nobody may be reading it."""
        self._env.close()

    def add(
        self,
        account: str,
        scopes: Iterable[str],
        *,
        expires_s: float | None = None,
        quota_bytes: int | None = None,
    ) -> str:
        """Make a token and return its text, which is shown nowhere again. Durable on return.

        `expires_s` is an epoch time. Raises UsageError for a malformed account, scope or limit.
        """
        if _ACCOUNT.fullmatch(account) is None:
            raise UsageError(
                "malformed account name",
                where=account[:64],
                hint="1 to 64 letters, digits and . _ @ -, the first a letter or digit",
            )
        now_s = self._clock.now_s()
        if expires_s is not None and expires_s <= now_s:
            raise UsageError("the token would be expired from the start", where="--expires")
        if quota_bytes is not None and quota_bytes < 0:
            raise UsageError("a quota is a number of bytes from 0 on", where="--quota-bytes")
        identity, secret = secrets.token_hex(6), secrets.token_hex(24)
        row = TokenRow(identity, account, checked_scopes(scopes), now_s, expires_s, None, quota_bytes)
        value = _pack(row, hashlib.sha256(secret.encode()).digest())
        self._change(lambda txn: txn.put(identity.encode(), value, db=self._table))
        return f"flk_{identity}_{secret}"

    def list(self) -> list[TokenRow]:
        """All tokens, revoked and expired ones too, oldest first."""
        rows: list[TokenRow] = []
        with self._env.reading() as txn:
            cursor = txn.cursor(self._table)
            more = cursor.first()
            while more:
                rows.append(_unpack(bytes(cursor.key()), bytes(cursor.value()))[0])
                more = cursor.next()
        return sorted(rows, key=lambda row: (row.created_s, row.id))

    def revoke(self, identity: str) -> TokenRow:
        """Refuse the token from now on, in every process, once this returns. Raises NotFound.

        Revoking twice keeps the first time.
        """
        outcome: list[TokenRow] = []
        known_form = _ID.fullmatch(identity) is not None

        def mark(txn: Any) -> None:
            value = txn.get(identity.encode(), db=self._table) if known_form else None
            if value is None:
                return
            row, secret_hash = _unpack(identity.encode(), bytes(value))
            if row.revoked_s is None:
                row = TokenRow(
                    row.id,
                    row.account,
                    row.scopes,
                    row.created_s,
                    row.expires_s,
                    self._clock.now_s(),
                    row.quota_bytes,
                )
                txn.put(identity.encode(), _pack(row, secret_hash), db=self._table)
            outcome.append(row)

        self._change(mark)
        if not outcome:
            raise NotFound(
                "no token has this id", where=identity[:64], hint="list them with: fleek-edge token ls"
            )
        return outcome[0]

    def principal(self, text: str) -> Principal:
        """The caller that a token's text names. Raises Unauthenticated, saying no more than is safe.

        Which of unknown and wrong it was is not told; that it was revoked or has expired is told
        to whoever holds the right secret.
        """
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise Unauthenticated("malformed token", where="Authorization", hint="it reads flk_<id>_<secret>")
        identity, secret = match.groups()
        with self._env.reading() as txn:
            value = txn.get(identity.encode(), db=self._table)
        row, known_hash = (None, _NO_HASH) if value is None else _unpack(identity.encode(), bytes(value))
        right = hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), known_hash)
        if row is None or not right:
            raise Unauthenticated("unknown token", where=f"token {identity}")
        if row.revoked_s is not None:
            raise Unauthenticated("the token was revoked", where=f"token {identity}")
        if row.expires_s is not None and row.expires_s <= self._clock.now_s():
            raise Unauthenticated("the token has expired", where=f"token {identity}")
        return Principal(row.id, row.account, frozenset(row.scopes), row.quota_bytes)

    def _change(self, change: Callable[[Any], object]) -> None:
        """Run one small change in its own transaction, synced. Blocks for one fsync."""
        try:
            txn = self._env.begin_write()
            try:
                change(txn)
                txn.commit()
            except BaseException:
                txn.abort()
                raise
        except FOREIGN as error:
            raise translated(error, str(self._env.path)) from error


def _pack(row: TokenRow, secret_hash: bytes) -> bytes:
    """JSON: the table is small, read by people who debug, and grows fields with later services."""
    return json.dumps(
        {
            "account": row.account,
            "scopes": list(row.scopes),
            "created_s": row.created_s,
            "expires_s": row.expires_s,
            "revoked_s": row.revoked_s,
            "quota_bytes": row.quota_bytes,
            "secret_sha256": secret_hash.hex(),
        }
    ).encode()


def _unpack(identity: bytes, value: bytes) -> tuple[TokenRow, bytes]:
    try:
        fields = json.loads(value)
        row = TokenRow(
            id=identity.decode("ascii"),
            account=fields["account"],
            scopes=tuple(fields["scopes"]),
            created_s=fields["created_s"],
            expires_s=fields["expires_s"],
            revoked_s=fields["revoked_s"],
            quota_bytes=fields["quota_bytes"],
        )
        return row, bytes.fromhex(fields["secret_sha256"])
    except (ValueError, KeyError, TypeError):
        raise BlobDamaged("a token's row cannot be read", where=f"token {identity[:12]!r}") from None
