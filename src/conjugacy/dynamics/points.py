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

from conjugacy._arrays import read_numbers
from conjugacy._check import check_axes, check_int, shown
from conjugacy._files import check_path
from conjugacy._lazy import elsewhere, higher
from conjugacy.dynamics.audit import Audit, Evidence, SearchRecord, judge
from conjugacy.dynamics.cycles import Cycle
from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.eigenmodes import modes_of
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.memory_graph import memories_of
from conjugacy.dynamics.notebook_names import NOTEBOOK_NAMES
from conjugacy.dynamics.plateaus import Plateau
from conjugacy.dynamics.points_arrays import AXES, LATER, as_array, check_shapes, rows_of, unknown
from conjugacy.dynamics.points_file import read, write
from conjugacy.dynamics.points_table import horizons_of, html_of, repr_of, summary_of, table_of


def _nothing() -> np.ndarray:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """P points (fixed first, then held, slow, unresolved) as NumPy arrays.

    Numbers are float64, int64 and complex128; tensors and lists that are given are converted.

    Attributes
    ----------
    x : (P, D)
    u : (P, I)
        The held input.
    q : (P,)
        ``0.5 |F(x, u) - x|^2`` at the x that is returned (a flow: ``0.5 |F(x, u)|^2``).
    kind : str (P,)
        "fixed": a zero to rounding. "held": no zero, but a state that rests for `asked_horizon` steps. "slow": a local
        minimum of q that does neither. "unresolved": none of these established.
    jacobian, input_jacobian : (P, D, D) and (P, D, I)
        dF/dx and dF/du.
    eigenvalues : complex (P, D)
        Of the Jacobian, the slowest first: by falling modulus (a flow: by falling real part).
    n_unstable : (P,), int64
        Number of eigenvalues with modulus > 1 (a flow: real part > 0); at held points, > 1 + 3 / `asked_horizon`.
    index : (P,), int64
        sign det(I - J) (a flow: sign det(-J)); 0 where the point is not isolated or not fixed.
    certificate : str (P,)
        "kantorovich", "contraction", "continuum" or "none"; see `conjugacy.dynamics.certificate`.
    radius, error : (P,)
        Exactly one zero lies within `radius` (0: not established), and it is at most `error` away.
    isolated : boolean (P,)
        False for points of a line or ring, and at folds.
    hits : (P,), int64
        Number of starts that reached the point.
    horizon : (P,)
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
    n_neutral, n_ambiguous : (P,), int64
        Modes with modulus within 1 / `asked_horizon` of one, and those between 1 + 1/H and 1 + 3/H, of which the
        horizon does not tell whether they grow (a flow: by real parts).
    distance : (P,)
        Distance to the nearest visited state, in units of the spread of the visited states.
    scale : float or None
        That spread: the root mean square distance of the visited states from their mean.
    reach : float
        Points with a larger `distance` are listed, but not counted; see `counted`.
    reached : boolean (P,)
        False for stable points at which no orbit from the data was seen to end.
    node : (P,), int64
        The plateau on which the point lies, as a number in `plateaus`; -1: none.
    sides : str (P,)
        Of held saddles, the plateaus (numbers, separated by commas) to which their growing directions lead; "-1": none.
    plateaus : tuple of Plateau
        The sets of states on which orbits from the data rest; empty where the exact points tell all.
    walls : tuple of (plateau, plateau, count)
        Pairs of plateaus whose basins meet, and how many walls were seen between them.
    dynamics : Map or None
        The map itself, for portraits and paths; it is not saved.
    """

    x: np.ndarray
    u: np.ndarray
    q: np.ndarray
    kind: np.ndarray
    jacobian: np.ndarray
    input_jacobian: np.ndarray
    eigenvalues: np.ndarray
    n_unstable: np.ndarray
    index: np.ndarray
    certificate: np.ndarray
    radius: np.ndarray
    error: np.ndarray
    isolated: np.ndarray
    hits: np.ndarray
    horizon: np.ndarray
    flow: bool = False
    dt: float | None = None
    cycles: tuple[Cycle, ...] = ()
    record: SearchRecord = field(default_factory=SearchRecord)
    dynamics: Map | None = None
    asked_horizon: float | None = None
    n_neutral: np.ndarray = field(default_factory=_nothing)
    n_ambiguous: np.ndarray = field(default_factory=_nothing)
    distance: np.ndarray = field(default_factory=_nothing)
    scale: float | None = None
    reach: float = float("inf")
    reached: np.ndarray = field(default_factory=_nothing)
    node: np.ndarray = field(default_factory=_nothing)
    sides: np.ndarray = field(default_factory=_nothing)
    plateaus: tuple[Plateau, ...] = ()
    walls: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self):
        if self.dynamics is not None and not isinstance(self.dynamics, Map):
            raise TypeError(
                f"`dynamics`: expected a Map or None, got {shown(self.dynamics)}. Make one of a system with as_map(..)."
            )
        arrays = {name: as_array(name, getattr(self, name)) for name in {**AXES, **LATER}}
        arrays |= {k: v for k, v in unknown(len(arrays["x"])).items() if not len(arrays[k])}
        check_shapes(arrays)
        for name, array in arrays.items():
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: Any) -> FixedPoints:
        """The points `which`: a slice, a boolean mask, indices, or one index (then P = 1)."""
        rows = rows_of(which, len(self))
        part = {name: getattr(self, name)[rows] for name in {**AXES, **LATER}}
        sample = tuple(self.record.sample[k] for k in rows if k < len(self.record.sample))
        selection = self.record.selection or int((part["kind"] == "fixed").sum()) < int(self.fixed.sum())
        return replace(self, **part, record=replace(self.record, sample=sample, selection=selection))

    def __getattr__(self, name: str) -> np.ndarray:
        """What has a name of the notebook, see `notebook_names.py`."""
        if name in NOTEBOOK_NAMES:
            return NOTEBOOK_NAMES[name](self)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *NOTEBOOK_NAMES})

    def __repr__(self) -> str:
        return repr_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)

    @property
    def fixed(self) -> np.ndarray:
        """Boolean (P,): True where `kind` is "fixed"."""
        return self.kind == "fixed"

    @property
    def counted(self) -> np.ndarray:
        """Boolean (P,): True where `distance` is within `reach`, or not known."""
        return ~(self.distance > self.reach)

    @property
    def memories(self) -> np.ndarray:
        """Boolean (P,): True for one point of each memory, that is of each set of states on which orbits rest.

        Of a search whose exact points tell all, these are the stable ones.
        """
        if not self.plateaus:
            return self.fixed & self.counted & (self.n_unstable == 0)
        first = np.zeros(len(self), dtype=bool)
        for k in range(len(self.plateaus)):
            rows = np.flatnonzero(self.node == k)
            if len(rows):
                first[rows[self.n_unstable[rows].argmin()]] = True
        return first

    @property
    def counts(self) -> dict[int, int]:
        """Number of fixed points within reach by number of unstable directions."""
        return dict(sorted(Counter(self.n_unstable[self.fixed & self.counted].tolist()).items()))

    @property
    def index_sum(self) -> int | None:
        """Sum of the indices of the fixed points; None where points that are not isolated have no index.

        Over all of them where it is known what the sum must be (a box is kept), else over those within reach.
        """
        some = self._judged
        return int(self.index[some].sum()) if bool(self.isolated[some].all()) else None

    @property
    def _judged(self) -> np.ndarray:
        return self.fixed if self.record.expected_index is not None else self.fixed & self.counted

    @property
    def distinct(self) -> bool:
        """Whether the balls in which the zeros of the isolated fixed points lie are disjoint: no zero counted twice."""
        some = self.fixed & self.isolated
        x, error = torch.from_numpy(self.x[some]), torch.from_numpy(self.error[some])
        gap = distances(x, x) - error - error[:, None]
        return bool((gap.fill_diagonal_(1.0) > 0).all())

    @property
    def speed(self) -> np.ndarray:
        """``|F(x, u) - x|`` per step (a flow: ``|F(x, u)|`` per unit of time), (P,)."""
        return np.sqrt(2 * self.q)

    @property
    def time_constants(self) -> np.ndarray:
        """e-folding times of the modes in steps (a flow: units of time), (P, D): > 0 decaying, < 0 growing."""
        values = torch.from_numpy(self.eigenvalues)
        rate = values.real if self.flow else values.abs().clamp_min(1e-300).log()
        return (-1 / rate).numpy()

    @property
    def time_constants_s(self) -> np.ndarray | None:
        """`time_constants` in seconds, where `dt` is known."""
        return None if self.dt is None else self.time_constants * self.dt

    @cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray]:
        """Right eigenvectors (P, D, D; columns) and left ones (P, D, D; rows), ordered as `eigenvalues`.

        Right vectors have unit length, and left @ right is the identity.
        """
        right, left = modes_of(torch.from_numpy(self.jacobian), self.flow)
        return right.numpy(), left.numpy()

    @property
    def readout(self) -> np.ndarray | None:
        """The readout at each point (P, O), where the system has one."""
        if self.dynamics is None or self.dynamics.readout is None:
            return None
        with torch.no_grad():
            y = self.dynamics.readout(torch.from_numpy(self.x)).detach().double()
        return y.reshape(len(self), -1).numpy() if y.ndim != 2 else y.numpy()

    def memory_of(self, x: Any, n_steps: int | None = None) -> np.ndarray:
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
        states = read_numbers("x", x, "states (state, unit)")
        check_axes("x", states, "state unit", "For a single state, add the first axis: x[None].", unit=self.x.shape[1])
        if n_steps is not None:
            check_int("n_steps", n_steps, 0)
        visited = torch.from_numpy(self.x) if self.dynamics.visited is None else self.dynamics.visited
        u = torch.from_numpy(self.u[0])
        known = memories_of(self.dynamics, self.plateaus, u, visited, self.scale, self.asked_horizon)
        return known.name(states, n_steps).numpy()

    def held_certificate(self, radius=None, **options):
        """For how many steps, and from how far around, each of `memories` is held; see `held_certificate`."""
        dynamics, u = self._map_and_input("held_certificate")
        certify = higher("dynamics._held_certificate", "held_certificate")
        return certify(dynamics, torch.from_numpy(self.x[self.memories]), u, radius, **options)

    def audit(self) -> Audit:
        """What is established about the completeness of the set, and what is not; print it."""
        some = self._judged
        known = Evidence(
            index=self.index[some].tolist(),
            isolated=self.isolated[some].tolist(),
            hits=self.hits[some].tolist(),
            proven=int((self.certificate[some] == "kantorovich").sum()),
            sampled=int((self.certificate[some] == "contraction").sum()),
            distinct=self.distinct,
            n_slow=int((self.kind == "slow").sum()),
            n_unresolved=int((self.kind == "unresolved").sum()),
            n_held=int((self.kind == "held").sum()),
            n_far=int((self.distance > self.reach).sum()),
            shares=tuple(plateau.share for plateau in self.plateaus),
        )
        return judge(self.record, known)

    def portrait(self, **options):
        """The skeleton of the flow; options as in `conjugacy.dynamics.portrait`."""
        return higher("dynamics._portrait", "portrait")(self, **options)

    def attractors(self, x0=None, **options):
        """All that orbits settle on under the same input; options as in `conjugacy.attractors`."""
        dynamics, u = self._map_and_input("attractors")
        x0 = self.x if x0 is None and dynamics.visited is None else x0
        return higher("dynamics._attractors", "attractors")(dynamics, u, x0, **options)

    def _map_and_input(self, method: str) -> tuple[Map, torch.Tensor]:
        if self.dynamics is None:
            raise ValueError(
                f"`{method}`: expected fixed points that know their map. Load them with load(path, as_map(..))."
            )
        if not len(self):
            raise ValueError(f"`{method}`: expected at least one point, which tells the held input, got none.")
        return self.dynamics, torch.from_numpy(self.u[0])

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
        write(check_path("path", path, "npz file"), {f.name: getattr(self, f.name) for f in fields(self)})

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
        return cls(**read(check_path("path", path, "npz file")), dynamics=dynamics)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: everything but `dynamics`, as with `save`."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"dynamics": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # 0.1 held tensors

    def __deepcopy__(self, memo: dict[int, Any]) -> FixedPoints:
        """A copy with arrays of its own and the same `dynamics`."""
        own = {f.name: copy.deepcopy(getattr(self, f.name), memo) for f in fields(self) if f.name != "dynamics"}
        return replace(self, **own)

    def __copy__(self) -> FixedPoints:
        return replace(self)


# under its path of 0.1
__getattr__ = elsewhere({"sorted_eigenvalues": "dynamics.eigenmodes"})
