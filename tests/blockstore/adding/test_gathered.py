"""A tree out of members with paths: names are refused as they come."""

from typing import cast

import pytest

from blockstore.adding.gathered import Gathered, Into
from runtime.errors import UsageError


@pytest.mark.parametrize("name", ["n" * 256, "d/" + "\u00fc" * 128 + "/x", "d/\udcff" + "n" * 255])
def test_a_name_that_no_directory_takes_does_not_wait_for_its_directory(name: str) -> None:
    tree = Gathered(cast(Into, None), "TAR", "x.tar", 9)
    assert tree.parts("d/" + "\u00fc" * 127 + "/" + "n" * 255) == ["d", "\u00fc" * 127, "n" * 255]
    with pytest.raises(UsageError, match="a name in the TAR has more than 255 bytes"):
        tree.parts(name)
