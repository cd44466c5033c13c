"""Steps of any calling convention: the state is found by what the step does, never by guessing."""

import functools

import pytest
import torch
from torch import nn

import conjugacy as cj
from conjugacy._calling import CalledStep
from conjugacy.dynamics._as_map import as_map
from conjugacy.system import System


def weights(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def truth(x, u, d, i):
    """The step that all the modules below compute, each in a convention of its own."""
    w, v = weights(d, d).to(x), weights(d, i, seed=1).to(x)
    return 0.3 * x + 0.6 * torch.tanh(x @ w.T + 0.7 * u @ v.T)


class Base(nn.Module):
    def __init__(self, d, i):
        super().__init__()
        self.d, self.i = d, i

    def new(self, x, u):
        return truth(x, u, self.d, self.i)


class XH(Base):
    def forward(self, x, h):
        return self.new(h, x)


class InputHidden(Base):
    def forward(self, input, hidden):
        return self.new(hidden, input)


class HiddenInput(Base):
    def forward(self, hidden, input):
        return self.new(hidden, input)


class StateU(Base):
    def forward(self, state, u):
        return self.new(state, u)


class UX(Base):
    def forward(self, u, x):
        return self.new(x, u)


class XU(Base):
    def forward(self, x, u):
        return self.new(x, u)


class InpHx(Base):
    def forward(self, inp, hx=None):
        return self.new(hx, inp)


class OutputHidden(Base):
    def forward(self, x, h):
        h = self.new(h, x)
        return h.sum(-1, keepdim=True), h


class HiddenTwice(Base):
    def forward(self, x, h):
        h = self.new(h, x)
        return h, h


class Pair(Base):
    """A state (h, c) that goes in and comes out as a pair."""

    def forward(self, x, hc):
        h, c = hc
        return self.new(torch.cat([h, c], -1), x).chunk(2, -1)


class PairBeside(Base):
    def forward(self, hidden, inputs):
        h, c = hidden
        h, c = self.new(torch.cat([h, c], -1), inputs).chunk(2, -1)
        return h, (h, c)


class AB(Base):
    def forward(self, a, b):
        return self.new(b, a)


class BA(Base):
    def forward(self, p, q):
        return self.new(p, q)


NAMED = [XH, InputHidden, HiddenInput, StateU, UX, XU, InpHx, OutputHidden, HiddenTwice, Pair, PairBeside]


@pytest.mark.parametrize("size", [(4, 4), (4, 2), (6, 1), (2, 6), (6, 3)])
@pytest.mark.parametrize("kind", NAMED)
def test_modules_whose_names_or_sizes_tell(kind, size):
    d, i = size
    dynamics = as_map(kind(d, i))
    x, u = weights(7, d, seed=2), weights(7, i, seed=3)
    torch.testing.assert_close(dynamics.step(x, u), truth(x, u, d, i))
    torch.testing.assert_close(dynamics.step(x[:1], u[:1]), truth(x[:1], u[:1], d, i))


@pytest.mark.parametrize("kind", [AB, BA])
def test_sizes_tell_where_names_do_not_and_else_the_order_is_asked_for(kind):
    x, u = weights(7, 4, seed=2), weights(7, 2, seed=3)
    torch.testing.assert_close(as_map(kind(4, 2)).step(x, u), truth(x, u, 4, 2))
    u = weights(7, 4, seed=3)
    with pytest.raises(ValueError, match=r"^`step_or_system`: both orders .* Say which: order='input, state' or"):
        as_map(kind(4, 4)).step(x, u)
    with pytest.raises(ValueError, match="order='input, state'"):
        cj.fixed_points(kind(4, 4), x, u[0], n_inits=8, progress=False)
    order = "input, state" if kind is AB else "state, input"
    torch.testing.assert_close(as_map(kind(4, 4), order=order).step(x, u), truth(x, u, 4, 4))
    points = cj.fixed_points(kind(4, 4), x, u[0], n_inits=8, progress=False, order=order)
    x, u = torch.from_numpy(points.x), torch.from_numpy(points.u)
    missed = (truth(x, u, 4, 4) - x).norm(dim=-1)
    torch.testing.assert_close(0.5 * missed**2, torch.from_numpy(points.q), atol=1e-18, rtol=1e-6)
    assert bool((missed < 1e-9).any())


def orbit(d, i, n_trials=3, n_steps=12):
    u, x, states = weights(n_trials, n_steps, i, seed=5), weights(n_trials, d, seed=6), []
    for t in range(n_steps):
        x = truth(x, u[:, t], d, i)
        states.append(x)
    return torch.stack(states, 1), u


@pytest.mark.parametrize("kind", [*NAMED, AB, BA])
def test_trajectories_tell_the_order(kind):
    x, u = orbit(4, 4)
    for step in (kind(4, 4), kind(4, 4).forward):
        system = System.from_arrays("net", x, u, step=step)
        torch.testing.assert_close(as_map(system).step(x[:, 0], u[:, 1]), x[:, 1])
        torch.testing.assert_close(system.step(x[:, 0], u[:, 1]), x[:, 1])


@pytest.mark.parametrize(
    "step",
    [
        lambda x, u: truth(x, u, 4, 4),
        lambda a, b: truth(a, b, 4, 4),
        lambda state, inputs: truth(state, inputs, 4, 4),
        lambda x, u, gain=1.0: gain * truth(x, u, 4, 4),
        lambda *args: truth(*args, 4, 4),
        functools.partial(truth, d=4, i=4),
    ],
)
def test_functions_are_called_with_the_state_first(step):
    x, u = weights(7, 4, seed=2), weights(7, 4, seed=3)
    torch.testing.assert_close(as_map(step).step(x, u), truth(x, u, 4, 4))


def test_functions_whose_names_say_otherwise_are_asked_about():
    x, u = weights(7, 4, seed=2), weights(7, 4, seed=3)
    for step in (lambda u, x: truth(x, u, 4, 4), lambda input, hidden: truth(hidden, input, 4, 4)):
        with pytest.raises(ValueError, match="order='input, state'"):
            as_map(step).step(x, u)
        torch.testing.assert_close(as_map(step, order="input, state").step(x, u), truth(x, u, 4, 4))
    u = weights(7, 2, seed=3)
    torch.testing.assert_close(as_map(lambda u, x: truth(x, u, 4, 2)).step(x, u), truth(x, u, 4, 2))


def test_functions_of_the_state_alone():
    x, u = weights(7, 4), weights(7, 4, seed=1)
    for step in (torch.tanh, lambda x: x.tanh(), lambda x, dt=1.0: x.tanh(), nn.Tanh(), lambda x, h=0.1: x.tanh()):
        torch.testing.assert_close(as_map(step).step(x, u), x.tanh())
    with pytest.raises(ValueError, match=r"^`order`: expected None for a step of one argument"):
        as_map(lambda x: x, order="input, state")


def test_what_fits_in_no_way_is_told_with_what_happened():
    with pytest.raises(
        ValueError, match=r"^`step_or_system`: expected a module .*fails .*order='input, state'"
    ) as caught:
        as_map(XH(4, 2)).step(weights(7, 5), weights(7, 3))
    assert "\n" not in str(caught.value)

    class Two(Base):
        def forward(self, x, h):
            return 2 * h, self.new(h, x)

    with pytest.raises(
        ValueError, match=r"returns 2 tensors of the state's shape: name one, lambda x, u: model\(u, x\)"
    ):
        as_map(Two(4, 2)).step(weights(7, 4), weights(7, 2))
    with pytest.raises(ValueError, match=r"^`order`: expected one of 'state, input', 'input, state', got 'x, u'"):
        CalledStep(lambda x, u: x, "x, u")
    with pytest.raises(TypeError, match=r"^`step_or_system`: expected a System, a Run, .* got the class GRUCell"):
        as_map(nn.GRUCell)


def test_cells_of_networks_are_called_the_same_way():
    for kind in (XH, UX, OutputHidden, Pair, AB):
        network = cj.networks.from_cell(kind(4, 4).float(), 4)
        network.init_model(4, 1)
        x, u = weights(3, 4), weights(3, 4, seed=1)
        torch.testing.assert_close(network.step(x, u), truth(x, u, 4, 4))


def test_a_cell_with_the_state_first_is_asked_about_or_turned():
    x, u = weights(3, 4), weights(3, 4, seed=1)
    with pytest.raises(ValueError, match="order='input, state'"):
        cj.networks.from_cell(HiddenInput(4, 4), 4).init_model(4, 1)
    named = cj.networks.from_cell(HiddenInput(4, 4), 4, order="state, input")
    named.init_model(4, 1)
    torch.testing.assert_close(named.step(x, u), truth(x, u, 4, 4))
    sized = cj.networks.from_cell(HiddenInput(4, 2), 4)
    sized.init_model(2, 1)
    torch.testing.assert_close(sized.step(x, u[:, :2]), truth(x, u[:, :2], 4, 2))
    with pytest.raises(TypeError, match=r"^`readout`: expected a torch.nn.Module or None, got 5"):
        cj.networks.from_cell(nn.Identity(), 4, readout=5)
    with torch.random.fork_rng(), pytest.raises(TypeError, match=r"^`cell`: .* got GRU, which takes sequences"):
        cj.networks.from_cell(nn.GRU(2, 4), 4)
