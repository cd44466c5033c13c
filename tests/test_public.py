import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import conjugacy as cj

SOURCE = Path(cj.__file__).read_text()


def test_every_public_name_is_there():
    for name in cj.__all__:
        assert getattr(cj, name) is not None
        assert name in dir(cj)


@pytest.mark.parametrize("package", [n for n in cj._SUBMODULES if n in cj.__all__])
def test_every_public_name_of_a_package_is_there(package):
    module = getattr(cj, package)
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_editors_see_the_same_names_as_users():
    block = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    seen = {alias.asname: node.module.removeprefix("conjugacy.") for node in block.body for alias in node.names}
    assert seen == cj._PUBLIC


def test_importing_loads_neither_torch_nor_numpy():
    code = "import sys, conjugacy; print([m for m in ('torch', 'numpy', 'pandas', 'matplotlib') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_unknown_names_are_attribute_errors():
    try:
        cj.fixd_points  # noqa: B018
    except AttributeError as error:
        assert re.search("no attribute 'fixd_points'", str(error))
    else:
        raise AssertionError("no AttributeError")
