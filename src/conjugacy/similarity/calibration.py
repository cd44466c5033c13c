"""Are intervals and tests what they say? Each measure is put to worlds whose truth is known, and counted.

A cell is a measure, a family of worlds (see `worlds`) and a number of trials. The truth of a world is the value of the
measure, at the settings stated, on very many trials of it.

- **coverage**: share of data sets whose interval holds the truth; an interval that is withdrawn (NaN, with a reason)
  is counted apart
- **bias**, and **width**: the median width of the interval over 3.92 standard deviations of the value among data sets
- **level**: share of unrelated pairs with a p-value below 5 %
- **power**: the same for copies in other coordinates, and for a copy of which a fifth of the couplings was drawn anew

Each cell is a file of numbers that is written when it is done: a run that was killed goes on after the last one.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conjugacy._check import check_flag, check_int
from conjugacy._files import check_path, write_file
from conjugacy._progress import progress_bar
from conjugacy._threads import one_blas_thread
from conjugacy.similarity.measure import Measure, get_measure
from conjugacy.similarity.nulls import default_null
from conjugacy.similarity.worlds import FAMILIES, make_world

# settings that suit worlds of five to eight units; the others are the defaults
SETTINGS: dict[str, dict[str, Any]] = {
    "dsa": {"rank": 6, "n_delays": 3},
    "spectrum_w2": {"rank": 6, "n_delays": 3},
    "timescales": {},
    "state_r2": {},
    "procrustes": {},
    "cca": {},
    "svcca": {},
    "cka": {},
    "cka_unbiased": {},
    "rsa": {"max_samples": 500},
}
TRIALS = (30, 100)
RELATED = ("copy", "changed by a fifth")
_TRUTH_TRIALS = 1500
_TRUTH_DRAWS = 4  # of measures that draw states, whose value on any number of trials is a draw
_FIRST_WORLD = 2000


@dataclass(frozen=True)
class Cell:
    """What is counted at once: "coverage" of a measure at a number of trials, or "rejections" for a relation."""

    kind: str
    measure: str
    family: str
    n_trials: int
    relation: str = "other"

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.kind}-{self.measure}-{self.family}-{self.n_trials}-{self.relation}".replace(" ", "_")


def cells(measures: Sequence[str] = tuple(SETTINGS), families: Sequence[str] = FAMILIES) -> list[Cell]:
    """All cells of these measures and families, the cheapest question first."""
    found = [Cell("coverage", m, f, n) for n in TRIALS for f in families for m in measures]
    for m in measures:
        if default_null(get_measure(m)) is not None:
            found += [Cell("rejections", m, f, TRIALS[0], r) for f in families for r in ("unrelated", *RELATED)]
    return found


def calibrate(
    out: Any,
    measures: Sequence[str] = tuple(SETTINGS),
    *,
    families: Sequence[str] = FAMILIES,
    n_worlds: int = 20,
    n_draws: int = 5,
    n_surrogates: int = 39,
    part: tuple[int, int] = (1, 1),
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Count all cells that `out` does not hold yet; returns those that are there then.

    Parameters
    ----------
    out : path
        Folder of the cells' files.
    measures, families : sequences of str
        Of `SETTINGS` and `FAMILIES`.
    n_worlds : int
        Worlds of a cell, at least 2; unrelated and related pairs are as many as `n_worlds` times `n_draws`.
    n_draws : int
        Data sets of each world, at least 2.
    n_surrogates : int
        Surrogates of a p-value.
    part : pair of int
        (i, n): cells i, i + n, ... only, so that several processes share the work.
    progress : bool
        Show a bar.
    """
    folder = check_path("out", out)
    check_int("n_worlds", n_worlds, 2)
    check_int("n_draws", n_draws, 2)
    check_flag("progress", progress)
    i, n = part
    check_int("part", i, 1, check_int("part", n, 1))
    folder.mkdir(parents=True, exist_ok=True)
    mine = cells(measures, families)[i - 1 :: n]
    for cell in progress_bar(mine, desc="Calibrating intervals and tests", show=progress, unit="cells"):
        path = folder / f"{cell.name}.json"
        if not path.exists():
            made = (
                coverage(cell, n_worlds, n_draws)
                if cell.kind == "coverage"
                else rejections(cell, n_worlds * n_draws, n_surrogates)
            )
            write_file(path, json.dumps(made, indent=1).encode())
    return read(folder)


def read(folder: Path) -> list[dict[str, Any]]:
    """The cells in a folder."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.json"))]


def coverage(cell: Cell, n_worlds: int, n_draws: int) -> dict[str, Any]:
    """How often intervals of 95 % from data sets of a cell hold the truth of their world."""
    measure, held, below, widths, biases, variances, withdrawn = _measure(cell), 0, 0, [], [], [], 0
    for w in range(n_worlds):
        world = make_world(cell.family, cell.relation, _FIRST_WORLD + w)
        values = []
        with _quiet():
            truths = [measure(*world.draw(_TRUTH_TRIALS, 10_000 + k)).value for k in range(_truth_draws(cell))]
            truth = float(np.mean(truths))
            for k in range(n_draws):
                score = measure(*world.draw(cell.n_trials, k), interval=0.95, n_resamples=100, seed=k)
                values.append(score.value)
                if score.interval is None or not np.isfinite(score.interval.low):
                    withdrawn += 1
                    continue
                held += score.interval.low <= truth <= score.interval.high
                below += truth < score.interval.low
                widths.append(score.interval.high - score.interval.low)
        biases.append(float(np.mean(values)) - truth)
        variances.append(np.var(values, ddof=1))
    sd = float(np.sqrt(np.mean(variances)))
    return {
        **_described(cell),
        "n": len(widths),
        "covered": int(held),
        "truth_below": int(below),
        "withdrawn": withdrawn,
        "bias": float(np.mean(biases)),
        "sd": sd,
        "width": float(np.median(widths)) / (3.92 * sd) if widths and sd > 0 else None,
    }


def rejections(cell: Cell, n_pairs: int, n_surrogates: int) -> dict[str, Any]:
    """How many pairs of a cell's relation have p <= 5 % under the automatic null, and how many no p-value."""
    measure, p_values = _measure(cell), []
    with _quiet():
        for w in range(n_pairs):
            pair = make_world(cell.family, cell.relation, _FIRST_WORLD + w).draw(cell.n_trials, 0)
            try:
                null = measure(*pair, null="auto", n_surrogates=n_surrogates, seed=w).null
            except ValueError:  # a world that has died down has fewer dimensions than the measure asks for
                null = None
            p_values.append(float("nan") if null is None else null.p_value)
    defined = [p for p in p_values if np.isfinite(p)]
    return {
        **_described(cell),
        "n": len(defined),
        "rejected": sum(p <= 0.05 for p in defined),
        "withdrawn": n_pairs - len(defined),
        "n_surrogates": n_surrogates,
    }


def _described(cell: Cell) -> dict[str, Any]:
    measure = _measure(cell)
    settings = SETTINGS.get(cell.measure, {})
    return {**cell.__dict__, "version": measure.version, "settings": settings}


def _measure(cell: Cell) -> Measure:
    return get_measure(cell.measure, **SETTINGS.get(cell.measure, {}))


def _truth_draws(cell: Cell) -> int:
    return _TRUTH_DRAWS if cell.measure == "rsa" else 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Scores say why an interval or a p-value is withdrawn; here that is counted."""
    with warnings.catch_warnings(), one_blas_thread():
        warnings.simplefilter("ignore", UserWarning)
        yield
