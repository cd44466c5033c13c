"""LFADS: priors by their definitions; pulses found from spikes alone; single trials of a chaotic network."""

import math

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.models import LFADS
from conjugacy.recordings import pulses_found

BIN = 0.01


def made(**options):
    model = LFADS(cj.networks.GRU(4), 2, 3, 5, 4, **options)
    model.init_model(1, 6, seed=1)
    return model.double()


def counts(n=3, t=7):
    return torch.from_numpy(np.random.default_rng(0).poisson(0.7, (n, t, 6))).double()


def test_the_divergence_of_inputs_is_that_of_their_densities():
    model, log_tau, log_drive = made(), [0.5, 2.0], [-1.0, 0.25]
    with torch.no_grad():
        model.log_tau.copy_(torch.tensor(log_tau))
        model.log_drive.copy_(torch.tensor(log_drive))
    g = torch.Generator().manual_seed(0)
    u, mean = (torch.randn(3, 7, 2, generator=g, dtype=torch.float64) for _ in range(2))
    variance = torch.rand(3, 7, 2, generator=g, dtype=torch.float64) + 0.1
    expected = torch.zeros(3, dtype=torch.float64)
    for k in range(2):
        a, v = math.exp(-1 / math.exp(log_tau[k])), math.exp(log_drive[k])
        for t in range(7):
            prior = (0.0, v / (1 - a * a)) if t == 0 else (a * u[:, t - 1, k], v)
            p = torch.distributions.Normal(torch.as_tensor(prior[0]), math.sqrt(prior[1]))
            q = torch.distributions.Normal(mean[:, t, k], variance[:, t, k].sqrt())
            expected += q.log_prob(u[:, t, k]) - p.log_prob(u[:, t, k])
    torch.testing.assert_close(model._input_divergence(u, mean, variance), expected)


def test_the_controller_does_not_see_the_spikes_of_its_bin():
    model, n = made(), counts()
    other = n.clone()
    other[:, 3] += 2
    a, b = (model._watched(x, None)[:, 3] for x in (n, other))
    assert torch.equal(a, b)
    assert not torch.equal(model._watched(n, None)[:, 4], model._watched(other, None)[:, 4])


def test_factors_have_rows_of_length_one_and_left_out_spikes_are_those_scored():
    model, n = made(coordinated=0.4), counts(50, 20)
    assert torch.allclose(model.readout.weight().norm(dim=1), torch.ones(3, dtype=torch.float64))
    seen, scored = model._hidden(n, torch.Generator().manual_seed(0))
    assert scored is not None and not (seen * scored).any()
    assert float(scored.mean()) == pytest.approx(0.4, abs=4 * math.sqrt(0.24 / scored.numel()))
    assert float(seen.mean()) == pytest.approx(float(n.mean()), rel=0.05)
    assert model._hidden(n, None)[1] is None


def test_its_map_makes_its_states_and_it_is_saved(tmp_path):
    r = cj.Recording.from_counts(counts(20, 12).numpy(), BIN, held_out=(5,))
    run = cj.fit(r, LFADS(cj.networks.GRU(4), 2, 3, 5, 4), steps=3, progress=False, out=tmp_path / "run")
    system = run.system()  # checks that its step makes its trajectories, given and inferred inputs taken together
    assert system.inputs.shape[2] == 3 and run.network.external_size == 1
    back = cj.DataRun.load(tmp_path / "run")
    assert torch.equal(back.infer().inputs, run.infer().inputs)
    table = run.scores(shots=(2,), n_resamples=10).set_index("score")
    assert np.isfinite(table.loc[["co_bps", "forward_bps"], "value"]).all()


@pytest.mark.slow
def test_pulses_are_found_from_spikes_alone():
    rng = np.random.default_rng(0)
    n, t, units = 400, 60, 40
    u = np.where(rng.random((n, t, 1)) < 0.04, rng.choice([-1.0, 1.0], (n, t, 1)), 0.0)
    turn = 0.95 * np.array([[np.cos(0.15), -np.sin(0.15)], [np.sin(0.15), np.cos(0.15)]])
    x, z = np.zeros((n, t, 2)), 0.5 * rng.standard_normal((n, 2))
    for k in range(t):
        z = x[:, k] = z @ turn.T + 1.2 * u[:, k] * np.array([1.0, 0.0])
    rates = 40 * np.exp(0.6 * x @ rng.standard_normal((2, units)) - 0.3)
    truth = cj.recordings.Truth(x, rates, u)
    r = cj.Recording.from_counts(rng.poisson(rates * BIN), BIN, held_out=range(34, 40), truth=truth)
    run = cj.fit(r, LFADS(cj.networks.GRU(32), 1, 6, 48, 24), steps=1000, progress=False)
    train = ~np.isin(np.arange(n), run.rows("test"))
    found = pulses_found(u, run.infer(np.arange(n)).inputs.numpy(), train)
    # measured: see docs/data_models.md
    assert found.hit_rate > 0.6 and found.false_alarm_rate < 0.04
    assert run.metrics["rate_r2"] > 0.7 and run.metrics["co_bps"] > 0.75 * run.metrics["co_bps_ceiling"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*states for.*units:UserWarning")
def test_single_trials_of_a_chaotic_network():
    rng = np.random.default_rng(0)
    d, tau = 50, 0.025
    weights = 1.5 * rng.standard_normal((d, d)) / np.sqrt(d)
    x, states = rng.standard_normal((10, d)), []
    for _ in range(200):
        x = x + BIN / tau * (-x + np.tanh(x) @ weights.T)
        states.append(x)
    states = np.repeat(np.stack(states[100:], 1), 40, 0)
    rates = 15 * (1 + np.tanh(states))
    truth = cj.recordings.Truth(states, rates)
    r = cj.Recording.from_counts(rng.poisson(rates * BIN), BIN, held_out=range(45, 50), truth=truth)
    run = cj.fit(r, LFADS(cj.networks.GRU(64), 0, 20, 48), steps=600, short_timesteps=100, progress=False)
    assert run.metrics["rate_r2"] > 0.9
