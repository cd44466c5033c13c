"""The page `docs/measures.md`, made from the known-answer suite: ``python -m conjugacy.similarity.page PATH``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from conjugacy.similarity.known_answer_checks import agreement, check_draws, check_measures, verdicts
from conjugacy.similarity.known_answers import known_pairs
from conjugacy.similarity.measure import registry

if TYPE_CHECKING:
    import pandas as pd

_INTRODUCTION = """# Which measure sees what

Two networks, two recordings, or one of each: `conjugacy.similarity` has {n} measures of how similar they are, and none
answers every question. This page says what each of them takes, what it promises not to react to, and what it did on
pairs of systems whose relation is known by construction. It is generated, not written; to make it again:

    python -m conjugacy.similarity.page docs/measures.md

## Where to start

| question | measure |
|---|---|
| Are the states of one a linear read-out of the other's? What is missing, what is invented? | `state_r2`, both ways |
| Do the states have the same shape, trial by trial? | `procrustes`, `cka` (large variances rule), `cca` (do not) |
| Do they move alike, without pairing trials? | `dsa`, with a `surface` over ranks and delays |
| Have they the same modes and time constants? | `spectrum_w2`, `spectrum_w2_continuous` across sampling rates |
| Do they keep their past for as long? Do nearby states part as fast? | `timescales`, `lyapunov` |
| Do inputs push them alike? | `input_dsa` |
| Have they the same memories, joined alike, also where no trial went? | `portrait` (needs step functions) |

```python
import numpy as np
from conjugacy.similarity import get_measure, pairwise, surface

# three random walks, (trial, time, unit); a Run or a System goes in as well
a, b, c = (np.random.default_rng(seed).standard_normal((20, 50, 6)).cumsum(1) for seed in range(3))

score = get_measure("procrustes")(a, b, interval=0.95, null="auto")  # value, interval, null, diagnostics
table = pairwise([a, b, c], ["state_r2", "dsa"], interval=0.95).table()
surface([a, b, c], "dsa").warning  # does the order of distances depend on rank and delays?
```

What a score says about itself:

- **interval**: from trials drawn anew. Distances of fitted operators and time constants choose their components in
  every resample and allow for the bias that noise adds; shapes, canonical correlations, kernels, `state_r2` and `rsa`
  leave out one trial at a time; the others draw trials with replacement, with quantiles shifted so that their mean
  falls on the value. Shapes, correlations, linear CKA and `state_r2` have intervals about the value less its bias
  (`score.interval.bias`), which in noisy records need not hold the value that is printed: of spike counts, 30 trials
  make `cca` 0.16 too small. How often each holds the truth is counted in [calibration](calibration.md).
  `portrait` does not depend on trials, and gives the range over further searches
- **null**: the same measure against surrogates of the second system, or against systems you give, such as retrained or
  untrained copies (`conjugacy.compare` trains none, but draws untrained ones for runs where trials are not paired).
  `dsa` and the spectra ask for kinship: against unrelated systems with the same time constants, noise and departure
  from normality ("matched_systems"). They are functions of covariances, which randomised phases keep, so
  "phase_randomised" is refused
- **many of them**: tables of pairs and measures have "p_corrected" (false discovery rate) beside each p-value, and
  `table.attrs` says over how many
- **diagnostics**: `dsa` comes with a lower bound that no rotation can beat and with how many climbs of its search
  agree; `state_r2` with the R2 on the trials of the fit; operators with their ranks
- **ceiling**: `split_half_ceiling(measure, system)` is what two halves of one system give

What netrep, rsatoolbox, similarity-repository and dsa-metric call each of them is in [peers](peers.md).

Models of spikes are scored on arrays in `conjugacy.recordings.spike_scores`: `rate_r2`, `input_r2`, `bits_per_spike`,
`co_bps`, `co_bps_from_latents`, `cycle_consistency`. Repeated trials with noise: `stochastic_shape_distance`.

## What they take and give
"""

_SUITE = """
## The known answers

The reference is a driven, bistable map of three units. The systems of the first group compute the same as it, those of
the second group do not (or, in two pairs, differ from each other in the way named).

- **pass**: at the perfect value where the computation is the same (below 1e-5 of the distance of unrelated systems, the
  median over five random networks; for noise and for `lyapunov`, an estimate over finite time, below 0.1), or clearly
  away from it (above 0.1) where it is not
- **moves**: reacts although the computation is the same, and does not promise otherwise
- **blind**: does not see that the computation differs (below 0.1)
- **n/a**: cannot take the pair (trials of other lengths; no inputs)

Blindness here is that of the suite's size of effect and of the parameters used (operators of rank 6 with 4 delays; of
rank 3 without delays for the linear maps).
"""


_DRAWS = """
### Over {n} draws of the suite

The tables above are of the first draw. With other inputs, changes of coordinates and random networks (seeds
{seeds}), {whole} of {total} declared properties held in every draw, among them all {kept}
that promise a value where the computation is the same. What is seen or missed is a matter of size, and some draws may
fall on the other side of the border at 0.1:

"""


def measures_page(draws: pd.DataFrame | None = None) -> str:
    """The page as Markdown, from a table of `check_measures` (None: run it) or, better, of `check_draws`."""
    draws = check_measures() if draws is None else draws
    table = draws.drop_duplicates(["measure", "relation"])
    traits = registry()
    names = list(dict.fromkeys(table["measure"]))
    lines = [_INTRODUCTION.format(n=len(names))]
    lines += [
        "| measure | v | needs | range | alike | direction | metric | what it is |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        t = traits[name]
        alike = "high" if t.higher_is_more_similar else "low"
        direction = "both alike" if t.symmetric else "a → b"
        span = f"[{_number(t.low)}, {_number(t.high)}]"
        metric = "yes" if t.is_metric else ""
        lines.append(
            f"| `{name}` | {t.version} | {t.needs} | {span} | {alike} | {direction} | {metric} | {t.summary} |"
        )
    lines += [_SUITE, "| relation | how |", "|---|---|"]
    pairs = known_pairs()
    for pair in sorted(pairs, key=lambda p: not p.same):
        lines.append(f"| {pair.relation} | {pair.how} |")
    wide = verdicts(table)
    lines += ["", "### Verdicts", "", *_wide(wide, pairs)]
    deviations = table.pivot(index="measure", columns="relation", values="deviation").loc[wide.index, wide.columns]
    lines += ["", "### Distance from the perfect value, relative to unrelated systems", ""]
    lines += _wide(deviations.map(_deviation), pairs)
    if "seed" in draws:
        lines += _over_draws(draws)
    return "\n".join(lines) + "\n"


def _over_draws(draws: pd.DataFrame) -> list[str]:
    counted = [r for r in agreement(draws).to_dict("records") if r["expected"] != "any"]
    split = [r for r in counted if r["held"] < r["draws"]]
    broken = [f"{r['measure']}, {r['relation']}" for r in split if r["same"]]
    if broken:
        raise ValueError(f"declared invariances do not hold in every draw: {'; '.join(broken)}.")
    counts = {"n": draws["seed"].nunique(), "seeds": ", ".join(map(str, draws["seed"].unique())), "total": len(counted)}
    counts |= {"whole": len(counted) - len(split), "kept": sum(bool(r["same"]) for r in counted)}
    lines = _DRAWS.format(**counts).splitlines()
    lines += ["| measure | relation | documented as | as documented in | deviation: median | from | to |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for r in split:
        documented = "blind" if r["expected"] == "same or close" else "seen"
        figures = " | ".join(_deviation(r[key]) for key in ("median", "low", "high"))
        lines.append(f"| `{r['measure']}` | {r['relation']} | {documented} | {r['held']} of {r['draws']} | {figures} |")
    return lines


def _wide(frame: pd.DataFrame, pairs) -> list[str]:
    """Measures as rows; relations that keep the computation, then those that change it, as columns."""
    kept = [p.relation for p in pairs if p.same]
    changed = [p.relation for p in pairs if not p.same]
    lines = []
    for title, columns in (("same computation", kept), ("another computation", changed)):
        lines += ["", f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for name in frame.index:
            lines.append(f"| `{name}` | " + " | ".join(str(frame.loc[name, c]) for c in columns) + " |")
    return lines


def _number(x: float) -> str:
    return {0.0: "0", 1.0: "1", -1.0: "-1", 2.0: "2"}.get(
        x, "π" if 3.1 < x < 3.2 else "π/2" if 1.5 < x < 1.6 else f"{x:g}"
    )


def _deviation(x: float) -> str:
    return "" if x != x else "0" if x < 1e-5 else f"{x:.1g}" if x < 0.1 else f"{x:.2f}"


if __name__ == "__main__":
    text = measures_page(check_draws(progress=True))
    Path(sys.argv[1]).write_text(text, encoding="utf-8") if len(sys.argv) > 1 else sys.stdout.write(text)
