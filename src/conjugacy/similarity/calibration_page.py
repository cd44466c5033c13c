"""The page of the calibration: what `calibrate` counted, as tables.

``python -m conjugacy.similarity.calibration_page FOLDER docs/calibration.md`` writes it from the files of a run.
"""

from __future__ import annotations

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
noise: more noise in the recording is another world.

## How intervals are made

| measures | interval |
|---|---|
| `dsa`, `spectrum_w2` and their kin, `timescales` | every resample chooses its principal components anew; the low end comes from half-samples, which know the bias that noise adds to a distance, the high end from half-samples or from the bootstrap, whichever is higher |
| the same where no component is cut off | value less its bias (half-samples), with the standard deviation of ten values without a tenth of the trials each |
| `cka_unbiased`, `cka_rbf`, `rsa` | jackknife over trials |
| `procrustes` and its kin, `cca`, `svcca`, `pwcca`, matchings, `cka` | jackknife over trials, about the value less its bias; none where the bias is larger than the interval is wide |
| all others | bootstrap over trials, shifted so that its mean falls on the value |

Below 20 trials distances of fitted operators have no interval. Where two halves of the trials have other leading
components, the score says that the rank is not determined by the data, and names one that is.

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


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(calibration_page(read(Path(sys.argv[1]))), encoding="utf-8")
