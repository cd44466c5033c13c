"""Noise anchors: what they share with a recording, and nothing else."""

import os
from pathlib import Path

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.recordings import noise_anchors

DATA = Path(os.environ.get("CONJUGACY_RECORDINGS", Path(__file__).parents[2] / "shared/reference/recordings"))


def test_noise_has_the_rates_and_goes_through_the_same_steps():
    rng = np.random.default_rng(0)
    recording = cj.Recording.from_counts(rng.poisson([0.2, 1.0, 4.0], (30, 80, 3)), 0.02, conditions=[0, 1] * 15)
    noise = noise_anchors(recording, 1, seed=1)
    assert list(noise) == ["poisson", "overdispersed", "underdispersed", "gaussian"]
    variances = {}
    for kind, (one,) in noise.items():
        assert one.values.shape == recording.values.shape
        variances[kind] = one.values.var((0, 1))
        if kind != "gaussian":
            # four standard errors of the most variable kind, whose variance is twice its mean
            own = recording.values.mean((0, 1))
            assert (np.abs(one.values.mean((0, 1)) - own) < 4 * np.sqrt(2 * own / 2400)).all()
    np.testing.assert_allclose(variances["poisson"], [0.2, 1.0, 4.0], rtol=0.15)
    np.testing.assert_allclose(variances["overdispersed"], [0.4, 2.0, 8.0], rtol=0.25)
    assert (variances["underdispersed"] < variances["poisson"]).all()
    done = noise_anchors(recording.smooth(0.04).average(), 1)["poisson"][0]
    assert done.provenance == recording.smooth(0.04).average().provenance and done.values.shape[0] == 2


def test_smoothing_done_by_others_is_done_to_the_noise():
    rng = np.random.default_rng(0)
    rates = np.abs(rng.normal(20, 5, (4, 200, 5)))
    rough, smooth = (
        noise_anchors(cj.Recording.from_rates(rates, 0.01, smoothed_before=sd), 1)["gaussian"][0] for sd in (0.0, 0.05)
    )
    steps = [np.abs(np.diff(r.values, axis=1)).mean() for r in (rough, smooth)]
    assert steps[1] < steps[0] / 4


def test_a_score_that_noise_reaches_is_marked():
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (10, 60, 6))
    a = cj.Recording.from_counts(counts[:5], 0.02, name="a").smooth(0.04)
    b = cj.Recording.from_counts(counts[5:], 0.02, name="b").smooth(0.04)
    measure = cj.similarity.get_measure("dsa", rank=4, n_delays=3)
    comparison = cj.compare([a, b], [measure], interval=None, null="auto")
    row = comparison.table().iloc[0]
    assert row["reached by noise"] and "no evidence of shared dynamics" in row["warnings"]
    assert row["a <-> b p"] > 0.05
    assert "SD 40 ms" in comparison.scores[0].diagnostics["provenance"]["a"]


def test_shared_dynamics_are_told_from_noise():
    t = np.arange(200) * 0.02
    rng = np.random.default_rng(0)

    def animal(name):
        phase = rng.uniform(0, 2 * np.pi, (12, 1, 1))
        drive = rng.uniform(0, 2 * np.pi, 8) + phase
        counts = rng.poisson(3 * np.exp(np.cos(6 * t[:, None] + drive)))
        return cj.Recording.from_counts(counts, 0.02, name=name).smooth(0.04)

    measure = cj.similarity.get_measure("dsa", rank=4, n_delays=4)
    row = cj.compare([animal("a"), animal("b")], [measure], interval=None).table().iloc[0]
    assert not row["reached by noise"]


def test_trials_are_paired_by_condition_and_dt_has_to_agree():
    rng = np.random.default_rng(0)
    x = rng.poisson(2.0, (12, 20, 4))
    a = cj.Recording.from_counts(x, 0.02, conditions=["u", "v", "w"] * 4, name="a").smooth(0.04)
    b = a.select(units=[2, 0, 1, 3]).select(trials=np.arange(12)[::-1])
    table = cj.compare([a, b], ["cka"], interval=None, names=["a", "b"]).table()
    assert table["a <-> b"].iloc[0] == pytest.approx(1.0)
    assert table["matched"].iloc[0] == "means of 3 conditions: u, v, w"
    with pytest.raises(ValueError, match=r"resample\(0.02\).*dt=0.04|dt=0.02"):
        cj.compare([a.bin(0.04), b], ["dsa"], names=["a", "b"])
    with pytest.raises(ValueError, match="number|as many trials"):
        cj.compare([a, b.select(trials=[0, 1])], ["cka"], match="index", names=["a", "b"])


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of recordings is not here")
@pytest.mark.slow
def test_dsa_of_motor_cortex_against_filtered_noise_is_marked():
    with np.load(DATA / "hatsopoulos2007_M1_center_out.npz") as file:
        rates = np.maximum(file["firing_rate"].transpose(2, 1, 0), 0)
    m1 = cj.Recording.from_rates(rates, 0.01, conditions=range(8), smoothed_before=0.025, name="M1")
    white = np.abs(np.random.default_rng(0).normal(20, 5, (8, 121, 40)))
    noise = cj.Recording.from_rates(white, 0.01, conditions=range(8), name="noise").smooth(0.025)
    row = cj.compare([m1, noise], ["dsa"], interval=None).table().iloc[0]
    assert row["reached by noise"] and row["a <-> b"] < 0.06  # nearer than the arm that M1 moves
