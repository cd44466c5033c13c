"""
Is it chaos?
============

Lyapunov exponents say how fast orbits that begin side by side part. The Lorenz equations have one positive exponent
(0.906), one of zero along the flow, and one strongly negative.
"""

import torch

import conjugacy as cj


def lorenz(x, u):
    """dx/dt of Lorenz (1963)."""
    a, b, c = x.unbind(-1)
    return torch.stack([10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c], -1)


start = torch.tensor([[1.0, 1.0, 20.0]], dtype=torch.float64)
spectrum = cj.lyapunov_spectrum(lorenz, x0=start, inputs=[0.0], kind="flow", seed=0, progress=False)
print(spectrum)
