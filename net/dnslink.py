"""DNSLink records: the TXT records of `_dnslink.<domain>` that say which content a domain is.

Source: the DNSLink specification. Asked of the machine's own resolver, through dnspython.
"""

import asyncio
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.resolver

from runtime.errors import SourceTimeout, Unreachable

# What a zone says is believed no shorter and no longer than this; that there is nothing, for a minute
_TTL_S: Final = (5.0, 86_400.0)
_ABSENT_S: Final = 60.0
_TIMEOUT_S: Final = 5.0
_RECORDS_MAX: Final = 64
_PATH_MAX: Final = 1024
_PREFIX: Final = "dnslink="


async def lookup(host: str, resolver: dns.asyncresolver.Resolver | None = None) -> tuple[str | None, float]:
    """(content path or None, seconds that may be believed). Raises Unreachable, SourceTimeout.

    `resolver`: who is asked in place of the machine's own.
    """
    resolver = resolver or dns.asyncresolver.Resolver()
    try:
        answer = await resolver.resolve(f"_dnslink.{host}", "TXT", lifetime=_TIMEOUT_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None, _ABSENT_S
    except dns.exception.Timeout:
        raise SourceTimeout("the DNS did not answer", where=f"_dnslink.{host}") from None
    except dns.exception.DNSException as error:
        raise Unreachable(f"the DNS cannot be asked: {error}", where=f"_dnslink.{host}") from None
    ttl_s = min(max(float(answer.rrset.ttl if answer.rrset else 0), _TTL_S[0]), _TTL_S[1])
    texts = [b"".join(record.strings).decode("utf-8", "replace") for record in list(answer)[:_RECORDS_MAX]]
    return path_in(texts), ttl_s


def lookup_alone(host: str) -> tuple[str | None, float]:
    """`lookup` for who has no loop."""
    return asyncio.run(lookup(host))


def path_in(texts: list[str]) -> str | None:
    """The first well-formed DNSLink among TXT records, in the order of their texts."""
    for text in sorted(texts):
        path = text.removeprefix(_PREFIX)
        is_path = path.startswith(("/ipfs/", "/ipns/")) and len(path) <= _PATH_MAX and path.isprintable()
        if path != text and is_path:
            return path
    return None
