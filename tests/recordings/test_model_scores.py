"""The table of scores: nothing beats the truth, invented and missing states are told, baselines do not peek."""

import h5py
import numpy as np
import pytest

import conjugacy as cj
from conjugacy.recordings import (
    Estimate,
    cross_decoding,
    linear_dynamics,
    model_scores,
    read_estimate,
    smoothed_rates,
)
from conjugacy.recordings.trial_sums import bits

N, T, UNITS, WIDTH = 60, 40, 9, 0.02
TRAIN = np.arange(N) < 40


def world(mean=0.6):
    """A recording of two slow latents, and the true latents and rates (spikes per second)."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((N, 1, 2)) + 0.25 * rng.standard_normal((N, T, 2)).cumsum(1)
    z = (z - z.mean((0, 1))) / z.std((0, 1))
    rates = mean / WIDTH * np.exp(0.9 * z @ rng.standard_normal((2, UNITS)) / np.sqrt(2) - 0.4)
    truth = cj.recordings.Truth(z, rates)
    counts = rng.poisson(rates * WIDTH)
    labels = np.arange(N) % 3
    r = cj.Recording.from_counts(counts, WIDTH, held_out=(6, 7, 8), truth=truth, conditions=labels, name="two latents")
    return r, z, rates


def scored(r, states, rates, **options):
    e = Estimate.of(r, states, rates, TRAIN, n_seen=30, forecast=rates)
    table = model_scores(r, e, **{"shots": (2, 16), "n_resamples": 50, **options}).set_index("score")
    return table


def test_the_truth_scores_its_ceilings():
    r, z, rates = world()
    table = scored(r, z, rates)
    own = table.drop([i for i in table.index if i.startswith("few_shot")])
    np.testing.assert_allclose(own["value"], own["ceiling"], rtol=1e-9)
    for name in ("rate_r2", "state_r2_missing", "state_r2_invented"):
        assert table.loc[name, "value"] == pytest.approx(1, abs=1e-9)
    assert ((table["low"] <= table["value"] + 1e-9) & (table["value"] <= table["high"] + 1e-9)).all()
    assert table.loc["few_shot_2", "value"] < table.loc["few_shot_16", "value"] < table.loc["co_bps", "value"]
    assert abs(table.loc["state_r2_missing", "null"]) < 0.3


def test_no_other_rates_beat_the_true_ones():
    r, z, rates = world()
    rng = np.random.default_rng(1)
    mean = rates[TRAIN].mean((0, 1))
    wrong = {
        "noisy": rates * np.exp(0.5 * rng.standard_normal(rates.shape)),
        "shrunk": mean + 0.5 * (rates - mean),
        "constant": np.broadcast_to(mean, rates.shape),
        "a fresh draw": rng.poisson(rates * WIDTH) / WIDTH + 0.05 / WIDTH,
    }
    counts, inside, null = r.counts[~TRAIN], r.valid[~TRAIN], mean * WIDTH
    best = bits(rates[~TRAIN] * WIDTH, counts, inside, null).above
    for name, q in wrong.items():
        lost = best - bits(q[~TRAIN] * WIDTH, counts, inside, null).above
        assert lost.mean() > 3 * lost.std(ddof=1) / np.sqrt(len(lost)), name
    truth, noisy = (scored(r, z, q).loc["sample_distance"] for q in (rates, wrong["noisy"]))
    assert truth["value"] < noisy["value"]  # where rates against spikes prefer the noise


def test_missing_and_invented_states_are_told_apart():
    r, z, rates = world()
    extra = np.random.default_rng(2).standard_normal((N, T, 12))
    invented, missing = scored(r, np.concatenate([z, extra], 2), rates), scored(r, z[..., :1], rates)
    assert invented.loc["state_r2_missing", "value"] > 0.99 > 0.3 > invented.loc["state_r2_invented", "value"]
    assert missing.loc["state_r2_invented", "value"] > 0.99 > 0.8 > missing.loc["state_r2_missing", "value"]


def test_few_shots_and_cross_decoding_find_what_co_smoothing_does_not():
    r, z, rates = world()
    more = np.concatenate([z, np.random.default_rng(2).standard_normal((N, T, 12))], 2)
    good, bad = scored(r, z, rates), scored(r, more, rates)
    assert good.loc["co_bps", "value"] == bad.loc["co_bps", "value"]
    assert good.loc["few_shot_2", "value"] > bad.loc["few_shot_2", "value"] + 0.02
    table = cross_decoding({"a": z, "b": z @ np.array([[1.0, 2.0], [0.5, -1.0]]), "c": more})
    assert table.loc["mean", "c"] < 0.5 < 0.99 < table.loc["mean", "a"] and np.isnan(table.loc["a", "a"])


def test_baselines_see_neither_held_out_spikes_nor_the_future():
    r, _, _ = world()
    rows = np.arange(N)
    other = r.counts.copy()
    other[40:, :, 6:] += 3
    other[40:, 30:] += 1
    changed = cj.Recording.from_counts(other, WIDTH, held_out=r.held_out)
    for make in (smoothed_rates, lambda *a: linear_dynamics(*a[:3], 2, a[3])):
        a, b = make(r, rows, TRAIN, 30), make(changed, rows, TRAIN, 30)
        np.testing.assert_allclose(a.forecast[40:, 30:], b.forecast[40:, 30:])
        assert np.isfinite(a.rates).all() and (a.rates > 0).all()
    only_held_out = r.counts.copy()
    only_held_out[40:, :, 6:] += 3
    changed = cj.Recording.from_counts(only_held_out, WIDTH, held_out=r.held_out)
    np.testing.assert_allclose(
        smoothed_rates(r, rows, TRAIN).rates[40:], smoothed_rates(changed, rows, TRAIN).rates[40:]
    )


def test_spikes_of_a_bin_do_not_foretell_it():
    counts = np.random.default_rng(3).poisson(0.5, (N, T, UNITS))
    r = cj.Recording.from_counts(counts, WIDTH, held_out=(8,))
    for e in (smoothed_rates(r, np.arange(N), TRAIN), linear_dynamics(r, np.arange(N), TRAIN, 8)):
        table = model_scores(r, e, shots=(), n_resamples=20).set_index("score")
        assert table.loc["bits_per_spike", "value"] < 0.01
        assert "rate_r2" not in table.index and table["ceiling"].isna().all()


def test_baselines_find_slow_latents():
    r, _, _ = world(1.0)
    e = linear_dynamics(r, np.arange(N), TRAIN, 2, 30)
    table = model_scores(r, e, baselines=[smoothed_rates(r, np.arange(N), TRAIN, 30)], n_resamples=20)
    table = table.set_index("score")
    assert 0.5 * table.loc["co_bps", "ceiling"] < table.loc["co_bps", "value"] < table.loc["co_bps", "ceiling"]
    assert table.loc["state_r2_missing", "value"] > 0.6
    assert 0 < table.loc["co_bps", "smoothed rates"] < table.loc["co_bps", "ceiling"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": np.ones((N, T, UNITS + 1))}, r"`rates`: expected shape \(trial=60, time=40, unit=9\)"),
        ({"rates": -np.ones((N, T, UNITS))}, "`rates`: expected spikes per second >= 0"),
        ({"states": np.full((N, T, 2), np.nan)}, "`states`: expected finite values"),
        ({"train": np.ones(N, bool)}, "`train`: expected some of the 60 trials, and others left to score"),
        ({"train": [0, 60]}, r"`train\[1\]`: expected a number in \[0, 59\], got 60"),
    ],
)
def test_estimates_that_do_not_fit_are_named(change, message):
    r, z, rates = world()
    with pytest.raises((TypeError, ValueError), match=message):
        Estimate.of(r, **{"states": z, "rates": rates, "train": TRAIN, **change})


def test_files_of_other_packages_are_scored_alike(tmp_path):
    r, z, rates = world()
    path = tmp_path / "theirs.h5"
    with h5py.File(path, "w") as f:
        for part, rows in (("train", TRAIN), ("eval", ~TRAIN)):
            f[f"{part}_latents"], f[f"{part}_rates"] = z[rows], rates[rows] * WIDTH
    e = read_estimate(path, r, per_bin=True)
    assert e.name == "theirs"
    np.testing.assert_allclose(e.rates, rates * WIDTH)
    table = model_scores(r, e, n_resamples=20).set_index("score")
    assert table.loc["rate_r2", "value"] == pytest.approx(1)
    with h5py.File(path, "a") as f:
        del f["eval_rates"]
    with pytest.raises(ValueError, match="expected a data set 'eval_rates', got eval_latents, train_latents"):
        read_estimate(path, r)


def test_slips_of_the_table_get_one_line():
    r, z, rates = world()
    with pytest.raises(ValueError, match=r"`unseen`: expected held-out units \[6, 7, 8\], got \[0\]"):
        scored(r, z, rates, unseen=[0])
    with pytest.raises(ValueError, match="`states`: expected those of at least 2 models, got 1"):
        cross_decoding({"a": z})
    with pytest.raises(ValueError, match="`n_latents`: expected an integer in"):
        linear_dynamics(r, np.arange(N), TRAIN, 7)
