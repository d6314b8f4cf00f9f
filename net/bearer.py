"""From the `Authorization` field of a request to the caller it names (RFC 6750 §2.1).

The services (gateway, pinning) see callers through the two small ports here; `handshake` fulfils them
(node/assemble.py joins them).
"""

from typing import Final, Protocol

from net.http1 import Request
from runtime.errors import Unauthenticated

_HINT: Final = "send Authorization: Bearer flk_…; an operator makes one with: fleek-edge token add"


class Caller(Protocol):
    """Somebody whose credential was checked."""

    @property
    def account(self) -> str:
        """Whose bytes and money it is."""
        ...

    @property
    def quota_bytes(self) -> int | None:
        """Most bytes the account may keep here; None for no limit."""
        ...

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the caller holds `scope` (contract, "Tokens")."""
        ...


class TokenBook(Protocol):
    """Who knows the tokens."""

    def principal(self, text: str) -> Caller:
        """The caller that a token's text names. Raises Unauthenticated."""
        ...


def caller(request: Request, tokens: TokenBook) -> Caller | None:
    """The caller of a request, None for an anonymous one. Raises Unauthenticated.

    A credential that is there and wrong is refused even where none is needed: a client that
    thinks it is paying for a request must not be served as somebody else.
    """
    field = request.fields.get("authorization")
    if field is None:
        return None
    scheme, _, text = field.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("the Authorization scheme is not Bearer", where=scheme[:16], hint=_HINT)
    return tokens.principal(text.strip(" "))


def require(known: Caller | None, scope: str) -> Caller:
    """The caller, when there is one that holds `scope`. Raises Unauthenticated or Forbidden."""
    if known is None:
        raise Unauthenticated("this needs a token", where=f"scope {scope}", hint=_HINT)
    known.require(scope)
    return known
