"""In a real notebook: all figures of a cell appear, once; plt acts on them; objects are tables; nothing on stderr."""

import importlib.util
import re
from pathlib import Path

import pytest

NEEDED = ("nbclient", "nbformat", "ipykernel")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
README = Path(__file__).parents[2] / "README.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: pip install {' '.join(NEEDED)}"),
    # the client's own loops and sockets
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SET_UP = """
import matplotlib.pyplot as plt
import conjugacy as cj
task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=40, switch_prob=0.05, noise=0.1)
settings = dict(steps=12, batch_size=8, eval_every=4, progress=False)
runs = [cj.train(task, cj.networks.GRU(7), seed=k, **settings) for k in (1, 2)]
a = cj.Analysis(runs[0])
import warnings
warnings.simplefilter("ignore", UserWarning)  # networks trained for seconds do not do the task
"""
SEVERAL = """
a.plot_scree()
plt.title("A title of mine")
cj.plots.training_curves(runs)
a.plot_latents_3d(3)
"""
AND_LAST = "first = a.plot_scree()\nfirst"
ASKED_AGAIN = "first"
SAVED = "from conjugacy.plots.figure import leave_to_caller\nleave_to_caller(a.plot_scree()).savefig('scree.png')"
MANY = "for k in range(24):\n    a.plot_scree(k + 1)"
OBJECTS = {
    "run": "runs[0]",
    "comparison": "cj.compare(runs, ['cka', 'state_r2'], n_trials=12, names=['<b>first</b>', 'second'])",
    "score": "cj.similarity.get_measure('cka')(runs[0].system(), runs[1].system())",
    "points": "points = a.fixed_points(n_inits=64)\npoints",
    "audit": "points.audit()",
    "portrait": "points.portrait()",
}


def played(cells, folder):
    """The outputs of each cell of a notebook that was run."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    client = NotebookClient(notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    return [cell.outputs for cell in notebook.cells]


def pictures(outputs):
    return [o for o in outputs if "image/png" in o.get("data", {})]


def errors(outputs):
    return [o.get("text", o.get("evalue")) for o in outputs if o.get("name") == "stderr" or o.output_type == "error"]


def test_figures_and_objects_in_cells(tmp_path):
    cells = [SET_UP, SEVERAL, "'nothing is left of the cell before'", AND_LAST, ASKED_AGAIN, SAVED, MANY]
    cells += [
        *OBJECTS.values(),
        "a.plot_scree()\nprint(plt.gca().get_title())\nplt.title('mine')\nplt.gca().get_title()",
    ]
    found = played(cells, tmp_path)
    assert [errors(outputs) for outputs in found] == [[]] * len(found)
    _, several, nothing, last, again, saved, many, *objects, acted = found
    assert [len(pictures(o)) for o in (several, nothing, last, again, saved, many)] == [3, 0, 1, 1, 0, 24]
    for name, outputs in zip(OBJECTS, objects):
        html = [o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {})]
        assert len(html) == 1 and 'class="conjugacy"' in html[0], name
        assert "nan" not in re.sub(r"<[^>]*>", " ", html[0]).lower().split(), name
        if name in ("run", "comparison", "score", "points"):
            assert "<table" in html[0], name
        if name == "comparison":
            assert "&lt;b&gt;first" in html[0] and "<b>first" not in html[0]
    assert any("variance of the states" in o.get("text", "") for o in acted)
    assert any(o.get("data", {}).get("text/plain") == "'mine'" for o in acted) and len(pictures(acted)) == 1


def test_the_blocks_of_the_readme(tmp_path):
    """With networks that train for two steps: what is tested is what appears, not what is found."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    short = (
        "import conjugacy as cj, functools, warnings\n"
        "warnings.simplefilter('ignore', UserWarning)\n"
        "cj.train = functools.partial(cj.train, steps=2, batch_size=4, progress=False)\n"
        "cj.compare = functools.partial(cj.compare, n_trials=20, n_resamples=10, n_surrogates=5)\n"
    )
    found = played([short, *blocks], tmp_path)
    assert [errors(outputs) for outputs in found] == [[]] * len(found)
    assert len(pictures(found[2])) >= 4  # trials, variances, trajectories and the overlay
