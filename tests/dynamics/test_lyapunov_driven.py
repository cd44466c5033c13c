"""Exponents of driven systems, of parts of a system, and of systems with directions that are wiped out."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import conjugacy as cj
from conjugacy.dynamics.lyapunov import LyapunovSpectrum
from conjugacy.system import System

from .known_systems import cell, lorenz, states


def switched(n_steps=400, n_series=3, d=3):
    """x' = (A_1 u + A_2 (1 - u)) x with u 0 or 1 at random: no two orders of the factors give the same product."""
    a, b = (torch.linalg.qr(states(d, d, s))[0] @ torch.diag(torch.tensor([1.1, 0.7, 0.2]).double()) for s in (1, 2))
    u = (torch.rand(n_series, n_steps, 1, generator=torch.Generator().manual_seed(0)) < 0.5).double()

    def step(x, u):
        return u * (x @ a.T) + (1 - u) * (x @ b.T)

    return step, u, a, b


def singular_values(u, a, b, skip):
    """Logarithms of the singular values per step of the product of the factors, the last on the left."""
    out = []
    for series in u[:, skip:, 0]:
        q, total = np.eye(3), np.zeros(3)
        for v in series.tolist():
            q, r = np.linalg.qr((a if v else b).numpy() @ q)
            total += np.log(np.abs(np.diag(r)))
        out.append(total / len(series))
    return np.array(out)


def test_given_inputs_have_the_exponents_of_the_product_in_order_of_time():
    step, u, a, b = switched()
    spectrum = cj.lyapunov_spectrum(step, states(3, 3), u, n_transient=50, progress=False)
    want = singular_values(u, a, b, 50)
    np.testing.assert_allclose(spectrum.per_orbit.numpy(), want, atol=0.01)
    assert float(spectrum.exponents.sum()) == pytest.approx(math.log(1.1 * 0.7 * 0.2), abs=1e-7)
    assert spectrum.n_steps == 350 and torch.isfinite(spectrum.standard_error).all()
    # one vector, no transient: the growth of that very vector, which tells the order of the factors
    one = cj.lyapunov_spectrum(step, states(3, 3), u[:1], n_exponents=1, n_orbits=1, n_transient=0, progress=False)
    generator = torch.Generator().manual_seed(0)
    torch.randint(3, (1,), generator=generator), torch.randint(3, (1,), generator=generator)
    v = torch.linalg.qr(torch.randn(1, 3, 1, generator=generator, dtype=torch.float64))[0][0, :, 0]
    for factor in u[0, :, 0].tolist():
        v = (a if factor else b) @ v
    assert float(one.exponents[0]) == pytest.approx(math.log(float(v.norm())) / 400, rel=1e-9)


def test_trials_of_a_system_have_the_exponents_of_their_inputs():
    step, u, _, _ = switched(120, 4)
    x, path = states(4, 3), []
    for t in range(120):
        x = step(x, u[:, t])
        path.append(x)
    path = torch.stack(path, 1)
    system = System.from_arrays("switched", [*path[:3], path[3, :60]], [*u[:3], u[3, :60]], step=step, dt=0.01)
    along = cj.lyapunov_spectrum(system, inputs="trials", n_transient=10, progress=False)
    given = cj.lyapunov_spectrum(step, path[:3, 0], u[:3, 1:], n_transient=10, progress=False)
    torch.testing.assert_close(along.per_orbit[:3].sum(1), given.per_orbit.sum(1))
    torch.testing.assert_close(along.per_orbit[:3], given.per_orbit, atol=0.03, rtol=0)
    assert along.per_orbit.shape == (4, 3) and along.n_steps == 109 and along.exponents_per_s is not None


def test_a_held_series_is_a_held_input():
    made = cell(nn.GRUCell, 2, 6, gain=2.0)
    held = cj.lyapunov_spectrum(made, states(8, 6), [0.3, -0.2], n_steps=1500, progress=False)
    series = torch.tensor([0.3, -0.2]).expand(2000, 2)
    driven = cj.lyapunov_spectrum(made, states(8, 6), series, n_transient=500, progress=False)
    torch.testing.assert_close(held.exponents, driven.exponents, atol=2e-3, rtol=0)


def test_conditional_exponents_of_a_driven_part():
    # Pecora & Carroll 1990: Lorenz driven by x synchronises (conditional exponents -1.81, -1.86), by z it does not
    x0 = states(20, 3, scale=5) + torch.tensor([0, 0, 25.0])
    options = {"kind": "flow", "n_steps": 3000, "integration_step": 0.01, "progress": False}
    by_x = cj.lyapunov_spectrum(lorenz(), x0, units=[1, 2], **options)
    assert float(by_x.exponents[0]) == pytest.approx(-1.81, abs=0.05)
    assert float(by_x.exponents.sum()) == pytest.approx(-(1 + 8 / 3), abs=1e-3)
    by_z = cj.lyapunov_spectrum(lorenz(), x0, units=slice(0, 2), **options)
    assert abs(float(by_z.exponents[0])) < 0.02


def test_triangular_maps_have_the_exponents_of_their_parts():
    w = torch.tensor([[0.9, 0.0], [0.5, 0.4]]).double()
    part = cj.lyapunov_spectrum(lambda x: x @ w.T, states(4, 2), units=[1], n_steps=100, progress=False)
    assert float(part.exponents[0]) == pytest.approx(math.log(0.4))


def test_dead_units_and_constant_maps_have_minus_infinity():
    dead = torch.diag(torch.tensor([0.5, 0.0, 0.3]).double())
    spectrum = cj.lyapunov_spectrum(lambda x: x @ dead + 1, states(8, 3), n_steps=50, progress=False)
    torch.testing.assert_close(spectrum.exponents[:2], torch.tensor([0.5, 0.3]).double().log())
    assert torch.isneginf(spectrum.exponents[2]) and float(spectrum.standard_error[2]) == 0
    # rank one up to rounding: the product of two vectors
    rank = states(5, 1) @ states(1, 5, 1)
    flat = cj.lyapunov_spectrum(lambda x: torch.tanh(x @ rank.T), states(8, 5), n_steps=50, progress=False)
    assert torch.isneginf(flat.exponents[1:]).all() and torch.isfinite(flat.exponents[0])
    constant = cj.lyapunov_spectrum(lambda x: 0 * x + 1, states(8, 3), n_steps=50, progress=False)
    assert torch.isneginf(constant.exponents).all() and constant.dimension == 0
    assert isinstance(constant, LyapunovSpectrum) and "-inf" in repr(constant)


def test_one_orbit_has_an_error_too():
    spectrum = cj.lyapunov_spectrum(lambda x: 3.9 * x * (1 - x), torch.tensor([[0.3]]), n_orbits=1, progress=False)
    assert 0 < float(spectrum.standard_error[0]) < 0.05


def test_directions_and_whole_jacobians_agree():
    w = states(40, 40) * 1.5 / 40**0.5
    few = cj.lyapunov_spectrum(lambda x: torch.tanh(x @ w), states(8, 40), n_exponents=2, n_steps=600, progress=False)
    made = cell(nn.RNNCell, 1, 40)
    with torch.no_grad():
        made.weight_hh.copy_(w.T), made.bias_hh.zero_(), made.bias_ih.zero_()
    closed = cj.lyapunov_spectrum(made, states(8, 40), [0.0], n_exponents=2, n_steps=600, progress=False)
    torch.testing.assert_close(few.exponents, closed.exponents, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": np.zeros((1, 2, 3, 1))}, "`inputs`: expected shape"),
        ({"inputs": "trial"}, "`inputs`: expected one of 'trials'"),
        ({"inputs": "trials"}, "`inputs`: expected 'trials' with a System"),
        ({"units": [7]}, "`units`: expected a slice or indices of the 2 units"),
        ({"units": [0, 0]}, "`units`: expected distinct units"),
        ({"inputs": np.zeros((20, 1)), "n_transient": 30}, "`n_transient`: expected fewer steps"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        cj.lyapunov_spectrum(lambda x, u: 0.5 * x + u, states(4, 2), **options, progress=False)
