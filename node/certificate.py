"""The certificate of the TLS listener, as the settings name it.

Called by `node.worker` to serve, and by `node.supervisor` and `fleek-edge config check` to find out
whether it would do.
"""

from content.bao._native import TlsServer
from net import tls
from node.config import NodeSettings


def certificate(settings: NodeSettings) -> tls.TlsServer | None:
    """Read and checked; None without a TLS listener. Raises `UsageError`."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return tls.load(settings.tls_cert, settings.tls_key, TlsServer)
