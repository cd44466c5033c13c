"""A recording: made of arrays and spike times, processed, and kept in a file."""

import warnings

import numpy as np
import pytest

import conjugacy as cj
from conjugacy._npz import read_npz, write_npz
from conjugacy.recordings import Signal, Truth


def make(seed=0, **others):
    rng = np.random.default_rng(seed)
    trials = [rng.poisson(1.0, (n, 4)) for n in (30, 42, 35, 50, 31, 44)]
    speed = [np.cumsum(x[:, :1], 0).astype(float) for x in trials]
    conditions = ["left", "right", "left", "right", "left", "right"]
    options = {"conditions": conditions, "behaviour": {"speed": speed}, "name": "a", **others}
    return trials, cj.Recording.from_counts(trials, 0.01, **options)


def test_smoothing_is_the_convolution_with_what_there_is_of_the_kernel():
    trials, recording = make()
    smooth = recording.smooth(0.02)
    lag = np.arange(-8, 9)
    kernel = np.exp(-0.5 * (lag / 2.0) ** 2)
    for k, x in enumerate(trials):
        for t in range(len(x)):
            here = (t + lag >= 0) & (t + lag < len(x))
            wanted = (kernel[here, None] * x[t + lag[here]]).sum(0) / kernel[here].sum() / 0.01
            np.testing.assert_allclose(smooth.values[k, t], wanted)
    assert smooth.kind == "rates"


def test_causal_smoothing_does_not_look_ahead():
    counts = np.zeros((1, 40, 1))
    counts[0, 20] = 1
    late = cj.Recording.from_counts(counts, 0.01).smooth(0.03, causal=True).values[0, :, 0]
    assert not late[:20].any() and (late[20:26] > 0).all()


def test_averages_and_their_standard_errors():
    trials, recording = make()
    means = recording.average()
    left = np.stack([trials[k][:30] for k in (0, 2, 4)]) / 0.01
    assert means.conditions.tolist() == ["left", "right"] and means.n_averaged.tolist() == [3, 3]
    assert means.lengths.tolist() == [30, 42]
    np.testing.assert_allclose(means.values[0, :30], left.mean(0))
    np.testing.assert_allclose(means.standard_errors[0, :30], left.std(0, ddof=1) / np.sqrt(3))
    longer = recording.average(min_trials=1)
    np.testing.assert_allclose(longer.values[0, 34], trials[2][34] / 0.01)
    assert np.isnan(longer.standard_errors[0, 34]).all()


def test_what_conditions_share_is_removed():
    _, recording = make()
    rest = recording.average().remove_condition_independent()
    np.testing.assert_allclose(rest.values[:, :30].mean(0), 0, atol=1e-9)


def test_bins_and_resampling_agree_where_both_apply():
    _, recording = make()
    rates = recording.smooth(0.02)
    np.testing.assert_allclose(rates.bin(0.03).values, rates.resample(0.03).values, atol=1e-9)
    assert recording.bin(0.05).values.sum() == sum(x[: len(x) // 5 * 5].sum() for x in make()[0])
    line = cj.Recording.from_calcium(np.arange(20.0)[None, :, None], 0.1).resample(0.05)
    np.testing.assert_allclose(line.values[0, 1:-1, 0], (np.arange(40)[1:-1] + 0.5) / 2 - 0.5)


def test_steps_can_be_told_repeated_and_kept(tmp_path):
    latents = np.zeros((6, 50, 2))
    _, recording = make(inputs=None, truth=Truth(latents=latents), regions=["m1", "m1", "s1", "s1"])
    done = recording.select(region="m1").bin(0.02).smooth(0.04).soft_normalise().average().window(0.0, 0.2)
    assert "SD 40 ms" in done.provenance and "2 of 4 units" in done.provenance
    np.testing.assert_array_equal(done.replay(recording).values, done.values)
    done.save(tmp_path / "a.npz")
    back = cj.Recording.load(tmp_path / "a.npz")
    assert back.provenance == done.provenance and back.units == done.units == ("0", "1")
    np.testing.assert_array_equal(back.values, done.values)
    np.testing.assert_array_equal(back.replay(back.origin).values, done.values)
    np.testing.assert_array_equal(back.behaviour["speed"].values, done.behaviour["speed"].values)
    assert back.truth.latents.shape == (2, 10, 2) and back.standard_errors.shape == (2, 10, 2)


def test_behaviour_keeps_its_own_clock():
    n = 201
    angle = Signal.of("angle", np.mod(np.linspace(0, 12, n), 2 * np.pi)[None, :, None], dt=0.005, circular=True)
    recording = cj.Recording.from_counts(np.ones((1, 100, 1)) * np.arange(100)[:, None], 0.01, behaviour={"a": angle})
    found = recording.behaviour_at("a")[0, :, 0]
    np.testing.assert_allclose(found, np.mod(recording.times * 12, 2 * np.pi), atol=1e-9)
    assert np.isnan(recording.behaviour_at("a", lag=0.5)[0, -1, 0])
    assert recording.window(0.2, 0.4).behaviour["a"].start == pytest.approx(0.2)


def test_spikes_are_counted_once_in_the_bin_where_they_fall():
    rng = np.random.default_rng(1)
    times = [np.sort(rng.uniform(0, 50, 700)) for _ in range(3)]
    times[0] = np.sort(np.append(times[0], [10.1, 10.8]))  # on the first and the last edge of a window
    events = np.array([3.0, 10.3, 20.0, 41.7])
    recording = cj.Recording.from_spikes(times, events, (-0.2, 0.5), 0.05)
    edges = -0.2 + 0.05 * np.arange(15)
    for k, event in enumerate(events):
        for u, t in enumerate(times):
            wanted, _ = np.histogram(np.round(t - event, 12), np.round(edges, 12))
            wanted[-1] -= (np.round(t - event, 12) == 0.5).sum()
            np.testing.assert_array_equal(recording.values[k, :, u], wanted)
    ragged = cj.Recording.from_spikes(times, events, (-0.2, 0.0), 0.05, ends=events + np.array([0.3, 0.4, 0.32, 1.0]))
    assert ragged.lengths.tolist() == [10, 12, 10, 24]


def test_silent_units_and_copies_are_named():
    counts = np.random.default_rng(0).poisson(1.0, (3, 20, 4))
    counts[..., 1], counts[..., 3] = 0, counts[..., 2]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        cj.Recording.from_counts(counts, 0.01, units=["a", "b", "c", "d"])
    texts = [str(w.message) for w in found]
    assert "1 of 4 units never change: b" in texts[0] and "copies of others: d (as c)" in texts[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: cj.Recording.from_counts(-np.ones((1, 3, 2)), 0.01), "negative"),
        (lambda: cj.Recording.from_counts(np.full((1, 3, 2), 0.5), 0.01), "whole numbers"),
        (lambda: cj.Recording.from_counts(np.ones((3, 2)), 0.01), "trial"),
        (lambda: cj.Recording.from_counts(np.ones((1, 3, 2)), 0), "bin_size"),
        (lambda: cj.Recording.from_spikes([[2.0, 1.0]], [1.0], (0, 1), 0.1), "increasing order"),
        (lambda: cj.Recording.from_spikes([[1.0, 2.0]], [9.0], (0, 1), 0.1), "inside the recording"),
        (lambda: cj.Recording.from_spikes([[1.0, 9.0]], [2.0, 2.5], (0, 1), 0.1), "overlap"),
        (lambda: cj.Recording.from_spikes([[1.0, 9.0]], [2.0], (0, 1), 0.3), "divides the window"),
        (lambda: make(behaviour={"x": np.zeros((6, 99))}), "clock"),
        (lambda: make(behaviour={"x": np.full((6, 50), np.nan)}), "finite"),
        (lambda: make(conditions=[1, 2]), "label for each"),
        (lambda: make()[1].select(trials=[0]).average(), "several trials"),
        (lambda: make()[1].resample(0.02), "Smooth them first"),
        (lambda: make()[1].bin(0.015), "multiple"),
        (lambda: make()[1].smooth(30), "in seconds"),
        (lambda: make()[1].select(units=["zz"]), "units"),
        (lambda: make()[1].window(2.0, 3.0), "every trial has a bin"),
    ],
)
def test_errors_are_one_clear_line(wrong, words):
    with pytest.raises((ValueError, TypeError), match=words) as error:
        wrong()
    assert "\n" not in str(error.value)


def test_a_condition_with_one_trial_is_named():
    _, recording = make(conditions=["a", "a", "a", "b", "a", "a"])
    with pytest.warns(UserWarning, match="conditions with one trial, whose standard errors are unknown: b"):
        means = recording.average()
    assert np.isnan(means.standard_errors[1, 0]).all()


@pytest.mark.parametrize("method", ["save", "load", "__init__", "nonsense"])
def test_a_file_can_name_no_other_method_than_a_step(tmp_path, method):
    counts = np.random.default_rng(0).poisson(2.0, (3, 20, 2))
    recording = cj.Recording.from_counts(counts, 0.01).smooth(0.02)
    recording.save(tmp_path / "r.npz")
    arrays, meta = read_npz(tmp_path / "r.npz")
    meta["recording"]["steps"] = [{"method": method, "settings": {"path": str(tmp_path / "evil.npz")}, "text": ""}]
    write_npz(tmp_path / "r.npz", arrays, meta)
    with pytest.raises(ValueError, match=r"r\.npz: "):
        cj.Recording.load(tmp_path / "r.npz")
    assert not (tmp_path / "evil.npz").exists()


@pytest.mark.parametrize("lengths", [[20, np.nan], [20, 2.5], [20, 21], [20], None, "all"])
def test_a_signal_has_whole_lengths_within_its_samples(lengths):
    with pytest.raises(ValueError, match="^`lengths"):
        Signal(np.zeros((2, 20, 1)), lengths, 0.01)
