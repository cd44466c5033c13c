import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from conjugacy.dynamics._as_map import as_input, as_map
from conjugacy.dynamics.jacobian import _row_by_row, _vectorised, autodiff_jacobian, chunks
from conjugacy.system import System

from .known_systems import cell, lorenz, states, van_der_pol

CELLS = {
    "gru": lambda **k: cell(nn.GRUCell, 3, 5, gain=2.0, **k),
    "tanh": lambda **k: cell(nn.RNNCell, 3, 7, gain=2.0, **k),
    "relu": lambda **k: cell(nn.RNNCell, 2, 7, gain=2.0, nonlinearity="relu", **k),
    "lstm": lambda **k: cell(nn.LSTMCell, 3, 5, gain=2.0, **k),
}


def call(made, x, u):
    """torch's own cell on states, an LSTM's being [h, c]."""
    if isinstance(made, nn.LSTMCell):
        return torch.cat(made(u, x.chunk(2, -1)), -1)
    return made(u, x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_closed_forms_equal_torch_and_autodiff(name, bias):
    made = CELLS[name](bias=bias)
    dynamics = as_map(made)
    x, u = states(11, dynamics.n_units, 1), states(11, made.input_size, 2)
    torch.testing.assert_close(dynamics.step(x, u), call(made, x, u).detach(), rtol=1e-13, atol=1e-13)
    dx, du = dynamics.jacobians(x, u)
    ref_x, ref_u = _row_by_row(lambda x, u: call(made, x, u), x, u)
    torch.testing.assert_close(dx, ref_x, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(du, ref_u, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_reduced_equation_has_the_same_zeros_and_an_exact_jacobian(name):
    dynamics = as_map(CELLS[name]())
    reduced = dynamics.reduced
    y, u = states(9, 5, 3), states(9, 3, 4)
    ref = _row_by_row(reduced.residual, y, u)[0]
    torch.testing.assert_close(reduced.jacobian(y, u), ref, rtol=1e-10, atol=1e-11)
    held = u[:1].expand(9, -1)
    for _ in range(40):
        y = y - torch.linalg.solve(reduced.jacobian(y, held), reduced.residual(y, held))
    x = reduced.lift(y, held)
    zeros = reduced.residual(y, held).norm(dim=-1) < 1e-12
    assert zeros.any()
    assert float(dynamics.residual(x, held)[zeros].norm(dim=-1).max()) < 1e-11
    torch.testing.assert_close(reduced.project(x), y)


@pytest.mark.parametrize("name", ["gru", "tanh", "lstm"])
def test_box_is_mapped_into_itself(name):
    dynamics = as_map(CELLS[name]())
    u = states(1, 3, 5)[0]
    lower, upper = dynamics.box(u)
    corners = torch.where(states(500, dynamics.n_units, 6) > 0, upper, lower)
    image = dynamics.step(corners, u.expand(500, -1))
    assert bool(((image >= lower) & (image <= upper)).all())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), log_radius=st.floats(-4, 1))
@pytest.mark.parametrize("name", ["gru", "tanh", "relu"])
def test_lipschitz_bound_holds(name, seed, log_radius):
    """No pair of states in the ball has Jacobians farther apart than the bound says."""
    dynamics = as_map(CELLS[name]())
    equation = dynamics.equation()
    d, radius = dynamics.n_units, 10**log_radius
    x, u = states(1, d, seed), states(1, dynamics.n_inputs, seed + 1)
    bound = float(equation.lipschitz(x, u, torch.tensor([radius], dtype=torch.float64)))
    offsets = states(12, d, seed + 2)
    y = x + radius * offsets / offsets.norm(dim=-1, keepdim=True) * torch.linspace(0.1, 1, 12)[:, None]
    jacobian = equation.jacobian(y, u.expand(12, -1))
    apart = torch.linalg.matrix_norm(jacobian[1:] - jacobian[:-1], ord=2)
    assert bool((apart <= bound * (y[1:] - y[:-1]).norm(dim=-1) * (1 + 1e-9) + 1e-12).all())


def test_autodiff_modes_agree_and_serve_functions_torch_func_cannot_trace():
    def plain(x, u):
        return torch.tanh(x @ torch.arange(9.0).double().reshape(3, 3)) * u.sum(-1, keepdim=True)

    def branching(x, u):
        return plain(x, u) if float(x.sum()) > -1e9 else x

    x, u = states(5, 3), states(5, 2, 1)
    for a, b in zip(_vectorised(plain, x, u), _row_by_row(plain, x, u)):
        torch.testing.assert_close(a, b)
    for a, b in zip(autodiff_jacobian(branching, x, u), _vectorised(plain, x, u)):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("flow", [lorenz(), van_der_pol()])
def test_the_test_systems_have_right_jacobians(flow):
    x, u = states(6, flow.n_units), torch.zeros(6, 1).double()
    torch.testing.assert_close(flow.jacobians(x, u)[0], autodiff_jacobian(flow.step, x, u)[0])


def test_a_step_in_numpy_is_refused():
    with pytest.raises(TypeError, match="`step`: expected a function that torch can differentiate"):
        autodiff_jacobian(lambda x, u: torch.from_numpy(np.tanh(x.numpy())), states(3, 2), states(3, 1))


def test_chunks_cover_everything_once():
    for n, d in [(0, 4), (1, 300), (1000, 64), (7, 4000)]:
        parts = [torch.arange(n)[c] for c in chunks(n, d)]
        assert torch.equal(torch.cat([torch.zeros(0, dtype=torch.int64), *parts]), torch.arange(n))
        assert all(len(p) * d * d * 8 <= 2**25 or len(p) == 1 for p in parts)


def test_a_callers_cell_is_left_alone():
    made = cell(nn.GRUCell, 3, 5).float()
    before = copy.deepcopy(made.state_dict())
    as_map(made).jacobians(states(2, 5), states(2, 3))
    assert all(torch.equal(before[k], v) for k, v in made.state_dict().items())
    assert all(p.requires_grad and p.dtype == torch.float32 for p in made.parameters())


class Leaky(nn.Module):
    """A cell that keeps the contract of `maps`."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(states(4, 4, 3))
        self.box = (-torch.ones(4), torch.ones(4))

    def forward(self, u, x):
        return 0.7 * x + 0.3 * torch.tanh(x @ self.w.T + u.sum(-1, keepdim=True))

    def jacobian(self, u, x):
        t = 0.3 * (1 - torch.tanh(x @ self.w.T + u.sum(-1, keepdim=True)) ** 2)
        return 0.7 * torch.eye(4).double() + t[..., None] * self.w, t[..., None].expand(-1, -1, u.shape[1])

    def jacobian_lipschitz(self, u, x, radius):
        norm = torch.linalg.matrix_norm(self.w, ord=2) * self.w.norm(dim=1).max()
        return 0.3 * 0.7698003589195010 * norm * torch.ones_like(radius)


def test_the_contract_of_other_peoples_cells():
    made = Leaky()
    dynamics = as_map(made)
    x, u = states(6, 4), states(6, 2, 1)
    torch.testing.assert_close(dynamics.step(x, u), made(u, x).detach())
    for a, b in zip(dynamics.jacobians(x, u), _row_by_row(lambda x, u: made(u, x), x, u)):
        torch.testing.assert_close(a, b)
    assert dynamics.lipschitz is not None
    torch.testing.assert_close(dynamics.box(u[0])[1], torch.ones(4).double())
    assert made.w.requires_grad


class State(nn.Module):
    """An LSTM as a map of one state vector."""

    def __init__(self, lstm, shift=0.0):
        super().__init__()
        self.lstm, self.shift = lstm, shift

    def forward(self, u, x):
        return torch.cat(self.lstm(u, x.chunk(2, -1)), -1) + self.shift


def test_a_wrapper_of_a_torch_cell_is_recognised_only_if_it_is_the_cell():
    lstm = CELLS["lstm"]()
    x, u = states(4, 10), states(4, 3, 1)
    for shift, known in ((0.0, True), (0.5, False)):
        wrapper = State(lstm, shift)
        dynamics = as_map(wrapper)
        assert (dynamics.reduced is not None) is known
        torch.testing.assert_close(dynamics.step(x, u), wrapper(u, x).detach())


def test_a_system_brings_states_readout_and_dt():
    made = Leaky()
    system = System(
        "leaky", states(3 * 4, 4).reshape(3, 4, 4), states(12, 2).reshape(3, 4, 2), torch.tensor([4, 2, 3]),
        step=lambda x, u: made(u, x), cell=made, readout=lambda x: x[:, :1], dt=0.02, step_tolerance=float("inf"),
    )  # fmt: skip
    for thing in (system, type("Run", (), {"system": lambda self: system})()):
        dynamics = as_map(thing)
        assert (dynamics.n_units, dynamics.n_inputs, dynamics.dt, dynamics.name) == (4, 2, 0.02, "leaky")
        assert dynamics.visited.shape == (9, 4) and dynamics.jacobian is not None and dynamics.box is not None


def test_what_is_no_system_is_refused():
    with pytest.raises(TypeError, match="`step_or_system`: expected a System, a Run, a recurrent cell or a function"):
        as_map(3)
    with pytest.raises(TypeError, match="which has trajectories only"):
        as_map(System.from_arrays("M1", states(6, 2).reshape(2, 3, 2)))
    with pytest.raises(ValueError, match="`kind`: expected one of 'map', 'flow'"):
        as_map(lambda x: x, "flwo")
    with pytest.raises(ValueError, match=r"`inputs`: expected shape \(input=3\), got \(2,\)"):
        as_input([0, 1], 3)
    with pytest.raises(ValueError, match="`inputs`: expected finite values"):
        as_input([0.0, float("nan")], 2)
    torch.testing.assert_close(as_input(0.5, 3), torch.full((3,), 0.5).double())
