"""How sure a score is to be said: the settings of intervals and nulls, which travel together as one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conjugacy._check import check_choice, check_int, check_number, shown
from conjugacy.similarity.samples import as_system, kind_of

RESAMPLED = ("trials", "units", "conditions", "blocks")
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
    resample : str, or sequence of str
        Over what the interval is: "trials", as each measure does it best; or what it is to generalise to: "units",
        "conditions", or several ("trials" and "units"), see `half_samples`; or "blocks" of a long recording.
    conditions : sequence of labels (trial,), or mapping of str to such, or None
        Condition of each trial, for all systems or by their names; for "conditions".
    block : int or None
        Steps of a block, at least 2; None: five times what the leading components take to forget themselves.

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
    resample: Any = "trials"
    conditions: Any = None
    block: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "resample", check_resample(self.resample))
        if self.conditions is not None and "conditions" not in self.resample:
            raise ValueError(
                f"`conditions`: expected None unless they are resampled, got {shown(self.conditions)} with "
                f"resample={'+'.join(self.resample)!r}. Add resample='conditions'."
            )
        if "conditions" in self.resample and (
            self.conditions is None
            or isinstance(self.conditions, (str, bytes))
            or not hasattr(self.conditions, "__len__")
        ):
            raise TypeError(
                "`conditions`: expected one label a trial, or a dict of name of a system to labels, got "
                f"{kind_of(self.conditions)}."
            )
        if self.block is not None:
            check_int("block", self.block, 2)
            if self.resample != ("blocks",):
                raise ValueError(
                    f"`block`: expected None unless blocks are resampled, got {self.block}. Add resample='blocks'."
                )
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


def check_resample(given: Any) -> tuple[str, ...]:
    """What is resampled, one name or several, as a tuple; TypeError or ValueError says what is taken."""
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not len(names):
        raise TypeError(
            f"`resample`: expected one or several of {', '.join(map(repr, RESAMPLED))}, got {kind_of(given)}."
        )
    for name in names:
        check_choice("resample", name, RESAMPLED)
    names = tuple(dict.fromkeys(names))
    if len(names) > 1 and ("blocks" in names or {"trials", "conditions"} <= set(names)):
        raise ValueError(
            "`resample`: expected blocks alone, and conditions without trials, which they bring along, got "
            f"{list(names)}."
        )
    return names


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
