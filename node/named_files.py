"""The files that a configuration names, read once by who starts the node or asks `config check`.

What is wrong with one is said there, before anything is opened or listens, and not by each child of the node.
"""

from gateway.deny_rules import load
from gateway.dnslinks import read_table
from node.certificate import certificate
from node.config import Config


def check_files(config: Config) -> None:
    """Read them as the children will. Raises UsageError, and what else they would refuse to start with."""
    certificate(config.node)
    if config.gateway.dnslink_file is not None:
        read_table(config.gateway.dnslink_file)
    load(config.gateway.denylists)
