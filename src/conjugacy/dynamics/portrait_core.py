"""Portraits on a common horizon: what of two skeletons can be compared when one of them, or both, hold for a time only.

Exact skeletons are compared whole. On a horizon the memories are found reliably, and so is which are neighbours; which
saddles are met is left to chance where they are not isolated. So the core of a skeleton on a horizon is its
memories that hold so long, and one node that grows in one direction for every pair of neighbours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch

from conjugacy.dynamics._portrait import Portrait


def on_common_horizon(a: Portrait, b: Portrait, hold: float | None = None) -> tuple[Portrait, Portrait]:
    """Both portraits on the horizon `hold`, in the unit of `Portrait.step`; default: the longer of their own.

    Both as they are, if they consist of exact points and no horizon is given.
    """
    own = [p.horizon for p in (a, b) if p.horizon is not None]
    if hold is None and not own:
        return a, b
    hold = max(own) if hold is None else hold
    return core(a.at_horizon(hold)), core(b.at_horizon(hold))


def core(p: Portrait) -> Portrait:
    """The memories of a portrait, and one node with one unstable direction for each pair of neighbours."""
    stable = [v for v, n in enumerate(p.n_unstable) if n == 0]
    place = {old: new for new, old in enumerate(stable)}
    between: dict[tuple[int, int], int] = {}
    for saddle, *ends in p.edges:
        pair = (min(ends), max(ends))
        if pair[0] >= 0 and pair[0] != pair[1]:
            between.setdefault(pair, saddle)
    if p.neighbours:
        met = {(x, y) for x, y, _ in p.neighbours}
        between = {pair: saddle for pair, saddle in between.items() if pair in met}
    pairs = sorted(pair for pair in between if pair[0] in place and pair[1] in place)
    keep = stable + [between[pair] for pair in pairs]
    n_unstable = (0,) * len(stable) + (1,) * len(pairs)
    edges = tuple((len(stable) + k, place[x], place[y]) for k, (x, y) in enumerate(pairs))
    values = p.eigenvalues[torch.tensor(keep, dtype=torch.int64)] if len(p.eigenvalues) else p.eigenvalues
    return replace(
        p,
        counts=dict(sorted(Counter(n_unstable).items())),
        index_sum=None,
        n_unstable=n_unstable,
        edges=edges,
        labels=tuple(p.labels[v] for v in keep),
        eigenvalues=values,
        kinds=tuple(p.kinds[v] for v in keep) if p.kinds else (),
        topologies=tuple(p.topologies[v] for v in keep) if p.topologies else (),
    )
