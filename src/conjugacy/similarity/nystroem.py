"""Kernel DMD: the linear operator of trajectories in the feature space of a Gaussian kernel.

States are mapped to Nystroem features, phi(x) = K_cc^(-1/2) k(c, x), with kernel k(x, x') = exp(-|x - x'|^2 / (2 s^2))
and centres c drawn from the states; inner products of features approach k as centres become more (Williams and Seeger
2001). DMD of the features is then kernel DMD (Williams, Rowley, Kevrekidis 2015), and all of `dmd`, `dsa` and
`spectra` takes them as the trajectories of a `System`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from conjugacy._check import check_int, check_number, check_options
from conjugacy.similarity.dmd import DMD, dmd
from conjugacy.similarity.samples import Samples, as_system, check_varies
from conjugacy.system import System


def kernel_features(system: System | Any, n_centres: int = 100, *, bandwidth: float = 1.0, seed: int = 0) -> System:
    """The system with its states replaced by Nystroem features of a Gaussian kernel.

    Parameters
    ----------
    system : System or array (trial, time, unit)
    n_centres : int
        Centres drawn from the states; fewer features are kept where the kernel between centres is singular.
    bandwidth : float
        Width s of the kernel, in units of the median distance between centres.
    seed : int
        Of the centres.

    Returns
    -------
    System
        Trajectories (trial, time, feature); without step and readout, which belong to the states.
    """
    system = as_system("system", system)
    check_int("n_centres", n_centres, 2)
    check_number("bandwidth", bandwidth, 0, open_low=True, limit=1e100)
    check_int("seed", seed, 0)
    samples = Samples.of(system)
    check_varies(samples, "kernel_features")
    rows = samples.rows()
    chosen = np.random.default_rng(seed).permutation(len(rows))[:n_centres]
    centres = rows[np.sort(chosen)]
    with np.errstate(over="ignore", invalid="ignore"):
        apart = _squares(centres, centres)
    if not np.isfinite(apart).all():
        raise ValueError(
            f"`system`: expected states with finite squared distances, got values up to {np.abs(rows).max():.2g}. "
            "Scale them."
        )
    if not (apart > 0).any():
        raise ValueError(
            f"`n_centres`: expected centres that differ, got {len(centres)} equal states of {system.name!r}. Use more."
        )
    scale = bandwidth**2 * np.median(apart[apart > 1e-12 * apart.max()])
    values, vectors = np.linalg.eigh(np.exp(-apart / (2 * scale)))
    keep = values > 1e-10 * values[-1]
    root = vectors[:, keep] / np.sqrt(values[keep])
    flat = samples.x.reshape(-1, samples.n_units)
    features = (np.exp(-_squares(flat, centres) / (2 * scale)) @ root).reshape(*samples.x.shape[:2], -1)
    features[~samples.valid] = 0.0
    name = f"{system.name} (kernel features)"
    trajectories = torch.from_numpy(features)
    return replace(system, name=name, trajectories=trajectories, step=None, cell=None, readout=None)


def kernel_dmd(
    system: System | Any,
    rank: int | str = "optimal",
    *,
    n_centres: int = 100,
    bandwidth: float = 1.0,
    seed: int = 0,
    **options: Any,
) -> DMD:
    """DMD in the feature space of a Gaussian kernel; arguments as in `kernel_features` and `dmd`."""
    check_options(options, "kernel_dmd", dmd)
    return dmd(kernel_features(system, n_centres, bandwidth=bandwidth, seed=seed), rank, **options)


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances (row of x, row of y)."""
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.maximum(squares, 0.0)
