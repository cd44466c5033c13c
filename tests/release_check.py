"""Check that a version can be published: its tag, the code, CHANGELOG and CITATION name the same one.

python tests/release_check.py v0.2.0
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def faults(tag, root=ROOT):
    """What is wrong, a line each."""
    text = {
        name: (root / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff", "pyproject.toml")
    }
    version = re.search(r'__version__ = "(.*)"', (root / "src/conjugacy/_version.py").read_text(encoding="utf-8"))[1]
    heading = re.search(r"^## (.*)$", text["CHANGELOG.md"], re.M)[1]
    cited = re.search(r"^version: (.*)$", text["CITATION.cff"], re.M)[1]
    released = re.search(r"^date-released: (.*)$", text["CITATION.cff"], re.M)[1]
    if tag != f"v{version}":
        yield f"the tag is {tag}, src/conjugacy/_version.py says {version}: expected v{version}."
    if heading != f"{version} ({released})":
        yield f"CHANGELOG.md begins with {heading!r}: expected '{version} ({released})', the date of CITATION.cff."
    if cited != version:
        yield f"CITATION.cff cites version {cited}: expected {version}."
    if "[project.urls]" not in text["pyproject.toml"]:
        yield "pyproject.toml has no [project.urls]: give the addresses of the repository and of the pages."


if __name__ == "__main__":
    found = list(faults(sys.argv[1]))
    print(*found, sep="\n", file=sys.stderr)
    sys.exit(bool(found))
