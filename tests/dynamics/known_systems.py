"""Systems with known answers, shared by the tests of `dynamics`."""

import torch
from torch import nn

from conjugacy.dynamics.map import Map


def states(n, d, seed=0, scale=1.0):
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cell(kind, *sizes, seed=0, gain=1.0, **options):
    """A torch cell whose weights come from a seed, without touching torch's global generator."""
    generator = torch.Generator().manual_seed(seed)
    made = kind(*sizes, device="meta", dtype=torch.float64, **options).to_empty(device="cpu")
    with torch.no_grad():
        for p in made.parameters():
            p.normal_(0, gain / made.hidden_size**0.5, generator=generator)
    return made


def flip_flop(n, gain=2.0):
    """n independent units x' = tanh(gain x): 3^n fixed points, C(n, k) 2^(n-k) of them with k unstable directions."""
    return cell_of(gain * torch.eye(n, dtype=torch.float64))


def cell_of(w, b=None):
    made = nn.RNNCell(len(w), len(w), device="meta", dtype=torch.float64).to_empty(device="cpu")
    with torch.no_grad():
        made.weight_hh.copy_(w)
        made.weight_ih.copy_(torch.eye(len(w)))
        made.bias_hh.copy_(torch.zeros(len(w)) if b is None else b)
        made.bias_ih.zero_()
    return made


def lorenz(rho=28.0, sigma=10.0, beta=8 / 3):
    def step(x, u):
        a, b, c = x.unbind(-1)
        return torch.stack([sigma * (b - a), a * (rho - c) - b, a * b - beta * c], -1)

    def jacobian(x, u):
        a, b, c = x.unbind(-1)
        one, zero = torch.ones_like(a), torch.zeros_like(a)
        rows = [[-sigma * one, sigma * one, zero], [rho - c, -one, -a], [b, a, -beta * one]]
        return torch.stack([torch.stack(r, -1) for r in rows], -2), torch.zeros(len(x), 3, u.shape[1]).double()

    return Map(step, 3, flow=True, jacobian=jacobian)


def van_der_pol(mu=1.0):
    def step(x, u):
        a, b = x.unbind(-1)
        return torch.stack([b, mu * (1 - a * a) * b - a], -1)

    def jacobian(x, u):
        a, b = x.unbind(-1)
        one, zero = torch.ones_like(a), torch.zeros_like(a)
        rows = [[zero, one], [-2 * mu * a * b - 1, mu * (1 - a * a)]]
        return torch.stack([torch.stack(r, -1) for r in rows], -2), torch.zeros(len(x), 2, u.shape[1]).double()

    return Map(step, 2, flow=True, jacobian=jacobian)
