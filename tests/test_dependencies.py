"""What the library imports is what pyproject.toml declares."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# imported where it happens to be there, and done without elsewhere
OPTIONAL = {"IPython", "pyarrow"}
# used without being imported
NOT_IMPORTED = {"ray", "motornet"}


def plain(requirement):
    return re.split(r"[\[<>=!~ ;]", requirement)[0].lower().replace("_", "-")


def imported():
    """Top-level modules, those of the library and of Python apart."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"conjugacy", "__future__"}


def test_every_import_is_declared_and_every_dependency_imported():
    declared = {plain(r) for r in PROJECT["dependencies"]}
    names = packages_distributions()
    needed = {plain(names[module][0]) if module in names else module for module in imported() - OPTIONAL}
    assert needed - {"ray"} <= declared, f"not declared: {needed - declared}"
    assert declared - needed <= NOT_IMPORTED, f"not imported: {declared - needed}"


def test_every_dependency_has_a_lower_bound_and_a_version_that_the_tests_pass_with():
    extras = PROJECT["optional-dependencies"]["test"]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    pinned = dict(line.split("==") for line in lines)
    pinned = {plain(name): version for name, version in pinned.items()}
    for requirement in [*PROJECT["dependencies"], *extras]:
        bound = re.search(r">=([\d.]+)", requirement)
        assert bound, requirement
        low, there = (tuple(map(int, v.split("."))) for v in (bound[1], pinned[plain(requirement)]))
        assert low <= there, requirement
