"""The calibration counts what it says, goes on where it was stopped, and makes a page of it."""

import json

import numpy as np
import pytest

from conjugacy.similarity import calibration
from conjugacy.similarity.calibration import Cell, calibrate, cells
from conjugacy.similarity.calibration_page import calibration_page
from conjugacy.similarity.worlds import FAMILIES, RELATIONS, make_world


@pytest.mark.parametrize("family", FAMILIES)
def test_a_world_is_fixed_by_its_seed_and_a_data_set_by_its_own(family):
    world = make_world(family, seed=3)
    a, b = world.draw(5, 0)
    again, _ = make_world(family, seed=3).draw(5, 0)
    assert np.array_equal(a.trajectories, again.trajectories)
    assert not np.array_equal(a.trajectories, world.draw(5, 1)[0].trajectories)
    assert a.lengths.tolist() == b.lengths.tolist() and np.isfinite(a.trajectories.numpy()).all()
    assert (len(set(a.lengths.tolist())) > 1) == (family == "ragged")


def test_a_copy_has_the_operator_of_the_first_system_in_other_coordinates():
    a, b = make_world("linear", "copy", 1).draw(2000, 0)

    def spectrum(system):
        x = system.trajectories.numpy()
        past, future = x[:, :-1].reshape(-1, x.shape[2]), x[:, 1:].reshape(-1, x.shape[2])
        return np.sort(np.abs(np.linalg.eigvals(np.linalg.lstsq(past, future, rcond=None)[0])))

    assert np.allclose(spectrum(a), spectrum(b), atol=0.05)


def test_it_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    options = {"families": ["linear"], "n_worlds": 2, "n_draws": 2, "progress": False}
    found = calibrate(tmp_path, ["procrustes"], **options)
    assert {c["kind"] for c in found} == {"coverage", "rejections"} and len(found) == len(list(tmp_path.iterdir())) == 5
    assert all(0 <= c["covered"] <= c["n"] == 4 for c in found if c["kind"] == "coverage")
    monkeypatch.setattr(calibration, "coverage", None)  # nothing is counted twice
    monkeypatch.setattr(calibration, "rejections", None)
    assert calibrate(tmp_path, ["procrustes"], **options) == found
    page = calibration_page(found)
    assert "| `procrustes` | " in page and "of 4" in page and "## Level at 5 %" in page


def test_parts_share_the_cells(tmp_path):
    whole = cells(["procrustes"], ["linear"])
    made = []
    for i in (1, 2):
        calibrate(
            tmp_path / str(i), ["procrustes"], families=["linear"], n_worlds=2, n_draws=2, part=(i, 2), progress=False
        )
        made += [json.loads(p.read_text()) for p in (tmp_path / str(i)).iterdir()]
    assert len(made) == len(whole)
    assert {(c["kind"], c["n_trials"], c["relation"]) for c in made} == {
        (c.kind, c.n_trials, c.relation) for c in whole
    }


def test_measures_without_a_null_are_not_asked_for_one():
    asked = {c.measure for c in cells() if c.kind == "rejections"}
    assert "dsa" in asked and "timescales" not in asked


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="`part`: expected an integer in \\[1, 2\\], got 3"):
        calibrate(tmp_path, part=(3, 2))
    with pytest.raises(ValueError, match="`family`: expected one of 'linear'"):
        make_world("linaer")
    with pytest.raises(ValueError, match=f"`relation`: expected one of '{RELATIONS[0]}'"):
        make_world("linear", "twin")
    assert Cell("coverage", "dsa", "limit cycle", 30).name == "coverage-dsa-limit_cycle-30-other"
