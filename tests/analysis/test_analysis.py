import numpy as np
import pytest
import torch

import conjugacy as cj


@pytest.fixture(scope="module")
def analyses(small_runs):
    return [cj.Analysis(run) for run in small_runs]


def test_phases_are_parts_of_one_set_and_test_is_another(analyses):
    for a in analyses:
        whole, train, val = (a.latents(p) for p in ("all", "train", "val"))
        assert [len(x) for x in (whole, train, val)] == [1000, 800, 200]
        assert torch.equal(whole, torch.cat([train, val]))
        assert torch.equal(a.inputs("val"), a.inputs("all")[800:])
        assert len(a.latents("test")) == 500
        assert not torch.equal(a.inputs("test")[:200], a.inputs("val"))
        assert a.outputs("val").shape == a.targets("val").shape == (200, 40, 2)


def test_everything_is_computed_once_without_gradients(analyses, monkeypatch):
    a = analyses[0]
    first = a.latents("all")
    monkeypatch.setattr(cj.Run, "rollout", lambda *_: pytest.fail("computed again"))
    assert a.latents("all") is first and not first.requires_grad
    assert a.latents("val").shape[0] == 200


def test_principal_components_are_those_of_the_training_latents(analyses):
    for a in analyses:
        train = a.latents("train").reshape(-1, a.latents().shape[-1]).double().numpy()
        values = np.linalg.eigvalsh(np.cov(train.T))[::-1]
        share = a.explained_variance(10)
        assert len(share) == min(10, train.shape[1])
        np.testing.assert_allclose(share, (values / values.sum())[: len(share)], rtol=1e-8)
        pcs = a.pcs("train", 2)
        np.testing.assert_allclose(pcs.reshape(-1, 2).var(0, ddof=1), values[:2], rtol=1e-6)
        np.testing.assert_allclose(pcs.mean((0, 1)), 0, atol=1e-8)


def test_figures_show_what_they_say(analyses):
    for a in analyses:
        fig = a.plot_trial_io(num_trials=2)
        assert len(fig.axes) == 8
        assert [ax.get_ylabel() for ax in fig.axes[::2]] == ["state (PCs, a.u.)", "outputs", "targets", "inputs"]
        np.testing.assert_allclose(fig.axes[2].lines[1].get_ydata(), a.outputs("val")[0, :, 1])
        bars = a.plot_scree(10).axes[0].patches
        np.testing.assert_allclose([b.get_height() for b in bars], 100 * a.explained_variance(10))
        paths = a.plot_latents_3d(num_trials=4).axes[0]
        assert paths.name == "3d" and "%" in paths.get_xlabel()
    both = cj.plots.latents_3d([analyses[0], analyses[1].run], num_trials=3)
    assert [ax.get_title() for ax in both.axes] == ["GRU-7", "NODE-3"]


@pytest.mark.parametrize("size", [1, 2])
def test_figures_of_networks_with_few_latents(small_task, size):
    run = cj.train(small_task, cj.networks.VanillaRNN(size), steps=1, progress=False)
    a = cj.Analysis(run)
    for fig in (a.plot_trial_io(1), a.plot_scree(), a.plot_latents_3d(2)):
        fig.canvas.draw()
    axes = a.plot_latents_3d(2).axes[0]
    assert axes.name == "rectilinear"
    assert axes.get_xlabel().startswith("time (s)" if size == 1 else "PC 1 (")


def test_bad_phases_and_counts_are_named(analyses):
    with pytest.raises(
        ValueError, match=r"^`phase`: expected one of 'all', 'train', 'val', 'test', got 'valid'\. Did you"
    ):
        analyses[0].latents("valid")
    with pytest.raises(
        ValueError, match=r"^`num_trials`: expected an integer in \[1, 200\], got 201\. Phase 'val' has 200"
    ):
        analyses[0].plot_trial_io(201)
