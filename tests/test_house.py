"""The rules of the house that no other tool checks: sizes, names, links, and lists that must agree."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["maturin"]["python-packages"]
SHIPPED = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MODULES = {"dnspython": "dns"}  # where the module is not called as its distribution
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_shipped_files_are_short_and_named_after_a_noun() -> None:
    long = [relative(path) for path in SHIPPED if len(path.read_text().splitlines()) > MAX_FILE_LINES]
    assert not long, f"longer than {MAX_FILE_LINES} lines: {long}"
    empty = [relative(path) for path in SHIPPED if path.stem in EMPTY_NAMES]
    assert not empty, f"a name that says nothing: {empty}"


def test_shipped_functions_fit_a_screen() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in SHIPPED
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long, f"longer than {MAX_FUNCTION_LINES} lines: {long}"


def test_what_ships_imports_nothing_that_is_installed_for_tests_alone() -> None:
    names = {re.split(r"[^A-Za-z0-9_-]", each)[0] for each in PROJECT["project"]["dependencies"]}
    allowed = {MODULES.get(name, name) for name in names} | set(PACKAGES) | set(sys.stdlib_module_names)
    stray = {
        f"{relative(path)}: {name}"
        for path in SHIPPED
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.partition(".")[0] not in allowed
    }
    assert not stray, f"no dependency of the product: {sorted(stray)}"


def test_every_shipped_module_says_what_it_is() -> None:
    mute = [relative(path) for path in SHIPPED if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not mute, f"no module docstring: {mute}"


def test_a_block_is_made_by_who_hashes_its_bytes_alone() -> None:
    """`Block(cid, data)` would believe them: `Block.verified` and `Block.sealed` are the only ways in."""
    bare = [
        f"{relative(path)}:{node.lineno}"
        for path in SHIPPED
        if relative(path) != "content/block.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Block"
    ]
    assert not bare


def test_top_level_packages_are_known_to_wheel_image_and_import_contracts() -> None:
    present = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert present == set(PACKAGES)
    assert present == set(PROJECT["tool"]["importlinter"]["root_packages"])
    assert present <= set(PROJECT["tool"]["ruff"]["lint"]["isort"]["known-first-party"])
    copied = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert present <= copied


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements*.lock")), ids=lambda path: str(path.stem))
def test_lock_files_pin_by_hash_and_name_no_registry(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text
    pins = re.split(r"\n(?=\w)", text.strip())
    assert all("==" in pin and "--hash=sha256:" in pin for pin in pins), "a pin without version or hash"


def test_every_declared_dependency_is_imported_by_the_product() -> None:
    names = {re.split(r"[<>=;\[ ]", line)[0] for line in PROJECT["project"]["dependencies"]}
    source = "\n".join(path.read_text() for path in SHIPPED)
    modules = {name: {"dnspython": "dns"}.get(name, name) for name in names}
    unused = {
        name
        for name, module in modules.items()
        if not re.search(rf"^\s*(import|from) {module}\b", source, re.MULTILINE)
    }
    assert not unused


def test_programs_that_tests_need_are_installed_by_the_continuous_build() -> None:
    pattern = re.compile(r"mark\.needs\(([^)]*)\)")
    tests = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path.stem != "test_needs")
    wanted = {
        name
        for text in tests
        for names in pattern.findall(text)
        for name in re.findall(r'"([\w.-]+)"', names)
    }
    build = (ROOT / ".ci" / "run").read_text()
    installed = set(re.findall(r"^need ([\w.-]+) ", build, re.MULTILINE))
    installed |= {"ipfs", "schemathesis"} if "\ntests/conformance/peers\n" in build else set()
    assert wanted <= installed, f"add to .ci/run: {sorted(wanted - installed)}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken
