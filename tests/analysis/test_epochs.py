import gymnasium
import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.plots import branches, shared_subspaces, trajectories_by_epoch
from conjugacy.tasks.task import validate
from conjugacy.trials import Trials


class Remember:
    """Hold the sign of a short stimulus (rule 0) or its negative (rule 1); the third condition has no memory epoch."""

    name, n_timesteps, dt = "Remember", 30, 0.02
    condition_names = ("pro", "anti", "now")
    input_labels, output_labels = ["stimulus", "rule 0", "rule 1", "rule 2"], ["answer"]

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(-9, 9, (4,))
        self.context_inputs = gymnasium.spaces.Box(-1, 1, (0,))
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def trials(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        rule = torch.arange(n) % 3
        sign = 1.0 - 2 * torch.randint(2, (n,), generator=g)
        stimulus_end = torch.randint(5, 9, (n,), generator=g)
        memory_end = torch.where(rule < 2, torch.randint(15, 20, (n,), generator=g), stimulus_end)
        end = memory_end + 5
        t = torch.arange(30)
        u = torch.zeros(n, 30, 4)
        u[..., 0] = sign[:, None] * ((t >= 3) & (t < stimulus_end[:, None]))
        u[torch.arange(n), :, 1 + rule] = 1.0
        alive = t < end[:, None]
        u *= alive[..., None]
        answer = sign * torch.tensor([1.0, -1.0, 1.0])[rule]
        target = answer[:, None] * (alive & (t >= memory_end[:, None]))
        pairs = {"context": (0 * end, 0 * end + 3), "stimulus": (0 * end + 3, stimulus_end)}
        pairs |= {"memory": (stimulus_end, memory_end), "response": (memory_end, end)}
        return Trials.from_tensors(
            u + 0.1 * torch.randn(u.shape, generator=g) * alive[..., None],
            target[..., None],
            true_inputs=u,
            mask=alive,
            conditions=rule,
            epochs={name: torch.stack(edges, 1) for name, edges in pairs.items()},
        )

    def loss(self, rollout, trials):
        return ((rollout.outputs - trials.targets).square() * trials.mask).mean()

    def success_rate(self, outputs, trials):
        right = torch.sign(outputs) == torch.sign(trials.targets)
        return {"accuracy": float(right[trials.mask & (trials.targets != 0)].double().mean())}


@pytest.fixture(scope="module")
def analysis():
    return cj.Analysis(cj.train(Remember(), cj.networks.GRU(6), seed=0, steps=150, batch_size=32, progress=False))


@pytest.fixture(scope="module")
def epochs(analysis):
    return analysis.epochs()


def test_the_task_of_these_tests_is_one():
    validate(Remember())


def test_what_occurs_where(epochs):
    assert epochs.names == ("context", "stimulus", "memory", "response")
    assert epochs.conditions == {"pro": 0, "anti": 1, "now": 2}
    table = epochs.table()
    assert table["trials"].sum() == 200
    assert np.isnan(table.loc["now", "memory"]) and table.loc["pro", "context"] == pytest.approx(3 * 0.02)
    with pytest.raises(ValueError, match="expected one that occurs in condition 'now' in phase 'val', got 'memory'"):
        epochs.states("now", "memory")
    with pytest.raises(ValueError, match="Did you mean 'memory'"):
        epochs.states("pro", "memmory")
    with pytest.raises(ValueError, match="`condition`: expected one of 'pro'"):
        epochs.states("contra", "memory")


def test_systems_and_states_are_the_steps_of_the_epoch(epochs):
    system = epochs.system("anti", "memory")
    rows = epochs.rows("anti", "memory")
    latents = epochs.analysis.latents("val")
    for k in (0, 7):
        start, stop = epochs.trials.epochs["memory"][rows[k]].tolist()
        assert system.lengths[k] == stop - start
        assert torch.equal(system.trajectories[k, : stop - start], latents[rows[k], start:stop])
        assert torch.equal(system.inputs[k, : stop - start], epochs.trials.inputs[rows[k], start:stop])
    assert torch.equal(system.states(), epochs.states("anti", "memory"))
    assert len(epochs.rows(None, "memory")) == len(rows) + len(epochs.rows("pro", "memory"))
    # ragged trials: the whole run knows how long they are
    assert torch.equal(epochs.analysis.system("val").lengths, epochs.trials.epochs["response"][:, 1])


def test_held_inputs(epochs):
    assert epochs.inputs("anti", "memory").tolist() == [0, 0, 1, 0]
    with pytest.raises(ValueError, match="differ between trials"):
        epochs.inputs("anti", "stimulus")
    assert epochs.inputs("anti", "stimulus", trial=0)[0].abs() == 1
    with pytest.raises(ValueError, match="`trial`: expected an integer in"):
        epochs.inputs("anti", "stimulus", trial=1000)


def test_fixed_points_of_an_epoch_are_those_at_its_input(epochs):
    here = epochs.fixed_points("pro", "memory", n_inits=128, progress=False)
    there = cj.fixed_points(epochs.analysis.run, inputs=[0.0, 1.0, 0.0, 0.0], n_inits=128, progress=False)
    assert len(here[here.fixed]) and here.counts == there.counts
    np.testing.assert_allclose(np.sort(here.x[here.fixed], 0), np.sort(there.x[there.fixed], 0), atol=1e-9, rtol=0)


def test_a_path_from_one_rule_to_another_ends_in_their_fixed_points(epochs):
    path = epochs.path(("pro", "memory"), ("anti", "memory"), n_nodes=5, n_inits=64, progress=False)
    assert torch.equal(path.inputs[0], epochs.inputs("pro", "memory").double())
    for node, name in ((0, "pro"), (-1, "anti")):
        alone = epochs.fixed_points(name, "memory", n_inits=256, progress=False)
        assert path.points[node].counts == alone.counts
    ax = branches(path, ("pro", "anti")).axes[0]
    assert ax.get_xlabel() == "held input, from pro to anti (share of the way)"
    markers = sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() != "None")
    assert markers == sum(int(p.fixed.sum()) for p in path.points)


def test_shared_subspaces_are_the_alignment_index(epochs):
    shares = epochs.shared_subspaces("memory", 0.8)
    assert list(shares.index) == ["pro", "anti"]
    assert np.diag(shares) == pytest.approx(1)
    assert (shares.to_numpy() <= 1 + 1e-12).all() and (shares.to_numpy() >= 0).all()
    a, b = (epochs.states(name, "memory").double().numpy() for name in ("pro", "anti"))
    _, s, vt = np.linalg.svd(b - b.mean(0), full_matrices=False)
    k = int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), 0.8)) + 1
    own = np.linalg.svd(a - a.mean(0), compute_uv=False)
    expected = ((a - a.mean(0)) @ vt[:k].T).var(0).sum() / ((own**2)[:k].sum() / len(a))
    assert shares.loc["pro", "anti"] == pytest.approx(expected)
    assert list(epochs.shared_subspaces("response").columns) == ["pro", "anti", "now"]


def test_figures_have_a_panel_a_condition_and_a_colour_an_epoch(epochs):
    fig = trajectories_by_epoch(epochs, num_trials=3)
    assert [ax.get_title() for ax in fig.axes] == ["pro", "anti", "now"]
    assert [t.get_text() for t in fig.legends[0].get_texts()] == ["context", "stimulus", "memory", "response"]
    assert len(fig.axes[0].lines) == 12 and len(fig.axes[2].lines) == 9
    assert len(trajectories_by_epoch(epochs, ["anti"], 2).axes) == 1
    image = shared_subspaces(epochs, "memory").axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), epochs.shared_subspaces("memory"))


def test_a_task_without_epochs_says_so(small_runs):
    with pytest.raises(ValueError, match="expected trials with epochs, got Analysis of 2BFF"):
        cj.Analysis(small_runs[0]).epochs()
