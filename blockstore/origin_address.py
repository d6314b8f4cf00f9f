"""Addresses of origins, as they may be kept: without user info and without what may be a secret. Pure.

What is cut: user info before the host (also of a URL inside the path), the fragment, and the whole query
when one of its names is that of a credential or signature, or one of its values looks like a random string:
a signed query without its signature fetches nothing, and half of it would only tell more. A CID is no secret.
Where it cannot be told, it is cut: a lost query costs a download, a kept one may cost an account.
"""

import contextlib
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final
from urllib.parse import unquote, urlsplit

from blockstore.origin import ADDRESS_BYTES_MAX, OPERATOR, Origin, OriginKind
from content.cid import Cid
from runtime.errors import BadRequest

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://")
_PLAIN: Final = re.compile(r"[!-\[\]-~]+")  # printable ASCII without space and backslash
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_RUNS: Final = re.compile(r"[A-Za-z0-9]+")
_USER_INFO_INSIDE: Final = re.compile(r"(:/+)[^/]*@")
_MAY_HIDE: Final = re.compile(r"[?#@;%\\]")  # without one of these there is no place for what `clean` cuts
_GIVEN_MAX: Final = 4 * ADDRESS_BYTES_MAX  # with what will be cut
_ENCODED_TIMES_MAX: Final = 4  # escapes inside escapes; what is deeper counts as secret
# Anywhere in a name, without its separators
_SECRET_PARTS: Final = (
    *("token", "secret", "password", "passwd", "passphrase", "credential", "signature", "signed", "session"),
    *("apikey", "accesskey", "accessid", "privatekey", "keypair", "bearer", "oauth", "authoriz", "authent"),
    *("xamz", "xgoog", "xms", "jwt", "hmac", "policy", "ticket", "nonce", "cookie"),
)
# A word of a name
_SECRET_WORDS: Final = frozenset(
    (
        "sig",
        "sign",
        "key",
        "keys",
        "auth",
        "pass",
        "pwd",
        "pw",
        "psk",
        "sid",
        "sas",
        "otp",
        "pin",
        "code",
        "cred",
        "creds",
    )
)
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_RANDOM_RUN: Final = 16
_MIXED_RUN: Final = 8


def clean(kind: OriginKind, address: str) -> tuple[str, bool]:
    """(the address as it may be kept, whether something was cut off). Raises BadRequest for no address.

    Cleaning twice is cleaning once. The text in an error never shows what was given.
    """
    if kind is OriginKind.LOCAL:
        return _bounded(address), False
    if len(address) > _GIVEN_MAX:
        raise _no_address(f"it has more than {_GIVEN_MAX} characters")
    if _PLAIN.fullmatch(address.replace(" ", "%20") if kind is OriginKind.UPLOAD else address) is None:
        raise _no_address("it is empty, or has characters that no address has")
    if kind is OriginKind.UPLOAD or address.startswith("/"):
        path, cut = _clean_path(address.partition("#")[0])
        bare, _, query = path.partition("?")
        return _bounded(bare), cut or bool(query)
    if _SCHEME.match(address) is None:
        raise _no_address("it is neither a URL nor a multiaddr")
    return _clean_url(address)


def named(address: str, account: str = OPERATOR, added_s: float = 0.0) -> Origin:
    """The origin that somebody who gives an address means: its kind follows from its form.

    A multiaddr is another node; ar:// is Arweave; a URL with /piece/ is Filecoin, one without a path or with
    /ipfs/ a trustless gateway, any other the bytes themselves. Raises BadRequest.
    """
    if address.startswith("/"):
        kind = OriginKind.PEER
    else:
        try:
            parts = urlsplit(address)
        except ValueError:
            raise _no_address("it is no URL") from None
        kind = _kind_of_url(parts.scheme, parts.path)
    kept, cut = clean(kind, address)
    if kind is OriginKind.GATEWAY:
        kept = kept.partition("?")[0].partition("/ipfs/")[0].rstrip("/")
    return Origin(kind, kept, account, added_s, is_cut=cut)


def shown(addresses: Iterable[str]) -> tuple[str, ...]:
    """Addresses as they may be shown and written down: without secrets, each once; what is none is left out.

    For what somebody named and is asked for with its secrets (origins of a pin). 0.5 us an address that has
    no place for a secret, else about 20 us.
    """
    found: dict[str, None] = {}
    for each in addresses:
        if _MAY_HIDE.search(each) is not None:
            with contextlib.suppress(BadRequest, UnicodeEncodeError):
                found[clean(OriginKind.HTTP, each)[0]] = None
        else:
            found[each] = None
    return tuple(found)


def all_named(addresses: Iterable[str], account: str, added_s: float) -> list[Origin]:
    """As `named`, of those that are addresses."""
    found = []
    for each in addresses:
        with contextlib.suppress(BadRequest):
            found.append(named(each, account, added_s))
    return found


def _kind_of_url(scheme: str, path: str) -> OriginKind:
    if scheme == "ar":
        return OriginKind.ARWEAVE
    if scheme not in ("http", "https"):
        raise _no_address("only http, https and ar URLs and multiaddrs are origins")
    if "/piece/" in path:
        return OriginKind.FILECOIN
    is_gateway = path in ("", "/") or path.startswith("/ipfs/")
    return OriginKind.GATEWAY if is_gateway else OriginKind.HTTP


def _clean_url(address: str) -> tuple[str, bool]:
    try:
        parts = urlsplit(address)
    except ValueError:
        raise _no_address("it is no URL") from None
    user, _, host = parts.netloc.rpartition("@")
    if not host or "%" in host:
        raise _no_address("its host cannot be read")
    if parts.scheme in ("http", "https"):
        host = host.lower()
    path, cut = _clean_path(parts.path)
    query = parts.query
    if query and is_secret_query(query):
        query, cut = "", True
    text = f"{parts.scheme}://{host}{path}" + (f"?{query}" if query else "")
    return _bounded(text), cut or bool(user)


def _clean_path(path: str) -> tuple[str, bool]:
    """Without user info of a URL in it, an escaped query and parameters that may be secret."""
    kept, before = _USER_INFO_INSIDE.sub(r"\1", path), path
    while kept != before:  # what is cut may join what is left to another
        kept, before = _USER_INFO_INSIDE.sub(r"\1", kept), kept
    escaped = _first_escaped_query(kept)
    kept = kept[:escaped]
    segments = [_without_parameters(segment) for segment in kept.split("/")]
    kept = "/".join(segments)
    return kept, kept != path


def _first_escaped_query(path: str) -> int:
    """Where an escaped `?` stands that a server would read a query behind; the length when nowhere."""
    found = [match.start() for match in re.finditer(r"%(?:25){0,4}3[fF]", path)]
    return next((at for at in found if is_secret_query(path[at:].replace("/", "&"))), len(path))


def _without_parameters(segment: str) -> str:
    """A path segment without its `;name=value` when one may be secret (RFC 3986 §3.3)."""
    bare, separator, parameters = segment.partition(";")
    return bare if separator and is_secret_query(parameters.replace(";", "&")) else segment


def is_secret_query(query: str) -> bool:
    """Whether a query may hold a credential. Errs on the side of yes."""
    text = _decoded(query)
    if text is None:
        return True
    for pair in re.split(r"[&;?]", text):
        name, _, value = pair.partition("=")
        if _is_secret_name(name) or _is_secret_value(value or name):
            return True
    return False


def _decoded(text: str) -> str | None:
    """Without escapes, however often it was escaped; None when that has no end."""
    for _ in range(_ENCODED_TIMES_MAX):
        plain = unquote(text)
        if plain == text:
            return text
        text = plain
    return None


def _is_secret_name(name: str) -> bool:
    squashed = "".join(_RUNS.findall(name)).lower()
    if any(part in squashed for part in _SECRET_PARTS):
        return True
    return any(word.lower() in _SECRET_WORDS for word in _WORDS.findall(name))


def _is_secret_value(value: str) -> bool:
    """User info of a URL, or what no person would name a thing: long runs of letters and digits mixed."""
    if ("@" in value and "//" in value) or _UUID.search(value) is not None:
        return True
    mixed = [
        run for run in _RUNS.findall(value) if len(run) >= _MIXED_RUN and _is_mixed(run) and not _is_cid(run)
    ]
    return len(mixed) > 1 or any(len(run) >= _RANDOM_RUN for run in mixed)


def _is_mixed(run: str) -> bool:
    letters = sum(each.isalpha() for each in run)
    if letters < len(run):
        return letters > 0 or len(run) >= _RANDOM_RUN
    changes = sum(a.isupper() != b.isupper() for a, b in pairwise(run))
    return changes * 3 > len(run)


def _is_cid(run: str) -> bool:
    try:
        Cid.parse(run)
    except BadRequest:
        return False
    return True


def _bounded(address: str) -> str:
    if not address or len(address.encode("utf-8", "surrogateescape")) > ADDRESS_BYTES_MAX:
        raise _no_address(f"it has no or more than {ADDRESS_BYTES_MAX} bytes")
    return address


def _no_address(why: str) -> BadRequest:
    return BadRequest(f"not an address of an origin: {why}", hint="give a URL or a multiaddr")
