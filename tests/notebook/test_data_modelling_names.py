"""The data-modelling half of CtDB under its names: a simulated recording, a fitted model, its analysis."""

import numpy as np
import pytest
import torch

import conjugacy as cj
from ctd.comparison.analysis.dd.dd import Analysis_DD
from ctd.task_modeling.simulator.neural_simulator import NeuralDataSimulator


@pytest.fixture(scope="module")
def truth():
    return cj.train(cj.tasks.NBitFlipFlop(n=1, n_timesteps=40), cj.networks.GRU(5), steps=3, progress=False)


def simulated(truth, **dispersion):
    neurons = {"n_neurons_heldin": 8, "n_neurons_heldout": 3}
    noise = {"obs_noise": "pseudoPoisson", "dispersion": 1, **dispersion}
    return NeuralDataSimulator(neurons, {"rect_func": "exp", "fr_scaling": 2}, noise).simulate_neural_data(truth, 30)


def test_a_simulation_has_the_rates_of_its_settings(truth):
    r = simulated(truth)
    assert r.n_units == 11 and r.held_out == (8, 9, 10) and r.n_trials == 30
    assert r.truth.rates.mean() * r.bin_size == pytest.approx(np.exp(1 / 8), rel=1e-9)
    assert np.log(r.truth.rates).std((0, 1)) == pytest.approx(0.5, rel=1e-6)
    rough = simulated(truth, dispersion=3)
    off = (rough.counts - rough.truth.rates * rough.bin_size) ** 2
    assert off.mean() / rough.counts.mean() == pytest.approx(3, rel=0.15)
    cut = NeuralDataSimulator({"n_neurons_heldin": 4, "n_neurons_heldout": 1}, trim_inds=[5, -1])
    assert cut.simulate_neural_data(truth, 6).values.shape[1] == 34
    with pytest.raises(ValueError, match="`dispersion`: expected a number in"):
        NeuralDataSimulator(noise_dict={"dispersion": 0.5})
    with pytest.raises(TypeError, match="fr_scale"):
        NeuralDataSimulator(embed_dict={"fr_scale": 2})


def test_an_analysis_of_a_fitted_model(truth, tmp_path):
    r = simulated(truth)
    cj.fit(r, cj.networks.NODE(2, num_layers=1, layer_hidden_size=6), steps=3, progress=False, out=tmp_path / "dd")
    a = Analysis_DD.create("node", tmp_path / "dd", "SAE")
    n = len(a.run.rows("test"))
    assert a.get_latents().shape == (30, 40, 2) and a.get_rates("test").shape == (n, 40, 11)
    assert torch.equal(a.get_spiking(), torch.from_numpy(r.counts))
    assert torch.allclose(a.get_true_rates(), torch.from_numpy(r.truth.rates * r.bin_size))
    assert not a.get_model_inputs()[0][..., 8:].any() and a.get_trial_lens().tolist() == [40] * 30
    assert len(a.compute_FPs(n_inits=32)) >= 0
    assert set(a.compute_metrics()) == {"rate_r2", "state_r2", "co-bps", "cycle_con"}
    assert isinstance(a.get_dynamics_model(), torch.nn.Module)
    with pytest.raises(ValueError, match="`run`: expected a model that infers inputs"):
        a.get_inferred_inputs()
    with pytest.raises(ValueError, match="`model_type`: expected one of 'SAE', 'LFADS'"):
        Analysis_DD.create("other", tmp_path / "dd", "External")
