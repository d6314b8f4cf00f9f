"""One running node for all tests of content by CID, over trees made here."""

from collections.abc import Iterator

import pytest

from tests.gateway.shared_node import Site, node_over_trees


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The node; one for the whole run, only read from."""
    with node_over_trees(tmp_path_factory.mktemp("site")) as found:
        yield found
