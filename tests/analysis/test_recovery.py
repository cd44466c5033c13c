"""recovery(): a truth in other coordinates is recovered in every respect, and what a model lacks is named."""

import numpy as np
import pytest
import torch

import conjugacy as cj

N, T, DT = 40, 60, 0.02
TURN = torch.tensor([[1.0, 0.6], [-0.4, 1.2]], dtype=torch.float64)
SHIFT = torch.tensor([0.3, -0.2], dtype=torch.float64)


def wells(x, u):
    """Two bits, each a double well: 4 memories, 4 saddles between them and a source."""
    return x + 0.3 * (x - x**3) / (1 + x**2) + u


def one_well(x, u):
    """The second bit is forgotten."""
    return x + torch.stack([0.3 * (x[..., 0] - x[..., 0] ** 3) / (1 + x[..., 0] ** 2), -0.3 * x[..., 1]], -1) + u


def slow_wells(x, u):
    """The same skeleton, three times slower."""
    return x + 0.1 * (x - x**3) / (1 + x**2) + u


def turned(step):
    back = torch.linalg.inv(TURN)
    return lambda y, u: step((y - SHIFT) @ back.T, u) @ TURN.T + SHIFT


def orbits(step, start, u):
    x, out = start, []
    for k in range(u.shape[1]):
        x = step(x, u[:, k])
        out.append(x)
    return torch.stack(out, 1)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    u = torch.from_numpy(np.where(rng.random((N, T, 2)) < 0.04, rng.choice([-1.2, 1.2], (N, T, 2)), 0.0))
    start = torch.from_numpy(rng.choice([-1.0, 1.0], (N, 2)))
    x = orbits(wells, start, u)
    rates = 20 * np.exp(0.5 * x.numpy() @ rng.standard_normal((2, 6)))
    truth = cj.recordings.Truth(x.numpy(), rates, u.numpy())
    recording = cj.Recording.from_counts(rng.poisson(rates * DT), DT, inputs=u.numpy(), truth=truth)
    system = cj.System("wells", x, u, torch.full((N,), T), step=wells, dt=DT)
    return system, recording, start, u


def model(step, world, name):
    _, _, start, u = world
    y = orbits(turned(step), start @ TURN.T + SHIFT, u)
    return cj.System(name, y, u, torch.full((N,), T), step=turned(step), dt=DT)


def asked(step, world, name, **options):
    return cj.recovery(model(step, world, name), world[0], world[1], n_inits=128, **options)


def test_the_truth_in_other_coordinates_is_recovered(world):
    found = asked(wells, world, "turned")
    answers = {q: a[0] for q, a in found.answers.items()}
    assert answers.pop("inputs") == "undecided"
    assert set(answers.values()) == {"yes"}, found
    assert found.share() == 1 and sorted(found.matched) == [0, 1, 2, 3]
    table = found.table().set_index("question")
    assert table.loc["memories", "model"] == table.loc["memories", "truth"] == "4"
    assert "4 of 4 found" in table.loc["memories", "evidence"]
    assert "turned" in repr(found)


def test_a_bit_that_is_forgotten_is_missed(world):
    found = asked(one_well, world, "one bit", true_points=cj.fixed_points(world[0], n_inits=128, progress=False))
    answers = {q: a[0] for q, a in found.answers.items()}
    for question in ("memories", "saddles", "edges", "states", "perturbed"):
        assert answers[question] == "no", found
    assert (found.matched >= 0).sum() <= 2


def test_other_speeds_are_seen_in_time_constants_alone(world):
    found = asked(slow_wells, world, "slow")
    answers = {q: a[0] for q, a in found.answers.items()}
    assert answers["saddles"] == answers["edges"] == "yes"
    assert answers["time constants"] == "no" and answers["exponents"] == "no"


def test_slips_get_one_line(world):
    system, recording, _, _ = world
    bare = cj.Recording.from_counts(recording.counts, DT)
    with pytest.raises(ValueError, match="`recording`: expected a simulated one"):
        cj.recovery(system, system, bare)
    with pytest.raises(TypeError, match="`recording`: expected a Recording, got None"):
        cj.recovery(system, system)
    without = cj.System("arrays", system.trajectories, system.inputs, system.lengths)
    with pytest.raises(ValueError, match="`model`: expected a system with a step, got 'arrays' without"):
        cj.recovery(without, system, recording)
    with pytest.raises(TypeError, match="`model`: expected a DataRun or System"):
        cj.recovery("NODE", system, recording)


@pytest.mark.filterwarnings("ignore:.*states for.*units:UserWarning")
def test_a_fitted_model_is_asked_with_the_network_that_was_recorded():
    task = cj.tasks.NBitFlipFlop(n=1, n_timesteps=30)
    truth = cj.train(task, cj.networks.GRU(4), steps=2, batch_size=4, progress=False)
    recording = cj.simulate_spikes(truth, 8, 30, n_held_out=2, mean_rate=30)
    run = cj.fit(recording, cj.networks.GRU(3), steps=3, progress=False)
    found = cj.recovery(run, truth, n_inits=32, n_kicks=20)
    assert {"memories", "states", "inputs"} <= set(found.answers)
    other = cj.train(task, cj.networks.GRU(5), steps=1, batch_size=4, progress=False)
    with pytest.raises(ValueError, match="`truth`: expected the run that was recorded, with 4 states"):
        cj.recovery(run, other, n_inits=32)
