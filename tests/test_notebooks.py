"""The notebooks are what their sources make of them, and run from top to bottom."""

import base64
import importlib.util
import io
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
# figures that a notebook shows, and tables as HTML
SHOWN = {"comparing_networks": (6, 2), "trained_model": (2, 2), "recordings": (1, 1)}


def _make():
    spec = importlib.util.spec_from_file_location("make", NOTEBOOKS / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebooks_are_those_of_their_sources():
    made = _make().all_notebooks()
    assert set(made) == set(NOTEBOOKS.glob("*.ipynb"))
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: python notebooks/make.py"


def test_students_get_hints_and_no_answers():
    source = (NOTEBOOKS / "sources" / "comparing_networks.py").read_text()
    answers = [text for kind, text in _make().cells_of(source) if kind == "answer"]
    student = json.loads((NOTEBOOKS / "comparing_networks_student.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in student["cells"]]
    gaps = [text for text in cells if text.startswith("# your turn")]
    assert len(gaps) == len(answers) >= 3
    for text, answer in zip(gaps, answers):
        assert " = ..." in text and text.count("\n") >= 2
        assert answer.split("\n")[-1] not in "\n".join(cells)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    text = (NOTEBOOKS / f"{name}.ipynb").read_text()
    assert text.count('"quick = False') == 1
    short = nbformat.reads(text.replace('"quick = False', '"quick = True'), as_version=4)
    nbclient.NotebookClient(short, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in short.cells for output in cell.get("outputs", [])]
    # networks that trained for seconds have not learned, and that is said
    errors = [o["text"] for o in outputs if o.get("name") == "stderr"]
    assert not [text for text in errors if "do not do the task" not in text]
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    tables = [o for o in outputs if "text/html" in o.get("data", {}) and "image/png" not in o["data"]]
    assert len(figures) >= SHOWN[name][0] and len(tables) >= SHOWN[name][1]
    from matplotlib import image

    for figure in figures:
        drawn = image.imread(io.BytesIO(base64.b64decode(figure["data"]["image/png"])))
        assert drawn.std() > 0.02  # not an empty canvas
    assert not list(tmp_path.iterdir())
