"""A request and what its answer must have, as a row of a table."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from content.car import CarReader
from content.cid import Cid
from tests.appliance import Node, Reply

FOREVER = "=public, max-age=29030400, immutable"
MISSING = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"  # nobody has it


@dataclass(frozen=True)
class Case:
    """One row.

    `has`: field -> a part of its value, after `=` the whole of it, "" for any; `lacks`: fields that may not
    be there, or `field: part` that may not be in it.
    """

    path: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    has: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    method: str = "GET"

    def check(self, node: Node) -> Reply:
        """Ask, compare; for a GET also ask HEAD, whose answer has the same fields."""
        reply = node.request(self.method, self.path, self.headers)
        self._compare(reply)
        if self.method == "GET" and "Range" not in self.headers:
            head = node.request("HEAD", self.path, self.headers)
            assert head.body == b""
            assert head.status == reply.status, (self, "HEAD", head.status)
            assert _fields(head) == _fields(reply), (self, "HEAD has other fields")
        return reply

    def _compare(self, reply: Reply) -> None:
        assert reply.status == self.status, (self, reply.status, reply.body[:300])
        for name, text in self.has.items():
            found = reply.headers[name]
            assert found is not None, (self, f"no {name}", reply.headers.items())
            fits = found == text[1:] if text.startswith("=") else text in found
            assert fits, (self, name, found)
        for each in self.lacks:
            name, colon, text = each.partition(": ")
            assert (text not in (reply.headers[name] or "")) if colon else name not in reply.headers, (
                self,
                each,
                reply.headers[name],
            )
        if self.body is not None:
            assert reply.body == self.body, self
        for text in self.contains:
            assert text.encode() in reply.body, (self, text, reply.body[:2000])


def check_all(node: Node, cases: Iterable[Case]) -> None:
    """Every row of a table."""
    for case in cases:
        case.check(node)


def car_of(reply: Reply) -> list[Cid]:
    """The CIDs of a whole, sound CAR, in order."""
    reader = CarReader()
    found = [block.cid for block in reader.feed(reply.body)]
    reader.end()
    return found


def _fields(reply: Reply) -> list[tuple[str, str]]:
    return sorted((name, text) for name, text in reply.headers.items() if name != "Date")
