"""Conjugacy as a measure: is one system the other in other coordinates, or a factor of it?

The value is that of `find_conjugacy`: the smaller of its scores on new trials and around them, of the better
direction, so that 1 means that at least one of the two systems is an image of the other, and 0 that no map was found
that does better than a constant. Values below 0 are given as 0. It sees what trajectories do not show, as far as
`reach` says, and no change of coordinates alters it, linear or not, to other sizes or at another speed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from typing_extensions import override

from conjugacy._check import check_int, check_number
from conjugacy.similarity.conjugacy_maps import fit_conjugacy
from conjugacy.similarity.conjugacy_result import N_RESAMPLES, Direction, factor_of
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.score import Interval, Traits
from conjugacy.system import System


class Ways(NamedTuple):
    """Both maps of a pair and what makes them doubtful; states are not kept, for a population has many pairs."""

    there: Direction
    back: Direction
    doubts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Partner:
    """A system, trials to fit on where they were given, and the maps that were found to others."""

    system: System
    train: System | None
    found: dict[Partner, Ways] = field(default_factory=dict)


@dataclass(frozen=True)
class ConjugacyMeasure(Measure):
    """How well a change of coordinates joins two systems; see the module docstring.

    Attributes
    ----------
    reach : float or None
        Look in a box of so many spreads as well, see `conjugacy.find_conjugacy`.
    n_steps : int
        Steps of training.
    speed : float or None
        Steps of the first in one of the second; None: from their time steps.
    seed : int
    """

    automatic_null: ClassVar[str | None] = None
    costly: ClassVar[bool] = True

    reach: float | None = None
    n_steps: int = 600
    speed: float | None = None
    seed: int = 0

    def __post_init__(self):
        if self.reach is not None:
            check_number("reach", self.reach, 0, open_low=True)
        if self.speed is not None:
            check_number("speed", self.speed, 0, open_low=True)
        check_int("n_steps", self.n_steps, 0)
        check_int("seed", self.seed, 0)

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="conjugacy",
            version="1",
            summary="how well a learned change of coordinates carries one dynamics into the other, both ways tried",
            needs="step",
            low=0.0,
            high=1.0,
            perfect=1.0,
            higher_is_more_similar=True,
            is_metric=False,
            estimated=True,
            invariances=frozenset(
                {"rotation", "mirror", "permutation", "scaling", "translation", "affine map", "diffeomorphism"}
                | {"other size", "other speed", "null dimensions", "observation noise"}
            ),
            reference="Katok and Hasselblatt 1995, section 2.3 (conjugacy and factors); learned here",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> Partner:
        return Partner(system, train)

    @override
    def compare(self, a: Partner, b: Partner) -> tuple[float, dict[str, Any]]:
        found = self._found(a, b)
        details: dict[str, Any] = {
            "factor": factor_of(found.there, found.back),
            "forward": found.there.value,
            "backward": found.back.value,
            "horizon": found.there.horizon,
            "maps": (found.there.map.kind, found.back.map.kind),
        }
        if found.doubts:
            details["warnings"] = found.doubts
        return min(max(found.there.value, found.back.value, 0.0), 1.0), details

    @override
    def interval(self, a: Partner, b: Partner, value: float, resampling: Resampling) -> Interval | None:
        found = self._found(a, b)
        better = max((found.there, found.back), key=lambda d: d.value)
        level = 0.95 if resampling.interval is None else resampling.interval
        d = better.at_level(level, resampling.seed)
        low, high = (min(getattr(d.score, end), getattr(d.score_off, end)) for end in ("low", "high"))
        method = "new trials resampled, the map as it is"
        return Interval(min(max(low, 0.0), value), max(min(high, 1.0), value), level, method, 0.0, N_RESAMPLES)

    def _found(self, a: Partner, b: Partner) -> Ways:
        # the same whichever is named first
        first, second = (a, b) if _rank(a.system) <= _rank(b.system) else (b, a)
        speed = self.speed if self.speed is None or first is a else 1.0 / self.speed
        if second not in first.found:
            train = None if a.train is None or b.train is None else (first.train, second.train)
            fit, test = (train, (first.system, second.system)) if train else ((first.system, second.system), None)
            options = {"reach": self.reach, "n_steps": self.n_steps, "seed": self.seed, "speed": speed}
            made = fit_conjugacy(*fit, test=test, **options)
            first.found[second] = Ways(made.there, made.back, made.doubts)
        found = first.found[second]
        return found if first is a else found._replace(there=found.back, back=found.there)


def _rank(system: System) -> tuple[int, int]:
    return -system.n_units, zlib.crc32(system.trajectories.detach().cpu().contiguous().numpy().tobytes())
