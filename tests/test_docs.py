"""The code of README and of every page in docs/ runs as it is printed, page by page.

The python blocks of a page share their names, as the cells of a notebook. What takes minutes for a reader is made short
here, and only here: for the time of a test the settings of `SMALL` win over those that the page gives. So every block
runs, with networks that have not learned. `NOT_RUN` names the blocks that do not run, each with the reason.
"""

import functools
import inspect
import os
import re
from pathlib import Path

import pytest
import torch

import conjugacy as cj
from conjugacy.analysis import Epochs, comparison
from conjugacy.similarity.skeleton_distance import PortraitMeasure

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# where, which name: the settings that are used in place of the page's own (of a number: its value)
SMALL = [
    (cj, "train", {"steps": 2, "batch_size": 4, "progress": False}),
    (cj, "train_population", {"steps": 2, "batch_size": 4, "progress": False, "seeds": range(2), "stacked": True}),
    (cj, "compare", {"n_trials": 20, "n_resamples": 10, "n_surrogates": 5}),
    (cj, "simulate_spikes", {"n_units": 12, "n_trials": 30, "n_held_out": 4, "mean_rate": 40}),
    (cj, "fit", {"steps": 2, "progress": False}),
    (cj, "nearest_kind", {"n_resamples": 10}),
    (cj, "turing_test", {"n_resamples": 10}),
    (cj.recordings, "find_rotations", {"n_shuffles": 19}),
    (cj, "recovery", {"n_inits": 32, "n_kicks": 10}),
    (cj.training, "latent_dimension", {"steps": 2, "sizes": (1, 2), "progress": False}),
    (cj, "learning_curve", {"n_trials": 20, "n_resamples": 10, "progress": False}),
    (cj, "points_through_learning", {"n_inits": 32, "progress": False}),
    (cj, "lesion_effects", {"n_random": 9, "n_trials": 20}),
    (cj, "generalise_alike", {"n_trials": 20, "n_permutations": 19}),
    (cj, "shared_motifs", {"n_inits": 32, "progress": False}),
    (cj, "rest_points", {"targets": 1, "n_inits": 4, "progress": False}),
    (cj.tasks.NBitFlipFlop, "__init__", {"n_timesteps": 30}),
    (cj.networks.GRU, "__init__", {"latent_size": 6}),
    (cj.tasks.MultiTask, "__init__", {"rules": ("DelayPro", "MemoryPro")}),
    (PortraitMeasure, "__init__", {"n_inits": 16}),
    (cj.dynamics, "held_certificate", {"n_steps": 20}),
    (cj.dynamics, "horizon_curve", {"n_steps": 20}),
    (comparison, "_N_UNTRAINED", 1),
    (cj.Analysis, "fixed_points", {"n_inits": 32, "progress": False}),
    (Epochs, "fixed_points", {"n_inits": 32, "progress": False}),
]

# pages about measured data, which run where it is
DATA = Path(os.environ.get("CONJUGACY_RECORDINGS", ROOT / "shared/reference/recordings"))
NEEDS_DATA = {"head_direction", "motor_cortex"}

# page -> beginning of the block -> why it is not run
NOT_RUN: dict[str, dict[str, str]] = {}

# pages whose settings are small already, and that say what comes of them
AS_PRINTED = {"your_own_task"}


def blocks_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def made_small(function, settings):
    """`function` with `settings` in place of what the call says, by position or by name."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def small(*args, **kwargs):
        given = dict(zip(signature.parameters, args, strict=False))
        return function(**{**given, **kwargs, **settings})

    return small


def fixed_points_page(names, printed, code):
    for promised in re.findall(r"print\(.*?\) +# (.*(?:FixedPoints|Portrait)\(.*)", code):
        assert promised in printed
    assert [e.kind for e in names["path"].events] == ["vanish"]
    # x = sqrt(1 / 2) is where the slope of tanh(2 x + u) is one
    assert names["path"].events[0].at == pytest.approx(2**0.5 - torch.atanh(torch.tensor(0.5**0.5)).item(), abs=1e-5)
    assert 0 < names["d"].total <= 1


def attractors_page(names, printed, code):
    assert "40 orbits, under a held input, ended on 1 circle." in printed


# what the page says of its results, beyond running
SAYS = {"fixed_points": fixed_points_page, "attractors": attractors_page}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.stem) for page in PAGES if blocks_of(page)],
)
@pytest.mark.filterwarnings("ignore:`n_trials`. with:UserWarning")  # a network after two steps reaches nothing
@pytest.mark.filterwarnings("ignore:.*is not determined by the data of:UserWarning")  # nor do random walks
def test_code_on_the_page_runs(page, monkeypatch, tmp_path, capsys):
    left_out = NOT_RUN.get(page.stem, {})
    blocks = [b for b in blocks_of(page) if not any(b.startswith(beginning) for beginning in left_out)]
    for place, name, settings in [] if page.stem in AS_PRINTED else SMALL:
        value = getattr(place, name)
        monkeypatch.setattr(place, name, made_small(value, settings) if callable(value) else settings)
    if page.stem in NEEDS_DATA:
        if not DATA.is_dir():
            pytest.skip("the folder of recordings is not here")
        monkeypatch.setenv("CONJUGACY_RECORDINGS", str(DATA))
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "docs"}
    # a reader's own modules draw their first weights from torch's global generator
    with torch.random.fork_rng():
        for block in blocks:
            exec(compile(block, page.name, "exec"), names)
    if page.stem in SAYS:
        SAYS[page.stem](names, capsys.readouterr().out, "\n".join(blocks))


def test_blocks_that_are_not_run_exist():
    for page, left_out in NOT_RUN.items():
        blocks = blocks_of(next(p for p in PAGES if p.stem == page))
        for beginning, reason in left_out.items():
            assert reason and any(block.startswith(beginning) for block in blocks)


def test_every_block_of_code_is_found():
    for page in PAGES:
        assert page.read_text().count("```python") == len(blocks_of(page)), f"{page.name}: a block is not closed"


def test_pages_name_no_file_that_is_not_there():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.py")]:
        for name in re.findall(r"docs/([a-z_0-9]+\.md)", path.read_text()):
            assert (ROOT / "docs" / name).exists(), f"{path.name} names docs/{name}"


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links {target}"
