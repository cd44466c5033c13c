"""Make the notebooks from their sources: ``python notebooks/make.py``.

A source is plain Python in cells. ``# %% [markdown]`` begins words, ``# %%`` code, ``# %% answer`` code that students
write themselves: in their version only its lines ``# hint: ...`` are left, and names that are assigned are ``...``.
Notebooks are committed without outputs, so that a change of a source is a change that one can read.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

HERE = Path(__file__).parent
INSTALL = """try:
    import conjugacy
except ModuleNotFoundError:
    %pip install -q conjugacy"""


def cells_of(source: str) -> list[tuple[str, str]]:
    """Kinds ("markdown", "code" or "answer") and texts of the cells of a source."""
    cells = []
    for part in ("\n" + source).split("\n# %%")[1:]:
        head, _, text = part.partition("\n")
        kind = {"": "code", "answer": "answer", "[markdown]": "markdown"}[head.strip()]
        text = text.strip("\n")
        if kind == "markdown":
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.split("\n"))
        cells.append((kind, text))
    return cells


def gap(answer: str) -> str:
    """What students see in place of an answer."""
    hints = [line.removeprefix("# hint: ") for line in answer.split("\n") if line.startswith("# hint: ")]
    names = [node.targets[0].id for node in ast.parse(answer).body if isinstance(node, ast.Assign)]
    return "\n".join(["# your turn", *(f"# {hint}" for hint in hints), *(f"{name} = ..." for name in names)])


def notebook(source: str, student: bool = False) -> dict:
    """The notebook of a source, with the cell that installs before all others."""
    cells = [("code", INSTALL), *cells_of(source)]
    made = []
    for k, (kind, text) in enumerate(cells):
        if kind == "answer":
            shown = [line for line in text.split("\n") if not line.startswith("# hint: ")]
            text = gap(text) if student else "\n".join(shown)
        lines = text.splitlines(keepends=True)
        cell = {"cell_type": "markdown" if kind == "markdown" else "code", "id": f"cell-{k}", "metadata": {}}
        made.append(
            {**cell, "source": lines} | ({} if kind == "markdown" else {"outputs": [], "execution_count": None})
        )
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def all_notebooks() -> dict[Path, str]:
    """The text of every notebook by its path."""
    made = {}
    for path in sorted((HERE / "sources").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        versions = {path.stem: False}
        if any(kind == "answer" for kind, _ in cells_of(source)):
            versions[f"{path.stem}_student"] = True
        for name, student in versions.items():
            text = json.dumps(notebook(source, student), indent=1, ensure_ascii=False) + "\n"
            made[HERE / f"{name}.ipynb"] = text
    return made


if __name__ == "__main__":
    for path, text in all_notebooks().items():
        path.write_text(text, encoding="utf-8")
