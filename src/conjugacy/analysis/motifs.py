"""Dynamical motifs: do two rules of one network rest at the same points, or on the same ring?

A place is a held input: that of an epoch of a rule, say. How much of what rests there two places share is said by
`conjugacy.analysis.motif_shares`; places are joined to motifs by average linkage of these shares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from conjugacy._check import check_int, check_number, shown
from conjugacy._lazy import higher
from conjugacy._progress import progress_bar
from conjugacy.analysis._given import as_run
from conjugacy.analysis.analysis import Analysis
from conjugacy.analysis.motif_shares import resting, share, stable
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.search import fixed_points
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.training.scores import evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_DIRECTIONS = 3


@dataclass(frozen=True, eq=False)
class SharedMotifs:
    """Which places of a network share their fixed points; see `shared_motifs`.

    Attributes
    ----------
    run : Run
    points : dict of str to FixedPoints
        By place.
    shares : DataFrame (place, place)
        In [0, 1], symmetric, 1 on the diagonal; see `conjugacy.analysis.motif_shares`.
    motifs : dict of str to int
        The motif of each place, numbered by first place.
    """

    run: Run
    points: dict[str, FixedPoints]
    shares: pd.DataFrame
    motifs: dict[str, int]

    def table(self) -> pd.DataFrame:
        """One row a place: its motif, what rests there, the numbers of memories, of stable and of all fixed points.

        "slowest (steps)" is the longest time constant of a stable point; NaN where there is none.
        """
        rows = {}
        for place, found in self.points.items():
            points = stable(found)
            shapes = Counter(p.topology for p in found.plateaus) or Counter({"point": len(points)})
            rows[place] = {
                "motif": self.motifs[place],
                "at rest": ", ".join(_counted(n, shape) for shape, n in shapes.items()),
                "memories": sum(shapes.values()),
                "stable": len(points),
                "fixed points": int((found.fixed & found.counted).sum()),
                "slowest (steps)": float(np.max(points.time_constants[:, 0])) if len(points) else np.nan,
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("place")

    def directions(self, motif: int, variance: float = 0.95) -> np.ndarray:
        """Orthonormal directions (k, D) in which the resting states of a motif differ, k <= 3; what to lesion.

        Where its places have one stable point each, the slowest mode there.

        Parameters
        ----------
        motif : int
        variance : float
            Share of the variance of the states, within places, that the directions hold, in (0, 1].
        """
        check_number("variance", variance, 0, 1, open_low=True)
        places = [p for p, k in self.motifs.items() if k == motif]
        if not places:
            raise ValueError(f"`motif`: expected one of {sorted(set(self.motifs.values()))}, got {shown(motif)}.")
        clouds = [resting(self.points[p]).numpy() for p in places]
        nothing = np.zeros((0, self.run.network.state_size))
        spread = np.concatenate([x - x.mean(0) for x in clouds if len(x)] or [nothing])
        if np.abs(spread).max(initial=0) < 1e-6:
            points = [stable(self.points[p]) for p in places]
            spread = np.concatenate([np.real(s.modes[0][:, :, 0]) for s in points if len(s)] or [nothing])
        if not len(spread):
            raise ValueError(f"`motif`: {motif} has no states at rest, so no directions.")
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
    places: Mapping[str, Any] | Sequence[tuple[str, ...]] | None = None,
    *,
    threshold: float = 0.5,
    n_modes: int = 1,
    n_inits: int = 256,
    seed: int = 0,
    progress: bool = True,
    **search: Any,
) -> SharedMotifs:
    """Which rules and epochs of a network share what they rest on: points, rings, plateaus.

    On the horizon of the longest trial of an epoch (`horizon=`, see `conjugacy.fixed_points`), so that a ring of slow
    points is a ring.

    Parameters
    ----------
    run : Run or Analysis
        In open loop.
    places : dict of str to array (input,), or list of (condition, epoch) or (condition, epoch, other), optional
        Held inputs by name, or epochs whose input is held, searched from the states that are visited in them; with a
        third name, from those of another epoch: ("DelayPro", "context", "stim1") is what is left if the stimulus goes.
        Default: all epochs of all conditions whose input is held and the same in every trial.
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
    options = {"n_inits": n_inits, "seed": seed, "progress": False, **search}
    for name, (system, u) in progress_bar(list(held.items()), desc="Searching places", show=progress, unit="places"):
        points[name] = fixed_points(system, inputs=u, **options)
    names = list(points)
    shares = pd.DataFrame(np.eye(len(names)), names, names)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            both = min(share(points[x], points[y], held[y][1], n_modes) for x, y in ((a, b), (b, a)))
            shares.loc[a, b] = shares.loc[b, a] = both
    return SharedMotifs(run, points, shares, _clusters(shares, threshold))


def _held(run: Run, places: Any) -> dict[str, tuple[Any, np.ndarray]]:
    if isinstance(places, Mapping):
        system = run.system("test")
        return {str(name): (system, np.asarray(u, dtype=float)) for name, u in places.items()}
    if not run.trials("test").epochs:
        raise ValueError(
            f"`places`: expected a dict of held inputs for {run.task.name}, whose trials have no epochs, got "
            f"{shown(places)}."
        )
    epochs = Analysis(run).epochs("test")
    wanted = [(c, e) for c in epochs.conditions for e in epochs.names] if places is None else list(places)
    found = {}
    for place in wanted:
        if isinstance(place, str) or not isinstance(place, Sequence) or len(place) not in (2, 3):
            raise ValueError(
                f"`places`: expected (condition, epoch) or (condition, epoch, epoch to start from), got {shown(place)}."
            )
        condition, epoch, start = (*place, place[1])[:3]
        try:
            u = epochs.inputs(condition, epoch)
        except ValueError:
            if places is not None:
                raise
            continue  # it does not occur, changes, or differs between trials
        name = f"{condition}, {epoch}" + (f" after {start}" if start != epoch else "")
        found[name] = (epochs.system(condition, start), u.double().numpy())
    return found


def _clusters(shares: pd.DataFrame, threshold: float) -> dict[str, int]:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    far = squareform((1 - shares.to_numpy()).clip(min=0), checks=False)
    labels = fcluster(linkage(far, "average"), 1 - threshold + 1e-12, "distance")
    order = {label: k for k, label in enumerate(dict.fromkeys(labels.tolist()))}
    return {name: order[label] for name, label in zip(shares.index, labels.tolist())}


def _counted(n: int, shape: str) -> str:
    return f"1 {shape}" if n == 1 else f"{n} {shape}s"
