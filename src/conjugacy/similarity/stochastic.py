"""Stochastic shape distance: systems whose trials repeat, compared by means and by noise (Duong et al. 2023).

Trials of one condition are repeats of it. At each condition and step the states have a mean mu and a covariance S,
taken for Gaussian, and the squared distance averages over conditions and steps

    alpha |mu_x - mu_y Q|^2 + (2 - alpha) Bures(S_x, Q' S_y Q)^2
    Bures(S, R)^2 = tr S + tr R - 2 tr (S^1/2 R S^1/2)^1/2

after the best orthogonal Q. alpha = 1 is the 2-Wasserstein distance between Gaussians, 2 sees the means alone, 0 the
noise alone. Q is found by alternation: the best pairing of the square roots for a given Q, then the best Q for that
pairing, with weights sqrt(alpha) and sqrt(2 - alpha) so that what is fitted is what is scored. The problem has local
minima, several for few conditions or alpha near 0, so it starts from the rotation of the means, that of the noise,
none, and many random ones (with determinant 1 and -1 in turn, from a fixed seed), all at once. The distance is an upper
bound; how many starts agree on it tells how far to trust it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from conjugacy._check import check_int, check_number
from conjugacy._threads import one_blas_thread
from conjugacy.similarity.samples import Samples, as_system

_WORK = 10**8  # conditions x steps x units^3 x starts of one round: what is affordable
_CHEAP = 2 * 10**4  # conditions x steps x units^3 up to which all starts go all the way
_AGREE = 1e-5  # relative difference of squared distances that count as equal


def stochastic_shape_distance(
    a: Any,
    b: Any,
    conditions: Any,
    *,
    alpha: float = 1.0,
    max_iterations: int = 200,
    n_starts: int | None = None,
    seed: int = 0,
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
        Most steps of the alternation, at least 1.
    n_starts : int, optional
        Random starts, at least 0. None: 64, or fewer (not below 12) where systems are large.
    seed : int
        Seed of the random starts.

    Returns
    -------
    dict
        "distance", its parts "means" and "noise" (root mean squares at the same rotation), "iterations", "n_starts"
        (the three that are not random included) and "n_agree": how many of them ended at this distance (within 1e-5 of
        its square). Few that agree leave room for a smaller one: use more starts. Large systems follow the most
        promising starts only to the end.

    Raises
    ------
    TypeError, ValueError
        If a condition is missing on one side or has a single trial, if lengths differ, or an argument is out of range.
    """
    check_number("alpha", alpha, 0, 2)
    check_int("max_iterations", max_iterations, 1)
    check_int("seed", seed, 0)
    if n_starts is not None:
        check_int("n_starts", n_starts, 0, 10**5, hint="Or None.")
    x, y = Samples.of(as_system("a", a)), Samples.of(as_system("b", b))
    pair = conditions if isinstance(conditions, tuple) else (conditions, conditions)
    if len(pair) != 2:
        raise ValueError(f"`conditions`: expected one array, or a pair of them for `a` and `b`, got {len(pair)}.")
    (mx, rx), (my, ry) = (_moments(s, np.asarray(c)) for s, c in zip((x, y), pair))
    if mx.shape[0] != my.shape[0]:
        raise ValueError(
            f"`conditions`: expected the same conditions and steps for both, got {mx.shape[0]} and {my.shape[0]}."
        )
    n = max(mx.shape[1], my.shape[1])
    mx, my = (np.pad(m, ((0, 0), (0, n - m.shape[1]))) for m in (mx, my))
    rx, ry = (np.pad(r, ((0, 0), (0, n - r.shape[1]), (0, n - r.shape[2]))) for r in (rx, ry))
    if n_starts is None:
        n_starts = int(np.clip(_WORK // (len(rx) * n**3), 12, 64))
    first = (_nearest(my.T @ mx), _nearest(np.einsum("kij,kjl->il", ry @ ry, rx @ rx)), np.eye(n))
    starts = np.concatenate([np.stack(first), _random_rotations(n_starts, n, seed)])
    with one_blas_thread():
        values, rotations, iterations = _alternate(starts, mx, my, rx, ry, alpha, max_iterations)
        best = int(values.argmin())
        means, noise = _parts(rotations[best], mx, my, rx, ry)
    scale = alpha * ((mx**2).sum() + (my**2).sum()) / len(mx) + (2 - alpha) * ((rx**2).sum() + (ry**2).sum()) / len(rx)
    agree = values <= values[best] + _AGREE * abs(values[best]) + 1e-12 * scale
    return {
        "distance": float(np.sqrt(alpha * means + (2 - alpha) * noise)),
        "means": float(np.sqrt(means)),
        "noise": float(np.sqrt(noise)),
        "iterations": int(iterations[best]),
        "n_starts": len(starts),
        "n_agree": int(agree.sum()),
    }


def _alternate(q, mx, my, rx, ry, alpha, max_iterations) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distance (start,), rotation (start, n, n) and number of steps (start,) from starts (start, n, n)."""
    cross = my.T @ mx / len(mx)
    squares = ((mx**2).sum() + (my**2).sum()) / len(mx), ((rx**2).sum() + (ry**2).sum()) / len(rx)
    q, active = q.copy(), np.arange(len(q))
    last, steps = np.full(len(q), np.inf), np.zeros(len(q), int)
    for step in range(1, max_iterations + 1):
        # square roots R of S_y, so that (R Q)' (R Q) = Q' S_y Q; the roots of S_x are symmetric
        u, s, vt = np.linalg.svd((ry @ q[active, None]) @ rx)
        means = squares[0] - 2 * np.einsum("ij,sij->s", cross, q[active])
        noise = squares[1] - 2 * s.sum((1, 2)) / len(rx)
        value = alpha * means + (2 - alpha) * noise
        steps[active] = step
        going = (last[active] - value > 1e-12 * np.maximum(np.abs(value), 1e-300)) | (step == 1)
        last[active] = value
        if step in (10, 25, 60) and len(rx) * rx.shape[1] ** 3 > _CHEAP:
            going[np.argsort(value)[max(3, len(value) // 2) :]] = False
        active, u, vt = active[going], u[going], vt[going]
        if len(active) == 0:
            break
        # pair the rows of the roots by the polar factor, then turn all at once
        paired = (u @ vt).swapaxes(-1, -2) @ ry
        q[active] = _nearest(alpha * cross + (2 - alpha) * np.einsum("skij,kil->sjl", paired, rx) / len(rx))
    return last, q, steps


def _parts(q, mx, my, rx, ry) -> tuple[float, float]:
    """Mean squares of means and of noise at one rotation, from residuals, which keep their digits near zero."""
    u, _, vt = np.linalg.svd(ry @ q @ rx)
    means = ((mx - my @ q) ** 2).sum(1).mean()
    noise = ((rx - (u @ vt).transpose(0, 2, 1) @ ry @ q) ** 2).sum((1, 2)).mean()
    return float(means), float(noise)


def _nearest(m: np.ndarray) -> np.ndarray:
    """The orthogonal Q (.., n, n) with the largest <Q, m>."""
    u, _, vt = np.linalg.svd(m)
    return u @ vt


def _random_rotations(count: int, n: int, seed: int) -> np.ndarray:
    """Orthogonal matrices (count, n, n) from the Haar measure, with determinant 1 and -1 in turn."""
    q, r = np.linalg.qr(np.random.default_rng([seed, 6221]).normal(size=(count, n, n)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    wrong = np.sign(np.linalg.det(q)) != np.where(np.arange(count) % 2, -1, 1)
    q[wrong, :, 0] *= -1
    return q


def _moments(samples: Samples, conditions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (condition * time, unit), about their mean, and symmetric roots of covariances (.., unit, unit)."""
    if conditions.shape != (samples.n_trials,):
        raise ValueError(
            f"`conditions`: expected one for each of the {samples.n_trials} trials of {samples.name!r}, got shape "
            f"{conditions.shape} ({conditions.dtype}, {conditions.ravel()[:3].tolist()})."
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
