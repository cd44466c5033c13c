"""How sure a score is to be said: the settings of intervals and nulls, which travel together as one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.similarity.samples import as_system, kind_of

NULLS = ("matched_systems", "shuffled_trials", "shuffled_time", "phase_randomised", "independent_phases")


@dataclass(frozen=True, eq=False)
class Resampling:
    """Settings of intervals and nulls; all are checked when the object is made.

    Attributes
    ----------
    interval : float or None
        Level of the interval over trials, in (0, 1], such as 0.95. None: no interval.
    n_resamples : int
        Bootstrap resamples, at least 10.
    null : str, sequence of systems, mapping of str to either, or None
        Kind of surrogate: one of `NULLS`, or "auto" for what suits the measure. Systems are put in the place of the
        second system. A mapping names the systems (or the kind) for each second system by its name, and "auto" holds
        for names that are not in it. None: no null.
    n_surrogates : int
        Surrogates, at least 1, where `null` is a kind; for "matched_systems" the most that are drawn, see `kinship`.
    seed : int
        Seed of resamples and surrogates, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a setting is of another kind or out of its range.
    """

    interval: float | None = None
    n_resamples: int = 200
    null: Any = None
    n_surrogates: int = 50
    seed: int = 0

    def __post_init__(self):
        if self.interval is not None:
            check_number(
                "interval", self.interval, 0.0, 1.0, open_low=True, hint="It is a level such as 0.95, or None."
            )
        check_int("n_resamples", self.n_resamples, 10, 10**7, hint="Use interval=None for no interval.")
        check_int("n_surrogates", self.n_surrogates, 1, 10**7, hint="Use null=None for no null.")
        check_int("seed", self.seed, 0)
        if isinstance(self.null, Mapping):
            for name, null in self.null.items():
                _check_null(f"null[{name!r}]", null)
        elif self.null is not None:
            _check_null("null", self.null)

    def null_of(self, name: str) -> Any:
        """The null of the second system called `name`: a kind, a sequence of systems, or None."""
        return self.null.get(name, "auto") if isinstance(self.null, Mapping) else self.null


def _check_null(argument: str, null: Any) -> None:
    if isinstance(null, str):
        check_choice(argument, null, (*NULLS, "auto"), "Or give systems to put in the place of `b`.")
        return
    # an array is one system, not a sequence of them
    if not isinstance(null, Sequence) or isinstance(null, bytes):
        raise TypeError(
            f"`{argument}`: expected one of {', '.join(map(repr, (*NULLS, 'auto')))}, a list of systems, or None, got "
            f"{kind_of(null)}. For one system, give [system]."
        )
    if len(null) == 0:
        raise ValueError(f"`{argument}`: expected a kind of surrogate or at least one system, got an empty list.")
    for i, system in enumerate(null):
        as_system(f"{argument}[{i}]", system)
