"""What lesions do to a network's task, skeleton and similarity, beside random lesions of the same size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from conjugacy._check import check_choice, check_flag, check_int, check_number, shown
from conjugacy._lazy import higher
from conjugacy._progress import progress_bar
from conjugacy.analysis._given import as_run
from conjugacy.dynamics.search import fixed_points
from conjugacy.runs.lesion import lesion_directions
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity.measure import measure_list
from conjugacy.training.scores import evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLOCK = 10
NULLS = ("uniform", "visited")


@dataclass(frozen=True, eq=False)
class LesionEffects:
    """Effects of lesions; see `lesion_effects`.

    Attributes
    ----------
    name, score : str
        Of the run; the score of the task that counts ("accuracy" or "r2").
    intact : float
        That score without a lesion.
    table : DataFrame
        One row a lesion: "size" (dimensions taken away), the score ("score", "low", "high"), "drop" from the intact
        one, of random lesions of the same size the mean and the 95 % range of the drop ("random", "random low",
        "random high"), "p" (share of random lesions that do at least as much harm, (r + 1) / (n + 1)), a column for
        each measure of similarity to the intact network, and where it was asked for the number of memories and of
        fixed points.
    random_drops : dict of str to array (n,)
        Drops of the random lesions, by lesion.
    """

    name: str
    score: str
    intact: float
    table: pd.DataFrame
    random_drops: dict[str, np.ndarray]

    def plot(self) -> Figure:
        """Figure of the drop of each lesion beside that of random ones."""
        return higher("plots._lesions", "lesion_effects")(self)

    def __repr__(self) -> str:
        return f"LesionEffects({self.name}, {self.score} {self.intact:.3f} intact:\n{self.table.to_string()})"


def lesion_effects(
    run: Run,
    lesions: Mapping[str, Mapping[str, Any]],
    *,
    score: str | None = None,
    measures: Any = (),
    skeleton: bool = False,
    inputs: Any = 0,
    n_random: int = 39,
    null: str = "uniform",
    n_trials: int = 100,
    seed: int = 0,
    progress: bool = False,
) -> LesionEffects:
    """What lesions do to a network's task, beside random lesions of the same size.

    Parameters
    ----------
    run : Run
        Closed loops too: what a network does to its arm is scored by its task.
    lesions : dict of str to dict
        Name of each lesion -> arguments of `Run.lesion`, for example ``{"units": [3, 5]}``.
    score : str, optional
        What counts of the task's scores; "accuracy" by default, "r2" where there is none.
    measures : str, Measure or iterable of them
        Similarity of the lesioned to the intact network on the same trials, see `conjugacy.compare`.
    skeleton : bool
        Whether fixed points of each lesioned network are sought at the held `inputs`.
    n_random : int
        Random lesions for each one, >= 9: as many units, or a random subspace of as many dimensions.
    null : {"uniform", "visited"}
        How random directions are drawn: evenly over all, or from the covariance of the states that are visited, which
        carry more activity and so are the harder null. Units are drawn evenly.
    n_trials : int
        New trials of the task, >= 20; blocks of ten give the intervals.
    seed : int
        Of trials and random lesions.
    progress : bool
        Show a progress bar.

    Returns
    -------
    LesionEffects

    Raises
    ------
    TypeError, ValueError
        If a lesion is not one that `Run.lesion` takes.
    """
    run = as_run("run", run)
    if not isinstance(lesions, Mapping) or not lesions or not all(isinstance(v, Mapping) for v in lesions.values()):
        raise TypeError(f"`lesions`: expected a dict of name -> arguments of Run.lesion, got {shown(lesions)}.")
    check_int("n_random", n_random, 9)
    check_int("n_trials", n_trials, 20)
    check_choice("null", null, NULLS)
    check_flag("skeleton", skeleton)
    found = list(measure_list(measures).values()) if measures else []
    lesioned = {name: run.lesion(**given) for name, given in lesions.items()}  # all are checked before one is run
    trials = run.task.trials(n_trials, derive_seed(seed, "lesions"))
    whole = evaluate(run.network, run.task, trials)
    score = ("accuracy" if "accuracy" in whole else "r2") if score is None else check_choice("score", score, whole)
    visited = _covariance(run)
    rng = np.random.default_rng(derive_seed(seed, "random lesions"))

    intact = run.system(trials) if found else None
    rows, drops = {}, {}
    with progress_bar(
        total=len(lesions) * (1 + n_random), desc="Cutting and testing", show=progress, unit="lesions"
    ) as bar:
        for name, given in lesions.items():
            blocks = _blocks(lesioned[name], trials, score)
            value = evaluate(lesioned[name].network, run.task, trials)[score]
            low, high = _interval(blocks, value, rng)
            k = len(lesion_directions(run, *(given.get(n) for n in ("units", "directions", "cluster"))))
            row: dict[str, Any] = {"size": k, "score": value, "low": low, "high": high, "drop": whole[score] - value}
            bar.update()
            others = []
            for _ in range(n_random):
                other = run.lesion(**_random_like(run, given, k, visited if null == "visited" else None, rng))
                others.append(whole[score] - evaluate(other.network, run.task, trials)[score])
                bar.update()
            drops[name] = np.array(others)
            row |= {"random": float(drops[name].mean())}
            row |= {f"random {w}": float(np.quantile(drops[name], q)) for w, q in (("low", 0.025), ("high", 0.975))}
            row["p"] = float((1 + (drops[name] >= row["drop"]).sum()) / (n_random + 1))
            for m in found:
                assert intact is not None
                row[m.name] = m(lesioned[name].system(trials), intact, interval=None).value
            if skeleton:
                points = fixed_points(
                    lesioned[name].system("val"), inputs=inputs, seed=seed, n_inits=256, progress=False
                )
                row |= {
                    "memories": int(points.memories.sum()),
                    "fixed points": int((points.fixed & points.counted).sum()),
                }
            rows[name] = row
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("lesion")
    return LesionEffects(run.name, score, float(whole[score]), table, drops)


def _covariance(run: Run) -> np.ndarray:
    states = run.rollout("val").latents.reshape(-1, run.network.state_size).double().numpy()
    return np.linalg.cholesky(np.cov(states.T) + 1e-12 * np.eye(states.shape[1]))


def _random_like(run: Run, given: Mapping[str, Any], k: int, factor: np.ndarray | None, rng) -> dict[str, Any]:
    n, d = run.network.latent_size, run.network.state_size
    to = {"to": given["to"]} if "to" in given else {}
    if given.get("directions") is None:
        return {"units": sorted(rng.choice(n, size=k * n // d, replace=False).tolist()), **to}
    drawn = rng.standard_normal((k, d))
    return {"directions": torch.from_numpy(drawn if factor is None else drawn @ factor.T), **to}


def _blocks(run: Run, trials: Any, score: str) -> np.ndarray:
    starts = range(0, len(trials) - _BLOCK + 1, _BLOCK)
    return np.array([evaluate(run.network, run.task, trials[k : k + _BLOCK])[score] for k in starts])


def _interval(blocks: np.ndarray, value: float, rng: np.random.Generator, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of the mean over blocks of trials, moved to the score of all trials."""
    check_number("level", level, 0, 1)
    means = rng.choice(blocks, (400, len(blocks))).mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(value + low - blocks.mean()), float(value + high - blocks.mean())
