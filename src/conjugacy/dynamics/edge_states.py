"""Edge states: what two memories whose basins meet have between them, found by following the wall itself.

Two states are kept on either side of the wall, near to each other. Both are followed until they part or a while has
gone by, then bisected between them: what is followed is an orbit on the wall, which leads to the saddle that separates
the two memories (edge tracking: Skufca, Yorke & Eckhardt, Phys. Rev. Lett. 96:174101, 2006).
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from conjugacy.dynamics.horizon import carried
from conjugacy.dynamics.memory_graph import SHARE_OF_HORIZON, Memories
from conjugacy.dynamics.orbits import advance

_FIRST_HALVINGS, _HALVINGS, _N_ROUNDS = 12, 4, 4
_AHEAD = 30  # steps for which the two states are followed at most
_PARTED = 0.02  # of the spread: they are bisected again from this distance on


def edge_states(
    memories: Memories, pairs: list[tuple[int, int]], generator: Generator, n_lines: int = 2
) -> tuple[Tensor, list[tuple[int, int]]]:
    """The slowest state met on the wall of each pair of memories, (W, D), on `n_lines` lines; and the pair of each.

    Lines on which a third memory was met, and walls that were lost, are left out.
    """
    d = memories.ends.shape[1]
    asked = [pair for pair in pairs for _ in range(n_lines)]
    if not asked:
        return torch.zeros(0, d, dtype=torch.float64), []
    members = [torch.nonzero(memories.owner == k)[:, 0] for k in range(len(memories))]

    def drawn(k: int) -> Tensor:
        return memories.ends[members[k][torch.randint(len(members[k]), (), generator=generator)]]

    # from either side in turn
    turned = [(a, b) if line % 2 == 0 else (b, a) for line, (a, b) in enumerate(asked)]
    home, other = (torch.tensor([pair[side] for pair in turned]) for side in (0, 1))
    left, right = (torch.stack([drawn(pair[side]) for pair in turned]) for side in (0, 1))
    left, right, beyond = _bisected(memories, left, right, home, other, _FIRST_HALVINGS)
    best, least = (left + right) / 2, torch.full((len(left),), torch.inf, dtype=torch.float64)
    on_wall = beyond == other
    for _ in range(_N_ROUNDS):
        left, right = _until_parted(memories, left, right)
        left, right, beyond = _bisected(memories, left, right, home, beyond, _HALVINGS)
        middle = (left + right) / 2
        speed = memories.dynamics.residual(middle, memories.u.expand(len(middle), -1)).norm(dim=-1)
        better = on_wall & (speed < least)
        best, least = torch.where(better[:, None], middle, best), torch.where(better, speed, least)
    return best[on_wall], [(min(pair), max(pair)) for pair, ok in zip(turned, on_wall.tolist()) if ok]


def _bisected(memories, left, right, home, beyond, n_halvings):
    """Nearer states on both sides of the wall of memory `home`, and the memory `beyond` it."""
    n_steps = max(1, round(SHARE_OF_HORIZON * memories.n_steps))
    for _ in range(n_halvings):
        middle = (left + right) / 2
        name = memories.likeliest(carried(memories.dynamics, middle, memories.u, memories.h, n_steps))
        same = name == home
        beyond = torch.where(same, beyond, name)
        left, right = torch.where(same[:, None], middle, left), torch.where(same[:, None], right, middle)
    return left, right, beyond


def _until_parted(memories: Memories, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Both states followed, each pair of them until it has parted."""
    both, n = torch.cat([left, right]), len(left)
    u = memories.u.expand(2 * n, -1)
    for _ in range(_AHEAD):
        near = (both[:n] - both[n:]).norm(dim=-1) < _PARTED * memories.ruler.scale
        if not bool(near.any()):
            break
        both = torch.where(near.repeat(2)[:, None], advance(memories.dynamics, both, u, memories.h), both)
    return both[:n], both[n:]
