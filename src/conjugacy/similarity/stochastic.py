"""Stochastic shape distance: systems whose trials repeat, compared by means and by noise (Duong et al. 2023).

Trials of one condition are repeats of it. At each condition and step the states have a mean mu and a covariance S,
taken for Gaussian, and the squared distance averages over conditions and steps

    alpha |mu_x - mu_y Q|^2 + (2 - alpha) Bures(S_x, Q' S_y Q)^2
    Bures(S, R)^2 = tr S + tr R - 2 tr (S^1/2 R S^1/2)^1/2

after the best orthogonal Q. alpha = 1 is the 2-Wasserstein distance between Gaussians, 2 sees the means alone, 0 the
noise alone. Q is found by alternation: the best pairing of the square roots for a given Q, then the best Q for that
pairing, with weights sqrt(alpha) and sqrt(2 - alpha) so that what is fitted is what is scored. It starts from the
rotation of the means, that of the noise, and from none; the distance found is an upper bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from conjugacy._check import check_int, check_number
from conjugacy.similarity.samples import Samples, as_system


def stochastic_shape_distance(
    a: Any, b: Any, conditions: Any, *, alpha: float = 1.0, max_iterations: int = 200
) -> dict[str, float]:
    """Distance between Gaussian response distributions after the best rotation.

    Parameters
    ----------
    a, b : System or array (trial, time, unit)
        Same numbers of trials of each condition are not needed, but both need all conditions, and one length.
    conditions : int array (trial,), or a pair of them for `a` and `b`
        Condition of each trial; at least two trials each.
    alpha : float
        Weight of the means, in [0, 2].
    max_iterations : int

    Returns
    -------
    dict
        "distance", its parts "means" and "noise" (root mean squares at the same rotation), "iterations".

    Raises
    ------
    ValueError
        If a condition is missing on one side or has a single trial, or if lengths differ.
    """
    check_number("alpha", alpha, 0, 2)
    check_int("max_iterations", max_iterations, 1)
    x, y = Samples.of(as_system("a", a)), Samples.of(as_system("b", b))
    pair = conditions if isinstance(conditions, tuple) else (conditions, conditions)
    (mx, rx), (my, ry) = (_moments(s, np.asarray(c)) for s, c in zip((x, y), pair))
    if mx.shape[0] != my.shape[0]:
        raise ValueError(
            f"`conditions`: expected the same conditions and steps for both, got {mx.shape[0]} and {my.shape[0]}."
        )
    n = max(mx.shape[1], my.shape[1])
    mx, my = (np.pad(m, ((0, 0), (0, n - m.shape[1]))) for m in (mx, my))
    rx, ry = (np.pad(r, ((0, 0), (0, n - r.shape[1]), (0, n - r.shape[2]))) for r in (rx, ry))
    best: dict[str, float] = {"distance": np.inf}
    flat = [np.sqrt(alpha) * m for m in (mx, my)]
    for start in (_procrustes(my, mx), _procrustes(np.concatenate(ry @ ry), np.concatenate(rx @ rx)), np.eye(n)):
        found = _alternate(start, mx, my, rx, ry, flat, alpha, max_iterations)
        if found["distance"] < best["distance"]:
            best = found
    return best


def _alternate(q, mx, my, rx, ry, flat, alpha, max_iterations) -> dict[str, float]:
    last = np.inf
    means = noise = 0.0
    iteration = 0
    for iteration in range(1, max_iterations + 1):
        rotated = ry @ q  # square roots R of S_y, so that (R Q)' (R Q) = Q' S_y Q
        u, s, vt = np.linalg.svd(rotated @ rx)  # rx is symmetric
        means = ((mx - my @ q) ** 2).sum(1).mean()
        noise = ((rx**2).sum((1, 2)) + (ry**2).sum((1, 2)) - 2 * s.sum(1)).mean()
        value = alpha * means + (2 - alpha) * noise
        if last - value < 1e-12 * max(last, 1e-300) and iteration > 1:
            break
        last = value
        # pair the rows of the roots by the polar factor, then turn all at once
        paired = (u @ vt).transpose(0, 2, 1) @ ry
        q = _procrustes(
            np.concatenate([flat[1], np.sqrt(2 - alpha) * paired.reshape(-1, ry.shape[2])]),
            np.concatenate([flat[0], np.sqrt(2 - alpha) * rx.reshape(-1, rx.shape[2])]),
        )
    means, noise = max(means, 0.0), max(noise, 0.0)
    return {
        "distance": float(np.sqrt(alpha * means + (2 - alpha) * noise)),
        "means": float(np.sqrt(means)),
        "noise": float(np.sqrt(noise)),
        "iterations": iteration,
    }


def _procrustes(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The orthogonal Q that minimises |x - y Q|."""
    u, _, vt = np.linalg.svd(y.T @ x)
    return u @ vt


def _moments(samples: Samples, conditions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (condition * time, unit), about their mean, and symmetric roots of covariances (.., unit, unit)."""
    if conditions.shape != (samples.n_trials,):
        raise ValueError(
            f"`conditions`: expected one for each of the {samples.n_trials} trials of {samples.name!r}, got shape "
            f"{conditions.shape}."
        )
    if (samples.lengths != samples.x.shape[1]).any():
        raise ValueError(f"`conditions`: trials of {samples.name!r} differ in length. Cut them to one.")
    means, roots = [], []
    for condition in np.unique(conditions):
        x = samples.x[conditions == condition]
        if len(x) < 2:
            raise ValueError(f"`conditions`: expected at least 2 trials of each, got 1 of {condition!r}.")
        mean = x.mean(0)
        means.append(mean)
        centred = (x - mean).transpose(1, 0, 2)
        values, vectors = np.linalg.eigh(centred.transpose(0, 2, 1) @ centred / (len(x) - 1))
        roots.append((vectors * np.sqrt(values.clip(0))[:, None]) @ vectors.transpose(0, 2, 1))
    stacked = np.concatenate(means)
    return stacked - stacked.mean(0), np.concatenate(roots)
