"""What `attractors` returns: the attractors that orbits settle on, and which orbit settles where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

_NAMES = {
    "fixed": ("fixed point", "fixed points"),
    "held": ("held point", "held points"),
    "cycle": ("cycle", "cycles"),
    "circle": ("circle", "circles"),
    "torus": ("torus", "tori"),
    "chaos": ("chaotic attractor", "chaotic attractors"),
    "unresolved": ("unresolved motion", "unresolved motions"),
    "runaway": ("escape to infinity", "escapes to infinity"),
}


@dataclass(frozen=True, eq=False)
class Attractor:
    """A set that orbits settle on, with what is established about it.

    Attributes
    ----------
    kind : str
        "fixed": a fixed point (or, where `dimension` > 0, a line or surface of them). "held": a place that orbits do
        not leave within `horizon`, though no fixed point was found there. "cycle": an orbit that repeats exactly.
        "circle": a closed curve that a map turns without repeating (the cycle of a flow seen in steps of time).
        "torus": motion with two or more independent frequencies. "chaos": nearby orbits part exponentially.
        "unresolved": none of these could be established. "runaway": orbits that leave for infinity.
    x : Tensor (n, D)
        Its states: the point itself; all points of a cycle of a map, samples at equal times of a cycle of a flow;
        points along a circle; states that orbits visited, for the rest. Empty for "runaway". With inputs that repeat,
        circles, tori and chaos are given at the first input.
    share, hits : float and int
        Share and number of the orbits that settled on it.
    period, period_error : float
        Steps (a flow: units of time) until it repeats (cycle), or that a turn takes (circle); NaN where there is none.
    rotations : tuple of float
        Turns per step (a flow: per unit of time) of a circle; the independent frequencies of a torus, up to whole
        combinations of each other.
    exponents, exponent_errors : Tensor (k,)
        Lyapunov exponents by falling size, per step (a flow: per unit of time).
    multipliers : complex Tensor (m,)
        Floquet multipliers, by falling modulus: growth over one step of a fixed point (a flow: over a unit of time),
        over one period of a cycle or circle. A cycle of a flow and a circle have one that equals 1. Empty for the rest.
    certificate : str
        "kantorovich" (a proof up to rounding), "contraction" (Newton's method contracts a ball, sampled), "sampled"
        (orbits that start `radius` away come back, sampled), "continuum" or "none".
    radius : float
        Distance within which the certificate holds.
    resolution : float
        What is claimed holds at lengths above this, relative to the size of the attractor (of a point: to the spread of
        the visited states).
    time_scale : float
        Steps (units of time) for which its orbits were followed.
    dimension : float
        0 for points and cycles of maps, 1 for circles, the number of frequencies of a torus, the Kaplan-Yorke dimension
        of chaos; NaN where unknown.
    horizon : float
        Of a held point, the steps (units of time) for which it was shown to hold; infinite for attractors.
    orbits : Tensor (hits,)
        Which of the starts settled on it.
    readout : Tensor (n, O) or None
        The system's readout at `x`.
    note : str
        What else there is to say.
    """

    kind: str
    x: Tensor
    share: float
    hits: int
    period: float = float("nan")
    period_error: float = float("nan")
    rotations: tuple[float, ...] = ()
    exponents: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    exponent_errors: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    multipliers: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.complex128))
    certificate: str = "none"
    radius: float = 0.0
    resolution: float = float("nan")
    time_scale: float = float("nan")
    dimension: float = float("nan")
    horizon: float = float("inf")
    orbits: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    readout: Tensor | None = None
    note: str = ""

    @property
    def size(self) -> float:
        """Largest distance of its states from their mean."""
        return float((self.x - self.x.mean(0)).norm(dim=1).max()) if len(self.x) else float("nan")

    @property
    def contraction(self) -> float:
        """Factor by which the distance of slowest decay to it shrinks in a period (a step, where there is none).

        The directions along it are left out: the one of a circle or of a flow's cycle, those of a torus.
        """
        along = round(self.dimension) if self.dimension == self.dimension and self.kind != "chaos" else 0
        if self.kind == "chaos":
            along = int((self.exponents >= -self.exponent_errors).sum())
        if along >= len(self.exponents):
            return float("nan")
        period = self.period if np.isfinite(self.period) else 1.0
        return float((self.exponents[along] * period).exp())

    def __repr__(self) -> str:
        return f"Attractor({self.describe()}, {self.hits} orbits)"

    def describe(self) -> str:
        """A few words on what it is."""
        name = _NAMES[self.kind][0]
        if self.kind == "fixed" and self.dimension > 0:
            name = f"continuum of fixed points, of dimension {self.dimension:.0f}"
        if self.kind == "held":
            return f"{name} (for {self.horizon:.6g} steps)"
        if self.kind in ("cycle", "circle"):
            return f"{name} of period {self.period:.7g}"
        if self.kind == "torus":
            return (
                f"{len(self.rotations) or ''}-{name} with periods {', '.join(f'{1 / f:.5g}' for f in self.rotations)}"
            )
        if self.kind == "chaos":
            lead, error = float(self.exponents[0]), float(self.exponent_errors[0])
            return f"{name} (largest exponent {lead:.3g} +- {error:.1g}, dimension {self.dimension:.3g})"
        return name


@dataclass(frozen=True, eq=False)
class AttractorSet:
    """The attractors that orbits from visited states settle on, the most frequent first.

    Attributes
    ----------
    items : tuple of Attractor
        Also by index, ``found[0]``, and in a loop.
    owner : Tensor (B,), int64
        For each start, the position of its attractor in `items`.
    starts : Tensor (B, D)
    inputs : Tensor (T, I)
        The held input (T = 1), or the inputs that repeat.
    flow : bool
    dt : float or None
        Seconds per step (a flow: per unit of time).
    """

    items: tuple[Attractor, ...]
    owner: Tensor
    starts: Tensor
    inputs: Tensor
    flow: bool = False
    dt: float | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, which: int) -> Attractor:
        return self.items[which]

    def __iter__(self) -> Iterator[Attractor]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"AttractorSet({', '.join(f'{n} {kind}' for kind, n in self.counts.items())}; {len(self.owner)} orbits)"

    @property
    def counts(self) -> dict[str, int]:
        """Number of attractors of each kind."""
        order = list(_NAMES)
        return dict(sorted(Counter(a.kind for a in self.items).items(), key=lambda c: order.index(c[0])))

    @property
    def unresolved(self) -> float:
        """Share of the orbits that end in no attractor with a name."""
        return sum(a.share for a in self.items if a.kind == "unresolved")

    def of_kind(self, kind: str) -> tuple[Attractor, ...]:
        """The attractors of one kind."""
        return tuple(a for a in self.items if a.kind == kind)

    def table(self):
        """One row an attractor, as a pandas DataFrame; times in steps (a flow: in its unit), in s where dt is known."""
        import pandas as pd

        rows = []
        for a in self.items:
            row = {
                "kind": a.kind,
                "share": a.share,
                "orbits": a.hits,
                "period": a.period,
                "period_error": a.period_error,
            }
            if self.dt is not None:
                row["period_s"] = a.period * self.dt
            row |= {
                "rotations": ", ".join(f"{f:.8g}" for f in a.rotations),
                "exponent": float(a.exponents[0]) if len(a.exponents) else np.nan,
                "exponent_error": float(a.exponent_errors[0]) if len(a.exponent_errors) else np.nan,
                "contraction": a.contraction,
                "dimension": a.dimension,
                "size": a.size,
                "certificate": a.certificate,
                "radius": a.radius,
                "resolution": a.resolution,
                "time_scale": a.time_scale,
                "horizon": a.horizon,
                "note": a.note,
            }
            if a.readout is not None and len(a.readout):
                for k in range(a.readout.shape[1]):
                    row[f"readout_{k}_low"] = float(a.readout[:, k].min())
                    row[f"readout_{k}_high"] = float(a.readout[:, k].max())
            rows.append(row)
        return pd.DataFrame(rows).rename_axis("attractor")

    def summary(self) -> str:
        """What was found, in plain English."""
        time = "units of time" if self.flow else "steps"
        drive = (
            f", under inputs that repeat every {len(self.inputs)} steps"
            if len(self.inputs) > 1
            else ", under a held input"
        )
        counted = [f"{n} {_NAMES[kind][n > 1]}" for kind, n in self.counts.items()]
        lines = [f"{_count(len(self.owner), 'orbit')}{drive}, ended on {_list(counted)}."]
        for a in self.items:
            lines.append(f"- {_count(a.hits, 'orbit')} of {len(self.owner)}: {self._sentence(a, time)}")
        return "\n".join(lines)

    def _sentence(self, a: Attractor, time: str) -> str:
        if a.kind == "runaway":
            return "they leave for infinity."
        if a.kind == "unresolved":
            return f"no kind could be established in {a.time_scale:.6g} {time}. {a.note}".rstrip()
        text = f"{'an' if a.describe()[0] in 'aeiou' else 'a'} {a.describe()}"
        if self.dt is not None and np.isfinite(a.period):
            text += f" ({a.period * self.dt:.4g} s)"
        if a.kind in ("fixed", "cycle", "circle") and np.isfinite(a.contraction):
            unit = "period" if np.isfinite(a.period) else "unit of time" if self.flow else "step"
            text += f"; distances to it shrink by a factor of {a.contraction:.4g} in each {unit}"
        certificates = {
            "kantorovich": "proved by Newton-Kantorovich",
            "contraction": "Newton's method contracts around it (sampled)",
            "sampled": f"orbits that start {a.radius:.2g} away come back (sampled)",
        }
        text += f"; {certificates[a.certificate]}" if a.certificate in certificates else ""
        if np.isfinite(a.time_scale) and a.kind not in ("fixed", "held"):
            text += f"; followed for {a.time_scale:.6g} {time}, at lengths above {a.resolution:.1g} of its size"
        return f"{text}. {a.note}".rstrip()


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else "nothing"
