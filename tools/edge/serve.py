"""`fleek-edge serve`: flags in, a running node until it is told to stop."""

from pathlib import Path
from typing import Any

import click

from node import supervisor
from tools.edge.invocation import Invocation, command


@click.command()
@click.option("--listen", metavar="ADDR", help="Public listener: host:port (:0 = free port) or unix:/path.")
@click.option("--admin", metavar="ADDR", help="Admin listener: /metrics, /healthz, /readyz.")
@click.option("--tls-listen", metavar="ADDR", help="Public listener over TLS.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Private key (PEM).")
@click.option("--workers", metavar="N", help="Serving processes; 0 = one per core.")
@click.option("--offline", is_flag=True, default=None, help="Never dial out.")
@click.option("--dnslink-file", type=click.Path(path_type=Path), help="JSON table of DNSLink domains.")
@click.option("--subdomain-host", "subdomain_hosts", metavar="HOST", multiple=True, help="<cid>.ipfs.HOST.")
@click.option("--denylist", "denylists", type=click.Path(path_type=Path), multiple=True, help="Answer 410.")
@command
def serve(
    invocation: Invocation,
    /,
    subdomain_hosts: tuple[str, ...],
    denylists: tuple[Path, ...],
    **flags: Any,
) -> int:
    """Run a node in the foreground.

    Prints one JSON line with its addresses when it can serve; logs go to stderr. SIGTERM and Ctrl-C
    drain and exit 0, SIGHUP reloads configuration and certificates.

    \b
    Example:
      fleek-edge serve --listen 0.0.0.0:8080 --workers 4
      fleek-edge serve --tls-listen 0.0.0.0:8443 --tls-cert chain.pem --tls-key key.pem
    """
    config = invocation.config(**flags, subdomain_hosts=subdomain_hosts or None, denylists=denylists or None)
    return supervisor.run(config)
