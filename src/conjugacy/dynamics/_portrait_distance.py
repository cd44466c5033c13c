"""portrait_distance(): how different the skeletons of two flows are, whatever their coordinates and sizes.

Four parts, each a pseudo-metric in [0, 1]; the total is their mean.

counts          Fixed points by number of unstable directions, and limit cycles, as multisets: 1 - |A n B| / |A u B|
                (weighted Jaccard or Ruzicka distance, a metric; Lipkus, J. Math. Chem. 26:263, 1999).
graph           Points joined by the unstable branches of one-unstable saddles. Every point is coloured by its number
                of unstable directions, then repeatedly by its colour and the multiset of its neighbours' colours
                (Weisfeiler & Leman 1968); Ruzicka distance of the multisets of colours, mean over three rounds.
spectra         Points matched within their class by their slow eigenvalues, as z = lambda^k over a horizon of k
                steps (so that modes that die within it count for nothing, and networks of any size compare):
                optimal sub-pattern assignment with cutoff 1 (Schuhmacher, Vo & Vo, IEEE Trans. Signal Process.
                56:3447, 2008), a metric.
input_response  Mean over the held inputs that both portraits were given of the Ruzicka distance of counts. NaN, and
                not part of the total, unless both have responses to the same inputs.

A conjugacy keeps points, eigenvalues and who joins whom, hence the distance of conjugate systems is 0 (for a
topological conjugacy that is not differentiable: all but the spectra). The converse does not hold: equal skeletons do
not make systems conjugate.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from conjugacy._check import check_instance, check_number
from conjugacy.dynamics._portrait import Portrait
from conjugacy.dynamics.portrait_core import on_common_horizon

_ROUNDS = 3
_NEGLIGIBLE = 1e-3  # modes smaller than this at the horizon are left out, on both sides alike


@dataclass(frozen=True)
class PortraitDistance:
    """The parts and their mean, all in [0, 1]; `input_response` is NaN where it could not be compared."""

    total: float
    counts: float
    graph: float
    spectra: float
    input_response: float

    def __float__(self) -> float:
        return self.total


def portrait_distance(
    a: Portrait, b: Portrait, *, horizon: float | None = None, hold: float | None = None
) -> PortraitDistance:
    """The distance between two portraits; see the module docstring for its parts.

    Parameters
    ----------
    a, b : Portrait
    horizon : float, optional
        Time over which modes are compared, in the unit of `Portrait.step` (s, or steps where dt is unknown). Default:
        ten steps of the slower of the two; give one number for a population whose steps differ.
    hold : float, optional
        Time for which points must hold to count, in the same unit, see `conjugacy.dynamics.portrait_core`. Default: the
        longer horizon of the two portraits; both as they are if they consist of exact points. Give one number for a
        population that mixes the two.

    Notes
    -----
    Symmetric, zero for identical portraits, and for one `horizon` and `hold` it obeys the triangle inequality among
    portraits that carry responses to the same inputs (or none).
    """
    for name, portrait in (("a", a), ("b", b)):
        check_instance(name, portrait, Portrait, "Make it with FixedPoints.portrait().")
    clock = max(a.step, b.step)
    horizon = 10 * clock if horizon is None else check_number("horizon", horizon, 0, open_low=True)
    if hold is not None:
        check_number("hold", hold, 0, open_low=True)
    a, b = on_common_horizon(a, b, hold)
    counts = ruzicka(_count_multiset(a), _count_multiset(b))
    colours = zip(_colours(a), _colours(b))
    graph = float(np.mean([ruzicka(x, y) for x, y in colours]))
    spectra = _spectra(a, b, horizon, clock)
    shared = a.response.keys() == b.response.keys() and len(a.response) > 0
    response = float(np.mean([ruzicka(a.response[k], b.response[k]) for k in a.response])) if shared else float("nan")
    parts = [counts, graph, spectra] + ([response] if shared else [])
    return PortraitDistance(float(np.mean(parts)), counts, graph, spectra, response)


def ruzicka(a, b) -> float:
    """1 - sum of minima over sum of maxima of two multisets (mappings to counts); 0 if both are empty."""
    keys = a.keys() | b.keys()
    most = sum(max(a.get(k, 0), b.get(k, 0)) for k in keys)
    return 1 - sum(min(a.get(k, 0), b.get(k, 0)) for k in keys) / most if most else 0.0


def _count_multiset(p: Portrait) -> Counter:
    nodes = Counter((n, _class(p, v)) for v, n in enumerate(p.n_unstable))
    return nodes + Counter({("cycle",): len(p.cycles)})


def _class(p: Portrait, node: int) -> str:
    """Rings, lines and sheets are kinds of their own; a plateau without a name is a point drawn out."""
    name = p.topologies[node] if p.topologies else ""
    return name if name in ("ring", "line", "sheet") else ""


def _colours(p: Portrait) -> list[Counter]:
    """Multisets of colours after each round; a colour is a nested tuple, the same in every portrait."""
    neighbours: list[list[int]] = [[] for _ in p.n_unstable]
    lost = [0] * len(p.n_unstable)
    for saddle, *ends in p.edges:
        for end in ends:
            if end >= 0:
                neighbours[saddle].append(end)
                neighbours[end].append(saddle)
            else:
                lost[saddle] += 1
    colour: list[tuple] = [(n, k, _class(p, v)) for v, (n, k) in enumerate(zip(p.n_unstable, lost))]
    rounds = []
    for _ in range(_ROUNDS):
        colour = [(colour[v], tuple(sorted(colour[w] for w in near))) for v, near in enumerate(neighbours)]
        rounds.append(Counter(colour))
    return rounds


def _spectra(a: Portrait, b: Portrait, horizon: float, clock: float) -> float:
    na, nb = len(a.n_unstable), len(b.n_unstable)
    if max(na, nb) == 0:
        return 0.0
    if min(na, nb) == 0:
        return 1.0
    modes_a, modes_b = _modes(a, horizon, clock), _modes(b, horizon, clock)
    # points of different classes are at the cutoff anyway
    cost = np.ones((na, nb))
    for i in range(na):
        for j in range(nb):
            if a.n_unstable[i] == b.n_unstable[j] and _class(a, i) == _class(b, j):
                cost[i, j] = min(1.0, _mode_distance(modes_a[i], modes_b[j]))
    rows, columns = linear_sum_assignment(cost)
    return float((cost[rows, columns].sum() + abs(na - nb)) / max(na, nb))


def _modes(p: Portrait, horizon: float, clock: float) -> list[np.ndarray]:
    """Per point its modes after `horizon`, in the disc of radius 2: beyond the unit circle |z| becomes 2 - 1 / |z|."""
    values = p.eigenvalues.numpy().astype(complex)
    power = horizon / p.step
    with np.errstate(divide="ignore", over="ignore"):
        log_size = np.clip(power * np.log(np.abs(values)), -700, 700)
        size = np.where(log_size > 0, 2 - np.exp(-np.abs(log_size)), np.exp(log_size))
    # the phase of one step, not of the horizon: it would wrap, and rotations of different speed look alike
    z = size * np.exp(1j * np.angle(values) * clock / p.step)
    return [row[np.abs(row) > _NEGLIGIBLE] for row in z]


def _mode_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Euclidean distance of two sets of modes under the best pairing, missing ones taken as zero."""
    n, m = len(x), len(y)
    # pairing with a zero on either side: one zero for every mode of the other set
    cost = np.zeros((n + m, n + m))
    cost[:n, :m] = np.abs(x[:, None] - y[None, :]) ** 2
    cost[:n, m:] = (np.abs(x) ** 2)[:, None]
    cost[n:, :m] = (np.abs(y) ** 2)[None, :]
    rows, columns = linear_sum_assignment(cost)
    return float(np.sqrt(cost[rows, columns].sum()))
