"""Ten trained networks of `benchmarks/zoo.py`: the memories that are found are those at which orbits end."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def zoo(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import zoo

    yield zoo
    sys.modules.pop("zoo")


def test_clusters_are_told_apart_only_where_they_lie_ten_of_their_spreads_apart(zoo):
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    label = rng.integers(0, 3, 300)
    tight = centres[label] + 0.02 * rng.normal(size=(300, 2))
    found = zoo.clusters(tight, 1.0)
    assert len(set(zip(found, label))) == 3
    assert zoo.clusters(centres[label] + 0.2 * rng.normal(size=(300, 2)), 1.0) is None
    assert zoo.clusters(np.zeros((50, 2)), 1.0).tolist() == [0] * 50


@pytest.mark.slow
def test_memories_are_the_ends_of_orbits_in_ten_networks(zoo, tmp_path):
    chosen = [m for m in zoo.members() if m.n_bits == 2 and (m.recipe == "early" or "LSTM" in m.kind)]
    assert len(chosen) == 10
    results = {m.name: zoo.look(zoo.trained(m, tmp_path)) for m in chosen}
    wrong = {name: r for name, r in results.items() if r["agrees"] is False}
    assert not wrong and sum(r["agrees"] is not None for r in results.values()) >= 8
