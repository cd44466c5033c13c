"""Imports point down only, and the core knows neither the command line nor ctd."""

import ast
from pathlib import Path

import pytest

import conjugacy

ROOT = Path(conjugacy.__file__).parent
# each layer may import itself and those below it, the later ones in this list
LAYERS = [
    {"cli", "demo", "__main__"},
    {"report", "sweeps"},
    {"comparison"},
    {"analysis", "epochs", "generalisation", "rest"},
    {"training", "plots"},
    {"run"},
    {"simulate", "trial_sets", "closed_loop"},
    {"tasks", "networks", "dynamics", "similarity"},
    {"arm", "trials", "system"},
    {"_check", "_config", "_lazy", "_threads", "_version"},
]
HEIGHT = {name: i for i, layer in enumerate(LAYERS) for name in layer}
FILES = sorted(ROOT.rglob("*.py"))


def imports(path):
    """Modules of conjugacy that a file imports when it is loaded (not inside functions or for type checkers only)."""

    def walk(nodes):
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("conjugacy"):
                yield from ([node.module] if "." in node.module else [f"conjugacy.{a.name}" for a in node.names])
            elif isinstance(node, ast.Import):
                yield from (a.name for a in node.names if a.name.startswith("conjugacy"))
            elif isinstance(node, ast.Try | ast.With | ast.ClassDef):
                yield from walk(node.body)

    yield from walk(ast.parse(path.read_text()).body)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    here = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if here == "__init__":
        return
    for module in imports(path):
        there = module.split(".")[1]
        if there == "__init__" or (here == there):
            continue
        assert HEIGHT[there] >= HEIGHT[here], f"{path.relative_to(ROOT)} imports {module}, which lies above it"


@pytest.mark.parametrize("package", ["dynamics", "similarity"])
def test_analyses_know_systems_only(package):
    known = {"system", "_check", "_lazy", "_threads", "_version", package} | (
        {"dynamics"} if package == "similarity" else set()
    )
    for path in (ROOT / package).rglob("*.py"):
        for module in imports(path):
            assert module.split(".")[1] in known, f"{path.relative_to(ROOT)} imports {module}"


def test_the_core_does_not_know_ctd():
    for path in FILES:
        assert "import ctd" not in path.read_text() and "from ctd" not in path.read_text(), path


def test_there_is_no_drawer_called_utils():
    assert not [p for p in FILES if p.stem in ("utils", "util", "helpers", "misc", "common")]
