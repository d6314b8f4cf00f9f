"""The mutants stay usable: each patch still applies, and the tests it names still exist."""

import subprocess
from pathlib import Path

import pytest

from tests.mutants.patches import HERE, ROOT, read

PATCHES = sorted(HERE.glob("*.patch"))
DIFF = "--- a/net/a.py\n+++ b/net/a.py\n@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.needs("git")
@pytest.mark.parametrize("path", PATCHES, ids=lambda path: str(path.stem))
def test_patch_applies_to_the_tree_and_names_tests_that_exist(path: Path) -> None:
    mutant = read(path)
    # outside a work tree, so that a source archive without .git checks the same
    checked = subprocess.run(
        ["git", "apply", "--check", str(path)], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, f"{path.name} no longer applies: {checked.stderr}"
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), f"{path.name} names {file}, which does not exist"
        function = name.rpartition("::")[2].partition("[")[0]
        assert f"def {function}(" in (ROOT / file).read_text(), f"{path.name} names {name}, not in {file}"


def test_a_patch_says_which_test_and_what_it_breaks(tmp_path: Path) -> None:
    patch = tmp_path / "fault.patch"
    patch.write_text(
        f"# test: tests/net/test_a.py::test_b tests/net/test_c.py::test_d — skips the check\n{DIFF}"
    )
    mutant = read(patch)
    assert mutant.tests == ("tests/net/test_a.py::test_b", "tests/net/test_c.py::test_d")
    assert mutant.fault == "skips the check"
    assert mutant.changed == ("net/a.py",)
    assert not mutant.native


@pytest.mark.parametrize(
    "text", ["", DIFF, "# test: a::b — nothing\n", "# test: a::b\n" + DIFF.replace("net/", "tests/")]
)
def test_a_patch_without_test_or_diff_or_against_tests_is_refused(tmp_path: Path, text: str) -> None:
    patch = tmp_path / "fault.patch"
    patch.write_text(text)
    with pytest.raises(ValueError, match=r"fault\.patch: "):
        read(patch)
