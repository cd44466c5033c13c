"""Mechanisms of context-dependent selection: networks built by hand land where their weights say."""

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.analysis.context import MECHANISMS

N, ALPHA, SHUT = 16, 0.2, 4.0  # units of a population; a context shuts one by this input
SIGNS = torch.tensor([1.0, -1.0] * (N // 2), dtype=torch.float64)


class HandBuilt:
    """x' = (1 - a) x + a (J tanh(x) + V(context) u + c): a low-rank network with the three mechanisms side by side.

    Populations: the line; and for each stream an input population shut by the other context (indirect), and an open
    one that reaches the line through a population shut by the other context (selection). Inputs onto the line itself
    are gated outside of the network (direct). Parts are weights of the three paths.
    """

    def __init__(self, parts, seed=0, rotation=False):
        generator = torch.Generator().manual_seed(seed)
        line = torch.randn(N, generator=generator, dtype=torch.float64)
        self.line = line / line.norm()
        self.n = 7 * N
        self.j = torch.zeros(self.n, self.n, dtype=torch.float64)
        self.v = torch.zeros(self.n, 4, dtype=torch.float64)
        self.direct = torch.zeros(self.n, 2, dtype=torch.float64)
        at = [slice(k * N, (k + 1) * N) for k in range(7)]
        self.j[at[0], at[0]] = 1.0 * torch.outer(self.line, self.line)
        for stream in (0, 1):
            gated, into, through = at[1 + 3 * stream], at[2 + 3 * stream], at[3 + 3 * stream]
            # vectors over pairs of units that a context pushes to both sides: what it adds cancels
            w = torch.randn(N // 2, generator=generator, dtype=torch.float64).repeat_interleave(2)
            w = w / w.norm()
            self.v[gated, stream] = parts[1] * w
            self.j[at[0], gated] = torch.outer(self.line, w)
            self.v[into, stream] = parts[2] * w
            self.j[through, into] = torch.outer(w, w)
            self.j[at[0], through] = torch.outer(self.line, w)
            self.direct[at[0], stream] = parts[0] * self.line
            other = 2 + (1 - stream)
            self.v[gated, other] = SHUT * SIGNS
            self.v[through, other] = SHUT * SIGNS

    def step(self, x, u):
        gate = u[..., 2:]  # stream k passes to the line in context k
        drive = torch.tanh(x) @ self.j.T.to(x.dtype) + u @ self.v.T.to(x.dtype)
        return (1 - ALPHA) * x + ALPHA * (drive + (u[..., :2] * gate) @ self.direct.T.to(x.dtype))

    def system(self, seed=0, n=60, t=150):
        generator = torch.Generator().manual_seed(seed)
        u = torch.zeros(n, t, 4, dtype=torch.float64)
        u[:, :, :2] = 0.02 * torch.randn(n, 1, 2, generator=generator, dtype=torch.float64)
        u[torch.arange(n), :, 2 + torch.arange(n) % 2] = 1.0
        x, states = torch.zeros(n, self.n, dtype=torch.float64), []
        for k in range(t):
            x = self.step(x, u[:, k])
            states.append(x)
        return cj.System.from_arrays("by hand", torch.stack(states, 1), u, step=self.step, dt=0.01)

    def mechanism(self, **options):
        contexts, evidence = np.eye(4)[2:], np.eye(4)[:2]
        return cj.context_mechanism(self.system(), contexts, evidence, rates=torch.tanh, **options)


def truth(parts):
    """Shares by the weights of the paths: a shut population passes what the slope of tanh at SHUT leaves."""
    return np.array(parts) / sum(parts)


@pytest.mark.parametrize(
    "parts",
    [(1, 0, 0), (0, 1, 0), (0, 0, 1)],
    ids=MECHANISMS,
)
def test_a_pure_mechanism_lies_in_its_corner(parts):
    found = HandBuilt(parts).mechanism()
    shares = np.array([found.shares[m] for m in MECHANISMS])
    assert np.abs(shares - parts).max() < 0.05, found
    assert (found.streams["selected"] > 0.95).all()
    assert not found.doubts


@pytest.mark.parametrize("parts", [(1, 1, 1), (2, 1, 0), (0, 1, 3), (1, 0, 1), (0.2, 0.5, 0.3)])
def test_a_mixture_lies_between(parts):
    found = HandBuilt(parts, seed=3).mechanism()
    shares = np.array([found.shares[m] for m in MECHANISMS])
    assert np.abs(shares - truth(parts)).max() < 0.1, found
    assert abs(shares.sum() - 1) < 1e-12
    for m, share in zip(MECHANISMS, shares):
        low, high = found.intervals[m]
        assert low - 1e-9 <= share <= high + 1e-9


def test_states_in_other_order_and_rotated_rates_lie_in_the_same_place():
    net = HandBuilt((1, 1, 1), seed=2)
    order = torch.randperm(net.n, generator=torch.Generator().manual_seed(0))
    back = order.argsort()
    plain = net.system()
    moved = cj.System.from_arrays(
        "moved", plain.trajectories[..., order], plain.inputs, step=lambda x, u: net.step(x[..., back], u)[..., order]
    )
    contexts, evidence = np.eye(4)[2:], np.eye(4)[:2]
    one, other = (cj.context_mechanism(s, contexts, evidence, rates=torch.tanh) for s in (plain, moved))
    for m in MECHANISMS:
        assert abs(one.shares[m] - other.shares[m]) < 1e-6


def test_bad_input_gets_one_line():
    contexts, evidence = np.eye(4)[2:], np.eye(4)[:2]
    system = HandBuilt((1, 0, 0)).system()
    with pytest.raises(ValueError, match="`contexts`: expected an array"):
        cj.context_mechanism(system)
    with pytest.raises(ValueError, match="two contexts that differ"):
        cj.context_mechanism(system, contexts[[0, 0]], evidence)
    with pytest.raises(TypeError, match="`thing`: expected a Run"):
        cj.context_mechanism(3)
    one = cj.System.from_arrays("one context", system.trajectories[::2], system.inputs[::2], step=system.step)
    with pytest.raises(ValueError, match="at least 5 trials in each context"):
        cj.context_mechanism(one, contexts, evidence)

    def forgets(x, u):
        return 0.5 * x + u @ torch.ones(4, 3, dtype=x.dtype)

    u = system.inputs
    x, states = torch.zeros(len(u), 3, dtype=torch.float64), []
    for t in range(u.shape[1]):
        x = forgets(x, u[:, t])
        states.append(x)
    leaky = cj.System.from_arrays("leaky", torch.stack(states, 1), u, step=forgets)
    with pytest.raises(ValueError, match="no line attractor in context 0: its slowest mode lasts 1.4 steps"):
        cj.context_mechanism(leaky, contexts, evidence)


def test_a_network_that_does_not_select_has_no_mechanism():
    net = HandBuilt((1, 0, 0))
    ungated = lambda x, u: net.step(x, torch.cat([u[..., :2], torch.ones_like(u[..., 2:])], -1))  # noqa: E731
    u = net.system().inputs
    x, states = torch.zeros(len(u), net.n, dtype=torch.float64), []
    for t in range(u.shape[1]):
        x = ungated(x, u[:, t])
        states.append(x)
    system = cj.System.from_arrays("ungated", torch.stack(states, 1), u, step=ungated)
    with pytest.raises(ValueError, match="does not select evidence 1"):
        cj.context_mechanism(system, np.eye(4)[2:], np.eye(4)[:2], rates=torch.tanh)


def test_the_triangle_is_drawn_of_one_and_of_groups():
    found = HandBuilt((0, 1, 0)).mechanism()
    for given in (found, [found], {"kind": [found, found]}):
        assert cj.plots.context_triangle(given).axes[0].get_title().startswith("How context selects evidence")
    with pytest.raises(TypeError, match="expected a ContextMechanism"):
        cj.plots.context_triangle([3])
