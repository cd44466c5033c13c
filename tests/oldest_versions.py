"""Print the oldest versions that pyproject.toml allows, as constraints for pip.

    python tests/oldest_versions.py > oldest.txt
    pip install --constraint oldest.txt --editable '.[test]'

Packages that are named as arguments are left out: their newest version is taken then, or another constraint holds.
"""

import re
import sys
import tomllib
from pathlib import Path


def oldest(project, extras=("test",), left_out=()):
    """Lines name==version of the dependencies and of some extras of pyproject.toml's table project."""
    requirements = [*project["dependencies"], *(r for e in extras for r in project["optional-dependencies"][e])]
    found = {}
    for requirement in requirements:
        name, version = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)(?:,.*)?", requirement).groups()
        found[name] = version
    return [f"{name}=={version}" for name, version in found.items() if name not in left_out]


if __name__ == "__main__":
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    print(*oldest(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"], left_out=sys.argv[1:]), sep="\n")
