"""FixedPoints: the distinct fixed points of a system at one held input, with what is established about each."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._lazy import higher
from conjugacy.dynamics.audit import Audit, SearchRecord, judge
from conjugacy.dynamics.cycles import Cycle
from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.points_file import read, write


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """P points (fixed first, then slow, then unresolved), all in float64.

    Attributes
    ----------
    x : Tensor (P, D)
    u : Tensor (P, I)
        The held input.
    q : Tensor (P,)
        ``0.5 |F(x, u) - x|^2`` at the x that is returned (a flow: ``0.5 |F(x, u)|^2``).
    kind : ndarray of str (P,)
        "fixed": a zero to rounding. "slow": a local minimum of q that is none. "unresolved": neither established.
    jacobian, input_jacobian : Tensor (P, D, D) and (P, D, I)
        dF/dx and dF/du.
    eigenvalues : complex Tensor (P, D)
        Of the Jacobian, the slowest first: by falling modulus (a flow: by falling real part).
    n_unstable : Tensor (P,), int64
        Number of eigenvalues with modulus > 1 (a flow: real part > 0).
    index : Tensor (P,), int64
        sign det(I - J) (a flow: sign det(-J)); 0 where the point is not isolated or not fixed.
    certificate : ndarray of str (P,)
        "kantorovich", "contraction", "continuum" or "none"; see `conjugacy.dynamics.certificate`.
    radius, error : Tensor (P,)
        Exactly one zero lies within `radius` (0: not established), and it is at most `error` away.
    isolated : bool Tensor (P,)
        False for points of a line or ring, and at folds.
    hits : Tensor (P,), int64
        Number of starts that reached the point.
    horizon : Tensor (P,)
        Steps for which a memory at the point is kept: inf at stable fixed points, NaN at saddles, and for slow points
        the number of steps until the readout (the state, where there is none) has left by a tenth of its spread.
    flow : bool
    dt : float or None
        Seconds per step (a flow: per unit of time).
    cycles : tuple of Cycle
        Periodic orbits on which orbits of the search settled; see `conjugacy.dynamics.cycles`.
    record : SearchRecord
        What the search did.
    dynamics : Map or None
        The map itself, for portraits and paths; it is not saved.
    """

    x: Tensor
    u: Tensor
    q: Tensor
    kind: np.ndarray
    jacobian: Tensor
    input_jacobian: Tensor
    eigenvalues: Tensor
    n_unstable: Tensor
    index: Tensor
    certificate: np.ndarray
    radius: Tensor
    error: Tensor
    isolated: Tensor
    hits: Tensor
    horizon: Tensor
    flow: bool = False
    dt: float | None = None
    cycles: tuple[Cycle, ...] = ()
    record: SearchRecord = field(default_factory=SearchRecord)
    dynamics: Map | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: Any) -> FixedPoints:
        """The points `which`: a slice, a boolean mask, indices, or one index (then P = 1)."""
        index = np.atleast_1d(np.arange(len(self))[np.asarray(which) if not isinstance(which, slice) else which])
        keep = torch.from_numpy(index)
        part = {
            f.name: getattr(self, f.name)[keep if isinstance(getattr(self, f.name), Tensor) else index]
            for f in fields(self)
            if isinstance(getattr(self, f.name), (Tensor, np.ndarray))
        }
        sample = tuple(self.record.sample[k] for k in index if k < len(self.record.sample))
        selection = self.record.selection or int((part["kind"] == "fixed").sum()) < int(self.fixed.sum())
        return replace(self, **part, record=replace(self.record, sample=sample, selection=selection))

    def __repr__(self) -> str:
        fixed = self.fixed
        if not len(self):
            return f"FixedPoints(none found from {self.record.n_starts} starts)"
        names = {0: "stable", 1: "with 1 unstable direction"}
        parts = [f"{n} {names.get(k, f'with {k}')}" for k, n in self.counts.items()]
        other = Counter(k for k in self.kind.tolist() if k != "fixed")
        parts += [f"{n} {kind}" for kind, n in other.items()]
        sum_ = "" if self.index_sum is None else f"; index sum {self.index_sum:+d}"
        return f"FixedPoints({int(fixed.sum())} fixed: {', '.join(parts)}{sum_})"

    @property
    def fixed(self) -> np.ndarray:
        """Boolean (P,): True where `kind` is "fixed"."""
        return self.kind == "fixed"

    @property
    def counts(self) -> dict[int, int]:
        """Number of fixed points by number of unstable directions."""
        return dict(sorted(Counter(self.n_unstable[torch.from_numpy(self.fixed)].tolist()).items()))

    @property
    def index_sum(self) -> int | None:
        """Sum of the indices of the fixed points; None where points that are not isolated have no index."""
        fixed = torch.from_numpy(self.fixed)
        return int(self.index[fixed].sum()) if bool(self.isolated[fixed].all()) else None

    @property
    def distinct(self) -> bool:
        """Whether the balls in which the zeros of the isolated fixed points lie are disjoint: no zero counted twice."""
        some = torch.from_numpy(self.fixed) & self.isolated
        gap = distances(self.x[some], self.x[some]) - self.error[some] - self.error[some][:, None]
        return bool((gap.fill_diagonal_(1.0) > 0).all())

    @property
    def speed(self) -> Tensor:
        """``|F(x, u) - x|`` per step (a flow: ``|F(x, u)|`` per unit of time), (P,)."""
        return (2 * self.q).sqrt()

    @property
    def time_constants(self) -> Tensor:
        """e-folding times of the modes in steps (a flow: units of time), (P, D): > 0 decaying, < 0 growing."""
        rate = self.eigenvalues.real if self.flow else self.eigenvalues.abs().clamp_min(1e-300).log()
        return -1 / rate

    @property
    def time_constants_s(self) -> Tensor | None:
        """`time_constants` in seconds, where `dt` is known."""
        return None if self.dt is None else self.time_constants * self.dt

    @cached_property
    def modes(self) -> tuple[Tensor, Tensor]:
        """Right eigenvectors (P, D, D; columns) and left ones (P, D, D; rows), ordered as `eigenvalues`.

        Right vectors have unit length, and left @ right is the identity.
        """
        values, right = torch.linalg.eig(self.jacobian)
        order = _slowest_first(values, self.flow)
        right = torch.gather(right, 2, order[:, None, :].expand_as(right))
        left, info = torch.linalg.inv_ex(right)
        if bool((info != 0).any()):
            left = torch.linalg.pinv(right)
        return right, left

    @property
    def readout(self) -> Tensor | None:
        """The readout at each point (P, O), where the system has one."""
        if self.dynamics is None or self.dynamics.readout is None:
            return None
        with torch.no_grad():
            return _read(self.dynamics.readout, self.x)

    def audit(self) -> Audit:
        """What is established about the completeness of the set, and what is not; print it."""
        fixed = self.fixed
        return judge(
            self.record,
            index=self.index[torch.from_numpy(fixed)].tolist(),
            isolated=self.isolated[torch.from_numpy(fixed)].tolist(),
            hits=self.hits[torch.from_numpy(fixed)].tolist(),
            proven=int((self.certificate[fixed] == "kantorovich").sum()),
            sampled=int((self.certificate[fixed] == "contraction").sum()),
            distinct=self.distinct,
            n_slow=int((self.kind == "slow").sum()),
            n_unresolved=int((self.kind == "unresolved").sum()),
        )

    def portrait(self, **options):
        """The skeleton of the flow; options as in `conjugacy.dynamics.portrait`."""
        return higher("dynamics._portrait", "portrait")(self, **options)

    def attractors(self, x0=None, **options):
        """All that orbits settle on under the same input; options as in `conjugacy.attractors`."""
        if self.dynamics is None:
            raise ValueError(
                "`attractors`: expected fixed points that know their map. Load them with load(path, as_map(..))."
            )
        known = self.dynamics.visited is not None
        attractors = higher("dynamics._attractors", "attractors")
        return attractors(self.dynamics, self.u[0], self.x if x0 is None and not known else x0, **options)

    def table(self):
        """One row a point, as a pandas DataFrame; times in steps (a flow: in its unit), and in s where dt is known."""
        import pandas as pd

        slowest = self.time_constants[:, 0] if len(self) else torch.zeros(0)
        columns: dict[str, Any] = {
            "kind": self.kind,
            "n_unstable": self.n_unstable.numpy(),
            "index": self.index.numpy(),
            "q": self.q.numpy(),
            "speed": self.speed.numpy(),
            "max_eigenvalue": self.eigenvalues[:, 0].numpy() if len(self) else np.zeros(0),
            "time_constant": slowest.numpy(),
        }
        if self.dt is not None:
            columns["time_constant_s"] = (slowest * self.dt).numpy()
        columns |= {
            "certificate": self.certificate,
            "radius": self.radius.numpy(),
            "hits": self.hits.numpy(),
            "horizon": self.horizon.numpy(),
        }
        readout = self.readout
        if readout is not None:
            columns |= {f"readout_{k}": readout[:, k].numpy() for k in range(readout.shape[1])}
        return pd.DataFrame(columns).rename_axis("point")

    def save(self, path: str | PathLike) -> None:
        """Write everything but `dynamics` to an npz file (numbers and strings only, no pickle)."""
        write(path, {f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: str | PathLike, dynamics: Map | None = None) -> FixedPoints:
        """Read what `save` wrote; give `dynamics` (see `as_map`) to have portraits and readouts again.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no such file, was changed since, or is of a format that this version does not know.
        """
        return cls(**read(path), dynamics=dynamics)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: everything but `dynamics`, as with `save`."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"dynamics": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __deepcopy__(self, memo: dict[int, Any]) -> FixedPoints:
        """A copy with arrays of its own and the same `dynamics`."""
        own = {f.name: copy.deepcopy(getattr(self, f.name), memo) for f in fields(self) if f.name != "dynamics"}
        return replace(self, **own)

    def __copy__(self) -> FixedPoints:
        return replace(self)

    # the names of the seed notebook and of other fixed-point finders, as NumPy arrays

    @property
    def xstar(self) -> np.ndarray:
        """`x` as an array (P, D)."""
        return self.x.numpy()

    @property
    def qstar(self) -> np.ndarray:
        """`q` as an array (P,)."""
        return self.q.numpy()

    @property
    def is_stable(self) -> np.ndarray:
        """Boolean (P,): no unstable direction."""
        return self.n_unstable.numpy() == 0

    @property
    def J_xstar(self) -> np.ndarray:
        """`jacobian` as an array (P, D, D)."""
        return self.jacobian.numpy()

    @property
    def eigval_J_xstar(self) -> np.ndarray:
        """`eigenvalues` as an array (P, D)."""
        return self.eigenvalues.numpy()

    @property
    def eigvec_J_xstar(self) -> np.ndarray:
        """Right eigenvectors as an array (P, D, D), in columns."""
        return self.modes[0].numpy()


def sorted_eigenvalues(jacobian: Tensor, flow: bool) -> Tensor:
    """Eigenvalues (P, D), the slowest first."""
    values = torch.linalg.eigvals(jacobian)
    return torch.gather(values, 1, _slowest_first(values, flow))


def _slowest_first(values: Tensor, flow: bool) -> Tensor:
    return (values.real if flow else values.abs()).argsort(dim=1, descending=True, stable=True)


def _read(readout, x: Tensor) -> Tensor:
    y = readout(x)
    return y.detach().double() if y.ndim == 2 else y.detach().double().reshape(len(x), -1)
