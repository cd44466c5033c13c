"""Wasserstein distances between spectra: the same modes, at the same speeds?

The eigenvalues of a fitted operator do not depend on coordinates at all, linear or (with enough delays) nonlinear, and
are compared as clouds of equal weights in the complex plane:

    W_p = (min over couplings of the mean of |lambda_i - mu_j|^p)^(1/p)

W_p is a metric, on spectra; W_2^2, which circulates under the name of a distance, is not. Spectra are blind to
non-normality: systems with equal eigenvalues may differ in all their transients. For normal operators the best rotation
gives |A - C B C'|_F^2 = n W_2^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from typing_extensions import override

from conjugacy._check import check_choice, check_flag, check_int
from conjugacy.similarity.dsa import UNEQUAL, OperatorFeatures, OperatorMeasure
from conjugacy.similarity.samples import check_same_steps, clocks, kind_of
from conjugacy.similarity.score import OFF_DATA, Traits

_DEAD = 1e-12  # modulus of eigenvalues that rounding cannot tell from zero
POLICIES = ("error", "min", "uniform", "zero")


def wasserstein(x: Any, y: Any, p: int = 2, unequal: str = "error") -> float:
    """Wasserstein distance W_p between two finite sets of complex numbers (or of points (point, axis)).

    Parameters
    ----------
    x, y : complex arrays (point,), or real arrays (point, axis)
    p : {1, 2}
    unequal : {"error", "uniform", "zero"}
        If the sets differ in size: raise; give each set equal weights that sum to 1 and split them; or fill the smaller
        set with zeros.

    Raises
    ------
    ValueError
        If the sizes differ and no policy is named, or a set is empty or not finite.
    """
    check_int("p", p, 1, 2)
    check_choice("unequal", unequal, ("error", "uniform", "zero"))
    x, y = _points("x", x), _points("y", y)
    if len(x) != len(y):
        if unequal == "error":
            raise ValueError(
                f"`y`: expected as many points as `x`, {len(x)}, got {len(y)}. Name what to do: unequal='uniform' "
                "splits weights, 'zero' fills with zeros."
            )
        if unequal == "zero":
            n = max(len(x), len(y))
            x, y = (np.concatenate([s, np.zeros((n - len(s), s.shape[1]))]) for s in (x, y))
    cost = np.linalg.norm(x[:, None] - y[None], axis=2) ** p
    if len(x) == len(y):
        rows, columns = linear_sum_assignment(cost)
        return float(cost[rows, columns].mean() ** (1 / p))
    return float(_transport(cost) ** (1 / p))


@dataclass(frozen=True)
class Spectrum(OperatorMeasure):
    """Wasserstein distance between the eigenvalues of fitted operators; see the module docstring.

    Attributes
    ----------
    p : {1, 2}
    continuous : bool
        Compare log(lambda) / dt, in 1 / s (or per step where neither system has a dt), in the place of lambda: the same
        flow sampled at other rates agrees then.
    unequal : {"error", "min", "uniform", "zero"}
        If ranks differ: raise; cut both to the smaller rank; split weights; or fill with zeros.
    """

    p: int = 2
    continuous: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_int("p", self.p, 1, 2)
        check_flag("continuous", self.continuous)

    @override
    def _policies(self) -> tuple[str, ...]:
        return POLICIES

    @property
    @override
    def traits(self) -> Traits:
        invariances = {"rotation", "mirror", "permutation", "scaling", "other size"}
        if self.center:
            invariances.add("translation")
        return Traits(
            name=f"spectrum_w{self.p}" + ("_continuous" if self.continuous else ""),
            version="1",
            summary=f"Wasserstein-{self.p} distance of eigenvalues (rank {self.rank}, {self.n_delays} delays)",
            needs="trajectories",
            low=0.0,
            high=np.inf,
            perfect=0.0,
            higher_is_more_similar=False,
            is_metric=True,
            per_step=not self.continuous,
            invariances=frozenset(invariances),
            blind_to=OFF_DATA | {"fixed point removed", "other non-normality, same spectrum"},
            reference="Redman et al. 2023; Ostrow et al. 2023",
        )

    @override
    def compare(self, a: OperatorFeatures, b: OperatorFeatures) -> tuple[float, dict[str, Any]]:
        self._check_steps(a, b)
        if self.unequal in UNEQUAL:
            a, b = self._matched(a, b)
        x, y = (
            self._values(f, dt) for f, dt in zip((a, b), clocks(a, b, self.name) if self.continuous else (1.0, 1.0))
        )
        policy = self.unequal if self.unequal in ("uniform", "zero") else "error"
        details = {"rank_a": len(x), "rank_b": len(y), "n_delays": self.n_delays}
        return wasserstein(x, y, self.p, policy), {**details, **self.doubts(a, b)}

    @override
    def doubts(self, a: OperatorFeatures, b: OperatorFeatures) -> dict[str, Any]:
        texts = list(super().doubts(a, b).get("warnings", ()))
        for f in (a, b) if self.continuous else ():
            dead = int((np.abs(f.dmd.eigenvalues) < _DEAD).sum())
            if dead:
                texts.append(
                    f"{dead} modes of {f.name!r} die within a step: their rates are minus infinity, and log({_DEAD:g}) "
                    "per step is taken"
                )
        return {"warnings": tuple(texts)} if texts else {}

    @override
    def _check_steps(self, a: OperatorFeatures, b: OperatorFeatures) -> None:
        if not self.continuous:
            check_same_steps(a, b, self.name, f"get_measure('{self.name}', continuous=True)")

    def _values(self, features: OperatorFeatures, dt: float) -> np.ndarray:
        values = features.dmd.eigenvalues.astype(complex)
        if not self.continuous:
            return values
        return np.log(np.where(np.abs(values) < _DEAD, _DEAD, values)) / dt


def _points(name: str, x: Any) -> np.ndarray:
    given, x = x, np.asarray(x)
    if not np.issubdtype(x.dtype, np.number):
        raise TypeError(f"`{name}`: expected numbers (point,) or points (point, axis), got {kind_of(given)}.")
    if np.iscomplexobj(x) or x.ndim == 1:
        x = np.stack([x.real, x.imag], axis=-1)
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"`{name}`: expected points (point,) or (point, axis), got {kind_of(given)}.")
    if not np.isfinite(x).all():
        raise ValueError(f"`{name}`: expected finite values, got {int((~np.isfinite(x)).sum())} NaN or infinite.")
    return x.astype(np.float64)


def _transport(cost: np.ndarray) -> float:
    """Least cost of carrying equal weights from rows to columns, by linear programming."""
    from scipy.optimize import linprog

    n, m = cost.shape
    rows = np.repeat(np.arange(n), m)
    columns = n + np.tile(np.arange(m), n)
    cells = np.arange(n * m)
    constraints = csr_array(
        (np.ones(2 * n * m), (np.concatenate([rows, columns]), np.concatenate([cells, cells]))), shape=(n + m, n * m)
    )
    weights = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    result = linprog(cost.ravel(), A_eq=constraints, b_eq=weights, bounds=(0, None), method="highs")
    return float(result.fun)
