"""A system's step against its own trajectories: what does not make them is told, with the size of the error."""

import math
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

import conjugacy as cj
from conjugacy.analysis.epochs import Epochs
from conjugacy.dynamics._as_map import as_map
from conjugacy.system import System


def weights(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


W, V = weights(3, 3), weights(3, 2, seed=1)


def right(x, u):
    return torch.tanh(x @ W.T + u @ V.T)


def orbit(step=right, n_trials=5, n_steps=30, noise=0.0, n_units=3):
    u, x, states = weights(n_trials, n_steps, 2, seed=2), weights(n_trials, n_units, seed=3), []
    for t in range(n_steps):
        x = step(x, u[:, t]) + noise * weights(n_trials, n_units, seed=100 + t)
        states.append(x)
    return torch.stack(states, 1), u


X, U = orbit()
WRONG = {
    "transposed": (lambda x, u: torch.tanh(x @ W + u @ V.T), U),
    "one weight": (lambda x, u: torch.tanh(x @ (W * (1 + 0.5 * (W.max() == W))).T + u @ V.T), U),
    "no bias where there was one": (lambda x, u: torch.tanh(x @ W.T + u @ V.T + 0.3), U),
    "inputs a step late": (right, U.roll(1, 1)),
    "inputs a step early": (right, U.roll(-1, 1)),
    "no inputs": (lambda x, u: torch.tanh(x @ W.T), None),
    "stays": (lambda x, u: x, U),
    "NaN": (lambda x, u: x * torch.nan, U),
    "velocity": (lambda x, u: right(x, u) - x, U),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_step_that_does_not_make_the_trajectories_is_an_error(case):
    step, u = WRONG[case]
    with pytest.raises(ValueError, match=r"^`step`: expected x\[k, t\] = step.* 'net', got .* away") as caught:
        System.from_arrays("net", X, u, step=step)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"^`step`"):
        System("net", X, u, torch.full((5,), 30), step)
    assert System.from_arrays("net", X, u, step=step, step_tolerance=math.inf).step is step


def test_the_size_of_the_error_is_right():
    for shift in (0.5, 2.0):
        with pytest.raises(ValueError) as caught:
            System.from_arrays("net", X, U, step=lambda x, u, shift=shift: right(x, u) + shift)
        assert f"{shift * 3**0.5:.3g} away" in str(caught.value)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16])
def test_what_makes_them_passes_in_every_precision(kind):
    assert System.from_arrays("net", X.to(kind), U.to(kind), step=right).step is right
    ragged = [x[: 4 + k] for k, x in enumerate(X.to(kind))], [u[: 4 + k] for k, u in enumerate(U.to(kind))]
    assert System.from_arrays("net", *ragged, step=right).step is right


def test_single_steps_and_rest_are_no_reason_to_complain():
    assert System.from_arrays("one", X[:, :1], U[:, :1], step=lambda x, u: x).step is not None
    still = torch.ones(2, 9, 3)
    assert System.from_arrays("still", still, step=lambda x, u: x).step is not None
    with pytest.raises(ValueError, match=r"^`step`"):
        System.from_arrays("still", still, step=lambda x, u: x + 0.1)


def test_noise_is_allowed_for_where_it_is_announced():
    x, u = orbit(noise=0.3)
    with pytest.raises(ValueError, match=r"step_tolerance=math.inf"):
        System.from_arrays("net", x, u, step=right)
    assert System.from_arrays("net", x, u, step=right, step_tolerance=1).step is right
    with pytest.raises(ValueError, match=r"^`step_tolerance`: expected a number in"):
        System.from_arrays("net", x, u, step=right, step_tolerance=-1)


@pytest.mark.parametrize("step", [5, "step", nn.GRUCell, [right], torch.ones(3)])
def test_what_is_no_step_is_refused(step):
    with pytest.raises(TypeError, match=r"^`step`: expected a function step"):
        System.from_arrays("net", X, U, step=step)


def test_a_step_that_does_not_take_its_states_is_named():
    with pytest.raises(ValueError, match=r"^`step`: expected a step that takes the states \(batch, 3\) and inputs"):
        System.from_arrays("net", X, U, step=lambda x, u: x @ torch.ones(4, 4, dtype=torch.float64))
    # nothing is known of what drove it: nothing can be tried
    driven = lambda x, u: right(x, u[..., :2] + 0 * u[..., 1:2])  # noqa: E731
    assert System.from_arrays("net", X, step=driven).step is driven
    with pytest.raises(ValueError, match=r"^`trajectories`: expected at least one unit"):
        System.from_arrays("net", X[..., :0])


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
@pytest.mark.parametrize("form", ["cell", "sequence", "two layers", "state_dict"])
def test_torchs_modules_are_steps(kind, form):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = getattr(nn, kind)(2, 3, 2 if form == "two layers" else 1, dtype=torch.float64)
        cell = getattr(nn, f"{kind}Cell")(2, 3, dtype=torch.float64)
    layers = as_map(cell if form == "cell" else module)
    x, u = orbit(layers.step, n_units=layers.n_units)
    step = {"cell": cell, "state_dict": module.state_dict()}.get(form, module)
    if kind == "RNN" and form == "state_dict":
        with pytest.warns(UserWarning, match="does not tell the nonlinearity"):
            system = System.from_arrays("net", x, u, step=step)
    else:
        system = System.from_arrays("net", x, u, step=step)
    dynamics = as_map(system)
    assert dynamics.jacobian is not None and dynamics.n_units == x.shape[-1]
    torch.testing.assert_close(dynamics.step(x[:, 3], u[:, 4]), x[:, 4])
    with pytest.raises(ValueError, match=r"^`step`: .* away"):
        System.from_arrays("net", -x, u, step=module if form == "state_dict" else step)


def test_the_cell_beside_a_step_is_checked_too_and_alone_is_the_step():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cell, other = nn.GRUCell(2, 3).double(), nn.GRUCell(2, 3).double()
    step = lambda x, u: cell(u, x)  # noqa: E731
    x, u = orbit(lambda x, u: step(x, u).detach())
    assert as_map(System.from_arrays("net", x, u, step=step, cell=cell)).reduced is not None
    alone = System.from_arrays("net", x, u, cell=cell)
    torch.testing.assert_close(alone.step(x[:, 0], u[:, 1]), x[:, 1])
    with pytest.raises(ValueError, match=r"^`cell`: .* away"):
        System.from_arrays("net", x, u, step=step, cell=other)
    with pytest.raises(TypeError, match=r"^`cell`: expected a torch.nn.Module"):
        System.from_arrays("net", x, u, cell=5)
    with pytest.raises(ValueError, match=r"^`order`: expected None without a `step`"):
        System.from_arrays("net", x, u, order="input, state")


def test_systems_of_runs_pass_and_cost_little(small_runs):
    for run in small_runs:
        system = run.system()
        began = time.process_time()
        for _ in range(20):
            system._transitions().error(system.step)
        assert (time.process_time() - began) / 20 < 0.05
        assert system.step == system.step and system.step_tolerance == 0.05


def test_an_epoch_in_closed_loop_has_the_inputs_of_its_network(monkeypatch):
    task = cj.tasks.RandomTarget(max_ep_duration=0.8)
    run = cj.train(task, cj.networks.GRU(4), seed=0, steps=1, progress=False)
    analysis = cj.Analysis(run)
    trials = analysis.trials("val")
    edges = torch.tensor([[3, 20]]).expand(len(trials), 2)
    monkeypatch.setattr(analysis, "trials", lambda phase: replace(trials, epochs={"reach": edges}))
    epochs = Epochs(analysis, "val")
    system, whole = epochs.system(None, "reach"), run.system(trials)
    assert system.inputs.shape[-1] == run.network.input_size > trials.inputs.shape[-1]
    torch.testing.assert_close(system.inputs, whole.inputs[:, 3:20])
    after = system.step(system.trajectories[:, 0].double(), system.inputs[:, 1].double())
    torch.testing.assert_close(after.float(), system.trajectories[:, 1], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match=r"^`analysis`: expected a network whose inputs are held"):
        epochs.fixed_points(next(iter(epochs.conditions)), "reach")
