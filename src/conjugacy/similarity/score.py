"""What is known of a measure (`Traits`) and what it gives for two systems (`Score`, with its `Interval` and `Null`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

from conjugacy._check import check_choice
from conjugacy._html import bullets, card, html_table

NEEDS = ("paired trajectories", "trajectories", "inputs", "step")


RELATIONS_THAT_KEEP_THE_COMPUTATION = (
    "rotation",
    "mirror",
    "permutation",
    "scaling",
    "translation",
    "affine map",
    "diffeomorphism",
    "other size",
    "other speed",
    "null dimensions",
    "observation noise",
)


RELATIONS_THAT_CHANGE_IT = (
    "other dynamics, same geometry",
    "other flow off the data",
    "fixed point added",
    "fixed point removed",
    "other non-normality, same spectrum",
    "unrelated",
)


OFF_DATA = frozenset({"other flow off the data", "fixed point added"})


class Undefined(ValueError):
    """Raised where a measure has no value for the data given, although they are well-formed: 0/0, for instance."""


class Interval(NamedTuple):
    """How far a score may be trusted: a confidence interval from resampled trials, or what `method` says."""

    low: float
    high: float
    level: float
    method: str
    bias: float  # mean of the resampled values minus the value: large against high - low means too few trials
    n_resamples: int
    doubt: str = ""  # why it may be unreliable, for the warnings of the score


class Null(NamedTuple):
    """What the measure gives when the relation between the two systems has been destroyed."""

    kind: str
    mean: float
    std: float
    low: float  # 2.5 % quantile
    high: float  # 97.5 % quantile
    p_value: float  # share of surrogates at least as similar as the data, (r + 1) / (n + 1)
    n_surrogates: int
    keeps: str = ""  # what the surrogates share with the data, in words
    breaks: str = ""  # what they do not

    @property
    def p_bound(self) -> bool:
        """Whether `p_value` is only an upper bound: no surrogate was as similar, and more of them could lower it."""
        return self.p_value <= 1.0 / (self.n_surrogates + 1) + 1e-12

    @property
    def p_text(self) -> str:
        """The p-value as it is to be printed: "0.12", or "<= 0.048" where it is a bound."""
        return f"{'<= ' if self.p_bound else ''}{self.p_value:.2g}"


@dataclass(frozen=True)
class Traits:
    """What is known about a measure before it has seen data.

    Attributes
    ----------
    name, version : str
        The version changes whenever the definition does: numbers of different versions are not to be compared.
    summary : str
        One line.
    needs : {"paired trajectories", "trajectories", "inputs", "step"}
        What a system must have. "paired trajectories": trial k, step t of both systems answer the same input.
    low, high, perfect : float
        Range of the value, and the value for two equal systems.
    higher_is_more_similar, symmetric, is_metric : bool
        A metric is zero on equal systems, symmetric, and keeps the triangle inequality.
    invariances : frozenset of str
        Relations that keep the computation and leave the measure at `perfect`; names from the known-answer suite.
    blind_to : frozenset of str
        Relations that change the computation, which the measure does not see.
    per_step : bool
        Time steps of both systems are taken for equally long: systems with another `dt` each are refused.
    estimated : bool
        The value is estimated from data of finite length in a way that depends on coordinates: invariances hold nearly,
        and the better the longer the trials are.
    reference : str
        Authors, year and equation.
    """

    name: str
    version: str
    summary: str
    needs: str
    low: float
    high: float
    perfect: float
    higher_is_more_similar: bool
    symmetric: bool = True
    is_metric: bool = False
    invariances: frozenset[str] = frozenset()
    blind_to: frozenset[str] = frozenset()
    per_step: bool = False
    estimated: bool = False
    reference: str = ""

    def __post_init__(self):
        check_choice("needs", self.needs, NEEDS)
        for relation in self.invariances:
            check_choice("invariances", relation, RELATIONS_THAT_KEEP_THE_COMPUTATION)
        for relation in self.blind_to:
            check_choice("blind_to", relation, RELATIONS_THAT_CHANGE_IT)


@dataclass(frozen=True)
class Score:
    """How similar two systems are, by one measure.

    Attributes
    ----------
    measure, version : str
        The definition of the measure.
    a, b : str
        Names of the systems.
    value : float
    direction : str
        ``"a -> b"`` (a predicts b) or ``"a <-> b"``, with the names filled in.
    higher_is_more_similar : bool
    interval : Interval or None
    null : Null or None
    diagnostics : dict
        Details of the computation (ranks, lower bounds, residuals, ...).
    warnings : tuple of str
        Reasons to doubt the value, and why something is undefined (NaN); empty where there are none.
    """

    measure: str
    version: str
    a: str
    b: str
    value: float
    direction: str
    higher_is_more_similar: bool
    interval: Interval | None = None
    null: Null | None = None
    diagnostics: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value

    def cells(self) -> dict[str, str]:
        """A row of a table for readers: measure, direction, value, interval, what chance gives and p, noise."""
        row = {"measure": self.measure, "direction": self.direction, "value": f"{self.value:.4f}"}
        if self.interval is not None and isfinite(self.interval.low + self.interval.high):
            kind = "range" if self.interval.level == 1 else f"{self.interval.level:.0%}"
            row["interval"] = f"{self.interval.low:.4f} to {self.interval.high:.4f} ({kind})"
        if self.null is not None:
            row |= {"by chance": f"{self.null.mean:.4f}", "p": self.null.p_text}
        if "noise" in self.diagnostics:
            reached = " (reached)" if self.diagnostics["reached_by_noise"] else ""
            row["noise"] = f"{self.diagnostics['noise']:.4f}{reached}"
        return row

    def _repr_html_(self) -> str:
        heading = f"{self.measure}: {'high' if self.higher_is_more_similar else 'low'} is similar"
        return card(heading, html_table([self.cells()]), bullets(self.warnings))

    def __repr__(self) -> str:
        text = f"Score({self.measure} {self.direction}: {self.value:.4g}"
        if self.interval:
            text += f" [{self.interval.low:.4g}, {self.interval.high:.4g}] at {self.interval.level:.0%}"
        if self.null:
            n = self.null
            text += f"; null {n.mean:.4g} +- {n.std:.2g} ({n.kind}), p {'' if n.p_bound else '= '}{n.p_text}"
        return text + ")" + "".join(f"\n  Warning: {warning}" for warning in self.warnings)
