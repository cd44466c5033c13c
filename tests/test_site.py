"""The documentation site: every page can be reached, every public name is listed, every example says what it shows."""

import ast
import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import conjugacy as cj

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("plot_*.py"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
MADE = {"api/index", "gallery/index", "citing"}  # by the build


def _site():
    spec = importlib.util.spec_from_file_location("_site", DOCS / "_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _entries(page):
    """What the tables of contents of a page list."""
    trees = re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL)
    return [line for tree in trees for line in tree.split("\n") if line and not line.startswith(":")]


def test_every_page_is_in_one_table_of_contents():
    listed = [entry for page in DOCS.glob("*.md") for entry in _entries(page)]
    assert len(set(listed)) == len(listed)
    assert set(listed) - MADE == {page.stem for page in DOCS.glob("*.md")} - {"index", "citing"}


def test_every_public_name_is_in_the_reference():
    site = _site()
    face = [name for names in site.FACE.values() for name in names]
    assert sorted(face + list(site.PACKAGES)) == sorted(cj.__all__)
    for package in site.PACKAGES:
        module = getattr(cj, package)
        objects = [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
        assert set(objects) - set(site.public(package)) <= set(face)


def test_the_gallery_has_at_least_twenty_examples():
    assert len(EXAMPLES) >= 20


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_is_short_has_a_title_and_says_what_it_shows(example):
    code = example.read_text()
    assert len(code.split("\n")) <= 45
    title, line, _, *words = ast.get_docstring(ast.parse(code)).split("\n")
    assert line == "=" * len(title)
    assert len(" ".join(words).split()) >= 12
    assert "figure = " in code or "print(" in code


def test_addresses_outside_are_in_the_list():
    known = {line for line in (DOCS / "links.txt").read_text().split("\n") if line and not line.startswith("#")}
    for page in PAGES:
        assert set(re.findall(r"https?://[^\s)>\"'`]+", page.read_text())) <= known, page


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if not target.startswith(("http", "#")):
                path = (page.parent / target.partition("#")[0]).resolve()
                made = path.parent.name == "gallery" or path.name == "citing.md"
                assert made or path.exists(), (page.name, target)


def _not_of_a_clone(folder, names):
    """What lies in a working tree and is in no clone of it; a package may be called as a folder of results is."""
    made = {"_build", "gallery", "api", "runs"} if "docs" in Path(folder).relative_to(ROOT).parts else {"demo"}
    return [name for name in names if name.startswith(".") or name in made | {"__pycache__"}]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("sphinx_gallery") is None, reason="needs the extra docs: make docs")
def test_the_site_builds_without_a_warning_and_asks_for_nothing_outside(tmp_path):
    shutil.copytree(ROOT, tmp_path / "clone", ignore=_not_of_a_clone)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(tmp_path / "html")]
    done = subprocess.run(command, cwd=tmp_path / "clone", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for page in (tmp_path / "html").rglob("*.html"):
        text = page.read_text()
        # what a browser would fetch by itself; links are followed by the reader alone
        fetched = re.findall(r"<(?:script|img|iframe)[^>]*src=\"(https?:[^\"]+)|<link[^>]*href=\"(https?:[^\"]+)", text)
        assert not fetched, (page.name, fetched[:3])
