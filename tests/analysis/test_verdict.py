"""The verdict: pairs whose relation is known, margins, and what is said where nothing can be."""

import math
from dataclasses import replace

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.analysis import Margins
from conjugacy.analysis.margins import LEAST_COPIES, MEASURES, shipped_for
from conjugacy.analysis.verdict import CANNOT_TELL, DIFFERENT, SAME, _against, _joined
from conjugacy.similarity.known_answers import known_pairs

PAIRS = {p.relation: p for p in known_pairs(0)}
WIDE = Margins({}, "made up", 5, {name: [1e6] for name in (*MEASURES, "task")})
NARROW = Margins({}, "made up", 5, {name: [1e-9] for name in (*MEASURES, "task")})


def _verdict(relation, margins=None, seed=0):
    pair = PAIRS[relation]
    return cj.compare([pair.a, pair.b], "procrustes", interval=None, seed=seed).verdict(margins, n_steps=0)


@pytest.mark.parametrize("relation", ["rotation", "affine map", "diffeomorphism", "other size"])
def test_conjugate_systems_compute_the_same(relation):
    verdict = _verdict(relation)
    levels = {level.name: level.answer for level in verdict.pairs[0].levels}
    assert verdict.answer == "same"
    assert levels["skeleton"] == levels["conjugacy"] == SAME
    assert levels["task"] == CANNOT_TELL


@pytest.mark.parametrize("relation", ["fixed point removed", "unrelated"])
def test_systems_with_other_fixed_points_do_not(relation):
    verdict = _verdict(relation)
    assert verdict.answer == "different"
    assert "no: " in verdict.pairs[0].sentence


def test_what_one_computes_and_the_other_too():
    verdict = _verdict("null dimensions")
    assert verdict.answer == "factor"
    assert "as far as reference goes" in verdict.pairs[0].sentence


def test_margins_decide_levels_two_and_three():
    wide, narrow, none = (
        next(v.answer for v in _verdict("affine map", margins).pairs[0].levels if v.name == "dynamics")
        for margins in (WIDE, NARROW, None)
    )
    assert wide == SAME
    assert narrow in (DIFFERENT, CANNOT_TELL)
    assert none == CANNOT_TELL


@pytest.mark.parametrize(
    ("low", "high", "margin", "answer"),
    [(0.0, 0.1, 0.2, SAME), (0.1, 0.3, 0.2, CANNOT_TELL), (0.3, 0.4, 0.2, DIFFERENT), (0.1, 0.2, 0.2, SAME)],
)
def test_an_interval_against_a_margin(low, high, margin, answer):
    assert _against(low, high, margin) == answer


def test_one_difference_is_enough_and_all_have_to_agree():
    assert _joined([SAME, DIFFERENT, CANNOT_TELL]) == DIFFERENT
    assert _joined([SAME, CANNOT_TELL]) == CANNOT_TELL
    assert _joined([SAME, SAME]) == SAME
    assert _joined([]) == CANNOT_TELL


def test_trajectories_without_a_map_cannot_be_told():
    a, b = (replace(s, step=None, cell=None) for s in (PAIRS["rotation"].a, PAIRS["rotation"].b))
    verdict = cj.compare([a, b], "procrustes", interval=None).verdict(n_steps=0)
    answers = {v.name: v for v in verdict.pairs[0].levels}
    assert verdict.answer == CANNOT_TELL
    assert "has no map" in answers["skeleton"].evidence
    assert answers["conjugacy"].answer == CANNOT_TELL


def test_two_systems_without_fixed_points_have_not_the_same_skeleton_for_that():
    turn = np.sqrt(2.0)
    step = lambda x, u: x + turn + 0.0 * u[..., :1]  # noqa: E731
    x = np.cumsum(np.full((8, 30, 1), turn), axis=1) + np.arange(8)[:, None, None]
    pair = [cj.System.from_arrays(name, x, np.zeros((8, 30, 1)), step=step) for name in "ab"]
    verdict = cj.compare(pair, "procrustes", interval=None).verdict(n_steps=0)
    assert {v.name: v.answer for v in verdict.pairs[0].levels}["skeleton"] == CANNOT_TELL


def test_text_and_table_say_the_same():
    verdict = _verdict("rotation")
    table = verdict.table()
    assert list(table.index.get_level_values("level")) == ["task", "geometry", "dynamics", "skeleton", "conjugacy"]
    for answer, evidence in zip(table["answer"], table["evidence"]):
        assert answer in str(verdict)
        assert evidence in str(verdict)


def test_networks_that_do_not_do_the_task_are_said_not_to():
    task = cj.tasks.NBitFlipFlop(n=1, n_timesteps=40)
    runs = [cj.train(task, cj.networks.GRU(latent_size=8), seed=s, steps=2, progress=False) for s in (0, 1)]
    with pytest.warns(UserWarning, match="below the threshold"):
        comparison = cj.compare(runs, "procrustes", interval=None, n_trials=20)
    verdict = comparison.verdict(WIDE, n_steps=0)
    assert verdict.answer == CANNOT_TELL
    assert "neither does the task" in verdict.pairs[0].sentence


def test_margins_of_too_few_copies_or_of_something_else():
    task = cj.tasks.NBitFlipFlop(n=1, n_timesteps=40)
    run = cj.train(task, cj.networks.GRU(latent_size=8), seed=0, steps=2, progress=False)
    with pytest.raises(ValueError, match=f"`copies`: expected at least {LEAST_COPIES}"):
        Margins.measured([run, run])
    with pytest.raises(TypeError, match=r"`copies\[0\]`: expected a Run"):
        Margins.measured(["run"] * 5)
    margins = Margins.measured([replace(run, name=str(k)) for k in range(5)])
    assert margins.of("task") == 0.0
    assert len(margins.distances["dsa"]) == 10
    assert margins.of("no such measure") is None


def test_margins_that_ship_are_those_of_copies_that_learned():
    margins = shipped_for(cj.tasks.NBitFlipFlop(n=3))
    assert margins is not None
    assert shipped_for(cj.tasks.NBitFlipFlop(n=2)) is None  # other settings are another task
    assert margins.n_copies >= LEAST_COPIES
    pairs = math.comb(margins.n_copies, 2)
    for name in (*MEASURES, "task"):
        assert len(margins.distances[name]) == pairs
        assert np.isfinite(margins.distances[name]).all()
        assert margins.of(name) > 0


def test_a_certain_difference_of_scores_that_is_small_is_said_to_be_small():
    from conjugacy.analysis.verdict import _beyond_copies

    said = _beyond_copies([("twice the noise", "a", 0.018, 0.024), ("as trained", "b", 0.2, 0.25)], 0.008)
    assert (
        said[0]
        == "a is better by 0.018 in twice the noise (copies: up to 0.008), a small difference, though a certain one"
    )
    assert said[1] == "b is better by 0.200 as trained (copies: up to 0.008)"
