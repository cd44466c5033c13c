"""InputDSA: do two driven systems move alike, and do inputs push them alike? (Huang et al. 2025)

For x_(t+1) = A x_t + B u_t with the same inputs on both sides, the controllability matrices K = [B, AB, ..., A^(T-1) B]
of systems that differ by a rotation of the state, (C A C', C B), differ by that rotation from the left, so that

    joint = min over C in O(n) of |K1 / |K1| - C K2 / |K2||_F     (or its angle, 2 arcsin(joint / 2))

is an orthogonal Procrustes problem: with K1 K2' = U S V', C = U V'. It is zero if and only if the controllable parts
of the systems agree, and a metric. Two partial answers come with it: "state" compares A's alone (as in `dsa`), "input"
B's alone, each with its own best rotation. (In dsa-metric 2.0.2 "joint" applies the transpose of C.)

Trajectories give (A, B) in closed form: by least squares on observed states ("observed", DMD with control), or where
the state is only partly observed by subspace identification from past and future windows ("subspace", in the manner of
N4SID; Van Overschee and De Moor 1996, chapter 4), never across trials.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import scipy.linalg as sla
import torch
from typing_extensions import override

from conjugacy._arrays import read_numbers
from conjugacy._check import check_axes, check_choice, check_int
from conjugacy.similarity.alignment import Operator, align
from conjugacy.similarity.dmd import embed
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.samples import Samples, as_system, check_same_steps, check_varies
from conjugacy.similarity.score import OFF_DATA, Score, Traits, Undefined
from conjugacy.system import System


def joint_distance(
    first: tuple[Any, Any], second: tuple[Any, Any], *, horizon: int | None = None, score: str = "angular"
) -> Score:
    """Distance of two driven linear systems (A, B) under the best common rotation of state.

    Parameters
    ----------
    first, second : pairs of arrays (n, n), (n, m)
        State and input matrices; same n, same inputs m.
    horizon : int, optional
        Steps T over which the effects of inputs are compared. None: n.
    score : {"angular", "euclidean"}
        Radians in [0, pi], or the chord in [0, 2].

    Returns
    -------
    Score
        `diagnostics`: "state" and "input" (the parts, same kind of score), "state_lower_bound", "rotation" (C).

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or an input matrix is zero.
    """
    check_choice("score", score, ("angular", "euclidean"))
    a, b = _pair("first", first), _pair("second", second)
    value, diagnostics = _compare(a, b, horizon, score)
    return InputDSA(score=score).make_score("first", "second", value, diagnostics)


def controllability(A: np.ndarray, B: np.ndarray, horizon: int) -> np.ndarray:
    """[B, AB, ..., A^(horizon - 1) B], (n, horizon * m)."""
    blocks = [B]
    for _ in range(horizon - 1):
        blocks.append(A @ blocks[-1])
    return np.concatenate(blocks, axis=1)


def best_rotation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The orthogonal C (n, n) that minimises |x - C y|_F.

    Directions that carry less than the rounding of x y' are aligned in stages of their own: the singular vectors of the
    product say nothing about them, and systems that inputs hardly reach have many.
    """
    left, _, right = np.linalg.svd(x @ y.T)
    direct = left @ right
    staged = _staged(x, y)
    return min((direct, staged), key=lambda c: np.linalg.norm(x - c @ y))


def _staged(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    n = len(x)
    ux, sx, _ = np.linalg.svd(x)
    uy, sy, _ = np.linalg.svd(y)
    strong = int(min((sx > 1e-4 * sx[0]).sum(), (sy > 1e-4 * sy[0]).sum())) if sx[0] > 0 and sy[0] > 0 else n
    a, b = ux[:, :strong], uy[:, :strong]
    left, _, right = np.linalg.svd(a.T @ x @ y.T @ b)
    c = a @ left @ right @ b.T
    if strong < n:
        a, b = ux[:, strong:], uy[:, strong:]
        c = c + a @ _staged(a.T @ x, b.T @ y) @ b.T
    return c


def _compare(first, second, horizon: int | None, score: str) -> tuple[float, dict[str, Any]]:
    (a1, b1), (a2, b2) = first, second
    n = len(a1)
    if a1.shape != a2.shape or b1.shape != b2.shape:
        raise ValueError(
            f"`second`: expected the sizes of `first`, A {a1.shape} and B {b1.shape}, got {a2.shape} and {b2.shape}. "
            "Fit both with one rank, driven by the same inputs."
        )
    horizon = n if horizon is None else check_int("horizon", horizon, 1)
    k1, k2 = (controllability(a, b, horizon) for a, b in (first, second))
    k1, k2 = k1 / np.linalg.norm(k1), k2 / np.linalg.norm(k2)
    c = best_rotation(k1, k2)
    unit1, unit2 = b1 / np.linalg.norm(b1), b2 / np.linalg.norm(b2)
    inputs = np.linalg.norm(unit1 - best_rotation(unit1, unit2) @ unit2)
    state = align(Operator.of(a1), Operator.of(a2)) if a1.any() and a2.any() else None

    def scored(chord: float) -> float:
        return float(2 * np.arcsin(min(chord / 2, 1.0))) if score == "angular" else float(chord)

    return scored(float(np.linalg.norm(k1 - c @ k2))), {
        "state": scored(state.chord) if state else float("nan"),
        "state_lower_bound": scored(state.lower_bound) if state else float("nan"),
        "input": scored(float(inputs)),
        "rotation": c,
        "horizon": horizon,
    }


@dataclass(frozen=True, eq=False)
class DrivenOperator:
    """A fitted driven linear system.

    Attributes
    ----------
    A : array (rank, rank)
    B : array (rank, input)
    r2 : float
        Share of the variance of the next state that A and B explain, on the data of the fit.
    sums : dict of arrays (trial, ...)
        Products of regressors and targets by trial.
    name : str
        Name of the system.
    dt : float or None
        Seconds per step.
    """

    A: np.ndarray
    B: np.ndarray
    r2: float
    sums: dict[str, np.ndarray]
    name: str = "system"
    dt: float | None = None

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self.sums["zz"])


def identify(
    system: System | Any,
    rank: int,
    n_delays: int = 1,
    *,
    inputs: Any = None,
    method: str = "observed",
) -> DrivenOperator:
    """State and input matrices of the driven linear system nearest to trajectories, in closed form.

    Parameters
    ----------
    system : System with inputs, or array (trial, time, unit)
    rank : int
        Size of the state.
    n_delays : int
        "observed": states per embedded row; "subspace": length of the past and of the future window.
    inputs : array (trial, time, input), optional
        For trajectories given as an array; row t drives the step that ends in state t.
    method : {"observed", "subspace"}

    Raises
    ------
    ValueError
        If there are no inputs, trials are too short, or `rank` exceeds the rank of the data.
    """
    if inputs is not None:
        given = as_system("system", system)
        u = as_system("inputs", inputs).trajectories
        check_axes("inputs", u, "trial time input", trial=given.n_trials, time=given.trajectories.shape[1])
        system = replace(given, inputs=u)
    system = as_system("system", system)
    check_int("rank", rank, 1)
    check_int("n_delays", n_delays, 1)
    check_choice("method", method, ("observed", "subspace"))
    if system.inputs is None:
        raise ValueError(f"`inputs`: {system.name!r} has none. Give inputs (trial, time, input), or use 'dsa'.")
    samples = Samples.of(system)
    check_varies(samples, "input_dsa")
    u = system.inputs.detach().cpu().to(torch.float64).numpy()
    u = np.where(samples.valid[..., None], u - u[samples.valid].mean(0), 0.0)
    if method == "observed":
        e = embed(system, rank, n_delays)
        states, rows, offset = e.coordinates, e.rows, n_delays - 1
    else:
        states, rows, offset = _subspace_states(samples, u, rank, n_delays)
    return replace(_regress(_driven_sums(states, rows, u[:, offset:])), name=system.name, dt=system.dt)


def _driven_sums(states: np.ndarray, rows: np.ndarray, u: np.ndarray) -> dict[str, np.ndarray]:
    """Products by trial, of z_t = [x_t, u_(t+1), 1] and x_(t+1); row t of `u` leads into row t of `states`."""
    z, y = [], []
    for x, n, drive in zip(states, rows, u):
        z.append(np.concatenate([x[: n - 1], drive[1:n], np.ones((n - 1, 1))], axis=1))
        y.append(x[1:n])
    return {
        "zz": np.stack([a.T @ a for a in z]),
        "zy": np.stack([a.T @ b for a, b in zip(z, y)]),
        "yy": np.stack([(b**2).sum() for b in y]),
    }


def _regress(sums: dict[str, np.ndarray], weights: np.ndarray | None = None) -> DrivenOperator:
    w = np.ones(len(sums["zz"])) if weights is None else weights.astype(float)
    zz, zy, yy = (np.tensordot(w, sums[key], 1) for key in ("zz", "zy", "yy"))
    # inputs that never vary have no effect that could be known: least norm
    ab = np.asarray(sla.lstsq(zz, zy, cond=1e-12, check_finite=False)[0]).T  # type: ignore[index]
    rank = zy.shape[1]
    r2 = 1 - (yy - 2 * np.sum(ab * zy.T) + np.sum((ab @ zz) * ab)) / yy
    return DrivenOperator(ab[:, :rank], ab[:, rank:-1], float(r2), sums)


def _subspace_states(samples: Samples, u: np.ndarray, rank: int, window: int) -> tuple[np.ndarray, np.ndarray, int]:
    """State estimates (trial, row, rank) from windows of past outputs and inputs; rows by trial; offset of row 0.

    The outputs of the next `window` steps are regressed on past outputs, past inputs and the inputs to come; what the
    past contributes is (extended observability matrix) x (state), and its leading components are the state.
    """
    d, p = window, samples.n_units
    y = np.where(samples.valid[..., None], samples.x - samples.rows().mean(0), 0.0)
    y = y / np.sqrt((y**2).sum() / samples.lengths.sum())  # so that cut-offs do not depend on units
    past, ahead, drive = [], [], []
    need = 2 * d + 1
    if samples.lengths.min() < need:
        raise ValueError(
            f"`n_delays`: windows of {d} need trials of at least {need} steps, got {samples.lengths.min()} in "
            f"{samples.name!r}. Use fewer."
        )
    for x, v, n in zip(y, u, samples.lengths):
        # the state after step t, seen from steps t - d + 1 .. t, and the outputs of t .. t + d - 1
        t = np.arange(d - 1, n - d + 1)
        back, on = t[:, None] - np.arange(d), t[:, None] + np.arange(d)
        past.append(np.concatenate([x[back].reshape(len(t), -1), v[back].reshape(len(t), -1)], axis=1))
        ahead.append(x[on].reshape(len(t), -1))
        drive.append(v[on[:, 1:]].reshape(len(t), -1))
    z, f, g = np.concatenate(past), np.concatenate(ahead), np.concatenate(drive)
    regressors = np.concatenate([z, g, np.ones((len(z), 1))], axis=1)
    weights = np.asarray(sla.lstsq(regressors, f, cond=1e-10, check_finite=False)[0])[: z.shape[1]]  # type: ignore[index]
    _, s, vt = sla.svd(z @ weights, full_matrices=False, check_finite=False)
    most = int((s > 1e-10 * s[0]).sum())
    if rank > most:
        raise ValueError(
            f"`rank`: the past of {samples.name!r} ({p} units, windows of {d}) predicts {most} dimensions of its "
            f"future, got {rank}. Use rank <= {most}, or longer windows."
        )
    project = weights @ vt[:rank].T / np.sqrt(s[:rank]) * len(z) ** 0.25
    # windows at every step that has a full past, to the end of the trial
    rows = samples.lengths - d + 1
    states = np.zeros((samples.n_trials, rows.max(), rank))
    for k, (x, v, n) in enumerate(zip(y, u, samples.lengths)):
        t = np.arange(d - 1, n)
        back = t[:, None] - np.arange(d)
        window_rows = np.concatenate([x[back].reshape(len(t), -1), v[back].reshape(len(t), -1)], axis=1)
        states[k, : n - d + 1] = window_rows @ project
    return states, rows, d - 1


@dataclass(frozen=True)
class InputDSA(Measure):
    """Distance of driven linear systems fitted to two systems; see the module docstring.

    Attributes
    ----------
    rank, n_delays, method
        See `identify`.
    part : {"joint", "state", "input"}
    score : {"angular", "euclidean"}
    horizon : int or None
        Steps over which effects of inputs are compared; None: `rank`.
    """

    # surrogates that keep what inputs do to a system are not known: only other systems are a null
    automatic_null: ClassVar[str | None] = None

    rank: int = 10
    n_delays: int = 10
    method: str = "observed"
    part: str = "joint"
    score: str = "angular"
    horizon: int | None = None

    def __post_init__(self):
        check_int("rank", self.rank, 1)
        check_int("n_delays", self.n_delays, 1)
        check_choice("method", self.method, ("observed", "subspace"))
        check_choice("part", self.part, ("joint", "state", "input"))
        check_choice("score", self.score, ("angular", "euclidean"))
        if self.horizon is not None:
            check_int("horizon", self.horizon, 1, hint="Or None for `rank`.")

    @property
    @override
    def traits(self) -> Traits:
        name = "input_dsa" if self.part == "joint" else f"input_dsa_{self.part}"
        return Traits(
            name=name if self.score == "angular" else f"{name}_euclidean",
            version="1",
            summary=f"{self.part} distance of driven linear systems (rank {self.rank}, {self.n_delays} delays)",
            needs="inputs",
            low=0.0,
            high=np.pi if self.score == "angular" else 2.0,
            perfect=0.0,
            higher_is_more_similar=False,
            is_metric=True,
            per_step=True,
            invariances=frozenset({"rotation", "mirror", "permutation", "scaling", "translation", "other size"}),
            # input matrices do not depend on what the dynamics do next
            blind_to=OFF_DATA
            | ({"other dynamics, same geometry", "fixed point removed"} if self.part == "input" else set()),
            reference="Huang, Ostrow, Singh, Kozachkov, Fiete, Rajan 2025",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> DrivenOperator:
        del train
        return identify(system, self.rank, self.n_delays, method=self.method)

    @override
    def compare(self, a: DrivenOperator, b: DrivenOperator) -> tuple[float, dict[str, Any]]:
        check_same_steps(a, b, self.name, "'spectrum_w2_continuous'")
        for f in (a, b):
            # a matrix of rounding errors has a direction too
            if np.linalg.norm(f.B) <= 1e-12 * max(1.0, float(np.linalg.norm(f.A))):
                raise Undefined(
                    f"`inputs` of {f.name!r}: {self.name!r} is undefined, got inputs that move no state (they never "
                    "vary, or are not heard). Use 'dsa'."
                )
        value, diagnostics = _compare((a.A, a.B), (b.A, b.B), self.horizon, self.score)
        diagnostics |= {"r2_a": a.r2, "r2_b": b.r2}
        diagnostics["joint"] = value
        part = diagnostics[self.part]
        if np.isnan(part):
            raise Undefined(
                f"`part`: the {self.part} distance is undefined, got a state matrix that is zero. Use 'input'."
            )
        if np.isnan(diagnostics["state"]):
            diagnostics["warnings"] = ("diagnostics['state'] is undefined: a state matrix is zero",)
        return part, diagnostics

    @override
    def resample(self, features: DrivenOperator, counts: np.ndarray) -> DrivenOperator:
        return replace(_regress(features.sums, counts), name=features.name, dt=features.dt)


def _pair(name: str, pair: tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"`{name}`: expected a pair (A, B), got {type(pair).__name__}.")
    a, b = (read_numbers(f"{name}[{k}]", m, "a matrix").numpy() for k, m in enumerate(pair))
    if a.ndim != 2 or a.shape[0] != a.shape[1] or b.ndim != 2 or len(b) != len(a):
        raise ValueError(f"`{name}`: expected A (n, n) and B (n, m), got {a.shape} and {b.shape}.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"`{name}`: expected finite values in A and B, got NaN or infinite ones.")
    if not b.any():
        raise ValueError(f"`{name}`: B is zero, so inputs have no effect to compare. Use vector_field_angle(A1, A2).")
    return a, b
