"""The suite is true to its word, and every registered measure does on it what it declares."""

from dataclasses import replace

import pytest
import torch

from conjugacy.similarity import check_measures, get_measure, known_pairs, measure_names
from conjugacy.similarity.known_answer_checks import CLOSE, agreement, check_draws, check_measure, verdicts
from conjugacy.similarity.known_answers import bend, bistable, straighten
from conjugacy.similarity.page import measures_page
from conjugacy.similarity.score import RELATIONS_THAT_CHANGE_IT, RELATIONS_THAT_KEEP_THE_COMPUTATION


@pytest.fixture(scope="module")
def pairs():
    return known_pairs(0)


def test_all_relations_are_there_once(pairs):
    assert [p.relation for p in pairs if p.same] == list(RELATIONS_THAT_KEEP_THE_COMPUTATION)
    assert [p.relation for p in pairs if not p.same] == list(RELATIONS_THAT_CHANGE_IT)


def test_trajectories_obey_the_step_functions(pairs):
    for pair in pairs:
        for s in (pair.a, pair.b):
            if pair.relation in ("observation noise", "null dimensions"):
                continue  # noise is not in the step
            predicted = s.step(s.trajectories[:, :-1], s.inputs[:, 1:])
            torch.testing.assert_close(predicted, s.trajectories[:, 1:], atol=1e-9, rtol=1e-9)


def test_the_change_of_coordinates_has_its_inverse():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(straighten(bend(x)), x)


@pytest.mark.parametrize(("gain", "extra", "count"), [(2.0, False, 3), (2.0, True, 5), (0.5, False, 1)])
def test_numbers_of_fixed_points(gain, extra, count):
    p = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    x = torch.stack([p, torch.zeros_like(p), torch.zeros_like(p)], 1)
    speed = (bistable(gain, extra)(x, torch.zeros(len(p), 2, dtype=torch.float64)) - x)[:, 0]
    # unit 1 hears nobody: its zeros are the fixed points of the whole
    inside = speed[(p.abs() > 1e-9)]
    assert int((inside[1:] * inside[:-1] < 0).sum()) == count


def test_data_that_differ_off_the_trajectories_only(pairs):
    by_name = {p.relation: p for p in pairs}
    for relation in ("other flow off the data", "fixed point added"):
        pair = by_name[relation]
        torch.testing.assert_close(pair.a.trajectories, pair.b.trajectories, atol=1e-12, rtol=0)


# the two that search and follow orbits of every pair take as long as all others together
LONG = {"portrait", "lyapunov"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in measure_names()])
def test_every_measure_does_what_it_declares(pairs, name):
    if name == "portrait":
        pytest.importorskip("conjugacy.dynamics.search", reason="fixed points are not part of this build")
    records = check_measure(get_measure(name), pairs)
    failed = [(r["relation"], r["value"], r["deviation"], r["expected"]) for r in records if r["verdict"] == "fails"]
    assert not failed
    declared = get_measure(name).traits.invariances | get_measure(name).traits.blind_to
    tested = {r["relation"] for r in records if r["verdict"] != "n/a"}
    assert declared <= tested  # nothing is declared that was not put to the test


def test_a_measure_that_lies_is_found_out(pairs):
    class Liar(type(get_measure("procrustes"))):
        @property
        def traits(self):
            return replace(super().traits, invariances=frozenset({"affine map"}), blind_to=frozenset({"unrelated"}))

    records = {r["relation"]: r["verdict"] for r in check_measure(Liar(), pairs)}
    assert records["affine map"] == records["unrelated"] == "fails"
    assert records["other flow off the data"] == "fails"  # no longer declared


def test_tables():
    table = check_measures(["cka", "state_r2"], seed=1)
    assert len(table) == 2 * 17
    wide = verdicts(table)
    assert list(wide.index) == ["cka", "state_r2"]
    assert wide.loc["cka", "rotation"] == "pass" and wide.loc["cka", "affine map"] == "moves"
    assert wide.loc["state_r2", "other speed"] == "n/a"


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in measure_names() if n != "portrait"])
def test_declarations_hold_in_other_draws(name):
    draws = check_draws([name], seeds=range(1, 5))
    for r in agreement(draws).to_dict("records"):
        # invariances always; what is seen is a matter of size, and holds in the median
        assert r["held"] == r["draws"] or not r["same"], r
        if r["expected"] == "different":
            assert r["median"] > CLOSE, r
        elif not r["same"]:
            assert r["median"] < CLOSE, r


def test_agreement_counts_draws():
    table = check_draws(["cka", "timescales"], seeds=(0, 1))
    assert len(table) == 2 * 2 * 17
    counted = agreement(table)
    assert len(counted) == 16 + 17  # CKA cannot take the other speed
    assert (counted["draws"] == 2).all() and (counted["held"] == 2).all()
    assert (counted["low"] <= counted["median"]).all() and (counted["median"] <= counted["high"]).all()
    page = measures_page(table)
    assert "### Over 2 draws of the suite" in page and "(seeds\n0, 1)" in page
    broken = table.assign(verdict=table["verdict"].where(table["relation"] != "rotation", "fails"))
    with pytest.raises(ValueError, match="do not hold in every draw: cka, rotation; timescales, rotation"):
        measures_page(broken)


def test_the_page_of_measures_says_what_the_suite_says():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "measures.md").read_text(encoding="utf-8")
    names = ["cka", "state_r2", "dsa", "input_dsa"]
    fresh = measures_page(check_measures(names))
    said = [line for line in fresh.splitlines() if any(line.startswith(f"| `{n}` |") for n in names)]
    verdict_lines = [line for line in said if "pass" in line or "blind" in line]
    assert len(verdict_lines) == 2 * len(names)
    for line in verdict_lines:
        assert line in page, "docs/measures.md is out of date: make it again with conjugacy.similarity.page"
    for name in measure_names():
        assert f"| `{name}` |" in page
