"""Models of recordings: gradients, equal seeds, resuming, divergence, bad input, and what the parts may see."""

import copy

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.models import LFADS, PiecewiseLinear, SequentialAutoencoder, StableLinear
from conjugacy.models.spike_model import SpikeModel
from conjugacy.networks.sequence import plain_sequence, sequence
from conjugacy.training import checkpoint
from conjugacy.training.fitting import poisson_loss

MODELS = {
    "NODE": cj.networks.NODE(2, num_layers=2, layer_hidden_size=8),
    "GRU": cj.networks.GRU(5),
    "Vanilla": cj.networks.VanillaRNN(5),
    "LowRank": cj.networks.LowRankRNN(6, rank=2),
    "linear": StableLinear(3),
    "piecewise linear": PiecewiseLinear(4),
    "LFADS": LFADS(cj.networks.GRU(4), 2, 3, 5, 4, coordinated=0.0),
    "LFADS without a controller": LFADS(cj.networks.NODE(2, num_layers=1, layer_hidden_size=5), 0, 3, 5),
    "variational": SequentialAutoencoder(cj.networks.GRU(4), 6, kl_scale=1.0),
}
QUICK = {"steps": 6, "batch_size": 8, "eval_every": 2, "short_timesteps": 10, "progress": False}


def waves(n_trials=40, n_bins=25, n_units=8, held_out=(6, 7), rate=0.5, **others):
    """Units that follow a wave whose phase differs from trial to trial."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (n_trials, 1, 1)) + np.arange(n_bins)[:, None] / 4
    r = rate * np.exp(np.cos(phase + np.linspace(0, 3, n_units)))
    truth = cj.recordings.Truth(rates=r / 0.01)
    return cj.Recording.from_counts(rng.poisson(r), 0.01, held_out=held_out, truth=truth, **others)


def weights(run):
    return run.network.state_dict()


def same(a, b):
    return all(torch.equal(weights(a)[k], weights(b)[k]) for k in weights(a))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_finite_differences(name):
    model = MODELS[name]
    model = model if isinstance(model, SpikeModel) else SequentialAutoencoder(model, 3)
    model = copy.deepcopy(model)
    model.init_model(2, 4, seed=1)
    model.double()
    g = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 3, (3, 5, 4), generator=g).double()
    inputs = torch.randn(3, 5, 2, generator=g, dtype=torch.float64)
    valid = torch.ones(3, 5, dtype=torch.bool)
    unused = {"latent_ics"} | (set() if model.varies else {"prior_mean"})  # the encoder takes their place
    named = {k: v for k, v in model.named_parameters() if k not in unused}

    def loss(*values):
        given = dict(zip(named, values))

        class Called(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = model

            def forward(self):
                # the same noise at every call: draws are part of what is differentiated
                out = self.inner.infer(counts, inputs, torch.Generator().manual_seed(3))
                return poisson_loss(out.log_rates, counts, valid, out.scored) + 0.1 * out.divergence.mean()

        return torch.func.functional_call(Called(), {f"inner.{k}": v for k, v in given.items()})

    values = [v.detach().clone().requires_grad_() for v in named.values()]
    assert torch.autograd.gradcheck(loss, values, eps=1e-6, atol=1e-6, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("name", MODELS)
def test_equal_seeds_give_equal_weights_and_the_likelihood_rises(name):
    r = waves()
    a, b = cj.fit(r, MODELS[name], seed=3, **QUICK), cj.fit(r, MODELS[name], seed=3, **QUICK)
    assert same(a, b)
    assert not same(a, cj.fit(r, MODELS[name], seed=4, **QUICK))
    assert a.metrics["stopped"] == "steps"


def test_a_model_learns_what_the_means_do_not_tell():
    run = cj.fit(waves(200), cj.networks.GRU(8), steps=250, batch_size=32, learning_rate=2e-2, progress=False)
    m = run.metrics
    assert m["rate_r2"] > 0.6 and 0.6 * m["co_bps_ceiling"] < m["co_bps"] < m["co_bps_ceiling"] + 0.02


def test_an_interrupted_fit_goes_on_as_if_nothing_had_been(tmp_path, monkeypatch):
    r, net = waves(), cj.networks.GRU(5)
    whole = cj.fit(r, net, **QUICK)
    import conjugacy.training.fitting as fitting

    real, calls = fitting._gradient_step, []

    def cut_off(*args):
        calls.append(0)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as m:
        m.setattr(fitting, "_gradient_step", cut_off)
        part = cj.fit(r, net, out=tmp_path / "fit", **QUICK)
    assert part.metrics["stopped"] == "interrupted" and part.metrics["steps"] == 3
    with pytest.raises(ValueError, match=checkpoint.FILE):
        cj.fit(waves(41), net, out=tmp_path / "fit", **QUICK)
    resumed = cj.fit(r, net, out=tmp_path / "fit", **QUICK)
    assert same(resumed, whole) and resumed.metrics["steps"] == 6
    assert list(resumed.history["val_score"]) == list(whole.history["val_score"])


def test_a_fit_that_is_killed_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch):
    import conjugacy.training.fitting as fitting

    r, net = waves(), cj.networks.NODE(2, num_layers=1, layer_hidden_size=6)
    whole = cj.fit(r, net, **QUICK)
    real, calls = fitting._gradient_step, []
    with monkeypatch.context() as m:
        m.setattr(fitting, "_CHECKPOINT_SECONDS", -1.0)
        m.setattr(fitting, "_gradient_step", lambda *a: calls.append(0) or (real(*a) if len(calls) < 6 else 1 / 0))
        with pytest.raises(ZeroDivisionError):
            cj.fit(r, net, out=tmp_path / "fit", **QUICK)
    calls.clear()
    monkeypatch.setattr(fitting, "_gradient_step", lambda *a: calls.append(0) or real(*a))
    resumed = cj.fit(r, net, out=tmp_path / "fit", **QUICK)
    assert len(calls) == 2 and same(resumed, whole)


def test_a_finished_fit_is_saved_and_found_again(tmp_path):
    r, net, folder = waves(), cj.networks.GRU(5), tmp_path / "fit"
    run = cj.fit(r, net, out=folder, n_unseen=1, **QUICK)
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json",
        "history.csv",
        "metrics.json",
        "recording.npz",
        "weights.safetensors",
    ]
    for other in (cj.DataRun.load(folder), cj.fit(r, net, out=folder, n_unseen=1, **QUICK)):
        assert same(run, other) and other.metrics == run.metrics and other.unseen == (7,)
        assert other.config() == run.config() and other.name == run.name
        np.testing.assert_array_equal(other.rates(), run.rates())
        np.testing.assert_array_equal(other.history["val_score"], run.history["val_score"])
    with pytest.raises(FileExistsError, match=r"`out`: .* holds a finished run of another config \(other seed\)"):
        cj.fit(r, net, seed=1, out=folder, n_unseen=1, **QUICK)
    with pytest.raises(ValueError, match=r"expected a run on a task, got a model of a recording. Use DataRun.load"):
        cj.load(folder)


def test_saving_is_whole_hashed_and_refuses_other_folders(tmp_path):
    run = cj.fit(waves(), SequentialAutoencoder(StableLinear(2), 5, kl_scale=1.0), **QUICK)
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").write_text("all of it")
    with pytest.raises(FileExistsError, match="exists and holds no run"):
        run.save(full)
    with pytest.raises(FileExistsError, match="exists and holds no run"):
        cj.fit(waves(), cj.networks.GRU(3), out=full, **QUICK)
    bare = run.save(tmp_path / "bare", keep_recording=False)
    with pytest.raises(ValueError, match="`recording`: .* was saved without its recording"):
        cj.DataRun.load(bare)
    with pytest.raises(ValueError, match="`recording`: expected the one that the model in .* was fitted to"):
        cj.DataRun.load(bare, waves(41))
    assert same(cj.DataRun.load(bare, waves()), run)
    other = cj.fit(waves(), StableLinear(2), seed=5, **QUICK)
    with pytest.raises(FileExistsError, match="holds another run"):
        other.save(bare)
    other.save(bare, overwrite=True)
    assert same(cj.DataRun.load(bare), other)
    for name in ("recording.npz", "weights.safetensors", "metrics.json"):
        there = (bare / name).read_bytes()
        (bare / name).write_bytes(there[:-4] + b"0000")
        with pytest.raises(ValueError, match=f"{name}: its content is not what was saved"):
            cj.DataRun.load(bare)
        (bare / name).write_bytes(there)


def test_a_fit_that_diverges_says_so_and_keeps_its_best_weights(monkeypatch):
    import conjugacy.training.fitting as fitting

    real, calls = fitting._gradient_step, []
    monkeypatch.setattr(
        fitting, "_gradient_step", lambda *a: calls.append(0) or (np.nan if len(calls) > 4 else real(*a))
    )
    with pytest.warns(UserWarning, match="diverged at step 4"):
        run = cj.fit(waves(), cj.networks.GRU(5), **QUICK)
    assert run.metrics["stopped"] == "diverged" and all(bool(torch.isfinite(w).all()) for w in weights(run).values())


@pytest.mark.parametrize("model", [cj.networks.NODE(2, num_layers=1, layer_hidden_size=6), PiecewiseLinear(4)])
def test_a_fit_that_only_makes_things_worse_keeps_the_weights_it_began_with(model):
    wild = {**QUICK, "steps": 60, "learning_rate": 1e3, "clip": 1e12, "warmup": 0.1}
    with pytest.warns(UserWarning, match="diverged at step|no step of the fit of .* has improved"):
        run = cj.fit(waves(), model, **wild)
    begun = cj.fit(waves(), model, **{**QUICK, "steps": 1, "learning_rate": 1e-12})
    for a, b in zip(run.network.state_dict().values(), begun.network.state_dict().values()):
        torch.testing.assert_close(a, b)
    assert abs(run.metrics["co_bps"]) < 0.2


def test_held_out_spikes_and_test_trials_are_not_seen():
    r = waves()
    run = cj.fit(r, cj.networks.GRU(5), **QUICK)
    parts = [run.rows(p) for p in ("train", "val", "test")]
    assert sorted(np.concatenate(parts)) == list(range(40))
    values = r.counts.copy()
    values[parts[2]] = 5 - np.minimum(values[parts[2]], 5)  # test trials are other trials
    other = cj.fit(cj.Recording.from_counts(values, 0.01, held_out=r.held_out), cj.networks.GRU(5), **QUICK)
    assert same(run, other)
    seen = run.tensors(parts[0])[0]
    assert not seen[..., [6, 7]].any() and seen[..., :6].any()


def test_the_dynamics_of_a_model_are_taken_by_the_analyses():
    run = cj.fit(waves(), StableLinear(2), **QUICK)
    system = run.system()
    assert system.trajectories.dtype == torch.float64
    points = cj.fixed_points(run, n_inits=16, progress=False)
    assert len(points) == 1 and points.n_unstable[0] == 0


def test_linear_dynamics_are_stable_whatever_the_weights():
    model = StableLinear(6)
    model.init_model(1, 2)
    with torch.no_grad():
        for p in model.cell.parameters():
            p.normal_(std=3.0, generator=torch.Generator().manual_seed(0))
    assert torch.linalg.matrix_norm(model.double().cell.matrix(), 2) <= 1 + 1e-12


@pytest.mark.parametrize("n", [4, 5, 6, 7, 40])
def test_every_part_has_trials(n):
    run = cj.DataRun(waves(n), SequentialAutoencoder.small(), 0)
    parts = [run.rows(p) for p in ("train", "val", "test")]
    assert all(len(p) for p in parts) and sorted(np.concatenate(parts)) == list(range(n))


@pytest.mark.filterwarnings("ignore:.*no spikes in:UserWarning")
def test_scores_of_trials_of_unequal_lengths_without_inputs():
    rng = np.random.default_rng(0)
    r = cj.Recording.from_counts([rng.poisson(0.5, (t, 6)) for t in rng.integers(5, 20, 30)], 0.02, held_out=(5,))
    for model in (cj.networks.GRU(3), LFADS(cj.networks.GRU(3), 1, 2, 4, 3)):
        table = cj.fit(r, model, steps=2, progress=False).scores(n_resamples=10).set_index("score")
        assert table["value"].notna().all() and "rate_r2" not in table.index


def test_units_that_are_kept_apart_are_not_trained_on():
    r = waves()
    run = cj.fit(r, cj.networks.GRU(5), n_unseen=1, **QUICK)
    values = r.counts.copy()
    values[..., 7] = 1 - np.minimum(values[..., 7], 1)
    other = cj.fit(cj.Recording.from_counts(values, 0.01, held_out=r.held_out), cj.networks.GRU(5), n_unseen=1, **QUICK)
    first = cj.fit(r, cj.networks.GRU(5), n_unseen=1, **{**QUICK, "steps": 1}).network.readout.weight[7]
    assert torch.equal(run.network.readout.weight[7], first)  # nothing has moved it
    assert torch.equal(run.network.cell.weight_hh, other.network.cell.weight_hh)
    table = run.scores(shots=(2, 4), n_resamples=20).set_index("score")
    assert {"co_bps", "few_shot_2", "forward_bps", "rate_r2", "sample_distance"} <= set(table.index)
    assert {"smoothed rates", "linear dynamics", "ceiling", "null"} <= set(table.columns)
    assert not table.loc["few_shot_2", "note"] and table["value"].notna().all()


def test_forecasts_do_not_see_the_future():
    r = waves()
    run = cj.fit(r, cj.networks.GRU(5), **QUICK)
    values = r.counts.copy()
    values[:, 15:] += 2
    changed = cj.DataRun(cj.Recording.from_counts(values, 0.01, held_out=r.held_out), run.network, run.seed)
    a, b = (x.estimate(ahead=0.4) for x in (run, changed))
    assert a.n_seen == 15
    np.testing.assert_array_equal(a.forecast[~a.train, 15:], b.forecast[~a.train, 15:])
    assert (a.rates != b.rates).any()


def test_evaluation_is_in_double_precision_and_without_noise():
    run = cj.fit(waves(), SequentialAutoencoder(cj.networks.GRU(5), 6, dropout=0.5, kl_scale=1.0), **QUICK)
    a, b = run.infer(), run.infer()
    assert a.states.dtype == torch.float64 and torch.equal(a.log_rates, b.log_rates)


def test_piecewise_linear_dynamics_are_linear_within_an_orthant():
    model = PiecewiseLinear(3)
    model.init_model(2, 4, seed=2)
    model.double()
    g = torch.Generator().manual_seed(0)
    x, u = torch.randn(5, 3, generator=g, dtype=torch.float64), torch.randn(5, 2, generator=g, dtype=torch.float64)
    dx, du = model.cell.jacobian(u, x)
    by_hand = torch.func.vmap(torch.func.jacrev(lambda v, w: model.cell(w, v), argnums=(0, 1)))(x, u)
    torch.testing.assert_close((dx, du), tuple(by_hand))
    longer = torch.randn(5, 7, 2, generator=g, dtype=torch.float64)
    torch.testing.assert_close(sequence(model.cell, longer, x), plain_sequence(model.cell, longer, x))


def test_slips_get_one_line():
    with pytest.raises(ValueError, match="`recording`: expected units that models may see"):
        cj.fit(waves(held_out=range(8)), cj.networks.GRU(3), **QUICK)
    with pytest.raises(ValueError, match="expected at least 4 trials"):
        cj.fit(waves(3), cj.networks.GRU(3), **QUICK)
    with pytest.raises(ValueError, match="expected spike counts, got activity"):
        cj.fit(waves().sqrt(), cj.networks.GRU(3), **QUICK)
    with pytest.raises(TypeError, match="`model`: expected a Network"):
        cj.fit(waves(), "GRU", **QUICK)
    with pytest.warns(UserWarning, match="units never change"):
        silent = cj.Recording.from_counts(np.zeros((5, 4, 3)), 0.01)
    with pytest.raises(ValueError, match="`recording`: expected spikes, got none"):
        cj.fit(silent, cj.networks.GRU(3), **QUICK)
    with pytest.raises(ValueError, match="`recording`: expected trials of at least 2 bins, got 1 of 0.01 s"):
        cj.fit(cj.Recording.from_counts(1 + np.eye(5)[:, None, :3], 0.01), cj.networks.GRU(3), **QUICK)
    with pytest.raises(ValueError, match=r"`n_unseen`: expected an integer in \[0, 2\], got 3"):
        cj.fit(waves(), cj.networks.GRU(3), n_unseen=3, **QUICK)
    with pytest.raises(ValueError, match="NaN"):
        cj.Recording.from_counts(np.where(np.arange(4)[:, None] == 1, np.nan, np.ones((5, 4, 3))), 0.01)
    with pytest.raises(ValueError, match="`bin_size`"):
        cj.Recording.from_spikes([np.arange(0.1, 9, 0.1)], [1.0, 3.0], window=(0, 0.5), bin_size=2.0)


def test_more_states_than_units_and_silent_trials_are_said():
    with pytest.warns(UserWarning, match="9 states for 8 units"):
        cj.fit(waves(), cj.networks.GRU(9), **QUICK)
    values = waves().counts.copy()
    values[3] = 0
    with pytest.warns(UserWarning, match="no spikes in 1 of 40 trials"):
        cj.fit(cj.Recording.from_counts(values, 0.01), cj.networks.GRU(3), **QUICK)
