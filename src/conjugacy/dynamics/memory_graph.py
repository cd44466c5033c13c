"""Which memory a state belongs to, which memories are neighbours, and what a saddle separates.

Two memories are neighbours if a wall between their basins can be met between them: on a straight line from a state of
one to a state of the other, bisection finds where the end of the orbit changes. A wall tells the neighbour without a
saddle, on any system. A saddle is told by where it sends its growing directions: the memories that orbits reach which
leave it along them (Maheswaranathan et al., NeurIPS 2019, Fig. 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Generator, Tensor

from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.horizon import carried, n_steps_of
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.orbits import time_step
from conjugacy.dynamics.plateaus import Plateau, Ruler

_N_HALVINGS, SHARE_OF_HORIZON = 10, 0.4
_BOW = 0.2
_NEAR, _SAME_READOUT = 0.6, 0.2  # an orbit is at a memory if it ends this near one of its states, or, up to
_FAR = 1.5  # this far, reads out what that state does: plateaus are wider than the part of them that the data fill


@dataclass(frozen=True, eq=False)
class Memories:
    """Ends of orbits from the data (N, D), the memory `owner` (N,) of each, and the flow that leads there.

    A state belongs to the memory whose ends its orbit is nearest to after `n_steps` steps of length `h`.
    """

    dynamics: Map
    u: Tensor
    h: float
    n_steps: int
    ruler: Ruler
    ends: Tensor
    owner: Tensor

    def __len__(self) -> int:
        return int(self.owner.max()) + 1 if len(self.owner) else 0

    def likeliest(self, x: Tensor) -> Tensor:
        """The memory with the end next to each finite state (N, D), however far; -1 where it is not finite."""
        finite = torch.isfinite(x).all(-1)
        here = self.ruler.coordinates(torch.where(finite[:, None], x, 0.0))
        return torch.where(finite, self.owner[distances(here, self._coordinates).argmin(1)], -1)

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The memory to which states (N, D) that rest belong, -1: none; and whether they are finite."""
        finite = torch.isfinite(x).all(-1)
        here, n_read = self.ruler.coordinates(torch.where(finite[:, None], x, 0.0)), int(self.ruler.tells.sum())
        gap, which = distances(here, self._coordinates).min(1)
        apart = (here - self._coordinates[which])[:, here.shape[1] - n_read :]
        alike = (apart.abs() <= _SAME_READOUT).all(1) & (gap <= _FAR) if n_read else torch.zeros_like(finite)
        return torch.where(finite & ((gap <= _NEAR) | alike), self.owner[which], -1), finite

    @property
    def _coordinates(self) -> Tensor:
        return self.ruler.coordinates(self.ends)

    def name(self, x: Tensor, n_steps: int | None = None) -> Tensor:
        """The memory of each state (N, D) by where its orbit is after `n_steps` (default one horizon); -1: none."""
        n_steps = self.n_steps if n_steps is None else n_steps
        return self.nearest(carried(self.dynamics, x, self.u, self.h, n_steps))[0]

    def first_reached(self, x: Tensor, slow: float, n_horizons: int = 2) -> Tensor:
        """The first memory that each orbit enters and hardly moves in (less than `slow` a step); -1: none."""
        found = torch.full((len(x),), -1)
        x, left = x.clone(), torch.arange(len(x))
        part = max(1, self.n_steps // 10)
        for _ in range(10 * n_horizons):
            if not len(left):
                break
            x[left] = carried(self.dynamics, x[left], self.u, self.h, part)
            owner, finite = self.nearest(x[left])
            speed = self.dynamics.residual(x[left], self.u.expand(len(left), -1)).norm(dim=-1)
            here = (owner >= 0) & (speed <= slow)
            found[left[here]] = owner[here]
            left = left[~here & finite]
        if len(left):
            found[left] = self.name(x[left], 0)
        return found


def memories_of(
    dynamics: Map, plateaus: Sequence[Plateau], u: Tensor, visited: Tensor, scale: float, horizon: float
) -> Memories:
    """The memories that plateaus are, for states to be named by."""
    h = time_step(dynamics, visited[:: max(1, len(visited) // 8)][:8], u)
    ends = torch.cat([plateau.states for plateau in plateaus])
    owner = torch.cat([torch.full((len(plateau.states),), k) for k, plateau in enumerate(plateaus)])
    return Memories(dynamics, u, h, n_steps_of(horizon, h), Ruler(dynamics, visited, scale), ends, owner)


@dataclass(frozen=True, eq=False)
class Walls:
    """Walls between the basins of memories: their two sides (W, 2) and a state (W, D) on each.

    On the way from one memory to another a third may be met, for a short stretch: neighbours are those that met twice.
    """

    sides: Tensor
    x: Tensor

    def neighbours(self) -> dict[tuple[int, int], int]:
        """Number of walls by pair of memories."""
        counts: dict[tuple[int, int], int] = {}
        for a, b in self.sides.tolist():
            counts[min(a, b), max(a, b)] = counts.get((min(a, b), max(a, b)), 0) + 1
        return {pair: n for pair, n in sorted(counts.items()) if n > 1}


def find_walls(memories: Memories, generator: Generator, n_lines: int = 2, most_pairs: int = 200) -> Walls:
    """Walls met on `n_lines` lines between states of each pair of memories (of the nearest pairs, where many).

    Lines are bent a little, each in its own direction: straight ones would meet in points where many basins do.
    """
    n, d = len(memories), memories.ends.shape[1]
    pairs = _pairs(memories, most_pairs)
    if not len(pairs):
        return Walls(torch.zeros(0, 2, dtype=torch.int64), torch.zeros(0, d, dtype=torch.float64))
    members = [torch.nonzero(memories.owner == k)[:, 0] for k in range(n)]
    starts, ends = [], []
    for a, b in pairs:
        for line in range(n_lines):
            # from either side in turn: the wall that is met first on the way may be another one
            one, two = (a, b) if line % 2 == 0 else (b, a)
            i, j = (int(torch.randint(len(members[k]), (), generator=generator)) for k in (one, two))
            starts.append(int(members[one][i]))
            ends.append(int(members[two][j]))
    home = memories.owner[torch.tensor(starts)]
    first, last = memories.ends[torch.tensor(starts)], memories.ends[torch.tensor(ends)]
    one, two = (torch.randint(len(memories.ends), (len(first),), generator=generator) for _ in range(2))
    bow = 4 * _BOW * (memories.ends[one] - memories.ends[two])
    left, right = torch.zeros(len(first), 1, dtype=torch.float64), torch.ones(len(first), 1, dtype=torch.float64)

    def at(s: Tensor) -> Tensor:
        return first + s * (last - first) + s * (1 - s) * bow

    other = memories.owner[torch.tensor(ends)]
    n_steps = max(1, round(SHARE_OF_HORIZON * memories.n_steps))
    for _ in range(_N_HALVINGS):
        middle = (left + right) / 2
        name = memories.likeliest(carried(memories.dynamics, at(middle), memories.u, memories.h, n_steps))
        same = name == home
        other = torch.where(same, other, name)
        left, right = torch.where(same[:, None], middle, left), torch.where(same[:, None], right, middle)
    known = other >= 0
    return Walls(torch.stack([home, other], 1)[known], at((left + right) / 2)[known])


def _pairs(memories: Memories, most: int) -> list[tuple[int, int]]:
    n = len(memories)
    pairs = list(combinations(range(n), 2))
    if len(pairs) <= most:
        return pairs
    where = memories._coordinates
    centre = torch.stack([where[memories.owner == k].mean(0) for k in range(n)])
    gap = distances(centre, centre).fill_diagonal_(torch.inf)
    nearest = gap.argsort(1)[:, : max(2, 2 * most // n)]
    near = {(min(a, b), max(a, b)) for a in range(n) for b in nearest[a].tolist()}
    return sorted(near, key=lambda pair: float(gap[pair]))[:most]


def sides_of(
    memories: Memories, x: Tensor, growing: list[Tensor], offset: float, slow: float, generator: Generator
) -> list[tuple[int, ...]]:
    """The memories that orbits reach which leave each saddle along its growing directions, in order; -1: nowhere.

    growing : list of Tensor (D, k)
        An orthonormal basis of the growing directions of each saddle. One direction is left to both sides, several in
        2^k combinations of their signs (k <= 3) or 16 random ones.
    """
    starts, of = [], []
    for p, basis in enumerate(growing):
        k = basis.shape[1]
        if k <= 3:
            signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * k).reshape(-1, k)
        else:
            signs = torch.randn(16, k, generator=generator, dtype=torch.float64)
        kicks = signs @ basis.T
        starts.append(x[p] + offset * kicks / kicks.norm(dim=-1, keepdim=True))
        of += [p] * len(kicks)
    if not starts:
        return []
    ends = memories.first_reached(torch.cat(starts), slow).tolist()
    return [tuple(sorted({end for end, q in zip(ends, of) if q == p})) for p in range(len(growing))]
