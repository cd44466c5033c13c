"""FixedPoints: the distinct fixed points of a system at one held input, with what is established about each."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
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
from conjugacy.dynamics.memory_graph import memories_of
from conjugacy.dynamics.plateaus import Plateau
from conjugacy.dynamics.points_file import read, write
from conjugacy.dynamics.points_table import horizons_of, summary_of, table_of


def _nothing() -> Tensor:
    return torch.zeros(0, dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """P points (fixed first, then held, slow, unresolved), all in float64.

    Attributes
    ----------
    x : Tensor (P, D)
    u : Tensor (P, I)
        The held input.
    q : Tensor (P,)
        ``0.5 |F(x, u) - x|^2`` at the x that is returned (a flow: ``0.5 |F(x, u)|^2``).
    kind : ndarray of str (P,)
        "fixed": a zero to rounding. "held": no zero, but a state that rests for `asked_horizon` steps. "slow": a local
        minimum of q that does neither. "unresolved": none of these established.
    jacobian, input_jacobian : Tensor (P, D, D) and (P, D, I)
        dF/dx and dF/du.
    eigenvalues : complex Tensor (P, D)
        Of the Jacobian, the slowest first: by falling modulus (a flow: by falling real part).
    n_unstable : Tensor (P,), int64
        Number of eigenvalues with modulus > 1 (a flow: real part > 0); at held points, > 1 + 3 / `asked_horizon`.
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
        Steps for which a memory at the point is kept: inf at stable fixed points, NaN at saddles, and for held and slow
        points the number of steps until the readout (the state, where there is none) has left by a tenth of its
        spread; at held points a lower bound, as long as they were followed.
    flow : bool
    dt : float or None
        Seconds per step (a flow: per unit of time).
    cycles : tuple of Cycle
        Periodic orbits on which orbits of the search settled; see `conjugacy.dynamics.cycles`.
    record : SearchRecord
        What the search did.
    asked_horizon : float or None
        The horizon of the search in steps (a flow: in its unit of time); None: exact points only.
    n_neutral, n_ambiguous : Tensor (P,), int64
        Modes with modulus within 1 / `asked_horizon` of one, and those between 1 + 1/H and 1 + 3/H, of which the
        horizon does not tell whether they grow (a flow: by real parts).
    distance : Tensor (P,)
        Distance to the nearest visited state, in units of the spread of the visited states.
    scale : float or None
        That spread: the root mean square distance of the visited states from their mean.
    reach : float
        Points with a larger `distance` are listed, but not counted; see `counted`.
    reached : bool Tensor (P,)
        False for stable points at which no orbit from the data was seen to end.
    node : Tensor (P,), int64
        The plateau on which the point lies, as a number in `plateaus`; -1: none.
    sides : ndarray of str (P,)
        Of held saddles, the plateaus (numbers, separated by commas) to which their growing directions lead; "-1": none.
    plateaus : tuple of Plateau
        The sets of states on which orbits from the data rest; empty where the exact points tell all.
    walls : tuple of (plateau, plateau, count)
        Pairs of plateaus whose basins meet, and how many walls were seen between them.
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
    asked_horizon: float | None = None
    n_neutral: Tensor = field(default_factory=_nothing)
    n_ambiguous: Tensor = field(default_factory=_nothing)
    distance: Tensor = field(default_factory=_nothing)
    scale: float | None = None
    reach: float = float("inf")
    reached: Tensor = field(default_factory=_nothing)
    node: Tensor = field(default_factory=_nothing)
    sides: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype="U1"))
    plateaus: tuple[Plateau, ...] = ()
    walls: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self):
        # what older files, and searches without a horizon, do not know
        n = len(self.x)
        unknown = {
            "n_neutral": torch.zeros(n, dtype=torch.int64),
            "n_ambiguous": torch.zeros(n, dtype=torch.int64),
            "distance": torch.full((n,), torch.nan, dtype=torch.float64),
            "reached": torch.ones(n, dtype=torch.bool),
            "node": torch.full((n,), -1),
            "sides": np.full(n, "", dtype="U1"),
        }
        for name, value in unknown.items():
            if len(getattr(self, name)) != n:
                object.__setattr__(self, name, value)

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
        held = other.pop("held", 0)
        n_memories = int((self.memories & (self.kind == "held")).sum())
        parts += [f"{held} held for {self.asked_horizon:g}, {n_memories} of them memories"] if held else []
        parts += [f"{n} {kind}" for kind, n in other.items()]
        far = int((~self.counted).sum())
        parts += [f"{far} beyond reach"] if far else []
        sum_ = "" if self.index_sum is None else f"; index sum {self.index_sum:+d}"
        return f"FixedPoints({int((fixed & self.counted).sum())} fixed: {', '.join(parts)}{sum_})"

    @property
    def fixed(self) -> np.ndarray:
        """Boolean (P,): True where `kind` is "fixed"."""
        return self.kind == "fixed"

    @property
    def counted(self) -> np.ndarray:
        """Boolean (P,): True where `distance` is within `reach`, or not known."""
        return ~(self.distance > self.reach).numpy()

    @property
    def memories(self) -> np.ndarray:
        """Boolean (P,): True for one point of each memory, that is of each set of states on which orbits rest.

        Of a search whose exact points tell all, these are the stable ones.
        """
        first = np.zeros(len(self), dtype=bool)
        for k in range(len(self.plateaus)):
            rows = torch.nonzero(self.node == k)[:, 0]
            if len(rows):
                first[int(rows[self.n_unstable[rows].argmin()])] = True
        return first if self.plateaus else self.fixed & self.counted & self.is_stable

    @property
    def counts(self) -> dict[int, int]:
        """Number of fixed points within reach by number of unstable directions."""
        return dict(sorted(Counter(self.n_unstable[torch.from_numpy(self.fixed & self.counted)].tolist()).items()))

    @property
    def index_sum(self) -> int | None:
        """Sum of the indices of the fixed points; None where points that are not isolated have no index.

        Over all of them where it is known what the sum must be (a box is kept), else over those within reach.
        """
        fixed = torch.from_numpy(self.fixed if self.record.expected_index is not None else self.fixed & self.counted)
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

    def memory_of(self, x: Tensor, n_steps: int | None = None) -> Tensor:
        """The number in `plateaus` of the memory at which each state (N, D) is after `n_steps`, or -1; int64 (N,).

        By default after one horizon; 0 asks of states that rest already. See `conjugacy.dynamics.memory_graph`.

        Raises
        ------
        ValueError
            If the points have no plateaus, or have lost their dynamics.
        """
        if self.dynamics is None or self.asked_horizon is None or self.scale is None or not self.plateaus:
            raise ValueError(
                "`memory_of`: expected points with plateaus and dynamics, got ones without. Search with a horizon; "
                "where exact points tell all, orbits end at the nearest stable one."
            )
        visited = self.x if self.dynamics.visited is None else self.dynamics.visited
        known = memories_of(self.dynamics, self.plateaus, self.u[0], visited, self.scale, self.asked_horizon)
        return known.name(x.double(), n_steps)

    def held_certificate(self, radius=None, **options):
        """For how many steps, and from how far around, each of `memories` is held; see `held_certificate`."""
        if self.dynamics is None:
            raise ValueError(
                "`held_certificate`: expected fixed points that know their map. Load them with load(path, as_map(..))."
            )
        certify = higher("dynamics._held_certificate", "held_certificate")
        return certify(self.dynamics, self.x[torch.from_numpy(self.memories)], self.u[0], radius, **options)

    def audit(self) -> Audit:
        """What is established about the completeness of the set, and what is not; print it."""
        fixed = self.fixed if self.record.expected_index is not None else self.fixed & self.counted
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
            n_held=int((self.kind == "held").sum()),
            shares=tuple(plateau.share for plateau in self.plateaus),
            n_far=int((self.distance > self.reach).sum()),
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
        return table_of(self)

    def at_horizons(self, horizons: Sequence[float]):
        """What of these points holds for other horizons, in steps (a flow: its unit of time); one row a horizon.

        A pandas DataFrame: "fixed" exact points; "memories" that were seen to hold so long; "saddles", that is held
        points with growing directions whose speed times the horizon is below 5 % of the spread; "ambiguous" ones.
        """
        return horizons_of(self, horizons)

    def summary(self) -> str:
        """One plain sentence of what was found and how sure it is, and one of what lies away from the data."""
        return summary_of(self)

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
