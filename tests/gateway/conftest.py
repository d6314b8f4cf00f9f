"""One running node for all tests of content by CID, over trees made here."""

from collections.abc import Iterator

import pytest

from tests.gateway.fixtures import Fixtures, node_over_fixtures
from tests.gateway.shared_node import Site, node_over_trees
from tests.shared_data import shared_data


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The node; one for the whole run, only read from."""
    with node_over_trees(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="session")
def fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fixtures]:
    """A node over the public fixtures; only read from."""
    folder = shared_data("gateway-fixtures")
    with node_over_fixtures(folder, tmp_path_factory.mktemp("fixtures") / "data") as found:
        yield found
