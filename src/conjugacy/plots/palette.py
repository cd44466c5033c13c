"""The colours of all figures: each means one thing in the whole package, and all can be told apart by the colour-blind.

The eight colours of Okabe and Ito (2008), and maps of colours that grow evenly in lightness. What a colour means is
told by something else too: a marker, a dash, a label.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, ORANGE, YELLOW, BLACK = "#56B4E9", "#E69F00", "#F0E442", "#000000"

# networks, groups, trials, channels: things that stand side by side, in this order (yellow is too light for lines)
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_DASHES = ("-", "--", ":", "-.")

# points at which a state rests, and from which it departs
STABLE = BLACK
SADDLES = (VERMILLION, ORANGE, PURPLE, SKY, BLUE)  # by number of unstable directions, the last for all beyond
SADDLE_MARKERS = ("D", "s", "^", "v", "P")
HELD, SLOW, UNRESOLVED = GREEN, "0.55", "0.8"

# what happens in a trial
CUE = GREEN  # a target appears, a go cue is given
PUSH = BLACK  # a force on the hand: no colour of a direction
TARGET = "0.3"

# what a value is held against
REFERENCE = "0.35"  # a reference, a border, zero
CHANCE = "0.7"  # nulls, random lesions, anything that chance does
PATH = "0.6"  # trajectories behind something else

# answers
SAME, DIFFERENT, UNKNOWN = GREEN, VERMILLION, "0.75"

# values: dark is alike, small, or early
VALUES, VALUES_TURNED = "viridis", "viridis_r"


def series(k: int) -> str:
    """The colour of the k-th of several things, from 0."""
    return SERIES[k % len(SERIES)]


def line_style(k: int) -> dict[str, Any]:
    """Colour and dash of the k-th of several lines: 28 that differ, then they come again."""
    return {"color": series(k), "linestyle": _DASHES[k // len(SERIES) % len(_DASHES)]}


def shades(n: int) -> list[tuple[float, ...]]:
    """`n` colours in an order, from dark to light: steps, sizes, numbers of anything."""
    from matplotlib import colormaps

    return [tuple(map(float, c)) for c in colormaps[VALUES](np.linspace(0.0, 0.85, max(n, 1)))]


def saddle(n_unstable: int) -> tuple[str, str]:
    """Colour and marker of a point by its number of unstable directions; 0: stable."""
    if n_unstable == 0:
        return STABLE, "o"
    k = min(n_unstable, len(SADDLES)) - 1
    return SADDLES[k], SADDLE_MARKERS[k]


def directions() -> Any:
    """A map of colours that closes on itself, for angles: blue, green, orange, purple, blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("directions", [BLUE, GREEN, ORANGE, VERMILLION, PURPLE, BLUE])
