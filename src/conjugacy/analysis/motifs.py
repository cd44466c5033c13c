"""Dynamical motifs: do two rules of one network use the same fixed points?

A place is a held input: that of an epoch of a rule, say. The stable points under the input of one place are followed
while the input moves to that of another (Driscoll, Shenoy & Sussillo, Nat. Neurosci. 27:1349, 2024, follow them from
one rule to another in the same way). One whose branch ends on the way (a fold) is let go where the network would go if
the input moved slowly: it settles elsewhere. The share of a motif between two places is

    share(a, b) = (stable points of a that arrive, one to one, at stable points of b) / (the larger number of them)
                  x (mean overlap of their slowest modes before and after)

and of both directions the smaller one. It is 1 where one place has the points of the other, moved, with the same slow
directions, and 0 where none arrives. Places are joined to motifs by average linkage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from conjugacy._check import check_int, check_number, shown
from conjugacy._lazy import higher
from conjugacy._progress import progress_bar
from conjugacy.analysis._given import as_run
from conjugacy.analysis.analysis import Analysis
from conjugacy.dynamics.continuation import follow
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.search import fixed_points
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.training.scores import evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_DIRECTIONS = 3
_SUBSTEPS = 32
_STEPS_EACH = 50  # of the map at each place on the way, where a point is let go
_SETTLED = 1e-3


@dataclass(frozen=True, eq=False)
class SharedMotifs:
    """Which places of a network share their fixed points; see `shared_motifs`.

    Attributes
    ----------
    run : Run
    points : dict of str to FixedPoints
        By place.
    shares : DataFrame (place, place)
        In [0, 1], symmetric, 1 on the diagonal; see the module docstring.
    motifs : dict of str to int
        The motif of each place, numbered by first place.
    """

    run: Run
    points: dict[str, FixedPoints]
    shares: pd.DataFrame
    motifs: dict[str, int]

    def table(self) -> pd.DataFrame:
        """One row a place: its motif, number of stable points and of all, and the slowest time constant in steps."""
        rows = {}
        for place, found in self.points.items():
            stable = _stable(found)
            slowest = float(np.max(stable.time_constants[:, 0])) if len(stable) else np.nan
            counted = int((found.fixed & found.counted).sum())
            rows[place] = {
                "motif": self.motifs[place],
                "stable": len(stable),
                "fixed points": counted,
                "slowest (steps)": slowest,
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("place")

    def directions(self, motif: int, variance: float = 0.95) -> np.ndarray:
        """Orthonormal directions (k, D) in which the stable points of a motif differ, k <= 3; what to lesion.

        Where its places have one stable point each, the slowest mode there.

        Parameters
        ----------
        motif : int
        variance : float
            Share of the variance of the points, within places, that the directions hold, in (0, 1].
        """
        check_number("variance", variance, 0, 1, open_low=True)
        places = [p for p, k in self.motifs.items() if k == motif]
        if not places:
            raise ValueError(f"`motif`: expected one of {sorted(set(self.motifs.values()))}, got {shown(motif)}.")
        sets = [_stable(self.points[p]) for p in places]
        spread = np.concatenate(
            [s.x - s.x.mean(0) for s in sets if len(s)] or [np.zeros((0, self.run.network.state_size))]
        )
        if np.abs(spread).max(initial=0) < 1e-6:
            spread = np.concatenate([np.real(s.modes[0][:, :, 0]) for s in sets if len(s)] or [spread])
        if not len(spread):
            raise ValueError(f"`motif`: {motif} has no stable points, so no directions.")
        _, sizes, basis = np.linalg.svd(spread, full_matrices=False)
        held = np.cumsum(sizes**2) / (sizes**2).sum()
        return basis[: min(_MOST_DIRECTIONS, int((held < variance).sum()) + 1)]

    def lesion_evidence(self, n_random: int = 19, n_trials: int = 200, seed: int = 0) -> pd.DataFrame:
        """What the lesion of each motif's directions does to each condition: a motif that is used is missed.

        Returns
        -------
        DataFrame
            One row a motif and condition: "intact" and "lesioned" accuracy, "drop", of random lesions of the same size
            the mean drop ("random") and its 97.5 % quantile ("random high").

        Raises
        ------
        ValueError
            If the task has no accuracy by condition ("accuracy/Name").
        """
        check_int("n_random", n_random, 1)
        task = self.run.task
        trials = task.trials(check_int("n_trials", n_trials, 1), derive_seed(seed, "lesions"))

        def by_condition(run: Run) -> dict[str, float]:
            scores = evaluate(run.network, task, trials)
            return {k.removeprefix("accuracy/"): v for k, v in scores.items() if k.startswith("accuracy/")}

        intact = by_condition(self.run)
        if not intact:
            raise ValueError(f"`run`: expected a task with an accuracy by condition, got {task.name}, which has none.")
        rng, rows = np.random.default_rng(derive_seed(seed, "random lesions")), []
        for motif in sorted(set(self.motifs.values())):
            basis = self.directions(motif)
            hit = by_condition(self.run.lesion(directions=basis, to="mean"))
            drawn = [rng.standard_normal(basis.shape) for _ in range(n_random)]
            random = [by_condition(self.run.lesion(directions=v, to="mean")) for v in drawn]
            for name, value in intact.items():
                drops = [value - r[name] for r in random]
                row = {"motif": motif, "condition": name, "intact": value, "lesioned": hit[name]}
                row |= {"drop": value - hit[name], "random": float(np.mean(drops))}
                rows.append({**row, "random high": float(np.quantile(drops, 0.975))})
        return pd.DataFrame(rows)

    def plot(self) -> Figure:
        """Figure of the shares, place by place, ordered by motif."""
        return higher("plots._motifs", "shared_motifs")(self)

    def __repr__(self) -> str:
        groups = [[p for p, k in self.motifs.items() if k == m] for m in sorted(set(self.motifs.values()))]
        return f"SharedMotifs({self.run.name}: {' | '.join('; '.join(g) for g in groups)})"


def shared_motifs(
    run: Run,
    places: Mapping[str, Any] | Sequence[tuple[str, str]] | None = None,
    *,
    threshold: float = 0.5,
    n_modes: int = 1,
    n_inits: int = 256,
    seed: int = 0,
    progress: bool = True,
    **search: Any,
) -> SharedMotifs:
    """Which rules and epochs of a network share their fixed points.

    Parameters
    ----------
    run : Run or Analysis
        In open loop.
    places : dict of str to array (input,), or list of (condition, epoch), optional
        Held inputs by name, or epochs whose input is held. Default: all epochs of all conditions whose input is held
        and the same in every trial.
    threshold : float
        Places whose mean share is at least this are one motif, in (0, 1].
    n_modes : int
        Slowest modes that are compared.
    n_inits, seed, **search
        See `conjugacy.fixed_points`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    SharedMotifs

    Raises
    ------
    ValueError
        If there are fewer than two places, or a condition or epoch does not exist.
    """
    run = as_run("run", run)
    check_number("threshold", threshold, 0, 1, open_low=True)
    check_int("n_modes", n_modes, 1, run.network.state_size)
    held = _held(run, places)
    if len(held) < 2:
        raise ValueError(f"`places`: expected at least 2 places, got {', '.join(held) or 'none'}.")

    points = {}
    options = {"n_inits": n_inits, "seed": seed, "progress": False, "n_orbits": 0, **search}
    for name, (system, u) in progress_bar(
        list(held.items()), desc="Searching fixed points", show=progress, unit="places"
    ):
        points[name] = fixed_points(system, inputs=u, **options)
    names = list(points)
    shares = pd.DataFrame(np.eye(len(names)), names, names)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            both = min(_share(points[x], points[y], held[y][1], n_modes) for x, y in ((a, b), (b, a)))
            shares.loc[a, b] = shares.loc[b, a] = both
    return SharedMotifs(run, points, shares, _clusters(shares, threshold))


def _held(run: Run, places: Any) -> dict[str, tuple[Any, np.ndarray]]:
    if isinstance(places, Mapping):
        system = run.system("val")
        return {str(name): (system, np.asarray(u, dtype=float)) for name, u in places.items()}
    if not run.trials("val").epochs:
        raise ValueError(
            f"`places`: expected a dict of held inputs for {run.task.name}, whose trials have no epochs, got "
            f"{shown(places)}."
        )
    epochs = Analysis(run).epochs("val")
    wanted = [(c, e) for c in epochs.conditions for e in epochs.names] if places is None else list(places)
    found = {}
    for condition, epoch in wanted:
        try:
            u = epochs.inputs(condition, epoch)
        except ValueError:
            if places is not None:
                raise
            continue  # it does not occur, changes, or differs between trials
        found[f"{condition}, {epoch}"] = (epochs.system(condition, epoch), u.double().numpy())
    return found


def _stable(points: FixedPoints) -> FixedPoints:
    return points[points.fixed & points.counted & (points.n_unstable == 0)]


def _share(a: FixedPoints, b: FixedPoints, u: np.ndarray, n_modes: int) -> float:
    here, there = _stable(a), _stable(b)
    if not len(here) or not len(there) or here.dynamics is None:
        return 0.0
    x, alive = follow(here.dynamics, here, torch.from_numpy(u), n_substeps=_SUBSTEPS)
    settled = _settled(here, torch.from_numpy(u), ~alive)
    x = torch.where(alive[:, None], x, settled)
    gap = torch.cdist(x, torch.from_numpy(there.x)).numpy()
    near = np.where(alive.numpy(), 1e-6, _SETTLED)
    taken: dict[int, float] = {}
    for i in range(len(here)):
        j = int(gap[i].argmin())
        if gap[i, j] <= near[i] * (1 + float(x[i].norm())):
            overlap = _overlap(here.modes[0][i, :, :n_modes], there.modes[0][j, :, :n_modes])
            taken[j] = max(taken.get(j, 0.0), overlap)
    return sum(taken.values()) / max(len(here), len(there))


def _settled(here: FixedPoints, u: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Where the states `which` are after the input has moved slowly to `u`, and a while has passed, (P, D)."""
    x, start = torch.from_numpy(here.x).clone(), torch.from_numpy(here.u[0])
    dynamics = here.dynamics
    if dynamics is None or not bool(which.any()):
        return x
    y = x[which]
    with torch.no_grad():
        for k in range(1, _SUBSTEPS + 1):
            held = (start + k / _SUBSTEPS * (u - start)).expand(len(y), -1)
            for _ in range(_STEPS_EACH if k < _SUBSTEPS else 20 * _STEPS_EACH):
                y = dynamics.step(y, held)
    x[which] = y
    return x


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared cosine of the angles between the real spans of modes (D, k)."""
    bases = []
    for modes in (a, b):
        parts = np.concatenate([np.real(modes), np.imag(modes)], 1)
        left, sizes, _ = np.linalg.svd(parts, full_matrices=False)
        bases.append(left[:, sizes > 1e-8 * sizes[0]])
    k = min(basis.shape[1] for basis in bases)
    return float(np.minimum(np.linalg.svd(bases[0].T @ bases[1])[1][:k] ** 2, 1.0).mean())


def _clusters(shares: pd.DataFrame, threshold: float) -> dict[str, int]:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    far = squareform((1 - shares.to_numpy()).clip(min=0), checks=False)
    labels = fcluster(linkage(far, "average"), 1 - threshold + 1e-12, "distance")
    order = {label: k for k, label in enumerate(dict.fromkeys(labels.tolist()))}
    return {name: order[label] for name, label in zip(shares.index, labels.tolist())}
