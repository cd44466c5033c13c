"""Seconds for the Lyapunov spectrum of the Lorenz system: `lyapunov_spectrum`, and plain NumPy (Runge-Kutta and QR).

    python benchmarks/lyapunov.py

Both carry as many orbits, for as many steps of the same length, and start from the same states. CPU seconds of this
process on one thread, so that other work on the machine counts little; medians of five runs.
"""

from __future__ import annotations

import time

import numpy as np
import torch

import conjugacy as cj
from conjugacy.dynamics import Map

N_ORBITS, N_STEPS, N_TRANSIENT = 8, 2000, 500


def step(x, u):
    a, b, c = x.unbind(-1)
    return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], -1)


def jacobian(x, u):
    a, b, c = x.unbind(-1)
    one, zero = torch.ones_like(a), torch.zeros_like(a)
    rows = [[-10 * one, 10 * one, zero], [28 - c, -one, -a], [b, a, -8 / 3 * one]]
    return torch.stack([torch.stack(r, -1) for r in rows], -2), x.new_zeros(len(x), 3, u.shape[1])


def numpy_spectrum(x: np.ndarray, h: float) -> np.ndarray:
    """Exponents (3,) of orbits from `x` (B, 3), all orbits at once."""

    def velocity(x, m):
        a, b, c = x.T
        f = np.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], -1)
        j = np.zeros((len(x), 3, 3))
        j[:, 0, 0], j[:, 0, 1], j[:, 1, 1], j[:, 2, 2] = -10, 10, -1, -8 / 3
        j[:, 1, 0], j[:, 1, 2], j[:, 2, 0], j[:, 2, 1] = 28 - c, -a, b, a
        return f, j @ m

    m, total = np.broadcast_to(np.eye(3), (len(x), 3, 3)), np.zeros(3)
    for t in range(N_TRANSIENT + N_STEPS):
        f1, m1 = velocity(x, m)
        f2, m2 = velocity(x + h / 2 * f1, m + h / 2 * m1)
        f3, m3 = velocity(x + h / 2 * f2, m + h / 2 * m2)
        f4, m4 = velocity(x + h * f3, m + h * m3)
        x, m = x + h / 6 * (f1 + 2 * f2 + 2 * f3 + f4), m + h / 6 * (m1 + 2 * m2 + 2 * m3 + m4)
        m, r = np.linalg.qr(m)
        if t >= N_TRANSIENT:
            total += np.log(np.abs(np.diagonal(r, axis1=1, axis2=2))).mean(0)
    return total / (N_STEPS * h)


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x0 = 5 * torch.randn(N_ORBITS, 3, generator=generator, dtype=torch.float64) + torch.tensor([0, 0, 25.0])
    lorenz = Map(step, 3, flow=True, jacobian=jacobian)
    h = 0.005
    ours, plain = [], []
    for run in range(6):
        start = time.process_time()
        spectrum = cj.lyapunov_spectrum(
            lorenz,
            x0,
            kind="flow",
            n_orbits=N_ORBITS,
            n_steps=N_STEPS,
            n_transient=N_TRANSIENT,
            integration_step=h,
            progress=False,
        )
        middle = time.process_time()
        exponents = numpy_spectrum(x0.numpy(), h)
        if run:  # the first run compiles
            ours.append(middle - start)
            plain.append(time.process_time() - middle)
    a, b = np.median(ours), np.median(plain)
    print(f"lyapunov_spectrum: {a:.2f} s, exponents {np.round(spectrum.exponents.numpy(), 3)}")
    print(f"plain NumPy:       {b:.2f} s, exponents {np.round(exponents, 3)}; ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
