"""Who may talk to the admin listener through a browser: nobody but its own page.

The listener has no passwords: it binds to loopback by default, and a page of another site that
the operator has open must not be able to use it. Two checks, both on every request:
  Host    a name that was rebound to this address by somebody's DNS is not one of ours. IP
          literals pass: a page cannot be loaded from an address that somebody else controls.
  Origin  where a browser sends one, it must be this listener's own.
There are no cookies, so nothing is carried along by itself (issue: "uses no cookies").
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

_ALWAYS: Final = ("localhost",)


class HostGuard:
    """The two checks for one listener. Pure."""

    def __init__(self, allowed_names: Iterable[str] = ()) -> None:
        """`allowed_names` are host names, without port, that operators reach the listener by."""
        self._names = frozenset(name.lower().rstrip(".") for name in (*_ALWAYS, *allowed_names))

    def refusal(self, host: str | None, origin: str | None) -> str | None:
        """Why a request with these fields is refused; None when it is not."""
        if host is None or not self._host_allowed(host):
            return "this host name is not one of the admin listener's"
        if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return "requests from other origins are not answered"
        return None

    def _host_allowed(self, host: str) -> bool:
        name = _without_port(host).lower().rstrip(".")
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
