"""The page of the calibration: what `calibrate` counted, as tables.

``python -m conjugacy.similarity.calibration_page FOLDER docs/calibration.md`` writes it from the files of a run, and the
counts beside it as docs/calibration.json: where that is there already, cells that the run counted replace its own, so
that a change of one measure asks for its cells alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conjugacy.similarity.calibration import RELATED, TRIALS, read

_INTRODUCTION = """# Do intervals cover, are tests level?

This page is written by `conjugacy check-measures --calibration --out FOLDER` (then
`python -m conjugacy.similarity.calibration_page FOLDER PAGE`). It takes hours; a run that was stopped goes on.

An interval of 95 % should hold the true value in 95 of 100 data sets, and a test at 5 % should find unrelated systems
alike in 5 of 100 pairs. Both are counted here, in worlds that were not used to choose the methods: pairs of noisy
systems of five to eight units that hear the same inputs, with 40 to 80 time steps in a trial.

- **linear**, **tanh**: driven by smooth inputs and by noise, seen through a random rotation with a little noise
- **limit cycle**: an oscillator that drives the other units
- **spiking**: spike counts of three times as many neurons, smoothed by a Gaussian of two steps
- **ragged**: linear, in trials of unequal length

The truth of a world is the value of the measure, at the same settings, on 1500 trials. It is not the value without
noise: more noise in the recording is another world. Intervals are about the value less its bias, so where few trials
bias a measure (spike counts above all) they need not hold the value that is printed: `Interval.bias` is what they take
off. A width above 1 is what the correction costs: the value less its bias varies more than the value does.

## How intervals are made

| measures | interval |
|---|---|
| `dsa`, `spectrum_w2` and their kin, `timescales` | every resample chooses its principal components anew; the low end comes from half-samples, which know the bias that noise adds to a distance, the high end from half-samples or from the bootstrap, whichever is higher |
| the same where no component is cut off | value less its bias (half-samples), with the standard deviation of ten values without a tenth of the trials each |
| `cka`, `angular_cka`, `cka_unbiased` | jackknife over trials, about the value less its bias: noise that neighbouring steps of a trial share makes each system look more like itself, by a share that falls as 1 / trials |
| `state_r2` | the same, for trials of the fit and those held out apart: a regression on few trials predicts worse than one on many |
| `procrustes` and its kin, `cca`, `svcca` | jackknife over trials, about the value less its bias, which halves of the trials tell for each pair of singular directions (see `conjugacy.similarity.strength_intervals`) |
| `pwcca`, matchings | jackknife over trials, about the value less its bias; none where the bias is larger than half of the interval |
| `cka_rbf`, `rsa` | jackknife over trials |
| all others | bootstrap over trials, shifted so that its mean falls on the value |

Below 20 trials distances of fitted operators have no interval. Where two halves of the trials have other leading
components, the score says that the rank is not determined by the data, and names one that is; where a component is
arbitrary (the smallest cosine between those of two halves is below 0.3, as for spike counts at these settings), the
interval is withdrawn.

## What p-values ask

| null | question | keeps | breaks |
|---|---|---|---|
| `shuffled_trials` | is there a relation between these two records at all? | the dynamics of both | which trial belongs to which |
| `matched_systems` | are the dynamics more alike than those of unrelated systems of the same kind? | time constants, noise, non-normality; or what all channels share and how strongly they interact | which way the channels drive each other |
| systems you give | more alike than with these (untrained networks, other animals)? | what they have | what sets the second system apart |

`matched_systems` takes the larger of two p-values, and gives none where neither of its two models fits the records:
rhythms that are not linear, and spike counts smoothed by a Gaussian, are such. In systems of two or three dimensions a
spectrum is nearly all there is to know, and unrelated systems with the same spectrum are nearly the same system: the
p-value is high then, and rightly so.
"""


def calibration_page(found: Sequence[dict[str, Any]]) -> str:
    """The page as Markdown, from the cells that `calibrate` returns."""
    lines = [_INTRODUCTION]
    for n_trials in TRIALS:
        rows = [c for c in found if c["kind"] == "coverage" and c["n_trials"] == n_trials]
        if rows:
            lines += [f"## Coverage of intervals of 95 %, {n_trials} trials", "", _LEGEND_COVERAGE, ""]
            lines += _table(rows, _coverage)
    for relation, title in (("unrelated", "Level"), *((r, "Power") for r in RELATED)):
        rows = [c for c in found if c["kind"] == "rejections" and c["relation"] == relation]
        if rows:
            what = "unrelated systems" if relation == "unrelated" else f"b is a, {relation}"
            lines += [f"## {title} at 5 %: {what}, {rows[0]['n_trials']} trials", "", _LEGEND_REJECTIONS, ""]
            lines += _table(rows, _rejected)
    lines += ["## Settings", "", "| measure | version | settings that are not the defaults |", "|---|---|---|"]
    for name, cell in {c["measure"]: c for c in found}.items():
        settings = ", ".join(f"{k}={v}" for k, v in cell["settings"].items())
        lines.append(f"| `{name}` | {cell['version']} | {settings} |")
    return "\n".join(lines) + "\n"


_LEGEND_COVERAGE = (
    "Share of data sets whose interval holds the truth, and of how many data sets; then the median width in units of "
    "3.92 standard deviations of the value among data sets (1: as wide as it must be). `w`: withdrawn, with a reason."
)
_LEGEND_REJECTIONS = "Share of pairs with p <= 5 %, and of how many with a p-value. `w`: no p-value."


def _coverage(cell: dict[str, Any]) -> str:
    if not cell["n"]:
        return f"w {cell['withdrawn']}"
    withdrawn = f", w {cell['withdrawn']}" if cell["withdrawn"] else ""
    return f"{100 * cell['covered'] / cell['n']:.0f} % of {cell['n']} ({cell['width']:.1f}){withdrawn}"


def _rejected(cell: dict[str, Any]) -> str:
    if not cell["n"]:
        return f"w {cell['withdrawn']}"
    withdrawn = f", w {cell['withdrawn']}" if cell["withdrawn"] else ""
    return f"{100 * cell['rejected'] / cell['n']:.0f} % of {cell['n']}{withdrawn}"


def _table(rows: Sequence[dict[str, Any]], text: Any) -> list[str]:
    families = list(dict.fromkeys(c["family"] for c in rows))
    lines = [f"| measure | {' | '.join(families)} |", "|---" * (len(families) + 1) + "|"]
    for measure in dict.fromkeys(c["measure"] for c in rows):
        by = {c["family"]: text(c) for c in rows if c["measure"] == measure}
        lines.append(f"| `{measure}` | {' | '.join(by.get(f, '') for f in families)} |")
    return [*lines, ""]


def updated(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """All cells, in the order of their names; a cell of `new` takes the place of that of `old`."""
    return list(dict(sorted({_key(cell): cell for cell in (*old, *new)}.items())).values())


def _key(cell: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(cell[k] for k in ("kind", "n_trials", "relation", "measure", "family"))


if __name__ == "__main__":
    page = Path(sys.argv[2])
    counts = page.with_suffix(".json")
    before = json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else []
    cells = updated(before, read(Path(sys.argv[1])))
    counts.write_text("[\n" + ",\n".join(json.dumps(cell) for cell in cells) + "\n]\n", encoding="utf-8")
    page.write_text(calibration_page(cells), encoding="utf-8")
