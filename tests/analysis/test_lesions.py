"""Lesions, kicks and Gramians, on networks made by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.dynamics import gramians, gramians_along, perturb, random_directions
from conjugacy.dynamics._gramians import summed
from conjugacy.networks import GRU, LSTM, LowRankRNN
from conjugacy.networks.lesioned import Lesioned
from conjugacy.tasks import NBitFlipFlop

D = 24


@pytest.fixture(scope="module")
def by_hand():
    """A flip-flop of one bit that computes along one direction m: x' = x + a (-x + m (1.5 tanh(m x) + 4 u)) nearly."""
    task = NBitFlipFlop(n=1, n_timesteps=60, switch_prob=0.05, noise=0.05)
    network = LowRankRNN(D, rank=1, alpha=0.5)
    network.init_model(1, 1)
    m = torch.randn(D, generator=torch.Generator().manual_seed(4)).sign()
    with torch.no_grad():
        network.cell.m[:] = m[:, None]
        network.cell.n[:] = 2.0 * m[:, None]
        network.cell.weight_ih[:] = 6.0 * m[:, None]
        network.cell.bias.zero_()
        # at rest |x| = 2 tanh(|x|) = 1.915, and the mean of m tanh(x) is +-0.957
        network.readout[1].weight[:] = m[None] / (2 * 0.957 * D)
        network.readout[1].bias.fill_(0.5)
        network.latent_ics[:] = -1.915 * m
    run = cj.train(task, network, steps=1, batch_size=4, learning_rate=1e-12, progress=False)
    assert run.metrics["test_accuracy"] > 0.97
    return run, m.double()


def test_the_direction_it_computes_with_and_all_others(by_hand):
    run, m = by_hand
    others = torch.linalg.svd(m[None])[2][1:]
    lesions = {"its direction": {"directions": m}, "all others": {"directions": others}, "one unit": {"units": [3]}}
    effects = cj.lesion_effects(run, lesions, measures="cka", skeleton=True, n_random=19, n_trials=20)
    table = effects.table
    assert table.loc["its direction", "drop"] > 0.3 and table.loc["its direction", "p"] == pytest.approx(1 / 20)
    assert abs(table.loc["all others", "drop"]) < 0.01 and table.loc["all others", "cka"] > 0.999
    assert table.loc["all others", "p"] > 0.5  # a random subspace of D - 1 dimensions takes its direction away
    assert table.loc["its direction", "memories"] == 1 and table.loc["all others", "memories"] == 2
    assert table["size"].tolist() == [1, D - 1, 1] and abs(table.loc["one unit", "drop"]) < 0.05
    assert effects.plot().axes[0].get_xlabel().startswith("drop of accuracy")


def test_random_lesions_are_calibrated(by_hand):
    run, _ = by_hand
    rng = np.random.default_rng(0)
    # r2 moves with every lesion, so that there are no ties
    lesions = {f"{k}": {"directions": rng.standard_normal((8, D))} for k in range(24)}
    p = cj.lesion_effects(run, lesions, score="r2", n_random=9, n_trials=20).table["p"].to_numpy()
    assert abs(p.mean() - 0.55) < 4 * np.sqrt(0.0825 / 24)  # of ranks 1 .. 10 over 10


def test_lesioned_networks_are_what_they_say(small_runs):
    gru, node = small_runs
    trials = gru.trials("val")
    held = gru.lesion(units=[2, 5], to=0.25).rollout(trials).latents[..., [2, 5]]
    torch.testing.assert_close(held, torch.full_like(held, 0.25))
    mask = torch.zeros(7, dtype=torch.bool)
    mask[[2, 5]] = True
    a, b = gru.lesion(units=mask), gru.lesion(cluster=(["a", "a", "b", "a", "a", "b", "a"], "b"))
    torch.testing.assert_close(a.rollout(trials).latents, b.rollout(trials).latents)
    v = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]])
    out = node.lesion(directions=v, to="mean").rollout(trials).latents
    mean = node.rollout("val").latents.reshape(-1, 3).mean(0)
    torch.testing.assert_close(out @ v.T, (mean @ v.T).expand(*out.shape[:2], 2), atol=1e-5, rtol=1e-5)
    system = node.lesion(directions=v).system(trials)  # checks that step makes the trajectories
    points = cj.fixed_points(system, n_inits=32, progress=False)
    np.testing.assert_allclose(points.x @ v.double().numpy().T, 0, atol=1e-9)
    task = NBitFlipFlop(n=2, n_timesteps=30)
    lstm = cj.train(task, LSTM(4), steps=1, batch_size=4, progress=False)
    assert bool((lstm.lesion(units=[1]).rollout("val").latents[..., [1, 5]] == 0).all())


def test_a_lesioned_run_can_be_saved(small_runs, tmp_path):
    made = small_runs[0].lesion(units=[1])
    made.save(tmp_path / "r")
    loaded = cj.load(tmp_path / "r", classes=[Lesioned])
    torch.testing.assert_close(loaded.rollout().outputs, made.rollout().outputs)


def test_cut_weights_carry_nothing(small_runs):
    gru = small_runs[0]
    cut = gru.cut(sources=[3], targets=[0, 1])
    g = torch.Generator().manual_seed(0)
    x, u = torch.randn(5, 7, generator=g), torch.randn(5, 2, generator=g)
    moved = x.clone()
    moved[:, 3] += 1
    change = cut.network.step(moved, u) - cut.network.step(x, u)
    assert bool((change[:, :2] == 0).all()) and bool((change[:, 2:].abs() > 0).any())
    assert bool((gru.network.step(moved, u) - gru.network.step(x, u))[:, :2].abs().max() > 0)
    with pytest.raises(ValueError, match="`run`: expected a network with weights between units, got NODE"):
        small_runs[1].cut(sources=[0])
    with pytest.raises(ValueError, match="`sources`, `targets`: expected units for one"):
        gru.cut()


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "`units`, `directions`, `cluster`: expected one of them, got none."),
        ({"units": [0], "directions": [1.0] * 7}, "expected one of them, got units, directions."),
        ({"units": range(7)}, "`units`: expected some of the 7 units, got all: nothing would be left."),
        ({"units": [7]}, "`units[0]`: expected an integer in [0, 6], got 7."),
        ({"units": "all"}, "`units`: expected a list of units"),
        ({"directions": np.eye(7)}, "`directions`: expected fewer than 7 directions"),
        ({"directions": np.zeros(7)}, "`directions`: expected directions that are not zero"),
        ({"directions": np.ones(6)}, "`directions`: expected shape (direction, state=7)"),
        ({"cluster": ([0] * 6, 0)}, "`cluster`: expected a label for each of the 7 units, got 6."),
        ({"cluster": ([0] * 7, 2)}, "`cluster`: expected one of the labels [0], got 2."),
        ({"units": [0], "to": "max"}, "`to`: expected 'zero', 'mean' or a state, got 'max'."),
    ],
)
def test_lesions_that_cannot_be_get_one_line(small_runs, given, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        small_runs[0].lesion(**given)


def linear(a, b, c, steps=12):
    a, b, c = (torch.as_tensor(v, dtype=torch.float64) for v in (a, b, c))
    u = torch.randn(2, steps, b.shape[1], generator=torch.Generator().manual_seed(1)).double()
    x, states = torch.zeros(2, len(a)).double(), []
    for t in range(steps):
        x = x @ a.T + u[:, t] @ b.T
        states.append(x)
    step = lambda x, u: x @ a.T + u @ b.T  # noqa: E731
    return cj.System.from_arrays("linear", torch.stack(states, 1), u, step=step, readout=lambda x: x @ c.T)


def test_gramians_are_those_of_the_linear_system_in_closed_form():
    poles = np.array([0.9, -0.5, 0.2, 0.99])
    rng = np.random.default_rng(0)
    b, c = rng.standard_normal((4, 2)), rng.standard_normal((3, 4))
    system = linear(np.diag(poles), b, c)
    found = gramians(cj.fixed_points(system, n_inits=16, progress=False))
    closed = 1 / (1 - np.outer(poles, poles))
    np.testing.assert_allclose(found.controllability[0], (b @ b.T) * closed, atol=1e-10, rtol=1e-12)
    np.testing.assert_allclose(found.observability[0], (c.T @ c) * closed, atol=1e-10, rtol=1e-12)
    along = gramians_along(system)
    finite = (1 - np.outer(poles, poles) ** 11) / (1 - np.outer(poles, poles))
    np.testing.assert_allclose(along.controllability[1], (b @ b.T) * finite, atol=1e-10)
    np.testing.assert_allclose(
        along.observability[0],
        (c.T @ c) * (1 - np.outer(poles, poles) ** 12) / (1 - np.outer(poles, poles)),
        atol=1e-10,
    )
    few = gramians(cj.fixed_points(system, n_inits=16, progress=False), n_steps=11)
    np.testing.assert_allclose(few.controllability[0], (b @ b.T) * finite, atol=1e-10)
    assert np.isnan(summed(np.diag([1.1, 0.2]), np.ones((2, 1)))).all()
    top = few.directions("observability")[0, 0]
    value = top @ few.observability[0] @ top
    assert value == pytest.approx(np.linalg.eigvalsh(few.observability[0])[-1])


def test_kicks_in_a_linear_system_are_powers_of_its_matrix():
    a = np.array([[0.9, 0.3], [0.0, 0.5]])
    system = linear(a, np.eye(2), [[1.0, 0.0]])
    found = perturb(system, [[0.0, 2.0], [1.0, 1.0]], 0.1, at=3)
    for k in (0, 1, 5):
        expected = 0.1 * np.linalg.matrix_power(a, k) @ [0.0, 1.0]
        np.testing.assert_allclose((found.trajectories - found.unperturbed)[0, 1, k], expected, atol=1e-12)
    np.testing.assert_allclose(found.unperturbed, system.trajectories[:, 3:], atol=1e-12)
    np.testing.assert_allclose(found.output_change[0, 0, 1], 0.03, atol=1e-12)
    assert found.table()["at once"].tolist() == pytest.approx([1, 1])
    held = perturb(system, [1.0, 0.0], 0.1, at=3, n_held=8)
    np.testing.assert_allclose(held.distance[0, 0, 7], 0.1 * (1 - 0.9**8) / 0.1, atol=1e-12)
    assert np.allclose(np.linalg.norm(random_directions(5, 3), axis=1), 1)
    for given, message in (
        ({"size": 0}, "`size`: expected a number in (0"),
        ({"at": 11}, "`at`: expected an integer in [0, 10], got 11."),
        ({"directions": [0.0, 0.0]}, "`directions`: expected at least one direction"),
        ({"n_held": 9}, "`n_held`: expected an integer in [1, 8]"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            perturb(system, **{"directions": [1.0, 0.0], "size": 1.0, "at": 3, **given})


def test_closed_loops_are_lesioned_and_pushed(tmp_path):
    task = cj.tasks.RandomTarget(max_ep_duration=0.8)
    run = cj.train(task, GRU(6), steps=1, batch_size=4, progress=False)
    silent = run.lesion(units=[0, 1])
    assert bool((silent.rollout("val").latents[..., :2] == 0).all())
    system = run.coupled_system(run.trials("val")[:3])
    hand = torch.zeros(system.n_units)
    arm = next(s for name, s in system.parts.items() if name != "network")
    hand[arm.start] = 1.0
    found = perturb(system, hand, 1e-3, at=2)
    assert found.distance.shape[:2] == (1, 3) and 0 < found.table()["greatest"][0] < np.inf
    assert found.output_change[0, :, 1].min() > 0
    assert replace(run).lesion(units=[0]).name == "GRU-6 lesioned"
