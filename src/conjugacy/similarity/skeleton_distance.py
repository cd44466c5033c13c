"""Portrait distance: do the flows have the same fixed points, joined in the same way, at the same speeds?

The fixed points of each system's step function are found, certified and joined to a portrait by `conjugacy.dynamics`;
the distance compares the portraits. Whatever changes of coordinates may do to trajectories, they leave it at zero, and
it sees what no trial has visited. It needs step functions, so recordings cannot have it.

The value does not depend on the trials, so there is nothing to resample: its interval is the range over further
searches from other starts, [value, value] unless a search has missed something that another one found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from typing_extensions import override

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.score import Interval, Traits
from conjugacy.system import System

PARTS = ("total", "counts", "graph", "spectra")
N_SEARCHES = 3  # the first gives the value


@dataclass(frozen=True, eq=False)
class Portraits:
    """The portrait of one system, and those of further searches once they were asked for."""

    system: System
    found: list[Any]


@dataclass(frozen=True)
class PortraitMeasure(Measure):
    """Distance between the portraits of two systems under one held input; see the module docstring.

    Attributes
    ----------
    held_input : tuple of float or float
        The input held while fixed points are sought; one number fills all channels.
    part : {"total", "counts", "graph", "spectra"}
        The whole distance, or one of its parts.
    n_inits : int
        Starts of the search.
    reach : float
        Starts lie around the states visited, up to `reach` times their spread from the mean.
    seed : int
        Of the search.
    """

    held_input: tuple[float, ...] | float = 0.0
    part: str = "total"
    n_inits: int = 512
    reach: float = 3.0
    seed: int = 0

    def __post_init__(self):
        check_choice("part", self.part, PARTS)
        check_int("n_inits", self.n_inits, 1)
        check_number("reach", self.reach, 0)
        check_int("seed", self.seed, 0)
        given = self.held_input if isinstance(self.held_input, (tuple, list)) else [self.held_input]
        for value in given:
            check_number("held_input", value, hint="Give a number, or one for each input.")

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="portrait" if self.part == "total" else f"portrait_{self.part}",
            version="1",
            summary="distance between certified fixed points, their connections and time constants",
            needs="step",
            low=0.0,
            high=1.0,
            perfect=0.0,
            higher_is_more_similar=False,
            is_metric=False,
            invariances=frozenset(
                {"rotation", "mirror", "permutation", "scaling", "translation", "affine map", "diffeomorphism"}
                | {"other size", "other speed", "observation noise"}
            ),
            blind_to=frozenset({"other non-normality, same spectrum"}),
            reference="Sussillo and Barak 2013; Maheswaranathan et al. 2019",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> Portraits:
        del train
        if system.step is None:
            raise ValueError(
                f"`step`: {system.name!r} has no step function, so its fixed points are out of reach. Give one "
                "(System.from_arrays(..., step=...)), or use a measure of trajectories such as 'dsa'."
            )
        return Portraits(system, [self._search(system, self.seed)])

    @override
    def compare(self, a: Portraits, b: Portraits) -> tuple[float, dict[str, Any]]:
        return self._compared(a.found[0], b.found[0])

    @override
    def interval(self, a: Portraits, b: Portraits, value: float, resampling: Resampling) -> Interval | None:
        del resampling  # a range of few searches, made once for each system
        for side in (a, b):
            for k in range(len(side.found), N_SEARCHES):
                side.found.append(self._search(side.system, self.seed + k))
        values = [self._compared(x, y)[0] for x, y in zip(a.found, b.found)]
        bias = sum(values) / len(values) - value
        return Interval(min(values), max(values), 1.0, f"range over {N_SEARCHES} searches", bias, N_SEARCHES)

    def _compared(self, a: Any, b: Any) -> tuple[float, dict[str, Any]]:
        from conjugacy.dynamics import portrait_distance

        distance = portrait_distance(a, b)
        parts = {part: float(getattr(distance, part)) for part in PARTS}
        return parts[self.part], {**parts, "counts_a": dict(a.counts), "counts_b": dict(b.counts)}

    def _search(self, system: System, seed: int) -> Any:
        from conjugacy.dynamics import fixed_points, portrait

        inputs = self.held_input if isinstance(self.held_input, (int, float)) else list(self.held_input)
        x0 = self._starts(system)
        return portrait(fixed_points(system, x0=x0, inputs=inputs, n_inits=self.n_inits, seed=seed, progress=False))

    def _starts(self, system: System) -> torch.Tensor:
        """States visited, and the same thrown further from their mean: what no trial visits is looked for as well."""
        states = system.states().double()
        keep = torch.linspace(0, len(states) - 1, min(len(states), 2048)).long()
        states = states[keep]
        mean = states.mean(0)
        further = mean + self.reach * (states - mean)
        return torch.cat([states, further])
