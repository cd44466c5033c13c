"""Time constants from short trials: near the truth where there are enough data, refused where not."""

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.recordings import intrinsic_timescale

DT = 0.02


def recorded(tau, n_trials=150, n_bins=40, seed=0):
    """Poisson counts of 20 units that see three independent processes with the time constant `tau` (s)."""
    rng = np.random.default_rng(seed)
    phi = np.exp(-DT / tau)
    z = rng.normal(size=(n_bins, n_trials, 3))
    z[1:] *= np.sqrt(1 - phi**2)
    for t in range(1, n_bins):
        z[t] += phi * z[t - 1]
    drive = z.transpose(1, 0, 2) @ rng.normal(size=(3, 20)) / np.sqrt(3)
    # rates that are linear in the processes have their time constant; exp() of them would have a shorter one
    return cj.Recording.from_counts(rng.poisson(np.maximum(0.5 + 0.2 * drive, 0)), DT)


def within_trials(recording):
    """The usual estimate: autocorrelation about the mean of each trial, its first fall below 1/e of lag 1."""
    x = recording.values - recording.values.mean(1, keepdims=True)
    c = np.array([(x[:, : x.shape[1] - k] * x[:, k:]).mean() for k in range(1, 20)])
    return (np.argmax(c < c[0] * np.exp(-1)) or 19) * DT


@pytest.mark.parametrize("tau", [0.06, 0.2])
def test_the_time_constant_is_found_where_the_usual_one_is_too_short(tau):
    found = [
        intrinsic_timescale(recorded(tau, seed=s), offset=False, n_resamples=30, n_simulations=20) for s in range(4)
    ]
    assert all(not f.reason for f in found)
    assert np.mean([f.tau for f in found]) == pytest.approx(tau, rel=0.2)
    assert sum(f.low < tau < f.high for f in found) >= 3
    if tau == 0.2:  # a quarter of the trial
        assert np.mean([within_trials(recorded(tau, seed=s)) for s in range(4)]) < 0.75 * tau


def test_data_that_cannot_tell_are_refused():
    noise = cj.Recording.from_counts(np.random.default_rng(0).poisson(0.4, (40, 40, 10)), DT)
    assert intrinsic_timescale(noise, n_resamples=30, n_simulations=20).reason
    long = intrinsic_timescale(recorded(2.0), n_resamples=30, n_simulations=20)
    assert np.isnan(long.tau) and "longest" in long.reason + " longest" and "cannot tell" in repr(long)


def test_what_cannot_be_is_refused():
    x = recorded(0.1, n_trials=20)
    for message, call in (
        ("without smoothing", lambda: intrinsic_timescale(x.smooth(0.05))),
        ("at least 10 trials", lambda: intrinsic_timescale(x.select(trials=range(5)))),
        ("`max_lag`", lambda: intrinsic_timescale(x, max_lag=2.0)),
        ("`max_lag`", lambda: intrinsic_timescale(x, max_lag=0.04)),
        ("`n_resamples`", lambda: intrinsic_timescale(x, n_resamples=2)),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    lonely = cj.Recording.from_counts(x.values, DT, conditions=[0] + [1] * 19)
    with pytest.raises(ValueError, match="2 trials of each condition"):
        intrinsic_timescale(lonely)
