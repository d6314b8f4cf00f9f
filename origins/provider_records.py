"""HTTP providers in the answer of a delegated router. Pure.

Source: the delegated routing v1 HTTP API, schema `peer`; JSON or NDJSON. What is malformed is passed over:
others' records must not keep the sound ones from being used.
"""

import json
from typing import Final
from urllib.parse import quote

_RECORDS_MAX: Final = 100  # the most that a router gives in one answer, by the specification
PROVIDERS_MAX: Final = 16
_ADDRESSES_MAX: Final = 32  # looked at of one record
_HTTP: Final = "transport-ipfs-gateway-http"


def providers(raw: bytes) -> list[str]:
    """Base URLs of the first `PROVIDERS_MAX` HTTP providers, each once."""
    found: dict[str, None] = {}
    for record in _records(raw)[:_RECORDS_MAX]:
        if not isinstance(record, dict):
            continue
        protocols, addresses = record.get("Protocols"), record.get("Addrs")
        if isinstance(protocols, list) and protocols and _HTTP not in protocols:
            continue
        for address in addresses[:_ADDRESSES_MAX] if isinstance(addresses, list) else ():
            base = base_url(address) if isinstance(address, str) else None
            if base is not None:
                found[base] = None
    return list(found)[:PROVIDERS_MAX]


def base_url(multiaddr: str) -> str | None:
    """`/dns|ip4|ip6/HOST/tcp/PORT[/tls[/sni/NAME]]/http|https` as a base URL; None for other transports."""
    parts = multiaddr.split("/")
    if len(parts) < 6 or parts[0] or parts[3] != "tcp":
        return None
    kind, host, port, rest = parts[1], parts[2], parts[4], parts[5:]
    if kind not in ("dns", "dns4", "dns6", "ip4", "ip6") or not port.isdecimal():
        return None
    if "https" in rest or ("tls" in rest and "http" in rest):
        scheme = "https"
    elif "http" in rest:
        scheme = "http"
    else:
        return None
    return f"{scheme}://{f'[{host}]' if kind == 'ip6' else quote(host, safe='.-_')}:{port}"


def _records(raw: bytes) -> list[object]:
    try:
        whole = json.loads(raw)
    except (ValueError, RecursionError):
        return _lines(raw)
    found = whole.get("Providers", [whole]) if isinstance(whole, dict) else []
    return found if isinstance(found, list) else []


def _lines(raw: bytes) -> list[object]:
    found: list[object] = []
    for line in raw.split(b"\n", _RECORDS_MAX)[:_RECORDS_MAX]:
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return found
