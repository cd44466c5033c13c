"""Rotations in condition averages: jPCA with cross-validation, and a null of shuffled conditions.

The averages of C conditions, less what all conditions share, are reduced to their leading principal components, and a
skew-symmetric matrix M, whose flow is pure rotation, is fitted to how they move (Churchland et al. 2012, Nature
487:51). With the rows of X the states and those of D the steps between them, the M that minimises |D - X M|^2 solves

    X'X M + M X'X = X'D - D'X                                    (Sylvester's equation; M = -M')

"midpoint" takes for X the mean of the states before and after a step. Then D = X M holds exactly for rotations sampled
at any rate, with the eigenvalues +-2i tan(angle / 2) of M. "forward" takes the state before, as the published code
does: there the rotation by an angle leaves a part that is not skew, and frequencies come out near sin(angle).

Any smooth activity with few conditions is fitted by some rotation to some degree. So every condition is predicted by
a fit that has not seen it (nor its mean and components), and the same is done after the conditions were shuffled for
each unit apart: single units keep their time courses, and what units do together in a condition is gone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_sylvester

from conjugacy._check import check_choice, check_instance, check_int
from conjugacy.recordings.recording import Recording

SCHEMES = ("midpoint", "forward")
_FEWEST_CONDITIONS, _FEWEST_BINS = 4, 4


@dataclass(frozen=True, eq=False)
class Rotations:
    """Rotations found in condition averages.

    Attributes
    ----------
    answer : {"rotations", "no rotations beyond chance", "cannot tell"}
        "cannot tell" where even an unconstrained linear fit predicts no held-out condition.
    r2, r2_linear : float
        Share of the steps that the rotation, and an unconstrained linear map, explain in the conditions they were
        fitted to.
    r2_held_out, r2_linear_held_out : float
        The same in conditions that were left out; below 0: worse than no motion at all.
    p_value : float
        Share of shuffles with a held-out R2 of the rotation at least as large, (r + 1) / (n + 1).
    null : array (shuffle,)
        Held-out R2 of the rotation in shuffled conditions.
    frequencies : array (plane,)
        Cycles per second of each plane, the fastest first.
    matrix : array (component, component)
        M, skew-symmetric.
    axes : array (unit, component)
        Principal components.
    planes : array (plane, component, 2)
        Orthonormal bases of the planes, in components.
    projections : array (condition, time, 2)
        States in the plane with the highest frequency.
    variance : float
        Share of the variance that the components hold.
    conditions : tuple of str
    """

    answer: str
    r2: float
    r2_linear: float
    r2_held_out: float
    r2_linear_held_out: float
    p_value: float
    null: np.ndarray
    frequencies: np.ndarray
    matrix: np.ndarray
    axes: np.ndarray
    planes: np.ndarray
    projections: np.ndarray
    variance: float
    conditions: tuple[str, ...]

    def __repr__(self) -> str:
        fastest = ", ".join(f"{f:.2f}" for f in self.frequencies)
        return (
            f"Rotations: {self.answer}. Held-out R2 {self.r2_held_out:.2f} (shuffled {np.median(self.null):.2f}, p "
            f"{self.p_value:.2g}; unconstrained {self.r2_linear_held_out:.2f}); {fastest} Hz in "
            f"{len(self.conditions)} conditions."
        )


def find_rotations(
    recording: Recording,
    n_components: int = 6,
    *,
    scheme: str = "midpoint",
    n_shuffles: int = 200,
    seed: int = 0,
) -> Rotations:
    """Fit rotations to condition averages, and test them on conditions that were left out and against shuffles.

    Parameters
    ----------
    recording : Recording
        Averages by condition (or trials, which are averaged here) in the window in question; smooth, and
        `soft_normalise` where units differ much in rate, before. At least 4 conditions.
    n_components : int
        Principal components, an even number of at least 2.
    scheme : {"midpoint", "forward"}
        See the module docstring.
    n_shuffles : int
        At least 19.
    seed : int
        Of the shuffles.

    Raises
    ------
    ValueError
        If there are fewer than 4 conditions or 4 bins, more components than units or conditions and bins allow, or
        conditions do not differ.
    """
    check_instance("recording", recording, Recording)
    check_choice("scheme", scheme, SCHEMES)
    check_int("n_shuffles", n_shuffles, 19, hint="Fewer reach no p-value of .05.")
    check_int("seed", seed, 0)
    check_int("n_components", n_components, 2)
    if n_components % 2:
        raise ValueError(f"`n_components`: expected an even number, since rotations need planes, got {n_components}.")
    if recording.conditions is None:
        raise ValueError("`recording`: expected one with conditions, got none. Give conditions=.")
    labels, counts = np.unique(recording.conditions, return_counts=True)
    if len(labels) < _FEWEST_CONDITIONS:
        raise ValueError(
            f"`recording`: expected at least {_FEWEST_CONDITIONS} conditions, of which each is left out once, got "
            f"{len(labels)}."
        )
    means = recording.average() if (counts > 1).any() else recording
    x = means.values[:, : int(means.lengths.min())]
    if x.shape[1] < _FEWEST_BINS:
        raise ValueError(
            f"`recording`: expected at least {_FEWEST_BINS} bins that all conditions have, got {x.shape[1]}."
        )
    most = min(x.shape[2], (len(x) - 2) * x.shape[1])
    if n_components > most:
        raise ValueError(f"`n_components`: expected at most {most} for {x.shape[2]} units, got {n_components}.")
    if np.ptp(x - x.mean(0)) <= 1e-12 * max(float(np.abs(x).max()), 1e-300):
        raise ValueError("`recording`: expected conditions that differ, got the same activity in all.")
    centred = x - x.mean(0)
    axes, variance = _components(centred, n_components)
    states, steps = _steps(centred @ axes, scheme)
    m = skew_fit(states, steps)
    free = np.linalg.lstsq(states, steps, rcond=None)[0]
    total = float((steps**2).sum())
    held_out, linear = _held_out(x, n_components, scheme)
    rng = np.random.default_rng(seed)
    null = np.array([_held_out(_shuffled(x, rng), n_components, scheme)[0] for _ in range(n_shuffles)])
    p = float(((null >= held_out).sum() + 1) / (n_shuffles + 1))
    if linear <= 0 and held_out <= 0:
        answer = "cannot tell"
    else:
        answer = "rotations" if p <= 0.05 and held_out > 0 else "no rotations beyond chance"
    angles, planes = _planes(m)
    frequency = 2 * np.arctan(angles / 2) if scheme == "midpoint" else angles
    return Rotations(
        answer,
        1 - float(((steps - states @ m) ** 2).sum()) / total,
        1 - float(((steps - states @ free) ** 2).sum()) / total,
        held_out,
        linear,
        p,
        null,
        frequency / (2 * np.pi * recording.bin_size),
        m,
        axes,
        planes,
        centred @ axes @ planes[0],
        variance,
        tuple(map(str, labels)),
    )


def skew_fit(states: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The skew-symmetric M (component, component) that minimises ``|steps - states @ M|``; rows are samples."""
    gram, cross = states.T @ states, states.T @ steps
    # a component that never moves would leave the equation without an answer
    gram = gram + 1e-14 * np.trace(gram) * np.eye(len(gram))
    m = solve_sylvester(gram, gram, cross - cross.T)
    return (m - m.T) / 2


def _components(centred: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    rows = centred.reshape(-1, centred.shape[2])
    _, s, v = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    return v[:n].T, float((s[:n] ** 2).sum() / (s**2).sum())


def _steps(z: np.ndarray, scheme: str) -> tuple[np.ndarray, np.ndarray]:
    """States and steps (sample, component) of z (condition, time, component)."""
    before, after = z[:, :-1], z[:, 1:]
    states = (before + after) / 2 if scheme == "midpoint" else before
    return states.reshape(-1, z.shape[2]), (after - before).reshape(-1, z.shape[2])


def _held_out(x: np.ndarray, n: int, scheme: str) -> tuple[float, float]:
    """R2 of the rotation and of the linear map in conditions that were left out, over all of them together."""
    errors, total = np.zeros(2), 0.0
    for k in range(len(x)):
        rest = np.delete(x, k, axis=0)
        shared = rest.mean(0)
        axes = _components(rest - shared, n)[0]
        states, steps = _steps((rest - shared) @ axes, scheme)
        new, moved = _steps((x[k : k + 1] - shared) @ axes, scheme)
        fits = skew_fit(states, steps), np.linalg.lstsq(states, steps, rcond=None)[0]
        errors += [((moved - new @ m) ** 2).sum() for m in fits]
        total += float((moved**2).sum())
    return float(1 - errors[0] / total), float(1 - errors[1] / total)


def _shuffled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The conditions in another order for each unit."""
    order = np.argsort(rng.random((len(x), x.shape[2])), axis=0)
    return np.take_along_axis(x, order[:, None, :], axis=0)


def _planes(m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of the pairs of eigenvalues (plane,), falling, and bases (plane, component, 2) of their planes."""
    values, vectors = np.linalg.eigh(1j * m)  # Hermitian: real eigenvalues, orthonormal vectors
    order = np.argsort(-values)[: len(m) // 2]
    pairs = [np.stack([np.real(vectors[:, k]), np.imag(vectors[:, k])], 1) * np.sqrt(2) for k in order]
    return np.maximum(values[order], 0.0), np.array(pairs)
